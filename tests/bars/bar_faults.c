/* bar_faults.c - bars 6, 7, 11 and 12: nodes that fail, and what it costs. */
#include <stdio.h>

#include "bars.h"
#include "stage.h"
#include "table.h"

/* Everything that can go wrong does, at once: five nodes with every fault at large, each with a
 * limit of another kind, refused in another shape; outages; batch caps; cancels. And everything
 * that makes more requests of a call, or fewer, is on: hedges, joins. */
static void set_faults(struct stage *s, struct rf_vlimit *account)
{
    static const struct rf_voutage outages[] = {
        {60 * RF_SEC, 90 * RF_SEC, RF_VFAULT_HANG, 0, 0},
        {120 * RF_SEC, 150 * RF_SEC, RF_VFAULT_RESET, 500, 0},
        {180 * RF_SEC, 240 * RF_SEC, RF_VFAULT_SLOW, 0, 40},
        {300 * RF_SEC, 330 * RF_SEC, RF_VFAULT_5XX, 900, 0},
    };
    for (uint32_t i = 0; i < 5; i++) {
        struct rf_vnode *n = &s->node[i];
        unsigned p = 4 + 2 * i;
        n->faults = (struct rf_vfaults){p, p / 2, p, p, p, p, p, p, p, p, p, p / 2, p / 2};
        n->service = (struct rf_vdist){.kind = RF_VDIST_EXPONENTIAL, .span_ns = 5 * RF_MS};
        n->workers = 32;
        n->throttle = (enum rf_vthrottle)((s->seed + i) % 6);
        n->refusal = (enum rf_vrefusal)((s->seed + i) % 6);
        n->limit = i < 4 ? (enum rf_vlimit_kind)(RF_VLIMIT_FIXED + i) : RF_VLIMIT_NONE;
        n->limit_count = i == 3 ? 40 : 600;
        n->limit_window_ns = RF_SEC;
        n->clock_ahead_ns = -3600 * (int64_t)RF_SEC;
        n->no_date = i == 1;
        n->hints = i == 2;
        s->ep[i].batch = 20;
        s->ep[i].timeout_ms = 3000;
    }
    s->node[1].batch_cap = 7;
    s->node[2].batch_cap = 15;
    s->node[0].outage = s->node[3].outage = outages;
    s->node[0].n_outages = s->node[3].n_outages = RF_COUNT(outages);
    s->node[4].dead_from_ns = 20 * RF_SEC;
    s->node[4].dead_until_ns = 100 * RF_SEC;
    *account = (struct rf_vlimit){
        .kind = RF_VLIMIT_SLIDING, .count = 9000, .window_ns = 10 * RF_SEC, .charge_refused = true};
    s->node[0].also[0] = s->node[4].also[0] = account;
    s->node[0].n_also = s->node[4].n_also = 1;
}

void bar_accounting(uint64_t seed)
{
    static const char *const methods[] = {"eth_call",    "eth_getBalance",        "eth_call",
                                          "eth_getLogs", "eth_sendTransaction",   "eth_call",
                                          "eth_call",    "eth_sendRawTransaction"};
    static const struct rpcfan_limit limit = {.count = 600, .window_ms = 1000};
    struct rf_vlimit account;
    struct stage s;
    stage_init(&s, 5, seed);
    set_faults(&s, &account);
    s.ep[0].limits = &limit;
    s.ep[0].n_limits = 1;
    s.o.pending_calls = 50000;
    s.net.hedge_percent = 5;
    s.net.join = 1;
    s.load = (struct rf_vload){.per_s = 1250,
                               .poisson = true,
                               .life_ns = 50 * RF_MS,
                               .life_span_ns = 20 * RF_SEC,
                               .method = methods,
                               .n_methods = RF_COUNT(methods),
                               .repeat = 2,
                               .cancel_permille = 2};
    stage_start(&s);
    stage_run(&s, 800 * RF_SEC);
    stage_offer(&s, 0);
    stage_run(&s, MINUTE);
    const struct rf_vbook *b = stage_book(&s);
    table_at_least(6, "every fault", "calls", 995000, (double)b->submitted);
    table_at_least(6, "every fault", "answered with a result", 0.9,
                   ratio((double)b->ok, (double)b->answered));
    table_at_most(6, "every fault", "lost", 0, (double)(b->submitted - b->answered));
    table_at_most(6, "every fault", "answered twice", 0, (double)b->twice);
    table_at_most(6, "every fault", "wrong answers", 0, (double)b->wrong);
    table_at_most(6, "every fault", "leaked", 0, rf_vworld_settled(&s.w) ? 0 : 1);
    stage_fini(&s);
    rf_vlimit_fini(&account);
}

/* A share of 5xx, with the breaker kept out of it where that is asked for. */
struct failing {
    struct stage *s;
    unsigned permille;
    bool breaker;
};

static bool fail_some(void *arg, struct rf_vclient *c, struct rf_exchange *ex, uint64_t now_ns,
                      struct rf_vreply *out)
{
    const struct failing *f = arg;
    (void)c;
    if (!f->breaker)
        rf_breaker_init(&stage_ep(f->s, ex->index)->breaker, now_ns);
    if (rf_rng_below(&f->s->rng, 1000) >= f->permille)
        return false;
    out->status = 500;
    rf_buf_str(&out->body, "oops");
    out->delay_ns = 50 * RF_MS;
    return true;
}

