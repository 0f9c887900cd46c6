/* http_int.h - what the files of the HTTP shell share: the handle, its endpoints, transfers and
 * sockets. Included by net/http*.c and their tests only.
 *
 *   http.c        lifecycle; a transfer's way from send to done
 *   http_multi.c  libcurl's sockets and timer on the loop
 *   http_easy.c   endpoints: header lists, tokens, proxies, and the pool of easy handles
 *   http_stream.c answers that are handed out while they arrive */
#ifndef RF_NET_HTTP_INT_H
#define RF_NET_HTTP_INT_H

#include <curl/curl.h>

#include "net/dns.h"
#include "net/http.h"
#include "net/jwt.h"
#include "net/proxy.h"

/* Bytes that libcurl reads at a time. Below malloc's mmap threshold, as it is allocated anew for
 * each transfer. */
#define RF_HTTP_BUFFER (64 * 1024L)
#define RF_HTTP_LIFETIME_S 300L   /* of a connection, so that changes of the DNS are followed */
#define RF_HTTP_CONNECTIONS 4096u /* idle ones kept at most */
/* A body's first allocation at most: Content-Length is the server's word, not yet its bytes. */
#define RF_HTTP_FIRST_ALLOC (4u * 1024 * 1024)

/** A list that transfers may still use when a newer one has taken its place: counted. */
struct rf_slist {
    unsigned refs;
    struct curl_slist *list;
};

/** What is constant about an endpoint, worked out once. */
struct rf_http_ep {
    const struct rpcfan_endpoint_options *o;
    struct rf_link pool; /* idle transfers, the latest used first */
    struct rf_slist *headers;
    struct rf_slist *resolve;    /* for CURLOPT_RESOLVE; NULL while nothing is known */
    uint32_t resolve_generation; /* of the addresses in it */
    struct rf_dns_name *dns;     /* NULL: no name has to be looked up */
    char *dns_host;              /* as libcurl writes it */
    uint16_t dns_port;
    struct rf_proxy proxy;
    bool https, has_jwt;
    unsigned char jwt_secret[RF_JWT_SECRET];
    int64_t jwt_made_s;
};

enum rf_xfer_state {
    RF_XFER_IDLE,    /* in its endpoint's pool */
    RF_XFER_NAME,    /* waits for a name */
    RF_XFER_RUNNING, /* in the multi handle */
    RF_XFER_READY    /* its reply waits to be handed back */
};

/** An easy handle with its constant options, and the exchange it carries now. */
struct rf_xfer {
    struct rf_link link; /* pool, names, running or ready */
    enum rf_xfer_state state;
    struct rf_http *h;
    struct rf_http_ep *ep;
    CURL *easy;
    struct rf_exchange *ex;
    struct rf_slist *headers; /* set on the easy handle: a reference each */
    struct rf_slist *resolve;
    bool fresh;                  /* FRESH_CONNECT as set on the easy handle */
    bool streaming;              /* it is set up for a streamed answer */
    long timeout_ms, connect_ms; /* as set on the easy handle */
    struct rf_dns_waiter waiter;
    uint64_t begun_ns; /* when its wait for a name began */
    /* from here on: of the exchange, cleared at send */
    struct rf_stream *stream; /* owned until its reply is ready; NULL: not streamed */
    unsigned sends;           /* requests begun: more than one is libcurl's replay */
    int socket_errno;         /* no socket could be made */
    bool capped, no_memory;
    bool hinted; /* a header about the rate arrived */
};

/** A socket of libcurl's with its poll handle. See http_multi.c for its life. */
struct rf_sock {
    uv_poll_t poll;
    struct rf_http *h;
    curl_socket_t fd;
    int events;      /* polled for, as UV_READABLE | UV_WRITABLE */
    int wanted;      /* what libcurl last asked for */
    unsigned errors; /* reported in a row */
    bool ours;       /* made by open_socket(): stays while the connection idles */
    bool idle;       /* libcurl does not watch it now */
};

