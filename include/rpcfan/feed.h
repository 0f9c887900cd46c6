/* rpcfan/feed.h - the public API of account feeds: Solana accounts, snapshot and changes, without
 * gaps.
 *
 * A feed belongs to a client. It subscribes, takes a snapshot, merges, repairs, and hands out
 * events in the order in which they must be applied, together with a mark: how far everything is
 * complete once they are.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef RPCFAN_FEED_H
#define RPCFAN_FEED_H

#include <rpcfan/rpcfan.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rpcfan_feed rpcfan_feed_t;

/** How sure a state must be. */
enum rpcfan_commitment {
    RPCFAN_CONFIRMED = 0, /**< voted for by most of the stake; the default */
    RPCFAN_PROCESSED = 1, /**< the newest of the node's chosen fork; may be taken back */
    RPCFAN_FINALIZED = 2  /**< never taken back; some 13 s old */
};

/** How nodes are asked to send account data. */
enum rpcfan_encoding { RPCFAN_BASE64 = 0, RPCFAN_BASE64_ZSTD = 1 };

/** What happened to an account. */
enum rpcfan_account_kind {
    RPCFAN_ACCOUNT_SNAPSHOT = 0, /**< found by the first snapshot */
    RPCFAN_ACCOUNT_CREATE = 1,   /**< it was not there, or was closed, and now is there */
    RPCFAN_ACCOUNT_UPDATE = 2,   /**< it changed */
    RPCFAN_ACCOUNT_CLOSE = 3,    /**< it is gone */
    RPCFAN_ACCOUNT_LEFT = 4      /**< program feeds: its owner is another one now, or the filters do
                                      not match any more */
};

/** An event. `json` and `hold` live until rpcfan_feed_release(). */
struct rpcfan_account_event {
    enum rpcfan_account_kind kind;
    uint8_t key[32];
    uint64_t slot;            /**< the state is that of this slot at the latest */
    uint64_t seq;             /**< rises by one with each event of a feed */
    uint64_t hash;            /**< of the account's content; 0 with CLOSE and LEFT */
    struct rpcfan_slice json; /**< the account object; empty with CLOSE and LEFT */
    void *hold;               /**< private */
};

/** What an earlier run knew of an account, see rpcfan_feed_seed(). */
struct rpcfan_known {
    uint8_t key[32];
    uint64_t slot, hash; /**< of its last event */
    int gone;            /**< that event was CLOSE or LEFT */
};

/** How far a feed is complete once all events taken so far are kept. */
struct rpcfan_feed_mark {
    uint64_t watermark;     /**< every account is as of this slot or later; 0: not yet */
    uint64_t seq;           /**< of the last event handed out */
    int complete;           /**< 1: the first snapshot is whole. With `once` nothing follows it */
    enum rpcfan_err failed; /**< not 0: the feed has given up, see rpcfan_feed_status.why */
};

/** A feed. Fill with rpcfan_feed_options_init() first. Strings are copied. */
struct rpcfan_feed_options {
    size_t size;
    const char *network;         /**< NULL: the first */
    const char *program;         /**< all accounts that it owns, base58; or NULL and ... */
    const char *const *accounts; /**< ... these, base58 */
    size_t n_accounts;
    const char *filters; /**< with `program`: raw JSON array as getProgramAccounts takes
                              it; NULL: none */
    enum rpcfan_commitment commitment;
    enum rpcfan_encoding encoding;
    enum rpcfan_overflow overflow; /**< of events nobody takes; default RPCFAN_LATEST */
    uint64_t queue_events;         /**< that wait at most; default 131072 */
    uint64_t queue_bytes;          /**< default 64 MiB */
    uint32_t calls;                /**< reads under way at one time; default 8 */
    uint32_t inputs;   /**< accounts of one getMultipleAccounts; default 100; less is learned */
    uint64_t sweep_ms; /**< with `program`: each known account is looked up again within this time,
                            which finds what was closed; sooner where one read in 5 s is enough for
                            it; default 600000; 0: never */
    uint64_t audit_ms; /**< between samples that prove the stream; default 10000; 0: never */
    uint32_t audit_keys; /**< accounts of a sample; default 5 */
    uint32_t copies;     /**< endpoints that are subscribed to at one time; default 1, at most 2 */
    int once;            /**< 1: the snapshot alone, no subscription */
};

