/* subs_place.c - which connection a leg goes to.
 *
 * Endpoints by priority, and among equals the one with the fewest subscriptions. A connection with
 * room is filled before another is opened. An endpoint that fell once is waited for, as it is
 * mostly back within the second; one that fell twice in a row is down, and others are used, until
 * none is left. The two copies of a leg are at two endpoints, or on two connections of the only
 * one. */
#include "feed/subs_int.h"

#include "json/rpc.h"

/* An endpoint that has to back off for no longer than this is waited for. */
#define SOON_NS (2 * RF_SEC)

static const char too_long[] =
    "{\"code\":-39019,\"message\":\"the subscribe request is longer than what any endpoint takes "
    "in one message\"}";

enum standing {
    STAND_NO,   /* cannot take it */
    STAND_LAST, /* down, and to be tried where all are */
    STAND_SOON, /* shortly */
    STAND_NOW
};

/* Where a leg could go. */
struct choice {
    enum standing standing;
    struct rf_subs_conn *conn; /* NULL with NOW, LAST: a new one */
    uint32_t ep;
};

uint32_t rf_place_room(const struct rf_subs *s, const struct rf_subs_conn *c)
{
    uint64_t cap = rf_min_u64(s->ep[c->ep].o.subs_per_conn, c->cap);
    uint32_t beats =
        (c->beat[RF_BEAT_SLOT] != NULL ? 1u : 0) + (c->beat[RF_BEAT_ROOT] != NULL ? 1u : 0);
    if (c->n_seats < cap)
        return (uint32_t)cap - c->n_seats;
    return c->n_seats == beats && c->cap > 0 ? 1 : 0;
}

bool rf_place_may_open(const struct rf_subs *s, uint32_t ep, uint64_t now_ns)
{
    const struct rf_subs_end_point *e = &s->ep[ep];
    return now_ns >= e->retry_ns && e->n_conns < e->o.conns &&
           e->n_opening < (e->probing ? 1 : RF_SUBS_OPENING_MAX);
}

/* The connection that the leg's other copy is on, or NULL. */
static const struct rf_subs_conn *other_conn(const struct rf_subs_leg *leg)
{
    const struct rf_subs_leg *other = &leg->wire->leg[1 - leg->copy];
    return other->cur != NULL ? other->cur->conn : NULL;
}

static bool takes(const struct rf_subs *s, const struct rf_subs_leg *leg, uint32_t ep)
{
    return leg->wire->tail_len + RF_REQUEST_HEAD_MAX <= s->ep[ep].o.message_bytes;
}

/* Whether all that is on a connection could be at an endpoint. */
static bool takes_all(const struct rf_subs *s, const struct rf_subs_conn *c, uint32_t ep)
{
    for (int state = RF_SEAT_WAITING; state <= RF_SEAT_UP; state++) {
        const struct rf_link *head = &c->seats[state];
        for (const struct rf_link *l = head->next; l != head; l = l->next) {
            const struct rf_subs_seat *seat = RF_CONTAINER(l, struct rf_subs_seat, on_conn);
            if (seat->role != RF_ROLE_CUR)
                continue;
            const struct rf_subs_leg *leg = &seat->wire->leg[seat->copy];
            const struct rf_subs_conn *other = other_conn(leg);
            if ((ep < 64 && (leg->wire->lacking >> ep & 1) != 0) || !takes(s, leg, ep) ||
                (other != NULL && other->ep == ep))
                return false;
        }
    }
    return c->n_seats <= s->ep[ep].o.subs_per_conn;
}

uint32_t rf_place_better(const struct rf_subs *s, const struct rf_subs_conn *c, uint64_t now_ns)
{
    for (uint32_t i = 0; i < s->o.n_endpoints; i++) {
        uint32_t ep = s->order[i];
        const struct rf_subs_end_point *e = &s->ep[ep];
        if (e->o.priority >= s->ep[c->ep].o.priority)
            break;
        bool calm = e->fails == 0 || now_ns - e->fail_ns >= RF_SUBS_RETURN_NS;
        if (calm && e->full_ns <= now_ns && rf_place_may_open(s, ep, now_ns) && takes_all(s, c, ep))
            return ep;
    }
    return UINT32_MAX;
}

