/* batchcap.h - how many calls and bytes an endpoint takes in one batch: learned from refusals and
 * from nothing else.
 *
 * A size that no batch has passed with yet is sent by one batch at a time (a trial); everything
 * else keeps to the proven size meanwhile. So a refusal costs one request, not one for each slot.
 * Called by core/pump and core/settle. Pure. */
#ifndef RF_POLICY_BATCHCAP_H
#define RF_POLICY_BATCHCAP_H

#include "base/base.h"

struct rf_batchcap {
    uint32_t max;       /* configured */
    uint32_t limit;     /* largest size that is worth trying now; 1: no batches */
    uint32_t proven;    /* largest size that passed (1 at the start) */
    uint32_t refused;   /* smallest size that was refused; 0: none */
    bool trial;         /* a batch that tries something unproven is under way */
    bool told;          /* the limit is the server's own number: not probed above while it holds */
    bool probing;       /* `limit` was raised, and no batch of that size has settled yet */
    uint32_t good;      /* batches full by count, passed since the last change */
    uint64_t max_bytes; /* configured */
    uint64_t limit_bytes;
    uint64_t proven_bytes, refused_bytes;
    bool told_bytes, probing_bytes; /* as told and probing */
    uint32_t good_bytes;            /* batches full by bytes, passed since the last change */
    uint64_t hold_until_ns;         /* no upward probe before */
    uint64_t hold_ns;               /* the next hold, doubling 10 min .. 6 h */
    uint64_t refusals;              /* counted for ever */
};

/** Set up. @param max >= 1; 1: never batch. */
void rf_batchcap_init(struct rf_batchcap *c, uint32_t max, uint64_t max_bytes);
/** The most calls the next batch may have: `limit`, or the proven size while a trial is under way.
 */
uint32_t rf_batchcap_now(const struct rf_batchcap *c);
/** The most body bytes it may have (a single call may always go). */
uint64_t rf_batchcap_bytes(const struct rf_batchcap *c);
/** A request of `n` calls leaves, n <= rf_batchcap_now().
 * @return true where it is a trial; hand that back when it settles. */
bool rf_batchcap_sent(struct rf_batchcap *c, uint32_t n);
/** It was accepted as a batch, whatever became of its members. */
void rf_batchcap_passed(struct rf_batchcap *c, uint32_t n, uint64_t bytes, bool trial,
                        uint64_t now_ns);
/** A refusal of a request for its size. */
struct rf_batch_refusal {
    uint32_t n;          /* calls in it */
    uint64_t bytes;      /* of its body */
    bool trial;          /* as rf_batchcap_sent() said */
    uint32_t told_n;     /* the number in the server's text, or 0 */
    uint64_t told_bytes; /* the byte cap in the server's text, or 0 */
    bool by_bytes;       /* it is about bytes (413, "too large"), not about the count */
};

/**
 * It was refused for its size. A refusal of a batch that is over what was learned since it was sent
 * teaches nothing more. One for its bytes, where the byte cap is at its floor already, is taken as
 * one for its count.
 */
void rf_batchcap_refused(struct rf_batchcap *c, const struct rf_batch_refusal *r, uint64_t now_ns);
/** It ended without saying anything about its size (timeout, reset, 429, 5xx). */
void rf_batchcap_unknown(struct rf_batchcap *c, bool trial);

/** What an earlier client learned: a limit to begin with, probed upward as any. 0: not known. */
void rf_batchcap_learned(struct rf_batchcap *c, uint64_t n, uint64_t bytes);

#endif
