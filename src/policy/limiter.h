/* limiter.h - known quotas: several rate windows, peek all, commit all; a pacer in front of each.
 *
 * Source: sliding logs (receive-stamped: an entry lives from send until completion + W, so no
 * interval of length W at the server can hold more than N), and GCRA for pacing.
 * Called by core/endpoint. Pure: time is an argument. */
#ifndef RF_POLICY_LIMITER_H
#define RF_POLICY_LIMITER_H

#include "base/base.h"

#define RF_WINDOWS_MAX 16 /* configured */
#define RF_WINDOWS_ALL 32 /* with those that were made for single methods */
#define RF_WINDOW_ENTRIES 256

/** A span of log entries that leave together. */
struct rf_window_entry {
    uint64_t expires_ns;
    uint64_t units;
};

/** One window: at most `count` units in any `window_ns`. */
struct rf_window {
    uint64_t count, window_ns;
    enum rpcfan_unit unit;
    bool some;            /* holds for some methods only */
    bool receive_stamped; /* else send-stamped, with a margin */
    uint64_t gap_ns;      /* the pacer's T: one unit a gap */
    uint64_t grid_ns;     /* expiries are rounded up to it, so that the ring suffices; 0: exact */
    /* state */
    uint64_t in_flight; /* units committed and not settled */
    uint64_t logged;    /* units in entries */
    uint64_t margin_ns; /* send-stamped mode: J */
    uint64_t tat_ns;    /* the pacer's theoretical arrival time */
    uint32_t head, n;
    struct rf_window_entry entry[RF_WINDOW_ENTRIES]; /* a ring, by expiry */
};

/** All windows of one endpoint. */
struct rf_limiter {
    unsigned n;
    struct rf_window *w; /* owned */
    uint64_t rtt_ns;     /* peak round trip of late, fading */
    uint64_t base_ns[2]; /* shortest round trip of this span and the one before; RF_NEVER: none */
    uint64_t base_since_ns;
    uint32_t base_samples; /* that were seen, up to as many as are asked for */
    uint64_t last_ns;      /* the latest time seen: an earlier one counts as this */
};

/** Which windows a call falls under (bit i: window i), and its cost in those of unit weight. */
struct rf_cost {
    uint32_t mask;
    uint32_t weight;
};

/**
 * Set up.
 * @param limits  `n` windows, n <= RF_WINDOWS_MAX, each count >= 1 and window_ms >= 1; copied.
 * @return 0, RPCFAN_EINVAL, RPCFAN_ENOMEM. Allocates: here only.
 */
enum rpcfan_err rf_limiter_init(struct rf_limiter *lim, const struct rpcfan_limit *limits,
                                unsigned n);
/** Add a window like window `i`, empty: a method's own.
 * @return false where there are RF_WINDOWS_ALL already, or when out of memory. */
bool rf_limiter_clone(struct rf_limiter *lim, unsigned i);
/** Free. */
void rf_limiter_fini(struct rf_limiter *lim);

/**
 * How many calls of a cost could go now, in every window at once and with the pacer's leave.
 * @param want     asked for; the answer is at most that.
 * @param wait_ns  out: 0 where a call can go; else ns until one could if nothing else happens, at
 *                 most the longest window and its margin;
 *                 RF_NEVER where only a completion can free room, or where the cost never fits.
 * @return calls. Changes nothing that later answers depend on (expired entries are dropped).
 * Thread: loop. Allocates: never.
 */
uint32_t rf_limiter_room(struct rf_limiter *lim, struct rf_cost cost, uint32_t want,
                         uint64_t now_ns, uint64_t *wait_ns);

/** Whether one call can ever fit into each of its windows. */
bool rf_limiter_fits(const struct rf_limiter *lim, struct rf_cost cost);

/** Whether a window counts its weight. */
bool rf_limiter_weighs(const struct rf_limiter *lim, struct rf_cost cost);

/** Take `calls` calls' units in every window. Only what rf_limiter_room() allowed at that time. */
void rf_limiter_commit(struct rf_limiter *lim, struct rf_cost cost, uint32_t calls,
                       uint64_t now_ns);

/** What became of a commit. */
enum rf_limiter_fate {
    RF_LIMITER_ARRIVED, /* answered: the server has counted it */
    RF_LIMITER_LOST,    /* timed out, reset: it may be on its way still, and be counted yet */
    RF_LIMITER_REFUND   /* never reached the server */
};

/**
 * Settle a commit exactly once. A refund gives the units back, but the pacer gives nothing back.
 * @param calls    as committed.
 * @param sent_ns  the time of the commit.
 */
void rf_limiter_settle(struct rf_limiter *lim, struct rf_cost cost, uint32_t calls,
                       enum rf_limiter_fate fate, uint64_t sent_ns, uint64_t now_ns);

/** libcurl sent a request again by itself: charge it too (room may be overdrawn). */
void rf_limiter_charge_extra(struct rf_limiter *lim, struct rf_cost cost, uint32_t calls,
                             uint64_t now_ns);

/** The server throttled, once an epoch: widen the margin of send-stamped windows. */
void rf_limiter_throttled(struct rf_limiter *lim);
/** A call succeeded: narrow it slowly. @param rtt_ns from its sending to its answer. */
void rf_limiter_succeeded(struct rf_limiter *lim, uint64_t rtt_ns);
/** A pause ended at `now_ns`: resume paced from the first call on, without the usual burst. */
void rf_limiter_resume(struct rf_limiter *lim, uint64_t now_ns);

#endif
