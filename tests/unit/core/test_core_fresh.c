/* test_core_fresh.c - reads go to nodes that are at the tip: what answers teach of heads, who is
 * passed over, who is probed, and that nobody is needed to ask again for it. */
#include "core_case.h"

#include "core/need.h"

struct chain {
    uint64_t head[BENCH_EPS];
    uint32_t probes[BENCH_EPS], tips[BENCH_EPS], olds[BENCH_EPS];
    uint64_t latency_ns;
};

/* Each node answers from its own head; getBlock of what it lacks is an error. */
static void chain_serve(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                        struct rf_vreply *out)
{
    struct chain *c = b->arg;
    const struct rf_call *call = ex->call[0];
    uint32_t e = ex->endpoint;
    (void)now_ns;
    assert_int_equal(ex->n, 1);
    out->delay_ns = c->latency_ns > 0 ? c->latency_ns : 20 * RF_MS;
    if (call->leg_of != NULL) {
        c->probes[e]++;
        rf_buf_printf(&out->body, "{\"id\":%llu,\"result\":\"0x%llx\"}",
                      (unsigned long long)ex->id_base, (unsigned long long)c->head[e]);
        return;
    }
    if (call->need == RF_NEED_BLOCK && call->need_at > c->head[e]) {
        rf_vreply_error(&out->body, ex->id_base, -32000, "header not found");
        return;
    }
    c->tips[e] += call->need == RF_NEED_TIP;
    c->olds[e] += call->need != RF_NEED_TIP;
    if (memmem(call->tail, call->tail_len, "eth_blockNumber", 15) != NULL)
        rf_buf_printf(&out->body, "{\"id\":%llu,\"result\":\"0x%llx\"}",
                      (unsigned long long)ex->id_base, (unsigned long long)c->head[e]);
    else
        bench_reply_ok(ex, out);
}

static void start(struct bench *b, struct chain *c, uint32_t n_ep)
{
    bench_init(b, n_ep, 1);
    b->net[0].lag_max = 3;
    for (uint32_t i = 0; i < n_ep; i++) {
        c->head[i] = 1000;
        b->ep[i].in_flight = 8;
        b->ep[i].learn = 0;
    }
    b->serve = chain_serve;
    b->arg = c;
    bench_start(b);
}

static void ask(struct bench *b, const char *method, const char *params, uint32_t n,
                uint64_t gap_ns)
{
    for (uint32_t i = 0; i < n; i++) {
        bench_ask(b, 0, method, params, 30 * RF_SEC);
        bench_run(b, gap_ns);
    }
}

/* Many at once, so that every node gets some. */
static void ask_all(struct bench *b)
{
    ask(b, "eth_blockNumber", "[]", 24, 0);
    bench_run(b, 300 * RF_MS);
}

/* The bench compares answers with its own: heads are not those. */
static void end(struct bench *b)
{
    b->wrong = 0;
    bench_run(b, 60 * RF_SEC);
    b->wrong = 0;
    bench_fini(b);
}

static void test_fresh_tip_reads_avoid_who_lags(void **state)
{
    (void)state;
    struct bench b;
    struct chain c = {0};
    start(&b, &c, 3);
    ask_all(&b);
    c.head[0] = c.head[2] = 1010;
    ask_all(&b);
    ask_all(&b); /* what was asked before anybody knew better is no lag */
    uint32_t tips = c.tips[1];
    assert_int_equal(rf_fresh_lagging(&bench_net(&b, 0)->fresh, rf_vshell_now(b.v)), 2);
    ask(&b, "eth_getBalance", "[\"0x1\",\"latest\"]", 100, 30 * RF_MS);
    assert_int_equal(c.tips[1], tips);
    ask(&b, "eth_getBalance", "[\"0x1\",\"0x64\"]", 100,
        30 * RF_MS); /* block 100: anybody has it */
    assert_true(c.olds[1] > 10);
    c.head[1] = 1010;
    ask(&b, "eth_getBalance", "[\"0x1\",\"latest\"]", 300, 30 * RF_MS);
    assert_true(c.probes[1] > 0 && c.probes[1] < 10);
    assert_true(c.tips[1] > tips + 30);
    end(&b);
}

