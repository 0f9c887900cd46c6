/* vworld.c - the order of the world: a heap of clients by the time of what each does next.
 *
 * Happy path: the earliest client runs to that instant and no further, so that all clients'
 * requests reach a shared node in the order of time; what it does next puts it back into the heap.
 * An event costs the depth of the heap, whatever the number of clients. Failure modes: a closed
 * load whose calls fail at once would never let time go on: it is filled up again at most once a
 * millisecond. */
#include "sim/vworld.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "core/state.h"

#define FNV_START UINT64_C(14695981039346656037)
#define FNV_PRIME UINT64_C(1099511628211)
#define REFILL_NS RF_MS
#define QUIET_NS (400 * RF_SEC) /* longer than any attempt, pause or backoff */

static void mix(struct rf_vworld *w, uint64_t x)
{
    w->hash = (w->hash ^ x) * FNV_PRIME;
}

bool rf_vworld_init(struct rf_vworld *w, uint32_t max_clients, uint64_t seed)
{
    w->hash = FNV_START;
    w->seed = seed;
    w->max_clients = max_clients;
    w->client = rf_alloc(max_clients * sizeof w->client[0]);
    return w->client != NULL && rf_heap_reserve(&w->order, max_clients);
}

static uint64_t on_travel(void *arg, struct rf_exchange *ex, uint64_t now_ns)
{
    struct rf_vclient *c = arg;
    struct rf_vworld *w = c->world;
    c->book.exchanges++;
    c->book.sent += ex->n;
    c->book.unwanted += ex->live == 0;
    for (uint32_t i = 0; i < ex->n; i++)
        c->book.past_deadline += ex->call[i] != NULL && now_ns >= ex->call[i]->deadline_ns;
    mix(w, now_ns);
    mix(w, (uint64_t)c->index << 32 | ex->endpoint);
    mix(w, ex->n);
    if (w->hooks.sent != NULL)
        w->hooks.sent(w->hooks.arg, c, ex, now_ns);
    return rf_vnode_travel(&w->node[ex->endpoint]);
}

static void on_serve(void *arg, struct rf_exchange *ex, uint64_t now_ns, struct rf_vreply *out)
{
    struct rf_vclient *c = arg;
    struct rf_vworld *w = c->world;
    if (w->hooks.serve != NULL && w->hooks.serve(w->hooks.arg, c, ex, now_ns, out))
        return;
    rf_vnode_arrive(&w->node[ex->endpoint], ex, now_ns, out);
}

static void on_ghost(void *arg, const struct rf_vghost *g, uint64_t now_ns)
{
    const struct rf_vclient *c = arg;
    rf_vnode_ghost(&c->world->node[g->endpoint], g, now_ns);
}

static bool is_own_answer(struct rf_vworld *w, const struct rf_call *call)
{
    if (w->node[0].block_ns > 0)
        return true; /* numbers of blocks are nobody's own */
    w->want.len = 0;
    rf_vnode_answer(call, &w->want);
    return w->want.len == call->json_len && memcmp(w->want.data, call->json, w->want.len) == 0;
}

static void on_done(void *arg, struct rf_call *call, uint64_t now_ns)
{
    struct rf_vclient *c = arg;
    struct rf_vworld *w = c->world;
    const struct rf_vcall *v = RF_CONTAINER(call, struct rf_vcall, call);
    mix(w, now_ns);
    mix(w, (uint64_t)c->index << 32 | call->err);
    mix(w, v->number);
    if (!c->slot[v->slot].open) {
        c->book.twice++;
        return;
    }
    c->slot[v->slot].open = false;
    c->book.answered++;
    c->book.by_err[call->err]++;
    c->book.latest_ns = rf_max_u64(c->book.latest_ns, rf_time_sub(now_ns, call->deadline_ns));
    if (call->err == RPCFAN_OK) {
        c->book.ok++;
        c->book.wrong += !is_own_answer(w, call);
    }
    if (w->hooks.done != NULL)
        w->hooks.done(w->hooks.arg, c, call, now_ns);
    c->spare[c->n_spare++] = v->slot;
    c->n_live--;
}

static bool take_slots(struct rf_vclient *c, uint32_t n)
{
    c->slot = rf_alloc(n * sizeof c->slot[0]);
    c->spare = rf_alloc(n * sizeof c->spare[0]);
    if (c->slot == NULL || c->spare == NULL)
        return false;
    c->n_slots = c->n_spare = n;
    for (uint32_t i = 0; i < n; i++)
        c->spare[i] = n - 1 - i;
    return true;
}

