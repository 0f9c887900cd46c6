/* node.h - the fake node: a programmable HTTP/1.1 JSON-RPC server on real sockets.
 *
 * It answers a small library of methods deterministically (node_methods.h) and misbehaves on
 * demand: rate limits, batch limits and every fault in node_conf.h, all said in script text
 * (rpcfan-sim(1)). Called by `rpcfan sim` and by integration tests. It owns its sockets; it calls
 * no node. */
#ifndef RF_SIM_NODE_H
#define RF_SIM_NODE_H

#include <stdio.h>
#include <uv.h>

#include "base/base.h"

/** Most kinds of fault there can be; counters are indexed by kind, see rf_node_fault_name(). */
#define RF_NODE_FAULTS_MAX 64

/** Seconds of which rf_node_seconds() knows; later ones are not kept apart. */
#define RF_NODE_SECONDS 2048

/** A node. Opaque here; node_int.h has it. */
struct rf_node;
struct rf_validator;

/** What to serve. Zero-initialised is valid: 127.0.0.1, a free port, no misbehaviour. */
struct rf_node_options {
    const char *listen; /* "HOST:PORT", "[IPV6]:PORT" or "unix:PATH"; NULL: "127.0.0.1:0" */
    const char *script; /* script text; NULL: nothing */
    FILE *access_log;   /* a line a request: ms, status, members, fault; borrowed; or NULL */
    bool solana;        /* serve the virtual validator (sim/validator.h); so does a script line */
    const char *knobs;  /* of it; NULL: none; those of the script come behind */
};

/** What the node has seen. Counts since the start; a script change resets none of them. */
struct rf_node_counters {
    uint64_t connections;      /* accepted */
    uint64_t open;             /* connections open now */
    uint64_t requests;         /* whole POST requests read */
    uint64_t gets;             /* status requests; counted nowhere else */
    uint64_t singles;          /* requests whose body was not an array */
    uint64_t batches;          /* requests whose body was an array */
    uint64_t members;          /* calls in them, notifications included */
    uint64_t notifications;    /* calls without an id */
    uint64_t answered;         /* calls that were executed */
    uint64_t refused_requests; /* requests refused whole: rate, concurrency, batch cap, body cap */
    uint64_t refused_members;  /* calls refused: in those, and one by one inside a batch */
    uint64_t invalid;          /* bodies or members that were no JSON or no request */
    uint64_t http_errors;      /* HTTP that could not be parsed */
    uint64_t batch_max;        /* the most members in one batch */
    uint64_t active;           /* requests in progress now: read and not wholly answered */
    uint64_t active_max;       /* the most there ever were */
    uint64_t bytes_in, bytes_out;
    uint64_t ws_opened;     /* WebSocket handshakes that ended in 101 */
    uint64_t ws_open;       /* WebSockets open now */
    uint64_t ws_refused;    /* handshakes that were refused */
    uint64_t ws_received;   /* messages from clients */
    uint64_t ws_sent;       /* messages to clients */
    uint64_t ws_notes;      /* of these notifications */
    uint64_t ws_dropped;    /* messages that a fault swallowed */
    uint64_t ws_closed;     /* WebSockets that the node ended, those below apart */
    uint64_t ws_lagged;     /* WebSockets that it dropped because the client did not read */
    uint64_t subscriptions; /* open now, without those of the validator */
    uint64_t fault[RF_NODE_FAULTS_MAX]; /* times each kind of fault was applied */
};

/** What the node saw in one second. */
struct rf_node_second {
    uint64_t requests, refused_requests; /* refused as a whole */
    uint64_t admitted, refused;          /* calls */
};

/**
 * Start listening on a loop. The script's windows of time and request ranges count from here.
 * @param loop  not NULL; outlives the node. The calling thread must be the one that runs it.
 * @param opts  may be NULL. Strings are copied.
 * @param out   the node; end it with rf_node_stop(), then rf_node_free().
 * @return 0, RPCFAN_EINVAL (address), RPCFAN_ECONFIG (script; the text gives the line),
 *         RPCFAN_EIO (bind) or RPCFAN_ENOMEM. After a failure there is nothing to free, but the
 * loop must run once more to close what was opened. Thread: loop.
 */
