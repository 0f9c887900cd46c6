/* canon.h - one text for each JSON value, so that answers of different nodes can be compared.
 *
 * Two texts that mean the same value have the same canonical form, byte for byte:
 * - no whitespace;
 * - members of an object by the bytes of their names with escapes undone; of members with one name
 *   the last one counts, as in jansson;
 * - strings with the fewest escapes: \" \\ \b \f \n \r \t, other control characters as \u00xx, all
 *   else as UTF-8. A lone surrogate, which is no character, becomes U+FFFD;
 * - numbers by their exact decimal value: 1.0 and 10e-1 are 1, -0 is 0, 1e2 is 100. Up to
 *   RF_CANON_ZEROS zeros are written out at either end, past that it is 1e25 and 12e-30; so an
 *   integer stays as it is unless it ends in more zeros than that. An exponent of over 18 digits is
 *   kept as it stands.
 * What differs in value has different canonical forms, but for lone surrogates.
 *
 * Called by core to compare the answers of a quorum and to join equal reads. Pure. */
#ifndef RF_JSON_CANON_H
#define RF_JSON_CANON_H

#include "base/buf.h"
#include "json/scan.h"

/** Zeros that are written out rather than put into an exponent. So a text grows no more than
 * sixfold. */
#define RF_CANON_ZEROS 24

/**
 * Append the canonical form of one JSON text. O(n log n), memory O(n); nesting up to RF_SCAN_DEPTH,
 * without recursion.
 * @param json  the whole text; not part of `out`.
 * @param out   appended to; on failure as long as before, and `failed` where its memory ran out.
 * @return false where it is not valid JSON, is nested too deeply, or memory ran out.
 */
bool rf_json_canon(struct rpcfan_slice json, struct rf_buf *out);

/**
 * A hash of a canonical text, for tables and for a first look. It is fixed within a process, and no
 * defence against a node that wants a collision: compare the texts where the hashes are equal.
 */
uint64_t rf_json_canon_hash(struct rpcfan_slice canon);

#endif
