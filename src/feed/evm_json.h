/* evm_json.h - the few fields of Ethereum's blocks and logs that feeds look at. Pure. */
#ifndef RF_FEED_EVM_JSON_H
#define RF_FEED_EVM_JSON_H

#include "base/base.h"
#include "base/blob.h"
#include "base/buf.h"

#define RF_EVM_HASH 32

/** A block's header. */
struct rf_evm_header {
    uint8_t hash[RF_EVM_HASH], parent[RF_EVM_HASH];
    uint64_t number;
};

/** A log. */
struct rf_evm_log {
    uint8_t block[RF_EVM_HASH]; /* hash */
    uint64_t number, index;     /* of the block, in the block */
    bool removed;
    size_t removed_at, removed_len; /* where the value of `removed` stands in the text; len 0: not
                                       at all */
};

/** Read a header, or a block. @return false where it is none. */
bool rf_evm_read_header(struct rpcfan_slice json, struct rf_evm_header *out);
/** Read a log. @return false where it is none, or not in a block yet. */
bool rf_evm_read_log(struct rpcfan_slice json, struct rf_evm_log *out);
/** Read a quantity, such as "0x1b4", quotes included. @return false where it is none of 64 bits. */
bool rf_evm_read_u64(struct rpcfan_slice json, uint64_t *out);
/** Append a quantity with its quotes. */
void rf_evm_write_u64(struct rf_buf *b, uint64_t v);
/** Append a hash with its quotes. */
void rf_evm_write_hash(struct rf_buf *b, const uint8_t hash[RF_EVM_HASH]);
/** A block as newHeads tells it: without transactions, uncles and withdrawals.
 * @return a new blob, owned, which is the text; NULL when out of memory or where it is no block. */
struct rf_blob *rf_evm_strip(struct rpcfan_slice block);
/** A log that is taken back: the same with "removed":true. @return as rf_evm_strip(). */
struct rf_blob *rf_evm_take_back(struct rpcfan_slice log, const struct rf_evm_log *read);
/** A head that is replaced: {"removed":true,"number":...,"hash":...,"parentHash":...}. @return as
 * rf_evm_strip(). */
struct rf_blob *rf_evm_head_replaced(const struct rf_evm_header *h);

#endif
