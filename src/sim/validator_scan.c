/* validator_scan.c - reads of whole programs: getProgramAccounts, refused where a program has more
 * accounts than the node will scan, and the paged getProgramAccountsV2, whose pages may be short or
 * empty before the end and are each of a slot of their own (R11). */
#include <stdio.h>
#include <string.h>

#include "sim/node_methods.h"
#include "sim/validator_int.h"

#define PAGE_DEFAULT 1000
#define PAGE_MOST 10000 /* more is refused */

/* A scan under way. */
struct scan {
    struct rf_validator *v;
    struct rf_vask ask;
    struct rf_bank *bank;
    struct rf_buf *out;
    uint64_t said;
    size_t start; /* of the answer in `out` */
    uint16_t owner;
    uint64_t rows, bytes; /* so far */
};

static bool begin(struct scan *s, uint32_t node, struct rpcfan_slice params)
{
    const char *bad;
    uint8_t id[32];
    s->start = s->out->len;
    if (!rf_vkey_read(rf_node_param(params, 0), id)) {
        rf_vhttp_error(s->out, -32602, "Invalid param: WrongSize", NULL);
        return false;
    }
    if (!rf_vask_read(s->v, rf_node_param(params, 1), &s->ask, &bad)) {
        rf_vhttp_error(s->out, -32602, bad, NULL);
        return false;
    }
    s->owner = rf_vowner_find(s->v, id);
    s->bank = rf_vhttp_bank(s->v, node, &s->ask, &s->said, s->out);
    return s->bank != NULL;
}

/* One account. @return false: it cannot be written as asked. */
static bool row(struct scan *s, uint32_t key, const struct rf_bank_state *state)
{
    const struct rf_bank_key *k = &s->v->banks.key[key];
    if (s->rows++ > 0)
        rf_buf_char(s->out, ',');
    s->bytes += s->ask.cut.on ? rf_min_u64(s->ask.cut.length, state->size) : state->size;
    rf_buf_str(s->out, "{\"account\":");
    enum rf_vwritten w = rf_vaccount_json(s->v, key, state, &s->ask, false, s->out);
    rf_buf_str(s->out, ",\"pubkey\":\"");
    rf_buf_add(s->out, k->text, k->text_len);
    rf_buf_str(s->out, "\"}");
    return w != RF_VWRITTEN_TOO_LONG;
}

static bool too_long(struct scan *s)
{
    s->out->len = s->start;
    return rf_vhttp_error(s->out, -32600,
                          "Encoded binary (base 58) data should be less than 128 bytes, please use "
                          "Base64 encoding.",
                          NULL);
}

static bool too_many(struct scan *s, uint64_t n)
{
    char text[128];
    s->out->len = s->start;
    snprintf(text, sizeof text,
             "Too many accounts requested (%llu pubkeys), Please use getProgramAccountsV2 with "
             "pagination",
             (unsigned long long)n);
    return rf_vhttp_error(s->out, -32600, text, NULL);
}

/* Refused by the number of accounts that the program owns, before the filters are looked at. */
static bool refused(struct scan *s)
{
    struct rf_vask all = {.n_filters = 0};
    uint64_t n = 0;
    if (s->v->knobs.scan_max == 0)
        return false;
    for (uint32_t key = 0; key < s->v->banks.n_keys; key++)
        n += rf_vaccount_match(s->v, key, rf_banks_state(&s->v->banks, s->bank, key), s->owner,
                               &all);
    return n > s->v->knobs.scan_max && too_many(s, n);
}

/* Refused by what the answer holds by now. */
static bool over(struct scan *s)
{
    const struct rf_vknobs *k = &s->v->knobs;
    if (k->scan_rows > 0 && s->rows > k->scan_rows)
        return too_many(s, s->rows);
    if (k->scan_bytes == 0 || s->bytes <= k->scan_bytes)
        return false;
    s->out->len = s->start;
    return rf_vhttp_error(s->out, -32012,
                          "scan aborted: accumulated scan results exceeded the limit", NULL);
}

bool rf_vscan_program(struct rf_validator *v, uint32_t node, struct rpcfan_slice params,
                      struct rf_buf *out)
{
    struct scan s = {.v = v, .out = out};
    if (!begin(&s, node, params) || refused(&s))
        return true;
    if (s.ask.with_context)
        rf_vhttp_context(out, s.said);
    rf_buf_char(out, '[');
    for (uint32_t key = 0; key < v->banks.n_keys; key++) {
        const struct rf_bank_state *state = rf_banks_state(&v->banks, s.bank, key);
        if (!rf_vaccount_match(v, key, state, s.owner, &s.ask))
            continue;
        if (rf_vchance(&v->read_rng, v->knobs.lie_null)) {
            v->count.lied++;
            continue;
        }
        if (!row(&s, key, state))
            return too_long(&s);
        if (over(&s))
            return true;
    }
    rf_buf_str(out, s.ask.with_context ? "]}" : "]");
    return false;
}

/* The place that a pagination key names: "k" and the index of the next key. */
static bool page_start(const struct scan *s, uint32_t *from)
{
    struct rpcfan_slice p = s->ask.page;
    uint64_t n = 0;
    *from = 0;
    if (p.len == 0)
        return true;
    if (p.data[0] != 'k' || !rf_node_number((struct rpcfan_slice){p.data + 1, p.len - 1}, &n) ||
        n > s->v->banks.n_keys)
        return false;
    *from = (uint32_t)n;
    return true;
}

/* How many rows this page has at most: the limit, or less, or none at all. */
static uint64_t page_rows(struct scan *s)
{
    struct rf_validator *v = s->v;
    uint64_t n = s->ask.limit == 0 ? PAGE_DEFAULT : s->ask.limit;
    n = rf_min_u64(n, v->knobs.page_max);
    if (rf_vchance(&v->read_rng, v->knobs.page_empty))
        return 0;
    return rf_vchance(&v->read_rng, v->knobs.page_short) ? 1 + rf_rng_below(&v->read_rng, n) : n;
}

bool rf_vscan_pages(struct rf_validator *v, uint32_t node, struct rpcfan_slice params,
                    struct rf_buf *out)
{
    struct scan s = {.v = v, .out = out};
    uint32_t key;
    if (!begin(&s, node, params))
        return true;
    if (!page_start(&s, &key))
        return rf_vhttp_error(out, -32602, "Invalid params: invalid paginationKey", NULL);
    if (s.ask.limit > PAGE_MOST)
        return rf_vhttp_error(out, -32602, "Invalid params: limit is too large", NULL);
    uint64_t most = page_rows(&s);
    if (s.ask.with_context)
        rf_vhttp_context(out, s.said);
    rf_buf_str(out, "{\"accounts\":[");
    for (; key < v->banks.n_keys && s.rows < most; key++) {
        const struct rf_bank_state *state = rf_banks_state(&v->banks, s.bank, key);
        if (rf_vaccount_match(v, key, state, s.owner, &s.ask) &&
            state->slot >= s.ask.changed_since && !row(&s, key, state))
            return too_long(&s);
    }
    rf_buf_str(out, "],\"paginationKey\":");
    if (key < v->banks.n_keys)
        rf_buf_printf(out, "\"k%lu\"", (unsigned long)key);
    else
        rf_buf_str(out, "null");
    rf_buf_str(out, s.ask.with_context ? "}}" : "}");
    return false;
}