struct rf_vclient *rf_vworld_add(struct rf_vworld *w, const struct rpcfan_options *o,
                                 const struct rf_vload *load, struct rpcfan_error *err)
{
    assert(w->n_clients < w->max_clients);
    struct rf_vclient *c = &w->client[w->n_clients];
    struct rpcfan_options own = *o;
    struct rf_vhooks hooks = {
        .arg = c, .travel = on_travel, .serve = on_serve, .ghost = on_ghost, .done = on_done};
    c->world = w;
    c->index = w->n_clients;
    c->load = *load;
    rf_rng_init(&c->rng, w->seed * 1000003 + c->index);
    own.seed = rf_rng_next(&c->rng) | 1;
    if (!take_slots(c, o->pending_calls)) {
        rf_fail(err, RPCFAN_ENOMEM, "out of memory");
        return NULL;
    }
    if (rf_vshell_new(&own, &hooks, NULL, &c->shell, err) != RPCFAN_OK)
        return NULL;
    w->n_clients++;
    rf_vworld_touch(c);
    return c;
}

/* When the open load has its next call. */
static uint64_t next_call(struct rf_vclient *c, uint64_t now_ns)
{
    const struct rf_vload *l = &c->load;
    uint64_t at_ns = RF_NEVER;
    if (l->per_s > 0 && l->poisson) {
        double unit = ((double)(rf_rng_next(&c->rng) >> 11) + 1.0) / 9007199254740992.0;
        at_ns = now_ns + (uint64_t)(-log(unit) / l->per_s * 1e9);
    } else if (l->per_s > 0) {
        at_ns = c->began_ns + (uint64_t)((double)++c->made * 1e9 / l->per_s);
    }
    return l->until_ns > 0 && at_ns > l->until_ns ? RF_NEVER : at_ns;
}

/* A closed load that is half empty is filled up, at most once in REFILL_NS. */
static uint64_t next_refill(const struct rf_vclient *c)
{
    const struct rf_vload *l = &c->load;
    bool over = l->until_ns > 0 && c->refill_ns > l->until_ns;
    return l->backlog == 0 || over || c->n_live > l->backlog / 2 ? RF_NEVER : c->refill_ns;
}

static void put_in_order(struct rf_vclient *c)
{
    struct rf_vworld *w = c->world;
    uint64_t at_ns = rf_min_u64(rf_vshell_next(c->shell), c->next_call_ns);
    at_ns = rf_max_u64(rf_min_u64(at_ns, next_refill(c)), w->now_ns);
    rf_heap_remove(&w->order, &c->at);
    if (at_ns == RF_NEVER)
        return;
    bool pushed = rf_heap_push(&w->order, &c->at, at_ns);
    assert(pushed);
    (void)pushed;
}

void rf_vworld_touch(struct rf_vclient *c)
{
    rf_vshell_run(c->shell, c->world->now_ns);
    c->began_ns = c->refill_ns = c->world->now_ns;
    c->made = 0;
    c->next_call_ns = next_call(c, c->began_ns);
    put_in_order(c);
}

static void submit(struct rf_vclient *c)
{
    const struct rf_vload *l = &c->load;
    if (c->n_spare == 0 || (l->pending_max > 0 && c->n_live >= l->pending_max)) {
        c->book.turned_away++;
        return;
    }
    uint32_t slot = c->spare[--c->n_spare];
    uint64_t number = ++c->book.submitted;
    uint64_t asks = l->repeat > 1 ? number / l->repeat : number;
    const char *method = l->n_methods > 0 ? l->method[asks % l->n_methods] : "eth_call";
    char params[24] = "[";
    size_t n = 1 + rf_u64_text(asks, params + 1);
    params[n] = ']';
    params[n + 1] = '\0';
    struct rf_vcall *v = c->slot[slot].call;
    if (v == NULL) {
        v = c->slot[slot].call = rf_vcall_new(number, method, params);
        assert(v != NULL);
    } else {
        rf_vcall_renew(v, number, method, params);
    }
    v->slot = slot;
    if (l->policies)
        v->call.policy = (uint8_t)rf_rng_below(&c->rng, RPCFAN_BROADCAST + 1);
    c->slot[slot].open = true;
    c->n_live++;
    uint64_t life_ns = l->life_ns + rf_rng_below(&c->rng, l->life_span_ns);
    rf_vshell_submit(c->shell, v, rf_time_add(rf_vshell_now(c->shell), life_ns));
    if (l->cancel_permille > 0 && rf_rng_below(&c->rng, 1000) < l->cancel_permille)
        rf_vshell_cancel(c->shell, v);
}

