/* test_submit.c - what is refused at the door and why, and what is accepted. */
#include "client_case.h"
#include "json/rpc.h"

static void nothing(const rpcfan_result_t *res, void *arg)
{
    unsigned *n = arg;
    (void)res;
    (*n)++;
}

static void test_submit_refuses_by_name(void **state)
{
    (void)state;
    struct nobody n;
    unsigned called = 0;
    nobody_init(&n);
    nobody_start(&n);
    struct rpcfan_error err;
    const struct rpcfan_request good = {
        .size = sizeof good, .method = "m", .cb = nothing, .arg = &called};
    struct rpcfan_request r[7];
    static const char *const says[] = {"size", "method", "method", "cb",
                                       "JSON", "array",  "nowhere"};
    for (size_t i = 0; i < RF_COUNT(r); i++)
        r[i] = good;
    r[0].size = 4;
    r[1].method = NULL;
    r[2].method = "";
    r[3].cb = NULL;
    r[4].params = "[1,2";
    r[5].params = " \t\"x\"";
    r[6].network = "nowhere";
    for (size_t i = 0; i < RF_COUNT(r); i++) {
        memset(&err, 0, sizeof err);
        assert_int_equal(rpcfan_call(n.client, &r[i], NULL, &err), RPCFAN_EINVAL);
        assert_int_equal(err.code, RPCFAN_EINVAL);
        if (strstr(err.text, says[i]) == NULL)
            fail_msg("case %zu: '%s' does not name '%s'", i, err.text, says[i]);
        assert_int_equal(rpcfan_call(n.client, &r[i], NULL, NULL), RPCFAN_EINVAL);
    }
    assert_int_equal(rpcfan_call(n.client, NULL, NULL, &err), RPCFAN_EINVAL);
    nobody_fini(&n);
    assert_int_equal(called, 0);
}

/* Methods of every length and with every byte: the tail that goes out is what a parser reads back.
 */
static void test_submit_tail_holds_any_method(void **state)
{
    (void)state;
    struct nobody n;
    unsigned called = 0, accepted = 0;
    nobody_init(&n);
    nobody_start(&n);
    for (unsigned len = 1; len < 300; len++) {
        for (unsigned byte = 1; byte < 256; byte += len < 40 ? 1 : 51) {
            char method[301];
            memset(method, (int)byte, len);
            method[len] = '\0';
            struct rpcfan_request r = {
                .size = sizeof r, .method = method, .params = "[1]", .cb = nothing, .arg = &called};
            enum rpcfan_err e = rpcfan_call(n.client, &r, NULL, NULL);
            if (e == RPCFAN_EBUSY) {
                uv_run(&n.loop, UV_RUN_NOWAIT);
                continue;
            }
            assert_int_equal(e, RPCFAN_OK);
            accepted++;
            pthread_mutex_lock(&n.client->in.lock);
            struct rpcfan_result *res =
                RF_CONTAINER(n.client->in.submitted.prev, struct rpcfan_result, call.link);
            char text[2200];
            size_t at = (size_t)snprintf(text, sizeof text, "{\"id\":1,%.*s",
                                         (int)res->call.tail_len, res->call.tail);
            pthread_mutex_unlock(&n.client->in.lock);
            assert_true(at < sizeof text);
            struct rf_request_text back;
            assert_int_equal(rf_request_read(text, at, &back, NULL), RPCFAN_OK);
            assert_int_equal(back.method.len, res->call.method_len);
            assert_true(back.params.len == 3 && memcmp(back.params.data, "[1]", 3) == 0);
        }
    }
    nobody_fini(&n);
    assert_int_equal(called, accepted);
}

static void test_submit_deadlines_saturate(void **state)
{
    (void)state;
    struct nobody n;
    unsigned called = 0;
    nobody_init(&n);
    nobody_start(&n);
    static const uint64_t ms[] = {UINT64_MAX, UINT64_MAX / 1000000 + 2, 3600000};
    for (size_t i = 0; i < RF_COUNT(ms); i++) {
        struct rpcfan_request r = {
            .size = sizeof r, .method = "m", .timeout_ms = ms[i], .cb = nothing, .arg = &called};
        assert_int_equal(rpcfan_call(n.client, &r, NULL, NULL), RPCFAN_OK);
        struct rpcfan_result *res =
            RF_CONTAINER(n.client->in.submitted.prev, struct rpcfan_result, call.link);
        assert_true(res->call.deadline_ns > rpcfan_now_ns() + 3000 * RF_SEC);
    }
    nobody_fini(&n);
    assert_int_equal(called, RF_COUNT(ms));
}

