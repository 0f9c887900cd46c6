/* vfeed_books.c - the consumer of a feed in its virtual world, and what is held against it.
 *
 * The consumer keeps a row for each account, as a database would. Each event is held against the
 * row and the bank tree, each mark against all rows: whatever a row says must have been true at the
 * mark's slot or later (I5). Rows may be older only where something was lost in silence; then time
 * limits hold instead. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "sim/vfeed_int.h"

/* A question to the bank tree: is this what the row says? */
struct question {
    struct rf_vfeed *w;
    uint32_t key;
    const struct rf_vfeed_row *row;
};

/* Whether an account is one of the feed's, as a bank has it. */
static bool in_scope(struct rf_vfeed *w, uint32_t key, const struct rf_bank_state *s)
{
    const char *filters = w->o.feed.filters;
    if (s == NULL || s->lamports == 0)
        return false;
    return w->o.accounts > 0 ||
           rf_validator_match(
               w->v, key, s, 0,
               (struct rpcfan_slice){filters, filters == NULL ? 0 : strlen(filters)});
}

static bool says(void *arg, const struct rf_bank_state *s)
{
    const struct question *q = arg;
    bool there = in_scope(q->w, q->key, s);
    if (!q->row->known || q->row->gone)
        return !there;
    return there && s->hash == q->row->hash;
}

/* Whether what a row says was true at a slot or later, on the chain of the commitment level; at
 * processed, on any. */
static bool true_since(struct rf_vfeed *w, uint32_t key, const struct rf_vfeed_row *row,
                       uint64_t from)
{
    struct question q = {w, key, row};
    enum rpcfan_commitment c = w->o.feed.commitment;
    w->book.checks++;
    if (c != RPCFAN_PROCESSED)
        return rf_banks_held(w->banks, rf_banks_at(w->banks, c), key, from, says, &q);
    const struct rf_bank_key *k = &w->banks->key[key];
    const struct rf_bank *bank = rf_banks_get(w->banks, from); /* of a fork that was left, maybe */
    if (bank != NULL && says(&q, rf_banks_state(w->banks, bank, key)))
        return true;
    for (uint32_t i = k->n; i-- > 0 && k->version[i].slot >= from;)
        if (says(&q, &k->version[i]))
            return true;
    return rf_banks_held(w->banks, rf_banks_at(w->banks, RPCFAN_PROCESSED), key, from, says, &q) ||
           rf_banks_held(w->banks, rf_banks_at(w->banks, RPCFAN_FINALIZED), key, from, says, &q);
}

/* Whether it ever was. */
static bool ever_true(struct rf_vfeed *w, uint32_t key, const struct rf_vfeed_row *row)
{
    struct question q = {w, key, row};
    if (w->o.feed.commitment == RPCFAN_PROCESSED)
        return rf_banks_ever(w->banks, key, says, &q);
    return true_since(w, key, row, 0);
}

/* A program's subscription does not tell what leaves it (R5), nor do pages of changes since a gap;
 * only looking again does, and that is held by time. So a row may be of before an account left, as
 * long as it has not come back by `from`. */
static bool left_unseen(struct rf_vfeed *w, uint32_t key, const struct rf_vfeed_row *row,
                        uint64_t from)
{
    const struct rf_bank *bank = rf_banks_at(w->banks, w->o.feed.commitment);
    const struct rf_bank_key *k = &w->banks->key[key];
    bool left = false;
    if (w->o.accounts > 0 || !row->known || row->gone)
        return false;
    for (uint32_t i = k->n; i-- > 0 && !left;) {
        const struct rf_bank_state *s = &k->version[i];
        if (!rf_banks_of_chain(bank, s))
            continue;
        left = !in_scope(w, key, s);
        if (s->slot <= from)
            break;
    }
    return left && ever_true(w, key, row);
}

static const char *name_of(enum rpcfan_account_kind kind)
{
    static const char *const names[] = {"snapshot", "create", "update", "close", "left"};
    return names[kind];
}

