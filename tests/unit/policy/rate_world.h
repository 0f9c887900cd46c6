/* rate_world.h - a small world in virtual time: clients that each pace themselves by an rf_rate,
 * and one server with a limit that they do not know. Used by test_rate_sim.c alone. */
#ifndef TEST_RATE_WORLD_H
#define TEST_RATE_WORLD_H

#include "policy/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/heap.h"
#include "base/mem.h"
#include "base/rng.h"
#include "policy/throttle.h"

#define WORLD_SECONDS 1000
#define WORLD_RING 8192

enum world_limit { FIXED, SLIDING, BUCKET, WORLD_LIMITS };

/* What a case sets; the rest of the world follows from it. */
struct world_case {
    enum world_limit kind;
    double per_s;      /* the limit ... */
    unsigned window_s; /* ... counted over this */
    bool hint;         /* whole seconds in Retry-After, or nothing */
    uint32_t batch;    /* calls a request; each is admitted or refused by itself */
    uint32_t clients;
    uint32_t slots; /* requests in flight, a client */
    double start_per_s, max_per_s;
    bool known;
    uint64_t rtt_ns, jitter_ns; /* answers take rtt + U(0, jitter) */
    uint64_t calls;             /* 0: no end of them */
    unsigned seconds;
    struct {
        unsigned at;  /* from this second on ... */
        double per_s; /* ... this is the limit */
    } change[2];
    uint64_t seed;
};

struct world_flight {
    struct rf_heap_node node;
    struct world_client *client;
    uint64_t sent_ns, hint_ns;
    uint32_t calls, refused;
    bool back; /* on the way home */
};

struct world_client {
    struct rf_heap_node wake;
    struct rf_rate rate;
    struct rf_throttle throttle;
    uint32_t busy;
    bool paused;
    uint64_t served;
};

static struct world {
    struct world_case of;
    struct rf_rng rng;
    struct rf_heap due;
    struct world_client *client;
    struct world_flight *flight; /* `slots` for each client in a row */
    uint64_t now;
    unsigned changes;
    /* the server */
    uint64_t count; /* calls a window */
    uint64_t phase_ns, window, used;
    double tokens;
    uint64_t filled_ns;
    uint64_t ring[WORLD_RING]; /* when calls were admitted */
    uint64_t admitted;
    /* figures: calls that arrived in each second */
    uint32_t served[WORLD_SECONDS], refused[WORLD_SECONDS];
    uint64_t left, done_ns;
} w;

static uint64_t window_ns(void)
{
    return w.of.window_s * RF_SEC;
}

static void set_limit(double per_s)
{
    w.count = (uint64_t)(per_s * w.of.window_s + 0.5);
}

static bool admit_fixed(uint64_t *free_ns)
{
    uint64_t number = (w.now + w.phase_ns) / window_ns();
    if (number != w.window) {
        w.window = number;
        w.used = 0;
    }
    *free_ns = (number + 1) * window_ns() - w.phase_ns - w.now;
    return w.used < w.count && ++w.used > 0;
}

static bool admit_sliding(uint64_t *free_ns)
{
    if (w.admitted >= w.count) {
        uint64_t gone_ns = w.ring[(w.admitted - w.count) % WORLD_RING] + window_ns();
        *free_ns = rf_time_sub(gone_ns, w.now);
        if (*free_ns > 0)
            return false;
    }
    w.ring[w.admitted++ % WORLD_RING] = w.now;
    return true;
}

static bool admit_bucket(uint64_t *free_ns)
{
    double rate = (double)w.count / (double)window_ns();
    w.tokens += rate * (double)(w.now - w.filled_ns);
    w.filled_ns = w.now;
    if (w.tokens > (double)w.count)
        w.tokens = (double)w.count;
    *free_ns = w.tokens >= 1 ? 0 : (uint64_t)((1 - w.tokens) / rate) + 1;
    if (w.tokens < 1)
        return false;
    w.tokens -= 1;
    return true;
}

/* A request arrives; what is refused does not count against the limit. */
static void arrive(struct world_flight *f)
{
    static bool (*const admit[])(uint64_t *) = {admit_fixed, admit_sliding, admit_bucket};
    uint64_t free_ns = 0;
    f->refused = 0;
    for (uint32_t i = 0; i < f->calls; i++)
        f->refused += !admit[w.of.kind](&free_ns);
    size_t second = (size_t)(w.now / RF_SEC);
    w.served[second] += f->calls - f->refused;
    w.refused[second] += f->refused;
    f->hint_ns = RF_NEVER;
    if (f->refused > 0 && w.of.hint)
        f->hint_ns = (free_ns + RF_SEC - 1) / RF_SEC * RF_SEC;
}

static uint64_t way(void)
{
    return w.of.rtt_ns / 2 + rf_rng_below(&w.rng, w.of.jitter_ns / 2 + 1);
}

static void wake_at(struct world_client *c, uint64_t at)
{
    rf_heap_remove(&w.due, &c->wake);
    assert_true(rf_heap_push(&w.due, &c->wake, at));
}

