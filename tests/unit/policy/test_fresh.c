/* test_fresh.c - heads, lag, wild heads, chains that start again, probes: one case each. */
#include "policy/fresh.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define S RF_SEC
#define A 0
#define B 1
#define C 2
#define BIT(ep) (UINT64_C(1) << (ep))
#define WILD_HEAD (UINT64_C(1) << 60)

static struct rf_fresh fresh(uint32_t n)
{
    struct rf_fresh f;
    rf_fresh_init(&f, n, 3);
    return f;
}

static void test_nothing_known_lags_nobody_and_has_all(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(3);
    assert_int_equal(rf_fresh_best(&f), 0);
    assert_int_equal(rf_fresh_head(&f, B), 0);
    assert_int_equal(rf_fresh_lagging(&f, 5 * S), 0);
    assert_int_equal(rf_fresh_probe(&f, 5 * S), 0);
    assert_true(rf_fresh_next_probe(&f, 5 * S) == RF_NEVER);
    assert_int_equal(rf_fresh_has(&f, 7, 1000, 5 * S), 7);
}

/* The example at the head of fresh.c, to the letter. */
static void test_example_of_the_file_head(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(2);
    rf_fresh_seen(&f, A, 100, 10 * S);
    rf_fresh_seen(&f, B, 100, 10 * S + 100 * RF_MS);
    rf_fresh_seen(&f, A, 106, 80 * S);
    assert_int_equal(rf_fresh_lagging(&f, 80 * S), 0);
    assert_int_equal(rf_fresh_has(&f, 3, 106, 80 * S), 3);
    rf_fresh_seen(&f, B, 101, 81 * S);
    assert_int_equal(rf_fresh_lag(&f, B), 5);
    assert_int_equal(rf_fresh_lagging(&f, 81 * S), BIT(B));
    assert_int_equal(rf_fresh_has(&f, 3, 106, 81 * S), BIT(A));
    assert_int_equal(rf_fresh_probe(&f, 83 * S - 1), 0);
    assert_int_equal(rf_fresh_next_probe(&f, 82 * S), 83 * S);
    assert_int_equal(rf_fresh_probe(&f, 83 * S), BIT(B));
    rf_fresh_answered(&f, B, 106, 83 * S, 83 * S + 100 * RF_MS);
    assert_int_equal(rf_fresh_lagging(&f, 84 * S), 0);
    assert_int_equal(rf_fresh_best(&f), 106);
}

static void test_lag_max_is_no_lag_yet(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(2);
    rf_fresh_seen(&f, A, 103, 1 * S);
    rf_fresh_seen(&f, B, 100, 2 * S);
    assert_int_equal(rf_fresh_lag(&f, B), 3);
    assert_int_equal(rf_fresh_lagging(&f, 2 * S), 0);
    rf_fresh_seen(&f, B, 99, 2 * S);
    assert_int_equal(rf_fresh_lagging(&f, 2 * S), BIT(B));
}

/* An answer that took ten seconds is compared with the best of when it was asked for. */
static void test_slow_answer_is_not_lag(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(2);
    for (uint64_t i = 0; i <= 20; i++)
        rf_fresh_seen(&f, A, 100 + i, (10 + i) * S);
    rf_fresh_answered(&f, B, 110, 20 * S, 30 * S);
    assert_int_equal(rf_fresh_lag(&f, B), 0);
    rf_fresh_answered(&f, B, 111, 29 * S, 30 * S);
    assert_int_equal(rf_fresh_lag(&f, B), 8);
}

static void test_overtaken_answer_says_nothing(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(2);
    rf_fresh_answered(&f, A, 200, 10 * S, 11 * S);
    rf_fresh_answered(&f, A, 150, 9 * S, 12 * S);
    assert_int_equal(rf_fresh_head(&f, A), 200);
    assert_int_equal(f.ep[A].regressions, 0);
    assert_int_equal(rf_fresh_lag(&f, A), 0);
}

/* Two machines behind one URL: the lower answer counts for lag, the higher for what is there. */
static void test_lower_answer_is_a_regression_and_the_block_is_still_there(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(2);
    rf_fresh_seen(&f, A, 1000, 1 * S);
    rf_fresh_seen(&f, B, 1000, 1 * S);
    rf_fresh_seen(&f, B, 997, 2 * S); /* within lag_max: the machines are a block apart, no more */
    assert_int_equal(f.ep[B].regressions, 0);
    rf_fresh_seen(&f, B, 900, 3 * S);
    assert_int_equal(f.ep[B].regressions, 1);
    assert_int_equal(rf_fresh_head(&f, B), 900);
    assert_int_equal(rf_fresh_lag(&f, B), 100);
    assert_int_equal(rf_fresh_lagging(&f, 3 * S), BIT(B));
    assert_int_equal(rf_fresh_has(&f, 3, 1000, 3 * S), 3);
    rf_fresh_seen(&f, B, 1000, 4 * S);
    assert_int_equal(rf_fresh_lagging(&f, 4 * S), 0);
}

