/* batch_pace.c - how many calls are under way at once. */
#include "cli/batch_pace.h"

void rf_pace_init(struct rf_pace *p, uint32_t max, uint64_t deadline_ns)
{
    *p = (struct rf_pace){.max = max,
                          .allowed = max < RF_PACE_START ? max : RF_PACE_START,
                          .grow_ns = deadline_ns / RF_PACE_GROW_PART,
                          .shrink_ns = deadline_ns / RF_PACE_SHRINK_PART};
}

void rf_pace_answered(struct rf_pace *p, uint64_t latency_ns, size_t bytes, bool late)
{
    p->average += bytes;
    p->average -= p->average / 64;
    if (p->hold > 0)
        p->hold--;
    if (late && p->hold == 0) {
        p->hold = p->allowed;
        p->allowed = p->allowed > 1 ? p->allowed / 2 : 1;
    } else if (!late && latency_ns <= p->grow_ns && p->allowed < p->max) {
        p->allowed++;
    } else if (!late && latency_ns > p->shrink_ns && p->allowed > 1) {
        p->allowed--;
    }
}

bool rf_pace_allows(const struct rf_pace *p, uint32_t waiting, uint64_t held, uint64_t most)
{
    if (waiting == 0 && held == 0)
        return true;
    return waiting < p->allowed && held + (p->average / 64) * waiting < most;
}
