/* plan.c - the life of plans and legs, whatever they are for.
 *
 * Happy path: a plan is made, its legs are queued like calls; each that ends waits on a list until
 * the event that ended it is over, then its plan hears it; the plan answers its parent; the last
 * leg takes the plan with it. Failure modes: the parent is answered or canceled first: the plan
 * loses it and its legs are canceled; out of memory: no leg, and the caller of rf_plan_add() says
 * what that means. */
#include "core/plan.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "core/gather.h"
#include "core/method.h"
#include "core/need.h"
#include "core/queue.h"

/* What a broadcast that was answered still has once the client closes: time for a handshake. */
#define LAST_NS (3 * RF_SEC)

static void free_leg(struct rf_core *core, struct rf_leg *leg)
{
    if (leg == NULL)
        return;
    rf_blob_unref(leg->call.blob);
    rf_free(leg->call.detail);
    rf_buf_fini(&leg->tail);
    rf_buf_fini(&leg->vote);
    rf_free(leg);
    core->n_legs--;
}

/* Requests that were sent for a leg were sent for its parent. */
static void count_sends(struct rf_call *parent, const struct rf_leg *leg)
{
    uint32_t sum = (uint32_t)parent->sends + leg->call.sends;
    parent->sends = sum > UINT16_MAX ? UINT16_MAX : (uint16_t)sum;
}

static void free_plan(struct rf_core *core, struct rf_plan *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        free_leg(core, p->leg[i]);
    rf_buf_fini(&p->out);
    rf_list_remove(&p->link);
    rf_free(p);
}

void rf_plan_discard(struct rf_plan *p)
{
    rf_list_remove(&p->link);
    rf_free(p);
}

void rf_plan_shift(struct rf_core *core, struct rf_plan *p)
{
    if (p->parent != NULL)
        count_sends(p->parent, p->leg[0]);
    free_leg(core, p->leg[0]);
    memmove(&p->leg[0], &p->leg[1], (p->n - 1) * sizeof p->leg[0]);
    p->n--;
}

struct rf_plan *rf_plan_new(struct rf_core *core, enum rf_plan_kind kind, uint32_t network,
                            struct rf_call *parent)
{
    struct rf_plan *p = rf_alloc(sizeof *p);
    if (p == NULL)
        return NULL;
    p->kind = kind;
    p->network = network;
    p->parent = parent;
    if (parent != NULL && parent->plan != NULL)
        rf_plan_leave(core, parent, core->now_ns); /* its hedge */
    rf_list_push(&core->plans, &p->link);
    if (parent != NULL) {
        if (kind != RF_PLAN_HEDGE)
            rf_call_spread(core, parent);
        parent->plan = p;
    }
    return p;
}

/* The core's heaps have room for every call that a caller may have pending; legs come on top. */
static bool make_room(struct rf_core *core)
{
    uint64_t want = (uint64_t)core->pending_max + core->n_legs + 1;
    if (want < core->delays.cap)
        return true;
    want += want / 4; /* or each leg of a new record would move the heap */
    return want <= UINT32_MAX && rf_heap_reserve(&core->delays, (uint32_t)want);
}

/* Where there are too many class queues for one of its own it waits among others. */
static bool pin(struct rf_network *net, uint64_t only, uint32_t *class_ix)
{
    enum rpcfan_err e = rf_method_pinned(net, *class_ix, only, class_ix);
    return e == RPCFAN_OK || e == RPCFAN_EINVAL;
}

static bool set_up(struct rf_core *core, struct rf_plan *p, struct rf_leg *leg, uint64_t only)
{
    struct rf_network *net = &core->net[p->network];
    struct rf_call *c = &leg->call;
    struct rf_method_kind m = {0};
    c->network = p->network;
    c->submitted_ns = core->now_ns;
    c->leg_of = p;
    c->only = only;
    c->policy = RPCFAN_BALANCE;
    c->split = p->split != 0 ? p->split : (uint8_t)RPCFAN_SPLIT_NONE;
    if (rf_method_find(net, rf_call_method(c), &m) != RPCFAN_OK)
        return false;
    if (only != 0 && !pin(net, only, &m.class_ix))
        return false;
    c->class_ix = m.class_ix;
    c->method_ix = m.method_ix;
    c->once = m.once;
    c->read = m.read;
    c->send = m.send;
    if (net->n_ep > 1 && p->kind != RF_PLAN_PROBE) {
        struct rf_need need = rf_need_of_call(net->family, rf_call_method(c), rf_call_params(c));
        c->need = (uint8_t)need.kind;
        c->need_at = need.at;
    }
    if (p->parent != NULL)
        c->depth = (uint8_t)(p->parent->depth + (p->kind == RF_PLAN_RANGE));
    return true;
}

