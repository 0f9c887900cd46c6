/* vfeed_int.h - what the files of the feed's virtual world share: vfeed.c (time),
 * vfeed_wire.c (connections), vfeed_calls.c (calls over HTTP), vfeed_books.c (the consumer, and
 * what is held against it). */
#ifndef RF_SIM_VFEED_INT_H
#define RF_SIM_VFEED_INT_H

#include "base/heap.h"
#include "base/list.h"
#include "sim/vfeed.h"

#define RF_VFEED_TAKE_MAX 1024
#define RF_VFEED_PAST 512
#define RF_VFEED_TAG_BITS 56 /* of a subscription's tag; above them, whose it is */

/** What a consumer has of an account. */
struct rf_vfeed_row {
    bool known, gone;
    uint64_t slot, hash; /* hash: the oracle's, of its content */
    uint64_t feed_hash;  /* the event's */
};

/** A connection. */
struct rf_vfeed_conn {
    struct rf_link link;
    uint64_t session;
    uint32_t endpoint;
    bool open, ended;        /* ended: the client was told, or is about to be */
    uint64_t down_ns, up_ns; /* when the last frame arrives, either way: one follows the other */
    uint64_t unread;
};

enum rf_vfeed_kind {
    RF_VFEED_OPENED,
    RF_VFEED_LEAVES,  /* a frame leaves the node */
    RF_VFEED_FRAME,   /* and arrives */
    RF_VFEED_MESSAGE, /* a message arrives at the node */
    RF_VFEED_CLOSED,  /* the client hears of the end */
    RF_VFEED_HANG_UP, /* the node hears of it */
    RF_VFEED_CALL,    /* a call arrives at the node */
    RF_VFEED_ANSWER,  /* its answer, or a part of it, arrives */
};

struct rf_vfeed_call;
/** Something on its way. */
struct rf_vfeed_event {
    struct rf_heap_node at;
    enum rf_vfeed_kind kind;
    uint64_t session;
    int code;
    struct rf_blob *blob;       /* owned */
    struct rf_vfeed_call *call; /* borrowed */
};

/** A call under way. */
struct rf_vfeed_call {
    struct rf_link link;
    uint32_t client, node;
    uint64_t token, floor, until_ns;
    char *method, *params;                  /* owned */
    bool stream, canceled, paused, waiting; /* waiting: paused, with nothing on its way */
    struct rf_vfeed_event event;
    /* what came of it */
    enum rpcfan_err err;
    struct rf_blob *blob;     /* owned; the result or the error object */
    struct rpcfan_slice *row; /* owned; of a stream */
    size_t n_rows, at_row, cut_at;
    uint64_t context_slot;
    bool first;
};

/** Whose a feed's actions are. */
struct rf_vfeed_owner {
    struct rf_vfeed *w;
    uint32_t client;
};

/** A feed and its consumer. */
struct rf_vfeed_client {
    struct rf_vfeed_owner owner;
    struct rf_feed *feed; /* NULL: there is none */
    uint64_t *sub;        /* owned; its subscriptions at the engine */
    uint32_t n_subs, cap_subs;
    struct rf_vfeed_row *row, *undo; /* owned; by key. undo: of the last batch */
    uint32_t *changed;               /* owned; keys of the last batch */
    uint32_t n_changed;
    uint64_t seq, watermark, moved_ns, began_ns, in_flight, next_take_ns;
    bool complete;
};

struct rf_vfeed {
    struct rf_vfeed_options o;
    struct rf_rng rng, wire_rng;
    struct rf_validator *v;
    const struct rf_banks *banks;
    struct rf_subs *subs;
    struct rf_subs_endpoint endpoint[2];
    struct rf_vfeed_client client[RF_VFEED_CLIENTS];
    struct rf_link conns, calls;
    struct rf_heap wire;
    uint64_t now_ns, began_ns, second_ns;
    uint64_t seen; /* highest slot that the client can have heard of */
    uint32_t n_keys;
    char **account;               /* owned; texts of the accounts mode */
    uint64_t past[RF_VFEED_PAST]; /* the slot of the commitment level, each second */
    uint64_t n_past;
    uint64_t was_tip[RF_BANK_SPAN]; /* slots that node 0 had as its tip */
    uint64_t hash, session_base;
    struct rf_vfeed_book book;
    char bad[320];
};

