/* test_canon.c - equal values have one canonical text, different values have two. */
#include "json/canon.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "json_gen.h"
#include "oracle.h"

static struct rpcfan_slice slice_of(const struct rf_buf *b)
{
    return (struct rpcfan_slice){b->data, b->len};
}

static struct rpcfan_slice text_slice(const char *s)
{
    return (struct rpcfan_slice){s, strlen(s)};
}

static void check_canon(const char *in, const char *want)
{
    struct rf_buf out = {0};
    rf_buf_str(&out, "before");
    assert_true(rf_json_canon(text_slice(in), &out));
    rf_buf_char(&out, 0);
    assert_string_equal(out.data + 6, want);
    rf_buf_fini(&out);
}

static void test_canon_cases(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {" null ", "null"},
        {"\t[ 1 , 2,[ ] , { } ]\n", "[1,2,[],{}]"},
        {"{\"b\":1,\"a\":2}", "{\"a\":2,\"b\":1}"},
        {"{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":2}"},
        {"{\"ab\":1,\"a\":2,\"\":3}", "{\"\":3,\"a\":2,\"ab\":1}"},
        {"{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}"},
        {"{\"a\":{\"d\":1,\"c\":[{\"z\":0,\"y\":1}]},\"A\":0}",
         "{\"A\":0,\"a\":{\"c\":[{\"y\":1,\"z\":0}],\"d\":1}}"},
        {"[{\"b\":{},\"a\":{}},{\"a\":1},{\"d\":[],\"c\":{\"b\":{},\"a\":{}}}]",
         "[{\"a\":{},\"b\":{}},{\"a\":1},{\"c\":{\"a\":{},\"b\":{}},\"d\":[]}]"},
        /* of doubles the last one counts, whatever stands in the others */
        {"{\"a\":{\"y\":1,\"x\":2},\"a\":{\"q\":1,\"p\":2},\"a\":5}", "{\"a\":5}"},
        /* names in the order of their bytes with escapes undone: 0x0a, 0x22, 0x5c, 0x61, 0xc3 */
        {"{\"\\u00e9\":5,\"a\":4,\"\\\\\":3,\"\\u0022\":2,\"\\n\":1}",
         "{\"\\n\":1,\"\\\"\":2,\"\\\\\":3,\"a\":4,\"\xc3\xa9\":5}"},
        {"{\"\\u0061\":1,\"a\":2}", "{\"a\":2}"},
        {"\"\\u0041\\/\\u0008\\b\\u000A\\u001F\\u007f\"", "\"A/\\b\\b\\n\\u001f\x7f\""},
        {"\"\\ud83d\\ude00\\uD800\"", "\"\xf0\x9f\x98\x80\xef\xbf\xbd\""},
        {"\"\\u0000\"", "\"\\u0000\""},
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++)
        check_canon(rows[i][0], rows[i][1]);
}

#define ZEROS_24 "000000000000000000000000"

static void test_number_cases(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"0", "0"},
        {"-0", "0"},
        {"-0.000e99999999999999999999", "0"},
        {"1.0", "1"},
        {"10e-1", "1"},
        {"1e2", "100"},
        {"1E+2", "100"},
        {"-12.50", "-12.5"},
        {"0.125e1", "1.25"},
        {"125e-3", "0.125"},
        {"100", "100"},
        {"0.0010", "0.001"},
        {"12.05e1", "120.5"},
        {"12.05e2", "1205"},
        {"12.05e3", "12050"},
        {"12.05e-2", "0.1205"},
        {"18446744073709551615", "18446744073709551615"},
        {"18446744073709551615.0", "18446744073709551615"},
        {"115792089237316195423570985008687907853269984665640564039457584007913129639935",
         "115792089237316195423570985008687907853269984665640564039457584007913129639935"},
        {"1" ZEROS_24, "1" ZEROS_24},
        {"1" ZEROS_24 "0", "1e25"},
        {"1e24", "1" ZEROS_24},
        {"1e25", "1e25"},
        {"10e24", "1e25"},
        {"3e-25", "0." ZEROS_24 "3"},
        {"3e-26", "3e-26"},
        {"0.3e-25", "3e-26"},
        {"1.5e-30", "15e-31"},
        {"1.5e999999999999999999", "15e999999999999999998"},
        {"10e999999999999999999", "1e1000000000000000000"},
        {"-1.50E+0009999999999999999999", "-1.50e9999999999999999999"},
        {"1e-9999999999999999999", "1e-9999999999999999999"},
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++)
        check_canon(rows[i][0], rows[i][1]);
}

