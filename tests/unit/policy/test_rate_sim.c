/* test_rate_sim.c - the learned rate against servers of every kind, in virtual time: what is served
 * of what the server would have served, what is refused of what is sent, and how fast a change is
 * found out. Each test prints its worst figures. */
#include "rate_world.h"

#define SEEDS 5

static const char *const kinds[] = {"fixed", "sliding", "bucket"};

/* The worst of a group of runs. */
struct worst {
    double good, waste, mean_good, mean_waste, seconds, refusals;
    unsigned runs;
};

static const struct worst no_runs = {.good = 1e9};

static double greater(double a, double b)
{
    return a > b ? a : b;
}

static void note(struct worst *is, double good, double wasted)
{
    is->good = good < is->good ? good : is->good;
    is->waste = greater(is->waste, wasted);
    is->mean_good += good;
    is->mean_waste += wasted;
    is->runs++;
}

static void report(const char *what, const struct worst *is)
{
    print_message("%-22s %3u runs: goodput %.3f (worst %.3f), waste %.4f (worst %.4f)\n", what,
                  is->runs, is->mean_good / is->runs, is->good, is->mean_waste / is->runs,
                  is->waste);
}

/* Call `fn` for each server, each limit and each size of batch. A client has 16 requests in flight;
 * 64 where single calls at 200/s could not be sent otherwise. */
static void each_case(struct world_case c, void (*fn)(struct world_case, struct worst *),
                      struct worst *is)
{
    static const double rates[] = {10, 50, 200};
    c.clients = 1;
    c.rtt_ns = 60 * RF_MS;
    c.jitter_ns = 40 * RF_MS;
    for (unsigned i = 0; i < WORLD_LIMITS * 3 * 2 * 2 * 2; i++) {
        c.kind = (enum world_limit)(i % 3);
        c.per_s = rates[i / 3 % 3];
        c.window_s = i / 9 % 2 == 0 ? 1 : 10;
        c.hint = i / 18 % 2 == 0;
        c.batch = i / 36 == 0 ? 1 : 20;
        c.slots = c.batch == 1 && c.per_s > 100 ? 64 : 16;
        fn(c, is);
    }
}

static void run_seeds(struct world_case c, struct worst *is)
{
    for (c.seed = 1; c.seed <= (c.start_per_s > 0 ? SEEDS : 3); c.seed++) {
        run_world(&c);
        note(is, goodput(0, c.seconds, c.per_s), waste(0, c.seconds));
    }
}

/* Bar 3: nothing known but a rate to begin with. */
static void test_bar_3_start_at_5_per_s(void **state)
{
    (void)state;
    struct worst is = no_runs;
    each_case((struct world_case){.start_per_s = 5, .seconds = 600}, run_seeds, &is);
    report("start 5/s, 600 s", &is);
    assert_true(is.good >= 0.85);
    assert_true(is.waste <= 0.01);
}

static void test_ramp_waste_bounded(void **state)
{
    (void)state;
    struct worst is = no_runs;
    each_case((struct world_case){.seconds = 600}, run_seeds, &is);
    report("ramp, 600 s", &is);
    assert_true(is.good >= 0.85);
    assert_true(is.waste <= 0.02);
}

/* A user does not wait ten minutes: from half a minute on the rate should be near what it can be.
 */
static void run_early(struct world_case c, struct worst *is)
{
    for (c.seed = 1; c.seed <= 3; c.seed++) {
        run_world(&c);
        note(is, goodput(30, c.seconds, c.per_s), waste(0, c.seconds));
    }
}

static void test_early(void **state)
{
    (void)state;
    struct worst started = no_runs, ramped = no_runs;
    each_case((struct world_case){.seconds = 120, .start_per_s = 5}, run_early, &started);
    report("start 5/s, 30 to 120 s", &started);
    each_case((struct world_case){.seconds = 120}, run_early, &ramped);
    report("ramp, 30 to 120 s", &ramped);
    assert_true(started.mean_good >= 0.85 * started.runs);
    assert_true(ramped.mean_good >= 0.85 * ramped.runs);
}

static void run_2000(struct world_case c, struct worst *is)
{
    if (c.per_s < 200)
        return;
    for (c.seed = 1; c.seed <= SEEDS; c.seed++) {
        for (int local = 0; local < 2; local++) {
            c.rtt_ns = local != 0 ? 200 * RF_US : 60 * RF_MS;
            c.jitter_ns = local != 0 ? RF_MS : 40 * RF_MS;
            run_world(&c);
            assert_true(w.done_ns > 0);
            double tenth = (double)w.done_ns / (10.0 * (double)RF_SEC);
            note(is, tenth > 1 ? 1 / tenth : 1, waste(0, c.seconds));
        }
    }
}

static void test_ramp_2000_calls(void **state)
{
    (void)state;
    struct worst is = no_runs;
    each_case((struct world_case){.seconds = 100, .calls = 2000}, run_2000, &is);
    report("2,000 calls at 200/s", &is);
    assert_true(is.waste <= 0.08);
    assert_true(is.good >= 0.4); /* 25 s; 10 s at the very limit */
}

