/* test_client.c - the client's contract over real sockets: exactly one completion per accepted
 * call, from any thread, in callbacks, queues and waits; caps, cancel, close, and a loop of the
 * user's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <uv.h>

#include "base/base.h"
#include "fixture.h"

static struct rpcfan_request echo(const char *params)
{
    return (struct rpcfan_request){
        .size = sizeof(struct rpcfan_request), .method = "sim_echo", .params = params};
}

static void start(struct fixture *f, const char *script)
{
    const char *scripts[] = {script};
    fixture_init(f, 1, scripts);
    fixture_connect(f);
}

static void test_call_wait_returns_the_result(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, NULL);
    struct rpcfan_request r = echo("[1, {\"a\" : \"\\u00e9\"}]");
    rpcfan_result_t *res;
    assert_int_equal(rpcfan_call_wait(f.client, &r, &res, NULL), RPCFAN_OK);
    struct rpcfan_slice json = rpcfan_result_json(res);
    assert_int_equal(rpcfan_result_err(res), RPCFAN_OK);
    assert_true(json.len > 0 && json.data[0] == '[');
    assert_int_equal(rpcfan_result_attempts(res), 1);
    assert_string_equal(rpcfan_result_endpoint(res), "ep1");
    assert_string_equal(rpcfan_result_detail(res), "");
    assert_true(rpcfan_result_latency_ns(res) > 0);
    rpcfan_result_unref(res);
    fixture_fini(&f);
}

static void test_call_node_error_is_delivered_raw(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, NULL);
    struct rpcfan_request r = {.size = sizeof r,
                               .method = "sim_error",
                               .params = "[-32000, \"execution reverted\", {\"x\":1}]"};
    rpcfan_result_t *res;
    assert_int_equal(rpcfan_call_wait(f.client, &r, &res, NULL), RPCFAN_OK);
    assert_int_equal(rpcfan_result_err(res), RPCFAN_ERPC);
    assert_int_equal(rpcfan_result_json(res).len, 0);
    struct rpcfan_slice e = rpcfan_result_error_json(res);
    assert_non_null(memmem(e.data, e.len, "execution reverted", 18));
    rpcfan_result_unref(res);
    fixture_fini(&f);
}

static void test_call_bad_arguments_are_named(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, NULL);
    static const struct {
        const char *method, *params, *network, *text;
    } cases[] = {
        {"", NULL, NULL, "method"},          {"m", "[1,]", NULL, "byte 4"},
        {"m", "5", NULL, "array or object"}, {"m", "[] []", NULL, "byte 4"},
        {"m", NULL, "nowhere", "nowhere"},   {"m", "{\"a\":1", NULL, "JSON"},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rpcfan_request r = {.size = sizeof r,
                                   .method = cases[i].method,
                                   .params = cases[i].params,
                                   .network = cases[i].network};
        struct rpcfan_error err;
        rpcfan_result_t *res;
        assert_int_equal(rpcfan_call_wait(f.client, &r, &res, &err), RPCFAN_EINVAL);
        if (strstr(err.text, cases[i].text) == NULL)
            fail_msg("'%s' does not name '%s'", err.text, cases[i].text);
    }
    struct rpcfan_request r = echo("[1]");
    struct rpcfan_error err;
    assert_int_equal(rpcfan_call(f.client, &r, NULL, &err), RPCFAN_EINVAL);
    fixture_fini(&f);
}

/* Many threads, each with callbacks and waits. */
struct crowd {
    struct fixture f;
    atomic_uint started, called, wrong;
};

static void count_cb(const rpcfan_result_t *res, void *arg)
{
    struct crowd *c = arg;
    if (rpcfan_result_err(res) != RPCFAN_OK)
        atomic_fetch_add(&c->wrong, 1);
    atomic_fetch_add(&c->called, 1);
}

static void *crowd_thread(void *arg)
{
    struct crowd *c = arg;
    for (unsigned i = 0; i < 300; i++) {
        char params[32];
        snprintf(params, sizeof params, "[%u]", i);
        struct rpcfan_request r = echo(params);
        if (i % 3 == 0) {
            rpcfan_result_t *res;
            if (rpcfan_call_wait(c->f.client, &r, &res, NULL) != RPCFAN_OK)
                continue;
            struct rpcfan_slice json = rpcfan_result_json(res);
            if (json.len != strlen(params) || memcmp(json.data, params, json.len) != 0)
                atomic_fetch_add(&c->wrong, 1);
            rpcfan_result_unref(res);
            continue;
        }
        r.cb = count_cb;
        r.arg = c;
        if (rpcfan_call(c->f.client, &r, NULL, NULL) == RPCFAN_OK)
            atomic_fetch_add(&c->started, 1);
    }
    return NULL;
}

