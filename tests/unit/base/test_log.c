/* test_log.c - which lines reach the user's callback, and in what form. */
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct sink {
    int lines, level;
    char last[600];
};

static void keep(int level, const char *line, void *arg)
{
    struct sink *s = arg;
    s->lines++;
    s->level = level;
    snprintf(s->last, sizeof s->last, "%s", line);
}

static void test_line_reaches_the_callback(void **state)
{
    (void)state;
    struct sink s = {0};
    struct rf_log log = {keep, &s, RPCFAN_LOG_INFO};
    rf_log(&log, RPCFAN_LOG_WARN, "RF-EP-PAUSE ep=%s for_ms=%d why=429", "helius", 2000);
    assert_int_equal(s.lines, 1);
    assert_int_equal(s.level, RPCFAN_LOG_WARN);
    assert_string_equal(s.last, "RF-EP-PAUSE ep=helius for_ms=2000 why=429");
}

static void test_levels_above_are_dropped(void **state)
{
    (void)state;
    struct sink s = {0};
    struct rf_log log = {keep, &s, RPCFAN_LOG_WARN};
    for (int level = RPCFAN_LOG_ERROR; level <= RPCFAN_LOG_DEBUG; level++)
        rf_log(&log, level, "RF-X");
    assert_int_equal(s.lines, 2);
    assert_int_equal(s.level, RPCFAN_LOG_WARN);
}

static void test_no_log_is_silent(void **state)
{
    (void)state;
    struct rf_log zero = {0};
    rf_log(NULL, RPCFAN_LOG_ERROR, "RF-X");
    rf_log(&zero, RPCFAN_LOG_ERROR, "RF-X");
    assert_null(zero.cb);
}

static void test_long_line_is_cut(void **state)
{
    (void)state;
    struct sink s = {0};
    struct rf_log log = {keep, &s, RPCFAN_LOG_INFO};
    rf_log(&log, RPCFAN_LOG_INFO, "RF-LONG %0*d", 2000, 1);
    assert_int_equal(strlen(s.last), 511);
    assert_memory_equal(s.last, "RF-LONG 000", 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_reaches_the_callback),
        cmocka_unit_test(test_levels_above_are_dropped),
        cmocka_unit_test(test_no_log_is_silent),
        cmocka_unit_test(test_long_line_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
