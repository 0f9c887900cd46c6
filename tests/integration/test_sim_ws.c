/* test_sim_ws.c - the fake node as a WebSocket server: handshake, frames, ends, and every fault of
 * a connection and of a message, each seen with a client's eyes. What is told on it is in
 * test_sim_subs.c. */
#include "sim_client.h"

#include "base/mem.h"
#include "base/rng.h"
#include <uv.h>

#include "wsclient.h"

#define ECHO_CALL(x) "{\"id\":1,\"method\":\"sim_echo\",\"params\":[" x "]}"
#define ANSWER(x) "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[" x "]}"
#define SUBSCRIBE                                                                                  \
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"programSubscribe\",\"params\":["                   \
    "\"TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA\"]}"
#define SECOND "10ms" /* what a fault waits for instead of a second */

static struct wsc w;

static void open_ws(void)
{
    assert_true(wsc_open(&w, rf_node_port(node), "/", ""));
}

static int teardown_ws(void **state)
{
    wsc_close(&w);
    w = (struct wsc){.fd = -1};
    return teardown_node(state);
}

static int setup_ws(void **state)
{
    w = (struct wsc){.fd = -1};
    return setup_node(state);
}

/* The next frame is a close with this code, and then the connection ends. */
static void expect_close(unsigned code)
{
    struct wsc_frame f;
    int rc;
    while ((rc = wsc_frame(&w, &f)) == 0 && f.opcode != WSC_CLOSE)
        ;
    assert_int_equal(rc, 0);
    assert_true(f.len >= 2);
    const unsigned char *p = (const unsigned char *)f.data;
    assert_int_equal(p[0] << 8 | p[1], code);
    assert_int_equal(wsc_frame(&w, &f), WSC_EOF);
}

/* Read on until the connection ends without a close frame. @return WSC_EOF or WSC_RESET. */
static int read_to_end(void)
{
    struct wsc_frame f;
    int rc;
    while ((rc = wsc_frame(&w, &f)) == 0)
        assert_int_not_equal(f.opcode, WSC_CLOSE);
    return rc;
}

static void test_handshake_and_calls(void **state)
{
    (void)state;
    struct wsc_frame f;
    open_ws();
    assert_non_null(strstr(w.head.data, "Upgrade: websocket\r\n"));
    assert_non_null(strstr(w.head.data, "Connection: Upgrade\r\n"));
    assert_string_equal(wsc_call(&w, ECHO_CALL("7")), ANSWER("7"));
    assert_string_equal(wsc_call(&w, "[" ECHO_CALL("1") "," ECHO_CALL("2") "]"),
                        "[" ANSWER("1") "," ANSWER("2") "]");
    assert_non_null(strstr(wsc_call(&w, "nonsense"), "-32700"));
    /* A binary message is as good, and one in pieces, with a ping in between. */
    wsc_send(&w, 0x82, true, ECHO_CALL("8"), strlen(ECHO_CALL("8")));
    assert_string_equal(wsc_text(&w), ANSWER("8"));
    wsc_send(&w, 0x01, true, ECHO_CALL("9"), 10);
    wsc_send(&w, 0x89, true, "hello", 5);
    wsc_send(&w, 0x00, true, ECHO_CALL("9") + 10, 5);
    wsc_send(&w, 0x80, true, ECHO_CALL("9") + 15, strlen(ECHO_CALL("9")) - 15);
    assert_int_equal(wsc_frame(&w, &f), 0);
    assert_int_equal(f.opcode, WSC_PONG);
    assert_int_equal(f.len, 5);
    assert_memory_equal(f.data, "hello", 5);
    assert_string_equal(wsc_text(&w), ANSWER("9"));
    wsc_send(&w, 0x88, true, "\x03\xe8", 2);
    expect_close(1000);
    assert_int_equal(counters().ws_opened, 1);
    assert_int_equal(counters().ws_received, 5);
    assert_int_equal(counters().requests, 0);
}

