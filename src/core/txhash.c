/* txhash.c - the hash of a raw transaction of Ethereum, the first signature of one of Solana.
 *
 * Ethereum: the bytes are hashed as they stand, whatever the type. The one exception is a blob
 * transaction with its blobs, which is 0x03 and the list [transaction, blobs, ...], and whose hash
 * is that of 0x03 and the transaction. It is known by its first item being a list; in the bare form
 * that item is the chain's number.
 *
 * Solana: the number of signatures in 7-bit groups, the lowest first, then 64 bytes each. */
#include "core/txhash.h"

#include <string.h>

#include "base/base58.h"
#include "base/base64.h"
#include "base/keccak.h"
#include "json/rpc.h"

#define BLOB_TYPE 0x03
#define SIGNATURE_BYTES 64
#define TX_BYTES_MAX 4096
#define TX_TEXT_MAX 8192

/* Begin a scan of params. @return the first token inside of the array, or RF_TOK_ERROR. */
static enum rf_tok first_element(struct rf_scan *s, struct rpcfan_slice params, size_t *pos)
{
    *pos = 0;
    rf_scan_init(s, RF_SCAN_DEPTH);
    if (rf_scan_next(s, params.data, params.len, pos) != RF_TOK_ARRAY)
        return RF_TOK_ERROR;
    return rf_scan_next(s, params.data, params.len, pos);
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The bytes of a hex text, which has been checked. */
static uint8_t byte_at(const char *hex, size_t i)
{
    return (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
}

/* The head of a list in RLP at byte `*at` of `n`: steps over it. @return false where there is no
 * list, or it does not fit. */
static bool enter_list(const char *hex, size_t *at, size_t n, size_t *payload)
{
    if (*at >= n)
        return false;
    uint8_t first = byte_at(hex, (*at)++);
    if (first < 0xc0)
        return false;
    *payload = first - 0xc0u;
    if (first >= 0xf8) {
        size_t bytes = first - 0xf7u;
        *payload = 0;
        if (bytes > 4 || bytes > n - *at)
            return false;
        for (; bytes > 0; bytes--)
            *payload = *payload << 8 | byte_at(hex, (*at)++);
    }
    return *payload <= n - *at;
}

/* The part of a blob transaction that is hashed behind the type. @return false where it cannot be
 * read. */
static bool find_blob_body(const char *hex, size_t n, size_t *from, size_t *to)
{
    size_t at = 1, payload;
    if (!enter_list(hex, &at, n, &payload) || payload == 0)
        return false;
    size_t inner = at;
    if (byte_at(hex, at) < 0xc0)
        return true; /* the bare form: all of it */
    if (!enter_list(hex, &inner, at + payload, &payload))
        return false;
    *from = at;
    *to = inner + payload;
    return true;
}

static void add_bytes(struct rf_keccak *k, const char *hex, size_t from, size_t to)
{
    uint8_t chunk[256];
    size_t n = 0;
    for (size_t i = from; i < to; i++) {
        chunk[n++] = byte_at(hex, i);
        if (n == sizeof chunk || i + 1 == to) {
            rf_keccak_add(k, chunk, n);
            n = 0;
        }
    }
}

bool rf_tx_hash(struct rpcfan_slice params, char out[RF_TX_HASH_LEN])
{
    static const char digits[] = "0123456789abcdef";
    struct rf_scan s;
    size_t pos;
    if (first_element(&s, params, &pos) != RF_TOK_STRING || s.escaped)
        return false;
    const char *hex = params.data + s.start + 3;
    size_t len = (size_t)(s.end - s.start);
    if (len < 6 || len % 2 != 0 || hex[-2] != '0' || hex[-1] != 'x') /* quotes, 0x, a byte */
        return false;
    size_t n = (len - 4) / 2, from = 1, to = n;
    for (size_t i = 0; i < 2 * n; i++) {
        if (nibble(hex[i]) < 0)
            return false;
    }
    if (byte_at(hex, 0) == BLOB_TYPE && !find_blob_body(hex, n, &from, &to))
        return false;
    struct rf_keccak k;
    uint8_t hash[RF_KECCAK_BYTES];
    rf_keccak_init(&k, RF_KECCAK_PAD);
    add_bytes(&k, hex, 0, 1);
    add_bytes(&k, hex, from, to);
    rf_keccak_done(&k, hash);
    memcpy(out, "0x", 2);
    for (size_t i = 0; i < sizeof hash; i++) {
        out[2 + 2 * i] = digits[hash[i] >> 4];
        out[3 + 2 * i] = digits[hash[i] & 15];
    }
    out[2 + 2 * sizeof hash] = 0;
    return true;
}

/* A string token with its escapes undone. @return its length, or 0 where it is empty or longer than
 * `cap`. */
static size_t read_string(struct rpcfan_slice params, const struct rf_scan *s, char *out,
                          size_t cap)
{
    size_t len = (size_t)(s->end - s->start) - 2;
    if (len > cap)
        return 0;
    return rf_json_unescape_to(params.data + s->start + 1, len, out);
}

/* Which encoding the options behind the transaction name. @return false where they cannot be read,
 * or name one that is neither. */
static bool read_encoding(struct rpcfan_slice params, struct rf_scan *s, size_t pos, bool *base64)
{
    char text[64];
    bool named = false;
    enum rf_tok tok = rf_scan_next(s, params.data, params.len, &pos);
    *base64 = false;
    if (tok == RF_TOK_ARRAY_END || tok == RF_TOK_NULL)
        return true;
    if (tok != RF_TOK_OBJECT)
        return false;
    while ((tok = rf_scan_skip(s, params.data, params.len, &pos, 2)) > RF_TOK_ERROR) {
        if (tok == RF_TOK_OBJECT_END && s->depth == 1)
            return true;
        if (tok == RF_TOK_KEY) {
            size_t n = read_string(params, s, text, sizeof text);
            named = n == 8 && memcmp(text, "encoding", 8) == 0;
            continue;
        }
        if (named && tok != RF_TOK_NULL) {
            size_t n = tok == RF_TOK_STRING ? read_string(params, s, text, sizeof text) : 0;
            *base64 = n == 6 && memcmp(text, "base64", 6) == 0;
            if (!*base64 && !(n == 6 && memcmp(text, "base58", 6) == 0))
                return false;
        }
        named = false;
    }
    return false;
}

/* The first signature in a transaction. */
static const uint8_t *find_signature(const uint8_t *tx, size_t n)
{
    static const uint8_t unsigned_yet[SIGNATURE_BYTES];
    size_t count = 0, at = 0;
    for (unsigned shift = 0;; shift += 7) {
        if (at == n || at == 3)
            return NULL;
        count |= (size_t)(tx[at] & 0x7f) << shift;
        if ((tx[at++] & 0x80) == 0)
            break;
    }
    if (count == 0 || count > (n - at) / SIGNATURE_BYTES)
        return NULL;
    return memcmp(tx + at, unsigned_yet, SIGNATURE_BYTES) == 0 ? NULL : tx + at;
}

bool rf_tx_signature(struct rpcfan_slice params, char out[RF_TX_SIGNATURE_LEN])
{
    _Static_assert(RF_BASE58_LEN(SIGNATURE_BYTES) < RF_TX_SIGNATURE_LEN, "with the NUL");
    struct rf_scan s;
    char text[TX_TEXT_MAX];
    uint8_t tx[TX_BYTES_MAX];
    size_t pos, n;
    bool base64;
    if (first_element(&s, params, &pos) != RF_TOK_STRING)
        return false;
    size_t len = read_string(params, &s, text, sizeof text);
    if (len == 0 || !read_encoding(params, &s, pos, &base64))
        return false;
    if (base64 ? !rf_base64_decode(text, len, tx, sizeof tx, &n)
               : !rf_base58_decode(text, len, tx, sizeof tx, &n))
        return false;
    const uint8_t *signature = find_signature(tx, n);
    if (signature == NULL)
        return false;
    out[rf_base58_encode(signature, SIGNATURE_BYTES, out)] = 0;
    return true;
}
