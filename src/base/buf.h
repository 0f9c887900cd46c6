/* buf.h - a growable byte buffer with a sticky error, so that writers need to check only once. */
#ifndef RF_BASE_BUF_H
#define RF_BASE_BUF_H

#include <string.h>

#include "base/base.h"

/** Zero-initialised is empty and valid. */
struct rf_buf {
    char *data;
    size_t len, cap;
    bool failed; /* an append ran out of memory; everything after it was dropped */
};

/** Grow so that `n` more bytes fit; what rf_buf_reserve() does when they do not. */
bool rf_buf_grow(struct rf_buf *b, size_t n);

/** Make room for `n` more bytes. @return false (and `failed` set) when out of memory. */
static inline bool rf_buf_reserve(struct rf_buf *b, size_t n)
{
    return (!b->failed && b->cap - b->len >= n) || rf_buf_grow(b, n);
}

/** Append bytes. */
static inline void rf_buf_add(struct rf_buf *b, const void *data, size_t n)
{
    if (n == 0 || !rf_buf_reserve(b, n))
        return;
    memcpy(b->data + b->len, data, n);
    b->len += n;
}

/** Append a NUL-terminated string without its NUL. */
static inline void rf_buf_str(struct rf_buf *b, const char *s)
{
    rf_buf_add(b, s, strlen(s));
}

/** Append one byte. */
static inline void rf_buf_char(struct rf_buf *b, char c)
{
    if (rf_buf_reserve(b, 1))
        b->data[b->len++] = c;
}

/** Append a decimal number. */
void rf_buf_u64(struct rf_buf *b, uint64_t v);
/** Append printf output. */
void rf_buf_printf(struct rf_buf *b, const char *fmt, ...) RF_PRINTF(2, 3);
/** Forget the contents and the error; keeps the memory unless it is over `keep` bytes. */
void rf_buf_reset(struct rf_buf *b, size_t keep);
/** Free the memory; the buffer is empty and valid afterwards. */
void rf_buf_fini(struct rf_buf *b);
/** Write a decimal number. @param out at least 20 bytes. @return bytes written. */
size_t rf_u64_text(uint64_t v, char *out);

#endif
