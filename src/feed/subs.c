/* subs.c - the subscription engine: its life, its listeners and wires, and its step.
 *
 * Happy path: a listener is added; its wire is new or is there already; a step finds it a seat on a
 * connection, opened where that is needed, and asks for it; the reply brings the remote id, and UP
 * is told; notifications follow.
 * Failure modes: see subs_conn.c (connections), subs_fate.c (refusals), subs_read.c (messages). Out
 * of memory: what was to be added is not (0), everything else is tried again a little later. */
#include "feed/subs_int.h"

#include <string.h>

#include "base/mem.h"
#include "core/rules.h"
#include "json/canon.h"
#include "json/rpc.h"

#define KIB 1024u

static void set_defaults(struct rf_subs *s)
{
    bool solana = s->o.family == RPCFAN_SOLANA;
    if (s->o.stall_ns == 0)
        s->o.stall_ns = solana ? 5 * RF_SEC : 60 * RF_SEC;
    if (s->o.held == 0)
        s->o.held = 1024;
    if (s->o.held_bytes == 0)
        s->o.held_bytes = 16 * KIB * KIB;
    s->message_min = UINT32_MAX;
    for (uint32_t i = 0; i < s->o.n_endpoints; i++) {
        struct rf_subs_endpoint *o = &s->ep[i].o;
        *o = s->o.endpoint[i];
        o->subs_per_conn = o->subs_per_conn > 0 ? o->subs_per_conn : 100;
        o->conns = o->conns > 0 ? o->conns : 8;
        if (o->message_bytes == 0)
            o->message_bytes = solana ? 4 * KIB : 64 * KIB;
        o->per_s = o->per_s > 0 ? o->per_s : 50;
        o->retry_ns = o->retry_ns > 0 ? o->retry_ns : RF_SUBS_BACKOFF_CAP_NS;
        s->ep[i].no_batch = o->no_batch;
        s->message_min = o->message_bytes < s->message_min ? o->message_bytes : s->message_min;
    }
    s->o.endpoint = NULL; /* borrowed; s->ep has them */
}

/* Endpoints by priority, in the order given among equals. */
static void sort_endpoints(struct rf_subs *s)
{
    for (uint32_t i = 0; i < s->o.n_endpoints; i++) {
        uint32_t at = i;
        for (; at > 0 && s->ep[s->order[at - 1]].o.priority > s->ep[i].o.priority; at--)
            s->order[at] = s->order[at - 1];
        s->order[at] = i;
    }
}

static bool set_up(struct rf_subs *s)
{
    s->ep = rf_alloc((s->o.n_endpoints + 1) * sizeof s->ep[0]);
    s->order = rf_alloc((s->o.n_endpoints + 1) * sizeof s->order[0]);
    struct rpcfan_slice none = {NULL, 0};
    bool ok = s->ep != NULL && s->order != NULL && rf_table_init(&s->listeners) &&
              rf_table_init(&s->wires) && rf_table_init(&s->sessions) && rf_table_init(&s->ids) &&
              rf_table_init(&s->reqs) &&
              rf_wire_compose(&s->beat[RF_BEAT_SLOT], "slotSubscribe", none) &&
              rf_wire_compose(&s->beat[RF_BEAT_ROOT], "rootSubscribe", none);
    if (ok && s->o.rules == NULL)
        ok = rf_rules_new(NULL, &s->own_rules, NULL) == RPCFAN_OK;
    if (!ok)
        return false;
    s->rules = s->o.rules != NULL ? s->o.rules : s->own_rules;
    set_defaults(s);
    sort_endpoints(s);
    return true;
}

