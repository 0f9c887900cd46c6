/* heap.c - the indexed binary min-heap. */
#include "base/heap.h"

#include "base/mem.h"

static void place(struct rf_heap *h, uint32_t pos, struct rf_heap_node *n)
{
    h->slot[pos].at_ns = n->at_ns;
    h->slot[pos].seq = n->seq;
    h->slot[pos].node = n;
    n->pos = pos;
}

/* Whether the element at `pos` leaves before one with this time and sequence. */
static bool before(const struct rf_heap *h, uint32_t pos, uint64_t at_ns, uint64_t seq)
{
    return h->slot[pos].at_ns != at_ns ? h->slot[pos].at_ns < at_ns : h->slot[pos].seq < seq;
}

static void sift_up(struct rf_heap *h, uint32_t pos, struct rf_heap_node *n)
{
    while (pos > 1 && !before(h, pos / 2, n->at_ns, n->seq)) {
        place(h, pos, h->slot[pos / 2].node);
        pos /= 2;
    }
    place(h, pos, n);
}

static void sift_down(struct rf_heap *h, uint32_t pos, struct rf_heap_node *n)
{
    for (;;) {
        uint32_t child = pos * 2;
        if (child > h->len)
            break;
        if (child < h->len && before(h, child + 1, h->slot[child].at_ns, h->slot[child].seq))
            child++;
        if (!before(h, child, n->at_ns, n->seq))
            break;
        place(h, pos, h->slot[child].node);
        pos = child;
    }
    place(h, pos, n);
}

bool rf_heap_reserve(struct rf_heap *h, uint32_t n)
{
    if (n < h->cap)
        return true;
    void *slot = rf_realloc(h->slot, ((size_t)n + 1) * sizeof h->slot[0]);
    if (slot == NULL)
        return false;
    h->slot = slot;
    h->cap = n + 1;
    return true;
}

bool rf_heap_push(struct rf_heap *h, struct rf_heap_node *n, uint64_t at_ns)
{
    if (h->len + 1 >= h->cap && !rf_heap_reserve(h, h->cap < 64 ? 64 : h->cap * 2))
        return false;
    n->at_ns = at_ns;
    n->seq = h->next_seq++;
    h->len++;
    sift_up(h, h->len, n);
    return true;
}

void rf_heap_remove(struct rf_heap *h, struct rf_heap_node *n)
{
    uint32_t pos = n->pos;
    if (pos == 0)
        return;
    n->pos = 0;
    struct rf_heap_node *last = h->slot[h->len].node;
    h->len--;
    if (last == n)
        return;
    if (pos > 1 && !before(h, pos / 2, last->at_ns, last->seq))
        sift_up(h, pos, last);
    else
        sift_down(h, pos, last);
}

struct rf_heap_node *rf_heap_top(const struct rf_heap *h)
{
    return h->len > 0 ? h->slot[1].node : NULL;
}

uint64_t rf_heap_next(const struct rf_heap *h)
{
    return h->len > 0 ? h->slot[1].at_ns : RF_NEVER;
}

void rf_heap_fini(struct rf_heap *h)
{
    rf_free(h->slot);
    *h = (struct rf_heap){0};
}
