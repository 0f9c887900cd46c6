/* batch_answer.c - writes response lines, and recognises them again. */
#include "cli/batch_answer.h"

#include <string.h>

#include "cli/cli.h"
#include "json/rpc.h"

#define HEAD "{\"jsonrpc\":\"2.0\",\"id\":"
#define RESULT ",\"result\":"
#define ERROR ",\"error\":"

void rf_answer_head(struct rf_buf *b, const char *id, size_t len)
{
    rf_buf_add(b, HEAD, sizeof HEAD - 1);
    rf_buf_add(b, id, len);
}

static void add_compact(struct rf_buf *b, struct rpcfan_slice json, bool space)
{
    if (!space)
        rf_buf_add(b, json.data, json.len);
    else if (rf_buf_reserve(b, json.len))
        b->len += rpcfan_json_compact(json.data, json.len, b->data + b->len);
}

/* `,"error":{"code":...,"message":...,"data":{"rpcfan":{"class":...,"name":...` */
static void open_error(struct rf_buf *b, enum rpcfan_err code, const char *text)
{
    rf_buf_add(b, ERROR, sizeof ERROR - 1);
    rf_buf_printf(b, "{\"code\":%d,\"message\":", RF_CLIENT_CODE(code));
    rf_json_quote(b, text, strlen(text));
    rf_buf_printf(b, ",\"data\":{\"rpcfan\":{\"class\":\"%s\",\"name\":\"%s\"",
                  rpcfan_err_class(code), rpcfan_err_name(code));
}

static void add_client_error(struct rf_buf *b, const rpcfan_result_t *res)
{
    enum rpcfan_err code = rpcfan_result_err(res);
    const char *text = rpcfan_result_detail(res);
    const char *endpoint = rpcfan_result_endpoint(res);
    open_error(b, code, text[0] != '\0' ? text : rpcfan_err_text(code));
    if (endpoint[0] != '\0') {
        rf_buf_str(b, ",\"endpoint\":");
        rf_json_quote(b, endpoint, strlen(endpoint));
    }
    rf_buf_printf(b, ",\"attempts\":%u}}}}", rpcfan_result_attempts(res));
}

/* Whether the error object says it all: it is the node's, or the client's own with its code. */
static bool is_whole(enum rpcfan_err err)
{
    return err == RPCFAN_ERPC || err == RPCFAN_EQUORUM;
}

void rf_answer_result(struct rf_buf *b, const char *id, size_t id_len, const rpcfan_result_t *res)
{
    bool space = rpcfan_result_has_space(res) != 0;
    struct rpcfan_slice error = rpcfan_result_error_json(res);
    rf_answer_head(b, id, id_len);
    if (rpcfan_result_err(res) == RPCFAN_OK) {
        rf_buf_add(b, RESULT, sizeof RESULT - 1);
        add_compact(b, rpcfan_result_json(res), space);
        rf_buf_char(b, '}');
    } else if (error.len > 0 && is_whole(rpcfan_result_err(res))) {
        rf_buf_add(b, ERROR, sizeof ERROR - 1);
        add_compact(b, error, space);
        rf_buf_char(b, '}');
    } else {
        add_client_error(b, res);
    }
    rf_buf_char(b, '\n');
}

void rf_answer_refusal(struct rf_buf *b, const char *id, size_t id_len, enum rpcfan_err code,
                       const char *text, uint64_t line)
{
    rf_answer_head(b, id, id_len);
    open_error(b, code, text);
    rf_buf_printf(b, ",\"line\":%llu}}}}", (unsigned long long)line);
}

static bool begins(const char *text, size_t len, const char *with)
{
    size_t n = strlen(with);
    return len >= n && memcmp(text, with, n) == 0;
}

enum rf_answer_kind rf_answer_read(const char *head, size_t len, struct rpcfan_slice *id)
{
    size_t from = sizeof HEAD - 1, to = from;
    if (!begins(head, len, HEAD))
        return RF_ANSWER_FOREIGN;
    if (to < len && head[to] == '"') {
        for (to++; to < len && head[to] != '"'; to++) {
            if (head[to] == '\\')
                to++;
        }
        to++;
    } else {
        while (to < len && head[to] != ',')
            to++;
    }
    if (to > len)
        to = len;
    if (id != NULL)
        *id = (struct rpcfan_slice){head + from, to - from};
    if (begins(head + to, len - to, RESULT))
        return RF_ANSWER_RESULT;
    return begins(head + to, len - to, ERROR) ? RF_ANSWER_ERROR : RF_ANSWER_FOREIGN;
}
