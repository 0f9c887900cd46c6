/* vnode_reply.c - what a virtual node writes: right answers, distorted ones, and the six ways in
 * which nodes refuse a batch for its size. */
#include <string.h>

#include "json/walk.h"
#include "sim/vnode.h"

static bool is(struct rpcfan_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

/* An account is its key and how it was asked for. */
static void write_account(struct rf_buf *b, struct rpcfan_slice key, struct rpcfan_slice options)
{
    rf_buf_char(b, '[');
    rf_buf_add(b, key.data, key.len);
    rf_buf_char(b, ',');
    rf_buf_add(b, options.data, options.len);
    rf_buf_char(b, ']');
}

/* Of Solana's two ways to ask for an account. @return false: the call is something else. */
static bool write_accounts(const struct rf_call *c, struct rf_buf *b)
{
    static const char context[] = "{\"context\":{\"apiVersion\":\"2.2.1\"},\"value\":";
    struct rpcfan_slice params = rf_call_params(c), keys = rf_walk_at(params, 0),
                        options = rf_walk_at(params, 1), key;
    struct rf_walk w;
    if (options.len > 0 && keys.data[0] == '"' && is(rf_call_method(c), "getAccountInfo")) {
        rf_buf_str(b, context);
        write_account(b, keys, options);
    } else if (options.len > 0 && is(rf_call_method(c), "getMultipleAccounts") &&
               rf_walk_enter(&w, keys, '[')) {
        rf_buf_str(b, context);
        rf_buf_char(b, '[');
        for (bool more = false; rf_walk_element(&w, &key); more = true) {
            if (more)
                rf_buf_char(b, ',');
            write_account(b, key, options);
        }
        rf_buf_char(b, ']');
    } else {
        return false;
    }
    rf_buf_char(b, '}');
    return true;
}

void rf_vnode_answer(const struct rf_call *c, struct rf_buf *b)
{
    if (write_accounts(c, b))
        return;
    rf_buf_char(b, '"');
    if (!rf_buf_reserve(b, c->tail_len + 1))
        return;
    for (size_t i = 0; i < c->tail_len; i++) {
        char ch = c->tail[i];
        b->data[b->len++] = ch == '"' || ch == '\\' ? '\'' : ch;
    }
    rf_buf_char(b, '"');
}

static bool asks_head(const struct rf_call *c)
{
    const char *method = c->tail + RF_CALL_METHOD_AT;
    return rf_pattern_match("eth_blockNumber", method, c->method_len) ||
           rf_pattern_match("getSlot", method, c->method_len);
}

static void write_head(const struct rf_vnode *n, const struct rf_call *c, uint64_t now_ns,
                       struct rf_buf *b)
{
    unsigned long long head = rf_vnode_head(n, now_ns);
    bool evm = c->tail[RF_CALL_METHOD_AT] == 'e';
    rf_buf_printf(b, evm ? "\"0x%llx\"" : "%llu", head);
}

static void write_member(struct rf_vnode *n, const struct rf_exchange *ex, uint32_t i,
                         enum rf_vfault fault, struct rf_buf *b)
{
    uint64_t id = ex->id_base + i;
    rf_buf_str(b, "{\"jsonrpc\":\"2.0\",\"id\":");
    if (fault == RF_VFAULT_NO_IDS)
        rf_buf_str(b, "null");
    else
        rf_buf_u64(b, fault == RF_VFAULT_WRONG_IDS ? id + 1000003 : id);
    rf_buf_str(b, ",\"result\":");
    const struct rf_call *c = ex->call[i];
    if (c == NULL) /* answered early: nobody will look */
        rf_buf_str(b, "null");
    else if (n->block_ns > 0 && asks_head(c))
        write_head(n, c, n->now_ns, b);
    else
        rf_vnode_answer(c, b);
    rf_buf_char(b, '}');
}

static void write_one(struct rf_vnode *n, const struct rf_exchange *ex, uint32_t i,
                      enum rf_vfault fault, const bool *refused, struct rf_buf *b)
{
    if (refused != NULL && refused[i])
        rf_vreply_error(b, ex->id_base + i, -32005, "request rate exceeded");
    else
        write_member(n, ex, i, fault, b);
}

void rf_vnode_write(struct rf_vnode *n, const struct rf_exchange *ex, enum rf_vfault fault,
                    const bool *refused, struct rf_vreply *out)
{
    struct rf_buf *b = &out->body;
    if (ex->n == 1) {
        write_one(n, ex, 0, fault, refused, b);
        return;
    }
    if (fault == RF_VFAULT_OBJECT) {
        rf_vreply_error(b, ex->id_base, -32000, "something went wrong");
        return;
    }
    bool turned = fault == RF_VFAULT_SHUFFLE;
    uint32_t shift = turned ? (uint32_t)rf_rng_below(&n->rng, ex->n) : 0;
    uint32_t skip =
        fault == RF_VFAULT_MISSING ? (uint32_t)rf_rng_below(&n->rng, ex->n) : UINT32_MAX;
    rf_buf_char(b, '[');
    bool any = false;
    for (uint32_t k = 0; k < ex->n; k++) {
        uint32_t i = turned ? (ex->n - 1 - k + shift) % ex->n : k;
        if (i == skip)
            continue;
        if (any)
            rf_buf_char(b, ',');
        any = true;
        write_one(n, ex, i, fault, refused, b);
        if (fault == RF_VFAULT_DUPLICATE && k == 0) {
            rf_buf_char(b, ',');
            rf_vreply_result(b, ex->id_base + i, "\"a second answer\"");
        }
    }
    if (fault == RF_VFAULT_EXTRA)
        rf_buf_str(b, ",{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":\"nobody asked\"},3,null");
    rf_buf_char(b, ']');
}

void rf_vnode_write_refusal(const struct rf_vnode *n, const struct rf_exchange *ex,
                            struct rf_vreply *out)
{
    struct rf_buf *b = &out->body;
    switch (n->refusal) {
    case RF_VREFUSAL_GETH:
        rf_buf_char(b, '[');
        rf_vreply_error(b, ex->id_base, -32600, "batch too large");
        rf_buf_char(b, ']');
        break;
    case RF_VREFUSAL_ERIGON:
        rf_buf_printf(b,
                      "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32000,\"message\":"
                      "\"batch limit %u exceeded (can increase by --rpc.batch.limit). Requested "
                      "batch of size: %u\"}}",
                      n->batch_cap, ex->n);
        break;
    case RF_VREFUSAL_413:
        out->status = 413;
        rf_vreply_error(b, ex->id_base, -32014, "too many RPC calls in batch request");
        break;
    case RF_VREFUSAL_400:
        out->status = 400;
        rf_buf_str(b, "too many requests");
        break;
    case RF_VREFUSAL_500:
        out->status = 500;
        rf_buf_printf(b,
                      "{\"id\":null,\"error\":{\"code\":31,\"message\":\"Batch of more than %u "
                      "requests are not allowed on free tier\"}}",
                      n->batch_cap);
        break;
    case RF_VREFUSAL_NULL_ID:
        rf_buf_str(b, "[{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,\"message\":"
                      "\"batch item count exceeded\"}}]");
        break;
    }
}
