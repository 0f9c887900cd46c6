/* subs_seat.c - seats: one wire on one connection, and what its listeners are told of that.
 *
 * Happy path: WAITING, ASKED, UP (told), ENDING, ENDED, freed. A seat that nobody wants any more
 * lives on until the node knows: its reply brings an id that has to be unsubscribed.
 * Failure modes: the connection ends (rf_seat_lose), the node refuses (subs_fate.c); a node gives
 * one id to two wires that it takes for equal, and ends both with one unsubscribe. */
#include "feed/subs_int.h"

#include <string.h>

#include "base/mem.h"
#include "json/canon.h"

static uint64_t id_hash(const struct rf_subs_conn *c, const char *id, size_t len)
{
    return rf_json_canon_hash((struct rpcfan_slice){id, len}) ^ rf_hash_u64(c->session);
}

struct rf_subs_seat *rf_seat_new(struct rf_subs *s, struct rf_subs_conn *c, struct rf_subs_wire *w,
                                 enum rf_beat beat)
{
    /* The heartbeat is what somebody wants, or a node would give one id to both. */
    if (w != NULL && (w->kind == RF_WIRE_SLOT || w->kind == RF_WIRE_ROOT)) {
        struct rf_subs_seat *own = c->beat[w->kind == RF_WIRE_SLOT ? RF_BEAT_SLOT : RF_BEAT_ROOT];
        if (own != NULL && own->wire == NULL)
            return own;
    }
    struct rf_subs_seat *seat = rf_alloc(sizeof *seat);
    if (seat == NULL)
        return NULL;
    seat->conn = c;
    seat->beat = beat;
    if (beat != RF_BEAT_NONE)
        c->beat[beat] = seat;
    rf_list_push(&c->seats[RF_SEAT_WAITING], &seat->on_conn);
    c->n_seats++;
    s->ep[c->ep].n_seats++;
    return seat;
}

void rf_seat_free(struct rf_subs *s, struct rf_subs_seat *seat)
{
    struct rf_subs_conn *c = seat->conn;
    struct rf_subs_wire *w = seat->wire;
    if (seat->role != RF_ROLE_NONE)
        c->n_users--;
    if (seat->beat != RF_BEAT_NONE) {
        c->beat[seat->beat] = NULL;
        if (seat->beat == RF_BEAT_SLOT)
            c->beat_ns = 0;
    }
    rf_table_remove(&s->ids, &seat->by_id);
    rf_table_remove(&s->reqs, &seat->by_req);
    rf_list_remove(&seat->on_conn);
    rf_list_remove(&seat->on_wire);
    c->n_seats--;
    s->ep[c->ep].n_seats--;
    rf_free(seat);
    if (w != NULL)
        rf_subs_wire_drop(s, w);
}

void rf_seat_set(struct rf_subs_seat *seat, enum rf_seat_state state)
{
    seat->state = state;
    rf_list_remove(&seat->on_conn);
    rf_list_push(&seat->conn->seats[state], &seat->on_conn);
}

static struct rf_subs_seat **place_of(struct rf_subs_leg *leg, enum rf_seat_role role)
{
    return role == RF_ROLE_CUR ? &leg->cur : role == RF_ROLE_NEXT ? &leg->next : &leg->former;
}

void rf_seat_give(struct rf_subs_seat *seat, struct rf_subs_wire *w, uint32_t copy,
                  enum rf_seat_role role)
{
    struct rf_subs_leg *leg = &w->leg[copy];
    if (seat->role != RF_ROLE_NONE)
        *place_of(leg, seat->role) = NULL;
    else
        seat->conn->n_users++;
    if (seat->wire == NULL)
        rf_list_push(&w->seats, &seat->on_wire);
    seat->wire = w;
    seat->copy = copy;
    seat->role = role;
    *place_of(leg, role) = seat;
    rf_list_remove(&leg->homeless);
}

/* Nobody's: the leg forgets it. */
static void detach(struct rf_subs_seat *seat)
{
    if (seat->role == RF_ROLE_NONE)
        return;
    *place_of(&seat->wire->leg[seat->copy], seat->role) = NULL;
    seat->role = RF_ROLE_NONE;
    seat->conn->n_users--;
    if (seat->wire->kind == RF_WIRE_HEADS)
        seat->conn->heads_ns = 0;
    if (seat->beat != RF_BEAT_NONE) {
        rf_list_remove(&seat->on_wire);
        seat->wire = NULL;
    }
}

