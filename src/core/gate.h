/* gate.h - what decides how fast calls may go to an endpoint, or to all endpoints of an account:
 * the known windows, the learned rate, what the server's headers say is left, and the pause after a
 * refusal. All peeked, then all committed. Called by core/endpoint. Pure. */
#ifndef RF_CORE_GATE_H
#define RF_CORE_GATE_H

#include "policy/allowance.h"
#include "policy/limiter.h"
#include "policy/rate.h"
#include "policy/throttle.h"

/** One gate. */
struct rf_gate {
    struct rf_limiter limiter;
    struct rf_throttle throttle;
    struct rf_rate rate;
    struct rf_allowance allowance;
    bool learns;     /* the rate is learned from refusals */
    bool was_paused; /* the limiter and the rate must resume paced */
};

/** How a gate is set up. */
struct rf_gate_options {
    const struct rpcfan_limit *limits;
    size_t n_limits;
    bool learn;
    uint32_t start_per_s;
};

/** Set up. @return 0, RPCFAN_ECONFIG or RPCFAN_ENOMEM with the reason in `err`. */
enum rpcfan_err rf_gate_init(struct rf_gate *g, const struct rf_gate_options *o, uint64_t now_ns,
                             struct rpcfan_error *err);
/** Free what it owns. */
void rf_gate_fini(struct rf_gate *g);

/** Calls that may go now, at most `want`. Nothing is taken.
 * @param wait_ns  out where 0 is returned: ns until it could change by itself, or RF_NEVER. */
uint32_t rf_gate_room(struct rf_gate *g, struct rf_cost cost, uint32_t want, uint64_t now_ns,
                      uint64_t *wait_ns);
/** Take what rf_gate_room() allowed. @return the allowance's count, to be handed back with a hint.
 */
uint64_t rf_gate_take(struct rf_gate *g, struct rf_cost cost, uint32_t calls, uint64_t now_ns);

/** What became of the calls of an exchange; they add up to what was taken. */
struct rf_gate_fates {
    uint32_t served, refused, lost, unsent;
};

/** Settle what was taken at `sent_ns`, exactly once. */
void rf_gate_settle(struct rf_gate *g, struct rf_cost cost, const struct rf_gate_fates *f,
                    uint64_t sent_ns, uint64_t now_ns);

/** A refusal for rate. @param hint_ns what the server asked for; RF_NEVER: nothing.
 * @return true where it began a new throttle epoch. */
bool rf_gate_refused(struct rf_gate *g, uint64_t sent_ns, uint64_t hint_ns, uint32_t calls,
                     uint64_t now_ns, struct rf_rng *rng);
/** A request was served. */
void rf_gate_served(struct rf_gate *g, uint64_t sent_ns, uint64_t now_ns);
/** The server wants a pause though it refused nothing (503 with Retry-After). */
void rf_gate_pause(struct rf_gate *g, uint64_t for_ns, uint64_t now_ns);
/** Headers said something. @param sent_then as rf_gate_take() returned it. */
void rf_gate_hint(struct rf_gate *g, const struct rf_rate_hint *h, uint64_t sent_ns,
                  uint64_t sent_then, uint64_t now_ns);
/** Calls a second in force: the least of the windows that hold for all methods and the learned
 * rate; 0: none is known. Of a window over a minute its count in a minute: nothing spreads it out.
 */
double rf_gate_per_s(const struct rf_gate *g);

#endif