/* `"method":"` up to the next quote that is not escaped. */
static uint32_t method_len(const char *tail, size_t len)
{
    size_t at = RF_CALL_METHOD_AT;
    while (at < len && tail[at] != '"')
        at += tail[at] == '\\' ? 2 : 1;
    return (uint32_t)(at - RF_CALL_METHOD_AT);
}

struct rf_leg *rf_plan_add(struct rf_core *core, struct rf_plan *p, struct rpcfan_slice tail,
                           uint64_t only, uint64_t deadline_ns)
{
    if (p->n == RF_PLAN_LEGS_MAX || !make_room(core))
        return NULL;
    struct rf_leg *leg = rf_alloc(sizeof *leg);
    if (leg == NULL)
        return NULL;
    core->n_legs++;
    struct rf_call *c = &leg->call;
    rf_buf_add(&leg->tail, tail.data, tail.len);
    c->tail = leg->tail.data;
    c->tail_len = leg->tail.len;
    c->deadline_ns = deadline_ns;
    if (leg->tail.failed)
        goto fail;
    c->method_len = method_len(c->tail, c->tail_len);
    if (!set_up(core, p, leg, only) || !rf_due_add(&core->deadlines, &c->deadline, deadline_ns))
        goto fail;
    p->leg[p->n++] = leg;
    p->live++;
    p->asked |= only;
    core->net[p->network].legs++;
    if (p->kind == RF_PLAN_RANGE || !rf_split_start(core, c, core->now_ns))
        rf_call_queue(core, c, RF_QUEUE_NEW, core->now_ns);
    return leg;
fail:
    free_leg(core, leg);
    return NULL;
}

static void cancel_legs(struct rf_core *core, struct rf_plan *p, uint64_t now_ns)
{
    for (uint32_t i = 0; i < p->n; i++) {
        struct rf_call *c = &p->leg[i]->call;
        if (c->state != RF_CALL_DONE)
            rf_call_finish(core, c, RPCFAN_ECANCELED, now_ns);
    }
}

void rf_plan_leave(struct rf_core *core, struct rf_call *parent, uint64_t now_ns)
{
    struct rf_plan *p = parent->plan;
    parent->plan = NULL;
    p->parent = NULL;
    for (uint32_t i = 0; i < p->n; i++)
        count_sends(parent, p->leg[i]);
    if (p->kind != RF_PLAN_BROADCAST || parent->err == RPCFAN_ECANCELED)
        cancel_legs(core, p, now_ns);
    if (p->live == 0)
        free_plan(core, p);
}

static void set_deadline(struct rf_core *core, struct rf_call *c, uint64_t deadline_ns,
                         uint64_t now_ns)
{
    rf_due_remove(&core->deadlines, &c->deadline);
    c->deadline_ns = deadline_ns;
    if (!rf_due_add(&core->deadlines, &c->deadline, deadline_ns))
        rf_call_finish(core, c, RPCFAN_ENOMEM, now_ns);
}

static void hurry(struct rf_core *core, struct rf_plan *p, uint64_t now_ns)
{
    uint64_t last_ns = rf_time_add(now_ns, LAST_NS);
    if (p->hurried)
        return;
    p->hurried = true;
    for (uint32_t i = 0; i < p->n; i++) {
        struct rf_call *c = &p->leg[i]->call;
        if (c->state != RF_CALL_DONE && c->deadline_ns > last_ns)
            set_deadline(core, c, last_ns, now_ns);
    }
}

void rf_plan_cancel_orphans(struct rf_core *core, uint64_t now_ns)
{
    for (struct rf_link *l = core->plans.next; l != &core->plans; l = l->next) {
        struct rf_plan *p = RF_CONTAINER(l, struct rf_plan, link);
        if (p->parent == NULL && p->kind == RF_PLAN_BROADCAST)
            hurry(core, p, now_ns);
        else if (p->parent == NULL)
            cancel_legs(core, p, now_ns);
    }
}

