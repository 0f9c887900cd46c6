/* ws.c - a connection's way from open to closed, its time limits, and the life of the shell. Called
 * by client on the loop thread; libwebsockets itself is called in ws_lws.c and ws_msg.c.
 *
 * Happy path: rf_ws_open() -> turn: the name is known or looked up (NAME) -> one address after the
 * other (DIAL) -> connected (SHAKE) -> upgraded (OPEN) -> ... -> CLOSING -> libwebsockets lets go
 * (OVER) -> turn: CLOSED is told, the connection is freed.
 *
 * Failure modes:
 *   no memory for a connection      its session is told CLOSED on the next turn
 *   the name hangs or is not found  CLOSED at the connect timeout, or at once
 *   an address does not answer      each but the last gets half of the time that is left
 *   the handshake hangs             the connect timeout covers all until OPEN
 *   the peer is silent              pinged; after two without an answer it is cut
 *   reading is paused for 5 s       closed
 *   the peer does not answer our close frame   cut after a second
 *   events inside the caller's calls   never: those only note; turns, timers and libwebsockets'
 *                                   callbacks act
 *   shutdown while busy             everything is closed and told before anything is freed */
#include "net/ws.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "core/call.h"
#include "net/ws_int.h"

#define DEFAULT_CONNECT_MS 3000
#define DEFAULT_PING_MS 15000
#define DEFAULT_CONNS 8

static void turn(uv_idle_t *idle);
static void fire(uv_timer_t *timer);
static void check_closing(struct rf_ws *w);

const char *rf_ws_state_name(enum rf_ws_state state)
{
    static const char *const name[] = {"new", "name", "dial", "shake", "open", "closing", "over"};
    return name[state];
}

void rf_ws_set_state(struct rf_ws_conn *c, enum rf_ws_state state)
{
    static const unsigned legal[] = {
        [RF_WS_S_NEW] = 1u << RF_WS_S_NAME | 1u << RF_WS_S_DIAL | 1u << RF_WS_S_OVER,
        [RF_WS_S_NAME] = 1u << RF_WS_S_DIAL | 1u << RF_WS_S_OVER,
        [RF_WS_S_DIAL] = 1u << RF_WS_S_SHAKE | 1u << RF_WS_S_CLOSING | 1u << RF_WS_S_OVER,
        [RF_WS_S_SHAKE] = 1u << RF_WS_S_OPEN | 1u << RF_WS_S_CLOSING | 1u << RF_WS_S_OVER,
        [RF_WS_S_OPEN] = 1u << RF_WS_S_CLOSING | 1u << RF_WS_S_OVER,
        [RF_WS_S_CLOSING] = 1u << RF_WS_S_OVER,
        [RF_WS_S_OVER] = 0,
    };
    assert(legal[c->state] >> state & 1u);
    rf_log(c->w->o.log, RPCFAN_LOG_DEBUG, "RF-WS-STATE ep=%s session=%llu from=%s to=%s why=\"%s\"",
           c->ep->o->name != NULL ? c->ep->o->name : "", (unsigned long long)c->session,
           rf_ws_state_name(c->state), rf_ws_state_name(state), c->why != NULL ? c->why : "");
    c->state = state;
}

void rf_ws_blame(struct rf_ws_conn *c, const char *why)
{
    if (c->why == NULL)
        c->why = why;
}

static void start_soon(struct rf_ws *w)
{
    if (!w->handles_closing)
        uv_idle_start(&w->soon, turn);
}

void rf_ws_soon(struct rf_ws_conn *c)
{
    if (c->todo.next == NULL)
        rf_list_push(&c->w->todo, &c->todo);
    start_soon(c->w);
}

static void arm_timer(struct rf_ws *w)
{
    uint64_t next = rf_heap_next(&w->due);
    if (w->handles_closing)
        return;
    if (next == RF_NEVER) {
        uv_timer_stop(&w->timer);
        return;
    }
    /* Rounded up, and from now and not from the start of the turn: never early. */
    uint64_t left = rf_time_sub(next, uv_hrtime());
    uv_update_time(w->o.loop);
    uv_timer_start(&w->timer, fire, left / RF_MS + 1, 0);
}

void rf_ws_set_due(struct rf_ws_conn *c, uint64_t at_ns)
{
    struct rf_ws *w = c->w;
    uint64_t before = rf_heap_next(&w->due);
    rf_heap_remove(&w->due, &c->due);
    if (at_ns != RF_NEVER)
        (void)rf_heap_push(&w->due, &c->due, at_ns); /* there is room: see rf_ws_open() */
    if (rf_heap_next(&w->due) != before)
        arm_timer(w);
}

