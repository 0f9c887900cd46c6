/* ws_lws.c - libwebsockets: its context on the loop, dialing, its callback, letting go. Called by
 * ws.c on turns of the loop, and by libwebsockets.
 *
 * Happy path: the context and the endpoint's vhost are made with the first connection -> dial() ->
 * WSI_CREATE (connected) -> APPEND_HANDSHAKE_HEADER -> CLIENT_ESTABLISHED -> RECEIVE ... ->
 * WSI_DESTROY, the one event that always comes, behind which the wsi is never touched. All other
 * endings only carry reasons.
 *
 * Failure modes of 4.1.6 and what is done:
 *   connect() fails at once      it leaks its poll handle: found and closed in WSI_DESTROY, while
 * the handle still names a wsi that cannot be anybody else's several addresses            it would
 * leak one handle each: it is given one, as a number the descriptor's number is taken in the loop
 * by a stale handle   it would go on with an uninitialised handle: such numbers are kept from it
 *   few descriptors left         its context would be half made and could not be unmade: tried
 * first it retries redirects, reads http_proxy, ignores SIGPIPE, pings after 300 s, logs to stderr
 *                                all told otherwise
 *   output is waiting            a kill waits for it up to 5 s: the socket is shut down first
 *   timers set from outside      fire late or never: rf_ws_wake() after each call
 *   the end                      takes two calls with turns of the loop between them */
#include "net/ws_int.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "policy/hints.h"

#define SPARE_FDS 8 /* that the making of a context may need */
#define FD_TRIES 16 /* numbers kept back where they are taken in the loop */

/* What libwebsockets has once for the process: its log, which is off while any of our contexts
 * lives, and SIGPIPE, which it has ignored. */
static struct {
    pthread_mutex_t lock;
    unsigned users;
    int level; /* of the log before */
} process = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Under the lock. */
static void mute(struct rf_ws *w, bool on)
{
    if (w->muted == on)
        return;
    w->muted = on;
    if (on && process.users++ == 0) {
        process.level = 0;
        for (int level = LLL_ERR; level < 1 << LLL_COUNT; level <<= 1)
            process.level |= lwsl_visible(level) ? level : 0;
        lws_set_log_level(0, NULL);
    } else if (!on && --process.users == 0) {
        lws_set_log_level(process.level, NULL);
    }
}

struct search {
    const void *data; /* of the handles looked for */
    bool close;
    unsigned found;
};

static void free_handle(uv_handle_t *handle)
{
    free(handle); /* libwebsockets' own allocation */
}

static void look_at(uv_handle_t *handle, void *arg)
{
    struct search *s = arg;
    if (handle->data != s->data || (s->close && handle->type != UV_POLL))
        return;
    if (s->close && !uv_is_closing(handle))
        uv_close(handle, free_handle);
    s->found++;
}

/* Close what is left of a wsi in the loop. The wsi is still allocated, so that no handle but
 * libwebsockets' can carry its address. */
static void close_strays(struct rf_ws *w, struct lws *wsi)
{
    struct search s = {.data = wsi, .close = true};
    uv_walk(w->o.loop, look_at, &s);
}

void rf_ws_wake(struct rf_ws *w)
{
    if (w->ctx != NULL && !w->ctx_ending)
        lws_cancel_service(w->ctx);
}

static void note_answer(struct rf_ws_conn *c, struct lws *wsi)
{
    char after[64] = "", date[64] = "";
    unsigned status = lws_http_client_http_response(wsi);
    if (status == 101)
        return;
    c->status = (int)status;
    if (lws_hdr_copy(wsi, after, sizeof after, WSI_TOKEN_HTTP_RETRY_AFTER) > 0) {
        bool dated = lws_hdr_copy(wsi, date, sizeof date, WSI_TOKEN_HTTP_DATE) > 0;
        c->retry_after_ns = rf_retry_after(after, dated ? date : NULL, (int64_t)time(NULL));
    }
    rf_ws_blame(c, "handshake refused");
}

/* Why libwebsockets gives up. Its words are told from our own position. */
static void note_failure(struct rf_ws_conn *c, struct lws *wsi, const char *words, size_t len)
{
    static const char proxy[] = "proxy";
    SSL *ssl = lws_get_ssl(wsi);
    if (c->state != RF_WS_S_SHAKE)
        return;
    if (c->asked)
        rf_ws_blame(c, words != NULL && len > 3 && memcmp(words, "HS:", 3) == 0
                           ? "the answer is no WebSocket handshake"
                           : "ended during the handshake");
    else if (words != NULL && len >= sizeof proxy - 1 &&
             memcmp(words, proxy, sizeof proxy - 1) == 0)
        rf_ws_blame(c, "the proxy refused");
    else if (ssl != NULL && SSL_get_verify_result(ssl) != X509_V_OK)
        rf_ws_blame(c, "certificate not trusted");
    else if (ssl != NULL)
        rf_ws_blame(c, "TLS handshake failed");
}

