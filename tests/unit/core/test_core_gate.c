/* test_core_gate.c - gates that endpoints have of their own and those that they share: what the
 * server sees of an account, the batch's own cost, pauses and header hints across networks, and
 * what a wait promises. */
#include "core_case.h"

#include <stdlib.h>

#define ARRIVALS_MAX 400000

/* What a server sees that counts by account, whatever endpoint a request comes to. */
struct server {
    uint64_t *at;
    uint32_t n;
    uint64_t jitter_ns;
    unsigned faults; /* permille */
    uint32_t batch_cost;
};

static void account_serve(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                          struct rf_vreply *out)
{
    struct server *s = b->arg;
    uint64_t there = rf_rng_below(&b->rng, s->jitter_ns),
             back = rf_rng_below(&b->rng, s->jitter_ns);
    out->delay_ns = there + back;
    bool fault = rf_rng_below(&b->rng, 1000) < s->faults;
    uint64_t kind = rf_rng_below(&b->rng, 4);
    if (fault && kind == 0) {
        out->transport = RF_T_CONNECT; /* never came there */
        return;
    }
    uint32_t units = ex->n + (ex->n > 1 ? s->batch_cost : 0);
    for (uint32_t i = 0; i < units; i++) {
        assert_true(s->n < ARRIVALS_MAX);
        s->at[s->n++] = now_ns + there;
    }
    if (fault && kind == 1)
        out->transport = RF_T_RESET;
    else if (fault && kind == 2)
        out->delay_ns = RF_NEVER;
    else if (fault)
        bench_reply(out, 200, "[{\"id\":null}]");
    else
        bench_reply_ok(ex, out);
}

