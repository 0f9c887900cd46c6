/* wstest.c - see wstest.h. */
#include "wstest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "nettest.h"

#define PATIENCE_MS 20000

void wst_init(struct wst *t, uv_loop_t *loop)
{
    memset(t, 0, sizeof *t);
    t->loop = loop;
    if (loop == NULL) {
        assert_int_equal(uv_loop_init(&t->own),
                         0); /* the first of a process opens a pipe for good */
        assert_int_equal(uv_loop_close(&t->own), 0);
        t->fds = net_count_fds();
        assert_int_equal(uv_loop_init(&t->own), 0);
        t->loop = &t->own;
    }
    t->handles = net_count_handles(t->loop);
    t->o.size = sizeof t->o;
    t->o.name = "node";
    t->o.proxy = "";
    t->o.connect_timeout_ms = 5000;
}

void wst_url(struct wst *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(t->url, sizeof t->url, fmt, ap);
    va_end(ap);
    t->o.ws_url = t->url;
}

static void note_message(struct wst_session *s, const struct rf_blob *b)
{
    size_t n = b->len < sizeof s->last ? b->len : sizeof s->last - 1;
    s->messages++;
    s->bytes += b->len;
    memcpy(s->last, b->data, n);
    s->last[n] = '\0';
}

static void note_event(const struct rf_ws_event *ev, void *arg)
{
    struct wst *t = arg;
    assert_false(t->inside);
    assert_true(ev->session < WST_SESSIONS);
    struct wst_session *s = &t->s[ev->session];
    assert_int_equal(s->closed, 0); /* CLOSED is the last */
    t->total++;
    switch (ev->kind) {
    case RF_WS_OPENED:
        s->opened++;
        break;
    case RF_WS_MESSAGE:
        note_message(s, ev->blob);
        break;
    case RF_WS_LOST:
        s->lost++;
        snprintf(s->why, sizeof s->why, "%s", ev->why);
        break;
    case RF_WS_CLOSED:
        s->closed++;
        s->status = ev->status;
        s->retry_after_ns = ev->retry_after_ns;
        assert_non_null(ev->why);
        snprintf(s->why, sizeof s->why, "%s", ev->why);
        break;
    }
    if (t->on_event != NULL)
        t->on_event(t, ev);
}

static void note_log(int level, const char *line, void *arg)
{
    struct wst *t = arg;
    size_t n = strlen(t->logged);
    (void)level;
    snprintf(t->logged + n, sizeof t->logged - n, "%s\n", line);
}

void wst_open(struct wst *t)
{
    static struct rf_log log;
    struct rpcfan_error err = {0};
    t->endpoints[0] = &t->o;
    log = (struct rf_log){.cb = note_log, .arg = t, .level = RPCFAN_LOG_DEBUG};
    struct rf_ws_options o = {.loop = t->loop,
                              .endpoints = t->endpoints,
                              .n_endpoints = 1,
                              .event = note_event,
                              .arg = t,
                              .log = t->loop == &t->own ? &log : NULL};
    if (rf_ws_new(&o, &t->ws, &err) != RPCFAN_OK)
        fail_msg("rf_ws_new: %s", err.text);
}

struct raw_server *wst_serve(struct wst *t, raw_serve_fn fn, void *arg)
{
    struct raw_server *s = raw_start(&(struct raw_options){.serve = fn, .arg = arg});
    assert_non_null(s);
    wst_init(t, NULL);
    wst_url(t, "ws://127.0.0.1:%u/", raw_port(s));
    wst_open(t);
    return s;
}

void wst_connect(struct wst *t, uint64_t session)
{
    t->inside = true;
    rf_ws_open(t->ws, 0, session);
    t->inside = false;
}

void wst_send(struct wst *t, uint64_t session, const char *text)
{
    t->inside = true;
    rf_ws_send(t->ws, session, text, strlen(text));
    t->inside = false;
}

void wst_close(struct wst *t, uint64_t session)
{
    t->inside = true;
    rf_ws_close(t->ws, session);
    t->inside = false;
}

