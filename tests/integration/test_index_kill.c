/* test_index_kill.c - `rpcfan index` killed with SIGKILL at random moments while accounts change:
 * what the next run tells differs from what the database has, nothing is lost, and in the end the
 * database is what the chain has.
 *
 * Each line of a run is held against a model: the database as it was committed when the run began,
 * with the lines of the run so far. A line must change the model. The lines of all runs together,
 * each model beginning where the last one's commit was, lead to what is in the database.
 * Environment: KILLS (10) in all, SEED (1), VERBOSE=1: figures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "accountdb.h"
#include "base/buf.h"
#include "base/rng.h"

#define KEYS 300
#define PATH_MAX_ 256
#define PATIENCE_NS (60 * RF_SEC)
#define WORLD                                                                                      \
    "keys=300 slot-ms=40 writes=20 close=60 reassign=20 reopen=20 fork=30 finalize-lag=12 "        \
    "close-ws=2"

extern char **environ;

/** How the index is called. */
struct way {
    const char *name;
    const char *arg[4];
    bool history;
};

/** A line. */
struct told {
    uint32_t key;
    struct account_row row;
};

/** What a run came to. */
struct run {
    pid_t pid;
    int out; /* the reading end of its stdout */
    struct rf_buf text;
    struct told *told; /* its whole lines */
    size_t n_told, cap_told;
};

struct world {
    struct rf_node *node;
    struct account_keys keys;
    struct rf_rng rng;
    const struct way *way;
    char rpcfan[PATH_MAX_], dir[64], db[PATH_MAX_], copy[PATH_MAX_];
    struct account_row model[KEYS], stored[KEYS];
    uint64_t kills, told, idle; /* told: lines; idle: runs killed before they had told one */
};

/* The command. */

static void find_command(struct world *w)
{
    char self[PATH_MAX_] = "";
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(n > 0);
    for (int up = 0; up < 3; up++) /* BUILD/tests/integration/test_index_kill */
        *strrchr(self, '/') = '\0';
    snprintf(w->rpcfan, sizeof w->rpcfan, "%s/rpcfan", self);
}

/* Start `rpcfan index` with the world's way and more options. */
static void start(struct world *w, struct run *r, const char *const *more)
{
    const char *arg[32] = {w->rpcfan, "index", "-u",        rf_node_url(w->node),
                           "--db",    w->db,   "--program", w->keys.program};
    unsigned n = 8;
    int pipes[2];
    posix_spawn_file_actions_t files;
    for (unsigned i = 0; w->way->arg[i] != NULL; i++)
        arg[n++] = w->way->arg[i];
    for (unsigned i = 0; more[i] != NULL; i++)
        arg[n++] = more[i];
    memset(r, 0, sizeof *r);
    assert_int_equal(pipe(pipes), 0);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, pipes[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&files, pipes[0]);
    assert_int_equal(
        posix_spawn(&r->pid, w->rpcfan, &files, NULL, (char *const *)(uintptr_t)arg, environ), 0);
    posix_spawn_file_actions_destroy(&files);
    close(pipes[1]);
    r->out = pipes[0];
}

/* Read its stdout until a time, or its end. @return whether it has ended. */
static bool read_until(struct run *r, uint64_t until_ns)
{
    for (;;) {
        char bytes[65536];
        uint64_t now_ns = rpcfan_now_ns();
        struct pollfd p = {.fd = r->out, .events = POLLIN};
        int ms = (int)(rf_time_sub(until_ns, now_ns) / RF_MS);
        if (poll(&p, 1, ms) == 0 || now_ns >= until_ns)
            return false;
        ssize_t n = read(r->out, bytes, sizeof bytes);
        if (n <= 0)
            return true;
        rf_buf_add(&r->text, bytes, (size_t)n);
    }
}

static int reap(struct run *r)
{
    int status;
    assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
    read_until(r, RF_NEVER);
    close(r->out);
    return status;
}

/* The database, without touching it: recovery is the next run's. */
static bool copy_file(const char *from, const char *to)
{
    char bytes[65536];
    size_t n;
    FILE *in = fopen(from, "rb"), *out = in == NULL ? NULL : fopen(to, "wb");
    while (out != NULL && (n = fread(bytes, 1, sizeof bytes, in)) > 0)
        assert_int_equal(fwrite(bytes, 1, n, out), n);
    if (out != NULL)
        fclose(out);
    if (in != NULL)
        fclose(in);
    return in != NULL;
}

