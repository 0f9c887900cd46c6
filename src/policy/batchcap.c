/* batchcap.c - learns how large a batch an endpoint takes.
 *
 * Example: configured 100, the server takes 10 and does not say so. 100, 50, 25 and 12 are refused,
 * each by one request, while single calls go on; 6 passes. After 100 full batches of 6 the limit is
 * tried half-way to what was refused: 9 passes; then 10 passes; then 11 is refused: back to 10, and
 * no more probing for 10 minutes. A server that says "limit 10" costs one refusal. By bytes it goes
 * the same way, but the first refusal meets all that is in flight: until then nobody counts bytes.
 *
 * | constant      | value  | why                                                              |
 * |---------------|--------|------------------------------------------------------------------|
 * | GOOD_MIN      | 100    | full batches passed before the next step up                      |
 * | HOLD_MIN_NS   | 10 min | no step up after one was refused; doubles ...                    |
 * | HOLD_MAX_NS   | 6 h    | ... to here, and starts again after a step that passed           |
 * | BYTES_FLOOR   | 512    | one small call; a refusal at this size is not about bytes        |
 * | BYTES_STEP    | 1/4    | steps up by bytes, until within that of what was refused         |
 *
 * Source: additive increase and multiplicative decrease, with the refused size remembered so that
 * steps up bisect, and with one trial at a time, so that learning costs one request a step. */
#include "policy/batchcap.h"

#define GOOD_MIN 100
#define HOLD_MIN_NS (600 * RF_SEC)
#define HOLD_MAX_NS (6 * 3600 * RF_SEC)
#define BYTES_FLOOR 512
#define BYTES_STEP 4

void rf_batchcap_init(struct rf_batchcap *c, uint32_t max, uint64_t max_bytes)
{
    uint32_t at_least_1 = max > 0 ? max : 1;
    *c = (struct rf_batchcap){.max = at_least_1,
                              .limit = at_least_1,
                              .proven = 1,
                              .max_bytes = max_bytes,
                              .limit_bytes = max_bytes,
                              .hold_ns = HOLD_MIN_NS};
}

uint32_t rf_batchcap_now(const struct rf_batchcap *c)
{
    return c->trial ? c->proven : c->limit;
}

/* Whether what passed so far is enough to call the limit proven: batches seldom fill it exactly. */
static bool nearly_full(uint64_t bytes, uint64_t limit_bytes)
{
    return bytes >= limit_bytes - limit_bytes / BYTES_STEP;
}

/* Only once bytes were refused: until then the count alone decides what is a trial. */
static bool bytes_on_trial(const struct rf_batchcap *c)
{
    return c->probing_bytes || (c->refused_bytes > 0 && !c->told_bytes &&
                                !nearly_full(c->proven_bytes, c->limit_bytes));
}

uint64_t rf_batchcap_bytes(const struct rf_batchcap *c)
{
    if (!c->trial || !bytes_on_trial(c))
        return c->limit_bytes;
    return rf_min_u64(c->limit_bytes, rf_max_u64(c->proven_bytes, BYTES_FLOOR));
}

bool rf_batchcap_sent(struct rf_batchcap *c, uint32_t n)
{
    if (c->trial || (n <= c->proven && !(n > 1 && bytes_on_trial(c))))
        return false;
    c->trial = true;
    return true;
}

static void step_up_count(struct rf_batchcap *c)
{
    c->good = 0;
    c->probing = true;
    if (c->refused > c->limit + 1)
        c->limit += (c->refused - c->limit) / 2;
    else
        c->limit++;
}

/* Half-way to what was refused, or a quarter more once that is near: the server may have grown. */
static void step_up_bytes(struct rf_batchcap *c)
{
    uint64_t quarter = c->limit_bytes / BYTES_STEP;
    uint64_t gap = rf_time_sub(c->refused_bytes, c->limit_bytes);
    c->good_bytes = 0;
    c->probing_bytes = true;
    c->limit_bytes = rf_min_u64(c->max_bytes, c->limit_bytes + (gap > quarter ? gap / 2 : quarter));
}

static void hold(struct rf_batchcap *c, uint64_t now_ns)
{
    c->hold_until_ns = rf_time_add(now_ns, c->hold_ns);
    c->hold_ns = rf_min_u64(HOLD_MAX_NS, c->hold_ns * 2);
}

