/* test_ws_connect.c - the way to an open WebSocket, and what goes wrong on it: names, addresses,
 * handshakes, descriptors, proxies. The comment at a test says which handling it fails without. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
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
#include "wsserver.h"
#include "wstest.h"

#define TURN_NS (20 * RF_MS) /* the longest a turn of the loop may take */

/* A getaddrinfo() in place of the system's: names in .hung hang until they are let go, others have
 * the addresses of the list. libwebsockets calls it too, but only with addresses. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t go;
    bool released;
    unsigned names; /* lookups of what is no address */
    const char *list[4];
} resolver = {.lock = PTHREAD_MUTEX_INITIALIZER, .go = PTHREAD_COND_INITIALIZER};

struct answer {
    struct addrinfo ai;
    struct sockaddr_storage addr;
};

static struct addrinfo *make_answer(const char *ip)
{
    struct answer *a = calloc(1, sizeof *a);
    struct sockaddr_in *four = (struct sockaddr_in *)&a->addr;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&a->addr;
    bool is_six = strchr(ip, ':') != NULL;
    a->ai.ai_family = is_six ? AF_INET6 : AF_INET;
    a->ai.ai_socktype = SOCK_STREAM;
    a->ai.ai_addrlen = is_six ? sizeof *six : sizeof *four;
    a->ai.ai_addr = (struct sockaddr *)&a->addr;
    a->addr.ss_family = (sa_family_t)a->ai.ai_family;
    inet_pton(a->ai.ai_family, ip, is_six ? (void *)&six->sin6_addr : (void *)&four->sin_addr);
    return &a->ai;
}

__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **out)
{
    (void)service;
    (void)hints;
    if (rf_host_is_numeric(node)) {
        *out = make_answer(node);
        return 0;
    }
    pthread_mutex_lock(&resolver.lock);
    resolver.names++;
    while (strstr(node, ".hung") != NULL && !resolver.released)
        pthread_cond_wait(&resolver.go, &resolver.lock);
    pthread_mutex_unlock(&resolver.lock);
    *out = NULL;
    if (strstr(node, ".missing") != NULL)
        return EAI_NONAME;
    for (int i = (int)RF_COUNT(resolver.list) - 1; i >= 0; i--) {
        if (resolver.list[i] == NULL)
            continue;
        struct addrinfo *ai = make_answer(resolver.list[i]);
        ai->ai_next = *out;
        *out = ai;
    }
    return 0;
}

__attribute__((visibility("default"))) void freeaddrinfo(struct addrinfo *ai)
{
    while (ai != NULL) {
        struct addrinfo *next = ai->ai_next;
        free(ai);
        ai = next;
    }
}

static unsigned names_looked_up(void)
{
    pthread_mutex_lock(&resolver.lock);
    unsigned n = resolver.names;
    pthread_mutex_unlock(&resolver.lock);
    return n;
}

static void set_resolver(const char *a, const char *b, const char *c)
{
    pthread_mutex_lock(&resolver.lock);
    resolver.released = false;
    resolver.names = 0;
    resolver.list[0] = a;
    resolver.list[1] = b;
    resolver.list[2] = c;
    pthread_mutex_unlock(&resolver.lock);
}

static void release_resolver(void)
{
    pthread_mutex_lock(&resolver.lock);
    resolver.released = true;
    pthread_cond_broadcast(&resolver.go);
    pthread_mutex_unlock(&resolver.lock);
}

static void serve_hello(struct raw_conn *c, void *arg)
{
    (void)arg;
    if (!wss_accept(c))
        return;
    wss_text(c, "hello");
    wss_drain(c);
}

static void serve_silence(struct raw_conn *c, void *arg)
{
    (void)arg;
    raw_hold(c);
}

static void open_to(struct wst *t, uint64_t connect_ms, const char *fmt, const char *host,
                    unsigned port)
{
    wst_init(t, NULL);
    t->o.connect_timeout_ms = connect_ms;
    wst_url(t, fmt, host, port);
    wst_open(t);
}

/* An address that answers nothing: what it could accept is full, so that the kernel drops what
 * comes. */
struct hole {
    int fd, filler[8];
    unsigned port;
};

