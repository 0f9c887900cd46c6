/* sub.h - the inside of a plain subscription. Internal to src/client.
 *
 *   subscribe.c  its life: commands, notes of the engine, gaps of Ethereum filled
 *   sub_queue.c  its bounded queue, and who takes from it */
#ifndef RF_CLIENT_SUB_H
#define RF_CLIENT_SUB_H

#include "client/bell.h"
#include "client/live.h"
#include "feed/evm.h"
#include "feed/queue.h"

#define RF_SUB_TWICE 4096 /* notifications remembered, to tell equal ones of two copies once */

/** A note that waits. */
struct rf_note_item {
    struct rf_queue_item item;
    struct rpcfan_note note;
    struct rf_blob *blob; /* a reference, or NULL */
};

struct rpcfan_sub {
    rpcfan_client_t *client;
    uint32_t network;
    enum rpcfan_family family;
    struct rpcfan_sub_options o; /* strings owned */
    struct rf_live_cmd start, stop, resume;

    /* the loop thread's */
    struct rf_listener listener;
    struct rf_evm *evm; /* owned; fills gaps of Ethereum's heads and logs; NULL: nothing to fill */
    struct rf_calls calls;        /* its reads */
    uint64_t evm_twice;           /* of its counter: what was counted here already */
    struct rf_live_member member; /* so that it hears of the client's close */
    uint32_t up;                  /* copies that are acknowledged */
    uint64_t *twice;              /* owned; hashes of what was told; NULL: one copy */
    struct rf_link blocked;       /* note_item.item.link: came after the queue was full */
    struct rf_live_net *held;     /* whose connections are not read for that; NULL: none is */

    /* under `lock` */
    pthread_mutex_t lock;
    struct rf_bell bell;
    bool stuck; /* `blocked` is not empty */
    struct rf_queue queue;
    struct rpcfan_sub_counters count;
    uint64_t untold; /* dropped since the last RPCFAN_NOTE_DROPPED */
};

/** A note on its way into the queue. */
struct rf_arrival {
    struct rpcfan_note note;
    struct rf_blob *blob;
};

/** Make the queue of a subscription whose options are set. @return false: no memory, or no
 * descriptor. */
bool rf_sub_queue_init(rpcfan_sub_t *s);
/** Free it with all that waits. */
void rf_sub_queue_fini(rpcfan_sub_t *s);
/** Put a note into the queue by its policy, or leave it out as told already. Thread: loop. */
void rf_sub_deliver(rpcfan_sub_t *s, const struct rf_arrival *a);
/** A session told something: where that found no room, read it no further. Thread: loop. */
void rf_sub_hold(rpcfan_sub_t *s, struct rf_live_net *net, uint64_t session);
/** Read on what rf_sub_hold() held. Thread: loop. */
void rf_sub_let_go(rpcfan_sub_t *s);
/** Ring the bell where something waits. Thread: loop. */
void rf_sub_ring(rpcfan_sub_t *s);
/** Count notifications that came and had been told before. Thread: loop. */
void rf_sub_count_twice(rpcfan_sub_t *s, uint64_t n);

#endif
