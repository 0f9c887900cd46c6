/* core.h - the pure core: step(events, now) -> actions.
 *
 * It decides everything and does nothing: no clock, no socket, no random source; the same options,
 * seed and events give the same actions. The client drives it with real sockets, the simulator with
 * virtual ones. Not thread-safe: one thread owns it.
 *
 * A turn: hand in the events since the last one (one step, however many), then send, abort and
 * deliver what `rf_actions` names, and arm one timer for rf_core_deadline(). */
#ifndef RF_CORE_CORE_H
#define RF_CORE_CORE_H

#include "base/buf.h"
#include "base/log.h"
#include "core/call.h"

struct rf_core;

#define RF_NETWORKS_MAX 64

enum rf_event_kind {
    RF_EV_SUBMIT, /* a new call */
    RF_EV_CANCEL, /* a call that was submitted and is not done */
    RF_EV_REPLY,  /* an exchange came back */
    RF_EV_CLOSE   /* no more submits; `mode` says what becomes of the rest */
};

struct rf_event {
    enum rf_event_kind kind;
    union {
        struct rf_call *call;
        struct rf_exchange *ex;
        enum rpcfan_close_mode mode;
    };
};

/** What to do. The lists are the caller's to empty before the next step. */
struct rf_actions {
    struct rf_link send;  /* rf_exchange.link: put on the wire, in this order */
    struct rf_link abort; /* rf_exchange.link: end early; RF_EV_REPLY must follow all the same */
    struct rf_link done;  /* rf_call.link: answered, in this order; the shell's again */
};

/**
 * Make a core.
 * @param o       options; everything needed is copied.
 * @param id_first  the first request id; ids count up and must stay below 2^53.
 * @param log     borrowed, outlives the core; may be NULL.
 * @param err     names the network and endpoint at fault; may be NULL.
 * @return 0, RPCFAN_ECONFIG, RPCFAN_EINVAL, RPCFAN_ENOMEM.
 */
enum rpcfan_err rf_core_new(const struct rpcfan_options *o, uint64_t id_first, uint64_t now_ns,
                            const struct rf_log *log, struct rf_core **out,
                            struct rpcfan_error *err);

/** Free. Every call must be done and every exchange returned. NULL is ignored. */
void rf_core_free(struct rf_core *core);

/**
 * One turn.
 * @param ev   `n` events, in order; n may be 0 (the timer).
 * @param now_ns  not earlier than at the last step (an earlier time is taken as that one).
 * @param out  lists set up by rf_actions_init(); actions are added.
 */
void rf_core_step(struct rf_core *core, const struct rf_event *ev, size_t n, uint64_t now_ns,
                  struct rf_actions *out);

/** When the next step is due without any event; RF_NEVER: not by itself. */
uint64_t rf_core_deadline(const struct rf_core *core);

/** Whether no call is live and no exchange out. */
bool rf_core_idle(const struct rf_core *core);

/** Find a network. @param name NULL: the first. @return its index, or UINT32_MAX. */
uint32_t rf_core_network(const struct rf_core *core, const char *name);
/** The name of an endpoint by its index over all networks; "" where there is none. Lives as long as
 * the core. */
const char *rf_core_endpoint_name(const struct rf_core *core, uint32_t endpoint);
/** A network's default deadline in ns, relative. */
uint64_t rf_core_network_deadline(const struct rf_core *core, uint32_t network);

/** Append the status object (JSON, see librpcfan(3)). */
void rf_core_status(const struct rf_core *core, uint64_t now_ns, struct rf_buf *b);

/** Append what was learned and is worth keeping (JSON, see rpcfan_learned()). */
void rf_core_learned(const struct rf_core *core, uint64_t now_ns, struct rf_buf *b);

/** Something that an earlier client learned about an endpoint. */
enum rf_fact_kind {
    RF_FACT_BATCH,
    RF_FACT_BATCH_BYTES,
    RF_FACT_INPUTS,
    RF_FACT_RANGE,
    RF_FACT_ABSENT
};

struct rf_fact {
    enum rf_fact_kind kind;
    const char *network, *endpoint; /* names; borrowed */
    struct rpcfan_slice method;     /* RANGE, ABSENT */
    uint64_t value;                 /* calls, bytes, inputs, blocks, or ns left */
};

/** Take a fact in. One about what is not there is ignored. */
void rf_core_learn(struct rf_core *core, const struct rf_fact *f, uint64_t now_ns);

/** The time from now to its answer of a call of a network submitted now, in ns; rather too short
 * than too long; 0 where nothing waits or no rate is known. */
uint64_t rf_core_wait(const struct rf_core *core, uint32_t network, uint64_t now_ns);

/** Make the lists of an rf_actions empty. */
void rf_actions_init(struct rf_actions *a);

#endif
