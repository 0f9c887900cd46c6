/* sqlite_schema.c - the tables of the account database: made, or checked to be ours. */
#include <string.h>

#include "sink/sqlite_int.h"

#define CONTENT_COLUMNS                                                                            \
    "state INTEGER NOT NULL, slot INTEGER NOT NULL, hash INTEGER NOT NULL,"                        \
    "lamports INTEGER NOT NULL, rent_epoch INTEGER NOT NULL, space INTEGER NOT NULL,"              \
    "executable INTEGER NOT NULL, owner TEXT, data BLOB"

/* u64 out of the signed number with its bits: a number below 2^63, else its digits as a text, which
 * SQLite sorts behind all numbers. */
#define EXACT(column) "CASE WHEN " column " < 0 THEN printf('%llu', " column ") ELSE " column " END"
#define STATE_WORD "CASE state WHEN 0 THEN 'open' WHEN 1 THEN 'closed' ELSE 'left' END"

static const char make_tables[] =
    "CREATE TABLE account(id INTEGER PRIMARY KEY, pubkey TEXT NOT NULL UNIQUE,"
    " seq INTEGER NOT NULL," CONTENT_COLUMNS ");"
    "CREATE TABLE checkpoint(id INTEGER PRIMARY KEY CHECK(id = 1), watermark INTEGER NOT NULL,"
    " seq INTEGER NOT NULL, complete INTEGER NOT NULL, genesis TEXT, subject TEXT NOT NULL,"
    " commitment TEXT NOT NULL, run INTEGER NOT NULL, updated TEXT);"
    "CREATE VIEW accounts AS SELECT pubkey, owner, " EXACT(
        "lamports") " AS lamports,"
                    " space, executable, " EXACT(
                        "rent_epoch") " AS rent_epoch, data, slot FROM account"
                                      " WHERE state = 0;";

static const char make_history[] =
    "CREATE TABLE history(seq INTEGER PRIMARY KEY, account INTEGER NOT NULL," CONTENT_COLUMNS ");"
    "CREATE INDEX history_account ON history(account, seq);"
    "CREATE VIEW versions AS SELECT pubkey, h.seq AS seq, h.slot AS slot, h.state AS state, owner,"
    " lamports, space, executable, rent_epoch, data FROM (SELECT account, seq, slot, " STATE_WORD
    " AS state, owner, " EXACT("lamports") " AS lamports, space, executable, " EXACT(
        "rent_epoch") " AS rent_epoch, data FROM history) h JOIN (SELECT id, pubkey FROM account) a"
                      " ON a.id = h.account;"
                      "INSERT INTO history SELECT seq, id, state, slot, hash, lamports, "
                      "rent_epoch, space,"
                      " executable, owner, data FROM account;";

