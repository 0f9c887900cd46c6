/* node_limit.c - the limits a provider enforces, exactly.
 *
 * fixed:   N units in each window; windows follow one another from the first request on.
 * sliding: N units in every interval of length W: a ring of N admission times.
 * bucket:  holds N units, refills N in W.
 * Example, 100/10s after a burst of 100 at t=0: fixed and sliding wait until 10 s for the next one,
 * a bucket 0.1 s. */
#include "sim/node_limit.h"

#include <math.h>

static void refresh_fixed(struct rf_node_limit *l, uint64_t now_ns)
{
    if (l->start_ns == 0)
        l->start_ns = now_ns;
    uint64_t windows = (now_ns - l->start_ns) / l->window_ns;
    if (windows > 0) {
        l->start_ns += windows * l->window_ns;
        l->used = 0;
    }
}

static void refresh_sliding(struct rf_node_limit *l, uint64_t now_ns)
{
    while (l->n > 0 && now_ns - l->stamp[l->head] >= l->window_ns) {
        l->head = l->head + 1 == l->count ? 0 : l->head + 1;
        l->n--;
    }
}

static void refresh_bucket(struct rf_node_limit *l, uint64_t now_ns)
{
    if (l->filled_ns != 0) {
        double gained = (double)(now_ns - l->filled_ns) * (double)l->count / (double)l->window_ns;
        l->tokens = fmin(l->tokens + gained, (double)l->count);
    }
    l->filled_ns = now_ns;
}

uint64_t rf_node_limit_room(struct rf_node_limit *l, uint64_t now_ns)
{
    switch (l->kind) {
    case RF_LIMIT_FIXED:
        refresh_fixed(l, now_ns);
        return l->count - l->used;
    case RF_LIMIT_SLIDING:
        refresh_sliding(l, now_ns);
        return l->count - l->n;
    case RF_LIMIT_BUCKET:
        refresh_bucket(l, now_ns);
        return (uint64_t)l->tokens;
    }
    return 0;
}

void rf_node_limit_take(struct rf_node_limit *l, uint64_t units, uint64_t now_ns)
{
    units = rf_min_u64(units, rf_node_limit_room(l, now_ns));
    switch (l->kind) {
    case RF_LIMIT_FIXED:
        l->used += units;
        break;
    case RF_LIMIT_SLIDING:
        for (; units > 0; units--)
            l->stamp[(l->head + l->n++) % l->count] = now_ns;
        break;
    case RF_LIMIT_BUCKET:
        l->tokens -= (double)units;
        break;
    }
}

uint64_t rf_node_limit_wait(struct rf_node_limit *l, uint64_t units, uint64_t now_ns)
{
    uint64_t room = rf_node_limit_room(l, now_ns);
    if (units <= room)
        return 0;
    if (units > l->count)
        return RF_NEVER;
    switch (l->kind) {
    case RF_LIMIT_FIXED:
        return l->start_ns + l->window_ns - now_ns;
    case RF_LIMIT_SLIDING:
        return l->stamp[(l->head + (units - room) - 1) % l->count] + l->window_ns - now_ns;
    case RF_LIMIT_BUCKET:
        return (uint64_t)ceil(((double)units - l->tokens) * (double)l->window_ns /
                              (double)l->count);
    }
    return RF_NEVER;
}
