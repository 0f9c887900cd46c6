/* vfeed.c - the feed's virtual world: its time, and what belongs to it. See vfeed.h.
 *
 * Happy path: time jumps to whatever is due first - something on a wire, the validator, the engine,
 * a feed, the consumer - and never past one. Frames leave the node when it says so and arrive after
 * a delay, in order, as TCP has it. Failure modes are what the options ask for; a breach stops
 * time. */
#include "sim/vfeed.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "sim/vfeed_int.h"

#define BEGIN_NS (1000 * RF_SEC)

void rf_vfeed_breach(struct rf_vfeed *w, const char *fmt, ...)
{
    va_list ap;
    if (w->bad[0] != '\0')
        return;
    int n = snprintf(w->bad, sizeof w->bad,
                     "%.3f s: ", (double)(w->now_ns - w->began_ns) / (double)RF_SEC);
    va_start(ap, fmt);
    vsnprintf(w->bad + n, sizeof w->bad - (size_t)n, fmt, ap);
    va_end(ap);
}

void rf_vfeed_stir(struct rf_vfeed *w, uint64_t a, uint64_t b)
{
    w->hash = (w->hash ^ a) * UINT64_C(0x9fb21c651e98df25);
    w->hash ^= w->hash >> 32;
    w->hash = (w->hash ^ b) * UINT64_C(0x9e3779b97f4a7c15);
    w->hash ^= w->hash >> 29;
}

uint64_t rf_vfeed_delay(struct rf_vfeed *w, uint64_t ns)
{
    return ns + rf_rng_below(&w->wire_rng, ns + 1);
}

bool rf_vfeed_chance(struct rf_vfeed *w, uint32_t permille)
{
    return permille > 0 && rf_rng_below(&w->wire_rng, 1000) < permille;
}

bool rf_vfeed_put(struct rf_vfeed *w, struct rf_vfeed_event *ev, uint64_t at_ns)
{
    if (rf_heap_push(&w->wire, &ev->at, at_ns))
        return true;
    rf_vfeed_breach(w, "out of memory");
    return false;
}

void rf_vfeed_free_event(struct rf_vfeed_event *ev)
{
    rf_blob_unref(ev->blob);
    rf_free(ev);
}

/* What the feeds do. */

static struct rf_vfeed_client *client_of(void *arg, struct rf_vfeed **w, uint32_t *i)
{
    struct rf_vfeed_owner *o = arg;
    *w = o->w;
    *i = o->client;
    return &o->w->client[o->client];
}

static uint64_t feed_subscribe(void *arg, const char *method, struct rpcfan_slice params,
                               uint64_t tag)
{
    struct rf_vfeed *w;
    uint32_t i;
    struct rf_vfeed_client *c = client_of(arg, &w, &i);
    struct rf_subs_want want = {.method = method,
                                .params = params,
                                .copies = w->o.feed.copies,
                                .tag = tag | (uint64_t)i << RF_VFEED_TAG_BITS};
    if (c->n_subs == c->cap_subs) {
        uint32_t cap = c->cap_subs == 0 ? 16 : 2 * c->cap_subs;
        void *p = rf_realloc(c->sub, cap * sizeof *c->sub);
        if (p == NULL)
            return 0;
        c->sub = p;
        c->cap_subs = cap;
    }
    uint64_t sub = rf_subs_add(w->subs, &want, w->now_ns);
    if (sub != 0)
        c->sub[c->n_subs++] = sub;
    return sub;
}

static void feed_unsubscribe(void *arg, uint64_t sub)
{
    struct rf_vfeed *w;
    uint32_t i;
    struct rf_vfeed_client *c = client_of(arg, &w, &i);
    for (uint32_t k = 0; k < c->n_subs; k++)
        if (c->sub[k] == sub) {
            c->sub[k] = c->sub[--c->n_subs];
            rf_subs_remove(w->subs, sub, w->now_ns);
            return;
        }
}

