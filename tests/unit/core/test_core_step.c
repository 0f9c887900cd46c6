/* test_core_step.c - the step itself, driven by hand: events of one instant in any order, time that
 * goes back, closing harder and harder, options that cannot be, and memory that runs out at each
 * allocation in turn. */
#include "core_case.h"

#include "base/mem.h"
#include "json/rpc.h"

#define CALLS 12

/* A shell of bare hands: nothing happens but what the test says. */
struct hand {
    struct rpcfan_options o;
    struct rpcfan_network_options net;
    struct rpcfan_endpoint_options ep[2];
    struct rf_core *core;
    struct rf_vcall *call[CALLS];
    struct rf_exchange *out[64]; /* on the wire */
    uint32_t n_out, n_done, aborts;
    uint32_t done[CALLS]; /* times each was answered */
};

static void hand_options(struct hand *h)
{
    memset(h, 0, sizeof *h);
    rpcfan_options_init(&h->o);
    rpcfan_network_options_init(&h->net);
    for (uint32_t i = 0; i < 2; i++)
        rpcfan_endpoint_options_init(&h->ep[i]);
    h->net.endpoints = h->ep;
    h->net.n_endpoints = 1;
    h->o.networks = &h->net;
    h->o.n_networks = 1;
    h->o.seed = 1;
}

