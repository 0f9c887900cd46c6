/* test_throttle.c - one pause for an endpoint, one step an epoch. */
#include "policy/throttle.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "policy/hints.h"

static struct rf_rng seeded(uint64_t seed)
{
    struct rf_rng rng;
    rf_rng_init(&rng, seed);
    return rng;
}

static void test_burst_of_refusals_is_one_epoch(void **state)
{
    (void)state;
    struct rf_throttle t = {0};
    struct rf_rng rng = seeded(1);
    int steps = 0;
    for (uint64_t i = 0; i < 14; i++)
        steps += rf_throttle_refused(&t, 9 * RF_SEC + i, RF_NEVER, 20, 10 * RF_SEC + i, &rng);
    assert_int_equal(steps, 1);
    assert_int_equal(t.epochs, 1);
    assert_int_equal(t.streak, 1);
    assert_int_equal(t.refused, 14 * 20);
    assert_true(t.paused_until_ns >= 10 * RF_SEC && t.paused_until_ns <= 11 * RF_SEC);
}

static void test_first_refusal_at_time_zero_begins_an_epoch(void **state)
{
    (void)state;
    struct rf_throttle t = {0};
    struct rf_rng rng = seeded(1);
    assert_true(rf_throttle_refused(&t, 0, 2 * RF_SEC, 1, 0, &rng));
    assert_false(rf_throttle_refused(&t, 0, RF_NEVER, 1, 0, &rng));
}

static void test_hint_is_kept_and_spread_by_a_tenth(void **state)
{
    (void)state;
    struct rf_rng rng = seeded(2);
    uint64_t least = RF_NEVER, most = 0;
    for (int i = 0; i < 1000; i++) {
        struct rf_throttle t = {0};
        rf_throttle_refused(&t, 0, 2 * RF_SEC, 1, RF_SEC, &rng);
        least = rf_min_u64(least, t.paused_until_ns);
        most = rf_max_u64(most, t.paused_until_ns);
    }
    assert_true(least >= 3 * RF_SEC && least < 3 * RF_SEC + 5 * RF_MS);
    assert_true(most <= 3200 * RF_MS && most > 3195 * RF_MS);
}

static void test_hint_is_clamped_and_its_spread_too(void **state)
{
    (void)state;
    struct rf_rng rng = seeded(3);
    for (int i = 0; i < 1000; i++) {
        struct rf_throttle t = {0};
        rf_throttle_refused(&t, 0, RF_NEVER - 1, 1, 0, &rng);
        assert_true(t.paused_until_ns >= RF_RETRY_AFTER_MAX_NS);
        assert_true(t.paused_until_ns <= RF_RETRY_AFTER_MAX_NS + RF_SEC);
    }
}

/* A server that refuses and says "come back at once" must not be hammered. */
static void test_hint_of_zero_is_none(void **state)
{
    (void)state;
    struct rf_rng rng = seeded(4);
    uint64_t most = 0;
    for (int i = 0; i < 100; i++) {
        struct rf_throttle t = {0};
        rf_throttle_refused(&t, 0, 0, 1, 0, &rng);
        most = rf_max_u64(most, t.paused_until_ns);
    }
    assert_true(most > 900 * RF_MS && most <= RF_SEC);
}

static void test_later_hint_of_the_epoch_extends_only(void **state)
{
    (void)state;
    struct rf_throttle t = {0};
    struct rf_rng rng = seeded(5);
    rf_throttle_refused(&t, RF_SEC, 10 * RF_SEC, 1, 2 * RF_SEC, &rng);
    uint64_t until = t.paused_until_ns;
    assert_false(rf_throttle_refused(&t, RF_SEC, 3 * RF_SEC, 1, 2 * RF_SEC, &rng));
    assert_int_equal(t.paused_until_ns, until);
    assert_false(rf_throttle_refused(&t, RF_SEC, 30 * RF_SEC, 1, 2 * RF_SEC, &rng));
    assert_true(t.paused_until_ns >= 32 * RF_SEC);
    assert_int_equal(t.epochs, 1);
}