static bool may_join(const struct rf_subs *s, const struct rf_subs_leg *leg,
                     const struct rf_subs_conn *c, uint32_t ep)
{
    return c->ep == ep && (c->state == RF_CONN_OPENING || c->state == RF_CONN_OPEN) &&
           c->doomed == NULL && c != other_conn(leg) && rf_place_room(s, c) > 0;
}

/* A cap that a refusal taught may have been of that moment, or of the whole node: while somebody
 * waits for a seat it is tried again, a quarter more each time. */
static void probe_cap(struct rf_subs *s, struct rf_subs_conn *c, uint64_t now_ns)
{
    if (c->cap == UINT32_MAX || c->state != RF_CONN_OPEN || c->doomed != NULL)
        return;
    if (now_ns >= c->cap_ns) {
        c->cap += c->cap / 4 + 1;
        c->cap_ns = rf_time_add(now_ns, RF_SUBS_CAP_AGAIN_NS);
    }
    s->place_ns = rf_min_u64(s->place_ns, c->cap_ns);
}

static struct choice stand(struct rf_subs *s, const struct rf_subs_leg *leg, uint32_t ep,
                           uint64_t now_ns)
{
    const struct rf_subs_end_point *e = &s->ep[ep];
    const struct rf_subs_conn *other = other_conn(leg);
    struct choice ch = {.standing = STAND_NO, .ep = ep};
    bool down = e->fails >= RF_SUBS_DOWN;
    if ((ep < 64 && (leg->wire->lacking >> ep & 1) != 0) || !takes(s, leg, ep) ||
        (other != NULL && other->ep == ep && s->o.n_endpoints > 1))
        return ch;
    if (e->full_ns > now_ns) {
        s->place_ns = rf_min_u64(s->place_ns, e->full_ns);
        return ch;
    }
    for (struct rf_link *l = s->conns.next; l != &s->conns; l = l->next) {
        struct rf_subs_conn *c = RF_CONTAINER(l, struct rf_subs_conn, all);
        if (c->ep == ep)
            probe_cap(s, c, now_ns);
        if (!may_join(s, leg, c, ep))
            continue;
        ch.standing = down && c->state == RF_CONN_OPENING ? STAND_LAST : STAND_NOW;
        ch.conn = c;
        if (ch.standing == STAND_NOW)
            return ch;
    }
    if (ch.conn != NULL || e->n_conns >= e->o.conns)
        return ch;
    if (rf_place_may_open(s, ep, now_ns)) {
        ch.standing = down ? STAND_LAST : STAND_NOW;
        return ch;
    }
    if (e->retry_ns > now_ns)
        s->place_ns = rf_min_u64(s->place_ns, e->retry_ns);
    if (!down && e->retry_ns <= rf_time_add(now_ns, SOON_NS))
        ch.standing = STAND_SOON;
    return ch;
}

/* The best of the endpoints of one priority, which stand in s->order from *at on. */
static struct choice best_of_tier(struct rf_subs *s, const struct rf_subs_leg *leg, uint32_t *at,
                                  uint64_t now_ns)
{
    struct choice best = {.standing = STAND_NO};
    uint32_t priority = s->ep[s->order[*at]].o.priority;
    for (; *at < s->o.n_endpoints && s->ep[s->order[*at]].o.priority == priority; (*at)++) {
        struct choice ch = stand(s, leg, s->order[*at], now_ns);
        if (ch.standing > best.standing ||
            (ch.standing == best.standing && ch.standing != STAND_NO &&
             s->ep[ch.ep].n_seats < s->ep[best.ep].n_seats))
            best = ch;
    }
    return best;
}

static struct choice choose(struct rf_subs *s, const struct rf_subs_leg *leg, uint64_t now_ns)
{
    struct choice last = {.standing = STAND_NO};
    for (uint32_t at = 0; at < s->o.n_endpoints;) {
        struct choice ch = best_of_tier(s, leg, &at, now_ns);
        if (ch.standing >= STAND_SOON)
            return ch;
        if (ch.standing > last.standing)
            last = ch;
    }
    return last;
}

