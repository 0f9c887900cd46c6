/* gate.c - windows, learned rate, allowance and pause as one thing: peek all, then commit all.
 *
 * Happy path: room() is the least of all; take() commits to each; settle() gives back. Failure
 * modes: a refusal pauses the gate and, once a throttle epoch, steps the limiter's margin and cuts
 * the learned rate; a calculated end of the pause makes the pacers start anew, without a burst. */
#include "core/gate.h"

#define LONG_WINDOW_NS (60 * RF_SEC)

static enum rpcfan_err check_limits(const struct rf_gate_options *o, struct rpcfan_error *err)
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

/* The highest rate that the windows for all methods leave; 0: there is no such window. */
static double bound_of(const struct rpcfan_limit *limits, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        if (limits[i].n_methods > 0 || limits[i].each || limits[i].unit != RPCFAN_REQUESTS)
            continue;
        double r = (double)limits[i].count * 1000.0 / (double)limits[i].window_ms;
        most = most == 0 || r < most ? r : most;
    }
    return most;
}

enum rpcfan_err rf_gate_init(struct rf_gate *g, const struct rf_gate_options *o, uint64_t now_ns,
                             struct rpcfan_error *err)
{
    enum rpcfan_err e = check_limits(o, err);
    if (e != RPCFAN_OK)
        return e;
    double most = bound_of(o->limits, o->n_limits);
    g->learns = o->learn;
    rf_rate_init(&g->rate, most > 0 ? 0 : o->start_per_s, most, o->n_limits > 0, now_ns);
    e = rf_limiter_init(&g->limiter, o->limits, (unsigned)o->n_limits);
    return e == RPCFAN_OK ? e : rf_fail(err, e, "limits: %s", rpcfan_err_text(e));
}

void rf_gate_fini(struct rf_gate *g)
{
    rf_limiter_fini(&g->limiter);
}

uint32_t rf_gate_room(struct rf_gate *g, struct rf_cost cost, uint32_t want, uint64_t now_ns,
                      uint64_t *wait_ns)
{
    *wait_ns = rf_time_sub(g->throttle.paused_until_ns, now_ns);
    if (*wait_ns > 0)
        return 0;
    if (g->was_paused) {
        rf_limiter_resume(&g->limiter, now_ns);
        rf_rate_resume(&g->rate, now_ns);
        g->was_paused = false;
    }
    uint32_t room = rf_limiter_room(&g->limiter, cost, want, now_ns, wait_ns);
    if (room > 0)
        room = rf_allowance_room(&g->allowance, room, now_ns, wait_ns);
    if (room > 0 && g->learns)
        room = rf_rate_room(&g->rate, room, now_ns, wait_ns);
    return room;
}

uint64_t rf_gate_take(struct rf_gate *g, struct rf_cost cost, uint32_t calls, uint64_t now_ns)
{
    rf_limiter_commit(&g->limiter, cost, calls, now_ns);
    rf_rate_commit(&g->rate, calls, now_ns);
    rf_allowance_commit(&g->allowance, calls);
    return g->allowance.sent;
}

void rf_gate_settle(struct rf_gate *g, struct rf_cost cost, const struct rf_gate_fates *f,
                    uint64_t sent_ns, uint64_t now_ns)
{
    uint32_t arrived = f->served + f->refused;
    rf_allowance_settle(&g->allowance, arrived + f->lost + f->unsent);
    if (arrived > 0)
        rf_limiter_settle(&g->limiter, cost, arrived, RF_LIMITER_ARRIVED, sent_ns, now_ns);
    if (f->lost > 0)
        rf_limiter_settle(&g->limiter, cost, f->lost, RF_LIMITER_LOST, sent_ns, now_ns);
    if (f->unsent > 0)
        rf_limiter_settle(&g->limiter, cost, f->unsent, RF_LIMITER_REFUND, sent_ns, now_ns);
    const struct {
        uint32_t calls;
        enum rf_rate_fate fate;
    } part[] = {{f->served, RF_RATE_SERVED},
                {f->refused, RF_RATE_REFUSED},
                {f->lost, RF_RATE_LOST},
                {f->unsent, RF_RATE_UNSENT}};
    for (size_t i = 0; i < RF_COUNT(part); i++) {
        if (part[i].calls > 0)
            rf_rate_settle(&g->rate, part[i].calls, part[i].fate, now_ns);
    }
}

static void note_pause(struct rf_gate *g, uint64_t now_ns)
{
    if (g->throttle.paused_until_ns > now_ns)
        g->was_paused = true;
}

/* What the server said; or, for the first refusal in spite of configured windows, a tenth of the
 * shortest: the limiter knows when quota returns, a stray refusal is a matter of clocks and edges.
 */
static uint64_t hint_or_share(const struct rf_gate *g, uint64_t hint_ns)
{
    if (hint_ns != RF_NEVER || g->throttle.streak > 0)
        return hint_ns;
    for (unsigned i = 0; i < g->limiter.n; i++)
        hint_ns = rf_min_u64(hint_ns, g->limiter.w[i].window_ns / 10);
    return hint_ns;
}

bool rf_gate_refused(struct rf_gate *g, uint64_t sent_ns, uint64_t hint_ns, uint32_t calls,
                     uint64_t now_ns, struct rf_rng *rng)
{
    bool fresh =
        rf_throttle_refused(&g->throttle, sent_ns, hint_or_share(g, hint_ns), calls, now_ns, rng);
    if (fresh)
        rf_limiter_throttled(&g->limiter);
    rf_rate_refused(&g->rate, sent_ns, hint_ns, now_ns);
    note_pause(g, now_ns);
    return fresh;
}

void rf_gate_served(struct rf_gate *g, uint64_t sent_ns, uint64_t now_ns)
{
    rf_throttle_served(&g->throttle, sent_ns);
    rf_limiter_succeeded(&g->limiter, rf_time_sub(now_ns, sent_ns));
}

void rf_gate_pause(struct rf_gate *g, uint64_t for_ns, uint64_t now_ns)
{
    rf_throttle_pause(&g->throttle, for_ns, now_ns);
    note_pause(g, now_ns);
}

void rf_gate_hint(struct rf_gate *g, const struct rf_rate_hint *h, uint64_t sent_ns,
                  uint64_t sent_then, uint64_t now_ns)
{
    uint64_t pause = rf_allowance_hint(&g->allowance, h, sent_ns, sent_then, now_ns);
    if (pause > 0)
        rf_gate_pause(g, pause, now_ns);
    if (h->any && h->quota > 0 && h->window_ns > 0 && g->limiter.n == 0 && g->learns)
        rf_rate_cap(&g->rate, (double)h->quota * (double)RF_SEC / (double)h->window_ns);
}

double rf_gate_per_s(const struct rf_gate *g)
{
    double least = g->learns ? rf_rate_per_s(&g->rate) : 0;
    for (unsigned i = 0; i < g->limiter.n; i++) {
        const struct rf_window *w = &g->limiter.w[i];
        if (w->some || w->unit != RPCFAN_REQUESTS)
            continue;
        /* Of a longer window a minute's share may be used at any time. */
        uint64_t span_ns = rf_min_u64(w->window_ns, LONG_WINDOW_NS);
        double r = (double)w->count * (double)RF_SEC / (double)span_ns;
        least = least == 0 || r < least ? r : least;
    }
    return least;
}