/* Whether the events that a consumer sees may leave some out. */
static bool conflates(const struct rf_vfeed *w, const struct rf_vfeed_client *c)
{
    struct rpcfan_feed_status s;
    rf_feed_status(c->feed, w->now_ns, &s);
    return s.conflated + s.dropped > 0 || w->o.feed.overflow == RPCFAN_BLOCK;
}

/* What an event says, as a row. @return false: it cannot be read, which is a breach. */
static bool read_event(struct rf_vfeed *w, const struct rpcfan_account_event *ev,
                       struct rf_vfeed_row *row)
{
    *row = (struct rf_vfeed_row){.known = true, .slot = ev->slot, .feed_hash = ev->hash};
    if (ev->kind == RPCFAN_ACCOUNT_CLOSE || ev->kind == RPCFAN_ACCOUNT_LEFT) {
        row->gone = true;
        if (ev->json.len == 0 && ev->hash == 0)
            return true;
        rf_vfeed_breach(w, "I18: a %s with content", name_of(ev->kind));
        return false;
    }
    if (rf_validator_read(ev->json, &row->hash) && row->hash != 0)
        return true;
    rf_vfeed_breach(w, "I18: an event that is no account: %.*s",
                    ev->json.len > 100 ? 100 : (int)ev->json.len, ev->json.data);
    return false;
}

/* Events of an account follow each other as they must (I2, I6, I16). */
static void check_order(struct rf_vfeed *w, const struct rf_vfeed_client *c, uint32_t key,
                        const struct rpcfan_account_event *ev, const struct rf_vfeed_row *row)
{
    const struct rf_vfeed_row *was = &c->row[key];
    bool there = was->known && !was->gone;
    if (c->seq != 0 && ev->seq != c->seq + 1)
        rf_vfeed_breach(w, "seq %llu after %llu", (unsigned long long)ev->seq,
                        (unsigned long long)c->seq);
    if (w->o.feed.commitment != RPCFAN_PROCESSED && was->known && ev->slot < was->slot)
        rf_vfeed_breach(w, "I2: key %u: %s of slot %llu after slot %llu", key, name_of(ev->kind),
                        (unsigned long long)ev->slot, (unsigned long long)was->slot);
    if (row->gone && !there)
        rf_vfeed_breach(w, "I6: key %u: %s at slot %llu of an account that is gone", key,
                        name_of(ev->kind), (unsigned long long)ev->slot);
    if (!row->gone && there != (ev->kind == RPCFAN_ACCOUNT_UPDATE))
        rf_vfeed_breach(w, "I6: key %u: %s at slot %llu of an account that is %s", key,
                        name_of(ev->kind), (unsigned long long)ev->slot, there ? "there" : "gone");
    if (!row->gone && there && row->hash == was->hash && !conflates(w, c))
        rf_vfeed_breach(w, "I16: key %u: %s at slot %llu changes nothing", key, name_of(ev->kind),
                        (unsigned long long)ev->slot);
}

/* An event tells what was the case (I3), at its slot or later. */
static void check_truth(struct rf_vfeed *w, uint32_t key, const struct rpcfan_account_event *ev,
                        const struct rf_vfeed_row *row)
{
    if (!w->o.checks.honest && (row->gone || !ever_true(w, key, row))) {
        if (!row->gone)
            rf_vfeed_breach(w, "I3: key %u: %s at slot %llu: it never was so", key,
                            name_of(ev->kind), (unsigned long long)ev->slot);
    } else if (w->o.checks.honest && !ever_true(w, key, row)) {
        rf_vfeed_breach(w, "I3: key %u: %s at slot %llu: it never was so", key, name_of(ev->kind),
                        (unsigned long long)ev->slot);
    } else if (w->o.checks.honest && !true_since(w, key, row, ev->slot)) {
        rf_vfeed_breach(w, "I6: key %u: %s at slot %llu: it was not so any more", key,
                        name_of(ev->kind), (unsigned long long)ev->slot);
    }
}

