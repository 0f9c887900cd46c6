/* pump.c - route, pack, send.
 *
 * Happy path: for each class in turn, the head call picks an endpoint whose gates are open; as many
 * of the calls behind it as the gates and the batch cap allow leave with it in one exchange. So a
 * batch forms from what is already waiting and never by waiting.
 * Failure modes: no gate open: remember the earliest time one could be; nobody to wait for: the
 * call fails at once with the reason; out of memory: the calls of that exchange fail. */
#include "core/pump.h"

#include <string.h>

#include "base/mem.h"
#include "core/endpoint.h"
#include "core/gather.h"
#include "core/need.h"
#include "core/plan.h"
#include "core/queue.h"
#include "core/route.h"
#include "json/rpc.h"

#define HOPELESS_OPENED 3 /* opened so often in a row: two probes, some 2 s */
#define POOL_MAX 256
#define BODY_KEEP (256 * 1024)

static struct rf_call *first_of(const struct rf_link *list)
{
    return RF_CONTAINER(list->next, struct rf_call, link);
}

static struct rf_exchange *take_exchange(struct rf_core *core, uint32_t room)
{
    struct rf_exchange *ex;
    if (!rf_list_empty(&core->free_ex)) {
        ex = RF_CONTAINER(rf_list_shift(&core->free_ex), struct rf_exchange, link);
        core->n_free_ex--;
    } else {
        ex = rf_alloc(sizeof *ex);
        if (ex == NULL)
            return NULL;
    }
    if (ex->cap < room) {
        struct rf_call **grown = rf_realloc(ex->call, room * sizeof grown[0]);
        if (grown == NULL) {
            rf_pump_recycle(core, ex);
            return NULL;
        }
        ex->call = grown;
        ex->cap = room;
    }
    return ex;
}

static void free_exchange(struct rf_exchange *ex)
{
    rf_split_fini(&ex->reply.split);
    rf_blob_unref(ex->reply.blob);
    rf_buf_fini(&ex->body);
    rf_free(ex->call);
    rf_free(ex);
}

void rf_pump_recycle(struct rf_core *core, struct rf_exchange *ex)
{
    rf_list_remove(&ex->link); /* an abort asked for in the same step is settled with it */
    rf_blob_unref(ex->reply.blob);
    ex->reply.blob = NULL;
    rf_buf_reset(&ex->body, BODY_KEEP);
    ex->n = ex->live = 0;
    if (core->n_free_ex >= POOL_MAX) {
        free_exchange(ex);
        return;
    }
    rf_list_push(&core->free_ex, &ex->link);
    core->n_free_ex++;
}

void rf_pump_fini(struct rf_core *core)
{
    struct rf_link *l;
    while ((l = rf_list_shift(&core->free_ex)) != NULL)
        free_exchange(RF_CONTAINER(l, struct rf_exchange, link));
}

/* What a batch under construction may still take. */
struct packing {
    struct rf_core *core;
    struct rf_network *net;
    struct rf_exchange *ex;
    uint32_t max;
    uint64_t bytes, max_bytes;
    const struct rf_endpoint *ep;
    uint64_t needed_ns; /* from time_needed(), once a call asks for it; RF_NEVER: none has */
    uint64_t now_ns;
};

/* How long an answer takes, 95 of 100. A smaller share would not do: under overload the head of the
 * queue stands at this very border, so that half of the calls sent would fail at the median, and a
 * node that is back would be probed with calls that run out of time. */
static uint64_t time_needed(const struct rf_endpoint *ep)
{
    return rf_hist_quantile(&ep->latency, 950);
}

/* A call that has waited for half of its time and cannot be expected to make it: sending it would
 * only take the place of one that can. One that comes with little time is sent all the same. */
static bool too_late(struct packing *p, const struct rf_call *c)
{
    uint64_t left = rf_time_sub(c->deadline_ns, p->now_ns);
    if (left >= rf_time_sub(c->deadline_ns, c->submitted_ns) / 2)
        return false;
    if (p->needed_ns == RF_NEVER)
        p->needed_ns = time_needed(p->ep);
    return left < p->needed_ns;
}

