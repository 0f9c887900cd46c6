/* feed.h - the Solana account feed: a snapshot and what changes after it, with every gap found and
 * repaired, and a watermark that says how far all of it is complete.
 *
 * Pure: notes of the subscription engine, answers of calls and the time go in; subscriptions, calls
 * and events come out. One thread at a time: the client locks. The algorithm is in ARCHITECTURE.md,
 * "The account feed". */
#ifndef RF_FEED_FEED_H
#define RF_FEED_FEED_H

#include "base/buf.h"
#include "base/log.h"
#include "feed/note.h"
#include "rpcfan/feed.h"

struct rf_feed;

#define RF_KEY_BYTES 32

/** A call that the feed wants made. Borrowed for the call of ops->call(). */
struct rf_feed_call {
    uint64_t token; /* names it */
    const char *method;
    struct rpcfan_slice params;
    bool stream;         /* rows of the result come one by one, by rf_feed_row() */
    uint64_t timeout_ns; /* relative deadline */
};

/** What came of a call. Borrowed. */
struct rf_feed_answer {
    enum rpcfan_err err;
    struct rpcfan_slice json; /* the result (err 0; empty where it was streamed), or the node's
                                 error object */
    struct rf_blob *blob;     /* what it points into; may be NULL */
    uint64_t context_slot;    /* of a streamed result: as far as it was seen; 0: none */
    const char *endpoint;     /* name; "" */
};

/** What the feed does to the world. None of them may call the feed. */
struct rf_feed_ops {
    void *arg;
    /** Add a subscription; notes with `tag` follow. @return its id, 0: out of memory. */
    uint64_t (*subscribe)(void *arg, const char *method, struct rpcfan_slice params, uint64_t tag);
    /** Remove one. */
    void (*unsubscribe)(void *arg, uint64_t sub);
    /** What this session told is refuted. */
    void (*distrust)(void *arg, uint64_t session, const char *why);
    /** Make a call; rf_feed_answer() follows exactly once. */
    void (*call)(void *arg, const struct rf_feed_call *call);
    /** It is not needed any more; rf_feed_answer() follows all the same. */
    void (*cancel)(void *arg, uint64_t token);
    /** Stop, or go on with, the rows of a streamed call. */
    void (*pause)(void *arg, uint64_t token, bool pause);
};

/** A row of a streamed getProgramAccounts. Borrowed. */
struct rf_feed_row {
    struct rpcfan_slice json; /* {"pubkey":...,"account":{...}} */
    uint64_t context_slot;    /* 0: not seen yet */
    bool first;               /* a new attempt begins with this row: what came before may come
                                 again */
};

/** Make a feed from public options (checked here). @param seed of chance. @return 0,
 * RPCFAN_EINVAL (named in `err`) or RPCFAN_ENOMEM. */
enum rpcfan_err rf_feed_new(const struct rpcfan_feed_options *o, const struct rf_feed_ops *ops,
                            uint64_t seed, const struct rf_log *log, struct rf_feed **out,
                            struct rpcfan_error *err);
/** Free. Calls may still be under way: their answers must not be handed in any more. */
void rf_feed_free(struct rf_feed *f);
/** Something known from an earlier run, before the start. As rpcfan_feed_seed(). */
enum rpcfan_err rf_feed_seed(struct rf_feed *f, const struct rpcfan_known *known, size_t n);
/** Begin. */
void rf_feed_start(struct rf_feed *f, uint64_t now_ns);

/** A note of the engine. */
void rf_feed_note(struct rf_feed *f, const struct rf_note *note, uint64_t now_ns);
/** A row of a streamed call. */
void rf_feed_row(struct rf_feed *f, uint64_t token, const struct rf_feed_row *row, uint64_t now_ns);
/** A call ended. */
void rf_feed_answer(struct rf_feed *f, uint64_t token, const struct rf_feed_answer *a,
                    uint64_t now_ns);
/** Do what is due. Call after any of the above and at the deadline. */
void rf_feed_step(struct rf_feed *f, uint64_t now_ns);
/** When the next step is due by itself; RF_NEVER: not at all. */
uint64_t rf_feed_deadline(const struct rf_feed *f);

/** Take up to `n` events; as rpcfan_feed_take(). What was taken before counts as kept. */
size_t rf_feed_take(struct rf_feed *f, struct rpcfan_account_event *out, size_t n,
                    struct rpcfan_feed_mark *mark);
/** Whether rf_feed_take() has something new to say. */
bool rf_feed_ready(const struct rf_feed *f);
/** RPCFAN_BLOCK: whether the queue has as much as it should have: read no more from the sockets
 * until it is false again. Notes that come all the same are taken, and what does not fit is read
 * again. */
bool rf_feed_full(const struct rf_feed *f);
/** Release what events hold. Thread: any; needs no lock. */
void rf_feed_release(struct rpcfan_account_event *ev, size_t n);
/** Figures. */
void rf_feed_status(const struct rf_feed *f, uint64_t now_ns, struct rpcfan_feed_status *out);

#endif
