/* test_core_gather.c - getAccountInfo calls that wait together are asked by one
 * getMultipleAccounts: which ones, when, and what each of them gets, whatever becomes of the
 * request. Virtual time. */
#include "core_case.h"

#include <stdlib.h>

#include "base/base58.h"
#include "core/gather.h"
#include "json/walk.h"

#define ONE "getAccountInfo"
#define MANY "getMultipleAccounts"
#define BASE64 "{\"encoding\":\"base64\"}"

/* The address of number `i`. */
static void key_of(uint64_t i, char *out)
{
    uint8_t bytes[32] = {1, 2, 3};
    memcpy(bytes + 8, &i, sizeof i);
    out[rf_base58_encode(bytes, sizeof bytes, out)] = '\0';
}

static struct rf_vcall *ask(struct bench *b, uint64_t i, const char *options, uint64_t life_ns)
{
    char key[64], params[400];
    key_of(i, key);
    snprintf(params, sizeof params, "[\"%s\",%s]", key, options);
    return bench_ask(b, 0, ONE, params, life_ns);
}

static void ask_many(struct bench *b, uint32_t n, const char *options, uint64_t life_ns)
{
    for (uint32_t i = 0; i < n; i++)
        (void)ask(b, i, options, life_ns);
}

static void init(struct bench *b, uint32_t n_ep, uint64_t seed)
{
    bench_init(b, n_ep, seed);
    b->net[0].family = RPCFAN_SOLANA;
    b->net[0].gather = 1;
}

static void start(struct bench *b, uint32_t n_ep, uint64_t seed)
{
    init(b, n_ep, seed);
    bench_start(b);
}

static void finish(struct bench *b)
{
    bench_run(b, 120 * RF_SEC);
    assert_int_equal(bench_net(b, 0)->gathers.n, 0);
    bench_fini(b);
}

static uint32_t keys_in(const struct rf_call *c)
{
    struct rf_walk w;
    struct rpcfan_slice key, keys = rf_walk_at(rf_call_params(c), 0);
    uint32_t n = 0;
    if (!rf_walk_enter(&w, keys, '['))
        return 0;
    while (rf_walk_element(&w, &key))
        n++;
    return n;
}

static bool holds(const struct rf_call *c, uint64_t key)
{
    char text[64];
    key_of(key, text);
    return memmem(c->tail, c->tail_len, text, strlen(text)) != NULL;
}

/* --- which calls, and when -------------------------------------------------------------------- */

static void test_gather_asks_once(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 1, 1);
    ask_many(&b, 100, BASE64, 5 * RF_SEC);
    bench_run(&b, RF_SEC);
    assert_int_equal(b.ok, 100);
    assert_int_equal(b.exchanges, 1);
    assert_int_equal(b.sent[0], 1);
    assert_int_equal(bench_net(&b, 0)->gathered, 100);
    assert_int_equal(bench_net(&b, 0)->answered, 100);
    (void)ask(&b, 7, BASE64, RF_SEC); /* nobody to go with */
    bench_run(&b, RF_SEC);
    assert_int_equal(b.exchanges, 2);
    assert_int_equal(bench_net(&b, 0)->gathered, 100);
    finish(&b);
}

static void test_gather_is_off_by_default(void **state)
{
    (void)state;
    struct bench b;
    init(&b, 1, 1);
    b.net[0].gather = 0;
    bench_start(&b);
    ask_many(&b, 10, BASE64, 5 * RF_SEC);
    bench_run(&b, RF_SEC);
    assert_int_equal(b.exchanges, 10);
    finish(&b);
}

static void test_gather_is_for_solana(void **state)
{
    (void)state;
    struct bench b;
    struct rpcfan_error err;
    struct rf_core *core;
    init(&b, 1, 1);
    b.net[0].family = RPCFAN_EVM;
    assert_int_equal(rf_core_new(&b.o, 1, 0, NULL, &core, &err), RPCFAN_ECONFIG);
    assert_string_equal(err.text, "network net1: gather is for networks of the family solana");
}

static void test_gather_forms_a_leg_for_each_hundred(void **state)
{
    (void)state;
    struct bench b;
    init(&b, 1, 1);
    b.ep[0].batch = 10;
    bench_start(&b);
    ask_many(&b, 250, BASE64, 5 * RF_SEC);
    bench_run(&b, RF_SEC);
    assert_int_equal(b.ok, 250);
    assert_int_equal(b.exchanges, 1); /* a batch of three */
    assert_int_equal(b.sent[0], 3);
    finish(&b);
}

