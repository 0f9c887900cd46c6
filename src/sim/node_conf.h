/* node_conf.h - the fake node's behaviour as script text says it: latency, limits, refusals,
 * faults.
 *
 * A script is lines of `DIRECTIVE WORD... key=value...`; rpcfan-sim(1) describes each. The structs
 * hold the rules and their running state (what a limit has taken, how often a fault fired), so a
 * new script starts afresh. Read by node_rpc.c and its neighbours. Thread: the node's. */
#ifndef RF_SIM_NODE_CONF_H
#define RF_SIM_NODE_CONF_H

#include "base/rng.h"
#include "sim/node_methods.h"
#include "sim/node_words.h"

/** What a text of an HTTP error can be. */
enum rf_node_body { RF_BODY_JSON, RF_BODY_TEXT, RF_BODY_HTML, RF_BODY_EMPTY };

/** How Retry-After is said. */
enum rf_node_retry { RF_RETRY_NONE, RF_RETRY_SECONDS, RF_RETRY_DATE };

/** In which words the state of a limit is told. */
enum rf_node_headers {
    RF_HEADERS_NONE,
    RF_HEADERS_X,       /* x-ratelimit-limit, -remaining, -reset in seconds from now */
    RF_HEADERS_X_EPOCH, /* the same, reset as seconds since 1970 */
    RF_HEADERS_FIELDS,  /* RateLimit-Limit, -Remaining, -Reset */
    RF_HEADERS_LIST     /* RateLimit-Policy and RateLimit */
};

/** What a refused request is told. */
struct rf_node_refusal {
    enum { RF_REFUSE_HTTP, RF_REFUSE_OK, RF_REFUSE_MEMBERS } how;
    unsigned status; /* with RF_REFUSE_HTTP */
    enum rf_node_body body;
    int64_t code;
    char *message, *data; /* owned; data is raw JSON or NULL */
    enum rf_node_retry retry;
    uint64_t retry_s;             /* fixed seconds; UINT64_MAX: what the limit says */
    enum rf_node_headers headers; /* on every answer */
};

/** A rate limit as a server enforces it; see node_limit.h. */
struct rf_node_limit {
    enum { RF_LIMIT_FIXED, RF_LIMIT_SLIDING, RF_LIMIT_BUCKET } kind;
    uint64_t count, window_ns;
    uint64_t plus;       /* units that a batch costs beside its members */
    bool by_request;     /* charge 1 a request, whatever is in it */
    bool charge_refused; /* refused calls use up quota too */
    char *method, *path; /* owned patterns; NULL: all */
    /* when it is in force; at other times it counts and refuses nothing */
    uint64_t from_ns, to_ns; /* since the script began */
    uint64_t first, last;    /* of the requests that it takes in, from 1 */
    struct rf_node_refusal refusal;
    /* state */
    uint64_t matched;        /* requests that it took in */
    uint64_t used, start_ns; /* fixed: units in the window that began then */
    uint64_t head, n;        /* sliding: ring of `count` admission times */
    uint64_t *stamp;         /* owned */
    double tokens;           /* bucket */
    uint64_t filled_ns;
};

/** Delay before an answer. */
struct rf_node_latency {
    enum { RF_LATENCY_FIXED, RF_LATENCY_UNIFORM, RF_LATENCY_EXP } kind;
    uint64_t a_ns, b_ns; /* fixed: a; uniform: a to b; exp: mean a */
    uint64_t each_ns;    /* more for each member */
    uint64_t chance;     /* of 2^53: how often the line holds */
    char *method, *path; /* owned patterns; NULL: all */
};

/** Workers that serve one request at a time each, first come, first served. */
struct rf_node_pool {
    unsigned n;
    char *method; /* owned pattern; NULL: all */
    /* state */
    uint64_t *free_ns; /* owned; when each worker will be free */
};

/** A cap on members of a batch, and which provider's way of saying no. */
struct rf_node_batch {
    uint64_t max;
    unsigned shape; /* index into the table of node_refuse.c */
    char *method;   /* only members of these methods are counted; NULL: all */
};

/** Names of the shapes of a batch refusal, ended by NULL (node_refuse.c). */
extern const char *const rf_node_batch_shapes[];

/** The place in the making of an answer where a fault works; at most one of each layer is applied.
 */
enum rf_node_layer {
    RF_LAYER_LISTEN,              /* no listener */
    RF_LAYER_ACCEPT,              /* right after accept */
    RF_LAYER_ANSWER,              /* instead of executing */
    RF_LAYER_SHAPE,               /* members and ids of the answer */
    RF_LAYER_FORM,                /* the answer's text */
    RF_LAYER_CODING,              /* compression */
    RF_LAYER_FRAME,               /* how the end of the body is told */
    RF_LAYER_HEAD,                /* around the header */
    RF_LAYER_WIRE,                /* what becomes of the bytes */
    RF_LAYERS,                    /* of HTTP answers; what follows is of WebSocket connections */
    RF_LAYER_WS_OPEN = RF_LAYERS, /* the handshake */
    RF_LAYER_WS_LIFE,             /* drawn at the handshake, for the whole connection */
    RF_LAYER_WS_MESSAGE           /* drawn for each message that goes out */
};

