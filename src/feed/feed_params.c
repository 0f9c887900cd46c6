/* feed_params.c - writes the parameters of the feed's calls and subscriptions, always with encoding
 * and commitment: what nodes take by default differs between HTTP and WebSocket. */
#include <string.h>

#include "base/base58.h"
#include "base/pubkey.h"
#include "feed/feed_int.h"

#define SHARDS 256 /* by the first byte of the data; one more has none */

static struct rpcfan_slice done(struct rf_buf *b)
{
    return b->failed ? (struct rpcfan_slice){0} : (struct rpcfan_slice){b->data, b->len};
}

static void add_key(struct rf_buf *b, const uint8_t key[32])
{
    char text[RF_PUBKEY_TEXT];
    rf_buf_char(b, '"');
    rf_buf_add(b, text, rf_pubkey_encode(key, text));
    rf_buf_char(b, '"');
}

static struct rf_buf *begin(struct rf_feed *f)
{
    rf_buf_reset(&f->params, 64 << 10);
    rf_buf_char(&f->params, '[');
    return &f->params;
}

/* {"encoding":"base64","commitment":"confirmed" without its end. */
static void add_options(struct rf_buf *b, const struct rf_feed *f, const char *commitment)
{
    rf_buf_printf(b, "{\"encoding\":\"%s\",\"commitment\":\"%s\"", f->encoding_text, commitment);
}

static void add_number(struct rf_buf *b, const char *name, uint64_t v)
{
    rf_buf_printf(b, ",\"%s\":", name);
    rf_buf_u64(b, v);
}

struct rpcfan_slice rf_feed_params_sub(struct rf_feed *f, uint32_t number, const char *commitment)
{
    struct rf_buf *b = begin(f);
    add_key(b, number == RF_KEY_NONE ? f->program_key : rf_keys_at(&f->keys, number)->key);
    rf_buf_char(b, ',');
    add_options(b, f, commitment);
    if (number == RF_KEY_NONE && f->filter.n > 0) {
        rf_buf_str(b, ",\"filters\":");
        rf_buf_str(b, f->filters);
    }
    rf_buf_str(b, "}]");
    return done(b);
}

struct rpcfan_slice rf_feed_params_accounts(struct rf_feed *f, const struct rf_feed_read *r)
{
    struct rf_buf *b = begin(f);
    rf_buf_char(b, '[');
    for (uint32_t i = 0; i < r->n; i++) {
        if (i > 0)
            rf_buf_char(b, ',');
        add_key(b, rf_keys_at(&f->keys, r->number[i])->key);
    }
    rf_buf_str(b, "],");
    add_options(b, f, f->commitment_text);
    add_number(b, "minContextSlot", r->floor);
    rf_buf_str(b, "}]");
    return done(b);
}

struct rpcfan_slice rf_feed_params_slot(struct rf_feed *f)
{
    struct rf_buf *b = begin(f);
    rf_buf_printf(b, "{\"commitment\":\"%s\"}]", f->commitment_text);
    return done(b);
}

static bool by_shard(const struct rf_feed_walk *w)
{
    return w->mode == RF_FEED_SHARDS || w->mode == RF_FEED_SHARD_KEYS;
}

/* The user's filters, and the shard's. */
static void add_filters(struct rf_buf *b, const struct rf_feed *f)
{
    const struct rf_feed_walk *w = &f->walk;
    if (f->filter.n == 0 && !by_shard(w))
        return;
    rf_buf_str(b, ",\"filters\":");
    if (!by_shard(w)) {
        rf_buf_str(b, f->filters);
        return;
    }
    rf_buf_char(b, '[');
    if (f->filter.n > 0) { /* what stands between the brackets */
        const char *open = strchr(f->filters, '['), *close = strrchr(f->filters, ']');
        rf_buf_add(b, open + 1, (size_t)(close - open - 1));
        rf_buf_char(b, ',');
    }
    if (w->shard == SHARDS) {
        rf_buf_str(b, "{\"dataSize\":0}]");
        return;
    }
    uint8_t byte = (uint8_t)w->shard;
    char text[RF_BASE58_LEN(1)];
    rf_buf_str(b, "{\"memcmp\":{\"offset\":0,\"bytes\":\"");
    rf_buf_add(b, text, rf_base58_encode(&byte, 1, text));
    rf_buf_str(b, "\"}}]");
}

struct rpcfan_slice rf_feed_params_walk(struct rf_feed *f)
{
    const struct rf_feed_walk *w = &f->walk;
    struct rf_buf *b = begin(f);
    add_key(b, f->program_key);
    rf_buf_char(b, ',');
    add_options(b, f, f->commitment_text);
    rf_buf_str(b, ",\"withContext\":true");
    add_number(b, "minContextSlot", w->floor);
    if (w->mode == RF_FEED_PAGES) {
        add_number(b, "limit", w->limit);
        if (w->cursor.len > 0) {
            rf_buf_str(b, ",\"paginationKey\":");
            rf_buf_add(b, w->cursor.data, w->cursor.len);
        }
        if (w->since_slot > 0)
            add_number(b, "changedSinceSlot", w->since_slot);
    } else {
        rf_buf_str(b, ",\"sortResults\":false");
    }
    if (w->diff || w->second || w->mode == RF_FEED_KEYS || w->mode == RF_FEED_SHARD_KEYS)
        rf_buf_str(b, ",\"dataSlice\":{\"offset\":0,\"length\":0}");
    add_filters(b, f);
    rf_buf_str(b, "}]");
    return done(b);
}
