/* evm_world.h - a chain with forks, a node that tells of it and answers calls, and a consumer that
 * is strict, in virtual time. Included by test_heads.c, test_logs.c, test_evm.c. */
#ifndef RF_TEST_EVM_WORLD_H
#define RF_TEST_EVM_WORLD_H

#include "feed/evm.h"

#include <inttypes.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/heap.h"
#include "base/mem.h"
#include "base/rng.h"
#include "feed/evm_json.h"
#include "feed/table.h"

#define V_BLOCKS 60000
#define V_LOGS 4

struct v_block {
    uint32_t parent; /* index; 0: the first */
    uint64_t number, at;
    uint8_t hash[32];
    uint32_t n_logs;
    uint32_t told[V_LOGS]; /* by the consumer's count: 1 while it is there */
};

enum v_what { V_NOTE, V_ANSWER };

struct v_event {
    struct rf_heap_node at;
    enum v_what what;
    uint64_t session, token;
    struct rf_feed_answer answer;
    struct rf_blob *blob;
    const char *method; /* V_ANSWER: to be served when it is answered, not when it is asked */
    char *params;
};

/* The chain's tip at a time: what a node that is behind still sees. */
struct v_tip {
    uint64_t at;
    uint32_t block;
};

struct vworld {
    struct rf_evm *e;
    bool heads; /* else logs */
    struct v_block block[V_BLOCKS];
    struct v_tip tips[V_BLOCKS];
    uint32_t n, n_tips, tip;
    struct rf_heap events;
    struct rf_rng rng;
    uint64_t now, session, lag_ns, delay_ns;
    uint32_t fail; /* of 1000 calls, so many fail */
    bool quiet;    /* blocks have no logs */
    bool late;     /* calls are served at the end of their time */
    bool ordered;  /* logs must come in the order of their blocks */
    bool refuse;   /* calls are answered with an error object */
    bool up;
    uint64_t entered;   /* allocations by then */
    uint64_t starve_at; /* not 0: the allocation of the feed that fails, counted from here */
    uint64_t last_note; /* notes of a session keep their order */
    /* the consumer */
    uint32_t stack[V_BLOCKS]; /* heads that it has */
    uint32_t depth;
    uint64_t first_block; /* logs: of this block or later must be there */
    uint32_t data, removed, ups, gaps, fills, ends, blind;
    bool in_gap;
    uint64_t calls;
    uint64_t newest; /* block of the latest log */
    uint64_t widest; /* blocks that an eth_getLogs asked for */
};

static struct vworld vw;

static void v_hash(uint32_t i, uint8_t hash[32])
{
    uint64_t v = rf_hash_u64(i + 1000);
    for (int k = 0; k < 4; k++) {
        memcpy(hash + 8 * k, &v, 8);
        v = rf_hash_u64(v);
    }
}

static uint32_t v_find(const struct vworld *v, const uint8_t hash[32])
{
    for (uint32_t i = v->n; i-- > 0;)
        if (memcmp(v->block[i].hash, hash, 32) == 0)
            return i;
    fail_msg("a block that never was");
    return 0;
}

static uint32_t v_new_block(struct vworld *v, uint32_t parent)
{
    uint32_t i = v->n++;
    assert_true(i < V_BLOCKS);
    struct v_block *b = &v->block[i];
    b->parent = parent;
    b->number = i == 0 ? 100 : v->block[parent].number + 1;
    b->at = v->now;
    b->n_logs = v->quiet ? 0 : (uint32_t)rf_rng_below(&v->rng, V_LOGS + 1);
    v_hash(i, b->hash);
    return i;
}

static void v_set_tip(struct vworld *v, uint32_t block)
{
    v->tip = block;
    v->tips[v->n_tips].at = v->now;
    v->tips[v->n_tips++].block = block;
}

static void v_write_head(struct rf_buf *b, const struct v_block *x, const struct v_block *parent,
                         bool whole)
{
    rf_buf_str(b, "{\"number\":");
    rf_evm_write_u64(b, x->number);
    rf_buf_str(b, ",\"hash\":");
    rf_evm_write_hash(b, x->hash);
    rf_buf_str(b, whole ? ",\"transactions\":[\"0x1\",{\"a\":[]}],\"uncles\":[],\"parentHash\":"
                        : ",\"parentHash\":");
    rf_evm_write_hash(b, parent->hash);
    rf_buf_str(b, ",\"extraData\":\"0x\"}");
}

