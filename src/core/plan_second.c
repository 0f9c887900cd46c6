/* plan_second.c - second requests that the core makes of its own accord: hedges for slow reads, and
 * probes of endpoints that lagged.
 *
 * A hedge goes out when a first try takes longer than all but a few of its class do, within a
 * budget, and only where another endpoint has room to spare and nothing is waiting. Whichever
 * answers first counts; the other's answer is dropped when it comes. */
#include "base/mem.h"
#include "core/endpoint.h"
#include "core/need.h"
#include "core/plan.h"
#include "core/queue.h"
#include "core/route.h"

#define PROBE_NS (5 * RF_SEC)

static struct rf_class_queue *class_of(struct rf_core *core, const struct rf_exchange *ex)
{
    return &core->net[ex->network].cq[ex->class_ix];
}

static bool hedgeable(const struct rf_call *c)
{
    return c != NULL && c->read && c->leg_of == NULL && c->plan == NULL && c->sends == 1;
}

void rf_second_arm(struct rf_core *core, struct rf_exchange *ex, uint64_t now_ns)
{
    const struct rf_network *net = &core->net[ex->network];
    if (net->hedge_percent == 0 || net->n_ep < 2)
        return;
    struct rf_class_queue *q = class_of(core, ex);
    bool any = false;
    for (uint32_t i = 0; i < ex->n; i++) {
        if (!hedgeable(ex->call[i]))
            continue;
        any = true;
        rf_hedge_primary(&q->hedge);
    }
    uint64_t delay = rf_hedge_delay(&q->hedge, now_ns);
    if (any && delay != RF_NEVER)
        (void)rf_heap_push(&core->hedges, &ex->hedge, rf_time_add(now_ns, delay));
}

/* Of the endpoints but the first try's that have room to spare now, the quickest (a bit); 0: none.
 */
static uint64_t spare(struct rf_network *net, const struct rf_class_queue *q, uint32_t but,
                      uint64_t now_ns)
{
    uint64_t mask = rf_route_usable(net, now_ns), out = 0;
    double best = 0;
    for (uint32_t i = 0; i < net->n_ep; i++) {
        struct rf_endpoint *ep = &net->ep[i];
        uint64_t wait_ns;
        if (i == but || (mask >> i & 1) == 0 || ep->breaker.state != RF_BREAKER_CLOSED)
            continue;
        if (ep->fail_streak == 0 && rf_endpoint_has_spare(ep, now_ns) &&
            rf_endpoint_room(ep, &q->price[i], 1, false, now_ns, &wait_ns) > 0) {
            double takes = rf_peak_value(&ep->peak, now_ns);
            if (out == 0 || takes < best)
                out = UINT64_C(1) << i;
            best = out == UINT64_C(1) << i ? takes : best;
        }
    }
    return out;
}

static void hedge_call(struct rf_core *core, struct rf_class_queue *q, struct rf_call *c,
                       uint64_t to)
{
    struct rf_network *net = &core->net[c->network];
    if (!rf_hedge_take(&q->hedge) || !rf_budget_take(&net->budget))
        return;
    struct rf_plan *p = rf_plan_new(core, RF_PLAN_HEDGE, c->network, c);
    if (p == NULL)
        return;
    struct rpcfan_slice tail = {c->tail, c->tail_len};
    if (rf_plan_add(core, p, tail, to, c->deadline_ns) != NULL)
        net->hedged++;
    else
        rf_plan_leave(core, c, core->now_ns);
}

void rf_second_run(struct rf_core *core, uint64_t now_ns)
{
    struct rf_heap_node *n;
    while ((n = rf_heap_top(&core->hedges)) != NULL && n->at_ns <= now_ns) {
        struct rf_exchange *ex = RF_CONTAINER(n, struct rf_exchange, hedge);
        struct rf_network *net = &core->net[ex->network];
        struct rf_class_queue *q = class_of(core, ex);
        rf_heap_remove(&core->hedges, n);
        uint64_t to = net->queued > 0 ? 0 : spare(net, q, ex->index, now_ns);
        for (uint32_t i = 0; i < ex->n && to != 0; i++) {
            if (hedgeable(ex->call[i]))
                hedge_call(core, q, ex->call[i], to);
        }
    }
}

void rf_second_heard(struct rf_core *core, struct rf_plan *p, struct rf_leg *leg, uint64_t now_ns)
{
    const struct rf_call *c = &leg->call;
    /* A refusal that the first try would be cut up for is no answer. */
    bool cut = p->parent->split == RPCFAN_SPLIT_RANGE &&
               (c->cause == RF_CLASS_SPLIT_RANGE || c->cause == RF_CLASS_SPLIT_FILTER);
    bool final =
        c->err == RPCFAN_OK || (c->err == RPCFAN_ERPC && !cut &&
                                rf_class_action((enum rf_class)c->cause) == RF_ACT_DELIVER);
    if (!final)
        return;
    core->net[p->network].hedges_won++;
    rf_plan_answer(core, p, leg, now_ns);
}

static void probe(struct rf_core *core, struct rf_network *net, uint32_t i, uint64_t now_ns)
{
    struct rpcfan_slice tail = rf_need_probe_tail(net->family);
    if (tail.len == 0 || core->phase != RF_CORE_OPEN)
        return;
    struct rf_plan *p = rf_plan_new(core, RF_PLAN_PROBE, net->index, NULL);
    if (p == NULL)
        return;
    if (rf_plan_add(core, p, tail, UINT64_C(1) << i, rf_time_add(now_ns, PROBE_NS)) == NULL) {
        rf_list_remove(&p->link);
        rf_free(p);
    }
}

/* Only while calls come that lagging endpoints would have to answer: an idle client is silent. */
void rf_second_probe(struct rf_core *core, uint64_t now_ns)
{
    for (uint32_t k = 0; k < core->n_net; k++) {
        struct rf_network *net = &core->net[k];
        if (net->n_ep < 2 || net->queued + net->in_flight == 0)
            continue;
        uint64_t due = rf_fresh_probe(&net->fresh, now_ns);
        for (uint32_t i = 0; i < net->n_ep; i++) {
            if ((due >> i & 1) != 0)
                probe(core, net, i, now_ns);
        }
    }
}
