/* node_ws_out.c - what goes out on a WebSocket: messages for later, the faults that strike a
 * message, the queue, and the end. Called by node_ws.c, node_rpc.c and who announces.
 *
 * Happy path: a message becomes a frame in `out`; at the end of the turn one try_write takes all of
 * them. What the kernel does not take flies by uv_write while the next ones gather.
 * Failure modes: a client that does not read (dropped without a word above `ws queue=`, as agave
 * does), memory (dropped too: a message that is lost in silence would be a lie). */
#include <string.h>

#include "base/mem.h"
#include "sim/node_ws.h"

#define KEEP (1u << 20)
#define METHOD_WITHIN 64 /* bytes: `method` stands in front in every notification */
#define WRITE_MOST (UINT64_C(1) << 30)

/* The faults of one message, by kind. */
#define STRIKES (RF_FAULT_WS_BAD_JSON - RF_FAULT_WS_DROP + 1)
struct strikes {
    const struct rf_node_fault *of[STRIKES];
};

static const struct rf_node_fault *struck(const struct strikes *s, enum rf_node_fault_kind kind)
{
    return s->of[kind - RF_FAULT_WS_DROP];
}

void rf_node_ws_touch(struct rf_node_ws *ws)
{
    if (ws->dirty.next == NULL && ws->c->state == RF_CONN_WS)
        rf_list_push(&ws->c->node->ws_dirty, &ws->dirty);
}

static void drop_client(struct rf_node_ws *ws, enum rf_node_ws_end how)
{
    ws->ending = how;
    ws->abort = true;
    rf_node_ws_touch(ws);
}

void rf_node_ws_end(struct rf_node_ws *ws, enum rf_node_ws_end how, unsigned code,
                    const char *reason)
{
    if (ws->ending != RF_WS_END_NONE)
        return;
    if (how == RF_WS_END_FRAME)
        rf_ws_frame_close(&ws->out, code, reason);
    ws->ending = how;
    rf_node_bump(&ws->c->node->stats.ws_closed, 1);
    rf_node_ws_touch(ws);
}

bool rf_node_ws_stalled(struct rf_node_ws *ws, uint64_t now_ns)
{
    if (!ws->stalled && (ws->sent >= ws->stall_after || now_ns >= ws->stall_ns)) {
        ws->stalled = true;
        ws->stall_after = UINT64_MAX;
        ws->stall_ns = rf_time_add(now_ns, ws->stall_for_ns); /* from here on: when it ends */
    } else if (ws->stalled && now_ns >= ws->stall_ns) {
        ws->stalled = false;
        ws->stall_ns = RF_NEVER;
    }
    return ws->stalled;
}

void rf_node_ws_control(struct rf_node_ws *ws, unsigned opcode, const char *data, size_t len)
{
    if (ws->ending != RF_WS_END_NONE)
        return;
    rf_ws_frame_add(&ws->out, opcode, true, data, len);
    rf_node_ws_touch(ws);
}

static void fragment(struct rf_buf *out, const char *text, size_t len,
                     const struct rf_node_fault *f)
{
    for (size_t at = 0; at < len;) {
        size_t n = (size_t)rf_min_u64(f->bytes, len - at);
        rf_ws_frame_add(out, at == 0 ? RF_WS_TEXT : RF_WS_CONTINUATION, at + n == len, text + at,
                        n);
        at += n;
        if (f->ws.pings && at < len)
            rf_ws_frame_add(out, RF_WS_PING, true, "piece", 5);
    }
}

/* The frames of one message; a cut one ends the connection in its middle. */
static void write_frames(struct rf_node_ws *ws, const char *text, size_t len,
                         const struct strikes *s)
{
    static const struct strikes none;
    s = s == NULL ? &none : s;
    const struct rf_node_fault *pieces = struck(s, RF_FAULT_WS_FRAGMENT);
    const struct rf_node_fault *bad = struck(s, RF_FAULT_WS_BAD_FRAME);
    if (struck(s, RF_FAULT_WS_BAD_JSON) != NULL)
        len -= len / 2;
    if (bad != NULL)
        rf_ws_frame_bad(&ws->out, (enum rf_ws_bad)bad->ws.bad, text, len);
    else if (pieces != NULL)
        fragment(&ws->out, text, len, pieces);
    else
        rf_ws_frame_add(&ws->out, RF_WS_TEXT, true, text, len);
    if (struck(s, RF_FAULT_WS_CUT) != NULL && ws->out.len > len / 2) {
        ws->out.len -= len / 2 + (len < 2);
        rf_node_ws_end(ws, RF_WS_END_FIN, 0, NULL);
    }
}