static void test_rare_answer_is_measured_at_its_own_time(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(2);
    for (uint64_t t = 0; t < 50; t++) {
        rf_fresh_seen(&f, A, 1000 + t, t * S);
        if (t == 3)
            rf_fresh_seen(&f, B, 1003, t * S);
        assert_int_equal(rf_fresh_lagging(&f, t * S), 0);
        assert_int_equal(rf_fresh_has(&f, 3, 1000 + t, t * S), 3);
    }
}

/* Seen at 95 with the best at 100: its head comes closer at twice the chain's rate at most. */
static void test_has_lets_a_head_advance_with_time(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(2);
    for (uint64_t t = 0; t <= 10; t++)
        rf_fresh_seen(&f, A, 90 + t, t * S);
    rf_fresh_seen(&f, B, 90, 10 * S);
    assert_int_equal(rf_fresh_has(&f, 3, 90, 10 * S), 3);
    assert_int_equal(rf_fresh_has(&f, 3, 91, 10 * S), BIT(A));
    assert_int_equal(rf_fresh_has(&f, 3, 91, 10 * S + 499 * RF_MS), BIT(A));
    assert_int_equal(rf_fresh_has(&f, 3, 91, 10 * S + 500 * RF_MS), 3);
    assert_int_equal(rf_fresh_has(&f, 3, 100, 14 * S), BIT(A));
    assert_int_equal(rf_fresh_has(&f, 3, 100, 15 * S), 3);
    /* a block beyond the best: either may get it, the one that lags later */
    assert_int_equal(rf_fresh_has(&f, 3, 101, 10 * S), 0);
    assert_int_equal(rf_fresh_has(&f, 3, 101, 11 * S), BIT(A));
    assert_int_equal(rf_fresh_has(&f, BIT(B) | BIT(40), 100, 10 * S), BIT(40));
    /* what was seen over a minute ago may be anywhere by now */
    assert_int_equal(rf_fresh_has(&f, 3, 5000, 70 * S), 0);
    assert_int_equal(rf_fresh_has(&f, 3, 5000, 70 * S + 1), 3);
}

static void test_has_without_a_rate_waits_two_seconds(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(2);
    rf_fresh_seen(&f, A, 100, 1 * S);
    rf_fresh_seen(&f, B, 50, 1 * S);
    assert_int_equal(rf_fresh_has(&f, 3, 100, 3 * S - 1), BIT(A));
    assert_int_equal(rf_fresh_has(&f, 3, 100, 3 * S), 3);
}

static void test_own_word_of_lag_holds_until_a_head(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(3);
    rf_fresh_behind(&f, C, 0, 1 * S);
    assert_int_equal(rf_fresh_lagging(&f, 1 * S), BIT(C));
    assert_int_equal(rf_fresh_lag(&f, C), 4);
    rf_fresh_seen(&f, A, 1000, 2 * S);
    rf_fresh_behind(&f, A, 42, 3 * S);
    assert_int_equal(rf_fresh_lag(&f, A), 42);
    assert_int_equal(rf_fresh_lagging(&f, 3 * S), BIT(A) | BIT(C));
    rf_fresh_answered(&f, A, 1001, 2 * S, 4 * S); /* asked for before it said so */
    assert_int_equal(rf_fresh_lag(&f, A), 42);
    rf_fresh_seen(&f, A, 1002, 5 * S);
    rf_fresh_seen(&f, C, 1000, 5 * S);
    assert_int_equal(rf_fresh_lagging(&f, 5 * S), 0);
    rf_fresh_behind(&f, B, 3, 6 * S); /* as it says itself, not too far */
    assert_int_equal(rf_fresh_lagging(&f, 6 * S), 0);
}

static void test_lag_ends_unproved_after_a_minute(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(2);
    rf_fresh_seen(&f, A, 1000, 1 * S);
    rf_fresh_seen(&f, B, 900, 1 * S);
    assert_int_equal(rf_fresh_probe(&f, 58 * S), BIT(B));
    assert_int_equal(rf_fresh_next_probe(&f, 58 * S), 60 * S);
    assert_int_equal(rf_fresh_probe(&f, 60 * S), BIT(B));
    assert_true(rf_fresh_next_probe(&f, 60 * S) == RF_NEVER); /* due when the lag has ended */
    assert_int_equal(rf_fresh_lagging(&f, 61 * S), BIT(B));
    assert_int_equal(rf_fresh_lagging(&f, 61 * S + 1), 0);
    assert_true(rf_fresh_next_probe(&f, 61 * S + 1) == RF_NEVER);
    assert_int_equal(rf_fresh_has(&f, 3, 1000, 61 * S + 1), 3);
}

