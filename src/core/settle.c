/* settle.c - reads a reply: members are matched to calls by id and by nothing else.
 *
 * Happy path: an array with one member for each call; each result goes to its call as a slice of
 * the shared body. Failure modes: an object for a batch is a refusal of the whole and never an
 * answer to anybody; a member without a call (duplicate, late, unknown id) is counted and dropped;
 * a call without a member goes again alone; an error without an id speaks for all calls that have
 * no member. */
#include "core/settle.h"

#include <string.h>

#include "core/need.h"
#include "core/plan.h"
#include "core/pump.h"
#include "core/queue.h"

#define HELD_NS (5 * RF_SEC) /* a class that was refused without a hint */
#define HELD_MAX_NS (300 * RF_SEC)

static struct rpcfan_slice slice_of(const struct rf_exchange *ex, uint64_t at, uint64_t len)
{
    const struct rf_blob *b = ex->reply.blob;
    if (b == NULL || len == 0)
        return (struct rpcfan_slice){NULL, 0};
    return (struct rpcfan_slice){b->data + at, (size_t)len};
}

/* A limit on one method is no reason to keep the others from the node. */
static void hold_class(struct rf_settle *s, const struct rf_verdict *v)
{
    struct rf_class_queue *q = &s->net->cq[s->ex->class_ix];
    bool told = v->hint_ns != RF_NEVER && v->hint_ns > 0;
    uint64_t wait = told ? rf_min_u64(v->hint_ns, HELD_MAX_NS) : HELD_NS;
    uint64_t *until = &q->paused_until_ns[s->ep->index];
    *until = rf_max_u64(*until, rf_time_add(s->now_ns, wait));
    s->lesson.held++;
}

static struct rf_answer answer_of(const struct rf_settle *s, struct rpcfan_slice error)
{
    const struct rf_exchange *ex = s->ex;
    struct rf_answer a = {.family = s->net->family,
                          .transport = ex->reply.transport,
                          .status = ex->reply.status,
                          .batch = ex->n > 1,
                          .error = error,
                          .retry_after_ns = ex->reply.retry_after_ns};
    if (ex->n == 1 && ex->call[0] != NULL) {
        a.method = rf_call_method(ex->call[0]);
        a.params = rf_call_params(ex->call[0]);
    }
    return a;
}

static void learn(struct rf_settle *s, const struct rf_verdict *v)
{
    struct rf_lesson *l = &s->lesson;
    switch (rf_class_action(v->class)) {
    case RF_ACT_REQUEUE:
        if (v->method_only)
            hold_class(s, v);
        else
            l->throttled++;
        break;
    case RF_ACT_SPLIT:
        /* A vague refusal of a size that passed before is about a call in it, not about the size.
         */
        if (s->ex->n > 1 && !(v->vague && s->ex->n <= s->ep->batch.proven))
            l->split++;
        break;
    case RF_ACT_RETRY:
        l->failed++;
        break;
    case RF_ACT_DELIVER:
    case RF_ACT_ELSEWHERE:
    case RF_ACT_LATER:
        l->good++;
        return;
    case RF_ACT_BENCH:
        break;
    }
    /* The lesson keeps the first bad verdict, but a throttle outranks all: it carries the hint. */
    bool rate = rf_class_action(v->class) == RF_ACT_REQUEUE && !v->method_only;
    if (l->verdict.class == RF_CLASS_OK ||
        (rate && (rf_class_action(l->verdict.class) != RF_ACT_REQUEUE || l->verdict.method_only)))
        l->verdict = *v;
}

static void count_error(struct rf_settle *s, const struct rf_verdict *v)
{
    struct rf_counts *n = &s->ep->count;
    if (v->class == RF_CLASS_SERVER)
        n->server++;
    else if (v->class == RF_CLASS_MALFORMED)
        n->malformed++;
    else if (v->class >= RF_CLASS_CONNECT && v->class <= RF_CLASS_TLS)
        n->network++;
    else if (rf_class_action(v->class) == RF_ACT_DELIVER ||
             rf_class_action(v->class) == RF_ACT_ELSEWHERE ||
             rf_class_action(v->class) == RF_ACT_LATER)
        n->rpc++;
}

static void judge(struct rf_settle *s, struct rf_call *c, const struct rf_verdict *v,
                  struct rpcfan_slice error)
{
    c->cause = (uint8_t)v->class;
    learn(s, v);
    count_error(s, v);
    if (rf_class_action(v->class) == RF_ACT_DELIVER)
        rf_budget_deposit(&s->net->budget);
    rf_act(s, c, v, error);
}

/* Where the node's head is, if the answer happens to say so; nobody asks where there is no choice.
 */