/* Each of these goes by itself, though there are two of it. */
static void test_gather_only_what_is_safe(void **state)
{
    (void)state;
    static const char *const alone[] = {
        "[\"%s\"]",                                 /* base58 here, base64 there */
        "[\"%s\",{}]",                              /* likewise */
        "[\"%s\",{\"commitment\":\"confirmed\"}]",  /* likewise */
        "[\"%s\",{\"encoding\":null}]",             /* likewise */
        "[\"%s\",null]",                            /* likewise */
        "[\"%s\",\"base64\"]",                      /* no options */
        "[\"%s\",{\"encoding\":\"base64\"},1]",     /* more than there is */
        "[\"x%s\",{\"encoding\":\"base64\"}]",      /* no key */
        "[\"1\",{\"encoding\":\"base64\"},\"%s\"]", /* no key */
        "[\"11111111111111111111111111111111\\u0031\",{\"encoding\":\"base64\"},\"%s\"]",
        "[[\"%s\"],{\"encoding\":\"base64\"}]",
        "{\"pubkey\":\"%s\"}",
    };
    struct bench b;
    start(&b, 1, 1);
    for (size_t i = 0; i < RF_COUNT(alone); i++) {
        for (uint64_t k = 0; k < 2; k++) {
            char key[64], params[400];
            key_of(k, key);
            snprintf(params, sizeof params, alone[i], key);
            bench_ask(&b, 0, ONE, params, 5 * RF_SEC);
        }
    }
    for (uint64_t k = 0; k < 2; k++)
        ask(&b, k, BASE64, 5 * RF_SEC)->call.policy = RPCFAN_FIRST;
    bench_run(&b, RF_SEC);
    assert_int_equal(b.exchanges, 2 * RF_COUNT(alone) + 2);
    assert_int_equal(bench_net(&b, 0)->gathered, 0);
    finish(&b);
}

/* Options are equal by what they say and not by how they are written. */
static void test_gather_by_equal_options(void **state)
{
    (void)state;
    static const char *const options[] = {
        "{\"encoding\":\"base64\",\"commitment\":\"confirmed\"}",
        "{\"commitment\":\"confirmed\",\"encoding\":\"base64\"}",
        "{\"encoding\":\"base64\",\"minContextSlot\":10}",
        "{\"encoding\":\"base64\",\"minContextSlot\":1.0e1}",
        "{\"encoding\":\"base64\",\"minContextSlot\":11}",
        "{\"encoding\":\"base64\",\"dataSlice\":{\"offset\":0,\"length\":8}}",
        "{\"encoding\":\"base64\",\"dataSlice\":{\"length\":8,\"offset\":0}}",
        "{\"encoding\":\"base64\",\"dataSlice\":{\"offset\":8,\"length\":0}}",
    };
    struct bench b;
    start(&b, 1, 1);
    for (size_t i = 0; i < RF_COUNT(options); i++)
        ask(&b, i, options[i], 5 * RF_SEC);
    ask(&b, 3, BASE64, 5 * RF_SEC)->call.policy = RPCFAN_FAILOVER;
    ask(&b, 4, BASE64, 5 * RF_SEC);
    bench_run(&b, RF_SEC);
    assert_int_equal(bench_net(&b, 0)->gathered, 6);
    assert_int_equal(b.exchanges, 3 + 4);
    b.wrong = 0; /* the bench holds options against what the caller wrote */
    finish(&b);
}

static const struct rpcfan_limit ten = {.count = 10, .window_ms = 1000};

/* While the node takes nothing, all that comes goes into the legs that wait. */
static void test_gather_grows_while_it_waits(void **state)
{
    (void)state;
    struct bench b;
    init(&b, 1, 1);
    b.ep[0].in_flight = 1;
    bench_start(&b);
    bench_call(&b, 0, "getSlot", 5 * RF_SEC);
    for (uint32_t i = 0; i < 15; i++) {
        ask_many(&b, 10, BASE64, 5 * RF_SEC);
        bench_run(&b, RF_MS);
    }
    assert_int_equal(bench_net(&b, 0)->queued, 2);
    bench_run(&b, RF_SEC);
    assert_int_equal(b.ok, 151);
    assert_int_equal(b.sent[0], 3);
    finish(&b);
}

/* Ten a second: a thousand accounts in the first second, not ten. */
static void test_gather_costs_one_in_the_windows(void **state)
{
    (void)state;
    struct bench b;
    init(&b, 1, 1);
    b.ep[0].limits = &ten;
    b.ep[0].n_limits = 1;
    b.ep[0].batch = 10;
    bench_start(&b);
    ask_many(&b, 1000, BASE64, 5 * RF_SEC);
    bench_run(&b, 1200 * RF_MS);
    assert_int_equal(b.ok, 1000);
    assert_int_equal(b.sent[0], 10);
    finish(&b);
}

/* The window is getMultipleAccounts' own: the calls wait in its queue, and hold up nobody else. */
static void test_gather_is_charged_as_what_it_is(void **state)
{
    (void)state;
    static const char *const many[] = {MANY};
    static const struct rpcfan_limit limit = {
        .count = 1, .window_ms = 1000, .methods = many, .n_methods = 1};
    struct bench b;
    init(&b, 1, 1);
    b.ep[0].limits = &limit;
    b.ep[0].n_limits = 1;
    bench_start(&b);
    ask_many(&b, 100, BASE64, 5 * RF_SEC);
    bench_run(&b, 10 * RF_MS);
    assert_int_equal(b.sent[0], 1);
    ask_many(&b, 100, BASE64, 5 * RF_SEC);
    bench_call(&b, 0, "getSlot", 5 * RF_SEC);
    bench_run(&b, 100 * RF_MS);
    assert_int_equal(b.ok, 101);
    bench_run(&b, RF_SEC);
    assert_int_equal(b.ok, 201);
    assert_int_equal(b.sent[0], 3);
    finish(&b);
}

