/* method.c - methods: an open-addressed table from name to class queue and write protection.
 *
 * Methods that fall under the same windows at the same weight on every endpoint share one FIFO, so
 * a class that is blocked by its own window never holds up another. The table is bounded: past
 * that, a method is worked out anew each time. */
#include "core/method.h"

#include <string.h>

#include "base/mem.h"

/* Methods whose effect must not happen twice. Raw signed sends are not here: the same bytes have
 * the same hash, so the chain itself drops the second. */
static const char *const once_everywhere[] = {
    "eth_sendTransaction",
    "eth_newFilter",
    "eth_newBlockFilter",
    "eth_newPendingTransactionFilter",
    "eth_getFilterChanges",
    "eth_subscribe",
    "eth_signTransaction",
    "eth_submitWork",
    "personal_*",
    "wallet_*",
    "miner_*",
    "admin_*",
    "debug_setHead",
    "engine_*",
    "evm_*",
    "anvil_*",
    "hardhat_*",
    "requestAirdrop",
};

static uint64_t hash(const char *s, size_t n)
{
    uint64_t h = UINT64_C(1469598103934665603);
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * UINT64_C(1099511628211);
    return h ^ (h >> 29);
}

static bool copy_limits(struct rf_method_rules *r, uint32_t e,
                        const struct rpcfan_endpoint_options *o)
{
    for (size_t w = 0; w < o->n_limits; w++) {
        for (size_t m = 0; m < o->limits[w].n_methods; m++) {
            void *grown = rf_realloc(r->limit, (r->n_limits + 1) * sizeof r->limit[0]);
            if (grown == NULL)
                return false;
            r->limit = grown;
            r->limit[r->n_limits].endpoint = e;
            r->limit[r->n_limits].window = (uint32_t)w;
            r->limit[r->n_limits].pattern = rf_strdup(o->limits[w].methods[m]);
            if (r->limit[r->n_limits++].pattern == NULL)
                return false;
        }
    }
    return true;
}

static bool copy_weights(struct rf_method_rules *r, uint32_t e,
                         const struct rpcfan_endpoint_options *o)
{
    for (size_t w = 0; w < o->n_weights; w++) {
        void *grown = rf_realloc(r->weight, (r->n_weights + 1) * sizeof r->weight[0]);
        if (grown == NULL)
            return false;
        r->weight = grown;
        r->weight[r->n_weights].endpoint = e;
        r->weight[r->n_weights].weight = o->weights[w].weight;
        r->weight[r->n_weights].pattern = rf_strdup(o->weights[w].method);
        if (r->weight[r->n_weights++].pattern == NULL)
            return false;
    }
    return true;
}

static bool copy_once(struct rf_method_rules *r, const struct rpcfan_network_options *o)
{
    if (o->n_once == 0)
        return true;
    r->once = rf_alloc(o->n_once * sizeof r->once[0]);
    if (r->once == NULL)
        return false;
    for (size_t i = 0; i < o->n_once; i++) {
        r->once[r->n_once] = rf_strdup(o->once[i]);
        if (r->once[r->n_once++] == NULL)
            return false;
    }
    return true;
}

bool rf_method_init(struct rf_network *net, const struct rpcfan_network_options *o)
{
    net->method = rf_alloc(RF_METHOD_SLOTS * sizeof net->method[0]);
    net->cq = rf_alloc(RF_CLASS_QUEUES_MAX * sizeof net->cq[0]);
    if (net->method == NULL || net->cq == NULL || !copy_once(&net->rules, o))
        return false;
    for (uint32_t e = 0; e < o->n_endpoints; e++) {
        if (!copy_limits(&net->rules, e, &o->endpoints[e]) ||
            !copy_weights(&net->rules, e, &o->endpoints[e]))
            return false;
    }
    return true;
}

void rf_method_fini(struct rf_network *net)
{
    struct rf_method_rules *r = &net->rules;
    for (uint32_t i = 0; i < r->n_limits; i++)
        rf_free(r->limit[i].pattern);
    for (uint32_t i = 0; i < r->n_weights; i++)
        rf_free(r->weight[i].pattern);
    for (uint32_t i = 0; i < r->n_once; i++)
        rf_free(r->once[i]);
    rf_free(r->limit);
    rf_free(r->weight);
    rf_free(r->once);
    for (uint32_t i = 0; i < net->n_cq; i++)
        rf_free(net->cq[i].cost);
    rf_free(net->cq);
    rf_free(net->method);
}

