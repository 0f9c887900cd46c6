/* test_breaker.c - what trips it, how long it waits, how it comes back, and that it always does. */
#include "policy/breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define LEASE (16 * RF_SEC)

struct bench {
    struct rf_breaker b;
    struct rf_rng rng;
    uint64_t now;
};

static struct bench fresh(void)
{
    struct bench t = {.now = 100 * RF_SEC};
    rf_breaker_init(&t.b, t.now);
    rf_rng_init(&t.rng, 1);
    return t;
}

static bool ready(struct bench *t)
{
    uint64_t wait;
    bool yes = rf_breaker_ready(&t->b, t->now, &wait);
    assert_true(yes == (wait == 0));
    return yes;
}

/* One exchange that takes no time. @return true where the state changed. */
static bool exchange(struct bench *t, enum rf_health health)
{
    assert_true(ready(t));
    uint64_t generation = rf_breaker_take(&t->b, LEASE, t->now);
    return rf_breaker_settle(&t->b, generation, health, t->now, &t->rng);
}

static void trip(struct bench *t)
{
    while (t->b.state == RF_BREAKER_CLOSED)
        exchange(t, RF_HEALTH_FAIL);
}

static void to_half_open(struct bench *t)
{
    trip(t);
    t->now = t->b.open_until_ns;
    assert_true(ready(t));
    assert_int_equal(t->b.state, RF_BREAKER_HALF_OPEN);
}

static void test_streak_of_ten_trips(void **state)
{
    (void)state;
    struct bench t = fresh();
    for (int i = 0; i < 9; i++)
        assert_false(exchange(&t, RF_HEALTH_FAIL));
    assert_true(exchange(&t, RF_HEALTH_FAIL));
    assert_int_equal(t.b.state, RF_BREAKER_OPEN);
    assert_int_equal(t.b.why, RF_BREAKER_WHY_STREAK);
    assert_int_equal(t.b.trips, 1);
}

static void test_connect_failures_need_a_second(void **state)
{
    (void)state;
    struct bench t = fresh();
    for (int i = 0; i < 8; i++) {
        assert_false(exchange(&t, RF_HEALTH_CONNECT_FAIL));
        t.now += 100 * RF_MS;
    }
    t.now += 200 * RF_MS - 1;
    assert_false(exchange(&t, RF_HEALTH_IGNORE)); /* says nothing */
    t.now += 1;
    assert_true(exchange(&t, RF_HEALTH_CONNECT_FAIL)); /* the ninth, 1 s after the first */
    assert_int_equal(t.b.why, RF_BREAKER_WHY_CONNECT);
}

static void test_fifth_connect_failure_trips(void **state)
{
    (void)state;
    struct bench t = fresh();
    for (int i = 0; i < 4; i++) {
        assert_false(exchange(&t, RF_HEALTH_CONNECT_FAIL));
        t.now += 3 * RF_SEC;
    }
    assert_true(exchange(&t, RF_HEALTH_CONNECT_FAIL));
    assert_int_equal(t.b.why, RF_BREAKER_WHY_CONNECT);
}

static void test_connect_streak_broken_by_another_failure(void **state)
{
    (void)state;
    struct bench t = fresh();
    for (int i = 0; i < 8; i++) {
        assert_false(exchange(&t, i == 4 ? RF_HEALTH_FAIL : RF_HEALTH_CONNECT_FAIL));
        t.now += 2 * RF_SEC;
    }
    assert_int_equal(t.b.connect_streak, 3);
}

static void test_ratio_needs_twenty_samples(void **state)
{
    (void)state;
    struct bench t = fresh();
    for (int i = 0; i < 9; i++) {
        assert_false(exchange(&t, RF_HEALTH_OK));
        assert_false(exchange(&t, RF_HEALTH_FAIL));
    }
    assert_false(exchange(&t, RF_HEALTH_OK));
    assert_true(exchange(&t, RF_HEALTH_FAIL)); /* 10 of 20 */
    assert_int_equal(t.b.why, RF_BREAKER_WHY_RATIO);
}

static void test_ratio_is_judged_at_every_sample(void **state)
{
    (void)state;
    struct bench t = fresh();
    for (int i = 1; i < 20; i++)
        assert_false(exchange(&t, i % 3 == 2 ? RF_HEALTH_OK : RF_HEALTH_FAIL));
    assert_true(exchange(&t, RF_HEALTH_OK)); /* 13 of 20, though the twentieth went well */
    assert_int_equal(t.b.why, RF_BREAKER_WHY_RATIO);
}

