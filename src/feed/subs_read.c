/* subs_read.c - messages: one pass of the scanner each, no tree, no copy, and no allocation but for
 * what has to be held.
 *
 * Happy path: a notification finds its seat by (session, id as written) and is told to the seat's
 * listeners; a reply finds its seat by the request's number.
 * Failure modes: a notification comes before the reply that brings its id: held, within bounds, as
 * long as replies are out; then it is for nobody and counted. Text that is no JSON, or a
 * notification without its parts: something may be lost, so the session is ended. */
#include "feed/subs_int.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

/** A message taken apart. len 0: absent. */
struct message {
    struct rpcfan_slice id, result, error, method; /* raw */
    struct rpcfan_slice sub, news;                 /* params.subscription, params.result */
    bool object;                                   /* it is one */
    bool params;                                   /* an object */
};

struct reader {
    struct rf_subs *s;
    struct rf_subs_conn *c;
    struct rf_blob *blob;
    struct rf_scan scan;
    size_t pos;
    uint64_t now_ns;
};

static enum rf_tok next_token(struct reader *r, uint32_t depth)
{
    return rf_scan_skip(&r->scan, r->blob->data, r->blob->len, &r->pos, depth);
}

/* The value that begins with `tok`, up to its end. @return false where the text is at fault. */
static bool read_value(struct reader *r, enum rf_tok tok, uint32_t depth, struct rpcfan_slice *out)
{
    uint64_t at = r->scan.start;
    if (tok <= RF_TOK_ERROR)
        return false;
    if ((tok == RF_TOK_OBJECT || tok == RF_TOK_ARRAY) && next_token(r, depth) <= RF_TOK_ERROR)
        return false;
    *out = (struct rpcfan_slice){r->blob->data + at, (size_t)(r->scan.end - at)};
    return true;
}

static bool is_key(const struct reader *r, const char *name, size_t len)
{
    return r->scan.end - r->scan.start == len + 2 &&
           memcmp(r->blob->data + r->scan.start + 1, name, len) == 0;
}

#define IS_KEY(r, name) is_key((r), (name), sizeof(name) - 1)

/* The members of params, behind its brace. */
static bool read_params(struct reader *r, uint32_t depth, struct message *m)
{
    m->params = true;
    for (;;) {
        enum rf_tok tok = next_token(r, depth);
        struct rpcfan_slice other, *to = &other;
        if (tok == RF_TOK_OBJECT_END)
            return true;
        if (tok != RF_TOK_KEY)
            return false;
        if (IS_KEY(r, "subscription"))
            to = &m->sub;
        else if (IS_KEY(r, "result"))
            to = &m->news;
        if (!read_value(r, next_token(r, depth), depth, to))
            return false;
    }
}

/* The members of a message, behind its brace. @param depth as after that brace. */
static bool read_members(struct reader *r, uint32_t depth, struct message *m)
{
    m->object = true;
    for (;;) {
        enum rf_tok tok = next_token(r, depth);
        struct rpcfan_slice other, *to = &other;
        if (tok == RF_TOK_OBJECT_END)
            return true;
        if (tok != RF_TOK_KEY)
            return false;
        bool params = IS_KEY(r, "params");
        if (IS_KEY(r, "id"))
            to = &m->id;
        else if (IS_KEY(r, "result"))
            to = &m->result;
        else if (IS_KEY(r, "error"))
            to = &m->error;
        else if (IS_KEY(r, "method"))
            to = &m->method;
        tok = next_token(r, params ? depth + 1 : depth);
        bool whole = params && tok == RF_TOK_OBJECT ? read_params(r, depth + 1, m)
                                                    : read_value(r, tok, depth, to);
        if (!whole)
            return false;
    }
}

static bool is_null(struct rpcfan_slice v)
{
    return v.len == 4 && memcmp(v.data, "null", 4) == 0;
}

