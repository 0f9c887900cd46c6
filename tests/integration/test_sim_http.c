/* test_sim_http.c - the fake node as an HTTP/1.1 server, over raw sockets: framing, pipelines,
 * caps, keep-alive, slow peers. */
#include "sim_client.h"

#include "sim/node_http.h"

#define CALL "{\"id\":1,\"method\":\"sim_null\"}"
#define ANSWER "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}"
#define REQUEST "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 28\r\n\r\n" CALL

/* Send, read to the end of the connection. @return as raw_read(). */
static int exchange(const char *text, struct rf_buf *out)
{
    int fd = raw_connect();
    raw_send(fd, text);
    int rc = raw_read(fd, out, NULL);
    close(fd);
    return rc;
}

static void test_pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    struct rf_buf all = {0}, out = {0};
    for (int i = 0; i < 200; i++) {
        char body[80];
        int n = snprintf(body, sizeof body, "{\"id\":%d,\"method\":\"sim_null\"}", i);
        rf_buf_printf(&all, "POST /v3/key HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s", n, body);
    }
    rf_buf_char(&all, '\0');
    int fd = raw_connect();
    raw_send(fd, all.data);
    assert_int_equal(raw_read(fd, &out, "\"id\":199,\"result\":null}"), 0);
    const char *p = out.data;
    for (int i = 0; i < 200; i++) {
        char want[32];
        snprintf(want, sizeof want, "\"id\":%d,", i);
        p = strstr(p, want);
        assert_non_null(p);
    }
    assert_int_equal(occurrences(out.data, "HTTP/1.1 200 OK\r\n"), 200);
    assert_int_equal(counters().connections, 1);
    close(fd);
    rf_buf_fini(&all);
    rf_buf_fini(&out);
}

static void test_pipelined_behind_a_delayed_answer_waits(void **state)
{
    (void)state;
    struct rf_buf out = {0};
    script("latency fixed 20ms");
    int fd = raw_connect();
    raw_send(fd, REQUEST REQUEST REQUEST);
    while (occurrences(out.data == NULL ? "" : out.data, ANSWER) < 3)
        assert_int_equal(raw_read(fd, &out, ANSWER), 0);
    assert_int_equal(counters().active_max, 1);
    close(fd);
    rf_buf_fini(&out);
}

static void test_request_byte_by_byte(void **state)
{
    (void)state;
    struct rf_buf out = {0};
    static const char text[] =
        "POST / HTTP/1.1\r\ntransfer-encoding:  chunked \r\n\r\n"
        "5;x=y\r\n{\"id\"\r\n17\r\n:1,\"method\":\"sim_null\"}\r\n0\r\nT: r\r\n\r\n";
    int fd = raw_connect(), one = 1;
    setsockopt(fd, 6, 1, &one, sizeof one); /* TCP_NODELAY */
    for (size_t i = 0; i + 1 < sizeof text; i++)
        assert_int_equal(send(fd, text + i, 1, MSG_NOSIGNAL), 1);
    assert_int_equal(raw_read(fd, &out, ANSWER), 0);
    raw_send(fd, REQUEST);
    rf_buf_reset(&out, SIZE_MAX);
    assert_int_equal(raw_read(fd, &out, ANSWER), 0);
    assert_int_equal(counters().requests, 2);
    close(fd);
    rf_buf_fini(&out);
}

static void test_expect_is_answered_before_the_body(void **state)
{
    (void)state;
    struct rf_buf out = {0};
    int fd = raw_connect();
    raw_send(fd, "POST / HTTP/1.1\r\nContent-Length: 28\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(raw_read(fd, &out, "HTTP/1.1 100 Continue\r\n\r\n"), 0);
    assert_int_equal(counters().requests, 0);
    raw_send(fd, CALL);
    assert_int_equal(raw_read(fd, &out, ANSWER), 0);
    close(fd);
    rf_buf_fini(&out);
}

static void test_bad_requests_are_refused_and_closed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"HELLO\r\n\r\n", "HTTP/1.1 400 "},
        {"POST / HTTP/2.0\r\n\r\n", "HTTP/1.1 400 "},
        {"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 400 "},
        {"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 400 "},
        {"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 400 "},
        {"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         "HTTP/1.1 400 "},
        {"POST / HTTP/1.1\r\nno colon\r\n\r\n", "HTTP/1.1 400 "},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501 "},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400 "},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", "HTTP/1.1 400 "},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rf_buf out = {0};
        assert_int_equal(exchange(cases[i].text, &out), 1);
        if (out.data == NULL || strncmp(out.data, cases[i].want, strlen(cases[i].want)) != 0)
            fail_msg("%s -> %s", cases[i].text, out.data);
        assert_non_null(strstr(out.data, "Connection: close\r\n"));
        rf_buf_fini(&out);
    }
    assert_int_equal(counters().http_errors, RF_COUNT(cases));
}

