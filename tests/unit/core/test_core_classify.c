/* test_core_classify.c - the rule table against what nodes and providers really answer: one row a
 * signal. The same code or word means different things to different nodes, so each row is a trap
 * that some client has walked into. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "core/classify.h"

#define E RPCFAN_EVM
#define S RPCFAN_SOLANA
#define G RPCFAN_GENERIC

struct row {
    enum rpcfan_family family;
    int status;
    bool batch;
    const char *error; /* error member; NULL: none */
    const char *body;  /* where there is no JSON-RPC */
    enum rf_class class;
};

static struct rf_verdict judge(const struct row *r)
{
    struct rf_answer a = {.family = r->family,
                          .method = {"eth_call", 8},
                          .transport = RF_T_OK,
                          .status = r->status,
                          .batch = r->batch,
                          .retry_after_ns = RF_NEVER};
    if (r->error != NULL)
        a.error = (struct rpcfan_slice){r->error, strlen(r->error)};
    if (r->body != NULL)
        a.body = (struct rpcfan_slice){r->body, strlen(r->body)};
    return rf_classify(&a);
}

static void check(const struct row *rows, size_t n)
{
    unsigned bad = 0;
    for (size_t i = 0; i < n; i++) {
        struct rf_verdict v = judge(&rows[i]);
        if (v.class == rows[i].class)
            continue;
        bad++;
        print_message("%s%d %s: %s (rule %s), should be %s\n", rows[i].batch ? "batch " : "",
                      rows[i].status, rows[i].error != NULL ? rows[i].error : rows[i].body,
                      rf_class_name(v.class), v.rule, rf_class_name(rows[i].class));
    }
    assert_int_equal(bad, 0);
}

#define ERR(code, text) "{\"code\":" #code ",\"message\":\"" text "\"}"

