/* vfeed_calls.c - a feed's calls in its virtual world, as the core would carry them out: to one of
 * the nodes, there and back with a delay, lost until their time is over, failed in some way of the
 * core's own, refused for a slot that is not there yet and then waited for or handed on; streamed
 * answers row by row, with pauses, breaking off and beginning again. Each is answered once.
 *
 * Held here: no floor above the highest slot that was heard of plus one (I9), and no more calls at
 * one time than the options allow (I10). */
#include <string.h>

#include "base/mem.h"
#include "sim/node_methods.h"
#include "sim/vfeed_int.h"

#define ROWS_AT_ONCE 16
#define ROWS_EVERY_NS RF_MS
#define SLOT_NS (400 * RF_MS)
#define SILENCE_NS (60 * RF_SEC)

static void free_call(struct rf_vfeed *w, struct rf_vfeed_call *c)
{
    rf_heap_remove(&w->wire, &c->event.at);
    rf_list_remove(&c->link);
    rf_blob_unref(c->blob);
    rf_free(c->row);
    rf_free(c->method);
    rf_free(c->params);
    rf_free(c);
}

static struct rf_vfeed_call *find(const struct rf_vfeed *w, uint32_t client, uint64_t token)
{
    for (struct rf_link *l = w->calls.next; l != &w->calls; l = l->next) {
        struct rf_vfeed_call *c = RF_CONTAINER(l, struct rf_vfeed_call, link);
        if (c->client == client && c->token == token)
            return c;
    }
    return NULL;
}

void rf_vfeed_call_drop(struct rf_vfeed *w, uint32_t client)
{
    for (struct rf_link *l = w->calls.next, *next; l != &w->calls; l = next) {
        struct rf_vfeed_call *c = RF_CONTAINER(l, struct rf_vfeed_call, link);
        next = l->next;
        if (c->client == client)
            free_call(w, c);
    }
    w->client[client].in_flight = 0;
}

static void go(struct rf_vfeed *w, struct rf_vfeed_call *c, enum rf_vfeed_kind kind, uint64_t at_ns)
{
    rf_heap_remove(&w->wire, &c->event.at);
    c->event.kind = kind;
    rf_vfeed_put(w, &c->event, at_ns);
}

/* The answer comes at once, or when the time is over, with an error alone. */
static void fail_call(struct rf_vfeed *w, struct rf_vfeed_call *c, enum rpcfan_err err,
                      uint64_t at_ns)
{
    c->err = err;
    rf_blob_unref(c->blob);
    c->blob = NULL;
    c->n_rows = 0;
    go(w, c, RF_VFEED_ANSWER, at_ns);
}

/* The floor of a call: minContextSlot of its config. */
static uint64_t floor_of(struct rpcfan_slice params)
{
    uint64_t slot = 0;
    for (unsigned i = 0; i < 2; i++) {
        struct rpcfan_slice v = rf_node_field(rf_node_param(params, i), "minContextSlot");
        if (v.len > 0)
            rf_node_number(v, &slot);
    }
    return slot;
}

static void check_call(struct rf_vfeed *w, uint32_t client, const struct rf_feed_call *call,
                       uint64_t floor)
{
    struct rf_vfeed_client *c = &w->client[client];
    if (floor > w->seen + 1)
        rf_vfeed_breach(w, "I9: %s has minContextSlot %llu, and %llu is all that was heard of",
                        call->method, (unsigned long long)floor, (unsigned long long)w->seen);
    if (++c->in_flight > w->o.feed.calls)
        rf_vfeed_breach(w, "I10: %llu calls at one time", (unsigned long long)c->in_flight);
    w->book.in_flight_most = rf_max_u64(w->book.in_flight_most, c->in_flight);
}

