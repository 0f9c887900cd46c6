/* test_result.c - the slab of results, their ids, and cancels that come too late or were made up.
 */
#include <pthread.h>

#include "client_case.h"

static void test_result_ids_are_never_zero_and_not_reused(void **state)
{
    (void)state;
    struct nobody n;
    nobody_init(&n);
    nobody_start(&n);
    rpcfan_client_t *c = n.client;
    pthread_mutex_lock(&c->in.lock);
    struct rpcfan_result *r = rf_result_take(c);
    uint64_t old = (uint64_t)r->generation << 32 | r->slot;
    assert_true(old != 0);
    assert_ptr_equal(rf_result_find(c, old), r);
    assert_true(rf_result_drop(r));
    rf_result_put(r);
    assert_null(rf_result_find(c, old));
    assert_null(rf_result_find(c, 0));
    assert_null(rf_result_find(c, UINT64_MAX));
    r->generation = UINT32_MAX;
    assert_ptr_equal(rf_result_take(c), r);
    assert_true(rf_result_drop(r));
    rf_result_put(r);
    assert_int_equal(r->generation, 1);
    pthread_mutex_unlock(&c->in.lock);
    nobody_fini(&n);
}

static void test_result_slab_grows_and_is_used_again(void **state)
{
    (void)state;
    struct nobody n;
    static struct rpcfan_result *r[5 * RF_SLAB_CHUNK];
    nobody_init(&n);
    nobody_start(&n);
    rpcfan_client_t *c = n.client;
    pthread_mutex_lock(&c->in.lock);
    for (uint32_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < RF_COUNT(r); i++) {
            r[i] = rf_result_take(c);
            assert_non_null(r[i]);
        }
        assert_int_equal(c->in.n_chunks, 5);
        for (size_t i = 0; i < RF_COUNT(r); i++) {
            assert_true(rf_result_drop(r[i]));
            rf_result_put(r[i]);
        }
    }
    for (uint64_t k = 1; k <= 2; k++) {
        struct rpcfan_result *all[5 * RF_SLAB_CHUNK];
        for (size_t i = 0; i < RF_COUNT(all); i++)
            all[i] = rf_result_take(c);
        rf_alloc_fail_at(k);
        assert_null(rf_result_take(c));
        rf_alloc_fail_at(0);
        for (size_t i = 0; i < RF_COUNT(all); i++) {
            rf_result_drop(all[i]);
            rf_result_put(all[i]);
        }
    }
    pthread_mutex_unlock(&c->in.lock);
    nobody_fini(&n);
}

struct seen {
    unsigned answered;
    enum rpcfan_err err;
    rpcfan_result_t *kept[64];
};

static void keep(const rpcfan_result_t *res, void *arg)
{
    struct seen *s = arg;
    s->err = rpcfan_result_err(res);
    if (s->answered < RF_COUNT(s->kept))
        s->kept[s->answered] = rpcfan_result_ref(res);
    s->answered++;
}

static struct rpcfan_request a_call(struct seen *s)
{
    return (struct rpcfan_request){
        .size = sizeof(struct rpcfan_request), .method = "eth_call", .cb = keep, .arg = s};
}

/* Ids that name an unused slot, another client's call, or nothing. */
static void test_cancel_of_made_up_ids_does_nothing(void **state)
{
    (void)state;
    struct nobody n;
    struct seen s = {0};
    rpcfan_call_id id;
    nobody_init(&n);
    nobody_start(&n);
    struct rpcfan_request r = a_call(&s);
    assert_int_equal(rpcfan_call(n.client, &r, &id, NULL), RPCFAN_OK);
    for (uint64_t slot = 0; slot < 2 * RF_SLAB_CHUNK; slot++) {
        for (uint64_t generation = 0; generation < 3; generation++) {
            if ((generation << 32 | slot) != id)
                rpcfan_cancel(n.client, generation << 32 | slot);
        }
    }
    nobody_run(&n, &s.answered, 1);
    assert_int_equal(s.answered, 1);
    assert_int_equal(s.err, RPCFAN_ECONNECT);
    rpcfan_result_unref(s.kept[0]);
    assert_int_equal(rpcfan_call(n.client, &r, &id, NULL), RPCFAN_OK);
    nobody_run(&n, &s.answered, 2);
    rpcfan_result_unref(s.kept[1]);
    nobody_fini(&n);
}

/* A cancel that names an answered call, whose result is then given back and used for another call
 * before the loop looks at the cancel. */
static void test_cancel_of_an_answered_call_spares_the_next_one(void **state)
{
    (void)state;
    struct nobody n;
    struct seen s = {0};
    rpcfan_call_id id, next;
    nobody_init(&n);
    nobody_start(&n);
    struct rpcfan_request r = a_call(&s);
    assert_int_equal(rpcfan_call(n.client, &r, &id, NULL), RPCFAN_OK);
    nobody_run(&n, &s.answered, 1);
    rpcfan_cancel(n.client, id);
    rpcfan_result_unref(s.kept[0]);
    assert_int_equal(rpcfan_call(n.client, &r, &next, NULL), RPCFAN_OK);
    assert_int_equal((uint32_t)next, (uint32_t)id); /* the same slot */
    assert_true(next != id);
    nobody_run(&n, &s.answered, 2);
    assert_int_equal(s.err, RPCFAN_ECONNECT);
    rpcfan_result_unref(s.kept[1]);
    nobody_fini(&n);
}

/* However many answered calls are canceled: the cancel of a pending one is not lost. */
static void test_cancel_is_not_crowded_out(void **state)
{
    (void)state;
    struct nobody n;
    struct seen s = {0};
    rpcfan_call_id id[20];
    nobody_init(&n);
    n.o.pending_calls = 10;
    nobody_start(&n);
    struct rpcfan_request r = a_call(&s);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(rpcfan_call(n.client, &r, &id[i], NULL), RPCFAN_OK);
        nobody_run(&n, &s.answered, i + 1);
    }
    rpcfan_call_id last;
    assert_int_equal(rpcfan_call(n.client, &r, &last, NULL), RPCFAN_OK);
    for (unsigned i = 0; i < 20; i++)
        rpcfan_cancel(n.client, id[i]);
    rpcfan_cancel(n.client, last);
    rpcfan_cancel(n.client, last);
    nobody_run(&n, &s.answered, 21);
    assert_int_equal(s.err, RPCFAN_ECANCELED);
    for (unsigned i = 0; i < 21; i++)
        rpcfan_result_unref(s.kept[i]);
    nobody_fini(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_result_ids_are_never_zero_and_not_reused),
        cmocka_unit_test(test_result_slab_grows_and_is_used_again),
        cmocka_unit_test(test_cancel_of_made_up_ids_does_nothing),
        cmocka_unit_test(test_cancel_of_an_answered_call_spares_the_next_one),
        cmocka_unit_test(test_cancel_is_not_crowded_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