/* A number or a text of a length that is understood: what may be an id. */
static bool is_id(struct rpcfan_slice v)
{
    char c = v.len > 0 && v.len <= RF_SUBS_ID_MAX ? v.data[0] : '\0';
    return c == '"' || c == '-' || (c >= '0' && c <= '9');
}

/* Digits, with or without quotes. */
static bool read_u64(struct rpcfan_slice v, uint64_t *out)
{
    if (v.len >= 2 && v.data[0] == '"') {
        v.data++;
        v.len -= 2;
    }
    *out = 0;
    for (size_t i = 0; i < v.len; i++) {
        if (v.data[i] < '0' || v.data[i] > '9')
            return false;
        *out = *out * 10 + (uint64_t)(v.data[i] - '0');
    }
    return v.len > 0 && v.len < 20;
}

/* {"parent":75,"root":44,"slot":76} */
static bool read_slot(struct rpcfan_slice json, struct rf_note *n)
{
    struct rf_scan scan;
    size_t pos = 0;
    bool has = false;
    rf_scan_init(&scan, RF_SCAN_DEPTH);
    if (rf_scan_skip(&scan, json.data, json.len, &pos, 1) != RF_TOK_OBJECT)
        return false;
    for (;;) {
        enum rf_tok tok = rf_scan_skip(&scan, json.data, json.len, &pos, 1);
        if (tok != RF_TOK_KEY)
            return tok == RF_TOK_OBJECT_END && has;
        struct rpcfan_slice name = {json.data + scan.start + 1,
                                    (size_t)(scan.end - scan.start) - 2};
        tok = rf_scan_skip(&scan, json.data, json.len, &pos, 1);
        struct rpcfan_slice v = {json.data + scan.start, (size_t)(scan.end - scan.start)};
        uint64_t number;
        if (tok != RF_TOK_NUMBER || !read_u64(v, &number))
            continue;
        if (name.len == 4 && memcmp(name.data, "slot", 4) == 0) {
            n->slot = number;
            has = true;
        } else if (name.len == 4 && memcmp(name.data, "root", 4) == 0) {
            n->root = number;
        } else if (name.len == 6 && memcmp(name.data, "parent", 6) == 0) {
            n->parent = number;
        }
    }
}

/* The time between slots, as a slow average of what is seen. */
static void learn_slot_time(struct rf_subs *s, uint64_t slot, uint64_t now_ns)
{
    if (slot <= s->slot_seen)
        return;
    uint64_t slots = slot - s->slot_seen;
    if (s->slot_seen > 0 && slots < 32) {
        uint64_t each = rf_time_sub(now_ns, s->slot_seen_ns) / slots;
        each = rf_min_u64(rf_max_u64(each, 50 * RF_MS), 2 * RF_SEC);
        s->slot_ns = (s->slot_ns * 15 + each) / 16;
    }
    s->slot_seen = slot;
    s->slot_seen_ns = now_ns;
}

/* News of the connection's own subscription. @return false where it makes no sense. */
static bool beat(struct rf_subs *s, struct rf_subs_seat *seat, struct rpcfan_slice json,
                 uint64_t now_ns)
{
    struct rf_subs_conn *c = seat->conn;
    struct rf_note n = {.kind = seat->beat == RF_BEAT_SLOT ? RF_NOTE_SLOT : RF_NOTE_ROOT,
                        .session = c->session,
                        .endpoint = c->ep};
    if (seat->beat == RF_BEAT_ROOT ? !read_u64(json, &n.slot) : !read_slot(json, &n))
        return false;
    if (seat->beat == RF_BEAT_SLOT) {
        c->beat_ns = now_ns;
        c->slot = rf_max_u64(c->slot, n.slot);
        learn_slot_time(s, n.slot, now_ns);
    }
    s->ops.note(s->ops.arg, &n);
    return true;
}

