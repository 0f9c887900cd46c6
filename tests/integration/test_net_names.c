/* test_net_names.c - name lookups that hang, fail and run short of memory, with a getaddrinfo()
 * of the test's own under libuv and libcurl. The comment at a test says which handling it fails
 * without. */
#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "nettest.h"
#include "rawserver.h"

#define CALL "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":[]}"
#define ANSWER "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x10\"}"
#define TURN_NS (20 * RF_MS) /* the longest a turn of the loop may take */

/* A getaddrinfo() in place of the system's, for libuv and for libcurl: names in .hung hang until
 * they are let go, all others are 127.0.0.1. */
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

static uint64_t ask_hung(unsigned *calls)
{
    struct net n;
    hold_resolver();
    net_init(&n);
    n.o.connect_timeout_ms = 500;
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
    net_assert_reply(ex[3], RF_T_CONNECT, "name lookup timed out");
    assert_true(uv_hrtime() - begun < 490 * RF_MS);
    net_wait(&n, 4);
    assert_true(uv_hrtime() - begun >= 499 * RF_MS);
    net_assert_reply(ex[0], RF_T_CONNECT, "name lookup timed out");
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
        net_assert_reply(&n.ex[i], RF_T_OK, NULL);
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
    net_assert_reply(net_ask(&n, CALL), RF_T_CONNECT, "name not found");
    net_close(&n);
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
    net_assert_reply(ex, RF_T_ABORTED, "aborted");
    release_resolver();
    net_close(&n);
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
        cmocka_unit_test(test_hung_lookup),    cmocka_unit_test(test_lookup_once),
        cmocka_unit_test(test_name_not_found), cmocka_unit_test(test_abort_while_looked_up),
        cmocka_unit_test(test_out_of_memory),  cmocka_unit_test(test_out_of_memory_sending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
