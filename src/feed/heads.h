/* heads.h - newHeads without holes: heads tracked by their parents' hashes. See feed/evm.h.
 *
 * Pure. Called by feed/evm only. */
#ifndef RF_FEED_HEADS_H
#define RF_FEED_HEADS_H

#include "feed/evm_int.h"

struct rf_heads;

/** Make one. @param core borrowed, outlives it. @return owned, or NULL when out of memory. */
struct rf_heads *rf_heads_new(struct rf_evm_core *core);
/** Free; NULL is ignored. */
void rf_heads_free(struct rf_heads *h);
/** A head was notified. */
void rf_heads_data(struct rf_heads *h, const struct rf_note *note, uint64_t now_ns);
/** Coverage begins again, or for the first time. */
void rf_heads_up(struct rf_heads *h, uint64_t now_ns);
/** A call ended. */
void rf_heads_answer(struct rf_heads *h, uint64_t token, const struct rf_feed_answer *a,
                     uint64_t now_ns);
/** Do what is due. */
void rf_heads_step(struct rf_heads *h, uint64_t now_ns);
/** When something is due. */
uint64_t rf_heads_deadline(const struct rf_heads *h);

#endif