static const struct row rate_rows[] = {
    {E, 429, false, NULL, "<html>", RF_CLASS_RATE},
    {E, 429, false, ERR(-1, "anything"), NULL, RF_CLASS_RATE},
    {E, 200, false, ERR(429, "Your app has exceeded its compute units per second capacity"), NULL,
     RF_CLASS_RATE},
    {E, 200, false, ERR(429, "Your app has exceeded its concurrent requests capacity"), NULL,
     RF_CLASS_CONC},
    {E, 200, false, ERR(-32000, "maximum number of concurrent requests reached"), NULL,
     RF_CLASS_CONC},
    {E, 200, false, ERR(-32011, "request limit reached"), NULL, RF_CLASS_RATE},
    {E, 200, false, ERR(429, "Monthly capacity limit exceeded."), NULL, RF_CLASS_QUOTA},
    {E, 503, false, ERR(-32001, "Unable to complete request at this time."), NULL, RF_CLASS_SERVER},
    {E, 429, false,
     "{\"code\":-32005,\"message\":\"project ID request rate "
     "exceeded\",\"data\":{\"rate\":{\"backoff_seconds\":30}}}",
     NULL, RF_CLASS_RATE},
    {E, 429, false, ERR(-32005, "daily request count exceeded, request rate limited"), NULL,
     RF_CLASS_QUOTA},
    {E, 402, false, NULL,
     "{\"code\":402,\"event\":-33000,\"message\":\"Payment Required\",\"details\":\"daily credit "
     "limit\"}",
     RF_CLASS_QUOTA},
    {E, 200, false, ERR(402, "Payment Required"), NULL, RF_CLASS_QUOTA},
    {E, 200, false, NULL, "{\"code\":429,\"event\":-33200,\"message\":\"x\"}", RF_CLASS_RATE},
    {E, 429, false,
     ERR(-32007,
         "50/second request limit reached - reduce calls per second or upgrade your account"),
     NULL, RF_CLASS_RATE},
    {E, 200, false, NULL, "{\"code\":-32007,\"message\":\"50/second request limit reached\"}",
     RF_CLASS_RATE},
    {E, 200, false, NULL, "50/second request limit reached", RF_CLASS_RATE},
    {E, 200, false, ERR(-32012, "credits limited to 6000/sec"), NULL, RF_CLASS_RATE},
    {E, 200, false,
     ERR(-32090, "Too many requests, reason: call rate limit exhausted, retry in 10s"), NULL,
     RF_CLASS_RATE},
    {E, 200, false, ERR(-32000, "You've exceeded the RPS limit available on the current plan."),
     NULL, RF_CLASS_RATE},
    {E, 200, false, ERR(-32000, "You have reached the maximum CUPS limit"), NULL, RF_CLASS_RATE},
    {E, 200, false, ERR(-32000, "There are not enough CUPs"), NULL, RF_CLASS_RATE},
    {E, 200, false, ERR(-32000, "You have reached the maximum API usage limit of public"), NULL,
     RF_CLASS_RATE},
    {E, 200, false, ERR(-32000, "Your app has reached maximum qps limit"), NULL, RF_CLASS_RATE},
    {E, 200, false, ERR(-32000, "Public endpoint rate limit"), NULL, RF_CLASS_RATE},
    {E, 200, false, ERR(-32000, "Public RPC Rate Limit Hit, limit will reset in 60 seconds"), NULL,
     RF_CLASS_RATE},
    {E, 200, false, ERR(-32000, "Connection rate limits exceeded"), NULL, RF_CLASS_RATE},
    {E, 200, false, ERR(-32000, "exceeded project rate limit"), NULL, RF_CLASS_RATE},
    {E, 200, false, ERR(-32000, "RequestRateLimitExceeded"), NULL, RF_CLASS_RATE},
    {E, 403, false, NULL, "error code: 1015", RF_CLASS_RATE},
    {E, 403, false, NULL, "{\"error\":\"code: 1015\"}", RF_CLASS_RATE},
    {E, 403, false, NULL, "<html>You are being rate limited</html>", RF_CLASS_RATE},
    {E, 200, false, ERR(-32055, "x"), NULL, RF_CLASS_RATE},
    {E, 400, false, NULL,
     "Too Many Requests, [code:OVER_LIMIT current_limit:{requests_per_unit:1500 unit:MINUTE}]",
     RF_CLASS_RATE},
    {E, 200, false, ERR(-32016, "over rate limit"), NULL, RF_CLASS_RATE},
    {E, 200, false, ERR(-32024, "too many requests"), NULL, RF_CLASS_RATE},
    {E, 200, false, ERR(-32012, "backend is over capacity"), NULL, RF_CLASS_SERVER},
    {E, 200, false, ERR(-32017, "sender is over rate limit"), NULL, RF_CLASS_RATE},
    {E, 429, false, ERR(-32017, "compute units exceeded"), NULL, RF_CLASS_RATE},
    {E, 403, false, ERR(-32403, "usage limit reached"), NULL, RF_CLASS_QUOTA},
    {E, 403, false, ERR(-32403, "spend limit exceeded"), NULL, RF_CLASS_QUOTA},
    {E, 403, false, ERR(-32403, "key is disabled"), NULL, RF_CLASS_AUTH},
    {E, 408, false, ERR(30, "Request timeout on the free tier, please upgrade your tier"), NULL,
     RF_CLASS_PLAN},
    {E, 500, false, ERR(30, "Request timeout on the free tier"), NULL, RF_CLASS_PLAN},
    {E, 200, false, ERR(12, "Can't route your request to suitable provider"), NULL,
     RF_CLASS_SERVER},
    {E, 200, false, ERR(-32000, "under too much load"), NULL, RF_CLASS_SERVER},
    {E, 503, false, ERR(-32011, "no backend is currently healthy to serve traffic"), NULL,
     RF_CLASS_SERVER},
    {E, 200, false, ERR(-32000, "No server available"), NULL, RF_CLASS_SERVER},
    {E, 200, false, ERR(-32000, "no available nodes found"), NULL, RF_CLASS_SERVER},
    {E, 200, false, ERR(-32000, "Scheduler unavailable"), NULL, RF_CLASS_SERVER},
    {E, 200, false, ERR(-32605, "x"), NULL, RF_CLASS_RATE},
    {E, 200, false, ERR(-32607, "call limit"), NULL, RF_CLASS_QUOTA},
    {E, 200, false, ERR(-32606, "ip"), NULL, RF_CLASS_AUTH},
    {E, 200, false, ERR(-32604, "record not found"), NULL, RF_CLASS_MISSING},
    {E, 200, false, ERR(-32003, "all nodes on cooldown"), NULL, RF_CLASS_RATE},
    {E, 200, false, ERR(-32000, "You have reached the free tier limit"), NULL, RF_CLASS_QUOTA},
    {E, 200, false, ERR(-32000, "limit for your current plan, see https://x/billing"), NULL,
     RF_CLASS_QUOTA},
    {E, 200, false, ERR(-32000, "Exceeded the quota usage"), NULL, RF_CLASS_QUOTA},
    {E, 429, false, ERR(-32000, "Heavy method rate limit: 1/min for eth_getLogs"), NULL,
     RF_CLASS_RATE},
    {G, 200, false, ERR(-32029, "x"), NULL, RF_CLASS_RATE},
};

static void test_classify_rate_and_quota(void **state)
{
    (void)state;
    check(rate_rows, RF_COUNT(rate_rows));
}

