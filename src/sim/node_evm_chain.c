/* node_evm_chain.c - blocks, versions of blocks, logs. Called by node_evm.c and node_ws_evm.c.
 * Pure.
 *
 * A hash is made by steps that can be undone, so a block is found by its hash without a table. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "sim/node_evm.h"

#define BLOCK_SECONDS 12
#define GENESIS_SECONDS UINT64_C(1600000000)
#define VERSION_STEP UINT64_C(0xd6e8feb86659fd93)
#define LOG_SALT 5000 /* logs of a block are apart by so much and more */

/* The numbers of rf_node_mix(). */
#define MIX_SALT UINT64_C(0x9e3779b97f4a7c15)
#define MIX_ADD UINT64_C(0x632be59bd9b4e019)
#define MIX_1 UINT64_C(0xbf58476d1ce4e5b9)
#define MIX_2 UINT64_C(0x94d049bb133111eb)

void rf_node_evm_key_hex(struct rf_buf *out, const char *key, struct rf_node_digest d,
                         uint64_t salt, unsigned n)
{
    rf_buf_str(out, key);
    rf_buf_char(out, '"');
    rf_node_hex(out, d, salt, n);
    rf_buf_char(out, '"');
}

void rf_node_evm_key_quantity(struct rf_buf *out, const char *key, uint64_t v)
{
    rf_buf_str(out, key);
    rf_node_quantity(out, v);
}

bool rf_node_evm_is_hex(struct rpcfan_slice s, size_t bytes)
{
    if (s.len < 4 || s.len % 2 != 0 || s.data[0] != '"' || s.data[1] != '0' || s.data[2] != 'x')
        return false;
    for (size_t i = 3; i + 1 < s.len; i++)
        if (!isxdigit((unsigned char)s.data[i]))
            return false;
    return bytes == 0 || s.len == 2 * bytes + 4;
}

bool rf_node_evm_is_address(struct rpcfan_slice s)
{
    if (s.len < 4 || s.len > 44 || memcmp(s.data, "\"0x", 3) != 0)
        return false;
    for (size_t i = 3; i + 1 < s.len; i++)
        if (!isxdigit((unsigned char)s.data[i]))
            return false;
    return true;
}

/* The first reorganisation that replaces block `n`; they are numbered from 1. */
static uint64_t first_reorg(const struct rf_node_chain *chain, uint64_t n)
{
    return n < chain->base ? 1 : (n - chain->base) / chain->reorg_every + 1;
}

uint64_t rf_node_evm_version(const struct rf_node_chain *chain, uint64_t n)
{
    if (chain->reorg_depth == 0)
        return 0;
    uint64_t reach = rf_min_u64(chain->head, rf_time_add(n, chain->reorg_depth));
    uint64_t last = rf_time_sub(reach, chain->base) / chain->reorg_every;
    uint64_t first = first_reorg(chain, n);
    return last < first ? 0 : last - first + 1;
}

uint64_t rf_node_evm_replaced(const struct rf_node_chain *chain, uint64_t head)
{
    if (chain->reorg_depth == 0 || head <= chain->base ||
        (head - chain->base) % chain->reorg_every != 0)
        return 0;
    return rf_min_u64(chain->reorg_depth, head);
}

/* The head at which a version of a block was made. */
static uint64_t made_at(const struct rf_node_chain *chain, uint64_t n, uint64_t version)
{
    return version == 0 ? n
                        : chain->base + (first_reorg(chain, n) + version - 1) * chain->reorg_every;
}

struct rf_node_digest rf_node_evm_digest(const struct rf_node_chain *chain, uint64_t n,
                                         uint64_t version)
{
    struct rf_node_digest d = {rf_node_mix(chain->chain_id + version * VERSION_STEP, n), 0};
    d.b = rf_node_mix(d.a, 1);
    return d;
}

/* The inverse of an odd number modulo 2^64: each step doubles the digits that are right. */
static uint64_t inverse(uint64_t odd)
{
    uint64_t x = odd;
    for (unsigned i = 0; i < 6; i++)
        x *= 2 - odd * x;
    return x;
}

