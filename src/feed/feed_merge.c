/* feed_merge.c - one rule for all that is told of an account, whether a subscription tells it or a
 * read found it. Called by feed_data, feed_read and feed_pending.
 *
 * News of a lower slot are old, of a higher one they hold. Of equal slots:
 *
 *   what is known   what comes    content   what is done
 *   any             any           equal     nothing
 *   read            read          differs   taken: asked later
 *   read            told          differs   taken: the read may hold the next slot's, which will be
 *                                           told; but nothing told revives what a read found gone
 *   told            told, by the  differs   taken: written twice in the slot; doubted, as a proxy
 *                   same session            may have told the first again
 *   told            told, by      differs   kept and doubted: one of the two is not the last state
 *                   another one             of the slot
 *   told            read null               taken: it is gone in this slot or the next
 *   told            read          differs   kept; a read of a later slot decides
 *   doubted         read          differs   taken
 *
 * In a processed feed news of one session hold in the order in which they come, whatever their
 * slots, because a fork is left for a lower slot; those are doubted too. */
#include <string.h>

#include "feed/feed_int.h"

uint32_t rf_feed_account(struct rf_feed *f, const uint8_t key[32])
{
    bool added;
    uint32_t number = rf_keys_add(&f->keys, key, &added);
    if (number == RF_KEY_NONE)
        rf_feed_cover_again(f, "out of memory for an account");
    return number;
}

static bool same_content(const struct rf_key *e, const struct rf_feed_news *n)
{
    bool there = (e->flags & RF_KEY_THERE) != 0;
    return there == n->there && (!there || e->hash == n->hash);
}

/* Equal slots, different content. @return whether the news are taken. */
static bool decide_equal(struct rf_feed *f, uint32_t number, struct rf_key *e,
                         const struct rf_feed_news *n)
{
    bool told = (e->flags & RF_KEY_LIVE) != 0, doubted = (e->flags & RF_KEY_DOUBT) != 0;
    if (!n->live) {
        if (!told || doubted || !n->there)
            return true;
        e->flags |= RF_KEY_NEWER;
        rf_feed_dirty(f, number, f->covered);
        return false;
    }
    if (!told) {
        rf_feed_doubt(f, number);
        if ((e->flags & RF_KEY_THERE) != 0)
            return true;
        e->flags |= RF_KEY_NEWER;
        return false;
    }
    rf_feed_doubt(f, number);
    return e->session == (uint32_t)n->session;
}

/* Processed: a read of a lower slot than what is known. Another fork's state? It is asked for
 * because of that, and nothing came since. From below the slot where the branch was taken, or the
 * fence, nobody would tell what came after it: then it is read once more, and held until then. */
static enum rf_feed_merged decide_fork(struct rf_feed *f, uint32_t number, const struct rf_key *e,
                                       const struct rf_feed_news *n)
{
    if ((e->flags & RF_KEY_FORKED) == 0)
        return RF_FEED_STALE;
    if (n->slot < rf_feed_dirty_need(f, number))
        rf_feed_dirty(f, number, f->covered);
    return same_content(e, n) ? RF_FEED_SAME : RF_FEED_TAKEN;
}

/* Whether the news are taken; `same` content was looked at before. */
static enum rf_feed_merged decide(struct rf_feed *f, uint32_t number, struct rf_key *e,
                                  const struct rf_feed_news *n)
{
    bool same = same_content(e, n);
    /* Processed: the node that was read may be on another fork than the session, which spoke since.
     */
    if (f->commitment == RPCFAN_PROCESSED && !n->live && (e->flags & RF_KEY_MOVED) != 0)
        return RF_FEED_STALE;
    if ((e->flags & RF_KEY_KNOWN) == 0 || n->slot > e->slot)
        return same && (e->flags & RF_KEY_KNOWN) != 0 ? RF_FEED_SAME : RF_FEED_TAKEN;
    if (n->slot == e->slot)
        return same ? RF_FEED_SAME : decide_equal(f, number, e, n) ? RF_FEED_TAKEN : RF_FEED_KEPT;
    if (f->commitment != RPCFAN_PROCESSED || n->backing)
        return RF_FEED_STALE;
    if (!n->live)
        return decide_fork(f, number, e, n);
    if (e->session != (uint32_t)n->session && (e->flags & RF_KEY_FORKED) == 0)
        return RF_FEED_STALE;
    rf_feed_doubt(f, number);
    return same ? RF_FEED_SAME : RF_FEED_TAKEN;
}

