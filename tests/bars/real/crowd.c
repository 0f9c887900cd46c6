/* crowd.c - many checked calls from one loop: a backlog that is kept full, or an offered rate.
 *
 * Happy path: start the nodes, make the client on a loop of our own, submit from answers (backlog)
 * or from a timer (rate), stop at the time, close, count what is left of handles and descriptors.
 * Each call is sim_echo of its own number or deadline, so that a swapped answer shows. */
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bars.h"

#define TICK_MS 2
#define PARAMS_MAX 40

void crowd_init(struct crowd *c, const char *name, unsigned n_nodes)
{
    memset(c, 0, sizeof *c);
    c->name = name;
    c->n_nodes = n_nodes;
    rpcfan_options_init(&c->options);
    rpcfan_network_options_init(&c->network);
    for (unsigned i = 0; i < n_nodes; i++) {
        rpcfan_endpoint_options_init(&c->endpoint[i]);
        c->endpoint[i].proxy = "";
        c->endpoint[i].batch = 1;
    }
    c->options.seed = 7;
    rf_rng_init(&c->rng, 11);
}

void crowd_nodes(struct crowd *c)
{
    for (unsigned i = 0; i < c->n_nodes; i++) {
        struct rf_node_options o = {.script = c->script[i]};
        struct rpcfan_error err = {0};
        if (c->url[i] != NULL || c->node[i] != NULL)
            continue;
        if (rf_node_start_thread(&o, &c->node[i], &err) != RPCFAN_OK)
            bars_die("%s: %s", c->name, err.text);
    }
    for (unsigned i = 0; i < c->n_nodes; i++)
        c->endpoint[i].url = c->url[i] != NULL ? c->url[i] : rf_node_url(c->node[i]);
}

static size_t write_params(const struct crowd *c, uint64_t k, char *out)
{
    if (c->deadline_hi_ms > 0)
        return (size_t)snprintf(out, PARAMS_MAX, "[\"t%" PRIu64 "\"]", c->deadline_ns[k]);
    return (size_t)snprintf(out, PARAMS_MAX, "[%" PRIu64 "]", k);
}

static void on_answer(const rpcfan_result_t *res, void *arg);

/* Each call names its crowd and its number. */
struct asked {
    struct crowd *crowd;
    uint64_t k;
    struct asked *next;
};

static void grow(struct crowd *c)
{
    if (c->started < c->cap)
        return;
    uint64_t cap = c->cap == 0 ? 65536 : c->cap * 2;
    c->deadline_ns = realloc(c->deadline_ns, cap * sizeof *c->deadline_ns);
    c->latency_ns = realloc(c->latency_ns, cap * sizeof *c->latency_ns);
    c->late_ns = realloc(c->late_ns, cap * sizeof *c->late_ns);
    c->times = realloc(c->times, cap);
    if (c->deadline_ns == NULL || c->latency_ns == NULL || c->late_ns == NULL || c->times == NULL)
        bars_die("out of memory");
    memset(c->times + c->cap, 0, cap - c->cap);
    c->cap = cap;
}

/* @return false where the client took no more. */
static bool submit(struct crowd *c)
{
    char params[PARAMS_MAX];
    struct asked *a = bars_alloc(1, sizeof *a);
    a->crowd = c;
    a->k = c->started;
    if (c->keep)
        grow(c);
    struct rpcfan_request r = {
        .size = sizeof r, .method = "sim_echo", .params = params, .cb = on_answer, .arg = a};
    if (c->deadline_hi_ms > 0) {
        uint64_t span_ms = c->deadline_hi_ms - c->deadline_lo_ms;
        r.deadline_ns =
            uv_hrtime() + (c->deadline_lo_ms + rf_rng_below(&c->rng, span_ms + 1)) * RF_MS;
        c->deadline_ns[a->k] = r.deadline_ns;
    }
    r.params_len = write_params(c, a->k, params);
    struct rpcfan_error err = {0};
    enum rpcfan_err e = rpcfan_call(c->client, &r, NULL, &err);
    if (e == RPCFAN_OK) {
        a->next = c->kept; /* kept, so that a second answer would be counted and not be chance */
        c->kept = c->keep ? a : NULL;
        c->started++;
        c->most_waiting = rf_max_u64(c->most_waiting, c->started - c->answered);
        return true;
    }
    free(a);
    if (e != RPCFAN_EBUSY)
        bars_die("%s: %s", c->name, err.text);
    c->busy++;
    return false;
}

