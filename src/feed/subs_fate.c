/* subs_fate.c - what refusals and ends mean: for the leg, for its connection, for the endpoint.
 *
 * What a text means is looked up in the rules (core/rules.conf), as for calls; here stands what
 * follows from the class for a subscription. */
#include "feed/subs_int.h"

#include <string.h>

#include "core/rules.h"
#include "policy/backoff.h"

#define THROTTLE_NS RF_SEC
#define FULL_NS RF_SEC
/* Ends on an unanswered batch after which an endpoint gets none any more. */
#define BATCH_ENDS 2

static void raise_to(uint64_t *at, uint64_t to)
{
    *at = rf_max_u64(*at, to);
}

void rf_fate_failed(struct rf_subs *s, struct rf_subs_conn *c, const char *why, uint64_t now_ns)
{
    struct rf_subs_end_point *e = &s->ep[c->ep];
    e->why = why;
    /* What was opened before the latest failure fell with it, and is counted with it. */
    if (e->fails > 0 && c->began_ns <= e->fail_ns && now_ns - e->fail_ns < RF_SUBS_HEALTHY_NS)
        return;
    if (c->acked && rf_time_sub(now_ns, c->open_ns) >= RF_SUBS_HEALTHY_NS)
        e->fails = 0;
    uint64_t wait = rf_backoff_full_jitter(rf_min_u64(RF_SUBS_BACKOFF_NS, e->o.retry_ns),
                                           e->o.retry_ns, e->fails, &s->rng);
    e->fails++;
    e->fail_ns = now_ns;
    e->probing = true;
    raise_to(&e->retry_ns, rf_time_add(now_ns, wait));
    rf_log(s->o.log, RPCFAN_LOG_WARN, "RF-WS-BACKOFF ep=%s fails=%u for_ms=%llu why=\"%s\"",
           e->o.name, e->fails, (unsigned long long)(rf_time_sub(e->retry_ns, now_ns) / RF_MS),
           why);
}

static void learn_no_batch(struct rf_subs *s, struct rf_subs_end_point *e, const char *why)
{
    if (e->no_batch)
        return;
    e->no_batch = true;
    rf_log(s->o.log, RPCFAN_LOG_INFO, "RF-WS-NOBATCH ep=%s why=\"%s\"", e->o.name, why);
}

/* The node asks for a pause, or refuses without saying for how long. */
static uint64_t pause_for(struct rf_subs *s, struct rf_subs_end_point *e, uint64_t hint_ns,
                          uint64_t now_ns)
{
    uint64_t wait = RF_SUBS_BENCH_NS;
    if (e->throttles == 0 || now_ns - e->throttled_ns >= RF_SUBS_BACKOFF_NS) {
        e->throttled_ns = now_ns;
        e->throttles++;
    }
    if (hint_ns == RF_NEVER || hint_ns == 0)
        wait = THROTTLE_NS / 4 +
               rf_backoff_full_jitter(THROTTLE_NS, RF_SUBS_BACKOFF_CAP_NS, e->throttles, &s->rng);
    else if (hint_ns < RF_SUBS_BENCH_NS)
        wait = hint_ns + rf_rng_below(&s->rng, rf_min_u64(hint_ns / 10, RF_SEC) + 1);
    rf_log(s->o.log, RPCFAN_LOG_WARN, "RF-WS-PAUSE ep=%s for_ms=%llu", e->o.name,
           (unsigned long long)(wait / RF_MS));
    return wait;
}

static void bench(struct rf_subs *s, struct rf_subs_end_point *e, const char *why, uint64_t now_ns)
{
    uint64_t until = rf_time_add(now_ns, RF_SUBS_BENCH_NS);
    raise_to(&e->retry_ns, until);
    raise_to(&e->full_ns, until);
    e->fails = e->fails < RF_SUBS_DOWN ? RF_SUBS_DOWN : e->fails;
    e->why = why;
    rf_log(s->o.log, RPCFAN_LOG_ERROR, "RF-WS-BENCH ep=%s for_ms=%llu why=\"%s\"", e->o.name,
           (unsigned long long)(RF_SUBS_BENCH_NS / RF_MS), why);
}

static struct rf_verdict judge(const struct rf_subs *s, const char *method,
                               struct rpcfan_slice error, int status, bool batch)
{
    struct rf_answer a = {.family = s->o.family,
                          .method = {method, method != NULL ? strlen(method) : 0},
                          .transport = RF_T_OK,
                          .status = status,
                          .batch = batch,
                          .error = error,
                          .retry_after_ns = RF_NEVER};
    return rf_classify(s->rules, &a);
}

/* Whether a batch was out that was not answered. */
static bool owes_batch(const struct rf_subs_conn *c)
{
    const struct rf_link *head = &c->seats[RF_SEAT_ASKED];
    for (const struct rf_link *l = head->next; l != head; l = l->next)
        if (RF_CONTAINER(l, struct rf_subs_seat, on_conn)->batched)
            return true;
    return false;
}

