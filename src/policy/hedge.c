/* hedge.c - the delay of a hedge and the bucket that pays for it.
 *
 * Example: percent 5, and of the last samples 95 in 100 took at most 109 ms. A call that has no
 * answer after 109 ms is hedged: 5 calls in 100 are, and each call sent earns 0.05 of a token, so
 * the bucket just about pays for all of them. In a brownout where 30 in 100 are slow, it pays for 5
 * of those 30 until, within a minute, the quantile has risen.
 *
 * | constant              | value  | why                                                     |
 * |-----------------------|--------|---------------------------------------------------------|
 * | SPAN_NS               | 30 s   | of each of the pair: old samples leave within a minute  |
 * | REFRESH_NS            | 3 s    | as in Finagle                                           |
 * | SAMPLES_MIN           | 100    | below, the tail is not known                            |
 * | RF_HEDGE_DELAY_MIN_NS | 10 ms  | below, timers and turns are what is measured            |
 * | CAP                   | 10.00  | tokens: a short burst of slow calls is hedged in full   |
 * | COST                  | 1.00   | token a hedge                                           |
 *
 * No tokens at the start and none by time: hedges <= percent of the calls sent, at every moment.
 * Source: Dean and Barroso, "The Tail at Scale"; Finagle's BackupRequestFilter. */
#include "policy/hedge.h"

#include <string.h>

#include "base/mem.h"

#define SPAN_NS (30 * RF_SEC)
#define REFRESH_NS (3 * RF_SEC)
#define SAMPLES_MIN 100
#define CAP 1000 /* hundredths */
#define COST 100 /* hundredths */

bool rf_hedge_init(struct rf_hedge *h, uint32_t percent)
{
    *h = (struct rf_hedge){.percent = percent < 100 ? percent : 100, .delay_ns = RF_NEVER};
    if (percent == 0)
        return true;
    h->pair = rf_alloc(2 * sizeof h->pair[0]);
    return h->pair != NULL;
}

void rf_hedge_fini(struct rf_hedge *h)
{
    rf_free(h->pair);
    h->pair = NULL;
}

void rf_hedge_primary(struct rf_hedge *h)
{
    uint32_t sum = h->hundredths + h->percent;
    h->hundredths = sum < CAP ? sum : CAP;
}

/* Begin the other of the pair where the one that fills is full; both where both are old. */
static void rotate(struct rf_hedge *h, uint64_t now_ns)
{
    uint64_t age = rf_time_sub(now_ns, h->began_ns);
    if (age < SPAN_NS)
        return;
    if (age >= 2 * SPAN_NS)
        memset(&h->pair[h->filling], 0, sizeof h->pair[0]);
    h->filling ^= 1;
    memset(&h->pair[h->filling], 0, sizeof h->pair[0]);
    h->began_ns = now_ns;
}

void rf_hedge_sample(struct rf_hedge *h, uint64_t latency_ns, uint64_t now_ns)
{
    if (h->pair == NULL)
        return;
    rotate(h, now_ns);
    rf_hist_add(&h->pair[h->filling], latency_ns);
}

/* Of both together. No bucket can overflow: that takes 2^32 samples in a minute. */
static uint64_t quantile(const struct rf_hedge *h)
{
    struct rf_hist sum = h->pair[0];
    const struct rf_hist *other = &h->pair[1];
    for (unsigned i = 0; i < RF_HIST_BUCKETS; i++)
        sum.bucket[i] += other->bucket[i];
    sum.n += other->n;
    sum.max_ns = rf_max_u64(sum.max_ns, other->max_ns);
    return rf_hist_quantile(&sum, 1000 - 10 * h->percent);
}

uint64_t rf_hedge_delay(struct rf_hedge *h, uint64_t now_ns)
{
    if (h->pair == NULL)
        return RF_NEVER;
    rotate(h, now_ns);
    bool enough = h->pair[0].n + h->pair[1].n >= SAMPLES_MIN;
    bool known = h->delay_ns != RF_NEVER;
    if (known ? rf_time_sub(now_ns, h->quantile_ns) < REFRESH_NS : !enough)
        return h->delay_ns;
    h->quantile_ns = now_ns;
    h->delay_ns = enough ? rf_max_u64(quantile(h), RF_HEDGE_DELAY_MIN_NS) : RF_NEVER;
    return h->delay_ns;
}

bool rf_hedge_take(struct rf_hedge *h)
{
    if (h->pair == NULL)
        return false;
    if (h->hundredths < COST) {
        h->denied++;
        return false;
    }
    h->hundredths -= COST;
    h->granted++;
    return true;
}
