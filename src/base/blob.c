/* blob.c - the shared response body. */
#include "base/blob.h"

#include <string.h>

#include "base/mem.h"

#define SMALL_MAX 768 /* a notification of a token account is of some 600 */

struct rf_blob *rf_blob_new(size_t cap)
{
    bool small = cap <= SMALL_MAX;
    struct rf_blob *b = rf_realloc(NULL, sizeof *b + (small ? cap : 0));
    if (b == NULL)
        return NULL;
    b->data = small ? b->small : rf_realloc(NULL, cap);
    if (b->data == NULL) {
        rf_free(b);
        return NULL;
    }
    b->len = 0;
    b->cap = cap;
    atomic_init(&b->refs, 1);
    return b;
}

/* Move to an allocation of `cap` bytes. */
static bool resize(struct rf_blob *b, size_t cap)
{
    bool small = b->data == b->small;
    char *data = rf_realloc(small ? NULL : b->data, cap);
    if (data == NULL)
        return false;
    if (small)
        memcpy(data, b->small, b->len);
    b->data = data;
    b->cap = cap;
    return true;
}

bool rf_blob_add(struct rf_blob *b, const void *data, size_t n)
{
    if (b->cap - b->len < n) {
        size_t cap = b->cap < 512 ? 512 : b->cap;
        while (cap - b->len < n)
            cap *= 2;
        if (!resize(b, cap))
            return false;
    }
    if (n > 0)
        memcpy(b->data + b->len, data, n);
    b->len += n;
    return true;
}

void rf_blob_trim(struct rf_blob *b)
{
    if (b->data != b->small && b->cap - b->len > b->cap / 4)
        (void)resize(b, b->len);
}

void rf_blob_ref(struct rf_blob *b, unsigned n)
{
    if (b != NULL && n > 0)
        atomic_fetch_add_explicit(&b->refs, n, memory_order_relaxed);
}

void rf_blob_unref(struct rf_blob *b)
{
    if (b == NULL || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (b->data != b->small)
        rf_free(b->data);
    rf_free(b);
}