/** A breach: keep the first. */
void rf_vfeed_breach(struct rf_vfeed *w, const char *fmt, ...) RF_PRINTF(2, 3);
/** Put something on its way. @return false when out of memory: a breach. */
bool rf_vfeed_put(struct rf_vfeed *w, struct rf_vfeed_event *ev, uint64_t at_ns);
/** A time on the wire: `ns` to twice that. */
uint64_t rf_vfeed_delay(struct rf_vfeed *w, uint64_t ns);
/** Whether something with this chance in a thousand happens. */
bool rf_vfeed_chance(struct rf_vfeed *w, uint32_t permille);
/** The client has heard of the slots in a text. */
void rf_vfeed_heard(struct rf_vfeed *w, struct rpcfan_slice text);
/** As rf_vfeed_heard(), behind another name. */
void rf_vfeed_heard_of(struct rf_vfeed *w, struct rpcfan_slice text, const char *name);
/** Stir numbers into the hash. */
void rf_vfeed_stir(struct rf_vfeed *w, uint64_t a, uint64_t b);

/** What a client's feed does to the world. */
struct rf_feed_ops rf_vfeed_ops(struct rf_vfeed_owner *owner);

/* vfeed_wire.c */

/** Free an event. */
void rf_vfeed_free_event(struct rf_vfeed_event *ev);
/** What the engine does to the world. */
struct rf_subs_ops rf_vfeed_wire_ops(struct rf_vfeed *w);
/** What the validator does. */
struct rf_validator_ops rf_vfeed_node_ops(struct rf_vfeed *w);
/** An event of the wires is due. It is freed, or under way again. */
void rf_vfeed_handle(struct rf_vfeed *w, struct rf_vfeed_event *ev);
/** Break connections, each with this chance in a thousand. */
void rf_vfeed_break(struct rf_vfeed *w, uint32_t permille);
/** Free all of them: nobody is there any more. */
void rf_vfeed_drop_conns(struct rf_vfeed *w);

/* vfeed_calls.c */

/** The feed's calls. */
void rf_vfeed_call_make(struct rf_vfeed *w, uint32_t client, const struct rf_feed_call *c);
/** Cancel. */
void rf_vfeed_call_cancel(struct rf_vfeed *w, uint32_t client, uint64_t token);
/** Stop or go on with the rows. */
void rf_vfeed_call_pause(struct rf_vfeed *w, uint32_t client, uint64_t token, bool pause);
/** It arrives at the node. */
void rf_vfeed_call_arrives(struct rf_vfeed *w, struct rf_vfeed_call *c);
/** Its answer arrives. */
void rf_vfeed_call_answers(struct rf_vfeed *w, struct rf_vfeed_call *c);
/** Drop all calls of a client. */
void rf_vfeed_call_drop(struct rf_vfeed *w, uint32_t client);

/* vfeed_books.c */

/** Make a client's feed, from what its consumer has. */
enum rpcfan_err rf_vfeed_begin(struct rf_vfeed *w, uint32_t client, struct rpcfan_error *err);
/** End it. */
void rf_vfeed_end(struct rf_vfeed *w, uint32_t client);
/** The consumer takes. */
void rf_vfeed_take(struct rf_vfeed *w, uint32_t client);
/** Once a second: what is held by time. */
void rf_vfeed_second(struct rf_vfeed *w);
/** Right before a slot. */
void rf_vfeed_before_slot(struct rf_vfeed *w);
/** Right after the validator did something. */
void rf_vfeed_after_slot(struct rf_vfeed *w);
/** Undo the last batch. */
void rf_vfeed_undo(struct rf_vfeed *w, uint32_t client);

#endif