void rf_ws_tell(struct rf_ws_conn *c, enum rf_ws_kind kind, struct rf_blob *blob, const char *why)
{
    struct rf_ws *w = c->w;
    struct rf_ws_event ev = {
        .kind = kind, .session = c->session, .blob = blob, .retry_after_ns = RF_NEVER, .why = why};
    assert(!w->inside);
    if (kind == RF_WS_CLOSED) {
        ev.status = c->status;
        ev.retry_after_ns = c->retry_after_ns;
    }
    w->o.event(&ev, w->o.arg);
}

struct rf_ws_conn *rf_ws_find(struct rf_ws *w, uint64_t session)
{
    for (struct rf_link *l = w->conns.next; l != &w->conns; l = l->next) {
        struct rf_ws_conn *c = RF_CONTAINER(l, struct rf_ws_conn, link);
        if (c->session == session && c->state != RF_WS_S_OVER)
            return c;
    }
    return NULL;
}

static void free_conn(struct rf_ws_conn *c)
{
    rf_ws_drop_texts(c);
    rf_blob_unref(c->blob);
    rf_list_remove(&c->link);
    rf_list_remove(&c->todo);
    rf_heap_remove(&c->w->due, &c->due);
    rf_free(c->addresses);
    rf_free(c);
}

static void set_over(struct rf_ws_conn *c, const char *why)
{
    rf_ws_blame(c, why);
    rf_ws_set_due(c, RF_NEVER);
    rf_ws_set_state(c, RF_WS_S_OVER);
    rf_ws_soon(c);
}

/* connecting */

static void dial_next(struct rf_ws_conn *c)
{
    uint64_t now = uv_hrtime();
    uint64_t left = rf_time_sub(c->deadline_ns, now);
    c->next = rf_ws_next_address(c->next, c->address);
    rf_ws_set_due(c, rf_time_add(now, c->next != NULL ? left / 2 : left));
    c->dialing = true;
    rf_ws_dial(c);
}

void rf_ws_connected(struct rf_ws_conn *c)
{
    if (c->state != RF_WS_S_DIAL)
        return;
    memcpy(c->ep->good, c->address, sizeof c->ep->good);
    rf_ws_set_state(c, RF_WS_S_SHAKE);
    rf_ws_set_due(c, c->deadline_ns);
}

void rf_ws_gone(struct rf_ws_conn *c)
{
    const char *why = "connection lost";
    c->dialing = c->kill = false;
    rf_ws_set_due(c, RF_NEVER);
    if (c->state == RF_WS_S_DIAL) {
        if (c->next != NULL && c->why == NULL && uv_hrtime() < c->deadline_ns) {
            rf_ws_soon(c);
            return;
        }
        why = c->dial_late ? "connect timed out" : "could not connect";
        if (c->ep->dns != NULL)
            rf_dns_suspect(c->ep->dns);
    } else if (c->state == RF_WS_S_SHAKE) {
        why = "ended during the handshake";
    }
    set_over(c, why);
}

static void take_addresses(struct rf_ws_conn *c, const char *list)
{
    c->addresses = rf_strdup(list);
    if (c->addresses == NULL) {
        set_over(c, "out of memory");
        return;
    }
    rf_ws_prefer(c->addresses, c->ep->good);
    c->next = c->addresses;
    rf_ws_set_state(c, RF_WS_S_DIAL);
    rf_ws_soon(c);
}

static void name_found(struct rf_dns_waiter *waiter, int status)
{
    struct rf_ws_conn *c = RF_CONTAINER(waiter, struct rf_ws_conn, waiter);
    uint32_t generation;
    const char *list = rf_dns_addresses(c->ep->dns, &generation);
    if (status == UV_ETIMEDOUT)
        set_over(c, "name lookup timed out");
    else if (status != 0 || list == NULL)
        set_over(c, status == UV_ENOMEM ? "out of memory" : "name not found");
    else
        take_addresses(c, list);
}

