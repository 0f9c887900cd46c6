/* walk.c - steps through the members and elements of JSON text that is valid already. */
#include "json/walk.h"

#include <string.h>

static void skip_space(struct rf_walk *w)
{
    while (w->p < w->end && (unsigned char)*w->p <= ' ')
        w->p++;
}

/* From the opening quote to behind the closing one: the first with an even number of backslashes
 * before it. */
static bool skip_string(struct rf_walk *w)
{
    const char *quote;
    while ((quote = memchr(w->p + 1, '"', (size_t)(w->end - w->p - 1))) != NULL) {
        const char *text = quote;
        while (text[-1] == '\\')
            text--;
        w->p = quote;
        if ((quote - text) % 2 == 0) {
            w->p++;
            return true;
        }
    }
    w->p = w->end;
    return false;
}

static bool skip_nest(struct rf_walk *w)
{
    size_t depth = 0;
    while (w->p < w->end) {
        char c = *w->p;
        if (c == '"') {
            if (!skip_string(w))
                return false;
            continue;
        }
        w->p++;
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            return true;
    }
    return false;
}

/* A number or a literal. It must be followed by something: at the end of what may be looked at, it
 * may be cut. */
static bool skip_scalar(struct rf_walk *w)
{
    const char *begin = w->p;
    while (w->p < w->end && memchr(",]}: \n\r\t", *w->p, 8) == NULL)
        w->p++;
    return w->p > begin && w->p < w->end;
}

bool rf_walk_value(struct rf_walk *w, struct rpcfan_slice *out)
{
    if (w->p == w->end)
        return false;
    const char *begin = w->p;
    bool ok;
    if (*begin == '"')
        ok = skip_string(w);
    else if (*begin == '{' || *begin == '[')
        ok = skip_nest(w);
    else
        ok = skip_scalar(w);
    *out = (struct rpcfan_slice){begin, (size_t)(w->p - begin)};
    return ok;
}

bool rf_walk_enter(struct rf_walk *w, struct rpcfan_slice text, char open)
{
    if (text.len == 0)
        return false;
    w->p = text.data;
    w->end = text.data + text.len;
    skip_space(w);
    return w->p < w->end && *w->p++ == open;
}

bool rf_walk_element(struct rf_walk *w, struct rpcfan_slice *value)
{
    skip_space(w);
    if (w->p < w->end && *w->p == ',') {
        w->p++;
        skip_space(w);
    }
    return w->p < w->end && *w->p != ']' && *w->p != '}' && rf_walk_value(w, value);
}

bool rf_walk_name(struct rf_walk *w, struct rpcfan_slice *name)
{
    if (!rf_walk_element(w, name) || name->len < 2 || *name->data != '"')
        return false;
    name->data++;
    name->len -= 2;
    skip_space(w);
    if (w->p == w->end || *w->p++ != ':')
        return false;
    skip_space(w);
    return true;
}

bool rf_walk_member(struct rpcfan_slice object, const char *key, size_t len,
                    struct rpcfan_slice *value)
{
    struct rf_walk w;
    struct rpcfan_slice name, found;
    if (!rf_walk_enter(&w, object, '{'))
        return false;
    while (rf_walk_name(&w, &name) && rf_walk_value(&w, &found)) {
        if (name.len == len && memcmp(name.data, key, len) == 0) {
            *value = found;
            return true;
        }
    }
    return false;
}

struct rpcfan_slice rf_walk_at(struct rpcfan_slice params, unsigned index)
{
    struct rf_walk w;
    struct rpcfan_slice value = {NULL, 0};
    bool there = rf_walk_enter(&w, params, '[');
    for (unsigned i = 0; there && i <= index; i++)
        there = rf_walk_element(&w, &value);
    return there ? value : (struct rpcfan_slice){NULL, 0};
}

/* Digits of a base that fit 64 bits, all of them. */
static bool read_digits(const char *s, size_t len, unsigned base, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned c = (unsigned char)s[i], d = c - '0';
        if (d > 9 && base == 16)
            d = (c | 0x20) - 'a' < 6 ? (c | 0x20) - 'a' + 10 : base;
        if (d >= base || v > (UINT64_MAX - d) / base)
            return false;
        v = v * base + d;
    }
    *out = v;
    return len > 0;
}

bool rf_walk_number(struct rpcfan_slice s, uint64_t *out)
{
    if (s.len >= 2 && *s.data == '"') {
        s.data++;
        s.len -= 2;
    }
    if (s.len > 2 && s.data[0] == '0' && (s.data[1] | 0x20) == 'x')
        return s.len <= 18 && read_digits(s.data + 2, s.len - 2, 16, out);
    return read_digits(s.data, s.len, 10, out);
}
