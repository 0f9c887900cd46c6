/* http_multi.c - libcurl's sockets and timer on a libuv loop. Called by http.c and by the loop.
 *
 * Happy path: open_socket() makes a socket and its poll handle. libcurl asks for events, the handle
 * polls, its callback runs libcurl. When a transfer ends, libcurl stops watching; the handle
 * goes on polling unreferenced, so that the next transfer on the connection costs no system call
 * here. close_socket() stops and closes the handle before the descriptor goes.
 *
 * Failure modes:
 *   POLLERR            libuv stops the handle and reports a bad descriptor: libcurl is made to
 *                      read, which brings the peer's last words and then the error
 *   an idle connection ends   one event; polling stops until libcurl watches it again
 *   the descriptor number is taken in the loop by somebody's stale handle   another number is used
 *   a socket that was not made here (libcurl's own pairs)   stopped and closed when it is let go
 *   sockets come and go inside curl_multi_cleanup()   the same callbacks serve
 *   the timer callback is inside libcurl   it only notes what to do; nothing is run from there */
#include "net/http_int.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

#define ERRORS_READ 4 /* POLLERRs in a row that libcurl is asked to read */
#define FD_TRIES 16   /* other descriptor numbers tried where one is taken in the loop */

static void free_sock(uv_handle_t *handle)
{
    struct rf_sock *s = RF_CONTAINER(handle, struct rf_sock, poll);
    struct rf_http *h = s->h;
    rf_free(s);
    rf_http_handle_closed(h);
}

static bool grow_table(struct rf_http *h, size_t fd)
{
    if (fd < h->n_sock)
        return true;
    size_t n = h->n_sock < 64 ? 64 : h->n_sock;
    while (n <= fd)
        n *= 2;
    struct rf_sock **grown = rf_realloc(h->sock, n * sizeof(struct rf_sock *));
    if (grown == NULL)
        return false;
    for (size_t i = h->n_sock; i < n; i++)
        grown[i] = NULL;
    h->sock = grown;
    h->n_sock = n;
    return true;
}

static struct rf_sock *find_sock(const struct rf_http *h, curl_socket_t fd)
{
    return fd >= 0 && (size_t)fd < h->n_sock ? h->sock[fd] : NULL;
}

static void stop_sock(struct rf_sock *s)
{
    uv_poll_stop(&s->poll);
    s->events = 0;
}

static void drop_sock(struct rf_sock *s)
{
    s->h->sock[s->fd] = NULL;
    stop_sock(s);
    uv_close((uv_handle_t *)&s->poll, free_sock);
}

/* @return 0, UV_EEXIST where the number is taken in the loop, or another uv error. */
static int new_sock(struct rf_http *h, curl_socket_t fd, bool ours)
{
    struct rf_sock *stale = find_sock(h, fd);
    if (stale != NULL && stale->idle)
        drop_sock(stale); /* libcurl closed the number without a word: a connect it gave up */
    struct rf_sock *s = grow_table(h, (size_t)fd) ? rf_alloc(sizeof *s) : NULL;
    if (s == NULL)
        return UV_ENOMEM;
    int e = uv_poll_init_socket(h->o.loop, &s->poll, fd);
    if (e != 0) {
        rf_free(s);
        return e;
    }
    s->h = h;
    s->fd = fd;
    s->ours = ours;
    s->idle = true;
    uv_unref((uv_handle_t *)&s->poll);
    h->handles++;
    h->sock[fd] = s;
    return 0;
}

/* libuv stopped the handle at a POLLERR. Told of an error, libcurl would give the transfer up
 * unseen; told of data it reads: what the peer said before it broke off, then the error itself,
 * and a request that met a dead kept-alive connection is replayed as at a normal close. Should
 * reading not bring it on, the error is the last word. */
static int name_error(struct rf_sock *s)
{
    int unread = 0;
    if (ioctl(s->fd, FIONREAD, &unread) == 0 && unread > 0)
        return CURL_CSELECT_IN;
    return s->errors++ < ERRORS_READ ? CURL_CSELECT_IN : CURL_CSELECT_ERR;
}

static void poll_sock(uv_poll_t *poll, int status, int events);

static void watch(struct rf_sock *s)
{
    if (s->events == s->wanted)
        return;
    int e = uv_poll_start(&s->poll, s->wanted, poll_sock);
    s->events = e == 0 ? s->wanted : 0;
    if (e != 0) /* the transfer then ends by its timeout */
        rf_log(s->h->o.log, RPCFAN_LOG_ERROR, "RF-NET-POLL err=%s", uv_err_name(e));
}

static void poll_sock(uv_poll_t *poll, int status, int events)
{
    struct rf_sock *s = RF_CONTAINER(poll, struct rf_sock, poll);
    struct rf_http *h = s->h;
    curl_socket_t fd = s->fd;
    int flags = 0, running;
    if (status < 0)
        s->events = 0;
    if (s->idle) {
        if (status == 0)
            stop_sock(s);
        return;
    }
    if (status < 0)
        flags = name_error(s);
    else
        s->errors = 0;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    curl_multi_socket_action(h->multi, fd, flags, &running);
    /* libcurl asks again only when its wish changes. 7.88 reads on until it meets the error; should
     * another stop before, polling has to go on. */
    if (find_sock(h, fd) == s && !s->idle)
        watch(s);
    rf_http_collect(h, true);
}

