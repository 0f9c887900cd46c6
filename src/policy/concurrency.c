/* concurrency.c - the cap on HTTP requests in flight at one endpoint.
 *
 * Example, rate known: 200 requests/s, nine of ten answers within 120 ms: ceil(1.25 * 200 * 0.12) =
 * 30. More than that could only wait in the node's queue.
 * Example, rate unknown: 16 workers of 50 ms behind a network of 40 ms, at most 200 in flight. The
 * first ten answers take 65 ms on average, a guess. With 200 in flight they take 600 ms. After 3 s
 * the cap dips to 0.75 * 200 * 65 / 600 = 17: now answers take 90 ms, the time without a queue.
 * So of the 200 only 200 * 90 / 600 = 30 were at work; the cap becomes 30 + 4.5 * log10(30) = 36.
 * From there a window of a second moves it by log10(cap): up while fewer than 3 log10(cap) requests
 * queue, down from 6 on.
 *
 * | constant       | value   | why                                                              |
 * |----------------|---------|------------------------------------------------------------------|
 * | LITTLE_HEADROOM| 1.25    | over rate * p90: response times vary                             |
 * | LITTLE_LEAST   | 2       | one on its way while one is served                               |
 * | LITTLE_EVERY   | 5 s     | how often it is computed anew ...                                |
 * | LITTLE_RISE    | 1.1     | ... or at once, where the rate has grown by so much since        |
 * | WINDOW         | 1 s     | of samples, at least WINDOW_SAMPLES = 10 of them                 |
 * | FAST_GROWTH    | 6       | steps of log10(cap), where no more than one step queues          |
 * | QUEUE_WANTED   | 3       | steps: below it the cap grows by one                             |
 * | QUEUE_MOST     | 6       | steps: above it the cap shrinks by one                           |
 * | QUEUE_AIM      | 4.5     | steps on top of what fills the node, after a dip                 |
 * | QUEUE_HARMLESS | 10 ms   | a shorter wait is no reason to shrink: a fast node on the same   |
 * |                |         | machine is bound by its CPU and not by a queue worth speaking of |
 * | PROBE_SOON     | 3 s     | from the first guess to the first dip, and to the next dip after |
 * |                |         | one that showed less than DIP_LOWER = 0.9 of what was believed   |
 * | PROBE_LEAST    | 60 s    | between dips, and up to PROBE_SPREAD = 60 s more                 |
 * | SHRUNK_MOST    | 6       | windows that shrank in a row: dip now, the path may have changed |
 * | DIP_DEPTH      | 0.75    | of what fills the node: else a dip would learn its own queue     |
 * | DIP_MOST       | 10 s    | a dip ends, whatever was measured                                |
 *
 * Netflix' form takes the next loaded time for the unloaded one each 30 * cap updates, and so
 * learns its own queue. A dip to rate * time keeps all workers busy and empties the queue: in the
 * test the use of the node stays above 0.96 and the cap does not drift in an hour. */
#include "policy/concurrency.h"

#include <math.h>

#define LITTLE_HEADROOM 1.25
#define LITTLE_LEAST 2
#define LITTLE_EVERY_NS (5 * RF_SEC)
#define LITTLE_RISE 1.1
#define WINDOW_NS (1 * RF_SEC)
#define WINDOW_SAMPLES 10
#define FAST_GROWTH 6.0
#define QUEUE_WANTED 3.0
#define QUEUE_MOST 6.0
#define QUEUE_HARMLESS_NS ((double)(10 * RF_MS))
#define PROBE_SOON_NS (3 * RF_SEC)
#define PROBE_LEAST_NS (60 * RF_SEC)
#define PROBE_SPREAD_NS (60 * RF_SEC)
#define QUEUE_AIM 4.5
#define SHRUNK_MOST 6
#define DIP_DEPTH 0.75
#define DIP_LOWER 0.9
#define DIP_MOST_NS (10 * RF_SEC)
#define GOLDEN 0.6180339887498949

static double clamp(double v, double low, double high)
{
    return v < low ? low : v > high ? high : v;
}

static double bound(const struct rf_conc *c, double limit)
{
    return clamp(limit, 1, c->max);
}

static uint64_t step_clock(struct rf_conc *c, uint64_t now_ns)
{
    c->last_ns = rf_max_u64(c->last_ns, now_ns);
    return c->last_ns;
}

void rf_conc_init(struct rf_conc *c, uint32_t configured_max)
{
    *c = (struct rf_conc){.max = configured_max > 0 ? configured_max : 1};
    c->limit = c->max;
}

static void open_window(struct rf_conc *c, uint64_t now_ns)
{
    c->window_ns = now_ns;
    c->sum_ns = 0;
    c->n = c->busiest = 0;
    c->dropped = false;
}

/* Spread over PROBE_SPREAD without chance: multiples of the golden ratio fall evenly, so that
 * endpoints and rhythms of the load do not stay in step. */
static void schedule_probe(struct rf_conc *c, bool soon, uint64_t now_ns)
{
    double turn = GOLDEN * ++c->probes, part = turn - floor(turn);
    uint64_t after = PROBE_LEAST_NS + (uint64_t)(part * (double)PROBE_SPREAD_NS);
    c->probe_ns = rf_time_add(now_ns, soon ? PROBE_SOON_NS : after);
}

static bool limited(const struct rf_conc *c)
{
    return 2.0 * c->busiest >= c->limit;
}

static double step_of(double limit)
{
    double step = log10(limit);
    return step > 1 ? step : 1;
}

/* Lower the limit to somewhat less than what fills the node's workers, as far as is known, and
 * measure what is sent after the queue of before has drained. */