void rf_plan_extend(struct rf_core *core, struct rf_plan *p, uint64_t deadline_ns)
{
    for (uint32_t i = 0; i < p->n; i++) {
        struct rf_call *c = &p->leg[i]->call;
        if (c->state == RF_CALL_DONE || c->deadline_ns >= deadline_ns)
            continue;
        if (c->plan != NULL)
            rf_plan_extend(core, c->plan, deadline_ns);
        set_deadline(core, c, deadline_ns, core->now_ns);
    }
}

static uint32_t count_legs(const struct rf_plan *p, uint32_t most)
{
    uint32_t n = p->live;
    for (uint32_t i = 0; i < p->n && n < most; i++) {
        const struct rf_plan *below = p->leg[i]->call.plan;
        n += below != NULL ? count_legs(below, most - n) : 0;
    }
    return n;
}

uint32_t rf_plan_family(const struct rf_plan *p)
{
    while (p->parent != NULL && p->parent->leg_of != NULL)
        p = p->parent->leg_of;
    return count_legs(p, RF_PLAN_LEGS_MAX);
}

static void hear(struct rf_core *core, struct rf_plan *p, struct rf_leg *leg, uint64_t now_ns)
{
    switch (p->kind) {
    case RF_PLAN_FIRST:
    case RF_PLAN_QUORUM:
    case RF_PLAN_BROADCAST:
        rf_fan_heard(core, p, leg, now_ns);
        break;
    case RF_PLAN_LOOKUP:
        rf_send_heard(core, p, leg, now_ns);
        break;
    case RF_PLAN_HEAD:
    case RF_PLAN_RANGE:
        rf_split_heard(core, p, leg, now_ns);
        break;
    case RF_PLAN_HEDGE:
        rf_second_heard(core, p, leg, now_ns);
        break;
    case RF_PLAN_GATHER:
        rf_gather_heard(core, p, leg, now_ns);
        break;
    case RF_PLAN_PROBE:
        break;
    }
}

/* A handler may answer the parent, add legs, or leave the parent to go on by itself; it never frees
 * the plan, because one leg is still counted as live while it is heard. */
bool rf_plan_run(struct rf_core *core, uint64_t now_ns)
{
    bool any = false;
    struct rf_link *l;
    while ((l = rf_list_shift(&core->legs_done)) != NULL) {
        any = true;
        struct rf_call *c = RF_CONTAINER(l, struct rf_call, link);
        struct rf_leg *leg = RF_CONTAINER(c, struct rf_leg, call);
        struct rf_plan *p = c->leg_of;
        leg->done = true;
        if (p->parent != NULL || p->kind == RF_PLAN_GATHER)
            hear(core, p, leg, now_ns);
        if (--p->live > 0)
            continue;
        assert(p->parent == NULL || p->kind == RF_PLAN_HEDGE);
        if (p->parent != NULL)
            rf_plan_leave(core, p->parent, now_ns); /* it lost: the call goes on without it */
        else
            free_plan(core, p);
    }
    return any;
}

void rf_plan_answer(struct rf_core *core, struct rf_plan *p, struct rf_leg *leg, uint64_t now_ns)
{
    struct rf_call *to = p->parent, *from = &leg->call;
    to->blob = from->blob;
    from->blob = NULL;
    to->json = from->json;
    to->json_len = from->json_len;
    to->space = from->space;
    to->endpoint = from->endpoint;
    to->cause = from->cause;
    rf_free(to->detail);
    to->detail = from->detail;
    from->detail = NULL;
    rf_call_finish(core, to, from->err, now_ns);
}

void rf_plan_answer_json(struct rf_core *core, struct rf_call *c, enum rpcfan_err err,
                         struct rpcfan_slice json, bool space, uint64_t now_ns)
{
    struct rf_blob *blob = rf_blob_new(json.len + 1);
    if (blob == NULL || !rf_blob_add(blob, json.data, json.len)) {
        rf_blob_unref(blob);
        rf_call_finish(core, c, RPCFAN_ENOMEM, now_ns);
        return;
    }
    rf_blob_unref(c->blob);
    c->blob = blob;
    c->json = blob->data;
    c->json_len = blob->len;
    c->space = space;
    rf_call_finish(core, c, err, now_ns);
}