void rf_read_tell(struct rf_subs *s, const struct rf_subs_seat *seat, struct rpcfan_slice json,
                  struct rf_blob *blob)
{
    struct rf_note n = {.kind = RF_NOTE_DATA,
                        .session = seat->conn->session,
                        .endpoint = seat->conn->ep,
                        .copy = seat->copy,
                        .json = json,
                        .blob = blob};
    const struct rf_link *head = &seat->wire->listeners;
    for (const struct rf_link *l = head->next; l != head; l = l->next) {
        const struct rf_subs_listener *li = RF_CONTAINER(l, struct rf_subs_listener, on_wire);
        if (!rf_seat_is_up_for(seat, li))
            continue;
        n.sub = li->id;
        n.tag = li->tag;
        s->count.notes++;
        s->ops.note(s->ops.arg, &n);
    }
}

static bool deliver(struct reader *r, struct rf_subs_seat *seat, struct rpcfan_slice json)
{
    if (seat->beat != RF_BEAT_NONE && !beat(r->s, seat, json, r->now_ns))
        return false;
    if (seat->role == RF_ROLE_NONE)
        return true; /* nobody's any more: it was sent before the node knew */
    if (seat->wire->kind == RF_WIRE_HEADS)
        r->c->heads_ns = r->now_ns;
    rf_read_tell(r->s, seat, json, r->blob);
    return true;
}

static void free_held(struct rf_subs *s, struct rf_subs_held *h)
{
    s->n_held--;
    s->held_bytes -= h->blob->len;
    rf_list_remove(&h->link);
    rf_blob_unref(h->blob);
    rf_free(h);
}

void rf_read_forget(struct rf_subs *s, struct rf_subs_conn *c, uint64_t now_ns, bool all)
{
    /* Without a reply that is out nobody can come for them any more. */
    all = all || rf_list_empty(&c->seats[RF_SEAT_ASKED]);
    while (!rf_list_empty(&c->held)) {
        struct rf_subs_held *h = RF_CONTAINER(c->held.next, struct rf_subs_held, link);
        if (!all && now_ns - h->at_ns < RF_SUBS_REPLY_NS)
            break;
        s->count.unknown++;
        free_held(s, h);
    }
}

void rf_read_held(struct rf_subs *s, struct rf_subs_seat *seat)
{
    struct rf_link *next;
    for (struct rf_link *l = seat->conn->held.next; l != &seat->conn->held; l = next) {
        next = l->next;
        struct rf_subs_held *h = RF_CONTAINER(l, struct rf_subs_held, link);
        if (h->id.len != seat->id_len || memcmp(h->id.data, seat->id, seat->id_len) != 0)
            continue;
        if (seat->role != RF_ROLE_NONE)
            rf_read_tell(s, seat, h->json, h->blob);
        free_held(s, h);
    }
}

/* Its id is not known. It may be in a reply that is still out. */
static void hold(struct reader *r, const struct message *m)
{
    struct rf_subs *s = r->s;
    if (rf_list_empty(&r->c->seats[RF_SEAT_ASKED])) {
        s->count.unknown++;
        return;
    }
    s->count.held++;
    bool fits = s->n_held < s->o.held && r->blob->len <= s->o.held_bytes &&
                s->held_bytes <= s->o.held_bytes - r->blob->len;
    struct rf_subs_held *h = fits ? rf_alloc(sizeof *h) : NULL;
    if (h == NULL) {
        s->count.lost_held++;
        return;
    }
    rf_blob_ref(r->blob, 1);
    h->blob = r->blob;
    h->id = m->sub;
    h->json = m->news;
    h->at_ns = r->now_ns;
    rf_list_push(&r->c->held, &h->link);
    s->n_held++;
    s->held_bytes += r->blob->len;
    s->next_ns = rf_min_u64(s->next_ns, rf_time_add(r->now_ns, RF_SUBS_REPLY_NS));
}

/* A message that makes no sense: what it should have been may be lost. */
static void malformed(struct reader *r)
{
    r->s->count.malformed++;
    rf_log(r->s->o.log, RPCFAN_LOG_WARN, "RF-WS-MALFORMED ep=%s session=%llu bytes=%zu",
           r->s->ep[r->c->ep].o.name, (unsigned long long)r->c->session, r->blob->len);
    rf_conn_doom(r->s, r->c, "a message made no sense");
}

