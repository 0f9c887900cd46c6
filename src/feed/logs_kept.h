/* logs_kept.h - the logs that were told and may yet be taken back, or come a second time. Bounded
 * in bytes: the oldest are forgotten, and how far back memory reaches is known. Pure. Called by
 * feed/logs. */
#ifndef RF_FEED_LOGS_KEPT_H
#define RF_FEED_LOGS_KEPT_H

#include "base/list.h"
#include "feed/evm_json.h"
#include "feed/table.h"

/** A log that was told and stands. */
struct rf_kept_log {
    struct rf_table_node by_key;
    struct rf_link order; /* as told */
    struct rf_evm_log log;
    uint64_t pass; /* the latest reading of a range that it was in */
    size_t len;
    char text[];
};

struct rf_kept_logs {
    struct rf_table table;
    struct rf_link order; /* oldest first */
    uint64_t bytes, bytes_max;
    uint64_t floor; /* blocks below may be forgotten in part */
    bool starved;   /* out: the latest rf_kept_add() was out of memory */
};

/** Make an empty one. @return false when out of memory. */
bool rf_kept_init(struct rf_kept_logs *k, uint64_t bytes_max);
/** Free all. */
void rf_kept_fini(struct rf_kept_logs *k);
/** The one of this block hash and index, or NULL. */
struct rf_kept_log *rf_kept_find(const struct rf_kept_logs *k, const struct rf_evm_log *log);
/** Remember one that is not there; forgets older ones where there is no room. @return it, or NULL
 * where it is over the cap itself, or `starved`. */
struct rf_kept_log *rf_kept_add(struct rf_kept_logs *k, const struct rf_evm_log *log,
                                struct rpcfan_slice text);
/** Forget one, since it was taken back. */
void rf_kept_remove(struct rf_kept_logs *k, struct rf_kept_log *it);
/** Forget what is of blocks below `number`. */
void rf_kept_expire(struct rf_kept_logs *k, uint64_t number);

#endif
