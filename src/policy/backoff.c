/* backoff.c - full-jitter exponential backoff.
 *
 * Example, base 50 ms, cap 20 s: after the first failure a wait in [0, 50 ms], then [0, 100 ms],
 * [0, 200 ms], ..., from the ninth on [0, 12.8 s], then [0, 20 s].
 *
 * | constant           | value | why                                     |
 * |--------------------|-------|-----------------------------------------|
 * | RF_BACKOFF_BASE_NS | 50 ms | a transient failure                     |
 * | RF_BACKOFF_CAP_NS  | 20 s  | longer than any restart a call outlives |
 *
 * Source: "Exponential Backoff And Jitter", AWS architecture blog: full jitter costs the fewest
 * calls and needs no state. */
#include "policy/backoff.h"

uint64_t rf_backoff_full_jitter(uint64_t base_ns, uint64_t cap_ns, uint32_t k, struct rf_rng *rng)
{
    bool capped = k >= 64 || base_ns > cap_ns >> k;
    uint64_t most = capped ? cap_ns : base_ns << k;
    return rf_rng_below(rng, most < RF_NEVER ? most + 1 : most);
}
