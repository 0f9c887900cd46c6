/* feed_row.c - the rows of a walk, streamed or in pages, and what the walk should have seen and did
 * not. Called by feed_walk. A row whose slot nobody has told yet, and one that is a key alone, says
 * only that the account is there: it is read. */
#include <string.h>

#include "feed/feed_int.h"
#include "json/walk.h"

static bool keys_only(const struct rf_feed_walk *w)
{
    return w->diff || w->second || w->mode == RF_FEED_KEYS || w->mode == RF_FEED_SHARD_KEYS;
}

/* Seen by its key. */
static void see_key(struct rf_feed *f, uint32_t number)
{
    const struct rf_feed_walk *w = &f->walk;
    const struct rf_key *e = rf_keys_at(&f->keys, number);
    bool there = (e->flags & RF_KEY_KNOWN) != 0 && (e->flags & RF_KEY_THERE) != 0;
    bool known = (w->diff || w->second) && (there || (e->flags & RF_KEY_DIRTY) != 0);
    if (!known)
        rf_feed_dirty(f, number, w->diff ? f->covered : w->hold);
}

/* A row at a slot; 0: not known. @return false where it is lost. */
static bool see_row(struct rf_feed *f, struct rpcfan_slice json, uint64_t slot,
                    struct rf_blob *blob)
{
    struct rf_feed_walk *w = &f->walk;
    struct rf_feed_news n = {.slot = slot, .since = w->hold + 1, .blob = blob};
    struct rpcfan_slice account;
    uint8_t key[32];
    if (!rf_feed_data_row(json, key, &account)) {
        f->count.malformed++;
        return false;
    }
    uint32_t number = rf_feed_account(f, key);
    if (number == RF_KEY_NONE)
        return false;
    rf_keys_at(&f->keys, number)->walk = w->id;
    w->rows++;
    if (keys_only(w) || slot == 0) {
        see_key(f, number);
        return true;
    }
    if (!rf_feed_data_found(f, number, account, &n) || !n.there) {
        f->count.malformed++; /* the node lists what is there, and what is the program's */
        rf_feed_dirty(f, number, w->hold);
        return true;
    }
    if (!rf_feed_data_buried(f, number, slot) && rf_feed_merge(f, number, &n) == RF_FEED_STALE &&
        rf_keys_at(&f->keys, number)->slot > f->tip)
        rf_feed_dirty(f, number, w->hold); /* kept by an earlier run: not there yet */
    return true;
}

/* The slot of an answer. @return false: it is from before the floor. */
static bool see_slot(struct rf_feed *f, uint64_t slot)
{
    struct rf_feed_walk *w = &f->walk;
    if (slot < w->floor || !rf_feed_cover_slot(f, slot)) {
        f->count.stale++;
        w->lower = true;
        return false;
    }
    w->slot_min = rf_min_u64(w->slot_min, slot);
    return true;
}

void rf_feed_row_come(struct rf_feed *f, const struct rf_feed_row *row)
{
    struct rf_feed_walk *w = &f->walk;
    if (row->first)
        w->lower = w->broken = false;
    if (w->lower || (row->context_slot != 0 && !see_slot(f, row->context_slot)))
        return;
    w->broken = !see_row(f, row->json, row->context_slot, NULL) || w->broken;
}

/* {"accounts":[...],"paginationKey":...}, or that as the value beside a context. */
static bool page_parts(struct rpcfan_slice json, uint64_t *slot, struct rpcfan_slice *accounts,
                       struct rpcfan_slice *cursor)
{
    struct rpcfan_slice inner = json;
    *slot = 0;
    if (!RF_WALK_MEMBER(json, "accounts", accounts) &&
        (!rf_feed_data_context(json, slot, &inner) || !RF_WALK_MEMBER(inner, "accounts", accounts)))
        return false;
    if (!RF_WALK_MEMBER(inner, "paginationKey", cursor))
        return false; /* without it nobody knows whether it was the last */
    if (cursor->len == 4 && memcmp(cursor->data, "null", 4) == 0)
        cursor->len = 0;
    return accounts->len > 0 && accounts->data[0] == '[';
}

bool rf_feed_row_page(struct rf_feed *f, struct rpcfan_slice json, struct rpcfan_slice *cursor)
{
    struct rf_feed_walk *w = &f->walk;
    struct rpcfan_slice accounts = {0}, row;
    struct rf_walk at;
    uint64_t slot;
    if (!page_parts(json, &slot, &accounts, cursor) || !rf_walk_enter(&at, accounts, '['))
        return false;
    if (slot != 0 && !see_slot(f, slot))
        return true;
    while (rf_walk_element(&at, &row))
        w->broken = !see_row(f, row, slot, NULL) || w->broken;
    return true;
}

void rf_feed_row_absent(struct rf_feed *f)
{
    const struct rf_feed_walk *w = &f->walk;
    uint64_t slot = w->slot_min == RF_NEVER ? w->floor : w->slot_min;
    for (uint32_t i = 0; i < f->keys.top; i++) {
        const struct rf_key *e = rf_keys_at(&f->keys, i);
        if ((e->flags & RF_KEY_USED) == 0 || (e->flags & RF_KEY_THERE) == 0 || e->walk == w->id ||
            e->slot > slot)
            continue;
        rf_feed_dirty(f, i, w->diff ? f->covered : w->hold);
    }
}
