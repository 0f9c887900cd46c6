/* queue.c - the bounded queue. A list in the order of arrival, a hash of keys for conflation, and a
 * heap by `since` for the watermark: what waits is as old as its smallest slot.
 *
 * What replaces an item of its key takes its place in the list and its `since`: a consumer sees the
 * keys in the order in which they first came, and the watermark never passes what was replaced. */
#include "feed/queue.h"

#include <assert.h>

#include "base/mem.h"

#define BUCKETS_MIN 64

bool rf_queue_init(struct rf_queue *q, enum rpcfan_overflow policy, uint64_t items_max,
                   uint64_t bytes_max)
{
    *q = (struct rf_queue){.policy = policy, .items_max = items_max, .bytes_max = bytes_max};
    rf_list_init(&q->waiting);
    if (policy != RPCFAN_LATEST)
        return true;
    q->n_buckets = BUCKETS_MIN;
    q->bucket = rf_alloc(BUCKETS_MIN * sizeof q->bucket[0]);
    return q->bucket != NULL;
}

void rf_queue_fini(struct rf_queue *q)
{
    rf_heap_fini(&q->by_since);
    rf_free(q->bucket);
    q->bucket = NULL;
}

static struct rf_queue_item **slot_of(const struct rf_queue *q, uint64_t key)
{
    uint64_t h = key * UINT64_C(0x9e3779b97f4a7c15);
    return &q->bucket[(h ^ h >> 32) & (q->n_buckets - 1)];
}

static bool has_key(const struct rf_queue *q, const struct rf_queue_item *it)
{
    return q->bucket != NULL && it->key != 0;
}

static struct rf_queue_item *find(const struct rf_queue *q, uint64_t key)
{
    struct rf_queue_item *it = *slot_of(q, key);
    while (it != NULL && it->key != key)
        it = it->next_same;
    return it;
}

static void hash_in(struct rf_queue *q, struct rf_queue_item *it)
{
    struct rf_queue_item **at = slot_of(q, it->key);
    it->next_same = *at;
    *at = it;
}

static void hash_out(struct rf_queue *q, struct rf_queue_item *it)
{
    struct rf_queue_item **at = slot_of(q, it->key);
    while (*at != it)
        at = &(*at)->next_same;
    *at = it->next_same;
    it->next_same = NULL;
}

/* Twice the buckets where there are as many items; without memory for it chains get longer. */
static void grow(struct rf_queue *q)
{
    if (q->bucket == NULL || q->count.items < q->n_buckets || q->n_buckets > UINT32_MAX / 2)
        return;
    struct rf_queue_item **bucket = rf_alloc((size_t)q->n_buckets * 2 * sizeof bucket[0]);
    if (bucket == NULL)
        return;
    rf_free(q->bucket);
    q->bucket = bucket;
    q->n_buckets *= 2;
    for (struct rf_link *l = q->waiting.next; l != &q->waiting; l = l->next) {
        struct rf_queue_item *it = RF_CONTAINER(l, struct rf_queue_item, link);
        if (it->key != 0)
            hash_in(q, it);
    }
}

static void leave(struct rf_queue *q, struct rf_queue_item *it)
{
    rf_list_remove(&it->link);
    rf_heap_remove(&q->by_since, &it->order);
    if (has_key(q, it))
        hash_out(q, it);
    q->count.items--;
    q->count.bytes -= it->bytes;
}

static void count_in(struct rf_queue *q, const struct rf_queue_item *it)
{
    q->count.items++;
    q->count.bytes += it->bytes;
    q->count.items_most = rf_max_u64(q->count.items_most, q->count.items);
    q->count.bytes_most = rf_max_u64(q->count.bytes_most, q->count.bytes);
}

