/* test_concurrency.c - the cap on exchanges in flight: against a small virtual node with workers
 * and a queue, against the figures of a static cap, and as properties over random samples. */
#include "policy/concurrency.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/heap.h"
#include "base/rng.h"

#define FLIGHTS 512
#define RTTS 400000

/* A node: `workers` take `service_ns` on average (exponential), behind a network of `net_ns` there
 * and back. Clients keep as many requests in flight as the cap allows. */
struct node {
    struct rf_conc conc;
    struct rf_rng rng;
    uint32_t fixed_cap; /* 0: what conc says */
    uint32_t workers;
    uint64_t net_ns, service_ns, now;
    struct rf_heap due;
    struct flight {
        struct rf_heap_node node;
        uint64_t sent_ns;
        enum { SPARE, GOING, SERVED, COMING } state;
    } flight[FLIGHTS];
    struct flight *queue[FLIGHTS]; /* a ring: arrived, not yet started */
    uint64_t arrivals, started;
    uint32_t in_flight, busy;
    double busy_ns;
    uint64_t rtt[RTTS];
    size_t n;
    double cap_sum;
    size_t caps;
};

static struct node node;

static void schedule(struct flight *f, int state, uint64_t at)
{
    f->state = state;
    assert_true(rf_heap_push(&node.due, &f->node, at));
}

static uint64_t exponential(uint64_t mean_ns)
{
    double u = (double)(rf_rng_next(&node.rng) >> 11) / 9007199254740992.0;
    return (uint64_t)(-log(1 - u) * (double)mean_ns);
}

static void serve_next(void)
{
    while (node.busy < node.workers && node.started < node.arrivals) {
        struct flight *first = node.queue[node.started++ % FLIGHTS];
        uint64_t takes = exponential(node.service_ns);
        node.busy++;
        node.busy_ns += (double)takes;
        schedule(first, SERVED, node.now + takes);
    }
}

static uint32_t cap(void)
{
    return node.fixed_cap > 0 ? node.fixed_cap : rf_conc_limit(&node.conc, 0, 0, node.now);
}

static void send_more(void)
{
    uint32_t allowed = cap();
    node.cap_sum += allowed;
    node.caps++;
    if (node.in_flight >= allowed)
        return;
    for (size_t i = 0; i < FLIGHTS && node.in_flight < allowed; i++) {
        struct flight *f = &node.flight[i];
        if (f->state != SPARE)
            continue;
        f->sent_ns = node.now;
        node.in_flight++;
        schedule(f, GOING, node.now + node.net_ns / 2);
    }
}

static void land(struct flight *f)
{
    uint64_t rtt = node.now - f->sent_ns;
    rf_conc_sample(&node.conc, rtt, node.in_flight, false, node.now);
    if (node.n < RTTS)
        node.rtt[node.n++] = rtt;
    node.in_flight--;
    f->state = SPARE;
}

static void run_until(uint64_t end)
{
    send_more();
    while (rf_heap_next(&node.due) < end) {
        struct flight *f = RF_CONTAINER(rf_heap_top(&node.due), struct flight, node);
        node.now = f->node.at_ns;
        rf_heap_remove(&node.due, &f->node);
        if (f->state == GOING) {
            node.queue[node.arrivals++ % FLIGHTS] = f;
        } else if (f->state == SERVED) {
            node.busy--;
            schedule(f, COMING, node.now + node.net_ns / 2);
        } else {
            land(f);
        }
        serve_next();
        send_more();
    }
    node.now = end;
}

