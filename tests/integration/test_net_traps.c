/* test_net_traps.c - the traps of libcurl's multi interface on libuv, one test each. The comment at a
 * test says which handling it fails without. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
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

#include "base/mem.h"
#include "nettest.h"
#include "rawserver.h"

#define CALL "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":[]}"
#define ANSWER "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x10\"}"
#define REFUSED 2000
#define TURN_NS (20 * RF_MS) /* the longest a turn of the loop may take */

/* A getaddrinfo() in place of the system's, for libuv and for libcurl: names in .hung hang until they
 * are let go, all others are 127.0.0.1. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t go;
    bool released;
    unsigned calls, hanging;
} resolver = {.lock = PTHREAD_MUTEX_INITIALIZER, .go = PTHREAD_COND_INITIALIZER};

__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **out)
{
    (void)service;
    (void)hints;
    pthread_mutex_lock(&resolver.lock);
    resolver.calls++;
    if (strstr(node, ".hung") != NULL) {
        resolver.hanging++;
        while (!resolver.released)
            pthread_cond_wait(&resolver.go, &resolver.lock);
        resolver.hanging--;
    }
    pthread_mutex_unlock(&resolver.lock);
    struct {
        struct addrinfo ai;
        struct sockaddr_in in;
    } *a = calloc(1, sizeof *a);
    if (a == NULL || strstr(node, ".missing") != NULL) {
        free(a);
        return EAI_NONAME;
    }
    a->in.sin_family = AF_INET;
    a->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a->ai.ai_family = AF_INET;
    a->ai.ai_socktype = SOCK_STREAM;
    a->ai.ai_addrlen = sizeof a->in;
    a->ai.ai_addr = (struct sockaddr *)&a->in;
    *out = &a->ai;
    return 0;
}

__attribute__((visibility("default"))) void freeaddrinfo(struct addrinfo *ai)
{
    free(ai);
}

static void hold_resolver(void)
{
    pthread_mutex_lock(&resolver.lock);
    resolver.released = false;
    resolver.calls = 0;
    pthread_mutex_unlock(&resolver.lock);
}

static void release_resolver(void)
{
    pthread_mutex_lock(&resolver.lock);
    resolver.released = true;
    pthread_cond_broadcast(&resolver.go);
    pthread_mutex_unlock(&resolver.lock);
}

static unsigned resolver_calls(void)
{
    pthread_mutex_lock(&resolver.lock);
    unsigned n = resolver.calls;
    pthread_mutex_unlock(&resolver.lock);
    return n;
}

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

static struct raw_server *serve(struct net *n, raw_serve_fn fn, void *arg)
{
    struct raw_server *s = raw_start(&(struct raw_options){.serve = fn, .arg = arg});
    assert_non_null(s);
    net_init(n);
    net_url(n, "http://127.0.0.1:%u/", raw_port(s));
    net_open(n);
    return s;
}

static void assert_reply(const struct rf_exchange *ex, enum rf_transport transport,
                         const char *reason)
{
    assert_int_equal(ex->reply.transport, transport);
    if (reason == NULL)
        assert_null(ex->reply.reason);
    else
        assert_string_equal(ex->reply.reason, reason);
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
        assert_reply(ex, RF_T_CONNECT, "connection refused");
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
    struct raw_server *s = serve(&n, serve_reset, NULL);
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

/* Fails where POLLERR is passed to libcurl as CURL_CSELECT_ERR: the answer that came before the reset
 * lies unread in the socket (name_error()). */
static void test_answer_before_reset(void **state)
{
    (void)state;
    size_t size = 20000; /* fits the first receive window */
    struct net n;
    struct raw_server *s = serve(&n, serve_answer_then_reset, &size);
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
    assert_reply(ex, RF_T_CONNECT, "connect timed out");
    net_close(&n);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    assert_int_equal(net_count_fds(), n.fds);
}

static uint64_t ask_hung(unsigned *calls)
{
    struct net n;
    hold_resolver();
    net_init(&n);
    n.o.connect_timeout_ms = 150;
    net_url(&n, "http://node.hung/");
    net_open(&n);
    net_beat(&n);
    struct rf_exchange *ex[4];
    uint64_t begun = uv_hrtime();
    for (int i = 0; i < 4; i++) {
        ex[i] = net_exchange(&n, CALL);
        ex[i]->timeout_ns = i == 3 ? 60 * RF_MS : 10 * RF_SEC; /* the exchange's own covers it */
        net_send(&n, ex[i]);
    }
    net_wait(&n, 1);
    assert_reply(ex[3], RF_T_CONNECT, "name lookup timed out");
    assert_true(uv_hrtime() - begun < 140 * RF_MS);
    net_wait(&n, 4);
    assert_true(uv_hrtime() - begun >= 149 * RF_MS);
    assert_reply(ex[0], RF_T_CONNECT, "name lookup timed out");
    *calls = resolver_calls();
    uint64_t longest = n.longest_ns;
    release_resolver();
    net_close(&n);
    return longest;
}