/* Put `it` in front of `at`; with the list's head that is the tail. @return false: no memory. */
static bool enter(struct rf_queue *q, struct rf_queue_item *it, struct rf_link *at)
{
    it->order = (struct rf_heap_node){0};
    if (!rf_heap_push(&q->by_since, &it->order, it->since))
        return false;
    it->next_same = NULL;
    grow(q); /* it is not on the list yet: what is there is hashed again */
    rf_list_before(at, &it->link);
    if (has_key(q, it))
        hash_in(q, it);
    count_in(q, it);
    return true;
}

static enum rf_queue_added drop(struct rf_queue *q, struct rf_queue_item *it,
                                struct rf_queue_item **out, enum rf_queue_added why)
{
    q->count.dropped++;
    *out = it;
    return why;
}

/* Whether one more of `bytes` fits beside what waits. */
static bool fits(const struct rf_queue *q, uint64_t bytes)
{
    return q->count.items < q->items_max && bytes <= q->bytes_max &&
           q->count.bytes <= q->bytes_max - bytes;
}

static struct rf_queue_item *oldest(const struct rf_queue *q)
{
    return rf_list_empty(&q->waiting) ? NULL
                                      : RF_CONTAINER(q->waiting.next, struct rf_queue_item, link);
}

/* The newer takes the older one's place. It may be longer: rf_queue_evict() then makes room. */
static enum rf_queue_added conflate(struct rf_queue *q, struct rf_queue_item *old,
                                    struct rf_queue_item *it, struct rf_queue_item **out)
{
    struct rf_link *at = old->link.next;
    it->since = rf_min_u64(it->since, old->since);
    leave(q, old);
    bool in = enter(q, it, at);
    assert(in); /* the heap has the room of the one that left */
    (void)in;
    q->count.conflated++;
    *out = old;
    return RF_QUEUE_CONFLATED;
}

enum rf_queue_added rf_queue_add(struct rf_queue *q, struct rf_queue_item *it,
                                 struct rf_queue_item **out)
{
    *out = NULL;
    bool never = it->bytes > q->bytes_max || q->items_max == 0;
    bool full = !fits(q, it->bytes);
    if (q->policy == RPCFAN_BLOCK && full && !never) {
        q->count.full++;
        return RF_QUEUE_FULL;
    }
    q->count.added++;
    if (never)
        return drop(q, it, out, RF_QUEUE_DROPPED);
    struct rf_queue_item *same = has_key(q, it) ? find(q, it->key) : NULL;
    if (same != NULL)
        return conflate(q, same, it, out);
    if (full && q->policy == RPCFAN_DROP_NEWEST)
        return drop(q, it, out, RF_QUEUE_DROPPED);
    if (!enter(q, it, &q->waiting))
        return drop(q, it, out, RF_QUEUE_NO_MEMORY);
    if (!full)
        return RF_QUEUE_ADDED;
    struct rf_queue_item *old = oldest(q);
    leave(q, old);
    return drop(q, old, out, RF_QUEUE_DROPPED);
}

struct rf_queue_item *rf_queue_evict(struct rf_queue *q)
{
    if (q->count.bytes <= q->bytes_max)
        return NULL;
    struct rf_queue_item *it = oldest(q);
    leave(q, it);
    q->count.dropped++;
    return it;
}

struct rf_queue_item *rf_queue_take(struct rf_queue *q)
{
    struct rf_queue_item *it = oldest(q);
    if (it == NULL)
        return NULL;
    leave(q, it);
    q->count.taken++;
    return it;
}

uint64_t rf_queue_since(const struct rf_queue *q)
{
    return rf_heap_next(&q->by_since);
}

bool rf_queue_above(const struct rf_queue *q, uint64_t percent)
{
    return q->count.items > q->items_max / 100 * percent + q->items_max % 100 * percent / 100 ||
           q->count.bytes > q->bytes_max / 100 * percent + q->bytes_max % 100 * percent / 100;
}

bool rf_queue_pressed(struct rf_queue *q, bool was_pressed)
{
    return rf_queue_above(q, was_pressed ? 50 : 80);
}
