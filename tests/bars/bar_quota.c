/* bar_quota.c - bars 1 to 5: how well a rate limit is used that is known, or has to be learned. */
#include <stdio.h>

#include "bars.h"
#include "stage.h"
#include "table.h"

static const char *const KINDS[] = {"none", "fixed", "sliding", "bucket", "concurrent"};

struct quota {
    enum rf_vlimit_kind kind;
    uint64_t count, window_s;
};

static double per_second(const struct quota *q)
{
    return (double)q->count / (double)q->window_s;
}

static void set_node(struct stage *s, const struct quota *q)
{
    struct rf_vnode *n = &s->node[0];
    n->limit = q->kind;
    n->limit_count = q->count;
    n->limit_window_ns = q->window_s * RF_SEC;
    s->load.backlog = 200 + (uint32_t)(2 * per_second(q));
    s->load.life_ns = 10 * MINUTE;
}

/* What was sent and what came of it, since the last look. */
struct span {
    uint64_t ok, sent, refused;
};

static struct span look(const struct stage *s)
{
    return (struct span){stage_book(s)->ok, s->node[0].calls, stage_throttled(s)};
}

static struct span since(const struct stage *s, struct span b)
{
    struct span a = look(s);
    return (struct span){a.ok - b.ok, a.sent - b.sent, a.refused - b.refused};
}

static double waste(struct span d)
{
    return ratio((double)d.refused, (double)d.sent);
}

/* How long requests are on the way. */
enum way {
    SHORT,
    LONG_TAIL,
    IN_BUNCHES /* exponential; and a refusal costs whole seconds */
};

static const struct rf_vdist bunches = {.kind = RF_VDIST_EXPONENTIAL, .span_ns = 40 * RF_MS};

static void known_case(uint64_t seed, const struct quota *q, uint32_t batch, enum way way)
{
    static const char *const ways[] = {"", ", long tail", ", bunched"};
    struct rpcfan_limit limit = {.count = q->count, .window_ms = q->window_s * 1000};
    struct stage s;
    char what[48];
    stage_init(&s, 1, seed);
    s.ep[0].limits = &limit;
    s.ep[0].n_limits = 1;
    s.ep[0].batch = batch;
    set_node(&s, q);
    if (way == LONG_TAIL)
        s.node[0].travel =
            (struct rf_vdist){.kind = RF_VDIST_LOGNORMAL, .base_ns = 40 * RF_MS, .sigma = 0.5};
    if (way == IN_BUNCHES) {
        s.node[0].travel = bunches;
        s.node[0].throttle = RF_VTHROTTLE_429_SECONDS;
    }
    stage_start(&s);
    stage_run(&s, MINUTE);
    struct span before = look(&s);
    stage_run(&s, 10 * MINUTE);
    struct span d = since(&s, before);
    snprintf(what, sizeof what, "%s %llu/%llu s, batch %u%s", KINDS[q->kind],
             (unsigned long long)q->count, (unsigned long long)q->window_s, batch, ways[way]);
    table_at_least(1, what, "goodput", q->window_s > 1 ? 0.95 : 0.90,
                   ratio((double)d.ok, per_second(q) * 600));
    table_at_most(2, what, "refused/sent", q->window_s > 2 ? 0 : 0.01, waste(d));
    stage_fini(&s);
}

void bar_known_quota(uint64_t seed)
{
    for (int kind = RF_VLIMIT_FIXED; kind <= RF_VLIMIT_BUCKET; kind++) {
        struct quota ten = {(enum rf_vlimit_kind)kind, 100, 10};
        struct quota one = {(enum rf_vlimit_kind)kind, 50, 1};
        for (uint32_t batch = 1; batch <= 20; batch += 19) {
            known_case(seed, &ten, batch, SHORT);
            known_case(seed, &one, batch, SHORT);
        }
        known_case(seed, &ten, 1, LONG_TAIL);
        known_case(seed, &one, 1, LONG_TAIL);
        known_case(seed, &ten, 1, IN_BUNCHES);
        known_case(seed, &one, 1, IN_BUNCHES);
    }
}

