/* note.h - what the subscription engine tells: notifications, and what became of the coverage.
 * Data only. Made by feed/subs, read by the account feed, the Ethereum feeds and the client. */
#ifndef RF_FEED_NOTE_H
#define RF_FEED_NOTE_H

#include "base/base.h"
#include "base/blob.h"

enum rf_note_kind {
    RF_NOTE_UP,      /* acknowledged on `session`: what happens from now on is told there. With a
                        planned reconnect the new session is UP before the old one is DOWN: as long
                        as one is UP nothing is missed, but some may be told twice */
    RF_NOTE_DATA,    /* a notification */
    RF_NOTE_DOWN,    /* `session` is over for this subscription: its coverage ends here. Comes once
                        for each RF_NOTE_UP, unless the subscription was removed or refused first */
    RF_NOTE_REFUSED, /* the node refused for good; `json` is its error object. Nothing follows */
    RF_NOTE_SLOT,    /* of the connection's own slot feed: `slot`, `parent`, `root`. To listeners of
                        sessions, not of one subscription */
    RF_NOTE_ROOT,    /* likewise of its root feed: `slot` was rooted */
    RF_NOTE_SESSION_UP,  /* a connection stands */
    RF_NOTE_SESSION_DOWN /* it is over; follows the RF_NOTE_DOWN of all that was on it */
};

/** One note. Borrowed for the call; `rf_blob_ref(blob, 1)` keeps what `json` points into. */
struct rf_note {
    enum rf_note_kind kind;
    uint64_t sub;      /* stable id of the subscription; 0 with SLOT, ROOT and SESSION_* */
    uint64_t tag;      /* as given when it was added */
    uint64_t session;  /* the connection, never used again for another */
    uint32_t endpoint; /* index in the network */
    uint32_t copy;     /* 0, or 1 where the subscription is kept at two endpoints */
    uint64_t slot, parent, root; /* SLOT, ROOT */
    struct rpcfan_slice json;    /* DATA: params.result; REFUSED: the error object */
    struct rf_blob *blob;        /* what `json` points into */
    const char *why;             /* DOWN, SESSION_DOWN: static words */
};

#endif
