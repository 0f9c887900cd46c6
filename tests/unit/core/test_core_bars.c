/* test_core_bars.c - the bars that rpcfan sets itself, as far as the core alone decides them:
 * measured in virtual time against virtual nodes. Each test prints its figures. */
#include "core_case.h"

#define MINUTE (60 * RF_SEC)

static double ratio(uint64_t a, double b)
{
    return b > 0 ? (double)a / b : 0;
}

/* Keep a backlog of about `n` calls for `for_ns`. */
static void backlog(struct bench *b, uint64_t n, uint64_t for_ns)
{
    uint64_t end = rf_vshell_now(b->v) + for_ns;
    while (rf_vshell_now(b->v) < end) {
        while (b->submitted - b->answered < n)
            bench_call(b, 0, "eth_call", 10 * MINUTE);
        bench_run(b, 500 * RF_MS);
    }
}

/* Bars 1 and 2: a known quota is used to at least 0.95 (W = 1 s: 0.90), and refused never (1 %). */
static void quota_case(enum rf_vlimit kind, uint64_t count, uint64_t window_ns, uint32_t batch,
                       double least, double waste)
{
    static const char *const kinds[] = {"none", "fixed", "sliding", "bucket"};
    struct rpcfan_limit limit = {.count = count, .window_ms = window_ns / RF_MS};
    struct bench b;
    bench_init(&b, 1, 5);
    b.ep[0].limits = &limit;
    b.ep[0].n_limits = 1;
    b.ep[0].batch = batch;
    struct rf_vnode *node = &b.node[0];
    node->latency_ns = 80 * RF_MS;
    node->jitter_ns = 60 * RF_MS;
    node->limit = kind;
    node->limit_count = count;
    node->limit_window_ns = window_ns;
    bench_start(&b);
    backlog(&b, 200, MINUTE);
    uint64_t ok = b.ok, calls = node->calls, refused = node->throttled;
    backlog(&b, 200, 10 * MINUTE);
    double most = (double)count * 10.0 * (double)MINUTE / (double)window_ns;
    double goodput = ratio(b.ok - ok, most);
    double wasted = ratio(node->throttled - refused, (double)(node->calls - calls));
    print_message("%llu/%llu ms %-7s batch %-2u: goodput %.3f, refused %.4f\n",
                  (unsigned long long)count, (unsigned long long)(window_ns / RF_MS), kinds[kind],
                  batch, goodput, wasted);
    rf_vshell_close(b.v, RPCFAN_CLOSE_NOW);
    bench_fini(&b);
    assert_true(goodput >= least);
    assert_true(wasted <= waste);
}

static void test_bar_1_2_known_quota(void **state)
{
    (void)state;
    for (int kind = RF_VLIMIT_FIXED; kind <= RF_VLIMIT_BUCKET; kind++) {
        for (uint32_t batch = 1; batch <= 20; batch += 19) {
            quota_case((enum rf_vlimit)kind, 100, 10 * RF_SEC, batch, 0.95, 0);
            quota_case((enum rf_vlimit)kind, 50, RF_SEC, batch, 0.90, 0.01);
        }
    }
}

/* Bar 7: 10,000 calls, the breaker kept out of it. */
static void fail_permille(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                          struct rf_vreply *out)
{
    rf_breaker_init(&bench_ep(b, ex->index)->breaker, now_ns);
    if (rf_rng_below(&b->rng, 1000) < *(uint64_t *)b->arg)
        bench_reply(out, 500, "oops");
    else
        bench_reply_ok(ex, out);
}

static void attempts_case(uint64_t permille, double most)
{
    struct bench b;
    bench_init(&b, 1, 7);
    b.serve = fail_permille;
    b.arg = &permille;
    bench_start(&b);
    bench_offer(&b, 100, 100, 10 * RF_SEC);
    bench_run(&b, 10 * RF_SEC);
    double attempts = ratio(b.exchanges, (double)b.submitted);
    print_message("%llu permille of 5xx: %.4f attempts a call, %.4f of the calls answered\n",
                  (unsigned long long)permille, attempts, ratio(b.ok, (double)b.submitted));
    assert_int_equal(b.submitted, 10000);
    bench_fini(&b);
    assert_true(attempts <= most);
}

