/* config_int.h - what the files of the configuration share. Touches nothing. */
#ifndef RF_APP_CONFIG_INT_H
#define RF_APP_CONFIG_INT_H

#include "app/config_value.h"

/**
 * Store every value that a table's mapping sets.
 * @param node     the mapping in the tree.
 * @param raw      the same mapping as libcyaml loaded it (the table's rf_raw_ struct); NULL: it did
 *                 not, the values are taken from the tree.
 * @param options  the table's options struct, its defaults set.
 * @return as rf_config_store().
 */
enum rpcfan_err rf_config_store_all(struct rf_config_build *b, const struct rf_config_table *table,
                                    const yaml_node_t *node, const void *raw, void *options);

/**
 * Build one endpoint.
 * @param node  its mapping in the tree.
 * @param raw   the same as libcyaml loaded it.
 * @param out   its options; filled in whole.
 * @return as rf_config_store().
 */
enum rpcfan_err rf_config_endpoint(struct rf_config_build *b, const yaml_node_t *node,
                                   const struct rf_raw_endpoint *raw,
                                   struct rpcfan_endpoint_options *out);

/** Build an endpoint's headers, limits and weights, of its mapping or of its profile's. @return as
 * rf_config_store(). */
enum rpcfan_err rf_config_lists(struct rf_config_build *b, const yaml_node_t *node,
                                struct rpcfan_endpoint_options *out);

/**
 * Put a profile's values into the options of an endpoint that names it.
 * @param at   the value of its key `profile`.
 * @param out  options with their defaults; lists point into what the configuration keeps.
 * @return as rf_config_store(), errors in the profile with its own name and line.
 */
enum rpcfan_err rf_config_profile(struct rf_config_build *b, const yaml_node_t *at,
                                  struct rpcfan_endpoint_options *out);

/** Build the list of accounts. @param list NULL: there is none. @return as rf_config_store(). */
enum rpcfan_err rf_config_accounts(struct rf_config_build *b, const yaml_node_t *list,
                                   const struct rf_raw_config *raw, struct rpcfan_options *out);

/** Check that an account which an endpoint names is there. @param at the name's node.
 * @return 0 or RPCFAN_ECONFIG. */
enum rpcfan_err rf_config_account_known(struct rf_config_build *b, const yaml_node_t *at,
                                        const char *name, const struct rpcfan_options *o);

/**
 * Build a list of rate limits, each a text or a mapping.
 * @param out, n  the limits, at most 16; kept by the configuration.
 * @return 0, RPCFAN_ECONFIG or RPCFAN_ENOMEM.
 */
enum rpcfan_err rf_config_limits(struct rf_config_build *b, const yaml_node_t *node,
                                 const struct rpcfan_limit **out, size_t *n);

/** An empty configuration. @return owned: rf_config_free() it; NULL when out of memory. */
struct rf_config *rf_config_new(void);

/**
 * Build a list of method names.
 * @param list  a checked list of scalars in the tree.
 * @param what  what errors call one.
 * @param out   the names; kept by the configuration.
 * @return 0, RPCFAN_ECONFIG or RPCFAN_ENOMEM.
 */
enum rpcfan_err rf_config_methods(struct rf_config_build *b, const yaml_node_t *list,
                                  const char *what, const char *const **out);

#endif
