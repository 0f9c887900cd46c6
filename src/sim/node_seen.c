/* node_seen.c - the table of executed calls. Written by the node's thread, read by tests' threads.
 */
#include "sim/node_seen.h"

#include "base/mem.h"

#define FIRST_CAP 1024u

enum rpcfan_err rf_node_seen_init(struct rf_node_seen_table *t)
{
    *t = (struct rf_node_seen_table){0};
    return uv_mutex_init(&t->lock) == 0 ? RPCFAN_OK : RPCFAN_ENOMEM;
}

void rf_node_seen_fini(struct rf_node_seen_table *t)
{
    uv_mutex_destroy(&t->lock);
    rf_free(t->slot);
}

/* The key's slot, or the free one where it belongs. There is always a free one. */
static struct rf_node_seen_slot *place(struct rf_node_seen_slot *slot, uint32_t cap,
                                       struct rf_node_digest key)
{
    uint32_t i = (uint32_t)key.b & (cap - 1);
    while (slot[i].count > 0 && (slot[i].key.a != key.a || slot[i].key.b != key.b))
        i = (i + 1) & (cap - 1);
    return &slot[i];
}

static bool grow(struct rf_node_seen_table *t)
{
    uint32_t cap = t->cap == 0 ? FIRST_CAP : t->cap * 2;
    struct rf_node_seen_slot *slot = rf_alloc(cap * sizeof *slot);
    if (slot == NULL)
        return false;
    for (uint32_t i = 0; i < t->cap; i++)
        if (t->slot[i].count > 0)
            *place(slot, cap, t->slot[i].key) = t->slot[i];
    rf_free(t->slot);
    t->slot = slot;
    t->cap = cap;
    return true;
}

uint64_t rf_node_seen_add(struct rf_node_seen_table *t, struct rf_node_digest key)
{
    uint64_t count = 0;
    uv_mutex_lock(&t->lock);
    if (t->used < RF_NODE_SEEN_MAX && (t->used < t->cap / 2 || grow(t))) {
        struct rf_node_seen_slot *s = place(t->slot, t->cap, key);
        s->key = key;
        count = ++s->count;
        t->used += count == 1;
        t->repeated += count == 2;
    }
    uv_mutex_unlock(&t->lock);
    return count;
}

uint64_t rf_node_seen_get(struct rf_node_seen_table *t, struct rf_node_digest key)
{
    uint64_t count = 0;
    uv_mutex_lock(&t->lock);
    if (t->cap > 0)
        count = place(t->slot, t->cap, key)->count;
    uv_mutex_unlock(&t->lock);
    return count;
}
