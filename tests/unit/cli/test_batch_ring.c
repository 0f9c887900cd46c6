/* test_batch_ring.c - the window of lines under way. */
#include "cli/batch_ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static void start(struct rf_ring *r, uint32_t size, bool ordered)
{
    assert_true(rf_ring_init(r, size, ordered));
}

static struct rf_slot *take(struct rf_ring *r, uint64_t line)
{
    struct rf_slot *s = rf_ring_take(r, line);
    assert_non_null(s);
    assert_int_equal(s->line, line);
    return s;
}

/* The line that is handed out next, released; 0: none. */
static uint64_t pop(struct rf_ring *r)
{
    struct rf_slot *s = rf_ring_next(r);
    if (s == NULL)
        return 0;
    uint64_t line = s->line;
    rf_ring_release(r, s);
    return line;
}

static void test_ring_ordered_hands_out_in_the_order_taken(void **state)
{
    (void)state;
    struct rf_ring r;
    start(&r, 3, true);
    struct rf_slot *a = take(&r, 1), *b = take(&r, 2), *c = take(&r, 3);
    rf_ring_finish(&r, c);
    rf_ring_finish(&r, b);
    assert_int_equal(pop(&r), 0);
    rf_ring_finish(&r, a);
    assert_int_equal(pop(&r), 1);
    assert_int_equal(pop(&r), 2);
    assert_int_equal(pop(&r), 3);
    assert_int_equal(pop(&r), 0);
    rf_ring_fini(&r);
}

static void test_ring_unordered_hands_out_as_finished(void **state)
{
    (void)state;
    struct rf_ring r;
    start(&r, 3, false);
    take(&r, 1);
    struct rf_slot *b = take(&r, 2), *c = take(&r, 3);
    rf_ring_finish(&r, c);
    rf_ring_finish(&r, b);
    assert_int_equal(pop(&r), 3);
    assert_int_equal(pop(&r), 2);
    assert_int_equal(pop(&r), 0);
    assert_int_equal(r.waiting, 1);
    rf_ring_fini(&r);
}

static void test_ring_unordered_slow_line_holds_nothing_back(void **state)
{
    (void)state;
    struct rf_ring r;
    start(&r, 2, false);
    take(&r, 1);
    for (uint64_t line = 2; line < 1000; line++) {
        rf_ring_finish(&r, take(&r, line));
        assert_int_equal(pop(&r), line);
    }
    rf_ring_fini(&r);
}

static void test_ring_full_refuses_and_wraps(void **state)
{
    (void)state;
    for (int ordered = 0; ordered < 2; ordered++) {
        struct rf_ring r;
        start(&r, 3, ordered == 1);
        for (uint64_t line = 1; line < 100; line += 3) {
            struct rf_slot *s[3];
            for (uint64_t i = 0; i < 3; i++)
                s[i] = take(&r, line + i);
            assert_null(rf_ring_take(&r, 999));
            for (int i = 0; i < 3; i++)
                rf_ring_finish(&r, s[i]);
            for (uint64_t i = 0; i < 3; i++)
                assert_int_equal(pop(&r), line + i);
            assert_int_equal(r.used, 0);
        }
        rf_ring_fini(&r);
    }
}

static void test_ring_untake_leaves_no_trace(void **state)
{
    (void)state;
    for (int ordered = 0; ordered < 2; ordered++) {
        struct rf_ring r;
        start(&r, 2, ordered == 1);
        for (int i = 0; i < 10; i++) {
            struct rf_slot *s = take(&r, 7);
            rf_ring_cost(&r, s, 100);
            rf_ring_untake(&r, s);
        }
        assert_int_equal(r.used + r.waiting + r.held, 0);
        rf_ring_finish(&r, take(&r, 7));
        assert_int_equal(pop(&r), 7);
        rf_ring_fini(&r);
    }
}

static void test_ring_ordered_dropped_line_stops_the_output(void **state)
{
    (void)state;
    struct rf_ring r;
    start(&r, 3, true);
    struct rf_slot *a = take(&r, 1), *b = take(&r, 2), *c = take(&r, 3);
    rf_ring_finish(&r, a);
    rf_ring_drop(&r, b);
    rf_ring_finish(&r, c);
    assert_int_equal(pop(&r), 1);
    assert_int_equal(pop(&r), 0);
    assert_true(r.dropped);
    rf_ring_fini(&r);
}

static void test_ring_unordered_dropped_line_is_only_left_out(void **state)
{
    (void)state;
    struct rf_ring r;
    start(&r, 3, false);
    struct rf_slot *a = take(&r, 1), *b = take(&r, 2), *c = take(&r, 3);
    rf_ring_finish(&r, a);
    rf_ring_drop(&r, b);
    rf_ring_finish(&r, c);
    assert_int_equal(pop(&r), 1);
    assert_int_equal(pop(&r), 3);
    assert_int_equal(r.used, 0);
    assert_true(r.dropped);
    rf_ring_fini(&r);
}

static void test_ring_held_bytes_follow_the_slots(void **state)
{
    (void)state;
    struct rf_ring r;
    start(&r, 2, true);
    struct rf_slot *a = take(&r, 1), *b = take(&r, 2);
    rf_ring_cost(&r, a, 10);
    rf_ring_cost(&r, b, 20);
    rf_ring_cost(&r, a, 500);
    assert_int_equal(r.held, 520);
    rf_ring_finish(&r, a);
    assert_int_equal(pop(&r), 1);
    assert_int_equal(r.held, 20);
    rf_ring_fini(&r);
}

static void test_ring_ids_short_and_long_are_kept(void **state)
{
    (void)state;
    struct rf_ring r;
    char id[1000];
    memset(id, 'x', sizeof id);
    start(&r, 1, true);
    for (size_t len = 1; len <= sizeof id; len += 39) {
        struct rf_slot *s = take(&r, 1);
        assert_true(rf_slot_set_id(s, id, len));
        assert_int_equal(s->id_len, len);
        assert_memory_equal(rf_slot_id(s), id, len);
        rf_ring_finish(&r, s);
        assert_int_equal(pop(&r), 1);
    }
    rf_ring_fini(&r);
}

static void test_ring_line_with_a_short_id_allocates_nothing(void **state)
{
    (void)state;
    struct rf_ring r;
    start(&r, 4, true);
    uint64_t before = rf_alloc_count();
    for (uint64_t line = 1; line < 1000; line++) {
        struct rf_slot *s = take(&r, line);
        assert_true(rf_slot_set_id(s, "\"3f2504e0-4f89-11d3-9a0c-0305e82c3301\"", 38));
        rf_ring_finish(&r, s);
        assert_int_equal(pop(&r), line);
    }
    assert_int_equal(rf_alloc_count(), before);
    rf_ring_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring_ordered_hands_out_in_the_order_taken),
        cmocka_unit_test(test_ring_unordered_hands_out_as_finished),
        cmocka_unit_test(test_ring_unordered_slow_line_holds_nothing_back),
        cmocka_unit_test(test_ring_full_refuses_and_wraps),
        cmocka_unit_test(test_ring_untake_leaves_no_trace),
        cmocka_unit_test(test_ring_ordered_dropped_line_stops_the_output),
        cmocka_unit_test(test_ring_unordered_dropped_line_is_only_left_out),
        cmocka_unit_test(test_ring_held_bytes_follow_the_slots),
        cmocka_unit_test(test_ring_ids_short_and_long_are_kept),
        cmocka_unit_test(test_ring_line_with_a_short_id_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
