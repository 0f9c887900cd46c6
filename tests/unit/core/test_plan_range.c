/* test_plan_range.c - ranges that are asked for in pieces: the answer is the one that the whole
 * range would have had, whatever nodes refuse and how they say it; and no more requests than that
 * takes. */
#include "base/mem.h"
#include "chain_case.h"

#define EPS 3

/* A bench whose nodes are chain nodes; what came back, and what should have. */
struct chain {
    struct bench b;
    struct chain_node node[EPS];
    uint32_t legs_most; /* at any time */
    uint64_t same, other;
    char json[512]; /* of the last answer that is no list */
    struct rf_buf last;
    bool space;
    uint16_t sends;
};

static void serve(struct bench *b, struct rf_exchange *ex, uint64_t now_ns, struct rf_vreply *out)
{
    struct chain *x = b->arg;
    uint32_t legs = rf_vshell_core(b->v)->n_legs;
    (void)now_ns;
    x->legs_most = legs > x->legs_most ? legs : x->legs_most;
    chain_serve(&x->node[ex->index], ex, out);
}

static void done(struct bench *b, struct rf_vcall *c, uint64_t now_ns)
{
    struct chain *x = b->arg;
    const struct rf_call *call = &c->call;
    (void)now_ns;
    b->wrong = 0; /* the bench's own idea of an answer is another one */
    x->sends = call->sends;
    x->space = call->space;
    rf_buf_reset(&x->last, 0);
    rf_buf_add(&x->last, call->json, call->json_len);
    snprintf(x->json, sizeof x->json, "%.*s", (int)(call->json_len < 500 ? call->json_len : 500),
             call->json != NULL ? call->json : "");
    if (call->err != RPCFAN_OK)
        return;
    struct rf_buf want = {0};
    chain_answer(rf_call_method(call), rf_call_params(call), &want);
    bool same = want.len == call->json_len && memcmp(want.data, call->json, want.len) == 0;
    *(same ? &x->same : &x->other) += 1;
    rf_buf_fini(&want);
}

static void set_up(struct chain *x, uint32_t n_ep, uint64_t seed)
{
    memset(x, 0, sizeof *x);
    bench_init(&x->b, n_ep, seed);
    x->b.net[0].split = RPCFAN_SPLIT_RANGE;
    x->b.arg = x;
    x->b.serve = serve;
    x->b.done = done;
}

static struct rf_vcall *ask(struct chain *x, const char *params, uint64_t life_ns)
{
    struct rf_vcall *c = rf_vcall_new(++x->b.submitted, "eth_getLogs", params);
    assert_non_null(c);
    rf_vshell_submit(x->b.v, c, rf_vshell_now(x->b.v) + life_ns);
    return c;
}

static struct rf_vcall *ask_range(struct chain *x, uint64_t from, uint64_t to, uint64_t life_ns)
{
    char params[96];
    snprintf(params, sizeof params, "[{\"fromBlock\":\"0x%llx\",\"toBlock\":\"0x%llx\"}]",
             (unsigned long long)from, (unsigned long long)to);
    return ask(x, params, life_ns);
}

static void tear_down(struct chain *x)
{
    bench_fini(&x->b);
    rf_buf_fini(&x->last);
    assert_int_equal(x->other, 0);
}

static uint64_t learned(struct chain *x, uint32_t ep)
{
    const struct rf_endpoint *e = bench_ep(&x->b, ep);
    return e->n_ranges > 0 ? e->range[0].cap.cap : 0;
}

static const char *const tellings[] = {
    "\"code\":-32602,\"message\":\"exceed maximum block range: %llu\"",
    "\"code\":-32614,\"message\":\"eth_getLogs is limited to a %llu range\"",
    "\"code\":-32600,\"message\":\"maximum [from, to] blocks distance: %llu\"",
    "\"code\":-32602,\"message\":\"eth_getLogs is limited to 0 - %llu blocks range\"",
    "\"code\":-32000,\"message\":\"block range greater than %llu max\"",
};

