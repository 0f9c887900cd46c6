/* limiter.c - known quotas: sliding logs behind a pacer, several windows at once.
 *
 * Example: 100 requests in 10 s, round trip 100 ms. The pacer lets one call go each 100 ms. A call
 * sent at 0 s and answered at 0.1 s holds its unit until 10.1 s. After 100 calls (9.9 s) the log is
 * full; room comes back at 10.1 s, and then a unit every 100 ms: 99 calls in each 10 s, never 101.
 *
 * | constant          | value  | why                                                            |
 * |-------------------|--------|----------------------------------------------------------------|
 * | SEND_STAMPED_MAX  | 2 s    | up to here a round trip would cost too much of the window       |
 * | PACER_TOLERANCE   | 20 ms  | a late timer is made up for                                     |
 * | PACER_GAP_MAX     | 250 ms | a small quota is not spread thinner: the log keeps it anyway   |
 * | PACED_WINDOW_MAX  | 60 s   | a longer quota may be used up as fast as a minute's share       |
 * | MARGIN_MAX        | 300 ms | the most that an entry outlives its window by                   |
 * | MARGIN_WIDEN      | 60 ms  | a throttle epoch: more lateness is allowed for                  |
 * | MARGIN_NARROW     | 10 us  | a success: less is                                              |
 * | LATE_SHARE        | W/10   | lateness is allowed for up to this, and as far as J goes beyond |
 * | EDGE_SHARE        | W/200  | for the server's own clock and what the base cannot see         |
 * | BASE_SAMPLES      | 64     | round trips before the shortest is believed: first ones connect |
 * | BASE_SPAN         | 30 s   | the shortest round trip is that of this span and the one before |
 * | RTT_INITIAL       | 30 ms  | the round trip before one was seen                             |
 * | RTT_DECAY         | 1/256  | a success: the peak round trip seen fades                      |
 * | RTT_SHARE         | W/20   | what was lost arrives a peak round trip later, up to this       |
 * | RF_WINDOW_ENTRIES | 256    | ring; windows of more units round expiries up to 1/255 of W      |
 *
 * Two ways to stamp. W over 2 s: a unit is in flight from commit to settle and then logged until
 * settle + W. The server counted it between the two, and whoever reuses the slot arrives later than
 * settle + W, so no interval of length W at the server holds more than `count`, at any phase, with
 * any delays; one that timed out may be on its way still, so for it a round trip is added.
 *
 * W up to 2 s: there a round trip would cost too much, and most of it is the same for all. A call
 * that took longer than the shortest round trip by some time was counted at most so much later than
 * the quickest is; so it is logged until send + W + that time, and whoever reuses the slot, however
 * quick, comes later. With a steady way this costs nothing. Until it is settled a tenth of W stands
 * for its lateness. A slow answer looks like a late arrival, so lateness counts up to a tenth of W;
 * what comes still later is what J is for, which refusals widen: it is added to that tenth.
 *
 * Source of the pacer: GCRA (ITU-T I.371), with TAT = max(TAT, now) + n * T. A call goes when
 * TAT - tolerance <= now, whatever it costs; so a cost above the tolerance is delayed, not stuck.
 * The clock: times before the latest one seen count as that one, so going back admits nothing. */
#include "policy/limiter.h"

#include "base/mem.h"

#define SEND_STAMPED_MAX_NS (2 * RF_SEC)
#define PACER_TOLERANCE_NS (20 * RF_MS)
#define PACER_GAP_MAX_NS (250 * RF_MS)
#define PACED_WINDOW_MAX_NS (60 * RF_SEC)
#define MARGIN_MAX_NS (300 * RF_MS)
#define MARGIN_WIDEN_NS (60 * RF_MS)
#define MARGIN_NARROW_NS (10 * RF_US)
#define LATE_SHARE 10
#define EDGE_SHARE 200
#define BASE_SAMPLES 64
#define BASE_SPAN_NS (30 * RF_SEC)
#define RTT_INITIAL_NS (30 * RF_MS)
#define RTT_DECAY 256
#define RTT_SHARE 20
#define COUNT_MAX (UINT64_MAX / 4)
#define WINDOW_MS_MAX (RF_NEVER / RF_MS / 4)

