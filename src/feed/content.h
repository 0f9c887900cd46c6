/* content.h - what an account object says: its fields, checked, and one hash of them that does not
 * depend on the order of members or on white space. Called by the account feed. Pure. */
#ifndef RF_FEED_CONTENT_H
#define RF_FEED_CONTENT_H

#include "base/base.h"

/** An account as it was read. */
struct rf_content {
    uint64_t lamports, rent_epoch, space;
    uint64_t hash; /* never 0 */
    uint8_t owner[32];
    struct rpcfan_slice data; /* the text between its quotes, in the JSON */
    bool executable, has_space, zstd;
};

/**
 * Read an account object: {"lamports":u64,"owner":"...","executable":bool,"data":["...","base64"]},
 * with rentEpoch and space where they are given. Data must be base64 or base64+zstd; where it is
 * the first and `space` is given, both must be of one length. Members that nobody knows are passed
 * over; one that stands twice is refused.
 * @param json valid JSON. @return false where it is not such an object.
 */
bool rf_content_read(struct rpcfan_slice json, struct rf_content *out);

/** Bytes that base64 data stands for; not with zstd. */
uint64_t rf_content_len(const struct rf_content *c);

/**
 * Decode the base64 of an account's data from `offset` on, as far as it goes.
 * @param out `n` bytes. @return how many were there; with zstd 0.
 */
size_t rf_content_bytes(const struct rf_content *c, uint64_t offset, size_t n, uint8_t *out);

#endif
