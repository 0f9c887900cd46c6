/* test_core_accounting.c - the promise: each call is answered exactly once, by its own answer, in
 * time, whatever the nodes do; and the same seed gives the same run. Virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/state.h"
#include "sim/vnode.h"
#include "rounds.h"

#define EPS 3
#define LIVE_MAX 3000

/* A run: clients' calls, virtual nodes, and what is counted. */
struct run {
    struct rf_vshell *v;
    struct rf_vnode node[EPS];
    struct rf_rng rng;
    uint64_t submitted, done, ok, failed, canceled, late, wrong, twice;
    uint64_t hash;
    uint64_t by_err[RPCFAN_ERR_COUNT];
    struct rf_vcall *live[LIVE_MAX]; /* of the runs that cancel and close */
};

static void mix(struct run *r, uint64_t x)
{
    r->hash = (r->hash ^ x) * UINT64_C(1099511628211);
}

static void serve(void *arg, struct rf_exchange *ex, uint64_t now_ns, struct rf_vreply *out)
{
    struct run *r = arg;
    mix(r, now_ns);
    mix(r, ex->n * 31 + ex->index);
    for (uint32_t i = 0; i < ex->n; i++) {
        if (now_ns >= ex->call[i]->deadline_ns)
            r->late++;
    }
    rf_vnode_serve(&r->node[ex->index], ex, now_ns, out);
}

static void done(void *arg, struct rf_call *call, uint64_t now_ns)
{
    struct run *r = arg;
    struct rf_vcall *c = RF_CONTAINER(call, struct rf_vcall, call);
    r->done++;
    r->by_err[call->err]++;
    mix(r, c->number * 64 + call->err);
    mix(r, now_ns);
    if (call->err == RPCFAN_OK) {
        struct rf_buf want = {0};
        rf_vnode_answer(call, &want);
        if (want.len != call->json_len || memcmp(want.data, call->json, want.len) != 0)
            r->wrong++;
        rf_buf_fini(&want);
        r->ok++;
    } else {
        r->failed++;
    }
    rf_vcall_free(c);
}

static void init_options(struct rpcfan_options *o, struct rpcfan_network_options *net,
                         struct rpcfan_endpoint_options *ep, uint32_t n_ep, uint64_t seed)
{
    rpcfan_options_init(o);
    rpcfan_network_options_init(net);
    for (uint32_t i = 0; i < n_ep; i++) {
        rpcfan_endpoint_options_init(&ep[i]);
        ep[i].batch = 50;
        ep[i].timeout_ms = 2000;
    }
    net->family = RPCFAN_EVM;
    net->endpoints = ep;
    net->n_endpoints = n_ep;
    net->deadline_ms = 30000;
    o->networks = net;
    o->n_networks = 1;
    o->seed = seed;
    o->pending_calls = 100000;
}

static void set_faults(struct rf_vnode *n, unsigned permille)
{
    n->faults = (struct rf_vfaults){permille, permille / 2, permille,    permille, permille,
                                    permille, permille,     permille,    permille, permille,
                                    permille, permille / 2, permille / 2};
}

static void submit_some(struct run *r, uint32_t n, uint64_t budget_ns)
{
    static const char *const methods[] = {"eth_getBalance", "eth_call", "eth_sendTransaction",
                                          "eth_getLogs"};
    for (uint32_t i = 0; i < n; i++) {
        char params[48];
        uint64_t k = ++r->submitted;
        snprintf(params, sizeof params, "[%llu]", (unsigned long long)k);
        const char *m = methods[rf_rng_below(&r->rng, 100) < 97 ? rf_rng_below(&r->rng, 2)
                                                                : 2 + rf_rng_below(&r->rng, 2)];
        struct rf_vcall *c = rf_vcall_new(k, m, params);
        assert_non_null(c);
        c->call.stream = k % 20 == 0; /* the answer holds no array: it is whole all the same */
        uint64_t life = 50 * RF_MS + rf_rng_below(&r->rng, budget_ns);
        rf_vshell_submit(r->v, c, rf_vshell_now(r->v) + life);
        if (rf_rng_below(&r->rng, 500) == 0)
            rf_vshell_cancel(r->v, c);
    }
}

