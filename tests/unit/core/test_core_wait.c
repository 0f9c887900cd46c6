/* test_core_wait.c - the predicted wait of a new call: rather too short than too long, whatever its
 * class, and nothing where nothing waits. */
#include "core_case.h"

static uint64_t wait_of(struct bench *b, uint32_t network)
{
    return rf_core_wait(rf_vshell_core(b->v), network, rf_vshell_now(b->v));
}

static void test_wait_of_a_queue(void **state)
{
    (void)state;
    static const struct rpcfan_limit limit = {.count = 100, .window_ms = 10000};
    struct bench b;
    bench_init(&b, 1, 1);
    b.ep[0].limits = &limit;
    b.ep[0].n_limits = 1;
    bench_start(&b);
    assert_int_equal(wait_of(&b, 0), 0);
    bench_calls(&b, 200, "eth_call", 100 * RF_SEC);
    bench_run(&b, RF_MS);
    uint64_t wait_ns = wait_of(&b, 0);
    assert_in_range(wait_ns, 15 * RF_SEC, 20 * RF_SEC);
    uint64_t asked_ns = rf_vshell_now(b.v);
    struct rf_vcall *last = bench_call(&b, 0, "eth_call", 100 * RF_SEC);
    while (last->call.state != RF_CALL_SENT)
        bench_run(&b, RF_MS);
    assert_true(rf_vshell_now(b.v) - asked_ns >= wait_ns - 30 * RF_MS); /* not too long */
    bench_run(&b, RF_SEC);
    assert_int_equal(wait_of(&b, 0), 0);
    bench_fini(&b);
}

/* A class that has nothing waiting is served in its turn, however long another's queue is. */
static void test_wait_of_the_class_that_is_best_off(void **state)
{
    (void)state;
    static const char *const slow[] = {"slow"};
    static const struct rpcfan_limit limits[] = {
        {.count = 1000, .window_ms = 10000},
        {.count = 1, .window_ms = 10000, .methods = slow, .n_methods = 1}};
    struct bench b;
    bench_init(&b, 1, 1);
    b.ep[0].limits = limits;
    b.ep[0].n_limits = 2;
    bench_start(&b);
    bench_calls(&b, 500, "slow", 100 * RF_SEC);
    bench_run(&b, RF_MS);
    assert_int_equal(wait_of(&b, 0), 0); /* of other methods nothing is known yet */
    bench_call(&b, 0, "eth_call", 100 * RF_SEC);
    bench_run(&b, 500 * RF_MS);
    assert_int_equal(b.ok, 2);
    assert_int_equal(wait_of(&b, 0), 0);
    bench_calls(&b, 1000, "eth_call", 100 * RF_SEC);
    bench_run(&b, RF_MS);
    assert_true(wait_of(&b, 0) > 5 * RF_SEC);
    rf_vshell_close(b.v, RPCFAN_CLOSE_NOW);
    bench_fini(&b);
}

/* Three doors of one account are one rate, and an endpoint without a known rate makes it unknown.
 */
static void test_wait_counts_an_account_once(void **state)
{
    (void)state;
    static const struct rpcfan_limit limit = {.count = 100, .window_ms = 10000};
    static const struct rpcfan_limit own = {.count = 20, .window_ms = 10000};
    for (uint32_t k = 0; k < 3; k++) {
        struct rpcfan_account_options a;
        struct bench b;
        bench_init(&b, 3, 1);
        rpcfan_account_options_init(&a);
        a.name = "key";
        a.limits = &limit;
        a.n_limits = 1;
        b.o.accounts = &a;
        b.o.n_accounts = 1;
        for (uint32_t i = 0; i < (k == 1 ? 2 : 3); i++)
            b.ep[i].account = "key";
        for (uint32_t i = 0; i < 3 && k == 2; i++) {
            b.ep[i].limits = &own;
            b.ep[i].n_limits = 1;
        }
        b.ep[2].in_flight = 1;
        bench_start(&b);
        bench_calls(&b, 2000, "eth_call", 600 * RF_SEC);
        bench_run(&b, RF_MS);
        uint64_t wait_s = wait_of(&b, 0) / RF_SEC;
        if (k == 0)
            assert_in_range(wait_s, 170, 190);
        else if (k == 1)
            assert_int_equal(wait_s, 0);
        else
            assert_in_range(wait_s, 290, 310);
        rf_vshell_close(b.v, RPCFAN_CLOSE_NOW);
        bench_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wait_of_a_queue),
        cmocka_unit_test(test_wait_of_the_class_that_is_best_off),
        cmocka_unit_test(test_wait_counts_an_account_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