enum rpcfan_err rf_node_start(uv_loop_t *loop, const struct rf_node_options *opts,
                              struct rf_node **out, struct rpcfan_error *err);

/**
 * Close every socket of the node.
 * @param cb  called once, from the loop, when all handles are closed; then rf_node_free() may be
 *            called (also inside it). NULL: none.
 * Thread: loop. Only for nodes of rf_node_start(); once.
 */
void rf_node_stop(struct rf_node *node, void (*cb)(struct rf_node *node, void *arg), void *arg);

/** Free a stopped node. NULL is ignored. Thread: any. */
void rf_node_free(struct rf_node *node);

/**
 * Start a node in a thread with a loop of its own.
 * @return as rf_node_start(). End it with rf_node_stop_thread(). Thread: any.
 */
enum rpcfan_err rf_node_start_thread(const struct rf_node_options *opts, struct rf_node **out,
                                     struct rpcfan_error *err);

/** Stop such a node, join its thread and free it. NULL is ignored. Thread: any but the node's. */
void rf_node_stop_thread(struct rf_node *node);

/** The TCP port, or 0 on a Unix socket. Thread: any. */
uint16_t rf_node_port(const struct rf_node *node);

/** "http://127.0.0.1:PORT", "http://[::1]:PORT" or "unix:PATH". Lives as long as the node. Thread:
 * any. */
const char *rf_node_url(const struct rf_node *node);

/**
 * Replace the whole behaviour. What counts from the script's start (time windows, request ranges,
 * every=, the rate windows' contents) counts afresh; seen calls and counters stay.
 * Every request that is read after this returned is under the new script; a node in its own thread
 * has also applied a change of `fault refuse` by then.
 * @param text  script text; NULL or "" for none.
 * @return 0, RPCFAN_ECONFIG (nothing changed; the text gives the line) or RPCFAN_ENOMEM. Where the
 * validator of a node in its own thread refuses the `knobs`, RPCFAN_ECONFIG; all else has changed.
 * Thread: any but, for a node in its own thread, that one.
 */
enum rpcfan_err rf_node_set_script(struct rf_node *node, const char *text,
                                   struct rpcfan_error *err);

/** A copy of the counters; each is exact, together they are not one instant. Thread: any. */
void rf_node_counters(const struct rf_node *node, struct rf_node_counters *out);

/**
 * What the node saw second by second; the first begins at its start.
 * @param out  room for `max`.
 * @return how many were written: those that have begun, `max` and RF_NODE_SECONDS at most. The last
 * one may still grow. Thread: any.
 */
unsigned rf_node_seconds(const struct rf_node *node, struct rf_node_second *out, unsigned max);

/**
 * How often a call with exactly this method and these params was executed. Counted for sim_count,
 * the sends, and the methods named in `track` lines of the script.
 * @param method  NUL-terminated.
 * @param params  JSON text, whitespace between tokens is ignored; NULL or "": [].
 * Thread: any.
 */
uint64_t rf_node_seen(struct rf_node *node, const char *method, const char *params);

/** How many different tracked calls were executed, and of those more than once. Thread: any. */
void rf_node_seen_totals(struct rf_node *node, uint64_t *different, uint64_t *repeated);

/** What rf_node_oracle() runs. @param v NULL: the node has no validator. */
typedef void (*rf_node_oracle_fn)(struct rf_validator *v, uint64_t now_ns, void *arg);

/**
 * Run a function beside the validator of a running node, on the node's thread, and wait for it: to
 * compare what a client believes with what is. Nothing else happens meanwhile.
 * @param fn  may read the validator and set knobs; must not call the node.
 * Thread: any but, for a node in its own thread, that one; the loop's for others.
 */
void rf_node_oracle(struct rf_node *node, rf_node_oracle_fn fn, void *arg);

/** The name of a kind of fault ("hang"), or NULL past the last. Thread: any. */
const char *rf_node_fault_name(unsigned kind);

/** The index of a fault's counter by name. @return RF_NODE_FAULTS_MAX where there is none. */
unsigned rf_node_fault_kind(const char *name);

#endif
