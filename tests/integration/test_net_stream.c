/* test_net_stream.c - streamed exchanges over real sockets: framings and codings, stops at every
 * element, silence, breaks, aborts while stopped, caps, and memory. */
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/mem.h"
#include "canned.h"

#define HEAD_JSON "{\"jsonrpc\":\"2.0\",\"result\":{\"context\":{\"slot\":5},\"value\":["
#define TAIL_JSON "]},\"id\":1}"
#define LEFT_JSON HEAD_JSON TAIL_JSON
#define PAD "xvp6877brTo9ZfNqq8l0MbG75MLS9uDkfKYCA0UvXWGVvIJ2q8l0MbG75MLS9uDkfKYCA0UvXWGVvIJ2xvp6"

/** A server's answer of so many rows, written as it says. */
struct answer {
    unsigned rows;
    bool chunked, gzip, bytewise;
    size_t cut; /* so many bytes of the body, then `end`; 0: all */
    enum { AT_ONCE, BY_RESET, BY_CLOSE, BY_SILENCE } end;
    sem_t *drip; /* a row for each post; NULL: as fast as it goes */
    atomic_size_t sent;
};

/** A client that listens. `n` first: the callbacks get that. */
struct stage {
    struct net n;
    struct raw_server *s;
    struct answer a;
    uv_prepare_t again;
    struct rf_exchange *stopped;
    unsigned rows, firsts, resumes, stop_every;
    bool hold; /* do not go on by yourself */
    uint64_t slot;
};

static int row_text(char *out, size_t size, unsigned i)
{
    return snprintf(out, size, "{\"pubkey\":\"%u\",\"account\":{\"data\":[\"" PAD "\"],\"k\":%u}}",
                    i, i % 7);
}

static void add_rows(struct rf_buf *b, unsigned from, unsigned n, unsigned all)
{
    char row[300];
    for (unsigned i = from; i < from + n && i < all; i++) {
        row_text(row, sizeof row, i);
        rf_buf_str(b, row);
        if (i + 1 < all)
            rf_buf_char(b, ',');
    }
}

static void compress_body(struct rf_buf *b)
{
    z_stream z = {0};
    struct rf_buf out = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_true(rf_buf_reserve(&out, deflateBound(&z, b->len)));
    z.next_in = (unsigned char *)b->data;
    z.avail_in = (unsigned)b->len;
    z.next_out = (unsigned char *)out.data;
    z.avail_out = (unsigned)out.cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.len = z.total_out;
    deflateEnd(&z);
    rf_buf_fini(b);
    *b = out;
}

static bool write_piece(struct raw_conn *c, struct answer *a, const char *data, size_t n)
{
    char size[24];
    snprintf(size, sizeof size, "%zx\r\n", n);
    bool ok = !a->chunked || raw_text(c, size);
    ok = ok && raw_write(c, data, n);
    atomic_fetch_add(&a->sent, n);
    return ok && (!a->chunked || raw_text(c, "\r\n"));
}

static bool write_head(struct raw_conn *c, const struct answer *a, size_t len)
{
    char head[200];
    int n = snprintf(head, sizeof head, OK_HEAD "%s", a->gzip ? "Content-Encoding: gzip\r\n" : "");
    if (a->chunked)
        snprintf(head + n, sizeof head - (size_t)n, "Transfer-Encoding: chunked\r\n\r\n");
    else
        snprintf(head + n, sizeof head - (size_t)n, "Content-Length: %zu\r\n\r\n", len);
    return raw_text(c, head);
}

/* An answer that fits into memory. */
static bool serve_whole(struct raw_conn *c, struct answer *a)
{
    struct rf_buf b = {0};
    rf_buf_str(&b, HEAD_JSON);
    add_rows(&b, 0, a->rows, a->rows);
    rf_buf_str(&b, TAIL_JSON);
    if (a->gzip)
        compress_body(&b);
    size_t len = a->cut > 0 ? a->cut : b.len, step = a->bytewise ? 1 : a->chunked ? 5000 : len;
    bool ok = write_head(c, a, b.len);
    for (size_t at = 0; at < len && ok; at += step)
        ok = write_piece(c, a, b.data + at, len - at < step ? len - at : step);
    rf_buf_fini(&b);
    return ok && (!a->chunked || a->cut > 0 || raw_text(c, "0\r\n\r\n"));
}