static int append_headers(struct rf_ws_conn *c, void *in, size_t room)
{
    unsigned char **p = in;
    /* The request is written into the read buffer; `room` is to its end, less 12. */
    c->w->serv_buf = (const char *)*p + room + 12 - RF_WS_BUFFER;
    c->asked = true;
    if (rf_ws_ep_headers(c->ep, p, room))
        return 0;
    rf_ws_blame(c, "headers could not be made");
    return -1;
}

static void note_destroyed(struct rf_ws_conn *c, struct lws *wsi)
{
    close_strays(c->w, wsi);
    lws_set_opaque_user_data(wsi, NULL);
    c->wsi = NULL;
    rf_ws_gone(c);
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    (void)user;
    struct rf_ws_conn *c = wsi != NULL ? lws_get_opaque_user_data(wsi) : NULL;
    if (c == NULL)
        return 0;
    switch (reason) {
    case LWS_CALLBACK_CLIENT_RECEIVE:
        rf_ws_part(c, in, len);
        break;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return rf_ws_write(c);
    case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
        c->heard_ms = uv_now(c->w->o.loop);
        c->unanswered = 0;
        break;
    case LWS_CALLBACK_WSI_CREATE:
        rf_ws_connected(c);
        break;
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        return append_headers(c, in, len);
    case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP:
        note_answer(c, wsi);
        break;
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        if (c->state != RF_WS_S_SHAKE)
            return -1;
        rf_ws_established(c);
        break;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        rf_ws_peer_closes(c, in, len);
        break;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        note_failure(c, wsi, in, len);
        break;
    case LWS_CALLBACK_WSI_DESTROY:
        note_destroyed(c, wsi);
        break;
    default:
        break;
    }
    return 0;
}

static const struct lws_protocols protocols[] = {
    {.name = RF_WS_PROTOCOL, .callback = on_event, .rx_buffer_size = RF_WS_BUFFER}, {.name = NULL}};

/* No pings and no idle limit of libwebsockets' own. */
static const lws_retry_bo_t no_policy = {.secs_since_valid_ping = 0, .secs_since_valid_hangup = 0};

static bool has_spare_fds(void)
{
    int fd[SPARE_FDS];
    unsigned n = 0;
    while (n < SPARE_FDS && (fd[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0)
        n++;
    for (unsigned i = 0; i < n; i++)
        close(fd[i]);
    return n == SPARE_FDS;
}

/* libwebsockets' own limits only stand behind ours. */
static unsigned give_up_secs(const struct rf_ws *w)
{
    uint64_t ms = 0;
    for (uint32_t i = 0; i < w->o.n_endpoints; i++)
        ms = rf_max_u64(ms, w->o.endpoints[i]->connect_timeout_ms);
    return (unsigned)rf_min_u64(ms / 1000 + 5, 3600);
}

static bool make_context(struct rf_ws *w, const char **why)
{
    if (w->ctx != NULL)
        return true;
    *why = "out of descriptors";
    if (!has_spare_fds())
        return false;
    void *loops[] = {w->o.loop};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .foreign_loops = loops,
        .pcontext = &w->ctx,
        .pt_serv_buf_size = RF_WS_BUFFER,
        .max_http_header_data = RF_WS_HEADERS,
        .fd_limit_per_thread = RF_WS_FDS,
        .timeout_secs = give_up_secs(w),
        .gid = -1,
        .uid = -1,
    };
    struct sigaction pipe_before;
    pthread_mutex_lock(&process.lock);
    mute(w, true);
    sigaction(SIGPIPE, NULL, &pipe_before);
    w->ctx = lws_create_context(&info);
    sigaction(SIGPIPE, &pipe_before, NULL);
    mute(w, w->ctx != NULL);
    pthread_mutex_unlock(&process.lock);
    if (w->ctx != NULL)
        return true;
    *why = "libwebsockets could not be set up (package libwebsockets-evlib-uv?)";
    return false;
}

static bool make_vhost(struct rf_ws *w, struct rf_ws_ep *ep, const char **why)
{
    if (ep->vhost != NULL)
        return true;
    if (ep->tls && !rf_ws_tls_init(ep, why))
        return false;
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .options = ep->tls ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0,
        .vhost_name = "endpoint",
        .protocols = protocols,
        .retry_and_idle_policy = &no_policy,
        .connect_timeout_secs = give_up_secs(w),
        .http_proxy_address = "", /* or it takes the environment's */
        .provided_client_ssl_ctx = ep->ssl,
    };
    ep->vhost = lws_create_vhost(w->ctx, &info);
    *why = "out of memory";
    return ep->vhost != NULL;
}