/* Fails where names are looked up by libcurl: its transfers end only after the lookup has, and the
 * loop stands still meanwhile. Four exchanges join one lookup. The best of five counts, as the
 * machine may be busy. */
static void test_hung_lookup(void **state)
{
    (void)state;
    uint64_t best = RF_NEVER;
    unsigned calls = 0;
    for (int i = 0; i < 5 && best > TURN_NS; i++)
        best = rf_min_u64(best, ask_hung(&calls));
    print_message("longest turn with a hung lookup: %.1f ms\n", (double)best / 1e6);
    assert_true(best <= TURN_NS);
    assert_int_equal(calls, 1);
}

/* Fails without CURLOPT_RESOLVE: libcurl would call getaddrinfo() itself, a second time. */
static void test_lookup_once(void **state)
{
    (void)state;
    struct net n;
    hold_resolver();
    struct raw_server *s = raw_start(&(struct raw_options){.serve = serve_well});
    net_init(&n);
    net_url(&n, "http://Node.Test.:%u/", raw_port(s));
    net_open(&n);
    for (int i = 0; i < 10; i++)
        net_send(&n, net_exchange(&n, CALL));
    net_wait(&n, 10);
    for (int i = 0; i < 5; i++)
        net_ask(&n, CALL);
    for (int i = 0; i < 15; i++)
        assert_reply(&n.ex[i], RF_T_OK, NULL);
    assert_int_equal(resolver_calls(), 1);
    net_close(&n);
    raw_stop(s);
}

static void test_name_not_found(void **state)
{
    (void)state;
    struct net n;
    net_init(&n);
    net_url(&n, "http://node.missing/");
    net_open(&n);
    assert_reply(net_ask(&n, CALL), RF_T_CONNECT, "name not found");
    net_close(&n);
}

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

/* Fails without count_send(): libcurl reports the replay nowhere. By reset it also fails where POLLERR
 * is passed to libcurl as CURL_CSELECT_ERR. */
