/* queue.c - moves calls between their states. */
#include "core/queue.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "core/endpoint.h"
#include "core/gather.h"
#include "core/plan.h"
#include "policy/backoff.h"

/* While nothing succeeds, a retry that the budget denies fails at once; while something does, it
 * waits for budget. This is how long the last success counts. */
#define ALIVE_NS (10 * RF_SEC)
#define TOKEN_WAIT_NS (100 * RF_MS)

static struct rf_network *net_of(struct rf_core *core, const struct rf_call *c)
{
    return &core->net[c->network];
}

static void leave_queue(struct rf_network *net, struct rf_call *c)
{
    struct rf_class_queue *q = &net->cq[c->class_ix];
    if (q->front == &c->link)
        q->front = c->link.next;
    rf_list_remove(&c->link);
    q->n--;
    net->queued--;
    rf_gather_unqueued(c);
}

/* What was sent for a leg was sent for those that it stands for. */
static void leave_leg(struct rf_call *c)
{
    uint32_t sends = (uint32_t)c->sends + c->into->sends;
    c->sends = sends > UINT16_MAX ? UINT16_MAX : (uint16_t)sends;
    c->into->leg_of->waiting--;
    c->into = NULL;
}

/* The one writer of `state`: takes the call out of where it is. */
static void set_state(struct rf_core *core, struct rf_call *c, enum rf_call_state to)
{
    struct rf_network *net = net_of(core, c);
    assert(c->state != RF_CALL_DONE);
    switch ((enum rf_call_state)c->state) {
    case RF_CALL_QUEUED:
        leave_queue(net, c);
        break;
    case RF_CALL_DELAYED:
        rf_heap_remove(&core->delays, &c->delay);
        net->delayed--;
        break;
    case RF_CALL_SENT:
        c->ex->call[c->at] = NULL;
        c->ex->live--;
        c->ex = NULL;
        net->in_flight--;
        break;
    case RF_CALL_JOINED:
        rf_list_remove(&c->link);
        if (c->into != NULL)
            leave_leg(c);
        break;
    case RF_CALL_NEW:
    case RF_CALL_SPREAD:
    case RF_CALL_DONE:
        break;
    }
    c->state = (uint8_t)to;
}

void rf_call_queue(struct rf_core *core, struct rf_call *c, enum rf_queue_end end, uint64_t now_ns)
{
    if (core->phase == RF_CORE_ENDING) {
        rf_call_finish(core, c, RPCFAN_ECANCELED, now_ns);
        return;
    }
    struct rf_network *net = net_of(core, c);
    set_state(core, c, RF_CALL_QUEUED);
    struct rf_class_queue *q = &net->cq[c->class_ix];
    if (end == RF_QUEUE_NEW)
        rf_list_push(&q->fresh, &c->link);
    else if (end == RF_QUEUE_RETRY)
        rf_list_push(&q->retry, &c->link);
    else
        rf_list_before(q->front, &c->link);
    q->n++;
    net->queued++;
    rf_gather_queued(core, c, end != RF_QUEUE_NEW);
}

void rf_call_delay(struct rf_core *core, struct rf_call *c, uint64_t ready_ns, uint64_t now_ns)
{
    if (core->phase == RF_CORE_ENDING) {
        rf_call_finish(core, c, RPCFAN_ECANCELED, now_ns);
        return;
    }
    set_state(core, c, RF_CALL_DELAYED);
    net_of(core, c)->delayed++;
    bool pushed = rf_heap_push(&core->delays, &c->delay, ready_ns);
    assert(pushed); /* room for every pending call is reserved at the start */
    (void)pushed;
}

void rf_call_pack(struct rf_core *core, struct rf_call *c, struct rf_exchange *ex)
{
    set_state(core, c, RF_CALL_SENT);
    c->ex = ex;
    c->at = ex->n;
    c->sends++;
    ex->call[ex->n++] = c;
    ex->live++;
    net_of(core, c)->in_flight++;
}