static void test_bar_7_attempts_a_call(void **state)
{
    (void)state;
    attempts_case(1000, 1.01);
    attempts_case(200, 1.11);
}

/* Bar 10: eight classes of equal demand, one of them held by its own window. */
static void by_class(struct bench *b, struct rf_vcall *c, uint64_t now_ns)
{
    (void)now_ns;
    if (c->call.err == RPCFAN_OK)
        ((uint64_t *)b->arg)[c->call.class_ix]++;
}

static void test_bar_10_classes_share(void **state)
{
    (void)state;
    static const char *const methods[] = {"m_0", "m_1", "m_2", "m_3", "m_4", "m_5", "m_6", "m_7"};
    struct rpcfan_limit limit[8];
    uint64_t n[9] = {0};
    struct bench b;
    bench_init(&b, 1, 1);
    for (uint32_t i = 0; i < 8; i++)
        limit[i] = (struct rpcfan_limit){.count = i == 0 ? 10 : 100000,
                                         .window_ms = 10000,
                                         .methods = &methods[i],
                                         .n_methods = 1};
    b.ep[0].limits = limit;
    b.ep[0].n_limits = 8;
    b.ep[0].in_flight = 4;
    b.arg = n;
    b.done = by_class;
    bench_start(&b);
    for (uint32_t k = 0; k < 120 * 30; k++) {
        for (uint32_t i = 0; i < 8; i++)
            bench_call(&b, 0, methods[i], 200 * RF_SEC);
        bench_run(&b, RF_SEC / 30);
    }
    double sum = 0, squares = 0;
    for (uint32_t i = 1; i < 8; i++) {
        sum += (double)n[i];
        squares += (double)n[i] * (double)n[i];
    }
    double jain = sum * sum / (7 * squares);
    double offered = 120.0 * 7 * 200 / 7.0; /* 4 slots of 20 ms: 200 a second for the seven */
    print_message("seven classes: Jain %.4f, %.0f calls of %.0f; the eighth %llu\n", jain, sum,
                  offered, (unsigned long long)n[0]);
    rf_vshell_close(b.v, RPCFAN_CLOSE_NOW);
    bench_fini(&b);
    assert_true(jain >= 0.95);
    assert_true(sum >= 0.95 * offered);
    assert_in_range(n[0], 110, 130);
}

/* Bar 11: one of five refuses instantly from 60 s on. */
static void test_bar_11_instant_refusals(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 5, 11);
    for (uint32_t i = 0; i < 5; i++) {
        b.node[i].latency_ns = 40 * RF_MS;
        b.node[i].jitter_ns = 40 * RF_MS;
    }
    b.node[2].dead_from_ns = MINUTE;
    b.node[2].dead_until_ns = RF_NEVER;
    bench_start(&b);
    bench_offer(&b, 100, 70, 10 * RF_SEC);
    uint64_t before = b.exchanges, to_dead = b.sent[2], ok = b.ok, answered = b.answered;
    bench_offer(&b, 100, 300, 10 * RF_SEC);
    double share = ratio(b.sent[2] - to_dead, (double)(b.exchanges - before));
    double errors = ratio((b.answered - answered) - (b.ok - ok), (double)(b.answered - answered));
    double all = ratio(b.answered - b.ok, (double)b.answered);
    print_message("errors %.4f (%.4f over all), share of the dead node %.4f\n", errors, all, share);
    bench_fini(&b);
    assert_true(all <= 0.005);
    assert_true(share <= 0.01);
}

/* Bar 12a: an hour of nothing but 429 never trips the breaker. */
static void always_429(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                       struct rf_vreply *out)
{
    (void)b, (void)ex, (void)now_ns;
    bench_reply(out, 429, "");
}

