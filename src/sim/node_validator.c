/* node_validator.c - the virtual validator behind real sockets: `rpcfan sim --solana`. Called by
 * node_rpc.c, node_ws.c and node.c; calls sim/validator.h, which calls back with frames.
 *
 * Happy path: a call over HTTP becomes rf_validator_call(), a WebSocket a session; the node's timer
 * lets the validator's time pass. Limits and faults of the script stand in front of it.
 * Failure modes: no memory for a session (the connection is reset). A frame for a session that has
 * ended is dropped: the validator may name it until it hears of the end. */
#include "sim/validator.h"

#include <string.h>

#include "base/mem.h"
#include "sim/node_ws.h"

#define SLOTS (UINT64_C(1) << 20) /* a session's name: serial * SLOTS + its place */

static struct rf_node_ws *find(const struct rf_node *node, uint64_t session)
{
    uint64_t i = session % SLOTS;
    return i < node->n_sessions && node->sessions[i].session == session ? node->sessions[i].ws
                                                                        : NULL;
}

static void on_frame(void *arg, uint64_t session, const char *text, size_t len, uint64_t at_ns)
{
    struct rf_node_ws *ws = find(arg, session);
    if (ws != NULL)
        rf_node_ws_send(ws, text, len, at_ns);
}

static void on_closed(void *arg, uint64_t session, int code, uint64_t at_ns)
{
    struct rf_node_ws *ws = find(arg, session);
    if (ws != NULL)
        rf_node_ws_end_at(ws, code > 0 ? RF_WS_END_FRAME : RF_WS_END_FIN, (unsigned)code, at_ns);
}

enum rpcfan_err rf_node_validator_start(struct rf_node *node, const char *knobs,
                                        struct rpcfan_error *err)
{
    const struct rf_validator_ops ops = {node, on_frame, on_closed};
    struct rf_buf all = {0};
    if (knobs != NULL)
        rf_buf_str(&all, knobs);
    if (node->conf->knobs != NULL)
        rf_buf_printf(&all, " %s", node->conf->knobs);
    rf_buf_char(&all, '\0');
    enum rpcfan_err rc = RPCFAN_ENOMEM;
    const struct rf_validator_options o = {node->conf->seed, all.data};
    if (node->conf->program.n > 0)
        rc = rf_fail(err, RPCFAN_ECONFIG, "program and solana exclude each other");
    else if (all.failed)
        rc = rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    else
        rc = rf_validator_new(&o, &ops, uv_hrtime(), &node->validator, err);
    rf_buf_fini(&all);
    return rc;
}

void rf_node_validator_fini(struct rf_node *node)
{
    rf_validator_free(node->validator);
    node->validator = NULL;
    rf_free(node->sessions);
}

/* Which of its nodes a path leads to: ".../1" is the second. */
static uint32_t node_of(struct rpcfan_slice path)
{
    return path.len >= 2 && memcmp(path.data + path.len - 2, "/1", 2) == 0 ? 1 : 0;
}

/* The timer of what the validator does next. */
static void arm(struct rf_node *node)
{
    uint64_t at_ns = rf_validator_deadline(node->validator);
    if (at_ns == node->validator_timer.at_ns && node->validator_timer.pos != 0)
        return;
    rf_heap_remove(&node->heap, &node->validator_timer);
    if (at_ns != RF_NEVER && !node->stopping)
        rf_node_timer_set(node, &node->validator_timer, at_ns);
}

void rf_node_validator_run(struct rf_node *node, uint64_t now_ns)
{
    if (node->validator == NULL)
        return;
    rf_validator_run(node->validator, now_ns);
    arm(node);
}

