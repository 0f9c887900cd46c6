/* test_range_merge.c - addresses split between calls, and answers made into one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "core/range.h"

static struct rpcfan_slice text_slice(const char *s)
{
    return (struct rpcfan_slice){s, strlen(s)};
}

static void check_text(struct rf_buf *b, const char *want)
{
    rf_buf_char(b, 0);
    assert_string_equal(b->data, want);
}

/* -- filters ----------------------------------------------------------------------------------- */

static void test_filter_parts(void **state)
{
    (void)state;
    static const char params[] =
        "[ {\"topics\":[], \"address\": [ \"a\", \"b\" ,\"c\" ] ,\"x\":1},2]";
    static const char *const halves[] = {
        "[ {\"topics\":[], \"address\": [\"a\"] ,\"x\":1},2]",
        "[ {\"topics\":[], \"address\": [\"b\" ,\"c\"] ,\"x\":1},2]"};
    for (uint32_t i = 0; i < 2; i++) {
        struct rf_buf out = {0};
        assert_true(rf_range_split_filter(text_slice(params), 2, i, &out));
        check_text(&out, halves[i]);
        rf_buf_fini(&out);
    }
}

static void test_filters_that_cannot_be_split(void **state)
{
    (void)state;
    static const char *const rows[] = {"",
                                       "[]",
                                       "[1]",
                                       "{\"address\":[\"a\",\"b\"]}",
                                       "[{}]",
                                       "[{\"address\":\"a\"}]",
                                       "[{\"address\":[]}]",
                                       "[{\"address\":[\"a\"]}]",
                                       "[{\"address\":[\"a\",1]}]",
                                       "[{\"address\":[\"a\",null,\"b\"]}]",
                                       "[{\"address\":[\"a\",[\"b\"]]}]",
                                       "[{\"Address\":[\"a\",\"b\"]}]",
                                       "[{\"x\":{\"address\":[\"a\",\"b\"]}}]",
                                       "[{\"address\":[\"a\",\"b\"],\"address\":[\"a\",\"b\"]}]",
                                       "[{\"address\":[\"a\",\"b\"],\"ADDRESS\":[\"a\",\"b\"]}]",
                                       "[{\"address\":[\"a\",\"b\"]"};
    struct rf_buf out = {0};
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        if (rf_range_split_filter(text_slice(rows[i]), 2, 0, &out))
            fail_msg("%s", rows[i]);
    }
    struct rpcfan_slice good = text_slice("[{\"address\":[\"a\",\"b\"]}]");
    assert_false(rf_range_split_filter(good, 0, 0, &out));
    assert_false(rf_range_split_filter(good, 1, 0, &out));
    assert_false(rf_range_split_filter(good, 2, 2, &out));
    assert_false(rf_range_split_filter(good, 3, 0, &out));
    assert_int_equal(out.len, 0);
    rf_alloc_fail_at(1);
    assert_false(rf_range_split_filter(good, 2, 0, &out));
    rf_alloc_fail_at(0);
    rf_buf_fini(&out);
}

/* Each address in one part, in order, no part empty. */
static void test_filter_parts_hold_each_address_once(void **state)
{
    (void)state;
    for (uint32_t n = 2; n < 40; n++) {
        for (uint32_t parts = 2; parts <= n; parts++) {
            struct rf_buf params = {0}, joined = {0}, want = {0};
            rf_buf_str(&params, "[{\"address\":[");
            for (uint32_t i = 0; i < n; i++) {
                rf_buf_printf(&params, "%s\"%u\"", i > 0 ? "," : "", i);
                rf_buf_printf(&want, "%s\"%u\"", i > 0 ? "," : "", i);
            }
            rf_buf_str(&params, "]}]");
            for (uint32_t i = 0; i < parts; i++) {
                struct rf_buf out = {0};
                struct rpcfan_slice p = {params.data, params.len};
                assert_true(rf_range_split_filter(p, parts, i, &out));
                assert_true(out.len > 16);
                assert_memory_equal(out.data, "[{\"address\":[\"", 14);
                if (i > 0)
                    rf_buf_char(&joined, ',');
                rf_buf_add(&joined, out.data + 13, out.len - 16);
                rf_buf_fini(&out);
            }
            assert_int_equal(joined.len, want.len);
            assert_memory_equal(joined.data, want.data, want.len);
            rf_buf_fini(&params);
            rf_buf_fini(&joined);
            rf_buf_fini(&want);
        }
    }
}

/* -- merging ----------------------------------------------------------------------------------- */