static void test_call_from_many_threads(void **state)
{
    (void)state;
    struct crowd c = {.started = 0};
    start(&c.f, "latency uniform 0ms 2ms\nfault shuffle\n");
    pthread_t t[8];
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&t[i], NULL, crowd_thread, &c), 0);
    for (unsigned i = 0; i < 8; i++)
        pthread_join(t[i], NULL);
    rpcfan_client_close(c.f.client, RPCFAN_CLOSE_DRAIN, NULL, NULL);
    rpcfan_client_free(c.f.client);
    c.f.client = NULL;
    assert_int_equal(atomic_load(&c.wrong), 0);
    assert_int_equal(atomic_load(&c.called), atomic_load(&c.started));
    assert_int_equal(atomic_load(&c.started), 8 * 200);
    fixture_fini(&c.f);
}

/* Take answers until there are `n`, each of them canceled. */
static void assert_all_canceled(rpcfan_cq_t *cq, unsigned n)
{
    rpcfan_result_t *res[16];
    unsigned got = 0;
    struct pollfd p = {.fd = rpcfan_cq_fd(cq), .events = POLLIN};
    while (got < n && poll(&p, 1, 10000) == 1) {
        size_t taken = rpcfan_cq_poll(cq, res, 16);
        for (size_t i = 0; i < taken; i++, got++) {
            assert_int_equal(rpcfan_result_err(res[i]), RPCFAN_ECANCELED);
            rpcfan_result_unref(res[i]);
        }
    }
    assert_int_equal(got, n);
}

static void test_cap_busy_says_when_to_come_back(void **state)
{
    (void)state;
    const char *scripts[] = {"fault hang\n"};
    struct fixture f;
    fixture_init(&f, 1, scripts);
    f.options.pending_calls = 10;
    fixture_connect(&f);
    rpcfan_cq_t *cq;
    assert_int_equal(rpcfan_cq_new(f.client, &cq), RPCFAN_OK);
    struct rpcfan_request r = echo("[]");
    r.cq = cq;
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(rpcfan_call(f.client, &r, NULL, NULL), RPCFAN_OK);
    struct rpcfan_error err;
    assert_int_equal(rpcfan_call(f.client, &r, NULL, &err), RPCFAN_EBUSY);
    assert_true(err.retry_in_ms >= 1 && err.retry_in_ms <= 1000);
    rpcfan_client_close(f.client, RPCFAN_CLOSE_NOW, NULL, NULL);
    assert_all_canceled(cq, 10);
    assert_int_equal(rpcfan_call(f.client, &r, NULL, &err), RPCFAN_ECLOSED);
    rpcfan_cq_free(cq);
    fixture_fini(&f);
}

static void test_cap_bytes_bounds_pending_requests(void **state)
{
    (void)state;
    const char *scripts[] = {"fault hang\n"};
    struct fixture f;
    fixture_init(&f, 1, scripts);
    f.options.pending_bytes = 10000;
    fixture_connect(&f);
    rpcfan_cq_t *cq;
    assert_int_equal(rpcfan_cq_new(f.client, &cq), RPCFAN_OK);
    char params[4000];
    memset(params, ' ', sizeof params);
    params[0] = '[';
    params[sizeof params - 2] = ']';
    params[sizeof params - 1] = '\0';
    struct rpcfan_request r = echo(params);
    r.cq = cq;
    assert_int_equal(rpcfan_call(f.client, &r, NULL, NULL), RPCFAN_OK);
    assert_int_equal(rpcfan_call(f.client, &r, NULL, NULL), RPCFAN_OK);
    assert_int_equal(rpcfan_call(f.client, &r, NULL, NULL), RPCFAN_EBUSY);
    rpcfan_client_close(f.client, RPCFAN_CLOSE_NOW, NULL, NULL);
    assert_all_canceled(cq, 2);
    rpcfan_cq_free(cq);
    fixture_fini(&f);
}

