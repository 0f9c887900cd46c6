/* holds.h - the slots that hold the watermark, counted: each account that must be read, and each
 * gap, holds it at the slot up to which it was known to be complete. Used by the account feed.
 * Pure; allocates never. */
#ifndef RF_FEED_HOLDS_H
#define RF_FEED_HOLDS_H

#include "base/base.h"

/** Different slots that are told apart. */
#define RF_HOLDS 256

/** Zero-initialised is empty and valid. */
struct rf_holds {
    struct {
        uint64_t slot, count;
    } at[RF_HOLDS]; /* rising */
    uint32_t n;
};

/** One more. Where the table is full it may count at a lower slot. */
void rf_holds_add(struct rf_holds *h, uint64_t slot);
/** One less of those that were added at `slot`. */
void rf_holds_remove(struct rf_holds *h, uint64_t slot);
/** The lowest; RF_NEVER where there is none. */
uint64_t rf_holds_min(const struct rf_holds *h);

#endif
