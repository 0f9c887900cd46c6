/* test_base.c - durations, byte counts, patterns, text, error details and saturating time. */
#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_time_arithmetic_saturates(void **state)
{
    (void)state;
    assert_int_equal(rf_time_add(1, 2), 3);
    assert_true(rf_time_add(RF_NEVER, 1) == RF_NEVER);
    assert_true(rf_time_add(1, RF_NEVER) == RF_NEVER);
    assert_true(rf_time_add(RF_NEVER - 5, 5) == RF_NEVER);
    assert_true(rf_time_add(RF_NEVER - 5, 4) == RF_NEVER - 1);
    assert_int_equal(rf_time_sub(5, 3), 2);
    assert_int_equal(rf_time_sub(3, 5), 0);
    assert_true(rf_time_sub(RF_NEVER, 0) == RF_NEVER);
    assert_int_equal(rf_min_u64(1, 2), 1);
    assert_int_equal(rf_max_u64(1, 2), 2);
}

static void test_duration_good(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ns;
    } rows[] = {{"0s", 0},
                {"1ns", 1},
                {"250us", 250 * RF_US},
                {"100ms", 100 * RF_MS},
                {"1.5ms", 1500 * RF_US},
                {"1.5s", 1500 * RF_MS},
                {"0.000000001s", 1},
                {"2m", 120 * RF_SEC},
                {"1.5m", 90 * RF_SEC},
                {"0.5h", 1800 * RF_SEC},
                {"7d", 7 * 86400 * RF_SEC}};
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        uint64_t ns = 1234567;
        assert_int_equal(rf_parse_duration(rows[i].text, &ns), RPCFAN_OK);
        assert_true(ns == rows[i].ns);
    }
}

static void test_duration_bad(void **state)
{
    (void)state;
    static const char *const rows[] = {"",
                                       "5",
                                       "s",
                                       "-1s",
                                       "+1s",
                                       "1 s",
                                       "1sec",
                                       "1S",
                                       "1.s",
                                       ".5s",
                                       "1e3s",
                                       "1s ",
                                       " 1s",
                                       "1,5s",
                                       "0x1s",
                                       "1ss",
                                       "1.2.3s",
                                       "1.5",
                                       "18446744073709551615s",
                                       "99999999999999999999s",
                                       "200000d"};
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        uint64_t ns;
        if (rf_parse_duration(rows[i], &ns) != RPCFAN_EINVAL)
            fail_msg("accepted: \"%s\"", rows[i]);
    }
}

static void test_bytes_good(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t n;
    } rows[] = {{"0", 0},           {"17", 17},          {"17B", 17},          {"1KiB", 1024},
                {"256KiB", 262144}, {"64MiB", 67108864}, {"2GiB", 2147483648}, {"3kB", 3000},
                {"3MB", 3000000},   {"1GB", 1000000000}};
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        uint64_t n = 99;
        assert_int_equal(rf_parse_bytes(rows[i].text, &n), RPCFAN_OK);
        assert_true(n == rows[i].n);
    }
}

static void test_bytes_bad(void **state)
{
    (void)state;
    static const char *const rows[] = {"",
                                       "B",
                                       "-1",
                                       "1.5MiB",
                                       "1 MiB",
                                       "1TB",
                                       "1KiBs",
                                       "MiB1",
                                       "1e3",
                                       "18446744073709551616",
                                       "18446744073709551615GiB"};
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        uint64_t n;
        if (rf_parse_bytes(rows[i], &n) != RPCFAN_EINVAL)
            fail_msg("accepted: \"%s\"", rows[i]);
    }
}

static bool match(const char *pattern, const char *name)
{
    return rf_pattern_match(pattern, name, strlen(name));
}

