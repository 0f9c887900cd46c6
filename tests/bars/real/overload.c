/* overload.c - bars 13 and 14: ten times what the limit allows for minutes, and deadlines under
 * three times the limit. The node of bar 13 is a process of its own, so that memory is ours. */
#include <stdio.h>
#include <stdlib.h>

#include "bars.h"

#define RATE_13 200
#define RATE_14 200
#define RUN_14_S 40

/* Memory once a second. */
struct memory {
    uint64_t rss[CROWD_SECONDS];
};

static void note_memory(struct crowd *c, unsigned second)
{
    struct memory *m = c->arg;
    if (second < CROWD_SECONDS)
        m->rss[second] = bars_rss();
}

void bars_overload(void)
{
    struct crowd *c = bars_alloc(1, sizeof *c);
    struct memory *m = bars_alloc(1, sizeof *m);
    struct child child;
    char script[160], name[64];
    unsigned run_s = (unsigned)(bars_minutes * 60), from_s = run_s / 5, last_s = run_s - 1;
    snprintf(script, sizeof script,
             "transit exp 20ms\nlatency exp 20ms\nrate %u/10s kind=sliding retry-after=seconds\n",
             RATE_13 * 10);
    child_start(&child, script);
    crowd_init(c, "overload", 1);
    c->url[0] = child.url;
    c->limit = (struct rpcfan_limit){.count = RATE_13 * 10, .window_ms = 10000};
    c->endpoint[0].in_flight = 64;
    c->per_s = 10 * RATE_13;
    c->run_ns = run_s * RF_SEC;
    c->each_second = note_memory;
    c->arg = m;
    crowd_run(c);
    snprintf(name, sizeof name, "10 times the limit for %.3g min", bars_minutes);
    double grown = ((double)m->rss[last_s] - (double)m->rss[from_s]) / (double)m->rss[from_s];
    bars_at_most("13", name, "memory growth, %", 5, 100 * grown);
    bars_at_most("13", name, "calls waiting", (double)c->options.pending_calls,
                 (double)c->most_waiting);
    bars_at_least("13", name, "good answers of the limit", 0.95 * 0.95,
                  (double)crowd_ok(c, from_s, last_s) / ((double)RATE_13 * (last_s - from_s)));
    bars_note("%.1f MiB at %u s, %.1f MiB at %u s; %llu calls offered, %llu turned away, "
              "%llu ran out of time",
              (double)m->rss[from_s] / 1048576, from_s, (double)m->rss[last_s] / 1048576, last_s,
              (unsigned long long)(c->started + c->busy), (unsigned long long)c->busy,
              (unsigned long long)c->by_err[RPCFAN_EDEADLINE]);
    crowd_fini(c);
    child_stop(&child);
    free(c);
    free(m);
}

void bars_deadline(void)
{
    struct crowd *c = bars_alloc(1, sizeof *c);
    static const char name[] = "deadlines .2-5 s, 3 times the limit";
    uint64_t sent, late, worst_ns;
    char script[160];
    snprintf(script, sizeof script,
             "transit exp 20ms\nlatency exp 20ms\nrate %u/1s kind=bucket retry-after=seconds\n",
             RATE_14);
    crowd_init(c, "deadline", 1);
    c->script[0] = script;
    c->limit = (struct rpcfan_limit){.count = RATE_14, .window_ms = 1000};
    c->endpoint[0].in_flight = 64;
    c->per_s = 3 * RATE_14;
    c->run_ns = RUN_14_S * RF_SEC;
    c->deadline_lo_ms = 200;
    c->deadline_hi_ms = 5000;
    c->keep = c->drain = true;
    shim_watch_sends(true);
    crowd_run(c);
    shim_watch_sends(false);
    shim_sends(&sent, &late, &worst_ns);
    if (sent < c->ok)
        bars_die("the shim sees no sends");
    uint64_t p99 = bars_quantile(c->late_ns, c->n_late, 0.99);
    bars_at_most("14", name, "sends past the deadline", 0, (double)late);
    bars_at_most("14", name, "callback late, p99, ms", 10, (double)p99 / 1e6);
    bars_note("%llu calls taken and %llu turned away, %llu answered well, %llu out of time; "
              "%llu sends, the latest %.2f ms late; callbacks at most %.1f ms late",
              (unsigned long long)c->started, (unsigned long long)c->busy,
              (unsigned long long)c->ok, (unsigned long long)c->n_late, (unsigned long long)sent,
              (double)worst_ns / 1e6, (double)bars_quantile(c->late_ns, c->n_late, 1) / 1e6);
    crowd_fini(c);
    free(c);
}
