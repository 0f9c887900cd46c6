/* test_subs_fate.c - what the subscription engine does about refusals, ends and lack of memory. */
#include "subs_world.h"

static struct world world;
static struct world *const w = &world;
static struct rf_subs_endpoint ep[W_ENDPOINTS];
static char lines[64 * 1024]; /* what was logged */

static void keep_line(int level, const char *line, void *arg)
{
    (void)level;
    (void)arg;
    size_t at = strlen(lines);
    snprintf(lines + at, sizeof lines - at, "%s\n", line);
}

static const struct rf_log keeper = {.cb = keep_line, .level = RPCFAN_LOG_DEBUG};

static struct rf_subs_options options(enum rpcfan_family family, uint32_t n)
{
    static const char *const names[W_ENDPOINTS] = {"a", "b", "c"};
    memset(ep, 0, sizeof ep);
    for (uint32_t i = 0; i < W_ENDPOINTS; i++)
        ep[i].name = names[i];
    lines[0] = '\0';
    w_init(&world, 1);
    return (struct rf_subs_options){
        .family = family, .endpoint = ep, .n_endpoints = n, .seed = 7, .log = &keeper};
}

/* A node without batches: everything is up all the same, one by one. */
static void without_batches(bool closes)
{
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    w_start(w, &o);
    w->node[0].no_batch_close = closes;
    w->node[0].no_batch_error = !closes;
    for (uint32_t i = 0; i < 60; i++)
        w_account(w, i, i, 1);
    w_for(w, 10 * RF_SEC);
    assert_int_equal(w_count(w).up, 60);
    assert_int_equal(w->node[0].double_subs, 0);
    assert_true(w->node[0].batches <= 4);
    assert_non_null(strstr(lines, "RF-WS-NOBATCH ep=a"));
    uint32_t batches = w->node[0].batches;
    w_cut(w, 0, 1006);
    w_for(w, 20 * RF_SEC);
    assert_int_equal(w_count(w).up, 60);
    assert_int_equal(w->node[0].batches, batches);
    w_stop(w);
}

static void test_a_node_that_answers_a_batch_with_an_error_gets_none(void **state)
{
    (void)state;
    without_batches(false);
}

static void test_a_node_that_closes_on_a_batch_gets_none(void **state)
{
    (void)state;
    without_batches(true);
}

static void test_no_batch_may_be_configured(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    ep[0].no_batch = true;
    w_start(w, &o);
    for (uint32_t i = 0; i < 20; i++)
        w_account(w, i, i, 1);
    w_for(w, RF_SEC);
    assert_int_equal(w_count(w).up, 20);
    assert_int_equal(w->node[0].batches, 0);
    w_stop(w);
}

static void test_requests_are_paced(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    ep[0].no_batch = true;
    ep[0].per_s = 10;
    w_start(w, &o);
    for (uint32_t i = 0; i < 100; i++)
        w_account(w, i, i, 1);
    uint32_t before = 0;
    for (int i = 0; i < 9; i++) {
        w_for(w, RF_SEC);
        assert_true(w->node[0].messages - before <= 10);
        before = w->node[0].messages;
    }
    assert_true(before > 80);
    w_stop(w);
}

static void test_a_full_node_is_left_for_another(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 2);
    ep[1].priority = 1;
    ep[0].conns = 2;
    w->node[0].conn_max = 10;
    w_start(w, &o);
    for (uint32_t i = 0; i < 50; i++)
        w_account(w, i, i, 1);
    w_for(w, 60 * RF_SEC);
    assert_int_equal(w_count(w).up, 50);
    assert_in_range(w_subs_at(w, 0), 10, 20);
    assert_non_null(strstr(lines, "RF-WS-FULL ep=a"));
    w_stop(w);
}

static void test_a_full_node_that_is_alone_is_asked_again_later(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    w->node[0].conn_max = 10;
    ep[0].conns = 1;
    w_start(w, &o);
    for (uint32_t i = 0; i < 15; i++)
        w_account(w, i, i, 1);
    w_for(w, 60 * RF_SEC);
    assert_int_equal(w_count(w).up, 10);
    assert_true(w_count(w).refused < 60);
    w->node[0].conn_max = 0;
    for (uint32_t i = 0; i < 5; i++)
        if (w->heard[i].up[0])
            w_remove(w, i);
    w_for(w, 60 * RF_SEC);
    assert_int_equal(w_count(w).up, 10);
    w_stop(w);
}

