/* test_params.c - params out of words of the command line. */
#include "cli/params.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_words_are_json_or_strings(void **state)
{
    (void)state;
    struct rf_buf b = {0};
    rf_params_end(&b);
    assert_int_equal(b.len, 0); /* no words, no params */
    rf_params_add(&b, "latest");
    rf_params_add(&b, "5");
    rf_params_add(&b, "\"5\"");
    rf_params_add(&b, "[1,2]");
    rf_params_add(&b, "{\"a\":1");
    rf_params_add(&b, "");
    rf_params_end(&b);
    rf_buf_char(&b, '\0');
    assert_string_equal(b.data, "[\"latest\",5,\"5\",[1,2],\"{\\\"a\\\":1\",\"\"]");
    rf_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words_are_json_or_strings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
