/* rng.h - the seeded generator that is handed to whoever needs chance (xoshiro256**, Blackman and
 * Vigna, seeded through splitmix64). Same seed, same run. */
#ifndef RF_BASE_RNG_H
#define RF_BASE_RNG_H

#include <stdint.h>

struct rf_rng {
    uint64_t s[4];
};

/** Seed. Any seed is good, 0 included. */
void rf_rng_init(struct rf_rng *r, uint64_t seed);
/** 64 random bits. */
uint64_t rf_rng_next(struct rf_rng *r);
/** Uniform in [0, n); 0 where n is 0. Bias below 2^-32 for n < 2^32. */
uint64_t rf_rng_below(struct rf_rng *r, uint64_t n);

#endif