static void test_header_over_the_cap_is_431(void **state)
{
    (void)state;
    struct rf_buf text = {0}, out = {0};
    rf_buf_str(&text, "POST / HTTP/1.1\r\nX: ");
    for (int i = 0; i < RF_HTTP_HEAD_MAX; i++)
        rf_buf_char(&text, 'x');
    rf_buf_char(&text, '\0');
    assert_int_equal(exchange(text.data, &out), 1);
    assert_memory_equal(out.data, "HTTP/1.1 431 ", 13);
    rf_buf_fini(&text);
    rf_buf_fini(&out);
}

static void test_body_over_the_cap_is_413_with_both_framings(void **state)
{
    (void)state;
    struct rf_buf out = {0};
    script("body-max 20");
    assert_int_equal(exchange(REQUEST, &out), 1);
    assert_non_null(strstr(out.data, "HTTP/1.1 413 "));
    assert_non_null(strstr(out.data, "content length too large (28>20)"));
    rf_buf_reset(&out, SIZE_MAX);
    assert_int_equal(
        exchange("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef"
                 "\r\n5\r\nabcde\r\n0\r\n\r\n",
                 &out),
        1);
    assert_non_null(strstr(out.data, "HTTP/1.1 413 "));
    script("body-max 20 shape=proxyd");
    assert_non_null(strstr(post(CALL), "-32021"));
    assert_int_equal(last.status, 413);
    assert_int_equal(counters().refused_requests, 3);
    assert_int_equal(counters().requests, 0);
    rf_buf_fini(&out);
}

static void test_413_reaches_a_client_that_is_still_sending(void **state)
{
    (void)state;
    struct rf_buf big = {0};
    script("body-max 100kB");
    for (int i = 0; i < 3000000; i++)
        rf_buf_char(&big, ' ');
    rf_buf_char(&big, '\0');
    for (int i = 0; i < 5; i++) {
        post(big.data);
        assert_int_equal(last.rc, CURLE_OK);
        assert_int_equal(last.status, 413);
    }
    rf_buf_fini(&big);
}

static void test_get_shows_counters_and_others_are_405(void **state)
{
    (void)state;
    struct rf_buf out = {0};
    int fd = raw_connect();
    raw_send(fd, REQUEST "GET / HTTP/1.1\r\n\r\n");
    assert_int_equal(raw_read(fd, &out, "\"faults\":{}}\n"), 0);
    assert_non_null(strstr(out.data, "\"requests\":1,\"singles\":1,"));
    raw_send(fd, "DELETE / HTTP/1.1\r\n\r\n");
    assert_int_equal(raw_read(fd, &out, "HTTP/1.1 405 "), 0);
    assert_non_null(strstr(out.data, "Allow: GET, POST\r\n"));
    raw_send(fd, REQUEST);
    rf_buf_reset(&out, SIZE_MAX);
    assert_int_equal(raw_read(fd, &out, ANSWER), 0);
    assert_int_equal(counters().gets, 1);
    assert_int_equal(counters().requests, 2);
    close(fd);
    rf_buf_fini(&out);
}

static void test_http_1_0_and_connection_close_end_it(void **state)
{
    (void)state;
    struct rf_buf out = {0};
    assert_int_equal(exchange("POST / HTTP/1.0\r\nContent-Length: 28\r\n\r\n" CALL, &out), 1);
    assert_non_null(strstr(out.data, ANSWER));
    rf_buf_reset(&out, SIZE_MAX);
    assert_int_equal(
        exchange("POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 28\r\n\r\n" CALL, &out),
        1);
    assert_non_null(strstr(out.data, "Connection: close\r\n"));
    rf_buf_fini(&out);
}

