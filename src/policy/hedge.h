/* hedge.h - when a second try of a slow read goes out, and how many of them may. Off by default.
 *
 * Called by the core, one for each class of a network. The core also sees to what is not asked
 * here: only reads, one hedge a call, another endpoint with room and an empty queue, and a token of
 * the retry budget. Pure; allocates in rf_hedge_init() only, and only where hedging is on. */
#ifndef RF_POLICY_HEDGE_H
#define RF_POLICY_HEDGE_H

#include "policy/latency.h"

#define RF_HEDGE_DELAY_MIN_NS (10 * RF_MS)

struct rf_hedge {
    struct rf_hist *pair; /* owned, two: one fills, the other holds the time before; NULL: off */
    uint32_t filling;     /* which of the two */
    uint32_t percent;     /* of calls that may be hedged */
    uint32_t hundredths;  /* of a token */
    uint64_t began_ns;    /* when the one that fills was begun */
    uint64_t quantile_ns; /* when delay_ns was worked out */
    uint64_t delay_ns;    /* RF_NEVER: not known */
    uint64_t granted, denied; /* counted for ever */
};

/**
 * Set up, with no tokens and no samples.
 * @param percent  hedges in 100 calls at the most; over 100 counts as 100; 0: off, and every other
 *                 function does nothing then.
 * @return false when out of memory; `h` is off then, and valid. Allocates: 4 KiB where it is on.
 */
bool rf_hedge_init(struct rf_hedge *h, uint32_t percent);
/** Free the memory; off afterwards. */
void rf_hedge_fini(struct rf_hedge *h);
/** A call was sent for the first time: earns percent/100 of a token, up to 10 tokens in all. */
void rf_hedge_primary(struct rf_hedge *h);
/**
 * A first try ended, with an answer or by its timeout. Count it also where its hedge was faster:
 * leaving out the slow ones pulls the quantile down, and the delay with it, until the bucket is
 * empty when it matters (measured: a p99.9 of 1,337 ms instead of 217).
 * @param latency_ns  from send to end, of the first try alone.
 */
void rf_hedge_sample(struct rf_hedge *h, uint64_t latency_ns, uint64_t now_ns);
/**
 * How long after its send a call is slow: the quantile 1 - percent/100 of the last 30 to 60 s,
 * worked out anew each 3 s, at least 10 ms.
 * @return ns; RF_NEVER where it is off or fewer than 100 samples are known.
 */
uint64_t rf_hedge_delay(struct rf_hedge *h, uint64_t now_ns);
/**
 * Ask for one hedge, after everything else has agreed: what was taken cannot be given back.
 * @return false: denied, and counted (not counted where it is off). The call itself goes on.
 */
bool rf_hedge_take(struct rf_hedge *h);

#endif