struct rf_subs *rf_subs_new(const struct rf_subs_options *o, const struct rf_subs_ops *ops,
                            uint64_t now_ns)
{
    struct rf_subs *s = rf_alloc(sizeof *s);
    if (s == NULL)
        return NULL;
    s->o = *o;
    s->ops = *ops;
    s->next_id = s->next_session = s->next_req = 1;
    s->slot_ns = RF_SUBS_SLOT_NS;
    s->next_ns = s->place_ns = s->memory_ns = RF_NEVER;
    rf_rng_init(&s->rng, o->seed ^ now_ns);
    rf_list_init(&s->all_wires);
    rf_list_init(&s->conns);
    rf_list_init(&s->homeless);
    rf_list_init(&s->fresh);
    if (!set_up(s)) {
        rf_subs_free(s);
        return NULL;
    }
    return s;
}

static void free_wire(struct rf_subs_wire *w)
{
    rf_free(w->key);
    rf_free(w->tail);
    rf_free(w->unsub);
    w->key = w->tail = w->unsub = NULL;
}

static void free_seats(struct rf_subs *s, struct rf_subs_conn *c)
{
    for (int i = 0; i < RF_SEAT_STATES; i++)
        while (!rf_list_empty(&c->seats[i])) {
            struct rf_subs_seat *seat =
                RF_CONTAINER(c->seats[i].next, struct rf_subs_seat, on_conn);
            seat->wire = NULL; /* wires are freed by themselves */
            rf_seat_free(s, seat);
        }
}

void rf_subs_free(struct rf_subs *s)
{
    struct rf_link *l;
    if (s == NULL)
        return;
    for (uint32_t i = 0; i < s->listeners.n_buckets; i++)
        while (s->listeners.bucket != NULL && s->listeners.bucket[i] != NULL) {
            struct rf_subs_listener *li =
                RF_CONTAINER(s->listeners.bucket[i], struct rf_subs_listener, by_id);
            rf_table_remove(&s->listeners, &li->by_id);
            rf_free(li);
        }
    while (!rf_list_empty(&s->conns)) {
        struct rf_subs_conn *c = RF_CONTAINER(s->conns.next, struct rf_subs_conn, all);
        rf_read_forget(s, c, 0, true);
        free_seats(s, c);
        rf_conn_free(s, c);
    }
    while ((l = rf_list_shift(&s->all_wires)) != NULL) {
        struct rf_subs_wire *w = RF_CONTAINER(l, struct rf_subs_wire, all);
        free_wire(w);
        rf_free(w);
    }
    free_wire(&s->beat[RF_BEAT_SLOT]);
    free_wire(&s->beat[RF_BEAT_ROOT]);
    rf_table_fini(&s->listeners);
    rf_table_fini(&s->wires);
    rf_table_fini(&s->sessions);
    rf_table_fini(&s->ids);
    rf_table_fini(&s->reqs);
    rf_buf_fini(&s->out);
    rf_rules_free(s->own_rules);
    rf_free(s->ep);
    rf_free(s->order);
    rf_free(s);
}

void rf_subs_starved(struct rf_subs *s, uint64_t now_ns)
{
    s->memory_ns = rf_time_add(now_ns, RF_SUBS_MEMORY_NS);
}

/* Wires. */

static struct rf_subs_wire *find_wire(const struct rf_subs *s, const struct rf_subs_wire *like,
                                      uint64_t hash)
{
    struct rf_table_node *n = rf_table_first(&s->wires, hash);
    for (; n != NULL; n = rf_table_next(n)) {
        struct rf_subs_wire *w = RF_CONTAINER(n, struct rf_subs_wire, by_key);
        if (w->key_len == like->key_len && memcmp(w->key, like->key, w->key_len) == 0)
            return w;
    }
    return NULL;
}