static void test_bad_params_are_final(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 2);
    w->node[0].error_code = w->node[1].error_code = -32602;
    w->node[0].error_text = w->node[1].error_text = "Invalid Request: Invalid pubkey provided";
    w->node[0].error_method = w->node[1].error_method = "accountSubscribe";
    w_start(w, &o);
    w_add(w, 0, "accountSubscribe", "[\"x\"]", 1);
    w_add(w, 1, "accountSubscribe", "[\"x\"]", 2);
    w_add(w, 2, "logsSubscribe", "[\"all\"]", 1);
    w_for(w, RF_SEC);
    assert_true(w->heard[0].refused && w->heard[1].refused);
    assert_true(w->heard[2].up[0]);
    struct rf_subs_counters c = w_count(w);
    assert_int_equal(c.wire, 1);
    assert_int_equal(c.subs, 3);
    w_remove(w, 0);
    w_remove(w, 1);
    assert_int_equal(w_count(w).subs, 1);
    w->node[0].error_code = w->node[1].error_code = 0;
    w_add(w, 3, "accountSubscribe", "[\"x\"]", 1); /* a new one is asked for again */
    w_for(w, RF_SEC);
    assert_true(w->heard[3].up[0]);
    w_stop(w);
}

static void test_an_unknown_method_is_tried_at_all_endpoints(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 2);
    ep[1].priority = 1;
    w->node[0].error_code = w->node[1].error_code = -32601;
    w->node[0].error_text = w->node[1].error_text = "Method not found";
    w->node[0].error_method = w->node[1].error_method = "blockSubscribe";
    w_start(w, &o);
    w_add(w, 0, "blockSubscribe", "[\"all\"]", 1);
    w_for(w, RF_SEC);
    assert_true(w->heard[0].refused);
    w->node[1].error_code = 0;
    w_add(w, 1, "blockSubscribe", "[\"all\"]", 1);
    w_for(w, RF_SEC);
    assert_true(w->heard[1].up[0]);
    assert_int_equal(w_subs_at(w, 1), 1);
    w_stop(w);
}

static void test_a_node_without_slots_is_used_without_a_heartbeat(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    o.heartbeat = true;
    w->node[0].error_code = -32601;
    w->node[0].error_text = "Method not found";
    w->node[0].error_method = "slotSubscribe";
    w_start(w, &o);
    w_account(w, 0, 1, 1);
    w_for(w, 60 * RF_SEC);
    assert_true(w->heard[0].up[0]);
    assert_int_equal(w->heard[0].downs, 0);
    assert_int_equal(w_count(w).refused, 1);
    w_add(w, 1, "slotSubscribe", "[]", 1); /* and who wants slots is told that there are none */
    w_for(w, RF_SEC);
    assert_true(w->heard[1].refused);
    assert_int_equal(w->heard[0].downs, 0);
    w_stop(w);
}

static void test_a_slot_subscription_that_is_the_heartbeat_is_refused_with_it(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    o.heartbeat = true;
    w->node[0].error_code = -32601;
    w->node[0].error_text = "Method not found";
    w->node[0].error_method = "slotSubscribe";
    w_start(w, &o);
    w_add(w, 0, "slotSubscribe", NULL, 1);
    w_account(w, 1, 1, 1);
    w_for(w, 5 * RF_SEC);
    assert_true(w->heard[0].refused);
    assert_true(w->heard[1].up[0]);
    w_stop(w);
}

static void test_a_throttled_endpoint_is_left_in_peace(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    w->node[0].error_code = 429;
    w->node[0].error_text = "Too many requests for a specific RPC call";
    w_start(w, &o);
    for (uint32_t i = 0; i < 50; i++)
        w_account(w, i, i, 1);
    w_for(w, 30 * RF_SEC);
    assert_true(w->node[0].messages <= 20); /* 50 a second are allowed */
    assert_int_equal(w->node[0].conns, 1);
    w->node[0].error_code = 0;
    w_for(w, 60 * RF_SEC);
    assert_int_equal(w_count(w).up, 50);
    w_stop(w);
}

