/* test_hints.c - the texts that servers really send, and those that must not be misread. */
#include "policy/hints.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/rng.h"

static void test_http_date_three_forms(void **state)
{
    (void)state;
    static const char *const forms[] = {"Sun, 06 Nov 1994 08:49:37 GMT",
                                        "Sunday, 06-Nov-94 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 1994"};
    for (size_t i = 0; i < RF_COUNT(forms); i++) {
        int64_t s = 0;
        assert_true(rf_http_date(forms[i], &s));
        assert_int_equal(s, 784111777);
    }
}

static void test_http_date_known_moments(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds;
    } rows[] = {{"Thu, 01 Jan 1970 00:00:00 GMT", 0},
                {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
                {"Tue, 29 Feb 2000 12:00:00 GMT", 951825600},
                {"Wed, 01 Mar 2000 00:00:00 GMT", 951868800},
                {"Tue, 19 Jan 2038 03:14:08 GMT", INT64_C(2147483648)},
                {"Monday, 01-Jan-70 00:00:01 GMT", 1},
                {"Monday, 31-Dec-68 23:59:59 GMT", INT64_C(3124223999)},
                {"Mon Nov 16 08:49:37 2020", 1605516577},
                {"  Fri, 31 Dec 9999 23:59:59 GMT\t", INT64_C(253402300799)},
                {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800}};
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        int64_t s = 0;
        assert_true(rf_http_date(rows[i].text, &s));
        assert_true(s == rows[i].seconds);
    }
}

static void test_http_date_garbage(void **state)
{
    (void)state;
    static const char *const rows[] = {"",
                                       "tomorrow",
                                       "Sun",
                                       "Sun,",
                                       "Sun, 06 Nov 1994 08:49:37",
                                       "Sun, 06 Nov 1994 08:49:37 GMT x",
                                       "Sun, 06 Nov 1994 08:49:37 PST",
                                       "Sun, 6 Nov 1994 08:49:37 GMT",
                                       "Sun, 31 Nov 1994 08:49:37 GMT",
                                       "Sun, 29 Feb 1900 08:49:37 GMT",
                                       "Sun, 00 Nov 1994 08:49:37 GMT",
                                       "Sun, 06 Nov 1994 24:49:37 GMT",
                                       "Sun, 06 Nov 1994 08:60:37 GMT",
                                       "Sun, 06 Nov 1994 08:49:61 GMT",
                                       "Sun, 06 Non 1994 08:49:37 GMT",
                                       "Xun, 06 Nov 1994 08:49:37 GMT",
                                       "Sun Nov 6 08:49:37 1994",
                                       "1994-11-06T08:49:37Z"};
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        int64_t s = 42;
        assert_false(rf_http_date(rows[i], &s));
    }
}

/* Against the C library, over 400 years. */
static void test_http_date_agrees_with_timegm(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 12);
    for (int i = 0; i < 20000; i++) {
        time_t at = (time_t)rf_rng_below(&rng, UINT64_C(400) * 365 * 86400) - 2000000000;
        struct tm tm;
        char text[64];
        int64_t s = 0;
        assert_non_null(gmtime_r(&at, &tm));
        strftime(text, sizeof text, i % 2 ? "%a, %d %b %Y %H:%M:%S GMT" : "%a %b %e %H:%M:%S %Y",
                 &tm);
        assert_true(rf_http_date(text, &s));
        assert_true(s == (int64_t)at);
    }
}

static void test_retry_after_seconds(void **state)
{
    (void)state;
    assert_true(rf_retry_after(NULL, NULL, 0) == RF_NEVER);
    assert_int_equal(rf_retry_after("0", NULL, 0), 0);
    assert_int_equal(rf_retry_after("7", NULL, 0), 7 * RF_SEC);
    assert_int_equal(rf_retry_after(" 7 ", NULL, 0), 7 * RF_SEC);
    assert_int_equal(rf_retry_after("1.5", NULL, 0), 1500 * RF_MS);
    assert_int_equal(rf_retry_after("300", NULL, 0), 300 * RF_SEC);
    assert_int_equal(rf_retry_after("301", NULL, 0), RF_RETRY_AFTER_MAX_NS);
    assert_int_equal(rf_retry_after("99999999999999999999999999", NULL, 0), RF_RETRY_AFTER_MAX_NS);
    static const char *const garbage[] = {"", " ", "-1", "soon", "5s", "1,2", "0x10", "1.", "+3"};
    for (size_t i = 0; i < RF_COUNT(garbage); i++)
        assert_true(rf_retry_after(garbage[i], NULL, 0) == RF_NEVER);
}

