/* test_allowance.c - what the server says is left: a bound that requests under way use up too, and
 * that begins anew with the quota once it is restored. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "policy/allowance.h"

static struct rf_rate_hint hint(uint64_t remaining, uint64_t reset_ns, uint64_t quota)
{
    struct rf_rate_hint h;
    rf_rate_hint_init(&h);
    h.any = true;
    h.remaining = remaining;
    h.reset_ns = reset_ns;
    h.quota = quota;
    return h;
}

static uint32_t room(struct rf_allowance *a, uint32_t want, uint64_t now_ns)
{
    uint64_t wait_ns;
    return rf_allowance_room(a, want, now_ns, &wait_ns);
}

static void test_room_is_open_while_nothing_is_said(void **state)
{
    (void)state;
    struct rf_allowance a = {0};
    rf_allowance_commit(&a, 100);
    assert_int_equal(room(&a, 50, RF_SEC), 50);
}

static void test_hint_bounds_until_its_reset(void **state)
{
    (void)state;
    struct rf_allowance a = {0};
    struct rf_rate_hint h = hint(10, 5 * RF_SEC, 0);
    uint64_t wait_ns;
    rf_allowance_commit(&a, 4);
    rf_allowance_settle(&a, 4);
    assert_int_equal(rf_allowance_hint(&a, &h, RF_SEC, 4, 2 * RF_SEC), 0);
    assert_int_equal(room(&a, 50, 2 * RF_SEC), 10);
    rf_allowance_commit(&a, 10);
    assert_int_equal(rf_allowance_room(&a, 1, 3 * RF_SEC, &wait_ns), 0);
    assert_int_equal(wait_ns, 4 * RF_SEC);
    assert_int_equal(room(&a, 50, 7 * RF_SEC), 50); /* no quota was told: no bound */
}

static void test_hint_of_an_older_request_is_not_used(void **state)
{
    (void)state;
    struct rf_allowance a = {0};
    struct rf_rate_hint newer = hint(3, 5 * RF_SEC, 0), older = hint(9, 5 * RF_SEC, 0);
    rf_allowance_hint(&a, &newer, 2 * RF_SEC, 0, 3 * RF_SEC);
    rf_allowance_hint(&a, &older, RF_SEC, 0, 3 * RF_SEC);
    assert_int_equal(room(&a, 50, 3 * RF_SEC), 3);
}

/* Four batches of 4 leave at once; the last one overtakes the others and is told that 16 of 20 are
 * left. The 12 under way are not in that figure. */
static void test_hint_does_not_give_away_what_is_under_way(void **state)
{
    (void)state;
    struct rf_allowance a = {0};
    struct rf_rate_hint h = hint(16, RF_SEC, 20);
    for (int i = 0; i < 4; i++)
        rf_allowance_commit(&a, 4);
    rf_allowance_settle(&a, 4);
    rf_allowance_hint(&a, &h, RF_SEC, 16, RF_SEC);
    assert_int_equal(room(&a, 50, RF_SEC), 4);
}

/* The bug: behind the reset there was no bound at all, and everything that waited left at once,
 * before the first answer could tell what is left of the new quota. */
static void test_quota_bounds_what_leaves_after_the_reset(void **state)
{
    (void)state;
    struct rf_allowance a = {0};
    struct rf_rate_hint h = hint(0, RF_SEC, 20);
    assert_int_equal(rf_allowance_hint(&a, &h, RF_SEC, 0, RF_SEC), RF_SEC);
    assert_int_equal(room(&a, 50, RF_SEC), 0);
    assert_int_equal(room(&a, 50, 2 * RF_SEC), 20);
    rf_allowance_commit(&a, 20);
    assert_int_equal(room(&a, 50, 2 * RF_SEC + RF_MS), 0);
    assert_int_equal(room(&a, 50, 3 * RF_SEC), 20); /* whatever became of the answers */
}

static void test_quota_lasts_for_its_window(void **state)
{
    (void)state;
    struct rf_allowance a = {0};
    struct rf_rate_hint h = hint(0, 0, 20); /* restored this second */
    h.window_ns = 10 * RF_SEC;
    rf_allowance_hint(&a, &h, RF_SEC, 0, RF_SEC);
    assert_int_equal(room(&a, 50, RF_SEC), 20);
    rf_allowance_commit(&a, 20);
    assert_int_equal(room(&a, 50, 10 * RF_SEC), 0);
    assert_int_equal(room(&a, 50, 11 * RF_SEC), 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_room_is_open_while_nothing_is_said),
        cmocka_unit_test(test_hint_bounds_until_its_reset),
        cmocka_unit_test(test_hint_of_an_older_request_is_not_used),
        cmocka_unit_test(test_hint_does_not_give_away_what_is_under_way),
        cmocka_unit_test(test_quota_bounds_what_leaves_after_the_reset),
        cmocka_unit_test(test_quota_lasts_for_its_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
