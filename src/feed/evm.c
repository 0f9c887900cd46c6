/* evm.c - Ethereum feeds: coverage, and which of the two cares for what.
 *
 * Happy path: UP is told once; data goes to heads.c or logs.c, which tells it.
 * Failure modes: the last copy goes DOWN: GAP; a copy comes up again: UP, the gap is filled by
 * calls, FILLED. Where that fails for good there is no FILLED, and the feed goes on from where it
 * can. */
#include "feed/evm.h"

#include <string.h>

#include "base/mem.h"
#include "feed/heads.h"
#include "feed/logs.h"
#include "feed/members.h"
#include "policy/backoff.h"

struct rf_evm {
    struct rf_evm_core core;
    enum rf_evm_kind kind;
    struct rf_heads *heads; /* with that kind; owned */
    struct rf_logs *logs;   /* likewise */
};

/* The kind, and the filter of logs. */
static enum rf_evm_kind read_params(const char *method, struct rpcfan_slice params,
                                    struct rpcfan_slice *filter)
{
    struct rf_members m;
    *filter = (struct rpcfan_slice){NULL, 0};
    if (strcmp(method, "eth_subscribe") != 0 || rf_members_begin(&m, params) != RF_TOK_ARRAY ||
        !rf_members_next(&m))
        return RF_EVM_NONE;
    static const char heads[] = "\"newHeads\"", logs[] = "\"logs\"";
    if (m.value.len == sizeof heads - 1 && memcmp(m.value.data, heads, m.value.len) == 0)
        return RF_EVM_HEADS;
    if (m.value.len != sizeof logs - 1 || memcmp(m.value.data, logs, m.value.len) != 0)
        return RF_EVM_NONE;
    if (rf_members_next(&m) && m.tok == RF_TOK_OBJECT)
        *filter = m.value;
    return RF_EVM_LOGS;
}

enum rf_evm_kind rf_evm_kind(const char *method, struct rpcfan_slice params)
{
    struct rpcfan_slice filter;
    return read_params(method, params, &filter);
}

static void set_defaults(struct rf_evm_options *o)
{
    o->margin = o->margin > 0 ? o->margin : 32;
    o->depth = o->depth > 0 ? o->depth : 64;
    o->keep_bytes = o->keep_bytes > 0 ? o->keep_bytes : 16u << 20;
    o->held_bytes = o->held_bytes > 0 ? o->held_bytes : 16u << 20;
    o->settle_ns = o->settle_ns > 0 ? o->settle_ns : 4 * RF_SEC;
    o->poll_ns = o->poll_ns > 0 ? o->poll_ns : 60 * RF_SEC;
    o->timeout_ns = o->timeout_ns > 0 ? o->timeout_ns : 30 * RF_SEC;
    o->name = o->name != NULL ? o->name : "";
}

struct rf_evm *rf_evm_new(const struct rf_evm_options *o, const struct rf_evm_ops *ops,
                          uint64_t now_ns)
{
    struct rf_evm *e = rf_alloc(sizeof *e);
    struct rpcfan_slice filter;
    if (e == NULL)
        return NULL;
    e->core.o = *o;
    e->core.ops = *ops;
    e->core.next_token = 1;
    set_defaults(&e->core.o);
    rf_rng_init(&e->core.rng, o->seed ^ now_ns);
    e->kind = read_params(o->method, o->params, &filter);
    if (e->kind == RF_EVM_HEADS)
        e->heads = rf_heads_new(&e->core);
    else if (e->kind == RF_EVM_LOGS)
        e->logs = rf_logs_new(&e->core, filter);
    if (e->kind != RF_EVM_NONE && e->heads == NULL && e->logs == NULL) {
        rf_free(e);
        return NULL;
    }
    e->core.o.params = (struct rpcfan_slice){NULL, 0};
    return e;
}

void rf_evm_free(struct rf_evm *e)
{
    if (e == NULL)
        return;
    rf_heads_free(e->heads);
    rf_logs_free(e->logs);
    rf_free(e);
}

void rf_evm_tell(struct rf_evm_core *c, const struct rf_evm_told *told)
{
    if (told->kind == RPCFAN_NOTE_DATA) {
        c->count.told++;
        c->count.fetched += told->endpoint == RF_EVM_FETCHED ? 1 : 0;
    }
    c->ops.tell(c->ops.arg, told);
}

void rf_evm_tell_gap(struct rf_evm_core *c, const char *why)
{
    struct rf_evm_told t = {.kind = RPCFAN_NOTE_GAP, .endpoint = c->endpoint, .why = why};
    if (c->gap)
        return;
    c->gap = true;
    c->count.gaps++;
    rf_evm_tell(c, &t);
}

void rf_evm_tell_filled(struct rf_evm_core *c)
{
    struct rf_evm_told t = {.kind = RPCFAN_NOTE_FILLED, .endpoint = c->endpoint};
    if (!c->gap || !rf_evm_covered(c))
        return;
    c->gap = false;
    c->count.filled++;
    rf_evm_tell(c, &t);
}

