/* node_reply.c - from a finished body to the bytes and the plan of an answer: header, framing, and
 * the faults of header and wire. Called by node_rpc.c. */
#include <string.h>

#include "base/mem.h"
#include "sim/node_int.h"

#define FILLER_LINE 4000

void rf_node_work_reset(struct rf_node_work *w, uint64_t now_ns)
{
    w->n = 0;
    w->batch = false;
    w->type = "application/json";
    w->coding = NULL;
    w->now_ns = now_ns;
    w->sleep_ns = 0;
    w->ws = NULL;
    w->stream.p.n = 0;
    memset(w->fault, 0, sizeof w->fault);
    rf_buf_reset(&w->body, RF_NODE_KEEP);
    rf_buf_reset(&w->fields, RF_NODE_KEEP);
    rf_buf_reset(&w->result, RF_NODE_KEEP);
}

void rf_node_work_fini(struct rf_node_work *w)
{
    rf_free(w->member);
    rf_buf_fini(&w->body);
    rf_buf_fini(&w->spare);
    rf_buf_fini(&w->result);
    rf_buf_fini(&w->name);
    rf_buf_fini(&w->fields);
}

static void status_line(struct rf_buf *out, unsigned status)
{
    const char *reason = rf_node_http_reason(status);
    rf_buf_str(out, "HTTP/1.1 ");
    rf_buf_u64(out, status);
    rf_buf_char(out, ' ');
    rf_buf_str(out, reason);
    rf_buf_str(out, "\r\n");
}

static void early(struct rf_buf *out, const struct rf_node_fault *f)
{
    for (uint64_t i = 0; i < f->n && !out->failed; i++) {
        status_line(out, f->status);
        rf_buf_str(out, "Link: </early>; rel=preload\r\n\r\n");
    }
}

static void huge_headers(struct rf_buf *out, uint64_t bytes)
{
    for (uint64_t done = 0, i = 0; done < bytes && !out->failed; i++) {
        uint64_t n = rf_min_u64(bytes - done, FILLER_LINE);
        rf_buf_str(out, "X-Filler-");
        rf_buf_u64(out, i);
        rf_buf_str(out, ": ");
        if (rf_buf_reserve(out, n)) {
            memset(out->data + out->len, 'f', n);
            out->len += n;
        }
        rf_buf_str(out, "\r\n");
        done += n;
    }
}

static void chunks(struct rf_buf *out, const struct rf_buf *body, uint64_t bytes)
{
    for (size_t at = 0; at < body->len;) {
        size_t n = (size_t)rf_min_u64(bytes, body->len - at);
        rf_buf_printf(out, "%zx\r\n", n);
        rf_buf_add(out, body->data + at, n);
        rf_buf_str(out, "\r\n");
        at += n;
    }
    rf_buf_str(out, "0\r\n\r\n");
}

/* How the client learns where the body ends. */
static void framing_fields(struct rf_node_work *w, struct rf_node_plan *plan, struct rf_buf *out)
{
    const struct rf_node_fault *frame = w->fault[RF_LAYER_FRAME];
    if (plan->wire == RF_WIRE_ENDLESS || (frame != NULL && frame->kind == RF_FAULT_UNTIL_CLOSE)) {
        plan->close = true;
    } else if (plan->stream && !w->stream.chunked) {
        plan->close = true;
    } else if (frame != NULL || plan->stream) {
        rf_buf_str(out, "Transfer-Encoding: chunked\r\n");
    } else {
        rf_buf_str(out, "Content-Length: ");
        rf_buf_u64(out, w->body.len);
        rf_buf_str(out, "\r\n");
    }
}

/* The connection's last answer, if it is that: said aloud or kept secret. */
static void connection_field(struct rf_node *node, struct rf_node_conn *c)
{
    const struct rf_node_conf *conf = node->conf;
    bool secret = false;
    if (conf->keepalive_requests > 0 && c->served + 1 >= conf->keepalive_requests &&
        !c->plan.close) {
        secret = !conf->keepalive_announce;
        c->plan.close = true;
    }
    if (!c->http.keep_alive) {
        c->plan.close = true;
        secret = false;
    }
    if (c->plan.close && !secret)
        rf_buf_str(&c->out, "Connection: close\r\n");
}