/* Bar 4, as it stands for servers that say when to come back. In 30 s at 5/s two calls are more
 * than 1 %, so up to 2 count as none. At 200/s a round trip carries 16 calls, and so many are
 * refused in the first epoch whatever the client does: twice the bar there. */
static void run_halved(struct world_case c, struct worst *is)
{
    double most = (c.per_s > 50 ? 60 : 30) * (c.hint ? 1 : 1.5);
    unsigned latest = c.hint ? 170 : 180;
    c.change[0].at = 150;
    c.change[0].per_s = c.per_s / 2;
    for (c.seed = 1; c.seed <= 3; c.seed++) {
        run_world(&c);
        unsigned t = 150;
        while (t < 270 && waste(t, t + 30) > 0.01 && sum(w.refused, t, t + 30) > 2)
            t++;
        double refused = sum(w.refused, 150, 210);
        is->seconds = greater(is->seconds, (double)(t - 150) / (latest - 150));
        is->refusals = greater(is->refusals, refused / most);
        note(is, goodput(210, 300, c.per_s / 2), waste(150, 300));
        if (refused > most || t > latest)
            print_message("%s %g/%u s hint %d batch %u: %u s, %g refused\n", kinds[c.kind], c.per_s,
                          c.window_s, c.hint, c.batch, t - 150, refused);
    }
}

static void test_bar_4_limit_halves(void **state)
{
    (void)state;
    struct worst is = no_runs;
    each_case((struct world_case){.start_per_s = 5, .seconds = 300}, run_halved, &is);
    report("limit halves", &is);
    print_message("  worst, of what is allowed: time %.2f, refusals %.2f\n", is.seconds,
                  is.refusals);
    assert_true(is.seconds <= 1);
    assert_true(is.refusals <= 1);
}

static void run_doubled(struct world_case c, struct worst *is)
{
    c.change[0].at = 150;
    c.change[0].per_s = c.per_s * 2;
    for (c.seed = 1; c.seed <= 3; c.seed++) {
        run_world(&c);
        unsigned t = 150;
        while (t < 290 && goodput(t, t + 10, c.per_s * 2) < 0.9)
            t++;
        is->seconds = greater(is->seconds, t - 150);
        note(is, goodput(240, 300, c.per_s * 2), waste(150, 300));
        if (t > 240)
            print_message("%s %g/%u s hint %d batch %u: %u s\n", kinds[c.kind], c.per_s, c.window_s,
                          c.hint, c.batch, t - 150);
    }
}

static void test_bar_5_limit_doubles(void **state)
{
    (void)state;
    struct worst is = no_runs;
    each_case((struct world_case){.start_per_s = 5, .seconds = 300}, run_doubled, &is);
    report("limit doubles", &is);
    print_message("  until 90 %%: at most %.0f s\n", is.seconds);
    assert_true(is.seconds <= 90);
}

static double jain(void)
{
    double n = 0, squares = 0;
    for (uint32_t i = 0; i < w.of.clients; i++) {
        double served = (double)w.client[i].served;
        n += served;
        squares += served * served;
    }
    return n * n / (squares * w.of.clients);
}

static void share_case(uint32_t clients, double least_jain, double most_waste)
{
    struct worst is = no_runs;
    double fair = 1, late = 0;
    for (unsigned i = 0; i<WORLD_LIMITS * 2 * 2; i += clients> 100 ? 5 : 1) {
        struct world_case c = {.kind = (enum world_limit)(i % 3),
                               .per_s = 200,
                               .window_s = i / 3 % 2 == 0 ? 1 : 10,
                               .hint = i / 6 == 0,
                               .batch = 1,
                               .clients = clients,
                               .slots = 16,
                               .rtt_ns = 60 * RF_MS,
                               .jitter_ns = 40 * RF_MS,
                               .seconds = 600,
                               .seed = i + 1};
        run_world(&c);
        note(&is, goodput(0, 600, 200), waste(0, 600));
        late = greater(late, waste(300, 600));
        fair = jain() < fair ? jain() : fair;
    }
    char what[32];
    snprintf(what, sizeof what, "%u clients", clients);
    report(what, &is);
    print_message("  worst waste in the second half %.4f, Jain %.3f\n", late, fair);
    assert_true(is.good >= 0.8);
    assert_true(is.waste <= most_waste);
    assert_true(fair >= least_jain);
}

static void test_shared_limit(void **state)
{
    (void)state;
    share_case(2, 0.7, 0.01);
    share_case(10, 0.5, 0.02);
    share_case(100, 0.3, 0.06);
    share_case(1000, 0.3, 0.35); /* each sends one call in 5 s */
}