/* The account is as `n` says from now on. */
static void settle(struct rf_feed *f, uint32_t number, struct rf_key *e,
                   const struct rf_feed_news *n)
{
    bool was = (e->flags & RF_KEY_THERE) != 0, newer = n->slot > e->slot;
    uint32_t flags = e->flags & ~(uint32_t)(RF_KEY_THERE | RF_KEY_LIVE | RF_KEY_LEFT);
    flags |= RF_KEY_KNOWN | (n->there ? RF_KEY_THERE : 0) | (n->left ? RF_KEY_LEFT : 0);
    if (n->live || (!newer && (e->flags & RF_KEY_LIVE) != 0 && same_content(e, n)))
        flags |= RF_KEY_LIVE;
    f->there += n->there ? 1 : 0;
    f->there -= was ? 1 : 0;
    e->flags = flags;
    e->slot = n->slot;
    e->hash = n->there ? n->hash : 0;
    e->session = (uint32_t)n->session;
    if (n->live && !n->backing && (flags & RF_KEY_IN_FLIGHT) != 0)
        e->flags |= RF_KEY_MOVED;
    if (n->live && newer && !n->backing)
        rf_feed_clean(f, number);
    if (f->commitment == RPCFAN_PROCESSED)
        rf_feed_forks_log(f, number, n->slot);
}

/* What it was held for, or what a gap may have hidden of it, waits with this event from now on: the
 * read that was to make it good will find nothing new. */
static uint64_t since_of(const struct rf_feed *f, const struct rf_key *e,
                         const struct rf_feed_news *n)
{
    uint64_t since = n->since;
    if ((e->flags & RF_KEY_HELD) != 0)
        since = rf_min_u64(since, rf_feed_hold_of(f, e) + 1);
    for (uint32_t i = 0; f->program && i < f->n_units; i++)
        if (!f->unit[i].complete)
            since = rf_min_u64(since, f->unit[i].hold + 1);
    return since;
}

enum rf_feed_merged rf_feed_merge(struct rf_feed *f, uint32_t number, const struct rf_feed_news *n)
{
    struct rf_key *e = rf_keys_at(&f->keys, number);
    bool known = (e->flags & RF_KEY_KNOWN) != 0;
    enum rf_feed_merged what = decide(f, number, e, n);
    /* What a check found is told, only later. News of a later slot and of other content do not say
     * so: what was found may have been lost before them. */
    if (n->live && (n->slot <= e->slot || what == RF_FEED_SAME))
        e->flags &= ~(uint32_t)RF_KEY_JUDGED;
    switch (what) {
    case RF_FEED_STALE:
        f->count.stale++;
        return what;
    case RF_FEED_KEPT:
        return what;
    case RF_FEED_SAME:
        f->count.same++;
        break;
    case RF_FEED_TAKEN:
        break;
    }
    struct rf_feed_news told = *n;
    told.since = since_of(f, e, n);
    settle(f, number, e, n);
    if (!known && n->there && !f->complete)
        e->flags |= RF_KEY_FIRST;
    if (what == RF_FEED_SAME && (e->flags & RF_KEY_UNTOLD) == 0)
        return what;
    if (!known && !n->there)
        return what; /* never there: nothing to tell */
    rf_feed_emit(f, number, &told);
    return what;
}
