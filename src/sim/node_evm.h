/* node_evm.h - the fake EVM chain: blocks, their hashes, logs, and reorganisations, each a function
 * of the chain's parameters and head alone. Called by node_evm.c and node_ws_evm.c. Pure.
 *
 * With `reorg 3 every=10` and a chain that began at 100, the blocks 107 to 109 are replaced when
 * the head becomes 110, 117 to 119 at 120. A block has a version: how often it was replaced. */
#ifndef RF_SIM_NODE_EVM_H
#define RF_SIM_NODE_EVM_H

#include "sim/node_methods.h"

/** How often block `n` was replaced by the time of `chain->head`. */
uint64_t rf_node_evm_version(const struct rf_node_chain *chain, uint64_t n);
/** Whether the blocks below `head` are replaced when the head comes to it; then how many. */
uint64_t rf_node_evm_replaced(const struct rf_node_chain *chain, uint64_t head);

/** What the fields of a block are made from. */
struct rf_node_digest rf_node_evm_digest(const struct rf_node_chain *chain, uint64_t n,
                                         uint64_t version);

/**
 * Find a block by its hash, one that was replaced too.
 * @param hash  quoted JSON of 32 bytes.
 * @return false: no such block up to the head.
 */
bool rf_node_evm_find(const struct rf_node_chain *chain, struct rpcfan_slice hash, uint64_t *n,
                      uint64_t *version);

/** Append a block; its parent is the one that it was made on. @param transactions with the hashes
 * of its transactions; else it is a header as newHeads tells it. */
void rf_node_evm_block(const struct rf_node_chain *chain, uint64_t n, uint64_t version,
                       bool transactions, struct rf_buf *out);
/** How many transactions a block has. */
unsigned rf_node_evm_transactions(const struct rf_node_chain *chain, uint64_t n, uint64_t version);
/** Append the hash of one of them, quoted. */
void rf_node_evm_transaction_hash(const struct rf_node_chain *chain, uint64_t n, uint64_t version,
                                  unsigned i, struct rf_buf *out);

/** Which logs are wanted. Raw JSON; len 0: any. */
struct rf_node_evm_filter {
    struct rpcfan_slice address, topics;
};

/** How many logs a block has. */
unsigned rf_node_evm_log_count(const struct rf_node_chain *chain, uint64_t n, uint64_t version);
/**
 * Append a log of a block, if the filter takes it in. Without a `logs` line every filter does: the
 * log then has the address that is asked for.
 * @param i  below rf_node_evm_log_count().
 */
bool rf_node_evm_log(const struct rf_node_chain *chain, const struct rf_node_evm_filter *filter,
                     uint64_t n, unsigned i, bool removed, struct rf_buf *out);

/** Append `key` and quoted hex of `n` bytes. */
void rf_node_evm_key_hex(struct rf_buf *out, const char *key, struct rf_node_digest d,
                         uint64_t salt, unsigned n);
/** Append `key` and a quantity. */
void rf_node_evm_key_quantity(struct rf_buf *out, const char *key, uint64_t v);
/** Whether a raw JSON value is a quoted 0x string of `bytes` bytes; 0: of any even length. */
bool rf_node_evm_is_hex(struct rpcfan_slice s, size_t bytes);
/** Whether it is an address; short ones count as padded, so that "0x1" will do. */
bool rf_node_evm_is_address(struct rpcfan_slice s);

#endif
