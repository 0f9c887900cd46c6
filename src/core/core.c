/* core.c - the step: events in, actions out.
 *
 * Each step does the same in the same order: read the events, answer what is past its deadline,
 * wake what has waited long enough, send what the gates allow. */
#include "core/core.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "core/endpoint.h"
#include "core/gather.h"
#include "core/method.h"
#include "core/need.h"
#include "core/plan.h"
#include "core/pump.h"
#include "core/queue.h"
#include "core/rules.h"
#include "core/settle.h"
#include "core/state.h"

#define ENDPOINTS_MAX 64
#define ACCOUNTS_MAX 64
#define HEDGE_PERCENT_MAX 50
#define LAG_EVM 3     /* blocks */
#define LAG_SOLANA 50 /* slots: 20 s; the health check of a node itself allows 128 */

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

static enum rpcfan_err find_account(struct rf_core *core, const struct rpcfan_endpoint_options *o,
                                    struct rf_account **out, struct rpcfan_error *err)
{
    *out = NULL;
    if (o->account == NULL)
        return RPCFAN_OK;
    for (uint32_t i = 0; i < core->n_accounts; i++) {
        if (strcmp(core->account[i].name, o->account) == 0) {
            *out = &core->account[i];
            return RPCFAN_OK;
        }
    }
    return rf_fail(err, RPCFAN_ECONFIG, "no account is named '%.64s'", o->account);
}

static enum rpcfan_err init_endpoints(struct rf_core *core, struct rf_network *net,
                                      const struct rpcfan_network_options *o, uint32_t *next_id,
                                      struct rpcfan_error *err)
{
    uint64_t now_ns = core->now_ns;
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
        enum rpcfan_err e = find_account(core, &o->endpoints[i], &ep->account, err);
        if (e == RPCFAN_OK)
            e = rf_endpoint_init(ep, &o->endpoints[i], now_ns, err);
        if (e != RPCFAN_OK) {
            rf_fail_prefix(err, "endpoint %s: ", ep->name);
            return e;
        }
    }
    return RPCFAN_OK;
}

static enum rpcfan_err check_network(const struct rpcfan_network_options *o,
                                     struct rpcfan_error *err)
{
    if (o->n_endpoints == 0 || o->n_endpoints > ENDPOINTS_MAX)
        return rf_fail(err, RPCFAN_ECONFIG, "needs 1 to %d endpoints", ENDPOINTS_MAX);
    if (o->deadline_ms == 0 || o->attempts == 0)
        return rf_fail(err, RPCFAN_ECONFIG, "deadline and attempts must be at least 1");
    if (o->policy == RPCFAN_QUORUM && o->quorum > o->n_endpoints)
        return rf_fail(err, RPCFAN_ECONFIG, "a quorum of %u needs as many endpoints, there are %zu",
                       o->quorum, o->n_endpoints);
    if (o->gather != 0 && o->family != RPCFAN_SOLANA)
        return rf_fail(err, RPCFAN_ECONFIG, "gather is for networks of the family solana");
    if (o->hedge_percent > HEDGE_PERCENT_MAX)
        return rf_fail(err, RPCFAN_ECONFIG, "hedge must be at most %d %% of the calls",
                       HEDGE_PERCENT_MAX);
    return RPCFAN_OK;
}

/* The limits of the accounts that its endpoints share, once each. */
static bool init_account_limits(struct rf_core *core, struct rf_network *net,
                                const struct rpcfan_account_options *o)
{
    for (uint32_t a = 0; a < core->n_accounts; a++) {
        bool used = false;
        for (uint32_t i = 0; i < net->n_ep; i++)
            used = used || net->ep[i].account == &core->account[a];
        if (used && !rf_method_account(net, a, o[a].limits, o[a].n_limits))
            return false;
    }
    return true;
}