static void v_write_log(struct rf_buf *b, const struct v_block *x, uint32_t index, bool removed)
{
    rf_buf_printf(b,
                  "{\"address\":\"0xabc\",\"topics\":[],\"data\":\"0x%u\",\"blockNumber\":", index);
    rf_evm_write_u64(b, x->number);
    rf_buf_str(b, ",\"blockHash\":");
    rf_evm_write_hash(b, x->hash);
    rf_buf_str(b, ",\"logIndex\":");
    rf_evm_write_u64(b, index);
    rf_buf_printf(b, ",\"removed\":%s}", removed ? "true" : "false");
}

/* Events. */

static struct rf_blob *v_blob(const char *text, size_t len)
{
    struct rf_blob *blob = rf_blob_new(len + 1);
    assert_true(blob != NULL && rf_blob_add(blob, text, len));
    return blob;
}

static struct v_event *v_event(struct vworld *v, enum v_what what, uint64_t at)
{
    struct v_event *ev = calloc(1, sizeof *ev);
    ev->what = what;
    assert_true(rf_heap_push(&v->events, &ev->at, at));
    return ev;
}

static uint64_t v_delay(struct vworld *v)
{
    return 1 + rf_rng_below(&v->rng, v->delay_ns);
}

static void v_notify(struct vworld *v, struct rf_buf *b)
{
    if (v->up) {
        v->last_note = rf_max_u64(v->last_note, v->now + v_delay(v));
        struct v_event *ev = v_event(v, V_NOTE, v->last_note);
        ev->session = v->session;
        ev->blob = v_blob(b->data, b->len);
    }
    rf_buf_fini(b);
}

static void v_notify_block(struct vworld *v, uint32_t i, bool removed)
{
    struct rf_buf b = {0};
    if (v->heads && !removed) {
        v_write_head(&b, &v->block[i], &v->block[v->block[i].parent], false);
        v_notify(v, &b);
    }
    for (uint32_t k = 0; !v->heads && k < v->block[i].n_logs; k++) {
        v_write_log(&b, &v->block[i], k, removed);
        v_notify(v, &b);
    }
}

/* `depth` blocks are replaced by `made` new ones; 0: the chain goes on. */
static void v_mine(struct vworld *v, uint32_t depth, uint32_t made)
{
    uint32_t at = v->tip, first = v->n;
    for (uint32_t i = 0; i < depth; i++) {
        v_notify_block(v, at, true);
        at = v->block[at].parent;
    }
    for (uint32_t i = 0; i < made; i++)
        at = v_new_block(v, at);
    v_set_tip(v, at);
    for (uint32_t i = first; i < v->n; i++)
        v_notify_block(v, i, false);
}

/* Answers. */

static uint32_t v_seen_tip(const struct vworld *v)
{
    uint32_t i = v->n_tips;
    while (i > 1 && v->tips[i - 1].at + v->lag_ns > v->now)
        i--;
    return v->tips[i - 1].block;
}

static uint64_t v_u64(const char *text)
{
    return strtoull(text + 2, NULL, 16);
}

static void v_answer_logs(struct vworld *v, json_t *params, uint32_t tip, struct rf_buf *b)
{
    json_t *filter = json_array_get(params, 0);
    uint64_t from = v_u64(json_string_value(json_object_get(filter, "fromBlock")));
    static uint32_t way[V_BLOCKS];
    uint32_t n = 0;
    assert_string_equal(json_string_value(json_object_get(filter, "toBlock")), "latest");
    assert_string_equal(json_string_value(json_object_get(filter, "address")), "0xabc");
    for (uint32_t at = tip; v->block[at].number >= from; at = v->block[at].parent) {
        way[n++] = at;
        if (at == 0)
            break;
    }
    v->widest = rf_max_u64(v->widest, n);
    rf_buf_char(b, '[');
    bool any = false;
    while (n-- > 0) {
        for (uint32_t k = 0; k < v->block[way[n]].n_logs; k++) {
            if (any)
                rf_buf_char(b, ',');
            any = true;
            v_write_log(b, &v->block[way[n]], k, false);
        }
    }
    rf_buf_char(b, ']');
}

