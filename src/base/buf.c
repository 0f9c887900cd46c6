/* buf.c - the growable byte buffer. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

bool rf_buf_grow(struct rf_buf *b, size_t n)
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

size_t rf_u64_text(uint64_t v, char *out)
{
    static const char pair[] =
        "00010203040506070809101112131415161718192021222324252627282930313233"
        "34353637383940414243444546474849505152535455565758596061626364656667"
        "6869707172737475767778798081828384858687888990919293949596979899";
    char tmp[20];
    size_t at = sizeof tmp;
    for (; v >= 100; v /= 100)
        memcpy(tmp + (at -= 2), pair + v % 100 * 2, 2);
    if (v >= 10)
        memcpy(tmp + (at -= 2), pair + v * 2, 2);
    else
        tmp[--at] = (char)('0' + v);
    memcpy(out, tmp + at, sizeof tmp - at);
    return sizeof tmp - at;
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
