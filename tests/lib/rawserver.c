/* rawserver.c - the accept thread, the connection threads, and reading one request. */
#include "rawserver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct thread {
    struct thread *next;
    pthread_t id;
    struct raw_conn conn;
};

struct raw_server {
    struct raw_options o;
    int fd;
    unsigned port;
    pthread_t accepter;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    unsigned closed;
    struct thread *threads;
    atomic_uint connections, requests;
    atomic_bool stopping;
};

static int listen_unix(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    unlink(path);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 128) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static int listen_tcp(bool ipv6, unsigned *port)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a;
    memset(&a, 0, sizeof a);
    socklen_t len = ipv6 ? sizeof a.v6 : sizeof a.v4;
    int fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    a.any.sa_family = ipv6 ? AF_INET6 : AF_INET;
    if (ipv6)
        a.v6.sin6_addr = in6addr_loopback;
    else
        a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, &a.any, len) != 0 || listen(fd, 512) != 0 ||
        getsockname(fd, &a.any, &len) != 0) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    *port = ntohs(ipv6 ? a.v6.sin6_port : a.v4.sin_port);
    return fd;
}

static void *run_conn(void *arg)
{
    struct thread *t = arg;
    struct raw_conn *c = &t->conn;
    struct raw_server *s = c->server;
    bool ok = true;
    sigset_t pipe_signal;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
    if (s->o.tls != NULL) {
        c->ssl = SSL_new(s->o.tls);
        SSL_set_fd(c->ssl, c->fd);
        ok = SSL_accept(c->ssl) == 1;
    }
    if (ok)
        s->o.serve(c, s->o.arg);
    if (c->ssl != NULL) {
        if (ok)
            SSL_shutdown(c->ssl);
        SSL_free(c->ssl);
    }
    pthread_mutex_lock(&s->lock);
    close(c->fd);
    c->fd = -1;
    s->closed++;
    pthread_cond_broadcast(&s->ended);
    pthread_mutex_unlock(&s->lock);
    free(c->request);
    return NULL;
}

static void *run_accept(void *arg)
{
    struct raw_server *s = arg;
    for (;;) {
        int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
        /* Linux reserves the new descriptor before it waits, so a test that takes all descriptors
         * away for a moment can hit a thread that is only now arriving here. */
        if (fd < 0 && errno == EMFILE && !atomic_load(&s->stopping)) {
            sched_yield();
            continue;
        }
        if (fd < 0 || atomic_load(&s->stopping)) {
            if (fd >= 0)
                close(fd);
            return NULL;
        }
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct thread *t = calloc(1, sizeof *t);
        t->conn.server = s;
        t->conn.fd = fd;
        t->conn.number = atomic_fetch_add(&s->connections, 1) + 1;
        pthread_mutex_lock(&s->lock);
        if (pthread_create(&t->id, NULL, run_conn, t) != 0)
            abort();
        t->next = s->threads;
        s->threads = t;
        pthread_mutex_unlock(&s->lock);
    }
}

struct raw_server *raw_start(const struct raw_options *o)
{
    struct raw_server *s = calloc(1, sizeof *s);
    s->o = *o;
    s->fd = o->unix_path != NULL ? listen_unix(o->unix_path) : listen_tcp(o->ipv6, &s->port);
    if (s->fd < 0) {
        free(s);
        return NULL;
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->ended, NULL);
    if (pthread_create(&s->accepter, NULL, run_accept, s) != 0)
        abort();
    return s;
}

void raw_stop(struct raw_server *s)
{
    if (s == NULL)
        return;
    atomic_store(&s->stopping, true);
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->accepter, NULL);
    close(s->fd);
    pthread_mutex_lock(&s->lock);
    for (struct thread *t = s->threads; t != NULL; t = t->next) {
        if (t->conn.fd >= 0)
            shutdown(t->conn.fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&s->lock);
    for (struct thread *t = s->threads, *next; t != NULL; t = next) {
        next = t->next;
        pthread_join(t->id, NULL);
        free(t);
    }
    if (s->o.unix_path != NULL)
        unlink(s->o.unix_path);
    pthread_cond_destroy(&s->ended);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void raw_refuse(struct raw_server *s)
{
    shutdown(s->fd, SHUT_RDWR);
}

unsigned raw_port(const struct raw_server *s)
{
    return s->port;
}

unsigned raw_connections(struct raw_server *s)
{
    return atomic_load(&s->connections);
}

void raw_wait_closed(struct raw_server *s, unsigned n)
{
    pthread_mutex_lock(&s->lock);
    while (s->closed < n)
        pthread_cond_wait(&s->ended, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

unsigned raw_requests(struct raw_server *s)
{
    return atomic_load(&s->requests);
}

static long receive(struct raw_conn *c, char *out, size_t n)
{
    return c->ssl != NULL ? SSL_read(c->ssl, out, (int)n) : recv(c->fd, out, n, 0);
}

bool raw_read(struct raw_conn *c)
{
    if (c->request == NULL)
        c->request = malloc(RAW_REQUEST_MAX + 1);
    size_t len = 0, want = 0;
    c->body = NULL;
    while (len < RAW_REQUEST_MAX && (c->body == NULL || len < want)) {
        long n = receive(c, c->request + len, RAW_REQUEST_MAX - len);
        if (n <= 0)
            return false;
        len += (size_t)n;
        c->request[len] = '\0';
        char *end = c->body == NULL ? strstr(c->request, "\r\n\r\n") : NULL;
        if (end == NULL)
            continue;
        c->body = end + 4;
        const char *length = strcasestr(c->request, "\r\nContent-Length:");
        want = (size_t)(c->body - c->request);
        if (length != NULL && length < end)
            want += strtoul(length + sizeof "\r\nContent-Length:" - 1, NULL, 10);
    }
    c->request_len = len;
    atomic_fetch_add(&c->server->requests, 1);
    return true;
}

bool raw_write(struct raw_conn *c, const void *data, size_t n)
{
    for (size_t at = 0; at < n;) {
        long w = c->ssl != NULL ? SSL_write(c->ssl, (const char *)data + at, (int)(n - at))
                                : send(c->fd, (const char *)data + at, n - at, MSG_NOSIGNAL);
        if (w <= 0)
            return false;
        at += (size_t)w;
    }
    return true;
}

bool raw_text(struct raw_conn *c, const char *text)
{
    return raw_write(c, text, strlen(text));
}

bool raw_reply(struct raw_conn *c, const char *body)
{
    char head[128];
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", strlen(body));
    return raw_text(c, head) && raw_text(c, body);
}

void raw_reset(struct raw_conn *c)
{
    struct linger hard = {1, 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

void raw_hold(struct raw_conn *c)
{
    char byte;
    while (receive(c, &byte, 1) > 0)
        ;
}

bool raw_has_header(const struct raw_conn *c, const char *name, const char *value)
{
    char line[512];
    snprintf(line, sizeof line, "\r\n%s: %s\r\n", name, value);
    const char *at = strcasestr(c->request, line);
    return at != NULL && at < c->body;
}