/* A cap that is told costs one refusal; the next call costs none. */
static void test_range_cap_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < RF_COUNT(tellings); i++) {
        struct chain x;
        set_up(&x, 1, i);
        x.node[0].blocks = 100;
        x.node[0].too_long = tellings[i];
        bench_start(&x.b);
        ask_range(&x, 1000, 1999, 60 * RF_SEC);
        bench_run(&x.b, 60 * RF_SEC);
        assert_int_equal(x.same, 1);
        assert_int_equal(x.node[0].refused, 1);
        assert_int_equal(x.node[0].asked, 11);
        assert_int_equal(x.sends, 11);
        assert_int_equal(learned(&x, 0), 100);
        ask_range(&x, 5000, 5999, 60 * RF_SEC);
        bench_run(&x.b, 60 * RF_SEC);
        assert_int_equal(x.same, 2);
        assert_int_equal(x.node[0].refused, 1);
        assert_int_equal(x.node[0].asked, 21);
        struct rf_buf b = {0};
        rf_core_status(rf_vshell_core(x.b.v), 0, &b);
        rf_buf_char(&b, '\0');
        assert_non_null(strstr(b.data, "\"ranges\":{\"eth_getLogs\":100}"));
        rf_buf_fini(&b);
        tear_down(&x);
    }
}

/* A cap that is not told: halves until it fits, and what fitted is remembered. */
static void test_range_cap_untold(void **state)
{
    (void)state;
    struct chain x;
    set_up(&x, 1, 2);
    x.node[0].blocks = 700;
    bench_start(&x.b);
    ask_range(&x, 0, 9999, 60 * RF_SEC);
    bench_run(&x.b, 60 * RF_SEC);
    assert_int_equal(x.same, 1);
    assert_true(x.node[0].asked <= 4 * (10000 / 700 + 1));
    assert_true(learned(&x, 0) > 350 && learned(&x, 0) <= 700);
    uint64_t refused = x.node[0].refused;
    ask_range(&x, 20000, 29999, 60 * RF_SEC);
    bench_run(&x.b, 60 * RF_SEC);
    assert_int_equal(x.same, 2);
    assert_int_equal(x.node[0].refused, refused);
    tear_down(&x);
}

/* An untold cap is probed upward once it has held for long; a told one never is. */
static void test_range_cap_grows(void **state)
{
    (void)state;
    struct chain x;
    set_up(&x, 1, 3);
    x.node[0].blocks = 700;
    bench_start(&x.b);
    ask_range(&x, 0, 9999, 60 * RF_SEC);
    bench_run(&x.b, 60 * RF_SEC);
    uint64_t before = learned(&x, 0), refused = x.node[0].refused;
    x.node[0].blocks = 100000;
    for (int i = 0; i < 30; i++) {
        ask_range(&x, 0, 29999, 60 * RF_SEC);
        bench_run(&x.b, 120 * RF_SEC);
    }
    assert_true(learned(&x, 0) > before);
    assert_int_equal(x.node[0].refused, refused);
    assert_int_equal(x.same, 31);
    tear_down(&x);
}

static void results_case(uint64_t results, bool suggests, uint64_t seed)
{
    struct chain x;
    set_up(&x, 1, seed);
    x.node[0].results = results;
    x.node[0].suggests = suggests;
    bench_start(&x.b);
    ask_range(&x, 3000, 6999, 120 * RF_SEC);
    bench_run(&x.b, 120 * RF_SEC);
    assert_int_equal(x.same, 1);
    assert_int_equal(learned(&x, 0), 0);
    assert_true(x.legs_most <= 64 * 12); /* a chain of halves below each of 64 */
    tear_down(&x);
}

static void test_range_too_many_results(void **state)
{
    (void)state;
    static const uint64_t results[] = {4, 5, 17, 100, 900};
    for (size_t i = 0; i < RF_COUNT(results); i++) {
        results_case(results[i], false, i);
        results_case(results[i], true, i);
    }
}

/* `latest` is looked up once, and then it is a number. */
static void test_range_latest(void **state)
{
    (void)state;
    static const char *const params[] = {
        "[{\"fromBlock\":\"0x1312b0c\",\"toBlock\":\"latest\"}]",
        "[{\"fromBlock\":\"0x1312b0c\"}]",
        "[{\"toBlock\":null,\"fromBlock\":\"0x1312b0c\",\"topics\":[]}]",
    };
    for (size_t i = 0; i < RF_COUNT(params); i++) {
        for (unsigned told = 0; told < 2; told++) {
            struct chain x;
            set_up(&x, 1, i);
            x.node[0].blocks = 100;
            x.node[0].too_long = told ? tellings[0] : NULL;
            bench_start(&x.b);
            ask(&x, params[i], 60 * RF_SEC);
            bench_run(&x.b, 60 * RF_SEC);
            assert_int_equal(x.same, 1);
            assert_int_equal(learned(&x, 0) > 0, 1);
            if (told)
                assert_int_equal(x.node[0].asked, 1 + 1 + 6);
            tear_down(&x);
        }
    }
}

