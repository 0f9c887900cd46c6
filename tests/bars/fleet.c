/* fleet.c - many clients on one key that nobody divided: what becomes of it.
 *
 *   fleet [-s SEED] [-m MINUTES] [-n CLIENTS] [-k fixed|sliding|bucket] [-c CONFIG]
 *
 * A provider grants 200 calls a second for the key, counted over one second (fixed windows), ten
 * seconds (sliding log) or as a bucket. 1, 10, 100 or 1,000 clients, each with more to ask than
 * there is, share it for ten virtual minutes after one of warm-up. They are configured with the
 * whole limit ("whole"), with none, starting at 5 calls a second ("learn-5"), or with nothing at
 * all ("learn"). CSV on stdout: good answers over what the key grants, calls refused over calls
 * sent, and Jain's index over the clients' good answers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "stage.h"

#define RATE 200

static const struct {
    const char *name;
    enum rf_vlimit_kind kind;
    uint64_t window_s;
} limits[] = {
    {"fixed", RF_VLIMIT_FIXED, 1},
    {"sliding", RF_VLIMIT_SLIDING, 10},
    {"bucket", RF_VLIMIT_BUCKET, 1},
};

static const char *const configs[] = {"whole", "learn-5", "learn"};
static const uint32_t sizes[] = {1, 10, 100, 1000};

struct study {
    uint64_t seed, minutes;
    uint32_t limit, config, clients;
};

static void set_options(const struct study *t, struct stage *s, struct rpcfan_limit *limit)
{
    uint32_t backlog = t->clients < 32 ? 512 / t->clients : 16;
    limit->count = RATE * limits[t->limit].window_s;
    limit->window_ms = 1000 * limits[t->limit].window_s;
    if (t->config == 0) {
        s->ep[0].limits = limit;
        s->ep[0].n_limits = 1;
    }
    s->ep[0].start_per_s = t->config == 1 ? 5 : 0;
    s->o.pending_calls = 2 * backlog;
    s->load.backlog = backlog;
    s->load.life_ns = 10 * MINUTE;
    s->node[0].limit = limits[t->limit].kind;
    s->node[0].limit_count = limit->count;
    s->node[0].limit_window_ns = limits[t->limit].window_s * RF_SEC;
    s->node[0].throttle = RF_VTHROTTLE_429_SECONDS;
    s->w.node = s->node;
    s->w.n_nodes = 1;
}

/* Good answers of each client. */
static void count_ok(const struct rf_vworld *w, double *ok, double sign)
{
    for (uint32_t i = 0; i < w->n_clients; i++)
        ok[i] += sign * (double)w->client[i].book.ok;
}

static void fail(const char *why)
{
    fprintf(stderr, "fleet: %s\n", why);
    exit(2);
}

/* Clients join one after another within ten seconds. */
static void join(struct stage *s, uint32_t n)
{
    struct rpcfan_error err;
    for (uint32_t i = 0; i < n; i++) {
        rf_vworld_run(&s->w, 10 * RF_SEC * i / n);
        if (rf_vworld_add(&s->w, &s->o, &s->load, &err) == NULL)
            fail(err.text);
    }
}

static void play(const struct study *t)
{
    static struct stage s;
    struct rpcfan_limit limit = {0};
    double *ok = rf_alloc(t->clients * sizeof *ok), sum = 0;
    clock_t start = clock();
    stage_init(&s, 1, t->seed);
    set_options(t, &s, &limit);
    if (ok == NULL || !rf_vnode_init(&s.node[0], t->seed) ||
        !rf_vworld_init(&s.w, t->clients, t->seed))
        fail("out of memory");
    join(&s, t->clients);
    rf_vworld_run(&s.w, MINUTE);
    uint64_t sent = s.node[0].calls, refused = s.node[0].throttled;
    count_ok(&s.w, ok, -1);
    rf_vworld_run(&s.w, MINUTE + t->minutes * MINUTE);
    count_ok(&s.w, ok, 1);
    for (uint32_t i = 0; i < t->clients; i++)
        sum += ok[i];
    sent = s.node[0].calls - sent;
    refused = s.node[0].throttled - refused;
    printf("%s,%s,%u,%.4f,%.4f,%.4f,%llu,%llu\n", limits[t->limit].name, configs[t->config],
           t->clients, sum / (RATE * 60.0 * (double)t->minutes),
           ratio((double)refused, (double)sent), rf_jain(ok, t->clients), (unsigned long long)sent,
           (unsigned long long)refused);
    fflush(stdout);
    rf_vworld_close(&s.w, RPCFAN_CLOSE_NOW);
    struct rf_vbook b = rf_vworld_sum(&s.w);
    if (b.answered != b.submitted || b.wrong + b.twice > 0 || !rf_vworld_settled(&s.w))
        fail("calls were lost, wrong or answered twice");
    double cpu = (double)(clock() - start) / CLOCKS_PER_SEC;
    fprintf(stderr, "%-8s %-8s %5u clients: %6.1f s of CPU, %.2f us a call sent\n",
            limits[t->limit].name, configs[t->config], t->clients, cpu,
            1e6 * cpu / (double)rf_max_u64(b.sent, 1));
    rf_vworld_fini(&s.w);
    rf_vnode_fini(&s.node[0]);
    rf_free(ok);
}

int main(int argc, char **argv)
{
    struct study t = {.seed = 1, .minutes = 10};
    const char *kind = NULL, *config = NULL;
    uint32_t clients = 0;
    int opt;
    while ((opt = getopt(argc, argv, "s:m:n:k:c:")) != -1) {
        if (opt == 's')
            t.seed = strtoull(optarg, NULL, 10);
        else if (opt == 'm')
            t.minutes = strtoull(optarg, NULL, 10);
        else if (opt == 'n')
            clients = (uint32_t)strtoul(optarg, NULL, 10);
        else if (opt == 'k')
            kind = optarg;
        else if (opt == 'c')
            config = optarg;
        else
            return 2;
    }
    printf("limit,config,clients,goodput,waste,jain,sent,refused\n");
    for (t.limit = 0; t.limit < RF_COUNT(limits); t.limit++) {
        for (t.config = 0; t.config < RF_COUNT(configs); t.config++) {
            for (uint32_t i = 0; i < RF_COUNT(sizes); i++) {
                t.clients = sizes[i];
                if ((kind == NULL || strcmp(kind, limits[t.limit].name) == 0) &&
                    (config == NULL || strcmp(config, configs[t.config]) == 0) &&
                    (clients == 0 || clients == t.clients))
                    play(&t);
            }
        }
    }
    return 0;
}
