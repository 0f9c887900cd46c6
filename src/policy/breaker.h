/* breaker.h - a circuit breaker for one endpoint. CLOSED counts exactly in a ring of 10 x 1 s; OPEN
 * waits; HALF-OPEN lets one leased probe through at a time. Throttles never come here.
 * Called by core/endpoint. Pure. */
#ifndef RF_POLICY_BREAKER_H
#define RF_POLICY_BREAKER_H

#include "base/base.h"
#include "base/rng.h"

/** The longest open interval while no other endpoint can serve. */
#define RF_BREAKER_PANIC_NS (5 * RF_SEC)

enum rf_breaker_state { RF_BREAKER_CLOSED, RF_BREAKER_OPEN, RF_BREAKER_HALF_OPEN };

/** What an exchange said about the endpoint's health. */
enum rf_health {
    RF_HEALTH_OK,
    RF_HEALTH_FAIL,
    RF_HEALTH_CONNECT_FAIL, /* never reached */
    RF_HEALTH_IGNORE        /* throttled, canceled, local: returns the permit, says nothing */
};

/** Why it opened; static text through rf_breaker_why(). */
enum rf_breaker_why {
    RF_BREAKER_WHY_NONE,
    RF_BREAKER_WHY_RATIO,   /* >= 50 % of >= 20 in 10 s */
    RF_BREAKER_WHY_CONNECT, /* 5 connect failures in a row over >= 1 s */
    RF_BREAKER_WHY_STREAK,  /* 10 failures in a row */
    RF_BREAKER_WHY_PROBE    /* a half-open probe failed */
};

struct rf_breaker {
    enum rf_breaker_state state;
    enum rf_breaker_why why;
    uint64_t generation; /* permits of older generations are ignored when settled */
    uint64_t opened_at_ns, open_until_ns;
    uint64_t probe_until_ns; /* half-open: the lease of the running probe; 0: none runs */
    uint64_t closed_at_ns;
    uint32_t opened;   /* k: how often in a row */
    uint32_t probe_ok; /* successes in half-open */
    uint32_t streak, connect_streak;
    uint64_t connect_since_ns;
    uint32_t slow_start; /* after closing: slots allowed, doubling per success; 0: no limit */
    struct {
        uint64_t second;
        uint32_t ok, fail;
    } ring[10];
    uint64_t trips; /* closed to open; counted for ever */
};

/** Set up, closed. */
void rf_breaker_init(struct rf_breaker *b, uint64_t now_ns);
/**
 * Whether an exchange could be sent now. Moves OPEN to HALF-OPEN when its time has come, and takes
 * an expired probe lease back.
 * @param wait_ns  out, where false: ns until it could change by itself; RF_NEVER: not by itself.
 */
bool rf_breaker_ready(struct rf_breaker *b, uint64_t now_ns, uint64_t *wait_ns);
/**
 * Take a permit; only right after rf_breaker_ready() said true.
 * @param lease_ns  half-open: how long the probe may take (attempt timeout + 1 s).
 * @return the generation to settle with.
 */
uint64_t rf_breaker_take(struct rf_breaker *b, uint64_t lease_ns, uint64_t now_ns);
/** Settle a permit exactly once. @return true where the state changed. */
bool rf_breaker_settle(struct rf_breaker *b, uint64_t generation, enum rf_health health,
                       uint64_t now_ns, struct rf_rng *rng);
/** With nobody else to ask, wait no longer than RF_BREAKER_PANIC_NS from its opening to the probe.
 */
void rf_breaker_hasten(struct rf_breaker *b);
/** Slots the slow start allows now; UINT32_MAX: no limit. */
uint32_t rf_breaker_slots(const struct rf_breaker *b);
/** "closed", "open" or "half-open". */
const char *rf_breaker_state_name(enum rf_breaker_state s);
/** Why it opened, in words. */
const char *rf_breaker_why_text(enum rf_breaker_why w);

#endif
