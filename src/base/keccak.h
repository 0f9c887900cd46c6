/* keccak.h - Keccak-256 as Ethereum uses it, and SHA3-256, which differs in one padding byte.
 * OpenSSL has the first only since 3.2. Called by core/txhash. Pure.
 * Source: FIPS 202, par. 3.2 (the permutation), 4 (the sponge), 6.1 (SHA3-256). */
#ifndef RF_BASE_KECCAK_H
#define RF_BASE_KECCAK_H

#include "base/base.h"

#define RF_KECCAK_BYTES 32
/* What follows the message: the byte that tells the two functions apart. */
#define RF_KECCAK_PAD 0x01
#define RF_SHA3_PAD 0x06

/** A hash under way. */
struct rf_keccak {
    uint64_t lane[25];
    uint32_t at; /* bytes absorbed of the block at hand */
    uint8_t pad;
};

/** Begin. @param pad RF_KECCAK_PAD or RF_SHA3_PAD. */
void rf_keccak_init(struct rf_keccak *k, uint8_t pad);
/** Go on with `n` bytes; pieces of any size. */
void rf_keccak_add(struct rf_keccak *k, const void *data, size_t n);
/** End; `k` must be set up again before the next. @param out the hash. */
void rf_keccak_done(struct rf_keccak *k, uint8_t out[RF_KECCAK_BYTES]);

#endif