static void v_answer_block(struct vworld *v, json_t *params, uint32_t tip, struct rf_buf *b)
{
    const char *what = json_string_value(json_array_get(params, 0));
    uint32_t at = tip;
    bool hash = strlen(what) == 66;
    if (strcmp(what, "latest") != 0) {
        struct rf_buf text = {0};
        for (;;) {
            text.len = 0;
            if (hash)
                rf_evm_write_hash(&text, v->block[at].hash);
            if (hash ? memcmp(text.data + 1, what, 66) == 0 : v->block[at].number == v_u64(what))
                break;
            if (at == 0 || (!hash && v->block[at].number < v_u64(what))) {
                rf_buf_fini(&text);
                rf_buf_str(b, "null");
                return;
            }
            at = v->block[at].parent;
        }
        rf_buf_fini(&text);
    }
    v_write_head(b, &v->block[at], &v->block[v->block[at].parent], true);
}

static void v_enter(struct vworld *v);
static void v_leave(struct vworld *v);

static void v_serve(struct vworld *v, struct v_event *ev, const char *method, const char *text)
{
    uint32_t tip = v_seen_tip(v);
    struct rf_buf b = {0};
    json_t *params = json_loads(text, 0, NULL);
    assert_non_null(params);
    if (v->refuse)
        ev->answer.err = RPCFAN_ERPC;
    else if (rf_rng_below(&v->rng, 1000) < v->fail)
        ev->answer.err = RPCFAN_EDEADLINE;
    else if (strcmp(method, "eth_blockNumber") == 0)
        rf_evm_write_u64(&b, v->block[tip].number);
    else if (strcmp(method, "eth_getLogs") == 0)
        v_answer_logs(v, params, tip, &b);
    else
        v_answer_block(v, params, tip, &b);
    ev->blob = v_blob(b.data, b.len);
    rf_buf_fini(&b);
    json_decref(params);
}

static void v_call(void *arg, const struct rf_feed_call *call)
{
    struct vworld *v = arg;
    v_leave(v);
    struct v_event *ev = v_event(v, V_ANSWER, v->now + v_delay(v));
    ev->token = call->token;
    ev->params = strndup(call->params.data, call->params.len);
    v->calls++;
    if (rf_rng_below(&v->rng, 2) == 0 || v->late)
        ev->method = call->method;
    else
        v_serve(v, ev, call->method, ev->params);
    v_enter(v);
}

/* The consumer. */

static void v_take_head(struct vworld *v, const struct rf_evm_header *h, bool removed)
{
    uint32_t i = v_find(v, h->hash);
    assert_int_equal(v->block[i].number, h->number);
    if (removed) {
        assert_true(v->depth > 0 && v->stack[v->depth - 1] == i);
        v->depth--;
        v->removed++;
        return;
    }
    if (v->depth > 0)
        assert_int_equal(v->block[i].parent, v->stack[v->depth - 1]);
    v->stack[v->depth++] = i;
}

static void v_take_log(struct vworld *v, const struct rf_evm_log *log)
{
    uint32_t i = v_find(v, log->block);
    assert_int_equal(v->block[i].number, log->number);
    assert_true(log->index < v->block[i].n_logs);
    uint32_t *told = &v->block[i].told[log->index];
    assert_true(!v->ordered || log->number >= v->newest);
    v->newest = log->number;
    assert_int_equal(*told, log->removed ? 1 : 0);
    *told = log->removed ? 0 : 1;
    v->removed += log->removed ? 1 : 0;
}

