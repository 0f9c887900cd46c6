/* feed_read.c - the calls of the feed: how many are under way, getMultipleAccounts for what is
 * dirty, getSlot where only a snapshot is wanted. Called by feed.c.
 *
 * Happy path: accounts wait on the list of the dirty; as many as one call takes go together, at a
 * floor that is "now"; what comes back is merged.
 * Failure modes: an answer from before the floor, or of another length, is refused whole; a call
 * that fails puts its accounts back in front; "max N" is learned; where one account spoils a call,
 * halving finds it, and it is asked for alone, and rarely, from then on. */
#include "feed/feed_int.h"

#include "base/mem.h"
#include "json/walk.h"

#define GOOD_READS 4 /* that double what one call may ask for again */

bool rf_feed_read_room(const struct rf_feed *f)
{
    return f->failed == RPCFAN_OK && f->n_reads < f->calls_max && f->now_ns >= f->pause_until_ns;
}

struct rf_feed_read *rf_feed_read_new(struct rf_feed *f, enum rf_feed_kind kind, uint32_t n)
{
    struct rf_feed_read *r = rf_alloc(sizeof *r + n * sizeof r->number[0]);
    if (r == NULL) {
        rf_feed_read_pause(f, RF_SEC);
        return NULL;
    }
    r->kind = kind;
    r->token = f->next_token++;
    r->sent_ns = f->now_ns;
    return r;
}

void rf_feed_read_send(struct rf_feed *f, struct rf_feed_read *r, const char *method,
                       struct rpcfan_slice params)
{
    struct rf_feed_call call = {.token = r->token,
                                .method = method,
                                .params = params,
                                .stream = r->kind == RF_FEED_ROWS,
                                .timeout_ns =
                                    r->kind == RF_FEED_ROWS ? RF_FEED_ROWS_NS : RF_FEED_TIMEOUT_NS};
    rf_list_push(&f->reads, &r->link);
    f->n_reads++;
    f->count.calls++;
    f->ops.call(f->ops.arg, &call);
}

struct rf_feed_read *rf_feed_read_find(const struct rf_feed *f, uint64_t token)
{
    for (struct rf_link *l = f->reads.next; l != &f->reads; l = l->next) {
        struct rf_feed_read *r = RF_CONTAINER(l, struct rf_feed_read, link);
        if (r->token == token)
            return r;
    }
    return NULL;
}

bool rf_feed_read_ripe(const struct rf_feed *f, uint64_t slot)
{
    return f->commitment != RPCFAN_FINALIZED || f->once || f->root >= slot;
}

uint64_t rf_feed_read_floor(const struct rf_feed *f, uint64_t need)
{
    return rf_min_u64(rf_max_u64(need, f->data_tip), f->tip + 1);
}

/* None of its accounts was read. */
static void give_back(struct rf_feed *f, const struct rf_feed_read *r)
{
    for (uint32_t i = r->n; i-- > 0;)
        rf_feed_dirty_end(f, r->number[i], false);
}

void rf_feed_read_accounts(struct rf_feed *f, struct rf_feed_read *r)
{
    uint64_t need = 0;
    for (uint32_t i = 0; i < r->n; i++)
        need = rf_max_u64(need, rf_feed_dirty_need(f, r->number[i]));
    r->floor = rf_feed_read_floor(f, need);
    struct rpcfan_slice params = rf_feed_params_accounts(f, r);
    if (params.len == 0) {
        give_back(f, r);
        rf_free(r);
        rf_feed_read_pause(f, RF_SEC);
        return;
    }
    f->count.repairs += r->why == RF_FEED_REPAIR ? r->n : 0;
    rf_feed_read_send(f, r, "getMultipleAccounts", params);
}

/* Reads under way that repair. */
static uint32_t repairs_out(const struct rf_feed *f)
{
    uint32_t n = 0;
    for (const struct rf_link *l = f->reads.next; l != &f->reads; l = l->next) {
        const struct rf_feed_read *r = RF_CONTAINER(l, struct rf_feed_read, link);
        n += r->kind == RF_FEED_ACCOUNTS && r->why == RF_FEED_REPAIR ? 1u : 0u;
    }
    return n;
}

