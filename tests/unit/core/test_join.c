/* test_join.c - the table of reads in flight: by hand, and against a list over random runs. */
#include "core/join.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"

#define TAIL "\"method\":\"eth_getBalance\",\"params\":[\"0x01\",\"latest\"]"

static void test_zeroed_table_takes_none(void **state)
{
    (void)state;
    struct rf_join j = {0};
    struct rf_join_node n = {0};
    assert_null(rf_join_find(&j, 1, TAIL, strlen(TAIL)));
    assert_false(rf_join_add(&j, &n, 1, TAIL, strlen(TAIL)));
    rf_join_remove(&j, &n);
    uint64_t before = rf_alloc_count();
    assert_true(rf_join_init(&j, 0));
    assert_int_equal(rf_alloc_count(), before);
    assert_false(rf_join_add(&j, &n, 1, TAIL, strlen(TAIL)));
    rf_join_fini(&j);
}

static void test_init_out_of_memory_takes_none(void **state)
{
    (void)state;
    struct rf_join j;
    struct rf_join_node n = {0};
    rf_alloc_fail_at(1);
    assert_false(rf_join_init(&j, 100));
    rf_alloc_fail_at(0);
    assert_false(rf_join_add(&j, &n, 1, TAIL, strlen(TAIL)));
    assert_null(rf_join_find(&j, 1, TAIL, strlen(TAIL)));
    rf_join_fini(&j);
}

static void test_found_by_salt_and_all_bytes(void **state)
{
    (void)state;
    struct rf_join j;
    struct rf_join_node n = {0};
    char copy[] = TAIL;
    size_t len = strlen(TAIL);
    assert_true(rf_join_init(&j, 100));
    assert_true(rf_join_add(&j, &n, 7, TAIL, len));
    assert_ptr_equal(rf_join_find(&j, 7, copy, len), &n);
    assert_null(rf_join_find(&j, 8, copy, len));
    assert_null(rf_join_find(&j, 7, copy, len - 1));
    for (size_t i = 0; i < len; i++) {
        copy[i] ^= 1;
        assert_null(rf_join_find(&j, 7, copy, len));
        copy[i] ^= 1;
    }
    rf_join_remove(&j, &n);
    assert_null(rf_join_find(&j, 7, copy, len));
    rf_join_fini(&j);
}

/* A hash that is the same by chance is not enough: what is in is made different behind its back. */
static void test_equal_hash_alone_is_no_match(void **state)
{
    (void)state;
    struct rf_join j;
    struct rf_join_node n = {0};
    char own[] = TAIL;
    size_t len = strlen(TAIL);
    assert_true(rf_join_init(&j, 100));
    assert_true(rf_join_add(&j, &n, 7, own, len));
    own[len - 1] ^= 1;
    assert_null(rf_join_find(&j, 7, TAIL, len));
    own[len - 1] ^= 1;
    n.salt = 8;
    assert_null(rf_join_find(&j, 7, TAIL, len));
    n.salt = 7;
    n.len = len - 1;
    assert_null(rf_join_find(&j, 7, TAIL, len));
    n.len = len;
    assert_ptr_equal(rf_join_find(&j, 7, TAIL, len), &n);
    rf_join_fini(&j);
}

static void test_empty_tail_and_zero_bytes_differ(void **state)
{
    (void)state;
    struct rf_join j;
    struct rf_join_node n[10] = {0};
    static const char zeros[9] = {0};
    assert_true(rf_join_init(&j, 100));
    assert_true(rf_join_add(&j, &n[0], 0, NULL, 0));
    for (size_t len = 1; len <= 9; len++) {
        assert_null(rf_join_find(&j, 0, zeros, len));
        assert_true(rf_join_add(&j, &n[len], 0, zeros, len));
    }
    for (size_t len = 0; len <= 9; len++)
        assert_ptr_equal(rf_join_find(&j, 0, zeros, len), &n[len]);
    rf_join_fini(&j);
}