static void dig_hole(struct hole *h, const char *ip, unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t len = sizeof a;
    inet_pton(AF_INET, ip, &a.sin_addr);
    h->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(h->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(h->fd, 0), 0);
    assert_int_equal(getsockname(h->fd, (struct sockaddr *)&a, &len), 0);
    h->port = ntohs(a.sin_port);
    for (size_t i = 0; i < RF_COUNT(h->filler); i++) {
        h->filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        connect(h->filler[i], (struct sockaddr *)&a, sizeof a);
    }
}

static void fill_hole(struct hole *h)
{
    for (size_t i = 0; i < RF_COUNT(h->filler); i++)
        close(h->filler[i]);
    close(h->fd);
}

/* Fails where libwebsockets is given a name: it would look it up on the loop. */
static void test_name_is_looked_up_off_the_loop(void **state)
{
    (void)state;
    struct wst t;
    set_resolver("127.0.0.1", NULL, NULL);
    struct raw_server *s = raw_start(&(struct raw_options){.serve = serve_hello});
    open_to(&t, 5000, "ws://%s:%u/key", "node.test", raw_port(s));
    for (uint64_t i = 1; i <= 5; i++) {
        wst_connect(&t, i);
        wst_until(&t, &t.s[i].messages, 1);
    }
    assert_int_equal(names_looked_up(), 1);
    wst_fini(&t);
    raw_stop(s);
}

static void test_hung_name(void **state)
{
    (void)state;
    uint64_t best = RF_NEVER;
    for (int i = 0; i < 5 && best > TURN_NS; i++) {
        struct wst t;
        set_resolver("127.0.0.1", NULL, NULL);
        open_to(&t, 200, "ws://%s:%u/", "node.hung", 1);
        wst_beat(&t);
        wst_connect(&t, 1);
        wst_connect(&t, 2);
        wst_until_closed(&t, 1);
        wst_until_closed(&t, 2);
        assert_string_equal(t.s[1].why, "name lookup timed out");
        assert_int_equal(names_looked_up(), 1);
        best = rf_min_u64(best, t.longest_ns);
        release_resolver();
        wst_fini(&t);
    }
    print_message("longest turn with a hung lookup: %.1f ms\n", (double)best / 1e6);
    assert_true(best <= TURN_NS);
}

static void test_close_while_looked_up(void **state)
{
    (void)state;
    struct wst t;
    set_resolver("127.0.0.1", NULL, NULL);
    open_to(&t, 5000, "ws://%s:%u/", "node.hung", 1);
    wst_connect(&t, 1);
    wst_for(&t, 5);
    wst_close(&t, 1);
    wst_until_closed(&t, 1);
    assert_string_equal(t.s[1].why, "closed");
    release_resolver();
    wst_fini(&t);
}

static void test_name_not_found(void **state)
{
    (void)state;
    struct wst t;
    set_resolver(NULL, NULL, NULL);
    open_to(&t, 5000, "ws://%s:%u/", "node.missing", 1);
    wst_connect(&t, 1);
    wst_until_closed(&t, 1);
    assert_string_equal(t.s[1].why, "name not found");
    wst_fini(&t);
}

static void fail_many_times(const char *ip, unsigned port)
{
    struct wst t;
    open_to(&t, 5000, "ws://%s:%u/", ip, port);
    wst_connect(&t, 0);
    wst_until_closed(&t, 0);
    assert_string_equal(t.s[0].why, "could not connect");
    unsigned handles = net_count_handles(t.loop), fds = net_count_fds();
    wst_beat(&t);
    for (unsigned i = 0; i < 1000; i++) {
        memset(&t.s[1], 0, sizeof t.s[1]);
        wst_connect(&t, 1);
        wst_until_closed(&t, 1);
        assert_int_equal(t.s[1].opened, 0);
    }
    assert_int_equal(net_count_handles(t.loop), handles + 1); /* the heartbeat */
    assert_int_equal(net_count_fds(), fds);
    print_message("longest turn of 1,000 failures: %.1f ms\n", (double)t.busiest_ns / 1e6);
    assert_true(t.busiest_ns <= TURN_NS);
    wst_fini(&t);
}

static void test_refused_many_times(void **state)
{
    (void)state;
    int fd;
    unsigned port = net_refused_port(&fd);
    fail_many_times("127.0.0.1", port);
    close(fd);
}

/* connect() to a broadcast address fails at once. Fails where the handles that libwebsockets then
 * forgets are not closed: one each time, and uv_loop_close() is busy. */
static void test_connect_fails_at_once(void **state)
{
    (void)state;
    fail_many_times("127.255.255.255", 1);
}

