/* subs_world.h - nodes for tests of the subscription engine: tiny WebSocket servers in virtual
 * time, with the faults that real ones have, and a listener that holds every note against what a
 * truthful engine may say. Included by test_subs*.c. */
#ifndef RF_TEST_SUBS_WORLD_H
#define RF_TEST_SUBS_WORLD_H

#include "feed/subs.h"

#include <inttypes.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/rng.h"

#define W_ENDPOINTS 3
#define W_SUBS 6000

/* How a node behaves. */
struct w_node {
    int refuse_status;                   /* of handshakes; 0: they succeed */
    uint64_t refuse_after_ns;            /* Retry-After with it; 0: none */
    bool down;                           /* connections fail */
    bool no_batch_error, no_batch_close; /* what a batch meets */
    bool own_ids; /* one id for each subscription, as geth; else one for equal ones, as agave */
    uint32_t conn_max;        /* subscriptions on one connection; 0: no limit */
    uint32_t lose_reply;      /* of 1000 replies, so many never come */
    uint32_t early_news;      /* of 1000 replies, so many come behind a notification */
    bool silent;              /* says nothing more, connections stay */
    int error_code;           /* what every subscribe is answered with; 0: none */
    const char *error_method; /* ... or only this one; NULL: each */
    const char *error_text;
    uint64_t delay_ns;    /* of everything; default 1 ms */
    uint32_t message_max; /* longer ones end the connection; 0: no limit */
    uint64_t slot_ns;     /* a slot each; 0: none are made */
    /* counted */
    uint32_t conns, conns_most, messages, batches, subscribed, double_subs;
    uint64_t longest;
};

struct w_sub {
    struct w_sub *next;
    char *key, *id; /* method and params; the id as written */
    char method[48];
};

struct w_session {
    struct rf_link link;
    uint64_t session, last_ns; /* last_ns: of its latest event, so that order is kept */
    uint32_t node;
    bool open, ended; /* ended: by the node */
    struct w_sub *subs;
    uint32_t n_subs;
};

enum w_what { W_OPENED, W_RECEIVED, W_FRAME, W_CLOSED, W_SLOT };

struct w_event {
    struct rf_heap_node at;
    enum w_what what;
    uint64_t session;
    uint32_t node;
    char *text;
    size_t len;
    struct rf_subs_end end;
};

/* What a listener was told. */
struct w_heard {
    uint64_t id;
    bool removed, refused, up[2];
    uint64_t session[2]; /* the latest one of each copy */
    uint64_t former[2];  /* the one before, where it is still up; 0: none */
    uint32_t ups, downs, moved, news;
    bool slots; /* it is a slotSubscribe */
    uint32_t copies;
    char last[64];
};

struct world {
    struct rf_subs *s;
    struct w_node node[W_ENDPOINTS];
    struct rf_link sessions;
    struct rf_heap events;
    struct rf_buf reply; /* both have their memory before any allocation is made to fail */
    struct rf_rng rng;
    uint64_t now, slot, next_id;
    struct w_heard heard[W_SUBS]; /* by tag */
    uint32_t slots, roots, session_ups, session_downs;
    bool in_op; /* an op is running: the engine must not be called */
    FILE *trace;
};

static struct w_session *w_find(struct world *w, uint64_t session)
{
    for (struct rf_link *l = w->sessions.next; l != &w->sessions; l = l->next) {
        struct w_session *x = RF_CONTAINER(l, struct w_session, link);
        if (x->session == session)
            return x;
    }
    return NULL;
}

static struct w_event *w_event(struct world *w, enum w_what what, uint64_t session, uint64_t at)
{
    struct w_event *ev = calloc(1, sizeof *ev);
    assert_non_null(ev);
    ev->what = what;
    ev->session = session;
    ev->end.retry_after_ns = RF_NEVER;
    assert_true(rf_heap_push(&w->events, &ev->at, at));
    return ev;
}

