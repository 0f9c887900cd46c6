/* bare_curl.c - the floor that the library is measured against: libcurl's multi interface on
 * libuv and nothing else. Fixed requests, answers counted in bytes and not parsed.
 *
 *   bare_curl URL N C [B]   N requests, C in flight, B calls a request (1: no array; default 1)
 *
 * Prints CPU time a call (user and system, this process) and calls a second. The wire options are
 * those of the library. It is tuned as a careful author would: easy handles are made once and only
 * removed and added again, a poll handle stays with its socket for the connection's life, and
 * libcurl is run as soon as a transfer is added. Stands alone: no code of the library is in it. */
#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#define CALL                                                                                       \
    "{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"eth_getBalance\",\"params\":"                     \
    "[\"0x742d35cc6634c0532925a3b844bc454e4438f44e\",\"latest\"]}"
#define CALL_MAX 256
#define TIMEOUT_MS 15000L
#define FD_MAX 65536

struct sock {
    uv_poll_t poll;
    curl_socket_t fd;
    int events;
    bool idle; /* libcurl does not watch it: its connection waits for the next transfer */
};

static struct sock *socks[FD_MAX];
static uv_loop_t *loop;
static uv_timer_t timer;
static CURLM *multi;
static unsigned long to_start, running, done, failed, calls_each;
static unsigned long long bytes;

static void check_done(void);

static void die(const char *what)
{
    fprintf(stderr, "bare_curl: %s\n", what);
    exit(1);
}

static void free_sock(uv_handle_t *handle)
{
    free(handle->data);
}

static void poll_sock(uv_poll_t *poll, int status, int events)
{
    struct sock *s = poll->data;
    int left;
    if (s->idle) {
        uv_poll_stop(&s->poll);
        s->events = 0;
        return;
    }
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    curl_multi_socket_action(multi, s->fd, flags, &left);
    check_done();
}

static struct sock *new_sock(curl_socket_t fd)
{
    struct sock *s = fd < FD_MAX ? calloc(1, sizeof *s) : NULL;
    if (s == NULL || uv_poll_init_socket(loop, &s->poll, fd) != 0)
        die("no poll handle");
    s->fd = fd;
    s->poll.data = s;
    socks[fd] = s;
    return s;
}

static int want_events(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    (void)easy;
    (void)arg;
    (void)socket_arg;
    struct sock *s = socks[fd] != NULL ? socks[fd] : new_sock(fd);
    s->idle = what == CURL_POLL_REMOVE;
    if (s->idle)
        return 0;
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    if (events != s->events)
        uv_poll_start(&s->poll, events, poll_sock);
    s->events = events;
    return 0;
}

static int close_sock(void *arg, curl_socket_t fd)
{
    (void)arg;
    struct sock *s = socks[fd];
    if (s != NULL) {
        socks[fd] = NULL;
        uv_poll_stop(&s->poll);
        uv_close((uv_handle_t *)&s->poll, free_sock);
    }
    return close(fd);
}

static void fire_timer(uv_timer_t *t)
{
    (void)t;
    int left;
    curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &left);
    check_done();
}

static int want_timer(CURLM *m, long timeout_ms, void *arg)
{
    (void)m;
    (void)arg;
    if (timeout_ms < 0)
        uv_timer_stop(&timer);
    else
        uv_timer_start(&timer, fire_timer, timeout_ms == 0 ? 1 : (uint64_t)timeout_ms, 0);
    return 0;
}

static size_t count_bytes(char *data, size_t size, size_t n, void *arg)
{
    (void)data;
    (void)arg;
    bytes += size * n;
    return size * n;
}

static void start_one(CURL *easy)
{
    if (to_start == 0)
        return;
    to_start--;
    running++;
    if (curl_multi_add_handle(multi, easy) != CURLM_OK)
        die("a handle could not be added");
}

static void check_done(void)
{
    CURLMsg *m;
    int left;
    unsigned long started = to_start;
    while ((m = curl_multi_info_read(multi, &left)) != NULL) {
        if (m->msg != CURLMSG_DONE)
            continue;
        CURL *easy = m->easy_handle;
        long status = 0;
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        if (m->data.result != CURLE_OK || status != 200)
            failed++;
        done++;
        running--;
        curl_multi_remove_handle(multi, easy);
        start_one(easy);
    }
    if (started != to_start)
        curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &left);
}

static char *make_body(size_t *len)
{
    char *body = malloc(calls_each * CALL_MAX + 3);
    size_t n = 0;
    if (body == NULL)
        die("out of memory");
    if (calls_each > 1)
        body[n++] = '[';
    for (unsigned long i = 0; i < calls_each; i++) {
        if (i > 0)
            body[n++] = ',';
        n += (size_t)snprintf(body + n, CALL_MAX, CALL, (unsigned)i + 1);
    }
    if (calls_each > 1)
        body[n++] = ']';
    *len = n;
    return body;
}

static CURL *make_easy(const char *url, const char *body, size_t len, struct curl_slist *headers)
{
    CURL *c = curl_easy_init();
    if (c == NULL)
        die("out of memory");
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, count_bytes);
    curl_easy_setopt(c, CURLOPT_CLOSESOCKETFUNCTION, close_sock);
    curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 64 * 1024L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, 3000L);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    return c;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc > 5) {
        fprintf(stderr, "usage: bare_curl URL REQUESTS IN_FLIGHT [CALLS_PER_REQUEST]\n");
        return 2;
    }
    unsigned long n = strtoul(argv[2], NULL, 10), c = strtoul(argv[3], NULL, 10);
    calls_each = argc > 4 ? strtoul(argv[4], NULL, 10) : 1;
    if (n == 0 || c == 0 || calls_each == 0)
        die("REQUESTS, IN_FLIGHT and CALLS_PER_REQUEST are numbers above 0");
    curl_global_init(CURL_GLOBAL_DEFAULT);
    loop = uv_default_loop();
    uv_timer_init(loop, &timer);
    multi = curl_multi_init();
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, want_events);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, want_timer);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)c + 1);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:");
    size_t len;
    char *body = make_body(&len);
    CURL **easy = calloc(c, sizeof(CURL *));
    if (easy == NULL)
        die("out of memory");
    for (unsigned long i = 0; i < c; i++)
        easy[i] = make_easy(argv[1], body, len, headers);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    uint64_t begun = uv_hrtime();
    to_start = n;
    for (unsigned long i = 0; i < c; i++)
        start_one(easy[i]);
    while (done < n)
        uv_run(loop, UV_RUN_ONCE);
    double wall = (double)(uv_hrtime() - begun) / 1e9;
    getrusage(RUSAGE_SELF, &after);
    double user = seconds(after.ru_utime) - seconds(before.ru_utime);
    double sys = seconds(after.ru_stime) - seconds(before.ru_stime);
    double calls = (double)n * (double)calls_each;
    printf("calls=%.0f failed=%lu bytes=%llu wall_s=%.3f calls_per_s=%.0f cpu_us_per_call=%.3f "
           "user_us=%.3f sys_us=%.3f\n",
           calls, failed * calls_each, bytes, wall, calls / wall, (user + sys) * 1e6 / calls,
           user * 1e6 / calls, sys * 1e6 / calls);
    for (unsigned long i = 0; i < c; i++)
        curl_easy_cleanup(easy[i]);
    curl_multi_cleanup(multi);
    uv_run(loop, UV_RUN_NOWAIT);
    curl_slist_free_all(headers);
    free(easy);
    free(body);
    curl_global_cleanup();
    return failed > 0;
}