/* Every allocation of a call fails in turn, small and large: refused, or answered once. */
static void test_submit_survives_each_failed_allocation(void **state)
{
    (void)state;
    static char params[5000];
    memset(params, ' ', sizeof params - 1);
    params[0] = '[';
    params[sizeof params - 2] = ']';
    for (int large = 0; large <= 1; large++) {
        struct nobody n;
        unsigned called = 0, accepted = 0;
        nobody_init(&n);
        nobody_start(&n);
        uint64_t k = 0;
        while (accepted == 0) {
            struct rpcfan_request r = {.size = sizeof r,
                                       .method = "m",
                                       .cb = nothing,
                                       .params = large ? params : "[]",
                                       .arg = &called};
            struct rpcfan_error err;
            rf_alloc_fail_at(++k);
            enum rpcfan_err e = rpcfan_call(n.client, &r, NULL, &err);
            rf_alloc_fail_at(0);
            assert_true(e == RPCFAN_OK || e == RPCFAN_ENOMEM);
            accepted += e == RPCFAN_OK;
            assert_true(k < 100);
        }
        assert_int_equal(n.client->in.pending, 1);
        assert_true(k > 2);
        nobody_fini(&n);
        assert_int_equal(called, 1);
    }
}

/* In the loop of a call that fails at each allocation in turn: the answer comes all the same. */
static void test_submit_turn_survives_each_failed_allocation(void **state)
{
    (void)state;
    for (uint64_t k = 1; k <= 60; k++) {
        struct nobody n;
        unsigned called = 0;
        nobody_init(&n);
        nobody_start(&n);
        struct rpcfan_request r = {.size = sizeof r, .method = "m", .cb = nothing, .arg = &called};
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(rpcfan_call(n.client, &r, NULL, NULL), RPCFAN_OK);
        rf_alloc_fail_at(k);
        nobody_run(&n, &called, 3);
        rf_alloc_fail_at(0);
        assert_int_equal(called, 3);
        nobody_fini(&n);
    }
}

/* On the thread of the user's loop nothing may wait for that loop, turned or not. */
static void test_submit_on_the_loop_thread_never_waits(void **state)
{
    (void)state;
    struct nobody n;
    nobody_init(&n);
    nobody_start(&n);
    char *text;
    assert_int_equal(rpcfan_status(n.client, &text), RPCFAN_OK);
    assert_non_null(strstr(text, "\"phase\":\"open\""));
    rpcfan_free(text);
    struct rpcfan_request r = {.size = sizeof r, .method = "m"};
    rpcfan_result_t *res;
    assert_int_equal(rpcfan_call_wait(n.client, &r, &res, NULL), RPCFAN_EINVAL);
    nobody_fini(&n);
}

/* --- admission by predicted wait ------------------------------------------------------------ */

static void pretend_wait(struct nobody *n, uint64_t wait_ns)
{
    pthread_mutex_lock(&n->client->in.lock);
    n->client->in.wait_ns[0] = wait_ns;
    pthread_mutex_unlock(&n->client->in.lock);
}

