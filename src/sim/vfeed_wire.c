/* vfeed_wire.c - the WebSocket connections of the feed's virtual world: what the engine and the
 * validator do to them, and what arrives. A connection has two ways, each in order and with a
 * delay; frames that the node sends out of order leave it so. */
#include <string.h>

#include "base/mem.h"
#include "sim/vfeed_int.h"

/* Something of a connection, on its way. */
static void put(struct rf_vfeed *w, enum rf_vfeed_kind kind, uint64_t session, uint64_t at_ns,
                struct rpcfan_slice text)
{
    struct rf_vfeed_event *ev = rf_alloc(sizeof *ev);
    if (ev != NULL && text.data != NULL) {
        ev->blob = rf_blob_new(text.len);
        if (ev->blob == NULL || !rf_blob_add(ev->blob, text.data, text.len)) {
            rf_vfeed_free_event(ev);
            ev = NULL;
        }
    }
    if (ev == NULL) {
        rf_vfeed_breach(w, "out of memory");
        return;
    }
    ev->kind = kind;
    ev->session = session;
    if (!rf_vfeed_put(w, ev, at_ns))
        rf_vfeed_free_event(ev);
}

static void put_code(struct rf_vfeed *w, uint64_t session, int code, uint64_t at_ns)
{
    struct rf_vfeed_event *ev = rf_alloc(sizeof *ev);
    if (ev == NULL) {
        rf_vfeed_breach(w, "out of memory");
        return;
    }
    ev->kind = RF_VFEED_CLOSED;
    ev->session = session;
    ev->code = code;
    if (!rf_vfeed_put(w, ev, at_ns))
        rf_vfeed_free_event(ev);
}

static struct rf_vfeed_conn *conn_of(const struct rf_vfeed *w, uint64_t session)
{
    for (struct rf_link *l = w->conns.next; l != &w->conns; l = l->next) {
        struct rf_vfeed_conn *c = RF_CONTAINER(l, struct rf_vfeed_conn, link);
        if (c->session == session)
            return c;
    }
    return NULL;
}

static uint32_t node_of(const struct rf_vfeed *w, uint32_t endpoint)
{
    return endpoint < w->o.endpoints ? endpoint : 0;
}

/* What the engine does. */

static void engine_open(void *arg, uint32_t endpoint, uint64_t session)
{
    struct rf_vfeed *w = arg;
    struct rf_vfeed_conn *c = rf_alloc(sizeof *c);
    struct rpcfan_slice none = {NULL, 0};
    if (c == NULL) {
        rf_vfeed_breach(w, "out of memory");
        return;
    }
    c->session = session;
    c->endpoint = endpoint;
    rf_list_push(&w->conns, &c->link);
    c->down_ns = c->up_ns = w->now_ns + rf_vfeed_delay(w, 2 * w->o.net.ws_ns);
    if (rf_vfeed_chance(w, w->o.net.no_open)) {
        c->ended = true;
        put_code(w, session, 0, c->down_ns);
    } else {
        put(w, RF_VFEED_OPENED, session, c->down_ns, none);
    }
}

/* The next moment on one way of a connection: things arrive in order. */
static uint64_t in_order(struct rf_vfeed *w, uint64_t *last_ns)
{
    uint64_t at_ns = w->now_ns + rf_vfeed_delay(w, w->o.net.ws_ns);
    *last_ns = rf_max_u64(*last_ns, at_ns);
    return *last_ns;
}

static void engine_send(void *arg, uint64_t session, const char *text, size_t len)
{
    struct rf_vfeed *w = arg;
    struct rf_vfeed_conn *c = conn_of(w, session);
    if (c == NULL || c->ended || !c->open)
        return;
    put(w, RF_VFEED_MESSAGE, session, in_order(w, &c->up_ns), (struct rpcfan_slice){text, len});
}

/* The end of a connection, in the order of its frames. */
static void end_conn(struct rf_vfeed *w, struct rf_vfeed_conn *c, int code)
{
    if (c->ended)
        return;
    c->ended = true;
    put_code(w, c->session, code, in_order(w, &c->down_ns));
}

static void engine_close(void *arg, uint64_t session)
{
    struct rf_vfeed *w = arg;
    struct rf_vfeed_conn *c = conn_of(w, session);
    struct rpcfan_slice none = {NULL, 0};
    if (c == NULL)
        return;
    if (c->open)
        put(w, RF_VFEED_HANG_UP, session, in_order(w, &c->up_ns), none);
    if (!c->ended) {
        c->ended = true;
        put_code(w, session, 0, w->now_ns + RF_MS);
    }
}

static void engine_note(void *arg, const struct rf_note *note)
{
    struct rf_vfeed *w = arg;
    struct rf_note told = *note;
    told.tag &= (UINT64_C(1) << RF_VFEED_TAG_BITS) - 1;
    told.session += w->session_base; /* of another life of the process: another name */
    for (uint32_t i = 0; i < RF_VFEED_CLIENTS; i++)
        if (w->client[i].feed != NULL && (note->sub == 0 || note->tag >> RF_VFEED_TAG_BITS == i))
            rf_feed_note(w->client[i].feed, &told, w->now_ns);
}

/* What the validator does. */

static void node_frame(void *arg, uint64_t session, const char *text, size_t len, uint64_t at_ns)
{
    put(arg, RF_VFEED_LEAVES, session, at_ns, (struct rpcfan_slice){text, len});
}

