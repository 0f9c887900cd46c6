/* test_vworld.c - many clients in one virtual time: in order, replayable, and honest in its books. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/state.h"
#include "sim/vworld.h"

/* A world of `n` equal clients on one endpoint. */
struct fleet {
    struct rpcfan_options o;
    struct rpcfan_network_options net;
    struct rpcfan_endpoint_options ep;
    struct rf_vnode node;
    struct rf_vload load;
    struct rf_vworld w;
    uint64_t last_ns, served, out_of_order;
};

static void fleet_init(struct fleet *f)
{
    memset(f, 0, sizeof *f);
    rpcfan_options_init(&f->o);
    rpcfan_network_options_init(&f->net);
    rpcfan_endpoint_options_init(&f->ep);
    f->o.networks = &f->net;
    f->o.n_networks = 1;
    f->o.pending_calls = 200;
    f->net.family = RPCFAN_EVM;
    f->net.endpoints = &f->ep;
    f->net.n_endpoints = 1;
    f->node.latency_ns = 20 * RF_MS;
    f->node.jitter_ns = 60 * RF_MS;
    f->node.retry_after_ns = RF_NEVER;
    f->load.life_ns = 20 * RF_SEC;
    f->w.node = &f->node;
    f->w.n_nodes = 1;
}

static void fleet_start(struct fleet *f, uint32_t n, uint64_t seed)
{
    assert_true(rf_vnode_init(&f->node, seed));
    assert_true(rf_vworld_init(&f->w, n, seed));
    for (uint32_t i = 0; i < n; i++)
        assert_non_null(rf_vworld_add(&f->w, &f->o, &f->load, NULL));
}

static void fleet_fini(struct fleet *f)
{
    rf_vworld_close(&f->w, RPCFAN_CLOSE_NOW);
    struct rf_vbook b = rf_vworld_sum(&f->w);
    assert_int_equal(b.answered, b.submitted);
    assert_int_equal(b.wrong + b.twice + b.past_deadline, 0);
    assert_true(rf_vworld_settled(&f->w));
    rf_vworld_fini(&f->w);
    rf_vnode_fini(&f->node);
}

/* @return the trace's hash. */
static uint64_t run_hash(uint64_t seed)
{
    struct fleet f;
    fleet_init(&f);
    f.node.faults = (struct rf_vfaults){.reset = 20, .error5xx = 20, .hang = 5, .shuffle = 50};
    f.node.limit = RF_VLIMIT_SLIDING;
    f.node.limit_count = 200;
    f.node.limit_window_ns = RF_SEC;
    f.load.per_s = 20;
    f.load.poisson = true;
    f.load.cancel_permille = 5;
    fleet_start(&f, 20, seed);
    rf_vworld_run(&f.w, 60 * RF_SEC);
    assert_true(rf_vworld_sum(&f.w).ok > 5000);
    fleet_fini(&f);
    return f.w.hash;
}

static void test_vworld_replays_from_its_seed(void **state)
{
    (void)state;
    uint64_t first = run_hash(1);
    assert_true(first == run_hash(1));
    assert_true(first != run_hash(2));
}

/* In pieces or at once, the trace is the same. */
static void test_vworld_runs_in_pieces(void **state)
{
    (void)state;
    uint64_t hash[2];
    for (uint32_t k = 0; k < 2; k++) {
        struct fleet f;
        fleet_init(&f);
        f.load.per_s = 50;
        fleet_start(&f, 3, 9);
        for (uint32_t i = 0; i < (k == 0 ? 1 : 1000); i++)
            rf_vworld_run(&f.w, k == 0 ? 10 * RF_SEC : (i + 1) * 10 * RF_MS);
        hash[k] = f.w.hash;
        fleet_fini(&f);
    }
    assert_true(hash[0] == hash[1]);
}

static bool watch_order(void *arg, struct rf_vclient *c, struct rf_exchange *ex, uint64_t now_ns,
                        struct rf_vreply *out)
{
    struct fleet *f = arg;
    (void)c, (void)ex, (void)out;
    f->out_of_order += now_ns < f->last_ns;
    f->last_ns = now_ns;
    f->served++;
    return false;
}

