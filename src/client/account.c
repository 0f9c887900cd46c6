/* account.c - rpcfan_account_read(): an account object as nodes write it, decoded. One pass of the
 * scanner finds the members; the data are decoded once all are known, straight into the caller's
 * buffer. Called by applications and by the index, on their own threads; touches nothing else.
 *
 * Happy path: ["<base64>","base64"] is decoded without a copy.
 * Failure modes: a member that is absent, twice or of another type, a number over 64 bits, an
 * unknown encoding, letters that are none, data cut short, and the text "error: data too large for
 * bs58 encoding" that nodes put in the place of data are all RPCFAN_EMALFORMED: no wrong state
 * comes out. More data than the caller allows, also once decompressed, are RPCFAN_ETOOBIG before
 * they are held. */
#include <string.h>

#include <zstd.h>
#include <zstd_errors.h>

#include "base/base58.h"
#include "base/base64.h"
#include "base/mem.h"
#include "base/pubkey.h"
#include "json/rpc.h"
#include "rpcfan/feed.h"

/* The longest member's name, with each letter written as \uXXXX. */
#define NAME_RAW_MAX 60
/* Caps from here on say nothing about what compressed data may come to. */
#define MAX_KNOWN (UINT64_C(1) << 40)
/* For the header and the checksum of a frame. */
#define FRAME_SPARE 64

enum member { LAMPORTS, OWNER, DATA, EXECUTABLE, RENT_EPOCH, SPACE, MEMBERS, UNKNOWN = MEMBERS };
enum { NEEDED = 1 << LAMPORTS | 1 << OWNER | 1 << DATA };

/* A string of the text, between its quotes. */
struct text {
    struct rpcfan_slice raw;
    bool escaped;
};

/* The object being read. */
struct reader {
    struct rf_scan scan;
    struct rpcfan_slice json;
    size_t pos;
    struct text data, encoding; /* encoding.raw.data NULL: `data` is a bare string, base58 */
    uint64_t max;
    struct rpcfan_buffer *buf;
    struct rpcfan_account *out;
};

static enum rf_tok next(struct reader *r)
{
    return rf_scan_next(&r->scan, r->json.data, r->json.len, &r->pos);
}

static struct text string_of(const struct reader *r)
{
    const struct rf_scan *s = &r->scan;
    return (struct text){{r->json.data + s->start + 1, (size_t)(s->end - s->start) - 2},
                         s->escaped};
}

static enum member member_of(struct text name)
{
    static const char *const names[MEMBERS] = {"lamports",   "owner",     "data",
                                               "executable", "rentEpoch", "space"};
    char plain[NAME_RAW_MAX];
    const char *s = name.raw.data;
    size_t n = name.raw.len;
    if (name.escaped) {
        if (n > sizeof plain)
            return UNKNOWN;
        n = rf_json_unescape_to(s, n, plain);
        s = plain;
    }
    for (int i = 0; i < MEMBERS; i++) {
        if (strlen(names[i]) == n && memcmp(names[i], s, n) == 0)
            return (enum member)i;
    }
    return UNKNOWN;
}

/* @param saturate  a number over 64 bits is the largest of 64 bits. */
static enum rpcfan_err read_number(struct reader *r, uint64_t *v, bool saturate)
{
    const char *p = r->json.data + r->scan.start, *end = r->json.data + r->scan.end;
    if (!r->scan.integer || *p == '-')
        return RPCFAN_EMALFORMED;
    for (*v = 0; p < end; p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (*v > (UINT64_MAX - digit) / 10) {
            *v = UINT64_MAX;
            return saturate ? RPCFAN_OK : RPCFAN_EMALFORMED;
        }
        *v = *v * 10 + digit;
    }
    return RPCFAN_OK;
}

static enum rpcfan_err read_owner(struct reader *r)
{
    struct text t = string_of(r);
    bool ok = !t.escaped && rf_pubkey_decode(t.raw.data, t.raw.len, r->out->owner);
    return ok ? RPCFAN_OK : RPCFAN_EMALFORMED;
}

/* "TEXT", or ["TEXT","ENCODING"]; `tok` is its first token. */
static enum rpcfan_err read_data(struct reader *r, enum rf_tok tok)
{
    if (tok == RF_TOK_STRING) {
        r->data = string_of(r);
        return RPCFAN_OK;
    }
    if (tok != RF_TOK_ARRAY || next(r) != RF_TOK_STRING)
        return RPCFAN_EMALFORMED;
    r->data = string_of(r);
    if (next(r) != RF_TOK_STRING)
        return RPCFAN_EMALFORMED;
    r->encoding = string_of(r);
    return next(r) == RF_TOK_ARRAY_END ? RPCFAN_OK : RPCFAN_EMALFORMED;
}