/* Where one for several costs ten, nine go by themselves. */
static void test_gather_only_where_it_is_cheaper(void **state)
{
    (void)state;
    static const struct rpcfan_weight weight = {.method = MANY, .weight = 10};
    static const struct rpcfan_limit credits = {
        .count = 1000, .window_ms = 1000, .unit = RPCFAN_WEIGHT};
    for (uint32_t n = 9; n <= 10; n++) {
        struct bench b;
        init(&b, 1, 1);
        b.ep[0].limits = &credits;
        b.ep[0].n_limits = 1;
        b.ep[0].weights = &weight;
        b.ep[0].n_weights = 1;
        bench_start(&b);
        ask_many(&b, n, BASE64, 5 * RF_SEC);
        bench_run(&b, RF_SEC);
        assert_int_equal(b.ok, n);
        assert_int_equal(b.sent[0], n == 9 ? 9 : 1);
        finish(&b);
    }
}

static void test_gather_with_linger(void **state)
{
    (void)state;
    struct bench b;
    init(&b, 1, 1);
    b.net[0].linger_ms = 10;
    b.ep[0].batch = 10;
    bench_start(&b);
    for (uint32_t i = 0; i < 8; i++) {
        ask(&b, i, BASE64, 5 * RF_SEC);
        bench_run(&b, RF_MS);
    }
    bench_run(&b, RF_SEC);
    assert_int_equal(b.ok, 8);
    assert_int_equal(b.sent[0], 1);
    finish(&b);
}

/* --- what the node takes ------------------------------------------------------------------------
 */

struct taking {
    uint32_t max, refused, most;
    bool silent;      /* it does not tell how many */
    uint64_t poison;  /* key that it does not like; 0: none */
    int64_t code;     /* what it says of that one */
    const char *says; /* likewise */
    bool no_such_method;
};

static bool is_many(const struct rf_call *c)
{
    struct rpcfan_slice m = rf_call_method(c);
    return m.len == strlen(MANY) && memcmp(m.data, MANY, m.len) == 0;
}

static bool refuse(struct taking *t, const struct rf_exchange *ex, uint32_t i, struct rf_buf *b)
{
    const struct rf_call *c = ex->call[i];
    uint32_t n = keys_in(c);
    char text[100];
    if (n > t->most)
        t->most = n;
    if (t->no_such_method && is_many(c)) {
        rf_vreply_error(b, ex->id_base + i, -32601, "Method not found");
    } else if (t->max > 0 && n > t->max) {
        snprintf(text, sizeof text,
                 t->silent ? "Too many inputs provided" : "Too many inputs provided; max %u",
                 t->max);
        rf_vreply_error(b, ex->id_base + i, -32602, text);
    } else if (t->poison != 0 && holds(c, t->poison)) {
        rf_vreply_error(b, ex->id_base + i, t->code, t->says);
    } else {
        return false;
    }
    t->refused++;
    return true;
}

static void take(struct bench *b, struct rf_exchange *ex, uint64_t now_ns, struct rf_vreply *out)
{
    struct taking *t = b->arg;
    (void)now_ns;
    if (ex->n > 1)
        rf_buf_char(&out->body, '[');
    for (uint32_t i = 0; i < ex->n; i++) {
        if (i > 0)
            rf_buf_char(&out->body, ',');
        if (ex->call[i] == NULL || !refuse(t, ex, i, &out->body)) {
            rf_buf_printf(&out->body,
                          "{\"id\":%llu,\"result\":", (unsigned long long)(ex->id_base + i));
            rf_vnode_answer(ex->call[i], &out->body);
            rf_buf_char(&out->body, '}');
        }
    }
    if (ex->n > 1)
        rf_buf_char(&out->body, ']');
}

static void start_taking(struct bench *b, struct taking *t, uint32_t n_ep)
{
    init(b, n_ep, 1);
    b->serve = take;
    b->arg = t;
    bench_start(b);
}

static void test_gather_learns_a_told_maximum(void **state)
{
    (void)state;
    struct taking t = {.max = 5};
    struct bench b;
    start_taking(&b, &t, 1);
    ask_many(&b, 100, BASE64, 20 * RF_SEC);
    bench_run(&b, 10 * RF_SEC);
    assert_int_equal(b.ok, 100);
    assert_int_equal(b.sent[0], 1 + 20);
    assert_int_equal(bench_ep(&b, 0)->inputs_max, 5);
    ask_many(&b, 100, BASE64, 20 * RF_SEC);
    bench_run(&b, 10 * RF_SEC);
    assert_int_equal(b.ok, 200);
    assert_int_equal(b.sent[0], 1 + 40);
    assert_int_equal(t.refused, 1);
    finish(&b);
}

static void test_gather_halves_where_nothing_is_told(void **state)
{
    (void)state;
    struct taking t = {.max = 30, .silent = true};
    struct bench b;
    start_taking(&b, &t, 1);
    ask_many(&b, 100, BASE64, 20 * RF_SEC);
    bench_run(&b, 10 * RF_SEC);
    assert_int_equal(b.ok, 100);
    assert_int_equal(bench_ep(&b, 0)->inputs_max, 25);
    uint64_t before = b.sent[0];
    ask_many(&b, 100, BASE64, 20 * RF_SEC);
    bench_run(&b, 10 * RF_SEC);
    assert_int_equal(b.sent[0] - before, 4);
    finish(&b);
}

