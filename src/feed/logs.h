/* logs.h - logs without holes: what a gap may have held is read by eth_getLogs and merged. See
 * feed/evm.h.
 *
 * Pure. Called by feed/evm only. */
#ifndef RF_FEED_LOGS_H
#define RF_FEED_LOGS_H

#include "feed/evm_int.h"

struct rf_logs;

/** Make one. @param filter raw JSON object of the subscription; len 0: all logs; copied. @param
 * core borrowed, outlives it. @return owned, or NULL when out of memory. */
struct rf_logs *rf_logs_new(struct rf_evm_core *core, struct rpcfan_slice filter);
/** Free; NULL is ignored. */
void rf_logs_free(struct rf_logs *l);
/** A log was notified. */
void rf_logs_data(struct rf_logs *l, const struct rf_note *note, uint64_t now_ns);
/** It came up, or one of several sessions is over. @param doubt something may have been missed
 * since what was seen last. */
void rf_logs_up(struct rf_logs *l, bool doubt, uint64_t now_ns);
/** A call ended. */
void rf_logs_answer(struct rf_logs *l, uint64_t token, const struct rf_feed_answer *a,
                    uint64_t now_ns);
/** Do what is due. */
void rf_logs_step(struct rf_logs *l, uint64_t now_ns);
/** When something is due. */
uint64_t rf_logs_deadline(const struct rf_logs *l);

#endif