static void apply(struct rf_vfeed *w, struct rf_vfeed_client *c,
                  const struct rpcfan_account_event *ev)
{
    struct rf_vfeed_row row;
    uint32_t key = rf_banks_find(w->banks, ev->key);
    if (key == RF_BANK_NONE || key >= w->n_keys) {
        rf_vfeed_breach(w, "I3: an event of an account that was never asked for");
        return;
    }
    if (!read_event(w, ev, &row))
        return;
    check_order(w, c, key, ev, &row);
    check_truth(w, key, ev, &row);
    c->seq = ev->seq;
    c->undo[c->n_changed] = c->row[key];
    c->changed[c->n_changed++] = key;
    c->row[key] = row;
    w->book.events++;
    w->book.by_kind[ev->kind]++;
    rf_vfeed_stir(w, key, ev->slot);
    rf_vfeed_stir(w, row.hash, ev->kind);
}

/* Everything is as of the watermark or later (I5). */
static void check_rows(struct rf_vfeed *w, const struct rf_vfeed_client *c)
{
    for (uint32_t key = 0; key < w->n_keys && w->bad[0] == '\0'; key++)
        if (!true_since(w, key, &c->row[key], c->watermark) &&
            !left_unseen(w, key, &c->row[key], c->watermark))
            rf_vfeed_breach(w, "I5: the watermark is %llu and key %u (%s, slot %llu) is older",
                            (unsigned long long)c->watermark, key,
                            !c->row[key].known ? "unknown"
                            : c->row[key].gone ? "gone"
                                               : "there",
                            (unsigned long long)c->row[key].slot);
}

static uint64_t level(const struct rf_vfeed *w)
{
    return rf_banks_at(w->banks, w->o.feed.commitment)->slot;
}

static void check_mark(struct rf_vfeed *w, struct rf_vfeed_client *c,
                       const struct rpcfan_feed_mark *mark, size_t n)
{
    struct rpcfan_feed_status s;
    if (mark->failed != RPCFAN_OK) {
        rf_feed_status(c->feed, w->now_ns, &s);
        rf_vfeed_breach(w, "the feed gave up: %s", s.why);
    }
    if (mark->watermark < c->watermark)
        rf_vfeed_breach(w, "I5: the watermark went back from %llu to %llu",
                        (unsigned long long)c->watermark, (unsigned long long)mark->watermark);
    if (mark->watermark > level(w))
        rf_vfeed_breach(w, "I5: the watermark is %llu and the cluster is at %llu",
                        (unsigned long long)mark->watermark, (unsigned long long)level(w));
    bool moved = mark->watermark > c->watermark;
    if (moved)
        c->moved_ns = w->now_ns;
    c->watermark = mark->watermark;
    c->complete = c->complete || mark->complete != 0;
    if (w->o.checks.strict && c->watermark > 0 && (moved || n > 0))
        check_rows(w, c);
    rf_vfeed_stir(w, mark->watermark, n);
}

void rf_vfeed_take(struct rf_vfeed *w, uint32_t client)
{
    static struct rpcfan_account_event ev[RF_VFEED_TAKE_MAX];
    struct rf_vfeed_client *c = &w->client[client];
    struct rpcfan_feed_mark mark;
    struct rpcfan_feed_status s;
    rf_feed_status(c->feed, w->now_ns, &s);
    if (s.queue_events > w->o.feed.queue_events || s.queue_bytes > w->o.feed.queue_bytes)
        rf_vfeed_breach(w, "I8: %llu events of %llu bytes wait", (unsigned long long)s.queue_events,
                        (unsigned long long)s.queue_bytes);
    size_t n = rf_feed_take(c->feed, ev, w->o.consumer.n, &mark);
    c->n_changed = 0;
    w->book.takes++;
    for (size_t i = 0; i < n && w->bad[0] == '\0'; i++)
        apply(w, c, &ev[i]);
    rf_feed_release(ev, n);
    if (w->bad[0] == '\0')
        check_mark(w, c, &mark, n);
}

void rf_vfeed_undo(struct rf_vfeed *w, uint32_t client)
{
    struct rf_vfeed_client *c = &w->client[client];
    while (c->n_changed > 0) {
        c->n_changed--;
        c->row[c->changed[c->n_changed]] = c->undo[c->n_changed];
    }
}

