/* rate.c - the learned rate of an endpoint whose limit is unknown, shrinking or shared.
 *
 * Example: a server permits 10 calls/s, counted over 10 s, and says so nowhere. Ramp: 32 calls in
 * flight, and a quarter of a call more for each one served. After 0.4 s it has served 100 and
 * refuses with "Retry-After: 10"; 30 calls more are on their way and are refused too. It took 100
 * (and one for the rounding) in 0.4 s and will take none for 10 s: 101 / 10.4 = 9.7/s is the
 * ceiling, and the rate 0.9 * 9.7 = 8.7/s. The other refusals are of the same epoch and cut
 * nothing. After the pause one call goes alone, and when it is served, a call each 115 ms. Half a
 * second later the rate is back at 0.97 of the ceiling, 9.4/s; there it holds. 15 s after the pause
 * it begins to probe upward, by 0.25 % a second, doubling each 10 s to at most 4 %. So each 30 s or
 * so it meets the limit again, and one call in about 300 is refused.
 *
 * | constant        | value    | why                                                             |
 * |-----------------|----------|-----------------------------------------------------------------|
 * | TOLERANCE       | 10 ms    | GCRA: a late timer is made up for                               |
 * | LATE            | 50 ms    | what a sender held up by full slots may catch up on at once: a  |
 * |                 |          | node with a round trip of 1 s gets 4 times as much, others same |
 * | WINDOW_START    | 32       | calls in flight when the ramp begins: a whole batch, and more   |
 * | WINDOW_STEP     | 0.25     | a call served while ramping: bounds what the end of it wastes   |
 * | RATE_MIN        | 0.02/s   | 1,000 clients may share a few calls a second                    |
 * | RATE_MAX        | 10^7/s   | beyond that a pacer is of no use                                |
 * | BLIND_START     | 1/s      | refused before anything was served: all is open                 |
 * | LOW_START       | 5/s      | refused after fewer than EVIDENCE calls in 10 s: that was the    |
 * |                 |          | callers' rate and says nothing of the server's; no ceiling then  |
 * | EVIDENCE        | 50 calls | ... and it grows as if never refused                            |
 * | CUT             | 0.9      | of what the server took, below it until what queued is gone     |
 * | CUT_MOST        | 0.5      | an epoch                                                        |
 * | BARREN_MOST     | 3        | epochs in a row with nothing served between them that cut: from |
 * |                 |          | then on the node is shut, and the pauses are the answer to that |
 * | CEIL_KEEP       | 0.9      | of the ceiling outlives such an epoch, so that a node that was  |
 * |                 |          | shut for minutes is back at its rate within seconds             |
 * | SPAN            | 10 s     | over which what the server took is counted ...                  |
 * | FRESH_CALLS     | 8        | ... or since the last cut, where that many were served since    |
 * | FRESH_SHARE     | 0.25 s   | and this much of the rate; not counting of the pause after it   |
 * | IDLE_MOST       | 1.2 s    | ... up to so much: where a window is long, the pause is its part |
 * | EARLY_EPOCHS    | 2        | ... and only so early: later it makes a bucket seem to take more,
 * | | STRAY           | 2 s      | ... or after so long at work ... | | STRAY_CALLS     | 64 | ...
 * and so many calls: a limit that fell is met sooner, and the | |                 |          |
 * pause of a stray refusal would take a third of the rate, for a  | |                 |          |
 * minute ...                                                      | | STRAY_MOST      | 5 s      |
 * ... up to here: later the pause is the part of a long window    | | ENGAGE          | 30 s     |
 * three epochs within it overrule configured limits: one or two   | |                 |          |
 * are jitter, which the limiter's margin takes care of ...        | | NEAR_MAX        | 0.8      |
 * ... and so are more, while so much of the limit is served       | | START_GROWTH    | 0.35     |
 * a second, exponent, while never refused: doubles in 2 s         | | RECOVERY        | 0.2      |
 * of the ceiling a second ...                                     | | RECOVERED       | 0.97     |
 * ... up to here                                                  | | HOLD            | 15 s     |
 * no probing after a cut or its pause; at least ...               | | HOLD_CALLS      | 60       |
 * ... the time of so many calls, up to HOLD_MAX 300 s             | | PROBE           | 0.0025   |
 * a second, of the rate, doubling each ...                        | | PROBE_DOUBLES   | 10 s     |
 * ... (longer as the hold is), up to ...                          | | PROBE_MOST      | 16       |
 * ... times                                                       | | USE_LEAST       | 0.5      |
 * of the rate must be in use for it to grow, averaged over 1 s or | | USE_CALLS       | 8        |
 * the time of so many calls, whichever is longer                  |
 *
 * Measured in tests/unit/policy/test_rate_sim.c. Growth is applied when somebody asks, for the time
 * since the last asking, so no timer is needed. A clock that goes back counts as standing still. */
