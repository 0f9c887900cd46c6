/* test_core_need.c - what calls need of a node's head and what answers say about it. */
#include "core/need.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "core/call.h"
#include "json/rpc.h"

#define EVM RPCFAN_EVM
#define SOL RPCFAN_SOLANA
#define NONE RF_NEED_NONE, 0
#define TIP RF_NEED_TIP, 0
#define BLOCK(at) RF_NEED_BLOCK, at
#define SLOT(at) RF_NEED_SLOT, at
#define ADDR "\"0x52908400098527886e0f7030069857d2e4169ee7\""
#define HASH "\"0x00000000000000000000000000000000000000000000000000000000000000ff\""

static struct rpcfan_slice slice(const char *text)
{
    return (struct rpcfan_slice){text, text == NULL ? 0 : strlen(text)};
}

struct need_case {
    enum rpcfan_family family;
    const char *method, *params;
    enum rf_need_kind kind;
    uint64_t at;
};

static const struct need_case need_cases[] = {
    /* EVM: the tag, at each place where one stands */
    {EVM, "eth_call", "[{\"to\":" ADDR ",\"data\":\"0x12\"},\"latest\"]", TIP},
    {EVM, "eth_call", "[{\"to\":" ADDR ",\"data\":\"0x]},\\\"0x9\"},\"pending\"]", TIP},
    {EVM, "eth_call", "[{\"to\":" ADDR "}]", TIP},
    {EVM, "eth_call", "[{\"to\":" ADDR "},null]", TIP},
    {EVM, "eth_call", "[{\"to\":" ADDR "},\"0x1b4\",{\"0x00\":{}}]", BLOCK(0x1b4)},
    {EVM, "eth_call", " [ { \"to\" : [ ] } ,\n\t\"0X1B4\" ] ", BLOCK(0x1b4)},
    {EVM, "eth_call", "[{},\"436\"]", BLOCK(436)},
    {EVM, "eth_call", "[{},436]", BLOCK(436)},
    {EVM, "eth_call", "[{},\"safe\"]", NONE},
    {EVM, "eth_call", "[{},\"finalized\"]", NONE},
    {EVM, "eth_call", "[{},\"earliest\"]", NONE},
    {EVM, "eth_call", "[{},{\"blockNumber\":\"0x10\"}]", BLOCK(16)},
    {EVM, "eth_call", "[{},{ \"requireCanonical\" : true , \"blockNumber\" : \"0x10\" }]",
     BLOCK(16)},
    {EVM, "eth_call", "[{},{\"blockHash\":" HASH "}]", NONE},
    {EVM, "eth_call", "[{},{\"blockNumber\":\"latest\"}]", TIP},
    {EVM, "eth_call", "[{},{}]", NONE},
    {EVM, "eth_call", "[{},[]]", NONE},
    {EVM, "eth_call", "[{},true]", NONE},
    {EVM, "eth_call", "{\"to\":\"0x1\"}", NONE},
    {EVM, "eth_call", "[{},\"\\u006catest\"]", NONE},
    {EVM, "eth_call", "[{},\"\"]", NONE},
    {EVM, "eth_call", "[{},\"0x\"]", NONE},
    {EVM, "eth_call", "[{},\"0xffffffffffffffff\"]", BLOCK(UINT64_MAX)},
    {EVM, "eth_call", "[{},\"0x0000000000000010\"]", BLOCK(16)},
    {EVM, "eth_call", "[{},\"0x10000000000000000\"]", NONE},
    {EVM, "eth_call", "[{},18446744073709551615]", BLOCK(UINT64_MAX)},
    {EVM, "eth_call", "[{},18446744073709551616]", NONE},
    {EVM, "eth_call", "[{},1e3]", NONE},
    {EVM, "eth_call", "[{},-1]", NONE},
    {EVM, "eth_call", "[]", TIP},
    {EVM, "eth_call", NULL, TIP},
    {EVM, "eth_getBalance", "[" ADDR ",\"0x5\"]", BLOCK(5)},
    {EVM, "eth_getBalance", "[" ADDR "]", TIP},
    {EVM, "eth_getCode", "[" ADDR ",\"latest\"]", TIP},
    {EVM, "eth_getTransactionCount", "[" ADDR ",\"pending\"]", TIP},
    {EVM, "eth_getStorageAt", "[" ADDR ",\"0x0\",\"0x7\"]", BLOCK(7)},
    {EVM, "eth_getProof", "[" ADDR ",[\"0x0\",\"0x1\"],\"0x7\"]", BLOCK(7)},
    {EVM, "eth_estimateGas", "[{\"from\":" ADDR "}]", TIP},
    {EVM, "eth_createAccessList", "[{},\"0x7\"]", BLOCK(7)},
    {EVM, "eth_getBlockByNumber", "[\"0x7\",false]", BLOCK(7)},
    {EVM, "eth_getBlockByNumber", "[\"latest\",true]", TIP},
    {EVM, "eth_getBlockByNumber", "[\"finalized\",true]", NONE},
    {EVM, "eth_getBlockReceipts", "[\"0x7\"]", BLOCK(7)},
    {EVM, "eth_getBlockReceipts", "[" HASH "]", NONE},
    {EVM, "eth_getBlockReceipts", "[{\"blockHash\":" HASH "}]", NONE},
    {EVM, "eth_getBlockTransactionCountByNumber", "[\"0x7\"]", BLOCK(7)},
    {EVM, "eth_getUncleCountByBlockNumber", "[\"0x7\"]", BLOCK(7)},
    {EVM, "eth_getUncleByBlockNumberAndIndex", "[\"0x7\",\"0x9\"]", BLOCK(7)},
    {EVM, "eth_getTransactionByBlockNumberAndIndex", "[\"0x7\",\"0x9\"]", BLOCK(7)},
    {EVM, "eth_feeHistory", "[\"0x400\",\"0x7\",[25.5,75]]", BLOCK(7)},
    {EVM, "eth_feeHistory", "[4,\"latest\",[]]", TIP},
    {EVM, "trace_block", "[\"0x7\"]", BLOCK(7)},
    {EVM, "trace_call", "[{},[\"trace\"],\"0x7\"]", BLOCK(7)},
    {EVM, "debug_traceBlockByNumber", "[\"0x7\",{\"tracer\":\"callTracer\"}]", BLOCK(7)},
    {EVM, "debug_traceCall", "[{},\"0x7\",{}]", BLOCK(7)},
    /* ranges */
    {EVM, "eth_getLogs", "[{\"fromBlock\":\"0x10\",\"toBlock\":\"0x20\"}]", BLOCK(32)},
    {EVM, "eth_getLogs", "[{\"toBlock\":\"0x20\",\"topics\":[[\"0x1\"],null]}]", BLOCK(32)},
    {EVM, "eth_getLogs", "[{\"fromBlock\":\"0x30\",\"toBlock\":\"0x20\"}]", BLOCK(48)},
    {EVM, "eth_getLogs", "[{\"fromBlock\":\"0x10\",\"toBlock\":\"latest\"}]", TIP},
    {EVM, "eth_getLogs", "[{\"fromBlock\":\"0x10\"}]", TIP},
    {EVM, "eth_getLogs", "[{\"fromBlock\":\"0x10\",\"toBlock\":null}]", TIP},
    {EVM, "eth_getLogs", "[{\"fromBlock\":\"0x10\",\"toBlock\":\"finalized\"}]", BLOCK(16)},
    {EVM, "eth_getLogs", "[{\"fromBlock\":\"earliest\",\"toBlock\":\"0x20\"}]", BLOCK(32)},
    {EVM, "eth_getLogs", "[{\"fromBlock\":\"earliest\",\"toBlock\":\"safe\"}]", NONE},
    {EVM, "eth_getLogs", "[{\"blockHash\":" HASH ",\"address\":" ADDR "}]", NONE},
    {EVM, "eth_getLogs", "[{\"address\":" ADDR ",\"blockHash\":null}]", TIP},
    {EVM, "eth_getLogs", "[{}]", TIP},
    {EVM, "eth_getLogs", "[]", TIP},
    {EVM, "eth_getLogs", "[7]", NONE},
    {EVM, "eth_newFilter", "[{\"fromBlock\":\"0x10\",\"toBlock\":\"0x11\"}]", BLOCK(17)},
    {EVM, "trace_filter", "[{\"fromBlock\":\"0x10\",\"toBlock\":\"0x11\",\"count\":9}]", BLOCK(17)},
    /* without a block parameter */
    {EVM, "eth_blockNumber", "[]", TIP},
    {EVM, "eth_gasPrice", NULL, TIP},
    {EVM, "eth_maxPriorityFeePerGas", "[]", TIP},
    {EVM, "eth_chainId", "[]", NONE},
    {EVM, "eth_getBlockByHash", "[" HASH ",false]", NONE},
    {EVM, "eth_getTransactionReceipt", "[" HASH "]", NONE},
    {EVM, "eth_sendRawTransaction", "[\"0x02\"]", NONE},
    {EVM, "eth_calls", "[{},\"latest\"]", NONE},
    {EVM, "getSlot", "[]", NONE},
    {EVM, "", "[]", NONE},
    /* Solana */
    {SOL, "getAccountInfo", "[\"9x\",{\"encoding\":\"base64\",\"minContextSlot\":77}]", SLOT(77)},
    {SOL, "getSlot", "[{\"minContextSlot\":77,\"commitment\":\"processed\"}]", SLOT(77)},
    {SOL, "sendTransaction", "[\"AQ==\",{\"minContextSlot\": 77 }]", SLOT(77)},
    {SOL, "unheardOf", "[[1,2],{\"x\":{\"y\":[]},\"minContextSlot\":77}]", SLOT(77)},
    {SOL, "getBalance", "[\"9x\",{\"minContextSlot\":null}]", TIP},
    {SOL, "getBalance", "[\"9x\",{\"deep\":{\"minContextSlot\":77}}]", TIP},
    {SOL, "getBalance", "[\"minContextSlot\",\"minContextSlot\"]", TIP},
    {SOL, "getBalance", "[\"9x\"]", TIP},
    {SOL, "getBlock", "[4242,{\"encoding\":\"json\"}]", BLOCK(4242)},
    {SOL, "getBlock", "[]", NONE},
    {SOL, "getBlockTime", "[4242]", BLOCK(4242)},
    {SOL, "getBlockCommitment", "[4242]", BLOCK(4242)},
    {SOL, "getBlocks", "[10,20]", BLOCK(20)},
    {SOL, "getBlocks", "[10]", TIP},
    {SOL, "getBlocks", "[10,{\"commitment\":\"confirmed\"}]", TIP},
    {SOL, "getBlocks", "[10,null,{}]", TIP},
    {SOL, "getBlocksWithLimit", "[10,500]", BLOCK(10)},
    {SOL, "getSlot", NULL, TIP},
    {SOL, "getLatestBlockhash", "[]", TIP},
    {SOL, "getBlockHeight", "[]", TIP},
    {SOL, "getMultipleAccounts", "[[\"a\",\"b\"],{\"encoding\":\"base64\"}]", TIP},
    {SOL, "getProgramAccounts", "[\"9x\",{\"filters\":[{\"dataSize\":165}]}]", TIP},
    {SOL, "getTokenAccountBalance", "[\"9x\"]", TIP},
    {SOL, "getTokenAccountsByOwner", "[\"9x\",{\"mint\":\"a\"},{}]", TIP},
    {SOL, "getSignatureStatuses", "[[\"s\"]]", TIP},
    {SOL, "simulateTransaction", "[\"AQ==\"]", TIP},
    {SOL, "isBlockhashValid", "[\"9x\"]", TIP},
    {SOL, "getTransaction", "[\"s\"]", NONE},
    {SOL, "getGenesisHash", "[]", NONE},
    {SOL, "eth_call", "[{},\"latest\"]", NONE},
    {RPCFAN_GENERIC, "eth_call", "[{},\"0x5\"]", NONE},
    {RPCFAN_GENERIC, "getSlot", "[{\"minContextSlot\":77}]", NONE},
};

