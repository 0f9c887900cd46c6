/* test_net_route.c - the ways to a node besides TCP to its own address: a unix socket, IPv6,
 * proxies; and the token of a node's engine API. Against a raw server, over loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "canned.h"

static void test_unix_socket(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "/tmp/rpcfan-net-%ld.sock", (long)getpid());
    struct canned k = {TEXT(OK_ANSWER)};
    struct raw_server *s =
        raw_start(&(struct raw_options){.serve = serve_canned, .arg = &k, .unix_path = path});
    assert_non_null(s);
    struct net n;
    net_init(&n);
    n.o.unix_socket = path;
    net_url(&n, "http://never-looked-up.invalid/");
    net_open(&n);
    assert_int_equal(net_ask(&n, CALL)->reply.transport, RF_T_OK);
    assert_non_null(strstr(k.seen, "\r\nHost: never-looked-up.invalid\r\n"));
    net_close(&n);
    raw_stop(s);
    net_init(&n);
    n.o.unix_socket = path;
    net_url(&n, "http://never-looked-up.invalid/");
    net_open(&n);
    struct rf_exchange *ex = net_ask(&n, CALL);
    assert_int_equal(ex->reply.transport, RF_T_CONNECT);
    net_close(&n);
}

static void test_ipv6(void **state)
{
    (void)state;
    struct canned k = {TEXT(OK_ANSWER)};
    struct raw_server *s =
        raw_start(&(struct raw_options){.serve = serve_canned, .arg = &k, .ipv6 = true});
    if (s == NULL)
        skip(); /* a system without IPv6 */
    struct net n;
    net_init(&n);
    net_url(&n, "http://[::1]:%u/", raw_port(s));
    net_open(&n);
    assert_int_equal(net_ask(&n, CALL)->reply.transport, RF_T_OK);
    net_close(&n);
    raw_stop(s);
}

/* The environment names the raw server as proxy; the origin's name is never looked up. */
static void test_proxy_from_environment(void **state)
{
    (void)state;
    struct canned k = {TEXT(OK_ANSWER)};
    struct net n;
    struct raw_server *s = canned_start(&n, &k);
    char proxy[64];
    snprintf(proxy, sizeof proxy, "http://u:p@127.0.0.1:%u", raw_port(s));
    setenv("http_proxy", proxy, 1);
    unsetenv("no_proxy");
    n.o.proxy = NULL;
    net_url(&n, "http://node.invalid:8545/key");
    net_open(&n);
    unsetenv("http_proxy");
    assert_int_equal(net_ask(&n, CALL)->reply.transport, RF_T_OK);
    assert_true(strncmp(k.seen, "POST http://node.invalid:8545/key HTTP/1.1\r\n", 44) == 0);
    assert_non_null(strstr(k.seen, "\r\nProxy-Authorization: Basic dTpw\r\n"));
    net_close(&n);
    raw_stop(s);
}

/* A tunnel that the proxy refuses was never sent to the node. */
static void test_proxy_refuses_tunnel(void **state)
{
    (void)state;
    struct canned k = {TEXT("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")};
    struct net n;
    struct raw_server *s = canned_start(&n, &k);
    char proxy[64];
    snprintf(proxy, sizeof proxy, "127.0.0.1:%u", raw_port(s));
    n.o.proxy = proxy;
    net_url(&n, "https://node.invalid/");
    net_open(&n);
    struct rf_exchange *ex = net_ask(&n, CALL);
    assert_int_equal(ex->reply.transport, RF_T_CONNECT);
    assert_string_equal(ex->reply.reason, "the proxy refused the tunnel");
    assert_true(strncmp(k.seen, "CONNECT node.invalid:443 HTTP/1.1\r\n", 35) == 0);
    net_close(&n);
    raw_stop(s);
}

static void test_jwt_sent(void **state)
{
    (void)state;
    static const char hex[] = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    struct canned k = {TEXT(OK_ANSWER)};
    struct net n;
    struct raw_server *s = canned_start(&n, &k);
    n.o.jwt_secret = hex;
    net_open(&n);
    assert_int_equal(net_ask(&n, CALL)->reply.transport, RF_T_OK);
    struct rf_http_ep *ep = &n.http->ep[0];
    char want[RF_JWT_TEXT], line[RF_JWT_TEXT + 40];
    assert_true(rf_jwt_make(ep->jwt_secret, ep->jwt_made_s, want));
    snprintf(line, sizeof line, "\r\nAuthorization: Bearer %s\r\n", want);
    assert_non_null(strstr(k.seen, line));
    ep->jwt_made_s -= RF_JWT_RENEW_S; /* aged: the next request carries a new one */
    assert_int_equal(net_ask(&n, CALL)->reply.transport, RF_T_OK);
    assert_true(ep->jwt_made_s >= (int64_t)1600000000);
    assert_true(rf_jwt_make(ep->jwt_secret, ep->jwt_made_s, want));
    snprintf(line, sizeof line, "\r\nAuthorization: Bearer %s\r\n", want);
    assert_non_null(strstr(k.seen, line));
    net_close(&n);
    raw_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_proxy_from_environment),
        cmocka_unit_test(test_proxy_refuses_tunnel),
        cmocka_unit_test(test_jwt_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
