/* test_vnode.c - the virtual node does what its settings say: queues, refuses, fails and lags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "sim/vnode.h"

#define MAX 8

/* An exchange made by hand. */
struct made {
    struct rf_exchange ex;
    struct rf_call *call[MAX];
    struct rf_vcall *v[MAX];
    struct rf_vreply out;
};

/* `n` calls of a method arrive. */
static void arrive(struct made *m, struct rf_vnode *node, const char *method, uint32_t n,
                   uint64_t now_ns)
{
    memset(m, 0, sizeof *m);
    m->ex.n = n;
    m->ex.id_base = 100;
    m->ex.call = m->call;
    for (uint32_t i = 0; i < n; i++) {
        m->v[i] = rf_vcall_new(i, method, "[1]");
        assert_non_null(m->v[i]);
        m->call[i] = &m->v[i]->call;
    }
    m->out = (struct rf_vreply){.transport = RF_T_OK, .status = 200, .retry_after_ns = RF_NEVER};
    rf_rate_hint_init(&m->out.rate);
    rf_vnode_arrive(node, &m->ex, now_ns, &m->out);
    rf_buf_char(&m->out.body, '\0');
}

static void drop(struct made *m)
{
    for (uint32_t i = 0; i < m->ex.n; i++)
        rf_vcall_free(m->v[i]);
    rf_buf_fini(&m->out.body);
}

static uint64_t delay_of(struct rf_vnode *node, const char *method, uint32_t n, uint64_t now_ns)
{
    struct made m;
    arrive(&m, node, method, n, now_ns);
    uint64_t delay_ns = m.out.delay_ns;
    drop(&m);
    return delay_ns;
}

static int status_of(struct rf_vnode *node, uint32_t n, uint64_t now_ns)
{
    struct made m;
    arrive(&m, node, "eth_call", n, now_ns);
    int status = m.out.status;
    drop(&m);
    return status;
}

static void start(struct rf_vnode *node)
{
    assert_true(rf_vnode_init(node, 1));
}

static void test_vnode_queue_in_front_of_workers(void **state)
{
    (void)state;
    struct rf_vnode node = {.workers = 2, .service = {.base_ns = 10 * RF_MS}};
    start(&node);
    uint64_t want[] = {10, 10, 20, 20, 30};
    for (size_t i = 0; i < RF_COUNT(want); i++)
        assert_int_equal(delay_of(&node, "eth_call", 1, 0), want[i] * RF_MS);
    assert_int_equal(delay_of(&node, "eth_call", 1, 25 * RF_MS), 10 * RF_MS);
    rf_vnode_fini(&node);
}

static void test_vnode_batch_over_workers(void **state)
{
    (void)state;
    struct rf_vnode spread = {.workers = 2, .service = {.base_ns = 10 * RF_MS}};
    struct rf_vnode on_one = spread, plenty = spread;
    on_one.batch_on_one = true;
    plenty.workers = 0;
    start(&spread);
    start(&on_one);
    start(&plenty);
    assert_int_equal(delay_of(&spread, "eth_call", 4, 0), 20 * RF_MS);
    assert_int_equal(delay_of(&on_one, "eth_call", 4, 0), 40 * RF_MS);
    assert_int_equal(delay_of(&on_one, "eth_call", 1, 0), 10 * RF_MS); /* the other one */
    assert_int_equal(delay_of(&plenty, "eth_call", 4, 0), 10 * RF_MS);
    rf_vnode_fini(&spread);
    rf_vnode_fini(&on_one);
    rf_vnode_fini(&plenty);
}

