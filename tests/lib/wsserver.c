/* wsserver.c - see wsserver.h. */
#include "wsserver.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

bool wss_accept(struct raw_conn *c)
{
    char text[256], answer[64];
    unsigned char hash[SHA_DIGEST_LENGTH];
    if (!raw_read(c))
        return false;
    const char *key = strcasestr(c->request, "\r\nSec-WebSocket-Key: ");
    if (key == NULL)
        return false;
    key += sizeof "\r\nSec-WebSocket-Key: " - 1;
    int n = snprintf(text, sizeof text, "%.*s%s", (int)strcspn(key, "\r"), key, GUID);
    SHA1((unsigned char *)text, (size_t)n, hash);
    EVP_EncodeBlock((unsigned char *)answer, hash, sizeof hash);
    snprintf(text, sizeof text,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\n\r\n",
             answer);
    return raw_text(c, text);
}

bool wss_frame_head(struct raw_conn *c, unsigned head, size_t len)
{
    unsigned char h[10] = {(unsigned char)head};
    size_t n = 2;
    if (len < 126) {
        h[1] = (unsigned char)len;
    } else if (len < 65536) {
        h[1] = 126;
        h[2] = (unsigned char)(len >> 8);
        h[3] = (unsigned char)len;
        n = 4;
    } else {
        h[1] = 127;
        for (int i = 0; i < 8; i++)
            h[2 + i] = (unsigned char)((uint64_t)len >> (56 - 8 * i));
        n = 10;
    }
    return raw_write(c, h, n);
}

bool wss_frame(struct raw_conn *c, unsigned head, const void *data, size_t len)
{
    char joined[127] = {(char)head, (char)len};
    if (len >= 126)
        return wss_frame_head(c, head, len) && raw_write(c, data, len);
    memcpy(joined + 2, data, len);
    return raw_write(c, joined, len + 2);
}

bool wss_text(struct raw_conn *c, const char *text)
{
    return wss_frame(c, WS_TEXT, text, strlen(text));
}

bool wss_close(struct raw_conn *c, unsigned code, const char *reason)
{
    unsigned char p[126] = {(unsigned char)(code >> 8), (unsigned char)code};
    size_t n = strlen(reason);
    memcpy(p + 2, reason, n);
    return wss_frame(c, WS_CLOSE, p, n + 2);
}

static bool get(struct raw_conn *c, unsigned char *out, size_t n)
{
    for (size_t at = 0; at < n;) {
        long r = c->ssl != NULL ? SSL_read(c->ssl, out + at, (int)(n - at))
                                : recv(c->fd, out + at, n - at, 0);
        if (r <= 0)
            return false;
        at += (size_t)r;
    }
    return true;
}

int wss_read(struct raw_conn *c, char *out, size_t cap)
{
    unsigned char h[2], more[8], mask[4], byte;
    if (!get(c, h, 2))
        return -1;
    uint64_t len = h[1] & 0x7f;
    int extra = len == 126 ? 2 : len == 127 ? 8 : 0;
    if (extra > 0) {
        if (!get(c, more, (size_t)extra))
            return -1;
        len = 0;
        for (int i = 0; i < extra; i++)
            len = len << 8 | more[i];
    }
    if ((h[1] & 0x80) == 0 || !get(c, mask, 4)) /* a client has to mask */
        return -1;
    for (uint64_t i = 0; i < len; i++) {
        if (!get(c, &byte, 1))
            return -1;
        if (i + 1 < cap)
            out[i] = (char)(byte ^ mask[i & 3]);
    }
    if (cap > 0)
        out[len < cap ? len : cap - 1] = '\0';
    return h[0];
}

void wss_drain(struct raw_conn *c)
{
    char text[256];
    for (int head; (head = wss_read(c, text, sizeof text)) >= 0;) {
        if (head == WS_CLOSE) {
            wss_frame(c, WS_CLOSE, text, strlen(text) >= 2 ? 2 : 0);
            return;
        }
    }
}