static void test_floor_raises_what_is_there_and_is_no_lag(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(2);
    rf_fresh_floor(&f, B, 5, 1 * S, 1 * S); /* before any head: an old block is no best */
    assert_int_equal(rf_fresh_best(&f), 0);
    rf_fresh_seen(&f, A, 1000, 1 * S);
    rf_fresh_seen(&f, B, 990, 1 * S);
    rf_fresh_floor(&f, B, 17, 2 * S, 2 * S);
    assert_int_equal(rf_fresh_head(&f, B), 990);
    assert_int_equal(rf_fresh_has(&f, 3, 995, 2 * S), BIT(A));
    rf_fresh_floor(&f, B, 995, 2 * S, 2 * S);
    assert_int_equal(rf_fresh_has(&f, 3, 995, 2 * S), 3);
    assert_int_equal(rf_fresh_lag(&f, B), 10);
    rf_fresh_floor(&f, B, 1000, 2 * S, 2 * S);
    assert_int_equal(rf_fresh_lag(&f, B), 0);
    rf_fresh_floor(&f, B, 1001, 3 * S, 3 * S);
    assert_int_equal(rf_fresh_best(&f), 1001);
}

static void test_wild_head_without_a_witness_is_not_the_best(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(3);
    rf_fresh_seen(&f, A, 1000, 1 * S);
    rf_fresh_seen(&f, C, WILD_HEAD, 2 * S);
    rf_fresh_seen(&f, B, 1001, 3 * S);
    assert_int_equal(rf_fresh_best(&f), 1001);
    assert_int_equal(rf_fresh_lagging(&f, 3 * S), 0);
    assert_int_equal(rf_fresh_head(&f, C), WILD_HEAD);
    for (uint64_t t = 4; t < 400; t++) {
        rf_fresh_seen(&f, C, WILD_HEAD, t * S);
        rf_fresh_seen(&f, t % 2 ? A : B, 1000 + t, t * S);
        assert_int_equal(rf_fresh_best(&f), 1000 + t);
        assert_int_equal(rf_fresh_lagging(&f, t * S), 0);
    }
}

static void test_wild_head_first_falls_to_the_second_word(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(2);
    rf_fresh_seen(&f, A, WILD_HEAD, 1 * S);
    assert_int_equal(rf_fresh_best(&f), WILD_HEAD);
    rf_fresh_seen(&f, B, 1000, 2 * S);
    assert_int_equal(rf_fresh_best(&f), 1000);
    assert_int_equal(rf_fresh_lagging(&f, 2 * S), 0);
    rf_fresh_seen(&f, A, WILD_HEAD, 3 * S);
    assert_int_equal(rf_fresh_best(&f), 1000);
}

static void test_wild_head_with_a_witness_counts(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(3);
    rf_fresh_seen(&f, A, 1000, 1 * S); /* a node that began to sync */
    rf_fresh_seen(&f, B, 20000000, 2 * S);
    assert_int_equal(rf_fresh_best(&f), 1000);
    rf_fresh_seen(&f, C, 19999999, 3 * S);
    assert_int_equal(rf_fresh_best(&f), 19999999);
    rf_fresh_seen(&f, B, 20000000, 4 * S);
    assert_int_equal(rf_fresh_best(&f), 20000000);
    rf_fresh_seen(&f, A, 1100, 5 * S);
    assert_int_equal(rf_fresh_lagging(&f, 5 * S), BIT(A));
}

/* Another chain's URL was asked first and goes on block by block: two others overrule it. */
static void test_rising_stranger_is_overruled_by_two(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(3);
    rf_fresh_seen(&f, A, 300000000, 1 * S);
    rf_fresh_seen(&f, A, 300000001, 2 * S);
    rf_fresh_seen(&f, B, 20000000, 3 * S);
    assert_int_equal(rf_fresh_lagging(&f, 3 * S), BIT(B));
    rf_fresh_seen(&f, C, 20000001, 4 * S);
    assert_int_equal(rf_fresh_best(&f), 20000001);
    assert_int_equal(rf_fresh_lagging(&f, 4 * S), 0);
}

