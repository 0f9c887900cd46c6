/* test_vlimit.c - the limiters that the core is measured against are right themselves: none ever
 * admits more than its definition, none refuses what its definition allows, and the wait that it
 * promises is exact. 2 * 10^5 random requests for each kind, against the plain definition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "sim/vlimit.h"

#define CASES 400
#define REQUESTS 500

/* What was admitted. */
struct admitted {
    uint64_t at_ns, until_ns, units;
};

static struct admitted log_of[REQUESTS];
static size_t n_log;

static uint64_t sum_since(uint64_t from_ns)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n_log; i++)
        sum += log_of[i].at_ns >= from_ns ? log_of[i].units : 0;
    return sum;
}

static bool fixed_allows(const struct rf_vlimit *l, uint64_t units, uint64_t now_ns)
{
    uint64_t sum = 0, window = (now_ns + l->phase_ns) / l->window_ns;
    for (size_t i = 0; i < n_log; i++)
        sum += (log_of[i].at_ns + l->phase_ns) / l->window_ns == window ? log_of[i].units : 0;
    return sum + units <= l->count;
}

/* With it, no interval of length W may hold more than N: it is the last one, so only the interval
 * that ends with it counts. */
static bool sliding_allows(const struct rf_vlimit *l, uint64_t units, uint64_t now_ns)
{
    uint64_t from_ns = now_ns >= l->window_ns ? now_ns - l->window_ns + 1 : 0;
    return sum_since(from_ns) + units <= l->count;
}

/* In every interval that ends now: units <= burst + rate * length. The earliest that counts begins
 * where the bucket was full, which is at the start or at some admission. */
static bool bucket_allows(const struct rf_vlimit *l, uint64_t units, uint64_t now_ns)
{
    uint64_t sum = units, burst = l->burst > 0 ? l->burst : l->count;
    bool ok = units <= burst;
    for (size_t i = n_log; i-- > 0 && ok;) {
        sum += log_of[i].units;
        ok = sum * l->window_ns <= burst * l->window_ns + (now_ns - log_of[i].at_ns) * l->count;
    }
    return ok;
}

static bool concurrent_allows(const struct rf_vlimit *l, uint64_t units, uint64_t now_ns)
{
    uint64_t sum = units;
    for (size_t i = 0; i < n_log; i++)
        sum += log_of[i].until_ns > now_ns ? log_of[i].units : 0;
    return sum <= l->count;
}

static bool allows(const struct rf_vlimit *l, uint64_t units, uint64_t now_ns)
{
    switch (l->kind) {
    case RF_VLIMIT_FIXED:
        return fixed_allows(l, units, now_ns);
    case RF_VLIMIT_SLIDING:
        return sliding_allows(l, units, now_ns);
    case RF_VLIMIT_BUCKET:
        return bucket_allows(l, units, now_ns);
    case RF_VLIMIT_CONCURRENT:
        return concurrent_allows(l, units, now_ns);
    case RF_VLIMIT_NONE:
        return true;
    }
    return false;
}

static struct rf_vask ask_for(uint32_t calls)
{
    return (struct rf_vask){.method = "eth_call", .method_len = 8, .calls = calls, .weight = 1};
}

static struct rf_vlimit random_limit(enum rf_vlimit_kind kind, struct rf_rng *rng)
{
    struct rf_vlimit l = {.kind = kind,
                          .count = 1 + rf_rng_below(rng, 20),
                          .window_ns = 1 + rf_rng_below(rng, 5000)};
    l.phase_ns = rf_rng_below(rng, 2 * l.window_ns);
    l.burst = rf_rng_below(rng, 3) == 0 ? 0 : 1 + rf_rng_below(rng, 30);
    return l;
}

/* The promised wait: refused one moment before, let in then. */
static void check_wait(struct rf_vlimit *l, const struct rf_vask *ask, uint64_t now_ns)
{
    uint64_t wait_ns = rf_vlimit_wait(l, ask, now_ns);
    if (wait_ns == RF_NEVER) {
        assert_false(allows(l, ask->calls, now_ns + 100 * l->window_ns));
        return;
    }
    assert_true(wait_ns > 0);
    assert_false(allows(l, ask->calls, now_ns + wait_ns - 1));
    if (l->kind != RF_VLIMIT_CONCURRENT) /* there it is only the next time worth asking */
        assert_true(allows(l, ask->calls, now_ns + wait_ns));
}

