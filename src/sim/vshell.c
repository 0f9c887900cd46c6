/* vshell.c - virtual time around the core: a heap of arrivals and the core's own deadline.
 *
 * Happy path: time jumps to the next arrival or deadline, whichever is first, never past one; the
 * core steps once with all events of that instant. An exchange is on the wire twice: on its way to
 * the node (where that takes time), which is asked when it gets there, and on its way back.
 * Failure modes: an answer later than the exchange's timeout becomes a timeout, as a real transport
 * would make it; a request that its client gave up on the way there arrives as a ghost. */
#include "sim/vshell.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "json/elements.h"
#include "json/rpc.h"

/* An exchange on the virtual wire, or what is left of one. */
struct flight {
    struct rf_heap_node at;
    struct rf_exchange *ex; /* NULL: a ghost */
    bool outbound;
    uint64_t arrives_ns; /* at the node, while outbound */
    uint64_t timeout_ns; /* absolute */
    union {
        struct rf_vreply reply;
        struct rf_vghost ghost;
    };
};

struct rf_vshell {
    struct rf_core *core;
    struct rf_vhooks hooks;
    struct rf_heap wire;
    uint64_t now_ns;
    struct rf_event *event;
    size_t n_events, cap_events;
    uint64_t fail_at; /* allocation of the core, from now on; 0: none */
};