static const struct row batch_rows[] = {
    {E, 200, true, ERR(-32600, "batch too large"), NULL, RF_CLASS_SPLIT_BATCH},
    {E, 200, true, ERR(-32003, "response too large"), NULL, RF_CLASS_SPLIT_BATCH},
    {E, 200, true, ERR(-32002, "request timed out"), NULL, RF_CLASS_SPLIT_BATCH},
    {E, 413, true, NULL, "content length too large (6000000>5242880)", RF_CLASS_SPLIT_BATCH},
    {E, 200, true,
     ERR(-32000, "batch limit 100 exceeded (can increase by --rpc.batch.limit). Requested batch of "
                 "size: 101"),
     NULL, RF_CLASS_SPLIT_BATCH},
    {E, 200, true, ERR(-32014, "maximum 10 calls in 1 batch"), NULL, RF_CLASS_SPLIT_BATCH},
    {E, 413, true, ERR(-32014, "too many RPC calls in batch request"), NULL, RF_CLASS_SPLIT_BATCH},
    {E, 200, true, ERR(-32014, "too many RPC calls in batch request"), NULL, RF_CLASS_SPLIT_BATCH},
    {E, 413, true, ERR(-32021, "request body too large"), NULL, RF_CLASS_SPLIT_BATCH},
    {E, 500, true, ERR(31, "Batch of more than 3 requests are not allowed on free tier"), NULL,
     RF_CLASS_SPLIT_BATCH},
    {E, 500, true,
     ERR(31, "Batch of more than 3 requests are not allowed on free plan, upgrade to paid tier"),
     NULL, RF_CLASS_SPLIT_BATCH},
    {E, 400, true, NULL, "too many requests", RF_CLASS_SPLIT_BATCH},
    {E, 200, true, ERR(-32600, "batch item count exceeded"), NULL, RF_CLASS_SPLIT_BATCH},
    {E, 200, true,
     "{\"code\":-32600,\"message\":\"Too many [\\\"eth_getLogs\\\"] methods in the batch\"}", NULL,
     RF_CLASS_SPLIT_BATCH},
    {E, 200, true,
     "{\"code\":-32600,\"message\":\"x\",\"data\":{\"message\":\"3 validation errors in batch\"}}",
     NULL, RF_CLASS_SPLIT_BATCH},
    {E, 400, true, NULL, "<html>Bad Request</html>", RF_CLASS_SPLIT_BATCH},
    {E, 413, false, NULL, "too large", RF_CLASS_TOO_BIG},
    {E, 200, false, ERR(-32003, "response too large"), NULL, RF_CLASS_TOO_BIG},
    {E, 400, false, NULL, "too many requests", RF_CLASS_RATE},
};

static void test_classify_batches(void **state)
{
    (void)state;
    check(batch_rows, RF_COUNT(batch_rows));
}