static void test_streak_doubles_the_wait_and_a_success_ends_it(void **state)
{
    (void)state;
    struct rf_rng rng = seeded(6);
    uint64_t most[8] = {0};
    for (int round = 0; round < 300; round++) {
        struct rf_throttle t = {0};
        uint64_t now = RF_SEC;
        for (size_t k = 0; k < RF_COUNT(most); k++) {
            assert_true(rf_throttle_refused(&t, now, RF_NEVER, 1, now + 1, &rng));
            assert_true(t.paused_until_ns >= now + 1);
            most[k] = rf_max_u64(most[k], t.paused_until_ns - now - 1);
            now = t.paused_until_ns + 1;
        }
        assert_int_equal(t.streak, 8);
        rf_throttle_served(&t, t.last_epoch_ns); /* sent before the epoch: no proof */
        assert_int_equal(t.streak, 8);
        rf_throttle_served(&t, t.last_epoch_ns + 1);
        assert_int_equal(t.streak, 0);
    }
    for (size_t k = 0; k < RF_COUNT(most); k++) {
        uint64_t bound = rf_min_u64(20 * RF_SEC, RF_SEC << k);
        assert_true(most[k] <= bound && most[k] > bound / 100 * 95);
    }
}

static void test_pause_is_clamped_and_never_earlier(void **state)
{
    (void)state;
    struct rf_throttle t = {0};
    rf_throttle_pause(&t, 5 * RF_SEC, RF_SEC);
    assert_int_equal(t.paused_until_ns, 6 * RF_SEC);
    rf_throttle_pause(&t, RF_SEC, RF_SEC);
    assert_int_equal(t.paused_until_ns, 6 * RF_SEC);
    rf_throttle_pause(&t, RF_NEVER, RF_SEC);
    assert_int_equal(t.paused_until_ns, RF_SEC + RF_RETRY_AFTER_MAX_NS);
    assert_int_equal(t.epochs, 0);
}

/* Over random histories: a pause is never shortened, and each epoch begins after the last. */
static void test_random_histories(void **state)
{
    (void)state;
    struct rf_throttle t = {0};
    struct rf_rng rng = seeded(7);
    uint64_t now = RF_SEC;
    for (int i = 0; i < 100000; i++) {
        struct rf_throttle before = t;
        uint64_t sent = now - rf_rng_below(&rng, rf_min_u64(now, 5 * RF_SEC));
        uint64_t hint = rf_rng_below(&rng, 2) ? RF_NEVER : rf_rng_below(&rng, 400 * RF_SEC);
        if (rf_rng_below(&rng, 3) == 0)
            rf_throttle_served(&t, sent);
        else if (rf_throttle_refused(&t, sent, hint, 1, now, &rng))
            assert_true(before.epochs == 0 || sent > before.last_epoch_ns);
        assert_true(t.paused_until_ns >= before.paused_until_ns);
        assert_true(t.paused_until_ns <= now + 301 * RF_SEC);
        assert_true(t.epochs - before.epochs <= 1);
        now += rf_rng_below(&rng, RF_SEC);
    }
    assert_true(t.epochs > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst_of_refusals_is_one_epoch),
        cmocka_unit_test(test_first_refusal_at_time_zero_begins_an_epoch),
        cmocka_unit_test(test_hint_is_kept_and_spread_by_a_tenth),
        cmocka_unit_test(test_hint_is_clamped_and_its_spread_too),
        cmocka_unit_test(test_hint_of_zero_is_none),
        cmocka_unit_test(test_later_hint_of_the_epoch_extends_only),
        cmocka_unit_test(test_streak_doubles_the_wait_and_a_success_ends_it),
        cmocka_unit_test(test_pause_is_clamped_and_never_earlier),
        cmocka_unit_test(test_random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
