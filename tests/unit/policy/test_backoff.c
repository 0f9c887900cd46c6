/* test_backoff.c - the bounds and the shape of full jitter. */
#include "policy/backoff.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_bounds_double_up_to_the_cap(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 1);
    for (uint32_t k = 0; k < 200; k++) {
        uint64_t most = k < 9 ? RF_BACKOFF_BASE_NS << k : RF_BACKOFF_CAP_NS;
        uint64_t seen = 0;
        for (int i = 0; i < 1000; i++) {
            uint64_t wait = rf_backoff_full_jitter(RF_BACKOFF_BASE_NS, RF_BACKOFF_CAP_NS, k, &rng);
            assert_true(wait <= most);
            seen = rf_max_u64(seen, wait);
        }
        assert_true(seen > most / 100 * 98); /* the whole range is used */
    }
}

static void test_distribution_is_flat(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 2);
    uint32_t tenth[10] = {0};
    for (int i = 0; i < 100000; i++)
        tenth[rf_backoff_full_jitter(100 * RF_MS, RF_SEC, 2, &rng) / (40 * RF_MS + 1)]++;
    for (size_t i = 0; i < RF_COUNT(tenth); i++)
        assert_in_range(tenth[i], 9500, 10500);
}

static void test_extremes(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 3);
    assert_int_equal(rf_backoff_full_jitter(0, 0, 0, &rng), 0);
    assert_int_equal(rf_backoff_full_jitter(RF_SEC, 0, 5, &rng), 0);
    assert_int_equal(rf_backoff_full_jitter(0, RF_SEC, 63, &rng), 0);
    bool large = false;
    for (int i = 0; i < 100; i++)
        large |= rf_backoff_full_jitter(RF_NEVER, RF_NEVER, UINT32_MAX, &rng) > RF_NEVER / 2;
    assert_true(large);
}

static void test_same_seed_same_waits(void **state)
{
    (void)state;
    struct rf_rng a, b;
    rf_rng_init(&a, 9);
    rf_rng_init(&b, 9);
    for (uint32_t k = 0; k < 100; k++)
        assert_int_equal(rf_backoff_full_jitter(RF_MS, RF_SEC, k, &a),
                         rf_backoff_full_jitter(RF_MS, RF_SEC, k, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds_double_up_to_the_cap),
        cmocka_unit_test(test_distribution_is_flat),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_same_seed_same_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
