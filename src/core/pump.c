/* pump.c - route, pack, send.
 *
 * Happy path: for each class in turn, the head call picks an endpoint whose gates are open; as many
 * of the calls behind it as the gates and the batch cap allow leave with it in one exchange. So a
 * batch forms from what is already waiting and never by waiting.
 * Failure modes: no gate open: remember the earliest time one could be; nobody to wait for: the call
 * fails at once with the reason; out of memory: the calls of that exchange fail. */
#include "core/pump.h"

#include <string.h>

#include "base/mem.h"
#include "core/endpoint.h"
#include "core/queue.h"
#include "json/rpc.h"

#define POOL_MAX 256
#define BODY_KEEP (256 * 1024)

uint64_t rf_pump_candidates(const struct rf_network *net, const struct rf_call *c, uint64_t now_ns)
{
    uint64_t usable = 0, unbenched = 0;
    for (uint32_t i = 0; i < net->n_ep; i++) {
        if (rf_endpoint_usable(&net->ep[i], now_ns))
            usable |= UINT64_C(1) << i;
        if (now_ns >= net->ep[i].bench_until_ns)
            unbenched |= UINT64_C(1) << i;
    }
    if ((usable & ~c->tried) != 0)
        return usable & ~c->tried;
    return usable != 0 ? usable : unbenched;
}

bool rf_pump_has_other(const struct rf_network *net, const struct rf_call *c, uint64_t now_ns)
{
    for (uint32_t i = 0; i < net->n_ep; i++) {
        if ((c->tried >> i & 1) == 0 && rf_endpoint_usable(&net->ep[i], now_ns))
            return true;
    }
    return false;
}

/* Of the candidates, those of the best priority that can serve now; all of them where none can. */
static uint64_t best_tier(const struct rf_network *net, uint64_t mask, uint64_t now_ns)
{
    uint64_t tier = 0;
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < net->n_ep; i++) {
        const struct rf_endpoint *ep = &net->ep[i];
        bool serving = now_ns >= ep->throttle.paused_until_ns && ep->fail_streak == 0;
        if ((mask >> i & 1) == 0 || !serving || ep->priority > best)
            continue;
        if (ep->priority < best)
            tier = 0;
        best = ep->priority;
        tier |= UINT64_C(1) << i;
    }
    return tier != 0 ? tier : mask;
}

/* The call whose turn it is; the queue is not empty. */
static struct rf_call *head_of(const struct rf_class_queue *q)
{
    const struct rf_link *list = rf_list_empty(&q->retry) ? &q->fresh : &q->retry;
    return RF_CONTAINER(list->next, struct rf_call, link);
}

struct route {
    struct rf_endpoint *ep;
    uint32_t room;
    uint64_t wait_ns; /* where ep is NULL: until one could have room */
};

static struct route find_route(struct rf_network *net, const struct rf_class_queue *q,
                               const struct rf_call *c, uint64_t now_ns)
{
    struct route r = {.wait_ns = RF_NEVER};
    uint64_t mask = rf_pump_candidates(net, c, now_ns);
    bool alone = (mask & (mask - 1)) == 0;
    uint64_t tier = best_tier(net, mask, now_ns);
    double best = 0;
    for (uint32_t i = 0; i < net->n_ep; i++) {
        struct rf_endpoint *ep = &net->ep[i];
        if ((tier >> i & 1) == 0)
            continue;
        uint64_t wait_ns;
        bool probe = ep->breaker.state != RF_BREAKER_CLOSED || (!alone && ep->fail_streak > 0);
        uint32_t want = probe ? 1 : q->n;
        uint32_t room = rf_endpoint_room(ep, q->cost[i], want, alone, now_ns, &wait_ns);
        if (room == 0) {
            r.wait_ns = rf_min_u64(r.wait_ns, wait_ns);
            continue;
        }
        double score = rf_peak_value(&ep->peak, now_ns) * (ep->in_flight + 1);
        if (r.ep == NULL || score < best) {
            best = score;
            r.ep = ep;
            r.room = room;
        }
    }
    return r;
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
    uint64_t now_ns;
};

static bool accepts(const struct packing *p, const struct rf_call *c)
{
    const struct rf_exchange *ex = p->ex;
    if (ex->n == 0)
        return true;
    if (c->once || ex->call[0]->once || ex->n >= p->max)
        return false;
    if (c->batch_max != 0 && ex->n >= c->batch_max)
        return false;
    if (p->bytes + c->tail_len + RF_REQUEST_HEAD_MAX > p->max_bytes)
        return false;
    return c->tried == 0 || (rf_pump_candidates(p->net, c, p->now_ns) >> ex->index & 1) != 0;
}

