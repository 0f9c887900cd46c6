/* node_ws.c - a WebSocket connection: its handshake, its faults, and what the client sends. Called
 * by node_conn.c; gives messages to node_rpc.c.
 *
 * Happy path: GET with a key, 101, frames in both directions, a close frame, its echo, the end.
 * Failure modes: a refused handshake (an HTTP answer as any), frames that no client may send (close
 * 1002), messages over the cap (1009), a client that leaves without a word. */
#include "sim/node_ws.h"

#include <string.h>

#include "base/mem.h"

#define INBOUND_SOLANA 4096 /* agave's */
#define INBOUND_MAX (UINT64_C(10) << 20)

static bool solana_only(const struct rf_node *node)
{
    return node->validator != NULL || node->conf->program.n > 0 ||
           node->conf->chain.family == RF_NODE_SOLANA;
}

static uint64_t inbound_max(const struct rf_node *node)
{
    uint64_t max = node->conf->ws.inbound_max;
    return max > 0 ? max : solana_only(node) ? INBOUND_SOLANA : INBOUND_MAX;
}

/* Why the handshake is refused. @return its status, or 0: it is not. */
static unsigned refuse(struct rf_node *node, struct rf_node_conn *c)
{
    struct rf_node_work *w = &node->work;
    const struct rf_node_ws_limits *l = &node->conf->ws;
    struct rpcfan_slice method = {RF_NODE_WS_METHOD, sizeof RF_NODE_WS_METHOD - 1};
    unsigned status = 0;
    if (c->http.version != 13) {
        rf_buf_str(&w->fields, "Sec-WebSocket-Version: 13\r\n");
        return 426;
    }
    if (!rf_ws_key_good(c->http.key, c->http.key_len))
        return 400;
    if (l->connections > 0 && node->stats.ws_open.v >= l->connections) {
        c->plan.fault = "connections";
        return rf_node_refuse_say(node, &l->refusal, RF_SEC);
    }
    if (rf_node_refuse_rate(node, &status)) {
        c->plan.fault = "rate";
        return status;
    }
    const struct rf_node_fault *f =
        rf_node_fault_of(node, RF_FAULT_WS_REFUSE, method, w->path, w->now_ns);
    if (f == NULL)
        return 0;
    c->plan.fault = rf_node_fault_name(RF_FAULT_WS_REFUSE);
    (void)rf_node_refuse_say(node, &f->say, 0);
    return f->status;
}

static void accept_it(struct rf_node *node, struct rf_node_conn *c, struct rpcfan_slice method)
{
    struct rf_node_work *w = &node->work;
    char text[RF_WS_ACCEPT_MAX];
    struct rf_node_ws *ws = rf_alloc(sizeof *ws);
    c->ws = ws;
    if (ws != NULL) {
        ws->c = c;
        rf_list_init(&ws->subs);
        rf_list_init(&ws->held);
        ws->path = rf_memdup(w->path.data, w->path.len);
    }
    rf_ws_accept(c->http.key, text);
    if (rf_node_fault_of(node, RF_FAULT_WS_BAD_ACCEPT, method, w->path, w->now_ns) != NULL)
        text[0] = text[0] == 'A' ? 'B' : 'A';
    rf_buf_printf(&c->out,
                  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                  text);
    c->plan.cut = c->out.len;
    c->plan.status = 101;
    c->plan.upgrade = true;
    if (rf_node_fault_of(node, RF_FAULT_WS_HANG, method, w->path, w->now_ns) != NULL) {
        c->plan.fault = rf_node_fault_name(RF_FAULT_WS_HANG);
        c->plan.wire = RF_WIRE_HANG;
        c->plan.cut = 0;
    }
    if (c->out.failed || ws == NULL || ws->path == NULL) {
        c->plan.wire = RF_WIRE_RESET;
        c->plan.cut = 0;
    }
}

void rf_node_ws_handshake(struct rf_node *node, struct rf_node_conn *c)
{
    struct rpcfan_slice method = {RF_NODE_WS_METHOD, sizeof RF_NODE_WS_METHOD - 1};
    struct rf_node_work *w = &node->work;
    rf_node_work_reset(w, c->began_ns);
    w->path = (struct rpcfan_slice){c->in.data + c->in_at + c->http.path_at, c->http.path_len};
    if (!rf_node_lone_member(node, method)) {
        rf_node_reply(node, c, 503);
        return;
    }
    unsigned status = refuse(node, c);
    rf_node_second_add(node, 1, status != 0, status != 0);
    c->plan.delay_ns = rf_node_service(node);
    if (status == 0) {
        accept_it(node, c, method);
        return;
    }
    rf_node_bump(&node->stats.ws_refused, 1);
    rf_node_reply(node, c, status);
}

