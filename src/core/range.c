/* range.c - the range of a call: read, write, and cut into pieces.
 *
 * Example: [0, 9999] refused with "this block range should work: [0x0, 0x7cf]" becomes [0, 1999],
 * [2000, 3999], .. [8000, 9999]. With a cap of 10 the same range is a thousand pieces, more than a
 * plan holds: [0, 9], then 62 of 160 blocks and one of 70, which are cut by ten in their turn. With
 * neither it becomes [0, 4999] and [5000, 9999].
 *
 * Requests that a call of N blocks costs, all pieces sent, P = ceil(N / cap), T results in all:
 * - the cap known or learned from the first refusal, pieces over it cut before they are sent:
 *   P and the first one;
 * - a cap in blocks that is not told: 4 P, refused ones included, for each refused piece has two
 *   parts and pieces of more than half of the cap pass;
 * - a limit of R results that is not told: 1 + 2 (T / R) (log2 N + 1), for on each level of halves
 * at most T / R pieces hold more than R results. */
#include "core/range.h"

#include <string.h>

#include "json/rpc.h"

#define TAG_MAX 32

enum form { FILTER, TRACE_FILTER, SLOTS };

static const struct {
    const char *name;
    enum form form;
} methods[] = {
    {"eth_getLogs", FILTER},           {"erigon_getLogs", FILTER}, {"trace_filter", TRACE_FILTER},
    {"arbtrace_filter", TRACE_FILTER}, {"getBlocks", SLOTS},
};

static bool find_form(struct rpcfan_slice method, enum form *form)
{
    for (size_t i = 0; i < RF_COUNT(methods); i++) {
        if (method.len == strlen(methods[i].name) &&
            memcmp(method.data, methods[i].name, method.len) == 0) {
            *form = methods[i].form;
            return true;
        }
    }
    return false;
}

static bool read_hex(const char *s, size_t len, uint64_t *v)
{
    *v = 0;
    for (size_t i = 0; i < len; i++) {
        char c = (char)(s[i] | 0x20);
        bool digit = s[i] >= '0' && s[i] <= '9';
        if ((!digit && (c < 'a' || c > 'f')) || *v >> 60 != 0)
            return false;
        *v = *v << 4 | (uint64_t)(digit ? s[i] - '0' : c - 'a' + 10);
    }
    return len > 0;
}

static bool read_decimal(const char *s, size_t len, uint64_t *v)
{
    *v = 0;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(s[i] - '0');
        if (*v > (UINT64_MAX - digit) / 10)
            return false;
        *v = *v * 10 + digit;
    }
    return len > 0;
}

bool rf_range_number(struct rpcfan_slice raw, uint64_t *v, bool *hex)
{
    bool quoted = raw.len > 4 && raw.data[0] == '"';
    if (hex != NULL)
        *hex = quoted;
    if (quoted)
        return raw.data[1] == '0' && raw.data[2] == 'x' && read_hex(raw.data + 3, raw.len - 4, v);
    return read_decimal(raw.data, raw.len, v);
}

/* -- reading ----------------------------------------------------------------------------------- */

/* A read under way. */
struct reader {
    struct rpcfan_slice params;
    struct rf_scan scan;
    size_t pos;
    enum form form;
    struct rf_range *r;
};

static enum rf_tok next(struct reader *d, uint32_t depth)
{
    return rf_scan_skip(&d->scan, d->params.data, d->params.len, &d->pos, depth);
}

/* The string or name that was scanned. @return its length, or 0 where it is over TAG_MAX. */
static size_t read_string(const struct reader *d, char out[TAG_MAX])
{
    size_t len = (size_t)(d->scan.end - d->scan.start) - 2;
    if (len > TAG_MAX)
        return 0;
    return rf_json_unescape_to(d->params.data + d->scan.start + 1, len, out);
}

static bool is_word(const char *s, size_t len, const char *word)
{
    return len == strlen(word) && memcmp(s, word, len) == 0;
}

