/* node_fault.c - which faults strike a request. Called by node_rpc.c, node_conn.c and node.c.
 *
 * Each layer has at most one fault a request: the first line, in the script's order, that fires.
 * Lines of different layers add up: gzip, chunked and truncate can hit the same answer. */
#include <string.h>

#include "sim/node_int.h"

bool rf_node_fault_fires(struct rf_node *node, struct rf_node_fault *f, uint64_t now_ns)
{
    uint64_t number = ++f->matched;
    uint64_t age_ns = rf_time_sub(now_ns, node->conf->began_ns);
    if (age_ns < f->from_ns || age_ns >= f->to_ns || number < f->first || number > f->last ||
        f->fired >= f->times || (f->every > 0 && number % f->every != 0))
        return false;
    if ((rf_rng_next(&f->rng) >> 11) >= f->chance)
        return false;
    f->fired++;
    return true;
}

static bool applies(const struct rf_node_work *w, const struct rf_node_fault *f)
{
    if (f->only != RF_ONLY_ANY && (f->only == RF_ONLY_BATCH) != w->batch)
        return false;
    if (!rf_node_matches(f->path, w->path))
        return false;
    if (f->method == NULL)
        return true;
    for (unsigned i = 0; i < w->n; i++)
        if (rf_node_matches(f->method, w->member[i].method))
            return true;
    return false;
}

/* On a WebSocket there is no HTTP to spoil. */
static bool fits_message(const struct rf_node_fault *f, enum rf_node_layer layer)
{
    return layer <= RF_LAYER_FORM && f->kind != RF_FAULT_HTTP_ERROR && f->kind != RF_FAULT_HTML;
}

void rf_node_faults_pick(struct rf_node *node, struct rf_node_plan *plan)
{
    struct rf_node_work *w = &node->work;
    struct rf_node_conf *conf = node->conf;
    for (unsigned i = 0; i < conf->n_fault; i++) {
        struct rf_node_fault *f = &conf->fault[i];
        enum rf_node_layer layer = rf_node_fault_layer(f->kind);
        if (layer <= RF_LAYER_ACCEPT || layer >= RF_LAYERS || !applies(w, f))
            continue;
        if (w->ws != NULL && !fits_message(f, layer))
            continue;
        if (w->fault[layer] != NULL) {
            f->matched++; /* another line was first; the numbering goes on */
            continue;
        }
        if (!rf_node_fault_fires(node, f, w->now_ns))
            continue;
        w->fault[layer] = f;
        rf_node_bump(&node->stats.fault[f->kind], 1);
        if (plan->fault == NULL)
            plan->fault = rf_node_fault_name(f->kind);
    }
}

/* Message faults without a method strike notifications; one that delays replies strikes these. */
static bool fits_method(const struct rf_node_fault *f, struct rpcfan_slice method)
{
    bool reply = method.len == 5 && memcmp(method.data, "reply", 5) == 0;
    if (f->method != NULL)
        return rf_node_matches(f->method, method);
    return rf_node_fault_layer(f->kind) != RF_LAYER_WS_MESSAGE ||
           reply == (f->kind == RF_FAULT_WS_LATE_REPLY);
}

const struct rf_node_fault *rf_node_fault_of(struct rf_node *node, enum rf_node_fault_kind kind,
                                             struct rpcfan_slice method, struct rpcfan_slice path,
                                             uint64_t now_ns)
{
    struct rf_node_conf *conf = node->conf;
    const struct rf_node_fault *found = NULL;
    if ((conf->layers >> rf_node_fault_layer(kind) & 1) == 0)
        return NULL;
    for (unsigned i = 0; i < conf->n_fault; i++) {
        struct rf_node_fault *f = &conf->fault[i];
        if (f->kind != kind || !fits_method(f, method) || !rf_node_matches(f->path, path))
            continue;
        if (found != NULL)
            f->matched++; /* another line was first; the numbering goes on */
        else if (rf_node_fault_fires(node, f, now_ns))
            found = f;
    }
    rf_node_bump(&node->stats.fault[kind], found != NULL);
    return found;
}

bool rf_node_listen_wanted(const struct rf_node_conf *conf, uint64_t now_ns, uint64_t *until_ns)
{
    uint64_t age_ns = rf_time_sub(now_ns, conf->began_ns);
    bool wanted = true;
    *until_ns = RF_NEVER;
    for (unsigned i = 0; i < conf->n_fault; i++) {
        const struct rf_node_fault *f = &conf->fault[i];
        if (f->kind != RF_FAULT_REFUSE)
            continue;
        if (age_ns < f->from_ns) {
            *until_ns = rf_min_u64(*until_ns, rf_time_add(conf->began_ns, f->from_ns));
        } else if (age_ns < f->to_ns) {
            wanted = false;
            *until_ns = rf_min_u64(*until_ns, rf_time_add(conf->began_ns, f->to_ns));
        }
    }
    return wanted;
}