static void test_pattern_exact_and_prefix(void **state)
{
    (void)state;
    assert_true(match("eth_call", "eth_call"));
    assert_false(match("eth_call", "eth_callMany"));
    assert_false(match("eth_callMany", "eth_call"));
    assert_true(match("eth_*", "eth_call"));
    assert_true(match("eth_*", "eth_"));
    assert_false(match("eth_*", "eth"));
    assert_false(match("eth_*", "net_version"));
    assert_true(match("*", ""));
    assert_true(match("*", "anything"));
    assert_true(match("", ""));
    assert_false(match("", "a"));
    assert_false(match("e*h", "eth")); /* only a trailing star is one */
    assert_true(match("e*h", "e*h"));
    assert_false(match("ETH_*", "eth_call"));
    assert_true(rf_pattern_match("eth_*", "eth_call", 4));
    assert_false(rf_pattern_match("eth_call", "eth_call", 7));
}

static void test_find_nocase(void **state)
{
    (void)state;
    const char *text = "Too Many Requests";
    assert_ptr_equal(rf_find_nocase(text, strlen(text), "too many"), text);
    assert_ptr_equal(rf_find_nocase(text, strlen(text), "requests"), text + 9);
    assert_null(rf_find_nocase(text, strlen(text) - 1, "requests"));
    assert_null(rf_find_nocase(text, strlen(text), "request limit"));
    assert_ptr_equal(rf_find_nocase(text, strlen(text), ""), text);
    assert_null(rf_find_nocase("", 0, "a"));
    const char zero[] = {'a', '\0', 'L', 'i', 'm'};
    assert_ptr_equal(rf_find_nocase(zero, sizeof zero, "lim"), zero + 2);
}

static void test_lower(void **state)
{
    (void)state;
    char out[8] = "........";
    rf_lower("AZaz@[\xc3", 7, out);
    assert_memory_equal(out, "azaz@[\xc3.", 8);
    rf_lower("", 0, out);
    assert_memory_equal(out, "azaz", 4);
}

static void test_fail_fills_in_and_returns(void **state)
{
    (void)state;
    struct rpcfan_error err = {.retry_in_ms = 5};
    assert_int_equal(rf_fail(&err, RPCFAN_EBUSY, "%s %d", "line", 7), RPCFAN_EBUSY);
    assert_int_equal(err.code, RPCFAN_EBUSY);
    assert_int_equal(err.retry_in_ms, 0);
    assert_string_equal(err.text, "line 7");
    assert_int_equal(rf_fail(NULL, RPCFAN_EIO, "unheard"), RPCFAN_EIO);
}

static void test_fail_prefix_names_each_layer(void **state)
{
    (void)state;
    struct rpcfan_error err;
    rf_fail(&err, RPCFAN_ECONFIG, "unknown key \"rat\"");
    rf_fail_prefix(&err, "endpoint %s: ", "helius");
    rf_fail_prefix(&err, "a.yaml:%d: ", 12);
    assert_string_equal(err.text, "a.yaml:12: endpoint helius: unknown key \"rat\"");
    assert_int_equal(err.code, RPCFAN_ECONFIG);
    rf_fail_prefix(NULL, "nobody");
}

static void test_fail_texts_are_cut_not_overrun(void **state)
{
    (void)state;
    char longer[1000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    struct {
        struct rpcfan_error err;
        char guard[8];
    } s = {.guard = "guard"};
    rf_fail(&s.err, RPCFAN_EIO, "%s", longer);
    assert_int_equal(strlen(s.err.text), sizeof s.err.text - 1);
    rf_fail_prefix(&s.err, "front: ");
    assert_int_equal(strlen(s.err.text), sizeof s.err.text - 1);
    assert_memory_equal(s.err.text, "front: xxx", 10);
    rf_fail_prefix(&s.err, "%s", longer);
    assert_int_equal(strlen(s.err.text), sizeof s.err.text - 1);
    assert_string_equal(s.guard, "guard");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time_arithmetic_saturates),
        cmocka_unit_test(test_duration_good),
        cmocka_unit_test(test_duration_bad),
        cmocka_unit_test(test_bytes_good),
        cmocka_unit_test(test_bytes_bad),
        cmocka_unit_test(test_pattern_exact_and_prefix),
        cmocka_unit_test(test_find_nocase),
        cmocka_unit_test(test_lower),
        cmocka_unit_test(test_fail_fills_in_and_returns),
        cmocka_unit_test(test_fail_prefix_names_each_layer),
        cmocka_unit_test(test_fail_texts_are_cut_not_overrun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
