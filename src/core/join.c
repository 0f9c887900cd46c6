/* join.c - a hash table of fixed size with chains through its elements. */
#include "core/join.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

#define BUCKETS_MIN 16
#define BUCKETS_MAX (UINT64_C(1) << 20) /* 8 MiB; beyond, the chains grow */

/* A word at a time. Each step can be undone, so two tails that differ in one word never meet before
 * the end; the shifts carry the high bits, which a product fills best, down to where the bucket's
 * number is read. */
static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * UINT64_C(0xd6e8feb86659fd93);
    return h ^ h >> 32;
}

static uint64_t hash_of(uint64_t salt, const char *tail, size_t len)
{
    uint64_t h = mix(mix(UINT64_C(0x5851f42d4c957f2d), salt), len);
    for (; len >= sizeof(uint64_t); tail += sizeof(uint64_t), len -= sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, tail, sizeof word);
        h = mix(h, word);
    }
    if (len > 0) {
        uint64_t word = 0; /* what it is filled up with is told by the length */
        memcpy(&word, tail, len);
        h = mix(h, word);
    }
    return mix(h, h >> 29);
}

bool rf_join_init(struct rf_join *j, uint32_t max)
{
    *j = (struct rf_join){0};
    if (max == 0)
        return true;
    uint64_t buckets = BUCKETS_MIN;
    while (buckets < max && buckets < BUCKETS_MAX)
        buckets *= 2;
    j->bucket = rf_alloc(buckets * sizeof j->bucket[0]);
    if (j->bucket == NULL)
        return false;
    j->mask = buckets - 1;
    j->max = max;
    return true;
}

void rf_join_fini(struct rf_join *j)
{
    rf_free(j->bucket);
    *j = (struct rf_join){0};
}

static struct rf_join_node *find(const struct rf_join *j, uint64_t hash, uint64_t salt,
                                 const char *tail, size_t len)
{
    struct rf_join_node *n = j->bucket[hash & j->mask];
    for (; n != NULL; n = n->next) {
        if (n->hash == hash && n->salt == salt && n->len == len &&
            (len == 0 || memcmp(n->tail, tail, len) == 0))
            return n;
    }
    return NULL;
}

struct rf_join_node *rf_join_find(const struct rf_join *j, uint64_t salt, const char *tail,
                                  size_t len)
{
    return j->n > 0 ? find(j, hash_of(salt, tail, len), salt, tail, len) : NULL;
}

/* Make `n` the one that `link` points to, in front of `next`. */
static void put(struct rf_join_node *n, struct rf_join_node **link, struct rf_join_node *next)
{
    n->link = link;
    n->next = next;
    *link = n;
    if (next != NULL)
        next->link = &n->next;
}

bool rf_join_add(struct rf_join *j, struct rf_join_node *n, uint64_t salt, const char *tail,
                 size_t len)
{
    if (n->link != NULL || j->n >= j->max)
        return false;
    uint64_t hash = hash_of(salt, tail, len);
    if (find(j, hash, salt, tail, len) != NULL)
        return false;
    n->hash = hash;
    n->salt = salt;
    n->tail = tail;
    n->len = len;
    put(n, &j->bucket[hash & j->mask], j->bucket[hash & j->mask]);
    j->n++;
    return true;
}

void rf_join_replace(struct rf_join *j, struct rf_join_node *from, struct rf_join_node *to,
                     const char *tail)
{
    if (from->link == NULL || to->link != NULL)
        return;
    assert(j->n > 0 && (from->len == 0 || memcmp(from->tail, tail, from->len) == 0));
    (void)j;
    to->hash = from->hash;
    to->salt = from->salt;
    to->tail = tail;
    to->len = from->len;
    put(to, from->link, from->next);
    *from = (struct rf_join_node){0};
}

void rf_join_remove(struct rf_join *j, struct rf_join_node *n)
{
    if (n->link == NULL)
        return;
    *n->link = n->next;
    if (n->next != NULL)
        n->next->link = n->link;
    *n = (struct rf_join_node){0};
    j->n--;
}
