/* batch_request.c - input lines to calls. */
#include "cli/batch_request.h"

#include <stdio.h>
#include <string.h>

#include "json/rpc.h"

#define BUFFER_KEEP (1024u * 1024)

static enum rpcfan_err read_request(struct rf_maker *m, const struct rf_line *line,
                                    struct rf_made *out)
{
    struct rf_request_text req = {0};
    struct rpcfan_error err = {0};
    enum rpcfan_err rc = rf_request_read(line->data, line->len, &req, &err);
    if (req.id.len > 0)
        out->id = req.id;
    if (rc != RPCFAN_OK) {
        snprintf(
            out->problem, sizeof out->problem,
            "%s; a line is a request such as {\"method\":\"eth_blockNumber\",\"params\":[]}, or "
            "any text with -m METHOD",
            err.text);
        return rc;
    }
    rf_buf_reset(&m->name, BUFFER_KEEP);
    if (req.method_escaped)
        rf_json_unescape(&m->name, req.method.data, req.method.len);
    else
        rf_buf_add(&m->name, req.method.data, req.method.len);
    rf_buf_char(&m->name, '\0');
    if (m->name.failed)
        return RPCFAN_ENOMEM;
    if (strlen(m->name.data) + 1 != m->name.len) {
        snprintf(out->problem, sizeof out->problem, "the method holds a NUL character");
        return RPCFAN_EINVAL;
    }
    out->method = m->name.data;
    out->params = req.params;
    return RPCFAN_OK;
}

enum rpcfan_err rf_maker_make(struct rf_maker *m, const struct rf_line *line, struct rf_made *out)
{
    size_t blank = 0;
    out->id = (struct rpcfan_slice){m->number, rf_u64_text(line->number, m->number)};
    out->params = (struct rpcfan_slice){NULL, 0};
    out->problem[0] = '\0';
    if (line->too_long) {
        snprintf(out->problem, sizeof out->problem,
                 "line %llu is longer than %zu bytes; a request that long is refused by nodes too",
                 (unsigned long long)line->number, line->len);
        return RPCFAN_ETOOBIG;
    }
    while (blank < line->len && strchr(" \t\r", line->data[blank]) != NULL &&
           line->data[blank] != '\0')
        blank++;
    if (blank == line->len) {
        snprintf(out->problem, sizeof out->problem,
                 "line %llu is blank; each line of the input is a call",
                 (unsigned long long)line->number);
        return RPCFAN_EINVAL;
    }
    if (m->method == NULL)
        return read_request(m, line, out);
    rf_buf_reset(&m->params, BUFFER_KEEP);
    rf_template_expand(&m->template, line->data, line->len, &m->params);
    if (m->params.failed)
        return RPCFAN_ENOMEM;
    out->method = m->method;
    out->params = (struct rpcfan_slice){m->params.data, m->params.len};
    return RPCFAN_OK;
}

void rf_maker_explain(const struct rf_maker *m, struct rf_made *out, const char *text)
{
    size_t at = 0;
    bool valid = rf_json_check(out->params.data, out->params.len, RF_SCAN_DEPTH, &at) == RPCFAN_OK;
    if (m->method == NULL || valid) {
        snprintf(out->problem, sizeof out->problem, "%s", text);
        return;
    }
    size_t left = out->params.len - at;
    snprintf(out->problem, sizeof out->problem,
             "with the line put in, params are not JSON at column %zu; {} takes any text between "
             "quotes in the template, and JSON outside of them%s",
             at + 1, left == 0 ? " (they end too early)" : "");
}

void rf_maker_fini(struct rf_maker *m)
{
    rf_buf_fini(&m->params);
    rf_buf_fini(&m->name);
}
