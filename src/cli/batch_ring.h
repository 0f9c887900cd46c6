/* batch_ring.h - the window of lines that are under way: taken when a line is submitted, finished
 * when its answer comes, handed out for writing in the order of the lines or as they finish,
 * released when written. Its size bounds the memory. Called by the batch's loop alone. */
#ifndef RF_CLI_BATCH_RING_H
#define RF_CLI_BATCH_RING_H

#include "base/base.h"

#define RF_SLOT_ID_INLINE 40

enum rf_slot_state {
    RF_SLOT_FREE,
    RF_SLOT_WAITING, /* submitted */
    RF_SLOT_DONE,    /* has its answer or its error text */
    RF_SLOT_DROPPED  /* canceled by an interrupt: never written */
};

/** A line under way. */
struct rf_slot {
    uint64_t line;        /* 1-based */
    rpcfan_result_t *res; /* the answer; owned; NULL: none */
    char *text;           /* instead of an answer: a whole output line without its end; owned */
    size_t text_len;
    size_t cost;          /* bytes counted in rf_ring.held */
    struct rf_slot *next; /* on the free or the ready list */
    char *id_long;        /* owned; NULL: id_short */
    size_t id_len;
    char id_short[RF_SLOT_ID_INLINE];
    enum rf_slot_state state;
};

/** The window. */
struct rf_ring {
    struct rf_slot *slot;
    uint32_t size;
    bool ordered;
    uint32_t used;       /* slots not free */
    uint32_t waiting;    /* slots submitted and not finished */
    uint64_t held;       /* bytes of requests and results that the slots stand for */
    bool dropped;        /* some slot was dropped */
    uint32_t head, tail; /* ordered: places in `slot` */
    struct rf_slot *free, *ready, *last; /* unordered */
};

/**
 * Set up.
 * @param size     slots; above 0.
 * @param ordered  hand out in the order of rf_ring_take(), else in that of rf_ring_finish().
 * @return false when out of memory.
 */
bool rf_ring_init(struct rf_ring *r, uint32_t size, bool ordered);

/** Take a slot for a line; its state is RF_SLOT_WAITING. @return NULL where all are in use. */
struct rf_slot *rf_ring_take(struct rf_ring *r, uint64_t line);

/** Give back the slot that was taken last, unused. */
void rf_ring_untake(struct rf_ring *r, struct rf_slot *s);

/** Set the id that the answer carries: raw JSON, copied. @return false when out of memory. */
bool rf_slot_set_id(struct rf_slot *s, const char *id, size_t len);

/** The id. Borrowed from `s`. */
const char *rf_slot_id(const struct rf_slot *s);

/** Change what a slot counts for. */
void rf_ring_cost(struct rf_ring *r, struct rf_slot *s, size_t cost);

/** The slot's answer or text is in it: it may be handed out. */
void rf_ring_finish(struct rf_ring *r, struct rf_slot *s);

/** The slot will have no answer; in order, nothing behind it is handed out any more. */
void rf_ring_drop(struct rf_ring *r, struct rf_slot *s);

/** The next slot to write, or NULL. It stays in use until rf_ring_release(). */
struct rf_slot *rf_ring_next(struct rf_ring *r);

/** Free what a slot handed out by rf_ring_next() holds, and the slot. */
void rf_ring_release(struct rf_ring *r, struct rf_slot *s);

/** Free everything; answers are released. */
void rf_ring_fini(struct rf_ring *r);

#endif
