/* test_net_http.c - what goes over the wire and what becomes of the answer: headers, codings, caps,
 * framing, timeouts. Against a raw server, over loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "canned.h"
#include "net_codings.h"

static void test_request_wire(void **state)
{
    (void)state;
    static const char *const headers[] = {"X-Key: abc", "X-Empty:", "user-agent: mine"};
    struct canned k = {TEXT(OK_ANSWER)};
    struct net n;
    struct raw_server *s = canned_start(&n, &k);
    n.o.headers = headers;
    n.o.n_headers = 3;
    net_url(&n, "http://us%%65r:pa%%3ass@127.0.0.1:%u/path/key?x=1", raw_port(s));
    net_open(&n);
    struct rf_exchange *ex = net_ask(&n, CALL);
    assert_int_equal(ex->reply.transport, RF_T_OK);
    assert_int_equal(ex->reply.status, 200);
    assert_true(net_body_is(ex, ANSWER));
    assert_int_equal(ex->reply.split.shape, RF_SHAPE_OBJECT);
    assert_int_equal(ex->reply.split.member[0].id, 1);
    assert_int_equal(ex->reply.retry_after_ns, RF_NEVER);
    assert_int_equal(ex->reply.resent, 0);
    assert_true(strncmp(k.seen, "POST /path/key?x=1 HTTP/1.1\r\n", 29) == 0);
    assert_non_null(strstr(k.seen, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(k.seen, "\r\nX-Key: abc\r\n"));
    assert_non_null(strstr(k.seen, "\r\nX-Empty:\r\n"));
    assert_non_null(strstr(k.seen, "\r\nuser-agent: mine\r\n"));
    assert_null(strstr(k.seen, "rpcfan"));
    assert_non_null(strstr(k.seen, "\r\nAuthorization: Basic dXNlcjpwYTpzcw==\r\n"));
    assert_non_null(strstr(k.seen, "\r\nAccept-Encoding: deflate, gzip, br, zstd\r\n"));
    assert_null(strstr(k.seen, "Expect"));
    assert_non_null(strstr(k.seen, "\r\n\r\n" CALL));
    assert_int_equal(ex->reply.bytes_out, strlen(k.seen));
    assert_int_equal(ex->reply.bytes_in, k.len);
    net_close(&n);
    raw_stop(s);
}

static void test_user_agent_default(void **state)
{
    (void)state;
    struct canned k = {TEXT(OK_ANSWER)};
    struct net n;
    struct raw_server *s;
    canned_ask(&n, &k, &s);
    assert_non_null(strstr(k.seen, "\r\nUser-Agent: rpcfan/" RPCFAN_VERSION "\r\n"));
    net_close(&n);
    raw_stop(s);
}

/* Fails without the empty `Expect:`: libcurl would ask for 100-continue above 1 MB. */
static void test_expect_large_body(void **state)
{
    (void)state;
    struct canned k = {TEXT(OK_ANSWER)};
    struct net n;
    struct raw_server *s = canned_start(&n, &k);
    net_open(&n);
    struct rf_exchange *ex = net_exchange(&n, "");
    for (size_t i = 0; i < 1100000; i++)
        rf_buf_char(&ex->body, ' ');
    rf_buf_str(&ex->body, CALL);
    net_send(&n, ex);
    net_wait(&n, 1);
    assert_int_equal(ex->reply.transport, RF_T_OK);
    assert_null(strcasestr(k.seen, "expect"));
    assert_true(ex->reply.bytes_out >= ex->body.len && ex->reply.bytes_out < ex->body.len + 400);
    net_close(&n);
    raw_stop(s);
}

