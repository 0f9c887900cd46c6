/* node_words.c - script lines into words, and words into values. */
#include "sim/node_words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Copy one word down over its own quotes and escapes. @return behind it, or NULL: an open quote. */
static char *take_word(char *from, char *to)
{
    char quote = '\0';
    for (; *from != '\0' && (quote != '\0' || !blank(*from)); from++) {
        if (quote == '\0' && (*from == '"' || *from == '\'')) {
            quote = *from;
        } else if (quote != '\0' && *from == quote) {
            quote = '\0';
        } else if (quote == '"' && *from == '\\' && from[1] != '\0') {
            from++;
            *to++ = (char)(*from == 'n' ? '\n' : *from == 't' ? '\t' : *from);
        } else {
            *to++ = *from;
        }
    }
    if (quote != '\0')
        return NULL;
    char *rest = *from == '\0' ? from : from + 1;
    *to = '\0';
    return rest;
}

enum rpcfan_err rf_node_words_split(struct rf_node_words *w, char *line, struct rpcfan_error *err)
{
    *w = (struct rf_node_words){.err = err};
    for (;;) {
        while (blank(*line))
            line++;
        if (*line == '\0' || *line == '#')
            return RPCFAN_OK;
        if (w->n == RF_WORDS_MAX)
            return rf_fail(err, RPCFAN_ECONFIG, "more than %d words", RF_WORDS_MAX);
        w->word[w->n++] = line;
        line = take_word(line, line);
        if (line == NULL)
            return rf_fail(err, RPCFAN_ECONFIG, "a quote is not closed");
    }
}

void rf_node_words_fail(struct rf_node_words *w, const char *fmt, ...)
{
    if (w->failed)
        return;
    w->failed = true;
    char text[sizeof w->err->text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)rf_fail(w->err, RPCFAN_ECONFIG, "%s", text);
}

enum rpcfan_err rf_node_words_done(struct rf_node_words *w)
{
    for (unsigned i = 0; i < w->n && !w->failed; i++)
        if (!w->used[i])
            rf_node_words_fail(w, "'%s' is not understood here", w->word[i]);
    return w->failed ? RPCFAN_ECONFIG : RPCFAN_OK;
}

/* The '=' of key=value; a JSON text or a quoted sentence may hold one too, but not behind a name.
 */
static char *equals(char *word)
{
    char *p = word;
    while ((*p >= 'a' && *p <= 'z') || *p == '-')
        p++;
    return *p == '=' && p > word ? p : NULL;
}

char *rf_node_words_next(struct rf_node_words *w)
{
    for (unsigned i = 0; i < w->n; i++) {
        if (w->used[i] || equals(w->word[i]) != NULL)
            continue;
        w->used[i] = true;
        return w->word[i];
    }
    return NULL;
}

const char *rf_node_words_need(struct rf_node_words *w, const char *what)
{
    char *word = rf_node_words_next(w);
    if (word != NULL)
        return word;
    rf_node_words_fail(w, "%s is missing", what);
    return "";
}

char *rf_node_words_text(struct rf_node_words *w, const char *key)
{
    for (unsigned i = 0; i < w->n; i++) {
        char *eq = equals(w->word[i]);
        if (w->used[i] || eq == NULL || strlen(key) != (size_t)(eq - w->word[i]) ||
            strncmp(w->word[i], key, strlen(key)) != 0)
            continue;
        w->used[i] = true;
        return eq + 1;
    }
    return NULL;
}

bool rf_node_text_u64(const char *text, uint64_t *out)
{
    uint64_t v = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (*text < '0' || *text > '9' || v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = v;
    return true;
}

uint64_t rf_node_words_u64(struct rf_node_words *w, const char *key, uint64_t def)
{
    const char *text = rf_node_words_text(w, key);
    uint64_t v = def;
    if (text != NULL && !rf_node_text_u64(text, &v))
        rf_node_words_fail(w, "%s=%s: want a number", key, text);
    return v;
}

int64_t rf_node_words_i64(struct rf_node_words *w, const char *key, int64_t def)
{
    const char *text = rf_node_words_text(w, key);
    if (text == NULL)
        return def;
    uint64_t v = 0;
    if (!rf_node_text_u64(*text == '-' ? text + 1 : text, &v) || v > INT32_MAX)
        rf_node_words_fail(w, "%s=%s: want a number of 31 bits", key, text);
    return *text == '-' ? -(int64_t)v : (int64_t)v;
}

uint64_t rf_node_words_bytes(struct rf_node_words *w, const char *key, uint64_t def)
{
    const char *text = rf_node_words_text(w, key);
    uint64_t v = def;
    if (text != NULL && rf_parse_bytes(text, &v) != RPCFAN_OK)
        rf_node_words_fail(w, "%s=%s: want bytes, as 512 or 50KiB", key, text);
    return v;
}

uint64_t rf_node_words_time(struct rf_node_words *w, const char *key, uint64_t def)
{
    const char *text = rf_node_words_text(w, key);
    uint64_t v = def;
    if (text != NULL && rf_parse_duration(text, &v) != RPCFAN_OK)
        rf_node_words_fail(w, "%s=%s: want a duration with its unit, as 50ms", key, text);
    return v;
}

unsigned rf_node_words_choice(struct rf_node_words *w, const char *key, const char *const *names,
                              unsigned def)
{
    const char *text = rf_node_words_text(w, key);
    if (text == NULL)
        return def;
    for (unsigned i = 0; names[i] != NULL; i++)
        if (strcmp(names[i], text) == 0)
            return i;
    char all[200] = "";
    for (unsigned i = 0, at = 0; names[i] != NULL && at < sizeof all; i++)
        at += (unsigned)snprintf(all + at, sizeof all - at, i > 0 ? ", %s" : "%s", names[i]);
    rf_node_words_fail(w, "%s=%s: want one of %s", key, text, all);
    return def;
}

bool rf_node_words_flag(struct rf_node_words *w, const char *key, bool def)
{
    static const char *const names[] = {"no", "yes", NULL};
    return rf_node_words_choice(w, key, names, def) != 0;
}
