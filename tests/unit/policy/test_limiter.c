/* test_limiter.c - the limiter's rules one by one, with times and figures in the open. The promises
 * over random histories are in test_limiter_props.c. */
#include "policy/limiter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

#define ALL ((struct rf_cost){.mask = 1, .weight = 1})

static struct rf_limiter one(uint64_t count, uint64_t window_ms, enum rpcfan_unit unit)
{
    struct rf_limiter lim;
    struct rpcfan_limit l = {.count = count, .window_ms = window_ms, .unit = unit};
    assert_int_equal(rf_limiter_init(&lim, &l, 1), RPCFAN_OK);
    lim.rtt_ns = 0;
    return lim;
}

/* Take the pacer away, so that the log alone decides. */
static struct rf_limiter unpaced(uint64_t count, uint64_t window_ms)
{
    struct rf_limiter lim = one(count, window_ms, RPCFAN_REQUESTS);
    lim.w[0].gap_ns = 0;
    return lim;
}

static uint32_t room(struct rf_limiter *lim, uint32_t want, uint64_t now_ns)
{
    uint64_t wait;
    return rf_limiter_room(lim, ALL, want, now_ns, &wait);
}

static uint64_t wait_at(struct rf_limiter *lim, uint64_t now_ns)
{
    uint64_t wait;
    assert_int_equal(rf_limiter_room(lim, ALL, 1, now_ns, &wait), 0);
    return wait;
}

static void test_init_bad_limits(void **state)
{
    (void)state;
    struct rf_limiter lim;
    struct rpcfan_limit l[RF_WINDOWS_MAX + 1];
    for (size_t i = 0; i < RF_COUNT(l); i++)
        l[i] = (struct rpcfan_limit){.count = 1, .window_ms = 1};
    assert_int_equal(rf_limiter_init(&lim, l, RF_WINDOWS_MAX + 1), RPCFAN_EINVAL);
    l[1].count = 0;
    assert_int_equal(rf_limiter_init(&lim, l, 2), RPCFAN_EINVAL);
    l[1].count = UINT64_MAX;
    assert_int_equal(rf_limiter_init(&lim, l, 2), RPCFAN_EINVAL);
    l[1].count = 1;
    l[1].window_ms = 0;
    assert_int_equal(rf_limiter_init(&lim, l, 2), RPCFAN_EINVAL);
    l[1].window_ms = UINT64_MAX;
    assert_int_equal(rf_limiter_init(&lim, l, 2), RPCFAN_EINVAL);
    l[1].window_ms = 1;
    l[1].unit = (enum rpcfan_unit)7;
    assert_int_equal(rf_limiter_init(&lim, l, 2), RPCFAN_EINVAL);
    rf_limiter_fini(&lim);
}

static void test_init_out_of_memory(void **state)
{
    (void)state;
    struct rf_limiter lim;
    struct rpcfan_limit l = {.count = 1, .window_ms = 1};
    rf_alloc_fail_at(1);
    assert_int_equal(rf_limiter_init(&lim, &l, 1), RPCFAN_ENOMEM);
    rf_alloc_fail_at(0);
    assert_int_equal(lim.n, 0);
    rf_limiter_fini(&lim);
}

static void test_no_windows_never_limit(void **state)
{
    (void)state;
    struct rf_limiter lim;
    uint64_t wait = 7;
    assert_int_equal(rf_limiter_init(&lim, NULL, 0), RPCFAN_OK);
    assert_int_equal(rf_limiter_room(&lim, ALL, 1000, 5, &wait), 1000);
    assert_int_equal(wait, 0);
    assert_true(rf_limiter_fits(&lim, ALL));
    rf_limiter_fini(&lim);
}