#include "policy/rate.h"

#include <math.h>

#define TOLERANCE_NS (10 * RF_MS)
#define LATE_NS (50 * RF_MS)
#define WINDOW_START 32.0
#define WINDOW_MAX 1e6
#define WINDOW_STEP 0.25
#define RATE_MIN 0.02
#define RATE_MAX 1e7
#define BLIND_START 1.0
#define LOW_START 5.0
#define EVIDENCE_CALLS 50
#define NEAR_MAX 0.8
#define EARLY_EPOCHS 2
#define STRAY_S 2.0
#define STRAY_MOST_S 5.0
#define STRAY_CALLS 64
#define IDLE_MOST_NS (1200 * RF_MS)
#define CUT 0.9
#define CUT_MOST 0.5
#define BARREN_MOST 3
#define CEIL_KEEP 0.9
#define SPAN_S 10
#define FRESH_CALLS 8
#define FRESH_SHARE 0.25
#define ENGAGE_NS (30 * RF_SEC)
#define HINT_MAX_NS (300 * RF_SEC)
#define START_GROWTH 0.35
#define RECOVERY 0.2
#define RECOVERED 0.97
#define HOLD_S 15.0
#define HOLD_CALLS 60.0
#define HOLD_MAX_S 300.0
#define PROBE 0.0025
#define PROBE_DOUBLES_S 10.0
#define PROBE_MOST 16.0
#define USE_LEAST 0.5
#define USE_CALLS 8.0
#define GROW_STEP_NS RF_MS
#define TAKEN_MAX_NS 1e18

static double clamp(double v, double low, double high)
{
    return v < low ? low : v > high ? high : v;
}

static double seconds(uint64_t ns)
{
    return (double)ns / (double)RF_SEC;
}

static double bound(const struct rf_rate *r, double per_s)
{
    double high = r->max_per_s > 0 ? r->max_per_s : RATE_MAX;
    return clamp(per_s, RATE_MIN < high ? RATE_MIN : high, high);
}

static uint64_t step_clock(struct rf_rate *r, uint64_t now_ns)
{
    r->last_ns = rf_max_u64(r->last_ns, now_ns);
    return r->last_ns;
}

static void set_phase(struct rf_rate *r, enum rf_rate_phase phase, uint64_t now_ns)
{
    r->phase = phase;
    r->probing = false;
    r->grown_ns = now_ns;
    r->use = 1;
}

static void count_served(struct rf_rate *r, uint32_t calls, uint64_t now_ns)
{
    uint64_t second = now_ns / RF_SEC;
    size_t i = second % RF_RATE_SECONDS;
    if (r->ring[i].second != second) {
        r->ring[i].second = second;
        r->ring[i].calls = 0;
    }
    r->ring[i].calls += calls;
    r->served += calls;
}

static uint64_t served_of_late(const struct rf_rate *r, uint64_t now_ns)
{
    uint64_t calls = 0;
    for (size_t i = 0; i < RF_RATE_SECONDS; i++)
        calls += r->ring[i].second + SPAN_S > now_ns / RF_SEC ? r->ring[i].calls : 0;
    return calls;
}

/* Calls a second that were served in the last seconds, and one more: over a short time or at a low
 * rate a paced sender's count is short by up to one. */
static double accepted(const struct rf_rate *r, double extra_s, uint64_t now_ns)
{
    double span = SPAN_S - 1 + seconds(now_ns % RF_SEC);
    double lived = seconds(rf_time_sub(now_ns, rf_min_u64(r->first_ns, now_ns)));
    span = (lived < span ? lived : span) + extra_s;
    return ((double)served_of_late(r, now_ns) + 1) / (span > 1 ? span : 1);
}

