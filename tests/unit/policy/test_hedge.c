/* test_hedge.c - the bucket and its bound, the delay and when it is known, and what hedging does to
 * the tail of simulated calls. */
#include "policy/hedge.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/heap.h"
#include "base/mem.h"
#include "base/rng.h"

static void fill(struct rf_hedge *h, unsigned n, uint64_t latency_ns, uint64_t now_ns)
{
    while (n-- > 0)
        rf_hedge_sample(h, latency_ns, now_ns);
}

static void test_off_does_nothing_and_allocates_nothing(void **state)
{
    (void)state;
    uint64_t before = rf_alloc_count();
    struct rf_hedge h;
    assert_true(rf_hedge_init(&h, 0));
    fill(&h, 500, 50 * RF_MS, RF_SEC);
    for (int i = 0; i < 1000; i++)
        rf_hedge_primary(&h);
    assert_true(rf_hedge_delay(&h, RF_SEC) == RF_NEVER);
    assert_false(rf_hedge_take(&h));
    assert_int_equal(h.denied, 0);
    rf_hedge_fini(&h);
    assert_int_equal(rf_alloc_count(), before);
}

static void test_init_out_of_memory_is_off(void **state)
{
    (void)state;
    struct rf_hedge h;
    rf_alloc_fail_at(1);
    assert_false(rf_hedge_init(&h, 5));
    rf_alloc_fail_at(0);
    for (int i = 0; i < 1000; i++)
        rf_hedge_primary(&h);
    rf_hedge_sample(&h, RF_MS, RF_SEC);
    assert_true(rf_hedge_delay(&h, RF_SEC) == RF_NEVER);
    assert_false(rf_hedge_take(&h));
    rf_hedge_fini(&h);
    rf_hedge_fini(&h); /* twice is harmless */
}

static void test_bucket_starts_empty_and_holds_ten(void **state)
{
    (void)state;
    struct rf_hedge h;
    assert_true(rf_hedge_init(&h, 5));
    assert_false(rf_hedge_take(&h));
    for (int i = 0; i < 19; i++)
        rf_hedge_primary(&h);
    assert_false(rf_hedge_take(&h));
    rf_hedge_primary(&h);
    assert_true(rf_hedge_take(&h)); /* 20 * 0.05 is one token, exactly */
    assert_false(rf_hedge_take(&h));
    for (int i = 0; i < 100000; i++)
        rf_hedge_primary(&h);
    for (int i = 0; i < 10; i++)
        assert_true(rf_hedge_take(&h));
    assert_false(rf_hedge_take(&h));
    assert_int_equal(h.granted, 11);
    assert_int_equal(h.denied, 4);
    rf_hedge_fini(&h);
}

static void test_bucket_counts_in_hundredths(void **state)
{
    (void)state;
    struct rf_hedge h;
    assert_true(rf_hedge_init(&h, 1));
    for (int i = 0; i < 5000; i++)
        rf_hedge_primary(&h);
    for (int i = 0; i < 10; i++)
        assert_true(rf_hedge_take(&h));
    for (int i = 0; i < 99; i++)
        rf_hedge_primary(&h);
    assert_false(rf_hedge_take(&h)); /* nothing was left over */
    rf_hedge_primary(&h);
    assert_true(rf_hedge_take(&h));
    rf_hedge_fini(&h);
}

static void test_more_than_all_counts_as_all(void **state)
{
    (void)state;
    struct rf_hedge h;
    assert_true(rf_hedge_init(&h, UINT32_MAX));
    rf_hedge_primary(&h);
    assert_true(rf_hedge_take(&h));
    assert_false(rf_hedge_take(&h));
    fill(&h, 100, 40 * RF_MS, RF_SEC);
    assert_true(rf_hedge_delay(&h, RF_SEC) >= RF_HEDGE_DELAY_MIN_NS);
    rf_hedge_fini(&h);
}