static void feed_distrust(void *arg, uint64_t session, const char *why)
{
    struct rf_vfeed *w;
    uint32_t i;
    client_of(arg, &w, &i);
    if (session > w->session_base)
        rf_subs_distrust(w->subs, session - w->session_base, why, w->now_ns);
}

static void feed_call(void *arg, const struct rf_feed_call *call)
{
    struct rf_vfeed *w;
    uint32_t i;
    client_of(arg, &w, &i);
    rf_vfeed_call_make(w, i, call);
}

static void feed_cancel(void *arg, uint64_t token)
{
    struct rf_vfeed *w;
    uint32_t i;
    client_of(arg, &w, &i);
    rf_vfeed_call_cancel(w, i, token);
}

static void feed_pause(void *arg, uint64_t token, bool pause)
{
    struct rf_vfeed *w;
    uint32_t i;
    client_of(arg, &w, &i);
    rf_vfeed_call_pause(w, i, token, pause);
}

struct rf_feed_ops rf_vfeed_ops(struct rf_vfeed_owner *owner)
{
    return (struct rf_feed_ops){.arg = owner,
                                .subscribe = feed_subscribe,
                                .unsubscribe = feed_unsubscribe,
                                .distrust = feed_distrust,
                                .call = feed_call,
                                .cancel = feed_cancel,
                                .pause = feed_pause};
}

/* Time. */

static uint64_t next_ns(const struct rf_vfeed *w)
{
    uint64_t at = rf_min_u64(rf_heap_next(&w->wire), rf_validator_deadline(w->v));
    at = rf_min_u64(at, rf_subs_deadline(w->subs));
    at = rf_min_u64(at, w->second_ns);
    for (uint32_t i = 0; i < RF_VFEED_CLIENTS; i++)
        if (w->client[i].feed != NULL) {
            at = rf_min_u64(at, rf_feed_deadline(w->client[i].feed));
            at = rf_min_u64(at, w->client[i].next_take_ns);
        }
    return at;
}

static void consume(struct rf_vfeed *w, uint32_t i)
{
    struct rf_vfeed_client *c = &w->client[i];
    if (c->next_take_ns > w->now_ns)
        return;
    rf_vfeed_take(w, i);
    c->next_take_ns = rf_time_add(w->now_ns, w->o.consumer.every_ns);
}

/* Everybody who is pure steps; twice, since what a feed asks of the engine is done by it. */
static void step(struct rf_vfeed *w)
{
    for (int turn = 0; turn < 2; turn++) {
        rf_subs_step(w->subs, w->now_ns);
        for (uint32_t i = 0; i < RF_VFEED_CLIENTS; i++)
            if (w->client[i].feed != NULL)
                rf_feed_step(w->client[i].feed, w->now_ns);
    }
}

/* Once a second: connections may break. */
static void second(struct rf_vfeed *w)
{
    rf_vfeed_break(w, w->o.net.cut);
    rf_vfeed_second(w);
    w->second_ns += RF_SEC;
}

static void instant(struct rf_vfeed *w)
{
    struct rf_heap_node *top;
    if (rf_validator_deadline(w->v) <= w->now_ns) {
        if (w->o.checks.fork_exact)
            rf_vfeed_before_slot(w);
        rf_validator_run(w->v, w->now_ns);
        rf_vfeed_after_slot(w);
    }
    while ((top = rf_heap_top(&w->wire)) != NULL && top->at_ns <= w->now_ns) {
        rf_heap_remove(&w->wire, top);
        rf_vfeed_handle(w, RF_CONTAINER(top, struct rf_vfeed_event, at));
    }
    step(w);
    for (uint32_t i = 0; i < RF_VFEED_CLIENTS; i++)
        if (w->client[i].feed != NULL)
            consume(w, i);
    if (w->second_ns <= w->now_ns)
        second(w);
}

