/* state.h - the core's structs: networks, endpoints, class queues. Internal to src/core; visible to
 * tests. */
#ifndef RF_CORE_STATE_H
#define RF_CORE_STATE_H

#include "base/log.h"
#include "base/rng.h"
#include "core/call.h"
#include "core/classify.h"
#include "core/core.h"
#include "core/gate.h"
#include "core/rules.h"
#include "policy/admit.h"
#include "policy/batchcap.h"
#include "policy/breaker.h"
#include "policy/budget.h"
#include "policy/concurrency.h"
#include "policy/drr.h"
#include "policy/fresh.h"
#include "policy/hedge.h"
#include "policy/latency.h"
#include "policy/rangecap.h"

/** Counted for ever; each exchange and each call exactly once in each line it belongs to. */
struct rf_counts {
    uint64_t requests, batches; /* exchanges sent; of them arrays */
    uint64_t calls;             /* members sent */
    uint64_t ok, rpc;   /* members answered with a result; with an error that is an answer */
    uint64_t throttled; /* members refused for rate */
    uint64_t server, malformed; /* members that failed so */
    uint64_t network;           /* members lost to connect, timeout, reset */
    uint64_t refused_batches;   /* exchanges refused for their size */
    uint64_t unmatched;         /* response members that matched no open call */
    uint64_t resent;            /* exchanges that libcurl silently sent again */
    uint64_t bytes_out, bytes_in;
};

/** What several endpoints share. */
struct rf_account {
    char *name; /* owned */
    uint32_t index;
    struct rf_gate gate;
};

/** How long a block range of a method may be on an endpoint. */
struct rf_range_fact {
    uint32_t method_ix;
    struct rf_range_cap cap;
};

#define RF_RANGE_FACTS 4

/** One node. */
struct rf_endpoint {
    char *name; /* owned */
    uint32_t id, index, priority;
    uint32_t in_flight, in_flight_max;
    uint32_t streams;    /* of those in flight */
    uint32_t batch_cost; /* what a batch costs over its members, in calls */
    uint64_t timeout_ns;
    struct rf_gate gate;
    struct rf_account *account; /* or NULL */
    struct rf_conc conc;
    struct rf_breaker breaker;
    struct rf_batchcap batch;
    struct rf_range_fact range[RF_RANGE_FACTS];
    uint32_t n_ranges;
    uint32_t inputs_max; /* of a getMultipleAccounts, as told; 0: not known */
    struct rf_peak peak;
    struct rf_hist latency;                         /* of exchanges that brought an answer */
    uint64_t rtt_p50_ns, rtt_p90_ns, rtt_p90_at_ns; /* of `latency`, 5 s old at most */
    uint32_t fail_streak;                           /* exchanges failed in a row */
    uint64_t suspect_until_ns; /* after a failure: no traffic before, where others can serve */
    uint64_t bench_until_ns;
    enum rf_class bench_class;
    char last_failure[96];    /* words, no URL */
    enum rf_class last_class; /* of that failure */
    struct rf_counts count;
};

/** Calls of a network that cost the same everywhere and may go to the same endpoints; FIFO. */
struct rf_class_queue {
    struct rf_link retry, fresh; /* of rf_call.link; retries go first */
    struct rf_link *front; /* while a settlement runs: where calls that keep their place go in */
    uint32_t n;
    uint32_t turn;             /* its class in the round robin */
    uint64_t only;             /* as rf_call.only */
    struct rf_price *price;    /* by endpoint index; owned */
    uint64_t *paused_until_ns; /* likewise: refused for this class alone; in the same memory */
    struct rf_hedge hedge;
};

/** What matters about a method in a network. */
struct rf_method_kind {
    uint32_t class_ix;
    uint32_t method_ix; /* or RF_METHOD_NONE */
    bool once, read, send;
};

