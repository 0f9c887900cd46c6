/* pump.h - turns waiting calls into exchanges wherever the gates are open. Called by core.c at the
 * end of each step. Pure. */
#ifndef RF_CORE_PUMP_H
#define RF_CORE_PUMP_H

#include "core/state.h"

/** Endpoints (bit: index) that a call may go to now, best set first: open and not yet tried, else
 * open, else usable (paused ones: whichever is back first), else any that is not benched; 0: every
 * one is benched. Those that sent it away come last in any case. */
uint64_t rf_pump_candidates(const struct rf_network *net, const struct rf_call *c, uint64_t now_ns);
/** Whether a usable endpoint is left that a call has not tried, paused or not. */
bool rf_pump_has_other(const struct rf_network *net, const struct rf_call *c, uint64_t now_ns);
/** Whether one is left that is neither tried nor paused: then there is no need to back off. */
bool rf_pump_has_ready(const struct rf_network *net, const struct rf_call *c, uint64_t now_ns);
/** Send what can be sent; sets each network's wake_ns. */
void rf_pump(struct rf_core *core, uint64_t now_ns);
/** Take an exchange back that is settled. */
void rf_pump_recycle(struct rf_core *core, struct rf_exchange *ex);
/** Free the pool. */
void rf_pump_fini(struct rf_core *core);

#endif
