/* turn.c - the loop turn: gather what happened, step the core once, carry out its actions.
 *
 * Happy path: handles only note that something happened; one prepare and one check handle around
 * the poll run the turn, so that all events of a loop iteration meet the core together and leave as
 * few batches as possible. User callbacks run at the end, when nothing of ours is half done.
 * Elements of streamed calls are handed to theirs when they arrive, or when the call goes on.
 * Failure modes: the core asks for aborts: the replies come back later like any other; closing:
 * when the core is idle, http is closed, then the handles, then the closed callback runs. */
#include <string.h>

#include "base/mem.h"
#include "client/live.h"

static void turn(rpcfan_client_t *c);

static void on_async(uv_async_t *h)
{
    ((rpcfan_client_t *)h->data)->dirty = true;
}

static void on_timer(uv_timer_t *h)
{
    rpcfan_client_t *c = h->data;
    c->armed_ns = RF_NEVER;
    c->dirty = true;
}

static void on_prepare(uv_prepare_t *h)
{
    turn(h->data);
}

static void on_check(uv_check_t *h)
{
    turn(h->data);
}

static void on_reply(struct rf_exchange *ex, void *arg)
{
    rpcfan_client_t *c = arg;
    rf_list_push(&c->replies, &ex->link);
    c->dirty = true;
}

static bool on_element(struct rf_exchange *ex, const struct rpcfan_element *e, void *arg)
{
    struct rf_call *call = ex->call[0];
    (void)arg;
    if (call == NULL)
        return true;
    struct rpcfan_result *r = RF_CONTAINER(call, struct rpcfan_result, call);
    return r->element(e, r->element_arg) == 0;
}

static void handle_closed(rpcfan_client_t *c)
{
    if (--c->open_handles > 0)
        return;
    pthread_mutex_lock(&c->in.lock);
    rpcfan_closed_cb cb = c->closed_cb;
    void *arg = c->closed_arg;
    pthread_mutex_unlock(&c->in.lock);
    rf_http_free(c->http);
    c->http = NULL;
    atomic_store(&c->closed, true);
    if (cb != NULL)
        cb(c, arg);
}

static void on_handle_closed(uv_handle_t *h)
{
    handle_closed(h->data);
}

static void on_live_timer_closed(uv_handle_t *h)
{
    handle_closed(((struct rf_live *)h->data)->client);
}

/* Nothing of ours is in the loop any more but the turn's own handles. */
static void on_wires_closed(void *arg)
{
    rpcfan_client_t *c = arg;
    c->dirty = true;
    if (--c->open_wires > 0)
        return;
    pthread_mutex_lock(&c->in.lock);
    c->in.async_open = false;
    struct rf_link *l;
    while ((l = rf_list_shift(&c->in.commands)) != NULL)
        RF_CONTAINER(l, struct rf_live_cmd, link)->done = true;
    for (struct rf_status_wait *w = c->in.status_waits; w != NULL; w = w->next)
        w->done = w->closed = true;
    c->in.status_waits = NULL;
    pthread_cond_broadcast(&c->in.status);
    pthread_mutex_unlock(&c->in.lock);
    uv_close((uv_handle_t *)&c->async, on_handle_closed);
    uv_close((uv_handle_t *)&c->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&c->check, on_handle_closed);
    uv_close((uv_handle_t *)&c->timer, on_handle_closed);
    uv_close((uv_handle_t *)&c->live->timer, on_live_timer_closed);
}

enum rpcfan_err rf_turn_start(rpcfan_client_t *c)
{
    rf_list_init(&c->replies);
    c->armed_ns = RF_NEVER;
    if (uv_async_init(c->loop, &c->async, on_async) != 0)
        return RPCFAN_EIO;
    uv_prepare_init(c->loop, &c->prepare);
    uv_check_init(c->loop, &c->check);
    uv_timer_init(c->loop, &c->timer);
    c->async.data = c->prepare.data = c->check.data = c->timer.data = c;
    uv_prepare_start(&c->prepare, on_prepare);
    uv_check_start(&c->check, on_check);
    uv_unref((uv_handle_t *)&c->prepare);
    uv_unref((uv_handle_t *)&c->check);
    uv_unref((uv_handle_t *)&c->timer);
    rf_live_start(c->live);
    c->open_handles = 5;
    c->open_wires = 2;
    c->in.async_open = true;
    return RPCFAN_OK;
}

static void add_event(rpcfan_client_t *c, uint32_t *n, struct rf_event ev)
{
    c->event[(*n)++] = ev;
}

