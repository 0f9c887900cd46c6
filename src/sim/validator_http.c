/* validator_http.c - calls to the virtual validator, answered as agave answers them, with the
 * errors in its own words; and the ways in which answers about accounts mislead: a slot that is
 * older than the data (agave#4807), keys of two banks in one answer, and plain lies. */
#include <stdio.h>
#include <string.h>

#include "base/base58.h"
#include "sim/node_methods.h"
#include "sim/validator_int.h"

#define HEALTH_DISTANCE 128 /* slots behind that agave calls unhealthy */
#define LIE_SLOTS 8         /* how old a lie is at most, in banks */

bool rf_vhttp_error(struct rf_buf *out, int64_t code, const char *message, const char *data)
{
    rf_node_error(out, code, message, data);
    return true;
}

static bool bad_key(struct rf_buf *out)
{
    return rf_vhttp_error(out, -32602, "Invalid param: WrongSize", NULL);
}

static bool too_long(struct rf_buf *out)
{
    return rf_vhttp_error(out, -32600,
                          "Encoded binary (base 58) data should be less than 128 bytes, please use "
                          "Base64 encoding.",
                          NULL);
}

void rf_vhttp_context(struct rf_buf *out, uint64_t slot)
{
    rf_buf_str(out, "{\"context\":{\"apiVersion\":\"2.2.1\",\"slot\":");
    rf_buf_u64(out, slot);
    rf_buf_str(out, "},\"value\":");
}

/* The bank of a commitment level, as this node sees it. NULL: behind what is wanted. */
static struct rf_bank *bank_for(struct rf_validator *v, uint32_t node, const struct rf_vask *ask,
                                struct rf_buf *out)
{
    char data[48];
    uint64_t slot = rf_vview_slot(&v->node[node], ask->commitment);
    if (ask->min_slot <= slot || rf_vchance(&v->read_rng, v->knobs.floorless))
        return rf_banks_get(&v->banks, slot);
    v->count.behind++;
    snprintf(data, sizeof data, "{\"contextSlot\":%llu}", (unsigned long long)slot);
    rf_vhttp_error(out, -32016, "Minimum context slot has not been reached", data);
    return NULL;
}

struct rf_bank *rf_vhttp_bank(struct rf_validator *v, uint32_t node, const struct rf_vask *ask,
                              uint64_t *said, struct rf_buf *out)
{
    struct rf_bank *bank = bank_for(v, node, ask, out), *up;
    if (bank == NULL)
        return NULL;
    *said = bank->slot;
    if (rf_vchance(&v->read_rng, v->knobs.skew)) {
        up = rf_banks_get(&v->banks, bank->parent);
        if (up != NULL && up->slot >= ask->min_slot) {
            *said = up->slot;
            v->count.skewed++;
        }
    } else if (rf_vchance(&v->read_rng, v->knobs.lie)) {
        v->count.lied++;
        for (uint64_t n = 1 + rf_rng_below(&v->read_rng, LIE_SLOTS); n > 0; n--) {
            up = rf_banks_get(&v->banks, bank->parent);
            bank = up == NULL ? bank : up;
        }
    }
    return bank;
}

/* The bank that the first half of several accounts is read from: an older one where the answer is
 * torn, which is then said to be of that one's slot. */
static struct rf_bank *torn_bank(struct rf_validator *v, struct rf_bank *bank,
                                 const struct rf_vask *ask, uint64_t *said)
{
    struct rf_bank *up = rf_banks_get(&v->banks, bank->parent);
    if (!rf_vchance(&v->read_rng, v->knobs.torn) || up == NULL || up->slot < ask->min_slot ||
        *said != bank->slot)
        return bank;
    *said = up->slot;
    v->count.torn++;
    return up;
}

static enum rf_vwritten put_account(struct rf_validator *v, const struct rf_bank *bank,
                                    const uint8_t id[32], const struct rf_vask *ask,
                                    struct rf_buf *out)
{
    uint32_t key = rf_banks_find(&v->banks, id);
    const struct rf_bank_state *s =
        key == RF_BANK_NONE ? NULL : rf_banks_state(&v->banks, bank, key);
    if (rf_vaccount_there(s) && rf_vchance(&v->read_rng, v->knobs.lie_null)) {
        v->count.lied++;
        s = NULL;
    }
    return rf_vaccount_json(v, key, s, ask, false, out);
}

