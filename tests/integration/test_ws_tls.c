/* test_ws_tls.c - WebSockets over TLS, with certificates by a CA of the test's own: trust, names,
 * and pausing. The comment at a test says which handling it fails without. */
#include <netdb.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/pem.h>

#include "base/mem.h"
#include "certs.h"
#include "nettest.h"
#include "wsserver.h"
#include "wstest.h"

#define HOST "node.test"

static char ca_file[CERTS_FILE], other_ca[CERTS_FILE];
static SSL_CTX *server_ctx, *other_ctx;
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
    server_ctx = certs_make("DNS:" HOST ",IP:127.0.0.1,IP:::1", ca_file);
    other_ctx = certs_make("DNS:" HOST, other_ca);
    SSL_CTX_set_tlsext_servername_callback(server_ctx, note_name);
    return 0;
}

static int remove_certificates(void **state)
{
    (void)state;
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(other_ctx);
    unlink(ca_file);
    unlink(other_ca);
    return 0;
}

/* All names are 127.0.0.1. */
static int look_up(uv_loop_t *loop, uv_getaddrinfo_t *req, uv_getaddrinfo_cb cb, const char *node,
                   const char *service, const struct addrinfo *hints)
{
    (void)node;
    return uv_getaddrinfo(loop, req, cb, "127.0.0.1", service, hints);
}

static void serve_hello(struct raw_conn *c, void *arg)
{
    (void)arg;
    if (!wss_accept(c))
        return;
    wss_text(c, "hello");
    wss_drain(c);
}

static struct raw_server *serve(struct wst *t, raw_serve_fn fn, void *arg)
{
    struct raw_server *s =
        raw_start(&(struct raw_options){.serve = fn, .arg = arg, .tls = server_ctx});
    assert_non_null(s);
    wst_init(t, NULL);
    t->o.cacert = ca_file;
    wst_url(t, "wss://" HOST ":%u/", raw_port(s));
    return s;
}

static void open_shell(struct wst *t)
{
    wst_open(t);
    t->ws->dns.ops.lookup = look_up;
}

static void check_opens(struct wst *t)
{
    open_shell(t);
    wst_connect(t, 1);
    wst_until(t, &t->s[1].messages, 1);
    assert_string_equal(t->s[1].last, "hello");
    wst_fini(t);
}

static void check_fails(struct wst *t, const char *why)
{
    open_shell(t);
    wst_connect(t, 1);
    wst_until_closed(t, 1);
    assert_int_equal(t->s[1].opened, 0);
    assert_string_equal(t->s[1].why, why);
    wst_fini(t);
}

static void test_trusted(void **state)
{
    (void)state;
    struct wst t;
    struct raw_server *s = serve(&t, serve_hello, NULL);
    check_opens(&t);
    assert_string_equal(seen_name, HOST);
    raw_stop(s);
}

static void test_untrusted(void **state)
{
    (void)state;
    struct wst t;
    struct raw_server *s = serve(&t, serve_hello, NULL);
    t.o.cacert = NULL;
    check_fails(&t, "certificate not trusted");
    assert_int_equal(raw_requests(s), 0);
    raw_stop(s);
}

/* Without a cacert the system's certificates count, and OpenSSL's variables say where they are. */
static void test_system_certificates(void **state)
{
    (void)state;
    struct wst t;
    char dir[] = "/tmp/rpcfan-certs-XXXXXX", link[64];
    assert_non_null(mkdtemp(dir));
    FILE *f = fopen(ca_file, "r");
    X509 *ca = PEM_read_X509(f, NULL, NULL, NULL);
    fclose(f);
    snprintf(link, sizeof link, "%s/%08lx.0", dir, X509_subject_name_hash(ca));
    X509_free(ca);
    assert_int_equal(symlink(ca_file, link), 0);
    struct raw_server *s =
        raw_start(&(struct raw_options){.serve = serve_hello, .tls = server_ctx});
    for (int i = 0; i < 2; i++) {
        setenv(i == 0 ? "SSL_CERT_DIR" : "SSL_CERT_FILE", i == 0 ? dir : ca_file, 1);
        wst_init(&t, NULL);
        wst_url(&t, "wss://" HOST ":%u/", raw_port(s));
        check_opens(&t);
        unsetenv("SSL_CERT_DIR");
        unsetenv("SSL_CERT_FILE");
    }
    raw_stop(s);
    unlink(link);
    rmdir(dir);
}

/* Fails where all of the system's certificates are read before the first handshake: some 20 ms. */
static void test_tls_is_set_up_quickly(void **state)
{
    (void)state;
    uint64_t best = RF_NEVER;
    for (int i = 0; i < 5; i++) {
        struct rpcfan_endpoint_options o = {.size = sizeof o};
        struct rf_ws_ep ep = {.o = &o};
        const char *why;
        uint64_t begun = uv_hrtime();
        assert_true(rf_ws_tls_init(&ep, &why));
        best = rf_min_u64(best, uv_hrtime() - begun);
        rf_ws_ep_fini(&ep);
    }
    print_message("TLS set up in %.2f ms\n", (double)best / 1e6);
    assert_true(best < 10 * RF_MS);
}