/* A node on the same machine, without a limit: the ramp must cost next to nothing. */
static void test_ramp_fast_node_full_speed(void **state)
{
    (void)state;
    struct world_case c = {.per_s = 1e12,
                           .window_s = 1,
                           .batch = 20,
                           .clients = 1,
                           .slots = 16,
                           .rtt_ns = 200 * RF_US,
                           .jitter_ns = 100 * RF_US,
                           .calls = 20000,
                           .seconds = 100,
                           .seed = 1};
    run_world(&c);
    double ramped = (double)w.done_ns;
    c.known = true;
    run_world(&c);
    double free_run = (double)w.done_ns;
    print_message("20,000 calls on loopback: %.1f ms, without any restriction %.1f ms\n",
                  ramped / 1e6, free_run / 1e6);
    assert_true(ramped <= free_run + 5e6);
}

/* 16 requests in flight that take a second each: what may leave at once decides. */
static void test_slow_node_batches(void **state)
{
    (void)state;
    struct world_case c = {.kind = BUCKET,
                           .per_s = 200,
                           .window_s = 10,
                           .batch = 20,
                           .clients = 1,
                           .slots = 16,
                           .rtt_ns = RF_SEC,
                           .jitter_ns = 200 * RF_MS,
                           .seconds = 600,
                           .seed = 1};
    run_world(&c);
    print_message("round trip 1 s: goodput %.3f\n", goodput(0, 600, 200));
    assert_true(goodput(0, 600, 200) >= 0.8);
}

/* Everything is refused for five minutes, with and without a hint: the pauses are the answer to
 * that, and the rate survives it. */
static void test_outage_survived(void **state)
{
    (void)state;
    for (int hint = 0; hint < 2; hint++) {
        struct world_case c = {.per_s = 50,
                               .window_s = 1,
                               .hint = hint != 0,
                               .batch = 1,
                               .clients = 1,
                               .slots = 16,
                               .rtt_ns = 60 * RF_MS,
                               .jitter_ns = 40 * RF_MS,
                               .seconds = 600,
                               .seed = 3,
                               .change = {{100, 0}, {400, 50}}};
        run_world(&c);
        unsigned t = 400;
        while (t < 590 && goodput(t, t + 10, 50) < 0.6)
            t++;
        print_message("refused for 300 s, hint %d: %g refusals, back after %u s\n", hint,
                      sum(w.refused, 100, 400), t - 400);
        assert_true(t <= 450);
        assert_true(goodput(500, 600, 50) >= 0.85);
    }
}

/* An earlier run has used the window up: refused before anything was served. */
static void test_blind_start_finds_its_rate(void **state)
{
    (void)state;
    struct world_case c = {.per_s = 0,
                           .window_s = 10,
                           .hint = true,
                           .batch = 20,
                           .clients = 1,
                           .slots = 16,
                           .rtt_ns = 60 * RF_MS,
                           .jitter_ns = 40 * RF_MS,
                           .seconds = 200,
                           .seed = 4,
                           .change = {{8, 200}}};
    run_world(&c);
    unsigned t = 8;
    while (t < 190 && goodput(t, t + 10, 200) < 0.8)
        t++;
    print_message("blind start: 80 %% of 200/s after %u s\n", t);
    assert_true(t <= 45);
}

/* The configured limit is twice what the server permits; then the server permits it. */
static void test_known_limit_too_high(void **state)
{
    (void)state;
    struct world_case c = {.per_s = 50,
                           .window_s = 1,
                           .hint = true,
                           .batch = 1,
                           .clients = 1,
                           .slots = 16,
                           .rtt_ns = 60 * RF_MS,
                           .jitter_ns = 40 * RF_MS,
                           .known = true,
                           .max_per_s = 100,
                           .seconds = 250,
                           .seed = 5};
    run_world(&c);
    assert_int_equal(w.client[0].rate.phase, RF_RATE_LEARNED);
    print_message("configured 100/s, permitted 50/s: goodput %.3f, waste %.4f\n",
                  goodput(0, 250, 50), waste(0, 250));
    assert_true(goodput(20, 250, 50) >= 0.85);
    assert_true(waste(20, 250) <= 0.01);
    c.seconds = 600;
    c.change[0].at = 250;
    c.change[0].per_s = 1000;
    run_world(&c);
    assert_int_equal(w.client[0].rate.phase, RF_RATE_OFF);
}

static int close_all(void **state)
{
    (void)state;
    close_world();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bar_3_start_at_5_per_s),
        cmocka_unit_test(test_ramp_waste_bounded),
        cmocka_unit_test(test_early),
        cmocka_unit_test(test_ramp_2000_calls),
        cmocka_unit_test(test_bar_4_limit_halves),
        cmocka_unit_test(test_bar_5_limit_doubles),
        cmocka_unit_test(test_shared_limit),
        cmocka_unit_test(test_ramp_fast_node_full_speed),
        cmocka_unit_test(test_slow_node_batches),
        cmocka_unit_test(test_outage_survived),
        cmocka_unit_test(test_blind_start_finds_its_rate),
        cmocka_unit_test(test_known_limit_too_high),
    };
    return cmocka_run_group_tests(tests, NULL, close_all);
}
