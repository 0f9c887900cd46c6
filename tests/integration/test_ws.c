/* test_ws.c - WebSocket connections: messages, closing, refusals, pings. The comment at a test says
 * which handling it fails without, where that is not plain. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/mem.h"
#include "nettest.h"
#include "wsserver.h"
#include "wstest.h"

/* @param arg  NULL, or where to note the code of the client's close frame and what came after. */
static void serve_echo(struct raw_conn *c, void *arg)
{
    int *after = arg;
    char text[8192];
    if (!wss_accept(c))
        return;
    for (int head; (head = wss_read(c, text, sizeof text)) >= 0;) {
        if (head == WS_CLOSE) {
            wss_close(c, 1000, "");
            if (after != NULL)
                after[0] = (unsigned char)text[0] << 8 | (unsigned char)text[1];
            if (after != NULL)
                after[1] = wss_read(c, text, sizeof text);
            return;
        }
        wss_frame(c, (unsigned)head, text, strlen(text));
    }
}

static void test_echo_and_close(void **state)
{
    (void)state;
    struct wst t;
    int after[2] = {0, 0};
    struct raw_server *s = wst_serve(&t, serve_echo, after);
    wst_connect(&t, 1);
    wst_until_opened(&t, 1);
    wst_send(&t, 1, "one");
    wst_send(&t, 1, "two");
    wst_send(&t, 1, "three");
    wst_until(&t, &t.s[1].messages, 3);
    assert_string_equal(t.s[1].last, "three");
    wst_close(&t, 1);
    wst_send(&t, 1, "ignored");
    wst_until_closed(&t, 1);
    assert_string_equal(t.s[1].why, "closed");
    assert_int_equal(t.s[1].status, 0);
    assert_true(t.s[1].retry_after_ns == RF_NEVER);
    wst_fini(&t);
    raw_stop(s);
    assert_int_equal(after[0], 1000); /* one close frame with a code, and nothing behind it */
    assert_int_equal(after[1], -1);
}

static void test_send_before_it_is_open(void **state)
{
    (void)state;
    struct wst t;
    struct raw_server *s = wst_serve(&t, serve_echo, NULL);
    wst_connect(&t, 1);
    wst_send(&t, 1, "early");
    wst_until(&t, &t.s[1].messages, 1);
    assert_string_equal(t.s[1].last, "early");
    wst_connect(&t, 2);
    rf_alloc_fail_at(1);
    wst_send(&t, 2, "early");
    rf_alloc_fail_at(0);
    wst_until_closed(&t, 2);
    assert_string_equal(t.s[2].why, "out of memory");
    wst_fini(&t);
    raw_stop(s);
}

/* The request as it came, and each part where it belongs. */
static void serve_request(struct raw_conn *c, void *arg)
{
    if (!wss_accept(c))
        return;
    snprintf(arg, 4096, "%s", c->request);
    wss_text(c, "seen");
    wss_drain(c);
}

static void test_handshake_request(void **state)
{
    (void)state;
    static const char *const headers[] = {"X-Key: abc", "Content-Type: application/json"};
    struct wst t;
    char seen[4096], want[128];
    struct raw_server *s = raw_start(&(struct raw_options){.serve = serve_request, .arg = seen});
    wst_init(&t, NULL);
    t.o.headers = headers;
    t.o.n_headers = 2;
    t.o.jwt_secret = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    t.o.url = "http://unused.test/";
    wst_url(&t, "ws://127.0.0.1:%u/v2/secretkey?k=othersecret", raw_port(s));
    wst_open(&t);
    wst_connect(&t, 1);
    wst_until(&t, &t.s[1].messages, 1);
    assert_true(strncmp(seen, "GET /v2/secretkey?k=othersecret HTTP/1.1\r\n", 42) == 0);
    snprintf(want, sizeof want, "\r\nHost: 127.0.0.1:%u\r\n", raw_port(s));
    assert_non_null(strstr(seen, want));
    assert_non_null(strstr(seen, "\r\nX-Key: abc\r\n"));
    assert_non_null(strstr(seen, "\r\nUser-Agent: rpcfan/" RPCFAN_VERSION "\r\n"));
    assert_non_null(strstr(seen, "\r\nAuthorization: Bearer eyJ"));
    assert_null(strstr(seen, "Origin")); /* geth refuses those that it does not know */
    assert_null(strstr(seen, "Content-Type"));
    wst_fini(&t);
    assert_non_null(strstr(t.logged, "RF-WS-CLOSED ep=node session=1"));
    assert_null(strstr(t.logged, "secret")); /* URLs hold keys */
    assert_null(strstr(t.logged, "127.0.0.1"));
    raw_stop(s);
}

