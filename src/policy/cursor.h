/* cursor.h - a place in a text and the small readers that hints are read with: each moves the place
 * only where it matched. Used by policy/hints.c and policy/told.c; touches nothing else. */
#ifndef RF_POLICY_CURSOR_H
#define RF_POLICY_CURSOR_H

#include <string.h>
#include <strings.h>

#include "base/base.h"

/** What is left to read. */
struct rf_cursor {
    const char *p, *end;
};

/** Whether it is one of 0 to 9. */
static inline bool rf_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/** Whether it is an ASCII letter. */
static inline bool rf_is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/** Whether it is white space of a line or its end. */
static inline bool rf_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/** Whether a digit comes next. */
static inline bool rf_cursor_at_digit(const struct rf_cursor *c)
{
    return c->p < c->end && rf_is_digit(*c->p);
}

/** Pass over white space. */
static inline void rf_cursor_space(struct rf_cursor *c)
{
    while (c->p < c->end && rf_is_space(*c->p))
        c->p++;
}

/** Read a text, NUL-terminated, ASCII case ignored. */
static inline bool rf_cursor_text(struct rf_cursor *c, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(c->end - c->p) < n || strncasecmp(c->p, text, n) != 0)
        return false;
    c->p += n;
    return true;
}

/** As rf_cursor_text(), but no letter may follow. */
static inline bool rf_cursor_word(struct rf_cursor *c, const char *word)
{
    struct rf_cursor after = *c;
    if (!rf_cursor_text(&after, word) || (after.p < after.end && rf_is_letter(*after.p)))
        return false;
    *c = after;
    return true;
}

/** Read a whole number and an optional fraction, in billionths; saturates. */
static inline bool rf_cursor_decimal(struct rf_cursor *c, uint64_t *nano)
{
    if (!rf_cursor_at_digit(c))
        return false;
    uint64_t whole = 0, fraction = 0;
    for (; rf_cursor_at_digit(c); c->p++)
        whole = whole < UINT32_MAX ? whole * 10 + (uint64_t)(*c->p - '0') : whole;
    if (c->end - c->p > 1 && *c->p == '.' && rf_is_digit(c->p[1])) {
        uint64_t unit = RF_SEC / 10;
        for (c->p++; rf_cursor_at_digit(c); c->p++, unit /= 10)
            fraction += (uint64_t)(*c->p - '0') * unit;
    }
    *nano = rf_min_u64(whole, UINT32_MAX) * RF_SEC + fraction;
    return true;
}

#endif
