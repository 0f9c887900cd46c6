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

#define RF_RATE_ITEMS 8 /* of one list; a field with more of them is ignored */
#define RF_RATE_SPANS 6 /* X-RateLimit-Limit; with -Second, -Minute, -Hour, -Day, -Month */

/** An entry of RateLimit-Policy. */
struct rf_rate_policy {
    uint64_t name; /* hash; of the older form, which has no name: the quota itself */
    uint64_t quota, window_ns;
    bool older;     /* `100;w=60` instead of `"name";q=100;w=60` */
    bool not_calls; /* it counts bytes or the like */
};

/** An entry of RateLimit. */
struct rf_rate_item {
    uint64_t name, remaining, reset_ns;
};

/** What one set of Limit, Remaining and Reset headers says. */
struct rf_rate_triple {
    uint64_t quota, window_ns, remaining;
    uint64_t reset_ms; /* as it stands: from now, or an epoch; RF_NEVER: not said */
    bool no_limit;     /* a limit of 0 was given: this server counts nothing */
};

/** Collects the headers of one response. Set up by rf_rate_reader_init(). */
struct rf_rate_reader {
    struct rf_rate_policy policy[RF_RATE_ITEMS];
    struct rf_rate_item item[RF_RATE_ITEMS];
    size_t n_policies, n_items;
    bool bad_policies, bad_items;           /* malformed: the whole field is ignored */
    struct rf_rate_triple older;            /* RateLimit-Limit, ... */
    struct rf_rate_triple x[RF_RATE_SPANS]; /* X-RateLimit-Limit, ... */
};

/** Nothing read yet. */
void rf_rate_reader_init(struct rf_rate_reader *r);

/** Whether a header line begins like one that rf_rate_reader_take() may understand: cheap, to be
 * asked of each header. @param line `len` bytes, not NUL-terminated. */
bool rf_rate_header(const char *line, size_t len);

/**
 * Take one header of the response, in the order of arrival; one that is not understood is ignored.
 *
 * RateLimit and RateLimit-Policy are lists of draft-ietf-httpapi-ratelimit-headers-11
 * (`"default";r=50;t=30`, `"burst";q=100;w=60`); also the forms of drafts 03 to 08: `100;w=60` as
 * a policy, and `limit=100, remaining=50, reset=30`. The Limit headers may give a window
 * (`100, 100;w=60`), or name it (X-RateLimit-Limit-Minute). X-Rate-Limit- stands for X-RateLimit-.
 * @param name, value  NUL-terminated; not kept.
 */
void rf_rate_reader_take(struct rf_rate_reader *r, const char *name, const char *value);

/**
 * What the headers come to. RateLimit goes before RateLimit-Limit and its kin, those before X-*; of
 * several entries the one with the fewest requests left counts, with the policy of its name.
 * @param wall_s  seconds since the epoch by the server's clock (its Date header) or by ours, for
 *                resets that name an instant: a number over 10^9 is one in s, over 10^12 in ms.
 * @param out     filled in whole; durations are cut at 366 days.
 */
void rf_rate_reader_finish(const struct rf_rate_reader *r, int64_t wall_s,
                           struct rf_rate_hint *out);

#endif