static void give_up(const struct packing *p, struct rf_call *c)
{
    if (c->detail == NULL)
        rf_call_explain(c,
                        "only %llu ms of its time were left when its turn came, with %llu calls "
                        "waiting; answers take about %llu ms",
                        (unsigned long long)(rf_time_sub(c->deadline_ns, p->now_ns) / RF_MS),
                        (unsigned long long)(p->net->queued + p->net->delayed),
                        (unsigned long long)(p->needed_ns / RF_MS));
    rf_call_finish(p->core, c, RPCFAN_EDEADLINE, p->now_ns);
}

/* A call that has no history and no wish that its class's first call has not. */
static bool goes_anywhere(const struct packing *p, const struct rf_call *c)
{
    const struct rf_call *first = p->ex->call[0];
    return p->net->n_ep == 1 ||
           (c->tried == 0 && c->only == first->only && c->policy == first->policy &&
            c->method_ix == first->method_ix && c->need == first->need &&
            (c->need < RF_NEED_BLOCK || c->need_at <= first->need_at));
}

static bool accepts(const struct packing *p, const struct rf_call *c)
{
    const struct rf_exchange *ex = p->ex;
    if (ex->n == 0)
        return true;
    if (c->once || ex->call[0]->once || ex->n >= p->max)
        return false;
    if (c->stream || ex->call[0]->stream)
        return false;
    if (c->batch_max != 0 && ex->n >= c->batch_max)
        return false;
    if (p->bytes + c->tail_len + RF_REQUEST_HEAD_MAX > p->max_bytes)
        return false;
    return goes_anywhere(p, c) || (rf_route_candidates(p->net, c, p->now_ns) >> ex->index & 1) != 0;
}

static void pack_from(struct packing *p, struct rf_link *list)
{
    while (!rf_list_empty(list)) {
        struct rf_call *c = first_of(list);
        if (too_late(p, c)) {
            give_up(p, c);
            continue;
        }
        if (p->ex->n < p->max && !rf_gather_ready(p->core, c, p->ep, p->now_ns))
            continue;
        if (!accepts(p, c))
            return;
        rf_call_pack(p->core, c, p->ex);
        p->bytes += c->tail_len + RF_REQUEST_HEAD_MAX;
        if (c->batch_max != 0 && c->batch_max < p->max)
            p->max = c->batch_max;
    }
}

static void write_body(struct rf_exchange *ex)
{
    struct rf_buf *b = &ex->body;
    ex->batch = ex->n > 1;
    if (ex->batch)
        rf_buf_char(b, '[');
    for (uint32_t i = 0; i < ex->n; i++) {
        if (i > 0)
            rf_buf_char(b, ',');
        rf_request_member(b, ex->id_base + i, ex->call[i]->tail, ex->call[i]->tail_len);
    }
    if (ex->batch)
        rf_buf_char(b, ']');
}

static uint64_t attempt_timeout(const struct rf_endpoint *ep, const struct rf_exchange *ex,
                                uint64_t now_ns)
{
    uint64_t last = 0;
    if (ex->stream) /* it says how long a silence may be, and nothing about the whole */
        return ep->timeout_ns;
    for (uint32_t i = 0; i < ex->n; i++)
        last = rf_max_u64(last, ex->call[i]->deadline_ns);
    return rf_min_u64(ep->timeout_ns, rf_time_sub(last, now_ns));
}

static void fail_packed(struct rf_core *core, struct rf_exchange *ex, uint64_t now_ns)
{
    for (uint32_t i = 0; i < ex->n; i++)
        rf_call_finish(core, ex->call[i], RPCFAN_ENOMEM, now_ns);
    rf_pump_recycle(core, ex);
}