static void test_bar_12_a_throttles_never_trip(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1, 12);
    b.serve = always_429;
    bench_start(&b);
    backlog(&b, 100, 60 * MINUTE);
    print_message("%llu requests, %llu trips\n", (unsigned long long)b.exchanges,
                  (unsigned long long)bench_ep(&b, 0)->breaker.trips);
    assert_int_equal(bench_ep(&b, 0)->breaker.trips, 0);
    assert_int_equal(bench_ep(&b, 0)->breaker.state, RF_BREAKER_CLOSED);
    assert_true(b.exchanges > 100);
    rf_vshell_close(b.v, RPCFAN_CLOSE_NOW);
    bench_fini(&b);
}

/* Bar 12b: 5 % random errors for an hour at 100 a second. */
static void five_percent(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                         struct rf_vreply *out)
{
    (void)now_ns;
    if (rf_rng_below(&b->rng, 100) < 5)
        bench_reply(out, 502, "oops");
    else
        bench_reply_ok(ex, out);
}

static void test_bar_12_b_random_errors_do_not_trip(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1, 12);
    b.serve = five_percent;
    bench_start(&b);
    bench_offer(&b, 100, 3600, 10 * RF_SEC);
    print_message(
        "%llu requests, %llu trips, %.5f of the calls answered\n", (unsigned long long)b.exchanges,
        (unsigned long long)bench_ep(&b, 0)->breaker.trips, ratio(b.ok, (double)b.answered));
    assert_int_equal(bench_ep(&b, 0)->breaker.trips, 0);
    bench_fini(&b);
}

/* Bar 12c: dead, then back: a probe an open interval, and recovery within d_k + 2 RTT. */
struct probes {
    uint64_t last_open, in_interval, worst;
};

static void watch_probes(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                         struct rf_vreply *out)
{
    struct probes *p = b->arg;
    const struct rf_breaker *k = &bench_ep(b, 0)->breaker;
    if (ex->index == 0 && now_ns < b->node[0].dead_until_ns && k->trips > 0) {
        p->in_interval = k->open_until_ns == p->last_open ? p->in_interval + 1 : 1;
        p->last_open = k->open_until_ns;
        p->worst = rf_max_u64(p->worst, p->in_interval);
    }
    rf_vnode_serve(&b->node[ex->endpoint], ex, now_ns, out);
}

static void recovery_case(uint32_t n_ep, uint64_t dead_for_ns)
{
    struct bench b;
    struct probes p = {0};
    bench_init(&b, n_ep, 12);
    b.serve = watch_probes;
    b.arg = &p;
    b.node[0].dead_from_ns = 10 * RF_SEC;
    b.node[0].dead_until_ns = 10 * RF_SEC + dead_for_ns;
    bench_start(&b);
    bench_offer(&b, 100, 10 + dead_for_ns / RF_SEC, 5 * RF_SEC);
    const struct rf_breaker *k = &bench_ep(&b, 0)->breaker;
    uint64_t back = rf_vshell_now(b.v), until = k->open_until_ns;
    uint32_t opened = k->opened;
    assert_int_equal(k->trips, 1);
    while (k->state != RF_BREAKER_CLOSED && rf_vshell_now(b.v) < back + 2 * MINUTE)
        bench_offer(&b, 100, 1, 5 * RF_SEC);
    uint64_t closed = k->closed_at_ns, rtt = b.node[0].latency_ns;
    print_message(
        "%u endpoints, dead for %llu s: opened %u times, at most %llu probes an interval, "
        "back %.3f s after the interval's end\n",
        n_ep, (unsigned long long)(dead_for_ns / RF_SEC), opened, (unsigned long long)p.worst,
        (double)rf_time_sub(closed, until) / 1e9);
    assert_int_equal(k->state, RF_BREAKER_CLOSED);
    assert_true(p.worst <= 1 && (p.worst == 1 || dead_for_ns < MINUTE));
    assert_true(closed <= rf_max_u64(until, back) + 2 * rtt + 20 * RF_MS); /* a call each 10 ms */
    bench_fini(&b);
}