static void test_not_json_leaves_the_buffer(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "", " ", "{", "[1,]", "{\"a\":1,\"b\"", "01", "\"\\x\"", "1 2", "{\"b\":1,\"a\":2}}"};
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct rf_buf out = {0};
        rf_buf_str(&out, "keep");
        assert_false(rf_json_canon(text_slice(rows[i]), &out));
        assert_int_equal(out.len, 4);
        assert_false(out.failed);
        rf_buf_fini(&out);
    }
}

/* Deep unsorted objects with a large leaf: quadratic copying would move 512 times 4 MB. */
static void test_depth_is_bounded_and_cheap(void **state)
{
    (void)state;
    struct rf_buf in = {0}, out = {0};
    for (int i = 0; i < RF_SCAN_DEPTH; i++)
        rf_buf_str(&in, "{\"b\":0,\"a\":");
    rf_buf_char(&in, '"');
    for (int i = 0; i < 4 << 20; i++)
        rf_buf_char(&in, 'x');
    rf_buf_char(&in, '"');
    for (int i = 0; i < RF_SCAN_DEPTH; i++)
        rf_buf_char(&in, '}');
    assert_true(rf_json_canon(slice_of(&in), &out));
    assert_int_equal(out.len, in.len);
    assert_memory_equal(out.data, "{\"a\":{\"a\":", 10);
    assert_memory_equal(out.data + out.len - 14, ",\"b\":0},\"b\":0}", 14);
    in.len = 0;
    for (int i = 0; i <= RF_SCAN_DEPTH; i++)
        rf_buf_char(&in, '[');
    for (int i = 0; i <= RF_SCAN_DEPTH; i++)
        rf_buf_char(&in, ']');
    assert_false(rf_json_canon(slice_of(&in), &out));
    rf_buf_fini(&in);
    rf_buf_fini(&out);
}

/* Many members, falling and equal names: what a quadratic sort would not finish. */
static void test_many_members_are_sorted(void **state)
{
    (void)state;
    enum { N = 100000 };
    struct rf_buf in = {0}, out = {0}, want = {0};
    rf_buf_char(&in, '{');
    rf_buf_char(&want, '{');
    for (int i = 0; i < N; i++)
        rf_buf_printf(&in, "%s\"k%06d\":%d", i > 0 ? "," : "", (N - 1 - i) / 2, i);
    for (int i = 0; i < N / 2; i++)
        rf_buf_printf(&want, "%s\"k%06d\":%d", i > 0 ? "," : "", i, N - 1 - 2 * i);
    rf_buf_char(&in, '}');
    rf_buf_char(&want, '}');
    assert_true(rf_json_canon(slice_of(&in), &out));
    assert_int_equal(out.len, want.len);
    assert_memory_equal(out.data, want.data, out.len);
    rf_buf_fini(&in);
    rf_buf_fini(&out);
    rf_buf_fini(&want);
}

static void test_memory_running_out_is_an_answer(void **state)
{
    (void)state;
    static const char text[] =
        "{\"b\":{\"y\":[1,{\"\\u0062\":2,\"a\":\"\\n\"}],\"x\":0},\"a\":1e2}";
    bool passed = false;
    unsigned failed = 0;
    for (uint64_t n = 1; !passed; n++) {
        struct rf_buf out = {0};
        rf_alloc_fail_at(n);
        passed = rf_json_canon(text_slice(text), &out);
        rf_alloc_fail_at(0);
        failed += !passed;
        assert_true(passed || out.len == 0);
        rf_buf_fini(&out);
    }
    assert_in_range(failed, 6, 60);
}

/* -- writing a tree in random ways ------------------------------------------------------------- */

