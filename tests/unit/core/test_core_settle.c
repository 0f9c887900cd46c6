/* test_core_settle.c - what is made of a reply: bodies that are no JSON-RPC, wrong ids, refusals of
 * a whole batch, answers that come too late, and the books that each of them goes into. */
#include "core_case.h"

/* One reply to everything, at a status. */
struct canned {
    int status;
    const char *body;
};

static void canned_reply(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                         struct rf_vreply *out)
{
    const struct canned *c = b->arg;
    (void)ex, (void)now_ns;
    bench_reply(out, c->status, c->body);
}

/* A body that is JSON but no answer: the status decides, or the words in it. */
static void test_settle_bare_bodies_are_judged_by_status_and_text(void **state)
{
    (void)state;
    static const struct {
        struct canned reply;
        enum rpcfan_err err;
        bool throttles, fails;
    } cases[] = {
        {{429, "{\"message\":\"slow down\"}"}, RPCFAN_ETHROTTLED, true, false},
        {{429, "{\"id\":77,\"error\":{\"code\":-1,\"message\":\"x\"}}"},
         RPCFAN_ETHROTTLED,
         true,
         false},
        {{429, "{\"jsonrpc\":\"2.0\",\"id\":\"abc\"}"}, RPCFAN_ETHROTTLED, true, false},
        {{429, "[]"}, RPCFAN_ETHROTTLED, true, false},
        {{429, "[1,2]"}, RPCFAN_ETHROTTLED, true, false},
        {{429, "\"slow\""}, RPCFAN_ETHROTTLED, true, false},
        {{429, "<html>"}, RPCFAN_ETHROTTLED, true, false},
        {{429, ""}, RPCFAN_ETHROTTLED, true, false},
        {{200, "{\"code\":-32007,\"message\":\"50/second request limit reached\"}"},
         RPCFAN_ETHROTTLED,
         true,
         false},
        {{401, "{\"message\":\"no key\"}"}, RPCFAN_EAUTH, false, false},
        {{402, "{\"message\":\"pay\"}"}, RPCFAN_EQUOTA, false, false},
        {{503, "{\"message\":\"down\"}"}, RPCFAN_ESERVER, false, true},
        {{503, "{\"error\":\"Service Unavailable\"}"}, RPCFAN_ESERVER, false, true},
        {{500, "{\"id\":1000,\"result\":1}"}, RPCFAN_ESERVER, false, true},
        {{200, "{\"id\":1000,\"result\":1}"}, RPCFAN_EMALFORMED, false, true},
        {{200, "{}"}, RPCFAN_EMALFORMED, false, true},
        {{200, "[]"}, RPCFAN_EMALFORMED, false, true},
        {{200, ""}, RPCFAN_EMALFORMED, false, true},
        {{200, "{\"id\":1,\"result\":1"}, RPCFAN_EMALFORMED, false, true},
        {{200, "{\"id\":1}"}, RPCFAN_EMALFORMED, false, true},
        {{200, "{\"id\":1,\"result\":1,\"error\":{\"code\":1}}"}, RPCFAN_EMALFORMED, false, true},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        for (uint32_t batch = 1; batch <= 4; batch += 3) {
            struct bench b;
            bench_init(&b, 1, 1);
            b.net[0].attempts = 1;
            b.ep[0].batch = batch;
            b.serve = canned_reply;
            b.arg = (void *)(uintptr_t)&cases[i].reply;
            bench_start(&b);
            bench_calls(&b, batch, "eth_call", 3 * RF_SEC);
            bench_run(&b, 30 * RF_MS);
            bool paused = bench_ep(&b, 0)->gate.throttle.epochs > 0;
            bool failed = bench_ep(&b, 0)->fail_streak > 0;
            bench_run(&b, 10 * RF_SEC);
            bool deadline = cases[i].throttles && b.last == RPCFAN_EDEADLINE;
            /* nothing, or an empty array, is how some refuse a batch: it is split first */
            bool split = batch > 1 &&
                         (cases[i].reply.body[0] == '\0' || strcmp(cases[i].reply.body, "[]") == 0);
            if (paused != cases[i].throttles || (failed != cases[i].fails && !split) ||
                (b.last != cases[i].err && !deadline))
                fail_msg("%d %s to %u: %s (%s), paused %d, failed %d", cases[i].reply.status,
                         cases[i].reply.body, batch, rpcfan_err_name(b.last), b.detail, paused,
                         failed);
            if (strstr(b.detail, "ep1") == NULL)
                fail_msg("%d %s to %u: '%s' does not name the endpoint", cases[i].reply.status,
                         cases[i].reply.body, batch, b.detail);
            bench_fini(&b);
        }
    }
}

