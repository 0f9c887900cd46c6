/* fresh.c - heads of the endpoints of one network, the best head, and who lags behind it.
 *
 * Example (lag_max 3): A says 100 at 10.0 s and 106 at 80.0 s. B said 100 at 10.1 s and was not
 * asked since: it does not lag, for at 10.1 s the best was 100, and it may well have block 106. At
 * 81.0 s B says 101: now it lags by 5, has not got block 106, and is to be probed from 83.0 s on.
 * At 83.1 s the probe says 106: B is back.
 *
 * What counts as the best head. Nodes lie (another chain's URL, a wrong unit, 2^60), and chains
 * start again (a development node). So
 *  1. A head up to WILD above the best raises it: who goes ahead step by step is believed.
 *  2. A head further above is wild. It counts where another endpoint, seen in the last 60 s,
 *     stands near it or above; or where no other was seen in that time, so that nobody contradicts
 *     (one endpoint, or an idle client); or where the best has stood still for 60 s while the wild
 *     one rose step by step: then it is the best that is stuck.
 *  3. A best that only one endpoint stands behind falls at once to a head further than WILD below
 *     it where enough contradict: one, if the best was a first word or a jump and has not risen
 *     since; two, if it has. So the first liar is believed only until another endpoint speaks.
 *  4. A best that nobody meets while answers below it keep coming (no minute without) falls to
 *     what is seen: after 60 s where the one that told it says less itself, which is a chain that
 *     started again; after 600 s otherwise, for that is most likely a lagging endpoint that is
 *     probed while the good one is idle.
 * Two endpoints further apart than WILD from the first moment cannot be told apart: the lower one
 * is taken, nobody lags, and rule 2 settles it once one of them stands still.
 *
 * | constant          | value  | why                                                            |
 * |-------------------|--------|----------------------------------------------------------------|
 * | RF_FRESH_WILD     | 10,000 | blocks: over an hour of Solana, a day and a half of Ethereum   |
 * | RF_FRESH_STALE_NS | 60 s   | what a witness's word is good for; also ends a lag unproved    |
 * | FALL_NS           | 60 s   | a chain that started again                                     |
 * | ABANDON_NS        | 600 s  | a best head whose teller is gone                               |
 * | RF_FRESH_PROBE_NS | 2 s    | one small request each while it lags: no load, and soon enough |
 * | SPACING_NS        | 500 ms | 64 marks then reach back 31 s at least, past any usual timeout |
 *
 * Source: lag against the best of the time of observation, not of now, after the way load balancers
 * for nodes rank by height; the ring makes it work for endpoints that are asked rarely. */
#include "policy/fresh.h"

#define FALL_NS (60 * RF_SEC)
#define ABANDON_NS (600 * RF_SEC)
#define SPACING_NS (500 * RF_MS)
#define RATE_SPAN_NS (2 * RF_SEC) /* the ring must reach back so far for a rate */

static uint64_t bit(uint32_t ep)
{
    return UINT64_C(1) << ep;
}

static bool recent(const struct rf_fresh_ep *e, uint64_t now_ns)
{
    return rf_time_sub(now_ns, e->at_ns) <= RF_FRESH_STALE_NS;
}

void rf_fresh_init(struct rf_fresh *f, uint32_t n, uint32_t lag_max)
{
    *f = (struct rf_fresh){.n = n, .lag_max = lag_max, .under_ns = RF_NEVER};
}

static void set_lag(struct rf_fresh *f, uint32_t ep, uint64_t lag)
{
    f->ep[ep].lag = lag;
    if (lag > f->lag_max)
        f->late |= bit(ep);
    else
        f->late &= ~bit(ep);
}

/* The mark `back` steps before the newest. */
static const struct rf_fresh_mark *mark_at(const struct rf_fresh *f, uint32_t back)
{
    return &f->ring[(f->newest + RF_FRESH_RING - back) % RF_FRESH_RING];
}

/* A new best head. The newest mark is always exact; the ones before keep their distance, so that a
 * fast chain does not push the past out. */
static void push(struct rf_fresh *f, uint64_t head, uint64_t now_ns)
{
    bool close = f->ring_n >= 2 && mark_at(f, 0)->at_ns - mark_at(f, 1)->at_ns < SPACING_NS;
    if (!close) {
        f->newest = (f->newest + 1) % RF_FRESH_RING;
        f->ring_n += f->ring_n < RF_FRESH_RING ? 1 : 0;
    }
    f->ring[f->newest] = (struct rf_fresh_mark){head, now_ns};
}

/* The best head that was surely known by then; 0 where the ring does not reach back so far. */
static uint64_t best_at(const struct rf_fresh *f, uint64_t at_ns)
{
    for (uint32_t back = 0; back < f->ring_n; back++) {
        if (mark_at(f, back)->at_ns <= at_ns)
            return mark_at(f, back)->head;
    }
    return 0;
}

