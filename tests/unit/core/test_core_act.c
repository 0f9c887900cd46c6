/* test_core_act.c - what becomes of one call: the retry budget, calls that may be sent only once,
 * and moves between nodes. */
#include "core_case.h"

static void fail_some(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                      struct rf_vreply *out)
{
    const uint64_t *permille = b->arg;
    (void)now_ns;
    if (rf_rng_below(&b->rng, 1000) < *permille)
        bench_reply(out, 500, "oops");
    else
        bench_reply_ok(ex, out);
}

/* P8: attempts <= 1.1 * calls + 10 at any failure rate, where each exchange holds one call. */
static void budget_case(uint64_t permille, uint32_t n_ep, uint32_t calls)
{
    struct bench b;
    bench_init(&b, n_ep, permille + n_ep);
    b.net[0].attempts = 50;
    b.serve = fail_some;
    b.arg = &permille;
    bench_start(&b);
    for (uint32_t i = 0; i < calls / 50; i++) {
        bench_calls(&b, 50, "eth_call", 30 * RF_SEC);
        bench_run(&b, 200 * RF_MS);
    }
    bench_run(&b, 60 * RF_SEC);
    if (b.exchanges * 10 > b.submitted * 11 + 100)
        fail_msg("%llu permille failing at %u endpoints: %llu attempts for %llu calls",
                 (unsigned long long)permille, n_ep, (unsigned long long)b.exchanges,
                 (unsigned long long)b.submitted);
    bench_fini(&b);
}

static void test_act_retries_keep_to_the_budget(void **state)
{
    (void)state;
    static const uint64_t permille[] = {0, 50, 100, 200, 300, 500, 700, 900, 990, 1000};
    for (size_t i = 0; i < RF_COUNT(permille); i++) {
        budget_case(permille[i], 1, 5000);
        budget_case(permille[i], 3, 5000);
    }
}

/* Moves to other nodes for want of data are free, so they must not earn retries as well. */
static void missing_everywhere(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                               struct rf_vreply *out)
{
    (void)b, (void)now_ns;
    rf_vreply_error(&out->body, ex->id_base, -32000, "header not found");
}

static void test_act_moves_earn_no_retries(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 4, 1);
    b.serve = missing_everywhere;
    bench_start(&b);
    bench_net(&b, 0)->budget.tenths = 0;
    bench_calls(&b, 10, "eth_call", 5 * RF_SEC);
    bench_run(&b, 5 * RF_SEC);
    assert_int_equal(b.by_err[RPCFAN_ERPC], 10);
    assert_int_equal(b.exchanges, 40);
    assert_int_equal(bench_net(&b, 0)->budget.tenths, 0);
    bench_fini(&b);
}

/* Each fault in turn: a call that must not be sent twice is on the wire once, unless it surely
 * never arrived or was refused for rate. */
enum fault {
    F_OK,
    F_CONNECT,
    F_RESET,
    F_HANG,
    F_500,
    F_HTML,
    F_EMPTY,
    F_MISSING,
    F_UNSUPPORTED,
    F_APP,
    F_RATE,
    F_413,
    F_COUNT
};

static void once_serve(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                       struct rf_vreply *out)
{
    uint8_t *arrived = b->arg;
    (void)now_ns;
    enum fault f = (enum fault)rf_rng_below(&b->rng, F_COUNT);
    if (rf_rng_below(&b->rng, 2) == 0)
        f = F_OK;
    bool once = ex->call[0]->once;
    assert_true(!once || (ex->n == 1 && ex->fresh));
    if (once && f != F_CONNECT && f != F_RATE) {
        uint64_t number = RF_CONTAINER(ex->call[0], struct rf_vcall, call)->number;
        if (++arrived[number] > 1)
            fail_msg("call %llu arrived twice", (unsigned long long)number);
    }
    switch (f) {
    case F_OK:
    case F_COUNT:
        bench_reply_ok(ex, out);
        break;
    case F_CONNECT:
        out->transport = RF_T_CONNECT;
        break;
    case F_RESET:
        out->transport = RF_T_RESET;
        break;
    case F_HANG:
        out->delay_ns = RF_NEVER;
        break;
    case F_500:
        bench_reply(out, 500, "oops");
        break;
    case F_HTML:
        bench_reply(out, 200, "<html>");
        break;
    case F_EMPTY:
        bench_reply(out, 200, "{}");
        break;
    case F_MISSING:
        rf_vreply_error(&out->body, ex->id_base, -32000, "header not found");
        break;
    case F_UNSUPPORTED:
        rf_vreply_error(&out->body, ex->id_base, -32601, "no such method");
        break;
    case F_APP:
        rf_vreply_error(&out->body, ex->id_base, -32000, "invalid argument");
        break;
    case F_RATE:
        out->retry_after_ns = 0;
        bench_reply(out, 429, "{}");
        break;
    case F_413:
        bench_reply(out, 413, "too large");
        break;
    }
}

static void test_act_once_arrives_at_most_once(void **state)
{
    (void)state;
    uint64_t ok = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        static uint8_t arrived[4096];
        struct bench b;
        memset(arrived, 0, sizeof arrived);
        bench_init(&b, 3, seed);
        for (uint32_t i = 0; i < 3; i++) {
            b.ep[i].batch = 10;
            b.ep[i].timeout_ms = 500;
        }
        b.serve = once_serve;
        b.arg = arrived;
        bench_start(&b);
        for (uint32_t i = 0; i < 1000; i++) {
            bench_call(&b, 0, i % 3 == 0 ? "eth_sendTransaction" : "eth_call", 20 * RF_SEC);
            bench_run(&b, rf_rng_below(&b.rng, 40 * RF_MS));
        }
        ok += b.ok;
        bench_fini(&b);
    }
    assert_true(ok > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_act_retries_keep_to_the_budget),
        cmocka_unit_test(test_act_moves_earn_no_retries),
        cmocka_unit_test(test_act_once_arrives_at_most_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