static uint64_t draw(struct rf_node *node, const uint64_t span[2])
{
    return span[0] == span[1] ? span[0]
                              : span[0] + rf_rng_below(&node->conf->rng, span[1] - span[0] + 1);
}

/* What will happen to this connection, as the script says now. */
static void draw_faults(struct rf_node *node, struct rf_node_ws *ws)
{
    struct rpcfan_slice method = {RF_NODE_WS_METHOD, sizeof RF_NODE_WS_METHOD - 1};
    struct rpcfan_slice path = {ws->path, strlen(ws->path)};
    uint64_t now_ns = ws->opened_ns;
    ws->close_after = ws->stall_after = UINT64_MAX;
    ws->close_ns = ws->stall_ns = ws->idle_ns = ws->ping_next_ns = RF_NEVER;
    ws->pongs = true;
    if (node->conf->ws.ping_ns > 0)
        ws->ping_next_ns = rf_time_add(now_ns, node->conf->ws.ping_ns);
    const struct rf_node_fault *f = rf_node_fault_of(node, RF_FAULT_WS_CLOSE, method, path, now_ns);
    if (f != NULL) {
        ws->close_after = draw(node, f->ws.after);
        ws->close_ns = rf_time_add(now_ns, draw(node, f->ws.in_ns));
        ws->close_how = f->ws.how;
        ws->close_code = f->ws.code;
    }
    f = rf_node_fault_of(node, RF_FAULT_WS_STALL, method, path, now_ns);
    if (f != NULL) {
        ws->stall_after = draw(node, f->ws.after);
        ws->stall_ns = rf_time_add(now_ns, draw(node, f->ws.in_ns));
        ws->stall_for_ns = f->ws.for_ns;
        ws->pongs = f->ws.pongs;
    }
    f = rf_node_fault_of(node, RF_FAULT_WS_IDLE, method, path, now_ns);
    if (f != NULL) {
        ws->idle_ns = draw(node, f->ws.in_ns);
        ws->idle_how = f->ws.how;
        ws->idle_code = f->ws.code;
    }
    f = rf_node_fault_of(node, RF_FAULT_WS_DRIP, method, path, now_ns);
    if (f != NULL) {
        ws->drip_bytes = f->bytes;
        ws->drip_every_ns = f->every_ns;
    }
}

void rf_node_ws_begin(struct rf_node_conn *c)
{
    struct rf_node *node = c->node;
    struct rf_node_ws *ws = c->ws;
    ws->opened_ns = ws->heard_ns = uv_hrtime();
    rf_node_bump(&node->stats.ws_opened, 1);
    rf_node_bump(&node->stats.ws_open, 1);
    int size = (int)node->conf->ws.send_buffer;
    if (size > 0)
        uv_send_buffer_size(&c->h.handle, &size);
    draw_faults(node, ws);
    if (ws->close_after == 0)
        rf_node_ws_end(ws, ws->close_how, ws->close_code, NULL);
    else if (node->validator != NULL)
        rf_node_validator_open(node, ws);
    rf_node_ws_touch(ws);
}

void rf_node_ws_gone(struct rf_node_conn *c)
{
    struct rf_node_ws *ws = c->ws;
    struct rf_node *node = c->node;
    if (ws == NULL || ws->opened_ns == 0)
        return; /* it never began, or has ended before */
    ws->opened_ns = 0;
    rf_list_remove(&ws->dirty);
    rf_node_bump(&node->stats.ws_open, UINT64_MAX);
    rf_node_subs_drop(ws);
    if (ws->session != 0)
        rf_node_validator_gone(node, ws);
}

void rf_node_ws_free(struct rf_node_conn *c)
{
    struct rf_node_ws *ws = c->ws;
    struct rf_heap_node *t;
    struct rf_link *l;
    if (ws == NULL)
        return;
    while ((t = rf_heap_top(&ws->later)) != NULL) {
        rf_heap_remove(&ws->later, t);
        rf_free(RF_CONTAINER(t, struct rf_node_later, due));
    }
    while ((l = rf_list_shift(&ws->held)) != NULL)
        rf_free(RF_CONTAINER(l, struct rf_node_later, held));
    rf_heap_fini(&ws->later);
    rf_buf_fini(&ws->message);
    rf_buf_fini(&ws->out);
    rf_buf_fini(&ws->flying);
    rf_free(ws->path);
    rf_free(ws);
    c->ws = NULL;
}

