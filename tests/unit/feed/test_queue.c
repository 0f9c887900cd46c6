/* test_queue.c - the bounded queue: each policy at its cap, and every item accounted for under
 * random use, held against a plain model. */
#include "feed/queue.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"

static struct rf_queue_item *item(uint64_t key, uint64_t since, size_t bytes)
{
    struct rf_queue_item *it = rf_alloc(sizeof *it);
    assert_non_null(it);
    it->key = key;
    it->since = since;
    it->bytes = bytes;
    return it;
}

static enum rf_queue_added add(struct rf_queue *q, uint64_t key, uint64_t since, size_t bytes)
{
    struct rf_queue_item *it = item(key, since, bytes), *out;
    enum rf_queue_added what = rf_queue_add(q, it, &out);
    rf_free(what == RF_QUEUE_FULL ? it : out);
    return what;
}

static uint64_t take(struct rf_queue *q)
{
    struct rf_queue_item *it = rf_queue_take(q);
    uint64_t since = it != NULL ? it->since : RF_NEVER;
    rf_free(it);
    return since;
}

static void drain(struct rf_queue *q)
{
    while (take(q) != RF_NEVER)
        continue;
    assert_int_equal(q->count.items, 0);
    assert_int_equal(q->count.bytes, 0);
    assert_int_equal(q->count.added, q->count.taken + q->count.conflated + q->count.dropped);
    rf_queue_fini(q);
}

static void test_latest_keeps_one_of_a_key_in_its_place(void **state)
{
    (void)state;
    struct rf_queue q;
    assert_true(rf_queue_init(&q, RPCFAN_LATEST, 10, 1000));
    assert_int_equal(add(&q, 7, 100, 10), RF_QUEUE_ADDED);
    assert_int_equal(add(&q, 8, 101, 10), RF_QUEUE_ADDED);
    assert_int_equal(rf_queue_since(&q), 100);
    assert_int_equal(add(&q, 7, 105, 30), RF_QUEUE_CONFLATED);
    assert_int_equal(q.count.bytes, 40);
    assert_int_equal(rf_queue_since(&q), 100); /* it stands for the one of 100 as well */
    struct rf_queue_item *it = rf_queue_take(&q);
    assert_int_equal(it->key, 7);
    assert_int_equal(it->bytes, 30);
    assert_int_equal(it->since, 100);
    rf_free(it);
    assert_int_equal(rf_queue_since(&q), 101);
    assert_int_equal(add(&q, 7, 106, 10), RF_QUEUE_ADDED); /* a new one: behind 8 */
    assert_int_equal(take(&q), 101);
    assert_int_equal(take(&q), 106);
    assert_int_equal(rf_queue_since(&q), RF_NEVER);
    drain(&q);
}

static void test_what_has_no_key_is_never_replaced(void **state)
{
    (void)state;
    struct rf_queue q;
    assert_true(rf_queue_init(&q, RPCFAN_LATEST, 2, 1000));
    assert_int_equal(add(&q, 0, 1, 1), RF_QUEUE_ADDED);
    assert_int_equal(add(&q, 0, 2, 1), RF_QUEUE_ADDED);
    assert_int_equal(add(&q, 0, 3, 1), RF_QUEUE_DROPPED); /* the oldest */
    assert_int_equal(take(&q), 2);
    drain(&q);
}

static void test_drop_oldest_and_drop_newest(void **state)
{
    (void)state;
    struct rf_queue q;
    assert_true(rf_queue_init(&q, RPCFAN_DROP_OLDEST, 2, 1000));
    add(&q, 1, 1, 1);
    add(&q, 1, 2, 1); /* keys do not matter here */
    assert_int_equal(add(&q, 1, 3, 1), RF_QUEUE_DROPPED);
    assert_int_equal(take(&q), 2);
    assert_int_equal(q.count.dropped, 1);
    drain(&q);
    assert_true(rf_queue_init(&q, RPCFAN_DROP_NEWEST, 2, 1000));
    add(&q, 1, 1, 1);
    add(&q, 1, 2, 1);
    assert_int_equal(add(&q, 1, 3, 1), RF_QUEUE_DROPPED);
    assert_int_equal(take(&q), 1);
    assert_int_equal(take(&q), 2);
    assert_int_equal(take(&q), RF_NEVER);
    drain(&q);
}

