/* test_subs.c - the subscription engine, one behaviour a test, against nodes in virtual time:
 * sharing, spreading, packing, replacing, watching, reading. */
#include "subs_world.h"

static struct world world;
static struct world *const w = &world;
static struct rf_subs_endpoint ep[W_ENDPOINTS];

static struct rf_subs_options options(enum rpcfan_family family, uint32_t n)
{
    static const char *const names[W_ENDPOINTS] = {"a", "b", "c"};
    memset(ep, 0, sizeof ep);
    for (uint32_t i = 0; i < W_ENDPOINTS; i++)
        ep[i].name = names[i];
    w_init(&world, 1);
    return (struct rf_subs_options){.family = family, .endpoint = ep, .n_endpoints = n, .seed = 7};
}

static void test_one_subscription_comes_up_tells_and_ends(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    w_start(w, &o);
    w_account(w, 0, 1, 1);
    assert_int_equal(rf_subs_deadline(w->s), 0);
    w_for(w, RF_SEC);
    assert_true(w->heard[0].up[0]);
    assert_int_equal(w->node[0].messages, 1);
    assert_int_equal(w->node[0].batches, 0);
    w_publish(w, 0, "accountSubscribe", "{\"context\":{\"slot\":5},\"value\":null}");
    w_for(w, RF_SEC);
    assert_int_equal(w->heard[0].news, 1);
    assert_string_equal(w->heard[0].last, "{\"context\":{\"slot\":5},\"value\":null}");
    w_remove(w, 0);
    w_for(w, 500 * RF_MS);
    assert_int_equal(w_subs_at(w, 0), 0);
    assert_int_equal(w->node[0].conns, 1); /* kept a second */
    w_for(w, 2 * RF_SEC);
    assert_int_equal(w->node[0].conns, 0);
    assert_int_equal(rf_subs_deadline(w->s), RF_NEVER);
    assert_int_equal(w->session_downs, 1);
    w_stop(w);
}

static void test_params_that_are_no_array_are_not_taken(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    w_start(w, &o);
    assert_int_equal(w_add(w, 0, "accountSubscribe", "{\"a\":1}", 1), 0);
    assert_int_equal(w_add(w, 0, "accountSubscribe", "[1", 1), 0);
    assert_int_equal(w_add(w, 0, "accountSubscribe", "[1] 2", 1), 0);
    assert_int_not_equal(w_add(w, 0, "accountSubscribe", " [1] ", 1), 0);
    rf_subs_remove(w->s, 77, w->now); /* no such one */
    w_stop(w);
}

static void test_equal_ones_share_a_wire(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_EVM, 1);
    w_start(w, &o);
    w->node[0].own_ids = true;
    w_add(w, 0, "eth_subscribe", "[\"logs\",{\"address\":\"0x1\",\"topics\":[]}]", 1);
    w_add(w, 1, "eth_subscribe", " [ \"logs\", {\"topics\":[],\"address\":\"0x1\"} ]", 1);
    w_for(w, RF_SEC);
    w_add(w, 2, "eth_subscribe", "[\"logs\",{\"topics\":[],\"address\":\"0x1\"}]", 1);
    assert_int_equal(w->heard[2].ups, 0); /* on a later step */
    w_for(w, RF_SEC);
    assert_int_equal(w->node[0].subscribed, 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(w->heard[i].ups, 1);
    assert_int_equal(w_count(w).wire, 1);
    w_remove(w, 0);
    w_publish(w, 0, "logs", "{\"n\":1}");
    w_for(w, RF_SEC);
    assert_int_equal(w->heard[0].news, 0);
    assert_int_equal(w->heard[1].news, 1);
    assert_int_equal(w->heard[2].news, 1);
    assert_int_equal(w_subs_at(w, 0), 1);
    w_remove(w, 1);
    w_remove(w, 2);
    w_for(w, 500 * RF_MS);
    assert_int_equal(w_subs_at(w, 0), 0);
    w_stop(w);
}

