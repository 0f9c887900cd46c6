/* subs_conn.c - connections: their states, their ends, their replacement, and whether they live.
 *
 * Happy path: NEW, OPENING, OPEN; empty for a second, CLOSING, GONE. Where its lifetime nears, or a
 * reply is lost on it, a replacement comes up first: LEAVING meanwhile, then CLOSING.
 * Failure modes: not opened; closed by the node; silent (its heartbeat, or newHeads); doomed, since
 * a message was lost, made no sense, or was refuted. Each ends it: what was UP on it is told DOWN
 * at once, its legs are placed anew, and its endpoint backs off. */
#include "feed/subs_int.h"

#include <assert.h>

#include "base/mem.h"

const char *rf_conn_state_name(enum rf_conn_state state)
{
    static const char *const names[RF_CONN_STATES] = {"new",     "opening", "open",
                                                      "leaving", "closing", "gone"};
    return names[state];
}

void rf_conn_set(struct rf_subs *s, struct rf_subs_conn *c, enum rf_conn_state state,
                 const char *why)
{
    static const char *const ids[RF_CONN_STATES] = {"RF-WS-NEW",     "RF-WS-OPENING", "RF-WS-OPEN",
                                                    "RF-WS-LEAVING", "RF-WS-CLOSING", "RF-WS-GONE"};
    assert(state > c->state || (c->state == RF_CONN_LEAVING && state == RF_CONN_OPEN));
    rf_log(s->o.log, RPCFAN_LOG_DEBUG, "%s ep=%s session=%llu was=%s subs=%u why=\"%s\"",
           ids[state], s->ep[c->ep].o.name, (unsigned long long)c->session,
           rf_conn_state_name(c->state), c->n_users, why);
    c->state = state;
    c->why = why;
}

struct rf_subs_conn *rf_conn_find(const struct rf_subs *s, uint64_t session)
{
    struct rf_table_node *n = rf_table_first(&s->sessions, rf_hash_u64(session));
    for (; n != NULL; n = rf_table_next(n)) {
        struct rf_subs_conn *c = RF_CONTAINER(n, struct rf_subs_conn, by_session);
        if (c->session == session)
            return c;
    }
    return NULL;
}

bool rf_conn_live(const struct rf_subs_conn *c)
{
    return (c->state == RF_CONN_OPEN || c->state == RF_CONN_LEAVING) && c->doomed == NULL;
}

void rf_conn_free(struct rf_subs *s, struct rf_subs_conn *c)
{
    rf_table_remove(&s->sessions, &c->by_session);
    rf_list_remove(&c->all);
    rf_free(c);
}

/* The connection's own subscriptions go first. @return false when out of memory. */
static bool add_beats(struct rf_subs *s, struct rf_subs_conn *c)
{
    bool want[RF_BEATS] = {s->o.heartbeat, s->o.roots};
    for (enum rf_beat b = 0; b < RF_BEATS; b++)
        if (want[b] && !s->ep[c->ep].no_beat[b] && rf_seat_new(s, c, NULL, b) == NULL)
            return false;
    return true;
}

struct rf_subs_conn *rf_conn_open(struct rf_subs *s, uint32_t ep, uint64_t now_ns)
{
    struct rf_subs_conn *c = rf_alloc(sizeof *c);
    if (c == NULL)
        return NULL;
    c->session = s->next_session++;
    c->ep = ep;
    c->cap = UINT32_MAX;
    c->began_ns = now_ns;
    c->idle_ns = c->retire_ns = c->linger_ns = c->return_ns = RF_NEVER;
    for (int i = 0; i < RF_SEAT_STATES; i++)
        rf_list_init(&c->seats[i]);
    rf_list_init(&c->held);
    if (!add_beats(s, c)) {
        for (int b = 0; b < RF_BEATS; b++)
            if (c->beat[b] != NULL)
                rf_seat_free(s, c->beat[b]);
        rf_free(c);
        return NULL;
    }
    rf_table_add(&s->sessions, &c->by_session, rf_hash_u64(c->session));
    rf_list_push(&s->conns, &c->all);
    s->ep[ep].n_conns++;
    s->ep[ep].n_opening++;
    s->count.opened++;
    rf_conn_set(s, c, RF_CONN_OPENING, "subscriptions wait");
    s->ops.open(s->ops.arg, ep, c->session);
    return c;
}

