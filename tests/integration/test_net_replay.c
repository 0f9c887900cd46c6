/* test_net_replay.c - kept-alive connections that die when they are used again: libcurl silently
 * sends the request once more. The comment at a test says which handling it fails without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "nettest.h"
#include "rawserver.h"

#define CALL "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":[]}"
#define ANSWER "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x10\"}"

enum death { BY_FIN, BY_RESET, FOR_GOOD };

/* The first connection dies when the second request is read from it. */
static void serve_one_then_die(struct raw_conn *c, void *arg)
{
    const enum death *death = arg;
    if (!raw_read(c) || !raw_reply(c, ANSWER) || c->number > 1 || !raw_read(c))
        return;
    if (*death == BY_RESET)
        raw_reset(c);
    if (*death == FOR_GOOD)
        raw_refuse(c->server);
}

/* Fails without count_send(): libcurl reports the replay nowhere. By reset it also fails where
 * POLLERR is passed to libcurl as CURL_CSELECT_ERR. */
static void test_replay_counted(void **state)
{
    (void)state;
    for (enum death death = BY_FIN; death <= BY_RESET; death++) {
        struct net n;
        struct raw_server *s = net_serve(&n, serve_one_then_die, &death);
        assert_int_equal(net_ask(&n, CALL)->reply.resent, 0);
        struct rf_exchange *ex = net_ask(&n, CALL);
        net_assert_reply(ex, RF_T_OK, NULL);
        assert_int_equal(ex->reply.resent, 1);
        assert_int_equal(raw_requests(s), 3);
        net_close(&n);
        raw_stop(s);
    }
}

static void serve_die_at_second(struct raw_conn *c, void *arg)
{
    (void)arg;
    if (raw_read(c) && raw_reply(c, ANSWER))
        raw_read(c);
}

/* Fails where an easy handle that has replayed is pooled: libcurl gives its sixth replay up. */
static void test_replays_without_end(void **state)
{
    (void)state;
    struct net n;
    struct raw_server *s = net_serve(&n, serve_die_at_second, NULL);
    for (int i = 0; i < 30; i++) {
        struct rf_exchange *ex = net_ask(&n, CALL);
        net_assert_reply(ex, RF_T_OK, NULL);
        assert_int_equal(ex->reply.resent, i > 0);
    }
    net_close(&n);
    raw_stop(s);
}

/* Fails where the class goes by libcurl's code alone: 7 usually means that nothing was sent, but
 * here the request went out on the connection that died. */
static void test_replay_refused_is_reset(void **state)
{
    (void)state;
    struct net n;
    enum death death = FOR_GOOD;
    struct raw_server *s = net_serve(&n, serve_one_then_die, &death);
    net_assert_reply(net_ask(&n, CALL), RF_T_OK, NULL);
    struct rf_exchange *ex = net_ask(&n, CALL);
    assert_int_equal(ex->reply.transport, RF_T_RESET);
    assert_int_equal(raw_requests(s), 2);
    net_close(&n);
    raw_stop(s);
}

static void serve_first_only(struct raw_conn *c, void *arg)
{
    (void)arg;
    if (c->number == 1 && raw_read(c) && raw_reply(c, ANSWER))
        raw_hold(c);
    else
        raw_read(c);
}

/* Fails without FRESH_CONNECT: the exchange would go over the idle connection, or be replayed. */
static void test_fresh_sent_once(void **state)
{
    (void)state;
    struct net n;
    struct raw_server *s = net_serve(&n, serve_first_only, NULL);
    net_assert_reply(net_ask(&n, CALL), RF_T_OK, NULL);
    struct rf_exchange *ex = net_exchange(&n, CALL);
    ex->fresh = true;
    net_send(&n, ex);
    net_wait(&n, 2);
    assert_int_equal(ex->reply.transport, RF_T_RESET);
    assert_int_equal(ex->reply.resent, 0);
    assert_int_equal(raw_requests(s), 2);
    assert_int_equal(raw_connections(s), 2);
    net_close(&n);
    raw_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replay_counted),
        cmocka_unit_test(test_replays_without_end),
        cmocka_unit_test(test_replay_refused_is_reset),
        cmocka_unit_test(test_fresh_sent_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
