/* node.c - the fake node's life: listen, timers, scripts handed over, counters, threads. Called by
 * cmd_sim.c and tests.
 *
 * Happy path: bind, learn the port, listen; connections live in node_conn.c; stop closes them all.
 * Failure modes: a bad address or script (said at the start), a port lost while `fault refuse` had
 * the listener closed (tried again until it is free). */
#include "sim/node.h"

#include <string.h>

#include "base/mem.h"
#include "sim/node_ws.h"

#define BACKLOG 1024
#define REBIND_NS (20 * RF_MS)

static void update_listener(struct rf_node *node);

static void arm(struct rf_node *node);

static void on_timer(uv_timer_t *timer)
{
    struct rf_node *node = timer->data;
    uint64_t now_ns = uv_hrtime();
    node->armed_ns = RF_NEVER;
    while (rf_heap_next(&node->heap) <= now_ns) {
        struct rf_heap_node *t = rf_heap_top(&node->heap);
        rf_heap_remove(&node->heap, t);
        if (t == &node->listen_timer)
            update_listener(node);
        else if (t == &node->announce_timer)
            rf_node_announce(node, now_ns);
        else if (t == &node->validator_timer)
            rf_node_validator_run(node, now_ns);
        else
            rf_node_conn_due(RF_CONTAINER(t, struct rf_node_conn, timer));
    }
    rf_node_ws_flush_all(node);
    arm(node);
}

static void arm(struct rf_node *node)
{
    uint64_t next = rf_heap_next(&node->heap);
    if (next >= node->armed_ns || node->stopping)
        return; /* the earlier wake-up looks again */
    node->armed_ns = next;
    uint64_t wait_ns = rf_time_sub(next, uv_hrtime());
    uv_timer_start(&node->timer, on_timer, wait_ns / RF_MS + (wait_ns % RF_MS != 0), 0);
}

void rf_node_timer_set(struct rf_node *node, struct rf_heap_node *t, uint64_t at_ns)
{
    rf_heap_remove(&node->heap, t);
    if (rf_heap_push(&node->heap, t, at_ns))
        arm(node);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct rf_node *node = handle->data;
    node->handles--;
    rf_node_maybe_stopped(node);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct rf_node *node = handle->data;
    node->listen_state = RF_LISTEN_CLOSED;
    node->handles--;
    if (node->stopping)
        rf_node_maybe_stopped(node);
    else
        update_listener(node);
}

static void close_listener(struct rf_node *node)
{
    if (node->listen_state != RF_LISTEN_OPEN)
        return;
    node->listen_state = RF_LISTEN_CLOSING;
    uv_close(&node->listener.handle, on_listener_closed);
}

void rf_node_relisten(struct rf_node *node)
{
    close_listener(node); /* its close callback looks at what the script wants, and opens it */
}

static void close_connections(struct rf_node *node, bool reset)
{
    while (!rf_list_empty(&node->conns))
        rf_node_conn_close(RF_CONTAINER(node->conns.next, struct rf_node_conn, link), reset);
}

/* Bind and listen; a free port that was found is kept. @return a libuv error; the handle is closed.
 */
static int open_listener(struct rf_node *node)
{
    int rc = node->unix_socket ? uv_pipe_init(node->loop, &node->listener.pipe, 0)
                               : uv_tcp_init(node->loop, &node->listener.tcp);
    if (rc != 0)
        return rc;
    node->listener.handle.data = node;
    node->listen_state = RF_LISTEN_OPEN;
    node->handles++;
    if (node->unix_socket)
        rc = uv_pipe_bind(&node->listener.pipe, node->path);
    else
        rc = uv_tcp_bind(&node->listener.tcp, (const struct sockaddr *)&node->address, 0);
    if (rc == 0)
        rc = uv_listen(&node->listener.stream, BACKLOG, rf_node_on_connection);
    int len = sizeof node->address;
    if (rc == 0 && !node->unix_socket)
        rc = uv_tcp_getsockname(&node->listener.tcp, (struct sockaddr *)&node->address, &len);
    if (rc != 0)
        close_listener(node);
    return rc;
}

/* Bring the listener to what the script wants now, and wake when that changes. */
static void update_listener(struct rf_node *node)
{
    uint64_t until_ns, now_ns = uv_hrtime();
    if (node->stopping)
        return;
    bool wanted = rf_node_listen_wanted(node->conf, now_ns, &until_ns);
    if (!wanted && node->listen_state == RF_LISTEN_OPEN) {
        close_listener(node);
        close_connections(node, true);
        rf_node_bump(&node->stats.fault[RF_FAULT_REFUSE], 1);
    } else if (wanted && node->listen_state == RF_LISTEN_CLOSED && open_listener(node) != 0) {
        until_ns = rf_min_u64(until_ns, now_ns + REBIND_NS);
    }
    rf_heap_remove(&node->heap, &node->listen_timer);
    if (until_ns != RF_NEVER)
        rf_node_timer_set(node, &node->listen_timer, until_ns);
}