static void write_char(struct rf_buf *b, struct rf_rng *r, uint32_t u, const char *utf8, size_t n)
{
    static const char *const form[] = {"\\u%04x", "\\u%04X"};
    bool must = u < 0x20 || u == '"' || u == '\\';
    if (!must && rf_rng_below(r, 4) != 0) {
        if (u == '/' && rf_rng_below(r, 2) == 0)
            rf_buf_char(b, '\\');
        rf_buf_add(b, utf8, n);
        return;
    }
    const char *f = form[rf_rng_below(r, 2)];
    static const char letters[] = "\b\f\n\r\t\"\\/", names[] = "bfnrt\"\\/";
    const char *letter = u == 0 || u > 0x7f ? NULL : strchr(letters, (int)u);
    if (letter != NULL && rf_rng_below(r, 2) == 0) {
        rf_buf_char(b, '\\');
        rf_buf_char(b, names[letter - letters]);
    } else if (u >= 0x10000) {
        rf_buf_printf(b, f, 0xd800 + ((u - 0x10000) >> 10));
        rf_buf_printf(b, f, 0xdc00 + (u & 0x3ff));
    } else {
        rf_buf_printf(b, f, u);
    }
}

static void write_text(struct rf_buf *b, struct rf_rng *r, const char *s, size_t len)
{
    rf_buf_char(b, '"');
    for (size_t i = 0; i < len;) {
        uint8_t c = (uint8_t)s[i];
        size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        uint32_t u = n == 1 ? c : c & (0x7fu >> n);
        for (size_t k = 1; k < n; k++)
            u = u << 6 | ((uint8_t)s[i + k] & 0x3f);
        write_char(b, r, u, s + i, n);
        i += n;
    }
    rf_buf_char(b, '"');
}

/* An integer with zeros behind a point, or with digits moved into an exponent. */
static void write_int(struct rf_buf *b, struct rf_rng *r, json_int_t v)
{
    switch (rf_rng_below(r, 4)) {
    case 0:
        rf_buf_printf(b, "%lld.%s", (long long)v, rf_rng_below(r, 2) == 0 ? "0" : "000e+00");
        break;
    case 1:
        rf_buf_printf(b, v == 0 ? "-%lldE-03" : "%lld000E-03", (long long)v);
        break;
    case 2:
        if (v % 100 == 0) {
            rf_buf_printf(b, "%lld%s", (long long)(v / 100), v == 0 ? "e7" : "e2");
            break;
        }
        /* fall through */
    default:
        rf_buf_printf(b, "%lld", (long long)v);
        break;
    }
}

static void write_tree(struct rf_buf *b, struct rf_rng *r, json_t *t);

static void write_object(struct rf_buf *b, struct rf_rng *r, json_t *t)
{
    enum { MOST = 16 };
    const char *key[MOST];
    json_t *value[MOST], *v;
    const char *k;
    size_t n = 0;
    json_object_foreach(t, k, v)
    {
        assert_true(n < MOST);
        key[n] = k;
        value[n++] = v;
    }
    for (size_t i = n; i > 1; i--) {
        size_t other = (size_t)rf_rng_below(r, i);
        const char *swap_key = key[other];
        json_t *swap_value = value[other];
        key[other] = key[i - 1];
        value[other] = value[i - 1];
        key[i - 1] = swap_key;
        value[i - 1] = swap_value;
    }
    rf_buf_char(b, '{');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            rf_buf_char(b, ',');
        gen_space(b, r);
        if (rf_rng_below(r, 8) == 0) { /* an earlier one of the same name, which does not count */
            write_text(b, r, key[i], strlen(key[i]));
            rf_buf_str(b, ":[{\"y\":0,\"x\":0}],");
        }
        write_text(b, r, key[i], strlen(key[i]));
        gen_space(b, r);
        rf_buf_char(b, ':');
        write_tree(b, r, value[i]);
    }
    gen_space(b, r);
    rf_buf_char(b, '}');
}

static void write_tree(struct rf_buf *b, struct rf_rng *r, json_t *t)
{
    gen_space(b, r);
    switch (json_typeof(t)) {
    case JSON_OBJECT:
        write_object(b, r, t);
        break;
    case JSON_ARRAY:
        rf_buf_char(b, '[');
        for (size_t i = 0; i < json_array_size(t); i++) {
            if (i > 0)
                rf_buf_char(b, ',');
            write_tree(b, r, json_array_get(t, i));
        }
        gen_space(b, r);
        rf_buf_char(b, ']');
        break;
    case JSON_STRING:
        write_text(b, r, json_string_value(t), json_string_length(t));
        break;
    case JSON_INTEGER:
        write_int(b, r, json_integer_value(t));
        break;
    case JSON_REAL:
        rf_buf_printf(b, "%.17g", json_real_value(t));
        break;
    default:
        rf_buf_str(b, json_is_null(t) ? "null" : json_is_true(t) ? "true" : "false");
        break;
    }
    gen_space(b, r);
}

