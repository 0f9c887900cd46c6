/* stage.c - one client and its nodes. */
#include "stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

static void give_up(const struct stage *s, const char *why)
{
    fprintf(stderr, "bars: seed %llu: %s\n", (unsigned long long)s->seed, why);
    exit(2);
}

void stage_init(struct stage *s, uint32_t n_ep, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    s->seed = seed;
    rf_rng_init(&s->rng, seed);
    rpcfan_options_init(&s->o);
    rpcfan_network_options_init(&s->net);
    s->o.networks = &s->net;
    s->o.n_networks = 1;
    s->net.family = RPCFAN_EVM;
    s->net.endpoints = s->ep;
    s->net.n_endpoints = n_ep;
    for (uint32_t i = 0; i < STAGE_EPS; i++) {
        rpcfan_endpoint_options_init(&s->ep[i]);
        s->ep[i].batch = 1;
        s->ep[i].in_flight = 64;
        s->node[i].travel = (struct rf_vdist){
            .kind = RF_VDIST_UNIFORM, .base_ns = 40 * RF_MS, .span_ns = 30 * RF_MS};
        s->node[i].retry_after_ns = RF_NEVER;
    }
    s->load.life_ns = 10 * RF_SEC;
}

void stage_start(struct stage *s)
{
    struct rpcfan_error err;
    s->w.node = s->node;
    s->w.n_nodes = STAGE_EPS;
    for (uint32_t i = 0; i < STAGE_EPS; i++) {
        if (!rf_vnode_init(&s->node[i], s->seed * 97 + i))
            give_up(s, "out of memory");
        s->node[i].own.phase_ns = rf_rng_below(&s->rng, RF_SEC);
    }
    if (!rf_vworld_init(&s->w, 1, s->seed))
        give_up(s, "out of memory");
    s->client = rf_vworld_add(&s->w, &s->o, &s->load, &err);
    if (s->client == NULL)
        give_up(s, err.text);
}

void stage_run(struct stage *s, uint64_t for_ns)
{
    rf_vworld_run(&s->w, s->w.now_ns + for_ns);
}

void stage_offer(struct stage *s, double per_s)
{
    s->client->load.per_s = per_s;
    rf_vworld_touch(s->client);
}

const struct rf_vbook *stage_book(const struct stage *s)
{
    return &s->client->book;
}

struct rf_endpoint *stage_ep(const struct stage *s, uint32_t i)
{
    return &rf_vshell_core(s->client->shell)->net[0].ep[i];
}

uint64_t stage_throttled(const struct stage *s)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < s->net.n_endpoints; i++)
        n += s->node[i].throttled;
    return n;
}

void stage_fini(struct stage *s)
{
    rf_vworld_close(&s->w, RPCFAN_CLOSE_NOW);
    const struct rf_vbook *b = stage_book(s);
    if (b->answered != b->submitted)
        give_up(s, "calls were lost");
    if (b->wrong + b->twice > 0)
        give_up(s, "calls were answered wrongly or twice");
    if (!rf_vworld_settled(&s->w))
        give_up(s, "what was taken is not all given back");
    rf_vworld_fini(&s->w);
    for (uint32_t i = 0; i < STAGE_EPS; i++)
        rf_vnode_fini(&s->node[i]);
}