/* What becomes of the bytes; `head` of them are header. */
static void plan_wire(struct rf_node_work *w, struct rf_node_plan *plan, const struct rf_buf *out,
                      size_t head)
{
    const struct rf_node_fault *f = w->fault[RF_LAYER_WIRE];
    plan->cut = plan->stream ? SIZE_MAX : out->len;
    if (f == NULL)
        return;
    switch (f->kind) {
    case RF_FAULT_RESET:
    case RF_FAULT_CLOSE:
    case RF_FAULT_HANG:
        plan->cut = (size_t)rf_min_u64(f->after, plan->cut);
        plan->wire = f->kind == RF_FAULT_RESET   ? RF_WIRE_RESET
                     : f->kind == RF_FAULT_CLOSE ? RF_WIRE_CLOSE
                                                 : RF_WIRE_HANG;
        break;
    case RF_FAULT_TRUNCATE: {
        uint64_t keep = f->bytes == UINT64_MAX ? (out->len - head) / 2 : f->bytes;
        plan->cut = (size_t)rf_min_u64(head + keep, out->len - (out->len > head));
        plan->wire = RF_WIRE_CLOSE;
        break;
    }
    case RF_FAULT_DRIP:
        plan->wire = RF_WIRE_DRIP;
        plan->step = f->bytes;
        plan->step_ns = f->every_ns;
        break;
    default: /* RF_FAULT_ENDLESS */
        plan->step = f->bytes;
        break;
    }
}

/* A string result that is never closed. */
static void endless_body(struct rf_node_work *w)
{
    struct rpcfan_slice id = w->n > 0 ? w->member[0].id : (struct rpcfan_slice){NULL, 0};
    rf_buf_reset(&w->body, RF_NODE_KEEP);
    rf_buf_str(&w->body, w->batch ? "[" : "");
    rf_buf_str(&w->body, "{\"jsonrpc\":\"2.0\",\"id\":");
    rf_buf_add(&w->body, id.len > 0 ? id.data : "null", id.len > 0 ? id.len : 4);
    rf_buf_str(&w->body, ",\"result\":\"");
}

void rf_node_reply(struct rf_node *node, struct rf_node_conn *c, unsigned status)
{
    struct rf_node_work *w = &node->work;
    struct rf_buf *out = &c->out;
    const struct rf_node_fault *head = w->fault[RF_LAYER_HEAD], *frame = w->fault[RF_LAYER_FRAME];
    const struct rf_node_fault *wire = w->fault[RF_LAYER_WIRE];
    if (wire != NULL && wire->kind == RF_FAULT_ENDLESS) {
        c->plan.wire = RF_WIRE_ENDLESS;
        w->stream.p.n = 0;
        endless_body(w);
    }
    if (w->stream.p.n > 0) {
        c->plan.stream = true;
        w->stream.chunked = !c->http.old && (frame == NULL || frame->kind == RF_FAULT_CHUNKED);
        c->rows = w->stream;
    }
    if (head != NULL && head->kind == RF_FAULT_EARLY)
        early(out, head);
    status_line(out, status);
    if (w->body.len > 0) {
        rf_buf_str(out, "Content-Type: ");
        rf_buf_str(out, w->type);
        rf_buf_str(out, "\r\n");
    }
    if (w->coding != NULL) {
        rf_buf_str(out, "Content-Encoding: ");
        rf_buf_str(out, w->coding);
        rf_buf_str(out, "\r\n");
    }
    rf_buf_add(out, w->fields.data, w->fields.len);
    if (head != NULL && head->kind == RF_FAULT_HUGE_HEADERS)
        huge_headers(out, head->bytes);
    framing_fields(w, &c->plan, out);
    connection_field(node, c);
    rf_buf_str(out, "\r\n");
    size_t head_len = out->len;
    if (c->plan.stream && c->rows.chunked) {
        rf_buf_printf(out, "%zx\r\n", w->body.len);
        rf_buf_add(out, w->body.data, w->body.len);
        rf_buf_str(out, "\r\n");
    } else if (frame != NULL && frame->kind == RF_FAULT_CHUNKED && c->plan.wire != RF_WIRE_ENDLESS)
        chunks(out, &w->body, frame->bytes);
    else
        rf_buf_add(out, w->body.data, w->body.len);
    plan_wire(w, &c->plan, out, head_len);
    c->plan.status = status;
    c->plan.members = w->n;
    if (w->body.failed || w->spare.failed || w->fields.failed || out->failed) {
        /* Half an answer would be a lie: the client sees a reset. */
        c->plan.wire = RF_WIRE_RESET;
        c->plan.cut = 0;
    }
}
