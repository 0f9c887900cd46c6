/* choose.h - which of several endpoints: the better of two random picks. Called by core/pump with
 * a score for each endpoint, such as peak EWMA * (in flight + 1). Pure. */
#ifndef RF_POLICY_CHOOSE_H
#define RF_POLICY_CHOOSE_H

#include "base/base.h"
#include "base/rng.h"

/**
 * Choose one candidate: of up to three the lowest score; of more, the lower of two different ones
 * picked at random. Equal scores are decided by chance. A score that is no finite number counts as
 * higher than any number.
 * @param score  by bit of `mask`; only those of candidates are read.
 * @param mask   bit: candidate.
 * @return its bit's number, or UINT32_MAX where there is none.
 */
uint32_t rf_choose(const double *score, uint64_t mask, struct rf_rng *rng);

#endif