static void dip(struct rf_conc *c, double mean_ns, uint64_t now_ns)
{
    c->dipped = true;
    c->before = c->limit;
    c->before_ns = mean_ns;
    c->limit = bound(c, ceil(DIP_DEPTH * c->limit * c->noload_ns / mean_ns));
    c->since_ns = rf_time_add(now_ns, (uint64_t)mean_ns);
}

/* The dip is over. Where it shows much less than was believed, the dip was not deep enough, and the
 * next follows soon. By Little's law the limit of before, less the part of its time that was spent
 * in the queue, fills the node; a short queue comes on top. Where the time is as long as it was,
 * there was no queue: the path or the work has become slower. */
static void rise(struct rf_conc *c, double mean_ns, uint64_t now_ns)
{
    c->dipped = false;
    c->since_ns = now_ns;
    c->limit = c->before;
    bool lower = mean_ns < DIP_LOWER * c->noload_ns;
    schedule_probe(c, lower, now_ns);
    if (mean_ns <= 0)
        return; /* only drops: nothing was measured */
    c->noload_ns = mean_ns;
    if (c->before_ns - mean_ns < QUEUE_HARMLESS_NS)
        return;
    double filled = c->before * mean_ns / c->before_ns;
    double wanted = filled + QUEUE_AIM * step_of(filled);
    c->limit = bound(c, wanted < c->before ? wanted : c->before);
}

/* One step of Vegas: the queue that a window's mean time stands for, against what is wanted. */
static void adapt(struct rf_conc *c, double mean_ns)
{
    double step = step_of(c->limit), slower_ns = mean_ns - c->noload_ns;
    double queued = ceil(c->limit * slower_ns / mean_ns);
    bool shrink = queued > QUEUE_MOST * step && slower_ns >= QUEUE_HARMLESS_NS;
    c->shrunk = shrink ? c->shrunk + 1 : 0;
    if (shrink)
        c->limit -= step;
    else if (queued <= step)
        c->limit += FAST_GROWTH * step;
    else if (queued < QUEUE_WANTED * step)
        c->limit += step;
    c->limit = bound(c, c->limit);
}

static void close_window(struct rf_conc *c, uint64_t now_ns)
{
    double mean_ns = c->n > 0 ? c->sum_ns / c->n : 0;
    if (c->dipped) {
        rise(c, mean_ns, now_ns);
    } else if (c->dropped) {
        c->limit = bound(c, c->limit - step_of(c->limit));
    } else {
        if (mean_ns < c->noload_ns)
            c->noload_ns = mean_ns;
        bool due = now_ns >= c->probe_ns || c->shrunk >= SHRUNK_MOST;
        if (limited(c) && due && mean_ns - c->noload_ns >= QUEUE_HARMLESS_NS)
            dip(c, mean_ns, now_ns);
        else if (limited(c))
            adapt(c, mean_ns);
    }
    open_window(c, now_ns);
}

static bool window_full(const struct rf_conc *c, uint64_t now_ns)
{
    uint64_t begun_ns = rf_max_u64(c->window_ns, c->since_ns);
    uint64_t age_ns = rf_time_sub(now_ns, begun_ns);
    if (c->dipped)
        return age_ns >= DIP_MOST_NS || (age_ns >= WINDOW_NS && c->n >= WINDOW_SAMPLES);
    return age_ns >= WINDOW_NS && (c->n >= WINDOW_SAMPLES || c->dropped);
}

/* The very first answers had no queue before them, whatever the limit: a first guess. */
static void guess_noload(struct rf_conc *c, uint64_t now_ns)
{
    if (c->noload_ns > 0 || c->n < WINDOW_SAMPLES)
        return;
    c->noload_ns = c->sum_ns / c->n;
    schedule_probe(c, true, now_ns);
    open_window(c, now_ns);
}

void rf_conc_sample(struct rf_conc *c, uint64_t rtt_ns, uint32_t in_flight, bool dropped,
                    uint64_t now_ns)
{
    uint64_t now = step_clock(c, now_ns);
    c->busiest = in_flight > c->busiest ? in_flight : c->busiest;
    if (dropped) {
        c->dropped = true;
    } else if (rf_time_sub(now, rtt_ns) >= c->since_ns) {
        c->sum_ns += rtt_ns > 0 ? (double)rtt_ns : 1;
        c->n++;
    }
    guess_noload(c, now);
    if (window_full(c, now))
        close_window(c, now);
}

/* A rate that rises is followed at once: it is not to be held down by a cap of some seconds ago. */
static uint32_t little(struct rf_conc *c, double rate_per_s, uint64_t rtt_ns, uint64_t now_ns)
{
    bool fresh = c->little > 0 && now_ns - c->little_ns < LITTLE_EVERY_NS;
    if (fresh && rate_per_s <= LITTLE_RISE * c->little_rate)
        return c->little;
    double need = ceil(LITTLE_HEADROOM * rate_per_s * (double)rtt_ns / (double)RF_SEC);
    double least = LITTLE_LEAST < c->max ? LITTLE_LEAST : c->max;
    c->little = (uint32_t)clamp(need, least, c->max);
    c->little_rate = rate_per_s;
    c->little_ns = now_ns;
    return c->little;
}

uint32_t rf_conc_limit(struct rf_conc *c, double rate_per_s, uint64_t rtt_p90_ns, uint64_t now_ns)
{
    uint64_t now = step_clock(c, now_ns);
    if (!(rate_per_s > 0)) {
        c->little = 0;
        return (uint32_t)c->limit;
    }
    if (rtt_p90_ns == 0)
        return c->max;
    return little(c, rate_per_s, rtt_p90_ns, now);
}
