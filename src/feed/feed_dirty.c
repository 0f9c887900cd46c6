/* feed_dirty.c - which accounts are to be read, and how far each of them holds the watermark.
 *
 * Marking costs no memory, so that it cannot fail: the lists run through the accounts themselves.
 * An account that needs nothing any more stays linked until its turn comes and is passed over then.
 * What is merely doubted waits one to two seconds: of busy accounts later news come first, and then
 * nothing has to be read. */
#include "feed/feed_int.h"

#define BAD_AGAIN_NS (30 * RF_SEC)

static void push(struct rf_feed *f, struct rf_feed_list *l, uint32_t number, bool front)
{
    struct rf_key *e = rf_keys_at(&f->keys, number);
    bool laned = l != &f->dirty;
    e->flags &= ~(uint32_t)(RF_KEY_LANED | RF_KEY_PASSED);
    e->flags |= RF_KEY_LINKED | (laned ? RF_KEY_LANED : 0);
    if (l->n == 0) {
        e->next = RF_KEY_NONE;
        l->head = l->tail = number;
    } else if (front) {
        e->next = l->head;
        l->head = number;
    } else {
        e->next = RF_KEY_NONE;
        rf_keys_at(&f->keys, l->tail)->next = number;
        l->tail = number;
    }
    l->n++;
}

static uint32_t pop(struct rf_feed *f, struct rf_feed_list *l)
{
    uint32_t number = l->head;
    struct rf_key *e = rf_keys_at(&f->keys, number);
    l->head = e->next;
    l->n--;
    e->flags &= ~(uint32_t)(RF_KEY_LINKED | RF_KEY_LANED);
    return number;
}

uint64_t rf_feed_hold_of(const struct rf_feed *f, const struct rf_key *e)
{
    if ((e->flags & RF_KEY_HELD) == 0)
        return f->covered;
    /* The low bits of a slot not above the highest one that is known. */
    return f->tip - (uint32_t)((uint32_t)f->tip - e->hold);
}

static void release(struct rf_feed *f, struct rf_key *e)
{
    if ((e->flags & RF_KEY_HELD) == 0)
        return;
    rf_holds_remove(&f->holds, rf_feed_hold_of(f, e));
    e->flags &= ~(uint32_t)RF_KEY_HELD;
}

void rf_feed_hold(struct rf_feed *f, struct rf_key *e, uint64_t hold)
{
    hold = rf_min_u64(hold, f->tip);
    if ((e->flags & RF_KEY_HELD) != 0) {
        if (rf_feed_hold_of(f, e) <= hold)
            return;
        release(f, e);
    }
    e->flags |= RF_KEY_HELD;
    e->hold = (uint32_t)hold;
    rf_holds_add(&f->holds, hold);
}

/* Set the flag, and count. */
static void set_dirty(struct rf_feed *f, struct rf_key *e)
{
    if ((e->flags & RF_KEY_DIRTY) != 0)
        return;
    e->flags |= RF_KEY_DIRTY;
    f->n_dirty++;
}

static void clear_dirty(struct rf_feed *f, struct rf_key *e)
{
    if ((e->flags & RF_KEY_DIRTY) != 0)
        f->n_dirty--;
    e->flags &= ~(uint32_t)(RF_KEY_DIRTY | RF_KEY_DOUBT | RF_KEY_NEWER | RF_KEY_FORKED);
    e->flags |= (e->flags & RF_KEY_LANED) != 0 ? RF_KEY_PASSED : 0;
}

void rf_feed_dirty(struct rf_feed *f, uint32_t number, uint64_t hold)
{
    struct rf_key *e = rf_keys_at(&f->keys, number);
    rf_feed_hold(f, e, hold);
    set_dirty(f, e);
    f->unripe_root = 0;
    if ((e->flags & RF_KEY_IN_FLIGHT) != 0)
        e->flags |= RF_KEY_AGAIN;
    else if ((e->flags & (RF_KEY_LINKED | RF_KEY_BAD)) == 0)
        push(f, &f->dirty, number, false);
}

void rf_feed_doubt(struct rf_feed *f, uint32_t number)
{
    struct rf_key *e = rf_keys_at(&f->keys, number);
    rf_feed_hold(f, e, f->covered);
    e->flags |= RF_KEY_DOUBT;
    if ((e->flags & RF_KEY_IN_FLIGHT) != 0) {
        set_dirty(f, e);
        e->flags |= RF_KEY_AGAIN;
    } else if ((e->flags & (RF_KEY_LINKED | RF_KEY_BAD)) == 0) {
        push(f, &f->doubt[0], number, false);
        f->lane_ns = f->lane_ns == RF_NEVER ? f->now_ns + RF_FEED_LANE_NS : f->lane_ns;
    } else if ((e->flags & RF_KEY_LANED) == 0) {
        set_dirty(f, e); /* linked among the dirty from before: its turn comes */
    }
}

/* Whether the account's own subscription has yet to be made good by a read. */
static bool uncovered(const struct rf_feed *f, uint32_t number)
{
    return !f->program && !f->unit[number].complete;
}

