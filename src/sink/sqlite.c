/* sqlite.c - the account database: opened, written in batches, closed. */
#include "sink/sqlite.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "sink/sqlite_int.h"

/* Kept in memory of the file. */
#define CACHE_KIB "65536"
/* The log is copied into the file at so many pages of 4 KiB: rows that change often are copied
 * once for many changes. */
#define LOG_PAGES "4000"
#define LOG_BYTES "67108864"
/* How long another writer is waited for where the caller does not say. */
#define BUSY_MS 5000

#define COLUMNS "state, slot, seq, hash, lamports, rent_epoch, space, executable, owner, data"
#define PUT_SQL                                                                                    \
    "INSERT INTO account(pubkey, " COLUMNS                                                         \
    ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT(pubkey) DO UPDATE SET "    \
    "state = ?2, slot = ?3, seq = ?4, hash = ?5, lamports = ?6, rent_epoch = ?7, space = ?8, "     \
    "executable = ?9, owner = ?10, data = ?11 WHERE "

static const char put_by_slot[] = PUT_SQL "?3 > slot OR (?3 = slot AND ?4 >= seq)";
static const char put_by_seq[] = PUT_SQL "?4 >= seq";
static const char put_history[] =
    "INSERT OR REPLACE INTO history(account, " COLUMNS
    ") VALUES((SELECT id FROM account WHERE pubkey = ?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
    " ?11)";
static const char put_mark[] =
    "UPDATE checkpoint SET watermark = max(watermark, ?1), seq = max(seq, ?2),"
    " complete = max(complete, ?3), updated = datetime('now') WHERE run = ?4";

enum rpcfan_err rf_db_fail(const struct rf_db *db, int code, struct rpcfan_error *err)
{
    const char *path = db->path;
    int system = db->sql != NULL ? sqlite3_system_errno(db->sql) : 0;
    bool latest = db->sql != NULL && (sqlite3_errcode(db->sql) & 0xff) == (code & 0xff);
    const char *said = latest ? sqlite3_errmsg(db->sql) : sqlite3_errstr(code);
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return rf_fail(err, RPCFAN_ENOMEM, "%.200s: out of memory", path);
    case SQLITE_FULL:
        return rf_fail(err, RPCFAN_EIO,
                       "%.200s: the disk is full; make room, and the same command goes on from its "
                       "checkpoint",
                       path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return rf_fail(err, RPCFAN_EIO,
                       "%.200s: another program holds a lock on it; end that (a shell with an open "
                       "transaction?), then give the same command again",
                       path);
    case SQLITE_NOTADB:
        return rf_fail(err, RPCFAN_EINVAL, "%.200s is no SQLite database; give another --db FILE",
                       path);
    case SQLITE_CORRUPT:
        return rf_fail(err, RPCFAN_EIO,
                       "%.200s is damaged (%.60s); move it away, with its -wal and -shm, and begin "
                       "anew",
                       path, said);
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return rf_fail(err, RPCFAN_EIO,
                       "%.200s cannot be %s%s%s; file and directory must be there and writable",
                       path, (code & 0xff) == SQLITE_CANTOPEN ? "opened" : "written",
                       system != 0 ? ": " : "", system != 0 ? strerror(system) : "");
    case SQLITE_IOERR:
        return rf_fail(err, RPCFAN_EIO,
                       "%.200s: %.60s%s%s; mend that (is the disk full, or a limit on the size of "
                       "files in force?), and the same command goes on from its checkpoint",
                       path, said, system != 0 ? ": " : "", system != 0 ? strerror(system) : "");
    case SQLITE_TOOBIG:
        return rf_fail(err, RPCFAN_EIO, "%.200s: an account is too large for SQLite", path);
    default:
        return rf_fail(err, RPCFAN_EIO,
                       "%.150s: %.80s; where it was changed by hand, begin anew with another --db "
                       "FILE",
                       path, said);
    }
}

