/* route.h - where a call may go, and where the next exchange of a class goes.
 * Called by pump.c, act.c and the plans. Pure. */
#ifndef RF_CORE_ROUTE_H
#define RF_CORE_ROUTE_H

#include "core/state.h"

/** Endpoints (bit: index) that a call may go to now, best set first: open and not yet tried, else
 * open, else usable (paused ones: whichever is back first), else any that is not benched; 0: every
 * one is benched. Within these, those that have what it needs, if any is usable. Those that sent it
 * away come last in any case. */
uint64_t rf_route_candidates(const struct rf_network *net, const struct rf_call *c,
                             uint64_t now_ns);
/** Whether a usable endpoint is left that a call has not tried, paused or not. */
bool rf_route_has_other(const struct rf_network *net, const struct rf_call *c, uint64_t now_ns);
/** Whether one is left that is neither tried nor paused: then there is no need to back off. */
bool rf_route_has_ready(const struct rf_network *net, const struct rf_call *c, uint64_t now_ns);
/** Endpoints of a network with neither a bench nor an open breaker (bit: index). */
uint64_t rf_route_usable(const struct rf_network *net, uint64_t now_ns);

/** Where an exchange goes. */
struct rf_route {
    struct rf_endpoint *ep; /* NULL: nowhere now */
    uint32_t room;          /* calls */
    uint64_t wait_ns;       /* where ep is NULL: until one could have room */
};

/** The best endpoint with room for a call of a class. Nothing is taken but random numbers.
 * @param mask  its rf_route_candidates(). */
struct rf_route rf_route_find(struct rf_core *core, struct rf_network *net,
                              const struct rf_class_queue *q, const struct rf_call *c,
                              uint64_t mask, uint64_t now_ns);

#endif
