/* vlimit.h - the limiters of virtual providers: fixed window, sliding log, token bucket, cap on what
 * runs at once; counting calls, requests or credits, for all methods or for some, together or each
 * by itself. Several nodes may share one: an account. The tests measure the core against these, so
 * each admits exactly what its definition allows (tests/unit/sim/test_vlimit.c). Pure. */
#ifndef RF_SIM_VLIMIT_H
#define RF_SIM_VLIMIT_H

#include "base/base.h"

enum rf_vlimit_kind {
    RF_VLIMIT_NONE,
    RF_VLIMIT_FIXED,     /* `count` in each [k*W - phase, (k+1)*W - phase) */
    RF_VLIMIT_SLIDING,   /* `count` in every [t, t + W) */
    RF_VLIMIT_BUCKET,    /* burst + count/W * t in any time t; full at the start */
    RF_VLIMIT_CONCURRENT /* `count` at once */
};

enum rf_vlimit_unit {
    RF_VUNIT_CALLS,    /* each member of a batch counts */
    RF_VUNIT_REQUESTS, /* a batch counts once */
    RF_VUNIT_CREDITS   /* each call counts as its method's weight */
};

/** From `at_ns` on, the limit is `count`. */
struct rf_vlimit_step {
    uint64_t at_ns, count;
};

/** Something admitted: when it came (sliding) or when it ends (concurrent), and its units. */
struct rf_vlimit_entry {
    uint64_t at_ns, units;
};

/** The books of one window: of all methods, or of one. */
struct rf_vlimit_book {
    char method[64]; /* "": of all */
    uint64_t window, used; /* fixed: number of the window, units in it */
    uint64_t level, at_ns; /* bucket: tokens times window_ns; when that was so */
    struct rf_vlimit_entry *entry; /* owned ring */
    uint64_t head, n, cap, sum;
};

#define RF_VLIMIT_BOOKS 32

/** Zero it, set the first part, use it; then rf_vlimit_fini(). */
struct rf_vlimit {
    enum rf_vlimit_kind kind;
    uint64_t count, window_ns;
    uint64_t phase_ns; /* fixed: the edges lie so much before the multiples of window_ns */
    uint64_t burst;    /* bucket: 0: `count` */
    enum rf_vlimit_unit unit;
    const char *methods; /* a name, or a prefix with a trailing `*`; NULL: all */
    bool each;           /* every method that it covers has a window of its own */
    bool charge_refused; /* what is refused counts all the same */
    const struct rf_vlimit_step *step; /* borrowed, in order of time */
    uint32_t n_steps;
    /* state and counters */
    struct rf_vlimit_book *book; /* owned array */
    uint32_t n_books;
    uint64_t now_ns; /* the latest time seen: an earlier one counts as this */
    uint64_t admitted, refused; /* units */
};

/** What is asked for. */
struct rf_vask {
    const char *method;
    size_t method_len;
    uint32_t calls;
    uint64_t weight; /* of one call, in credits */
};

/** Whether the limit has a say in this. */
bool rf_vlimit_covers(const struct rf_vlimit *l, const struct rf_vask *ask);
/** The limit in force at a time. */
uint64_t rf_vlimit_count(const struct rf_vlimit *l, uint64_t now_ns);
/** Whether it would be admitted now. Changes nothing that later answers depend on. */
bool rf_vlimit_fits(struct rf_vlimit *l, const struct rf_vask *ask, uint64_t now_ns);
/**
 * Take what fits.
 * @param until_ns  concurrent: when the work ends.
 */
void rf_vlimit_take(struct rf_vlimit *l, const struct rf_vask *ask, uint64_t now_ns,
                    uint64_t until_ns);
/** Book a refusal: counted, and charged where the limit is of that kind. */
void rf_vlimit_refuse(struct rf_vlimit *l, const struct rf_vask *ask, uint64_t now_ns);
/** From now until it would fit if nothing else came; 0: now; RF_NEVER: never. */
uint64_t rf_vlimit_wait(struct rf_vlimit *l, const struct rf_vask *ask, uint64_t now_ns);
/** Units that would fit now. */
uint64_t rf_vlimit_left(struct rf_vlimit *l, const struct rf_vask *ask, uint64_t now_ns);
/** Free what it owns. */
void rf_vlimit_fini(struct rf_vlimit *l);

#endif
