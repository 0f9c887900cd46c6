/* node_evm.c - the EVM methods of the fake node. Called through rf_node_answer() only. Pure.
 *
 * Addresses, hashes and amounts come from the digest of (method, params); blocks and logs from the
 * chain id and the number, so that a block asked for twice, or by tag, is the same block. */
#include <string.h>

#include "core/txhash.h"

#include "sim/node_evm.h"

#define LOGS_MAX 10000 /* as Infura caps a query */

/* A block number or tag. @return false where it is neither. */
static bool block_number(const struct rf_node_chain *chain, struct rpcfan_slice s, uint64_t *number)
{
    static const char *const tags[] = {"\"latest\"", "\"pending\"", "\"safe\"", "\"finalized\""};
    if (s.len == 10 && memcmp(s.data, "\"earliest\"", 10) == 0) {
        *number = 0;
        return true;
    }
    for (size_t i = 0; i < RF_COUNT(tags); i++) {
        if (s.len != strlen(tags[i]) || memcmp(s.data, tags[i], s.len) != 0)
            continue;
        *number = i < 2 ? chain->head : rf_time_sub(chain->head, i == 2 ? 32 : 64);
        return true;
    }
    return s.len > 2 && s.data[0] == '"' && rf_node_number(s, number);
}

static enum rf_node_answer chain_id(const struct rf_node_ask *ask, struct rf_buf *out)
{
    rf_node_quantity(out, ask->chain->chain_id);
    return RF_NODE_RESULT;
}

static enum rf_node_answer net_version(const struct rf_node_ask *ask, struct rf_buf *out)
{
    rf_buf_char(out, '"');
    rf_buf_u64(out, ask->chain->chain_id);
    rf_buf_char(out, '"');
    return RF_NODE_RESULT;
}

static enum rf_node_answer client_version(const struct rf_node_ask *ask, struct rf_buf *out)
{
    (void)ask;
    rf_buf_str(out, "\"rpcfan-sim/v" RPCFAN_VERSION "\"");
    return RF_NODE_RESULT;
}

static enum rf_node_answer head_number(const struct rf_node_ask *ask, struct rf_buf *out)
{
    rf_node_quantity(out, ask->chain->head);
    return RF_NODE_RESULT;
}

static enum rf_node_answer gas_price(const struct rf_node_ask *ask, struct rf_buf *out)
{
    uint64_t spread = rf_node_mix(ask->chain->chain_id, ask->chain->head) % 1000000000;
    rf_node_quantity(out, 1000000000 + spread);
    return RF_NODE_RESULT;
}

static enum rf_node_answer balance(const struct rf_node_ask *ask, struct rf_buf *out)
{
    if (!rf_node_evm_is_address(rf_node_param(ask->params, 0)))
        return rf_node_bad_param(out, 0, "want an address");
    rf_node_quantity(out, rf_node_mix(ask->digest.a, rf_node_epoch(ask)));
    return RF_NODE_RESULT;
}

static enum rf_node_answer nonce(const struct rf_node_ask *ask, struct rf_buf *out)
{
    if (!rf_node_evm_is_address(rf_node_param(ask->params, 0)))
        return rf_node_bad_param(out, 0, "want an address");
    rf_node_quantity(out, ask->digest.a % 1000 + rf_node_epoch(ask));
    return RF_NODE_RESULT;
}

static enum rf_node_answer code(const struct rf_node_ask *ask, struct rf_buf *out)
{
    if (!rf_node_evm_is_address(rf_node_param(ask->params, 0)))
        return rf_node_bad_param(out, 0, "want an address");
    /* Half of the addresses are contracts. */
    unsigned size = 16 + (unsigned)(ask->digest.b % 241);
    rf_node_evm_key_hex(out, "", ask->digest, 0, ask->digest.b % 2 == 0 ? 0 : size);
    return RF_NODE_RESULT;
}

static enum rf_node_answer storage(const struct rf_node_ask *ask, struct rf_buf *out)
{
    if (!rf_node_evm_is_address(rf_node_param(ask->params, 0)))
        return rf_node_bad_param(out, 0, "want an address");
    if (rf_node_param(ask->params, 1).len == 0)
        return rf_node_bad_param(out, 1, "want a slot");
    rf_node_evm_key_hex(out, "", ask->digest, rf_node_epoch(ask), 32);
    return RF_NODE_RESULT;
}

static enum rf_node_answer call(const struct rf_node_ask *ask, struct rf_buf *out)
{
    struct rpcfan_slice tx = rf_node_param(ask->params, 0);
    if (tx.len == 0 || tx.data[0] != '{')
        return rf_node_bad_param(out, 0, "want a call object");
    rf_node_evm_key_hex(out, "", ask->digest, rf_node_epoch(ask), 32);
    return RF_NODE_RESULT;
}

