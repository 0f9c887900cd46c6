/* feed_walk.c - lists the accounts of a program: the first snapshot, and again after each gap; and,
 * at the pace of the sweep, their keys alone, which finds what the stream did not tell.
 *
 * Happy path: one getProgramAccounts with the fence as its floor; its rows are merged as they come,
 * and the call is paused while the queue is full. What should have been among them and was not is
 * read by its key, and found closed, or another program's.
 * Failure modes: a node that refuses is asked in other ways: page by page, keys first, by the first
 * byte of the data, and both; when none is left, all over again later. Rows from before the floor
 * end the call. A gap while it walks makes it begin anew, once there is a new fence. */
#include <string.h>

#include "feed/feed_int.h"

#include "base/mem.h"

#define SHARDS 257
#define LIMIT_FIRST 1000
#define LIMIT_MOST 10000
#define PAGE_BYTES (2u << 20) /* pages shorter than that may be longer */
#define TRIES 4
#define REFUSED_NS (30 * RF_SEC)
#define DIFF_KEYS 50000 /* more are compared more rarely */

void rf_feed_walk_cancel(struct rf_feed *f)
{
    struct rf_feed_walk *w = &f->walk;
    if (w->token == 0)
        return;
    struct rf_feed_read *r = rf_feed_read_find(f, w->token);
    if (r != NULL)
        r->canceled = true;
    f->ops.cancel(f->ops.arg, w->token);
    w->token = 0;
    w->paused = false;
}

/* From its first row again. */
static void rewind_walk(struct rf_feed *f)
{
    struct rf_feed_walk *w = &f->walk;
    w->id++;
    w->shard = 0;
    w->rows = 0;
    w->slot_min = RF_NEVER;
    w->lower = w->broken = false;
    rf_buf_reset(&w->cursor, 4096);
}

static void begin(struct rf_feed *f, uint64_t floor, bool diff)
{
    struct rf_feed_walk *w = &f->walk;
    if (f->now_ns - w->ended_ns > 2 * w->rest_ns)
        w->rest_ns = RF_FEED_REST_NS;
    w->busy = true;
    w->diff = diff;
    w->second = false;
    w->floor = floor;
    w->hold = w->since_slot = RF_NEVER;
    w->tries = 0;
    w->due_ns = f->now_ns;
    if (w->limit == 0)
        w->limit = LIMIT_FIRST;
    for (uint32_t i = 0; i < f->n_units; i++) {
        const struct rf_feed_unit *u = &f->unit[i];
        if (u->complete)
            continue;
        w->hold = rf_min_u64(w->hold, u->hold);
        w->since_slot = rf_min_u64(w->since_slot, u->lost);
    }
    if (w->hold == RF_NEVER)
        w->hold = f->covered;
    if (diff || !f->complete || w->mode != RF_FEED_PAGES || w->since_slot == RF_NEVER)
        w->since_slot = 0;
    rewind_walk(f);
    rf_log(f->log, RPCFAN_LOG_DEBUG, "RF-FEED-WALK floor=%llu mode=%d diff=%d since=%llu",
           (unsigned long long)floor, (int)w->mode, diff, (unsigned long long)w->since_slot);
}

/* The lowest slot at which a walk makes all complete; 0: not known yet. */
static uint64_t wanted_floor(const struct rf_feed *f)
{
    uint64_t floor = 0;
    if (f->once)
        return f->once_slot;
    for (uint32_t i = 0; i < f->n_units; i++) {
        uint64_t fence = rf_feed_cover_fence(&f->unit[i]);
        if (f->unit[i].complete)
            continue;
        if (fence == 0)
            return 0;
        floor = rf_max_u64(floor, fence);
    }
    return floor;
}

static void send_part(struct rf_feed *f)
{
    struct rf_feed_walk *w = &f->walk;
    bool pages = w->mode == RF_FEED_PAGES;
    struct rf_feed_read *r = rf_feed_read_new(f, pages ? RF_FEED_PAGE : RF_FEED_ROWS, 0);
    if (r == NULL)
        return;
    struct rpcfan_slice params = rf_feed_params_walk(f);
    if (params.len == 0) {
        rf_free(r);
        rf_feed_read_pause(f, RF_SEC);
        return;
    }
    r->floor = w->floor;
    w->token = r->token;
    w->paused = w->lower = w->broken = false;
    rf_feed_read_send(f, r, pages ? "getProgramAccountsV2" : "getProgramAccounts", params);
}

static void end(struct rf_feed *f)
{
    struct rf_feed_walk *w = &f->walk;
    w->busy = false;
    w->ended_ns = f->now_ns;
    w->refusals = 0;
    uint64_t more = f->there / DIFF_KEYS + 1;
    w->next_diff_ns =
        f->sweep_ns == 0 || f->once ? RF_NEVER : rf_time_add(f->now_ns, f->sweep_ns * more);
}

