/* state_file.h - what a client has learned, kept in a file from one run to the next. Called by the
 * command (--state). Touches the file, and a temporary one beside it.
 *
 * The file is a JSON object: `version` (1), `saved` (seconds since the epoch) and `learned`, which
 * is what rpcfan_learned() wrote. It holds names and caps, no URLs. */
#ifndef RF_APP_STATE_FILE_H
#define RF_APP_STATE_FILE_H

#include "base/base.h"

/**
 * Read a state file.
 * @param path    the file.
 * @param now_s   seconds since the epoch.
 * @param json    out: for rpcfan_learn(); owned: rf_free() it; NULL where there is no such file.
 * @param age_ms  out: since it was saved; 0 where that is in the future.
 * @param err     names the file and the remedy; may be NULL.
 * @return 0, RPCFAN_ECONFIG (not such a file), RPCFAN_EIO or RPCFAN_ENOMEM.
 * Thread: any. Blocks on the file.
 */
enum rpcfan_err rf_state_read(const char *path, int64_t now_s, char **json, uint64_t *age_ms,
                              struct rpcfan_error *err);

/**
 * Write a state file whole or not at all: a file beside it is written, flushed to the disk, and
 * takes its place.
 * @param json  what rpcfan_learned() gave.
 * @return 0, RPCFAN_EINVAL (`json` is no object), RPCFAN_EIO (why, in words) or RPCFAN_ENOMEM.
 * Thread: any. Blocks on the disk.
 */
enum rpcfan_err rf_state_write(const char *path, int64_t now_s, const char *json,
                               struct rpcfan_error *err);

#endif
