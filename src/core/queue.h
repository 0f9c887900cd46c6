/* queue.h - a call's way through the core: queued, delayed, sent, done. The only place that changes
 * a call's state. Called by core.c, pump.c and settle.c. Pure. */
#ifndef RF_CORE_QUEUE_H
#define RF_CORE_QUEUE_H

#include "core/state.h"

/** Which end of which list of its class a call is queued at. */
enum rf_queue_end {
    RF_QUEUE_NEW,        /* tail of the fresh ones */
    RF_QUEUE_RETRY,      /* tail of those that go again */
    RF_QUEUE_RETRY_FIRST /* in front of those that go again, in the order of these calls */
};

/** Queue a call (from NEW, DELAYED or SENT). While the core is ending it is canceled instead. */
void rf_call_queue(struct rf_core *core, struct rf_call *c, enum rf_queue_end end, uint64_t now_ns);
/** Let a call wait until `ready_ns` (from SENT or DELAYED). While ending it is canceled instead. */
void rf_call_delay(struct rf_core *core, struct rf_call *c, uint64_t ready_ns, uint64_t now_ns);
/** Put a queued call into an exchange as its next member. */
void rf_call_pack(struct rf_core *core, struct rf_call *c, struct rf_exchange *ex);
/** Let a new, queued, delayed or sent call wait for its legs. */
void rf_call_spread(struct rf_core *core, struct rf_call *c);
/** Let a new call wait for the answer of an equal one. */
void rf_call_join(struct rf_core *core, struct rf_call *c, struct rf_call *leader);
/** End an exchange that is on the wire early. Not while it is settled. */
void rf_queue_abort(struct rf_core *core, struct rf_exchange *ex);
/** Let a queued call wait for a leg that asks for it with others. */
void rf_call_gather(struct rf_core *core, struct rf_call *c, struct rf_call *leg);
/** Let a new leg, which is queued, stand where a queued call stands, or at the end of its own
 * class.
 * @param again  the call waits among those that go again. */
void rf_call_stand_for(struct rf_core *core, struct rf_call *leg, struct rf_call *c, bool again);
/** Answer a call that its caller no longer wants (canceled, past its deadline): where others joined
 * it, the first of them takes its place and goes on. Not while an exchange is settled. */
void rf_call_leave(struct rf_core *core, struct rf_call *c, enum rpcfan_err err, uint64_t now_ns);
/** Answer a call: off every list and heap, out of its exchange, onto the done list. Exactly once.
 */
void rf_call_finish(struct rf_core *core, struct rf_call *c, enum rpcfan_err err, uint64_t now_ns);
/** Say in words what went wrong in a try; kept until the call succeeds. Out of memory: kept as was.
 */
void rf_call_explain(struct rf_call *c, const char *fmt, ...) RF_PRINTF(2, 3);
/** Whether the network has answered lately: while it does, a retry that the budget denies waits for
 * budget; otherwise it fails at once. */
bool rf_queue_alive(const struct rf_network *net, uint64_t now_ns);
/** Answer what is past its deadline. */
void rf_queue_expire(struct rf_core *core, uint64_t now_ns);
/** Queue what has waited out its delay, as far as the retry budget allows. */
void rf_queue_wake(struct rf_core *core, uint64_t now_ns);
/** Cancel whatever is not on the wire. */
void rf_queue_cancel_waiting(struct rf_core *core, uint64_t now_ns);

#endif
