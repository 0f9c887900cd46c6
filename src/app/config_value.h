/* config_value.h - one value of a configuration: variables put in, read strictly, stored.
 *
 * Used by config.c and config_endpoint.c. Reads the environment and the files that hold secrets. */
#ifndef RF_APP_CONFIG_VALUE_H
#define RF_APP_CONFIG_VALUE_H

#include "app/config_doc.h"

/** What is handed down while a configuration is built. */
struct rf_config_build {
    struct rf_config *cfg;    /* owns what is kept */
    const struct rf_yaml *y;  /* for free mappings, and for the lines of errors */
    const char *dir;          /* of the file, with its slash: relative paths begin here; or "" */
    struct rpcfan_error *err; /* may be NULL */
};

/**
 * Zeroed memory that lives as long as the configuration.
 * @return borrowed from `b->cfg`; NULL when out of memory, with `b->err` filled in.
 */
void *rf_config_keep(struct rf_config_build *b, size_t n);

/**
 * Put the environment into a text: `${NAME}`, `${NAME:-default}` (also where it is set but empty);
 * `$${` stands for `${`, any other `$` for itself.
 * @param at   whose line an error names.
 * @param out  the text; kept by the configuration.
 * @return 0, RPCFAN_ECONFIG (a variable that is not set, a brace not closed) or RPCFAN_ENOMEM.
 */
enum rpcfan_err rf_config_expand(struct rf_config_build *b, const yaml_node_t *at, const char *raw,
                                 const char **out);

/**
 * Read one value and store it in its options.
 * @param at       the value's node, for the line of an error.
 * @param raw      the text as it stands in the file.
 * @param options  the options struct that `key` belongs to.
 * @return 0, RPCFAN_ECONFIG, RPCFAN_EIO (a secret's file) or RPCFAN_ENOMEM.
 */
enum rpcfan_err rf_config_store(struct rf_config_build *b, const struct rf_config_key *key,
                                const yaml_node_t *at, const char *raw, void *options);

/** Read a whole number: digits only. @return 0 or RPCFAN_EINVAL (also on overflow). */
enum rpcfan_err rf_config_number(const char *text, uint64_t *out);

/**
 * Read a whole file of at most `max` bytes.
 * @param path  the file; may be a pipe, not a directory.
 * @param what  what errors call it.
 * @param text  out: NUL-terminated; owned: rf_free() it.
 * @param len   out: bytes without that NUL.
 * @return 0, RPCFAN_EIO (why, in words), RPCFAN_ECONFIG (over `max`) or RPCFAN_ENOMEM.
 */
enum rpcfan_err rf_config_read_file(const char *path, const char *what, size_t max, char **text,
                                    size_t *len, struct rpcfan_error *err);

#endif