/* Unsubscribe, unless there is nothing to say or another one needs the id. */
static void end_up(struct rf_subs *s, struct rf_subs_seat *seat)
{
    s->dirty = true;
    if (seat->wire->unsub == NULL || rf_seat_twin(s, seat) != NULL)
        rf_seat_free(s, seat);
    else
        rf_seat_set(seat, RF_SEAT_ENDING);
}

void rf_seat_release(struct rf_subs *s, struct rf_subs_seat *seat)
{
    bool beat = seat->beat != RF_BEAT_NONE;
    struct rf_subs_wire *w = seat->wire;
    detach(seat);
    s->dirty = true;
    if (beat)
        rf_subs_wire_drop(s, w);
    else if (seat->state == RF_SEAT_WAITING)
        rf_seat_free(s, seat);
    else if (seat->state == RF_SEAT_UP)
        end_up(s, seat);
}

static void note_of(const struct rf_subs_seat *seat, enum rf_note_kind kind, struct rf_note *n)
{
    *n = (struct rf_note){.kind = kind,
                          .session = seat->conn->session,
                          .endpoint = seat->conn->ep,
                          .copy = seat->copy};
}

void rf_seat_tell_up(struct rf_subs *s, const struct rf_subs_seat *seat)
{
    struct rf_note n;
    note_of(seat, RF_NOTE_UP, &n);
    struct rf_link *head = &seat->wire->listeners;
    for (struct rf_link *l = head->next; l != head; l = l->next) {
        struct rf_subs_listener *li = RF_CONTAINER(l, struct rf_subs_listener, on_wire);
        if (li->copies <= seat->copy || rf_seat_is_up_for(seat, li))
            continue;
        li->up[seat->copy] |= RF_UP_CUR;
        n.sub = li->id;
        n.tag = li->tag;
        s->ops.note(s->ops.arg, &n);
    }
}

static void tell_down(struct rf_subs *s, const struct rf_subs_seat *seat, const char *why)
{
    struct rf_note n;
    note_of(seat, RF_NOTE_DOWN, &n);
    n.why = why;
    struct rf_link *head = &seat->wire->listeners;
    for (struct rf_link *l = head->next; l != head; l = l->next) {
        struct rf_subs_listener *li = RF_CONTAINER(l, struct rf_subs_listener, on_wire);
        if (!rf_seat_is_up_for(seat, li))
            continue;
        li->up[seat->copy] &= (uint8_t) ~(seat->role == RF_ROLE_FORMER ? RF_UP_FORMER : RF_UP_CUR);
        n.sub = li->id;
        n.tag = li->tag;
        s->ops.note(s->ops.arg, &n);
    }
}

/* A seat becomes the former one, or comes back: what was told of it goes with it. */
static void turn_bits(struct rf_subs_wire *w, uint32_t copy, uint8_t from, uint8_t to)
{
    for (struct rf_link *l = w->listeners.next; l != &w->listeners; l = l->next) {
        struct rf_subs_listener *li = RF_CONTAINER(l, struct rf_subs_listener, on_wire);
        li->up[copy] = (li->up[copy] & from) != 0 ? to : 0;
    }
}

/* The leg's seat is gone: its replacement or its predecessor takes its place, or it is homeless. */
static void find_another(struct rf_subs *s, struct rf_subs_wire *w, uint32_t copy)
{
    struct rf_subs_leg *leg = &w->leg[copy];
    if (leg->former != NULL) {
        rf_seat_give(leg->former, w, copy, RF_ROLE_CUR);
        turn_bits(w, copy, RF_UP_FORMER, RF_UP_CUR);
        rf_seat_tell_up(s, leg->cur);
    } else if (leg->next != NULL) {
        rf_seat_give(leg->next, w, copy, RF_ROLE_CUR);
    } else {
        rf_subs_leg_homeless(s, w, copy);
    }
}