static void assert_settled(struct run *r)
{
    struct rf_core *core = rf_vshell_core(r->v);
    assert_int_equal(r->done, r->submitted);
    assert_int_equal(r->wrong, 0);
    assert_int_equal(r->late, 0);
    assert_true(rf_core_idle(core));
    for (uint32_t i = 0; i < core->net[0].n_ep; i++) {
        const struct rf_endpoint *ep = &core->net[0].ep[i];
        assert_int_equal(ep->in_flight, 0);
        for (unsigned w = 0; w < ep->gate.limiter.n; w++)
            assert_int_equal(ep->gate.limiter.w[w].in_flight, 0);
    }
    assert_int_equal(core->net[0].queued + core->net[0].delayed + core->net[0].in_flight, 0);
}

/* An hour of bursts against nodes with every fault, limits and batch caps. */
static void run_hour(struct run *r, uint64_t seed, uint64_t seconds)
{
    struct rpcfan_options o;
    struct rpcfan_network_options net;
    struct rpcfan_endpoint_options ep[EPS];
    static const struct rpcfan_limit limit = {.count = 100, .window_ms = 1000};
    init_options(&o, &net, ep, EPS, seed);
    ep[0].limits = &limit;
    ep[0].n_limits = 1;
    memset(r, 0, sizeof *r);
    rf_rng_init(&r->rng, seed);
    for (uint32_t i = 0; i < EPS; i++) {
        r->node[i].latency_ns = (20 + 30 * i) * RF_MS;
        r->node[i].jitter_ns = 20 * RF_MS;
        r->node[i].retry_after_ns = RF_NEVER;
        set_faults(&r->node[i], 8);
        assert_true(rf_vnode_init(&r->node[i], seed * 7 + i));
    }
    r->node[0].limit = RF_VLIMIT_FIXED;
    r->node[0].limit_count = 100;
    r->node[0].limit_window_ns = RF_SEC;
    r->node[1].batch_cap = 10;
    r->node[1].refusal = (enum rf_vrefusal)(seed % 6);
    r->node[2].limit = RF_VLIMIT_BUCKET;
    r->node[2].limit_count = 150;
    r->node[2].limit_window_ns = RF_SEC;
    r->node[2].limit_in_body = true;
    r->node[2].dead_from_ns = 20 * RF_SEC;
    r->node[2].dead_until_ns = 60 * RF_SEC;
    struct rf_vhooks hooks = {.arg = r, .serve = serve, .done = done};
    assert_int_equal(rf_vshell_new(&o, &hooks, NULL, &r->v, NULL), RPCFAN_OK);
    for (uint64_t t = 0; t < seconds; t++) {
        submit_some(r, (uint32_t)rf_rng_below(&r->rng, 400), 20 * RF_SEC);
        rf_vshell_run(r->v, (t + 1) * RF_SEC);
    }
    rf_vshell_run(r->v, (seconds + 60) * RF_SEC);
    assert_settled(r);
    rf_vshell_free(r->v);
    for (uint32_t i = 0; i < EPS; i++)
        rf_vnode_fini(&r->node[i]);
}

static void test_accounting_every_call_once_under_every_fault(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct run r;
        run_hour(&r, seed, 300);
        print_message("seed %llu: %llu calls, %llu ok, %llu deadline, %llu throttled, hash %llx\n",
                      (unsigned long long)seed, (unsigned long long)r.submitted,
                      (unsigned long long)r.ok, (unsigned long long)r.by_err[RPCFAN_EDEADLINE],
                      (unsigned long long)r.by_err[RPCFAN_ETHROTTLED], (unsigned long long)r.hash);
        assert_true(r.ok * 10 > r.submitted * 9);
    }
}

static void test_accounting_an_hour_replays_from_its_seed(void **state)
{
    (void)state;
    struct run a, b, c;
    run_hour(&a, 42, ROUNDS(3600));
    run_hour(&b, 42, ROUNDS(3600));
    run_hour(&c, 43, 60);
    assert_true(a.submitted > ROUNDS(600000));
    assert_int_equal(a.hash, b.hash);
    assert_true(a.hash != c.hash);
}

