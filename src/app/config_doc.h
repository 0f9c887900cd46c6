/* config_doc.h - a YAML text as a tree of nodes that know their lines, and the check of that tree
 * against the schema.
 *
 * libcyaml 1.3.1 names no line for a syntax error, the previous key's line for an unknown key, and
 * repeats values (which may be secrets) in its log. So the tree is checked first, here, in our own
 * words, and libcyaml fills in the structs afterwards. Used by config.c, config_value.c,
 * config_endpoint.c. Touches nothing. */
#ifndef RF_APP_CONFIG_DOC_H
#define RF_APP_CONFIG_DOC_H

#include <yaml.h>

#include "app/config_keys.h"

/** One parsed document. Zeroed is empty and may be given to rf_yaml_fini(). */
struct rf_yaml {
    yaml_document_t doc;
    bool loaded;
    const char *name; /* what errors call it; borrowed */
};

/**
 * Parse a text of at most one document.
 * @param y     zeroed.
 * @param text  `len` bytes; may be freed afterwards.
 * @param name  what errors call it; borrowed for the life of `y`.
 * @return 0, RPCFAN_ECONFIG (syntax, with the line; not UTF-8) or RPCFAN_ENOMEM.
 */
enum rpcfan_err rf_yaml_load(struct rf_yaml *y, const char *text, size_t len, const char *name,
                             struct rpcfan_error *err);
/** Free what rf_yaml_load() allocated. */
void rf_yaml_fini(struct rf_yaml *y);

/** The root node, or NULL in an empty document. Nodes live as long as `y`. */
yaml_node_t *rf_yaml_root(const struct rf_yaml *y);
/** The value of a key; NULL where there is none, or where `map` is NULL or no mapping. */
yaml_node_t *rf_yaml_get(const struct rf_yaml *y, const yaml_node_t *map, const char *key);
/** How many pairs a mapping has, or entries a list; 0 for anything else. */
size_t rf_yaml_count(const yaml_node_t *node);
/** The i-th entry of a list, i < rf_yaml_count(). */
yaml_node_t *rf_yaml_item(const struct rf_yaml *y, const yaml_node_t *list, size_t i);
/** The i-th pair of a mapping, i < rf_yaml_count(). @param value out. @return its key. */
yaml_node_t *rf_yaml_pair(const struct rf_yaml *y, const yaml_node_t *map, size_t i,
                          yaml_node_t **value);
/** Whether the key of a mapping's i-th pair stood in an earlier pair already. */
bool rf_yaml_repeats(const struct rf_yaml *y, const yaml_node_t *map, size_t i);
/** The text of a scalar, NUL-terminated; "" for anything else. Borrowed from the node. */
const char *rf_yaml_text(const yaml_node_t *node);

/**
 * Fill in an error with `NAME:LINE: ` and the rest.
 * @param at  whose line; NULL: line 1.
 * @return RPCFAN_ECONFIG.
 */
enum rpcfan_err rf_yaml_fail(const struct rf_yaml *y, const yaml_node_t *at,
                             struct rpcfan_error *err, const char *fmt, ...) RF_PRINTF(4, 5);

/**
 * Check that a node is text with a value: not a list, not a mapping, not null, without a NUL byte.
 * @param what  what errors call it.
 * @return 0 or RPCFAN_ECONFIG.
 */
enum rpcfan_err rf_yaml_need_text(const struct rf_yaml *y, const yaml_node_t *node,
                                  const char *what, struct rpcfan_error *err);

/**
 * Check a mapping and all below it against a table: unknown and repeated keys (with a guess of what
 * was meant), missing keys, wrong kinds of values, lists that are too short or too long. The values
 * themselves are not read, and what is CYAML_IGNORE is only checked to be there.
 * @return 0 or RPCFAN_ECONFIG.
 */
enum rpcfan_err rf_config_check(const struct rf_yaml *y, const yaml_node_t *node,
                                const struct rf_config_table *table, struct rpcfan_error *err);

#endif