/* What a call counts among the classes: its weight where weights are limited, else 1. */
static uint32_t unit_cost(const struct rf_endpoint *ep, const struct rf_exchange *ex)
{
    bool weighed =
        rf_limiter_weighs(&ep->gate.limiter, ex->price.own) ||
        (ep->account != NULL && rf_limiter_weighs(&ep->account->gate.limiter, ex->price.account));
    return weighed ? ex->price.own.weight : 1;
}

/* From `list` of a class, and from its fresh calls where that was all that goes again. */
static void send_batch(struct rf_core *core, struct rf_class_queue *q, struct rf_link *list,
                       const struct rf_route *r, uint64_t now_ns)
{
    struct rf_network *net = &core->net[first_of(list)->network];
    struct rf_exchange *ex = take_exchange(core, r->room);
    if (ex == NULL) {
        rf_call_finish(core, first_of(list), RPCFAN_ENOMEM, now_ns);
        return;
    }
    ex->endpoint = r->ep->id;
    ex->network = net->index;
    ex->index = r->ep->index;
    ex->class_ix = (uint32_t)(q - net->cq);
    ex->aborting = false;
    struct packing p = {.core = core,
                        .net = net,
                        .ex = ex,
                        .max = r->room,
                        .bytes = 2,
                        .max_bytes = rf_batchcap_bytes(&r->ep->batch),
                        .ep = r->ep,
                        .needed_ns = RF_NEVER,
                        .now_ns = now_ns};
    pack_from(&p, list);
    if (list == &q->retry && rf_list_empty(list))
        pack_from(&p, &q->fresh);
    if (ex->n == 0) {
        rf_pump_recycle(core, ex);
        return;
    }
    ex->id_base = core->next_id;
    core->next_id += ex->n;
    write_body(ex);
    if (ex->body.failed) {
        fail_packed(core, ex, now_ns);
        return;
    }
    ex->fresh = ex->call[0]->once;
    ex->stream = ex->call[0]->stream;
    ex->price = q->price[r->ep->index];
    ex->timeout_ns = attempt_timeout(r->ep, ex, now_ns);
    ex->sent_ns = now_ns;
    rf_endpoint_take(r->ep, ex, now_ns);
    rf_drr_charge(&net->turns, q->turn, (uint64_t)ex->n * unit_cost(r->ep, ex));
    rf_second_arm(core, ex, now_ns);
    core->in_flight++;
    rf_list_push(&core->flying, &ex->flight);
    rf_list_push(&core->out->send, &ex->link);
}

/* Nobody to wait for: every endpoint is benched, or none has ever answered, every breaker is open
 * and probes have failed too. A wrong URL then shows within seconds and not after a deadline; a
 * node that is just being restarted has these seconds. */
static bool hopeless(const struct rf_network *net, const struct rf_call *head, uint64_t candidates,
                     uint64_t now_ns)
{
    if (candidates == 0)
        return true;
    if (head->leg_of != NULL && head->only != 0) {
        uint64_t usable = rf_route_usable(net, now_ns);
        if (usable != 0) /* a leg whose endpoint is down makes room for one that goes elsewhere */
            return (usable & head->only) == 0;
    }
    for (uint32_t i = 0; i < net->n_ep; i++) {
        const struct rf_endpoint *ep = &net->ep[i];
        if (rf_endpoint_usable(ep, now_ns) || ep->count.ok + ep->count.rpc > 0)
            return false;
        if (now_ns >= ep->bench_until_ns && ep->breaker.opened < HOPELESS_OPENED)
            return false;
    }
    return true;
}

/* The head call of a hopeless network: waiting would only hide the reason. */
static void fail_hopeless(struct rf_core *core, struct rf_network *net, struct rf_call *c,
                          uint64_t now_ns)
{
    uint32_t at = 0;
    while (c->only != 0 && (c->only >> at & 1) == 0)
        at++;
    const struct rf_endpoint *ep = &net->ep[at];
    char why[192];
    rf_endpoint_why(ep, now_ns, why, sizeof why);
    rf_call_explain(c, "no endpoint left: %s %s", ep->name, why);
    c->endpoint = ep->name;
    enum rpcfan_err err = rf_class_err(ep->last_class);
    rf_call_finish(core, c, err != RPCFAN_OK ? err : RPCFAN_ECONNECT, now_ns);
}

