/* heads.c - newHeads without holes.
 *
 * `chain` is what was told and stands: each block the child of the one before. What came and does
 * not fit yet is in `pool`. The newest head is the goal: it is told once its ancestors lead down to
 * a block of the chain; what stands above that block has been replaced.
 *
 * Happy path: a head is the child of the chain's last block.
 * Failure modes: its parent is further down: a fork. Its parent is not known: fetched by hash, one
 * by one, while the hole is no longer than `depth`, and by numbers, many at a time, while it is. A
 * fork goes below the chain, or a block cannot be had: the hole stays, which is said (a GAP without
 * FILLED), and the chain begins anew. */
#include "feed/heads.h"

#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "feed/evm_json.h"
#include "feed/table.h"

/* Blocks of the chain that are remembered: no fork that is followed goes deeper. */
#define CHAIN_MAX 256
/* Blocks fetched by number at one time: the client makes batches of them. */
#define NUMBERS 32
/* Failures in a row after which a block is taken for not to be had. */
#define FAILURES 10
#define LATEST_TRIES 5

/* A block that does not lead down to the chain yet. */
struct orphan {
    struct rf_table_node by_hash;
    struct rf_link link;
    struct rf_evm_header h;
    struct rf_blob *blob;
    struct rpcfan_slice json;
    uint32_t endpoint;
};

/* A fetch under way. */
struct fetch {
    uint64_t token; /* 0: none */
    bool by_hash;
    uint64_t number;
    uint8_t hash[RF_EVM_HASH];
};

struct rf_heads {
    struct rf_evm_core *core;
    struct rf_evm_header chain[CHAIN_MAX]; /* a ring, oldest first */
    uint32_t first, n;
    struct rf_table pool;
    struct rf_link order; /* of the pool, oldest first */
    uint32_t pool_max;
    bool has_goal, has_aim;
    struct rf_evm_header goal; /* the newest head */
    struct rf_evm_header aim;  /* on the way to it: what was fetched by number */
    uint64_t lead;             /* the session that told the goal, or the last of the chain */
    struct fetch fetch[NUMBERS];
    uint32_t n_fetches, n_got, failures;
    uint64_t retry_ns; /* no fetch before */
    uint64_t latest_token, latest_ns;
    uint32_t latest_tries;
    bool heard; /* a head since the latest UP */
};

struct rf_heads *rf_heads_new(struct rf_evm_core *core)
{
    struct rf_heads *h = rf_alloc(sizeof *h);
    if (h == NULL || !rf_table_init(&h->pool)) {
        rf_free(h);
        return NULL;
    }
    h->core = core;
    rf_list_init(&h->order);
    if (core->o.depth > CHAIN_MAX - 2)
        core->o.depth = CHAIN_MAX - 2;
    h->pool_max = 4 * core->o.depth + 2 * NUMBERS;
    h->latest_ns = RF_NEVER;
    return h;
}

static void drop_orphan(struct rf_heads *h, struct orphan *o)
{
    rf_table_remove(&h->pool, &o->by_hash);
    rf_list_remove(&o->link);
    rf_blob_unref(o->blob);
    rf_free(o);
}

void rf_heads_free(struct rf_heads *h)
{
    if (h == NULL)
        return;
    while (!rf_list_empty(&h->order))
        drop_orphan(h, RF_CONTAINER(h->order.next, struct orphan, link));
    rf_table_fini(&h->pool);
    rf_free(h);
}

static struct rf_evm_header *at(struct rf_heads *h, uint32_t i)
{
    return &h->chain[(h->first + i) % CHAIN_MAX];
}

static struct rf_evm_header *tip(struct rf_heads *h)
{
    return at(h, h->n - 1);
}

/* The place of a block in the chain, or UINT32_MAX. */
static uint32_t find(struct rf_heads *h, const uint8_t hash[RF_EVM_HASH])
{
    for (uint32_t i = h->n; i-- > 0;)
        if (memcmp(at(h, i)->hash, hash, RF_EVM_HASH) == 0)
            return i;
    return UINT32_MAX;
}

static void push(struct rf_heads *h, const struct rf_evm_header *b)
{
    if (h->n == CHAIN_MAX)
        h->first = (h->first + 1) % CHAIN_MAX;
    else
        h->n++;
    *tip(h) = *b;
}

static uint64_t hash_of(const uint8_t hash[RF_EVM_HASH])
{
    uint64_t v;
    memcpy(&v, hash, sizeof v);
    return rf_hash_u64(v);
}

