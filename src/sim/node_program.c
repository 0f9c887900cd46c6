/* node_program.c - the synthetic program: its accounts, and the calls that ask for them. Called by
 * node_rpc.c, node_conn.c and node_ws_subs.c.
 *
 * Happy path: an answer up to INLINE_MAX is written whole; a longer one is begun, and goes on row
 * by row as the client takes it (a gigabyte in the memory of some rows).
 * Failure modes: a batch may not ask for a long one; a floor above the slot gets -32016. */
#include "sim/node_program.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/base58.h"
#include "base/mem.h"

#define INLINE_MAX (1u << 20)
#define PIECE 65536
#define ROW_EXTRA 300 /* bytes of a row beside its data */
#define ADDRESSES_MAX 100
#define CHUNK_HEAD 10 /* eight digits and a line's end */

uint64_t rf_program_writes(const struct rf_node_program_conf *p, uint64_t age_ns)
{
    uint64_t t = rf_time_sub(rf_min_u64(age_ns, p->to_ns), p->from_ns);
    return t / RF_SEC * p->writes + t % RF_SEC * p->writes / RF_SEC;
}

uint64_t rf_program_write_ns(const struct rf_node_program_conf *p, uint64_t k)
{
    if (p->writes == 0)
        return RF_NEVER;
    /* Rounded up: at this age, and not before, rf_program_writes() counts it. */
    uint64_t part = (k + 1) % p->writes * RF_SEC;
    uint64_t t = (k + 1) / p->writes * RF_SEC + (part + p->writes - 1) / p->writes;
    t = rf_time_add(p->from_ns, t);
    return t <= p->to_ns ? t : RF_NEVER;
}

uint64_t rf_program_version(const struct rf_node_program_conf *p, uint64_t i, uint64_t writes)
{
    return writes > i ? (writes - 1 - i) / p->n + 1 : 0;
}

static void put_u64(uint8_t *out, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(v >> 8 * i);
}

void rf_program_key(uint64_t i, uint8_t key[32])
{
    for (unsigned k = 0; k < 4; k++)
        put_u64(key + 8 * k, rf_node_mix(i, 7 + k), 8);
    put_u64(key + 8, i, 8);
    key[0] |= 1; /* so that each has as many letters as most */
}

void rf_program_key_text(uint64_t i, struct rf_buf *out)
{
    uint8_t key[32];
    rf_program_key(i, key);
    if (!rf_buf_reserve(out, RF_BASE58_LEN(32) + 2))
        return;
    rf_buf_char(out, '"');
    out->len += rf_base58_encode(key, sizeof key, out->data + out->len);
    rf_buf_char(out, '"');
}

bool rf_program_find(const struct rf_node_program_conf *p, struct rpcfan_slice text, uint64_t *i)
{
    uint8_t key[32], want[32];
    size_t n;
    if (text.len < 3 || !rf_base58_decode(text.data + 1, text.len - 2, key, sizeof key, &n) ||
        n != sizeof key)
        return false;
    *i = 0;
    for (unsigned k = 0; k < 8; k++)
        *i |= (uint64_t)key[8 + k] << 8 * k;
    rf_program_key(*i, want);
    return *i < p->n && memcmp(key, want, sizeof key) == 0;
}

void rf_program_data(uint64_t i, uint64_t version, uint64_t at, uint8_t *out, size_t len)
{
    uint64_t salt = rf_node_mix(i, version);
    for (size_t k = 0; k < len;) {
        uint64_t word = (at + k) / 8;
        uint64_t v = word == 0 ? i : word == 1 ? version : salt * (2 * word + 1);
        size_t skip = (size_t)((at + k) % 8), n = 8 - skip < len - k ? 8 - skip : len - k;
        put_u64(out + k, v >> 8 * skip, n);
        k += n;
    }
}

/* In pieces of whole groups of three, so that base64 goes on over their ends. */
static void add_data(struct rf_buf *out, uint64_t i, uint64_t version, uint64_t at, uint64_t len)
{
    uint8_t piece[3 * 256];
    while (len > 0) {
        size_t n = (size_t)rf_min_u64(len, sizeof piece);
        rf_program_data(i, version, at, piece, n);
        if (!rf_buf_reserve(out, n / 3 * 4 + 5))
            return;
        out->len += (size_t)EVP_EncodeBlock((unsigned char *)out->data + out->len, piece, (int)n);
        at += n;
        len -= n;
    }
}