static void test_what_is_added_again_at_once_stays_subscribed(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    w_start(w, &o);
    w_account(w, 0, 1, 1);
    w_for(w, RF_SEC);
    w_remove(w, 0);
    w_account(w, 1, 1, 1);
    w_for(w, RF_SEC);
    assert_true(w->heard[1].up[0]);
    assert_int_equal(w->node[0].subscribed, 1); /* nothing was sent */
    assert_int_equal(w->node[0].messages, 1);
    w_remove(w, 1); /* and while it is asked for */
    w_account(w, 2, 2, 1);
    rf_subs_step(w->s, w->now);
    w_remove(w, 2);
    w_account(w, 3, 2, 1);
    w_for(w, RF_SEC);
    assert_true(w->heard[3].up[0]);
    assert_int_equal(w->node[0].subscribed, 2);
    assert_int_equal(w->node[0].double_subs, 0);
    w_stop(w);
}

static void test_requests_are_packed_into_what_a_message_may_hold(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    ep[0].per_s = 100;
    w->node[0].message_max = 4096;
    w_start(w, &o);
    for (uint32_t i = 0; i < 100; i++)
        w_account(w, i, i, 1);
    w_for(w, RF_SEC);
    assert_int_equal(w_count(w).up, 100);
    assert_in_range(w->node[0].messages, 4, 5);
    assert_in_range(w->node[0].longest, 3900, 4096);
    for (uint32_t i = 0; i < 100; i++)
        w_remove(w, i);
    w_for(w, 900 * RF_MS);
    assert_int_equal(w_subs_at(w, 0), 0);
    assert_in_range(w->node[0].messages, 6, 10);
    w_stop(w);
}

static void test_five_thousand_are_up_again_within_three_seconds(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    ep[0].per_s = 100;
    ep[0].subs_per_conn = 1000;
    w->node[0].message_max = 4096;
    w->node[0].delay_ns = 50 * RF_MS;
    w->node[0].slot_ns = 400 * RF_MS;
    o.heartbeat = true;
    w_start(w, &o);
    for (uint32_t i = 0; i < 5000; i++)
        w_account(w, i, i, 1);
    w_for(w, 3 * RF_SEC);
    assert_int_equal(w_count(w).up, 5000);
    assert_int_equal(w->node[0].conns, 6); /* the heartbeat is one of a connection's thousand */
    w_for(w, 61 * RF_SEC);
    w_cut(w, 0, 1006);
    w_for(w, 100 * RF_MS);
    assert_int_equal(w_count(w).up, 0);
    uint64_t cut = w->now;
    while (w_count(w).up < 5000 && w->now < cut + 10 * RF_SEC)
        w_for(w, 50 * RF_MS);
    assert_true(w->now - cut <= 3 * RF_SEC);
    w_stop(w);
}

static void test_they_are_spread_over_connections_that_close_when_empty(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    ep[0].subs_per_conn = 10;
    ep[0].conns = 3;
    w_start(w, &o);
    for (uint32_t i = 0; i < 35; i++)
        w_account(w, i, i, 1);
    w_for(w, 2 * RF_SEC);
    assert_int_equal(w->node[0].conns, 3);
    assert_int_equal(w_count(w).up, 30); /* that is all that the endpoint may have */
    for (uint32_t i = 10; i < 20; i++)
        w_remove(w, i);
    w_for(w, 5 * RF_SEC);
    assert_int_equal(w_count(w).up, 25);
    for (uint32_t i = 20; i < 30; i++)
        w_remove(w, i);
    w_for(w, 5 * RF_SEC);
    assert_int_equal(w->node[0].conns, 2);
    w_stop(w);
}

static void test_the_best_endpoint_is_used_and_the_next_one_when_it_stays_down(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 2);
    ep[0].priority = 2;
    ep[1].priority = 1;
    w_start(w, &o);
    for (uint32_t i = 0; i < 20; i++)
        w_account(w, i, i, 1);
    w_for(w, RF_SEC);
    assert_int_equal(w_subs_at(w, 1), 20);
    w_cut(w, 1, 1006); /* a stumble: it is waited for */
    w_for(w, 3 * RF_SEC);
    assert_int_equal(w_subs_at(w, 1), 20);
    w->node[1].down = true;
    w_cut(w, 1, 1006);
    w_for(w, 5 * RF_SEC);
    assert_int_equal(w_subs_at(w, 0), 20);
    assert_int_equal(w_count(w).up, 20);
    w_stop(w);
}

