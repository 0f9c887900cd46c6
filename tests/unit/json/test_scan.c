/* test_scan.c - the grammar of RFC 8259 case by case: each text whole, a byte at a time and cut in
 * two at every place, with the same tokens, flags and offsets each time. */
#include "json/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "scan_cases.h"
#include "scan_trace.h"

#define DEEP RF_SCAN_DEPTH_MAX
static const struct trace_plan whole = {DEEP, DEEP, NULL, 0};

/** All chunkings of a text that are asked of each case. */
static void check_chunks(const struct text *t, const struct trace *want)
{
    struct trace got = {0};
    size_t *cut = malloc((t->len + 1) * sizeof *cut);
    assert_non_null(cut);
    for (size_t i = 0; i < t->len; i++)
        cut[i] = i;
    struct trace_plan plan = {DEEP, DEEP, cut, t->len};
    trace_text(&got, t->data, t->len, &plan);
    if (!trace_same(want, &got))
        fail_msg("differs a byte at a time: %.*s", (int)t->len, t->data);
    trace_fini(&got);
    for (size_t at = 0; at <= t->len; at++) {
        plan = (struct trace_plan){DEEP, DEEP, &at, 1};
        trace_text(&got, t->data, t->len, &plan);
        if (!trace_same(want, &got))
            fail_msg("differs when cut at %zu: %.*s", at, (int)t->len, t->data);
        trace_fini(&got);
    }
    free(cut);
}

static void check_cases(const struct text *cases, size_t n, enum rpcfan_err want)
{
    for (size_t i = 0; i < n; i++) {
        const struct text *t = &cases[i];
        struct trace got = {0};
        size_t at = SIZE_MAX;
        trace_text(&got, t->data, t->len, &whole);
        if (got.err != want)
            fail_msg("case %zu: %.*s: %s at %llu", i, (int)t->len, t->data, got.why,
                     (unsigned long long)got.offset);
        assert_int_equal(rf_json_check(t->data, t->len, DEEP, &at), want);
        assert_int_equal(at, got.offset);
        check_chunks(t, &got);
        trace_fini(&got);
    }
}

static void test_scan_accepts(void **state)
{
    (void)state;
    check_cases(accepted, RF_COUNT(accepted), RPCFAN_OK);
}

static void test_scan_refuses(void **state)
{
    (void)state;
    check_cases(refused, RF_COUNT(refused), RPCFAN_EMALFORMED);
}

/** An accepted text is not accepted before its last byte, numbers aside, nor with a byte put
 * behind. */
static void test_scan_refuses_truncated(void **state)
{
    (void)state;
    for (size_t i = 0; i < RF_COUNT(accepted); i++) {
        const struct text *t = &accepted[i];
        if (memchr("[{\"", t->data[0], 3) == NULL)
            continue;
        size_t end = t->len;
        while (t->data[end - 1] == ' ')
            end--;
        for (size_t len = 0; len < end; len++)
            assert_int_equal(rf_json_check(t->data, len, DEEP, NULL), RPCFAN_EMALFORMED);
    }
}

/** Each of the 256 bytes as a whole text, as an element, in a string, behind a backslash and in \u.
 */
static void test_scan_every_byte(void **state)
{
    (void)state;
    for (int b = 0; b < 256; b++) {
        char c = (char)b;
        char alone[1] = {c}, element[3] = {'[', c, ']'}, string[3] = {'"', c, '"'};
        char escape[4] = {'"', '\\', c, '"'}, hex[8] = {'"', '\\', 'u', '0', c, '0', '0', '"'};
        bool digit = b >= '0' && b <= '9';
        bool space = b == ' ' || b == '\t' || b == '\n' || b == '\r';
        bool plain = b >= 0x20 && b < 0x80 && b != '"' && b != '\\';
        bool xdigit = digit || (b >= 'a' && b <= 'f') || (b >= 'A' && b <= 'F');
        bool letter = b != 0 && strchr("\"\\/bfnrt", b) != NULL;
        assert_int_equal(rf_json_check(alone, 1, 8, NULL) == RPCFAN_OK, digit);
        assert_int_equal(rf_json_check(element, 3, 8, NULL) == RPCFAN_OK, digit || space);
        assert_int_equal(rf_json_check(string, 3, 8, NULL) == RPCFAN_OK, plain);
        assert_int_equal(rf_json_check(escape, 4, 8, NULL) == RPCFAN_OK, letter);
        assert_int_equal(rf_json_check(hex, 8, 8, NULL) == RPCFAN_OK, xdigit);
    }
}

