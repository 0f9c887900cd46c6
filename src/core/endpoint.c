/* endpoint.c - one node's gates and books.
 *
 * Happy path: room() says n, take() commits n to every gate in the same turn, settle() gives the
 * slot back and feeds every policy exactly once. Failure modes: a throttle pauses the whole node
 * and touches no breaker; a failure feeds the breaker and makes the node suspect, so that one
 * probing exchange at a time goes there while others can serve; a refused key benches it. One
 * exchange is one sample, however many calls it holds. */
#include "core/endpoint.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "policy/backoff.h"

#define BENCH_NS (300 * RF_SEC)
#define SUSPECT_BASE_NS (500 * RF_MS)
#define SUSPECT_CAP_NS (10 * RF_SEC)
#define LEASE_EXTRA_NS RF_SEC
#define P90_EVERY_NS (5 * RF_SEC)

enum rpcfan_err rf_endpoint_init(struct rf_endpoint *ep, const struct rpcfan_endpoint_options *o,
                                 uint64_t now_ns, struct rpcfan_error *err)
{
    if (o->in_flight == 0 || o->batch == 0 || o->timeout_ms == 0)
        return rf_fail(err, RPCFAN_ECONFIG, "in_flight, batch and timeout must be at least 1");
    if (o->batch > UINT16_MAX || o->batch_cost > UINT16_MAX)
        return rf_fail(err, RPCFAN_ECONFIG, "batch and batch_cost must be at most %d", UINT16_MAX);
    ep->priority = o->priority;
    ep->in_flight_max = o->in_flight;
    ep->batch_cost = o->batch_cost;
    ep->timeout_ns = rf_ms_ns(o->timeout_ms);
    rf_conc_init(&ep->conc, o->in_flight);
    rf_breaker_init(&ep->breaker, now_ns);
    rf_batchcap_init(&ep->batch, o->batch, o->batch_bytes);
    /* With an account the limit is the account's, and so is what refusals teach. */
    struct rf_gate_options gate = {.limits = o->limits,
                                   .n_limits = o->n_limits,
                                   .learn = o->learn != 0 && ep->account == NULL,
                                   .start_per_s = o->start_per_s};
    return rf_gate_init(&ep->gate, &gate, now_ns, err);
}

void rf_endpoint_fini(struct rf_endpoint *ep)
{
    rf_gate_fini(&ep->gate);
    rf_free(ep->name);
}

uint64_t rf_endpoint_paused_until(const struct rf_endpoint *ep)
{
    uint64_t at = ep->gate.throttle.paused_until_ns;
    return ep->account == NULL ? at : rf_max_u64(at, ep->account->gate.throttle.paused_until_ns);
}

double rf_endpoint_per_s(const struct rf_endpoint *ep)
{
    double own = rf_gate_per_s(&ep->gate);
    double shared = ep->account != NULL ? rf_gate_per_s(&ep->account->gate) : 0;
    return own == 0 || (shared > 0 && shared < own) ? shared : own;
}

bool rf_endpoint_fits(const struct rf_endpoint *ep, const struct rf_price *price)
{
    return rf_limiter_fits(&ep->gate.limiter, price->own) &&
           (ep->account == NULL || rf_limiter_fits(&ep->account->gate.limiter, price->account));
}

bool rf_endpoint_usable(const struct rf_endpoint *ep, uint64_t now_ns)
{
    bool open = ep->breaker.state == RF_BREAKER_OPEN && now_ns < ep->breaker.open_until_ns;
    return !open && now_ns >= ep->bench_until_ns;
}

bool rf_endpoint_all_guarded(const struct rf_network *net, uint64_t now_ns)
{
    for (uint32_t i = 0; i < net->n_ep; i++) {
        if (net->ep[i].breaker.state == RF_BREAKER_CLOSED && now_ns >= net->ep[i].bench_until_ns)
            return false;
    }
    return true;
}

void rf_endpoint_hasten(struct rf_network *net, uint64_t now_ns)
{
    for (uint32_t i = 0; i < net->n_ep; i++) {
        if (rf_endpoint_usable(&net->ep[i], now_ns))
            return;
    }
    for (uint32_t i = 0; i < net->n_ep; i++)
        rf_breaker_hasten(&net->ep[i].breaker);
}

