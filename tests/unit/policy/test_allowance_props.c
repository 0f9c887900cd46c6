/* test_allowance_props.c - what response headers say is left: bounds that hold for every input, and
 * a server that counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/rng.h"
#include "policy/allowance.h"

static struct rf_rate_hint hint(uint64_t remaining, uint64_t reset_ns)
{
    struct rf_rate_hint h;
    rf_rate_hint_init(&h);
    h.any = true;
    h.remaining = remaining;
    h.reset_ns = reset_ns;
    return h;
}

static uint64_t tell(struct rf_allowance *a, uint64_t remaining, uint64_t reset_ns,
                     uint64_t sent_ns, uint64_t sent_then, uint64_t now_ns)
{
    struct rf_rate_hint h = hint(remaining, reset_ns);
    return rf_allowance_hint(a, &h, sent_ns, sent_then, now_ns);
}

static uint32_t room(struct rf_allowance *a, uint32_t want, uint64_t now_ns)
{
    uint64_t wait_ns;
    return rf_allowance_room(a, want, now_ns, &wait_ns);
}

static void test_allowance_half_a_hint_is_none(void **state)
{
    (void)state;
    struct rf_allowance a = {0};
    struct rf_rate_hint none;
    rf_rate_hint_init(&none);
    assert_int_equal(rf_allowance_hint(&a, &none, 0, 0, 0), 0);
    assert_int_equal(tell(&a, 0, RF_NEVER, 0, 0, 0), 0);
    assert_int_equal(tell(&a, UINT64_MAX, RF_SEC, 0, 0, 0), 0);
    assert_int_equal(room(&a, 9, 0), 9);
}

/* None left: a pause, and never a longer bound than the pause, whatever a server says. */
static void test_allowance_nothing_left_stops_for_a_minute_at_most(void **state)
{
    (void)state;
    static const uint64_t reset[] = {
        1, RF_SEC, 59 * RF_SEC, 60 * RF_SEC, 300 * RF_SEC, 86400 * RF_SEC, RF_NEVER - 1};
    for (size_t i = 0; i < RF_COUNT(reset); i++) {
        struct rf_allowance a = {0};
        uint64_t most = rf_min_u64(reset[i], 60 * RF_SEC), wait_ns;
        assert_int_equal(tell(&a, 0, reset[i], RF_SEC, 0, RF_SEC), most);
        assert_int_equal(rf_allowance_room(&a, 5, RF_SEC, &wait_ns), 0);
        assert_int_equal(wait_ns, most);
        assert_int_equal(room(&a, 5, RF_SEC + most), 5);
    }
}

/* A quota of a day with something left bounds nothing; one of some minutes does. */
static void test_allowance_of_a_day_is_no_bound(void **state)
{
    (void)state;
    struct rf_allowance a = {0};
    assert_int_equal(tell(&a, 2, 301 * RF_SEC, RF_SEC, 0, RF_SEC), 0);
    assert_int_equal(room(&a, 5, RF_SEC), 5);
    assert_int_equal(tell(&a, 2, 300 * RF_SEC, RF_SEC, 0, RF_SEC), 0);
    assert_int_equal(room(&a, 5, RF_SEC), 2);
}

/* Against a server that counts in fixed windows and answers in any order: once the first hint came,
 * not more than it holds goes to it in a window. */
static void test_allowance_keeps_to_a_server(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 7);
    uint64_t sends = 0;
    for (uint32_t run = 0; run < 200; run++) {
        struct rf_allowance a = {0};
        uint64_t quota = 1 + rf_rng_below(&rng, 50), left = quota, now = RF_SEC;
        uint64_t end = now + 10 * RF_SEC;
        struct {
            uint64_t at, sent, then;
            struct rf_rate_hint h;
        } out[64];
        uint32_t n = 0;
        bool heard = false;
        for (uint32_t step = 0; step < 1000 && now < end; step++) {
            now += rf_rng_below(&rng, 20 * RF_MS);
            for (uint32_t i = 0; i < n;) {
                if (out[i].at > now) {
                    i++;
                    continue;
                }
                out[i].h.reset_ns = rf_time_sub(end, now);
                (void)rf_allowance_hint(&a, &out[i].h, out[i].sent, out[i].then, now);
                rf_allowance_settle(&a, 1);
                heard = true;
                out[i] = out[--n];
            }
            bool may = heard ? room(&a, 1, now) > 0 : n == 0;
            if (!may || n == RF_COUNT(out) || now >= end)
                continue;
            if (left == 0)
                fail_msg("run %u: one more than %llu", run, (unsigned long long)quota);
            left--;
            sends++;
            rf_allowance_commit(&a, 1);
            out[n].at = now + rf_rng_below(&rng, 200 * RF_MS);
            out[n].sent = now;
            out[n].then = a.sent;
            out[n++].h = hint(left, 0);
        }
    }
    assert_true(sends > 4000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allowance_half_a_hint_is_none),
        cmocka_unit_test(test_allowance_nothing_left_stops_for_a_minute_at_most),
        cmocka_unit_test(test_allowance_of_a_day_is_no_bound),
        cmocka_unit_test(test_allowance_keeps_to_a_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
