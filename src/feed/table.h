/* table.h - an intrusive hash table: an object is in the table that its node is in. Used by the
 * rooms' own indexes in feed; touches nothing but its buckets. Keys are the caller's: it compares
 * them itself among the nodes of equal hash. */
#ifndef RF_FEED_TABLE_H
#define RF_FEED_TABLE_H

#include "base/base.h"

/** Embedded in whatever is looked up. Zero-initialised: in no table. */
struct rf_table_node {
    struct rf_table_node *next; /* private: the bucket's chain */
    uint64_t hash;
    bool in;
};

/** Set up with rf_table_init(). */
struct rf_table {
    struct rf_table_node **bucket; /* owned */
    uint32_t n_buckets, n;         /* a power of two; nodes */
};

/** Spread a number over 64 bits, as a hash (the finish of splitmix64). */
static inline uint64_t rf_hash_u64(uint64_t v)
{
    v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
    return v ^ v >> 31;
}

/** Make an empty table. @return false when out of memory. */
bool rf_table_init(struct rf_table *t);
/** Free the buckets (not the nodes). */
void rf_table_fini(struct rf_table *t);
/** Add a node that is in none. Never fails: where it cannot grow it gets slower. */
void rf_table_add(struct rf_table *t, struct rf_table_node *n, uint64_t hash);
/** Take a node out; no effect where it is in none. */
void rf_table_remove(struct rf_table *t, struct rf_table_node *n);

/** The next node of the same hash, or NULL. */
static inline struct rf_table_node *rf_table_next(const struct rf_table_node *n)
{
    uint64_t hash = n->hash;
    for (n = n->next; n != NULL && n->hash != hash;)
        n = n->next;
    return (struct rf_table_node *)(uintptr_t)n;
}

/** The first node of a hash, or NULL. */
static inline struct rf_table_node *rf_table_first(const struct rf_table *t, uint64_t hash)
{
    struct rf_table_node *n = t->bucket[hash & (t->n_buckets - 1)];
    while (n != NULL && n->hash != hash)
        n = n->next;
    return n;
}

#endif