/* Schedule something of a session behind what is scheduled for it already. */
static struct w_event *w_event_of(struct world *w, struct w_session *x, enum w_what what)
{
    uint64_t delay = w->node[x->node].delay_ns > 0 ? w->node[x->node].delay_ns : RF_MS;
    x->last_ns = rf_max_u64(x->last_ns, w->now + delay);
    struct w_event *ev = w_event(w, what, x->session, x->last_ns);
    ev->node = x->node;
    return ev;
}

static void w_free_subs(struct w_session *x)
{
    while (x->subs != NULL) {
        struct w_sub *sub = x->subs;
        x->subs = sub->next;
        free(sub->key);
        free(sub->id);
        free(sub);
    }
    x->n_subs = 0;
}

static void w_frame(struct world *w, struct w_session *x, const char *text, size_t len)
{
    if (x->ended)
        return;
    struct w_event *ev = w_event_of(w, x, W_FRAME);
    ev->text = malloc(len + 1);
    memcpy(ev->text, text, len);
    ev->text[len] = '\0';
    ev->len = len;
}

/* The node ends a connection. */
static void w_end(struct world *w, struct w_session *x, int status)
{
    if (x->ended)
        return;
    struct w_event *ev = w_event_of(w, x, W_CLOSED);
    ev->end.status = status;
    ev->end.why = "closed by the node";
    x->ended = true;
    w_free_subs(x);
}

static void w_news(struct world *w, struct w_session *x, const char *id, const char *json)
{
    char text[512];
    int n = snprintf(text, sizeof text,
                     "{\"jsonrpc\":\"2.0\",\"method\":\"accountNotification\",\"params\":{"
                     "\"result\":%s,\"subscription\":%s}}",
                     json, id);
    w_frame(w, x, text, (size_t)n);
}

/* Something happens that subscriptions whose key holds `needle` are told. */
static void w_publish(struct world *w, uint32_t node, const char *needle, const char *json)
{
    for (struct rf_link *l = w->sessions.next; l != &w->sessions; l = l->next) {
        struct w_session *x = RF_CONTAINER(l, struct w_session, link);
        if (x->node != node || x->ended || !x->open || w->node[node].silent)
            continue;
        for (struct w_sub *sub = x->subs; sub != NULL; sub = sub->next)
            if (strstr(sub->key, needle) != NULL)
                w_news(w, x, sub->id, json);
    }
}

/* Answers. */

static void w_error(struct rf_buf *b, json_int_t id, int code, const char *text)
{
    rf_buf_printf(b, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":%d,\"message\":\"%s\"},\"id\":%lld}",
                  code, text, (long long)id);
}

static void w_subscribe(struct world *w, struct w_session *x, const char *method,
                        const char *params, json_int_t id, struct rf_buf *b)
{
    struct w_node *node = &w->node[x->node];
    if (node->error_code != 0 &&
        (node->error_method == NULL || strcmp(node->error_method, method) == 0)) {
        w_error(b, id, node->error_code, node->error_text);
        return;
    }
    if (node->conn_max > 0 && x->n_subs >= node->conn_max) {
        w_error(b, id, -32603,
                "Internal Error: Subscription refused. Node subscription limit reached");
        return;
    }
    char key[2048];
    snprintf(key, sizeof key, "%s%s", method, params);
    const char *same = NULL;
    for (struct w_sub *sub = x->subs; sub != NULL; sub = sub->next)
        if (strcmp(sub->key, key) == 0) {
            node->double_subs++;
            same = sub->id;
        }
    struct w_sub *sub = calloc(1, sizeof *sub);
    char number[64];
    if (node->own_ids)
        snprintf(number, sizeof number, "\"0x%032" PRIx64 "\"", w->next_id++);
    else
        snprintf(number, sizeof number, "%" PRIu64, w->next_id++);
    sub->id = strdup(same != NULL && !node->own_ids ? same : number);
    sub->key = strdup(key);
    snprintf(sub->method, sizeof sub->method, "%s", method);
    sub->next = x->subs;
    x->subs = sub;
    x->n_subs++;
    node->subscribed++;
    if (rf_rng_below(&w->rng, 1000) < node->early_news)
        w_news(w, x, sub->id, "\"early\"");
    if (rf_rng_below(&w->rng, 1000) >= node->lose_reply)
        rf_buf_printf(b, "{\"jsonrpc\":\"2.0\",\"result\":%s,\"id\":%lld}", sub->id, (long long)id);
}

