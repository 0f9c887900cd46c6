/* test_split.c - every shape a reply can have, fed whole, byte by byte and cut in two at every
 * place. */
#include "json/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "json_gen.h"

/** What a member must be; NULL: absent. */
struct expect {
    enum rf_id_kind kind;
    uint64_t id;
    const char *result, *error;
    bool space, twice;
};

#define MOST 8

struct reply {
    const char *body;
    enum rf_shape shape;
    uint32_t n;
    uint64_t not_objects;
    struct expect member[4];
};

static void check_slice(const char *body, uint64_t at, uint64_t len, const char *want)
{
    if (want == NULL) {
        assert_int_equal(len, 0);
        return;
    }
    assert_int_equal(len, strlen(want));
    assert_memory_equal(body + at, want, len);
}

static void check_reply(const struct rf_split *s, const struct reply *want)
{
    if (s->shape != want->shape)
        fail_msg("shape %d, not %d: %s", s->shape, want->shape, want->body);
    assert_false(s->no_memory);
    if (want->shape == RF_SHAPE_BAD)
        return;
    assert_int_equal(s->n, want->n);
    assert_int_equal(s->overflow, 0);
    assert_int_equal(s->not_objects, want->not_objects);
    for (uint32_t i = 0; i < want->n; i++) {
        const struct rf_member *m = &s->member[i];
        const struct expect *e = &want->member[i];
        if (m->id_kind != e->kind || m->twice != e->twice || m->space != e->space)
            fail_msg("kind %d twice %d space %d: %s", m->id_kind, m->twice, m->space, want->body);
        assert_int_equal(m->id, e->id);
        check_slice(want->body, m->result_at, m->result_len, e->result);
        check_slice(want->body, m->error_at, m->error_len, e->error);
    }
}

/** Feed a body in memory of its exact size, moved with each growth. */
static void feed_to(struct rf_split *s, char **body, const char *from, size_t len)
{
    free(*body);
    *body = malloc(len > 0 ? len : 1);
    assert_non_null(*body);
    memcpy(*body, from, len);
    rf_split_feed(s, *body, len);
}

/** First `cut` bytes where that is not 0, then the rest at once, or `step` bytes a time. */
static void split_by(struct rf_split *s, const char *from, size_t len, size_t cut, size_t step)
{
    char *body = NULL;
    rf_split_init(s, MOST);
    feed_to(s, &body, from, 0);
    if (cut > 0)
        feed_to(s, &body, from, cut);
    for (size_t at = cut; step > 0 && at < len; at += step)
        feed_to(s, &body, from, at);
    feed_to(s, &body, from, len);
    rf_split_finish(s, body);
    free(body);
}

static void check_replies(const struct reply *replies, size_t n)
{
    struct rf_split s = {0};
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(replies[i].body);
        split_by(&s, replies[i].body, len, 0, 0);
        check_reply(&s, &replies[i]);
        split_by(&s, replies[i].body, len, 0, 1);
        check_reply(&s, &replies[i]);
        split_by(&s, replies[i].body, len, 0, 7);
        check_reply(&s, &replies[i]);
        for (size_t cut = 1; cut < len; cut++) {
            split_by(&s, replies[i].body, len, cut, 0);
            check_reply(&s, &replies[i]);
        }
    }
    rf_split_fini(&s);
}

#define OK1 "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x1\"}"
#define OK2 "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":\"0x2\"}"
#define ERR3 "{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{\"code\":-32000,\"message\":\"no\"}}"
#define IS1 RF_ID_UINT, 1, "\"0x1\"", NULL, 0, 0
#define IS2 RF_ID_UINT, 2, "\"0x2\"", NULL, 0, 0
#define IS3 RF_ID_UINT, 3, NULL, "{\"code\":-32000,\"message\":\"no\"}", 0, 0

