/* elements.c - walks over a response while it arrives: inside the array it reports elements and
 * keeps nothing but one that a chunk cut, outside of it everything is kept.
 *
 * Inside an element the scanner runs in its own loop and reports the closing bracket only, so that
 * long elements cost two tokens here. Names are read from what is kept, where each is whole. */
#include "json/elements.h"

#include <string.h>

#include "json/rpc.h"

/** What a name means here. */
enum name { NAME_OTHER, NAME_RESULT, NAME_VALUE, NAME_ACCOUNTS, NAME_CONTEXT, NAME_SLOT };

static const char *const names[] = {
    [NAME_RESULT] = "result",   [NAME_VALUE] = "value", [NAME_ACCOUNTS] = "accounts",
    [NAME_CONTEXT] = "context", [NAME_SLOT] = "slot",
};

/** The deepest names that matter: those of result.value and of result.context. */
#define NAMES_DEPTH 3
/** The longest name, "accounts", with each letter written as \uXXXX. */
#define NAME_RAW_MAX 48

static const char bom_bytes[3] = {'\xef', '\xbb', '\xbf'};

/** A chunk being read. */
struct piece {
    const char *data;
    size_t len, pos;
    uint64_t base; /* stream offset of its first byte */
    size_t kept;   /* outside of the array: up to here it is in `rest` */
    size_t begin;  /* of the element that is open */
};

void rf_elements_init(struct rf_elements *e, size_t max)
{
    struct rf_buf rest = e->rest, element = e->element;
    *e = (struct rf_elements){.rest = rest, .element = element, .max = max};
    rf_buf_reset(&e->rest, e->rest.cap);
    rf_buf_reset(&e->element, e->element.cap);
    rf_scan_init(&e->scan, RF_SCAN_DEPTH);
}

void rf_elements_fini(struct rf_elements *e)
{
    rf_buf_fini(&e->rest);
    rf_buf_fini(&e->element);
    *e = (struct rf_elements){0};
}

/** Append to `rest` or to the open element, within the cap. */
static void keep(struct rf_elements *e, struct rf_buf *b, const char *data, size_t n)
{
    if (n > e->max || b->len > e->max - n) {
        e->too_big = true;
        return;
    }
    rf_buf_add(b, data, n);
    e->no_memory |= b->failed;
}

/** Put what was read outside of the array, up to `to`, into `rest`. */
static void keep_rest(struct rf_elements *e, struct piece *p, size_t to)
{
    keep(e, &e->rest, p->data + p->kept, to - p->kept);
    p->kept = to;
}

/** Step over a byte order mark, which may be cut. */
static void pass_bom(struct rf_elements *e, struct piece *p)
{
    while (!e->begun && p->pos < p->len) {
        if (p->data[p->pos] == bom_bytes[e->bom]) {
            p->pos++;
            e->begun = ++e->bom == sizeof bom_bytes;
        } else {
            e->begun = true;
            e->bad = e->bom > 0;
        }
    }
    e->scan.offset += p->pos;
}

static enum name find_name(const char *text, size_t len)
{
    for (enum name i = NAME_RESULT; i <= NAME_SLOT; i++) {
        if (strlen(names[i]) == len && memcmp(names[i], text, len) == 0)
            return i;
    }
    return NAME_OTHER;
}

/** The text of the latest token, which is in `rest`. */
static struct rpcfan_slice token_text(const struct rf_elements *e)
{
    const struct rf_scan *s = &e->scan;
    return (struct rpcfan_slice){e->rest.data + (s->start - e->left_out),
                                 (size_t)(s->end - s->start)};
}

static enum name read_name(const struct rf_elements *e)
{
    char plain[NAME_RAW_MAX];
    struct rpcfan_slice t = token_text(e);
    t.data++;
    t.len -= 2;
    if (!e->scan.escaped)
        return find_name(t.data, t.len);
    if (t.len > sizeof plain)
        return NAME_OTHER;
    return find_name(plain, rf_json_unescape_to(t.data, t.len, plain));
}

/** A slot; what is no unsigned integer of 64 bits is none. */
static uint64_t read_slot(const struct rf_elements *e)
{
    struct rpcfan_slice t = token_text(e);
    uint64_t v = 0;
    if (!e->scan.integer || t.data[0] == '-')
        return 0;
    for (size_t i = 0; i < t.len; i++) {
        uint64_t digit = (uint64_t)(t.data[i] - '0');
        if (v > (UINT64_MAX - digit) / 10)
            return 0;
        v = v * 10 + digit;
    }
    return v;
}

/** Whether an array that was just opened is the one to report. */
static bool is_wanted(const struct rf_elements *e)
{
    const uint8_t *key = e->key;
    if (e->has_array || key[1] != NAME_RESULT)
        return false;
    switch (e->scan.depth) {
    case 2:
        return true;
    case 3:
        return key[2] == NAME_VALUE || key[2] == NAME_ACCOUNTS;
    case 4:
        return key[2] == NAME_VALUE && key[3] == NAME_ACCOUNTS;
    default:
        return false;
    }
}

