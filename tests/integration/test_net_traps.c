/* test_net_traps.c - the traps of libcurl's multi interface on libuv, one test each. The comment
 * at a test says which handling it fails without. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "nettest.h"
#include "rawserver.h"

#define CALL "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":[]}"
#define ANSWER "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x10\"}"
#define REFUSED 10000

static void serve_well(struct raw_conn *c, void *arg)
{
    (void)arg;
    while (raw_read(c) && raw_reply(c, ANSWER))
        ;
}

static void serve_silence(struct raw_conn *c, void *arg)
{
    (void)arg;
    if (raw_read(c))
        raw_hold(c);
}

/* Fails where close_socket() leaves a poll handle behind, or a handle is not freed. */
static void test_refused_many(void **state)
{
    (void)state;
    int fd;
    struct net n;
    net_init(&n);
    net_url(&n, "http://127.0.0.1:%u/", net_refused_port(&fd));
    net_open(&n);
    unsigned fds = 0, handles = 0;
    struct rf_exchange *ex = net_exchange(&n, CALL);
    for (uint32_t i = 0; i < REFUSED; i++) {
        net_send(&n, ex);
        net_wait(&n, i + 1);
        net_assert_reply(ex, RF_T_CONNECT, "connection refused");
        assert_int_equal(ex->reply.bytes_out, 0);
        if (i == 0) {
            fds = net_count_fds();
            handles = net_count_handles(&n.loop);
        }
    }
    assert_int_equal(net_count_fds(), fds);
    assert_int_equal(net_count_handles(&n.loop), handles);
    net_close(&n);
    close(fd);
    assert_int_equal(net_count_fds(), n.fds);
}

static void serve_reset(struct raw_conn *c, void *arg)
{
    (void)arg;
    if (raw_read(c))
        raw_reset(c);
}

/* Fails without the status < 0 branch of poll_sock(): libuv has stopped the handle, libcurl hears
 * nothing, and the transfer ends by its timeout of 10 s as RF_T_TIMEOUT. */
static void test_reset_seen_at_once(void **state)
{
    (void)state;
    struct net n;
    struct raw_server *s = net_serve(&n, serve_reset, NULL);
    for (int i = 0; i < 50; i++) {
        uint64_t begun = uv_hrtime();
        struct rf_exchange *ex = net_ask(&n, CALL);
        assert_int_equal(ex->reply.transport, RF_T_RESET);
        assert_true(uv_hrtime() - begun < 5 * RF_SEC);
    }
    net_close(&n);
    raw_stop(s);
}

static void serve_answer_then_reset(struct raw_conn *c, void *arg)
{
    const size_t *size = arg;
    char head[128];
    if (!raw_read(c))
        return;
    snprintf(head, sizeof head, "HTTP/1.1 413 Big\r\nContent-Length: %zu\r\n\r\n", *size);
    char *body = malloc(*size);
    memset(body, ' ', *size);
    if (raw_text(c, head))
        raw_write(c, body, *size);
    free(body);
    raw_reset(c);
}

/* Fails where POLLERR is passed to libcurl as CURL_CSELECT_ERR: the answer that came before the
 * reset lies unread in the socket (name_error()). */
static void test_answer_before_reset(void **state)
{
    (void)state;
    size_t size = 20000; /* fits the first receive window */
    struct net n;
    struct raw_server *s = net_serve(&n, serve_answer_then_reset, &size);
    for (uint32_t i = 0; i < 20; i++) {
        struct rf_exchange *ex = net_exchange(&n, CALL);
        rf_http_send(n.http, ex);
        rf_http_kick(n.http);
        /* Let the whole answer and the reset arrive before the loop looks. */
        while (raw_connections(s) < i + 1 && n.done <= i)
            uv_run(&n.loop, UV_RUN_NOWAIT);
        net_wait(&n, i + 1);
        assert_int_equal(ex->reply.transport, RF_T_OK);
        assert_int_equal(ex->reply.status, 413);
        assert_int_equal(ex->reply.blob->len, size);
    }
    net_close(&n);
    raw_stop(s);
}

static void serve_part_then_reset(struct raw_conn *c, void *arg)
{
    (void)arg;
    char part[20000];
    memset(part, ' ', sizeof part);
    if (raw_read(c) && raw_text(c, "HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n"))
        raw_write(c, part, sizeof part);
    raw_reset(c);
}

/* As above, with a rest that takes libcurl many reads: it must find the error behind it, and no
 * answer may be made of the part. */
