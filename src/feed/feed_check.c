/* feed_check.c - proves the stream, and finds what no stream tells. The sweep of a program's feed
 * looks each known account up again within its time, evenly; the audit reads a few at random. News
 * that a check finds are merged like any other. Whether the stream failed to tell them is judged
 * later: when the session has told of slots past the answer's and not of this account. Then the
 * session is not to be trusted any more. Called by feed.c. */
#include "feed/feed_int.h"

#include "base/mem.h"

#define NOT_NOW_NS (500 * RF_MS)
#define VERDICT_NS (120 * RF_SEC)
#define FORGET_SLOTS 150 /* a closed account is remembered for a minute at least */
#define FORGET_ROUND_NS (60 * RF_SEC)
#define SWEEP_PACE_NS (5 * RF_SEC) /* between reads at most: small programs are swept sooner */
#define DRAWS 8                    /* for each account of a sample */

/* A tombstone that nothing can revive any more without being read first. */
static void forget(struct rf_feed *f, uint32_t number)
{
    const struct rf_key *e = rf_keys_at(&f->keys, number);
    uint32_t busy = RF_KEY_THERE | RF_KEY_DIRTY | RF_KEY_LINKED | RF_KEY_IN_FLIGHT | RF_KEY_HELD |
                    RF_KEY_JUDGED | RF_KEY_BAD | RF_KEY_DOUBT | RF_KEY_TOLD | RF_KEY_UNTOLD;
    if (!f->program || f->walk.busy || (e->flags & busy) != 0 || e->queued > 0 ||
        e->slot + FORGET_SLOTS > rf_min_u64(f->tip, f->covered))
        return;
    f->tomb_slot = rf_max_u64(f->tomb_slot, e->slot);
    rf_keys_remove(&f->keys, number);
}

/* Whether a check may look at it: nothing else is wanted of it. */
static bool calm(const struct rf_feed *f, uint32_t number)
{
    const struct rf_key *e = rf_keys_at(&f->keys, number);
    uint32_t busy = RF_KEY_DIRTY | RF_KEY_IN_FLIGHT | RF_KEY_HELD | RF_KEY_BAD | RF_KEY_JUDGED;
    if ((e->flags & RF_KEY_USED) == 0 || (e->flags & RF_KEY_KNOWN) == 0 || (e->flags & busy) != 0)
        return false;
    if (f->program)
        return (e->flags & RF_KEY_THERE) != 0;
    return f->unit[number].complete;
}

static void add(struct rf_feed *f, struct rf_feed_read *r, uint32_t number)
{
    rf_keys_at(&f->keys, number)->flags |= RF_KEY_IN_FLIGHT;
    r->number[r->n++] = number;
}

static void send(struct rf_feed *f, struct rf_feed_read *r, enum rf_feed_why why)
{
    r->why = why;
    if (r->n == 0)
        rf_free(r);
    else
        rf_feed_read_accounts(f, r);
}

static bool can_check(const struct rf_feed *f)
{
    return f->complete && !f->pressed && rf_feed_read_room(f);
}

/* So many numbers, and the time of one round for all of them. */
static void sweep(struct rf_feed *f)
{
    bool reads = f->sweep_ns > 0 && f->program;
    uint64_t round = reads ? f->sweep_ns : FORGET_ROUND_NS;
    uint64_t parts = f->keys.top / f->inputs_now + 1;
    uint64_t pace = rf_min_u64(round / parts, SWEEP_PACE_NS);
    if (f->now_ns < f->sweep_due_ns)
        return;
    if (!can_check(f)) {
        f->sweep_due_ns = f->now_ns + rf_min_u64(NOT_NOW_NS, pace + 1);
        return;
    }
    struct rf_feed_read *r = rf_feed_read_new(f, RF_FEED_ACCOUNTS, f->inputs_now);
    if (r == NULL)
        return;
    f->sweep_due_ns = rf_max_u64(rf_time_add(f->sweep_due_ns, pace), f->now_ns);
    for (uint32_t i = 0; i < f->inputs_now && f->keys.top > 0; i++) {
        if (f->sweep_at >= f->keys.top) {
            f->sweep_at = 0;
            break;
        }
        uint32_t number = f->sweep_at++;
        if ((rf_keys_at(&f->keys, number)->flags & RF_KEY_USED) == 0)
            continue;
        if (reads && calm(f, number))
            add(f, r, number);
        else
            forget(f, number);
    }
    send(f, r, RF_FEED_SWEEP);
}