static void test_vnode_methods_have_times_and_weights(void **state)
{
    (void)state;
    static const struct rf_vmethod methods[] = {{"eth_getLogs", {.base_ns = 500 * RF_MS}, 75},
                                                {"eth_*", {.base_ns = 5 * RF_MS}, 10}};
    struct rf_vlimit credits = {
        .kind = RF_VLIMIT_SLIDING, .count = 100, .window_ns = RF_SEC, .unit = RF_VUNIT_CREDITS};
    struct rf_vnode node = {.method = methods,
                            .n_methods = 2,
                            .service = {.base_ns = RF_MS},
                            .also = {&credits},
                            .n_also = 1,
                            .retry_after_ns = RF_NEVER};
    start(&node);
    assert_int_equal(delay_of(&node, "eth_getLogs", 1, 0), 500 * RF_MS);
    assert_int_equal(delay_of(&node, "eth_call", 2, 0), 5 * RF_MS);
    assert_int_equal(delay_of(&node, "net_version", 5, 0), RF_MS); /* 75 + 20 + 5 */
    assert_int_equal(status_of(&node, 1, 0), 429);
    assert_int_equal(credits.admitted, 100);
    rf_vnode_fini(&node);
    rf_vlimit_fini(&credits);
}

/* Two calls a second; the third at 0.4 s in. */
static void refused(struct made *m, enum rf_vthrottle shape, struct rf_vnode *node, uint32_t n)
{
    node->limit = RF_VLIMIT_FIXED;
    node->limit_count = 2;
    node->limit_window_ns = 2 * RF_SEC;
    node->throttle = shape;
    start(node);
    assert_int_equal(status_of(node, 2, 400 * RF_MS), 200);
    arrive(m, node, "eth_call", n, 400 * RF_MS);
}

static void test_vnode_refusals_have_shapes(void **state)
{
    (void)state;
    static const struct {
        enum rf_vthrottle shape;
        int status;
        uint64_t retry_after_ns;
        const char *says;
    } cases[] = {{RF_VTHROTTLE_429, 429, RF_NEVER, "too many requests"},
                 {RF_VTHROTTLE_429_SECONDS, 429, 2 * RF_SEC, "too many requests"},
                 {RF_VTHROTTLE_429_DATE, 429, 2 * RF_SEC, "too many requests"},
                 {RF_VTHROTTLE_BODY, 200, RF_NEVER, "{\"jsonrpc\":\"2.0\",\"id\":100,\"error\""},
                 {RF_VTHROTTLE_MEMBERS, 200, RF_NEVER, "[{\"jsonrpc\":\"2.0\",\"id\":100,\"error\""},
                 {RF_VTHROTTLE_503_SECONDS, 503, 2 * RF_SEC, "too many requests"}};
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rf_vnode node = {.retry_after_ns = RF_NEVER};
        struct made m;
        refused(&m, cases[i].shape, &node, 2);
        assert_int_equal(m.out.status, cases[i].status);
        assert_int_equal(m.out.retry_after_ns, cases[i].retry_after_ns);
        if (strstr(m.out.body.data, cases[i].says) == NULL)
            fail_msg("shape %zu: %s", i, m.out.body.data);
        assert_int_equal(node.throttled, 2);
        drop(&m);
        rf_vnode_fini(&node);
    }
}

/* Members one by one: what still fits is served. */
static void test_vnode_members_refused_singly(void **state)
{
    (void)state;
    struct rf_vnode node = {.limit = RF_VLIMIT_SLIDING,
                            .limit_count = 3,
                            .limit_window_ns = RF_SEC,
                            .limit_in_body = true};
    struct made m;
    start(&node);
    arrive(&m, &node, "eth_call", 5, 0);
    assert_int_equal(node.admitted, 3);
    assert_int_equal(node.throttled, 2);
    assert_non_null(strstr(m.out.body.data, "\"id\":102,\"result\""));
    assert_non_null(strstr(m.out.body.data, "\"id\":103,\"error\""));
    drop(&m);
    rf_vnode_fini(&node);
}

