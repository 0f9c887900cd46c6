/* method.c - methods: an open-addressed table from name to class queue and write protection.
 *
 * Methods that fall under the same windows at the same weight on every endpoint share one FIFO, so
 * a class that is blocked by its own window never holds up another. The table is bounded: past
 * that, a method is worked out anew each time. */
#include "core/method.h"

#include <string.h>

#include "base/mem.h"

/* Class queues that are kept for classes of methods: pinned ones must not use all of them up. */
#define UNPINNED_MIN 64

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

/* Raw signed transactions: the same bytes have the same hash, so they may be sent again, and to
 * many; but no answer of one stands for another call's. */
static const char *const sends[] = {
    "eth_sendRawTransaction*", "eth_sendPrivateRawTransaction",
    "eth_sendBundle",          "sendRawTransaction",
    "sendTransaction",         "sendBundle",
};

#define PINNED_MAX                                                                                 \
    (RF_CLASS_QUEUES_MAX / 2) /* classes; beyond, none is made for some endpoints                  \
                               */

static uint64_t hash(const char *s, size_t n)
{
    uint64_t h = UINT64_C(1469598103934665603);
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * UINT64_C(1099511628211);
    return h ^ (h >> 29);
}

static bool add_limit(struct rf_method_rules *r, uint32_t key, uint32_t window, const char *pattern,
                      bool each)
{
    void *grown = rf_realloc(r->limit, (r->n_limits + 1) * sizeof r->limit[0]);
    if (grown == NULL)
        return false;
    r->limit = grown;
    char *copy = pattern != NULL ? rf_strdup(pattern) : NULL;
    if (pattern != NULL && copy == NULL)
        return false;
    r->limit[r->n_limits].endpoint = key;
    r->limit[r->n_limits].window = window;
    r->limit[r->n_limits].pattern = copy;
    r->limit[r->n_limits++].each = each;
    return true;
}

static bool copy_limits(struct rf_method_rules *r, uint32_t key, const struct rpcfan_limit *limits,
                        size_t n)
{
    for (size_t w = 0; w < n; w++) {
        const struct rpcfan_limit *l = &limits[w];
        if (l->n_methods == 0 && l->each && !add_limit(r, key, (uint32_t)w, NULL, true))
            return false;
        for (size_t m = 0; m < l->n_methods; m++) {
            if (!add_limit(r, key, (uint32_t)w, l->methods[m], l->each))
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
        if (!copy_limits(&net->rules, e, o->endpoints[e].limits, o->endpoints[e].n_limits) ||
            !copy_weights(&net->rules, e, &o->endpoints[e]))
            return false;
    }
    return true;
}

bool rf_method_account(struct rf_network *net, uint32_t account, const struct rpcfan_limit *limits,
                       size_t n)
{
    return copy_limits(&net->rules, RF_KEY_ACCOUNT | account, limits, n);
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
    rf_free(r->own);
    for (uint32_t i = 0; i < net->n_cq; i++) {
        rf_hedge_fini(&net->cq[i].hedge);
        rf_free(net->cq[i].price);
    }
    rf_free(net->cq);
    rf_free(net->method);
}

/* The window that a method has for itself, made on first sight. Where no more can be made, those
 * that come late share the window they would have been copied from. */
static uint32_t own_window(struct rf_method_rules *r, uint32_t key, struct rf_limiter *lim,
                           uint32_t window, struct rpcfan_slice name)
{
    for (uint32_t i = 0; i < r->n_own; i++) {
        if (r->own[i].endpoint == key && r->own[i].window == window &&
            strlen(r->own[i].method) == name.len &&
            memcmp(r->own[i].method, name.data, name.len) == 0)
            return r->own[i].made;
    }
    if (name.len >= sizeof r->own[0].method)
        return window;
    void *grown = rf_realloc(r->own, (r->n_own + 1) * sizeof r->own[0]);
    if (grown == NULL)
        return window;
    r->own = grown;
    if (!rf_limiter_clone(lim, window))
        return window;
    memset(&r->own[r->n_own], 0, sizeof r->own[0]);
    r->own[r->n_own].endpoint = key;
    r->own[r->n_own].window = window;
    r->own[r->n_own].made = lim->n - 1;
    memcpy(r->own[r->n_own].method, name.data, name.len);
    return r->own[r->n_own++].made;
}

/* Windows without methods hold for all; a window with methods holds where one matches. */
static uint32_t windows_of(struct rf_method_rules *r, uint32_t key, struct rf_limiter *lim,
                           struct rpcfan_slice name)
{
    uint32_t mask = 0;
    for (unsigned i = 0; i < lim->n; i++)
        mask |= lim->w[i].some ? 0 : UINT32_C(1) << i;
    for (uint32_t i = 0; i < r->n_limits; i++) {
        if (r->limit[i].endpoint != key)
            continue;
        if (r->limit[i].pattern != NULL &&
            !rf_pattern_match(r->limit[i].pattern, name.data, name.len))
            continue;
        uint32_t window = r->limit[i].window;
        if (r->limit[i].each)
            window = own_window(r, key, lim, window, name);
        mask |= UINT32_C(1) << window;
    }
    return mask;
}

static uint32_t weight_of(const struct rf_method_rules *r, uint32_t e, struct rpcfan_slice name)
{
    uint32_t weight = 1;
    for (uint32_t i = 0; i < r->n_weights; i++) {
        if (r->weight[i].endpoint != e ||
            !rf_pattern_match(r->weight[i].pattern, name.data, name.len))
            continue;
        weight = r->weight[i].weight;
        if (strchr(r->weight[i].pattern, '*') == NULL)
            break; /* a full name beats a prefix */
    }
    return weight;
}

static struct rf_price price_at(struct rf_network *net, uint32_t e, struct rpcfan_slice name)
{
    struct rf_endpoint *ep = &net->ep[e];
    struct rf_price p = {.own.weight = weight_of(&net->rules, e, name)};
    p.account.weight = p.own.weight;
    p.own.mask = windows_of(&net->rules, e, &ep->gate.limiter, name);
    if (ep->account != NULL)
        p.account.mask = windows_of(&net->rules, RF_KEY_ACCOUNT | ep->account->index,
                                    &ep->account->gate.limiter, name);
    return p;
}

static bool same_cost(const struct rf_cost *a, const struct rf_cost *b)
{
    return a->mask == b->mask && a->weight == b->weight;
}

static bool same_price(const struct rf_price *a, const struct rf_price *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!same_cost(&a[i].own, &b[i].own) || !same_cost(&a[i].account, &b[i].account))
            return false;
    }
    return true;
}