/* The time from one block to the next; 0 where it is not known. */
static uint64_t block_ns(const struct rf_fresh *f)
{
    if (f->ring_n < 2)
        return 0;
    const struct rf_fresh_mark *first = mark_at(f, f->ring_n - 1), *last = mark_at(f, 0);
    uint64_t span = rf_time_sub(last->at_ns, first->at_ns);
    if (span < RATE_SPAN_NS)
        return 0;
    return rf_max_u64(1, span / (last->head - first->head));
}

/* Begin anew from one answer: what was compared with the old best is void. */
static void adopt(struct rf_fresh *f, uint32_t ep, uint64_t head, uint64_t now_ns)
{
    bool falls = f->any && head < f->best;
    for (uint32_t i = 0; i < f->n; i++) {
        if (falls)
            f->ep[i].max = f->ep[i].head;
        if (!f->ep[i].told)
            set_lag(f, i, 0);
    }
    f->any = true;
    f->best = head;
    f->rose_ns = now_ns;
    f->under_ns = RF_NEVER;
    f->holder = ep;
    f->backed = f->risen = f->holder_under = false;
    f->ring_n = 0;
    push(f, head, now_ns);
}

enum jury { JURY_ABSENT, JURY_FOR, JURY_AGAINST };

/* What the others, seen lately, say to a wild head. */
static enum jury ask_others(const struct rf_fresh *f, uint32_t ep, uint64_t head, uint64_t now_ns)
{
    enum jury verdict = JURY_ABSENT;
    for (uint32_t i = 0; i < f->n; i++) {
        const struct rf_fresh_ep *e = &f->ep[i];
        if (i == ep || !e->known || !recent(e, now_ns))
            continue;
        if (e->head >= head - RF_FRESH_WILD)
            return JURY_FOR;
        verdict = JURY_AGAINST;
    }
    return verdict;
}

/* The best stands still while this endpoint goes on. */
static bool outlives(const struct rf_fresh *f, uint32_t ep, uint64_t now_ns)
{
    const struct rf_fresh_ep *e = &f->ep[ep];
    return rf_time_sub(now_ns, f->rose_ns) > RF_FRESH_STALE_NS && e->risen &&
           rf_time_sub(now_ns, e->rose_ns) <= RF_FRESH_STALE_NS;
}

/* An answer not below the best. */
static void meet(struct rf_fresh *f, uint32_t ep, uint64_t head, uint64_t now_ns)
{
    bool jump = head - f->best > RF_FRESH_WILD;
    enum jury jury = jump ? ask_others(f, ep, head, now_ns) : JURY_ABSENT;
    bool outlived = jury == JURY_AGAINST && outlives(f, ep, now_ns);
    if (jury == JURY_AGAINST && !outlived)
        return;
    f->under_ns = RF_NEVER;
    if (jump) {
        f->backed = jury == JURY_FOR;
        f->ring_n = 0; /* a jump is no rate, and no measure for those who were seen before */
    } else if (ep != f->holder) {
        f->backed = true;
    }
    if (head == f->best)
        return;
    f->risen = !jump || outlived;
    f->best = head;
    f->holder = ep;
    f->rose_ns = now_ns;
    push(f, head, now_ns);
}

/* How many, seen lately, are so far below the best that they are on another chain or it is. */
static uint32_t count_against(const struct rf_fresh *f, uint64_t now_ns)
{
    uint32_t against = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        const struct rf_fresh_ep *e = &f->ep[i];
        if (e->known && recent(e, now_ns) && e->head < f->best && f->best - e->head > RF_FRESH_WILD)
            against++;
    }
    return against;
}

/* An answer below the best. */
static void miss(struct rf_fresh *f, uint32_t ep, uint64_t head, uint64_t now_ns)
{
    if (f->best - head <= RF_FRESH_WILD)
        f->backed |= ep != f->holder;
    else if (!f->backed && count_against(f, now_ns) > (f->risen ? 1 : 0)) {
        adopt(f, ep, head, now_ns);
        return;
    }
    if (f->under_ns == RF_NEVER || rf_time_sub(now_ns, f->miss_ns) > RF_FRESH_STALE_NS) {
        f->under_ns = now_ns;
        f->holder_under = false;
    }
    f->miss_ns = now_ns;
    f->holder_under |= ep == f->holder;
    if (rf_time_sub(now_ns, f->under_ns) >= (f->holder_under ? FALL_NS : ABANDON_NS))
        adopt(f, ep, head, now_ns);
}

static void judge(struct rf_fresh *f, uint32_t ep, uint64_t head, uint64_t now_ns)
{
    if (!f->any)
        adopt(f, ep, head, now_ns);
    else if (head >= f->best)
        meet(f, ep, head, now_ns);
    else
        miss(f, ep, head, now_ns);
    if (!f->ep[ep].told) {
        uint64_t best = best_at(f, f->ep[ep].at_ns);
        set_lag(f, ep, best > head ? best - head : 0);
    }
}