static enum rpcfan_err read_value(struct reader *r, enum member m, enum rf_tok tok)
{
    switch (m) {
    case LAMPORTS:
        return tok == RF_TOK_NUMBER ? read_number(r, &r->out->lamports, false) : RPCFAN_EMALFORMED;
    case SPACE:
        return tok == RF_TOK_NUMBER ? read_number(r, &r->out->space, false) : RPCFAN_EMALFORMED;
    case RENT_EPOCH:
        /* Proxies that read numbers as doubles make 18446744073709552000 of 2^64 - 1. */
        return tok == RF_TOK_NUMBER ? read_number(r, &r->out->rent_epoch, true) : RPCFAN_EMALFORMED;
    case OWNER:
        return tok == RF_TOK_STRING ? read_owner(r) : RPCFAN_EMALFORMED;
    case EXECUTABLE:
        r->out->executable = tok == RF_TOK_TRUE;
        return tok == RF_TOK_TRUE || tok == RF_TOK_FALSE ? RPCFAN_OK : RPCFAN_EMALFORMED;
    case DATA:
        return read_data(r, tok);
    default:
        if (tok == RF_TOK_OBJECT || tok == RF_TOK_ARRAY)
            tok = rf_scan_skip(&r->scan, r->json.data, r->json.len, &r->pos, 1);
        return tok != RF_TOK_ERROR && tok != RF_TOK_MORE ? RPCFAN_OK : RPCFAN_EMALFORMED;
    }
}

static enum rpcfan_err read_object(struct reader *r)
{
    unsigned seen = 0;
    enum rf_tok tok;
    rf_scan_init(&r->scan, RF_SCAN_DEPTH);
    if (next(r) != RF_TOK_OBJECT)
        return RPCFAN_EMALFORMED;
    while ((tok = next(r)) == RF_TOK_KEY) {
        enum member m = member_of(string_of(r));
        unsigned bit = m == UNKNOWN ? 0 : 1u << m;
        if ((seen & bit) != 0 || read_value(r, m, next(r)) != RPCFAN_OK)
            return RPCFAN_EMALFORMED;
        seen |= bit;
    }
    if (tok != RF_TOK_OBJECT_END || (seen & NEEDED) != NEEDED)
        return RPCFAN_EMALFORMED;
    if (next(r) != RF_TOK_MORE || rf_scan_finish(&r->scan, NULL) != RPCFAN_OK)
        return RPCFAN_EMALFORMED;
    if ((seen & 1u << SPACE) == 0) /* older nodes: of the data, once they are decoded */
        r->out->space = UINT64_MAX;
    return RPCFAN_OK;
}

/* Room for `n` bytes; what the buffer held is lost. */
static enum rpcfan_err make_room(struct rpcfan_buffer *buf, size_t n)
{
    if (buf->cap >= n)
        return RPCFAN_OK;
    size_t cap = buf->cap > n / 2 ? buf->cap * 2 : n;
    uint8_t *data = rf_alloc(cap);
    if (data == NULL)
        return RPCFAN_ENOMEM;
    rf_free(buf->data);
    buf->data = data;
    buf->cap = cap;
    return RPCFAN_OK;
}

/* The bytes that `len` letters of Base64 make at most. */
static size_t base64_bytes(size_t len)
{
    return len / 4 * 3;
}

/* Base64 may be written with \/ for /. The text without escapes stands at the end of the buffer
 * then, behind `room` bytes. */
static enum rpcfan_err plain_base64(struct reader *r, size_t room, struct rpcfan_slice *text)
{
    *text = r->data.raw;
    if (!r->data.escaped)
        return make_room(r->buf, room);
    enum rpcfan_err rc = make_room(r->buf, room + text->len);
    if (rc != RPCFAN_OK)
        return rc;
    char *copy = (char *)r->buf->data + r->buf->cap - text->len;
    text->len = rf_json_unescape_to(text->data, text->len, copy);
    text->data = copy;
    return RPCFAN_OK;
}

static enum rpcfan_err decode_base64(struct reader *r)
{
    struct rpcfan_slice text;
    /* Two letters of padding may make it two bytes less. */
    if (!r->data.escaped && base64_bytes(r->data.raw.len) > rf_time_add(r->max, 2))
        return RPCFAN_ETOOBIG;
    enum rpcfan_err rc = plain_base64(r, base64_bytes(r->data.raw.len), &text);
    if (rc != RPCFAN_OK)
        return rc;
    if (!rf_base64_decode(text.data, text.len, r->buf->data, r->buf->cap, &r->out->len))
        return RPCFAN_EMALFORMED;
    return r->out->len <= r->max ? RPCFAN_OK : RPCFAN_ETOOBIG;
}

