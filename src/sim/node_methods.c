/* node_methods.c - dispatch, the sim_* methods, and what both families share. Called by node_rpc.c
 * and by tests that want the expected answer. Pure.
 *
 * Happy path: digest (method, params), find the method, let it write its result from the digest.
 * Failure modes: unknown method (-32601), bad params (-32602); both are answers, not failures. */
#include "sim/node_methods.h"

#include <string.h>

#include "json/rpc.h"

#define BIG_MAX (UINT64_C(1) << 30)

uint64_t rf_node_mix(uint64_t x, uint64_t salt)
{
    uint64_t z = x + salt * UINT64_C(0x9e3779b97f4a7c15) + UINT64_C(0x632be59bd9b4e019);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* FNV-1a in one lane and a multiply-rotate in the other: cheap, and independent enough. */
static void digest_byte(struct rf_node_digest *d, unsigned char c)
{
    d->a = (d->a ^ c) * UINT64_C(0x100000001b3);
    d->b = ((d->b << 23) | (d->b >> 41)) * UINT64_C(0x9fb21c651e98df25) + c;
}

struct rf_node_digest rf_node_digest(struct rpcfan_slice method, struct rpcfan_slice params)
{
    struct rf_node_digest d = {UINT64_C(0xcbf29ce484222325), UINT64_C(0x2545f4914f6cdd1d)};
    for (size_t i = 0; i < method.len; i++)
        digest_byte(&d, (unsigned char)method.data[i]);
    digest_byte(&d, 0);
    if (params.len == 0)
        params = (struct rpcfan_slice){"[]", 2};
    bool quoted = false;
    for (size_t i = 0; i < params.len; i++) {
        char c = params.data[i];
        if (!quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r'))
            continue;
        if (quoted && c == '\\' && i + 1 < params.len)
            digest_byte(&d, (unsigned char)params.data[i++]);
        else if (c == '"')
            quoted = !quoted;
        digest_byte(&d, (unsigned char)params.data[i]);
    }
    d.a = rf_node_mix(d.a, 0);
    d.b = rf_node_mix(d.b, d.a);
    return d;
}

static struct rpcfan_slice slice(struct rpcfan_slice text, uint64_t from, uint64_t to)
{
    return (struct rpcfan_slice){text.data + from, (size_t)(to - from)};
}

/* Read on from a value's first token, which stands inside of one bracket, to its last.
 * @return false where the text ends first. */
static bool skip_value(struct rf_scan *s, struct rpcfan_slice text, size_t *pos, enum rf_tok tok,
                       struct rpcfan_slice *value)
{
    uint64_t from = s->start;
    if ((tok == RF_TOK_OBJECT || tok == RF_TOK_ARRAY) &&
        rf_scan_skip(s, text.data, text.len, pos, 1) <= RF_TOK_ERROR)
        return false;
    *value = slice(text, from, s->end);
    return true;
}

bool rf_node_items_init(struct rf_node_items *it, struct rpcfan_slice text)
{
    it->text = text;
    it->pos = 0;
    rf_scan_init(&it->scan, RF_SCAN_DEPTH);
    it->broken =
        text.len == 0 || rf_scan_next(&it->scan, text.data, text.len, &it->pos) != RF_TOK_ARRAY;
    return !it->broken;
}

bool rf_node_items_next(struct rf_node_items *it, struct rpcfan_slice *item)
{
    if (it->broken)
        return false;
    enum rf_tok tok = rf_scan_next(&it->scan, it->text.data, it->text.len, &it->pos);
    if (tok == RF_TOK_ARRAY_END) {
        it->broken = rf_scan_next(&it->scan, it->text.data, it->text.len, &it->pos) != RF_TOK_MORE;
        return false;
    }
    it->broken = tok == RF_TOK_MORE || tok == RF_TOK_ERROR ||
                 !skip_value(&it->scan, it->text, &it->pos, tok, item);
    return !it->broken;
}

struct rpcfan_slice rf_node_param(struct rpcfan_slice params, unsigned i)
{
    struct rpcfan_slice none = {NULL, 0}, value;
    struct rf_node_items it;
    rf_node_items_init(&it, params);
    while (rf_node_items_next(&it, &value))
        if (i-- == 0)
            return value;
    return none;
}

struct rpcfan_slice rf_node_field(struct rpcfan_slice object, const char *key)
{
    struct rpcfan_slice none = {NULL, 0}, value;
    struct rf_scan s;
    size_t pos = 0, len = strlen(key);
    rf_scan_init(&s, RF_SCAN_DEPTH);
    if (object.len == 0 || rf_scan_next(&s, object.data, object.len, &pos) != RF_TOK_OBJECT)
        return none;
    for (;;) {
        if (rf_scan_next(&s, object.data, object.len, &pos) != RF_TOK_KEY)
            return none;
        bool match = s.end - s.start == len + 2 && memcmp(object.data + s.start + 1, key, len) == 0;
        enum rf_tok tok = rf_scan_next(&s, object.data, object.len, &pos);
        if (tok == RF_TOK_MORE || tok == RF_TOK_ERROR || !skip_value(&s, object, &pos, tok, &value))
            return none;
        if (match)
            return value;
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
}

bool rf_node_number(struct rpcfan_slice json, uint64_t *out)
{
    uint64_t base = 10, v = 0;
    if (json.len >= 2 && json.data[0] == '"')
        json = slice(json, 1, json.len - 1);
    if (json.len > 2 && json.data[0] == '0' && (json.data[1] | 32) == 'x') {
        json = slice(json, 2, json.len);
        base = 16;
    }
    if (json.len == 0)
        return false;
    for (size_t i = 0; i < json.len; i++) {
        uint64_t digit = (uint64_t)hex_digit(json.data[i]);
        if (digit >= base || v > (UINT64_MAX - digit) / base)
            return false;
        v = v * base + digit;
    }
    *out = v;
    return true;
}

void rf_node_error(struct rf_buf *out, int64_t code, const char *message, const char *data)
{
    rf_buf_str(out, "{\"code\":");
    if (code < 0)
        rf_buf_char(out, '-');
    rf_buf_u64(out, code < 0 ? (uint64_t)0 - (uint64_t)code : (uint64_t)code);
    rf_buf_str(out, ",\"message\":");
    rf_json_quote(out, message, strlen(message));
    if (data != NULL) {
        rf_buf_str(out, ",\"data\":");
        rf_buf_str(out, data);
    }
    rf_buf_char(out, '}');
}

enum rf_node_answer rf_node_bad_param(struct rf_buf *out, unsigned i, const char *what)
{
    struct rf_buf text = {0};
    rf_buf_printf(&text, "invalid argument %u: %s", i, what);
    rf_buf_char(&text, '\0');
    rf_node_error(out, -32602, text.failed ? what : text.data, NULL);
    rf_buf_fini(&text);
    return RF_NODE_ERROR;
}

void rf_node_hex(struct rf_buf *out, struct rf_node_digest d, uint64_t salt, unsigned n)
{
    static const char digits[] = "0123456789abcdef";
    if (!rf_buf_reserve(out, 2 * (size_t)n + 2))
        return;
    char *p = out->data + out->len;
    *p++ = '0';
    *p++ = 'x';
    uint64_t word = 0;
    for (unsigned i = 0; i < n; i++, word >>= 8) {
        if (i % 8 == 0)
            word = rf_node_mix(i % 16 == 0 ? d.a : d.b, salt + i);
        *p++ = digits[(word >> 4) & 15];
        *p++ = digits[word & 15];
    }
    out->len += 2 * (size_t)n + 2;
}

void rf_node_quantity(struct rf_buf *out, uint64_t v)
{
    char text[24] = "\"0x";
    size_t n = 3;
    unsigned shift = 60;
    while (shift > 0 && (v >> shift) == 0)
        shift -= 4;
    for (;; shift -= 4) {
        text[n++] = "0123456789abcdef"[(v >> shift) & 15];
        if (shift == 0)
            break;
    }
    text[n++] = '"';
    rf_buf_add(out, text, n);
}

uint64_t rf_node_epoch(const struct rf_node_ask *ask)
{
    uint64_t churn = ask->chain->churn;
    /* Each key changes at a block of its own, so that no block changes everything. */
    return churn == 0 ? 0 : (ask->chain->head + ask->digest.a % churn) / churn;
}

static enum rf_node_answer sim_echo(const struct rf_node_ask *ask, struct rf_buf *out)
{
    if (ask->params.len == 0)
        rf_buf_str(out, "[]");
    else
        rf_buf_add(out, ask->params.data, ask->params.len);
    return RF_NODE_RESULT;
}

static enum rf_node_answer sim_big(const struct rf_node_ask *ask, struct rf_buf *out)
{
    uint64_t n;
    if (!rf_node_number(rf_node_param(ask->params, 0), &n) || n > BIG_MAX)
        return rf_node_bad_param(out, 0, "want a number of bytes up to 2^30");
    if (!rf_buf_reserve(out, (size_t)n + 2))
        return RF_NODE_RESULT;
    char *p = out->data + out->len;
    *p++ = '"';
    for (uint64_t i = 0; i < n; i++)
        *p++ = (char)('a' + (i + ask->digest.a) % 26);
    *p = '"';
    out->len += (size_t)n + 2;
    return RF_NODE_RESULT;
}

/* The delay itself is the server's; the answer is the number. */
static enum rf_node_answer sim_sleep(const struct rf_node_ask *ask, struct rf_buf *out)
{
    uint64_t ms;
    if (!rf_node_number(rf_node_param(ask->params, 0), &ms))
        return rf_node_bad_param(out, 0, "want a number of milliseconds");
    rf_buf_u64(out, ms);
    return RF_NODE_RESULT;
}

static enum rf_node_answer sim_error(const struct rf_node_ask *ask, struct rf_buf *out)
{
    struct rpcfan_slice code = rf_node_param(ask->params, 0);
    struct rpcfan_slice message = rf_node_param(ask->params, 1);
    struct rpcfan_slice data = rf_node_param(ask->params, 2);
    if (code.len == 0 || message.len < 2 || message.data[0] != '"')
        return rf_node_bad_param(out, 0, "want code, message and optional data");
    rf_buf_str(out, "{\"code\":");
    rf_buf_add(out, code.data, code.len);
    rf_buf_str(out, ",\"message\":");
    rf_buf_add(out, message.data, message.len);
    if (data.len > 0) {
        rf_buf_str(out, ",\"data\":");
        rf_buf_add(out, data.data, data.len);
    }
    rf_buf_char(out, '}');
    return RF_NODE_ERROR;
}

/* The server replaces it by the times this call was seen; alone it is the first time. */
static enum rf_node_answer sim_count(const struct rf_node_ask *ask, struct rf_buf *out)
{
    (void)ask;
    rf_buf_char(out, '1');
    return RF_NODE_RESULT;
}

static enum rf_node_answer sim_null(const struct rf_node_ask *ask, struct rf_buf *out)
{
    (void)ask;
    rf_buf_str(out, "null");
    return RF_NODE_RESULT;
}

static const struct rf_node_method sim_methods[] = {
    {"sim_echo", 8, sim_echo},
    {"sim_big", 7, sim_big},
    {"sim_sleep", 9, sim_sleep},
    {"sim_error", 9, sim_error},
    {"sim_count", 9, sim_count},
    {"sim_null", 8, sim_null},
    {NULL, 0, NULL},
};

static const struct rf_node_method *find(const struct rf_node_method *m, struct rpcfan_slice name)
{
    for (; m->name != NULL; m++)
        if (m->len == name.len && memcmp(m->name, name.data, name.len) == 0)
            return m;
    return NULL;
}

enum rf_node_answer rf_node_answer(const struct rf_node_chain *chain, struct rpcfan_slice method,
                                   struct rpcfan_slice params, struct rf_buf *out)
{
    const struct rf_node_method *m = NULL;
    if (chain->family & RF_NODE_EVM)
        m = find(rf_node_evm_methods, method);
    if (m == NULL && (chain->family & RF_NODE_SOLANA))
        m = find(rf_node_solana_methods, method);
    if (m == NULL)
        m = find(sim_methods, method);
    if (m != NULL) {
        struct rf_node_ask ask = {chain, method, params, rf_node_digest(method, params)};
        return m->answer(&ask, out);
    }
    rf_buf_str(out, "{\"code\":-32601,\"message\":");
    size_t at = out->len;
    rf_buf_str(out, "the method ");
    rf_buf_add(out, method.data, method.len);
    rf_buf_str(out, " does not exist/is not available");
    if (out->failed)
        return RF_NODE_UNKNOWN;
    struct rf_buf text = {0};
    rf_buf_add(&text, out->data + at, out->len - at);
    out->len = at;
    rf_json_quote(out, text.data, text.len);
    rf_buf_char(out, '}');
    rf_buf_fini(&text);
    return RF_NODE_UNKNOWN;
}
