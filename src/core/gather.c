/* gather.c - getAccountInfo calls that wait together become one getMultipleAccounts.
 *
 * Happy path: the second call with equal options that comes while the first one waits makes a leg,
 * which takes the first one's place in the queue; those that come while the leg waits go into it,
 * up to what a node takes. So a leg forms from what is waiting and never by waiting. When its turn
 * comes the keys are written; its answer is cut up, and each call has what it would have had alone.
 * Failure modes: an error for the whole leg may be one account's: it is asked for in halves, and a
 * few by themselves, so that it ends up with its own caller; more keys than the node takes: fewer,
 * and that is kept for the endpoint; no such method, or a plan without it: each by itself; an error
 * that is about the node or the time is everybody's, after the leg has had all its tries. */
#include "core/gather.h"

#include <string.h>

#include "base/mem.h"
#include "core/endpoint.h"
#include "core/gather_text.h"
#include "core/method.h"
#include "core/queue.h"

#define SINGLE "getAccountInfo"
#define MULTIPLE "getMultipleAccounts"
#define TAIL "\"method\":\"" MULTIPLE "\",\"params\":[["
#define INPUTS 100      /* where a node has not told otherwise: agave's default */
#define INPUTS_MAX 500  /* whatever it tells: some 25 KB, half of a body that agave takes */
#define FEW 8           /* that are asked for one by one rather than in halves again */
#define GROUPS_MAX 4096 /* sets of options at a time */
#define TAIL_KEEP 8192
#define POISON_TRIES 2 /* of a leg that is answered with an error as of the node */

