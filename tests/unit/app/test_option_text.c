/* test_option_text.c - shares, policies and splits written as words. */
#include "app/option_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_percent_forms(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    "%",    "5",   "5 %",   "-5%",
                                      "+5%", "1.5%", "5%%", "1000%", "x%"};
    uint32_t v = 77;
    assert_int_equal(rf_option_percent("0%", &v), RPCFAN_OK);
    assert_int_equal(v, 0);
    assert_int_equal(rf_option_percent("050%", &v), RPCFAN_OK);
    assert_int_equal(v, 50);
    assert_int_equal(rf_option_percent("999%", &v), RPCFAN_OK);
    assert_int_equal(v, 999);
    for (size_t i = 0; i < RF_COUNT(bad); i++)
        assert_int_equal(rf_option_percent(bad[i], &v), RPCFAN_EINVAL);
    assert_int_equal(v, 999);
}

static void test_policy_words(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        enum rpcfan_policy policy;
    } words[] = {{"balance", RPCFAN_BALANCE},
                 {"failover", RPCFAN_FAILOVER},
                 {"first", RPCFAN_FIRST},
                 {"quorum", RPCFAN_QUORUM},
                 {"broadcast", RPCFAN_BROADCAST}};
    enum rpcfan_policy policy;
    for (size_t i = 0; i < RF_COUNT(words); i++) {
        assert_int_equal(rf_option_policy(words[i].word, &policy), RPCFAN_OK);
        assert_int_equal(policy, words[i].policy);
    }
    assert_int_equal(rf_option_policy("Balance", &policy), RPCFAN_EINVAL);
    assert_int_equal(rf_option_policy("", &policy), RPCFAN_EINVAL);
}

static void test_split_words(void **state)
{
    (void)state;
    enum rpcfan_split split;
    assert_int_equal(rf_option_split("range", &split), RPCFAN_OK);
    assert_int_equal(split, RPCFAN_SPLIT_RANGE);
    assert_int_equal(rf_option_split("none", &split), RPCFAN_OK);
    assert_int_equal(split, RPCFAN_SPLIT_NONE);
    assert_int_equal(rf_option_split("ranges", &split), RPCFAN_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_percent_forms),
        cmocka_unit_test(test_policy_words),
        cmocka_unit_test(test_split_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
