/* test_walk.c - members and elements of valid JSON, found without a tree; text that ends early. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "json/walk.h"

static struct rpcfan_slice text(const char *s)
{
    return (struct rpcfan_slice){s, strlen(s)};
}

static void assert_slice(struct rpcfan_slice s, const char *want)
{
    assert_int_equal(s.len, strlen(want));
    assert_memory_equal(s.data, want, s.len);
}

static void test_member_found(void **state)
{
    (void)state;
    struct rpcfan_slice v, object = text(" {\"a\" : [1,{\"b\":2}], \"b\":\"x\\\"}\",\"c\":null} ");
    assert_true(RF_WALK_MEMBER(object, "a", &v));
    assert_slice(v, "[1,{\"b\":2}]");
    assert_true(RF_WALK_MEMBER(object, "b", &v));
    assert_slice(v, "\"x\\\"}\"");
    assert_true(RF_WALK_MEMBER(object, "c", &v));
    assert_slice(v, "null");
    assert_false(RF_WALK_MEMBER(object, "d", &v));
    assert_false(RF_WALK_MEMBER(text("[1]"), "a", &v));
    assert_false(RF_WALK_MEMBER(text(""), "a", &v));
}

static void test_element_by_index(void **state)
{
    (void)state;
    struct rpcfan_slice array = text("[ 1 , \"two\",[3,4] ]");
    assert_slice(rf_walk_at(array, 0), "1");
    assert_slice(rf_walk_at(array, 1), "\"two\"");
    assert_slice(rf_walk_at(array, 2), "[3,4]");
    assert_int_equal(rf_walk_at(array, 3).len, 0);
    assert_int_equal(rf_walk_at(text("{}"), 0).len, 0);
}

/* A text that is cut anywhere gives what is whole in it, and nothing else. */
static void test_text_cut_anywhere(void **state)
{
    (void)state;
    static const char whole[] = "{\"k\":\"a\\\\\",\"n\":12,\"z\":[1,{}]}";
    for (size_t n = 0; n < sizeof whole; n++) {
        struct rpcfan_slice v, part = {whole, n};
        bool k = RF_WALK_MEMBER(part, "k", &v);
        assert_int_equal(k, n >= strlen("{\"k\":\"a\\\\\""));
        assert_int_equal(RF_WALK_MEMBER(part, "n", &v), n >= strlen("{\"k\":\"a\\\\\",\"n\":12,"));
        assert_int_equal(RF_WALK_MEMBER(part, "z", &v), n >= sizeof whole - 2);
    }
}

static void test_number_forms(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        bool ok;
        uint64_t v;
    } cases[] = {
        {"0", true, 0},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"\"436\"", true, 436},
        {"\"0x1b4\"", true, 0x1b4},
        {"\"0xFFFFFFFFFFFFFFFF\"", true, UINT64_MAX},
        {"\"0x10000000000000000\"", false, 0},
        {"-1", false, 0},
        {"1.5", false, 0},
        {"null", false, 0},
        {"\"\"", false, 0},
        {"", false, 0},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        uint64_t v = 0;
        assert_int_equal(rf_walk_number(text(cases[i].s), &v), cases[i].ok);
        if (cases[i].ok)
            assert_int_equal(v, cases[i].v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_member_found),
        cmocka_unit_test(test_element_by_index),
        cmocka_unit_test(test_text_cut_anywhere),
        cmocka_unit_test(test_number_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