static void test_one_goes_back_to_the_best_endpoint_without_a_hole(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 2);
    ep[1].priority = 1;
    w->node[0].down = true;
    w_start(w, &o);
    for (uint32_t i = 0; i < 20; i++)
        w_account(w, i, i, 1);
    w_for(w, 5 * RF_SEC);
    assert_int_equal(w_subs_at(w, 1), 20);
    w_for(w, 600 * RF_SEC);
    assert_in_range(w_count(w).opened, 4, 9); /* it is looked for now and then */
    w->node[0].down = false;
    w_for(w, 200 * RF_SEC);
    assert_int_equal(w_subs_at(w, 0), 20);
    assert_int_equal(w->node[1].conns, 0);
    for (uint32_t i = 0; i < 20; i++)
        assert_int_equal(w->heard[i].downs, 0);
    w_stop(w);
}

static void test_equals_share_the_load(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 3);
    w_start(w, &o);
    for (uint32_t i = 0; i < 30; i++)
        w_account(w, i, i, 1);
    w_for(w, RF_SEC);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(w_subs_at(w, i), 10);
    w_stop(w);
}

static void test_two_copies_are_at_two_endpoints(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 2);
    w_start(w, &o);
    w_account(w, 0, 1, 2);
    w_account(w, 1, 1, 1);
    w_for(w, RF_SEC);
    assert_true(w->heard[0].up[0] && w->heard[0].up[1]);
    assert_int_not_equal(w->heard[0].session[0], w->heard[0].session[1]);
    assert_int_equal(w_subs_at(w, 0), 1);
    assert_int_equal(w_subs_at(w, 1), 1);
    w_publish(w, 0, "account", "[1]");
    w_publish(w, 1, "account", "[1]");
    w_for(w, RF_SEC);
    assert_int_equal(w->heard[0].news, 2);
    assert_int_equal(w->heard[1].news, 1);
    w->node[0].down = true;
    w_cut(w, 0, 1006);
    w_for(w, 30 * RF_SEC); /* the other one is not moved to where the first one is */
    assert_int_equal(w->heard[0].downs, 1);
    assert_int_equal(w_subs_at(w, 1), 1);
    w->node[0].down = false;
    w_for(w, 60 * RF_SEC);
    assert_true(w->heard[0].up[0] && w->heard[0].up[1]);
    w_remove(w, 0); /* the second copy goes, the first one stays for the other */
    w_for(w, 5 * RF_SEC);
    assert_true(w->heard[1].up[0]);
    assert_int_equal(w_subs_at(w, 0) + w_subs_at(w, 1), 1);
    w_stop(w);
}

static void test_two_copies_at_one_endpoint_are_on_two_connections(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    w_start(w, &o);
    w_account(w, 0, 1, 2);
    w_for(w, RF_SEC);
    assert_true(w->heard[0].up[0] && w->heard[0].up[1]);
    assert_int_equal(w->node[0].conns, 2);
    assert_int_equal(w->node[0].double_subs, 0);
    w_stop(w);
}

static void test_a_lost_reply_is_asked_for_elsewhere_and_nobody_is_down(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    w_start(w, &o);
    w_account(w, 0, 1, 1);
    w_for(w, RF_SEC);
    w->node[0].lose_reply = 1000;
    w_account(w, 1, 2, 1);
    w_for(w, 9 * RF_SEC);
    assert_false(w->heard[1].up[0]);
    w->node[0].lose_reply = 0;
    w_for(w, 2 * RF_SEC);
    assert_true(w->heard[1].up[0]);
    assert_int_equal(w->heard[1].ups, 1);
    assert_int_equal(w->heard[0].downs, 0);
    assert_int_equal(w->heard[0].moved, 1);
    w_for(w, 5 * RF_SEC);
    assert_int_equal(w->node[0].conns, 1);
    assert_int_equal(w_count(w).opened, 2);
    w_publish(w, 0, "account", "[1]");
    w_for(w, RF_SEC);
    assert_int_equal(w->heard[0].news, 1);
    assert_int_equal(w->heard[1].news, 1);
    w_stop(w);
}

