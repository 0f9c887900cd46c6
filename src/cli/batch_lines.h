/* batch_lines.h - which input lines are answered: all up to a low watermark, and above it a bit
 * each, so that its memory does not grow with the input. Used by unordered runs and their resume.
 * Pure. */
#ifndef RF_CLI_BATCH_LINES_H
#define RF_CLI_BATCH_LINES_H

#include "base/base.h"

/* How far the run may get ahead of its slowest line: 4 Mi lines are 512 KiB of bits. */
#define RF_LINES_SPAN (UINT64_C(4) << 20)

/** A set of line numbers, 1-based. */
struct rf_lines {
    uint64_t low;   /* every line up to it is in the set */
    uint64_t high;  /* the highest line in the set */
    uint64_t *bits; /* of the lines (low, low + span], at line % span */
    uint64_t span;
};

/** Set up an empty set. @param span a multiple of 64. @return false when out of memory. */
bool rf_lines_init(struct rf_lines *l, uint64_t span);
/** Whether a line could be added now. */
bool rf_lines_fits(const struct rf_lines *l, uint64_t line);
/** Add a line. @return false where it does not fit, is 0, or is in the set already. */
bool rf_lines_add(struct rf_lines *l, uint64_t line);
/** Whether a line is in the set. */
bool rf_lines_has(const struct rf_lines *l, uint64_t line);
/** Free the bits. */
void rf_lines_fini(struct rf_lines *l);

#endif
