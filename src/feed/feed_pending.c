/* feed_pending.c - finalized feeds: confirmed news wait until their slot is a root. Subscriptions
 * at "finalized" look at the newest root alone and skip those between, so they are of no use.
 *
 * Happy path: news are kept by slot; a root note names the slot, and its news are merged.
 * Failure modes: the roots pass a slot that nobody named: it was left, or the note was lost; its
 * accounts are read. News that could not be read, or for which there was no memory, are read once
 * their slot is a root. Called by feed_data and feed_cover. */
#include <string.h>

#include "base/mem.h"
#include "feed/feed_int.h"

#define BUCKETS 256
#define NAMED 512      /* roots that are remembered, for news that come after */
#define ORPHAN_SLOTS 8 /* roots so far past a slot: it is not named any more */

struct item {
    struct rf_link order, same; /* as they came: all; those of the bucket */
    uint32_t number;
    bool bad;
    struct rf_feed_news news;
    size_t bytes;
    char text[];
};

struct rf_feed_pending {
    struct rf_link order, bucket[BUCKETS];
    uint64_t named[NAMED];
    uint64_t passed; /* up to here each slot is done with */
    uint64_t bytes;
};

bool rf_feed_pending_init(struct rf_feed *f)
{
    struct rf_feed_pending *p = rf_alloc(sizeof *p);
    if (p == NULL)
        return false;
    rf_list_init(&p->order);
    for (unsigned i = 0; i < BUCKETS; i++)
        rf_list_init(&p->bucket[i]);
    f->pending = p;
    return true;
}

static void free_item(struct rf_feed *f, struct item *it)
{
    struct rf_feed_pending *p = f->pending;
    rf_keys_at(&f->keys, it->number)->queued--;
    rf_list_remove(&it->order);
    rf_list_remove(&it->same);
    p->bytes -= it->bytes;
    rf_blob_unref(it->news.blob);
    rf_free(it);
}

static struct item *make_item(const struct rf_feed_news *n, bool bad)
{
    bool keep = n->blob != NULL && n->json.len > 256 && n->json.len >= n->blob->len / 2;
    size_t text = bad || keep || !n->there ? 0 : n->json.len;
    struct item *it = rf_alloc(sizeof *it + text);
    if (it == NULL)
        return NULL;
    it->bad = bad;
    it->news = *n;
    it->news.blob = NULL;
    it->bytes = sizeof *it + text;
    if (bad || !n->there) {
        it->news.json = (struct rpcfan_slice){0};
    } else if (keep) {
        it->news.blob = n->blob;
        rf_blob_ref(n->blob, 1);
        it->bytes += n->blob->len;
    } else {
        memcpy(it->text, n->json.data, text);
        it->news.json = (struct rpcfan_slice){it->text, text};
    }
    return it;
}

static void settle(struct rf_feed *f, uint32_t number, const struct rf_feed_news *n, bool bad)
{
    if (bad)
        rf_feed_dirty(f, number, n->since - 1);
    else if (!rf_feed_data_buried(f, number, n->slot))
        rf_feed_merge(f, number, n);
}

void rf_feed_pending_add(struct rf_feed *f, uint32_t number, const struct rf_feed_news *n, bool bad)
{
    struct rf_feed_pending *p = f->pending;
    bool named = p->named[n->slot % NAMED] == n->slot;
    if (named || n->slot <= p->passed) {
        settle(f, number, n, bad || !named);
        return;
    }
    if (p->bytes + n->json.len > f->queue.bytes_max)
        bad = true; /* over the cap: its slot is enough */
    struct item *it = make_item(n, bad);
    if (it == NULL || p->bytes > 2 * f->queue.bytes_max) {
        rf_free(it);
        rf_feed_cover_lost(f, f->program ? 0 : number, "no memory for what is no root yet");
        return;
    }
    it->number = number;
    rf_keys_at(&f->keys, number)->queued++; /* it must stay while this refers to it */
    p->bytes += it->bytes;
    rf_list_push(&p->order, &it->order);
    rf_list_push(&p->bucket[n->slot % BUCKETS], &it->same);
}

/* Those of a slot are done with. @param named it is a root. */
static void leave(struct rf_feed *f, uint64_t slot, bool named)
{
    struct rf_feed_pending *p = f->pending;
    struct rf_link *head = &p->bucket[slot % BUCKETS], *next;
    for (struct rf_link *l = head->next; l != head; l = next) {
        struct item *it = RF_CONTAINER(l, struct item, same);
        next = l->next;
        if (it->news.slot > slot)
            continue; /* rounds later */
        settle(f, it->number, &it->news, it->bad || !named || it->news.slot < slot);
        free_item(f, it);
    }
}

void rf_feed_pending_root(struct rf_feed *f, uint64_t slot)
{
    struct rf_feed_pending *p = f->pending;
    if (p->named[slot % NAMED] == slot || slot <= p->passed)
        return;
    p->named[slot % NAMED] = slot;
    f->data_tip = rf_max_u64(f->data_tip, slot);
    leave(f, slot, true);
    if (slot <= ORPHAN_SLOTS || slot - ORPHAN_SLOTS <= p->passed)
        return;
    uint64_t to = slot - ORPHAN_SLOTS, from = p->passed + 1;
    if (to - from >= BUCKETS)
        from = to - BUCKETS + 1;
    for (uint64_t s = from; s <= to; s++)
        leave(f, s, false);
    p->passed = to;
}

uint64_t rf_feed_pending_hold(const struct rf_feed *f)
{
    const struct rf_feed_pending *p = f->pending;
    if (p == NULL || rf_list_empty(&p->order))
        return RF_NEVER;
    return RF_CONTAINER(p->order.next, struct item, order)->news.since - 1;
}

void rf_feed_pending_fini(struct rf_feed *f)
{
    struct rf_feed_pending *p = f->pending;
    if (p == NULL)
        return;
    while (!rf_list_empty(&p->order))
        free_item(f, RF_CONTAINER(p->order.next, struct item, order));
    rf_free(p);
}
