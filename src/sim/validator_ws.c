/* validator_ws.c - WebSocket sessions of the virtual validator: requests in, frames out, and what
 * goes wrong with both. Replies leave at once and notifications as the notifier comes to them; a
 * fault drops, doubles, delays, cuts or spoils a frame, silences a subscription or all of them, or
 * ends the connection with a close frame or without. */
#include <string.h>

#include "base/base58.h"
#include "base/mem.h"
#include "json/rpc.h"
#include "sim/node_methods.h"
#include "sim/validator_int.h"

static struct rf_vsession *find(const struct rf_validator *v, uint64_t name)
{
    for (struct rf_link *l = v->sessions.next; l != &v->sessions; l = l->next) {
        struct rf_vsession *s = RF_CONTAINER(l, struct rf_vsession, link);
        if (s->name == name)
            return s;
    }
    return NULL;
}

static void free_session(struct rf_validator *v, struct rf_vsession *s)
{
    rf_vsubs_forget(v, s);
    rf_list_remove(&s->link);
    rf_free(s);
}

void rf_vws_fini(struct rf_validator *v)
{
    while (v->sessions.next != NULL && !rf_list_empty(&v->sessions))
        free_session(v, RF_CONTAINER(v->sessions.next, struct rf_vsession, link));
}

void rf_vws_close(struct rf_validator *v, struct rf_vsession *s, int code)
{
    v->count.closed++;
    v->ops.closed(v->ops.arg, s->name, code, v->now_ns - v->epoch_ns);
    free_session(v, s);
}

static void put(struct rf_validator *v, const struct rf_vsession *s, struct rpcfan_slice text,
                uint64_t at_ns)
{
    v->count.frames++;
    v->ops.frame(v->ops.arg, s->name, text.data, text.len, at_ns - v->epoch_ns);
}

/* A spoiled frame is never JSON: one byte becomes a control character, which may stand nowhere. */
static void put_garbled(struct rf_validator *v, const struct rf_vsession *s, const char *text,
                        size_t len)
{
    struct rf_buf *b = &v->scratch;
    rf_buf_reset(b, SIZE_MAX);
    rf_buf_add(b, text, len);
    if (b->failed)
        return;
    b->data[rf_rng_below(&v->fault_rng, len)] = '\1';
    v->count.garbled++;
    put(v, s, (struct rpcfan_slice){b->data, b->len}, v->now_ns);
}

/* Some time from now, when a frame is late. */
static uint64_t later(struct rf_validator *v, uint64_t ms)
{
    return v->now_ns + 1 + rf_rng_below(&v->fault_rng, ms * RF_MS);
}

/* Whether a notification is one that the client uses as its clock. */
static bool is_clock(const char *text, size_t len)
{
    static const char slot[] = "{\"jsonrpc\":\"2.0\",\"method\":\"slot";
    static const char root[] = "{\"jsonrpc\":\"2.0\",\"method\":\"root";
    return len > sizeof slot &&
           (memcmp(text, slot, sizeof slot - 1) == 0 || memcmp(text, root, sizeof root - 1) == 0);
}

void rf_vws_frame(struct rf_validator *v, struct rf_vsession *s, const char *text, size_t len,
                  bool notification)
{
    const struct rf_vknobs *k = &v->knobs;
    uint64_t at_ns = v->now_ns;
    bool data = notification && !is_clock(text, len);
    if (s->dead || (notification && s->mute))
        return;
    v->count.notifications += notification;
    if (data && rf_vchance(&v->fault_rng, k->drop)) {
        v->count.dropped++;
        return;
    }
    if (rf_vchance(&v->fault_rng, k->truncate)) {
        v->count.truncated++;
        put(v, s, (struct rpcfan_slice){text, (size_t)rf_rng_below(&v->fault_rng, len)}, at_ns);
        return;
    }
    if (rf_vchance(&v->fault_rng, k->garble)) {
        put_garbled(v, s, text, len);
        return;
    }
    if (data && rf_vchance(&v->fault_rng, k->reorder)) {
        v->count.reordered++;
        at_ns = later(v, k->reorder_ms);
    } else if (!notification && rf_vchance(&v->fault_rng, k->late_reply)) {
        at_ns = later(v, k->late_reply_ms);
    }
    put(v, s, (struct rpcfan_slice){text, len}, at_ns);
    if (notification && rf_vchance(&v->fault_rng, k->dup)) {
        v->count.doubled++;
        put(v, s, (struct rpcfan_slice){text, len}, at_ns);
    }
}

