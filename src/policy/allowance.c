/* allowance.c - what the server says is left.
 *
 * Example: an answer to a request sent at 10.0 s says "50 left, restored in 30 s" and arrives at
 * 10.1 s; 4 calls have left since. So 46 calls may go until 40.1 s. A hint that comes with a
 * request sent at 9.9 s is older and is not used. Requests overtake each other: had 8 calls that
 * went before no answer yet, the server might not have counted them, and 42 could go. (Of the 4 and
 * those under way the larger number counts, since most of the one are among the other.)
 * Once the 30 s are over, as many calls may go as the quota has, until an answer says more: without
 * that bound all that waits would leave at once, before the first of these answers is there.
 *
 * | constant  | value | why                                                       |
 * |-----------|-------|-----------------------------------------------------------|
 * | PAUSE_MAX | 60 s  | a hint is no command: Retry-After is, and has its own cap |
 * | RESET_MAX | 300 s | a quota of a day must not stop a client that can go on     |
 * | SPAN_MIN  | 1 s   | resets are told in seconds, and 0 is said too             | */
#include "policy/allowance.h"

#define PAUSE_MAX_NS (60 * RF_SEC)
#define RESET_MAX_NS (300 * RF_SEC)
#define SPAN_MIN_NS RF_SEC

uint64_t rf_allowance_hint(struct rf_allowance *a, const struct rf_rate_hint *h, uint64_t sent_ns,
                           uint64_t sent_then, uint64_t now_ns)
{
    bool newer = a->stamped_at_ns == 0 || sent_ns >= a->stamped_at_ns;
    if (!h->any || h->remaining == UINT64_MAX || h->reset_ns == RF_NEVER || !newer)
        return 0;
    if (h->reset_ns > RESET_MAX_NS && h->remaining > 0)
        return 0;
    uint64_t since = rf_max_u64(rf_time_sub(a->sent, sent_then), rf_time_sub(a->sent, a->back));
    a->stamped_at_ns = sent_ns;
    a->left = rf_time_sub(h->remaining, since);
    uint64_t most = h->remaining == 0 ? PAUSE_MAX_NS : RESET_MAX_NS;
    a->until_ns = rf_time_add(now_ns, rf_min_u64(h->reset_ns, most));
    a->quota = h->quota;
    a->span_ns = h->window_ns > 0 && h->window_ns < RESET_MAX_NS ? h->window_ns : h->reset_ns;
    a->span_ns = rf_min_u64(rf_max_u64(a->span_ns, SPAN_MIN_NS), RESET_MAX_NS);
    return h->remaining == 0 ? rf_min_u64(h->reset_ns, PAUSE_MAX_NS) : 0;
}

uint32_t rf_allowance_room(struct rf_allowance *a, uint32_t want, uint64_t now_ns,
                           uint64_t *wait_ns)
{
    *wait_ns = 0;
    if (now_ns >= a->until_ns && a->quota > 0) {
        a->left = a->quota;
        a->until_ns = rf_time_add(now_ns, a->span_ns);
    }
    if (now_ns >= a->until_ns || a->left >= want)
        return want;
    if (a->left == 0)
        *wait_ns = rf_min_u64(a->until_ns - now_ns, PAUSE_MAX_NS);
    return (uint32_t)a->left;
}

void rf_allowance_commit(struct rf_allowance *a, uint32_t calls)
{
    a->sent += calls;
    a->left = rf_time_sub(a->left, calls);
}

void rf_allowance_settle(struct rf_allowance *a, uint32_t calls)
{
    a->back += calls;
}
