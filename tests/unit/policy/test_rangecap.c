/* test_rangecap.c - how many refusals it costs to learn a server's range, and what stays. */
#include "policy/rangecap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/rng.h"

static void refuse(struct rf_range_cap *c, uint64_t tried, uint64_t told, uint64_t now_ns)
{
    struct rf_range_refusal r = {.tried = tried, .told_blocks = told};
    rf_range_cap_refused(c, &r, now_ns);
}

/* A server with a cap, asked once a second for as much as is thought good.
 * @return refusals in that time. */
static uint64_t drive(struct rf_range_cap *c, uint64_t cap, uint64_t whole, bool tells,
                      uint64_t *now_s, uint64_t seconds)
{
    uint64_t before = c->refusals;
    for (uint64_t end = *now_s + seconds; *now_s < end; (*now_s)++) {
        uint64_t len = rf_range_cap_probe(c, *now_s * RF_SEC);
        if (len == 0)
            len = c->cap > 0 ? c->cap : whole;
        if (len > cap)
            refuse(c, len, tells ? cap : 0, *now_s * RF_SEC);
        else
            rf_range_cap_passed(c, len);
    }
    return c->refusals - before;
}

static void test_untold_caps_are_found_in_few_refusals(void **state)
{
    (void)state;
    static const uint64_t caps[] = {1, 2, 10, 50, 1000, 1024, 2000, 9999, 10000, 99999};
    for (size_t i = 0; i < RF_COUNT(caps); i++) {
        struct rf_range_cap c = {0};
        uint64_t now = 1, halvings = 0;
        while (UINT64_C(100000) >> halvings > caps[i])
            halvings++;
        uint64_t first = drive(&c, caps[i], 100000, false, &now, halvings + 1);
        uint64_t hour = drive(&c, caps[i], 100000, false, &now, 3600);
        uint64_t day = drive(&c, caps[i], 100000, false, &now, 86400);
        print_message("cap %6u: %u refused, %u in the next hour, %u in a day, then %u\n",
                      (unsigned)caps[i], (unsigned)first, (unsigned)hour, (unsigned)day,
                      (unsigned)c.cap);
        assert_int_equal(first, halvings);
        assert_true(hour <= 4);
        assert_true(day <= 12);
        assert_in_range(c.cap, caps[i] - caps[i] / 20, caps[i]);
    }
}

static void test_told_cap_costs_one_refusal_and_is_kept(void **state)
{
    (void)state;
    struct rf_range_cap c = {0};
    uint64_t now = 1;
    assert_int_equal(drive(&c, 2000, 100000, true, &now, 86400), 1);
    assert_int_equal(c.cap, 2000);
    assert_true(c.told);
}

/* "distance: 1000" where 1,000 blocks are a distance of 999, and the other way round. */
static void test_told_number_that_was_tried_is_one_too_many(void **state)
{
    (void)state;
    struct rf_range_cap c = {0};
    refuse(&c, 1001, 1000, RF_SEC);
    refuse(&c, 1000, 1000, RF_SEC);
    refuse(&c, 1000, 1000, RF_SEC); /* in flight at the same time */
    assert_int_equal(c.cap, 999);
    assert_true(c.told);
    refuse(&c, 999, 1000, RF_SEC); /* and now it makes no sense */
    assert_int_equal(c.cap, 499);
    assert_false(c.told);
}

static void test_suggested_range_counts_as_told(void **state)
{
    (void)state;
    struct rf_range_cap c = {0};
    struct rf_range_refusal r = {.tried = 5000, .told_blocks = 2000, .told_len = 10};
    rf_range_cap_refused(&c, &r, RF_SEC);
    assert_int_equal(c.cap, 10);
    r.told_len = 0;
    rf_range_cap_refused(&c, &r, RF_SEC); /* a higher number is not news */
    assert_int_equal(c.cap, 10);
}

static void test_told_number_replaces_a_guess(void **state)
{
    (void)state;
    struct rf_range_cap c = {0};
    refuse(&c, 100, 0, RF_SEC);
    assert_int_equal(c.cap, 50);
    refuse(&c, 5000, 2000, RF_SEC);
    assert_int_equal(c.cap, 2000);
}

static void test_refusal_for_results_teaches_nothing(void **state)
{
    (void)state;
    struct rf_range_cap c = {0};
    struct rf_range_refusal r = {.tried = 5000, .told_len = 17, .by_results = true};
    rf_range_cap_refused(&c, &r, RF_SEC);
    assert_int_equal(c.cap, 0);
    refuse(&c, 5000, 2000, RF_SEC);
    r.tried = 2000;
    rf_range_cap_refused(&c, &r, RF_SEC);
    assert_int_equal(c.cap, 2000);
    assert_true(c.told);
    assert_int_equal(c.refusals, 3);
}

