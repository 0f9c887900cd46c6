/* subs_wire.c - requests as they go out: composed once a wire, packed into one message as a batch
 * where the endpoint takes that, paced by messages.
 *
 * What has to be unsubscribed goes first, in messages of its own, so that a node that takes an old
 * and a new subscription for equal has ended the one before it begins the other. */
#include "feed/subs_int.h"

#include "base/mem.h"
#include "json/canon.h"
#include "json/rpc.h"

/* Two messages may go at one time where a timer was late by so much. */
#define LATE_NS (5 * RF_MS)

/* "accountSubscribe" ends with "accountUnsubscribe", "eth_subscribe" with "eth_unsubscribe".
 * @return owned; NULL when out of memory, or (*known false) where the name is of neither kind. */
static char *unsub_name(const char *method, bool *known)
{
    size_t len = strlen(method);
    struct rf_buf b = {0};
    *known = true;
    if (len >= 9 && strcmp(method + len - 9, "Subscribe") == 0) {
        rf_buf_add(&b, method, len - 9);
        rf_buf_str(&b, "Unsubscribe");
    } else if (len >= 10 && strcmp(method + len - 10, "_subscribe") == 0) {
        rf_buf_add(&b, method, len - 10);
        rf_buf_str(&b, "_unsubscribe");
    } else {
        *known = false;
        return NULL;
    }
    rf_buf_char(&b, '\0');
    if (b.failed)
        rf_buf_fini(&b);
    return b.data;
}

static enum rf_wire_kind kind_of(const char *method, struct rpcfan_slice canon)
{
    bool bare = canon.len == 2;
    static const char heads[] = "[\"newHeads\"]";
    if (bare && strcmp(method, "slotSubscribe") == 0)
        return RF_WIRE_SLOT;
    if (bare && strcmp(method, "rootSubscribe") == 0)
        return RF_WIRE_ROOT;
    if (strcmp(method, "eth_subscribe") == 0 && canon.len == sizeof heads - 1 &&
        memcmp(canon.data, heads, canon.len) == 0)
        return RF_WIRE_HEADS;
    return RF_WIRE_PLAIN;
}

bool rf_wire_compose(struct rf_subs_wire *w, const char *method, struct rpcfan_slice params)
{
    struct rf_buf key = {0}, tail = {0};
    bool known;
    size_t len = strlen(method);
    rf_buf_add(&key, method, len + 1);
    if (params.len == 0)
        rf_buf_str(&key, "[]");
    else if (!rf_json_canon(params, &key))
        key.failed = true;
    rf_request_tail(&tail, (struct rpcfan_slice){method, len}, params);
    w->unsub = unsub_name(method, &known);
    w->key = key.data;
    w->key_len = key.len;
    w->tail = tail.data;
    w->tail_len = tail.len;
    if (key.failed || tail.failed || (known && w->unsub == NULL))
        return false;
    w->kind = kind_of(method, (struct rpcfan_slice){key.data + len + 1, key.len - len - 1});
    return true;
}

uint64_t rf_wire_may_send(const struct rf_subs_end_point *e)
{
    return rf_max_u64(e->pause_ns, rf_time_sub(e->tat_ns, LATE_NS));
}

bool rf_wire_waits(const struct rf_subs_conn *c)
{
    return rf_conn_live(c) && (!rf_list_empty(&c->seats[RF_SEAT_WAITING]) ||
                               !rf_list_empty(&c->seats[RF_SEAT_ENDING]));
}

/* Append one request. */
static void write_request(struct rf_subs *s, const struct rf_subs_seat *seat, uint64_t id,
                          struct rf_buf *b)
{
    const struct rf_subs_wire *w = seat->wire != NULL ? seat->wire : &s->beat[seat->beat];
    if (seat->state != RF_SEAT_ENDING) {
        rf_request_member(b, id, w->tail, w->tail_len);
        return;
    }
    rf_buf_str(b, "{\"jsonrpc\":\"2.0\",\"id\":");
    rf_buf_u64(b, id);
    rf_buf_str(b, ",\"method\":\"");
    rf_buf_str(b, w->unsub);
    rf_buf_str(b, "\",\"params\":[");
    rf_buf_add(b, seat->id, seat->id_len);
    rf_buf_str(b, "]}");
}

/* Write as many requests of one list as fit into one message. @return how many; 0: no memory. */
static uint32_t pack(struct rf_subs *s, const struct rf_subs_conn *c, enum rf_seat_state from)
{
    const struct rf_subs_end_point *e = &s->ep[c->ep];
    const struct rf_link *head = &c->seats[from];
    uint32_t n = 0;
    rf_buf_reset(&s->out, 64 * 1024);
    for (const struct rf_link *l = head->next; l != head; l = l->next) {
        size_t before = s->out.len;
        rf_buf_char(&s->out, n == 0 ? '[' : ',');
        write_request(s, RF_CONTAINER(l, struct rf_subs_seat, on_conn), s->next_req + n, &s->out);
        if (s->out.failed)
            return 0;
        if (n > 0 && s->out.len + 1 > e->o.message_bytes) {
            s->out.len = before;
            break;
        }
        n++;
        if (e->no_batch)
            break;
    }
    rf_buf_char(&s->out, ']');
    return s->out.failed ? 0 : n;
}

/* One message of a connection. @return false when out of memory. */
static bool send_one(struct rf_subs *s, struct rf_subs_conn *c, uint64_t now_ns)
{
    struct rf_subs_end_point *e = &s->ep[c->ep];
    bool ends = !rf_list_empty(&c->seats[RF_SEAT_ENDING]);
    enum rf_seat_state from = ends ? RF_SEAT_ENDING : RF_SEAT_WAITING;
    uint32_t n = pack(s, c, from);
    if (n == 0)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        struct rf_subs_seat *seat = RF_CONTAINER(c->seats[from].next, struct rf_subs_seat, on_conn);
        seat->req = s->next_req++;
        seat->asked_ns = now_ns;
        seat->batched = n > 1;
        rf_table_add(&s->reqs, &seat->by_req, rf_hash_u64(seat->req));
        rf_seat_set(seat, ends ? RF_SEAT_ENDED : RF_SEAT_ASKED);
    }
    s->count.requests += n;
    uint64_t gap = RF_SEC / e->o.per_s;
    e->tat_ns = rf_max_u64(e->tat_ns, now_ns) + gap + gap / 64;
    /* A batch is an array; one request alone goes without the brackets. */
    if (n > 1)
        s->ops.send(s->ops.arg, c->session, s->out.data, s->out.len);
    else
        s->ops.send(s->ops.arg, c->session, s->out.data + 1, s->out.len - 2);
    return true;
}

void rf_wire_send(struct rf_subs *s, uint64_t now_ns)
{
    bool sent = true;
    while (sent) {
        sent = false;
        struct rf_link *next;
        for (struct rf_link *l = s->conns.next; l != &s->conns; l = next) {
            next = l->next;
            struct rf_subs_conn *c = RF_CONTAINER(l, struct rf_subs_conn, all);
            if (!rf_wire_waits(c) || rf_wire_may_send(&s->ep[c->ep]) > now_ns)
                continue;
            if (!send_one(s, c, now_ns)) {
                rf_subs_starved(s, now_ns);
                return;
            }
            sent = true;
        }
    }
}