static void test_pacer_start_and_rate(void **state)
{
    (void)state;
    struct rf_limiter lim = one(100, 1000, RPCFAN_REQUESTS); /* T = 10 ms */
    assert_int_equal(room(&lim, 50, RF_SEC), 3);             /* floor(20 / 10) + 1 */
    rf_limiter_commit(&lim, ALL, 3, RF_SEC);
    assert_int_equal(wait_at(&lim, RF_SEC), 10 * RF_MS);
    assert_int_equal(room(&lim, 50, RF_SEC + 10 * RF_MS), 1);
    rf_limiter_commit(&lim, ALL, 1, RF_SEC + 10 * RF_MS);
    assert_int_equal(wait_at(&lim, RF_SEC + 10 * RF_MS), 10 * RF_MS);
    assert_int_equal(room(&lim, 50, RF_SEC + 10 * RF_SEC), 3); /* a long idle saves up no more */
    rf_limiter_fini(&lim);
}

static void test_pacer_late_timer_made_up(void **state)
{
    (void)state;
    struct rf_limiter lim = one(100, 1000, RPCFAN_REQUESTS);
    rf_limiter_commit(&lim, ALL, 3, 0);
    assert_int_equal(room(&lim, 50, 25 * RF_MS), 2); /* due at 10 and 20 ms */
    rf_limiter_fini(&lim);
}

static void test_pacer_heavy_call_is_delayed_not_stuck(void **state)
{
    (void)state;
    struct rf_limiter lim = one(100, 10000, RPCFAN_WEIGHT); /* T = 100 ms, tolerance 20 ms */
    struct rf_cost heavy = {.mask = 1, .weight = 50};
    uint64_t wait;
    assert_int_equal(rf_limiter_room(&lim, heavy, 9, 0, &wait), 1);
    rf_limiter_commit(&lim, heavy, 1, 0);
    assert_int_equal(rf_limiter_room(&lim, heavy, 9, 0, &wait), 0);
    assert_int_equal(wait, 5 * RF_SEC - 20 * RF_MS);
    assert_int_equal(rf_limiter_room(&lim, heavy, 9, wait, &wait), 1);
    rf_limiter_fini(&lim);
}

static void test_resume_has_no_burst(void **state)
{
    (void)state;
    struct rf_limiter lim = one(1000, 1000, RPCFAN_REQUESTS); /* T = 1 ms: 21 at once */
    assert_int_equal(room(&lim, 100, RF_SEC), 21);
    rf_limiter_resume(&lim, RF_SEC);
    assert_int_equal(room(&lim, 100, RF_SEC), 1);
    rf_limiter_commit(&lim, ALL, 1, RF_SEC);
    assert_int_equal(wait_at(&lim, RF_SEC), 1 * RF_MS);
    rf_limiter_fini(&lim);
}

static void test_receive_stamped_holds_from_send_to_answer_plus_window(void **state)
{
    (void)state;
    struct rf_limiter lim = unpaced(2, 10000);
    assert_int_equal(room(&lim, 9, 0), 2);
    rf_limiter_commit(&lim, ALL, 2, 0);
    assert_int_equal(wait_at(&lim, 60 * RF_SEC), RF_NEVER); /* only a completion makes room */
    rf_limiter_settle(&lim, ALL, 1, RF_LIMITER_ARRIVED, 0, 61 * RF_SEC);
    assert_int_equal(wait_at(&lim, 61 * RF_SEC), 10 * RF_SEC);
    assert_int_equal(room(&lim, 9, 71 * RF_SEC - 1), 0);
    assert_int_equal(room(&lim, 9, 71 * RF_SEC), 1);
    rf_limiter_fini(&lim);
}

static void test_receive_stamped_refund_frees_at_once(void **state)
{
    (void)state;
    struct rf_limiter lim = unpaced(2, 10000);
    rf_limiter_commit(&lim, ALL, 2, 0);
    rf_limiter_settle(&lim, ALL, 2, RF_LIMITER_REFUND, 0, 1);
    assert_int_equal(room(&lim, 9, 1), 2);
    assert_int_equal(lim.w[0].logged, 0);
    rf_limiter_fini(&lim);
}

/* The shortest round trip is known: 20 ms. */
static void know_base(struct rf_limiter *lim)
{
    lim->base_samples = 64;
    lim->base_ns[0] = lim->base_ns[1] = 20 * RF_MS;
}

