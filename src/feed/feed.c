/* feed.c - the Solana account feed: its life, and who is told what.
 *
 * 1. Subscribe: an account each, or the program once. A subscription on a connection is a leg.
 * 2. Fence: a second after the acknowledgement, the highest slot that anybody has told. Whatever
 *    the leg missed is of that slot or before.
 * 3. Snapshot: reads with the fence as minContextSlot. Answers from before it are refused.
 * 4. Merge: one rule for all that is told and read (feed_merge.c). Equal content makes no event.
 * 5. Absence: null at the known slot or later, or, after a whole walk over the program, whatever
 * was not seen is read by its key. Never by a list that may have been cut.
 * 6. Closing: an account's subscription tells it; a program's cannot, so each known account is
 *    looked up again within sweep_ms (feed_check.c), and the list of keys compared.
 * 7. Gap: when a leg ends, the unit is complete up to what that session had told for certain; where
 *    no other leg begins there or before, it is fenced and read again: that unit alone.
 * 8. Queue: one event an account; what is dropped is read again when there is room.
 * 9. Processed (feed_forks.c): one session's news hold in their order; what stands on a fork that
 *    was left, is read; at a root, whatever is not of its chain is read.
 *    Finalized (feed_pending.c): confirmed news wait until their slot is named a root.
 * 10. Audit: a few accounts at random; what the stream should have told by then and did not ends
 * the session.
 * 11. Watermark: the lowest of what each session has told for certain, what gaps and unread
 * accounts hold, and what waits in the queue. In doubt it stands still.
 * 12. Handing out: events in order, numbered; what is known of an earlier run makes only what
 *    differs an event.
 *
 *   figure                   value     why
 *   RF_FEED_FENCE_NS         1 s       an acknowledgement is sent before the node acts on it
 *   RF_FEED_MARGIN           2 slots   what a proxy may reorder between two slots
 *   RF_FEED_SETTLE_NS        500 ms    likewise, where several slots are confirmed at once
 *   RF_FEED_LANE_NS          1 s       of a busy account later news come within 400 ms
 *   RF_FEED_JUDGE_SLOTS      4         an answer may hold the next slot's state
 *   RF_FEED_JUMP             10,000    an hour: further on, the next slot has to agree
 *   RF_FEED_LEAP             512       a notification's slot is not above the slot feed's
 *   RF_FEED_CROWDED, _ROOMY  25, 10 %  of the queue: a list stops and goes on; the rest of it is
 *                                      for the stream
 *   RF_FEED_TIMEOUT_NS       60 s      of a read, its tries included
 *   RF_FEED_ROWS_NS          6 h       of a list, whose consumer may be slow
 *   RF_FEED_REST_NS          2 s       between two walks; twice as long, up to 10 minutes, while
 *                                      what cannot be read is told again and again
 *
 * Called by client/feed.c and sim/vfeed*.c. Touches the world only through its rf_feed_ops. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/pubkey.h"
#include "feed/feed_int.h"

void rf_feed_why(struct rf_feed *f, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(f->why, sizeof f->why, fmt, ap);
    va_end(ap);
}

static const char *commitment_name(enum rpcfan_commitment c)
{
    return c == RPCFAN_PROCESSED ? "processed" : c == RPCFAN_FINALIZED ? "finalized" : "confirmed";
}

static void take_options(struct rf_feed *f, const struct rpcfan_feed_options *o)
{
    f->program = o->program != NULL;
    f->once = o->once != 0;
    f->commitment = o->commitment;
    f->commitment_text = commitment_name(o->commitment);
    f->calls_max = o->calls;
    f->inputs = f->inputs_now = o->inputs;
    f->sweep_ns = o->sweep_ms > RF_NEVER / RF_MS / 2 ? 0 : o->sweep_ms * RF_MS;
    f->audit_keys = o->audit_ms == 0 ? 0 : o->audit_keys;
    f->audit_ns =
        o->audit_ms > RF_NEVER / RF_MS / 2 || o->audit_ms == 0 ? RF_NEVER / 2 : o->audit_ms * RF_MS;
    f->overflow = o->overflow;
    /* Finalized subscriptions skip roots, so that one hears what is confirmed. */
    f->sub_commitment_text =
        f->commitment == RPCFAN_FINALIZED || (f->program && f->commitment == RPCFAN_PROCESSED)
            ? "confirmed"
            : f->commitment_text;
    f->lane_ns = f->bad_ns = f->idle_ns = RF_NEVER;
    f->next_token = 1;
}

static enum rpcfan_err take_program(struct rf_feed *f, const struct rpcfan_feed_options *o,
                                    struct rpcfan_error *err)
{
    rf_pubkey_decode(o->program, strlen(o->program), f->program_key);
    /* Processed program subscriptions leave out the banks between two updates: a confirmed one
     * tells all of them. */
    f->n_units = o->commitment == RPCFAN_PROCESSED && !o->once ? 2 : 1;
    if (o->filters == NULL)
        return RPCFAN_OK;
    f->filters = rf_strdup(o->filters);
    if (f->filters == NULL)
        return RPCFAN_ENOMEM;
    return rf_filters_read((struct rpcfan_slice){f->filters, strlen(f->filters)}, &f->filter, err);
}

