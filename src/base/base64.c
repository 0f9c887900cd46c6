/* base64.c - the strict decoder of Base64: a table a place of the group of four letters, so that a
 * group is four loads, or-ed; eight letters a step. */
#include "base/base64.h"

/* A letter's entry is its six bits, moved to their place, and this mark; what is no letter has 0.
 */
#define LETTER (UINT32_C(1) << 31)

#define ROW8(a, b, c, d, e, f, g, h, v, s)                                                         \
    [a] = LETTER | (uint32_t)(v) << (s), [b] = LETTER | (uint32_t)(v + 1) << (s),                  \
    [c] = LETTER | (uint32_t)(v + 2) << (s), [d] = LETTER | (uint32_t)(v + 3) << (s),              \
    [e] = LETTER | (uint32_t)(v + 4) << (s), [f] = LETTER | (uint32_t)(v + 5) << (s),              \
    [g] = LETTER | (uint32_t)(v + 6) << (s), [h] = LETTER | (uint32_t)(v + 7) << (s)
#define TABLE(s)                                                                                   \
    {                                                                                              \
        ROW8('A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 0, s),                                        \
            ROW8('I', 'J', 'K', 'L', 'M', 'N', 'O', 'P', 8, s),                                    \
            ROW8('Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 16, s),                                   \
            ROW8('Y', 'Z', 'a', 'b', 'c', 'd', 'e', 'f', 24, s),                                   \
            ROW8('g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 32, s),                                   \
            ROW8('o', 'p', 'q', 'r', 's', 't', 'u', 'v', 40, s),                                   \
            ROW8('w', 'x', 'y', 'z', '0', '1', '2', '3', 48, s),                                   \
            ROW8('4', '5', '6', '7', '8', '9', '+', '/', 56, s)                                    \
    }

static const uint32_t bits_at[4][256] = {TABLE(18), TABLE(12), TABLE(6), TABLE(0)};

/* Four letters. @param valid loses LETTER where one of them is none. */
static inline uint32_t group_of(const uint8_t *p, uint32_t *valid)
{
    uint32_t a = bits_at[0][p[0]], b = bits_at[1][p[1]], c = bits_at[2][p[2]], d = bits_at[3][p[3]];
    *valid &= a & b & c & d;
    return (a | b | c | d) & 0xffffff;
}

/* The highest byte first. One statement each: compilers make one store of them. */
static inline void store(uint8_t *out, uint64_t v)
{
    out[0] = (uint8_t)(v >> 56);
    out[1] = (uint8_t)(v >> 48);
    out[2] = (uint8_t)(v >> 40);
    out[3] = (uint8_t)(v >> 32);
    out[4] = (uint8_t)(v >> 24);
    out[5] = (uint8_t)(v >> 16);
    out[6] = (uint8_t)(v >> 8);
    out[7] = (uint8_t)v;
}

/* The last group: `letters` of them, 2 to 4; the others are padding. */
static bool decode_last(const uint8_t *p, size_t letters, uint8_t *out)
{
    uint8_t group[4] = {'A', 'A', 'A', 'A'};
    uint32_t valid = LETTER;
    for (size_t i = 0; i < letters; i++)
        group[i] = p[i];
    uint32_t v = group_of(group, &valid);
    for (size_t i = 0; i + 1 < letters; i++)
        out[i] = (uint8_t)(v >> (16 - 8 * i));
    uint32_t left = letters == 2 ? 0xffff : letters == 3 ? 0xff : 0;
    return (valid & LETTER) != 0 && (v & left) == 0;
}

bool rf_base64_decode(const char *text, size_t len, uint8_t *out, size_t cap, size_t *n)
{
    const uint8_t *p = (const uint8_t *)text, *end;
    size_t letters = len, bytes;
    *n = 0;
    if (len % 4 != 0)
        return false;
    for (int pads = 0; pads < 2 && letters > 0 && text[letters - 1] == '='; pads++)
        letters--;
    bytes = letters / 4 * 3 + letters % 4 * 3 / 4;
    if (bytes > cap)
        return false;
    if (letters == 0)
        return len == 0;
    end = p + (letters - 1) / 4 * 4; /* where the last group begins */
    uint32_t valid = LETTER;
    /* Eight bytes are stored where six are meant: the next step, or the last group, has room. */
    while (end - p >= 12) {
        uint64_t v = (uint64_t)group_of(p, &valid) << 40 | (uint64_t)group_of(p + 4, &valid) << 16;
        store(out, v);
        out += 6;
        p += 8;
    }
    for (; p < end; p += 4, out += 3) {
        uint32_t v = group_of(p, &valid);
        out[0] = (uint8_t)(v >> 16);
        out[1] = (uint8_t)(v >> 8);
        out[2] = (uint8_t)v;
    }
    if ((valid & LETTER) == 0 || !decode_last(p, (letters - 1) % 4 + 1, out))
        return false;
    *n = bytes;
    return true;
}
