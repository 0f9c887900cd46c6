/* plan.h - one call of a caller carried out by several of the core's own: legs.
 *
 * A race, a quorum, a broadcast, a split range, the lookup of a transaction, a hedge. A leg is a
 * call like any other, queued, limited, retried and settled like any; only its answer goes to its
 * plan instead of to a caller. So nothing that holds for calls has to be said again for legs.
 * Called by core.c, queue.c, act.c and pump.c. Pure. */
#ifndef RF_CORE_PLAN_H
#define RF_CORE_PLAN_H

#include "core/state.h"

enum rf_plan_kind {
    RF_PLAN_FIRST,     /* the first answer counts */
    RF_PLAN_QUORUM,    /* enough equal answers */
    RF_PLAN_BROADCAST, /* a raw send to all: the first acceptance counts, all are sent */
    RF_PLAN_LOOKUP,    /* "nonce too low": is the transaction there? */
    RF_PLAN_HEAD,      /* what "latest" is, before a range is split */
    RF_PLAN_RANGE,     /* pieces of a block range, joined in order */
    RF_PLAN_HEDGE,     /* a second try of a slow read, which itself goes on */
    RF_PLAN_PROBE,     /* where is an endpoint's head? Nobody waits for it */
    RF_PLAN_GATHER     /* one leg for many calls, see gather.h; it has no parent */
};

/** One leg. */
struct rf_leg {
    struct rf_call call;
    struct rf_buf tail; /* its own copy: it may outlive the caller's */
    struct rf_buf vote; /* quorum: the canonical answer */
    bool done;          /* heard */
    bool stumbled;      /* quorum: it brought another leg, though it goes on itself */
};

#define RF_PLAN_LEGS_MAX 64

/** A plan; lives until its last leg is done. */
struct rf_plan {
    struct rf_link link; /* the core's list */
    enum rf_plan_kind kind;
    uint32_t network;
    struct rf_call *parent;               /* NULL: answered already, or nobody asked */
    struct rf_leg *leg[RF_PLAN_LEGS_MAX]; /* owned */
    uint32_t n, live;                     /* live: not yet heard */
    uint8_t split;                        /* what rf_call.split of its legs is */
    uint32_t need;                        /* quorum: equal answers wanted */
    uint64_t asked;                       /* endpoints that have or had a leg (bit: index) */
    bool hurried;     /* broadcast: its legs were given a last moment, for the client closes */
    bool by_position; /* range: halves of an address list, merged by position; `next` counts them */
    bool more;        /* range: from `next` to `last` is not asked for yet, in pieces of ... */
    uint64_t next, last, piece; /* ... so many blocks */
    struct rf_buf out;          /* range: the elements of the pieces that came in, in order */
    bool out_space;             /* there is whitespace between tokens in it */
    uint32_t waiting;      /* gather: calls that wait for its leg, on the leg's `joiners` ... */
    uint32_t room, inputs; /* ... so many at most; keys in the request as it was written */
    uint32_t told;         /* gather: keys that the node says it takes; 0: it did not say */
};

/** Make a plan for a call, which then waits for its legs (but for a hedge, which goes on).
 * @param parent  may be NULL for a probe. @return NULL when out of memory. */
struct rf_plan *rf_plan_new(struct rf_core *core, enum rf_plan_kind kind, uint32_t network,
                            struct rf_call *parent);
/**
 * Add a leg and queue it.
 * @param tail  request tail, copied. @param only  endpoints it may go to; 0: any.
 * @param deadline_ns  absolute.
 * @return NULL when out of memory or over RF_PLAN_LEGS_MAX: then there is no leg.
 */
struct rf_leg *rf_plan_add(struct rf_core *core, struct rf_plan *p, struct rpcfan_slice tail,
                           uint64_t only, uint64_t deadline_ns);
/** The parent is answered: legs are canceled, but those of a broadcast, which are still sent. */
void rf_plan_leave(struct rf_core *core, struct rf_call *parent, uint64_t now_ns);
/** Hear the legs that ended, until none is left. @return whether there was any. */
bool rf_plan_run(struct rf_core *core, uint64_t now_ns);
/** A client that closes does not wait for legs that nobody waits for: they are canceled, but those
 * of a broadcast, which have a last moment to reach their nodes. */
