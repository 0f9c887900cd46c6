/* test_rate.c - the learned rate, step by step. */
#include "policy/rate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static uint64_t wait_ns;

static bool near(double a, double b)
{
    return fabs(a - b) <= 0.005 * b;
}

/* Send up to `want`, and say how many went. */
static uint32_t send_calls(struct rf_rate *r, uint32_t want, uint64_t now)
{
    uint32_t n = rf_rate_room(r, want, now, &wait_ns);
    rf_rate_commit(r, n, now);
    return n;
}

/* Send all there is leave for between two times, each call served at once. @return calls. */
static uint32_t serve_all(struct rf_rate *r, uint64_t from, uint64_t to)
{
    uint32_t calls = 0;
    for (uint64_t now = from; now < to; now += 5 * RF_MS) {
        uint32_t n = send_calls(r, 1000, now);
        rf_rate_settle(r, n, RF_RATE_SERVED, now);
        calls += n;
    }
    return calls;
}

static void test_ramp_window_grows_with_what_is_served(void **state)
{
    (void)state;
    struct rf_rate r;
    rf_rate_init(&r, 0, 0, false, 0);
    assert_string_equal(rf_rate_phase_name(&r), "ramp");
    assert_true(rf_rate_per_s(&r) == 0);
    assert_int_equal(send_calls(&r, 100, 0), 32);
    assert_int_equal(send_calls(&r, 1, 0), 0);
    assert_int_equal(wait_ns, RF_NEVER); /* only a completion frees room */
    rf_rate_settle(&r, 8, RF_RATE_SERVED, RF_MS);
    assert_int_equal(send_calls(&r, 100, RF_MS), 10); /* 8 came back, and 2 on top */
    rf_rate_settle(&r, 5, RF_RATE_LOST, RF_MS);
    assert_int_equal(send_calls(&r, 100, RF_MS), 5); /* a loss adds nothing */
    rf_rate_settle(&r, 3, RF_RATE_UNSENT, RF_MS);
    assert_int_equal(send_calls(&r, 100, RF_MS), 3);
}

static void test_ramp_window_not_grown_while_unused(void **state)
{
    (void)state;
    struct rf_rate r;
    rf_rate_init(&r, 0, 0, false, 0);
    for (uint64_t s = 0; s < 3600; s++) {
        assert_int_equal(send_calls(&r, 4, s * RF_SEC), 4);
        rf_rate_settle(&r, 4, RF_RATE_SERVED, s * RF_SEC);
    }
    assert_int_equal(rf_rate_room(&r, 1000, 3600 * RF_SEC, &wait_ns), 32);
}

/* A 429 at a few calls a second is no reason to stay there: those were all that were asked for. */
static void test_first_refusal_after_hardly_any_use(void **state)
{
    (void)state;
    struct rf_rate r;
    rf_rate_init(&r, 0, 0, false, 0);
    for (uint64_t s = 0; s < 600; s++) {
        send_calls(&r, 2, s * RF_SEC);
        rf_rate_settle(&r, 2, RF_RATE_SERVED, s * RF_SEC);
    }
    send_calls(&r, 1, 600 * RF_SEC);
    rf_rate_settle(&r, 1, RF_RATE_REFUSED, 600 * RF_SEC);
    assert_true(rf_rate_refused(&r, 600 * RF_SEC, RF_SEC, 600 * RF_SEC));
    assert_true(near(rf_rate_per_s(&r), 5));
    rf_rate_resume(&r, 601 * RF_SEC);
    serve_all(&r, 601 * RF_SEC, 611 * RF_SEC);
    assert_true(rf_rate_per_s(&r) > 100); /* ten seconds of demand later */
}

static void test_first_refusal_learns_from_hint(void **state)
{
    (void)state;
    struct rf_rate r;
    rf_rate_init(&r, 0, 0, false, 0);
    for (int i = 0; i < 10; i++) { /* 100 calls in 0.1 s */
        uint64_t now = (uint64_t)i * 11 * RF_MS;
        assert_int_equal(send_calls(&r, 10, now), 10);
        rf_rate_settle(&r, 10, RF_RATE_SERVED, now + RF_MS);
    }
    assert_int_equal(send_calls(&r, 10, 99 * RF_MS), 10);
    rf_rate_settle(&r, 10, RF_RATE_REFUSED, 100 * RF_MS);
    assert_true(rf_rate_refused(&r, 99 * RF_MS, 10 * RF_SEC, 100 * RF_MS));
    assert_string_equal(rf_rate_phase_name(&r), "learned");
    assert_true(near(r.ceil_per_s, 101 / 10.1));
    assert_true(near(rf_rate_per_s(&r), 0.9 * 101 / 10.1));
}