static void send_request(struct world_client *c, uint32_t calls)
{
    struct world_flight *f = &w.flight[(size_t)(c - w.client) * w.of.slots];
    while (f->node.pos != 0)
        f++;
    rf_rate_commit(&c->rate, calls, w.now);
    f->client = c;
    f->sent_ns = w.now;
    f->calls = calls;
    f->back = false;
    c->busy++;
    w.left -= calls;
    assert_true(rf_heap_push(&w.due, &f->node, w.now + way()));
}

static void pump(struct world_client *c)
{
    if (w.now < c->throttle.paused_until_ns) {
        c->paused = true;
        wake_at(c, c->throttle.paused_until_ns);
        return;
    }
    if (c->paused)
        rf_rate_resume(&c->rate, w.now);
    c->paused = false;
    while (c->busy < w.of.slots && w.left > 0) {
        uint64_t wait_ns;
        uint32_t want = (uint32_t)rf_min_u64(w.of.batch, w.left);
        uint32_t calls = rf_rate_room(&c->rate, want, w.now, &wait_ns);
        if (calls > 0) {
            send_request(c, calls);
            continue;
        }
        if (wait_ns != RF_NEVER) /* timers have whole milliseconds */
            wake_at(c, w.now + (wait_ns + RF_MS - 1) / RF_MS * RF_MS);
        else
            assert_true(c->busy > 0); /* or nobody would ever wake it */
        return;
    }
}

static void land(struct world_flight *f)
{
    struct world_client *c = f->client;
    uint32_t served = f->calls - f->refused;
    c->busy--;
    c->served += served;
    w.left += f->refused;
    rf_rate_settle(&c->rate, served, RF_RATE_SERVED, w.now);
    rf_rate_settle(&c->rate, f->refused, RF_RATE_REFUSED, w.now);
    if (f->refused > 0) {
        rf_throttle_refused(&c->throttle, f->sent_ns, f->hint_ns, f->refused, w.now, &w.rng);
        rf_rate_refused(&c->rate, f->sent_ns, f->hint_ns, w.now);
    } else {
        rf_throttle_served(&c->throttle, f->sent_ns);
    }
    if (w.left == 0 && c->busy == 0)
        w.done_ns = w.now;
    pump(c);
}

static void close_world(void)
{
    rf_heap_fini(&w.due);
    rf_free(w.client);
    rf_free(w.flight);
    w.client = NULL;
    w.flight = NULL;
}

static void open_world(const struct world_case *of)
{
    close_world();
    memset(&w, 0, sizeof w);
    w.of = *of;
    rf_rng_init(&w.rng, of->seed);
    set_limit(of->per_s);
    w.phase_ns = rf_rng_below(&w.rng, window_ns());
    w.tokens = (double)w.count;
    w.left = of->calls > 0 ? of->calls : UINT64_MAX / 2;
    w.client = rf_alloc(of->clients * sizeof w.client[0]);
    w.flight = rf_alloc((size_t)of->clients * of->slots * sizeof w.flight[0]);
    assert_non_null(w.client);
    assert_non_null(w.flight);
    for (uint32_t i = 0; i < of->clients; i++) {
        uint64_t at = of->clients > 1 ? rf_rng_below(&w.rng, RF_SEC) : 0;
        rf_rate_init(&w.client[i].rate, of->start_per_s, of->max_per_s, of->known, at);
        wake_at(&w.client[i], at);
    }
}

static void step_world(void)
{
    struct rf_heap_node *n = rf_heap_top(&w.due);
    w.now = n->at_ns;
    rf_heap_remove(&w.due, n);
    while (w.changes < RF_COUNT(w.of.change) && w.of.change[w.changes].at > 0 &&
           w.now >= w.of.change[w.changes].at * RF_SEC)
        set_limit(w.of.change[w.changes++].per_s);
    struct world_client *c = RF_CONTAINER(n, struct world_client, wake);
    if (c >= w.client && c < w.client + w.of.clients) {
        pump(c);
        return;
    }
    struct world_flight *f = RF_CONTAINER(n, struct world_flight, node);
    if (f->back) {
        land(f);
        return;
    }
    f->back = true;
    arrive(f);
    assert_true(rf_heap_push(&w.due, n, w.now + way()));
}

/** Run a case to its end; the world stays for figures to be read. */
static void run_world(const struct world_case *of)
{
    open_world(of);
    while (rf_heap_next(&w.due) < of->seconds * RF_SEC && w.done_ns == 0)
        step_world();
}

static double sum(const uint32_t *v, unsigned from, unsigned to)
{
    double n = 0;
    for (unsigned i = from; i < to; i++)
        n += v[i];
    return n;
}

/** Share of the calls sent in the seconds [from, to) that were refused. */
static double waste(unsigned from, unsigned to)
{
    double refused = sum(w.refused, from, to), sent = refused + sum(w.served, from, to);
    return sent > 0 ? refused / sent : 0;
}

/** Calls served in the seconds [from, to) over what `per_s` would have been. */
static double goodput(unsigned from, unsigned to, double per_s)
{
    return sum(w.served, from, to) / (per_s * (to - from));
}

#endif