/* A good node that serves alone is not unseated by a stuck one that is asked once. */
static void test_rising_best_stands_against_one_far_below(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(2);
    for (uint64_t t = 0; t < 10; t++)
        rf_fresh_seen(&f, A, 20000000 + t, t * S);
    rf_fresh_seen(&f, B, 5000000, 10 * S);
    assert_int_equal(rf_fresh_best(&f), 20000009);
    assert_int_equal(rf_fresh_lagging(&f, 10 * S), BIT(B));
}

/* Two of which one is stuck far below and spoke first: the one that goes on wins after a minute. */
static void test_stuck_best_gives_way_to_one_that_rises(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(2);
    for (uint64_t t = 0; t <= 60; t++) {
        rf_fresh_seen(&f, B, 5000000, t * S);
        rf_fresh_seen(&f, A, 20000000 + t, t * S);
        assert_int_equal(rf_fresh_best(&f), 5000000);
        assert_int_equal(rf_fresh_lagging(&f, t * S), 0);
    }
    rf_fresh_seen(&f, A, 20000061, 61 * S);
    assert_int_equal(rf_fresh_best(&f), 20000061);
    rf_fresh_seen(&f, B, 5000000, 62 * S);
    assert_int_equal(rf_fresh_lagging(&f, 62 * S), BIT(B));
}

static void test_jump_counts_where_nobody_contradicts(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(2);
    rf_fresh_seen(&f, A, 1000, 1 * S);
    rf_fresh_seen(&f, A, 501000, 2 * S); /* a development node that mined by order */
    assert_int_equal(rf_fresh_best(&f), 501000);
    rf_fresh_seen(&f, B, 501000, 3 * S);
    rf_fresh_seen(&f, A, 601000, 100000 * S); /* a night's idleness */
    assert_int_equal(rf_fresh_best(&f), 601000);
    assert_int_equal(rf_fresh_lagging(&f, 100000 * S), 0);
}

/* A jump that was believed for want of others falls to the first of them. */
static void test_jump_that_was_believed_falls_to_the_next_word(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(2);
    rf_fresh_seen(&f, A, 1000, 1 * S);
    rf_fresh_seen(&f, B, WILD_HEAD, 100 * S);
    assert_int_equal(rf_fresh_best(&f), WILD_HEAD);
    rf_fresh_seen(&f, A, 1100, 101 * S);
    assert_int_equal(rf_fresh_best(&f), 1100);
    assert_int_equal(rf_fresh_lagging(&f, 101 * S), 0);
}

static void test_jump_is_no_rate(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(1);
    rf_fresh_seen(&f, A, 1000, 1 * S);
    rf_fresh_seen(&f, A, 501000, 4 * S);
    assert_int_equal(rf_fresh_has(&f, 1, 501005, 4 * S + 100 * RF_MS), 0);
}

static void test_chain_that_starts_again_is_taken_after_a_minute(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(2);
    rf_fresh_seen(&f, A, 5000, 1 * S);
    rf_fresh_seen(&f, B, 5000, 1 * S);
    for (uint64_t t = 2; t < 62; t++) {
        rf_fresh_seen(&f, A, t, t * S);
        rf_fresh_seen(&f, B, t, t * S);
        assert_int_equal(rf_fresh_best(&f), 5000);
        assert_int_equal(rf_fresh_lagging(&f, t * S), 3);
    }
    rf_fresh_seen(&f, A, 62, 62 * S);
    assert_int_equal(rf_fresh_best(&f), 62);
    assert_int_equal(rf_fresh_lagging(&f, 62 * S), 0);
    rf_fresh_seen(&f, A, 67, 63 * S);
    rf_fresh_seen(&f, B, 63, 63 * S);
    assert_int_equal(rf_fresh_lag(&f, B), 4);
    assert_int_equal(rf_fresh_has(&f, 3, 67, 63 * S), BIT(A)); /* block 5000 is forgotten */
}

/* While the good endpoint idles, the probes of the lagging one are no new chain. */
static void test_probes_of_a_lagging_one_do_not_unseat_the_idle_best(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(2);
    rf_fresh_seen(&f, A, 5000, 0);
    rf_fresh_seen(&f, A, 4990, 1); /* the one that told it says less, and then the same again */
    rf_fresh_seen(&f, A, 5000, 2);
    rf_fresh_seen(&f, B, 4000, 1 * S);
    uint64_t t = 2;
    for (; t < 601; t++) {
        rf_fresh_seen(&f, B, 4000, t * S);
        assert_int_equal(rf_fresh_best(&f), 5000);
    }
    rf_fresh_seen(&f, B, 4000, t * S); /* but not for ever */
    assert_int_equal(rf_fresh_best(&f), 4000);
}