void rf_fresh_answered(struct rf_fresh *f, uint32_t ep, uint64_t head, uint64_t sent_ns,
                       uint64_t now_ns)
{
    struct rf_fresh_ep *e = &f->ep[ep];
    sent_ns = rf_min_u64(sent_ns, now_ns);
    if (e->known && head < e->head) {
        if (sent_ns < e->at_ns)
            return;
        e->regressions += e->head - head > f->lag_max;
    } else if (e->known && head > e->head && head - e->head <= RF_FRESH_WILD) {
        e->risen = true;
        e->rose_ns = now_ns;
    }
    if (sent_ns >= e->at_ns)
        e->told = false;
    e->known = true;
    e->head = head;
    e->max = rf_max_u64(e->max, head);
    e->at_ns = rf_max_u64(e->at_ns, sent_ns);
    judge(f, ep, head, now_ns);
}

void rf_fresh_seen(struct rf_fresh *f, uint32_t ep, uint64_t head, uint64_t now_ns)
{
    rf_fresh_answered(f, ep, head, now_ns, now_ns);
}

void rf_fresh_floor(struct rf_fresh *f, uint32_t ep, uint64_t at, uint64_t sent_ns, uint64_t now_ns)
{
    f->ep[ep].max = rf_max_u64(f->ep[ep].max, at);
    if (f->any && at >= f->best)
        rf_fresh_answered(f, ep, at, sent_ns, now_ns);
}

void rf_fresh_behind(struct rf_fresh *f, uint32_t ep, uint64_t behind, uint64_t now_ns)
{
    struct rf_fresh_ep *e = &f->ep[ep];
    e->told = true;
    e->at_ns = rf_max_u64(e->at_ns, now_ns);
    set_lag(f, ep, behind > 0 ? behind : (uint64_t)f->lag_max + 1);
}

/* Whether an endpoint's head, which was below `at`, can have come so far. */
static bool can_have(const struct rf_fresh *f, const struct rf_fresh_ep *e, uint64_t at,
                     uint64_t now_ns)
{
    uint64_t age = rf_time_sub(now_ns, e->at_ns);
    if (!e->known || age > RF_FRESH_STALE_NS)
        return true;
    if (f->best > e->lag && f->best - e->lag >= at)
        return true;
    uint64_t block = block_ns(f);
    if (block == 0)
        return age >= RF_FRESH_PROBE_NS;
    return at - e->max <= 2 * age / block + (age >= RF_FRESH_PROBE_NS ? 1 : 0);
}

uint64_t rf_fresh_has(const struct rf_fresh *f, uint64_t mask, uint64_t at, uint64_t now_ns)
{
    uint64_t has = mask;
    for (uint32_t i = 0; i < f->n; i++) {
        const struct rf_fresh_ep *e = &f->ep[i];
        if ((mask & bit(i)) != 0 && e->max < at && !can_have(f, e, at, now_ns))
            has &= ~bit(i);
    }
    return has;
}

uint64_t rf_fresh_lagging(const struct rf_fresh *f, uint64_t now_ns)
{
    uint64_t lagging = f->late;
    for (uint64_t left = f->late; left != 0; left &= left - 1) {
        if (!recent(&f->ep[__builtin_ctzll(left)], now_ns))
            lagging &= ~(left & -left);
    }
    return lagging;
}

/* When an endpoint that lags is to be asked. */
static uint64_t probe_due(const struct rf_fresh_ep *e)
{
    uint64_t last = e->probed ? rf_max_u64(e->at_ns, e->probe_ns) : e->at_ns;
    return rf_time_add(last, RF_FRESH_PROBE_NS);
}

uint64_t rf_fresh_probe(struct rf_fresh *f, uint64_t now_ns)
{
    uint64_t ask = 0;
    for (uint64_t left = rf_fresh_lagging(f, now_ns); left != 0; left &= left - 1) {
        struct rf_fresh_ep *e = &f->ep[__builtin_ctzll(left)];
        if (probe_due(e) > now_ns)
            continue;
        e->probed = true;
        e->probe_ns = now_ns;
        ask |= left & -left;
    }
    return ask;
}

uint64_t rf_fresh_next_probe(const struct rf_fresh *f, uint64_t now_ns)
{
    uint64_t next = RF_NEVER;
    for (uint64_t left = rf_fresh_lagging(f, now_ns); left != 0; left &= left - 1) {
        const struct rf_fresh_ep *e = &f->ep[__builtin_ctzll(left)];
        uint64_t due = rf_max_u64(probe_due(e), now_ns);
        if (due <= rf_time_add(e->at_ns, RF_FRESH_STALE_NS))
            next = rf_min_u64(next, due);
    }
    return next;
}

uint64_t rf_fresh_best(const struct rf_fresh *f)
{
    return f->best;
}

uint64_t rf_fresh_head(const struct rf_fresh *f, uint32_t ep)
{
    return f->ep[ep].head;
}

uint64_t rf_fresh_lag(const struct rf_fresh *f, uint32_t ep)
{
    return f->ep[ep].lag;
}
