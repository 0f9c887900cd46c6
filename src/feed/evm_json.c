/* evm_json.c - reads and writes the few fields of Ethereum's blocks and logs that feeds look at. */
#include "feed/evm_json.h"

#include <string.h>

#include "feed/members.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The digits of "0x...". @return false where it is no such text. */
static bool hex_body(struct rpcfan_slice json, struct rpcfan_slice *out)
{
    if (json.len < 5 || json.data[0] != '"' || json.data[1] != '0' || json.data[2] != 'x')
        return false;
    *out = (struct rpcfan_slice){json.data + 3, json.len - 4};
    return true;
}

bool rf_evm_read_u64(struct rpcfan_slice json, uint64_t *out)
{
    struct rpcfan_slice digits;
    if (!hex_body(json, &digits) || digits.len > 16)
        return false;
    *out = 0;
    for (size_t i = 0; i < digits.len; i++) {
        int d = hex_digit(digits.data[i]);
        if (d < 0)
            return false;
        *out = *out << 4 | (uint64_t)d;
    }
    return true;
}

static bool read_hash(struct rpcfan_slice json, uint8_t out[RF_EVM_HASH])
{
    struct rpcfan_slice digits;
    if (!hex_body(json, &digits) || digits.len != (size_t)2 * RF_EVM_HASH)
        return false;
    for (size_t i = 0; i < RF_EVM_HASH; i++) {
        int high = hex_digit(digits.data[2 * i]), low = hex_digit(digits.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool rf_evm_read_header(struct rpcfan_slice json, struct rf_evm_header *out)
{
    struct rf_members m;
    bool hash = false, parent = false, number = false;
    if (rf_members_begin(&m, json) != RF_TOK_OBJECT)
        return false;
    while (rf_members_next(&m)) {
        if (rf_members_is(&m, "hash"))
            hash = read_hash(m.value, out->hash);
        else if (rf_members_is(&m, "parentHash"))
            parent = read_hash(m.value, out->parent);
        else if (rf_members_is(&m, "number"))
            number = rf_evm_read_u64(m.value, &out->number);
    }
    return !m.bad && hash && parent && number;
}

bool rf_evm_read_log(struct rpcfan_slice json, struct rf_evm_log *out)
{
    struct rf_members m;
    bool block = false, number = false, index = false;
    out->removed = false;
    out->removed_at = out->removed_len = 0;
    if (rf_members_begin(&m, json) != RF_TOK_OBJECT)
        return false;
    while (rf_members_next(&m)) {
        if (rf_members_is(&m, "blockHash")) {
            block = read_hash(m.value, out->block);
        } else if (rf_members_is(&m, "blockNumber")) {
            number = rf_evm_read_u64(m.value, &out->number);
        } else if (rf_members_is(&m, "logIndex")) {
            index = rf_evm_read_u64(m.value, &out->index);
        } else if (rf_members_is(&m, "removed")) {
            out->removed = m.tok == RF_TOK_TRUE;
            out->removed_at = (size_t)(m.value.data - json.data);
            out->removed_len = m.value.len;
        }
    }
    return !m.bad && block && number && index;
}

static const char digit[] = "0123456789abcdef";

void rf_evm_write_u64(struct rf_buf *b, uint64_t v)
{
    char text[16];
    size_t at = sizeof text;
    do
        text[--at] = digit[v & 15];
    while ((v >>= 4) != 0);
    rf_buf_str(b, "\"0x");
    rf_buf_add(b, text + at, sizeof text - at);
    rf_buf_char(b, '"');
}

void rf_evm_write_hash(struct rf_buf *b, const uint8_t hash[RF_EVM_HASH])
{
    rf_buf_str(b, "\"0x");
    for (size_t i = 0; i < RF_EVM_HASH; i++) {
        rf_buf_char(b, digit[hash[i] >> 4]);
        rf_buf_char(b, digit[hash[i] & 15]);
    }
    rf_buf_char(b, '"');
}

/* A blob of what was written. */
static struct rf_blob *to_blob(struct rf_buf *b)
{
    struct rf_blob *blob = b->failed ? NULL : rf_blob_new(b->len);
    if (blob != NULL && !rf_blob_add(blob, b->data, b->len)) {
        rf_blob_unref(blob);
        blob = NULL;
    }
    rf_buf_fini(b);
    return blob;
}

struct rf_blob *rf_evm_strip(struct rpcfan_slice block)
{
    struct rf_members m;
    struct rf_buf b = {0};
    if (rf_members_begin(&m, block) != RF_TOK_OBJECT)
        return NULL;
    while (rf_members_next(&m)) {
        if (rf_members_is(&m, "transactions") || rf_members_is(&m, "uncles") ||
            rf_members_is(&m, "withdrawals"))
            continue;
        rf_buf_char(&b, b.len == 0 ? '{' : ',');
        rf_buf_char(&b, '"');
        rf_buf_add(&b, m.name.data, m.name.len);
        rf_buf_str(&b, "\":");
        rf_buf_add(&b, m.value.data, m.value.len);
    }
    if (b.len == 0 || m.bad)
        b.failed = true;
    rf_buf_char(&b, '}');
    return to_blob(&b);
}

struct rf_blob *rf_evm_take_back(struct rpcfan_slice log, const struct rf_evm_log *read)
{
    static const char absent[] = "{\"removed\":true,";
    struct rf_buf b = {0};
    if (read->removed_len > 0) {
        rf_buf_add(&b, log.data, read->removed_at);
        rf_buf_str(&b, "true");
        size_t rest = read->removed_at + read->removed_len;
        rf_buf_add(&b, log.data + rest, log.len - rest);
    } else {
        const char *brace = memchr(log.data, '{', log.len);
        if (brace == NULL)
            return NULL;
        rf_buf_str(&b, absent);
        rf_buf_add(&b, brace + 1, log.len - 1 - (size_t)(brace - log.data));
    }
    return to_blob(&b);
}

struct rf_blob *rf_evm_head_replaced(const struct rf_evm_header *h)
{
    struct rf_buf b = {0};
    rf_buf_str(&b, "{\"removed\":true,\"number\":");
    rf_evm_write_u64(&b, h->number);
    rf_buf_str(&b, ",\"hash\":");
    rf_evm_write_hash(&b, h->hash);
    rf_buf_str(&b, ",\"parentHash\":");
    rf_evm_write_hash(&b, h->parent);
    rf_buf_char(&b, '}');
    return to_blob(&b);
}