void rf_call_spread(struct rf_core *core, struct rf_call *c)
{
    set_state(core, c, RF_CALL_SPREAD);
}

/* Who joins may have more time: then what is under way for both has it too. */
static void extend(struct rf_core *core, struct rf_call *c, uint64_t until_ns)
{
    struct rf_heap *rest = &core->deadlines.rest;
    if (c->state == RF_CALL_DONE || until_ns <= c->deadline_ns)
        return;
    if (c->leg_of != NULL) {
        if (!rf_heap_reserve(rest, rest->len + 1))
            return; /* it ends when it would have ended */
        rf_due_remove(&core->deadlines, &c->deadline);
        (void)rf_due_add(&core->deadlines, &c->deadline, until_ns);
    }
    c->deadline_ns = until_ns;
    if (c->into != NULL)
        extend(core, c->into, until_ns);
    for (uint32_t i = 0; c->plan != NULL && i < c->plan->n; i++)
        extend(core, &c->plan->leg[i]->call, until_ns);
}

void rf_call_join(struct rf_core *core, struct rf_call *c, struct rf_call *leader)
{
    set_state(core, c, RF_CALL_JOINED);
    extend(core, leader, c->deadline_ns);
    if (leader->joiners.next == NULL)
        rf_list_init(&leader->joiners);
    rf_list_push(&leader->joiners, &c->link);
    net_of(core, c)->joined++;
}

void rf_call_gather(struct rf_core *core, struct rf_call *c, struct rf_call *leg)
{
    set_state(core, c, RF_CALL_JOINED);
    extend(core, leg, c->deadline_ns);
    if (leg->joiners.next == NULL)
        rf_list_init(&leg->joiners);
    rf_list_push(&leg->joiners, &c->link);
    c->into = leg;
    leg->leg_of->waiting++;
}

void rf_call_stand_for(struct rf_core *core, struct rf_call *leg, struct rf_call *c, bool again)
{
    struct rf_network *net = net_of(core, c);
    rf_list_remove(&leg->link);
    if (leg->class_ix == c->class_ix)
        rf_list_before(&c->link, &leg->link);
    else
        rf_list_push(again ? &net->cq[leg->class_ix].retry : &net->cq[leg->class_ix].fresh,
                     &leg->link);
}

static bool has_joiners(const struct rf_call *c)
{
    return c->joiners.next != NULL && !rf_list_empty(&c->joiners);
}

/* The answer of one is the answer of all; each has a share in the body. */
static void answer_joiners(struct rf_core *core, struct rf_call *c, uint64_t now_ns)
{
    while (has_joiners(c)) {
        struct rf_call *j = RF_CONTAINER(c->joiners.next, struct rf_call, link);
        rf_blob_ref(c->blob, 1);
        j->blob = c->blob;
        j->json = c->json;
        j->json_len = c->json_len;
        j->space = c->space;
        j->endpoint = c->endpoint;
        j->sends = c->sends;
        j->detail = c->detail != NULL ? rf_strdup(c->detail) : NULL;
        rf_call_finish(core, j, c->err, now_ns);
    }
}

void rf_call_finish(struct rf_core *core, struct rf_call *c, enum rpcfan_err err, uint64_t now_ns)
{
    struct rf_network *net = net_of(core, c);
    bool sent = c->state == RF_CALL_SENT;
    struct rf_call *leg = c->into;
    set_state(core, c, RF_CALL_DONE);
    rf_gather_drop(net, c);
    if (sent && (err == RPCFAN_OK || err == RPCFAN_ERPC))
        net->served++; /* a leg as well: it was queued like any call */
    rf_due_remove(&core->deadlines, &c->deadline);
    rf_join_remove(&net->joins, &c->join);
    if (err == RPCFAN_OK) {
        rf_free(c->detail);
        c->detail = NULL;
        net->last_success_ns = now_ns;
    }
    c->err = err;
    c->done_ns = now_ns;
    if (c->plan != NULL)
        rf_plan_leave(core, c, now_ns);
    if (c->leg_of != NULL) {
        rf_list_push(&core->legs_done, &c->link);
        return;
    }
    core->live--;
    net->answered++;
    rf_list_push(&core->out->done, &c->link);
    answer_joiners(core, c, now_ns);
    if (leg != NULL)
        rf_gather_left(core, leg, now_ns);
}