static void remove_db(const char *path)
{
    static const char *const parts[] = {"", "-wal", "-shm"};
    char name[PATH_MAX_ + 8];
    size_t len = strlen(path);
    for (unsigned i = 0; i < RF_COUNT(parts); i++) {
        memcpy(name, path, len);
        strcpy(name + len, parts[i]);
        unlink(name);
    }
}

/* Whether a run got as far as to make its tables. */
static bool has_tables(const char *path)
{
    sqlite3 *db;
    int found = 0;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK)
        found = sqlite3_table_column_metadata(db, NULL, "account", "hash", NULL, NULL, NULL, NULL,
                                              NULL) == SQLITE_OK;
    sqlite3_close(db);
    return found != 0;
}

static void read_stored(struct world *w)
{
    char from[PATH_MAX_ + 8], to[PATH_MAX_ + 8];
    struct account_reader r;
    memset(w->stored, 0, sizeof w->stored);
    remove_db(w->copy);
    snprintf(from, sizeof from, "%s-wal", w->db);
    snprintf(to, sizeof to, "%s-wal", w->copy);
    if (!copy_file(w->db, w->copy))
        return;
    copy_file(from, to);
    if (!has_tables(w->copy))
        return;
    account_reader_open(&r, w->copy);
    account_reader_all(&r, &w->keys, w->stored);
    account_reader_close(&r);
}

/* Lines. */

/* The text behind `name` in a line, which is there. */
static const char *member(const char *line, const char *name)
{
    const char *at = strstr(line, name);
    if (at == NULL)
        fail_msg("no %s in %s", name, line);
    return at + strlen(name);
}

/* A line must say what the model does not. */
static void apply(struct world *w, struct run *r, const char *line)
{
    const char *kind = member(line, "\"kind\":\""), *key = member(line, "\"pubkey\":\"");
    const char *account = member(line, "\"account\":");
    size_t len = strlen(account);
    uint32_t number = account_keys_find(&w->keys, key, strcspn(key, "\""));
    struct account_row *row = &w->model[number];
    struct account_row next = {.slot = strtoull(member(line, "\"slot\":"), NULL, 10)};
    next.there = account[0] == '{';
    if (next.there && !rf_validator_read((struct rpcfan_slice){account, len - 1}, &next.hash))
        fail_msg("no account: %s", line);
    if (next.there == row->there && next.hash == row->hash)
        fail_msg("told, and no difference: %s", line);
    bool gone = strncmp(kind, "close\"", 6) == 0 || strncmp(kind, "left\"", 5) == 0;
    if (gone == next.there || (strncmp(kind, "update\"", 7) == 0) != (row->there && next.there))
        fail_msg("it was %s: %s", row->there ? "there" : "gone", line);
    if (r->n_told == r->cap_told) {
        r->cap_told = 2 * r->cap_told + 64;
        r->told = realloc(r->told, r->cap_told * sizeof *r->told);
        assert_non_null(r->told);
    }
    *row = next;
    r->told[r->n_told++] = (struct told){number, next};
    w->told++;
}

/* All whole lines of a run. */
static void apply_lines(struct world *w, struct run *r)
{
    rf_buf_char(&r->text, '\0');
    for (char *line = r->text.data, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        apply(w, r, line);
    }
    rf_buf_fini(&r->text);
}

/* What changed in the database was told before: by a line of this run that is there in full. */
static void check_told(const struct world *w, const struct run *r, const struct account_row *was)
{
    for (uint32_t key = 0; key < KEYS; key++) {
        const struct account_row *now = &w->stored[key];
        bool told = now->there == was[key].there && now->hash == was[key].hash;
        for (size_t i = r->n_told; i-- > 0 && !told;)
            told = r->told[i].key == key && r->told[i].row.there == now->there &&
                   r->told[i].row.hash == now->hash;
        if (!told)
            fail_msg("account %s is %s as of slot %llu in the database, and no line says so",
                     w->keys.text[key], now->there ? "there" : "gone",
                     (unsigned long long)now->slot);
    }
}

static void kill_once(struct world *w)
{
    const char *const more[] = {
        "--emit", "--sweep", "1s", "--audit", "500ms", w->way->history ? "--history" : NULL, NULL};
    struct run r;
    /* A third of them before there is anything; the others about the first commits and later. */
    uint64_t ms =
        rf_rng_below(&w->rng, 2) == 0 ? rf_rng_below(&w->rng, 300) : rf_rng_below(&w->rng, 2500);
    struct account_row was[KEYS];
    memcpy(was, w->stored, sizeof was);
    memcpy(w->model, w->stored, sizeof w->model);
    start(w, &r, more);
    if (read_until(&r, rpcfan_now_ns() + ms * RF_MS))
        fail_msg("it has ended by itself");
    kill(r.pid, SIGKILL);
    reap(&r);
    apply_lines(w, &r);
    read_stored(w);
    check_told(w, &r, was);
    w->idle += r.n_told == 0;
    w->kills++;
    free(r.told);
}

