/* test_heap.c - the heap against a sorted model, with removals anywhere. */
#include "base/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"

enum { NODES = 300 };

static void check_order(const struct rf_heap *h)
{
    for (uint32_t i = 1; i <= h->len; i++) {
        assert_int_equal(h->slot[i].node->pos, i);
        assert_true(h->slot[i].at_ns == h->slot[i].node->at_ns);
        assert_true(i == 1 || h->slot[i / 2].at_ns <= h->slot[i].at_ns);
    }
}

static void test_empty(void **state)
{
    (void)state;
    struct rf_heap h = {0};
    struct rf_heap_node n = {0};
    assert_null(rf_heap_top(&h));
    assert_true(rf_heap_next(&h) == RF_NEVER);
    rf_heap_remove(&h, &n);
    assert_int_equal(h.len, 0);
    rf_heap_fini(&h);
}

static void test_random_against_a_model(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 17);
    static struct rf_heap_node node[NODES];
    static bool in[NODES];
    struct rf_heap h = {0};
    for (int step = 0; step < 100000; step++) {
        size_t k = (size_t)rf_rng_below(&rng, NODES);
        bool filling = step / 2000 % 2 == 0;
        if (!in[k] && (filling || rf_rng_below(&rng, 4) == 0)) {
            uint64_t at = rf_rng_below(&rng, 20) == 0 ? RF_NEVER : rf_rng_below(&rng, 1000);
            assert_true(rf_heap_push(&h, &node[k], at));
            in[k] = true;
        } else if (rf_rng_below(&rng, 2) == 0) {
            rf_heap_remove(&h, &node[k]); /* also where it is in none */
            in[k] = false;
        } else if (rf_heap_top(&h) != NULL) {
            struct rf_heap_node *top = rf_heap_top(&h);
            rf_heap_remove(&h, top);
            in[top - node] = false;
        }
        uint64_t earliest = RF_NEVER;
        uint32_t count = 0;
        for (size_t i = 0; i < NODES; i++) {
            assert_int_equal(in[i], node[i].pos != 0);
            if (in[i]) {
                earliest = rf_min_u64(earliest, node[i].at_ns);
                count++;
            }
        }
        assert_int_equal(h.len, count);
        assert_true(rf_heap_next(&h) == earliest);
        if (step % 16 == 0)
            check_order(&h);
    }
    rf_heap_fini(&h);
}

static void test_draining_sorts(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 18);
    static struct rf_heap_node node[10000];
    struct rf_heap h = {0};
    for (size_t i = 0; i < RF_COUNT(node); i++)
        assert_true(rf_heap_push(&h, &node[i], rf_rng_next(&rng)));
    uint64_t last = 0;
    for (size_t i = 0; i < RF_COUNT(node); i++) {
        struct rf_heap_node *top = rf_heap_top(&h);
        assert_true(top->at_ns >= last);
        last = top->at_ns;
        rf_heap_remove(&h, top);
        assert_int_equal(top->pos, 0);
    }
    assert_null(rf_heap_top(&h));
    rf_heap_fini(&h);
}

static void test_out_of_memory_leaves_the_node_out(void **state)
{
    (void)state;
    struct rf_heap h = {0};
    struct rf_heap_node n = {0};
    rf_alloc_fail_at(1);
    assert_false(rf_heap_push(&h, &n, 5));
    rf_alloc_fail_at(0);
    assert_int_equal(n.pos, 0);
    assert_int_equal(h.len, 0);
    assert_true(rf_heap_push(&h, &n, 5));
    assert_ptr_equal(rf_heap_top(&h), &n);
    rf_heap_fini(&h);
}

static void test_reserved_pushes_cannot_fail(void **state)
{
    (void)state;
    static struct rf_heap_node node[1000];
    struct rf_heap h = {0};
    assert_true(rf_heap_reserve(&h, 1000));
    rf_alloc_fail_at(1);
    for (size_t i = 0; i < RF_COUNT(node); i++)
        assert_true(rf_heap_push(&h, &node[i], 1000 - i));
    rf_alloc_fail_at(0);
    check_order(&h);
    rf_heap_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_random_against_a_model),
        cmocka_unit_test(test_draining_sorts),
        cmocka_unit_test(test_out_of_memory_leaves_the_node_out),
        cmocka_unit_test(test_reserved_pushes_cannot_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