static void test_late_refusals_of_longer_ranges_teach_nothing(void **state)
{
    (void)state;
    struct rf_range_cap c = {0};
    for (int i = 0; i < 64; i++)
        refuse(&c, 100000, 0, RF_SEC);
    assert_int_equal(c.cap, 50000);
    rf_range_cap_passed(&c, 80000); /* nor does a late pass */
    assert_int_equal(c.proven, 0);
}

static void test_what_passed_is_not_halved(void **state)
{
    (void)state;
    struct rf_range_cap c = {0};
    rf_range_cap_passed(&c, 900);
    refuse(&c, 1000, 0, RF_SEC);
    assert_int_equal(c.cap, 900);
    refuse(&c, 800, 0, RF_SEC); /* it has changed */
    assert_int_equal(c.cap, 400);
}

static void test_one_block_refused_leaves_the_cap(void **state)
{
    (void)state;
    struct rf_range_cap c = {0};
    refuse(&c, 1, 0, RF_SEC);
    assert_int_equal(c.cap, 0);
    refuse(&c, 3, 0, RF_SEC);
    refuse(&c, 1, 0, RF_SEC);
    assert_int_equal(c.cap, 1);
}

static void test_one_probe_at_a_time_and_a_lost_one_is_forgotten(void **state)
{
    (void)state;
    struct rf_range_cap c = {0};
    refuse(&c, 2000, 0, RF_SEC);
    for (int i = 0; i < 49; i++)
        rf_range_cap_passed(&c, 1000);
    rf_range_cap_passed(&c, 999); /* not full */
    assert_int_equal(rf_range_cap_probe(&c, RF_SEC), 0);
    rf_range_cap_passed(&c, 1000);
    assert_int_equal(rf_range_cap_probe(&c, RF_SEC), 1250);
    assert_int_equal(rf_range_cap_probe(&c, 2 * RF_SEC), 0);
    assert_int_equal(rf_range_cap_probe(&c, 61 * RF_SEC), 1250);
    rf_range_cap_passed(&c, 1250);
    assert_int_equal(c.cap, 1250);
    assert_int_equal(rf_range_cap_probe(&c, 62 * RF_SEC), 0);
}

static void test_grown_server_is_noticed(void **state)
{
    (void)state;
    struct rf_range_cap c = {0};
    uint64_t now = 1;
    drive(&c, 1000, 100000, false, &now, 3600);
    assert_in_range(c.cap, 900, 1000);
    drive(&c, 50000, 100000, false, &now, 6 * 3600);
    assert_in_range(c.cap, 40000, 50000);
}

static void test_random_histories(void **state)
{
    (void)state;
    struct rf_rng r;
    rf_rng_init(&r, 31);
    for (int i = 0; i < 20000; i++) {
        struct rf_range_cap c = {0};
        uint64_t now = 0;
        for (int k = 0; k < 50; k++) {
            uint64_t len = rf_rng_next(&r) >> rf_rng_below(&r, 64);
            uint64_t told = rf_rng_next(&r) >> rf_rng_below(&r, 64);
            uint64_t before = c.cap;
            struct rf_range_refusal x = {len, rf_rng_below(&r, 2) * told,
                                         rf_rng_below(&r, 2) * told, rf_rng_below(&r, 4) == 0};
            now = rf_time_add(now, rf_rng_next(&r) >> rf_rng_below(&r, 64));
            if (rf_rng_below(&r, 2) == 0)
                rf_range_cap_passed(&c, len);
            else
                rf_range_cap_refused(&c, &x, now);
            uint64_t probe = rf_range_cap_probe(&c, now);
            assert_true(probe == 0 || probe > c.cap);
            assert_true(c.cap > 0 || before == 0);
            assert_true(c.cap == 0 || c.proven <= c.cap);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_untold_caps_are_found_in_few_refusals),
        cmocka_unit_test(test_told_cap_costs_one_refusal_and_is_kept),
        cmocka_unit_test(test_told_number_that_was_tried_is_one_too_many),
        cmocka_unit_test(test_suggested_range_counts_as_told),
        cmocka_unit_test(test_told_number_replaces_a_guess),
        cmocka_unit_test(test_refusal_for_results_teaches_nothing),
        cmocka_unit_test(test_late_refusals_of_longer_ranges_teach_nothing),
        cmocka_unit_test(test_what_passed_is_not_halved),
        cmocka_unit_test(test_one_block_refused_leaves_the_cap),
        cmocka_unit_test(test_one_probe_at_a_time_and_a_lost_one_is_forgotten),
        cmocka_unit_test(test_grown_server_is_noticed),
        cmocka_unit_test(test_random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
