/* test_bank.c - the bank tree: ancestors, states on forks, orphans, what is forgotten and what the
 * oracle remembers; and the same questions asked of a plain list of everything that happened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "sim/bank.h"

static uint32_t add(struct rf_banks *b, uint8_t n)
{
    uint8_t id[32] = {n, 1};
    return rf_banks_add_key(b, id, 0);
}

static void write_hash(struct rf_banks *b, struct rf_bank *bank, uint32_t key, uint64_t hash)
{
    struct rf_bank_state s = {.hash = hash, .lamports = hash == 0 ? 0 : 1};
    rf_banks_write(b, bank, key, &s);
}

static uint64_t hash_at(const struct rf_banks *b, uint64_t slot, uint32_t key)
{
    const struct rf_bank_state *s = rf_banks_state(b, rf_banks_get(b, slot), key);
    return s == NULL ? 0 : s->hash;
}

static void test_bank_state_is_of_the_fork(void **state)
{
    struct rf_banks b;
    (void)state;
    assert_true(rf_banks_init(&b, 10));
    uint32_t key = add(&b, 1), other = add(&b, 2);
    write_hash(&b, rf_banks_create(&b, 10, 10), key, 100);
    write_hash(&b, rf_banks_create(&b, 11, 10), key, 111);
    write_hash(&b, rf_banks_create(&b, 14, 10), other, 214);
    write_hash(&b, rf_banks_create(&b, 15, 11), other, 215);
    assert_int_equal(hash_at(&b, 10, key), 100);
    assert_int_equal(hash_at(&b, 11, key), 111);
    assert_int_equal(hash_at(&b, 14, key), 100);
    assert_int_equal(hash_at(&b, 15, key), 111);
    assert_int_equal(hash_at(&b, 14, other), 214);
    assert_int_equal(hash_at(&b, 11, other), 0);
    assert_true(rf_bank_on_chain(rf_banks_get(&b, 15), 11));
    assert_false(rf_bank_on_chain(rf_banks_get(&b, 15), 14));
    assert_false(rf_bank_on_chain(rf_banks_get(&b, 15), 12));
    assert_false(rf_bank_on_chain(rf_banks_get(&b, 11), 15));
    assert_null(rf_banks_get(&b, 12));
    assert_int_equal(rf_banks_get(&b, 15)->height, 12);
    rf_banks_fini(&b);
}

static void test_bank_has_one_state_of_a_key(void **state)
{
    struct rf_banks b;
    (void)state;
    assert_true(rf_banks_init(&b, 10));
    uint32_t key = add(&b, 1);
    struct rf_bank *bank = rf_banks_create(&b, 10, 10);
    write_hash(&b, bank, key, 1);
    write_hash(&b, bank, key, 2);
    assert_int_equal(bank->n_wrote, 1);
    assert_int_equal(hash_at(&b, 10, key), 1);
    rf_banks_fini(&b);
}

static void test_bank_root_makes_orphans(void **state)
{
    struct rf_banks b;
    (void)state;
    assert_true(rf_banks_init(&b, 10));
    uint32_t key = add(&b, 1);
    write_hash(&b, rf_banks_create(&b, 10, 10), key, 1);
    write_hash(&b, rf_banks_create(&b, 11, 10), key, 2);
    write_hash(&b, rf_banks_create(&b, 12, 10), key, 3);
    b.tip = b.confirmed = 12;
    rf_banks_set_root(&b, 12);
    rf_banks_set_floor(&b, 12);
    assert_null(rf_banks_get(&b, 11));
    assert_int_equal(hash_at(&b, 12, key), 3);
    assert_true(rf_banks_existed(&b, key, 1, RPCFAN_FINALIZED));
    assert_true(rf_banks_existed(&b, key, 3, RPCFAN_CONFIRMED));
    assert_false(rf_banks_existed(&b, key, 2, RPCFAN_CONFIRMED));
    assert_true(rf_banks_existed(&b, key, 2, RPCFAN_PROCESSED));
    assert_true(rf_banks_existed(&b, key, 0, RPCFAN_FINALIZED)); /* before it was made */
    rf_banks_fini(&b);
}

static bool is_hash(void *arg, const struct rf_bank_state *s)
{
    return (s == NULL ? 0 : s->hash) == *(uint64_t *)arg;
}

static bool held(const struct rf_banks *b, uint32_t key, uint64_t hash, uint64_t from)
{
    return rf_banks_held(b, rf_banks_at(b, RPCFAN_CONFIRMED), key, from, is_hash, &hash);
}

static void test_bank_held_knows_when_a_state_ended(void **state)
{
    struct rf_banks b;
    (void)state;
    assert_true(rf_banks_init(&b, 10));
    uint32_t key = add(&b, 1);
    rf_banks_create(&b, 10, 10);
    write_hash(&b, rf_banks_create(&b, 12, 10), key, 1);
    write_hash(&b, rf_banks_create(&b, 15, 12), key, 2);
    rf_banks_create(&b, 16, 15);
    b.confirmed = 16;
    assert_true(held(&b, key, 0, 11));
    assert_false(held(&b, key, 0, 12));
    assert_true(held(&b, key, 1, 14));
    assert_false(held(&b, key, 1, 15));
    assert_true(held(&b, key, 2, 12)); /* it is of later */
    assert_true(held(&b, key, 2, 100));
    b.confirmed = 12;
    assert_false(held(&b, key, 2, 0)); /* not confirmed yet */
    rf_banks_fini(&b);
}

