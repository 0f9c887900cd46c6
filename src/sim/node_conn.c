/* node_conn.c - a connection: bytes in, requests one after the other, answers out as planned.
 * Called by libuv and node.c; calls node_rpc.c for what to say.
 *
 * Happy path: read, a whole request, answer with one try_write, read on. Nothing is allocated once
 * the buffers have grown to what the traffic needs.
 * Failure modes: the peer is slow to read (the rest waits in uv_write, and reading stops at
 * RF_NODE_BACKLOG bytes), closes early, or sends what is no HTTP (answered, then drained: a close
 * with unread bytes would reset the connection and lose the answer). */
#include <string.h>

#include "base/mem.h"
#include "sim/node_program.h"
#include "sim/node_ws.h"

#define READ_LEAST 4096
#define READ_MOST (1u << 20)
#define SPARE_MAX 128
#define LINGER_NS (2 * RF_SEC)
#define FILLER 16384
#define WRITE_MOST (1u << 30)

static void process(struct rf_node_conn *c);
static void write_out(struct rf_node_conn *c);

/* The only writer of `state`. */
static void set_state(struct rf_node_conn *c, enum rf_conn_state state)
{
    c->state = state;
}

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
    struct rf_node_conn *c = handle->data;
    (void)hint;
    if (c->in_at > 0 && (c->in_at == c->in.len || c->in.cap - c->in.len < READ_LEAST)) {
        memmove(c->in.data, c->in.data + c->in_at, c->in.len - c->in_at);
        c->in.len -= c->in_at;
        c->in_at = 0;
    }
    if (!rf_buf_reserve(&c->in, READ_LEAST)) {
        *buf = uv_buf_init(NULL, 0);
        return;
    }
    size_t room = c->in.cap - c->in.len;
    *buf = uv_buf_init(c->in.data + c->in.len, (unsigned)(room < READ_MOST ? room : READ_MOST));
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    struct rf_node_conn *c = stream->data;
    (void)buf;
    if (nread == UV_EOF &&
        (c->state == RF_CONN_TRANSIT || c->state == RF_CONN_DELAY || c->state == RF_CONN_WRITE)) {
        c->eof = true; /* half-closed: the answer may still be wanted */
        return;
    }
    if (nread < 0) {
        rf_node_conn_close(c, false);
        return;
    }
    c->in.len += (size_t)nread;
    rf_node_bump(&c->node->stats.bytes_in, (uint64_t)nread);
    if (c->state == RF_CONN_READ) {
        process(c);
        rf_node_ws_flush_all(c->node);
    } else if (c->state == RF_CONN_WS) {
        rf_node_ws_read(c);
        rf_node_ws_flush_all(c->node);
    } else if (c->state == RF_CONN_LINGER || c->state == RF_CONN_HANG) {
        c->in.len = c->in_at;
    } else if (c->in.len - c->in_at > RF_NODE_BACKLOG) {
        uv_read_stop(stream);
        c->reading = false;
    }
}

static void resume_reading(struct rf_node_conn *c)
{
    if (c->reading || c->eof)
        return;
    c->reading = uv_read_start(&c->h.stream, on_alloc, on_read) == 0;
    if (!c->reading)
        rf_node_conn_close(c, true);
}

static void on_closed(uv_handle_t *handle)
{
    struct rf_node_conn *c = handle->data;
    struct rf_node *node = c->node;
    node->n_conns--;
    rf_node_ws_free(c);
    if (node->n_spare < SPARE_MAX && !node->stopping) {
        rf_buf_reset(&c->in, RF_NODE_KEEP);
        rf_buf_reset(&c->out, RF_NODE_KEEP);
        rf_list_push(&node->spare_conns, &c->link);
        node->n_spare++;
    } else {
        rf_buf_fini(&c->in);
        rf_buf_fini(&c->out);
        rf_free(c);
    }
    rf_node_maybe_stopped(node);
}

void rf_node_conns_fini(struct rf_node *node)
{
    struct rf_link *l;
    while ((l = rf_list_shift(&node->spare_conns)) != NULL) {
        struct rf_node_conn *c = RF_CONTAINER(l, struct rf_node_conn, link);
        rf_buf_fini(&c->in);
        rf_buf_fini(&c->out);
        rf_free(c);
    }
}