/* What a call has been through. */
static void hand_over_books(struct rf_call *from, struct rf_call *to)
{
    to->class_ix = from->class_ix;
    to->tries = from->tries;
    to->requeues = from->requeues;
    to->laters = from->laters;
    to->sends = from->sends;
    to->tried = from->tried;
    to->away = from->away;
    to->batch_max = from->batch_max;
    to->gather_max = from->gather_max;
    to->moved_free = from->moved_free;
    to->needs_token = from->needs_token;
    to->token_group = from->token_group;
    to->cause = from->cause;
    to->err = from->err;
    to->endpoint = from->endpoint;
    to->detail = from->detail != NULL ? rf_strdup(from->detail) : NULL;
    to->deadline_ns = rf_max_u64(to->deadline_ns, from->deadline_ns);
}

/* Of an equal call: where it stands, what it has been through, and who waits for it. */
static void hand_over(struct rf_core *core, struct rf_call *from, struct rf_call *to)
{
    struct rf_network *net = net_of(core, from);
    rf_list_remove(&to->link);
    hand_over_books(from, to);
    if (from->state == RF_CALL_QUEUED) {
        rf_list_before(&from->link, &to->link);
        rf_list_remove(&from->link);
    } else if (from->state == RF_CALL_DELAYED) {
        uint64_t at_ns = from->delay.at_ns;
        rf_heap_remove(&core->delays, &from->delay);
        bool pushed = rf_heap_push(&core->delays, &to->delay, at_ns);
        assert(pushed);
        (void)pushed;
    } else if (from->state == RF_CALL_SENT) {
        from->ex->call[from->at] = to;
    } else if (from->state == RF_CALL_JOINED) {
        rf_list_before(&from->link, &to->link);
        rf_list_remove(&from->link);
    }
    to->state = from->state;
    to->ex = from->ex;
    to->at = from->at;
    to->into = from->into;
    to->gather = from->gather;
    if (to->gather != NULL && to->gather->lone == from)
        to->gather->lone = to;
    to->plan = from->plan;
    if (to->plan != NULL) {
        to->plan->parent = to;
        rf_plan_extend(core, to->plan, to->deadline_ns);
    }
    rf_list_init(&to->joiners);
    rf_list_splice(&to->joiners, &from->joiners);
    rf_join_replace(&net->joins, &from->join, &to->join, to->tail);
    from->state = RF_CALL_NEW;
    from->plan = NULL;
    from->ex = NULL;
    from->into = NULL;
    from->gather = NULL;
}

void rf_queue_abort(struct rf_core *core, struct rf_exchange *ex)
{
    if (ex->aborting)
        return;
    ex->aborting = true;
    rf_list_push(&core->out->abort, &ex->link);
}

void rf_call_leave(struct rf_core *core, struct rf_call *c, enum rpcfan_err err, uint64_t now_ns)
{
    if (has_joiners(c) && c->leg_of == NULL)
        hand_over(core, c, RF_CONTAINER(c->joiners.next, struct rf_call, link));
    /* An answer that is too late is still worth its books, but not where it is gigabytes. */
    if (c->stream && c->state == RF_CALL_SENT)
        rf_queue_abort(core, c->ex);
    rf_call_finish(core, c, err, now_ns);
}

void rf_call_explain(struct rf_call *c, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    char *detail = rf_strdup(text);
    if (detail == NULL)
        return;
    rf_free(c->detail);
    c->detail = detail;
}