static void test_send_stamped_expires_by_lateness(void **state)
{
    (void)state;
    static const struct {
        unsigned throttled;
        uint64_t rtt_ms, until_ms;
    } cases[] = {{0, 20, 1005},  /* as quick as any: the edge alone */
                 {0, 50, 1035},  /* 30 ms late, and the edge */
                 {0, 400, 1100}, /* a tenth of the window at most */
                 {1, 400, 1160}, /* J allows for 60 ms more ... */
                 {9, 400, 1300}, /* ... up to 300 ms in all */
                 {9, 30, 1015}}; /* and costs nothing where nothing is late */
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rf_limiter lim = unpaced(2, 1000);
        know_base(&lim);
        for (unsigned k = 0; k < cases[i].throttled; k++)
            rf_limiter_throttled(&lim);
        rf_limiter_commit(&lim, ALL, 2, RF_SEC);
        assert_int_equal(wait_at(&lim, RF_SEC), 1100 * RF_MS); /* until it is settled */
        uint64_t at = RF_SEC + cases[i].rtt_ms * RF_MS;
        rf_limiter_settle(&lim, ALL, 2, RF_LIMITER_ARRIVED, RF_SEC, at);
        uint64_t until = RF_SEC + cases[i].until_ms * RF_MS;
        assert_int_equal(wait_at(&lim, at), until - at);
        assert_int_equal(room(&lim, 9, until), 2);
        rf_limiter_fini(&lim);
    }
}

/* The first round trips hold handshakes: they are no measure for others, and stand for themselves.
 */
static void test_send_stamped_first_round_trips_count_whole(void **state)
{
    (void)state;
    struct rf_limiter lim = unpaced(1, 1000);
    for (uint64_t i = 1, t; i <= 80; i++) {
        t = i * 1180 * RF_MS;
        assert_int_equal(room(&lim, 1, t), 1);
        rf_limiter_commit(&lim, ALL, 1, t);
        rf_limiter_settle(&lim, ALL, 1, RF_LIMITER_ARRIVED, t, t + 180 * RF_MS);
        if (lim.base_samples < 64)
            assert_int_equal(wait_at(&lim, t + 180 * RF_MS), RF_SEC);
        else
            assert_int_equal(wait_at(&lim, t + 180 * RF_MS), 825 * RF_MS);
    }
    rf_limiter_fini(&lim);
}

/* A way that has become longer is believed after a minute. */
static void test_base_is_that_of_late(void **state)
{
    (void)state;
    struct rf_limiter lim = unpaced(1, 1000);
    know_base(&lim);
    for (uint64_t t = 2 * RF_SEC; t < 64 * RF_SEC; t += 2 * RF_SEC) {
        rf_limiter_commit(&lim, ALL, 1, t);
        rf_limiter_settle(&lim, ALL, 1, RF_LIMITER_ARRIVED, t, t + 90 * RF_MS);
        uint64_t until = t < 60 * RF_SEC ? 1075 : 1005;
        assert_int_equal(wait_at(&lim, t + 90 * RF_MS), (until - 90) * RF_MS);
    }
    rf_limiter_fini(&lim);
}

static void test_margin_bounds(void **state)
{
    (void)state;
    struct rpcfan_limit l[] = {{.count = 1, .window_ms = 2000}, {.count = 1, .window_ms = 2001}};
    struct rf_limiter lim;
    assert_int_equal(rf_limiter_init(&lim, l, 2), RPCFAN_OK);
    for (int i = 0; i < 20; i++)
        rf_limiter_throttled(&lim);
    assert_int_equal(lim.w[0].margin_ns, 300 * RF_MS);
    assert_int_equal(lim.w[1].margin_ns, 0); /* receive-stamped: needs none */
    rf_limiter_succeeded(&lim, 0);
    assert_int_equal(lim.w[0].margin_ns, 300 * RF_MS - 10 * RF_US);
    for (int i = 0; i < 50000; i++)
        rf_limiter_succeeded(&lim, 0);
    assert_int_equal(lim.w[0].margin_ns, 0);
    rf_limiter_fini(&lim);
}