static void test_handshake_is_checked(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        int status;
    } cases[] = {
        {"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n\r\n",
         426},
        {"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n\r\n",
         400},
        {"GET / HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nSec-WebSocket-Version: 13\r\n\r\n", 200},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        assert_false(wsc_open_raw(&w, rf_node_port(node), cases[i].request));
        assert_int_equal(w.status, cases[i].status);
        wsc_close(&w);
    }
    assert_int_equal(counters().ws_opened, 0);
    assert_int_equal(counters().ws_refused, 3);
}

static void test_what_no_client_may_send(void **state)
{
    (void)state;
    static const struct {
        unsigned first;
        bool masked;
        size_t len;
    } cases[] = {{0x81, false, 4}, {0xc1, true, 4}, {0x83, true, 4},
                 {0x80, true, 4},  {0x09, true, 4}, {0x8a, true, 200}};
    char data[200] = {0};
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        open_ws();
        wsc_send(&w, cases[i].first, cases[i].masked, data, cases[i].len);
        expect_close(1002);
        wsc_close(&w);
    }
    open_ws();
    wsc_send(&w, 0x01, true, "[", 1);
    wsc_send(&w, 0x81, true, "[]", 2);
    expect_close(1002);
    assert_int_equal(counters().ws_closed, RF_COUNT(cases) + 1);
}

static void test_inbound_cap(void **state)
{
    (void)state;
    char *long_text = rf_alloc(5000);
    memset(long_text, ' ', 4999);
    memcpy(long_text, ECHO_CALL("1"), strlen(ECHO_CALL("1")));
    open_ws();
    assert_string_equal(wsc_call(&w, long_text), ANSWER("1"));
    script("family solana"); /* 4096, as agave has it */
    wsc_say(&w, long_text);
    expect_close(1009);
    wsc_close(&w);
    open_ws();
    long_text[4096] = '\0';
    assert_string_equal(wsc_call(&w, long_text), ANSWER("1"));
    script("ws inbound=64");
    wsc_send(&w, 0x01, true, long_text, 40); /* the pieces count together */
    wsc_send(&w, 0x80, true, long_text, 40);
    expect_close(1009);
    rf_free(long_text);
}

static void test_handshake_refusals(void **state)
{
    (void)state;
    unsigned port = rf_node_port(node);
    script("fault ws-refuse retry-after=7 requests=1\nfault ws-refuse status=403 body=text "
           "message=no requests=2 path=/x\nfault ws-bad-accept requests=2..2");
    assert_false(wsc_open(&w, port, "/x", ""));
    assert_int_equal(w.status, 429);
    assert_non_null(strstr(w.head.data, "Retry-After: 7\r\n"));
    wsc_close(&w);
    assert_false(wsc_open(&w, port, "/x", ""));
    assert_int_equal(w.status, 403);
    wsc_close(&w);
    assert_true(wsc_open(&w, port, "/x", "")); /* the first of those that are let through */
    wsc_close(&w);
    assert_false(wsc_open(&w, port, "/x", ""));
    assert_int_equal(w.status, 101); /* with a wrong key */
    wsc_close(&w);
    assert_int_equal(struck("ws-refuse"), 2);
    script("ws connections=1 status=503 retry-after=seconds");
    while (counters().ws_open > 0)
        ;
    open_ws();
    struct wsc second;
    assert_false(wsc_open(&second, port, "/", ""));
    assert_int_equal(second.status, 503);
    wsc_close(&second);
    script("rate 1/60s method=websocket retry-after=seconds");
    wsc_close(&w);
    open_ws();
    assert_string_equal(wsc_call(&w, ECHO_CALL("1")), ANSWER("1"));
    assert_false(wsc_open(&second, port, "/", ""));
    assert_int_equal(second.status, 429);
    wsc_close(&second);
}

