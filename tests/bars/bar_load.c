/* bar_load.c - bars 8, 9, 10, 13 and 14: tails, hedges, fairness, overload, deadlines. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "bars.h"
#include "stage.h"
#include "table.h"

#define SAMPLES 100000

/* Latencies of calls answered after a time. */
struct sample {
    uint64_t from_ns;
    uint32_t n;
    uint64_t unsent; /* calls that ended without being sent */
    double ms[SAMPLES];
};

static struct sample sample;

static void note_latency(void *arg, struct rf_vclient *c, const struct rf_call *call,
                         uint64_t now_ns)
{
    (void)arg, (void)c;
    sample.unsent += call->sends == 0;
    if (call->err == RPCFAN_OK && call->submitted_ns >= sample.from_ns && sample.n < SAMPLES)
        sample.ms[sample.n++] = (double)(now_ns - call->submitted_ns) / 1e6;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(double q)
{
    qsort(sample.ms, sample.n, sizeof sample.ms[0], by_value);
    return sample.n > 0 ? sample.ms[(uint32_t)(q * (sample.n - 1))] : 0;
}

/* Median 50 ms, 95 of 100 within 109 ms, and 1 of 100 later by 0.8 to 2 s. */
static void set_slow(struct stage *s, uint32_t n_ep)
{
    for (uint32_t i = 0; i < n_ep; i++) {
        s->node[i].travel =
            (struct rf_vdist){.kind = RF_VDIST_UNIFORM, .base_ns = RF_MS, .span_ns = RF_MS};
        s->node[i].service = (struct rf_vdist){.kind = RF_VDIST_LOGNORMAL,
                                               .base_ns = 47 * RF_MS,
                                               .sigma = 0.474,
                                               .slow_permille = 10,
                                               .slow_ns = 800 * RF_MS,
                                               .slow_span_ns = 1200 * RF_MS};
    }
    s->w.hooks.done = note_latency;
    sample.n = 0;
    sample.unsent = 0;
}

/* @return p99 in ms. @param extra out: requests over calls, as a share of the calls. */
static double tail_case(uint64_t seed, uint32_t percent, double *extra)
{
    struct stage s;
    stage_init(&s, 3, seed);
    set_slow(&s, 3);
    sample.from_ns = MINUTE;
    s.net.hedge_percent = percent;
    s.load.per_s = 100;
    s.load.poisson = true;
    s.load.until_ns = 11 * MINUTE;
    stage_start(&s);
    stage_run(&s, 12 * MINUTE);
    const struct rf_vbook *b = stage_book(&s);
    *extra = ratio((double)b->sent, (double)b->submitted) - 1;
    stage_fini(&s);
    return quantile(0.99);
}

void bar_hedge_tail(uint64_t seed)
{
    double extra = 0, plain_extra = 0;
    double plain = tail_case(seed, 0, &plain_extra);
    double hedged = tail_case(seed, 5, &extra);
    table_at_most(8, "1 % slow, hedges 5 %", "p99 to p99 without", 0.30, ratio(hedged, plain));
    table_at_most(8, "1 % slow, hedges 5 %", "extra requests", 0.055, extra);
}

void bar_hedge_load(uint64_t seed)
{
    static const struct rpcfan_limit limit = {.count = 50, .window_ms = 1000};
    struct stage s;
    stage_init(&s, 2, seed);
    set_slow(&s, 2);
    sample.from_ns = RF_NEVER;
    s.net.hedge_percent = 5;
    for (uint32_t i = 0; i < 2; i++) {
        s.ep[i].limits = &limit;
        s.ep[i].n_limits = 1;
        s.node[i].limit = RF_VLIMIT_SLIDING;
        s.node[i].limit_count = limit.count;
        s.node[i].limit_window_ns = RF_SEC;
    }
    s.load.per_s = 200;
    s.load.until_ns = 5 * MINUTE;
    stage_start(&s);
    stage_run(&s, 6 * MINUTE);
    const struct rf_vbook *b = stage_book(&s);
    /* what was sent beyond once a call, and beyond what was refused and went again */
    double hedges = (double)b->sent - (double)(b->answered - sample.unsent) -
                    (double)stage_throttled(&s);
    table_at_most(9, "load 2R, hedges 5 %", "hedges sent", 0, hedges);
    table_at_least(9, "load 2R, hedges 5 %", "calls answered", 25000, (double)b->ok);
    stage_fini(&s);
}

/* Answers by method number, "m_0" to "m_7". */
static void by_method(void *arg, struct rf_vclient *c, const struct rf_call *call, uint64_t now_ns)
{
    (void)c, (void)now_ns;
    if (call->err == RPCFAN_OK)
        ((double *)arg)[call->tail[RF_CALL_METHOD_AT + 2] - '0']++;
}

void bar_classes(uint64_t seed)
{
    static const char *const methods[] = {"m_0", "m_1", "m_2", "m_3", "m_4", "m_5", "m_6", "m_7"};
    struct rpcfan_limit limit[8];
    double n[8] = {0}, sum = 0;
    struct stage s;
    stage_init(&s, 1, seed);
    for (uint32_t i = 0; i < 8; i++)
        limit[i] = (struct rpcfan_limit){.count = i == 0 ? 10 : 100000,
                                         .window_ms = 10000,
                                         .methods = &methods[i],
                                         .n_methods = 1};
    s.ep[0].limits = limit;
    s.ep[0].n_limits = 8;
    s.ep[0].in_flight = 4;
    s.o.pending_calls = 40000;
    s.node[0].travel =
        (struct rf_vdist){.kind = RF_VDIST_UNIFORM, .base_ns = 9 * RF_MS, .span_ns = 2 * RF_MS};
    s.load = (struct rf_vload){
        .per_s = 240, .poisson = true, .life_ns = 200 * RF_SEC, .method = methods, .n_methods = 8};
    s.w.hooks.done = by_method;
    s.w.hooks.arg = n;
    stage_start(&s);
    stage_run(&s, 120 * RF_SEC);
    for (uint32_t i = 1; i < 8; i++)
        sum += n[i];
    table_at_least(10, "8 classes, one capped", "Jain of the others", 0.95, rf_jain(n + 1, 7));
    /* four slots of 20 ms: 200 a second for the seven, who ask for 210 */
    table_at_most(10, "8 classes, one capped", "their loss", 0.05, 1 - sum / (200.0 * 120));
    table_at_least(10, "8 classes, one capped", "the capped one, of cap", 0.9, n[0] / 120);
    stage_fini(&s);
}

static double overload_goodput(uint64_t seed, bool over, double *growth, double *queue)
{
    static const struct rpcfan_limit limit = {.count = 50, .window_ms = 1000};
    struct stage s;
    stage_init(&s, 1, seed);
    s.ep[0].limits = &limit;
    s.ep[0].n_limits = 1;
    s.node[0].limit = RF_VLIMIT_SLIDING;
    s.node[0].limit_count = 50;
    s.node[0].limit_window_ns = RF_SEC;
    s.load.life_ns = MINUTE;
    s.load.per_s = over ? 500 : 0;
    s.load.backlog = over ? 0 : 300;
    stage_start(&s);
    stage_run(&s, 2 * MINUTE);
    uint64_t ok = stage_book(&s)->ok;
    double bytes = (double)mallinfo2().uordblks;
    *queue = 0;
    for (uint32_t i = 0; i < 8 * 60; i++) {
        stage_run(&s, RF_SEC);
        double now = (double)rf_vshell_core(s.client->shell)->live;
        *queue = now > *queue ? now : *queue;
    }
    *growth = (double)mallinfo2().uordblks / bytes - 1;
    double goodput = (double)(stage_book(&s)->ok - ok) / (50.0 * 480);
    stage_fini(&s);
    return goodput;
}

void bar_overload(uint64_t seed)
{
    double growth = 0, queue = 0;
    double plain = overload_goodput(seed, false, &growth, &queue);
    double over = overload_goodput(seed, true, &growth, &queue);
    table_at_most(13, "10R for 10 min", "memory, minutes 2 to 10", 0.05, growth);
    table_at_most(13, "10R for 10 min", "calls pending", 8192, queue);
    table_at_least(13, "10R for 10 min", "goodput to that of 1R", 0.95, ratio(over, plain));
}

/* How late answers are, in ns. */
struct late {
    uint64_t n, over;
};

static void note_lateness(void *arg, struct rf_vclient *c, const struct rf_call *call,
                          uint64_t now_ns)
{
    struct late *l = arg;
    (void)c;
    l->n++;
    l->over += rf_time_sub(now_ns, call->deadline_ns) > 10 * RF_MS;
}

static void deadline_case(uint64_t seed, const char *what, uint32_t batch, uint64_t count,
                          bool same_life)
{
    struct rpcfan_limit limit = {.count = count, .window_ms = 1000};
    struct late late = {0};
    struct stage s;
    stage_init(&s, 1, seed);
    s.ep[0].in_flight = count > 0 ? 64 : 4;
    s.ep[0].batch = batch;
    s.w.hooks.done = note_lateness;
    s.w.hooks.arg = &late;
    if (count > 0) {
        s.ep[0].limits = &limit;
        s.ep[0].n_limits = 1;
        s.node[0].limit = RF_VLIMIT_SLIDING;
        s.node[0].limit_count = count;
        s.node[0].limit_window_ns = RF_SEC;
    }
    double most = count > 0 ? (double)count : 4 * batch / 0.11;
    s.load.per_s = 3 * most;
    s.load.life_ns = same_life ? RF_SEC : 200 * RF_MS;
    s.load.life_span_ns = same_life ? 0 : 4800 * RF_MS;
    stage_start(&s);
    stage_run(&s, 120 * RF_SEC);
    const struct rf_vbook *b = stage_book(&s);
    table_at_most(14, what, "sent past the deadline", 0, (double)b->past_deadline);
    table_at_most(14, what, "answered > 10 ms late", 0.01,
                  ratio((double)late.over, (double)late.n));
    table_at_most(14, what, "trips", 0, (double)stage_ep(&s, 0)->breaker.trips);
    table_at_least(14, what, "goodput", 0.85, (double)b->ok / (most * 120));
    stage_fini(&s);
}

void bar_deadlines(uint64_t seed)
{
    deadline_case(seed, "4 slots", 1, 0, false);
    deadline_case(seed, "4 slots, 1 s each", 1, 0, true);
    deadline_case(seed, "4 slots, batches of 10", 10, 0, false);
    deadline_case(seed, "4 slots, batches of 10, 1 s each", 10, 0, true);
    deadline_case(seed, "50 a second", 1, 50, false);
    deadline_case(seed, "50 a second, 1 s each", 1, 50, true);
}