void rf_fate_ended(struct rf_subs *s, struct rf_subs_conn *c, const struct rf_subs_end *end,
                   uint64_t now_ns)
{
    struct rf_subs_end_point *e = &s->ep[c->ep];
    bool refused =
        end->status == 1002 || end->status == 1003 || (end->status >= 1007 && end->status <= 1009);
    if (!e->batch_ok && owes_batch(c) && (refused || ++e->batch_ends >= BATCH_ENDS))
        learn_no_batch(s, e, "it closes the connection");
    rf_fate_failed(s, c, end->why != NULL ? end->why : "closed", now_ns);
    enum rf_action act = RF_ACT_RETRY;
    if (end->status >= 300)
        act = rf_class_action(
            judge(s, NULL, (struct rpcfan_slice){NULL, 0}, end->status, false).class);
    if (act == RF_ACT_BENCH)
        bench(s, e, "it refuses the key, the plan or the address", now_ns);
    else if (act == RF_ACT_REQUEUE)
        raise_to(&e->retry_ns, rf_time_add(now_ns, pause_for(s, e, end->retry_after_ns, now_ns)));
    else if (end->retry_after_ns != RF_NEVER && end->retry_after_ns > 0)
        raise_to(&e->retry_ns,
                 rf_time_add(now_ns, rf_min_u64(end->retry_after_ns, RF_SUBS_BENCH_NS)));
}

/* Back to the list of what is to be asked, on the same connection. */
static void ask_again(struct rf_subs *s, struct rf_subs_seat *seat)
{
    rf_table_remove(&s->reqs, &seat->by_req);
    if (seat->role == RF_ROLE_NONE && seat->beat == RF_BEAT_NONE)
        rf_seat_free(s, seat);
    else
        rf_seat_set(seat, RF_SEAT_WAITING);
}

static void ask_batched_again(struct rf_subs *s, struct rf_subs_conn *c)
{
    struct rf_link *next;
    for (struct rf_link *l = c->seats[RF_SEAT_ASKED].next; l != &c->seats[RF_SEAT_ASKED];
         l = next) {
        next = l->next;
        struct rf_subs_seat *seat = RF_CONTAINER(l, struct rf_subs_seat, on_conn);
        if (seat->batched)
            ask_again(s, seat);
    }
    s->dirty = true;
}

void rf_fate_batch(struct rf_subs *s, struct rf_subs_conn *c, struct rpcfan_slice error,
                   uint64_t now_ns)
{
    struct rf_subs_end_point *e = &s->ep[c->ep];
    struct rf_verdict v = judge(s, NULL, error, 200, true);
    enum rf_action act = rf_class_action(v.class);
    if (act == RF_ACT_REQUEUE)
        raise_to(&e->pause_ns, rf_time_add(now_ns, pause_for(s, e, v.hint_ns, now_ns)));
    else if (owes_batch(c))
        learn_no_batch(s, e, "it answers a batch with an error");
    else
        s->count.unknown++;
    ask_batched_again(s, c);
}

void rf_fate_served(struct rf_subs *s, struct rf_subs_seat *seat)
{
    struct rf_subs_end_point *e = &s->ep[seat->conn->ep];
    e->throttles = 0;
    e->fulls = 0;
    if (seat->batched)
        e->batch_ok = true;
    if (seat->wire != NULL)
        seat->wire->leg[seat->copy].fails = 0;
}

/* The connection or the node takes no more. What waits for this connection goes elsewhere. */
static void is_full(struct rf_subs *s, struct rf_subs_conn *c, uint64_t now_ns)
{
    struct rf_subs_end_point *e = &s->ep[c->ep];
    uint32_t up = 0;
    for (struct rf_link *l = c->seats[RF_SEAT_UP].next; l != &c->seats[RF_SEAT_UP]; l = l->next)
        up++;
    c->cap = up;
    c->cap_ns = rf_time_add(now_ns, RF_SUBS_CAP_AGAIN_NS);
    if (now_ns >= e->full_ns) { /* once for all refusals of one message */
        uint64_t wait = rf_backoff_full_jitter(FULL_NS, RF_SUBS_BACKOFF_CAP_NS, e->fulls, &s->rng);
        e->full_ns = rf_time_add(now_ns, wait);
        e->fulls++;
        e->why = "its subscription limit is reached";
        rf_log(s->o.log, RPCFAN_LOG_WARN, "RF-WS-FULL ep=%s session=%llu subs=%u for_ms=%llu",
               e->o.name, (unsigned long long)c->session, up, (unsigned long long)(wait / RF_MS));
    }
    struct rf_link *next;
    for (struct rf_link *l = c->seats[RF_SEAT_WAITING].next; l != &c->seats[RF_SEAT_WAITING];
         l = next) {
        next = l->next;
        struct rf_subs_seat *seat = RF_CONTAINER(l, struct rf_subs_seat, on_conn);
        if (seat->beat == RF_BEAT_NONE)
            rf_seat_lose(s, seat, "limit");
    }
}

/* A connection's own subscription is refused: it does without, or ends. @return whether a wire has
 * to hear of it as well. */