static void test_news_before_the_reply_are_told_after_up(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    o.held = 10;
    w_start(w, &o);
    w->node[0].early_news = 1000;
    for (uint32_t i = 0; i < 30; i++)
        w_account(w, i, i, 1);
    w_for(w, RF_SEC);
    uint32_t news = 0;
    for (uint32_t i = 0; i < 30; i++) {
        assert_true(w->heard[i].up[0]);
        news += w->heard[i].news;
    }
    struct rf_subs_counters c = w_count(w);
    assert_int_equal(c.held, 30);
    assert_int_equal(news + c.lost_held, 30);
    assert_true(news >= 10 && c.lost_held > 0);
    w_stop(w);
}

static void say(const char *text)
{
    struct w_session *x = RF_CONTAINER(w->sessions.next, struct w_session, link);
    w_frame(w, x, text, strlen(text));
}

static void test_news_for_nobody_are_counted_and_dropped(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    w_start(w, &o);
    w_account(w, 0, 1, 1);
    w_for(w, RF_SEC);
    say("{\"method\":\"x\",\"params\":{\"subscription\":999,\"result\":1}}");
    w_for(w, RF_SEC);
    assert_int_equal(w_count(w).unknown, 1);
    w->node[0].lose_reply = 1000; /* while a reply is out they are held, and then dropped */
    w_account(w, 1, 2, 1);
    w_for(w, RF_SEC);
    say("{\"method\":\"x\",\"params\":{\"subscription\":998,\"result\":1}}");
    w_for(w, RF_SEC);
    assert_int_equal(w_count(w).unknown, 1);
    assert_int_equal(w_count(w).held, 1);
    w_for(w, 15 * RF_SEC);
    assert_int_equal(w_count(w).unknown, 2);
    assert_int_equal(w->heard[0].downs, 0);
    w_stop(w);
}

static void test_news_that_cross_an_unsubscribe_are_ignored(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    w_start(w, &o);
    w_account(w, 0, 1, 1);
    w_account(w, 1, 2, 1);
    w_for(w, RF_SEC);
    w_publish(w, 0, "account", "[1]");
    w_remove(w, 0);
    w_for(w, RF_SEC);
    assert_int_equal(w->heard[1].news, 1);
    assert_int_equal(w_count(w).unknown, 0);
    w_stop(w);
}

static void test_an_id_for_two_wires_tells_both_and_is_kept_for_the_last(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    w_start(w, &o);
    w_account(w, 0, 1, 1);
    w_for(w, RF_SEC);
    /* The node takes the default that is written out for the one that is not. */
    w_add(w, 1, "accountSubscribe", "[\"K\",{\"commitment\":\"finalized\"}]", 1);
    rf_subs_step(w->s, w->now);
    w_for(w, 500 * RF_US);
    say("{\"jsonrpc\":\"2.0\",\"result\":1,\"id\":2}");
    w_for(w, RF_SEC);
    w_publish(w, 0, "0001", "[1]");
    w_for(w, RF_SEC);
    assert_int_equal(w->heard[0].news, 1);
    assert_int_equal(w->heard[1].news, 1);
    uint32_t messages = w->node[0].messages;
    w_remove(w, 0);
    w_for(w, RF_SEC);
    assert_int_equal(w->node[0].messages, messages); /* it would end the other one */
    w_publish(w, 0, "0001", "[2]");
    w_for(w, RF_SEC);
    assert_int_equal(w->heard[1].news, 2);
    w_remove(w, 1);
    w_for(w, 500 * RF_MS);
    assert_int_equal(w->node[0].messages, messages + 1);
    w_stop(w);
}

static void test_what_died_with_an_equal_one_is_asked_for_again(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    ep[0].per_s = 1000;
    w_start(w, &o);
    w_account(w, 0, 1, 1);
    w_for(w, RF_SEC);
    /* asked for, and then what the node takes for the same is ended, before the reply comes */
    w_add(w, 1, "accountSubscribe", "[\"K\"]", 1);
    rf_subs_step(w->s, w->now);
    w_remove(w, 0);
    w_for(w, 500 * RF_US);
    say("{\"jsonrpc\":\"2.0\",\"result\":1,\"id\":2}");
    w_for(w, RF_SEC);
    assert_true(w->heard[1].up[0]);
    assert_int_equal(w->node[0].subscribed, 3);
    w_publish(w, 0, "\"K\"", "[1]");
    w_for(w, RF_SEC);
    assert_true(w->heard[1].news > 0);
    w_stop(w);
}