static void run_case(enum rf_vlimit_kind kind, uint64_t seed)
{
    struct rf_rng rng;
    rf_rng_init(&rng, seed);
    struct rf_vlimit l = random_limit(kind, &rng);
    uint64_t now_ns = rf_rng_below(&rng, 10000), gap = 1 + 3 * l.window_ns / l.count;
    n_log = 0;
    for (size_t i = 0; i < REQUESTS; i++) {
        struct rf_vask ask = ask_for(1 + (uint32_t)rf_rng_below(&rng, 4));
        now_ns += rf_rng_below(&rng, 20) == 0 ? rf_rng_below(&rng, 3 * l.window_ns)
                                              : rf_rng_below(&rng, gap);
        bool fits = rf_vlimit_fits(&l, &ask, now_ns);
        assert_int_equal(fits, allows(&l, ask.calls, now_ns));
        assert_int_equal(fits, rf_vlimit_wait(&l, &ask, now_ns) == 0);
        if (fits) {
            uint64_t until_ns = now_ns + 1 + rf_rng_below(&rng, l.window_ns);
            rf_vlimit_take(&l, &ask, now_ns, until_ns);
            log_of[n_log++] = (struct admitted){now_ns, until_ns, ask.calls};
        } else {
            check_wait(&l, &ask, now_ns);
            rf_vlimit_refuse(&l, &ask, now_ns);
        }
    }
    assert_true(n_log > 0 || l.count < 4);
    rf_vlimit_fini(&l);
}

static void run_kind(enum rf_vlimit_kind kind)
{
    for (uint64_t seed = 1; seed <= CASES; seed++)
        run_case(kind, seed);
}

static void test_vlimit_fixed_is_its_definition(void **state)
{
    (void)state;
    run_kind(RF_VLIMIT_FIXED);
}

static void test_vlimit_sliding_is_its_definition(void **state)
{
    (void)state;
    run_kind(RF_VLIMIT_SLIDING);
}

static void test_vlimit_bucket_is_its_definition(void **state)
{
    (void)state;
    run_kind(RF_VLIMIT_BUCKET);
}

static void test_vlimit_concurrent_is_its_definition(void **state)
{
    (void)state;
    run_kind(RF_VLIMIT_CONCURRENT);
}

static bool take(struct rf_vlimit *l, const char *method, uint32_t calls, uint64_t weight,
                 uint64_t now_ns)
{
    struct rf_vask ask = {method, strlen(method), calls, weight};
    if (!rf_vlimit_covers(l, &ask))
        return true;
    bool fits = rf_vlimit_fits(l, &ask, now_ns);
    if (fits)
        rf_vlimit_take(l, &ask, now_ns, now_ns + 1);
    else
        rf_vlimit_refuse(l, &ask, now_ns);
    return fits;
}

static void test_vlimit_units(void **state)
{
    (void)state;
    struct rf_vlimit calls = {.kind = RF_VLIMIT_FIXED, .count = 10, .window_ns = RF_SEC};
    struct rf_vlimit requests = calls, credits = calls;
    requests.unit = RF_VUNIT_REQUESTS;
    credits.unit = RF_VUNIT_CREDITS;
    assert_true(take(&calls, "m", 10, 5, 0));
    assert_false(take(&calls, "m", 1, 5, 0));
    for (int i = 0; i < 10; i++)
        assert_true(take(&requests, "m", 100, 5, 0));
    assert_false(take(&requests, "m", 1, 5, 0));
    assert_true(take(&credits, "m", 2, 5, 0));
    assert_false(take(&credits, "m", 1, 1, 0));
    rf_vlimit_fini(&calls);
    rf_vlimit_fini(&requests);
    rf_vlimit_fini(&credits);
}

