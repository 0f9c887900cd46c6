/* blob.c - the shared response body. */
#include "base/blob.h"

#include <string.h>

#include "base/mem.h"

struct rf_blob *rf_blob_new(size_t cap)
{
    struct rf_blob *b = rf_alloc(sizeof *b);
    if (b == NULL)
        return NULL;
    b->data = rf_realloc(NULL, cap);
    if (b->data == NULL) {
        rf_free(b);
        return NULL;
    }
    b->cap = cap;
    atomic_init(&b->refs, 1);
    return b;
}

bool rf_blob_add(struct rf_blob *b, const void *data, size_t n)
{
    if (b->cap - b->len < n) {
        size_t cap = b->cap < 512 ? 512 : b->cap;
        while (cap - b->len < n)
            cap *= 2;
        char *grown = rf_realloc(b->data, cap);
        if (grown == NULL)
            return false;
        b->data = grown;
        b->cap = cap;
    }
    if (n > 0)
        memcpy(b->data + b->len, data, n);
    b->len += n;
    return true;
}

void rf_blob_trim(struct rf_blob *b)
{
    if (b->cap - b->len <= b->cap / 4)
        return;
    char *less = rf_realloc(b->data, b->len);
    if (less == NULL)
        return;
    b->data = less;
    b->cap = b->len;
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
    rf_free(b->data);
    rf_free(b);
}