/* Fails where libwebsockets is not woken after a call from outside: its timer sleeps on. */
static void note_sul(lws_sorted_usec_list_t *sul)
{
    (void)sul;
}

static void note_fired(uv_timer_t *timer)
{
    (void)timer;
}

static void test_its_timers_are_armed_from_outside(void **state)
{
    (void)state;
    struct wst t;
    static lws_sorted_usec_list_t sul;
    struct raw_server *s = wst_serve(&t, serve_hello, NULL);
    wst_connect(&t, 1);
    wst_until(&t, &t.s[1].messages, 1);
    wst_for(&t, 50);
    uv_timer_t limit;
    uv_timer_init(t.loop, &limit);
    uv_timer_start(&limit, note_fired, 2000, 0);
    memset(&sul, 0, sizeof sul);
    lws_sul_schedule(t.ws->ctx, 0, &sul, note_sul, 20 * LWS_US_PER_MS);
    rf_ws_wake(t.ws);
    uint64_t begun = uv_hrtime();
    while (sul.list.owner != NULL && uv_is_active((uv_handle_t *)&limit))
        uv_run(t.loop, UV_RUN_ONCE);
    assert_true(uv_hrtime() - begun < RF_SEC);
    uv_close((uv_handle_t *)&limit, NULL);
    wst_fini(&t);
    raw_stop(s);
}

/* Fails without a timer of our own: libwebsockets' do not fire when set from outside. */
static void test_black_hole(void **state)
{
    (void)state;
    struct wst t;
    struct hole h;
    dig_hole(&h, "127.0.0.1", 0);
    open_to(&t, 300, "ws://%s:%u/", "127.0.0.1", h.port);
    uint64_t begun = uv_hrtime();
    wst_beat(&t);
    wst_connect(&t, 1);
    wst_until_closed(&t, 1);
    uint64_t took = uv_hrtime() - begun;
    assert_string_equal(t.s[1].why, "connect timed out");
    assert_true(took >= 299 * RF_MS && took < 2 * RF_SEC);
    wst_fini(&t);
    fill_hole(&h);
}

/* Fails where only the first address is tried, or where it gets all of the time. The second
 * connection goes to the address that worked, at once. */
static void test_next_address(void **state)
{
    (void)state;
    struct wst t;
    struct hole h;
    struct raw_server *s = raw_start(&(struct raw_options){.serve = serve_hello});
    dig_hole(&h, "127.0.0.3", raw_port(s));
    set_resolver("127.0.0.2", "127.0.0.3", "127.0.0.1"); /* refused, a hole, the server */
    open_to(&t, 2000, "ws://%s:%u/", "node.test", raw_port(s));
    wst_connect(&t, 1);
    wst_until_opened(&t, 1);
    uint64_t begun = uv_hrtime();
    wst_connect(&t, 2);
    wst_until_opened(&t, 2);
    assert_true(uv_hrtime() - begun < 900 * RF_MS);
    wst_fini(&t);
    fill_hole(&h);
    raw_stop(s);
}

static void test_all_addresses_fail(void **state)
{
    (void)state;
    struct wst t;
    int fd;
    unsigned port = net_refused_port(&fd);
    set_resolver("127.0.0.2", "::1", "127.0.0.1");
    open_to(&t, 1000, "ws://%s:%u/", "node.test", port);
    wst_connect(&t, 1);
    wst_until_closed(&t, 1);
    assert_string_equal(t.s[1].why, "could not connect");
    wst_fini(&t);
    close(fd);
}

static void test_ipv6(void **state)
{
    (void)state;
    struct wst t;
    struct raw_server *s = raw_start(&(struct raw_options){.serve = serve_hello, .ipv6 = true});
    assert_non_null(s);
    open_to(&t, 1000, "ws://%s:%u/", "[::1]", raw_port(s));
    wst_connect(&t, 1);
    wst_until_opened(&t, 1);
    wst_fini(&t);
    set_resolver("127.0.0.1", "::1", NULL);
    open_to(&t, 1000, "ws://%s:%u/", "node.test", raw_port(s));
    wst_connect(&t, 1);
    wst_until_opened(&t, 1);
    wst_fini(&t);
    raw_stop(s);
}

