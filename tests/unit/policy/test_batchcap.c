/* test_batchcap.c - how many requests it costs to learn a server's batch size, and what stays. */
#include "policy/batchcap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/rng.h"

static void refuse(struct rf_batchcap *c, uint32_t n, uint64_t bytes, bool trial, uint32_t told_n,
                   uint64_t told_bytes, bool by_bytes, uint64_t now_ns)
{
    struct rf_batch_refusal r = {n, bytes, trial, told_n, told_bytes, by_bytes};
    rf_batchcap_refused(c, &r, now_ns);
}

#define NO_BYTES (UINT64_C(1) << 30)
#define SLOTS 16

/* A server with a cap by count and by bytes; calls are `call_bytes` long. */
struct server {
    uint32_t cap;
    uint64_t cap_bytes, call_bytes;
    bool tells;
};

/* A client with SLOTS requests at once, each 100 ms long, and more calls than it can send. */
struct load {
    struct rf_batchcap c;
    struct {
        uint32_t n;
        bool trial;
    } slot[SLOTS];
    uint64_t now;
    uint64_t calls_done, calls_refused;
};

static void begin(struct load *l, uint32_t max, uint64_t max_bytes)
{
    *l = (struct load){.now = RF_SEC};
    rf_batchcap_init(&l->c, max, max_bytes);
}

static uint32_t next_size(const struct load *l, const struct server *s)
{
    uint64_t by_bytes = rf_batchcap_bytes(&l->c) / s->call_bytes;
    uint64_t n = rf_min_u64(rf_batchcap_now(&l->c), by_bytes);
    return n > 1 ? (uint32_t)n : 1;
}

static void answer(struct load *l, const struct server *s, uint32_t n, bool trial)
{
    uint64_t bytes = n * s->call_bytes;
    if (n > s->cap && n > 1)
        refuse(&l->c, n, bytes, trial, s->tells ? s->cap : 0, 0, false, l->now);
    else if (bytes > s->cap_bytes)
        refuse(&l->c, n, bytes, trial, 0, s->tells ? s->cap_bytes : 0, true, l->now);
    else
        rf_batchcap_passed(&l->c, n, bytes, trial, l->now);
    bool refused = (n > s->cap && n > 1) || bytes > s->cap_bytes;
    *(refused ? &l->calls_refused : &l->calls_done) += n;
}

/* Drive the load for a while. @return requests refused in it. */
static uint64_t drive(struct load *l, const struct server *s, uint64_t for_ns)
{
    uint64_t before = l->c.refusals;
    for (uint64_t end = l->now + for_ns; l->now < end; l->now += 100 * RF_MS) {
        for (size_t i = 0; i < SLOTS; i++) {
            uint32_t n = next_size(l, s);
            l->slot[i].trial = rf_batchcap_sent(&l->c, n);
            l->slot[i].n = n;
        }
        for (size_t i = 0; i < SLOTS; i++)
            answer(l, s, l->slot[i].n, l->slot[i].trial);
        assert_true(l->c.proven <= l->c.limit && l->c.limit <= l->c.max);
        assert_false(l->c.trial);
    }
    return l->c.refusals - before;
}

/* Drive it until the size it wants to use is one that has passed. @return requests refused. */
static uint64_t learn(struct load *l, const struct server *s)
{
    uint64_t before = l->c.refusals;
    do
        drive(l, s, 100 * RF_MS);
    while (l->c.proven < l->c.limit);
    return l->c.refusals - before;
}

static void test_untold_caps_are_found_in_few_refusals(void **state)
{
    (void)state;
    static const struct {
        uint32_t cap, max;
        uint64_t refusals;
    } rows[] = {{3, 100, 5},  {10, 100, 4},  {100, 100, 0},  {1, 100, 6},   {3, 20, 3},
                {3, 1000, 8}, {10, 1000, 7}, {100, 1000, 4}, {999, 1000, 1}};
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct server s = {.cap = rows[i].cap, .cap_bytes = NO_BYTES, .call_bytes = 100};
        struct load l;
        begin(&l, rows[i].max, NO_BYTES);
        uint64_t first = learn(&l, &s), before = l.calls_done;
        uint64_t later = drive(&l, &s, 600 * RF_SEC);
        print_message("cap %u of %u: %u refused, then %u in 10 min, then limit %u\n", rows[i].cap,
                      rows[i].max, (unsigned)first, (unsigned)later, l.c.limit);
        assert_true(first <= rows[i].refusals);
        assert_true(later <= 1);
        assert_true(l.c.limit <= rows[i].cap && l.c.limit >= (rows[i].cap + 1) / 2);
        assert_true(l.calls_done - before >= 6000 * SLOTS * l.c.limit / 2);
    }
}

