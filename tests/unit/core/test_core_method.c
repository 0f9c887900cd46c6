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

/* --- windows of their own ------------------------------------------------------------------ */

struct seen {
    uint64_t n[64]; /* calls by method m_NN in the run of the test */
    uint64_t all;
};

static void count_methods(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                          struct rf_vreply *out)
{
    struct seen *s = b->arg;
    (void)now_ns;
    for (uint32_t i = 0; i < ex->n; i++) {
        struct rpcfan_slice name = rf_call_method(ex->call[i]);
        unsigned at = 0;
        sscanf(name.data, "m_%2u", &at);
        s->n[at]++;
        s->all++;
    }
    bench_reply_ok(ex, out);
}

/* Each method has its own 3 in 10 s within 100 in 10 s for all; those that come when no more
 * windows can be made share the one that is left, and none is let through without. */
static void test_method_each_has_its_own_window(void **state)
{
    (void)state;
    static const char *const covered[] = {"m_*"};
    static const struct rpcfan_limit limits[] = {
        {.count = 200, .window_ms = 10000},
        {.count = 3, .window_ms = 10000, .methods = covered, .n_methods = 1, .each = 1}};
    for (uint32_t n_methods = 2; n_methods <= 60; n_methods += 29) {
        struct bench b;
        struct seen s = {0};
        bench_init(&b, 1, 1);
        b.ep[0].limits = limits;
        b.ep[0].n_limits = 2;
        b.ep[0].batch = 10;
        b.serve = count_methods;
        b.arg = &s;
        bench_start(&b);
        for (uint32_t i = 0; i < 10 * n_methods; i++) {
            char name[8];
            snprintf(name, sizeof name, "m_%02u", i % n_methods);
            bench_call(&b, 0, name, 300 * RF_SEC);
        }
        bench_run(&b, 9900 * RF_MS);
        const struct rf_limiter *lim = &bench_ep(&b, 0)->gate.limiter;
        uint32_t own = n_methods < 30 ? n_methods : 30;
        assert_int_equal(lim->n, 2 + own);
        uint64_t rest = 0;
        for (uint32_t i = 0; i < n_methods; i++) {
            assert_true(s.n[i] <= 3);
            assert_true(i >= own || s.n[i] == 3);
            rest += i >= own ? s.n[i] : 0;
        }
        assert_true(rest <= 3);
        assert_int_equal(find(&b, "m_00").class_ix, find(&b, "m_00").class_ix);
        assert_true(find(&b, "m_00").class_ix != find(&b, "m_01").class_ix);
        assert_int_equal(lim->n, 2 + own); /* looking again makes no more */
        bench_run(&b, 400 * RF_SEC);
        bench_fini(&b);
    }
}

/* Without methods it covers all; where two patterns cover a method, it still has one window. */
static void test_method_each_covers_all(void **state)
{
    (void)state;
    static const char *const twice[] = {"m_*", "m_01"};
    static const struct rpcfan_limit all = {.count = 2, .window_ms = 10000, .each = 1};
    static const struct rpcfan_limit two = {
        .count = 2, .window_ms = 10000, .methods = twice, .n_methods = 2, .each = 1};
    for (uint32_t k = 0; k < 2; k++) {
        struct bench b;
        bench_init(&b, 1, 1);
        b.ep[0].limits = k == 0 ? &all : &two;
        b.ep[0].n_limits = 1;
        bench_start(&b);
        find(&b, "m_01");
        find(&b, "m_02");
        find(&b, "m_01");
        assert_int_equal(bench_ep(&b, 0)->gate.limiter.n, 3);
        assert_int_equal(find(&b, "other").class_ix != find(&b, "another").class_ix, k == 0);
        bench_fini(&b);
    }
}

/* A window of an account for some methods counts them in every network, and only them. */
static void test_method_account_windows(void **state)
{
    (void)state;
    static const char *const logs[] = {"m_01"};
    static const struct rpcfan_limit limit = {
        .count = 4, .window_ms = 10000, .methods = logs, .n_methods = 1};
    struct rpcfan_account_options a;
    struct bench b;
    struct seen s = {0};
    bench_init(&b, 1, 1);
    rpcfan_account_options_init(&a);
    a.name = "key";
    a.limits = &limit;
    a.n_limits = 1;
    b.o.accounts = &a;
    b.o.n_accounts = 1;
    b.o.n_networks = 2;
    b.net[1].endpoints = &b.ep[1];
    b.net[1].n_endpoints = 1;
    b.ep[0].account = b.ep[1].account = "key";
    b.serve = count_methods;
    b.arg = &s;
    bench_start(&b);
    for (uint32_t i = 0; i < 40; i++) {
        bench_call(&b, i % 2, "m_01", 300 * RF_SEC);
        bench_call(&b, i % 2, "m_02", 300 * RF_SEC);
    }
    bench_run(&b, 9900 * RF_MS);
    assert_int_equal(s.n[1], 4);
    assert_int_equal(s.n[2], 40);
    bench_run(&b, 300 * RF_SEC);
    bench_fini(&b);
}

/* Lines for single endpoints do not take the places of methods that are still to come. */
static void test_method_pinned_lines_leave_room(void **state)
{
    (void)state;
    static char name[100][16];
    static struct rpcfan_weight weights[100];
    struct bench b;
    bench_init(&b, 8, 1);
    for (uint32_t i = 0; i < 100; i++) {
        snprintf(name[i], sizeof name[i], "m_%u", i);
        weights[i] = (struct rpcfan_weight){name[i], i + 2};
    }
    b.ep[0].weights = weights;
    b.ep[0].n_weights = 100;
    b.net[0].policy = RPCFAN_FIRST;
    bench_start(&b);
    for (uint32_t i = 0; i < 100; i++) {
        bench_call(&b, 0, name[i], 30 * RF_SEC);
        bench_run(&b, 50 * RF_MS);
    }
    assert_int_equal(b.ok, 100);
    assert_true(bench_net(&b, 0)->n_cq < RF_CLASS_QUEUES_MAX);
    bench_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_method_windows_and_weights),
        cmocka_unit_test(test_method_writes_are_known),
        cmocka_unit_test(test_method_table_is_bounded),
        cmocka_unit_test(test_method_classes_are_bounded),
        cmocka_unit_test(test_method_too_heavy_for_everyone),
        cmocka_unit_test(test_method_each_has_its_own_window),
        cmocka_unit_test(test_method_each_covers_all),
        cmocka_unit_test(test_method_account_windows),
        cmocka_unit_test(test_method_pinned_lines_leave_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