/* One that has yet to prove itself gets one exchange at a time. */
static bool is_unproven(const struct rf_endpoint *ep)
{
    return ep->count.ok + ep->count.rpc == 0 || ep->fail_streak > 0;
}

/* Slots now: configured and found useful, less while the breaker's slow start runs. */
static uint32_t slots(struct rf_endpoint *ep, uint64_t now_ns)
{
    uint32_t n = rf_conc_limit(&ep->conc, rf_endpoint_per_s(ep), ep->rtt_p90_ns, now_ns);
    uint32_t slow = rf_breaker_slots(&ep->breaker);
    return slow < n ? slow : n;
}

bool rf_endpoint_has_spare(struct rf_endpoint *ep, uint64_t now_ns)
{
    return ep->in_flight * 2 < (is_unproven(ep) ? 1 : slots(ep, now_ns));
}

/* A gate that opens at a known time. @return whether it is closed; wait_ns then says for how long.
 */
static bool closed_until(uint64_t until_ns, uint64_t now_ns, uint64_t *wait_ns)
{
    *wait_ns = rf_time_sub(until_ns, now_ns);
    return *wait_ns > 0;
}

/* Calls that both gates let through, the batch's own cost set aside. */
static uint32_t gates_room(struct rf_endpoint *ep, const struct rf_price *price, uint32_t want,
                           uint64_t now_ns, uint64_t *wait_ns)
{
    uint32_t extra = want > 1 ? ep->batch_cost : 0;
    uint32_t room = rf_gate_room(&ep->gate, price->own, want + extra, now_ns, wait_ns);
    if (room > 0 && ep->account != NULL)
        room = rf_gate_room(&ep->account->gate, price->account, room, now_ns, wait_ns);
    if (room <= extra + 1)
        return room > 0 ? 1 : 0;
    return room - extra;
}

uint32_t rf_endpoint_room(struct rf_endpoint *ep, const struct rf_price *price, uint32_t want,
                          bool alone, uint64_t now_ns, uint64_t *wait_ns)
{
    *wait_ns = RF_NEVER;
    if (ep->in_flight >= slots(ep, now_ns))
        return 0;
    if (!alone && is_unproven(ep) && ep->in_flight > ep->streams)
        return 0; /* a stream proves it only after minutes: nobody waits for that */
    if (closed_until(ep->bench_until_ns, now_ns, wait_ns))
        return 0;
    if (!alone && ep->breaker.state == RF_BREAKER_CLOSED &&
        closed_until(ep->suspect_until_ns, now_ns, wait_ns))
        return 0;
    if (!rf_breaker_ready(&ep->breaker, now_ns, wait_ns))
        return 0;
    uint32_t most = rf_batchcap_now(&ep->batch);
    return gates_room(ep, price, want < most ? want : most, now_ns, wait_ns);
}

void rf_endpoint_take(struct rf_endpoint *ep, struct rf_exchange *ex, uint64_t now_ns)
{
    ep->in_flight++;
    ep->streams += ex->stream;
    ex->generation = rf_breaker_take(&ep->breaker, ex->timeout_ns + LEASE_EXTRA_NS, now_ns);
    ex->extra = ex->n > 1 ? ep->batch_cost : 0;
    ex->stamp[0] = rf_gate_take(&ep->gate, ex->price.own, ex->n + ex->extra, now_ns);
    if (ep->account != NULL)
        ex->stamp[1] =
            rf_gate_take(&ep->account->gate, ex->price.account, ex->n + ex->extra, now_ns);
    ex->trial = rf_batchcap_sent(&ep->batch, ex->n);
    ep->count.requests++;
    ep->count.batches += ex->batch;
    ep->count.calls += ex->n;
}

void rf_endpoint_untake(struct rf_endpoint *ep, struct rf_exchange *ex, uint64_t now_ns,
                        struct rf_core *core)
{
    struct rf_gate_fates f = {.unsent = ex->n + ex->extra};
    ep->in_flight--;
    ep->streams -= ex->stream;
    rf_gate_settle(&ep->gate, ex->price.own, &f, ex->sent_ns, now_ns);
    if (ep->account != NULL)
        rf_gate_settle(&ep->account->gate, ex->price.account, &f, ex->sent_ns, now_ns);
    rf_breaker_settle(&ep->breaker, ex->generation, RF_HEALTH_IGNORE, now_ns, &core->rng);
    rf_batchcap_unknown(&ep->batch, ex->trial);
    ep->count.requests--;
    ep->count.batches -= ex->batch;
    ep->count.calls -= ex->n;
}

