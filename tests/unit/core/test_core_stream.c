/* test_core_stream.c - streamed calls in the core: alone in their exchange, to one endpoint,
 * without a deadline of the network's, ended with their caller, retried like any read. */
#include "core_case.h"

#include "base/due.h"

#define ROWS                                                                                       \
    "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"context\":{\"slot\":5},\"value\":[1,22]}}"

/* What a streamed call was told. */
struct told {
    struct rf_buf elements; /* a | behind each; > in front of a first one */
    struct rf_buf json;     /* of the completion */
    uint64_t slot;
    enum rpcfan_err err;
    unsigned done, serves;
    const char *const *script; /* replies in turn, with a %llu for the id; the last for ever */
    unsigned n_script;
    uint64_t delay_ns;
    bool alone; /* every exchange of a streamed call had one member */
    uint64_t timeout_ns;
};

static void on_element(void *arg, struct rf_call *c, const struct rpcfan_element *e)
{
    struct told *t = ((struct bench *)arg)->arg;
    assert_true(c->stream);
    if (e->first)
        rf_buf_char(&t->elements, '>');
    rf_buf_add(&t->elements, e->json.data, e->json.len);
    rf_buf_char(&t->elements, '|');
    t->slot = e->context_slot;
}

static void on_done(struct bench *b, struct rf_vcall *c, uint64_t now_ns)
{
    struct told *t = b->arg;
    (void)now_ns;
    b->wrong = 0; /* the answers are not a node's */
    if (!c->call.stream)
        return;
    t->done++;
    t->err = c->call.err;
    t->json.len = 0;
    rf_buf_add(&t->json, c->call.json, c->call.json_len);
}

static void serve(struct bench *b, struct rf_exchange *ex, uint64_t now_ns, struct rf_vreply *out)
{
    struct told *t = b->arg;
    (void)now_ns;
    if (!ex->stream) {
        bench_reply_ok(ex, out);
        return;
    }
    t->alone = t->alone && ex->n == 1;
    t->timeout_ns = ex->timeout_ns;
    unsigned i = t->serves < t->n_script ? t->serves : t->n_script - 1;
    t->serves++;
    out->delay_ns = t->delay_ns;
    rf_buf_printf(&out->body, t->script[i], (unsigned long long)ex->id_base);
}

static void start(struct bench *b, struct told *t, uint32_t n_ep)
{
    bench_init(b, n_ep, 7);
    b->net[0].family = RPCFAN_SOLANA;
    b->serve = serve;
    b->done = on_done;
    b->arg = t;
    t->alone = true;
    t->delay_ns = 20 * RF_MS;
}

static void begin(struct bench *b)
{
    struct rf_vhooks hooks = {
        .arg = b, .serve = bench_on_serve, .done = bench_on_done, .element = on_element};
    for (uint32_t i = 0; i < BENCH_EPS; i++)
        assert_true(rf_vnode_init(&b->node[i], b->o.seed * 97 + i));
    assert_int_equal(rf_vshell_new(&b->o, &hooks, NULL, &b->v, NULL), RPCFAN_OK);
}

static struct rf_vcall *ask(struct bench *b, uint64_t deadline_ns)
{
    struct rf_vcall *c = rf_vcall_new(++b->submitted, "getProgramAccounts", "[\"p\"]");
    assert_non_null(c);
    c->call.stream = true;
    rf_vshell_submit(b->v, c, deadline_ns);
    return c;
}

static void end(struct bench *b, struct told *t)
{
    bench_fini(b);
    rf_buf_fini(&t->elements);
    rf_buf_fini(&t->json);
}

static bool is(const struct rf_buf *b, const char *text)
{
    return b->len == strlen(text) && (b->len == 0 || memcmp(b->data, text, b->len) == 0);
}

static void test_stream_elements_then_result(void **state)
{
    (void)state;
    static const char *const script[] = {ROWS};
    struct told t = {.script = script, .n_script = 1};
    struct bench b;
    start(&b, &t, 1);
    begin(&b);
    ask(&b, RF_NEVER);
    bench_run(&b, RF_SEC);
    assert_int_equal(t.done, 1);
    assert_int_equal(t.err, RPCFAN_OK);
    assert_true(is(&t.elements, ">1|22|"));
    assert_true(is(&t.json, "{\"context\":{\"slot\":5},\"value\":[]}"));
    assert_int_equal(t.slot, 5);
    end(&b, &t);
}

static void test_stream_goes_alone(void **state)
{
    (void)state;
    static const char *const script[] = {ROWS};
    struct told t = {.script = script, .n_script = 1};
    struct bench b;
    start(&b, &t, 2);
    for (unsigned i = 0; i < 2; i++)
        b.ep[i].batch = 50;
    b.net[0].join = 1;
    b.net[0].policy = RPCFAN_FIRST;
    b.net[0].hedge_percent = 50;
    begin(&b);
    for (unsigned i = 0; i < 10; i++) {
        bench_calls(&b, 10, "getProgramAccounts", 10 * RF_SEC);
        ask(&b, RF_NEVER);
        ask(&b, RF_NEVER);
        bench_run(&b, RF_SEC);
    }
    assert_true(t.alone);
    assert_int_equal(t.done, 20);
    assert_int_equal(t.serves, 20); /* neither joined nor sent to several */
    end(&b, &t);
}

