/* node_int.h - the node's insides, shared by node.c, node_conn.c, node_rpc.c and their neighbours.
 *
 * One thread runs a node: the loop's. Other threads reach only what is atomic, `seen`, and the
 * hand-over of a new script. A request's life: node_conn.c reads it, node_rpc.c writes the whole
 * answer and a plan into the connection, node_conn.c carries the plan out. */
#ifndef RF_SIM_NODE_INT_H
#define RF_SIM_NODE_INT_H

#include <stdatomic.h>

#include "base/heap.h"
#include "base/list.h"
#include "sim/node.h"
#include "sim/node_conf.h"
#include "sim/node_http.h"
#include "sim/node_seen.h"

/** What is kept of a buffer between requests. */
#define RF_NODE_KEEP 65536
/** Reading stops while so many unparsed bytes wait behind the request in progress. */
#define RF_NODE_BACKLOG 65536

/** A counter written by the node's thread alone, read by any. */
struct rf_node_count {
    _Atomic uint64_t v;
};

/** Add to a counter. Thread: the node's. */
static inline void rf_node_bump(struct rf_node_count *c, uint64_t n)
{
    uint64_t v = atomic_load_explicit(&c->v, memory_order_relaxed);
    atomic_store_explicit(&c->v, v + n, memory_order_relaxed);
}

/** The live counters; the fields of rf_node_counters. */
struct rf_node_stats {
    struct rf_node_count connections, open, requests, gets, singles, batches, members,
        notifications, answered, refused_requests, refused_members, invalid, http_errors, batch_max,
        active, active_max, bytes_in, bytes_out, ws_opened, ws_open, ws_refused, ws_received,
        ws_sent, ws_notes, ws_dropped, ws_closed, ws_lagged, subscriptions;
    struct rf_node_count fault[RF_NODE_FAULTS_MAX];
};

enum rf_node_wire {
    RF_WIRE_PLAIN,
    RF_WIRE_RESET,
    RF_WIRE_CLOSE,
    RF_WIRE_HANG,
    RF_WIRE_DRIP,
    RF_WIRE_ENDLESS
};

/** How an answer goes out. */
struct rf_node_plan {
    uint64_t delay_ns; /* before its first byte */
    enum rf_node_wire wire;
    size_t cut; /* bytes of `out` that are sent before the wire fault strikes */
    uint64_t step,
        step_ns;  /* drip: bytes at a time, and the time between; endless: step is the cap */
    bool close;   /* end the connection behind the answer */
    bool linger;  /* the request's rest is still coming: take it in and drop it first */
    bool upgrade; /* a WebSocket begins behind the answer */
    bool stream;  /* more of the body is made while it goes out: `rows` of the connection */
    unsigned status, members; /* for the access log */
    const char *fault;        /* its name, or NULL; for the access log */
};

/** What a connection is doing. One writer: set_state() of node_conn.c. */
enum rf_conn_state {
    RF_CONN_READ,    /* waiting for a whole request */
    RF_CONN_TRANSIT, /* it is whole, and has not arrived at the limits yet */
    RF_CONN_DELAY,   /* the answer is made and waits for its time */
    RF_CONN_WRITE,   /* the answer goes out */
    RF_CONN_HANG,    /* it will never be finished */
    RF_CONN_LINGER,  /* answered; the peer's bytes are dropped until it closes */
    RF_CONN_WS,      /* a WebSocket: node_ws.c has it */
    RF_CONN_CLOSING  /* the handle's close callback is awaited */
};

struct rf_node;
struct rf_node_ws;

/** An answer of many rows under way (node_program.c). */
struct rf_node_rows {
    struct rf_node_program_conf p; /* as it was when it was asked; n 0: there is none */
    uint64_t at;                   /* the next account */
    uint64_t writes;               /* that were made when it was asked */
    uint64_t slice_at, slice_len;
    char tail[8];       /* what ends the result, and the response */
    bool chunked, done; /* done: the last piece is made */
};