void rf_subs_opened(struct rf_subs *s, uint64_t session, uint64_t now_ns)
{
    struct rf_subs_conn *c = rf_conn_find(s, session);
    if (c == NULL || c->state != RF_CONN_OPENING)
        return;
    struct rf_subs_end_point *e = &s->ep[c->ep];
    e->n_opening--;
    e->probing = false;
    c->open_ns = now_ns;
    if (e->o.lifetime_ns > 0) /* spread, so that not all are replaced at one time */
        c->retire_ns =
            rf_time_add(now_ns, e->o.lifetime_ns - rf_rng_below(&s->rng, e->o.lifetime_ns / 20));
    if (e->o.priority > s->ep[s->order[0]].o.priority)
        c->return_ns = rf_time_add(now_ns, RF_SUBS_RETURN_NS);
    rf_conn_set(s, c, RF_CONN_OPEN, "opened");
    s->count.sessions++;
    s->dirty = true;
    struct rf_note n = {
        .kind = RF_NOTE_SESSION_UP, .session = c->session, .endpoint = c->ep, .copy = 0};
    s->ops.note(s->ops.arg, &n);
}

void rf_conn_doom(struct rf_subs *s, struct rf_subs_conn *c, const char *why)
{
    if (c->doomed == NULL)
        c->doomed = why;
    s->dirty = true;
}

/* It replaces nobody and nobody replaces it. An old one that loses its replacement goes on. */
static void unlink_pair(struct rf_subs *s, struct rf_subs_conn *c, uint64_t now_ns)
{
    struct rf_subs_conn *old = c->old;
    if (c->heir != NULL)
        c->heir->old = NULL;
    c->heir = c->old = NULL;
    if (old == NULL)
        return;
    old->heir = NULL;
    old->linger_ns = RF_NEVER;
    if (old->retire_ns <= now_ns) /* that was why */
        old->retire_ns = rf_time_add(now_ns, RF_SUBS_BACKOFF_CAP_NS);
    for (struct rf_link *l = old->seats[RF_SEAT_ASKED].next; l != &old->seats[RF_SEAT_ASKED];
         l = l->next)
        RF_CONTAINER(l, struct rf_subs_seat, on_conn)->asked_ns = now_ns;
    rf_conn_set(s, old, RF_CONN_OPEN, "its replacement ended");
}

static void lose_seats(struct rf_subs *s, struct rf_subs_conn *c, const char *why)
{
    for (int state = RF_SEAT_STATES - 1; state >= 0; state--) {
        struct rf_link *head = &c->seats[state];
        while (!rf_list_empty(head))
            rf_seat_lose(s, RF_CONTAINER(head->next, struct rf_subs_seat, on_conn), why);
    }
}

void rf_conn_end(struct rf_subs *s, struct rf_subs_conn *c, const char *why, bool failed,
                 uint64_t now_ns)
{
    if (c->state >= RF_CONN_CLOSING)
        return;
    struct rf_subs_end_point *e = &s->ep[c->ep];
    bool stood = c->state != RF_CONN_OPENING;
    if (failed)
        rf_fate_failed(s, c, why, now_ns);
    unlink_pair(s, c, now_ns);
    rf_conn_set(s, c, c->gone ? RF_CONN_GONE : RF_CONN_CLOSING, why);
    lose_seats(s, c, why);
    rf_read_forget(s, c, now_ns, true);
    e->n_conns--;
    e->n_opening -= stood ? 0 : 1;
    s->count.ended++;
    s->dirty = true;
    if (stood) {
        s->count.sessions--;
        struct rf_note n = {
            .kind = RF_NOTE_SESSION_DOWN, .session = c->session, .endpoint = c->ep, .why = why};
        s->ops.note(s->ops.arg, &n);
    }
    if (!c->gone)
        s->ops.close(s->ops.arg, c->session);
}

void rf_subs_closed(struct rf_subs *s, uint64_t session, const struct rf_subs_end *end,
                    uint64_t now_ns)
{
    struct rf_subs_conn *c = rf_conn_find(s, session);
    if (c == NULL)
        return;
    c->gone = true;
    if (c->state < RF_CONN_CLOSING) {
        const char *why = end->why != NULL ? end->why : "closed";
        rf_fate_ended(s, c, end, now_ns);
        rf_conn_end(s, c, why, false, now_ns);
    } else {
        rf_conn_set(s, c, RF_CONN_GONE, c->why);
    }
    rf_conn_free(s, c);
}

/* A seat on the replacement for each leg. What was not asked for yet moves.
 * @return false when out of memory. */