static bool is(struct rpcfan_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

static struct rf_plan *plan_of(const struct rf_call *c)
{
    return c->leg_of != NULL && c->leg_of->kind == RF_PLAN_GATHER ? c->leg_of : NULL;
}

static struct rf_call *first_in(const struct rf_call *leg)
{
    return RF_CONTAINER(leg->joiners.next, struct rf_call, link);
}

bool rf_gather_init(struct rf_network *net)
{
    return !net->gather || rf_join_init(&net->gathers, GROUPS_MAX);
}

static struct rf_gather *group_of(struct rf_network *net, uint64_t salt, const struct rf_buf *b)
{
    struct rf_join_node *n = rf_join_find(&net->gathers, salt, b->data, b->len);
    if (n != NULL)
        return RF_CONTAINER(n, struct rf_gather, node);
    struct rf_gather *g = rf_alloc(sizeof *g + b->len);
    if (g == NULL)
        return NULL;
    g->len = b->len;
    memcpy(g->options, b->data, b->len);
    if (rf_join_add(&net->gathers, &g->node, salt, g->options, g->len))
        return g;
    rf_free(g);
    return NULL;
}

void rf_gather_admit(struct rf_core *core, struct rf_network *net, struct rf_call *c)
{
    struct rf_buf options = {0};
    if (!net->gather || c->policy > RPCFAN_FAILOVER || c->only != 0 ||
        !is(rf_call_method(c), SINGLE))
        return;
    if (rf_gather_read(rf_call_params(c), &options)) {
        c->gather = group_of(net, core->join_salt ^ c->policy, &options);
        if (c->gather != NULL)
            c->gather->refs++;
    }
    rf_buf_fini(&options);
}

void rf_gather_drop(struct rf_network *net, struct rf_call *c)
{
    struct rf_gather *g = c->gather;
    c->gather = NULL;
    if (g == NULL || --g->refs > 0)
        return;
    rf_join_remove(&net->gathers, &g->node);
    rf_free(g);
}

void rf_gather_unqueued(struct rf_call *c)
{
    struct rf_gather *g = c->gather;
    if (g == NULL)
        return;
    if (g->lone == c)
        g->lone = NULL;
    if (g->open == c)
        g->open = NULL;
}

static uint32_t inputs_of(const struct rf_endpoint *ep)
{
    return ep->inputs_max == 0 ? INPUTS : ep->inputs_max < INPUTS_MAX ? ep->inputs_max : INPUTS_MAX;
}

/* The most keys that any endpoint takes at once; 0: none can be asked for several. */
static uint32_t most_inputs(const struct rf_core *core, struct rf_network *net)
{
    struct rf_method_kind m = {0};
    uint32_t most = 0;
    if (rf_method_find(net, (struct rpcfan_slice){MULTIPLE, strlen(MULTIPLE)}, &m) != RPCFAN_OK)
        return 0;
    uint64_t absent = 0;
    if (m.method_ix != RF_METHOD_NONE && core->now_ns < net->method[m.method_ix].absent_until_ns)
        absent = net->method[m.method_ix].absent;
    for (uint32_t i = 0; i < net->n_ep; i++) {
        uint32_t n = inputs_of(&net->ep[i]);
        if ((absent >> i & 1) == 0 && n > most &&
            rf_endpoint_fits(&net->ep[i], &net->cq[m.class_ix].price[i]))
            most = n;
    }
    return most;
}

static uint32_t limit_of(const struct rf_call *c)
{
    return c->gather_max != 0 ? c->gather_max : INPUTS_MAX;
}

/* One that failed, or is to be isolated, has no company any more. */
static bool may_gather(const struct rf_call *c)
{
    return c->gather != NULL && c->leg_of == NULL && c->state == RF_CALL_QUEUED &&
           c->gather_max != 1 && c->tries == 0 && c->tried == 0 && c->batch_max == 0;
}

static bool absorb(struct rf_core *core, struct rf_call *leg, struct rf_call *c)
{
    struct rf_plan *p = leg->leg_of;
    uint32_t room = p->room < limit_of(c) ? p->room : limit_of(c);
    if (p->waiting >= room)
        return false;
    p->room = room;
    rf_call_gather(core, c, leg);
    return true;
}

/* The first key will do for now: all of them are written when its turn comes. */
static bool write_first(struct rf_buf *b, const struct rf_gather *g)
{
    struct rpcfan_slice key = rf_gather_key(rf_call_params(g->lone));
    rf_buf_str(b, TAIL);
    rf_buf_add(b, key.data, key.len);
    rf_buf_str(b, "],");
    rf_buf_add(b, g->options, g->len);
    rf_buf_str(b, "]}");
    return !b->failed;
}

static struct rf_call *new_leg(struct rf_core *core, struct rf_gather *g, const struct rf_call *c)
{
    struct rf_buf tail = {0};
    struct rf_leg *leg = NULL;
    struct rf_plan *p = rf_plan_new(core, RF_PLAN_GATHER, c->network, NULL);
    if (p != NULL && write_first(&tail, g))
        leg = rf_plan_add(core, p, (struct rpcfan_slice){tail.data, tail.len}, 0,
                          rf_max_u64(g->lone->deadline_ns, c->deadline_ns));
    rf_buf_fini(&tail);
    if (leg == NULL) {
        if (p != NULL)
            rf_plan_discard(p);
        return NULL;
    }
    leg->call.policy = c->policy;
    leg->call.submitted_ns = g->lone->submitted_ns;
    leg->call.gather = g;
    g->refs++;
    return &leg->call;
}

static bool form(struct rf_core *core, struct rf_gather *g, struct rf_call *c)
{
    struct rf_call *first = g->lone;
    uint32_t room = limit_of(first) < limit_of(c) ? limit_of(first) : limit_of(c);
    uint32_t most = room < 2 ? 0 : most_inputs(core, &core->net[c->network]);
    if (most < 2)
        return false;
    struct rf_call *leg = new_leg(core, g, c);
    if (leg == NULL)
        return false;
    leg->leg_of->room = room < most ? room : most;
    rf_call_stand_for(core, leg, first, g->lone_again);
    rf_call_gather(core, first, leg);
    rf_call_gather(core, c, leg);
    g->open = leg;
    return true;
}

void rf_gather_queued(struct rf_core *core, struct rf_call *c, bool again)
{
    struct rf_gather *g = c->gather;
    if (!may_gather(c) || (g->open != NULL && absorb(core, g->open, c)))
        return;
    if (g->lone != NULL) {
        (void)form(core, g, c);
        return;
    }
    g->lone = c;
    g->lone_again = again;
}

void rf_gather_left(struct rf_core *core, struct rf_call *leg, uint64_t now_ns)
{
    if (leg->state != RF_CALL_DONE && rf_list_empty(&leg->joiners))
        rf_call_finish(core, leg, RPCFAN_ECANCELED, now_ns);
}

/* Whether the calls by themselves would cost less, where calls are weighed. */
static bool is_dearer(const struct rf_network *net, const struct rf_call *leg,
                      const struct rf_endpoint *ep)
{
    const struct rf_price *many = &net->cq[leg->class_ix].price[ep->index];
    const struct rf_price *one = &net->cq[first_in(leg)->class_ix].price[ep->index];
    bool weighed =
        rf_limiter_weighs(&ep->gate.limiter, many->own) ||
        (ep->account != NULL && rf_limiter_weighs(&ep->account->gate.limiter, many->account));
    return weighed && (uint64_t)leg->leg_of->waiting * one->own.weight < many->own.weight;
}

/* Queue what a leg stands for again, from its `keep`-th call on.
 * @param most  in legs of so many at most; 1: by themselves; 0: as before. */
static void scatter(struct rf_core *core, struct rf_call *leg, uint32_t keep, uint32_t most,
                    uint64_t now_ns)
{
    struct rf_link *l = leg->joiners.next;
    while (keep-- > 0 && l != &leg->joiners)
        l = l->next;
    while (l != &leg->joiners) {
        struct rf_call *c = RF_CONTAINER(l, struct rf_call, link);
        l = l->next;
        if (most != 0)
            c->gather_max = (uint16_t)(most < limit_of(c) ? most : limit_of(c));
        if (most == 1 && leg->tries > 0) {
            c->tries = leg->tries;
            c->tried = leg->tried;
        }
        rf_call_queue(core, c, RF_QUEUE_RETRY, now_ns);
    }
}

/* Write all keys. */
static bool write_keys(struct rf_call *c, uint32_t *n)
{
    struct rf_leg *leg = RF_CONTAINER(c, struct rf_leg, call);
    struct rf_buf *b = &leg->tail;
    *n = 0;
    rf_buf_reset(b, TAIL_KEEP);
    rf_buf_str(b, TAIL);
    for (struct rf_link *l = c->joiners.next; l != &c->joiners; l = l->next) {
        struct rf_call *m = RF_CONTAINER(l, struct rf_call, link);
        struct rpcfan_slice key = rf_gather_key(rf_call_params(m));
        m->at = (*n)++;
        if (m->at > 0)
            rf_buf_char(b, ',');
        rf_buf_add(b, key.data, key.len);
    }
    rf_buf_str(b, "],");
    rf_buf_add(b, c->gather->options, c->gather->len);
    rf_buf_str(b, "]}");
    c->tail = b->data;
    c->tail_len = b->len;
    return !b->failed;
}

bool rf_gather_ready(struct rf_core *core, struct rf_call *c, const struct rf_endpoint *ep,
                     uint64_t now_ns)
{
    struct rf_plan *p = plan_of(c);
    if (p == NULL)
        return true;
    uint32_t most = inputs_of(ep);
    if (most < 2 || p->waiting < 2 || is_dearer(&core->net[c->network], c, ep)) {
        rf_gather_unqueued(c); /* nobody comes back into it */
        scatter(core, c, 0, 1, now_ns);
        rf_call_finish(core, c, RPCFAN_ECANCELED, now_ns);
        return false;
    }
    if (p->waiting > most) {
        rf_gather_unqueued(c);
        scatter(core, c, most, 0, now_ns);
    }
    if (write_keys(c, &p->inputs))
        return true;
    rf_call_finish(core, c, RPCFAN_ENOMEM, now_ns);
    return false;
}

void rf_gather_told(struct rf_endpoint *ep, const struct rf_call *c, const struct rf_verdict *v,
                    bool alone)
{
    struct rf_plan *p = plan_of(c);
    if (!is(rf_call_method(c), MULTIPLE))
        return;
    if (v->told_inputs > 0)
        ep->inputs_max = v->told_inputs;
    if (p == NULL)
        return;
    uint32_t half = (p->inputs + 1) / 2;
    p->told = v->told_inputs;
    if (v->class == RF_CLASS_PLAN || v->class == RF_CLASS_SHAPE)
        ep->inputs_max = 1; /* each by itself, if at all */
    else if (v->class == RF_CLASS_SPLIT_FILTER || (v->class == RF_CLASS_SPLIT_BATCH && alone))
        ep->inputs_max = v->told_inputs > 0 && v->told_inputs < p->inputs ? v->told_inputs : half;
}

bool rf_gather_gives_up(const struct rf_call *c, struct rpcfan_slice error)
{
    return plan_of(c) != NULL && error.len > 0 && c->tries >= POISON_TRIES;
}

static void share(struct rf_core *core, struct rf_call *to, const struct rf_call *leg,
                  uint64_t now_ns)
{
    rf_blob_ref(leg->blob, 1);
    rf_blob_unref(to->blob);
    to->blob = leg->blob;
    to->json = leg->json;
    to->json_len = leg->json_len;
    to->space = leg->space;
    to->endpoint = leg->endpoint;
    to->cause = leg->cause;
    rf_free(to->detail);
    to->detail = leg->detail != NULL ? rf_strdup(leg->detail) : NULL;
    rf_call_finish(core, to, leg->err, now_ns);
}

static void share_all(struct rf_core *core, struct rf_call *leg, uint64_t now_ns)
{
    while (!rf_list_empty(&leg->joiners))
        share(core, first_in(leg), leg, now_ns);
}

/* Bytes of the answers of those who still want one. */
static size_t answer_bytes(const struct rf_call *leg, const struct rf_gather_result *r)
{
    size_t n = 1;
    for (struct rf_link *l = leg->joiners.next; l != &leg->joiners; l = l->next)
        n += r->value[RF_CONTAINER(l, struct rf_call, link)->at].len + r->context.len +
             RF_GATHER_FRAME;
    return n;
}

/* Each has its answer in one body, which they share. */
static void answer_all(struct rf_core *core, struct rf_call *leg, const struct rf_gather_result *r,
                       uint64_t now_ns)
{
    struct rf_blob *own = rf_blob_new(answer_bytes(leg, r)), *theirs = leg->blob;
    if (own == NULL) {
        leg->err = RPCFAN_ENOMEM;
        leg->json_len = 0;
        share_all(core, leg, now_ns);
        return;
    }
    leg->blob = own;
    while (!rf_list_empty(&leg->joiners)) {
        struct rf_call *c = first_in(leg);
        size_t at;
        (void)rf_gather_write(own, r->context, r->value[c->at], &at); /* there is room for all */
        leg->json = own->data + at;
        leg->json_len = own->len - at;
        core->net[c->network].gathered++;
        share(core, c, leg, now_ns);
    }
    rf_blob_unref(theirs);
}

static void take_answer(struct rf_core *core, struct rf_plan *p, struct rf_call *leg,
                        uint64_t now_ns)
{
    struct rf_gather_result r = {.value = rf_alloc(p->inputs * sizeof r.value[0])};
    if (r.value == NULL) {
        leg->err = RPCFAN_ENOMEM;
        share_all(core, leg, now_ns);
    } else if (rf_gather_cut((struct rpcfan_slice){leg->json, leg->json_len}, &r, p->inputs)) {
        answer_all(core, leg, &r, now_ns);
    } else {
        scatter(core, leg, 0, 1, now_ns);
    }
    rf_free(r.value);
}

/* In how large legs the calls of one that was refused go again; 1: by themselves; 0: they do not,
 * the error is everybody's. */
static uint32_t next_size(const struct rf_plan *p, const struct rf_call *leg)
{
    uint32_t smaller = p->inputs <= FEW ? 1 : (p->inputs + 1) / 2;
    if (leg->err == RPCFAN_ECANCELED || leg->err == RPCFAN_EDEADLINE || leg->err == RPCFAN_ENOMEM)
        return 0;
    switch ((enum rf_class)leg->cause) {
    case RF_CLASS_SPLIT_FILTER:
        return p->told > 0 && p->told < p->inputs ? p->told : smaller;
    case RF_CLASS_SPLIT_BATCH:
    case RF_CLASS_TOO_BIG:
        return smaller;
    case RF_CLASS_UNSUPPORTED:
    case RF_CLASS_SHAPE:
    case RF_CLASS_PLAN:
        return 1;
    case RF_CLASS_RATE:
    case RF_CLASS_CONC:
    case RF_CLASS_QUOTA:
    case RF_CLASS_AUTH:
    case RF_CLASS_BEHIND:
    case RF_CLASS_WAIT:
        return 0;
    case RF_CLASS_SERVER:
        return leg->json_len > 0 ? 1 : 0;
    default:
        return leg->json_len > 0 ? smaller : 0;
    }
}

void rf_gather_heard(struct rf_core *core, struct rf_plan *p, struct rf_leg *leg, uint64_t now_ns)
{
    struct rf_call *c = &leg->call;
    if (p->waiting == 0)
        return;
    if (c->err == RPCFAN_OK) {
        take_answer(core, p, c, now_ns);
        return;
    }
    uint32_t size = next_size(p, c);
    if (size > 0)
        scatter(core, c, 0, size, now_ns);
    else
        share_all(core, c, now_ns);
}
