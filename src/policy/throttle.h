/* throttle.h - what a 429 does to an endpoint: one pause for the whole endpoint, one step a
 * throttle epoch. Called by core/settle and core/endpoint. Pure. */
#ifndef RF_POLICY_THROTTLE_H
#define RF_POLICY_THROTTLE_H

#include "base/base.h"
#include "base/rng.h"

/** Zero-initialised: never throttled. */
struct rf_throttle {
    uint64_t paused_until_ns; /* 0 or the past: not paused */
    uint64_t last_epoch_ns;   /* when the latest epoch began */
    uint32_t streak;          /* epochs in a row without a success sent after them */
    uint64_t epochs;          /* counted for ever */
    uint64_t refused;         /* throttled calls, counted for ever */
};

/**
 * A call or batch was throttled.
 * @param sent_ns    when it was sent: if that was before the current epoch began, it is part of it.
 * @param hint_ns    what the server asked for (clamped here to 300 s), or RF_NEVER for no hint; 0
 *                   ("come back at once", from a server that refuses) counts as no hint.
 * @param calls      how many calls were refused.
 * @return true where this began a new epoch (the caller then steps the limiter once).
 * The pause is hint + U(0, min(1 s, hint/10)), or full jitter U(0, min(20 s, 1 s * 2^streak)); it
 * only ever grows within an epoch.
 */
bool rf_throttle_refused(struct rf_throttle *t, uint64_t sent_ns, uint64_t hint_ns, uint32_t calls,
                         uint64_t now_ns, struct rf_rng *rng);
/** A request sent at `sent_ns` was served: ends the streak if sent after the last epoch began. */
void rf_throttle_served(struct rf_throttle *t, uint64_t sent_ns);
/** Pause without a throttle (503 with Retry-After). Clamped to 300 s; only ever later. */
void rf_throttle_pause(struct rf_throttle *t, uint64_t for_ns, uint64_t now_ns);

#endif
