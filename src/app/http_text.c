/* http_text.c - reads a response that was printed as text. */
#include "app/http_text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "policy/cursor.h"
#include "policy/hints.h"

/* A value of a header into `out`, without blanks around it; cut where it is too long. */
static void keep(char *out, size_t size, const char *value, size_t len)
{
    while (len > 0 && rf_is_space(value[0])) {
        value++;
        len--;
    }
    while (len > 0 && rf_is_space(value[len - 1]))
        len--;
    snprintf(out, size, "%.*s", (int)rf_min_u64(len, size), value);
}

static bool is_named(const char *line, size_t n, const char *name)
{
    return strlen(name) == n && strncasecmp(line, name, n) == 0;
}

bool rf_http_text_header(struct rf_http_text *h, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    if (colon == NULL || colon == line)
        return false;
    size_t n = (size_t)(colon - line);
    const char *value = colon + 1;
    size_t rest = len - n - 1;
    if (is_named(line, n, "retry-after"))
        keep(h->retry_after, sizeof h->retry_after, value, rest);
    else if (is_named(line, n, "date"))
        keep(h->date, sizeof h->date, value, rest);
    else if (is_named(line, n, "content-encoding"))
        keep(h->encoding, sizeof h->encoding, value, rest);
    if (strcasecmp(h->encoding, "identity") == 0)
        h->encoding[0] = '\0';
    return true;
}

/* The next line without its end. @return false at the end of the text. */
static bool next_line(struct rf_cursor *c, struct rpcfan_slice *line)
{
    if (c->p == c->end)
        return false;
    const char *end = memchr(c->p, '\n', (size_t)(c->end - c->p));
    line->data = c->p;
    line->len = (size_t)((end != NULL ? end : c->end) - c->p);
    c->p = end != NULL ? end + 1 : c->end;
    if (line->len > 0 && line->data[line->len - 1] == '\r')
        line->len--;
    return true;
}

/* "HTTP/1.1 429 Too Many Requests", "HTTP/2 200". */
static bool read_status(struct rpcfan_slice line, int *status)
{
    struct rf_cursor c = {line.data, line.data + line.len};
    int v = 0, digits = 0;
    if (!rf_cursor_text(&c, "HTTP/"))
        return false;
    while (c.p < c.end && (rf_is_digit(*c.p) || *c.p == '.'))
        c.p++;
    rf_cursor_space(&c);
    for (; rf_cursor_at_digit(&c) && digits < 4; c.p++, digits++)
        v = v * 10 + (*c.p - '0');
    if (digits != 3 || v < 100 || (c.p < c.end && *c.p != ' '))
        return false;
    *status = v;
    return true;
}

static bool starts_response(const struct rf_cursor *c)
{
    struct rf_cursor at = *c;
    struct rpcfan_slice line;
    int status;
    return next_line(&at, &line) && read_status(line, &status);
}

enum rpcfan_err rf_http_text_read(const char *text, size_t len, struct rf_http_text *out,
                                  struct rpcfan_error *err)
{
    struct rf_cursor c = {text, text + len};
    struct rf_cursor mark = c;
    const struct rf_http_text given = *out;
    struct rpcfan_slice line;
    unsigned number = 0;
    if (rf_cursor_text(&mark, "HTTP/") && !starts_response(&c))
        return rf_fail(err, RPCFAN_EINVAL,
                       "line 1 is no status line such as 'HTTP/1.1 429 Too Many Requests'");
    while (starts_response(&c)) {
        *out = given;
        (void)next_line(&c, &line);
        (void)read_status(line, &out->status);
        for (number++; next_line(&c, &line) && line.len > 0;) {
            number++;
            if (!rf_http_text_header(out, line.data, line.len))
                return rf_fail(err, RPCFAN_EINVAL,
                               "line %u is no header: a blank line goes between headers and body",
                               number);
        }
        number++;
    }
    out->body = (struct rpcfan_slice){c.p, (size_t)(c.end - c.p)};
    return RPCFAN_OK;
}

uint64_t rf_http_text_retry(const struct rf_http_text *h, int64_t wall_s)
{
    return rf_retry_after(h->retry_after[0] != '\0' ? h->retry_after : NULL,
                          h->date[0] != '\0' ? h->date : NULL, wall_s);
}
