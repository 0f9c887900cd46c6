/* test_limiter_props.c - what the limiter promises over random histories in virtual time:
 * no server ever counts more than the window holds, the wait is exact, nothing leaks, fewer calls
 * are never later, and a clock that stands still or goes back admits nothing more. */
#include "policy/limiter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/heap.h"
#include "base/mem.h"
#include "base/rng.h"

#define FLIGHTS 4096
#define SENDS 20000
#define ARRIVALS (SENDS * 8)

/* A request on its way. */
struct flight {
    struct rf_heap_node done;
    struct rf_cost cost;
    uint32_t calls;
    bool refund;
    uint64_t sent_ns;
};

/* What one server saw under one window: a time for each unit. */
struct server {
    uint64_t *at;
    size_t n;
};

/* One run: a limiter with up to 3 windows, and what arrived under each of them. */
struct world {
    struct rf_limiter lim;
    struct rf_rng rng;
    uint64_t now;
    struct rf_heap flying;
    struct flight flight[FLIGHTS];
    struct server seen[3];
    uint64_t wait_max_ns; /* longest delay to the server, and from there back */
    unsigned refunds_permille;
};

static struct world world;

static void open_world(const struct rpcfan_limit *limits, unsigned n, uint64_t seed, bool paced)
{
    memset(&world, 0, sizeof world);
    rf_rng_init(&world.rng, seed);
    world.now = RF_SEC;
    world.wait_max_ns = 2 * RF_SEC;
    assert_int_equal(rf_limiter_init(&world.lim, limits, n), RPCFAN_OK);
    for (unsigned i = 0; i < n; i++) {
        if (!paced)
            world.lim.w[i].gap_ns = 0;
        world.seen[i].at = rf_alloc(ARRIVALS * sizeof(uint64_t));
        assert_non_null(world.seen[i].at);
    }
}

static void close_world(void)
{
    for (unsigned i = 0; i < world.lim.n; i++)
        rf_free(world.seen[i].at);
    rf_heap_fini(&world.flying);
    rf_limiter_fini(&world.lim);
}

static uint64_t units_of(unsigned i, const struct flight *f)
{
    if ((f->cost.mask >> i & 1) == 0)
        return 0;
    return (uint64_t)f->calls * (world.lim.w[i].unit == RPCFAN_WEIGHT ? f->cost.weight : 1);
}

static void arrive(const struct flight *f, uint64_t at)
{
    for (unsigned i = 0; i < world.lim.n; i++) {
        for (uint64_t u = units_of(i, f); u > 0; u--) {
            assert_true(world.seen[i].n < ARRIVALS);
            world.seen[i].at[world.seen[i].n++] = at;
        }
    }
}

/* P4: what was taken is either given back or lives in a flight, in every window. */
static void check_conservation(void)
{
    for (unsigned i = 0; i < world.lim.n; i++) {
        const struct rf_window *w = &world.lim.w[i];
        uint64_t flying = 0, logged = 0;
        for (size_t f = 0; f < FLIGHTS; f++) {
            if (world.flight[f].done.pos != 0)
                flying += units_of(i, &world.flight[f]);
        }
        for (uint32_t e = 0; e < w->n; e++)
            logged += w->entry[(w->head + e) % RF_WINDOW_ENTRIES].units;
        assert_int_equal(w->in_flight, flying);
        assert_int_equal(w->logged, logged);
        assert_true(logged <= w->count);
    }
}

/* P2: a finite wait is exact on a copy: denied just before, allowed at it. */
static void check_wait(struct rf_cost cost, uint64_t wait)
{
    static struct rf_window copies[3];
    if (wait == RF_NEVER)
        return;
    assert_true(wait > 0);
    memcpy(copies, world.lim.w, world.lim.n * sizeof copies[0]);
    struct rf_limiter copy = {.n = world.lim.n, .w = copies, .last_ns = world.lim.last_ns};
    uint64_t ignored;
    assert_int_equal(rf_limiter_room(&copy, cost, 1, world.now + wait - 1, &ignored), 0);
    assert_true(rf_limiter_room(&copy, cost, 1, world.now + wait, &ignored) >= 1);
}

