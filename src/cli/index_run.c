/* index_run.c - the loop of `rpcfan index`.
 *
 * A turn: 1. take events, while stdout has room; 2. write each as a line, and decode it and put it
 * into the database; 3. commit what was put, with the feed's mark, once it is old enough; 4. wait.
 * Lines are on stdout before the rows are committed: a crash may tell a line twice, and loses none.
 *
 * Happy path: the feed tells what changes, the mark rises, each commit takes the checkpoint on.
 * Failure modes: the database cannot be written: what was put since the last commit is lost, and
 * told again by the next run. A slow reader of stdout holds back the database too; the feed's queue
 * then keeps the newest of each account. An account that cannot be decoded is not written, and the
 * checkpoint's watermark stays until it was told anew: by its next change, or by a feed that begins
 * again from the database. The feed gives up: what came before is committed, status 1. */
#include "cli/index_run.h"

#include <string.h>

#include "cli/index_show.h"
#include "cli/options.h"
#include "sink/ndjson.h"

#define EVENTS_AT_ONCE 256
/* A commit costs the same for one row as for some thousands. */
#define COMMIT_ROWS 16384
#define COMMIT_NS (RF_SEC / 4)
#define MARK_NS RF_SEC
/* How long an account that cannot be decoded has time to be told anew by itself. */
#define BAD_NS (30 * RF_SEC)
#define RESTARTS_MAX 3

static enum rpcfan_err seed(void *arg, const struct rpcfan_known *known, size_t n)
{
    return rpcfan_feed_seed(arg, known, n);
}

bool rf_index_start_feed(struct rf_index *x, bool with_seed)
{
    struct rpcfan_feed_options fo;
    struct rpcfan_error err = {0};
    rf_index_options_feed(x->o, x->follow.cli->network, &fo);
    enum rpcfan_err rc = rpcfan_feed_new(x->follow.client, &fo, &x->feed, &err);
    if (rc == RPCFAN_OK && x->db != NULL)
        x->base = rf_db_feed_begins(x->db);
    if (rc == RPCFAN_OK && with_seed && x->db != NULL)
        rc = rf_db_known(x->db, seed, x->feed, &err);
    if (rc != RPCFAN_OK) {
        rf_follow_fail_with(&x->follow, rc, &err);
        return false;
    }
    x->mark = (struct rpcfan_feed_mark){0};
    rpcfan_feed_start(x->feed);
    return true;
}

void rf_index_feed_failed(struct rf_index *x)
{
    rpcfan_feed_status(x->feed, &x->status);
    rf_follow_fail(&x->follow, RF_EXIT_CALLS, "the feed has given up: %s (%s)",
                   x->status.why[0] != '\0' ? x->status.why : rpcfan_err_text(x->mark.failed),
                   rpcfan_err_name(x->mark.failed));
}

static size_t find_bad(const struct rf_index *x, const uint8_t key[32])
{
    size_t i = 0;
    while (i < x->n_bad && memcmp(x->bad[i], key, sizeof x->bad[i]) != 0)
        i++;
    return i;
}

static const char *what_is_bad(enum rpcfan_err rc)
{
    return rc == RPCFAN_ETOOBIG ? "it holds more than 64 MiB" : "it is not as accounts are written";
}

/* What was told of this account is no account. */
static void note_bad(struct rf_index *x, const struct rpcfan_account_event *ev, enum rpcfan_err rc)
{
    char key[64];
    size_t i = find_bad(x, ev->key);
    x->count.malformed++;
    rpcfan_key_text(ev->key, key);
    if (i < x->n_bad)
        return;
    if (x->n_bad == RF_INDEX_BAD_MAX) {
        rf_follow_fail(&x->follow, RF_EXIT_CALLS,
                       "%d accounts cannot be decoded, %s among them (%s); try another --encoding, "
                       "or another node",
                       RF_INDEX_BAD_MAX + 1, key, what_is_bad(rc));
        return;
    }
    rf_cli_say("index: account %s at slot %llu cannot be decoded (%s); it will be read again", key,
               (unsigned long long)ev->slot, what_is_bad(rc));
    if (x->n_bad == 0)
        x->bad_ns = rpcfan_now_ns();
    memcpy(x->bad[x->n_bad++], ev->key, sizeof x->bad[0]);
}

static void forget_bad(struct rf_index *x, const uint8_t key[32])
{
    size_t i = x->n_bad > 0 ? find_bad(x, key) : 0;
    if (i < x->n_bad)
        memcpy(x->bad[i], x->bad[--x->n_bad], sizeof x->bad[0]);
}

static void put(struct rf_index *x, const struct rpcfan_account_event *ev)
{
    struct rpcfan_account account;
    struct rpcfan_error err = {0};
    enum rpcfan_err rc = RPCFAN_OK;
    bool gone = ev->kind == RPCFAN_ACCOUNT_CLOSE || ev->kind == RPCFAN_ACCOUNT_LEFT;
    if (!gone)
        rc = rpcfan_account_read(ev->json, RF_INDEX_DATA_MAX, &x->data, &account);
    if (rc == RPCFAN_EMALFORMED || rc == RPCFAN_ETOOBIG) {
        note_bad(x, ev, rc);
        return;
    }
    if (rc == RPCFAN_OK)
        rc = rf_db_put(x->db, ev, gone ? NULL : &account, &err);
    if (rc != RPCFAN_OK)
        rf_follow_fail_with(&x->follow, rc, &err);
    else
        forget_bad(x, ev->key);
}

