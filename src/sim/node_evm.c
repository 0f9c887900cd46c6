/* node_evm.c - the EVM methods of the fake node. Called through rf_node_answer() only. Pure.
 *
 * Addresses, hashes and amounts come from the digest of (method, params); blocks and logs from the
 * chain id and the number, so that a block asked for twice, or by tag, is the same block. */
#include <ctype.h>
#include <string.h>

#include "core/txhash.h"

#include "sim/node_methods.h"

#define LOGS_MAX 10000 /* as Infura caps a query */
#define BLOCK_SECONDS 12
#define GENESIS_SECONDS UINT64_C(1600000000)

/* The digest that a block's fields are made from. */
static struct rf_node_digest block_digest(const struct rf_node_chain *chain, uint64_t number)
{
    struct rf_node_digest d = {rf_node_mix(chain->chain_id, number), 0};
    d.b = rf_node_mix(d.a, 1);
    return d;
}

static void quoted_hex(struct rf_buf *out, struct rf_node_digest d, uint64_t salt, unsigned n)
{
    rf_buf_char(out, '"');
    rf_node_hex(out, d, salt, n);
    rf_buf_char(out, '"');
}

static void key_hex(struct rf_buf *out, const char *key, struct rf_node_digest d, uint64_t salt,
                    unsigned n)
{
    rf_buf_str(out, key);
    quoted_hex(out, d, salt, n);
}

static void key_quantity(struct rf_buf *out, const char *key, uint64_t v)
{
    rf_buf_str(out, key);
    rf_node_quantity(out, v);
}

