/* subs.h - the subscription engine of one network: many subscriptions over few WebSocket
 * connections to its endpoints, and their coverage told without a lie.
 *
 * Pure: events and the time go in, and what is to be done goes out through the functions that it is
 * given (rf_subs_ops), which must not call back into the engine. Driven by client/ over real
 * sockets and by sim/ in virtual time. One thread owns it.
 *
 * It keeps stable ids over remote ones, shares equal subscriptions on one wire, spreads them over
 * connections by the endpoint's limits, packs and paces the requests, holds notifications that come
 * before their reply, watches for silence, reconnects with full jitter and subscribes again. */
#ifndef RF_FEED_SUBS_H
#define RF_FEED_SUBS_H

#include "base/log.h"
#include "feed/note.h"

struct rf_subs;
struct rf_buf;
struct rf_rules;

/** What an endpoint allows. 0 in a number: the default of the family. */
struct rf_subs_endpoint {
    const char *name;       /* borrowed, outlives */
    uint32_t subs_per_conn; /* subscriptions on one connection at most; default 100 */
    uint32_t conns;         /* connections at most; default 8 */
    uint32_t message_bytes; /* longest message that it takes; default 4096 (Solana), else 64 KiB */
    uint32_t per_s;         /* messages with (un)subscribe requests a second; default 50 */
    uint32_t priority;      /* lower goes first */
    uint64_t lifetime_ns;   /* planned reconnect after so long, the new one first; 0: never */
    uint64_t retry_ns;      /* longest wait before a reconnect; default 30 s */
    bool no_batch;          /* never put several requests into one message (it is also learned) */
};

/** What the engine does to the world. None of them may call the engine. */
struct rf_subs_ops {
    void *arg;
    /** Open a connection named `session` to an endpoint; rf_subs_opened() or rf_subs_closed()
     * follows. */
    void (*open)(void *arg, uint32_t endpoint, uint64_t session);
    /** Send a text message. */
    void (*send)(void *arg, uint64_t session, const char *text, size_t len);
    /** Close; rf_subs_closed() follows all the same. */
    void (*close)(void *arg, uint64_t session);
    /** Tell. */
    void (*note)(void *arg, const struct rf_note *note);
};

/** How a connection ended, as the transport knows it. */
struct rf_subs_end {
    int status;              /* HTTP status of a refused handshake, close code (1000...), or 0 */
    uint64_t retry_after_ns; /* RF_NEVER: none */
    const char *why;         /* static words */
};

struct rf_subs_options {
    enum rpcfan_family family;
    const struct rf_subs_endpoint *endpoint;
    uint32_t n_endpoints;
    bool heartbeat;      /* Solana: a slot feed of its own on each connection, told as
                            RF_NOTE_SLOT; its silence ends the connection */
    bool roots;          /* Solana: a root feed likewise */
    uint64_t stall_ns;   /* silence of the heartbeat (or, EVM, of newHeads where one is subscribed)
                            that ends a connection; 0: 5 s on Solana, 60 s on EVM */
    uint32_t held;       /* unknown-id notifications held for their reply; default 1024 */
    uint64_t held_bytes; /* default 16 MiB */
    uint64_t seed;
    const struct rf_rules *rules; /* what refusals mean; outlive it; NULL: the built-in ones */
    const struct rf_log *log;     /* may be NULL */
};

/** A subscription to add. Copied. */
struct rf_subs_want {
    const char *method;         /* "accountSubscribe", "eth_subscribe", ... */
    struct rpcfan_slice params; /* raw JSON array, or empty */
    uint32_t copies;            /* 1, or 2: kept at two endpoints at one time where there are two */
    uint64_t tag;
};

/** Counted since the beginning. */
struct rf_subs_counters {
    uint64_t subs, wire, up;          /* now: listeners, different ones, acknowledged ones */
    uint64_t sessions, opened, ended; /* now; ever */
    uint64_t notes, bytes;            /* notifications told; bytes of messages */
    uint64_t held, lost_held;    /* came before their reply; of them thrown away over the cap */
    uint64_t unknown, malformed; /* notifications for nobody; messages that made no sense */
    uint64_t stalls, requests, refused; /* connections ended for silence; (un)subscribes; of them */
};

/** Make an engine. @return owned, or NULL when out of memory. */
struct rf_subs *rf_subs_new(const struct rf_subs_options *o, const struct rf_subs_ops *ops,
                            uint64_t now_ns);
/** Free; tells nothing. NULL is ignored. */
void rf_subs_free(struct rf_subs *s);

/** Add a subscription. What follows comes as notes with its `tag`, the first on a later step.
 * @return its id; 0 when out of memory or where params are no JSON array. */
uint64_t rf_subs_add(struct rf_subs *s, const struct rf_subs_want *w, uint64_t now_ns);
/** Remove one: no note of it follows. The wire's is ended with its last listener. */
void rf_subs_remove(struct rf_subs *s, uint64_t sub, uint64_t now_ns);
/** Something is wrong with a session (what it told is refuted): end it and begin anew. */
void rf_subs_distrust(struct rf_subs *s, uint64_t session, const char *why, uint64_t now_ns);

/** The transport's words. Unknown sessions are ignored. `blob` holds the whole message. */
void rf_subs_opened(struct rf_subs *s, uint64_t session, uint64_t now_ns);
/** A whole message. @param blob borrowed. */
void rf_subs_message(struct rf_subs *s, uint64_t session, struct rf_blob *blob, uint64_t now_ns);
/** A message was over the transport's cap and is lost: a gap of unknown subscriptions. */
void rf_subs_lost(struct rf_subs *s, uint64_t session, const char *why, uint64_t now_ns);
/** A connection ended, or was never made. */
void rf_subs_closed(struct rf_subs *s, uint64_t session, const struct rf_subs_end *end,
                    uint64_t now_ns);

/** Do what is due: connect, subscribe, watch. Call after any of the above and at the deadline. */
void rf_subs_step(struct rf_subs *s, uint64_t now_ns);
/** When the next step is due by itself; RF_NEVER: not at all. */
uint64_t rf_subs_deadline(const struct rf_subs *s);

/** The counters. */
void rf_subs_count(const struct rf_subs *s, struct rf_subs_counters *out);
/** Append a JSON object: endpoints with their sessions, states and why. No URL. */
void rf_subs_status(const struct rf_subs *s, uint64_t now_ns, struct rf_buf *b);

#endif
