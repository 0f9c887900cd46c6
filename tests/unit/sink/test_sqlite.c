/* test_sqlite.c - the account database: guards, tombstones, the checkpoint in one transaction with
 * its rows, and every file that must be refused. */
#include "sink/sqlite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/mem.h"

static char dir[] = "/tmp/rpcfan-sqlite-XXXXXX";
static char path[64];
static const struct rf_db_identity ours = {"genesis", "program P", "confirmed"};
static struct rpcfan_error err;

static struct rf_db_options options(void)
{
    return (struct rf_db_options){.path = path, .identity = ours};
}

static struct rf_db *open_with(const struct rf_db_options *o)
{
    struct rf_db *db = NULL;
    err.text[0] = '\0';
    if (rf_db_open(o, &db, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
    return db;
}

static struct rf_db *open_it(void)
{
    struct rf_db_options o = options();
    return open_with(&o);
}

static void expect_refused(const struct rf_db_options *o, enum rpcfan_err code, const char *text)
{
    struct rf_db *db = NULL;
    assert_int_equal(rf_db_open(o, &db, &err), code);
    assert_null(db);
    if (strstr(err.text, text) == NULL)
        fail_msg("'%s' lacks '%s'", err.text, text);
}

/* Key number `i`; its lamports are `lamports` and so are its data. */
static void put_kind(struct rf_db *db, int i, uint64_t slot, uint64_t seq, uint64_t lamports,
                     enum rpcfan_account_kind kind)
{
    struct rpcfan_account_event ev = {.kind = kind, .slot = slot, .seq = seq, .hash = lamports * 7};
    struct rpcfan_account a = {.lamports = lamports,
                               .rent_epoch = UINT64_MAX,
                               .space = 8,
                               .owner = {1},
                               .data = (const uint8_t *)&lamports,
                               .len = 8};
    memcpy(ev.key, &i, sizeof i);
    bool gone = kind == RPCFAN_ACCOUNT_CLOSE || kind == RPCFAN_ACCOUNT_LEFT;
    if (rf_db_put(db, &ev, gone ? NULL : &a, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
}

static void put(struct rf_db *db, int i, uint64_t slot, uint64_t seq, uint64_t lamports)
{
    put_kind(db, i, slot, seq, lamports, RPCFAN_ACCOUNT_UPDATE);
}

static void commit(struct rf_db *db, uint64_t watermark, uint64_t seq)
{
    struct rpcfan_feed_mark mark = {.watermark = watermark, .seq = seq, .complete = 1};
    if (rf_db_commit(db, &mark, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
}

/* The first column of the first row, as text, read by a connection of its own. */
static const char *ask(const char *sql)
{
    static char text[300];
    sqlite3 *s = NULL;
    sqlite3_stmt *q = NULL;
    snprintf(text, sizeof text, "nothing");
    assert_int_equal(sqlite3_open_v2(path, &s, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    if (sqlite3_prepare_v2(s, sql, -1, &q, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(s));
    if (sqlite3_step(q) == SQLITE_ROW)
        snprintf(text, sizeof text, "%s",
                 sqlite3_column_text(q, 0) != NULL ? (const char *)sqlite3_column_text(q, 0)
                                                   : "NULL");
    sqlite3_finalize(q);
    sqlite3_close(s);
    return text;
}

static void change(const char *sql)
{
    sqlite3 *s = NULL;
    assert_int_equal(sqlite3_open(path, &s), SQLITE_OK);
    if (sqlite3_exec(s, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(s));
    sqlite3_close(s);
}

static int fresh(void **state)
{
    (void)state;
    static const char *const tails[] = {"", "-wal", "-shm", "-journal"};
    char name[96];
    for (size_t i = 0; i < RF_COUNT(tails); i++) {
        snprintf(name, sizeof name, "%s%s", path, tails[i]);
        chmod(name, 0600);
        unlink(name);
    }
    return 0;
}

static void test_rows_are_exact_and_readable(void **state)
{
    (void)state;
    struct rf_db *db = open_it();
    put(db, 1, 100, 1, UINT64_MAX);
    put(db, 2, 100, 2, 2039280);
    commit(db, 100, 2);
    rf_db_close(db);
    assert_string_equal(ask("SELECT lamports FROM accounts WHERE slot = 100 ORDER BY lamports"),
                        "2039280");
    assert_string_equal(ask("SELECT max(lamports) FROM accounts"), "18446744073709551615");
    assert_string_equal(ask("SELECT rent_epoch FROM accounts"), "18446744073709551615");
    assert_string_equal(ask("SELECT hex(data) FROM accounts WHERE lamports = 2039280"),
                        "F01D1F0000000000");
    assert_string_equal(ask("SELECT pubkey FROM accounts WHERE lamports = 2039280"),
                        "8opHzTAnfzRpPEx21XtnrVTX28YQuCpAjcn1PczScKh");
    assert_string_equal(ask("SELECT count(*) FROM accounts WHERE owner LIKE '4uQeVj5tqViQh7y%'"),
                        "2");
    assert_string_equal(ask("SELECT watermark || ' ' || seq || ' ' || complete || ' ' || genesis ||"
                            " ' ' || subject || ' ' || commitment FROM checkpoint"),
                        "100 2 1 genesis program P confirmed");
    assert_string_equal(ask("PRAGMA user_version"), "1");
    assert_string_equal(ask("PRAGMA journal_mode"), "wal");
}

static void test_guard_by_slot_then_by_sequence(void **state)
{
    (void)state;
    struct rf_db *db = open_it();
    put(db, 1, 100, 5, 1);
    put(db, 1, 99, 6, 2); /* older slot, later told */
    put(db, 1, 100, 4, 3);
    commit(db, 1, 6);
    assert_string_equal(ask("SELECT lamports FROM accounts"), "1");
    assert_int_equal(rf_db_counters(db)->rows, 1);
    assert_int_equal(rf_db_counters(db)->stale, 2);
    put(db, 1, 100, 7, 4);
    put(db, 1, 101, 3, 5);
    commit(db, 1, 7);
    assert_string_equal(ask("SELECT lamports || ' ' || slot FROM accounts"), "5 101");
    put(db, 1, 101, 3, 5); /* told again */
    commit(db, 1, 7);
    assert_string_equal(ask("SELECT lamports || ' ' || slot FROM accounts"), "5 101");
    rf_db_close(db);
}

static void test_processed_goes_by_sequence_alone(void **state)
{
    (void)state;
    struct rf_db_options o = options();
    o.by_seq = true;
    struct rf_db *db = open_with(&o);
    put(db, 1, 100, 1, 1);
    put(db, 1, 98, 2, 2); /* another fork */
    put(db, 1, 200, 1, 3);
    commit(db, 1, 2);
    rf_db_close(db);
    assert_string_equal(ask("SELECT lamports || ' ' || slot FROM accounts"), "2 98");
}

static void test_tombstone_is_not_brought_back_by_what_is_older(void **state)
{
    (void)state;
    struct rf_db *db = open_it();
    put(db, 1, 100, 1, 1);
    put_kind(db, 1, 103, 2, 0, RPCFAN_ACCOUNT_CLOSE);
    put(db, 1, 102, 3, 9);
    put_kind(db, 2, 103, 4, 0, RPCFAN_ACCOUNT_LEFT); /* never seen before */
    commit(db, 103, 4);
    assert_string_equal(ask("SELECT count(*) FROM accounts"), "0");
    assert_string_equal(
        ask("SELECT group_concat(state || ':' || slot || ':' || coalesce(owner, '-')"
            " || ':' || coalesce(data, '-')) FROM account"),
        "1:103:-:-,2:103:-:-");
    put(db, 1, 104, 5, 7); /* created again */
    commit(db, 104, 5);
    assert_string_equal(ask("SELECT lamports FROM accounts"), "7");
    rf_db_close(db);
}

static void test_empty_data_is_no_null(void **state)
{
    (void)state;
    struct rf_db *db = open_it();
    struct rpcfan_account_event ev = {.kind = RPCFAN_ACCOUNT_SNAPSHOT, .slot = 1, .seq = 1};
    struct rpcfan_account a = {.lamports = 1};
    assert_int_equal(rf_db_put(db, &ev, &a, &err), RPCFAN_OK);
    commit(db, 1, 1);
    rf_db_close(db);
    assert_string_equal(ask("SELECT typeof(data) || length(data) FROM accounts"), "blob0");
}

/* Without a commit nothing is there: neither rows nor the mark. */
static void test_checkpoint_and_rows_are_one(void **state)
{
    (void)state;
    struct rf_db *db = open_it();
    put(db, 1, 100, 1, 1);
    commit(db, 100, 1);
    put(db, 1, 200, 2, 2);
    put(db, 2, 200, 3, 2);
    assert_int_equal(rf_db_pending(db), 2);
    assert_string_equal(ask("SELECT lamports FROM accounts"), "1");
    rf_db_close(db);
    assert_string_equal(ask("SELECT group_concat(lamports) FROM accounts"), "1");
    assert_string_equal(ask("SELECT watermark || ' ' || seq FROM checkpoint"), "100 1");
}

static void test_marks_never_go_back_and_sequences_go_on(void **state)
{
    (void)state;
    struct rf_db *db = open_it();
    put(db, 1, 100, 10, 1);
    commit(db, 100, 10);
    rf_db_close(db);
    db = open_it();
    assert_int_equal(rf_db_checkpoint(db)->watermark, 100);
    assert_int_equal(rf_db_checkpoint(db)->seq, 10);
    assert_true(rf_db_checkpoint(db)->complete);
    put(db, 1, 100, 1, 2); /* equal slot: the new run is later */
    struct rpcfan_feed_mark mark = {.watermark = 0, .seq = 1};
    assert_int_equal(rf_db_commit(db, &mark, &err), RPCFAN_OK);
    assert_int_equal(rf_db_checkpoint(db)->watermark, 100);
    assert_int_equal(rf_db_checkpoint(db)->seq, 11);
    assert_true(rf_db_checkpoint(db)->complete);
    assert_int_equal(rf_db_feed_begins(db), 11);
    put(db, 1, 100, 1, 3);
    commit(db, 101, 1);
    rf_db_close(db);
    assert_string_equal(ask("SELECT lamports || ' ' || seq FROM account"), "3 12");
}

struct told {
    uint64_t n, gone, slots, hashes;
};

static enum rpcfan_err take_known(void *arg, const struct rpcfan_known *known, size_t n)
{
    struct told *t = arg;
    for (size_t i = 0; i < n; i++) {
        int key;
        memcpy(&key, known[i].key, sizeof key);
        assert_true(key >= 1 && key <= 10000);
        t->n++;
        t->gone += known[i].gone != 0;
        t->slots += known[i].slot;
        t->hashes += known[i].hash;
    }
    return RPCFAN_OK;
}

static enum rpcfan_err refuse_known(void *arg, const struct rpcfan_known *known, size_t n)
{
    (void)arg, (void)known, (void)n;
    return RPCFAN_ENOMEM;
}

static void test_known_tells_every_row(void **state)
{
    (void)state;
    struct told t = {0};
    struct rf_db *db = open_it();
    for (int i = 1; i <= 10000; i++)
        put_kind(db, i, 1000, (uint64_t)i, i % 10 != 0,
                 i % 10 == 0 ? RPCFAN_ACCOUNT_CLOSE : RPCFAN_ACCOUNT_SNAPSHOT);
    put(db, 1, 2000, 10001, UINT64_MAX / 7);
    commit(db, 1000, 10001);
    assert_int_equal(rf_db_known(db, take_known, &t, &err), RPCFAN_OK);
    assert_int_equal(t.n, 10000);
    assert_int_equal(t.gone, 1000);
    assert_int_equal(t.slots, 9999u * 1000 + 2000);
    assert_true(t.hashes == UINT64_MAX / 7 * 7 + 7u * 8999); /* closed rows have the hash 0 */
    assert_int_equal(rf_db_known(db, refuse_known, NULL, &err), RPCFAN_ENOMEM);
    rf_db_close(db);
}

static void test_history_keeps_every_version(void **state)
{
    (void)state;
    struct rf_db_options o = options();
    struct rf_db *db = open_it();
    put(db, 1, 100, 1, 1);
    commit(db, 100, 1);
    rf_db_close(db);
    o.history = true; /* from now on; what is there is its first version */
    db = open_with(&o);
    put(db, 1, 101, 1, 2);
    put(db, 1, 99, 2, 9); /* stale: no version */
    put_kind(db, 1, 102, 3, 0, RPCFAN_ACCOUNT_CLOSE);
    commit(db, 102, 3);
    rf_db_close(db);
    db = open_it(); /* it is kept without being asked for */
    put(db, 1, 103, 1, 4);
    commit(db, 103, 1);
    rf_db_close(db);
    assert_string_equal(ask("SELECT group_concat(slot || state || lamports) FROM"
                            " (SELECT * FROM versions ORDER BY seq)"),
                        "100open1,101open2,102closed0,103open4");
    assert_string_equal(ask("SELECT count(DISTINCT pubkey) FROM versions"), "1");
    assert_string_equal(ask("SELECT max(rent_epoch) FROM versions"), "18446744073709551615");
    assert_string_equal(ask("PRAGMA integrity_check"), "ok");
}

static void test_databases_of_something_else_are_left_alone(void **state)
{
    (void)state;
    struct rf_db_options o = options();
    rf_db_close(open_it());
    o.identity.genesis = "other";
    expect_refused(&o, RPCFAN_EINVAL, "of another chain");
    o.identity.genesis = NULL; /* the node does not tell */
    rf_db_close(open_with(&o));
    o = options();
    o.identity.subject = "program Q";
    expect_refused(&o, RPCFAN_EINVAL, "of program P, not of program Q; give another --db FILE");
    o = options();
    o.identity.commitment = "finalized";
    expect_refused(&o, RPCFAN_EINVAL, "--commitment confirmed");
    o = options();
    change("PRAGMA user_version = 9");
    expect_refused(&o, RPCFAN_EINVAL, "schema 9, this rpcfan writes schema 1");
    assert_string_equal(ask("PRAGMA user_version"), "9");
}

static void test_genesis_is_filled_in_later(void **state)
{
    (void)state;
    struct rf_db_options o = options();
    o.identity.genesis = NULL;
    rf_db_close(open_with(&o));
    rf_db_close(open_it());
    o.identity.genesis = "other";
    expect_refused(&o, RPCFAN_EINVAL, "of another chain");
}

static void test_files_of_other_programs(void **state)
{
    (void)state;
    struct rf_db_options o = options();
    change("CREATE TABLE mine(x)");
    expect_refused(&o, RPCFAN_EINVAL, "a database of another program");
    assert_string_equal(ask("PRAGMA journal_mode"), "delete"); /* nothing was written */
    assert_string_equal(ask("SELECT count(*) FROM sqlite_master"), "1");
    fresh(NULL);
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 500; i++)
        fputs("this is not a database\n", f);
    fclose(f);
    expect_refused(&o, RPCFAN_EINVAL, "is no SQLite database");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 500 * 23);
}

static void test_paths_that_cannot_be(void **state)
{
    (void)state;
    struct rf_db_options o = options();
    o.read_only = true;
    expect_refused(&o, RPCFAN_EIO, "cannot be opened: No such file");
    o = options();
    o.path = dir;
    expect_refused(&o, RPCFAN_EIO, "cannot be opened");
    char deep[96];
    snprintf(deep, sizeof deep, "%s/none/x.sqlite", dir);
    o.path = deep;
    expect_refused(&o, RPCFAN_EIO, "cannot be opened");
    if (geteuid() == 0)
        return; /* root may write everywhere */
    o.path = path;
    rf_db_close(open_it());
    chmod(path, 0400);
    expect_refused(&o, RPCFAN_EIO, "cannot be written");
}

static void test_full_disk_loses_the_batch_and_nothing_else(void **state)
{
    (void)state;
    struct rf_db_options o = options();
    o.pages_max = 40;
    struct rf_db *db = open_with(&o);
    put(db, 1, 100, 1, 1);
    commit(db, 100, 1);
    enum rpcfan_err rc = RPCFAN_OK;
    for (int i = 2; i < 10000 && rc == RPCFAN_OK; i++) {
        struct rpcfan_account_event ev = {.slot = 200, .seq = (uint64_t)i};
        static const uint8_t data[1000];
        struct rpcfan_account a = {.lamports = 1, .data = data, .len = sizeof data};
        memcpy(ev.key, &i, sizeof i);
        rc = rf_db_put(db, &ev, &a, &err);
    }
    assert_int_equal(rc, RPCFAN_EIO);
    assert_non_null(strstr(err.text, "the disk is full; make room"));
    struct rpcfan_feed_mark mark = {.watermark = 300, .seq = 300};
    assert_int_equal(rf_db_commit(db, &mark, &err), RPCFAN_EIO); /* it can only be closed */
    rf_db_close(db);
    assert_string_equal(ask("SELECT group_concat(lamports) FROM accounts"), "1");
    assert_string_equal(ask("SELECT watermark FROM checkpoint"), "100");
    db = open_it(); /* room was made */
    put(db, 2, 200, 1, 2);
    commit(db, 200, 1);
    rf_db_close(db);
    assert_string_equal(ask("SELECT count(*) FROM accounts"), "2");
}

static void test_damaged_file_is_told(void **state)
{
    (void)state;
    struct rf_db_options o = options();
    struct rf_db *db = open_it();
    for (int i = 1; i <= 1000; i++)
        put(db, i, 1, (uint64_t)i, 1);
    commit(db, 1, 1000);
    rf_db_close(db);
    FILE *f = fopen(path, "r+");
    fseek(f, 4096 * 3, SEEK_SET);
    for (int i = 0; i < 4096 * 20; i++)
        fputc(0x5a, f);
    fclose(f);
    enum rpcfan_err rc = rf_db_open(&o, &db, &err);
    struct told t = {0};
    if (rc == RPCFAN_OK)
        rc = rf_db_known(db, take_known, &t, &err);
    assert_int_equal(rc, RPCFAN_EIO);
    assert_non_null(strstr(err.text, "is damaged"));
    rf_db_close(db);
}

static void test_second_writer_takes_over(void **state)
{
    (void)state;
    struct rf_db *first = open_it();
    put(first, 1, 100, 1, 1);
    commit(first, 100, 1);
    struct rf_db *second = open_it();
    put(first, 1, 101, 2, 2);
    struct rpcfan_feed_mark mark = {.watermark = 101, .seq = 2};
    assert_int_equal(rf_db_commit(first, &mark, &err), RPCFAN_EIO);
    assert_non_null(strstr(err.text, "another rpcfan index writes to it"));
    rf_db_close(first);
    put(second, 1, 100, 1, 3);
    commit(second, 100, 1);
    rf_db_close(second);
    assert_string_equal(ask("SELECT lamports FROM accounts"), "3");
}

static void test_readers_do_not_disturb(void **state)
{
    (void)state;
    struct rf_db *db = open_it();
    put(db, 1, 100, 1, 1);
    commit(db, 100, 1);
    sqlite3 *s = NULL;
    sqlite3_stmt *q = NULL;
    sqlite3_open(path, &s);
    sqlite3_prepare_v2(s, "SELECT lamports FROM accounts", -1, &q, NULL);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW); /* a read transaction stands open */
    put(db, 1, 101, 2, 2);
    commit(db, 101, 2);
    sqlite3_finalize(q);
    sqlite3_close(s);
    rf_db_close(db);
}

static enum rf_db_verdict compare(struct rf_db *db, int i, uint64_t slot, uint64_t lamports,
                                  uint8_t owner)
{
    enum rf_db_verdict v;
    uint8_t key[32] = {0};
    struct rpcfan_account a = {.lamports = lamports,
                               .rent_epoch = UINT64_MAX,
                               .space = 8,
                               .owner = {owner},
                               .data = (const uint8_t *)&lamports,
                               .len = 8};
    memcpy(key, &i, sizeof i);
    assert_int_equal(rf_db_compare(db, key, slot, &a, &v, &err), RPCFAN_OK);
    return v;
}

static void name_extra(void *arg, const char *pubkey)
{
    (void)pubkey;
    ++*(int *)arg;
}

static void test_compare_with_the_chain(void **state)
{
    (void)state;
    int extra = 0;
    struct rf_db *db = open_it();
    for (int i = 1; i <= 6; i++)
        put(db, i, 100, (uint64_t)i, (uint64_t)i);
    put_kind(db, 7, 100, 7, 0, RPCFAN_ACCOUNT_CLOSE);
    commit(db, 100, 7);
    rf_db_close(db);
    struct rf_db_options o = options();
    o.read_only = true;
    db = open_with(&o);
    assert_int_equal(compare(db, 1, 100, 1, 1), RF_DB_SAME);
    assert_int_equal(compare(db, 1, 50, 1, 1), RF_DB_SAME);
    assert_int_equal(compare(db, 2, 120, 9, 1), RF_DB_DIFFERS);
    assert_int_equal(compare(db, 3, 120, 3, 2), RF_DB_DIFFERS);
    assert_int_equal(compare(db, 4, 99, 9, 1), RF_DB_BEHIND);
    assert_int_equal(compare(db, 7, 120, 1, 1), RF_DB_MISSING);
    assert_int_equal(compare(db, 8, 120, 1, 1), RF_DB_MISSING);
    assert_int_equal(rf_db_extra(db, name_extra, &extra, &err), RPCFAN_OK);
    assert_int_equal(extra, 2);
    rf_db_close(db);
}

/* Another program's lock, which it lets go of at the third question, or never. */
struct lock {
    sqlite3 *sql;
    int asked, last, gives_up;
};

static int ask_lock(void *arg, int n)
{
    struct lock *l = arg;
    l->asked++;
    l->last = n;
    if (n == 2 && !l->gives_up)
        sqlite3_exec(l->sql, "COMMIT", NULL, NULL, NULL);
    return !l->gives_up;
}

static void test_lock_is_waited_for_as_the_caller_says(void **state)
{
    (void)state;
    struct lock l = {0};
    struct rf_db_options o = options();
    o.busy = ask_lock;
    o.busy_arg = &l;
    struct rf_db *db = open_with(&o);
    assert_int_equal(sqlite3_open(path, &l.sql), SQLITE_OK);
    assert_int_equal(sqlite3_exec(l.sql, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    put(db, 1, 100, 1, 5);
    commit(db, 100, 1);
    assert_int_equal(l.asked, 3);
    assert_int_equal(l.last, 2);
    l.gives_up = 1;
    assert_int_equal(sqlite3_exec(l.sql, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    struct rpcfan_feed_mark mark = {.watermark = 101, .seq = 1};
    assert_int_equal(rf_db_commit(db, &mark, &err), RPCFAN_EIO);
    assert_non_null(strstr(err.text, "holds a lock"));
    assert_int_equal(l.asked, 4);
    sqlite3_close(l.sql);
    rf_db_close(db);
}

static void test_out_of_memory_is_survived(void **state)
{
    (void)state;
    struct rf_db_options o = options();
    for (uint64_t at = 1;; at++) {
        struct rf_db *db = NULL;
        rf_alloc_fail_at(at);
        enum rpcfan_err rc = rf_db_open(&o, &db, &err);
        rf_alloc_fail_at(0);
        rf_db_close(db);
        if (rc == RPCFAN_OK) {
            assert_int_equal(at, 3);
            break;
        }
        assert_int_equal(rc, RPCFAN_ENOMEM);
    }
}

static int remove_dir(void **state)
{
    fresh(state);
    return rmdir(dir);
}

#define CASE(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_rows_are_exact_and_readable),
        CASE(test_guard_by_slot_then_by_sequence),
        CASE(test_processed_goes_by_sequence_alone),
        CASE(test_tombstone_is_not_brought_back_by_what_is_older),
        CASE(test_empty_data_is_no_null),
        CASE(test_checkpoint_and_rows_are_one),
        CASE(test_marks_never_go_back_and_sequences_go_on),
        CASE(test_known_tells_every_row),
        CASE(test_history_keeps_every_version),
        CASE(test_databases_of_something_else_are_left_alone),
        CASE(test_genesis_is_filled_in_later),
        CASE(test_files_of_other_programs),
        CASE(test_paths_that_cannot_be),
        CASE(test_full_disk_loses_the_batch_and_nothing_else),
        CASE(test_damaged_file_is_told),
        CASE(test_second_writer_takes_over),
        CASE(test_readers_do_not_disturb),
        CASE(test_compare_with_the_chain),
        CASE(test_lock_is_waited_for_as_the_caller_says),
        CASE(test_out_of_memory_is_survived),
    };
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(path, sizeof path, "%s/a.sqlite", dir);
    return cmocka_run_group_tests(tests, NULL, remove_dir);
}
