/* vnode.h - a virtual provider: answers exchanges in virtual time, with a rate limit of any kind, a
 * batch cap of any shape and seeded faults. Pure. Used by the property tests and scenarios. */
#ifndef RF_SIM_VNODE_H
#define RF_SIM_VNODE_H

#include "base/rng.h"
#include "sim/vshell.h"

enum rf_vlimit { RF_VLIMIT_NONE, RF_VLIMIT_FIXED, RF_VLIMIT_SLIDING, RF_VLIMIT_BUCKET };

/** How a batch over the cap is refused. */
enum rf_vrefusal {
    RF_VREFUSAL_GETH,   /* array of one error, the first id */
    RF_VREFUSAL_ERIGON, /* object with the number in the text */
    RF_VREFUSAL_413,    /* 413, object, no number */
    RF_VREFUSAL_400,    /* 400 "too many requests" */
    RF_VREFUSAL_500,    /* 500 with the number */
    RF_VREFUSAL_NULL_ID /* array of one error, id null */
};

/** Faults in permille of exchanges; each exchange has at most one. */
struct rf_vfaults {
    unsigned refuse, hang, reset, error5xx, html, truncated, wrong_ids, shuffle, missing, duplicate,
        extra, no_ids, object;
};

#define RF_VNODE_LOG 65536

/** A virtual node. Zero it, set the first part, then rf_vnode_init(). */
struct rf_vnode {
    uint64_t latency_ns, jitter_ns; /* one answer: latency + U(0, jitter) */
    enum rf_vlimit limit;
    uint64_t limit_count, limit_window_ns;
    uint64_t retry_after_ns; /* with a 429; RF_NEVER: no hint */
    bool limit_in_body;      /* refuse by error members in a 200 array */
    uint32_t batch_cap;      /* 0: none */
    enum rf_vrefusal refusal;
    struct rf_vfaults faults;
    uint64_t dead_from_ns, dead_until_ns; /* refuses connections meanwhile */
    /* state and counters */
    struct rf_rng rng;
    uint64_t window_start_ns, window_used;
    uint64_t tokens_ns; /* bucket: virtual time at which it is empty */
    uint64_t *arrival;  /* ring of arrival times of admitted calls; owned */
    uint64_t n_arrivals;
    uint64_t requests, calls, admitted, throttled, refused_batches;
};

/** Set up. @return false when out of memory. */
bool rf_vnode_init(struct rf_vnode *n, uint64_t seed);
/** Free. */
void rf_vnode_fini(struct rf_vnode *n);
/** Serve an exchange: the `serve` hook for one node. */
void rf_vnode_serve(struct rf_vnode *n, struct rf_exchange *ex, uint64_t now_ns,
                    struct rf_vreply *out);
/** The right answer to a call: a JSON string made of its tail, so that an answer that reaches the
 * wrong caller shows. Appended to `b`. NULL, a call that was canceled after it was packed: null. */
void rf_vnode_answer(const struct rf_call *c, struct rf_buf *b);

#endif