/* One subscription of a session falls silent; not its slot feed. */
static void stall_one(struct rf_validator *v, struct rf_vsession *s)
{
    uint64_t pick = rf_rng_below(&v->fault_rng, s->n_refs);
    struct rf_link *l = s->refs.next;
    while (pick-- > 0)
        l = l->next;
    struct rf_vref *r = RF_CONTAINER(l, struct rf_vref, of_session);
    if (r->sub->kind > RF_VSUB_LOGS || r->stalled)
        return;
    r->stalled = true;
    v->count.stalled++;
}

void rf_vws_slot(struct rf_validator *v, uint32_t node)
{
    const struct rf_vknobs *k = &v->knobs;
    if (k->stall + k->stall_all + k->half_open + k->close_ws == 0)
        return;
    for (struct rf_link *l = v->sessions.next, *next; l != &v->sessions; l = next) {
        struct rf_vsession *s = RF_CONTAINER(l, struct rf_vsession, link);
        next = l->next;
        if (s->node != node)
            continue;
        if (s->n_refs > 0 && rf_vchance(&v->fault_rng, k->stall))
            stall_one(v, s);
        if (rf_vchance(&v->fault_rng, k->stall_all)) {
            v->count.stalled += !s->mute;
            s->mute = true;
        }
        if (rf_vchance(&v->fault_rng, k->half_open)) {
            v->count.stalled += !s->dead;
            s->dead = true;
        }
        if (rf_vchance(&v->fault_rng, k->close_ws))
            rf_vws_close(v, s, rf_vchance(&v->fault_rng, k->close_frame) ? 1001 : 0);
    }
}

static uint64_t idle_end(const struct rf_validator *v, const struct rf_vsession *s)
{
    return s->heard_ns + v->knobs.idle_ms * RF_MS;
}

uint64_t rf_vws_idle(const struct rf_validator *v)
{
    uint64_t first = RF_NEVER;
    if (v->knobs.idle_ms == 0)
        return first;
    for (struct rf_link *l = v->sessions.next; l != &v->sessions; l = l->next)
        first = rf_min_u64(first, idle_end(v, RF_CONTAINER(l, struct rf_vsession, link)));
    return first;
}

void rf_vws_close_idle(struct rf_validator *v)
{
    for (struct rf_link *l = v->sessions.next, *next; l != &v->sessions; l = next) {
        struct rf_vsession *s = RF_CONTAINER(l, struct rf_vsession, link);
        next = l->next;
        if (idle_end(v, s) <= v->now_ns)
            rf_vws_close(v, s, 1001);
    }
}

void rf_validator_open(struct rf_validator *v, uint32_t node, uint64_t session, uint64_t now_ns)
{
    rf_validator_run(v, now_ns);
    struct rf_vsession *s = rf_alloc(sizeof *s);
    if (s == NULL) {
        v->count.no_memory++;
        v->ops.closed(v->ops.arg, session, 1011, now_ns);
        return;
    }
    s->name = session;
    s->node = node < v->knobs.nodes ? node : 0;
    s->heard_ns = v->now_ns;
    rf_list_init(&s->refs);
    rf_list_push(&v->sessions, &s->link);
}

void rf_validator_gone(struct rf_validator *v, uint64_t session)
{
    struct rf_vsession *s = find(v, session);
    if (s != NULL)
        free_session(v, s);
}

