/* log_stderr.c - writes log lines and messages to stderr. */
#include "app/log_stderr.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "json/rpc.h"

#define CLEAR_LINE "\r\033[K"

void rf_stderr_write(const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        data += n;
        len -= (size_t)n;
    }
}

static void add_time(struct rf_buf *b, uint64_t unix_ms)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    rf_buf_printf(b, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ", tm.tm_year + 1900, tm.tm_mon + 1,
                  tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (unsigned)(unix_ms % 1000));
}

void rf_stderr_log_format(struct rf_buf *b, bool json, int level, const char *line,
                          uint64_t unix_ms)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    const char *name = names[level < 0 ? 0 : level > 3 ? 3 : level];
    if (!json) {
        add_time(b, unix_ms);
        rf_buf_printf(b, " %s %s\n", name, line);
        return;
    }
    size_t id = strcspn(line, " ");
    const char *text = line + id + strspn(line + id, " ");
    rf_buf_str(b, "{\"time\":\"");
    add_time(b, unix_ms);
    rf_buf_printf(b, "\",\"level\":\"%s\",\"id\":", name);
    rf_json_quote(b, line, id);
    rf_buf_str(b, ",\"text\":");
    rf_json_quote(b, text, strlen(text));
    rf_buf_str(b, "}\n");
}

void rf_stderr_log_line(int level, const char *line, void *arg)
{
    struct rf_stderr_log *log = arg;
    struct timespec ts;
    struct rf_buf b = {0};
    clock_gettime(CLOCK_REALTIME, &ts);
    if (atomic_load(&log->progress))
        rf_buf_str(&b, CLEAR_LINE);
    rf_stderr_log_format(&b, log->json, level, line,
                         (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / RF_MS);
    rf_stderr_write(b.data, b.len);
    rf_buf_fini(&b);
}

void rf_stderr_say(struct rf_stderr_log *log, const char *text)
{
    struct rf_buf b = {0};
    if (log != NULL && atomic_load(&log->progress))
        rf_buf_str(&b, CLEAR_LINE);
    rf_buf_printf(&b, "rpcfan: %s\n", text);
    rf_stderr_write(b.data, b.len);
    rf_buf_fini(&b);
}