static void test_other_ca(void **state)
{
    (void)state;
    struct wst t;
    struct raw_server *s = serve(&t, serve_hello, NULL);
    t.o.cacert = other_ca;
    check_fails(&t, "certificate not trusted");
    raw_stop(s);
}

static void test_wrong_name(void **state)
{
    (void)state;
    struct wst t;
    struct raw_server *s = serve(&t, serve_hello, NULL);
    wst_url(&t, "wss://other.test:%u/", raw_port(s));
    check_fails(&t, "certificate not trusted");
    assert_int_equal(raw_requests(s), 0);
    raw_stop(s);
}

static void test_insecure(void **state)
{
    (void)state;
    struct wst t;
    struct raw_server *s = serve(&t, serve_hello, NULL);
    wst_url(&t, "wss://other.test:%u/", raw_port(s));
    t.o.cacert = NULL;
    t.o.tls_insecure = 1;
    check_opens(&t);
    raw_stop(s);
}

/* An address is checked as an address and sent as no name. Fails for IPv6 where libwebsockets reads
 * the name from the Host header. */
static void test_certificate_for_an_address(void **state)
{
    (void)state;
    struct wst t;
    struct raw_server *s = serve(&t, serve_hello, NULL);
    wst_url(&t, "wss://127.0.0.1:%u/", raw_port(s));
    check_opens(&t);
    assert_string_equal(seen_name, "");
    raw_stop(s);
    s = raw_start(&(struct raw_options){.serve = serve_hello, .tls = server_ctx, .ipv6 = true});
    wst_init(&t, NULL);
    t.o.cacert = ca_file;
    wst_url(&t, "wss://[::1]:%u/", raw_port(s));
    check_opens(&t);
    raw_stop(s);
}

static void test_cacert_is_no_pem(void **state)
{
    (void)state;
    struct wst t;
    struct raw_server *s = serve(&t, serve_hello, NULL);
    t.o.cacert = "/dev/null";
    check_fails(&t, "cacert file not usable");
    raw_stop(s);
}

static void serve_plain(struct raw_conn *c, void *arg)
{
    if (arg != NULL)
        raw_text(c, arg);
    else
        raw_hold(c);
}

static void test_handshake_fails(void **state)
{
    (void)state;
    struct wst t;
    struct raw_server *s = raw_start(&(struct raw_options){
        .serve = serve_plain, .arg = "HTTP/1.1 400 This is plain HTTP\r\n\r\n"});
    wst_init(&t, NULL);
    wst_url(&t, "wss://" HOST ":%u/", raw_port(s));
    check_fails(&t, "TLS handshake failed");
    raw_stop(s);
}

static void test_handshake_hangs(void **state)
{
    (void)state;
    struct wst t;
    struct raw_server *s = raw_start(&(struct raw_options){.serve = serve_plain});
    wst_init(&t, NULL);
    t.o.connect_timeout_ms = 150;
    wst_url(&t, "wss://" HOST ":%u/", raw_port(s));
    check_fails(&t, "TLS handshake timed out");
    raw_stop(s);
}

/* SIGPIPE keeps its default: a write to a connection that is gone must not end the process. Fails
 * without the guard around OpenSSL's writes. */
static void serve_and_go(struct raw_conn *c, void *arg)
{
    (void)arg;
    if (wss_accept(c))
        wss_text(c, "hello");
}

static void send_after_its_end(struct wst *t, const struct rf_ws_event *ev)
{
    if (ev->kind != RF_WS_MESSAGE)
        return;
    rf_ws_pause(t->ws, ev->session, true);          /* or its end would be read first */
    raw_wait_closed(t->arg, (unsigned)ev->session); /* now it is dead */
    static char text[60000];                        /* several writes at a time */
    memset(text, 'x', sizeof text);
    rf_ws_send(t->ws, ev->session, text, sizeof text);
}

static void test_broken_pipe(void **state)
{
    (void)state;
    struct wst t;
    signal(SIGPIPE, SIG_DFL);
    struct raw_server *s = serve(&t, serve_and_go, NULL);
    open_shell(&t);
    t.on_event = send_after_its_end;
    t.arg = s;
    for (uint64_t i = 1; i <= 20; i++) {
        wst_connect(&t, i);
        wst_until_closed(&t, i);
    }
    wst_fini(&t);
    raw_stop(s);
}

#define RECORD 16384u /* of TLS, at most */

struct stream {
    unsigned n;
    size_t len;
};

/* Many messages to a record, where they fit, so that a pause comes in the middle of one. */
static void serve_records(struct raw_conn *c, void *arg)
{
    const struct stream *st = arg;
    static const size_t head = 4;
    size_t each = head + st->len, fit = each < RECORD ? RECORD / each : 1;
    unsigned char *block = malloc(fit * each);
    for (size_t i = 0; i < fit; i++) {
        unsigned char *at = block + i * each;
        memset(at + head, 'r', st->len);
        at[0] = WS_TEXT;
        at[1] = 126;
        at[2] = (unsigned char)(st->len >> 8);
        at[3] = (unsigned char)st->len;
    }
    if (wss_accept(c)) {
        unsigned n = st->n;
        while (n >= fit && raw_write(c, block, fit * each))
            n -= (unsigned)fit;
        raw_write(c, block, n * each);
        wss_drain(c);
    }
    free(block);
}

