/* test_choose.c - the odds of each pick, scores that are no numbers, the spread of load, and the
 * share of errors where one node of five fails or is slow. */
#include "policy/choose.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/heap.h"
#include "policy/latency.h"

#define BIT(i) (UINT64_C(1) << (i))

/* So many of n at odds of p, within five standard deviations. */
static void assert_odds(uint64_t got, double n, double p)
{
    double sd = sqrt(n * p * (1 - p));
    assert_true(fabs((double)got - n * p) <= 5 * sd + 1e-9);
}

static void test_nobody_and_only_one(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 1);
    double score[64] = {0};
    assert_int_equal(rf_choose(score, 0, &rng), UINT32_MAX);
    for (uint32_t i = 0; i < 64; i++) {
        score[i] = i % 2 ? NAN : 5;
        assert_int_equal(rf_choose(score, BIT(i), &rng), i);
    }
}

static void test_of_three_always_the_lowest(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 2);
    double score[64];
    for (int round = 0; round < 100000; round++) {
        for (int i = 0; i < 64; i++)
            score[i] = (double)(rf_rng_next(&rng) >> 11);
        uint64_t mask =
            BIT(rf_rng_below(&rng, 64)) | BIT(rf_rng_below(&rng, 64)) | BIT(rf_rng_below(&rng, 64));
        uint32_t got = rf_choose(score, mask, &rng);
        assert_true((mask >> got & 1) != 0);
        for (int i = 0; i < 64; i++)
            assert_true((mask >> i & 1) == 0 || score[got] <= score[i]);
    }
}

static void test_equal_scores_are_picked_evenly(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 3);
    double score[64];
    for (int i = 0; i < 64; i++)
        score[i] = i < 32 ? 40e6 : INFINITY;
    static const uint64_t masks[] = {
        3,  BIT(9) | BIT(30), 7,          BIT(1) | BIT(8) | BIT(31), 15,
        31, 0x0f0f0f0f,       0xffffffff, 0xffffffff00000000};
    for (size_t m = 0; m < RF_COUNT(masks); m++) {
        uint64_t got[64] = {0};
        for (int i = 0; i < 100000; i++)
            got[rf_choose(score, masks[m], &rng)]++;
        for (int i = 0; i < 64; i++) {
            if ((masks[m] >> i & 1) == 0)
                assert_int_equal(got[i], 0);
            else
                assert_odds(got[i], 100000, 1.0 / __builtin_popcountll(masks[m]));
        }
    }
}

/* Of n with different scores, the k-th best wins against the n - k behind it: 2 (n - k) in
 * n (n - 1), and the worst never. */
static void test_odds_of_two_choices(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 4);
    double score[64];
    for (uint32_t n = 4; n <= 64; n += 5) {
        uint64_t got[64] = {0};
        for (uint32_t i = 0; i < n; i++)
            score[i] = 100.0 + i * 7 % n; /* 7 and n have no common factor but in n = 14, 49 */
        if (n % 7 == 0)
            continue;
        uint64_t mask = n == 64 ? UINT64_MAX : BIT(n) - 1;
        for (int i = 0; i < 200000; i++)
            got[rf_choose(score, mask, &rng)]++;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t place = i * 7 % n + 1;
            assert_odds(got[i], 200000, 2.0 * (n - place) / (n * (n - 1.0)));
        }
    }
}

static void test_no_number_never_beats_a_number(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 5);
    static const double odd[] = {NAN, -NAN, INFINITY, -INFINITY};
    double score[64];
    for (int round = 0; round < 100000; round++) {
        uint32_t n = 2 + (uint32_t)rf_rng_below(&rng, 8), numbers = 0;
        for (uint32_t i = 0; i < n; i++) {
            bool number = rf_rng_below(&rng, 2) == 0;
            score[i] = number ? 1e300 : odd[rf_rng_below(&rng, 4)];
            numbers += number;
        }
        uint32_t got = rf_choose(score, BIT(n) - 1, &rng);
        assert_true(got < n);
        bool some_number_met = n <= 3 ? numbers > 0 : numbers > n - 2;
        if (some_number_met)
            assert_true(isfinite(score[got]));
    }
}

static void test_same_seed_same_choices(void **state)
{
    (void)state;
    struct rf_rng a, b;
    rf_rng_init(&a, 6);
    rf_rng_init(&b, 6);
    static const double score[] = {3, 1, 4, 1, 5, 9, 2, 6};
    for (int i = 0; i < 1000; i++)
        assert_int_equal(rf_choose(score, 255, &a), rf_choose(score, 255, &b));
}

/* Calls that stay: with the load as the score, the fullest node of any number is a few calls above
 * the mean, after any number of calls. One pick at random is some dozens off. */
static void test_load_stays_close_to_the_mean(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 7);
    for (uint32_t n = 2; n <= 64; n += n < 8 ? 1 : 14) {
        double load[64] = {0};
        uint64_t mask = n == 64 ? UINT64_MAX : BIT(n) - 1;
        for (uint32_t sent = 0; sent < 1000 * n; sent++)
            load[rf_choose(load, mask, &rng)] += 1;
        for (uint32_t i = 0; i < n; i++)
            assert_true(load[i] <= 1000 + 5 && load[i] >= 1000 - 12);
    }
}

/* Five nodes, 100 calls a second for ten minutes; from the first minute on one is bad. */
enum { NODES = 5, CALLS = 60000 };
enum fault { FAILS_AT_ONCE, TWENTY_TIMES_SLOWER };
enum score { RANDOM, LEAST_PENDING, PEAK, PEAK_AND_PENALTY };

struct flight {
    struct rf_heap_node end;
    uint64_t took_ns;
    uint32_t node;
    bool failed;
};