void rf_node_take_script(struct rf_node *node)
{
    if (atomic_load_explicit(&node->pending, memory_order_acquire) == NULL)
        return;
    uv_mutex_lock(&node->lock);
    struct rf_node_conf *conf = atomic_exchange(&node->pending, NULL);
    if (conf != NULL) {
        rf_node_conf_free(node->conf);
        node->conf = conf;
        conf->began_ns = uv_hrtime();
        rf_node_announce_reset(node);
        rf_node_announce(node, conf->began_ns);
        if (node->validator != NULL && conf->knobs != NULL)
            node->knobs_wrong = !rf_node_validator_set(node, conf->knobs, &node->knobs_err);
        update_listener(node);
        node->scripts_taken++;
        uv_cond_broadcast(&node->changed);
    }
    uv_mutex_unlock(&node->lock);
}

static void on_async(uv_async_t *async)
{
    struct rf_node *node = async->data;
    if (node->stopping)
        return;
    rf_node_take_script(node);
    rf_node_jobs_run(node);
    rf_node_ws_flush_all(node);
    if (atomic_load(&node->stop_asked))
        rf_node_stop(node, NULL, NULL);
}

static struct rf_node_conf *read_script(const char *text, struct rpcfan_error *err)
{
    struct rf_node_conf *conf = rf_node_conf_new();
    if (conf == NULL) {
        (void)rf_fail(err, RPCFAN_ENOMEM, "out of memory");
        return NULL;
    }
    if (rf_node_conf_text(conf, text, err) != RPCFAN_OK) {
        rf_node_conf_free(conf);
        return NULL;
    }
    rf_node_conf_finish(conf);
    return conf;
}

enum rpcfan_err rf_node_set_script(struct rf_node *node, const char *text, struct rpcfan_error *err)
{
    struct rpcfan_error detail = {0};
    struct rf_node_conf *conf = read_script(text, &detail);
    if (conf == NULL) {
        if (err != NULL)
            *err = detail;
        return detail.code;
    }
    uv_mutex_lock(&node->lock);
    uint64_t target = node->scripts_taken + 1;
    rf_node_conf_free(atomic_exchange(&node->pending, conf));
    uv_async_send(&node->async);
    while (node->own_thread && node->scripts_taken < target)
        uv_cond_wait(&node->changed, &node->lock);
    detail = node->knobs_err;
    bool wrong = node->own_thread && node->knobs_wrong;
    node->knobs_wrong = false;
    uv_mutex_unlock(&node->lock);
    if (wrong && err != NULL)
        *err = detail;
    return wrong ? RPCFAN_ECONFIG : RPCFAN_OK;
}

/* "HOST:PORT", "[IPV6]:PORT" or "unix:PATH" */
static enum rpcfan_err parse_listen(struct rf_node *node, const char *text,
                                    struct rpcfan_error *err)
{
    uint64_t port;
    char host[64];
    if (strncmp(text, "unix:", 5) == 0) {
        node->unix_socket = true;
        node->path = rf_strdup(text + 5);
        return node->path == NULL ? rf_fail(err, RPCFAN_ENOMEM, "out of memory") : RPCFAN_OK;
    }
    const char *colon = strrchr(text, ':');
    bool six = text[0] == '[' && colon != NULL && colon > text + 1 && colon[-1] == ']';
    size_t len = colon == NULL ? 0 : (size_t)(colon - text) - (six ? 2 : 0);
    if (len == 0 || len >= sizeof host || !rf_node_text_u64(colon + 1, &port) || port > 65535)
        return rf_fail(err, RPCFAN_EINVAL,
                       "listen address '%s': want HOST:PORT, [IPV6]:PORT or unix:PATH", text);
    memcpy(host, text + (six ? 1 : 0), len);
    host[len] = '\0';
    const char *name = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    int rc = six ? uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)&node->address)
                 : uv_ip4_addr(name, (int)port, (struct sockaddr_in *)&node->address);
    if (rc != 0)
        return rf_fail(err, RPCFAN_EINVAL, "listen address '%s': '%s' is no IP address", text,
                       host);
    return RPCFAN_OK;
}

static void learn_url(struct rf_node *node)
{
    char host[64] = "";
    if (node->unix_socket) {
        snprintf(node->url, sizeof node->url, "unix:%s", node->path);
    } else if (node->address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)&node->address;
        uv_ip6_name(a, host, sizeof host);
        node->port = ntohs(a->sin6_port);
        snprintf(node->url, sizeof node->url, "http://[%s]:%u", host, (unsigned)node->port);
    } else {
        const struct sockaddr_in *a = (const struct sockaddr_in *)&node->address;
        uv_ip4_name(a, host, sizeof host);
        node->port = ntohs(a->sin_port);
        snprintf(node->url, sizeof node->url, "http://%s:%u", host, (unsigned)node->port);
    }
}

