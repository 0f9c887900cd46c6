/* test_vdist.c - each distribution has the mean, the median and the tail that it is asked for. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sim/vdist.h"

#define DRAWS 100000

static double draw[DRAWS];

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Draw, sorted, in ms. @return the mean. */
static double fill(const struct rf_vdist *d)
{
    struct rf_rng rng;
    double sum = 0;
    rf_rng_init(&rng, 1);
    for (size_t i = 0; i < DRAWS; i++) {
        draw[i] = (double)rf_vdist_draw(d, &rng) / 1e6;
        sum += draw[i];
    }
    qsort(draw, DRAWS, sizeof draw[0], by_value);
    return sum / DRAWS;
}

static void near(double value, double wanted, double part)
{
    if (fabs(value - wanted) > wanted * part)
        fail_msg("%f where %f was wanted", value, wanted);
}

static void test_vdist_constant(void **state)
{
    (void)state;
    struct rf_vdist d = {.base_ns = 7 * RF_MS};
    near(fill(&d), 7, 1e-9);
    assert_true(draw[0] == draw[DRAWS - 1]);
    assert_false(rf_vdist_none(&d));
    d.base_ns = 0;
    assert_true(rf_vdist_none(&d));
}

static void test_vdist_uniform(void **state)
{
    (void)state;
    struct rf_vdist d = {.kind = RF_VDIST_UNIFORM, .base_ns = 10 * RF_MS, .span_ns = 20 * RF_MS};
    near(fill(&d), 20, 0.01);
    near(draw[DRAWS / 4], 15, 0.02);
    assert_true(draw[0] >= 10 && draw[DRAWS - 1] < 30);
}

static void test_vdist_exponential(void **state)
{
    (void)state;
    struct rf_vdist d = {.kind = RF_VDIST_EXPONENTIAL, .base_ns = 5 * RF_MS, .span_ns = 20 * RF_MS};
    near(fill(&d), 25, 0.02);
    near(draw[DRAWS / 2], 5 + 20 * 0.6931, 0.02);
    near(draw[DRAWS * 99 / 100], 5 + 20 * 4.605, 0.05);
}

static void test_vdist_lognormal(void **state)
{
    (void)state;
    struct rf_vdist d = {.kind = RF_VDIST_LOGNORMAL, .base_ns = 50 * RF_MS, .sigma = 0.474};
    near(fill(&d), 50 * exp(0.474 * 0.474 / 2), 0.02);
    near(draw[DRAWS / 2], 50, 0.02);
    near(draw[DRAWS * 95 / 100], 109, 0.02);
}

static void test_vdist_one_percent_slow(void **state)
{
    (void)state;
    struct rf_vdist d = {.base_ns = 50 * RF_MS,
                         .slow_permille = 10,
                         .slow_ns = 800 * RF_MS,
                         .slow_span_ns = 1200 * RF_MS};
    fill(&d);
    size_t slow = 0;
    for (size_t i = 0; i < DRAWS; i++)
        slow += draw[i] > 60;
    assert_in_range(slow, DRAWS / 100 - 100, DRAWS / 100 + 100);
    assert_true(draw[DRAWS - slow] >= 850 && draw[DRAWS - 1] < 2050);
}

static void test_vdist_never_longer_than_an_hour(void **state)
{
    (void)state;
    struct rf_vdist d = {.kind = RF_VDIST_LOGNORMAL, .base_ns = 60 * RF_SEC, .sigma = 9};
    fill(&d);
    assert_true(draw[DRAWS - 1] == 3600e3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vdist_constant),
        cmocka_unit_test(test_vdist_uniform),
        cmocka_unit_test(test_vdist_exponential),
        cmocka_unit_test(test_vdist_lognormal),
        cmocka_unit_test(test_vdist_one_percent_slow),
        cmocka_unit_test(test_vdist_never_longer_than_an_hour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
