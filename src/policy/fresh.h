/* fresh.h - which endpoints of a network are at the tip: their heads, the network's best head, and
 * who lags. Called by core (settle: what answers say; pump: whom to ask; status). Pure.
 *
 * It ranks and never forbids: where no endpoint of those that can be used passes, because all lag
 * or the block is nowhere yet, the caller ignores freshness and asks as if it knew nothing. */
#ifndef RF_POLICY_FRESH_H
#define RF_POLICY_FRESH_H

#include "base/base.h"

/** Endpoints of a network: bits of a mask. */
#define RF_FRESH_EPS 64
/** Steps of the best head that are remembered, half a second apart at least. */
#define RF_FRESH_RING 64
/** A jump of the head beyond this needs a witness. */
#define RF_FRESH_WILD 10000
/** Between two probes of an endpoint, and the age from which an answer is worth a probe. */
#define RF_FRESH_PROBE_NS (2 * RF_SEC)
/** What was seen longer ago than this says nothing of now. */
#define RF_FRESH_STALE_NS (60 * RF_SEC)

/** The best head reached `head` at `at_ns`. */
struct rf_fresh_mark {
    uint64_t head, at_ns;
};

/** What one endpoint said. */
struct rf_fresh_ep {
    uint64_t head;        /* its latest answer, which may be below an earlier one */
    uint64_t max;         /* its highest */
    uint64_t at_ns;       /* when the latest answer was asked for: it is as new as that at least */
    uint64_t lag;         /* blocks behind the best of that moment, or as the node itself said */
    uint64_t rose_ns;     /* its latest rise by a plausible step; counts where `risen` */
    uint64_t probe_ns;    /* its latest probe; counts where `probed` */
    uint64_t regressions; /* answers more than lag_max below the one before; counted for ever */
    bool known;           /* it told a head */
    bool told;            /* the lag is its own word */
    bool risen, probed;
};

/** Heads of the endpoints of one network. Fields are private but for status and tests. */
struct rf_fresh {
    struct rf_fresh_ep ep[RF_FRESH_EPS];
    struct rf_fresh_mark ring[RF_FRESH_RING]; /* rising in both; ring[newest] is the best */
    uint32_t n, lag_max;
    uint32_t ring_n, newest;
    uint64_t best;
    uint64_t rose_ns;  /* when the best head came to be */
    uint64_t miss_ns;  /* latest answer below the best */
    uint64_t under_ns; /* first answer below the best since it was last met; RF_NEVER: none */
    uint64_t late;     /* bits of endpoints whose lag exceeds lag_max */
    uint32_t holder;   /* who told the best first */
    bool any;          /* there is a best head */
    bool backed;       /* a second endpoint stands near the best */
    bool risen;        /* the best came by a plausible step, and not by a first word or a jump */
    bool holder_under; /* the holder itself is among those who answered below it */
};

/**
 * Set up, nothing known.
 * @param n        endpoints, at most RF_FRESH_EPS; every `ep` below is less.
 * @param lag_max  blocks or slots behind the best that are no lag yet.
 */
void rf_fresh_init(struct rf_fresh *f, uint32_t n, uint32_t lag_max);

/**
 * An endpoint told its head.
 * @param sent_ns  when it was asked; it lags only if it is below what the network had by then, so
 *                 that a slow answer is not taken for an old one. A lower head that was asked for
 *                 before the latest answer was overtaken on its way, and says nothing.
 * @param now_ns   when it answered; may stand still, must not go back.
 */
void rf_fresh_answered(struct rf_fresh *f, uint32_t ep, uint64_t head, uint64_t sent_ns,
                       uint64_t now_ns);
/** As rf_fresh_answered(), asked for and answered now. */
void rf_fresh_seen(struct rf_fresh *f, uint32_t ep, uint64_t head, uint64_t now_ns);
/**
 * An endpoint has block `at`, whatever its head is. It counts for rf_fresh_has(), and as a head
 * only where it reaches the best: an answer about an old block is no lag. Times as in
 * rf_fresh_answered().
 */
void rf_fresh_floor(struct rf_fresh *f, uint32_t ep, uint64_t at, uint64_t sent_ns,
                    uint64_t now_ns);
/**
 * A node said that it lags, or that a wanted block is not there, although the best head has reached
 * it (the caller checks that: a block that nobody has is no lag). Holds until it tells a head.
 * @param behind  blocks, as the node says; 0: unknown, taken as just over lag_max.
 */
void rf_fresh_behind(struct rf_fresh *f, uint32_t ep, uint64_t behind, uint64_t now_ns);

/**
 * Those of `mask` that surely or possibly have block `at`: it is not above their highest head; or
 * nothing is known of them; or, as much behind the best as they were when seen last, they would
 * have it; or their head can have come that far since, at twice the rate of the best head and one
 * block more after 2 s (any number where the rate is unknown); or they were seen over 60 s ago.
 */
uint64_t rf_fresh_has(const struct rf_fresh *f, uint64_t mask, uint64_t at, uint64_t now_ns);
/** Bits of the endpoints that lagged by more than lag_max when seen last, at most 60 s ago: nobody
 * lags because he was not asked. */
uint64_t rf_fresh_lagging(const struct rf_fresh *f, uint64_t now_ns);
/** Bits of the lagging endpoints that are to be asked for their head now: not seen and not probed
 * for 2 s. Counts them as probed. */
uint64_t rf_fresh_probe(struct rf_fresh *f, uint64_t now_ns);
/** When rf_fresh_probe() will have something to say: `now_ns` where it has; RF_NEVER: not as things
 * stand. */
uint64_t rf_fresh_next_probe(const struct rf_fresh *f, uint64_t now_ns);

/** The network's best head; 0: unknown. */
uint64_t rf_fresh_best(const struct rf_fresh *f);
/** An endpoint's head by its latest answer; 0: unknown. */
uint64_t rf_fresh_head(const struct rf_fresh *f, uint32_t ep);
/** How far it lagged when seen last; 0: not at all, or unknown. */
uint64_t rf_fresh_lag(const struct rf_fresh *f, uint32_t ep);

#endif