/* The slot of the level so long ago. 0: not known. */
static uint64_t slot_before(const struct rf_vfeed *w, uint64_t ns)
{
    uint64_t s = ns / RF_SEC;
    if (s >= w->n_past || s >= RF_VFEED_PAST)
        return 0;
    return w->past[(w->n_past - 1 - s) % RF_VFEED_PAST];
}

static void check_time(struct rf_vfeed *w, const struct rf_vfeed_client *c)
{
    const struct rf_vfeed_checks *k = &w->o.checks;
    if (k->stuck_ns > 0 && w->now_ns - c->moved_ns > k->stuck_ns) {
        struct rpcfan_feed_status s;
        rf_feed_status(c->feed, w->now_ns, &s);
        rf_vfeed_breach(w, "I4: the watermark stays at %llu while the cluster is at %llu (%s, %s)",
                        (unsigned long long)c->watermark, (unsigned long long)level(w), s.state,
                        s.why);
    }
    uint64_t from = k->stale_ns > 0 ? slot_before(w, k->stale_ns) : 0;
    if (from == 0 || !c->complete || w->now_ns - c->began_ns < k->stale_ns)
        return;
    for (uint32_t key = 0; key < w->n_keys && w->bad[0] == '\0'; key++)
        if (!true_since(w, key, &c->row[key], from))
            rf_vfeed_breach(w, "I7: key %u (slot %llu) is older than slot %llu, %.0f s ago", key,
                            (unsigned long long)c->row[key].slot, (unsigned long long)from,
                            (double)k->stale_ns / (double)RF_SEC);
}

void rf_vfeed_second(struct rf_vfeed *w)
{
    w->past[w->n_past++ % RF_VFEED_PAST] = level(w);
    for (uint32_t i = 0; i < RF_VFEED_CLIENTS; i++)
        if (w->client[i].feed != NULL)
            check_time(w, &w->client[i]);
}

/* Whether a row is what a bank has. */
static bool is_of(struct rf_vfeed *w, uint32_t key, const struct rf_vfeed_row *row,
                  const struct rf_bank *bank)
{
    struct question q = {w, key, row};
    w->book.checks++;
    return says(&q, rf_banks_state(w->banks, bank, key));
}

void rf_vfeed_after_slot(struct rf_vfeed *w)
{
    uint64_t tip = rf_validator_slot(w->v, 0, RPCFAN_PROCESSED);
    w->was_tip[tip % RF_BANK_SPAN] = tip;
}

/* Whether a subscription can have told the state that an account has in the tip. A program's is
 * told what a bank wrote while that was the tip (R6), and nothing of what left, nor that a fork
 * takes this back (R5). */
static bool could_know(struct rf_vfeed *w, uint32_t key, const struct rf_vfeed_row *row,
                       const struct rf_bank *tip)
{
    const struct rf_bank_state *s = rf_banks_state(w->banks, tip, key);
    if (w->o.accounts > 0)
        return true;
    if (!in_scope(w, key, s))
        return false;
    if (!row->known || row->gone)
        return s->slot == tip->slot;
    return s->slot <= w->banks->confirmed || w->was_tip[s->slot % RF_BANK_SPAN] == s->slot;
}

/* Whether a subscription to the program has heard that this bank is the tip. */
static bool was_told(struct rf_vfeed *w, const struct rf_bank *tip)
{
    bool told = w->o.accounts > 0;
    for (uint32_t i = 0; i < tip->n_wrote && !told; i++)
        told = in_scope(w, tip->wrote[i], rf_banks_state(w->banks, tip, tip->wrote[i]));
    return told;
}

void rf_vfeed_before_slot(struct rf_vfeed *w)
{
    const struct rf_vfeed_client *c = &w->client[0];
    uint64_t tip = rf_validator_slot(w->v, 0, RPCFAN_PROCESSED);
    const struct rf_bank *bank = rf_banks_get(w->banks, tip);
    if (!c->complete || bank == NULL || !was_told(w, bank))
        return;
    for (uint32_t key = 0; key < w->n_keys && w->bad[0] == '\0'; key++)
        if (!is_of(w, key, &c->row[key], bank) && could_know(w, key, &c->row[key], bank))
            rf_vfeed_breach(w, "I17: the tip is %llu and key %u is as of %llu",
                            (unsigned long long)tip, key, (unsigned long long)c->row[key].slot);
}