/** Every sequence of two bytes, and of three and four at the edges, is told right as UTF-8. */
static void test_scan_utf8_ranges(void **state)
{
    (void)state;
    static const uint8_t edge[] = {0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0};
    for (int lead = 0x80; lead < 256; lead++) {
        for (size_t i = 0; i < 512; i++) {
            uint8_t b = edge[i & 7], c = edge[i >> 3 & 7], d = edge[i >> 6];
            bool tail2 = b >= 0x80 && b <= 0xbf, tail3 = tail2 && c >= 0x80 && c <= 0xbf;
            bool tail4 = tail3 && d >= 0x80 && d <= 0xbf;
            uint32_t three = (uint32_t)(lead & 15) << 12 | (b & 63u) << 6 | (c & 63u);
            uint32_t four =
                (uint32_t)(lead & 7) << 18 | (b & 63u) << 12 | (c & 63u) << 6 | (d & 63u);
            char text[6] = {'"', (char)lead, (char)b, (char)c, (char)d, '"'};
            bool ok = (lead & 0xf8) == 0xf0 && tail4 && four >= 0x10000 && four <= 0x10ffff;
            bool ok3 = (lead & 0xf0) == 0xe0 && tail3 && three >= 0x800 &&
                       (three < 0xd800 || three > 0xdfff);
            bool ok2 = (lead & 0xe0) == 0xc0 && lead >= 0xc2 && tail2;
            ok = ok || (ok3 && d == 0x7f) || (ok2 && c == 0x7f && d == 0x7f);
            assert_int_equal(rf_json_check(text, 6, 8, NULL) == RPCFAN_OK, ok);
        }
    }
}

/** `n` times the same bytes. */
static char *repeat(const char *piece, size_t n, size_t *len)
{
    size_t each = strlen(piece);
    char *text = malloc(n * each + 1);
    assert_non_null(text);
    for (size_t i = 0; i < n; i++)
        memcpy(text + i * each, piece, each);
    *len = n * each;
    return text;
}

static void test_scan_depth_limit(void **state)
{
    (void)state;
    size_t len, at;
    char *open = repeat("[", 100000, &len);
    assert_int_equal(rf_json_check(open, len, RF_SCAN_DEPTH, &at), RPCFAN_EMALFORMED);
    assert_int_equal(at, RF_SCAN_DEPTH);
    assert_int_equal(rf_json_check(open, len, UINT32_MAX, &at), RPCFAN_EMALFORMED);
    assert_int_equal(at, RF_SCAN_DEPTH_MAX);
    for (uint32_t depth = 1; depth <= 300; depth++) {
        memset(open + depth, ']', depth);
        assert_int_equal(rf_json_check(open, 2 * depth, depth, NULL), RPCFAN_OK);
        if (depth > 1) {
            assert_int_equal(rf_json_check(open, 2 * depth, depth - 1, &at), RPCFAN_EMALFORMED);
            assert_int_equal(at, depth - 1);
        }
        memset(open + depth, '[', depth);
    }
    free(open);
    char *objects = repeat("{\"a\":", 50000, &len);
    assert_int_equal(rf_json_check(objects, len, 512, &at), RPCFAN_EMALFORMED);
    assert_int_equal(at, 5 * 512);
    free(objects);
    assert_int_equal(rf_json_check("[]", 2, 0, NULL), RPCFAN_OK);
}