static void w_unsubscribe(struct world *w, struct w_session *x, const char *id_text, json_int_t id,
                          struct rf_buf *b)
{
    bool found = false;
    for (struct w_sub **at = &x->subs; *at != NULL;) {
        struct w_sub *sub = *at;
        if (strcmp(sub->id, id_text) != 0) {
            at = &sub->next;
            continue;
        }
        found = true; /* one id for equal ones: all of them die */
        *at = sub->next;
        free(sub->key);
        free(sub->id);
        free(sub);
        x->n_subs--;
    }
    if (!found)
        w_error(b, id, -32602, "Invalid subscription id.");
    else if (rf_rng_below(&w->rng, 1000) >= w->node[x->node].lose_reply)
        rf_buf_printf(b, "{\"jsonrpc\":\"2.0\",\"result\":true,\"id\":%lld}", (long long)id);
}

static void w_answer(struct world *w, struct w_session *x, json_t *req, struct rf_buf *b)
{
    const char *method = json_string_value(json_object_get(req, "method"));
    json_int_t id = json_integer_value(json_object_get(req, "id"));
    json_t *params = json_object_get(req, "params");
    assert_non_null(method);
    assert_true(id > 0);
    size_t before = b->len;
    if (before > 1)
        rf_buf_char(b, ',');
    size_t sep = b->len;
    if (strstr(method, "nsubscribe") != NULL) {
        char *text = json_dumps(json_array_get(params, 0), JSON_ENCODE_ANY);
        w_unsubscribe(w, x, text, id, b);
        free(text);
    } else {
        char *text =
            params != NULL ? json_dumps(params, JSON_COMPACT | JSON_SORT_KEYS) : strdup("[]");
        w_subscribe(w, x, method, text, id, b);
        free(text);
    }
    if (b->len == sep)
        b->len = before;
}

static void w_receive(struct world *w, struct w_session *x, const char *text, size_t len)
{
    struct w_node *node = &w->node[x->node];
    node->messages++;
    node->longest = rf_max_u64(node->longest, len);
    if (node->silent)
        return;
    json_t *root = json_loadb(text, len, 0, NULL);
    assert_non_null(root);
    bool batch = json_is_array(root);
    node->batches += batch ? 1 : 0;
    struct rf_buf *b = &w->reply;
    b->len = 0;
    if ((node->message_max > 0 && len > node->message_max) || (batch && node->no_batch_close)) {
        w_end(w, x, node->no_batch_close ? 1006 : 1009);
    } else if (batch && node->no_batch_error) {
        static const char words[] = "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32600,\"message\":"
                                    "\"Batch requests are not supported\"},\"id\":null}";
        w_frame(w, x, words, sizeof words - 1);
    } else if (batch) {
        rf_buf_char(b, '[');
        for (size_t i = 0; i < json_array_size(root); i++)
            w_answer(w, x, json_array_get(root, i), b);
        rf_buf_char(b, ']');
        if (b->len > 2)
            w_frame(w, x, b->data, b->len);
    } else {
        w_answer(w, x, root, b);
        if (b->len > 0)
            w_frame(w, x, b->data, b->len);
    }
    json_decref(root);
}

/* The engine's ops. */

