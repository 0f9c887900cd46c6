/* keys.h - the accounts that a feed knows: 72 bytes each, found by their 32 bytes, named by a
 * number that stays while they are there. A million of them are some 85 MB.
 *
 * An open-addressing index of numbers over slabs of entries, so that growing moves the index alone.
 * The hash is salted: keys can be ground. Used by the account feed alone. Pure. */
#ifndef RF_FEED_KEYS_H
#define RF_FEED_KEYS_H

#include "base/base.h"

#define RF_KEY_NONE UINT32_MAX

/* What is known and wanted of an account. */
enum {
    RF_KEY_USED = 1u << 0,       /* the entry is in use */
    RF_KEY_KNOWN = 1u << 1,      /* slot and hash hold */
    RF_KEY_THERE = 1u << 2,      /* it exists (and is ours); else a tombstone */
    RF_KEY_LIVE = 1u << 3,       /* told by a subscription, not by a read */
    RF_KEY_LEFT = 1u << 4,       /* the tombstone is of one that belongs to others now */
    RF_KEY_TOLD = 1u << 5,       /* the consumer's last event said that it is there */
    RF_KEY_UNTOLD = 1u << 6,     /* an event was lost: tell it again, though nothing is new */
    RF_KEY_FIRST = 1u << 7,      /* found by the first snapshot, not handed out yet */
    RF_KEY_DIRTY = 1u << 8,      /* to be read */
    RF_KEY_LINKED = 1u << 9,     /* on the list of those to be read, or of the doubted */
    RF_KEY_IN_FLIGHT = 1u << 10, /* a read is under way */
    RF_KEY_AGAIN = 1u << 11,     /* and it has to be read once more after it */
    RF_KEY_NEWER = 1u << 12,     /* only a read of a later slot decides */
    RF_KEY_DOUBT = 1u << 13,     /* what is known of this very slot may be wrong */
    RF_KEY_MOVED = 1u << 14,     /* news came while the read was under way */
    RF_KEY_HELD = 1u << 15,      /* counted in the feed's holds, at `hold` */
    RF_KEY_JUDGED = 1u << 16,    /* a check found news; the stream has yet to tell them */
    RF_KEY_BAD = 1u << 17,       /* the node refuses to read it: asked alone, and rarely */
    RF_KEY_FORKED = 1u << 18,    /* processed: its slot is not of the best chain */
    RF_KEY_LANED = 1u << 19,     /* linked among the doubted */
    RF_KEY_PASSED = 1u << 20     /* later news came since it was linked there */
};

/** An account. */
struct rf_key {
    uint8_t key[32];
    uint64_t slot, hash;
    uint32_t session; /* low bits of the session that told it */
    uint32_t next;    /* on a list */
    uint32_t hold;    /* low bits of the slot that it holds the watermark at */
    uint32_t walk;    /* the walk that saw it last */
    uint32_t queued;  /* events, and news that are no root yet, that wait */
    uint32_t flags;
};

/** The table. */
struct rf_keys {
    struct rf_key **slab; /* owned */
    uint32_t *index;      /* owned: number + 1; 0: free */
    uint32_t slabs, slabs_cap;
    uint32_t index_mask;
    uint32_t n, top; /* used; numbers given out so far */
    uint32_t free;   /* first of the free entries, by `next`; RF_KEY_NONE */
    uint64_t salt[2];
};

/** Make an empty table. @return false when out of memory. */
bool rf_keys_init(struct rf_keys *k, uint64_t seed);
/** Free it. */
void rf_keys_fini(struct rf_keys *k);
/** The entry of a number below `top`. */
struct rf_key *rf_keys_at(const struct rf_keys *k, uint32_t number);
/** Find. @return the number or RF_KEY_NONE. */
uint32_t rf_keys_find(const struct rf_keys *k, const uint8_t key[32]);
/** Find or add. @param added out: it is new; all else of it is zero. @return the number, or
 * RF_KEY_NONE when out of memory. */
uint32_t rf_keys_add(struct rf_keys *k, const uint8_t key[32], bool *added);
/** Take one out. Its number is given to another one later. */
void rf_keys_remove(struct rf_keys *k, uint32_t number);

#endif