/* A seat of the wire that nobody wanted any more and that the node was not told of: it does again.
 */
static struct rf_subs_seat *find_orphan(const struct rf_subs *s, const struct rf_subs_leg *leg)
{
    struct rf_link *head = &leg->wire->seats;
    const struct rf_subs_conn *other = other_conn(leg);
    for (struct rf_link *l = head->next; l != head; l = l->next) {
        struct rf_subs_seat *seat = RF_CONTAINER(l, struct rf_subs_seat, on_wire);
        bool usable = seat->role == RF_ROLE_NONE && seat->conn->state == RF_CONN_OPEN &&
                      seat->conn->doomed == NULL && seat->conn != other;
        bool apart = other == NULL || other->ep != seat->conn->ep || s->o.n_endpoints == 1;
        if (usable && apart && (seat->state == RF_SEAT_ASKED || seat->state == RF_SEAT_ENDING))
            return seat;
    }
    return NULL;
}

static void seat_leg(struct rf_subs *s, struct rf_subs_leg *leg, struct rf_subs_seat *seat,
                     uint64_t now_ns)
{
    if (seat->state == RF_SEAT_ENDING)
        rf_seat_set(seat, RF_SEAT_UP);
    rf_seat_give(seat, leg->wire, leg->copy, RF_ROLE_CUR);
    if (seat->state != RF_SEAT_UP)
        return;
    if (leg->wire->kind == RF_WIRE_HEADS)
        seat->conn->heads_ns = now_ns;
    rf_seat_tell_up(s, seat);
}

static bool is_plain(const struct rf_subs *s, const struct rf_subs_leg *leg)
{
    const struct rf_subs_wire *w = leg->wire;
    return w->n_two == 0 && w->lacking == 0 && w->tail_len + RF_REQUEST_HEAD_MAX <= s->message_min;
}

static bool is_too_long(const struct rf_subs *s, const struct rf_subs_leg *leg)
{
    for (uint32_t i = 0; i < s->o.n_endpoints; i++)
        if (takes(s, leg, i))
            return false;
    return true;
}

enum placed { PLACED, NOT_NOW, NO_MEMORY };

static enum placed place(struct rf_subs *s, struct rf_subs_leg *leg, uint64_t now_ns)
{
    struct rf_subs_seat *seat = find_orphan(s, leg);
    if (seat == NULL) {
        struct choice ch = choose(s, leg, now_ns);
        if (ch.standing == STAND_SOON || ch.standing == STAND_NO)
            return NOT_NOW;
        if (ch.conn == NULL)
            ch.conn = rf_conn_open(s, ch.ep, now_ns);
        seat = ch.conn != NULL ? rf_seat_new(s, ch.conn, leg->wire, RF_BEAT_NONE) : NULL;
    }
    if (seat == NULL) {
        rf_subs_starved(s, now_ns);
        return NO_MEMORY;
    }
    seat_leg(s, leg, seat, now_ns);
    return PLACED;
}

void rf_place_all(struct rf_subs *s, uint64_t now_ns)
{
    s->place_ns = RF_NEVER;
    bool full = false; /* no room for one without wishes of its own: the others need not be tried */
    struct rf_link *next;
    for (struct rf_link *l = s->homeless.next; l != &s->homeless; l = next) {
        next = l->next;
        struct rf_subs_leg *leg = RF_CONTAINER(l, struct rf_subs_leg, homeless);
        if (leg->not_before_ns > now_ns) {
            s->place_ns = rf_min_u64(s->place_ns, leg->not_before_ns);
            continue;
        }
        bool plain = is_plain(s, leg);
        if (full && plain && rf_list_empty(&leg->wire->seats))
            continue;
        if (!plain && is_too_long(s, leg)) {
            struct rpcfan_slice error = {too_long, sizeof too_long - 1};
            next = &s->homeless; /* the other copy's may have stood there; the rest is for later */
            s->dirty = true;
            rf_subs_wire_refuse(s, leg->wire, error, NULL, NULL);
            continue;
        }
        enum placed placed = place(s, leg, now_ns);
        if (placed == NO_MEMORY)
            return;
        if (placed == NOT_NOW && plain)
            full = true;
    }
}