static void test_bar_12_c_recovery(void **state)
{
    (void)state;
    for (uint32_t n_ep = 1; n_ep <= 3; n_ep++) {
        recovery_case(n_ep, 10 * RF_SEC);
        recovery_case(n_ep, 100 * RF_SEC);
    }
}

/* Bar 14: deadlines of 200 ms to 5 s at three times of what the node can take: nothing leaves past
 * its deadline, answers come in time, the node is not taken for broken, and its time is not spent
 * on calls that cannot make it. */
struct lateness {
    uint64_t worst, due;
};

static void note_lateness(struct bench *b, struct rf_vcall *c, uint64_t now_ns)
{
    struct lateness *l = b->arg;
    l->worst = rf_max_u64(l->worst, rf_time_sub(now_ns, c->call.deadline_ns));
}

static void overload_case(const char *name, uint32_t slots, uint64_t limit_count, uint32_t batch,
                          bool same_life)
{
    struct rpcfan_limit limit = {.count = limit_count, .window_ms = 1000};
    struct lateness late = {0};
    struct bench b;
    bench_init(&b, 1, 14);
    b.ep[0].in_flight = slots;
    b.ep[0].batch = batch;
    b.arg = &late;
    b.done = note_lateness;
    b.node[0].latency_ns = 100 * RF_MS;
    b.node[0].jitter_ns = 40 * RF_MS;
    if (limit_count > 0) {
        b.ep[0].limits = &limit;
        b.ep[0].n_limits = 1;
        b.node[0].limit = RF_VLIMIT_SLIDING;
        b.node[0].limit_count = limit_count;
        b.node[0].limit_window_ns = RF_SEC;
    }
    bench_start(&b);
    uint64_t seconds = 120;
    double most = limit_count > 0 ? (double)limit_count : (double)slots * batch / 0.12;
    uint32_t offered = (uint32_t)(3 * most);
    for (uint64_t i = 0; i < seconds * offered; i++) {
        bench_call(&b, 0, "eth_call",
                   same_life ? RF_SEC : 200 * RF_MS + rf_rng_below(&b.rng, 4800 * RF_MS));
        rf_vshell_run(b.v, (i + 1) * RF_SEC / offered);
    }
    double goodput = ratio(b.ok, most * (double)seconds);
    print_message("%s: goodput %.3f, %llu trips, %llu sent past the deadline, answered at most "
                  "%llu us late\n",
                  name, goodput, (unsigned long long)bench_ep(&b, 0)->breaker.trips,
                  (unsigned long long)b.past_deadline, (unsigned long long)(late.worst / 1000));
    assert_int_equal(b.past_deadline, 0);
    assert_true(late.worst <= 10 * RF_MS);
    assert_int_equal(bench_ep(&b, 0)->breaker.trips, 0);
    bench_fini(&b);
    assert_true(goodput >= 0.85);
}

static void test_bar_14_deadlines_under_overload(void **state)
{
    (void)state;
    for (int same = 0; same <= 1; same++) {
        overload_case(same ? "4 slots, 1 s each" : "4 slots", 4, 0, 1, same);
        overload_case(same ? "batches of 10, 1 s each" : "batches of 10", 4, 0, 10, same);
        overload_case(same ? "50 a second, 1 s each" : "50 a second", 64, 50, 1, same);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bar_1_2_known_quota),
        cmocka_unit_test(test_bar_7_attempts_a_call),
        cmocka_unit_test(test_bar_10_classes_share),
        cmocka_unit_test(test_bar_11_instant_refusals),
        cmocka_unit_test(test_bar_12_a_throttles_never_trip),
        cmocka_unit_test(test_bar_12_b_random_errors_do_not_trip),
        cmocka_unit_test(test_bar_12_c_recovery),
        cmocka_unit_test(test_bar_14_deadlines_under_overload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