static void test_add_refuses_equal_twice_and_too_many(void **state)
{
    (void)state;
    struct rf_join j;
    struct rf_join_node a = {0}, b = {0}, c = {0};
    assert_true(rf_join_init(&j, 2));
    assert_true(rf_join_add(&j, &a, 1, TAIL, 20));
    assert_false(rf_join_add(&j, &b, 1, TAIL, 20)); /* an equal one is in */
    assert_false(rf_join_add(&j, &a, 1, TAIL, 30)); /* it is in itself */
    assert_true(rf_join_add(&j, &b, 2, TAIL, 20));
    assert_false(rf_join_add(&j, &c, 3, TAIL, 20)); /* full */
    assert_null(c.link);
    rf_join_remove(&j, &a);
    assert_true(rf_join_add(&j, &c, 3, TAIL, 20));
    assert_int_equal(j.n, 2);
    rf_join_fini(&j);
}

static void test_remove_is_harmless_twice(void **state)
{
    (void)state;
    struct rf_join j;
    struct rf_join_node a = {0}, b = {0};
    assert_true(rf_join_init(&j, 2));
    rf_join_remove(&j, &a);
    assert_true(rf_join_add(&j, &a, 1, TAIL, 20));
    assert_true(rf_join_add(&j, &b, 2, TAIL, 20));
    rf_join_remove(&j, &a);
    rf_join_remove(&j, &a);
    assert_int_equal(j.n, 1);
    assert_ptr_equal(rf_join_find(&j, 2, TAIL, 20), &b);
    rf_join_fini(&j);
}

static void test_replace_hands_the_place_over(void **state)
{
    (void)state;
    struct rf_join j;
    struct rf_join_node a = {0}, b = {0}, c = {0};
    char first[] = TAIL, second[] = TAIL;
    size_t len = strlen(TAIL);
    assert_true(rf_join_init(&j, 2));
    rf_join_replace(&j, &a, &b, second); /* not in: no effect */
    assert_null(b.link);
    assert_true(rf_join_add(&j, &a, 1, first, len));
    assert_true(rf_join_add(&j, &c, 2, first, len));
    rf_join_replace(&j, &a, &c, second); /* in already: no effect */
    assert_ptr_equal(rf_join_find(&j, 1, TAIL, len), &a);
    rf_join_replace(&j, &a, &b, second);
    assert_null(a.link);
    memset(first, 0, len); /* the call that left took its bytes along */
    c.tail = second;
    assert_ptr_equal(rf_join_find(&j, 1, TAIL, len), &b);
    assert_ptr_equal(b.tail, second);
    assert_int_equal(j.n, 2);
    rf_join_remove(&j, &b);
    assert_true(rf_join_add(&j, &a, 1, second, len));
    rf_join_fini(&j);
}

/* Tails as they come: addresses and blocks that count up. No chain is long. */
static void test_chains_stay_short(void **state)
{
    (void)state;
    enum { N = 8192 };
    static struct rf_join_node node[N];
    static char tail[N][96];
    struct rf_join j;
    for (int kind = 0; kind < 3; kind++) {
        memset(node, 0, sizeof node);
        assert_true(rf_join_init(&j, N));
        for (unsigned i = 0; i < N; i++) {
            static const char *const form[] = {
                "\"method\":\"eth_getBalance\",\"params\":[\"0x%040x\",\"latest\"]",
                "\"method\":\"eth_getBlockByNumber\",\"params\":[\"0x%x\",false]",
                "\"method\":\"getSlot\"%.0u"};
            int len = snprintf(tail[i], sizeof tail[i], form[kind], i);
            assert_true(rf_join_add(&j, &node[i], kind == 2 ? i : 0, tail[i], (size_t)len));
        }
        unsigned longest = 0, empty = 0;
        for (uint64_t b = 0; b <= j.mask; b++) {
            unsigned n = 0;
            for (struct rf_join_node *at = j.bucket[b]; at != NULL; at = at->next)
                n++;
            longest = n > longest ? n : longest;
            empty += n == 0;
        }
        assert_int_equal(j.mask + 1, N);
        assert_true(longest <= 9);
        assert_true(empty > N * 33 / 100 && empty < N * 40 / 100); /* 1/e, were it by chance */
        rf_join_fini(&j);
    }
}

#define NODES 200
#define KEYS 90
#define MAX 60

/* What the table must say: a list of which node is in with which key. */
struct model {
    struct rf_join_node node[NODES];
    char tail[NODES][48]; /* each its own copy */
    size_t len[NODES];
    uint64_t salt[NODES];
    int key[NODES]; /* -1: not in */
    unsigned n;
};

static struct model m;

