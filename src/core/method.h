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
/** Keep the limits of an account that endpoints of the network share. @return as above. */
bool rf_method_account(struct rf_network *net, uint32_t account, const struct rpcfan_limit *limits,
                       size_t n);
/** Free. */
void rf_method_fini(struct rf_network *net);
/**
 * Look a method up; learns it (up to a bound) on first sight.
 * @param out  filled in.
 * @return 0, RPCFAN_ENOMEM, or RPCFAN_EINVAL where the network has too many classes already.
 */
enum rpcfan_err rf_method_find(struct rf_network *net, struct rpcfan_slice name,
                               struct rf_method_kind *out);

/**
 * The class queue of calls like those of a class that may go to some endpoints only: one of its
 * own, so that a call that must wait for its endpoint holds up none that need not. Where there are
 * many classes already it is the class itself.
 * @return as rf_method_find().
 */
enum rpcfan_err rf_method_pinned(struct rf_network *net, uint32_t class_ix, uint64_t only,
                                 uint32_t *ix);

#endif
