/* node_control.c - calls by which a program that is no test in C steers a running node: sim_knobs,
 * sim_program, sim_close. Called by node_rpc.c, for calls over HTTP. */
#include <string.h>

#include "base/mem.h"
#include "sim/node_ws.h"
#include "sim/validator.h"

static bool is(struct rpcfan_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

static enum rf_node_answer knobs(struct rf_node *node, struct rpcfan_slice params)
{
    struct rf_buf *out = &node->work.body;
    struct rpcfan_slice text = rf_node_param(params, 0);
    struct rpcfan_error err = {0};
    if (node->validator == NULL || text.len < 2 || text.data[0] != '"' ||
        memchr(text.data, '\\', text.len) != NULL)
        return rf_node_bad_param(out, 0, "want knobs of a validator, as a string");
    char *copy = rf_memdup(text.data + 1, text.len - 2);
    bool good = copy != NULL && rf_node_validator_set(node, copy, &err);
    rf_free(copy);
    if (good)
        rf_buf_str(out, "true");
    else
        rf_node_error(out, -32602, err.text, NULL);
    return good ? RF_NODE_RESULT : RF_NODE_ERROR;
}

static enum rf_node_answer program(struct rf_node *node, struct rpcfan_slice params)
{
    struct rf_buf *out = &node->work.body;
    struct rpcfan_slice number = rf_node_param(params, 0);
    uint64_t i = 0;
    const char *key = NULL;
    if (number.len == 0 || rf_node_number(number, &i))
        key = node->validator != NULL ? rf_validator_program(node->validator, (unsigned)i)
              : node->conf->program.n > 0 && i == 0 ? node->conf->program.key
                                                    : NULL;
    if (key == NULL)
        return rf_node_bad_param(out, 0, "there is no such program");
    rf_buf_printf(out, "\"%s\"", key);
    return RF_NODE_RESULT;
}

/* End every WebSocket, with a code or with a reset. */
static enum rf_node_answer close_all(struct rf_node *node, struct rpcfan_slice params)
{
    struct rf_buf *out = &node->work.body;
    struct rpcfan_slice text = rf_node_param(params, 0);
    uint64_t code = 0, n = 0;
    if (text.len > 0 && (!rf_node_number(text, &code) || code < 1000 || code > 4999))
        return rf_node_bad_param(out, 0, "want a close code, or nothing for a reset");
    for (struct rf_link *l = node->conns.next; l != &node->conns; l = l->next) {
        struct rf_node_conn *c = RF_CONTAINER(l, struct rf_node_conn, link);
        if (c->state != RF_CONN_WS || c->ws->ending != RF_WS_END_NONE)
            continue;
        rf_node_ws_end(c->ws, code == 0 ? RF_WS_END_RESET : RF_WS_END_FRAME, (unsigned)code, NULL);
        n++;
    }
    rf_buf_u64(out, n);
    return RF_NODE_RESULT;
}

bool rf_node_control(struct rf_node *node, const struct rf_node_member *m,
                     enum rf_node_answer *answer)
{
    if (m->method.len < 4 || memcmp(m->method.data, "sim_", 4) != 0)
        return false;
    if (is(m->method, "sim_knobs"))
        *answer = knobs(node, m->params);
    else if (is(m->method, "sim_program"))
        *answer = program(node, m->params);
    else if (is(m->method, "sim_close"))
        *answer = close_all(node, m->params);
    else
        return false;
    return true;
}
