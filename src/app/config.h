/* config.h - a configuration file (YAML, see rpcfan.yaml(5)) turned into a client's options.
 *
 * Used by rpcfan_client_from_file() and by the command's --config. Reads the file, the files it
 * names for secrets, and the environment; nothing else. */
#ifndef RF_APP_CONFIG_H
#define RF_APP_CONFIG_H

#include "base/base.h"

/* A configuration is written by people: anything larger is the wrong file. */
#define RF_CONFIG_BYTES_MAX (4u * 1024 * 1024)

/** A loaded configuration; owns every string and array that its options point to. */
struct rf_config;

/**
 * Load a file.
 * @param path  the file; relative paths inside it count from its directory.
 * @param out   the configuration; owned: rf_config_free() it. Set only where 0 is returned.
 * @param err   detail on failure: `FILE:LINE: what`, never a value from the file; may be NULL.
 * @return 0, RPCFAN_ECONFIG (bad contents), RPCFAN_EIO (cannot be read) or RPCFAN_ENOMEM.
 * Thread: any, while no other thread changes the environment. Blocks on the file.
 */
enum rpcfan_err rf_config_load(const char *path, struct rf_config **out, struct rpcfan_error *err);

/**
 * Load a text.
 * @param yaml  `len` bytes.
 * @param name  what errors call it; a directory in it is where relative paths count from.
 * @return as rf_config_load(); RPCFAN_EIO only from files that the text names.
 */
enum rpcfan_err rf_config_load_text(const char *yaml, size_t len, const char *name,
                                    struct rf_config **out, struct rpcfan_error *err);

/** The options. Borrowed from `cfg`. Every network and endpoint in them has a name. */
const struct rpcfan_options *rf_config_options(const struct rf_config *cfg);

/** Free a configuration and all its options point to; NULL is ignored. */
void rf_config_free(struct rf_config *cfg);

#endif