static void test_keepalive_ends_after_requests_without_a_word(void **state)
{
    (void)state;
    struct rf_buf out = {0};
    script("keepalive requests=2");
    int fd = raw_connect();
    raw_send(fd, REQUEST);
    assert_int_equal(raw_read(fd, &out, ANSWER), 0);
    raw_send(fd, REQUEST);
    assert_int_equal(raw_read(fd, &out, NULL), 1);
    assert_int_equal(occurrences(out.data, ANSWER), 2);
    assert_null(strstr(out.data, "Connection: close"));
    close(fd);
    script("keepalive requests=1 announce=yes");
    rf_buf_reset(&out, SIZE_MAX);
    assert_int_equal(exchange(REQUEST, &out), 1);
    assert_non_null(strstr(out.data, "Connection: close"));
    rf_buf_fini(&out);
}

static void test_keepalive_ends_when_idle(void **state)
{
    (void)state;
    struct rf_buf out = {0};
    script("keepalive idle=20ms");
    int fd = raw_connect();
    raw_send(fd, REQUEST);
    assert_int_equal(raw_read(fd, &out, NULL), 1);
    assert_int_equal(occurrences(out.data, ANSWER), 1);
    close(fd);
    fd = raw_connect(); /* and one that never asks anything */
    assert_int_equal(raw_read(fd, &out, NULL), 1);
    close(fd);
    rf_buf_fini(&out);
}

static void test_half_close_still_gets_its_answer(void **state)
{
    (void)state;
    struct rf_buf out = {0};
    script("latency fixed 20ms");
    int fd = raw_connect();
    raw_send(fd, REQUEST);
    shutdown(fd, SHUT_WR);
    assert_int_equal(raw_read(fd, &out, NULL), 1);
    assert_non_null(strstr(out.data, ANSWER));
    close(fd);
    rf_buf_fini(&out);
}

/* A peer that asks for much and reads nothing is not read from for ever. */
static void test_slow_reader_is_bounded_and_loses_nothing(void **state)
{
    (void)state;
    static const char ask[] = "POST / HTTP/1.1\r\nContent-Length: 45\r\n\r\n"
                              "{\"id\":1,\"method\":\"sim_big\",\"params\":[300000]}";
    struct rf_buf out = {0};
    int fd = raw_connect(), sent = 0;
    size_t at = 0, len = sizeof ask - 1;
    /* 50 MB of answers and 20 MB of requests: whatever the kernel's buffers, one side must block.
     */
    while (sent < 200000) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (poll(&p, 1, 200) != 1)
            break;
        ssize_t n = send(fd, ask + at, len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0)
            continue;
        at = (at + (size_t)n) % len;
        sent += at == 0;
    }
    assert_true(sent < 200000);
    assert_true(counters().bytes_out < 60u << 20);
    assert_int_equal(counters().active, 1);
    for (size_t got = 0; got < 10u << 20; got = out.len)
        assert_int_equal(raw_read(fd, &out, "\"result\""), 0);
    close(fd);
    rf_buf_fini(&out);
}

static void test_many_connections_at_once(void **state)
{
    (void)state;
    enum { N = 300 };
    int fd[N];
    for (int i = 0; i < N; i++)
        fd[i] = raw_connect();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++)
            raw_send(fd[i], REQUEST);
        for (int i = 0; i < N; i++) {
            struct rf_buf out = {0};
            assert_int_equal(raw_read(fd[i], &out, ANSWER), 0);
            rf_buf_fini(&out);
        }
    }
    assert_int_equal(counters().open, N);
    assert_int_equal(counters().requests, 3 * N);
    for (int i = 0; i < N; i++)
        close(fd[i]);
}

#define NODE_TEST(name) cmocka_unit_test_setup_teardown(name, setup_node, teardown_node)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(test_pipelined_requests_are_answered_in_order),
        NODE_TEST(test_pipelined_behind_a_delayed_answer_waits),
        NODE_TEST(test_request_byte_by_byte),
        NODE_TEST(test_expect_is_answered_before_the_body),
        NODE_TEST(test_bad_requests_are_refused_and_closed),
        NODE_TEST(test_header_over_the_cap_is_431),
        NODE_TEST(test_body_over_the_cap_is_413_with_both_framings),
        NODE_TEST(test_413_reaches_a_client_that_is_still_sending),
        NODE_TEST(test_get_shows_counters_and_others_are_405),
        NODE_TEST(test_http_1_0_and_connection_close_end_it),
        NODE_TEST(test_keepalive_ends_after_requests_without_a_word),
        NODE_TEST(test_keepalive_ends_when_idle),
        NODE_TEST(test_half_close_still_gets_its_answer),
        NODE_TEST(test_slow_reader_is_bounded_and_loses_nothing),
        NODE_TEST(test_many_connections_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