static struct flight *spare_flight(void)
{
    for (size_t i = 0; i < FLIGHTS; i++) {
        if (world.flight[i].done.pos == 0)
            return &world.flight[i];
    }
    return NULL;
}

static uint64_t delay(void)
{
    uint64_t most = rf_rng_below(&world.rng, 10) == 0 ? world.wait_max_ns : world.wait_max_ns / 20;
    return rf_rng_below(&world.rng, most + 1);
}

/* Try to send one request; @return how long until that can succeed, 0 where it did. */
static uint64_t try_send(uint32_t masks)
{
    struct rf_cost cost = {.mask = 1 + (uint32_t)rf_rng_below(&world.rng, masks),
                           .weight = (uint32_t)rf_rng_below(&world.rng, 4)};
    uint32_t want = 1 + (uint32_t)rf_rng_below(&world.rng, 6);
    uint64_t wait;
    uint32_t calls = rf_limiter_room(&world.lim, cost, want, world.now, &wait);
    assert_true(calls <= want);
    if (calls == 0) {
        check_wait(cost, wait);
        return wait;
    }
    struct flight *f = spare_flight();
    assert_non_null(f);
    f->cost = cost;
    f->calls = calls;
    f->refund = rf_rng_below(&world.rng, 1000) < world.refunds_permille;
    f->sent_ns = world.now;
    rf_limiter_commit(&world.lim, cost, calls, world.now);
    uint64_t at = world.now + delay();
    if (!f->refund)
        arrive(f, at);
    assert_true(rf_heap_push(&world.flying, &f->done, at + delay()));
    return 0;
}

static void land(void)
{
    struct flight *f = RF_CONTAINER(rf_heap_top(&world.flying), struct flight, done);
    if (f->done.at_ns > world.now)
        world.now = f->done.at_ns;
    rf_heap_remove(&world.flying, &f->done);
    rf_limiter_settle(&world.lim, f->cost, f->calls,
                      f->refund ? RF_LIMITER_REFUND : RF_LIMITER_ARRIVED, f->sent_ns, world.now);
}

static void run(size_t sends, uint32_t masks)
{
    for (size_t sent = 0, steps = 0; sent < sends; steps++) {
        while (rf_heap_next(&world.flying) <= world.now)
            land();
        uint64_t wait = try_send(masks);
        if (wait == 0)
            sent++;
        uint64_t next = rf_min_u64(rf_heap_next(&world.flying), rf_time_add(world.now, wait));
        if (wait > 0 && next != RF_NEVER)
            world.now = rf_max_u64(world.now, next);
        if (rf_rng_below(&world.rng, 500) == 0)
            world.now += rf_rng_below(&world.rng, 3 * world.lim.w[0].window_ns);
        if (steps % 64 == 0)
            check_conservation();
    }
    while (rf_heap_top(&world.flying) != NULL)
        land();
    check_conservation();
}

