/* feed_forks.c - processed feeds: which slot is of which fork, and whose state stands on one that
 * was left.
 *
 * A slot note tells of a bank that begins and its parent, on whatever fork; notifications of the
 * processed subscriptions tell which of them the node has chosen. When either shows a tip that does
 * not stand on the last one, the accounts whose state is of the branch that was left, or older than
 * what is known of the new one, are read. A program's subscription leaves banks out, so that those
 * of a small one are all listed then; of a large one what was left out comes when it is confirmed.
 * When a root is
 * told, those whose state is of a slot at or below it that is not of its chain are read too: a read
 * that was answered by a node on another fork is found at the latest then.
 *
 * What has changed lately is a log of (account, slot) down to the root. Where there is no memory
 * for it, all accounts are looked through at the next root. Called by feed_cover and feed_data. */
#include "feed/feed_int.h"

#include "base/mem.h"

#define NODES 2048 /* slots that are remembered */
#define LOG_MOST (1u << 20)
#define BRANCH_MOST 256 /* slots of a branch that are looked at */
#define WALK_MOST 1000  /* accounts of a program that are all listed when a fork is left */

struct node {
    uint64_t slot, parent;
    bool rooted;
};

struct entry {
    uint64_t slot;
    uint32_t number;
};

struct rf_feed_forks {
    struct node node[NODES];
    struct entry *log; /* owned */
    uint32_t n, cap;
    uint64_t lead; /* the session whose notes are followed */
    uint64_t tip, root;
    bool astray;   /* a state may be of a slot that the next tip is not above */
    uint64_t lost; /* news up to this slot may not be in the log; 0: all are */
};

bool rf_feed_forks_init(struct rf_feed *f)
{
    f->forks = rf_alloc(sizeof *f->forks);
    return f->forks != NULL;
}

void rf_feed_forks_fini(struct rf_feed *f)
{
    if (f->forks != NULL)
        rf_free(f->forks->log);
    rf_free(f->forks);
}

static struct node *node_of(struct rf_feed_forks *k, uint64_t slot)
{
    struct node *n = &k->node[slot % NODES];
    return slot != 0 && n->slot == slot ? n : NULL;
}

/* Whether `slot` is `tip` or one of its ancestors. */
static bool is_of(struct rf_feed_forks *k, uint64_t slot, uint64_t tip)
{
    for (unsigned i = 0; i < BRANCH_MOST && tip > slot; i++) {
        const struct node *n = node_of(k, tip);
        if (n == NULL || n->parent >= tip)
            return false;
        tip = n->parent;
    }
    return tip == slot;
}

static void read_again(struct rf_feed *f, uint32_t number, uint64_t slot)
{
    struct rf_key *e = rf_keys_at(&f->keys, number);
    if ((e->flags & RF_KEY_USED) == 0 || (e->flags & RF_KEY_KNOWN) == 0 || e->slot != slot)
        return; /* later news came */
    rf_feed_dirty(f, number, f->covered);
    e->flags |= RF_KEY_FORKED;
}

/* The newest slot that both have below them; 0: not known. */
static uint64_t fork_point(struct rf_feed_forks *k, uint64_t a, uint64_t b)
{
    for (unsigned i = 0; i < 2 * BRANCH_MOST && a != b; i++) {
        const struct node *n = node_of(k, a > b ? a : b);
        if (n == NULL || n->parent >= n->slot)
            return 0;
        if (a > b)
            a = n->parent;
        else
            b = n->parent;
    }
    return a == b ? a : 0;
}

/* Whether a slot is of another branch: neither below the tip nor, as nodes that are read may be
 * ahead, above it. What has not been heard of yet is not. */
static bool elsewhere(struct rf_feed_forks *k, uint64_t slot, uint64_t tip)
{
    return slot > tip ? node_of(k, slot) != NULL && !is_of(k, tip, slot) : !is_of(k, slot, tip);
}

/* Another tip. Of what was written since the forks part, an account's state holds if it is of the
 * new branch, and none that is known of this branch came after it. */
