/* chain_case.h - a small chain for tests of split ranges: what logs are in a range, as any node
 * would say it, and nodes that refuse a range for its length, for its results, or for its
 * addresses, in the words of real ones. */
#ifndef RF_TESTS_CHAIN_CASE_H
#define RF_TESTS_CHAIN_CASE_H

#include "core/range.h"
#include "json/rpc.h"

#include "core_case.h"

#define CHAIN_HEAD UINT64_C(20000000)

/** What a node takes, and how it says so. */
struct chain_node {
    uint64_t blocks;      /* a range; 0: any */
    const char *too_long; /* error object's inside, printf with one %llu; NULL: vague */
    uint64_t results;     /* an answer; 0: any */
    bool suggests;        /* with too many results: a range that would work */
    uint32_t addresses;   /* a filter; 0: any */
    uint64_t throttled;   /* each so many-th request gets a 429; 0: none */
    uint64_t asked, refused;
    uint64_t longest; /* blocks of a request that was answered */
};

/** Addresses of a filter: how many stand in params, and whether number `n` is among them. */
static inline uint32_t chain_addresses(const char *params, size_t len)
{
    uint32_t n = 0;
    for (size_t i = 0; i + 4 < len; i++)
        n += memcmp(params + i, "\"0xA", 4) == 0;
    return n;
}

static inline bool chain_wants(const char *params, size_t len, unsigned address)
{
    char text[24];
    int n = snprintf(text, sizeof text, "\"0xA%04u\"", address);
    return chain_addresses(params, len) == 0 || memmem(params, len, text, (size_t)n) != NULL;
}

/* A few logs in some blocks; which, a hash of the block says. */
static inline uint32_t chain_logs_in(uint64_t block)
{
    uint64_t h = (block + 1) * UINT64_C(0x9e3779b97f4a7c15);
    h ^= h >> 29;
    return h % 8 == 0 ? (uint32_t)(h >> 20) % 5 : 0;
}

/** The logs of a call as one JSON array, whole range at once. @return how many. */
static inline uint64_t chain_answer(struct rpcfan_slice method, struct rpcfan_slice params,
                                    struct rf_buf *out)
{
    struct rf_range r;
    uint64_t n = 0;
    assert_true(rf_range_read(method, params, &r));
    uint64_t from = r.open_from ? CHAIN_HEAD : r.from, to = r.open_to ? CHAIN_HEAD : r.to;
    rf_buf_char(out, '[');
    for (uint64_t at = from; at <= to; at++) {
        for (uint32_t k = 0; k < chain_logs_in(at); k++) {
            unsigned address = (unsigned)((at + k) % 7);
            if (!chain_wants(params.data, params.len, address))
                continue;
            rf_buf_printf(out,
                          "%s{\"address\":\"0xA%04u\",\"blockNumber\":\"0x%llx\","
                          "\"logIndex\":\"0x%x\"}",
                          n++ > 0 ? "," : "", address, (unsigned long long)at, k);
        }
    }
    rf_buf_char(out, ']');
    return n;
}

static inline void chain_error(struct rf_buf *b, uint64_t id, const char *inside)
{
    rf_buf_printf(b, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"error\":{%s}}", (unsigned long long)id,
                  inside);
}

static inline void chain_too_long(struct chain_node *n, uint64_t id, struct rf_buf *b)
{
    char text[256];
    const char *say = n->too_long != NULL
                          ? n->too_long
                          : "\"code\":-32600,\"message\":\"block range is too wide\"";
    n->refused++;
    snprintf(text, sizeof text, say, (unsigned long long)n->blocks);
    chain_error(b, id, text);
}

static inline void chain_too_many(struct chain_node *n, uint64_t id, const struct rf_range *r,
                                  struct rf_buf *b)
{
    char text[256];
    n->refused++;
    if (n->suggests)
        snprintf(text, sizeof text,
                 "\"code\":-32602,\"message\":\"Log response size exceeded. Based on your "
                 "parameters, this block range should work: [0x%llx, 0x%llx]\"",
                 (unsigned long long)r->from,
                 (unsigned long long)(r->from + (r->to - r->from) / 3));
    else
        snprintf(text, sizeof text,
                 "\"code\":-32005,\"message\":\"query returned more than %llu "
                 "results\"",
                 (unsigned long long)n->results);
    chain_error(b, id, text);
}

/** Answer one member as the node would. */
static inline void chain_member(struct chain_node *n, const struct rf_call *c, uint64_t id,
                                struct rf_buf *b)
{
    struct rf_range r;
    struct rpcfan_slice method = rf_call_method(c), params = rf_call_params(c);
    if (memcmp(method.data, "eth_blockNumber", method.len) == 0) {
        rf_buf_printf(b, "{\"id\":%llu,\"result\":\"0x%llx\"}", (unsigned long long)id,
                      (unsigned long long)CHAIN_HEAD);
        return;
    }
    assert_true(rf_range_read(method, params, &r));
    uint64_t to = r.open_to ? CHAIN_HEAD : r.to, len = to - r.from + 1;
    if (n->addresses > 0 && chain_addresses(params.data, params.len) > n->addresses) {
        n->refused++;
        chain_error(b, id, "\"code\":-32602,\"message\":\"specify less number of address\"");
        return;
    }
    if (n->blocks > 0 && len > n->blocks) {
        chain_too_long(n, id, b);
        return;
    }
    struct rf_buf logs = {0};
    if (chain_answer(method, params, &logs) > n->results && n->results > 0) {
        chain_too_many(n, id, &r, b);
    } else {
        n->longest = rf_max_u64(n->longest, len);
        rf_buf_printf(b, "{\"id\":%llu,\"result\":", (unsigned long long)id);
        rf_buf_add(b, logs.data, logs.len);
        rf_buf_char(b, '}');
    }
    rf_buf_fini(&logs);
}

/** Answer an exchange as the node would. */
static inline void chain_serve(struct chain_node *n, const struct rf_exchange *ex,
                               struct rf_vreply *out)
{
    n->asked++;
    if (n->throttled > 0 && n->asked % n->throttled == 0) {
        out->status = 429;
        out->retry_after_ns = RF_SEC;
        rf_buf_str(&out->body, "{\"error\":{\"code\":429,\"message\":\"too many requests\"}}");
        return;
    }
    if (ex->n > 1)
        rf_buf_char(&out->body, '[');
    for (uint32_t i = 0; i < ex->n; i++) {
        if (i > 0)
            rf_buf_char(&out->body, ',');
        if (ex->call[i] != NULL)
            chain_member(n, ex->call[i], ex->id_base + i, &out->body);
        else
            rf_buf_str(&out->body, "null");
    }
    if (ex->n > 1)
        rf_buf_char(&out->body, ']');
}

#endif
