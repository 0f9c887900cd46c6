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

/* --- dear and cheap classes ------------------------------------------------------------------ */

static const struct rpcfan_weight dear_weight = {"dear", 50};

static void count_names(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                        struct rf_vreply *out)
{
    uint64_t *n = b->arg; /* dear, cheap, held */
    (void)now_ns;
    for (uint32_t i = 0; i < ex->n; i++) {
        char first = rf_call_method(ex->call[i]).data[0];
        n[first == 'd' ? 0 : first == 'c' ? 1 : 2]++;
    }
    bench_reply_ok(ex, out);
}

/* Units are shared, not calls: over a minute each class uses half of them, whatever comes free at a
 * time, and neither starves. */
static void test_pump_units_are_shared_between_dear_and_cheap(void **state)
{
    (void)state;
    static const struct rpcfan_limit limits[] = {
        {.count = 100, .window_ms = 1000, .unit = RPCFAN_WEIGHT},
        {.count = 1000, .window_ms = 10000, .unit = RPCFAN_WEIGHT},
        {.count = 60, .window_ms = 1000, .unit = RPCFAN_WEIGHT}};
    for (size_t k = 0; k < RF_COUNT(limits); k++) {
        struct bench b;
        uint64_t n[3] = {0};
        bench_init(&b, 1, k);
        b.ep[0].limits = &limits[k];
        b.ep[0].n_limits = 1;
        b.ep[0].weights = &dear_weight;
        b.ep[0].n_weights = 1;
        b.serve = count_names;
        b.arg = n;
        bench_start(&b);
        for (uint32_t i = 0; i < 6000; i++) {
            bench_call(&b, 0, "cheap", 600 * RF_SEC);
            if (i % 20 == 0)
                bench_call(&b, 0, "dear", 600 * RF_SEC);
        }
        bench_run(&b, 60 * RF_SEC);
        if (n[0] * 50 > n[1] * 12 / 10 + 50 || n[1] > n[0] * 50 * 12 / 10 + 50)
            fail_msg("limit %zu: %llu units for the dear, %llu for the cheap", k,
                     (unsigned long long)n[0] * 50, (unsigned long long)n[1]);
        rf_vshell_close(b.v, RPCFAN_CLOSE_NOW);
        bench_fini(&b);
    }
}

/* What waits for a node that is gone keeps nobody from the other: it could never go there. */
static void gone_case(bool never_fits)
{
    static const struct rpcfan_limit small = {
        .count = 30, .window_ms = 1000, .unit = RPCFAN_WEIGHT};
    static const struct rpcfan_limit tight = {
        .count = 60, .window_ms = 20000, .unit = RPCFAN_WEIGHT};
    struct bench b;
    uint64_t n[3] = {0};
    bench_init(&b, 2, 1);
    b.ep[0].limits = never_fits ? &small : &tight;
    b.ep[0].n_limits = 1;
    b.ep[0].weights = &dear_weight;
    b.ep[0].n_weights = 1;
    b.serve = count_names;
    b.arg = n;
    bench_start(&b);
    bench_call(&b, 0, "cheap", 60 * RF_SEC);
    bench_run(&b, 100 * RF_MS);
    struct rf_network *net = bench_net(&b, 0);
    rf_gate_pause(&net->ep[1].gate, 100 * RF_SEC, rf_vshell_now(b.v));
    struct rf_vcall *first = bench_call(&b, 0, "dear", 300 * RF_SEC);
    first->call.only = never_fits ? 0 : 2;
    bench_calls(&b, 2000, "cheap", 300 * RF_SEC);
    bench_run(&b, 60 * RF_SEC);
    assert_int_equal(n[0], 0);
    if (n[1] < (never_fits ? 1600 : 170))
        fail_msg("%llu cheap calls went in a minute", (unsigned long long)n[1]);
    rf_vshell_close(b.v, RPCFAN_CLOSE_NOW);
    bench_fini(&b);
}

static void test_pump_what_waits_for_another_node_keeps_nobody(void **state)
{
    (void)state;
    gone_case(true);
    gone_case(false);
}

/* --- a class that is refused alone ---------------------------------------------------------- */

struct held {
    uint64_t n[3];
    uint64_t refuse_until_ns, hint_ns, refused;
    bool batch_as_one;
};

static void hold_serve(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                       struct rf_vreply *out)
{
    struct held *h = b->arg;
    bool held = rf_call_method(ex->call[0]).data[0] == 'h';
    if (!held || ex->endpoint != 0 || now_ns >= h->refuse_until_ns) {
        h->n[held ? 2 : 1] += ex->n;
        bench_reply_ok(ex, out);
        return;
    }
    h->refused++;
    out->retry_after_ns = h->hint_ns;
    if (h->batch_as_one) {
        rf_buf_char(&out->body, '[');
        rf_vreply_error(&out->body, ex->id_base, 429, "method rate limit reached");
        rf_buf_char(&out->body, ']');
    } else {
        rf_vreply_error(&out->body, ex->id_base, 429, "method rate limit reached");
    }
}

static void held_start(struct bench *b, struct held *h, uint32_t n_ep, uint32_t batch)
{
    static const char *const held[] = {"held"};
    static const struct rpcfan_limit limit = {
        .count = 100000, .window_ms = 1000, .methods = held, .n_methods = 1};
    bench_init(b, n_ep, 1);
    b->ep[0].limits = &limit;
    b->ep[0].n_limits = 1;
    b->ep[0].batch = batch;
    b->serve = hold_serve;
    b->arg = h;
    bench_start(b);
}