static void test_fresh_block_goes_to_who_has_it(void **state)
{
    (void)state;
    struct bench b;
    struct chain c = {0};
    start(&b, &c, 2);
    c.head[0] = 1002; /* no lag yet */
    ask_all(&b);
    uint64_t before = b.exchanges;
    ask(&b, "eth_getBlockByNumber", "[\"0x3ea\",false]", 1, 30 * RF_MS); /* 1002 */
    assert_int_equal(b.exchanges, before + 1);
    assert_int_equal(b.by_err[RPCFAN_OK], b.submitted);
    end(&b);
}

/* Where all lag, or the only other is gone, a node that lags is better than none. */
static void test_fresh_ranks_and_never_forbids(void **state)
{
    (void)state;
    struct bench b;
    struct chain c = {0};
    start(&b, &c, 2);
    ask_all(&b);
    c.head[0] = 1100;
    ask_all(&b);
    struct rf_network *net = bench_net(&b, 0);
    net->ep[0].bench_until_ns = rf_vshell_now(b.v) + 20 * RF_SEC;
    uint32_t tips = c.tips[1];
    ask(&b, "eth_getBalance", "[\"0x1\",\"latest\"]", 20, 30 * RF_MS);
    assert_int_equal(c.tips[1], tips + 20);
    end(&b);
}

/* Calls wait for the node at the tip, which is paused; the other one is probed on time though
 * nothing else happens, and as soon as it is back they go there. */
static void test_fresh_probe_needs_no_event(void **state)
{
    (void)state;
    struct bench b;
    struct chain c = {0};
    start(&b, &c, 2);
    ask_all(&b);
    c.head[0] = 1100;
    while (rf_fresh_lagging(&bench_net(&b, 0)->fresh, rf_vshell_now(b.v)) == 0)
        ask_all(&b);
    struct rf_network *net = bench_net(&b, 0);
    uint64_t now_ns = rf_vshell_now(b.v);
    rf_gate_pause(&net->ep[0].gate, 20 * RF_SEC, now_ns);
    c.head[1] = 1100;
    uint32_t tips = c.tips[1];
    ask(&b, "eth_getBalance", "[\"0x1\",\"latest\"]", 1, 0);
    bench_run(&b, 3 * RF_SEC);
    assert_int_equal(c.probes[1], 1);
    assert_int_equal(c.tips[1], tips + 1);
    end(&b);
}

/* An idle client asks nobody, and its timer is off. */
static void test_fresh_idle_is_silent(void **state)
{
    (void)state;
    struct bench b;
    struct chain c = {0};
    start(&b, &c, 2);
    ask_all(&b);
    c.head[0] = 1100;
    while (rf_fresh_lagging(&bench_net(&b, 0)->fresh, rf_vshell_now(b.v)) == 0)
        ask_all(&b);
    bench_run(&b, 100 * RF_MS);
    uint64_t before = b.exchanges;
    assert_true(rf_core_deadline(rf_vshell_core(b.v)) == RF_NEVER);
    bench_run(&b, 50 * RF_SEC);
    assert_int_equal(b.exchanges, before);
    end(&b);
}

/* A node that answers nothing is not asked for its head again and again: a probe each 2 s. */
static void test_fresh_probes_are_few(void **state)
{
    (void)state;
    struct bench b;
    struct chain c = {0};
    start(&b, &c, 2);
    ask_all(&b);
    c.head[0] = 1100;
    while (rf_fresh_lagging(&bench_net(&b, 0)->fresh, rf_vshell_now(b.v)) == 0)
        ask_all(&b);
    c.latency_ns = 800 * RF_MS;
    ask(&b, "eth_getBalance", "[\"0x1\",\"latest\"]", 1000, 20 * RF_MS);
    assert_in_range(c.probes[1], 5, 11);
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fresh_tip_reads_avoid_who_lags),
        cmocka_unit_test(test_fresh_block_goes_to_who_has_it),
        cmocka_unit_test(test_fresh_ranks_and_never_forbids),
        cmocka_unit_test(test_fresh_probe_needs_no_event),
        cmocka_unit_test(test_fresh_idle_is_silent),
        cmocka_unit_test(test_fresh_probes_are_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
