/* node_http.h - reading HTTP/1.x requests from a growing buffer. Called by node_conn.c. Pure. */
#ifndef RF_SIM_NODE_HTTP_H
#define RF_SIM_NODE_HTTP_H

#include "base/base.h"

/** The most bytes a request's header may have. */
#define RF_HTTP_HEAD_MAX 32768

enum rf_http_state {
    RF_HTTP_HEAD,
    RF_HTTP_BODY,
    RF_HTTP_CHUNK,
    RF_HTTP_CHUNK_DATA,
    RF_HTTP_TRAILER
};
enum rf_http_method { RF_HTTP_POST, RF_HTTP_GET, RF_HTTP_OTHER };

/** A request under way. Zero-initialised begins one. Offsets are from its first byte. */
struct rf_node_http {
    enum rf_http_state state;
    enum rf_http_method method; /* out */
    size_t pos;                 /* out, when whole: bytes it took; before: bytes parsed */
    size_t scanned;             /* bytes searched for the end of the header */
    size_t body_at, body_len;   /* out: the body, chunks joined */
    uint64_t length;            /* Content-Length, or what is left of a chunk */
    size_t path_at, path_len;   /* out: the target's path, without its query */
    bool has_length, chunked;
    bool expect;     /* out: wants 100 Continue, and the body is not here yet */
    bool keep_alive; /* out */
    bool gzip_ok, deflate_ok;
    bool old;         /* out: HTTP/1.0 */
    bool upgrade;     /* out: asks for WebSocket */
    uint8_t key_len;  /* out: of Sec-WebSocket-Key, cut at the room here; 0: there is none */
    char key[31];     /* out: not terminated */
    uint32_t version; /* out: Sec-WebSocket-Version; 0: none */
};

/** What rf_node_http_read() found. */
enum rf_http_found {
    RF_HTTP_MORE = 0,  /* not whole yet */
    RF_HTTP_WHOLE = 1, /* `pos` bytes are one request */
    /* else: the status to refuse it with; the connection cannot go on */
    RF_HTTP_BAD = 400,
    RF_HTTP_TOO_LARGE = 413, /* `length` is the size, where it was announced */
    RF_HTTP_HEAD_TOO_LARGE = 431,
    RF_HTTP_NOT_IMPLEMENTED = 501
};

/**
 * Go on with a request.
 * @param h         zeroed, or as an earlier call left it.
 * @param text      from the request's first byte; chunks are joined in place.
 * @param len       bytes there now.
 * @param body_max  the most body bytes.
 */
enum rf_http_found rf_node_http_read(struct rf_node_http *h, char *text, size_t len,
                                     uint64_t body_max);

/** The text of a status code ("Too Many Requests"); never NULL. */
const char *rf_node_http_reason(unsigned status);

#endif
