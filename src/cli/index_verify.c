/* index_verify.c - `rpcfan index --verify`: every account is read again from the chain, decoded,
 * and compared byte by byte with its row; the feed is told nothing of the database, and the hashes
 * in it are not used.
 *
 * Happy path: all are the same. Failure modes: an account that changed since the watermark differs
 * rightly; a node that is behind the database is told as such, not as a difference. */
#include "cli/index_run.h"
#include "cli/index_show.h"
#include "cli/options.h"

#define EVENTS_AT_ONCE 256

static void add_line(struct rf_index *x, const char *key, const char *verdict, uint64_t slot)
{
    struct rf_buf *b = &x->follow.out.buf;
    rf_buf_printf(b, "{\"pubkey\":\"%s\",\"verdict\":\"%s\"", key, verdict);
    if (slot > 0)
        rf_buf_printf(b, ",\"slot\":%llu", (unsigned long long)slot);
    rf_buf_str(b, "}\n");
}

static void count(struct rf_index *x, const struct rpcfan_account_event *ev,
                  enum rf_db_verdict verdict)
{
    static const char *const names[] = {"same", "differs", "missing", "behind"};
    uint64_t *counter[] = {&x->count.same, &x->count.differs, &x->count.missing, &x->count.behind};
    char key[64];
    ++*counter[verdict];
    if (x->count.read_slot == 0 || ev->slot < x->count.read_slot)
        x->count.read_slot = ev->slot;
    if (verdict == RF_DB_SAME)
        return;
    rpcfan_key_text(ev->key, key);
    add_line(x, key, names[verdict], ev->slot);
}

static void compare(struct rf_index *x, const struct rpcfan_account_event *ev)
{
    struct rpcfan_account account;
    struct rpcfan_error err = {0};
    enum rf_db_verdict verdict = RF_DB_SAME;
    char key[64];
    if (ev->kind == RPCFAN_ACCOUNT_CLOSE || ev->kind == RPCFAN_ACCOUNT_LEFT)
        return; /* not there: where the database has it, it is extra */
    enum rpcfan_err rc = rpcfan_account_read(ev->json, RF_INDEX_DATA_MAX, &x->data, &account);
    if (rc == RPCFAN_OK) {
        rc = rf_db_compare(x->db, ev->key, ev->slot, &account, &verdict, &err);
    } else {
        rpcfan_key_text(ev->key, key);
        rf_fail(&err, rc, "account %s cannot be decoded: %s", key, rpcfan_err_text(rc));
    }
    if (rc == RPCFAN_OK)
        count(x, ev, verdict);
    else
        rf_follow_fail_with(&x->follow, rc, &err);
}

static void extra(void *arg, const char *pubkey)
{
    struct rf_index *x = arg;
    x->count.extra++;
    add_line(x, pubkey, "extra", 0);
    if (!rf_follow_room(&x->follow))
        rf_follow_flush(&x->follow);
}

/* @return whether there may be more. */
static bool take(struct rf_index *x)
{
    struct rpcfan_account_event ev[EVENTS_AT_ONCE];
    size_t n = rpcfan_feed_take(x->feed, ev, EVENTS_AT_ONCE, &x->mark);
    for (size_t i = 0; i < n && x->follow.failed == 0; i++)
        compare(x, &ev[i]);
    rpcfan_feed_release(ev, n);
    return n == EVENTS_AT_ONCE;
}

static bool read_all(struct rf_index *x)
{
    while (!rf_follow_over(&x->follow)) {
        bool room = rf_follow_room(&x->follow);
        bool more = room && take(x);
        if (x->follow.failed == 0 && room && !more && x->mark.failed != RPCFAN_OK)
            rf_index_feed_failed(x);
        else if (x->follow.failed == 0 && room && !more && x->mark.complete != 0)
            return true;
        rf_index_show(x);
        rf_follow_wait(&x->follow, room ? rpcfan_feed_fd(x->feed) : -1,
                       more             ? 0
                       : x->progress.on ? RF_PROGRESS_DRAW_NS
                                        : RF_NEVER);
    }
    return false;
}

int rf_index_verify(struct rf_index *x)
{
    struct rpcfan_error err = {0};
    if (!rf_index_start_feed(x, false))
        return x->follow.failed;
    bool whole = read_all(x);
    rf_progress_clear(&x->progress);
    rpcfan_feed_status(x->feed, &x->status);
    enum rpcfan_err rc = whole ? rf_db_extra(x->db, extra, x, &err) : RPCFAN_OK;
    if (rc != RPCFAN_OK)
        rf_follow_fail_with(&x->follow, rc, &err);
    rf_follow_flush(&x->follow);
    if (!whole && !x->follow.interrupted)
        rf_follow_fail(&x->follow, RF_EXIT_CALLS,
                       "not all accounts were read in the time of --for");
    if (!whole || x->follow.failed != 0)
        return x->follow.failed;
    rf_index_show_verdict(x);
    const struct rf_index_counts *c = &x->count;
    return c->differs + c->missing + c->extra + c->behind > 0 ? RF_EXIT_CALLS : RF_EXIT_OK;
}