static void note_head(struct rf_settle *s, const struct rf_call *c, struct rpcfan_slice result)
{
    uint64_t at, sent_ns = s->ex->sent_ns;
    struct rpcfan_slice method = rf_call_method(c);
    if (s->net->n_ep < 2)
        return;
    if (rf_need_head_in_result(s->net->family, method, result, &at))
        rf_fresh_answered(&s->net->fresh, s->ep->index, at, sent_ns, s->now_ns);
    else if (rf_need_floor_in_result(s->net->family, method, result, &at) && c->need == RF_NEED_TIP)
        rf_fresh_answered(&s->net->fresh, s->ep->index, at, sent_ns, s->now_ns);
}

static void succeed(struct rf_settle *s, struct rf_call *c, const struct rf_member *m)
{
    struct rpcfan_slice json = slice_of(s->ex, m->result_at, m->result_len);
    c->blob = s->ex->reply.blob;
    s->shares++;
    c->json = json.data;
    c->json_len = json.len;
    c->space = m->space;
    c->endpoint = s->ep->name;
    s->lesson.good++;
    s->ep->count.ok++;
    note_head(s, c, json);
    if (c->split == RPCFAN_SPLIT_RANGE)
        rf_split_passed(s->ep, c);
    rf_budget_deposit(&s->net->budget);
    rf_call_finish(s->core, c, RPCFAN_OK, s->now_ns);
}

/* Neither result nor error, or both: the member says nothing. */
static bool is_error(const struct rf_settle *s, const struct rf_member *m)
{
    if (m->error_len == 0)
        return false;
    return !(m->error_len == 4 && memcmp(s->ex->reply.blob->data + m->error_at, "null", 4) == 0);
}

static void judge_error(struct rf_settle *s, struct rf_call *c, const struct rf_member *m)
{
    struct rpcfan_slice error = slice_of(s->ex, m->error_at, m->error_len);
    struct rf_answer a = answer_of(s, error);
    a.method = rf_call_method(c);
    a.params = rf_call_params(c);
    struct rf_verdict v = rf_classify(s->core->rules, &a);
    c->space = m->space;
    judge(s, c, &v, error);
}

static const struct rf_verdict malformed = {
    .class = RF_CLASS_MALFORMED, .rule = "member", .hint_ns = RF_NEVER, .again_ns = RF_NEVER};

static void read_member(struct rf_settle *s, struct rf_call *c, const struct rf_member *m)
{
    bool whole = s->ex->stream && s->ex->reply.split.shape == RF_SHAPE_ARRAY;
    if (is_error(s, m) && !m->twice)
        judge_error(s, c, m);
    else if (m->result_len > 0 && !m->twice && !whole) /* elements in it would have been missed */
        succeed(s, c, m);
    else
        judge(s, c, &malformed, (struct rpcfan_slice){NULL, 0});
}

static bool is_ours(const struct rf_exchange *ex, const struct rf_member *m)
{
    return m->id_kind == RF_ID_UINT && m->id >= ex->id_base && m->id - ex->id_base < ex->n;
}

/* The call that a member belongs to, or NULL. */
static struct rf_call *call_of(const struct rf_exchange *ex, const struct rf_member *m)
{
    return is_ours(ex, m) ? ex->call[m->id - ex->id_base] : NULL;
}

/* Judge every call that is still without an answer. */
static void judge_rest(struct rf_settle *s, const struct rf_verdict *v, struct rpcfan_slice error)
{
    for (uint32_t i = 0; i < s->ex->n; i++) {
        if (s->ex->call[i] != NULL)
            judge(s, s->ex->call[i], v, error);
    }
}

/* What transport, status and body say where no member is to be judged. */
static struct rf_verdict whole_verdict(const struct rf_settle *s)
{
    struct rf_answer a = answer_of(s, (struct rpcfan_slice){NULL, 0});
    const struct rf_blob *b = s->ex->reply.blob;
    if (b != NULL && s->ex->reply.transport == RF_T_OK)
        a.body = (struct rpcfan_slice){b->data, b->len};
    return rf_classify(s->core->rules, &a);
}

/* JSON that answers nobody: an object with neither result nor error, or anything with a status that
 * is a refusal by itself. A body that holds results is never searched for words. */
static bool is_bare(const struct rf_settle *s)
{
    const struct rf_split *sp = &s->ex->reply.split;
    if (s->lesson.good > 0 || s->lesson.verdict.class != RF_CLASS_OK)
        return false;
    return s->ex->reply.status >= 400 ||
           (sp->n == 1 && sp->member[0].result_len == 0 && sp->member[0].error_len == 0);
}

