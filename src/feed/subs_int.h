/* subs_int.h - what the files of the subscription engine share. Included by subs*.c only.
 *
 * A listener is what somebody added. Equal listeners share a wire: one subscription as nodes see
 * it. A wire is kept once or twice, each a leg. A seat is one wire on one connection; a leg has a
 * seat, or is homeless and waits for one.
 *
 *   listener -n--1- wire -1--2- leg -1--1- seat -n--1- conn -n--1- endpoint
 *
 * subs.c        life, listeners, wires, the step
 * subs_seat.c   seats: their states, what listeners are told of them
 * subs_conn.c   connections: states, ends, replacement, watching
 * subs_place.c  which connection a leg goes to
 * subs_wire.c   requests: composed, packed, paced
 * subs_read.c   messages: read, matched, held
 * subs_fate.c   what refusals and ends mean for endpoint and leg
 * subs_status.c counters and status */
#ifndef RF_FEED_SUBS_INT_H
#define RF_FEED_SUBS_INT_H

#include "base/buf.h"
#include "base/list.h"
#include "base/rng.h"
#include "core/classify.h"
#include "feed/subs.h"
#include "feed/table.h"

/* The longest remote id that is understood, as written, quotes included. */
#define RF_SUBS_ID_MAX 88
/* A reply that has not come after so long is lost. */
#define RF_SUBS_REPLY_NS (10 * RF_SEC)
/* An opening that has not ended after so long has failed; the transport's own time is shorter. */
#define RF_SUBS_OPEN_NS (20 * RF_SEC)
/* An empty connection is kept so long: who removes one may add another. */
#define RF_SUBS_IDLE_NS RF_SEC
/* The old connection goes on so long beside its replacement, which may be a node that is ahead and
 * was subscribed after what the old one has yet to tell. */
#define RF_SUBS_OVERLAP_NS (3 * RF_SEC)
/* Reconnects: full jitter between these; forgotten after so long in health. */
#define RF_SUBS_BACKOFF_NS (500 * RF_MS)
#define RF_SUBS_BACKOFF_CAP_NS (30 * RF_SEC)
/* A connection that said it was full is tried again after so long, while somebody waits. */
#define RF_SUBS_CAP_AGAIN_NS (10 * RF_SEC)
#define RF_SUBS_HEALTHY_NS (60 * RF_SEC)
/* An endpoint that refuses the key, the plan or us is left alone for so long. */
#define RF_SUBS_BENCH_NS (300 * RF_SEC)
/* From an endpoint of a lower rank one goes back to a better one that had no trouble for so long.
 */
#define RF_SUBS_RETURN_NS (120 * RF_SEC)
/* Connections that one endpoint opens at one time. */
#define RF_SUBS_OPENING_MAX 4
/* Failures in a row after which an endpoint is taken for down, and others are used. */
#define RF_SUBS_DOWN 2
/* After a failed allocation the rest is tried again after so long. */
#define RF_SUBS_MEMORY_NS (100 * RF_MS)
#define RF_SUBS_SLOT_NS (400 * RF_MS)

struct rf_subs_wire;
struct rf_subs_conn;

enum rf_seat_state {
    RF_SEAT_WAITING, /* to be asked for */
    RF_SEAT_ASKED,   /* the reply has not come */
    RF_SEAT_UP,
    RF_SEAT_ENDING, /* to be unsubscribed */
    RF_SEAT_ENDED,  /* the reply to that has not come */
    RF_SEAT_STATES
};

/** What a seat is to its leg. */
enum rf_seat_role {
    RF_ROLE_NONE,  /* nobody wants it any more */
    RF_ROLE_CUR,   /* the one that counts */
    RF_ROLE_NEXT,  /* of the replacement, not UP yet */
    RF_ROLE_FORMER /* replaced; still tells, and may come back */
};

/** A connection's own subscriptions. */
enum rf_beat { RF_BEAT_SLOT, RF_BEAT_ROOT, RF_BEATS, RF_BEAT_NONE = RF_BEATS };

/** What a wire is, as far as it matters. */
enum rf_wire_kind { RF_WIRE_PLAIN, RF_WIRE_SLOT, RF_WIRE_ROOT, RF_WIRE_HEADS };

struct rf_subs_seat {
    struct rf_table_node by_id;  /* (session, remote id), from UP on */
    struct rf_table_node by_req; /* while a request is out */
    struct rf_link on_conn;      /* on the connection's list of its state */
    struct rf_link on_wire;
    struct rf_subs_conn *conn;
    struct rf_subs_wire *wire; /* NULL: only the connection's own */
    enum rf_seat_state state;
    enum rf_seat_role role;
    enum rf_beat beat;
    uint32_t copy;
    bool batched; /* asked in a batch */
    uint64_t req, asked_ns;
    uint32_t id_len;
    char id[RF_SUBS_ID_MAX]; /* as the node wrote it */
};