static bool is_reply(struct rpcfan_slice method)
{
    return method.len == sizeof RF_NODE_WS_REPLY - 1 &&
           memcmp(method.data, RF_NODE_WS_REPLY, method.len) == 0;
}

/* Whether more waits for the client than the node keeps. */
static bool is_full(const struct rf_node_ws *ws)
{
    return ws->out.len - ws->out_at + ws->flying.len + ws->waiting >
           ws->c->node->conf->ws.queue_max;
}

static void emit(struct rf_node_ws *ws, const char *text, size_t len, bool note,
                 const struct strikes *s)
{
    struct rf_node *node = ws->c->node;
    if (ws->ending != RF_WS_END_NONE)
        return;
    write_frames(ws, text, len, s);
    ws->sent++;
    rf_node_bump(&node->stats.ws_sent, 1);
    rf_node_bump(&node->stats.ws_notes, note);
    if (ws->out.failed || is_full(ws)) {
        rf_node_bump(&node->stats.ws_lagged, 1);
        drop_client(ws, RF_WS_END_FIN);
    } else if (ws->sent >= ws->close_after) {
        rf_node_ws_end(ws, ws->close_how, ws->close_code, NULL);
    }
}

static struct rf_node_later *new_later(struct rf_node_ws *ws, const char *text, size_t len)
{
    struct rf_node_later *m = rf_alloc(sizeof *m + len);
    if (m == NULL)
        return NULL;
    m->len = len;
    memcpy(m->text, text, len);
    ws->waiting += len;
    return m;
}

static void free_later(struct rf_node_ws *ws, struct rf_node_later *m)
{
    ws->waiting -= m->len;
    rf_free(m);
}

/* One message more has gone out: those that were held for it follow. @param now_ns RF_NEVER: all.
 */
static void release_held(struct rf_node_ws *ws, uint64_t gone, uint64_t now_ns)
{
    struct rf_link *l = ws->held.next, *next;
    for (; l != &ws->held; l = next) {
        struct rf_node_later *m = RF_CONTAINER(l, struct rf_node_later, held);
        next = l->next;
        m->left -= rf_min_u64(gone, m->left);
        if (m->left > 0 && m->due.at_ns > now_ns)
            continue;
        rf_list_remove(l);
        emit(ws, m->text, m->len, m->code != 0, NULL);
        free_later(ws, m);
    }
}

/* The method of a notification, or RF_NODE_WS_REPLY. */
static struct rpcfan_slice method_of(const char *text, size_t len)
{
    static const char key[] = "\"method\":\"";
    const char *p = memmem(text, len < METHOD_WITHIN ? len : METHOD_WITHIN, key, sizeof key - 1);
    if (p != NULL) {
        p += sizeof key - 1;
        const char *end = memchr(p, '"', (size_t)(text + len - p));
        if (end != NULL)
            return (struct rpcfan_slice){p, (size_t)(end - p)};
    }
    return (struct rpcfan_slice){RF_NODE_WS_REPLY, sizeof RF_NODE_WS_REPLY - 1};
}

/* @return false: the message goes no further. */
static bool strike(struct rf_node_ws *ws, const char *text, size_t len, uint64_t now_ns,
                   struct rpcfan_slice method, struct strikes *s)
{
    struct rf_node *node = ws->c->node;
    struct rpcfan_slice path = {ws->path, strlen(ws->path)};
    for (unsigned i = 0; i < STRIKES; i++)
        s->of[i] = rf_node_fault_of(node, (enum rf_node_fault_kind)(RF_FAULT_WS_DROP + i), method,
                                    path, now_ns);
    if (struck(s, RF_FAULT_WS_DROP) != NULL) {
        rf_node_bump(&node->stats.ws_dropped, 1);
        return false;
    }
    const struct rf_node_fault *f = struck(s, RF_FAULT_WS_REORDER);
    f = f != NULL ? f : struck(s, RF_FAULT_WS_LATE_REPLY);
    struct rf_node_later *m = f == NULL ? NULL : new_later(ws, text, len);
    if (m == NULL)
        return true;
    m->left = f->n;
    m->code = !is_reply(method); /* whether it counts as a notification */
    m->due.at_ns = rf_time_add(now_ns, f->every_ns);
    rf_list_push(&ws->held, &m->held);
    return false;
}

