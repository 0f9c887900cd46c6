/* test_rate_props.c - what the learned rate promises over random histories in virtual time,
 * whatever the order of settlements and however the clock behaves. */
#include "policy/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/rng.h"

#define STEPS 200000
#define FLIGHTS 256
#define RATE_MIN 0.02
#define RATE_MAX 1e7

struct flight {
    uint32_t calls;
    uint64_t sent_ns;
};

static struct world {
    struct rf_rate r;
    struct rf_rng rng;
    uint64_t now, latest;
    struct flight flight[FLIGHTS];
    uint64_t live, taken, given_back;
    uint64_t last_cut_ns;
    bool any_cut;
    uint64_t epochs;
} w;

static uint64_t below(uint64_t n)
{
    return rf_rng_below(&w.rng, n);
}

static double double_below(uint64_t n)
{
    return (double)below(n * 100) / 100;
}

static void open_world(uint64_t seed)
{
    w = (struct world){0};
    rf_rng_init(&w.rng, seed);
    w.now = w.latest = below(4) == 0 ? 0 : below(1000 * RF_SEC);
    double start = below(2) == 0 ? 0 : double_below(500);
    double most = below(2) == 0 ? 0 : double_below(500);
    rf_rate_init(&w.r, start, most, below(3) == 0, w.now);
}

/* The clock steps on, stands still, leaps, or goes back. */
static void pass_time(void)
{
    uint64_t roll = below(100);
    if (roll < 40)
        w.now += below(20 * RF_MS);
    else if (roll < 50)
        w.now += below(2 * RF_SEC);
    else if (roll == 50)
        w.now += below(600 * RF_SEC);
    else if (roll == 51)
        w.now -= rf_min_u64(w.now, below(30 * RF_SEC));
    w.latest = rf_max_u64(w.latest, w.now);
}

/* P2: denied until just before, allowed at it, if nothing else happens. */
static void check_wait(uint64_t wait)
{
    struct rf_rate copy = w.r;
    uint64_t ignored;
    if (wait == RF_NEVER) {
        assert_true(w.live > 0); /* or nothing could ever free room */
        assert_int_equal(rf_rate_room(&copy, 1, w.latest + 10000 * RF_SEC, &ignored), 0);
        return;
    }
    assert_true(wait > 0);
    assert_int_equal(rf_rate_room(&copy, 1, w.now + wait / 2, &ignored), 0);
    assert_int_equal(rf_rate_room(&copy, 1, w.now + wait - 1, &ignored), 0);
    assert_true(rf_rate_room(&copy, 1, w.now + wait, &ignored) >= 1);
}

static void try_send(void)
{
    uint64_t wait;
    uint32_t want = 1 + (uint32_t)below(40);
    uint32_t n = rf_rate_room(&w.r, want, w.now, &wait);
    assert_true(n <= want);
    if (n == 0) {
        check_wait(wait);
        return;
    }
    assert_int_equal(wait, 0);
    n -= (uint32_t)below(n); /* fewer than allowed is always right */
    for (size_t i = 0; i < FLIGHTS; i++) {
        if (w.flight[i].calls > 0)
            continue;
        w.flight[i] = (struct flight){n, w.now};
        rf_rate_commit(&w.r, n, w.now);
        w.live += n;
        w.taken += n;
        return;
    }
}

static void check_epoch(bool began, uint64_t sent_ns, double before)
{
    bool same = w.any_cut && sent_ns <= w.last_cut_ns;
    assert_int_equal(began, !same);
    double after = rf_rate_per_s(&w.r);
    if (same)
        assert_true(after == before);
    else if (before > 0 && after > 0 && w.r.phase == RF_RATE_LEARNED)
        assert_true(after >= 0.45 * before * 0.999 || after <= 5.001); /* a low start */
    if (!began)
        return;
    w.any_cut = true;
    w.last_cut_ns = w.latest;
    w.epochs++;
}

