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
#include "core/pump.h"
#include "core/route.h"

#define PROBE_NS (5 * RF_SEC)

static struct rf_class_queue *class_of(struct rf_core *core, const struct rf_exchange *ex)
{
    return &core->net[ex->network].cq[ex->class_ix];
}

static bool hedgeable(const struct rf_call *c)
{
    return c != NULL && c->read && c->leg_of == NULL && c->plan == NULL && c->sends == 1 &&
           !c->stream;
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

/* Whether calls wait for the account of an endpoint, in whatever network. */
static bool account_queued(const struct rf_core *core, const struct rf_endpoint *ep)
{
    for (uint32_t k = 0; k < core->n_net && ep->account != NULL; k++) {
        const struct rf_network *net = &core->net[k];
        for (uint32_t i = 0; i < net->n_ep && net->queued > 0; i++) {
            if (net->ep[i].account == ep->account)
                return true;
        }
    }
    return false;
}

static uint32_t room_for(struct rf_core *core, const struct rf_class_queue *q,
                         struct rf_endpoint *ep, uint32_t want, uint64_t now_ns)
{
    uint64_t wait_ns;
    if (ep->breaker.state != RF_BREAKER_CLOSED || ep->fail_streak > 0 ||
        now_ns < q->paused_until_ns[ep->index] || !rf_endpoint_has_spare(ep, now_ns) ||
        account_queued(core, ep))
        return 0;
    return rf_endpoint_room(ep, &q->price[ep->index], want, false, now_ns, &wait_ns);
}

/* Of the endpoints of a mask that have room to spare now, the quickest (a bit); 0: none.
 * @param room  out: calls that it has room for, at most `want`. */
static uint64_t spare(struct rf_core *core, struct rf_network *net, const struct rf_class_queue *q,
                      uint64_t mask, uint32_t want, uint32_t *room)
{
    uint64_t out = 0, now_ns = core->now_ns;
    double best = 0;
    for (uint32_t i = 0; i < net->n_ep; i++) {
        struct rf_endpoint *ep = &net->ep[i];
        uint32_t n = (mask >> i & 1) != 0 ? room_for(core, q, ep, want, now_ns) : 0;
        double takes = rf_peak_value(&ep->peak, now_ns);
        if (n == 0 || (out != 0 && takes >= best))
            continue;
        out = UINT64_C(1) << i;
        best = takes;
        *room = n;
    }
    return out;
}

/* @return false: there is no budget, or no memory. */
static bool hedge_call(struct rf_core *core, struct rf_class_queue *q, struct rf_call *c,
                       uint64_t to)
{
    struct rf_network *net = &core->net[c->network];
    if (!rf_hedge_take(&q->hedge) || !rf_budget_take(&net->budget))
        return false;
    struct rf_plan *p = rf_plan_new(core, RF_PLAN_HEDGE, c->network, c);
    if (p == NULL)
        return false;
    struct rpcfan_slice tail = {c->tail, c->tail_len};
    if (rf_plan_add(core, p, tail, to, c->deadline_ns) == NULL) {
        rf_plan_leave(core, c, core->now_ns);
        return false;
    }
    net->hedged++;
    return true;
}

/* The members of an exchange, as many as another endpoint takes at once, where it could answer them
 * as well: one that lags or lacks the method would only be the first to be wrong. */
static void hedge_exchange(struct rf_core *core, struct rf_exchange *ex, uint64_t now_ns)
{
    struct rf_network *net = &core->net[ex->network];
    struct rf_class_queue *q = class_of(core, ex);
    uint64_t to = 0, first = UINT64_C(1) << ex->index;
    uint32_t room = 0;
    for (uint32_t i = 0; i < ex->n && (to == 0 || room > 0); i++) {
        if (!hedgeable(ex->call[i]))
            continue;
        uint64_t could = rf_route_candidates(net, ex->call[i], now_ns) & ~first;
        if (to == 0)
            to = spare(core, net, q, could, ex->n - i, &room);
        if ((to & could) == 0)
            continue;
        if (!hedge_call(core, q, ex->call[i], to))
            break;
        room--;
    }
    if (to != 0)
        rf_pump(core, now_ns); /* so that the next one sees whether anything waits */
}

void rf_second_run(struct rf_core *core, uint64_t now_ns)
{
    struct rf_heap_node *n;
    while ((n = rf_heap_top(&core->hedges)) != NULL && n->at_ns <= now_ns) {
        struct rf_exchange *ex = RF_CONTAINER(n, struct rf_exchange, hedge);
        rf_heap_remove(&core->hedges, n);
        if (core->net[ex->network].queued == 0 && core->in_flight < core->in_flight_max &&
            core->phase != RF_CORE_ENDING)
            hedge_exchange(core, ex, now_ns);
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
    if (tail.len == 0)
        return;
    struct rf_plan *p = rf_plan_new(core, RF_PLAN_PROBE, net->index, NULL);
    if (p == NULL)
        return;
    if (rf_plan_add(core, p, tail, UINT64_C(1) << i, rf_time_add(now_ns, PROBE_NS)) == NULL) {
        rf_plan_discard(p);
    }
}

/* Only while calls come that lagging endpoints would have to answer: an idle client is silent. */
static bool is_curious(const struct rf_core *core, const struct rf_network *net)
{
    return core->phase == RF_CORE_OPEN && net->n_ep > 1 && net->queued + net->in_flight > 0;
}

uint64_t rf_second_due(const struct rf_core *core, const struct rf_network *net)
{
    return is_curious(core, net) ? rf_fresh_next_probe(&net->fresh, core->now_ns) : RF_NEVER;
}

void rf_second_probe(struct rf_core *core, uint64_t now_ns)
{
    for (uint32_t k = 0; k < core->n_net; k++) {
        struct rf_network *net = &core->net[k];
        if (!is_curious(core, net))
            continue;
        uint64_t due = rf_fresh_probe(&net->fresh, now_ns);
        for (uint32_t i = 0; i < net->n_ep; i++) {
            if ((due >> i & 1) != 0)
                probe(core, net, i, now_ns);
        }
    }
}
