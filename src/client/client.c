/* client.c - the life of a client: new, its thread, close, free; and status.
 *
 * Happy path: options are checked and copied, core and http are built, the handles are started, and
 * a thread runs the loop until the last handle is closed. Failure modes: whatever was built is
 * taken down again in reverse; the error says which endpoint was at fault. */
#include "client/client.h"

#include <signal.h>
#include <string.h>

#include "base/mem.h"
#include "client/live.h"

/* Request ids are unique in the process: each client counts within a span of its own. */
#define ID_SPAN (UINT64_C(1) << 40)
#define ID_SPANS 8192 /* below 2^53, where some nodes' numbers end; then they come round again */
#define PENDING_MAX (1u << 24)
#define IN_FLIGHT_MAX (1u << 16)
static atomic_uint clients_made;

static void init_inbox(struct rf_inbox *in, const struct rpcfan_options *o)
{
    pthread_mutex_init(&in->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&in->room, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&in->status, NULL);
    rf_list_init(&in->submitted);
    rf_list_init(&in->unused);
    rf_list_init(&in->cancels);
    rf_list_init(&in->commands);
    rf_list_init(&in->resumes);
    in->pending_max = o->pending_calls;
    in->bytes_max = o->pending_bytes;
    in->close_mode = -1;
}

static enum rpcfan_err check_options(const struct rpcfan_options *o, struct rpcfan_error *err)
{
    if (o == NULL || o->size != sizeof *o)
        return rf_fail(err, RPCFAN_EINVAL, "options: call rpcfan_options_init() first");
    if (o->n_networks == 0 || o->networks == NULL)
        return rf_fail(err, RPCFAN_ECONFIG, "options: no network is given");
    if (o->pending_calls == 0 || o->pending_bytes == 0 || o->in_flight == 0)
        return rf_fail(err, RPCFAN_ECONFIG,
                       "options: pending_calls, pending_bytes and in_flight must be at least 1");
    if (o->pending_calls > PENDING_MAX || o->in_flight > IN_FLIGHT_MAX)
        return rf_fail(err, RPCFAN_ECONFIG, "options: pending_calls is at most %u, in_flight %u",
                       PENDING_MAX, IN_FLIGHT_MAX);
    for (size_t i = 0; i < o->n_accounts; i++) {
        if (o->accounts[i].size != sizeof o->accounts[i])
            return rf_fail(err, RPCFAN_EINVAL,
                           "account %zu: call rpcfan_account_options_init() first", i + 1);
    }
    for (size_t i = 0; i < o->n_networks; i++) {
        const struct rpcfan_network_options *net = &o->networks[i];
        if (net->size != sizeof *net)
            return rf_fail(err, RPCFAN_EINVAL,
                           "network %zu: call rpcfan_network_options_init() first", i + 1);
        for (size_t k = 0; k < net->n_endpoints; k++) {
            if (net->endpoints[k].size != sizeof net->endpoints[k])
                return rf_fail(
                    err, RPCFAN_EINVAL,
                    "network %zu, endpoint %zu: call rpcfan_endpoint_options_init() first", i + 1,
                    k + 1);
        }
    }
    return RPCFAN_OK;
}

static enum rpcfan_err copy_endpoints(rpcfan_client_t *c, const struct rpcfan_options *o)
{
    size_t n = 0;
    for (size_t i = 0; i < o->n_networks; i++)
        n += o->networks[i].n_endpoints;
    c->n_networks = (uint32_t)o->n_networks;
    c->endpoint = rf_alloc(n * sizeof c->endpoint[0]);
    c->network = rf_alloc(o->n_networks * sizeof c->network[0]);
    if (c->endpoint == NULL || c->network == NULL)
        return RPCFAN_ENOMEM;
    for (size_t i = 0; i < o->n_networks; i++) {
        c->network[i] = (struct rf_client_network){.family = o->networks[i].family,
                                                   .first = c->n_endpoints,
                                                   .end = c->n_endpoints +
                                                          (uint32_t)o->networks[i].n_endpoints};
        for (size_t k = 0; k < o->networks[i].n_endpoints; k++) {
            struct rpcfan_endpoint_options *copy =
                rf_endpoint_options_copy(&o->networks[i].endpoints[k]);
            if (copy == NULL)
                return RPCFAN_ENOMEM;
            c->endpoint[c->n_endpoints] = copy;
            if (copy->name == NULL)
                copy->name = rf_strdup(rf_core_endpoint_name(c->core, c->n_endpoints));
            c->n_endpoints++;
            if (copy->name == NULL)
                return RPCFAN_ENOMEM;
        }
    }
    return RPCFAN_OK;
}