/* The client says goodbye: the same code back, and the end. */
static void take_close(struct rf_node_ws *ws, const char *payload, size_t len)
{
    const unsigned char *p = (const unsigned char *)payload;
    if (len == 1) {
        rf_node_ws_end(ws, RF_WS_END_FRAME, RF_WS_PROTOCOL, NULL);
        return;
    }
    if (ws->ending != RF_WS_END_NONE)
        return;
    rf_ws_frame_close(&ws->out, len < 2 ? 0 : (unsigned)(p[0] << 8 | p[1]), NULL);
    ws->ending = RF_WS_END_FIN;
    rf_node_ws_touch(ws);
}

static void take_message(struct rf_node_ws *ws, char *text, size_t len)
{
    rf_node_bump(&ws->c->node->stats.ws_received, 1);
    rf_node_message(ws->c->node, ws, (struct rpcfan_slice){text, len});
}

/* A whole frame, its mask taken off. */
static void take_frame(struct rf_node_ws *ws, const struct rf_ws_frame *f, char *payload)
{
    size_t len = (size_t)f->len;
    bool silent = rf_node_ws_stalled(ws, ws->heard_ns);
    if (silent && !ws->pongs)
        return; /* as if the line were cut: nobody is there to hear it */
    switch (f->opcode) {
    case RF_WS_CLOSE:
        take_close(ws, payload, len);
        return;
    case RF_WS_PING:
        rf_node_validator_pinged(ws->c->node, ws);
        rf_node_ws_control(ws, RF_WS_PONG, payload, len);
        return;
    case RF_WS_PONG:
        return;
    default:
        break;
    }
    if ((f->opcode == RF_WS_CONTINUATION) != ws->in_message) {
        rf_node_ws_end(ws, RF_WS_END_FRAME, RF_WS_PROTOCOL, "a piece out of place");
        return;
    }
    if (f->fin && !ws->in_message) {
        take_message(ws, payload, len);
        return;
    }
    rf_buf_add(&ws->message, payload, len);
    ws->in_message = !f->fin;
    if (!f->fin)
        return;
    if (ws->message.failed)
        rf_node_ws_end(ws, RF_WS_END_RESET, 0, NULL);
    else
        take_message(ws, ws->message.data, ws->message.len);
    rf_buf_reset(&ws->message, RF_NODE_KEEP);
}

void rf_node_ws_read(struct rf_node_conn *c)
{
    struct rf_node_ws *ws = c->ws;
    struct rf_ws_frame f;
    ws->heard_ns = uv_hrtime();
    rf_node_take_script(c->node);
    if (c->state != RF_CONN_WS)
        return; /* the new script took the node off the network */
    while (ws->ending == RF_WS_END_NONE) {
        size_t have = c->in.len - c->in_at;
        enum rf_ws_found found = rf_ws_frame_read(c->in.data + c->in_at, have, &f);
        if (found == RF_WS_MORE)
            return;
        if (found == RF_WS_BAD) {
            rf_node_ws_end(ws, RF_WS_END_FRAME, RF_WS_PROTOCOL, "not a frame of a client");
            break;
        }
        if (f.opcode < RF_WS_CLOSE && f.len > rf_time_sub(inbound_max(c->node), ws->message.len)) {
            rf_node_ws_end(ws, RF_WS_END_FRAME, RF_WS_TOO_BIG, "message too big");
            break;
        }
        if (have - f.head < f.len)
            return;
        char *payload = c->in.data + c->in_at + f.head;
        rf_ws_unmask(payload, (size_t)f.len, f.mask);
        c->in_at += f.head + (size_t)f.len;
        take_frame(ws, &f, payload);
    }
    c->in.len = c->in_at; /* whatever comes behind the end is nothing */
}

void rf_node_ws_due(struct rf_node_conn *c)
{
    struct rf_node_ws *ws = c->ws;
    uint64_t now_ns = uv_hrtime();
    if (ws->close_ns <= now_ns)
        rf_node_ws_end(ws, ws->close_how, ws->close_code, NULL);
    if (ws->idle_ns != RF_NEVER && rf_time_add(ws->heard_ns, ws->idle_ns) <= now_ns)
        rf_node_ws_end(ws, ws->idle_how, ws->idle_code, NULL);
    if (ws->ping_next_ns <= now_ns) {
        ws->ping_next_ns = rf_time_add(now_ns, rf_max_u64(c->node->conf->ws.ping_ns, RF_SEC));
        if (!rf_node_ws_stalled(ws, now_ns))
            rf_node_ws_control(ws, RF_WS_PING, "sim", 3);
    }
    rf_node_ws_touch(ws);
}
