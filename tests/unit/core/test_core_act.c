/* test_core_act.c - what becomes of one call: the retry budget, calls that may be sent only once,
 * and moves between nodes. */
#include "core_case.h"

static void fail_some(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                      struct rf_vreply *out)
{
    const uint64_t *permille = b->arg;
    (void)now_ns;
    if (rf_rng_below(&b->rng, 1000) < *permille)
        bench_reply(out, 500, "oops");
    else
        bench_reply_ok(ex, out);
}

/* P8: attempts <= 1.1 * calls + 10 at any failure rate, where each exchange holds one call. */
static void budget_case(uint64_t permille, uint32_t n_ep, uint32_t calls)
{
    struct bench b;
    bench_init(&b, n_ep, permille + n_ep);
    b.net[0].attempts = 50;
    b.serve = fail_some;
    b.arg = &permille;
    bench_start(&b);
    for (uint32_t i = 0; i < calls / 50; i++) {
        bench_calls(&b, 50, "eth_call", 30 * RF_SEC);
        bench_run(&b, 200 * RF_MS);
    }
    bench_run(&b, 60 * RF_SEC);
    if (b.exchanges * 10 > b.submitted * 11 + 100)
        fail_msg("%llu permille failing at %u endpoints: %llu attempts for %llu calls",
                 (unsigned long long)permille, n_ep, (unsigned long long)b.exchanges,
                 (unsigned long long)b.submitted);
    bench_fini(&b);
}

static void test_act_retries_keep_to_the_budget(void **state)
{
    (void)state;
    static const uint64_t permille[] = {0, 50, 100, 200, 300, 500, 700, 900, 990, 1000};
    for (size_t i = 0; i < RF_COUNT(permille); i++) {
        budget_case(permille[i], 1, 5000);
        budget_case(permille[i], 3, 5000);
    }
}

/* Moves to other nodes for want of data are free, so they must not earn retries as well. */
static void missing_everywhere(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                               struct rf_vreply *out)
{
    (void)b, (void)now_ns;
    rf_vreply_error(&out->body, ex->id_base, -32000, "header not found");
}

static void test_act_moves_earn_no_retries(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 4, 1);
    b.serve = missing_everywhere;
    bench_start(&b);
    bench_net(&b, 0)->budget.tenths = 0;
    bench_calls(&b, 10, "eth_call", 5 * RF_SEC);
    bench_run(&b, 5 * RF_SEC);
    assert_int_equal(b.by_err[RPCFAN_ERPC], 10);
    assert_int_equal(b.exchanges, 40);
    assert_int_equal(bench_net(&b, 0)->budget.tenths, 0);
    bench_fini(&b);
}

/* Each fault in turn: a call that must not be sent twice is on the wire once, unless it surely
 * never arrived or was refused for rate. */
enum fault {
    F_OK,
    F_CONNECT,
    F_RESET,
    F_HANG,
    F_500,
    F_HTML,
    F_EMPTY,
    F_MISSING,
    F_UNSUPPORTED,
    F_APP,
    F_RATE,
    F_413,
    F_COUNT
};