static const struct row range_rows[] = {
    {E, 200, false,
     ERR(-32602, "Log response size exceeded. this block range should work: [0x1, 0x2]"), NULL,
     RF_CLASS_SPLIT_RANGE},
    {E, 400, false,
     ERR(-32600, "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 "
                 "block range. this block range should work: [0x1, 0x2]"),
     NULL, RF_CLASS_SPLIT_RANGE},
    {E, 200, false, ERR(-32005, "query returned more than 10000 results"), NULL,
     RF_CLASS_SPLIT_RANGE},
    {E, 200, false, ERR(-32005, "query timeout exceeded"), NULL, RF_CLASS_SPLIT_RANGE},
    {E, 200, false, ERR(-32000, "This query contains 6000 filters. The current limit is 5000"),
     NULL, RF_CLASS_SPLIT_FILTER},
    {E, 413, false, ERR(-32614, "eth_getLogs is limited to a 10,000 range"), NULL,
     RF_CLASS_SPLIT_RANGE},
    {E, 200, false,
     ERR(-32000, "eth_getLogs and eth_newFilter are limited to a 10,000 blocks range"), NULL,
     RF_CLASS_SPLIT_RANGE},
    {E, 200, false, ERR(-32600, "block range is too wide"), NULL, RF_CLASS_SPLIT_RANGE},
    {E, 200, false, ERR(-32600, "maximum [from, to] blocks distance: 2000"), NULL,
     RF_CLASS_SPLIT_RANGE},
    {E, 200, false, ERR(-32000, "Block range limit exceeded."), NULL, RF_CLASS_SPLIT_RANGE},
    {E, 200, false, ERR(-32602, "eth_getLogs is limited to 1024 block range"), NULL,
     RF_CLASS_SPLIT_RANGE},
    {E, 200, false, ERR(-32000, "Max range: 800"), NULL, RF_CLASS_SPLIT_RANGE},
    {E, 400, false, ERR(35, "ranges over 10000 blocks are not supported on freetier"), NULL,
     RF_CLASS_SPLIT_RANGE},
    {E, 400, false, ERR(35, "chain is not available on free plan"), NULL, RF_CLASS_PLAN},
    {E, 200, false, ERR(-32701, "exceed maximum block range: 50000"), NULL, RF_CLASS_SPLIT_RANGE},
    {E, 403, false, ERR(-32602, "Archive requests require a personal token"), NULL, RF_CLASS_PLAN},
    {E, 400, false,
     ERR(-32005, "logs count limit exceeded (10000) consider refine/narrow down your query"), NULL,
     RF_CLASS_SPLIT_RANGE},
    {E, 200, false, ERR(-32602, "query exceeds max results 20000, retry with the range 1-2"), NULL,
     RF_CLASS_SPLIT_RANGE},
    {E, 200, false, ERR(-32602, "query exceeds max block range 100000"), NULL,
     RF_CLASS_SPLIT_RANGE},
    {E, 200, false, ERR(-32602, "block range extends beyond current head block"), NULL,
     RF_CLASS_MISSING},
    {E, 200, false,
     "{\"code\":-32008,\"message\":\"Response is too big\",\"data\":\"Exceeded max limit of "
     "167772160\"}",
     NULL, RF_CLASS_TOO_BIG},
    {E, 200, false, ERR(-32005, "Too many logs requested. Max logs per response is 20000."), NULL,
     RF_CLASS_SPLIT_RANGE},
    {E, 200, false, ERR(-32602, "query exceeds the maximum of 1000 addresses or topics"), NULL,
     RF_CLASS_SPLIT_FILTER},
    {E, 200, false, ERR(-32602, "exceed max addresses or topics per search position"), NULL,
     RF_CLASS_SPLIT_FILTER},
    {E, 200, false, ERR(-32602, "specify less number of address"), NULL, RF_CLASS_SPLIT_FILTER},
    {E, 200, false, ERR(-32602, "exceed max topics"), NULL, RF_CLASS_SPLIT_FILTER},
    {E, 200, false, ERR(-32000, "requested too many blocks from 1 to 2, maximum is set to 2048"),
     NULL, RF_CLASS_SPLIT_RANGE},
    {E, 200, false, ERR(-32000, "Maximum allowed number of requested blocks is 1000"), NULL,
     RF_CLASS_SPLIT_RANGE},
    {E, 200, false, ERR(-32000, "please limit the query to at most 1000 blocks"), NULL,
     RF_CLASS_SPLIT_RANGE},
    {E, 200, false, ERR(-32000, "exceeds the range allowed for your plan (5000 > 500)"), NULL,
     RF_CLASS_SPLIT_RANGE},
    {E, 200, false, ERR(-32000, "eth_getLogs range is too large, max is 1k blocks"), NULL,
     RF_CLASS_SPLIT_RANGE},
    {E, 200, false, ERR(-32000, "query must be smaller than size 1024"), NULL,
     RF_CLASS_SPLIT_RANGE},
    {E, 200, false, ERR(-32000, "logs matched by query exceeds limit of 10000"), NULL,
     RF_CLASS_SPLIT_RANGE},
    {E, 200, false, ERR(-32000, "block range greater than 10000 max"), NULL, RF_CLASS_SPLIT_RANGE},
    {E, 200, false, ERR(-32000, "block range exceeds 1000"), NULL, RF_CLASS_SPLIT_RANGE},
    {E, 200, false, ERR(-32000, "log query range must not exceed 25 blocks"), NULL,
     RF_CLASS_SPLIT_RANGE},
    {E, 200, false, ERR(-32000, "Requested range exceeds maximum RPC range limit"), NULL,
     RF_CLASS_SPLIT_RANGE},
    {E, 500, false, ERR(-32020, "backend response too large"), NULL, RF_CLASS_TOO_BIG},
    {S, 200, false, ERR(-32602, "Too many inputs provided; max 100"), NULL, RF_CLASS_CLIENT},
};

static void test_classify_ranges(void **state)
{
    (void)state;
    check(range_rows, RF_COUNT(range_rows));
}