/* Take some events. @return whether there may be more. */
static bool take(struct rf_index *x)
{
    struct rpcfan_account_event ev[EVENTS_AT_ONCE];
    uint64_t watermark = x->mark.watermark;
    size_t n = rpcfan_feed_take(x->feed, ev, EVENTS_AT_ONCE, &x->mark);
    for (size_t i = 0; i < n && x->follow.failed == 0; i++) {
        if ((unsigned)ev[i].kind < RF_COUNT(x->count.kind))
            x->count.kind[ev[i].kind]++;
        if (x->o->emit)
            rf_ndjson_event(&x->follow.out.buf, &ev[i], x->base + ev[i].seq);
        if (x->db != NULL)
            put(x, &ev[i]);
    }
    rpcfan_feed_release(ev, n);
    if (x->dirty_ns == 0 && (n > 0 || x->mark.watermark != watermark))
        x->dirty_ns = rpcfan_now_ns();
    return n == EVENTS_AT_ONCE;
}

/* When the next commit is due; RF_NEVER: nothing has to be committed. */
static uint64_t commit_due(const struct rf_index *x)
{
    if (x->db == NULL || x->dirty_ns == 0)
        return RF_NEVER;
    uint64_t pending = rf_db_pending(x->db);
    return pending >= COMMIT_ROWS ? 0 : x->dirty_ns + (pending > 0 ? COMMIT_NS : MARK_NS);
}

static void commit(struct rf_index *x)
{
    struct rpcfan_feed_mark mark = x->mark;
    struct rpcfan_error err = {0};
    if (x->n_bad > 0) { /* not all that the mark covers was written */
        mark.watermark = 0;
        mark.complete = 0;
    }
    enum rpcfan_err rc = rf_db_commit(x->db, &mark, &err);
    if (rc != RPCFAN_OK)
        rf_follow_fail_with(&x->follow, rc, &err);
    x->dirty_ns = 0;
}

/* Begin again from the database: it still has the old state of what could not be decoded, so that
 * the new feed tells these accounts anew. */
static void restart(struct rf_index *x)
{
    rf_follow_flush(&x->follow);
    if (x->follow.failed == 0)
        commit(x);
    if (x->follow.failed != 0)
        return;
    if (x->count.restarts == RESTARTS_MAX) {
        rf_follow_fail(&x->follow, RF_EXIT_CALLS,
                       "some accounts cannot be decoded, however often they are read; try another "
                       "--encoding, or another node");
        return;
    }
    x->count.restarts++;
    rpcfan_feed_free(x->feed);
    x->feed = NULL;
    x->n_bad = 0;
    rf_index_start_feed(x, true);
}

/* @return whether the run has come to its end by itself. */
static bool finished(struct rf_index *x, bool more)
{
    if (more)
        return false;
    if (x->mark.failed != RPCFAN_OK) {
        rf_follow_flush(&x->follow);
        if (x->db != NULL && x->follow.failed == 0)
            commit(x);
        rf_index_feed_failed(x);
        return true;
    }
    bool done = x->o->once && x->mark.complete != 0;
    bool waited = x->n_bad > 0 && rpcfan_now_ns() >= rf_time_add(x->bad_ns, BAD_NS);
    if (x->n_bad > 0 && (done || waited)) {
        restart(x);
        return false;
    }
    return done;
}

static void wait_for_more(struct rf_index *x, bool room, bool more)
{
    uint64_t now_ns = rpcfan_now_ns();
    uint64_t timeout_ns = more ? 0 : rf_time_sub(commit_due(x), now_ns);
    if (rf_output_pending(&x->follow.out) > 0 && !more)
        timeout_ns = RF_NEVER; /* no commit before that is written */
    if (x->n_bad > 0)
        timeout_ns = rf_min_u64(timeout_ns, RF_SEC);
    if (x->progress.on)
        timeout_ns = rf_min_u64(timeout_ns, RF_PROGRESS_DRAW_NS);
    rf_follow_wait(&x->follow, room ? rpcfan_feed_fd(x->feed) : -1, timeout_ns);
}

static void turns(struct rf_index *x)
{
    while (!rf_follow_over(&x->follow)) {
        bool due = rpcfan_now_ns() >= commit_due(x);
        bool drained = rf_output_pending(&x->follow.out) == 0;
        if (due && drained)
            commit(x);
        /* Lines stop while a commit waits for those that are there. */
        bool room = rf_follow_room(&x->follow) && (!due || drained);
        bool more = room && take(x);
        if (x->follow.failed == 0 && room && finished(x, more))
            break;
        rf_index_show(x);
        if (x->feed != NULL)
            wait_for_more(x, room, more);
    }
}

/* The time of --for was over before all was read once. With --once that is no success. */
static void say_partial(struct rf_index *x)
{
    const char *why = x->status.why[0] != '\0' ? x->status.why : x->status.state;
    if (x->mark.complete != 0 || x->follow.interrupted || x->follow.failed != 0)
        return;
    if (x->o->once)
        rf_follow_fail(&x->follow, RF_EXIT_CALLS,
                       "not all accounts were read in the time of --for (%s)", why);
    else
        rf_cli_say("index: not all accounts were read in the time of --for (%s); the next run goes "
                   "on",
                   why);
}

int rf_index_run(struct rf_index *x)
{
    if (!rf_index_start_feed(x, true))
        return x->follow.failed;
    turns(x);
    rf_progress_clear(&x->progress);
    if (x->follow.failed == 0)
        rf_follow_flush(&x->follow);
    if (x->follow.failed == 0 && x->db != NULL)
        commit(x);
    if (x->feed != NULL)
        rpcfan_feed_status(x->feed, &x->status);
    say_partial(x);
    return RF_EXIT_OK;
}
