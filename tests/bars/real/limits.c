/* limits.c - bars 1 to 4: limits known and unknown, and one that is halved, against every kind of
 * limiter at once, each pair of client and node in threads of its own.
 *
 * The way to the limits takes 40 ms on average and as much again back, both exponential: requests
 * overtake one another and arrive in bunches, which is what makes windows overflow. */
#include <stdio.h>
#include <stdlib.h>

#include "bars.h"

#define RUN_S 210
#define FROM_S                                                                                     \
    60 /* the bars are about minute 2 and after: the first one is for finding the rate             \
        */
#define HALVED_S 90
/* A refusal that asks for a whole second, where windows last one, is dear; it is the node's wish.
 * Of 150 s each is 0.7 %; in the ten minutes of `make bars` nothing has to be allowed for. */
#define SECONDS_COST 0.02
#define WAY "transit exp 40ms\nlatency exp 40ms\n"

static const char *const kinds[] = {"fixed", "sliding", "bucket"};

struct setting {
    unsigned bar; /* 1: known, 3: unknown, 4: unknown and halved */
    unsigned count, window_s, kind;
    bool bare; /* refusals without Retry-After */
};

static const struct setting settings[] = {
    {1, 100, 10, 0, 0}, {1, 100, 10, 1, 0}, {1, 100, 10, 2, 0}, {1, 50, 1, 0, 1},
    {1, 50, 1, 1, 1},   {1, 50, 1, 2, 1},   {1, 50, 1, 0, 0},   {1, 50, 1, 1, 0},
    {1, 50, 1, 2, 0},   {3, 100, 10, 0, 0}, {3, 100, 10, 1, 0}, {3, 100, 10, 2, 0},
    {3, 50, 1, 0, 0},   {3, 50, 1, 1, 0},   {3, 50, 1, 2, 0},   {3, 200, 1, 0, 0},
    {3, 200, 1, 1, 0},  {3, 200, 1, 2, 0},  {4, 100, 10, 0, 0}, {4, 50, 1, 0, 0},
    {4, 50, 1, 1, 0},   {4, 50, 1, 2, 0},
};

#define N RF_COUNT(settings)

static void set_up(struct crowd *c, const struct setting *s, char *script, size_t room)
{
    const char *kind = kinds[s->kind];
    int n = snprintf(script, room, WAY "rate %u/%us kind=%s retry-after=%s", s->count, s->window_s,
                     kind, s->bare ? "none" : "seconds");
    if (s->bar == 4)
        snprintf(script + n, room - (size_t)n,
                 " to=%us\nrate %u/%us kind=%s retry-after=seconds from=%us", HALVED_S,
                 s->count / 2, s->window_s, kind, HALVED_S);
    crowd_init(c, "limits", 1);
    c->script[0] = script;
    c->endpoint[0].in_flight = 64;
    c->backlog = 12 * s->count / s->window_s;
    c->run_ns = RUN_S * RF_SEC;
    if (s->bar == 1)
        c->limit = (struct rpcfan_limit){.count = s->count, .window_ms = s->window_s * 1000};
    else
        c->endpoint[0].start_per_s = 5;
}

static double waste(struct rf_node_second s)
{
    return s.requests == 0 ? 0 : 100.0 * (double)s.refused_requests / (double)s.requests;
}

static double goodput(const struct crowd *c, const struct setting *s)
{
    double rate = (double)s->count / s->window_s;
    return (double)crowd_ok(c, FROM_S, RUN_S) / (rate * (RUN_S - FROM_S));
}

static void judge_known(const struct crowd *c, const struct setting *s, const char *name)
{
    struct rf_node_second all = crowd_sum(c, 0, FROM_S, RUN_S);
    double least = s->window_s > 2 ? 0.95 : s->bare ? 0.90 : 0.90 - SECONDS_COST;
    bars_at_least("1", name, "good answers of the limit", least, goodput(c, s));
    bars_at_most("2", name, "refused requests, %", s->window_s > 2 ? 0 : 1, waste(all));
}

static void judge_unknown(const struct crowd *c, const struct setting *s, const char *name)
{
    struct rf_node_second all = crowd_sum(c, 0, FROM_S, RUN_S), first = crowd_sum(c, 0, 0, FROM_S);
    bars_at_least("3", name, "good answers of the limit", 0.85, goodput(c, s));
    bars_at_most("3", name, "refused requests, %", 1, waste(all));
    bars_note("in the first %d s: %llu of %llu requests refused", FROM_S,
              (unsigned long long)first.refused_requests, (unsigned long long)first.requests);
}

static void judge_halved(const struct crowd *c, const char *name)
{
    unsigned after = 0;
    while (HALVED_S + after + 30 < RUN_S &&
           waste(crowd_sum(c, 0, HALVED_S + after, HALVED_S + after + 30)) > 1)
        after++;
    struct rf_node_second minute = crowd_sum(c, 0, HALVED_S, HALVED_S + 60);
    struct rf_node_second before = crowd_sum(c, 0, FROM_S, HALVED_S);
    bars_at_most("4", name, "s until waste is <= 1 %", 20, after);
    bars_at_most("4", name, "refused requests in 60 s", 30, (double)minute.refused_requests);
    bars_note("%llu answers in the %d s before, %llu in the 60 s after",
              (unsigned long long)before.admitted, HALVED_S - FROM_S,
              (unsigned long long)minute.admitted);
}

void bars_limits(void)
{
    struct crowd *c = bars_alloc(N, sizeof *c);
    static char script[N][400];
    for (size_t i = 0; i < N; i++) {
        set_up(&c[i], &settings[i], script[i], sizeof script[i]);
        crowd_nodes(&c[i]);
    }
    crowd_run_all(c, N);
    for (size_t i = 0; i < N; i++) {
        const struct setting *s = &settings[i];
        char name[64];
        snprintf(name, sizeof name, "%s, %u/%us %s%s",
                 s->bar == 1   ? "limit known"
                 : s->bar == 3 ? "limit unknown"
                               : "limit halves",
                 s->count, s->window_s, kinds[s->kind], s->bare ? ", bare 429" : "");
        if (s->bar == 1)
            judge_known(&c[i], s, name);
        else if (s->bar == 3)
            judge_unknown(&c[i], s, name);
        else
            judge_halved(&c[i], name);
        if (c[i].wrong > 0)
            bars_die("%s: %llu answers to other questions", name, (unsigned long long)c[i].wrong);
        crowd_fini(&c[i]);
    }
    free(c);
}
