/* core_case.h - what the core's tests share: a bench of virtual nodes around one core, calls that
 * are checked as they are answered, and a reply of the test's own where a node is not enough. */
#ifndef RF_TESTS_CORE_CASE_H
#define RF_TESTS_CORE_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/state.h"
#include "sim/vnode.h"

#define BENCH_EPS 8
#define BENCH_NETS 2

struct bench;
/** Decides a reply instead of the node; NULL: the node does. */
typedef void (*bench_serve_fn)(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                               struct rf_vreply *out);
/** Told of each answer before the call is freed. */
typedef void (*bench_done_fn)(struct bench *b, struct rf_vcall *c, uint64_t now_ns);

/** Zero it, bench_init(), change options, bench_start(). */
struct bench {
    struct rpcfan_options o;
    struct rpcfan_network_options net[BENCH_NETS];
    struct rpcfan_endpoint_options ep[BENCH_EPS];
    struct rf_vnode node[BENCH_EPS];
    struct rf_rng rng;
    struct rf_vshell *v;
    bench_serve_fn serve;
    bench_done_fn done;
    void *arg;
    uint64_t submitted, answered, ok, wrong, past_deadline, exchanges;
    uint64_t sent[BENCH_EPS]; /* calls */
    uint64_t by_err[RPCFAN_ERR_COUNT];
    char detail[256]; /* of the last failure */
    enum rpcfan_err last;
};

static inline void bench_on_serve(void *arg, struct rf_exchange *ex, uint64_t now_ns,
                                  struct rf_vreply *out)
{
    struct bench *b = arg;
    b->exchanges++;
    b->sent[ex->endpoint] += ex->n;
    for (uint32_t i = 0; i < ex->n; i++)
        b->past_deadline += ex->call[i] != NULL && now_ns >= ex->call[i]->deadline_ns;
    if (b->serve != NULL) {
        out->delay_ns = b->node[ex->endpoint].latency_ns;
        b->serve(b, ex, now_ns, out);
    } else {
        rf_vnode_serve(&b->node[ex->endpoint], ex, now_ns, out);
    }
}

static inline void bench_on_done(void *arg, struct rf_call *call, uint64_t now_ns)
{
    struct bench *b = arg;
    struct rf_vcall *c = RF_CONTAINER(call, struct rf_vcall, call);
    b->answered++;
    b->by_err[call->err]++;
    b->last = call->err;
    if (call->err == RPCFAN_OK) {
        struct rf_buf want = {0};
        rf_vnode_answer(call, &want);
        b->ok++;
        b->wrong += want.len != call->json_len || memcmp(want.data, call->json, want.len) != 0;
        rf_buf_fini(&want);
    } else {
        snprintf(b->detail, sizeof b->detail, "%s", call->detail != NULL ? call->detail : "");
    }
    if (b->done != NULL)
        b->done(b, c, now_ns);
    rf_vcall_free(c);
}

/** One network of `n_ep` endpoints: batch 1, 20 ms, no faults. */
static inline void bench_init(struct bench *b, uint32_t n_ep, uint64_t seed)
{
    memset(b, 0, sizeof *b);
    rpcfan_options_init(&b->o);
    b->o.seed = seed;
    b->o.pending_calls = 200000;
    b->o.networks = b->net;
    b->o.n_networks = 1;
    for (uint32_t i = 0; i < BENCH_NETS; i++)
        rpcfan_network_options_init(&b->net[i]);
    b->net[0].family = RPCFAN_EVM;
    b->net[0].endpoints = b->ep;
    b->net[0].n_endpoints = n_ep;
    rf_rng_init(&b->rng, seed);
    for (uint32_t i = 0; i < BENCH_EPS; i++) {
        rpcfan_endpoint_options_init(&b->ep[i]);
        b->ep[i].batch = 1;
        b->node[i].latency_ns = 20 * RF_MS;
        b->node[i].retry_after_ns = RF_NEVER;
    }
}