enum rpcfan_err rf_vshell_new(const struct rpcfan_options *o, const struct rf_vhooks *hooks,
                              const struct rf_log *log, struct rf_vshell **out,
                              struct rpcfan_error *err)
{
    struct rf_vshell *v = rf_alloc(sizeof *v);
    if (v == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    v->hooks = *hooks;
    enum rpcfan_err e = rf_core_new(o, 1, 0, log, &v->core, err);
    if (e != RPCFAN_OK) {
        rf_free(v);
        return e;
    }
    *out = v;
    return RPCFAN_OK;
}

void rf_vshell_free(struct rf_vshell *v)
{
    if (v == NULL)
        return;
    rf_core_free(v->core);
    struct rf_heap_node *n;
    while ((n = rf_heap_top(&v->wire)) != NULL) { /* ghosts */
        rf_heap_remove(&v->wire, n);
        rf_free(RF_CONTAINER(n, struct flight, at));
    }
    rf_heap_fini(&v->wire);
    rf_free(v->event);
    rf_free(v);
}

uint64_t rf_vshell_now(const struct rf_vshell *v)
{
    return v->now_ns;
}

struct rf_core *rf_vshell_core(struct rf_vshell *v)
{
    return v->core;
}

static void add_event(struct rf_vshell *v, struct rf_event ev)
{
    if (v->n_events == v->cap_events) {
        size_t cap = v->cap_events < 64 ? 64 : v->cap_events * 2;
        struct rf_event *grown = rf_realloc(v->event, cap * sizeof *grown);
        assert(grown != NULL);
        v->event = grown;
        v->cap_events = cap;
    }
    v->event[v->n_events++] = ev;
}

static void write_call(struct rf_vcall *c, uint64_t number, const char *method, const char *params)
{
    struct rpcfan_slice m = {method, strlen(method)}, p = {params, strlen(params)};
    rf_request_tail(&c->tail, m, p);
    c->number = number;
    c->call.tail = c->tail.data;
    c->call.tail_len = c->tail.len;
    c->call.method_len = (uint32_t)m.len;
}

struct rf_vcall *rf_vcall_new(uint64_t number, const char *method, const char *params)
{
    struct rf_vcall *c = rf_alloc(sizeof *c);
    if (c != NULL)
        write_call(c, number, method, params);
    return c;
}

void rf_vcall_renew(struct rf_vcall *c, uint64_t number, const char *method, const char *params)
{
    rf_blob_unref(c->call.blob);
    rf_free(c->call.detail);
    c->tail.len = 0;
    c->done = false;
    memset(&c->call, 0, sizeof c->call);
    write_call(c, number, method, params);
}

void rf_vcall_free(struct rf_vcall *c)
{
    rf_blob_unref(c->call.blob);
    rf_free(c->call.detail);
    rf_buf_fini(&c->tail);
    rf_free(c);
}

void rf_vshell_submit(struct rf_vshell *v, struct rf_vcall *c, uint64_t deadline_ns)
{
    c->call.submitted_ns = v->now_ns;
    c->call.deadline_ns = deadline_ns;
    add_event(v, (struct rf_event){.kind = RF_EV_SUBMIT, .call = &c->call});
}

void rf_vshell_cancel(struct rf_vshell *v, struct rf_vcall *c)
{
    add_event(v, (struct rf_event){.kind = RF_EV_CANCEL, .call = &c->call});
}

void rf_vshell_fail_at(struct rf_vshell *v, uint64_t n)
{
    v->fail_at = n;
}

void rf_vshell_close(struct rf_vshell *v, enum rpcfan_close_mode mode)
{
    add_event(v, (struct rf_event){.kind = RF_EV_CLOSE, .mode = mode});
}

/* What the transport would have reset at the start of an attempt. */
static void reset_reply(struct rf_exchange *ex)
{
    rf_blob_unref(ex->reply.blob);
    ex->reply.blob = NULL;
    ex->reply.transport = RF_T_OK;
    ex->reply.status = 0;
    ex->reply.reason = NULL;
    ex->reply.retry_after_ns = RF_NEVER;
    rf_rate_hint_init(&ex->reply.rate);
    ex->reply.resent = 0;
    ex->reply.bytes_in = 0;
    ex->reply.bytes_out = ex->body.len;
    rf_split_init(&ex->reply.split, ex->n + 16);
}

static void push(struct rf_vshell *v, struct flight *f, uint64_t at_ns)
{
    bool pushed = rf_heap_push(&v->wire, &f->at, at_ns);
    assert(pushed);
    (void)pushed;
}

static struct flight *new_flight(void)
{
    struct flight *f = rf_alloc(sizeof *f);
    assert(f != NULL);
    return f;
}

/* The node still sees what its client gave up. */
static void leave_ghost(struct rf_vshell *v, const struct rf_exchange *ex, uint64_t arrives_ns)
{
    if (v->hooks.ghost == NULL || arrives_ns == RF_NEVER)
        return;
    struct flight *f = new_flight();
    f->outbound = true;
    f->ghost.endpoint = ex->endpoint;
    f->ghost.calls = ex->n;
    const struct rf_call *c = ex->call[0];
    if (c != NULL)
        memcpy(f->ghost.method, c->tail + RF_CALL_METHOD_AT,
               rf_min_u64(c->method_len, sizeof f->ghost.method - 1));
    push(v, f, arrives_ns);
}

/* It is at the node: ask what becomes of it. */
static void reach_node(struct rf_vshell *v, struct flight *f)
{
    f->outbound = false;
    v->hooks.serve(v->hooks.arg, f->ex, v->now_ns, &f->reply);
    uint64_t back_ns = rf_time_add(v->now_ns, f->reply.delay_ns);
    if (back_ns > f->timeout_ns) {
        back_ns = f->timeout_ns;
        f->reply.transport = RF_T_TIMEOUT;
        f->reply.reason = "no answer in time";
    }
    push(v, f, back_ns);
}

static void put_on_wire(struct rf_vshell *v, struct rf_exchange *ex)
{
    struct flight *f = new_flight();
    f->ex = ex;
    f->timeout_ns = rf_time_add(v->now_ns, ex->timeout_ns);
    f->reply = (struct rf_vreply){.transport = RF_T_OK, .status = 200, .retry_after_ns = RF_NEVER};
    rf_rate_hint_init(&f->reply.rate);
    ex->net = f;
    reset_reply(ex);
    uint64_t way_ns = v->hooks.travel == NULL ? 0 : v->hooks.travel(v->hooks.arg, ex, v->now_ns);
    f->arrives_ns = rf_time_add(v->now_ns, way_ns);
    if (way_ns == 0) {
        reach_node(v, f);
    } else if (f->arrives_ns < f->timeout_ns) {
        f->outbound = true;
        push(v, f, f->arrives_ns);
    } else {
        leave_ghost(v, ex, f->arrives_ns);
        f->reply.transport = RF_T_TIMEOUT;
        f->reply.reason = "no answer in time";
        push(v, f, f->timeout_ns);
    }
}

/* An answer whose elements are handed out one by one. */
struct listing {
    struct rf_vshell *v;
    struct rf_call *call;
    struct rf_elements elements;
};

static bool hand_out(void *arg, struct rpcfan_slice json)
{
    struct listing *l = arg;
    struct rpcfan_element e = {
        .json = json, .context_slot = l->elements.context_slot, .first = l->elements.n == 1};
    if (l->call != NULL && l->v->hooks.element != NULL)
        l->v->hooks.element(l->v->hooks.arg, l->call, &e);
    return true;
}

/* Put what surrounds the elements in place of the body, as the transport would have. */
static void hand_out_elements(struct rf_vshell *v, struct flight *f)
{
    struct listing l = {.v = v, .call = f->ex->call[0]};
    rf_elements_init(&l.elements, SIZE_MAX);
    rf_elements_feed(&l.elements, f->reply.body.data, f->reply.body.len, hand_out, &l);
    rf_elements_finish(&l.elements);
    rf_buf_fini(&f->reply.body);
    f->reply.body = l.elements.rest;
    l.elements.rest = (struct rf_buf){0};
    rf_elements_fini(&l.elements);
}

static void arrive(struct rf_vshell *v, struct flight *f)
{
    if (f->ex->stream && f->reply.transport == RF_T_OK)
        hand_out_elements(v, f);
    struct rf_reply *r = &f->ex->reply;
    r->transport = f->reply.transport;
    r->reason = f->reply.reason;
    if (r->transport == RF_T_OK) {
        r->status = f->reply.status;
        r->retry_after_ns = f->reply.retry_after_ns;
        r->rate = f->reply.rate;
        r->blob = rf_blob_new(f->reply.body.len + 1);
        assert(r->blob != NULL);
        rf_blob_add(r->blob, f->reply.body.data, f->reply.body.len);
        rf_split_feed(&r->split, r->blob->data, r->blob->len);
        rf_split_finish(&r->split, r->blob->data);
        r->bytes_in = r->blob->len;
    }
    rf_buf_fini(&f->reply.body);
    add_event(v, (struct rf_event){.kind = RF_EV_REPLY, .ex = f->ex});
    rf_free(f);
}

static void land(struct rf_vshell *v, struct flight *f)
{
    if (!f->outbound) {
        arrive(v, f);
    } else if (f->ex != NULL) {
        reach_node(v, f);
    } else {
        v->hooks.ghost(v->hooks.arg, &f->ghost, v->now_ns);
        rf_free(f);
    }
}

static void abort_flight(struct rf_vshell *v, struct rf_exchange *ex)
{
    struct flight *f = ex->net;
    f->reply.transport = RF_T_ABORTED;
    rf_heap_remove(&v->wire, &f->at);
    if (f->outbound)
        leave_ghost(v, ex, f->arrives_ns);
    f->outbound = false;
    push(v, f, v->now_ns);
}

static void step_core(struct rf_vshell *v, struct rf_actions *a)
{
    uint64_t before = rf_alloc_count();
    if (v->fail_at > 0)
        rf_alloc_fail_at(v->fail_at);
    rf_core_step(v->core, v->event, v->n_events, v->now_ns, a);
    if (v->fail_at == 0)
        return;
    rf_alloc_fail_at(0);
    v->fail_at = rf_time_sub(v->fail_at, rf_alloc_count() - before);
}

static void step(struct rf_vshell *v)
{
    struct rf_heap_node *n;
    while ((n = rf_heap_top(&v->wire)) != NULL && n->at_ns <= v->now_ns) {
        rf_heap_remove(&v->wire, n);
        land(v, RF_CONTAINER(n, struct flight, at));
    }
    if (v->n_events == 0 && rf_core_deadline(v->core) > v->now_ns)
        return; /* only a node was reached */
    struct rf_actions a;
    rf_actions_init(&a);
    step_core(v, &a);
    v->n_events = 0;
    struct rf_link *l;
    while ((l = rf_list_shift(&a.abort)) != NULL)
        abort_flight(v, RF_CONTAINER(l, struct rf_exchange, link));
    while ((l = rf_list_shift(&a.send)) != NULL)
        put_on_wire(v, RF_CONTAINER(l, struct rf_exchange, link));
    while ((l = rf_list_shift(&a.done)) != NULL) {
        struct rf_call *c = RF_CONTAINER(l, struct rf_call, link);
        RF_CONTAINER(c, struct rf_vcall, call)->done = true;
        if (v->hooks.done != NULL)
            v->hooks.done(v->hooks.arg, c, v->now_ns);
    }
}

uint64_t rf_vshell_next(const struct rf_vshell *v)
{
    if (v->n_events > 0)
        return v->now_ns;
    uint64_t at_ns = rf_min_u64(rf_heap_next(&v->wire), rf_core_deadline(v->core));
    return rf_max_u64(at_ns, v->now_ns);
}

void rf_vshell_run(struct rf_vshell *v, uint64_t until_ns)
{
    uint64_t at_ns;
    while ((at_ns = rf_vshell_next(v)) <= until_ns && at_ns != RF_NEVER) {
        v->now_ns = at_ns;
        step(v);
    }
    v->now_ns = rf_max_u64(v->now_ns, until_ns);
}

void rf_vreply_result(struct rf_buf *b, uint64_t id, const char *json)
{
    rf_buf_printf(b, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":%s}", (unsigned long long)id,
                  json);
}

void rf_vreply_error(struct rf_buf *b, uint64_t id, int64_t code, const char *message)
{
    rf_buf_printf(b,
                  "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"error\":{\"code\":%lld,\"message\":\"%s\"}}",
                  (unsigned long long)id, (long long)code, message);
}