/* The wire of a subscription, made where there is none. @return NULL: no memory, or bad params. */
static struct rf_subs_wire *wire_for(struct rf_subs *s, const struct rf_subs_want *want)
{
    struct rf_subs_wire *w = rf_alloc(sizeof *w);
    if (w == NULL)
        return NULL;
    if (!rf_wire_compose(w, want->method, want->params)) {
        free_wire(w);
        rf_free(w);
        return NULL;
    }
    uint64_t hash = rf_json_canon_hash((struct rpcfan_slice){w->key, w->key_len});
    struct rf_subs_wire *same = find_wire(s, w, hash);
    if (same != NULL) {
        free_wire(w);
        rf_free(w);
        return same;
    }
    rf_list_init(&w->listeners);
    rf_list_init(&w->seats);
    for (uint32_t i = 0; i < 2; i++) {
        w->leg[i].wire = w;
        w->leg[i].copy = i;
    }
    rf_table_add(&s->wires, &w->by_key, hash);
    rf_list_push(&s->all_wires, &w->all);
    return w;
}

void rf_subs_wire_drop(struct rf_subs *s, struct rf_subs_wire *w)
{
    if (w->n_listeners > 0 || !rf_list_empty(&w->seats))
        return;
    rf_list_remove(&w->leg[0].homeless);
    rf_list_remove(&w->leg[1].homeless);
    rf_table_remove(&s->wires, &w->by_key);
    rf_list_remove(&w->all);
    free_wire(w);
    rf_free(w);
}

bool rf_subs_leg_wanted(const struct rf_subs_wire *w, uint32_t copy)
{
    return copy == 0 ? w->n_listeners > 0 : w->n_two > 0;
}

void rf_subs_leg_homeless(struct rf_subs *s, struct rf_subs_wire *w, uint32_t copy)
{
    struct rf_subs_leg *leg = &w->leg[copy];
    if (!rf_subs_leg_wanted(w, copy) || leg->cur != NULL || leg->homeless.next != NULL)
        return;
    rf_list_push(&s->homeless, &leg->homeless);
    s->dirty = true;
}

/* Nobody wants a leg any more. The wire is kept from being dropped meanwhile. */
static void end_leg(struct rf_subs *s, struct rf_subs_wire *w, uint32_t copy)
{
    struct rf_subs_leg *leg = &w->leg[copy];
    rf_list_remove(&leg->homeless);
    w->n_listeners++;
    if (leg->next != NULL)
        rf_seat_release(s, leg->next);
    if (leg->former != NULL)
        rf_seat_release(s, leg->former);
    if (leg->cur != NULL)
        rf_seat_release(s, leg->cur);
    w->n_listeners--;
    leg->not_before_ns = 0;
    leg->fails = 0;
    s->dirty = true;
}

static void leave_wire(struct rf_subs *s, struct rf_subs_listener *li)
{
    struct rf_subs_wire *w = li->wire;
    rf_list_remove(&li->on_wire);
    rf_list_remove(&li->fresh);
    li->wire = NULL;
    w->n_listeners--;
    w->n_two -= li->copies > 1 ? 1 : 0;
    for (uint32_t copy = 0; copy < 2; copy++)
        if (!rf_subs_leg_wanted(w, copy))
            end_leg(s, w, copy);
    rf_subs_wire_drop(s, w);
}

void rf_subs_wire_refuse(struct rf_subs *s, struct rf_subs_wire *w, struct rpcfan_slice error,
                         struct rf_blob *blob, const struct rf_subs_conn *c)
{
    struct rf_note n = {.kind = RF_NOTE_REFUSED,
                        .session = c != NULL ? c->session : 0,
                        .endpoint = c != NULL ? c->ep : 0,
                        .json = error,
                        .blob = blob};
    bool last = false;
    while (!last) {
        struct rf_subs_listener *li =
            RF_CONTAINER(w->listeners.next, struct rf_subs_listener, on_wire);
        n.sub = li->id;
        n.tag = li->tag;
        last = w->n_listeners == 1;
        leave_wire(s, li); /* with the last one the wire may be gone */
        s->ops.note(s->ops.arg, &n);
    }
}

/* Listeners. */

static struct rf_subs_listener *find_listener(const struct rf_subs *s, uint64_t id)
{
    struct rf_table_node *n = rf_table_first(&s->listeners, rf_hash_u64(id));
    for (; n != NULL; n = rf_table_next(n)) {
        struct rf_subs_listener *li = RF_CONTAINER(n, struct rf_subs_listener, by_id);
        if (li->id == id)
            return li;
    }
    return NULL;
}