static void test_cancel_completes_once_as_canceled(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "fault hang\n");
    rpcfan_cq_t *cq;
    assert_int_equal(rpcfan_cq_new(f.client, &cq), RPCFAN_OK);
    struct rpcfan_request r = echo("[]");
    r.cq = cq;
    rpcfan_call_id id;
    assert_int_equal(rpcfan_call(f.client, &r, &id, NULL), RPCFAN_OK);
    rpcfan_cancel(f.client, id);
    rpcfan_cancel(f.client, id);
    struct pollfd p = {.fd = rpcfan_cq_fd(cq), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 10000), 1);
    rpcfan_result_t *res[2];
    assert_int_equal(rpcfan_cq_poll(cq, res, 2), 1);
    assert_int_equal(rpcfan_result_err(res[0]), RPCFAN_ECANCELED);
    rpcfan_result_unref(res[0]);
    rpcfan_cancel(f.client, id); /* of a call that is gone: no effect */
    rpcfan_cancel(f.client, 12345678);
    rpcfan_cq_free(cq);
    fixture_fini(&f);
}

static void test_close_does_not_wait_for_what_was_canceled(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "fault hang\n");
    rpcfan_cq_t *cq;
    assert_int_equal(rpcfan_cq_new(f.client, &cq), RPCFAN_OK);
    struct rpcfan_request r = echo("[]");
    r.cq = cq;
    rpcfan_call_id id;
    assert_int_equal(rpcfan_call(f.client, &r, &id, NULL), RPCFAN_OK);
    while (fixture_status(&f, "in_flight") < 1)
        poll(NULL, 0, 1);
    rpcfan_cancel(f.client, id);
    struct pollfd p = {.fd = rpcfan_cq_fd(cq), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 10000), 1);
    rpcfan_cq_free(cq);
    uint64_t t0 = rpcfan_now_ns();
    rpcfan_client_close(f.client, RPCFAN_CLOSE_DRAIN, NULL, NULL);
    rpcfan_client_free(f.client);
    f.client = NULL;
    assert_true(rpcfan_now_ns() - t0 < 5 * RF_SEC); /* the attempt would last 15 s */
    fixture_fini(&f);
}

static void test_deadline_ends_a_hung_call_in_time(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "fault hang\n");
    struct rpcfan_request r = echo("[]");
    r.timeout_ms = 150;
    rpcfan_result_t *res;
    uint64_t t0 = rpcfan_now_ns();
    assert_int_equal(rpcfan_call_wait(f.client, &r, &res, NULL), RPCFAN_OK);
    uint64_t ms = (rpcfan_now_ns() - t0) / RF_MS;
    assert_int_equal(rpcfan_result_err(res), RPCFAN_EDEADLINE);
    assert_true(ms >= 149 && ms < 2000);
    rpcfan_result_unref(res);
    fixture_fini(&f);
}

static void test_close_drain_answers_everything_accepted(void **state)
{
    (void)state;
    struct crowd c = {.started = 0};
    start(&c.f, "latency fixed 20ms\n");
    for (unsigned i = 0; i < 500; i++) {
        struct rpcfan_request r = echo("[]");
        r.cb = count_cb;
        r.arg = &c;
        assert_int_equal(rpcfan_call(c.f.client, &r, NULL, NULL), RPCFAN_OK);
    }
    rpcfan_client_close(c.f.client, RPCFAN_CLOSE_DRAIN, NULL, NULL);
    struct rpcfan_request r = echo("[]");
    r.cb = count_cb;
    assert_int_equal(rpcfan_call(c.f.client, &r, NULL, NULL), RPCFAN_ECLOSED);
    for (unsigned i = 0; i < 2000 && atomic_load(&c.called) < 500; i++)
        poll(NULL, 0, 5);
    assert_int_equal(atomic_load(&c.called), 500);
    assert_int_equal(atomic_load(&c.wrong), 0);
    fixture_fini(&c.f);
}

/* Inside the user's own loop: nothing runs in another thread. */
struct own_loop {
    uv_loop_t loop;
    rpcfan_client_t *client;
    pthread_t thread;
    unsigned answered, wrong_thread, again;
    bool closed, waited_in_loop;
};

static void own_closed(rpcfan_client_t *client, void *arg)
{
    struct own_loop *o = arg;
    o->closed = true;
    rpcfan_client_free(client);
}

