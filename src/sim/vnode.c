/* vnode.c - the virtual provider: wires, faults, limits, workers.
 *
 * Happy path: a request arrives, fits every limit, is charged to each, waits for a worker, is
 * served and travels back. A refusal costs no worker's time.
 * Failure modes: refused and blackholed connections reach no limiter; a reset strikes amid the
 * answer, so what it cuts off was charged; a request whose client gave up (a ghost) is charged too.
 * Order of checks: outage or fault, batch cap, limits, damage to the answer. */
#include "sim/vnode.h"

#include <string.h>

#include "base/mem.h"

bool rf_vnode_init(struct rf_vnode *n, uint64_t seed)
{
    rf_rng_init(&n->rng, seed);
    n->own.kind = n->limit;
    n->own.count = n->limit_count;
    n->own.window_ns = n->limit_window_ns;
    if (n->limit_in_body)
        n->throttle = RF_VTHROTTLE_MEMBERS;
    if (n->workers > RF_VNODE_WORKERS)
        n->workers = RF_VNODE_WORKERS;
    return true;
}

void rf_vnode_fini(struct rf_vnode *n)
{
    rf_vlimit_fini(&n->own);
}

uint64_t rf_vnode_travel(struct rf_vnode *n)
{
    if (!rf_vdist_none(&n->travel))
        return rf_vdist_draw(&n->travel, &n->rng);
    return (n->latency_ns + rf_rng_below(&n->rng, n->jitter_ns)) / 2;
}

uint64_t rf_vnode_head(const struct rf_vnode *n, uint64_t now_ns)
{
    return n->block_ns == 0
               ? 0
               : rf_time_sub(n->block_first + now_ns / n->block_ns, n->lag_blocks);
}

static const struct rf_vmethod *find_method(const struct rf_vnode *n, const struct rf_vask *ask)
{
    for (uint32_t i = 0; i < n->n_methods; i++) {
        if (rf_pattern_match(n->method[i].pattern, ask->method, ask->method_len))
            return &n->method[i];
    }
    return NULL;
}

static struct rf_vask ask_of(const struct rf_vnode *n, const struct rf_call *c, uint32_t calls)
{
    struct rf_vask ask = {.method = c->tail + RF_CALL_METHOD_AT,
                          .method_len = c->method_len,
                          .calls = calls,
                          .weight = 1};
    const struct rf_vmethod *m = find_method(n, &ask);
    if (m != NULL)
        ask.weight = m->weight;
    return ask;
}

static struct rf_vlimit *limit_at(struct rf_vnode *n, uint32_t i)
{
    return i == 0 ? &n->own : n->also[i - 1];
}

/* In all limits or in none. */
static bool admit(struct rf_vnode *n, const struct rf_vask *ask, uint64_t now_ns,
                  uint64_t until_ns)
{
    bool ok = true;
    for (uint32_t i = 0; i <= n->n_also && ok; i++) {
        struct rf_vlimit *l = limit_at(n, i);
        ok = !rf_vlimit_covers(l, ask) || rf_vlimit_fits(l, ask, now_ns);
    }
    for (uint32_t i = 0; i <= n->n_also; i++) {
        struct rf_vlimit *l = limit_at(n, i);
        if (!rf_vlimit_covers(l, ask))
            continue;
        if (ok)
            rf_vlimit_take(l, ask, now_ns, until_ns);
        else
            rf_vlimit_refuse(l, ask, now_ns);
    }
    if (ok)
        n->admitted += ask->calls;
    else
        n->throttled += ask->calls;
    return ok;
}

static uint64_t longest_wait(struct rf_vnode *n, const struct rf_vask *ask, uint64_t now_ns)
{
    uint64_t wait_ns = 0;
    for (uint32_t i = 0; i <= n->n_also; i++) {
        struct rf_vlimit *l = limit_at(n, i);
        if (rf_vlimit_covers(l, ask))
            wait_ns = rf_max_u64(wait_ns, rf_vlimit_wait(l, ask, now_ns));
    }
    return wait_ns;
}

/* What X-RateLimit-* and RateLimit would say, in whole seconds. */
static void add_hint(struct rf_vnode *n, const struct rf_vask *ask, uint64_t now_ns,
                     struct rf_vreply *out)
{
    for (uint32_t i = 0; n->hints && i <= n->n_also; i++) {
        struct rf_vlimit *l = limit_at(n, i);
        if (!rf_vlimit_covers(l, ask))
            continue;
        uint64_t left = rf_vlimit_left(l, ask, now_ns);
        uint64_t wait_ns = l->kind == RF_VLIMIT_FIXED
                               ? l->window_ns - (now_ns + l->phase_ns) % l->window_ns
                               : l->window_ns;
        out->rate = (struct rf_rate_hint){.any = true,
                                          .remaining = left,
                                          .reset_ns = (wait_ns + RF_SEC - 1) / RF_SEC * RF_SEC,
                                          .quota = rf_vlimit_count(l, now_ns),
                                          .window_ns = l->window_ns};
        return;
    }
}