static void finish(struct rf_feed *f)
{
    struct rf_feed_walk *w = &f->walk;
    if (w->since_slot != 0) { /* that was what changed; now what is there at all */
        w->since_slot = 0;
        w->second = true;
        rewind_walk(f);
        return;
    }
    rf_feed_row_absent(f);
    if (!w->diff) {
        uint64_t slot = w->slot_min == RF_NEVER ? w->floor : w->slot_min;
        for (uint32_t i = 0; i < f->n_units; i++)
            rf_feed_cover_read(f, i, slot);
    }
    if (!w->diff && w->redo != RF_NEVER && !f->once) {
        rf_feed_cover_again(f, "something was lost during the walk");
        w->redo = RF_NEVER;
    }
    end(f);
}

/* The rest of what is to be done while it walks. */
static void go_on(struct rf_feed *f)
{
    struct rf_feed_walk *w = &f->walk;
    uint64_t floor = wanted_floor(f);
    bool late = f->n_incomplete > 0 && floor != 0 && (w->diff || floor > w->floor);
    if (late) {
        rf_feed_walk_cancel(f);
        begin(f, floor, false);
    }
    if (w->token != 0 && w->mode != RF_FEED_PAGES && w->paused != f->crowded) {
        w->paused = f->crowded;
        f->ops.pause(f->ops.arg, w->token, w->paused);
    }
    if (w->token == 0 && f->now_ns >= w->due_ns && !f->crowded && rf_feed_read_room(f) &&
        rf_feed_read_ripe(f, w->floor))
        send_part(f);
}

void rf_feed_walk_step(struct rf_feed *f)
{
    struct rf_feed_walk *w = &f->walk;
    if (!f->program)
        return;
    if (!w->busy && f->n_incomplete > 0) {
        uint64_t floor = wanted_floor(f);
        if (floor != 0 && f->now_ns >= w->due_ns &&
            (w->ended_ns == 0 || f->now_ns >= w->ended_ns + w->rest_ns))
            begin(f, floor, false);
    } else if (!w->busy && f->complete && w->again) {
        w->again = false;
        begin(f, rf_feed_read_floor(f, f->root), false);
    } else if (!w->busy && f->complete && f->now_ns >= w->next_diff_ns) {
        begin(f, rf_feed_read_floor(f, f->fence_max), true);
    }
    if (w->busy)
        go_on(f);
}

uint64_t rf_feed_walk_deadline(const struct rf_feed *f)
{
    const struct rf_feed_walk *w = &f->walk;
    bool room = f->n_reads < f->calls_max;
    if (!f->program || f->crowded)
        return RF_NEVER;
    if (w->busy)
        return w->token != 0 || !room || !rf_feed_read_ripe(f, w->floor)
                   ? RF_NEVER
                   : rf_max_u64(w->due_ns, f->pause_until_ns);
    if (f->n_incomplete > 0)
        return wanted_floor(f) == 0 ? RF_NEVER
               : w->ended_ns == 0   ? w->due_ns
                                    : rf_max_u64(w->due_ns, w->ended_ns + w->rest_ns);
    return !f->complete ? RF_NEVER : w->again ? f->now_ns : w->next_diff_ns;
}

/* Another way to ask. */
static void next_mode(struct rf_feed *f)
{
    struct rf_feed_walk *w = &f->walk;
    if (w->diff) { /* it is a check: not worth another way */
        end(f);
        return;
    }
    do {
        w->mode = (enum rf_feed_mode)((unsigned)w->mode + 1);
    } while ((w->mode == RF_FEED_SHARDS || w->mode == RF_FEED_SHARD_KEYS) &&
             f->filter.n == RF_FILTERS);
    w->tries = 0;
    w->since_slot = 0;
    w->second = false;
    w->due_ns = f->now_ns;
    if (w->mode >= RF_FEED_MODES) {
        w->mode = RF_FEED_WHOLE;
        w->due_ns = f->now_ns + REFUSED_NS * (1 + rf_min_u64(w->refusals, 9));
        w->refusals++;
    }
    rewind_walk(f);
    rf_log(f->log, RPCFAN_LOG_WARN, "RF-FEED-WALK-MODE mode=%d why=\"%s\"", (int)w->mode, f->why);
}

/* Parameters that the node does not take. */
static void wrong_params(struct rf_feed *f)
{
    struct rf_feed_walk *w = &f->walk;
    if (w->since_slot != 0 || w->second) { /* all of it, then */
        w->since_slot = 0;
        w->second = false;
        rewind_walk(f);
    } else if (w->mode == RF_FEED_WHOLE && !w->diff && ++w->tries >= 2) {
        char why[160];
        memcpy(why, f->why, sizeof why);
        rf_feed_give_up(f, RPCFAN_ERPC, why);
    } else if (w->mode != RF_FEED_WHOLE || w->diff) {
        next_mode(f);
    }
}

