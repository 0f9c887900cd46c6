/* wsclient.c - the blocking WebSocket client of the tests. */
#include "wsclient.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

#define WAIT_MS 10000
/* The key and its answer of RFC 6455 1.3. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

static void send_all(struct wsc *w, const void *data, size_t len)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = send(w->fd, p, len, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* the next read tells */
        p += n;
        len -= (size_t)n;
    }
}

/* More bytes. @return 0 or how it ended. */
static int more(struct wsc *w)
{
    struct pollfd p = {.fd = w->fd, .events = POLLIN};
    if (w->at > 0 && w->at == w->in.len)
        w->at = w->in.len = 0;
    if (poll(&p, 1, WAIT_MS) != 1)
        return WSC_TIMEOUT;
    if (!rf_buf_reserve(&w->in, 65536))
        abort();
    ssize_t n = recv(w->fd, w->in.data + w->in.len, 65536, 0);
    if (n <= 0)
        return n == 0 ? WSC_EOF : WSC_RESET;
    w->in.len += (size_t)n;
    return 0;
}

bool wsc_open_raw(struct wsc *w, unsigned port, const char *request)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *w = (struct wsc){0};
    w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (w->fd < 0 || connect(w->fd, (struct sockaddr *)&a, sizeof a) != 0)
        return false;
    int yes = 1; /* a second message does not wait for the first one's acknowledgement */
    setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    send_all(w, request, strlen(request));
    const char *end = NULL;
    while (end == NULL) {
        if (more(w) != 0)
            return false;
        end = memmem(w->in.data, w->in.len, "\r\n\r\n", 4);
    }
    w->at = (size_t)(end - w->in.data) + 4;
    rf_buf_add(&w->head, w->in.data, w->at);
    rf_buf_char(&w->head, '\0');
    sscanf(w->head.data, "HTTP/1.1 %d", &w->status);
    return w->status == 101 && strstr(w->head.data, ACCEPT) != NULL;
}

bool wsc_open(struct wsc *w, unsigned port, const char *path, const char *extra)
{
    char request[1024];
    snprintf(request, sizeof request,
             "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
             "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: " KEY
             "\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
             path, extra);
    return wsc_open_raw(w, port, request);
}

void wsc_close(struct wsc *w)
{
    if (w->fd >= 0)
        close(w->fd);
    rf_buf_fini(&w->head);
    rf_buf_fini(&w->in);
    rf_buf_fini(&w->text);
    w->fd = -1;
}

void wsc_send(struct wsc *w, unsigned first, bool masked, const void *data, size_t len)
{
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    struct rf_buf b = {0};
    rf_buf_char(&b, (char)first);
    unsigned more_bytes = len < 126 ? 0 : len < 65536 ? 2 : 8;
    rf_buf_char(&b, (char)((masked ? 0x80u : 0u) | (more_bytes == 0   ? (unsigned)len
                                                    : more_bytes == 2 ? 126u
                                                                      : 127u)));
    for (unsigned i = more_bytes; i > 0; i--)
        rf_buf_char(&b, (char)(len >> 8 * (i - 1)));
    if (masked)
        rf_buf_add(&b, mask, 4);
    for (size_t i = 0; i < len; i++)
        rf_buf_char(&b, (char)(((const unsigned char *)data)[i] ^ (masked ? mask[i % 4] : 0)));
    send_all(w, b.data, b.len);
    rf_buf_fini(&b);
}

void wsc_say(struct wsc *w, const char *text)
{
    wsc_send(w, 0x81, true, text, strlen(text));
}

static int need(struct wsc *w, size_t n)
{
    while (w->in.len - w->at < n) {
        int rc = more(w);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int wsc_frame(struct wsc *w, struct wsc_frame *f)
{
    int rc = need(w, 2);
    if (rc != 0)
        return rc;
    unsigned char first = (unsigned char)w->in.data[w->at];
    unsigned char second = (unsigned char)w->in.data[w->at + 1];
    uint64_t len = second & 127u;
    size_t head = len == 127 ? 10 : len == 126 ? 4 : 2;
    rc = need(w, head);
    if (rc != 0)
        return rc;
    if (head > 2)
        len = 0;
    for (size_t i = 2; i < head; i++)
        len = len << 8 | (unsigned char)w->in.data[w->at + i];
    f->fin = (first & 0x80) != 0;
    f->rsv = first >> 4 & 7u;
    f->opcode = first & 15u;
    f->masked = (second & 0x80) != 0;
    f->len = (size_t)len;
    f->data = NULL;
    head += f->masked ? 4 : 0;
    rc = len > UINT32_MAX ? 0 : need(w, head + f->len);
    if (rc != 0)
        return rc;
    f->data = w->in.data + w->at + head;
    w->at += len > UINT32_MAX ? head : head + f->len;
    return 0;
}

const char *wsc_text(struct wsc *w)
{
    struct wsc_frame f;
    w->text.len = 0;
    while (wsc_frame(w, &f) == 0 && f.opcode != WSC_CLOSE) {
        if (f.opcode == WSC_PING) {
            w->pings++;
            wsc_send(w, 0x80 | WSC_PONG, true, f.data, f.len);
        }
        if (f.opcode > WSC_BINARY)
            continue;
        rf_buf_add(&w->text, f.data, f.len);
        if (!f.fin)
            continue;
        rf_buf_char(&w->text, '\0');
        w->text.len--;
        return w->text.data;
    }
    return NULL;
}

const char *wsc_call(struct wsc *w, const char *text)
{
    wsc_say(w, text);
    return wsc_text(w);
}

bool wsc_silent(struct wsc *w, int ms)
{
    struct pollfd p = {.fd = w->fd, .events = POLLIN};
    return w->at == w->in.len && poll(&p, 1, ms) == 0;
}
