/* test_core_pump.c - who is sent when and where: fairness between classes and networks, endpoints
 * that failed, priorities, and queues that must not block each other. Virtual time. */
#include "core_case.h"

/* One slot, two classes with a backlog each: the slot is shared. */
static void count_methods(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                          struct rf_vreply *out)
{
    (void)now_ns;
    uint64_t *n = b->arg;
    for (uint32_t i = 0; i < ex->n; i++)
        n[ex->call[i]->class_ix]++;
    bench_reply_ok(ex, out);
}

static void share_case(uint32_t n_classes, uint32_t slots, uint32_t cap)
{
    static const char *const methods[] = {"m_0", "m_1", "m_2", "m_3", "m_4", "m_5", "m_6", "m_7"};
    struct rpcfan_weight w[8];
    struct rpcfan_limit lots = {.count = 1000000, .window_ms = 1000};
    struct bench b;
    uint64_t n[9] = {0};
    bench_init(&b, 1, 1);
    for (uint32_t i = 0; i < n_classes; i++)
        w[i] = (struct rpcfan_weight){.method = methods[i], .weight = i + 1};
    b.ep[0].weights = w;
    b.ep[0].n_weights = n_classes;
    b.ep[0].limits = &lots;
    b.ep[0].n_limits = 1;
    b.ep[0].in_flight = slots;
    b.o.in_flight = cap;
    b.serve = count_methods;
    b.arg = n;
    bench_start(&b);
    for (uint32_t k = 0; k < 400; k++) {
        for (uint32_t i = 0; i < n_classes; i++)
            bench_call(&b, 0, methods[i], 60 * RF_SEC);
    }
    bench_run(&b, 2 * RF_SEC);
    uint64_t sum = 0, least = UINT64_MAX, most = 0;
    for (uint32_t i = 0; i < n_classes; i++) {
        sum += n[i];
        least = rf_min_u64(least, n[i]);
        most = rf_max_u64(most, n[i]);
    }
    if (least + 2 < most)
        fail_msg("%u classes, %u slots, cap %u: %llu to %llu calls a class", n_classes, slots, cap,
                 (unsigned long long)least, (unsigned long long)most);
    assert_true(sum >= 99);
    rf_vshell_close(b.v, RPCFAN_CLOSE_NOW);
    bench_fini(&b);
}

static void test_pump_classes_share_a_slot(void **state)
{
    (void)state;
    for (uint32_t n = 2; n <= 8; n++) {
        share_case(n, 1, 256);
        share_case(n, 16, 1);
    }
}

/* Both networks want the one slot there is over all. */
static void test_pump_networks_share_the_cap(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1, 1);
    b.o.n_networks = 2;
    b.o.in_flight = 1;
    b.net[1].endpoints = &b.ep[1];
    b.net[1].n_endpoints = 1;
    bench_start(&b);
    for (uint32_t i = 0; i < 500; i++) {
        bench_call(&b, 0, "eth_call", 60 * RF_SEC);
        bench_call(&b, 1, "eth_call", 60 * RF_SEC);
    }
    bench_run(&b, 4 * RF_SEC);
    assert_true(b.sent[0] + b.sent[1] >= 199);
    assert_in_range(b.sent[1], b.sent[0] - 2, b.sent[0] + 2);
    rf_vshell_close(b.v, RPCFAN_CLOSE_NOW);
    bench_fini(&b);
}

/* A node that failed once is asked again soon, though the other one serves all the while. */
static void fail_first(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                       struct rf_vreply *out)
{
    (void)now_ns;
    if (ex->index == 0 && b->sent[0] == 1)
        bench_reply(out, 500, "oops");
    else
        bench_reply_ok(ex, out);
}

static void test_pump_failed_endpoint_comes_back(void **state)
{
    (void)state;
    for (uint32_t priority = 0; priority <= 1; priority++) {
        struct bench b;
        bench_init(&b, 2, 1);
        b.ep[1].priority = priority;
        b.serve = fail_first;
        bench_start(&b);
        bench_offer(&b, 50, 20, 10 * RF_SEC);
        print_message("priority of the other %u: %llu and %llu calls\n", priority,
                      (unsigned long long)b.sent[0], (unsigned long long)b.sent[1]);
        assert_int_equal(b.ok, 1000);
        assert_true(b.sent[0] > 300);
        bench_fini(&b);
    }
}

/* A node that was dead until its breaker opened comes back beside a living one: probed once an open
 * interval, with calls that may be sent twice. */
static void note_probe(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                       struct rf_vreply *out)
{
    uint64_t *once = b->arg;
    if (ex->index == 0 && now_ns > 0)
        *once += ex->call[0]->once;
    rf_vnode_serve(&b->node[ex->endpoint], ex, now_ns, out);
}

static void test_pump_dead_endpoint_comes_back_beside_a_living_one(void **state)
{
    (void)state;
    struct bench b;
    uint64_t once_to_dead = 0;
    bench_init(&b, 2, 3);
    b.node[0].dead_until_ns = 30 * RF_SEC;
    b.serve = note_probe;
    b.arg = &once_to_dead;
    bench_start(&b);
    for (uint32_t i = 0; i < 30 * 50; i++) {
        bench_call(&b, 0, i % 5 == 4 ? "eth_sendTransaction" : "eth_call", 10 * RF_SEC);
        bench_run(&b, RF_SEC / 50);
    }
    uint64_t to_dead = b.sent[0];
    bench_offer(&b, 50, 60, 10 * RF_SEC);
    uint64_t after = b.sent[0] - to_dead;
    print_message("%llu calls to the dead node in 30 s, %llu in the 60 s after\n",
                  (unsigned long long)to_dead, (unsigned long long)after);
    assert_int_equal(b.ok, b.answered);
    assert_in_range(to_dead, 4, 20);
    assert_int_equal(once_to_dead, 0);
    assert_true(after > 500);
    bench_fini(&b);
}

