/* filter.c - reads {"dataSize":N} and {"memcmp":{"offset":N,"bytes":...,"encoding":...}}; any other
 * filter ("tokenAccountState", say) is the node's own affair. */
#include "feed/filter.h"

#include <string.h>

#include "base/base58.h"
#include "base/base64.h"
#include "json/scan.h"
#include "json/walk.h"

static bool inside(struct rpcfan_slice s, struct rpcfan_slice *out)
{
    if (s.len < 2 || s.data[0] != '"')
        return false;
    *out = (struct rpcfan_slice){s.data + 1, s.len - 2};
    return true;
}

static bool is(struct rpcfan_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

/* Bytes as an array of numbers. */
static bool read_array(struct rpcfan_slice json, struct rf_filter *f)
{
    struct rf_walk w;
    struct rpcfan_slice value;
    uint64_t byte;
    if (!rf_walk_enter(&w, json, '['))
        return false;
    while (rf_walk_element(&w, &value)) {
        if (f->len == RF_FILTER_BYTES || !rf_walk_number(value, &byte) || byte > 255)
            return false;
        f->bytes[f->len++] = (uint8_t)byte;
    }
    return true;
}

static bool read_bytes(struct rpcfan_slice json, struct rpcfan_slice encoding, struct rf_filter *f)
{
    struct rpcfan_slice text;
    if (!inside(json, &text))
        return read_array(json, f);
    if (is(encoding, "\"base64\""))
        return rf_base64_decode(text.data, text.len, f->bytes, sizeof f->bytes, &f->len);
    if (encoding.len != 0 && !is(encoding, "\"base58\"") && !is(encoding, "null"))
        return false;
    return rf_base58_decode(text.data, text.len, f->bytes, sizeof f->bytes, &f->len);
}

static bool read_memcmp(struct rpcfan_slice json, struct rf_filter *f)
{
    struct rpcfan_slice offset, bytes, encoding = {0};
    f->kind = RF_FILTER_BYTES_AT;
    (void)RF_WALK_MEMBER(json, "encoding", &encoding);
    return RF_WALK_MEMBER(json, "offset", &offset) && rf_walk_number(offset, &f->size) &&
           RF_WALK_MEMBER(json, "bytes", &bytes) && read_bytes(bytes, encoding, f);
}

static bool read_filter(struct rpcfan_slice json, struct rf_filter *f)
{
    struct rpcfan_slice value;
    *f = (struct rf_filter){.kind = RF_FILTER_OTHER};
    if (RF_WALK_MEMBER(json, "dataSize", &value)) {
        f->kind = RF_FILTER_SIZE;
        return rf_walk_number(value, &f->size);
    }
    if (RF_WALK_MEMBER(json, "memcmp", &value))
        return read_memcmp(value, f);
    return json.len > 0 && (json.data[0] == '{' || json.data[0] == '"');
}

enum rpcfan_err rf_filters_read(struct rpcfan_slice json, struct rf_filters *out,
                                struct rpcfan_error *err)
{
    struct rf_walk w;
    struct rpcfan_slice value;
    *out = (struct rf_filters){0};
    if (rf_json_check(json.data, json.len, 16, NULL) != RPCFAN_OK || !rf_walk_enter(&w, json, '['))
        return rf_fail(err, RPCFAN_EINVAL,
                       "filters must be a JSON array, such as "
                       "[{\"dataSize\":165}]");
    while (rf_walk_element(&w, &value)) {
        if (out->n == RF_FILTERS)
            return rf_fail(err, RPCFAN_EINVAL, "nodes take %d filters at most", RF_FILTERS);
        if (!read_filter(value, &out->at[out->n]))
            return rf_fail(err, RPCFAN_EINVAL,
                           "filter %u: it must be {\"dataSize\":N} or {\"memcmp\":{\"offset\":N,"
                           "\"bytes\":\"...\"}} with %d bytes at most",
                           out->n + 1, RF_FILTER_BYTES);
        out->bytes = out->bytes || out->at[out->n].kind == RF_FILTER_BYTES_AT;
        out->n++;
    }
    return RPCFAN_OK;
}

static bool matches(const struct rf_filter *f, const struct rf_content *c)
{
    uint8_t bytes[RF_FILTER_BYTES];
    switch (f->kind) {
    case RF_FILTER_SIZE:
        return c->zstd ? !c->has_space || c->space == f->size : rf_content_len(c) == f->size;
    case RF_FILTER_BYTES_AT:
        return c->zstd || (rf_content_bytes(c, f->size, f->len, bytes) == f->len &&
                           memcmp(bytes, f->bytes, f->len) == 0);
    default:
        return true;
    }
}

bool rf_filters_match(const struct rf_filters *fs, const struct rf_content *c)
{
    for (uint32_t i = 0; i < fs->n; i++) {
        if (!matches(&fs->at[i], c))
            return false;
    }
    return true;
}