/* Two nodes, one of which takes five: it gets five, and the other as many as it takes. */
static void test_gather_cuts_for_the_endpoint_that_it_goes_to(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 2, 1);
    bench_ep(&b, 0)->inputs_max = 5;
    for (uint32_t i = 0; i < 10; i++) {
        ask_many(&b, 100, BASE64, 20 * RF_SEC);
        bench_run(&b, RF_SEC);
    }
    assert_int_equal(b.ok, 1000);
    assert_true(b.sent[0] > 0 && b.sent[1] > 0);
    assert_true(b.sent[0] + b.sent[1] < 60);
    finish(&b);
}

/* A learned maximum is for this method: more addresses in another one say nothing of it. */
static void test_gather_learns_of_its_own_method_only(void **state)
{
    (void)state;
    struct taking t = {.poison = 1, .code = -32602, .says = "Too many inputs provided; max 3"};
    struct bench b;
    char key[64], params[100];
    start_taking(&b, &t, 1);
    key_of(1, key);
    snprintf(params, sizeof params, "[[\"%s\"]]", key);
    bench_ask(&b, 0, "getSignatureStatuses", params, RF_SEC);
    bench_run(&b, RF_SEC);
    assert_int_equal(bench_ep(&b, 0)->inputs_max, 0);
    bench_ask(&b, 0, MANY, params, RF_SEC);
    bench_run(&b, RF_SEC);
    assert_int_equal(bench_ep(&b, 0)->inputs_max, 3);
    finish(&b);
}

/* --- one of them is refused ----------------------------------------------------------------------
 */

struct poisoned {
    struct taking t;
    uint64_t key, failed, good;
};

static void check_poison(struct bench *b, struct rf_vcall *c, uint64_t now_ns)
{
    struct poisoned *p = b->arg;
    (void)now_ns;
    if (holds(&c->call, p->t.poison)) {
        p->failed += c->call.err == RPCFAN_ERPC || c->call.err == RPCFAN_ESERVER;
        assert_true(c->call.json_len > 0 && memcmp(c->call.json, "{\"code\":", 8) == 0);
    } else {
        p->good += c->call.err == RPCFAN_OK;
    }
}

static void poison_case(int64_t code, const char *says, uint64_t requests)
{
    struct poisoned p = {.t = {.poison = 61, .code = code, .says = says}};
    struct bench b;
    init(&b, 1, 1);
    b.ep[0].batch = 50;
    b.serve = take;
    b.done = check_poison;
    b.arg = &p;
    bench_start(&b);
    ask_many(&b, 100, BASE64, 30 * RF_SEC);
    bench_run(&b, 20 * RF_SEC);
    assert_int_equal(p.failed, 1);
    assert_int_equal(p.good, 99);
    if (b.sent[0] > requests)
        fail_msg("%s: %llu calls sent", says, (unsigned long long)b.sent[0]);
    finish(&b);
}

/* It ends up with its own caller; nobody else is told. */
static void test_gather_isolates_a_poison_key(void **state)
{
    (void)state;
    poison_case(-32602, "Invalid param: WrongSize", 17);
    poison_case(-32600, "Encoded binary (base 58) data should be less than 128 bytes", 17);
    poison_case(-32603, "Internal error", 105);
    poison_case(12345, "whatever", 17);
}

/* All are refused: little more than each by itself. */
static void test_gather_where_all_are_refused(void **state)
{
    (void)state;
    struct taking t = {.max = 0};
    struct bench b;
    start_taking(&b, &t, 1);
    t.poison = 1;
    t.code = -32602;
    t.says = "unsupported encoding";
    for (uint32_t i = 0; i < 100; i++)
        ask(&b, 1, "{\"encoding\":\"nonsense\"}", 30 * RF_SEC);
    bench_run(&b, 20 * RF_SEC);
    assert_int_equal(b.by_err[RPCFAN_ERPC], 100);
    assert_true(b.sent[0] <= 131);
    finish(&b);
}

/* No such method there: each by itself, and it is not tried again for some time. */
static void test_gather_where_the_method_is_absent(void **state)
{
    (void)state;
    struct taking t = {.no_such_method = true};
    struct bench b;
    start_taking(&b, &t, 1);
    ask_many(&b, 10, BASE64, 5 * RF_SEC);
    bench_run(&b, RF_SEC);
    assert_int_equal(b.ok, 10);
    ask_many(&b, 10, BASE64, 5 * RF_SEC);
    bench_run(&b, RF_SEC);
    assert_int_equal(b.ok, 20);
    assert_int_equal(t.refused, 1);
    finish(&b);
}

/* What is about the node or the time goes for all of them, by the same rules as alone. */
static void serve_script(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                         struct rf_vreply *out)
{
    const char *const *next = b->arg;
    (void)now_ns;
    if (*next == NULL) {
        bench_reply_ok(ex, out);
        return;
    }
    b->arg = (void *)(uintptr_t)(next + 1);
    if (strcmp(*next, "429") == 0 || strcmp(*next, "500") == 0) {
        bench_reply(out, atoi(*next), "no");
    } else {
        rf_buf_printf(&out->body, "{\"id\":%llu,%s}", (unsigned long long)ex->id_base, *next);
    }
}