static void test_split_shapes(void **state)
{
    (void)state;
    static const struct reply replies[] = {
        {OK1, RF_SHAPE_OBJECT, 1, 0, {{IS1}}},
        {" \r\n" OK1 "\n", RF_SHAPE_OBJECT, 1, 0, {{IS1}}},
        {"[" OK1 "," OK2 "," ERR3 "]", RF_SHAPE_ARRAY, 3, 0, {{IS1}, {IS2}, {IS3}}},
        {"[ " ERR3 " , " OK2 " ,\n" OK1 " ] ", RF_SHAPE_ARRAY, 3, 0, {{IS3}, {IS2}, {IS1}}},
        {"[" OK1 "," OK1 "," OK1 "]", RF_SHAPE_ARRAY, 3, 0, {{IS1}, {IS1}, {IS1}}},
        {"[" ERR3 "]", RF_SHAPE_ARRAY, 1, 0, {{IS3}}},
        {"[]", RF_SHAPE_ARRAY, 0, 0, {{0}}},
        {" [ ] ", RF_SHAPE_ARRAY, 0, 0, {{0}}},
        {"{}", RF_SHAPE_OBJECT, 1, 0, {{0}}},
        {"[{},{}]", RF_SHAPE_ARRAY, 2, 0, {{0}, {0}}},
        {"\xef\xbb\xbf[" OK1 "]", RF_SHAPE_ARRAY, 1, 0, {{IS1}}},
        {"\xef\xbb\xbf " OK2, RF_SHAPE_OBJECT, 1, 0, {{IS2}}},
        {"[1,\"a\",null,[" OK1 ",[2]],-2.5,true," OK2 "]", RF_SHAPE_ARRAY, 1, 6, {{IS2}}},
        {"[[]]", RF_SHAPE_ARRAY, 0, 1, {{0}}},
        {"[[{\"id\":1,\"result\":2}],[[{}]]]", RF_SHAPE_ARRAY, 0, 2, {{0}}},
        {"\"text\"", RF_SHAPE_OTHER, 0, 0, {{0}}},
        {"12", RF_SHAPE_OTHER, 0, 0, {{0}}},
        {" -1.5e3 ", RF_SHAPE_OTHER, 0, 0, {{0}}},
        {"null", RF_SHAPE_OTHER, 0, 0, {{0}}},
        {"", RF_SHAPE_NONE, 0, 0, {{0}}},
        {" \r\n\t ", RF_SHAPE_NONE, 0, 0, {{0}}},
        {"\xef\xbb\xbf", RF_SHAPE_NONE, 0, 0, {{0}}},
        {"\xef\xbb\xbf \n", RF_SHAPE_NONE, 0, 0, {{0}}},
    };
    check_replies(replies, RF_COUNT(replies));
}

static void test_split_bad_bodies(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "<html><body>429 Too Many Requests</body></html>",
        "<!DOCTYPE html>",
        "upstream connect error",
        "error code: 1015",
        "\xef",
        "\xef\xbb",
        "\xef\xbb[]",
        "\xef\xbb\xbf\xef\xbb\xbf[]",
        "[]\xef\xbb\xbf",
        OK1 OK2,
        OK1 "," OK2,
        "[" OK1 ",]",
        "[" OK1 OK2 "]",
        "[" OK1 "]x",
        "{\"id\":1,\"result\":}",
        "{\"id\":01,\"result\":1}",
        "{\"id\":1,\"result\":nan}",
        "tru",
        "-",
        "\"abc",
        " 1.",
        "1 2",
        "{\"result\":\"\xff\"}",
    };
    for (size_t i = 0; i < RF_COUNT(bodies); i++) {
        struct reply bad = {bodies[i], RF_SHAPE_BAD, 0, 0, {{0}}};
        check_replies(&bad, 1);
    }
}

static void test_split_truncated_everywhere(void **state)
{
    (void)state;
    static const char *const bodies[] = {"\xef\xbb\xbf[" OK1 "," ERR3
                                         ",{\"id\":\"4\",\"result\":null}]",
                                         "{\"id\":12,\"result\":[1,{\"id\":2}],\"error\":null}"};
    struct rf_split s = {0};
    for (size_t i = 0; i < RF_COUNT(bodies); i++) {
        size_t bom = bodies[i][0] == '\xef' ? 3 : 0;
        for (size_t len = 0; len < strlen(bodies[i]); len++) {
            for (size_t step = 0; step < 3; step++) {
                split_by(&s, bodies[i], len, 0, step);
                bool empty = len == 0 || len == bom;
                assert_int_equal(s.shape, empty ? RF_SHAPE_NONE : RF_SHAPE_BAD);
            }
        }
    }
    rf_split_fini(&s);
}

/** What was whole in front of the fault can still be used by whoever wants it. */
static void test_split_truncated_keeps_members(void **state)
{
    (void)state;
    struct rf_split s = {0};
    static const char body[] = "[" OK1 "," OK2 ",{\"id\":3,\"resu";
    split_by(&s, body, sizeof body - 1, 0, 0);
    assert_int_equal(s.shape, RF_SHAPE_BAD);
    assert_int_equal(s.n, 2);
    assert_int_equal(s.member[1].id, 2);
    rf_split_fini(&s);
}