static bool wants_more(const struct crowd *c)
{
    return !c->closing && (c->calls_max == 0 || c->started < c->calls_max);
}

static void top_up(struct crowd *c)
{
    while (wants_more(c) && c->started - c->answered < c->backlog && submit(c))
        ;
}

static void check(struct crowd *c, uint64_t k, const rpcfan_result_t *res)
{
    char want[PARAMS_MAX], got[2 * PARAMS_MAX];
    struct rpcfan_slice json = rpcfan_result_json(res);
    size_t n = write_params(c, k, want);
    size_t len = json.len <= sizeof got ? rpcfan_json_compact(json.data, json.len, got) : 0;
    c->wrong += len != n || memcmp(want, got, n) != 0;
}

static void on_answer(const rpcfan_result_t *res, void *arg)
{
    struct asked *a = arg;
    struct crowd *c = a->crowd;
    enum rpcfan_err err = rpcfan_result_err(res);
    uint64_t now_ns = uv_hrtime(), second = (now_ns - c->begun_ns) / RF_SEC;
    c->answered++;
    c->by_err[err]++;
    if (c->keep)
        c->times[a->k]++;
    if (err == RPCFAN_OK) {
        check(c, a->k, res);
        if (c->keep)
            c->latency_ns[c->ok] = rpcfan_result_latency_ns(res);
        c->ok++;
        c->ok_at[rf_min_u64(second, CROWD_SECONDS - 1)]++;
    } else if (err == RPCFAN_EDEADLINE && c->keep && c->deadline_hi_ms > 0) {
        c->late_ns[c->n_late++] = rf_time_sub(now_ns, c->deadline_ns[a->k]);
    }
    if (!c->keep)
        free(a);
    if (c->backlog > 0)
        top_up(c);
}

static void on_closed(uv_handle_t *h)
{
    (void)h;
}

/* Look at what is left, then close. */
static void finish(struct crowd *c)
{
    if (c->closing)
        return;
    c->closing = true;
    c->ended_ns = uv_hrtime();
    c->live_end = (uint64_t)crowd_status(c, "live");
    c->in_flight_end = (uint64_t)crowd_status(c, "in_flight");
    uv_close((uv_handle_t *)&c->timer, on_closed);
    if (c->beat_on)
        beat_stop(&c->beat);
    rpcfan_client_close(c->client, c->drain ? RPCFAN_CLOSE_DRAIN : RPCFAN_CLOSE_NOW, NULL, NULL);
}

static void on_tick(uv_timer_t *t)
{
    struct crowd *c = t->data;
    uint64_t age_ns = uv_hrtime() - c->begun_ns;
    unsigned second = (unsigned)(age_ns / RF_SEC);
    for (; c->seconds < second; c->seconds++)
        if (c->each_second != NULL && !c->closing)
            c->each_second(c, c->seconds + 1);
    if (c->closing)
        return;
    if (age_ns >= c->run_ns || (c->calls_max > 0 && c->answered == c->calls_max)) {
        finish(c);
        return;
    }
    uint64_t due = c->per_s == 0 ? 0 : age_ns / 1000 * c->per_s / 1000000;
    while (wants_more(c) && c->started + c->busy < due)
        submit(c);
    if (c->backlog > 0)
        top_up(c);
}

/* The nodes' ends of the connections are descriptors of this process too. */
static void await_nodes(const struct crowd *c)
{
    struct rf_node_counters n;
    for (unsigned i = 0; i < c->n_nodes; i++)
        while (c->node[i] != NULL && (rf_node_counters(c->node[i], &n), n.open > 0))
            poll(NULL, 0, 1);
}