/* Pauses after each hundredth message and goes on 3 ms later. */
struct pauser {
    uv_timer_t timer;
    unsigned pauses;
};

static struct wst *paused_shell;

static void go_on(uv_timer_t *timer)
{
    (void)timer;
    wst_pause(paused_shell, 1, false);
}

static void pause_now_and_then(struct wst *t, const struct rf_ws_event *ev)
{
    struct pauser *p = t->arg;
    assert_false(t->s[1].messages > 1 && uv_is_active((uv_handle_t *)&p->timer)); /* paused */
    if (ev->kind != RF_WS_MESSAGE || t->s[1].messages % 100 != 0)
        return;
    rf_ws_pause(t->ws, 1, true);
    p->pauses++;
    uv_timer_start(&p->timer, go_on, 3, 0);
}

static uint64_t cpu_ns(void)
{
    struct rusage u;
    getrusage(RUSAGE_THREAD, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * RF_SEC +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * RF_US;
}

static void pause_and_go_on(size_t len, unsigned n)
{
    struct wst t;
    struct pauser p = {.pauses = 0};
    struct stream st = {n, len};
    struct raw_server *s = serve(&t, serve_records, &st);
    open_shell(&t);
    uv_timer_init(t.loop, &p.timer);
    t.on_event = pause_now_and_then;
    t.arg = &p;
    paused_shell = &t;
    wst_beat(&t);
    wst_connect(&t, 1);
    wst_until(&t, &t.s[1].messages, n);
    assert_int_equal(t.s[1].bytes, (uint64_t)n * len);
    assert_int_equal(p.pauses, n / 100);
    print_message("%u pauses over TLS: longest turn %.1f ms\n", p.pauses,
                  (double)t.busiest_ns / 1e6);
    assert_true(t.busiest_ns < 20 * RF_MS);
    uv_close((uv_handle_t *)&p.timer, NULL);
    t.on_event = NULL;
    wst_fini(&t);
    raw_stop(s);
}

/* Freezes the loop where libwebsockets reads less than a TLS record at a time. */
static void test_pause_over_tls(void **state)
{
    (void)state;
    pause_and_go_on(500, 20000);
    pause_and_go_on(5000, 5000);
    pause_and_go_on(40000, 2000);
}

/* While it is paused the loop sleeps, and after 5 s the connection ends. */
static void test_paused_for_too_long(void **state)
{
    (void)state;
    struct wst t;
    struct stream st = {100000, 500};
    struct raw_server *s = serve(&t, serve_records, &st);
    open_shell(&t);
    wst_connect(&t, 1);
    wst_until(&t, &t.s[1].messages, 10);
    uint64_t begun = uv_hrtime(), cpu = cpu_ns();
    wst_pause(&t, 1, true);
    unsigned before = t.s[1].messages;
    wst_until_closed(&t, 1);
    uint64_t took = uv_hrtime() - begun;
    assert_string_equal(t.s[1].why, "paused for too long");
    assert_int_equal(t.s[1].messages, before);
    assert_true(took >= RF_WS_PAUSE_NS && took < 8 * RF_SEC);
    assert_true(cpu_ns() - cpu < RF_SEC);
    wst_fini(&t);
    raw_stop(s);
}

/* A message in many records, and two shells of which one begins while the other shakes hands: fails
 * where libwebsockets' own TLS contexts are used, whose process-wide indices change with each. */
static void test_two_shells_at_once(void **state)
{
    (void)state;
    struct wst a, b;
    struct stream st = {1, 60000};
    struct raw_server *s = serve(&a, serve_records, &st);
    open_shell(&a);
    wst_init(&b, a.loop);
    b.o.cacert = ca_file;
    wst_url(&b, "wss://127.0.0.1:%u/", raw_port(s));
    wst_open(&b);
    wst_connect(&a, 1);
    while (a.ws->ctx == NULL)
        uv_run(a.loop, UV_RUN_ONCE);
    wst_connect(&b, 1);
    wst_until(&b, &b.s[1].messages, 1);
    wst_until(&a, &a.s[1].messages, 1);
    wst_shutdown(&b);
    wst_fini(&a);
    raw_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trusted),
        cmocka_unit_test(test_untrusted),
        cmocka_unit_test(test_system_certificates),
        cmocka_unit_test(test_tls_is_set_up_quickly),
        cmocka_unit_test(test_other_ca),
        cmocka_unit_test(test_wrong_name),
        cmocka_unit_test(test_insecure),
        cmocka_unit_test(test_certificate_for_an_address),
        cmocka_unit_test(test_cacert_is_no_pem),
        cmocka_unit_test(test_handshake_fails),
        cmocka_unit_test(test_handshake_hangs),
        cmocka_unit_test(test_broken_pipe),
        cmocka_unit_test(test_pause_over_tls),
        cmocka_unit_test(test_paused_for_too_long),
        cmocka_unit_test(test_two_shells_at_once),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