/* A call under way. */
struct ask {
    struct rf_validator *v;
    uint32_t node;
    struct rpcfan_slice params;
    struct rf_buf *out;
};

static bool read_config(const struct ask *a, unsigned i, struct rf_vask *ask)
{
    const char *bad;
    if (rf_vask_read(a->v, rf_node_param(a->params, i), ask, &bad))
        return true;
    rf_vhttp_error(a->out, -32602, bad, NULL);
    return false;
}

static bool account_info(const struct ask *a)
{
    struct rf_vask ask;
    uint8_t id[32];
    uint64_t said;
    size_t start = a->out->len;
    if (!rf_vkey_read(rf_node_param(a->params, 0), id))
        return bad_key(a->out);
    if (!read_config(a, 1, &ask))
        return true;
    struct rf_bank *bank = rf_vhttp_bank(a->v, a->node, &ask, &said, a->out);
    if (bank == NULL)
        return true;
    rf_vhttp_context(a->out, said);
    if (put_account(a->v, bank, id, &ask, a->out) == RF_VWRITTEN_TOO_LONG) {
        a->out->len = start;
        return too_long(a->out);
    }
    rf_buf_char(a->out, '}');
    return false;
}

/* How many keys there are, all of them good. @return false: the error was appended. */
static bool count_keys(const struct ask *a, uint64_t *n)
{
    struct rf_node_items it;
    struct rpcfan_slice one;
    uint8_t id[32];
    char text[64];
    *n = 0;
    if (!rf_node_items_init(&it, rf_node_param(a->params, 0))) {
        rf_vhttp_error(a->out, -32602, "Invalid params: invalid type, expected a sequence", NULL);
        return false;
    }
    for (; rf_node_items_next(&it, &one); ++*n) {
        if (*n == a->v->knobs.inputs) {
            snprintf(text, sizeof text, "Too many inputs provided; max %llu",
                     (unsigned long long)a->v->knobs.inputs);
            rf_vhttp_error(a->out, -32602, text, NULL);
            return false;
        }
        if (!rf_vkey_read(one, id)) {
            bad_key(a->out);
            return false;
        }
    }
    return true;
}

static bool multiple_accounts(const struct ask *a)
{
    struct rf_vask ask;
    struct rf_node_items it;
    struct rpcfan_slice one;
    uint8_t id[32];
    uint64_t said, n, i = 0;
    size_t start = a->out->len;
    if (!count_keys(a, &n) || !read_config(a, 1, &ask))
        return true;
    if (!ask.has_encoding)
        ask.encoding = RF_VENC_BASE64;
    struct rf_bank *bank = rf_vhttp_bank(a->v, a->node, &ask, &said, a->out);
    if (bank == NULL)
        return true;
    struct rf_bank *first = torn_bank(a->v, bank, &ask, &said);
    rf_vhttp_context(a->out, said);
    rf_buf_char(a->out, '[');
    rf_node_items_init(&it, rf_node_param(a->params, 0));
    for (; rf_node_items_next(&it, &one) && rf_vkey_read(one, id); i++) {
        if (i > 0)
            rf_buf_char(a->out, ',');
        struct rf_bank *of = i < n / 2 ? first : bank;
        if (put_account(a->v, of, id, &ask, a->out) == RF_VWRITTEN_TOO_LONG) {
            a->out->len = start;
            return too_long(a->out);
        }
    }
    rf_buf_str(a->out, "]}");
    return false;
}

static bool balance(const struct ask *a)
{
    struct rf_vask ask;
    uint8_t id[32];
    if (!rf_vkey_read(rf_node_param(a->params, 0), id))
        return bad_key(a->out);
    if (!read_config(a, 1, &ask))
        return true;
    struct rf_bank *bank = bank_for(a->v, a->node, &ask, a->out);
    if (bank == NULL)
        return true;
    uint32_t key = rf_banks_find(&a->v->banks, id);
    const struct rf_bank_state *s =
        key == RF_BANK_NONE ? NULL : rf_banks_state(&a->v->banks, bank, key);
    rf_vhttp_context(a->out, bank->slot);
    rf_buf_u64(a->out, rf_vaccount_there(s) ? s->lamports : 0);
    rf_buf_char(a->out, '}');
    return false;
}

/* What needs nothing of a bank but that it is there. */
static struct rf_bank *any_bank(const struct ask *a)
{
    struct rf_vask ask;
    return read_config(a, 0, &ask) ? bank_for(a->v, a->node, &ask, a->out) : NULL;
}