void rf_node_validator_open(struct rf_node *node, struct rf_node_ws *ws)
{
    unsigned i = 0;
    while (i < node->n_sessions && node->sessions[i].ws != NULL)
        i++;
    if (i == node->cap_sessions) {
        unsigned cap = i == 0 ? 16 : 2 * i;
        void *grown = cap > SLOTS ? NULL : rf_realloc(node->sessions, cap * sizeof *node->sessions);
        if (grown == NULL) {
            rf_node_ws_end(ws, RF_WS_END_RESET, 0, NULL);
            return;
        }
        node->sessions = grown;
        node->cap_sessions = cap;
    }
    node->n_sessions = i == node->n_sessions ? i + 1 : node->n_sessions;
    ws->session = ++node->last_session * SLOTS + i;
    node->sessions[i].ws = ws;
    node->sessions[i].session = ws->session;
    uint64_t now_ns = uv_hrtime();
    rf_validator_run(node->validator, now_ns);
    rf_validator_open(node->validator, node_of((struct rpcfan_slice){ws->path, strlen(ws->path)}),
                      ws->session, now_ns);
    arm(node);
}

void rf_node_validator_gone(struct rf_node *node, struct rf_node_ws *ws)
{
    node->sessions[ws->session % SLOTS].ws = NULL;
    node->sessions[ws->session % SLOTS].session = 0;
    rf_validator_gone(node->validator, ws->session);
    ws->session = 0;
}

void rf_node_validator_pinged(struct rf_node *node, struct rf_node_ws *ws)
{
    if (ws->session != 0)
        rf_validator_pinged(node->validator, ws->session, ws->heard_ns);
}

void rf_node_validator_receive(struct rf_node *node, struct rf_node_ws *ws,
                               struct rpcfan_slice text)
{
    rf_validator_run(node->validator, ws->heard_ns);
    rf_validator_receive(node->validator, ws->session, text.data, text.len, ws->heard_ns);
    arm(node);
}

bool rf_node_validator_call(struct rf_node *node, const struct rf_node_member *m,
                            enum rf_node_answer *answer)
{
    struct rf_node_work *w = &node->work;
    struct rf_validator_answer a = {.json = &w->body};
    if (!rf_validator_has(m->method))
        return false;
    rf_validator_run(node->validator, w->now_ns);
    rf_validator_call(node->validator, node_of(w->path), m->method, m->params, w->now_ns, &a);
    arm(node);
    w->sleep_ns = rf_max_u64(w->sleep_ns, a.delay_ns);
    *answer = a.error ? RF_NODE_ERROR : RF_NODE_RESULT;
    return true;
}

bool rf_node_validator_set(struct rf_node *node, const char *knobs, struct rpcfan_error *err)
{
    uint64_t now_ns = uv_hrtime();
    rf_validator_run(node->validator, now_ns);
    bool good = rf_validator_set(node->validator, knobs, err) == RPCFAN_OK;
    rf_validator_run(node->validator, now_ns);
    arm(node);
    return good;
}

void rf_node_jobs_run(struct rf_node *node)
{
    uv_mutex_lock(&node->lock);
    struct rf_node_job *jobs = node->jobs;
    node->jobs = NULL;
    uv_mutex_unlock(&node->lock);
    while (jobs != NULL) {
        struct rf_node_job *job = jobs;
        jobs = job->next;
        uint64_t now_ns = uv_hrtime();
        rf_node_validator_run(node, now_ns);
        job->fn(node->validator, now_ns, job->arg);
        rf_node_validator_run(node, now_ns);
        uv_mutex_lock(&node->lock);
        job->done = true; /* and is its owner's again */
        uv_cond_broadcast(&node->changed);
        uv_mutex_unlock(&node->lock);
    }
}

void rf_node_oracle(struct rf_node *node, rf_node_oracle_fn fn, void *arg)
{
    struct rf_node_job job = {.fn = fn, .arg = arg};
    uv_mutex_lock(&node->lock);
    job.next = node->jobs;
    node->jobs = &job;
    if (!node->own_thread) {
        uv_mutex_unlock(&node->lock);
        rf_node_jobs_run(node); /* this is the loop's thread */
        rf_node_ws_flush_all(node);
        return;
    }
    uv_async_send(&node->async);
    while (!job.done)
        uv_cond_wait(&node->changed, &node->lock);
    uv_mutex_unlock(&node->lock);
}