/* Answers overtake one another: each entry leaves at its own time. */
static void test_log_is_sorted_whatever_order_answers_come_in(void **state)
{
    (void)state;
    struct rf_limiter lim = unpaced(3, 1000);
    know_base(&lim);
    for (uint64_t i = 0; i < 3; i++)
        rf_limiter_commit(&lim, ALL, 1, i * 10 * RF_MS);
    rf_limiter_settle(&lim, ALL, 1, RF_LIMITER_ARRIVED, 20 * RF_MS, 40 * RF_MS); /* till 1025 */
    rf_limiter_settle(&lim, ALL, 1, RF_LIMITER_ARRIVED, 0, 90 * RF_MS);          /* till 1075 */
    rf_limiter_settle(&lim, ALL, 1, RF_LIMITER_ARRIVED, 10 * RF_MS, 95 * RF_MS); /* till 1080 */
    assert_int_equal(room(&lim, 9, 1025 * RF_MS - 1), 0);
    assert_int_equal(room(&lim, 9, 1025 * RF_MS), 1);
    assert_int_equal(room(&lim, 9, 1075 * RF_MS), 2);
    assert_int_equal(room(&lim, 9, 1080 * RF_MS - 1), 2);
    assert_int_equal(room(&lim, 9, 1080 * RF_MS), 3);
    rf_limiter_fini(&lim);
}

/* One that takes longer than the window holds its unit no longer than that and a tenth. */
static void test_send_stamped_slow_answer_holds_no_longer(void **state)
{
    (void)state;
    struct rf_limiter lim = unpaced(1, 1000);
    know_base(&lim);
    rf_limiter_commit(&lim, ALL, 1, 0);
    assert_int_equal(room(&lim, 9, 1100 * RF_MS), 1);
    rf_limiter_commit(&lim, ALL, 1, 1100 * RF_MS);
    rf_limiter_settle(&lim, ALL, 1, RF_LIMITER_ARRIVED, 0, 1500 * RF_MS);
    assert_int_equal(wait_at(&lim, 1500 * RF_MS), 700 * RF_MS); /* the second one's */
    rf_limiter_settle(&lim, ALL, 1, RF_LIMITER_LOST, 1100 * RF_MS, 1600 * RF_MS);
    assert_int_equal(wait_at(&lim, 1600 * RF_MS), 600 * RF_MS);
    rf_limiter_fini(&lim);
}

static void test_send_stamped_refund_within_the_window(void **state)
{
    (void)state;
    struct rf_limiter lim = unpaced(3, 1000);
    rf_limiter_commit(&lim, ALL, 3, 0);
    rf_limiter_settle(&lim, ALL, 2, RF_LIMITER_REFUND, 0, 999 * RF_MS);
    assert_int_equal(room(&lim, 9, 999 * RF_MS), 2);
    rf_limiter_fini(&lim);
}

/* The refused call's entry is long gone: taking another's would admit a fourth call a second. */
static void test_send_stamped_refund_after_the_window_takes_nothing(void **state)
{
    (void)state;
    struct rf_limiter lim = unpaced(3, 1000);
    rf_limiter_commit(&lim, ALL, 1, 0);
    rf_limiter_commit(&lim, ALL, 3, 2900 * RF_MS);
    rf_limiter_settle(&lim, ALL, 1, RF_LIMITER_REFUND, 0, 3000 * RF_MS);
    assert_int_equal(room(&lim, 9, 3000 * RF_MS), 0);
    assert_int_equal(lim.w[0].in_flight, 3);
    rf_limiter_fini(&lim);
}