static void read_notification(struct reader *r, const struct message *m)
{
    if (!is_id(m->sub) || m->news.len == 0) {
        malformed(r);
        return;
    }
    struct rf_subs_seat *seat = rf_seat_find(r->s, r->c, m->sub);
    if (seat == NULL)
        hold(r, m);
    for (; seat != NULL; seat = rf_seat_find_next(seat))
        if (!deliver(r, seat, m->news))
            malformed(r);
}

static struct rf_subs_seat *find_asked(const struct reader *r, struct rpcfan_slice id)
{
    uint64_t req;
    if (!read_u64(id, &req))
        return NULL;
    struct rf_table_node *n = rf_table_first(&r->s->reqs, rf_hash_u64(req));
    for (; n != NULL; n = rf_table_next(n)) {
        struct rf_subs_seat *seat = RF_CONTAINER(n, struct rf_subs_seat, by_req);
        if (seat->req == req && seat->conn == r->c)
            return seat;
    }
    return NULL;
}

static void read_reply(struct reader *r, const struct message *m)
{
    struct rf_subs *s = r->s;
    bool error = m->error.len > 0 && !is_null(m->error);
    struct rf_subs_seat *seat = find_asked(r, m->id);
    r->c->acked = true;
    if (seat == NULL) {
        if (error && is_null(m->id))
            rf_fate_batch(s, r->c, m->error, r->now_ns);
        else
            s->count.unknown++;
        return;
    }
    rf_table_remove(&s->reqs, &seat->by_req);
    s->dirty = true;
    if (seat->state == RF_SEAT_ENDED) {
        rf_seat_free(s, seat);
    } else if (error) {
        rf_fate_refused(s, seat, m->error, r->blob, r->now_ns);
    } else if (is_id(m->result)) {
        rf_fate_served(s, seat);
        rf_seat_up(s, seat, m->result, r->now_ns);
    } else {
        malformed(r);
    }
}

static void handle(struct reader *r, const struct message *m)
{
    static const struct rpcfan_slice null = {"null", 4};
    struct message reply = *m;
    if (r->c->doomed != NULL)
        return;
    if (m->method.len > 0 && m->params) {
        read_notification(r, m);
    } else if (m->id.len > 0 || m->error.len > 0) {
        if (m->id.len == 0)
            reply.id = null;
        read_reply(r, &reply);
    } else {
        r->s->count.unknown++; /* whatever it is, it is JSON and no news */
    }
}

static bool read_array(struct reader *r)
{
    for (;;) {
        enum rf_tok tok = next_token(r, 2);
        struct message m = {0};
        struct rpcfan_slice other;
        if (tok == RF_TOK_ARRAY_END)
            return true;
        if (tok == RF_TOK_OBJECT ? !read_members(r, 2, &m) : !read_value(r, tok, 1, &other))
            return false;
        handle(r, &m);
    }
}

void rf_subs_message(struct rf_subs *s, uint64_t session, struct rf_blob *blob, uint64_t now_ns)
{
    struct reader r = {.s = s, .c = rf_conn_find(s, session), .blob = blob, .now_ns = now_ns};
    if (r.c == NULL || !rf_conn_live(r.c))
        return;
    struct message m = {0};
    s->count.bytes += blob->len;
    rf_scan_init(&r.scan, RF_SCAN_DEPTH);
    enum rf_tok tok = next_token(&r, 1);
    bool whole;
    if (tok == RF_TOK_OBJECT)
        whole = read_members(&r, 1, &m);
    else if (tok == RF_TOK_ARRAY)
        whole = read_array(&r);
    else
        whole = tok > RF_TOK_ERROR;
    whole = whole && next_token(&r, 0) == RF_TOK_MORE && rf_scan_finish(&r.scan, NULL) == RPCFAN_OK;
    if (!whole)
        malformed(&r);
    else if (m.object)
        handle(&r, &m);
}