/* Whatever other threads left, in the order in which it must be told. */
static uint32_t take_inbox(rpcfan_client_t *c, struct rf_status_wait **waits)
{
    struct rf_inbox *in = &c->in;
    uint32_t n = 0;
    struct rf_link *l;
    /* Replies first: what is answered is not canceled by a close that came in the same turn. */
    while ((l = rf_list_shift(&c->replies)) != NULL)
        add_event(c, &n,
                  (struct rf_event){.kind = RF_EV_REPLY,
                                    .ex = RF_CONTAINER(l, struct rf_exchange, link)});
    pthread_mutex_lock(&in->lock);
    in->woken = false;
    while ((l = rf_list_shift(&in->submitted)) != NULL)
        add_event(
            c, &n,
            (struct rf_event){.kind = RF_EV_SUBMIT, .call = RF_CONTAINER(l, struct rf_call, link)});
    while ((l = rf_list_shift(&in->cancels)) != NULL) {
        struct rpcfan_result *r = RF_CONTAINER(l, struct rpcfan_result, cancel);
        /* An answered one may be put back and taken for another call before the core steps. */
        if (r->call.state != RF_CALL_DONE)
            add_event(c, &n, (struct rf_event){.kind = RF_EV_CANCEL, .call = &r->call});
    }
    if (in->close_mode >= 0)
        add_event(
            c, &n,
            (struct rf_event){.kind = RF_EV_CLOSE, .mode = (enum rpcfan_close_mode)in->close_mode});
    in->close_mode = -1;
    *waits = in->status_waits;
    in->status_waits = NULL;
    c->resuming = !rf_list_empty(&in->resumes);
    pthread_mutex_unlock(&in->lock);
    return n;
}

static void answer_status(rpcfan_client_t *c, struct rf_status_wait *waits, uint64_t now_ns)
{
    if (waits == NULL)
        return;
    for (struct rf_status_wait *w = waits; w != NULL; w = w->next)
        rf_client_answer(c, w, now_ns);
    pthread_mutex_lock(&c->in.lock);
    while (waits != NULL) {
        struct rf_status_wait *next = waits->next;
        waits->done = true;
        waits = next;
    }
    pthread_cond_broadcast(&c->in.status);
    pthread_mutex_unlock(&c->in.lock);
}

/* So that a call that would wait its deadline away is told at once, on whatever thread. */
static void publish_waits(rpcfan_client_t *c, uint64_t now_ns)
{
    for (uint32_t i = 0; i < c->n_networks; i++) {
        uint64_t wait_ns = rf_core_wait(c->core, i, now_ns);
        if (wait_ns == c->in.wait_ns[i]) /* read without the lock: nobody else writes it */
            continue;
        pthread_mutex_lock(&c->in.lock);
        c->in.wait_ns[i] = wait_ns;
        pthread_mutex_unlock(&c->in.lock);
    }
}

/* Let streamed calls go on that were told to. Their callbacks run meanwhile and may tell others to,
 * or themselves: that is for the next turn. */
static void resume_streams(rpcfan_client_t *c)
{
    struct rf_inbox *in = &c->in;
    struct rf_link now;
    if (!c->resuming)
        return;
    rf_list_init(&now);
    pthread_mutex_lock(&in->lock);
    rf_list_splice(&now, &in->resumes);
    struct rf_link *l;
    while ((l = rf_list_shift(&now)) != NULL) {
        const struct rf_call *call = &RF_CONTAINER(l, struct rpcfan_result, resume)->call;
        /* One that is answered may be put back and taken again as soon as the lock is free. */
        struct rf_exchange *ex = call->state == RF_CALL_SENT ? call->ex : NULL;
        pthread_mutex_unlock(&in->lock);
        if (ex != NULL)
            rf_http_resume(c->http, ex);
        pthread_mutex_lock(&in->lock);
    }
    pthread_mutex_unlock(&in->lock);
}

static void put_on_wire(rpcfan_client_t *c, struct rf_actions *a)
{
    struct rf_link *l;
    while ((l = rf_list_shift(&a->abort)) != NULL)
        rf_http_abort(c->http, RF_CONTAINER(l, struct rf_exchange, link));
    while ((l = rf_list_shift(&a->send)) != NULL)
        rf_http_send(c->http, RF_CONTAINER(l, struct rf_exchange, link));
    resume_streams(c);
    rf_http_kick(c->http);
}