const char *rf_vfeed_settled(struct rf_vfeed *w, uint64_t behind)
{
    const struct rf_bank *bank = rf_banks_at(w->banks, w->o.feed.commitment);
    for (uint32_t i = 0; i < RF_VFEED_CLIENTS && w->bad[0] == '\0'; i++) {
        const struct rf_vfeed_client *c = &w->client[i];
        if (c->feed == NULL)
            continue;
        if (!c->complete)
            rf_vfeed_breach(w, "I1: the first snapshot is not whole yet");
        if (behind != RF_NEVER && c->watermark + behind < bank->slot)
            rf_vfeed_breach(w, "I4: the watermark is %llu and the cluster is at %llu",
                            (unsigned long long)c->watermark, (unsigned long long)bank->slot);
        for (uint32_t key = 0; key < w->n_keys && w->bad[0] == '\0'; key++)
            if (!is_of(w, key, &c->row[key], bank))
                rf_vfeed_breach(w, "I1: key %u (%s, slot %llu) is not as in bank %llu", key,
                                !c->row[key].known ? "unknown"
                                : c->row[key].gone ? "gone"
                                                   : "there",
                                (unsigned long long)c->row[key].slot,
                                (unsigned long long)bank->slot);
    }
    return w->bad[0] == '\0' ? NULL : w->bad;
}

static bool make_rows(struct rf_vfeed *w, struct rf_vfeed_client *c)
{
    if (c->row == NULL)
        c->row = rf_alloc(w->n_keys * sizeof *c->row);
    if (c->undo == NULL)
        c->undo = rf_alloc(RF_VFEED_TAKE_MAX * sizeof *c->undo);
    if (c->changed == NULL)
        c->changed = rf_alloc(RF_VFEED_TAKE_MAX * sizeof *c->changed);
    return c->row != NULL && c->undo != NULL && c->changed != NULL;
}

/* Tell a new feed what its consumer has. */
static enum rpcfan_err seed(struct rf_vfeed *w, struct rf_vfeed_client *c)
{
    enum rpcfan_err e = RPCFAN_OK;
    for (uint32_t key = 0; key < w->n_keys && e == RPCFAN_OK; key++) {
        const struct rf_vfeed_row *row = &c->row[key];
        struct rpcfan_known known = {.slot = row->slot, .hash = row->feed_hash, .gone = row->gone};
        memcpy(known.key, w->banks->key[key].id, 32);
        if (row->known)
            e = rf_feed_seed(c->feed, &known, 1);
    }
    return e;
}

enum rpcfan_err rf_vfeed_begin(struct rf_vfeed *w, uint32_t client, struct rpcfan_error *err)
{
    struct rf_vfeed_client *c = &w->client[client];
    c->owner = (struct rf_vfeed_owner){w, client};
    if (!make_rows(w, c))
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    struct rf_feed_ops ops = rf_vfeed_ops(&c->owner);
    enum rpcfan_err e =
        rf_feed_new(&w->o.feed, &ops, rf_rng_next(&w->rng), w->o.log, &c->feed, err);
    if (e == RPCFAN_OK)
        e = seed(w, c);
    if (e != RPCFAN_OK)
        return e;
    c->seq = c->watermark = 0;
    c->n_changed = 0;
    c->complete = false;
    c->moved_ns = c->began_ns = w->now_ns;
    c->next_take_ns = w->now_ns;
    rf_feed_start(c->feed, w->now_ns);
    return RPCFAN_OK;
}

void rf_vfeed_end(struct rf_vfeed *w, uint32_t client)
{
    struct rf_vfeed_client *c = &w->client[client];
    rf_vfeed_call_drop(w, client);
    while (c->n_subs > 0)
        rf_subs_remove(w->subs, c->sub[--c->n_subs], w->now_ns);
    rf_feed_free(c->feed);
    c->feed = NULL;
    memset(c->row, 0, w->n_keys * sizeof *c->row);
}
