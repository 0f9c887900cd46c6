/* split.h - the batch splitter: a response body in, (id, result slice, error slice) a member out.
 *
 * It runs while the body still arrives, over one growing buffer, and reports offsets into it, so no
 * byte of a result is ever copied. It validates the whole text. Called by net/http and the tests.
 */
#ifndef RF_JSON_SPLIT_H
#define RF_JSON_SPLIT_H

#include "json/scan.h"

/** What stood where the id belongs. */
enum rf_id_kind {
    RF_ID_NONE,  /* no id member */
    RF_ID_NULL,  /* null */
    RF_ID_UINT,  /* an unsigned integer below 2^64; also "12" (digits alone, no escapes) and 12.0
                  * (a fraction of zeros), which some nodes make of 12 */
    RF_ID_OTHER, /* anything else, or two ids that differ */
};

/** One response object. Offsets are into the body; a length of 0 means that the member is absent,
 * and null has length 4. Where a name stands twice, the later value is here and `twice` is set; an
 * id may stand twice where both mean the same. */
struct rf_member {
    uint64_t id;
    uint64_t result_at, result_len;
    uint64_t error_at, error_len;
    uint8_t id_kind; /* an rf_id_kind */
    bool space;      /* result or error hold whitespace between tokens */
    bool twice;      /* "result" or "error" stood twice, or both are there and neither is null */
};

enum rf_shape {
    RF_SHAPE_NONE,   /* nothing but whitespace yet */
    RF_SHAPE_OBJECT, /* one response object: member[0] */
    RF_SHAPE_ARRAY,  /* a batch response */
    RF_SHAPE_OTHER,  /* JSON, but a string, a number or a literal */
    RF_SHAPE_BAD     /* not JSON (HTML, truncated, ...) */
};

/** A split under way. Reusable: rf_split_init() keeps the member array. Zero-initialise once. */
struct rf_split {
    enum rf_shape shape;      /* out */
    struct rf_member *member; /* out; owned by the split */
    uint32_t n, cap;          /* out: members stored; memory for */
    uint32_t max;             /* members beyond it are checked and counted, not stored */
    uint64_t overflow;        /* out: members not stored */
    uint64_t not_objects;     /* out: array elements that are no object */
    bool no_memory;           /* out: storing failed; shape is RF_SHAPE_BAD */
    struct rf_scan scan;      /* private from here on */
    struct rf_member cur;
    uint64_t fed, value_at;
    uint8_t field, bom;
    bool in_member;
};

/** Begin a body. @param max the most members to store, at least 1. */
void rf_split_init(struct rf_split *s, uint32_t max);

/**
 * Go on with a body that has grown.
 * @param body  the body from its first byte; earlier bytes unchanged, the address may change.
 * @param len   its length now; not less than before.
 */
void rf_split_feed(struct rf_split *s, const char *body, uint64_t len);

/**
 * The body is complete: sets `shape` to RF_SHAPE_BAD where the text is not whole. A body that is
 * empty or only whitespace stays RF_SHAPE_NONE. Members that were whole before a fault stay in
 * `member`.
 * @param body  as fed last.
 */
void rf_split_finish(struct rf_split *s, const char *body);

/** Free the member array. */
void rf_split_fini(struct rf_split *s);

#endif