uint64_t rf_evm_call(struct rf_evm_core *c, const char *method, struct rpcfan_slice params)
{
    struct rf_feed_call call = {.token = c->next_token++,
                                .method = method,
                                .params = params,
                                .timeout_ns = c->o.timeout_ns};
    c->count.calls++;
    c->ops.call(c->ops.arg, &call);
    return call.token;
}

uint64_t rf_evm_wait(struct rf_evm_core *c, uint32_t n)
{
    return RF_EVM_FIRST_WAIT_NS / 2 +
           rf_backoff_full_jitter(RF_EVM_FIRST_WAIT_NS, RF_EVM_LONGEST_WAIT_NS, n, &c->rng);
}

uint64_t *rf_evm_session(struct rf_evm_core *c, uint64_t session)
{
    for (uint32_t i = 0; i < RF_EVM_SESSIONS; i++)
        if (c->up[i] == session)
            return &c->up[i];
    return NULL;
}

bool rf_evm_covered(const struct rf_evm_core *c)
{
    uint64_t any = 0;
    for (uint32_t i = 0; i < RF_EVM_SESSIONS; i++)
        any |= c->up[i];
    return any != 0;
}

static void note_up(struct rf_evm *e, const struct rf_note *n, uint64_t now_ns)
{
    struct rf_evm_core *c = &e->core;
    bool was = rf_evm_covered(c);
    uint64_t *place = rf_evm_session(c, 0);
    if (place == NULL || rf_evm_session(c, n->session) != NULL)
        return;
    *place = n->session;
    c->endpoint = n->endpoint;
    if (was)
        return;
    struct rf_evm_told t = {.kind = RPCFAN_NOTE_UP, .endpoint = n->endpoint};
    rf_evm_tell(c, &t);
    if (e->heads != NULL)
        rf_heads_up(e->heads, now_ns);
    else if (e->logs != NULL)
        rf_logs_up(e->logs, c->ever, now_ns);
    else
        c->gap = false; /* what has no history cannot be fetched */
    c->ever = true;
}

static void note_down(struct rf_evm *e, const struct rf_note *n, uint64_t now_ns)
{
    struct rf_evm_core *c = &e->core;
    uint64_t *place = n->session != 0 ? rf_evm_session(c, n->session) : NULL;
    if (place == NULL)
        return;
    *place = 0;
    if (!rf_evm_covered(c))
        rf_evm_tell_gap(c, n->why != NULL ? n->why : "");
    else if (e->logs != NULL) /* what only that session would have taken back */
        rf_logs_up(e->logs, true, now_ns);
}

static void note_refused(struct rf_evm *e, const struct rf_note *n)
{
    struct rf_evm_told t = {
        .kind = RPCFAN_NOTE_END, .endpoint = n->endpoint, .json = n->json, .blob = n->blob};
    e->core.over = true;
    rf_evm_tell(&e->core, &t);
}

static void note_data(struct rf_evm *e, const struct rf_note *n, uint64_t now_ns)
{
    if (e->heads != NULL) {
        rf_heads_data(e->heads, n, now_ns);
    } else if (e->logs != NULL) {
        rf_logs_data(e->logs, n, now_ns);
    } else {
        struct rf_evm_told t = {
            .kind = RPCFAN_NOTE_DATA, .endpoint = n->endpoint, .json = n->json, .blob = n->blob};
        rf_evm_tell(&e->core, &t);
    }
}

void rf_evm_note(struct rf_evm *e, const struct rf_note *n, uint64_t now_ns)
{
    if (e->core.over)
        return;
    switch (n->kind) {
    case RF_NOTE_UP:
        note_up(e, n, now_ns);
        break;
    case RF_NOTE_DATA:
        note_data(e, n, now_ns);
        break;
    case RF_NOTE_DOWN:
        note_down(e, n, now_ns);
        break;
    case RF_NOTE_REFUSED:
        note_refused(e, n);
        break;
    default:
        break;
    }
}

void rf_evm_answer(struct rf_evm *e, uint64_t token, const struct rf_feed_answer *a,
                   uint64_t now_ns)
{
    if (e->core.over)
        return;
    if (e->heads != NULL)
        rf_heads_answer(e->heads, token, a, now_ns);
    if (e->logs != NULL)
        rf_logs_answer(e->logs, token, a, now_ns);
}

void rf_evm_step(struct rf_evm *e, uint64_t now_ns)
{
    if (e->core.over)
        return;
    if (e->heads != NULL)
        rf_heads_step(e->heads, now_ns);
    if (e->logs != NULL)
        rf_logs_step(e->logs, now_ns);
}

uint64_t rf_evm_deadline(const struct rf_evm *e)
{
    uint64_t due = e->heads != NULL ? rf_heads_deadline(e->heads) : RF_NEVER;
    if (e->logs != NULL)
        due = rf_min_u64(due, rf_logs_deadline(e->logs));
    return e->core.over ? RF_NEVER : due;
}

void rf_evm_count(const struct rf_evm *e, struct rf_evm_counters *out)
{
    *out = e->core.count;
}