void bar_attempts(uint64_t seed)
{
    static const struct {
        unsigned permille;
        const char *what;
        double most;
    } cases[] = {{1000, "100 % of 5xx", 1.01}, {200, "20 % of 5xx", 1.11}};
    for (uint32_t i = 0; i < RF_COUNT(cases); i++) {
        struct stage s;
        struct failing f = {&s, cases[i].permille, false};
        stage_init(&s, 1, seed);
        s.w.hooks.serve = fail_some;
        s.w.hooks.arg = &f;
        s.load.per_s = 100;
        s.load.until_ns = 100 * RF_SEC;
        stage_start(&s);
        stage_run(&s, 120 * RF_SEC);
        const struct rf_vbook *b = stage_book(&s);
        table_at_most(7, cases[i].what, "attempts/calls", cases[i].most,
                      ratio((double)b->sent, (double)b->submitted));
        stage_fini(&s);
    }
}

void bar_refusing_node(uint64_t seed)
{
    struct stage s;
    stage_init(&s, 5, seed);
    s.load.per_s = 100;
    s.node[2].dead_from_ns = MINUTE;
    s.node[2].dead_until_ns = RF_NEVER;
    stage_start(&s);
    stage_run(&s, MINUTE);
    const struct rf_vbook *b = stage_book(&s);
    uint64_t answered = b->answered, ok = b->ok;
    stage_run(&s, 10 * RF_SEC);
    uint64_t sent = b->sent, dead = s.node[2].calls;
    stage_run(&s, 5 * MINUTE);
    double failed = (double)(b->answered - answered) - (double)(b->ok - ok);
    table_at_most(11, "1 of 5 refuses", "error answers", 0.005,
                  ratio(failed, (double)(b->answered - answered)));
    table_at_most(11, "1 of 5 refuses", "its share after 10 s", 0.01,
                  ratio((double)(s.node[2].calls - dead), (double)(b->sent - sent)));
    stage_fini(&s);
}

static bool always_429(void *arg, struct rf_vclient *c, struct rf_exchange *ex, uint64_t now_ns,
                       struct rf_vreply *out)
{
    (void)arg, (void)c, (void)ex, (void)now_ns;
    out->status = 429;
    out->delay_ns = 50 * RF_MS;
    return true;
}

static void throttles_case(uint64_t seed)
{
    struct stage s;
    stage_init(&s, 1, seed);
    s.w.hooks.serve = always_429;
    s.load.backlog = 100;
    s.load.life_ns = 10 * MINUTE;
    stage_start(&s);
    stage_run(&s, 60 * MINUTE);
    table_at_most(12, "an hour of 429", "trips", 0, (double)stage_ep(&s, 0)->breaker.trips);
    table_at_least(12, "an hour of 429", "requests", 100, (double)stage_book(&s)->exchanges);
    stage_fini(&s);
}

static void random_case(uint64_t seed)
{
    struct stage s;
    struct failing f = {&s, 50, true};
    stage_init(&s, 1, seed);
    s.w.hooks.serve = fail_some;
    s.w.hooks.arg = &f;
    s.load.per_s = 100;
    stage_start(&s);
    stage_run(&s, 60 * MINUTE);
    table_at_most(12, "an hour of 5 % errors", "trips", 0, (double)stage_ep(&s, 0)->breaker.trips);
    stage_fini(&s);
}

/* Requests of the dead node while its breaker is open, by open interval. */
struct probes {
    struct stage *s;
    uint64_t interval, in_interval, worst;
};

static void watch_probes(void *arg, struct rf_vclient *c, const struct rf_exchange *ex,
                         uint64_t now_ns)
{
    struct probes *p = arg;
    const struct rf_breaker *k = &stage_ep(p->s, 0)->breaker;
    (void)c;
    if (ex->index != 0 || now_ns >= p->s->node[0].dead_until_ns || k->trips == 0)
        return;
    p->in_interval = k->open_until_ns == p->interval ? p->in_interval + 1 : 1;
    p->interval = k->open_until_ns;
    p->worst = rf_max_u64(p->worst, p->in_interval);
}

static void recovery_case(uint64_t seed, uint32_t n_ep, uint64_t dead_s)
{
    struct stage s;
    struct probes p = {.s = &s};
    char what[48];
    stage_init(&s, n_ep, seed);
    s.w.hooks.sent = watch_probes;
    s.w.hooks.arg = &p;
    s.load.per_s = 100;
    s.load.life_ns = 5 * RF_SEC;
    s.node[0].dead_from_ns = 10 * RF_SEC;
    s.node[0].dead_until_ns = (10 + dead_s) * RF_SEC;
    stage_start(&s);
    stage_run(&s, s.node[0].dead_until_ns);
    const struct rf_breaker *k = &stage_ep(&s, 0)->breaker;
    uint64_t back_ns = s.w.now_ns, trips = k->trips, until_ns = back_ns;
    while (k->state != RF_BREAKER_CLOSED && s.w.now_ns < back_ns + 2 * MINUTE) {
        /* a probe that came too early by a moment opens another interval */
        until_ns = rf_max_u64(until_ns, k->open_until_ns);
        stage_run(&s, RF_MS);
    }
    snprintf(what, sizeof what, "%u node%s, one dead for %llu s", n_ep, n_ep > 1 ? "s" : "",
             (unsigned long long)dead_s);
    table_at_most(12, what, "trips", 1, (double)trips);
    table_at_most(12, what, "probes an interval", 1, (double)p.worst);
    double late_s =
        k->state == RF_BREAKER_CLOSED ? (double)rf_time_sub(k->closed_at_ns, until_ns) / 1e9 : 999;
    /* two round trips, and a call each 10 ms */
    table_at_most(12, what, "s to recover, after d_k", 2 * 0.14 + 0.02, late_s);
    stage_fini(&s);
}

void bar_breaker(uint64_t seed)
{
    throttles_case(seed);
    random_case(seed);
    for (uint32_t n_ep = 1; n_ep <= 3; n_ep++) {
        recovery_case(seed, n_ep, 10);
        recovery_case(seed, n_ep, 100);
    }
}
