/* batch_lines.c - the set of answered lines: a low watermark and a ring of bits. */
#include "cli/batch_lines.h"

#include "base/mem.h"

bool rf_lines_init(struct rf_lines *l, uint64_t span)
{
    *l = (struct rf_lines){.span = span};
    l->bits = rf_alloc((size_t)(span / 8));
    return l->bits != NULL;
}

static uint64_t *word(const struct rf_lines *l, uint64_t line)
{
    return &l->bits[(line % l->span) / 64];
}

static uint64_t bit(const struct rf_lines *l, uint64_t line)
{
    return UINT64_C(1) << (line % l->span % 64);
}

bool rf_lines_fits(const struct rf_lines *l, uint64_t line)
{
    return line <= l->low || line - l->low <= l->span;
}

bool rf_lines_has(const struct rf_lines *l, uint64_t line)
{
    if (line <= l->low)
        return true;
    return rf_lines_fits(l, line) && (*word(l, line) & bit(l, line)) != 0;
}

bool rf_lines_add(struct rf_lines *l, uint64_t line)
{
    if (line == 0 || !rf_lines_fits(l, line) || rf_lines_has(l, line))
        return false;
    *word(l, line) |= bit(l, line);
    if (line > l->high)
        l->high = line;
    while (l->low < l->high && (*word(l, l->low + 1) & bit(l, l->low + 1)) != 0) {
        l->low++;
        *word(l, l->low) &= ~bit(l, l->low);
    }
    return true;
}

void rf_lines_fini(struct rf_lines *l)
{
    rf_free(l->bits);
    *l = (struct rf_lines){0};
}
