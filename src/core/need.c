/* need.c - two tables of methods (which parameter names a block, which read the tip), and what is
 * read out of their params and results. It gives up where a text is not what it knows. */
#include "core/need.h"

#include <string.h>

#include "json/rpc.h"
#include "json/walk.h"

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
    return rf_walk_number(tag, &need.at) ? need : none;
}

static struct rf_need need_of_block(struct rpcfan_slice value)
{
    struct rpcfan_slice number;
    if (value.len == 0 || *value.data != '{')
        return need_of_tag(value);
    return RF_WALK_MEMBER(value, "blockNumber", &number) ? need_of_tag(number) : none;
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
    struct rf_walk w;
    struct rpcfan_slice name, value;
    struct rf_need from = none, to = tip;
    if (filter.len == 0)
        return tip;
    if (!rf_walk_enter(&w, filter, '{'))
        return none;
    while (rf_walk_name(&w, &name) && rf_walk_value(&w, &value)) {
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
    struct rf_walk w;
    if (params.len > 0 && !rf_walk_enter(&w, params, '['))
        return none;
    struct rpcfan_slice value = rf_walk_at(params, m->index);
    return m->how == HOW_FILTER ? need_of_filter(value) : need_of_block(value);
}

/* minContextSlot in an object that is a parameter. */
static bool read_min_slot(struct rpcfan_slice params, uint64_t *at)
{
    static const char key[] = "\"minContextSlot\"";
    struct rf_walk w;
    struct rpcfan_slice value, number;
    if (params.len == 0 || memmem(params.data, params.len, key, sizeof key - 1) == NULL ||
        !rf_walk_enter(&w, params, '['))
        return false;
    while (rf_walk_element(&w, &value)) {
        if (RF_WALK_MEMBER(value, "minContextSlot", &number) && rf_walk_number(number, at))
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
    if (!rf_walk_number(rf_walk_at(params, 0), &need.at))
        return none;
    if (m->how == HOW_SLOT)
        return need;
    return rf_walk_number(rf_walk_at(params, 1), &last.at) ? greater(need, last) : tip;
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
    struct rf_walk w;
    struct rpcfan_slice name, slot;
    result.len = result.len < CONTEXT_MAX ? result.len : CONTEXT_MAX;
    if (!rf_walk_enter(&w, result, '{') || !rf_walk_name(&w, &name) || !IS(name, "context"))
        return false;
    struct rpcfan_slice rest = {w.p, (size_t)(w.end - w.p)};
    return RF_WALK_MEMBER(rest, "slot", &slot) && rf_walk_number(slot, head);
}

bool rf_need_head_in_result(enum rpcfan_family family, struct rpcfan_slice method,
                            struct rpcfan_slice result, uint64_t *head)
{
    if (result.len == 0)
        return false;
    if (family == RPCFAN_EVM)
        return IS(method, "eth_blockNumber") && rf_walk_number(result, head);
    if (family != RPCFAN_SOLANA)
        return false;
    return *result.data == '{' ? read_context(result, head)
                               : IS(method, "getSlot") && rf_walk_number(result, head);
}

bool rf_need_floor_in_result(enum rpcfan_family family, struct rpcfan_slice method,
                             struct rpcfan_slice result, uint64_t *at)
{
    struct rpcfan_slice number;
    if (family != RPCFAN_EVM || !IS(method, "eth_getBlockByNumber"))
        return false;
    result.len = result.len < BLOCK_MAX ? result.len : BLOCK_MAX;
    return RF_WALK_MEMBER(result, "number", &number) && rf_walk_number(number, at);
}

bool rf_need_head_in_error(enum rpcfan_family family, struct rpcfan_slice error, uint64_t *head)
{
    struct rf_error_text e;
    struct rpcfan_slice slot;
    return family == RPCFAN_SOLANA && rf_error_read(error.data, error.len, &e) && e.has_code &&
           e.code == CODE_MIN_SLOT && RF_WALK_MEMBER(e.data, "contextSlot", &slot) &&
           rf_walk_number(slot, head);
}

bool rf_need_behind_in_error(enum rpcfan_family family, struct rpcfan_slice error, uint64_t *behind)
{
    struct rf_error_text e;
    struct rpcfan_slice slots;
    if (family != RPCFAN_SOLANA || !rf_error_read(error.data, error.len, &e) || !e.has_code ||
        e.code != CODE_BEHIND || !RF_WALK_MEMBER(e.data, "numSlotsBehind", &slots))
        return false;
    if (is_null(slots)) {
        *behind = 0;
        return true;
    }
    return rf_walk_number(slots, behind);
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