static void test_limits_and_answers_of_messages(void **state)
{
    (void)state;
    script("rate 2/60s method=sim_echo code=-32005 message=slow\n"
           "fault rpc-error method=sim_null code=-5 message=broken\nfault http-error p=1 times=9\n"
           "latency fixed 20ms method=sim_count");
    open_ws();
    assert_string_equal(wsc_call(&w, ECHO_CALL("1")), ANSWER("1"));
    assert_string_equal(wsc_call(&w, ECHO_CALL("1")), ANSWER("1"));
    assert_non_null(strstr(wsc_call(&w, ECHO_CALL("1")), "\"message\":\"slow\""));
    assert_non_null(strstr(wsc_call(&w, "{\"id\":1,\"method\":\"sim_null\"}"), "broken"));
    /* A slow answer does not hold up a fast one. */
    wsc_say(&w, "{\"id\":5,\"method\":\"sim_count\"}");
    assert_string_equal(wsc_call(&w, "{\"id\":6,\"method\":\"eth_chainId\"}"),
                        "{\"jsonrpc\":\"2.0\",\"id\":6,\"result\":\"0x1\"}");
    assert_string_equal(wsc_text(&w), "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":1}");
}

static void test_close_faults(void **state)
{
    (void)state;
    script("fault ws-close after=2 code=1013");
    open_ws();
    wsc_call(&w, ECHO_CALL("1"));
    assert_string_equal(wsc_call(&w, ECHO_CALL("2")), ANSWER("2"));
    expect_close(1013);
    wsc_close(&w);
    script("fault ws-close after=1 how=fin");
    open_ws();
    assert_string_equal(wsc_call(&w, ECHO_CALL("2")), ANSWER("2"));
    assert_int_equal(read_to_end(), WSC_EOF);
    wsc_close(&w);
    script("fault ws-close after=1 how=reset");
    open_ws();
    wsc_say(&w, ECHO_CALL("2"));
    assert_int_equal(read_to_end(), WSC_RESET);
    wsc_close(&w);
    script("fault ws-close"); /* at once */
    open_ws();
    expect_close(1001);
    wsc_close(&w);
    script("fault ws-close in=20ms..40ms code=1012");
    open_ws();
    expect_close(1012);
    assert_int_equal(struck("ws-close"), 5);
    assert_int_equal(counters().ws_closed, 5);
}

static void test_stall_answers_pings(void **state)
{
    (void)state;
    struct wsc_frame f;
    script("fault ws-stall after=1 for=50ms");
    open_ws();
    assert_string_equal(wsc_call(&w, ECHO_CALL("1")), ANSWER("1"));
    wsc_say(&w, ECHO_CALL("2"));
    wsc_send(&w, 0x89, true, "p", 1);
    assert_int_equal(wsc_frame(&w, &f), 0);
    assert_int_equal(f.opcode, WSC_PONG);
    assert_int_equal(counters().ws_dropped, 1);
    while (true) { /* and after a while it speaks again */
        wsc_say(&w, ECHO_CALL("3"));
        if (!wsc_silent(&w, 10))
            break;
    }
    assert_string_equal(wsc_text(&w), ANSWER("3"));
}

static void test_half_open_says_nothing_at_all(void **state)
{
    (void)state;
    script("fault ws-stall pongs=no");
    open_ws();
    wsc_say(&w, ECHO_CALL("2"));
    wsc_send(&w, 0x89, true, "p", 1);
    wsc_send(&w, 0x88, true, "\x03\xe8", 2);
    uint64_t in = counters().bytes_in;
    assert_true(wsc_silent(&w, 50));
    assert_true(in > 0);
    assert_int_equal(counters().ws_open, 1);
}

static void test_idle_close_and_pings(void **state)
{
    (void)state;
    script("fault ws-idle in=150ms code=1000");
    open_ws();
    for (int i = 0; i < 3; i++) { /* whoever speaks stays */
        wsc_send(&w, 0x8a, true, "", 0);
        assert_true(wsc_silent(&w, 60));
    }
    expect_close(1000);
    wsc_close(&w);
    script("ws ping=10ms");
    open_ws();
    struct wsc_frame f;
    assert_int_equal(wsc_frame(&w, &f), 0);
    assert_int_equal(f.opcode, WSC_PING);
    script("fault ws-hang"); /* the handshake is never answered */
    int fd = raw_connect();
    raw_send(fd,
             "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
    while (struck("ws-hang") == 0)
        ;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 20), 0);
    close(fd);
}

