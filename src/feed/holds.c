/* holds.c - a sorted row of slots with counts. New ones are mostly the highest. Where the row is
 * full the two lowest become one, at the lower slot: the watermark waits longer, never less. What
 * was counted at a slot that is gone is taken from the next lower one. */
#include "feed/holds.h"

#include <string.h>

/* The first that is not lower than `slot`. */
static uint32_t find(const struct rf_holds *h, uint64_t slot)
{
    uint32_t lo = 0, hi = h->n;
    if (h->n > 0 && h->at[h->n - 1].slot < slot)
        return h->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (h->at[mid].slot < slot)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void take_out(struct rf_holds *h, uint32_t i)
{
    h->n--;
    memmove(&h->at[i], &h->at[i + 1], (h->n - i) * sizeof h->at[0]);
}

void rf_holds_add(struct rf_holds *h, uint64_t slot)
{
    uint32_t i = find(h, slot);
    if (i < h->n && h->at[i].slot == slot) {
        h->at[i].count++;
        return;
    }
    if (h->n == RF_HOLDS) {
        if (i == 0) { /* the lowest of all: it stands for the one that was */
            h->at[0].slot = slot;
            h->at[0].count++;
            return;
        }
        h->at[0].count += h->at[1].count;
        take_out(h, 1);
        i = i > 1 ? i - 1 : 1;
    }
    memmove(&h->at[i + 1], &h->at[i], (h->n - i) * sizeof h->at[0]);
    h->at[i].slot = slot;
    h->at[i].count = 1;
    h->n++;
}

void rf_holds_remove(struct rf_holds *h, uint64_t slot)
{
    uint32_t i = find(h, slot);
    if (i == h->n || h->at[i].slot != slot) {
        if (i == 0)
            return;
        i--;
    }
    if (--h->at[i].count == 0)
        take_out(h, i);
}

uint64_t rf_holds_min(const struct rf_holds *h)
{
    return h->n == 0 ? RF_NEVER : h->at[0].slot;
}
