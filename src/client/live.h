/* live.h - the half of a client that listens: WebSocket connections, a subscription engine for each
 * network, and whoever they tell. Internal to src/client.
 *
 *   live.c       connections, engines, commands from other threads, one timer
 *   calls.c      calls that the client makes for itself: a feed's reads, a gap's backfill
 *   subscribe.c  plain subscriptions (sub.h)
 *   feed.c       account feeds
 *
 * Everything here is the loop thread's but where a lock is named. */
#ifndef RF_CLIENT_LIVE_H
#define RF_CLIENT_LIVE_H

#include <string.h>

#include "client/client.h"
#include "feed/feed.h"
#include "feed/subs.h"
#include "net/ws.h"

struct rf_live_net;

/** Something another thread wants done on the loop thread. Embedded in what it is about. */
struct rf_live_cmd {
    struct rf_link link; /* in rf_inbox.commands; under the client's lock */
    void (*run)(struct rf_live_cmd *cmd, uint64_t now_ns);
    bool done; /* it ran, or never will; under the client's lock */
};

/** Who is told the notes of one subscription. Embedded in its owner. */
struct rf_listener {
    struct rf_link link; /* its owner's to use */
    void (*note)(struct rf_listener *l, const struct rf_note *note, uint64_t now_ns);
    void *owner;
    struct rf_live_net *net;
    uint64_t sub; /* the engine's id; 0: none */
    uint64_t tag; /* its owner's to use */
};

/** Who takes part in the turns of a network: a feed. Embedded in its owner. */
struct rf_live_member {
    struct rf_link link;
    /** Whether something happened to it since its last step. */
    bool dirty;
    /** Do what is due; tells when that is next. */
    uint64_t (*step)(struct rf_live_member *m, uint64_t now_ns);
    /** Of a session, not of one subscription (RF_NOTE_SLOT, ROOT, SESSION_*); NULL: not wanted. */
    void (*session)(struct rf_live_member *m, const struct rf_note *note, uint64_t now_ns);
    /** The client closes: nothing more comes. It is off the list then. */
    void (*closed)(struct rf_live_member *m);
    uint64_t due_ns;
};

/** The listening half of one network; made with its first subscription. */
struct rf_live_net {
    struct rf_live *live;
    uint32_t network;
    struct rf_subs *subs;
    uint32_t *endpoint; /* owned: the engine's index to the client's */
    uint32_t n_endpoints;
    struct rf_link members; /* rf_live_member.link */
    uint64_t *session;      /* owned: those that stand */
    uint32_t n_sessions, sessions_cap;
    bool dirty;
};

struct rf_live {
    rpcfan_client_t *client;
    struct rf_ws *ws;
    struct rf_live_net **net; /* owned, by network; NULL: nobody listens there */
    uv_timer_t timer;
    uint64_t armed_ns;
    bool closing;
};

/** Set up: checks the endpoints' ws_url. @return as rf_ws_new(). Thread: loop's. */
enum rpcfan_err rf_live_new(rpcfan_client_t *c, struct rpcfan_error *err);
/** Start the timer's handle. Thread: loop's. */
void rf_live_start(struct rf_live *live);
/** Free; after rf_live_close(), or where it was never started. NULL is ignored. */
void rf_live_free(struct rf_live *live);
/** A part of the loop's turn: commands, engines, members. */
void rf_live_turn(struct rf_live *live, uint64_t now_ns);
/** End all subscriptions and connections; cb when no handle is left, on a later turn. */
void rf_live_close(struct rf_live *live, void (*cb)(void *arg), void *arg);

/** A NUL-terminated text as a slice; NULL: an empty one. */
static inline struct rpcfan_slice rf_text(const char *s)
{
    return (struct rpcfan_slice){s, s == NULL ? 0 : strlen(s)};
}

/** Whether a network has an endpoint that can be subscribed to. Thread: any. */
bool rf_live_can(const rpcfan_client_t *c, uint32_t network);
/** Subscriptions that the connections of a network have room for, those of the engine's own left
 * out. Thread: any. */
uint64_t rf_live_room(const rpcfan_client_t *c, uint32_t network);
/** The listening half of a network, made where it is not there. @return NULL: out of memory. */
struct rf_live_net *rf_live_net(rpcfan_client_t *c, uint32_t network);
/** Add a subscription for a listener, whose `note` is set. @return false: out of memory, or params
 * that are no JSON array. */
bool rf_live_add(struct rf_live_net *net, struct rf_listener *l, const struct rf_subs_want *w,
                 uint64_t now_ns);
/** Remove it; no effect where there is none. */
void rf_live_remove(struct rf_listener *l, uint64_t now_ns);
/** Take part in the turns of a network. */
void rf_live_join(struct rf_live_net *net, struct rf_live_member *m);
/** The name of an endpoint by the engine's index. Lives as long as the client. */
const char *rf_live_endpoint(const struct rf_live_net *net, uint32_t endpoint);
/** Stop or go on reading a session. */
void rf_live_pause(struct rf_live_net *net, uint64_t session, bool pause);
/** Stop or go on reading all sessions that stand. */
void rf_live_pause_all(struct rf_live_net *net, bool pause);
/** A turn is due: something changed outside of one. Thread: loop. */
void rf_live_touch(struct rf_live_net *net);
/** Append a network's subscriptions to the status object; nothing where nobody listens. */
void rf_live_status(const rpcfan_client_t *c, uint64_t now_ns, struct rf_buf *b);

/** Have the loop thread run a command that is not waiting already; at once where this is the loop
 * thread. @return false: the client is closed, it will not run. Thread: any. */
bool rf_live_post(rpcfan_client_t *c, struct rf_live_cmd *cmd);
/** Wait until it ran, or never will. Thread: any but the loop's, where it has run already. */
void rf_live_wait(rpcfan_client_t *c, struct rf_live_cmd *cmd);

#define RF_CALLS_MAX 64 /* of one owner at one time */

/** A set of calls that the client makes for one owner on the loop thread. */
struct rf_calls {
    rpcfan_client_t *client;
    const char *network;            /* borrowed; NULL: the first */
    struct rf_link out;             /* under way */
    struct rf_link late;            /* were not admitted; answered by rf_calls_flush() */
    uint64_t starved[RF_CALLS_MAX]; /* there was no memory for these; likewise */
    uint32_t n_starved;
    void *owner;
    /** A call ended. */
    void (*answered)(void *owner, uint64_t token, const struct rf_feed_answer *a, uint64_t now_ns);
    /** A row of a streamed call came. */
    void (*row)(void *owner, uint64_t token, const struct rf_feed_row *row, uint64_t now_ns);
};

/** Set up. */
void rf_calls_init(struct rf_calls *calls);
/** Make a call; its answer comes later, exactly once. */
void rf_calls_make(struct rf_calls *calls, const struct rf_feed_call *call);
/** It is not needed any more; its answer comes all the same. */
void rf_calls_cancel(struct rf_calls *calls, uint64_t token);
/** Stop, or go on with, the rows of a streamed call. */
void rf_calls_pause(struct rf_calls *calls, uint64_t token, bool pause);
/** Whether something waits for rf_calls_flush(). */
static inline bool rf_calls_late(const struct rf_calls *calls)
{
    return !rf_list_empty(&calls->late) || calls->n_starved > 0;
}
/** Answer what could not be started. @return whether there was any. */
bool rf_calls_flush(struct rf_calls *calls, uint64_t now_ns);
/** Cancel all; no answer comes any more. */
void rf_calls_drop(struct rf_calls *calls);

#endif