static void count_rate(rpcfan_client_t *c, uint32_t done, uint64_t now_ns)
{
    uint64_t second = now_ns / RF_SEC;
    if (second != c->second) {
        pthread_mutex_lock(&c->in.lock);
        c->in.per_s = second == c->second + 1 ? (uint32_t)c->second_done : 0;
        pthread_mutex_unlock(&c->in.lock);
        c->second = second;
        c->second_done = 0;
    }
    c->second_done += done;
}

#define RUN 64

/* Callbacks for a run of answers. Their share of the pending cap is released before they run, so
 * that they can submit, and all that nobody kept is put back at once. */
static void call_back(rpcfan_client_t *c, struct rpcfan_result **run, uint32_t n)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < n; i++)
        bytes += run[i]->call.tail_len;
    rf_client_release(c, n, bytes);
    uint32_t dropped = 0;
    for (uint32_t i = 0; i < n; i++) {
        run[i]->cb(run[i], run[i]->arg);
        if (rf_result_drop(run[i]))
            run[dropped++] = run[i];
    }
    pthread_mutex_lock(&c->in.lock);
    for (uint32_t i = 0; i < dropped; i++)
        rf_result_put(run[i]);
    pthread_mutex_unlock(&c->in.lock);
}

/* Hand answers over, in order: runs of them for one queue, or for callbacks. */
static void deliver(rpcfan_client_t *c, struct rf_link *done, uint64_t now_ns)
{
    struct rpcfan_result *run[RUN];
    uint32_t all = 0;
    while (!rf_list_empty(done)) {
        rpcfan_cq_t *cq = RF_CONTAINER(done->next, struct rpcfan_result, call.link)->cq;
        struct rf_link queued;
        uint32_t n = 0;
        rf_list_init(&queued);
        while (n < RUN && !rf_list_empty(done)) {
            struct rpcfan_result *r = RF_CONTAINER(done->next, struct rpcfan_result, call.link);
            if (r->cq != cq)
                break;
            rf_list_remove(&r->call.link);
            if (cq != NULL)
                rf_list_push(&queued, &r->call.link);
            run[n++] = r;
        }
        all += n;
        if (cq != NULL)
            rf_cq_push(cq, &queued);
        else
            call_back(c, run, n);
    }
    count_rate(c, all, now_ns);
}

static void arm(rpcfan_client_t *c, uint64_t now_ns)
{
    uint64_t at = rf_core_deadline(c->core);
    if (at == c->armed_ns)
        return;
    c->armed_ns = at;
    if (at == RF_NEVER) {
        uv_timer_stop(&c->timer);
        return;
    }
    uint64_t ms = (rf_time_sub(at, now_ns) + RF_MS - 1) / RF_MS;
    uv_update_time(c->loop);
    uv_timer_start(&c->timer, on_timer, ms, 0);
}

/* A timer may fire up to a millisecond before the core's time: then it is armed again. */
static void turn(rpcfan_client_t *c)
{
    if (!c->dirty || c->stopping)
        return;
    c->dirty = false;
    struct rf_status_wait *waits;
    struct rf_actions actions;
    rf_actions_init(&actions);
    uint32_t n = take_inbox(c, &waits);
    uint64_t now_ns = uv_hrtime();
    c->turn_ns = now_ns;
    rf_core_step(c->core, c->event, n, now_ns, &actions);
    publish_waits(c, now_ns);
    put_on_wire(c, &actions);
    answer_status(c, waits, now_ns);
    deliver(c, &actions.done, now_ns);
    rf_live_turn(c->live, now_ns);
    c->turn_ns = 0;
    arm(c, now_ns);
    pthread_mutex_lock(&c->in.lock);
    bool closing = c->in.closing;
    bool over = closing && rf_list_empty(&c->in.submitted) && rf_core_idle(c->core);
    pthread_mutex_unlock(&c->in.lock);
    if (closing && !c->live->closing)
        rf_live_close(c->live, on_wires_closed, c);
    if (over) {
        c->stopping = true;
        rf_http_close(c->http, on_wires_closed, c);
    }
}

enum rpcfan_err rf_turn_http(rpcfan_client_t *c, uint32_t in_flight, struct rpcfan_error *err)
{
    struct rf_http_options o = {
        .loop = c->loop,
        .endpoints = (const struct rpcfan_endpoint_options *const *)c->endpoint,
        .n_endpoints = c->n_endpoints,
        .in_flight = in_flight,
        .done = on_reply,
        .element = on_element,
        .arg = c,
        .log = &c->log,
    };
    return rf_http_new(&o, &c->http, err);
}
