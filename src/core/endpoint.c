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

static enum rpcfan_err check_limits(const struct rpcfan_endpoint_options *o,
                                    struct rpcfan_error *err)
{
    if (o->n_limits > RF_WINDOWS_MAX)
        return rf_fail(err, RPCFAN_ECONFIG, "%zu limits, at most %d are possible", o->n_limits,
                       RF_WINDOWS_MAX);
    for (size_t i = 0; i < o->n_limits; i++) {
        if (o->limits[i].count == 0 || o->limits[i].window_ms == 0)
            return rf_fail(
                err, RPCFAN_ECONFIG,
                "limit %zu: count and window must be at least 1 (leave it out for no limit)",
                i + 1);
    }
    return RPCFAN_OK;
}

enum rpcfan_err rf_endpoint_init(struct rf_endpoint *ep, const struct rpcfan_endpoint_options *o,
                                 uint64_t now_ns, struct rpcfan_error *err)
{
    enum rpcfan_err e = check_limits(o, err);
    if (e != RPCFAN_OK)
        return e;
    if (o->in_flight == 0 || o->batch == 0 || o->timeout_ms == 0)
        return rf_fail(err, RPCFAN_ECONFIG, "in_flight, batch and timeout must be at least 1");
    if (o->batch > UINT16_MAX)
        return rf_fail(err, RPCFAN_ECONFIG, "batch must be at most %d", UINT16_MAX);
    ep->priority = o->priority;
    ep->in_flight_max = o->in_flight;
    ep->timeout_ns = rf_ms_ns(o->timeout_ms);
    rf_breaker_init(&ep->breaker, now_ns);
    rf_batchcap_init(&ep->batch, o->batch, o->batch_bytes);
    e = rf_limiter_init(&ep->limiter, o->limits, (unsigned)o->n_limits);
    if (e != RPCFAN_OK)
        return rf_fail(err, e, "limits: %s", rpcfan_err_text(e));
    return RPCFAN_OK;
}

