/* test_rpc.c - requests read and written, error objects taken apart. */
#include "json/rpc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

#define TEXT(s) s, sizeof(s) - 1

static void check_slice(struct rpcfan_slice got, const char *want)
{
    size_t len = want == NULL ? 0 : strlen(want);
    assert_int_equal(got.len, len);
    if (len > 0)
        assert_memory_equal(got.data, want, len);
}

/** Read in memory of the exact size; the slices are compared before it goes. */
static enum rpcfan_err read_and_check(const char *text, size_t len, const char *const want[3],
                                      struct rpcfan_error *err)
{
    struct rf_request_text out;
    char *exact = malloc(len > 0 ? len : 1);
    assert_non_null(exact);
    memcpy(exact, text, len);
    enum rpcfan_err rc = rf_request_read(exact, len, &out, err);
    check_slice(out.id, want[0]);
    if (rc == RPCFAN_OK) {
        check_slice(out.method, want[1]);
        check_slice(out.params, want[2]);
        assert_int_equal(out.method_escaped, memchr(want[1], '\\', strlen(want[1])) != NULL);
    }
    free(exact);
    return rc;
}

static void test_request_read_accepts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *want[3]; /* id, method, params */
    } cases[] = {
        {"{\"method\":\"m\"}", {NULL, "m", NULL}},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_call\",\"params\":[{\"to\":\"0x1\"},"
         "\"latest\"]}",
         {"1", "eth_call", "[{\"to\":\"0x1\"},\"latest\"]"}},
        {" { \"params\" : { \"a\" : [ ] } , \"method\" : \"m\" , \"id\" : \"x y\" } \r\n",
         {"\"x y\"", "m", "{ \"a\" : [ ] }"}},
        {"{\"id\":null,\"method\":\"m\",\"params\":[]}", {"null", "m", "[]"}},
        {"{\"id\":-1.50e+3,\"method\":\"m\",\"params\":null}", {"-1.50e+3", "m", NULL}},
        {"{\"id\":123456789012345678901234567890,\"method\":\"m\"}",
         {"123456789012345678901234567890", "m", NULL}},
        {"{\"id\":\"\",\"method\":\"a\\u0062c\"}", {"\"\"", "a\\u0062c", NULL}},
        {"{\"\\u0069d\":7,\"meth\\u006fd\":\"m\",\"\\u0070\\u0061\\u0072\\u0061\\u006d\\u0073\":[1]"
         "}",
         {"7", "m", "[1]"}},
        {"{\"method\":\"m\",\"params\":[{\"method\":1,\"id\":2,\"x\":3}],\"id\":4}",
         {"4", "m", "[{\"method\":1,\"id\":2,\"x\":3}]"}},
        {"{\"method\":\"m\",\"params\":[\"\\n\"]}", {NULL, "m", "[\"\\n\"]"}},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rpcfan_error err = {0};
        size_t len = strlen(cases[i].text);
        if (read_and_check(cases[i].text, len, cases[i].want, &err) != RPCFAN_OK)
            fail_msg("%s: %s", cases[i].text, err.text);
    }
}