static void test_told_cap_costs_one_refusal_and_is_kept(void **state)
{
    (void)state;
    static const uint32_t caps[] = {1, 3, 10, 99};
    for (size_t i = 0; i < RF_COUNT(caps); i++) {
        struct server s = {caps[i], NO_BYTES, 100, true};
        struct load l;
        begin(&l, 100, NO_BYTES);
        assert_int_equal(drive(&l, &s, 86400 * RF_SEC / 10), 1);
        assert_int_equal(l.c.limit, caps[i]);
        assert_true(l.c.told);
    }
}

static void test_no_cap_no_refusal_no_waste(void **state)
{
    (void)state;
    struct server s = {1000, NO_BYTES, 100, false};
    struct load l;
    begin(&l, 100, NO_BYTES);
    assert_int_equal(drive(&l, &s, 10 * RF_SEC), 0);
    assert_true(l.calls_done > 99 * SLOTS * 100);
}

/* Steps up bisect to the true cap; each refused one doubles the hold. */
static void test_upward_probes_find_the_cap_and_hold(void **state)
{
    (void)state;
    struct server s = {10, NO_BYTES, 100, false};
    struct load l;
    begin(&l, 1000, NO_BYTES);
    uint64_t hours[12];
    for (size_t h = 0; h < RF_COUNT(hours); h++)
        hours[h] = drive(&l, &s, 3600 * RF_SEC);
    assert_int_equal(l.c.limit, 10);
    assert_true(hours[0] <= 7 + 4);
    for (size_t h = 1; h < RF_COUNT(hours); h++)
        assert_true(hours[h] <= 1);
    assert_int_equal(l.c.hold_ns, 6 * 3600 * RF_SEC);
}

static void test_grown_server_is_noticed(void **state)
{
    (void)state;
    struct server s = {10, NO_BYTES, 100, false};
    struct load l;
    begin(&l, 40, NO_BYTES);
    drive(&l, &s, 700 * RF_SEC);
    assert_in_range(l.c.limit, 5, 10);
    s.cap = 1000;
    drive(&l, &s, 7200 * RF_SEC);
    assert_int_equal(l.c.limit, 40);
}

/* Everything in flight at the old size is refused at once: that is one lesson, not sixteen. */
static void test_shrunk_server_is_learned_once(void **state)
{
    (void)state;
    struct server s = {100, NO_BYTES, 100, false};
    struct load l;
    begin(&l, 100, NO_BYTES);
    drive(&l, &s, 60 * RF_SEC);
    assert_int_equal(l.c.limit, 100);
    s.cap = 40;
    assert_true(learn(&l, &s) <= SLOTS + 1);
    assert_int_equal(l.c.limit, 25);
    assert_int_equal(l.c.proven, 25);
}

/* An answer to a batch sent before two cuts: the limit must not go up again because of it. */
static void test_late_refusal_of_a_larger_batch_teaches_nothing(void **state)
{
    (void)state;
    struct rf_batchcap c;
    rf_batchcap_init(&c, 100, NO_BYTES);
    bool trial = rf_batchcap_sent(&c, 100);
    rf_batchcap_passed(&c, 100, 1000, trial, RF_SEC);
    refuse(&c, 100, 1000, false, 0, 0, false, RF_SEC);
    trial = rf_batchcap_sent(&c, 50);
    refuse(&c, 50, 500, trial, 0, 0, false, RF_SEC);
    assert_int_equal(c.limit, 25);
    refuse(&c, 100, 1000, false, 0, 0, false, RF_SEC);
    refuse(&c, 100, 1000, false, 60, 0, false, RF_SEC);
    assert_int_equal(c.limit, 25);
    rf_batchcap_passed(&c, 100, 1000, false, RF_SEC);
    assert_int_equal(c.proven, 1);
    refuse(&c, 100, 1000, false, 20, 0, false, RF_SEC);
    assert_int_equal(c.limit, 20); /* but a lower number of the server's own is news */
    assert_true(c.told);
}

