/* base.c - error details, durations, byte counts, and text matching. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum rpcfan_err rf_fail(struct rpcfan_error *err, enum rpcfan_err code, const char *fmt, ...)
{
    if (err == NULL)
        return code;
    err->code = code;
    err->retry_in_ms = 0;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    return code;
}

void rf_fail_prefix(struct rpcfan_error *err, const char *fmt, ...)
{
    if (err == NULL)
        return;
    char old[sizeof err->text];
    memcpy(old, err->text, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof err->text)
        snprintf(err->text + n, sizeof err->text - (size_t)n, "%s", old);
}

/* Digits, an optional fraction, and the rest; the value is scaled by 10^9 to keep the fraction. */
static const char *parse_number(const char *p, uint64_t *whole, uint64_t *nano)
{
    if (*p < '0' || *p > '9')
        return NULL;
    *whole = 0;
    *nano = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (*whole > (UINT64_MAX - 9) / 10)
            return NULL;
        *whole = *whole * 10 + (uint64_t)(*p - '0');
    }
    if (*p != '.')
        return p;
    p++;
    if (*p < '0' || *p > '9')
        return NULL;
    uint64_t unit = RF_SEC / 10;
    for (; *p >= '0' && *p <= '9'; p++, unit /= 10)
        *nano += (uint64_t)(*p - '0') * unit;
    return p;
}

enum rpcfan_err rf_parse_duration(const char *text, uint64_t *ns)
{
    static const struct {
        const char *unit;
        uint64_t ns;
    } units[] = {{"ns", 1},          {"us", RF_US},        {"ms", RF_MS},        {"s", RF_SEC},
                 {"m", 60 * RF_SEC}, {"h", 3600 * RF_SEC}, {"d", 86400 * RF_SEC}};
    uint64_t whole, nano;
    const char *rest = parse_number(text, &whole, &nano);
    if (rest == NULL)
        return RPCFAN_EINVAL;
    for (size_t i = 0; i < RF_COUNT(units); i++) {
        if (strcmp(rest, units[i].unit) != 0)
            continue;
        if (whole > (RF_NEVER / 4) / units[i].ns)
            return RPCFAN_EINVAL;
        uint64_t fraction =
            units[i].ns >= RF_SEC ? nano * (units[i].ns / RF_SEC) : nano / (RF_SEC / units[i].ns);
        *ns = whole * units[i].ns + fraction;
        return RPCFAN_OK;
    }
    return RPCFAN_EINVAL;
}

enum rpcfan_err rf_parse_bytes(const char *text, uint64_t *bytes)
{
    static const struct {
        const char *unit;
        uint64_t n;
    } units[] = {{"", 1},
                 {"B", 1},
                 {"KiB", 1024},
                 {"MiB", 1024 * 1024},
                 {"GiB", 1024 * 1024 * 1024},
                 {"kB", 1000},
                 {"MB", 1000 * 1000},
                 {"GB", 1000 * 1000 * 1000}};
    uint64_t whole, nano;
    const char *rest = parse_number(text, &whole, &nano);
    if (rest == NULL || nano != 0)
        return RPCFAN_EINVAL;
    for (size_t i = 0; i < RF_COUNT(units); i++) {
        if (strcasecmp(rest, units[i].unit) != 0)
            continue;
        if (whole > (UINT64_MAX / 4) / units[i].n)
            return RPCFAN_EINVAL;
        *bytes = whole * units[i].n;
        return RPCFAN_OK;
    }
    return RPCFAN_EINVAL;
}

bool rf_pattern_match(const char *pattern, const char *name, size_t len)
{
    size_t n = strlen(pattern);
    if (n > 0 && pattern[n - 1] == '*')
        return len >= n - 1 && memcmp(pattern, name, n - 1) == 0;
    return n == len && memcmp(pattern, name, n) == 0;
}

void rf_lower(const char *text, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] | 0x20 : text[i]);
}

const char *rf_find_nocase(const char *text, size_t len, const char *needle)
{
    size_t n = strlen(needle);
    for (size_t i = 0; i + n <= len; i++) {
        if (strncasecmp(text + i, needle, n) == 0)
            return text + i;
    }
    return NULL;
}
