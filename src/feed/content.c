/* content.c - reads account objects. The hash folds products of 128 bits over the fields and over
 * the text of the data, eight bytes a step; it is stored by consumers, so it never changes. */
#include "feed/content.h"

#include <string.h>

#include "base/pubkey.h"
#include "json/walk.h"

__extension__ typedef unsigned __int128 wide;

enum { LAMPORTS = 1, OWNER = 2, EXECUTABLE = 4, DATA = 8, RENT_EPOCH = 16, SPACE = 32 };
#define NEEDED (LAMPORTS | OWNER | EXECUTABLE | DATA)

static bool is(struct rpcfan_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

/* Exactly an unsigned integer of 64 bits, as JSON writes it. */
static bool read_u64(struct rpcfan_slice s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.len == 0 || s.len > 20)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned)((unsigned char)s.data[i] - '0');
        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = v;
    return true;
}

/* Proxies that know only doubles write the largest one, which most accounts have, as
 * 18446744073709552000. */
static bool read_epoch(struct rpcfan_slice s, uint64_t *out)
{
    if (read_u64(s, out))
        return true;
    *out = UINT64_MAX;
    return is(s, "18446744073709552000") || is(s, "18446744073709551616");
}

/* What stands between the quotes. @return false where it is no string, or holds an escape. */
static bool inside(struct rpcfan_slice s, struct rpcfan_slice *out)
{
    if (s.len < 2 || s.data[0] != '"' || memchr(s.data, '\\', s.len) != NULL)
        return false;
    *out = (struct rpcfan_slice){s.data + 1, s.len - 2};
    return true;
}

static bool read_data(struct rpcfan_slice s, struct rf_content *out)
{
    struct rf_walk w;
    struct rpcfan_slice text, encoding, more;
    if (!rf_walk_enter(&w, s, '[') || !rf_walk_element(&w, &text) ||
        !rf_walk_element(&w, &encoding) || rf_walk_element(&w, &more))
        return false;
    if (!inside(text, &out->data) || !inside(encoding, &encoding))
        return false;
    out->zstd = is(encoding, "base64+zstd");
    return (out->zstd || is(encoding, "base64")) && out->data.len % 4 == 0;
}

/* One member. @return its bit; 0: it is not what it should be; 64: nobody knows it. */
static unsigned read_member(struct rpcfan_slice name, struct rpcfan_slice v, struct rf_content *out)
{
    struct rpcfan_slice text;
    if (is(name, "lamports"))
        return read_u64(v, &out->lamports) ? LAMPORTS : 0;
    if (is(name, "owner"))
        return inside(v, &text) && rf_pubkey_decode(text.data, text.len, out->owner) ? OWNER : 0;
    if (is(name, "executable")) {
        out->executable = is(v, "true");
        return out->executable || is(v, "false") ? EXECUTABLE : 0;
    }
    if (is(name, "data"))
        return read_data(v, out) ? DATA : 0;
    if (is(name, "rentEpoch"))
        return read_epoch(v, &out->rent_epoch) ? RENT_EPOCH : 0;
    if (is(name, "space"))
        return read_u64(v, &out->space) ? SPACE : 0;
    return 64;
}

/* Bytes that base64 text stands for. */
static uint64_t decoded_len(struct rpcfan_slice text)
{
    uint64_t n = text.len / 4 * 3;
    if (text.len > 0 && text.data[text.len - 1] == '=')
        n--;
    if (text.len > 1 && text.data[text.len - 2] == '=')
        n--;
    return n;
}

static uint64_t fold(uint64_t a, uint64_t b)
{
    wide p = (wide)(a ^ UINT64_C(0x8bb84b93962eacc9)) * (b ^ UINT64_C(0x4b33a62ed433d4a3));
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static uint64_t fold_bytes(uint64_t h, const void *data, size_t n)
{
    const uint8_t *p = data;
    uint64_t a, b;
    h = fold(h, n);
    for (; n >= 16; p += 16, n -= 16) {
        memcpy(&a, p, 8);
        memcpy(&b, p + 8, 8);
        h = fold(h ^ a, b);
    }
    uint8_t rest[16] = {0};
    memcpy(rest, p, n);
    memcpy(&a, rest, 8);
    memcpy(&b, rest + 8, 8);
    return fold(h ^ a, b);
}

static uint64_t hash_of(const struct rf_content *c)
{
    uint64_t h = fold(c->lamports, c->rent_epoch);
    h = fold(h, (uint64_t)c->executable << 1 | c->zstd);
    h = fold_bytes(h, c->owner, sizeof c->owner);
    h = fold_bytes(h, c->data.data, c->data.len);
    return h != 0 ? h : 1;
}

bool rf_content_read(struct rpcfan_slice json, struct rf_content *out)
{
    struct rf_walk w;
    struct rpcfan_slice name, value;
    unsigned seen = 0;
    memset(out, 0, sizeof *out);
    if (!rf_walk_enter(&w, json, '{'))
        return false;
    while (rf_walk_name(&w, &name)) {
        if (!rf_walk_value(&w, &value))
            return false;
        unsigned bit = read_member(name, value, out);
        if (bit == 0 || (bit < 64 && (seen & bit) != 0))
            return false;
        seen |= bit;
    }
    if ((seen & NEEDED) != NEEDED)
        return false;
    out->has_space = (seen & SPACE) != 0;
    if (out->has_space && !out->zstd && decoded_len(out->data) != out->space)
        return false;
    out->hash = hash_of(out);
    return true;
}

static unsigned value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (unsigned)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0') + 52;
    return c == '+' ? 62 : 63;
}

uint64_t rf_content_len(const struct rf_content *c)
{
    return decoded_len(c->data);
}

size_t rf_content_bytes(const struct rf_content *c, uint64_t offset, size_t n, uint8_t *out)
{
    uint64_t len = decoded_len(c->data);
    size_t got = 0;
    if (c->zstd)
        return 0;
    for (; got < n && offset + got < len; got++) {
        uint64_t at = offset + got;
        const char *quad = c->data.data + at / 3 * 4;
        unsigned bits = value_of(quad[at % 3]) << 6 | value_of(quad[at % 3 + 1]);
        out[got] = (uint8_t)(bits >> (4 - 2 * (at % 3)));
    }
    return got;
}