static struct orphan *find_orphan(const struct rf_heads *h, const uint8_t hash[RF_EVM_HASH])
{
    struct rf_table_node *n = rf_table_first(&h->pool, hash_of(hash));
    for (; n != NULL; n = rf_table_next(n)) {
        struct orphan *o = RF_CONTAINER(n, struct orphan, by_hash);
        if (memcmp(o->h.hash, hash, RF_EVM_HASH) == 0)
            return o;
    }
    return NULL;
}

/* Keep a block that is in neither chain nor pool. Without memory it will have to be fetched. */
static void keep(struct rf_heads *h, const struct rf_evm_header *head, struct rpcfan_slice json,
                 struct rf_blob *blob, uint32_t endpoint)
{
    struct orphan *o = rf_alloc(sizeof *o);
    if (o == NULL)
        return;
    if (h->pool.n >= h->pool_max)
        drop_orphan(h, RF_CONTAINER(h->order.next, struct orphan, link));
    o->h = *head;
    o->json = json;
    o->blob = blob;
    o->endpoint = endpoint;
    rf_blob_ref(blob, 1);
    rf_table_add(&h->pool, &o->by_hash, hash_of(head->hash));
    rf_list_push(&h->order, &o->link);
}

/* Telling. */

/* The chain's last block was replaced. @return false when out of memory: not told yet. */
static bool tell_replaced(struct rf_heads *h)
{
    struct rf_blob *blob = rf_evm_head_replaced(tip(h));
    if (blob == NULL)
        return false;
    struct rf_evm_told t = {.kind = RPCFAN_NOTE_DATA,
                            .json = {blob->data, blob->len},
                            .blob = blob,
                            .block = tip(h)->number,
                            .endpoint = h->core->endpoint};
    h->core->count.removed++;
    h->n--;
    rf_evm_tell(h->core, &t);
    rf_blob_unref(blob);
    return true;
}

static void tell_head(struct rf_heads *h, struct orphan *o)
{
    struct rf_evm_told t = {.kind = RPCFAN_NOTE_DATA,
                            .json = o->json,
                            .blob = o->blob,
                            .block = o->h.number,
                            .endpoint = o->endpoint};
    push(h, &o->h);
    rf_evm_tell(h->core, &t);
    drop_orphan(h, o);
}

/* A gap is closed once a head that was heard since is told. */
static void settle(struct rf_heads *h)
{
    if (h->heard && !h->has_goal && h->n_fetches == 0)
        rf_evm_tell_filled(h->core);
}

/* What is so old that nothing will lead to it. */
static void prune(struct rf_heads *h)
{
    struct rf_link *next;
    for (struct rf_link *l = h->order.next; l != &h->order; l = next) {
        next = l->next;
        struct orphan *o = RF_CONTAINER(l, struct orphan, link);
        if (o->h.number + h->core->o.depth < tip(h)->number)
            drop_orphan(h, o);
    }
}

/* Fetching. */

static void fetch_hash(struct rf_heads *h, const uint8_t hash[RF_EVM_HASH])
{
    char text[96];
    struct rf_buf b = {.data = text, .cap = sizeof text}; /* it is never outgrown */
    rf_buf_char(&b, '[');
    rf_evm_write_hash(&b, hash);
    rf_buf_str(&b, ",false]");
    struct fetch *f = &h->fetch[0];
    f->by_hash = true;
    memcpy(f->hash, hash, RF_EVM_HASH);
    h->n_fetches = 1;
    h->n_got = 0;
    f->token = rf_evm_call(h->core, "eth_getBlockByHash", (struct rpcfan_slice){b.data, b.len});
}

static void fetch_numbers(struct rf_heads *h, uint64_t from)
{
    h->n_fetches = NUMBERS;
    h->n_got = 0;
    for (uint32_t i = 0; i < NUMBERS; i++) {
        char text[48];
        struct rf_buf b = {.data = text, .cap = sizeof text};
        rf_buf_char(&b, '[');
        rf_evm_write_u64(&b, from + i);
        rf_buf_str(&b, ",false]");
        h->fetch[i].by_hash = false;
        h->fetch[i].number = from + i;
        h->fetch[i].token =
            rf_evm_call(h->core, "eth_getBlockByNumber", (struct rpcfan_slice){b.data, b.len});
    }
}

static void fetch_latest(struct rf_heads *h)
{
    static const char params[] = "[\"latest\",false]";
    h->latest_ns = RF_NEVER;
    h->latest_token = rf_evm_call(h->core, "eth_getBlockByNumber",
                                  (struct rpcfan_slice){params, sizeof params - 1});
}

/* Connecting. */