/** A connection. */
struct rf_node_conn {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } h;
    struct rf_node *node;
    struct rf_link link;       /* on node->conns or, closed, node->spare_conns */
    struct rf_heap_node timer; /* delay, drip, idle, linger: `state` says which */
    enum rf_conn_state state;
    bool reading, eof, active;
    struct rf_buf in; /* bytes read; `in_at` of them are done with */
    size_t in_at;
    struct rf_node_http http;  /* the request being read */
    uint64_t served, began_ns; /* requests answered; when the present one was whole */
    struct rf_buf out;         /* the answer */
    size_t out_at;
    struct rf_node_plan plan;
    struct rf_node_rows rows;
    struct rf_node_ws *ws; /* owned; NULL: no WebSocket */
    uv_write_t write;
    uv_shutdown_t shutdown;
};

/** One call of a request being answered. Slices point into the connection's input. */
struct rf_node_member {
    struct rpcfan_slice id, method, params;
    size_t at, len; /* its answer in `body`; len 0: none */
    bool valid, refused;
};

/** Work space of one request; kept between requests so that none allocates. */
struct rf_node_work {
    struct rf_node_member *member; /* owned */
    unsigned n, cap;
    bool batch;
    struct rpcfan_slice path; /* of the request's target; in the connection's input */
    struct rf_buf body, spare, result, name;
    const char *type;     /* Content-Type */
    const char *coding;   /* Content-Encoding or NULL */
    struct rf_buf fields; /* more header lines */
    const struct rf_node_fault *fault[RF_LAYERS];
    uint64_t now_ns, sleep_ns;
    struct rf_node_ws *ws;      /* the request is a message on it; NULL: HTTP */
    struct rf_node_rows stream; /* p.n > 0: the rest of the answer is made as it goes out */
};

/** What tests ask of the validator, on the node's thread. */
struct rf_node_job {
    struct rf_node_job *next;
    rf_node_oracle_fn fn;
    void *arg;
    bool done; /* under the node's lock */
};

/** What the listener is doing. */
enum rf_listen_state { RF_LISTEN_CLOSED, RF_LISTEN_OPEN, RF_LISTEN_CLOSING };

struct rf_node {
    uv_loop_t *loop;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } listener;
    enum rf_listen_state listen_state;
    bool stopping, unix_socket, own_thread;
    char *path; /* of the Unix socket; owned */
    struct sockaddr_storage address;
    uint16_t port;
    char url[160];
    FILE *access_log;
    uv_timer_t timer;
    uv_async_t async;
    unsigned handles; /* of timer, async and listener: not yet closed */
    struct rf_heap heap;
    struct rf_heap_node listen_timer;
    struct rf_link conns, spare_conns;
    unsigned n_conns, n_spare;
    struct rf_node_conf *conf;
    uint64_t began_ns;
    uint64_t armed_ns; /* when the timer is due; RF_NEVER: it is not set */
    struct rf_node_work work;
    struct rf_node_stats stats;
    struct {
        struct rf_node_count requests, refused_requests, admitted, refused;
    } second[RF_NODE_SECONDS];
    struct rf_node_seen_table seen;
    void (*stop_cb)(struct rf_node *, void *);
    void *stop_arg;
    /* the hand-over of a script, and a thread's life */
    uv_mutex_t lock;
    uv_cond_t changed;
    struct rf_node_conf *_Atomic pending;
    uint64_t scripts_taken; /* under `lock` */
    bool knobs_wrong;       /* of the script taken last, under `lock`; and why */
    struct rpcfan_error knobs_err;
    struct rf_node_job *jobs; /* under `lock`, latest first */
    /* WebSocket */
    struct rf_link ws_dirty, program_subs;
    struct rf_heap_node announce_timer, validator_timer;
    uint64_t announced;              /* the last head that was told to subscribers */
    uint64_t written;                /* writes of the program that were told */
    uint64_t last_session, last_sub; /* ids are never used twice */
    struct rf_buf note;              /* a notification in the making */
    struct rf_validator *validator;
    struct {
        struct rf_node_ws *ws;
        uint64_t session;
    } * sessions; /* owned */
    unsigned n_sessions, cap_sessions;
    atomic_bool stop_asked;
    uv_thread_t thread;
};