static uint64_t time_to_up(uint32_t tag)
{
    uint64_t from = w->now;
    while (!w->heard[tag].up[0] && w->now < from + 1000 * RF_SEC)
        w_for(w, 50 * RF_MS);
    return w->now - from;
}

static void test_handshakes_that_are_refused_obey_retry_after(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    w->node[0].refuse_status = 429;
    w->node[0].refuse_after_ns = 20 * RF_SEC;
    w_start(w, &o);
    w_account(w, 0, 1, 1);
    w_for(w, RF_SEC);
    w->node[0].refuse_status = 0;
    assert_in_range(time_to_up(0), 18 * RF_SEC, 22 * RF_SEC);
    assert_int_equal(w_count(w).opened, 2);
    w_stop(w);
}

static void test_an_endpoint_that_forbids_is_left_alone_for_minutes(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 2);
    ep[1].priority = 1;
    w->node[0].refuse_status = 403;
    w_start(w, &o);
    w_account(w, 0, 1, 1);
    w_for(w, 200 * RF_SEC);
    assert_true(w->heard[0].up[0]);
    assert_int_equal(w_subs_at(w, 1), 1);
    assert_int_equal(w_count(w).opened, 2);
    assert_non_null(strstr(lines, "RF-WS-BENCH ep=a"));
    w_stop(w);
}

static void test_reconnects_back_off_and_forget_after_health(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    w->node[0].down = true;
    w_start(w, &o);
    w_account(w, 0, 1, 1);
    w_for(w, 600 * RF_SEC);
    uint64_t opened = w_count(w).opened;
    assert_in_range(opened, 25, 90); /* one in 15 s on average in the end */
    w->node[0].down = false;
    assert_true(time_to_up(0) <= 31 * RF_SEC);
    w_for(w, 61 * RF_SEC);
    w_cut(w, 0, 1006);
    w_for(w, 10 * RF_MS);
    assert_false(w->heard[0].up[0]);
    assert_true(time_to_up(0) <= 600 * RF_MS);
    w_stop(w);
}

static void test_reconnects_wait_no_longer_than_configured(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    ep[0].retry_ns = 200 * RF_MS;
    w->node[0].down = true;
    w_start(w, &o);
    w_account(w, 0, 1, 1);
    w_for(w, 60 * RF_SEC);
    assert_true(w_count(w).opened > 400); /* one in 100 ms and the way there on average */
    w->node[0].down = false;
    assert_true(time_to_up(0) <= 300 * RF_MS);
    w_stop(w);
}

static void test_many_that_fall_together_are_one_failure(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    ep[0].subs_per_conn = 1;
    w_start(w, &o);
    for (uint32_t i = 0; i < 8; i++)
        w_account(w, i, i, 1);
    w_for(w, 5 * RF_SEC);
    assert_int_equal(w->node[0].conns, 8);
    w_cut(w, 0, 1006);
    w_for(w, 3 * RF_SEC);
    assert_int_equal(w_count(w).up, 8);
    assert_non_null(strstr(lines, "fails=1"));
    assert_null(strstr(lines, "fails=2"));
    w_stop(w);
}

static void test_internal_errors_are_tried_again(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    w->node[0].error_code = -32603;
    w->node[0].error_text = "Internal error";
    w_start(w, &o);
    w_account(w, 0, 1, 1);
    w_for(w, 10 * RF_SEC);
    assert_false(w->heard[0].refused);
    w->node[0].error_code = 0;
    assert_true(time_to_up(0) <= 20 * RF_SEC);
    w_stop(w);
}

static void test_what_no_endpoint_takes_is_refused_here(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 2);
    ep[1].message_bytes = 8192;
    ep[1].priority = 1;
    w_start(w, &o);
    static char params[10000];
    memset(params, 'x', sizeof params);
    memcpy(params, "[\"", 2);
    memcpy(params + 9000, "\"]", 3);
    w_add(w, 0, "logsSubscribe", params, 1);
    memcpy(params + 6000, "\"]", 3);
    w_add(w, 1, "logsSubscribe", params, 1);
    w_account(w, 2, 1, 1);
    w_for(w, RF_SEC);
    assert_true(w->heard[0].refused);
    assert_true(w->heard[1].up[0]);
    assert_true(w->heard[2].up[0]);
    assert_int_equal(w_subs_at(w, 1), 1);
    w_stop(w);
}