/** Arrays and objects in turn, so that each level's kind is remembered over word borders. */
static void test_scan_depth_kinds(void **state)
{
    (void)state;
    size_t n, ends;
    char *open = repeat("[{\"a\":", 100, &n), *close = repeat("}]", 100, &ends);
    char *text = malloc(n + 1 + ends);
    assert_non_null(text);
    memcpy(text, open, n);
    text[n] = '1';
    memcpy(text + n + 1, close, ends);
    assert_int_equal(rf_json_check(text, n + 1 + ends, 200, NULL), RPCFAN_OK);
    for (size_t i = n + 1; i < n + 1 + ends; i++) {
        char was = text[i];
        size_t at = 0;
        text[i] = was == ']' ? '}' : ']';
        assert_int_equal(rf_json_check(text, n + 1 + ends, 200, &at), RPCFAN_EMALFORMED);
        assert_int_equal(at, i);
        text[i] = was;
    }
    free(text);
    free(open);
    free(close);
}

static void test_scan_tokens_in_order(void **state)
{
    (void)state;
    static const char text[] = " {\"a\\n\": [-1.5, 20,true ,null],\"b\":\"x\",\"c\":{}} ";
    static const struct trace_step want[] = {
        {RF_TOK_OBJECT, 1, 2, 2, 1, 0, 0, 1, 0},
        {RF_TOK_KEY, 2, 7, 7, 1, 1, 0, 0, 0},
        {RF_TOK_ARRAY, 9, 10, 10, 2, 0, 0, 1, 0},
        {RF_TOK_NUMBER, 10, 14, 14, 2, 0, 0, 0, 0},
        {RF_TOK_NUMBER, 16, 18, 18, 2, 0, 1, 1, 0},
        {RF_TOK_TRUE, 19, 23, 23, 2, 0, 0, 0, 0},
        {RF_TOK_NULL, 25, 29, 29, 2, 0, 0, 1, 0},
        {RF_TOK_ARRAY_END, 29, 30, 30, 1, 0, 0, 0, 0},
        {RF_TOK_KEY, 31, 34, 34, 1, 0, 0, 0, 0},
        {RF_TOK_STRING, 35, 38, 38, 1, 0, 0, 0, 0},
        {RF_TOK_KEY, 39, 42, 42, 1, 0, 0, 0, 0},
        {RF_TOK_OBJECT, 43, 44, 44, 2, 0, 0, 0, 0},
        {RF_TOK_OBJECT_END, 44, 45, 45, 1, 0, 0, 0, 0},
        {RF_TOK_OBJECT_END, 45, 46, 46, 0, 0, 0, 0, 1},
    };
    struct trace got = {0};
    trace_text(&got, text, sizeof text - 1, &whole);
    struct trace expect = {(struct trace_step *)(uintptr_t)want, RF_COUNT(want), 0, 0, 47, got.why};
    assert_int_equal(got.n, RF_COUNT(want));
    assert_true(trace_same(&expect, &got));
    trace_fini(&got);
}

/** rf_scan_skip() at each depth says what rf_scan_next() says, less what lies deeper. */
static void test_scan_skip_is_a_filter(void **state)
{
    (void)state;
    static const char text[] = "[1,{\"a\":[2,{\"b\":[[],\"x\"]}],\"c\":3},[[[]]],\"d\"]";
    struct trace all = {0};
    trace_text(&all, text, sizeof text - 1, &whole);
    for (uint32_t depth = 0; depth < 8; depth++) {
        struct trace got = {0};
        struct trace_plan plan = {DEEP, depth, NULL, 0};
        trace_text(&got, text, sizeof text - 1, &plan);
        size_t n = 0;
        for (size_t i = 0; i < all.n; i++) {
            const struct trace_step *step = &all.step[i];
            bool opens = step->tok == RF_TOK_OBJECT || step->tok == RF_TOK_ARRAY;
            if (step->depth - opens > depth)
                continue;
            assert_true(n < got.n);
            assert_int_equal(got.step[n].tok, step->tok);
            assert_int_equal(got.step[n].start, step->start);
            assert_int_equal(got.step[n].end, step->end);
            n++;
        }
        assert_int_equal(got.n, n);
        trace_fini(&got);
    }
    trace_fini(&all);
}