/* libcurl's count of what it sent changes its meaning at 64 KiB. */
static void test_bytes_out(void **state)
{
    (void)state;
    static const size_t sizes[] = {1000, 65535, 65536, 65537, 200000};
    struct canned k = {TEXT(OK_ANSWER)};
    struct net n;
    struct raw_server *s = canned_start(&n, &k);
    net_open(&n);
    for (uint32_t i = 0; i < RF_COUNT(sizes); i++) {
        struct rf_exchange *ex = net_exchange(&n, "");
        while (ex->body.len < sizes[i])
            rf_buf_char(&ex->body, ' ');
        net_send(&n, ex);
        net_wait(&n, i + 1);
        size_t head = (size_t)(strstr(k.seen, "\r\n\r\n") + 4 - k.seen);
        assert_int_equal(ex->reply.bytes_out, head + sizes[i]);
    }
    net_close(&n);
    raw_stop(s);
}

/* The server's Date, not our clock, says how far away a reset is that names an instant. */
static void test_rate_headers(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        uint64_t remaining, reset_ns, quota, window_ns;
    } cases[] = {
        {"Content-Type: application/json\r\nX-Request-Id: 7\r\n", UINT64_MAX, RF_NEVER, 0, 0},
        {"ratelimit-policy: \"a\";q=100;w=60\r\nRateLimit: \"a\";r=7;t=5\r\n", 7, 5 * RF_SEC, 100,
         60 * RF_SEC},
        {"RateLimit: \"a\";r=7\r\nRateLimit: \"b\";r=3;t=2\r\n", 3, 2 * RF_SEC, 0, 0},
        {"X-RateLimit-Reset: 1790000012\r\nDate: Mon, 21 Sep 2026 14:13:20 GMT\r\n", UINT64_MAX,
         12 * RF_SEC, 0, 0},
    };
    for (uint32_t i = 0; i < RF_COUNT(cases); i++) {
        char text[600];
        snprintf(text, sizeof text, OK_HEAD "%sContent-Length: 40\r\n\r\n" ANSWER, cases[i].head);
        struct canned k = {.data = text, .len = strlen(text)};
        struct net n;
        struct raw_server *s; /* one each: its thread reads the text for as long as it lives */
        struct rf_exchange *ex = canned_ask(&n, &k, &s);
        const struct rf_rate_hint *got = &ex->reply.rate;
        assert_int_equal(ex->reply.transport, RF_T_OK);
        assert_int_equal(got->any, i > 0);
        assert_int_equal(got->remaining, cases[i].remaining);
        assert_int_equal(got->reset_ns, cases[i].reset_ns);
        assert_int_equal(got->quota, cases[i].quota);
        assert_int_equal(got->window_ns, cases[i].window_ns);
        net_close(&n);
        raw_stop(s);
    }
}

/* What a proxy or an interim answer says is not the node's. */
static void test_rate_headers_of_the_answer_alone(void **state)
{
    (void)state;
    struct canned k = {TEXT("HTTP/1.1 103 Early Hints\r\nRateLimit: \"a\";r=0;t=9\r\n\r\n" OK_HEAD
                            "Content-Length: 40\r\n\r\n" ANSWER)};
    struct net n;
    struct raw_server *s;
    struct rf_exchange *ex = canned_ask(&n, &k, &s);
    assert_int_equal(ex->reply.transport, RF_T_OK);
    assert_false(ex->reply.rate.any);
    net_close(&n);
    raw_stop(s);
}

static void test_continue_skipped(void **state)
{
    (void)state;
    struct canned k = {
        TEXT("HTTP/1.1 100 Continue\r\n\r\n" OK_HEAD "Content-Length: 40\r\n\r\n" ANSWER)};
    struct net n;
    struct raw_server *s;
    struct rf_exchange *ex = canned_ask(&n, &k, &s);
    assert_int_equal(ex->reply.transport, RF_T_OK);
    assert_int_equal(ex->reply.status, 200);
    assert_true(net_body_is(ex, ANSWER));
    net_close(&n);
    raw_stop(s);
}