static void test_nothing_adds_up(void **state)
{
    (void)state;
    struct wst t;
    unsigned handles = 0, fds = 0;
    struct raw_server *s = wst_serve(&t, serve_echo, NULL);
    for (unsigned i = 1; i <= 200; i++) {
        memset(&t.s[1], 0, sizeof t.s[1]);
        wst_connect(&t, 1);
        wst_until_opened(&t, 1);
        wst_close(&t, 1);
        wst_until_closed(&t, 1);
        raw_wait_closed(s, i);
        if (i == 1) {
            handles = net_count_handles(t.loop);
            fds = net_count_fds();
        }
    }
    assert_int_equal(net_count_handles(t.loop), handles);
    assert_int_equal(net_count_fds(), fds);
    wst_fini(&t);
    raw_stop(s);
    assert_int_equal(net_count_fds(), t.fds - 1); /* the server's, open when they were counted */
}

#define BIG (14u * 1024 * 1024)
#define PART 4000u

/* What the next function serves; the message's bytes are known by their place. */
struct big {
    size_t len, part; /* 0: one frame */
};

static char byte_at(size_t i)
{
    return (char)('a' + i % 23);
}

static void serve_big(struct raw_conn *c, void *arg)
{
    const struct big *b = arg;
    char *text = malloc(b->len);
    for (size_t i = 0; i < b->len; i++)
        text[i] = byte_at(i);
    if (!wss_accept(c))
        goto out;
    if (b->part == 0) {
        wss_frame(c, WS_TEXT, text, b->len);
    } else {
        for (size_t at = 0; at < b->len; at += b->part) {
            size_t n = b->len - at < b->part ? b->len - at : b->part;
            unsigned head = at == 0 ? WS_PART : at + n < b->len ? WS_MORE : WS_LAST;
            wss_frame(c, head, text + at, n);
            if (at / b->part % 100 == 0) /* control frames may stand between the parts */
                wss_frame(c, WS_PING, "are you there", 13);
        }
    }
    wss_text(c, "next");
    wss_drain(c);
out:
    free(text);
}

static void check_big(struct wst *t, const struct rf_ws_event *ev)
{
    size_t *good = t->arg;
    if (ev->kind != RF_WS_MESSAGE || ev->blob->len < 100)
        return;
    for (size_t i = 0; i < ev->blob->len; i++)
        *good += ev->blob->data[i] == byte_at(i);
}

static void get_big(struct big *b)
{
    struct wst t;
    size_t good = 0;
    struct raw_server *s = wst_serve(&t, serve_big, b);
    t.on_event = check_big;
    t.arg = &good;
    wst_connect(&t, 1);
    wst_until(&t, &t.s[1].messages, 2);
    assert_int_equal(good, b->len);
    assert_string_equal(t.s[1].last, "next");
    assert_int_equal(t.s[1].lost, 0);
    wst_fini(&t);
    raw_stop(s);
}

static void test_14_mb_in_one_frame(void **state)
{
    (void)state;
    get_big(&(struct big){.len = BIG});
}

static void test_14_mb_in_many_frames(void **state)
{
    (void)state;
    get_big(&(struct big){.len = BIG, .part = PART});
}

