/* test_stream.c - streamed calls through the public API: elements and completion, retries, stops
 * and going on from other threads, cancel and close while stopped, and a long answer in flat
 * memory. */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#include "base/base.h"
#include "rawserver.h"
#include "rpcfan/rpcfan.h"

#define PAD "xvp6877brTo9ZfNqq8l0MbG75MLS9uDkfKYCA0UvXWGVvIJ2q8l0MbG75MLS9uDkfKYCA0UvXWGVvIJ2"
#define BLOCK 200 /* rows written at a time */
#define ROW_MAX 160

/** What the server answers; of several requests the script's next each. */
struct node {
    struct raw_server *s;
    unsigned rows;
    enum { WHOLE, BROKEN, GARBLED, LIMITED, BEHIND, PAGE } script[4];
    atomic_uint asked;
};

/** A client and what its streamed call was told. */
struct listener {
    struct node node;
    struct rpcfan_endpoint_options ep;
    struct rpcfan_network_options net;
    struct rpcfan_options o;
    rpcfan_client_t *client;
    char url[64];
    atomic_uint rows, firsts, wrong, done;
    unsigned stop_every;
    bool resume_inside; /* the element callback itself */
    sem_t stopped, finished;
    rpcfan_call_id id; /* set before the first element is looked at */
    enum rpcfan_err err;
    char json[200];
    unsigned attempts;
};

static bool id_of(const struct raw_conn *c, char *out, size_t size)
{
    const char *at = strstr(c->body, "\"id\":");
    if (at == NULL)
        return false;
    snprintf(out, size, "%.*s", (int)strspn(at + 5, "0123456789"), at + 5);
    return true;
}

static bool write_chunk(struct raw_conn *c, const char *data, size_t n)
{
    char size[24];
    snprintf(size, sizeof size, "%zx\r\n", n);
    return raw_text(c, size) && raw_write(c, data, n) && raw_text(c, "\r\n");
}

static size_t row_text(char *out, unsigned i, bool last)
{
    return (size_t)snprintf(out, ROW_MAX, "{\"n\":%u,\"data\":\"" PAD "\"}%s", i, last ? "" : ",");
}