void crowd_run(struct crowd *c)
{
    struct rpcfan_error err = {0};
    crowd_nodes(c);
    c->fds_before = bars_fds();
    if (c->limit.count > 0) {
        c->endpoint[0].limits = &c->limit;
        c->endpoint[0].n_limits = 1;
    }
    c->network.endpoints = c->endpoint;
    c->network.n_endpoints = c->n_nodes;
    c->options.networks = &c->network;
    c->options.n_networks = 1;
    c->options.loop = &c->loop;
    if (uv_loop_init(&c->loop) != 0)
        bars_die("no loop");
    unsigned handles = bars_handles(&c->loop);
    if (rpcfan_client_new(&c->options, &c->client, &err) != RPCFAN_OK)
        bars_die("%s: %s", c->name, err.text);
    uv_timer_init(&c->loop, &c->timer);
    c->timer.data = c;
    c->begun_ns = uv_hrtime();
    uv_timer_start(&c->timer, on_tick, 0, TICK_MS);
    if (c->beat_on)
        beat_start(&c->beat, &c->loop);
    uv_run(&c->loop, UV_RUN_DEFAULT);
    rpcfan_client_free(c->client);
    c->client = NULL;
    uv_run(&c->loop, UV_RUN_NOWAIT);
    c->handles_left = bars_handles(&c->loop) - handles;
    c->loop_close = uv_loop_close(&c->loop);
    await_nodes(c);
    c->fds_after = bars_fds();
}

static void *run_in_thread(void *arg)
{
    crowd_run(arg);
    return NULL;
}

void crowd_run_all(struct crowd *c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (pthread_create(&c[i].thread, NULL, run_in_thread, &c[i]) != 0)
            bars_die("no thread");
    for (size_t i = 0; i < n; i++)
        pthread_join(c[i].thread, NULL);
}

void crowd_fini(struct crowd *c)
{
    for (unsigned i = 0; i < c->n_nodes; i++)
        rf_node_stop_thread(c->node[i]);
    while (c->kept != NULL) {
        struct asked *next = c->kept->next;
        free(c->kept);
        c->kept = next;
    }
    free(c->deadline_ns);
    free(c->latency_ns);
    free(c->late_ns);
    free(c->times);
}

struct rf_node_second crowd_sum(const struct crowd *c, unsigned node, unsigned from, unsigned to)
{
    static _Thread_local struct rf_node_second s[RF_NODE_SECONDS];
    struct rf_node_second sum = {0};
    unsigned n = rf_node_seconds(c->node[node], s, RF_NODE_SECONDS);
    for (unsigned i = from; i < to && i < n; i++) {
        sum.requests += s[i].requests;
        sum.refused_requests += s[i].refused_requests;
        sum.admitted += s[i].admitted;
        sum.refused += s[i].refused;
    }
    return sum;
}

uint64_t crowd_ok(const struct crowd *c, unsigned from, unsigned to)
{
    uint64_t sum = 0;
    for (unsigned i = from; i < to && i < CROWD_SECONDS; i++)
        sum += c->ok_at[i];
    return sum;
}

double crowd_status(struct crowd *c, const char *path)
{
    char *text = NULL, copy[160], *save = NULL;
    if (rpcfan_status(c->client, &text) != RPCFAN_OK)
        bars_die("%s: no status", c->name);
    json_t *root = json_loads(text, 0, NULL), *j = root;
    snprintf(copy, sizeof copy, "%s", path);
    for (char *p = strtok_r(copy, ".", &save); p != NULL && j != NULL;
         p = strtok_r(NULL, ".", &save))
        j = json_is_array(j) ? json_array_get(j, (size_t)atoi(p)) : json_object_get(j, p);
    if (!json_is_number(j))
        bars_die("%s: the status has no number %s", c->name, path);
    double d = json_number_value(j);
    json_decref(root);
    rpcfan_free(text);
    return d;
}
