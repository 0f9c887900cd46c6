/* node_rpc.c - a request body into an answer: parse, limits, faults, execution. Called by
 * node_conn.c with one whole HTTP request; writes the answer into the connection.
 *
 * Happy path: members, concurrency, batch cap, rate limits, faults, execute, damage, reply.
 * Failure modes: no JSON (-32700), no request (-32600), a refusal (node_refuse.c): each is answered
 * and ends the path early. A notification is executed and gets no answer. */
#include <string.h>

#include "base/mem.h"
#include "json/rpc.h"
#include "sim/node_program.h"
#include "sim/node_ws.h"

#define MEMBERS_MAX 1000000u
#define SLEEP_MAX_MS 3600000u

static bool is(struct rpcfan_slice s, const char *text, size_t len)
{
    return s.len == len && memcmp(s.data, text, len) == 0;
}

static bool more_members(struct rf_node_work *w)
{
    if (w->n < w->cap)
        return true;
    unsigned cap = w->cap == 0 ? 128 : w->cap * 2;
    struct rf_node_member *grown =
        cap > MEMBERS_MAX * 2 ? NULL : rf_realloc(w->member, cap * sizeof *grown);
    if (grown == NULL)
        return false;
    w->member = grown;
    w->cap = cap;
    return true;
}

/* Read one request object. The text is the connection's own, so an escaped name is undone in it. */
static bool add_member(struct rf_node *node, struct rpcfan_slice text)
{
    struct rf_node_work *w = &node->work;
    struct rf_request_text req;
    if (!more_members(w))
        return false;
    struct rf_node_member *m = &w->member[w->n++];
    *m = (struct rf_node_member){0};
    m->valid = rf_request_read(text.data, text.len, &req, NULL) == RPCFAN_OK;
    m->id = req.id;
    m->params = req.params;
    m->method = m->valid ? req.method : (struct rpcfan_slice){"", 0};
    if (m->valid && req.method_escaped) {
        rf_buf_reset(&w->name, RF_NODE_KEEP);
        rf_json_unescape(&w->name, req.method.data, req.method.len);
        m->method.len = w->name.failed ? 0 : w->name.len;
        memcpy((char *)(uintptr_t)m->method.data, w->name.data, m->method.len);
    }
    if (!m->valid)
        rf_node_bump(&node->stats.invalid, 1);
    return true;
}

static void error_body(struct rf_node *node, int64_t code, const char *message)
{
    struct rf_buf *body = &node->work.body;
    rf_buf_str(body, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":");
    rf_node_error(body, code, message, NULL);
    rf_buf_char(body, '}');
}

static char first_byte(struct rpcfan_slice body)
{
    for (size_t i = 0; i < body.len; i++)
        if (strchr(" \t\r\n", body.data[i]) == NULL || body.data[i] == '\0')
            return body.data[i];
    return '\0';
}

/* @return false where the body was answered with an error. */
static bool parse(struct rf_node *node, struct rpcfan_slice body)
{
    struct rf_node_work *w = &node->work;
    struct rpcfan_slice item;
    if (first_byte(body) != '[') {
        rf_node_bump(&node->stats.singles, w->ws == NULL);
        if (!add_member(node, body)) {
            error_body(node, -32603, "out of memory");
            return false;
        }
        if (w->member[0].valid ||
            rf_json_check(body.data, body.len, RF_SCAN_DEPTH, NULL) == RPCFAN_OK)
            return true;
        w->n = 0;
        error_body(node, -32700, "Parse error");
        return false;
    }
    struct rf_node_items it;
    w->batch = true;
    rf_node_bump(&node->stats.batches, w->ws == NULL);
    rf_node_items_init(&it, body);
    while (rf_node_items_next(&it, &item)) {
        if (!add_member(node, item)) {
            error_body(node, -32600, "too many members");
            return false;
        }
    }
    if (!it.broken && w->n > 0)
        return true;
    rf_node_bump(&node->stats.invalid, 1);
    error_body(node, it.broken ? -32700 : -32600, it.broken ? "Parse error" : "Invalid request");
    return false;
}