struct world {
    enum score kind;
    struct rf_rng rng;
    struct rf_peak peak[NODES];
    uint32_t pending[NODES];
    struct rf_heap flying;
};

struct outcome {
    double errors, share_later; /* of the calls after the fault; after 10 s of it */
    uint64_t p99_ns;
};

static double uniform(struct rf_rng *rng)
{
    return ((double)(rf_rng_next(rng) >> 11) + 0.5) / 9007199254740992.0;
}

static uint64_t service(struct rf_rng *rng)
{
    double normal = sqrt(-2 * log(uniform(rng))) * cos(6.283185307179586 * uniform(rng));
    return (uint64_t)(50e6 * exp(0.4737 * normal));
}

static void land(struct world *w)
{
    struct flight *f = RF_CONTAINER(rf_heap_top(&w->flying), struct flight, end);
    uint64_t now = f->end.at_ns;
    rf_heap_remove(&w->flying, &f->end);
    w->pending[f->node]--;
    if (f->failed && w->kind == PEAK_AND_PENALTY)
        rf_peak_penalty(&w->peak[f->node], 0, now);
    else
        rf_peak_add(&w->peak[f->node], f->took_ns, now);
}

static uint32_t route(struct world *w, uint64_t now)
{
    double score[NODES];
    for (int i = 0; i < NODES; i++) {
        score[i] = 1;
        if (w->kind == LEAST_PENDING)
            score[i] = w->pending[i];
        else if (w->kind != RANDOM)
            score[i] = rf_peak_value(&w->peak[i], now) * (w->pending[i] + 1);
    }
    return rf_choose(score, BIT(NODES) - 1, &w->rng);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static struct outcome simulate(enum score kind, enum fault fault)
{
    static struct flight flight[CALLS];
    static uint64_t took[CALLS];
    static struct world w;
    memset(flight, 0, sizeof flight);
    memset(&w, 0, sizeof w);
    w.kind = kind;
    rf_rng_init(&w.rng, 8);
    uint64_t now = RF_SEC, after = 0, errors = 0, later = 0, later_bad = 0;
    for (size_t i = 0; i < CALLS; i++) {
        now += (uint64_t)(-log(uniform(&w.rng)) * 10e6);
        while (rf_heap_next(&w.flying) <= now)
            land(&w);
        struct flight *f = &flight[i];
        f->node = route(&w, now);
        f->took_ns = service(&w.rng);
        bool bad = f->node == 0 && now >= 61 * RF_SEC;
        f->failed = bad && fault == FAILS_AT_ONCE;
        if (bad)
            f->took_ns = f->failed ? RF_MS : 20 * f->took_ns;
        w.pending[f->node]++;
        assert_true(rf_heap_push(&w.flying, &f->end, now + f->took_ns));
        if (now >= 71 * RF_SEC) {
            later++;
            later_bad += bad;
        }
        if (now >= 61 * RF_SEC) {
            took[after++] = f->took_ns;
            errors += f->failed;
        }
    }
    rf_heap_fini(&w.flying);
    qsort(took, after, sizeof took[0], by_value);
    return (struct outcome){.errors = (double)errors / (double)after,
                            .share_later = (double)later_bad / (double)later,
                            .p99_ns = took[after / 100 * 99]};
}

static void test_one_of_five_fails_at_once(void **state)
{
    (void)state;
    struct outcome random = simulate(RANDOM, FAILS_AT_ONCE);
    struct outcome least = simulate(LEAST_PENDING, FAILS_AT_ONCE);
    struct outcome peak = simulate(PEAK, FAILS_AT_ONCE);
    struct outcome penalty = simulate(PEAK_AND_PENALTY, FAILS_AT_ONCE);
    print_message("errors: random %.1f %%, least pending %.1f %%, peak %.1f %%, with penalty %.3f "
                  "%% (after 10 s: %.3f %%)\n",
                  100 * random.errors, 100 * least.errors, 100 * peak.errors, 100 * penalty.errors,
                  100 * penalty.share_later);
    assert_true(random.errors > 0.19 && random.errors < 0.21);
    assert_true(least.errors > 0.3 && peak.errors > 0.3); /* why the penalty is there */
    assert_true(penalty.errors <= 0.005);
    assert_true(penalty.share_later <= 0.01);
    assert_true(penalty.errors > 0); /* it is asked now and then */
}

static void test_one_of_five_is_slow(void **state)
{
    (void)state;
    struct outcome random = simulate(RANDOM, TWENTY_TIMES_SLOWER);
    struct outcome least = simulate(LEAST_PENDING, TWENTY_TIMES_SLOWER);
    struct outcome penalty = simulate(PEAK_AND_PENALTY, TWENTY_TIMES_SLOWER);
    print_message("p99: random %u, least pending %u, peak %u ms\n",
                  (unsigned)(random.p99_ns / RF_MS), (unsigned)(least.p99_ns / RF_MS),
                  (unsigned)(penalty.p99_ns / RF_MS));
    assert_true(penalty.p99_ns * 5 <= random.p99_ns);
    assert_true(penalty.p99_ns <= 250 * RF_MS);
    assert_true(least.p99_ns > penalty.p99_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_and_only_one),
        cmocka_unit_test(test_of_three_always_the_lowest),
        cmocka_unit_test(test_equal_scores_are_picked_evenly),
        cmocka_unit_test(test_odds_of_two_choices),
        cmocka_unit_test(test_no_number_never_beats_a_number),
        cmocka_unit_test(test_same_seed_same_choices),
        cmocka_unit_test(test_load_stays_close_to_the_mean),
        cmocka_unit_test(test_one_of_five_fails_at_once),
        cmocka_unit_test(test_one_of_five_is_slow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