static void test_parts_in_order(void **state)
{
    (void)state;
    static const struct {
        const char *part[4];
        uint32_t n;
        const char *want;
    } rows[] = {
        {{NULL}, 0, "[]"},
        {{"[]"}, 1, "[]"},
        {{"[1]", "[2,3]"}, 2, "[1,2,3]"},
        {{"[]", " [ 1 ]\n", "[ ]", "[\t{\"a\":[]} ]"}, 4, "[1,{\"a\":[]}]"},
        {{"[]", "[]", "[]"}, 3, "[]"},
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct rf_buf out = {0};
        struct rpcfan_slice parts[4];
        for (uint32_t k = 0; k < rows[i].n; k++)
            parts[k] = text_slice(rows[i].part[k]);
        assert_true(rf_range_merge(parts, rows[i].n, false, &out));
        check_text(&out, rows[i].want);
        rf_buf_fini(&out);
    }
}

static void test_what_is_no_array_is_not_merged(void **state)
{
    (void)state;
    static const char *const rows[] = {"null", "{}", "1", "", "\"[]\"", "[", " "};
    struct rf_buf out = {0};
    rf_buf_str(&out, "keep");
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct rpcfan_slice parts[2] = {text_slice("[1]"), text_slice(rows[i])};
        assert_false(rf_range_merge(parts, 2, false, &out));
        assert_false(rf_range_merge(parts + 1, 1, true, &out));
        assert_int_equal(out.len, 4);
    }
    rf_buf_fini(&out);
}

#define LOG(b, i, x) "{\"blockNumber\":\"0x" b "\",\"x\":\"" x "\",\"logIndex\":\"0x" i "\"}"

static void test_parts_by_position(void **state)
{
    (void)state;
    static const struct {
        const char *part[3];
        uint32_t n;
        const char *want;
    } rows[] = {
        {{"[]", " [ ] "}, 2, "[]"},
        {{"[" LOG("1", "0", "a") "," LOG("3", "0", "b") "]",
          " [ " LOG("1", "1", "c") " , " LOG("2", "a", "d") "]"},
         2,
         "[" LOG("1", "0", "a") "," LOG("1", "1", "c") "," LOG("2", "a", "d") "," LOG("3", "0",
                                                                                      "b") "]"},
        /* the same log twice is one; two logs at one place stay, in the order of the parts */
        {{"[" LOG("1", "0", "a") "]", "[" LOG("1", "0", "a") "]", "[" LOG("1", "0", "b") "]"},
         3,
         "[" LOG("1", "0", "a") "," LOG("1", "0", "b") "]"},
        {{"[" LOG("1", "0", "a") "," LOG("2", "0", "c") "]", "[" LOG("1", "0", "b") "]"},
         2,
         "[" LOG("1", "0", "a") "," LOG("1", "0", "b") "," LOG("2", "0", "c") "]"},
        /* numbers, not texts, and 10 is over 9 */
        {{"[" LOG("10", "0", "a") "]", "[" LOG("9", "0", "b") "]",
          "[{\"logIndex\":0,\"blockNumber\":15,\"y\":{\"blockNumber\":\"0x1\"}}]"},
         3,
         "[" LOG("9", "0",
                 "b") ",{\"logIndex\":0,\"blockNumber\":15,\"y\":{\"blockNumber\":\"0x1\"}"
                      "}," LOG("10", "0", "a") "]"},
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct rf_buf out = {0};
        struct rpcfan_slice parts[3];
        for (uint32_t k = 0; k < rows[i].n; k++)
            parts[k] = text_slice(rows[i].part[k]);
        assert_true(rf_range_merge(parts, rows[i].n, true, &out));
        check_text(&out, rows[i].want);
        rf_buf_fini(&out);
    }
}

static void test_elements_without_a_position_are_not_merged(void **state)
{
    (void)state;
    static const char *const rows[] = {"[1]",
                                       "[{}]",
                                       "[{\"blockNumber\":\"0x1\"}]",
                                       "[{\"logIndex\":\"0x1\"}]",
                                       "[{\"blockNumber\":null,\"logIndex\":\"0x1\"}]",
                                       "[{\"blockNumber\":\"1\",\"logIndex\":1}]",
                                       "[{\"blockNumber\":[1],\"logIndex\":1}]",
                                       "[{\"x\":{\"blockNumber\":1,\"logIndex\":1}}]",
                                       "[{\"blockNumber\":1,\"logIndex\":1},2]",
                                       "[{\"blockNumber\":1,\"logIndex\":1}"};
    struct rf_buf out = {0};
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct rpcfan_slice part = text_slice(rows[i]);
        if (rf_range_merge(&part, 1, true, &out))
            fail_msg("%s", rows[i]);
    }
    rf_buf_fini(&out);
}

