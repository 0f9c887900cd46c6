/* test_err.c - every error has a name, a class and a text, and no two share a name. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

static void test_table_is_complete(void **state)
{
    (void)state;
    for (int e = 0; e < RPCFAN_ERR_COUNT; e++) {
        const char *name = rpcfan_err_name((enum rpcfan_err)e);
        assert_non_null(name);
        assert_non_null(rpcfan_err_text((enum rpcfan_err)e));
        assert_non_null(rpcfan_err_class((enum rpcfan_err)e));
        assert_true(strlen(name) > 0);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz-"), strlen(name));
        assert_true(strlen(rpcfan_err_text((enum rpcfan_err)e)) > 0);
        assert_true(strlen(rpcfan_err_class((enum rpcfan_err)e)) > 0);
    }
}

static void test_names_and_texts_are_distinct(void **state)
{
    (void)state;
    for (int a = 0; a < RPCFAN_ERR_COUNT; a++) {
        for (int b = 0; b < a; b++) {
            enum rpcfan_err x = (enum rpcfan_err)a, y = (enum rpcfan_err)b;
            assert_string_not_equal(rpcfan_err_name(x), rpcfan_err_name(y));
            assert_string_not_equal(rpcfan_err_text(x), rpcfan_err_text(y));
        }
    }
}

static void test_names_stand_for_ever(void **state)
{
    (void)state;
    assert_string_equal(rpcfan_err_name(RPCFAN_OK), "ok");
    assert_string_equal(rpcfan_err_name(RPCFAN_EDEADLINE), "deadline");
    assert_string_equal(rpcfan_err_class(RPCFAN_ETHROTTLED), "throttle");
    assert_string_equal(rpcfan_err_class(RPCFAN_ETIMEOUT), "network");
    assert_int_equal(RPCFAN_EIO, 20);
}

static void test_unknown_codes_are_invalid(void **state)
{
    (void)state;
    assert_string_equal(rpcfan_err_name(RPCFAN_ERR_COUNT), "invalid");
    assert_string_equal(rpcfan_err_name((enum rpcfan_err) - 1), "invalid");
    assert_string_equal(rpcfan_err_class((enum rpcfan_err)9999), "caller");
}

static void test_version(void **state)
{
    (void)state;
    assert_string_equal(rpcfan_version(), RPCFAN_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_complete),
        cmocka_unit_test(test_names_and_texts_are_distinct),
        cmocka_unit_test(test_names_stand_for_ever),
        cmocka_unit_test(test_unknown_codes_are_invalid),
        cmocka_unit_test(test_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