static void test_block_refuses_and_takes_it_later(void **state)
{
    (void)state;
    struct rf_queue q;
    assert_true(rf_queue_init(&q, RPCFAN_BLOCK, 2, 100));
    assert_int_equal(add(&q, 1, 1, 60), RF_QUEUE_ADDED);
    assert_int_equal(add(&q, 2, 2, 60), RF_QUEUE_FULL);
    assert_int_equal(add(&q, 3, 3, 101), RF_QUEUE_DROPPED); /* it would never fit */
    assert_int_equal(take(&q), 1);
    assert_int_equal(add(&q, 2, 2, 60), RF_QUEUE_ADDED);
    assert_int_equal(q.count.full, 1);
    assert_int_equal(q.count.added, 3);
    drain(&q);
}

static void test_bytes_over_the_cap_are_evicted(void **state)
{
    (void)state;
    struct rf_queue q;
    struct rf_queue_item *it;
    assert_true(rf_queue_init(&q, RPCFAN_LATEST, 100, 100));
    for (uint64_t i = 1; i <= 10; i++)
        assert_int_equal(add(&q, i, i, 10), RF_QUEUE_ADDED);
    assert_null(rf_queue_evict(&q));
    assert_int_equal(add(&q, 10, 20, 35), RF_QUEUE_CONFLATED);
    uint64_t since = 1;
    while ((it = rf_queue_evict(&q)) != NULL) {
        assert_int_equal(it->since, since++);
        rf_free(it);
    }
    assert_int_equal(q.count.bytes, 95);
    assert_int_equal(add(&q, 50, 50, 101), RF_QUEUE_DROPPED);
    assert_int_equal(q.count.items, 7);
    drain(&q);
}

static void test_pressure_has_two_marks(void **state)
{
    (void)state;
    struct rf_queue q;
    assert_true(rf_queue_init(&q, RPCFAN_BLOCK, 10, 1000));
    for (uint64_t i = 1; i <= 8; i++)
        add(&q, i, i, 1);
    assert_false(rf_queue_pressed(&q, false));
    add(&q, 9, 9, 1);
    assert_true(rf_queue_pressed(&q, false));
    for (int i = 0; i < 3; i++)
        take(&q);
    assert_true(rf_queue_pressed(&q, true));
    assert_false(rf_queue_pressed(&q, false));
    take(&q);
    assert_false(rf_queue_pressed(&q, true));
    add(&q, 10, 10, 900);
    assert_true(rf_queue_pressed(&q, false));
    drain(&q);
}

/* A model: an array in the order of arrival. */
struct model {
    struct {
        uint64_t key, since;
        size_t bytes;
    } at[4096];
    size_t n;
};

static void check(const struct rf_queue *q, const struct model *m)
{
    uint64_t bytes = 0, since = RF_NEVER;
    for (size_t i = 0; i < m->n; i++) {
        bytes += m->at[i].bytes;
        since = rf_min_u64(since, m->at[i].since);
    }
    assert_int_equal(q->count.items, m->n);
    assert_int_equal(q->count.bytes, bytes);
    assert_int_equal(rf_queue_since(q), since);
    assert_int_equal(q->count.added, q->count.taken + q->count.conflated + q->count.dropped + m->n);
    assert_true(q->count.items <= q->items_max);
}

static void model_remove(struct model *m, size_t i)
{
    for (m->n--; i < m->n; i++)
        m->at[i] = m->at[i + 1];
}

static void model_add(struct model *m, uint64_t key, uint64_t since, size_t bytes)
{
    m->at[m->n].key = key;
    m->at[m->n].since = since;
    m->at[m->n++].bytes = bytes;
}

