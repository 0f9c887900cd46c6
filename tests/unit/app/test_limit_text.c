/* test_limit_text.c - rate limits written as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/limit_text.h"
#include "base/mem.h"

static const struct {
    const char *text;
    uint64_t count, window_ms;
    enum rpcfan_unit unit;
    size_t n_methods;
    const char *first, *last;
    int each;
} good[] = {
    {"100/10s", 100, 10000, RPCFAN_REQUESTS, 0, NULL, NULL, 0},
    {"1/1ms", 1, 1, RPCFAN_REQUESTS, 0, NULL, NULL, 0},
    {"300/m", 300, 60000, RPCFAN_REQUESTS, 0, NULL, NULL, 0},
    {"10/s", 10, 1000, RPCFAN_REQUESTS, 0, NULL, NULL, 0},
    {"5/1.5s", 5, 1500, RPCFAN_REQUESTS, 0, NULL, NULL, 0},
    {"500w/1s", 500, 1000, RPCFAN_WEIGHT, 0, NULL, NULL, 0},
    {"100000/31d", 100000, UINT64_C(2678400000), RPCFAN_REQUESTS, 0, NULL, NULL, 0},
    {"18446744073709551615/1s", UINT64_MAX, 1000, RPCFAN_REQUESTS, 0, NULL, NULL, 0},
    {"40/10s:getProgramAccounts", 40, 10000, RPCFAN_REQUESTS, 1, "getProgramAccounts",
     "getProgramAccounts", 0},
    {"40/10s:a,b,getTokenAccountsBy*", 40, 10000, RPCFAN_REQUESTS, 3, "a", "getTokenAccountsBy*",
     0},
    {"7w/1s: a ,\tb* ", 7, 1000, RPCFAN_WEIGHT, 2, "a", "b*", 0},
    {"7/1s:*", 7, 1000, RPCFAN_REQUESTS, 1, "*", "*", 0},
    {"40/10s/each", 40, 10000, RPCFAN_REQUESTS, 0, NULL, NULL, 1},
    {"40w/m/each", 40, 60000, RPCFAN_WEIGHT, 0, NULL, NULL, 1},
    {"40/10s/each:get*,each", 40, 10000, RPCFAN_REQUESTS, 2, "get*", "each", 1},
    {"40/10s:each", 40, 10000, RPCFAN_REQUESTS, 1, "each", "each", 0},
    {"40/10s:each/each", 40, 10000, RPCFAN_REQUESTS, 1, "each/each", "each/each", 0},
};

static const char *const bad[] = {
    "",
    "100",
    "100/",
    "/10s",
    "0/1s",
    "-1/1s",
    "1.5/1s",
    "x/1s",
    "1k/1s",
    "1ww/1s",
    "w/1s",
    " 1/1s",
    "1 /1s",
    "1/10",
    "1/0s",
    "1/32d",
    "1/100us",
    "1/1.0001s",
    "1/1s:",
    "1/1s:a,",
    "1/1s:,a",
    "1/1s:a b",
    "1/1s:a**",
    "1/1s:*a",
    "1/1s:a\"b",
    "1/q",
    "1/1s/2",
    "1/1s/",
    "1/1s/eac",
    "1/1s/each:",
    "1/1s/eachx",
    "1/1s/each/each",
    "1/1s/Each",
    "1//each",
    "1/each",
    "18446744073709551616/1s",
    "1/100000000000000000000000000000000000000000000s",
};

static void test_limit_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < RF_COUNT(good); i++) {
        struct rpcfan_limit lim;
        struct rpcfan_error err = {0};
        if (rf_limit_parse(good[i].text, &lim, &err) != RPCFAN_OK)
            fail_msg("%s: %s", good[i].text, err.text);
        if (lim.count != good[i].count || lim.window_ms != good[i].window_ms ||
            lim.unit != good[i].unit || lim.n_methods != good[i].n_methods ||
            lim.each != good[i].each)
            fail_msg("%s: %llu in %llu ms", good[i].text, (unsigned long long)lim.count,
                     (unsigned long long)lim.window_ms);
        if (lim.n_methods > 0) {
            assert_string_equal(lim.methods[0], good[i].first);
            assert_string_equal(lim.methods[lim.n_methods - 1], good[i].last);
        } else {
            assert_null(lim.methods);
        }
        rf_limit_fini(&lim);
        assert_null(lim.methods);
    }
}

static void test_limit_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        struct rpcfan_limit lim = {.count = 99};
        struct rpcfan_error err = {0};
        if (rf_limit_parse(bad[i], &lim, &err) != RPCFAN_EINVAL)
            fail_msg("'%s' was taken", bad[i]);
        assert_int_equal(err.code, RPCFAN_EINVAL);
        assert_int_equal(lim.count, 99);
        assert_int_equal(rf_limit_parse(bad[i], &lim, NULL), RPCFAN_EINVAL);
    }
}

static void test_limit_method_count(void **state)
{
    (void)state;
    char text[8 + 2 * (RF_LIMIT_METHODS_MAX + 1)] = "1/1s:";
    struct rpcfan_limit lim;
    for (int i = 0; i < RF_LIMIT_METHODS_MAX; i++)
        strcat(text, i == 0 ? "a" : ",a");
    assert_int_equal(rf_limit_parse(text, &lim, NULL), RPCFAN_OK);
    assert_int_equal(lim.n_methods, RF_LIMIT_METHODS_MAX);
    rf_limit_fini(&lim);
    strcat(text, ",a");
    assert_int_equal(rf_limit_parse(text, &lim, NULL), RPCFAN_EINVAL);
}

static void test_limit_out_of_memory(void **state)
{
    (void)state;
    struct rpcfan_limit lim;
    rf_alloc_fail_at(1);
    assert_int_equal(rf_limit_parse("1/1s:a,b", &lim, NULL), RPCFAN_ENOMEM);
    rf_alloc_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit_forms),
        cmocka_unit_test(test_limit_refusals),
        cmocka_unit_test(test_limit_method_count),
        cmocka_unit_test(test_limit_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
