/* drr.h - deficit round robin over the class queues of a network: each class that has something to
 * send gets the same share of the cost, whatever its packets cost.
 *
 * Called by core/pump. A pass over the classes is: rf_drr_begin(), then rf_drr_next() again and
 * again, each time followed by rf_drr_charge() or rf_drr_blocked(), until it says UINT32_MAX or the
 * caller has had enough. Pure; zero-initialised is valid. */
#ifndef RF_POLICY_DRR_H
#define RF_POLICY_DRR_H

#include "base/base.h"

#define RF_DRR_CLASSES 64

struct rf_drr {
    int64_t credit[RF_DRR_CLASSES]; /* at most one quantum; below 0: debt of the last packet */
    uint64_t owing;                 /* bit: class whose credit is below 0 */
    uint64_t blocked;               /* bit: class; could not send in this pass */
    uint32_t turn;                  /* where the ring is read from */
};

/** Set up: no credit, no debt. */
void rf_drr_init(struct rf_drr *d);
/** Begin a pass: what was blocked is asked again. */
void rf_drr_begin(struct rf_drr *d);
/**
 * Whose turn it is. Asked twice without a charge or a block between, it is the same class.
 * @param ready  bit: class that has something to send and whose gates are not known to be closed.
 * @return the class, or UINT32_MAX where none is ready that is not blocked.
 */
uint32_t rf_drr_next(struct rf_drr *d, uint64_t ready);
/**
 * A class sent a packet, in its turn or out of it.
 * @param cls   of rf_drr_next(), or any below 64.
 * @param cost  units; 0 counts as 1, for what is free must not keep the turn for ever.
 */
void rf_drr_charge(struct rf_drr *d, uint32_t cls, uint64_t cost);
/**
 * A class could not send for a gate of its own: it is left out for the rest of the pass and keeps
 * its credit; the others go on, round after round.
 *
 * Not for a gate that all share (the slots, a window that covers every class): there the pass ends,
 * and the class has its turn still when the gate opens. Otherwise cheap classes would take
 * each unit as it comes free, and there would never be enough of them for a dear one.
 */
void rf_drr_blocked(struct rf_drr *d, uint32_t cls);

#endif