void rf_rate_init(struct rf_rate *r, double start_per_s, double max_per_s, bool known,
                  uint64_t now_ns)
{
    *r = (struct rf_rate){.known = known,
                          .max_per_s = max_per_s > 0 ? max_per_s : 0,
                          .window = WINDOW_START,
                          .last_ns = now_ns,
                          .first_ns = RF_NEVER,
                          .held_ns = now_ns};
    r->per_s = bound(r, start_per_s > 0 ? start_per_s : r->max_per_s);
    enum rf_rate_phase phase = start_per_s > 0 ? RF_RATE_LEARNED : RF_RATE_RAMP;
    set_phase(r, known ? RF_RATE_OFF : phase, now_ns);
}

/* Paced: also while ramping, where an upper bound is given. */
static bool paced(const struct rf_rate *r)
{
    return r->phase == RF_RATE_LEARNED || (r->phase == RF_RATE_RAMP && r->max_per_s > 0);
}

static double gap_ns(const struct rf_rate *r)
{
    return (double)RF_SEC / r->per_s;
}

static double hold_s(const struct rf_rate *r)
{
    return clamp(HOLD_CALLS / r->per_s, HOLD_S, HOLD_MAX_S);
}

/* Over what time `use` is averaged. */
static double use_span_s(const struct rf_rate *r)
{
    return USE_CALLS / r->per_s > 1 ? USE_CALLS / r->per_s : 1;
}

static double grow_known(const struct rf_rate *r, double dt, uint64_t now_ns)
{
    double per_s = r->per_s, recovered = RECOVERED * r->ceil_per_s;
    if (per_s < recovered) {
        per_s += RECOVERY * r->ceil_per_s * dt;
        return per_s < recovered ? per_s : recovered;
    }
    double hold = hold_s(r);
    double over = seconds(rf_time_sub(now_ns, r->held_ns)) - hold;
    if (over <= 0)
        return per_s;
    double doubles = PROBE_DOUBLES_S * hold / HOLD_S;
    double faster = clamp(exp2(over / doubles), 1, PROBE_MOST);
    double base = per_s > r->ceil_per_s ? per_s : r->ceil_per_s;
    return per_s + PROBE * base * faster * dt;
}

/* The configured limits hold again. */
static void stand_down(struct rf_rate *r, uint64_t now_ns)
{
    r->ceil_per_s = 0;
    set_phase(r, RF_RATE_OFF, now_ns);
}

static void grow(struct rf_rate *r, uint64_t now_ns)
{
    uint64_t dt_ns = rf_time_sub(now_ns, r->grown_ns);
    if (dt_ns < GROW_STEP_NS || r->phase != RF_RATE_LEARNED)
        return;
    double dt = seconds(dt_ns), step_most = 1 / r->per_s > 1 ? 1 / r->per_s : 1;
    r->grown_ns = now_ns;
    r->use *= exp(-dt / use_span_s(r));
    if (r->use < USE_LEAST)
        return;
    dt = dt < step_most ? dt : step_most;
    r->per_s =
        bound(r, r->ceil_per_s > 0 ? grow_known(r, dt, now_ns) : r->per_s * exp(START_GROWTH * dt));
    if (r->known && !r->capped && r->max_per_s > 0 && r->per_s >= r->max_per_s)
        stand_down(r, now_ns);
}

static uint64_t window_room(const struct rf_rate *r)
{
    return rf_time_sub(r->probing ? 1 : (uint64_t)r->window, r->in_flight);
}

/* From when the next call is due. A sender that was held up elsewhere catches up on some of it. */
static uint64_t due_from(const struct rf_rate *r, uint64_t now_ns)
{
    return rf_max_u64(r->tat_ns, rf_time_sub(now_ns, LATE_NS));
}

static uint32_t paced_room(const struct rf_rate *r, uint64_t now_ns)
{
    uint64_t latest = rf_time_add(now_ns, TOLERANCE_NS);
    if (r->tat_ns > latest)
        return 0;
    double calls = (double)(latest - due_from(r, now_ns)) / gap_ns(r);
    return (uint32_t)calls + 1; /* calls <= (LATE + TOLERANCE) * RATE_MAX */
}

uint32_t rf_rate_room(struct rf_rate *r, uint32_t want, uint64_t now_ns, uint64_t *wait_ns)
{
    uint64_t now = step_clock(r, now_ns), room = want;
    *wait_ns = 0;
    grow(r, now);
    if (r->phase == RF_RATE_RAMP || r->probing)
        room = rf_min_u64(room, window_room(r));
    if (room == 0 && want > 0) {
        *wait_ns = RF_NEVER;
        return 0;
    }
    if (!paced(r))
        return (uint32_t)room;
    room = rf_min_u64(room, paced_room(r, now));
    if (room == 0 && want > 0)
        *wait_ns = rf_time_sub(r->tat_ns, TOLERANCE_NS) - now_ns;
    return (uint32_t)room;
}