static void test_stream_again_begins_anew(void **state)
{
    (void)state;
    static const char *const script[] = {"{\"id\":%llu,\"result\":[1,22,3",
                                         "{\"id\":%llu,\"result\":[1,22]}"};
    struct told t = {.script = script, .n_script = 2};
    struct bench b;
    start(&b, &t, 1);
    begin(&b);
    ask(&b, RF_NEVER);
    bench_run(&b, 10 * RF_SEC);
    assert_int_equal(t.done, 1);
    assert_int_equal(t.err, RPCFAN_OK);
    assert_true(is(&t.elements, ">1|22|>1|22|"));
    assert_true(is(&t.json, "[]"));
    end(&b, &t);
}

static void test_stream_gives_up_after_its_tries(void **state)
{
    (void)state;
    static const char *const script[] = {"{\"id\":%llu,\"result\":[1,"};
    struct told t = {.script = script, .n_script = 1};
    struct bench b;
    start(&b, &t, 1);
    begin(&b);
    ask(&b, RF_NEVER);
    bench_run(&b, 60 * RF_SEC);
    assert_int_equal(t.err, RPCFAN_EMALFORMED);
    assert_int_equal(t.serves, 3);
    assert_true(is(&t.elements, ">1|>1|>1|"));
    end(&b, &t);
}

static void test_stream_errors_are_judged(void **state)
{
    (void)state;
    static const char *const script[] = {
        "{\"id\":%llu,\"error\":{\"code\":-32016,\"message\":\"Minimum context slot has not been "
        "reached\",\"data\":{\"contextSlot\":4}}}",
        "{\"id\":%llu,\"error\":{\"code\":429,\"message\":\"Too many requests\"}}", ROWS};
    struct told t = {.script = script, .n_script = 3};
    struct bench b;
    start(&b, &t, 1);
    begin(&b);
    ask(&b, RF_NEVER);
    bench_run(&b, 30 * RF_SEC);
    assert_int_equal(t.serves, 3);
    assert_int_equal(t.err, RPCFAN_OK);
    assert_true(is(&t.elements, ">1|22|"));
    end(&b, &t);
    static const char *const final[] = {
        "{\"id\":%llu,\"error\":{\"code\":-32602,\"message\":\"Invalid param: WrongSize\"}}"};
    struct told f = {.script = final, .n_script = 1};
    start(&b, &f, 1);
    begin(&b);
    ask(&b, RF_NEVER);
    bench_run(&b, 30 * RF_SEC);
    assert_int_equal(f.err, RPCFAN_ERPC);
    assert_non_null(memmem(f.json.data, f.json.len, "WrongSize", 9));
    assert_int_equal(f.elements.len, 0);
    end(&b, &f);
}

/* An answer in an array was not read element by element: it must not pass for one that was. */
static void test_stream_array_is_no_answer(void **state)
{
    (void)state;
    static const char *const script[] = {"[{\"id\":%llu,\"result\":[1]}]", ROWS};
    struct told t = {.script = script, .n_script = 2};
    struct bench b;
    start(&b, &t, 1);
    begin(&b);
    ask(&b, RF_NEVER);
    bench_run(&b, 10 * RF_SEC);
    assert_int_equal(t.err, RPCFAN_OK);
    assert_true(is(&t.elements, ">1|22|"));
    end(&b, &t);
}

static void test_stream_outlasts_the_network_deadline(void **state)
{
    (void)state;
    static const char *const script[] = {ROWS};
    struct told t = {.script = script, .n_script = 1, .delay_ns = 0};
    struct bench b;
    start(&b, &t, 1);
    t.delay_ns = 14 * RF_SEC;
    begin(&b);
    ask(&b, rf_time_add(0, 14500 * RF_MS));
    bench_run(&b, 20 * RF_SEC);
    assert_int_equal(t.timeout_ns, 15 * RF_SEC); /* not cut to what the call has left */
    assert_int_equal(t.err, RPCFAN_OK);
    end(&b, &t);
}

/* Nobody is left to hear of it: the exchange ends with its call. */
static void leave_early(bool cancel)
{
    static const char *const script[] = {ROWS};
    struct told t = {.script = script, .n_script = 1};
    struct bench b;
    start(&b, &t, 1);
    t.delay_ns = 10 * RF_SEC;
    begin(&b);
    struct rf_vcall *c = ask(&b, cancel ? RF_NEVER : RF_SEC);
    bench_run(&b, RF_SEC / 2);
    assert_int_equal(bench_ep(&b, 0)->in_flight, 1);
    if (cancel)
        rf_vshell_cancel(b.v, c);
    bench_run(&b, RF_SEC);
    assert_int_equal(t.done, 1);
    assert_int_equal(t.err, cancel ? RPCFAN_ECANCELED : RPCFAN_EDEADLINE);
    assert_int_equal(bench_ep(&b, 0)->in_flight, 0);
    assert_int_equal(bench_ep(&b, 0)->fail_streak, 0);
    assert_string_equal(bench_ep(&b, 0)->last_failure, "");
    bench_run(&b, 20 * RF_SEC);
    assert_int_equal(t.elements.len, 0);
    end(&b, &t);
}

