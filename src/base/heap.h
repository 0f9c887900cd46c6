/* heap.h - an indexed binary min-heap of times; elements know their place, so removal is O(log n),
 * and equal times leave in the order in which they came. */
#ifndef RF_BASE_HEAP_H
#define RF_BASE_HEAP_H

#include "base/base.h"

/** Embedded in whatever has a time. `pos` is 0 while it is in no heap. Zero-initialised is valid.
 */
struct rf_heap_node {
    uint64_t at_ns;
    uint64_t seq; /* order of arrival, private */
    uint32_t pos;
};

/** Zero-initialised is empty and valid. */
struct rf_heap {
    struct {
        uint64_t at_ns, seq;
        struct rf_heap_node *node;
    } * slot; /* 1-based */
    uint32_t len, cap;
    uint64_t next_seq;
};

/** Make room for `n` elements in all, so that pushes up to there cannot fail. @return false: no
 * memory. */
bool rf_heap_reserve(struct rf_heap *h, uint32_t n);
/** Add a node that is in no heap. @return false when out of memory (the node stays out). */
bool rf_heap_push(struct rf_heap *h, struct rf_heap_node *n, uint64_t at_ns);
/** Take a node out; no effect where it is in none. */
void rf_heap_remove(struct rf_heap *h, struct rf_heap_node *n);
/** The earliest node, or NULL. It stays in. */
struct rf_heap_node *rf_heap_top(const struct rf_heap *h);
/** The earliest time, or RF_NEVER. */
uint64_t rf_heap_next(const struct rf_heap *h);
/** Free the memory (not the elements). */
void rf_heap_fini(struct rf_heap *h);

#endif
