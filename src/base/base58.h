/* base58.h - Base58 with Bitcoin's letters, as Solana writes keys, signatures and transactions.
 * Called by core/txhash. Pure; quadratic in the length, so lengths are bounded. */
#ifndef RF_BASE_BASE58_H
#define RF_BASE_BASE58_H

#include "base/base.h"

/** The most bytes that are encoded or decoded: a transaction of Solana has at most 1232. */
#define RF_BASE58_BYTES_MAX 4096
/** Letters that `n` bytes take at most (log 256 / log 58 is below 1.3658). */
#define RF_BASE58_LEN(n) ((n)*13658 / 10000 + 1)

/**
 * Encode.
 * @param out  at least RF_BASE58_LEN(n) bytes; no NUL is added.
 * @return the letters written; 0 where n is 0 or over RF_BASE58_BYTES_MAX.
 */
size_t rf_base58_encode(const void *data, size_t n, char *out);

/**
 * Decode.
 * @param out  `cap` bytes; cap up to RF_BASE58_BYTES_MAX counts.
 * @param n    out: the bytes written.
 * @return false where a letter is not one of Base58, or the bytes do not fit.
 */
bool rf_base58_decode(const char *text, size_t len, uint8_t *out, size_t cap, size_t *n);

#endif
