/* test_index_show.c - the status line of `rpcfan index`. */
#include "cli/index_show.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void expect(const struct rpcfan_feed_status *st, const char *line)
{
    struct rf_buf b = {0};
    rf_index_show_line(&b, st, 20012);
    rf_buf_char(&b, '\0');
    assert_string_equal(b.data, line);
    rf_buf_fini(&b);
}

static void test_line_of_a_snapshot_and_of_a_live_feed(void **state)
{
    (void)state;
    struct rpcfan_feed_status st = {.state = "snapshot", .accounts = 1234, .snapshot_rows = 5678};
    expect(&st, "snapshot 5,678 read  1,234 accounts  20,012/s  0 repairs  queue 0");
    st = (struct rpcfan_feed_status){.state = "live",
                                     .accounts = 1234567,
                                     .watermark = 312345678,
                                     .tip = 312345680,
                                     .repairs = 3,
                                     .queue_events = 12,
                                     .dropped = 1};
    expect(&st, "live  1,234,567 accounts  20,012/s  lag 2 slots  watermark 312345678  3 repairs  "
                "queue 12  1 dropped");
    st.tip = 0; /* a node that is behind what the last run knew */
    st.dropped = 0;
    expect(&st, "live  1,234,567 accounts  20,012/s  lag 0 slots  watermark 312345678  3 repairs  "
                "queue 12");
}

static void test_rate_is_measured_over_some_seconds(void **state)
{
    (void)state;
    struct rf_progress p = {.mark_ns = RF_SEC};
    for (uint64_t s = 2; s <= 20; s++)
        rf_progress_measure(&p, s * 500, s * RF_SEC);
    assert_in_range(p.rate, 450, 550);
    for (uint64_t s = 21; s <= 60; s++)
        rf_progress_measure(&p, 10000, s * RF_SEC);
    assert_in_range(p.rate, 0, 5);
    assert_false(rf_progress_due(&p, 100 * RF_SEC)); /* it is not on */
    p.on = true;
    assert_true(rf_progress_due(&p, 100 * RF_SEC));
    p.drawn_ns = 100 * RF_SEC;
    assert_false(rf_progress_due(&p, 100 * RF_SEC + RF_PROGRESS_DRAW_NS - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_of_a_snapshot_and_of_a_live_feed),
        cmocka_unit_test(test_rate_is_measured_over_some_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
