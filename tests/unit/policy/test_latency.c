/* test_latency.c - the peak EWMA against its formula, and the quantiles against sorted samples. */
#include "policy/latency.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

static void assert_near(double got, double want)
{
    assert_true(fabs(got - want) <= want * 1e-9 + 1e-6);
}

static void test_peak_before_any_sample(void **state)
{
    (void)state;
    struct rf_peak p = {0};
    assert_near(rf_peak_value(&p, 99 * RF_SEC), 30e6);
}

static void test_peak_rises_at_once_and_falls_slowly(void **state)
{
    (void)state;
    struct rf_peak p = {0};
    rf_peak_add(&p, 40 * RF_MS, RF_SEC);
    assert_near(rf_peak_value(&p, RF_SEC), 40e6);
    rf_peak_add(&p, 400 * RF_MS, 2 * RF_SEC);
    assert_near(rf_peak_value(&p, 2 * RF_SEC), 400e6);
    rf_peak_add(&p, 40 * RF_MS, 12 * RF_SEC);
    double a = 1 - exp(-1);
    assert_near(rf_peak_value(&p, 12 * RF_SEC), 400e6 * (1 - a) + 40e6 * a);
}

static void test_peak_decays_when_idle(void **state)
{
    (void)state;
    struct rf_peak p = {0};
    rf_peak_add(&p, 100 * RF_MS, RF_SEC);
    assert_near(rf_peak_value(&p, 11 * RF_SEC), 100e6 * exp(-1));
    assert_near(rf_peak_value(&p, 21 * RF_SEC), 100e6 * exp(-2));
    assert_true(rf_peak_value(&p, RF_NEVER) >= 0);
}

static void test_peak_drops_samples_that_are_not_later(void **state)
{
    (void)state;
    struct rf_peak p = {0};
    rf_peak_add(&p, 100 * RF_MS, 5 * RF_SEC);
    rf_peak_add(&p, 900 * RF_MS, 5 * RF_SEC);
    rf_peak_add(&p, 900 * RF_MS, 4 * RF_SEC);
    assert_near(rf_peak_value(&p, 5 * RF_SEC), 100e6);
    assert_near(rf_peak_value(&p, 1 * RF_SEC), 100e6); /* going back is no time */
}

static void test_penalty_is_at_least_five_seconds(void **state)
{
    (void)state;
    struct rf_peak p = {0};
    rf_peak_add(&p, RF_MS, RF_SEC);
    rf_peak_penalty(&p, 0, RF_SEC); /* in the same loop turn as a sample, and still heard */
    assert_near(rf_peak_value(&p, RF_SEC), 5e9);
    rf_peak_penalty(&p, 40 * RF_SEC, 2 * RF_SEC);
    assert_near(rf_peak_value(&p, 2 * RF_SEC), 40e9);
    rf_peak_penalty(&p, 0, 2 * RF_SEC);
    assert_near(rf_peak_value(&p, 2 * RF_SEC), 40e9); /* the current value is higher */
    rf_peak_penalty(&p, 9000 * RF_SEC, 2 * RF_SEC);
    assert_near(rf_peak_value(&p, 2 * RF_SEC), 300e9);
    struct rf_peak q = {0};
    rf_peak_penalty(&q, RF_NEVER, RF_SEC);
    assert_near(rf_peak_value(&q, RF_SEC), 5e9);
}

static void test_peak_is_always_a_number(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 4);
    struct rf_peak p = {0};
    for (int i = 0; i < 100000; i++) {
        uint64_t now = rf_rng_next(&rng) >> rf_rng_below(&rng, 64);
        uint64_t sample = rf_rng_next(&rng) >> rf_rng_below(&rng, 64);
        if (rf_rng_below(&rng, 10) == 0)
            rf_peak_penalty(&p, sample, now);
        else
            rf_peak_add(&p, sample, now);
        double value = rf_peak_value(&p, rf_rng_next(&rng));
        assert_true(isfinite(value) && value >= 0);
        if (rf_rng_below(&rng, 1000) == 0)
            p = (struct rf_peak){0};
    }
    p = (struct rf_peak){.value_ns = NAN, .at_ns = 1, .any = true};
    rf_peak_add(&p, RF_MS, RF_SEC); /* not poisoned for ever */
    assert_true(isfinite(rf_peak_value(&p, RF_SEC)));
}

static void test_hist_empty_and_single(void **state)
{
    (void)state;
    static struct rf_hist h;
    memset(&h, 0, sizeof h);
    assert_int_equal(rf_hist_quantile(&h, 500), 0);
    rf_hist_add(&h, 40 * RF_MS);
    assert_int_equal(rf_hist_quantile(&h, 0), 40 * RF_MS);
    assert_int_equal(rf_hist_quantile(&h, 500), 40 * RF_MS);
    assert_int_equal(rf_hist_quantile(&h, 1000), 40 * RF_MS);
    assert_int_equal(rf_hist_quantile(&h, 5000), 40 * RF_MS);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void test_hist_quantiles_within_an_eighth(void **state)
{
    (void)state;
    enum { N = 20000 };
    static uint64_t samples[N];
    static struct rf_hist h;
    struct rf_rng rng;
    rf_rng_init(&rng, 6);
    for (unsigned spread = 1; spread <= 22; spread += 7) {
        memset(&h, 0, sizeof h);
        for (size_t i = 0; i < N; i++) {
            samples[i] = 2048 + (rf_rng_below(&rng, RF_SEC) << rf_rng_below(&rng, spread)) / 1000;
            rf_hist_add(&h, samples[i]);
        }
        qsort(samples, N, sizeof samples[0], by_value);
        for (unsigned permille = 1; permille <= 1000; permille++) {
            uint64_t exact = samples[((uint64_t)N * permille + 999) / 1000 - 1];
            uint64_t got = rf_hist_quantile(&h, permille);
            assert_true(got >= exact && got <= exact + exact / 8 + 1);
        }
        assert_int_equal(rf_hist_quantile(&h, 1000), samples[N - 1]);
    }
}

static void test_hist_extremes(void **state)
{
    (void)state;
    static struct rf_hist h;
    memset(&h, 0, sizeof h);
    rf_hist_add(&h, 0);
    assert_int_equal(rf_hist_quantile(&h, 1000), 0);
    rf_hist_add(&h, UINT64_MAX);
    assert_int_equal(rf_hist_quantile(&h, 1000), UINT64_MAX);
    assert_true(rf_hist_quantile(&h, 1) < RF_US + RF_US / 10);
    assert_int_equal(h.n, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peak_before_any_sample),
        cmocka_unit_test(test_peak_rises_at_once_and_falls_slowly),
        cmocka_unit_test(test_peak_decays_when_idle),
        cmocka_unit_test(test_peak_drops_samples_that_are_not_later),
        cmocka_unit_test(test_penalty_is_at_least_five_seconds),
        cmocka_unit_test(test_peak_is_always_a_number),
        cmocka_unit_test(test_hist_empty_and_single),
        cmocka_unit_test(test_hist_quantiles_within_an_eighth),
        cmocka_unit_test(test_hist_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
