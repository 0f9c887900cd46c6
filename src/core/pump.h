/* pump.h - turns waiting calls into exchanges wherever the gates are open. Called by core.c at the
 * end of each step. Pure. */
#ifndef RF_CORE_PUMP_H
#define RF_CORE_PUMP_H

#include "core/state.h"

/** Send what can be sent; sets each network's wake_ns. */
void rf_pump(struct rf_core *core, uint64_t now_ns);
/** Take back what this step packed and nobody waits for any more. */
void rf_pump_unsend(struct rf_core *core, uint64_t now_ns);
/** Take an exchange back that is settled. */
void rf_pump_recycle(struct rf_core *core, struct rf_exchange *ex);
/** Free the pool. */
void rf_pump_fini(struct rf_core *core);

#endif