/* An attempt cut short by the calls' own deadlines, before even a quick answer could have come. */
static bool was_hasty(const struct rf_endpoint *ep, const struct rf_exchange *ex)
{
    return ex->timeout_ns < ep->timeout_ns && ex->timeout_ns < rf_hist_quantile(&ep->latency, 100);
}

static enum rf_health health_of(const struct rf_endpoint *ep, const struct rf_exchange *ex,
                                const struct rf_lesson *l)
{
    bool probing = ep->breaker.state == RF_BREAKER_HALF_OPEN;
    if (l->good > 0)
        return RF_HEALTH_OK;
    if (l->throttled > 0)
        return probing ? RF_HEALTH_OK : RF_HEALTH_IGNORE;
    switch (l->verdict.class) {
    case RF_CLASS_CONNECT:
    case RF_CLASS_TLS:
        return RF_HEALTH_CONNECT_FAIL;
    case RF_CLASS_TIMEOUT:
        return was_hasty(ep, ex) ? RF_HEALTH_IGNORE : RF_HEALTH_FAIL;
    case RF_CLASS_SERVER:
    case RF_CLASS_RESET:
    case RF_CLASS_MALFORMED:
        return RF_HEALTH_FAIL;
    case RF_CLASS_ABORTED:
        return RF_HEALTH_IGNORE;
    default:
        return RF_HEALTH_OK;
    }
}

static void note_failure(struct rf_endpoint *ep, const struct rf_exchange *ex,
                         const struct rf_verdict *v)
{
    const struct rf_reply *r = &ex->reply;
    ep->last_class = v->class;
    if (r->transport != RF_T_OK)
        snprintf(ep->last_failure, sizeof ep->last_failure, "%s",
                 r->reason != NULL ? r->reason : rf_class_name(v->class));
    else if (r->status >= 400)
        snprintf(ep->last_failure, sizeof ep->last_failure, "HTTP %d (%s)", r->status, v->rule);
    else
        snprintf(ep->last_failure, sizeof ep->last_failure, "%s (%s)", rf_class_name(v->class),
                 v->rule);
}

static void feed_breaker(struct rf_endpoint *ep, struct rf_exchange *ex, const struct rf_lesson *l,
                         uint64_t now_ns, struct rf_core *core)
{
    enum rf_health h = health_of(ep, ex, l);
    if (rf_breaker_settle(&ep->breaker, ex->generation, h, now_ns, &core->rng))
        rf_log(core->log, RPCFAN_LOG_WARN, "RF-EP-BREAKER ep=%s state=%s why=\"%s\" last=\"%s\"",
               ep->name, rf_breaker_state_name(ep->breaker.state),
               rf_breaker_why_text(ep->breaker.why), ep->last_failure);
    if (h == RF_HEALTH_OK) {
        if (ep->fail_streak > 0)
            ep->peak = (struct rf_peak){0}; /* it is back: the penalty is no sample of its speed */
        ep->fail_streak = 0;
        ep->suspect_until_ns = 0;
    } else if (h != RF_HEALTH_IGNORE) {
        uint64_t d =
            rf_backoff_full_jitter(SUSPECT_BASE_NS, SUSPECT_CAP_NS, ep->fail_streak, &core->rng);
        ep->fail_streak++;
        ep->suspect_until_ns = now_ns + SUSPECT_BASE_NS + d;
        rf_peak_penalty(&ep->peak, 0, now_ns);
    }
}

/* The gate that a refusal is about: the account's where there is one. */
static struct rf_gate *refusing_gate(struct rf_endpoint *ep)
{
    return ep->account != NULL ? &ep->account->gate : &ep->gate;
}