/* A way from a head down: `k` blocks of the pool, the lowest one last. */
struct way {
    struct orphan *block[CHAIN_MAX];
    uint32_t k;
    uint32_t to;                  /* the chain's block below, or UINT32_MAX: ... */
    uint8_t missing[RF_EVM_HASH]; /* ... this one is not known, or it is too long */
};

static void walk(struct rf_heads *h, const uint8_t hash[RF_EVM_HASH], struct way *w)
{
    memcpy(w->missing, hash, RF_EVM_HASH);
    for (w->k = 0; w->k < CHAIN_MAX; w->k++) {
        w->to = find(h, w->missing);
        if (w->to != UINT32_MAX)
            return;
        struct orphan *o = find_orphan(h, w->missing);
        if (o == NULL)
            return;
        w->block[w->k] = o;
        memcpy(w->missing, o->h.parent, RF_EVM_HASH);
    }
}

/* The way leads to the chain. @return false when out of memory; it goes on from there later. */
static bool adopt(struct rf_heads *h, struct way *w)
{
    while (h->n > w->to + 1)
        if (!tell_replaced(h))
            return false;
    for (uint32_t i = w->k; i-- > 0;)
        tell_head(h, w->block[i]);
    return true;
}

/* The hole cannot be closed: begin anew with what is there. @return as adopt(). */
static bool begin_anew(struct rf_heads *h, struct way *w, const char *why)
{
    uint64_t from = w->k > 0 ? w->block[w->k - 1]->h.number : 0;
    rf_log(h->core->o.log, RPCFAN_LOG_WARN, "RF-EVM-BROKEN sub=%s block=%llu why=\"%s\"",
           h->core->o.name, (unsigned long long)from, why);
    rf_evm_tell_gap(h->core, why);
    while (w->k > 0 && h->n > 0 && tip(h)->number >= from)
        if (!tell_replaced(h))
            return false;
    h->core->gap = false; /* it stays without FILLED */
    h->core->count.broken++;
    h->has_aim = false;
    if (w->k == 0)
        return true;
    h->n = 0;
    for (uint32_t i = w->k; i-- > 0;)
        tell_head(h, w->block[i]);
    return true;
}

static bool is_too_deep(struct rf_heads *h, const struct way *w)
{
    uint64_t low = w->k > 0 ? w->block[w->k - 1]->h.number : RF_NEVER;
    return w->k == CHAIN_MAX || low <= at(h, 0)->number || low + h->core->o.depth <= tip(h)->number;
}

/* One piece of the way to the goal. @return false where there is nothing to do now. */
static bool advance(struct rf_heads *h, uint64_t now_ns)
{
    struct way w;
    bool done = true;
    if (!h->has_goal || h->n_fetches > 0 || h->retry_ns > now_ns)
        return false;
    walk(h, h->has_aim ? h->aim.hash : h->goal.hash, &w);
    if (h->n == 0 && w.k > 0) { /* the first of all */
        w.k = 1;
        w.to = UINT32_MAX;
        tell_head(h, w.block[0]);
    } else if (w.k < CHAIN_MAX && w.to != UINT32_MAX) {
        done = adopt(h, &w);
    } else if (h->failures >= FAILURES || (w.k > 0 && h->n > 0 && is_too_deep(h, &w))) {
        done = begin_anew(
            h, &w, h->failures >= FAILURES ? "a block cannot be had" : "a fork goes too deep");
        h->failures = done ? 0 : h->failures;
        if (done && w.k == 0)
            h->has_goal = false;
    } else if (w.k > 0 && h->n > 0 &&
               w.block[w.k - 1]->h.number > tip(h)->number + h->core->o.depth) {
        fetch_numbers(h, tip(h)->number + 1);
        return false;
    } else {
        fetch_hash(h, w.missing);
        return false;
    }
    if (!done) {
        h->retry_ns = rf_time_add(now_ns, RF_EVM_FIRST_WAIT_NS);
        return false;
    }
    if (h->has_aim && find(h, h->aim.hash) != UINT32_MAX)
        h->has_aim = false;
    if (h->has_goal && find(h, h->goal.hash) != UINT32_MAX)
        h->has_goal = h->has_aim = false;
    prune(h);
    return true;
}

static void connect(struct rf_heads *h, uint64_t now_ns)
{
    while (advance(h, now_ns))
        continue;
    settle(h);
    h->core->count.kept = h->n + h->pool.n;
}

