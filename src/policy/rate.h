/* rate.h - the learned rate of an endpoint or account whose limit is unknown, shrinking or shared:
 * how many calls a second it takes, found out from what it serves and refuses.
 *
 * Source: our own; the epoch rule is that of TCP's congestion response (RFC 6582), the memory of
 * the ceiling is CUBIC's idea (RFC 9438) without its absolute constants, the pacing GCRA (ITU-T
 * I.371). Called by core/endpoint. Pure: time is an argument. */
#ifndef RF_POLICY_RATE_H
#define RF_POLICY_RATE_H

#include "base/base.h"

#define RF_RATE_SECONDS 12

enum rf_rate_phase {
    RF_RATE_OFF,    /* limits are configured and hold: never restricts */
    RF_RATE_RAMP,   /* nothing is known and nothing was refused: calls in flight are bounded */
    RF_RATE_LEARNED /* paced at `per_s` */
};

/** What became of a committed call. */
enum rf_rate_fate {
    RF_RATE_SERVED,  /* answered, with a result or an error of its own */
    RF_RATE_REFUSED, /* throttled */
    RF_RATE_LOST,    /* timed out, reset, 5xx: says nothing about the rate */
    RF_RATE_UNSENT   /* never reached the server */
};

/** Set up with rf_rate_init(); no other memory. */
struct rf_rate {
    enum rf_rate_phase phase;
    bool known;         /* limits are configured */
    bool capped;        /* rf_rate_cap() went below what is configured: never OFF again */
    bool probing;       /* after a pause: one call in flight, until one is served */
    double max_per_s;   /* 0: none */
    double per_s;       /* the rate in force, wherever calls are paced */
    double ceil_per_s;  /* what the server took when it last refused; 0: not known */
    double window;      /* RAMP: calls that may be in flight */
    double use;         /* LEARNED: share of the rate in use of late; 1 is all of it */
    uint64_t in_flight; /* calls committed and not settled */
    uint64_t last_ns;   /* the latest time seen: an earlier one counts as this */
    uint64_t grown_ns;  /* up to here growth was applied */
    uint64_t first_ns;  /* the first commit; RF_NEVER: none yet */
    uint64_t idle_ns;   /* of the pause after the latest cut, what says nothing of the server */
    uint64_t tat_ns;    /* the pacer's theoretical arrival time */
    uint64_t held_ns;   /* the hold before probing counts from here: last cut, or its pause's end */
    uint64_t cut_before_ns;        /* the epoch before that; valid while epochs > 1 */
    uint64_t cut_ns;               /* when the latest epoch began; valid while epochs > 0 */
    uint64_t epochs;               /* counted for ever */
    uint32_t barren;               /* epochs in a row since the last of which nothing was served */
    uint64_t served;               /* calls, counted for ever ... */
    uint64_t served_at_cut;        /* ... and when the latest epoch began */
    uint64_t served_at_cut_before; /* ... and the one before it */
    struct {
        uint64_t second;
        uint64_t calls;
    } ring[RF_RATE_SECONDS]; /* calls served of late */
};

/**
 * Set up.
 * @param start_per_s  calls/s to begin with; 0: ramp up from a few calls in flight.
 * @param max_per_s    upper bound of the rate, calls/s, such as a configured N/W; 0: none.
 * @param known        limits are configured: does nothing before a third throttle epoch in 30 s.
 */
void rf_rate_init(struct rf_rate *r, double start_per_s, double max_per_s, bool known,
                  uint64_t now_ns);
/**
 * How many calls could go now.
 * @param want     asked for; the answer is at most that.
 * @param wait_ns  out: 0 where a call can go; else ns until one could if nothing else happens;
 *                 RF_NEVER where only a completion can free room.
 * @return calls. Applies the growth that time has brought. Thread: loop. Allocates: never.
 */
uint32_t rf_rate_room(struct rf_rate *r, uint32_t want, uint64_t now_ns, uint64_t *wait_ns);
/** Send `calls` calls: only what rf_rate_room() allowed at that time. */
void rf_rate_commit(struct rf_rate *r, uint32_t calls, uint64_t now_ns);
/** Settle committed calls, each exactly once; the parts of a batch may have different fates. */
void rf_rate_settle(struct rf_rate *r, uint32_t calls, enum rf_rate_fate fate, uint64_t now_ns);
/**
 * An exchange was throttled, in whole or in part. Settle its calls as well, before or after.
 * @param sent_ns  when it was sent: not later than the last cut is the same epoch, and cuts
 * nothing.
 * @param hint_ns  the pause that the server asked for; RF_NEVER: none.
 * @return true where this began a new epoch.
 */
bool rf_rate_refused(struct rf_rate *r, uint64_t sent_ns, uint64_t hint_ns, uint64_t now_ns);
/** A pause of the endpoint ended: go on paced from the first call, without a burst. */
void rf_rate_resume(struct rf_rate *r, uint64_t now_ns);
/** The rate in force, calls/s; 0: none is known. */
double rf_rate_per_s(const struct rf_rate *r);
/** Bound the rate, for good, at `max_per_s` calls/s where that is tighter than the bound so far. */
void rf_rate_cap(struct rf_rate *r, double max_per_s);
/** "off", "ramp" or "learned". */
const char *rf_rate_phase_name(const struct rf_rate *r);

#endif
