/* txhash.h - the name of a signed transaction, from the bytes that are sent: what a node would have
 * answered, where it says "already known" instead. Called by core/settle and core/act. Pure. */
#ifndef RF_CORE_TXHASH_H
#define RF_CORE_TXHASH_H

#include "base/base.h"

/** "0x" and 64 hex digits and a NUL. */
#define RF_TX_HASH_LEN 67
/** 64 bytes in Base58, at most 88 letters, and a NUL. */
#define RF_TX_SIGNATURE_LEN 90

/**
 * The hash of eth_sendRawTransaction's argument: Keccak-256 of the raw bytes. Of a blob transaction
 * in the form for the network (type 3 with its blobs, EIP-4844) only the transaction itself is
 * hashed, as nodes do.
 * @param params  raw valid JSON: an array with a hex string first; whatever follows is not looked
 *                at.
 * @param out     the hash in lower case, with a NUL.
 * @return false where there is no such string: no 0x, an odd number of digits, none at all, or a
 *         blob transaction that cannot be read. Allocates: never.
 */
bool rf_tx_hash(struct rpcfan_slice params, char out[RF_TX_HASH_LEN]);

/**
 * The first signature of Solana's sendTransaction's argument, in Base58, which is the transaction's
 * name.
 * @param params  raw valid JSON: [TRANSACTION] or [TRANSACTION, {"encoding": "base58" or
 * "base64"}]. Base58 where no encoding is named.
 * @param out     the signature, with a NUL.
 * @return false where it cannot be read, is over 4096 bytes, or is not signed.
 *         Allocates: never.
 */
bool rf_tx_signature(struct rpcfan_slice params, char out[RF_TX_SIGNATURE_LEN]);

#endif
