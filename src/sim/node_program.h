/* node_program.h - the synthetic program of the `program` line: any number of accounts made on the
 * fly, written at any rate. Called by node_rpc.c, node_conn.c and node_ws_subs.c.
 *
 * An account is a function of its number and of how often it was written: write k goes to account
 * k % n. So the answer to any question at any time is known without a table, and a test foretells
 * it. Data: number and writes as 8 bytes each, lowest first; then bytes made from both. */
#ifndef RF_SIM_NODE_PROGRAM_H
#define RF_SIM_NODE_PROGRAM_H

#include "sim/node_int.h"

/** How many writes were made by an age of the script. */
uint64_t rf_program_writes(const struct rf_node_program_conf *p, uint64_t age_ns);
/** The age at which write `k` (from 0) is made. @return RF_NEVER: it never is. */
uint64_t rf_program_write_ns(const struct rf_node_program_conf *p, uint64_t k);
/** How often account `i` was written after `writes` writes in all. */
uint64_t rf_program_version(const struct rf_node_program_conf *p, uint64_t i, uint64_t writes);
/** The address of account `i`. */
void rf_program_key(uint64_t i, uint8_t key[32]);
/** Append it as quoted base58. */
void rf_program_key_text(uint64_t i, struct rf_buf *out);
/** Which account has an address. @param text quoted. @return false: none of the program's. */
bool rf_program_find(const struct rf_node_program_conf *p, struct rpcfan_slice text, uint64_t *i);
/** `len` bytes of an account's data from `at` on. */
void rf_program_data(uint64_t i, uint64_t version, uint64_t at, uint8_t *out, size_t len);
/**
 * Append an account as JSON.
 * @param slice_at  of its data; with `slice_len` UINT64_MAX all of it.
 */
void rf_program_account(const struct rf_node_program_conf *p, uint64_t i, uint64_t version,
                        uint64_t slice_at, uint64_t slice_len, struct rf_buf *out);

/** Answer a call about the program. @return false: its method is another. */
bool rf_node_program_call(struct rf_node *node, const struct rf_node_member *m,
                          enum rf_node_answer *answer);
/** Make the next rows of an answer into `c->out`. @return false: all is out. */
bool rf_node_rows_next(struct rf_node_conn *c);

#endif