static bool set_proxy(struct rf_ws_conn *c, const char **why)
{
    const struct rf_ws_ep *ep = c->ep;
    char text[512];
    bool six = strchr(c->address, ':') != NULL;
    if (ep->proxy_auth == NULL)
        return true;
    *why = "name or password of the proxy is longer than libwebsockets can send";
    int n = snprintf(text, sizeof text, "%s%s%s%s:%u", ep->proxy_auth, six ? "[" : "", c->address,
                     six ? "]" : "", (unsigned)ep->dial_port);
    return n > 0 && (size_t)n < sizeof text && lws_set_proxy(ep->vhost, text) == 0;
}

/* Keep descriptor numbers that a stale handle of somebody's holds in the loop. @return how many
 * are held; -1: no descriptor left. */
static int hold_taken(const uv_loop_t *loop, int held[FD_TRIES])
{
    int n = 0;
    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool taken = fd >= 0 && (unsigned)fd < loop->nwatchers && loop->watchers[fd] != NULL;
        if (taken && n < FD_TRIES) {
            held[n++] = fd;
            continue;
        }
        if (fd >= 0)
            close(fd);
        if (fd >= 0 && !taken)
            return n;
        while (n > 0)
            close(held[--n]);
        return -1;
    }
}

static void connect_to(struct rf_ws_conn *c)
{
    struct rf_ws_ep *ep = c->ep;
    int held[FD_TRIES];
    struct lws_client_connect_info info = {
        .context = c->w->ctx,
        .vhost = ep->vhost,
        .address = ep->proxy_auth != NULL ? ep->host : c->address,
        .port = ep->port,
        .path = ep->path,
        .host = ep->host_header,
        .ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT | (ep->tls ? LCCSCF_USE_SSL : 0),
        .ietf_version_or_minus_one = -1,
        .local_protocol_name = RF_WS_PROTOCOL,
        .pwsi = &c->wsi,
        .opaque_user_data = c,
        .retry_and_idle_policy = &no_policy,
    };
    int n = hold_taken(c->w->o.loop, held);
    if (n < 0) {
        rf_ws_blame(c, "out of descriptors");
        rf_ws_gone(c);
        return;
    }
    bool kept = lws_client_connect_via_info(&info) != NULL;
    for (int i = 0; i < n; i++)
        close(held[i]);
    if (!kept && c->dialing) /* and WSI_DESTROY did not come */
        rf_ws_gone(c);
    rf_ws_wake(c->w);
}

void rf_ws_dial(struct rf_ws_conn *c)
{
    const char *why = "closing";
    if (!c->w->ctx_ending && make_context(c->w, &why) && make_vhost(c->w, c->ep, &why) &&
        set_proxy(c, &why)) {
        connect_to(c);
        return;
    }
    rf_ws_blame(c, why);
    rf_ws_gone(c);
}

void rf_ws_farewell(struct rf_ws_conn *c)
{
    lws_close_reason(c->wsi, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
    lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
    rf_ws_wake(c->w);
}

void rf_ws_kill(struct rf_ws_conn *c)
{
    int fd = lws_get_socket_fd(c->wsi);
    if (fd >= 0)
        shutdown(fd, SHUT_RDWR);
    lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
    rf_ws_wake(c->w);
}

bool rf_ws_context_end(struct rf_ws *w)
{
    if (w->ctx == NULL)
        return true;
    if (!w->ctx_ending) {
        w->ctx_ending = true;
        lws_context_destroy(w->ctx);
        return false;
    }
    /* Its timer and its idle handle lie in the context and have to be closed before it goes. */
    struct search s = {.data = w->ctx};
    uv_walk(w->o.loop, look_at, &s);
    if (s.found > 0)
        return false;
    pthread_mutex_lock(&process.lock);
    lws_context_destroy(w->ctx); /* clears w->ctx */
    mute(w, false);
    pthread_mutex_unlock(&process.lock);
    return true;
}
