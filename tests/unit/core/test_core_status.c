/* test_core_status.c - the status object: valid JSON whatever the names and the state, figures that
 * add up, reasons in words, and no secret in it. */
#include <jansson.h>

#include "core_case.h"

static json_t *status(struct bench *b)
{
    struct rf_buf text = {0};
    json_error_t e;
    rf_core_status(rf_vshell_core(b->v), rf_vshell_now(b->v), &text);
    assert_false(text.failed);
    json_t *j = json_loadb(text.data, text.len, 0, &e);
    if (j == NULL)
        fail_msg("%s: %.*s", e.text, (int)text.len, text.data);
    assert_null(memmem(text.data, text.len, "secret", 6));
    rf_buf_fini(&text);
    return j;
}

static json_t *endpoint(json_t *j, size_t i)
{
    json_t *net = json_array_get(json_object_get(j, "networks"), 0);
    return json_array_get(json_object_get(net, "endpoints"), i);
}

static double number(json_t *j, const char *key)
{
    json_t *v = json_object_get(j, key);
    if (!json_is_number(v))
        fail_msg("no number %s", key);
    return json_number_value(v);
}

static void test_status_figures_add_up(void **state)
{
    (void)state;
    static const struct rpcfan_limit limit = {.count = 1000, .window_ms = 10000};
    struct bench b;
    bench_init(&b, 2, 1);
    b.ep[0].name = "a \"quoted\" \\ name\n";
    b.ep[0].url = "http://x/secret";
    b.ep[0].limits = &limit;
    b.ep[0].n_limits = 1;
    bench_start(&b);
    bench_offer(&b, 50, 4, 5 * RF_SEC);
    json_t *j = status(&b), *e0 = endpoint(j, 0), *e1 = endpoint(j, 1);
    assert_string_equal(json_string_value(json_object_get(e0, "name")), b.ep[0].name);
    assert_string_equal(json_string_value(json_object_get(e1, "name")), "ep2");
    assert_string_equal(json_string_value(json_object_get(e0, "state")), "ok");
    assert_true(number(e0, "ok") + number(e1, "ok") == (double)b.ok);
    assert_true(number(e0, "calls") == (double)b.sent[0]);
    json_t *latency = json_object_get(e0, "latency_ms");
    assert_true(number(latency, "p50") >= 20 && number(latency, "p50") < 23);
    json_t *window = json_array_get(json_object_get(e0, "limits"), 0);
    assert_true(number(window, "used") == (double)b.sent[0]);
    json_decref(j);
    bench_fini(&b);
}

static void dead(struct bench *b, struct rf_exchange *ex, uint64_t now_ns, struct rf_vreply *out)
{
    (void)b, (void)ex, (void)now_ns;
    out->transport = RF_T_CONNECT;
    out->reason = "connection refused";
}

static void throttled(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                      struct rf_vreply *out)
{
    (void)b, (void)ex, (void)now_ns;
    out->retry_after_ns = 7 * RF_SEC;
    bench_reply(out, 429, "");
}

static void refused(struct bench *b, struct rf_exchange *ex, uint64_t now_ns, struct rf_vreply *out)
{
    (void)b, (void)ex, (void)now_ns;
    bench_reply(out, 401, "");
}

static void test_status_says_why(void **state)
{
    (void)state;
    static const struct {
        bench_serve_fn serve;
        const char *state, *why;
    } cases[] = {{dead, "open", "connection refused"},
                 {throttled, "paused", "throttled"},
                 {refused, "benched", "auth"}};
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct bench b;
        bench_init(&b, 1, 1);
        b.serve = cases[i].serve;
        bench_start(&b);
        bench_calls(&b, 40, "eth_call", 60 * RF_SEC);
        bench_run(&b, RF_SEC);
        json_t *j = status(&b);
        const char *why = json_string_value(json_object_get(endpoint(j, 0), "why"));
        assert_string_equal(json_string_value(json_object_get(endpoint(j, 0), "state")),
                            cases[i].state);
        if (strstr(why, cases[i].why) == NULL)
            fail_msg("'%s' does not say '%s'", why, cases[i].why);
        json_decref(j);
        rf_vshell_close(b.v, RPCFAN_CLOSE_NOW);
        bench_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_figures_add_up),
        cmocka_unit_test(test_status_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