static bool slot(const struct ask *a)
{
    const struct rf_bank *bank = any_bank(a);
    if (bank == NULL)
        return true;
    rf_buf_u64(a->out, bank->slot);
    return false;
}

static bool block_height(const struct ask *a)
{
    const struct rf_bank *bank = any_bank(a);
    if (bank == NULL)
        return true;
    rf_buf_u64(a->out, bank->height);
    return false;
}

/* Quoted base58 of 32 bytes that two numbers make. */
static void put_hash(struct rf_buf *out, uint64_t x, uint64_t y)
{
    uint64_t word[4] = {rf_vmix(x, y), rf_vmix(x, y + 1), rf_vmix(x, y + 2), rf_vmix(x, y + 3)};
    char text[RF_BASE58_LEN(32)];
    rf_buf_char(out, '"');
    rf_buf_add(out, text, rf_base58_encode(word, sizeof word, text));
    rf_buf_char(out, '"');
}

static bool latest_blockhash(const struct ask *a)
{
    const struct rf_bank *bank = any_bank(a);
    if (bank == NULL)
        return true;
    rf_vhttp_context(a->out, bank->slot);
    rf_buf_str(a->out, "{\"blockhash\":");
    put_hash(a->out, bank->slot, 100);
    rf_buf_str(a->out, ",\"lastValidBlockHeight\":");
    rf_buf_u64(a->out, bank->height + 150);
    rf_buf_str(a->out, "}}");
    return false;
}

static bool genesis(const struct ask *a)
{
    put_hash(a->out, a->v->knobs.start, 200);
    return false;
}

static bool version(const struct ask *a)
{
    rf_buf_str(a->out, "{\"feature-set\":3271415109,\"solana-core\":\"2.2.1\"}");
    return false;
}

static bool health(const struct ask *a)
{
    uint64_t behind = rf_time_sub(a->v->banks.tip, a->v->node[a->node].tip);
    char text[64], data[48];
    if (behind <= HEALTH_DISTANCE) {
        rf_buf_str(a->out, "\"ok\"");
        return false;
    }
    snprintf(text, sizeof text, "Node is behind by %llu slots", (unsigned long long)behind);
    snprintf(data, sizeof data, "{\"numSlotsBehind\":%llu}", (unsigned long long)behind);
    return rf_vhttp_error(a->out, -32005, text, data);
}

static bool program(const struct ask *a)
{
    return rf_vscan_program(a->v, a->node, a->params, a->out);
}

static bool pages(const struct ask *a)
{
    if (a->v->knobs.v2 == 0)
        return rf_vhttp_error(a->out, -32601, "Method not found", NULL);
    return rf_vscan_pages(a->v, a->node, a->params, a->out);
}

static const struct {
    const char *name;
    bool (*answer)(const struct ask *a);
} methods[] = {
    {"getAccountInfo", account_info},
    {"getMultipleAccounts", multiple_accounts},
    {"getProgramAccounts", program},
    {"getProgramAccountsV2", pages},
    {"getBalance", balance},
    {"getSlot", slot},
    {"getBlockHeight", block_height},
    {"getLatestBlockhash", latest_blockhash},
    {"getGenesisHash", genesis},
    {"getVersion", version},
    {"getHealth", health},
};

static size_t method_at(struct rpcfan_slice name)
{
    size_t i = 0;
    while (i < RF_COUNT(methods) && (strlen(methods[i].name) != name.len ||
                                     memcmp(methods[i].name, name.data, name.len) != 0))
        i++;
    return i;
}

bool rf_validator_has(struct rpcfan_slice method)
{
    return method_at(method) < RF_COUNT(methods);
}

void rf_validator_call(struct rf_validator *v, uint32_t node, struct rpcfan_slice method,
                       struct rpcfan_slice params, uint64_t now_ns, struct rf_validator_answer *out)
{
    rf_validator_run(v, now_ns);
    size_t i = method_at(method);
    struct ask a = {v, node < v->knobs.nodes ? node : 0, params, out->json};
    v->count.calls++;
    out->delay_ns = v->knobs.latency_ms * RF_MS;
    if (i == RF_COUNT(methods))
        out->error = rf_vhttp_error(out->json, -32601, "Method not found", NULL);
    else
        out->error = methods[i].answer(&a);
}
