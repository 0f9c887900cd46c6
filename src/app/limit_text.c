/* limit_text.c - rate limits written as text. */
#include "app/limit_text.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define WINDOW_TEXT_MAX 32
#define EACH "/each" /* a slash, as a method may be called each */

enum rpcfan_err rf_limit_window(const char *text, uint64_t *ms)
{
    char one[WINDOW_TEXT_MAX];
    bool unit_alone = text[0] >= 'a' && text[0] <= 'z';
    int n = snprintf(one, sizeof one, "%s%s", unit_alone ? "1" : "", text);
    uint64_t ns;
    if (n < 0 || (size_t)n >= sizeof one || rf_parse_duration(one, &ns) != RPCFAN_OK)
        return RPCFAN_EINVAL;
    if (ns % RF_MS != 0 || ns / RF_MS < RF_LIMIT_WINDOW_MIN_MS ||
        ns / RF_MS > RF_LIMIT_WINDOW_MAX_MS)
        return RPCFAN_EINVAL;
    *ms = ns / RF_MS;
    return RPCFAN_OK;
}

bool rf_limit_method_ok(const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c >= 0x7f || c == ',' || c == '"' || c == '\\')
            return false;
        if (c == '*' && i + 1 != n)
            return false;
    }
    return n > 0;
}

/* Digits up to the slash, and the unit. Returns what stands behind the slash, or NULL. */
static const char *parse_count(const char *p, struct rpcfan_limit *out)
{
    uint64_t count = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (count > (UINT64_MAX - digit) / 10)
            return NULL;
        count = count * 10 + digit;
    }
    if (count == 0)
        return NULL;
    out->count = count;
    out->unit = RPCFAN_REQUESTS;
    if (*p == 'w') {
        out->unit = RPCFAN_WEIGHT;
        p++;
    }
    return *p == '/' ? p + 1 : NULL;
}

/* Cut `list` at its commas, in place, into `names`. Returns how many; 0: one is no method. */
static size_t split_methods(char *list, const char **names, size_t max)
{
    size_t n = 0;
    char *next = list;
    while (next != NULL) {
        char *name = next;
        next = strchr(name, ',');
        if (next != NULL)
            *next++ = '\0';
        name += strspn(name, " \t");
        for (size_t len = strlen(name); len > 0 && strchr(" \t", name[len - 1]) != NULL;)
            name[--len] = '\0';
        if (n == max || !rf_limit_method_ok(name))
            return 0;
        names[n++] = name;
    }
    return n;
}

static enum rpcfan_err parse_methods(const char *list, struct rpcfan_limit *out,
                                     struct rpcfan_error *err)
{
    size_t most = 1;
    for (const char *p = list; *p != '\0'; p++)
        most += *p == ',';
    if (most > RF_LIMIT_METHODS_MAX)
        return rf_fail(err, RPCFAN_EINVAL, "a limit names at most %d methods",
                       RF_LIMIT_METHODS_MAX);
    size_t len = strlen(list);
    const char **names = rf_alloc(most * sizeof *names + len + 1);
    if (names == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    char *text = (char *)(names + most);
    memcpy(text, list, len + 1);
    out->n_methods = split_methods(text, names, most);
    if (out->n_methods == 0) {
        rf_free(names);
        return rf_fail(err, RPCFAN_EINVAL,
                       "a limit's methods are names set apart by commas; a '*' may only end one");
    }
    out->methods = names;
    return RPCFAN_OK;
}

/* What stands behind the window: nothing, or `/each` and `:METHODS`. Returns the methods, "" where
 * there are none, or NULL where it is something else. */
static const char *parse_each(const char *p, struct rpcfan_limit *out)
{
    size_t n = strlen(EACH);
    if (strncmp(p, EACH, n) == 0) {
        out->each = 1;
        p += n;
    }
    if (*p == '\0')
        return p;
    return *p == ':' ? p + 1 : NULL;
}

enum rpcfan_err rf_limit_parse(const char *text, struct rpcfan_limit *out, struct rpcfan_error *err)
{
    static const char form[] = "a limit is COUNT/WINDOW[/each][:METHODS], such as 100/10s, "
                               "40/10s/each, 4/1s:eth_getLogs or 500w/1s";
    struct rpcfan_limit lim = {0};
    const char *window = parse_count(text, &lim);
    if (window == NULL)
        return rf_fail(err, RPCFAN_EINVAL, "%s", form);
    size_t len = strcspn(window, "/:");
    const char *methods = parse_each(window + len, &lim);
    char span[WINDOW_TEXT_MAX];
    if (len >= sizeof span || methods == NULL)
        return rf_fail(err, RPCFAN_EINVAL, "%s", form);
    memcpy(span, window, len);
    span[len] = '\0';
    if (rf_limit_window(span, &lim.window_ms) != RPCFAN_OK)
        return rf_fail(err, RPCFAN_EINVAL,
                       "the window of a limit is a duration with a unit, from 1ms to 31d, of whole "
                       "milliseconds");
    if (methods > window + len && methods[-1] == ':') {
        enum rpcfan_err rc = parse_methods(methods, &lim, err);
        if (rc != RPCFAN_OK)
            return rc;
    }
    *out = lim;
    return RPCFAN_OK;
}

void rf_limit_fini(struct rpcfan_limit *lim)
{
    rf_free((void *)lim->methods);
    memset(lim, 0, sizeof *lim);
}