static void begin(struct rf_ws_conn *c)
{
    struct rf_ws_ep *ep = c->ep;
    uint64_t ms = ep->o->connect_timeout_ms;
    c->deadline_ns = rf_time_add(uv_hrtime(), rf_ms_ns(ms != 0 ? ms : DEFAULT_CONNECT_MS));
    if (ep->none != NULL) {
        set_over(c, ep->none);
        return;
    }
    uint32_t generation;
    const char *list = ep->dns != NULL ? rf_dns_peek(ep->dns, &generation) : ep->dial_host;
    if (list != NULL) {
        take_addresses(c, list);
        return;
    }
    rf_ws_set_state(c, RF_WS_S_NAME);
    c->waiter.cb = name_found;
    if (!rf_dns_wait(ep->dns, &c->waiter, c->deadline_ns))
        set_over(c, "out of memory");
}

/* open */

static uint64_t ping_ms(const struct rf_ws_conn *c)
{
    return c->ep->o->ws_ping_ms != 0 ? c->ep->o->ws_ping_ms : DEFAULT_PING_MS;
}

void rf_ws_established(struct rf_ws_conn *c)
{
    rf_ws_set_state(c, RF_WS_S_OPEN);
    c->status = 0;
    c->heard_ms = uv_now(c->w->o.loop);
    rf_ws_set_due(c, rf_time_add(uv_hrtime(), rf_ms_ns(ping_ms(c))));
    if (!rf_list_empty(&c->texts)) /* sent before it was open */
        lws_callback_on_writable(c->wsi);
    rf_ws_tell(c, RF_WS_OPENED, NULL, NULL);
}

void rf_ws_end(struct rf_ws_conn *c, const char *why, uint64_t grace_ns)
{
    rf_ws_blame(c, why);
    rf_ws_set_state(c, RF_WS_S_CLOSING);
    if (grace_ns == 0) {
        c->kill = true;
        rf_ws_soon(c);
    } else {
        lws_callback_on_writable(c->wsi);
        rf_ws_wake(c->w);
    }
    rf_ws_set_due(c, rf_time_add(uv_hrtime(), grace_ns != 0 ? grace_ns : RF_WS_GRACE_NS));
}

static void check_pause(struct rf_ws_conn *c, uint64_t now)
{
    uint64_t until = rf_time_add(c->paused_ns, RF_WS_PAUSE_NS);
    if (now >= until)
        rf_ws_end(c, "paused for too long", RF_WS_GRACE_NS);
    else
        rf_ws_set_due(c, until);
}

static void check_silence(struct rf_ws_conn *c, uint64_t now)
{
    uint64_t now_ms = uv_now(c->w->o.loop), limit = ping_ms(c);
    uint64_t silent = now_ms - rf_max_u64(c->heard_ms, c->pinged_ms);
    if (silent >= limit && c->unanswered >= RF_WS_PINGS) {
        rf_ws_end(c, "no answer to pings", 0);
        return;
    }
    if (silent >= limit) {
        c->unanswered++;
        c->pinged_ms = now_ms;
        c->want_ping = true;
        silent = 0;
        lws_callback_on_writable(c->wsi);
        rf_ws_wake(c->w);
    }
    rf_ws_set_due(c, rf_time_add(now, rf_ms_ns(limit - silent)));
}

static void check_due(struct rf_ws_conn *c, uint64_t now)
{
    switch (c->state) {
    case RF_WS_S_OPEN:
        if (c->paused)
            check_pause(c, now);
        else
            check_silence(c, now);
        return;
    case RF_WS_S_DIAL:
        c->dial_late = true;
        break;
    case RF_WS_S_SHAKE:
        rf_ws_blame(c, c->ep->tls && !c->asked ? "TLS handshake timed out" : "handshake timed out");
        rf_ws_set_state(c, RF_WS_S_CLOSING);
        break;
    case RF_WS_S_CLOSING:
        break;
    default:
        return;
    }
    rf_ws_set_due(c, rf_time_add(now, RF_WS_GRACE_NS));
    if (c->wsi != NULL)
        rf_ws_kill(c);
}

static void fire(uv_timer_t *timer)
{
    struct rf_ws *w = timer->data;
    uint64_t now = uv_hrtime();
    while (rf_heap_next(&w->due) <= now) {
        struct rf_ws_conn *c = RF_CONTAINER(rf_heap_top(&w->due), struct rf_ws_conn, due);
        rf_heap_remove(&w->due, &c->due);
        check_due(c, now);
    }
    arm_timer(w);
}

/* turns */

