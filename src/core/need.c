/* need.c - two tables of methods (which parameter names a block, which read the tip) and a small
 * walker over JSON that was validated before: it keeps inside its slice whatever it is given, and
 * gives up where a text is not what it knows. */
#include "core/need.h"

#include <string.h>

#include "json/rpc.h"

#define CONTEXT_MAX 256 /* bytes of a result in which the context must stand */
#define BLOCK_MAX 4096  /* bytes of a block in which its number must stand */
#define QUOTE_AND_SIZE(text) (text), sizeof(text) - 1

#define CODE_BEHIND (-32005)
#define CODE_MIN_SLOT (-32016)

/** Where a method says which block it is about. */
enum how {
    HOW_TIP,    /* it does not: the tip */
    HOW_TAG,    /* params[index]: number, tag, or object */
    HOW_FILTER, /* params[index]: {fromBlock, toBlock, blockHash} */
    HOW_SLOT,   /* params[0]: slot number */
    HOW_SLOTS   /* params[0] to params[1], or to the tip */
};

struct method {
    const char *name;
    uint8_t len, how, index;
};

#define METHOD(name, how, index)                                                                   \
    {                                                                                              \
        QUOTE_AND_SIZE(name), how, index                                                           \
    }

static const struct method evm[] = {
    METHOD("eth_call", HOW_TAG, 1),
    METHOD("eth_getBalance", HOW_TAG, 1),
    METHOD("eth_getTransactionCount", HOW_TAG, 1),
    METHOD("eth_blockNumber", HOW_TIP, 0),
    METHOD("eth_getLogs", HOW_FILTER, 0),
    METHOD("eth_getBlockByNumber", HOW_TAG, 0),
    METHOD("eth_getBlockReceipts", HOW_TAG, 0),
    METHOD("eth_getCode", HOW_TAG, 1),
    METHOD("eth_getStorageAt", HOW_TAG, 2),
    METHOD("eth_getProof", HOW_TAG, 2),
    METHOD("eth_getAccount", HOW_TAG, 1),
    METHOD("eth_estimateGas", HOW_TAG, 1),
    METHOD("eth_createAccessList", HOW_TAG, 1),
    METHOD("eth_simulateV1", HOW_TAG, 1),
    METHOD("eth_callMany", HOW_TAG, 1),
    METHOD("eth_gasPrice", HOW_TIP, 0),
    METHOD("eth_maxPriorityFeePerGas", HOW_TIP, 0),
    METHOD("eth_blobBaseFee", HOW_TIP, 0),
    METHOD("eth_feeHistory", HOW_TAG, 1),
    METHOD("eth_newFilter", HOW_FILTER, 0),
    METHOD("eth_getHeaderByNumber", HOW_TAG, 0),
    METHOD("eth_getBlockTransactionCountByNumber", HOW_TAG, 0),
    METHOD("eth_getUncleCountByBlockNumber", HOW_TAG, 0),
    METHOD("eth_getUncleByBlockNumberAndIndex", HOW_TAG, 0),
    METHOD("eth_getTransactionByBlockNumberAndIndex", HOW_TAG, 0),
    METHOD("eth_getRawTransactionByBlockNumberAndIndex", HOW_TAG, 0),
    METHOD("trace_block", HOW_TAG, 0),
    METHOD("trace_call", HOW_TAG, 2),
    METHOD("trace_callMany", HOW_TAG, 1),
    METHOD("trace_filter", HOW_FILTER, 0),
    METHOD("trace_replayBlockTransactions", HOW_TAG, 0),
    METHOD("debug_traceBlockByNumber", HOW_TAG, 0),
    METHOD("debug_traceCall", HOW_TAG, 1),
    METHOD("debug_getRawBlock", HOW_TAG, 0),
    METHOD("debug_getRawHeader", HOW_TAG, 0),
    METHOD("debug_getRawReceipts", HOW_TAG, 0),
};