static size_t prices_size(const struct rf_network *net)
{
    return net->n_ep * (sizeof(struct rf_price) + sizeof(uint64_t));
}

/* Takes `price` over. @param turn  UINT32_MAX: a turn of its own. */
static enum rpcfan_err find_class(struct rf_network *net, struct rf_price *price, uint64_t only,
                                  uint32_t turn, uint32_t *ix)
{
    for (uint32_t i = 0; i < net->n_cq; i++) {
        if (net->cq[i].only == only && same_price(net->cq[i].price, price, net->n_ep)) {
            rf_free(price);
            *ix = i;
            return RPCFAN_OK;
        }
    }
    uint32_t most = only != 0 ? RF_CLASS_QUEUES_MAX - UNPINNED_MIN : RF_CLASS_QUEUES_MAX;
    if (net->n_cq >= most) {
        rf_free(price);
        return RPCFAN_EINVAL;
    }
    struct rf_class_queue *q = &net->cq[net->n_cq];
    if (!rf_hedge_init(&q->hedge, net->hedge_percent)) {
        rf_free(price);
        return RPCFAN_ENOMEM;
    }
    rf_list_init(&q->retry);
    rf_list_init(&q->fresh);
    q->price = price;
    q->paused_until_ns = (uint64_t *)(void *)(price + net->n_ep);
    q->only = only;
    q->turn = (turn == UINT32_MAX ? net->n_cq : turn) % RF_DRR_CLASSES;
    *ix = net->n_cq++;
    return RPCFAN_OK;
}

static enum rpcfan_err class_of(struct rf_network *net, struct rpcfan_slice name, uint32_t *ix)
{
    struct rf_price *price = rf_alloc(prices_size(net));
    if (price == NULL)
        return RPCFAN_ENOMEM;
    for (uint32_t e = 0; e < net->n_ep; e++)
        price[e] = price_at(net, e, name);
    return find_class(net, price, 0, UINT32_MAX, ix);
}

enum rpcfan_err rf_method_pinned(struct rf_network *net, uint32_t class_ix, uint64_t only,
                                 uint32_t *ix)
{
    const struct rf_class_queue *q = &net->cq[class_ix];
    for (uint32_t i = 0; i < net->n_cq; i++) {
        if (net->cq[i].only == only && same_price(net->cq[i].price, q->price, net->n_ep)) {
            *ix = i;
            return RPCFAN_OK;
        }
    }
    *ix = class_ix;
    if (net->n_cq >= PINNED_MAX)
        return RPCFAN_OK; /* it waits with the others: places are kept for methods to come */
    struct rf_price *price = rf_alloc(prices_size(net));
    if (price == NULL)
        return RPCFAN_ENOMEM;
    memcpy(price, q->price, net->n_ep * sizeof price[0]);
    return find_class(net, price, only, q->turn, ix);
}

static bool in_list(const char *const *list, size_t n, struct rpcfan_slice name)
{
    for (size_t i = 0; i < n; i++) {
        if (rf_pattern_match(list[i], name.data, name.len))
            return true;
    }
    return false;
}

static void set_kind(const struct rf_network *net, struct rpcfan_slice name,
                     struct rf_method_kind *out)
{
    out->once = in_list(once_everywhere, RF_COUNT(once_everywhere), name) ||
                in_list((const char *const *)net->rules.once, net->rules.n_once, name);
    out->send = in_list(sends, RF_COUNT(sends), name);
    out->read = !out->once && !out->send;
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
        set_kind(net, name, out);
        out->method_ix = RF_METHOD_NONE;
        enum rpcfan_err e = class_of(net, name, &out->class_ix);
        if (e != RPCFAN_OK)
            return e;
        if (name.len > sizeof m->name || net->n_methods >= RF_METHOD_SLOTS / 2)
            return RPCFAN_OK;
        memcpy(m->name, name.data, name.len);
        m->len = (uint32_t)name.len;
        out->method_ix = (uint32_t)(m - net->method);
        m->kind = *out;
        net->n_methods++;
    }
    *out = m->kind;
    net->last_method = m;
    return RPCFAN_OK;
}