static void random_add(struct rf_queue *q, struct model *m, struct rf_rng *rng)
{
    uint64_t key = rf_rng_below(rng, 60), since = rf_rng_below(rng, 1000);
    size_t bytes = 1 + rf_rng_below(rng, rf_rng_below(rng, 20) == 0 ? 600 : 30), same = 0;
    struct rf_queue_item *it = item(key, since, bytes), *out;
    bool starved = rf_rng_below(rng, 10) == 0;
    if (starved)
        rf_alloc_fail_at(1);
    enum rf_queue_added what = rf_queue_add(q, it, &out);
    rf_alloc_fail_at(0);
    while (same < m->n && (key == 0 || m->at[same].key != key))
        same++;
    bool latest = q->policy == RPCFAN_LATEST && same < m->n;
    switch (what) {
    case RF_QUEUE_ADDED:
        assert_false(latest);
        model_add(m, key, since, bytes);
        break;
    case RF_QUEUE_CONFLATED:
        assert_true(latest);
        assert_int_equal(out->key, key);
        m->at[same].since = rf_min_u64(since, m->at[same].since);
        m->at[same].bytes = bytes;
        break;
    case RF_QUEUE_DROPPED:
        assert_non_null(out);
        if (out != it) {
            model_add(m, key, since, bytes);
            model_remove(m, 0);
        }
        break;
    case RF_QUEUE_FULL:
        assert_int_equal(q->policy, RPCFAN_BLOCK);
        assert_null(out);
        out = it;
        break;
    case RF_QUEUE_NO_MEMORY:
        assert_true(starved && out == it);
        break;
    }
    rf_free(out);
    while ((out = rf_queue_evict(q)) != NULL) {
        model_remove(m, 0);
        rf_free(out);
    }
    assert_true(q->count.bytes <= q->bytes_max);
}

static void test_every_item_is_accounted_for(void **state)
{
    (void)state;
    static struct model m;
    for (int policy = RPCFAN_LATEST; policy <= RPCFAN_DROP_NEWEST; policy++) {
        for (uint64_t seed = 1; seed <= 20; seed++) {
            struct rf_queue q;
            struct rf_rng rng;
            rf_rng_init(&rng, seed);
            m.n = 0;
            assert_true(
                rf_queue_init(&q, (enum rpcfan_overflow)policy, 1 + rf_rng_below(&rng, 300), 500));
            uint64_t taking = 1 + rf_rng_below(&rng, 5);
            for (int step = 0; step < 5000; step++) {
                if (rf_rng_below(&rng, 6) >= taking) {
                    random_add(&q, &m, &rng);
                } else if (m.n > 0) {
                    assert_int_equal(take(&q), m.at[0].since);
                    model_remove(&m, 0);
                } else {
                    assert_null(rf_queue_take(&q));
                }
                check(&q, &m);
            }
            drain(&q);
        }
    }
}

static void test_many_keys(void **state)
{
    (void)state;
    struct rf_queue q;
    assert_true(rf_queue_init(&q, RPCFAN_LATEST, 100000, 1 << 30));
    for (uint64_t round = 0; round < 3; round++)
        for (uint64_t k = 1; k <= 50000; k++)
            assert_int_equal(add(&q, k, k, 8), round == 0 ? RF_QUEUE_ADDED : RF_QUEUE_CONFLATED);
    assert_int_equal(q.count.items, 50000);
    for (uint64_t k = 1; k <= 50000; k++)
        assert_int_equal(take(&q), k);
    drain(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_latest_keeps_one_of_a_key_in_its_place),
        cmocka_unit_test(test_what_has_no_key_is_never_replaced),
        cmocka_unit_test(test_drop_oldest_and_drop_newest),
        cmocka_unit_test(test_block_refuses_and_takes_it_later),
        cmocka_unit_test(test_bytes_over_the_cap_are_evicted),
        cmocka_unit_test(test_pressure_has_two_marks),
        cmocka_unit_test(test_every_item_is_accounted_for),
        cmocka_unit_test(test_many_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