/* One end: the token that was scanned last. */
static bool read_end(const struct reader *d, enum rf_tok tok, struct rf_range_place *place,
                     uint64_t *v, bool *open)
{
    char tag[TAG_MAX];
    place->at = (size_t)d->scan.start;
    place->len = (size_t)(d->scan.end - d->scan.start);
    place->hex = d->form != SLOTS;
    *open = tok == RF_TOK_NULL;
    *v = 0;
    if (tok == RF_TOK_NULL)
        return true;
    if (tok != RF_TOK_STRING && tok != RF_TOK_NUMBER)
        return false;
    struct rpcfan_slice raw = {d->params.data + place->at, place->len};
    if (rf_range_number(raw, v, &place->hex))
        return d->form != SLOTS || !place->hex;
    if (tok != RF_TOK_STRING || d->form == SLOTS)
        return false;
    size_t n = read_string(d, tag);
    *v = 0;
    *open = is_word(tag, n, "latest");
    return *open || is_word(tag, n, "earliest");
}

/* The names that matter, and those that forbid a split where they are not null. */
enum name { FROM_BLOCK, TO_BLOCK, BLOCK_HASH, AFTER, COUNT, N_NAMES, OTHER_NAME, WRONG_NAME };

/* Which one was scanned. Some nodes do not mind the case of names, others do: then it is not ours
 * to say what the call means. */
static enum name read_name(const struct reader *d)
{
    static const char *const names[N_NAMES] = {"fromBlock", "toBlock", "blockHash", "after",
                                               "count"};
    static const char *const lower[N_NAMES] = {"fromblock", "toblock", "blockhash", "after",
                                               "count"};
    char name[TAG_MAX];
    size_t n = read_string(d, name);
    for (int i = 0; i < N_NAMES; i++) {
        if (is_word(name, n, names[i]))
            return (enum name)i;
    }
    rf_lower(name, n, name);
    for (int i = 0; i < N_NAMES; i++) {
        if (is_word(name, n, lower[i]))
            return WRONG_NAME;
    }
    return OTHER_NAME;
}

static bool read_member(struct reader *d, enum name name, enum rf_tok tok)
{
    struct rf_range *r = d->r;
    switch (name) {
    case FROM_BLOCK:
        return r->at_from.len == 0 && read_end(d, tok, &r->at_from, &r->from, &r->open_from);
    case TO_BLOCK:
        return r->at_to.len == 0 && read_end(d, tok, &r->at_to, &r->to, &r->open_to);
    case BLOCK_HASH:
    case AFTER:
    case COUNT:
        return tok == RF_TOK_NULL;
    default:
        return name != WRONG_NAME;
    }
}

static bool read_filter(struct reader *d)
{
    struct rf_range *r = d->r;
    enum name name = OTHER_NAME;
    enum rf_tok tok = next(d, RF_SCAN_DEPTH);
    if (tok != RF_TOK_OBJECT)
        return false;
    r->insert_at = (size_t)d->scan.end;
    r->empty = true;
    while ((tok = next(d, 2)) > RF_TOK_ERROR) {
        if (tok == RF_TOK_OBJECT_END && d->scan.depth == 1)
            break;
        r->empty = false;
        if (tok == RF_TOK_KEY) {
            name = read_name(d);
            continue;
        }
        if (!read_member(d, name, tok))
            return false;
        name = OTHER_NAME; /* of an array or object only the bracket that opens it counts */
    }
    if (tok <= RF_TOK_ERROR)
        return false;
    r->open_from = r->open_from || r->at_from.len == 0;
    r->open_to = r->open_to || r->at_to.len == 0;
    return d->form != TRACE_FILTER || r->at_from.len != 0;
}

/* getBlocks: [from], [from, to], [from, options], [from, to, options]; to may be null. */
static bool read_slots(struct reader *d)
{
    struct rf_range *r = d->r;
    enum rf_tok tok = next(d, RF_SCAN_DEPTH);
    if (tok != RF_TOK_NUMBER || !read_end(d, tok, &r->at_from, &r->from, &r->open_from))
        return false;
    r->positional = true;
    r->insert_at = (size_t)d->scan.end;
    tok = next(d, RF_SCAN_DEPTH);
    if (tok == RF_TOK_ARRAY_END || tok == RF_TOK_OBJECT) {
        r->open_to = true;
        return true;
    }
    return read_end(d, tok, &r->at_to, &r->to, &r->open_to);
}

