/* table.h - the figures of all bars, of several seeds, and the table that is printed of them. */
#ifndef RF_TESTS_BARS_TABLE_H
#define RF_TESTS_BARS_TABLE_H

#include <stdbool.h>
#include <stdint.h>

/** From now on figures are of the seed number `index` of `n`. */
void table_seed(uint32_t index, uint32_t n);
/** A figure that must be at least `bar`. @param what the case; @param measure what is measured. */
void table_at_least(int number, const char *what, const char *measure, double bar, double figure);
/** A figure that must be at most `bar`. */
void table_at_most(int number, const char *what, const char *measure, double bar, double figure);
/** Print on stdout. @return rows that miss their bar. */
uint32_t table_print(void);

#endif