void rf_plan_cancel_orphans(struct rf_core *core, uint64_t now_ns);
/** The parent's place was taken by a call with a later deadline: its legs have as long. */
void rf_plan_extend(struct rf_core *core, struct rf_plan *p, uint64_t deadline_ns);
/** Legs that are not done of all the plans that a call of a caller was spread over; `p` is any of
 * them. Counts to RF_PLAN_LEGS_MAX at least. */
uint32_t rf_plan_family(const struct rf_plan *p);
/** Free a plan that has no leg and no parent. */
void rf_plan_discard(struct rf_plan *p);
/** Forget the first leg, which is done. */
void rf_plan_shift(struct rf_core *core, struct rf_plan *p);
/** Answer the parent with what a leg brought. */
void rf_plan_answer(struct rf_core *core, struct rf_plan *p, struct rf_leg *leg, uint64_t now_ns);
/** Answer a call with JSON of the core's own. @param json  copied.
 * @param err  RPCFAN_OK for a result, else json is an error object.
 * @param space  as rf_call.space. */
void rf_plan_answer_json(struct rf_core *core, struct rf_call *c, enum rpcfan_err err,
                         struct rpcfan_slice json, bool space, uint64_t now_ns);

/** Carry a call out by its policy, where that takes more than one request. @return false: it does
 * not; queue it as it is. */
bool rf_fan_start(struct rf_core *core, struct rf_call *c, uint64_t now_ns);
/** A call could not be answered at once and goes again: where it is a leg of a quorum, another one
 * is sent along, for it may take long. No effect on other calls. */
void rf_fan_stumbled(struct rf_core *core, struct rf_call *c, uint64_t now_ns);
/** A leg of a race, a quorum or a broadcast ended. */
void rf_fan_heard(struct rf_core *core, struct rf_plan *p, struct rf_leg *leg, uint64_t now_ns);

/** A raw send that a node refuses because it has it already: its name is the answer.
 * @return false: it is no such send, or out of memory; deliver the error. */
bool rf_send_known(struct rf_core *core, struct rf_call *c, uint64_t now_ns);
/** A raw send whose nonce is used up: ask whether it is that one which used it. The node that said
 * so is asked, while the call is still in its exchange: another one may not be that far yet.
 * @param error  the node's, raw JSON in `blob`, which is kept for the case that it is not.
 * @return false: it is no such send, or out of memory; deliver the error. */
bool rf_send_lookup(struct rf_core *core, struct rf_call *c, struct rf_blob *blob,
                    struct rpcfan_slice error, uint64_t now_ns);
/** The leg of a lookup ended. */
void rf_send_heard(struct rf_core *core, struct rf_plan *p, struct rf_leg *leg, uint64_t now_ns);

/** Before a call is queued: split it where its range is known to be too long for every endpoint.
 * @return false: queue it as it is. */
bool rf_split_start(struct rf_core *core, struct rf_call *c, uint64_t now_ns);
/** A node refused a call for its range, its filter or the size of its answer.
 * @return false: it cannot be split (any further); deliver the error. */
bool rf_split_refused(struct rf_core *core, struct rf_call *c, struct rf_endpoint *ep,
                      const struct rf_verdict *v, uint64_t now_ns);
/** A node answered: its cap may grow. */
void rf_split_passed(struct rf_endpoint *ep, const struct rf_call *c);
/** A leg of a split range, or the head that it waited for, ended. */
void rf_split_heard(struct rf_core *core, struct rf_plan *p, struct rf_leg *leg, uint64_t now_ns);

/** An exchange was packed: note when its second try would be due. */
void rf_second_arm(struct rf_core *core, struct rf_exchange *ex, uint64_t now_ns);
/** Send the second tries that are due, where another endpoint has room to spare. */
void rf_second_run(struct rf_core *core, uint64_t now_ns);
/** The leg of a hedge ended. */
void rf_second_heard(struct rf_core *core, struct rf_plan *p, struct rf_leg *leg, uint64_t now_ns);
/** Ask endpoints that lagged where they are now. */
void rf_second_probe(struct rf_core *core, uint64_t now_ns);
/** When rf_second_probe() will have somebody to ask in a network; RF_NEVER: not as things stand. */
uint64_t rf_second_due(const struct rf_core *core, const struct rf_network *net);

#endif