void rf_vfeed_call_make(struct rf_vfeed *w, uint32_t client, const struct rf_feed_call *call)
{
    struct rf_vfeed_call *c = rf_alloc(sizeof *c);
    if (c == NULL) {
        rf_vfeed_breach(w, "out of memory");
        return;
    }
    rf_list_push(&w->calls, &c->link);
    c->client = client;
    c->token = call->token;
    c->method = rf_strdup(call->method);
    c->params = rf_memdup(call->params.data, call->params.len);
    c->stream = call->stream;
    c->floor = floor_of(call->params);
    /* What is never answered ends by the endpoint's timeout, however long the call may take. */
    c->until_ns = rf_time_add(w->now_ns, rf_min_u64(call->timeout_ns, SILENCE_NS));
    c->node = (uint32_t)rf_rng_below(&w->wire_rng, w->o.endpoints);
    c->event.call = c;
    c->first = true;
    w->book.calls++;
    rf_vfeed_stir(w, call->token, c->floor);
    check_call(w, client, call, c->floor);
    if (c->method == NULL || c->params == NULL)
        rf_vfeed_breach(w, "out of memory");
    else if (rf_vfeed_chance(w, w->o.net.lose))
        fail_call(w, c, RPCFAN_ETIMEOUT, c->until_ns);
    else
        go(w, c, RF_VFEED_CALL, w->now_ns + rf_vfeed_delay(w, w->o.net.http_ns));
}

void rf_vfeed_call_cancel(struct rf_vfeed *w, uint32_t client, uint64_t token)
{
    struct rf_vfeed_call *c = find(w, client, token);
    if (c != NULL)
        fail_call(w, c, RPCFAN_ECANCELED, w->now_ns);
}

void rf_vfeed_call_pause(struct rf_vfeed *w, uint32_t client, uint64_t token, bool pause)
{
    struct rf_vfeed_call *c = find(w, client, token);
    if (c == NULL)
        return;
    c->paused = pause;
    if (!pause && c->waiting) {
        c->waiting = false;
        go(w, c, RF_VFEED_ANSWER, w->now_ns + ROWS_EVERY_NS);
    }
}

/* The rows of a result: of the array that it is, or of its value. */
static void find_rows(struct rf_vfeed *w, struct rf_vfeed_call *c)
{
    struct rpcfan_slice all = {c->blob->data, c->blob->len}, one;
    struct rf_node_items it;
    size_t cap = 0;
    if (all.data[0] == '{') {
        struct rpcfan_slice value = rf_node_field(all, "value");
        rf_node_number(rf_node_field(rf_node_field(all, "context"), "slot"), &c->context_slot);
        all = value.len > 0 && value.data[0] == '{' ? rf_node_field(value, "accounts") : value;
        if (all.len == 0)
            all = rf_node_field((struct rpcfan_slice){c->blob->data, c->blob->len}, "accounts");
    }
    for (rf_node_items_init(&it, all); rf_node_items_next(&it, &one);) {
        if (c->n_rows == cap) {
            cap = cap == 0 ? 64 : 2 * cap;
            void *p = rf_realloc(c->row, cap * sizeof *c->row);
            if (p == NULL) {
                rf_vfeed_breach(w, "out of memory");
                return;
            }
            c->row = p;
        }
        c->row[c->n_rows++] = one;
    }
}

/* How a call fails that does: by one of the core's errors. */
static enum rpcfan_err some_failure(struct rf_vfeed *w)
{
    static const enum rpcfan_err all[] = {RPCFAN_ERESET,     RPCFAN_ESERVER,   RPCFAN_ETHROTTLED,
                                          RPCFAN_ECONNECT,   RPCFAN_EDEADLINE, RPCFAN_EBUSY,
                                          RPCFAN_EMALFORMED, RPCFAN_ETIMEOUT};
    return all[rf_rng_below(&w->wire_rng, RF_COUNT(all))];
}

/* A refusal for the slot: the core asks again, maybe another node, until its time is over; or hands
 * it on. @return false: it asks again. */
static bool refused(struct rf_vfeed *w, struct rf_vfeed_call *c)
{
    if (memmem(c->blob->data, c->blob->len, "-32016", 6) == NULL)
        return true;
    uint64_t again_ns = w->now_ns + SLOT_NS + rf_vfeed_delay(w, w->o.net.http_ns);
    if (again_ns < c->until_ns && !rf_vfeed_chance(w, w->o.net.behind_told)) {
        rf_blob_unref(c->blob);
        c->blob = NULL;
        c->node = (uint32_t)rf_rng_below(&w->wire_rng, w->o.endpoints);
        go(w, c, RF_VFEED_CALL, again_ns);
        return false;
    }
    w->book.refused_behind++;
    return true;
}

