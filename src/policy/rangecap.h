/* rangecap.h - how many blocks an endpoint takes in one call of a method: learned from refusals and
 * from nothing else. One for each endpoint and class of methods. Called by core. Pure. */
#ifndef RF_POLICY_RANGECAP_H
#define RF_POLICY_RANGECAP_H

#include "base/base.h"

/** Set up by zeroing. */
struct rf_range_cap {
    uint64_t cap;           /* blocks to put into one call; 0: nothing is known */
    uint64_t proven;        /* the longest that passed, of what may still be sent */
    uint64_t refused;       /* the shortest that was refused; 0: none */
    uint64_t probe;         /* the length that rf_range_cap_probe() gave and that has not settled */
    bool told;              /* the cap is the server's own number: not probed above */
    uint32_t good;          /* calls of full length passed since the last change */
    uint64_t hold_until_ns; /* no probe before */
    uint64_t hold_ns;       /* the latest hold, doubling 10 min .. 6 h; 0: none yet */
    uint64_t refusals;      /* counted for ever, those for results included */
};

/** A refusal of a call for its range. */
struct rf_range_refusal {
    uint64_t tried;       /* blocks in it */
    uint64_t told_blocks; /* the cap in the server's text, or 0 */
    uint64_t told_len;    /* blocks in the range that the text suggests, or 0 */
    bool by_results; /* too many results, too large, too slow: about the data, not the length */
};

/**
 * It was refused. For its results: counted, and nothing is learned, for the next range holds other
 * data. For its length: the server's number is believed (one less where it is what was tried, for
 * some count the distance and not the blocks); without one the cap is half of what was tried, or
 * what has passed. A refusal of more than the cap teaches nothing more unless it tells a number.
 */
void rf_range_cap_refused(struct rf_range_cap *c, const struct rf_range_refusal *r,
                          uint64_t now_ns);

/** A call of `len` blocks was answered. */
void rf_range_cap_passed(struct rf_range_cap *c, uint64_t len);

/**
 * A length over the cap that is worth trying with one call now, 0 most of the time. Not a promise:
 * where that call settles without saying anything about its length, or never leaves, another one is
 * offered a minute later.
 */
uint64_t rf_range_cap_probe(struct rf_range_cap *c, uint64_t now_ns);

#endif