/** A method that was seen. */
struct rf_method {
    char name[64];
    uint32_t len; /* 0: slot is free */
    struct rf_method_kind kind;
    uint64_t absent;          /* endpoints (bit: index) that do not have it ... */
    uint64_t absent_until_ns; /* ... until then */
};

#define RF_METHOD_SLOTS 512
#define RF_ABSENT_NS (300 * RF_SEC) /* a method that an endpoint lacks is asked for again then */

/** Limits and weights as configured, kept for methods that are seen later. */
struct rf_method_rules {
    struct {
        uint32_t endpoint, window; /* endpoint: RF_KEY_ACCOUNT | index for an account's */
        char *pattern;             /* NULL: all methods, each by itself */
        bool each;
    } * limit; /* owned */
    struct {
        uint32_t endpoint, window, made;
        char method[64];
    } * own; /* windows made for single methods; owned */
    uint32_t n_own;
    struct {
        uint32_t endpoint, weight;
        char *pattern;
    } * weight;  /* owned */
    char **once; /* owned */
    uint32_t n_limits, n_weights, n_once;
};

#define RF_KEY_ACCOUNT 0x10000u

/** Endpoints that can answer for each other. */
struct rf_network {
    char *name; /* owned */
    uint32_t index;
    enum rpcfan_family family;
    struct rf_endpoint *ep; /* owned array */
    uint32_t n_ep;
    struct rf_class_queue *cq; /* owned array */
    uint32_t n_cq, rr;         /* rr: the class that sends first */
    struct rf_method *method;  /* owned array of RF_METHOD_SLOTS */
    uint32_t n_methods;
    const struct rf_method *last_method; /* of the latest call: mostly the next one's too */
    struct rf_method_rules rules;
    struct rf_budget budget;
    struct rf_drr turns;
    struct rf_fresh fresh;
    struct rf_admit admit;
    uint32_t served; /* calls that nodes answered in this step; `admit` is told at its end */
    struct rf_join joins, gathers; /* gathers: rf_gather.node */
    bool join, gather;
    enum rpcfan_policy policy;
    enum rpcfan_split split;
    uint32_t quorum, hedge_percent;
    uint64_t deadline_ns, linger_ns;
    uint32_t attempts;
    uint64_t last_success_ns;
    uint64_t wake_ns;                    /* when a blocked queue could go on by itself */
    uint64_t queued, delayed, in_flight; /* calls */
    uint64_t submitted, answered, retried;
    uint64_t joined, hedged, hedges_won, legs; /* counted for ever */
    uint64_t gathered; /* likewise: calls answered by a request that was made for several */
};

enum rf_core_phase { RF_CORE_OPEN, RF_CORE_DRAINING, RF_CORE_ENDING };

/** The whole. */
struct rf_core {
    struct rf_account *account; /* owned array */
    uint32_t n_accounts;
    struct rf_rules *rules;   /* owned */
    struct rf_link plans;     /* rf_plan.link: all that live */
    struct rf_link legs_done; /* rf_call.link of legs that ended and are not yet heard */
    uint32_t n_legs, pending_max;
    struct rf_heap hedges;  /* rf_exchange.hedge */
    struct rf_network *net; /* owned array */
    uint32_t n_net, rr;     /* rr: the network that sends first */
    struct rf_due deadlines;
    struct rf_heap delays;
    struct rf_link free_ex; /* exchanges to use again */
    struct rf_link flying;  /* exchanges on the wire, by rf_exchange.flight */
    uint32_t n_free_ex;
    uint32_t in_flight, in_flight_max;
    uint64_t now_ns; /* of the latest step */
    uint64_t next_id;
    uint64_t live; /* calls submitted and not done */
    enum rf_core_phase phase;
    uint64_t token_group; /* of the last token that a delayed call got: the rest of it go free */
    struct rf_rng rng;
    uint64_t join_salt; /* so that nobody can make long chains of equal hashes */
    const struct rf_log *log;
    struct rf_actions *out; /* of the step that runs */
};

#endif