const char *rf_vfeed_run(struct rf_vfeed *w, uint64_t ns)
{
    uint64_t until_ns = w->now_ns + ns;
    unsigned still = 0;
    while (w->bad[0] == '\0') {
        uint64_t at = next_ns(w);
        if (at > until_ns)
            break;
        still = at <= w->now_ns ? still + 1 : 0;
        if (still > 10000)
            rf_vfeed_breach(w, "time stands still: a deadline is never met");
        w->now_ns = rf_max_u64(w->now_ns, at);
        instant(w);
    }
    w->now_ns = until_ns;
    return w->bad[0] == '\0' ? NULL : w->bad;
}

/* Making and ending it. */

static bool make_engine(struct rf_vfeed *w)
{
    static const char *const names[] = {"a", "b"};
    for (uint32_t i = 0; i < w->o.endpoints; i++)
        w->endpoint[i] = (struct rf_subs_endpoint){.name = names[i],
                                                   .subs_per_conn = w->o.subs_per_conn,
                                                   .conns = w->o.conns,
                                                   .per_s = w->o.per_s,
                                                   .lifetime_ns = w->o.lifetime_ns};
    struct rf_subs_options o = {.family = RPCFAN_SOLANA,
                                .endpoint = w->endpoint,
                                .n_endpoints = w->o.endpoints,
                                .heartbeat = true,
                                .roots = true,
                                .seed = rf_rng_next(&w->rng),
                                .log = w->o.log};
    struct rf_subs_ops ops = rf_vfeed_wire_ops(w);
    w->subs = rf_subs_new(&o, &ops, w->now_ns);
    return w->subs != NULL;
}

/* Names of the accounts, where some are watched and no program. */
static bool name_accounts(struct rf_vfeed *w)
{
    w->account = rf_alloc(w->o.accounts * sizeof(char *));
    for (uint32_t i = 0; w->account != NULL && i < w->o.accounts; i++) {
        w->account[i] = rf_memdup(w->banks->key[i].text, w->banks->key[i].text_len);
        if (w->account[i] == NULL)
            return false;
    }
    w->o.feed.accounts = (const char *const *)w->account;
    w->o.feed.n_accounts = w->o.accounts;
    return w->account != NULL;
}