/* Row by row, or block by block: memory holds none of it. */
static bool serve_flow(struct raw_conn *c, struct answer *a)
{
    unsigned step = a->drip != NULL ? 1 : 500;
    bool ok = write_head(c, a, 0) && write_piece(c, a, HEAD_JSON, sizeof HEAD_JSON - 1);
    struct rf_buf b = {0};
    for (unsigned i = 0; i < a->rows && ok; i += step) {
        if (a->drip != NULL)
            sem_wait(a->drip);
        b.len = 0;
        add_rows(&b, i, step, a->rows);
        ok = write_piece(c, a, b.data, b.len);
    }
    rf_buf_fini(&b);
    return ok && write_piece(c, a, TAIL_JSON, sizeof TAIL_JSON - 1) && raw_text(c, "0\r\n\r\n");
}

static void serve_rows(struct raw_conn *c, void *arg)
{
    struct answer *a = arg;
    while (raw_read(c)) {
        if (a->end == BY_RESET)
            raw_reset(c);
        if (a->drip != NULL || a->rows > 100000 ? !serve_flow(c, a) : !serve_whole(c, a))
            return;
        if (a->end == BY_SILENCE)
            raw_hold(c);
        if (a->end != AT_ONCE)
            return;
    }
}

static bool on_element(struct net *n, struct rf_exchange *ex, const struct rpcfan_element *e)
{
    struct stage *g = (struct stage *)n;
    char want[300];
    if (e->first) {
        g->rows = 0;
        g->firsts++;
    }
    int len = row_text(want, sizeof want, g->rows);
    if (e->json.len != (size_t)len || memcmp(e->json.data, want, (size_t)len) != 0)
        fail_msg("row %u: %.*s", g->rows, (int)e->json.len, e->json.data);
    g->rows++;
    g->slot = e->context_slot;
    if (g->stop_every == 0 || g->rows % g->stop_every != 0)
        return true;
    assert_null(g->stopped);
    g->stopped = ex;
    return false;
}

static void go_on(struct stage *g)
{
    struct rf_exchange *ex = g->stopped;
    g->stopped = NULL;
    g->resumes++;
    rf_http_resume(g->n.http, ex);
}

static void on_again(uv_prepare_t *p)
{
    struct stage *g = p->data;
    if (g->stopped != NULL && !g->hold)
        go_on(g);
}

static void start(struct stage *g)
{
    g->s = net_serve(&g->n, serve_rows, &g->a);
    g->n.on_element = on_element;
    uv_prepare_init(&g->n.loop, &g->again);
    g->again.data = g;
    uv_prepare_start(&g->again, on_again);
    uv_unref((uv_handle_t *)&g->again);
}

static struct rf_exchange *ask(struct stage *g)
{
    struct rf_exchange *ex = net_exchange(&g->n, CALL);
    ex->stream = true;
    g->rows = 0;
    net_send(&g->n, ex);
    return ex;
}

static void end(struct stage *g)
{
    uv_close((uv_handle_t *)&g->again, NULL);
    net_close(&g->n);
    raw_stop(g->s);
    free(g);
}

static struct stage *stage_new(unsigned rows)
{
    struct stage *g = calloc(1, sizeof *g);
    assert_non_null(g);
    g->a.rows = rows;
    return g;
}