void rf_rate_commit(struct rf_rate *r, uint32_t calls, uint64_t now_ns)
{
    uint64_t now = step_clock(r, now_ns);
    r->in_flight += calls;
    if (r->first_ns == RF_NEVER)
        r->first_ns = now;
    if (!paced(r))
        return;
    double taken = clamp(ceil(gap_ns(r) * calls), 0, TAKEN_MAX_NS);
    r->tat_ns = rf_time_add(due_from(r, now), (uint64_t)taken);
    r->use += seconds((uint64_t)taken) / use_span_s(r);
}

void rf_rate_settle(struct rf_rate *r, uint32_t calls, enum rf_rate_fate fate, uint64_t now_ns)
{
    uint64_t now = step_clock(r, now_ns);
    bool full = (double)r->in_flight >= r->window / 2;
    r->in_flight -= rf_min_u64(calls, r->in_flight);
    if (fate != RF_RATE_SERVED)
        return;
    count_served(r, calls, now);
    if (r->probing)
        r->tat_ns = rf_max_u64(r->tat_ns, now); /* the wait for it is not caught up on */
    r->probing = false;
    if (r->phase == RF_RATE_RAMP && full)
        r->window = clamp(r->window + WINDOW_STEP * calls, 1, WINDOW_MAX);
}

/* What the server permits, judged by its first refusal: what it took, over the time in which it
 * took that and the time until it will take more. */
static double first_estimate(const struct rf_rate *r, uint64_t hint_ns, uint64_t now_ns)
{
    double hint = hint_ns == RF_NEVER ? 0 : seconds(rf_min_u64(hint_ns, HINT_MAX_NS));
    double span = seconds(rf_time_sub(now_ns, rf_min_u64(r->first_ns, now_ns))) + hint;
    double since_start = (double)r->served / (span > 1 ? span : 1);
    double of_late = accepted(r, hint, now_ns);
    return since_start > of_late ? since_start : of_late;
}

/* While it grows, ten seconds are history: what was served in the last one or two. */
static double newest_estimate(const struct rf_rate *r, uint64_t now_ns)
{
    uint64_t second = now_ns / RF_SEC, calls = 0;
    for (size_t i = 0; i < RF_RATE_SECONDS; i++)
        calls += r->ring[i].second + 2 > second ? r->ring[i].calls : 0;
    return ((double)calls + 1) / (1 + seconds(now_ns % RF_SEC));
}

/* Where epochs follow each other closely, what was served since the last one counts, as soon as it
 * is enough to say something: the rate before that cut is history. */
static double later_estimate(const struct rf_rate *r, uint64_t now_ns)
{
    uint64_t served = r->served - r->served_at_cut;
    double span = seconds(now_ns - r->cut_ns);
    double idle = seconds(rf_min_u64(r->idle_ns, now_ns - r->cut_ns));
    double at_work = span - idle;
    bool stray = at_work >= STRAY_S && at_work <= STRAY_MOST_S && served >= STRAY_CALLS;
    if (r->epochs <= EARLY_EPOCHS || stray)
        span = at_work;
    if (r->epochs == 0 && r->ceil_per_s <= 0) {
        double all = accepted(r, 0, now_ns), newest = newest_estimate(r, now_ns);
        return all > newest ? all : newest;
    }
    if (r->epochs == 0 || span >= SPAN_S || served < FRESH_CALLS ||
        (double)served < FRESH_SHARE * r->per_s)
        return accepted(r, 0, now_ns);
    return ((double)served + 1) / span;
}

/* Refused before anything was served: nothing is known, not even a ceiling. */
static void start_blind(struct rf_rate *r, uint64_t now_ns)
{
    bool slower = r->phase == RF_RATE_LEARNED && r->per_s < BLIND_START;
    r->per_s = bound(r, slower ? r->per_s : BLIND_START);
    set_phase(r, RF_RATE_LEARNED, now_ns);
}