/* The writes that the next `n` notifications tell of, in the order in which they come. */
static void read_writes(uint64_t *version, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const char *text = wsc_text(&w);
        assert_non_null(text);
        const char *lamports = strstr(text, "\"lamports\":");
        assert_non_null(lamports);
        version[i] = strtoull(lamports + 11, NULL, 10) - 1000000;
    }
}

/* A program of one account, so that its versions count the writes. */
static void begin_writes(const char *more)
{
    struct rf_buf text = {0};
    rf_buf_str(&text, "program 1 writes=1000 from=300ms to=330ms\n");
    rf_buf_str(&text, more);
    rf_buf_char(&text, '\0');
    open_ws();
    script(text.data);
    rf_buf_fini(&text);
    wsc_say(&w, SUBSCRIBE);
}

static void test_notifications_dropped_doubled_reordered(void **state)
{
    (void)state;
    uint64_t v[40];
    begin_writes("");
    assert_non_null(strstr(wsc_text(&w), "\"result\":"));
    read_writes(v, 30);
    for (unsigned i = 0; i < 30; i++)
        assert_int_equal(v[i], i + 1);
    wsc_close(&w);
    begin_writes("fault ws-drop requests=3..5\nfault ws-duplicate n=2 requests=10");
    assert_non_null(strstr(wsc_text(&w), "\"result\":")); /* replies are not counted */
    read_writes(v, 29);
    assert_int_equal(v[1], 2);
    assert_int_equal(v[2], 6);
    assert_int_equal(v[6], 10);
    assert_int_equal(v[7], 10);
    assert_int_equal(v[8], 10);
    assert_int_equal(v[9], 11);
    assert_int_equal(v[28], 30);
    assert_int_equal(counters().ws_dropped, 3);
    wsc_close(&w);
    begin_writes("fault ws-reorder n=2 per=10s requests=4");
    assert_non_null(strstr(wsc_text(&w), "\"result\":"));
    read_writes(v, 30);
    static const unsigned order[] = {1, 2, 3, 5, 6, 4, 7, 8};
    for (unsigned i = 0; i < RF_COUNT(order); i++)
        assert_int_equal(v[i], order[i]);
}

static void test_reply_after_notifications(void **state)
{
    (void)state;
    uint64_t v[3];
    begin_writes("fault ws-late-reply n=3 per=10s");
    read_writes(v, 3);
    assert_int_equal(v[2], 3);
    assert_non_null(strstr(wsc_text(&w), "\"id\":1,\"result\":"));
    wsc_close(&w);
    script("fault ws-late-reply per=" SECOND); /* nothing follows: time lets it go */
    open_ws();
    assert_string_equal(wsc_call(&w, ECHO_CALL("1")), ANSWER("1"));
    script("fault ws-drop method=reply times=1");
    wsc_say(&w, ECHO_CALL("1"));
    assert_string_equal(wsc_call(&w, ECHO_CALL("2")), ANSWER("2"));
}

static void test_fragments_and_drip(void **state)
{
    (void)state;
    struct wsc_frame f;
    open_ws();
    script("fault ws-fragment bytes=1 method=reply pings=yes");
    wsc_say(&w, ECHO_CALL("1"));
    size_t n = strlen(ANSWER("1"));
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(wsc_frame(&w, &f), 0);
        assert_int_equal(f.opcode, i == 0 ? WSC_TEXT : WSC_CONTINUATION);
        assert_int_equal(f.len, 1);
        assert_int_equal(f.fin, i + 1 == n);
        if (i + 1 < n)
            assert_int_equal(wsc_frame(&w, &f), 0);
        assert_int_equal(f.opcode, i + 1 < n ? WSC_PING : WSC_CONTINUATION);
    }
    script("fault ws-drip bytes=10 per=5ms"); /* for connections that come */
    wsc_close(&w);
    open_ws();
    uint64_t from = uv_hrtime();
    assert_string_equal(wsc_call(&w, ECHO_CALL("1234567890123456789012345678901234567890")),
                        ANSWER("1234567890123456789012345678901234567890"));
    assert_true(uv_hrtime() - from >= 7 * 5 * RF_MS);
}