static const struct method solana[] = {
    METHOD("getAccountInfo", HOW_TIP, 0),
    METHOD("getMultipleAccounts", HOW_TIP, 0),
    METHOD("getBalance", HOW_TIP, 0),
    METHOD("getProgramAccounts", HOW_TIP, 0),
    METHOD("getProgramAccountsV2", HOW_TIP, 0),
    METHOD("getTokenAccountBalance", HOW_TIP, 0),
    METHOD("getTokenAccountsByOwner", HOW_TIP, 0),
    METHOD("getTokenAccountsByOwnerV2", HOW_TIP, 0),
    METHOD("getTokenAccountsByDelegate", HOW_TIP, 0),
    METHOD("getTokenLargestAccounts", HOW_TIP, 0),
    METHOD("getTokenSupply", HOW_TIP, 0),
    METHOD("getSlot", HOW_TIP, 0),
    METHOD("getBlockHeight", HOW_TIP, 0),
    METHOD("getEpochInfo", HOW_TIP, 0),
    METHOD("getSlotLeader", HOW_TIP, 0),
    METHOD("getLatestBlockhash", HOW_TIP, 0),
    METHOD("getRecentBlockhash", HOW_TIP, 0),
    METHOD("isBlockhashValid", HOW_TIP, 0),
    METHOD("getFeeForMessage", HOW_TIP, 0),
    METHOD("getRecentPrioritizationFees", HOW_TIP, 0),
    METHOD("getSignatureStatuses", HOW_TIP, 0),
    METHOD("getSignaturesForAddress", HOW_TIP, 0),
    METHOD("getTransactionCount", HOW_TIP, 0),
    METHOD("simulateTransaction", HOW_TIP, 0),
    METHOD("getBlock", HOW_SLOT, 0),
    METHOD("getConfirmedBlock", HOW_SLOT, 0),
    METHOD("getBlockTime", HOW_SLOT, 0),
    METHOD("getBlockCommitment", HOW_SLOT, 0),
    METHOD("getBlocksWithLimit", HOW_SLOT, 0),
    METHOD("getBlocks", HOW_SLOTS, 0),
};

static const struct rf_need none = {RF_NEED_NONE, 0}, tip = {RF_NEED_TIP, 0};

static bool is(struct rpcfan_slice s, const char *text, size_t len)
{
    return s.len == len && memcmp(s.data, text, len) == 0;
}

#define IS(slice, text) is(slice, QUOTE_AND_SIZE(text))

static const struct method *find(const struct method *m, size_t n, struct rpcfan_slice name)
{
    for (size_t i = 0; i < n; i++) {
        if (is(name, m[i].name, m[i].len))
            return &m[i];
    }
    return NULL;
}

/* A place in an array or object, or in front of one. */
struct walk {
    const char *p, *end;
};

static void skip_space(struct walk *w)
{
    while (w->p < w->end && (unsigned char)*w->p <= ' ')
        w->p++;
}

/* From the opening quote to behind the closing one: the first with an even number of backslashes
 * before it. */
static bool skip_string(struct walk *w)
{
    const char *quote;
    while ((quote = memchr(w->p + 1, '"', (size_t)(w->end - w->p - 1))) != NULL) {
        const char *text = quote;
        while (text[-1] == '\\')
            text--;
        w->p = quote;
        if ((quote - text) % 2 == 0) {
            w->p++;
            return true;
        }
    }
    w->p = w->end;
    return false;
}

static bool skip_nest(struct walk *w)
{
    size_t depth = 0;
    while (w->p < w->end) {
        char c = *w->p;
        if (c == '"') {
            if (!skip_string(w))
                return false;
            continue;
        }
        w->p++;
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            return true;
    }
    return false;
}

/* A number or a literal. It must be followed by something: at the end of what may be looked at, it
 * may be cut. */
static bool skip_scalar(struct walk *w)
{
    const char *begin = w->p;
    while (w->p < w->end && memchr(",]}: \n\r\t", *w->p, 8) == NULL)
        w->p++;
    return w->p > begin && w->p < w->end;
}

static bool take_value(struct walk *w, struct rpcfan_slice *out)
{
    if (w->p == w->end)
        return false;
    const char *begin = w->p;
    bool ok;
    if (*begin == '"')
        ok = skip_string(w);
    else if (*begin == '{' || *begin == '[')
        ok = skip_nest(w);
    else
        ok = skip_scalar(w);
    *out = (struct rpcfan_slice){begin, (size_t)(w->p - begin)};
    return ok;
}

/* Step into an array or object. @return false where the text is something else. */
static bool enter(struct walk *w, struct rpcfan_slice text, char open)
{
    if (text.len == 0)
        return false;
    w->p = text.data;
    w->end = text.data + text.len;
    skip_space(w);
    return w->p < w->end && *w->p++ == open;
}

/* The next element; false at the end and where the text ends early. */
static bool next_element(struct walk *w, struct rpcfan_slice *value)
{
    skip_space(w);
    if (w->p < w->end && *w->p == ',') {
        w->p++;
        skip_space(w);
    }
    return w->p < w->end && *w->p != ']' && *w->p != '}' && take_value(w, value);
}