/* One over the cap is told once, its rest is skipped, and what follows arrives. */
static void lose_big(struct big *b, uint64_t cap)
{
    struct wst t;
    struct raw_server *s = raw_start(&(struct raw_options){.serve = serve_big, .arg = b});
    wst_init(&t, NULL);
    t.o.ws_bytes = cap;
    wst_url(&t, "ws://127.0.0.1:%u/", raw_port(s));
    wst_open(&t);
    wst_connect(&t, 1);
    wst_until(&t, &t.s[1].messages, 1);
    assert_string_equal(t.s[1].last, "next");
    assert_int_equal(t.s[1].lost, 1);
    assert_string_equal(t.s[1].why, "message over the cap");
    assert_int_equal(t.s[1].closed, 0);
    wst_fini(&t);
    raw_stop(s);
}

static void test_over_the_cap(void **state)
{
    (void)state;
    lose_big(&(struct big){.len = BIG}, 1024 * 1024);
    lose_big(&(struct big){.len = BIG, .part = PART}, 1024 * 1024);
    lose_big(&(struct big){.len = 1001}, 1000);
    lose_big(&(struct big){.len = 1001, .part = 500}, 1000);
    lose_big(&(struct big){.len = 1001, .part = 1000}, 1000);
}

static void test_at_the_cap(void **state)
{
    (void)state;
    struct wst t;
    struct big b = {.len = 1000, .part = 300};
    struct raw_server *s = raw_start(&(struct raw_options){.serve = serve_big, .arg = &b});
    wst_init(&t, NULL);
    t.o.ws_bytes = 1000;
    wst_url(&t, "ws://127.0.0.1:%u/", raw_port(s));
    wst_open(&t);
    wst_connect(&t, 1);
    wst_until(&t, &t.s[1].messages, 2);
    assert_int_equal(t.s[1].lost, 0);
    wst_fini(&t);
    raw_stop(s);
}

static void fail_next(struct wst *t, const struct rf_ws_event *ev)
{
    (void)t;
    rf_alloc_fail_at(ev->kind == RF_WS_OPENED ? 1 : 0);
}

static void test_no_memory_for_a_message(void **state)
{
    (void)state;
    struct wst t;
    struct big b = {.len = 100000};
    struct raw_server *s = wst_serve(&t, serve_big, &b);
    t.on_event = fail_next;
    wst_connect(&t, 1);
    wst_until(&t, &t.s[1].messages, 1);
    rf_alloc_fail_at(0);
    assert_int_equal(t.s[1].lost, 1);
    assert_string_equal(t.s[1].why, "out of memory");
    assert_string_equal(t.s[1].last, "next");
    wst_fini(&t);
    raw_stop(s);
}

static void serve_empty(struct raw_conn *c, void *arg)
{
    (void)arg;
    if (!wss_accept(c))
        return;
    wss_frame(c, WS_TEXT, "", 0);
    wss_frame(c, WS_PART, "", 0);
    wss_frame(c, WS_LAST, "x", 1);
    wss_frame(c, WS_BINARY, "\0y", 2);
    wss_drain(c);
}

static void test_empty_and_binary(void **state)
{
    (void)state;
    struct wst t;
    struct raw_server *s = wst_serve(&t, serve_empty, NULL);
    wst_connect(&t, 1);
    wst_until(&t, &t.s[1].messages, 3);
    assert_int_equal(t.s[1].bytes, 3);
    wst_fini(&t);
    raw_stop(s);
}

/* A blob that is kept is not written again. */
static void keep_first(struct wst *t, const struct rf_ws_event *ev)
{
    struct rf_blob **kept = t->arg;
    if (ev->kind == RF_WS_MESSAGE && *kept == NULL) {
        rf_blob_ref(ev->blob, 1);
        *kept = ev->blob;
    }
}

