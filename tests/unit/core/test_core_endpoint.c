/* test_core_endpoint.c - one node's gates: bench, pause, slow start, half-open probes, learned caps
 * by bytes, and the books they are fed from. */
#include <stdlib.h>

#include "core_case.h"

/* A list of replies, the last of which repeats. */
struct script {
    const char *const *step; /* "ok", "connect", "reset", or STATUS:BODY */
    uint32_t n, at;
};

static void play(struct bench *b, struct rf_exchange *ex, uint64_t now_ns, struct rf_vreply *out)
{
    struct script *s = b->arg;
    (void)now_ns;
    if (ex->index != 0) {
        bench_reply_ok(ex, out);
        return;
    }
    const char *step = s->step[s->at];
    if (s->at + 1 < s->n)
        s->at++;
    if (strcmp(step, "ok") == 0)
        bench_reply_ok(ex, out);
    else if (strcmp(step, "connect") == 0)
        out->transport = RF_T_CONNECT;
    else if (strcmp(step, "reset") == 0)
        out->transport = RF_T_RESET;
    else
        bench_reply(out, atoi(step), strchr(step, ':') + 1);
}

static void start(struct bench *b, uint32_t n_ep, struct script *s)
{
    bench_init(b, n_ep, 1);
    b->serve = play;
    b->arg = s;
    bench_start(b);
}

/* A quota that is used up benches its node alone; after the bench it serves again. */
static void test_endpoint_quota_benches_one_of_two(void **state)
{
    (void)state;
    static const char *const steps[] = {"402:{}", "ok"};
    struct script s = {steps, 2, 0};
    struct bench b;
    start(&b, 2, &s);
    b.node[0].latency_ns = b.node[1].latency_ns = 60 * RF_MS;
    bench_offer(&b, 10, 60, 5 * RF_SEC);
    assert_int_equal(b.ok, b.answered);
    assert_int_equal(b.sent[0], 1);
    assert_int_equal(bench_ep(&b, 0)->bench_class, RF_CLASS_QUOTA);
    assert_int_equal(bench_ep(&b, 0)->breaker.trips, 0);
    bench_offer(&b, 10, 300, 5 * RF_SEC);
    assert_true(b.sent[0] > 100);
    bench_fini(&b);
}

/* Everything benched: calls end at once, with the reason. */
static void test_endpoint_all_benched_fails_at_once(void **state)
{
    (void)state;
    static const char *const steps[] = {"401:no"};
    struct script s = {steps, 1, 0};
    struct bench b;
    start(&b, 1, &s);
    bench_calls(&b, 5, "eth_call", 60 * RF_SEC);
    bench_run(&b, RF_SEC);
    bench_calls(&b, 5, "eth_call", 60 * RF_SEC);
    bench_run(&b, RF_MS);
    assert_int_equal(b.by_err[RPCFAN_EAUTH], 10);
    assert_non_null(strstr(b.detail, "benched"));
    bench_fini(&b);
}

/* A probe that is throttled proves that the node lives: the breaker closes, the pause stays. */
static void test_endpoint_throttled_probes_close_the_breaker(void **state)
{
    (void)state;
    static const char *const steps[] = {"ok",   "500:", "500:", "500:", "500:", "500:", "500:",
                                        "500:", "500:", "500:", "500:", "429:", "429:", "ok"};
    struct script s = {steps, RF_COUNT(steps), 0};
    struct bench b;
    bench_init(&b, 1, 1);
    b.ep[0].learn =
        0; /* this is about the breaker, and not about what a refusal says of the rate */
    b.serve = play;
    b.arg = &s;
    bench_start(&b);
    bench_offer(&b, 50, 60, 30 * RF_SEC);
    bench_run(&b, 60 * RF_SEC);
    const struct rf_endpoint *ep = bench_ep(&b, 0);
    assert_int_equal(ep->breaker.trips, 1);
    assert_int_equal(ep->breaker.state, RF_BREAKER_CLOSED);
    assert_true(ep->gate.throttle.epochs >= 1);
    assert_true(b.ok > 2000);
    bench_fini(&b);
}