static void read_dirty(struct rf_feed *f)
{
    /* Few that are dirty wait for others while some reads are out: so they go in larger calls. */
    while (rf_feed_read_room(f) && !f->pressed && f->dirty.n > 0 &&
           (f->dirty.n >= f->inputs_now || repairs_out(f) < 2)) {
        struct rf_feed_read *r = rf_feed_read_new(f, RF_FEED_ACCOUNTS, f->inputs_now);
        if (r == NULL)
            return;
        r->n = rf_feed_dirty_take(f, r->number, f->inputs_now);
        if (r->n == 0) {
            rf_free(r);
            return;
        }
        rf_feed_read_accounts(f, r);
    }
}

/* Those that spoil a call are asked for alone. */
static void read_bad(struct rf_feed *f)
{
    if (f->n_bad == 0 || f->now_ns < f->bad_ns || !rf_feed_read_room(f))
        return;
    f->bad_ns = f->now_ns + RF_SEC;
    for (uint32_t i = 0; i < f->keys.top; i++) {
        struct rf_key *e = rf_keys_at(&f->keys, i);
        if ((e->flags & RF_KEY_BAD) == 0 || (e->flags & RF_KEY_IN_FLIGHT) != 0 ||
            !rf_feed_read_ripe(f, rf_feed_dirty_need(f, i)))
            continue;
        struct rf_feed_read *r = rf_feed_read_new(f, RF_FEED_ACCOUNTS, 1);
        if (r == NULL)
            return;
        e->flags |= RF_KEY_IN_FLIGHT;
        r->number[r->n++] = i;
        rf_feed_read_accounts(f, r);
        return;
    }
}

static void ask_slot(struct rf_feed *f)
{
    if (!rf_feed_read_room(f) || f->n_reads > 0)
        return;
    struct rf_feed_read *r = rf_feed_read_new(f, RF_FEED_GET_SLOT, 0);
    if (r == NULL)
        return;
    struct rpcfan_slice params = rf_feed_params_slot(f);
    if (params.len == 0) {
        rf_free(r);
        rf_feed_read_pause(f, RF_SEC);
        return;
    }
    rf_feed_read_send(f, r, "getSlot", params);
}

void rf_feed_read_step(struct rf_feed *f)
{
    if (f->failed != RPCFAN_OK)
        return;
    if (f->once && f->once_slot == 0) {
        ask_slot(f);
        return;
    }
    rf_feed_lanes(f);
    rf_feed_walk_step(f);
    read_dirty(f);
    read_bad(f);
}

uint64_t rf_feed_read_deadline(const struct rf_feed *f)
{
    uint64_t due = f->lane_ns;
    bool wants = f->once && f->once_slot == 0;
    wants = wants || (f->dirty.n > 0 && !f->pressed && f->unripe_root <= f->root &&
                      (f->dirty.n >= f->inputs_now || repairs_out(f) < 2));
    if (f->n_bad > 0)
        due = rf_min_u64(due, f->bad_ns);
    if (wants && f->n_reads < f->calls_max && (!f->once || f->once_slot != 0 || f->n_reads == 0))
        due = rf_min_u64(due, f->pause_until_ns);
    return due;
}

static void slot_answer(struct rf_feed *f, const struct rf_feed_answer *a)
{
    uint64_t slot, wait;
    uint32_t told;
    if (a->err != RPCFAN_OK) {
        if (rf_feed_failure(f, a, 0, &wait, &told) != RF_FEED_FAIL_GIVE_UP)
            rf_feed_read_pause(f, RF_SEC);
        return;
    }
    if (!rf_walk_number(a->json, &slot) || !rf_feed_cover_slot(f, slot)) {
        f->count.malformed++;
        rf_feed_read_pause(f, RF_SEC);
        return;
    }
    f->ever_answered = true;
    f->failures = 0;
    f->once_slot = slot;
    for (uint32_t i = 0; !f->program && i < f->n_units; i++)
        rf_feed_dirty(f, i, 0);
}

/* It asked for too much, or for something that the node does not take. */
static void ask_less(struct rf_feed *f, const struct rf_feed_read *r, uint32_t told)
{
    if (told > 0 && told < f->inputs)
        f->inputs = told;
    if (told == 0 || told >= r->n)
        f->inputs_now = r->n > 1 ? r->n / 2 : 1;
    if (f->inputs_now > f->inputs)
        f->inputs_now = f->inputs;
    f->good_reads = 0;
    if (r->n > 1 || told > 0) {
        if (r->n == 1)
            rf_feed_read_pause(f, RF_SEC);
        give_back(f, r);
        return;
    }
    if (r->why == RF_FEED_REPAIR)
        rf_feed_dirty_bad(f, r->number[0]);
    else
        give_back(f, r);
}