static void test_a_kept_message_stays(void **state)
{
    (void)state;
    struct wst t;
    struct rf_blob *kept = NULL;
    struct raw_server *s = wst_serve(&t, serve_echo, NULL);
    t.on_event = keep_first;
    t.arg = &kept;
    wst_connect(&t, 1);
    wst_until_opened(&t, 1);
    wst_send(&t, 1, "first");
    wst_send(&t, 1, "other");
    wst_until(&t, &t.s[1].messages, 2);
    wst_fini(&t);
    raw_stop(s);
    assert_memory_equal(kept->data, "first", 5);
    rf_blob_unref(kept);
}

/* refusals */

static void serve_text(struct raw_conn *c, void *arg)
{
    if (raw_read(c))
        raw_text(c, arg);
}

static void check_refusal(const char *answer, int status, uint64_t retry_after_ns, const char *why)
{
    struct wst t;
    char *copy = strdup(answer);
    struct raw_server *s = wst_serve(&t, serve_text, copy);
    wst_connect(&t, 1);
    wst_until_closed(&t, 1);
    assert_int_equal(t.s[1].opened, 0);
    assert_int_equal(t.s[1].status, status);
    assert_true(t.s[1].retry_after_ns == retry_after_ns);
    assert_string_equal(t.s[1].why, why);
    assert_int_equal(raw_connections(s), 1); /* a redirect is not followed */
    wst_fini(&t);
    raw_stop(s);
    free(copy);
}

static void test_refusals(void **state)
{
    (void)state;
    check_refusal("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
                  429, 7 * RF_SEC, "handshake refused");
    check_refusal("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy", 503,
                  RF_NEVER, "handshake refused");
    check_refusal("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 403, RF_NEVER,
                  "handshake refused");
    check_refusal("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n\r\n", 401, RF_NEVER,
                  "handshake refused");
    check_refusal("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", 302, RF_NEVER,
                  "handshake refused");
    check_refusal("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, RF_NEVER,
                  "handshake refused");
    check_refusal("HTTP/1.1 503 Busy\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
                  "Retry-After: Thu, 01 Jan 2026 00:00:09 GMT\r\n\r\n",
                  503, 9 * RF_SEC, "handshake refused");
    check_refusal("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Accept: bad\r\n\r\n",
                  0, RF_NEVER, "the answer is no WebSocket handshake");
    check_refusal("SSH-2.0-OpenSSH_9.2\r\n\r\n", 0, RF_NEVER, "ended during the handshake");
    check_refusal("", 0, RF_NEVER, "ended during the handshake");
}

/* closing */

struct ending {
    unsigned code; /* 0: none */
    const char *reason;
    bool reset, split;
};

static void serve_ending(struct raw_conn *c, void *arg)
{
    const struct ending *e = arg;
    if (!wss_accept(c))
        return;
    wss_text(c, "hello");
    if (e->code != 0 && e->split) { /* the head comes a read before the code */
        char text[64], code[2] = {(char)(e->code >> 8), (char)e->code};
        wss_frame_head(c, WS_CLOSE, 2 + strlen(e->reason));
        wss_read(c, text, sizeof text);
        raw_write(c, code, 2);
        raw_text(c, e->reason);
        wss_drain(c);
    } else if (e->code != 0) {
        wss_close(c, e->code, e->reason);
        wss_drain(c);
    } else if (e->reset) {
        char text[64];
        wss_read(c, text, sizeof text);
        raw_reset(c);
    }
}

static void send_on_message(struct wst *t, const struct rf_ws_event *ev)
{
    if (ev->kind == RF_WS_MESSAGE)
        rf_ws_send(t->ws, ev->session, "x", 1);
}