static void test_states_are_logged_with_endpoint_and_reason(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    w_start(w, &o);
    w_account(w, 0, 1, 1);
    w_for(w, RF_SEC);
    w_cut(w, 0, 1006);
    w_for(w, RF_SEC);
    assert_non_null(strstr(lines, "RF-WS-OPENING ep=a session=1 was=new"));
    assert_non_null(strstr(lines, "RF-WS-OPEN ep=a session=1 was=opening"));
    assert_non_null(strstr(lines, "RF-WS-GONE ep=a session=1 was=open subs=1 "
                                  "why=\"closed by the node\""));
    w_stop(w);
}

/* One life with everything in it, the n-th allocation of which fails. */
static bool a_life_without_memory(uint64_t n)
{
    struct rf_subs_options o = options(RPCFAN_SOLANA, 2);
    o.heartbeat = o.roots = true;
    ep[0].subs_per_conn = ep[1].subs_per_conn = 7;
    ep[0].lifetime_ns = 20 * RF_SEC;
    w->node[0].slot_ns = w->node[1].slot_ns = 400 * RF_MS;
    w->node[0].early_news = w->node[1].early_news = 500;
    rf_alloc_fail_at(n);
    uint64_t before = rf_alloc_count();
    w->s = w_new(w, &o);
    if (w->s == NULL) {
        rf_alloc_fail_at(0);
        w_stop(w);
        return true;
    }
    for (uint32_t i = 0; i < 2; i++)
        w_event(w, W_SLOT, 0, w->now + w->node[i].slot_ns)->node = i;
    for (uint32_t i = 0; i < 20; i++) {
        char params[64];
        snprintf(params, sizeof params, "[\"%044u\"]", i / 2);
        w_add(w, i, "accountSubscribe", params, 1 + i % 2);
    }
    w_for(w, 30 * RF_SEC);
    w_cut(w, 0, 1006);
    w_for(w, 30 * RF_SEC);
    rf_alloc_fail_at(0);
    w_for(w, 10 * RF_SEC);
    for (uint32_t i = 0; i < 20; i++)
        assert_true(w->heard[i].id == 0 || w->heard[i].up[0]);
    bool failed = rf_alloc_count() - before >= n;
    w_stop(w);
    return failed;
}

static void test_lack_of_memory_is_survived(void **state)
{
    (void)state;
    uint64_t n = 1;
    /* each of the first ones, where it is set up, and then leaps through the rest */
    while (a_life_without_memory(n))
        n += n < 300 ? 1 : 37;
    assert_true(n > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_node_that_answers_a_batch_with_an_error_gets_none),
        cmocka_unit_test(test_a_node_that_closes_on_a_batch_gets_none),
        cmocka_unit_test(test_no_batch_may_be_configured),
        cmocka_unit_test(test_requests_are_paced),
        cmocka_unit_test(test_a_full_node_is_left_for_another),
        cmocka_unit_test(test_a_full_node_that_is_alone_is_asked_again_later),
        cmocka_unit_test(test_bad_params_are_final),
        cmocka_unit_test(test_an_unknown_method_is_tried_at_all_endpoints),
        cmocka_unit_test(test_a_node_without_slots_is_used_without_a_heartbeat),
        cmocka_unit_test(test_a_slot_subscription_that_is_the_heartbeat_is_refused_with_it),
        cmocka_unit_test(test_a_throttled_endpoint_is_left_in_peace),
        cmocka_unit_test(test_handshakes_that_are_refused_obey_retry_after),
        cmocka_unit_test(test_an_endpoint_that_forbids_is_left_alone_for_minutes),
        cmocka_unit_test(test_reconnects_back_off_and_forget_after_health),
        cmocka_unit_test(test_reconnects_wait_no_longer_than_configured),
        cmocka_unit_test(test_many_that_fall_together_are_one_failure),
        cmocka_unit_test(test_internal_errors_are_tried_again),
        cmocka_unit_test(test_what_no_endpoint_takes_is_refused_here),
        cmocka_unit_test(test_states_are_logged_with_endpoint_and_reason),
        cmocka_unit_test(test_lack_of_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