struct rf_subs_leg {
    struct rf_link homeless;
    struct rf_subs_wire *wire;
    uint32_t copy;
    struct rf_subs_seat *cur, *next, *former;
    uint64_t not_before_ns; /* refused: no new try before */
    uint32_t fails;         /* refusals in a row */
};

struct rf_subs_wire {
    struct rf_table_node by_key;
    struct rf_link all;
    char *key; /* method, a NUL, canonical params; owned */
    size_t key_len;
    char *tail; /* of its requests; owned */
    size_t tail_len;
    char *unsub; /* method that ends it, owned; NULL: there is none */
    enum rf_wire_kind kind;
    struct rf_link listeners, seats;
    uint32_t n_listeners, n_two; /* of them with two copies */
    struct rf_subs_leg leg[2];
    uint64_t lacking; /* endpoints, by bit, that do not know it */
};

struct rf_subs_listener {
    struct rf_table_node by_id;
    struct rf_link on_wire;
    struct rf_link fresh;      /* on the engine's list while it may have an UP to be told */
    struct rf_subs_wire *wire; /* NULL: refused, nothing follows */
    uint64_t id, tag;
    uint32_t copies;
    uint8_t up[2]; /* by copy: on which of the leg's seats it was told UP; bits RF_UP_* */
};

#define RF_UP_CUR 1u
#define RF_UP_FORMER 2u

/** The states of a connection, in the order in which they can follow. */
enum rf_conn_state {
    RF_CONN_NEW,
    RF_CONN_OPENING,
    RF_CONN_OPEN,
    RF_CONN_LEAVING, /* its replacement is coming up; may go back to OPEN */
    RF_CONN_CLOSING, /* nothing is on it any more, the transport has yet to say so */
    RF_CONN_GONE,
    RF_CONN_STATES
};

/** A notification whose id is not known yet. */
struct rf_subs_held {
    struct rf_link link;
    struct rf_blob *blob;
    struct rpcfan_slice id, json; /* into the blob */
    uint64_t at_ns;
};

struct rf_subs_conn {
    struct rf_table_node by_session;
    struct rf_link all;
    uint64_t session;
    uint32_t ep;
    enum rf_conn_state state;
    struct rf_link seats[RF_SEAT_STATES]; /* by their state */
    struct rf_link held;
    uint32_t n_seats, n_users;       /* all; of them those of legs */
    uint32_t cap;                    /* seats at most, as learned from a refusal */
    uint64_t cap_ns;                 /* when one may try whether there is room for more */
    struct rf_subs_conn *heir, *old; /* a replacement that comes up, and whom it replaces */
    struct rf_subs_seat *beat[RF_BEATS];
    const char *why;    /* of its state */
    const char *doomed; /* not NULL: why the next step ends it */
    uint64_t began_ns;  /* when it was opened */
    uint64_t open_ns;   /* when it stood */
    uint64_t beat_ns;   /* the latest sign of life that is watched; 0: none is */
    uint64_t heads_ns;
    uint64_t idle_ns;   /* since when it is empty; RF_NEVER: it is not */
    uint64_t retire_ns; /* when a replacement is due; RF_NEVER: never */
    uint64_t return_ns; /* when a better endpoint is looked for; RF_NEVER: there is none */
    uint64_t linger_ns; /* of a replaced one: when it ends; RF_NEVER: not yet */
    uint64_t slot;      /* the highest it told */
    bool acked;         /* anything was answered */
    bool gone;          /* the transport has ended it */
};

struct rf_subs_end_point {
    struct rf_subs_endpoint o; /* with defaults filled in */
    uint32_t n_conns, n_opening, n_seats;
    uint32_t fails;        /* in a row, counted once for all that fell together */
    uint64_t fail_ns;      /* the latest of them */
    uint64_t retry_ns;     /* no connection before */
    bool probing;          /* the last one failed: one at a time */
    uint64_t tat_ns;       /* pacer: when the next message may go */
    uint64_t pause_ns;     /* throttled: no request before */
    uint64_t throttled_ns; /* when it was last, and ... */
    uint32_t throttles;    /* ... how often in a row */
    uint64_t full_ns;      /* it said that it is full: nothing new before */
    uint32_t fulls;
    bool no_batch, batch_ok;
    uint32_t batch_ends;    /* connections that ended on an unanswered batch */
    bool no_beat[RF_BEATS]; /* it does not know that method */
    const char *why;        /* of its latest trouble; NULL: none */
};