/* Refused after so few calls that their rate was the callers' and not the server's. */
static bool hardly_used(const struct rf_rate *r, uint64_t now_ns)
{
    return r->phase == RF_RATE_RAMP && served_of_late(r, now_ns) < EVIDENCE_CALLS;
}

static void start_low(struct rf_rate *r, uint64_t hint_ns, uint64_t now_ns)
{
    double per_s = CUT * first_estimate(r, hint_ns, now_ns);
    r->per_s = bound(r, per_s > LOW_START ? per_s : LOW_START);
    r->tat_ns = rf_max_u64(r->tat_ns, now_ns);
    set_phase(r, RF_RATE_LEARNED, now_ns);
}

static void cut(struct rf_rate *r, uint64_t hint_ns, uint64_t now_ns)
{
    bool unknown = r->phase == RF_RATE_RAMP || (r->phase == RF_RATE_OFF && r->max_per_s <= 0);
    double base = unknown ? first_estimate(r, hint_ns, now_ns)
                          : clamp(later_estimate(r, now_ns), CUT_MOST * r->per_s, r->per_s);
    double remembered = r->barren > 0 ? CEIL_KEEP * r->ceil_per_s : 0;
    r->ceil_per_s = bound(r, base > remembered ? base : remembered);
    r->per_s = bound(r, CUT * base);
    r->tat_ns = rf_max_u64(r->tat_ns, now_ns);
    set_phase(r, RF_RATE_LEARNED, now_ns);
}

static void begin_epoch(struct rf_rate *r, uint64_t hint_ns, uint64_t now_ns)
{
    if (r->served == 0) {
        start_blind(r, now_ns);
        return;
    }
    if (hardly_used(r, now_ns)) {
        start_low(r, hint_ns, now_ns);
        return;
    }
    bool barren = r->epochs > 0 && r->served == r->served_at_cut;
    r->barren = barren ? r->barren + 1 : 0;
    if (r->barren <= BARREN_MOST)
        cut(r, hint_ns, now_ns);
}

/* Whether nearly all that is configured was served in spite of the last two epochs. */
static bool near_max(const struct rf_rate *r, uint64_t now_ns)
{
    double since = (double)(r->served - r->served_at_cut_before);
    return r->max_per_s > 0 &&
           since >= NEAR_MAX * r->max_per_s * seconds(now_ns - r->cut_before_ns);
}

bool rf_rate_refused(struct rf_rate *r, uint64_t sent_ns, uint64_t hint_ns, uint64_t now_ns)
{
    uint64_t now = step_clock(r, now_ns);
    if (r->epochs > 0 && sent_ns <= r->cut_ns)
        return false;
    bool stray = r->epochs < 2 || now - r->cut_before_ns > ENGAGE_NS || near_max(r, now);
    grow(r, now);
    if (r->phase != RF_RATE_OFF || !stray)
        begin_epoch(r, hint_ns, now);
    r->epochs++;
    r->served_at_cut_before = r->served_at_cut;
    r->served_at_cut = r->served;
    r->cut_before_ns = r->cut_ns;
    r->idle_ns = 0;
    r->cut_ns = r->held_ns = now;
    return true;
}

void rf_rate_resume(struct rf_rate *r, uint64_t now_ns)
{
    uint64_t now = step_clock(r, now_ns);
    if (r->epochs > 0)
        r->idle_ns = rf_min_u64(now - r->cut_ns, IDLE_MOST_NS);
    r->held_ns = r->grown_ns = now;
    r->probing = r->phase == RF_RATE_LEARNED;
    r->tat_ns = rf_time_add(now, TOLERANCE_NS);
}

double rf_rate_per_s(const struct rf_rate *r)
{
    return paced(r) ? r->per_s : 0;
}

void rf_rate_cap(struct rf_rate *r, double max_per_s)
{
    if (!(max_per_s > 0) || (r->max_per_s > 0 && max_per_s >= r->max_per_s))
        return;
    double per_s = paced(r) ? r->per_s : max_per_s;
    r->max_per_s = max_per_s;
    r->capped = true;
    r->per_s = bound(r, per_s);
    r->ceil_per_s = r->ceil_per_s > max_per_s ? max_per_s : r->ceil_per_s;
    if (r->phase == RF_RATE_OFF)
        set_phase(r, RF_RATE_LEARNED, r->last_ns);
}

const char *rf_rate_phase_name(const struct rf_rate *r)
{
    static const char *const names[] = {"off", "ramp", "learned"};
    return names[r->phase];
}