static void w_open(void *arg, uint32_t endpoint, uint64_t session)
{
    struct world *w = arg;
    assert_false(w->in_op);
    assert_null(w_find(w, session));
    struct w_session *x = calloc(1, sizeof *x);
    struct w_node *node = &w->node[endpoint];
    x->session = session;
    x->node = endpoint;
    rf_list_push(&w->sessions, &x->link);
    node->conns++;
    if (node->conns > node->conns_most)
        node->conns_most = node->conns;
    struct w_event *ev =
        w_event_of(w, x, node->down || node->refuse_status != 0 ? W_CLOSED : W_OPENED);
    ev->end.status = node->refuse_status;
    ev->end.why = node->down ? "refused" : "handshake refused";
    if (node->refuse_after_ns > 0)
        ev->end.retry_after_ns = node->refuse_after_ns;
    x->ended = ev->what == W_CLOSED;
    if (w->trace != NULL)
        fprintf(w->trace, "%10.3f open %" PRIu64 " at %u\n", (double)w->now / 1e9, session,
                endpoint);
}

static void w_send(void *arg, uint64_t session, const char *text, size_t len)
{
    struct world *w = arg;
    struct w_session *x = w_find(w, session);
    assert_non_null(x);
    if (w->trace != NULL)
        fprintf(w->trace, "%10.3f send %" PRIu64 " %.*s\n", (double)w->now / 1e9, session,
                (int)(len < 200 ? len : 200), text);
    if (x->ended)
        return;
    struct w_event *ev = w_event_of(w, x, W_RECEIVED);
    ev->text = malloc(len);
    memcpy(ev->text, text, len);
    ev->len = len;
}

static void w_close(void *arg, uint64_t session)
{
    struct world *w = arg;
    struct w_session *x = w_find(w, session);
    assert_non_null(x);
    if (w->trace != NULL)
        fprintf(w->trace, "%10.3f close %" PRIu64 "\n", (double)w->now / 1e9, session);
    if (!x->ended)
        w_end(w, x, 0);
}

static void w_note_of_sub(struct world *w, const struct rf_note *n)
{
    struct w_heard *h = &w->heard[n->tag];
    assert_int_equal(h->id, n->sub);
    assert_false(h->removed);
    assert_false(h->refused);
    assert_true(n->copy < 2);
    switch (n->kind) {
    case RF_NOTE_UP:
        /* with a second one it moves to another session, and the first one goes down later */
        assert_true(!h->up[n->copy] || h->session[n->copy] != n->session);
        assert_int_equal(h->former[n->copy], 0);
        h->former[n->copy] = h->up[n->copy] ? h->session[n->copy] : 0;
        h->moved += h->up[n->copy] ? 1 : 0;
        h->up[n->copy] = true;
        h->session[n->copy] = n->session;
        h->ups++;
        break;
    case RF_NOTE_DOWN:
        assert_true(h->up[n->copy]);
        assert_non_null(n->why);
        if (h->former[n->copy] == n->session) {
            h->former[n->copy] = 0;
            break;
        }
        assert_int_equal(h->session[n->copy], n->session);
        h->session[n->copy] = h->former[n->copy];
        h->up[n->copy] = h->former[n->copy] != 0;
        h->former[n->copy] = 0;
        h->downs += h->up[n->copy] ? 0 : 1;
        break;
    case RF_NOTE_DATA:
        assert_true(h->up[n->copy]);
        assert_true(n->session == h->session[n->copy] || n->session == h->former[n->copy]);
        assert_true(n->json.len > 0 && n->json.data >= n->blob->data &&
                    n->json.data + n->json.len <= n->blob->data + n->blob->len);
        snprintf(h->last, sizeof h->last, "%.*s", (int)n->json.len, n->json.data);
        h->news++;
        break;
    default:
        assert_int_equal(n->kind, RF_NOTE_REFUSED);
        assert_true(n->json.len > 0 && n->json.data[0] == '{');
        h->refused = true;
        h->up[0] = h->up[1] = false;
        break;
    }
    assert_true(n->copy < h->copies || n->kind == RF_NOTE_REFUSED);
}