/* The shared node sees all requests in the order of time, though wires differ in length. */
static void test_vworld_arrivals_in_order_of_time(void **state)
{
    (void)state;
    struct fleet f;
    fleet_init(&f);
    f.w.hooks.serve = watch_order;
    f.w.hooks.arg = &f;
    f.load.per_s = 30;
    f.load.poisson = true;
    fleet_start(&f, 100, 3);
    rf_vworld_run(&f.w, 20 * RF_SEC);
    assert_true(f.served > 10000);
    assert_int_equal(f.out_of_order, 0);
    fleet_fini(&f);
}

static void test_vworld_open_load_has_its_rate(void **state)
{
    (void)state;
    for (int poisson = 0; poisson <= 1; poisson++) {
        struct fleet f;
        fleet_init(&f);
        f.load.per_s = 33.3;
        f.load.poisson = poisson == 1;
        f.load.until_ns = 100 * RF_SEC;
        fleet_start(&f, 1, 4);
        rf_vworld_run(&f.w, 200 * RF_SEC);
        uint64_t n = rf_vworld_sum(&f.w).submitted;
        if (poisson)
            assert_in_range(n, 3330 - 180, 3330 + 180);
        else
            assert_int_equal(n, 3330);
        fleet_fini(&f);
    }
}

static void test_vworld_closed_load_keeps_its_backlog(void **state)
{
    (void)state;
    struct fleet f;
    fleet_init(&f);
    f.ep.in_flight = 4;
    f.ep.batch = 1;
    f.load.backlog = 50;
    fleet_start(&f, 2, 5);
    for (uint32_t i = 1; i <= 100; i++) {
        rf_vworld_run(&f.w, i * 100 * RF_MS);
        for (uint32_t k = 0; k < 2; k++)
            assert_in_range(f.w.client[k].n_live, 25, 50);
    }
    assert_true(rf_vworld_sum(&f.w).ok > 1000);
    fleet_fini(&f);
}

static void test_vworld_turns_away_over_its_cap(void **state)
{
    (void)state;
    struct fleet f;
    fleet_init(&f);
    f.ep.in_flight = 1;
    f.ep.batch = 1;
    f.load.per_s = 1000;
    f.load.pending_max = 30;
    fleet_start(&f, 1, 6);
    rf_vworld_run(&f.w, 10 * RF_SEC);
    struct rf_vbook b = rf_vworld_sum(&f.w);
    assert_true(b.turned_away > 9000);
    assert_true(b.submitted + b.turned_away == 10000);
    assert_int_equal(b.submitted - b.answered, 30);
    fleet_fini(&f);
}

/* Calls that fail at once must not keep time from going on. */
static void test_vworld_time_goes_on_though_all_fails(void **state)
{
    (void)state;
    struct fleet f;
    fleet_init(&f);
    f.node.latency_ns = f.node.jitter_ns = 0;
    f.node.dead_until_ns = RF_NEVER;
    f.load.backlog = 10;
    fleet_start(&f, 3, 7);
    rf_vworld_run(&f.w, 60 * RF_SEC);
    assert_int_equal(rf_vworld_sum(&f.w).ok, 0);
    assert_true(rf_vworld_sum(&f.w).by_err[RPCFAN_ECONNECT] > 0);
    fleet_fini(&f);
}

/* A request that is still on its way when its client gives up reaches the node and is charged. */
static void test_vworld_ghosts_are_charged(void **state)
{
    (void)state;
    struct fleet f;
    fleet_init(&f);
    f.ep.timeout_ms = 100;
    f.net.attempts = 1;
    f.node.travel = (struct rf_vdist){.base_ns = 300 * RF_MS};
    f.node.limit = RF_VLIMIT_SLIDING;
    f.node.limit_count = 1000;
    f.node.limit_window_ns = 100 * RF_SEC;
    f.load.per_s = 1;
    f.load.until_ns = 5 * RF_SEC;
    fleet_start(&f, 1, 8);
    rf_vworld_run(&f.w, 20 * RF_SEC);
    struct rf_vbook b = rf_vworld_sum(&f.w);
    assert_true(b.sent > 0);
    assert_int_equal(b.ok, 0);
    assert_int_equal(f.node.ghosts, b.exchanges);
    assert_int_equal(f.node.own.admitted, b.sent);
    fleet_fini(&f);
}