static void v_tell(void *arg, const struct rf_evm_told *t)
{
    struct vworld *v = arg;
    switch (t->kind) {
    case RPCFAN_NOTE_DATA: {
        assert_true(t->json.data >= t->blob->data &&
                    t->json.data + t->json.len <= t->blob->data + t->blob->len);
        json_t *root = json_loadb(t->json.data, t->json.len, 0, NULL);
        assert_non_null(root);
        bool removed = json_is_true(json_object_get(root, "removed"));
        assert_null(json_object_get(root, "transactions"));
        json_decref(root);
        v->data++;
        struct rf_evm_header h;
        struct rf_evm_log log;
        if (v->heads) {
            assert_true(rf_evm_read_header(t->json, &h));
            assert_int_equal(t->block, h.number);
            v_take_head(v, &h, removed);
        } else {
            assert_true(rf_evm_read_log(t->json, &log));
            assert_int_equal(t->block, log.number);
            assert_int_equal(log.removed, removed);
            v_take_log(v, &log);
        }
        break;
    }
    case RPCFAN_NOTE_UP:
        v->ups++;
        break;
    case RPCFAN_NOTE_GAP:
        v->blind += v->in_gap ? 1 : 0; /* the one before was never filled */
        assert_non_null(t->why);
        v->in_gap = true;
        v->gaps++;
        break;
    case RPCFAN_NOTE_FILLED:
        assert_true(v->in_gap && v->up);
        v->in_gap = false;
        v->fills++;
        break;
    default:
        assert_int_equal(t->kind, RPCFAN_NOTE_END);
        v->ends++;
        break;
    }
}

/* Life. */

static void v_start_with(struct vworld *v, bool heads, uint64_t seed, struct rf_evm_options *o)
{
    struct rf_evm_ops ops = {v, v_call, v_tell};
    static const char h[] = "[\"newHeads\"]", l[] = "[\"logs\", {\"address\":\"0xabc\" } ]";
    memset(v, 0, sizeof *v);
    v->heads = heads;
    v->now = RF_SEC;
    v->delay_ns = 200 * RF_MS;
    v->session = 1;
    rf_rng_init(&v->rng, seed);
    v_set_tip(v, v_new_block(v, 0));
    v_mine(v, 0, 5);
    o->method = "eth_subscribe";
    o->params =
        heads ? (struct rpcfan_slice){h, sizeof h - 1} : (struct rpcfan_slice){l, sizeof l - 1};
    o->seed = seed;
    v->e = rf_evm_new(o, &ops, v->now);
    assert_non_null(v->e);
}

static void v_start(struct vworld *v, bool heads, uint64_t seed)
{
    struct rf_evm_options o = {0};
    v_start_with(v, heads, seed, &o);
}

static void v_free_event(struct v_event *ev)
{
    rf_blob_unref(ev->blob);
    free(ev->params);
    free(ev);
}

static void v_stop(struct vworld *v)
{
    struct rf_heap_node *n;
    rf_evm_free(v->e);
    while ((n = rf_heap_top(&v->events)) != NULL) {
        rf_heap_remove(&v->events, n);
        v_free_event(RF_CONTAINER(n, struct v_event, at));
    }
    rf_heap_fini(&v->events);
}

/* Around each entry into the feed: its allocations fail where that was asked for. The world's own,
 * inside of v_call(), are made with that off. */
static void v_enter(struct vworld *v)
{
    rf_alloc_fail_at(v->starve_at);
    v->entered = rf_alloc_count();
}

static void v_leave(struct vworld *v)
{
    uint64_t made = rf_alloc_count() - v->entered;
    rf_alloc_fail_at(0);
    v->starve_at = v->starve_at > made ? v->starve_at - made : 0;
}

static void v_note(struct vworld *v, enum rf_note_kind kind, struct rf_blob *blob)
{
    struct rf_note n = {.kind = kind, .session = v->session, .endpoint = 3, .why = "cut"};
    if (blob != NULL)
        n.json = (struct rpcfan_slice){blob->data, blob->len};
    n.blob = blob;
    v_enter(v);
    rf_evm_note(v->e, &n, v->now);
    v_leave(v);
}

static void v_up(struct vworld *v)
{
    v->up = true;
    v->session++;
    v->last_note = v->now;
    if (v->first_block == 0)
        v->first_block = v->block[v->tip].number + 1;
    v_note(v, RF_NOTE_UP, NULL);
}