static void node_closed(void *arg, uint64_t session, int code, uint64_t at_ns)
{
    struct rf_vfeed *w = arg;
    struct rf_vfeed_conn *c = conn_of(w, session);
    (void)at_ns;
    if (c != NULL)
        end_conn(w, c, code);
}

/* What arrives. */

static void opened(struct rf_vfeed *w, uint64_t session)
{
    struct rf_vfeed_conn *c = conn_of(w, session);
    if (c == NULL || c->ended)
        return;
    c->open = true;
    w->book.opened++;
    rf_validator_open(w->v, node_of(w, c->endpoint), session, w->now_ns);
    rf_subs_opened(w->subs, session, w->now_ns);
}

/* A frame leaves. One that the client is too far behind for ends the connection instead (R8). */
static void leaves(struct rf_vfeed *w, struct rf_vfeed_event *ev)
{
    struct rf_vfeed_conn *c = conn_of(w, ev->session);
    if (c == NULL || c->ended) {
        rf_vfeed_free_event(ev);
        return;
    }
    if (w->o.net.unread > 0 && c->unread >= w->o.net.unread) {
        rf_validator_gone(w->v, c->session);
        end_conn(w, c, 0);
        rf_vfeed_free_event(ev);
        return;
    }
    c->unread++;
    ev->kind = RF_VFEED_FRAME;
    if (!rf_vfeed_put(w, ev, in_order(w, &c->down_ns)))
        rf_vfeed_free_event(ev);
}

void rf_vfeed_heard_of(struct rf_vfeed *w, struct rpcfan_slice text, const char *name)
{
    const char *at = text.data, *end = text.data + text.len;
    size_t n = strlen(name);
    while ((at = memmem(at, (size_t)(end - at), name, n)) != NULL) {
        uint64_t slot = 0;
        for (at += n; at < end && *at >= '0' && *at <= '9'; at++)
            slot = slot * 10 + (uint64_t)(*at - '0');
        w->seen = rf_max_u64(w->seen, slot);
    }
}

void rf_vfeed_heard(struct rf_vfeed *w, struct rpcfan_slice text)
{
    rf_vfeed_heard_of(w, text, "\"slot\":");
}

static void frame(struct rf_vfeed *w, struct rf_vfeed_event *ev)
{
    struct rf_vfeed_conn *c = conn_of(w, ev->session);
    if (c != NULL && c->open) {
        c->unread--;
        rf_vfeed_heard(w, (struct rpcfan_slice){ev->blob->data, ev->blob->len});
        rf_subs_message(w->subs, ev->session, ev->blob, w->now_ns);
    }
    rf_vfeed_free_event(ev);
}

static void closed(struct rf_vfeed *w, const struct rf_vfeed_event *ev)
{
    struct rf_vfeed_conn *c = conn_of(w, ev->session);
    struct rf_subs_end end = {
        .status = ev->code, .retry_after_ns = RF_NEVER, .why = "the connection ended"};
    if (c == NULL)
        return;
    rf_list_remove(&c->link);
    rf_free(c);
    rf_subs_closed(w->subs, ev->session, &end, w->now_ns);
}

/* One event of the wires. */
void rf_vfeed_handle(struct rf_vfeed *w, struct rf_vfeed_event *ev)
{
    switch (ev->kind) {
    case RF_VFEED_LEAVES:
        leaves(w, ev);
        return;
    case RF_VFEED_FRAME:
        frame(w, ev);
        return;
    case RF_VFEED_CALL:
        rf_vfeed_call_arrives(w, ev->call);
        return;
    case RF_VFEED_ANSWER:
        rf_vfeed_call_answers(w, ev->call);
        return;
    case RF_VFEED_OPENED:
        opened(w, ev->session);
        break;
    case RF_VFEED_MESSAGE:
        rf_validator_receive(w->v, ev->session, ev->blob->data, ev->blob->len, w->now_ns);
        break;
    case RF_VFEED_HANG_UP:
        rf_validator_gone(w->v, ev->session);
        break;
    case RF_VFEED_CLOSED:
        closed(w, ev);
        break;
    }
    rf_vfeed_free_event(ev);
}

struct rf_subs_ops rf_vfeed_wire_ops(struct rf_vfeed *w)
{
    return (struct rf_subs_ops){w, engine_open, engine_send, engine_close, engine_note};
}

struct rf_validator_ops rf_vfeed_node_ops(struct rf_vfeed *w)
{
    return (struct rf_validator_ops){w, node_frame, node_closed};
}

/* Break a connection. */
static void break_conn(struct rf_vfeed *w, struct rf_vfeed_conn *c)
{
    if (!c->open || c->ended)
        return;
    rf_validator_gone(w->v, c->session);
    w->book.cut++;
    end_conn(w, c, 0);
}

void rf_vfeed_break(struct rf_vfeed *w, uint32_t permille)
{
    for (struct rf_link *l = w->conns.next; l != &w->conns; l = l->next)
        if (permille >= 1000 || rf_vfeed_chance(w, permille))
            break_conn(w, RF_CONTAINER(l, struct rf_vfeed_conn, link));
}

void rf_vfeed_drop_conns(struct rf_vfeed *w)
{
    struct rf_link *l;
    while ((l = rf_list_shift(&w->conns)) != NULL) {
        struct rf_vfeed_conn *c = RF_CONTAINER(l, struct rf_vfeed_conn, link);
        rf_validator_gone(w->v, c->session);
        rf_free(c);
    }
}
