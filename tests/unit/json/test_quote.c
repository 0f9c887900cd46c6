/* test_quote.c - strings quoted, unescaped and compacted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "json/rpc.h"

struct pair {
    const char *in;
    size_t len;
    const char *out;
    size_t out_len;
};
#define PAIR(a, b)                                                                                 \
    {                                                                                              \
        a, sizeof(a) - 1, b, sizeof(b) - 1                                                         \
    }

static void check_buf(const struct rf_buf *b, const struct pair *want)
{
    assert_false(b->failed);
    assert_int_equal(b->len, want->out_len);
    if (b->len > 0)
        assert_memory_equal(b->data, want->out, b->len);
}

static void test_quote_escapes(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        PAIR("", "\"\""),
        PAIR("abc", "\"abc\""),
        PAIR("a\"b\\c/d", "\"a\\\"b\\\\c/d\""),
        PAIR("\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\""),
        PAIR("\0\x01\x0b\x1f\x7f", "\"\\u0000\\u0001\\u000b\\u001f\x7f\""),
        PAIR("\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80", "\"\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\""),
        PAIR("a long plain string of over thirty-two bytes", "\"a long plain string of over "
                                                             "thirty-two bytes\""),
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rf_buf b = {0};
        rf_json_quote(&b, cases[i].in, cases[i].len);
        check_buf(&b, &cases[i]);
        rf_buf_fini(&b);
    }
}

#define BAD "\xef\xbf\xbd"
/** The replacement of maximal subparts, Unicode 15 par. 3.9, table 3-8 and its neighbours. */
static void test_quote_replaces_invalid_utf8(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        PAIR("\x80", "\"" BAD "\""),
        PAIR("\xff\xfe", "\"" BAD BAD "\""),
        PAIR("\xc3", "\"" BAD "\""),
        PAIR("\xc3(", "\"" BAD "(\""),
        PAIR("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", "\"" BAD BAD BAD BAD BAD BAD BAD BAD "A\""),
        PAIR("\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", "\"" BAD BAD BAD BAD BAD BAD BAD BAD "A\""),
        PAIR("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", "\"" BAD BAD BAD BAD BAD "A" BAD BAD "B\""),
        PAIR("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", "\"" BAD BAD BAD BAD "A\""),
        PAIR("\xe4\xb8", "\"" BAD "\""),
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rf_buf b = {0};
        rf_json_quote(&b, cases[i].in, cases[i].len);
        check_buf(&b, &cases[i]);
        rf_buf_fini(&b);
    }
}

static void test_quote_out_of_memory(void **state)
{
    (void)state;
    char many[600];
    memset(many, '\n', sizeof many);
    for (uint64_t n = 1;; n++) {
        struct rf_buf b = {0};
        rf_alloc_fail_at(n);
        rf_json_quote(&b, many, sizeof many);
        rf_json_unescape(&b, "\\n", 2);
        rf_alloc_fail_at(0);
        bool failed = b.failed;
        if (!failed)
            assert_int_equal(b.len, 2 * sizeof many + 3);
        rf_buf_fini(&b);
        if (!failed) {
            assert_true(n > 1);
            break;
        }
    }
}

static void test_unescape_every_form(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        PAIR("", ""),
        PAIR("plain", "plain"),
        PAIR("\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t"),
        PAIR("\\u0041\\u00e9\\u4E2d\\uffff", "A\xc3\xa9\xe4\xb8\xad\xef\xbf\xbf"),
        PAIR("a\\u0000b", "a\0b"),
        PAIR("\\u007f\\u0080\\u07ff\\u0800", "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80"),
        PAIR("\\ud83d\\ude00", "\xf0\x9f\x98\x80"),
        PAIR("\\uD800\\uDC00\\uDBFF\\uDFFF", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"),
        PAIR("\\ud800", BAD),
        PAIR("\\udc00x", BAD "x"),
        PAIR("\\ud800\\ud800\\udc00", BAD "\xf0\x90\x80\x80"),
        PAIR("\\udc00\\ud800", BAD BAD),
        PAIR("\\ud800\\u0041", BAD "A"),
        PAIR("\\ud800\\n", BAD "\n"),
        PAIR("\\ud800abcdefgh", BAD "abcdefgh"),
        PAIR("\\\\u0041", "\\u0041"),
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rf_buf b = {0};
        rf_json_unescape(&b, cases[i].in, cases[i].len);
        check_buf(&b, &cases[i]);
        assert_true(b.len <= cases[i].len);
        rf_buf_fini(&b);
    }
}

/** A text that the scanner would not have let through is cut, not overrun. */
static void test_unescape_cut_escape(void **state)
{
    (void)state;
    static const char *const cut[] = {"x\\", "x\\u", "x\\u12", "x\\u123"};
    for (size_t i = 0; i < RF_COUNT(cut); i++) {
        size_t len = strlen(cut[i]);
        char *exact = malloc(len), *out = malloc(len);
        assert_non_null(exact);
        assert_non_null(out);
        memcpy(exact, cut[i], len);
        assert_int_equal(rf_json_unescape_to(exact, len, out), 1);
        free(exact);
        free(out);
    }
}

static void test_compact_removes_space_between_tokens(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        PAIR("", ""),
        PAIR(" \t\r\n ", ""),
        PAIR("{}", "{}"),
        PAIR(" { \"a b\" : [ 1 , 2.5e+3 ,\n\ttrue ] ,\r\n \"c\" : \" x\\n \" } ",
             "{\"a b\":[1,2.5e+3,true],\"c\":\" x\\n \"}"),
        PAIR("[ \"\\\\\" , \"\\\" , \" ]", "[\"\\\\\",\"\\\" , \"]"),
        PAIR("[ \"a \xc3\xa9 \xe4\xb8\xad b\" ]", "[\"a \xc3\xa9 \xe4\xb8\xad b\"]"),
        PAIR("[ \"twenty or more bytes   with  spaces\" , \"\\u0020 \\\\\" ]",
             "[\"twenty or more bytes   with  spaces\",\"\\u0020 \\\\\"]"),
        PAIR("\"cut \\", "\"cut \\"),
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        const struct pair *c = &cases[i];
        char *exact = malloc(c->len + 1), *out = malloc(c->len + 1);
        assert_non_null(exact);
        assert_non_null(out);
        memcpy(exact, c->in, c->len);
        assert_int_equal(rpcfan_json_compact(exact, c->len, out), c->out_len);
        assert_memory_equal(out, c->out, c->out_len);
        assert_int_equal(rpcfan_json_compact(exact, c->len, exact), c->out_len);
        assert_memory_equal(exact, c->out, c->out_len);
        free(exact);
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quote_escapes),
        cmocka_unit_test(test_quote_replaces_invalid_utf8),
        cmocka_unit_test(test_quote_out_of_memory),
        cmocka_unit_test(test_unescape_every_form),
        cmocka_unit_test(test_unescape_cut_escape),
        cmocka_unit_test(test_compact_removes_space_between_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
