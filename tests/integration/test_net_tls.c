/* test_net_tls.c - certificates: made here by a CA of the test's own, checked by the client. */
#include <arpa/inet.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "certs.h"
#include "nettest.h"
#include "rawserver.h"

#define CALL "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":[]}"
#define ANSWER "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x10\"}"
#define HOST "node.test"

static char ca_file[CERTS_FILE];
static SSL_CTX *server_ctx;
static char seen_name[64]; /* SNI of the last handshake */

static int note_name(SSL *ssl, int *alert, void *arg)
{
    (void)alert;
    (void)arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    snprintf(seen_name, sizeof seen_name, "%s", name != NULL ? name : "");
    return SSL_TLSEXT_ERR_OK;
}

static int make_certificates(void **state)
{
    (void)state;
    server_ctx = certs_make("DNS:" HOST, ca_file);
    SSL_CTX_set_tlsext_servername_callback(server_ctx, note_name);
    return 0;
}

static int remove_certificates(void **state)
{
    (void)state;
    SSL_CTX_free(server_ctx);
    unlink(ca_file);
    return 0;
}

/* All names are 127.0.0.1. */
static int look_up(uv_loop_t *loop, uv_getaddrinfo_t *req, uv_getaddrinfo_cb cb, const char *node,
                   const char *service, const struct addrinfo *hints)
{
    (void)node;
    return uv_getaddrinfo(loop, req, cb, "127.0.0.1", service, hints);
}

static void serve_well(struct raw_conn *c, void *arg)
{
    (void)arg;
    while (raw_read(c) && raw_reply(c, ANSWER))
        ;
}

static void serve_one_then_reset(struct raw_conn *c, void *arg)
{
    (void)arg;
    if (raw_read(c) && raw_reply(c, ANSWER))
        raw_reset(c);
}

static void serve_plain_silence(struct raw_conn *c, void *arg)
{
    (void)arg;
    raw_hold(c);
}

static void serve_plain_text(struct raw_conn *c, void *arg)
{
    (void)arg;
    raw_text(c, "HTTP/1.1 400 This is plain HTTP\r\n\r\n");
}

static struct raw_server *serve(struct net *n, raw_serve_fn fn, bool tls)
{
    struct raw_server *s =
        raw_start(&(struct raw_options){.serve = fn, .tls = tls ? server_ctx : NULL});
    assert_non_null(s);
    net_init(n);
    n->o.cacert = ca_file;
    net_url(n, "https://" HOST ":%u/", raw_port(s));
    return s;
}

static void open_shell(struct net *n)
{
    net_open(n);
    n->http->dns.ops.lookup = look_up;
}

static void check(struct net *n, enum rf_transport transport, const char *reason)
{
    struct rf_exchange *ex = net_ask(n, CALL);
    assert_int_equal(ex->reply.transport, transport);
    if (reason != NULL)
        assert_string_equal(ex->reply.reason, reason);
}

/* Also closes with an idle TLS connection: sockets come and go inside curl_multi_cleanup(). */
static void test_trusted(void **state)
{
    (void)state;
    struct net n;
    struct raw_server *s = serve(&n, serve_well, true);
    open_shell(&n);
    for (int i = 0; i < 5; i++)
        check(&n, RF_T_OK, NULL);
    assert_string_equal(seen_name, HOST);
    assert_int_equal(raw_connections(s), 1);
    net_close(&n);
    raw_stop(s);
}

static void test_untrusted(void **state)
{
    (void)state;
    struct net n;
    struct raw_server *s = serve(&n, serve_well, true);
    n.o.cacert = NULL;
    open_shell(&n);
    check(&n, RF_T_TLS, "certificate not trusted");
    assert_int_equal(raw_requests(s), 0);
    net_close(&n);
    raw_stop(s);
}

static void test_wrong_name(void **state)
{
    (void)state;
    struct net n;
    struct raw_server *s = serve(&n, serve_well, true);
    net_url(&n, "https://other.test:%u/", raw_port(s));
    open_shell(&n);
    check(&n, RF_T_TLS, "certificate not trusted");
    net_close(&n);
    raw_stop(s);
}