static void test_first_refusal_without_hint_counts_a_second(void **state)
{
    (void)state;
    struct rf_rate r;
    rf_rate_init(&r, 0, 0, false, 0);
    send_calls(&r, 16, 0);
    rf_rate_settle(&r, 15, RF_RATE_SERVED, 10 * RF_MS);
    rf_rate_settle(&r, 1, RF_RATE_REFUSED, 10 * RF_MS);
    assert_true(rf_rate_refused(&r, 0, RF_NEVER, 10 * RF_MS));
    assert_true(near(rf_rate_per_s(&r), 0.9 * 16));
}

static void test_refused_before_served_is_blind(void **state)
{
    (void)state;
    struct rf_rate r;
    rf_rate_init(&r, 0, 0, false, 0);
    send_calls(&r, 16, 0);
    rf_rate_settle(&r, 16, RF_RATE_REFUSED, 10 * RF_MS);
    assert_true(rf_rate_refused(&r, 0, 10 * RF_SEC, 10 * RF_MS));
    assert_true(near(rf_rate_per_s(&r), 1));
    for (uint64_t s = 1; s < 20; s++) { /* shut for long: that says nothing about the rate */
        rf_rate_resume(&r, s * RF_SEC);
        assert_int_equal(send_calls(&r, 16, s * RF_SEC), 1);
        rf_rate_settle(&r, 1, RF_RATE_REFUSED, s * RF_SEC + RF_MS);
        assert_true(rf_rate_refused(&r, s * RF_SEC, RF_NEVER, s * RF_SEC + RF_MS));
    }
    assert_true(near(rf_rate_per_s(&r), 1));
    assert_true(r.ceil_per_s == 0);
}

static void test_epoch_cuts_once(void **state)
{
    (void)state;
    struct rf_rate r;
    rf_rate_init(&r, 100, 0, false, 0);
    serve_all(&r, 0, 3 * RF_SEC);
    double before = rf_rate_per_s(&r);
    assert_true(rf_rate_refused(&r, 3 * RF_SEC, RF_NEVER, 3 * RF_SEC + 80 * RF_MS));
    double after = rf_rate_per_s(&r);
    assert_true(after < before);
    for (int i = 0; i < 14; i++)
        assert_false(rf_rate_refused(&r, 3 * RF_SEC + 80 * RF_MS, 5 * RF_SEC, 4 * RF_SEC));
    assert_true(rf_rate_per_s(&r) == after);
    assert_true(rf_rate_refused(&r, 3 * RF_SEC + 81 * RF_MS, RF_NEVER, 4 * RF_SEC));
    assert_true(rf_rate_per_s(&r) < after);
    assert_true(rf_rate_per_s(&r) >= 0.9 * 0.5 * after);
}

static void test_barren_epochs_stop_cutting(void **state)
{
    (void)state;
    struct rf_rate r;
    rf_rate_init(&r, 50, 50, false, 0);
    serve_all(&r, 0, 20 * RF_SEC);
    double low = 0;
    for (uint64_t s = 20; s < 320; s += 10) {
        assert_true(rf_rate_refused(&r, s * RF_SEC, RF_NEVER, s * RF_SEC));
        if (s == 60)
            low = rf_rate_per_s(&r);
    }
    assert_true(rf_rate_per_s(&r) == low);
    assert_true(r.ceil_per_s >= 0.7 * 50 * 0.9);
    rf_rate_resume(&r, 320 * RF_SEC);
    serve_all(&r, 320 * RF_SEC, 330 * RF_SEC);
    assert_true(rf_rate_per_s(&r) >= 0.97 * 0.7 * 50 * 0.9);
}

/* A refusal 3.9 s after another, of which one was the pause: the rate was served all the while, so
 * it is a stray one. It used to take a third of the rate, for a minute. One that comes sooner is of
 * a limit that fell, and counts the pause. */
static void test_stray_refusal_soon_after_another(void **state)
{
    (void)state;
    static const struct {
        uint64_t after_ms;
        double least, most;
    } cases[] = {{3900, 0.8, 1}, {2100, 0.4, 0.65}};
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rf_rate r;
        uint64_t now = 0;
        rf_rate_init(&r, 50, 0, false, 0);
        for (int epoch = 0; epoch < 3; epoch++) { /* three that are 20 s apart */
            now += 20 * RF_SEC;
            serve_all(&r, now - 20 * RF_SEC, now);
            assert_true(rf_rate_refused(&r, now, RF_SEC, now));
            now += 1100 * RF_MS;
            rf_rate_resume(&r, now);
        }
        double before = r.per_s;
        uint64_t again = now + (cases[i].after_ms - 1100) * RF_MS;
        serve_all(&r, now, again);
        assert_true(rf_rate_refused(&r, again, RF_SEC, again));
        assert_true(r.per_s >= cases[i].least * before);
        assert_true(r.per_s <= cases[i].most * before);
    }
}