static enum rpcfan_err build(rpcfan_client_t *c, const struct rpcfan_options *o,
                             struct rpcfan_error *err)
{
    struct rpcfan_options seeded = *o;
    if (seeded.seed == 0)
        uv_random(NULL, NULL, &seeded.seed, sizeof seeded.seed, 0, NULL);
    c->seed = seeded.seed;
    uint64_t id_first = 1 + ID_SPAN * (atomic_fetch_add(&clients_made, 1) % ID_SPANS);
    enum rpcfan_err e = rf_core_new(&seeded, id_first, uv_hrtime(), &c->log, &c->core, err);
    if (e != RPCFAN_OK)
        return e;
    /* A turn holds at most every pending call twice (submitted, canceled) and every exchange. */
    size_t events = 2 * (size_t)o->pending_calls + o->in_flight + 1;
    c->event = rf_alloc(events * sizeof c->event[0]);
    if (c->event == NULL || copy_endpoints(c, o) != RPCFAN_OK)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    e = rf_live_new(c, err);
    return e == RPCFAN_OK ? rf_turn_http(c, o->in_flight, err) : e;
}

/* Everything but the loop and the thread. */
static void release(rpcfan_client_t *c)
{
    rf_live_free(c->live);
    rf_core_free(c->core);
    rf_result_free_all(c);
    for (uint32_t i = 0; i < c->n_endpoints; i++)
        rf_endpoint_options_free(c->endpoint[i]);
    rf_free(c->endpoint);
    rf_free(c->network);
    rf_free(c->event);
    pthread_mutex_destroy(&c->in.lock);
    pthread_cond_destroy(&c->in.room);
    pthread_cond_destroy(&c->in.status);
    rf_free(c);
}

static void *run_loop(void *arg)
{
    rpcfan_client_t *c = arg;
    uv_run(c->loop, UV_RUN_DEFAULT);
    return NULL;
}

/* The loop thread takes no signals: they belong to the program. */
static int start_thread(rpcfan_client_t *c)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&c->thread, NULL, run_loop, c);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

/* Undo a start that failed: nothing was ever submitted. */
static void one_gone(void *arg)
{
    --*(unsigned *)arg;
}

static void take_down(rpcfan_client_t *c)
{
    unsigned left = 0;
    if (c->http != NULL) {
        left++;
        rf_http_close(c->http, one_gone, &left);
    }
    if (c->live != NULL && c->live->ws != NULL) {
        left++;
        rf_ws_shutdown(c->live->ws, one_gone, &left);
    }
    while (left > 0)
        uv_run(c->loop, UV_RUN_ONCE);
    rf_http_free(c->http);
    if (c->own_thread)
        uv_loop_close(&c->own_loop);
    release(c);
}