static void test_vlimit_methods_together_and_each(void **state)
{
    (void)state;
    struct rf_vlimit together = {
        .kind = RF_VLIMIT_SLIDING, .count = 3, .window_ns = RF_SEC, .methods = "eth_*"};
    struct rf_vlimit each = together;
    each.each = true;
    assert_true(take(&together, "eth_a", 2, 1, 0));
    assert_false(take(&together, "eth_b", 2, 1, 0));
    assert_true(take(&together, "net_a", 100, 1, 0)); /* not covered */
    assert_true(take(&each, "eth_a", 3, 1, 0));
    assert_true(take(&each, "eth_b", 3, 1, 0));
    assert_false(take(&each, "eth_a", 1, 1, 0));
    assert_true(take(&each, "eth_a", 1, 1, RF_SEC));
    rf_vlimit_fini(&together);
    rf_vlimit_fini(&each);
}

/* Hammering at a window that charges what it refuses keeps it shut; letting go opens it. */
static void test_vlimit_refused_are_charged(void **state)
{
    (void)state;
    struct rf_vlimit l = {
        .kind = RF_VLIMIT_SLIDING, .count = 5, .window_ns = RF_SEC, .charge_refused = true};
    uint64_t served = 0;
    for (uint64_t i = 0; i < 100; i++)
        served += take(&l, "m", 1, 1, i * 100 * RF_MS);
    assert_int_equal(served, 5);
    assert_true(take(&l, "m", 5, 1, 100 * 100 * RF_MS + RF_SEC));
    rf_vlimit_fini(&l);
    l.charge_refused = false;
    l.now_ns = 0;
    served = 0;
    for (uint64_t i = 0; i < 100; i++)
        served += take(&l, "m", 1, 1, i * 100 * RF_MS);
    assert_int_equal(served, 50);
    rf_vlimit_fini(&l);
}

static void test_vlimit_steps(void **state)
{
    (void)state;
    static const struct rf_vlimit_step steps[] = {{10 * RF_SEC, 5}, {20 * RF_SEC, 40}};
    for (int kind = RF_VLIMIT_FIXED; kind <= RF_VLIMIT_BUCKET; kind++) {
        struct rf_vlimit l = {.kind = (enum rf_vlimit_kind)kind,
                              .count = 20,
                              .window_ns = RF_SEC,
                              .step = steps,
                              .n_steps = 2};
        uint64_t served[3] = {0};
        for (uint64_t ms = 0; ms < 30000; ms += 5)
            served[ms / 10000] += take(&l, "m", 1, 1, ms * RF_MS);
        assert_in_range(served[0], 200, 220);
        assert_in_range(served[1], 50, 70);
        assert_in_range(served[2], 395, 440);
        rf_vlimit_fini(&l);
    }
}

static void test_vlimit_left(void **state)
{
    (void)state;
    struct rf_vlimit l = {.kind = RF_VLIMIT_BUCKET, .count = 10, .window_ns = RF_SEC, .burst = 4};
    struct rf_vask ask = ask_for(3);
    assert_int_equal(rf_vlimit_left(&l, &ask, 0), 4);
    rf_vlimit_take(&l, &ask, 0, 0);
    assert_int_equal(rf_vlimit_left(&l, &ask, 0), 1);
    assert_int_equal(rf_vlimit_left(&l, &ask, 100 * RF_MS), 2);
    assert_int_equal(rf_vlimit_wait(&l, &ask, 100 * RF_MS), 100 * RF_MS);
    rf_vlimit_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vlimit_fixed_is_its_definition),
        cmocka_unit_test(test_vlimit_sliding_is_its_definition),
        cmocka_unit_test(test_vlimit_bucket_is_its_definition),
        cmocka_unit_test(test_vlimit_concurrent_is_its_definition),
        cmocka_unit_test(test_vlimit_units),
        cmocka_unit_test(test_vlimit_methods_together_and_each),
        cmocka_unit_test(test_vlimit_refused_are_charged),
        cmocka_unit_test(test_vlimit_steps),
        cmocka_unit_test(test_vlimit_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