static void feed_gates(struct rf_endpoint *ep, const struct rf_exchange *ex,
                       const struct rf_lesson *l, uint64_t now_ns, struct rf_core *core)
{
    const struct rf_verdict *v = &l->verdict;
    struct rf_gate *g = refusing_gate(ep);
    if (l->throttled > 0) {
        if (rf_gate_refused(g, ex->sent_ns, v->hint_ns, l->throttled, now_ns, &core->rng))
            rf_log(core->log, RPCFAN_LOG_INFO, "RF-EP-PAUSE ep=%s for_ms=%llu why=%s", ep->name,
                   (unsigned long long)(rf_time_sub(g->throttle.paused_until_ns, now_ns) / RF_MS),
                   v->rule);
    } else if (l->good > 0) {
        rf_gate_served(&ep->gate, ex->sent_ns, now_ns);
        if (ep->account != NULL)
            rf_gate_served(&ep->account->gate, ex->sent_ns, now_ns);
    } else if (v->class == RF_CLASS_SERVER && ex->reply.retry_after_ns != RF_NEVER) {
        rf_gate_pause(&ep->gate, ex->reply.retry_after_ns, now_ns);
    }
    if (l->held > 0 && l->throttled == 0)
        return; /* figures of one method's limit are none of the endpoint's */
    if (v->told_count > 0 && !v->told_credits && g->limiter.n == 0)
        rf_rate_cap(&g->rate, (double)v->told_count * (double)RF_SEC / (double)v->told_window_ns);
    rf_gate_hint(g, &ex->reply.rate, ex->sent_ns, ex->stamp[g != &ep->gate], now_ns);
}

/* Each call that was taken, and the batch's own cost, by what became of it. */
static void settle_gates(struct rf_endpoint *ep, const struct rf_exchange *ex,
                         const struct rf_lesson *l, uint64_t now_ns)
{
    const struct rf_reply *r = &ex->reply;
    struct rf_gate_fates f = {0};
    if (r->transport == RF_T_CONNECT || r->transport == RF_T_CONFIG) {
        f.unsent = ex->n + ex->extra;
    } else {
        uint32_t left = ex->n;
        f.refused = l->throttled + l->held < left ? l->throttled + l->held : left;
        left -= f.refused;
        f.served = l->good < left ? l->good : left;
        f.lost = left - f.served + ex->extra;
    }
    rf_gate_settle(&ep->gate, ex->price.own, &f, ex->sent_ns, now_ns);
    if (ep->account != NULL)
        rf_gate_settle(&ep->account->gate, ex->price.account, &f, ex->sent_ns, now_ns);
    if (r->resent == 0)
        return;
    rf_limiter_charge_extra(&ep->gate.limiter, ex->price.own, ex->n * r->resent, now_ns);
    if (ep->account != NULL)
        rf_limiter_charge_extra(&ep->account->gate.limiter, ex->price.account, ex->n * r->resent,
                                now_ns);
}

static void feed_batchcap(struct rf_endpoint *ep, const struct rf_exchange *ex,
                          const struct rf_lesson *l, uint64_t now_ns, struct rf_core *core)
{
    uint64_t bytes = ex->body.len;
    if (l->split > 0 && l->good == 0) {
        uint32_t before = ep->batch.limit;
        struct rf_batch_refusal r = {.n = ex->n,
                                     .bytes = bytes,
                                     .trial = ex->trial,
                                     .told_n = l->verdict.told_batch,
                                     .told_bytes = l->verdict.told_bytes,
                                     .by_bytes = l->verdict.by_bytes};
        rf_batchcap_refused(&ep->batch, &r, now_ns);
        ep->count.refused_batches++;
        if (before != ep->batch.limit)
            rf_log(core->log, RPCFAN_LOG_INFO, "RF-EP-BATCHCAP ep=%s from=%u to=%u why=%s",
                   ep->name, before, ep->batch.limit, l->verdict.rule);
    } else if (l->good > 0 && l->split == 0) {
        rf_batchcap_passed(&ep->batch, ex->n, bytes, ex->trial, now_ns);
    } else {
        rf_batchcap_unknown(&ep->batch, ex->trial);
    }
}

static void feed_bench(struct rf_endpoint *ep, const struct rf_lesson *l, uint64_t now_ns,
                       struct rf_core *core)
{
    if (l->good > 0 || rf_class_action(l->verdict.class) != RF_ACT_BENCH)
        return;
    ep->bench_until_ns = now_ns + BENCH_NS;
    ep->bench_class = l->verdict.class;
    rf_log(core->log, RPCFAN_LOG_ERROR, "RF-EP-BENCH ep=%s for_s=%llu why=%s last=\"%s\"", ep->name,
           (unsigned long long)(BENCH_NS / RF_SEC), rf_class_name(l->verdict.class),
           ep->last_failure);
}