/* Half of what goes to the first node fails and must go to the second, which is slow and narrow:
 * fresh calls go on using the first. */
static void half_fail(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                      struct rf_vreply *out)
{
    (void)now_ns;
    if (ex->index == 0 && rf_rng_below(&b->rng, 10) == 0)
        bench_reply(out, 200, "<html>");
    else
        bench_reply_ok(ex, out);
    if (ex->index == 1)
        out->delay_ns = 5 * RF_SEC;
}

static void test_pump_retries_do_not_block_fresh_calls(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 2, 1);
    b.ep[0].in_flight = 1;
    b.ep[1].in_flight = 1;
    b.net[0].attempts = 100;
    b.serve = half_fail;
    bench_start(&b);
    bench_calls(&b, 400, "eth_call", 30 * RF_SEC);
    bench_run(&b, 25 * RF_SEC);
    print_message("%llu of 400 answered\n", (unsigned long long)b.answered);
    assert_true(b.ok >= 200);
    rf_vshell_close(b.v, RPCFAN_CLOSE_NOW);
    bench_fini(&b);
}

/* The only node that a call has not tried is paused for longer than the call lives. */
static void pause_and_stumble(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                              struct rf_vreply *out)
{
    (void)now_ns;
    if (ex->index == 1) {
        out->retry_after_ns = 60 * RF_SEC;
        bench_reply(out, 429, "");
    } else if (b->sent[0] == 3) {
        bench_reply(out, 500, "oops");
    } else {
        bench_reply_ok(ex, out);
    }
}

static void test_pump_does_not_wait_for_a_paused_node(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 2, 1);
    b.serve = pause_and_stumble;
    bench_start(&b);
    bench_calls(&b, 2, "eth_call", 10 * RF_SEC); /* one to each: the second is paused now */
    bench_run(&b, RF_SEC);
    assert_int_equal(b.ok, 2);
    bench_call(&b, 0, "eth_call", 10 * RF_SEC);
    bench_run(&b, 12 * RF_SEC);
    assert_int_equal(b.ok, 3);
    bench_fini(&b);
}

/* The living node is full for five seconds; the other one's pause ends after one. */
static void slow_and_paused(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                            struct rf_vreply *out)
{
    (void)now_ns;
    if (ex->index == 0) {
        out->delay_ns = 5 * RF_SEC;
        bench_reply_ok(ex, out);
    } else if (b->sent[1] == 1) {
        out->retry_after_ns = RF_SEC;
        bench_reply(out, 429, "");
    } else {
        bench_reply_ok(ex, out);
    }
}

static void test_pump_wakes_when_a_pause_ends(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 2, 1);
    b.ep[0].in_flight = b.ep[1].in_flight = 1;
    b.ep[1].learn = 0;
    b.serve = slow_and_paused;
    bench_start(&b);
    bench_calls(&b, 3, "eth_call", 30 * RF_SEC);
    bench_run(&b, 2 * RF_SEC);
    assert_int_equal(b.ok, 2);
    bench_fini(&b);
}

/* Both nodes stumble now and then: that alone must not hold anybody up. */
static void stumble(struct bench *b, struct rf_exchange *ex, uint64_t now_ns, struct rf_vreply *out)
{
    (void)now_ns;
    if (rf_rng_below(&b->rng, 20) == 0)
        bench_reply(out, 502, "oops");
    else
        bench_reply_ok(ex, out);
}

static void note_wait(struct bench *b, struct rf_vcall *c, uint64_t now_ns)
{
    uint64_t *worst = b->arg;
    *worst = rf_max_u64(*worst, now_ns - c->call.submitted_ns);
}

static void test_pump_suspicion_holds_nobody_up_where_all_are_suspect(void **state)
{
    (void)state;
    struct bench b;
    uint64_t worst = 0;
    bench_init(&b, 2, 1);
    b.net[0].attempts = 10;
    b.serve = stumble;
    b.done = note_wait;
    b.arg = &worst;
    bench_start(&b);
    bench_offer(&b, 50, 60, 30 * RF_SEC);
    print_message("longest wait %.3f s\n", (double)worst / 1e9);
    assert_true(worst < 400 * RF_MS);
    bench_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pump_classes_share_a_slot),
        cmocka_unit_test(test_pump_networks_share_the_cap),
        cmocka_unit_test(test_pump_failed_endpoint_comes_back),
        cmocka_unit_test(test_pump_dead_endpoint_comes_back_beside_a_living_one),
        cmocka_unit_test(test_pump_retries_do_not_block_fresh_calls),
        cmocka_unit_test(test_pump_does_not_wait_for_a_paused_node),
        cmocka_unit_test(test_pump_wakes_when_a_pause_ends),
        cmocka_unit_test(test_pump_suspicion_holds_nobody_up_where_all_are_suspect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
