/* node_damage.c - spoiling a finished answer: its ids, its members, its text, its coding. Called by
 * node_rpc.c. Each function reads `work.body` and leaves the spoilt one there. */
#include <string.h>
#include <zlib.h>

#include "base/mem.h"
#include "sim/node_int.h"

#define UNKNOWN_ID UINT64_C(4503599627370000) /* far from anything a client counts up to */

static void swap_body(struct rf_node_work *w)
{
    struct rf_buf old = w->body;
    w->body = w->spare;
    w->spare = old;
}

void rf_node_damage_id(struct rf_node *node, struct rpcfan_slice id)
{
    struct rf_node_work *w = &node->work;
    const struct rf_node_fault *f = w->fault[RF_LAYER_SHAPE];
    bool number = id.len > 0 && id.data[0] != '"' && id.data[0] != 'n';
    switch (f->ids) {
    case RF_IDS_WRONG:
        rf_buf_u64(&w->body, UNKNOWN_ID + rf_rng_below(&node->conf->rng, 9999));
        break;
    case RF_IDS_STRING:
        if (number)
            rf_buf_char(&w->body, '"');
        rf_buf_add(&w->body, id.data, id.len);
        if (number)
            rf_buf_char(&w->body, '"');
        break;
    case RF_IDS_FLOAT:
        rf_buf_add(&w->body, id.data, id.len);
        if (number && memchr(id.data, '.', id.len) == NULL && memchr(id.data, 'e', id.len) == NULL)
            rf_buf_str(&w->body, ".0");
        break;
    case RF_IDS_NULL:
    case RF_IDS_NONE: /* handled by the writer: there is no member to fill */
        rf_buf_str(&w->body, "null");
        break;
    }
}

/* Members that have an answer, moved to the front of the array. @return how many. */
static unsigned gather(struct rf_node_work *w)
{
    unsigned n = 0;
    for (unsigned i = 0; i < w->n; i++) {
        if (w->member[i].len == 0)
            continue;
        struct rf_node_member m = w->member[i];
        w->member[i] = w->member[n];
        w->member[n++] = m;
    }
    return n;
}

static void exchange(struct rf_node_member *a, struct rf_node_member *b)
{
    struct rf_node_member m = *a;
    *a = *b;
    *b = m;
}

/* Sattolo's cyclic permutation: no member keeps its place, unless it is alone. */
static void shuffle(struct rf_node_work *w, unsigned n, struct rf_rng *rng)
{
    for (unsigned i = n; i > 1; i--)
        exchange(&w->member[i - 1], &w->member[rf_rng_below(rng, i - 1)]);
}

static void copy_member(struct rf_node_work *w, unsigned i, bool comma)
{
    if (comma)
        rf_buf_char(&w->spare, ',');
    rf_buf_add(&w->spare, w->body.data + w->member[i].at, w->member[i].len);
}

void rf_node_damage_shape(struct rf_node *node)
{
    struct rf_node_work *w = &node->work;
    const struct rf_node_fault *f = w->fault[RF_LAYER_SHAPE];
    struct rf_rng *rng = &node->conf->rng;
    unsigned n = gather(w), first = 0;
    if (n == 0 || f->kind == RF_FAULT_IDS)
        return;
    rf_buf_reset(&w->spare, RF_NODE_KEEP);
    if (f->kind == RF_FAULT_SHUFFLE)
        shuffle(w, n, rng);
    if (f->kind == RF_FAULT_MISSING || f->kind == RF_FAULT_DUPLICATE)
        for (uint64_t k = 0; k < f->n && k < n; k++) /* the victims come first */
            exchange(&w->member[k], &w->member[k + rf_rng_below(rng, n - k)]);
    if (f->kind == RF_FAULT_MISSING)
        first = (unsigned)rf_min_u64(f->n, n);
    if (f->kind == RF_FAULT_EMPTY_ARRAY)
        first = n;
    if (f->kind == RF_FAULT_OBJECT) {
        copy_member(w, 0, false);
        swap_body(w);
        return;
    }
    rf_buf_char(&w->spare, '[');
    for (unsigned i = first; i < n; i++)
        copy_member(w, i, i > first);
    for (uint64_t k = 0; f->kind == RF_FAULT_DUPLICATE && k < f->n && k < n; k++)
        copy_member(w, (unsigned)k, true);
    for (uint64_t k = 0; f->kind == RF_FAULT_EXTRA && k < f->n; k++)
        rf_buf_printf(&w->spare, ",{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":\"0xdead\"}",
                      (unsigned long long)(UNKNOWN_ID + k));
    rf_buf_char(&w->spare, ']');
    swap_body(w);
}