static void test_handshake_hangs(void **state)
{
    (void)state;
    struct wst t;
    struct raw_server *s = raw_start(&(struct raw_options){.serve = serve_silence});
    open_to(&t, 200, "ws://%s:%u/", "127.0.0.1", raw_port(s));
    uint64_t begun = uv_hrtime();
    wst_connect(&t, 1);
    wst_until_closed(&t, 1);
    assert_string_equal(t.s[1].why, "handshake timed out");
    assert_true(uv_hrtime() - begun < 2 * RF_SEC);
    wst_fini(&t);
    raw_stop(s);
}

/* Closed, or shut down, in whatever state it is. */
static void test_close_in_each_state(void **state)
{
    (void)state;
    struct hole h;
    dig_hole(&h, "127.0.0.1", 0);
    struct raw_server *s = raw_start(&(struct raw_options){.serve = serve_silence});
    struct raw_server *good = raw_start(&(struct raw_options){.serve = serve_hello});
    unsigned port[] = {h.port, raw_port(s), raw_port(good)};
    for (int how = 0; how < 2; how++) {
        for (size_t i = 0; i < RF_COUNT(port); i++) {
            for (uint64_t ms = 0; ms < 40; ms += 10) {
                struct wst t;
                open_to(&t, 20000, "ws://%s:%u/", "127.0.0.1", port[i]);
                wst_connect(&t, 1);
                if (ms > 0)
                    wst_for(&t, ms);
                if (how == 0) {
                    wst_close(&t, 1);
                    wst_until_closed(&t, 1);
                    assert_string_equal(t.s[1].why, "closed");
                }
                wst_fini(&t);
                assert_int_equal(t.s[1].closed, 1);
            }
        }
    }
    raw_stop(good);
    raw_stop(s);
    fill_hole(&h);
}

static void ignore_poll(uv_poll_t *poll, int status, int events)
{
    (void)poll;
    (void)status;
    (void)events;
}

/* Fails where the number of a descriptor that a stale handle holds in the loop is left to
 * libwebsockets: it goes on with a handle that was never made. */
static void test_stale_handle_at_the_number(void **state)
{
    (void)state;
    struct wst t;
    struct raw_server *s = wst_serve(&t, serve_hello, NULL);
    wst_connect(&t, 1);
    wst_until_opened(&t, 1);
    static uv_poll_t stale[3];
    int fd[3];
    for (int i = 0; i < 3; i++)
        fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); /* polls without an event */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(uv_poll_init(t.loop, &stale[i], fd[i]), 0);
        uv_poll_start(&stale[i], UV_READABLE, ignore_poll);
        uv_unref((uv_handle_t *)&stale[i]);
    }
    uv_run(t.loop, UV_RUN_NOWAIT);
    for (int i = 0; i < 3; i++)
        close(fd[i]);
    wst_connect(&t, 2);
    wst_until(&t, &t.s[2].messages, 1);
    for (int i = 0; i < 3; i++)
        uv_close((uv_handle_t *)&stale[i], NULL);
    wst_fini(&t);
    raw_stop(s);
}

