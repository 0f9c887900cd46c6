/* test_table.c - the intrusive hash table against a plain array. */
#include "feed/table.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"

#define N 2000

struct item {
    struct rf_table_node node;
    uint64_t key;
};

static struct item items[N];

static uint32_t count(const struct rf_table *t, uint64_t hash)
{
    uint32_t n = 0;
    for (struct rf_table_node *x = rf_table_first(t, hash); x != NULL; x = rf_table_next(x)) {
        assert_int_equal(x->hash, hash);
        n++;
    }
    return n;
}

static void random_life(uint64_t keys, bool starved)
{
    struct rf_table t;
    struct rf_rng rng;
    uint32_t in = 0, per_key[64] = {0};
    rf_rng_init(&rng, keys);
    assert_true(rf_table_init(&t));
    for (uint32_t i = 0; i < N; i++)
        items[i] = (struct item){.key = rf_rng_below(&rng, keys)};
    for (int step = 0; step < 20000; step++) {
        struct item *it = &items[rf_rng_below(&rng, N)];
        if (starved)
            rf_alloc_fail_at(1);
        if (it->node.in) {
            rf_table_remove(&t, &it->node);
            in--;
            per_key[it->key % 64]--;
        } else {
            rf_table_add(&t, &it->node, rf_hash_u64(it->key));
            in++;
            per_key[it->key % 64]++;
        }
        rf_alloc_fail_at(0);
        assert_int_equal(t.n, in);
        if (keys <= 64)
            assert_int_equal(count(&t, rf_hash_u64(it->key)), per_key[it->key]);
        else
            assert_true(count(&t, rf_hash_u64(it->key)) > 0 || !it->node.in);
    }
    assert_true(starved ? t.n_buckets == 16 : t.n_buckets > 512);
    rf_table_fini(&t);
}

static void test_random_adds_and_removes(void **state)
{
    (void)state;
    random_life(64, false);
    random_life(UINT64_MAX, false);
}

static void test_without_memory_it_goes_on(void **state)
{
    (void)state;
    struct rf_table t;
    random_life(64, true);
    rf_alloc_fail_at(1);
    assert_false(rf_table_init(&t));
    rf_alloc_fail_at(0);
    rf_table_fini(&t);
}

static void test_what_is_not_in_is_not_taken_out(void **state)
{
    (void)state;
    struct rf_table t;
    struct rf_table_node n = {0};
    assert_true(rf_table_init(&t));
    rf_table_remove(&t, &n);
    assert_null(rf_table_first(&t, 5));
    rf_table_add(&t, &n, 5);
    assert_ptr_equal(rf_table_first(&t, 5), &n);
    assert_null(rf_table_first(&t, 5 + 16));
    rf_table_remove(&t, &n);
    rf_table_remove(&t, &n);
    assert_int_equal(t.n, 0);
    rf_table_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_adds_and_removes),
        cmocka_unit_test(test_without_memory_it_goes_on),
        cmocka_unit_test(test_what_is_not_in_is_not_taken_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