/* A tree of random JSON that jansson can represent. */
static json_t *random_tree(struct rf_rng *r, struct rf_buf *text)
{
    json_t *tree = NULL;
    do {
        text->len = 0;
        gen_value(text, r, 4);
    } while (oracle_judge(text->data, text->len, &tree) != VERDICT_YES);
    return tree;
}

static bool same(const struct rf_buf *a, const struct rf_buf *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* jansson's real of a value such as 3.00125e10 written with 17 digits is another decimal, so the
 * first writing is made from the tree as well. */
static void test_any_writing_of_a_value_has_one_form(void **state)
{
    (void)state;
    struct rf_rng r;
    struct rf_buf text = {0}, first = {0}, second = {0}, a = {0}, b = {0}, again = {0};
    rf_rng_init(&r, 4101);
    for (int i = 0; i < 100000; i++) {
        json_t *tree = random_tree(&r, &text);
        first.len = second.len = a.len = b.len = again.len = 0;
        write_tree(&first, &r, tree);
        write_tree(&second, &r, tree);
        assert_true(rf_json_canon(slice_of(&first), &a));
        assert_true(rf_json_canon(slice_of(&second), &b));
        if (!same(&a, &b))
            fail_msg("%.*s\n%.*s\n%.*s\n%.*s", (int)first.len, first.data, (int)second.len,
                     second.data, (int)a.len, a.data, (int)b.len, b.data);
        assert_int_equal(rf_json_canon_hash(slice_of(&a)), rf_json_canon_hash(slice_of(&b)));
        assert_true(rf_json_canon(slice_of(&a), &again));
        assert_true(same(&a, &again));
        json_decref(tree);
    }
    rf_buf_fini(&text);
    rf_buf_fini(&first);
    rf_buf_fini(&second);
    rf_buf_fini(&a);
    rf_buf_fini(&b);
    rf_buf_fini(&again);
}

/* -- against jansson --------------------------------------------------------------------------- */

/* Small values, so that equal ones are frequent: names a to c, integers 0 to 2. */
static void small_value(struct rf_buf *b, struct rf_rng *r, unsigned depth)
{
    static const char *const scalars[] = {"0",       "1",       "2",    "\"a\"", "\"\\u0061\"",
                                          "\"\\n\"", "\"\\/\"", "null", "true",  "\"/\""};
    uint64_t kind = depth == 0 ? 2 : rf_rng_below(r, 3);
    gen_space(b, r);
    if (kind == 2) {
        gen_pick(b, r, scalars, RF_COUNT(scalars));
        return;
    }
    rf_buf_char(b, kind == 0 ? '[' : '{');
    for (uint64_t i = 0, n = rf_rng_below(r, 4); i < n; i++) {
        if (i > 0)
            rf_buf_char(b, ',');
        if (kind == 1) {
            static const char *const names[] = {"\"a\":", "\"b\":", "\"\\u0062\":", "\"c\" :"};
            gen_pick(b, r, names, RF_COUNT(names));
        }
        small_value(b, r, depth - 1);
    }
    rf_buf_char(b, kind == 0 ? ']' : '}');
}

static char *jansson_form(const struct rf_buf *b)
{
    json_t *t = json_loadb(b->data, b->len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(t);
    char *form = json_dumps(t, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
    assert_non_null(form);
    json_decref(t);
    return form;
}

/* Equal for us exactly where jansson finds them equal. */
static void test_equality_is_that_of_jansson(void **state)
{
    (void)state;
    struct rf_rng r;
    struct rf_buf x = {0}, y = {0}, a = {0}, b = {0};
    unsigned equal = 0, different = 0;
    rf_rng_init(&r, 77);
    for (int i = 0; i < 100000; i++) {
        x.len = y.len = a.len = b.len = 0;
        small_value(&x, &r, 2);
        small_value(&y, &r, 2);
        assert_true(rf_json_canon(slice_of(&x), &a));
        assert_true(rf_json_canon(slice_of(&y), &b));
        char *p = jansson_form(&x), *q = jansson_form(&y);
        bool want = strcmp(p, q) == 0;
        *(want ? &equal : &different) += 1;
        assert_int_equal(want, same(&a, &b));
        assert_int_equal(want,
                         rf_json_canon_hash(slice_of(&a)) == rf_json_canon_hash(slice_of(&b)));
        rf_buf_char(&a, 0);
        free(p);
        free(q);
    }
    print_message("%u equal, %u different\n", equal, different);
    assert_true(equal > 1000 && different > 10000);
    rf_buf_fini(&x);
    rf_buf_fini(&y);
    rf_buf_fini(&a);
    rf_buf_fini(&b);
}

/* Numbers by their double: 3.0 is a real for jansson and an integer for us. */
static bool same_tree(json_t *a, json_t *b)
{
    const char *k;
    json_t *v;
    if (json_is_number(a) && json_is_number(b))
        return !(json_number_value(a) < json_number_value(b)) &&
               !(json_number_value(a) > json_number_value(b));
    if (json_typeof(a) != json_typeof(b))
        return false;
    if (json_is_array(a)) {
        bool all = json_array_size(a) == json_array_size(b);
        for (size_t i = 0; all && i < json_array_size(a); i++)
            all = same_tree(json_array_get(a, i), json_array_get(b, i));
        return all;
    }
    if (!json_is_object(a))
        return json_equal(a, b) != 0;
    if (json_object_size(a) != json_object_size(b))
        return false;
    json_object_foreach(a, k, v)
    {
        json_t *other = json_object_get(b, k);
        if (other == NULL || !same_tree(v, other))
            return false;
    }
    return true;
}

/* What we write is the value that was read. */
static void test_value_is_kept(void **state)
{
    (void)state;
    struct rf_rng r;
    struct rf_buf text = {0}, a = {0};
    unsigned compared = 0;
    rf_rng_init(&r, 5);
    for (int i = 0; i < 150000; i++) {
        json_t *tree = random_tree(&r, &text), *back;
        a.len = 0;
        assert_true(rf_json_canon(slice_of(&text), &a));
        enum verdict verdict = oracle_judge(a.data, a.len, &back);
        /* a real of his may be an integer past 2^63 with us, which he cannot read */
        assert_int_not_equal(verdict, VERDICT_NO);
        if (verdict == VERDICT_YES) {
            if (!same_tree(tree, back))
                fail_msg("%.*s\n%.*s", (int)text.len, text.data, (int)a.len, a.data);
            compared++;
        }
        json_decref(tree);
        json_decref(back);
    }
    print_message("%u compared\n", compared);
    assert_true(compared >= 100000);
    rf_buf_fini(&text);
    rf_buf_fini(&a);
}

/* Accepts what the scanner accepts, and nothing else. */
static void test_damaged_text_is_judged_as_by_the_scanner(void **state)
{
    (void)state;
    struct rf_rng r;
    struct rf_buf text = {0}, out = {0};
    rf_rng_init(&r, 6);
    for (int i = 0; i < 100000; i++) {
        text.len = out.len = 0;
        gen_value(&text, &r, 3);
        gen_damage(&text, &r);
        bool valid = rf_json_check(text.data, text.len, RF_SCAN_DEPTH, NULL) == RPCFAN_OK;
        assert_int_equal(valid, rf_json_canon(slice_of(&text), &out));
        if (valid)
            assert_int_equal(rf_json_check(out.data, out.len, RF_SCAN_DEPTH, NULL), RPCFAN_OK);
    }
    rf_buf_fini(&text);
    rf_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canon_cases),
        cmocka_unit_test(test_number_cases),
        cmocka_unit_test(test_not_json_leaves_the_buffer),
        cmocka_unit_test(test_depth_is_bounded_and_cheap),
        cmocka_unit_test(test_many_members_are_sorted),
        cmocka_unit_test(test_memory_running_out_is_an_answer),
        cmocka_unit_test(test_any_writing_of_a_value_has_one_form),
        cmocka_unit_test(test_equality_is_that_of_jansson),
        cmocka_unit_test(test_value_is_kept),
        cmocka_unit_test(test_damaged_text_is_judged_as_by_the_scanner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