static void test_told_number_that_makes_no_sense_halves(void **state)
{
    (void)state;
    struct rf_batchcap c;
    rf_batchcap_init(&c, 100, NO_BYTES);
    bool trial = rf_batchcap_sent(&c, 100);
    assert_true(trial);
    refuse(&c, 100, 1000, trial, 100, 0, false, RF_SEC);
    assert_int_equal(c.limit, 50);
    assert_false(c.told);
}

static void test_one_trial_at_a_time(void **state)
{
    (void)state;
    struct rf_batchcap c;
    rf_batchcap_init(&c, 100, NO_BYTES);
    assert_int_equal(rf_batchcap_now(&c), 100);
    assert_true(rf_batchcap_sent(&c, 100));
    assert_int_equal(rf_batchcap_now(&c), 1);
    assert_false(rf_batchcap_sent(&c, 1));
    rf_batchcap_passed(&c, 1, 100, false, RF_SEC);
    assert_int_equal(rf_batchcap_now(&c), 1); /* not the trial's answer */
    rf_batchcap_unknown(&c, false);
    assert_int_equal(rf_batchcap_now(&c), 1);
    rf_batchcap_unknown(&c, true);
    assert_int_equal(rf_batchcap_now(&c), 100);
    assert_true(rf_batchcap_sent(&c, 100));
    rf_batchcap_passed(&c, 100, 1000, true, RF_SEC);
    assert_int_equal(rf_batchcap_now(&c), 100);
    assert_false(rf_batchcap_sent(&c, 100));
}

static void test_single_call_refused_leaves_the_count(void **state)
{
    (void)state;
    struct rf_batchcap c;
    rf_batchcap_init(&c, 20, NO_BYTES);
    refuse(&c, 1, 400000, false, 0, 0, true, RF_SEC);
    assert_int_equal(c.limit, 20);
    assert_int_equal(rf_batchcap_bytes(&c), 200000);
    refuse(&c, 1, 100, false, 0, 0, false, RF_SEC);
    assert_int_equal(c.limit, 20);
    assert_int_equal(c.refusals, 2);
}

static void test_max_of_one_never_batches(void **state)
{
    (void)state;
    struct server s = {100, NO_BYTES, 100, false};
    struct load l;
    begin(&l, 0, NO_BYTES);
    assert_int_equal(l.c.max, 1);
    drive(&l, &s, 100 * RF_SEC);
    assert_int_equal(rf_batchcap_now(&l.c), 1);
}

static void test_bytes_told(void **state)
{
    (void)state;
    struct rf_batchcap c;
    rf_batchcap_init(&c, 100, 262144);
    refuse(&c, 50, 200000, false, 0, 131072, true, RF_SEC);
    assert_int_equal(rf_batchcap_bytes(&c), 131072);
    assert_int_equal(c.limit, 100);
    refuse(&c, 40, 131073, false, 0, 131072, true, RF_SEC);
    assert_int_equal(rf_batchcap_bytes(&c), 131072); /* sent before: no news */
    for (uint64_t i = 0; i < 1000; i++)
        rf_batchcap_passed(&c, 40, 131072, false, RF_SEC + i);
    assert_int_equal(rf_batchcap_bytes(&c), 131072); /* the server's own number is not probed */
}

static void test_bytes_halve_to_what_passed_and_have_a_floor(void **state)
{
    (void)state;
    struct rf_batchcap c;
    rf_batchcap_init(&c, 100, 100000);
    rf_batchcap_passed(&c, 1, 30000, false, RF_SEC);
    refuse(&c, 10, 80000, false, 0, 0, true, RF_SEC);
    assert_int_equal(rf_batchcap_bytes(&c), 40000);
    refuse(&c, 10, 35000, false, 0, 0, true, RF_SEC);
    assert_int_equal(rf_batchcap_bytes(&c), 30000); /* proven, more than half */
    uint64_t bytes = 30000;
    for (int i = 0; i < 20; i++, bytes = rf_batchcap_bytes(&c))
        refuse(&c, 1, bytes, false, 0, 0, true, RF_SEC);
    assert_int_equal(rf_batchcap_bytes(&c), 512);
}

/* A bare 413 that was about the count: at the floor of bytes, the count goes down after all. */
static void test_bytes_at_the_floor_cut_the_count(void **state)
{
    (void)state;
    struct rf_batchcap c;
    rf_batchcap_init(&c, 100, 100000);
    uint32_t n = 100;
    for (int i = 0; i < 40 && n > 3; i++) {
        uint64_t by_bytes = rf_batchcap_bytes(&c) / 50;
        n = by_bytes < rf_batchcap_now(&c) ? (uint32_t)by_bytes : rf_batchcap_now(&c);
        bool trial = rf_batchcap_sent(&c, n);
        if (n > 3)
            refuse(&c, n, n * 50, trial, 0, 0, true, RF_SEC);
    }
    assert_in_range(n, 1, 3);
}

