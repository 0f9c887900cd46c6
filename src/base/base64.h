/* base64.h - a strict decoder of Base64 (RFC 4648, par. 4). Called by core/txhash. Pure. */
#ifndef RF_BASE_BASE64_H
#define RF_BASE_BASE64_H

#include "base/base.h"

/**
 * Decode. Strict: the letters A-Z a-z 0-9 + /, padded with = to a multiple of four, the bits that
 * padding leaves over 0, nothing else in between. So each row of bytes has one text.
 * @param out  `cap` bytes.
 * @param n    out: the bytes written; 0 for the empty text.
 * @return false where the text is anything else, or the bytes do not fit.
 */
bool rf_base64_decode(const char *text, size_t len, uint8_t *out, size_t cap, size_t *n);

#endif