static void go_on(struct rf_vclient *c, uint64_t now_ns)
{
    rf_vshell_run(c->shell, now_ns);
    while (c->next_call_ns <= now_ns) {
        submit(c);
        c->next_call_ns = next_call(c, c->next_call_ns);
    }
    if (next_refill(c) <= now_ns) {
        while (c->n_live < c->load.backlog && c->n_spare > 0)
            submit(c);
        c->refill_ns = now_ns + REFILL_NS;
    }
    rf_vshell_run(c->shell, now_ns);
}

void rf_vworld_run(struct rf_vworld *w, uint64_t until_ns)
{
    struct rf_heap_node *n;
    while ((n = rf_heap_top(&w->order)) != NULL && n->at_ns <= until_ns) {
        struct rf_vclient *c = RF_CONTAINER(n, struct rf_vclient, at);
        w->now_ns = n->at_ns;
        w->events++;
        go_on(c, w->now_ns);
        put_in_order(c);
    }
    w->now_ns = rf_max_u64(w->now_ns, until_ns);
    for (uint32_t i = 0; i < w->n_clients; i++)
        rf_vshell_run(w->client[i].shell, w->now_ns); /* nothing is due: only the time */
}

void rf_vworld_close(struct rf_vworld *w, enum rpcfan_close_mode mode)
{
    for (uint32_t i = 0; i < w->n_clients; i++) {
        struct rf_vclient *c = &w->client[i];
        c->load.backlog = 0;
        c->load.per_s = 0;
        rf_vshell_close(c->shell, mode);
        rf_vworld_touch(c);
    }
    rf_vworld_run(w, rf_time_add(w->now_ns, QUIET_NS));
}

struct rf_vbook rf_vworld_sum(const struct rf_vworld *w)
{
    struct rf_vbook sum = {0};
    for (uint32_t i = 0; i < w->n_clients; i++) {
        const struct rf_vbook *b = &w->client[i].book;
        sum.submitted += b->submitted;
        sum.answered += b->answered;
        sum.ok += b->ok;
        sum.turned_away += b->turned_away;
        sum.wrong += b->wrong;
        sum.twice += b->twice;
        sum.exchanges += b->exchanges;
        sum.sent += b->sent;
        sum.past_deadline += b->past_deadline;
        sum.unwanted += b->unwanted;
        sum.latest_ns = rf_max_u64(sum.latest_ns, b->latest_ns);
        for (unsigned e = 0; e < RPCFAN_ERR_COUNT; e++)
            sum.by_err[e] += b->by_err[e];
    }
    return sum;
}

static bool gate_settled(const struct rf_gate *g)
{
    bool ok = true;
    for (unsigned k = 0; k < g->limiter.n; k++)
        ok = ok && g->limiter.w[k].in_flight == 0;
    return ok;
}

static bool network_settled(const struct rf_network *net)
{
    bool ok = net->queued + net->delayed + net->in_flight == 0 && net->submitted == net->answered;
    for (uint32_t i = 0; i < net->n_ep; i++)
        ok = ok && net->ep[i].in_flight == 0 && gate_settled(&net->ep[i].gate);
    return ok;
}

bool rf_vworld_settled(const struct rf_vworld *w)
{
    bool ok = true;
    for (uint32_t i = 0; i < w->n_clients; i++) {
        const struct rf_vclient *c = &w->client[i];
        const struct rf_core *core = rf_vshell_core(c->shell);
        ok = ok && c->n_live == 0 && rf_core_idle(core) && core->in_flight == 0 &&
             core->delays.len == 0 && core->n_legs == 0 && rf_list_empty(&core->plans);
        for (uint32_t n = 0; n < core->n_accounts; n++)
            ok = ok && gate_settled(&core->account[n].gate);
        for (uint32_t n = 0; n < core->n_net; n++)
            ok = ok && network_settled(&core->net[n]);
    }
    return ok;
}

void rf_vworld_fini(struct rf_vworld *w)
{
    for (uint32_t i = 0; i < w->n_clients; i++) {
        struct rf_vclient *c = &w->client[i];
        rf_vshell_free(c->shell);
        for (uint32_t k = 0; k < c->n_slots; k++) {
            if (c->slot[k].call != NULL)
                rf_vcall_free(c->slot[k].call);
        }
        rf_free(c->slot);
        rf_free(c->spare);
    }
    rf_free(w->client);
    rf_heap_fini(&w->order);
    rf_buf_fini(&w->want);
}

double rf_jain(const double *share, uint32_t n)
{
    double sum = 0, squares = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += share[i];
        squares += share[i] * share[i];
    }
    return squares > 0 ? sum * sum / (n * squares) : 1;
}