/* A quoted 0x string of `bytes` bytes; 0 bytes: any even number of digits. */
static bool is_hex(struct rpcfan_slice s, size_t bytes)
{
    if (s.len < 4 || s.len % 2 != 0 || s.data[0] != '"' || s.data[1] != '0' || s.data[2] != 'x')
        return false;
    for (size_t i = 3; i + 1 < s.len; i++) {
        char c = (char)(s.data[i] | 32);
        if (!(s.data[i] >= '0' && s.data[i] <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
    }
    return bytes == 0 || s.len == 2 * bytes + 4;
}

/* An address. Short ones count as padded with zeros in front, so that "0x1" up to "0x{}" of a
 * template will do; a real node is stricter. */
static bool is_address(struct rpcfan_slice s)
{
    if (s.len < 4 || s.len > 44 || memcmp(s.data, "\"0x", 3) != 0)
        return false;
    for (size_t i = 3; i + 1 < s.len; i++) {
        if (!isxdigit((unsigned char)s.data[i]))
            return false;
    }
    return true;
}

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
    if (!is_address(rf_node_param(ask->params, 0)))
        return rf_node_bad_param(out, 0, "want an address");
    rf_node_quantity(out, rf_node_mix(ask->digest.a, rf_node_epoch(ask)));
    return RF_NODE_RESULT;
}

static enum rf_node_answer nonce(const struct rf_node_ask *ask, struct rf_buf *out)
{
    if (!is_address(rf_node_param(ask->params, 0)))
        return rf_node_bad_param(out, 0, "want an address");
    rf_node_quantity(out, ask->digest.a % 1000 + rf_node_epoch(ask));
    return RF_NODE_RESULT;
}

static enum rf_node_answer code(const struct rf_node_ask *ask, struct rf_buf *out)
{
    if (!is_address(rf_node_param(ask->params, 0)))
        return rf_node_bad_param(out, 0, "want an address");
    /* Half of the addresses are contracts. */
    unsigned size = 16 + (unsigned)(ask->digest.b % 241);
    quoted_hex(out, ask->digest, 0, ask->digest.b % 2 == 0 ? 0 : size);
    return RF_NODE_RESULT;
}

static enum rf_node_answer storage(const struct rf_node_ask *ask, struct rf_buf *out)
{
    if (!is_address(rf_node_param(ask->params, 0)))
        return rf_node_bad_param(out, 0, "want an address");
    if (rf_node_param(ask->params, 1).len == 0)
        return rf_node_bad_param(out, 1, "want a slot");
    quoted_hex(out, ask->digest, rf_node_epoch(ask), 32);
    return RF_NODE_RESULT;
}

static enum rf_node_answer call(const struct rf_node_ask *ask, struct rf_buf *out)
{
    struct rpcfan_slice tx = rf_node_param(ask->params, 0);
    if (tx.len == 0 || tx.data[0] != '{')
        return rf_node_bad_param(out, 0, "want a call object");
    quoted_hex(out, ask->digest, rf_node_epoch(ask), 32);
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
    struct rf_node_digest d = block_digest(ask->chain, n);
    key_quantity(out, "{\"number\":", n);
    key_hex(out, ",\"hash\":", d, 0, 32);
    key_hex(out, ",\"parentHash\":", block_digest(ask->chain, n - 1), 0, 32);
    key_quantity(out, ",\"timestamp\":", GENESIS_SECONDS + n * BLOCK_SECONDS);
    key_quantity(out, ",\"gasLimit\":", 30000000);
    key_quantity(out, ",\"gasUsed\":", d.a % 30000000);
    key_quantity(out, ",\"baseFeePerGas\":", 1000000000 + d.b % 1000000000);
    key_hex(out, ",\"miner\":", d, 7, 20);
    key_hex(out, ",\"stateRoot\":", d, 40, 32);
    rf_buf_str(out, ",\"transactions\":[");
    for (uint64_t i = 0; i < d.a % 4; i++)
        key_hex(out, i > 0 ? "," : "", d, 100 + i, 32);
    rf_buf_str(out, "]}");
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
    key_hex(out, "{\"blockHash\":", block_digest(ask->chain, n), 0, 32);
    key_quantity(out, ",\"blockNumber\":", n);
    key_quantity(out, ",\"transactionIndex\":", d.b % 200);
    key_hex(out, ",\"from\":", d, 1000, 20);
    key_hex(out, ",\"to\":", d, 2000, 20);
    return d;
}

static enum rf_node_answer transaction(const struct rf_node_ask *ask, struct rf_buf *out)
{
    struct rpcfan_slice hash = rf_node_param(ask->params, 0);
    if (!is_hex(hash, 32))
        return rf_node_bad_param(out, 0, "want a transaction hash");
    if (!known_transaction(hash)) {
        rf_buf_str(out, "null");
        return RF_NODE_RESULT;
    }
    struct rf_node_digest d = transaction_place(ask, hash, out);
    rf_buf_str(out, ",\"hash\":");
    rf_buf_add(out, hash.data, hash.len);
    key_quantity(out, ",\"nonce\":", d.a % 1000);
    key_quantity(out, ",\"value\":", d.b);
    key_quantity(out, ",\"gas\":", 21000);
    rf_buf_str(out, ",\"input\":\"0x\",\"type\":\"0x2\"}");
    return RF_NODE_RESULT;
}

static enum rf_node_answer receipt(const struct rf_node_ask *ask, struct rf_buf *out)
{
    struct rpcfan_slice hash = rf_node_param(ask->params, 0);
    if (!is_hex(hash, 32))
        return rf_node_bad_param(out, 0, "want a transaction hash");
    if (!known_transaction(hash)) {
        rf_buf_str(out, "null");
        return RF_NODE_RESULT;
    }
    struct rf_node_digest d = transaction_place(ask, hash, out);
    rf_buf_str(out, ",\"transactionHash\":");
    rf_buf_add(out, hash.data, hash.len);
    key_quantity(out, ",\"gasUsed\":", 21000);
    key_quantity(out, ",\"status\":", d.b % 16 != 0);
    rf_buf_str(out, ",\"logs\":[]}");
    return RF_NODE_RESULT;
}

/* Every fourth block or so holds one log, whatever range it is asked for in: so the pieces of a
 * range come to the same as the whole. */
static void log_of_block(const struct rf_node_ask *ask, struct rpcfan_slice address, uint64_t n,
                         struct rf_buf *out)
{
    struct rf_node_digest d = block_digest(ask->chain, n);
    key_quantity(out, "{\"blockNumber\":", n);
    key_hex(out, ",\"blockHash\":", d, 0, 32);
    key_hex(out, ",\"transactionHash\":", d, 100, 32);
    key_quantity(out, ",\"transactionIndex\":", d.a % 200);
    key_quantity(out, ",\"logIndex\":", d.b % 400);
    rf_buf_str(out, ",\"address\":");
    if (is_address(address))
        rf_buf_add(out, address.data, address.len);
    else
        quoted_hex(out, d, 5, 20);
    key_hex(out, ",\"topics\":[", d, 300, 32);
    key_hex(out, "],\"data\":", d, 400, 32);
    rf_buf_str(out, ",\"removed\":false}");
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

static enum rf_node_answer logs(const struct rf_node_ask *ask, struct rf_buf *out)
{
    struct rpcfan_slice filter = rf_node_param(ask->params, 0);
    struct rpcfan_slice address = rf_node_field(filter, "address");
    struct rpcfan_slice from_text = rf_node_field(filter, "fromBlock");
    struct rpcfan_slice to_text = rf_node_field(filter, "toBlock");
    uint64_t from = ask->chain->head, to = ask->chain->head, n = 0;
    if (filter.len == 0 || filter.data[0] != '{')
        return rf_node_bad_param(out, 0, "want a filter object");
    if ((from_text.len > 0 && !block_number(ask->chain, from_text, &from)) ||
        (to_text.len > 0 && !block_number(ask->chain, to_text, &to)) || from > to)
        return rf_node_bad_param(out, 0, "invalid block range");
    if (ask->chain->range_max > 0 && to - from >= ask->chain->range_max)
        return refuse_range(ask->chain, from, out);
    to = rf_min_u64(to, ask->chain->head);
    size_t start = out->len;
    rf_buf_char(out, '[');
    for (uint64_t i = from; i <= to; i++) {
        if (block_digest(ask->chain, i).a % 4 != 0)
            continue;
        if (++n > LOGS_MAX) {
            out->len = start;
            rf_node_error(out, -32005, "query returned more than 10000 results", NULL);
            return RF_NODE_ERROR;
        }
        if (n > 1)
            rf_buf_char(out, ',');
        log_of_block(ask, address, i, out);
    }
    rf_buf_char(out, ']');
    return RF_NODE_RESULT;
}

/* The hash of what is sent, as every node would say. The second identical send is an error; the
 * server knows, this function is the first time. */
static enum rf_node_answer send_raw(const struct rf_node_ask *ask, struct rf_buf *out)
{
    char hash[RF_TX_HASH_LEN];
    if (!is_hex(rf_node_param(ask->params, 0), 0) || !rf_tx_hash(ask->params, hash))
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