static void test_submit_refuses_what_would_be_late(void **state)
{
    (void)state;
    struct nobody n;
    unsigned called = 0;
    nobody_init(&n);
    nobody_start(&n);
    struct rpcfan_error err;
    struct rpcfan_request r = {
        .size = sizeof r, .method = "m", .timeout_ms = 2000, .cb = nothing, .arg = &called};
    pretend_wait(&n, 10 * RF_SEC);
    assert_int_equal(rpcfan_call(n.client, &r, NULL, &err), RPCFAN_OK); /* nothing is pending */
    assert_int_equal(rpcfan_call(n.client, &r, NULL, &err), RPCFAN_EBUSY);
    assert_in_range(err.retry_in_ms, 8000, 8001);
    assert_non_null(strstr(err.text, "10000 ms"));
    assert_int_equal(rpcfan_call(n.client, &r, NULL, NULL), RPCFAN_EBUSY);
    r.timeout_ms = 10001;
    assert_int_equal(rpcfan_call(n.client, &r, NULL, &err), RPCFAN_OK);
    r.deadline_ns = 1; /* over already: it is answered so, and not sent away to come again */
    assert_int_equal(rpcfan_call(n.client, &r, NULL, &err), RPCFAN_OK);
    r.deadline_ns = rpcfan_now_ns() + 1000 * RF_SEC;
    pretend_wait(&n, RF_NEVER);
    assert_int_equal(rpcfan_call(n.client, &r, NULL, &err), RPCFAN_EBUSY);
    assert_int_equal(err.retry_in_ms, 60000);
    pretend_wait(&n, 0);
    assert_int_equal(rpcfan_call(n.client, &r, NULL, &err), RPCFAN_OK);
    assert_int_equal(n.client->in.pending, 4);
    nobody_fini(&n);
    assert_int_equal(called, 4);
}

struct patient {
    struct nobody *n;
    uint64_t timeout_ms, deadline_ns;
    enum rpcfan_err e, err;
    atomic_uint done;
};

static void *call_and_wait(void *arg)
{
    struct patient *p = arg;
    struct rpcfan_request r = {.size = sizeof r,
                               .method = "m",
                               .timeout_ms = p->timeout_ms,
                               .deadline_ns = p->deadline_ns};
    rpcfan_result_t *res = NULL;
    p->e = rpcfan_call_wait(p->n->client, &r, &res, NULL);
    if (p->e == RPCFAN_OK)
        p->err = rpcfan_result_err(res);
    rpcfan_result_unref(res);
    atomic_store(&p->done, 1);
    return NULL;
}

static uint32_t pending(struct nobody *n)
{
    pthread_mutex_lock(&n->client->in.lock);
    uint32_t is = n->client->in.pending;
    pthread_mutex_unlock(&n->client->in.lock);
    return is;
}

/* Who waits for his answer waits to be let in too, but never for longer than his own time: others
 * may keep the queue long for ever, and nothing may ever be answered that would wake him. */
static void test_submit_patience_ends(void **state)
{
    (void)state;
    for (uint32_t k = 0; k < 3; k++) {
        struct nobody n;
        unsigned called = 0;
        nobody_init(&n);
        nobody_start(&n);
        struct rpcfan_request r = {.size = sizeof r, .method = "m", .cb = nothing, .arg = &called};
        assert_int_equal(rpcfan_call(n.client, &r, NULL, NULL), RPCFAN_OK);
        pretend_wait(&n, 100 * RF_SEC);
        struct patient p = {.n = &n, .timeout_ms = 50};
        if (k == 1)
            p.deadline_ns = rpcfan_now_ns() + 20 * RF_MS;
        else if (k == 2)
            p.deadline_ns = 1;
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, call_and_wait, &p), 0);
        for (unsigned turns = 0; pending(&n) < 2; turns++) {
            assert_true(turns < 5000);
            poll(NULL, 0, 1);
        }
        unsigned done = 0;
        while (done == 0) {
            uv_run(&n.loop, UV_RUN_NOWAIT);
            poll(NULL, 0, 1);
            done = atomic_load(&p.done);
        }
        pthread_join(thread, NULL);
        assert_int_equal(p.e, RPCFAN_OK);
        assert_true(p.err == RPCFAN_ECONNECT || p.err == RPCFAN_EDEADLINE);
        assert_true(k == 0 || p.err == RPCFAN_EDEADLINE);
        nobody_fini(&n);
        assert_int_equal(called, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_submit_refuses_by_name),
        cmocka_unit_test(test_submit_tail_holds_any_method),
        cmocka_unit_test(test_submit_deadlines_saturate),
        cmocka_unit_test(test_submit_survives_each_failed_allocation),
        cmocka_unit_test(test_submit_turn_survives_each_failed_allocation),
        cmocka_unit_test(test_submit_on_the_loop_thread_never_waits),
        cmocka_unit_test(test_submit_refuses_what_would_be_late),
        cmocka_unit_test(test_submit_patience_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