static void test_need_of_call(void **state)
{
    (void)state;
    for (size_t i = 0; i < RF_COUNT(need_cases); i++) {
        const struct need_case *c = &need_cases[i];
        struct rf_need need = rf_need_of_call(c->family, slice(c->method), slice(c->params));
        if (need.kind != c->kind || need.at != c->at)
            fail_msg("%s %s: %d %llu, expected %d %llu", c->method, c->params, (int)need.kind,
                     (unsigned long long)need.at, (int)c->kind, (unsigned long long)c->at);
    }
}

#define UNSAID UINT64_MAX

struct said_case {
    enum rpcfan_family family;
    const char *method, *text;
    uint64_t said;
};

typedef bool (*read_fn)(enum rpcfan_family, struct rpcfan_slice, struct rpcfan_slice, uint64_t *);

static bool head_in_error(enum rpcfan_family family, struct rpcfan_slice method,
                          struct rpcfan_slice error, uint64_t *head)
{
    (void)method;
    return rf_need_head_in_error(family, error, head);
}

static bool behind_in_error(enum rpcfan_family family, struct rpcfan_slice method,
                            struct rpcfan_slice error, uint64_t *behind)
{
    (void)method;
    return rf_need_behind_in_error(family, error, behind);
}

static void check_said(read_fn read, const struct said_case *c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t said = UNSAID;
        bool ok = read(c[i].family, slice(c[i].method), slice(c[i].text), &said);
        if (ok != (c[i].said != UNSAID) || (ok && said != c[i].said))
            fail_msg("%s %s: %d %llu", c[i].method, c[i].text, ok, (unsigned long long)said);
    }
}