void rf_seat_lose(struct rf_subs *s, struct rf_subs_seat *seat, const char *why)
{
    struct rf_subs_wire *w = seat->wire;
    uint32_t copy = seat->copy;
    if (seat->role != RF_ROLE_NONE && seat->state == RF_SEAT_UP)
        tell_down(s, seat, why);
    if (seat->role == RF_ROLE_CUR) {
        detach(seat);
        find_another(s, w, copy);
    } else {
        detach(seat);
    }
    rf_seat_free(s, seat);
}

struct rf_subs_seat *rf_seat_find(const struct rf_subs *s, const struct rf_subs_conn *c,
                                  struct rpcfan_slice id)
{
    struct rf_table_node *n = rf_table_first(&s->ids, id_hash(c, id.data, id.len));
    for (; n != NULL; n = rf_table_next(n)) {
        struct rf_subs_seat *seat = RF_CONTAINER(n, struct rf_subs_seat, by_id);
        if (seat->conn == c && seat->id_len == id.len && memcmp(seat->id, id.data, id.len) == 0)
            return seat;
    }
    return NULL;
}

struct rf_subs_seat *rf_seat_find_next(const struct rf_subs_seat *seat)
{
    for (struct rf_table_node *n = rf_table_next(&seat->by_id); n != NULL; n = rf_table_next(n)) {
        struct rf_subs_seat *other = RF_CONTAINER(n, struct rf_subs_seat, by_id);
        if (other->conn == seat->conn && other->id_len == seat->id_len &&
            memcmp(other->id, seat->id, seat->id_len) == 0)
            return other;
    }
    return NULL;
}

struct rf_subs_seat *rf_seat_twin(const struct rf_subs *s, const struct rf_subs_seat *seat)
{
    struct rf_subs_seat *other =
        rf_seat_find(s, seat->conn, (struct rpcfan_slice){seat->id, seat->id_len});
    while (other != NULL && (other == seat || other->state == RF_SEAT_ENDED))
        other = rf_seat_find_next(other);
    return other;
}

/* Whether an unsubscribe of this very id was sent after the seat was asked for: the node took both
 * for equal, and the seat died with the other. */
static bool is_dead_already(const struct rf_subs *s, const struct rf_subs_seat *seat,
                            struct rpcfan_slice id)
{
    struct rf_subs_seat *other = rf_seat_find(s, seat->conn, id);
    for (; other != NULL; other = rf_seat_find_next(other))
        if (other->state == RF_SEAT_ENDED && other->req > seat->req)
            return true;
    return false;
}

/* Of a replacement: what it replaces goes on telling until its connection ends. */
static void take_over(struct rf_subs *s, struct rf_subs_seat *seat)
{
    struct rf_subs_leg *leg = &seat->wire->leg[seat->copy];
    struct rf_subs_seat *old = leg->cur;
    if (old != NULL && old->state == RF_SEAT_UP) {
        rf_seat_give(old, seat->wire, seat->copy, RF_ROLE_FORMER);
        turn_bits(seat->wire, seat->copy, RF_UP_CUR, RF_UP_FORMER);
    } else if (old != NULL) {
        rf_seat_release(s, old);
    }
    rf_seat_give(seat, seat->wire, seat->copy, RF_ROLE_CUR);
}

void rf_seat_up(struct rf_subs *s, struct rf_subs_seat *seat, struct rpcfan_slice id,
                uint64_t now_ns)
{
    struct rf_subs_conn *c = seat->conn;
    s->dirty = true;
    if (is_dead_already(s, seat, id)) {
        rf_seat_set(seat, RF_SEAT_WAITING);
        return;
    }
    memcpy(seat->id, id.data, id.len);
    seat->id_len = (uint32_t)id.len;
    rf_table_add(&s->ids, &seat->by_id, id_hash(c, id.data, id.len));
    rf_seat_set(seat, RF_SEAT_UP);
    if (seat->beat == RF_BEAT_SLOT)
        c->beat_ns = now_ns;
    if (seat->role == RF_ROLE_NONE) {
        if (seat->beat == RF_BEAT_NONE)
            end_up(s, seat);
        return;
    }
    if (seat->wire->kind == RF_WIRE_HEADS)
        c->heads_ns = now_ns;
    if (seat->role == RF_ROLE_NEXT)
        take_over(s, seat);
    rf_seat_tell_up(s, seat);
    rf_read_held(s, seat);
}
