/* breaker.c - a circuit breaker for one endpoint.
 *
 * Example: an endpoint refuses connections from 100.0 s on. The fifth refusal in a row, or the one
 * after it that is 1 s after the first, opens the breaker for 0.5 to 1 s. One probe goes out;
 * refused: open for 1 to 2 s, then 2 to 4 s, at most 30 to 60 s. The node returns: two probes in a
 * row succeed, the breaker closes, and 1, 2, 4, ... 512 requests may be in flight before the limit
 * is lifted.
 *
 * | constant          | value | why                                                            |
 * |-------------------|-------|----------------------------------------------------------------|
 * | RATIO_MIN_SAMPLES | 20    | in 10 s; 5 % of random errors trip 7 in 10^6 windows at 10 %   |
 * | STREAK_MAX        | 10    | failures in a row, of any kind                                 |
 * | CONNECT_MAX       | 5     | connect failures in a row, over CONNECT_SPAN_NS = 1 s          |
 * | WAIT_BASE_NS      | 1 s   | d_k = min(60 s, 1 s * 2^k); the wait is d_k/2 + U(0, d_k/2)    |
 * | WAIT_MAX_NS       | 60 s  | also how long closed until k is 0 again                        |
 * | PROBES_TO_CLOSE   | 2     | successes in half-open                                         |
 * | SLOW_START_END    | 1024  | slots at which the slow start is over                          |
 *
 * Sources: the exact counts in a ring of seconds are linkerd's; the lease is what keeps a probe
 * that never settles from holding half-open for ever, and the generation keeps answers to requests
 * of an earlier state from counting in this one. */
#include "policy/breaker.h"

#define RING RF_COUNT(((struct rf_breaker *)0)->ring)
#define RATIO_MIN_SAMPLES 20
#define STREAK_MAX 10
#define CONNECT_MAX 5
#define CONNECT_SPAN_NS (1 * RF_SEC)
#define WAIT_BASE_NS (1 * RF_SEC)
#define WAIT_MAX_NS (60 * RF_SEC)
#define WAIT_DOUBLINGS_MAX 6
#define PROBES_TO_CLOSE 2
#define SLOW_START_END 1024

void rf_breaker_init(struct rf_breaker *b, uint64_t now_ns)
{
    *b = (struct rf_breaker){.state = RF_BREAKER_CLOSED, .generation = 1, .closed_at_ns = now_ns};
}

static void forget_counts(struct rf_breaker *b)
{
    for (size_t i = 0; i < RING; i++)
        b->ring[i].ok = b->ring[i].fail = 0;
    b->streak = b->connect_streak = 0;
}

/* The only writer of `state`: permits of the state before it no longer count. */
static void set_state(struct rf_breaker *b, enum rf_breaker_state state, enum rf_breaker_why why)
{
    b->state = state;
    b->why = why;
    b->generation++;
    b->probe_until_ns = 0;
    b->probe_ok = 0;
    b->slow_start = 0;
}

static void open_up(struct rf_breaker *b, enum rf_breaker_why why, uint64_t now_ns,
                    struct rf_rng *rng)
{
    bool was_closed = b->state == RF_BREAKER_CLOSED;
    if (was_closed && rf_time_sub(now_ns, b->closed_at_ns) >= WAIT_MAX_NS)
        b->opened = 0;
    uint32_t k = b->opened < WAIT_DOUBLINGS_MAX ? b->opened : WAIT_DOUBLINGS_MAX;
    uint64_t d = rf_min_u64(WAIT_MAX_NS, WAIT_BASE_NS << k);
    b->opened_at_ns = now_ns;
    b->open_until_ns = rf_time_add(now_ns, d / 2 + rf_rng_below(rng, d / 2 + 1));
    if (b->opened < UINT32_MAX)
        b->opened++;
    if (was_closed)
        b->trips++;
    set_state(b, RF_BREAKER_OPEN, why);
}

static void close_up(struct rf_breaker *b, uint64_t now_ns)
{
    set_state(b, RF_BREAKER_CLOSED, RF_BREAKER_WHY_NONE);
    forget_counts(b);
    b->closed_at_ns = now_ns;
    b->slow_start = 1;
}

static void count(struct rf_breaker *b, bool ok, uint64_t now_ns)
{
    uint64_t second = now_ns / RF_SEC;
    size_t i = (size_t)(second % RING);
    if (b->ring[i].second != second) {
        b->ring[i].second = second;
        b->ring[i].ok = b->ring[i].fail = 0;
    }
    if (ok)
        b->ring[i].ok++;
    else
        b->ring[i].fail++;
}

static bool ratio_tripped(const struct rf_breaker *b, uint64_t now_ns)
{
    uint64_t ok = 0, fail = 0;
    for (size_t i = 0; i < RING; i++) {
        if (b->ring[i].second + RING <= now_ns / RF_SEC)
            continue;
        ok += b->ring[i].ok;
        fail += b->ring[i].fail;
    }
    return ok + fail >= RATIO_MIN_SAMPLES && fail >= ok;
}