/* What is on its way is lost. */
static void v_down(struct vworld *v)
{
    v->up = false;
    v_note(v, RF_NOTE_DOWN, NULL);
}

static void v_happen(struct vworld *v, struct v_event *ev)
{
    if (ev->what == V_NOTE) {
        if (v->up && ev->session == v->session)
            v_note(v, RF_NOTE_DATA, ev->blob);
        return;
    }
    if (ev->method != NULL)
        v_serve(v, ev, ev->method, ev->params);
    ev->answer.json = (struct rpcfan_slice){ev->blob->data, ev->blob->len};
    ev->answer.blob = ev->blob;
    ev->answer.endpoint = "a";
    v_enter(v);
    rf_evm_answer(v->e, ev->token, &ev->answer, v->now);
    v_leave(v);
}

static void v_for(struct vworld *v, uint64_t ns)
{
    uint64_t until = v->now + ns, same = 0;
    for (;;) {
        v_enter(v);
        rf_evm_step(v->e, v->now);
        v_leave(v);
        uint64_t next = rf_min_u64(rf_heap_next(&v->events), rf_evm_deadline(v->e));
        if (next > until)
            break;
        same = next <= v->now ? same + 1 : 0;
        assert_true(same < 10000); /* it stands still */
        v->now = rf_max_u64(v->now, next);
        struct rf_heap_node *n = rf_heap_top(&v->events);
        if (n == NULL || n->at_ns > v->now)
            continue;
        struct v_event *ev = RF_CONTAINER(n, struct v_event, at);
        rf_heap_remove(&v->events, n);
        v_happen(v, ev);
        v_free_event(ev);
    }
    v->now = until;
}

/* What the consumer has is what stands. */
static void v_check(struct vworld *v)
{
    if (v->heads) {
        uint32_t at = v->tip;
        assert_true(v->depth > 0);
        for (uint32_t i = v->depth; i-- > 0; at = v->block[at].parent)
            assert_int_equal(v->stack[i], at);
        return;
    }
    static bool stands[V_BLOCKS];
    memset(stands, 0, sizeof stands);
    stands[0] = true;
    for (uint32_t at = v->tip; at != 0; at = v->block[at].parent)
        stands[at] = true;
    for (uint32_t i = 0; i < v->n; i++)
        for (uint32_t k = 0; k < v->block[i].n_logs; k++) {
            if (!stands[i])
                assert_int_equal(v->block[i].told[k], 0);
            else if (v->block[i].number >= v->first_block)
                assert_int_equal(v->block[i].told[k], 1);
        }
}

static struct rf_evm_counters v_count(struct vworld *v)
{
    struct rf_evm_counters c;
    rf_evm_count(v->e, &c);
    return c;
}

/* A thousand cuts at random moments of a chain that forks, and all of it arrives. */
static void v_thousand_cuts(struct vworld *v, uint32_t cuts, uint32_t fork_max)
{
    v_up(v);
    for (uint32_t i = 0; i < fork_max + 1; i++) { /* no fork goes below what was told */
        v_mine(v, 0, 1);
        v_for(v, 2 * RF_SEC);
    }
    while (cuts > 0) {
        uint64_t r = rf_rng_below(&v->rng, 10);
        if (r < 5) {
            v_mine(v, 0, 1);
        } else if (r < 7) {
            uint32_t depth = 1 + (uint32_t)rf_rng_below(&v->rng, fork_max);
            v_mine(v, v->block[v->tip].number > 100 + depth ? depth : 0,
                   depth + (uint32_t)rf_rng_below(&v->rng, 2));
        } else if (v->up) {
            cuts--;
            v_down(v);
        } else {
            v_up(v);
        }
        v_for(v, rf_rng_below(&v->rng, 1500) * RF_MS);
    }
    if (!v->up)
        v_up(v);
    v->lag_ns = 0;
    v->fail = 0;
    v_for(v, 30 * RF_SEC);
    v_mine(v, 0, 1);
    v_for(v, 120 * RF_SEC);
    v_check(v);
    assert_false(v->in_gap);
    assert_true(v->blind <= 2); /* before the first head was known */
}

#endif
