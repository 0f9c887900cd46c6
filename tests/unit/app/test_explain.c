/* test_explain.c - answers taken apart as the client does it, and what is shown of them. The table
 * itself is tested in tests/unit/core/test_core_classify.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/explain.h"
#include "base/mem.h"
#include "base/rng.h"
#include "json/scan.h"

static struct rf_rules *rules;

static int read_rules(void **state)
{
    (void)state;
    return rf_rules_new("mine rate \"blue\"", &rules, NULL) == RPCFAN_OK ? 0 : -1;
}

static int free_rules(void **state)
{
    (void)state;
    rf_rules_free(rules);
    return 0;
}

/* Classes of all parts, with spaces. */
static void note(void *arg, uint32_t index, const struct rf_explained *x)
{
    char *text = arg;
    size_t n = strlen(text);
    assert_true(index > 0 || n == 0);
    snprintf(text + n, 200 - n, "%s%s", n > 0 ? " " : "",
             x->result ? "ok" : rf_class_name(x->verdict.class));
}

static void expect(int status, uint32_t batch, const char *body, const char *classes)
{
    char text[200] = "";
    struct rf_explain e = {.rules = rules,
                           .status = status,
                           .retry_after_ns = RF_NEVER,
                           .body = {body, strlen(body)},
                           .batch = batch};
    assert_int_equal(rf_explain_each(&e, note, text), RPCFAN_OK);
    if (strcmp(text, classes) != 0)
        fail_msg("%s: %s, not %s", body, text, classes);
}

static void test_explain_takes_answers_apart(void **state)
{
    (void)state;
    expect(200, 0, "{\"id\":1,\"result\":null}", "ok");
    expect(500, 0, "{\"id\":1,\"result\":1}", "ok");
    expect(200, 0, "{\"id\":1,\"result\":1,\"error\":null}", "ok");
    expect(200, 0, "{\"id\":1,\"result\":1,\"error\":{\"code\":1}}", "malformed");
    expect(200, 0, "{\"id\":1}", "malformed");
    expect(429, 0, "{\"id\":1}", "rate");
    expect(200, 3, "{\"id\":1,\"result\":1}", "malformed"); /* one answer for three calls */
    expect(200, 0, "[{\"id\":1,\"result\":1},{\"id\":2,\"error\":{\"code\":-32601}},{\"id\":3}]",
           "ok unsupported malformed");
    expect(200, 2, "[{\"id\":null,\"error\":{\"code\":-32600}}]", "split-batch");
    expect(200, 2, "[{\"id\":1,\"error\":{\"code\":-32600}}]", "client");
    expect(200, 0, "[]", "malformed");
    expect(503, 0, "[]", "server");
    expect(200, 0, "5", "malformed");
    expect(200, 0, "\xef\xbb\xbf{\"id\":1,\"error\":\"blue\"}", "rate");
    expect(200, 0, "\xef\xbb\xbf<html>", "malformed");
    struct rf_explain none = {.rules = rules, .status = 204, .retry_after_ns = RF_NEVER};
    char text[200] = "";
    assert_int_equal(rf_explain_each(&none, note, text), RPCFAN_OK);
    assert_string_equal(text, "malformed");
}

static void test_explain_shows_own_rules(void **state)
{
    (void)state;
    struct rf_buf out = {0};
    struct rf_explain e = {
        .rules = rules, .status = 200, .retry_after_ns = 1500 * RF_MS, .body = {"Blue", 4}};
    assert_int_equal(rf_explain_text(&e, &out), RPCFAN_OK);
    rf_buf_char(&out, '\0');
    assert_string_equal(out.data,
                        "rule      mine (yours, line 1)\n"
                        "          mine rate \"blue\"\n"
                        "class     rate: too many calls in a time\n"
                        "hints     come back after 1500 ms\n"
                        "then      the endpoint pauses, the call keeps its place and goes again; "
                        "no try is counted\n");
    rf_buf_fini(&out);
}

/* What goes to machines is JSON, whatever the answer was. */
static void test_explain_json_is_json(void **state)
{
    (void)state;
    static const char *const bits[] = {"{",
                                       "}",
                                       "[",
                                       "]",
                                       ",",
                                       "\"id\":1",
                                       "\"error\":",
                                       "{\"code\":-32005,\"message\":\"",
                                       "\"}",
                                       "rate limit 5/s",
                                       "\\\"",
                                       "null",
                                       "\"result\":",
                                       "1",
                                       "<html>",
                                       "\xff",
                                       "block range should work: [0x1, 0x2]",
                                       "\"error\":{\"code\":-32016}",
                                       "\n"};
    struct rf_rng rng;
    rf_rng_init(&rng, 4);
    for (uint32_t i = 0; i < 100000; i++) {
        char body[800] = "";
        struct rf_buf out = {0};
        for (uint64_t n = rf_rng_below(&rng, 12); n > 0; n--)
            strcat(body, bits[rf_rng_below(&rng, RF_COUNT(bits))]);
        struct rf_explain e = {.rules = rules,
                               .family = (enum rpcfan_family)rf_rng_below(&rng, 3),
                               .method = {"a\"\n", rf_rng_below(&rng, 4)},
                               .status = (int)(100 + rf_rng_below(&rng, 500)),
                               .retry_after_ns = RF_NEVER,
                               .body = {body, strlen(body)},
                               .batch = (uint32_t)rf_rng_below(&rng, 4)};
        assert_int_equal(rf_explain_json(&e, &out), RPCFAN_OK);
        if (rf_json_check(out.data, out.len, 64, NULL) != RPCFAN_OK)
            fail_msg("%s: %.*s", body, (int)out.len, out.data);
        rf_buf_fini(&out);
    }
    struct rf_buf list = {0};
    rf_explain_list_json(rules, &list);
    assert_int_equal(rf_json_check(list.data, list.len, 64, NULL), RPCFAN_OK);
    rf_buf_fini(&list);
}

static void test_explain_memory_runs_out(void **state)
{
    (void)state;
    struct rf_explain e = {.rules = rules,
                           .status = 200,
                           .retry_after_ns = RF_NEVER,
                           .body = {"[{\"id\":1,\"error\":{}}]", 21}};
    enum rpcfan_err rc = RPCFAN_ENOMEM;
    for (uint64_t n = 1; rc != RPCFAN_OK; n++) {
        struct rf_buf out = {0};
        rf_alloc_fail_at(n);
        rc = rf_explain_text(&e, &out);
        rf_alloc_fail_at(0);
        rf_buf_fini(&out);
        assert_true(n > 1 || rc == RPCFAN_ENOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_explain_takes_answers_apart),
        cmocka_unit_test(test_explain_shows_own_rules),
        cmocka_unit_test(test_explain_json_is_json),
        cmocka_unit_test(test_explain_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, read_rules, free_rules);
}