/** Ids as they stand in the text; `again`: a second one behind the result, or NULL. */
static void test_split_id_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *id, *again;
        enum rf_id_kind kind;
        uint64_t value;
    } cases[] = {
        {"0", NULL, RF_ID_UINT, 0},
        {"7", NULL, RF_ID_UINT, 7},
        {"18446744073709551615", NULL, RF_ID_UINT, UINT64_MAX},
        {"18446744073709551616", NULL, RF_ID_OTHER, 0},
        {"99999999999999999999", NULL, RF_ID_OTHER, 0},
        {"100000000000000000000000", NULL, RF_ID_OTHER, 0},
        {"\"12\"", NULL, RF_ID_UINT, 12},
        {"\"0012\"", NULL, RF_ID_UINT, 12},
        {"\"18446744073709551615\"", NULL, RF_ID_UINT, UINT64_MAX},
        {"\"18446744073709551616\"", NULL, RF_ID_OTHER, 0},
        {"12.0", NULL, RF_ID_UINT, 12},
        {"12.000", NULL, RF_ID_UINT, 12},
        {"0.0", NULL, RF_ID_UINT, 0},
        {"12.5", NULL, RF_ID_OTHER, 0},
        {"12.01", NULL, RF_ID_OTHER, 0},
        {"12.0e1", NULL, RF_ID_OTHER, 0},
        {"12e0", NULL, RF_ID_OTHER, 0},
        {"1.2e1", NULL, RF_ID_OTHER, 0},
        {"-12", NULL, RF_ID_OTHER, 0},
        {"-0", NULL, RF_ID_OTHER, 0},
        {"-0.0", NULL, RF_ID_OTHER, 0},
        {"\"\"", NULL, RF_ID_OTHER, 0},
        {"\"12.0\"", NULL, RF_ID_OTHER, 0},
        {"\"-1\"", NULL, RF_ID_OTHER, 0},
        {"\" 1\"", NULL, RF_ID_OTHER, 0},
        {"\"1a\"", NULL, RF_ID_OTHER, 0},
        {"\"0x1\"", NULL, RF_ID_OTHER, 0},
        {"\"\\u0031\"", NULL, RF_ID_OTHER, 0},
        {"null", NULL, RF_ID_NULL, 0},
        {"true", NULL, RF_ID_OTHER, 0},
        {"[1]", NULL, RF_ID_OTHER, 0},
        {"{\"id\":1}", NULL, RF_ID_OTHER, 0},
        {"5", "5", RF_ID_UINT, 5},
        {"5", "\"5\"", RF_ID_UINT, 5},
        {"5", "5.0", RF_ID_UINT, 5},
        {"5", "6", RF_ID_OTHER, 0},
        {"5", "null", RF_ID_OTHER, 0},
        {"null", "0", RF_ID_OTHER, 0},
        {"null", "null", RF_ID_NULL, 0},
        {"5", "-5", RF_ID_OTHER, 0},
        {"\"a\"", "5", RF_ID_OTHER, 0},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        char body[128];
        bool two = cases[i].again != NULL;
        snprintf(body, sizeof body, "{\"id\":%s,\"result\":1%s%s}", cases[i].id,
                 two ? ",\"id\":" : "", two ? cases[i].again : "");
        struct reply reply = {
            body, RF_SHAPE_OBJECT, 1, 0, {{cases[i].kind, cases[i].value, "1", NULL, 0, 0}},
        };
        check_replies(&reply, 1);
    }
}

/** Ids that differ stay in conflict whatever comes after. */
static void test_split_id_conflict_stays(void **state)
{
    (void)state;
    static const struct reply replies[] = {
        {"{\"id\":5,\"id\":6,\"id\":5}",
         RF_SHAPE_OBJECT,
         1,
         0,
         {{RF_ID_OTHER, 0, NULL, NULL, 0, 0}}},
        {"{\"id\":5,\"id\":6,\"id\":6}",
         RF_SHAPE_OBJECT,
         1,
         0,
         {{RF_ID_OTHER, 0, NULL, NULL, 0, 0}}},
        {"{\"id\":5,\"id\":[],\"id\":0}",
         RF_SHAPE_OBJECT,
         1,
         0,
         {{RF_ID_OTHER, 0, NULL, NULL, 0, 0}}},
    };
    check_replies(replies, RF_COUNT(replies));
}