void rf_vfeed_call_arrives(struct rf_vfeed *w, struct rf_vfeed_call *c)
{
    struct rf_buf b = {0};
    struct rf_validator_answer a = {.json = &b};
    rf_validator_call(w->v, c->node, (struct rpcfan_slice){c->method, strlen(c->method)},
                      (struct rpcfan_slice){c->params, strlen(c->params)}, w->now_ns, &a);
    c->blob = b.failed ? NULL : rf_blob_new(b.len);
    if (c->blob == NULL || !rf_blob_add(c->blob, b.data, b.len))
        rf_vfeed_breach(w, "out of memory");
    rf_buf_fini(&b);
    uint64_t at_ns = w->now_ns + a.delay_ns + rf_vfeed_delay(w, w->o.net.http_ns);
    if (c->blob == NULL)
        return;
    if (at_ns > c->until_ns) {
        fail_call(w, c, RPCFAN_ETIMEOUT, c->until_ns);
        return;
    }
    if (rf_vfeed_chance(w, w->o.net.fail)) {
        fail_call(w, c, some_failure(w), at_ns);
        return;
    }
    c->err = a.error ? RPCFAN_ERPC : RPCFAN_OK;
    c->at_row = c->n_rows = 0;
    c->cut_at = SIZE_MAX;
    if (a.error && !refused(w, c))
        return;
    if (!a.error && c->stream) {
        find_rows(w, c);
        if (c->n_rows > 0 && rf_vfeed_chance(w, w->o.net.stream_cut))
            c->cut_at = (size_t)rf_rng_below(&w->wire_rng, c->n_rows);
    }
    go(w, c, RF_VFEED_ANSWER, at_ns);
}

/* The end: hand the answer to whoever asked. */
static void end_call(struct rf_vfeed *w, struct rf_vfeed_call *c)
{
    struct rf_vfeed_client *client = &w->client[c->client];
    struct rf_feed_answer a = {
        .err = c->err, .blob = c->blob, .endpoint = w->endpoint[c->node].name};
    if (c->blob != NULL) {
        rf_vfeed_heard(w, (struct rpcfan_slice){c->blob->data, c->blob->len});
        if (c->err == RPCFAN_ERPC)
            rf_vfeed_heard_of(w, (struct rpcfan_slice){c->blob->data, c->blob->len},
                              "\"contextSlot\":");
    }
    if (c->blob != NULL && !(c->stream && c->err == RPCFAN_OK))
        a.json = (struct rpcfan_slice){c->blob->data, c->blob->len};
    a.context_slot = c->stream ? c->context_slot : 0;
    if (c->err == RPCFAN_OK && strcmp(c->method, "getSlot") == 0) {
        uint64_t slot = 0;
        rf_node_number(a.json, &slot);
        w->seen = rf_max_u64(w->seen, slot);
    }
    client->in_flight--;
    w->book.answers++;
    rf_list_remove(&c->link); /* the feed may look for others */
    rf_feed_answer(client->feed, c->token, &a, w->now_ns);
    free_call(w, c);
}

/* A stream breaks off: the core begins anew, or its tries are used up. */
static void break_off(struct rf_vfeed *w, struct rf_vfeed_call *c)
{
    if (rf_vfeed_chance(w, 300)) {
        fail_call(w, c, RPCFAN_ERESET, w->now_ns + ROWS_EVERY_NS);
        return;
    }
    rf_blob_unref(c->blob);
    c->blob = NULL;
    c->first = true;
    go(w, c, RF_VFEED_CALL, w->now_ns + rf_vfeed_delay(w, w->o.net.http_ns));
}

void rf_vfeed_call_answers(struct rf_vfeed *w, struct rf_vfeed_call *c)
{
    uint64_t token = c->token;
    uint32_t client = c->client;
    if (c->n_rows > 0 && c->at_row == 0)
        rf_vfeed_heard(w, (struct rpcfan_slice){c->blob->data, rf_min_u64(c->blob->len, 100)});
    for (int i = 0; i < ROWS_AT_ONCE && c->at_row < c->n_rows; i++) {
        if (c->paused) {
            c->waiting = true;
            return;
        }
        if (c->at_row == c->cut_at) {
            break_off(w, c);
            return;
        }
        struct rf_feed_row row = {
            .json = c->row[c->at_row++], .context_slot = c->context_slot, .first = c->first};
        c->first = false;
        rf_feed_row(w->client[client].feed, token, &row, w->now_ns);
        if (c->event.at.pos != 0)
            return; /* it was canceled, or goes on later */
    }
    if (c->at_row < c->n_rows)
        go(w, c, RF_VFEED_ANSWER, w->now_ns + ROWS_EVERY_NS);
    else
        end_call(w, c);
}