static void test_pause_resumes_with_one_call(void **state)
{
    (void)state;
    struct rf_rate r;
    rf_rate_init(&r, 200, 0, false, 0);
    serve_all(&r, 0, RF_SEC);
    uint64_t now = 10 * RF_SEC;
    rf_rate_refused(&r, RF_SEC, 5 * RF_SEC, RF_SEC);
    rf_rate_resume(&r, now);
    assert_int_equal(send_calls(&r, 20, now), 1);
    assert_int_equal(send_calls(&r, 20, now + RF_SEC), 0); /* until it is known how that went */
    assert_int_equal(wait_ns, RF_NEVER);
    rf_rate_settle(&r, 1, RF_RATE_LOST, now + RF_SEC);
    assert_int_equal(send_calls(&r, 1, now + RF_SEC), 1);
    rf_rate_settle(&r, 1, RF_RATE_SERVED, now + 2 * RF_SEC);
    uint32_t n = send_calls(&r, 20, now + 2 * RF_SEC);
    assert_true(n >= 1 && n <= 3); /* the tolerance, and nothing for the time of the trial */
}

static void test_pause_forgets_what_was_due(void **state)
{
    (void)state;
    struct rf_rate r;
    rf_rate_init(&r, 0.1, 0, false, 0);
    assert_int_equal(send_calls(&r, 20, 0), 1); /* the next one in 10 s */
    rf_rate_resume(&r, RF_SEC);
    rf_rate_settle(&r, 1, RF_RATE_LOST, RF_SEC);
    assert_int_equal(send_calls(&r, 20, RF_SEC), 1);
    rf_rate_init(&r, 0, 200, false, 0); /* ramping below a bound: no burst either */
    rf_rate_resume(&r, RF_SEC);
    assert_int_equal(send_calls(&r, 20, RF_SEC), 1);
}

static void test_paced_gap_and_late_credit(void **state)
{
    (void)state;
    struct rf_rate r;
    rf_rate_init(&r, 100, 100, false, 0);
    uint64_t now = 10 * RF_SEC;
    assert_int_equal(send_calls(&r, 100, now), 7); /* 50 ms late, 10 ms ahead, and one */
    assert_int_equal(send_calls(&r, 1, now), 0);
    assert_int_equal(wait_ns, 10 * RF_MS);
    assert_int_equal(send_calls(&r, 1, now + 10 * RF_MS - 1), 0);
    assert_int_equal(wait_ns, 1);
    assert_int_equal(send_calls(&r, 5, now + 10 * RF_MS), 1);
    assert_int_equal(send_calls(&r, 5, now + 40 * RF_MS), 3);
    assert_int_equal(rf_rate_room(&r, 0, now + 40 * RF_MS, &wait_ns), 0);
    assert_int_equal(wait_ns, 0);
}

static void test_growth_start_recovery_hold_probe(void **state)
{
    (void)state;
    struct rf_rate r;
    rf_rate_init(&r, 50, 0, false, 0);
    serve_all(&r, 0, 2 * RF_SEC);
    assert_true(near(rf_rate_per_s(&r), 50 * exp(0.35 * 1.995)));
    rf_rate_refused(&r, 2 * RF_SEC, RF_NEVER, 2 * RF_SEC);
    double ceiling = r.ceil_per_s;
    serve_all(&r, 2 * RF_SEC, 4 * RF_SEC);
    assert_true(near(rf_rate_per_s(&r), 0.97 * ceiling));
    serve_all(&r, 4 * RF_SEC, 17 * RF_SEC);
    assert_true(near(rf_rate_per_s(&r), 0.97 * ceiling)); /* holds for 15 s */
    serve_all(&r, 17 * RF_SEC, 27 * RF_SEC);
    double probed = rf_rate_per_s(&r);
    assert_true(probed > 0.99 * ceiling && probed < 1.02 * ceiling);
    serve_all(&r, 27 * RF_SEC, 67 * RF_SEC);
    assert_true(rf_rate_per_s(&r) > 1.5 * ceiling);
}

static void test_growth_not_while_unused(void **state)
{
    (void)state;
    struct rf_rate r;
    rf_rate_init(&r, 50, 0, false, 0);
    for (uint64_t s = 0; s < 600; s++) { /* a fifth of it */
        rf_rate_settle(&r, send_calls(&r, 10, s * RF_SEC), RF_RATE_SERVED, s * RF_SEC);
    }
    assert_true(rf_rate_per_s(&r) <= 50 * exp(0.35 * 2.1));
    double before = rf_rate_per_s(&r);
    send_calls(&r, 1, 10000 * RF_SEC); /* nor by a long sleep */
    assert_true(rf_rate_per_s(&r) == before);
}

