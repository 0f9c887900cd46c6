/* test_batch_template.c - lines into params templates. */
#include "cli/batch_template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

/* The params that a line makes of a template; the template must be good. */
static void expect(const char *template, const char *line, size_t len, const char *params)
{
    struct rf_template t = {0};
    struct rpcfan_error err = {0};
    struct rf_buf b = {0};
    if (template != NULL && rf_template_init(&t, template, &err) != RPCFAN_OK)
        fail_msg("%s: %s", template, err.text);
    rf_template_expand(&t, line, len, &b);
    assert_false(b.failed);
    rf_buf_char(&b, '\0');
    assert_string_equal(b.data, params);
    rf_buf_fini(&b);
}

static void expect_text(const char *template, const char *line, const char *params)
{
    expect(template, line, strlen(line), params);
}

static void expect_refused(const char *template, const char *saying)
{
    struct rf_template t;
    struct rpcfan_error err = {0};
    assert_int_equal(rf_template_init(&t, template, &err), RPCFAN_EINVAL);
    if (strstr(err.text, saying) == NULL)
        fail_msg("%s: \"%s\" does not say \"%s\"", template, err.text, saying);
}

static void test_template_in_string_is_put_between_the_quotes(void **state)
{
    (void)state;
    expect_text("[\"0x{}\",\"latest\"]", "1f", "[\"0x1f\",\"latest\"]");
}

static void test_template_in_string_is_escaped(void **state)
{
    (void)state;
    expect_text("[\"{}\"]", "a\"b\\c\td", "[\"a\\\"b\\\\c\\u0009d\"]");
    expect("[\"{}\"]", "a\0b", 3, "[\"a\\u0000b\"]");
}

static void test_template_in_string_keeps_utf8(void **state)
{
    (void)state;
    expect_text("[\"{}\"]", "\xc3\xa4\xe2\x82\xac", "[\"\xc3\xa4\xe2\x82\xac\"]");
}

static void test_template_outside_string_is_raw(void **state)
{
    (void)state;
    expect_text("[{},true]", "{\"a\":[1]}", "[{\"a\":[1]},true]");
    expect_text("{\"n\":{}}", "18446744073709551615", "{\"n\":18446744073709551615}");
}

static void test_template_several_places_each_in_its_manner(void **state)
{
    (void)state;
    expect_text("[{},\"{}-{}\",{\"{}\":1}]", "\"x\"",
                "[\"x\",\"\\\"x\\\"-\\\"x\\\"\",{\"\\\"x\\\"\":1}]");
}

static void test_template_escaped_quote_does_not_end_the_string(void **state)
{
    (void)state;
    expect_text("[\"\\\"{}\"]", "a\"", "[\"\\\"a\\\"\"]");
    expect_text("[\"\\\\\",{}]", "7", "[\"\\\\\",7]");
}

static void test_template_empty_object_is_written_with_a_space(void **state)
{
    (void)state;
    expect_text("[{ },\"{}\"]", "a", "[{ },\"a\"]");
}

static void test_template_without_a_place_ignores_the_line(void **state)
{
    (void)state;
    expect_text("[1]", "anything", "[1]");
}

static void test_template_absent_json_goes_in_as_it_is(void **state)
{
    (void)state;
    expect_text(NULL, "5", "[5]");
    expect_text(NULL, "{\"a\":1}", "[{\"a\":1}]");
    expect_text(NULL, "\"5\"", "[\"5\"]");
}

static void test_template_absent_text_becomes_a_string(void **state)
{
    (void)state;
    expect_text(NULL, "latest", "[\"latest\"]");
    expect_text(NULL, "0x1\"", "[\"0x1\\\"\"]");
    expect_text(NULL, "1 2", "[\"1 2\"]");
}

static void test_template_refused_names_column_and_remedy(void **state)
{
    (void)state;
    expect_refused("[0x{}]", "column 3");
    expect_refused("[\"{}\"", "single quotes");
    expect_refused("\"{}\"", "array or object");
    expect_refused("", "array or object");
    expect_refused("[\"{}]", "not JSON");
}

static void test_template_too_many_places_are_refused(void **state)
{
    (void)state;
    char text[4 * RF_TEMPLATE_PLACES_MAX + 8] = "[{}";
    for (int i = 0; i < RF_TEMPLATE_PLACES_MAX; i++)
        strcat(text, ",{}");
    strcat(text, "]");
    expect_refused(text, "more than 64");
}

static void test_template_out_of_memory_is_reported(void **state)
{
    (void)state;
    struct rf_template t;
    struct rf_buf b = {0};
    rf_alloc_fail_at(1);
    assert_int_equal(rf_template_init(&t, "[{}]", NULL), RPCFAN_ENOMEM);
    rf_alloc_fail_at(0);
    assert_int_equal(rf_template_init(&t, "[{}]", NULL), RPCFAN_OK);
    rf_alloc_fail_at(1);
    rf_template_expand(&t, "1", 1, &b);
    rf_alloc_fail_at(0);
    assert_true(b.failed);
    rf_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_template_in_string_is_put_between_the_quotes),
        cmocka_unit_test(test_template_in_string_is_escaped),
        cmocka_unit_test(test_template_in_string_keeps_utf8),
        cmocka_unit_test(test_template_outside_string_is_raw),
        cmocka_unit_test(test_template_several_places_each_in_its_manner),
        cmocka_unit_test(test_template_escaped_quote_does_not_end_the_string),
        cmocka_unit_test(test_template_empty_object_is_written_with_a_space),
        cmocka_unit_test(test_template_without_a_place_ignores_the_line),
        cmocka_unit_test(test_template_absent_json_goes_in_as_it_is),
        cmocka_unit_test(test_template_absent_text_becomes_a_string),
        cmocka_unit_test(test_template_refused_names_column_and_remedy),
        cmocka_unit_test(test_template_too_many_places_are_refused),
        cmocka_unit_test(test_template_out_of_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
