/* fixture.h - what the integration tests share: a fake node, a client against it, and many calls
 * whose answers are checked one by one. */
#ifndef RF_TESTS_FIXTURE_H
#define RF_TESTS_FIXTURE_H

#include "rpcfan/rpcfan.h"
#include "sim/node.h"

#define FIXTURE_NODES 4

/** Nodes and one client with an endpoint for each. */
struct fixture {
    struct rf_node *node[FIXTURE_NODES];
    unsigned n;
    struct rpcfan_options options;
    struct rpcfan_network_options network;
    struct rpcfan_endpoint_options endpoint[FIXTURE_NODES];
    rpcfan_client_t *client;
};

/** Start `n` nodes (scripts may be NULL) and set the options' defaults; no client yet. */
void fixture_init(struct fixture *f, unsigned n, const char *const *script);
/** Make the client from what the options say by now. */
void fixture_connect(struct fixture *f);
/** Free the client, then stop the nodes. */
void fixture_fini(struct fixture *f);

/** What became of many calls. */
struct tally {
    unsigned started, answered, ok, wrong;
    unsigned by_err[RPCFAN_ERR_COUNT];
    unsigned max_attempts;
    uint64_t ns; /* from the first start to the last answer */
};

/** Make `n` calls sim_echo([k]) as fast as the client takes them and wait for all; each answer is
 * compared with its own question. @param timeout_ms of each call; 0: the network's. */
void fixture_echo(struct fixture *f, unsigned n, uint64_t timeout_ms, struct tally *t);

/** A number out of the status: `path` such as "networks.0.endpoints.0.batch.limit". */
double fixture_status(struct fixture *f, const char *path);
/** A string out of the status; owned by the caller (free). */
char *fixture_status_text(struct fixture *f, const char *path);

#endif