static void test_scan_fault_place_and_text(void **state)
{
    (void)state;
    static const struct {
        struct text text;
        size_t at;
        const char *says;
    } cases[] = {
        {{TEXT("")}, 0, "empty"},
        {{TEXT("[1,]")}, 3, "value"},
        {{TEXT("{1}")}, 1, "name"},
        {{TEXT("{\"a\":1,}")}, 7, "name"},
        {{TEXT("{\"a\" 1}")}, 5, "':'"},
        {{TEXT("{\"a\":1 2}")}, 7, "'}'"},
        {{TEXT("[1 2]")}, 3, "']'"},
        {{TEXT("[}")}, 1, "']'"},
        {{TEXT("{} x")}, 3, "follow"},
        {{TEXT("01")}, 1, "number"},
        {{TEXT("[1.x]")}, 3, "number"},
        {{TEXT("[trux]")}, 4, "misspelt"},
        {{TEXT("\"a\x01\"")}, 2, "control"},
        {{TEXT("\"\\q\"")}, 2, "escape"},
        {{TEXT("\"\\u12x4\"")}, 5, "hex"},
        {{TEXT("\"\xc3(\"")}, 2, "UTF-8"},
        {{TEXT("[[[1]]]")}, 2, "deep"},
        {{TEXT("[1,2")}, 4, "early"},
        {{TEXT("\xef\xbb\xbf[]")}, 0, "value"},
        {{TEXT("tru")}, 3, "early"},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct trace got = {0};
        struct trace_plan plan = {2, 2, NULL, 0};
        trace_text(&got, cases[i].text.data, cases[i].text.len, &plan);
        assert_int_equal(got.err, RPCFAN_EMALFORMED);
        assert_int_equal(got.offset, cases[i].at);
        assert_non_null(strstr(got.why, cases[i].says));
        trace_fini(&got);
    }
}

static void test_scan_finish_reports_number(void **state)
{
    (void)state;
    struct rf_scan s;
    size_t pos = 0;
    int number = 7;
    rf_scan_init(&s, 4);
    assert_int_equal(rf_scan_next(&s, " 12", 3, &pos), RF_TOK_MORE);
    assert_int_equal(pos, 3);
    assert_false(s.done);
    assert_int_equal(rf_scan_finish(&s, &number), RPCFAN_OK);
    assert_int_equal(number, 1);
    assert_true(s.done && s.integer);
    assert_int_equal(s.start, 1);
    assert_int_equal(s.end, 3);
    assert_int_equal(rf_scan_finish(&s, &number), RPCFAN_OK);
    assert_int_equal(number, 0);
}

static void test_scan_empty_chunks(void **state)
{
    (void)state;
    struct rf_scan s;
    size_t pos = 0;
    rf_scan_init(&s, 4);
    assert_int_equal(rf_scan_next(&s, NULL, 0, &pos), RF_TOK_MORE);
    assert_int_equal(rf_scan_next(&s, "[", 1, &pos), RF_TOK_ARRAY);
    assert_int_equal(rf_scan_next(&s, "[", 1, &pos), RF_TOK_MORE);
    pos = 0;
    assert_int_equal(rf_scan_next(&s, NULL, 0, &pos), RF_TOK_MORE);
    assert_int_equal(rf_scan_next(&s, "}", 1, &pos), RF_TOK_ERROR);
    pos = 0;
    assert_int_equal(rf_scan_next(&s, NULL, 0, &pos), RF_TOK_ERROR);
    assert_int_equal(rf_scan_finish(&s, NULL), RPCFAN_EMALFORMED);
    assert_int_equal(s.offset, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan_accepts),
        cmocka_unit_test(test_scan_refuses),
        cmocka_unit_test(test_scan_refuses_truncated),
        cmocka_unit_test(test_scan_every_byte),
        cmocka_unit_test(test_scan_utf8_ranges),
        cmocka_unit_test(test_scan_depth_limit),
        cmocka_unit_test(test_scan_depth_kinds),
        cmocka_unit_test(test_scan_tokens_in_order),
        cmocka_unit_test(test_scan_skip_is_a_filter),
        cmocka_unit_test(test_scan_fault_place_and_text),
        cmocka_unit_test(test_scan_finish_reports_number),
        cmocka_unit_test(test_scan_empty_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