static void test_the_heartbeat_is_told_and_its_silence_ends_the_session(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    o.heartbeat = o.roots = true;
    w->node[0].slot_ns = 400 * RF_MS;
    w_start(w, &o);
    w_account(w, 0, 1, 1);
    w_for(w, 100 * RF_SEC);
    assert_in_range(w->slots, 245, 250);
    assert_in_range(w->roots, 245, 250);
    assert_int_equal(w->heard[0].downs, 0);
    w->node[0].silent = true;
    w_for(w, 4500 * RF_MS);
    assert_int_equal(w->heard[0].downs, 0);
    w_for(w, 1500 * RF_MS);
    assert_int_equal(w->heard[0].downs, 1);
    assert_int_equal(w_count(w).stalls, 1);
    w->node[0].silent = false;
    w_for(w, 30 * RF_SEC);
    assert_true(w->heard[0].up[0]);
    w_stop(w);
}

static void test_slots_that_somebody_wants_are_the_heartbeat(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    o.heartbeat = true;
    w->node[0].slot_ns = 400 * RF_MS;
    w_start(w, &o);
    w_account(w, 0, 1, 1);
    w_for(w, 2 * RF_SEC);
    w_add(w, 1, "slotSubscribe", "[]", 1);
    w_for(w, 4 * RF_SEC);
    assert_int_equal(w->heard[1].ups, 1);
    assert_in_range(w->heard[1].news, 9, 10);
    assert_int_equal(w_subs_at(w, 0), 2);
    uint32_t slots = w->slots;
    w_remove(w, 1);
    w_for(w, 4 * RF_SEC);
    assert_in_range(w->slots, slots + 9, slots + 11);
    assert_int_equal(w_subs_at(w, 0), 2);
    w_stop(w);
}

static void test_without_new_heads_an_evm_session_ends(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_EVM, 1);
    w->node[0].own_ids = true;
    w_start(w, &o);
    w_add(w, 0, "eth_subscribe", "[\"logs\",{}]", 1);
    w_for(w, 300 * RF_SEC);
    assert_int_equal(w->heard[0].downs, 0); /* logs may be silent for long */
    w_add(w, 1, "eth_subscribe", "[\"newHeads\"]", 1);
    for (int i = 0; i < 10; i++) {
        w_publish(w, 0, "newHeads", "{\"number\":\"0x1\"}");
        w_for(w, 50 * RF_SEC);
    }
    assert_int_equal(w->heard[1].downs, 0);
    w_for(w, 20 * RF_SEC);
    assert_int_equal(w->heard[1].downs, 1);
    assert_int_equal(w_count(w).stalls, 1);
    assert_true(w->heard[1].up[0] && w->heard[0].up[0]);
    w_remove(w, 1);
    w_for(w, 300 * RF_SEC);
    assert_int_equal(w->heard[0].downs, 1);
    w_stop(w);
}

static void test_a_planned_reconnect_leaves_no_hole(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    ep[0].lifetime_ns = 600 * RF_SEC;
    o.heartbeat = true;
    w->node[0].slot_ns = 400 * RF_MS;
    w_start(w, &o);
    for (uint32_t i = 0; i < 50; i++)
        w_account(w, i, i, 1);
    w_add(w, 50, "slotSubscribe", "[]", 1);
    uint32_t told = 0;
    for (int i = 0; i < 6000; i++) {
        w_for(w, 100 * RF_MS);
        if (w->heard[0].up[0]) {
            w_publish(w, 0, "account", "[1]");
            told++;
        }
    }
    w_for(w, 10 * RF_SEC);
    for (uint32_t i = 0; i < 50; i++) {
        assert_int_equal(w->heard[i].downs, 0);
        assert_int_equal(w->heard[i].moved, 1);
        assert_in_range(w->heard[i].news, told, told + 40); /* twice while both stand */
    }
    assert_int_equal(w->heard[50].downs, 0);
    assert_int_equal(w_count(w).opened, 2);
    assert_int_equal(w->node[0].conns, 1);
    w_stop(w);
}

