/* log.h - log lines with a stable id: "RF-EP-PAUSE ep=helius for_ms=2000 why=429". No secrets: an
 * endpoint is called by its name, never by its URL. */
#ifndef RF_BASE_LOG_H
#define RF_BASE_LOG_H

#include "base/base.h"

/** Where lines go. Zero-initialised logs nothing. */
struct rf_log {
    rpcfan_log_cb cb;
    void *arg;
    int level; /* lines above it are dropped */
};

/** Write a line. @param log may be NULL. @param fmt begins with the line's id. Thread: loop. */
void rf_log(const struct rf_log *log, int level, const char *fmt, ...) RF_PRINTF(3, 4);

#endif