static void script_case(const char *const *script, uint64_t exchanges, enum rpcfan_err want)
{
    struct bench b;
    init(&b, 1, 1);
    b.serve = serve_script;
    b.arg = (void *)(uintptr_t)script;
    bench_start(&b);
    ask_many(&b, 20, "{\"encoding\":\"base64\",\"minContextSlot\":1010}", 30 * RF_SEC);
    bench_run(&b, 25 * RF_SEC);
    if (b.by_err[want] != 20 || b.exchanges != exchanges)
        fail_msg("%s: %llu of 20, %llu exchanges, %s", script[0],
                 (unsigned long long)b.by_err[want], (unsigned long long)b.exchanges, b.detail);
    finish(&b);
}

static void test_gather_errors_of_the_node(void **state)
{
    (void)state;
    static const char min_slot[] =
        "\"error\":{\"code\":-32016,\"message\":\"Minimum context slot has "
        "not been reached\",\"data\":{\"contextSlot\":1000}}";
    static const char *const wait[] = {min_slot, min_slot, NULL};
    static const char *const rate[] = {"429", NULL};
    static const char *const down[] = {"500", "500", NULL};
    static const char *const dead[] = {"500", "500", "500", NULL};
    script_case(wait, 3, RPCFAN_OK);
    script_case(rate, 2, RPCFAN_OK);
    script_case(down, 3, RPCFAN_OK);
    script_case(dead, 3, RPCFAN_ESERVER);
}

/* An answer that is none: each by itself. */
static void test_gather_answers_of_another_form(void **state)
{
    (void)state;
    static const char *const odd[] = {
        "\"result\":null",
        "\"result\":[]",
        "\"result\":{}",
        "\"result\":{\"value\":[]}",
        "\"result\":{\"context\":{\"slot\":1}}",
        "\"result\":{\"context\":{\"slot\":1},\"value\":null}",
        "\"result\":{\"context\":{\"slot\":1},\"value\":{}}",
        "\"result\":{\"context\":{\"slot\":1},\"value\":[1,2,3]}",
        "\"result\":{\"context\":{\"slot\":1},\"value\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,"
        "18,19,20,21]}",
    };
    for (size_t i = 0; i < RF_COUNT(odd); i++) {
        const char *const script[] = {odd[i], NULL};
        script_case(script, 21, RPCFAN_OK);
    }
}

static void check_null(struct bench *b, struct rf_vcall *c, uint64_t now_ns)
{
    static const char null[] = "{\"context\":{\"slot\":1},\"value\":null}";
    static const char five[] = "{\"context\":{\"slot\":1},\"value\":{ \"lamports\":5}}";
    bool first = holds(&c->call, 0);
    (void)b, (void)now_ns;
    assert_string_equal(c->call.endpoint, "ep1");
    assert_int_equal(c->call.sends, 1);
    assert_int_equal(c->call.space, true);
    assert_int_equal(c->call.json_len, first ? sizeof null - 1 : sizeof five - 1);
    assert_memory_equal(c->call.json, first ? null : five, c->call.json_len);
}

static void test_gather_keeps_null_and_context(void **state)
{
    (void)state;
    static const char *const script[] = {
        "\"result\": {\"value\":[null,{ \"lamports\":5}],\"context\":{\"slot\":1}}", NULL};
    struct bench b;
    init(&b, 1, 1);
    b.serve = serve_script;
    b.done = check_null;
    b.arg = (void *)(uintptr_t)script;
    bench_start(&b);
    ask_many(&b, 2, BASE64, RF_SEC);
    bench_run(&b, RF_SEC);
    assert_int_equal(b.ok, 2);
    b.wrong = 0; /* not the virtual node's answers */
    b.done = NULL;
    finish(&b);
}

/* --- each has its own deadline and cancel --------------------------------------------------------
 */

static void test_gather_each_has_its_own_deadline(void **state)
{
    (void)state;
    struct bench b;
    init(&b, 1, 1);
    b.node[0].latency_ns = 100 * RF_MS;
    bench_start(&b);
    for (uint32_t i = 0; i < 10; i++)
        ask(&b, i, BASE64, i < 4 ? 50 * RF_MS : 5 * RF_SEC);
    bench_run(&b, 60 * RF_MS);
    assert_int_equal(b.by_err[RPCFAN_EDEADLINE], 4);
    assert_true(strstr(b.detail, "waiting for the answer") != NULL);
    bench_run(&b, RF_SEC);
    assert_int_equal(b.ok, 6);
    assert_int_equal(b.exchanges, 1);
    finish(&b);
}

