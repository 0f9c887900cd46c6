/* latency.h - what is known of an endpoint's response times: a peak-sensitive EWMA for choosing
 * between endpoints, and a log-linear histogram for quantiles. Pure. */
#ifndef RF_POLICY_LATENCY_H
#define RF_POLICY_LATENCY_H

#include "base/base.h"

#define RF_PEAK_TAU_NS (10 * RF_SEC)
#define RF_PEAK_INITIAL_NS (30 * RF_MS)
#define RF_PEAK_PENALTY_NS (5 * RF_SEC)

/** Peak EWMA: a higher sample replaces the value, a lower one pulls it down with time constant tau.
 * Zero-initialised: no sample yet. */
struct rf_peak {
    double value_ns;
    uint64_t at_ns;
    bool any;
};

/** A sample. Samples not later than the last are dropped. */
void rf_peak_add(struct rf_peak *p, uint64_t sample_ns, uint64_t now_ns);
/** A failure: counts as max(5 s, hint up to 300 s, current); never dropped, also not where a sample
 * of the same time came first. @param hint_ns 0 or RF_NEVER: none. */
void rf_peak_penalty(struct rf_peak *p, uint64_t hint_ns, uint64_t now_ns);
/** The value now, decayed; RF_PEAK_INITIAL_NS before any sample. */
double rf_peak_value(const struct rf_peak *p, uint64_t now_ns);

#define RF_HIST_BUCKETS 512

/** Counts in buckets of 1/8 octave from 1 us up: quantiles at most 13 % too high, never too low. */
struct rf_hist {
    uint64_t n;
    uint64_t max_ns;
    uint32_t bucket[RF_HIST_BUCKETS];
};

/** Count a sample. */
void rf_hist_add(struct rf_hist *h, uint64_t sample_ns);
/** The value below which a share of the samples lie, in ns; 0 where there are none.
 * @param permille  0 to 1000, such as 990 for p99. */
uint64_t rf_hist_quantile(const struct rf_hist *h, unsigned permille);

#endif