static void test_split_result_and_error(void **state)
{
    (void)state;
    static const struct reply replies[] = {
        {"{\"id\":1,\"result\":null}",
         RF_SHAPE_OBJECT,
         1,
         0,
         {{RF_ID_UINT, 1, "null", NULL, 0, 0}}},
        {"{\"id\":1,\"result\":1,\"error\":null}",
         RF_SHAPE_OBJECT,
         1,
         0,
         {{RF_ID_UINT, 1, "1", "null", 0, 0}}},
        {"{\"error\":{\"code\":1},\"result\":null,\"id\":1}",
         RF_SHAPE_OBJECT,
         1,
         0,
         {{RF_ID_UINT, 1, "null", "{\"code\":1}", 0, 0}}},
        {"{\"error\":null,\"result\":null}",
         RF_SHAPE_OBJECT,
         1,
         0,
         {{RF_ID_NONE, 0, "null", "null", 0, 0}}},
        {"{\"error\":{},\"result\":0}", RF_SHAPE_OBJECT, 1, 0, {{RF_ID_NONE, 0, "0", "{}", 0, 1}}},
        {"{\"result\":\"\",\"error\":\"no\"}",
         RF_SHAPE_OBJECT,
         1,
         0,
         {{RF_ID_NONE, 0, "\"\"", "\"no\"", 0, 1}}},
        {"{\"result\":1,\"result\":[2]}",
         RF_SHAPE_OBJECT,
         1,
         0,
         {{RF_ID_NONE, 0, "[2]", NULL, 0, 1}}},
        {"{\"result\":null,\"result\":null}",
         RF_SHAPE_OBJECT,
         1,
         0,
         {{RF_ID_NONE, 0, "null", NULL, 0, 1}}},
        {"{\"error\":{},\"error\":null}",
         RF_SHAPE_OBJECT,
         1,
         0,
         {{RF_ID_NONE, 0, NULL, "null", 0, 1}}},
        {"[{\"result\":1,\"result\":1},{\"result\":2}]",
         RF_SHAPE_ARRAY,
         2,
         0,
         {{RF_ID_NONE, 0, "1", NULL, 0, 1}, {RF_ID_NONE, 0, "2", NULL, 0, 0}}},
    };
    check_replies(replies, RF_COUNT(replies));
}

static void test_split_nested_names_do_not_count(void **state)
{
    (void)state;
    static const struct reply replies[] = {
        {"{\"x\":{\"id\":9,\"result\":8,\"error\":7},\"id\":1,\"result\":{\"id\":2,\"error\":[{"
         "\"id\":3}],"
         "\"result\":{\"id\":4}},\"y\":[{\"id\":5}]}",
         RF_SHAPE_OBJECT,
         1,
         0,
         {{RF_ID_UINT, 1, "{\"id\":2,\"error\":[{\"id\":3}],\"result\":{\"id\":4}}", NULL, 0, 0}}},
        {"[{\"id\":1,\"result\":[{\"id\":2,\"result\":3},[\"id\"]]},{\"x\":\"id\",\"result\":"
         "\"id\"}]",
         RF_SHAPE_ARRAY,
         2,
         0,
         {{RF_ID_UINT, 1, "[{\"id\":2,\"result\":3},[\"id\"]]", NULL, 0, 0},
          {RF_ID_NONE, 0, "\"id\"", NULL, 0, 0}}},
        {"{\"method\":\"m\",\"params\":{\"result\":1,\"id\":2}}", RF_SHAPE_OBJECT, 1, 0, {{0}}},
    };
    check_replies(replies, RF_COUNT(replies));
}

static void test_split_names_unescaped(void **state)
{
    (void)state;
    static const struct reply replies[] = {
        {"{\"\\u0069d\":1,\"\\u0072\\u0065\\u0073\\u0075\\u006c\\u0074\":2,\"e\\u0072ror\":null}",
         RF_SHAPE_OBJECT,
         1,
         0,
         {{RF_ID_UINT, 1, "2", "null", 0, 0}}},
        {"{\"Id\":1,\"ID\":1,\"resul\":2,\"results\":3,\"errors\":4,\"i\":5,\"\":6}",
         RF_SHAPE_OBJECT,
         1,
         0,
         {{0}}},
        {"{\"\\u0069\\u0064\\u0000\":1,\"\\/"
         "id\":2,\"resul\\t\":3,\"\\u0072\\u0065\\u0073\\u0075\\u006c"
         "\\u0074\\u0000\":4}",
         RF_SHAPE_OBJECT,
         1,
         0,
         {{0}}},
    };
    check_replies(replies, RF_COUNT(replies));
}