/** Answer a request into `c->out` and `c->plan` (node_rpc.c). @param body the request's, whole. */
void rf_node_handle(struct rf_node *node, struct rf_node_conn *c, struct rpcfan_slice body);
/** Answer a GET with the counters (node_rpc.c). */
void rf_node_status(struct rf_node *node, struct rf_node_conn *c);
/** Refuse what could not be read as HTTP, a wrong method or a body over the cap (node_rpc.c). */
void rf_node_reject(struct rf_node *node, struct rf_node_conn *c, unsigned status);

/** Answer a message that came on a WebSocket (node_rpc.c). @param text the node's own: may be
 * changed. */
void rf_node_message(struct rf_node *node, struct rf_node_ws *ws, struct rpcfan_slice text);
/** Make the request one call of this method, without an id (node_rpc.c). @return false: no memory.
 */
bool rf_node_lone_member(struct rf_node *node, struct rpcfan_slice method);
/** The chain as it stands at a time (node_rpc.c). */
struct rf_node_chain rf_node_chain_at(const struct rf_node *node, uint64_t now_ns);

/** Put header and body together into `c->out` (node_reply.c). @param status of the response. */
void rf_node_reply(struct rf_node *node, struct rf_node_conn *c, unsigned status);

/** Begin an answer: empties what the last one left (node_reply.c). */
void rf_node_work_reset(struct rf_node_work *w, uint64_t now_ns);
/** Free all of it. */
void rf_node_work_fini(struct rf_node_work *w);

/**
 * Which faults strike this request (node_fault.c): fills `work.fault` and counts them.
 * Only for requests that no limit refused.
 */
void rf_node_faults_pick(struct rf_node *node, struct rf_node_plan *plan);
/** Count a request (or connection) that a fault applies to. @return whether it strikes. */
bool rf_node_fault_fires(struct rf_node *node, struct rf_node_fault *f, uint64_t now_ns);
/**
 * The first WebSocket fault of a kind that strikes (node_fault.c); counts it.
 * @param method  of a notification, RF_NODE_WS_REPLY, or RF_NODE_WS_METHOD of a handshake.
 * @return borrowed until the script changes, or NULL.
 */
const struct rf_node_fault *rf_node_fault_of(struct rf_node *node, enum rf_node_fault_kind kind,
                                             struct rpcfan_slice method, struct rpcfan_slice path,
                                             uint64_t now_ns);
/** Whether the listener should be open now, and until when. */
bool rf_node_listen_wanted(const struct rf_node_conf *conf, uint64_t now_ns, uint64_t *until_ns);
/** Damage members and shape of a finished body (node_damage.c). */
void rf_node_damage_shape(struct rf_node *node);
/** Damage the text of a finished body. */
void rf_node_damage_form(struct rf_node *node);
/** Compress a finished body. */
void rf_node_damage_coding(struct rf_node *node);
/** The id that goes into a member's answer, as the `ids` fault wants it; appended. */
void rf_node_damage_id(struct rf_node *node, struct rpcfan_slice id);

/**
 * Check the batch cap (node_refuse.c). @return true where the batch was refused: `work.body` and
 * `*status` are set.
 */
bool rf_node_refuse_batch(struct rf_node *node, unsigned *status);
/** Check and charge the rate limits. @return as above; single members may be marked refused. */
bool rf_node_refuse_rate(struct rf_node *node, unsigned *status);
/** Check the requests in progress. @return as above. */
bool rf_node_refuse_concurrency(struct rf_node *node, unsigned *status);
/** Write what a refusal says into `work`. @param wait_ns for Retry-After. @return the status. */
unsigned rf_node_refuse_say(struct rf_node *node, const struct rf_node_refusal *r,
                            uint64_t wait_ns);