static bool tracked(const struct rf_node_conf *conf, struct rpcfan_slice method)
{
    if (is(method, "sim_count", 9) || is(method, "eth_sendRawTransaction", 22) ||
        is(method, "sendTransaction", 15))
        return true;
    for (unsigned i = 0; i < conf->n_track; i++)
        if (rf_node_matches(conf->track[i], method))
            return true;
    return false;
}

/* Methods whose answer has a memory or takes time, after the pure answer was written at `at`. */
static enum rf_node_answer amend(struct rf_node *node, const struct rf_node_member *m,
                                 enum rf_node_answer answer, size_t at)
{
    struct rf_node_work *w = &node->work;
    uint64_t ms, seen = 0;
    if (answer != RF_NODE_RESULT)
        return answer;
    if (tracked(node->conf, m->method))
        seen = rf_node_seen_add(&node->seen, rf_node_digest(m->method, m->params));
    if (is(m->method, "sim_count", 9)) {
        w->body.len = at;
        rf_buf_u64(&w->body, seen);
    } else if (is(m->method, "eth_sendRawTransaction", 22) && seen > 1) {
        w->body.len = at;
        rf_node_error(&w->body, -32000, "already known", NULL);
        return RF_NODE_ERROR;
    } else if (is(m->method, "sim_sleep", 9) && rf_node_number(rf_node_param(m->params, 0), &ms)) {
        w->sleep_ns = rf_max_u64(w->sleep_ns, rf_min_u64(ms, SLEEP_MAX_MS) * RF_MS);
    }
    return answer;
}

static enum rf_node_answer execute(struct rf_node *node, const struct rf_node_member *m,
                                   const struct rf_node_chain *chain)
{
    struct rf_node_work *w = &node->work;
    const struct rf_node_conf *conf = node->conf;
    const struct rf_node_fault *f = w->fault[RF_LAYER_ANSWER];
    size_t at = w->body.len;
    if (f != NULL && rf_node_matches(f->method, m->method)) {
        if (f->kind == RF_FAULT_NULL) {
            rf_buf_str(&w->body, "null");
            return RF_NODE_RESULT;
        }
        rf_node_error(&w->body, f->say.code, f->say.message, f->say.data);
        return RF_NODE_ERROR;
    }
    rf_node_bump(&node->stats.answered, 1);
    for (unsigned i = conf->n_canned; i > 0; i--) {
        if (!rf_node_matches(conf->canned[i - 1].method, m->method))
            continue;
        rf_buf_str(&w->body, conf->canned[i - 1].result);
        return amend(node, m, RF_NODE_RESULT, at);
    }
    enum rf_node_answer answer;
    if (rf_node_control(node, m, &answer))
        return answer;
    if (node->validator != NULL && rf_node_validator_call(node, m, &answer))
        return amend(node, m, answer, at);
    if (conf->program.n > 0 && rf_node_program_call(node, m, &answer))
        return answer;
    if (rf_node_subscribe(node, m, &answer))
        return answer;
    return amend(node, m, rf_node_answer(chain, m->method, m->params, &w->body), at);
}

static enum rf_node_answer answer_member(struct rf_node *node, const struct rf_node_member *m,
                                         const struct rf_node_chain *chain)
{
    struct rf_node_work *w = &node->work;
    if (!m->valid) {
        rf_node_error(&w->body, -32600, "Invalid request", NULL);
        return RF_NODE_ERROR;
    }
    if (m->refused) {
        rf_node_refuse_member(node, &w->body);
        return RF_NODE_ERROR;
    }
    if (node->conf->response_max > 0 && m->at > node->conf->response_max) {
        rf_node_error(&w->body, -32003, "response too large", NULL);
        return RF_NODE_ERROR;
    }
    return execute(node, m, chain);
}

/* Write one member's answer. The payload goes behind "result" at once; an error, which is rarer,
 * moves down over the longer name. */