static void open_with_few(struct wst *t, unsigned spare, uint64_t session)
{
    struct rlimit old, few;
    int probe = dup(0);
    close(probe);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    few = old;
    few.rlim_cur = (rlim_t)probe + spare;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    wst_connect(t, session);
    wst_until_closed(t, session);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

/* Fails where libwebsockets is let make its context, or a connection, without descriptors. */
static void test_no_descriptors(void **state)
{
    (void)state;
    struct wst t;
    struct raw_server *s = wst_serve(&t, serve_hello, NULL);
    for (unsigned spare = 0; spare < 6; spare++) {
        memset(&t.s[1], 0, sizeof t.s[1]);
        open_with_few(&t, spare, 1);
        assert_string_equal(t.s[1].why, "out of descriptors");
    }
    wst_connect(&t, 2);
    wst_until_opened(&t, 2);
    open_with_few(&t, 0, 3);
    assert_string_equal(t.s[3].why, "out of descriptors");
    wst_connect(&t, 4);
    wst_until_opened(&t, 4);
    wst_fini(&t);
    raw_stop(s);
}

/* Fails where a connection that could not be made is not told. */
static void test_no_memory_to_open(void **state)
{
    (void)state;
    unsigned failed = 0, worked = 0;
    for (unsigned at = 1; at < 30; at++) {
        struct wst t;
        set_resolver("127.0.0.1", NULL, NULL);
        struct raw_server *s = raw_start(&(struct raw_options){.serve = serve_hello});
        open_to(&t, 5000, "ws://%s:%u/", "node.test", raw_port(s));
        rf_alloc_fail_at(at);
        wst_connect(&t, 1);
        for (int i = 0; i < 10000 && t.s[1].closed + t.s[1].messages + t.s[1].lost == 0; i++)
            uv_run(t.loop, UV_RUN_ONCE);
        rf_alloc_fail_at(0);
        failed += t.s[1].closed;
        worked += t.s[1].messages;
        wst_fini(&t);
        assert_int_equal(t.s[1].closed, 1);
        raw_stop(s);
    }
    assert_true(failed > 2 && worked > 2);
}

static void test_no_memory_for_the_shell(void **state)
{
    (void)state;
    bool ok = false;
    for (unsigned at = 1; at < 200 && !ok; at++) {
        struct wst t;
        struct rpcfan_error err;
        wst_init(&t, NULL);
        static const char *const headers[] = {"A: b"};
        t.o.headers = headers;
        t.o.n_headers = 1;
        t.o.proxy = "http://user:word@proxy.test:3128";
        wst_url(&t, "wss://user:word@node.test/path?query");
        t.endpoints[0] = &t.o;
        struct rf_ws_options o = {.loop = t.loop, .endpoints = t.endpoints, .n_endpoints = 1};
        rf_alloc_fail_at(at);
        enum rpcfan_err e = rf_ws_new(&o, &t.ws, &err);
        rf_alloc_fail_at(0);
        assert_true(e == RPCFAN_OK || e == RPCFAN_ENOMEM || e == RPCFAN_ECONFIG);
        assert_true((e == RPCFAN_OK) == (t.ws != NULL));
        ok = e == RPCFAN_OK;
        wst_fini(&t);
    }
    assert_true(ok);
}

/* The signal's disposition is the program's own. Fails where libwebsockets' change of it stays. */
static void test_signals_are_left_alone(void **state)
{
    (void)state;
    struct wst t;
    struct sigaction pipe_action, term_action;
    struct raw_server *s = wst_serve(&t, serve_hello, NULL);
    wst_connect(&t, 1);
    wst_until_opened(&t, 1);
    sigaction(SIGPIPE, NULL, &pipe_action);
    sigaction(SIGTERM, NULL, &term_action);
    assert_true(pipe_action.sa_handler == SIG_DFL);
    assert_true(term_action.sa_handler == SIG_DFL);
    assert_false(lwsl_visible(LLL_ERR)); /* its log is off */
    wst_fini(&t);
    assert_true(lwsl_visible(LLL_ERR)); /* and as before when nothing of ours is left */
    raw_stop(s);
}

/* The user's own handles in the loop are not ours to close, whatever they carry. */
static void tick(uv_timer_t *timer)
{
    unsigned *n = timer->data;
    ++*n;
}

static void test_two_shells_on_one_loop(void **state)
{
    (void)state;
    struct wst a, b;
    uv_timer_t own;
    unsigned ticks = 0;
    struct raw_server *s = wst_serve(&a, serve_hello, NULL);
    uv_timer_init(a.loop, &own);
    own.data = &ticks;
    uv_timer_start(&own, tick, 1, 1);
    wst_init(&b, a.loop);
    wst_url(&b, "ws://127.0.0.1:%u/", raw_port(s));
    wst_open(&b);
    for (uint64_t i = 1; i <= 8; i++) {
        wst_connect(&a, i);
        wst_connect(&b, i);
    }
    for (uint64_t i = 1; i <= 8; i++) {
        wst_until(&a, &a.s[i].messages, 1);
        wst_until(&b, &b.s[i].messages, 1);
    }
    wst_shutdown(&b); /* the other lives on */
    wst_connect(&a, 9);
    wst_until(&a, &a.s[9].messages, 1);
    unsigned before = ticks;
    wst_until(&a, &ticks, before + 2);
    uv_close((uv_handle_t *)&own, NULL);
    wst_fini(&a);
    raw_stop(s);
}

/* Who opens nothing pays nothing: no context, and the end is quick. */
static void test_nothing_opened(void **state)
{
    (void)state;
    struct wst t;
    open_to(&t, 1000, "ws://%s:%u/", "node.test", 1);
    assert_null(t.ws->ctx);
    assert_true(lwsl_visible(LLL_ERR));
    wst_fini(&t);
}

/* The context is made on the loop. */
static void test_first_connection_is_quick(void **state)
{
    (void)state;
    uint64_t best = RF_NEVER;
    for (int i = 0; i < 5 && best > TURN_NS; i++) {
        struct wst t;
        struct raw_server *s = wst_serve(&t, serve_hello, NULL);
        wst_beat(&t);
        wst_for(&t, 5);
        wst_connect(&t, 1);
        wst_until(&t, &t.s[1].messages, 1);
        best = rf_min_u64(best, t.longest_ns);
        wst_fini(&t);
        raw_stop(s);
    }
    print_message("longest turn of a first connection: %.1f ms\n", (double)best / 1e6);
    assert_true(best <= TURN_NS);
}

/* proxies */

/* Takes a CONNECT, says so in `arg`, and then is the node itself. */
static void serve_proxy(struct raw_conn *c, void *arg)
{
    char *seen = arg;
    if (!raw_read(c))
        return;
    snprintf(seen, 1024, "%s", c->request);
    if (strstr(seen, "refuse") != NULL) {
        raw_text(c, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
        return;
    }
    if (raw_text(c, "HTTP/1.1 200 Connection established\r\n\r\n"))
        serve_hello(c, NULL);
}

static void test_http_proxy(void **state)
{
    (void)state;
    struct wst t;
    char seen[1024], proxy[128];
    set_resolver("127.0.0.1", NULL, NULL);
    struct raw_server *s = raw_start(&(struct raw_options){.serve = serve_proxy, .arg = seen});
    snprintf(proxy, sizeof proxy, "http://user:word@proxy.test:%u", raw_port(s));
    for (int i = 0; i < 2; i++) {
        wst_init(&t, NULL);
        t.o.proxy = proxy;
        wst_url(&t, "ws://%s.test:1234/", i == 0 ? "node" : "refuse");
        wst_open(&t);
        wst_connect(&t, 1);
        if (i == 0) {
            wst_until(&t, &t.s[1].messages, 1);
            assert_non_null(strstr(seen, "CONNECT node.test:1234 HTTP/1.1\r\n"));
            assert_non_null(strstr(seen, "dXNlcjp3b3Jk"));
        } else {
            wst_until_closed(&t, 1);
            assert_string_equal(t.s[1].why, "the proxy refused");
        }
        wst_fini(&t);
    }
    assert_int_equal(names_looked_up(), 2); /* the proxy's, once each */
    raw_stop(s);
}

/* Fails where libwebsockets reads http_proxy itself. */
static void test_proxy_of_the_environment_is_ours_to_read(void **state)
{
    (void)state;
    struct wst t;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    struct raw_server *s = wst_serve(&t, serve_hello, NULL); /* its proxy is "": none */
    wst_connect(&t, 1);
    wst_until_opened(&t, 1);
    wst_fini(&t);
    wst_init(&t, NULL);
    t.o.proxy = NULL;
    wst_url(&t, "ws://127.0.0.1:%u/", raw_port(s));
    wst_open(&t);
    wst_connect(&t, 1);
    wst_until_closed(&t, 1);
    assert_string_equal(t.s[1].why, "could not connect");
    wst_fini(&t);
    unsetenv("http_proxy");
    raw_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_is_looked_up_off_the_loop),
        cmocka_unit_test(test_hung_name),
        cmocka_unit_test(test_close_while_looked_up),
        cmocka_unit_test(test_name_not_found),
        cmocka_unit_test(test_refused_many_times),
        cmocka_unit_test(test_connect_fails_at_once),
        cmocka_unit_test(test_its_timers_are_armed_from_outside),
        cmocka_unit_test(test_black_hole),
        cmocka_unit_test(test_next_address),
        cmocka_unit_test(test_all_addresses_fail),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_handshake_hangs),
        cmocka_unit_test(test_close_in_each_state),
        cmocka_unit_test(test_stale_handle_at_the_number),
        cmocka_unit_test(test_no_descriptors),
        cmocka_unit_test(test_no_memory_to_open),
        cmocka_unit_test(test_no_memory_for_the_shell),
        cmocka_unit_test(test_signals_are_left_alone),
        cmocka_unit_test(test_two_shells_on_one_loop),
        cmocka_unit_test(test_nothing_opened),
        cmocka_unit_test(test_first_connection_is_quick),
        cmocka_unit_test(test_http_proxy),
        cmocka_unit_test(test_proxy_of_the_environment_is_ours_to_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