/* Windows without methods hold for all; a window with methods holds where one matches. */
static struct rf_cost cost_at(const struct rf_network *net, uint32_t e, struct rpcfan_slice name)
{
    const struct rf_method_rules *r = &net->rules;
    struct rf_cost cost = {.mask = 0, .weight = 1};
    uint32_t named = 0, hit = 0;
    for (uint32_t i = 0; i < r->n_limits; i++) {
        if (r->limit[i].endpoint != e)
            continue;
        named |= 1u << r->limit[i].window;
        if (rf_pattern_match(r->limit[i].pattern, name.data, name.len))
            hit |= 1u << r->limit[i].window;
    }
    uint32_t all = (uint32_t)((UINT64_C(1) << net->ep[e].limiter.n) - 1);
    cost.mask = (all & ~named) | hit;
    for (uint32_t i = 0; i < r->n_weights; i++) {
        if (r->weight[i].endpoint != e ||
            !rf_pattern_match(r->weight[i].pattern, name.data, name.len))
            continue;
        cost.weight = r->weight[i].weight;
        if (strchr(r->weight[i].pattern, '*') == NULL)
            break; /* a full name beats a prefix */
    }
    return cost;
}

static bool same_cost(const struct rf_cost *a, const struct rf_cost *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (a[i].mask != b[i].mask || a[i].weight != b[i].weight)
            return false;
    }
    return true;
}

static enum rpcfan_err find_class(struct rf_network *net, struct rpcfan_slice name, uint32_t *ix)
{
    struct rf_cost *cost = rf_alloc(net->n_ep * sizeof *cost);
    if (cost == NULL)
        return RPCFAN_ENOMEM;
    for (uint32_t e = 0; e < net->n_ep; e++)
        cost[e] = cost_at(net, e, name);
    for (uint32_t i = 0; i < net->n_cq; i++) {
        if (same_cost(net->cq[i].cost, cost, net->n_ep)) {
            rf_free(cost);
            *ix = i;
            return RPCFAN_OK;
        }
    }
    if (net->n_cq == RF_CLASS_QUEUES_MAX) {
        rf_free(cost);
        return RPCFAN_EINVAL;
    }
    struct rf_class_queue *q = &net->cq[net->n_cq];
    rf_list_init(&q->retry);
    rf_list_init(&q->fresh);
    q->cost = cost;
    *ix = net->n_cq++;
    return RPCFAN_OK;
}

static bool is_once(const struct rf_network *net, struct rpcfan_slice name)
{
    for (size_t i = 0; i < RF_COUNT(once_everywhere); i++) {
        if (rf_pattern_match(once_everywhere[i], name.data, name.len))
            return true;
    }
    for (uint32_t i = 0; i < net->rules.n_once; i++) {
        if (rf_pattern_match(net->rules.once[i], name.data, name.len))
            return true;
    }
    return false;
}

static bool is_named(const struct rf_method *m, struct rpcfan_slice name)
{
    return m->len == name.len && memcmp(m->name, name.data, name.len) == 0;
}

/* The slot that holds a name, or the free one where it belongs: there is always a free one. */
static struct rf_method *find_slot(struct rf_network *net, struct rpcfan_slice name)
{
    uint64_t at = hash(name.data, name.len) % RF_METHOD_SLOTS;
    while (net->method[at].len != 0 && !is_named(&net->method[at], name))
        at = (at + 1) % RF_METHOD_SLOTS;
    return &net->method[at];
}

enum rpcfan_err rf_method_find(struct rf_network *net, struct rpcfan_slice name,
                               struct rf_method_kind *out)
{
    if (net->last_method != NULL && is_named(net->last_method, name)) {
        *out = net->last_method->kind;
        return RPCFAN_OK;
    }
    struct rf_method *m = find_slot(net, name);
    if (m->len == 0) {
        out->once = is_once(net, name);
        enum rpcfan_err e = find_class(net, name, &out->class_ix);
        if (e != RPCFAN_OK)
            return e;
        if (name.len > sizeof m->name || net->n_methods >= RF_METHOD_SLOTS / 2)
            return RPCFAN_OK;
        memcpy(m->name, name.data, name.len);
        m->len = (uint32_t)name.len;
        m->kind = *out;
        net->n_methods++;
    }
    *out = m->kind;
    net->last_method = m;
    return RPCFAN_OK;
}
