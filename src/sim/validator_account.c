/* validator_account.c - an account of the virtual validator: its bytes, which its content seed
 * makes; its JSON, as agave writes it on either way; its hash; and how it is asked for. */
#include <string.h>
#include <zstd.h>

#include "base/base58.h"
#include "base/base64.h"
#include "base/mem.h"
#include "sim/node_methods.h"
#include "sim/validator_int.h"

#define RENT_EPOCH "18446744073709551615"
#define SYSTEM "11111111111111111111111111111111"
#define BASE58_BYTES 128 /* longer data is not written in base58 */
#define BASE58_TOO_LONG "error: data too large for bs58 encoding"

/* Accounts of at least HOLDER_AT + 32 bytes name a holder there, one of HOLDERS, as token accounts
 * name their owner: something to filter by that lasts. The first byte is the group, which some
 * writes change: something to filter by that does not. */
#define HOLDERS 16
#define HOLDER_AT 32
#define GROUP_SHIFT 62

static uint64_t next_word(uint64_t *x)
{
    *x += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *x;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    return z ^ (z >> 27);
}

static void fill(uint64_t seed, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        uint64_t word = next_word(&seed);
        memcpy(out + i, &word, n - i < 8 ? n - i : 8);
    }
}

void rf_vaccount_data(const struct rf_validator *v, uint32_t key, const struct rf_bank_state *s,
                      uint8_t *out)
{
    (void)v;
    fill(rf_vmix(s->content, key), out, s->size);
    if (s->size > 0)
        out[0] = (uint8_t)(s->content >> GROUP_SHIFT);
    if (s->size >= HOLDER_AT + 32)
        fill(rf_vmix(key % HOLDERS, 7), out + HOLDER_AT, 32);
}

static uint64_t hash_bytes(uint64_t h, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        uint64_t word = 0;
        memcpy(&word, p + i, n - i < 8 ? n - i : 8);
        h = (h ^ word) * UINT64_C(0x9fb21c651e98df25);
        h ^= h >> 32;
    }
    return h;
}

/* What is hashed of an account. The rent epoch is the same for all. */
static uint64_t hash_account(uint64_t lamports, const uint8_t owner[32], const uint8_t *data,
                             size_t n)
{
    uint64_t h = hash_bytes(lamports * UINT64_C(0x9e3779b97f4a7c15) + n, owner, 32);
    h = hash_bytes(h, data, n);
    return h == 0 ? 1 : h;
}

/* An account's data in the scratch buffer. @return NULL: out of memory. */
static const uint8_t *data_of(struct rf_validator *v, uint32_t key, const struct rf_bank_state *s)
{
    rf_buf_reset(&v->scratch, SIZE_MAX);
    if (!rf_buf_reserve(&v->scratch, s->size + 8)) {
        v->count.no_memory++;
        return NULL;
    }
    rf_vaccount_data(v, key, s, (uint8_t *)v->scratch.data);
    return (const uint8_t *)v->scratch.data;
}

uint64_t rf_vaccount_hash(struct rf_validator *v, uint32_t key, const struct rf_bank_state *s)
{
    const uint8_t *data = rf_vaccount_there(s) ? data_of(v, key, s) : NULL;
    return data == NULL ? 0 : hash_account(s->lamports, v->owner_id[s->owner], data, s->size);
}

static void put_base64(struct rf_buf *out, const uint8_t *p, size_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (!rf_buf_reserve(out, (n + 2) / 3 * 4))
        return;
    char *to = out->data + out->len;
    for (size_t i = 0; i < n; i += 3, to += 4) {
        uint32_t left = (uint32_t)(n - i), w = (uint32_t)p[i] << 16;
        w |= left > 1 ? (uint32_t)p[i + 1] << 8 : 0;
        w |= left > 2 ? p[i + 2] : 0;
        to[0] = digit[w >> 18];
        to[1] = digit[w >> 12 & 63];
        to[2] = left > 1 ? digit[w >> 6 & 63] : '=';
        to[3] = left > 2 ? digit[w & 63] : '=';
    }
    out->len += (n + 2) / 3 * 4;
}

static void put_zstd(struct rf_buf *out, const uint8_t *p, size_t n)
{
    size_t cap = ZSTD_compressBound(n);
    uint8_t *packed = rf_alloc(cap);
    size_t len = packed == NULL ? 0 : ZSTD_compress(packed, cap, p, n, 1);
    if (packed == NULL || ZSTD_isError(len))
        out->failed = true;
    else
        put_base64(out, packed, len);
    rf_free(packed);
}