/* Cancels and closes, harder and harder, at random moments, with every fault on: each call is still
 * answered exactly once, and no list or heap had to grow beyond the cap on pending calls. */
static void abrupt_done(void *arg, struct rf_call *call, uint64_t now_ns)
{
    struct run *r = arg;
    struct rf_vcall *c = RF_CONTAINER(call, struct rf_vcall, call);
    if (r->live[c->number] == NULL)
        r->twice++;
    r->live[c->number] = NULL;
    done(arg, call, now_ns);
}

static void abrupt_submit(struct run *r, uint32_t n)
{
    for (uint32_t i = 0; i < n && r->submitted < LIVE_MAX; i++) {
        char params[48];
        snprintf(params, sizeof params, "[%llu]", (unsigned long long)r->submitted);
        const char *m = rf_rng_below(&r->rng, 5) == 0 ? "eth_sendTransaction" : "eth_call";
        struct rf_vcall *c = rf_vcall_new(r->submitted, m, params);
        assert_non_null(c);
        c->call.stream = r->submitted % 20 == 0;
        r->live[r->submitted++] = c;
        rf_vshell_submit(r->v, c, rf_vshell_now(r->v) + 1 + rf_rng_below(&r->rng, 8 * RF_SEC));
    }
}

static void abrupt_cancel(struct run *r, uint32_t n)
{
    for (uint32_t i = 0; i < n && r->submitted > 0; i++) {
        struct rf_vcall *c = r->live[rf_rng_below(&r->rng, r->submitted)];
        if (c != NULL)
            rf_vshell_cancel(r->v, c);
    }
}

static void run_abruptly(uint64_t seed)
{
    static struct run r;
    struct rpcfan_options o;
    struct rpcfan_network_options net;
    struct rpcfan_endpoint_options ep[EPS];
    memset(&r, 0, sizeof r);
    init_options(&o, &net, ep, EPS, seed);
    o.pending_calls = LIVE_MAX;
    o.in_flight = 1 + (uint32_t)seed % 40;
    rf_rng_init(&r.rng, seed);
    for (uint32_t i = 0; i < EPS; i++) {
        r.node[i].latency_ns = 50 * RF_MS;
        r.node[i].jitter_ns = 200 * RF_MS;
        r.node[i].retry_after_ns = RF_NEVER;
        set_faults(&r.node[i], 60);
        r.node[i].batch_cap = i * 7;
        assert_true(rf_vnode_init(&r.node[i], seed * 7 + i));
    }
    struct rf_vhooks hooks = {.arg = &r, .serve = serve, .done = abrupt_done};
    assert_int_equal(rf_vshell_new(&o, &hooks, NULL, &r.v, NULL), RPCFAN_OK);
    uint32_t room = rf_vshell_core(r.v)->delays.cap;
    uint64_t closes[] = {rf_rng_below(&r.rng, 60), rf_rng_below(&r.rng, 60)};
    for (uint64_t turn = 0; turn < 60; turn++) {
        abrupt_submit(&r, (uint32_t)rf_rng_below(&r.rng, 100));
        abrupt_cancel(&r, (uint32_t)rf_rng_below(&r.rng, 20));
        for (size_t i = 0; i < RF_COUNT(closes); i++) {
            if (closes[i] == turn)
                rf_vshell_close(r.v, (enum rpcfan_close_mode)rf_rng_below(&r.rng, 3));
        }
        rf_vshell_run(r.v, rf_vshell_now(r.v) + rf_rng_below(&r.rng, 300 * RF_MS));
    }
    rf_vshell_run(r.v, rf_vshell_now(r.v) + 60 * RF_SEC);
    assert_int_equal(r.twice, 0);
    assert_settled(&r);
    assert_int_equal(rf_vshell_core(r.v)->delays.cap, room);
    rf_vshell_free(r.v);
    for (uint32_t i = 0; i < EPS; i++)
        rf_vnode_fini(&r.node[i]);
}

static void test_accounting_cancels_and_closes_at_any_moment(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS(300); seed++)
        run_abruptly(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accounting_every_call_once_under_every_fault),
        cmocka_unit_test(test_accounting_an_hour_replays_from_its_seed),
        cmocka_unit_test(test_accounting_cancels_and_closes_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