void rf_validator_pinged(struct rf_validator *v, uint64_t session, uint64_t now_ns)
{
    rf_validator_run(v, now_ns);
    struct rf_vsession *s = find(v, session);
    if (s != NULL)
        s->heard_ns = v->now_ns;
}

static bool bad_params(struct rf_buf *out, const char *text)
{
    return rf_vhttp_error(out, -32602, text, NULL);
}

/* What logs are wanted: "all", "allWithVotes", or {"mentions":[one key]}. */
static const char *read_mention(struct rpcfan_slice json, struct rf_vsub *want)
{
    struct rpcfan_slice keys = rf_node_field(json, "mentions"), one = rf_node_param(keys, 0);
    if (json.len > 0 && json.data[0] == '"') {
        want->all = true;
        return NULL;
    }
    if (one.len == 0 || rf_node_param(keys, 1).len > 0)
        return "Invalid Request: Only 1 address supported";
    return rf_vkey_read(one, want->target) ? NULL : "Invalid Request: Invalid pubkey provided";
}

/* A signature that is asked for lands in the next bank: any transaction is just being sent. */
static const char *read_signature(const struct rf_validator *v, struct rpcfan_slice json,
                                  struct rf_vsub *want)
{
    uint8_t bytes[64];
    size_t n = 0;
    if (json.len < 3 || !rf_base58_decode(json.data + 1, json.len - 2, bytes, sizeof bytes, &n) ||
        n != 64)
        return "Invalid Request: Invalid signature provided";
    memcpy(want->target, bytes, 32);
    want->land = v->chain.slot;
    return NULL;
}

static const char *read_target(struct rf_validator *v, struct rpcfan_slice json,
                               struct rf_vsub *want)
{
    if (want->kind == RF_VSUB_LOGS)
        return read_mention(json, want);
    if (want->kind == RF_VSUB_SIGNATURE)
        return read_signature(v, json, want);
    if (!rf_vkey_read(json, want->target))
        return "Invalid Request: Invalid pubkey provided";
    want->key = rf_banks_find(&v->banks, want->target);
    want->owner = rf_vowner_find(v, want->target);
    return NULL;
}

static bool subscribe(struct rf_validator *v, struct rf_vsession *s, enum rf_vsub_kind kind,
                      struct rpcfan_slice params, struct rf_buf *out)
{
    struct rf_vsub want = {.kind = kind, .key = RF_BANK_NONE, .owner = UINT16_MAX};
    uint64_t id;
    if (kind <= RF_VSUB_SIGNATURE) {
        const char *bad = read_target(v, rf_node_param(params, 0), &want);
        if (bad != NULL || !rf_vask_read(v, rf_node_param(params, 1), &want.ask, &bad))
            return bad_params(out, bad);
    }
    if ((v->knobs.subs_max > 0 && s->n_refs >= v->knobs.subs_max) ||
        rf_vchance(&v->fault_rng, v->knobs.refuse))
        return rf_vhttp_error(
            out, -32603, "Internal Error: Subscription refused. Node subscription limit reached",
            NULL);
    if (!rf_vsubs_add(v, s, &want, &id))
        return rf_vhttp_error(out, -32603, "Internal Error", NULL);
    rf_buf_u64(out, id);
    return false;
}

static bool unsubscribe(struct rf_validator *v, struct rf_vsession *s, struct rpcfan_slice params,
                        struct rf_buf *out)
{
    uint64_t id;
    if (!rf_node_number(rf_node_param(params, 0), &id) || !rf_vsubs_remove(v, s, id))
        return bad_params(out, "Invalid subscription id.");
    rf_buf_str(out, "true");
    return false;
}

static bool is_method(struct rpcfan_slice m, const char *kind, const char *verb)
{
    size_t n = strlen(kind);
    return m.len == n + strlen(verb) && memcmp(m.data, kind, n) == 0 &&
           memcmp(m.data + n, verb, m.len - n) == 0;
}

