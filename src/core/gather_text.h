/* gather_text.h - the texts of a gather: which getAccountInfo may be asked for together with
 * others, and what each of them gets out of the answer of a getMultipleAccounts. Called by
 * gather.c. Pure. */
#ifndef RF_CORE_GATHER_TEXT_H
#define RF_CORE_GATHER_TEXT_H

#include "base/blob.h"
#include "base/buf.h"

/**
 * Read the params of a getAccountInfo. One that can be gathered is `["KEY",{...}]` with a key of 32
 * bytes and an encoding that is named: the default is base58 here and base64 there.
 * @param params   valid JSON.
 * @param options  the canonical form of the second one is appended; two with equal text ask for the
 *                 same of their accounts.
 * @return false where it has to go alone, and where memory ran out.
 */
bool rf_gather_read(struct rpcfan_slice params, struct rf_buf *options);

/** The key of params that rf_gather_read() took, with its quotes. Borrowed. */
struct rpcfan_slice rf_gather_key(struct rpcfan_slice params);

/** What a getMultipleAccounts brought. Slices point into it. */
struct rf_gather_result {
    struct rpcfan_slice context;
    struct rpcfan_slice *value; /* the caller's array */
    uint32_t n;
};

/**
 * Take the result of a getMultipleAccounts apart.
 * @param result  valid JSON.
 * @param out     `value` has room for `n`; the rest is filled in.
 * @param n       accounts that were asked for.
 * @return false where it is not `{"context":...,"value":[...]}` with `n` accounts.
 */
bool rf_gather_cut(struct rpcfan_slice result, struct rf_gather_result *out, uint32_t n);

/** Bytes of `{"context":,"value":}`. */
#define RF_GATHER_FRAME 21

/** Append what a getAccountInfo would have brought: `{"context":CONTEXT,"value":VALUE}`.
 * @param at  out: where it stands in the blob. @return false when out of memory. */
bool rf_gather_write(struct rf_blob *b, struct rpcfan_slice context, struct rpcfan_slice value,
                     size_t *at);

#endif