static enum rf_node_answer block(const struct rf_node_ask *ask, struct rf_buf *out)
{
    uint64_t n;
    if (!block_number(ask->chain, rf_node_param(ask->params, 0), &n))
        return rf_node_bad_param(out, 0, "want a block number or tag");
    if (n > ask->chain->head) {
        rf_buf_str(out, "null");
        return RF_NODE_RESULT;
    }
    rf_node_evm_block(ask->chain, n, rf_node_evm_version(ask->chain, n), true, out);
    return RF_NODE_RESULT;
}

static enum rf_node_answer block_by_hash(const struct rf_node_ask *ask, struct rf_buf *out)
{
    uint64_t n, version;
    struct rpcfan_slice hash = rf_node_param(ask->params, 0);
    if (!rf_node_evm_is_hex(hash, 32))
        return rf_node_bad_param(out, 0, "want a block hash");
    if (rf_node_evm_find(ask->chain, hash, &n, &version))
        rf_node_evm_block(ask->chain, n, version, true, out);
    else
        rf_buf_str(out, "null");
    return RF_NODE_RESULT;
}

/* Hashes that begin with 0x0 are known nowhere: a test can ask for either kind. */
static bool known_transaction(struct rpcfan_slice hash)
{
    return hash.data[3] != '0';
}

/* From the hash alone, so that a transaction and its receipt agree, and old blocks only, so that an
 * advancing head moves nothing. */
static struct rf_node_digest transaction_place(const struct rf_node_ask *ask,
                                               struct rpcfan_slice hash, struct rf_buf *out)
{
    struct rf_node_digest d = rf_node_digest(hash, (struct rpcfan_slice){NULL, 0});
    uint64_t n = d.a % 1000;
    rf_node_evm_key_hex(out, "{\"blockHash\":",
                        rf_node_evm_digest(ask->chain, n, rf_node_evm_version(ask->chain, n)), 0,
                        32);
    rf_node_evm_key_quantity(out, ",\"blockNumber\":", n);
    rf_node_evm_key_quantity(out, ",\"transactionIndex\":", d.b % 200);
    rf_node_evm_key_hex(out, ",\"from\":", d, 1000, 20);
    rf_node_evm_key_hex(out, ",\"to\":", d, 2000, 20);
    return d;
}

static enum rf_node_answer transaction(const struct rf_node_ask *ask, struct rf_buf *out)
{
    struct rpcfan_slice hash = rf_node_param(ask->params, 0);
    if (!rf_node_evm_is_hex(hash, 32))
        return rf_node_bad_param(out, 0, "want a transaction hash");
    if (!known_transaction(hash)) {
        rf_buf_str(out, "null");
        return RF_NODE_RESULT;
    }
    struct rf_node_digest d = transaction_place(ask, hash, out);
    rf_buf_str(out, ",\"hash\":");
    rf_buf_add(out, hash.data, hash.len);
    rf_node_evm_key_quantity(out, ",\"nonce\":", d.a % 1000);
    rf_node_evm_key_quantity(out, ",\"value\":", d.b);
    rf_node_evm_key_quantity(out, ",\"gas\":", 21000);
    rf_buf_str(out, ",\"input\":\"0x\",\"type\":\"0x2\"}");
    return RF_NODE_RESULT;
}

static enum rf_node_answer receipt(const struct rf_node_ask *ask, struct rf_buf *out)
{
    struct rpcfan_slice hash = rf_node_param(ask->params, 0);
    if (!rf_node_evm_is_hex(hash, 32))
        return rf_node_bad_param(out, 0, "want a transaction hash");
    if (!known_transaction(hash)) {
        rf_buf_str(out, "null");
        return RF_NODE_RESULT;
    }
    struct rf_node_digest d = transaction_place(ask, hash, out);
    rf_buf_str(out, ",\"transactionHash\":");
    rf_buf_add(out, hash.data, hash.len);
    rf_node_evm_key_quantity(out, ",\"gasUsed\":", 21000);
    rf_node_evm_key_quantity(out, ",\"status\":", d.b % 16 != 0);
    rf_buf_str(out, ",\"logs\":[]}");
    return RF_NODE_RESULT;
}