static void test_ratio_below_half_never_trips(void **state)
{
    (void)state;
    struct bench t = fresh();
    for (int i = 0; i < 10000; i++) {
        assert_false(exchange(&t, RF_HEALTH_OK));
        assert_false(exchange(&t, RF_HEALTH_FAIL));
        assert_false(exchange(&t, RF_HEALTH_OK));
        t.now += 7 * RF_MS;
    }
}

static void test_ratio_forgets_after_ten_seconds(void **state)
{
    (void)state;
    struct bench t = fresh();
    for (int i = 0; i < 19; i++)
        exchange(&t, i % 2 == 0 ? RF_HEALTH_FAIL : RF_HEALTH_OK);
    t.now += 10 * RF_SEC; /* the same place in the ring, ten seconds on */
    assert_false(exchange(&t, RF_HEALTH_FAIL));
    t.now += 9 * RF_SEC;
    for (int i = 0; i < 9; i++)
        assert_false(exchange(&t, RF_HEALTH_FAIL) || exchange(&t, RF_HEALTH_OK));
    assert_true(exchange(&t, RF_HEALTH_FAIL)); /* 1 + 9 + 1 of 20 within 10 s */
    assert_int_equal(t.b.why, RF_BREAKER_WHY_RATIO);
}

static void test_ignored_outcomes_never_trip(void **state)
{
    (void)state;
    struct bench t = fresh();
    for (int i = 0; i < 360000; i++) {
        assert_false(exchange(&t, RF_HEALTH_IGNORE));
        t.now += 10 * RF_MS;
    }
    assert_int_equal(t.b.trips, 0);
}

/* Bar 12b: an hour of 5 % random errors at 100 a second. */
static void test_random_errors_of_five_percent_never_trip(void **state)
{
    (void)state;
    struct bench t = fresh();
    for (int i = 0; i < 360000; i++) {
        exchange(&t, rf_rng_below(&t.rng, 100) < 5 ? RF_HEALTH_FAIL : RF_HEALTH_OK);
        t.now += 10 * RF_MS;
    }
    assert_int_equal(t.b.trips, 0);
}

static void test_open_refuses_until_its_time(void **state)
{
    (void)state;
    struct bench t = fresh();
    trip(&t);
    uint64_t wait;
    assert_false(rf_breaker_ready(&t.b, t.now, &wait));
    assert_int_equal(wait, t.b.open_until_ns - t.now);
    t.now = t.b.open_until_ns - 1;
    assert_false(ready(&t));
    t.now++;
    assert_true(ready(&t));
    assert_int_equal(t.b.state, RF_BREAKER_HALF_OPEN);
}

static void test_open_waits_double_with_jitter(void **state)
{
    (void)state;
    uint64_t least[9], most[9] = {0};
    memset(least, 0xff, sizeof least);
    for (uint64_t seed = 0; seed < 500; seed++) {
        struct bench t = fresh();
        rf_rng_init(&t.rng, seed);
        trip(&t);
        for (size_t k = 0; k < RF_COUNT(most); k++) {
            uint64_t wait = t.b.open_until_ns - t.now;
            least[k] = rf_min_u64(least[k], wait);
            most[k] = rf_max_u64(most[k], wait);
            t.now = t.b.open_until_ns;
            assert_true(exchange(&t, RF_HEALTH_CONNECT_FAIL));
            assert_int_equal(t.b.why, RF_BREAKER_WHY_PROBE);
        }
        assert_int_equal(t.b.trips, 1); /* it never closed in between */
    }
    for (size_t k = 0; k < RF_COUNT(most); k++) {
        uint64_t d = rf_min_u64(60 * RF_SEC, RF_SEC << k);
        assert_true(least[k] >= d / 2 && least[k] < d / 2 + d / 50);
        assert_true(most[k] <= d && most[k] > d - d / 50);
    }
}

static void test_one_probe_at_a_time(void **state)
{
    (void)state;
    struct bench t = fresh();
    to_half_open(&t);
    uint64_t generation = rf_breaker_take(&t.b, LEASE, t.now);
    uint64_t wait;
    assert_false(rf_breaker_ready(&t.b, t.now, &wait));
    assert_int_equal(wait, LEASE);
    assert_false(rf_breaker_settle(&t.b, generation, RF_HEALTH_OK, t.now, &t.rng));
    assert_true(ready(&t));
    assert_true(exchange(&t, RF_HEALTH_OK));
    assert_int_equal(t.b.state, RF_BREAKER_CLOSED);
}