static bool copy_seats(struct rf_subs *s, struct rf_subs_conn *c, struct rf_subs_conn *heir)
{
    for (int state = RF_SEAT_WAITING; state <= RF_SEAT_UP; state++) {
        struct rf_link *l = c->seats[state].next, *next;
        for (; l != &c->seats[state]; l = next) {
            next = l->next;
            struct rf_subs_seat *seat = RF_CONTAINER(l, struct rf_subs_seat, on_conn);
            struct rf_subs_wire *w = seat->wire;
            uint32_t copy = seat->copy;
            if (seat->role != RF_ROLE_CUR)
                continue;
            struct rf_subs_seat *made = rf_seat_new(s, heir, w, RF_BEAT_NONE);
            if (made == NULL)
                return false;
            bool moves = state == RF_SEAT_WAITING;
            if (moves && seat->beat == RF_BEAT_NONE) {
                rf_seat_give(made, w, copy, RF_ROLE_NEXT);
                rf_seat_release(s, seat);
                rf_seat_give(made, w, copy, RF_ROLE_CUR);
            } else {
                rf_seat_give(made, w, copy, RF_ROLE_NEXT);
            }
        }
    }
    return true;
}

/* Replace a connection with overlap, at an endpoint. @return false where that cannot be now. */
static bool retire_to(struct rf_subs *s, struct rf_subs_conn *c, uint32_t ep, const char *why,
                      uint64_t now_ns)
{
    if (c->state != RF_CONN_OPEN || c->old != NULL || !rf_place_may_open(s, ep, now_ns))
        return false;
    struct rf_subs_conn *heir = rf_conn_open(s, ep, now_ns);
    if (heir == NULL) {
        rf_subs_starved(s, now_ns);
        return false;
    }
    heir->old = c;
    c->heir = heir;
    if (ep == c->ep) {
        heir->cap = c->cap;
        heir->cap_ns = c->cap_ns;
    }
    rf_conn_set(s, c, RF_CONN_LEAVING, why);
    if (!copy_seats(s, c, heir)) {
        rf_subs_starved(s, now_ns);
        rf_conn_end(s, heir, "out of memory", false, now_ns);
        return false;
    }
    return true;
}

static bool retire(struct rf_subs *s, struct rf_subs_conn *c, const char *why, uint64_t now_ns)
{
    return retire_to(s, c, c->ep, why, now_ns);
}

/* Back to a better endpoint, now that it may be well again. */
static void go_back(struct rf_subs *s, struct rf_subs_conn *c, uint64_t now_ns)
{
    uint32_t ep = c->old == NULL ? rf_place_better(s, c, now_ns) : UINT32_MAX;
    c->return_ns = rf_time_add(now_ns, RF_SUBS_RETURN_NS / 4);
    if (ep != UINT32_MAX)
        (void)retire_to(s, c, ep, "a better endpoint may be back", now_ns);
}

static bool is_used_up(const struct rf_subs_conn *c)
{
    for (struct rf_link *l = c->seats[RF_SEAT_UP].next; l != &c->seats[RF_SEAT_UP]; l = l->next)
        if (RF_CONTAINER(l, struct rf_subs_seat, on_conn)->role != RF_ROLE_NONE)
            return true;
    return false;
}

static const struct rf_subs_seat *oldest(const struct rf_subs_conn *c, enum rf_seat_state state)
{
    const struct rf_link *head = &c->seats[state];
    return rf_list_empty(head) ? NULL : RF_CONTAINER(head->next, struct rf_subs_seat, on_conn);
}

static uint64_t reply_due(const struct rf_subs_conn *c, enum rf_seat_state state)
{
    const struct rf_subs_seat *seat = oldest(c, state);
    return seat == NULL ? RF_NEVER : rf_time_add(seat->asked_ns, RF_SUBS_REPLY_NS);
}

/* A reply has not come. Where the connection serves others it is replaced, else ended. */
static void lost_reply(struct rf_subs *s, struct rf_subs_conn *c, uint64_t now_ns)
{
    struct rf_subs_end_point *e = &s->ep[c->ep];
    if (oldest(c, RF_SEAT_ASKED)->batched && !e->batch_ok && !e->no_batch) {
        e->no_batch = true;
        rf_log(s->o.log, RPCFAN_LOG_INFO, "RF-WS-NOBATCH ep=%s why=\"a batch was not answered\"",
               e->o.name);
    }
    if (is_used_up(c) && retire(s, c, "a reply was lost", now_ns))
        return;
    rf_conn_end(s, c, "a reply was lost", true, now_ns);
}

static uint64_t stall_due(const struct rf_subs *s, const struct rf_subs_conn *c)
{
    uint64_t due = RF_NEVER;
    if (c->beat_ns != 0)
        due = rf_time_add(c->beat_ns, rf_max_u64(s->o.stall_ns, 12 * s->slot_ns));
    if (c->heads_ns != 0)
        due = rf_min_u64(due, rf_time_add(c->heads_ns, s->o.stall_ns));
    return due;
}

