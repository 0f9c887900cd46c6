/* sqlite_int.h - what the files of the account database share. Included by sink/sqlite*.c alone. */
#ifndef RF_SINK_SQLITE_INT_H
#define RF_SINK_SQLITE_INT_H

#include <sqlite3.h>

#include "base/pubkey.h"
#include "sink/sqlite.h"

struct rf_db {
    sqlite3 *sql;
    char *path; /* owned */
    sqlite3_stmt *put, *put_history, *mark, *begin, *commit, *find;
    bool history, by_seq, broken;
    bool open;        /* a transaction is */
    uint64_t pending; /* events put in it */
    uint64_t base;    /* seq of the checkpoint when the feed began */
    int64_t run;      /* names this writer */
    struct rf_db_checkpoint checkpoint;
    struct rf_db_counters count;
    uint8_t owner[32]; /* the last one and its text: most accounts of a feed share one */
    char owner_text[RF_PUBKEY_TEXT];
    int owner_len;      /* 0: none yet */
    uint64_t *seen;     /* a bit for each account.id; owned */
    uint64_t seen_bits; /* how many */
};

/** Prepare a statement that is kept. @return 0, or as rf_db_fail(). */
enum rpcfan_err rf_db_prepare(struct rf_db *db, const char *sql, sqlite3_stmt **out,
                              struct rpcfan_error *err);

/** Say what SQLite says, with the file and the remedy.
 * @param code  SQLite's. @return RPCFAN_EIO, RPCFAN_ENOMEM or, for a file that is no database,
 * RPCFAN_EINVAL. */
enum rpcfan_err rf_db_fail(const struct rf_db *db, int code, struct rpcfan_error *err);

/** Check that the file is new or a database of ours. @param fresh out: it is new; may be NULL.
 * @return as rf_db_open(). */
enum rpcfan_err rf_db_check_ours(struct rf_db *db, const struct rf_db_options *o, bool *fresh,
                                 struct rpcfan_error *err);

/** Make the tables, or check that they are ours and of the same things, and become the writer. One
 * transaction. @return as rf_db_open(). */
enum rpcfan_err rf_db_prepare_file(struct rf_db *db, const struct rf_db_options *o,
                                   struct rpcfan_error *err);

#endif