static uint64_t multiply(uint64_t a, uint64_t b)
{
    return b > 0 && a > RF_NEVER / b ? RF_NEVER : a * b;
}

static uint64_t round_up(uint64_t at_ns, uint64_t grid_ns)
{
    uint64_t over = grid_ns > 0 ? at_ns % grid_ns : 0;
    return over > 0 ? rf_time_add(at_ns, grid_ns - over) : at_ns;
}

static uint64_t step_clock(struct rf_limiter *lim, uint64_t now_ns)
{
    lim->last_ns = rf_max_u64(lim->last_ns, now_ns);
    return lim->last_ns;
}

static struct rf_window_entry *entry_at(struct rf_window *w, uint32_t i)
{
    return &w->entry[(w->head + i) % RF_WINDOW_ENTRIES];
}

/* Units one call costs in window i; 0 where the window does not count it. */
static uint64_t unit_cost(const struct rf_limiter *lim, unsigned i, struct rf_cost cost)
{
    if ((cost.mask >> i & 1) == 0)
        return 0;
    return lim->w[i].unit == RPCFAN_WEIGHT ? cost.weight : 1;
}

/* What a unit that was lost on the way outlives its window by. */
static uint64_t lost_late(const struct rf_limiter *lim, const struct rf_window *w)
{
    return rf_max_u64(w->margin_ns, rf_min_u64(lim->rtt_ns, w->window_ns / RTT_SHARE));
}

/* When the entry of a unit that is not settled yet leaves a send-stamped window. */
static uint64_t unsettled_expiry(const struct rf_window *w, uint64_t sent_ns)
{
    return rf_time_add(sent_ns, w->window_ns + w->window_ns / LATE_SHARE);
}

/* How much later than the quickest a unit may have been counted, see the head. */
static uint64_t lateness(const struct rf_limiter *lim, const struct rf_window *w, uint64_t rtt_ns)
{
    if (lim->base_samples < BASE_SAMPLES)
        return rf_min_u64(rtt_ns, MARGIN_MAX_NS);
    uint64_t base = rf_min_u64(lim->base_ns[0], lim->base_ns[1]);
    uint64_t late = rf_time_sub(rtt_ns, base) + w->window_ns / EDGE_SHARE;
    return rf_min_u64(late, rf_min_u64(MARGIN_MAX_NS, w->window_ns / LATE_SHARE + w->margin_ns));
}

static void note_base(struct rf_limiter *lim, uint64_t rtt_ns, uint64_t now_ns)
{
    if (lim->base_samples == 0 || now_ns - lim->base_since_ns >= BASE_SPAN_NS) {
        lim->base_ns[1] = lim->base_samples == 0 ? RF_NEVER : lim->base_ns[0];
        lim->base_ns[0] = RF_NEVER;
        lim->base_since_ns = now_ns;
    }
    lim->base_ns[0] = rf_min_u64(lim->base_ns[0], rtt_ns);
    if (lim->base_samples < BASE_SAMPLES)
        lim->base_samples++;
}

static void drop_head(struct rf_window *w, uint64_t units)
{
    struct rf_window_entry *e = entry_at(w, 0);
    e->units -= units;
    w->logged -= units;
    if (e->units > 0)
        return;
    w->head = (w->head + 1) % RF_WINDOW_ENTRIES;
    w->n--;
}

static void drop_expired(struct rf_window *w, uint64_t now_ns)
{
    while (w->n > 0 && entry_at(w, 0)->expires_ns <= now_ns)
        drop_head(w, entry_at(w, 0)->units);
}