/* A run that ends by itself. @return its lines. */
static size_t finish(struct world *w, const char *const *more)
{
    struct run r;
    memcpy(w->model, w->stored, sizeof w->model);
    start(w, &r, more);
    if (!read_until(&r, rpcfan_now_ns() + PATIENCE_NS))
        fail_msg("it does not end");
    int status = reap(&r);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("%s %s: status %x, %.*s", w->way->name, more[0], (unsigned)status, (int)r.text.len,
                 r.text.data);
    apply_lines(w, &r);
    read_stored(w);
    free(r.told);
    return r.n_told;
}

struct slots {
    uint64_t tip, root;
};

static void tell_slots(struct rf_validator *v, uint64_t now_ns, void *arg)
{
    const struct rf_banks *banks = rf_validator_banks(v);
    (void)now_ns;
    *(struct slots *)arg = (struct slots){banks->tip, banks->root};
}

static void set_knobs(struct world *w, const char *line)
{
    struct rpcfan_error err;
    if (rf_node_set_script(w->node, line, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
}

/* Nothing is written any more, and all that was is final. */
static void freeze(struct world *w)
{
    struct slots then, now;
    uint64_t until_ns = rpcfan_now_ns() + PATIENCE_NS;
    set_knobs(w, "knobs writes=0 fork=0 close-ws=0\n");
    rf_node_oracle(w->node, tell_slots, &then);
    do {
        poll(NULL, 0, 20);
        rf_node_oracle(w->node, tell_slots, &now);
        assert_true(rpcfan_now_ns() < until_ns);
    } while (now.root < then.tip);
}

static uint64_t setting(const char *name, uint64_t usual)
{
    const char *text = getenv(name);
    return text == NULL ? usual : strtoull(text, NULL, 10);
}

static const struct way ways[] = {
    {"confirmed", {NULL}, true},
    {"finalized", {"--commitment", "finalized", NULL}, false},
    {"processed", {"--commitment", "processed", NULL}, false},
};

static void kill_and_compare(const struct way *way, uint64_t kills)
{
    static const char *const once[] = {"--once", "--emit", NULL}, *const same[] = {"--verify",
                                                                                   NULL};
    static struct world world;
    struct world *w = &world;
    struct rf_node_options o = {.solana = true, .knobs = WORLD};
    struct rpcfan_error err;
    memset(w, 0, sizeof *w);
    w->way = way;
    rf_rng_init(&w->rng, setting("SEED", 1) + (uint64_t)(way - ways));
    find_command(w);
    snprintf(w->dir, sizeof w->dir, "%s/rpcfan-kill-XXXXXX",
             getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->db, sizeof w->db, "%.60s/index.sqlite", w->dir);
    snprintf(w->copy, sizeof w->copy, "%.60s/copy.sqlite", w->dir);
    if (rf_node_start_thread(&o, &w->node, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
    account_keys_ask(&w->keys, w->node, KEYS);
    while (w->kills < kills)
        kill_once(w);
    freeze(w);
    size_t last = finish(w, once);
    for (uint32_t i = 0; i < KEYS; i++) /* told in full, and kept in full */
        assert_true(w->model[i].there == w->stored[i].there &&
                    w->model[i].hash == w->stored[i].hash);
    assert_int_equal(finish(w, once), 0);
    assert_int_equal(finish(w, same), 0);
    if (getenv("VERBOSE") != NULL)
        printf("%s: killed %llu times, %llu before the first line; %llu lines, %zu of them last\n",
               way->name, (unsigned long long)w->kills, (unsigned long long)w->idle,
               (unsigned long long)w->told, last);
    rf_node_stop_thread(w->node);
    remove_db(w->db);
    remove_db(w->copy);
    rmdir(w->dir);
}

static void test_index_kill_confirmed(void **state)
{
    (void)state;
    uint64_t kills = setting("KILLS", 10);
    kill_and_compare(&ways[0], kills - 2 * (kills / 4));
}

static void test_index_kill_finalized(void **state)
{
    (void)state;
    kill_and_compare(&ways[1], setting("KILLS", 10) / 4);
}

static void test_index_kill_processed(void **state)
{
    (void)state;
    kill_and_compare(&ways[2], setting("KILLS", 10) / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index_kill_confirmed),
        cmocka_unit_test(test_index_kill_finalized),
        cmocka_unit_test(test_index_kill_processed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