void rf_node_ws_deliver(struct rf_node_ws *ws, const char *text, size_t len, uint64_t now_ns)
{
    struct rf_node *node = ws->c->node;
    struct strikes strikes = {{NULL}};
    struct rpcfan_slice method = method_of(text, len);
    uint64_t copies = 1;
    if (rf_node_ws_stalled(ws, now_ns)) {
        rf_node_bump(&node->stats.ws_dropped, 1);
        return;
    }
    rf_node_ws_touch(ws);
    if ((node->conf->layers >> RF_LAYER_WS_MESSAGE & 1) != 0) {
        if (!strike(ws, text, len, now_ns, method, &strikes))
            return;
        const struct rf_node_fault *more = struck(&strikes, RF_FAULT_WS_DUPLICATE);
        copies += more == NULL ? 0 : more->n;
    }
    for (uint64_t i = 0; i < copies; i++)
        emit(ws, text, len, !is_reply(method), &strikes);
    if (!rf_list_empty(&ws->held))
        release_held(ws, 1, now_ns);
}

static void push_later(struct rf_node_ws *ws, struct rf_node_later *m, uint64_t at_ns)
{
    if (m != NULL && rf_heap_push(&ws->later, &m->due, at_ns)) {
        rf_node_ws_touch(ws);
        if (is_full(ws) && !ws->abort) {
            rf_node_bump(&ws->c->node->stats.ws_lagged, 1);
            drop_client(ws, RF_WS_END_FIN);
        }
        return;
    }
    if (m != NULL)
        free_later(ws, m);
    drop_client(ws, RF_WS_END_RESET);
}

void rf_node_ws_send(struct rf_node_ws *ws, const char *text, size_t len, uint64_t at_ns)
{
    uint64_t now_ns = uv_hrtime();
    if (at_ns <= now_ns && rf_heap_next(&ws->later) > at_ns)
        rf_node_ws_deliver(ws, text, len, now_ns);
    else
        push_later(ws, new_later(ws, text, len), at_ns);
}

void rf_node_ws_end_at(struct rf_node_ws *ws, enum rf_node_ws_end how, unsigned code,
                       uint64_t at_ns)
{
    struct rf_node_later *m = new_later(ws, "", 0);
    if (m != NULL) {
        m->end = how;
        m->code = code;
    }
    push_later(ws, m, at_ns);
}

/* Messages whose time has come. */
static void send_due(struct rf_node_ws *ws, uint64_t now_ns)
{
    while (rf_heap_next(&ws->later) <= now_ns) {
        struct rf_heap_node *t = rf_heap_top(&ws->later);
        struct rf_node_later *m = RF_CONTAINER(t, struct rf_node_later, due);
        rf_heap_remove(&ws->later, t);
        if (m->end != RF_WS_END_NONE)
            rf_node_ws_end(ws, m->end, m->code, NULL);
        else
            rf_node_ws_deliver(ws, m->text, m->len, now_ns);
        free_later(ws, m);
    }
    if (!rf_list_empty(&ws->held))
        release_held(ws, 0, now_ns);
}

static void on_written(uv_write_t *req, int status)
{
    struct rf_node_conn *c = req->data;
    if (c->state != RF_CONN_WS)
        return;
    if (status < 0) {
        rf_node_conn_close(c, false);
        return;
    }
    c->ws->writing = false;
    rf_buf_reset(&c->ws->flying, KEEP);
    rf_node_ws_touch(c->ws);
    rf_node_ws_flush_all(c->node);
}