static enum rpcfan_err run(struct rf_db *db, const char *sql, struct rpcfan_error *err)
{
    int code = sqlite3_exec(db->sql, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? RPCFAN_OK : rf_db_fail(db, code, err);
}

/* The number that a query gives. */
static enum rpcfan_err ask(struct rf_db *db, const char *sql, int64_t *v, struct rpcfan_error *err)
{
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(db->sql, sql, -1, &s, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(s);
    if (code == SQLITE_ROW)
        *v = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return code == SQLITE_ROW ? RPCFAN_OK : rf_db_fail(db, code, err);
}

static enum rpcfan_err make(struct rf_db *db, const struct rf_db_options *o,
                            struct rpcfan_error *err)
{
    char numbers[100];
    sqlite3_stmt *s = NULL;
    sqlite3_snprintf(sizeof numbers, numbers,
                     "PRAGMA application_id = %d; PRAGMA user_version = %d", RF_DB_APPLICATION,
                     RF_DB_SCHEMA);
    enum rpcfan_err rc = run(db, numbers, err);
    if (rc == RPCFAN_OK)
        rc = run(db, make_tables, err);
    if (rc != RPCFAN_OK)
        return rc;
    int code = sqlite3_prepare_v2(
        db->sql, "INSERT INTO checkpoint VALUES(1, 0, 0, 0, ?1, ?2, ?3, ?4, NULL)", -1, &s, NULL);
    if (code == SQLITE_OK) {
        sqlite3_bind_text(s, 1, o->identity.genesis, -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 2, o->identity.subject, -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 3, o->identity.commitment, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 4, db->run);
        code = sqlite3_step(s);
    }
    sqlite3_finalize(s);
    return code == SQLITE_DONE ? RPCFAN_OK : rf_db_fail(db, code, err);
}

static const char *column(sqlite3_stmt *s, int i)
{
    const char *text = (const char *)sqlite3_column_text(s, i);
    return text != NULL ? text : "";
}

/* Read the checkpoint and compare whom it is of. */
static enum rpcfan_err check_identity(struct rf_db *db, const struct rf_db_identity *id,
                                      sqlite3_stmt *s, struct rpcfan_error *err)
{
    const char *genesis = column(s, 3), *subject = column(s, 4), *commitment = column(s, 5);
    db->checkpoint.watermark = (uint64_t)sqlite3_column_int64(s, 0);
    db->checkpoint.seq = (uint64_t)sqlite3_column_int64(s, 1);
    db->checkpoint.complete = sqlite3_column_int(s, 2) != 0;
    if (id->genesis != NULL && genesis[0] != '\0' && strcmp(id->genesis, genesis) != 0)
        return rf_fail(err, RPCFAN_EINVAL,
                       "%.100s is of another chain: its genesis hash is %.44s, the node's is "
                       "%.44s; give another --db FILE, or the right -u URL",
                       db->path, genesis, id->genesis);
    if (strcmp(id->subject, subject) != 0)
        return rf_fail(err, RPCFAN_EINVAL,
                       "%.60s is of other accounts: of %.80s, not of %.80s; give another --db FILE",
                       db->path, subject, id->subject);
    if (strcmp(id->commitment, commitment) != 0)
        return rf_fail(err, RPCFAN_EINVAL,
                       "%.100s was made with --commitment %.20s; give that, or another --db FILE",
                       db->path, commitment);
    return RPCFAN_OK;
}

static enum rpcfan_err check(struct rf_db *db, const struct rf_db_options *o,
                             struct rpcfan_error *err)
{
    sqlite3_stmt *s = NULL;
    enum rpcfan_err rc;
    int code = sqlite3_prepare_v2(db->sql,
                                  "SELECT watermark, seq, complete, genesis, subject, commitment"
                                  " FROM checkpoint",
                                  -1, &s, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(s);
    if (code == SQLITE_ROW)
        rc = check_identity(db, &o->identity, s, err);
    else
        rc = rf_db_fail(db, code == SQLITE_DONE ? SQLITE_CORRUPT : code, err);
    sqlite3_finalize(s);
    return rc;
}

/* Become the writer, and fill in the genesis hash where an earlier run could not ask for it. */
static enum rpcfan_err take_over(struct rf_db *db, const struct rf_db_options *o,
                                 struct rpcfan_error *err)
{
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(
        db->sql, "UPDATE checkpoint SET run = ?1, genesis = coalesce(genesis, ?2)", -1, &s, NULL);
    if (code == SQLITE_OK) {
        sqlite3_bind_int64(s, 1, db->run);
        sqlite3_bind_text(s, 2, o->identity.genesis, -1, SQLITE_STATIC);
        code = sqlite3_step(s);
    }
    sqlite3_finalize(s);
    return code == SQLITE_DONE ? RPCFAN_OK : rf_db_fail(db, code, err);
}

static enum rpcfan_err add_history(struct rf_db *db, const struct rf_db_options *o,
                                   struct rpcfan_error *err)
{
    int64_t has = 0;
    enum rpcfan_err rc =
        ask(db, "SELECT count(*) FROM sqlite_master WHERE name = 'history'", &has, err);
    db->history = has != 0 || o->history;
    if (rc != RPCFAN_OK || has != 0 || !o->history)
        return rc;
    return run(db, make_history, err);
}

enum rpcfan_err rf_db_check_ours(struct rf_db *db, const struct rf_db_options *o, bool *fresh,
                                 struct rpcfan_error *err)
{
    int64_t application = 0, version = 0, tables = 0;
    enum rpcfan_err rc = ask(db, "SELECT count(*) FROM sqlite_master", &tables, err);
    if (rc == RPCFAN_OK)
        rc = ask(db, "PRAGMA application_id", &application, err);
    if (rc == RPCFAN_OK)
        rc = ask(db, "PRAGMA user_version", &version, err);
    if (rc != RPCFAN_OK)
        return rc;
    bool ours = application == RF_DB_APPLICATION && tables > 0;
    if (!ours && (tables > 0 || application != 0 || o->read_only))
        return rf_fail(err, RPCFAN_EINVAL, "%.200s is %s; give another --db FILE", db->path,
                       tables > 0 || application != 0 ? "a database of another program"
                                                      : "an empty database");
    if (ours && version != RF_DB_SCHEMA)
        return rf_fail(err, RPCFAN_EINVAL,
                       "%.200s has schema %lld, this rpcfan writes schema %d; give another --db "
                       "FILE, or use the rpcfan that made it",
                       db->path, (long long)version, RF_DB_SCHEMA);
    if (fresh != NULL)
        *fresh = !ours;
    return RPCFAN_OK;
}

static enum rpcfan_err make_or_check(struct rf_db *db, const struct rf_db_options *o,
                                     struct rpcfan_error *err)
{
    bool fresh;
    enum rpcfan_err rc = rf_db_check_ours(db, o, &fresh, err);
    if (rc == RPCFAN_OK)
        rc = fresh ? make(db, o, err) : check(db, o, err);
    if (rc != RPCFAN_OK || o->read_only)
        return rc;
    rc = take_over(db, o, err);
    return rc == RPCFAN_OK ? add_history(db, o, err) : rc;
}

enum rpcfan_err rf_db_prepare_file(struct rf_db *db, const struct rf_db_options *o,
                                   struct rpcfan_error *err)
{
    enum rpcfan_err rc = run(db, o->read_only ? "BEGIN" : "BEGIN IMMEDIATE", err);
    if (rc != RPCFAN_OK)
        return rc;
    rc = make_or_check(db, o, err);
    if (rc == RPCFAN_OK)
        rc = run(db, "COMMIT", err);
    if (rc != RPCFAN_OK)
        sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL);
    db->base = db->checkpoint.seq;
    return rc;
}