static void add_addresses(struct rf_buf *b, unsigned n)
{
    rf_buf_str(b, "\"address\":[");
    for (unsigned i = 0; i < n; i++)
        rf_buf_printf(b, "%s\"0xA%04u\"", i > 0 ? "," : "", i % 5 == 4 ? i + 100 : i);
    rf_buf_char(b, ']');
}

static void ask_addresses(struct chain *x, uint64_t from, uint64_t to, unsigned n)
{
    struct rf_buf b = {0};
    rf_buf_printf(&b, "[{\"fromBlock\":\"0x%llx\",\"toBlock\":\"0x%llx\",",
                  (unsigned long long)from, (unsigned long long)to);
    add_addresses(&b, n);
    rf_buf_str(&b, "}]");
    rf_buf_char(&b, '\0');
    ask(x, b.data, 120 * RF_SEC);
    rf_buf_fini(&b);
}

static void test_range_filter_is_split(void **state)
{
    (void)state;
    static const unsigned most[] = {1, 2, 3, 10, 63};
    for (size_t i = 0; i < RF_COUNT(most); i++) {
        struct chain x;
        set_up(&x, 1, i);
        x.node[0].addresses = most[i];
        bench_start(&x.b);
        ask_addresses(&x, 0, 499, 64);
        bench_run(&x.b, 120 * RF_SEC);
        assert_int_equal(x.same, 1);
        tear_down(&x);
    }
}

/* A single block that holds too much is asked for by address. */
static void test_range_single_block_by_address(void **state)
{
    (void)state;
    struct chain x;
    uint64_t at = 0;
    while (chain_logs_in(at) < 4)
        at++;
    set_up(&x, 1, 1);
    x.node[0].results = 2;
    bench_start(&x.b);
    ask_addresses(&x, at > 50 ? at - 50 : 0, at + 50, 7);
    bench_run(&x.b, 120 * RF_SEC);
    assert_int_equal(x.same, 1);
    tear_down(&x);
}

/* A node that always finds it too much: found out after a bounded number of requests, with bounded
 * memory, and the answer is its own error. */
static void always_refuses(const char *params, bool suggests, uint64_t most_asked)
{
    struct chain x;
    set_up(&x, 1, 1);
    x.node[0].results = 1; /* see below */
    x.node[0].suggests = suggests;
    x.node[0].blocks = suggests ? 0 : 1;
    x.node[0].too_long = "\"code\":-32005,\"message\":\"query returned more than 10000 results\"";
    bench_start(&x.b);
    ask(&x, params, 600 * RF_SEC);
    bench_run(&x.b, 600 * RF_SEC);
    assert_int_equal(x.b.by_err[RPCFAN_ERPC], 1);
    assert_non_null(strstr(x.json, suggests ? "should work" : "query returned more"));
    assert_non_null(strstr(x.b.detail, "blocks "));
    assert_true(x.legs_most <= 64 * 30);
    if (x.node[0].asked > most_asked)
        fail_msg("%llu requests", (unsigned long long)x.node[0].asked);
    tear_down(&x);
}

static void test_range_always_refused(void **state)
{
    (void)state;
    always_refuses("[{\"fromBlock\":\"0x0\",\"toBlock\":\"0x98967f\"}]", false, 3000);
    always_refuses("[{\"fromBlock\":\"0x0\",\"toBlock\":\"0xffffffffffffff\"}]", false, 6000);
    always_refuses("[{\"fromBlock\":\"0x0\",\"toBlock\":\"0xfff\"}]", true, 3000);
}

/* Ten million blocks, ten at a time: 64 pieces are out, never more, and memory stays flat. */
static void test_range_huge_with_tiny_cap(void **state)
{
    (void)state;
    struct chain x;
    set_up(&x, 1, 1);
    x.node[0].blocks = 10;
    x.node[0].too_long = tellings[0];
    x.b.ep[0].in_flight = 64;
    bench_start(&x.b);
    ask_range(&x, 0, 9999999, 5 * RF_SEC);
    bench_run(&x.b, 10 * RF_SEC);
    assert_int_equal(x.b.by_err[RPCFAN_EDEADLINE], 1);
    assert_true(x.legs_most <= 64);
    assert_int_equal(x.node[0].refused, 1);
    assert_non_null(strstr(x.b.detail, "under way"));
    tear_down(&x);
}

