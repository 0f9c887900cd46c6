/* feed_out.c - what goes out: events into the bounded queue, out of it to the consumer, and the
 * watermark.
 *
 * An event is one allocation with its text; where the text is most of a body, the body is kept
 * instead. What kind of event it is, is decided when it is taken, from what the consumer was told
 * last: however the queue conflates or drops, the kinds that one account's events have make sense.
 * What the queue drops is read again. */
#include <string.h>

#include "base/mem.h"
#include "feed/feed_int.h"

/* An event that waits. */
struct event {
    struct rf_queue_item item;
    uint32_t number;
    bool there, left;
    uint64_t slot, hash;
    struct rpcfan_slice json;
    struct rf_blob *blob;
    char text[];
};

static void free_event(struct event *ev)
{
    rf_blob_unref(ev->blob);
    rf_free(ev);
}

static struct event *event_of(struct rf_queue_item *it)
{
    return RF_CONTAINER(it, struct event, item);
}

static struct event *make_event(uint32_t number, const struct rf_feed_news *n)
{
    bool keep = n->blob != NULL && n->json.len > 256 && n->json.len >= n->blob->len / 2;
    struct event *ev = rf_alloc(sizeof *ev + (keep ? 0 : n->json.len));
    if (ev == NULL)
        return NULL;
    ev->number = number;
    ev->there = n->there;
    ev->left = n->left;
    ev->slot = n->slot;
    ev->hash = n->hash;
    ev->item.key = (uint64_t)number + 1;
    ev->item.since = n->since;
    ev->item.bytes = sizeof *ev + (keep ? n->blob->len : n->json.len);
    if (keep) {
        ev->blob = n->blob;
        rf_blob_ref(n->blob, 1);
        ev->json = n->json;
    } else if (n->there) {
        memcpy(ev->text, n->json.data, n->json.len);
        ev->json = (struct rpcfan_slice){ev->text, n->json.len};
    }
    return ev;
}

/* An event is lost: the account is read again, and told then. */
static void lost(struct rf_feed *f, uint32_t number, uint64_t since)
{
    rf_keys_at(&f->keys, number)->flags |= RF_KEY_UNTOLD;
    rf_feed_dirty(f, number, rf_min_u64(since - 1, f->covered));
}

static void drop(struct rf_feed *f, struct event *ev, bool was_in)
{
    if (was_in)
        rf_keys_at(&f->keys, ev->number)->queued--;
    lost(f, ev->number, ev->item.since);
    free_event(ev);
}

void rf_feed_emit(struct rf_feed *f, uint32_t number, const struct rf_feed_news *n)
{
    struct rf_key *e = rf_keys_at(&f->keys, number);
    struct event *ev = make_event(number, n);
    struct rf_queue_item *out = NULL;
    f->count.events++;
    e->flags &= ~(uint32_t)RF_KEY_UNTOLD;
    if (ev == NULL) {
        f->count.refused++;
        lost(f, number, n->since);
        return;
    }
    switch (rf_queue_add(&f->queue, &ev->item, &out)) {
    case RF_QUEUE_ADDED:
        e->queued++;
        break;
    case RF_QUEUE_CONFLATED:
        free_event(event_of(out));
        break;
    case RF_QUEUE_FULL:
        f->count.refused++;
        drop(f, ev, false);
        break;
    case RF_QUEUE_DROPPED:
    case RF_QUEUE_NO_MEMORY:
        if (out == &ev->item) {
            drop(f, ev, false);
        } else {
            e->queued++;
            drop(f, event_of(out), true);
        }
        break;
    }
    while ((out = rf_queue_evict(&f->queue)) != NULL)
        drop(f, event_of(out), true);
}

/* The kind, by what the consumer knows; false: nothing is new to him. */
static bool kind_of(struct rf_key *e, const struct event *ev, enum rpcfan_account_kind *kind)
{
    bool told = (e->flags & RF_KEY_TOLD) != 0;
    if (!ev->there) {
        *kind = ev->left ? RPCFAN_ACCOUNT_LEFT : RPCFAN_ACCOUNT_CLOSE;
        e->flags &= ~(uint32_t)(RF_KEY_TOLD | RF_KEY_FIRST);
        return told;
    }
    if (told)
        *kind = RPCFAN_ACCOUNT_UPDATE;
    else
        *kind = (e->flags & RF_KEY_FIRST) != 0 ? RPCFAN_ACCOUNT_SNAPSHOT : RPCFAN_ACCOUNT_CREATE;
    e->flags = (e->flags | RF_KEY_TOLD) & ~(uint32_t)RF_KEY_FIRST;
    return true;
}