static void test_insecure(void **state)
{
    (void)state;
    struct net n;
    struct raw_server *s = serve(&n, serve_well, true);
    n.o.cacert = NULL;
    n.o.tls_insecure = 1;
    open_shell(&n);
    check(&n, RF_T_OK, NULL);
    net_close(&n);
    raw_stop(s);
}

static void test_handshake_fails(void **state)
{
    (void)state;
    struct net n;
    struct raw_server *s = serve(&n, serve_plain_text, false);
    open_shell(&n);
    check(&n, RF_T_CONNECT, "TLS handshake failed");
    net_close(&n);
    raw_stop(s);
}

static void test_handshake_hangs(void **state)
{
    (void)state;
    struct net n;
    struct raw_server *s = serve(&n, serve_plain_silence, false);
    n.o.connect_timeout_ms = 100;
    open_shell(&n);
    check(&n, RF_T_CONNECT, "TLS handshake timed out");
    net_close(&n);
    raw_stop(s);
}

/* SIGPIPE keeps its default here: writing to a TLS connection that is gone must not end the
 * process, though CURLOPT_NOSIGNAL stops libcurl from holding the signal off. 7.88 writes with
 * MSG_NOSIGNAL under TLS too; a libcurl that lets OpenSSL write would fail this. */
static void test_broken_pipe(void **state)
{
    (void)state;
    struct net n;
    struct raw_server *s = serve(&n, serve_one_then_reset, true);
    open_shell(&n);
    for (unsigned i = 1; i <= 20; i++) {
        check(&n, RF_T_OK, NULL);
        raw_wait_closed(s, i); /* the connection is in the pool, and dead */
    }
    net_close(&n);
    raw_stop(s);
}

static void test_cacert_is_no_pem(void **state)
{
    (void)state;
    struct net n;
    struct raw_server *s = serve(&n, serve_well, true);
    n.o.cacert = "/dev/null";
    open_shell(&n);
    check(&n, RF_T_TLS, "cacert file not usable");
    net_close(&n);
    raw_stop(s);
}

/* The server speaks HTTP/1.1 only: an endpoint that offers HTTP/2 must still work. */
static void test_http2_offered(void **state)
{
    (void)state;
    struct net n;
    struct raw_server *s = serve(&n, serve_well, true);
    n.o.http2 = 1;
    open_shell(&n);
    for (int i = 0; i < 5; i++)
        net_send(&n, net_exchange(&n, CALL));
    net_wait(&n, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(n.ex[i].reply.transport, RF_T_OK);
    net_close(&n);
    raw_stop(s);
}

#define STREAM_ROWS 9000

/* One answer of 9000 numbers of three digits. */
static void serve_rows(struct raw_conn *c, void *arg)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 36019\r\n\r\n"
                               "{\"id\":1,\"result\":[";
    char rows[STREAM_ROWS * 4 + 1];
    (void)arg;
    for (unsigned i = 0; i < STREAM_ROWS; i++)
        snprintf(rows + (size_t)i * 4, 5, "%u,", 100 + i % 900);
    memcpy(rows + sizeof rows - 2, "]}", 2);
    while (raw_read(c) && raw_text(c, head) && raw_write(c, rows, sizeof rows))
        ;
}

static struct {
    struct rf_http *http;
    unsigned rows;
    struct rf_exchange *stopped;
} stream;

static bool stop_each(struct net *n, struct rf_exchange *ex, const struct rpcfan_element *e)
{
    char want[8];
    (void)n;
    snprintf(want, sizeof want, "%u", 100 + stream.rows++ % 900);
    assert_true(e->json.len == 3 && memcmp(e->json.data, want, 3) == 0);
    stream.stopped = ex;
    return false;
}