static void assert_whole(const struct stage *g, const struct rf_exchange *ex)
{
    net_assert_reply(ex, RF_T_OK, NULL);
    assert_true(net_body_is(ex, LEFT_JSON));
    assert_int_equal(ex->reply.split.shape, RF_SHAPE_OBJECT);
    assert_int_equal(ex->reply.split.member[0].id, 1);
    assert_int_equal(g->rows, g->a.rows);
    assert_int_equal(g->slot, g->a.rows > 0 ? 5 : 0);
}

/* Every framing and coding, without stops and with one at each element. */
static void test_stream_framings(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 16; way++) {
        struct stage *g = stage_new(300);
        g->a.chunked = (way & 1) != 0;
        g->a.gzip = (way & 2) != 0;
        g->a.bytewise = (way & 4) != 0;
        g->stop_every = (way & 8) != 0;
        start(g);
        struct rf_exchange *ex = ask(g);
        net_wait(&g->n, 1);
        assert_whole(g, ex);
        assert_int_equal(g->firsts, 1);
        assert_int_equal(g->resumes, g->stop_every > 0 ? 300 : 0);
        end(g);
    }
}

static void test_stream_no_rows(void **state)
{
    (void)state;
    struct stage *g = stage_new(0);
    start(g);
    struct rf_exchange *ex = ask(g);
    net_wait(&g->n, 1);
    assert_whole(g, ex);
    assert_int_equal(g->firsts, 0);
    end(g);
}

/* Compressed some forty to one, so that one read of the socket is megabytes. */
static void test_stream_stops_amid_decoded_bytes(void **state)
{
    (void)state;
    struct stage *g = stage_new(40000);
    g->a.gzip = true;
    g->stop_every = 997;
    start(g);
    struct rf_exchange *ex = ask(g);
    net_wait(&g->n, 1);
    assert_whole(g, ex);
    assert_int_equal(g->resumes, 40);
    end(g);
}

static size_t peak_kb(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (size_t)u.ru_maxrss;
}

/* 200 MB: nothing piles up while it runs, nor while it is stopped. */
static void test_stream_memory_is_flat(void **state)
{
    (void)state;
    struct stage *g = stage_new(1600000);
    g->a.chunked = true;
    g->stop_every = 400000;
    g->hold = true;
    start(g);
    size_t before = peak_kb();
    struct rf_exchange *ex = ask(g);
    while (g->n.done == 0) {
        while (g->stopped == NULL && g->n.done == 0)
            uv_run(&g->n.loop, UV_RUN_ONCE);
        unsigned rows = g->rows;
        size_t at = 150u * rows;
        for (unsigned i = 0; i < 2000; i++)
            uv_run(&g->n.loop, UV_RUN_NOWAIT);
        assert_int_equal(g->rows, rows);
        assert_true(g->n.done == 1 || g->a.sent < at + 40u * 1024 * 1024);
        if (g->stopped != NULL)
            go_on(g);
    }
    assert_whole(g, ex);
    assert_true(g->a.sent > 190u * 1000 * 1000);
    assert_true(g->n.o.response_bytes < 2u * 1024 * 1024); /* which is no cap here */
    assert_true(peak_kb() - before < 48u * 1024);
    end(g);
}

static void break_off(struct answer how, enum rf_transport transport, const char *reason)
{
    struct stage *g = stage_new(1000);
    g->a.chunked = how.chunked;
    g->a.cut = how.cut;
    g->a.end = how.end;
    start(g);
    struct rf_exchange *ex = net_exchange(&g->n, CALL);
    ex->stream = true;
    ex->timeout_ns = how.end == BY_SILENCE ? 200 * RF_MS : 10 * RF_SEC;
    net_send(&g->n, ex);
    net_wait(&g->n, 1);
    net_assert_reply(ex, transport, reason);
    if (how.cut > 1000)
        assert_true(g->rows > 0 && g->rows < 1000);
    assert_null(ex->reply.blob);
    raw_wait_closed(g->s, 1); /* its thread reads the answer no more */
    /* and again, with the same handle or another */
    g->a = (struct answer){.rows = 10};
    ex = ask(g);
    net_wait(&g->n, 2);
    assert_whole(g, ex);
    end(g);
}