static size_t take_events(struct rf_feed *f, struct rpcfan_account_event *out, size_t n)
{
    size_t got = 0;
    struct rf_queue_item *it;
    while (got < n && (it = rf_queue_take(&f->queue)) != NULL) {
        struct event *ev = event_of(it);
        struct rf_key *e = rf_keys_at(&f->keys, ev->number);
        struct rpcfan_account_event *to = &out[got];
        enum rpcfan_account_kind kind;
        e->queued--;
        if (!kind_of(e, ev, &kind)) {
            free_event(ev);
            continue;
        }
        *to = (struct rpcfan_account_event){.kind = kind,
                                            .slot = ev->slot,
                                            .seq = ++f->seq,
                                            .hash = ev->hash,
                                            .json = ev->json,
                                            .hold = ev};
        memcpy(to->key, e->key, sizeof to->key);
        got++;
    }
    return got;
}

/* Whether all that the first snapshot found has been handed out. */
static bool told_all(const struct rf_feed *f)
{
    return f->complete && rf_queue_since(&f->queue) > 1 && rf_holds_min(&f->holds) > 0;
}

size_t rf_feed_take(struct rf_feed *f, struct rpcfan_account_event *out, size_t n,
                    struct rpcfan_feed_mark *mark)
{
    size_t got = take_events(f, out, n);
    if ((f->pressed && !rf_queue_pressed(&f->queue, true)) ||
        (f->crowded && !rf_queue_above(&f->queue, RF_FEED_ROOMY)))
        f->wake = true; /* there is room for what waited */
    rf_feed_advance(f);
    f->complete_told = f->complete_told || told_all(f);
    f->new_mark = false;
    *mark = (struct rpcfan_feed_mark){.watermark = f->watermark,
                                      .seq = f->seq,
                                      .complete = f->complete_told,
                                      .failed = f->failed};
    return got;
}

bool rf_feed_ready(const struct rf_feed *f)
{
    return f->new_mark || f->queue.count.items > 0;
}

void rf_feed_measure(struct rf_feed *f)
{
    f->pressed = rf_queue_pressed(&f->queue, f->pressed);
    f->crowded = rf_queue_above(&f->queue, f->crowded ? RF_FEED_ROOMY : RF_FEED_CROWDED);
}

bool rf_feed_full(const struct rf_feed *f)
{
    return f->pressed && f->overflow == RPCFAN_BLOCK;
}

void rf_feed_release(struct rpcfan_account_event *ev, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (ev[i].hold != NULL)
            free_event(ev[i].hold);
        ev[i].hold = NULL;
    }
}

/* It has been complete once: all was read, and nothing of it has to be read again. */
static void see_complete(struct rf_feed *f)
{
    if (f->complete || !f->started || f->n_incomplete > 0 || rf_holds_min(&f->holds) == 0)
        return;
    f->complete = true;
    f->new_mark = true;
    rf_log(f->log, RPCFAN_LOG_INFO, "RF-FEED-COMPLETE accounts=%llu slot=%llu",
           (unsigned long long)f->there, (unsigned long long)f->tip);
}

void rf_feed_advance(struct rf_feed *f)
{
    see_complete(f);
    if (f->once)
        f->covered = f->complete ? f->once_slot : 0;
    else
        rf_feed_cover_all(f);
    if (!f->complete || f->failed != RPCFAN_OK)
        return;
    uint64_t to = rf_min_u64(f->covered, rf_holds_min(&f->holds));
    uint64_t waiting = rf_queue_since(&f->queue);
    to = rf_min_u64(to, rf_feed_pending_hold(f));
    to = rf_min_u64(to, waiting == RF_NEVER ? RF_NEVER : waiting - 1);
    if (to > f->watermark) {
        f->watermark = to;
        f->new_mark = true;
    }
    if (!f->complete_told && told_all(f))
        f->new_mark = true;
}

void rf_feed_out_fini(struct rf_feed *f)
{
    struct rf_queue_item *it;
    while ((it = rf_queue_take(&f->queue)) != NULL)
        free_event(event_of(it));
    rf_queue_fini(&f->queue);
}
