/* test_range.c - ranges read out of calls and written into them. */
#include "core/range.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "json/scan.h"

static struct rpcfan_slice text_slice(const char *s)
{
    return (struct rpcfan_slice){s, strlen(s)};
}

static void test_ranges_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *method, *params;
        uint64_t from, to;
        bool open_from, open_to;
    } rows[] = {
        {"eth_getLogs", "[{\"fromBlock\":\"0x10\",\"toBlock\":\"0xfF\"}]", 16, 255, false, false},
        {"eth_getLogs", "[{\"toBlock\":20,\"fromBlock\":3}]", 3, 20, false, false},
        {"eth_getLogs", "[{\"fromBlock\":\"earliest\",\"toBlock\":\"latest\"}]", 0, 0, false, true},
        {"eth_getLogs", "[{\"fromBlock\":\"0x1\"}]", 1, 0, false, true},
        {"eth_getLogs", "[{\"fromBlock\":\"0x1\",\"toBlock\":null}]", 1, 0, false, true},
        {"eth_getLogs", "[{\"toBlock\":\"0x1\"}]", 0, 1, true, false},
        {"eth_getLogs", "[{}]", 0, 0, true, true},
        {"eth_getLogs", "[ { \"blockHash\" : null , \"fr\\u006fmBlock\":\"0x1\" } , 7 ]", 1, 0,
         false, true},
        {"eth_getLogs",
         "[{\"address\":[\"0x1\"],\"topics\":[null,[\"0x2\"],{\"fromBlock\":1}],\"x\":{\"toBlock\":"
         "9},\"fromBlock\":\"0x5\",\"toBlock\":\"0x6\"}]",
         5, 6, false, false},
        {"eth_getLogs", "[{\"fromBlock\":\"0x0\",\"toBlock\":\"0xffffffffffffffff\"}]", 0,
         UINT64_MAX, false, false},
        {"eth_getLogs", "[{\"fromBlock\":0,\"toBlock\":18446744073709551615}]", 0, UINT64_MAX,
         false, false},
        {"erigon_getLogs", "[{\"fromBlock\":\"0x1\",\"toBlock\":\"0x2\"}]", 1, 2, false, false},
        {"trace_filter", "[{\"fromBlock\":\"0x1\",\"toAddress\":[\"0x1\"]}]", 1, 0, false, true},
        {"arbtrace_filter", "[{\"fromBlock\":\"0x1\",\"toBlock\":\"0x2\"}]", 1, 2, false, false},
        {"getBlocks", "[5,10]", 5, 10, false, false},
        {"getBlocks", "[5]", 5, 0, false, true},
        {"getBlocks", "[5,null]", 5, 0, false, true},
        {"getBlocks", "[ 5 , {\"commitment\":\"confirmed\"}]", 5, 0, false, true},
        {"getBlocks", "[5,10,{\"commitment\":\"finalized\"}]", 5, 10, false, false},
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct rf_range r;
        if (!rf_range_read(text_slice(rows[i].method), text_slice(rows[i].params), &r))
            fail_msg("%s", rows[i].params);
        assert_int_equal(r.open_from, rows[i].open_from);
        assert_int_equal(r.open_to, rows[i].open_to);
        assert_int_equal(r.from, rows[i].from);
        assert_int_equal(r.to, rows[i].to);
    }
}