static void test_stream_breaks(void **state)
{
    (void)state;
    break_off((struct answer){.cut = 50000, .end = BY_CLOSE}, RF_T_RESET, "the body ended early");
    break_off((struct answer){.cut = 50000, .end = BY_CLOSE, .chunked = true}, RF_T_RESET,
              "the body ended early");
    break_off((struct answer){.cut = 50000, .end = BY_SILENCE}, RF_T_TIMEOUT, "no answer in time");
    break_off((struct answer){.cut = 30, .end = BY_SILENCE}, RF_T_TIMEOUT, "no answer in time");
}

static void test_stream_reset(void **state)
{
    (void)state;
    struct stage *g = stage_new(1000);
    g->a.cut = 50000;
    g->a.end = BY_RESET;
    start(g);
    struct rf_exchange *ex = ask(g);
    net_wait(&g->n, 1);
    assert_int_equal(ex->reply.transport, RF_T_RESET);
    end(g);
}

/* The end of the connection is all that delimits it: it is no answer where it is no JSON. */
static void test_stream_cut_without_a_length(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum rf_transport transport;
    } cases[] = {
        {OK_HEAD "\r\n{\"id\":1,\"result\":[1,2", RF_T_RESET},
        {OK_HEAD "\r\n{\"id\":1,\"result\":[1,2]", RF_T_RESET},
        {OK_HEAD "\r\n{\"id\":1,\"result\":[1,2]}", RF_T_OK},
        {OK_HEAD "\r\n{\"id\":1,\"result\":[1,}", RF_T_OK}, /* malformed, which the core says */
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct canned k = {.data = cases[i].text, .len = strlen(cases[i].text), .end = END};
        struct net n;
        struct raw_server *s = canned_start(&n, &k);
        net_open(&n);
        struct rf_exchange *ex = net_exchange(&n, CALL);
        ex->stream = true;
        net_send(&n, ex);
        net_wait(&n, 1);
        assert_int_equal(ex->reply.transport, cases[i].transport);
        if (i == 2)
            assert_true(net_body_is(ex, "{\"id\":1,\"result\":[]}"));
        if (i == 3)
            assert_int_equal(ex->reply.split.shape, RF_SHAPE_BAD);
        net_close(&n);
        raw_stop(s);
    }
}

struct dripper {
    uv_timer_t timer;
    sem_t sem;
    unsigned left;
};

static void drip(uv_timer_t *t)
{
    struct dripper *d = t->data;
    sem_post(&d->sem);
    if (--d->left == 0)
        uv_timer_stop(t);
}

/* A row each 100 ms: longer than the timeout as a whole, and never silent for as long. */
static void test_stream_slow_is_not_silent(void **state)
{
    (void)state;
    struct dripper d = {.left = 10};
    struct stage *g = stage_new(10);
    sem_init(&d.sem, 0, 0);
    g->a.chunked = true;
    g->a.drip = &d.sem;
    start(g);
    uv_timer_init(&g->n.loop, &d.timer);
    d.timer.data = &d;
    uv_timer_start(&d.timer, drip, 100, 100);
    struct rf_exchange *ex = net_exchange(&g->n, CALL);
    ex->stream = true;
    ex->timeout_ns = 500 * RF_MS;
    uint64_t begun = uv_hrtime();
    net_send(&g->n, ex);
    net_wait(&g->n, 1);
    assert_true(uv_hrtime() - begun > ex->timeout_ns);
    assert_whole(g, ex);
    uv_close((uv_handle_t *)&d.timer, NULL);
    end(g);
    sem_destroy(&d.sem);
}

static void let_go(uv_timer_t *t)
{
    struct stage *g = t->data;
    g->hold = false;
}