/* A piece that is throttled waits as any call does; the whole does not fail. */
static void test_range_piece_throttled(void **state)
{
    (void)state;
    struct chain x;
    set_up(&x, 1, 1);
    x.node[0].blocks = 100;
    x.node[0].too_long = tellings[0];
    x.node[0].throttled = 7;
    bench_start(&x.b);
    ask_range(&x, 0, 4999, 120 * RF_SEC);
    bench_run(&x.b, 120 * RF_SEC);
    assert_int_equal(x.same, 1);
    assert_true(bench_ep(&x.b, 0)->gate.throttle.epochs > 0);
    tear_down(&x);
}

static void one_bad_piece(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                          struct rf_vreply *out)
{
    struct rf_range r;
    const struct rf_call *c = ex->call[0];
    if (c != NULL && rf_range_read(rf_call_method(c), rf_call_params(c), &r) && r.from == 300 &&
        r.to == 399)
        rf_vreply_error(&out->body, ex->id_base, -32602, "invalid argument 0: no such thing");
    else
        serve(b, ex, now_ns, out);
}

static void test_range_piece_fails(void **state)
{
    (void)state;
    struct chain x;
    set_up(&x, 1, 1);
    x.b.serve = one_bad_piece;
    x.node[0].blocks = 100;
    x.node[0].too_long = tellings[0];
    bench_start(&x.b);
    ask_range(&x, 0, 9999, 60 * RF_SEC);
    bench_run(&x.b, 60 * RF_SEC);
    assert_int_equal(x.b.by_err[RPCFAN_ERPC], 1);
    assert_non_null(strstr(x.json, "no such thing"));
    assert_non_null(strstr(x.b.detail, "blocks 300 to 399"));
    tear_down(&x);
}

static void no_list(struct bench *b, struct rf_exchange *ex, uint64_t now_ns, struct rf_vreply *out)
{
    struct rf_range r;
    const struct rf_call *c = ex->call[0];
    if (c != NULL && rf_range_read(rf_call_method(c), rf_call_params(c), &r) && r.from == 300 &&
        r.to == 399)
        rf_vreply_result(&out->body, ex->id_base, "{\"logs\":1}");
    else
        serve(b, ex, now_ns, out);
}

static void test_range_piece_is_no_list(void **state)
{
    (void)state;
    struct chain x;
    set_up(&x, 1, 1);
    x.b.serve = no_list;
    x.node[0].blocks = 100;
    x.node[0].too_long = tellings[0];
    bench_start(&x.b);
    ask_range(&x, 0, 9999, 60 * RF_SEC);
    bench_run(&x.b, 60 * RF_SEC);
    assert_int_equal(x.b.by_err[RPCFAN_EMALFORMED], 1);
    assert_non_null(strstr(x.b.detail, "blocks 300 to 399: the answer is no list"));
    tear_down(&x);
}

static void spacious(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                     struct rf_vreply *out)
{
    struct rf_range r;
    const struct rf_call *c = ex->call[0];
    if (c != NULL && rf_range_read(rf_call_method(c), rf_call_params(c), &r) && r.to - r.from < 100)
        rf_vreply_result(&out->body, ex->id_base, " [ 1 ,\n 2 ]\n");
    else
        serve(b, ex, now_ns, out);
}

/* Whitespace inside of pieces is whitespace inside of the answer: who prints lines must know. */
static void test_range_space_is_told(void **state)
{
    (void)state;
    struct chain x;
    set_up(&x, 1, 1);
    x.b.serve = spacious;
    x.node[0].blocks = 100;
    x.node[0].too_long = tellings[0];
    bench_start(&x.b);
    ask_range(&x, 0, 199, 60 * RF_SEC);
    bench_run(&x.b, 60 * RF_SEC);
    rf_buf_char(&x.last, '\0');
    assert_string_equal(x.last.data, "[1 ,\n 2,1 ,\n 2]");
    assert_true(x.space);
    x.other = 0; /* no chain of ours */
    tear_down(&x);
}

/* A call without the wish, and one that cannot be cut, get the node's own error. */
static void test_range_not_split(void **state)
{
    (void)state;
    struct chain x;
    set_up(&x, 1, 1);
    x.b.net[0].split = RPCFAN_SPLIT_NONE;
    x.node[0].blocks = 100;
    bench_start(&x.b);
    ask_range(&x, 0, 9999, 60 * RF_SEC);
    bench_run(&x.b, RF_SEC);
    assert_int_equal(x.b.by_err[RPCFAN_ERPC], 1);
    assert_int_equal(x.node[0].asked, 1);
    tear_down(&x);
}

