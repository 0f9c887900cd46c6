/* test_rng.c - the generator's known values, its ranges and its evenness. */
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"

/* xoshiro256** from the state 1, 2, 3, 4, worked out by hand from its definition. */
static void test_first_values_from_a_known_state(void **state)
{
    (void)state;
    struct rf_rng r = {{1, 2, 3, 4}};
    assert_true(rf_rng_next(&r) == 11520); /* rotl(2 * 5, 7) * 9 */
    assert_true(r.s[0] == (1 ^ 4 ^ 2) && r.s[1] == (2 ^ 3 ^ 1));
    assert_true(r.s[2] == (3 ^ 1 ^ (UINT64_C(2) << 17)));
    assert_true(r.s[3] == (UINT64_C(4) ^ 2) << 45);
    assert_true(rf_rng_next(&r) == 0);
}

/* splitmix64's first output for seed 0 is published with it. */
static void test_seeding(void **state)
{
    (void)state;
    struct rf_rng r;
    rf_rng_init(&r, 0);
    assert_true(r.s[0] == UINT64_C(0xe220a8397b1dcdaf));
    assert_true((r.s[0] | r.s[1] | r.s[2] | r.s[3]) != 0);
}

static void test_same_seed_same_sequence(void **state)
{
    (void)state;
    struct rf_rng a, b, c;
    rf_rng_init(&a, 42);
    rf_rng_init(&b, 42);
    rf_rng_init(&c, 43);
    int same = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t x = rf_rng_next(&a);
        assert_true(x == rf_rng_next(&b));
        same += x == rf_rng_next(&c);
    }
    assert_int_equal(same, 0);
}

static void test_below_stays_below(void **state)
{
    (void)state;
    struct rf_rng r;
    rf_rng_init(&r, 1);
    assert_int_equal(rf_rng_below(&r, 0), 0);
    assert_int_equal(rf_rng_below(&r, 1), 0);
    static const uint64_t tops[] = {
        2, 3, 10, UINT32_MAX, UINT32_MAX + UINT64_C(1), UINT64_C(1) << 40, UINT64_MAX};
    for (size_t k = 0; k < RF_COUNT(tops); k++) {
        uint64_t most = 0;
        for (int i = 0; i < 20000; i++) {
            uint64_t x = rf_rng_below(&r, tops[k]);
            assert_true(x < tops[k]);
            most = rf_max_u64(most, x);
        }
        assert_true(most >= tops[k] - 1 - tops[k] / 1000);
    }
}

static void test_below_is_even(void **state)
{
    (void)state;
    struct rf_rng r;
    rf_rng_init(&r, 7);
    uint32_t count[7] = {0};
    for (int i = 0; i < 700000; i++)
        count[rf_rng_below(&r, 7)]++;
    for (size_t i = 0; i < RF_COUNT(count); i++)
        assert_in_range(count[i], 98800, 101200); /* 4 standard deviations */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_values_from_a_known_state),
        cmocka_unit_test(test_seeding),
        cmocka_unit_test(test_same_seed_same_sequence),
        cmocka_unit_test(test_below_stays_below),
        cmocka_unit_test(test_below_is_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
