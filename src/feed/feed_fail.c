/* feed_fail.c - what a failed call means for the feed. The core has tried already, at each endpoint
 * that can serve; what comes here is its last word for one call. So nearly everything is tried
 * again, at growing distances; only what no time will mend ends the feed.
 *
 * Failure modes that end it: a call that configuration makes impossible, a key that was refused
 * before anything was ever answered, and nodes that stand far behind what is known for a minute:
 * another cluster, or one that was rolled back. */
#include <string.h>

#include "feed/feed_int.h"
#include "json/rpc.h"
#include "policy/backoff.h"
#include "policy/told.h"

#define PAUSE_BASE_NS (200 * RF_MS)
#define PAUSE_CAP_NS (20 * RF_SEC)
#define PAUSE_LEAST_NS (50 * RF_MS)
#define WAIT_MOST_NS (10 * RF_SEC)
#define BEHIND_SLOTS 5000 /* half an hour */
#define BEHIND_NS (60 * RF_SEC)
#define AUTH_TRIES 3

void rf_feed_read_pause(struct rf_feed *f, uint64_t wait_ns)
{
    f->pause_until_ns = rf_max_u64(f->pause_until_ns, rf_time_add(f->now_ns, wait_ns));
}

uint64_t rf_feed_read_wait(uint64_t floor, uint64_t slot)
{
    uint64_t slots = floor > slot ? floor - slot : 1;
    return slots >= WAIT_MOST_NS / RF_FEED_SLOT_NS ? WAIT_MOST_NS : slots * RF_FEED_SLOT_NS;
}

/* The node is at `slot`. Far behind for long: it is not the chain that is known. */
static bool behind(struct rf_feed *f, uint64_t slot)
{
    uint64_t known = rf_max_u64(f->watermark, f->seed_slot);
    if (slot + BEHIND_SLOTS >= known) {
        f->behind_since_ns = 0;
        return false;
    }
    if (f->behind_since_ns == 0)
        f->behind_since_ns = f->now_ns;
    return f->now_ns - f->behind_since_ns >= BEHIND_NS;
}

static bool says(struct rpcfan_slice text, const char *words)
{
    return rf_find_nocase(text.data, text.len, words) != NULL;
}

/* An error object of the node. */
static enum rf_feed_failed told_error(struct rf_feed *f, const struct rf_feed_answer *a,
                                      uint64_t floor, uint64_t *wait_ns, uint32_t *told)
{
    struct rf_error_text e = {0};
    uint64_t slot;
    if (!rf_error_read(a->json.data, a->json.len, &e))
        return RF_FEED_FAIL_AGAIN;
    if (e.code == -32016 && rf_told_member(e.data.data, e.data.len, "contextSlot", &slot)) {
        if (behind(f, slot)) {
            rf_feed_give_up(f, RPCFAN_ERPC,
                            "the nodes are far behind what is known: another cluster, or one "
                            "that was rolled back");
            return RF_FEED_FAIL_GIVE_UP;
        }
        *wait_ns = rf_feed_read_wait(floor, slot);
        return RF_FEED_FAIL_WAIT;
    }
    *told = rf_told_inputs(e.message.data, e.message.len);
    if (*told > 0 || says(e.message, "too many inputs"))
        return RF_FEED_FAIL_LESS;
    if (e.code == -32601 || e.code == -32010 || says(e.message, "too many accounts") ||
        says(e.message, "pagination") || (e.code == -32012 && says(e.message, "limit")))
        return RF_FEED_FAIL_REFUSED;
    return e.code == -32602 ? RF_FEED_FAIL_PARAMS : RF_FEED_FAIL_AGAIN;
}

void rf_feed_give_up(struct rf_feed *f, enum rpcfan_err e, const char *why)
{
    if (f->failed != RPCFAN_OK)
        return;
    f->failed = e;
    f->new_mark = true;
    rf_feed_why(f, "%s", why);
    rf_log(f->log, RPCFAN_LOG_ERROR, "RF-FEED-FAILED err=%s why=\"%s\"", rpcfan_err_name(e),
           f->why);
}

enum rf_feed_failed rf_feed_failure(struct rf_feed *f, const struct rf_feed_answer *a,
                                    uint64_t floor, uint64_t *wait_ns, uint32_t *told)
{
    int shown = a->json.len > 100 ? 100 : (int)a->json.len;
    enum rf_feed_failed what = RF_FEED_FAIL_AGAIN;
    *told = 0;
    *wait_ns = 0;
    switch (a->err) {
    case RPCFAN_EINVAL:
    case RPCFAN_ECONFIG:
    case RPCFAN_ELIMIT:
    case RPCFAN_ECLOSED:
        rf_feed_give_up(f, a->err, rpcfan_err_text(a->err));
        return RF_FEED_FAIL_GIVE_UP;
    case RPCFAN_EAUTH:
        if (!f->ever_answered && ++f->auth_failures >= AUTH_TRIES) {
            rf_feed_give_up(f, a->err, rpcfan_err_text(a->err));
            return RF_FEED_FAIL_GIVE_UP;
        }
        break;
    case RPCFAN_ERPC:
        what = told_error(f, a, floor, wait_ns, told);
        break;
    case RPCFAN_ETOOBIG:
        what = RF_FEED_FAIL_LESS;
        break;
    case RPCFAN_EQUOTA:
        what = RF_FEED_FAIL_REFUSED;
        break;
    default:
        break;
    }
    if (what == RF_FEED_FAIL_GIVE_UP)
        return what;
    if (what == RF_FEED_FAIL_WAIT) {
        rf_feed_read_pause(f, *wait_ns);
        return what;
    }
    rf_feed_why(f, "%s: %s %.*s", a->endpoint != NULL ? a->endpoint : "", rpcfan_err_name(a->err),
                shown, shown > 0 ? a->json.data : "");
    if (what == RF_FEED_FAIL_AGAIN) {
        *wait_ns = PAUSE_LEAST_NS +
                   rf_backoff_full_jitter(PAUSE_BASE_NS, PAUSE_CAP_NS, f->failures, &f->rng);
        f->failures += f->failures < 16 ? 1 : 0;
        rf_feed_read_pause(f, *wait_ns);
    }
    return what;
}