static void check_coding(const char *name, const unsigned char *data, size_t len)
{
    char good[512], bad[512];
    int head = snprintf(good, sizeof good,
                        OK_HEAD "Content-Encoding: %s\r\nContent-Length: %zu\r\n\r\n", name, len);
    memcpy(good + head, data, len);
    struct canned k = {.data = good, .len = (size_t)head + len};
    struct net n;
    struct raw_server *s;
    struct rf_exchange *ex = canned_ask(&n, &k, &s);
    assert_int_equal(ex->reply.transport, RF_T_OK);
    assert_int_equal(ex->reply.blob->len, CODED_PLAIN);
    assert_int_equal(ex->reply.split.shape, RF_SHAPE_OBJECT);
    assert_int_equal(ex->reply.bytes_in, k.len);
    net_close(&n);
    raw_stop(s);
    memcpy(bad, good, sizeof bad); /* broken: no answer, and not the network's fault */
    bad[head + 4] ^= 0x55;
    bad[head + (int)len / 2] ^= 0x55;
    k.data = bad;
    ex = canned_ask(&n, &k, &s);
    assert_int_equal(ex->reply.transport, RF_T_MALFORMED);
    assert_null(ex->reply.blob);
    net_close(&n);
    raw_stop(s);
}

static void test_coding_gzip(void **state)
{
    (void)state;
    check_coding("gzip", coded_gzip, sizeof coded_gzip);
}

static void test_coding_brotli(void **state)
{
    (void)state;
    check_coding("br", coded_br, sizeof coded_br);
}

static void test_coding_zstd(void **state)
{
    (void)state;
    check_coding("zstd", coded_zstd, sizeof coded_zstd);
}

/* The cap is on decoded bytes: a small coded body must not get around it. */
static void test_cap_decoded(void **state)
{
    (void)state;
    char response[512];
    int head = snprintf(response, sizeof response,
                        OK_HEAD "Content-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
                        sizeof coded_gzip);
    memcpy(response + head, coded_gzip, sizeof coded_gzip);
    struct canned k = {.data = response, .len = (size_t)head + sizeof coded_gzip};
    struct net n;
    struct raw_server *s = canned_start(&n, &k);
    n.o.response_bytes = CODED_PLAIN - 1;
    net_open(&n);
    struct rf_exchange *ex = net_ask(&n, CALL);
    assert_int_equal(ex->reply.transport, RF_T_TOO_BIG);
    assert_null(ex->reply.blob);
    n.o.response_bytes = CODED_PLAIN;
    assert_int_equal(net_ask(&n, CALL)->reply.transport, RF_T_OK);
    net_close(&n);
    raw_stop(s);
}

static void check_cap(const char *response, size_t len)
{
    struct canned k = {.data = response, .len = len, .end = END};
    struct net n;
    struct raw_server *s = canned_start(&n, &k);
    n.o.response_bytes = 39;
    net_open(&n);
    struct rf_exchange *ex = net_ask(&n, CALL);
    assert_int_equal(ex->reply.transport, RF_T_TOO_BIG);
    assert_int_equal(ex->reply.status, 200);
    assert_non_null(ex->reply.reason);
    net_close(&n);
    raw_stop(s);
}

static void test_cap_by_length(void **state)
{
    (void)state;
    static const char r[] = OK_ANSWER;
    check_cap(r, sizeof r - 1);
}

static void test_cap_without_length(void **state)
{
    (void)state;
    static const char r[] = OK_HEAD "\r\n" ANSWER;
    check_cap(r, sizeof r - 1);
}

static void check_broken(struct canned k, enum rf_transport want)
{
    struct net n;
    struct raw_server *s;
    struct rf_exchange *ex = canned_ask(&n, &k, &s);
    assert_int_equal(ex->reply.transport, want);
    assert_non_null(ex->reply.reason);
    assert_null(ex->reply.blob);
    assert_null(strstr(ex->reply.reason, "127"));
    net_close(&n);
    raw_stop(s);
}

static void test_truncated_length(void **state)
{
    (void)state;
    check_broken((struct canned){TEXT(OK_HEAD "Content-Length: 400\r\n\r\n" ANSWER), .end = END},
                 RF_T_RESET);
}

