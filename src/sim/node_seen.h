/* node_seen.h - how often each call was executed: lets a test prove "exactly once". */
#ifndef RF_SIM_NODE_SEEN_H
#define RF_SIM_NODE_SEEN_H

#include <uv.h>

#include "sim/node_methods.h"

/** The most different calls that are told apart; beyond it nothing more is counted. */
#define RF_NODE_SEEN_MAX (1u << 24)

struct rf_node_seen_slot {
    struct rf_node_digest key;
    uint64_t count; /* 0: free */
};

/** An open-addressing table of digests under a mutex. */
struct rf_node_seen_table {
    uv_mutex_t lock;
    struct rf_node_seen_slot *slot; /* owned; `cap` is a power of two or 0 */
    uint32_t cap, used;
    uint64_t repeated; /* different calls seen more than once */
};

/** Set up, empty. @return 0 or RPCFAN_ENOMEM. */
enum rpcfan_err rf_node_seen_init(struct rf_node_seen_table *t);
/** Free. */
void rf_node_seen_fini(struct rf_node_seen_table *t);
/** Count one. @return the count with it; 0 where the table is full or out of memory. Thread: any.
 */
uint64_t rf_node_seen_add(struct rf_node_seen_table *t, struct rf_node_digest key);
/** The count so far. Thread: any. */
uint64_t rf_node_seen_get(struct rf_node_seen_table *t, struct rf_node_digest key);

#endif
