/* keys.c - the table of accounts: linear probing over numbers at a load of at most one half, and
 * removal that moves back what follows, so that no mark of what was removed stays behind. */
#include "feed/keys.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

#define SLAB 1024
#define INDEX_FIRST 256

static uint64_t word_at(const uint8_t *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

static uint64_t mix(uint64_t h)
{
    h *= UINT64_C(0xbf58476d1ce4e5b9);
    h ^= h >> 29;
    h *= UINT64_C(0x94d049bb133111eb);
    return h ^ h >> 32;
}

static uint32_t hash_of(const struct rf_keys *k, const uint8_t key[32])
{
    uint64_t h = mix(word_at(key) ^ k->salt[0]);
    h = mix(h + (word_at(key + 8) ^ k->salt[1]));
    h = mix(h + word_at(key + 16));
    h = mix(h + word_at(key + 24));
    return (uint32_t)h;
}

bool rf_keys_init(struct rf_keys *k, uint64_t seed)
{
    struct rf_rng rng;
    *k = (struct rf_keys){.free = RF_KEY_NONE};
    rf_rng_init(&rng, seed);
    k->salt[0] = rf_rng_next(&rng);
    k->salt[1] = rf_rng_next(&rng);
    k->index = rf_alloc(INDEX_FIRST * sizeof k->index[0]);
    k->index_mask = INDEX_FIRST - 1;
    return k->index != NULL;
}

void rf_keys_fini(struct rf_keys *k)
{
    for (uint32_t i = 0; i < k->slabs; i++)
        rf_free(k->slab[i]);
    rf_free(k->slab);
    rf_free(k->index);
    *k = (struct rf_keys){.free = RF_KEY_NONE};
}

struct rf_key *rf_keys_at(const struct rf_keys *k, uint32_t number)
{
    return &k->slab[number / SLAB][number % SLAB];
}

/* The place in the index where a key is, or where it would go. */
static uint32_t place_of(const struct rf_keys *k, const uint8_t key[32])
{
    uint32_t i = hash_of(k, key) & k->index_mask;
    while (k->index[i] != 0 && memcmp(rf_keys_at(k, k->index[i] - 1)->key, key, 32) != 0)
        i = (i + 1) & k->index_mask;
    return i;
}

uint32_t rf_keys_find(const struct rf_keys *k, const uint8_t key[32])
{
    uint32_t found = k->index[place_of(k, key)];
    return found == 0 ? RF_KEY_NONE : found - 1;
}

static bool grow_index(struct rf_keys *k)
{
    uint64_t size = ((uint64_t)k->index_mask + 1) * 2;
    if ((uint64_t)(k->n + 1) * 2 <= size / 2)
        return true;
    if (size > UINT32_MAX / 2)
        return false;
    uint32_t *old = k->index, old_size = k->index_mask + 1;
    uint32_t *grown = rf_alloc((size_t)size * sizeof grown[0]);
    if (grown == NULL)
        return false;
    k->index = grown;
    k->index_mask = (uint32_t)(size - 1);
    for (uint32_t i = 0; i < old_size; i++) {
        if (old[i] != 0)
            k->index[place_of(k, rf_keys_at(k, old[i] - 1)->key)] = old[i];
    }
    rf_free(old);
    return true;
}

static bool grow_slabs(struct rf_keys *k)
{
    if (k->free != RF_KEY_NONE || k->top < k->slabs * SLAB)
        return true;
    if (k->slabs == k->slabs_cap) {
        uint32_t cap = k->slabs_cap == 0 ? 16 : k->slabs_cap * 2;
        if (cap > UINT32_MAX / SLAB / 2)
            return false;
        struct rf_key **slab = rf_realloc(k->slab, cap * sizeof(struct rf_key *));
        if (slab == NULL)
            return false;
        k->slab = slab;
        k->slabs_cap = cap;
    }
    struct rf_key *fresh = rf_alloc(SLAB * sizeof *fresh);
    if (fresh == NULL)
        return false;
    k->slab[k->slabs++] = fresh;
    return true;
}

uint32_t rf_keys_add(struct rf_keys *k, const uint8_t key[32], bool *added)
{
    uint32_t at = place_of(k, key);
    *added = false;
    if (k->index[at] != 0)
        return k->index[at] - 1;
    if (!grow_slabs(k) || !grow_index(k))
        return RF_KEY_NONE;
    uint32_t number = k->free;
    if (number != RF_KEY_NONE)
        k->free = rf_keys_at(k, number)->next;
    else
        number = k->top++;
    struct rf_key *e = rf_keys_at(k, number);
    *e = (struct rf_key){.next = RF_KEY_NONE, .flags = RF_KEY_USED};
    memcpy(e->key, key, 32);
    k->index[place_of(k, key)] = number + 1;
    k->n++;
    *added = true;
    return number;
}

void rf_keys_remove(struct rf_keys *k, uint32_t number)
{
    struct rf_key *e = rf_keys_at(k, number);
    uint32_t hole = place_of(k, e->key);
    for (uint32_t i = (hole + 1) & k->index_mask; k->index[i] != 0; i = (i + 1) & k->index_mask) {
        uint32_t home = hash_of(k, rf_keys_at(k, k->index[i] - 1)->key) & k->index_mask;
        /* It may fill the hole where the hole lies between its home and its place. */
        if (((i - home) & k->index_mask) >= ((i - hole) & k->index_mask)) {
            k->index[hole] = k->index[i];
            hole = i;
        }
    }
    k->index[hole] = 0;
    e->flags = 0;
    e->next = k->free;
    k->free = number;
    k->n--;
}