static void once_serve(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                       struct rf_vreply *out)
{
    uint8_t *arrived = b->arg;
    (void)now_ns;
    enum fault f = (enum fault)rf_rng_below(&b->rng, F_COUNT);
    if (rf_rng_below(&b->rng, 2) == 0)
        f = F_OK;
    bool once = ex->call[0]->once;
    assert_true(!once || (ex->n == 1 && ex->fresh));
    if (once && f != F_CONNECT && f != F_RATE) {
        uint64_t number = RF_CONTAINER(ex->call[0], struct rf_vcall, call)->number;
        if (++arrived[number] > 1)
            fail_msg("call %llu arrived twice", (unsigned long long)number);
    }
    switch (f) {
    case F_OK:
    case F_COUNT:
        bench_reply_ok(ex, out);
        break;
    case F_CONNECT:
        out->transport = RF_T_CONNECT;
        break;
    case F_RESET:
        out->transport = RF_T_RESET;
        break;
    case F_HANG:
        out->delay_ns = RF_NEVER;
        break;
    case F_500:
        bench_reply(out, 500, "oops");
        break;
    case F_HTML:
        bench_reply(out, 200, "<html>");
        break;
    case F_EMPTY:
        bench_reply(out, 200, "{}");
        break;
    case F_MISSING:
        rf_vreply_error(&out->body, ex->id_base, -32000, "header not found");
        break;
    case F_UNSUPPORTED:
        rf_vreply_error(&out->body, ex->id_base, -32601, "no such method");
        break;
    case F_APP:
        rf_vreply_error(&out->body, ex->id_base, -32000, "invalid argument");
        break;
    case F_RATE:
        out->retry_after_ns = 0;
        bench_reply(out, 429, "{}");
        break;
    case F_413:
        bench_reply(out, 413, "too large");
        break;
    }
}

static void test_act_once_arrives_at_most_once(void **state)
{
    (void)state;
    uint64_t ok = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        static uint8_t arrived[4096];
        struct bench b;
        memset(arrived, 0, sizeof arrived);
        bench_init(&b, 3, seed);
        for (uint32_t i = 0; i < 3; i++) {
            b.ep[i].batch = 10;
            b.ep[i].timeout_ms = 500;
        }
        b.serve = once_serve;
        b.arg = arrived;
        bench_start(&b);
        for (uint32_t i = 0; i < 1000; i++) {
            bench_call(&b, 0, i % 3 == 0 ? "eth_sendTransaction" : "eth_call", 20 * RF_SEC);
            bench_run(&b, rf_rng_below(&b.rng, 40 * RF_MS));
        }
        ok += b.ok;
        bench_fini(&b);
    }
    assert_true(ok > 1000);
}

/* --- not there yet, skipped, not supported ---------------------------------------------------- */

struct slots {
    uint64_t head_at_0; /* slot at time 0; then one in 400 ms */
    uint64_t lag[BENCH_EPS];
    uint64_t asked[BENCH_EPS];
    uint64_t wanted;
};

static void slot_serve(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                       struct rf_vreply *out)
{
    struct slots *s = b->arg;
    uint64_t head = s->head_at_0 + now_ns / (400 * RF_MS) - s->lag[ex->endpoint];
    if (ex->call[0]->leg_of != NULL) {
        rf_buf_printf(&out->body, "{\"id\":%llu,\"result\":%llu}", (unsigned long long)ex->id_base,
                      (unsigned long long)head);
        return;
    }
    s->asked[ex->endpoint]++;
    if (head < s->wanted)
        rf_buf_printf(&out->body,
                      "{\"id\":%llu,\"error\":{\"code\":-32016,\"message\":\"Minimum context slot "
                      "has not been reached\",\"data\":{\"contextSlot\":%llu}}}",
                      (unsigned long long)ex->id_base, (unsigned long long)head);
    else
        bench_reply_ok(ex, out);
}

static void slots_start(struct bench *b, struct slots *s, uint32_t n_ep)
{
    bench_init(b, n_ep, 1);
    b->net[0].family = RPCFAN_SOLANA;
    b->net[0].attempts = 1;
    s->head_at_0 = 1000;
    s->wanted = 1010;
    b->serve = slot_serve;
    b->arg = s;
    bench_start(b);
}

#define AT_1010 "[\"k\",{\"minContextSlot\":1010}]"

