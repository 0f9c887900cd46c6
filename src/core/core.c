/* core.c - the step: events in, actions out.
 *
 * Each step does the same in the same order: read the events, answer what is past its deadline,
 * wake what has waited long enough, send what the gates allow. */
#include "core/core.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "core/endpoint.h"
#include "core/method.h"
#include "core/pump.h"
#include "core/queue.h"
#include "core/rules.h"
#include "core/settle.h"
#include "core/state.h"

#define NETWORKS_MAX 64
#define ENDPOINTS_MAX 64

void rf_actions_init(struct rf_actions *a)
{
    rf_list_init(&a->send);
    rf_list_init(&a->abort);
    rf_list_init(&a->done);
}

static char *name_or_number(const char *name, const char *prefix, uint32_t number)
{
    if (name != NULL && name[0] != '\0')
        return rf_strdup(name);
    struct rf_buf b = {0};
    rf_buf_printf(&b, "%s%u", prefix, number);
    char *made = b.failed ? NULL : rf_memdup(b.data, b.len);
    rf_buf_fini(&b);
    return made;
}

static enum rpcfan_err init_endpoints(struct rf_network *net,
                                      const struct rpcfan_network_options *o, uint32_t *next_id,
                                      uint64_t now_ns, struct rpcfan_error *err)
{
    net->ep = rf_alloc(o->n_endpoints * sizeof net->ep[0]);
    if (net->ep == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    for (uint32_t i = 0; i < o->n_endpoints; i++) {
        struct rf_endpoint *ep = &net->ep[i];
        net->n_ep++;
        ep->index = i;
        ep->id = (*next_id)++;
        ep->name = name_or_number(o->endpoints[i].name, "ep", i + 1);
        if (ep->name == NULL)
            return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
        enum rpcfan_err e = rf_endpoint_init(ep, &o->endpoints[i], now_ns, err);
        if (e != RPCFAN_OK) {
            rf_fail_prefix(err, "endpoint %s: ", ep->name);
            return e;
        }
    }
    return RPCFAN_OK;
}

static enum rpcfan_err init_network(struct rf_network *net, const struct rpcfan_network_options *o,
                                    uint32_t *next_id, uint64_t now_ns, struct rpcfan_error *err)
{
    net->name = name_or_number(o->name, "net", net->index + 1);
    if (net->name == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    enum rpcfan_err e = RPCFAN_OK;
    if (o->n_endpoints == 0 || o->n_endpoints > ENDPOINTS_MAX)
        e = rf_fail(err, RPCFAN_ECONFIG, "needs 1 to %d endpoints", ENDPOINTS_MAX);
    else if (o->deadline_ms == 0 || o->attempts == 0)
        e = rf_fail(err, RPCFAN_ECONFIG, "deadline and attempts must be at least 1");
    else
        e = init_endpoints(net, o, next_id, now_ns, err);
    if (e == RPCFAN_OK && !rf_method_init(net, o))
        e = rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    if (e != RPCFAN_OK) {
        rf_fail_prefix(err, "network %s: ", net->name);
        return e;
    }
    net->family = o->family;
    net->deadline_ns = rf_ms_ns(o->deadline_ms);
    net->linger_ns = rf_ms_ns(o->linger_ms);
    net->attempts = o->attempts;
    net->wake_ns = RF_NEVER;
    rf_budget_init(&net->budget);
    return RPCFAN_OK;
}

enum rpcfan_err rf_core_new(const struct rpcfan_options *o, uint64_t id_first, uint64_t now_ns,
                            const struct rf_log *log, struct rf_core **out,
                            struct rpcfan_error *err)
{
    if (o->n_networks == 0 || o->n_networks > NETWORKS_MAX)
        return rf_fail(err, RPCFAN_ECONFIG, "needs 1 to %d networks", NETWORKS_MAX);
    struct rf_core *core = rf_alloc(sizeof *core);
    if (core == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    rf_list_init(&core->free_ex);
    rf_list_init(&core->flying);
    rf_rng_init(&core->rng, o->seed);
    core->log = log;
    core->next_id = id_first;
    core->now_ns = now_ns;
    core->in_flight_max = o->in_flight;
    enum rpcfan_err e = RPCFAN_OK;
    core->net = rf_alloc(o->n_networks * sizeof core->net[0]);
    if (core->net == NULL || !rf_due_init(&core->deadlines, o->pending_calls) ||
        !rf_heap_reserve(&core->delays, o->pending_calls))
        e = rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    else
        e = rf_rules_new(o->rules, &core->rules, err);
    uint32_t next_id = 0;
    for (uint32_t i = 0; i < o->n_networks && e == RPCFAN_OK; i++) {
        core->net[i].index = i;
        core->n_net++;
        e = init_network(&core->net[i], &o->networks[i], &next_id, now_ns, err);
    }
    if (e != RPCFAN_OK) {
        rf_core_free(core);
        return e;
    }
    *out = core;
    return RPCFAN_OK;
}

void rf_core_free(struct rf_core *core)
{
    if (core == NULL)
        return;
    for (uint32_t i = 0; i < core->n_net; i++) {
        struct rf_network *net = &core->net[i];
        for (uint32_t k = 0; k < net->n_ep; k++)
            rf_endpoint_fini(&net->ep[k]);
        rf_free(net->ep);
        rf_free(net->name);
        rf_method_fini(net);
    }
    rf_pump_fini(core);
    rf_due_fini(&core->deadlines);
    rf_heap_fini(&core->delays);
    rf_rules_free(core->rules);
    rf_free(core->net);
    rf_free(core);
}

static bool fits_anywhere(const struct rf_network *net, const struct rf_class_queue *q)
{
    for (uint32_t i = 0; i < net->n_ep; i++) {
        if (rf_limiter_fits(&net->ep[i].limiter, q->cost[i]))
            return true;
    }
    return false;
}

static void submit(struct rf_core *core, struct rf_call *c, uint64_t now_ns)
{
    struct rf_network *net = &core->net[c->network];
    struct rf_method_kind m = {0};
    enum rpcfan_err e = RPCFAN_OK;
    core->live++;
    net->submitted++;
    if (core->phase != RF_CORE_OPEN)
        e = RPCFAN_ECLOSED;
    else if (!rf_due_add(&core->deadlines, &c->deadline, c->deadline_ns))
        e = RPCFAN_ENOMEM;
    else
        e = rf_method_find(net, (struct rpcfan_slice){c->tail + RF_CALL_METHOD_AT, c->method_len},
                           &m);
    if (e == RPCFAN_OK) {
        c->class_ix = m.class_ix;
        c->once = m.once;
        if (!fits_anywhere(net, &net->cq[c->class_ix]))
            e = RPCFAN_ELIMIT;
    }
    if (e != RPCFAN_OK)
        rf_call_finish(core, c, e, now_ns);
    else
        rf_call_queue(core, c, RF_QUEUE_NEW, now_ns);
}

static void abort_exchange(struct rf_core *core, struct rf_exchange *ex)
{
    if (ex->aborting)
        return;
    ex->aborting = true;
    rf_list_push(&core->out->abort, &ex->link);
}

/* A close does not wait for answers that nobody wants any more. */
static void abort_unwanted(struct rf_core *core)
{
    for (struct rf_link *l = core->flying.next; l != &core->flying; l = l->next) {
        struct rf_exchange *ex = RF_CONTAINER(l, struct rf_exchange, flight);
        if (ex->live == 0)
            abort_exchange(core, ex);
    }
}

static void abort_flying(struct rf_core *core, uint64_t now_ns)
{
    for (struct rf_link *l = core->flying.next; l != &core->flying; l = l->next) {
        struct rf_exchange *ex = RF_CONTAINER(l, struct rf_exchange, flight);
        for (uint32_t i = 0; i < ex->n; i++) {
            if (ex->call[i] != NULL)
                rf_call_finish(core, ex->call[i], RPCFAN_ECANCELED, now_ns);
        }
        abort_exchange(core, ex);
    }
}

static void close_core(struct rf_core *core, enum rpcfan_close_mode mode, uint64_t now_ns)
{
    if (core->phase == RF_CORE_OPEN)
        core->phase = RF_CORE_DRAINING;
    if (mode == RPCFAN_CLOSE_DRAIN)
        return;
    core->phase = RF_CORE_ENDING;
    rf_queue_cancel_waiting(core, now_ns);
    if (mode == RPCFAN_CLOSE_NOW)
        abort_flying(core, now_ns);
}

static void take_event(struct rf_core *core, const struct rf_event *ev, uint64_t now_ns)
{
    switch (ev->kind) {
    case RF_EV_SUBMIT:
        submit(core, ev->call, now_ns);
        break;
    case RF_EV_CANCEL:
        if (ev->call->state != RF_CALL_DONE)
            rf_call_finish(core, ev->call, RPCFAN_ECANCELED, now_ns);
        break;
    case RF_EV_REPLY:
        rf_settle(core, ev->ex, now_ns);
        break;
    case RF_EV_CLOSE:
        close_core(core, ev->mode, now_ns);
        break;
    }
}

void rf_core_step(struct rf_core *core, const struct rf_event *ev, size_t n, uint64_t now_ns,
                  struct rf_actions *out)
{
    core->now_ns = now_ns = rf_max_u64(now_ns, core->now_ns);
    core->out = out;
    for (size_t i = 0; i < n; i++)
        take_event(core, &ev[i], now_ns);
    rf_queue_expire(core, now_ns);
    if (core->phase != RF_CORE_OPEN)
        abort_unwanted(core);
    rf_queue_wake(core, now_ns);
    rf_pump(core, now_ns);
    core->out = NULL;
}

uint64_t rf_core_deadline(const struct rf_core *core)
{
    uint64_t at = rf_min_u64(rf_due_next(&core->deadlines), rf_heap_next(&core->delays));
    for (uint32_t i = 0; i < core->n_net; i++)
        at = rf_min_u64(at, core->net[i].wake_ns);
    return at;
}

bool rf_core_idle(const struct rf_core *core)
{
    return core->live == 0 && core->in_flight == 0;
}

uint32_t rf_core_network(const struct rf_core *core, const char *name)
{
    if (name == NULL)
        return 0;
    for (uint32_t i = 0; i < core->n_net; i++) {
        if (strcmp(core->net[i].name, name) == 0)
            return i;
    }
    return UINT32_MAX;
}

uint64_t rf_core_network_deadline(const struct rf_core *core, uint32_t network)
{
    return core->net[network].deadline_ns;
}