static void pass_count(struct rf_batchcap *c, uint32_t n, uint64_t now_ns)
{
    if (n > c->limit)
        return; /* sent before the limit was cut: it says nothing about now */
    if (n > c->proven)
        c->proven = n;
    if (c->refused > 0 && n >= c->refused)
        c->refused = 0;
    if (n < c->limit)
        return;
    if (c->probing) {
        c->probing = false;
        c->hold_ns = HOLD_MIN_NS;
    }
    c->good++;
    if (c->good >= GOOD_MIN && !c->told && c->limit < c->max && now_ns >= c->hold_until_ns)
        step_up_count(c);
}

static void pass_bytes(struct rf_batchcap *c, uint64_t bytes, uint64_t now_ns)
{
    if (bytes > c->limit_bytes)
        return;
    if (c->probing_bytes && bytes > c->proven_bytes) {
        c->probing_bytes = false;
        c->hold_ns = HOLD_MIN_NS;
    }
    c->proven_bytes = rf_max_u64(c->proven_bytes, bytes);
    if (c->refused_bytes > 0 && bytes >= c->refused_bytes)
        c->refused_bytes = 0;
    if (!nearly_full(bytes, c->limit_bytes))
        return;
    c->good_bytes++;
    if (c->good_bytes >= GOOD_MIN && !c->told_bytes && !c->probing_bytes &&
        c->limit_bytes < c->max_bytes && now_ns >= c->hold_until_ns)
        step_up_bytes(c);
}

void rf_batchcap_passed(struct rf_batchcap *c, uint32_t n, uint64_t bytes, bool trial,
                        uint64_t now_ns)
{
    if (trial)
        c->trial = false;
    pass_count(c, n, now_ns);
    pass_bytes(c, bytes, now_ns);
}

static void refuse_count(struct rf_batchcap *c, const struct rf_batch_refusal *r, uint64_t now_ns)
{
    uint32_t n = r->n, told_n = r->told_n;
    if (c->refused == 0 || n < c->refused)
        c->refused = n;
    if (n > c->limit && (told_n == 0 || told_n >= c->limit))
        return;
    if (n <= c->proven)
        c->proven = 1; /* the server has changed: what was proven is not */
    if (c->probing)
        hold(c, now_ns);
    c->probing = false;
    c->good = 0;
    c->told = told_n > 0 && told_n < n;
    if (c->told) {
        c->limit = told_n;
        if (c->proven > told_n)
            c->proven = told_n;
        return;
    }
    c->limit = n / 2 > c->proven ? n / 2 : c->proven;
}

static void refuse_bytes(struct rf_batchcap *c, uint64_t bytes, uint64_t told, uint64_t now_ns)
{
    if (c->refused_bytes == 0 || bytes < c->refused_bytes)
        c->refused_bytes = bytes;
    bool telling = told > 0 && told < bytes;
    if (bytes > c->limit_bytes && (!telling || told >= c->limit_bytes))
        return;
    if (bytes <= c->proven_bytes)
        c->proven_bytes = 0;
    if (c->probing_bytes)
        hold(c, now_ns);
    c->probing_bytes = false;
    c->good_bytes = 0;
    c->told_bytes = telling;
    uint64_t to = telling ? told : rf_max_u64(c->proven_bytes, bytes / 2);
    c->limit_bytes = rf_max_u64(BYTES_FLOOR, to);
}

void rf_batchcap_refused(struct rf_batchcap *c, const struct rf_batch_refusal *r, uint64_t now_ns)
{
    c->refusals++;
    if (r->trial)
        c->trial = false;
    if (r->by_bytes && (r->bytes > BYTES_FLOOR || r->n <= 1))
        refuse_bytes(c, r->bytes, r->told_bytes, now_ns);
    else if (r->n > 1)
        refuse_count(c, r, now_ns);
}

void rf_batchcap_unknown(struct rf_batchcap *c, bool trial)
{
    if (trial)
        c->trial = false;
}

void rf_batchcap_learned(struct rf_batchcap *c, uint64_t n, uint64_t bytes)
{
    if (n > 0 && n < c->limit) {
        c->limit = (uint32_t)n;
        c->refused = c->limit + 1;
        c->good = 0;
    }
    if (bytes > 0 && bytes < c->limit_bytes) {
        c->limit_bytes = rf_max_u64(BYTES_FLOOR, bytes);
        c->refused_bytes = c->limit_bytes + 1;
        c->good_bytes = 0;
    }
}
