/* join.h - the reads that are in flight, by what they ask: so that an equal one can join instead of
 * being sent. Called by the core, on submit and when a call leaves. Allocates in rf_join_init()
 * only. Data only: who joins whom, and what becomes of them, is the core's.
 *
 * A bucket array of fixed size with chains through the calls themselves: adding, removing and
 * taking over are a few pointer writes. */
#ifndef RF_CORE_JOIN_H
#define RF_CORE_JOIN_H

#include "base/base.h"

/** Embedded in a call. In no table while zeroed. */
struct rf_join_node {
    struct rf_join_node *next;  /* of the bucket */
    struct rf_join_node **link; /* what points here; NULL: in no table */
    uint64_t hash;
    uint64_t salt;
    const char *tail; /* borrowed */
    size_t len;
};

/** Zero-initialised: valid, and takes none. */
struct rf_join {
    struct rf_join_node **bucket; /* owned */
    uint64_t mask;                /* buckets - 1 */
    uint32_t n, max;
};

/**
 * Make an empty table.
 * @param max  the most nodes in it at a time; 0: takes none, allocates nothing.
 * @return false when out of memory; the table is as with max 0 then.
 */
bool rf_join_init(struct rf_join *j, uint32_t max);
/** Free the memory. Nodes still in it are not touched; they must not be handed to it again. */
void rf_join_fini(struct rf_join *j);
/**
 * The node of an equal read.
 * @param salt  what besides the bytes must be equal: network, policy and the like. The hash is
 *              not keyed: bits of chance in the salt keep outsiders from making long chains.
 * @param tail  the request from its method on, as it goes on the wire; may be NULL where len is 0.
 * @return borrowed; NULL: none.
 */
struct rf_join_node *rf_join_find(const struct rf_join *j, uint64_t salt, const char *tail,
                                  size_t len);
/**
 * Add a node.
 * @param n     in no table; keeps its place in memory while it is in.
 * @param tail  borrowed until the node is out.
 * @return false, and nothing done, where the table is full, an equal one is in, or `n` is in.
 */
bool rf_join_add(struct rf_join *j, struct rf_join_node *n, uint64_t salt, const char *tail,
                 size_t len);
/**
 * Another call takes the place of one that leaves; the count stays.
 * @param from  in the table (otherwise: no effect); out of it afterwards.
 * @param to    in no table (otherwise: no effect); in it afterwards.
 * @param tail  its own, equal to the other's in each byte; borrowed until it is out.
 */
void rf_join_replace(struct rf_join *j, struct rf_join_node *from, struct rf_join_node *to,
                     const char *tail);
/** Take a node out; no effect where it is in none. */
void rf_join_remove(struct rf_join *j, struct rf_join_node *n);

#endif