/* A client that knows nothing and begins with 5 a second. */
static void start_unknown(struct stage *s, const struct quota *q, uint64_t seed, enum way way,
                          const struct rf_vlimit_step *step)
{
    stage_init(s, 1, seed);
    s->ep[0].start_per_s = 5;
    set_node(s, q);
    s->node[0].throttle = RF_VTHROTTLE_429_SECONDS;
    if (way == IN_BUNCHES)
        s->node[0].travel = bunches;
    stage_start(s);
    s->node[0].own.step = step;
    s->node[0].own.n_steps = step != NULL ? 1 : 0;
}

void bar_unknown_quota(uint64_t seed)
{
    static const struct {
        uint64_t count, window_s;
    } rates[] = {{100, 10}, {50, 1}, {200, 1}};
    for (uint32_t i = 0; i < RF_COUNT(rates) * 3 * 2; i++) {
        struct quota q = {(enum rf_vlimit_kind)(RF_VLIMIT_FIXED + i % 3), rates[i / 6].count,
                          rates[i / 6].window_s};
        bool bunched = i / 3 % 2 == 1;
        struct stage s;
        char what[48];
        start_unknown(&s, &q, seed, bunched ? IN_BUNCHES : SHORT, NULL);
        stage_run(&s, MINUTE);
        struct span before = look(&s);
        stage_run(&s, 10 * MINUTE);
        struct span d = since(&s, before);
        snprintf(what, sizeof what, "%s %llu/%llu s, start 5/s%s", KINDS[q.kind],
                 (unsigned long long)q.count, (unsigned long long)q.window_s,
                 bunched ? ", bunched" : "");
        table_at_least(3, what, "goodput", 0.85, ratio((double)d.ok, per_second(&q) * 600));
        table_at_most(3, what, "refused/sent", 0.01, waste(d));
        stage_fini(&s);
    }
}

#define AFTER_S 240
#define CHANGE_S 300

/* Five minutes to learn a limit, then another one: what each second after the change brought. */
static void watch_change(uint64_t seed, enum rf_vlimit_kind kind, uint64_t then,
                         struct span second[AFTER_S])
{
    struct quota q = {kind, 50, 1};
    struct rf_vlimit_step step = {.at_ns = CHANGE_S * RF_SEC, .count = then};
    struct stage s;
    start_unknown(&s, &q, seed, SHORT, &step);
    stage_run(&s, CHANGE_S * RF_SEC);
    for (uint32_t i = 0; i < AFTER_S; i++) {
        struct span before = look(&s);
        stage_run(&s, RF_SEC);
        second[i] = since(&s, before);
    }
    stage_fini(&s);
}

static struct span sum(const struct span *second, uint32_t n)
{
    struct span d = {0};
    for (uint32_t i = 0; i < n; i++) {
        d.ok += second[i].ok;
        d.sent += second[i].sent;
        d.refused += second[i].refused;
    }
    return d;
}

void bar_limit_halves(uint64_t seed)
{
    for (int kind = RF_VLIMIT_FIXED; kind <= RF_VLIMIT_BUCKET; kind++) {
        struct span second[AFTER_S];
        char what[48];
        uint32_t calm = 0;
        watch_change(seed, (enum rf_vlimit_kind)kind, 25, second);
        while (calm < AFTER_S - 30 && waste(sum(second + calm, 30)) > 0.01)
            calm++;
        snprintf(what, sizeof what, "%s 50/1 s to 25/1 s", KINDS[kind]);
        table_at_most(4, what, "s to waste <= 1 %", 20, calm);
        table_at_most(4, what, "refused in 60 s", 30, (double)sum(second, 60).refused);
    }
}

void bar_limit_doubles(uint64_t seed)
{
    for (int kind = RF_VLIMIT_FIXED; kind <= RF_VLIMIT_BUCKET; kind++) {
        struct span second[AFTER_S];
        char what[48];
        uint32_t there = 0;
        watch_change(seed, (enum rf_vlimit_kind)kind, 100, second);
        while (there < AFTER_S - 5 && (double)sum(second + there, 5).ok < 0.9 * 100 * 5)
            there++;
        snprintf(what, sizeof what, "%s 50/1 s to 100/1 s", KINDS[kind]);
        table_at_most(5, what, "s to 90 %", 90, there);
    }
}