static void test_a_planned_reconnect_that_fails_changes_nothing(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    ep[0].lifetime_ns = 100 * RF_SEC;
    w_start(w, &o);
    w_account(w, 0, 1, 1);
    w_for(w, 50 * RF_SEC);
    w->node[0].down = true;
    w_for(w, 200 * RF_SEC);
    assert_int_equal(w->heard[0].downs, 0);
    assert_true(w_count(w).opened > 2);
    w->node[0].down = false;
    w_for(w, 60 * RF_SEC);
    assert_int_equal(w->heard[0].moved, 1);
    assert_int_equal(w->heard[0].downs, 0);
    w_stop(w);
}

static void test_the_old_one_carries_on_where_the_new_one_falls(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    ep[0].lifetime_ns = 100 * RF_SEC;
    w_start(w, &o);
    w_account(w, 0, 1, 1);
    w_for(w, RF_SEC);
    while (w->heard[0].moved == 0)
        w_for(w, 100 * RF_MS);
    uint64_t second = w->heard[0].session[0];
    w_end(w, w_find(w, second), 1006);
    w_for(w, RF_SEC);
    assert_int_equal(w->heard[0].downs, 0);
    assert_true(w->heard[0].up[0]);
    assert_true(w->heard[0].session[0] < second);
    assert_int_equal(w->node[0].conns, 1);
    w_stop(w);
}

static void doubtful(const char *text)
{
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    w_start(w, &o);
    w_account(w, 0, 1, 1);
    w_for(w, RF_SEC);
    say(text);
    w_for(w, 5 * RF_SEC);
    assert_int_equal(w->heard[0].downs, 1);
    assert_true(w->heard[0].up[0]); /* again */
    assert_int_equal(w_count(w).malformed, 1);
    w_stop(w);
}

static void test_a_message_that_makes_no_sense_ends_the_session(void **state)
{
    (void)state;
    doubtful(
        "{\"jsonrpc\":\"2.0\",\"method\":\"accountNotification\",\"params\":{\"result\":{\"co");
    doubtful("");
    doubtful("<html>");
    doubtful("{\"method\":\"a\",\"params\":{\"subscription\":1}}");
    doubtful("{\"method\":\"a\",\"params\":{\"subscription\":null,\"result\":1}}");
    doubtful("[{\"method\":\"a\",\"params\":{\"subscription\":1,\"result\":1}},");
}

static void test_what_is_no_news_but_json_does_no_harm(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    w_start(w, &o);
    w_account(w, 0, 1, 1);
    w_for(w, RF_SEC);
    static const char *const texts[] = {
        "\"pong\"",
        "{}",
        "[]",
        "[1,{}]",
        "{\"method\":\"ping\"}",
        "null",
        "{\"jsonrpc\":\"2.0\",\"id\":77,\"result\":1}",
        "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"Parse error\"}}",
        "{\"params\":{\"subscription\":1,\"result\":[],\"more\":{\"x\":[1]}},\"method\":\"a\"}",
    };
    for (size_t i = 0; i < RF_COUNT(texts); i++)
        say(texts[i]);
    w_for(w, 5 * RF_SEC);
    assert_int_equal(w->heard[0].downs, 0);
    assert_int_equal(w->heard[0].news, 1);
    assert_int_equal(w_count(w).malformed, 0);
    w_stop(w);
}

static void test_a_lost_message_and_a_refuted_session_end_it(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    w_start(w, &o);
    w_account(w, 0, 1, 1);
    w_for(w, RF_SEC);
    rf_subs_lost(w->s, w->heard[0].session[0], "over the cap", w->now);
    assert_int_equal(w->heard[0].downs, 0); /* told by the step, never inside of the call */
    w_for(w, 5 * RF_SEC);
    assert_int_equal(w->heard[0].downs, 1);
    rf_subs_distrust(w->s, w->heard[0].session[0], "refuted", w->now);
    rf_subs_distrust(w->s, 12345, "no such one", w->now);
    w_for(w, 5 * RF_SEC);
    assert_int_equal(w->heard[0].downs, 2);
    assert_true(w->heard[0].up[0]);
    w_stop(w);
}