static enum rf_breaker_why trip_reason(const struct rf_breaker *b, uint64_t now_ns)
{
    if (b->connect_streak >= CONNECT_MAX &&
        rf_time_sub(now_ns, b->connect_since_ns) >= CONNECT_SPAN_NS)
        return RF_BREAKER_WHY_CONNECT;
    if (b->streak >= STREAK_MAX)
        return RF_BREAKER_WHY_STREAK;
    return ratio_tripped(b, now_ns) ? RF_BREAKER_WHY_RATIO : RF_BREAKER_WHY_NONE;
}

static bool settle_closed(struct rf_breaker *b, enum rf_health health, uint64_t now_ns,
                          struct rf_rng *rng)
{
    bool ok = health == RF_HEALTH_OK;
    count(b, ok, now_ns);
    if (ok) {
        b->streak = b->connect_streak = 0;
        b->slow_start *= 2;
        if (b->slow_start >= SLOW_START_END)
            b->slow_start = 0;
    } else {
        b->streak++;
        b->connect_streak = health == RF_HEALTH_CONNECT_FAIL ? b->connect_streak + 1 : 0;
        if (b->connect_streak == 1)
            b->connect_since_ns = now_ns;
    }
    enum rf_breaker_why why = trip_reason(b, now_ns);
    if (why == RF_BREAKER_WHY_NONE)
        return false;
    open_up(b, why, now_ns, rng);
    return true;
}

static bool settle_probe(struct rf_breaker *b, enum rf_health health, uint64_t now_ns,
                         struct rf_rng *rng)
{
    b->probe_until_ns = 0;
    if (health != RF_HEALTH_OK) {
        open_up(b, RF_BREAKER_WHY_PROBE, now_ns, rng);
        return true;
    }
    b->probe_ok++;
    if (b->probe_ok < PROBES_TO_CLOSE)
        return false;
    close_up(b, now_ns);
    return true;
}

bool rf_breaker_ready(struct rf_breaker *b, uint64_t now_ns, uint64_t *wait_ns)
{
    *wait_ns = 0;
    switch (b->state) {
    case RF_BREAKER_CLOSED:
        return true;
    case RF_BREAKER_OPEN:
        if (now_ns < b->open_until_ns) {
            *wait_ns = rf_min_u64(b->open_until_ns - now_ns, WAIT_MAX_NS);
            return false;
        }
        set_state(b, RF_BREAKER_HALF_OPEN, b->why);
        return true;
    case RF_BREAKER_HALF_OPEN:
        if (b->probe_until_ns == 0)
            return true;
        if (now_ns < b->probe_until_ns) {
            *wait_ns = b->probe_until_ns - now_ns;
            return false;
        }
        b->probe_until_ns = 0;
        b->generation++; /* the probe that overran its lease must not settle the next one's */
        return true;
    }
    return false;
}

uint64_t rf_breaker_take(struct rf_breaker *b, uint64_t lease_ns, uint64_t now_ns)
{
    if (b->state == RF_BREAKER_HALF_OPEN)
        b->probe_until_ns = rf_max_u64(1, rf_time_add(now_ns, lease_ns));
    return b->generation;
}

bool rf_breaker_settle(struct rf_breaker *b, uint64_t generation, enum rf_health health,
                       uint64_t now_ns, struct rf_rng *rng)
{
    if (generation != b->generation || b->state == RF_BREAKER_OPEN)
        return false;
    if (health == RF_HEALTH_IGNORE) {
        b->probe_until_ns = 0;
        return false;
    }
    return b->state == RF_BREAKER_CLOSED ? settle_closed(b, health, now_ns, rng)
                                         : settle_probe(b, health, now_ns, rng);
}

uint32_t rf_breaker_slots(const struct rf_breaker *b)
{
    return b->slow_start > 0 ? b->slow_start : UINT32_MAX;
}

const char *rf_breaker_state_name(enum rf_breaker_state s)
{
    switch (s) {
    case RF_BREAKER_CLOSED:
        return "closed";
    case RF_BREAKER_OPEN:
        return "open";
    case RF_BREAKER_HALF_OPEN:
        return "half-open";
    }
    return "unknown";
}

const char *rf_breaker_why_text(enum rf_breaker_why w)
{
    switch (w) {
    case RF_BREAKER_WHY_NONE:
        return "none";
    case RF_BREAKER_WHY_RATIO:
        return "half or more of the requests of the last 10 s failed";
    case RF_BREAKER_WHY_CONNECT:
        return "it could not be connected to, 5 times in a row over 1 s or longer";
    case RF_BREAKER_WHY_STREAK:
        return "10 requests in a row failed";
    case RF_BREAKER_WHY_PROBE:
        return "a probe failed";
    }
    return "unknown";
}

void rf_breaker_hasten(struct rf_breaker *b)
{
    if (b->state == RF_BREAKER_OPEN)
        b->open_until_ns =
            rf_min_u64(b->open_until_ns, rf_time_add(b->opened_at_ns, RF_BREAKER_PANIC_NS));
}
