/* batch_template.c - puts input lines into the params template. */
#include "cli/batch_template.h"

#include <string.h>

#include "json/scan.h"

static bool is_place(const char *p, const char *end)
{
    return end - p >= 2 && p[0] == '{' && p[1] == '}';
}

/* Check the template with a harmless value in each place. */
static enum rpcfan_err check(const struct rf_template *t, struct rpcfan_error *err)
{
    struct rf_buf b = {0};
    enum rpcfan_err rc = RPCFAN_OK;
    size_t at = 0, space = strspn(t->text, " \t\r\n");
    rf_buf_add(&b, t->text, t->len);
    for (size_t i = 0; i < t->n && !b.failed; i++)
        memcpy(b.data + t->place[i].at, t->place[i].in_string ? "xx" : "11", 2);
    if (b.failed)
        rc = rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    else if (t->text[space] != '[' && t->text[space] != '{')
        rc =
            rf_fail(err, RPCFAN_EINVAL,
                    "the template must be a JSON array or object, such as '[\"0x{}\",\"latest\"]'");
    else if (rf_json_check(b.data, b.len, RF_SCAN_DEPTH, &at) != RPCFAN_OK)
        rc = rf_fail(err, RPCFAN_EINVAL,
                     "the template is not JSON at column %zu; the shell needs it in single quotes, "
                     "such as '[\"0x{}\",\"latest\"]'",
                     at + 1);
    rf_buf_fini(&b);
    return rc;
}

enum rpcfan_err rf_template_init(struct rf_template *t, const char *text, struct rpcfan_error *err)
{
    *t = (struct rf_template){.text = text, .len = strlen(text)};
    const char *end = text + t->len;
    bool in_string = false;
    for (const char *p = text; p < end; p++) {
        if (is_place(p, end)) {
            if (t->n == RF_TEMPLATE_PLACES_MAX)
                return rf_fail(err, RPCFAN_EINVAL, "the template has more than %d places {}",
                               RF_TEMPLATE_PLACES_MAX);
            t->place[t->n].at = (size_t)(p - text);
            t->place[t->n++].in_string = in_string;
            p++;
        } else if (*p == '"') {
            in_string = !in_string;
        } else if (*p == '\\' && in_string && p + 1 < end) {
            p++;
        }
    }
    return check(t, err);
}

/* The body of a JSON string. Bytes from 0x80 on are copied: who validates the params sees to them.
 */
static void add_escaped(struct rf_buf *out, const char *s, size_t len)
{
    size_t from = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        rf_buf_add(out, s + from, i - from);
        from = i + 1;
        if (c == '"' || c == '\\') {
            rf_buf_char(out, '\\');
            rf_buf_char(out, (char)c);
        } else {
            rf_buf_printf(out, "\\u%04x", (unsigned)c);
        }
    }
    rf_buf_add(out, s + from, len - from);
}

static void expand_bare(const char *line, size_t len, struct rf_buf *out)
{
    bool json = rf_json_check(line, len, RF_SCAN_DEPTH, NULL) == RPCFAN_OK;
    rf_buf_char(out, '[');
    if (json) {
        rf_buf_add(out, line, len);
    } else {
        rf_buf_char(out, '"');
        add_escaped(out, line, len);
        rf_buf_char(out, '"');
    }
    rf_buf_char(out, ']');
}

void rf_template_expand(const struct rf_template *t, const char *line, size_t len,
                        struct rf_buf *out)
{
    if (t->text == NULL) {
        expand_bare(line, len, out);
        return;
    }
    size_t from = 0;
    for (size_t i = 0; i < t->n; i++) {
        rf_buf_add(out, t->text + from, t->place[i].at - from);
        from = t->place[i].at + 2;
        if (t->place[i].in_string)
            add_escaped(out, line, len);
        else
            rf_buf_add(out, line, len);
    }
    rf_buf_add(out, t->text + from, t->len - from);
}
