/* test_budget.c - what a retry costs, and that no failure rate breaks the bound. */
#include "policy/budget.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/rng.h"

static void test_starts_with_ten_retries(void **state)
{
    (void)state;
    struct rf_budget b;
    rf_budget_init(&b);
    for (int i = 0; i < 10; i++)
        assert_true(rf_budget_take(&b));
    assert_false(rf_budget_take(&b));
    assert_int_equal(b.granted, 10);
    assert_int_equal(b.denied, 1);
}

static void test_ten_successes_earn_one_retry(void **state)
{
    (void)state;
    struct rf_budget b;
    rf_budget_init(&b);
    while (rf_budget_take(&b))
        continue;
    for (int i = 0; i < 9; i++)
        rf_budget_deposit(&b);
    assert_false(rf_budget_take(&b));
    rf_budget_deposit(&b);
    assert_true(rf_budget_take(&b));
    assert_false(rf_budget_take(&b));
}

static void test_savings_are_capped(void **state)
{
    (void)state;
    struct rf_budget b;
    rf_budget_init(&b);
    for (int i = 0; i < 100000; i++)
        rf_budget_deposit(&b);
    int granted = 0;
    while (rf_budget_take(&b))
        granted++;
    assert_int_equal(granted, 10);
}

/* P8: attempts <= 1.1 * calls + 10, at every failure rate and moment, retries failing too. */
static void test_attempts_are_bounded_at_any_failure_rate(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 8);
    for (unsigned percent = 0; percent <= 100; percent += 5) {
        struct rf_budget b;
        rf_budget_init(&b);
        uint64_t attempts = 0, calls;
        for (calls = 1; calls <= 10000; calls++) {
            for (int tries = 0; tries < 3; tries++) {
                attempts++;
                if (rf_rng_below(&rng, 100) >= percent) {
                    rf_budget_deposit(&b);
                    break;
                }
                if (tries == 2 || !rf_budget_take(&b))
                    break;
            }
            assert_true(10 * attempts <= 11 * calls + 100);
        }
        if (percent == 100)
            assert_int_equal(attempts, 10010);
        if (percent == 20)
            assert_true(attempts > 10750); /* 0.08 a call are earned, and used */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starts_with_ten_retries),
        cmocka_unit_test(test_ten_successes_earn_one_retry),
        cmocka_unit_test(test_savings_are_capped),
        cmocka_unit_test(test_attempts_are_bounded_at_any_failure_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