/* The node is not paused, its rate is not cut, and the others go on; the class itself comes back
 * when the hint says, or after some seconds, with all its calls. */
static void test_pump_a_class_is_held_alone(void **state)
{
    (void)state;
    static const uint64_t hint[] = {RF_NEVER, 0, 2 * RF_SEC, 900 * RF_SEC};
    static const uint64_t back_s[] = {5, 5, 2, 300};
    for (size_t k = 0; k < RF_COUNT(hint); k++) {
        for (uint32_t batch = 1; batch <= 5; batch += 4) {
            struct bench b;
            struct held h = {.refuse_until_ns = RF_SEC, .hint_ns = hint[k]};
            h.batch_as_one = batch > 1;
            held_start(&b, &h, 1, batch);
            bench_calls(&b, 5, "held", 1000 * RF_SEC);
            bench_run(&b, 100 * RF_MS);
            bench_calls(&b, 40, "cheap", 1000 * RF_SEC);
            bench_run(&b, (back_s[k] - 1) * RF_SEC);
            assert_int_equal(h.n[1], 40);
            assert_int_equal(h.n[2], 0);
            assert_true(h.refused <= 5);
            assert_int_equal(bench_ep(&b, 0)->gate.throttle.epochs, 0);
            assert_int_equal(bench_ep(&b, 0)->gate.rate.epochs, 0);
            assert_int_equal(bench_ep(&b, 0)->fail_streak, 0);
            assert_int_equal(bench_net(&b, 0)->retried, 0);
            bench_run(&b, 2 * RF_SEC);
            if (h.n[2] != 5)
                fail_msg("hint %zu, batch %u: %llu were let in", k, batch,
                         (unsigned long long)h.n[2]);
            assert_int_equal(b.ok, 45);
            bench_fini(&b);
        }
    }
}

static void test_pump_a_held_class_goes_to_the_other_node(void **state)
{
    (void)state;
    struct bench b;
    struct held h = {.refuse_until_ns = 100 * RF_SEC, .hint_ns = 50 * RF_SEC};
    held_start(&b, &h, 2, 1);
    for (uint32_t i = 0; i < 60; i++) {
        bench_call(&b, 0, "held", 5 * RF_SEC);
        bench_call(&b, 0, "cheap", 5 * RF_SEC);
        bench_run(&b, 30 * RF_MS);
    }
    bench_run(&b, RF_SEC);
    assert_int_equal(b.ok, 120);
    assert_int_equal(h.refused, 1);
    assert_true(b.sent[0] > 10);
    bench_fini(&b);
}

/* --- order ------------------------------------------------------------------------------------ */

struct order {
    uint64_t last[3], checked;
};

static void order_serve(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                        struct rf_vreply *out)
{
    struct order *o = b->arg;
    (void)now_ns;
    out->delay_ns = rf_rng_below(&b->rng, 100 * RF_MS);
    for (uint32_t i = 0; i < ex->n; i++) {
        if (ex->call[i]->sends > 1)
            continue; /* it went before */
        uint64_t number = RF_CONTAINER(ex->call[i], struct rf_vcall, call)->number;
        uint64_t *last = &o->last[ex->call[i]->class_ix];
        assert_true(number > *last);
        *last = number;
        o->checked++;
    }
    if (rf_rng_below(&b->rng, 30) == 0)
        bench_reply(out, rf_rng_below(&b->rng, 2) == 0 ? 429 : 500, "no");
    else
        bench_reply_ok(ex, out);
}

/* P12: first tries of a class leave in the order in which they came, whatever fails, waits or goes
 * again in between. */
static void test_pump_is_first_in_first_out_inside_a_class(void **state)
{
    (void)state;
    static const struct rpcfan_weight weights[] = {{"m_0", 2}, {"m_1", 3}};
    static const struct rpcfan_limit limit = {
        .count = 900, .window_ms = 1000, .unit = RPCFAN_WEIGHT};
    static const char *const method[] = {"m_0", "m_1", "m_2"};
    struct order o = {0};
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct bench b;
        memset(o.last, 0, sizeof o.last);
        bench_init(&b, 3, seed);
        b.net[0].hedge_percent = 0;
        for (uint32_t i = 0; i < 3; i++) {
            b.ep[i].weights = weights;
            b.ep[i].n_weights = 2;
            b.ep[i].limits = &limit;
            b.ep[i].n_limits = 1;
            b.ep[i].batch = 1 + 3 * i;
            b.ep[i].learn = 0;
        }
        b.serve = order_serve;
        b.arg = &o;
        bench_start(&b);
        for (uint32_t i = 0; i < 10000; i++) {
            bench_call(&b, 0, method[rf_rng_below(&b.rng, 3)], 60 * RF_SEC);
            bench_run(&b, rf_rng_below(&b.rng, 3 * RF_MS));
        }
        bench_run(&b, 60 * RF_SEC);
        bench_fini(&b);
    }
    assert_true(o.checked > 95000);
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
        cmocka_unit_test(test_pump_units_are_shared_between_dear_and_cheap),
        cmocka_unit_test(test_pump_what_waits_for_another_node_keeps_nobody),
        cmocka_unit_test(test_pump_a_class_is_held_alone),
        cmocka_unit_test(test_pump_a_held_class_goes_to_the_other_node),
        cmocka_unit_test(test_pump_is_first_in_first_out_inside_a_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
