/* vnode.h - a virtual provider: answers exchanges in virtual time, with workers and service times,
 * wires, rate limits of any kind, a batch cap of any shape, seeded faults, outages and a head that
 * lags. Pure. Used by the property tests, the bars and the fleet study. */
#ifndef RF_SIM_VNODE_H
#define RF_SIM_VNODE_H

#include "base/rng.h"
#include "sim/vdist.h"
#include "sim/vlimit.h"
#include "sim/vshell.h"

/** How a batch over the cap is refused. */
enum rf_vrefusal {
    RF_VREFUSAL_GETH,   /* array of one error, the first id */
    RF_VREFUSAL_ERIGON, /* object with the number in the text */
    RF_VREFUSAL_413,    /* 413, object, no number */
    RF_VREFUSAL_400,    /* 400 "too many requests" */
    RF_VREFUSAL_500,    /* 500 with the number */
    RF_VREFUSAL_NULL_ID /* array of one error, id null */
};

/** How a request over a rate limit is refused. Seconds and dates tell when the limit itself would
 * let it in, rounded up to whole seconds. */
enum rf_vthrottle {
    RF_VTHROTTLE_429,         /* 429, with `retry_after_ns` where that is set */
    RF_VTHROTTLE_429_SECONDS, /* 429, Retry-After: 3 */
    RF_VTHROTTLE_429_DATE,    /* 429, Retry-After: a date, see `clock_ahead_ns` */
    RF_VTHROTTLE_BODY,        /* 200, one error object */
    RF_VTHROTTLE_MEMBERS,     /* 200, error members in the array; the others are served */
    RF_VTHROTTLE_503_SECONDS  /* 503, Retry-After: 3 */
};

/** What can go wrong with an exchange. */
enum rf_vfault {
    RF_VFAULT_NONE,
    RF_VFAULT_REFUSE, /* connection refused */
    RF_VFAULT_HANG,   /* blackhole: never arrives, never answers */
    RF_VFAULT_RESET,  /* served and charged, then RST amid the answer */
    RF_VFAULT_5XX,
    RF_VFAULT_HTML,
    RF_VFAULT_TRUNCATED, /* the body ends early, HTTP does not notice */
    RF_VFAULT_WRONG_IDS,
    RF_VFAULT_SHUFFLE,
    RF_VFAULT_MISSING, /* a batch answer lacks a member */
    RF_VFAULT_DUPLICATE,
    RF_VFAULT_EXTRA,
    RF_VFAULT_NO_IDS,
    RF_VFAULT_OBJECT, /* one error object for a whole batch */
    RF_VFAULT_SLOW    /* outages only: served `slow_by` times as slowly */
};

/** Faults in permille of exchanges; each exchange has at most one. */
struct rf_vfaults {
    unsigned refuse, hang, reset, error5xx, html, truncated, wrong_ids, shuffle, missing, duplicate,
        extra, no_ids, object;
};

/** A fault that strikes from one time to another, before the faults at large. */
struct rf_voutage {
    uint64_t from_ns, until_ns;
    enum rf_vfault fault;
    unsigned permille; /* of the exchanges; 0: all */
    uint32_t slow_by;
};

/** What is special about some methods; the first that matches counts. */
struct rf_vmethod {
    const char *pattern; /* a name, or a prefix with a trailing `*` */
    struct rf_vdist service;
    uint64_t weight; /* credits */
};

#define RF_VNODE_LIMITS 8
#define RF_VNODE_WORKERS 256

/** A virtual node. Zero it, set the first part, then rf_vnode_init(). */
struct rf_vnode {
    /* The wire: latency + U(0, jitter) there and back, half of it each way; or `travel` each way,
     * where that is set. */
    uint64_t latency_ns, jitter_ns;
    struct rf_vdist travel;
    /* Work: a queue in front of the workers, first come, first served. Members of a batch take
     * a worker each, and the batch leaves with its last one; or one worker, one after another. */
    uint32_t workers; /* 0: as many as it takes */
    struct rf_vdist service;
    bool batch_on_one;
    const struct rf_vmethod *method; /* borrowed */
    uint32_t n_methods;
    /* Limits: all of them must admit a request. `limit` and its two are short for one of them. */
    enum rf_vlimit_kind limit;
    uint64_t limit_count, limit_window_ns;
    struct rf_vlimit *also[RF_VNODE_LIMITS]; /* borrowed; may be shared with other nodes */
    uint32_t n_also;
    enum rf_vthrottle throttle;
    uint64_t retry_after_ns; /* with a bare 429; RF_NEVER: no hint */
    int64_t clock_ahead_ns;  /* of the client's wall clock: spoils dates where ... */
    bool no_date;            /* ... replies have no Date header to hold them against */
    bool limit_in_body;      /* short for RF_VTHROTTLE_MEMBERS */
    bool hints;              /* replies tell what is left of the first limit */
    uint32_t batch_cap;      /* 0: none */
    enum rf_vrefusal refusal;
    /* Faults. */
    struct rf_vfaults faults;
    const struct rf_voutage *outage; /* borrowed */
    uint32_t n_outages;
    uint64_t dead_from_ns, dead_until_ns; /* refuses connections meanwhile */
    /* The chain: a block each `block_ns`; 0: block numbers are answered like anything else. */
    uint64_t block_ns, block_first, lag_blocks;
    /* state and counters */
    struct rf_rng rng;
    struct rf_vlimit own;
    uint64_t now_ns;                       /* of the exchange being answered */
    uint64_t free_at_ns[RF_VNODE_WORKERS]; /* when each worker is free */
    uint64_t requests, calls, admitted, throttled, refused_batches, ghosts;
};

/** Set up. @return false when out of memory. */
bool rf_vnode_init(struct rf_vnode *n, uint64_t seed);
/** Free. */
void rf_vnode_fini(struct rf_vnode *n);
/** How long a request travels to it: the `travel` hook for one node. */
uint64_t rf_vnode_travel(struct rf_vnode *n);
/** An exchange arrives: the `serve` hook for one node. */
void rf_vnode_arrive(struct rf_vnode *n, struct rf_exchange *ex, uint64_t now_ns,
                     struct rf_vreply *out);
/** A request arrives whose client is gone: charged, answered to nobody. */
void rf_vnode_ghost(struct rf_vnode *n, const struct rf_vghost *g, uint64_t now_ns);
/** Both at once, for shells without a `travel` hook: decided when it is sent, as of when it will
 * arrive. Arrivals are then judged in the order of sending. */
void rf_vnode_serve(struct rf_vnode *n, struct rf_exchange *ex, uint64_t now_ns,
                    struct rf_vreply *out);
/** The right answer to a call: a JSON string made of its tail, so that an answer that reaches the
 * wrong caller shows. Appended to `b`. NULL, a call that was canceled after it was packed: null. */
void rf_vnode_answer(const struct rf_call *c, struct rf_buf *b);
/** Its newest block at a time. */
uint64_t rf_vnode_head(const struct rf_vnode *n, uint64_t now_ns);

/** Part of the node, in vnode_reply.c: write the answer of all members, with a fault's distortion.
 * @param refused  a flag a member: refused for rate; NULL: none is. */
void rf_vnode_write(struct rf_vnode *n, const struct rf_exchange *ex, enum rf_vfault fault,
                    const bool *refused, struct rf_vreply *out);
/** Part of the node, in vnode_reply.c: refuse a batch for its size. */
void rf_vnode_write_refusal(const struct rf_vnode *n, const struct rf_exchange *ex,
                            struct rf_vreply *out);

#endif
