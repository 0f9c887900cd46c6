/* range_filter.c - one part of a filter's addresses: for nodes that take only so many of them. */
#include <string.h>

#include "core/range.h"
#include "json/rpc.h"

#define NAME_MAX_LEN 32

/* The list of addresses in params, and a part of it. */
struct list {
    size_t open, close;   /* of the brackets: behind the first, at the last */
    uint32_t n;           /* addresses */
    uint32_t first, last; /* in: the elements to find, the last one excluded */
    size_t from, to;      /* out: from the first one's first byte to behind the last one's */
};

/* Read the list, whose bracket was scanned last. @return false where it holds anything but strings.
 */
static bool read_list(struct rf_scan *s, struct rpcfan_slice params, size_t *pos, struct list *l)
{
    enum rf_tok tok;
    l->n = 0;
    l->open = (size_t)s->end;
    while ((tok = rf_scan_next(s, params.data, params.len, pos)) == RF_TOK_STRING) {
        if (l->n == l->first)
            l->from = (size_t)s->start;
        if (l->n < l->last)
            l->to = (size_t)s->end;
        l->n++;
    }
    l->close = (size_t)s->start;
    return tok == RF_TOK_ARRAY_END && l->n < UINT32_MAX;
}

/* Whether the name that was scanned is `address`; `*odd` where it is in other letters. */
static bool is_address(const struct rf_scan *s, struct rpcfan_slice params, bool *odd)
{
    static const char want[] = "address";
    char name[NAME_MAX_LEN];
    size_t len = (size_t)(s->end - s->start) - 2;
    if (len > sizeof name)
        return false;
    len = rf_json_unescape_to(params.data + s->start + 1, len, name);
    if (len != sizeof want - 1)
        return false;
    if (memcmp(name, want, len) == 0)
        return true;
    rf_lower(name, len, name);
    *odd = memcmp(name, want, len) == 0;
    return false;
}

/* Find the list. @return false where there is none, or more than one. */
static bool find_list(struct rpcfan_slice params, struct list *l)
{
    struct rf_scan s;
    enum rf_tok tok;
    size_t pos = 0;
    bool named = false, odd = false, found = false;
    rf_scan_init(&s, RF_SCAN_DEPTH);
    if (rf_scan_next(&s, params.data, params.len, &pos) != RF_TOK_ARRAY ||
        rf_scan_next(&s, params.data, params.len, &pos) != RF_TOK_OBJECT)
        return false;
    while ((tok = rf_scan_skip(&s, params.data, params.len, &pos, 2)) > RF_TOK_ERROR) {
        if (tok == RF_TOK_OBJECT_END && s.depth == 1)
            return found;
        if (tok == RF_TOK_KEY) {
            named = is_address(&s, params, &odd);
            if (odd || (named && found))
                return false;
        } else if (named) {
            found = tok == RF_TOK_ARRAY && read_list(&s, params, &pos, l);
            if (!found)
                return false;
            named = false;
        }
    }
    return false;
}

bool rf_range_split_filter(struct rpcfan_slice params, uint32_t parts, uint32_t index,
                           struct rf_buf *out)
{
    struct list l = {.last = UINT32_MAX};
    size_t before = out->len;
    if (parts < 2 || index >= parts || !find_list(params, &l) || l.n < parts)
        return false;
    l.first = (uint32_t)((uint64_t)l.n * index / parts);
    l.last = (uint32_t)((uint64_t)l.n * (index + 1) / parts);
    find_list(params, &l); /* it was found before; now with the places */
    rf_buf_add(out, params.data, l.open);
    rf_buf_add(out, params.data + l.from, l.to - l.from);
    rf_buf_add(out, params.data + l.close, params.len - l.close);
    if (out->failed)
        out->len = before;
    return !out->failed;
}
