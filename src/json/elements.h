/* elements.h - the elements of one array inside a JSON-RPC result, as the bytes arrive: an answer
 * of millions of accounts in the memory of one.
 *
 * It validates the whole text, reports each element of `result`, of `result.value` or of
 * `result.accounts` (whichever is the array) and `result.context.slot`, and keeps an error object
 * whole. Called by net/http for streamed calls. Pure. */
#ifndef RF_JSON_ELEMENTS_H
#define RF_JSON_ELEMENTS_H

#include "base/buf.h"
#include "json/scan.h"

/** Called with each element. Borrowed for the call. @return false: stop feeding after this one;
 * what was not read yet is fed again later. */
typedef bool (*rf_element_fn)(void *arg, struct rpcfan_slice element);

/** A scan under way. Zero-initialise once; reusable by rf_elements_init(). */
struct rf_elements {
    uint64_t id;           /* out: of the response; 0: none that is a number */
    uint64_t context_slot; /* out: result.context.slot as far as it was seen; 0: not */
    uint64_t n;            /* out: elements reported */
    bool has_array;        /* out: there was such an array */
    bool bad, no_memory;   /* out: not JSON, or cut short; out of memory */
    bool too_big;          /* out: one element is over the cap */
    struct rf_buf rest;    /* out: with neither array: the whole text so far, up to the cap, so that
                              it can be split as usual; else the error object or what surrounds */
    struct rf_scan scan;   /* private from here on */
    struct rf_buf element;
    size_t element_max;
    uint8_t at[8];
    uint8_t depth;
    uint64_t mark;
};

/** Begin. @param element_max the longest element, and the longest answer without an array. */
void rf_elements_init(struct rf_elements *e, size_t element_max);
/** Go on. @return the bytes of the chunk that were used: fewer than `len` only where `fn` said to
 * stop. */
size_t rf_elements_feed(struct rf_elements *e, const char *chunk, size_t len, rf_element_fn fn,
                        void *arg);
/** The text is at its end. Sets `bad` where it was not whole. */
void rf_elements_finish(struct rf_elements *e);
/** Free. */
void rf_elements_fini(struct rf_elements *e);

#endif
