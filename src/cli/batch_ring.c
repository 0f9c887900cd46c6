/* batch_ring.c - the window of lines under way. In order it is a ring; else a free list and a queue
 * of finished slots, so that one slow call does not hold the others back. */
#include "cli/batch_ring.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

bool rf_ring_init(struct rf_ring *r, uint32_t size, bool ordered)
{
    *r = (struct rf_ring){.size = size, .ordered = ordered};
    r->slot = rf_alloc(size * sizeof *r->slot);
    if (r->slot == NULL)
        return false;
    for (uint32_t i = size; i > 0 && !ordered; i--) {
        r->slot[i - 1].next = r->free;
        r->free = &r->slot[i - 1];
    }
    return true;
}

static uint32_t after(const struct rf_ring *r, uint32_t at)
{
    return at + 1 == r->size ? 0 : at + 1;
}

struct rf_slot *rf_ring_take(struct rf_ring *r, uint64_t line)
{
    struct rf_slot *s;
    if (r->used == r->size)
        return NULL;
    if (r->ordered) {
        s = &r->slot[r->tail];
        r->tail = after(r, r->tail);
    } else {
        s = r->free;
        r->free = s->next;
        s->next = NULL;
    }
    assert(s->state == RF_SLOT_FREE);
    s->state = RF_SLOT_WAITING;
    s->line = line;
    r->used++;
    r->waiting++;
    return s;
}

/* Free what the slot holds and make it free, on no list. */
static void empty(struct rf_ring *r, struct rf_slot *s)
{
    r->held -= s->cost;
    rpcfan_result_unref(s->res);
    rf_free(s->text);
    rf_free(s->id_long);
    s->res = NULL;
    s->text = s->id_long = NULL;
    s->text_len = s->id_len = s->cost = 0;
    s->state = RF_SLOT_FREE;
    r->used--;
}

static void put_free(struct rf_ring *r, struct rf_slot *s)
{
    s->next = r->free;
    r->free = s;
}

void rf_ring_untake(struct rf_ring *r, struct rf_slot *s)
{
    r->waiting--;
    empty(r, s);
    if (r->ordered)
        r->tail = (uint32_t)(s - r->slot);
    else
        put_free(r, s);
}

bool rf_slot_set_id(struct rf_slot *s, const char *id, size_t len)
{
    s->id_len = len;
    if (len <= sizeof s->id_short) {
        memcpy(s->id_short, id, len);
        return true;
    }
    s->id_long = rf_memdup(id, len);
    return s->id_long != NULL;
}

const char *rf_slot_id(const struct rf_slot *s)
{
    return s->id_long != NULL ? s->id_long : s->id_short;
}

void rf_ring_cost(struct rf_ring *r, struct rf_slot *s, size_t cost)
{
    r->held += cost;
    r->held -= s->cost;
    s->cost = cost;
}

void rf_ring_finish(struct rf_ring *r, struct rf_slot *s)
{
    assert(s->state == RF_SLOT_WAITING);
    s->state = RF_SLOT_DONE;
    r->waiting--;
    if (r->ordered)
        return;
    s->next = NULL;
    if (r->ready == NULL)
        r->ready = s;
    else
        r->last->next = s;
    r->last = s;
}

void rf_ring_drop(struct rf_ring *r, struct rf_slot *s)
{
    assert(s->state == RF_SLOT_WAITING);
    r->waiting--;
    r->dropped = true;
    if (r->ordered) {
        s->state = RF_SLOT_DROPPED;
        return;
    }
    empty(r, s);
    put_free(r, s);
}

struct rf_slot *rf_ring_next(struct rf_ring *r)
{
    if (!r->ordered)
        return r->ready;
    if (r->used == 0 || r->slot[r->head].state != RF_SLOT_DONE)
        return NULL;
    return &r->slot[r->head];
}

void rf_ring_release(struct rf_ring *r, struct rf_slot *s)
{
    assert(s->state == RF_SLOT_DONE);
    if (r->ordered) {
        r->head = after(r, r->head);
        empty(r, s);
        return;
    }
    r->ready = s->next;
    empty(r, s);
    put_free(r, s);
}

void rf_ring_fini(struct rf_ring *r)
{
    for (uint32_t i = 0; i < r->size && r->slot != NULL; i++) {
        if (r->slot[i].state != RF_SLOT_FREE)
            empty(r, &r->slot[i]);
    }
    rf_free(r->slot);
    *r = (struct rf_ring){0};
}