static uint64_t unshift(uint64_t z, unsigned by)
{
    uint64_t x = z;
    for (unsigned done = by; done < 64; done += by)
        x = z ^ (x >> by);
    return x;
}

/* What rf_node_mix() was given: x + salt * MIX_SALT. */
static uint64_t unmix(uint64_t z)
{
    z = unshift(z, 31) * inverse(MIX_2);
    z = unshift(z, 27) * inverse(MIX_1);
    return unshift(z, 30) - MIX_ADD;
}

static bool has_hash(struct rf_node_digest d, struct rpcfan_slice hash)
{
    struct rf_buf text = {0};
    rf_node_evm_key_hex(&text, "", d, 0, 32);
    bool same = !text.failed && text.len == hash.len;
    for (size_t i = 0; same && i < text.len; i++)
        same = tolower((unsigned char)hash.data[i]) == text.data[i];
    rf_buf_fini(&text);
    return same;
}

static unsigned hex_digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
}

bool rf_node_evm_find(const struct rf_node_chain *chain, struct rpcfan_slice hash, uint64_t *n,
                      uint64_t *version)
{
    if (!rf_node_evm_is_hex(hash, 32))
        return false;
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++)
        word |= (uint64_t)(hex_digit(hash.data[3 + 2 * i]) << 4 | hex_digit(hash.data[4 + 2 * i]))
                << 8 * i;
    uint64_t sum = unmix(unmix(word));
    for (*version = 0; *version <= chain->reorg_depth; ++*version) {
        *n = (sum - chain->chain_id - *version * VERSION_STEP) * inverse(MIX_SALT);
        if (*n <= chain->head && *version <= rf_node_evm_version(chain, *n))
            return has_hash(rf_node_evm_digest(chain, *n, *version), hash);
    }
    return false;
}

unsigned rf_node_evm_transactions(const struct rf_node_chain *chain, uint64_t n, uint64_t version)
{
    return chain->logs > 0 ? chain->logs /* one each */
                           : (unsigned)(rf_node_evm_digest(chain, n, version).a % 4);
}

void rf_node_evm_transaction_hash(const struct rf_node_chain *chain, uint64_t n, uint64_t version,
                                  unsigned i, struct rf_buf *out)
{
    rf_node_evm_key_hex(out, "", rf_node_evm_digest(chain, n, version), 100 + i, 32);
}

void rf_node_evm_block(const struct rf_node_chain *chain, uint64_t n, uint64_t version,
                       bool transactions, struct rf_buf *out)
{
    struct rf_node_digest d = rf_node_evm_digest(chain, n, version);
    struct rf_node_chain then = *chain;
    then.head = made_at(chain, n, version);
    uint64_t parent = n == 0 ? 0 : rf_node_evm_version(&then, n - 1);
    rf_node_evm_key_quantity(out, "{\"number\":", n);
    rf_node_evm_key_hex(out, ",\"hash\":", d, 0, 32);
    rf_node_evm_key_hex(out, ",\"parentHash\":", rf_node_evm_digest(chain, n - 1, parent), 0, 32);
    rf_node_evm_key_quantity(out, ",\"timestamp\":", GENESIS_SECONDS + n * BLOCK_SECONDS);
    rf_node_evm_key_quantity(out, ",\"gasLimit\":", 30000000);
    rf_node_evm_key_quantity(out, ",\"gasUsed\":", d.a % 30000000);
    rf_node_evm_key_quantity(out, ",\"baseFeePerGas\":", 1000000000 + d.b % 1000000000);
    rf_node_evm_key_hex(out, ",\"miner\":", d, 7, 20);
    rf_node_evm_key_hex(out, ",\"stateRoot\":", d, 40, 32);
    if (transactions) {
        rf_buf_str(out, ",\"transactions\":[");
        for (unsigned i = 0; i < rf_node_evm_transactions(chain, n, version); i++)
            rf_node_evm_key_hex(out, i > 0 ? "," : "", d, 100 + i, 32);
        rf_buf_char(out, ']');
    }
    rf_buf_char(out, '}');
}

