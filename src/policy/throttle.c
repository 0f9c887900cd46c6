/* throttle.c - what a 429 does to an endpoint: one pause, and one step a throttle epoch.
 *
 * Example: 14 calls are in flight when the server starts to throttle. The first 429 at 10.0 s, with
 * "Retry-After: 2", begins an epoch and pauses the endpoint until 12.0 to 12.2 s. The other 13 were
 * sent before 10.0 s: same epoch, no further step; one of them that says 5 s moves the pause on.
 *
 * | constant         | value | why                                                 |
 * |------------------|-------|-----------------------------------------------------|
 * | BASE_NS          | 1 s   | no hint: full jitter from here ...                  |
 * | RF_BACKOFF_CAP_NS| 20 s  | ... to here, doubling with the streak               |
 * | SPREAD_MAX_NS    | 1 s   | clients told the same second do not come back as one |
 *
 * Source: the epoch rule of TCP's congestion response (one cut a round trip, RFC 6582's `recover`),
 * which botocore's adaptive mode lacks and therefore collapses without. */
#include "policy/throttle.h"

#include "policy/backoff.h"
#include "policy/hints.h"

#define BASE_NS (1 * RF_SEC)
#define SPREAD_MAX_NS (1 * RF_SEC)

static void pause_until(struct rf_throttle *t, uint64_t at_ns)
{
    t->paused_until_ns = rf_max_u64(t->paused_until_ns, at_ns);
}

static uint64_t hinted_wait(uint64_t hint_ns, struct rf_rng *rng)
{
    uint64_t hint = rf_min_u64(hint_ns, RF_RETRY_AFTER_MAX_NS);
    return hint + rf_rng_below(rng, rf_min_u64(SPREAD_MAX_NS, hint / 10) + 1);
}

bool rf_throttle_refused(struct rf_throttle *t, uint64_t sent_ns, uint64_t hint_ns, uint32_t calls,
                         uint64_t now_ns, struct rf_rng *rng)
{
    t->refused += calls;
    bool hinted = hint_ns != RF_NEVER && hint_ns > 0;
    if (t->epochs > 0 && sent_ns <= t->last_epoch_ns) {
        if (hinted)
            pause_until(t, rf_time_add(now_ns, hinted_wait(hint_ns, rng)));
        return false;
    }
    uint64_t wait = hinted ? hinted_wait(hint_ns, rng)
                           : rf_backoff_full_jitter(BASE_NS, RF_BACKOFF_CAP_NS, t->streak, rng);
    pause_until(t, rf_time_add(now_ns, wait));
    t->last_epoch_ns = now_ns;
    t->epochs++;
    if (t->streak < UINT32_MAX)
        t->streak++;
    return true;
}

void rf_throttle_served(struct rf_throttle *t, uint64_t sent_ns)
{
    if (sent_ns > t->last_epoch_ns)
        t->streak = 0;
}

void rf_throttle_pause(struct rf_throttle *t, uint64_t for_ns, uint64_t now_ns)
{
    pause_until(t, rf_time_add(now_ns, rf_min_u64(for_ns, RF_RETRY_AFTER_MAX_NS)));
}
