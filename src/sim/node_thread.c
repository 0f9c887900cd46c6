/* node_thread.c - what other threads may ask of a node: counters, seen calls, and a node that runs
 * in a thread of its own. Called by tests and by `rpcfan sim`. */
#include "sim/node_int.h"

#include <signal.h>
#include <string.h>

/* What the starter and the new thread share until the node is up. */
struct boot {
    const struct rf_node_options *opts;
    struct rf_node *node;
    enum rpcfan_err rc;
    struct rpcfan_error *err;
    uv_sem_t up;
};

static void run(void *arg)
{
    struct boot *boot = arg;
    uv_loop_t loop;
    sigset_t all; /* a client that hangs up is no reason to die: no signal is this thread's */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    if (uv_loop_init(&loop) != 0) {
        boot->rc = rf_fail(boot->err, RPCFAN_EIO, "no event loop");
        uv_sem_post(&boot->up);
        return;
    }
    boot->rc = rf_node_start(&loop, boot->opts, &boot->node, boot->err);
    if (boot->rc == RPCFAN_OK)
        boot->node->own_thread = true;
    uv_sem_post(&boot->up);        /* `boot` belongs to the starter from here on */
    uv_run(&loop, UV_RUN_DEFAULT); /* after a failed start it closes what was open */
    uv_loop_close(&loop);
}

enum rpcfan_err rf_node_start_thread(const struct rf_node_options *opts, struct rf_node **out,
                                     struct rpcfan_error *err)
{
    struct boot boot = {.opts = opts, .err = err};
    uv_thread_t thread;
    *out = NULL;
    if (uv_sem_init(&boot.up, 0) != 0)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    if (uv_thread_create(&thread, run, &boot) != 0) {
        uv_sem_destroy(&boot.up);
        return rf_fail(err, RPCFAN_EIO, "cannot start a thread");
    }
    uv_sem_wait(&boot.up);
    uv_sem_destroy(&boot.up);
    if (boot.rc != RPCFAN_OK) {
        uv_thread_join(&thread);
        return boot.rc;
    }
    boot.node->thread = thread;
    *out = boot.node;
    return RPCFAN_OK;
}

void rf_node_stop_thread(struct rf_node *node)
{
    if (node == NULL)
        return;
    atomic_store(&node->stop_asked, true);
    uv_async_send(&node->async);
    uv_thread_join(&node->thread);
    rf_node_free(node);
}

static uint64_t read_count(const struct rf_node_count *c)
{
    return atomic_load_explicit(&c->v, memory_order_relaxed);
}

void rf_node_counters(const struct rf_node *node, struct rf_node_counters *out)
{
    const struct rf_node_stats *s = &node->stats;
    out->connections = read_count(&s->connections);
    out->open = read_count(&s->open);
    out->requests = read_count(&s->requests);
    out->gets = read_count(&s->gets);
    out->singles = read_count(&s->singles);
    out->batches = read_count(&s->batches);
    out->members = read_count(&s->members);
    out->notifications = read_count(&s->notifications);
    out->answered = read_count(&s->answered);
    out->refused_requests = read_count(&s->refused_requests);
    out->refused_members = read_count(&s->refused_members);
    out->invalid = read_count(&s->invalid);
    out->http_errors = read_count(&s->http_errors);
    out->batch_max = read_count(&s->batch_max);
    out->active = read_count(&s->active);
    out->active_max = read_count(&s->active_max);
    out->bytes_in = read_count(&s->bytes_in);
    out->bytes_out = read_count(&s->bytes_out);
    out->ws_opened = read_count(&s->ws_opened);
    out->ws_open = read_count(&s->ws_open);
    out->ws_refused = read_count(&s->ws_refused);
    out->ws_received = read_count(&s->ws_received);
    out->ws_sent = read_count(&s->ws_sent);
    out->ws_notes = read_count(&s->ws_notes);
    out->ws_dropped = read_count(&s->ws_dropped);
    out->ws_closed = read_count(&s->ws_closed);
    out->ws_lagged = read_count(&s->ws_lagged);
    out->subscriptions = read_count(&s->subscriptions);
    for (unsigned i = 0; i < RF_NODE_FAULTS_MAX; i++)
        out->fault[i] = read_count(&s->fault[i]);
}

unsigned rf_node_seconds(const struct rf_node *node, struct rf_node_second *out, unsigned max)
{
    uint64_t age_s = rf_time_sub(uv_hrtime(), node->began_ns) / RF_SEC;
    unsigned n = (unsigned)rf_min_u64(age_s + 1, rf_min_u64(max, RF_NODE_SECONDS));
    for (unsigned i = 0; i < n; i++) {
        out[i].requests = read_count(&node->second[i].requests);
        out[i].refused_requests = read_count(&node->second[i].refused_requests);
        out[i].admitted = read_count(&node->second[i].admitted);
        out[i].refused = read_count(&node->second[i].refused);
    }
    return n;
}

uint64_t rf_node_seen(struct rf_node *node, const char *method, const char *params)
{
    struct rpcfan_slice m = {method, strlen(method)};
    struct rpcfan_slice p = {params, params == NULL ? 0 : strlen(params)};
    return rf_node_seen_get(&node->seen, rf_node_digest(m, p));
}

void rf_node_seen_totals(struct rf_node *node, uint64_t *different, uint64_t *repeated)
{
    uv_mutex_lock(&node->seen.lock);
    *different = node->seen.used;
    *repeated = node->seen.repeated;
    uv_mutex_unlock(&node->seen.lock);
}