static void test_retry_after_date_is_measured_from_the_response(void **state)
{
    (void)state;
    const char *at = "Sun, 06 Nov 1994 08:49:37 GMT";
    const char *date = "Sun, 06 Nov 1994 08:49:30 GMT";
    assert_int_equal(rf_retry_after(at, date, 0), 7 * RF_SEC); /* our clock plays no part */
    assert_int_equal(rf_retry_after(at, NULL, 784111777 - 9), 9 * RF_SEC);
    assert_int_equal(rf_retry_after(at, "yesterday", 784111777 - 9), 9 * RF_SEC);
    assert_int_equal(rf_retry_after(at, "Sun, 06 Nov 1994 09:49:30 GMT", 0), 0);
    assert_int_equal(rf_retry_after(at, at, 0), 0);
    assert_int_equal(rf_retry_after(at, NULL, 0), RF_RETRY_AFTER_MAX_NS);
    assert_int_equal(rf_retry_after(at, NULL, INT64_MAX), 0);
    assert_int_equal(rf_retry_after(at, NULL, INT64_MIN), RF_RETRY_AFTER_MAX_NS);
}

static uint64_t hint(const char *text)
{
    return rf_hint_in_text(text, strlen(text));
}

static void test_hint_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ns;
    } rows[] = {
        {"Too many requests, reason: call rate limit exhausted, retry in 10s", 10 * RF_SEC},
        {"Too many requests, reason: call rate limit exhausted, retry in 2m30s", 150 * RF_SEC},
        {"retry in 10m0s", RF_RETRY_AFTER_MAX_NS},
        {"Retry in 1.5s.", 1500 * RF_MS},
        {"please try again in 250 ms", 250 * RF_MS},
        {"limit will reset in 60 seconds", 60 * RF_SEC},
        {"try again in 250ms, or later", 250 * RF_MS},
        {"Retry after 5 seconds", 5 * RF_SEC},
        {"try again in 1 minute", 60 * RF_SEC},
        {"retry in 1m1.5s", 61500 * RF_MS},
        {"retry in a while; retry in 3s", 3 * RF_SEC},
        {"retry in 500\xc2\xb5s", 500 * RF_US},
        {"retry in 0s", 0},
        {"{\"code\":-32005,\"data\":{\"rate\":{\"allowed_rps\":10,\"backoff_seconds\":30}}}",
         30 * RF_SEC},
        {"{\"data\":{\"backoff_seconds\" : 0.5}}", 500 * RF_MS},
        {"{\\\"backoff_seconds\\\":\\\"24\\\"}", 24 * RF_SEC},
        {"backoff_seconds: 2, retry in 9s", 9 * RF_SEC},
        {"retry in 99999999999999999999h", RF_RETRY_AFTER_MAX_NS},
        {"retry in 10", RF_NEVER},
        {"retry in 10 steps", RF_NEVER},
        {"retry in 10mx", RF_NEVER},
        {"retry in ", RF_NEVER},
        {"retry in s", RF_NEVER},
        {"backoff_seconds", RF_NEVER},
        {"backoff_seconds\":null", RF_NEVER},
        {"10s", RF_NEVER},
        {"", RF_NEVER},
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        if (hint(rows[i].text) != rows[i].ns)
            fail_msg("%s: %llu", rows[i].text, (unsigned long long)hint(rows[i].text));
    }
}

static void test_batch_limit_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t n;
    } rows[] = {
        {"batch limit 100 exceeded (can increase by --rpc.batch.limit). "
         "Requested batch of size: 250",
         100},
        {"maximum 10 calls in 1 batch", 10},
        {"Batch of more than 3 requests are not allowed on free tier", 3},
        {"batch size too large, max is 1,000", 1000},
        {"Too many inputs provided; max 5", 5},
        {"max batch size is 20", 20},
        {"Max. batch size: 20", 0},
        {"batch size 250 exceeds the maximum of 100", 100},
        {"batch size limit exceeded: maximum allowed is 50, got 250", 50},
        {"batch limit exceeded: 250 > 100", 0},
        {"Batch size limit (25) exceeded", 25},
        {"you can send up to 40 requests", 40},
        {"at most 8 items allowed", 8},
        {"MAXIMUM BATCH SIZE IS 7.", 7},
        {"{\"max_batch_size\":64}", 64},
        {"max 1,000,000", 1000000},
        {"max 12,34", 12},
        {"max 10, got 11", 10},
        {"too many RPC calls in batch request", 0},
        {"batch too large", 0},
        {"batch item count exceeded", 0},
        {"content length too large (6000000>5242880)", 0},
        {"max is 5 MB", 0},
        {"request body limit 1048576 bytes", 0},
        {"limit 5MiB", 0},
        {"rate limit 50/second", 0},
        {"limit 1.5", 0},
        {"limit 10s", 0},
        {"limit 0", 0},
        {"limit 99999999999", 0},
        {"climax 5, unlimited 6", 0},
        {"maximal 6", 0},
        {"limit", 0},
        {"max ", 0},
        {"", 0},
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        uint32_t got = rf_batch_limit_in_text(rows[i].text, strlen(rows[i].text));
        if (got != rows[i].n)
            fail_msg("%s: %u", rows[i].text, (unsigned)got);
    }
}