/* A part of a flight is settled; another part may have another fate later. */
static void settle_one(void)
{
    struct flight *f = &w.flight[below(FLIGHTS)];
    if (f->calls == 0)
        return;
    uint32_t n = 1 + (uint32_t)below(f->calls);
    enum rf_rate_fate fate = (enum rf_rate_fate)below(4);
    bool told_first = below(2) == 0;
    if (!told_first)
        rf_rate_settle(&w.r, n, fate, w.now);
    if (fate == RF_RATE_REFUSED && below(4) == 0) {
        uint64_t ignored;
        rf_rate_room(&w.r, 1, w.now, &ignored); /* growth up to now is not part of the cut */
        double before = rf_rate_per_s(&w.r);
        uint64_t hint = below(2) == 0 ? RF_NEVER : below(400 * RF_SEC);
        check_epoch(rf_rate_refused(&w.r, f->sent_ns, hint, w.now), f->sent_ns, before);
    }
    if (told_first)
        rf_rate_settle(&w.r, n, fate, w.now);
    f->calls -= n;
    w.live -= n;
    w.given_back += n;
}

static void check_bounds(void)
{
    double high = w.r.max_per_s > 0 ? w.r.max_per_s : RATE_MAX;
    double low = RATE_MIN < high ? RATE_MIN : high;
    assert_true(w.r.per_s >= low && w.r.per_s <= high);
    assert_true(w.r.ceil_per_s >= 0 && w.r.ceil_per_s <= high);
    assert_true(w.r.window >= 1);
    assert_true(w.r.use >= 0);
    assert_int_equal(w.r.in_flight, w.live);
    assert_int_equal(w.taken, w.given_back + w.live);
    assert_int_equal(w.r.epochs, w.epochs);
    assert_true(rf_rate_per_s(&w.r) >= 0);
}

static void test_props_random_histories(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        open_world(seed);
        for (int i = 0; i < STEPS / 40; i++) {
            pass_time();
            if (below(2) == 0)
                try_send();
            for (uint64_t n = below(8); n > 0; n--)
                settle_one();
            if (below(200) == 0)
                rf_rate_resume(&w.r, w.now);
            if (below(2000) == 0)
                rf_rate_cap(&w.r, double_below(500));
            check_bounds();
        }
    }
}

/* P9: whatever is sent while time stands still or goes back is what one moment allows. */
static void test_props_no_burst_without_time(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        w = (struct world){0};
        rf_rng_init(&w.rng, seed);
        double per_s = 1 + double_below(1000);
        w.now = 1000 * RF_SEC;
        rf_rate_init(&w.r, per_s, per_s, false, w.now);
        uint64_t sent = 0;
        for (int i = 0; i < 100; i++) {
            uint64_t wait, at = w.now - below(2) * below(900 * RF_SEC);
            uint32_t n = rf_rate_room(&w.r, 10000, at, &wait);
            rf_rate_commit(&w.r, n, at);
            rf_rate_settle(&w.r, n, (enum rf_rate_fate)below(4), at);
            sent += n;
        }
        assert_true((double)sent <= per_s * 0.06 + 1); /* the tolerance and what it may be late */
    }
}

/* However the sender behaves, it is never ahead of the rate by more than that. */
static void test_props_never_above_the_rate(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        w = (struct world){0};
        rf_rng_init(&w.rng, seed);
        double per_s = 1 + double_below(1000);
        rf_rate_init(&w.r, per_s, per_s, false, 0);
        uint64_t sent = 0;
        for (int i = 0; i < 1000; i++) {
            uint64_t wait;
            w.now += below(10) == 0 ? below(RF_SEC) : below(5 * RF_MS);
            uint32_t n = rf_rate_room(&w.r, 1 + (uint32_t)below(100), w.now, &wait);
            rf_rate_commit(&w.r, n, w.now);
            rf_rate_settle(&w.r, n, RF_RATE_SERVED, w.now);
            sent += n;
            assert_true((double)sent <= per_s * ((double)w.now / 1e9 + 0.06) + 1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_props_random_histories),
        cmocka_unit_test(test_props_no_burst_without_time),
        cmocka_unit_test(test_props_never_above_the_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
