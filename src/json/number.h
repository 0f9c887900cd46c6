/* number.h - numbers of JSON by their exact decimal value, without floating point. Called by canon.
 * Pure. */
#ifndef RF_JSON_NUMBER_H
#define RF_JSON_NUMBER_H

#include "base/buf.h"

/**
 * Append a number in its canonical form: as canon.h describes it.
 * @param s  `len` bytes that the scanner has reported as a number.
 */
void rf_json_number_canon(struct rf_buf *b, const char *s, size_t len);

#endif