/* A refusal without JSON is final for a bad request, and says what the node said. */
static void test_settle_bad_request_without_json_is_explained(void **state)
{
    (void)state;
    struct canned reply = {400, "<html>bad</html>"};
    struct bench b;
    bench_init(&b, 1, 1);
    b.serve = canned_reply;
    b.arg = &reply;
    bench_start(&b);
    bench_call(&b, 0, "eth_call", 3 * RF_SEC);
    bench_run(&b, RF_SEC);
    assert_int_equal(b.answered, 1);
    assert_int_equal(b.exchanges, 1);
    if (strstr(b.detail, "HTTP 400") == NULL)
        fail_msg("'%s' does not say HTTP 400", b.detail);
    bench_fini(&b);
}

/* An array of one error means all calls of the batch, whatever it is that is refused. */
static void test_settle_array_of_one_error_speaks_for_all(void **state)
{
    (void)state;
    static const struct {
        const char *error;
        enum rpcfan_err err;
    } cases[] = {
        {"{\"code\":-32000,\"message\":\"invalid api key\"}", RPCFAN_EAUTH},
        {"{\"code\":402,\"message\":\"monthly capacity limit exceeded\"}", RPCFAN_EQUOTA},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        char body[160];
        struct canned reply = {200, body};
        struct bench b;
        snprintf(body, sizeof body, "[{\"id\":1,\"error\":%s}]", cases[i].error);
        bench_init(&b, 1, 1);
        b.ep[0].batch = 4;
        b.serve = canned_reply;
        b.arg = &reply;
        bench_start(&b);
        bench_calls(&b, 4, "eth_call", 3 * RF_SEC);
        bench_run(&b, RF_SEC);
        assert_int_equal(b.by_err[cases[i].err], 4);
        assert_int_equal(bench_ep(&b, 0)->fail_streak, 0);
        assert_int_equal(bench_ep(&b, 0)->count.malformed, 0);
        bench_fini(&b);
    }
}

/* The call is gone when the 429 comes: the endpoint pauses all the same. */
static void late_refusal(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                         struct rf_vreply *out)
{
    const struct canned *c = b->arg;
    (void)ex, (void)now_ns;
    out->delay_ns = 500 * RF_MS;
    out->retry_after_ns = 5 * RF_SEC;
    bench_reply(out, c->status, c->body);
}

static void test_settle_late_refusals_still_pause(void **state)
{
    (void)state;
    static const struct canned cases[] = {
        {429, "busy"},
        {429, "{\"id\":null,\"error\":{\"code\":429,\"message\":\"x\"}}"},
        {429, "{\"id\":1,\"error\":{\"code\":429,\"message\":\"x\"}}"},
        {200, "[{\"id\":1,\"error\":{\"code\":-32005,\"message\":\"rate limit\"}},"
              "{\"id\":2,\"error\":{\"code\":-32005,\"message\":\"rate limit\"}}]"},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct bench b;
        bench_init(&b, 1, 1);
        b.ep[0].batch = 2;
        b.serve = late_refusal;
        b.arg = (void *)(uintptr_t)&cases[i];
        bench_start(&b);
        struct rf_vcall *c1 = bench_call(&b, 0, "eth_call", 9 * RF_SEC);
        struct rf_vcall *c2 = bench_call(&b, 0, "eth_call", 9 * RF_SEC);
        bench_run(&b, 10 * RF_MS);
        rf_vshell_cancel(b.v, c1);
        rf_vshell_cancel(b.v, c2);
        bench_run(&b, RF_SEC);
        assert_int_equal(b.by_err[RPCFAN_ECANCELED], 2);
        assert_int_equal(bench_ep(&b, 0)->gate.throttle.epochs, 1);
        assert_int_equal(bench_ep(&b, 0)->fail_streak, 0);
        bench_fini(&b);
    }
}

