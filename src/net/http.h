/* http.h - exchanges over HTTP: a libcurl multi handle on a libuv loop.
 *
 * Called by client only, on the loop thread. It decides nothing: it sends what it is given and
 * hands each exchange back exactly once with the reply filled in. */
#ifndef RF_NET_HTTP_H
#define RF_NET_HTTP_H

#include <uv.h>

#include "base/log.h"
#include "core/call.h"

struct rf_http;

/** Told that a reply is in `ex->reply`, once for each send. Never called inside rf_http_send(),
 * rf_http_abort(), rf_http_kick() or rf_http_close(); may call all of them. Thread: loop. */
typedef void (*rf_http_done_cb)(struct rf_exchange *ex, void *arg);

/** Told each element of the answer of a streamed exchange, in order. Called in the poll phase of
 * the loop and inside rf_http_resume() and rf_http_kick(); must not call this room. Thread: loop.
 * @param element  borrowed for the call. @return false: no further ones before rf_http_resume(). */
typedef bool (*rf_http_element_cb)(struct rf_exchange *ex, const struct rpcfan_element *element,
                                   void *arg);

/** What rf_http_new() needs. */
struct rf_http_options {
    uv_loop_t *loop;
    const struct rpcfan_endpoint_options *const *endpoints; /* by rf_exchange.endpoint; outlive */
    uint32_t n_endpoints;
    uint32_t in_flight; /* over all endpoints, for connection caps */
    rf_http_done_cb done;
    rf_http_element_cb element; /* NULL: nobody listens */
    void *arg;
    const struct rf_log *log; /* outlives it; may be NULL */
};

/**
 * Set up; calls curl_global_init() (counted).
 * @param err  names the endpoint where one cannot work (bad URL, bad JWT secret, unreadable
 * cacert).
 * @return 0, RPCFAN_ECONFIG, RPCFAN_ENOMEM or RPCFAN_EIO.
 */
enum rpcfan_err rf_http_new(const struct rf_http_options *o, struct rf_http **out,
                            struct rpcfan_error *err);

/** Start an exchange. Its body must stay unchanged until it is handed back. Cannot fail: a failure
 * to start comes back as a reply on a later turn. `ex->link` is not touched; `ex->net` is in use
 * until then. What was in `ex->reply` is dropped (its blob released). Thread: loop. */
void rf_http_send(struct rf_http *h, struct rf_exchange *ex);

/** End an exchange early: it comes back with RF_T_ABORTED on a later turn, or with its reply
 * where that was there already. No effect on one that has been handed back. Thread: loop. */
void rf_http_abort(struct rf_http *h, struct rf_exchange *ex);

/** Go on with a streamed exchange that its element callback stopped; may call that. No effect on
 * others. Not inside done or element. Thread: loop. */
void rf_http_resume(struct rf_http *h, struct rf_exchange *ex);

/** Let libcurl start on what rf_http_send() gave it. Call once at the end of a loop turn;
 * without it the next turn does the same. Cheap where nothing was sent; never calls done.
 * Thread: loop. */
void rf_http_kick(struct rf_http *h);

/** Close: aborts what runs (handed back first), then closes every handle; cb when nothing is
 * left, on a later turn. A name lookup that the system has begun is waited for. Call once.
 * Thread: loop. */
void rf_http_close(struct rf_http *h, void (*cb)(void *arg), void *arg);

/** Free; only after the close callback. NULL is ignored. */
void rf_http_free(struct rf_http *h);

#endif