enum rpcfan_err rf_vfeed_new(const struct rf_vfeed_options *o, struct rf_vfeed **out,
                             struct rpcfan_error *err)
{
    struct rf_vfeed *w = rf_alloc(sizeof *w);
    *out = NULL;
    if (w == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    w->o = *o;
    w->now_ns = w->began_ns = BEGIN_NS;
    w->second_ns = w->now_ns + RF_SEC;
    rf_list_init(&w->conns);
    rf_list_init(&w->calls);
    rf_rng_init(&w->rng, o->seed * 2 + 1);
    rf_rng_init(&w->wire_rng, o->seed * 2);
    struct rf_validator_options vo = {o->seed, o->knobs};
    struct rf_validator_ops ops = rf_vfeed_node_ops(w);
    enum rpcfan_err e = rf_validator_new(&vo, &ops, w->now_ns, &w->v, err);
    if (e != RPCFAN_OK)
        goto fail;
    w->banks = rf_validator_banks(w->v);
    w->n_keys = o->accounts == 0 ? w->banks->n_keys : o->accounts;
    if (!make_engine(w) || (o->accounts > 0 && !name_accounts(w))) {
        e = rf_fail(err, RPCFAN_ENOMEM, "out of memory");
        goto fail;
    }
    if (o->accounts == 0)
        w->o.feed.program = rf_validator_program(w->v, 0);
    e = rf_vfeed_begin(w, 0, err);
    if (e != RPCFAN_OK)
        goto fail;
    *out = w;
    return RPCFAN_OK;
fail:
    rf_vfeed_free(w);
    return e;
}

/* What is under way to and from a process that is no more. */
static void drop_wires(struct rf_vfeed *w)
{
    struct rf_heap_node *top;
    rf_vfeed_drop_conns(w);
    for (uint32_t i = 0; i < RF_VFEED_CLIENTS; i++)
        rf_vfeed_call_drop(w, i);
    while ((top = rf_heap_top(&w->wire)) != NULL) {
        rf_heap_remove(&w->wire, top);
        rf_vfeed_free_event(RF_CONTAINER(top, struct rf_vfeed_event, at));
    }
}

void rf_vfeed_free(struct rf_vfeed *w)
{
    if (w == NULL)
        return;
    drop_wires(w);
    for (uint32_t i = 0; i < RF_VFEED_CLIENTS; i++) {
        struct rf_vfeed_client *c = &w->client[i];
        rf_feed_free(c->feed);
        rf_free(c->sub);
        rf_free(c->row);
        rf_free(c->undo);
        rf_free(c->changed);
    }
    rf_subs_free(w->subs);
    rf_validator_free(w->v);
    rf_heap_fini(&w->wire);
    for (uint32_t i = 0; w->account != NULL && i < w->o.accounts; i++)
        rf_free(w->account[i]);
    rf_free(w->account);
    rf_free(w);
}

void rf_vfeed_restart(struct rf_vfeed *w, bool lose)
{
    struct rpcfan_error err = {0};
    w->book.restarts++;
    drop_wires(w);
    rf_vfeed_twin(w, false);
    rf_feed_free(w->client[0].feed);
    w->client[0].feed = NULL;
    w->client[0].n_subs = 0;
    rf_subs_free(w->subs);
    w->session_base += 1000000;
    if (lose)
        rf_vfeed_undo(w, 0);
    if (!make_engine(w) || rf_vfeed_begin(w, 0, &err) != RPCFAN_OK)
        rf_vfeed_breach(w, "restart: %s", err.text);
}

void rf_vfeed_twin(struct rf_vfeed *w, bool on)
{
    struct rf_vfeed_client *c = &w->client[1];
    struct rpcfan_error err = {0};
    if (on && c->feed == NULL) {
        if (rf_vfeed_begin(w, 1, &err) != RPCFAN_OK)
            rf_vfeed_breach(w, "twin: %s", err.text);
    } else if (!on && c->feed != NULL) {
        rf_vfeed_end(w, 1);
    }
}

void rf_vfeed_cut(struct rf_vfeed *w)
{
    rf_vfeed_break(w, 1000);
}

void rf_vfeed_knobs(struct rf_vfeed *w, const char *knobs)
{
    struct rpcfan_error err = {0};
    if (rf_validator_set(w->v, knobs, &err) != RPCFAN_OK)
        rf_vfeed_breach(w, "knobs: %s", err.text);
}

struct rf_vfeed_net *rf_vfeed_net(struct rf_vfeed *w)
{
    return &w->o.net;
}

struct rf_vfeed_consumer *rf_vfeed_consumer(struct rf_vfeed *w)
{
    for (uint32_t i = 0; i < RF_VFEED_CLIENTS; i++)
        w->client[i].next_take_ns = w->now_ns; /* it looks again at once */
    return &w->o.consumer;
}

struct rf_vfeed_checks *rf_vfeed_checks(struct rf_vfeed *w)
{
    return &w->o.checks;
}

const struct rf_vfeed_book *rf_vfeed_book(const struct rf_vfeed *w)
{
    return &w->book;
}

void rf_vfeed_status(const struct rf_vfeed *w, unsigned client, struct rpcfan_feed_status *out)
{
    *out = (struct rpcfan_feed_status){0};
    if (w->client[client].feed != NULL)
        rf_feed_status(w->client[client].feed, w->now_ns, out);
}

void rf_vfeed_subs(const struct rf_vfeed *w, struct rf_subs_counters *out)
{
    rf_subs_count(w->subs, out);
}

struct rf_validator *rf_vfeed_validator(struct rf_vfeed *w)
{
    return w->v;
}

uint64_t rf_vfeed_hash(const struct rf_vfeed *w)
{
    return w->hash;
}

uint64_t rf_vfeed_now(const struct rf_vfeed *w)
{
    return w->now_ns - w->began_ns;
}