static void open_node(uint32_t max, uint32_t fixed_cap)
{
    rf_heap_fini(&node.due);
    node = (struct node){
        .workers = 16, .net_ns = 40 * RF_MS, .service_ns = 50 * RF_MS, .fixed_cap = fixed_cap};
    rf_rng_init(&node.rng, 7);
    rf_conc_init(&node.conc, max);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

struct figures {
    double use, p50_ms, p99_ms, mean_cap;
};

/* Run for a time and report on it alone. */
static struct figures measure(uint64_t for_ns, const char *what)
{
    uint64_t begin = node.now;
    node.n = node.caps = 0;
    node.busy_ns = node.cap_sum = 0;
    run_until(begin + for_ns);
    qsort(node.rtt, node.n, sizeof node.rtt[0], by_size);
    struct figures is = {.use = node.busy_ns / ((double)for_ns * node.workers),
                         .p50_ms = (double)node.rtt[node.n / 2] / 1e6,
                         .p99_ms = (double)node.rtt[node.n * 99 / 100] / 1e6,
                         .mean_cap = node.cap_sum / (double)node.caps};
    print_message("%-34s use %.3f, p50 %.0f ms, p99 %.0f ms, cap %.1f\n", what, is.use, is.p50_ms,
                  is.p99_ms, is.mean_cap);
    return is;
}

/* The table of the design: 16 workers of 50 ms, 40 ms of network, a backlog; then 8 workers. */
static void test_backlog_as_good_as_a_static_cap(void **state)
{
    (void)state;
    open_node(64, 36); /* 1.25 x Little for 16 workers, which nobody knows */
    run_until(10 * RF_SEC);
    struct figures fixed = measure(200 * RF_SEC, "static 36, 16 workers");
    node.workers = 8;
    run_until(node.now + 10 * RF_SEC);
    struct figures fixed8 = measure(100 * RF_SEC, "static 36, 8 workers");
    for (uint32_t max = 64; max <= 400; max *= 2) {
        open_node(max, 0);
        run_until(10 * RF_SEC);
        struct figures is = measure(200 * RF_SEC, "learned, 16 workers");
        assert_true(is.use >= 0.95);
        assert_true(is.p99_ms <= 1.3 * fixed.p99_ms);
        assert_true(is.mean_cap >= 29 && is.mean_cap <= 45);
        node.workers = 8;
        run_until(node.now + 30 * RF_SEC);
        struct figures less = measure(100 * RF_SEC, "learned, 8 workers");
        assert_true(less.use >= 0.95);
        assert_true(less.p50_ms <= 0.7 * fixed8.p50_ms);
        assert_true(less.mean_cap <= 26);
        node.workers = 16;
        run_until(node.now + 60 * RF_SEC);
        assert_true(measure(100 * RF_SEC, "learned, 16 again").use >= 0.95);
    }
}

static void test_backlog_no_drift_in_an_hour(void **state)
{
    (void)state;
    open_node(400, 0);
    run_until(30 * RF_SEC);
    for (int i = 0; i < 6; i++) {
        struct figures is = measure(600 * RF_SEC, "ten minutes of an hour");
        assert_true(is.use >= 0.95);
        assert_true(is.mean_cap >= 29 && is.mean_cap <= 45);
    }
}

static void test_path_longer_is_learned_again(void **state)
{
    (void)state;
    open_node(400, 0);
    run_until(15 * RF_SEC);
    node.net_ns = 160 * RF_MS;         /* 16 workers * 210 / 50 = 67 */
    run_until(node.now + 40 * RF_SEC); /* sooner than the next dip would be due anyway */
    struct figures is = measure(20 * RF_SEC, "40 s after the path grew by 120 ms");
    assert_true(is.use >= 0.93);
    assert_true(is.mean_cap >= 60 && is.mean_cap <= 90);
    node.net_ns = 40 * RF_MS;
    run_until(node.now + 60 * RF_SEC);
    assert_true(measure(100 * RF_SEC, "60 s after it shrank again").mean_cap <= 45);
}

static void test_loopback_not_shrunk(void **state)
{
    (void)state;
    open_node(64, 0);
    node.workers = 2; /* two cores, 100 us a request: 64 wait 3 ms, and that harms nobody */
    node.net_ns = 50 * RF_US;
    node.service_ns = 100 * RF_US;
    for (int i = 0; i < 50; i++) {
        run_until(node.now + 200 * RF_MS);
        assert_int_equal(cap(), 64);
    }
}

static void test_little_formula(void **state)
{
    (void)state;
    struct rf_conc c;
    rf_conc_init(&c, 64);
    assert_int_equal(rf_conc_limit(&c, 200, 0, 0), 64);                    /* no answer yet */
    assert_int_equal(rf_conc_limit(&c, 200, 120 * RF_MS, 0), 30);          /* 1.25 * 24 */
    assert_int_equal(rf_conc_limit(&c, 200, 200 * RF_MS, 4 * RF_SEC), 30); /* not yet anew */
    assert_int_equal(rf_conc_limit(&c, 200, 200 * RF_MS, 5 * RF_SEC), 50);
    assert_int_equal(rf_conc_limit(&c, 100, 200 * RF_MS, 6 * RF_SEC), 50);
    assert_int_equal(rf_conc_limit(&c, 230, 200 * RF_MS, 6 * RF_SEC), 58); /* rises at once */
    assert_int_equal(rf_conc_limit(&c, 1, RF_MS, 20 * RF_SEC), 2);
    assert_int_equal(rf_conc_limit(&c, 1e9, RF_SEC, 20 * RF_SEC), 64);
    assert_int_equal(rf_conc_limit(&c, 1, RF_MS, 10 * RF_SEC), 64); /* back in time: as it was */
    assert_int_equal(rf_conc_limit(&c, 0, RF_MS, 30 * RF_SEC), 64); /* unknown: response times */
    rf_conc_init(&c, 1);
    assert_int_equal(rf_conc_limit(&c, 200, RF_SEC, 0), 1);
    rf_conc_init(&c, 0);
    assert_int_equal(rf_conc_limit(&c, 0, 0, 0), 1);
}

static void test_drops_shrink_once_a_window(void **state)
{
    (void)state;
    struct rf_conc c;
    rf_conc_init(&c, 10);
    for (uint64_t ms = 0; ms <= 3000; ms += 10)
        rf_conc_sample(&c, RF_SEC, 10, true, ms * RF_MS);
    assert_int_equal(rf_conc_limit(&c, 0, 0, 3 * RF_SEC), 7);
    for (uint64_t s = 4; s < 100; s++)
        rf_conc_sample(&c, RF_SEC, 10, true, s * RF_SEC);
    assert_int_equal(rf_conc_limit(&c, 0, 0, 100 * RF_SEC), 1);
}

static void test_idle_endpoint_keeps_its_limit(void **state)
{
    (void)state;
    struct rf_conc c;
    rf_conc_init(&c, 100);
    for (uint64_t ms = 0; ms < 60000; ms += 20) /* slower and slower, but 10 of 100 in flight */
        rf_conc_sample(&c, (50 + ms / 100) * RF_MS, 10, false, ms * RF_MS);
    assert_int_equal(rf_conc_limit(&c, 0, 0, 60 * RF_SEC), 100);
}

/* Random samples with nothing sensible about them. */
static void test_props_limit_in_bounds(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 11);
    for (int run = 0; run < 50; run++) {
        struct rf_conc c;
        uint32_t max = 1 + (uint32_t)rf_rng_below(&rng, run % 2 == 0 ? 16 : 100000);
        uint64_t now = rf_rng_below(&rng, 3) == 0 ? RF_NEVER - RF_SEC : 0;
        rf_conc_init(&c, max);
        for (int i = 0; i < 4000; i++) {
            uint64_t roll = rf_rng_below(&rng, 20);
            if (roll == 0)
                now -= rf_min_u64(now, rf_rng_below(&rng, RF_SEC));
            else
                now = rf_time_add(now, rf_rng_below(&rng, roll * 20 * RF_MS));
            uint64_t rtt = roll == 1 ? RF_NEVER : rf_rng_below(&rng, roll * 100 * RF_MS + 1);
            rf_conc_sample(&c, rtt, (uint32_t)rf_rng_below(&rng, 2 * (uint64_t)max + 1),
                           rf_rng_below(&rng, 10) == 0, now);
            double rate = roll < 10 ? 0 : (double)rf_rng_below(&rng, 1000);
            uint32_t limit = rf_conc_limit(&c, rate, roll == 11 ? RF_NEVER : rtt, now);
            assert_true(limit >= 1 && limit <= max);
            assert_true(c.limit >= 1 && c.limit <= max);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backlog_as_good_as_a_static_cap),
        cmocka_unit_test(test_backlog_no_drift_in_an_hour),
        cmocka_unit_test(test_path_longer_is_learned_again),
        cmocka_unit_test(test_loopback_not_shrunk),
        cmocka_unit_test(test_little_formula),
        cmocka_unit_test(test_drops_shrink_once_a_window),
        cmocka_unit_test(test_idle_endpoint_keeps_its_limit),
        cmocka_unit_test(test_props_limit_in_bounds),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rf_heap_fini(&node.due);
    return failed;
}