static void test_ill_formed_messages(void **state)
{
    (void)state;
    struct wsc_frame f;
    open_ws();
    script("fault ws-bad-frame value=rsv method=reply requests=1\n"
           "fault ws-bad-frame value=opcode method=reply requests=2\n"
           "fault ws-bad-frame value=mask method=reply requests=3\n"
           "fault ws-bad-frame value=continuation method=reply requests=4\n"
           "fault ws-bad-frame value=control method=reply requests=5\n"
           "fault ws-bad-frame value=interleaved method=reply requests=6\n"
           "fault ws-bad-frame value=length method=reply requests=7\n");
    static const struct {
        unsigned rsv, opcode, frames;
        bool masked;
        size_t len;
    } want[] = {{4, WSC_TEXT, 1, false, 40},  {0, 3, 1, false, 40},
                {0, WSC_TEXT, 1, true, 40},   {0, WSC_CONTINUATION, 1, false, 40},
                {0, WSC_PING, 1, false, 126}, {0, WSC_TEXT, 2, false, 20}};
    assert_int_equal(strlen(ANSWER("1000")), 40);
    for (size_t i = 0; i < RF_COUNT(want); i++) {
        wsc_say(&w, ECHO_CALL("1000"));
        for (unsigned k = 0; k < want[i].frames; k++) {
            assert_int_equal(wsc_frame(&w, &f), 0);
            assert_int_equal(f.rsv, want[i].rsv);
            assert_int_equal(f.opcode, want[i].opcode);
            assert_int_equal(f.masked, want[i].masked);
            assert_int_equal(f.len, want[i].len * (k + 1));
        }
    }
    wsc_say(&w, ECHO_CALL("1000"));
    assert_int_equal(wsc_frame(&w, &f), 0);
    assert_true((uint64_t)f.len >> 63 == 1);
    assert_int_equal(struck("ws-bad-frame"), 7);
}

static void test_cut_messages(void **state)
{
    (void)state;
    struct wsc_frame f;
    script("fault ws-cut method=reply times=1\nfault ws-bad-json method=reply");
    open_ws();
    wsc_say(&w, ECHO_CALL("100"));
    assert_int_equal(wsc_frame(&w, &f), WSC_EOF); /* in the middle of a frame */
    assert_true(w.in.len > w.at);
    wsc_close(&w);
    open_ws();
    const char *half = wsc_call(&w, ECHO_CALL("100"));
    assert_int_equal(strlen(half), 20);
    assert_memory_equal(half, ANSWER("100"), 20);
}