static void test_all_matching_windows_count(void **state)
{
    (void)state;
    struct rpcfan_limit l[] = {{.count = 10, .window_ms = 10000},
                               {.count = 4, .window_ms = 10000},
                               {.count = 60, .window_ms = 10000, .unit = RPCFAN_WEIGHT}};
    struct rf_limiter lim;
    assert_int_equal(rf_limiter_init(&lim, l, 3), RPCFAN_OK);
    lim.rtt_ns = 0;
    for (int i = 0; i < 3; i++)
        lim.w[i].gap_ns = 0;
    struct rf_cost method = {.mask = 3, .weight = 99}, other = {.mask = 1, .weight = 99};
    struct rf_cost heavy = {.mask = 5, .weight = 25}, free_of_charge = {.mask = 4, .weight = 0};
    uint64_t wait;
    assert_int_equal(rf_limiter_room(&lim, method, 99, 0, &wait), 4);
    rf_limiter_commit(&lim, method, 4, 0);
    assert_int_equal(rf_limiter_room(&lim, method, 99, 0, &wait), 0);
    assert_int_equal(rf_limiter_room(&lim, other, 99, 0, &wait), 6);
    assert_int_equal(rf_limiter_room(&lim, heavy, 99, 0, &wait), 2);
    rf_limiter_commit(&lim, heavy, 2, 0);
    assert_int_equal(rf_limiter_room(&lim, heavy, 99, 0, &wait), 0);
    assert_int_equal(rf_limiter_room(&lim, free_of_charge, 99, 0, &wait), 99);
    assert_int_equal(rf_limiter_room(&lim, other, 99, 0, &wait), 4);
    rf_limiter_fini(&lim);
}

static void test_cost_that_never_fits(void **state)
{
    (void)state;
    struct rf_limiter lim = one(10, 10000, RPCFAN_WEIGHT);
    struct rf_cost cost = {.mask = 1, .weight = 11};
    uint64_t wait;
    assert_false(rf_limiter_fits(&lim, cost));
    assert_int_equal(rf_limiter_room(&lim, cost, 1, 0, &wait), 0);
    assert_int_equal(wait, RF_NEVER);
    cost.weight = 10;
    assert_true(rf_limiter_fits(&lim, cost));
    assert_int_equal(rf_limiter_room(&lim, cost, 1, 0, &wait), 1);
    rf_limiter_fini(&lim);
}

static void test_charge_extra_overdraws_and_recovers(void **state)
{
    (void)state;
    struct rf_limiter lim = unpaced(2, 10000);
    rf_limiter_commit(&lim, ALL, 2, 0);
    rf_limiter_charge_extra(&lim, ALL, 1, RF_SEC);
    rf_limiter_settle(&lim, ALL, 2, RF_LIMITER_ARRIVED, 0, 2 * RF_SEC);
    assert_int_equal(lim.w[0].logged, 3);
    assert_int_equal(room(&lim, 9, 11 * RF_SEC), 0); /* the extra unit has left, two remain */
    assert_int_equal(room(&lim, 9, 12 * RF_SEC), 2);
    rf_limiter_fini(&lim);
}

static void test_charge_extra_cannot_close_the_pacer_for_ever(void **state)
{
    (void)state;
    struct rf_limiter lim = one(2, 10000, RPCFAN_REQUESTS);
    for (int i = 0; i < 1000; i++)
        rf_limiter_charge_extra(&lim, ALL, UINT32_MAX, 0);
    assert_true(wait_at(&lim, 0) <= 10 * RF_SEC);
    assert_int_equal(room(&lim, 9, 10 * RF_SEC), 1);
    rf_limiter_fini(&lim);
}

/* A stream of single sends must not melt into one entry whose expiry creeps ahead for ever. */
static void test_merged_entries_expire_in_time(void **state)
{
    (void)state;
    struct rf_limiter lim = unpaced(5000, 10000);
    for (uint64_t i = 0; i < 5000; i++) {
        uint64_t now = i * 2 * RF_MS;
        assert_int_equal(room(&lim, 1, now), 1);
        rf_limiter_commit(&lim, ALL, 1, now);
        rf_limiter_settle(&lim, ALL, 1, RF_LIMITER_ARRIVED, now, now);
    }
    assert_in_range(lim.w[0].n, 250, RF_WINDOW_ENTRIES);
    assert_int_equal(lim.w[0].logged, 5000);
    uint64_t grid = 10 * RF_SEC / 255 + 1;
    for (uint64_t i = 0; i < 5000; i += 100) {
        uint64_t now = 10 * RF_SEC + i * 2 * RF_MS + grid;
        assert_true(room(&lim, 5000, now) >= i + 1);
        assert_true(room(&lim, 5000, now) <= i + 2 * grid / (2 * RF_MS) + 1);
    }
    rf_limiter_fini(&lim);
}

