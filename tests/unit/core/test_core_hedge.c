/* test_core_hedge.c - second tries of slow reads: what they bring, what they cost, and where they
 * never go. */
#include "core_case.h"

#include <math.h>
#include <stdlib.h>

#define N_CALLS 20000

/* 1 in 100 answers takes a second longer; the others take 30 to 70 ms. */
struct tail {
    uint64_t slow; /* permille */
    uint64_t *took;
    uint32_t n, hedged_at[BENCH_EPS];
    uint64_t slow_ns;
};

static void tail_serve(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                       struct rf_vreply *out)
{
    struct tail *t = b->arg;
    (void)now_ns;
    t->hedged_at[ex->endpoint] += ex->call[0]->leg_of != NULL;
    out->delay_ns = 30 * RF_MS + rf_rng_below(&b->rng, 40 * RF_MS);
    if (rf_rng_below(&b->rng, 1000) < t->slow)
        out->delay_ns += t->slow_ns;
    bench_reply_ok(ex, out);
}

static void tail_done(struct bench *b, struct rf_vcall *c, uint64_t now_ns)
{
    struct tail *t = b->arg;
    if (t->took != NULL && t->n < N_CALLS)
        t->took[t->n++] = now_ns - c->call.submitted_ns;
}

static void start(struct bench *b, struct tail *t, uint32_t n_ep, uint32_t percent, uint64_t seed)
{
    bench_init(b, n_ep, seed);
    b->net[0].hedge_percent = percent;
    for (uint32_t i = 0; i < n_ep; i++) {
        b->ep[i].in_flight = 64;
        b->ep[i].learn = 0;
    }
    t->slow_ns = t->slow_ns == 0 ? RF_SEC : t->slow_ns;
    b->serve = tail_serve;
    b->done = tail_done;
    b->arg = t;
    bench_start(b);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static uint64_t p99_of(uint32_t percent, double *extra)
{
    struct bench b;
    struct tail t = {.slow = 10};
    t.took = calloc(N_CALLS, sizeof t.took[0]);
    assert_non_null(t.took);
    start(&b, &t, 2, percent, 3);
    bench_offer(&b, 100, N_CALLS / 100, 30 * RF_SEC);
    bench_run(&b, 10 * RF_SEC);
    *extra = (double)bench_net(&b, 0)->hedged / N_CALLS;
    assert_int_equal(b.exchanges, N_CALLS + bench_net(&b, 0)->hedged);
    qsort(t.took, t.n, sizeof t.took[0], by_value);
    uint64_t p99 = t.took[t.n / 100 * 99 + t.n / 200];
    free(t.took);
    bench_fini(&b);
    return p99;
}

/* Bar 8: the 99.5th percentile lies in the tail without hedges and out of it with them. */
static void test_hedge_cuts_the_tail(void **state)
{
    (void)state;
    double none, extra;
    uint64_t without = p99_of(0, &none), with = p99_of(5, &extra);
    printf("p99.5 %llu ms without, %llu ms with hedges; %.2f %% more requests\n",
           (unsigned long long)(without / RF_MS), (unsigned long long)(with / RF_MS), extra * 100);
    assert_true(none == 0);
    assert_true(with * 10 <= without * 3);
    assert_true(extra > 0.005 && extra <= 0.055);
}

/* The samples of first tries that lost the race count as well: else the delay would shrink from
 * window to window, and the budget be gone where it is needed. The 95th percentile is 89 ms. */
static void long_tail(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                      struct rf_vreply *out)
{
    double u = (double)rf_rng_below(&b->rng, 1000000) / 1e6;
    (void)now_ns;
    out->delay_ns = (uint64_t)((double)(20 * RF_MS) / sqrt(1 - u));
    bench_reply_ok(ex, out);
}

static void test_hedge_delay_stays_where_the_tail_is(void **state)
{
    (void)state;
    struct bench b;
    struct tail t = {0};
    start(&b, &t, 2, 5, 5);
    b.serve = long_tail;
    bench_offer(&b, 100, 400, 30 * RF_SEC);
    const struct rf_hedge *h = &bench_net(&b, 0)->cq[0].hedge;
    if (h->delay_ns < 88 * RF_MS)
        fail_msg("the delay went down to %llu ms", (unsigned long long)(h->delay_ns / RF_MS));
    assert_true(bench_net(&b, 0)->hedges_won > 600);
    bench_fini(&b);
}

/* Bar 9: twice the load that can be served, so that something always waits. */
static void test_hedge_none_while_anything_waits(void **state)
{
    (void)state;
    struct bench b;
    struct tail t = {.slow = 50};
    start(&b, &t, 2, 20, 7);
    bench_offer(&b, 100, 10, 30 * RF_SEC);
    uint64_t before = bench_net(&b, 0)->hedged;
    assert_true(before > 0);
    bench_ep(&b, 0)->in_flight_max = bench_ep(&b, 1)->in_flight_max = 1;
    bench_ep(&b, 0)->conc.max = bench_ep(&b, 1)->conc.max = 1;
    bench_calls(&b, 200, "eth_call", 60 * RF_SEC);
    bench_run(&b, RF_MS);
    before = bench_net(&b, 0)->hedged;
    for (uint32_t i = 0; i < 3000 && bench_net(&b, 0)->queued > 0; i++) {
        uint64_t hedged = bench_net(&b, 0)->hedged;
        bench_call(&b, 0, "eth_call", 20 * RF_SEC);
        bench_run(&b, 10 * RF_MS);
        assert_true(bench_net(&b, 0)->queued == 0 || bench_net(&b, 0)->hedged == hedged);
    }
    assert_int_equal(bench_net(&b, 0)->hedged, before);
    bench_fini(&b);
}

/* Slots are free, but calls of another method wait for their window: they go first. */
static void test_hedge_none_while_another_class_waits(void **state)
{
    (void)state;
    static const char *const slow[] = {"dear"};
    static const struct rpcfan_limit limit = {
        .count = 1, .window_ms = 10000, .methods = slow, .n_methods = 1};
    struct bench b;
    struct tail t = {.slow = 50};
    bench_init(&b, 2, 7);
    b.net[0].hedge_percent = 20;
    t.slow_ns = RF_SEC;
    for (uint32_t i = 0; i < 2; i++) {
        b.ep[i].in_flight = 64;
        b.ep[i].limits = &limit;
        b.ep[i].n_limits = 1;
    }
    b.serve = tail_serve;
    b.arg = &t;
    bench_start(&b);
    bench_offer(&b, 100, 10, 30 * RF_SEC);
    assert_true(bench_net(&b, 0)->hedged > 0);
    bench_calls(&b, 20, "dear", 60 * RF_SEC);
    bench_run(&b, RF_MS);
    uint64_t before = bench_net(&b, 0)->hedged;
    bench_offer(&b, 100, 20, 30 * RF_SEC);
    assert_true(bench_net(&b, 0)->queued > 0);
    assert_int_equal(bench_net(&b, 0)->hedged, before);
    bench_fini(&b);
}

/* Neither what must not be sent twice nor a raw send, nor to one endpoint, nor when it is off. */
static void test_hedge_reads_only(void **state)
{
    (void)state;
    static const char *const method[] = {"eth_sendTransaction", "eth_sendRawTransaction",
                                         "eth_call", "eth_call"};
    for (uint32_t i = 0; i < RF_COUNT(method); i++) {
        struct bench b;
        struct tail t = {.slow = 100};
        start(&b, &t, i == 2 ? 1 : 2, i == 3 ? 0 : 20, 11);
        for (uint32_t k = 0; k < 1000; k++) {
            bench_call(&b, 0, method[i], 10 * RF_SEC);
            bench_run(&b, 10 * RF_MS);
        }
        bench_run(&b, 5 * RF_SEC);
        assert_int_equal(bench_net(&b, 0)->hedged, 0);
        assert_int_equal(b.exchanges, 1000);
        bench_fini(&b);
    }
}

/* All slow from one moment on: one hedge a call at most, and never more than the budget pays. */
static void test_hedge_brownout_stays_in_budget(void **state)
{
    (void)state;
    struct bench b;
    struct tail t = {.slow = 5};
    start(&b, &t, 3, 5, 13);
    bench_offer(&b, 100, 30, 30 * RF_SEC);
    t.slow = 1000;
    uint64_t hedged = bench_net(&b, 0)->hedged, calls = b.submitted;
    for (uint32_t i = 0; i < 40; i++) {
        bench_offer(&b, 50, 1, 30 * RF_SEC);
        uint64_t more = bench_net(&b, 0)->hedged - hedged;
        assert_true(more * 20 <= b.submitted - calls + 200);
    }
    bench_run(&b, 30 * RF_SEC);
    assert_true(b.exchanges <= b.submitted * 105 / 100);
    bench_fini(&b);
}

/* Two first tries of the same instant are both due at one instant: each gets its second. */
static void test_hedge_two_at_one_instant(void **state)
{
    (void)state;
    struct bench b;
    struct tail t = {.slow = 0};
    start(&b, &t, 2, 10, 17);
    bench_offer(&b, 100, 20, 30 * RF_SEC);
    t.slow = 1000;
    uint64_t before = bench_net(&b, 0)->hedged;
    bench_calls(&b, 4, "eth_call", 30 * RF_SEC);
    bench_run(&b, 500 * RF_MS);
    assert_int_equal(bench_net(&b, 0)->hedged, before + 4);
    bench_fini(&b);
}

/* A batch is hedged as a batch, as far as the other's room goes, and each member once. */
static void test_hedge_batches_as_a_batch(void **state)
{
    (void)state;
    struct bench b;
    struct tail t = {.slow = 0};
    bench_init(&b, 2, 19);
    b.net[0].hedge_percent = 10;
    b.ep[0].batch = b.ep[1].batch = 8;
    b.ep[0].in_flight = b.ep[1].in_flight = 4;
    b.ep[0].learn = b.ep[1].learn = 0;
    t.slow_ns = 10 * RF_SEC;
    b.serve = tail_serve;
    b.arg = &t;
    bench_start(&b);
    bench_offer(&b, 100, 20, 30 * RF_SEC);
    bench_run(&b, RF_SEC);
    t.slow = 1000;
    uint64_t exchanges = b.exchanges, hedged = bench_net(&b, 0)->hedged;
    bench_calls(&b, 8, "eth_call", 60 * RF_SEC);
    bench_run(&b, 5 * RF_SEC);
    assert_int_equal(b.exchanges, exchanges + 2);
    assert_int_equal(bench_net(&b, 0)->hedged, hedged + 8);
    bench_fini(&b);
}

/* The other endpoint must be able to answer as well: it lags, it lacks the method, this class is
 * held there, it failed lately, or others wait for its account. */
static void unfit_case(uint32_t why)
{
    struct rpcfan_account_options account;
    struct bench b;
    struct tail t = {.slow = 0, .slow_ns = 3 * RF_SEC};
    bench_init(&b, 2, 23);
    rpcfan_account_options_init(&account);
    account.name = "key";
    b.o.accounts = &account;
    b.o.n_accounts = 1;
    b.o.n_networks = 2;
    b.net[1].endpoints = &b.ep[2];
    b.net[1].n_endpoints = 1;
    b.ep[1].account = b.ep[2].account = "key";
    b.net[0].hedge_percent = 10;
    b.ep[0].learn = 0;
    b.ep[0].in_flight = b.ep[1].in_flight = 64;
    b.ep[2].in_flight = 1;
    b.serve = tail_serve;
    b.arg = &t;
    bench_start(&b);
    for (uint32_t i = 0; i < 3000; i++) {
        bench_ask(&b, 0, "eth_gasPrice", "[]", 30 * RF_SEC);
        bench_run(&b, 10 * RF_MS);
    }
    bench_run(&b, RF_SEC);
    struct rf_network *net = bench_net(&b, 0);
    uint64_t now_ns = rf_vshell_now(b.v);
    t.slow = 1000;
    uint32_t before = t.hedged_at[1];
    struct rf_vcall *c = bench_ask(&b, 0, "eth_gasPrice", "[]", 30 * RF_SEC);
    bench_run(&b, RF_MS);
    assert_int_equal(c->call.ex->index, 0); /* as the seed has it */
    if (why == 1) {
        rf_fresh_seen(&net->fresh, 0, 1000, now_ns);
        rf_fresh_seen(&net->fresh, 1, 900, now_ns);
        assert_true(rf_fresh_lagging(&net->fresh, now_ns) == 2);
    } else if (why == 2) {
        net->method[c->call.method_ix].absent = 2;
        net->method[c->call.method_ix].absent_until_ns = now_ns + 60 * RF_SEC;
    } else if (why == 3) {
        net->cq[c->call.class_ix].paused_until_ns[1] = now_ns + 60 * RF_SEC;
    } else if (why == 4) {
        net->ep[1].fail_streak = 1;
    } else if (why == 5) {
        bench_call(&b, 1, "a", 30 * RF_SEC);
        bench_call(&b, 1, "b", 30 * RF_SEC);
    }
    bench_run(&b, RF_SEC);
    assert_int_equal(t.hedged_at[1] - before, why == 0 ? 1 : 0);
    net->ep[1].fail_streak = 0;
    bench_run(&b, 20 * RF_SEC);
    bench_fini(&b);
}

static void test_hedge_only_to_who_can_answer(void **state)
{
    (void)state;
    for (uint32_t why = 0; why <= 5; why++)
        unfit_case(why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hedge_cuts_the_tail),
        cmocka_unit_test(test_hedge_delay_stays_where_the_tail_is),
        cmocka_unit_test(test_hedge_none_while_anything_waits),
        cmocka_unit_test(test_hedge_none_while_another_class_waits),
        cmocka_unit_test(test_hedge_reads_only),
        cmocka_unit_test(test_hedge_brownout_stays_in_budget),
        cmocka_unit_test(test_hedge_two_at_one_instant),
        cmocka_unit_test(test_hedge_batches_as_a_batch),
        cmocka_unit_test(test_hedge_only_to_who_can_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