/* The rows, chunked; half of them where it is to break off. */
static bool write_rows(struct raw_conn *c, const struct node *n, const char *id, int how)
{
    static _Thread_local char block[BLOCK * ROW_MAX];
    int len = snprintf(block, sizeof block, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":%s[", id,
                       how == PAGE ? "{\"context\":{\"slot\":7},\"value\":{\"accounts\":"
                                   : "{\"context\":{\"slot\":7},\"value\":");
    bool ok = raw_text(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") &&
              write_chunk(c, block, (size_t)len);
    unsigned rows = how == BROKEN || how == GARBLED ? n->rows / 2 : n->rows;
    for (unsigned i = 0; i < rows && ok;) {
        size_t at = 0;
        for (unsigned k = 0; k < BLOCK && i < rows; k++, i++)
            at += row_text(block + at, i, i + 1 == n->rows);
        ok = write_chunk(c, block, at);
    }
    if (how == BROKEN)
        return false;
    const char *tail = how == GARBLED ? "}" : how == PAGE ? "],\"paginationKey\":\"k\"}}}" : "]}}";
    return ok && write_chunk(c, tail, strlen(tail)) && raw_text(c, "0\r\n\r\n");
}

static bool reply_error(struct raw_conn *c, const char *id, const char *error)
{
    char body[300];
    snprintf(body, sizeof body, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":%s}", id, error);
    return raw_reply(c, body);
}

static void serve(struct raw_conn *c, void *arg)
{
    struct node *n = arg;
    char id[24];
    bool ok = true;
    while (ok && raw_read(c) && id_of(c, id, sizeof id)) {
        unsigned i = atomic_fetch_add(&n->asked, 1);
        int how = n->script[i < RF_COUNT(n->script) ? i : RF_COUNT(n->script) - 1];
        if (how == LIMITED)
            ok = reply_error(c, id, "{\"code\":429,\"message\":\"Too many requests\"}");
        else if (how == BEHIND)
            ok = reply_error(c, id,
                             "{\"code\":-32016,\"message\":\"Minimum context slot has not been "
                             "reached\",\"data\":{\"contextSlot\":4}}");
        else
            ok = write_rows(c, n, id, how);
    }
}

static int on_element(const struct rpcfan_element *e, void *arg)
{
    struct listener *l = arg;
    char want[ROW_MAX];
    if (e->first) {
        atomic_store(&l->rows, 0);
        atomic_fetch_add(&l->firsts, 1);
    }
    unsigned i = atomic_fetch_add(&l->rows, 1);
    size_t len = row_text(want, i, true);
    if (e->json.len != len || memcmp(e->json.data, want, len) != 0 || e->context_slot != 7 ||
        atomic_load(&l->done) != 0)
        atomic_fetch_add(&l->wrong, 1);
    if (l->stop_every == 0 || (i + 1) % l->stop_every != 0)
        return 0;
    if (l->resume_inside)
        rpcfan_resume(l->client, l->id);
    sem_post(&l->stopped);
    return 1;
}

static void on_done(const rpcfan_result_t *res, void *arg)
{
    struct listener *l = arg;
    struct rpcfan_slice json = rpcfan_result_json(res);
    l->err = rpcfan_result_err(res);
    l->attempts = rpcfan_result_attempts(res);
    snprintf(l->json, sizeof l->json, "%.*s", (int)json.len, json.len > 0 ? json.data : "");
    atomic_fetch_add(&l->done, 1);
    sem_post(&l->finished);
}

static struct listener *listener_new(unsigned rows)
{
    struct listener *l = calloc(1, sizeof *l);
    assert_non_null(l);
    l->node.rows = rows;
    l->node.s = raw_start(&(struct raw_options){.serve = serve, .arg = &l->node});
    assert_non_null(l->node.s);
    snprintf(l->url, sizeof l->url, "http://127.0.0.1:%u/", raw_port(l->node.s));
    rpcfan_endpoint_options_init(&l->ep);
    rpcfan_network_options_init(&l->net);
    rpcfan_options_init(&l->o);
    l->ep.url = l->url;
    l->ep.proxy = "";
    l->ep.response_bytes = 64 * 1024; /* of an element; the answers are longer */
    l->net.family = RPCFAN_SOLANA;
    l->net.endpoints = &l->ep;
    l->net.n_endpoints = 1;
    l->o.networks = &l->net;
    l->o.n_networks = 1;
    sem_init(&l->stopped, 0, 0);
    sem_init(&l->finished, 0, 0);
    return l;
}

static struct rpcfan_request request(struct listener *l)
{
    return (struct rpcfan_request){.size = sizeof(struct rpcfan_request),
                                   .method = "getProgramAccounts",
                                   .params = "[\"p\",{\"withContext\":true}]",
                                   .element = on_element,
                                   .arg = l};
}

static void connect_client(struct listener *l)
{
    struct rpcfan_error err;
    if (rpcfan_client_new(&l->o, &l->client, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
}

static void ask(struct listener *l, uint64_t timeout_ms)
{
    struct rpcfan_request r = request(l);
    r.cb = on_done;
    r.timeout_ms = timeout_ms;
    if (l->client == NULL)
        connect_client(l);
    assert_int_equal(rpcfan_call(l->client, &r, &l->id, NULL), RPCFAN_OK);
}

static void wait_for(sem_t *s)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += 60;
    if (sem_timedwait(s, &at) != 0)
        fail_msg("waited 60 s");
}

/* Free, and check what must always hold. */
static void end(struct listener *l)
{
    rpcfan_client_free(l->client);
    raw_stop(l->node.s);
    assert_int_equal(l->wrong, 0);
    assert_true(l->done <= 1);
    sem_destroy(&l->stopped);
    sem_destroy(&l->finished);
    free(l);
}

static void test_stream_elements_and_completion(void **state)
{
    (void)state;
    struct listener *l = listener_new(5000);
    ask(l, 0);
    wait_for(&l->finished);
    assert_int_equal(l->err, RPCFAN_OK);
    assert_string_equal(l->json, "{\"context\":{\"slot\":7},\"value\":[]}");
    assert_int_equal(l->rows, 5000);
    assert_int_equal(l->firsts, 1);
    assert_int_equal(l->attempts, 1);
    end(l);
}

static void test_stream_pages(void **state)
{
    (void)state;
    struct listener *l = listener_new(50);
    l->node.script[0] = PAGE;
    ask(l, 0);
    wait_for(&l->finished);
    assert_string_equal(
        l->json, "{\"context\":{\"slot\":7},\"value\":{\"accounts\":[],\"paginationKey\":\"k\"}}");
    assert_int_equal(l->rows, 50);
    end(l);
}

static void test_stream_by_wait(void **state)
{
    (void)state;
    struct listener *l = listener_new(1000);
    struct rpcfan_request r = request(l);
    rpcfan_result_t *res;
    connect_client(l);
    assert_int_equal(rpcfan_call_wait(l->client, &r, &res, NULL), RPCFAN_OK);
    assert_int_equal(rpcfan_result_err(res), RPCFAN_OK);
    rpcfan_result_unref(res);
    assert_int_equal(l->rows, 1000);
    end(l);
}

static void test_stream_by_queue(void **state)
{
    (void)state;
    struct listener *l = listener_new(1000);
    struct rpcfan_request r = request(l);
    rpcfan_result_t *res = NULL;
    connect_client(l);
    assert_int_equal(rpcfan_cq_new(l->client, &r.cq), RPCFAN_OK);
    l->stop_every = 1000;
    assert_int_equal(rpcfan_call(l->client, &r, &l->id, NULL), RPCFAN_OK);
    wait_for(&l->stopped);
    assert_int_equal(rpcfan_cq_poll(r.cq, &res, 1), 0);
    rpcfan_resume(l->client, l->id);
    while (rpcfan_cq_poll(r.cq, &res, 1) == 0)
        sched_yield();
    assert_int_equal(rpcfan_result_err(res), RPCFAN_OK);
    rpcfan_result_unref(res);
    rpcfan_cq_free(r.cq);
    end(l);
}

/* Broken off, no JSON, refused for rate, behind: it goes again, and its elements with it. */
static void test_stream_goes_again(void **state)
{
    (void)state;
    static const int script[][3] = {
        {BROKEN, GARBLED, WHOLE}, {LIMITED, BROKEN, WHOLE}, {BEHIND, BEHIND, WHOLE}};
    for (size_t i = 0; i < RF_COUNT(script); i++) {
        struct listener *l = listener_new(3000);
        unsigned with_rows = 0;
        for (unsigned k = 0; k < 3; k++) {
            l->node.script[k] = script[i][k];
            with_rows += script[i][k] <= GARBLED;
        }
        ask(l, 0);
        wait_for(&l->finished);
        assert_int_equal(l->err, RPCFAN_OK);
        assert_int_equal(l->rows, 3000);
        assert_int_equal(l->firsts, with_rows);
        assert_int_equal(l->attempts, 3);
        end(l);
    }
}

static void test_stream_fails_in_the_end(void **state)
{
    (void)state;
    struct listener *l = listener_new(300);
    for (unsigned i = 0; i < RF_COUNT(l->node.script); i++)
        l->node.script[i] = GARBLED;
    ask(l, 0);
    wait_for(&l->finished);
    assert_int_equal(l->err, RPCFAN_EMALFORMED);
    assert_int_equal(l->firsts, 3);
    assert_string_equal(l->json, "");
    end(l);
}

static void test_stream_stop_and_go(void **state)
{
    (void)state;
    struct listener *l = listener_new(20000);
    l->stop_every = 37;
    ask(l, 0);
    for (unsigned i = 0; i < 20000 / 37; i++) {
        wait_for(&l->stopped);
        assert_int_equal(atomic_load(&l->rows), (i + 1) * 37);
        rpcfan_resume(l->client, l->id);
    }
    wait_for(&l->finished);
    assert_int_equal(l->err, RPCFAN_OK);
    assert_int_equal(l->rows, 20000);
    rpcfan_resume(l->client, l->id); /* too late: no effect */
    end(l);
}

static void test_stream_goes_on_from_its_callback(void **state)
{
    (void)state;
    struct listener *l = listener_new(2000);
    l->stop_every = 1;
    l->resume_inside = true;
    ask(l, 0);
    wait_for(&l->finished);
    assert_int_equal(l->err, RPCFAN_OK);
    assert_int_equal(l->rows, 2000);
    end(l);
}

static void test_stream_cancel_while_stopped(void **state)
{
    (void)state;
    struct listener *l = listener_new(20000);
    l->stop_every = 10;
    ask(l, 0);
    wait_for(&l->stopped);
    rpcfan_cancel(l->client, l->id);
    wait_for(&l->finished);
    assert_int_equal(l->err, RPCFAN_ECANCELED);
    assert_int_equal(l->rows, 10);
    rpcfan_resume(l->client, l->id);
    /* and the client is as good as before */
    atomic_store(&l->done, 0);
    l->stop_every = 0;
    ask(l, 0);
    wait_for(&l->finished);
    assert_int_equal(l->err, RPCFAN_OK);
    end(l);
}

static void test_stream_deadline_while_stopped(void **state)
{
    (void)state;
    struct listener *l = listener_new(20000);
    l->stop_every = 10;
    ask(l, 300);
    wait_for(&l->finished);
    assert_int_equal(l->err, RPCFAN_EDEADLINE);
    assert_int_equal(l->rows, 10);
    end(l);
}

static void test_stream_close_while_stopped(void **state)
{
    (void)state;
    struct listener *l = listener_new(20000);
    l->stop_every = 10;
    ask(l, 0);
    wait_for(&l->stopped);
    rpcfan_client_close(l->client, RPCFAN_CLOSE_NOW, NULL, NULL);
    wait_for(&l->finished);
    assert_int_equal(l->err, RPCFAN_ECANCELED);
    end(l);
}

static void test_stream_drain_waits_for_it(void **state)
{
    (void)state;
    struct listener *l = listener_new(20000);
    l->stop_every = 15000;
    ask(l, 0);
    wait_for(&l->stopped);
    rpcfan_client_close(l->client, RPCFAN_CLOSE_DRAIN, NULL, NULL);
    rpcfan_resume(l->client, l->id);
    wait_for(&l->finished);
    assert_int_equal(l->err, RPCFAN_OK);
    assert_int_equal(l->rows, 20000);
    end(l);
}

/* The network's deadline is for other calls: this one may last longer. */
static void test_stream_outlasts_the_network_deadline(void **state)
{
    (void)state;
    struct listener *l = listener_new(2000);
    l->net.deadline_ms = 200;
    l->stop_every = 1000;
    connect_client(l);
    ask(l, 0);
    wait_for(&l->stopped);
    /* a call that waits for its own deadline tells that it has passed */
    struct rpcfan_request r = request(l);
    rpcfan_result_t *res;
    r.element = NULL;
    r.method = "getSlot";
    uint64_t begun = rpcfan_now_ns();
    while (rpcfan_now_ns() - begun < 300 * RF_MS) {
        assert_int_equal(rpcfan_call_wait(l->client, &r, &res, NULL), RPCFAN_OK);
        rpcfan_result_unref(res);
    }
    assert_int_equal(l->done, 0);
    rpcfan_resume(l->client, l->id);
    wait_for(&l->stopped);
    rpcfan_resume(l->client, l->id);
    wait_for(&l->finished);
    assert_int_equal(l->err, RPCFAN_OK);
    end(l);
}

static size_t peak_kb(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (size_t)u.ru_maxrss;
}

static void test_stream_long_answer_in_flat_memory(void **state)
{
    (void)state;
    struct listener *l = listener_new(1900000); /* 200 MB */
    l->stop_every = 500000;
    connect_client(l);
    size_t before = peak_kb();
    ask(l, 0);
    for (unsigned i = 0; i < 3; i++) {
        wait_for(&l->stopped);
        rpcfan_resume(l->client, l->id);
    }
    wait_for(&l->finished);
    assert_int_equal(l->err, RPCFAN_OK);
    assert_int_equal(l->rows, 1900000);
    assert_true(peak_kb() - before < 48u * 1024);
    end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_long_answer_in_flat_memory), /* first: it looks at the peak */
        cmocka_unit_test(test_stream_elements_and_completion),
        cmocka_unit_test(test_stream_pages),
        cmocka_unit_test(test_stream_by_wait),
        cmocka_unit_test(test_stream_by_queue),
        cmocka_unit_test(test_stream_goes_again),
        cmocka_unit_test(test_stream_fails_in_the_end),
        cmocka_unit_test(test_stream_stop_and_go),
        cmocka_unit_test(test_stream_goes_on_from_its_callback),
        cmocka_unit_test(test_stream_cancel_while_stopped),
        cmocka_unit_test(test_stream_deadline_while_stopped),
        cmocka_unit_test(test_stream_close_while_stopped),
        cmocka_unit_test(test_stream_drain_waits_for_it),
        cmocka_unit_test(test_stream_outlasts_the_network_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