static void test_split_space_flag(void **state)
{
    (void)state;
    static const struct reply replies[] = {
        {"{ \"id\" : 1 , \"result\" : \"a b\" }",
         RF_SHAPE_OBJECT,
         1,
         0,
         {{RF_ID_UINT, 1, "\"a b\"", NULL, 0, 0}}},
        {"{ \"id\" : 1 , \"result\" : [1,{\"a\":\" \"}] , \"x\" : [ 1 ] }",
         RF_SHAPE_OBJECT,
         1,
         0,
         {{RF_ID_UINT, 1, "[1,{\"a\":\" \"}]", NULL, 0, 0}}},
        {"{\"result\":[1,{\"a\": 2}]}",
         RF_SHAPE_OBJECT,
         1,
         0,
         {{RF_ID_NONE, 0, "[1,{\"a\": 2}]", NULL, 1, 0}}},
        {"{\"result\":[ ]}", RF_SHAPE_OBJECT, 1, 0, {{RF_ID_NONE, 0, "[ ]", NULL, 1, 0}}},
        {"{\"error\":{\"code\":1 },\"result\":null}",
         RF_SHAPE_OBJECT,
         1,
         0,
         {{RF_ID_NONE, 0, "null", "{\"code\":1 }", 1, 0}}},
        {"[{\"result\":{\n}},{\"result\":{}}]",
         RF_SHAPE_ARRAY,
         2,
         0,
         {{RF_ID_NONE, 0, "{\n}", NULL, 1, 0}, {RF_ID_NONE, 0, "{}", NULL, 0, 0}}},
    };
    check_replies(replies, RF_COUNT(replies));
}

static void test_split_overflow_is_counted(void **state)
{
    (void)state;
    struct rf_split s = {0};
    static const char body[] = "[" OK1 "," OK2 "," ERR3 ",4," OK1 "]";
    for (uint32_t max = 1; max <= 5; max++) {
        rf_split_init(&s, max);
        rf_split_feed(&s, body, sizeof body - 1);
        rf_split_finish(&s, body);
        uint32_t n = max < 4 ? max : 4;
        assert_int_equal(s.shape, RF_SHAPE_ARRAY);
        assert_int_equal(s.n, n);
        assert_true(s.cap >= n);
        assert_int_equal(s.overflow, 4 - n);
        assert_int_equal(s.not_objects, 1);
        assert_int_equal(s.member[0].id, 1);
    }
    static const char bad[] = "[" OK1 "," OK2 ",{\"id\":x}]";
    rf_split_init(&s, 1);
    rf_split_feed(&s, bad, sizeof bad - 1);
    assert_int_equal(s.shape, RF_SHAPE_BAD);
    rf_split_fini(&s);
}

/** A batch of `n` members in `b`. */
static void write_batch(struct rf_buf *b, uint64_t n)
{
    rf_buf_char(b, '[');
    for (uint64_t i = 0; i < n; i++)
        rf_buf_printf(b, "%s{\"id\":%llu,\"result\":%llu}", i > 0 ? "," : "", (unsigned long long)i,
                      (unsigned long long)(i * i));
    rf_buf_char(b, ']');
    assert_false(b->failed);
}

/** Memory stays bounded by `max`, and is kept from one body to the next. */
static void test_split_memory_is_bounded(void **state)
{
    (void)state;
    struct rf_buf b = {0};
    struct rf_split s = {0};
    write_batch(&b, 5000);
    rf_split_init(&s, 1000);
    rf_split_feed(&s, b.data, b.len);
    rf_split_finish(&s, b.data);
    assert_int_equal(s.n, 1000);
    assert_int_equal(s.cap, 1000);
    assert_int_equal(s.overflow, 4000);
    uint64_t before = rf_alloc_count();
    rf_split_init(&s, 1000);
    rf_split_feed(&s, b.data, b.len);
    assert_int_equal(s.n, 1000);
    assert_int_equal(s.member[999].id, 999);
    assert_int_equal(rf_alloc_count(), before);
    rf_split_fini(&s);
    assert_null(s.member);
    rf_buf_fini(&b);
}