static int holder(int key)
{
    for (int i = 0; i < NODES; i++) {
        if (m.key[i] == key)
            return i;
    }
    return -1;
}

static void write_key(int at, int key)
{
    int len = snprintf(m.tail[at], sizeof m.tail[at], "\"method\":\"m%d\",\"params\":[%d]", key % 7,
                       key / 3);
    m.len[at] = (size_t)len;
    m.salt[at] = (uint64_t)(key % 3);
}

static void add(struct rf_join *j, int at, int key)
{
    bool in = m.key[at] >= 0;
    if (!in)
        write_key(at, key);
    bool want = !in && m.n < MAX && holder(key) < 0;
    assert_int_equal(rf_join_add(j, &m.node[at], m.salt[at], m.tail[at], m.len[at]), want);
    if (want) {
        m.key[at] = key;
        m.n++;
    }
}

static void drop(struct rf_join *j, int at)
{
    rf_join_remove(j, &m.node[at]);
    m.n -= m.key[at] >= 0;
    m.key[at] = -1;
    memset(m.tail[at], '#', sizeof m.tail[at]);
}

static void replace(struct rf_join *j, int at, int by)
{
    bool want = m.key[at] >= 0 && m.key[by] < 0;
    if (want)
        write_key(by, m.key[at]);
    rf_join_replace(j, &m.node[at], &m.node[by], m.tail[by]);
    if (!want)
        return;
    m.key[by] = m.key[at];
    m.key[at] = -1;
    memset(m.tail[at], '#', sizeof m.tail[at]);
}

static void look(const struct rf_join *j, int key)
{
    char tail[48];
    int len = snprintf(tail, sizeof tail, "\"method\":\"m%d\",\"params\":[%d]", key % 7, key / 3);
    int at = holder(key);
    const struct rf_join_node *got = rf_join_find(j, (uint64_t)(key % 3), tail, (size_t)len);
    assert_ptr_equal(got, at >= 0 ? &m.node[at] : NULL);
}

/* With 16 buckets for 60 nodes, so that the chains are long. */
static void test_random_runs_against_a_list(void **state)
{
    (void)state;
    struct rf_rng rng;
    struct rf_join j;
    rf_rng_init(&rng, 31);
    assert_true(rf_join_init(&j, MAX));
    j.mask = 15;
    for (int i = 0; i < NODES; i++)
        m.key[i] = -1;
    uint64_t allocations = rf_alloc_count();
    unsigned fullest = 0;
    for (int step = 0; step < 200000; step++) {
        int at = (int)rf_rng_below(&rng, NODES), key = (int)rf_rng_below(&rng, KEYS);
        bool filling = step / 2000 % 2 == 0; /* full, empty, and between */
        switch (rf_rng_below(&rng, 6)) {
        case 0:
        case 1:
            filling ? add(&j, at, key) : drop(&j, at);
            break;
        case 2:
            add(&j, at, key);
            break;
        case 3:
            drop(&j, at);
            break;
        case 4:
            replace(&j, at, (int)rf_rng_below(&rng, NODES));
            break;
        default:
            look(&j, key);
        }
        assert_int_equal(j.n, m.n);
        fullest = m.n > fullest ? m.n : fullest;
        if (step % 1000 == 0) {
            for (key = 0; key < KEYS; key++)
                look(&j, key);
        }
    }
    assert_int_equal(fullest, MAX);
    assert_int_equal(rf_alloc_count(), allocations);
    for (int i = 0; i < NODES; i++)
        drop(&j, i);
    for (uint64_t b = 0; b <= j.mask; b++)
        assert_null(j.bucket[b]);
    rf_join_fini(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zeroed_table_takes_none),
        cmocka_unit_test(test_init_out_of_memory_takes_none),
        cmocka_unit_test(test_found_by_salt_and_all_bytes),
        cmocka_unit_test(test_equal_hash_alone_is_no_match),
        cmocka_unit_test(test_empty_tail_and_zero_bytes_differ),
        cmocka_unit_test(test_add_refuses_equal_twice_and_too_many),
        cmocka_unit_test(test_remove_is_harmless_twice),
        cmocka_unit_test(test_replace_hands_the_place_over),
        cmocka_unit_test(test_chains_stay_short),
        cmocka_unit_test(test_random_runs_against_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