static void test_calls_that_must_go_as_they_are(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"eth_newFilter", "[{\"fromBlock\":\"0x1\",\"toBlock\":\"0x2\"}]"},
        {"eth_getBlockReceipts", "[\"0x1\"]"},
        {"getBlocksWithLimit", "[5,10]"},
        {"eth_getLog", "[{}]"},
        {"eth_getLogsX", "[{}]"},
        {"eth_getLogs", ""},
        {"eth_getLogs", "[]"},
        {"eth_getLogs", "{\"fromBlock\":\"0x1\"}"},
        {"eth_getLogs", "[null]"},
        {"eth_getLogs", "[[{}]]"},
        {"eth_getLogs", "[{\"blockHash\":\"0xab\"}]"},
        {"eth_getLogs", "[{\"fromBlock\":\"0x1\",\"blockHash\":\"0xab\"}]"},
        {"eth_getLogs", "[{\"fromBlock\":\"finalized\"}]"},
        {"eth_getLogs", "[{\"toBlock\":\"safe\"}]"},
        {"eth_getLogs", "[{\"toBlock\":\"pending\"}]"},
        {"eth_getLogs", "[{\"toBlock\":\"Latest\"}]"},
        {"eth_getLogs", "[{\"toBlock\":\"\"}]"},
        {"eth_getLogs", "[{\"toBlock\":\"0x\"}]"},
        {"eth_getLogs", "[{\"toBlock\":\"0X1\"}]"},
        {"eth_getLogs", "[{\"toBlock\":\"0x1g\"}]"},
        {"eth_getLogs", "[{\"toBlock\":\"16\"}]"},
        {"eth_getLogs", "[{\"toBlock\":\"0x10000000000000000\"}]"},
        {"eth_getLogs", "[{\"toBlock\":18446744073709551616}]"},
        {"eth_getLogs", "[{\"toBlock\":-1}]"},
        {"eth_getLogs", "[{\"toBlock\":1.0}]"},
        {"eth_getLogs", "[{\"toBlock\":1e3}]"},
        {"eth_getLogs", "[{\"toBlock\":true}]"},
        {"eth_getLogs", "[{\"toBlock\":[\"0x1\"]}]"},
        {"eth_getLogs", "[{\"fromBlock\":{\"x\":1}}]"},
        {"eth_getLogs", "[{\"fromBlock\":\"0x2\",\"toBlock\":\"0x1\"}]"},
        {"eth_getLogs", "[{\"fromBlock\":\"0x1\",\"fromBlock\":\"0x1\"}]"},
        {"eth_getLogs", "[{\"fromblock\":\"0x1\"}]"},
        {"eth_getLogs", "[{\"blockhash\":\"0x1\"}]"},
        {"eth_getLogs", "[{\"toBlock\":\"0x1\""},
        {"trace_filter", "[{\"toBlock\":\"0x2\"}]"},
        {"trace_filter", "[{\"fromBlock\":\"0x1\",\"count\":5}]"},
        {"trace_filter", "[{\"fromBlock\":\"0x1\",\"after\":5}]"},
        {"getBlocks", "[]"},
        {"getBlocks", "[\"0x5\"]"},
        {"getBlocks", "[5,\"0x10\"]"},
        {"getBlocks", "[5,\"latest\"]"},
        {"getBlocks", "[null]"},
        {"getBlocks", "[5,[]]"},
        {"getBlocks", "[10,5]"},
        {"getBlocks", "[5.0,10]"},
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct rf_range r;
        if (rf_range_read(text_slice(rows[i][0]), text_slice(rows[i][1]), &r))
            fail_msg("%s %s", rows[i][0], rows[i][1]);
    }
}