static void test_part_before_reset(void **state)
{
    (void)state;
    struct net n;
    struct raw_server *s = net_serve(&n, serve_part_then_reset, NULL);
    for (int i = 0; i < 20; i++) {
        struct rf_exchange *ex = net_exchange(&n, CALL);
        struct rf_link *pool = &n.http->ep[0].pool;
        struct rf_xfer *xf = RF_CONTAINER(pool->next, struct rf_xfer, link);
        if (!rf_list_empty(pool)) /* the answer is many buffers long */
            curl_easy_setopt(xf->easy, CURLOPT_BUFFERSIZE, 1024L);
        net_send(&n, ex);
        while (raw_requests(s) <= (unsigned)i)
            uv_run(&n.loop, UV_RUN_NOWAIT);
        raw_wait_closed(s, (unsigned)i + 1); /* the part and the reset come in one event */
        net_wait(&n, (uint32_t)i + 1);
        assert_int_equal(ex->reply.transport, RF_T_RESET);
    }
    net_close(&n);
    raw_stop(s);
}

/* A listening socket whose backlog is full drops SYNs. */
static unsigned make_blackhole(int fds[3])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fds[0], (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fds[0], 0), 0);
    assert_int_equal(getsockname(fds[0], (struct sockaddr *)&a, &len), 0);
    for (int i = 1; i < 3; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        connect(fds[i], (struct sockaddr *)&a, sizeof a);
    }
    return ntohs(a.sin_port);
}

static void test_blackhole_connect(void **state)
{
    (void)state;
    int fds[3];
    struct net n;
    net_init(&n);
    n.o.connect_timeout_ms = 100;
    net_url(&n, "http://127.0.0.1:%u/", make_blackhole(fds));
    net_open(&n);
    net_beat(&n);
    struct rf_exchange *ex = net_ask(&n, CALL);
    net_assert_reply(ex, RF_T_CONNECT, "connect timed out");
    net_close(&n);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    assert_int_equal(net_count_fds(), n.fds);
}

static void test_abort(void **state)
{
    (void)state;
    struct net n;
    struct raw_server *s = net_serve(&n, serve_silence, NULL);
    struct rf_exchange *ex = net_exchange(&n, CALL);
    net_send(&n, ex);
    while (raw_requests(s) == 0)
        uv_run(&n.loop, UV_RUN_NOWAIT);
    net_abort(&n, ex);
    net_abort(&n, ex); /* twice is once */
    assert_int_equal(n.done, 0);
    assert_int_equal(uv_loop_alive(&n.loop), 1);
    uv_run(&n.loop, UV_RUN_DEFAULT); /* ends: nothing else keeps the loop */
    assert_int_equal(n.done, 1);
    net_assert_reply(ex, RF_T_ABORTED, "aborted");
    net_close(&n);
    raw_stop(s);
}

static void close_inside(struct net *n, struct rf_exchange *ex)
{
    (void)ex;
    if (n->done > 1)
        return;
    rf_http_send(n->http, net_exchange(n, CALL));
    rf_http_kick(n->http);
    rf_http_abort(n->http, &n->ex[1]);
}

/* done() may call everything: nothing of libcurl's is on the stack. */
static void test_done_is_reentrant(void **state)
{
    (void)state;
    struct net n;
    struct raw_server *s = net_serve(&n, serve_well, NULL);
    n.on_done = close_inside;
    struct rf_exchange *a = net_exchange(&n, CALL), *b = net_exchange(&n, CALL);
    net_send(&n, a);
    net_send(&n, b);
    net_wait(&n, 3);
    net_close(&n);
    assert_int_equal(n.done, 3);
    raw_stop(s);
}

/* Each is handed back exactly once, then all is closed, whatever state it was in. */
static void test_close_while_busy(void **state)
{
    (void)state;
    struct net n;
    unsigned fds = net_count_fds();
    struct raw_server *s = net_serve(&n, serve_silence, NULL);
    for (int i = 0; i < 20; i++)
        net_send(&n, net_exchange(&n, CALL));
    while (raw_requests(s) < 10)
        uv_run(&n.loop, UV_RUN_NOWAIT);
    net_abort(&n, &n.ex[3]);
    net_close(&n);
    assert_int_equal(n.done, 20);
    for (int i = 0; i < 20; i++)
        assert_int_equal(n.ex[i].reply.transport, RF_T_ABORTED);
    raw_stop(s);
    assert_int_equal(net_count_fds(), fds);
}