struct rf_subs {
    struct rf_subs_options o; /* with defaults filled in */
    struct rf_subs_ops ops;
    struct rf_rules *own_rules;
    const struct rf_rules *rules;
    struct rf_rng rng;
    struct rf_subs_end_point *ep; /* owned */
    uint32_t *order;              /* endpoints by priority; owned */
    struct rf_table listeners, wires, sessions, ids, reqs;
    struct rf_link all_wires, conns, homeless, fresh;
    struct rf_subs_wire beat[RF_BEATS]; /* what the beats are as wires: their requests */
    struct rf_buf out;
    uint64_t next_id, next_session, next_req;
    uint64_t n_held, held_bytes;
    uint64_t slot_ns; /* time between slots, as seen */
    uint64_t slot_seen, slot_seen_ns;
    uint64_t next_ns;     /* when the next step is due */
    uint64_t place_ns;    /* when a homeless leg may be placed by time alone */
    uint32_t message_min; /* the shortest message_bytes of all endpoints */
    uint64_t memory_ns;   /* out of memory: again after; RF_NEVER: no */
    bool dirty;           /* a step is due now */
    struct rf_subs_counters count;
};

/* subs.c */

/** Out of memory somewhere: the next step tries again a little later. */
void rf_subs_starved(struct rf_subs *s, uint64_t now_ns);
/** Free a wire that nobody listens to and that has no seat; else no effect. */
void rf_subs_wire_drop(struct rf_subs *s, struct rf_subs_wire *w);
/** Refuse a wire for good: its listeners are told `error` and hear nothing more. */
void rf_subs_wire_refuse(struct rf_subs *s, struct rf_subs_wire *w, struct rpcfan_slice error,
                         struct rf_blob *blob, const struct rf_subs_conn *c);
/** Make a leg homeless where it is wanted and has no seat. */
void rf_subs_leg_homeless(struct rf_subs *s, struct rf_subs_wire *w, uint32_t copy);
/** Whether a leg is wanted by any listener. */
bool rf_subs_leg_wanted(const struct rf_subs_wire *w, uint32_t copy);

/* subs_seat.c */

/** A new seat, WAITING. `w` NULL with a beat. @return NULL when out of memory. */
struct rf_subs_seat *rf_seat_new(struct rf_subs *s, struct rf_subs_conn *c, struct rf_subs_wire *w,
                                 enum rf_beat beat);
/** Free a seat that is nobody's. */
void rf_seat_free(struct rf_subs *s, struct rf_subs_seat *seat);
/** Give it to a leg. */
void rf_seat_give(struct rf_subs_seat *seat, struct rf_subs_wire *w, uint32_t copy,
                  enum rf_seat_role role);
/** Take it from its leg and tell nothing. It then ends as its state asks: freed, or unsubscribed,
 * at once or once its reply came. */
void rf_seat_release(struct rf_subs *s, struct rf_subs_seat *seat);
/** Move it to the list of a state. */
void rf_seat_set(struct rf_subs_seat *seat, enum rf_seat_state state);
/** Its reply came: file its id, tell UP. */
void rf_seat_up(struct rf_subs *s, struct rf_subs_seat *seat, struct rpcfan_slice id,
                uint64_t now_ns);
/** Its connection ends, or the node refused it: tell DOWN where that is so, find the leg another
 * way, and free it. */
void rf_seat_lose(struct rf_subs *s, struct rf_subs_seat *seat, const char *why);
/** Tell the listeners of a leg's seat that is UP, but for those that were told. */
void rf_seat_tell_up(struct rf_subs *s, const struct rf_subs_seat *seat);
/** Whether a listener was told that a seat is UP, and not that it is DOWN. */
static inline bool rf_seat_is_up_for(const struct rf_subs_seat *seat,
                                     const struct rf_subs_listener *li)
{
    uint8_t bit = seat->role == RF_ROLE_FORMER ? RF_UP_FORMER : RF_UP_CUR;
    return (li->up[seat->copy] & bit) != 0;
}
/** The first of a connection's seats with a remote id, or NULL. */
struct rf_subs_seat *rf_seat_find(const struct rf_subs *s, const struct rf_subs_conn *c,
                                  struct rpcfan_slice id);
