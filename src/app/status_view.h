/* status_view.h - the JSON of rpcfan_status() as a struct, for the progress line and the summary.
 */
#ifndef RF_APP_STATUS_VIEW_H
#define RF_APP_STATUS_VIEW_H

#include "base/base.h"

/** One endpoint. */
struct rf_status_endpoint {
    char name[64], state[24], why[256];
    uint64_t requests, batches, calls, ok;
    uint64_t throttled, server, network, malformed, rpc; /* failures */
    uint64_t paused_ms, in_flight, in_flight_max;
    uint64_t bytes_out, bytes_in;
    double p50_ms, p99_ms;
};

/** A client. Zero-initialised is an empty view. */
struct rf_status_view {
    struct rf_status_endpoint *endpoint; /* owned */
    size_t n;
    uint64_t retries;
};

/**
 * Read a status. Members that are absent read as 0 or "".
 * @param json     of rpcfan_status().
 * @param network  the one to look at; NULL: the first.
 * @param view     overwritten; what it held is freed. rf_status_view_fini() it.
 * @return 0, RPCFAN_EMALFORMED, RPCFAN_EINVAL (no such network) or RPCFAN_ENOMEM; the view is empty
 * then.
 */
enum rpcfan_err rf_status_view_read(struct rf_status_view *view, const char *json,
                                    const char *network);

/** Free what it owns. */
void rf_status_view_fini(struct rf_status_view *view);

#endif
