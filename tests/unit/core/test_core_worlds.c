/* test_core_worlds.c - random worlds: any options, any limits, every fault, calls of every policy,
 * equal calls, cancels, a close at any moment. Whatever happens, each call is answered exactly once
 * and by its own answer, nothing leaves past its deadline, and all that was taken is given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim/vworld.h"
#include "rounds.h"

#define EPS 4
#define WORLDS ROUNDS(400)

struct world {
    struct rpcfan_options o;
    struct rpcfan_network_options net;
    struct rpcfan_endpoint_options ep[EPS];
    struct rpcfan_account_options account;
    struct rpcfan_limit limit[EPS], account_limit;
    struct rf_vnode node[EPS];
    struct rf_vlimit shared;
    struct rf_voutage outage[EPS];
    struct rf_vload load;
    struct rf_vworld w;
    struct rf_rng rng;
};

static uint32_t below(struct world *x, uint32_t n)
{
    return (uint32_t)rf_rng_below(&x->rng, n);
}

static bool chance(struct world *x, uint32_t percent)
{
    return below(x, 100) < percent;
}

static void make_endpoint(struct world *x, uint32_t i)
{
    struct rpcfan_endpoint_options *ep = &x->ep[i];
    rpcfan_endpoint_options_init(ep);
    ep->batch = chance(x, 40) ? 1 : 1 + below(x, 30);
    ep->batch_cost = chance(x, 20) ? 1 : 0;
    ep->in_flight = 1 + below(x, 20);
    ep->priority = chance(x, 30) ? below(x, 3) : 0;
    ep->timeout_ms = 100 + below(x, 4000);
    ep->learn = chance(x, 80);
    ep->start_per_s = chance(x, 30) ? 1 + below(x, 100) : 0;
    x->limit[i] =
        (struct rpcfan_limit){.count = 2 + below(x, 200), .window_ms = 100 + below(x, 5000)};
    ep->limits = &x->limit[i];
    ep->n_limits = chance(x, 40) ? 1 : 0;
    ep->account = chance(x, 40) ? "key" : NULL;
}

static void make_node(struct world *x, uint32_t i)
{
    struct rf_vnode *n = &x->node[i];
    unsigned p = chance(x, 50) ? below(x, 40) : 0;
    memset(n, 0, sizeof *n);
    n->faults = (struct rf_vfaults){p, p / 2, p, p, p, p, p, p, p, p, p, p / 2, p / 2};
    n->latency_ns = below(x, 200) * RF_MS;
    n->jitter_ns = below(x, 200) * RF_MS;
    n->service = (struct rf_vdist){.kind = (enum rf_vdist_kind)below(x, 4),
                                   .base_ns = below(x, 20) * RF_MS,
                                   .span_ns = below(x, 20) * RF_MS,
                                   .sigma = 1,
                                   .slow_permille = below(x, 50),
                                   .slow_ns = RF_SEC};
    n->workers = below(x, 20);
    n->limit = (enum rf_vlimit_kind)below(x, 5);
    n->limit_count = 1 + below(x, 100);
    n->limit_window_ns = (100 + below(x, 3000)) * RF_MS;
    n->throttle = (enum rf_vthrottle)below(x, 6);
    n->retry_after_ns = chance(x, 50) ? RF_NEVER : below(x, 3) * RF_SEC;
    n->no_date = chance(x, 50);
    n->clock_ahead_ns = ((int64_t)below(x, 8000) - 4000) * (int64_t)RF_SEC;
    n->hints = chance(x, 30);
    n->batch_cap = chance(x, 30) ? 1 + below(x, 10) : 0;
    n->refusal = (enum rf_vrefusal)below(x, 6);
    n->also[0] = &x->shared;
    n->n_also = x->ep[i].account != NULL ? 1 : 0;
    uint64_t from = below(x, 8000) * RF_MS;
    x->outage[i] =
        (struct rf_voutage){from, from + below(x, 8000) * RF_MS,
                            (enum rf_vfault)(1 + below(x, RF_VFAULT_SLOW)), below(x, 1001), 50};
    n->outage = &x->outage[i];
    n->n_outages = chance(x, 50) ? 1 : 0;
}

static void make_network(struct world *x, uint64_t seed)
{
    rf_rng_init(&x->rng, seed);
    rpcfan_options_init(&x->o);
    rpcfan_network_options_init(&x->net);
    rpcfan_account_options_init(&x->account);
    x->account_limit = (struct rpcfan_limit){.count = 10 + below(x, 300), .window_ms = 1000};
    x->account.name = "key";
    x->account.limits = &x->account_limit;
    x->account.n_limits = chance(x, 50) ? 1 : 0;
    x->shared = (struct rf_vlimit){.kind = (enum rf_vlimit_kind)below(x, 4),
                                   .count = 10 + below(x, 300),
                                   .window_ns = RF_SEC,
                                   .charge_refused = chance(x, 50)};
    x->o.accounts = &x->account;
    x->o.n_accounts = 1;
    x->o.networks = &x->net;
    x->o.n_networks = 1;
    x->o.pending_calls = 300;
    x->o.in_flight = 1 + below(x, 60);
    x->net.family = chance(x, 70) ? RPCFAN_EVM : RPCFAN_SOLANA;
    x->net.endpoints = x->ep;
    x->net.n_endpoints = 1 + below(x, EPS);
    x->net.attempts = 1 + below(x, 4);
    x->net.linger_ms = chance(x, 20) ? below(x, 20) : 0;
    x->net.policy = (enum rpcfan_policy)below(x, RPCFAN_BROADCAST + 1);
    x->net.quorum = 1 + below(x, (uint32_t)x->net.n_endpoints);
    x->net.hedge_percent = chance(x, 50) ? below(x, 20) : 0;
    x->net.join = chance(x, 50);
    for (uint32_t i = 0; i < EPS; i++) {
        make_endpoint(x, i);
        make_node(x, i);
        assert_true(rf_vnode_init(&x->node[i], seed * 31 + i));
    }
}

static void make_load(struct world *x)
{
    static const char *const methods[] = {
        "eth_call",    "eth_getBalance",         "eth_blockNumber",
        "eth_getLogs", "eth_sendRawTransaction", "getBalance",
        "eth_call",    "eth_sendTransaction"};
    x->load = (struct rf_vload){.backlog = chance(x, 40) ? 1 + below(x, 60) : 0,
                                .per_s = 1 + below(x, 200),
                                .poisson = chance(x, 50),
                                .life_ns = (1 + below(x, 500)) * RF_MS,
                                .life_span_ns = below(x, 10000) * RF_MS,
                                .method = methods,
                                .n_methods = RF_COUNT(methods),
                                .repeat = chance(x, 50) ? 1 + below(x, 6) : 0,
                                .policies = chance(x, 60),
                                .cancel_permille = below(x, 100)};
}

/* @return why the seed is bad, or NULL. */
static const char *verdict(const struct world *x)
{
    struct rf_vbook b = rf_vworld_sum(&x->w);
    if (b.answered != b.submitted)
        return "calls were lost";
    if (b.wrong > 0)
        return "somebody else's answer";
    if (b.twice > 0)
        return "answered twice";
    if (b.past_deadline > 0)
        return "sent past its deadline";
    return rf_vworld_settled(&x->w) ? NULL : "not all given back";
}

