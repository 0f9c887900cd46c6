/* concurrency.h - the cap on HTTP requests in flight at one endpoint.
 *
 * Source: Little's law where a rate is known; TCP Vegas (Brakmo and Peterson, 1995) in the form of
 * Netflix' concurrency-limits where none is, with another way to measure the unloaded time.
 * Called by core/endpoint. Pure: time is an argument. */
#ifndef RF_POLICY_CONCURRENCY_H
#define RF_POLICY_CONCURRENCY_H

#include "base/base.h"

/** Set up with rf_conc_init(); no other memory. */
struct rf_conc {
    uint32_t max;
    double limit;     /* what the response times allow; 1 .. max */
    double noload_ns; /* mean response time without a queue; 0: not known */
    uint64_t last_ns; /* the latest time seen: an earlier one counts as this */
    /* the window of samples that is being filled */
    uint64_t window_ns; /* when it began */
    uint64_t since_ns;  /* samples of exchanges sent before do not count */
    double sum_ns;
    uint32_t n;
    uint32_t busiest; /* most in flight */
    bool dropped;
    /* looking for noload_ns again */
    bool dipped;       /* the limit is lowered until this window has been measured */
    double before;     /* the limit before that ... */
    double before_ns;  /* ... and the mean time under it */
    uint32_t shrunk;   /* windows in a row that shrank the limit */
    uint64_t probe_ns; /* when to look next */
    uint32_t probes;   /* counted for ever */
    /* Little's law */
    uint32_t little;    /* 0: not computed yet */
    double little_rate; /* exchanges/s it was computed from */
    uint64_t little_ns; /* when */
};

/** Set up. Begins at the maximum: a slow node shrinks it. @param configured_max at least 1. */
void rf_conc_init(struct rf_conc *c, uint32_t configured_max);
/**
 * One exchange ended: it succeeded, or was dropped. Never one that was canceled or throttled.
 * @param rtt_ns     from its sending to its end.
 * @param in_flight  exchanges in flight just before it ended, itself included.
 * @param dropped    it timed out, or the node said that it is overloaded (503, 504).
 */
void rf_conc_sample(struct rf_conc *c, uint64_t rtt_ns, uint32_t in_flight, bool dropped,
                    uint64_t now_ns);
/**
 * How many exchanges may be in flight.
 * @param rate_per_s  the exchanges a second that are allowed for; 0: not known.
 * @param rtt_p90_ns  nine of ten answers take at most that; 0: none came yet.
 * @return 1 .. configured_max; in the case of a known rate at least 2, where the maximum allows.
 */
uint32_t rf_conc_limit(struct rf_conc *c, double rate_per_s, uint64_t rtt_p90_ns, uint64_t now_ns);

#endif