static void test_known_off_until_third_epoch_in_30_s(void **state)
{
    (void)state;
    struct rf_rate r;
    rf_rate_init(&r, 0, 100, true, 0);
    assert_string_equal(rf_rate_phase_name(&r), "off");
    assert_int_equal(send_calls(&r, 5000, 0), 5000);
    rf_rate_settle(&r, 5000, RF_RATE_SERVED, 0);
    assert_true(rf_rate_refused(&r, RF_SEC, RF_NEVER, RF_SEC));
    assert_true(rf_rate_refused(&r, 40 * RF_SEC, RF_NEVER, 40 * RF_SEC));  /* too long after */
    assert_false(rf_rate_refused(&r, 39 * RF_SEC, RF_NEVER, 41 * RF_SEC)); /* same epoch */
    assert_string_equal(rf_rate_phase_name(&r), "off");
    assert_true(rf_rate_refused(&r, 50 * RF_SEC, RF_NEVER, 50 * RF_SEC));
    assert_string_equal(rf_rate_phase_name(&r), "off");
    assert_true(rf_rate_refused(&r, 60 * RF_SEC, RF_NEVER, 60 * RF_SEC));
    assert_string_equal(rf_rate_phase_name(&r), "learned");
    assert_true(rf_rate_per_s(&r) >= 0.45 * 100 - 0.01 && rf_rate_per_s(&r) <= 90);
    serve_all(&r, 60 * RF_SEC, 200 * RF_SEC); /* never above what is configured, then off */
    assert_string_equal(rf_rate_phase_name(&r), "off");
    assert_true(rf_rate_per_s(&r) == 0);
    assert_true(rf_rate_refused(&r, 250 * RF_SEC, RF_NEVER, 250 * RF_SEC));
    assert_string_equal(rf_rate_phase_name(&r), "off"); /* again three within 30 s */
}

static void test_known_without_bound_learns(void **state)
{
    (void)state;
    struct rf_rate r;
    rf_rate_init(&r, 0, 0, true, 0);
    send_calls(&r, 200, 0);
    rf_rate_settle(&r, 200, RF_RATE_SERVED, RF_SEC);
    rf_rate_refused(&r, RF_SEC, RF_NEVER, RF_SEC);
    rf_rate_refused(&r, 2 * RF_SEC, RF_NEVER, 2 * RF_SEC);
    rf_rate_refused(&r, 4 * RF_SEC, RF_NEVER, 4 * RF_SEC);
    assert_true(near(rf_rate_per_s(&r), 0.9 * 201 / 4));
}

static void test_cap_only_tightens(void **state)
{
    (void)state;
    struct rf_rate r;
    rf_rate_init(&r, 50, 40, false, 0);
    assert_true(rf_rate_per_s(&r) == 40);
    rf_rate_cap(&r, 60);
    rf_rate_cap(&r, 0);
    rf_rate_cap(&r, NAN);
    assert_true(rf_rate_per_s(&r) == 40);
    rf_rate_cap(&r, 10);
    assert_true(rf_rate_per_s(&r) == 10);
    rf_rate_init(&r, 0, 0, false, 0); /* ramping: a window in flight and the bound */
    rf_rate_cap(&r, 10);
    assert_true(rf_rate_per_s(&r) == 10);
    assert_int_equal(send_calls(&r, 16, RF_SEC), 1);
    rf_rate_init(&r, 0, 100, true, 0); /* configured 100/s, told 10/s */
    rf_rate_cap(&r, 10);
    assert_string_equal(rf_rate_phase_name(&r), "learned");
    serve_all(&r, 0, 100 * RF_SEC);
    assert_true(rf_rate_per_s(&r) == 10);
    rf_rate_init(&r, 0, 1e-3, false, 0); /* below the least rate: the bound holds */
    assert_true(rf_rate_per_s(&r) == 1e-3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ramp_window_grows_with_what_is_served),
        cmocka_unit_test(test_ramp_window_not_grown_while_unused),
        cmocka_unit_test(test_first_refusal_after_hardly_any_use),
        cmocka_unit_test(test_first_refusal_learns_from_hint),
        cmocka_unit_test(test_first_refusal_without_hint_counts_a_second),
        cmocka_unit_test(test_refused_before_served_is_blind),
        cmocka_unit_test(test_epoch_cuts_once),
        cmocka_unit_test(test_barren_epochs_stop_cutting),
        cmocka_unit_test(test_stray_refusal_soon_after_another),
        cmocka_unit_test(test_pause_resumes_with_one_call),
        cmocka_unit_test(test_pause_forgets_what_was_due),
        cmocka_unit_test(test_paced_gap_and_late_credit),
        cmocka_unit_test(test_growth_start_recovery_hold_probe),
        cmocka_unit_test(test_growth_not_while_unused),
        cmocka_unit_test(test_known_off_until_third_epoch_in_30_s),
        cmocka_unit_test(test_known_without_bound_learns),
        cmocka_unit_test(test_cap_only_tightens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
