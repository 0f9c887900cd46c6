/* node_ws.h - WebSocket connections of the fake node: what node_ws*.c share with one another and
 * with node_conn.c and node_rpc.c. All on the node's thread. */
#ifndef RF_SIM_NODE_WS_H
#define RF_SIM_NODE_WS_H

#include "sim/node_int.h"
#include "sim/node_ws_frame.h"

/** The method that a handshake counts as, for limits, latency and the access log. */
#define RF_NODE_WS_METHOD "websocket"
/** What replies are called where a fault's method= is looked at. */
#define RF_NODE_WS_REPLY "reply"

enum rf_node_sub_kind {
    RF_SUB_HEADS,
    RF_SUB_LOGS,
    RF_SUB_PENDING,
    RF_SUB_SYNCING, /* nothing is ever told */
    RF_SUB_SLOT,
    RF_SUB_ROOT,
    RF_SUB_PROGRAM
};

/** A subscription that the node itself serves. */
struct rf_node_sub {
    struct rf_link link; /* on its connection's `subs` */
    struct rf_link all;  /* on node->program_subs, where it is one of a program */
    struct rf_node_ws *ws;
    enum rf_node_sub_kind kind;
    uint64_t id;
    uint64_t from_ns;           /* nothing is told before: when its reply goes out */
    struct rpcfan_slice filter; /* of logs, raw JSON; in `text` */

    char text[];
};

/** A message for later. */
struct rf_node_later {
    struct rf_heap_node due; /* in `later`; of a held one only the time is used */
    struct rf_link held;     /* on `held` */
    uint64_t left;           /* messages that go out before a held one */
    enum rf_node_ws_end end; /* close the connection instead of sending */
    unsigned code;
    size_t len;
    char text[];
};

/** A WebSocket connection. */
struct rf_node_ws {
    struct rf_node_conn *c;
    struct rf_link dirty; /* on node->ws_dirty: something to flush */
    char *path;           /* owned */
    uint64_t session;     /* the validator's name for it; 0: none */
    /* in */
    struct rf_buf message; /* the pieces of a message so far */
    bool in_message;
    uint64_t heard_ns;
    /* out */
    struct rf_buf out, flying; /* frames to write; what the kernel has not taken yet */
    size_t out_at;
    bool writing;
    struct rf_heap later;
    struct rf_link held;
    size_t waiting; /* bytes in `later` and `held` */
    uint64_t sent;  /* messages */
    /* what was drawn for it */
    uint64_t opened_ns, close_after, close_ns, stall_after, stall_ns, stall_for_ns, idle_ns;
    uint64_t drip_bytes, drip_every_ns, drip_next_ns, ping_next_ns;
    enum rf_node_ws_end close_how, idle_how;
    unsigned close_code, idle_code;
    bool pongs, stalled;
    /* its end */
    enum rf_node_ws_end ending;
    bool abort; /* what waits is not written any more */
    /* subscriptions of the node itself */
    struct rf_link subs;
    unsigned n_subs;
    uint64_t last_id;
};

/** Answer a GET that asks for WebSocket, into `c->out` and `c->plan` (node_ws.c). */
void rf_node_ws_handshake(struct rf_node *node, struct rf_node_conn *c);
/** The 101 is written: the connection is a WebSocket now. */
void rf_node_ws_begin(struct rf_node_conn *c);
/** Bytes came. */
void rf_node_ws_read(struct rf_node_conn *c);
/** Its timer is due. */
void rf_node_ws_due(struct rf_node_conn *c);
/** The connection is being closed: nobody may name it any more. */
void rf_node_ws_gone(struct rf_node_conn *c);
/** Free what it owns, after the handle is closed. */
void rf_node_ws_free(struct rf_node_conn *c);

/** Send a text message at `at_ns` or as soon as that is past (node_ws_out.c). */
void rf_node_ws_send(struct rf_node_ws *ws, const char *text, size_t len, uint64_t at_ns);
/** Send it now, with the faults that strike it. @param now_ns the time. */
void rf_node_ws_deliver(struct rf_node_ws *ws, const char *text, size_t len, uint64_t now_ns);
/** Send a control frame. */
void rf_node_ws_control(struct rf_node_ws *ws, unsigned opcode, const char *data, size_t len);
/** End the connection behind what was sent; the first end counts. @param code 0: none. */
void rf_node_ws_end(struct rf_node_ws *ws, enum rf_node_ws_end how, unsigned code,
                    const char *reason);
/** The same at a time. */
void rf_node_ws_end_at(struct rf_node_ws *ws, enum rf_node_ws_end how, unsigned code,
                       uint64_t at_ns);
/** Let out what is due, and note when the next thing is. */
void rf_node_ws_flush(struct rf_node_ws *ws);
/** Flush every connection that something was sent on. Called at the end of each turn. */
void rf_node_ws_flush_all(struct rf_node *node);
/** Put it among those to flush. */
void rf_node_ws_touch(struct rf_node_ws *ws);
/** Whether it says nothing now. */
bool rf_node_ws_stalled(struct rf_node_ws *ws, uint64_t now_ns);

/** Answer eth_subscribe and its kin (node_ws_subs.c). @return false: not one of them. */
bool rf_node_subscribe(struct rf_node *node, const struct rf_node_member *m,
                       enum rf_node_answer *answer);
/** Drop all subscriptions of a connection. */
void rf_node_subs_drop(struct rf_node_ws *ws);
/** Announce blocks, slots and writes that are due; set the time of the next. */
void rf_node_announce(struct rf_node *node, uint64_t now_ns);
/** The script changed: begin at the present head, with the next write. */
void rf_node_announce_reset(struct rf_node *node);
/** Append a subscription's id as its clients know it. */
void rf_node_sub_id(const struct rf_node *node, const struct rf_node_sub *s, struct rf_buf *out);
/** Announce the head, and what it replaces, to one subscriber (node_ws_evm.c). */
void rf_node_evm_announce(struct rf_node *node, struct rf_node_sub *s,
                          const struct rf_node_chain *chain, uint64_t now_ns);
/** Begin a notification in `node->note`, up to its result. */
struct rf_buf *rf_node_note(struct rf_node *node, const char *method);
/** End it with the subscription's id, and send it. */
void rf_node_note_send(struct rf_node *node, struct rf_node_ws *ws, struct rf_node_sub *s,
                       uint64_t now_ns);

#endif