enum rf_node_fault_kind {
    RF_FAULT_REFUSE,
    RF_FAULT_ACCEPT_RESET,
    RF_FAULT_HTTP_ERROR,
    RF_FAULT_HTML,
    RF_FAULT_RPC_ERROR,
    RF_FAULT_NULL,
    RF_FAULT_IDS,
    RF_FAULT_SHUFFLE,
    RF_FAULT_MISSING,
    RF_FAULT_DUPLICATE,
    RF_FAULT_EXTRA,
    RF_FAULT_OBJECT,
    RF_FAULT_ARRAY,
    RF_FAULT_EMPTY_ARRAY,
    RF_FAULT_INVALID_JSON,
    RF_FAULT_INVALID_UTF8,
    RF_FAULT_BOM,
    RF_FAULT_PRETTY,
    RF_FAULT_EMPTY,
    RF_FAULT_GZIP,
    RF_FAULT_DEFLATE,
    RF_FAULT_CHUNKED,
    RF_FAULT_UNTIL_CLOSE,
    RF_FAULT_EARLY,
    RF_FAULT_HUGE_HEADERS,
    RF_FAULT_RESET,
    RF_FAULT_CLOSE,
    RF_FAULT_TRUNCATE,
    RF_FAULT_HANG,
    RF_FAULT_DRIP,
    RF_FAULT_ENDLESS,
    RF_FAULT_WS_REFUSE,
    RF_FAULT_WS_HANG,
    RF_FAULT_WS_BAD_ACCEPT,
    RF_FAULT_WS_CLOSE,
    RF_FAULT_WS_STALL,
    RF_FAULT_WS_IDLE,
    RF_FAULT_WS_DRIP,
    RF_FAULT_WS_DROP,
    RF_FAULT_WS_DUPLICATE,
    RF_FAULT_WS_REORDER,
    RF_FAULT_WS_LATE_REPLY,
    RF_FAULT_WS_FRAGMENT,
    RF_FAULT_WS_CUT,
    RF_FAULT_WS_BAD_FRAME,
    RF_FAULT_WS_BAD_JSON,
    RF_FAULT_KINDS
};

/** What stands in the place of ids. */
enum rf_node_ids { RF_IDS_WRONG, RF_IDS_STRING, RF_IDS_NULL, RF_IDS_FLOAT, RF_IDS_NONE };

/** How a WebSocket connection ends. */
enum rf_node_ws_end {
    RF_WS_END_NONE,
    RF_WS_END_FRAME, /* with a close frame */
    RF_WS_END_FIN,   /* without one */
    RF_WS_END_RESET
};

/** What a WebSocket fault takes besides `when`. */
struct rf_node_ws_words {
    uint64_t after[2]; /* messages that went out before it strikes: drawn from A..B */
    uint64_t in_ns[2]; /* or time since the handshake; RF_NEVER: after= alone counts */
    uint64_t for_ns;   /* ws-stall: how long */
    unsigned code;     /* of the close frame; 0: a frame without a code */
    enum rf_node_ws_end how;
    bool pongs;   /* ws-stall: pings are answered */
    bool pings;   /* ws-fragment: a ping between the pieces */
    unsigned bad; /* ws-bad-frame: an rf_ws_bad */
};

/** One `fault` line: what, when, and how often so far. */
struct rf_node_fault {
    enum rf_node_fault_kind kind;
    /* when: requests are numbered from 1, of those that `method` and `only` let through */
    uint64_t chance; /* of 2^53 */
    uint64_t every, first, last, times;
    uint64_t from_ns, to_ns; /* since the script began */
    char *method, *path;     /* owned patterns; NULL: all */
    enum { RF_ONLY_ANY, RF_ONLY_SINGLE, RF_ONLY_BATCH } only;
    /* what */
    uint64_t after, bytes, n, every_ns;
    unsigned status;
    enum rf_node_body body;
    enum rf_node_ids ids;
    bool force;
    struct rf_node_refusal say; /* http-error, rpc-error and ws-refuse: texts and Retry-After */
    struct rf_node_ws_words ws;
    /* state */
    uint64_t matched, fired;
    struct rf_rng rng;
};

/** A canned result. */
struct rf_node_canned {
    char *method, *result; /* owned; a pattern, raw JSON */
};

/** The `ws` lines: limits of WebSocket connections. */
struct rf_node_ws_limits {
    uint64_t inbound_max;   /* bytes of a client's message; 0: 4096 for Solana, 10 MiB else */
    uint64_t queue_max;     /* bytes that may wait for a client before it is dropped */
    uint64_t send_buffer;   /* of the socket; 0: the system's */
    uint64_t subscriptions; /* of a connection; 0: any number */
    uint64_t connections;   /* at once; 0: any number */
    uint64_t ping_ns;       /* the node pings after so long; 0: never */
    bool small_ids;         /* subscription ids 0x1, 0x2 ... on each connection anew */
    struct rf_node_refusal refusal; /* of connections */
};

