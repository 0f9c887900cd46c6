/* ws_int.h - what the files of the WebSocket shell share: the shell, its endpoints and connections.
 * Included by net/ws*.c and their tests only.
 *
 *   ws.c        lifecycle; a connection's way from open to closed; timers
 *   ws_lws.c    libwebsockets: its context, dialing, its callback, letting go
 *   ws_msg.c    messages: reassembly, the queue of what is to be sent, close codes
 *   ws_ep.c     endpoints: URL, headers, proxy
 *   ws_tls.c    TLS contexts */
#ifndef RF_NET_WS_INT_H
#define RF_NET_WS_INT_H

#include <libwebsockets.h>
#include <netinet/in.h>

#include "base/buf.h"
#include "base/heap.h"
#include "base/list.h"
#include "net/dns.h"
#include "net/jwt.h"
#include "net/proxy.h"
#include "net/ws.h"

/* What libwebsockets reads at a time, and hands on at a time. At least a whole TLS record (16,384):
 * 4.1.6 reads on while OpenSSL has something left, even where flow control says stop, and would
 * never come out of that loop. */
#define RF_WS_BUFFER (32 * 1024)
_Static_assert(RF_WS_BUFFER >= 16384, "pausing over TLS would freeze the loop");
/* A message's first allocation at most: a frame's length is the server's word, not yet its bytes.
 */
#define RF_WS_FIRST_ALLOC (4u * 1024 * 1024)
#define RF_WS_QUEUE_MAX (4u * 1024 * 1024) /* bytes waiting to be sent on a connection */
#define RF_WS_SPARE_MAX (64u * 1024)       /* a blob that nobody kept is used again up to here */
#define RF_WS_FDS 1024u     /* connections of a shell that libwebsockets has room for */
#define RF_WS_HEADERS 16384 /* bytes of an answer's head; libwebsockets ends what has more */
#define RF_WS_HOST_MAX 110  /* libwebsockets cuts the Host header at 128 with its name */
#define RF_WS_PATH_MAX 2000 /* and the request line at 2,048 */
#define RF_WS_PAUSE_NS (5 * RF_SEC)
#define RF_WS_GRACE_NS (1 * RF_SEC)  /* for the peer's answer to our close frame */
#define RF_WS_HURRY_NS (200 * RF_MS) /* the same at shutdown */
#define RF_WS_ADDRESS 64             /* an address as text */
#define RF_WS_PINGS 2                /* unanswered: the connection is dead */
#define RF_WS_PROTOCOL "rpcfan"

enum rf_ws_state {
    RF_WS_S_NEW,     /* its turn has not come */
    RF_WS_S_NAME,    /* its name is looked up */
    RF_WS_S_DIAL,    /* one address is being connected to, or the next one's turn has not come */
    RF_WS_S_SHAKE,   /* connected: proxy, TLS and upgrade */
    RF_WS_S_OPEN,    /* messages go */
    RF_WS_S_CLOSING, /* it is to end; libwebsockets still has it */
    RF_WS_S_OVER     /* libwebsockets has let go: CLOSED is told on the next turn */
};

/** What is constant about an endpoint, worked out once. */
struct rf_ws_ep {
    const struct rpcfan_endpoint_options *o;
    const char *none; /* why there is no WebSocket; NULL: there is */
    bool tls, numeric;
    char *host; /* without brackets */
    uint16_t port;
    char *host_header; /* with port where it is not the scheme's */
    char *path;        /* with query: holds keys, never shown */
    struct rf_buf headers;
    bool has_jwt;
    unsigned char jwt_secret[RF_JWT_SECRET];
    char *proxy_auth; /* "", "user:password@"; NULL: no proxy */
    char *dial_host;  /* the proxy's or the node's own */
    uint16_t dial_port;
    struct rf_dns_name *dns;  /* of dial_host; NULL: it is an address */
    char good[RF_WS_ADDRESS]; /* the address that worked last; "": none yet */
    SSL_CTX *ssl;             /* made with the first connection */
    struct lws_vhost *vhost;  /* the same; libwebsockets owns it */
};

/** A text that waits to be sent. */
struct rf_ws_text {
    struct rf_link link;
    size_t len;
    unsigned char data[]; /* LWS_PRE bytes of room, then the text */
};

/** A connection, from rf_ws_open() to RF_WS_CLOSED. */
struct rf_ws_conn {
    struct rf_link link; /* rf_ws.conns */
    struct rf_link todo; /* rf_ws.todo: something is to be done on the next turn */
    struct rf_heap_node due;
    struct rf_dns_waiter waiter;
    struct rf_ws *w;
    struct rf_ws_ep *ep;
    uint64_t session;
    enum rf_ws_state state;
    struct lws *wsi; /* NULL where libwebsockets has nothing; never touched after WSI_DESTROY */
    char *addresses; /* of the name, as rf_dns tells them */
    char *next;      /* in `addresses`: the next to try; NULL: no other */
    char address[RF_WS_ADDRESS];
    uint64_t deadline_ns; /* of all that comes before OPEN */
    const char *why;      /* why it ends; the first reason holds */
    int status;
    uint64_t retry_after_ns;
    bool dialing;   /* libwebsockets has been asked to connect and has not let go */
    bool dial_late; /* an address did not answer in time */
    bool asked;     /* the upgrade request is made */
    bool kill;      /* to be cut on the next turn */
    bool lost;      /* the rest of this message is thrown away */
    bool want_ping;
    bool farewell;   /* our close frame is to be sent on the next turn */
    bool close_sent; /* or has been */
    bool paused;
    unsigned unanswered; /* pings */
    uint64_t heard_ms;   /* loop time of the last bytes from the peer */
    uint64_t pinged_ms;  /* loop time of the last ping */
    uint64_t paused_ns;
    struct rf_blob *blob; /* a message in parts */
    struct rf_link texts;
    size_t queued; /* bytes in `texts` */
};

