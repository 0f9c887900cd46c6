/* node_service.c - how long things take: the way to the limits, the wait for a worker, the service;
 * and what was seen in each second. Called by node_rpc.c and node_conn.c.
 *
 * Workers need no queue of their own: a request's end is known when it comes. With two workers and
 * 50 ms each, requests at 0, 1 and 2 ms end at 50, 51 and 100 ms: the third waits for the first
 * worker. */
#include "sim/node_int.h"

#include <math.h>

static uint64_t draw(struct rf_node *node, const struct rf_node_latency *l)
{
    double u = (double)(rf_rng_next(&node->conf->rng) >> 11) / 9007199254740992.0;
    switch (l->kind) {
    case RF_LATENCY_FIXED:
        return l->a_ns;
    case RF_LATENCY_UNIFORM:
        return l->a_ns + (uint64_t)(u * (double)(l->b_ns - l->a_ns));
    case RF_LATENCY_EXP:
        return (uint64_t)(-log1p(-u) * (double)l->a_ns);
    }
    return 0;
}

/* Whether a line with p= holds this time. */
static bool holds(struct rf_node *node, const struct rf_node_latency *l)
{
    return l->chance >= UINT64_C(1) << 53 || (rf_rng_next(&node->conf->rng) >> 11) < l->chance;
}

/* Each rule that some member falls under is drawn once; the slowest rule decides. */
static uint64_t latency_of(struct rf_node *node)
{
    struct rf_node_work *w = &node->work;
    uint64_t slowest = w->sleep_ns;
    for (unsigned i = 0; i < node->conf->n_latency; i++) {
        const struct rf_node_latency *l = &node->conf->latency[i];
        unsigned n = rf_node_matches(l->path, w->path) ? rf_node_members_of(w, l->method) : 0;
        if (n > 0 && holds(node, l))
            slowest = rf_max_u64(slowest, draw(node, l) + n * l->each_ns);
    }
    return slowest;
}

uint64_t rf_node_service(struct rf_node *node)
{
    struct rf_node_work *w = &node->work;
    uint64_t service_ns = latency_of(node);
    for (unsigned i = 0; i < node->conf->n_pool; i++) {
        struct rf_node_pool *p = &node->conf->pool[i];
        if (rf_node_members_of(w, p->method) == 0)
            continue;
        uint64_t *first = &p->free_ns[0];
        for (unsigned k = 1; k < p->n; k++)
            first = p->free_ns[k] < *first ? &p->free_ns[k] : first;
        *first = rf_time_add(rf_max_u64(*first, w->now_ns), service_ns);
        return *first - w->now_ns;
    }
    return service_ns;
}

uint64_t rf_node_transit(struct rf_node *node)
{
    uint64_t longest = 0;
    for (unsigned i = 0; i < node->conf->n_transit; i++)
        if (holds(node, &node->conf->transit[i]))
            longest = rf_max_u64(longest, draw(node, &node->conf->transit[i]));
    return longest;
}

void rf_node_second_add(struct rf_node *node, uint64_t members, uint64_t refused, bool whole)
{
    uint64_t at = rf_time_sub(node->work.now_ns, node->began_ns) / RF_SEC;
    if (at >= RF_NODE_SECONDS)
        return;
    rf_node_bump(&node->second[at].requests, 1);
    rf_node_bump(&node->second[at].refused_requests, whole);
    rf_node_bump(&node->second[at].admitted, members - refused);
    rf_node_bump(&node->second[at].refused, refused);
}