/** The `program` line: accounts that are made on the fly, see node_program.h. */
struct rf_node_program_conf {
    uint64_t n;              /* accounts; 0: there is no such program */
    uint64_t bytes;          /* of data each */
    uint64_t writes;         /* a second */
    uint64_t from_ns, to_ns; /* since the script began */
    char key[48];            /* the program's address, NUL-terminated */
};

/** All of it. */
struct rf_node_conf {
    struct rf_node_chain chain; /* head: at the node's start */
    char *range_message;        /* owned; what chain.range_message points to; NULL: the default */
    uint64_t block_ns;          /* the head grows by one each; 0: it stands still */
    uint64_t seed;
    struct rf_rng rng;
    struct rf_node_latency *latency;
    struct rf_node_latency *transit; /* from the wire to the limits */
    struct rf_node_pool *pool;
    struct rf_node_limit *limit;
    struct rf_node_batch *batch;
    struct rf_node_fault *fault;
    struct rf_node_canned *canned;
    char **track;
    unsigned n_latency, n_transit, n_pool, n_limit, n_batch, n_fault, n_canned, n_track;
    uint64_t concurrency; /* requests at once; 0: any number */
    struct rf_node_refusal concurrency_refusal;
    uint64_t body_max;
    unsigned body_shape;         /* 0: geth's text, 1: proxyd's error object */
    uint64_t response_max;       /* members beyond these bytes get -32003; 0: no cap */
    uint64_t keepalive_requests; /* a connection ends after so many; 0: never */
    uint64_t keepalive_idle_ns;  /* and after so long without one; 0: never */
    bool keepalive_announce;     /* say Connection: close before */
    uint32_t layers;             /* bit set of layers that have faults: skips the search */
    uint64_t began_ns;           /* set by the node when it takes the script */
    struct rf_node_ws_limits ws;
    struct rf_node_program_conf program;
    bool solana; /* serve the virtual validator; only at the node's start */
    char *knobs; /* of the validator, owned; NULL: none */
};

/** A new configuration with the defaults. @return owned, or NULL. */
struct rf_node_conf *rf_node_conf_new(void);
/** Free; NULL is ignored. */
void rf_node_conf_free(struct rf_node_conf *conf);

/**
 * Take one line.
 * @param line  without its newline; copied. Empty lines and comments are fine.
 * @return 0, RPCFAN_ECONFIG or RPCFAN_ENOMEM. After an error the configuration may only be freed.
 */
enum rpcfan_err rf_node_conf_line(struct rf_node_conf *conf, const char *line,
                                  struct rpcfan_error *err);

/** Take a whole script. @param text may be NULL. Errors begin with "line N: ". */
enum rpcfan_err rf_node_conf_text(struct rf_node_conf *conf, const char *text,
                                  struct rpcfan_error *err);

/** Seed what is random; after the last line. */
void rf_node_conf_finish(struct rf_node_conf *conf);

/** Read the words of a `fault` line (node_conf_fault.c). @param out zeroed; freed by the caller. */
void rf_node_conf_fault(struct rf_node_words *w, struct rf_node_fault *out);
/** Read the words that say how to refuse. */
void rf_node_conf_refusal(struct rf_node_words *w, struct rf_node_refusal *out,
                          const char *message);
/** Read p=, a probability. @return of 2^53; 2^53 where it is absent. */
uint64_t rf_node_conf_chance(struct rf_node_words *w);
/** Read requests= as A..B, A.. or A; everything where it is absent. */
void rf_node_conf_range(struct rf_node_words *w, uint64_t *first, uint64_t *last);
/** Copy key=TEXT; NULL where it is absent. Out of memory fails the words. */
char *rf_node_conf_copy(struct rf_node_words *w, const char *key);
/** As rf_node_conf_copy(), and the text must be JSON. */
char *rf_node_conf_json(struct rf_node_words *w, const char *key);
/** Free what a refusal owns. */
void rf_node_refusal_fini(struct rf_node_refusal *r);

/** Read the words of a WebSocket fault, behind those that all faults share (node_conf_ws.c). */
void rf_node_conf_ws_fault(struct rf_node_words *w, struct rf_node_fault *out);
/** Read a `ws` line; what it does not name stays as it is. */
void rf_node_conf_ws(struct rf_node_conf *conf, struct rf_node_words *w);
/** Read a `program` line. */
void rf_node_conf_program(struct rf_node_conf *conf, struct rf_node_words *w);
/** Read a `reorg` line. */
void rf_node_conf_reorg(struct rf_node_conf *conf, struct rf_node_words *w);
/** Read a `logs` line. */
void rf_node_conf_logs(struct rf_node_conf *conf, struct rf_node_words *w);
/** Read a `solana` line. */
void rf_node_conf_solana(struct rf_node_conf *conf, struct rf_node_words *w);
/** Read a `knobs` line; lines add up. */
void rf_node_conf_knobs(struct rf_node_conf *conf, struct rf_node_words *w);

/** The layer of a kind. */
enum rf_node_layer rf_node_fault_layer(enum rf_node_fault_kind kind);

#endif