static void w_note(void *arg, const struct rf_note *n)
{
    struct world *w = arg;
    if (w->trace != NULL && n->kind != RF_NOTE_SLOT && n->kind != RF_NOTE_ROOT)
        fprintf(w->trace,
                "%10.3f note kind=%d sub=%" PRIu64 " copy=%u session=%" PRIu64 " %.*s %s\n",
                (double)w->now / 1e9, n->kind, n->sub, n->copy, n->session, (int)n->json.len,
                n->json.len > 0 ? n->json.data : "", n->why != NULL ? n->why : "");
    switch (n->kind) {
    case RF_NOTE_SLOT:
        assert_true(n->slot > 0 && n->parent == n->slot - 1 && n->root == n->slot - 32);
        w->slots++;
        break;
    case RF_NOTE_ROOT:
        w->roots++;
        break;
    case RF_NOTE_SESSION_UP:
        w->session_ups++;
        break;
    case RF_NOTE_SESSION_DOWN:
        w->session_downs++;
        assert_non_null(n->why);
        /* all that was on it has been told */
        for (uint32_t i = 0; i < W_SUBS; i++)
            for (int copy = 0; copy < 2; copy++)
                assert_false(w->heard[i].up[copy] && !w->heard[i].removed &&
                             (w->heard[i].session[copy] == n->session ||
                              w->heard[i].former[copy] == n->session));
        break;
    default:
        w_note_of_sub(w, n);
        break;
    }
}

/* Life. */

static void w_init(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    rf_list_init(&w->sessions);
    rf_rng_init(&w->rng, seed);
    assert_true(rf_heap_reserve(&w->events, 50000) && rf_buf_reserve(&w->reply, 1 << 20));
    w->now = RF_SEC;
    w->slot = 1000;
    w->next_id = 1;
}

static struct rf_subs *w_new(struct world *w, struct rf_subs_options *o)
{
    struct rf_subs_ops ops = {w, w_open, w_send, w_close, w_note};
    return rf_subs_new(o, &ops, w->now);
}

static void w_start(struct world *w, struct rf_subs_options *o)
{
    w->s = w_new(w, o);
    assert_non_null(w->s);
    for (uint32_t i = 0; i < W_ENDPOINTS; i++)
        if (w->node[i].slot_ns > 0)
            w_event(w, W_SLOT, 0, w->now + w->node[i].slot_ns)->node = i;
}

static void w_gone(struct world *w, struct w_session *x)
{
    w->node[x->node].conns--;
    w_free_subs(x);
    rf_list_remove(&x->link);
    free(x);
}

static void w_stop(struct world *w)
{
    rf_subs_free(w->s);
    struct rf_heap_node *n;
    while ((n = rf_heap_top(&w->events)) != NULL) {
        struct w_event *ev = RF_CONTAINER(n, struct w_event, at);
        rf_heap_remove(&w->events, n);
        free(ev->text);
        free(ev);
    }
    rf_heap_fini(&w->events);
    rf_buf_fini(&w->reply);
    while (!rf_list_empty(&w->sessions))
        w_gone(w, RF_CONTAINER(w->sessions.next, struct w_session, link));
}

/* Time. */

static void w_make_slot(struct world *w, uint32_t node)
{
    char json[128], number[32];
    w->slot++;
    snprintf(json, sizeof json,
             "{\"parent\":%" PRIu64 ",\"root\":%" PRIu64 ",\"slot\":%" PRIu64 "}", w->slot - 1,
             w->slot - 32, w->slot);
    snprintf(number, sizeof number, "%" PRIu64, w->slot - 32);
    w_publish(w, node, "slotSubscribe", json);
    w_publish(w, node, "rootSubscribe", number);
    w_event(w, W_SLOT, 0, w->now + w->node[node].slot_ns)->node = node;
}

static void w_message(struct world *w, uint64_t session, const char *text, size_t len)
{
    struct rf_blob *blob = rf_blob_new(len + 1);
    if (blob == NULL || !rf_blob_add(blob, text, len)) {
        rf_blob_unref(blob);
        rf_subs_lost(w->s, session, "out of memory", w->now);
        return;
    }
    rf_subs_message(w->s, session, blob, w->now);
    rf_blob_unref(blob);
}

