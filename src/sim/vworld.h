/* vworld.h - many clients, each a core of its own, and the nodes they share, in one virtual time.
 *
 * Each client makes its load by itself, open (so many calls a second) or closed (so many pending),
 * and checks each answer: that it is its own, that it comes once, and when. Everything that is sent
 * or answered goes into one hash: same seed, same hash. Used by the bars and the fleet study. */
#ifndef RF_SIM_VWORLD_H
#define RF_SIM_VWORLD_H

#include "sim/vnode.h"

/** What a client asks for. */
struct rf_vload {
    uint32_t backlog;               /* closed: so many calls pending, always */
    double per_s;                   /* open: so many calls a second, beside the backlog */
    bool poisson;                   /* open: at random, else evenly */
    uint64_t until_ns;              /* no call after it; 0: for ever */
    uint64_t life_ns, life_span_ns; /* a call's time: life + U(0, span) */
    const char *const *method;      /* in turn */
    uint32_t n_methods;             /* 0: eth_call alone */
    uint32_t pending_max;           /* open: what comes beyond it is turned away; 0: none is */
    uint32_t repeat;                /* so many calls in a row ask the same; 0: none do */
    bool policies;                  /* each call with a policy by chance */
    unsigned cancel_permille;       /* canceled as soon as submitted */
};

/** What came of it. */
struct rf_vbook {
    uint64_t submitted, answered, ok, turned_away;
    uint64_t wrong;           /* answered with somebody else's answer */
    uint64_t twice;           /* answered again */
    uint64_t exchanges, sent; /* requests; calls in them */
    uint64_t past_deadline;   /* calls sent at or after their deadline */
    uint64_t unwanted;        /* requests sent though all their calls were answered by then */
    uint64_t latest_ns;       /* the worst lateness of an answer */
    uint64_t by_err[RPCFAN_ERR_COUNT];
};

struct rf_vworld;

/** A client; private but for the first part. */
struct rf_vclient {
    struct rf_vshell *shell;
    struct rf_vload load; /* may be changed between runs: rf_vworld_touch() it */
    struct rf_vbook book;
    struct rf_rng rng;
    uint32_t index;
    /* private */
    struct rf_vworld *world;
    struct rf_heap_node at;
    struct {
        struct rf_vcall *call; /* owned; used again */
        bool open;             /* submitted, not answered */
    } * slot;                  /* owned */
    uint32_t *spare;           /* owned stack of free slots */
    uint32_t n_slots, n_spare, n_live;
    uint64_t began_ns, made; /* of the open load: since when, how many */
    uint64_t next_call_ns, refill_ns;
};

/** Told of what happens; each may be NULL. */
struct rf_vworld_hooks {
    void *arg;
    /** An exchange leaves. */
    void (*sent)(void *arg, struct rf_vclient *c, const struct rf_exchange *ex, uint64_t now_ns);
    /** Decide a reply instead of the node. @return false: the node does. */
    bool (*serve)(void *arg, struct rf_vclient *c, struct rf_exchange *ex, uint64_t now_ns,
                  struct rf_vreply *out);
    /** A call is answered. */
    void (*done)(void *arg, struct rf_vclient *c, const struct rf_call *call, uint64_t now_ns);
};

/** Zero it, set the first part, rf_vworld_init(), then add clients. */
struct rf_vworld {
    struct rf_vnode *node; /* borrowed; endpoint i of every client is node i */
    uint32_t n_nodes;
    struct rf_vworld_hooks hooks;
    /* read only */
    uint64_t now_ns;
    uint64_t hash;   /* of all that was sent and answered so far */
    uint64_t events; /* times a client was run */
    /* private */
    struct rf_vclient *client; /* owned array */
    uint32_t n_clients, max_clients;
    uint64_t seed;
    struct rf_heap order; /* clients, by when they go on */
    struct rf_buf want;
};

/** Set up. @param max_clients at most so many. @return false when out of memory. */
bool rf_vworld_init(struct rf_vworld *w, uint32_t max_clients, uint64_t seed);
/**
 * Add a client with a seed of its own.
 * @param o  its options; `seed` is ignored. Their pending_calls bounds what is pending.
 * @return it, or NULL with the reason in `err`.
 */
struct rf_vclient *rf_vworld_add(struct rf_vworld *w, const struct rpcfan_options *o,
                                 const struct rf_vload *load, struct rpcfan_error *err);
/** A client's load was changed: look again. */
void rf_vworld_touch(struct rf_vclient *c);
/** Run until `until_ns`: the earliest client first, always; time ends there. */
void rf_vworld_run(struct rf_vworld *w, uint64_t until_ns);
/** No more load; close every client at once and run until all is quiet. */
void rf_vworld_close(struct rf_vworld *w, enum rpcfan_close_mode mode);
/** The books of all clients in one. */
struct rf_vbook rf_vworld_sum(const struct rf_vworld *w);
/** Whether all that was taken is given back: calls, slots, window units. False is a leak. */
bool rf_vworld_settled(const struct rf_vworld *w);
/** Free; every client must be closed. */
void rf_vworld_fini(struct rf_vworld *w);

/** Jain's index of fairness over n shares: 1 is even, 1/n is one has all. */
double rf_jain(const double *share, uint32_t n);

#endif
