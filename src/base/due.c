/* due.c - a list of rising times beside a heap of the others. */
#include "base/due.h"

bool rf_due_init(struct rf_due *d, uint32_t n)
{
    rf_list_init(&d->order);
    return rf_heap_reserve(&d->rest, n);
}

void rf_due_fini(struct rf_due *d)
{
    rf_heap_fini(&d->rest);
}

static struct rf_due_node *of_link(const struct rf_link *l)
{
    return RF_CONTAINER(l, struct rf_due_node, link);
}

bool rf_due_add(struct rf_due *d, struct rf_due_node *n, uint64_t at_ns)
{
    /* One that is never due must not end the list: whatever came later would not rise. */
    if (at_ns == RF_NEVER ||
        (!rf_list_empty(&d->order) && of_link(d->order.prev)->heap.at_ns > at_ns))
        return rf_heap_push(&d->rest, &n->heap, at_ns);
    n->heap.at_ns = at_ns;
    rf_list_push(&d->order, &n->link);
    return true;
}

void rf_due_remove(struct rf_due *d, struct rf_due_node *n)
{
    rf_heap_remove(&d->rest, &n->heap);
    rf_list_remove(&n->link);
}

struct rf_due_node *rf_due_top(const struct rf_due *d)
{
    struct rf_heap_node *top = rf_heap_top(&d->rest);
    struct rf_due_node *heaped = top == NULL ? NULL : RF_CONTAINER(top, struct rf_due_node, heap);
    if (rf_list_empty(&d->order))
        return heaped;
    struct rf_due_node *listed = of_link(d->order.next);
    return heaped != NULL && heaped->heap.at_ns < listed->heap.at_ns ? heaped : listed;
}

uint64_t rf_due_next(const struct rf_due *d)
{
    const struct rf_due_node *n = rf_due_top(d);
    return n == NULL ? RF_NEVER : n->heap.at_ns;
}