/* The request is over: for the counters and the access log, exactly once. */
static void account(struct rf_node_conn *c)
{
    struct rf_node *node = c->node;
    if (!c->active)
        return;
    c->active = false;
    rf_node_bump(&node->stats.active, UINT64_MAX);
    if (node->access_log != NULL)
        fprintf(node->access_log, "%.3f %u %u %s\n", (double)(uv_hrtime() - c->began_ns) / 1e6,
                c->plan.status, (unsigned)c->plan.members,
                c->plan.fault == NULL ? "-" : c->plan.fault);
}

void rf_node_conn_close(struct rf_node_conn *c, bool reset)
{
    if (c->state == RF_CONN_CLOSING)
        return;
    account(c);
    rf_node_ws_gone(c);
    set_state(c, RF_CONN_CLOSING);
    rf_heap_remove(&c->node->heap, &c->timer);
    rf_list_remove(&c->link);
    rf_node_bump(&c->node->stats.open, UINT64_MAX);
    if (!reset || c->node->unix_socket || uv_tcp_close_reset(&c->h.tcp, on_closed) != 0)
        uv_close(&c->h.handle, on_closed);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    (void)req;
    (void)status; /* the drain's timer ends it either way */
}

void rf_node_conn_drain(struct rf_node_conn *c)
{
    set_state(c, RF_CONN_LINGER);
    rf_node_ws_gone(c);
    c->in.len = c->in_at = 0;
    rf_node_timer_set(c->node, &c->timer, uv_hrtime() + LINGER_NS);
    uv_shutdown(&c->shutdown, &c->h.stream, on_shutdown);
    resume_reading(c);
}

/* The answer is out: on to the next request, to the WebSocket, or to the end. */
static void finish(struct rf_node_conn *c)
{
    struct rf_node *node = c->node;
    account(c);
    c->served++;
    if (c->plan.upgrade && !c->eof) {
        set_state(c, RF_CONN_WS);
        rf_buf_reset(&c->out, RF_NODE_KEEP);
        rf_node_ws_begin(c);
        resume_reading(c);
        if (c->state == RF_CONN_WS && c->in.len > c->in_at)
            rf_node_ws_read(c);
        return;
    }
    if (c->plan.linger && !c->eof) {
        rf_node_conn_drain(c);
        return;
    }
    if (c->plan.close || c->eof) {
        rf_node_conn_close(c, false);
        return;
    }
    set_state(c, RF_CONN_READ);
    c->http = (struct rf_node_http){0};
    rf_buf_reset(&c->out, RF_NODE_KEEP);
    if (c->in_at == c->in.len) {
        c->in_at = 0;
        rf_buf_reset(&c->in, RF_NODE_KEEP);
    }
    if (node->conf->keepalive_idle_ns > 0)
        rf_node_timer_set(node, &c->timer, uv_hrtime() + node->conf->keepalive_idle_ns);
    resume_reading(c);
}

static void on_written(uv_write_t *req, int status)
{
    struct rf_node_conn *c = req->data;
    if (c->state == RF_CONN_CLOSING)
        return;
    if (status < 0) {
        rf_node_conn_close(c, false);
        return;
    }
    write_out(c);
    if (c->state == RF_CONN_READ)
        process(c);
    rf_node_ws_flush_all(c->node);
}

static uv_buf_t next_bytes(struct rf_node_conn *c, size_t to)
{
    return uv_buf_init(c->out.data + c->out_at, (unsigned)rf_min_u64(to - c->out_at, WRITE_MOST));
}

/* Send bytes of `out` up to `to`. @return true: all are with the kernel; false: wait, or closed. */
static bool flush(struct rf_node_conn *c, size_t to)
{
    if (c->out_at < to) {
        uv_buf_t buf = next_bytes(c, to);
        int n = uv_try_write(&c->h.stream, &buf, 1);
        if (n < 0 && n != UV_EAGAIN) {
            rf_node_conn_close(c, false);
            return false;
        }
        c->out_at += n > 0 ? (size_t)n : 0;
        rf_node_bump(&c->node->stats.bytes_out, n > 0 ? (uint64_t)n : 0);
    }
    if (c->out_at == to)
        return true;
    uv_buf_t rest = next_bytes(c, to);
    c->write.data = c;
    rf_node_bump(&c->node->stats.bytes_out, rest.len);
    c->out_at += rest.len;
    if (uv_write(&c->write, &c->h.stream, &rest, 1, on_written) != 0)
        rf_node_conn_close(c, false);
    return false;
}