/* Sorted by expiry. Nearly all go in near the end: what stands behind is what is in flight. */
static void log_units(struct rf_window *w, uint64_t units, uint64_t expires_ns)
{
    expires_ns = round_up(expires_ns, w->grid_ns);
    uint32_t at = w->n;
    while (at > 0 && entry_at(w, at - 1)->expires_ns > expires_ns)
        at--;
    w->logged += units;
    if (at > 0 && entry_at(w, at - 1)->expires_ns == expires_ns) {
        entry_at(w, at - 1)->units += units;
        return;
    }
    if (w->n == RF_WINDOW_ENTRIES) { /* with a neighbour, and as long as the longer of the two */
        struct rf_window_entry *e = entry_at(w, at < w->n ? at : at - 1);
        e->expires_ns = rf_max_u64(e->expires_ns, expires_ns);
        e->units += units;
        return;
    }
    for (uint32_t i = w->n++; i > at; i--)
        *entry_at(w, i) = *entry_at(w, i - 1);
    *entry_at(w, at) = (struct rf_window_entry){expires_ns, units};
}

/* Take units out that were logged until `expires_ns`; where entries were joined, from the next. */
static void unlog_units(struct rf_window *w, uint64_t units, uint64_t expires_ns)
{
    expires_ns = round_up(expires_ns, w->grid_ns);
    uint32_t at = w->n;
    while (at > 0 && entry_at(w, at - 1)->expires_ns >= expires_ns)
        at--;
    while (units > 0 && at < w->n) {
        struct rf_window_entry *e = entry_at(w, at);
        uint64_t taken = rf_min_u64(units, e->units);
        e->units -= taken;
        w->logged -= taken;
        units -= taken;
        if (e->units > 0)
            continue;
        w->n--;
        for (uint32_t i = at; i < w->n; i++)
            *entry_at(w, i) = *entry_at(w, i + 1);
    }
}

static uint64_t used(const struct rf_window *w)
{
    return w->logged + (w->receive_stamped ? w->in_flight : 0);
}

/* When the log has room for `units`; RF_NEVER where only a completion can make it. */
static uint64_t log_ready_at(struct rf_window *w, uint64_t units, uint64_t now_ns)
{
    if (units > w->count)
        return RF_NEVER;
    uint64_t over = rf_time_sub(used(w), w->count - units);
    if (over == 0)
        return now_ns;
    for (uint32_t i = 0; i < w->n; i++) {
        const struct rf_window_entry *e = entry_at(w, i);
        if (e->units >= over)
            return e->expires_ns;
        over -= e->units;
    }
    return RF_NEVER;
}

static uint64_t pacer_ready_at(const struct rf_window *w, uint64_t now_ns)
{
    return rf_max_u64(now_ns, rf_time_sub(w->tat_ns, PACER_TOLERANCE_NS));
}

/* Calls of `units` the pacer lets go at once; the last of them may overdraw the tolerance. */
static uint64_t pacer_calls(const struct rf_window *w, uint64_t units, uint64_t now_ns)
{
    uint64_t latest = rf_time_add(now_ns, PACER_TOLERANCE_NS);
    if (w->tat_ns > latest)
        return 0;
    uint64_t step = multiply(units, w->gap_ns);
    if (step == 0)
        return UINT32_MAX;
    return (latest - rf_max_u64(w->tat_ns, now_ns)) / step + 1;
}

/* A charge beyond the room may not close the window for longer than its own length. */
static void advance_pacer(struct rf_window *w, uint64_t units, uint64_t now_ns)
{
    uint64_t tat = rf_time_add(rf_max_u64(w->tat_ns, now_ns), multiply(units, w->gap_ns));
    uint64_t latest = rf_time_add(now_ns, w->window_ns + PACER_TOLERANCE_NS);
    w->tat_ns = rf_min_u64(tat, latest);
}

static bool valid(const struct rpcfan_limit *l)
{
    return l->count >= 1 && l->count <= COUNT_MAX && l->window_ms >= 1 &&
           l->window_ms <= WINDOW_MS_MAX &&
           (l->unit == RPCFAN_REQUESTS || l->unit == RPCFAN_WEIGHT);
}

static void setup(struct rf_window *w, const struct rpcfan_limit *l)
{
    w->count = l->count;
    w->window_ns = l->window_ms * RF_MS;
    w->unit = l->unit;
    w->some = l->n_methods > 0 || l->each;
    w->receive_stamped = w->window_ns > SEND_STAMPED_MAX_NS;
    uint64_t gap_ns = rf_min_u64(w->window_ns, PACED_WINDOW_MAX_NS) / w->count;
    w->gap_ns = rf_min_u64(gap_ns, PACER_GAP_MAX_NS);
    if (w->count > RF_WINDOW_ENTRIES) {
        uint64_t span = w->window_ns + (w->receive_stamped ? 0 : MARGIN_MAX_NS);
        w->grid_ns = span / (RF_WINDOW_ENTRIES - 1) + 1;
    }
}