static void test_head_in_result(void **state)
{
    (void)state;
    static const struct said_case cases[] = {
        {EVM, "eth_blockNumber", "\"0x1b4\"", 0x1b4},
        {EVM, "eth_blockNumber", "436", 436},
        {EVM, "eth_blockNumber", "null", UNSAID},
        {EVM, "eth_blockNumber", "{\"number\":\"0x1\"}", UNSAID},
        {EVM, "eth_blockNumber", NULL, UNSAID},
        {EVM, "eth_gasPrice", "\"0x1b4\"", UNSAID},
        {EVM, "eth_getBlockByNumber", "{\"number\":\"0x1b4\"}", UNSAID},
        {EVM, "eth_syncing", "{\"currentBlock\":\"0x1b4\"}", UNSAID},
        {EVM, "x", "{\"context\":{\"slot\":1},\"value\":2}", UNSAID},
        {SOL, "getSlot", "436", 436},
        {SOL, "getSlot", "0", 0},
        {SOL, "getBlockHeight", "436", UNSAID},
        {SOL, "getBalance", "{\"context\":{\"slot\":436},\"value\":2}", 436},
        {SOL, "x", "{\"context\":{\"apiVersion\":\"2.2.1\",\"slot\":436},\"value\":[]}", 436},
        {SOL, "x", "{\n\"context\" : { \"slot\" : 436 } , \"value\":1}", 436},
        {SOL, "x", "{\"context\":{\"old\":{\"slot\":5},\"slot\":436},\"value\":1}", 436},
        {SOL, "x", "{\"context\":{\"old\":{\"slot\":5}},\"value\":{\"slot\":6}}", UNSAID},
        {SOL, "x", "{\"context\":{},\"slot\":436}", UNSAID},
        {SOL, "x", "{\"context\":{\"slot\":null},\"value\":1}", UNSAID},
        {SOL, "x", "{\"context\":null,\"value\":1}", UNSAID},
        {SOL, "x", "{\"value\":1,\"context\":{\"slot\":436}}", UNSAID},
        {SOL, "x", "[{\"context\":{\"slot\":436}}]", UNSAID},
        {SOL, "x", "{}", UNSAID},
        {SOL, "x", "\"context\"", UNSAID},
        {RPCFAN_GENERIC, "getSlot", "436", UNSAID},
    };
    check_said(rf_need_head_in_result, cases, RF_COUNT(cases));
}