/* More of a body that has no end; the callback comes only when the peer took this much. */
static void write_filler(struct rf_node_conn *c)
{
    static char filler[FILLER];
    if (filler[0] == '\0')
        memset(filler, 'e', sizeof filler);
    size_t n = (size_t)rf_min_u64(c->plan.step, sizeof filler);
    if (n == 0) {
        rf_node_conn_close(c, false);
        return;
    }
    if (c->plan.step != UINT64_MAX)
        c->plan.step -= n;
    uv_buf_t buf = uv_buf_init(filler, (unsigned)n);
    c->write.data = c;
    rf_node_bump(&c->node->stats.bytes_out, n);
    if (uv_write(&c->write, &c->h.stream, &buf, 1, on_written) != 0)
        rf_node_conn_close(c, false);
}

/* Carry the plan out from where it stands. */
static void write_out(struct rf_node_conn *c)
{
    set_state(c, RF_CONN_WRITE);
    for (;;) {
        size_t to = (size_t)rf_min_u64(c->plan.cut, c->out.len);
        if (c->plan.wire == RF_WIRE_DRIP)
            to = (size_t)rf_min_u64(c->out_at + c->plan.step, to);
        if (!flush(c, to))
            return;
        if (c->out_at < c->out.len || !c->plan.stream || !rf_node_rows_next(c))
            break;
    }
    switch (c->plan.wire) {
    case RF_WIRE_PLAIN:
        finish(c);
        break;
    case RF_WIRE_RESET:
    case RF_WIRE_CLOSE:
        rf_node_conn_close(c, c->plan.wire == RF_WIRE_RESET);
        break;
    case RF_WIRE_HANG:
        set_state(c, RF_CONN_HANG);
        if (c->eof)
            rf_node_conn_close(c, false);
        else
            resume_reading(c);
        break;
    case RF_WIRE_DRIP:
        if (c->out_at == rf_min_u64(c->plan.cut, c->out.len))
            finish(c);
        else
            rf_node_timer_set(c->node, &c->timer, uv_hrtime() + c->plan.step_ns);
        break;
    case RF_WIRE_ENDLESS:
        write_filler(c);
        break;
    }
}

/* A whole request, or one that is refused at the door: make the answer and let it go. */
static void answer(struct rf_node_conn *c, enum rf_http_found found)
{
    struct rf_node *node = c->node;
    struct rf_node_stats *stats = &node->stats;
    c->began_ns = uv_hrtime();
    c->plan = (struct rf_node_plan){0};
    c->out.len = c->out_at = 0;
    c->active = true;
    rf_heap_remove(&node->heap, &c->timer);
    rf_node_bump(&stats->active, 1);
    if (stats->active.v > stats->active_max.v)
        stats->active_max.v = stats->active.v;
    if (found != RF_HTTP_WHOLE) {
        rf_node_reject(node, c, found);
    } else if (c->http.method == RF_HTTP_POST) {
        struct rpcfan_slice body = {c->in.data + c->in_at + c->http.body_at, c->http.body_len};
        rf_node_handle(node, c, body);
    } else if (c->http.method == RF_HTTP_GET && c->http.upgrade) {
        rf_node_ws_handshake(node, c);
    } else if (c->http.method == RF_HTTP_GET) {
        rf_node_status(node, c);
    } else {
        rf_node_reject(node, c, 405);
    }
    c->in_at += found == RF_HTTP_WHOLE ? c->http.pos : 0;
    if (c->plan.delay_ns > 0) {
        set_state(c, RF_CONN_DELAY);
        rf_node_timer_set(node, &c->timer, rf_time_add(c->began_ns, c->plan.delay_ns));
    } else {
        write_out(c);
    }
}

/* A whole request: it may take its time from the wire to the limits. */
static void arrive(struct rf_node_conn *c, enum rf_http_found found)
{
    uint64_t transit_ns = found == RF_HTTP_WHOLE ? rf_node_transit(c->node) : 0;
    if (transit_ns == 0) {
        answer(c, found);
        return;
    }
    set_state(c, RF_CONN_TRANSIT);
    rf_node_timer_set(c->node, &c->timer, rf_time_add(uv_hrtime(), transit_ns));
}

