/* need.h - what a call needs of a node's head, and what an answer says about it.
 *
 * Called by core.c (submit: the need of a call) and core/settle (each answer: the head). Reads the
 * raw JSON in place: params and results have passed the scanner before. What it cannot read it says
 * nothing about; it never reads past the slice. Touches nothing and allocates nothing. */
#ifndef RF_CORE_NEED_H
#define RF_CORE_NEED_H

#include "base/base.h"

enum rf_need_kind {
    RF_NEED_NONE,  /* any node will do: history, hashes, finalized state, no chain state at all */
    RF_NEED_TIP,   /* it reads the tip: a node that lags answers with what is no longer true */
    RF_NEED_BLOCK, /* block `at` (Solana: slot) has to be there */
    RF_NEED_SLOT   /* minContextSlot: a node below slot `at` refuses */
};

struct rf_need {
    enum rf_need_kind kind;
    uint64_t at; /* BLOCK, SLOT; else 0 */
};

/**
 * What a call needs.
 * EVM: by the method's block parameter: absent, null, "latest" and "pending" are the tip; a number
 * (hex, tolerated: decimal) or {"blockNumber": ..} is a block; "earliest", "safe", "finalized" and
 * hashes need nothing. Of a range (fromBlock, toBlock) the greater end, and the tip where it has no
 * end. Solana: minContextSlot in any object of the params, before all else; then slots and reads of
 * current state by method. Unknown methods, escapes in names, and RPCFAN_GENERIC: nothing.
 * @param method  between the quotes, raw.
 * @param params  raw JSON, validated; len 0: none.
 * Cost: a walk up to the parameter in question.
 */
struct rf_need rf_need_of_call(enum rpcfan_family family, struct rpcfan_slice method,
                               struct rpcfan_slice params);

/**
 * The node's head where a result tells it: eth_blockNumber, getSlot, and `context.slot` of any
 * Solana result that begins with its context. It is the head at the commitment that the call asked
 * for, so on Solana "finalized" reads stand some 32 slots below "processed" ones of the same node.
 * @param result  raw JSON, validated, from its first token on, as the splitter gives it.
 * @param head    out: set where true is returned.
 * @return false where the result does not say. Reads at most the first 256 bytes.
 */
bool rf_need_head_in_result(enum rpcfan_family family, struct rpcfan_slice method,
                            struct rpcfan_slice result, uint64_t *head);

/**
 * A block that the node surely has, which is no head: `number` in an answer to
 * eth_getBlockByNumber. Where the call's need was RF_NEED_TIP it is the head ("pending": one more);
 * an old block says only that the head is not below it. @param at  out: set where true is returned.
 * @return false where the result does not say. Reads at most the first 4 KiB.
 */
bool rf_need_floor_in_result(enum rpcfan_family family, struct rpcfan_slice method,
                             struct rpcfan_slice result, uint64_t *at);

/** The node's head where an error tells it: `data.contextSlot` of Solana's -32016.
 * @param error  raw JSON of the error member. @param head out: set where true is returned. */
bool rf_need_head_in_error(enum rpcfan_family family, struct rpcfan_slice error, uint64_t *head);

/** How far a node says that it lags: `data.numSlotsBehind` of Solana's -32005; 0 where it does not
 * know (null). Others use the code for throttling, without that member: false.
 * @param behind out: set where true is returned. */
bool rf_need_behind_in_error(enum rpcfan_family family, struct rpcfan_slice error,
                             uint64_t *behind);

/** The question that makes a node tell its head, as rf_request_tail() would write it; static.
 * {NULL, 0} for RPCFAN_GENERIC. */
struct rpcfan_slice rf_need_probe_tail(enum rpcfan_family family);

#endif