static void test_slow_reader_is_dropped_without_a_word(void **state)
{
    (void)state;
    script("program 10 writes=200000\nws queue=64KiB send-buffer=4096");
    int small = 4096;
    open_ws();
    setsockopt(w.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    wsc_say(&w, SUBSCRIBE);
    while (counters().ws_lagged == 0) /* bounded: what is not read piles up */
        ;
    while (counters().ws_open > 0)
        ;
    assert_true(counters().ws_notes > 0);
    assert_int_equal(counters().ws_closed, 0);
    int rc = read_to_end();
    assert_true(rc == WSC_EOF || rc == WSC_RESET);
}

static void test_status_has_websockets(void **state)
{
    (void)state;
    struct rf_buf out = {0};
    open_ws();
    wsc_call(&w, ECHO_CALL("1"));
    int fd = raw_connect();
    raw_send(fd, "GET / HTTP/1.1\r\n\r\n");
    assert_int_equal(raw_read(fd, &out, "}}\n"), 0);
    assert_non_null(strstr(out.data, "\"websocket\":{\"opened\":1,\"open\":1,\"refused\":0,"
                                     "\"received\":1,\"sent\":1,\"notifications\":0,\"dropped\":0,"
                                     "\"closed\":0,\"lagged\":0,\"subscriptions\":0}"));
    close(fd);
    rf_buf_fini(&out);
}

static void test_refused_scripts(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "fault ws-close in=5",
        "fault ws-close after=9..3",
        "fault ws-stall pongs=maybe",
        "fault ws-drop only=batch",
        "fault ws-bad-frame value=x",
        "fault ws-close how=politely",
        "fault ws-close code=70000",
        "ws inbound",
        "ws queue=many",
        "ws colour=red",
        "program",
        "program 0",
        "program 5 bytes=3",
        "program 5 key=short",
        "program 5 from=2s to=1s",
        "reorg",
        "reorg 100",
        "reorg 3 every=0",
        "logs 0",
        "logs 5 topics=0",
        "solana now",
        "fault ws-refuse status=100",
    };
    for (size_t i = 0; i < RF_COUNT(wrong); i++) {
        struct rpcfan_error err = {0};
        if (rf_node_set_script(node, wrong[i], &err) != RPCFAN_ECONFIG)
            fail_msg("%s", wrong[i]);
        assert_non_null(strstr(err.text, "line 1: "));
    }
}

static void test_random_bytes_do_no_harm(void **state)
{
    (void)state;
    struct rf_rng rng;
    char bytes[600];
    rf_rng_init(&rng, 11);
    for (unsigned i = 0; i < 300; i++) {
        open_ws();
        for (unsigned k = 0; k < 5; k++) {
            size_t n = (size_t)rf_rng_below(&rng, sizeof bytes);
            for (size_t b = 0; b < n; b++)
                bytes[b] = (char)rf_rng_next(&rng);
            if (rf_rng_below(&rng, 2) == 0)
                send(w.fd, bytes, n, MSG_NOSIGNAL);
            else /* a good frame of whatever kind */
                wsc_send(&w, (unsigned)rf_rng_next(&rng) & 0x8f, true, bytes, n);
        }
        wsc_close(&w);
    }
    open_ws();
    assert_string_equal(wsc_call(&w, ECHO_CALL("1")), ANSWER("1"));
    assert_int_equal(counters().ws_opened, 301);
}

static void test_what_waits_is_bounded(void **state)
{
    (void)state;
    script("ws queue=2000\nlatency fixed 10s method=sim_echo");
    open_ws();
    for (unsigned i = 0; i < 100; i++)
        wsc_say(&w, ECHO_CALL("1"));
    int rc = read_to_end();
    assert_true(rc == WSC_EOF || rc == WSC_RESET);
    assert_int_equal(counters().ws_lagged, 1);
}

#define WS_TEST(f) cmocka_unit_test_setup_teardown(f, setup_ws, teardown_ws)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WS_TEST(test_handshake_and_calls),
        WS_TEST(test_handshake_is_checked),
        WS_TEST(test_what_no_client_may_send),
        WS_TEST(test_inbound_cap),
        WS_TEST(test_handshake_refusals),
        WS_TEST(test_limits_and_answers_of_messages),
        WS_TEST(test_close_faults),
        WS_TEST(test_stall_answers_pings),
        WS_TEST(test_half_open_says_nothing_at_all),
        WS_TEST(test_idle_close_and_pings),
        WS_TEST(test_notifications_dropped_doubled_reordered),
        WS_TEST(test_reply_after_notifications),
        WS_TEST(test_fragments_and_drip),
        WS_TEST(test_ill_formed_messages),
        WS_TEST(test_cut_messages),
        WS_TEST(test_slow_reader_is_dropped_without_a_word),
        WS_TEST(test_random_bytes_do_no_harm),
        WS_TEST(test_what_waits_is_bounded),
        WS_TEST(test_status_has_websockets),
        WS_TEST(test_refused_scripts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