static int by_time(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* P1: sliding; then fixed windows at several phases; then a bucket of rate N/W and burst N. */
static void check_server(struct server *s, uint64_t count, uint64_t window)
{
    qsort(s->at, s->n, sizeof s->at[0], by_time);
    for (size_t i = count; i < s->n; i++)
        assert_true(s->at[i] - s->at[i - count] >= window);
    for (uint64_t phase = 0; phase < window; phase += window / 7) {
        uint64_t current = 0, held = 0;
        for (size_t i = 0; i < s->n; i++) {
            uint64_t number = (s->at[i] + phase) / window;
            held = number == current ? held + 1 : 1;
            current = number;
            assert_true(held <= count);
        }
    }
    uint64_t full = count * window, level = full; /* a unit is `window`, and `count` flow in a ns */
    for (size_t i = 0; i < s->n; i++) {
        uint64_t dt = rf_min_u64(i > 0 ? s->at[i] - s->at[i - 1] : 0, window);
        level = rf_min_u64(full, level + dt * count);
        assert_true(level >= window);
        level -= window;
    }
}

static void check_servers(void)
{
    for (unsigned i = 0; i < world.lim.n; i++)
        check_server(&world.seen[i], world.lim.w[i].count, world.lim.w[i].window_ns);
}

static void test_server_never_over_receive_stamped(void **state)
{
    (void)state;
    static const struct rpcfan_limit limits[] = {
        {.count = 100, .window_ms = 10000}, {.count = 40, .window_ms = 10000},
        {.count = 5, .window_ms = 3000},    {.count = 1, .window_ms = 2001},
        {.count = 1000, .window_ms = 5000}, {.count = 300, .window_ms = 2500}};
    for (size_t i = 0; i < RF_COUNT(limits); i++) {
        for (unsigned paced = 0; paced < 2; paced++) {
            open_world(&limits[i], 1, 100 + i, paced);
            world.refunds_permille = 50;
            run(SENDS / 2, 1);
            check_servers();
            close_world();
        }
    }
}

static void test_server_never_over_several_windows(void **state)
{
    (void)state;
    static const struct rpcfan_limit limits[] = {
        {.count = 100, .window_ms = 10000},
        {.count = 40, .window_ms = 7000},
        {.count = 330, .window_ms = 10000, .unit = RPCFAN_WEIGHT}};
    for (uint64_t seed = 1; seed <= 4; seed++) {
        open_world(limits, 3, seed, seed % 2);
        world.refunds_permille = 20;
        run(SENDS, 7);
        check_servers();
        close_world();
    }
}

/* Refused connections come in phases, early and late; now and then nothing is sent for a while. */
static bool refused_now(void)
{
    uint64_t phase = world.now / (4 * RF_SEC) % 3;
    return phase == 0 || (phase == 1 && rf_rng_below(&world.rng, 5) == 0);
}

static uint64_t settle_delay(void)
{
    return rf_rng_below(&world.rng, rf_rng_below(&world.rng, 2) ? 3 * RF_SEC : 200 * RF_MS);
}

/* With no delay to the server, the send-stamped log is exact too, refunds of any age included. */
static void test_server_never_over_send_stamped_without_jitter(void **state)
{
    (void)state;
    static const struct rpcfan_limit limits[] = {{.count = 50, .window_ms = 1000},
                                                 {.count = 10, .window_ms = 2000},
                                                 {.count = 700, .window_ms = 1000}};
    for (size_t i = 0; i < RF_COUNT(limits); i++) {
        for (unsigned paced = 0; paced < 2; paced++) {
            open_world(&limits[i], 1, 7 + i, paced);
            uint64_t wait;
            struct rf_cost cost = {.mask = 1};
            for (size_t sent = 0; sent < SENDS / 2;) {
                if (rf_rng_below(&world.rng, 3) == 0)
                    world.now += rf_rng_below(&world.rng, (i % 2 ? 4000 : 100) * RF_MS);
                while (rf_heap_next(&world.flying) <= world.now)
                    land();
                struct flight *f = spare_flight();
                f->cost = cost;
                f->calls = rf_limiter_room(&world.lim, cost, 4, world.now, &wait);
                world.now += f->calls == 0 ? wait : 0;
                if (f->calls == 0)
                    continue;
                sent++;
                f->refund = refused_now();
                f->sent_ns = world.now;
                rf_limiter_commit(&world.lim, cost, f->calls, world.now);
                if (!f->refund)
                    arrive(f, world.now);
                assert_true(rf_heap_push(&world.flying, &f->done, world.now + settle_delay()));
            }
            check_servers();
            close_world();
        }
    }
}

/* Whatever the delays are, a tenth of the window together at most, no server counts too many, once
 * the shortest round trip is known; nor before, when a round trip stands for itself. */
static void test_server_never_over_send_stamped_with_jitter(void **state)
{
    (void)state;
    static const struct rpcfan_limit limits[] = {{.count = 50, .window_ms = 1000},
                                                 {.count = 200, .window_ms = 1000},
                                                 {.count = 10, .window_ms = 2000},
                                                 {.count = 900, .window_ms = 1000}};
    for (size_t i = 0; i < RF_COUNT(limits); i++) {
        for (unsigned paced = 0; paced < 2; paced++) {
            open_world(&limits[i], 1, 40 + i, paced);
            world.wait_max_ns = limits[i].window_ms * RF_MS / 20;
            world.refunds_permille = 50;
            run(SENDS / 2, 1);
            check_servers();
            close_world();
        }
    }
}

static int64_t jitter(struct rf_rng *rng, int64_t sd_ns)
{
    int64_t sum = 0; /* 12 uniforms: nearly normal, variance 1 */
    for (int i = 0; i < 12; i++)
        sum += (int64_t)rf_rng_below(rng, 1000001);
    return (sum - 6000000) * (sd_ns / 1000) / 1000;
}

/* 50 in 1 s over a jittery path against a sliding server that throttles: the margin settles where
 * at most 1 % are refused and at least 90 % of the quota is used. */
static void test_send_stamped_margin_settles(void **state)
{
    (void)state;
    struct rpcfan_limit limit = {.count = 50, .window_ms = 1000};
    open_world(&limit, 1, 11, true);
    struct rf_cost cost = {.mask = 1};
    static uint64_t counted[50];
    uint64_t good = 0, refused = 0, oldest = 0, last_cut = 0, wait;
    const uint64_t start = 60 * RF_SEC, end = 600 * RF_SEC;
    static struct {
        uint64_t at, sent;
    } queue[FLIGHTS];
    size_t queued = 0;
    while (world.now < end) {
        if (rf_limiter_room(&world.lim, cost, 1, world.now, &wait) > 0) {
            rf_limiter_commit(&world.lim, cost, 1, world.now);
            int64_t trip = 40 * (int64_t)RF_MS + jitter(&world.rng, 60 * (int64_t)RF_MS);
            queue[queued].at = world.now + (trip > 0 ? (uint64_t)trip : 0);
            queue[queued++].sent = world.now;
            continue;
        }
        world.now += rf_min_u64(wait, RF_MS);
        for (size_t i = 0; i < queued;) {
            if (queue[i].at > world.now) {
                i++;
                continue;
            }
            bool over = counted[oldest] + RF_SEC > queue[i].at && counted[oldest] > 0;
            if (!over) {
                counted[oldest] = queue[i].at;
                oldest = (oldest + 1) % 50;
                rf_limiter_succeeded(&world.lim, 0);
            } else if (queue[i].sent > last_cut) {
                last_cut = world.now;
                rf_limiter_throttled(&world.lim);
            }
            rf_limiter_settle(&world.lim, cost, 1, RF_LIMITER_ARRIVED, queue[i].sent, world.now);
            if (world.now >= start && over)
                refused++;
            else if (world.now >= start)
                good++;
            queue[i] = queue[--queued];
        }
    }
    uint64_t quota = 50 * (end - start) / RF_SEC;
    print_message("margin: goodput %u permille, refused %u in 10000\n",
                  (unsigned)(good * 1000 / quota), (unsigned)(refused * 10000 / (good + refused)));
    assert_true(good * 100 >= quota * 90);
    assert_true(refused * 100 <= good + refused);
    close_world();
}

/* One call of the FIFO in the monotony test. */
struct job {
    uint64_t submitted, service;
    uint32_t units;
    bool skipped;
};

/* Serve the jobs in order, each as early as the limiter lets it, and note when each began. */
static void serve(const struct rpcfan_limit *limit, const struct job *jobs, size_t n, bool skip,
                  uint64_t *began)
{
    open_world(limit, 1, 1, true);
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (skip && jobs[i].skipped)
            continue;
        struct rf_cost cost = {.mask = 1, .weight = jobs[i].units};
        uint64_t wait;
        uint64_t at = rf_max_u64(world.now, jobs[i].submitted);
        for (;;) {
            while (rf_heap_next(&world.flying) <= at)
                land(); /* each at its own time */
            world.now = at;
            if (rf_limiter_room(&world.lim, cost, 1, at, &wait) > 0)
                break;
            at = rf_min_u64(rf_heap_next(&world.flying), rf_time_add(at, wait));
        }
        struct flight *f = &world.flight[used++ % FLIGHTS];
        assert_int_equal(f->done.pos, 0);
        f->cost = cost;
        f->calls = 1;
        f->sent_ns = world.now;
        rf_limiter_commit(&world.lim, cost, 1, world.now);
        assert_true(rf_heap_push(&world.flying, &f->done, world.now + jobs[i].service));
        began[i] = world.now;
    }
    close_world();
}

