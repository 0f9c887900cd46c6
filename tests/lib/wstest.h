/* wstest.h - a WebSocket shell on a loop of its own, with what it told, for tests/integration. */
#ifndef RF_TESTS_WSTEST_H
#define RF_TESTS_WSTEST_H

#include "net/ws_int.h"
#include "rawserver.h"

#define WST_SESSIONS 64

/** What became of a session. */
struct wst_session {
    unsigned opened, closed, messages, lost;
    uint64_t bytes;
    int status;
    uint64_t retry_after_ns;
    char why[128];
    char last[256]; /* the last message, cut */
};

/** A shell with one endpoint. `o` may be changed between wst_init() and wst_open(). */
struct wst {
    uv_loop_t own, *loop;
    struct rpcfan_endpoint_options o;
    const struct rpcfan_endpoint_options *endpoints[1];
    struct rf_ws *ws;
    struct wst_session s[WST_SESSIONS];                            /* by session */
    uint32_t total;                                                /* events */
    void (*on_event)(struct wst *t, const struct rf_ws_event *ev); /* or NULL */
    void *arg;
    bool inside; /* in one of the calls: events are forbidden */
    bool closed;
    unsigned fds, handles;
    uv_timer_t heart;
    bool beating;
    uint64_t beat_ns, beat_cpu_ns;
    uint64_t longest_ns; /* without a turn, by the clock: others on the machine count as well */
    uint64_t busiest_ns; /* without a turn, of this thread's CPU */
    char url[2300];
    char logged[16384];
};

/** A loop, and an endpoint with test defaults. @param loop another shell's loop, or NULL. */
void wst_init(struct wst *t, uv_loop_t *loop);
/** Set ws_url by a printf format. */
void wst_url(struct wst *t, const char *fmt, ...) RF_PRINTF(2, 3);
/** Make the shell; fails the test where that fails. */
void wst_open(struct wst *t);
/** Both, against a raw server. */
struct raw_server *wst_serve(struct wst *t, raw_serve_fn fn, void *arg);
/** rf_ws_open(), and no event may come inside. */
void wst_connect(struct wst *t, uint64_t session);
/** rf_ws_send() of a string. */
void wst_send(struct wst *t, uint64_t session, const char *text);
/** rf_ws_close(). */
void wst_close(struct wst *t, uint64_t session);
/** rf_ws_pause(). */
void wst_pause(struct wst *t, uint64_t session, bool pause);
/** Turn the loop until a count is reached; fails the test after 20 s. */
void wst_until(struct wst *t, const unsigned *count, unsigned want);
/** Turn the loop until the session has opened (again), or closed. */
void wst_until_opened(struct wst *t, uint64_t session);
/** The same for its end. */
void wst_until_closed(struct wst *t, uint64_t session);
/** Turn the loop for that long by the clock: for what must not happen. */
void wst_for(struct wst *t, uint64_t ms);
/** Measure the longest times without a turn from now on. */
void wst_beat(struct wst *t);
/** Shut the shell down, check that nothing is left of it, and free. */
void wst_fini(struct wst *t);
/** Shut down alone, where the loop is another shell's. */
void wst_shutdown(struct wst *t);

#endif
