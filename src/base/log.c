/* log.c - formats a log line and hands it to the user's callback. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

void rf_log(const struct rf_log *log, int level, const char *fmt, ...)
{
    if (log == NULL || log->cb == NULL || level > log->level)
        return;
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    log->cb(level, line, log->arg);
}
