/* evm.h - Ethereum subscriptions without holes: what "newHeads" and "logs" miss while a connection
 * is down is fetched afterwards, told in order and once; what a fork takes back is said to be taken
 * back. Other subscriptions ("newPendingTransactions") are passed on as they are.
 *
 * Pure: notes of the subscription engine, answers of calls and the time go in; calls and what is to
 * be told come out. One thread at a time. It does not subscribe: its owner adds the subscription to
 * the engine and hands in the notes of it.
 *
 * newHeads: each head follows the one told before, by its parent's hash. Where a fork replaced
 * heads, they are told as {"removed":true,"number":..,"hash":..,"parentHash":..} first, the newest
 * first. A head that had to be fetched has the members that eth_getBlockByNumber gives, without
 * transactions, uncles and withdrawals.
 * logs: as nodes tell them, those of a fork with "removed":true; each (block hash, log index) once,
 * unless it was taken back between. */
#ifndef RF_FEED_EVM_H
#define RF_FEED_EVM_H

#include "base/log.h"
#include "feed/feed.h"
#include "feed/note.h"

struct rf_evm;

/** What kind of care a subscription can be given. */
enum rf_evm_kind { RF_EVM_NONE, RF_EVM_HEADS, RF_EVM_LOGS };

/** Something to be told. Borrowed for the call; rf_blob_ref(blob, 1) keeps what `json` points into.
 */
struct rf_evm_told {
    enum rpcfan_note_kind kind; /* DATA, UP, GAP, FILLED, END */
    struct rpcfan_slice json;   /* DATA; END: the error object */
    struct rf_blob *blob;       /* NULL: static words, with END */
    uint64_t block;             /* DATA: its number; 0: not known */
    uint32_t endpoint;          /* index in the network; RF_EVM_FETCHED: it was fetched */
    const char *why;            /* GAP: static words */
};

#define RF_EVM_FETCHED UINT32_MAX

/** What it does to the world. None of them may call the feed. */
struct rf_evm_ops {
    void *arg;
    /** Make a call; rf_evm_answer() follows exactly once. As of an account feed, never streamed. */
    void (*call)(void *arg, const struct rf_feed_call *call);
    /** Tell. */
    void (*tell)(void *arg, const struct rf_evm_told *told);
};

/** 0 in a number: the default. */
struct rf_evm_options {
    const char *method;         /* "eth_subscribe" */
    struct rpcfan_slice params; /* raw JSON array; copied where it is kept */
    uint32_t margin;     /* logs: blocks before the last one seen that are read again; default 32 */
    uint32_t depth;      /* heads: a fork deeper than this is not followed; default 64 */
    uint64_t keep_bytes; /* logs: texts of the newest ones, that may be taken back; 16 MiB */
    uint64_t held_bytes; /* logs: what comes while a gap is being filled; 16 MiB */
    uint64_t settle_ns;  /* logs: the gap is read a second time after so long, since the node that
                            answered may have been behind; default 4 s; RF_NEVER: not */
    uint64_t poll_ns;    /* logs: between looks at the head, which bound what a gap can hold;
                            default 60 s; RF_NEVER: not */
    uint64_t timeout_ns; /* of calls; default 30 s */
    uint64_t seed;       /* of jitter */
    const struct rf_log *log; /* may be NULL */
    const char *name;         /* for log lines; borrowed; NULL: "" */
};

/** Counted since the beginning. */
struct rf_evm_counters {
    uint64_t told, fetched, twice; /* DATA; of them by calls; dropped as told before */
    uint64_t removed;              /* DATA that take back */
    uint64_t gaps, filled, broken; /* broken: given up */
    uint64_t malformed, calls;
    uint64_t kept, kept_bytes; /* now: heads or logs that may be taken back */
};

/** Which kind a subscription is. */
enum rf_evm_kind rf_evm_kind(const char *method, struct rpcfan_slice params);
/** Make one. @return owned, or NULL when out of memory. */
struct rf_evm *rf_evm_new(const struct rf_evm_options *o, const struct rf_evm_ops *ops,
                          uint64_t now_ns);
/** Free; answers to its calls must not be handed in any more. NULL is ignored. */
void rf_evm_free(struct rf_evm *e);
/** A note of the engine: UP, DATA, DOWN, REFUSED of its subscription; others are ignored. */
void rf_evm_note(struct rf_evm *e, const struct rf_note *note, uint64_t now_ns);
/** A call ended. @param token as it was named; unknown ones are ignored. */
void rf_evm_answer(struct rf_evm *e, uint64_t token, const struct rf_feed_answer *a,
                   uint64_t now_ns);
/** Do what is due. Call at the deadline. */
void rf_evm_step(struct rf_evm *e, uint64_t now_ns);
/** When something is due by itself; RF_NEVER: not at all. */
uint64_t rf_evm_deadline(const struct rf_evm *e);
/** The counters. */
void rf_evm_count(const struct rf_evm *e, struct rf_evm_counters *out);

#endif