static void write_member(struct rf_node *node, struct rf_node_member *m,
                         const struct rf_node_chain *chain, bool comma)
{
    static const char result[] = ",\"result\":", error[] = ",\"error\":";
    struct rf_node_work *w = &node->work;
    const struct rf_node_fault *f = w->fault[RF_LAYER_SHAPE];
    bool ids = f != NULL && f->kind == RF_FAULT_IDS;
    struct rpcfan_slice id = m->id.len > 0 ? m->id : (struct rpcfan_slice){"null", 4};
    size_t before = w->body.len;
    if (comma)
        rf_buf_char(&w->body, ',');
    m->at = w->body.len;
    rf_buf_str(&w->body, "{\"jsonrpc\":\"2.0\"");
    if (!ids || f->ids != RF_IDS_NONE) {
        rf_buf_str(&w->body, ",\"id\":");
        if (ids)
            rf_node_damage_id(node, id);
        else
            rf_buf_add(&w->body, id.data, id.len);
    }
    size_t name = w->body.len, payload = name + sizeof result - 1;
    rf_buf_add(&w->body, result, sizeof result - 1);
    enum rf_node_answer answer = answer_member(node, m, chain);
    if (w->body.failed)
        return;
    if (answer != RF_NODE_RESULT) {
        memcpy(w->body.data + name, error, sizeof error - 1);
        memmove(w->body.data + payload - 1, w->body.data + payload, w->body.len - payload);
        w->body.len--;
    }
    if (w->stream.p.n > 0)
        strcat(w->stream.tail, "}"); /* behind the last row */
    else
        rf_buf_char(&w->body, '}');
    m->len = w->body.len - m->at;
    if (m->valid && m->id.len == 0) {
        w->body.len = before;
        w->stream.p.n = 0;
        m->len = 0;
    }
}

struct rf_node_chain rf_node_chain_at(const struct rf_node *node, uint64_t now_ns)
{
    struct rf_node_chain chain = node->conf->chain;
    chain.base = chain.head;
    if (node->validator != NULL)
        chain.family = 0; /* its methods are the validator's, and sim_* */
    if (node->conf->block_ns > 0)
        chain.head += rf_time_sub(now_ns, node->began_ns) / node->conf->block_ns;
    return chain;
}

static void answer_all(struct rf_node *node)
{
    struct rf_node_work *w = &node->work;
    struct rf_node_chain chain = rf_node_chain_at(node, w->now_ns);
    bool any = false;
    if (w->batch)
        rf_buf_char(&w->body, '[');
    for (unsigned i = 0; i < w->n; i++) {
        write_member(node, &w->member[i], &chain, any);
        any = any || w->member[i].len > 0;
    }
    if (!any)
        w->body.len = 0; /* nothing but notifications: no body at all */
    else if (w->batch)
        rf_buf_char(&w->body, ']');
}

/* A fault that answers for the whole request. @return its status, or 0: none does. */
static unsigned answer_fault(struct rf_node *node)
{
    struct rf_node_work *w = &node->work;
    const struct rf_node_fault *f = w->fault[RF_LAYER_ANSWER];
    if (f == NULL || (f->kind != RF_FAULT_HTTP_ERROR && f->kind != RF_FAULT_HTML))
        return 0;
    if (f->kind == RF_FAULT_HTTP_ERROR) {
        rf_node_refuse_say(node, &f->say, 0);
        return f->status;
    }
    w->type = "text/html; charset=utf-8";
    rf_buf_str(&w->body, "<!DOCTYPE html>\n<html><head><title>Just a moment</title></head>"
                         "<body><h1>Checking your browser</h1></body></html>\n");
    return f->status;
}

/* Damage what was answered, in the order in which a broken stack would. */
static void damage(struct rf_node *node, const struct rf_node_http *http)
{
    struct rf_node_work *w = &node->work;
    const struct rf_node_fault *coding = w->fault[RF_LAYER_CODING];
    if (w->fault[RF_LAYER_FORM] != NULL)
        rf_node_damage_form(node);
    if (coding == NULL || w->body.len == 0)
        return;
    if (coding->force || (coding->kind == RF_FAULT_GZIP ? http->gzip_ok : http->deflate_ok))
        rf_node_damage_coding(node);
}