void wst_pause(struct wst *t, uint64_t session, bool pause)
{
    t->inside = true;
    rf_ws_pause(t->ws, session, pause);
    t->inside = false;
}

static void note_late(uv_timer_t *timer)
{
    bool *late = timer->data;
    *late = true;
}

static void note_gone(uv_handle_t *handle)
{
    bool *gone = handle->data;
    *gone = true;
}

/* @return whether the count was reached in time. */
static bool run(struct wst *t, const unsigned *count, unsigned want, uint64_t ms)
{
    bool late = false, gone = false;
    uv_timer_t limit;
    uv_timer_init(t->loop, &limit);
    limit.data = &late;
    uv_update_time(t->loop);
    uv_timer_start(&limit, note_late, ms, 0);
    while (*count < want && !late)
        uv_run(t->loop, UV_RUN_ONCE);
    bool reached = *count >= want;
    limit.data = &gone;
    uv_close((uv_handle_t *)&limit, note_gone);
    while (!gone)
        uv_run(t->loop, UV_RUN_NOWAIT);
    return reached;
}

void wst_until(struct wst *t, const unsigned *count, unsigned want)
{
    if (!run(t, count, want, PATIENCE_MS))
        fail_msg("waited %d ms: %u of %u", PATIENCE_MS, *count, want);
}

void wst_until_opened(struct wst *t, uint64_t session)
{
    wst_until(t, &t->s[session].opened, 1);
}

void wst_until_closed(struct wst *t, uint64_t session)
{
    wst_until(t, &t->s[session].closed, 1);
}

void wst_for(struct wst *t, uint64_t ms)
{
    unsigned never = 0;
    run(t, &never, 1, ms);
}

static uint64_t cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * RF_SEC + (uint64_t)ts.tv_nsec;
}

static void beat(uv_timer_t *timer)
{
    struct wst *t = timer->data;
    uint64_t now = uv_hrtime(), cpu = cpu_ns();
    if (t->beat_ns != 0) {
        t->longest_ns = rf_max_u64(t->longest_ns, now - t->beat_ns);
        t->busiest_ns = rf_max_u64(t->busiest_ns, cpu - t->beat_cpu_ns);
    }
    t->beat_ns = now;
    t->beat_cpu_ns = cpu;
}

void wst_beat(struct wst *t)
{
    t->beat_ns = t->longest_ns = t->busiest_ns = 0;
    t->beating = true;
    uv_timer_init(t->loop, &t->heart);
    t->heart.data = t;
    uv_unref((uv_handle_t *)&t->heart);
    uv_timer_start(&t->heart, beat, 1, 1);
}

static void note_closed(void *arg)
{
    struct wst *t = arg;
    assert_false(t->inside);
    assert_false(t->closed);
    t->closed = true;
}

void wst_shutdown(struct wst *t)
{
    unsigned closed = 0;
    if (t->beating)
        uv_close((uv_handle_t *)&t->heart, NULL);
    t->inside = true;
    rf_ws_shutdown(t->ws, note_closed, t);
    t->inside = false;
    for (int i = 0; i < 20 && !t->closed; i++)
        run(t, &closed, 1, 100);
    assert_true(t->closed);
    rf_ws_free(t->ws);
    t->ws = NULL;
}

void wst_fini(struct wst *t)
{
    if (t->ws != NULL) {
        t->inside = true;
        rf_ws_shutdown(t->ws, note_closed, t);
        t->inside = false;
        if (t->beating)
            uv_close((uv_handle_t *)&t->heart, NULL);
        uv_run(t->loop, UV_RUN_DEFAULT); /* returns where no handle is left */
        assert_true(t->closed);
        rf_ws_free(t->ws);
    }
    uv_run(t->loop, UV_RUN_NOWAIT);
    assert_int_equal(net_count_handles(t->loop), t->handles);
    assert_int_equal(uv_loop_close(t->loop), 0);
}
