/* admit.h - how long a call submitted now would take, as far as that is known: so that one that
 * would surely miss its deadline is refused at once instead of after it.
 *
 * Called by the core on submit, once for each network. It errs on the side of admitting: what it
 * lets in and cannot make it is dropped when its turn comes (core/pump.c). Pure; zero-initialised
 * is valid: nothing known. */
#ifndef RF_POLICY_ADMIT_H
#define RF_POLICY_ADMIT_H

#include "base/base.h"

#define RF_ADMIT_SECONDS 10

struct rf_admit {
    uint64_t second;                  /* number of the newest one in the ring */
    uint32_t count[RF_ADMIT_SECONDS]; /* calls answered, by second % RF_ADMIT_SECONDS */
    bool waiting;                     /* calls were waiting at the last look ... */
    uint64_t waiting_since_ns;        /* ... and at each one since then */
};

/** Calls of the network were answered, results and errors of the node alike. Not those that the
 * client ended itself. */
void rf_admit_answered(struct rf_admit *a, uint32_t calls, uint64_t now_ns);
/**
 * How many calls wait, at the end of each step: answers per second are a measure of what can be
 * served only while there is always something to serve. Without it no rate is learned, and only
 * `rate_per_s` counts.
 */
void rf_admit_backlog(struct rf_admit *a, uint64_t queued_calls, uint64_t now_ns);
/**
 * The time from now to its answer of a call submitted now.
 * @param queued_calls  those that go before it.
 * @param rate_per_s    calls a second that may leave now: the sum of the rates in force. Of a long
 *                      window with quota left that is the pacer's rate and not count / window.
 *                      0: unknown; then a rate counts that answers have shown for 10 s of backlog.
 * @param rtt_p50_ns    median time of an answer; 0: unknown.
 * @return ns, rather too short than too long; 0 where nothing waits or no rate is known.
 */
uint64_t rf_admit_wait(const struct rf_admit *a, uint64_t queued_calls, double rate_per_s,
                       uint64_t rtt_p50_ns, uint64_t now_ns);

#endif