static void test_memory_running_out_is_an_answer(void **state)
{
    (void)state;
    struct rpcfan_slice parts[2] = {text_slice("[" LOG("2", "0", "a") "," LOG("1", "0", "b") "]"),
                                    text_slice("[" LOG("1", "1", "c") "]")};
    bool passed = false;
    unsigned failed = 0;
    for (uint64_t n = 1; !passed; n++) {
        struct rf_buf out = {0};
        rf_alloc_fail_at(n);
        passed = rf_range_merge(parts, 2, true, &out);
        rf_alloc_fail_at(0);
        failed += !passed;
        assert_true(passed || out.len == 0);
        rf_buf_fini(&out);
    }
    assert_in_range(failed, 4, 20);
}

/* Logs dealt out to parts at random, some to two of them; shuffled a little, as bad nodes do. */
static void test_random_parts_merge_to_what_was_dealt(void **state)
{
    (void)state;
    enum { PARTS = 5, LOGS = 40 };
    struct rf_rng r;
    struct rf_buf part[PARTS] = {{0}}, want = {0}, out = {0};
    rf_rng_init(&r, 12);
    for (int i = 0; i < 100000; i++) {
        uint32_t n = (uint32_t)rf_rng_below(&r, PARTS + 1);
        uint64_t logs = n == 0 ? 0 : rf_rng_below(&r, LOGS), block = 0, index = 0;
        want.len = out.len = 0;
        rf_buf_char(&want, '[');
        for (uint32_t k = 0; k < n; k++) {
            part[k].len = 0;
            rf_buf_char(&part[k], '[');
        }
        for (uint64_t k = 0; k < logs; k++) {
            char text[128];
            bool next_block = rf_rng_below(&r, 3) == 0;
            block += next_block ? 1 + rf_rng_below(&r, 20) : 0;
            index = next_block ? 0 : index + 1;
            snprintf(text, sizeof text, LOG("%x", "%x", "%u"), (unsigned)block, (unsigned)k,
                     (unsigned)index);
            rf_buf_printf(&want, "%s%s", k > 0 ? "," : "", text);
            uint64_t first = rf_rng_below(&r, n), second = rf_rng_below(&r, 5 * PARTS);
            rf_buf_printf(&part[first], "%s%s", part[first].len > 1 ? " ," : "", text);
            if (second < n && second != first)
                rf_buf_printf(&part[second], "%s%s", part[second].len > 1 ? "," : " ", text);
        }
        rf_buf_char(&want, ']');
        struct rpcfan_slice slices[PARTS];
        for (uint32_t k = 0; k < n; k++) {
            rf_buf_char(&part[k], ']');
            slices[k] = (struct rpcfan_slice){part[k].data, part[k].len};
        }
        assert_true(rf_range_merge(slices, n, true, &out));
        assert_int_equal(out.len, want.len);
        assert_memory_equal(out.data, want.data, out.len);
    }
    for (uint32_t k = 0; k < PARTS; k++)
        rf_buf_fini(&part[k]);
    rf_buf_fini(&want);
    rf_buf_fini(&out);
}

/* A node that does not sort: 10,000 logs that fall are sorted all the same, and not in N^2. */
static void test_unsorted_part_is_sorted(void **state)
{
    (void)state;
    struct rf_buf part = {0}, want = {0}, out = {0};
    rf_buf_char(&part, '[');
    rf_buf_char(&want, '[');
    for (unsigned i = 0; i < 10000; i++) {
        rf_buf_printf(&part, "%s" LOG("%x", "0", ""), i > 0 ? "," : "", 9999 - i);
        rf_buf_printf(&want, "%s" LOG("%x", "0", ""), i > 0 ? "," : "", i);
    }
    rf_buf_char(&part, ']');
    rf_buf_char(&want, ']');
    struct rpcfan_slice slice = {part.data, part.len};
    assert_true(rf_range_merge(&slice, 1, true, &out));
    assert_int_equal(out.len, want.len);
    assert_memory_equal(out.data, want.data, out.len);
    rf_buf_fini(&part);
    rf_buf_fini(&want);
    rf_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter_parts),
        cmocka_unit_test(test_filters_that_cannot_be_split),
        cmocka_unit_test(test_filter_parts_hold_each_address_once),
        cmocka_unit_test(test_parts_in_order),
        cmocka_unit_test(test_what_is_no_array_is_not_merged),
        cmocka_unit_test(test_parts_by_position),
        cmocka_unit_test(test_elements_without_a_position_are_not_merged),
        cmocka_unit_test(test_memory_running_out_is_an_answer),
        cmocka_unit_test(test_random_parts_merge_to_what_was_dealt),
        cmocka_unit_test(test_unsorted_part_is_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
