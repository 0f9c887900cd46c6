/* node_solana.c - the Solana methods of the fake node. Called through rf_node_answer() only. Pure.
 *
 * An account is made from its address alone: every method that shows it shows the same one. Its
 * rentEpoch is 2^64-1, as on the real chain, to catch readers that go through a double. */
#include <stdio.h>
#include <string.h>

#include "sim/node_methods.h"

#define TOKEN_PROGRAM "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
#define ACCOUNTS_MAX 100 /* addresses a getMultipleAccounts takes, as agave's default */
#define DATA_BYTES 165   /* an SPL token account */
#define BASE58_BYTES 128 /* more of them are refused in base58 */

static const char base58[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/* A quoted base58 string of `least` to `most` characters. */
static bool is_base58(struct rpcfan_slice s, size_t least, size_t most)
{
    if (s.len < least + 2 || s.len > most + 2 || s.data[0] != '"')
        return false;
    for (size_t i = 1; i + 1 < s.len; i++)
        if (s.data[i] == '\0' || strchr(base58, s.data[i]) == NULL)
            return false;
    return true;
}

static bool is_pubkey(struct rpcfan_slice s)
{
    return is_base58(s, 32, 44);
}

/* Text that looks like base58 of 32 or 64 bytes. */
static void quoted_base58(struct rf_buf *out, struct rf_node_digest d, uint64_t salt, unsigned n)
{
    rf_buf_char(out, '"');
    for (unsigned i = 0; i < n; i++)
        rf_buf_char(out, base58[rf_node_mix(i % 2 == 0 ? d.a : d.b, salt + i) % 58]);
    rf_buf_char(out, '"');
}

static void quoted_base64(struct rf_buf *out, struct rf_node_digest d, unsigned n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    rf_buf_char(out, '"');
    for (unsigned i = 0; i < n; i += 3) {
        uint64_t word = rf_node_mix(d.a, i) & 0xffffff;
        unsigned have = n - i < 3 ? n - i : 3;
        if (have < 3)
            word &= have == 2 ? 0xffff00 : 0xff0000;
        for (unsigned k = 0; k < 4; k++)
            rf_buf_char(out, k <= have ? digits[(word >> (18 - 6 * k)) & 63] : '=');
    }
    rf_buf_char(out, '"');
}

static enum rf_node_answer bad_pubkey(struct rf_buf *out)
{
    rf_node_error(out, -32602, "Invalid param: WrongSize", NULL);
    return RF_NODE_ERROR;
}

static void context(const struct rf_node_ask *ask, struct rf_buf *out)
{
    rf_buf_str(out, "{\"context\":{\"apiVersion\":\"2.2.1\",\"slot\":");
    rf_buf_u64(out, ask->chain->head);
    rf_buf_str(out, "},\"value\":");
}

/* The account's digest: from its address (and the epoch, where state churns). */
static struct rf_node_digest account_digest(const struct rf_node_ask *ask, struct rpcfan_slice key)
{
    struct rf_node_ask one = *ask;
    one.digest = rf_node_digest(key, (struct rpcfan_slice){NULL, 0});
    struct rf_node_digest d = one.digest;
    d.a = rf_node_mix(d.a, rf_node_epoch(&one));
    return d;
}

/* One address in eight or so does not exist; the address decides, not the epoch. */
static bool exists(struct rpcfan_slice key)
{
    return rf_node_digest(key, (struct rpcfan_slice){NULL, 0}).b % 8 != 0;
}

static void account(const struct rf_node_ask *ask, struct rpcfan_slice key, struct rf_buf *out)
{
    if (!exists(key)) {
        rf_buf_str(out, "null");
        return;
    }
    struct rf_node_digest d = account_digest(ask, key);
    rf_buf_str(out, "{\"data\":[");
    quoted_base64(out, d, DATA_BYTES);
    rf_buf_str(out, ",\"base64\"],\"executable\":false,\"lamports\":");
    rf_buf_u64(out, d.a % UINT64_C(1000000000000));
    rf_buf_str(out,
               ",\"owner\":\"" TOKEN_PROGRAM "\",\"rentEpoch\":18446744073709551615,\"space\":");
    rf_buf_u64(out, DATA_BYTES);
    rf_buf_char(out, '}');
}

static enum rf_node_answer version(const struct rf_node_ask *ask, struct rf_buf *out)
{
    (void)ask;
    rf_buf_str(out, "{\"feature-set\":3271415109,\"solana-core\":\"2.2.1\"}");
    return RF_NODE_RESULT;
}

static enum rf_node_answer health(const struct rf_node_ask *ask, struct rf_buf *out)
{
    (void)ask;
    rf_buf_str(out, "\"ok\"");
    return RF_NODE_RESULT;
}

static enum rf_node_answer genesis(const struct rf_node_ask *ask, struct rf_buf *out)
{
    struct rf_node_digest d = {rf_node_mix(ask->chain->chain_id, 58), ask->chain->chain_id};
    quoted_base58(out, d, 0, 44);
    return RF_NODE_RESULT;
}

/* A wish for a slot that is not reached yet is refused, as agave does. */
static bool behind(const struct rf_node_ask *ask, struct rf_buf *out)
{
    uint64_t wanted;
    for (unsigned i = 0; i < 2; i++) {
        struct rpcfan_slice floor = rf_node_field(rf_node_param(ask->params, i), "minContextSlot");
        if (floor.len == 0 || !rf_node_number(floor, &wanted) || wanted <= ask->chain->head)
            continue;
        rf_buf_str(out,
                   "{\"code\":-32016,\"message\":\"Minimum context slot has not been reached\","
                   "\"data\":{\"contextSlot\":");
        rf_buf_u64(out, ask->chain->head);
        rf_buf_str(out, "}}");
        return true;
    }
    return false;
}

static enum rf_node_answer slot(const struct rf_node_ask *ask, struct rf_buf *out)
{
    if (behind(ask, out))
        return RF_NODE_ERROR;
    rf_buf_u64(out, ask->chain->head);
    return RF_NODE_RESULT;
}

/* Skipped slots make the height lag: one slot in twenty. */
static uint64_t height_of(uint64_t head)
{
    return head - head / 20;
}

static enum rf_node_answer block_height(const struct rf_node_ask *ask, struct rf_buf *out)
{
    if (behind(ask, out))
        return RF_NODE_ERROR;
    rf_buf_u64(out, height_of(ask->chain->head));
    return RF_NODE_RESULT;
}

static enum rf_node_answer balance(const struct rf_node_ask *ask, struct rf_buf *out)
{
    struct rpcfan_slice key = rf_node_param(ask->params, 0);
    if (!is_pubkey(key))
        return bad_pubkey(out);
    if (behind(ask, out))
        return RF_NODE_ERROR;
    context(ask, out);
    rf_buf_u64(out, exists(key) ? account_digest(ask, key).a % UINT64_C(1000000000000) : 0);
    rf_buf_char(out, '}');
    return RF_NODE_RESULT;
}

/* An account that is too large for the encoding that is asked for: as agave, the whole call is
 * refused. */
static bool too_large(const struct rf_node_ask *ask, struct rpcfan_slice key, struct rf_buf *out)
{
    struct rpcfan_slice encoding = rf_node_field(rf_node_param(ask->params, 1), "encoding");
    if (DATA_BYTES <= BASE58_BYTES || !exists(key) || encoding.len != 8 ||
        memcmp(encoding.data, "\"base58\"", 8) != 0)
        return false;
    rf_node_error(out, -32600,
                  "Encoded binary (base 58) data should be less than 128 bytes, please use Base64 "
                  "encoding.",
                  NULL);
    return true;
}

static enum rf_node_answer account_info(const struct rf_node_ask *ask, struct rf_buf *out)
{
    struct rpcfan_slice key = rf_node_param(ask->params, 0);
    if (!is_pubkey(key))
        return bad_pubkey(out);
    if (behind(ask, out) || too_large(ask, key, out))
        return RF_NODE_ERROR;
    context(ask, out);
    account(ask, key, out);
    rf_buf_char(out, '}');
    return RF_NODE_RESULT;
}

static enum rf_node_answer too_many(struct rf_buf *out, uint64_t most)
{
    char text[64];
    snprintf(text, sizeof text, "Too many inputs provided; max %llu", (unsigned long long)most);
    rf_node_error(out, -32602, text, NULL);
    return RF_NODE_ERROR;
}

static enum rf_node_answer multiple_accounts(const struct rf_node_ask *ask, struct rf_buf *out)
{
    struct rf_node_items keys;
    struct rpcfan_slice key;
    size_t start = out->len;
    uint64_t most = ask->chain->inputs_max > 0 ? ask->chain->inputs_max : ACCOUNTS_MAX;
    if (!rf_node_items_init(&keys, rf_node_param(ask->params, 0)))
        return rf_node_bad_param(out, 0, "want an array of addresses");
    if (behind(ask, out))
        return RF_NODE_ERROR;
    context(ask, out);
    rf_buf_char(out, '[');
    for (unsigned i = 0; rf_node_items_next(&keys, &key); i++) {
        if (i >= most) {
            out->len = start;
            return too_many(out, most);
        }
        if (!is_pubkey(key)) {
            out->len = start;
            return bad_pubkey(out);
        }
        size_t before = out->len;
        out->len = start;
        if (too_large(ask, key, out))
            return RF_NODE_ERROR;
        out->len = before;
        if (i > 0)
            rf_buf_char(out, ',');
        account(ask, key, out);
    }
    rf_buf_str(out, "]}");
    return RF_NODE_RESULT;
}

static enum rf_node_answer latest_blockhash(const struct rf_node_ask *ask, struct rf_buf *out)
{
    if (behind(ask, out))
        return RF_NODE_ERROR;
    struct rf_node_digest d = {rf_node_mix(ask->chain->chain_id, ask->chain->head), 3};
    context(ask, out);
    rf_buf_str(out, "{\"blockhash\":");
    quoted_base58(out, d, 0, 44);
    rf_buf_str(out, ",\"lastValidBlockHeight\":");
    rf_buf_u64(out, height_of(ask->chain->head) + 150);
    rf_buf_str(out, "}}");
    return RF_NODE_RESULT;
}

static enum rf_node_answer token_balance(const struct rf_node_ask *ask, struct rf_buf *out)
{
    struct rpcfan_slice key = rf_node_param(ask->params, 0);
    if (!is_pubkey(key))
        return bad_pubkey(out);
    if (!exists(key)) {
        rf_node_error(out, -32602, "Invalid param: could not find account", NULL);
        return RF_NODE_ERROR;
    }
    uint64_t amount = rf_node_mix(account_digest(ask, key).a, 6);
    context(ask, out);
    rf_buf_str(out, "{\"amount\":\"");
    rf_buf_u64(out, amount);
    rf_buf_str(out, "\",\"decimals\":6,\"uiAmountString\":\"");
    rf_buf_printf(out, "%llu.%06llu", (unsigned long long)(amount / 1000000),
                  (unsigned long long)(amount % 1000000));
    rf_buf_str(out, "\"}}");
    return RF_NODE_RESULT;
}

/* The same bytes have the same signature, however often they are sent. */
static enum rf_node_answer send(const struct rf_node_ask *ask, struct rf_buf *out)
{
    struct rpcfan_slice tx = rf_node_param(ask->params, 0);
    if (tx.len <= 2 || tx.data[0] != '"')
        return rf_node_bad_param(out, 0, "want a signed transaction");
    struct rf_node_digest d = rf_node_digest(tx, (struct rpcfan_slice){NULL, 0});
    quoted_base58(out, d, 0, 88);
    return RF_NODE_RESULT;
}

const struct rf_node_method rf_node_solana_methods[] = {
    {"getAccountInfo", 14, account_info},
    {"getMultipleAccounts", 19, multiple_accounts},
    {"getSlot", 7, slot},
    {"getBalance", 10, balance},
    {"getLatestBlockhash", 18, latest_blockhash},
    {"getTokenAccountBalance", 22, token_balance},
    {"getBlockHeight", 14, block_height},
    {"getVersion", 10, version},
    {"getHealth", 9, health},
    {"getGenesisHash", 14, genesis},
    {"sendTransaction", 15, send},
    {NULL, 0, NULL},
};
