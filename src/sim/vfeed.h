/* vfeed.h - the account feed in a virtual world: the subscription engine and one or two feeds on
 * one side, a virtual validator on the other, and between them wires that delay, lose, cut and
 * jumble; a consumer that keeps a database, is slow, stops, or is killed. All in virtual time.
 *
 * What the consumer keeps is held against the validator's bank tree with each batch that it takes:
 * the invariants I1 to I9, I13 to I18 of the feed's algorithm. The first breach is kept, in words.
 * Same seed, same hash of all that happened. Used by tests/unit/feed/test_feed_worlds.c. */
#ifndef RF_SIM_VFEED_H
#define RF_SIM_VFEED_H

#include "feed/feed.h"
#include "feed/subs.h"
#include "sim/validator.h"

#define RF_VFEED_CLIENTS 2

/** The wires. May be changed while the world runs. Chances are in a thousand. */
struct rf_vfeed_net {
    uint64_t ws_ns, http_ns; /* one way: so long, and at most as long again */
    uint32_t lose;           /* calls that are never answered: a timeout */
    uint32_t fail;           /* calls that end in some other error of the core's */
    uint32_t stream_cut;     /* streamed answers that break off and begin again, or fail */
    uint32_t behind_told; /* of refusals for minContextSlot: handed on; the others are waited for,
                             as the core does */
    uint32_t cut;         /* chance in a second that a connection breaks */
    uint32_t no_open;     /* connections that are refused */
    uint64_t unread;      /* frames under way to the client that end its connection (R8); 0: any */
};

/** Who takes the events. May be changed. */
struct rf_vfeed_consumer {
    uint64_t every_ns; /* between takes; RF_NEVER: it has stopped */
    uint32_t n;        /* events that it takes at one time, up to 1024 */
};

/** Which promises are held against what happens, beyond those that hold always. */
struct rf_vfeed_checks {
    bool strict;       /* nothing is lost in silence: the watermark is true at any time (I5) */
    bool honest;       /* reads tell no lies: a close is one (I6), a label is one (I3) */
    uint64_t stuck_ns; /* the watermark moves at least once in so long (I4); 0: not held */
    uint64_t stale_ns; /* no account is older than that (I7); 0: not held */
    bool fork_exact;   /* processed: right before each slot the state is that of the tip (I17) */
};

struct rf_vfeed_options {
    uint64_t seed;
    const char *knobs;                    /* of the validator */
    struct rpcfan_feed_options feed;      /* program, accounts are filled in here */
    uint32_t accounts;                    /* the validator's first accounts; 0: its program 0 */
    uint32_t endpoints;                   /* 1 or 2; where the validator has two nodes, one each */
    uint32_t subs_per_conn, conns, per_s; /* of an endpoint; 0: defaults */
    uint64_t lifetime_ns;                 /* planned reconnects; 0: none */
    struct rf_vfeed_net net;
    struct rf_vfeed_consumer consumer;
    struct rf_vfeed_checks checks;
    const struct rf_log *log; /* may be NULL */
};

/** What came of it. */
struct rf_vfeed_book {
    uint64_t events, by_kind[5], takes, checks; /* checks: accounts held against the oracle */
    uint64_t calls, answers, refused_behind;    /* refused: with -32016, and told so */
    uint64_t opened, cut, restarts;
    uint64_t in_flight_most;
    uint64_t stale_most_ns; /* the oldest that an account was, where stale_ns is held */
};

struct rf_vfeed;

/** Make a world; its time begins now. @return 0, RPCFAN_ECONFIG, RPCFAN_EINVAL, RPCFAN_ENOMEM. */
enum rpcfan_err rf_vfeed_new(const struct rf_vfeed_options *o, struct rf_vfeed **out,
                             struct rpcfan_error *err);
/** Free. NULL is ignored. */
void rf_vfeed_free(struct rf_vfeed *w);
/** Let so much time pass, or less where something is broken. @return NULL, or what is broken. */
const char *rf_vfeed_run(struct rf_vfeed *w, uint64_t ns);
/** Change the wires. */
struct rf_vfeed_net *rf_vfeed_net(struct rf_vfeed *w);
/** Change the consumer. */
struct rf_vfeed_consumer *rf_vfeed_consumer(struct rf_vfeed *w);
/** Change what is held. */
struct rf_vfeed_checks *rf_vfeed_checks(struct rf_vfeed *w);
/** Change the validator's knobs; wrong ones are a breach. */
void rf_vfeed_knobs(struct rf_vfeed *w, const char *knobs);
/** Break every connection now. */
void rf_vfeed_cut(struct rf_vfeed *w);
/** The process of the client dies and is started again from what its consumer has kept. @param lose
 * also the batch that it took last, of which it has not said that it is kept (I16). */
void rf_vfeed_restart(struct rf_vfeed *w, bool lose);
/** A second feed of the same kind on the same engine (I13), or its end. */
void rf_vfeed_twin(struct rf_vfeed *w, bool on);
/**
 * All is quiet: hold each account against the bank of the commitment level, of the cluster (I1).
 * @param behind  slots that the watermark may be behind it; RF_NEVER: any.
 * @return NULL, or what differs.
 */
const char *rf_vfeed_settled(struct rf_vfeed *w, uint64_t behind);

/** Figures. */
const struct rf_vfeed_book *rf_vfeed_book(const struct rf_vfeed *w);
/** Of its feed (0, or 1: the twin). */
void rf_vfeed_status(const struct rf_vfeed *w, unsigned client, struct rpcfan_feed_status *out);
/** Of its engine. */
void rf_vfeed_subs(const struct rf_vfeed *w, struct rf_subs_counters *out);
/** Its validator. */
struct rf_validator *rf_vfeed_validator(struct rf_vfeed *w);
/** The hash of all events, marks and calls so far. */
uint64_t rf_vfeed_hash(const struct rf_vfeed *w);
/** Its time, in ns since it began. */
uint64_t rf_vfeed_now(const struct rf_vfeed *w);

#endif
