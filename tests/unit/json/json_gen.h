/* json_gen.h - random JSON and random damage to it, from a seeded generator. Included by the tests
 * of src/json. */
#ifndef TEST_JSON_GEN_H
#define TEST_JSON_GEN_H

#include "base/buf.h"
#include "base/rng.h"

static inline void gen_pick(struct rf_buf *b, struct rf_rng *r, const char *const *from, size_t n)
{
    rf_buf_str(b, from[rf_rng_below(r, n)]);
}

/** Whitespace, most often none. */
static inline void gen_space(struct rf_buf *b, struct rf_rng *r)
{
    static const char *const some[] = {" ", "\n", "\t", "\r\n", "  ", "                 "};
    if (rf_rng_below(r, 8) == 0)
        gen_pick(b, r, some, RF_COUNT(some));
}

static inline void gen_string(struct rf_buf *b, struct rf_rng *r)
{
    static const char *const some[] = {"\\n",
                                       "\\\"",
                                       "\\\\",
                                       "\\/",
                                       "\\u00e9",
                                       "\\ud83d\\ude00",
                                       "\\b",
                                       "\\u0000",
                                       "\xc2\x80",
                                       "\xc3\xa9",
                                       "\xe4\xb8\xad",
                                       "\xed\x9f\xbf",
                                       "\xf0\x9f\x98\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "0x1234567890abcdef",
                                       "id",
                                       "result",
                                       "/*",
                                       " "};
    rf_buf_char(b, '"');
    for (uint64_t n = rf_rng_below(r, 6); n > 0; n--) {
        if (rf_rng_below(r, 3) == 0)
            gen_pick(b, r, some, RF_COUNT(some));
        else
            for (uint64_t k = rf_rng_below(r, 20); k > 0; k--)
                rf_buf_char(b, (char)('a' + rf_rng_below(r, 26)));
    }
    rf_buf_char(b, '"');
}

static inline void gen_number(struct rf_buf *b, struct rf_rng *r)
{
    static const char *const fraction[] = {"", "", ".0", ".5", ".00125", ".10"};
    static const char *const exponent[] = {"", "", "e1", "E+10", "e-3", "E0"};
    if (rf_rng_below(r, 3) == 0)
        rf_buf_char(b, '-');
    rf_buf_u64(b, rf_rng_next(r) >> (1 + rf_rng_below(r, 63)));
    gen_pick(b, r, fraction, RF_COUNT(fraction));
    gen_pick(b, r, exponent, RF_COUNT(exponent));
}

/** A value without arrays and objects in it. */
static inline void gen_scalar(struct rf_buf *b, struct rf_rng *r)
{
    static const char *const words[] = {"true", "false", "null"};
    switch (rf_rng_below(r, 3)) {
    case 0:
        gen_string(b, r);
        break;
    case 1:
        gen_number(b, r);
        break;
    default:
        gen_pick(b, r, words, RF_COUNT(words));
        break;
    }
}

/** One value with its whitespace, at most `depth` levels deep. Append errors stick to `b`. */
static inline void gen_value(struct rf_buf *b, struct rf_rng *r, unsigned depth)
{
    uint64_t kind = depth == 0 ? 2 : rf_rng_below(r, 4);
    gen_space(b, r);
    if (kind >= 2) {
        gen_scalar(b, r);
    } else {
        rf_buf_char(b, kind == 0 ? '[' : '{');
        gen_space(b, r);
        for (uint64_t i = 0, n = rf_rng_below(r, 5); i < n; i++) {
            if (i > 0)
                rf_buf_char(b, ',');
            if (kind == 1) {
                gen_space(b, r);
                gen_string(b, r);
                gen_space(b, r);
                rf_buf_char(b, ':');
            }
            gen_value(b, r, depth - 1);
        }
        rf_buf_char(b, kind == 0 ? ']' : '}');
    }
    gen_space(b, r);
}

/** Replace, take out, put in or cut off: a few times. `b` keeps at least its memory. */
static inline void gen_damage(struct rf_buf *b, struct rf_rng *r)
{
    static const char likely[] = "{}[]:,\"\\ \n0123456789eE+-.tfnu/\x01\x1f\x7f\x80\xbf\xc0\xc3\xe0"
                                 "\xed\xf0\xf4\xff";
    for (uint64_t n = 1 + rf_rng_below(r, 3); n > 0 && b->len > 0; n--) {
        size_t at = (size_t)rf_rng_below(r, b->len);
        char c =
            rf_rng_below(r, 4) == 0 ? (char)rf_rng_next(r) : likely[rf_rng_below(r, sizeof likely)];
        switch (rf_rng_below(r, 8)) {
        case 0:
            b->len = at;
            break;
        case 1:
        case 2:
            for (size_t i = at; i + 1 < b->len; i++)
                b->data[i] = b->data[i + 1];
            b->len--;
            break;
        case 3:
        case 4:
            rf_buf_char(b, 0);
            for (size_t i = b->len - 1; i > at; i--)
                b->data[i] = b->data[i - 1];
            b->data[at] = c;
            break;
        default:
            b->data[at] = c;
            break;
        }
    }
}

#endif
