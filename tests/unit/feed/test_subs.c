/* test_subs.c - the subscription engine, one behaviour a test, against nodes in virtual time. */
#include "subs_world.h"

static struct world world;

static struct rf_subs_endpoint ep[W_ENDPOINTS];

static struct rf_subs_options options(enum rpcfan_family family, uint32_t n)
{
    static const char *const names[W_ENDPOINTS] = {"a", "b", "c"};
    memset(ep, 0, sizeof ep);
    for (uint32_t i = 0; i < W_ENDPOINTS; i++)
        ep[i].name = names[i];
    w_init(&world, 1);
    return (struct rf_subs_options){.family = family, .endpoint = ep, .n_endpoints = n, .seed = 7};
}

static void test_one_subscription_comes_up_tells_and_ends(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    struct world *w = &world;
    w_start(w, &o);
    w_account(w, 0, 1, 1);
    assert_int_equal(rf_subs_deadline(w->s), 0);
    w_for(w, RF_SEC);
    assert_true(w->heard[0].up[0]);
    assert_int_equal(w->node[0].messages, 1);
    assert_int_equal(w->node[0].batches, 0);
    w_publish(w, 0, "accountSubscribe", "{\"context\":{\"slot\":5},\"value\":null}");
    w_for(w, RF_SEC);
    assert_int_equal(w->heard[0].news, 1);
    assert_string_equal(w->heard[0].last, "{\"context\":{\"slot\":5},\"value\":null}");
    w_remove(w, 0);
    w_for(w, 500 * RF_MS);
    assert_int_equal(w_subs_at(w, 0), 0);
    assert_int_equal(w->node[0].conns, 1); /* kept a second */
    w_for(w, 2 * RF_SEC);
    assert_int_equal(w->node[0].conns, 0);
    assert_int_equal(rf_subs_deadline(w->s), RF_NEVER);
    assert_int_equal(w->session_downs, 1);
    w_stop(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_subscription_comes_up_tells_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