static void follow(struct rf_feed *f, uint64_t tip)
{
    struct rf_feed_forks *k = f->forks;
    uint64_t old = k->tip;
    bool left = old != 0 && !is_of(k, old, tip), astray = false;
    k->tip = tip;
    if (tip == old || (!left && !k->astray))
        return;
    uint64_t from = k->astray ? k->root : rf_max_u64(fork_point(k, old, tip), k->root);
    for (uint32_t i = 0; i < k->n; i++) {
        uint32_t number = k->log[i].number;
        uint64_t slot = k->log[i].slot, known = rf_keys_at(&f->keys, number)->slot;
        if (slot <= from)
            continue;
        if (elsewhere(k, known, tip) || (known < slot && is_of(k, slot, tip)))
            read_again(f, number, known);
        astray = astray || known > tip;
    }
    k->astray = astray; /* the others are being read */
    if (left && f->program && f->there <= WALK_MOST)
        f->walk.again = true;
}

/* Which session leads: the first that is heard, as long as it is there. */
static bool leads(struct rf_feed *f, uint64_t session)
{
    struct rf_feed_forks *k = f->forks;
    if (k->lead == session)
        return true;
    for (uint32_t i = 0; i < f->n_sessions; i++) {
        if (f->session[i]->id == k->lead)
            return false;
    }
    k->lead = session;
    return true;
}

static void mark_chain(struct rf_feed_forks *k, uint64_t root)
{
    struct node *n;
    for (unsigned i = 0; i < NODES && (n = node_of(k, root)) != NULL && !n->rooted; i++) {
        n->rooted = true;
        if (n->parent >= root)
            return;
        root = n->parent;
    }
}

static void check_all(struct rf_feed *f)
{
    struct rf_feed_forks *k = f->forks;
    for (uint32_t i = 0; i < f->keys.top; i++) {
        const struct rf_key *e = rf_keys_at(&f->keys, i);
        const struct node *n = node_of(k, e->slot);
        if ((e->flags & RF_KEY_USED) == 0 || (e->flags & RF_KEY_KNOWN) == 0)
            continue;
        if (e->slot <= k->root && e->slot + NODES / 2 > k->root && (n == NULL || !n->rooted))
            read_again(f, i, e->slot);
    }
    if (k->lost <= k->root)
        k->lost = 0;
}

/* A root: the log below it is done with. */
static void settle_root(struct rf_feed *f, uint64_t root)
{
    struct rf_feed_forks *k = f->forks;
    uint32_t kept = 0;
    if (root <= k->root)
        return;
    k->root = root;
    f->data_tip = rf_max_u64(f->data_tip, root); /* a fork may be left for any slot above it */
    mark_chain(k, root);
    for (uint32_t i = 0; i < k->n; i++) {
        struct entry e = k->log[i];
        const struct node *n = node_of(k, e.slot);
        if (e.slot > root)
            k->log[kept++] = e;
        else if (n == NULL || !n->rooted)
            read_again(f, e.number, e.slot);
    }
    k->n = kept;
    if (k->lost != 0)
        check_all(f);
}

void rf_feed_forks_slot(struct rf_feed *f, const struct rf_note *n)
{
    struct rf_feed_forks *k = f->forks;
    struct node *at = &k->node[n->slot % NODES];
    if (at->slot != n->slot)
        *at = (struct node){.slot = n->slot, .parent = n->parent};
    if (n->root != 0 && n->root <= n->slot)
        settle_root(f, n->root);
    /* This one has only begun, but its parent is done, and the tip unless a later one stands on it.
     */
    if (leads(f, n->session) && node_of(k, n->parent) != NULL && !is_of(k, n->parent, k->tip))
        follow(f, n->parent);
}

void rf_feed_forks_tip(struct rf_feed *f, uint64_t session, uint64_t slot)
{
    if (leads(f, session) && slot > f->forks->root && node_of(f->forks, slot) != NULL)
        follow(f, slot);
}

void rf_feed_forks_log(struct rf_feed *f, uint32_t number, uint64_t slot)
{
    struct rf_feed_forks *k = f->forks;
    if (k->n == k->cap && k->cap < LOG_MOST) {
        uint32_t cap = k->cap == 0 ? 1024 : k->cap * 2;
        struct entry *grown = rf_realloc(k->log, cap * sizeof *grown);
        if (grown != NULL) {
            k->log = grown;
            k->cap = cap;
        }
    }
    if (slot > k->root && !is_of(k, slot, k->tip))
        k->astray = true;
    if (k->n == k->cap)
        k->lost = rf_max_u64(k->lost, slot);
    else
        k->log[k->n++] = (struct entry){slot, number};
}
