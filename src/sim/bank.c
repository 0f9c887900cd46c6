/* bank.c - the bank tree. Versions of an account are appended, as slots rise; they are cut where
 * an array is full, so that 10^6 slots take the memory of the window and the history. */
#include "sim/bank.h"

#include <string.h>

#include "base/base58.h"
#include "base/mem.h"

#define RING (2 * RF_BANK_SPAN)

bool rf_banks_init(struct rf_banks *b, uint64_t history)
{
    *b = (struct rf_banks){.history = history};
    b->ring = rf_alloc(RING * sizeof *b->ring);
    return b->ring != NULL;
}

void rf_banks_fini(struct rf_banks *b)
{
    for (uint32_t i = 0; i < b->n_keys; i++)
        rf_free(b->key[i].version);
    for (uint32_t i = 0; b->ring != NULL && i < RING; i++)
        rf_free(b->ring[i].wrote);
    rf_free(b->key);
    rf_free(b->index);
    rf_free(b->ring);
    *b = (struct rf_banks){0};
}

static uint64_t spread(const uint8_t id[32])
{
    uint64_t h;
    memcpy(&h, id, sizeof h);
    h *= UINT64_C(0x9e3779b97f4a7c15);
    return h ^ (h >> 29);
}

static void index_put(struct rf_banks *b, uint32_t key)
{
    uint64_t at = spread(b->key[key].id) & (b->n_index - 1);
    while (b->index[at] != 0)
        at = (at + 1) & (b->n_index - 1);
    b->index[at] = key + 1;
}

/* Room for one more key, in the array and, at half load, in the table. */
static bool grow_keys(struct rf_banks *b)
{
    if (b->n_keys == b->cap_keys) {
        uint32_t cap = b->cap_keys == 0 ? 64 : 2 * b->cap_keys;
        void *p = rf_realloc(b->key, cap * sizeof *b->key);
        if (p == NULL)
            return false;
        b->key = p;
        b->cap_keys = cap;
    }
    if (2 * (b->n_keys + 1) <= b->n_index)
        return true;
    uint32_t n = b->n_index == 0 ? 256 : 2 * b->n_index;
    uint32_t *table = rf_alloc(n * sizeof *table);
    if (table == NULL)
        return false;
    rf_free(b->index);
    b->index = table;
    b->n_index = n;
    for (uint32_t i = 0; i < b->n_keys; i++)
        index_put(b, i);
    return true;
}

uint32_t rf_banks_add_key(struct rf_banks *b, const uint8_t id[32], uint16_t home)
{
    if (!grow_keys(b))
        return RF_BANK_NONE;
    struct rf_bank_key *k = &b->key[b->n_keys];
    *k = (struct rf_bank_key){.home = home};
    memcpy(k->id, id, 32);
    k->text_len = (uint8_t)rf_base58_encode(id, 32, k->text);
    index_put(b, b->n_keys);
    return b->n_keys++;
}

uint32_t rf_banks_find(const struct rf_banks *b, const uint8_t id[32])
{
    if (b->n_index == 0)
        return RF_BANK_NONE;
    uint64_t at = spread(id) & (b->n_index - 1);
    for (; b->index[at] != 0; at = (at + 1) & (b->n_index - 1))
        if (memcmp(b->key[b->index[at] - 1].id, id, 32) == 0)
            return b->index[at] - 1;
    return RF_BANK_NONE;
}

/* The ancestors of a child: those of its parent, further back by the difference, and itself. */
static void inherit(struct rf_bank *child, const struct rf_bank *parent)
{
    uint64_t by = child->slot - parent->slot, word = by / 64, bit = by % 64;
    memset(child->ancestor, 0, sizeof child->ancestor);
    for (uint64_t i = RF_BANK_SPAN / 64; i-- > word;) {
        child->ancestor[i] = parent->ancestor[i - word] << bit;
        if (bit > 0 && i > word)
            child->ancestor[i] |= parent->ancestor[i - word - 1] >> (64 - bit);
    }
    child->ancestor[0] |= 1;
}

struct rf_bank *rf_banks_create(struct rf_banks *b, uint64_t slot, uint64_t parent)
{
    struct rf_bank *bank = &b->ring[slot % RING];
    const struct rf_bank *up = slot == parent ? NULL : &b->ring[parent % RING];
    bank->slot = slot;
    bank->parent = parent;
    bank->height = up == NULL ? slot : up->height + 1;
    bank->used = true;
    bank->frozen = false;
    bank->n_wrote = 0;
    if (up != NULL) {
        inherit(bank, up);
    } else {
        memset(bank->ancestor, 0, sizeof bank->ancestor);
        bank->ancestor[0] = 1;
        b->tip = b->confirmed = b->root = b->floor = slot;
    }
    return bank;
}

/* Forget what lies below the history and has been replaced. */
static void cut(struct rf_banks *b, struct rf_bank_key *k)
{
    uint64_t limit = rf_time_sub(b->floor, b->history);
    uint32_t keep = 0;
    for (uint32_t i = 0; i < k->n && k->version[i].slot <= limit; i++)
        if (!k->version[i].orphan)
            keep = i;
    if (keep == 0)
        return;
    memmove(k->version, k->version + keep, (k->n - keep) * sizeof *k->version);
    k->n -= keep;
    k->cut = true;
    b->versions -= keep;
}

