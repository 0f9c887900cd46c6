/* test_core_method.c - from a method's name to its class queue: windows, weights, writes, and
 * bounds. */
#include "core_case.h"

#include "core/method.h"

static struct rf_method_kind find(struct bench *b, const char *name)
{
    struct rf_method_kind kind;
    struct rpcfan_slice s = {name, strlen(name)};
    assert_int_equal(rf_method_find(bench_net(b, 0), s, &kind), RPCFAN_OK);
    return kind;
}

static const struct rf_cost *cost(struct bench *b, const char *name)
{
    return &bench_net(b, 0)->cq[find(b, name).class_ix].price[0].own;
}

static void test_method_windows_and_weights(void **state)
{
    (void)state;
    static const char *const logs[] = {"eth_getLogs", "trace_*"};
    static const struct rpcfan_limit limits[] = {
        {.count = 100, .window_ms = 1000},
        {.count = 5, .window_ms = 1000, .methods = logs, .n_methods = 2},
        {.count = 500, .window_ms = 1000, .unit = RPCFAN_WEIGHT}};
    static const struct rpcfan_weight weights[] = {{"eth_*", 2}, {"eth_call", 26}, {"*", 7}};
    struct bench b;
    bench_init(&b, 1, 1);
    b.ep[0].limits = limits;
    b.ep[0].n_limits = 3;
    b.ep[0].weights = weights;
    b.ep[0].n_weights = 3;
    bench_start(&b);
    assert_int_equal(cost(&b, "eth_call")->mask, 5);
    assert_int_equal(cost(&b, "eth_call")->weight, 26);
    assert_int_equal(cost(&b, "eth_getLogs")->mask, 7);
    assert_int_equal(cost(&b, "trace_block")->mask, 7);
    assert_int_equal(cost(&b, "trace_block")->weight, 7);
    assert_int_equal(find(&b, "eth_getLogs").class_ix, find(&b, "eth_getLogs").class_ix);
    assert_int_equal(find(&b, "web3_x").class_ix, find(&b, "net_y").class_ix);
    assert_true(find(&b, "eth_getLogs").class_ix != find(&b, "eth_call").class_ix);
    bench_fini(&b);
}

static void test_method_writes_are_known(void **state)
{
    (void)state;
    static const char *const once[] = {"eth_sendTransaction", "personal_sign",
                                       "eth_newFilter",       "requestAirdrop",
                                       "engine_newPayloadV3", "my_write"};
    static const char *const twice[] = {"eth_sendRawTransaction", "sendTransaction", "eth_call",
                                        "eth_getBalance", "my_writes"};
    static const char *const own[] = {"my_write"};
    struct bench b;
    bench_init(&b, 1, 1);
    b.net[0].once = own;
    b.net[0].n_once = 1;
    bench_start(&b);
    for (size_t i = 0; i < RF_COUNT(once); i++)
        assert_true(find(&b, once[i]).once);
    for (size_t i = 0; i < RF_COUNT(twice); i++)
        assert_false(find(&b, twice[i]).once);
    bench_fini(&b);
}

/* However many names there are: the table stays as it is, and each is still judged right. */
static void test_method_table_is_bounded(void **state)
{
    (void)state;
    struct bench b;
    char name[128];
    bench_init(&b, 1, 1);
    bench_start(&b);
    for (uint32_t i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "%s_%u", i % 2 == 0 ? "personal" : "eth", i);
        assert_int_equal(find(&b, name).once, i % 2 == 0);
        assert_int_equal(find(&b, name).once, i % 2 == 0);
    }
    memset(name, 'x', sizeof name);
    for (size_t n = 60; n < sizeof name; n++) {
        struct rf_method_kind kind;
        assert_int_equal(rf_method_find(bench_net(&b, 0), (struct rpcfan_slice){name, n}, &kind),
                         RPCFAN_OK);
        assert_false(kind.once);
    }
    assert_int_equal(bench_net(&b, 0)->n_cq, 1);
    assert_true(bench_net(&b, 0)->n_methods <= RF_METHOD_SLOTS / 2);
    bench_fini(&b);
}

static void test_method_classes_are_bounded(void **state)
{
    (void)state;
    static char name[300][16];
    static struct rpcfan_weight weights[300];
    struct bench b;
    bench_init(&b, 1, 1);
    for (uint32_t i = 0; i < 300; i++) {
        snprintf(name[i], sizeof name[i], "m_%u", i);
        weights[i] = (struct rpcfan_weight){name[i], i + 2};
    }
    b.ep[0].weights = weights;
    b.ep[0].n_weights = 300;
    bench_start(&b);
    for (uint32_t i = 0; i < 300; i++)
        bench_call(&b, 0, name[i], 5 * RF_SEC);
    bench_run(&b, 5 * RF_SEC);
    assert_int_equal(bench_net(&b, 0)->n_cq, RF_CLASS_QUEUES_MAX);
    assert_int_equal(b.ok + b.by_err[RPCFAN_EINVAL], 300);
    assert_int_equal(b.by_err[RPCFAN_EINVAL], 300 - RF_CLASS_QUEUES_MAX);
    bench_fini(&b);
}

/* A call that no window of any node can ever hold is refused; one that fits somewhere is not. */
static void test_method_too_heavy_for_everyone(void **state)
{
    (void)state;
    static const struct rpcfan_limit small = {
        .count = 10, .window_ms = 1000, .unit = RPCFAN_WEIGHT};
    static const struct rpcfan_weight heavy = {"heavy", 11};
    for (uint32_t n = 1; n <= 2; n++) {
        struct bench b;
        bench_init(&b, n, 1);
        b.ep[0].limits = &small;
        b.ep[0].n_limits = 1;
        b.ep[0].weights = &heavy;
        b.ep[0].n_weights = 1;
        bench_start(&b);
        bench_calls(&b, 3, "heavy", 5 * RF_SEC);
        bench_run(&b, RF_SEC);
        assert_int_equal(b.by_err[n == 1 ? RPCFAN_ELIMIT : RPCFAN_OK], 3);
        bench_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_method_windows_and_weights),
        cmocka_unit_test(test_method_writes_are_known),
        cmocka_unit_test(test_method_table_is_bounded),
        cmocka_unit_test(test_method_classes_are_bounded),
        cmocka_unit_test(test_method_too_heavy_for_everyone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