static void read_failed(struct rf_feed *f, const struct rf_feed_read *r,
                        const struct rf_feed_answer *a)
{
    uint64_t wait;
    uint32_t told;
    switch (rf_feed_failure(f, a, r->floor, &wait, &told)) {
    case RF_FEED_FAIL_LESS:
    case RF_FEED_FAIL_PARAMS:
        ask_less(f, r, told);
        return;
    case RF_FEED_FAIL_REFUSED:
        rf_feed_read_pause(f, RF_SEC);
        break;
    default:
        break;
    }
    give_back(f, r);
}

/* One account of an answer. */
static void read_account(struct rf_feed *f, const struct rf_feed_read *r, uint32_t number,
                         struct rf_feed_news *n, struct rpcfan_slice json)
{
    struct rf_key *e = rf_keys_at(&f->keys, number);
    bool asked = (e->flags & (RF_KEY_DIRTY | RF_KEY_HELD)) != 0;
    bool covered = f->program ? f->n_incomplete == 0 : f->unit[number].complete;
    n->since = ((e->flags & RF_KEY_HELD) != 0 ? rf_feed_hold_of(f, e) : f->watermark) + 1;
    if (!rf_feed_data_found(f, number, json, n)) {
        f->count.malformed++;
        rf_feed_why(f, "an account that was read makes no sense");
        e->flags &= ~(uint32_t)(RF_KEY_IN_FLIGHT | RF_KEY_AGAIN | RF_KEY_MOVED);
        rf_feed_doubt(f, number);
        return;
    }
    bool was = (e->flags & RF_KEY_THERE) != 0, known = (e->flags & RF_KEY_KNOWN) != 0;
    enum rf_feed_merged what = rf_feed_merge(f, number, n);
    if (!f->program)
        rf_feed_cover_read(f, number, n->slot);
    rf_feed_dirty_end(f, number, true);
    /* What a program's subscription cannot tell, its end, is no fault of it. */
    if (what == RF_FEED_TAKEN && !asked && covered && known && r->why != RF_FEED_REPAIR &&
        (!f->program || (was && n->there)))
        rf_feed_check_found(f, number, n->slot);
}

static uint32_t count_elements(struct rpcfan_slice array)
{
    struct rf_walk w;
    struct rpcfan_slice v;
    uint32_t n = 0;
    if (!rf_walk_enter(&w, array, '['))
        return 0;
    while (rf_walk_element(&w, &v))
        n++;
    return n;
}

static void learn_good(struct rf_feed *f)
{
    f->ever_answered = true;
    f->failures = 0;
    f->behind_since_ns = 0;
    if (f->inputs_now < f->inputs && ++f->good_reads >= GOOD_READS) {
        f->good_reads = 0;
        f->inputs_now = f->inputs_now > f->inputs / 2 ? f->inputs : f->inputs_now * 2;
    }
}

static void accounts_answer(struct rf_feed *f, const struct rf_feed_read *r,
                            const struct rf_feed_answer *a)
{
    struct rf_feed_news n = {.blob = a->blob};
    struct rpcfan_slice value = {0}, json;
    struct rf_walk w;
    if (a->err != RPCFAN_OK) {
        read_failed(f, r, a);
        return;
    }
    if (!rf_feed_data_context(a->json, &n.slot, &value) || !rf_feed_cover_slot(f, n.slot) ||
        count_elements(value) != r->n || !rf_walk_enter(&w, value, '[')) {
        struct rf_feed_answer bad = {.err = RPCFAN_EMALFORMED, .endpoint = a->endpoint};
        f->count.malformed++;
        read_failed(f, r, &bad);
        return;
    }
    if (n.slot < r->floor) { /* whoever answered takes no heed of minContextSlot */
        f->count.stale += r->n;
        rf_feed_read_pause(f, rf_feed_read_wait(r->floor, n.slot));
        give_back(f, r);
        return;
    }
    learn_good(f);
    if (f->commitment != RPCFAN_PROCESSED)
        f->data_tip = rf_max_u64(f->data_tip, n.slot);
    for (uint32_t i = 0; i < r->n && rf_walk_element(&w, &json); i++)
        read_account(f, r, r->number[i], &n, json);
}

void rf_feed_read_answer(struct rf_feed *f, struct rf_feed_read *r, const struct rf_feed_answer *a)
{
    if (r->kind == RF_FEED_GET_SLOT)
        slot_answer(f, a);
    else
        accounts_answer(f, r, a);
}