static bool lingers(const struct rf_network *net, const struct rf_class_queue *q,
                    const struct rf_endpoint *ep, uint64_t now_ns)
{
    return net->linger_ns > 0 && rf_list_empty(&q->retry) && q->n < ep->batch.limit &&
           !first_of(&q->fresh)->stream &&
           now_ns < rf_time_add(first_of(&q->fresh)->submitted_ns, net->linger_ns);
}

/* One exchange that begins with the first call of a list of a class. @return whether there was
 * progress. */
static bool send_from(struct rf_core *core, struct rf_network *net, struct rf_class_queue *q,
                      struct rf_link *list, uint64_t now_ns)
{
    if (rf_list_empty(list))
        return false;
    struct rf_call *head = first_of(list);
    uint64_t candidates = rf_route_candidates(net, head, now_ns);
    if (hopeless(net, head, candidates, now_ns)) {
        fail_hopeless(core, net, head, now_ns);
        return true;
    }
    if (core->in_flight >= core->in_flight_max)
        return false;
    struct rf_route r = rf_route_find(core, net, q, head, candidates, now_ns);
    if (r.ep == NULL) {
        net->wake_ns = rf_min_u64(net->wake_ns, rf_time_add(now_ns, r.wait_ns));
        return false;
    }
    if (lingers(net, q, r.ep, now_ns)) {
        net->wake_ns = rf_min_u64(net->wake_ns, rf_time_add(head->submitted_ns, net->linger_ns));
        return false;
    }
    send_batch(core, q, list, &r, now_ns);
    return true;
}

static bool send_class(struct rf_core *core, struct rf_network *net, struct rf_class_queue *q,
                       uint64_t now_ns)
{
    return q->n > 0 && (send_from(core, net, q, &q->retry, now_ns) ||
                        send_from(core, net, q, &q->fresh, now_ns));
}

/* One exchange of the class queues that share a turn: the one that sent last comes last. A call
 * that goes again and has nowhere to go does not hold up the fresh ones. */
static bool send_turn(struct rf_core *core, struct rf_network *net, uint32_t turn, uint64_t now_ns)
{
    for (uint32_t i = 0; i < net->n_cq; i++) {
        uint32_t at = (net->rr + i) % net->n_cq;
        struct rf_class_queue *q = &net->cq[at];
        if (q->turn != turn || !send_class(core, net, q, now_ns))
            continue;
        net->rr = (at + 1) % net->n_cq;
        return true;
    }
    return false;
}

static uint64_t waiting_turns(const struct rf_network *net)
{
    uint64_t mask = 0;
    for (uint32_t i = 0; i < net->n_cq; i++) {
        if (net->cq[i].n > 0)
            mask |= UINT64_C(1) << net->cq[i].turn;
    }
    return mask;
}

static uint32_t common_windows(const struct rf_limiter *lim)
{
    uint32_t mask = 0;
    for (unsigned i = 0; i < lim->n; i++)
        mask |= lim->w[i].some ? 0 : UINT32_C(1) << i;
    return mask;
}

static uint64_t heads_candidates(const struct rf_network *net, const struct rf_class_queue *q,
                                 uint64_t now_ns)
{
    uint64_t mask = 0;
    if (!rf_list_empty(&q->retry))
        mask |= rf_route_candidates(net, first_of(&q->retry), now_ns);
    if (!rf_list_empty(&q->fresh))
        mask |= rf_route_candidates(net, first_of(&q->fresh), now_ns);
    return mask;
}