/* Whoever leaves before it is sent is not asked for. */
static void test_gather_cancels_before_and_after_it_is_sent(void **state)
{
    (void)state;
    struct taking t = {.max = 0};
    struct bench b;
    struct rf_vcall *c[10];
    init(&b, 1, 1);
    b.ep[0].in_flight = 1;
    b.serve = take;
    b.arg = &t;
    bench_start(&b);
    bench_call(&b, 0, "getSlot", 5 * RF_SEC);
    for (uint32_t i = 0; i < 10; i++)
        c[i] = ask(&b, i, BASE64, 5 * RF_SEC);
    bench_run(&b, 10 * RF_MS);
    for (uint32_t i = 0; i < 5; i++)
        rf_vshell_cancel(b.v, c[i]);
    bench_run(&b, 20 * RF_MS);
    assert_int_equal(b.by_err[RPCFAN_ECANCELED], 5);
    assert_int_equal(t.most, 5);
    for (uint32_t i = 5; i < 8; i++)
        rf_vshell_cancel(b.v, c[i]);
    bench_run(&b, RF_SEC);
    assert_int_equal(b.by_err[RPCFAN_ECANCELED], 8);
    assert_int_equal(b.ok, 3);
    finish(&b);
}

static void test_gather_all_leave(void **state)
{
    (void)state;
    for (uint32_t sent = 0; sent < 2; sent++) {
        struct bench b;
        struct rf_vcall *c[10];
        init(&b, 1, 1);
        b.ep[0].in_flight = 1;
        bench_start(&b);
        if (!sent)
            bench_call(&b, 0, "getSlot", 5 * RF_SEC);
        for (uint32_t i = 0; i < 10; i++)
            c[i] = ask(&b, i, BASE64, 5 * RF_SEC);
        bench_run(&b, 5 * RF_MS);
        for (uint32_t i = 0; i < 10; i++)
            rf_vshell_cancel(b.v, c[i]);
        bench_run(&b, RF_MS);
        assert_int_equal(b.by_err[RPCFAN_ECANCELED], 10);
        assert_int_equal(rf_vshell_core(b.v)->n_legs, 0);
        bench_run(&b, RF_SEC);
        assert_int_equal(b.exchanges, 1);
        finish(&b);
    }
}

static void test_gather_closes(void **state)
{
    (void)state;
    static const enum rpcfan_close_mode modes[] = {RPCFAN_CLOSE_DRAIN, RPCFAN_CLOSE_SENT,
                                                   RPCFAN_CLOSE_NOW};
    for (uint32_t i = 0; i < 6; i++) {
        struct bench b;
        init(&b, 1, 1);
        b.ep[0].in_flight = 1;
        bench_start(&b);
        if (i % 2 == 0)
            bench_call(&b, 0, "getSlot", 5 * RF_SEC);
        ask_many(&b, 10, BASE64, 5 * RF_SEC);
        bench_run(&b, 5 * RF_MS);
        rf_vshell_close(b.v, modes[i / 2]);
        bench_run(&b, RF_SEC);
        bool served = i / 2 == 0 || (i / 2 == 1 && i % 2 == 1);
        assert_int_equal(b.ok, (served ? 10u : 0u) + (i == 0 || i == 2));
        assert_int_equal(b.answered, b.submitted);
        finish(&b);
    }
}

/* Two that were sent alone are refused for rate, the one that was sent first last: it comes back in
 * front of the other while its exchange is settled, and takes it along from where the next call of
 * that exchange would go in. */
static void serve_refusals(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                           struct rf_vreply *out)
{
    (void)now_ns;
    if (b->exchanges > 2) {
        bench_reply_ok(ex, out);
        return;
    }
    out->delay_ns = b->exchanges == 1 ? 50 * RF_MS : 20 * RF_MS;
    bench_reply(out, 429, "no");
}

static void test_gather_of_calls_that_come_back(void **state)
{
    (void)state;
    struct bench b;
    init(&b, 1, 1);
    b.ep[0].batch = 10;
    b.serve = serve_refusals;
    bench_start(&b);
    ask(&b, 1, BASE64, 20 * RF_SEC);
    bench_calls(&b, 3, "getSlot", 20 * RF_SEC);
    bench_run(&b, RF_MS);
    ask(&b, 2, BASE64, 20 * RF_SEC);
    bench_run(&b, RF_MS);
    assert_int_equal(b.exchanges, 2);
    bench_run(&b, 10 * RF_SEC);
    assert_int_equal(b.ok, 5);
    assert_int_equal(bench_net(&b, 0)->gathered, 2);
    finish(&b);
}

static void check_sends(struct bench *b, struct rf_vcall *c, uint64_t now_ns)
{
    (void)b, (void)now_ns;
    assert_int_equal(c->call.sends, c->call.err == RPCFAN_OK ? 1 : c->call.sends);
    assert_null(c->call.into);
    assert_null(c->call.gather);
}

/* With `join` equal ones share one key, and outlive the one who asked. */
static void test_gather_with_join(void **state)
{
    (void)state;
    struct taking t = {.max = 0};
    struct bench b;
    struct rf_vcall *first;
    init(&b, 1, 1);
    b.net[0].join = 1;
    b.node[0].latency_ns = 100 * RF_MS;
    b.serve = take;
    b.done = check_sends;
    b.arg = &t;
    bench_start(&b);
    first = ask(&b, 0, BASE64, 50 * RF_MS);
    for (uint32_t i = 0; i < 5; i++)
        ask(&b, 0, BASE64, 5 * RF_SEC);
    ask(&b, 1, BASE64, 60 * RF_MS);
    bench_run(&b, 10 * RF_MS);
    assert_int_equal(t.most, 2);
    rf_vshell_cancel(b.v, first);
    bench_run(&b, RF_SEC);
    assert_int_equal(b.ok, 5);
    assert_int_equal(b.by_err[RPCFAN_ECANCELED], 1);
    assert_int_equal(b.by_err[RPCFAN_EDEADLINE], 1);
    assert_int_equal(b.exchanges, 1);
    finish(&b);
}