static void say_continue(struct rf_node_conn *c)
{
    static char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    uv_buf_t buf = uv_buf_init(text, sizeof text - 1);
    c->http.expect = false;
    int n = uv_try_write(&c->h.stream, &buf, 1);
    if (n != (int)sizeof text - 1)
        rf_node_conn_close(c, true); /* nothing else is on its way, so the peer is gone */
}

/* Requests that are whole, one after the other, while each is answered at once. */
static void process(struct rf_node_conn *c)
{
    while (c->state == RF_CONN_READ && c->in.len > c->in_at) {
        rf_node_take_script(c->node);
        if (c->state != RF_CONN_READ)
            return; /* the new script took the node off the network */
        enum rf_http_found found = rf_node_http_read(&c->http, c->in.data + c->in_at,
                                                     c->in.len - c->in_at, c->node->conf->body_max);
        if (found == RF_HTTP_MORE) {
            if (c->http.state != RF_HTTP_HEAD && c->http.expect)
                say_continue(c);
            return;
        }
        arrive(c, found);
    }
}

void rf_node_conn_due(struct rf_node_conn *c)
{
    if (c->state == RF_CONN_WS) {
        rf_node_ws_due(c);
        return;
    }
    if (c->state == RF_CONN_TRANSIT || c->state == RF_CONN_DELAY || c->state == RF_CONN_WRITE) {
        if (c->state == RF_CONN_TRANSIT)
            answer(c, RF_HTTP_WHOLE);
        else
            write_out(c);
        if (c->state == RF_CONN_READ)
            process(c);
    } else {
        rf_node_conn_close(c, false); /* idle, or drained long enough */
    }
}

static struct rf_node_conn *take_conn(struct rf_node *node)
{
    struct rf_link *l = rf_list_shift(&node->spare_conns);
    if (l == NULL)
        return rf_alloc(sizeof(struct rf_node_conn));
    node->n_spare--;
    struct rf_node_conn *c = RF_CONTAINER(l, struct rf_node_conn, link);
    struct rf_buf in = c->in, out = c->out;
    memset(c, 0, sizeof *c);
    c->in = in;
    c->out = out;
    return c;
}

static bool accept_fault(struct rf_node *node)
{
    struct rf_node_conf *conf = node->conf;
    bool fired = false;
    for (unsigned i = 0; i < conf->n_fault; i++)
        if (conf->fault[i].kind == RF_FAULT_ACCEPT_RESET)
            fired = rf_node_fault_fires(node, &conf->fault[i], uv_hrtime()) || fired;
    rf_node_bump(&node->stats.fault[RF_FAULT_ACCEPT_RESET], fired);
    return fired;
}

void rf_node_on_connection(uv_stream_t *server, int status)
{
    struct rf_node *node = server->data;
    if (status < 0 || node->stopping)
        return;
    rf_node_take_script(node);
    if (node->listen_state != RF_LISTEN_OPEN)
        return;
    struct rf_node_conn *c = take_conn(node);
    if (c == NULL) {
        /* What is not accepted stops a libuv listener for good: begin a new one. */
        rf_node_relisten(node);
        return;
    }
    /* These two cannot fail: they make no socket and allocate nothing. */
    if (node->unix_socket)
        uv_pipe_init(node->loop, &c->h.pipe, 0);
    else
        uv_tcp_init(node->loop, &c->h.tcp);
    c->node = node;
    c->h.handle.data = c;
    node->n_conns++;
    rf_list_push(&node->conns, &c->link);
    rf_node_bump(&node->stats.open, 1);
    set_state(c, RF_CONN_READ);
    if (uv_accept(server, &c->h.stream) != 0 || !rf_heap_reserve(&node->heap, node->n_conns + 3)) {
        rf_node_conn_close(c, false);
        return;
    }
    rf_node_bump(&node->stats.connections, 1);
    if (accept_fault(node)) {
        rf_node_conn_close(c, true);
        return;
    }
    if (!node->unix_socket)
        uv_tcp_nodelay(&c->h.tcp, 1);
    if (node->conf->keepalive_idle_ns > 0)
        rf_node_timer_set(node, &c->timer, uv_hrtime() + node->conf->keepalive_idle_ns);
    resume_reading(c);
}