/* A date is immune to the client's clock where the reply has a Date header of its own. */
static void test_vnode_dates_and_clocks(void **state)
{
    (void)state;
    static const struct {
        bool no_date;
        int64_t ahead_ns;
        uint64_t wait_ns;
    } cases[] = {{false, 3600 * (int64_t)RF_SEC, 2 * RF_SEC},
                 {true, 0, 1600 * RF_MS},
                 {true, -3600 * (int64_t)RF_SEC, 3600 * RF_SEC + 1600 * RF_MS},
                 {true, 3600 * (int64_t)RF_SEC, 0}};
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rf_vnode node = {.no_date = cases[i].no_date, .clock_ahead_ns = cases[i].ahead_ns};
        struct made m;
        refused(&m, RF_VTHROTTLE_429_DATE, &node, 1);
        assert_int_equal(m.out.retry_after_ns, cases[i].wait_ns);
        drop(&m);
        rf_vnode_fini(&node);
    }
}

/* In all limits or in none, and an account is shared. */
static void test_vnode_several_limits_and_an_account(void **state)
{
    (void)state;
    struct rf_vlimit account = {.kind = RF_VLIMIT_SLIDING, .count = 5, .window_ns = RF_SEC};
    struct rf_vnode a = {.limit = RF_VLIMIT_SLIDING,
                         .limit_count = 3,
                         .limit_window_ns = RF_SEC,
                         .also = {&account},
                         .n_also = 1};
    struct rf_vnode b = a;
    start(&a);
    start(&b);
    assert_int_equal(status_of(&a, 3, 0), 200);
    assert_int_equal(status_of(&a, 1, 0), 429); /* its own; the account is not charged */
    assert_int_equal(status_of(&b, 2, 0), 200);
    assert_int_equal(status_of(&b, 1, 0), 429); /* the account; its own is not charged */
    assert_int_equal(account.admitted, 5);
    assert_int_equal(b.own.admitted, 2);
    assert_int_equal(status_of(&b, 3, RF_SEC), 200);
    rf_vnode_fini(&a);
    rf_vnode_fini(&b);
    rf_vlimit_fini(&account);
}

static void test_vnode_refusals_cost_no_worker(void **state)
{
    (void)state;
    struct rf_vnode node = {.workers = 1,
                            .service = {.base_ns = 10 * RF_MS},
                            .limit = RF_VLIMIT_CONCURRENT,
                            .limit_count = 2};
    start(&node);
    assert_int_equal(delay_of(&node, "eth_call", 1, 0), 10 * RF_MS);
    assert_int_equal(delay_of(&node, "eth_call", 1, 0), 20 * RF_MS);
    assert_int_equal(status_of(&node, 1, 0), 429);
    assert_int_equal(delay_of(&node, "eth_call", 1, 15 * RF_MS), 15 * RF_MS);
    rf_vnode_fini(&node);
}

static void test_vnode_hints(void **state)
{
    (void)state;
    struct rf_vnode node = {.limit = RF_VLIMIT_FIXED,
                            .limit_count = 10,
                            .limit_window_ns = 5 * RF_SEC,
                            .hints = true};
    struct made m;
    start(&node);
    arrive(&m, &node, "eth_call", 3, 1500 * RF_MS);
    assert_true(m.out.rate.any);
    assert_int_equal(m.out.rate.remaining, 7);
    assert_int_equal(m.out.rate.quota, 10);
    assert_int_equal(m.out.rate.window_ns, 5 * RF_SEC);
    assert_int_equal(m.out.rate.reset_ns, 4 * RF_SEC);
    drop(&m);
    rf_vnode_fini(&node);
}