static void go_on(uv_prepare_t *p)
{
    struct rf_exchange *ex = stream.stopped;
    (void)p;
    stream.stopped = NULL;
    if (ex != NULL)
        rf_http_resume(stream.http, ex);
}

/* What TLS has decrypted brings no event of the socket: going on must find it all the same. */
static void test_stream_stops(void **state)
{
    (void)state;
    for (int http2 = 0; http2 < 2; http2++) {
        struct net n;
        uv_prepare_t again;
        struct raw_server *s = serve(&n, serve_rows, true);
        n.o.http2 = http2;
        n.on_element = stop_each;
        open_shell(&n);
        stream.http = n.http;
        uv_prepare_init(&n.loop, &again);
        uv_prepare_start(&again, go_on);
        uv_unref((uv_handle_t *)&again);
        for (uint32_t i = 0; i < 2; i++) {
            stream.rows = 0;
            struct rf_exchange *ex = net_exchange(&n, CALL);
            ex->stream = true;
            net_send(&n, ex);
            net_wait(&n, i + 1);
            net_assert_reply(ex, RF_T_OK, NULL);
            assert_int_equal(stream.rows, STREAM_ROWS);
            assert_true(net_body_is(ex, "{\"id\":1,\"result\":[]}"));
        }
        assert_int_equal(raw_connections(s), http2 ? 2 : 1); /* each its own, or the same */
        uv_close((uv_handle_t *)&again, NULL);
        net_close(&n);
        raw_stop(s);
    }
}

static void check_config(const char *url, const char *header, const char *jwt, const char *cacert,
                         const char *want)
{
    struct net n;
    struct rpcfan_error err = {0};
    const char *const headers[] = {header};
    net_init(&n);
    n.o.url = url;
    n.o.headers = headers;
    n.o.n_headers = header != NULL;
    n.o.jwt_secret = jwt;
    n.o.cacert = cacert;
    n.endpoints[0] = &n.o;
    struct rf_http_options o = {.loop = &n.loop, .endpoints = n.endpoints, .n_endpoints = 1};
    assert_int_equal(rf_http_new(&o, &n.http, &err), RPCFAN_ECONFIG);
    assert_null(n.http);
    assert_string_equal(err.text, want);
    assert_int_equal(uv_loop_close(&n.loop), 0);
}

/* Each bad setting is found at once, named with its endpoint, and its value not shown. */
static void test_config_errors(void **state)
{
    (void)state;
    static const char good[] = "http://h/secret";
    static const char bad_url[] = "endpoint node: the URL is not http(s)://host[:port]/path";
    check_config("", NULL, NULL, NULL, bad_url);
    check_config(NULL, NULL, NULL, NULL, bad_url);
    check_config("ftp://h/secret", NULL, NULL, NULL, bad_url);
    check_config("http://", NULL, NULL, NULL, bad_url);
    check_config("http://h:99999/secret", NULL, NULL, NULL, bad_url);
    check_config(good, "X: a\r\nY: secret", NULL, NULL,
                 "endpoint node: header 1 is not \"Name: value\" on one line");
    check_config(good, "secret", NULL, NULL,
                 "endpoint node: header 1 is not \"Name: value\" on one line");
    check_config(good, "content-length: 5", NULL, NULL,
                 "endpoint node: header 1: Content-Length is set by the client itself");
    check_config(good, NULL, "secret", NULL, "endpoint node: the JWT secret is not 64 hex digits");
    check_config(good, NULL, NULL, "/nonexistent/secret",
                 "endpoint node: the cacert file cannot be read");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trusted),         cmocka_unit_test(test_untrusted),
        cmocka_unit_test(test_wrong_name),      cmocka_unit_test(test_insecure),
        cmocka_unit_test(test_handshake_fails), cmocka_unit_test(test_handshake_hangs),
        cmocka_unit_test(test_broken_pipe),     cmocka_unit_test(test_cacert_is_no_pem),
        cmocka_unit_test(test_http2_offered),   cmocka_unit_test(test_config_errors),
        cmocka_unit_test(test_stream_stops),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