static void check_ending(unsigned code, const char *reason, const char *why)
{
    struct wst t;
    struct ending e = {code, reason, code == 0 && reason != NULL, false};
    struct raw_server *s = wst_serve(&t, serve_ending, &e);
    t.on_event = send_on_message;
    wst_connect(&t, 1);
    wst_until_closed(&t, 1);
    assert_int_equal(t.s[1].opened, 1);
    assert_int_equal(t.s[1].status, (int)code);
    assert_string_equal(t.s[1].why, why);
    wst_fini(&t);
    raw_stop(s);
}

/* Fails for 1012 and 1013 where libwebsockets' word is taken: it says 1002. */
static void test_close_codes(void **state)
{
    (void)state;
    check_ending(1000, "", "closed by the peer");
    check_ending(1001, "going away", "closed by the peer");
    check_ending(1002, "", "closed by the peer");
    check_ending(1008, "quota", "closed by the peer: policy");
    check_ending(1009, "", "closed by the peer: message too big");
    check_ending(1012, "", "closed by the peer: restart");
    check_ending(1013, "try again later", "closed by the peer: try again later");
    check_ending(1013, "", "closed by the peer: try again later");
    check_ending(4001, "own", "closed by the peer");
    check_ending(0, NULL, "connection lost");
    check_ending(0, "reset", "connection lost");
}

static void test_close_code_in_two_pieces(void **state)
{
    (void)state;
    struct wst t;
    struct ending e = {1013, "", false, true};
    struct raw_server *s = wst_serve(&t, serve_ending, &e);
    t.on_event = send_on_message;
    wst_connect(&t, 1);
    wst_until_closed(&t, 1);
    assert_int_equal(t.s[1].status, 1013);
    wst_fini(&t);
    raw_stop(s);
}

/* The peer neither answers our close frame nor goes away: cut after a second. */
static void serve_deaf(struct raw_conn *c, void *arg)
{
    (void)arg;
    if (wss_accept(c))
        raw_hold(c);
}

static void test_close_of_a_deaf_peer(void **state)
{
    (void)state;
    struct wst t;
    struct raw_server *s = wst_serve(&t, serve_deaf, NULL);
    wst_connect(&t, 1);
    wst_until_opened(&t, 1);
    uint64_t begun = uv_hrtime();
    wst_close(&t, 1);
    wst_until_closed(&t, 1);
    assert_true(uv_hrtime() - begun >= RF_WS_GRACE_NS);
    assert_true(uv_hrtime() - begun < 3 * RF_SEC);
    wst_fini(&t);
    raw_stop(s);
}

/* pings */

static struct raw_server *serve_pings(struct wst *t, raw_serve_fn fn, uint64_t ping_ms)
{
    struct raw_server *s = raw_start(&(struct raw_options){.serve = fn});
    wst_init(t, NULL);
    t->o.ws_ping_ms = ping_ms;
    wst_url(t, "ws://127.0.0.1:%u/", raw_port(s));
    wst_open(t);
    return s;
}

static void test_pings_without_answer(void **state)
{
    (void)state;
    struct wst t;
    struct raw_server *s = serve_pings(&t, serve_deaf, 50);
    wst_connect(&t, 1);
    wst_until_opened(&t, 1);
    uint64_t begun = uv_hrtime();
    wst_until_closed(&t, 1);
    assert_string_equal(t.s[1].why, "no answer to pings");
    assert_true(uv_hrtime() - begun >= 140 * RF_MS);
    wst_fini(&t);
    raw_stop(s);
}

/* Answers three pings, says so, and stays silent. */
static void serve_three_pongs(struct raw_conn *c, void *arg)
{
    (void)arg;
    char text[256];
    if (!wss_accept(c))
        return;
    for (int i = 0; i < 3 && wss_read(c, text, sizeof text) == WS_PING; i++)
        wss_frame(c, WS_PONG, text, strlen(text));
    wss_text(c, "three");
    raw_hold(c);
}