/* At no moment are there more hedges than percent of the calls, whatever is asked for and when. */
static void test_hedges_never_over_their_percent(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 9);
    for (uint32_t percent = 1; percent <= 100; percent += 9) {
        struct rf_hedge h;
        uint64_t calls = 0, asked = 0;
        assert_true(rf_hedge_init(&h, percent));
        for (uint64_t i = 0; i < 20000; i++) {
            if (rf_rng_below(&rng, 1 + i / 5000) == 0) {
                rf_hedge_primary(&h);
                calls++;
            } else {
                asked++;
                rf_hedge_take(&h);
            }
            assert_true(h.granted * 100 <= calls * percent);
        }
        assert_int_equal(h.granted + h.denied, asked);
        rf_hedge_fini(&h);
    }
}

static void test_delay_is_known_from_a_hundred_samples(void **state)
{
    (void)state;
    struct rf_hedge h;
    assert_true(rf_hedge_init(&h, 5));
    fill(&h, 99, 50 * RF_MS, RF_SEC);
    assert_true(rf_hedge_delay(&h, RF_SEC) == RF_NEVER);
    fill(&h, 1, 50 * RF_MS, RF_SEC);
    assert_int_equal(rf_hedge_delay(&h, RF_SEC), 50 * RF_MS);
    rf_hedge_fini(&h);
}

static void test_delay_is_the_quantile_of_the_percent(void **state)
{
    (void)state;
    static const struct {
        uint32_t percent;
        uint64_t ms;
    } cases[] = {{1, 990}, {5, 950}, {10, 900}, {50, 500}};
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rf_hedge h;
        assert_true(rf_hedge_init(&h, cases[i].percent));
        for (uint64_t ms = 1; ms <= 1000; ms++)
            rf_hedge_sample(&h, ms * RF_MS, RF_SEC);
        uint64_t delay = rf_hedge_delay(&h, RF_SEC), exact = cases[i].ms * RF_MS;
        assert_true(delay >= exact && delay <= exact + exact / 8 + 1);
        rf_hedge_fini(&h);
    }
}

static void test_delay_is_at_least_ten_milliseconds(void **state)
{
    (void)state;
    struct rf_hedge h;
    assert_true(rf_hedge_init(&h, 5));
    fill(&h, 1000, 300 * RF_US, RF_SEC);
    assert_int_equal(rf_hedge_delay(&h, RF_SEC), 10 * RF_MS);
    rf_hedge_fini(&h);
}

static void test_delay_is_worked_out_each_three_seconds(void **state)
{
    (void)state;
    struct rf_hedge h;
    assert_true(rf_hedge_init(&h, 5));
    fill(&h, 100, 50 * RF_MS, 100 * RF_SEC);
    assert_int_equal(rf_hedge_delay(&h, 100 * RF_SEC), 50 * RF_MS);
    fill(&h, 1000, 400 * RF_MS, 101 * RF_SEC);
    assert_int_equal(rf_hedge_delay(&h, 103 * RF_SEC - 1), 50 * RF_MS);
    assert_int_equal(rf_hedge_delay(&h, 103 * RF_SEC), 400 * RF_MS);
    rf_hedge_fini(&h);
}

static void test_samples_leave_within_a_minute(void **state)
{
    (void)state;
    struct rf_hedge h;
    assert_true(rf_hedge_init(&h, 5));
    fill(&h, 1000, 400 * RF_MS, 100 * RF_SEC);
    fill(&h, 1000, 50 * RF_MS, 131 * RF_SEC);
    assert_int_equal(rf_hedge_delay(&h, 131 * RF_SEC), 400 * RF_MS); /* of both */
    fill(&h, 100, 50 * RF_MS, 162 * RF_SEC);
    assert_int_equal(rf_hedge_delay(&h, 162 * RF_SEC), 50 * RF_MS);
    rf_hedge_fini(&h);
}

static void test_after_an_idle_minute_nothing_is_known(void **state)
{
    (void)state;
    struct rf_hedge h;
    assert_true(rf_hedge_init(&h, 5));
    fill(&h, 1000, 50 * RF_MS, 100 * RF_SEC);
    assert_int_equal(rf_hedge_delay(&h, 101 * RF_SEC), 50 * RF_MS);
    assert_true(rf_hedge_delay(&h, 160 * RF_SEC) == RF_NEVER);
    rf_hedge_fini(&h);
}

