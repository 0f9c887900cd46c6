/* budget.h - a retry budget: +0.1 per success, -1 per retry, at most 10, full at the start. So
 * attempts <= 1.1 * calls + 10 at any failure rate. Integers: counted in tenths. Pure. */
#ifndef RF_POLICY_BUDGET_H
#define RF_POLICY_BUDGET_H

#include "base/base.h"

#define RF_BUDGET_CAP 100 /* tenths */
#define RF_BUDGET_COST 10 /* tenths a retry */

struct rf_budget {
    uint32_t tenths;
    uint64_t granted, denied; /* counted for ever */
};

/** Set up, full. */
void rf_budget_init(struct rf_budget *b);
/** A call succeeded. */
void rf_budget_deposit(struct rf_budget *b);
/** Ask for one retry. @return false: denied, and counted. */
bool rf_budget_take(struct rf_budget *b);

#endif