static bool is_array(struct rpcfan_slice json)
{
    size_t i = 0;
    while (i < json.len && (json.data[i] == ' ' || json.data[i] == '\t' || json.data[i] == '\n' ||
                            json.data[i] == '\r'))
        i++;
    return json.len == 0 || (i < json.len && json.data[i] == '[');
}

uint64_t rf_subs_add(struct rf_subs *s, const struct rf_subs_want *want, uint64_t now_ns)
{
    (void)now_ns;
    if (!is_array(want->params))
        return 0;
    struct rf_subs_listener *li = rf_alloc(sizeof *li);
    struct rf_subs_wire *w = li != NULL ? wire_for(s, want) : NULL;
    if (w == NULL) {
        rf_free(li);
        return 0;
    }
    li->id = s->next_id++;
    li->tag = want->tag;
    li->copies = want->copies > 1 ? 2 : 1;
    li->wire = w;
    w->n_listeners++;
    w->n_two += li->copies > 1 ? 1 : 0;
    rf_table_add(&s->listeners, &li->by_id, rf_hash_u64(li->id));
    rf_list_push(&w->listeners, &li->on_wire);
    rf_list_push(&s->fresh, &li->fresh);
    for (uint32_t copy = 0; copy < li->copies; copy++)
        rf_subs_leg_homeless(s, w, copy);
    s->dirty = true;
    return li->id;
}

void rf_subs_remove(struct rf_subs *s, uint64_t sub, uint64_t now_ns)
{
    (void)now_ns;
    struct rf_subs_listener *li = find_listener(s, sub);
    if (li == NULL)
        return;
    rf_table_remove(&s->listeners, &li->by_id);
    if (li->wire != NULL)
        leave_wire(s, li);
    rf_free(li);
}

void rf_subs_distrust(struct rf_subs *s, uint64_t session, const char *why, uint64_t now_ns)
{
    (void)now_ns;
    struct rf_subs_conn *c = rf_conn_find(s, session);
    if (c != NULL && c->state < RF_CONN_CLOSING)
        rf_conn_doom(s, c, why);
}

void rf_subs_lost(struct rf_subs *s, uint64_t session, const char *why, uint64_t now_ns)
{
    rf_subs_distrust(s, session, why, now_ns);
}

/* Who came to a wire that was UP already has that to be told. */
static void tell_fresh(struct rf_subs *s)
{
    struct rf_link *l;
    while ((l = rf_list_shift(&s->fresh)) != NULL) {
        struct rf_subs_wire *w = RF_CONTAINER(l, struct rf_subs_listener, fresh)->wire;
        for (uint32_t copy = 0; copy < 2; copy++)
            if (w->leg[copy].cur != NULL && w->leg[copy].cur->state == RF_SEAT_UP)
                rf_seat_tell_up(s, w->leg[copy].cur);
    }
}

void rf_subs_step(struct rf_subs *s, uint64_t now_ns)
{
    if (!s->dirty && now_ns < s->next_ns)
        return;
    s->memory_ns = RF_NEVER;
    rf_conn_watch(s, now_ns);
    s->dirty = false;
    tell_fresh(s);
    rf_place_all(s, now_ns);
    rf_wire_send(s, now_ns);
    uint64_t next = s->place_ns;
    for (struct rf_link *l = s->conns.next; l != &s->conns; l = l->next)
        next = rf_min_u64(next, rf_conn_due(s, RF_CONTAINER(l, struct rf_subs_conn, all)));
    /* Without memory, what is due now would be due again at once. */
    s->next_ns = s->memory_ns == RF_NEVER ? next : s->memory_ns;
}

uint64_t rf_subs_deadline(const struct rf_subs *s)
{
    return s->dirty ? 0 : s->next_ns;
}