/* A number that the window cuts is not half a number. */
static void test_context_is_read_in_the_first_bytes_only(void **state)
{
    (void)state;
    char text[400];
    for (int pad = 200; pad < 260; pad++) {
        uint64_t head = UNSAID;
        int at =
            snprintf(text, sizeof text, "{\"context\":{\"apiVersion\":\"%0*d\",\"slot\":", pad, 1);
        snprintf(text + at, sizeof text - (size_t)at, "123456},\"value\":1}");
        bool said = rf_need_head_in_result(SOL, slice("x"), slice(text), &head);
        assert_int_equal(said, at + 7 <= 256);
        assert_true(!said || head == 123456);
    }
}

static void test_floor_in_result(void **state)
{
    (void)state;
    static const struct said_case cases[] = {
        {EVM, "eth_getBlockByNumber", "{\"number\":\"0x1b4\"}", 0x1b4},
        {EVM, "eth_getBlockByNumber",
         "{\"hash\":\"0x1\",\"uncles\":[\"number\"],\"transactions\":[{\"number\":\"0x9\"}],"
         "\"number\":\"0x1b4\"}",
         0x1b4},
        {EVM, "eth_getBlockByNumber", "{\"number\":null,\"hash\":null}", UNSAID},
        {EVM, "eth_getBlockByNumber", "null", UNSAID},
        {EVM, "eth_getBlockByNumber", NULL, UNSAID},
        {EVM, "eth_getBlockByHash", "{\"number\":\"0x1b4\"}", UNSAID},
        {SOL, "getBlock", "{\"blockHeight\":7}", UNSAID},
    };
    check_said(rf_need_floor_in_result, cases, RF_COUNT(cases));
}

