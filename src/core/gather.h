/* gather.h - many getAccountInfo asked by one getMultipleAccounts: a plan the other way round, one
 * leg that stands for the calls of many callers.
 *
 * The callers' calls wait for the leg as those do that joined an equal one (RF_CALL_JOINED, with
 * rf_call.into): each keeps its own deadline, cancel and answer. Called by core.c (submit), queue.c
 * (a call is queued, leaves its queue, is done), pump.c (the leg is packed), act.c and plan.c (it
 * was refused, it ended). Pure. */
#ifndef RF_CORE_GATHER_H
#define RF_CORE_GATHER_H

#include "core/plan.h"

/** Calls that may be asked for together: of one network, policy and options. */
struct rf_gather {
    struct rf_join_node node; /* in the network's table */
    uint32_t refs;            /* calls and legs that point here */
    struct rf_call *lone;     /* waits in its queue and is in no leg yet; NULL: none */
    bool lone_again;          /* it waits among those that go again */
    struct rf_call *open;     /* a queued leg that was never sent; NULL: none */
    size_t len;
    char options[]; /* canonical */
};

/** Make the network's table, where it gathers. @return false when out of memory. */
bool rf_gather_init(struct rf_network *net);
/** A new call, before it is queued: find out whether it may be gathered, and with which others.
 * No effect where the network does not gather, and when out of memory. */
void rf_gather_admit(struct rf_core *core, struct rf_network *net, struct rf_call *c);
/** A call was queued: put it into a leg that waits, or into a new one with another call that waits.
 * @param again  it is among those that go again. */
void rf_gather_queued(struct rf_core *core, struct rf_call *c, bool again);
/** A call or a leg leaves its queue. */
void rf_gather_unqueued(struct rf_call *c);
/** A call or a leg is done. */
void rf_gather_drop(struct rf_network *net, struct rf_call *c);
/** One whom a leg stood for is done: a leg that stands for nobody is canceled. */
void rf_gather_left(struct rf_core *core, struct rf_call *leg, uint64_t now_ns);
/**
 * The turn of a queued call has come: where it is a leg, write it for an endpoint, with as many
 * keys as that takes; the others are queued again.
 * @return false: it is not there any more, for it is not worth it there, and its calls are queued.
 */
bool rf_gather_ready(struct rf_core *core, struct rf_call *c, const struct rf_endpoint *ep,
                     uint64_t now_ns);
/** A refusal of a getMultipleAccounts: what it says of how many keys the endpoint takes.
 * @param alone  it was no member of a batch. */
void rf_gather_told(struct rf_endpoint *ep, const struct rf_call *c, const struct rf_verdict *v,
                    bool alone);
/** Whether a leg that failed should not be tried again as it is: one account in it may be why. */
bool rf_gather_gives_up(const struct rf_call *c, struct rpcfan_slice error);
/** A leg ended: answer those that it stood for, or ask for them in other company. */
void rf_gather_heard(struct rf_core *core, struct rf_plan *p, struct rf_leg *leg, uint64_t now_ns);

#endif