static void test_truncated_chunks(void **state)
{
    (void)state;
    check_broken(
        (struct canned){TEXT(OK_HEAD "Transfer-Encoding: chunked\r\n\r\n28\r\n{\"i"), .end = END},
        RF_T_RESET);
}

/* Fails without was_cut(): libcurl calls a body that only the connection's end delimits whole. */
static void test_truncated_undelimited(void **state)
{
    (void)state;
    static const char part[] = OK_HEAD "\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"res";
    check_broken((struct canned){.data = part, .len = sizeof part - 1, .end = END}, RF_T_RESET);
}

static void test_empty_reply(void **state)
{
    (void)state;
    check_broken((struct canned){TEXT(""), .end = END}, RF_T_RESET);
}

static void test_reset_before_reply(void **state)
{
    (void)state;
    check_broken((struct canned){TEXT(""), .end = RESET}, RF_T_RESET);
}

static void test_not_http(void **state)
{
    (void)state;
    check_broken((struct canned){TEXT("SSH-2.0-OpenSSH_9.2p1\r\n" ANSWER ANSWER), .end = END},
                 RF_T_MALFORMED);
}

/* Undelimited HTML is an answer, if a bad one; it is no broken connection. */
static void test_html_undelimited(void **state)
{
    (void)state;
    struct canned k = {TEXT("HTTP/1.1 502 Bad\r\n\r\n<html>"), .end = END};
    struct net n;
    struct raw_server *s;
    struct rf_exchange *ex = canned_ask(&n, &k, &s);
    assert_int_equal(ex->reply.transport, RF_T_OK);
    assert_int_equal(ex->reply.status, 502);
    assert_int_equal(ex->reply.split.shape, RF_SHAPE_BAD);
    assert_true(net_body_is(ex, "<html>"));
    net_close(&n);
    raw_stop(s);
}

static void test_no_body(void **state)
{
    (void)state;
    struct canned k = {TEXT("HTTP/1.1 204 None\r\n\r\n")};
    struct net n;
    struct raw_server *s;
    struct rf_exchange *ex = canned_ask(&n, &k, &s);
    assert_int_equal(ex->reply.transport, RF_T_OK);
    assert_int_equal(ex->reply.status, 204);
    assert_null(ex->reply.blob);
    net_close(&n);
    raw_stop(s);
}

static void test_chunks_of_one_byte(void **state)
{
    (void)state;
    char response[1024] = OK_HEAD "Transfer-Encoding: chunked\r\n\r\n";
    for (const char *p = ANSWER; *p != '\0'; p++) {
        char chunk[16];
        snprintf(chunk, sizeof chunk, "1\r\n%c\r\n", *p);
        strcat(response, chunk);
    }
    strcat(response, "0\r\n\r\n");
    struct canned k = {.data = response, .len = strlen(response), .bytewise = true};
    struct net n;
    struct raw_server *s;
    struct rf_exchange *ex = canned_ask(&n, &k, &s);
    assert_int_equal(ex->reply.transport, RF_T_OK);
    assert_true(net_body_is(ex, ANSWER));
    assert_int_equal(ex->reply.split.shape, RF_SHAPE_OBJECT);
    net_close(&n);
    raw_stop(s);
}

/* A redirect is not followed: it would turn the POST into a GET. */
static void test_redirect_not_followed(void **state)
{
    (void)state;
    struct canned k = {TEXT("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nRetry-After: 3\r\n"
                            "Content-Length: 0\r\n\r\n")};
    struct net n;
    struct raw_server *s;
    struct rf_exchange *ex = canned_ask(&n, &k, &s);
    assert_int_equal(ex->reply.status, 302);
    assert_int_equal(ex->reply.retry_after_ns, 3 * RF_SEC);
    assert_int_equal(raw_requests(s), 1);
    net_close(&n);
    raw_stop(s);
}

