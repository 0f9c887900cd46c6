/* vnode.c - the virtual provider.
 *
 * The limiter is charged when a request arrives (half the latency after it was sent), in the order
 * of sending, each member of a batch by itself; refused members are not charged. */
#include "sim/vnode.h"

#include "base/mem.h"

bool rf_vnode_init(struct rf_vnode *n, uint64_t seed)
{
    rf_rng_init(&n->rng, seed);
    n->arrival = rf_alloc(RF_VNODE_LOG * sizeof n->arrival[0]);
    return n->arrival != NULL;
}

void rf_vnode_fini(struct rf_vnode *n)
{
    rf_free(n->arrival);
}

static bool admit_fixed(struct rf_vnode *n, uint64_t at_ns)
{
    uint64_t start = at_ns - at_ns % n->limit_window_ns;
    if (start != n->window_start_ns) {
        n->window_start_ns = start;
        n->window_used = 0;
    }
    if (n->window_used >= n->limit_count)
        return false;
    n->window_used++;
    return true;
}

static bool admit_sliding(const struct rf_vnode *n, uint64_t at_ns)
{
    if (n->n_arrivals < n->limit_count)
        return true;
    uint64_t oldest = n->arrival[(n->n_arrivals - n->limit_count) % RF_VNODE_LOG];
    return at_ns >= oldest + n->limit_window_ns;
}

static bool admit_bucket(struct rf_vnode *n, uint64_t at_ns)
{
    uint64_t each = n->limit_window_ns / n->limit_count;
    uint64_t base = rf_max_u64(n->tokens_ns, at_ns);
    if (base + each > at_ns + n->limit_window_ns)
        return false;
    n->tokens_ns = base + each;
    return true;
}

static bool admit(struct rf_vnode *n, uint64_t at_ns)
{
    bool ok = true;
    if (n->limit == RF_VLIMIT_FIXED)
        ok = admit_fixed(n, at_ns);
    else if (n->limit == RF_VLIMIT_SLIDING)
        ok = admit_sliding(n, at_ns);
    else if (n->limit == RF_VLIMIT_BUCKET)
        ok = admit_bucket(n, at_ns);
    if (ok) {
        n->arrival[n->n_arrivals++ % RF_VNODE_LOG] = at_ns;
        n->admitted++;
    } else {
        n->throttled++;
    }
    return ok;
}

void rf_vnode_answer(const struct rf_call *c, struct rf_buf *b)
{
    if (c == NULL) {
        rf_buf_str(b, "null");
        return;
    }
    rf_buf_char(b, '"');
    for (size_t i = 0; i < c->tail_len; i++) {
        char ch = c->tail[i];
        rf_buf_char(b, ch == '"' || ch == '\\' ? '\'' : ch);
    }
    rf_buf_char(b, '"');
}

