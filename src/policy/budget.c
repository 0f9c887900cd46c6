/* budget.c - the retry budget.
 *
 * Example: 10 000 calls against a dead endpoint: 10 retries are granted and then none, so 10 010
 * attempts. With 1 call in 5 failing, 0.8 * 0.1 = 0.08 retries a call are earned.
 *
 * | constant       | value     | why                                  |
 * |----------------|-----------|--------------------------------------|
 * | RF_BUDGET_CAP  | 10.0      | a short outage is retried in full    |
 * | RF_BUDGET_COST | 1.0       | a retry or a hedge                   |
 * | DEPOSIT        | 0.1       | so load grows by a tenth at the most |
 *
 * Source: the retry throttling of gRPC (proposal A6) and Finagle's RetryBudget, without their
 * reserves by time, which are too generous to a small client. */
#include "policy/budget.h"

#define DEPOSIT 1 /* tenths */

void rf_budget_init(struct rf_budget *b)
{
    *b = (struct rf_budget){.tenths = RF_BUDGET_CAP};
}

void rf_budget_deposit(struct rf_budget *b)
{
    if (b->tenths < RF_BUDGET_CAP)
        b->tenths += DEPOSIT;
}

bool rf_budget_take(struct rf_budget *b)
{
    if (b->tenths < RF_BUDGET_COST) {
        b->denied++;
        return false;
    }
    b->tenths -= RF_BUDGET_COST;
    b->granted++;
    return true;
}
