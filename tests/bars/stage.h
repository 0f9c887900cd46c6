/* stage.h - what a bar is played on: one client, up to eight virtual nodes, one virtual time. */
#ifndef RF_TESTS_BARS_STAGE_H
#define RF_TESTS_BARS_STAGE_H

#include "core/state.h"
#include "sim/vworld.h"

#define MINUTE (60 * RF_SEC)
#define STAGE_EPS 8

/** stage_init(), change options, nodes and load, stage_start(), run, stage_fini(). */
struct stage {
    struct rpcfan_options o;
    struct rpcfan_network_options net;
    struct rpcfan_endpoint_options ep[STAGE_EPS];
    struct rf_vnode node[STAGE_EPS];
    struct rf_vload load;
    struct rf_vworld w;
    struct rf_vclient *client;
    struct rf_rng rng; /* the bar's own */
    void *arg;         /* the bar's own */
    uint64_t seed;
};

/** One network of `n_ep` endpoints: batch 1, 64 slots, 40 to 70 ms each way, no faults. */
void stage_init(struct stage *s, uint32_t n_ep, uint64_t seed);
/** Make nodes and client; ends the program where that is impossible. */
void stage_start(struct stage *s);
/** Run so much longer. */
void stage_run(struct stage *s, uint64_t for_ns);
/** Change the open load. */
void stage_offer(struct stage *s, double per_s);
/** The client's books, nodes' counters: as they stand. */
const struct rf_vbook *stage_book(const struct stage *s);
/** Endpoint `i` of the core. */
struct rf_endpoint *stage_ep(const struct stage *s, uint32_t i);
/** Calls refused for rate, over all nodes. */
uint64_t stage_throttled(const struct stage *s);
/** Close at once, free. Ends the program where a call is lost, wrong or answered twice, or where
 * something taken is not given back. */
void stage_fini(struct stage *s);
/** a / b; 0 where b is 0. */
double ratio(double a, double b);

#endif