static void test_clock_that_goes_back_loses_nothing(void **state)
{
    (void)state;
    struct rf_hedge h;
    assert_true(rf_hedge_init(&h, 5));
    fill(&h, 100, 50 * RF_MS, 100 * RF_SEC);
    assert_int_equal(rf_hedge_delay(&h, 100 * RF_SEC), 50 * RF_MS);
    fill(&h, 100, 50 * RF_MS, 5 * RF_SEC);
    assert_int_equal(rf_hedge_delay(&h, 5 * RF_SEC), 50 * RF_MS);
    assert_int_equal(rf_hedge_delay(&h, 104 * RF_SEC), 50 * RF_MS);
    rf_hedge_fini(&h);
}

/* What the delay must be, from the list of all samples. */
static void test_delay_within_an_eighth_of_the_exact_quantile(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 12);
    struct rf_hedge h;
    assert_true(rf_hedge_init(&h, 10));
    uint64_t now = RF_SEC;
    for (int i = 0; i < 120000; i++) {
        now += rf_rng_below(&rng, 4 * RF_MS);
        uint64_t slow = now / (40 * RF_SEC) % 2 ? 300 : 20; /* changes within the pair's span */
        rf_hedge_sample(&h, (slow + rf_rng_below(&rng, slow)) * RF_MS, now);
        uint64_t delay = rf_hedge_delay(&h, now);
        if (i < 99) {
            assert_true(delay == RF_NEVER);
            continue;
        }
        /* between the p90 of the fast and the largest of the slow, and each at its times */
        assert_true(delay >= 36 * RF_MS && delay <= 600 * RF_MS);
        uint64_t into = now % (40 * RF_SEC);
        if (slow == 300 && into > 20 * RF_SEC)
            assert_true(delay >= 300 * RF_MS);
    }
    rf_hedge_fini(&h);
}

/* A simulated call: Poisson arrivals, log-normal times around 50 ms, a share of them 0.8 to 2 s
 * slower. Its hedge is another such time. Of the first tries exactly that share of each thousand is
 * slow: the p99 of the unhedged stands at the edge of 1 in 100, and would be 300 or 800 ms by
 * chance. */
struct job {
    struct rf_heap_node event;
    uint64_t sent_ns, primary_ns, answer_ns;
    bool hedge_due; /* the event is the hedge's time and not the end */
};

struct setting {
    uint32_t percent;           /* 0: no hedging */
    uint32_t slow_permille;     /* of calls */
    uint32_t brownout_permille; /* the same in the second minute of each five */
};

struct outcome {
    uint64_t p50_ns, p99_ns, p999_ns;
    uint64_t calls, hedges, denied;
};

#define JOBS 60000

static double uniform(struct rf_rng *rng)
{
    return ((double)(rf_rng_next(rng) >> 11) + 0.5) / 9007199254740992.0;
}