/* Everything from the parsed request to the body. @return the status. */
static unsigned answer(struct rf_node *node, struct rf_node_conn *c)
{
    struct rf_node_work *w = &node->work;
    unsigned status = 200;
    const char *refused = rf_node_refuse_concurrency(node, &status) ? "concurrency"
                          : rf_node_refuse_batch(node, &status)     ? "batch"
                          : rf_node_refuse_rate(node, &status)      ? "rate"
                                                                    : NULL;
    if (refused != NULL) {
        c->plan.fault = refused;
        rf_node_bump(&node->stats.refused_requests, 1);
        rf_node_bump(&node->stats.refused_members, w->n);
        return status;
    }
    if (node->conf->n_fault > 0)
        rf_node_faults_pick(node, &c->plan);
    status = answer_fault(node);
    if (status == 0) {
        status = 200;
        answer_all(node);
        if (w->fault[RF_LAYER_SHAPE] != NULL)
            rf_node_damage_shape(node);
    }
    damage(node, &c->http);
    c->plan.delay_ns = rf_node_service(node);
    return status;
}

void rf_node_handle(struct rf_node *node, struct rf_node_conn *c, struct rpcfan_slice body)
{
    struct rf_node_work *w = &node->work;
    rf_node_work_reset(w, c->began_ns);
    w->path = (struct rpcfan_slice){c->in.data + c->in_at + c->http.path_at, c->http.path_len};
    rf_node_bump(&node->stats.requests, 1);
    unsigned status = 200;
    uint64_t refused = node->stats.refused_members.v, whole = node->stats.refused_requests.v;
    if (parse(node, body)) {
        rf_node_bump(&node->stats.members, w->n);
        for (unsigned i = 0; i < w->n; i++)
            rf_node_bump(&node->stats.notifications,
                         w->member[i].valid && w->member[i].id.len == 0);
        if (w->batch && w->n > node->stats.batch_max.v)
            node->stats.batch_max.v = w->n;
        status = answer(node, c);
    }
    rf_node_second_add(node, w->n, node->stats.refused_members.v - refused,
                       node->stats.refused_requests.v > whole);
    rf_node_reply(node, c, status);
}

bool rf_node_lone_member(struct rf_node *node, struct rpcfan_slice method)
{
    if (!more_members(&node->work))
        return false;
    node->work.member[node->work.n++] = (struct rf_node_member){.method = method, .valid = true};
    return true;
}

/* Whether the validator may have the message: nothing of it was refused, and no fault answers. */
static bool is_validators(const struct rf_node *node)
{
    const struct rf_node_work *w = &node->work;
    const struct rf_node_fault *f = w->fault[RF_LAYER_ANSWER];
    for (unsigned i = 0; i < w->n; i++)
        if (w->member[i].refused || (f != NULL && rf_node_matches(f->method, w->member[i].method)))
            return false;
    return node->validator != NULL;
}

/* As answer(), for a message: there is no status and no wire. @return false: nothing to say. */
static bool answer_message(struct rf_node *node, struct rpcfan_slice text)
{
    struct rf_node_work *w = &node->work;
    struct rf_node_plan plan = {0};
    unsigned status;
    if (rf_node_refuse_batch(node, &status) || rf_node_refuse_rate(node, &status)) {
        rf_node_bump(&node->stats.refused_members, w->n);
        return true;
    }
    if (node->conf->n_fault > 0)
        rf_node_faults_pick(node, &plan);
    if (is_validators(node)) {
        rf_node_validator_receive(node, w->ws, text);
        return false;
    }
    answer_all(node);
    if (w->fault[RF_LAYER_SHAPE] != NULL)
        rf_node_damage_shape(node);
    if (w->fault[RF_LAYER_FORM] != NULL)
        rf_node_damage_form(node);
    return w->body.len > 0;
}