bool rf_range_read(struct rpcfan_slice method, struct rpcfan_slice params, struct rf_range *out)
{
    struct reader d = {.params = params, .r = out};
    *out = (struct rf_range){.at_from.hex = true, .at_to.hex = true};
    if (!find_form(method, &d.form))
        return false;
    rf_scan_init(&d.scan, RF_SCAN_DEPTH);
    if (next(&d, RF_SCAN_DEPTH) != RF_TOK_ARRAY)
        return false;
    out->at_to.hex = d.form != SLOTS;
    if (d.form == SLOTS ? !read_slots(&d) : !read_filter(&d))
        return false;
    return out->open_from || out->open_to || out->from <= out->to;
}

/* -- writing ----------------------------------------------------------------------------------- */

static void add_number(struct rf_buf *b, const struct rf_range_place *place, uint64_t v)
{
    if (place->hex)
        rf_buf_printf(b, "\"0x%llx\"", (unsigned long long)v);
    else
        rf_buf_u64(b, v);
}

/* A write under way. */
struct writer {
    const struct rf_range *r;
    struct rpcfan_slice params;
    size_t at; /* of params is written */
    struct rf_buf *out;
};

static size_t place_of(const struct rf_range *r, const struct rf_range_place *place)
{
    return place->len > 0 ? place->at : r->insert_at;
}

/* The params up to an end of the range, and the end. */
static void write_end(struct writer *w, const struct rf_range_place *place, const char *name,
                      uint64_t v)
{
    size_t to = place_of(w->r, place);
    rf_buf_add(w->out, w->params.data + w->at, to - w->at);
    w->at = to + place->len;
    if (place->len > 0) {
        add_number(w->out, place, v);
    } else if (w->r->positional) {
        rf_buf_char(w->out, ',');
        add_number(w->out, place, v);
    } else {
        rf_buf_printf(w->out, "\"%s\":", name);
        add_number(w->out, place, v);
        if (!w->r->empty || place == &w->r->at_from)
            rf_buf_char(w->out, ',');
    }
}

bool rf_range_write(const struct rf_range *r, struct rpcfan_slice params, uint64_t from,
                    uint64_t to, struct rf_buf *out)
{
    struct writer w = {r, params, 0, out};
    size_t before = out->len;
    bool from_first = place_of(r, &r->at_from) <= place_of(r, &r->at_to);
    if (from > to)
        return false;
    if (from_first)
        write_end(&w, &r->at_from, "fromBlock", from);
    write_end(&w, &r->at_to, "toBlock", to);
    if (!from_first)
        write_end(&w, &r->at_from, "fromBlock", from);
    rf_buf_add(out, params.data + w.at, params.len - w.at);
    if (out->failed)
        out->len = before;
    return !out->failed;
}

/* -- planning ---------------------------------------------------------------------------------- */

static void add_part(struct rf_range_plan *p, uint64_t from, uint64_t to)
{
    p->part[p->n].from = from;
    p->part[p->n].to = to;
    p->n++;
}

/* How long the pieces of a range should be; 0: nothing says so, or what says so is not shorter than
 * the range. `more` is how far it goes beyond its first block. */
static uint64_t choose_length(uint64_t more, const struct rf_range_hint *h)
{
    uint64_t len = h->cap > 0 && h->cap <= more ? h->cap : 0;
    if (h->told && h->told_to >= h->told_from && h->told_to - h->told_from < more) {
        uint64_t told = h->told_to - h->told_from + 1;
        if (len == 0 || told < len)
            len = told;
    }
    return len > more / 2 && h->depth >= RF_RANGE_TRUST_DEPTH ? 0 : len;
}

void rf_range_split(uint64_t from, uint64_t to, const struct rf_range_hint *hint,
                    struct rf_range_plan *out)
{
    out->n = 0;
    if (from >= to)
        return;
    uint64_t more = to - from, len = choose_length(more, hint);
    if (len == 0) {
        add_part(out, from, from + more / 2);
        add_part(out, from + more / 2 + 1, to);
        return;
    }
    uint64_t most = hint->depth < RF_RANGE_TRUST_DEPTH ? more : more / 2;
    uint64_t first = !hint->told && hint->probe > len && hint->probe <= most ? hint->probe : len;
    add_part(out, from, from + first - 1);
    from += first;
    uint64_t pieces = (to - from) / len + 1, room = RF_RANGE_PARTS_MAX - 1;
    if (pieces > room)
        len *= (pieces - 1) / room + 1;
    for (; to - from >= len; from += len)
        add_part(out, from, from + len - 1);
    add_part(out, from, to);
}
