/* check_probe.h - asks one endpoint what it can do, through clients of its own. Called by
 * cmd_check.c; goes through the public API only. */
#ifndef RF_CLI_CHECK_PROBE_H
#define RF_CLI_CHECK_PROBE_H

#include "base/base.h"

#define RF_PROBE_SAMPLES 5    /* questions for the head, whose times give the latency */
#define RF_PROBE_BATCH_MAX 20 /* calls sent at once to see whether batches pass; and one more */

/** What became of the batches. */
enum rf_probe_batch {
    RF_PROBE_BATCH_OFF,    /* the configuration allows none */
    RF_PROBE_BATCH_PASSED, /* `batch` calls in one request were answered */
    RF_PROBE_BATCH_CAPPED, /* larger ones were refused; `batch` is what was learned; 1: none pass */
    RF_PROBE_BATCH_UNKNOWN /* the limits leave no room to try, or none was needed */
};

/** What is known of an endpoint. Texts are NUL-terminated and printable. */
struct rf_probe {
    bool failed;
    char why[200];     /* where it failed: at what, and why */
    char identity[72]; /* chain id (0x89), or genesis hash; "" where it is of no known family */
    char head[24];     /* block or slot, in decimal; "" where it is of no known family */
    enum rf_probe_batch batch_state;
    uint64_t batch;
    double latency_ms; /* half of the requests took at most this, waiting for limits not included */
};

/**
 * Ask one endpoint. A few calls, within its limits.
 * @param base        options of the client, the networks left aside.
 * @param net         the network, of which only `ep` is asked.
 * @param deadline_ms of each call; 0: the network's.
 * @param out         filled in whole.
 * @return 0 (also where the endpoint fails: see `out->failed`), RPCFAN_ECONFIG or RPCFAN_EINVAL
 *         (the client refuses the options), RPCFAN_ENOMEM, RPCFAN_EIO; then with detail in `err`.
 * Thread: any. Blocks until all is answered.
 */
enum rpcfan_err rf_probe_endpoint(const struct rpcfan_options *base,
                                  const struct rpcfan_network_options *net,
                                  const struct rpcfan_endpoint_options *ep, uint64_t deadline_ms,
                                  struct rf_probe *out, struct rpcfan_error *err);

/**
 * Print a result that is a number, or a text of letters and digits.
 * @param json  raw JSON of the result.
 * @param hex   how a hexadecimal quantity of up to 64 bits is written: true: as one, without
 *              leading zeros; false: in decimal.
 * @param out   `size` bytes; "" where it is neither, or too long.
 * @return false where it is neither, or too long.
 */
bool rf_probe_text(struct rpcfan_slice json, bool hex, char *out, size_t size);

#endif