/* Nodes with different caps, one of them throttling: the pieces go where there is room. */
static void test_range_over_several_nodes(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct chain x;
        set_up(&x, EPS, seed);
        x.node[0].blocks = 100;
        x.node[0].too_long = tellings[seed % RF_COUNT(tellings)];
        x.node[1].blocks = 1000;
        x.node[2].results = 50;
        x.node[2].throttled = 13;
        for (uint32_t i = 0; i < EPS; i++)
            x.b.ep[i].batch = (seed & 1) != 0 ? 5 : 1;
        bench_start(&x.b);
        for (uint64_t i = 0; i < 20; i++) {
            ask_range(&x, i * 1000, i * 1500 + 4000, 120 * RF_SEC);
            bench_run(&x.b, (seed % 3) * RF_SEC);
        }
        bench_run(&x.b, 120 * RF_SEC);
        assert_int_equal(x.same, 20);
        tear_down(&x);
    }
}

/* Of equal calls one is sent; where its caller gives up, the next takes its place with the time
 * that is its own, not with that of the first. */
static void deadline_case(bool cancel)
{
    struct chain x;
    set_up(&x, 1, 1);
    x.b.net[0].join = 1;
    x.node[0].blocks = 100;
    x.node[0].too_long = tellings[0];
    x.b.ep[0].in_flight = 1;
    bench_start(&x.b);
    struct rf_vcall *first = ask_range(&x, 0, 9999, cancel ? 60 * RF_SEC : RF_SEC);
    ask_range(&x, 0, 9999, 30 * RF_SEC);
    bench_run(&x.b, RF_SEC / 2);
    if (cancel)
        rf_vshell_cancel(x.b.v, first);
    bench_run(&x.b, 60 * RF_SEC);
    assert_int_equal(x.same, 1);
    assert_int_equal(x.b.by_err[cancel ? RPCFAN_ECANCELED : RPCFAN_EDEADLINE], 1);
    tear_down(&x);
}

static void test_range_heir_has_its_own_time(void **state)
{
    (void)state;
    deadline_case(false);
    deadline_case(true);
}

static void slow_first(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                       struct rf_vreply *out)
{
    struct chain *x = b->arg;
    serve(b, ex, now_ns, out);
    if (ex->index == 0 && x->node[1].blocks > 0)
        out->delay_ns = RF_SEC;
}

/* The second try of a slow read meets a node that finds the range too long: that is no answer, the
 * first try is still under way. */
static void test_range_refused_hedge_is_no_answer(void **state)
{
    (void)state;
    struct chain x;
    set_up(&x, 2, 5);
    x.b.serve = slow_first;
    x.b.net[0].hedge_percent = 50;
    x.b.ep[1].priority = 1;
    bench_start(&x.b);
    for (uint64_t i = 0; i < 400; i++) {
        ask_range(&x, i, i + 20, 20 * RF_SEC);
        bench_run(&x.b, 50 * RF_MS);
    }
    x.node[1].blocks = 10;
    for (uint64_t i = 0; i < 20; i++) {
        ask_range(&x, i, i + 20, 20 * RF_SEC);
        bench_run(&x.b, 2 * RF_SEC);
    }
    assert_true(x.node[1].refused > 0);
    assert_true(bench_net(&x.b, 0)->hedged > 0);
    assert_int_equal(x.same, 420);
    tear_down(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_range_cap_told),
        cmocka_unit_test(test_range_cap_untold),
        cmocka_unit_test(test_range_cap_grows),
        cmocka_unit_test(test_range_too_many_results),
        cmocka_unit_test(test_range_latest),
        cmocka_unit_test(test_range_filter_is_split),
        cmocka_unit_test(test_range_single_block_by_address),
        cmocka_unit_test(test_range_always_refused),
        cmocka_unit_test(test_range_huge_with_tiny_cap),
        cmocka_unit_test(test_range_piece_throttled),
        cmocka_unit_test(test_range_piece_fails),
        cmocka_unit_test(test_range_piece_is_no_list),
        cmocka_unit_test(test_range_space_is_told),
        cmocka_unit_test(test_range_not_split),
        cmocka_unit_test(test_range_over_several_nodes),
        cmocka_unit_test(test_range_heir_has_its_own_time),
        cmocka_unit_test(test_range_refused_hedge_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