/* A date is whole seconds, rounded up; held against the reply's own Date, rounded down, or against
 * the client's clock. */
static uint64_t date_wait(const struct rf_vnode *n, uint64_t now_ns, uint64_t wait_ns)
{
    uint64_t date = (now_ns + wait_ns + RF_SEC - 1) / RF_SEC * RF_SEC;
    int64_t here = n->no_date ? (int64_t)now_ns + n->clock_ahead_ns
                              : (int64_t)(now_ns / RF_SEC * RF_SEC);
    return (int64_t)date > here ? (uint64_t)((int64_t)date - here) : 0;
}

static void throttle(struct rf_vnode *n, const struct rf_exchange *ex, const struct rf_vask *ask,
                     uint64_t now_ns, struct rf_vreply *out)
{
    uint64_t wait_ns = longest_wait(n, ask, now_ns);
    uint64_t seconds_ns = wait_ns == RF_NEVER ? RF_NEVER : (wait_ns + RF_SEC - 1) / RF_SEC * RF_SEC;
    out->status = 429;
    switch (n->throttle) {
    case RF_VTHROTTLE_429:
        out->retry_after_ns = n->retry_after_ns;
        break;
    case RF_VTHROTTLE_429_SECONDS:
        out->retry_after_ns = seconds_ns;
        break;
    case RF_VTHROTTLE_429_DATE:
        if (wait_ns != RF_NEVER)
            out->retry_after_ns = date_wait(n, now_ns, wait_ns);
        break;
    case RF_VTHROTTLE_BODY:
    case RF_VTHROTTLE_MEMBERS:
        out->status = 200;
        rf_vreply_error(&out->body, ex->id_base, -32005, "request rate exceeded");
        return;
    case RF_VTHROTTLE_503_SECONDS:
        out->status = 503;
        out->retry_after_ns = seconds_ns;
        break;
    }
    rf_buf_str(&out->body, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":429,\"message\":"
                           "\"too many requests\"}}");
}

/* A worker takes it when one is free. @return when it is done. */
static uint64_t work(struct rf_vnode *n, uint64_t now_ns, uint64_t service_ns)
{
    if (n->workers == 0)
        return now_ns + service_ns;
    uint32_t first = 0;
    for (uint32_t i = 1; i < n->workers; i++) {
        if (n->free_at_ns[i] < n->free_at_ns[first])
            first = i;
    }
    n->free_at_ns[first] = rf_max_u64(n->free_at_ns[first], now_ns) + service_ns;
    return n->free_at_ns[first];
}

static uint64_t draw_service(struct rf_vnode *n, const struct rf_call *c, uint32_t slow_by)
{
    const struct rf_vdist *d = &n->service;
    if (n->n_methods > 0) {
        struct rf_vask ask = ask_of(n, c, 1);
        const struct rf_vmethod *m = find_method(n, &ask);
        if (m != NULL)
            d = &m->service;
    }
    return rf_vdist_none(d) ? 0 : rf_vdist_draw(d, &n->rng) * slow_by;
}

/* When the last member is served. */
static uint64_t serve_members(struct rf_vnode *n, const struct rf_exchange *ex, uint32_t slow_by,
                              uint64_t now_ns)
{
    uint64_t last_ns = now_ns, sum_ns = 0;
    for (uint32_t i = 0; i < ex->n; i++) {
        if (ex->call[i] == NULL)
            continue;
        uint64_t service_ns = draw_service(n, ex->call[i], slow_by);
        sum_ns += service_ns;
        if (!n->batch_on_one && service_ns > 0)
            last_ns = rf_max_u64(last_ns, work(n, now_ns, service_ns));
    }
    return n->batch_on_one && sum_ns > 0 ? work(n, now_ns, sum_ns) : last_ns;
}

/* By a running sum over the permilles. */
static enum rf_vfault pick_fault(struct rf_vnode *n, uint64_t now_ns, uint32_t *slow_by)
{
    const struct rf_vfaults *f = &n->faults;
    const unsigned p[] = {0,           f->refuse,  f->hang,      f->reset,
                          f->error5xx, f->html,    f->truncated, f->wrong_ids,
                          f->shuffle,  f->missing, f->duplicate, f->extra,
                          f->no_ids,   f->object};
    if (now_ns >= n->dead_from_ns && now_ns < n->dead_until_ns)
        return RF_VFAULT_REFUSE;
    for (uint32_t i = 0; i < n->n_outages; i++) {
        const struct rf_voutage *o = &n->outage[i];
        if (now_ns < o->from_ns || now_ns >= o->until_ns ||
            (o->permille > 0 && rf_rng_below(&n->rng, 1000) >= o->permille))
            continue;
        if (o->fault == RF_VFAULT_SLOW)
            *slow_by = o->slow_by;
        return o->fault;
    }
    uint64_t x = rf_rng_below(&n->rng, 1000);
    for (unsigned i = 1; i < RF_COUNT(p); i++) {
        if (x < p[i])
            return (enum rf_vfault)i;
        x -= p[i];
    }
    return RF_VFAULT_NONE;
}