/* P5: leaving submissions out never makes any other one later. */
static void test_fewer_submissions_are_never_later(void **state)
{
    (void)state;
    static const struct rpcfan_limit limits[] = {
        {.count = 20, .window_ms = 5000, .unit = RPCFAN_WEIGHT},
        {.count = 20, .window_ms = 1000, .unit = RPCFAN_WEIGHT},
        {.count = 400, .window_ms = 4000, .unit = RPCFAN_WEIGHT}};
    enum { JOBS = 2000 };
    static struct job jobs[JOBS];
    static uint64_t all[JOBS], fewer[JOBS];
    struct rf_rng rng;
    rf_rng_init(&rng, 5);
    for (size_t round = 0; round < 30; round++) {
        const struct rpcfan_limit *limit = &limits[round % RF_COUNT(limits)];
        uint64_t gap = limit->window_ms * RF_MS / limit->count;
        for (size_t i = 0; i < JOBS; i++) {
            uint64_t after = rf_rng_below(&rng, 4 * gap);
            jobs[i] = (struct job){.submitted = (i > 0 ? jobs[i - 1].submitted : RF_SEC) + after,
                                   .service = rf_rng_below(&rng, 400 * RF_MS),
                                   .units = 1 + (uint32_t)rf_rng_below(&rng, 3),
                                   .skipped = rf_rng_below(&rng, 5) == 0};
        }
        serve(limit, jobs, JOBS, false, all);
        serve(limit, jobs, JOBS, true, fewer);
        for (size_t i = 0; i < JOBS; i++)
            assert_true(jobs[i].skipped || fewer[i] <= all[i]);
    }
}