void rf_program_account(const struct rf_node_program_conf *p, uint64_t i, uint64_t version,
                        uint64_t slice_at, uint64_t slice_len, struct rf_buf *out)
{
    uint64_t at = rf_min_u64(slice_at, p->bytes);
    rf_buf_str(out, "{\"data\":[\"");
    add_data(out, i, version, at, rf_min_u64(slice_len, p->bytes - at));
    rf_buf_str(out, "\",\"base64\"],\"executable\":false,\"lamports\":");
    rf_buf_u64(out, 1000000 + version);
    rf_buf_str(out, ",\"owner\":\"");
    rf_buf_str(out, p->key);
    rf_buf_str(out, "\",\"rentEpoch\":18446744073709551615,\"space\":");
    rf_buf_u64(out, p->bytes);
    rf_buf_char(out, '}');
}

/* What a call about the program needs. */
struct ask {
    const struct rf_node_program_conf *p;
    struct rpcfan_slice first, config;                /* params */
    uint64_t slot, writes, slice_at, slice_len, most; /* most: addresses in one call */
    struct rf_buf *out;
};

static enum rf_node_answer wrong(struct rf_buf *out, const char *text)
{
    rf_node_error(out, -32602, text, NULL);
    return RF_NODE_ERROR;
}

static void context(struct ask *a)
{
    rf_buf_str(a->out, "{\"context\":{\"apiVersion\":\"2.2.1\",\"slot\":");
    rf_buf_u64(a->out, a->slot);
    rf_buf_str(a->out, "},\"value\":");
}

static bool one_account(struct ask *a, struct rpcfan_slice key)
{
    uint8_t bytes[32];
    uint64_t i;
    size_t n;
    if (rf_program_find(a->p, key, &i)) {
        rf_program_account(a->p, i, rf_program_version(a->p, i, a->writes), a->slice_at,
                           a->slice_len, a->out);
        return true;
    }
    if (key.len < 3 || !rf_base58_decode(key.data + 1, key.len - 2, bytes, 32, &n) || n != 32)
        return false;
    rf_buf_str(a->out, "null");
    return true;
}

static enum rf_node_answer account_info(struct ask *a)
{
    size_t start = a->out->len;
    context(a);
    if (!one_account(a, a->first)) {
        a->out->len = start;
        return wrong(a->out, "Invalid param: WrongSize");
    }
    rf_buf_char(a->out, '}');
    return RF_NODE_RESULT;
}

static enum rf_node_answer multiple_accounts(struct ask *a)
{
    struct rf_node_items keys;
    struct rpcfan_slice key;
    size_t start = a->out->len;
    if (!rf_node_items_init(&keys, a->first))
        return rf_node_bad_param(a->out, 0, "want an array of addresses");
    context(a);
    rf_buf_char(a->out, '[');
    for (uint64_t i = 0; rf_node_items_next(&keys, &key); i++) {
        if (i > 0)
            rf_buf_char(a->out, ',');
        if (i >= a->most || !one_account(a, key)) {
            char text[80];
            snprintf(text, sizeof text, "Too many inputs provided; max %llu",
                     (unsigned long long)a->most);
            a->out->len = start;
            return wrong(a->out, i < a->most ? "Invalid param: WrongSize" : text);
        }
    }
    rf_buf_str(a->out, "]}");
    return RF_NODE_RESULT;
}

static void add_row(struct rf_buf *out, const struct rf_node_rows *r, uint64_t i)
{
    rf_buf_str(out, i > 0 ? ",{\"account\":" : "{\"account\":");
    rf_program_account(&r->p, i, rf_program_version(&r->p, i, r->writes), r->slice_at, r->slice_len,
                       out);
    rf_buf_str(out, ",\"pubkey\":");
    rf_program_key_text(i, out);
    rf_buf_char(out, '}');
}