/* After it closed, the breaker lets one request fly, and twice as many after each that succeeds. */
static void test_endpoint_slow_start_doubles(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1, 1);
    b.ep[0].in_flight = 64;
    b.ep[0].learn = 0;
    bench_start(&b);
    bench_offer(&b, 100, 1, 5 * RF_SEC);
    struct rf_breaker *k = &bench_ep(&b, 0)->breaker;
    k->slow_start = 1;
    bench_calls(&b, 1000, "eth_call", 30 * RF_SEC);
    static const uint32_t in_flight[] = {1, 2, 8, 64, 64};
    for (size_t turn = 0; turn < RF_COUNT(in_flight); turn++) {
        bench_run(&b, turn == 0 ? RF_MS : 20 * RF_MS);
        assert_int_equal(bench_ep(&b, 0)->in_flight, in_flight[turn]);
    }
    bench_fini(&b);
}

/* 413 is learned by bytes: large calls go in small batches, small ones stay together. */
static void cap_bytes(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                      struct rf_vreply *out)
{
    uint64_t *refused = b->arg;
    (void)now_ns;
    if (ex->body.len > 2000) {
        (*refused)++;
        bench_reply(out, 413, "");
    } else {
        bench_reply_ok(ex, out);
    }
}

static void test_endpoint_413_is_learned_by_bytes(void **state)
{
    (void)state;
    struct bench b;
    uint64_t refused = 0;
    char method[400];
    memset(method, 'm', sizeof method);
    method[sizeof method - 1] = '\0';
    bench_init(&b, 1, 1);
    b.ep[0].batch = 20;
    b.serve = cap_bytes;
    b.arg = &refused;
    bench_start(&b);
    for (uint32_t i = 0; i < 100; i++) {
        bench_calls(&b, 20, method, 30 * RF_SEC);
        bench_calls(&b, 20, "eth_call", 30 * RF_SEC);
        bench_run(&b, 100 * RF_MS);
    }
    bench_run(&b, 10 * RF_SEC);
    print_message("%llu refused of %llu; cap %llu bytes, %u calls\n", (unsigned long long)refused,
                  (unsigned long long)b.exchanges,
                  (unsigned long long)bench_ep(&b, 0)->batch.limit_bytes,
                  bench_ep(&b, 0)->batch.limit);
    assert_int_equal(b.ok, b.submitted);
    assert_true(refused <= 20);
    assert_int_equal(bench_ep(&b, 0)->batch.limit, 20);
    bench_fini(&b);
}

/* The connect that never was gives its units back; a reset may have been counted. */
static void test_endpoint_refund_only_where_it_never_arrived(void **state)
{
    (void)state;
    static const char *const refused[] = {"connect"}, *const broken[] = {"reset"};
    static const struct rpcfan_limit limit = {.count = 100, .window_ms = 10000};
    for (int arrived = 0; arrived <= 1; arrived++) {
        struct script s = {arrived ? broken : refused, 1, 0};
        struct bench b;
        bench_init(&b, 1, 1);
        b.net[0].attempts = 1;
        b.ep[0].limits = &limit;
        b.ep[0].n_limits = 1;
        b.serve = play;
        b.arg = &s;
        bench_start(&b);
        bench_call(&b, 0, "eth_call", RF_SEC);
        bench_run(&b, 100 * RF_MS);
        assert_int_equal(bench_ep(&b, 0)->gate.limiter.w[0].logged, arrived);
        bench_fini(&b);
    }
}

/* A timeout that the call's own haste caused says nothing about the node. */
static void test_endpoint_hasty_timeouts_are_no_failures(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1, 1);
    b.node[0].latency_ns = 200 * RF_MS;
    bench_start(&b);
    bench_offer(&b, 20, 5, 5 * RF_SEC);
    for (uint32_t i = 0; i < 50; i++) {
        bench_call(&b, 0, "eth_call", 50 * RF_MS);
        bench_run(&b, 100 * RF_MS);
    }
    assert_int_equal(b.by_err[RPCFAN_EDEADLINE], 50);
    assert_int_equal(bench_ep(&b, 0)->fail_streak, 0);
    assert_int_equal(bench_ep(&b, 0)->breaker.trips, 0);
    b.node[0].latency_ns = 60 * RF_SEC; /* hung: now they do speak against it */
    bench_offer(&b, 20, 10, RF_SEC);
    assert_true(bench_ep(&b, 0)->breaker.trips > 0);
    bench_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endpoint_quota_benches_one_of_two),
        cmocka_unit_test(test_endpoint_all_benched_fails_at_once),
        cmocka_unit_test(test_endpoint_throttled_probes_close_the_breaker),
        cmocka_unit_test(test_endpoint_slow_start_doubles),
        cmocka_unit_test(test_endpoint_413_is_learned_by_bytes),
        cmocka_unit_test(test_endpoint_refund_only_where_it_never_arrived),
        cmocka_unit_test(test_endpoint_hasty_timeouts_are_no_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
