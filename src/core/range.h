/* range.h - calls over a range of blocks: read the range, write another one, plan its pieces, split
 * a filter's addresses, and merge the answers.
 *
 * Called by core (submit, act, settle). Pure; it keeps nothing. What an endpoint takes is learned
 * in policy/rangecap.h. */
#ifndef RF_CORE_RANGE_H
#define RF_CORE_RANGE_H

#include "base/buf.h"

/** Most pieces of one plan. */
#define RF_RANGE_PARTS_MAX 64
/** How deep pieces of pieces go: below 2^56 blocks no plan that follows the hints as they are given
 * goes deeper, whatever a server says. */
#define RF_RANGE_DEPTH_MAX 64
/** Down to here a suggestion of more than half of the piece is followed; below, pieces are at most
 * halves, so that a server that always suggests one block less comes to an end. */
#define RF_RANGE_TRUST_DEPTH 8

/** Where one end of the range stands in params. */
struct rf_range_place {
    size_t at, len; /* the raw value; len 0: there is none */
    bool hex;       /* written as "0x..", else as a decimal number */
};

/** The range of a call. */
struct rf_range {
    uint64_t from, to;       /* inclusive; 0 where open */
    bool open_from, open_to; /* the head, as the node has it: "latest", null, or absent */
    bool positional;         /* [from, to] itself, else members of a filter */
    bool empty;              /* the filter has no member */
    size_t insert_at;        /* where an absent end belongs */
    struct rf_range_place at_from, at_to;
};

/**
 * Read the range of a call that may be split into ranges: eth_getLogs, erigon_getLogs,
 * trace_filter, arbtrace_filter; getBlocks of Solana.
 * @param method  the name between its quotes.
 * @param params  raw valid JSON.
 * @param out     `from` and `to` with "earliest" as 0. Where an end is open the caller has to learn
 *                the head before it can split.
 * @return false where the call must go as it is: another method, a block hash, other tags than
 *         "latest" and "earliest", from over to, pages (`after`, `count`), a trace filter without
 *         fromBlock (nodes differ in what they take it for), names that stand twice or differ in
 *         case (some nodes take them), or anything that is not understood.
 */
bool rf_range_read(struct rpcfan_slice method, struct rpcfan_slice params, struct rf_range *out);

/**
 * Append the params with another range; all else stays byte for byte. An end that is absent is
 * added, as a hex string in a filter; one that is there keeps its form.
 * @param r       as rf_range_read() found it in these `params`.
 * @return false where from is over to, or when out of memory.
 */
bool rf_range_write(const struct rf_range *r, struct rpcfan_slice params, uint64_t from,
                    uint64_t to, struct rf_buf *out);

/** What is known about how to split. All zero: nothing. */
struct rf_range_hint {
    bool told; /* the server suggested a range */
    uint64_t told_from, told_to;
    uint64_t cap;   /* blocks it takes, told or learned; 0: unknown */
    uint64_t probe; /* of rf_range_cap_probe(): length of the first piece; 0: as the others */
    uint32_t depth; /* plans above this one: 0 for the call itself */
};

/** Pieces in order. */
struct rf_range_plan {
    struct {
        uint64_t from, to; /* inclusive */
    } part[RF_RANGE_PARTS_MAX];
    uint32_t n; /* 0: cannot be split; otherwise 2 or more */
};

/**
 * Cut a range into pieces: disjoint, in order, and nothing left out.
 * - A suggestion that begins where the range does is the first piece as it is, and the length of
 *   the others. One that begins elsewhere gives only the length.
 * - A cap gives the length. Of a suggestion and a cap the shorter one counts.
 * - Where neither is shorter than the range: halves.
 * - Where more pieces are needed than fit, all but the first are whole multiples of the length, as
 *   even as they can be: those are over the cap, and have to be cut again before they are sent. So
 *   depth grows with the logarithm of the range.
 * @param from,to  inclusive; a range of one block, or none, is not cut.
 */
void rf_range_split(uint64_t from, uint64_t to, const struct rf_range_hint *hint,
                    struct rf_range_plan *out);

/**
 * Append the params with one part of the `address` list of their filter; all else stays byte for
 * byte.
 * @param params  raw valid JSON: an array with the filter first.
 * @param parts   2 or more; parts are as even as they can be, in order.
 * @param index   below `parts`.
 * @return false where there is no list of at least `parts` addresses (an empty list would mean all
 *         addresses), or when out of memory. The results interleave: merge them by position.
 */
bool rf_range_split_filter(struct rpcfan_slice params, uint32_t parts, uint32_t index,
                           struct rf_buf *out);

/**
 * Append one JSON array of all elements of others.
 * @param parts        raw valid JSON each, in the order of their ranges.
 * @param by_position  false: one after the other, which costs a copy. true: logs, merged by
 *                     (blockNumber, logIndex); equal positions keep the order of the parts, and of
 *                     equal logs at one position (an address that stood in two parts) one is kept.
 * @return false where one is no array, or by position where an element is no object with both
 *         numbers; or when out of memory. `out` is as long as before then.
 */
bool rf_range_merge(const struct rpcfan_slice *parts, uint32_t n, bool by_position,
                    struct rf_buf *out);

/**
 * A raw JSON number of blocks: "0x.." with up to 64 bits, or a decimal integer.
 * @param hex  out: which of both; may be NULL.
 */
bool rf_range_number(struct rpcfan_slice raw, uint64_t *v, bool *hex);

#endif
