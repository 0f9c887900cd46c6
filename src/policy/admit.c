/* admit.c - admission by predicted wait.
 *
 * Example: 50 calls a second are in force, 120 wait, answers take 80 ms. A call submitted now is
 * predicted to wait 120 / (1.1 * 50) = 2.18 s and to be answered after 2.26 s; with a deadline of
 * 2 s it is refused. Behind 100 calls it is 1.90 s: admitted, and in truth 2.08 s, so that its turn
 * comes too late. A tenth too many are let in, and none is refused that would have made it.
 *
 * | constant         | value | why                                                            |
 * |------------------|-------|----------------------------------------------------------------|
 * | HEADROOM         | 1.1   | rates are rounded, windows slide, callers cancel               |
 * | RF_ADMIT_SECONDS | 10    | of backlog before answers say what can be served               |
 * | BEST_SECONDS     | 3     | the best 3 s in a row of these count: a rate that rises is     |
 * |                  |       | believed after 3 s, one that falls after 10                    |
 * | STEADY           | 2     | where the best 3 s are over twice the mean, it is no rate      |
 * | ANSWERS_MIN      | 20    | in the 10 s; fewer say nothing                                 |
 *
 * What it cannot know: under tenfold load one call in ten is answered whoever is refused, so of the
 * refused, too, about one in ten would have been answered in the place of another.
 *
 * Source: Little's law. */
#include "policy/admit.h"

#include <math.h>

#define HEADROOM 1.1
#define BEST_SECONDS 3
#define STEADY 2
#define ANSWERS_MIN 20

void rf_admit_answered(struct rf_admit *a, uint32_t calls, uint64_t now_ns)
{
    uint64_t second = rf_max_u64(now_ns / RF_SEC, a->second);
    uint64_t passed = rf_min_u64(second - a->second, RF_ADMIT_SECONDS);
    for (uint64_t i = 0; i < passed; i++)
        a->count[(second - i) % RF_ADMIT_SECONDS] = 0;
    a->second = second;
    uint32_t *count = &a->count[second % RF_ADMIT_SECONDS];
    *count = calls < UINT32_MAX - *count ? *count + calls : UINT32_MAX;
}

void rf_admit_backlog(struct rf_admit *a, uint64_t queued_calls, uint64_t now_ns)
{
    bool waiting = queued_calls > 0;
    if (waiting && !a->waiting)
        a->waiting_since_ns = now_ns;
    a->waiting = waiting;
}

static uint64_t answers_in(const struct rf_admit *a, uint64_t second)
{
    bool held = second <= a->second && a->second - second < RF_ADMIT_SECONDS;
    return held ? a->count[second % RF_ADMIT_SECONDS] : 0;
}

/* Calls a second that answers have shown under a backlog of 10 s; 0: they show none. The second
 * that runs is left out: it is not over. */
static double shown_rate(const struct rf_admit *a, uint64_t now_ns)
{
    if (!a->waiting || rf_time_sub(now_ns, a->waiting_since_ns) < RF_ADMIT_SECONDS * RF_SEC)
        return 0;
    uint64_t now_s = rf_max_u64(now_ns / RF_SEC, a->second);
    uint64_t sum = 0, best = 0, last = 0;
    for (uint64_t age = 1; age < RF_ADMIT_SECONDS && age <= now_s; age++) {
        uint64_t n = answers_in(a, now_s - age);
        sum += n;
        last += n;
        if (age > BEST_SECONDS)
            last -= answers_in(a, now_s - age + BEST_SECONDS);
        best = rf_max_u64(best, last);
    }
    if (sum < ANSWERS_MIN || best * (RF_ADMIT_SECONDS - 1) > sum * BEST_SECONDS * STEADY)
        return 0;
    return (double)best / BEST_SECONDS;
}

uint64_t rf_admit_wait(const struct rf_admit *a, uint64_t queued_calls, double rate_per_s,
                       uint64_t rtt_p50_ns, uint64_t now_ns)
{
    double rate = shown_rate(a, now_ns);
    if (isfinite(rate_per_s) && rate_per_s > rate)
        rate = rate_per_s;
    if (queued_calls == 0 || rate <= 0)
        return 0;
    double wait_s = (double)queued_calls / (rate * HEADROOM);
    if (wait_s >= (double)(RF_NEVER / RF_SEC))
        return RF_NEVER;
    return rf_time_add((uint64_t)(wait_s * (double)RF_SEC), rtt_p50_ns);
}