static void hand_start(struct hand *h)
{
    struct rpcfan_error err;
    if (rf_core_new(&h->o, 1, 0, NULL, &h->core, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
    for (uint32_t i = 0; i < CALLS; i++) {
        h->call[i] = rf_vcall_new(i, "eth_call", "[1]");
        assert_non_null(h->call[i]);
        h->call[i]->call.deadline_ns = 10 * RF_SEC;
    }
}

static void hand_step(struct hand *h, const struct rf_event *ev, size_t n, uint64_t now_ns)
{
    struct rf_actions a;
    struct rf_link *l;
    rf_actions_init(&a);
    rf_core_step(h->core, ev, n, now_ns, &a);
    uint32_t bound = 0;
    while ((l = rf_list_shift(&a.abort)) != NULL) {
        assert_true(++bound < 100);
        struct rf_exchange *ex = RF_CONTAINER(l, struct rf_exchange, link);
        bool flying = false;
        for (uint32_t i = 0; i < h->n_out; i++)
            flying = flying || h->out[i] == ex;
        assert_true(flying);
        h->aborts++;
    }
    while ((l = rf_list_shift(&a.send)) != NULL) {
        assert_true(h->n_out < RF_COUNT(h->out));
        h->out[h->n_out++] = RF_CONTAINER(l, struct rf_exchange, link);
    }
    while ((l = rf_list_shift(&a.done)) != NULL) {
        struct rf_vcall *c = RF_CONTAINER(l, struct rf_vcall, call.link);
        assert_true(++h->done[c->number] == 1);
        h->n_done++;
    }
}

static void hand_submit(struct hand *h, uint32_t first, uint32_t n, uint64_t now_ns)
{
    struct rf_event ev[CALLS];
    for (uint32_t i = 0; i < n; i++)
        ev[i] = (struct rf_event){.kind = RF_EV_SUBMIT, .call = &h->call[first + i]->call};
    hand_step(h, ev, n, now_ns);
}

/* Fill in the reply to the exchange that was sent first, and take it off the wire. */
static struct rf_exchange *hand_reply(struct hand *h, enum rf_transport t)
{
    struct rf_exchange *ex = h->out[0];
    for (uint32_t i = 1; i < h->n_out; i++)
        h->out[i - 1] = h->out[i];
    h->n_out--;
    struct rf_buf b = {0};
    struct rf_reply *r = &ex->reply;
    rf_buf_str(&b, "[");
    for (uint32_t i = 0; i < ex->n; i++)
        rf_buf_printf(&b, "%s{\"id\":%llu,\"result\":1}", i > 0 ? "," : "",
                      (unsigned long long)(ex->id_base + i));
    rf_buf_str(&b, "]");
    r->transport = t;
    r->status = t == RF_T_OK ? 200 : 0;
    r->reason = NULL;
    r->retry_after_ns = RF_NEVER;
    r->blob = rf_blob_new(b.len);
    assert_true(rf_blob_add(r->blob, b.data, b.len));
    rf_split_init(&r->split, ex->n + 1);
    rf_split_feed(&r->split, r->blob->data, r->blob->len);
    rf_split_finish(&r->split, r->blob->data);
    rf_buf_fini(&b);
    return ex;
}

static void hand_fini(struct hand *h)
{
    struct rf_event close = {.kind = RF_EV_CLOSE, .mode = RPCFAN_CLOSE_NOW};
    hand_step(h, &close, 1, 100 * RF_SEC);
    while (h->n_out > 0) {
        struct rf_event ev = {.kind = RF_EV_REPLY, .ex = hand_reply(h, RF_T_ABORTED)};
        hand_step(h, &ev, 1, 100 * RF_SEC);
    }
    assert_true(rf_core_idle(h->core));
    assert_true(rf_core_deadline(h->core) == RF_NEVER);
    rf_core_free(h->core);
    for (uint32_t i = 0; i < CALLS; i++)
        rf_vcall_free(h->call[i]);
}

/* The answer, a cancel and a close of one instant, in every order. */
static void test_step_events_of_one_instant_in_any_order(void **state)
{
    (void)state;
    static const uint8_t order[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                       {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int mode = RPCFAN_CLOSE_DRAIN; mode <= RPCFAN_CLOSE_NOW; mode++) {
        for (size_t i = 0; i < RF_COUNT(order); i++) {
            for (int t = RF_T_OK; t <= RF_T_ABORTED; t++) {
                struct hand h;
                hand_options(&h);
                h.ep[0].batch = 3;
                hand_start(&h);
                hand_submit(&h, 0, CALLS, 0);
                assert_true(h.n_out > 1);
                struct rf_event ev[3],
                    all[3] = {{.kind = RF_EV_REPLY, .ex = hand_reply(&h, (enum rf_transport)t)},
                              {.kind = RF_EV_CANCEL, .call = &h.call[1]->call},
                              {.kind = RF_EV_CLOSE, .mode = (enum rpcfan_close_mode)mode}};
                for (uint32_t k = 0; k < 3; k++)
                    ev[k] = all[order[i][k]];
                hand_step(&h, ev, 3, RF_SEC);
                hand_fini(&h);
                assert_int_equal(h.n_done, CALLS);
            }
        }
    }
}

static void test_step_close_harder_and_harder(void **state)
{
    (void)state;
    struct hand h;
    hand_options(&h);
    h.ep[0].batch = 1;
    h.ep[0].in_flight = 2;
    hand_start(&h);
    hand_submit(&h, 0, 6, 0);
    assert_int_equal(h.n_out, 2);
    struct rf_event close = {.kind = RF_EV_CLOSE, .mode = RPCFAN_CLOSE_DRAIN};
    hand_step(&h, &close, 1, RF_SEC);
    assert_int_equal(h.n_done, 0);
    hand_submit(&h, 6, 1, RF_SEC);
    assert_int_equal(h.call[6]->call.err, RPCFAN_ECLOSED);
    struct rf_event ev = {.kind = RF_EV_REPLY, .ex = hand_reply(&h, RF_T_OK)};
    hand_step(&h, &ev, 1, RF_SEC);
    assert_int_equal(h.n_out, 2); /* draining goes on sending */
    close.mode = RPCFAN_CLOSE_SENT;
    hand_step(&h, &close, 1, RF_SEC);
    assert_int_equal(h.n_done, 1 + 1 + 3);
    assert_int_equal(h.aborts, 0);
    close.mode = RPCFAN_CLOSE_DRAIN; /* a softer one later changes nothing */
    hand_step(&h, &close, 1, RF_SEC);
    assert_int_equal(h.n_out, 2);
    close.mode = RPCFAN_CLOSE_NOW;
    hand_step(&h, &close, 1, RF_SEC);
    assert_int_equal(h.aborts, 2);
    assert_int_equal(h.n_done, 7);
    hand_step(&h, &close, 1, RF_SEC);
    assert_int_equal(h.aborts, 2);
    hand_fini(&h);
}

/* The promise of core.h: an earlier time is taken as the latest one seen. */
static void test_step_time_going_back_changes_nothing(void **state)
{
    (void)state;
    struct hand h;
    hand_options(&h);
    h.ep[0].batch = 1;
    hand_start(&h);
    hand_step(&h, NULL, 0, 50 * RF_SEC);
    h.call[0]->call.deadline_ns = 40 * RF_SEC;
    hand_submit(&h, 0, 2, RF_SEC); /* past their deadlines: 40 s and 10 s */
    assert_int_equal(h.n_out, 0);
    assert_int_equal(h.n_done, 2);
    assert_int_equal(h.call[0]->call.err, RPCFAN_EDEADLINE);
    h.call[2]->call.deadline_ns = 60 * RF_SEC;
    hand_submit(&h, 2, 1, 49 * RF_SEC);
    assert_int_equal(h.n_out, 1);
    assert_true(h.out[0]->sent_ns == 50 * RF_SEC);
    assert_true(h.out[0]->timeout_ns <= 10 * RF_SEC);
    hand_fini(&h);
}

static void test_step_durations_saturate(void **state)
{
    (void)state;
    struct hand h;
    hand_options(&h);
    h.net.deadline_ms = UINT64_MAX / RF_MS + 2; /* would wrap round to half a millisecond */
    h.ep[0].timeout_ms = UINT64_MAX / RF_MS + 2;
    hand_start(&h);
    assert_true(rf_core_network_deadline(h.core, 0) > 1000 * RF_SEC);
    hand_submit(&h, 0, 1, 0);
    assert_true(h.out[0]->timeout_ns == 10 * RF_SEC);
    hand_fini(&h);
}

static void test_step_new_refuses_what_cannot_be(void **state)
{
    (void)state;
    struct hand h;
    struct rf_core *core;
    struct rpcfan_error err;
    struct rpcfan_limit none = {.count = 0, .window_ms = 1};
    hand_options(&h);
    h.o.n_networks = 0;
    assert_int_equal(rf_core_new(&h.o, 1, 0, NULL, &core, &err), RPCFAN_ECONFIG);
    hand_options(&h);
    h.o.n_networks = 65;
    assert_int_equal(rf_core_new(&h.o, 1, 0, NULL, &core, &err), RPCFAN_ECONFIG);
    hand_options(&h);
    h.net.n_endpoints = 65;
    assert_int_equal(rf_core_new(&h.o, 1, 0, NULL, &core, &err), RPCFAN_ECONFIG);
    hand_options(&h);
    h.net.attempts = 0;
    assert_int_equal(rf_core_new(&h.o, 1, 0, NULL, &core, &err), RPCFAN_ECONFIG);
    hand_options(&h);
    h.ep[0].name = "alpha";
    h.ep[0].batch = 65536;
    assert_int_equal(rf_core_new(&h.o, 1, 0, NULL, &core, &err), RPCFAN_ECONFIG);
    assert_non_null(strstr(err.text, "network net1: endpoint alpha: batch"));
    h.ep[0].batch = 1;
    h.ep[0].limits = &none;
    h.ep[0].n_limits = 1;
    assert_int_equal(rf_core_new(&h.o, 1, 0, NULL, &core, &err), RPCFAN_ECONFIG);
}

/* Options with everything in them that allocates. */
static const char *const limit_methods[] = {"eth_*", "net_version"};
static const struct rpcfan_limit all_limits[] = {
    {.count = 1000, .window_ms = 1000},
    {.count = 500, .window_ms = 10000, .methods = limit_methods, .n_methods = 2}};
static const struct rpcfan_weight all_weights[] = {{"eth_call", 3}, {"eth_get*", 2}};
static const char *const all_once[] = {"my_write"};

static void rich_options(struct hand *h)
{
    hand_options(h);
    h->net.n_endpoints = 2;
    h->net.once = all_once;
    h->net.n_once = 1;
    for (uint32_t i = 0; i < 2; i++) {
        h->ep[i].batch = 3;
        h->ep[i].limits = all_limits;
        h->ep[i].n_limits = 2;
        h->ep[i].weights = all_weights;
        h->ep[i].n_weights = 2;
    }
}

static void test_step_new_survives_each_failed_allocation(void **state)
{
    (void)state;
    struct hand h;
    struct rf_core *core = NULL;
    rich_options(&h);
    uint64_t k = 0;
    enum rpcfan_err e = RPCFAN_ENOMEM;
    while (e != RPCFAN_OK) {
        struct rpcfan_error err;
        rf_alloc_fail_at(++k);
        e = rf_core_new(&h.o, 1, 0, NULL, &core, &err);
        rf_alloc_fail_at(0);
        assert_true(e == RPCFAN_OK || e == RPCFAN_ENOMEM);
        assert_true(k < 1000);
    }
    assert_true(k > 20);
    print_message("%llu allocations failed one by one\n", (unsigned long long)(k - 1));
    rf_core_free(core);
}

/* A little run in which the k-th allocation inside the core fails. @return how many there were. */
static uint64_t starve(uint64_t k)
{
    struct hand h;
    rich_options(&h);
    hand_start(&h);
    uint64_t used = 0;
    for (uint32_t turn = 0; turn < 40; turn++) {
        struct rf_event ev[2];
        uint32_t n = 0;
        if (turn < CALLS)
            ev[n++] = (struct rf_event){.kind = RF_EV_SUBMIT, .call = &h.call[turn]->call};
        if (h.n_out > 0 && turn % 2 == 1)
            ev[n++] = (struct rf_event){.kind = RF_EV_REPLY,
                                        .ex = hand_reply(&h, turn % 3 == 0 ? RF_T_RESET : RF_T_OK)};
        uint64_t before = rf_alloc_count();
        if (k > used)
            rf_alloc_fail_at(k - used);
        hand_step(&h, ev, n, turn * 100 * RF_MS);
        rf_alloc_fail_at(0);
        used += rf_alloc_count() - before;
    }
    hand_fini(&h);
    assert_int_equal(h.n_done, CALLS);
    return used;
}

static void test_step_run_survives_each_failed_allocation(void **state)
{
    (void)state;
    uint64_t all = starve(0);
    assert_true(all > 10);
    for (uint64_t k = 1; k <= all; k++)
        starve(k);
    print_message("%llu allocations failed one by one\n", (unsigned long long)all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_step_events_of_one_instant_in_any_order),
        cmocka_unit_test(test_step_close_harder_and_harder),
        cmocka_unit_test(test_step_time_going_back_changes_nothing),
        cmocka_unit_test(test_step_durations_saturate),
        cmocka_unit_test(test_step_new_refuses_what_cannot_be),
        cmocka_unit_test(test_step_new_survives_each_failed_allocation),
        cmocka_unit_test(test_step_run_survives_each_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