enum rpcfan_err rf_limiter_init(struct rf_limiter *lim, const struct rpcfan_limit *limits,
                                unsigned n)
{
    *lim = (struct rf_limiter){0};
    if (n > RF_WINDOWS_MAX)
        return RPCFAN_EINVAL;
    for (unsigned i = 0; i < n; i++) {
        if (!valid(&limits[i]))
            return RPCFAN_EINVAL;
    }
    if (n == 0)
        return RPCFAN_OK;
    lim->w = rf_alloc(n * sizeof lim->w[0]);
    if (lim->w == NULL)
        return RPCFAN_ENOMEM;
    lim->n = n;
    lim->rtt_ns = RTT_INITIAL_NS;
    for (unsigned i = 0; i < n; i++)
        setup(&lim->w[i], &limits[i]);
    return RPCFAN_OK;
}

bool rf_limiter_clone(struct rf_limiter *lim, unsigned i)
{
    if (lim->n == RF_WINDOWS_ALL)
        return false;
    struct rf_window *w = rf_realloc(lim->w, (lim->n + 1) * sizeof w[0]);
    if (w == NULL)
        return false;
    lim->w = w;
    struct rf_window *made = &w[lim->n++];
    *made = (struct rf_window){.count = w[i].count,
                               .window_ns = w[i].window_ns,
                               .unit = w[i].unit,
                               .some = true,
                               .receive_stamped = w[i].receive_stamped,
                               .gap_ns = w[i].gap_ns,
                               .grid_ns = w[i].grid_ns};
    return true;
}

void rf_limiter_fini(struct rf_limiter *lim)
{
    rf_free(lim->w);
    *lim = (struct rf_limiter){0};
}

uint32_t rf_limiter_room(struct rf_limiter *lim, struct rf_cost cost, uint32_t want,
                         uint64_t now_ns, uint64_t *wait_ns)
{
    uint64_t now = step_clock(lim, now_ns);
    uint64_t calls = want, ready_at = now, longest = 0;
    for (unsigned i = 0; i < lim->n; i++) {
        struct rf_window *w = &lim->w[i];
        uint64_t units = unit_cost(lim, i, cost);
        if (units == 0)
            continue;
        drop_expired(w, now);
        calls = rf_min_u64(calls, rf_time_sub(w->count, used(w)) / units);
        calls = rf_min_u64(calls, pacer_calls(w, units, now));
        ready_at = rf_max_u64(ready_at, log_ready_at(w, units, now));
        ready_at = rf_max_u64(ready_at, pacer_ready_at(w, now));
        uint64_t late = rf_max_u64(MARGIN_MAX_NS, w->window_ns / RTT_SHARE);
        longest = rf_max_u64(longest, w->window_ns + late + w->grid_ns);
    }
    if (calls > 0 || ready_at == now)
        *wait_ns = 0;
    else if (ready_at == RF_NEVER)
        *wait_ns = RF_NEVER;
    else
        *wait_ns = rf_min_u64(ready_at - now_ns, longest);
    return (uint32_t)calls;
}

bool rf_limiter_fits(const struct rf_limiter *lim, struct rf_cost cost)
{
    for (unsigned i = 0; i < lim->n; i++) {
        if (unit_cost(lim, i, cost) > lim->w[i].count)
            return false;
    }
    return true;
}

bool rf_limiter_weighs(const struct rf_limiter *lim, struct rf_cost cost)
{
    for (unsigned i = 0; i < lim->n; i++) {
        if ((cost.mask >> i & 1) != 0 && lim->w[i].unit == RPCFAN_WEIGHT)
            return true;
    }
    return false;
}

