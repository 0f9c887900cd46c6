/* rate_hint.h - what response headers say about the quota: RateLimit and RateLimit-Policy (RFC 8941
 * lists), RateLimit-Limit/-Remaining/-Reset, X-RateLimit-*. Filled in by net/http and the
 * simulator, used by core/endpoint. Pure. */
#ifndef RF_POLICY_RATE_HINT_H
#define RF_POLICY_RATE_HINT_H

#include "base/base.h"

/** Hints only ever tighten. Zeroed is not "none": use rf_rate_hint_init(). */
struct rf_rate_hint {
    bool any;           /* some header was understood */
    uint64_t remaining; /* requests left; UINT64_MAX: not said */
    uint64_t reset_ns;  /* until the quota is restored, from now; RF_NEVER: not said */
    uint64_t quota;     /* requests in the window; 0: not said */
    uint64_t window_ns; /* 0: not said */
};

/** Nothing said. */
static inline void rf_rate_hint_init(struct rf_rate_hint *h)
{
    *h = (struct rf_rate_hint){.remaining = UINT64_MAX, .reset_ns = RF_NEVER};
}

#endif
