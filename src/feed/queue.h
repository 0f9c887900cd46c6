/* queue.h - the bounded queue between what comes and who takes it: capped in items and bytes, with
 * a policy for what does not fit, every item accounted for.
 *
 * Pure; not thread-safe: its owner locks. Used by the account feed (items by key) and by client/
 * for plain subscriptions. added == taken + conflated + dropped + waiting, always. */
#ifndef RF_FEED_QUEUE_H
#define RF_FEED_QUEUE_H

#include "base/blob.h"
#include "base/heap.h"
#include "base/list.h"

enum rf_queue_added {
    RF_QUEUE_ADDED,     /* it waits */
    RF_QUEUE_CONFLATED, /* it took the place of an older one of its key */
    RF_QUEUE_DROPPED,   /* something was dropped: this one, or `dropped` */
    RF_QUEUE_FULL,      /* RPCFAN_BLOCK: not taken in; the source must stop and offer it again */
    RF_QUEUE_NO_MEMORY  /* as DROPPED; it is this one */
};

/** What waits. Embedded in the owner's item, which it allocates and frees. */
struct rf_queue_item {
    struct rf_link link;             /* in the order in which their keys came */
    struct rf_queue_item *next_same; /* private: hash chain */
    uint64_t key;                    /* equal keys conflate under RPCFAN_LATEST; 0: never */
    uint64_t since;            /* smallest slot (or block) of what it stands for: what it replaces
                                  included */
    size_t bytes;              /* charged against the cap: all that it holds */
    struct rf_heap_node order; /* private: by `since` */
};

struct rf_queue_counters {
    uint64_t added, taken, conflated, dropped, full; /* ever; full: offers refused */
    uint64_t items, bytes, items_most, bytes_most;   /* now; the most there ever were */
};

struct rf_queue {
    enum rpcfan_overflow policy;
    uint64_t items_max, bytes_max;
    struct rf_link waiting;
    struct rf_heap by_since;
    struct rf_queue_item **bucket; /* owned */
    uint32_t n_buckets;
    struct rf_queue_counters count;
};

/** Make an empty queue. @return false when out of memory. */
bool rf_queue_init(struct rf_queue *q, enum rpcfan_overflow policy, uint64_t items_max,
                   uint64_t bytes_max);
/** Free its own memory; it must be empty. */
void rf_queue_fini(struct rf_queue *q);
/**
 * Offer an item.
 * @param it   set key, since, bytes. Belongs to the queue when ADDED or CONFLATED.
 * @param out  an item that left the queue for it, the caller's to free: with CONFLATED the older
 *             one, with DROPPED and NO_MEMORY the dropped one (`it` itself, or the oldest while
 * `it` waits); else NULL. An item larger than the cap itself is always dropped. Where what came is
 * longer than what left, more must go: call rf_queue_evict() until NULL.
 */
enum rf_queue_added rf_queue_add(struct rf_queue *q, struct rf_queue_item *it,
                                 struct rf_queue_item **out);
/** Drop the oldest where the bytes are over the cap. @return it, the caller's to free; NULL: they
 * are not. */
struct rf_queue_item *rf_queue_evict(struct rf_queue *q);
/** Take the oldest, or NULL where it is empty. The caller's to free. */
struct rf_queue_item *rf_queue_take(struct rf_queue *q);
/** The smallest `since` of all that waits; RF_NEVER where nothing does. */
uint64_t rf_queue_since(const struct rf_queue *q);
/** Whether a producer that can wait should: over 80 % of a cap, until it is below 50 %. */
bool rf_queue_pressed(struct rf_queue *q, bool was_pressed);
/** Whether more than so many percent of a cap are taken, of items or of bytes. */
bool rf_queue_above(const struct rf_queue *q, uint64_t percent);

#endif
