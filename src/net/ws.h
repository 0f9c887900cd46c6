/* ws.h - WebSocket connections: libwebsockets on a libuv loop.
 *
 * Called by client only, on the loop thread. It decides nothing: it opens, sends and closes as
 * told, and tells what came. Names are looked up by net/dns off the loop, addresses tried one by
 * one. */
#ifndef RF_NET_WS_H
#define RF_NET_WS_H

#include <uv.h>

#include "base/blob.h"
#include "base/log.h"

struct rf_ws;

enum rf_ws_kind {
    RF_WS_OPENED,
    RF_WS_MESSAGE, /* a whole text or binary message in `blob` */
    RF_WS_LOST,    /* a message over the cap was thrown away; the connection goes on */
    RF_WS_CLOSED   /* the last event of a connection: once for each rf_ws_open() */
};

/** Something that happened on a connection. Borrowed for the call. */
struct rf_ws_event {
    enum rf_ws_kind kind;
    uint64_t session;
    struct rf_blob *blob;    /* MESSAGE: rf_blob_ref() keeps it */
    int status;              /* CLOSED: HTTP status of a refused handshake, or the close code; 0 */
    uint64_t retry_after_ns; /* CLOSED: from the handshake's answer; RF_NEVER: none */
    const char *why;         /* CLOSED, LOST: static words for people */
};

/** Never called inside rf_ws_open(), rf_ws_send(), rf_ws_close() or rf_ws_shutdown(); may call all
 * of them. Thread: loop. */
typedef void (*rf_ws_event_cb)(const struct rf_ws_event *ev, void *arg);

struct rf_ws_options {
    uv_loop_t *loop;
    const struct rpcfan_endpoint_options *const *endpoints; /* outlive it; `ws_url` is used */
    uint32_t n_endpoints;
    rf_ws_event_cb event;
    void *arg;
    const struct rf_log *log; /* outlives it; may be NULL */
};

/**
 * Set up. The lws context is made with the first connection, so that who subscribes to nothing pays
 * nothing.
 * @param err  names the endpoint whose ws_url cannot work.
 * @return 0, RPCFAN_ECONFIG, RPCFAN_ENOMEM or RPCFAN_EIO.
 */
enum rpcfan_err rf_ws_new(const struct rf_ws_options *o, struct rf_ws **out,
                          struct rpcfan_error *err);
/** Whether an endpoint can have WebSockets at all. @param why out, may be NULL: static words why
 * not.
 */
bool rf_ws_has(const struct rf_ws *w, uint32_t endpoint, const char **why);
/** Connect. @param session the caller's name for it, not used before. Events follow on later turns;
 * cannot fail otherwise. */
void rf_ws_open(struct rf_ws *w, uint32_t endpoint, uint64_t session);
/** Queue a text message, also before it is open; copied. Ignored where the session is over. The
 * connection ends where over 4 MiB wait to be sent. */
void rf_ws_send(struct rf_ws *w, uint64_t session, const char *text, size_t len);
/** Close; RF_WS_CLOSED follows. Ignored where the session is over. */
void rf_ws_close(struct rf_ws *w, uint64_t session);
/** Stop or go on reading a connection. After 5 s of pause the connection is closed: a node drops
 * who does not read, and a drop that is known is better. */
void rf_ws_pause(struct rf_ws *w, uint64_t session, bool pause);
/** Close everything; cb when no handle is left, on a later turn. Call once. */
void rf_ws_shutdown(struct rf_ws *w, void (*cb)(void *arg), void *arg);
/** Free; only after that callback. NULL is ignored. */
void rf_ws_free(struct rf_ws *w);

#endif