/* What the kernel did not take goes by itself. */
static void fly(struct rf_node_ws *ws)
{
    struct rf_buf empty = ws->flying;
    ws->flying = ws->out;
    ws->out = empty;
    uv_buf_t rest =
        uv_buf_init(ws->flying.data + ws->out_at, (unsigned)(ws->flying.len - ws->out_at));
    ws->out_at = 0;
    ws->writing = true;
    ws->c->write.data = ws->c;
    rf_node_bump(&ws->c->node->stats.bytes_out, rest.len);
    if (uv_write(&ws->c->write, &ws->c->h.stream, &rest, 1, on_written) != 0)
        rf_node_conn_close(ws->c, false);
}

/* @return false: closed. */
static bool write_some(struct rf_node_ws *ws, uint64_t now_ns)
{
    bool drip = ws->drip_bytes > 0;
    size_t n = ws->out.len - ws->out_at;
    if (n == 0 || ws->writing || (drip && now_ns < ws->drip_next_ns))
        return true;
    n = (size_t)rf_min_u64(n, drip ? ws->drip_bytes : WRITE_MOST);
    uv_buf_t buf = uv_buf_init(ws->out.data + ws->out_at, (unsigned)n);
    int took = uv_try_write(&ws->c->h.stream, &buf, 1);
    if (took < 0 && took != UV_EAGAIN) {
        rf_node_conn_close(ws->c, false);
        return false;
    }
    took = took < 0 ? 0 : took;
    ws->out_at += (size_t)took;
    rf_node_bump(&ws->c->node->stats.bytes_out, (uint64_t)took);
    ws->drip_next_ns = rf_time_add(now_ns, ws->drip_every_ns);
    if (ws->out_at == ws->out.len) {
        ws->out_at = 0;
        rf_buf_reset(&ws->out, KEEP);
    } else if (!drip) {
        fly(ws);
    }
    return ws->c->state == RF_CONN_WS;
}

static void rearm(struct rf_node_ws *ws)
{
    uint64_t at_ns = RF_NEVER;
    if (ws->ending == RF_WS_END_NONE) {
        at_ns = rf_min_u64(rf_heap_next(&ws->later), ws->close_ns);
        at_ns = rf_min_u64(at_ns, ws->ping_next_ns);
        if (ws->idle_ns != RF_NEVER)
            at_ns = rf_min_u64(at_ns, rf_time_add(ws->heard_ns, ws->idle_ns));
        for (struct rf_link *l = ws->held.next; l != &ws->held; l = l->next)
            at_ns = rf_min_u64(at_ns, RF_CONTAINER(l, struct rf_node_later, held)->due.at_ns);
    }
    if (ws->drip_bytes > 0 && ws->out.len > ws->out_at)
        at_ns = rf_min_u64(at_ns, ws->drip_next_ns);
    if (at_ns == ws->c->timer.at_ns && ws->c->timer.pos != 0)
        return;
    rf_heap_remove(&ws->c->node->heap, &ws->c->timer);
    if (at_ns != RF_NEVER)
        rf_node_timer_set(ws->c->node, &ws->c->timer, at_ns);
}

void rf_node_ws_flush(struct rf_node_ws *ws)
{
    uint64_t now_ns = uv_hrtime();
    struct rf_node_conn *c = ws->c;
    if (ws->ending == RF_WS_END_NONE)
        send_due(ws, now_ns);
    rf_list_remove(&ws->dirty);
    if (ws->abort) {
        rf_node_conn_close(c, ws->ending == RF_WS_END_RESET);
        return;
    }
    if (!write_some(ws, now_ns))
        return;
    if (ws->ending == RF_WS_END_NONE || ws->out.len > ws->out_at || ws->writing)
        rearm(ws);
    else if (ws->ending == RF_WS_END_RESET)
        rf_node_conn_close(c, true);
    else
        rf_node_conn_drain(c);
}

void rf_node_ws_flush_all(struct rf_node *node)
{
    struct rf_link *l, later;
    rf_list_init(&later);
    rf_list_splice(&later, &node->ws_dirty);
    while ((l = rf_list_shift(&later)) != NULL)
        rf_node_ws_flush(RF_CONTAINER(l, struct rf_node_ws, dirty));
}