static void test_vnode_outages_come_and_go(void **state)
{
    (void)state;
    static const struct rf_voutage outages[] = {
        {RF_SEC, 2 * RF_SEC, RF_VFAULT_5XX, 0, 0},
        {3 * RF_SEC, 4 * RF_SEC, RF_VFAULT_SLOW, 0, 20},
        {5 * RF_SEC, 6 * RF_SEC, RF_VFAULT_HANG, 0, 0},
        {7 * RF_SEC, 8 * RF_SEC, RF_VFAULT_RESET, 500, 0},
    };
    struct rf_vnode node = {
        .service = {.base_ns = 10 * RF_MS}, .outage = outages, .n_outages = RF_COUNT(outages)};
    start(&node);
    assert_int_equal(status_of(&node, 1, RF_SEC - 1), 200);
    assert_int_equal(status_of(&node, 1, RF_SEC), 503);
    assert_int_equal(status_of(&node, 1, 2 * RF_SEC), 200);
    assert_int_equal(delay_of(&node, "eth_call", 1, 3500 * RF_MS), 200 * RF_MS);
    assert_int_equal(delay_of(&node, "eth_call", 1, 4500 * RF_MS), 10 * RF_MS);
    assert_true(delay_of(&node, "eth_call", 1, 5500 * RF_MS) == RF_NEVER);
    uint32_t reset = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        struct made m;
        arrive(&m, &node, "eth_call", 1, 7500 * RF_MS);
        reset += m.out.transport == RF_T_RESET;
        drop(&m);
    }
    assert_in_range(reset, 420, 580);
    rf_vnode_fini(&node);
}

static void test_vnode_damage(void **state)
{
    (void)state;
    static const char first[] = "[{\"jsonrpc\":\"2.0\",\"id\":100,\"result\":\"'method':'eth_call',"
                                "'params':[1]}\"}";
    static const struct {
        struct rf_vfaults faults;
        const char *says;
        uint32_t members;
    } cases[] = {
        {{0}, first, 4},
        {{.html = 1000}, "<html>", 0},
        {{.truncated = 1000}, first, 3},
        {{.wrong_ids = 1000}, "\"id\":1000103", 4},
        {{.shuffle = 1000}, "\"id\":100,", 4},
        {{.missing = 1000}, "\"id\":10", 3},
        {{.duplicate = 1000}, "a second answer", 5},
        {{.extra = 1000}, "nobody asked", 5},
        {{.no_ids = 1000}, "\"id\":null", 4},
        {{.object = 1000}, "{\"jsonrpc\":\"2.0\",\"id\":100,\"error\"", 1},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rf_vnode node = {.faults = cases[i].faults};
        struct made m;
        uint32_t members = 0;
        start(&node);
        arrive(&m, &node, "eth_call", 4, 0);
        for (const char *at = m.out.body.data; (at = strstr(at, "\"jsonrpc\"")) != NULL; at++)
            members++;
        if (strstr(m.out.body.data, cases[i].says) == NULL || members != cases[i].members)
            fail_msg("case %zu: %u members: %s", i, members, m.out.body.data);
        drop(&m);
        rf_vnode_fini(&node);
    }
}

static void test_vnode_heads_lag(void **state)
{
    (void)state;
    struct rf_vnode node = {.block_ns = 2 * RF_SEC, .block_first = 1000, .lag_blocks = 7};
    struct made m;
    start(&node);
    assert_int_equal(rf_vnode_head(&node, 61 * RF_SEC), 1023);
    arrive(&m, &node, "eth_blockNumber", 1, 61 * RF_SEC);
    assert_non_null(strstr(m.out.body.data, "\"result\":\"0x3ff\""));
    drop(&m);
    arrive(&m, &node, "getSlot", 1, 61 * RF_SEC);
    assert_non_null(strstr(m.out.body.data, "\"result\":1023}"));
    drop(&m);
    rf_vnode_fini(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vnode_queue_in_front_of_workers),
        cmocka_unit_test(test_vnode_batch_over_workers),
        cmocka_unit_test(test_vnode_methods_have_times_and_weights),
        cmocka_unit_test(test_vnode_refusals_have_shapes),
        cmocka_unit_test(test_vnode_members_refused_singly),
        cmocka_unit_test(test_vnode_dates_and_clocks),
        cmocka_unit_test(test_vnode_several_limits_and_an_account),
        cmocka_unit_test(test_vnode_refusals_cost_no_worker),
        cmocka_unit_test(test_vnode_hints),
        cmocka_unit_test(test_vnode_outages_come_and_go),
        cmocka_unit_test(test_vnode_damage),
        cmocka_unit_test(test_vnode_heads_lag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