/* Fails where idle connections keep the loop: their handles have to be unreferenced. */
static void test_idle_keeps_no_loop(void **state)
{
    (void)state;
    struct net n;
    struct raw_server *s = net_serve(&n, serve_well, NULL);
    net_assert_reply(net_ask(&n, CALL), RF_T_OK, NULL);
    uv_run(&n.loop, UV_RUN_DEFAULT); /* would not return */
    assert_int_equal(uv_loop_alive(&n.loop), 0);
    net_assert_reply(net_ask(&n, CALL), RF_T_OK, NULL);
    assert_int_equal(raw_connections(s), 1);
    net_close(&n);
    raw_stop(s);
}

static void count_turn(uv_check_t *check)
{
    unsigned *turns = check->data;
    (*turns)++;
}

static void end_wait(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, NULL);
}

/* The loop's turns during 50 ms. */
static unsigned count_turns(struct net *n)
{
    unsigned turns = 0;
    uv_check_t check;
    uv_timer_t timer;
    uv_check_init(&n->loop, &check);
    check.data = &turns;
    uv_check_start(&check, count_turn);
    uv_unref((uv_handle_t *)&check);
    uv_timer_init(&n->loop, &timer);
    uv_update_time(&n->loop);
    uv_timer_start(&timer, end_wait, 50, 0);
    uv_run(&n->loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&check, NULL);
    uv_run(&n->loop, UV_RUN_NOWAIT);
    return turns;
}

static void serve_one_each(struct raw_conn *c, void *arg)
{
    (void)arg;
    if (raw_read(c))
        raw_reply(c, ANSWER);
}

/* Fails where poll_sock() leaves an idle connection that has ended in the poll set, or where the
 * idle handle that runs libcurl's due work is never stopped: the loop would spin. */
static void test_idle_end_does_not_spin(void **state)
{
    (void)state;
    struct net n;
    struct raw_server *s = net_serve(&n, serve_one_each, NULL);
    net_assert_reply(net_ask(&n, CALL), RF_T_OK, NULL);
    raw_wait_closed(s, 1);
    assert_true(count_turns(&n) < 20);
    net_assert_reply(net_ask(&n, CALL), RF_T_OK, NULL);
    net_close(&n);
    raw_stop(s);
}

/* Fails where a poll handle is not stopped before its descriptor is closed: the number comes again
 * at once, and libuv would refuse it or wait for events of a descriptor that is gone. */
static void test_descriptor_reused(void **state)
{
    (void)state;
    struct net n;
    unsigned fds = net_count_fds();
    struct raw_server *s = net_serve(&n, serve_one_each, NULL);
    for (uint32_t i = 0; i < 60; i++) {
        struct rf_exchange *ex = net_ask(&n, CALL);
        net_assert_reply(ex, RF_T_OK, NULL);
    }
    net_close(&n);
    raw_stop(s);
    assert_int_equal(net_count_fds(), fds);
}

/* Fails without the UV_EEXIST branch of open_socket(): somebody closed a descriptor without
 * stopping its handle, and the socket gets that number. */
static void test_descriptor_taken(void **state)
{
    (void)state;
    struct net n;
    struct raw_server *s = net_serve(&n, serve_well, NULL);
    uv_poll_t stale;
    int other = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(uv_poll_init(&n.loop, &stale, other), 0);
    uv_poll_start(&stale, UV_READABLE, (uv_poll_cb)(void (*)(void))abort);
    uv_run(&n.loop, UV_RUN_NOWAIT);
    close(other);
    net_assert_reply(net_ask(&n, CALL), RF_T_OK, NULL);
    raw_stop(s); /* it may have got the number too */
    uv_close((uv_handle_t *)&stale, NULL);
    net_close(&n);
}

static void test_out_of_descriptors(void **state)
{
    (void)state;
    struct net n;
    struct raw_server *s = net_serve(&n, serve_well, NULL);
    struct rlimit old, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = (struct rlimit){0, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct rf_exchange *ex = net_ask(&n, CALL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    net_assert_reply(ex, RF_T_CONNECT, "out of file descriptors");
    net_assert_reply(net_ask(&n, CALL), RF_T_OK, NULL);
    net_close(&n);
    raw_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_many),        cmocka_unit_test(test_reset_seen_at_once),
        cmocka_unit_test(test_answer_before_reset), cmocka_unit_test(test_part_before_reset),
        cmocka_unit_test(test_blackhole_connect),   cmocka_unit_test(test_abort),
        cmocka_unit_test(test_done_is_reentrant),   cmocka_unit_test(test_close_while_busy),
        cmocka_unit_test(test_idle_keeps_no_loop),  cmocka_unit_test(test_idle_end_does_not_spin),
        cmocka_unit_test(test_descriptor_reused),   cmocka_unit_test(test_descriptor_taken),
        cmocka_unit_test(test_out_of_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