static void test_split_out_of_memory(void **state)
{
    (void)state;
    struct rf_buf b = {0};
    uint64_t n = 1;
    write_batch(&b, 300);
    for (;; n++) {
        struct rf_split s = {0};
        rf_split_init(&s, UINT32_MAX);
        rf_alloc_fail_at(n);
        rf_split_feed(&s, b.data, b.len / 2);
        rf_split_feed(&s, b.data, b.len);
        rf_alloc_fail_at(0);
        rf_split_finish(&s, b.data);
        bool failed = s.no_memory;
        assert_int_equal(s.shape, failed ? RF_SHAPE_BAD : RF_SHAPE_ARRAY);
        if (!failed)
            assert_int_equal(s.n, 300);
        rf_split_init(&s, 4);
        assert_false(s.no_memory);
        rf_split_fini(&s);
        if (!failed)
            break;
    }
    assert_true(n > 2);
    rf_buf_fini(&b);
}

static void test_split_depth_limit(void **state)
{
    (void)state;
    struct rf_split s = {0};
    char body[2 * RF_SCAN_DEPTH + 32];
    size_t n = (size_t)snprintf(body, sizeof body, "{\"result\":");
    memset(body + n, '[', RF_SCAN_DEPTH);
    memset(body + n + RF_SCAN_DEPTH - 1, ']', RF_SCAN_DEPTH);
    body[n + 2 * RF_SCAN_DEPTH - 2] = '}';
    split_by(&s, body, n + 2 * RF_SCAN_DEPTH - 1, 0, 0);
    assert_int_equal(s.shape, RF_SHAPE_OBJECT);
    assert_int_equal(s.member[0].result_len, 2 * RF_SCAN_DEPTH - 2);
    memset(body + n, '[', RF_SCAN_DEPTH);
    split_by(&s, body, n + RF_SCAN_DEPTH, 0, 0);
    assert_int_equal(s.shape, RF_SHAPE_BAD);
    rf_split_fini(&s);
}

/** Random values come back byte for byte, whatever the growth. */
static void test_split_random_results(void **state)
{
    (void)state;
    struct rf_rng r;
    struct rf_split s = {0};
    rf_rng_init(&r, 99);
    for (int round = 0; round < 3000; round++) {
        struct rf_buf value = {0}, body = {0};
        gen_value(&value, &r, 5);
        const char *v = value.data;
        size_t len = value.len;
        for (; strchr(" \t\r\n", *v) != NULL; len--)
            v++;
        while (strchr(" \t\r\n", v[len - 1]) != NULL)
            len--;
        rf_buf_str(&body, "[{\"id\":1,\"result\":");
        rf_buf_add(&body, value.data, value.len);
        rf_buf_str(&body, "},{\"error\":");
        rf_buf_add(&body, value.data, value.len);
        rf_buf_str(&body, ",\"id\":\"2\"}]");
        assert_false(value.failed || body.failed);
        split_by(&s, body.data, body.len, 0, (size_t)rf_rng_below(&r, 40));
        assert_int_equal(s.shape, RF_SHAPE_ARRAY);
        assert_int_equal(s.n, 2);
        assert_int_equal(s.member[0].result_len, len);
        assert_memory_equal(body.data + s.member[0].result_at, v, len);
        assert_int_equal(s.member[1].error_len, len);
        assert_memory_equal(body.data + s.member[1].error_at, v, len);
        assert_int_equal(s.member[1].id, 2);
        rf_buf_fini(&value);
        rf_buf_fini(&body);
    }
    rf_split_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split_shapes),
        cmocka_unit_test(test_split_bad_bodies),
        cmocka_unit_test(test_split_truncated_everywhere),
        cmocka_unit_test(test_split_truncated_keeps_members),
        cmocka_unit_test(test_split_id_kinds),
        cmocka_unit_test(test_split_id_conflict_stays),
        cmocka_unit_test(test_split_result_and_error),
        cmocka_unit_test(test_split_nested_names_do_not_count),
        cmocka_unit_test(test_split_names_unescaped),
        cmocka_unit_test(test_split_space_flag),
        cmocka_unit_test(test_split_overflow_is_counted),
        cmocka_unit_test(test_split_memory_is_bounded),
        cmocka_unit_test(test_split_out_of_memory),
        cmocka_unit_test(test_split_depth_limit),
        cmocka_unit_test(test_split_random_results),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