static uint64_t service(struct rf_rng *rng, bool slow)
{
    double normal = sqrt(-2 * log(uniform(rng))) * cos(6.283185307179586 * uniform(rng));
    uint64_t ns = (uint64_t)(50e6 * exp(0.4737 * normal)); /* p95: 109 ms */
    return slow ? ns + 800 * RF_MS + rf_rng_below(rng, 1200 * RF_MS) : ns;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t slow_share(const struct setting *s, uint64_t now)
{
    return now / (60 * RF_SEC) % 5 == 1 ? s->brownout_permille : s->slow_permille;
}

static void land(struct rf_heap *events, struct rf_hedge *h, const struct setting *s,
                 struct rf_rng *rng)
{
    struct job *j = RF_CONTAINER(rf_heap_top(events), struct job, event);
    uint64_t now = j->event.at_ns;
    rf_heap_remove(events, &j->event);
    if (!j->hedge_due) {
        rf_hedge_sample(h, j->primary_ns, now);
        return;
    }
    j->hedge_due = false;
    uint64_t other = service(rng, rf_rng_below(rng, 1000) < slow_share(s, now));
    if (rf_hedge_take(h))
        j->answer_ns = rf_min_u64(j->answer_ns, now - j->sent_ns + other);
    assert_true(rf_heap_push(events, &j->event, j->sent_ns + j->primary_ns));
}

static struct outcome simulate(const struct setting *s, uint64_t seed)
{
    static struct job jobs[JOBS];
    static uint64_t took[JOBS];
    struct rf_rng rng;
    struct rf_heap events = {0};
    struct rf_hedge h;
    rf_rng_init(&rng, seed);
    assert_true(rf_hedge_init(&h, s->percent));
    memset(jobs, 0, sizeof jobs);
    uint64_t now = RF_SEC;
    for (size_t i = 0; i < JOBS; i++) {
        now += (uint64_t)(-log(uniform(&rng)) * 10e6); /* 100 a second */
        while (rf_heap_next(&events) <= now)
            land(&events, &h, s, &rng);
        struct job *j = &jobs[i];
        j->sent_ns = now;
        j->primary_ns = j->answer_ns = service(&rng, i * 617 % 1000 < slow_share(s, now));
        rf_hedge_primary(&h);
        uint64_t delay = rf_hedge_delay(&h, now);
        j->hedge_due = delay < j->primary_ns;
        assert_true(rf_heap_push(&events, &j->event, now + rf_min_u64(delay, j->primary_ns)));
    }
    while (rf_heap_top(&events) != NULL)
        land(&events, &h, s, &rng);
    for (size_t i = 0; i < JOBS; i++)
        took[i] = jobs[i].answer_ns;
    qsort(took, JOBS, sizeof took[0], by_value);
    struct outcome o = {.p50_ns = took[JOBS / 2],
                        .p99_ns = took[JOBS / 100 * 99], /* so long or longer: 1 in 100 */
                        .p999_ns = took[JOBS / 1000 * 999],
                        .calls = JOBS,
                        .hedges = h.granted,
                        .denied = h.denied};
    rf_heap_fini(&events);
    rf_hedge_fini(&h);
    return o;
}

static void report(const char *name, const struct outcome *o)
{
    print_message("%s: p50 %u, p99 %u, p99.9 %u ms, extra %.2f %%, denied %.2f %%\n", name,
                  (unsigned)(o->p50_ns / RF_MS), (unsigned)(o->p99_ns / RF_MS),
                  (unsigned)(o->p999_ns / RF_MS), 100.0 * (double)o->hedges / (double)o->calls,
                  100.0 * (double)o->denied / (double)o->calls);
}

static void test_tail_of_one_slow_in_a_hundred(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct setting off = {0, 10, 10}, on = {5, 10, 10};
        struct outcome without = simulate(&off, seed), with = simulate(&on, seed);
        report("no hedge", &without);
        report("hedge 5", &with);
        assert_int_equal(without.hedges, 0);
        assert_true(with.p99_ns * 100 <= without.p99_ns * 30);
        assert_true(with.hedges * 1000 <= with.calls * 55);
        assert_true(with.p999_ns * 5 <= without.p999_ns);
    }
}

static void test_brownout_costs_no_more_than_the_percent(void **state)
{
    (void)state;
    struct setting s = {5, 10, 300};
    struct outcome o = simulate(&s, 4);
    report("brownout", &o);
    assert_true(o.hedges * 100 <= o.calls * 5);
    assert_true(o.denied > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_off_does_nothing_and_allocates_nothing),
        cmocka_unit_test(test_init_out_of_memory_is_off),
        cmocka_unit_test(test_bucket_starts_empty_and_holds_ten),
        cmocka_unit_test(test_bucket_counts_in_hundredths),
        cmocka_unit_test(test_more_than_all_counts_as_all),
        cmocka_unit_test(test_hedges_never_over_their_percent),
        cmocka_unit_test(test_delay_is_known_from_a_hundred_samples),
        cmocka_unit_test(test_delay_is_the_quantile_of_the_percent),
        cmocka_unit_test(test_delay_is_at_least_ten_milliseconds),
        cmocka_unit_test(test_delay_is_worked_out_each_three_seconds),
        cmocka_unit_test(test_samples_leave_within_a_minute),
        cmocka_unit_test(test_after_an_idle_minute_nothing_is_known),
        cmocka_unit_test(test_clock_that_goes_back_loses_nothing),
        cmocka_unit_test(test_delay_within_an_eighth_of_the_exact_quantile),
        cmocka_unit_test(test_tail_of_one_slow_in_a_hundred),
        cmocka_unit_test(test_brownout_costs_no_more_than_the_percent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