static void test_two_low_answers_far_apart_are_no_new_chain(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(2);
    rf_fresh_seen(&f, A, 5000, 1 * S);
    rf_fresh_seen(&f, A, 4999, 2 * S);
    rf_fresh_seen(&f, B, 4000, 900 * S);
    assert_int_equal(rf_fresh_best(&f), 5000);
    assert_int_equal(rf_fresh_lagging(&f, 900 * S), BIT(B));
}

static void test_ring_reaches_back_half_a_minute_on_a_fast_chain(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(2);
    for (uint64_t i = 0; i < 1000; i++) /* 10 heads a second for 100 s */
        rf_fresh_seen(&f, A, 1000 + i, i * 100 * RF_MS);
    uint64_t now = 999 * 100 * RF_MS;
    rf_fresh_answered(&f, B, 1000 + 999 - 310, now - 30 * S, now);
    assert_true(rf_fresh_lag(&f, B) >= 4 && rf_fresh_lag(&f, B) <= 10);
    rf_fresh_answered(&f, B, 1000 + 999 - 300, now - 30 * S, now);
    assert_int_equal(rf_fresh_lag(&f, B), 0);
}

static void test_extreme_figures_do_not_wrap(void **state)
{
    (void)state;
    struct rf_fresh f = fresh(64);
    rf_fresh_init(&f, 64, UINT32_MAX);
    rf_fresh_seen(&f, 63, UINT64_MAX, RF_NEVER - 1);
    rf_fresh_seen(&f, 62, UINT64_MAX, RF_NEVER - 1);
    rf_fresh_seen(&f, 61, 0, RF_NEVER - 1);
    assert_int_equal(rf_fresh_best(&f), UINT64_MAX);
    assert_int_equal(rf_fresh_lag(&f, 61), UINT64_MAX);
    assert_int_equal(rf_fresh_lagging(&f, RF_NEVER - 1), BIT(61));
    rf_fresh_behind(&f, 60, 0, RF_NEVER - 1);
    rf_fresh_behind(&f, 59, UINT64_MAX, RF_NEVER - 1);
    assert_int_equal(rf_fresh_lagging(&f, RF_NEVER - 1), BIT(61) | BIT(60) | BIT(59));
    assert_true(rf_fresh_next_probe(&f, RF_NEVER - 1) == RF_NEVER);
    assert_int_equal(rf_fresh_has(&f, UINT64_MAX, UINT64_MAX, RF_NEVER - 1), ~BIT(61));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_known_lags_nobody_and_has_all),
        cmocka_unit_test(test_example_of_the_file_head),
        cmocka_unit_test(test_lag_max_is_no_lag_yet),
        cmocka_unit_test(test_slow_answer_is_not_lag),
        cmocka_unit_test(test_overtaken_answer_says_nothing),
        cmocka_unit_test(test_lower_answer_is_a_regression_and_the_block_is_still_there),
        cmocka_unit_test(test_rare_answer_is_measured_at_its_own_time),
        cmocka_unit_test(test_has_lets_a_head_advance_with_time),
        cmocka_unit_test(test_has_without_a_rate_waits_two_seconds),
        cmocka_unit_test(test_own_word_of_lag_holds_until_a_head),
        cmocka_unit_test(test_lag_ends_unproved_after_a_minute),
        cmocka_unit_test(test_floor_raises_what_is_there_and_is_no_lag),
        cmocka_unit_test(test_wild_head_without_a_witness_is_not_the_best),
        cmocka_unit_test(test_wild_head_first_falls_to_the_second_word),
        cmocka_unit_test(test_wild_head_with_a_witness_counts),
        cmocka_unit_test(test_rising_stranger_is_overruled_by_two),
        cmocka_unit_test(test_rising_best_stands_against_one_far_below),
        cmocka_unit_test(test_stuck_best_gives_way_to_one_that_rises),
        cmocka_unit_test(test_jump_counts_where_nobody_contradicts),
        cmocka_unit_test(test_jump_that_was_believed_falls_to_the_next_word),
        cmocka_unit_test(test_jump_is_no_rate),
        cmocka_unit_test(test_chain_that_starts_again_is_taken_after_a_minute),
        cmocka_unit_test(test_probes_of_a_lagging_one_do_not_unseat_the_idle_best),
        cmocka_unit_test(test_two_low_answers_far_apart_are_no_new_chain),
        cmocka_unit_test(test_ring_reaches_back_half_a_minute_on_a_fast_chain),
        cmocka_unit_test(test_extreme_figures_do_not_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