static void test_pings_with_answers(void **state)
{
    (void)state;
    struct wst t;
    struct raw_server *s = serve_pings(&t, serve_three_pongs, 50);
    wst_connect(&t, 1);
    wst_until(&t, &t.s[1].messages, 1);
    assert_string_equal(t.s[1].last, "three");
    wst_until_closed(&t, 1);
    assert_string_equal(t.s[1].why, "no answer to pings");
    wst_fini(&t);
    raw_stop(s);
}

/* Only answers to what it is sent: a ping would be told. */
static void serve_chatty(struct raw_conn *c, void *arg)
{
    (void)arg;
    char text[256];
    if (!wss_accept(c))
        return;
    for (int head; (head = wss_read(c, text, sizeof text)) >= 0;)
        wss_text(c, head == WS_PING ? "pinged" : "more");
}

static void answer_on(struct wst *t, const struct rf_ws_event *ev)
{
    if (ev->kind == RF_WS_OPENED || ev->kind == RF_WS_MESSAGE)
        rf_ws_send(t->ws, ev->session, "x", 1);
}

static void test_no_ping_while_the_peer_talks(void **state)
{
    (void)state;
    struct wst t;
    struct raw_server *s = serve_pings(&t, serve_chatty, 300);
    t.on_event = answer_on;
    wst_connect(&t, 1);
    wst_until_opened(&t, 1);
    uint64_t until = uv_hrtime() + 700 * RF_MS;
    while (uv_hrtime() < until) {
        wst_until(&t, &t.s[1].messages, t.s[1].messages + 1);
        assert_string_equal(t.s[1].last, "more");
    }
    wst_fini(&t);
    raw_stop(s);
}

/* the caller's calls inside events */

static void close_and_open(struct wst *t, const struct rf_ws_event *ev)
{
    if (ev->kind == RF_WS_OPENED)
        rf_ws_send(t->ws, ev->session, "again", 5);
    if (ev->kind == RF_WS_MESSAGE) {
        rf_ws_close(t->ws, ev->session);
        if (ev->session < 5)
            rf_ws_open(t->ws, 0, ev->session + 1);
        rf_ws_send(t->ws, ev->session, "late", 4);
    }
    if (ev->kind == RF_WS_CLOSED && ev->session == 5)
        rf_ws_open(t->ws, 0, 6);
}

static void test_calls_inside_events(void **state)
{
    (void)state;
    struct wst t;
    struct raw_server *s = wst_serve(&t, serve_echo, NULL);
    t.on_event = close_and_open;
    wst_connect(&t, 1);
    wst_until_opened(&t, 6);
    for (int i = 1; i <= 5; i++) {
        wst_until_closed(&t, (uint64_t)i);
        assert_int_equal(t.s[i].messages, 1);
    }
    wst_fini(&t);
    raw_stop(s);
}

static void note_down(void *arg)
{
    bool *down = arg;
    *down = true;
}

static void shut_down(struct wst *t, const struct rf_ws_event *ev)
{
    if (ev->kind == RF_WS_MESSAGE)
        rf_ws_shutdown(t->ws, note_down, t->arg);
    if (ev->kind == RF_WS_CLOSED && ev->session == 1)
        rf_ws_open(t->ws, 0, 2); /* is told CLOSED as well */
}

static void test_shutdown_inside_an_event(void **state)
{
    (void)state;
    struct wst t;
    bool down = false;
    struct raw_server *s = wst_serve(&t, serve_echo, NULL);
    t.on_event = shut_down;
    t.arg = &down;
    wst_connect(&t, 1);
    wst_until_opened(&t, 1);
    wst_send(&t, 1, "x");
    for (int i = 0; i < 10000 && !down; i++)
        uv_run(t.loop, UV_RUN_ONCE);
    assert_true(down);
    assert_int_equal(t.s[1].closed, 1);
    assert_int_equal(t.s[2].closed, 1);
    assert_string_equal(t.s[2].why, "closing");
    rf_ws_free(t.ws);
    t.ws = NULL;
    wst_fini(&t);
    raw_stop(s);
}

