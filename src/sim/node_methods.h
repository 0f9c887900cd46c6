/* node_methods.h - what the fake node answers: a pure function of chain, method, params and head,
 * so that a test computes the expected answer with the very same call. */
#ifndef RF_SIM_NODE_METHODS_H
#define RF_SIM_NODE_METHODS_H

#include "base/buf.h"
#include "json/scan.h"

/** Which methods exist. sim_* methods exist in all. Values are bits. */
enum rf_node_family { RF_NODE_EVM = 1, RF_NODE_SOLANA = 2, RF_NODE_BOTH = 3 };

/** What answers depend on besides method and params. */
struct rf_node_chain {
    enum rf_node_family family;
    uint64_t chain_id;
    uint64_t head;             /* block number or slot */
    uint64_t churn;            /* balances and accounts change every so many blocks; 0: never */
    uint64_t range_max;        /* blocks in one eth_getLogs; 0: any number */
    int64_t range_code;        /* what longer ranges are refused with */
    uint64_t inputs_max;       /* addresses in one getMultipleAccounts; 0: 100 */
    const char *range_message; /* "{max}", "{from}" and "{to}" stand for the cap and a range of that
                                  length; borrowed */
    /* the last `reorg_depth` blocks are replaced every `reorg_every` blocks since `base`, which is
     * the head at the node's start; 0: never */
    uint64_t reorg_depth, reorg_every, base;
    /* logs in each block, from so many addresses and first topics; 0: see rf_node_evm_log() */
    uint32_t logs, log_addresses, log_topics;
};

/** What rf_node_answer() wrote. */
enum rf_node_answer {
    RF_NODE_RESULT, /* a raw JSON result */
    RF_NODE_ERROR,  /* a raw JSON error object */
    RF_NODE_UNKNOWN /* a raw JSON error object with code -32601: there is no such method */
};

/**
 * Answer one call.
 * @param chain   family, chain id and head at the time of the call.
 * @param method  the name, unescaped.
 * @param params  raw JSON array or object that passed the scanner; len 0: none. Whitespace between
 *                tokens does not change the answer.
 * @param out     the result or the error object is appended.
 * @return what was appended. Pure. Thread: any. Allocates: only in `out`.
 */
enum rf_node_answer rf_node_answer(const struct rf_node_chain *chain, struct rpcfan_slice method,
                                   struct rpcfan_slice params, struct rf_buf *out);

/** A 128-bit digest; collisions are as good as impossible, malice is not guarded against. */
struct rf_node_digest {
    uint64_t a, b;
};

/** Digest of a method and its params; params without whitespace between tokens, none counts as [].
 */
struct rf_node_digest rf_node_digest(struct rpcfan_slice method, struct rpcfan_slice params);

/** A walk over the elements of a JSON array. */
struct rf_node_items {
    struct rpcfan_slice text;
    struct rf_scan scan;
    size_t pos;
    bool broken; /* out: the text is not one whole JSON value, or no array */
};

/** Begin. @return false (and `broken`) where the text does not begin with an array. */
bool rf_node_items_init(struct rf_node_items *it, struct rpcfan_slice text);
/** The next element, raw. @return false at the end; then `broken` says whether the text was whole.
 */
bool rf_node_items_next(struct rf_node_items *it, struct rpcfan_slice *item);

/** The `i`-th element of a params array, raw. len 0: there is none, or params is no array. */
struct rpcfan_slice rf_node_param(struct rpcfan_slice params, unsigned i);

/** The value of a key in a raw JSON object. len 0: there is none, or it is no object. */
struct rpcfan_slice rf_node_field(struct rpcfan_slice object, const char *key);

/** An unsigned number: 12, "12" or "0x0c". @return false where it is none of them. */
bool rf_node_number(struct rpcfan_slice json, uint64_t *out);

/** Append an error object. @param data raw JSON or NULL. @param message plain ASCII, unescaped. */
void rf_node_error(struct rf_buf *out, int64_t code, const char *message, const char *data);

/** What a family's file needs to answer a call. */
struct rf_node_ask {
    const struct rf_node_chain *chain;
    struct rpcfan_slice method, params;
    struct rf_node_digest digest;
};

/** A method: its name and what writes its answer. */
struct rf_node_method {
    const char *name;
    uint8_t len;
    enum rf_node_answer (*answer)(const struct rf_node_ask *ask, struct rf_buf *out);
};

/** The EVM methods (node_evm.c), ended by a NULL name. */
extern const struct rf_node_method rf_node_evm_methods[];
/** The Solana methods (node_solana.c), ended by a NULL name. */
extern const struct rf_node_method rf_node_solana_methods[];

/** Append a -32602 error for the parameter `i`. @return RF_NODE_ERROR. */
enum rf_node_answer rf_node_bad_param(struct rf_buf *out, unsigned i, const char *what);

/** Append `n` bytes of "0x" and lower-case hex, made from a digest and `salt`. */
void rf_node_hex(struct rf_buf *out, struct rf_node_digest d, uint64_t salt, unsigned n);

/** Append a quoted EVM quantity ("0x1f"). */
void rf_node_quantity(struct rf_buf *out, uint64_t v);

/** One step of mixing: an even spread of `x` and `salt`. */
uint64_t rf_node_mix(uint64_t x, uint64_t salt);

/** The salt of state that churns with the head; constant where `chain->churn` is 0. */
uint64_t rf_node_epoch(const struct rf_node_ask *ask);

#endif
