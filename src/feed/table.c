/* table.c - the intrusive hash table: chains in a power of two of buckets, doubled when full. */
#include "feed/table.h"

#include "base/mem.h"

#define BUCKETS_MIN 16

bool rf_table_init(struct rf_table *t)
{
    *t = (struct rf_table){.n_buckets = BUCKETS_MIN};
    t->bucket = rf_alloc(BUCKETS_MIN * sizeof t->bucket[0]);
    return t->bucket != NULL;
}

void rf_table_fini(struct rf_table *t)
{
    rf_free(t->bucket);
    *t = (struct rf_table){0};
}

static void link_node(struct rf_table_node **bucket, uint32_t n_buckets, struct rf_table_node *n)
{
    struct rf_table_node **at = &bucket[n->hash & (n_buckets - 1)];
    n->next = *at;
    *at = n;
}

/* Twice the buckets; where there is no memory for them the old ones do. */
static void grow(struct rf_table *t)
{
    uint32_t n_buckets = t->n_buckets * 2;
    struct rf_table_node **bucket =
        n_buckets > t->n_buckets ? rf_alloc(n_buckets * sizeof bucket[0]) : NULL;
    if (bucket == NULL)
        return;
    for (uint32_t i = 0; i < t->n_buckets; i++) {
        for (struct rf_table_node *n = t->bucket[i], *next; n != NULL; n = next) {
            next = n->next;
            link_node(bucket, n_buckets, n);
        }
    }
    rf_free(t->bucket);
    t->bucket = bucket;
    t->n_buckets = n_buckets;
}

void rf_table_add(struct rf_table *t, struct rf_table_node *n, uint64_t hash)
{
    if (t->n >= t->n_buckets)
        grow(t);
    n->hash = hash;
    n->in = true;
    t->n++;
    link_node(t->bucket, t->n_buckets, n);
}

void rf_table_remove(struct rf_table *t, struct rf_table_node *n)
{
    if (!n->in)
        return;
    struct rf_table_node **at = &t->bucket[n->hash & (t->n_buckets - 1)];
    while (*at != n)
        at = &(*at)->next;
    *at = n->next;
    n->next = NULL;
    n->in = false;
    t->n--;
}