struct rf_http {
    struct rf_http_options o;
    CURLM *multi;
    uv_timer_t timer;
    uv_idle_t soon;     /* active while something is to be done on the next turn */
    uv_timer_t silence; /* when the next streamed transfer could have been silent for too long */
    struct rf_dns dns;
    struct rf_http_ep *ep;
    struct rf_sock **sock; /* by descriptor */
    size_t n_sock;
    struct rf_link waiting;        /* transfers in RF_XFER_NAME */
    struct rf_link running;        /* transfers in RF_XFER_RUNNING */
    struct rf_link ready;          /* transfers in RF_XFER_READY */
    struct rf_link streams;        /* rf_stream.link of those in RF_XFER_RUNNING */
    struct rf_exchange *stillborn; /* without a transfer, chained by rf_exchange.net */
    uint32_t handles;              /* uv handles not yet closed */
    bool run_now;                  /* libcurl asked for a run without delay */
    bool closing, dns_closed;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* http_multi.c */

/** Make the multi handle and its loop handles. @return 0, RPCFAN_ENOMEM or RPCFAN_EIO. */
enum rpcfan_err rf_multi_init(struct rf_http *h);
/** Let libcurl do what is due. Not inside a libcurl callback. */
void rf_multi_run(struct rf_http *h);
/** See to it that rf_http_turn() is called on the next turn of the loop. */
void rf_multi_soon(struct rf_http *h);
/** Clean the multi handle up and close all loop handles; calls rf_http_handle_closed() for each. */
void rf_multi_close(struct rf_http *h);
/** CURLOPT_OPENSOCKETFUNCTION; `arg` is the rf_xfer. */
curl_socket_t rf_multi_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *addr);
/** CURLOPT_CLOSESOCKETFUNCTION; `arg` is the rf_http, as connections outlive transfers. */
int rf_multi_close_socket(void *arg, curl_socket_t fd);

/* http_stream.c */

/** Set up for a transfer that is to be streamed. @return false: out of memory. */
bool rf_stream_begin(struct rf_xfer *xf);
/** libcurl has the transfer: its silence is measured from now on. */
void rf_stream_start(struct rf_xfer *xf);
/** Something came. */
void rf_stream_heard(struct rf_xfer *xf);
/** What rf_xfer_write() does with a piece. @return as CURLOPT_WRITEFUNCTION. */
size_t rf_stream_write(struct rf_xfer *xf, const char *data, size_t n);
/** The body is whole: put what surrounds the elements into the reply. @param bad  out: it was no
 * JSON before its end came. @return 0 or RPCFAN_ENOMEM. */
enum rpcfan_err rf_stream_finish(struct rf_xfer *xf, bool *bad);
/** Free; no effect on a transfer that is not streamed. */
void rf_stream_end(struct rf_xfer *xf);

/* http.c, called by http_multi.c and http_stream.c */

/** Take what libcurl has finished, and hand it back where `deliver` is set. */
void rf_http_collect(struct rf_http *h, bool deliver);
/** The next turn has come: run what is due and hand back what is ready. */
void rf_http_turn(struct rf_http *h);
/** End a transfer that libcurl has, with its result or for a reason of ours; it is handed back with
 * the next rf_http_collect(). */
void rf_xfer_end(struct rf_xfer *xf, CURLcode code);
/** The transfer that carries an exchange; NULL: none does. */
struct rf_xfer *rf_http_xfer(const struct rf_http *h, const struct rf_exchange *ex);
/** A loop handle is closed. */
void rf_http_handle_closed(struct rf_http *h);

/* http_easy.c */

/** Work out an endpoint's constants. @return 0, RPCFAN_ECONFIG or RPCFAN_ENOMEM, named in `err`. */
enum rpcfan_err rf_ep_init(struct rf_http *h, struct rf_http_ep *ep, uint32_t index,
                           struct rpcfan_error *err);
/** Free an endpoint with its pool; no transfer may be out. Zeroed is valid. */
void rf_ep_fini(struct rf_http_ep *ep);
/** A transfer from the pool, or a new one. @return NULL: out of memory. */
struct rf_xfer *rf_ep_take(struct rf_http *h, struct rf_http_ep *ep);
/** Put a transfer back. */
void rf_ep_give(struct rf_xfer *xf);
/** Set what differs from the transfer's last exchange. @return false: out of memory. */
bool rf_xfer_prepare(struct rf_xfer *xf, long timeout_ms, long connect_ms);
/** Take over addresses for CURLOPT_RESOLVE. @return false: out of memory. */
bool rf_ep_resolve(struct rf_http_ep *ep, const char *addresses, uint32_t generation);
/** One owner less of a list. NULL is ignored. */
void rf_slist_unref(struct rf_slist *s);

/** CURLOPT_WRITEFUNCTION; in http.c. */
size_t rf_xfer_write(char *data, size_t size, size_t n, void *arg);
/** CURLOPT_HEADERFUNCTION; in http.c. */
size_t rf_xfer_header(char *line, size_t size, size_t n, void *arg);

#endif