void rf_node_message(struct rf_node *node, struct rf_node_ws *ws, struct rpcfan_slice text)
{
    struct rf_node_work *w = &node->work;
    uint64_t at_ns = ws->heard_ns, refused = node->stats.refused_members.v;
    rf_node_work_reset(w, ws->heard_ns);
    w->ws = ws;
    w->path = (struct rpcfan_slice){ws->path, strlen(ws->path)};
    bool whole = parse(node, text), speak = true;
    if (whole) {
        rf_node_bump(&node->stats.members, w->n);
        speak = answer_message(node, text);
        at_ns = rf_time_add(at_ns, rf_node_service(node));
    }
    rf_node_second_add(node, w->n, node->stats.refused_members.v - refused, false);
    if (speak && !w->body.failed)
        rf_node_ws_send(ws, w->body.data, w->body.len, at_ns);
    else if (speak)
        rf_node_ws_end(ws, RF_WS_END_RESET, 0, NULL);
    for (struct rf_link *l = ws->subs.next; l != &ws->subs; l = l->next) {
        struct rf_node_sub *s = RF_CONTAINER(l, struct rf_node_sub, link);
        s->from_ns = s->from_ns == RF_NEVER ? at_ns : s->from_ns;
    }
}

void rf_node_status(struct rf_node *node, struct rf_node_conn *c)
{
    struct rf_node_work *w = &node->work;
    struct rf_node_counters n;
    rf_node_counters(node, &n);
    rf_node_work_reset(w, c->began_ns);
    rf_node_bump(&node->stats.gets, 1);
    rf_buf_printf(&w->body,
                  "{\"connections\":%llu,\"open\":%llu,\"requests\":%llu,\"singles\":%llu,"
                  "\"batches\":%llu,\"members\":%llu,\"answered\":%llu,",
                  (unsigned long long)n.connections, (unsigned long long)n.open,
                  (unsigned long long)n.requests, (unsigned long long)n.singles,
                  (unsigned long long)n.batches, (unsigned long long)n.members,
                  (unsigned long long)n.answered);
    rf_buf_printf(&w->body,
                  "\"refused_requests\":%llu,\"refused_members\":%llu,\"invalid\":%llu,"
                  "\"http_errors\":%llu,\"batch_max\":%llu,\"active_max\":%llu,",
                  (unsigned long long)n.refused_requests, (unsigned long long)n.refused_members,
                  (unsigned long long)n.invalid, (unsigned long long)n.http_errors,
                  (unsigned long long)n.batch_max, (unsigned long long)n.active_max);
    rf_buf_printf(&w->body,
                  "\"websocket\":{\"opened\":%llu,\"open\":%llu,\"refused\":%llu,"
                  "\"received\":%llu,\"sent\":%llu,\"notifications\":%llu,\"dropped\":%llu,"
                  "\"closed\":%llu,\"lagged\":%llu,\"subscriptions\":%llu},\"faults\":{",
                  (unsigned long long)n.ws_opened, (unsigned long long)n.ws_open,
                  (unsigned long long)n.ws_refused, (unsigned long long)n.ws_received,
                  (unsigned long long)n.ws_sent, (unsigned long long)n.ws_notes,
                  (unsigned long long)n.ws_dropped, (unsigned long long)n.ws_closed,
                  (unsigned long long)n.ws_lagged, (unsigned long long)n.subscriptions);
    bool comma = false;
    for (unsigned i = 0; i < RF_FAULT_KINDS; i++) {
        if (n.fault[i] == 0)
            continue;
        rf_buf_printf(&w->body, "%s\"%s\":%llu", comma ? "," : "", rf_node_fault_name(i),
                      (unsigned long long)n.fault[i]);
        comma = true;
    }
    rf_buf_str(&w->body, "}}\n");
    rf_node_reply(node, c, 200);
}

void rf_node_reject(struct rf_node *node, struct rf_node_conn *c, unsigned status)
{
    struct rf_node_work *w = &node->work;
    rf_node_work_reset(w, c->began_ns);
    w->type = "text/plain; charset=utf-8";
    c->plan.linger = c->plan.close = status != 405;
    c->plan.fault = status == 413 ? "body" : "http";
    if (status == 405)
        rf_buf_str(&w->fields, "Allow: GET, POST\r\n");
    if (status == 413) {
        w->type = "application/json";
        rf_node_bump(&node->stats.refused_requests, 1);
        rf_node_refuse_body(node, c->http.length);
    } else {
        rf_node_bump(&node->stats.http_errors, 1);
        rf_buf_str(&w->body, rf_node_http_reason(status));
        rf_buf_char(&w->body, '\n');
    }
    rf_node_reply(node, c, status);
}