static void test_probe_ignored_returns_the_permit(void **state)
{
    (void)state;
    struct bench t = fresh();
    to_half_open(&t);
    for (int i = 0; i < 100; i++)
        assert_false(exchange(&t, RF_HEALTH_IGNORE));
    assert_int_equal(t.b.state, RF_BREAKER_HALF_OPEN);
    assert_int_equal(t.b.probe_ok, 0);
    assert_true(ready(&t));
}

/* A probe that never settles used to keep a breaker half-open for days. */
static void test_probe_that_never_settles_gives_its_lease_back(void **state)
{
    (void)state;
    struct bench t = fresh();
    to_half_open(&t);
    uint64_t lost = rf_breaker_take(&t.b, LEASE, t.now);
    t.now += LEASE - 1;
    assert_false(ready(&t));
    t.now += 1;
    assert_true(ready(&t));
    uint64_t second = rf_breaker_take(&t.b, LEASE, t.now);
    assert_true(second != lost);
    assert_false(rf_breaker_settle(&t.b, lost, RF_HEALTH_FAIL, t.now, &t.rng));
    assert_int_equal(t.b.state, RF_BREAKER_HALF_OPEN);
    assert_false(ready(&t)); /* and it did not return the second one's permit */
    assert_false(rf_breaker_settle(&t.b, second, RF_HEALTH_OK, t.now, &t.rng));
    assert_true(exchange(&t, RF_HEALTH_OK));
}

static void test_answers_of_an_earlier_state_are_ignored(void **state)
{
    (void)state;
    struct bench t = fresh();
    uint64_t early = rf_breaker_take(&t.b, LEASE, t.now);
    to_half_open(&t);
    assert_false(rf_breaker_settle(&t.b, early, RF_HEALTH_FAIL, t.now, &t.rng));
    assert_int_equal(t.b.state, RF_BREAKER_HALF_OPEN);
    assert_false(rf_breaker_settle(&t.b, early, RF_HEALTH_OK, t.now, &t.rng));
    assert_int_equal(t.b.probe_ok, 0);
}

static void test_slow_start_doubles_until_lifted(void **state)
{
    (void)state;
    struct bench t = fresh();
    assert_int_equal(rf_breaker_slots(&t.b), UINT32_MAX);
    to_half_open(&t);
    exchange(&t, RF_HEALTH_OK);
    exchange(&t, RF_HEALTH_OK);
    for (uint32_t slots = 1; slots < 1024; slots *= 2) {
        assert_int_equal(rf_breaker_slots(&t.b), slots);
        exchange(&t, RF_HEALTH_OK);
    }
    assert_int_equal(rf_breaker_slots(&t.b), UINT32_MAX);
}

static void test_minute_closed_starts_the_waits_again(void **state)
{
    (void)state;
    for (unsigned extra = 0; extra < 2; extra++) {
        struct bench t = fresh();
        trip(&t);
        for (int i = 0; i < 4; i++) {
            t.now = t.b.open_until_ns;
            exchange(&t, RF_HEALTH_FAIL);
        }
        t.now = t.b.open_until_ns;
        exchange(&t, RF_HEALTH_OK);
        exchange(&t, RF_HEALTH_OK);
        assert_int_equal(t.b.state, RF_BREAKER_CLOSED);
        t.now += 60 * RF_SEC - 1 + extra;
        trip(&t);
        uint64_t wait = t.b.open_until_ns - t.now;
        if (extra == 1)
            assert_true(wait <= RF_SEC);
        else
            assert_true(wait >= 16 * RF_SEC && wait <= 32 * RF_SEC); /* k = 5 */
        assert_int_equal(t.b.trips, 2);
    }
}