static void test_ranges_are_written(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"eth_getLogs", "[{\"fromBlock\":\"0x10\",\"toBlock\":\"0xff\"}]",
         "[{\"fromBlock\":\"0xa\",\"toBlock\":\"0xb\"}]"},
        {"eth_getLogs", "[ {\"toBlock\": 99 ,\"x\":[1, 2],\"fromBlock\":\"0x1\"},\"more\" ]",
         "[ {\"toBlock\": 11 ,\"x\":[1, 2],\"fromBlock\":\"0xa\"},\"more\" ]"},
        {"eth_getLogs", "[{\"fromBlock\":\"earliest\",\"toBlock\":\"latest\"}]",
         "[{\"fromBlock\":\"0xa\",\"toBlock\":\"0xb\"}]"},
        {"eth_getLogs", "[{}]", "[{\"fromBlock\":\"0xa\",\"toBlock\":\"0xb\"}]"},
        {"eth_getLogs", "[{ \"address\":[] }]",
         "[{\"fromBlock\":\"0xa\",\"toBlock\":\"0xb\", \"address\":[] }]"},
        {"eth_getLogs", "[{\"fromBlock\":7}]", "[{\"toBlock\":\"0xb\",\"fromBlock\":10}]"},
        {"eth_getLogs", "[{\"toBlock\":7}]", "[{\"fromBlock\":\"0xa\",\"toBlock\":11}]"},
        {"eth_getLogs", "[{\"fromBlock\":\"0x1\",\"toBlock\":null}]",
         "[{\"fromBlock\":\"0xa\",\"toBlock\":\"0xb\"}]"},
        {"getBlocks", "[5,10]", "[10,11]"},
        {"getBlocks", "[5 ]", "[10,11 ]"},
        {"getBlocks", "[5,null,{}]", "[10,11,{}]"},
        {"getBlocks", "[5, {\"commitment\":\"confirmed\"}]",
         "[10,11, {\"commitment\":\"confirmed\"}]"},
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct rf_buf out = {0};
        struct rf_range r;
        struct rpcfan_slice params = text_slice(rows[i][1]);
        assert_true(rf_range_read(text_slice(rows[i][0]), params, &r));
        rf_buf_str(&out, "before");
        assert_false(rf_range_write(&r, params, 11, 10, &out));
        assert_true(rf_range_write(&r, params, 10, 11, &out));
        rf_buf_char(&out, 0);
        assert_string_equal(out.data + 6, rows[i][2]);
        rf_buf_fini(&out);
    }
}

static void test_memory_running_out_while_writing(void **state)
{
    (void)state;
    static const char text[] = "[{\"fromBlock\":\"0x10\",\"toBlock\":\"0xff\"}]";
    struct rf_buf out = {0};
    struct rf_range r;
    assert_true(rf_range_read(text_slice("eth_getLogs"), text_slice(text), &r));
    rf_alloc_fail_at(1);
    assert_false(rf_range_write(&r, text_slice(text), 1, 2, &out));
    rf_alloc_fail_at(0);
    assert_int_equal(out.len, 0);
    rf_buf_fini(&out);
}

/* -- random filters ---------------------------------------------------------------------------- */

/* Both texts get the same bytes, but for the numbers. */
struct twin {
    struct rf_buf before, after;
};

static void add(struct twin *t, const char *s)
{
    rf_buf_str(&t->before, s);
    rf_buf_str(&t->after, s);
}

static void add_space(struct twin *t, struct rf_rng *r)
{
    static const char *const some[] = {"", "", "", " ", "\n\t"};
    add(t, some[rf_rng_below(r, RF_COUNT(some))]);
}

static void add_end(struct twin *t, struct rf_rng *r, const char *name, uint64_t v, uint64_t new_v)
{
    bool hex = rf_rng_below(r, 2) == 0;
    add(t, name);
    add_space(t, r);
    add(t, ":");
    add_space(t, r);
    rf_buf_printf(&t->before, hex ? "\"0x%" PRIx64 "\"" : "%" PRIu64, v);
    rf_buf_printf(&t->after, hex ? "\"0x%" PRIx64 "\"" : "%" PRIu64, new_v);
}

static void add_other(struct twin *t, struct rf_rng *r)
{
    static const char *const some[] = {"\"address\":\"0x1\"",
                                       "\"address\" : [\"0x1\", \"0x2\"]",
                                       "\"topics\":[null,[],[\"0x3\"]]",
                                       "\"x\":{\"toBlock\":\"0x1\",\"y\":[{}]}",
                                       "\"to\\u0042lockX\":7",
                                       "\"\":\"\\\"}\""};
    add(t, some[rf_rng_below(r, RF_COUNT(some))]);
}

static uint64_t random_number(struct rf_rng *r)
{
    return rf_rng_next(r) >> rf_rng_below(r, 64);
}