static bool beat_refused(struct rf_subs *s, struct rf_subs_seat *seat, enum rf_action act)
{
    struct rf_subs_conn *c = seat->conn;
    struct rf_subs_end_point *e = &s->ep[c->ep];
    if (act != RF_ACT_DELIVER && act != RF_ACT_ELSEWHERE) {
        rf_conn_doom(s, c, "its heartbeat was refused");
        return false;
    }
    e->no_beat[seat->beat] = true;
    rf_log(s->o.log, RPCFAN_LOG_WARN, "RF-WS-NOBEAT ep=%s method=%s", e->o.name,
           s->beat[seat->beat].key);
    if (seat->wire != NULL)
        return true;
    rf_seat_free(s, seat);
    return false;
}

/* Final. The seat goes first: no reply to it will come any more. */
static void refuse(struct rf_subs *s, struct rf_subs_seat *seat, struct rpcfan_slice error,
                   struct rf_blob *blob)
{
    struct rf_subs_wire *w = seat->wire;
    const struct rf_subs_conn *c = seat->conn;
    bool beat = seat->beat != RF_BEAT_NONE;
    rf_seat_set(seat, RF_SEAT_WAITING);
    rf_seat_release(s, seat);
    if (beat)
        rf_seat_free(s, seat);
    rf_subs_wire_refuse(s, w, error, blob, c);
}

/* Whether another endpoint may know what this one does not. */
static bool others_may(const struct rf_subs *s, const struct rf_subs_wire *w)
{
    for (uint32_t i = 0; i < s->o.n_endpoints; i++)
        if (i >= 64 || ((w->lacking >> i & 1) == 0 && s->ep[i].fails < RF_SUBS_DOWN))
            return true;
    return false;
}

/* This endpoint does not know it. Final where no other may, unless the other copy is there. */
static void lacks(struct rf_subs *s, struct rf_subs_seat *seat, struct rpcfan_slice error,
                  struct rf_blob *blob)
{
    struct rf_subs_wire *w = seat->wire;
    const struct rf_subs_leg *other = &w->leg[1 - seat->copy];
    uint32_t ep = seat->conn->ep;
    if (ep < 64)
        w->lacking |= UINT64_C(1) << ep;
    if (others_may(s, w) || other->cur != NULL)
        rf_seat_lose(s, seat, "not known there");
    else
        refuse(s, seat, error, blob);
}

/* Elsewhere, or here a little later. */
static void try_later(struct rf_subs *s, struct rf_subs_seat *seat, uint64_t now_ns)
{
    struct rf_subs_leg *leg = &seat->wire->leg[seat->copy];
    leg->not_before_ns =
        rf_time_add(now_ns, rf_backoff_full_jitter(RF_SUBS_BACKOFF_NS, RF_SUBS_BACKOFF_CAP_NS,
                                                   leg->fails, &s->rng));
    leg->fails++;
    rf_seat_lose(s, seat, "refused");
}

static void wire_refused(struct rf_subs *s, struct rf_subs_seat *seat, const struct rf_verdict *v,
                         struct rpcfan_slice error, struct rf_blob *blob)
{
    enum rf_action act = rf_class_action(v->class);
    if (act == RF_ACT_ELSEWHERE) {
        lacks(s, seat, error, blob);
    } else if (act == RF_ACT_SPLIT && seat->batched) {
        learn_no_batch(s, &s->ep[seat->conn->ep], "it says so");
        ask_again(s, seat);
    } else {
        refuse(s, seat, error, blob);
    }
}

void rf_fate_refused(struct rf_subs *s, struct rf_subs_seat *seat, struct rpcfan_slice error,
                     struct rf_blob *blob, uint64_t now_ns)
{
    struct rf_subs_conn *c = seat->conn;
    struct rf_subs_end_point *e = &s->ep[c->ep];
    const struct rf_subs_wire *w = seat->wire != NULL ? seat->wire : &s->beat[seat->beat];
    struct rf_verdict v = judge(s, w->key, error, 200, false);
    enum rf_action act = rf_class_action(v.class);
    s->count.refused++;
    s->dirty = true;
    rf_log(s->o.log, RPCFAN_LOG_INFO, "RF-WS-REFUSED ep=%s session=%llu method=%s class=%s rule=%s",
           e->o.name, (unsigned long long)c->session, w->key, rf_class_name(v.class), v.rule);
    if (act == RF_ACT_REQUEUE && v.class == RF_CLASS_RATE) {
        raise_to(&e->pause_ns, rf_time_add(now_ns, pause_for(s, e, v.hint_ns, now_ns)));
        ask_again(s, seat);
    } else if (seat->beat != RF_BEAT_NONE && !beat_refused(s, seat, act)) {
        return;
    } else if (seat->role == RF_ROLE_NONE) {
        rf_seat_free(s, seat);
    } else if (act == RF_ACT_REQUEUE) {
        is_full(s, c, now_ns);
        rf_seat_lose(s, seat, "limit");
    } else if (act == RF_ACT_BENCH) {
        bench(s, e, "it refuses a subscription for the key or the plan", now_ns);
        rf_seat_lose(s, seat, "benched");
    } else if (act == RF_ACT_LATER || act == RF_ACT_RETRY) {
        try_later(s, seat, now_ns);
    } else {
        wire_refused(s, seat, &v, error, blob);
    }
}