/* A head was told or read. Of two nodes that differ, the one that is ahead leads. */
static void hear(struct rf_heads *h, const struct rf_evm_header *head, uint64_t session,
                 uint64_t now_ns)
{
    uint64_t best = h->has_goal ? h->goal.number : h->n > 0 ? tip(h)->number : 0;
    h->heard = true;
    bool behind = (h->n > 0 || h->has_goal) && head->number <= best;
    if (find(h, head->hash) == UINT32_MAX && (!behind || session == h->lead || h->lead == 0 ||
                                              rf_evm_session(h->core, h->lead) == NULL)) {
        h->goal = *head;
        h->has_goal = true;
        h->lead = session;
    }
    connect(h, now_ns);
}

void rf_heads_data(struct rf_heads *h, const struct rf_note *note, uint64_t now_ns)
{
    struct rf_evm_header head;
    if (!rf_evm_read_header(note->json, &head)) {
        h->core->count.malformed++;
        return;
    }
    if (find(h, head.hash) != UINT32_MAX || find_orphan(h, head.hash) != NULL)
        h->core->count.twice++;
    else
        keep(h, &head, note->json, note->blob, note->endpoint);
    hear(h, &head, note->session, now_ns);
}

void rf_heads_up(struct rf_heads *h, uint64_t now_ns)
{
    (void)now_ns;
    h->heard = false;
    h->latest_tries = 0;
    h->failures = 0;
    if (h->n > 0)
        fetch_latest(h);
    else
        h->core->gap = false; /* nothing was told yet: it is not known what the gap held */
}

static bool is_null(struct rpcfan_slice json)
{
    return json.len == 4 && memcmp(json.data, "null", 4) == 0;
}

/* A block was fetched. @return false where there is none, or not the one that was asked for. */
static bool take_block(struct rf_heads *h, const struct rf_feed_answer *a, const struct fetch *f,
                       struct rf_evm_header *head)
{
    if (a->err != RPCFAN_OK || is_null(a->json) || !rf_evm_read_header(a->json, head))
        return false;
    if (f != NULL &&
        (f->by_hash ? memcmp(head->hash, f->hash, RF_EVM_HASH) != 0 : head->number != f->number))
        return false;
    if (find(h, head->hash) != UINT32_MAX || find_orphan(h, head->hash) != NULL)
        return true;
    struct rf_blob *blob = rf_evm_strip(a->json);
    if (blob == NULL)
        return false;
    keep(h, head, (struct rpcfan_slice){blob->data, blob->len}, blob, RF_EVM_FETCHED);
    rf_blob_unref(blob);
    return true;
}

static void answer_latest(struct rf_heads *h, const struct rf_feed_answer *a, uint64_t now_ns)
{
    struct rf_evm_header head;
    h->latest_token = 0;
    if (take_block(h, a, NULL, &head))
        hear(h, &head, 0, now_ns);
    else if (++h->latest_tries < LATEST_TRIES)
        h->latest_ns = rf_time_add(now_ns, rf_evm_wait(h->core, h->latest_tries));
}

static void answer_fetch(struct rf_heads *h, struct fetch *f, const struct rf_feed_answer *a,
                         uint64_t now_ns)
{
    struct rf_evm_header head;
    bool got = take_block(h, a, f, &head);
    f->token = 0;
    h->n_fetches--;
    if (got) {
        h->n_got++;
        if (!f->by_hash && (!h->has_aim || head.number > h->aim.number)) {
            h->aim = head;
            h->has_aim = true;
        }
    }
    if (h->n_fetches > 0)
        return;
    if (h->n_got > 0) {
        h->failures = 0;
    } else {
        /* While nothing stands, nothing is given up: the network may be down as a whole. */
        if (rf_evm_covered(h->core) || h->failures + 1 < FAILURES)
            h->failures++;
        h->has_aim = false;
        h->retry_ns = rf_time_add(now_ns, rf_evm_wait(h->core, h->failures));
    }
    connect(h, now_ns);
}

void rf_heads_answer(struct rf_heads *h, uint64_t token, const struct rf_feed_answer *a,
                     uint64_t now_ns)
{
    if (token == 0)
        return;
    if (token == h->latest_token) {
        answer_latest(h, a, now_ns);
        return;
    }
    for (uint32_t i = 0; i < NUMBERS; i++) {
        if (h->fetch[i].token == token) {
            answer_fetch(h, &h->fetch[i], a, now_ns);
            return;
        }
    }
}

void rf_heads_step(struct rf_heads *h, uint64_t now_ns)
{
    if (h->latest_ns <= now_ns)
        fetch_latest(h);
    connect(h, now_ns);
}

uint64_t rf_heads_deadline(const struct rf_heads *h)
{
    uint64_t due = h->has_goal && h->n_fetches == 0 ? h->retry_ns : RF_NEVER;
    return rf_min_u64(due, h->latest_ns);
}