static void set_ways(struct rf_network *net, const struct rpcfan_network_options *o)
{
    net->family = o->family;
    net->deadline_ns = rf_ms_ns(o->deadline_ms);
    net->linger_ns = rf_ms_ns(o->linger_ms);
    net->attempts = o->attempts;
    net->wake_ns = RF_NEVER;
    net->policy = o->policy == RPCFAN_POLICY_DEFAULT ? RPCFAN_BALANCE : o->policy;
    net->split = o->split == RPCFAN_SPLIT_DEFAULT ? RPCFAN_SPLIT_NONE : o->split;
    net->quorum = o->quorum;
    net->hedge_percent = o->hedge_percent;
    net->join = o->join != 0;
    net->gather = o->gather != 0;
    uint32_t lag = o->family == RPCFAN_SOLANA ? LAG_SOLANA : LAG_EVM;
    rf_fresh_init(&net->fresh, (uint32_t)o->n_endpoints, o->lag_max > 0 ? o->lag_max : lag);
    rf_drr_init(&net->turns);
    rf_budget_init(&net->budget);
}

static enum rpcfan_err init_network(struct rf_core *core, struct rf_network *net,
                                    const struct rpcfan_options *all, uint32_t *next_id,
                                    struct rpcfan_error *err)
{
    const struct rpcfan_network_options *o = &all->networks[net->index];
    net->name = name_or_number(o->name, "net", net->index + 1);
    if (net->name == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    set_ways(net, o);
    enum rpcfan_err e = check_network(o, err);
    if (e == RPCFAN_OK)
        e = init_endpoints(core, net, o, next_id, err);
    bool made =
        e != RPCFAN_OK ||
        (rf_method_init(net, o) && init_account_limits(core, net, all->accounts) &&
         (!net->join || rf_join_init(&net->joins, all->pending_calls)) && rf_gather_init(net));
    if (!made)
        e = rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    if (e != RPCFAN_OK)
        rf_fail_prefix(err, "network %s: ", net->name);
    return e;
}

static enum rpcfan_err init_accounts(struct rf_core *core, const struct rpcfan_options *o,
                                     struct rpcfan_error *err)
{
    if (o->n_accounts == 0)
        return RPCFAN_OK;
    if (o->n_accounts > ACCOUNTS_MAX)
        return rf_fail(err, RPCFAN_ECONFIG, "at most %d accounts are possible", ACCOUNTS_MAX);
    core->account = rf_alloc(o->n_accounts * sizeof core->account[0]);
    if (core->account == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    for (uint32_t i = 0; i < o->n_accounts; i++) {
        struct rf_account *a = &core->account[core->n_accounts++];
        for (size_t k = 0; k < o->accounts[i].n_limits; k++) {
            if (o->accounts[i].limits[k].each)
                return rf_fail(err, RPCFAN_ECONFIG,
                               "account %u, limit %zu: a window for each method is possible at an "
                               "endpoint only",
                               i + 1, k + 1);
        }
        a->index = i;
        a->name = name_or_number(o->accounts[i].name, "account", i + 1);
        if (a->name == NULL)
            return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
        struct rf_gate_options gate = {
            .limits = o->accounts[i].limits, .n_limits = o->accounts[i].n_limits, .learn = true};
        enum rpcfan_err e = rf_gate_init(&a->gate, &gate, core->now_ns, err);
        if (e != RPCFAN_OK) {
            rf_fail_prefix(err, "account %s: ", a->name);
            return e;
        }
    }
    return RPCFAN_OK;
}

enum rpcfan_err rf_core_new(const struct rpcfan_options *o, uint64_t id_first, uint64_t now_ns,
                            const struct rf_log *log, struct rf_core **out,
                            struct rpcfan_error *err)
{
    if (o->n_networks == 0 || o->n_networks > RF_NETWORKS_MAX)
        return rf_fail(err, RPCFAN_ECONFIG, "needs 1 to %d networks", RF_NETWORKS_MAX);
    struct rf_core *core = rf_alloc(sizeof *core);
    if (core == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    rf_list_init(&core->free_ex);
    rf_list_init(&core->flying);
    rf_rng_init(&core->rng, ~o->seed);
    core->join_salt = rf_rng_next(&core->rng);
    rf_rng_init(&core->rng, o->seed);
    core->log = log;
    core->next_id = id_first;
    core->now_ns = now_ns;
    core->in_flight_max = o->in_flight;
    core->pending_max = o->pending_calls;
    rf_list_init(&core->plans);
    rf_list_init(&core->legs_done);
    enum rpcfan_err e = init_accounts(core, o, err);
    if (e == RPCFAN_OK)
        e = rf_rules_new(o->rules, &core->rules, err);
    core->net = rf_alloc(o->n_networks * sizeof core->net[0]);
    bool room = core->net != NULL && rf_due_init(&core->deadlines, o->pending_calls) &&
                rf_heap_reserve(&core->delays, o->pending_calls);
    if (e == RPCFAN_OK && !room)
        e = rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    uint32_t next_id = 0;
    for (uint32_t i = 0; i < o->n_networks && e == RPCFAN_OK; i++) {
        core->net[i].index = i;
        core->n_net++;
        e = init_network(core, &core->net[i], o, &next_id, err);
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
        rf_join_fini(&net->joins);
        rf_join_fini(&net->gathers);
    }
    for (uint32_t i = 0; i < core->n_accounts; i++) {
        rf_gate_fini(&core->account[i].gate);
        rf_free(core->account[i].name);
    }
    rf_free(core->account);
    rf_rules_free(core->rules);
    rf_heap_fini(&core->hedges);
    rf_pump_fini(core);
    rf_due_fini(&core->deadlines);
    rf_heap_fini(&core->delays);
    rf_free(core->net);
    rf_free(core);
}

static bool fits_anywhere(const struct rf_network *net, const struct rf_class_queue *q)
{
    for (uint32_t i = 0; i < net->n_ep; i++) {
        if (rf_endpoint_fits(&net->ep[i], &q->price[i]))
            return true;
    }
    return false;
}

static void set_wishes(const struct rf_network *net, struct rf_call *c)
{
    if (c->policy == RPCFAN_POLICY_DEFAULT)
        c->policy = (uint8_t)net->policy;
    if (c->split == RPCFAN_SPLIT_DEFAULT)
        c->split = (uint8_t)net->split;
    if (c->quorum == 0)
        c->quorum = net->quorum;
    if (c->stream) { /* elements of two answers cannot be told apart once they are handed out */
        c->policy = c->policy == RPCFAN_FAILOVER ? RPCFAN_FAILOVER : RPCFAN_BALANCE;
        c->split = RPCFAN_SPLIT_NONE;
    }
    if (net->n_ep > 1) {
        struct rf_need need = rf_need_of_call(net->family, rf_call_method(c), rf_call_params(c));
        c->need = (uint8_t)need.kind;
        c->need_at = need.at;
    }
}

/* Equal reads that wish the same go together. @return whether it joined another call. */
static bool join(struct rf_core *core, struct rf_network *net, struct rf_call *c)
{
    if (!net->join || !c->read || c->stream)
        return false;
    uint64_t salt = (uint64_t)c->policy << 40 | (uint64_t)c->split << 32 | c->quorum;
    salt ^= core->join_salt;
    struct rf_join_node *n = rf_join_find(&net->joins, salt, c->tail, c->tail_len);
    if (n == NULL) {
        (void)rf_join_add(&net->joins, &c->join, salt, c->tail, c->tail_len);
        return false;
    }
    rf_call_join(core, c, RF_CONTAINER(n, struct rf_call, join));
    return true;
}

/* A method that some endpoints lack waits in a line of its own, or it would hold up the others. */
static void set_apart(struct rf_network *net, struct rf_call *c, uint64_t now_ns)
{
    if (net->n_ep < 2 || c->method_ix == RF_METHOD_NONE)
        return;
    const struct rf_method *m = &net->method[c->method_ix];
    uint64_t has = ~m->absent & (UINT64_MAX >> (64 - net->n_ep));
    if (m->absent != 0 && now_ns < m->absent_until_ns && has != 0)
        (void)rf_method_pinned(net, c->class_ix, has, &c->class_ix);
}

static enum rpcfan_err admit(struct rf_core *core, struct rf_network *net, struct rf_call *c)
{
    struct rf_method_kind m = {0};
    if (core->phase != RF_CORE_OPEN)
        return RPCFAN_ECLOSED;
    if (!rf_due_add(&core->deadlines, &c->deadline, c->deadline_ns))
        return RPCFAN_ENOMEM;
    enum rpcfan_err e = rf_method_find(net, rf_call_method(c), &m);
    if (e != RPCFAN_OK)
        return e;
    c->class_ix = m.class_ix;
    c->method_ix = m.method_ix;
    c->once = m.once;
    c->read = m.read;
    c->send = m.send;
    set_apart(net, c, core->now_ns);
    return fits_anywhere(net, &net->cq[c->class_ix]) ? RPCFAN_OK : RPCFAN_ELIMIT;
}

static void submit(struct rf_core *core, struct rf_call *c, uint64_t now_ns)
{
    struct rf_network *net = &core->net[c->network];
    core->live++;
    net->submitted++;
    enum rpcfan_err e = admit(core, net, c);
    if (e != RPCFAN_OK) {
        rf_call_finish(core, c, e, now_ns);
        return;
    }
    set_wishes(net, c);
    if (join(core, net, c))
        return;
    rf_gather_admit(core, net, c);
    bool plain = c->policy <= RPCFAN_FAILOVER && c->split != RPCFAN_SPLIT_RANGE;
    if (plain || (!rf_fan_start(core, c, now_ns) && !rf_split_start(core, c, now_ns)))
        rf_call_queue(core, c, RF_QUEUE_NEW, now_ns);
}

/* A close does not wait for answers that nobody wants any more. */
static void abort_unwanted(struct rf_core *core)
{
    for (struct rf_link *l = core->flying.next; l != &core->flying; l = l->next) {
        struct rf_exchange *ex = RF_CONTAINER(l, struct rf_exchange, flight);
        if (ex->live == 0)
            rf_queue_abort(core, ex);
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
        rf_queue_abort(core, ex);
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
            rf_call_leave(core, ev->call, RPCFAN_ECANCELED, now_ns);
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
    for (size_t i = 0; i < n; i++) {
        take_event(core, &ev[i], now_ns);
        if (!rf_list_empty(&core->legs_done))
            rf_plan_run(core, now_ns);
    }
    rf_queue_expire(core, now_ns);
    rf_plan_run(core, now_ns);
    if (core->phase != RF_CORE_OPEN && core->live == 0) {
        rf_plan_cancel_orphans(core, now_ns);
        rf_plan_run(core, now_ns);
    }
    if (core->phase != RF_CORE_OPEN)
        abort_unwanted(core);
    rf_queue_wake(core, now_ns);
    rf_second_run(core, now_ns);
    rf_second_probe(core, now_ns);
    do /* a call that fails in the pump may be a leg, whose plan then has another to send */
        rf_pump(core, now_ns);
    while (rf_plan_run(core, now_ns));
    rf_pump_unsend(core, now_ns);
    core->out = NULL;
}

uint64_t rf_core_deadline(const struct rf_core *core)
{
    uint64_t at = rf_min_u64(rf_due_next(&core->deadlines), rf_heap_next(&core->delays));
    at = rf_min_u64(at, rf_heap_next(&core->hedges));
    for (uint32_t i = 0; i < core->n_net; i++) {
        at = rf_min_u64(at, core->net[i].wake_ns);
        at = rf_min_u64(at, rf_second_due(core, &core->net[i]));
    }
    return at;
}

bool rf_core_idle(const struct rf_core *core)
{
    return core->live == 0 && core->in_flight == 0 && core->n_legs == 0;
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

const char *rf_core_endpoint_name(const struct rf_core *core, uint32_t endpoint)
{
    for (uint32_t i = 0; i < core->n_net; i++) {
        if (endpoint < core->net[i].n_ep)
            return core->net[i].ep[endpoint].name;
        endpoint -= core->net[i].n_ep;
    }
    return "";
}

uint64_t rf_core_network_deadline(const struct rf_core *core, uint32_t network)
{
    return core->net[network].deadline_ns;
}
