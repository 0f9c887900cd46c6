/* index_run.h - the loop of `rpcfan index`: takes the feed's events, decodes them, writes them into
 * the database and onto stdout. Called by cmd_index.c, on the main thread; the client's loop runs
 * beside it. */
#ifndef RF_CLI_INDEX_RUN_H
#define RF_CLI_INDEX_RUN_H

#include "app/progress.h"
#include "cli/follow.h"
#include "cli/index_options.h"
#include "sink/sqlite.h"

/* An account's data, decompressed. The chain's own limit is 10 MiB. */
#define RF_INDEX_DATA_MAX ((size_t)64 * 1024 * 1024)
/* Accounts that could not be decoded and wait to be told again. */
#define RF_INDEX_BAD_MAX 64

/** What a run did. */
struct rf_index_counts {
    uint64_t kind[5];                               /* events, by enum rpcfan_account_kind */
    uint64_t malformed;                             /* accounts that could not be decoded */
    uint64_t restarts;                              /* of the feed, for their sake */
    uint64_t same, differs, missing, extra, behind; /* --verify */
    uint64_t read_slot;                             /* --verify: the lowest slot that was read at */
    uint64_t wall_ns;
};

/** A run. Zero it and set the first part. */
struct rf_index {
    struct rf_follow follow;
    const struct rf_index_options *o;
    struct rf_db *db; /* NULL: lines only */

    rpcfan_feed_t *feed;
    uint64_t base; /* added to the sequence of events */
    struct rpcfan_feed_mark mark;
    struct rpcfan_buffer data;
    uint64_t dirty_ns;  /* since when something is not committed; 0: all is */
    uint64_t locked_ns; /* since when another program's lock is waited for */
    uint8_t bad[RF_INDEX_BAD_MAX][32];
    size_t n_bad;
    uint64_t bad_ns; /* since when there are some */
    struct rf_index_counts count;
    struct rpcfan_feed_status status; /* the last one */
    struct rf_progress progress;
};

/**
 * Index until the end: of --once, of --for, by an interrupt, by a failure (x->follow.failed).
 * What was put is committed at the end, unless writing failed.
 * @return an exit status.
 */
int rf_index_run(struct rf_index *x);

/**
 * Read every account from the chain and compare it with the database; a line of JSON on stdout for
 * each that differs.
 * @return an exit status: RF_EXIT_CALLS where something differs.
 */
int rf_index_verify(struct rf_index *x);

/** Make a feed, and tell it what the database knows where `seed`; start it.
 * @return false where that failed, and was told. */
bool rf_index_start_feed(struct rf_index *x, bool seed);

/** The feed has given up: say why. */
void rf_index_feed_failed(struct rf_index *x);

#endif