static void test_closing_forgets_the_failures(void **state)
{
    (void)state;
    struct bench t = fresh();
    to_half_open(&t);
    exchange(&t, RF_HEALTH_OK);
    exchange(&t, RF_HEALTH_OK);
    for (int i = 0; i < 9; i++)
        assert_false(exchange(&t, RF_HEALTH_FAIL)); /* not 19 in a row */
    assert_false(exchange(&t, RF_HEALTH_OK));
    assert_false(exchange(&t, RF_HEALTH_FAIL));
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(rf_breaker_state_name(RF_BREAKER_CLOSED), "closed");
    assert_string_equal(rf_breaker_state_name(RF_BREAKER_OPEN), "open");
    assert_string_equal(rf_breaker_state_name(RF_BREAKER_HALF_OPEN), "half-open");
    assert_string_equal(rf_breaker_state_name((enum rf_breaker_state)9), "unknown");
    for (int w = RF_BREAKER_WHY_NONE; w <= RF_BREAKER_WHY_PROBE; w++) {
        assert_string_not_equal(rf_breaker_why_text((enum rf_breaker_why)w), "unknown");
        for (int v = RF_BREAKER_WHY_NONE; v < w; v++)
            assert_string_not_equal(rf_breaker_why_text((enum rf_breaker_why)w),
                                    rf_breaker_why_text((enum rf_breaker_why)v));
    }
    assert_string_equal(rf_breaker_why_text((enum rf_breaker_why)9), "unknown");
}

/* Random traffic, with permits that settle late, twice as old, or never, and a clock that may stand
 * still or step back. At most one probe holds a permit. */
static void random_traffic(struct bench *t, int steps)
{
    uint64_t permit[32] = {0};
    for (int i = 0; i < steps; i++) {
        size_t slot = (size_t)rf_rng_below(&t->rng, RF_COUNT(permit));
        uint64_t kind = rf_rng_below(&t->rng, 8);
        if (kind < 4 && permit[slot] != 0) {
            enum rf_health h = (enum rf_health)rf_rng_below(&t->rng, 4);
            rf_breaker_settle(&t->b, permit[slot], h, t->now, &t->rng);
            permit[slot] = 0;
        } else if (kind < 7) {
            uint64_t wait;
            if (rf_breaker_ready(&t->b, t->now, &wait)) {
                permit[slot] = rf_breaker_take(&t->b, LEASE, t->now);
                if (t->b.state == RF_BREAKER_HALF_OPEN)
                    assert_false(ready(t)); /* one at a time */
            } else {
                assert_true(wait > 0 && wait != RF_NEVER);
            }
        } else if (rf_rng_below(&t->rng, 20) == 0) {
            t->now -= rf_rng_below(&t->rng, 100 * RF_MS);
        } else {
            t->now += rf_rng_below(&t->rng, 2 * RF_SEC);
        }
    }
}

/* P7: from any state, if all later probes succeed, it is closed within d_max + lease. */
static void test_always_recovers(void **state)
{
    (void)state;
    int seen[3] = {0};
    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct bench t = fresh();
        rf_rng_init(&t.rng, seed);
        random_traffic(&t, 100);
        seen[t.b.state]++;
        uint64_t since = t.now, wait;
        while (t.b.state != RF_BREAKER_CLOSED) {
            if (rf_breaker_ready(&t.b, t.now, &wait))
                exchange(&t, RF_HEALTH_OK);
            else
                t.now += wait;
            assert_true(t.now - since <= 60 * RF_SEC + LEASE);
        }
    }
    assert_true(seen[0] > 50 && seen[1] > 50 && seen[2] > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streak_of_ten_trips),
        cmocka_unit_test(test_connect_failures_need_a_second),
        cmocka_unit_test(test_fifth_connect_failure_trips),
        cmocka_unit_test(test_connect_streak_broken_by_another_failure),
        cmocka_unit_test(test_ratio_needs_twenty_samples),
        cmocka_unit_test(test_ratio_is_judged_at_every_sample),
        cmocka_unit_test(test_ratio_below_half_never_trips),
        cmocka_unit_test(test_ratio_forgets_after_ten_seconds),
        cmocka_unit_test(test_ignored_outcomes_never_trip),
        cmocka_unit_test(test_random_errors_of_five_percent_never_trip),
        cmocka_unit_test(test_open_refuses_until_its_time),
        cmocka_unit_test(test_open_waits_double_with_jitter),
        cmocka_unit_test(test_one_probe_at_a_time),
        cmocka_unit_test(test_probe_ignored_returns_the_permit),
        cmocka_unit_test(test_probe_that_never_settles_gives_its_lease_back),
        cmocka_unit_test(test_answers_of_an_earlier_state_are_ignored),
        cmocka_unit_test(test_slow_start_doubles_until_lifted),
        cmocka_unit_test(test_minute_closed_starts_the_waits_again),
        cmocka_unit_test(test_closing_forgets_the_failures),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_always_recovers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