static void pack_from(struct packing *p, struct rf_link *list)
{
    while (!rf_list_empty(list)) {
        struct rf_call *c = RF_CONTAINER(list->next, struct rf_call, link);
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

static void send_batch(struct rf_core *core, struct rf_network *net, struct rf_class_queue *q,
                       const struct route *r, uint64_t now_ns)
{
    struct rf_exchange *ex = take_exchange(core, r->room);
    if (ex == NULL) {
        rf_call_finish(core, head_of(q), RPCFAN_ENOMEM, now_ns);
        return;
    }
    ex->endpoint = r->ep->id;
    ex->network = net->index;
    ex->index = r->ep->index;
    ex->class_ix = (uint32_t)(q - net->cq);
    ex->aborting = false;
    struct packing p = {.core = core, .net = net, .ex = ex, .max = r->room, .bytes = 2,
                        .max_bytes = rf_batchcap_bytes(&r->ep->batch), .now_ns = now_ns};
    pack_from(&p, &q->retry);
    if (rf_list_empty(&q->retry))
        pack_from(&p, &q->fresh);
    ex->id_base = core->next_id;
    core->next_id += ex->n;
    write_body(ex);
    if (ex->body.failed) {
        fail_packed(core, ex, now_ns);
        return;
    }
    ex->fresh = ex->call[0]->once;
    ex->cost = q->cost[r->ep->index];
    ex->timeout_ns = attempt_timeout(r->ep, ex, now_ns);
    ex->sent_ns = now_ns;
    rf_endpoint_take(r->ep, ex, now_ns);
    core->in_flight++;
    rf_list_push(&core->flying, &ex->flight);
    rf_list_push(&core->out->send, &ex->link);
}

/* Nobody to wait for: every endpoint is benched, or none has ever answered and every breaker is
 * open. A wrong URL then shows at once and not after a deadline. */
static bool hopeless(const struct rf_network *net, const struct rf_call *head, uint64_t now_ns)
{
    if (rf_pump_candidates(net, head, now_ns) == 0)
        return true;
    for (uint32_t i = 0; i < net->n_ep; i++) {
        const struct rf_endpoint *ep = &net->ep[i];
        if (rf_endpoint_usable(ep, now_ns) || ep->count.ok + ep->count.rpc > 0)
            return false;
    }
    return true;
}

/* The head call of a hopeless network: waiting would only hide the reason. */
static void fail_hopeless(struct rf_core *core, struct rf_network *net, struct rf_call *c,
                          uint64_t now_ns)
{
    const struct rf_endpoint *ep = &net->ep[0];
    char why[192];
    rf_endpoint_why(ep, now_ns, why, sizeof why);
    rf_call_explain(c, "no endpoint left: %s %s", ep->name, why);
    c->endpoint = ep->name;
    rf_call_finish(core, c, rf_class_err(ep->last_class), now_ns);
}

static bool lingers(const struct rf_network *net, const struct rf_class_queue *q,
                    const struct rf_endpoint *ep, uint64_t now_ns)
{
    return net->linger_ns > 0 && rf_list_empty(&q->retry) && q->n < ep->batch.limit &&
           now_ns < head_of(q)->submitted_ns + net->linger_ns;
}

/* One exchange of a class. @return whether there was progress. */
static bool send_one(struct rf_core *core, struct rf_network *net, struct rf_class_queue *q,
                     uint64_t now_ns)
{
    if (q->n == 0)
        return false;
    struct rf_call *head = head_of(q);
    if (hopeless(net, head, now_ns)) {
        fail_hopeless(core, net, head, now_ns);
        return true;
    }
    if (core->in_flight >= core->in_flight_max)
        return false;
    struct route r = find_route(net, q, head, now_ns);
    if (r.ep == NULL) {
        net->wake_ns = rf_min_u64(net->wake_ns, rf_time_add(now_ns, r.wait_ns));
        return false;
    }
    if (lingers(net, q, r.ep, now_ns)) {
        net->wake_ns = rf_min_u64(net->wake_ns, head->submitted_ns + net->linger_ns);
        return false;
    }
    send_batch(core, net, q, &r, now_ns);
    return true;
}

static void pump_network(struct rf_core *core, struct rf_network *net, uint64_t now_ns)
{
    net->wake_ns = RF_NEVER;
    bool progress = net->queued > 0;
    while (progress) {
        progress = false;
        for (uint32_t i = 0; i < net->n_cq; i++) {
            struct rf_class_queue *q = &net->cq[(net->rr + i) % net->n_cq];
            if (send_one(core, net, q, now_ns))
                progress = true;
        }
        net->rr = (net->rr + 1) % (net->n_cq > 0 ? net->n_cq : 1);
    }
}

void rf_pump(struct rf_core *core, uint64_t now_ns)
{
    for (uint32_t i = 0; i < core->n_net; i++)
        pump_network(core, &core->net[i], now_ns);
}