static bool is_slot(const struct rf_elements *e)
{
    return e->scan.depth == 3 && e->key[1] == NAME_RESULT && e->key[2] == NAME_CONTEXT &&
           e->key[3] == NAME_SLOT;
}

static void take_outside(struct rf_elements *e, struct piece *p, enum rf_tok tok)
{
    uint32_t depth = e->scan.depth;
    switch (tok) {
    case RF_TOK_KEY:
        keep_rest(e, p, p->pos);
        if (!e->too_big && !e->no_memory)
            e->key[depth] = (uint8_t)read_name(e);
        break;
    case RF_TOK_NUMBER:
        if (!is_slot(e))
            break;
        keep_rest(e, p, p->pos);
        if (!e->too_big && !e->no_memory)
            e->context_slot = read_slot(e);
        break;
    case RF_TOK_ARRAY:
    case RF_TOK_OBJECT:
        if (tok == RF_TOK_ARRAY && is_wanted(e)) {
            keep_rest(e, p, p->pos);
            e->has_array = true;
            e->inside = depth;
        } else if (depth <= NAMES_DEPTH) {
            e->key[depth] = NAME_OTHER; /* an array has no names that would say so */
        }
        break;
    default:
        break;
    }
}

/** The open element ends in front of `end`. @return whether to go on. */
static bool report(struct rf_elements *e, const struct piece *p, size_t end, rf_element_fn fn,
                   void *arg)
{
    struct rpcfan_slice element = {p->data + p->begin, end - p->begin};
    e->open = false;
    if (e->element.len > 0) {
        keep(e, &e->element, element.data, element.len);
        element = (struct rpcfan_slice){e->element.data, e->element.len};
        e->element.len = 0;
    }
    e->too_big |= element.len > e->max;
    if (e->too_big || e->no_memory)
        return true;
    e->n++;
    return fn(arg, element);
}

/** @return whether to go on. */
static bool take_inside(struct rf_elements *e, struct piece *p, enum rf_tok tok, rf_element_fn fn,
                        void *arg)
{
    const struct rf_scan *s = &e->scan;
    if (s->depth < e->inside) {
        e->inside = 0;
        e->left_out = s->start - e->rest.len;
        p->kept = p->pos - 1; /* the bracket stays */
        return true;
    }
    bool ends = tok == RF_TOK_OBJECT_END || tok == RF_TOK_ARRAY_END;
    if (!e->open && !ends) {
        e->open = true;
        p->begin = (size_t)(s->start - p->base);
    }
    if (s->depth > e->inside)
        return true;
    return report(e, p, (size_t)(s->end - p->base), fn, arg);
}

/** Keep of the chunk what a later one will need. */
static void end_chunk(struct rf_elements *e, struct piece *p)
{
    const struct rf_scan *s = &e->scan;
    if (e->bad) {
        /* With the fault itself `rest` is no JSON either, wherever it stood. */
        if (e->inside == 0)
            keep_rest(e, p, e->has_array ? p->pos + 1 : p->len);
        return;
    }
    if (e->inside == 0) {
        keep_rest(e, p, p->pos);
        return;
    }
    if (!e->open && s->depth == e->inside && rf_scan_in_token(s)) {
        e->open = true;
        p->begin = (size_t)(s->start - p->base);
    }
    if (e->open)
        keep(e, &e->element, p->data + p->begin, p->len - p->begin);
}

size_t rf_elements_feed(struct rf_elements *e, const char *chunk, size_t len, rf_element_fn fn,
                        void *arg)
{
    struct piece p = {.data = chunk, .len = len, .base = e->scan.offset};
    if (e->no_memory || e->too_big)
        return len;
    if (e->bad) {
        if (!e->has_array)
            keep_rest(e, &p, len);
        return len;
    }
    if (!e->begun)
        pass_bom(e, &p);
    while (!e->bad && !e->no_memory && !e->too_big) {
        enum rf_tok tok =
            rf_scan_skip(&e->scan, chunk, len, &p.pos, e->inside > 0 ? e->inside : NAMES_DEPTH);
        if (tok == RF_TOK_MORE)
            break;
        if (tok == RF_TOK_ERROR)
            e->bad = true;
        else if (e->inside == 0)
            take_outside(e, &p, tok);
        else if (!take_inside(e, &p, tok, fn, arg))
            return p.pos;
    }
    end_chunk(e, &p);
    return len;
}

void rf_elements_finish(struct rf_elements *e)
{
    e->bad = e->bad || rf_scan_finish(&e->scan, NULL) != RPCFAN_OK;
}