/* P9: on the clock of the latest time seen, no window ever admits more than it holds. */
static void test_clock_standing_still_or_going_back(void **state)
{
    (void)state;
    static const struct rpcfan_limit limits[] = {{.count = 20, .window_ms = 5000},
                                                 {.count = 20, .window_ms = 1000},
                                                 {.count = 400, .window_ms = 1000}};
    struct rf_cost cost = {.mask = 1};
    for (size_t k = 0; k < RF_COUNT(limits); k++) {
        for (unsigned paced = 0; paced < 2; paced++) {
            open_world(&limits[k], 1, 3 + k, paced);
            uint64_t latest = world.now, wait, window = world.lim.w[0].window_ns;
            uint64_t since = 0;
            uint32_t flying = 0;
            for (size_t i = 0; i < 40000; i++) {
                uint64_t step = rf_rng_below(&world.rng, window / 10);
                uint64_t kind = rf_rng_below(&world.rng, 10);
                if (kind == 0)
                    world.now -= rf_min_u64(world.now, i % 50 == 0 ? 40 * step : step);
                else if (kind < 5)
                    world.now += step;
                latest = rf_max_u64(latest, world.now);
                uint32_t calls = rf_limiter_room(&world.lim, cost, 3, world.now, &wait);
                assert_true(wait == RF_NEVER || wait <= 2 * window);
                rf_limiter_commit(&world.lim, cost, calls, world.now);
                struct flight f = {.cost = cost, .calls = calls};
                arrive(&f, latest);
                flying += calls;
                if (calls > 0)
                    since = latest;
                if (flying > 0 && kind % 2 == 0) {
                    rf_limiter_settle(&world.lim, cost, flying, RF_LIMITER_ARRIVED, since,
                                      world.now);
                    flying = 0;
                }
            }
            assert_true(world.seen[0].n > 3 * limits[k].count);
            check_servers();
            close_world();
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server_never_over_receive_stamped),
        cmocka_unit_test(test_server_never_over_several_windows),
        cmocka_unit_test(test_server_never_over_send_stamped_without_jitter),
        cmocka_unit_test(test_server_never_over_send_stamped_with_jitter),
        cmocka_unit_test(test_send_stamped_margin_settles),
        cmocka_unit_test(test_fewer_submissions_are_never_later),
        cmocka_unit_test(test_clock_standing_still_or_going_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