static int by_time(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void assert_never_over(struct server *s, uint64_t count, uint64_t window_ns)
{
    qsort(s->at, s->n, sizeof s->at[0], by_time);
    for (uint32_t i = 0; i + count < s->n; i++) {
        if (s->at[i + count] - s->at[i] < window_ns)
            fail_msg("%llu units in %llu ns", (unsigned long long)count + 1,
                     (unsigned long long)(s->at[i + count] - s->at[i]));
    }
}

/* Three endpoints in two networks behind one account. */
static void share(struct bench *b, struct rpcfan_account_options *a,
                  const struct rpcfan_limit *limits, size_t n_limits, uint64_t seed)
{
    bench_init(b, 2, seed);
    rpcfan_account_options_init(a);
    a->name = "key";
    a->limits = limits;
    a->n_limits = n_limits;
    b->o.accounts = a;
    b->o.n_accounts = 1;
    b->o.n_networks = 2;
    b->net[1].family = RPCFAN_SOLANA;
    b->net[1].endpoints = &b->ep[2];
    b->net[1].n_endpoints = 1;
    for (uint32_t i = 0; i < 3; i++)
        b->ep[i].account = "key";
}

/* P1 for an account, P4 for every gate: no interval of the window's length at the server holds more
 * than the count, through three doors, with jitter, faults, cancels, batches and their cost. */
static void account_case(uint64_t count, uint64_t window_ms, uint32_t steps, uint64_t seed)
{
    /* What is lost is allowed to arrive so much later as a short round trip takes. */
    struct rpcfan_account_options a;
    const struct rpcfan_limit limit = {.count = count, .window_ms = window_ms};
    struct server s = {
        .jitter_ns = window_ms * RF_MS / 34, .faults = 60, .batch_cost = (uint32_t)seed % 3};
    struct bench b;
    s.at = calloc(ARRIVALS_MAX, sizeof s.at[0]);
    assert_non_null(s.at);
    share(&b, &a, &limit, 1, seed);
    b.net[0].hedge_percent = 5;
    for (uint32_t i = 0; i < 3; i++) {
        b.ep[i].batch = 1 + 4 * i;
        b.ep[i].batch_cost = s.batch_cost;
        b.ep[i].timeout_ms = 2000;
    }
    b.serve = account_serve;
    b.arg = &s;
    bench_start(&b);
    uint64_t gap_ns = window_ms * RF_MS / count;
    for (uint32_t i = 0; i < steps; i++) {
        struct rf_vcall *c = bench_call(&b, (uint32_t)rf_rng_below(&b.rng, 2), "eth_call",
                                        rf_rng_below(&b.rng, 20 * RF_SEC));
        if (rf_rng_below(&b.rng, 16) == 0)
            rf_vshell_cancel(b.v, c);
        bench_run(&b, rf_rng_below(&b.rng, 2 * gap_ns));
    }
    bench_fini(&b);
    assert_true(s.n > steps / 3);
    assert_never_over(&s, count, window_ms * RF_MS);
    free(s.at);
}

static void test_gate_account_is_never_over_at_the_server(void **state)
{
    (void)state;
    account_case(100, 10000, 40000, 1);
    account_case(1000, 10000, 40000, 2);
    account_case(7, 3000, 20000, 3);
    account_case(40, 4000, 20000, 4);
    account_case(20000, 10000, 60000, 5);
}

/* A batch counts its own cost in both gates, a single call does not, and all of it comes back. The
 * window is short, so that it is the count that binds and not the pacer. */
struct units {
    uint64_t used, batches, largest;
};

static void count_units(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                        struct rf_vreply *out)
{
    struct units *u = b->arg;
    u->used += ex->n + ex->extra;
    u->batches += ex->n > 1;
    u->largest = rf_max_u64(u->largest, ex->n);
    assert_int_equal(ex->extra, ex->n > 1 ? 3 : 0);
    (void)now_ns;
    bench_reply_ok(ex, out);
}

static void test_gate_batch_pays_for_itself(void **state)
{
    (void)state;
    for (uint64_t count = 1; count <= 30; count++) {
        struct rpcfan_account_options a;
        const struct rpcfan_limit limit = {.count = count, .window_ms = 10};
        const struct rpcfan_limit wide = {.count = 1000, .window_ms = 10};
        struct bench b;
        struct units u = {0};
        share(&b, &a, count % 2 == 0 ? &limit : &wide, 1, count);
        b.net[0].n_endpoints = 1;
        b.ep[0].limits = count % 2 == 0 ? &wide : &limit;
        b.ep[0].n_limits = 1;
        b.ep[0].batch = 20;
        b.ep[0].batch_cost = 3;
        b.serve = count_units;
        b.arg = &u;
        bench_start(&b);
        bench_calls(&b, 20, "eth_call", 200 * RF_SEC);
        bench_run(&b, 1);
        assert_true(u.used > 0 && u.used <= count);
        assert_int_equal(u.largest, count < 5 ? 1 : rf_min_u64(count - 3, 20));
        bench_run(&b, 30 * RF_SEC);
        assert_int_equal(b.ok, 20);
        assert_true(count < 5 || u.batches > 0);
        bench_fini(&b);
    }
}

/* More than any batch could cost: an error in the options, and no arithmetic that comes round. */
static void test_gate_absurd_options_are_refused(void **state)
{
    (void)state;
    struct rpcfan_account_options a;
    struct rpcfan_limit limit = {.count = 1, .window_ms = 1000};
    struct rf_core *core;
    struct rpcfan_error err;
    struct bench b;
    share(&b, &a, &limit, 1, 1);
    b.ep[1].batch_cost = UINT32_MAX;
    assert_int_equal(rf_core_new(&b.o, 1, 0, NULL, &core, &err), RPCFAN_ECONFIG);
    assert_non_null(strstr(err.text, "batch_cost"));
    b.ep[1].batch_cost = 0;
    limit.each = 1;
    assert_int_equal(rf_core_new(&b.o, 1, 0, NULL, &core, &err), RPCFAN_ECONFIG);
    assert_non_null(strstr(err.text, "account 1"));
    limit.each = 0;
    b.ep[2].account = "nobody";
    assert_int_equal(rf_core_new(&b.o, 1, 0, NULL, &core, &err), RPCFAN_ECONFIG);
    assert_non_null(strstr(err.text, "nobody"));
}

/* A refusal at one door closes the others until the pause is over, and then they open by
 * themselves: each network is woken. */
static void refuse_first(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                         struct rf_vreply *out)
{
    uint64_t *first = b->arg;
    if (*first == 0) {
        out->retry_after_ns = 2 * RF_SEC;
        bench_reply(out, 429, "slow down");
    } else {
        bench_reply_ok(ex, out);
    }
    *first += *first < 2;
    if (now_ns > 0)
        assert_true(now_ns >= 2 * RF_SEC);
}

static void test_gate_account_pauses_every_door(void **state)
{
    (void)state;
    struct rpcfan_account_options a;
    uint64_t first = 0;
    struct bench b;
    share(&b, &a, NULL, 0, 1);
    b.serve = refuse_first;
    b.arg = &first;
    bench_start(&b);
    bench_call(&b, 0, "eth_call", 30 * RF_SEC);
    bench_run(&b, 30 * RF_MS);
    assert_true(rf_core_deadline(rf_vshell_core(b.v)) <= 3 * RF_SEC);
    bench_call(&b, 1, "getSlot", 30 * RF_SEC);
    bench_call(&b, 0, "eth_call", 30 * RF_SEC);
    bench_run(&b, RF_SEC);
    assert_int_equal(b.exchanges, 1);
    bench_run(&b, 4 * RF_SEC);
    assert_int_equal(b.ok, 3);
    bench_fini(&b);
}

/* "3 left, restored in 5 s": three calls more through whatever door, and then none before that. */
static void say_three(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                      struct rf_vreply *out)
{
    uint64_t *left = b->arg;
    (void)now_ns;
    assert_true(*left > 0);
    --*left;
    out->rate.any = true;
    out->rate.remaining = *left;
    out->rate.reset_ns = 5 * RF_SEC;
    bench_reply_ok(ex, out);
}

static void test_gate_hint_holds_for_the_account(void **state)
{
    (void)state;
    struct rpcfan_account_options a;
    uint64_t left = 4;
    struct bench b;
    share(&b, &a, NULL, 0, 1);
    b.serve = say_three;
    b.arg = &left;
    bench_start(&b);
    bench_call(&b, 0, "eth_call", 60 * RF_SEC);
    bench_run(&b, 100 * RF_MS);
    for (uint32_t i = 0; i < 8; i++)
        bench_call(&b, i % 2, "eth_call", 60 * RF_SEC);
    bench_run(&b, 4 * RF_SEC);
    assert_int_equal(b.ok, 4);
    left = 100;
    bench_run(&b, 10 * RF_SEC);
    assert_int_equal(b.ok, 9);
    bench_fini(&b);
}

/* P2 for a gate as a whole: nothing goes before the time that a denial promises; whoever comes then
 * is let in, or told the next time, a few times at most. */
static void random_event(struct rf_gate *g, struct rf_rng *rng, uint64_t now_ns)
{
    struct rf_rate_hint h;
    rf_rate_hint_init(&h);
    h.any = true;
    switch (rf_rng_below(rng, 40)) {
    case 0:
        rf_gate_refused(g, now_ns, rf_rng_below(rng, 3) * RF_SEC, 1, now_ns, rng);
        break;
    case 1:
        h.remaining = rf_rng_below(rng, 4);
        h.reset_ns = rf_rng_below(rng, 2 * RF_SEC);
        rf_gate_hint(g, &h, now_ns, g->allowance.sent, now_ns);
        break;
    case 2:
        h.remaining = rf_rng_below(rng, 2) == 0 ? 0 : UINT64_MAX - 1;
        h.reset_ns = RF_NEVER - rf_rng_below(rng, 2);
        rf_gate_hint(g, &h, now_ns, 0, now_ns);
        break;
    case 3:
        rf_gate_pause(g, rf_rng_below(rng, RF_SEC), now_ns);
        break;
    default:
        rf_gate_served(g, now_ns, now_ns);
        break;
    }
}

static void test_gate_waits_are_exact(void **state)
{
    (void)state;
    uint64_t denied = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        const struct rpcfan_limit limits[] = {{.count = 5 + seed, .window_ms = 1000},
                                              {.count = 40, .window_ms = 10000}};
        struct rf_gate_options o = {
            .limits = limits, .n_limits = seed % 3, .learn = true, .start_per_s = 20};
        struct rf_gate g = {0};
        struct rpcfan_error err;
        struct rf_rng rng;
        struct rf_cost cost = {.mask = 3, .weight = 1};
        uint64_t now_ns = RF_SEC, out[64], n_out = 0, wait_ns;
        rf_rng_init(&rng, seed);
        assert_int_equal(rf_gate_init(&g, &o, now_ns, &err), RPCFAN_OK);
        for (uint32_t step = 0; step < 10000; step++) {
            uint32_t room = rf_gate_room(&g, cost, 3, now_ns, &wait_ns);
            if (room > 0 && n_out < RF_COUNT(out)) {
                (void)rf_gate_take(&g, cost, room, now_ns);
                out[n_out++] = room;
            } else if (room == 0 && wait_ns != RF_NEVER) {
                uint64_t later_ns;
                uint32_t hops = 0;
                denied++;
                assert_true(wait_ns > 0);
                assert_int_equal(rf_gate_room(&g, cost, 3, now_ns + wait_ns - 1, &later_ns), 0);
                now_ns += wait_ns;
                while (rf_gate_room(&g, cost, 3, now_ns, &wait_ns) == 0 && wait_ns != RF_NEVER) {
                    assert_true(wait_ns > 0 && ++hops < 100);
                    now_ns += wait_ns;
                }
            }
            while (n_out > 0 && (n_out == RF_COUNT(out) || rf_rng_below(&rng, 2) == 0)) {
                uint32_t n = (uint32_t)out[--n_out];
                struct rf_gate_fates f = {0};
                f.served = (uint32_t)rf_rng_below(&rng, n + 1);
                f.refused = (uint32_t)rf_rng_below(&rng, n - f.served + 1);
                f.unsent = (uint32_t)rf_rng_below(&rng, n - f.served - f.refused + 1);
                f.lost = n - f.served - f.refused - f.unsent;
                rf_gate_settle(&g, cost, &f, now_ns, now_ns);
            }
            random_event(&g, &rng, now_ns);
            now_ns += rf_rng_below(&rng, 50 * RF_MS);
        }
        while (n_out > 0) {
            struct rf_gate_fates f = {.served = (uint32_t)out[--n_out]};
            rf_gate_settle(&g, cost, &f, now_ns, now_ns);
        }
        bench_assert_gate_idle(&g);
        rf_gate_fini(&g);
    }
    assert_true(denied > 10000);
}