static void test_act_too_early_waits_where_there_is_one_node(void **state)
{
    (void)state;
    struct bench b;
    struct slots s = {0};
    slots_start(&b, &s, 1);
    bench_ask(&b, 0, "getAccountInfo", AT_1010, 30 * RF_SEC);
    bench_run(&b, 3900 * RF_MS);
    assert_int_equal(b.answered, 0);
    bench_run(&b, 600 * RF_MS);
    assert_int_equal(b.ok, 1);
    assert_true(s.asked[0] <= 3); /* it waited as long as the slots take that are missing */
    assert_int_equal(bench_ep(&b, 0)->fail_streak, 0);
    assert_int_equal(bench_net(&b, 0)->budget.denied, 0);
    /* The deadline ends the wait with the node's own words. */
    s.wanted = 100000;
    bench_ask(&b, 0, "getAccountInfo", "[\"k\",{\"minContextSlot\":100000}]", 3 * RF_SEC);
    bench_run(&b, 5 * RF_SEC);
    assert_int_equal(b.by_err[RPCFAN_ERPC], 1);
    bench_fini(&b);
}

static void test_act_too_early_goes_to_the_other_node(void **state)
{
    (void)state;
    for (uint32_t behind = 0; behind < 2; behind++) {
        struct bench b;
        struct slots s = {0};
        slots_start(&b, &s, 2);
        s.lag[behind] = 20;
        s.head_at_0 = 1015;
        for (uint32_t i = 0; i < 4; i++)
            bench_ask(&b, 0, "getAccountInfo", AT_1010, 30 * RF_SEC);
        bench_run(&b, 200 * RF_MS);
        assert_int_equal(b.ok, 4);
        uint64_t asked = s.asked[behind];
        for (uint32_t i = 0; i < 20; i++)
            bench_ask(&b, 0, "getAccountInfo", AT_1010, 30 * RF_SEC);
        bench_run(&b, 200 * RF_MS);
        assert_int_equal(s.asked[behind], asked); /* it is known to be below */
        bench_fini(&b);
    }
}

/* The other one is paused for long: the node that will have it shortly is asked again instead. */
static void test_act_too_early_does_not_wait_for_a_pause(void **state)
{
    (void)state;
    struct bench b;
    struct slots s = {0};
    slots_start(&b, &s, 2);
    rf_gate_pause(&bench_ep(&b, 1)->gate, 60 * RF_SEC, 0);
    bench_ask(&b, 0, "getAccountInfo", AT_1010, 30 * RF_SEC);
    bench_run(&b, 5 * RF_SEC);
    assert_int_equal(b.ok, 1);
    assert_int_equal(s.asked[1], 0);
    bench_fini(&b);
}

static void skip_serve(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                       struct rf_vreply *out)
{
    const uint32_t *skips = b->arg; /* bits of nodes */
    (void)now_ns;
    if ((*skips >> ex->endpoint & 1) != 0)
        rf_vreply_error(&out->body, ex->id_base, -32007,
                        "Slot 5 was skipped, or missing due to ledger jump to recent snapshot");
    else
        bench_reply_ok(ex, out);
}

/* "Skipped" may also mean a hole in that node's history: a second node is asked, and no third. */
static void test_act_skipped_is_confirmed_once(void **state)
{
    (void)state;
    for (uint32_t skips = 1; skips < 16; skips++) {
        struct bench b;
        bench_init(&b, 4, skips);
        b.net[0].family = RPCFAN_SOLANA;
        b.serve = skip_serve;
        b.arg = &skips;
        bench_start(&b);
        for (uint32_t i = 0; i < 40; i++) {
            uint64_t before = b.exchanges, errors = b.by_err[RPCFAN_ERPC];
            bench_ask(&b, 0, "getBlock", "[5]", 10 * RF_SEC);
            bench_run(&b, RF_SEC);
            uint64_t asked = b.exchanges - before;
            assert_true(asked <= 2);
            assert_true(b.by_err[RPCFAN_ERPC] == errors || asked == 2);
        }
        assert_int_equal(b.ok + b.by_err[RPCFAN_ERPC], 40);
        bench_fini(&b);
    }
}

