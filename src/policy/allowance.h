/* allowance.h - what the server itself says is left of the quota: a bound until it is restored.
 *
 * Hints only tighten: an allowance never admits what another gate refuses. Called by core/gate.
 * Pure. Source: draft-ietf-httpapi-ratelimit-headers ("SHOULD NOT exceed the available quota"). */
#ifndef RF_POLICY_ALLOWANCE_H
#define RF_POLICY_ALLOWANCE_H

#include "policy/rate_hint.h"

/** Zero-initialised: nothing said. */
struct rf_allowance {
    uint64_t left;     /* calls that may still go ... */
    uint64_t until_ns; /* ... until then; the past: no bound, but what `quota` says */
    uint64_t quota;    /* what is restored then, for `span_ns`; 0: not said */
    uint64_t span_ns;
    uint64_t stamped_at_ns; /* when the request was sent whose answer said so */
    uint64_t sent;          /* calls committed, counted for ever */
    uint64_t back;          /* of these, whose answers came */
};

/**
 * Take a hint in.
 * @param sent_ns    when the request was sent that the hint came with: an older one never
 * overwrites a newer.
 * @param sent_then  `sent` right after that request was committed: what left since is not in the
 *                   server's figure.
 * @return ns that the server wants nothing at all to come for (no request left), clamped to 60 s;
 * else 0.
 */
uint64_t rf_allowance_hint(struct rf_allowance *a, const struct rf_rate_hint *h, uint64_t sent_ns,
                           uint64_t sent_then, uint64_t now_ns);
/** Calls that may go now, at most `want`; wait_ns as rf_limiter_room(). Where what was left ran out
 * of time, the next quota begins. */
uint32_t rf_allowance_room(struct rf_allowance *a, uint32_t want, uint64_t now_ns,
                           uint64_t *wait_ns);
/** Calls were sent. */
void rf_allowance_commit(struct rf_allowance *a, uint32_t calls);
/** Their exchange ended; before its hint is taken in. */
void rf_allowance_settle(struct rf_allowance *a, uint32_t calls);

#endif
