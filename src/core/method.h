/* method.h - what a method is to a network: its class queue (limits and weights) and whether it may
 * be sent twice. Called by core.c (submit). Pure. */
#ifndef RF_CORE_METHOD_H
#define RF_CORE_METHOD_H

#include "core/state.h"

/** Most class queues in a network: one for each combination of limits and weights in use. */
#define RF_CLASS_QUEUES_MAX 256

/** Keep the options' method rules, and make the class queue of methods that no rule names.
 * @return false when out of memory. */
bool rf_method_init(struct rf_network *net, const struct rpcfan_network_options *o);
/** Free. */
void rf_method_fini(struct rf_network *net);
/**
 * Look a method up; learns it (up to a bound) on first sight.
 * @param out  filled in.
 * @return 0, RPCFAN_ENOMEM, or RPCFAN_EINVAL where the network has too many classes already.
 */
enum rpcfan_err rf_method_find(struct rf_network *net, struct rpcfan_slice name,
                               struct rf_method_kind *out);

#endif