/* Whether a class waits for units of that endpoint, and not for other endpoints or another time. */
static bool waits_for(const struct rf_class_queue *q, const struct rf_endpoint *ep, uint64_t mask,
                      uint64_t now_ns)
{
    const struct rf_price *price = &q->price[ep->index];
    return (mask >> ep->index & 1) != 0 && now_ns >= q->paused_until_ns[ep->index] &&
           rf_limiter_fits(&ep->gate.limiter, price->own) &&
           (ep->account == NULL || rf_limiter_fits(&ep->account->gate.limiter, price->account));
}

/* Whether what keeps a class waiting at each endpoint would keep every class: then nobody goes
 * before it, or cheap calls would take each unit as it comes free, and there would never be enough
 * for a dear one. */
static bool keeps_all(struct rf_network *net, uint32_t turn, uint64_t now_ns)
{
    uint64_t soonest_ns = RF_NEVER;
    for (uint32_t k = 0; k < net->n_cq; k++) {
        const struct rf_class_queue *q = &net->cq[k];
        if (q->turn != turn || q->n == 0)
            continue;
        uint64_t mask = heads_candidates(net, q, now_ns);
        for (uint32_t i = 0; i < net->n_ep; i++) {
            struct rf_endpoint *ep = &net->ep[i];
            struct rf_price price = q->price[i];
            uint64_t wait_ns;
            price.own.mask &= common_windows(&ep->gate.limiter);
            if (ep->account != NULL)
                price.account.mask &= common_windows(&ep->account->gate.limiter);
            if (!waits_for(q, ep, mask, now_ns))
                price.own.weight = price.account.weight = 1;
            if (rf_endpoint_room(ep, &price, 1, true, now_ns, &wait_ns) > 0)
                return false;
            soonest_ns = rf_min_u64(soonest_ns, wait_ns);
        }
    }
    net->wake_ns = rf_min_u64(net->wake_ns, rf_time_add(now_ns, soonest_ns));
    return true;
}

/* One exchange of the class whose turn it is, or of the next that can. */
static bool pump_network(struct rf_core *core, struct rf_network *net, uint64_t now_ns)
{
    rf_endpoint_hasten(net, now_ns);
    for (;;) {
        uint64_t waiting = waiting_turns(net);
        uint32_t turn = rf_drr_next(&net->turns, waiting);
        if (turn == UINT32_MAX)
            return false;
        if (send_turn(core, net, turn, now_ns))
            return true;
        if ((waiting & (waiting - 1)) != 0 && keeps_all(net, turn, now_ns))
            return false;
        rf_drr_blocked(&net->turns, turn);
    }
}

void rf_pump(struct rf_core *core, uint64_t now_ns)
{
    for (uint32_t i = 0; i < core->n_net; i++) {
        core->net[i].wake_ns = RF_NEVER;
        rf_drr_begin(&core->net[i].turns);
    }
    bool progress = true;
    while (progress) {
        progress = false;
        uint32_t first = core->rr;
        for (uint32_t i = 0; i < core->n_net; i++) {
            uint32_t at = (first + i) % core->n_net;
            if (core->net[at].queued > 0 && pump_network(core, &core->net[at], now_ns)) {
                core->rr = (at + 1) % core->n_net;
                progress = true;
            }
        }
    }
    for (uint32_t i = 0; i < core->n_net; i++) {
        struct rf_network *net = &core->net[i];
        if (net->served > 0)
            rf_admit_answered(&net->admit, net->served, now_ns);
        net->served = 0;
        rf_admit_backlog(&net->admit, net->queued, now_ns);
    }
}

void rf_pump_unsend(struct rf_core *core, uint64_t now_ns)
{
    for (struct rf_link *l = core->out->send.next, *next; l != &core->out->send; l = next) {
        struct rf_exchange *ex = RF_CONTAINER(l, struct rf_exchange, link);
        next = l->next;
        if (ex->live > 0)
            continue;
        rf_list_remove(&ex->link);
        rf_list_remove(&ex->flight);
        rf_heap_remove(&core->hedges, &ex->hedge);
        core->in_flight--;
        rf_endpoint_untake(&core->net[ex->network].ep[ex->index], ex, now_ns, core);
        rf_pump_recycle(core, ex);
    }
}
