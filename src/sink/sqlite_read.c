/* sqlite_read.c - the account database read: what a feed is told of an earlier run, and the
 * comparison with the chain. */
#include <string.h>

#include "base/mem.h"
#include "sink/sqlite_int.h"

#define KNOWN_AT_ONCE 4096

/* A key as the file has it. */
static bool read_key(sqlite3_stmt *s, int i, uint8_t key[32])
{
    const char *text = (const char *)sqlite3_column_text(s, i);
    return text != NULL && rf_pubkey_decode(text, (size_t)sqlite3_column_bytes(s, i), key);
}

/* Fill `known` from a statement. @return SQLITE_ROW while there is more, else how it ended. */
static int read_known(sqlite3_stmt *s, struct rpcfan_known *known, size_t *n)
{
    int code = SQLITE_ROW;
    for (*n = 0; *n < KNOWN_AT_ONCE; ++*n) {
        code = sqlite3_step(s);
        if (code != SQLITE_ROW)
            break;
        struct rpcfan_known *k = &known[*n];
        if (!read_key(s, 0, k->key))
            return SQLITE_CORRUPT;
        k->slot = (uint64_t)sqlite3_column_int64(s, 1);
        k->hash = (uint64_t)sqlite3_column_int64(s, 2);
        k->gone = sqlite3_column_int(s, 3) != RF_DB_OPEN;
    }
    return code;
}

enum rpcfan_err rf_db_known(struct rf_db *db, rf_db_known_fn *fn, void *arg,
                            struct rpcfan_error *err)
{
    sqlite3_stmt *s = NULL;
    struct rpcfan_known *known = rf_alloc(KNOWN_AT_ONCE * sizeof *known);
    if (known == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    enum rpcfan_err rc =
        rf_db_prepare(db, "SELECT pubkey, slot, hash, state FROM account", &s, err);
    int code = SQLITE_ROW;
    while (rc == RPCFAN_OK && code == SQLITE_ROW) {
        size_t n;
        code = read_known(s, known, &n);
        if (code != SQLITE_ROW && code != SQLITE_DONE)
            rc = rf_db_fail(db, code, err);
        else if (n > 0 && (rc = fn(arg, known, n)) != RPCFAN_OK)
            rf_fail(err, rc, "%.200s: what it holds cannot be taken up: %s", db->path,
                    rpcfan_err_text(rc));
    }
    sqlite3_finalize(s);
    rf_free(known);
    return rc;
}

static enum rpcfan_err begin_compare(struct rf_db *db, struct rpcfan_error *err)
{
    sqlite3_stmt *s = NULL;
    enum rpcfan_err rc = rf_db_prepare(db, "SELECT coalesce(max(id), 0) + 1 FROM account", &s, err);
    if (rc != RPCFAN_OK)
        return rc;
    int code = sqlite3_step(s);
    db->seen_bits = code == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    if (code != SQLITE_ROW)
        return rf_db_fail(db, code, err);
    db->seen = rf_alloc((size_t)(db->seen_bits / 64 + 1) * sizeof *db->seen);
    if (db->seen == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    return rf_db_prepare(db,
                         "SELECT id, state, slot, lamports, rent_epoch, space, executable, owner,"
                         " data FROM account WHERE pubkey = ?1",
                         &db->find, err);
}

static bool same_content(sqlite3_stmt *s, const struct rpcfan_account *a)
{
    char owner[RF_PUBKEY_TEXT];
    size_t n = rf_pubkey_encode(a->owner, owner);
    const void *text = sqlite3_column_text(s, 7), *data = sqlite3_column_blob(s, 8);
    return (uint64_t)sqlite3_column_int64(s, 3) == a->lamports &&
           (uint64_t)sqlite3_column_int64(s, 4) == a->rent_epoch &&
           (uint64_t)sqlite3_column_int64(s, 5) == a->space &&
           (sqlite3_column_int(s, 6) != 0) == (a->executable != 0) && text != NULL &&
           (size_t)sqlite3_column_bytes(s, 7) == n && memcmp(text, owner, n) == 0 &&
           (size_t)sqlite3_column_bytes(s, 8) == a->len &&
           (a->len == 0 || memcmp(data, a->data, a->len) == 0);
}

static enum rf_db_verdict judge(struct rf_db *db, uint64_t slot, const struct rpcfan_account *a)
{
    sqlite3_stmt *s = db->find;
    uint64_t id = (uint64_t)sqlite3_column_int64(s, 0);
    bool open = sqlite3_column_int(s, 1) == RF_DB_OPEN;
    if (id < db->seen_bits)
        db->seen[id / 64] |= UINT64_C(1) << (id % 64);
    if (open && same_content(s, a))
        return RF_DB_SAME;
    if (slot < (uint64_t)sqlite3_column_int64(s, 2))
        return RF_DB_BEHIND;
    return open ? RF_DB_DIFFERS : RF_DB_MISSING;
}

enum rpcfan_err rf_db_compare(struct rf_db *db, const uint8_t key[32], uint64_t slot,
                              const struct rpcfan_account *account, enum rf_db_verdict *verdict,
                              struct rpcfan_error *err)
{
    char text[RF_PUBKEY_TEXT];
    enum rpcfan_err rc = db->find != NULL ? RPCFAN_OK : begin_compare(db, err);
    if (rc != RPCFAN_OK)
        return rc;
    sqlite3_bind_text(db->find, 1, text, (int)rf_pubkey_encode(key, text), SQLITE_STATIC);
    int code = sqlite3_step(db->find);
    *verdict = RF_DB_MISSING;
    if (code == SQLITE_ROW)
        *verdict = judge(db, slot, account);
    else if (code != SQLITE_DONE)
        rc = rf_db_fail(db, code, err);
    sqlite3_reset(db->find);
    return rc;
}

enum rpcfan_err rf_db_extra(struct rf_db *db, rf_db_extra_fn *fn, void *arg,
                            struct rpcfan_error *err)
{
    sqlite3_stmt *s = NULL;
    int code;
    enum rpcfan_err rc = db->find != NULL ? RPCFAN_OK : begin_compare(db, err);
    if (rc == RPCFAN_OK)
        rc = rf_db_prepare(db, "SELECT id, pubkey FROM account WHERE state = 0 ORDER BY id", &s,
                           err);
    if (rc != RPCFAN_OK)
        return rc;
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        uint64_t id = (uint64_t)sqlite3_column_int64(s, 0);
        bool seen = id < db->seen_bits && (db->seen[id / 64] >> (id % 64) & 1) != 0;
        if (!seen && sqlite3_column_text(s, 1) != NULL)
            fn(arg, (const char *)sqlite3_column_text(s, 1));
    }
    sqlite3_finalize(s);
    return code == SQLITE_DONE ? RPCFAN_OK : rf_db_fail(db, code, err);
}