/* Answer a request. @return whether it is an error. */
static bool answer(struct rf_validator *v, struct rf_vsession *s, const struct rf_request_text *r,
                   struct rf_buf *out)
{
    static const char *const kinds[RF_VSUB_KINDS] = {
        "account", "program", "logs", "signature", "slot", "root", "slotsUpdates"};
    for (int i = 0; i < RF_VSUB_KINDS; i++) {
        if (is_method(r->method, kinds[i], "Subscribe"))
            return subscribe(v, s, (enum rf_vsub_kind)i, r->params, out);
        if (is_method(r->method, kinds[i], "Unsubscribe"))
            return unsubscribe(v, s, r->params, out);
    }
    if (!rf_validator_has(r->method))
        return rf_vhttp_error(out, -32601, "Method not found", NULL);
    struct rf_validator_answer a = {.json = out};
    rf_validator_call(v, s->node, r->method, r->params, v->now_ns - v->epoch_ns, &a);
    return a.error;
}

/* One request, appended to `out` as a response; notifications, `ping` among them, get none. @return
 * whether something was appended. */
static bool one_request(struct rf_validator *v, struct rf_vsession *s, struct rpcfan_slice text,
                        struct rf_buf *out)
{
    struct rf_request_text r;
    struct rf_buf body = {0};
    bool bad = rf_request_read(text.data, text.len, &r, NULL) != RPCFAN_OK;
    if (!bad && r.id.len == 0)
        return false;
    bool error =
        bad ? rf_vhttp_error(&body, -32600, "Invalid request", NULL) : answer(v, s, &r, &body);
    rf_buf_str(out, error ? "{\"jsonrpc\":\"2.0\",\"error\":" : "{\"jsonrpc\":\"2.0\",\"result\":");
    rf_buf_add(out, body.data, body.len);
    rf_buf_str(out, ",\"id\":");
    if (bad && r.id.len == 0)
        rf_buf_str(out, "null");
    else
        rf_buf_add(out, r.id.data, r.id.len);
    rf_buf_char(out, '}');
    rf_buf_fini(&body);
    return true;
}

static void batch(struct rf_validator *v, struct rf_vsession *s, struct rpcfan_slice text,
                  struct rf_buf *out)
{
    struct rf_node_items it;
    struct rpcfan_slice one;
    size_t n = 0;
    if (v->knobs.ws_batch == 0) {
        rf_buf_str(out, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32600,\"message\":\"Batch "
                        "requests are not supported\"},\"id\":null}");
        return;
    }
    rf_buf_char(out, '[');
    for (rf_node_items_init(&it, text); rf_node_items_next(&it, &one);) {
        size_t at = out->len;
        if (n > 0)
            rf_buf_char(out, ',');
        if (one_request(v, s, one, out))
            n++;
        else
            out->len = at;
    }
    rf_buf_char(out, ']');
    if (n == 0)
        out->len = 0;
}

void rf_validator_receive(struct rf_validator *v, uint64_t session, const char *text, size_t len,
                          uint64_t now_ns)
{
    rf_validator_run(v, now_ns);
    struct rf_vsession *s = find(v, session);
    struct rf_buf out = {0};
    if (s == NULL || s->dead)
        return;
    s->heard_ns = v->now_ns;
    if (len > v->knobs.inbound) { /* agave drops the connection without a word */
        rf_vws_close(v, s, 0);
        return;
    }
    while (len > 0 && (*text == ' ' || *text == '\n' || *text == '\r' || *text == '\t'))
        text++, len--;
    if (rf_json_check(text, len, RF_SCAN_DEPTH, NULL) != RPCFAN_OK)
        rf_buf_str(&out, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700,\"message\":\"Parse "
                         "error\"},\"id\":null}");
    else if (*text == '[')
        batch(v, s, (struct rpcfan_slice){text, len}, &out);
    else
        one_request(v, s, (struct rpcfan_slice){text, len}, &out);
    if (out.failed)
        v->count.no_memory++;
    else if (out.len > 0)
        rf_vws_frame(v, s, out.data, out.len, false);
    rf_buf_fini(&out);
}