static const struct row node_rows[] = {
    {E, 200, false, ERR(-32601, "the method eth_foo does not exist/is not available"), NULL,
     RF_CLASS_UNSUPPORTED},
    {E, 200, false, ERR(-32000, "Method not found"), NULL, RF_CLASS_UNSUPPORTED},
    {E, 200, false, ERR(-32600, "eth_foo found but the containing module is disabled"), NULL,
     RF_CLASS_UNSUPPORTED},
    {E, 200, false, ERR(-32000, "Unsupported method: eth_foo"), NULL, RF_CLASS_UNSUPPORTED},
    {E, 403, false, ERR(-32001, "rpc method is not whitelisted"), NULL, RF_CLASS_UNSUPPORTED},
    {E, 403, false, ERR(-32001, "rpc method is not available"), NULL, RF_CLASS_UNSUPPORTED},
    {E, 200, false, ERR(-32000, "not allowed to access method"), NULL, RF_CLASS_UNSUPPORTED},
    {E, 200, false, ERR(-32000, "debug methods not permitted"), NULL, RF_CLASS_UNSUPPORTED},
    {E, 405, false, NULL, "", RF_CLASS_UNSUPPORTED},
    {E, 415, false, NULL, "", RF_CLASS_UNSUPPORTED},
    {E, 200, false, ERR(-32004, "x"), NULL, RF_CLASS_UNSUPPORTED},
    {E, 200, false, ERR(-32612, "x"), NULL, RF_CLASS_UNSUPPORTED},
    {E, 200, false, ERR(-32613, "x"), NULL, RF_CLASS_UNSUPPORTED},
    {E, 200, false, ERR(-32000, "debug_traceCall is not included in your current plan"), NULL,
     RF_CLASS_PLAN},
    {E, 200, false, ERR(-32000, "please upgrade from discover plan"), NULL, RF_CLASS_PLAN},
    {E, 200, false, ERR(-32000, "upgrade to paid tier"), NULL, RF_CLASS_PLAN},
    {E, 200, false, ERR(-32000, "header not found"), NULL, RF_CLASS_MISSING},
    {E, 200, false, ERR(-32000, "missing trie node abc (path )"), NULL, RF_CLASS_MISSING},
    {E, 200, false, ERR(-32000, "unknown block"), NULL, RF_CLASS_MISSING},
    {E, 200, false, ERR(-32000, "could not find block"), NULL, RF_CLASS_MISSING},
    {E, 200, false, ERR(-39001, "Unknown block"), NULL, RF_CLASS_MISSING},
    {E, 200, false, ERR(-32000, "block not found: 0x1"), NULL, RF_CLASS_MISSING},
    {E, 200, false, ERR(-32000, "cannot query unfinalized data"), NULL, RF_CLASS_MISSING},
    {E, 200, false, ERR(-32000, "requested block is after last accepted block"), NULL,
     RF_CLASS_MISSING},
    {E, 200, false, ERR(-32000, "transaction not found"), NULL, RF_CLASS_MISSING},
    {E, 200, false, ERR(-32000, "No state available for block 0x1"), NULL, RF_CLASS_MISSING},
    {E, 200, false, ERR(-32000, "historical state 0xab is not available"), NULL, RF_CLASS_MISSING},
    {E, 200, false, ERR(-32000, "requested data is not available"), NULL, RF_CLASS_MISSING},
    {E, 200, false, ERR(-32000, "hash 0x1 is not currently canonical"), NULL, RF_CLASS_MISSING},
    {E, 200, false, ERR(-32000, "node state is pruned"), NULL, RF_CLASS_MISSING},
    {E, 200, false, ERR(4444, "pruned history unavailable"), NULL, RF_CLASS_MISSING},
    {E, 200, false, ERR(-32000, "state already discarded for block 1"), NULL, RF_CLASS_MISSING},
    {E, 200, false, ERR(-32000, "distance to target block exceeds maximum proof window"), NULL,
     RF_CLASS_MISSING},
    {E, 200, false, ERR(-32000, "finalized block not found"), NULL, RF_CLASS_MISSING},
    {E, 401, false, NULL, "", RF_CLASS_AUTH},
    {E, 403, false, NULL, "Request blocked", RF_CLASS_AUTH},
    {E, 404, false, NULL, "", RF_CLASS_AUTH},
    {E, 200, false, ERR(-32600, "Must be authenticated!"), NULL, RF_CLASS_AUTH},
    {E, 200, false, ERR(-32000, "invalid api key"), NULL, RF_CLASS_AUTH},
    {E, 200, false, ERR(401, "unauthorized"), NULL, RF_CLASS_AUTH},
    {E, 200, false, ERR(-32000, "API key is inactive"), NULL, RF_CLASS_AUTH},
    {E, 200, false, ERR(-32000, "token is invalid"), NULL, RF_CLASS_AUTH},
    {E, 200, false, ERR(-32000, "apikey is on another chain"), NULL, RF_CLASS_AUTH},
    {E, 200, false, ERR(-32600, "Unspecified origin not on whitelist."), NULL, RF_CLASS_AUTH},
    {E, 200, false, ERR(-32000, "Illegal IP"), NULL, RF_CLASS_AUTH},
    {E, 500, false, NULL, "x", RF_CLASS_SERVER},
    {E, 502, false, NULL, "<html>", RF_CLASS_SERVER},
    {E, 503, false, NULL, "", RF_CLASS_SERVER},
    {E, 504, false, NULL, "", RF_CLASS_SERVER},
    {E, 520, false, NULL, "", RF_CLASS_SERVER},
    {E, 530, false, NULL, "", RF_CLASS_SERVER},
    {E, 408, false, NULL, "", RF_CLASS_SERVER},
    {E, 200, false, ERR(-32603, "internal error"), NULL, RF_CLASS_SERVER},
    {E, 200, false, ERR(-32000, "Internal error"), NULL, RF_CLASS_SERVER},
    {E, 200, false, ERR(-32000, "method handler crashed"), NULL, RF_CLASS_SERVER},
    {E, 503, false, ERR(-32010, "backend offline"), NULL, RF_CLASS_SERVER},
    {E, 504, false, ERR(-32015, "gateway timeout"), NULL, RF_CLASS_SERVER},
    {E, 200, false, NULL, "<html>hello</html>", RF_CLASS_MALFORMED},
    {E, 200, false, NULL, "", RF_CLASS_MALFORMED},
    {E, 302, false, NULL, "", RF_CLASS_MALFORMED},
    {E, 200, false, ERR(-32000, "header not found"), NULL, RF_CLASS_MISSING},
};