void rf_feed_clean(struct rf_feed *f, uint32_t number)
{
    struct rf_key *e = rf_keys_at(&f->keys, number);
    if ((e->flags & (RF_KEY_IN_FLIGHT | RF_KEY_BAD)) != 0 || uncovered(f, number))
        return;
    clear_dirty(f, e);
    release(f, e);
}

void rf_feed_dirty_end(struct rf_feed *f, uint32_t number, bool read)
{
    struct rf_key *e = rf_keys_at(&f->keys, number);
    bool again = (e->flags & RF_KEY_AGAIN) != 0;
    e->flags &= ~(uint32_t)(RF_KEY_IN_FLIGHT | RF_KEY_AGAIN | RF_KEY_MOVED);
    if (read && (e->flags & RF_KEY_BAD) != 0) {
        e->flags &= ~(uint32_t)RF_KEY_BAD;
        f->n_bad--;
    }
    if (read && !again) {
        clear_dirty(f, e);
        if (!uncovered(f, number))
            release(f, e);
        return;
    }
    if ((e->flags & RF_KEY_DIRTY) == 0 || (e->flags & RF_KEY_BAD) != 0)
        return; /* a sample that failed: there will be others */
    f->unripe_root = 0;
    if ((e->flags & RF_KEY_LINKED) == 0)
        push(f, &f->dirty, number, !read);
}

void rf_feed_dirty_bad(struct rf_feed *f, uint32_t number)
{
    struct rf_key *e = rf_keys_at(&f->keys, number);
    if ((e->flags & RF_KEY_BAD) == 0) {
        e->flags |= RF_KEY_BAD;
        f->n_bad++;
    }
    rf_feed_hold(f, e, f->covered);
    set_dirty(f, e);
    e->flags &= ~(uint32_t)(RF_KEY_IN_FLIGHT | RF_KEY_AGAIN | RF_KEY_MOVED);
    f->bad_ns = f->now_ns + BAD_AGAIN_NS;
}

uint64_t rf_feed_dirty_need(const struct rf_feed *f, uint32_t number)
{
    const struct rf_key *e = rf_keys_at(&f->keys, number);
    uint64_t need = 0;
    if ((e->flags & RF_KEY_KNOWN) != 0 && (e->flags & RF_KEY_FORKED) == 0)
        need = rf_min_u64(e->slot, f->tip) + ((e->flags & RF_KEY_NEWER) != 0 ? 1 : 0);
    if (f->once)
        return rf_max_u64(need, f->once_slot);
    if (f->program)
        return rf_max_u64(need, f->fence_max);
    return f->unit[number].complete ? need
                                    : rf_max_u64(need, rf_feed_cover_fence(&f->unit[number]));
}

uint32_t rf_feed_dirty_take(struct rf_feed *f, uint32_t *number, uint32_t n)
{
    uint32_t got = 0;
    uint64_t least = RF_NEVER;
    if (f->unripe_root > f->root)
        return 0;
    for (uint32_t left = f->dirty.n; left > 0 && got < n; left--) {
        uint32_t next = pop(f, &f->dirty);
        struct rf_key *e = rf_keys_at(&f->keys, next);
        if ((e->flags & RF_KEY_DIRTY) == 0 || (e->flags & (RF_KEY_BAD | RF_KEY_IN_FLIGHT)) != 0)
            continue;
        uint64_t need = rf_feed_dirty_need(f, next);
        if (!rf_feed_read_ripe(f, need)) {
            least = rf_min_u64(least, need);
            push(f, &f->dirty, next, false);
            continue;
        }
        e->flags |= RF_KEY_IN_FLIGHT;
        number[got++] = next;
    }
    if (got == 0 && least != RF_NEVER)
        f->unripe_root = least;
    return got;
}

/* Those of the elder lane are due; the younger one is the elder now. */
static void drain(struct rf_feed *f, struct rf_feed_list *l)
{
    while (l->n > 0) {
        uint32_t number = pop(f, l);
        struct rf_key *e = rf_keys_at(&f->keys, number);
        if ((e->flags & (RF_KEY_DOUBT | RF_KEY_DIRTY)) == 0 || (e->flags & RF_KEY_BAD) != 0 ||
            (e->flags & RF_KEY_IN_FLIGHT) != 0)
            continue;
        if ((e->flags & (RF_KEY_PASSED | RF_KEY_DIRTY)) == RF_KEY_PASSED) {
            push(f, &f->doubt[0], number, false); /* doubted anew: that is not as old */
            continue;
        }
        set_dirty(f, e);
        f->unripe_root = 0;
        push(f, &f->dirty, number, false);
    }
}

void rf_feed_lanes(struct rf_feed *f)
{
    if (f->now_ns < f->lane_ns)
        return;
    struct rf_feed_list elder = f->doubt[1];
    f->doubt[1] = f->doubt[0];
    f->doubt[0] = (struct rf_feed_list){0};
    drain(f, &elder);
    f->lane_ns = f->doubt[0].n + f->doubt[1].n > 0 ? f->now_ns + RF_FEED_LANE_NS : RF_NEVER;
}
