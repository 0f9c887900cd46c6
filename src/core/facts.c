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
    uint32_t at = 0;
    while (at < ep->n_ranges && ep->range[at].method_ix != ix)
        at++;
    if (ix == RF_METHOD_NONE || at == RF_RANGE_FACTS)
        return;
    struct rf_range_fact *r = &ep->range[at];
    if (at == ep->n_ranges) {
        ep->n_ranges++;
        *r = (struct rf_range_fact){.method_ix = ix};
    }
    if (r->cap.cap != 0 && r->cap.cap <= f->value)
        return; /* what it knows is tighter */
    r->cap.cap = f->value;
    r->cap.proven = rf_min_u64(r->cap.proven, f->value);
    r->cap.refused = rf_time_add(f->value, 1);
}

static void learn_absent(struct rf_network *net, const struct rf_endpoint *ep,
                         const struct rf_fact *f, uint64_t now_ns)
{
    uint32_t ix = slot_of(net, f->method);
    if (ix == RF_METHOD_NONE)
        return;
    struct rf_method *m = &net->method[ix];
    if (now_ns >= m->absent_until_ns)
        m->absent = 0;
    m->absent |= UINT64_C(1) << ep->index;
    uint64_t until_ns = rf_time_add(now_ns, rf_min_u64(f->value, RF_ABSENT_NS));
    m->absent_until_ns = rf_max_u64(m->absent_until_ns, until_ns);
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

/* What may leave in a second over an endpoint, and over those behind it that share its account; 0:
 * not known, or counted with one before it. */
static double per_s(const struct rf_network *net, uint32_t at, bool *known)
{
    const struct rf_account *a = net->ep[at].account;
    double sum = 0, shared = a != NULL ? rf_gate_per_s(&a->gate) : 0;
    for (uint32_t i = 0; i < at && a != NULL; i++) {
        if (net->ep[i].account == a)
            return 0;
    }
    bool all = true;
    for (uint32_t i = at; i < net->n_ep; i++) {
        if (i != at && (a == NULL || net->ep[i].account != a))
            continue;
        double own = rf_gate_per_s(&net->ep[i].gate);
        all = all && own > 0;
        sum += own;
    }
    *known = *known && (all || shared > 0);
    return all && (shared <= 0 || sum < shared) ? sum : shared;
}

/* What may leave in a second over all endpoints; 0: not known of one of them. */
static double sum_per_s(const struct rf_network *net)
{
    double sum = 0;
    bool known = true;
    for (uint32_t i = 0; i < net->n_ep; i++)
        sum += per_s(net, i, &known);
    return known ? sum : 0;
}

/* Calls that surely go before one submitted now, whatever its class: those of the class that is
 * best off, and as many of each other. With rules by method there may be a class that was not seen
 * yet. */
static uint64_t ahead(const struct rf_network *net)
{
    uint64_t least = UINT64_MAX, sum = 0;
    uint32_t seen = 0;
    for (uint32_t k = 0; k < net->n_cq; k++) {
        if (net->cq[k].only != 0)
            continue;
        seen++;
        least = rf_min_u64(least, net->cq[k].n);
    }
    if (seen < 2 && net->rules.n_limits + net->rules.n_weights > 0)
        return 0;
    for (uint32_t k = 0; k < net->n_cq; k++)
        sum += rf_min_u64(least, net->cq[k].n);
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
    return rf_admit_wait(&net->admit, ahead(net), sum_per_s(net), rtt_ns, now_ns);
}