static void test_classify_nodes_methods_and_data(void **state)
{
    (void)state;
    check(node_rows, RF_COUNT(node_rows));
}

static const struct row tx_rows[] = {
    {E, 200, false, "{\"code\":3,\"message\":\"execution reverted\",\"data\":\"0x08c379a0\"}", NULL,
     RF_CLASS_REVERT},
    {E, 200, false, ERR(-32000, "execution reverted: nope"), NULL, RF_CLASS_REVERT},
    {E, 200, false, ERR(-32015, "VM execution error."), NULL, RF_CLASS_REVERT},
    {E, 200, false, ERR(-32000, "VM Exception while processing transaction: revert"), NULL,
     RF_CLASS_REVERT},
    {E, 200, false, ERR(-32000, "out of gas"), NULL, RF_CLASS_REVERT},
    /* a contract may say anything in its reason */
    {E, 200, false, ERR(3, "execution reverted: rate limit exceeded"), NULL, RF_CLASS_REVERT},
    {E, 200, false, ERR(3, "execution reverted: too many requests"), NULL, RF_CLASS_REVERT},
    {E, 200, true, ERR(3, "execution reverted: batch size too large"), NULL, RF_CLASS_REVERT},
    {E, 200, false, ERR(3, "execution reverted: block range is too wide"), NULL, RF_CLASS_REVERT},
    {E, 200, false, ERR(-32000, "execution reverted: exceeded the quota"), NULL, RF_CLASS_REVERT},
    {E, 200, false, ERR(-32000, "VM Exception while processing transaction: revert rate limit"),
     NULL, RF_CLASS_REVERT},
    {E, 200, false, ERR(-32000, "execution reverted: insufficient funds"), NULL, RF_CLASS_REVERT},
    {E, 200, false, ERR(-32000, "insufficient funds for gas * price + value"), NULL,
     RF_CLASS_TX_REJECT},
    {E, 200, false, ERR(-32000, "already known"), NULL, RF_CLASS_TX_KNOWN},
    {E, 200, false, ERR(-32000, "known transaction: abc"), NULL, RF_CLASS_TX_KNOWN},
    {E, 200, false, ERR(-32000, "Transaction with the same hash was already imported."), NULL,
     RF_CLASS_TX_KNOWN},
    {E, 200, false, ERR(-32000, "ALREADY_EXISTS: already known"), NULL, RF_CLASS_TX_KNOWN},
    {E, 200, false, ERR(-32000, "AlreadyKnown"), NULL, RF_CLASS_TX_KNOWN},
    {E, 200, false, ERR(-32000, "transaction already exists"), NULL, RF_CLASS_TX_KNOWN},
    {E, 200, false, ERR(-32000, "nonce too low: next nonce 5, tx nonce 4"), NULL,
     RF_CLASS_TX_REJECT},
    {E, 200, false, ERR(-32000, "OldNonce"), NULL, RF_CLASS_TX_REJECT},
    {E, 200, false, ERR(-32000, "nonce too high"), NULL, RF_CLASS_TX_REJECT},
    {E, 200, false, ERR(-32000, "replacement transaction underpriced"), NULL, RF_CLASS_TX_REJECT},
    {E, 200, false, ERR(-32000, "transaction underpriced"), NULL, RF_CLASS_TX_REJECT},
    {E, 200, false, ERR(-32602, "invalid argument 0: hex string without 0x prefix"), NULL,
     RF_CLASS_CLIENT},
    {E, 200, false, ERR(-32700, "parse error"), NULL, RF_CLASS_CLIENT},
    {E, 200, false, ERR(-32600, "invalid request"), NULL, RF_CLASS_CLIENT},
    {E, 400, false, ERR(-32000, "something else"), NULL, RF_CLASS_APP},
    {E, 200, false, ERR(-32000, "filter not found"), NULL, RF_CLASS_APP},
    {E, 200, false, "{\"message\":\"no code\"}", NULL, RF_CLASS_APP},
    {E, 200, false, "\"a string\"", NULL, RF_CLASS_APP},
    {E, 200, false, "{\"code\":\"x\",\"message\":5}", NULL, RF_CLASS_APP},
};