/* The 90th percentile is worked out anew each 5 s: the number of slots hangs on it. */
static void feed_latency(struct rf_endpoint *ep, const struct rf_exchange *ex,
                         const struct rf_lesson *l, uint64_t now_ns)
{
    uint64_t rtt = rf_time_sub(now_ns, ex->sent_ns);
    int status = ex->reply.status;
    bool dropped = l->verdict.class == RF_CLASS_TIMEOUT || status == 503 || status == 504;
    if (l->good > 0 || dropped)
        rf_conc_sample(&ep->conc, rtt, ep->in_flight + 1, l->good == 0, now_ns);
    if (l->good == 0)
        return;
    rf_peak_add(&ep->peak, rtt, now_ns);
    rf_hist_add(&ep->latency, rtt);
    if (rf_time_sub(now_ns, ep->rtt_p90_at_ns) >= P90_EVERY_NS) {
        ep->rtt_p50_ns = rf_hist_quantile(&ep->latency, 500);
        ep->rtt_p90_ns = rf_hist_quantile(&ep->latency, 900);
        ep->rtt_p90_at_ns = now_ns;
    }
}

void rf_endpoint_settle(struct rf_endpoint *ep, struct rf_exchange *ex, const struct rf_lesson *l,
                        uint64_t now_ns, struct rf_core *core)
{
    const struct rf_reply *r = &ex->reply;
    ep->in_flight--;
    ep->streams -= ex->stream;
    ep->count.bytes_out += r->bytes_out;
    ep->count.bytes_in += r->bytes_in;
    ep->count.resent += r->resent;
    ep->count.throttled += l->throttled;
    settle_gates(ep, ex, l, now_ns);
    if (l->good == 0 && l->verdict.class != RF_CLASS_OK && l->verdict.class != RF_CLASS_ABORTED)
        note_failure(ep, ex, &l->verdict);
    feed_breaker(ep, ex, l, now_ns, core);
    feed_gates(ep, ex, l, now_ns, core);
    feed_batchcap(ep, ex, l, now_ns, core);
    feed_bench(ep, l, now_ns, core);
    if (!ex->stream) /* minutes of snapshot say nothing about how quick the node is */
        feed_latency(ep, ex, l, now_ns);
}

void rf_endpoint_why(const struct rf_endpoint *ep, uint64_t now_ns, char *out, size_t size)
{
    unsigned long long ms;
    if (now_ns < ep->bench_until_ns) {
        ms = (ep->bench_until_ns - now_ns) / RF_MS;
        snprintf(out, size, "benched for %llu ms: %s, %s", ms, rf_class_name(ep->bench_class),
                 ep->last_failure);
    } else if (ep->breaker.state == RF_BREAKER_OPEN) {
        ms = rf_time_sub(ep->breaker.open_until_ns, now_ns) / RF_MS;
        snprintf(out, size, "breaker open, next probe in %llu ms: %s; last failure: %s", ms,
                 rf_breaker_why_text(ep->breaker.why), ep->last_failure);
    } else if (ep->breaker.state == RF_BREAKER_HALF_OPEN) {
        snprintf(out, size, "breaker half-open, probing; last failure: %s", ep->last_failure);
    } else if (now_ns < rf_endpoint_paused_until(ep)) {
        ms = (rf_endpoint_paused_until(ep) - now_ns) / RF_MS;
        bool shared = ep->account != NULL && now_ns < ep->account->gate.throttle.paused_until_ns;
        const struct rf_gate *g = shared ? &ep->account->gate : &ep->gate;
        snprintf(out, size, "paused for %llu ms: %s%s", ms, shared ? "account " : "",
                 g->throttle.streak > 0 ? "throttled" : "told to wait");
    } else if (ep->fail_streak > 0) {
        snprintf(out, size, "suspect, probed one request at a time: %u failed in a row, last: %s",
                 ep->fail_streak, ep->last_failure);
    } else {
        snprintf(out, size, "ok");
    }
}