struct rf_ws {
    struct rf_ws_options o;
    struct rf_ws_ep *ep;
    struct rf_dns dns;
    uv_timer_t timer; /* of the earliest in `due` */
    uv_idle_t soon;   /* active while something is to be done on the next turn */
    struct rf_heap due;
    struct rf_link conns;
    struct rf_link todo;
    uint64_t *stillborn; /* sessions for which there was no memory */
    size_t n_stillborn, max_stillborn;
    struct lws_context *ctx; /* NULL: not made yet, or gone */
    bool muted;              /* libwebsockets' log is off on our behalf */
    bool ctx_ending;
    const char *serv_buf; /* libwebsockets' own read buffer, RF_WS_BUFFER bytes */
    struct rf_blob *spare;
    bool inside;              /* the caller is in one of our functions */
    bool closing, dns_closed; /* shutdown */
    bool handles_closing;
    unsigned handles;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* ws.c, called by the other files */

/** The one place where a connection's state changes. Asserts that the edge is legal; logs it. */
void rf_ws_set_state(struct rf_ws_conn *c, enum rf_ws_state state);
/** A state's name, for logs. Never NULL. */
const char *rf_ws_state_name(enum rf_ws_state state);
/** A connection that is not over, or NULL. */
struct rf_ws_conn *rf_ws_find(struct rf_ws *w, uint64_t session);
/** Say why a connection ends, where nobody has yet. @param why static words. */
void rf_ws_blame(struct rf_ws_conn *c, const char *why);
/** Do something about a connection on the next turn of the loop. */
void rf_ws_soon(struct rf_ws_conn *c);
/** When a connection is to be looked at again; RF_NEVER: not. */
void rf_ws_set_due(struct rf_ws_conn *c, uint64_t at_ns);
/** The address answered. */
void rf_ws_connected(struct rf_ws_conn *c);
/** The upgrade is done. */
void rf_ws_established(struct rf_ws_conn *c);
/** An open connection is to end: close frame first, then at most `grace_ns` of waiting; 0: it is
 * cut on the next turn. */
void rf_ws_end(struct rf_ws_conn *c, const char *why, uint64_t grace_ns);
/** libwebsockets has let go of a connection: the next address, or over. */
void rf_ws_gone(struct rf_ws_conn *c);
/** Tell the caller. Not in one of his own calls. */
void rf_ws_tell(struct rf_ws_conn *c, enum rf_ws_kind kind, struct rf_blob *blob, const char *why);

/* ws_lws.c */

/** Let libwebsockets connect to c->address. On failure rf_ws_gone() was called. May run callbacks:
 * only from a turn of the loop. */
void rf_ws_dial(struct rf_ws_conn *c);
/** Send a close frame and have libwebsockets wait for the answer. Only outside of its callbacks:
 * told to close inside one, 4.1.6 as Debian builds it closes twice, and so before the frame has
 * gone. */
void rf_ws_farewell(struct rf_ws_conn *c);
/** Cut a connection at once. Only outside of libwebsockets' callbacks. */
void rf_ws_kill(struct rf_ws_conn *c);
/** libwebsockets looks at its timers and polls again: after each call that was made to it outside
 * its own callbacks. */
void rf_ws_wake(struct rf_ws *w);
/** Take the context down, a step a turn. @return true when nothing of it is left. */
bool rf_ws_context_end(struct rf_ws *w);

/* ws_msg.c */

/** A part of a message. */
void rf_ws_part(struct rf_ws_conn *c, const void *data, size_t len);
/** Write one thing: a ping or a text, or have the close frame sent. @return as a libwebsockets
 * callback. */
int rf_ws_write(struct rf_ws_conn *c);
/** The peer's close frame: status and words. @param in code and reason, as libwebsockets has
 * them. */
void rf_ws_peer_closes(struct rf_ws_conn *c, const unsigned char *in, size_t len);
/** Free what is queued. */
void rf_ws_drop_texts(struct rf_ws_conn *c);

/* ws_ep.c */

/** Work out an endpoint's constants. @return 0, RPCFAN_ECONFIG or RPCFAN_ENOMEM, named in `err`. */
enum rpcfan_err rf_ws_ep_init(struct rf_ws *w, struct rf_ws_ep *ep, uint32_t index,
                              struct rpcfan_error *err);
/** Free an endpoint; zeroed is valid. */
void rf_ws_ep_fini(struct rf_ws_ep *ep);
/** Append the endpoint's headers to an upgrade request. @param p in and out: where. @return false:
 * no room, or no token. */
bool rf_ws_ep_headers(struct rf_ws_ep *ep, unsigned char **p, size_t room);
/** The first or next address of a list "ip,ip,[ip6]". @param out without brackets. @return what
 * follows; NULL: that was the last. */
char *rf_ws_next_address(char *list, char out[RF_WS_ADDRESS]);
/** Move an address to the front of such a list, where it is in it. */
void rf_ws_prefer(char *list, const char *address);

/* ws_tls.c */

/** The endpoint's TLS context: trust, names and a guard against SIGPIPE are ours, not
 * libwebsockets'. @return false, with the reason in *why. */
bool rf_ws_tls_init(struct rf_ws_ep *ep, const char **why);

#endif
