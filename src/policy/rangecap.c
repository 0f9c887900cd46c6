/* rangecap.c - learns how many blocks an endpoint takes in one call.
 *
 * Example: a server takes 10,000 blocks and does not say so. A call of 100,000 is refused: the cap
 * is 50,000, then 25,000, 12,500, 6,250, which passes. After 50 calls of that length one call of
 * 7,812 is tried, then one of 9,765; then 11,132 (half-way to the 12,500 that was refused) is
 * refused, and nothing is tried for 10 minutes. A server that says "limited to a 10,000 range"
 * costs one refusal. "More than 10000 results" changes nothing here.
 *
 * | constant    | value  | why                                                                 |
 * |-------------|--------|---------------------------------------------------------------------|
 * | GOOD_MIN    | 50     | calls of full length passed before the next step up                 |
 * | STEP        | 1/4    | of the cap, a step up; half-way to what was refused where that is less |
 * | PROBE_NS    | 1 min  | a probe that has not settled by then is forgotten                   |
 * | HOLD_MIN_NS | 10 min | no step up after one was refused; doubles ...                       |
 * | HOLD_MAX_NS | 6 h    | ... to here, and starts again after a step that passed              |
 *
 * Source: as batchcap.c. A range cap needs no trial at the start: until something is refused there
 * is no cap, and each call goes as it came. */
#include "policy/rangecap.h"

#define GOOD_MIN 50
#define STEP 4
#define PROBE_NS (60 * RF_SEC)
#define HOLD_MIN_NS (600 * RF_SEC)
#define HOLD_MAX_NS (6 * 3600 * RF_SEC)

static void set_cap(struct rf_range_cap *c, uint64_t cap, bool told)
{
    c->cap = rf_max_u64(cap, 1);
    c->told = told;
    c->proven = rf_min_u64(c->proven, c->cap);
    c->probe = 0;
    c->good = 0;
}

static void hold(struct rf_range_cap *c, uint64_t now_ns)
{
    c->hold_ns = c->hold_ns == 0 ? HOLD_MIN_NS : rf_min_u64(HOLD_MAX_NS, c->hold_ns * 2);
    c->hold_until_ns = rf_time_add(now_ns, c->hold_ns);
    c->probe = 0;
    c->good = 0;
}

/* The number in the text, the lower one of two; 0 where it says nothing about what was tried. */
static uint64_t read_told(const struct rf_range_refusal *r)
{
    uint64_t told = r->told_blocks;
    if (told == 0 || (r->told_len > 0 && r->told_len < told))
        told = r->told_len;
    if (told > r->tried)
        return 0;
    return told == r->tried ? told - 1 : told;
}

void rf_range_cap_refused(struct rf_range_cap *c, const struct rf_range_refusal *r, uint64_t now_ns)
{
    c->refusals++;
    if (r->by_results || r->tried <= 1)
        return;
    uint64_t told = read_told(r);
    if (c->refused == 0 || r->tried < c->refused)
        c->refused = r->tried;
    if (r->tried == c->probe)
        hold(c, now_ns);
    if (told > 0) {
        if (c->cap == 0 || !c->told || told < c->cap)
            set_cap(c, told, true);
        return;
    }
    if (c->cap > 0 && r->tried > c->cap)
        return;
    if (r->tried <= c->proven)
        c->proven = 0; /* the server has changed: what was proven is not */
    set_cap(c, rf_max_u64(r->tried / 2, c->proven), false);
}

void rf_range_cap_passed(struct rf_range_cap *c, uint64_t len)
{
    if (len == c->probe && len > 0) {
        set_cap(c, len, false);
        c->hold_ns = 0;
        c->hold_until_ns = 0;
    }
    if (c->cap > 0 && len > c->cap)
        return; /* sent before the cap was cut: it says nothing about now */
    c->proven = rf_max_u64(c->proven, len);
    if (c->refused > 0 && len >= c->refused)
        c->refused = 0;
    if (c->cap > 0 && len == c->cap && c->good < GOOD_MIN)
        c->good++;
}

uint64_t rf_range_cap_probe(struct rf_range_cap *c, uint64_t now_ns)
{
    if (c->cap == 0 || c->told || c->good < GOOD_MIN || now_ns < c->hold_until_ns)
        return 0;
    uint64_t step = rf_max_u64(c->cap / STEP, 1);
    if (c->refused > c->cap + 1)
        step = rf_min_u64(step, (c->refused - c->cap) / 2);
    if (step > UINT64_MAX - c->cap)
        return 0;
    c->probe = c->cap + step;
    c->hold_until_ns = rf_time_add(now_ns, PROBE_NS);
    return c->probe;
}