static void lack_serve(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                       struct rf_vreply *out)
{
    uint64_t *lacks = b->arg; /* bits of nodes */
    (void)now_ns;
    bool trace = memmem(ex->call[0]->tail, ex->call[0]->tail_len, "trace_", 6) != NULL;
    if (trace)
        out->delay_ns = 500 * RF_MS;
    if (trace && (*lacks >> ex->endpoint & 1) != 0) {
        out->delay_ns = 20 * RF_MS;
        rf_vreply_error(&out->body, ex->id_base, -32601, "the method trace_block does not exist");
    } else {
        bench_reply_ok(ex, out);
    }
}

static void test_act_absent_method_is_learned_and_forgotten(void **state)
{
    (void)state;
    struct bench b;
    uint64_t lacks = 1;
    bench_init(&b, 2, 1);
    b.serve = lack_serve;
    b.arg = &lacks;
    b.ep[1].priority = 1; /* the one that lacks it goes first */
    bench_start(&b);
    bench_call(&b, 0, "trace_block", 30 * RF_SEC);
    bench_run(&b, RF_SEC);
    assert_int_equal(b.sent[0], 1);
    for (uint32_t i = 0; i < 100; i++) {
        bench_call(&b, 0, "trace_block", 30 * RF_SEC);
        bench_run(&b, RF_SEC);
    }
    assert_int_equal(b.sent[0], 1);
    assert_int_equal(b.ok, 101);
    bench_call(&b, 0, "trace_other", 30 * RF_SEC); /* another method is another matter */
    bench_run(&b, RF_SEC);
    assert_int_equal(b.sent[0], 2);
    lacks = 0;
    bench_run(&b, 200 * RF_SEC);
    bench_call(&b, 0, "trace_block", 30 * RF_SEC);
    bench_run(&b, RF_SEC);
    assert_int_equal(b.sent[0], 3);
    /* Where nobody has it, all are asked, and their word is the answer. */
    lacks = 3;
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t before = b.exchanges;
        bench_call(&b, 0, "trace_block", 30 * RF_SEC);
        bench_run(&b, RF_SEC);
        assert_int_equal(b.exchanges, before + 2);
    }
    assert_int_equal(b.by_err[RPCFAN_ERPC], 3);
    bench_fini(&b);
}

/* Calls that only one slow node can answer wait for it in a line of their own. */
static void test_act_absent_method_holds_nobody_up(void **state)
{
    (void)state;
    struct bench b;
    uint64_t lacks = 1;
    bench_init(&b, 2, 1);
    b.serve = lack_serve;
    b.arg = &lacks;
    b.ep[1].in_flight = 1;
    b.ep[0].learn = b.ep[1].learn = 0;
    bench_start(&b);
    bench_calls(&b, 2, "eth_call", 30 * RF_SEC);
    bench_call(&b, 0, "trace_block", 30 * RF_SEC);
    bench_run(&b, RF_SEC);
    if (b.sent[0] == 0 || bench_net(&b, 0)->method[0].absent == 0) {
        bench_calls(&b, 4, "trace_block", 30 * RF_SEC);
        bench_run(&b, 5 * RF_SEC);
    }
    bench_calls(&b, 40, "trace_block", 120 * RF_SEC);
    uint64_t before = b.ok;
    for (uint32_t i = 0; i < 100; i++) {
        bench_call(&b, 0, "eth_call", RF_SEC);
        bench_run(&b, 20 * RF_MS);
    }
    assert_true(b.ok - before >= 99);
    bench_run(&b, 60 * RF_SEC);
    bench_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_act_retries_keep_to_the_budget),
        cmocka_unit_test(test_act_moves_earn_no_retries),
        cmocka_unit_test(test_act_once_arrives_at_most_once),
        cmocka_unit_test(test_act_too_early_waits_where_there_is_one_node),
        cmocka_unit_test(test_act_too_early_goes_to_the_other_node),
        cmocka_unit_test(test_act_too_early_does_not_wait_for_a_pause),
        cmocka_unit_test(test_act_skipped_is_confirmed_once),
        cmocka_unit_test(test_act_absent_method_is_learned_and_forgotten),
        cmocka_unit_test(test_act_absent_method_holds_nobody_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
