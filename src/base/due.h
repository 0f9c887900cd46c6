/* due.h - times that mostly come in rising order: a list for those, a heap for the rest. So the
 * deadline of a call costs two pointer writes and not a heap's depth. Called by the core. */
#ifndef RF_BASE_DUE_H
#define RF_BASE_DUE_H

#include "base/heap.h"
#include "base/list.h"

/** Embedded in whatever is due. In neither structure while zeroed. */
struct rf_due_node {
    struct rf_link link;      /* on the list ... */
    struct rf_heap_node heap; /* ... or in the heap; heap.at_ns is the time in both cases */
};

/** Set up with rf_due_init(). */
struct rf_due {
    struct rf_link order; /* rising times */
    struct rf_heap rest;
};

/** Make an empty one with room for `n` nodes. @return false when out of memory. */
bool rf_due_init(struct rf_due *d, uint32_t n);
/** Free the memory (not the nodes). */
void rf_due_fini(struct rf_due *d);
/** Add a node that is in none. @return false when out of memory (never within the room). */
bool rf_due_add(struct rf_due *d, struct rf_due_node *n, uint64_t at_ns);
/** Take a node out; no effect where it is in none. */
void rf_due_remove(struct rf_due *d, struct rf_due_node *n);
/** The earliest node, or NULL. It stays in. */
struct rf_due_node *rf_due_top(const struct rf_due *d);
/** The earliest time, or RF_NEVER. */
uint64_t rf_due_next(const struct rf_due *d);

#endif
