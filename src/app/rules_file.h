/* rules_file.h - a file of rules, read and checked before a client sees it, so that a mistake is
 * told with the file's name. Called by cli/options; reads the file and touches nothing else. */
#ifndef RF_APP_RULES_FILE_H
#define RF_APP_RULES_FILE_H

#include "base/base.h"

/**
 * Read a file of rules.
 * @param text  out: NUL-terminated, owned (rf_free()).
 * @param err   "FILE:LINE: what is wrong: remedy"; may be NULL.
 * @return 0, RPCFAN_EIO, RPCFAN_ECONFIG or RPCFAN_ENOMEM.
 */
enum rpcfan_err rf_rules_file_read(const char *path, char **text, struct rpcfan_error *err);

#endif