/** Write a 413 body for a body of `length` bytes (0: unknown). */
void rf_node_refuse_body(struct rf_node *node, uint64_t length);
/** The error object of a member that was refused alone; appended to `out`. */
void rf_node_refuse_member(struct rf_node *node, struct rf_buf *out);

/** How many members of the request a pattern takes in (node_refuse.c). */
unsigned rf_node_members_of(const struct rf_node_work *w, const char *method);

/** How long the answer to the request in `work` takes, its wait for a worker included; takes the
 * worker (node_service.c). @return ns from now. */
uint64_t rf_node_service(struct rf_node *node);
/** How long a request is under way before the limits see it; 0: not at all (node_service.c). */
uint64_t rf_node_transit(struct rf_node *node);
/** Count a request in the present second (node_service.c). @param refused of its `members`.
 * @param whole the request was refused as a whole. */
void rf_node_second_add(struct rf_node *node, uint64_t members, uint64_t refused, bool whole);

/** Whether a rule's pattern takes in a method; a NULL pattern takes in all. */
bool rf_node_matches(const char *pattern, struct rpcfan_slice method);

/** Take a waiting script, if there is one (node.c). Called before each request. */
void rf_node_take_script(struct rf_node *node);
/** Set or move a timer (node.c); room for one a connection is reserved at accept. */
void rf_node_timer_set(struct rf_node *node, struct rf_heap_node *t, uint64_t at_ns);
/** Close the listener and open it again; what waits in its backlog is reset (node.c). */
void rf_node_relisten(struct rf_node *node);
/** Accept what the listener has (node_conn.c). */
void rf_node_on_connection(uv_stream_t *server, int status);
/** A connection's timer is due (node_conn.c). */
void rf_node_conn_due(struct rf_node_conn *c);
/** Close a connection, with a reset where asked. The object goes to `spare_conns` (node_conn.c). */
void rf_node_conn_close(struct rf_node_conn *c, bool reset);
/** Say no more: shut down, and close when the peer did, or after a while (node_conn.c). */
void rf_node_conn_drain(struct rf_node_conn *c);

/** Make the validator (node_validator.c). @param knobs may be NULL. */
enum rpcfan_err rf_node_validator_start(struct rf_node *node, const char *knobs,
                                        struct rpcfan_error *err);
/** Free it, and what belongs to it. */
void rf_node_validator_fini(struct rf_node *node);
/** A WebSocket began. */
void rf_node_validator_open(struct rf_node *node, struct rf_node_ws *ws);
/** It ended. */
void rf_node_validator_gone(struct rf_node *node, struct rf_node_ws *ws);
/** A ping came on it. */
void rf_node_validator_pinged(struct rf_node *node, struct rf_node_ws *ws);
/** A text message came on it. */
void rf_node_validator_receive(struct rf_node *node, struct rf_node_ws *ws,
                               struct rpcfan_slice text);
/** Answer a call over HTTP where the validator has its method. @return false: it has not. */
bool rf_node_validator_call(struct rf_node *node, const struct rf_node_member *m,
                            enum rf_node_answer *answer);
/** Answer a call that steers the node (node_control.c). @return false: its method is another. */
bool rf_node_control(struct rf_node *node, const struct rf_node_member *m,
                     enum rf_node_answer *answer);
/** Let time pass, and set the timer of the next thing. */
void rf_node_validator_run(struct rf_node *node, uint64_t now_ns);
/** Change knobs. @return false: they are wrong, and nothing changed. */
bool rf_node_validator_set(struct rf_node *node, const char *knobs, struct rpcfan_error *err);
/** Run what rf_node_oracle() left. */
void rf_node_jobs_run(struct rf_node *node);

/** Free the connections that are kept for reuse (node_conn.c). */
void rf_node_conns_fini(struct rf_node *node);
/** After the last handle is closed: stop's callback (node.c). */
void rf_node_maybe_stopped(struct rf_node *node);

#endif