static void own_answer(const rpcfan_result_t *res, void *arg)
{
    struct own_loop *o = arg;
    assert_int_equal(rpcfan_result_err(res), RPCFAN_OK);
    o->wrong_thread += !pthread_equal(o->thread, pthread_self());
    o->answered++;
    struct rpcfan_request r = echo("[7]");
    if (o->again < 50) {
        r.cb = own_answer;
        r.arg = o;
        o->again++;
        assert_int_equal(rpcfan_call(o->client, &r, NULL, NULL), RPCFAN_OK);
    }
    if (o->answered == 150) {
        rpcfan_result_t *out;
        struct rpcfan_request w = echo("[]");
        o->waited_in_loop = rpcfan_call_wait(o->client, &w, &out, NULL) == RPCFAN_EINVAL;
        char *text;
        assert_int_equal(rpcfan_status(o->client, &text), RPCFAN_OK);
        rpcfan_free(text);
        rpcfan_client_close(o->client, RPCFAN_CLOSE_DRAIN, own_closed, o);
    }
}

static void test_own_loop_runs_everything_and_closes_clean(void **state)
{
    (void)state;
    struct fixture f;
    struct own_loop o = {.thread = pthread_self()};
    fixture_init(&f, 1, NULL);
    assert_int_equal(uv_loop_init(&o.loop), 0);
    f.options.loop = &o.loop;
    assert_int_equal(rpcfan_client_new(&f.options, &o.client, NULL), RPCFAN_OK);
    for (unsigned i = 0; i < 100; i++) {
        struct rpcfan_request r = echo("[1]");
        r.cb = own_answer;
        r.arg = &o;
        assert_int_equal(rpcfan_call(o.client, &r, NULL, NULL), RPCFAN_OK);
    }
    uv_run(&o.loop, UV_RUN_DEFAULT);
    assert_int_equal(o.answered, 150);
    assert_int_equal(o.wrong_thread, 0);
    assert_true(o.waited_in_loop);
    assert_true(o.closed);
    assert_int_equal(uv_loop_close(&o.loop), 0);
    fixture_fini(&f);
}

static void test_new_refuses_bad_options_by_name(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 1, NULL);
    struct rpcfan_error err;
    rpcfan_client_t *c;
    f.endpoint[0].url = "ftp://secret-key@host/";
    f.endpoint[0].name = "mine";
    assert_int_not_equal(rpcfan_client_new(&f.options, &c, &err), RPCFAN_OK);
    assert_non_null(strstr(err.text, "mine"));
    assert_null(strstr(err.text, "secret-key"));
    f.endpoint[0].url = NULL;
    assert_int_not_equal(rpcfan_client_new(&f.options, &c, &err), RPCFAN_OK);
    f.endpoint[0].url = rf_node_url(f.node[0]);
    f.endpoint[0].in_flight = 0;
    assert_int_equal(rpcfan_client_new(&f.options, &c, &err), RPCFAN_ECONFIG);
    assert_non_null(strstr(err.text, "in_flight"));
    f.network.n_endpoints = 0;
    assert_int_equal(rpcfan_client_new(&f.options, &c, &err), RPCFAN_ECONFIG);
    fixture_fini(&f);
}

static void test_results_outlive_their_callback(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, NULL);
    rpcfan_result_t *kept[200];
    for (unsigned i = 0; i < 200; i++) {
        char params[32];
        snprintf(params, sizeof params, "[%u]", i);
        struct rpcfan_request r = echo(params);
        assert_int_equal(rpcfan_call_wait(f.client, &r, &kept[i], NULL), RPCFAN_OK);
    }
    for (unsigned i = 0; i < 200; i++) {
        char want[32];
        snprintf(want, sizeof want, "[%u]", i);
        struct rpcfan_slice json = rpcfan_result_json(kept[i]);
        assert_int_equal(json.len, strlen(want));
        assert_memory_equal(json.data, want, json.len);
        rpcfan_result_unref(kept[i]);
    }
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_call_wait_returns_the_result),
        cmocka_unit_test(test_call_node_error_is_delivered_raw),
        cmocka_unit_test(test_call_bad_arguments_are_named),
        cmocka_unit_test(test_call_from_many_threads),
        cmocka_unit_test(test_cap_busy_says_when_to_come_back),
        cmocka_unit_test(test_cap_bytes_bounds_pending_requests),
        cmocka_unit_test(test_cancel_completes_once_as_canceled),
        cmocka_unit_test(test_close_does_not_wait_for_what_was_canceled),
        cmocka_unit_test(test_deadline_ends_a_hung_call_in_time),
        cmocka_unit_test(test_close_drain_answers_everything_accepted),
        cmocka_unit_test(test_own_loop_runs_everything_and_closes_clean),
        cmocka_unit_test(test_new_refuses_bad_options_by_name),
        cmocka_unit_test(test_results_outlive_their_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