static void test_replay_counted(void **state)
{
    (void)state;
    for (enum death death = BY_FIN; death <= BY_RESET; death++) {
        struct net n;
        struct raw_server *s = serve(&n, serve_one_then_die, &death);
        assert_int_equal(net_ask(&n, CALL)->reply.resent, 0);
        struct rf_exchange *ex = net_ask(&n, CALL);
        assert_reply(ex, RF_T_OK, NULL);
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
    struct raw_server *s = serve(&n, serve_die_at_second, NULL);
    for (int i = 0; i < 30; i++) {
        struct rf_exchange *ex = net_ask(&n, CALL);
        assert_reply(ex, RF_T_OK, NULL);
        assert_int_equal(ex->reply.resent, i > 0);
    }
    net_close(&n);
    raw_stop(s);
}

/* Fails where the class goes by libcurl's code alone: 7 usually means that nothing was sent, but here
 * the request went out on the connection that died. */
static void test_replay_refused_is_reset(void **state)
{
    (void)state;
    struct net n;
    enum death death = FOR_GOOD;
    struct raw_server *s = serve(&n, serve_one_then_die, &death);
    assert_reply(net_ask(&n, CALL), RF_T_OK, NULL);
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
    struct raw_server *s = serve(&n, serve_first_only, NULL);
    assert_reply(net_ask(&n, CALL), RF_T_OK, NULL);
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

static void test_abort(void **state)
{
    (void)state;
    struct net n;
    struct raw_server *s = serve(&n, serve_silence, NULL);
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
    assert_reply(ex, RF_T_ABORTED, "aborted");
    net_close(&n);
    raw_stop(s);
}

static void test_abort_while_looked_up(void **state)
{
    (void)state;
    struct net n;
    hold_resolver();
    net_init(&n);
    net_url(&n, "http://node.hung/");
    net_open(&n);
    struct rf_exchange *ex = net_exchange(&n, CALL);
    net_send(&n, ex);
    net_abort(&n, ex);
    net_wait(&n, 1);
    assert_reply(ex, RF_T_ABORTED, "aborted");
    release_resolver();
    net_close(&n);
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
    struct raw_server *s = serve(&n, serve_well, NULL);
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
    struct raw_server *s = serve(&n, serve_silence, NULL);
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
    struct raw_server *s = serve(&n, serve_well, NULL);
    assert_reply(net_ask(&n, CALL), RF_T_OK, NULL);
    uv_run(&n.loop, UV_RUN_DEFAULT); /* would not return */
    assert_int_equal(uv_loop_alive(&n.loop), 0);
    assert_reply(net_ask(&n, CALL), RF_T_OK, NULL);
    assert_int_equal(raw_connections(s), 1);
    net_close(&n);
    raw_stop(s);
}

static void serve_one_each(struct raw_conn *c, void *arg)
{
    (void)arg;
    if (raw_read(c))
        raw_reply(c, ANSWER);
}

/* Fails where a poll handle is not stopped before its descriptor is closed: the number comes again
 * at once, and libuv would refuse it or wait for events of a descriptor that is gone. Also fails
 * where the end of an idle connection is polled for ever: the loop would spin. */
static void test_descriptor_reused(void **state)
{
    (void)state;
    struct net n;
    unsigned fds = net_count_fds();
    struct raw_server *s = serve(&n, serve_one_each, NULL);
    for (uint32_t i = 0; i < 60; i++) {
        struct rf_exchange *ex = net_ask(&n, CALL);
        assert_reply(ex, RF_T_OK, NULL);
    }
    net_close(&n);
    raw_stop(s);
    assert_int_equal(net_count_fds(), fds);
}

/* Fails without the UV_EEXIST branch of open_socket(): somebody closed a descriptor without stopping
 * its handle, and the socket gets that number. */
static void test_descriptor_taken(void **state)
{
    (void)state;
    struct net n;
    struct raw_server *s = serve(&n, serve_well, NULL);
    uv_poll_t stale;
    int other = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(uv_poll_init(&n.loop, &stale, other), 0);
    uv_poll_start(&stale, UV_READABLE, (uv_poll_cb)(void (*)(void))abort);
    uv_run(&n.loop, UV_RUN_NOWAIT);
    close(other);
    assert_reply(net_ask(&n, CALL), RF_T_OK, NULL);
    uv_close((uv_handle_t *)&stale, NULL);
    net_close(&n);
    raw_stop(s);
}

static void test_out_of_descriptors(void **state)
{
    (void)state;
    struct net n;
    struct raw_server *s = serve(&n, serve_well, NULL);
    struct rlimit old, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = (struct rlimit){0, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct rf_exchange *ex = net_ask(&n, CALL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_reply(ex, RF_T_CONNECT, "out of file descriptors");
    assert_reply(net_ask(&n, CALL), RF_T_OK, NULL);
    net_close(&n);
    raw_stop(s);
}

/* Each allocation fails once: the exchange always comes back, once, and nothing leaks. */
static void test_out_of_memory(void **state)
{
    (void)state;
    bool ok = false;
    for (unsigned at = 1; at < 200 && !ok; at++) {
        struct net n;
        struct raw_server *s = raw_start(&(struct raw_options){.serve = serve_well});
        net_init(&n);
        net_url(&n, "http://node.test:%u/", raw_port(s));
        struct rf_exchange *ex = net_exchange(&n, CALL);
        struct rf_http_options o = {.loop = &n.loop, .endpoints = n.endpoints, .n_endpoints = 1};
        struct rpcfan_error err;
        n.endpoints[0] = &n.o;
        rf_alloc_fail_at(at);
        enum rpcfan_err e = rf_http_new(&o, &n.http, &err);
        rf_alloc_fail_at(0);
        assert_true(e == RPCFAN_OK || e == RPCFAN_ENOMEM || e == RPCFAN_ECONFIG);
        assert_true((e == RPCFAN_OK) == (n.http != NULL));
        ok = e == RPCFAN_OK;
        if (n.http != NULL) {
            net_close(&n);
        } else {
            rf_buf_fini(&ex->body);
            assert_int_equal(uv_loop_close(&n.loop), 0);
        }
        raw_stop(s);
    }
    assert_true(ok);
}

static void test_out_of_memory_sending(void **state)
{
    (void)state;
    unsigned failed = 0, worked = 0;
    for (unsigned at = 1; at < 60; at++) {
        struct net n;
        struct raw_server *s = raw_start(&(struct raw_options){.serve = serve_well});
        net_init(&n);
        net_url(&n, "http://node.test:%u/", raw_port(s));
        net_open(&n);
        struct rf_exchange *ex = net_exchange(&n, CALL);
        rf_alloc_fail_at(at);
        net_send(&n, ex);
        net_wait(&n, 1);
        rf_alloc_fail_at(0);
        if (ex->reply.transport == RF_T_OK && ex->reply.split.shape == RF_SHAPE_OBJECT)
            worked++;
        else
            failed++;
        net_close(&n);
        assert_int_equal(n.done, 1);
        raw_stop(s);
    }
    assert_true(failed > 3 && worked > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_many),
        cmocka_unit_test(test_reset_seen_at_once),
        cmocka_unit_test(test_answer_before_reset),
        cmocka_unit_test(test_blackhole_connect),
        cmocka_unit_test(test_hung_lookup),
        cmocka_unit_test(test_lookup_once),
        cmocka_unit_test(test_name_not_found),
        cmocka_unit_test(test_replay_counted),
        cmocka_unit_test(test_replays_without_end),
        cmocka_unit_test(test_replay_refused_is_reset),
        cmocka_unit_test(test_fresh_sent_once),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_abort_while_looked_up),
        cmocka_unit_test(test_done_is_reentrant),
        cmocka_unit_test(test_close_while_busy),
        cmocka_unit_test(test_idle_keeps_no_loop),
        cmocka_unit_test(test_descriptor_reused),
        cmocka_unit_test(test_descriptor_taken),
        cmocka_unit_test(test_out_of_descriptors),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_out_of_memory_sending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