enum rpcfan_err rf_db_prepare(struct rf_db *db, const char *sql, sqlite3_stmt **out,
                              struct rpcfan_error *err)
{
    int code = sqlite3_prepare_v3(db->sql, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
    return code == SQLITE_OK ? RPCFAN_OK : rf_db_fail(db, code, err);
}

static enum rpcfan_err run(struct rf_db *db, const char *sql, struct rpcfan_error *err)
{
    int code = sqlite3_exec(db->sql, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? RPCFAN_OK : rf_db_fail(db, code, err);
}

/* A file of another program must not even be switched to a log of its own. */
static enum rpcfan_err set_up(struct rf_db *db, const struct rf_db_options *o,
                              struct rpcfan_error *err)
{
    char limit[60];
    if (o->busy != NULL)
        sqlite3_busy_handler(db->sql, o->busy, o->busy_arg);
    else
        sqlite3_busy_timeout(db->sql, BUSY_MS);
    enum rpcfan_err rc = run(db, "PRAGMA cache_size = -" CACHE_KIB, err);
    sqlite3_snprintf(sizeof limit, limit, "PRAGMA max_page_count = %u", o->pages_max);
    if (rc == RPCFAN_OK && o->pages_max > 0)
        rc = run(db, limit, err);
    if (rc == RPCFAN_OK)
        rc = rf_db_check_ours(db, o, NULL, err);
    if (rc == RPCFAN_OK && !o->read_only)
        rc = run(db,
                 "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                 "PRAGMA wal_autocheckpoint = " LOG_PAGES ";"
                 "PRAGMA journal_size_limit = " LOG_BYTES,
                 err);
    return rc;
}

static enum rpcfan_err prepare_all(struct rf_db *db, const struct rf_db_options *o,
                                   struct rpcfan_error *err)
{
    if (o->read_only)
        return RPCFAN_OK;
    enum rpcfan_err rc = rf_db_prepare(db, o->by_seq ? put_by_seq : put_by_slot, &db->put, err);
    if (rc == RPCFAN_OK && db->history)
        rc = rf_db_prepare(db, put_history, &db->put_history, err);
    if (rc == RPCFAN_OK)
        rc = rf_db_prepare(db, put_mark, &db->mark, err);
    if (rc == RPCFAN_OK)
        rc = rf_db_prepare(db, "BEGIN IMMEDIATE", &db->begin, err);
    if (rc == RPCFAN_OK)
        rc = rf_db_prepare(db, "COMMIT", &db->commit, err);
    return rc;
}

enum rpcfan_err rf_db_open(const struct rf_db_options *o, struct rf_db **out,
                           struct rpcfan_error *err)
{
    struct rf_db *db = rf_alloc(sizeof *db);
    *out = NULL;
    if (db == NULL || (db->path = rf_strdup(o->path)) == NULL) {
        rf_free(db);
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    }
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                (o->read_only ? 0 : SQLITE_OPEN_CREATE);
    int code = sqlite3_open_v2(o->path, &db->sql, flags, NULL);
    enum rpcfan_err rc = code == SQLITE_OK ? RPCFAN_OK : rf_db_fail(db, code, err);
    sqlite3_randomness((int)sizeof db->run, &db->run);
    if (rc == RPCFAN_OK)
        rc = set_up(db, o, err);
    if (rc == RPCFAN_OK)
        rc = rf_db_prepare_file(db, o, err);
    if (rc == RPCFAN_OK)
        rc = prepare_all(db, o, err);
    if (rc != RPCFAN_OK)
        rf_db_close(db);
    else
        *out = db;
    return rc;
}

void rf_db_close(struct rf_db *db)
{
    if (db == NULL)
        return;
    sqlite3_stmt *all[] = {db->put, db->put_history, db->mark, db->begin, db->commit, db->find};
    for (size_t i = 0; i < RF_COUNT(all); i++)
        sqlite3_finalize(all[i]);
    sqlite3_close(db->sql); /* rolls back what is open, copies the log into the file */
    rf_free(db->path);
    rf_free(db->seen);
    rf_free(db);
}

const struct rf_db_checkpoint *rf_db_checkpoint(const struct rf_db *db)
{
    return &db->checkpoint;
}

const struct rf_db_counters *rf_db_counters(const struct rf_db *db)
{
    return &db->count;
}

uint64_t rf_db_feed_begins(struct rf_db *db)
{
    db->base = db->checkpoint.seq;
    return db->base;
}

uint64_t rf_db_pending(const struct rf_db *db)
{
    return db->pending;
}

/* Run a statement that gives no rows. */
static int step(sqlite3_stmt *s)
{
    int code = sqlite3_step(s);
    int reset = sqlite3_reset(s);
    return code == SQLITE_DONE ? SQLITE_OK : reset != SQLITE_OK ? reset : code;
}

/* Nothing of the batch is kept. */
static enum rpcfan_err give_up(struct rf_db *db, int code, struct rpcfan_error *err)
{
    enum rpcfan_err rc = rf_db_fail(db, code, err);
    if (sqlite3_get_autocommit(db->sql) == 0)
        sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL);
    db->open = false;
    db->broken = true;
    return rc;
}

static enum rpcfan_err begin(struct rf_db *db, struct rpcfan_error *err)
{
    if (db->broken)
        return rf_fail(err, RPCFAN_EIO, "%.200s: an earlier write failed", db->path);
    if (db->open)
        return RPCFAN_OK;
    int code = step(db->begin);
    if (code != SQLITE_OK)
        return give_up(db, code, err);
    db->open = true;
    return RPCFAN_OK;
}

static void bind_owner(struct rf_db *db, sqlite3_stmt *s, const struct rpcfan_account *account)
{
    if (account == NULL) {
        sqlite3_bind_null(s, 10);
        return;
    }
    if (db->owner_len == 0 || memcmp(db->owner, account->owner, sizeof db->owner) != 0) {
        memcpy(db->owner, account->owner, sizeof db->owner);
        db->owner_len = (int)rf_pubkey_encode(db->owner, db->owner_text);
    }
    sqlite3_bind_text(s, 10, db->owner_text, db->owner_len, SQLITE_STATIC);
}

static void bind_row(struct rf_db *db, sqlite3_stmt *s, const struct rpcfan_account_event *ev,
                     const struct rpcfan_account *account)
{
    static const struct rpcfan_account none;
    const struct rpcfan_account *a = account != NULL ? account : &none;
    int state = ev->kind == RPCFAN_ACCOUNT_CLOSE  ? RF_DB_CLOSED
                : ev->kind == RPCFAN_ACCOUNT_LEFT ? RF_DB_LEFT
                                                  : RF_DB_OPEN;
    sqlite3_bind_int(s, 2, state);
    sqlite3_bind_int64(s, 3, (int64_t)ev->slot);
    sqlite3_bind_int64(s, 4, (int64_t)(db->base + ev->seq));
    sqlite3_bind_int64(s, 5, (int64_t)ev->hash);
    sqlite3_bind_int64(s, 6, (int64_t)a->lamports);
    sqlite3_bind_int64(s, 7, (int64_t)a->rent_epoch);
    sqlite3_bind_int64(s, 8, (int64_t)a->space);
    sqlite3_bind_int(s, 9, a->executable != 0);
    bind_owner(db, s, account);
    if (account == NULL)
        sqlite3_bind_null(s, 11);
    else if (a->len == 0)
        sqlite3_bind_zeroblob(s, 11, 0); /* a blob at NULL would be NULL */
    else
        sqlite3_bind_blob64(s, 11, a->data, a->len, SQLITE_STATIC);
}

enum rpcfan_err rf_db_put(struct rf_db *db, const struct rpcfan_account_event *ev,
                          const struct rpcfan_account *account, struct rpcfan_error *err)
{
    char key[RF_PUBKEY_TEXT];
    enum rpcfan_err rc = begin(db, err);
    if (rc != RPCFAN_OK)
        return rc;
    int len = (int)rf_pubkey_encode(ev->key, key);
    sqlite3_bind_text(db->put, 1, key, len, SQLITE_STATIC);
    bind_row(db, db->put, ev, account);
    int code = step(db->put);
    bool taken = code == SQLITE_OK && sqlite3_changes(db->sql) > 0;
    if (taken && db->history) {
        sqlite3_bind_text(db->put_history, 1, key, len, SQLITE_STATIC);
        bind_row(db, db->put_history, ev, account);
        code = step(db->put_history);
    }
    if (code != SQLITE_OK)
        return give_up(db, code, err);
    db->pending++;
    db->count.rows += taken;
    db->count.stale += !taken;
    return RPCFAN_OK;
}

enum rpcfan_err rf_db_commit(struct rf_db *db, const struct rpcfan_feed_mark *mark,
                             struct rpcfan_error *err)
{
    struct rf_db_checkpoint next = {.watermark =
                                        rf_max_u64(db->checkpoint.watermark, mark->watermark),
                                    .seq = rf_max_u64(db->checkpoint.seq, db->base + mark->seq),
                                    .complete = db->checkpoint.complete || mark->complete != 0};
    enum rpcfan_err rc = begin(db, err);
    if (rc != RPCFAN_OK)
        return rc;
    sqlite3_bind_int64(db->mark, 1, (int64_t)next.watermark);
    sqlite3_bind_int64(db->mark, 2, (int64_t)next.seq);
    sqlite3_bind_int(db->mark, 3, next.complete);
    sqlite3_bind_int64(db->mark, 4, db->run);
    int code = step(db->mark);
    if (code == SQLITE_OK && sqlite3_changes(db->sql) != 1) {
        give_up(db, SQLITE_BUSY, err);
        return rf_fail(err, RPCFAN_EIO,
                       "%.200s: another rpcfan index writes to it by now; one at a time can",
                       db->path);
    }
    if (code == SQLITE_OK)
        code = step(db->commit);
    if (code != SQLITE_OK)
        return give_up(db, code, err);
    db->open = false;
    db->pending = 0;
    db->checkpoint = next;
    db->count.commits++;
    return RPCFAN_OK;
}
