/* buf.c - the growable byte buffer. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

bool rf_buf_reserve(struct rf_buf *b, size_t n)
{
    if (b->failed)
        return false;
    if (b->cap - b->len >= n)
        return true;
    size_t cap = b->cap < 256 ? 256 : b->cap;
    while (cap - b->len < n) {
        if (cap > SIZE_MAX / 2) {
            b->failed = true;
            return false;
        }
        cap *= 2;
    }
    char *data = rf_realloc(b->data, cap);
    if (data == NULL) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

void rf_buf_add(struct rf_buf *b, const void *data, size_t n)
{
    if (n == 0 || !rf_buf_reserve(b, n))
        return;
    memcpy(b->data + b->len, data, n);
    b->len += n;
}

void rf_buf_str(struct rf_buf *b, const char *s)
{
    rf_buf_add(b, s, strlen(s));
}

void rf_buf_char(struct rf_buf *b, char c)
{
    if (rf_buf_reserve(b, 1))
        b->data[b->len++] = c;
}

size_t rf_u64_text(uint64_t v, char *out)
{
    char tmp[20];
    size_t n = 0;
    do {
        tmp[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    for (size_t i = 0; i < n; i++)
        out[i] = tmp[n - 1 - i];
    return n;
}

void rf_buf_u64(struct rf_buf *b, uint64_t v)
{
    if (rf_buf_reserve(b, 20))
        b->len += rf_u64_text(v, b->data + b->len);
}

void rf_buf_printf(struct rf_buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n >= 0 && rf_buf_reserve(b, (size_t)n + 1)) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void rf_buf_reset(struct rf_buf *b, size_t keep)
{
    b->len = 0;
    b->failed = false;
    if (b->cap > keep)
        rf_buf_fini(b);
}

void rf_buf_fini(struct rf_buf *b)
{
    rf_free(b->data);
    *b = (struct rf_buf){0};
}