/* @return calls. */
static uint64_t run_world(uint64_t seed, uint32_t n_clients)
{
    struct world *x = calloc(1, sizeof *x);
    struct rpcfan_error err;
    assert_non_null(x);
    make_network(x, seed);
    make_load(x);
    x->w.node = x->node;
    x->w.n_nodes = EPS;
    assert_true(rf_vworld_init(&x->w, n_clients, seed));
    for (uint32_t i = 0; i < n_clients; i++) {
        if (rf_vworld_add(&x->w, &x->o, &x->load, &err) == NULL)
            fail_msg("seed %llu: %s", (unsigned long long)seed, err.text);
    }
    rf_vworld_run(&x->w, (1 + below(x, 15000)) * RF_MS);
    rf_vworld_close(&x->w, (enum rpcfan_close_mode)below(x, 3));
    const char *why = verdict(x);
    if (why != NULL)
        fail_msg("seed %llu: %s", (unsigned long long)seed, why);
    uint64_t calls = rf_vworld_sum(&x->w).submitted;
    rf_vworld_fini(&x->w);
    for (uint32_t i = 0; i < EPS; i++)
        rf_vnode_fini(&x->node[i]);
    rf_vlimit_fini(&x->shared);
    free(x);
    return calls;
}

static void test_worlds_keep_the_books_whatever_happens(void **state)
{
    (void)state;
    const char *only = getenv("WORLD_SEED");
    uint64_t calls = 0, first = 1, last = WORLDS;
    if (only != NULL)
        first = last = strtoull(only, NULL, 10);
    for (uint64_t seed = first; seed <= last; seed++)
        calls += run_world(seed, 1 + (uint32_t)(seed % 3));
    print_message("%llu calls\n", (unsigned long long)calls);
    assert_true(calls > 250 * WORLDS || only != NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worlds_keep_the_books_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