static void test_classify_transactions_and_requests(void **state)
{
    (void)state;
    check(tx_rows, RF_COUNT(tx_rows));
}

static const struct row solana_rows[] = {
    {S, 200, false,
     ERR(-32001, "Block 1 cleaned up, does not exist on node. First available block: 5"), NULL,
     RF_CLASS_MISSING},
    {S, 200, false, ERR(-32002, "Transaction simulation failed"), NULL, RF_CLASS_APP},
    {S, 200, false,
     "{\"code\":-32002,\"message\":\"Transaction simulation failed: Blockhash not "
     "found\",\"data\":{\"logs\":[\"Program log: rate limit exceeded\",\"out of gas\",\"too many "
     "requests\"]}}",
     NULL, RF_CLASS_APP},
    {S, 200, true,
     "{\"code\":-32002,\"message\":\"Transaction simulation failed\",\"data\":{\"logs\":[\"batch "
     "size\"]}}",
     NULL, RF_CLASS_APP},
    {S, 200, false, ERR(-32003, "Transaction signature verification failure"), NULL, RF_CLASS_APP},
    {S, 200, false, ERR(-32004, "Block not available for slot 5"), NULL, RF_CLASS_MISSING},
    {S, 200, false,
     "{\"code\":-32005,\"message\":\"Node is behind by 200 "
     "slots\",\"data\":{\"numSlotsBehind\":200}}",
     NULL, RF_CLASS_BEHIND},
    {S, 200, false, ERR(-32005, "Node is unhealthy"), NULL, RF_CLASS_BEHIND},
    {S, 200, false, ERR(-32005, "rate limit exceeded"), NULL, RF_CLASS_RATE},
    {S, 200, false, ERR(-32006, "Transaction precompile verification failure"), NULL, RF_CLASS_APP},
    {S, 200, false,
     ERR(-32007, "Slot 5 was skipped, or missing due to ledger jump to recent snapshot"), NULL,
     RF_CLASS_MISSING},
    {S, 200, false, ERR(-32008, "No snapshot"), NULL, RF_CLASS_MISSING},
    {S, 200, false, ERR(-32009, "Slot 5 was skipped, or missing in long-term storage"), NULL,
     RF_CLASS_MISSING},
    {S, 200, false,
     ERR(-32010, "x excluded from account secondary indexes; this RPC method unavailable for key"),
     NULL, RF_CLASS_UNSUPPORTED},
    {S, 200, false, ERR(-32010, "insufficient credits"), NULL, RF_CLASS_QUOTA},
    {S, 200, false, ERR(-32011, "Transaction history is not available from this node"), NULL,
     RF_CLASS_UNSUPPORTED},
    {S, 200, false, ERR(-32012, "scan aborted: replayed bad version of slot"), NULL,
     RF_CLASS_SERVER},
    {S, 200, false, ERR(-32013, "Transaction signature length mismatch"), NULL, RF_CLASS_APP},
    {S, 200, false, ERR(-32014, "Block status not yet available for slot 5"), NULL,
     RF_CLASS_BEHIND},
    {S, 200, false,
     ERR(-32015, "Transaction version (0) is not supported by the requesting client. Please try "
                 "the request again with the following configuration parameter: "
                 "maxSupportedTransactionVersion: 0"),
     NULL, RF_CLASS_APP},
    {S, 200, false, ERR(-32016, "Minimum context slot has not been reached"), NULL,
     RF_CLASS_BEHIND},
    {S, 200, false, ERR(-32016, "rate limit"), NULL, RF_CLASS_RATE},
    {S, 200, false, ERR(-32019, "Failed to query long-term storage; please try again"), NULL,
     RF_CLASS_SERVER},
    {S, 200, false, ERR(-32020, "x"), NULL, RF_CLASS_APP},
    {S, 200, false, ERR(-32021, "No slot history"), NULL, RF_CLASS_MISSING},
    {S, 200, false, ERR(-32029, "x"), NULL, RF_CLASS_RATE},
    {S, 200, false, ERR(-32429, "x"), NULL, RF_CLASS_RATE},
    {S, 429, false, NULL, "x", RF_CLASS_RATE},
    {S, 200, false, ERR(-32601, "Method not found"), NULL, RF_CLASS_UNSUPPORTED},
    {S, 200, false, ERR(-32602, "Invalid param: WrongSize"), NULL, RF_CLASS_CLIENT},
    {S, 200, false, ERR(-32603, "Internal error"), NULL, RF_CLASS_SERVER},
    {S, 403, false, NULL, "blocked", RF_CLASS_AUTH},
};

