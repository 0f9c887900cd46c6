/* node_limit.h - rate limits from the server's side: fixed windows, sliding windows, token buckets.
 * Called by node_rpc.c. Pure: time is an argument. */
#ifndef RF_SIM_NODE_LIMIT_H
#define RF_SIM_NODE_LIMIT_H

#include "sim/node_conf.h"

/**
 * Units that fit now.
 * @param now_ns  must not go back.
 */
uint64_t rf_node_limit_room(struct rf_node_limit *l, uint64_t now_ns);

/** Take units; what does not fit is cut to what does. */
void rf_node_limit_take(struct rf_node_limit *l, uint64_t units, uint64_t now_ns);

/** ns until `units` would fit if nothing else were taken; RF_NEVER where they never can. */
uint64_t rf_node_limit_wait(struct rf_node_limit *l, uint64_t units, uint64_t now_ns);

#endif