static void step(struct rf_ws_conn *c)
{
    switch (c->state) {
    case RF_WS_S_NEW:
        begin(c);
        break;
    case RF_WS_S_DIAL:
        if (!c->dialing)
            dial_next(c);
        break;
    case RF_WS_S_CLOSING:
        if (c->kill && c->wsi != NULL)
            rf_ws_kill(c);
        else if (c->farewell && c->wsi != NULL)
            rf_ws_farewell(c);
        c->kill = c->farewell = false;
        break;
    case RF_WS_S_OVER:
        rf_log(c->w->o.log, RPCFAN_LOG_INFO, "RF-WS-CLOSED ep=%s session=%llu status=%d why=\"%s\"",
               c->ep->o->name != NULL ? c->ep->o->name : "", (unsigned long long)c->session,
               c->status, c->why);
        rf_ws_tell(c, RF_WS_CLOSED, NULL, c->why);
        free_conn(c);
        break;
    default:
        break;
    }
}

static void tell_stillborn(struct rf_ws *w)
{
    for (size_t i = 0; i < w->n_stillborn; i++) { /* it may grow meanwhile */
        struct rf_ws_event ev = {.kind = RF_WS_CLOSED,
                                 .session = w->stillborn[i],
                                 .retry_after_ns = RF_NEVER,
                                 .why = w->closing ? "closing" : "out of memory"};
        w->o.event(&ev, w->o.arg);
    }
    w->n_stillborn = 0;
}

static void turn(uv_idle_t *idle)
{
    struct rf_ws *w = idle->data;
    struct rf_link todo;
    rf_list_init(&todo);
    rf_list_splice(&todo, &w->todo);
    for (struct rf_link *l; (l = rf_list_shift(&todo)) != NULL;)
        step(RF_CONTAINER(l, struct rf_ws_conn, todo));
    tell_stillborn(w);
    uv_idle_stop(idle);
    check_closing(w);
    if (!rf_list_empty(&w->todo) || w->n_stillborn > 0)
        start_soon(w);
}

/* what the caller calls */

static bool add_conn(struct rf_ws *w, uint32_t endpoint, uint64_t session)
{
    struct rf_ws_conn *c = rf_alloc(sizeof *c);
    uint32_t n = 1;
    for (const struct rf_link *l = w->conns.next; l != &w->conns; l = l->next)
        n++;
    if (c == NULL || !rf_heap_reserve(&w->due, n)) {
        rf_free(c);
        return false;
    }
    c->w = w;
    c->ep = &w->ep[endpoint];
    c->session = session;
    c->retry_after_ns = RF_NEVER;
    rf_list_init(&c->texts);
    rf_list_push(&w->conns, &c->link);
    rf_ws_soon(c);
    return true;
}

void rf_ws_open(struct rf_ws *w, uint32_t endpoint, uint64_t session)
{
    if (!w->closing && add_conn(w, endpoint, session))
        return;
    if (w->n_stillborn < w->max_stillborn)
        w->stillborn[w->n_stillborn++] = session;
    else
        rf_log(w->o.log, RPCFAN_LOG_ERROR, "RF-WS-LOST session=%llu", (unsigned long long)session);
    start_soon(w);
}

static void close_conn(struct rf_ws_conn *c, uint64_t grace_ns)
{
    switch (c->state) {
    case RF_WS_S_NAME:
        rf_dns_cancel(c->ep->dns, &c->waiter);
        set_over(c, "closed");
        break;
    case RF_WS_S_NEW:
        set_over(c, "closed");
        break;
    case RF_WS_S_DIAL:
    case RF_WS_S_SHAKE:
        if (!c->dialing)
            set_over(c, "closed");
        else
            rf_ws_end(c, "closed", 0);
        break;
    case RF_WS_S_OPEN:
        rf_ws_end(c, "closed", grace_ns);
        break;
    default:
        break;
    }
}

void rf_ws_close(struct rf_ws *w, uint64_t session)
{
    struct rf_ws_conn *c = rf_ws_find(w, session);
    bool before = w->inside;
    w->inside = true;
    if (c != NULL)
        close_conn(c, RF_WS_GRACE_NS);
    w->inside = before;
}

void rf_ws_pause(struct rf_ws *w, uint64_t session, bool pause)
{
    struct rf_ws_conn *c = rf_ws_find(w, session);
    if (c == NULL || c->state != RF_WS_S_OPEN || c->paused == pause)
        return;
    bool before = w->inside;
    uint64_t now = uv_hrtime();
    w->inside = true;
    c->paused = pause;
    c->paused_ns = now;
    lws_rx_flow_control(c->wsi, pause ? 0 : 1);
    lws_callback_on_writable(c->wsi);
    rf_ws_wake(w);
    if (!pause) {
        c->heard_ms = uv_now(w->o.loop); /* the silence was ours */
        c->unanswered = 0;
    }
    rf_ws_set_due(c, rf_time_add(now, pause ? RF_WS_PAUSE_NS : rf_ms_ns(ping_ms(c))));
    w->inside = before;
}

