/* settle.h - an exchange came back: match its members to calls, judge them, act, keep the books.
 * Called by core.c. Pure. */
#ifndef RF_CORE_SETTLE_H
#define RF_CORE_SETTLE_H

#include "core/endpoint.h"
#include "core/state.h"

/** A settlement under way. */
struct rf_settle {
    struct rf_core *core;
    struct rf_network *net;
    struct rf_endpoint *ep;
    struct rf_exchange *ex;
    uint64_t now_ns;
    struct rf_lesson lesson;
    uint32_t shares; /* answers that point into the body: counted into its references at the end */
    bool token_asked, token; /* one retry token for all calls of the exchange */
    uint64_t retry_at_ns;    /* when calls that back off go again: drawn once an exchange */
};

/** Settle an exchange, and take it back into the pool. */
void rf_settle(struct rf_core *core, struct rf_exchange *ex, uint64_t now_ns);

/**
 * Carry out a verdict on one call of the exchange: answer it, queue it, or let it wait.
 * @param error  raw JSON of the node's error object; len 0: none.
 */
void rf_act(struct rf_settle *s, struct rf_call *c, const struct rf_verdict *v,
            struct rpcfan_slice error);

#endif