/** The next one: nodes give one id to what they take for equal. */
struct rf_subs_seat *rf_seat_find_next(const struct rf_subs_seat *seat);
/** Another seat of the connection with the same remote id that is wanted, or NULL. */
struct rf_subs_seat *rf_seat_twin(const struct rf_subs *s, const struct rf_subs_seat *seat);

/* subs_conn.c */

/** The one place where a connection's state changes. */
void rf_conn_set(struct rf_subs *s, struct rf_subs_conn *c, enum rf_conn_state state,
                 const char *why);
/** The name of a state. */
const char *rf_conn_state_name(enum rf_conn_state state);
/** Make a connection to an endpoint and have it opened. @return NULL when out of memory. */
struct rf_subs_conn *rf_conn_open(struct rf_subs *s, uint32_t ep, uint64_t now_ns);
/** Whether seats on it tell anything. */
bool rf_conn_live(const struct rf_subs_conn *c);
/** End it: everything on it is lost. @param failed the endpoint is to blame. */
void rf_conn_end(struct rf_subs *s, struct rf_subs_conn *c, const char *why, bool failed,
                 uint64_t now_ns);
/** The next step ends it; until then it tells nothing more. */
void rf_conn_doom(struct rf_subs *s, struct rf_subs_conn *c, const char *why);
/** Free what the transport has given back. */
void rf_conn_free(struct rf_subs *s, struct rf_subs_conn *c);
/** Do what is due on all connections. */
void rf_conn_watch(struct rf_subs *s, uint64_t now_ns);
/** When the next of that is due. */
uint64_t rf_conn_due(const struct rf_subs *s, const struct rf_subs_conn *c);
/** The session, or NULL. */
struct rf_subs_conn *rf_conn_find(const struct rf_subs *s, uint64_t session);

/* subs_place.c */

/** Find seats for homeless legs, opening connections where that is needed; sets place_ns. */
void rf_place_all(struct rf_subs *s, uint64_t now_ns);
/** Seats that one connection may have for legs, the beats left out. */
uint32_t rf_place_room(const struct rf_subs *s, const struct rf_subs_conn *c);
/** An endpoint that goes before a connection's own and that could take all that is on it now.
 * @return its index, UINT32_MAX: there is none. */
uint32_t rf_place_better(const struct rf_subs *s, const struct rf_subs_conn *c, uint64_t now_ns);
/** Whether the endpoint may be connected to now. */
bool rf_place_may_open(const struct rf_subs *s, uint32_t ep, uint64_t now_ns);

/* subs_wire.c */

/** Write a wire's requests: its key, the tail of the subscribing one and the method that ends it.
 * @return false when out of memory. */
bool rf_wire_compose(struct rf_subs_wire *w, const char *method, struct rpcfan_slice params);
/** Send what waits, as far as the pacers allow. */
void rf_wire_send(struct rf_subs *s, uint64_t now_ns);
/** Whether a connection has something to send. */
bool rf_wire_waits(const struct rf_subs_conn *c);
/** When an endpoint may send its next message. */
uint64_t rf_wire_may_send(const struct rf_subs_end_point *e);

/* subs_read.c */

/** Throw away what is held of a connection, all of it or what is older than the reply window. */
void rf_read_forget(struct rf_subs *s, struct rf_subs_conn *c, uint64_t now_ns, bool all);
/** Tell what was held for a seat that just came UP. */
void rf_read_held(struct rf_subs *s, struct rf_subs_seat *seat);
/** Tell a note to all listeners of a seat. */
void rf_read_tell(struct rf_subs *s, const struct rf_subs_seat *seat, struct rpcfan_slice json,
                  struct rf_blob *blob);

/* subs_fate.c */

/** A reply to a request for a seat is an error. May free the seat. */
void rf_fate_refused(struct rf_subs *s, struct rf_subs_seat *seat, struct rpcfan_slice error,
                     struct rf_blob *blob, uint64_t now_ns);
/** An error object answered no request: a batch as a whole, or nothing that is known. */
void rf_fate_batch(struct rf_subs *s, struct rf_subs_conn *c, struct rpcfan_slice error,
                   uint64_t now_ns);
/** The transport ended a connection: what follows for its endpoint. Before rf_conn_end(). */
void rf_fate_ended(struct rf_subs *s, struct rf_subs_conn *c, const struct rf_subs_end *end,
                   uint64_t now_ns);
/** A connection failed: count it and back off. */
void rf_fate_failed(struct rf_subs *s, struct rf_subs_conn *c, const char *why, uint64_t now_ns);
/** A subscribe was acknowledged. */
void rf_fate_served(struct rf_subs *s, struct rf_subs_seat *seat);

#endif