static void test_full_ring_loses_no_units(void **state)
{
    (void)state;
    struct rf_limiter lim = unpaced(256, 10000);
    for (uint64_t i = 0; i < 300; i++)
        rf_limiter_charge_extra(&lim, ALL, 1, i);
    assert_int_equal(lim.w[0].n, RF_WINDOW_ENTRIES);
    assert_int_equal(lim.w[0].logged, 300);
    assert_int_equal(room(&lim, 999, 10 * RF_SEC + 254), 211); /* 45 wait for the last */
    assert_int_equal(room(&lim, 999, 10 * RF_SEC + 299), 256);
    rf_limiter_fini(&lim);
}

static void test_end_of_time(void **state)
{
    (void)state;
    struct rf_limiter lim = one(2, 10000, RPCFAN_REQUESTS);
    uint64_t late = RF_NEVER - 5;
    assert_int_equal(room(&lim, 9, late), 1);
    rf_limiter_commit(&lim, ALL, 1, late);
    rf_limiter_settle(&lim, ALL, 1, RF_LIMITER_ARRIVED, late, late);
    rf_limiter_resume(&lim, late);
    (void)room(&lim, 9, RF_NEVER);
    assert_int_equal(lim.w[0].in_flight, 0);
    rf_limiter_fini(&lim);
}

/* What was lost may be on its way still: for the peak round trip of late. */
static void test_lost_waits_for_a_round_trip(void **state)
{
    (void)state;
    struct rf_limiter lim = unpaced(1, 10000);
    rf_limiter_succeeded(&lim, 400 * RF_MS);
    rf_limiter_succeeded(&lim, 1 * RF_MS); /* the peak fades slowly */
    assert_true(lim.rtt_ns > 390 * RF_MS && lim.rtt_ns < 400 * RF_MS);
    rf_limiter_commit(&lim, ALL, 1, 0);
    rf_limiter_settle(&lim, ALL, 1, RF_LIMITER_LOST, 0, RF_SEC);
    assert_int_equal(wait_at(&lim, RF_SEC), 10 * RF_SEC + lim.rtt_ns);
    rf_limiter_fini(&lim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init_bad_limits),
        cmocka_unit_test(test_init_out_of_memory),
        cmocka_unit_test(test_no_windows_never_limit),
        cmocka_unit_test(test_pacer_start_and_rate),
        cmocka_unit_test(test_pacer_late_timer_made_up),
        cmocka_unit_test(test_pacer_heavy_call_is_delayed_not_stuck),
        cmocka_unit_test(test_resume_has_no_burst),
        cmocka_unit_test(test_receive_stamped_holds_from_send_to_answer_plus_window),
        cmocka_unit_test(test_receive_stamped_refund_frees_at_once),
        cmocka_unit_test(test_send_stamped_expires_by_lateness),
        cmocka_unit_test(test_send_stamped_first_round_trips_count_whole),
        cmocka_unit_test(test_send_stamped_slow_answer_holds_no_longer),
        cmocka_unit_test(test_base_is_that_of_late),
        cmocka_unit_test(test_margin_bounds),
        cmocka_unit_test(test_log_is_sorted_whatever_order_answers_come_in),
        cmocka_unit_test(test_send_stamped_refund_within_the_window),
        cmocka_unit_test(test_send_stamped_refund_after_the_window_takes_nothing),
        cmocka_unit_test(test_all_matching_windows_count),
        cmocka_unit_test(test_cost_that_never_fits),
        cmocka_unit_test(test_charge_extra_overdraws_and_recovers),
        cmocka_unit_test(test_charge_extra_cannot_close_the_pacer_for_ever),
        cmocka_unit_test(test_merged_entries_expire_in_time),
        cmocka_unit_test(test_full_ring_loses_no_units),
        cmocka_unit_test(test_lost_waits_for_a_round_trip),
        cmocka_unit_test(test_end_of_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