/* Step to the next key and over its colon. The name is left without its quotes. */
static bool next_name(struct walk *w, struct rpcfan_slice *name)
{
    if (!next_element(w, name) || name->len < 2 || *name->data != '"')
        return false;
    name->data++;
    name->len -= 2;
    skip_space(w);
    if (w->p == w->end || *w->p++ != ':')
        return false;
    skip_space(w);
    return true;
}

/* A member's value in an object; false where it is absent. */
static bool find_member(struct rpcfan_slice object, const char *key, size_t len,
                        struct rpcfan_slice *value)
{
    struct walk w;
    struct rpcfan_slice name;
    if (!enter(&w, object, '{'))
        return false;
    while (next_name(&w, &name) && take_value(&w, value)) {
        if (is(name, key, len))
            return true;
    }
    return false;
}

#define MEMBER(object, key, value) find_member(object, QUOTE_AND_SIZE(key), value)

/* An element of the params; len 0: absent. */
static struct rpcfan_slice param_at(struct rpcfan_slice params, unsigned index)
{
    struct walk w;
    struct rpcfan_slice value = {NULL, 0};
    bool there = enter(&w, params, '[');
    for (unsigned i = 0; there && i <= index; i++)
        there = next_element(&w, &value);
    return there ? value : (struct rpcfan_slice){NULL, 0};
}

/* Digits of a base that fit 64 bits, all of them. */
static bool read_digits(const char *s, size_t len, unsigned base, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned c = (unsigned char)s[i], d = c - '0';
        if (d > 9 && base == 16)
            d = (c | 0x20) - 'a' < 6 ? (c | 0x20) - 'a' + 10 : base;
        if (d >= base || v > (UINT64_MAX - d) / base)
            return false;
        v = v * base + d;
    }
    *out = v;
    return len > 0;
}

/* "0x1b4", 436 or "436". Longer than 64 bits in hex is a hash, with leading zeros too. */
static bool read_number(struct rpcfan_slice s, uint64_t *out)
{
    if (s.len >= 2 && *s.data == '"') {
        s.data++;
        s.len -= 2;
    }
    if (s.len > 2 && s.data[0] == '0' && (s.data[1] | 0x20) == 'x')
        return s.len <= 18 && read_digits(s.data + 2, s.len - 2, 16, out);
    return read_digits(s.data, s.len, 10, out);
}

static bool is_null(struct rpcfan_slice s)
{
    return s.len == 0 || *s.data == 'n';
}

/* A block parameter: a tag or a number. */
static struct rf_need need_of_tag(struct rpcfan_slice tag)
{
    struct rf_need need = {RF_NEED_BLOCK, 0};
    if (is_null(tag) || IS(tag, "\"latest\"") || IS(tag, "\"pending\""))
        return tip;
    return read_number(tag, &need.at) ? need : none;
}

static struct rf_need need_of_block(struct rpcfan_slice value)
{
    struct rpcfan_slice number;
    if (value.len == 0 || *value.data != '{')
        return need_of_tag(value);
    return MEMBER(value, "blockNumber", &number) ? need_of_tag(number) : none;
}

/* The one that asks for more. */
static struct rf_need greater(struct rf_need a, struct rf_need b)
{
    if (a.kind == RF_NEED_TIP || b.kind == RF_NEED_NONE)
        return a;
    if (b.kind == RF_NEED_TIP || a.kind == RF_NEED_NONE)
        return b;
    return a.at >= b.at ? a : b;
}

static struct rf_need need_of_filter(struct rpcfan_slice filter)
{
    struct walk w;
    struct rpcfan_slice name, value;
    struct rf_need from = none, to = tip;
    if (filter.len == 0)
        return tip;
    if (!enter(&w, filter, '{'))
        return none;
    while (next_name(&w, &name) && take_value(&w, &value)) {
        if (IS(name, "blockHash") && !is_null(value))
            return none;
        if (IS(name, "fromBlock") && !is_null(value))
            from = need_of_tag(value);
        if (IS(name, "toBlock"))
            to = need_of_tag(value);
    }
    return greater(from, to);
}

static struct rf_need need_of_evm(struct rpcfan_slice method, struct rpcfan_slice params)
{
    const struct method *m = find(evm, RF_COUNT(evm), method);
    if (m == NULL)
        return none;
    if (m->how == HOW_TIP)
        return tip;
    struct walk w;
    if (params.len > 0 && !enter(&w, params, '['))
        return none;
    struct rpcfan_slice value = param_at(params, m->index);
    return m->how == HOW_FILTER ? need_of_filter(value) : need_of_block(value);
}