/* A consumer that takes its time is not the node's silence. */
static void test_stream_stopped_is_not_silent(void **state)
{
    (void)state;
    struct stage *g = stage_new(1000);
    uv_timer_t timer;
    g->stop_every = 500;
    g->hold = true;
    start(g);
    uv_timer_init(&g->n.loop, &timer);
    timer.data = g;
    uv_timer_start(&timer, let_go, 600, 0);
    struct rf_exchange *ex = net_exchange(&g->n, CALL);
    ex->stream = true;
    ex->timeout_ns = 200 * RF_MS;
    net_send(&g->n, ex);
    net_wait(&g->n, 1);
    assert_whole(g, ex);
    assert_int_equal(g->resumes, 2);
    uv_close((uv_handle_t *)&timer, NULL);
    end(g);
}

static void turn_until_stopped(struct stage *g)
{
    while (g->stopped == NULL && g->n.done == 0)
        uv_run(&g->n.loop, UV_RUN_ONCE);
    assert_non_null(g->stopped);
}

static void test_stream_abort_while_stopped(void **state)
{
    (void)state;
    struct stage *g = stage_new(5000);
    g->a.gzip = true;
    g->stop_every = 7;
    g->hold = true;
    start(g);
    struct rf_exchange *ex = ask(g);
    turn_until_stopped(g);
    g->stopped = NULL;
    net_abort(&g->n, ex);
    rf_http_resume(g->n.http, ex); /* too late: no effect */
    net_wait(&g->n, 1);
    net_assert_reply(ex, RF_T_ABORTED, "aborted");
    assert_int_equal(g->rows, 7);
    g->stop_every = 0;
    ex = ask(g);
    net_wait(&g->n, 2);
    assert_whole(g, ex);
    rf_http_resume(g->n.http, ex);
    end(g);
}

static void test_stream_close_while_stopped(void **state)
{
    (void)state;
    struct stage *g = stage_new(5000);
    g->stop_every = 1;
    g->hold = true;
    start(g);
    struct rf_exchange *ex = ask(g);
    turn_until_stopped(g);
    end(g); /* checks that it was handed back and that nothing is left */
    (void)ex;
}

static bool stop_at_first(struct net *n, struct rf_exchange *ex, const struct rpcfan_element *e)
{
    struct stage *g = (struct stage *)n;
    assert_true(e->first && e->json.len == 1);
    g->stopped = ex;
    g->rows++;
    return false;
}

/* One that is over the cap, told at once, and from what libcurl kept during a stop. */
static void test_stream_element_over_the_cap(void **state)
{
    (void)state;
    struct stage *g = stage_new(3);
    start(g);
    g->n.o.response_bytes = 100; /* the rows are longer, what surrounds them is not */
    struct rf_exchange *ex = ask(g);
    net_wait(&g->n, 1);
    net_assert_reply(ex, RF_T_TOO_BIG, "the answer is over the response cap");
    assert_int_equal(g->rows, 0);
    end(g);
    struct canned k = {TEXT(OK_HEAD "Content-Length: 50\r\n\r\n"
                                    "{\"id\":1,\"result\":[1,\"345678901234567890123456789\"]}")};
    g = stage_new(0);
    g->s = canned_start(&g->n, &k);
    g->n.on_element = stop_at_first;
    net_open(&g->n);
    g->n.o.response_bytes = 28;
    ex = ask(g);
    turn_until_stopped(g);
    assert_int_equal(g->n.done, 0);
    go_on(g);
    assert_int_equal(g->n.done, 0); /* not inside rf_http_resume() */
    net_wait(&g->n, 1);
    net_assert_reply(ex, RF_T_TOO_BIG, "the answer is over the response cap");
    assert_int_equal(g->rows, 1);
    net_close(&g->n);
    raw_stop(g->s);
    free(g);
}