static void test_head_in_error(void **state)
{
    (void)state;
    static const struct said_case cases[] = {
        {SOL, "",
         "{\"code\":-32016,\"message\":\"Minimum context slot has not been reached\","
         "\"data\":{\"contextSlot\":436}}",
         436},
        {SOL, "", "{\"data\":{\"a\":[],\"contextSlot\":436},\"code\":-32016,\"message\":\"\"}",
         436},
        {SOL, "", "{\"code\":-32016,\"message\":\"rate limit\"}", UNSAID},
        {SOL, "", "{\"code\":-32016,\"message\":\"\",\"data\":436}", UNSAID},
        {SOL, "", "{\"code\":-32005,\"message\":\"\",\"data\":{\"contextSlot\":436}}", UNSAID},
        {SOL, "", "\"Minimum context slot\"", UNSAID},
        {EVM, "", "{\"code\":-32016,\"message\":\"\",\"data\":{\"contextSlot\":436}}", UNSAID},
    };
    check_said(head_in_error, cases, RF_COUNT(cases));
}

static void test_behind_in_error(void **state)
{
    (void)state;
    static const struct said_case cases[] = {
        {SOL, "",
         "{\"code\":-32005,\"message\":\"Node is behind by 42 slots\","
         "\"data\":{\"numSlotsBehind\":42}}",
         42},
        {SOL, "", "{\"code\":-32005,\"message\":\"\",\"data\":{\"numSlotsBehind\":null}}", 0},
        {SOL, "", "{\"code\":-32005,\"message\":\"Too many requests\"}", UNSAID},
        {SOL, "", "{\"code\":-32005,\"message\":\"\",\"data\":{\"see\":\"url\"}}", UNSAID},
        {SOL, "", "{\"code\":-32016,\"message\":\"\",\"data\":{\"numSlotsBehind\":42}}", UNSAID},
        {EVM, "", "{\"code\":-32005,\"message\":\"\",\"data\":{\"numSlotsBehind\":42}}", UNSAID},
    };
    check_said(behind_in_error, cases, RF_COUNT(cases));
}

static void check_probe(enum rpcfan_family family, const char *method, const char *params)
{
    struct rf_buf tail = {0};
    struct rpcfan_slice probe = rf_need_probe_tail(family);
    rf_request_tail(&tail, slice(method), slice(params));
    assert_int_equal(probe.len, tail.len);
    assert_memory_equal(probe.data, tail.data, tail.len);
    assert_memory_equal(probe.data + RF_CALL_METHOD_AT, method, strlen(method));
    rf_buf_fini(&tail);
}

static void test_probe_is_a_tail(void **state)
{
    (void)state;
    check_probe(EVM, "eth_blockNumber", "[]");
    check_probe(SOL, "getSlot", "[{\"commitment\":\"processed\"}]");
    assert_null(rf_need_probe_tail(RPCFAN_GENERIC).data);
    assert_int_equal(rf_need_probe_tail(RPCFAN_GENERIC).len, 0);
}