/* A call that was never sent: say what stood in its way. */
static void explain_wait(struct rf_core *core, struct rf_call *c, uint64_t now_ns)
{
    const struct rf_network *net = net_of(core, c);
    if (c->detail != NULL || net->n_ep == 0)
        return;
    if ((c->into != NULL ? c->into : c)->state == RF_CALL_SENT) {
        rf_call_explain(c, "deadline passed while waiting for the answer");
        return;
    }
    if (c->plan != NULL && c->state == RF_CALL_SPREAD) {
        rf_call_explain(c, "deadline passed while %u of the requests made for it were under way",
                        c->plan->live);
        return;
    }
    char why[192];
    rf_endpoint_why(&net->ep[0], now_ns, why, sizeof why);
    rf_call_explain(c, "deadline passed in the queue, %llu calls waiting; %s: %s",
                    (unsigned long long)(net->queued + net->delayed), net->ep[0].name, why);
}

bool rf_queue_alive(const struct rf_network *net, uint64_t now_ns)
{
    return net->last_success_ns > 0 && rf_time_sub(now_ns, net->last_success_ns) < ALIVE_NS;
}

void rf_queue_expire(struct rf_core *core, uint64_t now_ns)
{
    struct rf_due_node *n;
    while ((n = rf_due_top(&core->deadlines)) != NULL && n->heap.at_ns <= now_ns) {
        struct rf_call *c = RF_CONTAINER(n, struct rf_call, deadline);
        explain_wait(core, c, now_ns);
        rf_call_leave(core, c, RPCFAN_EDEADLINE, now_ns);
    }
}

/* Whether a call that lacks budget may go now. Calls of one failed exchange share one token; they
 * stand in the heap one behind the other. */
static bool token(struct rf_core *core, struct rf_call *c)
{
    if (!c->needs_token || c->token_group == core->token_group ||
        rf_endpoint_all_guarded(net_of(core, c), core->now_ns))
        return true;
    if (!rf_budget_take(&net_of(core, c)->budget))
        return false;
    core->token_group = c->token_group;
    return true;
}

void rf_queue_wake(struct rf_core *core, uint64_t now_ns)
{
    struct rf_heap_node *n;
    while ((n = rf_heap_top(&core->delays)) != NULL && n->at_ns <= now_ns) {
        struct rf_call *c = RF_CONTAINER(n, struct rf_call, delay);
        const struct rf_network *net = net_of(core, c);
        if (token(core, c)) {
            net_of(core, c)->retried += c->needs_token; /* the others were counted when delayed */
            c->needs_token = false;
            rf_call_queue(core, c, RF_QUEUE_RETRY, now_ns);
        } else if (rf_queue_alive(net, now_ns)) {
            rf_call_delay(core, c, now_ns + TOKEN_WAIT_NS, now_ns);
        } else {
            rf_call_finish(core, c, c->err, now_ns);
        }
    }
}

static void cancel_list(struct rf_core *core, struct rf_link *list, uint64_t now_ns)
{
    while (!rf_list_empty(list))
        rf_call_finish(core, RF_CONTAINER(list->next, struct rf_call, link), RPCFAN_ECANCELED,
                       now_ns);
}

void rf_queue_cancel_waiting(struct rf_core *core, uint64_t now_ns)
{
    for (uint32_t i = 0; i < core->n_net; i++) {
        for (uint32_t k = 0; k < core->net[i].n_cq; k++) {
            cancel_list(core, &core->net[i].cq[k].retry, now_ns);
            cancel_list(core, &core->net[i].cq[k].fresh, now_ns);
        }
    }
    struct rf_heap_node *n;
    while ((n = rf_heap_top(&core->delays)) != NULL)
        rf_call_finish(core, RF_CONTAINER(n, struct rf_call, delay), RPCFAN_ECANCELED, now_ns);
}
