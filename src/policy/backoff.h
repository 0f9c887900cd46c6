/* backoff.h - full-jitter exponential backoff (the AWS architecture blog's "full jitter").
 * Called by core/settle and policy/throttle. Pure: chance is an argument. */
#ifndef RF_POLICY_BACKOFF_H
#define RF_POLICY_BACKOFF_H

#include "base/base.h"
#include "base/rng.h"

#define RF_BACKOFF_BASE_NS (50 * RF_MS)
#define RF_BACKOFF_CAP_NS (20 * RF_SEC)

/**
 * How long to wait before try `k + 1`: U(0, min(cap, base * 2^k)), in whole ns, never overflowing.
 * @param k  tries that failed before this wait, 0 for the first.
 */
uint64_t rf_backoff_full_jitter(uint64_t base_ns, uint64_t cap_ns, uint32_t k, struct rf_rng *rng);

#endif