static void watch_leaving(struct rf_subs *s, struct rf_subs_conn *c, uint64_t now_ns)
{
    const struct rf_subs_conn *heir = c->heir;
    bool whole = heir->state == RF_CONN_OPEN && rf_list_empty(&heir->seats[RF_SEAT_WAITING]) &&
                 rf_list_empty(&heir->seats[RF_SEAT_ASKED]);
    if (whole && c->linger_ns == RF_NEVER)
        c->linger_ns = rf_time_add(now_ns, RF_SUBS_OVERLAP_NS);
    if (c->n_users == 0 || c->linger_ns <= now_ns)
        rf_conn_end(s, c, "replaced", false, now_ns);
}

static void watch_open(struct rf_subs *s, struct rf_subs_conn *c, uint64_t now_ns)
{
    if (c->n_users > 0)
        c->idle_ns = RF_NEVER;
    else if (c->idle_ns == RF_NEVER)
        c->idle_ns = now_ns;
    if (c->idle_ns != RF_NEVER && now_ns - c->idle_ns >= RF_SUBS_IDLE_NS) {
        rf_conn_end(s, c, "empty", false, now_ns);
    } else if (reply_due(c, RF_SEAT_ASKED) <= now_ns) {
        lost_reply(s, c, now_ns);
    } else if (c->retire_ns <= now_ns && !retire(s, c, "planned reconnect", now_ns)) {
        if (s->ep[c->ep].n_conns < s->ep[c->ep].o.conns)
            c->retire_ns = rf_time_add(now_ns, RF_SUBS_OVERLAP_NS);
        else /* no room for a second one */
            rf_conn_end(s, c, "planned reconnect", false, now_ns);
    } else if (c->return_ns <= now_ns) {
        go_back(s, c, now_ns);
    }
}

static void watch(struct rf_subs *s, struct rf_subs_conn *c, uint64_t now_ns)
{
    if (c->state >= RF_CONN_CLOSING)
        return;
    if (c->doomed != NULL) {
        rf_conn_end(s, c, c->doomed, true, now_ns);
        return;
    }
    if (c->state == RF_CONN_OPENING) {
        if (now_ns - c->began_ns >= RF_SUBS_OPEN_NS)
            rf_conn_end(s, c, "not opened in time", true, now_ns);
        return;
    }
    while (reply_due(c, RF_SEAT_ENDED) <= now_ns)
        rf_seat_free(s, RF_CONTAINER(c->seats[RF_SEAT_ENDED].next, struct rf_subs_seat, on_conn));
    rf_read_forget(s, c, now_ns, false);
    if (stall_due(s, c) <= now_ns) {
        s->count.stalls++;
        rf_conn_end(s, c, "silent", true, now_ns);
    } else if (c->state == RF_CONN_LEAVING) {
        watch_leaving(s, c, now_ns);
    } else {
        watch_open(s, c, now_ns);
    }
}

void rf_conn_watch(struct rf_subs *s, uint64_t now_ns)
{
    struct rf_link *next;
    for (struct rf_link *l = s->conns.next; l != &s->conns; l = next) {
        next = l->next; /* watching frees none */
        watch(s, RF_CONTAINER(l, struct rf_subs_conn, all), now_ns);
    }
}

uint64_t rf_conn_due(const struct rf_subs *s, const struct rf_subs_conn *c)
{
    if (c->state >= RF_CONN_CLOSING)
        return RF_NEVER;
    if (c->doomed != NULL)
        return 0;
    if (c->state == RF_CONN_OPENING)
        return rf_time_add(c->began_ns, RF_SUBS_OPEN_NS);
    uint64_t due = rf_min_u64(stall_due(s, c), reply_due(c, RF_SEAT_ENDED));
    if (!rf_list_empty(&c->held)) {
        const struct rf_subs_held *h = RF_CONTAINER(c->held.next, struct rf_subs_held, link);
        due = rf_min_u64(due, rf_time_add(h->at_ns, RF_SUBS_REPLY_NS));
    }
    if (c->state == RF_CONN_LEAVING)
        due = rf_min_u64(due, c->linger_ns);
    else
        due = rf_min_u64(rf_min_u64(due, c->return_ns),
                         rf_min_u64(c->retire_ns, reply_due(c, RF_SEAT_ASKED)));
    if (c->state == RF_CONN_OPEN && c->idle_ns != RF_NEVER)
        due = rf_min_u64(due, rf_time_add(c->idle_ns, RF_SUBS_IDLE_NS));
    if (rf_wire_waits(c))
        due = rf_min_u64(due, rf_wire_may_send(&s->ep[c->ep]));
    return due;
}