static void check_retry_after(const char *header, uint64_t want_ns)
{
    char response[512];
    snprintf(response, sizeof response, "HTTP/1.1 429 Slow\r\n%sContent-Length: 2\r\n\r\n{}",
             header);
    struct canned k = {.data = response, .len = strlen(response)};
    struct net n;
    struct raw_server *s;
    struct rf_exchange *ex = canned_ask(&n, &k, &s);
    assert_int_equal(ex->reply.transport, RF_T_OK);
    assert_int_equal(ex->reply.status, 429);
    assert_int_equal(ex->reply.retry_after_ns, want_ns);
    net_close(&n);
    raw_stop(s);
}

static void test_retry_after_forms(void **state)
{
    (void)state;
    check_retry_after("Retry-After: 7\r\n", 7 * RF_SEC);
    check_retry_after("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                      "retry-after: Sun, 06 Nov 1994 08:49:49 GMT\r\n",
                      12 * RF_SEC);
    check_retry_after("", RF_NEVER);
}

static void serve_drip(struct raw_conn *c, void *arg)
{
    (void)arg;
    if (raw_read(c) && raw_text(c, OK_HEAD "Content-Length: 40\r\n\r\n{\"json"))
        raw_hold(c);
}

static void test_drip_times_out(void **state)
{
    (void)state;
    struct raw_server *s = raw_start(&(struct raw_options){.serve = serve_drip});
    struct net n;
    net_init(&n);
    net_url(&n, "http://127.0.0.1:%u/", raw_port(s));
    net_open(&n);
    struct rf_exchange *ex = net_exchange(&n, CALL);
    ex->timeout_ns = 150 * RF_MS;
    uint64_t begun = uv_hrtime();
    net_send(&n, ex);
    net_wait(&n, 1);
    assert_int_equal(ex->reply.transport, RF_T_TIMEOUT);
    assert_null(ex->reply.blob);
    assert_true(uv_hrtime() - begun >= 149 * RF_MS);
    net_close(&n);
    raw_stop(s);
}

/* Connections are kept: 20 requests one after the other need one. */
static void test_connection_reused(void **state)
{
    (void)state;
    struct canned k = {TEXT(OK_ANSWER)};
    struct net n;
    struct raw_server *s = canned_start(&n, &k);
    net_open(&n);
    for (int i = 0; i < 20; i++)
        assert_int_equal(net_ask(&n, CALL)->reply.transport, RF_T_OK);
    assert_int_equal(raw_connections(s), 1);
    struct rf_exchange *fresh = net_exchange(&n, CALL);
    fresh->fresh = true;
    net_send(&n, fresh);
    net_wait(&n, 21);
    assert_int_equal(raw_connections(s), 2);
    assert_int_equal(net_ask(&n, CALL)->reply.transport, RF_T_OK);
    assert_int_equal(raw_connections(s), 2);
    net_close(&n);
    raw_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_wire),
        cmocka_unit_test(test_user_agent_default),
        cmocka_unit_test(test_expect_large_body),
        cmocka_unit_test(test_bytes_out),
        cmocka_unit_test(test_rate_headers),
        cmocka_unit_test(test_rate_headers_of_the_answer_alone),
        cmocka_unit_test(test_continue_skipped),
        cmocka_unit_test(test_coding_gzip),
        cmocka_unit_test(test_coding_brotli),
        cmocka_unit_test(test_coding_zstd),
        cmocka_unit_test(test_cap_decoded),
        cmocka_unit_test(test_cap_by_length),
        cmocka_unit_test(test_cap_without_length),
        cmocka_unit_test(test_truncated_length),
        cmocka_unit_test(test_truncated_chunks),
        cmocka_unit_test(test_truncated_undelimited),
        cmocka_unit_test(test_empty_reply),
        cmocka_unit_test(test_reset_before_reply),
        cmocka_unit_test(test_not_http),
        cmocka_unit_test(test_html_undelimited),
        cmocka_unit_test(test_no_body),
        cmocka_unit_test(test_chunks_of_one_byte),
        cmocka_unit_test(test_redirect_not_followed),
        cmocka_unit_test(test_retry_after_forms),
        cmocka_unit_test(test_drip_times_out),
        cmocka_unit_test(test_connection_reused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