static inline void bench_start(struct bench *b)
{
    struct rf_vhooks hooks = {.arg = b, .serve = bench_on_serve, .done = bench_on_done};
    struct rpcfan_error err;
    for (uint32_t i = 0; i < BENCH_EPS; i++)
        assert_true(rf_vnode_init(&b->node[i], b->o.seed * 97 + i));
    if (rf_vshell_new(&b->o, &hooks, NULL, &b->v, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
}

/** Submit one call that lives `life_ns`. @return it; freed when it is answered. */
static inline struct rf_vcall *bench_call(struct bench *b, uint32_t network, const char *method,
                                          uint64_t life_ns)
{
    char params[48];
    snprintf(params, sizeof params, "[%llu]", (unsigned long long)++b->submitted);
    struct rf_vcall *c = rf_vcall_new(b->submitted, method, params);
    assert_non_null(c);
    c->call.network = network;
    rf_vshell_submit(b->v, c, rf_vshell_now(b->v) + life_ns);
    return c;
}

/** As bench_call(), with params of the test's own. */
static inline struct rf_vcall *bench_ask(struct bench *b, uint32_t network, const char *method,
                                         const char *params, uint64_t life_ns)
{
    struct rf_vcall *c = rf_vcall_new(++b->submitted, method, params);
    assert_non_null(c);
    c->call.network = network;
    rf_vshell_submit(b->v, c, rf_vshell_now(b->v) + life_ns);
    return c;
}

static inline void bench_calls(struct bench *b, uint32_t n, const char *method, uint64_t life_ns)
{
    for (uint32_t i = 0; i < n; i++)
        bench_call(b, 0, method, life_ns);
}

/** Run `for_ns` longer. */
static inline void bench_run(struct bench *b, uint64_t for_ns)
{
    rf_vshell_run(b->v, rf_vshell_now(b->v) + for_ns);
}

/** Calls at an even rate. */
static inline void bench_offer(struct bench *b, uint32_t per_s, uint64_t seconds, uint64_t life_ns)
{
    uint64_t start = rf_vshell_now(b->v);
    for (uint64_t i = 0; i < seconds * per_s; i++) {
        bench_call(b, 0, "eth_call", life_ns);
        rf_vshell_run(b->v, start + (i + 1) * RF_SEC / per_s);
    }
}

static inline struct rf_network *bench_net(struct bench *b, uint32_t i)
{
    return &rf_vshell_core(b->v)->net[i];
}

static inline struct rf_endpoint *bench_ep(struct bench *b, uint32_t i)
{
    return &bench_net(b, 0)->ep[i];
}

static inline void bench_assert_gate_idle(const struct rf_gate *g)
{
    for (unsigned w = 0; w < g->limiter.n; w++)
        assert_int_equal(g->limiter.w[w].in_flight, 0);
    assert_int_equal(g->rate.in_flight, 0);
}

/** P3, P4: everything answered once and right, every slot and unit given back. */
static inline void bench_assert_settled(struct bench *b)
{
    struct rf_core *core = rf_vshell_core(b->v);
    assert_int_equal(b->answered, b->submitted);
    assert_int_equal(b->wrong, 0);
    assert_int_equal(b->past_deadline, 0);
    assert_true(rf_core_idle(core));
    assert_int_equal(core->delays.len, 0);
    assert_int_equal(core->hedges.len, 0);
    assert_int_equal(core->n_legs, 0);
    assert_true(rf_list_empty(&core->plans) && rf_list_empty(&core->legs_done));
    assert_true(rf_core_deadline(core) == RF_NEVER);
    for (uint32_t n = 0; n < core->n_net; n++) {
        const struct rf_network *net = &core->net[n];
        assert_int_equal(net->queued + net->delayed + net->in_flight, 0);
        assert_int_equal(net->submitted, net->answered);
        for (uint32_t i = 0; i < net->n_ep; i++) {
            assert_int_equal(net->ep[i].in_flight, 0);
            bench_assert_gate_idle(&net->ep[i].gate);
        }
        assert_int_equal(net->joins.n, 0);
    }
    for (uint32_t i = 0; i < core->n_accounts; i++)
        bench_assert_gate_idle(&core->account[i].gate);
    assert_int_equal(core->hedges.len, 0);
    assert_int_equal(core->n_legs, 0);
    assert_true(rf_list_empty(&core->plans));
}

/** Let everything end, check the books, free. */
static inline void bench_fini(struct bench *b)
{
    bench_run(b, 120 * RF_SEC);
    bench_assert_settled(b);
    rf_vshell_free(b->v);
    for (uint32_t i = 0; i < BENCH_EPS; i++)
        rf_vnode_fini(&b->node[i]);
}

/** The whole body of a reply, with a status. */
static inline void bench_reply(struct rf_vreply *out, int status, const char *body)
{
    out->status = status;
    rf_buf_str(&out->body, body);
}

/** Right answers to all members. */
static inline void bench_reply_ok(const struct rf_exchange *ex, struct rf_vreply *out)
{
    if (ex->n > 1)
        rf_buf_char(&out->body, '[');
    for (uint32_t i = 0; i < ex->n; i++) {
        rf_buf_printf(&out->body, "%s{\"id\":%llu,\"result\":", i > 0 ? "," : "",
                      (unsigned long long)(ex->id_base + i));
        rf_vnode_answer(ex->call[i], &out->body);
        rf_buf_char(&out->body, '}');
    }
    if (ex->n > 1)
        rf_buf_char(&out->body, ']');
}

#endif