/* One exchange is one sample, however many calls it holds. */
static void test_settle_exchange_is_one_sample(void **state)
{
    (void)state;
    struct canned reply = {500, "oops"};
    struct bench b;
    bench_init(&b, 1, 1);
    b.net[0].attempts = 1;
    b.ep[0].batch = 20;
    b.ep[0].learn = 0;
    b.serve = canned_reply;
    b.arg = &reply;
    bench_start(&b);
    bench_calls(&b, 20, "eth_call", 3 * RF_SEC);
    bench_run(&b, RF_SEC);
    assert_int_equal(bench_ep(&b, 0)->breaker.streak, 1);
    assert_int_equal(bench_ep(&b, 0)->fail_streak, 1);
    assert_int_equal(bench_ep(&b, 0)->count.server, 20);
    assert_int_equal(bench_ep(&b, 0)->count.requests, 1);
    bench_fini(&b);
}

/* Order, duplicates, foreign ids and junk in an array change nothing (P10). */
static void permuted(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                     struct rf_vreply *out)
{
    uint32_t at[64];
    (void)now_ns;
    for (uint32_t i = 0; i < ex->n; i++)
        at[i] = i;
    for (uint32_t i = ex->n; i > 1; i--) {
        uint32_t k = (uint32_t)rf_rng_below(&b->rng, i), t = at[k];
        at[k] = at[i - 1];
        at[i - 1] = t;
    }
    rf_buf_str(&out->body, "[{\"id\":0,\"result\":0}");
    for (uint32_t i = 0; i < ex->n; i++) {
        uint64_t id = ex->id_base + at[i];
        if (rf_rng_below(&b->rng, 4) == 0)
            rf_buf_str(&out->body, ",null");
        rf_buf_printf(&out->body,
                      rf_rng_below(&b->rng, 2) ? ",{\"id\":%llu,\"result\":"
                                               : ",{\"id\":\"%llu\", \"result\": ",
                      (unsigned long long)id);
        rf_vnode_answer(ex->call[at[i]], &out->body);
        rf_buf_char(&out->body, '}');
        if (rf_rng_below(&b->rng, 4) == 0)
            rf_buf_printf(&out->body, ",{\"id\":%llu,\"result\":9}", (unsigned long long)id);
    }
    rf_buf_char(&out->body, ']');
}

static void test_settle_order_of_members_changes_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct bench b;
        bench_init(&b, 1, seed);
        b.ep[0].batch = 30;
        b.serve = permuted;
        bench_start(&b);
        bench_calls(&b, 20 + (uint32_t)seed % 40, "eth_call", 3 * RF_SEC);
        bench_run(&b, RF_SEC);
        assert_int_equal(b.ok, b.submitted);
        assert_int_equal(b.exchanges, bench_ep(&b, 0)->count.requests);
        for (uint64_t n = b.ok, e = b.exchanges; e > 0; e--)
            assert_true(n >= e);
        bench_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settle_bare_bodies_are_judged_by_status_and_text),
        cmocka_unit_test(test_settle_bad_request_without_json_is_explained),
        cmocka_unit_test(test_settle_array_of_one_error_speaks_for_all),
        cmocka_unit_test(test_settle_late_refusals_still_pause),
        cmocka_unit_test(test_settle_exchange_is_one_sample),
        cmocka_unit_test(test_settle_order_of_members_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