void rf_endpoint_fini(struct rf_endpoint *ep)
{
    rf_limiter_fini(&ep->limiter);
    rf_free(ep->name);
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

/* Slots now: configured, less while the breaker's slow start runs, one while it must prove itself.
 */
static uint32_t slots(const struct rf_endpoint *ep, bool alone)
{
    uint32_t n = ep->in_flight_max;
    uint32_t slow = rf_breaker_slots(&ep->breaker);
    if (slow < n)
        n = slow;
    bool unproven = ep->count.ok + ep->count.rpc == 0 || ep->fail_streak > 0;
    return unproven && !alone ? 1 : n;
}

/* A gate that opens at a known time. @return whether it is closed; wait_ns then says for how long.
 */
static bool closed_until(uint64_t until_ns, uint64_t now_ns, uint64_t *wait_ns)
{
    *wait_ns = rf_time_sub(until_ns, now_ns);
    return *wait_ns > 0;
}

uint32_t rf_endpoint_room(struct rf_endpoint *ep, struct rf_cost cost, uint32_t want, bool alone,
                          uint64_t now_ns, uint64_t *wait_ns)
{
    *wait_ns = RF_NEVER;
    if (ep->in_flight >= slots(ep, alone))
        return 0;
    if (closed_until(ep->bench_until_ns, now_ns, wait_ns) ||
        closed_until(ep->throttle.paused_until_ns, now_ns, wait_ns))
        return 0;
    if (!alone && ep->breaker.state == RF_BREAKER_CLOSED &&
        closed_until(ep->suspect_until_ns, now_ns, wait_ns))
        return 0;
    if (!rf_breaker_ready(&ep->breaker, now_ns, wait_ns))
        return 0;
    if (ep->was_paused) {
        rf_limiter_resume(&ep->limiter, now_ns);
        ep->was_paused = false;
    }
    uint32_t most = rf_batchcap_now(&ep->batch);
    return rf_limiter_room(&ep->limiter, cost, want < most ? want : most, now_ns, wait_ns);
}

void rf_endpoint_take(struct rf_endpoint *ep, struct rf_exchange *ex, uint64_t now_ns)
{
    ep->in_flight++;
    ex->generation = rf_breaker_take(&ep->breaker, ex->timeout_ns + LEASE_EXTRA_NS, now_ns);
    rf_limiter_commit(&ep->limiter, ex->cost, ex->n, now_ns);
    ex->trial = rf_batchcap_sent(&ep->batch, ex->n);
    ep->count.requests++;
    ep->count.batches += ex->batch;
    ep->count.calls += ex->n;
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

/* What the node said; or, for the first refusal in spite of configured windows, a tenth of the
 * shortest: the limiter knows when quota returns, a stray refusal is a matter of clocks and edges.
 */
static uint64_t throttle_hint(const struct rf_endpoint *ep, const struct rf_verdict *v)
{
    uint64_t hint = v->hint_ns;
    if (hint != RF_NEVER || ep->throttle.streak > 0)
        return hint;
    for (unsigned i = 0; i < ep->limiter.n; i++)
        hint = rf_min_u64(hint, ep->limiter.w[i].window_ns / 10);
    return hint;
}

static void feed_throttle(struct rf_endpoint *ep, const struct rf_exchange *ex,
                          const struct rf_lesson *l, uint64_t now_ns, struct rf_core *core)
{
    const struct rf_verdict *v = &l->verdict;
    if (l->throttled > 0) {
        if (rf_throttle_refused(&ep->throttle, ex->sent_ns, throttle_hint(ep, v), l->throttled,
                                now_ns, &core->rng)) {
            rf_limiter_throttled(&ep->limiter);
            rf_log(core->log, RPCFAN_LOG_INFO, "RF-EP-PAUSE ep=%s for_ms=%llu why=%s", ep->name,
                   (unsigned long long)(rf_time_sub(ep->throttle.paused_until_ns, now_ns) / RF_MS),
                   v->rule);
        }
    } else if (l->good > 0) {
        rf_throttle_served(&ep->throttle, ex->sent_ns);
        rf_limiter_succeeded(&ep->limiter, rf_time_sub(now_ns, ex->sent_ns));
    } else if (v->class == RF_CLASS_SERVER && ex->reply.retry_after_ns != RF_NEVER) {
        rf_throttle_pause(&ep->throttle, ex->reply.retry_after_ns, now_ns);
    }
    if (ep->throttle.paused_until_ns > now_ns)
        ep->was_paused = true;
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

void rf_endpoint_settle(struct rf_endpoint *ep, struct rf_exchange *ex, const struct rf_lesson *l,
                        uint64_t now_ns, struct rf_core *core)
{
    const struct rf_reply *r = &ex->reply;
    ep->in_flight--;
    ep->count.bytes_out += r->bytes_out;
    ep->count.bytes_in += r->bytes_in;
    ep->count.resent += r->resent;
    ep->count.throttled += l->throttled;
    bool refund = r->transport == RF_T_CONNECT || r->transport == RF_T_CONFIG;
    rf_limiter_settle(&ep->limiter, ex->cost, ex->n,
                      refund ? RF_LIMITER_REFUND : RF_LIMITER_ARRIVED, now_ns);
    if (r->resent > 0)
        rf_limiter_charge_extra(&ep->limiter, ex->cost, ex->n * r->resent, now_ns);
    if (l->good == 0 && l->verdict.class != RF_CLASS_OK)
        note_failure(ep, ex, &l->verdict);
    feed_breaker(ep, ex, l, now_ns, core);
    feed_throttle(ep, ex, l, now_ns, core);
    feed_batchcap(ep, ex, l, now_ns, core);
    feed_bench(ep, l, now_ns, core);
    if (l->good > 0) {
        uint64_t rtt = rf_time_sub(now_ns, ex->sent_ns);
        rf_peak_add(&ep->peak, rtt, now_ns);
        rf_hist_add(&ep->latency, rtt);
    }
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
    } else if (now_ns < ep->throttle.paused_until_ns) {
        ms = (ep->throttle.paused_until_ns - now_ns) / RF_MS;
        snprintf(out, size, "paused for %llu ms: throttled", ms);
    } else if (ep->fail_streak > 0) {
        snprintf(out, size, "suspect, probed one request at a time: %u failed in a row, last: %s",
                 ep->fail_streak, ep->last_failure);
    } else {
        snprintf(out, size, "ok");
    }
}