/** Figures of a feed. */
struct rpcfan_feed_status {
    uint64_t accounts;  /**< known and there */
    uint64_t watermark; /**< of the last take */
    uint64_t tip;       /**< the highest slot heard of */
    uint64_t notes;     /**< notifications that came */
    uint64_t events;    /**< events made */
    uint64_t same;      /**< news that were none: the content was known */
    uint64_t stale;     /**< older than what was known */
    uint64_t gaps;      /**< times that coverage was lost */
    uint64_t repairs;   /**< accounts read again, whatever for */
    uint64_t dirty;     /**< accounts that wait for it now */
    uint64_t missed;    /**< changes that the stream should have told and did not (audit, sweep) */
    uint64_t malformed; /**< news that could not be read */
    uint64_t queue_events, queue_bytes, conflated,
        dropped;            /**< of the queue: now, now, ever, ever */
    uint64_t snapshot_rows; /**< accounts read by the snapshot under way, or the last one */
    uint64_t calls;         /**< reads made */
    char state[24];         /**< "snapshot", "live", "repair", "failed", ... */
    char why[160];          /**< of the last gap or failure, in words */
};

/** Set the defaults. Thread: any. */
RPCFAN_API void rpcfan_feed_options_init(struct rpcfan_feed_options *o);

/**
 * Make a feed. Nothing is sent before rpcfan_feed_start().
 * @return 0, RPCFAN_EINVAL (named in `err`), RPCFAN_ENOMEM, RPCFAN_EIO (no descriptor),
 * RPCFAN_ECLOSED. Thread: any.
 */
RPCFAN_API enum rpcfan_err rpcfan_feed_new(rpcfan_client_t *client,
                                           const struct rpcfan_feed_options *o, rpcfan_feed_t **out,
                                           struct rpcfan_error *err);
/**
 * Tell a feed what an earlier run has kept, so that only what differs becomes an event. Before the
 * start; may be called many times.
 * @return 0, RPCFAN_EINVAL (started already), RPCFAN_ENOMEM. Thread: any.
 */
RPCFAN_API enum rpcfan_err rpcfan_feed_seed(rpcfan_feed_t *feed, const struct rpcfan_known *known,
                                            size_t n);
/** Begin. Once. Thread: any. */
RPCFAN_API void rpcfan_feed_start(rpcfan_feed_t *feed);
/** A descriptor that polls readable while rpcfan_feed_take() has something to say. Do not read. */
RPCFAN_API int rpcfan_feed_fd(const rpcfan_feed_t *feed);
/**
 * Take up to `n` events, in order; returns at once. Taking again says that all that was taken
 * before is kept: what a crash loses is told again, by an event or by the next run's differences.
 * @param mark  out: how far everything is complete once these events are kept.
 * @return how many; release them. Thread: any, one at a time.
 */
RPCFAN_API size_t rpcfan_feed_take(rpcfan_feed_t *feed, struct rpcfan_account_event *out, size_t n,
                                   struct rpcfan_feed_mark *mark);
/** Release what events hold. Thread: any. */
RPCFAN_API void rpcfan_feed_release(struct rpcfan_account_event *events, size_t n);
/** Figures. Thread: any. */
RPCFAN_API void rpcfan_feed_status(rpcfan_feed_t *feed, struct rpcfan_feed_status *out);
/** End a feed: unsubscribes and frees. Its events must have been released. NULL: no-op. Thread: any
 * but the loop's. */
RPCFAN_API void rpcfan_feed_free(rpcfan_feed_t *feed);

/** An account, decoded. */
struct rpcfan_account {
    uint64_t lamports, rent_epoch, space;
    uint8_t owner[32];
    int executable;
    const uint8_t *data; /**< `len` bytes, in the buffer that was handed in */
    size_t len;
};

/** A growing buffer of the caller's. Zero-initialise; rpcfan_free(data) in the end. */
struct rpcfan_buffer {
    uint8_t *data;
    size_t cap;
};

/**
 * Decode an account object as nodes write it: base64, base64+zstd or base58 data.
 * @param json  an event's.
 * @param max   the most bytes of data, decompressed; more is RPCFAN_ETOOBIG.
 * @param buf   grown where it is too small.
 * @return 0, RPCFAN_EMALFORMED, RPCFAN_ETOOBIG, RPCFAN_ENOMEM. Thread: any; takes long for large
 * accounts: not on the loop thread.
 */
RPCFAN_API enum rpcfan_err rpcfan_account_read(struct rpcfan_slice json, size_t max,
                                               struct rpcfan_buffer *buf,
                                               struct rpcfan_account *out);
/** Base58 of 32 bytes. @param out at least 45 bytes; NUL-terminated. */
RPCFAN_API void rpcfan_key_text(const uint8_t key[32], char *out);
/** Its reverse. @return 0 or RPCFAN_EINVAL. */
RPCFAN_API enum rpcfan_err rpcfan_key_read(const char *text, size_t len, uint8_t key[32]);

#ifdef __cplusplus
}
#endif
#endif