static void indent(struct rf_buf *out, uint32_t depth)
{
    rf_buf_char(out, '\n');
    for (uint32_t i = 0; i < depth; i++)
        rf_buf_str(out, "  ");
}

/* Every kind of whitespace JSON allows, in the ways that pretty printers put it. */
static void pretty(struct rf_node_work *w)
{
    struct rf_scan s;
    size_t pos = 0;
    bool fresh = true, value_next = false;
    struct rf_buf *out = &w->spare;
    rf_scan_init(&s, RF_SCAN_DEPTH);
    rf_buf_str(out, " \r\n\t");
    for (;;) {
        enum rf_tok tok = rf_scan_next(&s, w->body.data, w->body.len, &pos);
        if (tok == RF_TOK_MORE || tok == RF_TOK_ERROR)
            break;
        bool end = tok == RF_TOK_OBJECT_END || tok == RF_TOK_ARRAY_END;
        bool open = tok == RF_TOK_OBJECT || tok == RF_TOK_ARRAY;
        if (!end && !value_next && !fresh)
            rf_buf_char(out, ',');
        if (!value_next && !(end && fresh))
            indent(out, s.depth - (open ? 1 : 0));
        rf_buf_add(out, w->body.data + s.start, (size_t)(s.end - s.start));
        if (tok == RF_TOK_KEY)
            rf_buf_str(out, " :\t");
        value_next = tok == RF_TOK_KEY;
        fresh = open;
    }
    rf_buf_str(out, "\r\n \n");
}

void rf_node_damage_form(struct rf_node *node)
{
    struct rf_node_work *w = &node->work;
    size_t len = w->body.len;
    if (len == 0)
        return;
    rf_buf_reset(&w->spare, RF_NODE_KEEP);
    switch (w->fault[RF_LAYER_FORM]->kind) {
    case RF_FAULT_INVALID_JSON:
        rf_buf_add(&w->spare, w->body.data, len - 1);
        rf_buf_str(&w->spare, ",,");
        rf_buf_add(&w->spare, w->body.data + len - 1, 1);
        break;
    case RF_FAULT_INVALID_UTF8: {
        /* Into the first string: behind the first quote. */
        const char *quote = memchr(w->body.data, '"', len);
        size_t at = quote == NULL ? len : (size_t)(quote - w->body.data) + 1;
        rf_buf_add(&w->spare, w->body.data, at);
        rf_buf_str(&w->spare, "\xc3\x28\xff");
        rf_buf_add(&w->spare, w->body.data + at, len - at);
        break;
    }
    case RF_FAULT_BOM:
        rf_buf_str(&w->spare, "\xef\xbb\xbf");
        rf_buf_add(&w->spare, w->body.data, len);
        break;
    case RF_FAULT_PRETTY:
        pretty(w);
        break;
    default: /* RF_FAULT_EMPTY */
        break;
    }
    swap_body(w);
}

static voidpf zlib_alloc(voidpf opaque, uInt items, uInt size)
{
    (void)opaque;
    return rf_alloc((size_t)items * size);
}

static void zlib_free(voidpf opaque, voidpf address)
{
    (void)opaque;
    rf_free(address);
}

void rf_node_damage_coding(struct rf_node *node)
{
    struct rf_node_work *w = &node->work;
    bool gzip = w->fault[RF_LAYER_CODING]->kind == RF_FAULT_GZIP;
    z_stream z = {.zalloc = zlib_alloc, .zfree = zlib_free};
    if (w->body.len > UINT32_MAX / 2 ||
        deflateInit2(&z, 6, Z_DEFLATED, gzip ? 31 : 15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return; /* sent as it is, which the client must take as well */
    rf_buf_reset(&w->spare, RF_NODE_KEEP);
    if (rf_buf_reserve(&w->spare, deflateBound(&z, w->body.len))) {
        z.next_in = (Bytef *)w->body.data;
        z.avail_in = (uInt)w->body.len;
        z.next_out = (Bytef *)w->spare.data;
        z.avail_out = (uInt)w->spare.cap;
        if (deflate(&z, Z_FINISH) == Z_STREAM_END) {
            w->spare.len = z.total_out;
            w->coding = gzip ? "gzip" : "deflate";
            swap_body(w);
        }
    }
    deflateEnd(&z);
}