static void test_bytes_grow_back_one_trial_at_a_time(void **state)
{
    (void)state;
    struct server s = {1000, 40000, 10, false};
    struct load l;
    begin(&l, 1000, 100000);
    assert_int_equal(drive(&l, &s, 2 * RF_SEC), 0);
    assert_int_equal(l.c.proven, 1000); /* from here on only the bytes matter */
    s.call_bytes = 100;
    uint64_t first = drive(&l, &s, 2 * RF_SEC);
    assert_true(first <= SLOTS + 2); /* all that were in flight, and then one a step */
    uint64_t later = drive(&l, &s, 600 * RF_SEC);
    assert_true(later <= 1);
    assert_in_range(l.c.limit_bytes, 25000, 40000);
    s.cap_bytes = NO_BYTES;
    assert_int_equal(drive(&l, &s, 4 * 3600 * RF_SEC), 0);
    assert_int_equal(l.c.limit_bytes, 100000);
}

/* Whatever is reported in whatever order: the invariants hold, and no trial is lost. */
static void test_random_histories(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 77);
    for (int round = 0; round < 200; round++) {
        struct rf_batchcap c;
        rf_batchcap_init(&c, 1 + (uint32_t)rf_rng_below(&rng, 200), 1 + rf_rng_below(&rng, 100000));
        struct {
            uint32_t n;
            bool trial;
        } slot[SLOTS] = {{0, false}};
        uint64_t now = 0;
        for (int i = 0; i < 1000; i++, now += rf_rng_below(&rng, 20 * RF_SEC)) {
            size_t k = (size_t)rf_rng_below(&rng, SLOTS);
            uint32_t n = slot[k].n, told = (uint32_t)rf_rng_below(&rng, 3) * n / 2;
            uint64_t bytes = n * (1 + rf_rng_below(&rng, 3000));
            uint64_t kind = n == 0 ? 9 : rf_rng_below(&rng, 6);
            slot[k].n = 0;
            if (kind == 0)
                refuse(&c, n, bytes, slot[k].trial, told, told * 100U, rf_rng_below(&rng, 2), now);
            else if (kind == 1)
                rf_batchcap_unknown(&c, slot[k].trial);
            else if (kind < 6)
                rf_batchcap_passed(&c, n, bytes, slot[k].trial, now);
            if (kind == 9) {
                slot[k].n = 1 + (uint32_t)rf_rng_below(&rng, rf_batchcap_now(&c));
                slot[k].trial = rf_batchcap_sent(&c, slot[k].n);
            }
            unsigned trials = 0;
            for (size_t s = 0; s < SLOTS; s++)
                trials += slot[s].n > 0 && slot[s].trial;
            assert_int_equal(trials, c.trial ? 1 : 0);
            assert_true(c.proven >= 1 && c.proven <= c.limit && c.limit <= c.max);
            assert_true(rf_batchcap_now(&c) >= 1);
            assert_true(rf_batchcap_bytes(&c) <= rf_max_u64(512, c.max_bytes));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_untold_caps_are_found_in_few_refusals),
        cmocka_unit_test(test_told_cap_costs_one_refusal_and_is_kept),
        cmocka_unit_test(test_no_cap_no_refusal_no_waste),
        cmocka_unit_test(test_upward_probes_find_the_cap_and_hold),
        cmocka_unit_test(test_grown_server_is_noticed),
        cmocka_unit_test(test_shrunk_server_is_learned_once),
        cmocka_unit_test(test_late_refusal_of_a_larger_batch_teaches_nothing),
        cmocka_unit_test(test_told_number_that_makes_no_sense_halves),
        cmocka_unit_test(test_one_trial_at_a_time),
        cmocka_unit_test(test_single_call_refused_leaves_the_count),
        cmocka_unit_test(test_max_of_one_never_batches),
        cmocka_unit_test(test_bytes_told),
        cmocka_unit_test(test_bytes_halve_to_what_passed_and_have_a_floor),
        cmocka_unit_test(test_bytes_at_the_floor_cut_the_count),
        cmocka_unit_test(test_bytes_grow_back_one_trial_at_a_time),
        cmocka_unit_test(test_random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