/* Room for one more version; an array that stays more than half full after the cut is doubled. */
static bool grow_versions(struct rf_banks *b, struct rf_bank_key *k)
{
    if (k->n < k->cap)
        return true;
    cut(b, k);
    if (2 * k->n < k->cap)
        return true;
    uint32_t cap = k->cap == 0 ? 1 : 2 * k->cap;
    void *p = rf_realloc(k->version, cap * sizeof *k->version);
    if (p == NULL)
        return k->n < k->cap;
    k->version = p;
    k->cap = cap;
    return true;
}

static bool grow_wrote(struct rf_bank *bank)
{
    if (bank->n_wrote < bank->cap_wrote)
        return true;
    uint32_t cap = bank->cap_wrote == 0 ? 16 : 2 * bank->cap_wrote;
    void *p = rf_realloc(bank->wrote, cap * sizeof *bank->wrote);
    if (p == NULL)
        return false;
    bank->wrote = p;
    bank->cap_wrote = cap;
    return true;
}

void rf_banks_write(struct rf_banks *b, struct rf_bank *bank, uint32_t key,
                    const struct rf_bank_state *s)
{
    struct rf_bank_key *k = &b->key[key];
    if (k->n > 0 && k->version[k->n - 1].slot == bank->slot)
        return;
    if (!grow_versions(b, k) || !grow_wrote(bank)) {
        b->no_memory++;
        return;
    }
    k->version[k->n] = *s;
    k->version[k->n].slot = bank->slot;
    k->version[k->n++].orphan = false;
    bank->wrote[bank->n_wrote++] = key;
    b->versions++;
}

/* What an abandoned bank wrote is only remembered. */
static void orphan(struct rf_banks *b, const struct rf_bank *bank)
{
    for (uint32_t i = 0; i < bank->n_wrote; i++) {
        struct rf_bank_key *k = &b->key[bank->wrote[i]];
        for (uint32_t j = k->n; j-- > 0 && k->version[j].slot >= bank->slot;)
            if (k->version[j].slot == bank->slot)
                k->version[j].orphan = true;
    }
}

void rf_banks_set_root(struct rf_banks *b, uint64_t slot)
{
    const struct rf_bank *root = rf_banks_get(b, slot);
    for (uint64_t s = b->root + 1; root != NULL && s < slot; s++) {
        struct rf_bank *bank = rf_banks_get(b, s);
        if (bank != NULL && !rf_bank_on_chain(root, s))
            orphan(b, bank);
    }
    b->root = slot;
}

void rf_banks_set_floor(struct rf_banks *b, uint64_t slot)
{
    b->floor = slot;
}

struct rf_bank *rf_banks_get(const struct rf_banks *b, uint64_t slot)
{
    struct rf_bank *bank = &b->ring[slot % RING];
    return slot >= b->floor && bank->used && bank->slot == slot ? bank : NULL;
}

bool rf_bank_on_chain(const struct rf_bank *bank, uint64_t slot)
{
    uint64_t back = bank->slot - slot;
    return slot <= bank->slot && back < RF_BANK_SPAN &&
           (bank->ancestor[back / 64] >> (back % 64) & 1) != 0;
}

/* Whether a version is of the bank's chain. Farther back than the bits reach all is rooted. */
bool rf_banks_of_chain(const struct rf_bank *bank, const struct rf_bank_state *s)
{
    if (s->slot <= bank->slot && bank->slot - s->slot >= RF_BANK_SPAN)
        return !s->orphan;
    return rf_bank_on_chain(bank, s->slot);
}

const struct rf_bank_state *rf_banks_state(const struct rf_banks *b, const struct rf_bank *bank,
                                           uint32_t key)
{
    const struct rf_bank_key *k = &b->key[key];
    for (uint32_t i = k->n; i-- > 0;)
        if (rf_banks_of_chain(bank, &k->version[i]))
            return &k->version[i];
    return NULL;
}

struct rf_bank *rf_banks_at(const struct rf_banks *b, enum rpcfan_commitment c)
{
    return rf_banks_get(b, c == RPCFAN_PROCESSED   ? b->tip
                           : c == RPCFAN_FINALIZED ? b->root
                                                   : b->confirmed);
}

bool rf_banks_held(const struct rf_banks *b, const struct rf_bank *bank, uint32_t key,
                   uint64_t from, rf_bank_is is, void *arg)
{
    const struct rf_bank_key *k = &b->key[key];
    for (uint32_t i = k->n; i-- > 0;) {
        if (!rf_banks_of_chain(bank, &k->version[i]))
            continue;
        if (is(arg, &k->version[i]))
            return true;
        if (k->version[i].slot <= from)
            return false; /* what came before it had ended by then */
    }
    return !k->cut && is(arg, NULL);
}

bool rf_banks_ever(const struct rf_banks *b, uint32_t key, rf_bank_is is, void *arg)
{
    const struct rf_bank_key *k = &b->key[key];
    for (uint32_t i = k->n; i-- > 0;)
        if (is(arg, &k->version[i]))
            return true;
    return !k->cut && is(arg, NULL);
}

static bool has_hash(void *arg, const struct rf_bank_state *s)
{
    return (s == NULL ? 0 : s->hash) == *(const uint64_t *)arg;
}

bool rf_banks_existed(const struct rf_banks *b, uint32_t key, uint64_t hash,
                      enum rpcfan_commitment c)
{
    if (c == RPCFAN_PROCESSED)
        return rf_banks_ever(b, key, has_hash, &hash);
    return rf_banks_held(b, rf_banks_at(b, c), key, 0, has_hash, &hash);
}