/* What can fail before any handle exists. */
static enum rpcfan_err prepare(struct rf_node *node, const struct rf_node_options *opts,
                               struct rpcfan_error *err)
{
    const char *listen = opts->listen == NULL ? "127.0.0.1:0" : opts->listen;
    struct rpcfan_error detail = {0};
    rf_list_init(&node->conns);
    rf_list_init(&node->spare_conns);
    rf_list_init(&node->ws_dirty);
    rf_list_init(&node->program_subs);
    node->armed_ns = RF_NEVER;
    node->access_log = opts->access_log;
    node->conf = read_script(opts->script, &detail);
    if (node->conf == NULL) {
        if (err != NULL)
            *err = detail;
        return detail.code;
    }
    if (!rf_heap_reserve(&node->heap, 3))
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    return parse_listen(node, listen, err);
}

static void free_stopped(struct rf_node *node, void *arg)
{
    (void)arg;
    rf_node_free(node);
}

enum rpcfan_err rf_node_start(uv_loop_t *loop, const struct rf_node_options *opts,
                              struct rf_node **out, struct rpcfan_error *err)
{
    static const struct rf_node_options defaults = {0};
    struct rf_node *node = rf_alloc(sizeof *node);
    *out = NULL;
    if (node == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    if (rf_node_seen_init(&node->seen) != RPCFAN_OK || uv_mutex_init(&node->lock) != 0 ||
        uv_cond_init(&node->changed) != 0) {
        rf_free(node);
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    }
    node->loop = loop;
    node->timer.data = node->async.data = node;
    enum rpcfan_err rc = prepare(node, opts == NULL ? &defaults : opts, err);
    if (rc != RPCFAN_OK) {
        rf_node_free(node);
        return rc;
    }
    if (uv_async_init(loop, &node->async, on_async) != 0) {
        rf_node_free(node);
        return rf_fail(err, RPCFAN_EIO, "no wake-up for the loop");
    }
    uv_timer_init(loop, &node->timer);
    node->handles = 2;
    node->began_ns = node->conf->began_ns = uv_hrtime();
    rf_node_announce_reset(node);
    if ((opts != NULL && opts->solana) || node->conf->solana)
        rc = rf_node_validator_start(node, opts == NULL ? NULL : opts->knobs, err);
    if (rc != RPCFAN_OK) {
        rf_node_stop(node, free_stopped, NULL);
        return rc;
    }
    int uv = open_listener(node);
    if (uv != 0) {
        rf_node_stop(node, free_stopped, NULL);
        return rf_fail(err, RPCFAN_EIO, "cannot listen on %s: %s",
                       opts == NULL || opts->listen == NULL ? "127.0.0.1:0" : opts->listen,
                       uv_strerror(uv));
    }
    *out = node;
    learn_url(node);
    update_listener(node);
    rf_node_validator_run(node, node->began_ns);
    return RPCFAN_OK;
}

void rf_node_stop(struct rf_node *node, void (*cb)(struct rf_node *node, void *arg), void *arg)
{
    node->stopping = true;
    node->stop_cb = cb;
    node->stop_arg = arg;
    close_listener(node);
    close_connections(node, false);
    uv_close((uv_handle_t *)&node->timer, on_handle_closed);
    uv_close((uv_handle_t *)&node->async, on_handle_closed);
}

void rf_node_maybe_stopped(struct rf_node *node)
{
    if (!node->stopping || node->handles > 0 || node->n_conns > 0)
        return;
    void (*cb)(struct rf_node *, void *) = node->stop_cb;
    node->stop_cb = NULL;
    if (cb != NULL)
        cb(node, node->stop_arg);
}

void rf_node_free(struct rf_node *node)
{
    if (node == NULL)
        return;
    rf_node_conns_fini(node);
    rf_node_work_fini(&node->work);
    rf_node_validator_fini(node);
    rf_buf_fini(&node->note);
    rf_node_conf_free(node->conf);
    rf_node_conf_free(atomic_load(&node->pending));
    rf_node_seen_fini(&node->seen);
    rf_heap_fini(&node->heap);
    uv_cond_destroy(&node->changed);
    uv_mutex_destroy(&node->lock);
    rf_free(node->path);
    rf_free(node);
}

uint16_t rf_node_port(const struct rf_node *node)
{
    return node->port;
}

const char *rf_node_url(const struct rf_node *node)
{
    return node->url;
}
