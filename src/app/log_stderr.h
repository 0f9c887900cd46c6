/* log_stderr.h - log lines and messages on stderr, as text or as JSON, that do not run into a
 * progress line. Used by the command; writes to descriptor 2 and nothing else. */
#ifndef RF_APP_LOG_STDERR_H
#define RF_APP_LOG_STDERR_H

#include <stdatomic.h>

#include "base/buf.h"

/** Zero-initialised is valid: text, no progress line. */
struct rf_stderr_log {
    bool json;
    atomic_bool progress; /* a progress line stands on the terminal */
};

/** An rpcfan_log_cb; `arg` is a struct rf_stderr_log. One write(2) a line. Thread: any. */
void rf_stderr_log_line(int level, const char *line, void *arg);

/**
 * Append a log line as it is written: time, level and text, or one JSON object.
 * @param unix_ms  wall-clock time.
 */
void rf_stderr_log_format(struct rf_buf *b, bool json, int level, const char *line,
                          uint64_t unix_ms);

/** Write `rpcfan: TEXT` and a newline. @param log may be NULL. Thread: any. */
void rf_stderr_say(struct rf_stderr_log *log, const char *text);

/** Write all bytes to stderr; failures are ignored: there is no place left to tell them. */
void rf_stderr_write(const char *data, size_t len);

#endif