static void member_ok(struct rf_buf *b, uint64_t id, const struct rf_call *c, bool no_id)
{
    if (no_id)
        rf_buf_str(b, "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":");
    else
        rf_buf_printf(b, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":", (unsigned long long)id);
    rf_vnode_answer(c, b);
    rf_buf_char(b, '}');
}

/* Which fault strikes this exchange, by a running sum over the permilles. */
enum fault {
    NONE,
    REFUSE,
    HANG,
    RESET,
    E5XX,
    HTML,
    CUT,
    WRONG,
    SHUFFLE,
    MISSING,
    TWICE,
    EXTRA,
    NOID,
    OBJECT
};

static enum fault pick_fault(struct rf_vnode *n)
{
    const struct rf_vfaults *f = &n->faults;
    const unsigned p[] = {0,           f->refuse,  f->hang,      f->reset,
                          f->error5xx, f->html,    f->truncated, f->wrong_ids,
                          f->shuffle,  f->missing, f->duplicate, f->extra,
                          f->no_ids,   f->object};
    uint64_t x = rf_rng_below(&n->rng, 1000);
    for (unsigned i = 1; i < RF_COUNT(p); i++) {
        if (x < p[i])
            return (enum fault)i;
        x -= p[i];
    }
    return NONE;
}

static void write_member(struct rf_vnode *n, const struct rf_exchange *ex, uint32_t i,
                         enum fault fault, uint64_t at_ns, struct rf_buf *b)
{
    uint64_t id = ex->id_base + i;
    if (n->limit_in_body && !admit(n, at_ns))
        rf_vreply_error(b, id, -32005, "request rate exceeded");
    else if (fault == WRONG)
        member_ok(b, id + 1000003, ex->call[i], false);
    else
        member_ok(b, id, ex->call[i], fault == NOID);
}

/* A batch answer, with the fault's distortion. */
static void write_answer(struct rf_vnode *n, const struct rf_exchange *ex, enum fault fault,
                         uint64_t at_ns, struct rf_buf *b)
{
    if (ex->n == 1) {
        write_member(n, ex, 0, fault, at_ns, b);
        return;
    }
    if (fault == OBJECT) {
        rf_vreply_error(b, ex->id_base, -32000, "something went wrong");
        return;
    }
    uint32_t shift = fault == SHUFFLE ? (uint32_t)rf_rng_below(&n->rng, ex->n) : 0;
    uint32_t skip = fault == MISSING ? (uint32_t)rf_rng_below(&n->rng, ex->n) : UINT32_MAX;
    rf_buf_char(b, '[');
    bool any = false;
    for (uint32_t k = 0; k < ex->n; k++) {
        uint32_t i = fault == SHUFFLE ? (ex->n - 1 - k + shift) % ex->n : k;
        if (i == skip)
            continue;
        if (any)
            rf_buf_char(b, ',');
        any = true;
        write_member(n, ex, i, fault, at_ns, b);
        if (fault == TWICE && k == 0) {
            rf_buf_char(b, ',');
            rf_vreply_result(b, ex->id_base + i, "\"a second answer\"");
        }
    }
    if (fault == EXTRA)
        rf_buf_printf(b, ",{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":\"nobody asked\"},3,null");
    rf_buf_char(b, ']');
}

static void refuse_batch(const struct rf_vnode *n, const struct rf_exchange *ex,
                         struct rf_vreply *out)
{
    struct rf_buf *b = &out->body;
    switch (n->refusal) {
    case RF_VREFUSAL_GETH:
        rf_buf_char(b, '[');
        rf_vreply_error(b, ex->id_base, -32600, "batch too large");
        rf_buf_char(b, ']');
        break;
    case RF_VREFUSAL_ERIGON:
        rf_buf_printf(b,
                      "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32000,\"message\":"
                      "\"batch limit %u exceeded (can increase by --rpc.batch.limit). Requested "
                      "batch of size: %u\"}}",
                      n->batch_cap, ex->n);
        break;
    case RF_VREFUSAL_413:
        out->status = 413;
        rf_vreply_error(b, ex->id_base, -32014, "too many RPC calls in batch request");
        break;
    case RF_VREFUSAL_400:
        out->status = 400;
        rf_buf_str(b, "too many requests");
        break;
    case RF_VREFUSAL_500:
        out->status = 500;
        rf_buf_printf(b,
                      "{\"id\":null,\"error\":{\"code\":31,\"message\":\"Batch of more than %u "
                      "requests are not allowed on free tier\"}}",
                      n->batch_cap);
        break;
    case RF_VREFUSAL_NULL_ID:
        rf_buf_str(b, "[{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,\"message\":"
                      "\"batch item count exceeded\"}}]");
        break;
    }
}

static bool transport_fault(enum fault fault, struct rf_vreply *out)
{
    switch (fault) {
    case REFUSE:
        out->transport = RF_T_CONNECT;
        out->reason = "connection refused";
        return true;
    case HANG:
        out->delay_ns = RF_NEVER;
        return true;
    case RESET:
        out->transport = RF_T_RESET;
        out->reason = "connection reset";
        return true;
    default:
        return false;
    }
}

/* The whole request is over the limit: 429 unless members are refused one by one. */
static bool over_limit(struct rf_vnode *n, const struct rf_exchange *ex, uint64_t at_ns,
                       struct rf_vreply *out)
{
    if (n->limit == RF_VLIMIT_NONE || n->limit_in_body)
        return false;
    bool all = true;
    for (uint32_t i = 0; i < ex->n; i++)
        all = admit(n, at_ns) && all;
    if (all)
        return false;
    out->status = 429;
    out->retry_after_ns = n->retry_after_ns;
    rf_buf_str(&out->body, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":429,\"message\":"
                           "\"too many requests\"}}");
    return true;
}

void rf_vnode_serve(struct rf_vnode *n, struct rf_exchange *ex, uint64_t now_ns,
                    struct rf_vreply *out)
{
    n->requests++;
    n->calls += ex->n;
    out->delay_ns = n->latency_ns + rf_rng_below(&n->rng, n->jitter_ns);
    uint64_t at_ns = now_ns + out->delay_ns / 2;
    enum fault fault = pick_fault(n);
    bool dead = now_ns >= n->dead_from_ns && now_ns < n->dead_until_ns;
    if (transport_fault(dead ? REFUSE : fault, out))
        return;
    if (n->batch_cap > 0 && ex->n > n->batch_cap) {
        n->refused_batches++;
        refuse_batch(n, ex, out);
        return;
    }
    if (over_limit(n, ex, at_ns, out))
        return;
    if (fault == E5XX) {
        out->status = 503;
        rf_buf_str(&out->body, "upstream connect error");
    } else if (fault == HTML) {
        rf_buf_str(&out->body, "<html><body>hello</body></html>");
    } else {
        write_answer(n, ex, fault, at_ns, &out->body);
        if (fault == CUT)
            out->body.len -= out->body.len / 3 + 1;
    }
}