static bool transport_fault(enum rf_vfault fault, struct rf_vreply *out)
{
    switch (fault) {
    case RF_VFAULT_REFUSE:
        out->transport = RF_T_CONNECT;
        out->reason = "connection refused";
        return true;
    case RF_VFAULT_HANG:
        out->delay_ns = RF_NEVER;
        return true;
    default:
        return false;
    }
}

static const struct rf_call *first_call(const struct rf_exchange *ex)
{
    for (uint32_t i = 0; i < ex->n; i++) {
        if (ex->call[i] != NULL)
            return ex->call[i];
    }
    return NULL;
}

static bool any_limit(const struct rf_vnode *n)
{
    return n->own.kind != RF_VLIMIT_NONE || n->n_also > 0;
}

/* Members one by one. @return out: whether each is refused; the caller's to free. */
static bool *admit_members(struct rf_vnode *n, const struct rf_exchange *ex, uint64_t now_ns,
                           uint64_t until_ns)
{
    bool *refused = rf_alloc(ex->n * sizeof *refused);
    for (uint32_t i = 0; refused != NULL && i < ex->n; i++) {
        if (ex->call[i] == NULL)
            continue;
        struct rf_vask ask = ask_of(n, ex->call[i], 1);
        refused[i] = !admit(n, &ask, now_ns, until_ns);
    }
    return refused;
}

/* It was let in: the answer, or what a fault makes of it. */
static void answer(struct rf_vnode *n, const struct rf_exchange *ex, enum rf_vfault fault,
                   const bool *refused, struct rf_vreply *out)
{
    if (fault == RF_VFAULT_RESET) {
        out->transport = RF_T_RESET;
        out->reason = "connection reset";
    } else if (fault == RF_VFAULT_5XX) {
        out->status = 503;
        rf_buf_str(&out->body, "upstream connect error");
    } else if (fault == RF_VFAULT_HTML) {
        rf_buf_str(&out->body, "<html><body>hello</body></html>");
    } else {
        rf_vnode_write(n, ex, fault, refused, out);
        if (fault == RF_VFAULT_TRUNCATED)
            out->body.len -= out->body.len / 3 + 1;
    }
}

void rf_vnode_arrive(struct rf_vnode *n, struct rf_exchange *ex, uint64_t now_ns,
                     struct rf_vreply *out)
{
    uint32_t slow_by = 1;
    n->now_ns = now_ns;
    n->requests++;
    n->calls += ex->n;
    out->delay_ns = rf_vnode_travel(n);
    enum rf_vfault fault = pick_fault(n, now_ns, &slow_by);
    if (transport_fault(fault, out))
        return;
    if (n->batch_cap > 0 && ex->n > n->batch_cap) {
        n->refused_batches++;
        rf_vnode_write_refusal(n, ex, out);
        return;
    }
    const struct rf_call *first = first_call(ex);
    bool limited = any_limit(n) && first != NULL, *refused = NULL;
    bool members = limited && n->throttle == RF_VTHROTTLE_MEMBERS;
    struct rf_vask ask = {0};
    if (limited)
        ask = ask_of(n, first, ex->n);
    /* The workers are asked before the limits, because a cap on what runs at once has to know when
     * this ends; what is refused then gives its place back. */
    uint64_t before[RF_VNODE_WORKERS];
    memcpy(before, n->free_at_ns, n->workers * sizeof before[0]);
    uint64_t done_ns = serve_members(n, ex, slow_by, now_ns);
    if (members) {
        refused = admit_members(n, ex, now_ns, done_ns);
    } else if (limited && !admit(n, &ask, now_ns, done_ns)) {
        memcpy(n->free_at_ns, before, n->workers * sizeof before[0]);
        throttle(n, ex, &ask, now_ns, out);
        add_hint(n, &ask, now_ns, out);
        return;
    }
    out->delay_ns += done_ns - now_ns;
    if (limited)
        add_hint(n, &ask, now_ns, out);
    answer(n, ex, fault, refused, out);
    rf_free(refused);
}

void rf_vnode_ghost(struct rf_vnode *n, const struct rf_vghost *g, uint64_t now_ns)
{
    struct rf_vask ask = {
        .method = g->method, .method_len = strlen(g->method), .calls = g->calls, .weight = 1};
    const struct rf_vmethod *m = find_method(n, &ask);
    if (m != NULL)
        ask.weight = m->weight;
    n->requests++;
    n->calls += g->calls;
    n->ghosts++;
    admit(n, &ask, now_ns, work(n, now_ns, rf_vdist_draw(&n->service, &n->rng)));
}

void rf_vnode_serve(struct rf_vnode *n, struct rf_exchange *ex, uint64_t now_ns,
                    struct rf_vreply *out)
{
    uint64_t way_ns = rf_vnode_travel(n);
    rf_vnode_arrive(n, ex, now_ns + way_ns, out);
    out->delay_ns = rf_time_add(out->delay_ns, way_ns);
}