static enum rpcfan_err take_accounts(struct rf_feed *f, const struct rpcfan_feed_options *o)
{
    uint8_t key[32];
    bool added;
    for (size_t i = 0; i < o->n_accounts; i++) {
        rf_pubkey_decode(o->accounts[i], strlen(o->accounts[i]), key);
        if (rf_keys_add(&f->keys, key, &added) == RF_KEY_NONE)
            return RPCFAN_ENOMEM;
    }
    f->n_units = f->keys.n;
    return RPCFAN_OK;
}

static enum rpcfan_err build(struct rf_feed *f, const struct rpcfan_feed_options *o, uint64_t seed,
                             struct rpcfan_error *err)
{
    enum rpcfan_err e;
    rf_list_init(&f->reads);
    rf_rng_init(&f->rng, seed);
    take_options(f, o);
    if (!rf_queue_init(&f->queue, o->overflow, o->queue_events, o->queue_bytes) ||
        !rf_keys_init(&f->keys, rf_rng_next(&f->rng)))
        return RPCFAN_ENOMEM;
    e = f->program ? take_program(f, o, err) : take_accounts(f, o);
    if (e != RPCFAN_OK)
        return e;
    /* What filters look at must not be compressed. */
    f->encoding_text =
        o->encoding == RPCFAN_BASE64_ZSTD && !f->filter.bytes ? "base64+zstd" : "base64";
    f->unit = rf_alloc(f->n_units * sizeof f->unit[0]);
    if (f->unit == NULL || (f->commitment == RPCFAN_FINALIZED && !rf_feed_pending_init(f)) ||
        (f->commitment == RPCFAN_PROCESSED && !rf_feed_forks_init(f)))
        return RPCFAN_ENOMEM;
    f->n_incomplete = f->n_idle = f->n_units;
    return RPCFAN_OK;
}

