/* shocks.c - bar 15: names that are never found, connections that are never accepted, ten thousand
 * that are refused, and a wall clock that jumps. The loop must turn all the while, and nothing may
 * be left behind. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bars.h"
#include "net/http.h"

#define TURN_MS 20
#define RUN_S 6
#define RATE 200
#define TRIES 3
#define REFUSED 10000u
#define AT_ONCE 64u
#define CLOCK_CALLS 1200u

/* What one run left and how long its loop stood still. */
struct shock {
    double own_ms, wall_ms, cpu_ms, longest_wall_ms;
    double left; /* descriptors and handles */
    int loop_close;
    uint64_t answered, ok;
};

/* The best of some tries counts: what a try found that the others do not is the machine's. */
static bool better(const struct shock *a, const struct shock *b)
{
    return a->own_ms < b->own_ms;
}

static void judge(const char *name, const struct shock *s)
{
    bars_at_most("15", name, "longest turn of the loop, ms", TURN_MS, s->own_ms);
    bars_at_most("15", name, "descriptors, handles left", 0, s->left);
    bars_at_most("15", name, "uv_loop_close", 0, -s->loop_close);
    bars_note("in that turn %.1f ms went by, %.1f ms of them on the processor; the longest was "
              "%.1f ms; %llu of %llu calls answered well",
              s->wall_ms, s->cpu_ms, s->longest_wall_ms, (unsigned long long)s->ok,
              (unsigned long long)s->answered);
}

static struct shock from_beat(const struct beat *b)
{
    return (struct shock){.own_ms = (double)b->own_ns / 1e6,
                          .wall_ms = (double)b->wall_ns / 1e6,
                          .cpu_ms = (double)b->cpu_ns / 1e6,
                          .longest_wall_ms = (double)b->longest_wall_ns / 1e6};
}

/* Near the end: the bad endpoint must have been tried, or nothing was shown. Names may be found
 * from then on, as a close waits for a lookup that the system has begun. */
static void look_back(struct crowd *c, unsigned second)
{
    if (second != RUN_S - 1)
        return;
    if (crowd_status(c, "networks.0.endpoints.1.errors.network") < 1)
        bars_die("the bad endpoint was not tried");
    shim_hang_names(false);
}

/* A good node and a bad endpoint before it; calls at a rate. */
static struct shock beside(const char *bad_url)
{
    struct crowd *c = bars_alloc(1, sizeof *c);
    crowd_init(c, "shock", 2);
    c->script[0] = "latency exp 5ms\n";
    c->url[1] = bad_url;
    c->endpoint[1].connect_timeout_ms = 700;
    c->per_s = RATE;
    c->run_ns = RUN_S * RF_SEC;
    c->beat_on = c->drain = true;
    c->each_second = look_back;
    crowd_nodes(c);
    crowd_run(c);
    struct shock s = from_beat(&c->beat);
    s.left = (double)(c->fds_after - c->fds_before) + (double)c->handles_left;
    s.loop_close = c->loop_close;
    s.answered = c->answered;
    s.ok = c->ok;
    crowd_fini(c);
    free(c);
    return s;
}

static void hung_names(void)
{
    struct shock best = {.own_ms = 1e9};
    for (int i = 0; i < TRIES && best.own_ms > TURN_MS; i++) {
        shim_hang_names(true);
        struct shock s = beside("http://node.hung/");
        best = better(&s, &best) ? s : best;
    }
    judge("name server hangs", &best);
    bars_at_most("15", "name server hangs", "calls that failed", 0,
                 (double)(best.answered - best.ok));
}

/* An address that takes no connection and refuses none: a listener whose queue is full.
 * @param fd  out: the listener and what fills its queue; close them all. */
static unsigned make_black_hole(int fd[8])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd[0] < 0 || bind(fd[0], (struct sockaddr *)&a, sizeof a) != 0 || listen(fd[0], 0) != 0 ||
        getsockname(fd[0], (struct sockaddr *)&a, &len) != 0)
        bars_die("no listener");
    for (int i = 1; i < 8; i++) {
        fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(fd[i], (struct sockaddr *)&a, sizeof a);
    }
    return ntohs(a.sin_port);
}

static void black_hole(void)
{
    struct shock best = {.own_ms = 1e9};
    int fd[8];
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", make_black_hole(fd));
    for (int i = 0; i < TRIES && best.own_ms > TURN_MS; i++) {
        struct shock s = beside(url);
        best = better(&s, &best) ? s : best;
    }
    for (int i = 0; i < 8; i++)
        close(fd[i]);
    judge("connections go unanswered", &best);
    bars_at_most("15", "connections go unanswered", "calls that failed", 0,
                 (double)(best.answered - best.ok));
}

/* Ten thousand connects that fail; below the core, whose breaker would spare most of them. */
struct refusals {
    uv_loop_t loop;
    struct rf_http *http;
    struct rf_exchange ex[AT_ONCE];
    unsigned sent, done, connect_errors;
    struct beat beat;
    uv_timer_t kick;
};

static void send_next(struct refusals *r, struct rf_exchange *ex)
{
    r->sent++;
    rf_http_send(r->http, ex);
}

static void on_closed(void *arg)
{
    (void)arg;
}