static void audit(struct rf_feed *f)
{
    if (f->now_ns < f->audit_due_ns)
        return;
    f->audit_due_ns = f->now_ns + (can_check(f) ? f->audit_ns : NOT_NOW_NS);
    if (!can_check(f) || f->audit_keys == 0 || f->keys.top == 0)
        return;
    struct rf_feed_read *r = rf_feed_read_new(f, RF_FEED_ACCOUNTS, f->audit_keys);
    if (r == NULL)
        return;
    for (uint32_t i = 0; i < f->audit_keys * DRAWS && r->n < f->audit_keys; i++) {
        uint32_t number = (uint32_t)rf_rng_below(&f->rng, f->keys.top);
        if (calm(f, number))
            add(f, r, number);
    }
    send(f, r, RF_FEED_AUDIT);
}

/* The session that should have told of the account. */
static struct rf_feed_session *teller(const struct rf_feed *f, uint32_t number)
{
    const struct rf_feed_unit *u = &f->unit[f->program ? 0 : number];
    for (uint32_t i = 0; i < RF_FEED_LEGS; i++) {
        if (u->leg[i].session != NULL && u->leg[i].fence != 0)
            return u->leg[i].session;
    }
    return NULL;
}

void rf_feed_check_found(struct rf_feed *f, uint32_t number, uint64_t slot)
{
    struct rf_key *e = rf_keys_at(&f->keys, number);
    const struct rf_feed_session *s = teller(f, number);
    /* Two nodes need not compress alike. */
    bool compressed = f->encoding_text[6] != '\0';
    if (s == NULL || compressed || f->n_verdicts == RF_FEED_VERDICTS)
        return;
    e->flags |= RF_KEY_JUDGED;
    f->verdict[f->n_verdicts++] = (struct rf_feed_verdict){.number = number,
                                                           .slot = slot,
                                                           .session = s->id,
                                                           .hash = e->hash,
                                                           .until_ns = f->now_ns + VERDICT_NS};
}

/* @return whether the verdict is done with. */
static bool judge(struct rf_feed *f, const struct rf_feed_verdict *v)
{
    struct rf_key *e = rf_keys_at(&f->keys, v->number);
    struct rf_feed_session *s = teller(f, v->number);
    /* A read of a processed state may have been of a fork that nobody told of. */
    bool void_now = s == NULL || s->id != v->session || f->now_ns >= v->until_ns ||
                    (f->commitment == RPCFAN_PROCESSED && e->hash != v->hash);
    if ((e->flags & RF_KEY_JUDGED) == 0)
        return true;
    if (!void_now && rf_feed_cover_of(f, s) < v->slot + RF_FEED_JUDGE_SLOTS)
        return false;
    e->flags &= ~(uint32_t)RF_KEY_JUDGED;
    if (void_now)
        return true;
    f->count.missed++;
    rf_feed_why(f, "a change of slot %llu or before was not told", (unsigned long long)v->slot);
    rf_log(f->log, RPCFAN_LOG_WARN, "RF-FEED-MISSED slot=%llu session=%llu",
           (unsigned long long)v->slot, (unsigned long long)v->session);
    f->ops.distrust(f->ops.arg, v->session, "a change was not told");
    return true;
}

void rf_feed_check_step(struct rf_feed *f)
{
    if (f->once || f->failed != RPCFAN_OK)
        return;
    for (uint32_t i = 0; i < f->n_verdicts;) {
        if (judge(f, &f->verdict[i]))
            f->verdict[i] = f->verdict[--f->n_verdicts];
        else
            i++;
    }
    sweep(f);
    audit(f);
}

uint64_t rf_feed_check_deadline(const struct rf_feed *f)
{
    if (f->once || !f->complete)
        return RF_NEVER;
    uint64_t due = rf_min_u64(f->sweep_due_ns, f->audit_due_ns);
    return f->pressed ? RF_NEVER : due;
}