static void test_bank_finds_keys(void **state)
{
    struct rf_banks b;
    uint8_t id[32] = {0};
    (void)state;
    assert_true(rf_banks_init(&b, 10));
    assert_int_equal(rf_banks_find(&b, id), RF_BANK_NONE);
    for (uint32_t i = 0; i < 5000; i++) {
        memcpy(id, &i, sizeof i);
        assert_int_equal(rf_banks_add_key(&b, id, 0), i);
    }
    for (uint32_t i = 0; i < 5000; i++) {
        memcpy(id, &i, sizeof i);
        assert_int_equal(rf_banks_find(&b, id), i);
    }
    id[31] = 1;
    assert_int_equal(rf_banks_find(&b, id), RF_BANK_NONE);
    rf_banks_fini(&b);
}

/* Everything that happened, kept plainly. */
#define SLOTS 60000
#define KEYS 8
static uint64_t plain_parent[SLOTS], plain_hash[SLOTS][KEYS]; /* 0: not written */

static uint64_t plain_state(uint64_t slot, uint32_t key)
{
    while (plain_hash[slot][key] == 0 && plain_parent[slot] != slot)
        slot = plain_parent[slot];
    return plain_hash[slot][key];
}

/* A random tree of SLOTS slots: each bank's parent is the tip or one of its rivals; what is 40
 * behind the tip is rooted. States are compared at the tip, at the root and at random banks; the
 * memory stays within the window and the history. */
static void test_bank_random_tree_as_plain(void **state)
{
    struct rf_banks b;
    struct rf_rng rng;
    uint64_t tip = 1;
    (void)state;
    rf_rng_init(&rng, 7);
    assert_true(rf_banks_init(&b, 50));
    for (uint8_t i = 0; i < KEYS; i++)
        add(&b, i);
    rf_banks_create(&b, 1, 1);
    plain_parent[1] = 1;
    for (uint64_t slot = 2; slot < SLOTS; slot++) {
        if (rf_rng_below(&rng, 10) == 0)
            continue;
        uint64_t parent = tip;
        if (rf_rng_below(&rng, 8) == 0 && plain_parent[tip] >= b.root)
            parent = plain_parent[tip];
        struct rf_bank *bank = rf_banks_create(&b, slot, parent);
        plain_parent[slot] = parent;
        for (uint32_t key = 0; key < KEYS; key++)
            if (rf_rng_below(&rng, 4) == 0) {
                plain_hash[slot][key] = rf_rng_next(&rng) | 1;
                write_hash(&b, bank, key, plain_hash[slot][key]);
            }
        tip = slot;
        uint64_t root = tip;
        for (int i = 0; i < 40 && root > b.root; i++)
            root = plain_parent[root];
        rf_banks_set_root(&b, root);
        rf_banks_set_floor(&b, root);
        for (uint32_t key = 0; key < KEYS; key++) {
            assert_true(hash_at(&b, tip, key) == plain_state(tip, key));
            assert_true(hash_at(&b, root, key) == plain_state(root, key));
        }
        uint64_t any = root + rf_rng_below(&rng, tip - root + 1);
        if (rf_banks_get(&b, any) != NULL)
            assert_true(hash_at(&b, any, 0) == plain_state(any, 0));
    }
    assert_in_range(b.versions, KEYS, KEYS * 200);
    rf_banks_fini(&b);
}

static void test_bank_out_of_memory(void **state)
{
    struct rf_banks b;
    uint8_t id[32] = {9};
    (void)state;
    rf_alloc_fail_at(1);
    assert_false(rf_banks_init(&b, 1));
    rf_banks_fini(&b);
    assert_true(rf_banks_init(&b, 1));
    rf_alloc_fail_at(1);
    assert_int_equal(rf_banks_add_key(&b, id, 0), RF_BANK_NONE);
    rf_alloc_fail_at(2);
    assert_int_equal(rf_banks_add_key(&b, id, 0), RF_BANK_NONE);
    uint32_t key = rf_banks_add_key(&b, id, 0);
    struct rf_bank *bank = rf_banks_create(&b, 1, 1);
    for (uint64_t n = 1; n <= 2; n++) {
        rf_alloc_fail_at(n);
        write_hash(&b, bank, key, 5);
        assert_int_equal(b.no_memory, n);
        assert_int_equal(hash_at(&b, 1, key), 0);
    }
    rf_alloc_fail_at(0);
    write_hash(&b, bank, key, 5);
    assert_int_equal(hash_at(&b, 1, key), 5);
    rf_banks_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bank_state_is_of_the_fork),
        cmocka_unit_test(test_bank_has_one_state_of_a_key),
        cmocka_unit_test(test_bank_root_makes_orphans),
        cmocka_unit_test(test_bank_held_knows_when_a_state_ended),
        cmocka_unit_test(test_bank_finds_keys),
        cmocka_unit_test(test_bank_random_tree_as_plain),
        cmocka_unit_test(test_bank_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