/* P5 for windows and what headers say: who takes less is never let in later. */
static void test_gate_is_monotone(void **state)
{
    (void)state;
    uint64_t compared = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        const struct rpcfan_limit limits[] = {{.count = 10 + seed, .window_ms = 3000},
                                              {.count = 60, .window_ms = 20000}};
        struct rf_gate_options o = {.limits = limits, .n_limits = 2};
        struct rf_gate more = {0}, less = {0};
        struct rpcfan_error err;
        struct rf_rng rng;
        struct rf_cost cost = {.mask = 3, .weight = 1};
        struct {
            uint64_t at_ns;
            bool both;
        } out[256];
        uint32_t n_out = 0;
        uint64_t now_ns = RF_SEC, wait_ns;
        rf_rng_init(&rng, seed);
        assert_int_equal(rf_gate_init(&more, &o, now_ns, &err), RPCFAN_OK);
        assert_int_equal(rf_gate_init(&less, &o, now_ns, &err), RPCFAN_OK);
        for (uint32_t step = 0; step < 10000; step++) {
            now_ns += rf_rng_below(&rng, 300 * RF_MS);
            for (uint32_t i = 0; i < n_out;) {
                const struct rf_gate_fates f = {.served = 1};
                if (out[i].at_ns > now_ns) {
                    i++;
                    continue;
                }
                rf_gate_settle(&more, cost, &f, now_ns, now_ns);
                if (out[i].both)
                    rf_gate_settle(&less, cost, &f, now_ns, now_ns);
                out[i] = out[--n_out];
            }
            if (rf_gate_room(&more, cost, 1, now_ns, &wait_ns) == 0)
                continue;
            compared++;
            assert_int_equal(rf_gate_room(&less, cost, 1, now_ns, &wait_ns), 1);
            assert_true(n_out < RF_COUNT(out));
            out[n_out].at_ns = now_ns + rf_rng_below(&rng, RF_SEC);
            out[n_out].both = rf_rng_below(&rng, 3) > 0;
            (void)rf_gate_take(&more, cost, 1, now_ns);
            if (out[n_out++].both)
                (void)rf_gate_take(&less, cost, 1, now_ns);
        }
        rf_gate_fini(&more);
        rf_gate_fini(&less);
    }
    assert_true(compared > 50000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gate_account_is_never_over_at_the_server),
        cmocka_unit_test(test_gate_batch_pays_for_itself),
        cmocka_unit_test(test_gate_absurd_options_are_refused),
        cmocka_unit_test(test_gate_account_pauses_every_door),
        cmocka_unit_test(test_gate_hint_holds_for_the_account),
        cmocka_unit_test(test_gate_waits_are_exact),
        cmocka_unit_test(test_gate_is_monotone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