enum rpcfan_err rf_feed_new(const struct rpcfan_feed_options *o, const struct rf_feed_ops *ops,
                            uint64_t seed, const struct rf_log *log, struct rf_feed **out,
                            struct rpcfan_error *err)
{
    enum rpcfan_err e = rf_feed_options_check(o, err);
    *out = NULL;
    if (e != RPCFAN_OK)
        return e;
    struct rf_feed *f = rf_alloc(sizeof *f);
    if (f == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    f->ops = *ops;
    f->log = log;
    e = build(f, o, seed, err);
    if (e != RPCFAN_OK) {
        rf_feed_free(f);
        return e == RPCFAN_ENOMEM ? rf_fail(err, e, "out of memory") : e;
    }
    *out = f;
    return RPCFAN_OK;
}

void rf_feed_free(struct rf_feed *f)
{
    struct rf_link *l;
    if (f == NULL)
        return;
    while (f->reads.next != NULL && (l = rf_list_shift(&f->reads)) != NULL)
        rf_free(RF_CONTAINER(l, struct rf_feed_read, link));
    if (f->queue.waiting.next != NULL)
        rf_feed_out_fini(f);
    rf_feed_pending_fini(f);
    rf_feed_forks_fini(f);
    rf_feed_cover_fini(f);
    if (f->keys.index != NULL)
        rf_keys_fini(&f->keys);
    rf_buf_fini(&f->params);
    rf_buf_fini(&f->walk.cursor);
    rf_free(f->filters);
    rf_free(f->unit);
    rf_free(f);
}

enum rpcfan_err rf_feed_seed(struct rf_feed *f, const struct rpcfan_known *known, size_t n)
{
    if (f->started)
        return RPCFAN_EINVAL;
    for (size_t i = 0; i < n; i++) {
        bool added;
        uint32_t number = f->program ? rf_keys_add(&f->keys, known[i].key, &added)
                                     : rf_keys_find(&f->keys, known[i].key);
        if (number == RF_KEY_NONE && f->program)
            return RPCFAN_ENOMEM;
        if (number == RF_KEY_NONE)
            continue; /* it is not wanted any more */
        struct rf_key *e = rf_keys_at(&f->keys, number);
        f->there -= (e->flags & RF_KEY_THERE) != 0 ? 1 : 0;
        e->slot = known[i].slot;
        e->hash = known[i].hash;
        e->flags |= RF_KEY_KNOWN;
        if (known[i].gone == 0)
            e->flags |= RF_KEY_THERE | RF_KEY_TOLD;
        else
            e->flags &= ~(uint32_t)(RF_KEY_THERE | RF_KEY_TOLD);
        f->there += known[i].gone == 0 ? 1 : 0;
        f->seed_slot = rf_max_u64(f->seed_slot, known[i].slot);
    }
    return RPCFAN_OK;
}

void rf_feed_start(struct rf_feed *f, uint64_t now_ns)
{
    f->now_ns = now_ns;
    f->started = true;
    f->idle_ns = now_ns;
    f->sweep_due_ns = f->audit_due_ns = now_ns;
    f->walk.next_diff_ns = f->walk.redo = RF_NEVER;
    f->walk.rest_ns = RF_FEED_REST_NS;
    /* Nothing is complete yet: all of it holds the watermark at 0. */
    for (uint32_t i = 0; i < f->n_units; i++) {
        if (f->program)
            rf_holds_add(&f->holds, 0);
        else
            rf_feed_hold(f, rf_keys_at(&f->keys, i), 0);
    }
    f->wake = true;
}

void rf_feed_note(struct rf_feed *f, const struct rf_note *note, uint64_t now_ns)
{
    f->now_ns = rf_max_u64(f->now_ns, now_ns);
    if (!f->started || f->failed != RPCFAN_OK || f->once)
        return;
    if (note->kind == RF_NOTE_DATA)
        rf_feed_data_note(f, note);
    else
        rf_feed_cover_note(f, note);
}

void rf_feed_row(struct rf_feed *f, uint64_t token, const struct rf_feed_row *row, uint64_t now_ns)
{
    f->now_ns = rf_max_u64(f->now_ns, now_ns);
    if (token == 0 || token != f->walk.token || f->failed != RPCFAN_OK)
        return;
    rf_feed_row_come(f, row);
    if (f->walk.lower) { /* nothing that follows can be used */
        rf_feed_why(f, "an answer from before the slot that was asked for");
        uint64_t wait = rf_feed_read_wait(f->walk.floor, row->context_slot);
        rf_feed_walk_cancel(f);
        f->walk.due_ns = f->now_ns + wait;
        return;
    }
    rf_feed_measure(f);
    if (f->crowded != f->walk.paused) {
        f->walk.paused = f->crowded;
        f->ops.pause(f->ops.arg, token, f->crowded);
    }
}

void rf_feed_answer(struct rf_feed *f, uint64_t token, const struct rf_feed_answer *a,
                    uint64_t now_ns)
{
    f->now_ns = rf_max_u64(f->now_ns, now_ns);
    struct rf_feed_read *r = rf_feed_read_find(f, token);
    if (r == NULL)
        return;
    rf_list_remove(&r->link);
    f->n_reads--;
    if (f->failed == RPCFAN_OK) {
        if (r->kind == RF_FEED_ROWS || r->kind == RF_FEED_PAGE)
            rf_feed_walk_answer(f, r, a);
        else
            rf_feed_read_answer(f, r, a);
    }
    rf_free(r);
}

void rf_feed_step(struct rf_feed *f, uint64_t now_ns)
{
    f->now_ns = rf_max_u64(f->now_ns, now_ns);
    if (!f->started)
        return;
    f->wake = false;
    rf_feed_measure(f);
    if (f->failed == RPCFAN_OK) {
        rf_feed_cover_step(f);
        rf_feed_read_step(f);
        rf_feed_check_step(f);
    }
    rf_feed_advance(f);
}

uint64_t rf_feed_deadline(const struct rf_feed *f)
{
    if (!f->started || f->failed != RPCFAN_OK)
        return RF_NEVER;
    if (f->wake)
        return f->now_ns;
    uint64_t due = rf_min_u64(rf_feed_cover_deadline(f), rf_feed_read_deadline(f));
    due = rf_min_u64(due, rf_feed_walk_deadline(f));
    return rf_min_u64(due, rf_feed_check_deadline(f));
}

static const char *state_of(const struct rf_feed *f)
{
    if (f->failed != RPCFAN_OK)
        return "failed";
    if (!f->started)
        return "new";
    if (!f->complete)
        return "snapshot";
    if (f->once)
        return "complete";
    return f->n_incomplete > 0 ? "repair" : "live";
}

void rf_feed_status(const struct rf_feed *f, uint64_t now_ns, struct rpcfan_feed_status *out)
{
    (void)now_ns;
    *out = (struct rpcfan_feed_status){
        .accounts = f->there,
        .watermark = f->watermark,
        .tip = f->tip,
        .notes = f->count.notes,
        .events = f->count.events,
        .same = f->count.same,
        .stale = f->count.stale,
        .gaps = f->count.gaps,
        .repairs = f->count.repairs,
        .dirty = f->n_dirty + f->doubt[0].n + f->doubt[1].n,
        .missed = f->count.missed,
        .malformed = f->count.malformed,
        .queue_events = f->queue.count.items,
        .queue_bytes = f->queue.count.bytes,
        .conflated = f->queue.count.conflated,
        .dropped = f->queue.count.dropped + f->count.refused,
        .snapshot_rows = f->walk.rows,
        .calls = f->count.calls,
    };
    snprintf(out->state, sizeof out->state, "%s", state_of(f));
    snprintf(out->why, sizeof out->why, "%s", f->why);
}