/* What is no array of elements is kept whole, up to the cap. */
static void test_stream_other_answers(void **state)
{
    (void)state;
    static const struct {
        const char *head, *body;
        enum rf_shape shape;
    } cases[] = {
        {"200 OK", "{\"id\":1,\"error\":{\"code\":-32016 }}", RF_SHAPE_OBJECT},
        {"429 No\r\nRetry-After: 7", "<html>no</html>", RF_SHAPE_BAD},
        {"200 OK", "{\"id\":1,\"result\":null} ", RF_SHAPE_OBJECT},
        {"200 OK", "[{\"id\":1,\"result\":[1]}]", RF_SHAPE_ARRAY},
        {"204 Empty", "", RF_SHAPE_NONE},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        char text[300];
        int len = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s",
                           cases[i].head, strlen(cases[i].body), cases[i].body);
        struct canned k = {.data = text, .len = (size_t)len};
        struct net n;
        struct raw_server *s = canned_start(&n, &k);
        net_open(&n);
        struct rf_exchange *ex = net_exchange(&n, CALL);
        ex->stream = true;
        net_send(&n, ex);
        net_wait(&n, 1);
        assert_int_equal(ex->reply.transport, RF_T_OK);
        assert_int_equal(ex->reply.split.shape, cases[i].shape);
        assert_int_equal(ex->reply.retry_after_ns, i == 1 ? 7 * RF_SEC : RF_NEVER);
        assert_true(i == 4 ? ex->reply.blob == NULL : net_body_is(ex, cases[i].body));
        net_close(&n);
        raw_stop(s);
    }
}

/* Streamed and other exchanges by the same handles, in turn: caps and timeouts are each their own.
 */
static void test_stream_and_others_by_turns(void **state)
{
    (void)state;
    struct stage *g = stage_new(20000); /* over the cap of a body */
    start(g);
    for (unsigned i = 0; i < 3; i++) {
        struct rf_exchange *ex = ask(g);
        net_wait(&g->n, 2 * i + 1);
        assert_whole(g, ex);
        ex = net_ask(&g->n, CALL);
        net_assert_reply(ex, RF_T_TOO_BIG, "the answer is over the response cap");
    }
    end(g);
}

static void test_stream_out_of_memory(void **state)
{
    (void)state;
    struct canned k = {TEXT(OK_HEAD "Content-Length: 33\r\n\r\n"
                                    "{\"id\":1,\"result\":[{\"a\":1},[2,3]]}"),
                       .bytewise = true};
    struct net n;
    struct raw_server *s = canned_start(&n, &k);
    net_open(&n);
    unsigned failed = 0;
    for (uint32_t i = 1; i < 20; i++) {
        struct rf_exchange *ex = net_exchange(&n, CALL);
        ex->stream = true;
        rf_alloc_fail_at(i == 1 ? 0 : i - 1);
        net_send(&n, ex);
        net_wait(&n, i);
        rf_alloc_fail_at(0);
        failed += ex->reply.transport != RF_T_OK;
        if (ex->reply.transport != RF_T_OK)
            assert_string_equal(ex->reply.reason, "out of memory");
        else
            assert_true(net_body_is(ex, "{\"id\":1,\"result\":[]}"));
    }
    assert_true(failed >= 3); /* the stream, what surrounds the elements, one that is cut */
    net_close(&n);
    raw_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_memory_is_flat), /* first: it looks at the peak */
        cmocka_unit_test(test_stream_framings),
        cmocka_unit_test(test_stream_no_rows),
        cmocka_unit_test(test_stream_stops_amid_decoded_bytes),
        cmocka_unit_test(test_stream_breaks),
        cmocka_unit_test(test_stream_reset),
        cmocka_unit_test(test_stream_cut_without_a_length),
        cmocka_unit_test(test_stream_slow_is_not_silent),
        cmocka_unit_test(test_stream_stopped_is_not_silent),
        cmocka_unit_test(test_stream_abort_while_stopped),
        cmocka_unit_test(test_stream_close_while_stopped),
        cmocka_unit_test(test_stream_element_over_the_cap),
        cmocka_unit_test(test_stream_other_answers),
        cmocka_unit_test(test_stream_and_others_by_turns),
        cmocka_unit_test(test_stream_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