static void test_request_read_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        unsigned column;
        const char *says;
        const char *id;
    } cases[] = {
        {TEXT(""), 1, "empty", NULL},
        {TEXT("   "), 4, "empty", NULL},
        {TEXT("nonsense"), 2, "misspelt", NULL},
        {TEXT("eth_call"), 1, "JSON value", NULL},
        {TEXT("[{\"method\":\"m\"}]"), 1, "one a line", NULL},
        {TEXT(" \"m\""), 2, "object", NULL},
        {TEXT("12"), 1, "object", NULL},
        {TEXT("null"), 1, "object", NULL},
        {TEXT("{}"), 2, "no method", NULL},
        {TEXT("{\"id\":5}"), 8, "no method", "5"},
        {TEXT("{\"id\":5,\"method\":1}"), 18, "method must", "5"},
        {TEXT("{\"method\":\"\",\"id\":5}"), 11, "method must", "5"},
        {TEXT("{\"method\":[\"m\"],\"id\":5}"), 11, "method must", "5"},
        {TEXT("{\"method\":\"m\",\"params\":\"x\",\"id\":5}"), 24, "put it in [ ]", "5"},
        {TEXT("{\"method\":\"m\",\"params\":1}"), 24, "put it in [ ]", NULL},
        {TEXT("{\"method\":\"m\",\"params\":false}"), 24, "put it in [ ]", NULL},
        {TEXT("{\"method\":\"m\",\"id\":{\"a\":1}}"), 20, "id must", NULL},
        {TEXT("{\"method\":\"m\",\"id\":[]}"), 20, "id must", NULL},
        {TEXT("{\"method\":\"m\",\"id\":true}"), 20, "id must", NULL},
        {TEXT("{\"jsonrpc\":\"1.0\",\"method\":\"m\",\"id\":6}"), 12, "\"2.0\"", "6"},
        {TEXT("{\"jsonrpc\":2.0,\"method\":\"m\",\"id\":6}"), 12, "\"2.0\"", "6"},
        {TEXT("{\"method\":\"m\",\"param\":[],\"id\":6}"), 15, "unknown member \"param\"", "6"},
        {TEXT("{\"method\":\"m\",\"code\":1,\"message\":2,\"data\":3}"), 15, "unknown member",
         NULL},
        {TEXT("{\"method\":\"m\",\"method\":\"n\"}"), 15, "twice", NULL},
        {TEXT("{\"id\":1,\"method\":\"m\",\"id\":2}"), 22, "twice", "1"},
        {TEXT("{\"method\":\"m\",\"params\":[],\"params\":[]}"), 27, "twice", NULL},
        {TEXT("{\"id\":8,\"method\":\"m\",}"), 22, "name", "8"},
        {TEXT("{\"id\":8,\"method\":\"m\""), 21, "early", "8"},
        {TEXT("{\"id\":8,\"method\":\"m\",\"params\":[1,}"), 34, "value", "8"},
        {TEXT("{\"id\":8,\"method\":\"m\"} x"), 23, "follow", "8"},
        {TEXT("{\"id\":8,\"method\":\"m\"}{}"), 22, "follow", "8"},
        {TEXT("{\"id\":8,\"method\":\"m\xff\"}"), 20, "UTF-8", "8"},
        {TEXT("{\"id\":8"), 8, "early", NULL},
        {TEXT("{'method':'m'}"), 2, "double quotes", NULL},
        {TEXT("\xef\xbb\xbf{\"method\":\"m\"}"), 1, "JSON value", NULL},
        {TEXT("{\"method\":\"m\",\"params\":[\0]}"), 25, "value", NULL},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rpcfan_error err = {0};
        const char *const want[3] = {cases[i].id, NULL, NULL};
        char column[32];
        snprintf(column, sizeof column, "column %u: ", cases[i].column);
        assert_int_equal(read_and_check(cases[i].text, cases[i].len, want, &err), RPCFAN_EINVAL);
        assert_int_equal(err.code, RPCFAN_EINVAL);
        if (strncmp(err.text, column, strlen(column)) != 0 ||
            strstr(err.text, cases[i].says) == NULL)
            fail_msg("%s: %s", cases[i].text, err.text);
        assert_int_equal(read_and_check(cases[i].text, cases[i].len, want, NULL), RPCFAN_EINVAL);
    }
}

/** A name that is not ours may be of any length; the text is cut between characters. */
static void test_request_read_cuts_long_names(void **state)
{
    (void)state;
    struct rf_buf b = {0};
    struct rf_request_text out;
    struct rpcfan_error err;
    rf_buf_str(&b, "{\"x");
    for (int i = 0; i < 5000; i++)
        rf_buf_str(&b, "\xe4\xb8\xad");
    rf_buf_str(&b, "\":1,\"id\":3}");
    assert_int_equal(rf_request_read(b.data, b.len, &out, &err), RPCFAN_EINVAL);
    check_slice(out.id, "3");
    /* Quoting would put U+FFFD where a character was cut. */
    struct rf_buf quoted = {0};
    rf_json_quote(&quoted, err.text, strlen(err.text));
    rf_buf_char(&quoted, 0);
    assert_null(strstr(quoted.data, "\xef\xbf\xbd"));
    assert_non_null(strstr(err.text, "only jsonrpc, id, method and params"));
    rf_buf_fini(&quoted);
    rf_buf_fini(&b);
}

static void test_request_read_depth_limit(void **state)
{
    (void)state;
    struct rf_buf b = {0};
    struct rf_request_text out;
    struct rpcfan_error err;
    rf_buf_str(&b, "{\"id\":1,\"method\":\"m\",\"params\":");
    for (int i = 0; i < 100000; i++)
        rf_buf_char(&b, '[');
    assert_int_equal(rf_request_read(b.data, b.len, &out, &err), RPCFAN_EINVAL);
    assert_non_null(strstr(err.text, "deep"));
    check_slice(out.id, "1");
    rf_buf_fini(&b);
}