/* A peer that never reads: what waits for it is bounded. Fails where the socket is not shut down
 * before libwebsockets is told to close: it would go on trying to write. */
static void serve_stuck(struct raw_conn *c, void *arg)
{
    (void)arg;
    struct pollfd end = {.fd = c->fd, .events = POLLRDHUP};
    if (wss_accept(c))
        poll(&end, 1, -1);
}

static void test_a_peer_that_does_not_read(void **state)
{
    (void)state;
    struct wst t;
    static char text[64 * 1024];
    memset(text, 'x', sizeof text - 1);
    struct raw_server *s = wst_serve(&t, serve_stuck, NULL);
    wst_connect(&t, 1);
    wst_until_opened(&t, 1);
    for (int i = 0; i < 1000 && t.s[1].closed == 0; i++) {
        wst_send(&t, 1, text);
        for (int k = 0; k < 10; k++) /* until the kernel takes no more */
            uv_run(t.loop, UV_RUN_NOWAIT);
    }
    uint64_t begun = uv_hrtime();
    wst_until_closed(&t, 1);
    assert_true(uv_hrtime() - begun < 2 * RF_SEC);
    assert_string_equal(t.s[1].why, "the peer does not read");
    wst_fini(&t);
    raw_stop(s);
}

static void serve_count(struct raw_conn *c, void *arg)
{
    unsigned n = *(unsigned *)arg;
    char block[64 * 504], *at = block; /* 64 frames of 500 bytes */
    for (int i = 0; i < 64; i++) {
        static const unsigned char head[4] = {WS_TEXT, 126, 500 >> 8, 500 & 0xff};
        memcpy(at, head, 4);
        memset(at + 4, 'n', 500);
        at += 504;
    }
    if (!wss_accept(c))
        return;
    for (; n >= 64; n -= 64)
        raw_write(c, block, sizeof block);
    raw_write(c, block, (size_t)n * 504);
    wss_drain(c);
}

static uint64_t cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_THREAD, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void test_many_notifications(void **state)
{
    (void)state;
    struct wst t;
    unsigned n = 100000;
    struct raw_server *s = wst_serve(&t, serve_count, &n);
    wst_beat(&t);
    wst_connect(&t, 1);
    wst_until_opened(&t, 1);
    uint64_t begun = cpu_us(), allocations = rf_alloc_count();
    wst_until(&t, &t.s[1].messages, n);
    print_message("%.2f us of CPU a notification of 500 bytes; longest turn %.1f ms\n",
                  (double)(cpu_us() - begun) / n, (double)t.busiest_ns / 1e6);
    assert_true(t.busiest_ns < 20 * RF_MS);
    assert_true(rf_alloc_count() - allocations < 100); /* a blob that nobody keeps is used again */
    wst_fini(&t);
    raw_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo_and_close),
        cmocka_unit_test(test_send_before_it_is_open),
        cmocka_unit_test(test_handshake_request),
        cmocka_unit_test(test_nothing_adds_up),
        cmocka_unit_test(test_14_mb_in_one_frame),
        cmocka_unit_test(test_14_mb_in_many_frames),
        cmocka_unit_test(test_over_the_cap),
        cmocka_unit_test(test_at_the_cap),
        cmocka_unit_test(test_no_memory_for_a_message),
        cmocka_unit_test(test_empty_and_binary),
        cmocka_unit_test(test_a_kept_message_stays),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_close_codes),
        cmocka_unit_test(test_close_code_in_two_pieces),
        cmocka_unit_test(test_close_of_a_deaf_peer),
        cmocka_unit_test(test_pings_without_answer),
        cmocka_unit_test(test_pings_with_answers),
        cmocka_unit_test(test_no_ping_while_the_peer_talks),
        cmocka_unit_test(test_calls_inside_events),
        cmocka_unit_test(test_shutdown_inside_an_event),
        cmocka_unit_test(test_a_peer_that_does_not_read),
        cmocka_unit_test(test_many_notifications),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