static enum rf_node_answer program_accounts(struct rf_node *node, struct ask *a)
{
    struct rf_node_work *w = &node->work;
    struct rpcfan_slice with = rf_node_field(a->config, "withContext");
    bool context_too = with.len == 4 && memcmp(with.data, "true", 4) == 0;
    struct rf_node_rows r = {.p = *a->p};
    r.writes = a->writes;
    r.slice_at = a->slice_at;
    r.slice_len = a->slice_len;
    strcpy(r.tail, context_too ? "]}" : "]");
    uint64_t data = rf_min_u64(a->p->bytes, a->slice_len);
    bool small = a->p->n <= INLINE_MAX / (data / 3 * 4 + ROW_EXTRA);
    if (a->first.len < 3 || a->first.data[0] != '"')
        return rf_node_bad_param(a->out, 0, "want a program");
    bool ours = a->first.len == strlen(a->p->key) + 2 &&
                memcmp(a->first.data + 1, a->p->key, a->first.len - 2) == 0;
    if (ours && !small && (w->batch || w->ws != NULL)) {
        rf_node_error(a->out, -32603, "an answer of this size is not for a batch", NULL);
        return RF_NODE_ERROR;
    }
    if (context_too)
        context(a);
    rf_buf_char(a->out, '[');
    if (!ours) {
        rf_buf_str(a->out, r.tail);
        return RF_NODE_RESULT;
    }
    if (!small) {
        w->stream = r;
        return RF_NODE_RESULT;
    }
    for (uint64_t i = 0; i < a->p->n; i++)
        add_row(a->out, &r, i);
    rf_buf_str(a->out, r.tail);
    return RF_NODE_RESULT;
}

/* A wish for a slot that is not reached yet, refused as agave does. */
static bool behind(const struct ask *a)
{
    uint64_t wanted;
    struct rpcfan_slice floor = rf_node_field(a->config, "minContextSlot");
    if (floor.len == 0 || !rf_node_number(floor, &wanted) || wanted <= a->slot)
        return false;
    rf_buf_str(a->out, "{\"code\":-32016,\"message\":\"Minimum context slot has not been reached\","
                       "\"data\":{\"contextSlot\":");
    rf_buf_u64(a->out, a->slot);
    rf_buf_str(a->out, "}}");
    return true;
}

static bool is(struct rpcfan_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

bool rf_node_program_call(struct rf_node *node, const struct rf_node_member *m,
                          enum rf_node_answer *answer)
{
    struct rf_node_work *w = &node->work;
    bool one = is(m->method, "getAccountInfo"), many = is(m->method, "getMultipleAccounts");
    if (!one && !many && !is(m->method, "getProgramAccounts"))
        return false;
    struct ask a = {.p = &node->conf->program,
                    .first = rf_node_param(m->params, 0),
                    .config = rf_node_param(m->params, 1),
                    .slot = rf_node_chain_at(node, w->now_ns).head,
                    .slice_len = UINT64_MAX,
                    .most = node->conf->chain.inputs_max,
                    .out = &w->body};
    a.most = a.most == 0 ? ADDRESSES_MAX : a.most;
    a.writes = rf_program_writes(a.p, rf_time_sub(w->now_ns, node->conf->began_ns));
    struct rpcfan_slice slice = rf_node_field(a.config, "dataSlice");
    if (slice.len > 0 && (!rf_node_number(rf_node_field(slice, "offset"), &a.slice_at) ||
                          !rf_node_number(rf_node_field(slice, "length"), &a.slice_len)))
        *answer = wrong(a.out, "Invalid params: invalid dataSlice");
    else if (behind(&a))
        *answer = RF_NODE_ERROR;
    else
        *answer = one    ? account_info(&a)
                  : many ? multiple_accounts(&a)
                         : program_accounts(node, &a);
    return true;
}

bool rf_node_rows_next(struct rf_node_conn *c)
{
    struct rf_node_rows *r = &c->rows;
    struct rf_buf *out = &c->out;
    if (r->done)
        return false;
    if (c->plan.cut != SIZE_MAX)
        c->plan.cut -= out->len;
    out->len = c->out_at = 0;
    if (r->chunked)
        rf_buf_str(out, "00000000\r\n");
    size_t from = out->len;
    while (r->at < r->p.n && out->len < PIECE && !out->failed)
        add_row(out, r, r->at++);
    r->done = r->at == r->p.n;
    if (r->done)
        rf_buf_str(out, r->tail);
    if (r->chunked) {
        size_t n = out->len - from;
        for (unsigned i = 0; !out->failed && i < CHUNK_HEAD - 2; i++)
            out->data[i] = "0123456789abcdef"[n >> 4 * (7 - i) & 15];
        rf_buf_str(out, r->done ? "\r\n0\r\n\r\n" : "\r\n");
    }
    if (!out->failed)
        return true;
    rf_node_conn_close(c, true); /* half an answer that ends well would be a lie */
    return false;
}
