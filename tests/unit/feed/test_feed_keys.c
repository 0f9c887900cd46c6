/* test_feed_keys.c - the table of accounts and the slots that hold the watermark, against plain
 * arrays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "feed/holds.h"
#include "feed/keys.h"

static void key_of(uint32_t i, uint8_t key[32])
{
    memset(key, 0, 32);
    memcpy(key, &i, sizeof i); /* alike in all but a few bits */
}

/* Random adds and removals; numbers stay, what is removed is gone. */
static void test_keys_add_find_remove(void **state)
{
    (void)state;
    enum { MANY = 5000 };
    static uint32_t number[MANY];
    struct rf_keys k;
    struct rf_rng rng;
    uint32_t n = 0;
    uint8_t key[32];
    rf_rng_init(&rng, 1);
    assert_true(rf_keys_init(&k, 9));
    memset(number, 0xff, sizeof number);
    for (unsigned step = 0; step < 60000; step++) {
        uint32_t i = (uint32_t)rf_rng_below(&rng, MANY);
        bool added;
        key_of(i, key);
        assert_int_equal(rf_keys_find(&k, key), number[i]);
        if (number[i] == RF_KEY_NONE) {
            number[i] = rf_keys_add(&k, key, &added);
            assert_true(added);
            assert_int_equal(rf_keys_at(&k, number[i])->flags, RF_KEY_USED);
            n++;
        } else if (rf_rng_below(&rng, 3) == 0) {
            rf_keys_remove(&k, number[i]);
            number[i] = RF_KEY_NONE;
            n--;
        } else {
            assert_int_equal(rf_keys_add(&k, key, &added), number[i]);
            assert_false(added);
        }
        assert_int_equal(k.n, n);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        key_of(i, key);
        assert_int_equal(rf_keys_find(&k, key), number[i]);
    }
    rf_keys_fini(&k);
}

static void test_keys_are_small(void **state)
{
    (void)state;
    assert_true(sizeof(struct rf_key) <= 72);
}

static void test_keys_without_memory_stay_as_they_were(void **state)
{
    (void)state;
    struct rf_keys k;
    uint8_t key[32];
    bool added;
    uint32_t lost = 0;
    assert_true(rf_keys_init(&k, 9));
    for (uint32_t i = 0; i < 3000; i++) {
        key_of(i, key);
        rf_alloc_fail_at(1);
        uint32_t number = rf_keys_add(&k, key, &added);
        rf_alloc_fail_at(0);
        if (number == RF_KEY_NONE) {
            lost++;
            assert_int_equal(rf_keys_find(&k, key), RF_KEY_NONE);
            assert_int_not_equal(rf_keys_add(&k, key, &added), RF_KEY_NONE);
        }
        assert_int_equal(k.n, i + 1);
    }
    assert_true(lost > 3);
    rf_keys_fini(&k);
}

/* With more slots than fit: never above the true lowest, and empty in the end. */
static void test_holds_are_never_above_the_lowest(void **state)
{
    (void)state;
    static uint64_t at[4000];
    for (uint64_t spread = 10; spread <= 100000; spread *= 100) {
        struct rf_holds h = {0};
        struct rf_rng rng;
        unsigned n = 0;
        rf_rng_init(&rng, spread);
        for (unsigned step = 0; step < 30000; step++) {
            if (n < 1000 && (n == 0 || rf_rng_below(&rng, 2) == 0)) {
                at[n] = step + rf_rng_below(&rng, spread);
                rf_holds_add(&h, at[n++]);
            } else {
                unsigned i = (unsigned)rf_rng_below(&rng, n);
                rf_holds_remove(&h, at[i]);
                at[i] = at[--n];
            }
            uint64_t least = RF_NEVER;
            for (unsigned i = 0; i < n; i++)
                least = at[i] < least ? at[i] : least;
            assert_true(rf_holds_min(&h) <= least);
            if (spread == 10)
                assert_true(rf_holds_min(&h) == least || h.n >= RF_HOLDS / 2);
        }
        while (n > 0)
            rf_holds_remove(&h, at[--n]);
        assert_true(rf_holds_min(&h) == RF_NEVER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_add_find_remove),
        cmocka_unit_test(test_keys_are_small),
        cmocka_unit_test(test_keys_without_memory_stay_as_they_were),
        cmocka_unit_test(test_holds_are_never_above_the_lowest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