/* The data member. @return false: too long for base58. */
static bool put_data(struct rf_buf *out, const uint8_t *p, size_t n, enum rf_vencoding encoding)
{
    char letters[RF_BASE58_LEN(BASE58_BYTES)];
    bool fits = true;
    rf_buf_str(out, encoding == RF_VENC_BINARY ? "\"" : "[\"");
    if (encoding == RF_VENC_BASE64) {
        put_base64(out, p, n);
    } else if (encoding == RF_VENC_ZSTD) {
        put_zstd(out, p, n);
    } else if (n <= BASE58_BYTES) {
        rf_buf_add(out, letters, rf_base58_encode(p, n, letters));
    } else {
        rf_buf_str(out, BASE58_TOO_LONG);
        fits = false;
    }
    rf_buf_str(out, encoding == RF_VENC_BINARY   ? "\""
                    : encoding == RF_VENC_BASE58 ? "\",\"base58\"]"
                    : encoding == RF_VENC_BASE64 ? "\",\"base64\"]"
                                                 : "\",\"base64+zstd\"]");
    return fits;
}

/* The account that a subscription is told of where there is none. */
static void put_default(struct rf_buf *out, enum rf_vencoding encoding)
{
    rf_buf_str(out, "{\"lamports\":0,\"data\":");
    put_data(out, (const uint8_t *)"", 0, encoding);
    rf_buf_str(out, ",\"owner\":\"" SYSTEM "\",\"executable\":false,\"rentEpoch\":0,\"space\":0}");
}

enum rf_vwritten rf_vaccount_json(struct rf_validator *v, uint32_t key,
                                  const struct rf_bank_state *s, const struct rf_vask *ask, bool ws,
                                  struct rf_buf *out)
{
    if (!rf_vaccount_there(s)) {
        if (ws)
            put_default(out, ask->encoding);
        else
            rf_buf_str(out, "null");
        return RF_VWRITTEN_NULL;
    }
    const uint8_t *p = data_of(v, key, s);
    size_t n = p == NULL ? 0 : s->size;
    if (ask->cut.on && !ws) { /* subscriptions take it and ignore it */
        size_t skip = (size_t)rf_min_u64(ask->cut.offset, n);
        p += skip;
        n = (size_t)rf_min_u64(ask->cut.length, n - skip);
    }
    rf_buf_char(out, '{');
    if (ws) {
        rf_buf_str(out, "\"lamports\":");
        rf_buf_u64(out, s->lamports);
        rf_buf_char(out, ',');
    }
    rf_buf_str(out, "\"data\":");
    bool fits = true;
    if (rf_vchance(&v->fault_rng, v->knobs.bad58))
        rf_buf_str(out, "\"" BASE58_TOO_LONG "\"");
    else
        fits = put_data(out, p, n, ask->encoding);
    if (!ws) {
        rf_buf_str(out, ",\"executable\":false,\"lamports\":");
        rf_buf_u64(out, s->lamports);
    }
    rf_buf_str(out, ",\"owner\":\"");
    rf_buf_str(out, v->owner_text[s->owner]);
    rf_buf_str(out, ws ? "\",\"executable\":false,\"rentEpoch\":" RENT_EPOCH ",\"space\":"
                       : "\",\"rentEpoch\":" RENT_EPOCH ",\"space\":");
    rf_buf_u64(out, s->size);
    rf_buf_char(out, '}');
    return fits ? RF_VWRITTEN : RF_VWRITTEN_TOO_LONG;
}

bool rf_vaccount_match(struct rf_validator *v, uint32_t key, const struct rf_bank_state *s,
                       uint16_t owner, const struct rf_vask *ask)
{
    if (!rf_vaccount_there(s) || s->owner != owner)
        return false;
    const uint8_t *data = NULL;
    for (unsigned i = 0; i < ask->n_filters; i++) {
        const struct rf_vfilter *f = &ask->filter[i];
        if (f->by_size) {
            if (f->size != s->size)
                return false;
            continue;
        }
        if (f->offset > s->size || f->n > s->size - f->offset)
            return false;
        data = data == NULL ? data_of(v, key, s) : data;
        if (data == NULL || memcmp(data + f->offset, f->bytes, f->n) != 0)
            return false;
    }
    return true;
}

static struct rpcfan_slice inside(struct rpcfan_slice quoted)
{
    struct rpcfan_slice none = {"", 0};
    if (quoted.len < 2 || quoted.data[0] != '"')
        return none;
    return (struct rpcfan_slice){quoted.data + 1, quoted.len - 2};
}

