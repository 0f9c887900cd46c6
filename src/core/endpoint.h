/* endpoint.h - one node's gates and books: may something be sent now, and what an exchange taught.
 * Called by pump.c (room, take) and settle.c (settle). Pure. */
#ifndef RF_CORE_ENDPOINT_H
#define RF_CORE_ENDPOINT_H

#include "core/state.h"

/** Set up from options. @return 0, RPCFAN_ECONFIG or RPCFAN_ENOMEM with the reason in `err`. */
enum rpcfan_err rf_endpoint_init(struct rf_endpoint *ep, const struct rpcfan_endpoint_options *o,
                                 uint64_t now_ns, struct rpcfan_error *err);
/** Free what it owns. */
void rf_endpoint_fini(struct rf_endpoint *ep);

/** Whether a call of a price fits into its windows and its account's at all. */
bool rf_endpoint_fits(const struct rf_endpoint *ep, const struct rf_price *price);
/** Whether it is worth waiting for: not benched, its breaker not open. */
bool rf_endpoint_usable(const struct rf_endpoint *ep, uint64_t now_ns);

/** Whether every endpoint is kept from harm by an open or half-open breaker or a bench: only probes
 * go out then, so that a call that goes again needs no retry budget. */
bool rf_endpoint_all_guarded(const struct rf_network *net, uint64_t now_ns);

/** Where no endpoint can serve, let the probes come sooner. */
void rf_endpoint_hasten(struct rf_network *net, uint64_t now_ns);

/**
 * How many calls could leave now in one exchange: breaker, bench, pause, suspicion, slots, windows
 * and pacer all asked, nothing taken.
 * @param alone    no other endpoint can serve: suspicion does not count.
 * @param want     at most so many.
 * @param wait_ns  out, where 0 is returned: ns until it could change by itself, or RF_NEVER.
 */
uint32_t rf_endpoint_room(struct rf_endpoint *ep, const struct rf_price *price, uint32_t want,
                          bool alone, uint64_t now_ns, uint64_t *wait_ns);

/** When its pause, or its account's, is over; the past: there is none. */
uint64_t rf_endpoint_paused_until(const struct rf_endpoint *ep);
/** Calls a second in force there, its account's included; 0: none is known. */
double rf_endpoint_per_s(const struct rf_endpoint *ep);
/** Whether less than half of its slots are in use. */
bool rf_endpoint_has_spare(struct rf_endpoint *ep, uint64_t now_ns);

/** Take what rf_endpoint_room() found, for an exchange that is packed. */
void rf_endpoint_take(struct rf_endpoint *ep, struct rf_exchange *ex, uint64_t now_ns);

/** Give back what rf_endpoint_take() took: the exchange never left. */
void rf_endpoint_untake(struct rf_endpoint *ep, struct rf_exchange *ex, uint64_t now_ns,
                        struct rf_core *core);

/** What an exchange taught; filled in by settle.c from its members. */
struct rf_lesson {
    uint32_t good;             /* members with a result or an error that is an answer */
    uint32_t throttled;        /* members refused for rate */
    uint32_t held;             /* of a class that alone was refused: the endpoint is not paused */
    uint32_t failed;           /* members that failed for the node's own reasons */
    uint32_t split;            /* members refused for the batch's size */
    struct rf_verdict verdict; /* of the worst member */
};

/** Settle: slot, windows, breaker, batch cap, pause, latency, counters; each exactly once. */
void rf_endpoint_settle(struct rf_endpoint *ep, struct rf_exchange *ex, const struct rf_lesson *l,
                        uint64_t now_ns, struct rf_core *core);

/** In words, why nothing or little goes there now: "paused 1200 ms (429)"; "ok" where all is well.
 * @param out  at least 160 bytes. */
void rf_endpoint_why(const struct rf_endpoint *ep, uint64_t now_ns, char *out, size_t size);

#endif
