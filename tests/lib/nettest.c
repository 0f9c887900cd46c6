/* nettest.c - see nettest.h. */
#include "nettest.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

#define PATIENCE_MS 20000

unsigned net_count_fds(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

static void count_handle(uv_handle_t *handle, void *arg)
{
    unsigned *n = arg;
    *n += !uv_is_closing(handle);
}

unsigned net_count_handles(uv_loop_t *loop)
{
    unsigned n = 0;
    uv_walk(loop, count_handle, &n);
    return n;
}

unsigned net_refused_port(int *fd)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(*fd >= 0);
    assert_int_equal(bind(*fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(*fd, (struct sockaddr *)&a, &len), 0);
    return ntohs(a.sin_port);
}

void net_init(struct net *n)
{
    memset(n, 0, sizeof *n);
    assert_int_equal(uv_loop_init(&n->loop), 0); /* the first of a process opens a pipe for good */
    assert_int_equal(uv_loop_close(&n->loop), 0);
    n->fds = net_count_fds();
    assert_int_equal(uv_loop_init(&n->loop), 0);
    n->handles = net_count_handles(&n->loop);
    n->o.size = sizeof n->o;
    n->o.name = "node";
    n->o.proxy = "";
    n->o.in_flight = 16;
    n->o.batch = 20;
    n->o.response_bytes = 1024 * 1024;
    n->o.timeout_ms = 10000;
    n->o.connect_timeout_ms = 5000;
    n->o.idle_ms = 15000;
}

void net_url(struct net *n, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(n->url, sizeof n->url, fmt, ap);
    va_end(ap);
    n->o.url = n->url;
}

static void note_done(struct rf_exchange *ex, void *arg)
{
    struct net *n = arg;
    assert_false(n->inside);
    assert_null(ex->net);
    n->done++;
    if (n->on_done != NULL)
        n->on_done(n, ex);
}

static bool note_element(struct rf_exchange *ex, const struct rpcfan_element *e, void *arg)
{
    struct net *n = arg;
    return n->on_element == NULL || n->on_element(n, ex, e);
}

void net_open(struct net *n)
{
    struct rpcfan_error err = {0};
    n->endpoints[0] = &n->o;
    struct rf_http_options o = {.loop = &n->loop,
                                .endpoints = n->endpoints,
                                .n_endpoints = 1,
                                .in_flight = 64,
                                .done = note_done,
                                .element = note_element,
                                .arg = n};
    enum rpcfan_err e = rf_http_new(&o, &n->http, &err);
    if (e != RPCFAN_OK)
        fail_msg("rf_http_new: %s", err.text);
}

struct rf_exchange *net_exchange(struct net *n, const char *body)
{
    assert_true(n->n_ex < NET_EXCHANGES);
    struct rf_exchange *ex = &n->ex[n->n_ex++];
    rf_buf_str(&ex->body, body);
    ex->n = 1;
    ex->timeout_ns = 10 * RF_SEC;
    return ex;
}

void net_send(struct net *n, struct rf_exchange *ex)
{
    n->inside = true;
    rf_http_send(n->http, ex);
    n->inside = false;
    rf_http_kick(n->http);
}

void net_abort(struct net *n, struct rf_exchange *ex)
{
    n->inside = true;
    rf_http_abort(n->http, ex);
    n->inside = false;
}

static void give_up(uv_timer_t *t)
{
    bool *late = t->data;
    *late = true;
}

static void note_gone(uv_handle_t *handle)
{
    bool *gone = handle->data;
    *gone = true;
}

/* Turn the loop until a count is reached, with a limit. */
static void run_until(struct net *n, const uint32_t *count, uint32_t want)
{
    bool late = false;
    uv_timer_t limit;
    uv_timer_init(&n->loop, &limit);
    limit.data = &late;
    uv_update_time(&n->loop);
    uv_timer_start(&limit, give_up, PATIENCE_MS, 0);
    while (*count < want && !late)
        uv_run(&n->loop, UV_RUN_ONCE);
    bool reached = *count >= want;
    bool gone = false;
    limit.data = &gone;
    uv_close((uv_handle_t *)&limit, note_gone);
    while (!gone)
        uv_run(&n->loop, UV_RUN_NOWAIT);
    if (!reached)
        fail_msg("waited %d ms: %u of %u", PATIENCE_MS, *count, want);
}

static void beat(uv_timer_t *t)
{
    struct net *n = t->data;
    uint64_t now = uv_hrtime();
    if (n->beat_ns != 0)
        n->longest_ns = rf_max_u64(n->longest_ns, now - n->beat_ns);
    n->beat_ns = now;
}

static uv_timer_t heart;

void net_beat(struct net *n)
{
    n->beat_ns = n->longest_ns = 0;
    uv_timer_init(&n->loop, &heart);
    heart.data = n;
    uv_unref((uv_handle_t *)&heart);
    uv_timer_start(&heart, beat, 1, 1);
}

void net_wait(struct net *n, uint32_t done)
{
    run_until(n, &n->done, done);
}

struct rf_exchange *net_ask(struct net *n, const char *body)
{
    struct rf_exchange *ex = net_exchange(n, body);
    uint32_t before = n->done;
    net_send(n, ex);
    net_wait(n, before + 1);
    return ex;
}

static void note_closed(void *arg)
{
    struct net *n = arg;
    assert_false(n->closed);
    n->closed = true;
}

void net_close(struct net *n)
{
    if (n->beat_ns != 0)
        uv_close((uv_handle_t *)&heart, NULL);
    if (n->http != NULL) {
        rf_http_close(n->http, note_closed, n);
        assert_false(n->closed);
        uv_run(&n->loop, UV_RUN_DEFAULT);
        assert_true(n->closed);
    }
    rf_http_free(n->http);
    for (uint32_t i = 0; i < n->n_ex; i++) {
        rf_buf_fini(&n->ex[i].body);
        rf_blob_unref(n->ex[i].reply.blob);
        rf_split_fini(&n->ex[i].reply.split);
    }
    uv_run(&n->loop, UV_RUN_NOWAIT);
    assert_int_equal(net_count_handles(&n->loop), n->handles);
    assert_int_equal(uv_loop_close(&n->loop), 0);
}

struct raw_server *net_serve(struct net *n, raw_serve_fn fn, void *arg)
{
    struct raw_server *s = raw_start(&(struct raw_options){.serve = fn, .arg = arg});
    assert_non_null(s);
    net_init(n);
    net_url(n, "http://127.0.0.1:%u/", raw_port(s));
    net_open(n);
    return s;
}

void net_assert_reply(const struct rf_exchange *ex, enum rf_transport transport, const char *reason)
{
    assert_int_equal(ex->reply.transport, transport);
    if (reason == NULL)
        assert_null(ex->reply.reason);
    else
        assert_string_equal(ex->reply.reason, reason);
}

bool net_body_is(const struct rf_exchange *ex, const char *body)
{
    const struct rf_blob *b = ex->reply.blob;
    return b != NULL && b->len == strlen(body) && memcmp(b->data, body, b->len) == 0;
}