static bool is_text(struct rpcfan_slice quoted, const char *text)
{
    struct rpcfan_slice s = inside(quoted);
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

bool rf_vkey_read(struct rpcfan_slice json, uint8_t id[32])
{
    struct rpcfan_slice s = inside(json);
    size_t n = 0;
    return s.len >= 32 && s.len <= 44 && rf_base58_decode(s.data, s.len, id, 32, &n) && n == 32;
}

uint16_t rf_vowner_find(const struct rf_validator *v, const uint8_t id[32])
{
    for (uint16_t i = 0; i < RF_VALIDATOR_PROGRAMS + 2; i++)
        if (v->owner_text[i][0] != '\0' && memcmp(v->owner_id[i], id, 32) == 0)
            return i;
    return UINT16_MAX;
}

static const char *read_filter(struct rpcfan_slice json, struct rf_vfilter *f)
{
    struct rpcfan_slice size = rf_node_field(json, "dataSize"), m = rf_node_field(json, "memcmp");
    struct rpcfan_slice bytes = inside(rf_node_field(m, "bytes"));
    if (size.len > 0) {
        f->by_size = true;
        return rf_node_number(size, &f->size) ? NULL : "Invalid params: invalid dataSize";
    }
    if (!rf_node_number(rf_node_field(m, "offset"), &f->offset))
        return "Invalid params: unknown filter";
    bool decoded = is_text(rf_node_field(m, "encoding"), "base64")
                       ? rf_base64_decode(bytes.data, bytes.len, f->bytes, sizeof f->bytes, &f->n)
                       : rf_base58_decode(bytes.data, bytes.len, f->bytes, sizeof f->bytes, &f->n);
    return decoded ? NULL : "Invalid param: encoded binary data should be less than 129 bytes";
}

static const char *read_filters(struct rpcfan_slice json, struct rf_vask *ask)
{
    struct rf_node_items it;
    struct rpcfan_slice one;
    if (json.len == 0 || json.data[0] == 'n')
        return NULL;
    if (!rf_node_items_init(&it, json))
        return "Invalid params: filters must be an array";
    while (rf_node_items_next(&it, &one)) {
        if (ask->n_filters == RF_VFILTERS)
            return "Too many filters provided; max 4";
        const char *bad = read_filter(one, &ask->filter[ask->n_filters++]);
        if (bad != NULL)
            return bad;
    }
    return NULL;
}

bool rf_vask_filters(struct rpcfan_slice filters, struct rf_vask *ask)
{
    *ask = (struct rf_vask){0};
    return read_filters(filters, ask) == NULL;
}

static const char *read_encoding(const struct rf_validator *v, struct rpcfan_slice json,
                                 struct rf_vask *ask)
{
    if (json.len == 0 || json.data[0] == 'n')
        return NULL;
    ask->has_encoding = true;
    if (is_text(json, "base64") ||
        is_text(json, "jsonParsed")) /* no program of ours has a parser */
        ask->encoding = RF_VENC_BASE64;
    else if (is_text(json, "base58"))
        ask->encoding = RF_VENC_BASE58;
    else if (is_text(json, "base64+zstd") && v->knobs.zstd > 0)
        ask->encoding = RF_VENC_ZSTD;
    else if (!is_text(json, "binary"))
        return "Invalid params: unknown variant of encoding";
    return NULL;
}

static const char *read_commitment(struct rpcfan_slice json, struct rf_vask *ask)
{
    if (is_text(json, "processed"))
        ask->commitment = RPCFAN_PROCESSED;
    else if (is_text(json, "confirmed"))
        ask->commitment = RPCFAN_CONFIRMED;
    else if (json.len > 0 && json.data[0] != 'n' && !is_text(json, "finalized"))
        return "Invalid params: unknown variant of commitment";
    return NULL;
}

static bool is_true(struct rpcfan_slice json)
{
    return json.len == 4 && json.data[0] == 't';
}

bool rf_vask_read(const struct rf_validator *v, struct rpcfan_slice config, struct rf_vask *ask,
                  const char **bad)
{
    *ask = (struct rf_vask){.commitment = RPCFAN_FINALIZED};
    if (config.len == 0 || config.data[0] != '{')
        return true;
    struct rpcfan_slice cut = rf_node_field(config, "dataSlice");
    *bad = read_commitment(rf_node_field(config, "commitment"), ask);
    if (*bad == NULL)
        *bad = read_encoding(v, rf_node_field(config, "encoding"), ask);
    if (*bad == NULL)
        *bad = read_filters(rf_node_field(config, "filters"), ask);
    if (cut.len > 0 && cut.data[0] == '{') {
        ask->cut.on = true;
        if (!rf_node_number(rf_node_field(cut, "offset"), &ask->cut.offset) ||
            !rf_node_number(rf_node_field(cut, "length"), &ask->cut.length))
            *bad = "Invalid params: dataSlice wants offset and length";
    }
    ask->with_context = is_true(rf_node_field(config, "withContext"));
    ask->received = is_true(rf_node_field(config, "enableReceivedNotification"));
    rf_node_number(rf_node_field(config, "minContextSlot"), &ask->min_slot);
    rf_node_number(rf_node_field(config, "changedSinceSlot"), &ask->changed_since);
    rf_node_number(rf_node_field(config, "limit"), &ask->limit);
    ask->page = inside(rf_node_field(config, "paginationKey"));
    return *bad == NULL;
}

/* The data of a ["...","encoding"]. @return bytes, owned; NULL: it is none. */
static uint8_t *read_data(struct rpcfan_slice json, uint64_t space, size_t *n)
{
    struct rpcfan_slice text = inside(rf_node_param(json, 0)), kind = rf_node_param(json, 1);
    size_t cap = (size_t)space + 16 + text.len, packed = 0;
    uint8_t *out = cap > SIZE_MAX / 4 ? NULL : rf_alloc(cap);
    bool good = out != NULL;
    if (good && is_text(kind, "base58")) {
        good = rf_base58_decode(text.data, text.len, out, cap, n);
    } else if (good && is_text(kind, "base64+zstd")) {
        uint8_t *raw = rf_alloc(text.len + 1);
        good = raw != NULL && rf_base64_decode(text.data, text.len, raw, text.len, &packed);
        *n = good ? ZSTD_decompress(out, cap, raw, packed) : 0;
        good = good && !ZSTD_isError(*n);
        rf_free(raw);
    } else if (good) {
        good = is_text(kind, "base64") && rf_base64_decode(text.data, text.len, out, cap, n);
    }
    if (good && *n == space)
        return out;
    rf_free(out);
    return NULL;
}

/* The members of an account object. */
struct members {
    struct rpcfan_slice lamports, data, owner, space, epoch, executable;
};

static bool read_members(struct rpcfan_slice json, struct members *m)
{
    const struct {
        const char *name;
        struct rpcfan_slice *at;
    } all[] = {{"\"lamports\"", &m->lamports}, {"\"data\"", &m->data},
               {"\"owner\"", &m->owner},       {"\"space\"", &m->space},
               {"\"rentEpoch\"", &m->epoch},   {"\"executable\"", &m->executable}};
    struct rf_scan s;
    size_t pos = 0;
    rf_scan_init(&s, 8);
    if (json.len == 0 || rf_scan_next(&s, json.data, json.len, &pos) != RF_TOK_OBJECT)
        return false;
    for (;;) {
        enum rf_tok tok = rf_scan_next(&s, json.data, json.len, &pos);
        if (tok != RF_TOK_KEY)
            return tok == RF_TOK_OBJECT_END;
        struct rpcfan_slice name = {json.data + s.start, (size_t)(s.end - s.start)};
        tok = rf_scan_next(&s, json.data, json.len, &pos);
        uint64_t from = s.start;
        if (tok == RF_TOK_ARRAY || tok == RF_TOK_OBJECT)
            tok = rf_scan_skip(&s, json.data, json.len, &pos, 1);
        if (tok == RF_TOK_MORE || tok == RF_TOK_ERROR)
            return false;
        for (size_t i = 0; i < RF_COUNT(all); i++)
            if (strlen(all[i].name) == name.len && memcmp(all[i].name, name.data, name.len) == 0)
                *all[i].at = (struct rpcfan_slice){json.data + from, (size_t)(s.end - from)};
    }
}

bool rf_validator_read(struct rpcfan_slice account, uint64_t *hash)
{
    struct members m = {0};
    uint8_t owner[32], *data = NULL;
    uint64_t lamports = 0, space = 0;
    size_t n = 0;
    if (!read_members(account, &m) || !rf_node_number(m.lamports, &lamports) ||
        !rf_node_number(m.space, &space) || !rf_vkey_read(m.owner, owner) || m.executable.len != 5)
        return false;
    if (lamports > 0 &&
        (m.epoch.len != strlen(RENT_EPOCH) || memcmp(m.epoch.data, RENT_EPOCH, m.epoch.len) != 0))
        return false;
    data = read_data(m.data, space, &n);
    if (data == NULL)
        return false;
    *hash = lamports == 0 ? 0 : hash_account(lamports, owner, data, n);
    rf_free(data);
    return true;
}