static void test_status_is_json(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 2);
    w_start(w, &o);
    w_account(w, 0, 1, 2);
    w_for(w, RF_SEC);
    struct rf_buf b = {0};
    rf_subs_status(w->s, w->now, &b);
    json_t *root = json_loadb(b.data, b.len, 0, NULL);
    assert_non_null(root);
    assert_int_equal(json_integer_value(json_object_get(root, "up")), 1);
    json_t *e = json_array_get(json_object_get(root, "endpoints"), 1);
    assert_string_equal(json_string_value(json_object_get(e, "name")), "b");
    json_t *c = json_array_get(json_object_get(e, "sessions"), 0);
    assert_string_equal(json_string_value(json_object_get(c, "state")), "open");
    assert_int_equal(json_integer_value(json_object_get(c, "up")), 1);
    json_decref(root);
    rf_buf_fini(&b);
    w_stop(w);
}

static void test_a_notification_allocates_nothing(void **state)
{
    (void)state;
    struct rf_subs_options o = options(RPCFAN_SOLANA, 1);
    w_start(w, &o);
    w_account(w, 0, 1, 1);
    w_for(w, RF_SEC);
    static const char text[] = "{\"method\":\"x\",\"params\":{\"subscription\":1,\"result\":[7]}}";
    struct rf_blob *blob = rf_blob_new(sizeof text);
    assert_true(rf_blob_add(blob, text, sizeof text - 1));
    uint64_t before = rf_alloc_count();
    for (int i = 0; i < 1000; i++) {
        rf_subs_message(w->s, w->heard[0].session[0], blob, w->now);
        rf_subs_step(w->s, w->now);
    }
    assert_int_equal(rf_alloc_count(), before);
    assert_int_equal(w->heard[0].news, 1000);
    rf_blob_unref(blob);
    w_stop(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_subscription_comes_up_tells_and_ends),
        cmocka_unit_test(test_params_that_are_no_array_are_not_taken),
        cmocka_unit_test(test_equal_ones_share_a_wire),
        cmocka_unit_test(test_what_is_added_again_at_once_stays_subscribed),
        cmocka_unit_test(test_requests_are_packed_into_what_a_message_may_hold),
        cmocka_unit_test(test_five_thousand_are_up_again_within_three_seconds),
        cmocka_unit_test(test_they_are_spread_over_connections_that_close_when_empty),
        cmocka_unit_test(test_the_best_endpoint_is_used_and_the_next_one_when_it_stays_down),
        cmocka_unit_test(test_one_goes_back_to_the_best_endpoint_without_a_hole),
        cmocka_unit_test(test_equals_share_the_load),
        cmocka_unit_test(test_two_copies_are_at_two_endpoints),
        cmocka_unit_test(test_two_copies_at_one_endpoint_are_on_two_connections),
        cmocka_unit_test(test_a_lost_reply_is_asked_for_elsewhere_and_nobody_is_down),
        cmocka_unit_test(test_news_before_the_reply_are_told_after_up),
        cmocka_unit_test(test_news_for_nobody_are_counted_and_dropped),
        cmocka_unit_test(test_news_that_cross_an_unsubscribe_are_ignored),
        cmocka_unit_test(test_an_id_for_two_wires_tells_both_and_is_kept_for_the_last),
        cmocka_unit_test(test_what_died_with_an_equal_one_is_asked_for_again),
        cmocka_unit_test(test_the_heartbeat_is_told_and_its_silence_ends_the_session),
        cmocka_unit_test(test_slots_that_somebody_wants_are_the_heartbeat),
        cmocka_unit_test(test_without_new_heads_an_evm_session_ends),
        cmocka_unit_test(test_a_planned_reconnect_leaves_no_hole),
        cmocka_unit_test(test_a_planned_reconnect_that_fails_changes_nothing),
        cmocka_unit_test(test_the_old_one_carries_on_where_the_new_one_falls),
        cmocka_unit_test(test_a_message_that_makes_no_sense_ends_the_session),
        cmocka_unit_test(test_what_is_no_news_but_json_does_no_harm),
        cmocka_unit_test(test_a_lost_message_and_a_refuted_session_end_it),
        cmocka_unit_test(test_status_is_json),
        cmocka_unit_test(test_a_notification_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