/* minContextSlot in an object that is a parameter. */
static bool read_min_slot(struct rpcfan_slice params, uint64_t *at)
{
    static const char key[] = "\"minContextSlot\"";
    struct walk w;
    struct rpcfan_slice value, number;
    if (params.len == 0 || memmem(params.data, params.len, key, sizeof key - 1) == NULL ||
        !enter(&w, params, '['))
        return false;
    while (next_element(&w, &value)) {
        if (MEMBER(value, "minContextSlot", &number) && read_number(number, at))
            return true;
    }
    return false;
}

static struct rf_need need_of_solana(struct rpcfan_slice method, struct rpcfan_slice params)
{
    struct rf_need need = {RF_NEED_SLOT, 0}, last = {RF_NEED_BLOCK, 0};
    if (read_min_slot(params, &need.at))
        return need;
    const struct method *m = find(solana, RF_COUNT(solana), method);
    if (m == NULL)
        return none;
    if (m->how == HOW_TIP)
        return tip;
    need.kind = RF_NEED_BLOCK;
    if (!read_number(param_at(params, 0), &need.at))
        return none;
    if (m->how == HOW_SLOT)
        return need;
    return read_number(param_at(params, 1), &last.at) ? greater(need, last) : tip;
}

struct rf_need rf_need_of_call(enum rpcfan_family family, struct rpcfan_slice method,
                               struct rpcfan_slice params)
{
    if (family == RPCFAN_EVM)
        return need_of_evm(method, params);
    if (family == RPCFAN_SOLANA)
        return need_of_solana(method, params);
    return none;
}

/* `{"context":{..."slot":N`, in the first bytes. */
static bool read_context(struct rpcfan_slice result, uint64_t *head)
{
    struct walk w;
    struct rpcfan_slice name, slot;
    result.len = result.len < CONTEXT_MAX ? result.len : CONTEXT_MAX;
    if (!enter(&w, result, '{') || !next_name(&w, &name) || !IS(name, "context"))
        return false;
    struct rpcfan_slice rest = {w.p, (size_t)(w.end - w.p)};
    return MEMBER(rest, "slot", &slot) && read_number(slot, head);
}

bool rf_need_head_in_result(enum rpcfan_family family, struct rpcfan_slice method,
                            struct rpcfan_slice result, uint64_t *head)
{
    if (result.len == 0)
        return false;
    if (family == RPCFAN_EVM)
        return IS(method, "eth_blockNumber") && read_number(result, head);
    if (family != RPCFAN_SOLANA)
        return false;
    return *result.data == '{' ? read_context(result, head)
                               : IS(method, "getSlot") && read_number(result, head);
}

bool rf_need_floor_in_result(enum rpcfan_family family, struct rpcfan_slice method,
                             struct rpcfan_slice result, uint64_t *at)
{
    struct rpcfan_slice number;
    if (family != RPCFAN_EVM || !IS(method, "eth_getBlockByNumber"))
        return false;
    result.len = result.len < BLOCK_MAX ? result.len : BLOCK_MAX;
    return MEMBER(result, "number", &number) && read_number(number, at);
}

bool rf_need_head_in_error(enum rpcfan_family family, struct rpcfan_slice error, uint64_t *head)
{
    struct rf_error_text e;
    struct rpcfan_slice slot;
    return family == RPCFAN_SOLANA && rf_error_read(error.data, error.len, &e) && e.has_code &&
           e.code == CODE_MIN_SLOT && MEMBER(e.data, "contextSlot", &slot) &&
           read_number(slot, head);
}

bool rf_need_behind_in_error(enum rpcfan_family family, struct rpcfan_slice error, uint64_t *behind)
{
    struct rf_error_text e;
    struct rpcfan_slice slots;
    if (family != RPCFAN_SOLANA || !rf_error_read(error.data, error.len, &e) || !e.has_code ||
        e.code != CODE_BEHIND || !MEMBER(e.data, "numSlotsBehind", &slots))
        return false;
    if (is_null(slots)) {
        *behind = 0;
        return true;
    }
    return read_number(slots, behind);
}

struct rpcfan_slice rf_need_probe_tail(enum rpcfan_family family)
{
    static const char ask_evm[] = "\"method\":\"eth_blockNumber\",\"params\":[]}";
    static const char ask_solana[] =
        "\"method\":\"getSlot\",\"params\":[{\"commitment\":\"processed\"}]}";
    if (family == RPCFAN_EVM)
        return (struct rpcfan_slice){QUOTE_AND_SIZE(ask_evm)};
    if (family == RPCFAN_SOLANA)
        return (struct rpcfan_slice){QUOTE_AND_SIZE(ask_solana)};
    return (struct rpcfan_slice){NULL, 0};
}