static void test_stream_cancel_aborts(void **state)
{
    (void)state;
    leave_early(true);
}

static void test_stream_deadline_aborts(void **state)
{
    (void)state;
    leave_early(false);
}

static void test_stream_close_now_aborts(void **state)
{
    (void)state;
    static const char *const script[] = {ROWS};
    struct told t = {.script = script, .n_script = 1};
    struct bench b;
    start(&b, &t, 1);
    t.delay_ns = 10 * RF_SEC;
    begin(&b);
    ask(&b, RF_NEVER);
    bench_run(&b, RF_SEC / 2);
    rf_vshell_close(b.v, RPCFAN_CLOSE_NOW);
    bench_run(&b, RF_SEC / 2);
    assert_int_equal(t.err, RPCFAN_ECANCELED);
    assert_true(rf_core_idle(rf_vshell_core(b.v)));
    end(&b, &t);
}

/* A snapshot that takes long is no sample of how quick the node is. */
static void test_stream_is_no_latency_sample(void **state)
{
    (void)state;
    static const char *const script[] = {ROWS};
    struct told t = {.script = script, .n_script = 1};
    struct bench b;
    start(&b, &t, 1);
    t.delay_ns = 14 * RF_SEC;
    begin(&b);
    bench_calls(&b, 20, "getSlot", 10 * RF_SEC);
    bench_run(&b, RF_SEC);
    uint64_t before = rf_hist_quantile(&bench_ep(&b, 0)->latency, 990);
    ask(&b, RF_NEVER);
    bench_run(&b, 20 * RF_SEC);
    assert_int_equal(t.done, 1);
    assert_int_equal(rf_hist_quantile(&bench_ep(&b, 0)->latency, 990), before);
    end(&b, &t);
}

/* Endpoints that have not answered yet get one exchange at a time, but not for as long as a stream
 * takes. */
static void test_stream_does_not_hold_up_others(void **state)
{
    (void)state;
    static const char *const script[] = {ROWS};
    struct told t = {.script = script, .n_script = 1};
    struct bench b;
    start(&b, &t, 2);
    t.delay_ns = 10 * RF_SEC;
    begin(&b);
    ask(&b, RF_NEVER);
    ask(&b, RF_NEVER);
    bench_run(&b, RF_SEC);
    assert_int_equal(bench_ep(&b, 0)->streams + bench_ep(&b, 1)->streams, 2);
    bench_calls(&b, 5, "getSlot", 2 * RF_SEC);
    bench_run(&b, RF_SEC);
    assert_int_equal(b.answered, 5);
    bench_run(&b, 20 * RF_SEC);
    assert_int_equal(bench_ep(&b, 0)->streams + bench_ep(&b, 1)->streams, 0);
    end(&b, &t);
}

/* A call without a deadline must not end the list of those that rise: the heap would take all. */
static void test_stream_leaves_deadlines_cheap(void **state)
{
    (void)state;
    struct rf_due d = {0};
    struct rf_due_node n[3] = {0};
    assert_true(rf_due_init(&d, 3));
    assert_true(rf_due_add(&d, &n[0], RF_NEVER));
    assert_int_equal(rf_due_next(&d), RF_NEVER);
    assert_true(rf_due_add(&d, &n[1], 5));
    assert_true(rf_due_add(&d, &n[2], 6));
    assert_int_equal(d.rest.len, 1);
    assert_int_equal(rf_due_next(&d), 5);
    for (unsigned i = 0; i < 3; i++)
        rf_due_remove(&d, &n[i]);
    assert_null(rf_due_top(&d));
    rf_due_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_elements_then_result),
        cmocka_unit_test(test_stream_goes_alone),
        cmocka_unit_test(test_stream_again_begins_anew),
        cmocka_unit_test(test_stream_gives_up_after_its_tries),
        cmocka_unit_test(test_stream_errors_are_judged),
        cmocka_unit_test(test_stream_array_is_no_answer),
        cmocka_unit_test(test_stream_outlasts_the_network_deadline),
        cmocka_unit_test(test_stream_cancel_aborts),
        cmocka_unit_test(test_stream_deadline_aborts),
        cmocka_unit_test(test_stream_close_now_aborts),
        cmocka_unit_test(test_stream_is_no_latency_sample),
        cmocka_unit_test(test_stream_does_not_hold_up_others),
        cmocka_unit_test(test_stream_leaves_deadlines_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