unsigned rf_node_evm_log_count(const struct rf_node_chain *chain, uint64_t n, uint64_t version)
{
    /* Every fourth block or so holds one, whatever range it is asked for in: so the pieces of a
     * range come to the same as the whole. */
    return chain->logs > 0 ? chain->logs : rf_node_evm_digest(chain, n, version).a % 4 == 0;
}

/* Whether a filter's place takes in a value: absent, null, the value, or an array that has it. */
static bool takes_in(struct rpcfan_slice want, const char *value)
{
    struct rpcfan_slice item;
    struct rf_node_items it;
    if (want.len == 0 || want.data[0] == 'n')
        return true;
    if (want.data[0] == '"')
        return want.len == strlen(value) && strncasecmp(want.data, value, want.len) == 0;
    bool any = true, found = false;
    rf_node_items_init(&it, want);
    while (rf_node_items_next(&it, &item)) {
        any = false;
        found = found || takes_in(item, value);
    }
    return any || found; /* an empty array is no condition */
}

/* With a `logs` line: addresses 0x..01 up, topics 0x..01 up, and filters as they are meant. */
static bool placed_log(const struct rf_node_chain *chain, const struct rf_node_evm_filter *filter,
                       struct rf_node_digest d, struct rf_buf *out)
{
    char address[45], topic[69];
    struct rpcfan_slice second = rf_node_param(filter->topics, 1);
    snprintf(address, sizeof address, "\"0x%040llx\"",
             (unsigned long long)(d.a % chain->log_addresses + 1));
    snprintf(topic, sizeof topic, "\"0x%064llx\"",
             (unsigned long long)(d.b % chain->log_topics + 1));
    struct rf_buf value = {0};
    rf_node_evm_key_hex(&value, "", d, 300, 32);
    rf_buf_char(&value, '\0');
    bool good = !value.failed && takes_in(filter->address, address) &&
                takes_in(rf_node_param(filter->topics, 0), topic) && takes_in(second, value.data) &&
                rf_node_param(filter->topics, 2).len == 0;
    if (good)
        rf_buf_printf(out, ",\"address\":%s,\"topics\":[%s,%s]", address, topic, value.data);
    rf_buf_fini(&value);
    return good;
}

bool rf_node_evm_log(const struct rf_node_chain *chain, const struct rf_node_evm_filter *filter,
                     uint64_t n, unsigned i, bool removed, struct rf_buf *out)
{
    struct rf_node_digest block = rf_node_evm_digest(chain, n, rf_node_evm_version(chain, n)),
                          d = block;
    bool placed = chain->logs > 0;
    size_t start = out->len;
    rf_node_evm_key_quantity(out, "{\"blockNumber\":", n);
    rf_node_evm_key_hex(out, ",\"blockHash\":", block, 0, 32);
    rf_node_evm_key_hex(out, ",\"transactionHash\":", block, 100 + i, 32);
    rf_node_evm_key_quantity(out, ",\"transactionIndex\":", placed ? i : d.a % 200);
    rf_node_evm_key_quantity(out, ",\"logIndex\":", placed ? i : d.b % 400);
    if (placed) {
        d.a = rf_node_mix(d.a, LOG_SALT + i);
        d.b = rf_node_mix(d.a, 1);
        if (!placed_log(chain, filter, d, out)) {
            out->len = start;
            return false;
        }
    } else {
        rf_buf_str(out, ",\"address\":");
        if (rf_node_evm_is_address(filter->address))
            rf_buf_add(out, filter->address.data, filter->address.len);
        else
            rf_node_evm_key_hex(out, "", d, 5, 20);
        rf_node_evm_key_hex(out, ",\"topics\":[", d, 300, 32);
        rf_buf_char(out, ']');
    }
    rf_node_evm_key_hex(out, ",\"data\":", d, 400, 32);
    rf_buf_str(out, removed ? ",\"removed\":true}" : ",\"removed\":false}");
    return true;
}