static void test_random_filters_change_in_their_range_alone(void **state)
{
    (void)state;
    struct rf_rng r;
    struct twin t = {{0}, {0}};
    struct rf_buf out = {0};
    rf_rng_init(&r, 88);
    for (int i = 0; i < 100000; i++) {
        uint64_t a = random_number(&r), b = random_number(&r);
        uint64_t from = rf_min_u64(a, b), to = rf_max_u64(a, b);
        uint64_t c = random_number(&r), d = random_number(&r);
        uint64_t new_from = rf_min_u64(c, d), new_to = rf_max_u64(c, d);
        t.before.len = t.after.len = out.len = 0;
        uint64_t members = 2 + rf_rng_below(&r, 4), at_from = rf_rng_below(&r, members), at_to;
        do
            at_to = rf_rng_below(&r, members);
        while (at_to == at_from);
        add(&t, "[");
        add_space(&t, &r);
        add(&t, "{");
        for (uint64_t k = 0; k < members; k++) {
            if (k > 0)
                add(&t, ",");
            add_space(&t, &r);
            if (k == at_from)
                add_end(&t, &r, i % 7 == 0 ? "\"from\\u0042lock\"" : "\"fromBlock\"", from,
                        new_from);
            else if (k == at_to)
                add_end(&t, &r, "\"toBlock\"", to, new_to);
            else
                add_other(&t, &r);
            add_space(&t, &r);
        }
        add(&t, rf_rng_below(&r, 2) == 0 ? "}]" : "} ,1, \"x\" ]\n");
        struct rpcfan_slice params = {t.before.data, t.before.len};
        struct rf_range got;
        assert_true(rf_range_read(text_slice("eth_getLogs"), params, &got));
        assert_int_equal(got.from, from);
        assert_int_equal(got.to, to);
        assert_true(rf_range_write(&got, params, new_from, new_to, &out));
        assert_int_equal(out.len, t.after.len);
        assert_memory_equal(out.data, t.after.data, out.len);
    }
    rf_buf_fini(&t.before);
    rf_buf_fini(&t.after);
    rf_buf_fini(&out);
}

/* Ends that are absent: what is written is JSON, reads as that range, and can be written again. */
static void test_random_open_filters_are_completed(void **state)
{
    (void)state;
    static const char *const ends[] = {"", "\"fromBlock\":\"latest\"", "\"toBlock\":null",
                                       "\"toBlock\":5", "\"fromBlock\":\"earliest\""};
    struct rf_rng r;
    struct twin t = {{0}, {0}};
    struct rf_buf out = {0}, back = {0};
    rf_rng_init(&r, 89);
    for (int i = 0; i < 20000; i++) {
        const char *end = ends[rf_rng_below(&r, RF_COUNT(ends))];
        uint64_t others = rf_rng_below(&r, 3);
        t.before.len = t.after.len = out.len = back.len = 0;
        add(&t, "[{");
        for (uint64_t k = 0; k < others; k++) {
            add_other(&t, &r);
            if (k + 1 < others || end[0] != 0)
                add(&t, ",");
        }
        add(&t, end);
        add(&t, "}]");
        struct rpcfan_slice params = {t.before.data, t.before.len};
        struct rf_range got, again;
        assert_true(rf_range_read(text_slice("eth_getLogs"), params, &got));
        assert_true(got.open_from || got.open_to);
        assert_true(rf_range_write(&got, params, 17, 4711, &out));
        struct rpcfan_slice written = {out.data, out.len};
        assert_int_equal(rf_json_check(out.data, out.len, RF_SCAN_DEPTH, NULL), RPCFAN_OK);
        assert_true(rf_range_read(text_slice("eth_getLogs"), written, &again));
        assert_false(again.open_from || again.open_to);
        assert_int_equal(again.from, 17);
        assert_int_equal(again.to, 4711);
        assert_true(rf_range_write(&again, written, 17, 4711, &back));
        assert_int_equal(back.len, out.len);
        assert_memory_equal(back.data, out.data, out.len);
    }
    rf_buf_fini(&t.before);
    rf_buf_fini(&t.after);
    rf_buf_fini(&out);
    rf_buf_fini(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges_are_read),
        cmocka_unit_test(test_calls_that_must_go_as_they_are),
        cmocka_unit_test(test_ranges_are_written),
        cmocka_unit_test(test_memory_running_out_while_writing),
        cmocka_unit_test(test_random_filters_change_in_their_range_alone),
        cmocka_unit_test(test_random_open_filters_are_completed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