static void test_classify_solana(void **state)
{
    (void)state;
    check(solana_rows, RF_COUNT(solana_rows));
}

static void test_classify_reads_hints(void **state)
{
    (void)state;
    struct row r = {E,    200,          false, ERR(-32090, "Too many requests, retry in 10s"),
                    NULL, RF_CLASS_RATE};
    assert_true(judge(&r).hint_ns == 10 * RF_SEC);
    r.error = "{\"code\":-32005,\"message\":\"rate exceeded\",\"data\":{\"backoff_seconds\":30}}";
    assert_true(judge(&r).hint_ns == 30 * RF_SEC);
    r = (struct row){
        E, 200, true, ERR(-32000, "batch limit 100 exceeded"), NULL, RF_CLASS_SPLIT_BATCH};
    assert_int_equal(judge(&r).told_batch, 100);
    assert_false(judge(&r).by_bytes);
    r = (struct row){
        E, 413, true, NULL, "content length too large (6000000>5242880)", RF_CLASS_SPLIT_BATCH};
    assert_true(judge(&r).by_bytes);
    assert_true(judge(&r).told_bytes == 5242880);
}

/* Every class has a name, an action and an error; every transport has a class. */
static void test_classify_tables_are_whole(void **state)
{
    (void)state;
    for (int c = 0; c < RF_CLASS_COUNT; c++) {
        assert_non_null(rf_class_name((enum rf_class)c));
        assert_true(c == RF_CLASS_OK || rf_class_err((enum rf_class)c) != RPCFAN_OK);
        assert_true(rf_class_action((enum rf_class)c) <= RF_ACT_RETRY);
    }
    for (int t = RF_T_CONNECT; t <= RF_T_ABORTED; t++) {
        struct rf_answer a = {.transport = (enum rf_transport)t, .retry_after_ns = RF_NEVER};
        assert_true(rf_classify(&a).class >= RF_CLASS_TOO_BIG);
    }
    for (size_t i = 0; i < rf_rules_count; i++) {
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(rf_rules[i].id, rf_rules[k].id);
        for (const char *p = rf_rules[i].text; p != NULL && *p != '\0'; p++)
            assert_true(*p < 'A' || *p > 'Z'); /* or it can never match */
    }
}

/* P11: every input has exactly one class, and the same one each time. */
static void test_classify_is_total(void **state)
{
    (void)state;
    static const char *const bits[] = {"{\"code\":",
                                       "-32005",
                                       ",\"message\":\"",
                                       "rate limit",
                                       "\"}",
                                       "batch",
                                       "<html>",
                                       "null",
                                       "[",
                                       "]",
                                       "\\u00",
                                       "\"",
                                       "{",
                                       "}",
                                       "execution reverted",
                                       "9999999999999999999",
                                       "\x80\xff",
                                       " "};
    struct rf_rng rng;
    rf_rng_init(&rng, 11);
    for (uint32_t i = 0; i < 200000; i++) {
        char text[400] = "";
        size_t len = 0;
        for (uint64_t n = rf_rng_below(&rng, 12); n > 0; n--)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s",
                                    bits[rf_rng_below(&rng, RF_COUNT(bits))]);
        struct row r = {(enum rpcfan_family)rf_rng_below(&rng, 3),
                        (int)rf_rng_below(&rng, 700),
                        rf_rng_below(&rng, 2) == 0,
                        rf_rng_below(&rng, 2) == 0 ? text : NULL,
                        rf_rng_below(&rng, 2) == 0 ? text : NULL,
                        RF_CLASS_OK};
        struct rf_verdict v = judge(&r), again = judge(&r);
        assert_true(v.class > RF_CLASS_OK && v.class < RF_CLASS_COUNT);
        assert_non_null(v.rule);
        assert_int_equal(v.class, again.class);
        assert_true(v.hint_ns == RF_NEVER || v.hint_ns <= 300 * RF_SEC);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classify_rate_and_quota),
        cmocka_unit_test(test_classify_batches),
        cmocka_unit_test(test_classify_ranges),
        cmocka_unit_test(test_classify_nodes_methods_and_data),
        cmocka_unit_test(test_classify_transactions_and_requests),
        cmocka_unit_test(test_classify_solana),
        cmocka_unit_test(test_classify_reads_hints),
        cmocka_unit_test(test_classify_tables_are_whole),
        cmocka_unit_test(test_classify_is_total),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