bool rf_ws_has(const struct rf_ws *w, uint32_t endpoint, const char **why)
{
    if (why != NULL)
        *why = w->ep[endpoint].none;
    return w->ep[endpoint].none == NULL;
}

static bool make_stillborn(struct rf_ws *w)
{
    w->max_stillborn = 0;
    for (uint32_t i = 0; i < w->o.n_endpoints; i++) {
        uint32_t n = w->o.endpoints[i]->ws_conns;
        w->max_stillborn += 2 * (size_t)rf_min_u64(n != 0 ? n : DEFAULT_CONNS, RF_WS_FDS) + 2;
    }
    w->stillborn = rf_alloc(w->max_stillborn * sizeof w->stillborn[0] + 1);
    return w->stillborn != NULL;
}

enum rpcfan_err rf_ws_new(const struct rf_ws_options *o, struct rf_ws **out,
                          struct rpcfan_error *err)
{
    *out = NULL;
    struct rf_ws *w = rf_alloc(sizeof *w);
    if (w == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    w->o = *o;
    rf_list_init(&w->conns);
    rf_list_init(&w->todo);
    rf_dns_init(&w->dns, o->loop);
    enum rpcfan_err e = RPCFAN_OK;
    w->ep = rf_alloc(o->n_endpoints * sizeof *w->ep + 1);
    if (w->ep == NULL || !make_stillborn(w))
        e = rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    for (uint32_t i = 0; i < o->n_endpoints && e == RPCFAN_OK; i++)
        e = rf_ws_ep_init(w, &w->ep[i], i, err);
    if (e != RPCFAN_OK) {
        rf_ws_free(w);
        return e;
    }
    /* Loop handles close only on later turns: so they come last, and cannot fail. */
    uv_timer_init(o->loop, &w->timer);
    uv_idle_init(o->loop, &w->soon);
    w->timer.data = w->soon.data = w;
    rf_dns_open(&w->dns);
    *out = w;
    return RPCFAN_OK;
}

/* the end */

static void finish(struct rf_ws *w)
{
    if (w->handles > 0 || !w->dns_closed || w->closed == NULL)
        return;
    void (*cb)(void *arg) = w->closed;
    w->closed = NULL;
    cb(w->closed_arg);
}

static void note_handle_closed(uv_handle_t *handle)
{
    struct rf_ws *w = handle->data;
    w->handles--;
    finish(w);
}

static void note_dns_closed(void *arg)
{
    struct rf_ws *w = arg;
    w->dns_closed = true;
    finish(w);
}

/* When all is told, take the context down, then the handles. */
static void check_closing(struct rf_ws *w)
{
    if (!w->closing || w->handles_closing || !rf_list_empty(&w->conns) || w->n_stillborn > 0)
        return;
    if (!rf_ws_context_end(w)) {
        start_soon(w);
        return;
    }
    w->handles_closing = true;
    w->handles = 2;
    uv_close((uv_handle_t *)&w->timer, note_handle_closed);
    uv_close((uv_handle_t *)&w->soon, note_handle_closed);
    rf_dns_close(&w->dns, note_dns_closed, w);
}

void rf_ws_shutdown(struct rf_ws *w, void (*cb)(void *arg), void *arg)
{
    bool before = w->inside;
    w->inside = true;
    w->closing = true;
    w->closed = cb;
    w->closed_arg = arg;
    for (struct rf_link *l = w->conns.next; l != &w->conns; l = l->next)
        close_conn(RF_CONTAINER(l, struct rf_ws_conn, link), RF_WS_HURRY_NS);
    start_soon(w);
    w->inside = before;
}

void rf_ws_free(struct rf_ws *w)
{
    if (w == NULL)
        return;
    for (uint32_t i = 0; w->ep != NULL && i < w->o.n_endpoints; i++)
        rf_ws_ep_fini(&w->ep[i]);
    rf_dns_fini(&w->dns);
    rf_heap_fini(&w->due);
    rf_blob_unref(w->spare);
    rf_free(w->stillborn);
    rf_free(w->ep);
    rf_free(w);
}
