/* config_int.h - what config.c and config_endpoint.c share. Touches nothing. */
#ifndef RF_APP_CONFIG_INT_H
#define RF_APP_CONFIG_INT_H

#include "app/config_value.h"

/**
 * Store every value that a table's mapping sets.
 * @param node     the mapping in the tree.
 * @param raw      the same mapping as libcyaml loaded it (the table's rf_raw_ struct).
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
