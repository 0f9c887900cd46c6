/* facts.c - takes in what an earlier client learned (the writing side is in status.c), and says how
 * long a new call would wait.
 *
 * A fact is a starting point, not a setting: it tightens what is configured, and whatever teaches
 * otherwise afterwards counts as usual. */
#include <string.h>

#include "core/core.h"
#include "core/endpoint.h"
#include "core/method.h"
#include "core/state.h"

static struct rf_endpoint *find(struct rf_core *core, const struct rf_fact *f,
                                struct rf_network **out)
{
    for (uint32_t i = 0; i < core->n_net; i++) {
        struct rf_network *net = &core->net[i];
        if (strcmp(net->name, f->network) != 0)
            continue;
        for (uint32_t e = 0; e < net->n_ep; e++) {
            *out = net;
            if (strcmp(net->ep[e].name, f->endpoint) == 0)
                return &net->ep[e];
        }
    }
    return NULL;
}

/* The method's slot; RF_METHOD_NONE where the table is full. */
static uint32_t slot_of(struct rf_network *net, struct rpcfan_slice method)
{
    struct rf_method_kind m = {.method_ix = RF_METHOD_NONE};
    return rf_method_find(net, method, &m) == RPCFAN_OK ? m.method_ix : RF_METHOD_NONE;
}

static void learn_range(struct rf_network *net, struct rf_endpoint *ep, const struct rf_fact *f)
{
    uint32_t ix = slot_of(net, f->method);
    if (ix == RF_METHOD_NONE || ep->n_ranges == RF_RANGE_FACTS || f->value == 0)
        return;
    struct rf_range_fact *r = &ep->range[ep->n_ranges++];
    *r = (struct rf_range_fact){.method_ix = ix};
    r->cap.cap = f->value;
    r->cap.refused = f->value + 1;
}

static void learn_absent(struct rf_network *net, const struct rf_endpoint *ep,
                         const struct rf_fact *f, uint64_t now_ns)
{
    uint32_t ix = slot_of(net, f->method);
    if (ix == RF_METHOD_NONE || f->value == 0)
        return;
    struct rf_method *m = &net->method[ix];
    m->absent |= UINT64_C(1) << ep->index;
    m->absent_until_ns = rf_max_u64(m->absent_until_ns, rf_time_add(now_ns, f->value));
}

void rf_core_learn(struct rf_core *core, const struct rf_fact *f, uint64_t now_ns)
{
    struct rf_network *net;
    struct rf_endpoint *ep = find(core, f, &net);
    if (ep == NULL || f->value == 0)
        return;
    switch (f->kind) {
    case RF_FACT_BATCH:
        rf_batchcap_learned(&ep->batch, f->value, 0);
        break;
    case RF_FACT_BATCH_BYTES:
        rf_batchcap_learned(&ep->batch, 0, f->value);
        break;
    case RF_FACT_INPUTS:
        ep->inputs_max = (uint32_t)rf_min_u64(f->value, UINT32_MAX);
        break;
    case RF_FACT_RANGE:
        learn_range(net, ep, f);
        break;
    case RF_FACT_ABSENT:
        learn_absent(net, ep, f, now_ns);
        break;
    }
}

/* What may leave in a second over all endpoints; 0: not known of one of them. */
static double sum_per_s(const struct rf_network *net)
{
    double sum = 0;
    for (uint32_t i = 0; i < net->n_ep; i++) {
        double r = rf_endpoint_per_s(&net->ep[i]);
        if (r <= 0)
            return 0;
        sum += r;
    }
    return sum;
}

uint64_t rf_core_wait(const struct rf_core *core, uint32_t network, uint64_t now_ns)
{
    const struct rf_network *net = &core->net[network];
    uint64_t rtt_ns = RF_NEVER;
    if (net->queued == 0)
        return 0;
    for (uint32_t i = 0; i < net->n_ep; i++)
        rtt_ns = rf_min_u64(rtt_ns, net->ep[i].rtt_p50_ns);
    return rf_admit_wait(&net->admit, net->queued, sum_per_s(net), rtt_ns, now_ns);
}