/* Many sets of options at once: past the table's size they go alone. */
static void test_gather_many_options(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 1, 1);
    for (uint64_t i = 0; i < 10000; i++) {
        char options[100];
        snprintf(options, sizeof options, "{\"encoding\":\"base64\",\"minContextSlot\":%llu}",
                 (unsigned long long)(i % 5000 + 1));
        ask(&b, i, options, 60 * RF_SEC);
    }
    assert_int_equal(bench_net(&b, 0)->gathers.n, 0);
    bench_run(&b, 60 * RF_SEC);
    assert_int_equal(b.ok, 10000);
    assert_int_equal(bench_net(&b, 0)->gathered, 2 * 4096);
    finish(&b);
}

/* --- the promise ---------------------------------------------------------------------------------
 */

#define LIVE_MAX 1500
#define POISON 13 /* keys that this divides are refused by themselves */

struct world {
    struct rf_rng rng;
    struct rf_vcall *live[LIVE_MAX];
    uint64_t twice, wrong_error;
    uint32_t inputs_max; /* of the nodes; 0: any number */
    bool poison;
};

/* The number in a key that key_of() made. */
static uint64_t number_in(struct rpcfan_slice key)
{
    uint8_t bytes[32];
    size_t n;
    uint64_t i = 0;
    if (key.len < 3 || !rf_base58_decode(key.data + 1, key.len - 2, bytes, sizeof bytes, &n) ||
        n != sizeof bytes)
        return 1;
    memcpy(&i, bytes + 8, sizeof i);
    return i;
}

static bool poisonous(const struct rf_call *c)
{
    struct rf_walk w;
    struct rpcfan_slice key, keys = rf_walk_at(rf_call_params(c), 0);
    if (keys.len > 0 && keys.data[0] == '"')
        return number_in(keys) % POISON == 0;
    if (!rf_walk_enter(&w, keys, '['))
        return false;
    while (rf_walk_element(&w, &key)) {
        if (number_in(key) % POISON == 0)
            return true;
    }
    return false;
}

/* The virtual node with its faults; where it is well, it looks at the keys. */
static void world_serve(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                        struct rf_vreply *out)
{
    struct world *w = b->arg;
    rf_vnode_serve(&b->node[ex->endpoint], ex, now_ns, out);
    for (uint32_t i = 0; i < ex->n; i++) {
        const struct rf_call *c = ex->call[i];
        bool many = w->inputs_max > 0 && c != NULL && keys_in(c) > w->inputs_max;
        if (ex->n > 1 || c == NULL || out->transport != RF_T_OK || out->status > 200 ||
            out->delay_ns == RF_NEVER || (!many && !(w->poison && poisonous(c))))
            continue;
        rf_buf_reset(&out->body, SIZE_MAX);
        rf_vreply_error(&out->body, ex->id_base, -32602,
                        many ? "Too many inputs provided; max 7" : "Invalid param: WrongSize");
    }
}

static void world_done(struct bench *b, struct rf_vcall *c, uint64_t now_ns)
{
    struct world *w = b->arg;
    (void)now_ns;
    w->twice += w->live[c->number - 1] != c;
    w->live[c->number - 1] = NULL;
    w->wrong_error += c->call.err == RPCFAN_ERPC && w->poison && !poisonous(&c->call);
    w->wrong_error += c->call.err == RPCFAN_OK && w->poison && b->ep[0].batch == 1 &&
                      poisonous(&c->call) && rf_call_method(&c->call).len == strlen(ONE);
}

static void world_submit(struct bench *b, struct world *w)
{
    static const char *const options[] = {BASE64,
                                          "{\"commitment\":\"confirmed\",\"encoding\":\"base64\"}",
                                          "{\"encoding\":\"base58\"}"};
    uint64_t n = rf_rng_below(&w->rng, 60);
    for (uint64_t i = 0; i < n && b->submitted < LIVE_MAX; i++) {
        uint64_t life = 1 + rf_rng_below(&w->rng, 8 * RF_SEC);
        struct rf_vcall *c =
            rf_rng_below(&w->rng, 8) == 0
                ? bench_call(b, 0, "getSlot", life)
                : ask(b, 1 + rf_rng_below(&w->rng, 300),
                      options[rf_rng_below(&w->rng, 10) < 8 ? 0 : 1 + rf_rng_below(&w->rng, 2)],
                      life);
        w->live[b->submitted - 1] = c;
    }
    n = rf_rng_below(&w->rng, 12);
    for (uint64_t i = 0; i < n && b->submitted > 0; i++) {
        struct rf_vcall *c = w->live[rf_rng_below(&w->rng, b->submitted)];
        if (c != NULL)
            rf_vshell_cancel(b->v, c);
    }
}

