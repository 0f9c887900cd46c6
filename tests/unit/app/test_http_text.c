/* test_http_text.c - responses as `curl -i` prints them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/http_text.h"
#include "base/mem.h"
#include "base/rng.h"

static struct rf_http_text must_read(const char *text)
{
    struct rf_http_text h = {0};
    struct rpcfan_error err = {0};
    if (rf_http_text_read(text, strlen(text), &h, &err) != RPCFAN_OK)
        fail_msg("%s: %s", text, err.text);
    return h;
}

static void expect_body(const struct rf_http_text *h, const char *body)
{
    assert_int_equal(h->body.len, strlen(body));
    assert_memory_equal(h->body.data, body, strlen(body));
}

static void test_http_text_one_response(void **state)
{
    (void)state;
    struct rf_http_text h = must_read("HTTP/1.1 429 Too Many Requests\r\n"
                                      "Retry-After:  Sun, 06 Nov 1994 08:49:37 GMT \r\n"
                                      "date: Sun, 06 Nov 1994 08:49:30 GMT\r\n"
                                      "Content-Encoding: identity\r\n"
                                      "\r\n{\"a\":1}\r\n");
    assert_int_equal(h.status, 429);
    assert_string_equal(h.encoding, "");
    assert_true(rf_http_text_retry(&h, 0) == 7 * RF_SEC);
    expect_body(&h, "{\"a\":1}\r\n");
    h = must_read("HTTP/2 200 \n\nbody");
    assert_int_equal(h.status, 200);
    assert_true(rf_http_text_retry(&h, 0) == RF_NEVER);
    expect_body(&h, "body");
    h = must_read("HTTP/1.0 204\n");
    assert_int_equal(h.status, 204);
    expect_body(&h, "");
}

static void test_http_text_the_last_of_several_counts(void **state)
{
    (void)state;
    struct rf_http_text h =
        must_read("HTTP/1.1 200 Connection established\r\n\r\n"
                  "HTTP/1.1 100 Continue\r\n\r\n"
                  "HTTP/1.1 307 Temporary Redirect\r\nRetry-After: 9\r\n"
                  "Location: x\r\n\r\n"
                  "HTTP/1.1 503 Service Unavailable\r\nServer: y\r\n\r\n<html>");
    assert_int_equal(h.status, 503);
    assert_string_equal(h.retry_after, "");
    expect_body(&h, "<html>");
}

static void test_http_text_a_body_alone(void **state)
{
    (void)state;
    struct rf_http_text h = must_read("{\"id\":1}");
    assert_int_equal(h.status, 0);
    expect_body(&h, "{\"id\":1}");
    h = must_read("");
    expect_body(&h, "");
}

static void test_http_text_given_headers_stay(void **state)
{
    (void)state;
    struct rf_http_text h = {0};
    static const char header[] = "Retry-After: 5";
    assert_true(rf_http_text_header(&h, header, strlen(header)));
    static const char text[] = "HTTP/1.1 429\nDate: x\n\n";
    assert_int_equal(rf_http_text_read(text, strlen(text), &h, NULL), RPCFAN_OK);
    assert_string_equal(h.retry_after, "5");
    assert_true(rf_http_text_retry(&h, 0) == 5 * RF_SEC);
    assert_false(rf_http_text_header(&h, "nothing", 7));
    assert_false(rf_http_text_header(&h, ": x", 3));
}

static void test_http_text_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"HTTP/1.1 20 OK\n\n", "line 1 is no status line"},
        {"HTTP/1.1 2000\n\n", "line 1 is no status line"},
        {"HTTP/1.1 099\n\n", "line 1 is no status line"},
        {"HTTP/1.1\n\n", "line 1 is no status line"},
        {"HTTP/1.1 200 OK\nA: b\n{\"x\"}\n", "line 3 is no header"},
        {"HTTP/1.1 200\n\nHTTP/1.1 200\nbad\n", "line 4 is no header"},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rf_http_text h = {0};
        struct rpcfan_error err = {0};
        assert_int_equal(rf_http_text_read(cases[i].text, strlen(cases[i].text), &h, &err),
                         RPCFAN_EINVAL);
        if (strstr(err.text, cases[i].want) == NULL)
            fail_msg("%s: told '%s'", cases[i].text, err.text);
    }
}

static void test_http_text_random(void **state)
{
    (void)state;
    static const char *const bits[] = {
        "HTTP/1.1 ", "200",           " ", "\n",           "\r\n", "a: b", "\n\n",
        "{",         "Retry-After: ", "5", "HTTP/2 429\n", "\xff"};
    struct rf_rng rng;
    rf_rng_init(&rng, 9);
    for (uint32_t i = 0; i < 100000; i++) {
        char text[300] = "";
        for (uint64_t n = rf_rng_below(&rng, 14); n > 0; n--)
            strcat(text, bits[rf_rng_below(&rng, RF_COUNT(bits))]);
        size_t len = strlen(text);
        char *exact = rf_alloc(len > 0 ? len : 1);
        memcpy(exact, text, len);
        struct rf_http_text h = {0};
        if (rf_http_text_read(exact, len, &h, NULL) == RPCFAN_OK)
            assert_true(h.body.len <= len && (h.status == 0 || h.status >= 100));
        rf_free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_text_one_response),
        cmocka_unit_test(test_http_text_the_last_of_several_counts),
        cmocka_unit_test(test_http_text_a_body_alone),
        cmocka_unit_test(test_http_text_given_headers_stay),
        cmocka_unit_test(test_http_text_mistakes),
        cmocka_unit_test(test_http_text_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