static void on_refused(struct rf_exchange *ex, void *arg)
{
    struct refusals *r = arg;
    r->done++;
    r->connect_errors += ex->reply.transport == RF_T_CONNECT;
    if (r->sent < REFUSED) {
        send_next(r, ex);
    } else if (r->done == REFUSED) {
        beat_stop(&r->beat);
        rf_http_close(r->http, on_closed, NULL);
    }
}

static struct shock refuse_many(void)
{
    struct refusals *r = bars_alloc(1, sizeof *r);
    struct rpcfan_endpoint_options ep;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    char url[64];
    int held = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* bound, not listening: refuses */
    if (held < 0 || bind(held, (struct sockaddr *)&a, sizeof a) != 0 ||
        getsockname(held, (struct sockaddr *)&a, &len) != 0)
        bars_die("no port");
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", ntohs(a.sin_port));
    rpcfan_endpoint_options_init(&ep);
    ep.name = "gone";
    ep.url = url;
    ep.proxy = "";
    const struct rpcfan_endpoint_options *eps[] = {&ep};
    unsigned fds = bars_fds();
    struct rpcfan_error err;
    uv_loop_init(&r->loop);
    unsigned handles = bars_handles(&r->loop);
    struct rf_http_options o = {.loop = &r->loop,
                                .endpoints = eps,
                                .n_endpoints = 1,
                                .in_flight = AT_ONCE,
                                .done = on_refused,
                                .arg = r};
    if (rf_http_new(&o, &r->http, &err) != RPCFAN_OK)
        bars_die("%s", err.text);
    beat_start(&r->beat, &r->loop);
    for (unsigned i = 0; i < AT_ONCE; i++) {
        rf_buf_str(&r->ex[i].body, "{}");
        r->ex[i].n = 1;
        r->ex[i].timeout_ns = 5 * RF_SEC;
        send_next(r, &r->ex[i]);
    }
    rf_http_kick(r->http);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    rf_http_free(r->http);
    for (unsigned i = 0; i < AT_ONCE; i++) {
        rf_buf_fini(&r->ex[i].body);
        rf_blob_unref(r->ex[i].reply.blob);
        rf_split_fini(&r->ex[i].reply.split);
    }
    struct shock s = from_beat(&r->beat);
    s.left = (double)(bars_handles(&r->loop) - handles);
    s.loop_close = uv_loop_close(&r->loop);
    s.left += (double)bars_fds() - (double)fds;
    s.answered = REFUSED;
    s.ok = r->connect_errors;
    close(held);
    free(r);
    return s;
}

static void refused(void)
{
    struct shock best = {.own_ms = 1e9};
    for (int i = 0; i < TRIES && best.own_ms > TURN_MS; i++) {
        struct shock s = refuse_many();
        best = better(&s, &best) ? s : best;
    }
    judge("10,000 refused connections", &best);
    bars_at_least("15", "10,000 refused connections", "told as such", REFUSED, (double)best.ok);
}

/* Half an hour is the least that any provider's window could be taken for: an hour is beyond it. */
static void move_clock(struct crowd *c, unsigned second)
{
    (void)c;
    shim_clock(second % 4 == 2 ? 3600 : second % 4 == 0 ? -3600 : 0);
}

static void clock_run(bool moved, uint64_t *requests, double *seconds, struct shock *out)
{
    struct crowd *c = bars_alloc(1, sizeof *c);
    struct child child;
    child_start(&child, "latency exp 5ms\n"
                        "fault http-error status=429 body=empty retry-after=date every=301\n"
                        "fault http-error status=503 body=empty retry-after=1 every=401\n");
    crowd_init(c, "clock", 1);
    c->url[0] = child.url;
    c->limit = (struct rpcfan_limit){.count = 200, .window_ms = 1000};
    c->endpoint[0].learn = 0;
    c->backlog = 50;
    c->calls_max = CLOCK_CALLS;
    c->run_ns = 60 * RF_SEC;
    c->beat_on = c->drain = true;
    c->each_second = moved ? move_clock : NULL;
    crowd_run(c);
    shim_clock(0);
    *requests = child_requests(&child);
    *seconds = (double)(c->ended_ns - c->begun_ns) / 1e9;
    *out = from_beat(&c->beat);
    out->left = (double)(c->fds_after - c->fds_before) + (double)c->handles_left;
    out->loop_close = c->loop_close;
    out->answered = c->answered;
    out->ok = c->ok;
    child_stop(&child);
    crowd_fini(c);
    free(c);
}

static void clock_steps(void)
{
    static const char name[] = "wall clock moved by an hour";
    uint64_t still, moved;
    double still_s, moved_s;
    struct shock s, best = {.own_ms = 1e9};
    clock_run(false, &still, &still_s, &s);
    for (int i = 0; i < TRIES && best.own_ms > TURN_MS; i++) {
        clock_run(true, &moved, &moved_s, &s);
        best = better(&s, &best) ? s : best;
    }
    bars_at_most("15", name, "sends more or fewer", 0,
                 moved > still ? (double)(moved - still) : (double)(still - moved));
    bars_at_most("15", name, "time against a still clock", 1.25, moved_s / still_s);
    bars_at_most("15", name, "calls that failed", 0, (double)(best.answered - best.ok));
    judge(name, &best);
    bars_note("%llu requests in %.1f s, with the clock still %llu in %.1f s",
              (unsigned long long)moved, moved_s, (unsigned long long)still, still_s);
}

void bars_shocks(void)
{
    hung_names();
    black_hole();
    refused();
    clock_steps();
}