static void set_up_world(struct bench *b, struct world *w, uint64_t seed)
{
    static const char *const many[] = {MANY};
    static const struct rpcfan_limit limits[] = {
        {.count = 20, .window_ms = 1000},
        {.count = 4, .window_ms = 1000, .methods = many, .n_methods = 1}};
    memset(w, 0, sizeof *w);
    rf_rng_init(&w->rng, seed);
    init(b, 1 + (uint32_t)(seed % 3), seed);
    w->poison = seed % 2 == 0;
    w->inputs_max = seed % 5 == 0 ? 7 : 0;
    b->net[0].join = seed % 7 == 0;
    b->net[0].hedge_percent = seed % 11 == 0 ? 10 : 0;
    b->net[0].linger_ms = seed % 13 == 0 ? 5 : 0;
    b->o.in_flight = 1 + (uint32_t)seed % 20;
    for (uint32_t i = 0; i < 3; i++) {
        unsigned k = seed % 3 == 0 ? 0 : 30;
        b->node[i].faults = (struct rf_vfaults){k, k / 2, k, k, k, k, k, k, k, k, k, k / 2, k / 2};
        b->node[i].latency_ns = 30 * RF_MS;
        b->node[i].jitter_ns = 150 * RF_MS;
        b->ep[i].timeout_ms = 1000;
        b->ep[i].batch = seed % 4 < 2 ? 1 : 10;
        b->ep[i].limits = limits;
        b->ep[i].n_limits = (uint32_t)((seed + i) % 3);
    }
    b->serve = world_serve;
    b->done = world_done;
    b->arg = w;
    bench_start(b);
}

static void run_world(uint64_t seed)
{
    static struct world w;
    static struct bench b;
    set_up_world(&b, &w, seed);
    uint64_t close = seed % 2 == 0 ? rf_rng_below(&w.rng, 60) : UINT64_MAX;
    for (uint64_t turn = 0; turn < 50; turn++) {
        world_submit(&b, &w);
        if (turn == close)
            rf_vshell_close(b.v, (enum rpcfan_close_mode)rf_rng_below(&w.rng, 3));
        bench_run(&b, rf_rng_below(&w.rng, 200 * RF_MS));
    }
    bench_run(&b, 60 * RF_SEC);
    assert_int_equal(w.twice, 0);
    assert_int_equal(w.wrong_error, 0);
    finish(&b);
}

static void test_gather_each_call_once_and_rightly(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++)
        run_world(seed);
}

/* Each allocation of the core fails once; all are answered all the same. */
static void test_gather_survives_failed_allocations(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 60; n++) {
        struct poisoned p = {.t = {.poison = 61, .code = -32602, .says = "WrongSize"}};
        struct bench b;
        init(&b, 1, 1);
        b.serve = take;
        b.arg = &p;
        bench_start(&b);
        rf_vshell_fail_at(b.v, n);
        ask_many(&b, 70, BASE64, 20 * RF_SEC);
        bench_run(&b, 10 * RF_SEC);
        rf_vshell_fail_at(b.v, 0);
        assert_int_equal(b.answered, 70);
        assert_int_equal(b.ok + b.by_err[RPCFAN_ENOMEM] + b.by_err[RPCFAN_ERPC], 70);
        finish(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gather_asks_once),
        cmocka_unit_test(test_gather_is_off_by_default),
        cmocka_unit_test(test_gather_is_for_solana),
        cmocka_unit_test(test_gather_forms_a_leg_for_each_hundred),
        cmocka_unit_test(test_gather_only_what_is_safe),
        cmocka_unit_test(test_gather_by_equal_options),
        cmocka_unit_test(test_gather_grows_while_it_waits),
        cmocka_unit_test(test_gather_costs_one_in_the_windows),
        cmocka_unit_test(test_gather_is_charged_as_what_it_is),
        cmocka_unit_test(test_gather_only_where_it_is_cheaper),
        cmocka_unit_test(test_gather_with_linger),
        cmocka_unit_test(test_gather_learns_a_told_maximum),
        cmocka_unit_test(test_gather_halves_where_nothing_is_told),
        cmocka_unit_test(test_gather_cuts_for_the_endpoint_that_it_goes_to),
        cmocka_unit_test(test_gather_learns_of_its_own_method_only),
        cmocka_unit_test(test_gather_isolates_a_poison_key),
        cmocka_unit_test(test_gather_where_all_are_refused),
        cmocka_unit_test(test_gather_where_the_method_is_absent),
        cmocka_unit_test(test_gather_errors_of_the_node),
        cmocka_unit_test(test_gather_answers_of_another_form),
        cmocka_unit_test(test_gather_keeps_null_and_context),
        cmocka_unit_test(test_gather_each_has_its_own_deadline),
        cmocka_unit_test(test_gather_cancels_before_and_after_it_is_sent),
        cmocka_unit_test(test_gather_all_leave),
        cmocka_unit_test(test_gather_closes),
        cmocka_unit_test(test_gather_of_calls_that_come_back),
        cmocka_unit_test(test_gather_with_join),
        cmocka_unit_test(test_gather_many_options),
        cmocka_unit_test(test_gather_each_call_once_and_rightly),
        cmocka_unit_test(test_gather_survives_failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