static void again(struct rf_feed *f, uint64_t wait_ns)
{
    struct rf_feed_walk *w = &f->walk;
    w->due_ns = f->now_ns + wait_ns;
    if (++w->tries >= TRIES)
        next_mode(f);
}

static void failed(struct rf_feed *f, const struct rf_feed_answer *a)
{
    struct rf_feed_walk *w = &f->walk;
    uint64_t wait;
    uint32_t told;
    switch (rf_feed_failure(f, a, w->floor, &wait, &told)) {
    case RF_FEED_FAIL_WAIT:
        w->due_ns = f->now_ns + wait;
        break;
    case RF_FEED_FAIL_AGAIN:
        if (a->err == RPCFAN_ECANCELED || a->err == RPCFAN_EBUSY || a->err == RPCFAN_ETHROTTLED ||
            a->err == RPCFAN_ECONNECT || a->err == RPCFAN_ENOMEM || a->err == RPCFAN_EAUTH)
            w->due_ns = f->now_ns + wait;
        else
            again(f, wait);
        break;
    case RF_FEED_FAIL_LESS:
        if (w->mode == RF_FEED_PAGES && w->limit > 1)
            w->limit /= 2;
        else
            next_mode(f);
        break;
    case RF_FEED_FAIL_PARAMS:
        wrong_params(f);
        break;
    case RF_FEED_FAIL_REFUSED:
        next_mode(f);
        break;
    case RF_FEED_FAIL_GIVE_UP:
        break;
    }
}

/* The part is whole: on to the next one, or to the end. */
static void next_part(struct rf_feed *f, struct rpcfan_slice cursor, size_t page_bytes)
{
    struct rf_feed_walk *w = &f->walk;
    w->tries = 0;
    if (w->mode == RF_FEED_PAGES && cursor.len > 0) {
        if (page_bytes < PAGE_BYTES)
            w->limit = w->limit > LIMIT_MOST / 2 ? LIMIT_MOST : w->limit * 2;
        rf_buf_reset(&w->cursor, 4096);
        rf_buf_add(&w->cursor, cursor.data, cursor.len);
        if (w->cursor.failed) {
            rewind_walk(f);
            w->due_ns = f->now_ns + RF_SEC;
        }
        return;
    }
    if ((w->mode == RF_FEED_SHARDS || w->mode == RF_FEED_SHARD_KEYS) && ++w->shard < SHARDS)
        return;
    finish(f);
}

static bool same_cursor(const struct rf_feed_walk *w, struct rpcfan_slice cursor)
{
    return cursor.len > 0 && cursor.len == w->cursor.len &&
           memcmp(cursor.data, w->cursor.data, cursor.len) == 0;
}

void rf_feed_walk_answer(struct rf_feed *f, struct rf_feed_read *r, const struct rf_feed_answer *a)
{
    struct rf_feed_walk *w = &f->walk;
    struct rpcfan_slice cursor = {0};
    if (r->canceled || r->token != w->token)
        return;
    w->token = 0;
    w->paused = false;
    if (a->err != RPCFAN_OK) {
        failed(f, a);
        return;
    }
    f->ever_answered = true;
    if (r->kind == RF_FEED_PAGE &&
        (!rf_feed_row_page(f, a->json, &cursor) || same_cursor(w, cursor))) {
        struct rf_feed_answer bad = {.err = RPCFAN_EMALFORMED, .endpoint = a->endpoint};
        f->count.malformed++;
        failed(f, &bad);
        return;
    }
    if (r->kind == RF_FEED_ROWS && a->context_slot != 0 && !w->lower)
        w->lower = a->context_slot < w->floor || !rf_feed_cover_slot(f, a->context_slot);
    if (w->lower) {
        rf_feed_why(f, "an answer from before the slot that was asked for");
        w->due_ns = f->now_ns + rf_feed_read_wait(w->floor, rf_min_u64(f->tip, w->floor));
        if (a->context_slot != 0 && a->context_slot < w->floor)
            w->due_ns = f->now_ns + rf_feed_read_wait(w->floor, a->context_slot);
        return;
    }
    if (w->broken) {
        rf_feed_why(f, "rows that make no sense");
        again(f, RF_SEC);
        return;
    }
    f->failures = 0;
    if (a->context_slot != 0)
        w->slot_min = rf_min_u64(w->slot_min, a->context_slot);
    next_part(f, cursor, a->json.len);
}
