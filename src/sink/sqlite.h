/* sqlite.h - the account database: what `rpcfan index --db` keeps, in SQLite.
 *
 * One writer, in batches: rows and the checkpoint that covers them become true together, so a
 * process may be killed at any instant. Readers (the sqlite3 shell, say) look at it meanwhile.
 * Called by cli/index_*; touches the file and its -wal and -shm. One thread at a time.
 *
 * Happy path: open, tell what is known, put and commit until the end, close.
 * Failure modes: a file that is another program's, of another schema, chain, commitment or set of
 * accounts is left as it is (RPCFAN_EINVAL). A full disk, a lock that is held, a damaged file, one
 * that cannot be written: RPCFAN_EIO with the remedy; the batch under way is lost as a whole, and
 * the next run begins at the checkpoint. A second writer: the later one wins, the earlier one
 * learns of it at its next commit.
 *
 * Schema 1 (PRAGMA user_version; PRAGMA application_id is RF_DB_APPLICATION):
 *
 *   account     a row for each key that was ever told
 *     id          INTEGER PRIMARY KEY
 *     pubkey      TEXT UNIQUE, base58
 *     state       0 open, 1 closed, 2 left (of another owner now, or outside of the filters): a row
 *                 that is not open is a tombstone, without owner and data
 *     slot, seq   of the last change: slots as the feed tells, seq rises by one with each event
 *     hash        of the content, as the feed makes it: u64 as the signed number with its bits
 *     lamports, rent_epoch, space: likewise u64; lamports are below 2^63 on any real cluster
 *     executable  0 or 1
 *     owner       TEXT, base58
 *     data        BLOB
 *   history     with `history`: every version; seq INTEGER PRIMARY KEY, account (account.id), and
 *               the columns of account from state on; index history_account (account, seq)
 *   checkpoint  one row: watermark, seq, complete, genesis, subject, commitment, run, updated
 *   accounts    view: open accounts with exact numbers
 *   versions    view: history with keys and exact numbers
 *
 * Text keys cost a fifth in size and a tenth in speed over 32 bytes, and can be looked up by hand.
 * A row that is told again replaces the older one only where its slot is higher, or equal with a
 * seq not lower; with `by_seq` (processed: slots may go back) seq alone decides. A tombstone keeps
 * its slot, so what is older cannot bring it back to life. */
#ifndef RF_SINK_SQLITE_H
#define RF_SINK_SQLITE_H

#include "base/base.h"
#include "rpcfan/feed.h"

#define RF_DB_APPLICATION 0x72706366 /* "rpcf" */
#define RF_DB_SCHEMA 1

struct rf_db;

enum rf_db_state { RF_DB_OPEN = 0, RF_DB_CLOSED = 1, RF_DB_LEFT = 2 };

/** What a database is of. Another one's is refused. */
struct rf_db_identity {
    const char *genesis;    /* the chain's genesis hash; NULL: not known, and not checked */
    const char *subject;    /* which accounts, in words: "program KEY filters [...]" */
    const char *commitment; /* "confirmed", ... */
};

struct rf_db_options {
    const char *path;
    struct rf_db_identity identity; /* borrowed for the call of rf_db_open() */
    bool history;                   /* keep every version from now on; a database that has a
                                       history goes on with it in any case */
    bool by_seq;                    /* slots may go back: seq alone decides what is newer */
    bool read_only;                 /* it must be there; nothing can be put */
    uint32_t pages_max;             /* tests: the file's largest size in pages; 0: no limit */
    /* Asked while another program holds a lock, for the n-th time from 0: wait a little. @return 0
     * to give up, with RPCFAN_EIO. NULL: 5 s are waited. */
    int (*busy)(void *arg, int n);
    void *busy_arg;
};

/** How far it is complete. */
struct rf_db_checkpoint {
    uint64_t watermark, seq;
    bool complete;
};

/** Counted since it was opened. */
struct rf_db_counters {
    uint64_t rows, stale, commits; /* put and taken; put and older than what is there; ... */
};

/**
 * Open, or make.
 * @param err  names the file and the remedy.
 * @return 0; RPCFAN_EINVAL: a database of something else; RPCFAN_EIO; RPCFAN_ENOMEM.
 */
enum rpcfan_err rf_db_open(const struct rf_db_options *o, struct rf_db **out,
                           struct rpcfan_error *err);

/** Close; what was not committed is forgotten. NULL is ignored. */
void rf_db_close(struct rf_db *db);

/** The checkpoint as it is in the file. */
const struct rf_db_checkpoint *rf_db_checkpoint(const struct rf_db *db);

/** The counters. */
const struct rf_db_counters *rf_db_counters(const struct rf_db *db);

/** A feed begins, whose events count from 1: theirs go on from the checkpoint's. Implied by
 * rf_db_open(). @return what is added to ev->seq. */
uint64_t rf_db_feed_begins(struct rf_db *db);

/**
 * Put an event.
 * @param account  what ev->json says; NULL with RPCFAN_ACCOUNT_CLOSE and _LEFT.
 * @return 0, RPCFAN_EIO or RPCFAN_ENOMEM: then nothing since the last commit is kept, and the
 * database can only be closed.
 */
enum rpcfan_err rf_db_put(struct rf_db *db, const struct rpcfan_account_event *ev,
                          const struct rpcfan_account *account, struct rpcfan_error *err);

/** Events put since the last commit. */
uint64_t rf_db_pending(const struct rf_db *db);

/**
 * Make what was put true, and the mark with it: watermark and seq never go back.
 * @param mark  of the take that gave the last event that was put.
 * @return as rf_db_put(); RPCFAN_EIO also where another process has become the writer.
 */
enum rpcfan_err rf_db_commit(struct rf_db *db, const struct rpcfan_feed_mark *mark,
                             struct rpcfan_error *err);

/** Told some of what is known. @return not 0 to stop: an rpcfan_err that is handed back. */
typedef enum rpcfan_err rf_db_known_fn(void *arg, const struct rpcfan_known *known, size_t n);
/** Read all that is known, some thousands at a time. @return 0, fn's, RPCFAN_EIO, RPCFAN_ENOMEM. */
enum rpcfan_err rf_db_known(struct rf_db *db, rf_db_known_fn *fn, void *arg,
                            struct rpcfan_error *err);

/** What a comparison with the chain came to. */
enum rf_db_verdict {
    RF_DB_SAME,
    RF_DB_DIFFERS, /* both have it, with other contents */
    RF_DB_MISSING, /* the chain has it, the database does not */
    RF_DB_BEHIND   /* the chain's state is older than the database's: ask a node that is further */
};
/**
 * Compare an account with the database, and note that it was seen.
 * @param slot  the state is the chain's of this slot or later.
 * @return 0, RPCFAN_EIO or RPCFAN_ENOMEM.
 */
enum rpcfan_err rf_db_compare(struct rf_db *db, const uint8_t key[32], uint64_t slot,
                              const struct rpcfan_account *account, enum rf_db_verdict *verdict,
                              struct rpcfan_error *err);
/** Told an open row that was not seen. */
typedef void rf_db_extra_fn(void *arg, const char *pubkey);
/** Name the open rows that no comparison has seen. @return as rf_db_compare(). */
enum rpcfan_err rf_db_extra(struct rf_db *db, rf_db_extra_fn *fn, void *arg,
                            struct rpcfan_error *err);

#endif
