/* test_ws_ep.c - what an endpoint's options make of a WebSocket: URL, headers, proxy, and what is
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/ws_int.h"

/* A shell with one endpoint; nothing is connected. */
struct shell {
    uv_loop_t loop;
    struct rpcfan_endpoint_options o;
    const struct rpcfan_endpoint_options *endpoints[1];
    struct rf_ws *ws;
    struct rpcfan_error err;
};

static void note_down(void *arg)
{
    (void)arg;
}

static void no_event(const struct rf_ws_event *ev, void *arg)
{
    (void)ev;
    (void)arg;
    fail();
}

static void begin(struct shell *s)
{
    memset(s, 0, sizeof *s);
    s->o.size = sizeof s->o;
    s->o.name = "node";
    s->o.proxy = "";
    s->endpoints[0] = &s->o;
    assert_int_equal(uv_loop_init(&s->loop), 0);
}

static enum rpcfan_err make(struct shell *s)
{
    struct rf_ws_options o = {
        .loop = &s->loop, .endpoints = s->endpoints, .n_endpoints = 1, .event = no_event};
    return rf_ws_new(&o, &s->ws, &s->err);
}

static struct rf_ws_ep *must(struct shell *s)
{
    if (make(s) != RPCFAN_OK)
        fail_msg("%s", s->err.text);
    return &s->ws->ep[0];
}

static void end(struct shell *s)
{
    if (s->ws != NULL) {
        rf_ws_shutdown(s->ws, note_down, NULL);
        uv_run(&s->loop, UV_RUN_DEFAULT);
        rf_ws_free(s->ws);
    }
    assert_int_equal(uv_loop_close(&s->loop), 0);
}

static void check_url(const char *url, const char *ws_url, bool tls, const char *host,
                      unsigned port, const char *host_header, const char *path)
{
    struct shell s;
    begin(&s);
    s.o.url = url;
    s.o.ws_url = ws_url;
    struct rf_ws_ep *ep = must(&s);
    assert_true(rf_ws_has(s.ws, 0, NULL));
    assert_int_equal(ep->tls, tls);
    assert_string_equal(ep->host, host);
    assert_int_equal(ep->port, port);
    assert_string_equal(ep->host_header, host_header);
    assert_string_equal(ep->path, path);
    end(&s);
}

static void test_url_derived_or_given(void **state)
{
    (void)state;
    check_url("http://a.test/", NULL, false, "a.test", 80, "a.test", "/");
    check_url("https://a.test", NULL, true, "a.test", 443, "a.test", "/");
    check_url("https://a.test:8443/v2/key?x=y", NULL, true, "a.test", 8443, "a.test:8443",
              "/v2/key?x=y");
    check_url("http://a.test/", "ws://b.test:8900", false, "b.test", 8900, "b.test:8900", "/");
    check_url("http://a.test/", "WSS://B.test/key#part", true, "B.test", 443, "B.test", "/key");
    check_url(NULL, "ws://[::1]:8546/", false, "::1", 8546, "[::1]:8546", "/");
    check_url(NULL, "ws://127.0.0.1/", false, "127.0.0.1", 80, "127.0.0.1", "/");
}

static void check_none(const char *url, const char *ws_url, const char *unix_socket,
                       const char *proxy, const char *want)
{
    struct shell s;
    const char *why = NULL;
    begin(&s);
    s.o.url = url;
    s.o.ws_url = ws_url;
    s.o.unix_socket = unix_socket;
    s.o.proxy = proxy;
    must(&s);
    assert_false(rf_ws_has(s.ws, 0, &why));
    assert_string_equal(why, want);
    end(&s);
}

static char *long_url(const char *scheme, size_t path)
{
    char *url = calloc(1, path + 64);
    strcpy(url, scheme);
    strcat(url, "://a.test/");
    memset(url + strlen(url), 'k', path);
    return url;
}

/* Nobody asked for a WebSocket: no error, as the endpoint may serve HTTP alone. */
static void test_none(void **state)
{
    (void)state;
    static const char none[] = "the endpoint has no WebSocket";
    static const char proxies[] = "WebSockets go through http proxies only";
    check_none("http://a.test/", "", NULL, "", none);
    check_none("http://a.test/", NULL, "/run/node.sock", "", none);
    check_none("http://a.test/", NULL, NULL, "socks5://127.0.0.1:1080", proxies);
    check_none("http://a.test/", NULL, NULL, "https://127.0.0.1:1080", proxies);
    char *url = long_url("http", 2100);
    check_none(url, NULL, NULL, "", "host or path is longer than libwebsockets can send");
    free(url);
}

static void check_refused(const char *ws_url, const char *proxy, const char *want)
{
    struct shell s;
    begin(&s);
    s.o.url = "http://a.test/";
    s.o.ws_url = ws_url;
    s.o.proxy = proxy;
    assert_int_equal(make(&s), RPCFAN_ECONFIG);
    assert_null(s.ws);
    assert_string_equal(s.err.text, want);
    end(&s);
}

/* Asked for and impossible: named with its endpoint, and the value not shown. */
static void test_refused(void **state)
{
    (void)state;
    static const char url[] = "endpoint node: ws_url is not ws(s)://host[:port]/path";
    static const char proxy[] = "endpoint node: WebSockets go through http proxies only";
    check_refused("http://a.test/", "", url);
    check_refused("ftp://a.test/", "", url);
    check_refused("ws://:80/secret", "", url);
    check_refused("secret", "", url);
    check_refused("ws://a.test/", "socks5h://127.0.0.1:1080", proxy);
    check_refused("ws://a.test/", "https://127.0.0.1:1080", proxy);
    check_refused("ws://a.test/", "nonsense://x", proxy);
    char *path = long_url("ws", 2100);
    check_refused(path, "", "endpoint node: host or path is longer than libwebsockets can send");
    free(path);
}