static void test_error_read_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok, has_code;
        int64_t code;
        const char *message, *data;
    } cases[] = {
        {"{\"code\":-32000,\"message\":\"no\",\"data\":{\"a\":1}}", 1, 1, -32000, "no",
         "{\"a\":1}"},
        {"{\"message\":\"a\\\"b\",\"code\":3,\"data\":\"0x08c379a0\"}", 1, 1, 3, "a\\\"b",
         "\"0x08c379a0\""},
        {" { \"code\" : 0 } ", 1, 1, 0, NULL, NULL},
        {"{\"code\":9223372036854775807}", 1, 1, INT64_MAX, NULL, NULL},
        {"{\"code\":-9223372036854775808}", 1, 1, INT64_MIN, NULL, NULL},
        {"{\"code\":9223372036854775808}", 1, 0, 0, NULL, NULL},
        {"{\"code\":-9223372036854775809}", 1, 0, 0, NULL, NULL},
        {"{\"code\":99999999999999999999999}", 1, 0, 0, NULL, NULL},
        {"{\"code\":-0}", 1, 1, 0, NULL, NULL},
        {"{\"code\":-32000.0,\"message\":\"x\"}", 1, 0, 0, "x", NULL},
        {"{\"code\":\"-32000\",\"message\":null}", 1, 0, 0, NULL, NULL},
        {"{\"code\":null,\"message\":{\"text\":\"x\"},\"data\":null}", 1, 0, 0, NULL, "null"},
        {"{\"code\":1,\"code\":2,\"message\":\"a\",\"message\":\"b\"}", 1, 1, 2, "b", NULL},
        {"{\"code\":1,\"code\":\"x\"}", 1, 0, 0, NULL, NULL},
        {"{\"data\":{\"code\":5,\"message\":\"inner\"},\"other\":[{\"code\":6}]}", 1, 0, 0, NULL,
         "{\"code\":5,\"message\":\"inner\"}"},
        {"{}", 1, 0, 0, NULL, NULL},
        {"{\"\\u0063ode\":4,\"messag\\u0065\":\"m\"}", 1, 1, 4, "m", NULL},
        {"\"rate limited\"", 1, 0, 0, "rate limited", NULL},
        {" \"a\\u0062\" ", 1, 0, 0, "a\\u0062", NULL},
        {"\"\"", 1, 0, 0, NULL, NULL},
        {"\"a\" x", 0, 0, 0, "a", NULL},
        {"null", 0, 0, 0, NULL, NULL},
        {"12", 0, 0, 0, NULL, NULL},
        {"[{\"code\":1}]", 0, 0, 0, NULL, NULL},
        {"true", 0, 0, 0, NULL, NULL},
        {"", 0, 0, 0, NULL, NULL},
        {"{\"code\":1", 0, 0, 0, NULL, NULL},
        {"{\"code\":1}}", 0, 1, 1, NULL, NULL},
        {"<html>", 0, 0, 0, NULL, NULL},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rf_error_text e;
        bool ok = rf_error_read(cases[i].text, strlen(cases[i].text), &e);
        if (ok != cases[i].ok || e.has_code != cases[i].has_code)
            fail_msg("%s: ok %d has_code %d", cases[i].text, ok, e.has_code);
        assert_true(e.code == cases[i].code);
        check_slice(e.message, cases[i].message);
        check_slice(e.data, cases[i].data);
    }
}

static void test_request_write(void **state)
{
    (void)state;
    static const struct {
        struct rpcfan_slice method, params;
        uint64_t id;
        const char *want;
    } cases[] = {
        {{TEXT("eth_chainId")},
         {NULL, 0},
         0,
         "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"eth_chainId\",\"params\":[]}"},
        {{TEXT("m")},
         {TEXT("{\"a\":1}")},
         UINT64_MAX,
         "{\"jsonrpc\":\"2.0\",\"id\":18446744073709551615,\"method\":\"m\",\"params\":{\"a\":1}}"},
        {{TEXT("a\"b\n\xff")},
         {TEXT("[ 1 ]")},
         10,
         "{\"jsonrpc\":\"2.0\",\"id\":10,\"method\":\"a\\\"b\\n\xef\xbf\xbd\",\"params\":[ 1 ]}"},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rf_buf tail = {0}, b = {0};
        struct rf_request_text back;
        rf_request_tail(&tail, cases[i].method, cases[i].params);
        assert_false(tail.failed);
        rf_request_member(&b, cases[i].id, tail.data, tail.len);
        assert_false(b.failed);
        check_slice((struct rpcfan_slice){b.data, b.len}, cases[i].want);
        assert_true(b.len - tail.len <= RF_REQUEST_HEAD_MAX);
        assert_int_equal(rf_request_read(b.data, b.len, &back, NULL), RPCFAN_OK);
        rf_request_member(&b, cases[i].id, tail.data, tail.len);
        assert_int_equal(b.len, 2 * strlen(cases[i].want));
        rf_buf_fini(&tail);
        rf_buf_fini(&b);
    }
}

static void test_request_write_out_of_memory(void **state)
{
    (void)state;
    char params[1000];
    memset(params, ' ', sizeof params);
    params[0] = '[';
    params[sizeof params - 1] = ']';
    uint64_t n = 1;
    for (;; n++) {
        struct rf_buf tail = {0}, b = {0};
        rf_alloc_fail_at(n);
        rf_request_tail(&tail, (struct rpcfan_slice){"m", 1},
                        (struct rpcfan_slice){params, sizeof params});
        if (!tail.failed)
            rf_request_member(&b, n, tail.data, tail.len);
        rf_alloc_fail_at(0);
        bool failed = tail.failed || b.failed;
        if (!failed)
            assert_int_equal(rf_json_check(b.data, b.len, 4, NULL), RPCFAN_OK);
        rf_buf_fini(&tail);
        rf_buf_fini(&b);
        if (!failed)
            break;
    }
    assert_true(n > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_read_accepts),
        cmocka_unit_test(test_request_read_refuses),
        cmocka_unit_test(test_request_read_cuts_long_names),
        cmocka_unit_test(test_request_read_depth_limit),
        cmocka_unit_test(test_error_read_forms),
        cmocka_unit_test(test_request_write),
        cmocka_unit_test(test_request_write_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