/* CURLMOPT_SOCKETFUNCTION */
static int want_events(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
    (void)easy;
    (void)unused;
    struct rf_http *h = arg;
    struct rf_sock *s = find_sock(h, fd);
    if (what == CURL_POLL_REMOVE) {
        if (s == NULL)
            return 0;
        s->idle = true;
        uv_unref((uv_handle_t *)&s->poll);
        if (!s->ours)
            drop_sock(s);
        else if (s->events != UV_READABLE)
            stop_sock(s);
        return 0;
    }
    if (s == NULL) {
        int e = new_sock(h, fd, false);
        if (e != 0) {
            rf_log(h->o.log, RPCFAN_LOG_ERROR, "RF-NET-POLL err=%s", uv_err_name(e));
            return 0;
        }
        s = h->sock[fd];
    }
    if (s->idle) {
        s->idle = false;
        uv_ref((uv_handle_t *)&s->poll);
    }
    s->wanted = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    watch(s);
    return 0;
}

curl_socket_t rf_multi_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *addr)
{
    (void)purpose;
    struct rf_xfer *xf = arg;
    curl_socket_t fd = socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
    if (fd < 0) {
        xf->socket_errno = errno;
        return CURL_SOCKET_BAD;
    }
    int e = new_sock(xf->h, fd, true);
    for (int i = 0; e == UV_EEXIST && i < FD_TRIES; i++) {
        int other = fcntl(fd, F_DUPFD_CLOEXEC, fd + 1);
        close(fd);
        if (other < 0) {
            xf->socket_errno = errno;
            return CURL_SOCKET_BAD;
        }
        fd = other;
        e = new_sock(xf->h, fd, true);
    }
    if (e == 0)
        return fd;
    xf->socket_errno = -e;
    close(fd);
    return CURL_SOCKET_BAD;
}

int rf_multi_close_socket(void *arg, curl_socket_t fd)
{
    struct rf_sock *s = find_sock(arg, fd);
    if (s != NULL)
        drop_sock(s);
    return close(fd);
}

static void fire_timer(uv_timer_t *timer)
{
    struct rf_http *h = timer->data;
    rf_multi_run(h);
    rf_http_collect(h, true);
}

/* CURLMOPT_TIMERFUNCTION. Inside libcurl: it must not be entered again from here. */
static int want_timer(CURLM *multi, long timeout_ms, void *arg)
{
    (void)multi;
    struct rf_http *h = arg;
    if (timeout_ms == 0) {
        h->run_now = true;
        rf_multi_soon(h);
    }
    if (timeout_ms <= 0) {
        uv_timer_stop(&h->timer);
        return 0;
    }
    /* It counts from the loop's time, which callbacks have let grow old. */
    uv_update_time(h->o.loop);
    uv_timer_start(&h->timer, fire_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

static void turn(uv_idle_t *idle)
{
    rf_http_turn(idle->data);
}

void rf_multi_run(struct rf_http *h)
{
    int running;
    h->run_now = false;
    curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

void rf_multi_soon(struct rf_http *h)
{
    if (!uv_is_closing((uv_handle_t *)&h->soon))
        uv_idle_start(&h->soon, turn);
}

static long count_connections(const struct rf_http *h)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < h->o.n_endpoints; i++)
        n += h->o.endpoints[i]->in_flight;
    n = rf_max_u64(n, h->o.in_flight);
    return (long)rf_max_u64(16, rf_min_u64(n, RF_HTTP_CONNECTIONS));
}

enum rpcfan_err rf_multi_init(struct rf_http *h)
{
    h->multi = curl_multi_init();
    if (h->multi == NULL)
        return RPCFAN_ENOMEM;
    bool ok = true;
    ok &= curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, want_events) == CURLM_OK;
    ok &= curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h) == CURLM_OK;
    ok &= curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, want_timer) == CURLM_OK;
    ok &= curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h) == CURLM_OK;
    /* The core's own caps hold; libcurl's would queue transfers while their timeouts run. */
    ok &= curl_multi_setopt(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS, 0L) == CURLM_OK;
    ok &= curl_multi_setopt(h->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, 0L) == CURLM_OK;
    ok &= curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, count_connections(h)) == CURLM_OK;
    if (!ok)
        return RPCFAN_EIO;
    uv_timer_init(h->o.loop, &h->timer);
    uv_idle_init(h->o.loop, &h->soon);
    uv_timer_init(h->o.loop, &h->silence);
    h->timer.data = h->soon.data = h->silence.data = h;
    h->handles += 3;
    return RPCFAN_OK;
}

static void count_closed(uv_handle_t *handle)
{
    rf_http_handle_closed(handle->data);
}

void rf_multi_close(struct rf_http *h)
{
    curl_multi_cleanup(h->multi);
    h->multi = NULL;
    for (size_t i = 0; i < h->n_sock; i++) {
        if (h->sock[i] != NULL)
            drop_sock(h->sock[i]);
    }
    uv_close((uv_handle_t *)&h->timer, count_closed);
    uv_close((uv_handle_t *)&h->soon, count_closed);
    uv_close((uv_handle_t *)&h->silence, count_closed);
}