static void test_texts_are_read_to_their_length_only(void **state)
{
    (void)state;
    assert_int_equal(rf_batch_limit_in_text("limit 123456", 8), 12);
    assert_int_equal(rf_batch_limit_in_text("limit 10000", 6), 0);
    assert_int_equal(rf_hint_in_text("retry in 10ms", 11), RF_NEVER);
    assert_int_equal(rf_hint_in_text("retry in 10ms", 12), RF_RETRY_AFTER_MAX_NS); /* 10 m */
    assert_int_equal(rf_hint_in_text(NULL, 0), RF_NEVER);
    assert_int_equal(rf_batch_limit_in_text(NULL, 0), 0);
}

/* Scrambled pieces in exactly sized memory: no read beyond it, no value beyond the clamp. */
static void test_random_texts(void **state)
{
    (void)state;
    static const char *const pieces[] = {"retry in ",
                                         "try again in ",
                                         "backoff_seconds",
                                         "limit",
                                         "max",
                                         "maximum ",
                                         "10",
                                         "4294967295",
                                         "999999999999",
                                         "ms",
                                         "s",
                                         "m",
                                         "h",
                                         " ",
                                         ".",
                                         ",",
                                         ":",
                                         "\"",
                                         "1,000",
                                         "up to ",
                                         "Sun",
                                         ", ",
                                         "06",
                                         "-Nov-",
                                         "94",
                                         " 08:49:37 ",
                                         "GMT",
                                         "\xff",
                                         "of",
                                         "bytes"};
    struct rf_rng rng;
    rf_rng_init(&rng, 21);
    for (int i = 0; i < 100000; i++) {
        char text[256] = "";
        for (uint64_t n = rf_rng_below(&rng, 12); n > 0; n--)
            strcat(text, pieces[rf_rng_below(&rng, RF_COUNT(pieces))]);
        size_t len = strlen(text);
        char *exact = malloc(len + 1);
        assert_non_null(exact);
        memcpy(exact, text, len + 1);
        int64_t s;
        (void)rf_http_date(exact, &s);
        uint64_t after = rf_retry_after(exact, exact, 5);
        exact = realloc(exact, len > 0 ? len : 1);
        assert_non_null(exact);
        uint64_t in_text = rf_hint_in_text(exact, len);
        (void)rf_batch_limit_in_text(exact, len);
        assert_true(after <= RF_RETRY_AFTER_MAX_NS || after == RF_NEVER);
        assert_true(in_text <= RF_RETRY_AFTER_MAX_NS || in_text == RF_NEVER);
        free(exact);
    }
}

static void test_body_limit_number_behind_the_sign(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t want;
    } cases[] = {
        {"content length too large (6000000>5242880)", 5242880},
        {"Content Length Too Large (9>1)", 1},
        {"content length too large", 0},
        {"too large (5", 0},
        {"a > 5", 0},
        {"too large (5>99999999999999999999999)", 0},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++)
        assert_int_equal(rf_body_limit_in_text(cases[i].text, strlen(cases[i].text)),
                         cases[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_date_three_forms),
        cmocka_unit_test(test_http_date_known_moments),
        cmocka_unit_test(test_http_date_garbage),
        cmocka_unit_test(test_http_date_agrees_with_timegm),
        cmocka_unit_test(test_retry_after_seconds),
        cmocka_unit_test(test_retry_after_date_is_measured_from_the_response),
        cmocka_unit_test(test_hint_texts),
        cmocka_unit_test(test_batch_limit_texts),
        cmocka_unit_test(test_texts_are_read_to_their_length_only),
        cmocka_unit_test(test_body_limit_number_behind_the_sign),
        cmocka_unit_test(test_random_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