void rf_limiter_commit(struct rf_limiter *lim, struct rf_cost cost, uint32_t calls, uint64_t now_ns)
{
    uint64_t now = step_clock(lim, now_ns);
    for (unsigned i = 0; i < lim->n; i++) {
        struct rf_window *w = &lim->w[i];
        uint64_t units = unit_cost(lim, i, cost) * calls;
        if (units == 0)
            continue;
        w->in_flight += units;
        advance_pacer(w, units, now);
        drop_expired(w, now);
        if (!w->receive_stamped)
            log_units(w, units, unsettled_expiry(w, now));
    }
}

/* The server's count of a unit is known a little better now. What is past its time already is gone
 * from the log, and must not take another's place there. */
static void settle_logged(struct rf_limiter *lim, struct rf_window *w, uint64_t units,
                          enum rf_limiter_fate fate, uint64_t sent_ns)
{
    uint64_t now = lim->last_ns, was = unsettled_expiry(w, sent_ns);
    uint64_t late = fate == RF_LIMITER_LOST ? rf_max_u64(w->margin_ns, w->window_ns / LATE_SHARE)
                                            : lateness(lim, w, rf_time_sub(now, sent_ns));
    if (was <= now)
        return;
    unlog_units(w, units, was);
    if (fate != RF_LIMITER_REFUND && rf_time_add(sent_ns, w->window_ns + late) > now)
        log_units(w, units, rf_time_add(sent_ns, w->window_ns + late));
}

void rf_limiter_settle(struct rf_limiter *lim, struct rf_cost cost, uint32_t calls,
                       enum rf_limiter_fate fate, uint64_t sent_ns, uint64_t now_ns)
{
    uint64_t now = step_clock(lim, now_ns);
    if (fate == RF_LIMITER_ARRIVED)
        note_base(lim, rf_time_sub(now, sent_ns), now);
    for (unsigned i = 0; i < lim->n; i++) {
        struct rf_window *w = &lim->w[i];
        uint64_t units = rf_min_u64(unit_cost(lim, i, cost) * calls, w->in_flight);
        if (units == 0)
            continue;
        w->in_flight -= units;
        drop_expired(w, now);
        uint64_t late = fate == RF_LIMITER_LOST ? lost_late(lim, w) : 0;
        if (!w->receive_stamped)
            settle_logged(lim, w, units, fate, sent_ns);
        else if (fate != RF_LIMITER_REFUND)
            log_units(w, units, rf_time_add(now, w->window_ns + late));
    }
}

void rf_limiter_charge_extra(struct rf_limiter *lim, struct rf_cost cost, uint32_t calls,
                             uint64_t now_ns)
{
    uint64_t now = step_clock(lim, now_ns);
    for (unsigned i = 0; i < lim->n; i++) {
        struct rf_window *w = &lim->w[i];
        uint64_t units = unit_cost(lim, i, cost) * calls;
        if (units == 0)
            continue;
        advance_pacer(w, units, now);
        drop_expired(w, now);
        log_units(w, units, rf_time_add(now, w->window_ns + lost_late(lim, w)));
    }
}

void rf_limiter_throttled(struct rf_limiter *lim)
{
    for (unsigned i = 0; i < lim->n; i++) {
        struct rf_window *w = &lim->w[i];
        if (!w->receive_stamped)
            w->margin_ns = rf_min_u64(MARGIN_MAX_NS, w->margin_ns + MARGIN_WIDEN_NS);
    }
}

void rf_limiter_succeeded(struct rf_limiter *lim, uint64_t rtt_ns)
{
    lim->rtt_ns = rf_max_u64(rtt_ns, lim->rtt_ns - lim->rtt_ns / RTT_DECAY);
    for (unsigned i = 0; i < lim->n; i++)
        lim->w[i].margin_ns = rf_time_sub(lim->w[i].margin_ns, MARGIN_NARROW_NS);
}

void rf_limiter_resume(struct rf_limiter *lim, uint64_t now_ns)
{
    uint64_t spent = rf_time_add(step_clock(lim, now_ns), PACER_TOLERANCE_NS);
    for (unsigned i = 0; i < lim->n; i++)
        lim->w[i].tat_ns = rf_max_u64(lim->w[i].tat_ns, spent);
}
