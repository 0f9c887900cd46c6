/* plain.h - skip the bytes of a JSON string that need no look: ASCII other than controls, the quote
 * and the backslash. Used by the scanner, the quoter and the compactor; touches nothing. */
#ifndef RF_JSON_PLAIN_H
#define RF_JSON_PLAIN_H

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define RF_BYTES(b) (UINT64_C(0x0101010101010101) * (b))

/** Whether a byte may stand in a string as it is and is ASCII. */
static inline int rf_plain_byte(uint8_t b)
{
    return b >= 0x20 && b < 0x80 && b != '"' && b != '\\';
}

/**
 * Whether eight bytes are plain; 0 may be wrong. A byte that is zero after the XOR, or under 0x20,
 * borrows into its own top bit; tops that were set are caught by `w` itself. Byte order does not
 * matter.
 */
static inline int rf_plain_word(const uint8_t *p)
{
    uint64_t w, quote, back;
    memcpy(&w, p, sizeof w);
    quote = w ^ RF_BYTES('"');
    back = w ^ RF_BYTES('\\');
    uint64_t hit = ((quote - RF_BYTES(1)) & ~quote) | ((back - RF_BYTES(1)) & ~back) |
                   ((w - RF_BYTES(0x20)) & ~w) | w;
    return (hit & RF_BYTES(0x80)) == 0;
}

/** The first byte in [p, e) that is not plain, or `e`; eight bytes a step on any machine. */
static inline const uint8_t *rf_plain_skip_portable(const uint8_t *p, const uint8_t *e)
{
    const uint8_t *begin = p;
    while (e - p >= 8 && rf_plain_word(p))
        p += 8;
    /* The rest together with bytes that were found plain. */
    if (e - p < 8 && e - begin >= 8 && rf_plain_word(e - 8))
        return e;
    while (p < e && rf_plain_byte(*p))
        p++;
    return p;
}

/** The first byte in [p, e) that is not plain, or `e`. Reads no byte outside of the range. */
static inline const uint8_t *rf_plain_skip(const uint8_t *p, const uint8_t *e)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), back = _mm_set1_epi8('\\'), low = _mm_set1_epi8(0x20);
    while (e - p >= 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, back));
        /* A signed comparison: bytes from 0x80 are below 0x20 as well. */
        int mask = _mm_movemask_epi8(_mm_or_si128(hit, _mm_cmplt_epi8(v, low)));
        if (mask != 0)
            return p + __builtin_ctz((unsigned)mask);
        p += 16;
    }
#endif
    return rf_plain_skip_portable(p, e);
}

#endif