/* Params of random calls, whose need is known by how they were made. */
static void test_random_params(void **state)
{
    (void)state;
    static const char *const fill[] = {
        "{}",     "\"0x\"",       "[1,[2,{\"a\":\"]\"}]]",
        "null",   "\"\\\"\\\\\"", "{\"blockNumber\":\"0x1\"}",
        "-1.5e9", "\"\xc3\xa9\"", "[]",
        "false",
    };
    static const struct {
        const char *name;
        unsigned index;
    } method[] = {{"eth_getBlockByNumber", 0}, {"eth_call", 1}, {"eth_getProof", 2}};
    struct rf_rng rng;
    rf_rng_init(&rng, 11);
    for (int i = 0; i < 100000; i++) {
        size_t m = rf_rng_below(&rng, RF_COUNT(method));
        uint64_t at = rf_rng_next(&rng) >> rf_rng_below(&rng, 64);
        static const char *const form[] = {"\"0x%llx\"", "%llu",
                                           " { \"blockNumber\" : \"0x%llX\" } "};
        char text[400], number[80];
        size_t f = rf_rng_below(&rng, RF_COUNT(form));
        int len = snprintf(text, sizeof text, "[");
        for (unsigned k = 0; k < method[m].index; k++)
            len += snprintf(text + len, sizeof text - (size_t)len, "%s%s",
                            fill[rf_rng_below(&rng, RF_COUNT(fill))],
                            rf_rng_below(&rng, 2) ? "," : " ,\n");
        snprintf(number, sizeof number, form[f], (unsigned long long)at);
        snprintf(text + len, sizeof text - (size_t)len, "%s%s]", number,
                 rf_rng_below(&rng, 2) ? "" : ",\"latest\"");
        struct rf_need need = rf_need_of_call(EVM, slice(method[m].name), slice(text));
        if (need.kind != RF_NEED_BLOCK || need.at != at)
            fail_msg("%s %s: %d %llu", method[m].name, text, (int)need.kind,
                     (unsigned long long)need.at);
    }
}

/* Whatever the bytes are, nothing outside of them is read (the sanitizers watch: each text has a
 * block of memory of its own size). */
static void test_damaged_texts_are_read_within_their_bounds(void **state)
{
    (void)state;
    static const char alphabet[] = "{}[]\",:\\ 0x1anulmcotes\n";
    struct rf_rng rng;
    rf_rng_init(&rng, 12);
    uint64_t sink = 0, kinds = 0;
    for (int i = 0; i < 200000; i++) {
        const struct need_case *c = &need_cases[rf_rng_below(&rng, RF_COUNT(need_cases))];
        size_t len = slice(c->params).len;
        if (len == 0)
            continue;
        size_t keep = rf_rng_below(&rng, 3) == 0 ? (size_t)rf_rng_below(&rng, len + 1) : len;
        char *text = malloc(keep > 0 ? keep : 1);
        assert_non_null(text);
        memcpy(text, c->params, keep);
        for (uint64_t k = rf_rng_below(&rng, 4); keep > 0 && k > 0; k--)
            text[rf_rng_below(&rng, keep)] = alphabet[rf_rng_below(&rng, sizeof alphabet - 1)];
        struct rpcfan_slice s = {text, keep};
        struct rf_need need = rf_need_of_call(c->family, slice(c->method), s);
        kinds |= UINT64_C(1) << need.kind;
        assert_true(need.at == 0 || need.kind >= RF_NEED_BLOCK);
        rf_need_head_in_result(SOL, slice("getSlot"), s, &sink);
        rf_need_head_in_result(EVM, slice("eth_blockNumber"), s, &sink);
        rf_need_floor_in_result(EVM, slice("eth_getBlockByNumber"), s, &sink);
        rf_need_head_in_error(SOL, s, &sink);
        rf_need_behind_in_error(SOL, s, &sink);
        free(text);
    }
    assert_int_equal(kinds, 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_need_of_call),
        cmocka_unit_test(test_head_in_result),
        cmocka_unit_test(test_context_is_read_in_the_first_bytes_only),
        cmocka_unit_test(test_floor_in_result),
        cmocka_unit_test(test_head_in_error),
        cmocka_unit_test(test_behind_in_error),
        cmocka_unit_test(test_probe_is_a_tail),
        cmocka_unit_test(test_random_params),
        cmocka_unit_test(test_damaged_texts_are_read_within_their_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