static void w_happen(struct world *w, struct w_event *ev)
{
    struct w_session *x = w_find(w, ev->session);
    if (ev->what == W_SLOT) {
        w_make_slot(w, ev->node);
    } else if (x == NULL) {
        return;
    } else if (ev->what == W_OPENED) {
        x->open = true;
        rf_subs_opened(w->s, ev->session, w->now);
    } else if (ev->what == W_RECEIVED) {
        if (!x->ended)
            w_receive(w, x, ev->text, ev->len);
    } else if (ev->what == W_FRAME) {
        w_message(w, ev->session, ev->text, ev->len);
    } else {
        w_gone(w, x);
        rf_subs_closed(w->s, ev->session, &ev->end, w->now);
    }
}

/* Step until a time. Stops at every deadline of the engine and every event. */
static void w_run(struct world *w, uint64_t until)
{
    uint64_t same = 0;
    for (;;) {
        rf_subs_step(w->s, w->now);
        uint64_t next = rf_min_u64(rf_heap_next(&w->events), rf_subs_deadline(w->s));
        if (next > until)
            break;
        same = next <= w->now ? same + 1 : 0;
        assert_true(same < 200000); /* it stands still */
        w->now = rf_max_u64(w->now, next);
        struct rf_heap_node *n = rf_heap_top(&w->events);
        if (n == NULL || n->at_ns > w->now)
            continue;
        struct w_event *ev = RF_CONTAINER(n, struct w_event, at);
        rf_heap_remove(&w->events, n);
        w_happen(w, ev);
        free(ev->text);
        free(ev);
    }
    w->now = until;
}

static void w_for(struct world *w, uint64_t ns)
{
    w_run(w, w->now + ns);
}

/* Add a subscription with a tag. */
static uint64_t w_add(struct world *w, uint32_t tag, const char *method, const char *params,
                      uint32_t copies)
{
    struct rf_subs_want want = {.method = method,
                                .params = {params, params != NULL ? strlen(params) : 0},
                                .copies = copies,
                                .tag = tag};
    struct w_heard *h = &w->heard[tag];
    memset(h, 0, sizeof *h);
    h->copies = copies;
    h->slots = strcmp(method, "slotSubscribe") == 0;
    h->id = rf_subs_add(w->s, &want, w->now);
    return h->id;
}

static inline void w_account(struct world *w, uint32_t tag, uint32_t key, uint32_t copies)
{
    char params[160];
    snprintf(params, sizeof params,
             "[\"%044u\",{\"encoding\":\"base64\",\"commitment\":\"confirmed\"}]", key);
    assert_true(w_add(w, tag, "accountSubscribe", params, copies) != 0);
}

static inline void w_remove(struct world *w, uint32_t tag)
{
    w->heard[tag].removed = true;
    rf_subs_remove(w->s, w->heard[tag].id, w->now);
}

/* All connections of a node end. */
static inline void w_cut(struct world *w, uint32_t node, int status)
{
    for (struct rf_link *l = w->sessions.next; l != &w->sessions; l = l->next) {
        struct w_session *x = RF_CONTAINER(l, struct w_session, link);
        if (x->node == node)
            w_end(w, x, status);
    }
}

static inline uint32_t w_subs_at(struct world *w, uint32_t node)
{
    uint32_t n = 0;
    for (struct rf_link *l = w->sessions.next; l != &w->sessions; l = l->next) {
        struct w_session *x = RF_CONTAINER(l, struct w_session, link);
        n += x->node == node && x->open && !x->ended ? x->n_subs : 0;
    }
    return n;
}

static inline struct rf_subs_counters w_count(struct world *w)
{
    struct rf_subs_counters c;
    rf_subs_count(w->s, &c);
    return c;
}

#endif
