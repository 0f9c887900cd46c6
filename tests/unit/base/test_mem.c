/* test_mem.c - allocation, copies, and the failure switch that all other tests rely on. */
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_alloc_is_zeroed(void **state)
{
    (void)state;
    unsigned char *p = rf_alloc(10000);
    assert_non_null(p);
    for (size_t i = 0; i < 10000; i++)
        assert_int_equal(p[i], 0);
    rf_free(p);
}

static void test_zero_bytes_are_memory_too(void **state)
{
    (void)state;
    void *p = rf_alloc(0);
    assert_non_null(p);
    p = rf_realloc(p, 0);
    assert_non_null(p);
    rf_free(p);
    rf_free(NULL);
}

static void test_realloc_keeps_contents(void **state)
{
    (void)state;
    char *p = rf_realloc(NULL, 4);
    assert_non_null(p);
    memcpy(p, "abc", 4);
    p = rf_realloc(p, 100000);
    assert_non_null(p);
    assert_string_equal(p, "abc");
    rf_alloc_fail_at(1);
    assert_null(rf_realloc(p, 200000));
    rf_alloc_fail_at(0);
    assert_string_equal(p, "abc"); /* left as it was */
    rf_free(p);
}

static void test_copies(void **state)
{
    (void)state;
    assert_null(rf_strdup(NULL));
    char *s = rf_strdup("endpoint");
    assert_string_equal(s, "endpoint");
    rf_free(s);
    s = rf_memdup("ab\0cd", 5);
    assert_memory_equal(s, "ab\0cd\0", 6);
    rf_free(s);
    s = rf_memdup(NULL, 0);
    assert_string_equal(s, "");
    rf_free(s);
    rf_alloc_fail_at(1);
    assert_null(rf_strdup("x"));
    rf_alloc_fail_at(0);
}

static void test_fails_at_the_nth_and_only_there(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 20; n++) {
        rf_alloc_fail_at(n);
        for (uint64_t i = 1; i <= 30; i++) {
            void *p = i % 2 ? rf_alloc(8) : rf_realloc(NULL, 8);
            assert_int_equal(p == NULL, i == n);
            rf_free(p);
        }
    }
    rf_alloc_fail_at(1);
    rf_alloc_fail_at(0); /* disarmed */
    void *p = rf_alloc(1);
    assert_non_null(p);
    rf_free(p);
}

static void test_count_counts_each_attempt(void **state)
{
    (void)state;
    uint64_t before = rf_alloc_count();
    void *p = rf_alloc(1);
    p = rf_realloc(p, 2);
    rf_alloc_fail_at(1);
    assert_null(rf_alloc(1));
    rf_alloc_fail_at(0);
    rf_free(p);
    assert_int_equal(rf_alloc_count(), before + 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc_is_zeroed),
        cmocka_unit_test(test_zero_bytes_are_memory_too),
        cmocka_unit_test(test_realloc_keeps_contents),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_fails_at_the_nth_and_only_there),
        cmocka_unit_test(test_count_counts_each_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