enum rpcfan_err rpcfan_client_new(const struct rpcfan_options *opts, rpcfan_client_t **out,
                                  struct rpcfan_error *err)
{
    enum rpcfan_err e = check_options(opts, err);
    if (e != RPCFAN_OK)
        return e;
    rpcfan_client_t *c = rf_alloc(sizeof *c);
    if (c == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    init_inbox(&c->in, opts);
    c->log = (struct rf_log){.cb = opts->log, .arg = opts->log_arg, .level = opts->log_level};
    c->own_thread = opts->loop == NULL;
    c->loop = c->own_thread ? &c->own_loop : opts->loop;
    c->loop_thread = pthread_self();
    if (c->own_thread && uv_loop_init(&c->own_loop) != 0) {
        release(c);
        return rf_fail(err, RPCFAN_EIO, "no event loop could be made: too many open files?");
    }
    e = build(c, opts, err);
    if (e == RPCFAN_OK && rf_turn_start(c) != RPCFAN_OK)
        e = rf_fail(err, RPCFAN_EIO, "no wake-up descriptor could be made: too many open files?");
    if (e != RPCFAN_OK) {
        take_down(c);
        return e;
    }
    if (c->own_thread && start_thread(c) != 0) {
        rf_fail(err, RPCFAN_EIO, "the loop thread could not be started");
        rpcfan_client_close(c, RPCFAN_CLOSE_NOW, NULL, NULL);
        run_loop(c);
        uv_loop_close(&c->own_loop);
        release(c);
        return RPCFAN_EIO;
    }
    *out = c;
    return RPCFAN_OK;
}

void rpcfan_client_close(rpcfan_client_t *client, enum rpcfan_close_mode mode, rpcfan_closed_cb cb,
                         void *arg)
{
    struct rf_inbox *in = &client->in;
    pthread_mutex_lock(&in->lock);
    in->closing = true;
    if ((int)mode > in->close_mode)
        in->close_mode = (int)mode;
    if (client->closed_cb == NULL) {
        client->closed_cb = cb;
        client->closed_arg = arg;
    }
    pthread_cond_broadcast(&in->room);
    rf_client_wake(client);
    pthread_mutex_unlock(&in->lock);
}

void rpcfan_client_free(rpcfan_client_t *client)
{
    if (client == NULL)
        return;
    if (client->own_thread) {
        pthread_mutex_lock(&client->in.lock);
        bool closing = client->in.closing;
        pthread_mutex_unlock(&client->in.lock);
        if (!closing)
            rpcfan_client_close(client, RPCFAN_CLOSE_NOW, NULL, NULL);
        pthread_join(client->thread, NULL);
        uv_loop_close(&client->own_loop);
    }
    release(client);
}

void rf_client_wake(rpcfan_client_t *c)
{
    if (c->in.woken || !c->in.async_open)
        return;
    c->in.woken = true;
    uv_async_send(&c->async);
}

void rf_client_release(rpcfan_client_t *c, uint32_t calls, uint64_t bytes)
{
    pthread_mutex_lock(&c->in.lock);
    c->in.pending -= calls;
    c->in.bytes -= bytes;
    if (c->in.waiters > 0)
        pthread_cond_broadcast(&c->in.room);
    pthread_mutex_unlock(&c->in.lock);
}

bool rf_client_on_loop(const rpcfan_client_t *c)
{
    return pthread_equal(c->own_thread ? c->thread : c->loop_thread, pthread_self()) != 0;
}

void rf_client_answer(rpcfan_client_t *c, struct rf_status_wait *w, uint64_t now_ns)
{
    switch (w->query) {
    case RF_QUERY_STATUS:
        rf_core_status(c->core, now_ns, &w->text);
        if (!w->text.failed) {
            w->text.len--; /* its brace */
            rf_live_status(c, now_ns, &w->text);
            rf_buf_char(&w->text, '}');
        }
        break;
    case RF_QUERY_LEARNED:
        rf_core_learned(c->core, now_ns, &w->text);
        break;
    case RF_QUERY_LEARN:
        for (size_t i = 0; i < w->n_facts; i++)
            rf_core_learn(c->core, &w->fact[i], now_ns);
        break;
    }
}

/* Have the loop thread answer, and wait for it. */
static void ask(rpcfan_client_t *client, struct rf_status_wait *w)
{
    if (rf_client_on_loop(client)) {
        rf_client_answer(client, w, uv_hrtime());
        return;
    }
    struct rf_inbox *in = &client->in;
    pthread_mutex_lock(&in->lock);
    w->closed = !in->async_open;
    if (!w->closed) {
        w->next = in->status_waits;
        in->status_waits = w;
        rf_client_wake(client);
    }
    while (!w->done && !w->closed)
        pthread_cond_wait(&in->status, &in->lock);
    pthread_mutex_unlock(&in->lock);
}

static enum rpcfan_err ask_text(rpcfan_client_t *client, enum rf_query query, char **out)
{
    struct rf_status_wait w = {.query = query};
    ask(client, &w);
    rf_buf_char(&w.text, '\0');
    if (w.closed || w.text.failed) {
        rf_buf_fini(&w.text);
        return w.closed ? RPCFAN_ECLOSED : RPCFAN_ENOMEM;
    }
    *out = w.text.data;
    return RPCFAN_OK;
}

enum rpcfan_err rpcfan_status(rpcfan_client_t *client, char **out)
{
    return ask_text(client, RF_QUERY_STATUS, out);
}

enum rpcfan_err rpcfan_learned(rpcfan_client_t *client, char **out)
{
    return ask_text(client, RF_QUERY_LEARNED, out);
}

enum rpcfan_err rpcfan_learn(rpcfan_client_t *client, const char *json, uint64_t age_ms,
                             struct rpcfan_error *err)
{
    struct rf_fact_book book = {0};
    enum rpcfan_err e = rf_learn_read(json, rf_ms_ns(age_ms), &book, err);
    if (e == RPCFAN_OK) {
        struct rf_status_wait w = {.query = RF_QUERY_LEARN, .fact = book.fact, .n_facts = book.n};
        ask(client, &w);
        if (w.closed)
            e = rf_fail(err, RPCFAN_ECLOSED, "the client is closed");
    }
    rf_learn_free(&book);
    return e;
}
