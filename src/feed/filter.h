/* filter.h - the filters of getProgramAccounts, held against an account that was read by its key:
 * getMultipleAccounts takes none. Called by the account feed. Pure; allocates never. */
#ifndef RF_FEED_FILTER_H
#define RF_FEED_FILTER_H

#include "feed/content.h"

#define RF_FILTERS 4        /* what nodes take at most */
#define RF_FILTER_BYTES 128 /* likewise, of one memcmp */

/** One of them. */
struct rf_filter {
    enum { RF_FILTER_SIZE, RF_FILTER_BYTES_AT, RF_FILTER_OTHER } kind;
    uint64_t size; /* dataSize, or memcmp's offset */
    size_t len;
    uint8_t bytes[RF_FILTER_BYTES];
};

/** All of them. */
struct rf_filters {
    struct rf_filter at[RF_FILTERS];
    uint32_t n;
    bool bytes; /* one looks at the data */
};

/** Read a JSON array of filters. @return 0, or RPCFAN_EINVAL with the reason in `err`. */
enum rpcfan_err rf_filters_read(struct rpcfan_slice json, struct rf_filters *out,
                                struct rpcfan_error *err);
/** Whether an account passes all of them. What cannot be told counts as passing: filters that
 * nobody knows here, and data that is compressed. */
bool rf_filters_match(const struct rf_filters *fs, const struct rf_content *c);

#endif