/* So does one that a close takes back on its way. */
static void test_vworld_aborted_leave_ghosts(void **state)
{
    (void)state;
    struct fleet f;
    fleet_init(&f);
    f.node.travel = (struct rf_vdist){.base_ns = 300 * RF_MS};
    f.load.per_s = 20;
    fleet_start(&f, 1, 8);
    rf_vworld_run(&f.w, 200 * RF_MS);
    assert_true(rf_vworld_sum(&f.w).exchanges > 0);
    assert_int_equal(f.node.requests, 0);
    uint64_t sent = rf_vworld_sum(&f.w).exchanges;
    fleet_fini(&f);
    assert_int_equal(f.node.ghosts, sent);
}

static void test_vworld_clients_have_seeds_of_their_own(void **state)
{
    (void)state;
    struct fleet f;
    fleet_init(&f);
    fleet_start(&f, 2, 8);
    const struct rf_rng *a = &rf_vshell_core(f.w.client[0].shell)->rng;
    const struct rf_rng *b = &rf_vshell_core(f.w.client[1].shell)->rng;
    assert_memory_not_equal(a, b, sizeof *a);
    fleet_fini(&f);
}

static void test_vworld_settled_sees_what_is_out(void **state)
{
    (void)state;
    struct fleet f;
    fleet_init(&f);
    f.load.per_s = 100;
    fleet_start(&f, 2, 10);
    rf_vworld_run(&f.w, RF_SEC + 5 * RF_MS);
    assert_false(rf_vworld_settled(&f.w));
    fleet_fini(&f);
}

static void test_vworld_load_can_change(void **state)
{
    (void)state;
    struct fleet f;
    fleet_init(&f);
    f.load.per_s = 10;
    fleet_start(&f, 1, 11);
    rf_vworld_run(&f.w, 10 * RF_SEC);
    assert_int_equal(f.w.client[0].book.submitted, 100);
    f.w.client[0].load.per_s = 100;
    rf_vworld_touch(&f.w.client[0]);
    rf_vworld_run(&f.w, 20 * RF_SEC);
    assert_int_equal(f.w.client[0].book.submitted, 1100);
    fleet_fini(&f);
}

static void test_jain(void **state)
{
    (void)state;
    double even[] = {3, 3, 3, 3}, one[] = {7, 0, 0, 0}, none[] = {0, 0};
    assert_true(fabs(rf_jain(even, 4) - 1) < 1e-12);
    assert_true(fabs(rf_jain(one, 4) - 0.25) < 1e-12);
    assert_true(rf_jain(none, 2) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vworld_replays_from_its_seed),
        cmocka_unit_test(test_vworld_runs_in_pieces),
        cmocka_unit_test(test_vworld_arrivals_in_order_of_time),
        cmocka_unit_test(test_vworld_open_load_has_its_rate),
        cmocka_unit_test(test_vworld_closed_load_keeps_its_backlog),
        cmocka_unit_test(test_vworld_turns_away_over_its_cap),
        cmocka_unit_test(test_vworld_time_goes_on_though_all_fails),
        cmocka_unit_test(test_vworld_ghosts_are_charged),
        cmocka_unit_test(test_vworld_aborted_leave_ghosts),
        cmocka_unit_test(test_vworld_clients_have_seeds_of_their_own),
        cmocka_unit_test(test_vworld_settled_sees_what_is_out),
        cmocka_unit_test(test_vworld_load_can_change),
        cmocka_unit_test(test_jain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