/* "{max}" in decimal, "{from}" and "{to}" as the node writes numbers. */
static enum rf_node_answer refuse_range(const struct rf_node_chain *chain, uint64_t from,
                                        struct rf_buf *out)
{
    static const char *const names[] = {"{max}", "{from}", "{to}"};
    struct rf_buf text = {0};
    for (const char *p = chain->range_message; *p != '\0';) {
        unsigned i = 0;
        while (i < RF_COUNT(names) && strncmp(p, names[i], strlen(names[i])) != 0)
            i++;
        if (i == 0)
            rf_buf_u64(&text, chain->range_max);
        else if (i < RF_COUNT(names))
            rf_buf_printf(&text, "0x%llx",
                          (unsigned long long)(i == 1 ? from : from + chain->range_max - 1));
        else
            rf_buf_char(&text, *p);
        p += i < RF_COUNT(names) ? strlen(names[i]) : 1;
    }
    rf_buf_char(&text, '\0');
    rf_node_error(out, chain->range_code, text.failed ? "" : text.data, NULL);
    rf_buf_fini(&text);
    return RF_NODE_ERROR;
}

/* The blocks that a filter asks about. @return false where it asks wrongly, or for a block hash
 * that is not on the chain; then the answer is written. */
static bool log_range(const struct rf_node_ask *ask, struct rpcfan_slice filter, uint64_t *from,
                      uint64_t *to, struct rf_buf *out)
{
    struct rpcfan_slice hash = rf_node_field(filter, "blockHash");
    struct rpcfan_slice from_text = rf_node_field(filter, "fromBlock");
    struct rpcfan_slice to_text = rf_node_field(filter, "toBlock");
    uint64_t version;
    *from = *to = ask->chain->head;
    if (hash.len > 0) {
        if (rf_node_evm_find(ask->chain, hash, from, &version) &&
            version == rf_node_evm_version(ask->chain, *from)) {
            *to = *from;
            return true;
        }
        rf_node_error(out, -32000, "unknown block", NULL);
        return false;
    }
    if ((from_text.len == 0 || block_number(ask->chain, from_text, from)) &&
        (to_text.len == 0 || block_number(ask->chain, to_text, to)) && *from <= *to)
        return true;
    (void)rf_node_bad_param(out, 0, "invalid block range");
    return false;
}

static enum rf_node_answer logs(const struct rf_node_ask *ask, struct rf_buf *out)
{
    struct rpcfan_slice filter = rf_node_param(ask->params, 0);
    struct rf_node_evm_filter want = {rf_node_field(filter, "address"),
                                      rf_node_field(filter, "topics")};
    uint64_t from, to, n = 0;
    if (filter.len == 0 || filter.data[0] != '{')
        return rf_node_bad_param(out, 0, "want a filter object");
    if (!log_range(ask, filter, &from, &to, out))
        return RF_NODE_ERROR;
    if (ask->chain->range_max > 0 && to - from >= ask->chain->range_max)
        return refuse_range(ask->chain, from, out);
    to = rf_min_u64(to, ask->chain->head);
    size_t start = out->len;
    rf_buf_char(out, '[');
    for (uint64_t i = from; i <= to; i++) {
        unsigned count = rf_node_evm_log_count(ask->chain, i, rf_node_evm_version(ask->chain, i));
        for (unsigned k = 0; k < count; k++) {
            size_t at = out->len;
            if (n > 0)
                rf_buf_char(out, ',');
            if (rf_node_evm_log(ask->chain, &want, i, k, false, out))
                n++;
            else
                out->len = at;
        }
        if (n > LOGS_MAX) {
            out->len = start;
            rf_node_error(out, -32005, "query returned more than 10000 results", NULL);
            return RF_NODE_ERROR;
        }
    }
    rf_buf_char(out, ']');
    return RF_NODE_RESULT;
}

/* The hash of what is sent, as every node would say. The second identical send is an error; the
 * server knows, this function is the first time. */
static enum rf_node_answer send_raw(const struct rf_node_ask *ask, struct rf_buf *out)
{
    char hash[RF_TX_HASH_LEN];
    if (!rf_node_evm_is_hex(rf_node_param(ask->params, 0), 0) || !rf_tx_hash(ask->params, hash))
        return rf_node_bad_param(out, 0, "want a signed transaction");
    rf_buf_printf(out, "\"%s\"", hash);
    return RF_NODE_RESULT;
}

const struct rf_node_method rf_node_evm_methods[] = {
    {"eth_blockNumber", 15, head_number},
    {"eth_getBalance", 14, balance},
    {"eth_call", 8, call},
    {"eth_chainId", 11, chain_id},
    {"eth_getTransactionCount", 23, nonce},
    {"eth_getBlockByNumber", 20, block},
    {"eth_getBlockByHash", 18, block_by_hash},
    {"eth_getLogs", 11, logs},
    {"eth_getTransactionReceipt", 25, receipt},
    {"eth_getTransactionByHash", 24, transaction},
    {"eth_getCode", 11, code},
    {"eth_getStorageAt", 16, storage},
    {"eth_gasPrice", 12, gas_price},
    {"eth_sendRawTransaction", 22, send_raw},
    {"net_version", 11, net_version},
    {"web3_clientVersion", 18, client_version},
    {NULL, 0, NULL},
};