/* Decompress `from` into the caller's buffer, which has room for `*room` bytes; the frame says how
 * many they are, or the account does, or it is found out. */
static enum rpcfan_err decompress(struct reader *r, ZSTD_DCtx *ctx, const uint8_t *from, size_t n)
{
    unsigned long long told = ZSTD_getFrameContentSize(from, n);
    if (told == ZSTD_CONTENTSIZE_ERROR)
        return RPCFAN_EMALFORMED;
    if (told == ZSTD_CONTENTSIZE_UNKNOWN)
        told = r->out->space <= r->max ? r->out->space : n * 4;
    else if (told > r->max)
        return RPCFAN_ETOOBIG;
    for (uint64_t room = rf_min_u64(told, r->max);; room = rf_min_u64(room * 2 + 1024, r->max)) {
        if (make_room(r->buf, (size_t)room) != RPCFAN_OK)
            return RPCFAN_ENOMEM;
        size_t got = ZSTD_decompressDCtx(ctx, r->buf->data, (size_t)room, from, n);
        if (ZSTD_isError(got) == 0) {
            r->out->len = got;
            return RPCFAN_OK;
        }
        ZSTD_ErrorCode code = ZSTD_getErrorCode(got);
        if (code != ZSTD_error_dstSize_tooSmall)
            return code == ZSTD_error_memory_allocation ? RPCFAN_ENOMEM : RPCFAN_EMALFORMED;
        if (room >= r->max)
            return RPCFAN_ETOOBIG;
    }
}

static enum rpcfan_err decode_zstd(struct reader *r)
{
    struct rpcfan_buffer packed = {0}, *mine = r->buf;
    struct rpcfan_slice text;
    ZSTD_DCtx *ctx = NULL;
    size_t n;
    if (!r->data.escaped && r->max < MAX_KNOWN &&
        base64_bytes(r->data.raw.len) > ZSTD_compressBound((size_t)r->max) + FRAME_SPARE)
        return RPCFAN_ETOOBIG; /* not even what cannot be compressed grows so much */
    r->buf = &packed;
    enum rpcfan_err rc = plain_base64(r, base64_bytes(r->data.raw.len), &text);
    r->buf = mine;
    if (rc == RPCFAN_OK && !rf_base64_decode(text.data, text.len, packed.data, packed.cap, &n))
        rc = RPCFAN_EMALFORMED;
    if (rc == RPCFAN_OK && (ctx = ZSTD_createDCtx()) == NULL)
        rc = RPCFAN_ENOMEM;
    if (rc == RPCFAN_OK)
        rc = n == 0 ? RPCFAN_OK : decompress(r, ctx, packed.data, n);
    ZSTD_freeDCtx(ctx);
    rf_free(packed.data);
    return rc;
}

static enum rpcfan_err decode_base58(struct reader *r)
{
    size_t most = rf_min_u64(r->data.raw.len, RF_BASE58_BYTES_MAX);
    enum rpcfan_err rc = make_room(r->buf, most);
    if (rc != RPCFAN_OK)
        return rc;
    if (r->data.escaped ||
        !rf_base58_decode(r->data.raw.data, r->data.raw.len, r->buf->data, most, &r->out->len))
        return RPCFAN_EMALFORMED;
    return r->out->len <= r->max ? RPCFAN_OK : RPCFAN_ETOOBIG;
}

static bool encoding_is(const struct reader *r, const char *name)
{
    const struct text *e = &r->encoding;
    return !e->escaped && e->raw.len == strlen(name) && memcmp(e->raw.data, name, e->raw.len) == 0;
}

enum rpcfan_err rpcfan_account_read(struct rpcfan_slice json, size_t max, struct rpcfan_buffer *buf,
                                    struct rpcfan_account *out)
{
    struct reader r = {.json = json, .max = max, .buf = buf, .out = out};
    *out = (struct rpcfan_account){0};
    enum rpcfan_err rc = read_object(&r);
    if (rc != RPCFAN_OK)
        return rc;
    if (r.encoding.raw.data == NULL || encoding_is(&r, "base58"))
        rc = decode_base58(&r);
    else if (encoding_is(&r, "base64"))
        rc = decode_base64(&r);
    else if (encoding_is(&r, "base64+zstd"))
        rc = decode_zstd(&r);
    else
        rc = RPCFAN_EMALFORMED;
    out->data = buf->data;
    if (out->space == UINT64_MAX)
        out->space = out->len;
    return rc;
}