static void judge_missing(struct rf_settle *s, const struct rf_member *nameless)
{
    const struct rpcfan_slice none = {NULL, 0};
    struct rf_verdict v;
    if (nameless != NULL) {
        struct rpcfan_slice error = slice_of(s->ex, nameless->error_at, nameless->error_len);
        struct rf_answer a = answer_of(s, error);
        a.body = a.batch ? error : a.body;
        v = rf_classify(s->core->rules, &a);
        judge_rest(s, &v, error);
        return;
    }
    enum rf_action first = rf_class_action(s->lesson.verdict.class);
    if (first == RF_ACT_SPLIT || first == RF_ACT_REQUEUE || first == RF_ACT_BENCH) {
        /* An array of one error: the refusal names one call and means them all. */
        v = s->lesson.verdict;
        judge_rest(s, &v, none);
        return;
    }
    if (is_bare(s)) {
        v = whole_verdict(s);
        if (v.class != RF_CLASS_MALFORMED) {
            judge_rest(s, &v, none);
            return;
        }
    }
    for (uint32_t i = 0; i < s->ex->n; i++) {
        if (s->ex->call[i] != NULL)
            s->ex->call[i]->batch_max = 1;
    }
    judge_rest(s, &malformed, none);
}

/* An error for a call that is gone, canceled or past its deadline: nobody to tell, but the node's
 * books want it, or a throttled node would go on being asked. */
static void overhear(struct rf_settle *s, const struct rf_member *m)
{
    struct rf_answer a = answer_of(s, slice_of(s->ex, m->error_at, m->error_len));
    struct rf_verdict v = rf_classify(s->core->rules, &a);
    learn(s, &v);
}

/* A whole JSON response: members first, then whoever got none. */
static void read_response(struct rf_settle *s)
{
    struct rf_exchange *ex = s->ex;
    const struct rf_split *sp = &ex->reply.split;
    const struct rf_member *nameless = NULL;
    bool refused_whole = sp->shape == RF_SHAPE_OBJECT && ex->n > 1;
    uint32_t gone = ex->n - ex->live;
    for (uint32_t i = 0; i < sp->n; i++) {
        const struct rf_member *m = &sp->member[i];
        struct rf_call *c = refused_whole ? NULL : call_of(ex, m);
        if (c != NULL)
            read_member(s, c, m);
        else if (is_error(s, m) && !m->twice && (refused_whole || m->id_kind <= RF_ID_NULL))
            nameless = m;
        else
            s->ep->count.unmatched++;
        if (c == NULL && !refused_whole && is_error(s, m) && is_ours(ex, m))
            overhear(s, m);
        else if (c == NULL && gone > 0 && is_ours(ex, m) && m->result_len > 0 && !m->twice) {
            s->lesson.good++; /* too late for its caller, but served: rate and latency count it */
            gone--;
        }
    }
    s->ep->count.unmatched += sp->overflow + sp->not_objects;
    if (ex->live > 0)
        judge_missing(s, nameless);
    else if (nameless != NULL)
        overhear(s, nameless);
}

/* No JSON-RPC came: transport, status and text decide for every call. */
static void judge_whole(struct rf_settle *s)
{
    struct rf_verdict v = whole_verdict(s);
    if (s->ex->live > 0)
        judge_rest(s, &v, (struct rpcfan_slice){NULL, 0});
    else
        learn(s, &v); /* nobody is left to judge it for: the node's books still count it */
}

void rf_settle(struct rf_core *core, struct rf_exchange *ex, uint64_t now_ns)
{
    struct rf_network *net = &core->net[ex->network];
    struct rf_settle s = {
        .core = core, .net = net, .ep = &net->ep[ex->index], .ex = ex, .now_ns = now_ns};
    s.lesson.verdict.class = RF_CLASS_OK;
    s.lesson.verdict.rule = "ok";
    s.lesson.verdict.hint_ns = RF_NEVER;
    s.lesson.verdict.again_ns = RF_NEVER;
    struct rf_class_queue *q = &net->cq[ex->class_ix];
    q->front = q->retry.next; /* calls that keep their place go in before those already waiting */
    rf_list_remove(&ex->flight);
    core->in_flight--;
    const struct rf_split *sp = &ex->reply.split;
    bool json = ex->reply.transport == RF_T_OK &&
                (sp->shape == RF_SHAPE_OBJECT || sp->shape == RF_SHAPE_ARRAY);
    if (json && sp->n > 0)
        read_response(&s);
    else
        judge_whole(&s);
    rf_blob_ref(ex->reply.blob, s.shares);
    if (!ex->stream && (s.lesson.good > 0 || s.lesson.verdict.class == RF_CLASS_TIMEOUT))
        rf_hedge_sample(&q->hedge, rf_time_sub(now_ns, ex->sent_ns), now_ns);
    rf_heap_remove(&core->hedges, &ex->hedge);
    rf_endpoint_settle(s.ep, ex, &s.lesson, now_ns, core);
    rf_pump_recycle(core, ex);
}