static void test_refused_secret(void **state)
{
    (void)state;
    struct shell s;
    begin(&s);
    s.o.ws_url = "ws://a.test/";
    s.o.jwt_secret = "1234";
    assert_int_equal(make(&s), RPCFAN_ECONFIG);
    assert_string_equal(s.err.text, "endpoint node: the JWT secret is not 64 hex digits");
    end(&s);
}

/* A unix socket has no WebSocket of its own, but one that is given is used. */
static void test_unix_socket_with_ws_url(void **state)
{
    (void)state;
    struct shell s;
    begin(&s);
    s.o.url = "http://a.test/";
    s.o.unix_socket = "/run/node.sock";
    s.o.ws_url = "ws://127.0.0.1:8546/";
    s.o.proxy = "socks5h://127.0.0.1:1080"; /* not used with a socket */
    struct rf_ws_ep *ep = must(&s);
    assert_true(rf_ws_has(s.ws, 0, NULL));
    assert_null(ep->proxy_auth);
    end(&s);
}

static const char *headers_of(struct rf_ws_ep *ep)
{
    static unsigned char text[8192];
    unsigned char *p = text;
    assert_true(rf_ws_ep_headers(ep, &p, sizeof text - 1));
    *p = '\0';
    return (const char *)text;
}

static void test_headers(void **state)
{
    (void)state;
    static const char *const headers[] = {"X-Key: abc", "Content-Type: text/plain",
                                          "Empty:", "Host: own.test", "Upgrade: h2c"};
    struct shell s;
    begin(&s);
    s.o.headers = headers;
    s.o.n_headers = RF_COUNT(headers);
    s.o.ws_url = "ws://user:p%20w@a.test/";
    struct rf_ws_ep *ep = must(&s);
    assert_string_equal(headers_of(ep), "User-Agent: rpcfan/" RPCFAN_VERSION "\r\n"
                                        "Authorization: Basic dXNlcjpwIHc=\r\n"
                                        "X-Key: abc\r\nEmpty:\r\n");
    assert_string_equal(ep->host_header, "own.test");
    unsigned char small[64], *p = small;
    assert_false(rf_ws_ep_headers(ep, &p, sizeof small));
    end(&s);
}

static void test_headers_of_the_users_own(void **state)
{
    (void)state;
    static const char *const headers[] = {"User-Agent: mine", "Authorization: Bearer x"};
    struct shell s;
    begin(&s);
    s.o.headers = headers;
    s.o.n_headers = RF_COUNT(headers);
    s.o.ws_url = "ws://user:word@a.test/";
    assert_string_equal(headers_of(must(&s)), "User-Agent: mine\r\nAuthorization: Bearer x\r\n");
    end(&s);
}

static void test_token(void **state)
{
    (void)state;
    struct shell s;
    begin(&s);
    s.o.ws_url = "ws://a.test/";
    s.o.jwt_secret = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    const char *text = headers_of(must(&s));
    const char *token = strstr(text, "\r\nAuthorization: Bearer eyJ");
    assert_non_null(token);
    assert_string_equal(text + strlen(text) - 2, "\r\n");
    end(&s);
}

static void test_proxy(void **state)
{
    (void)state;
    struct shell s;
    begin(&s);
    s.o.ws_url = "wss://a.test/";
    s.o.proxy = "http://us%40er:word@proxy.test:3128";
    struct rf_ws_ep *ep = must(&s);
    assert_string_equal(ep->proxy_auth, "us@er:word@");
    assert_string_equal(ep->dial_host, "proxy.test");
    assert_int_equal(ep->dial_port, 3128);
    assert_non_null(ep->dns);
    end(&s);
    begin(&s);
    s.o.ws_url = "ws://a.test/";
    s.o.proxy = "[::1]:3128";
    ep = must(&s);
    assert_string_equal(ep->proxy_auth, "");
    assert_string_equal(ep->dial_host, "::1");
    assert_null(ep->dns);
    end(&s);
}

static void check_order(const char *list, const char *prefer, const char *want)
{
    char text[128], joined[128] = "", one[RF_WS_ADDRESS];
    strcpy(text, list);
    rf_ws_prefer(text, prefer);
    for (char *at = text; at != NULL;) {
        at = rf_ws_next_address(at, one);
        strcat(joined, one);
        strcat(joined, " ");
    }
    assert_string_equal(joined, want);
}

static void test_addresses(void **state)
{
    (void)state;
    check_order("1.2.3.4", "", "1.2.3.4 ");
    check_order("1.2.3.4,[::1],5.6.7.8", "", "1.2.3.4 ::1 5.6.7.8 ");
    check_order("1.2.3.4,[::1],5.6.7.8", "1.2.3.4", "1.2.3.4 ::1 5.6.7.8 ");
    check_order("1.2.3.4,[::1],5.6.7.8", "::1", "::1 1.2.3.4 5.6.7.8 ");
    check_order("1.2.3.4,[::1],5.6.7.8", "5.6.7.8", "5.6.7.8 1.2.3.4 ::1 ");
    check_order("1.2.3.4,[::1]", "9.9.9.9", "1.2.3.4 ::1 ");
}

static void test_state_names(void **state)
{
    (void)state;
    for (int i = RF_WS_S_NEW; i <= RF_WS_S_OVER; i++)
        assert_true(strlen(rf_ws_state_name((enum rf_ws_state)i)) > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_url_derived_or_given),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_refused_secret),
        cmocka_unit_test(test_unix_socket_with_ws_url),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_headers_of_the_users_own),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_proxy),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_state_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
