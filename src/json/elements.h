/* elements.h - the elements of one array inside a JSON-RPC result, as the bytes arrive: an answer
 * of millions of accounts in the memory of one.
 *
 * It validates the whole text, reports each element of the array that is `result`, `result.value`,
 * `result.accounts` or `result.value.accounts`, and keeps what surrounds it: the text with that
 * array empty, which is then split and judged like any other answer. Of several such arrays the
 * first is reported and the others stay in the text. Called by net/http for streamed calls and by
 * the virtual shell. Pure. */
#ifndef RF_JSON_ELEMENTS_H
#define RF_JSON_ELEMENTS_H

#include "base/buf.h"
#include "json/scan.h"

/** Called with each element. Borrowed for the call. @return false: stop feeding after this one;
 * what was not read yet is fed again later. */
typedef bool (*rf_element_fn)(void *arg, struct rpcfan_slice element);

/** A scan under way. Zero-initialise once; reusable by rf_elements_init(). */
struct rf_elements {
    uint64_t context_slot; /* out: result.context.slot as far as it was seen; 0: not */
    uint64_t n;            /* out: elements reported */
    bool has_array;        /* out: there was such an array */
    bool bad;              /* out: not JSON, or cut short */
    bool no_memory;        /* out: out of memory; nothing is read any more */
    bool too_big;          /* out: an element or `rest` is over the cap; likewise */
    struct rf_buf rest;    /* out: the text so far with that array empty: no JSON either where
                              `bad` is set. What is no JSON and has no such array is kept as it
                              came; where it has, nothing behind the fault is */
    struct rf_scan scan;   /* private from here on */
    struct rf_buf element; /* the part of one that earlier chunks held */
    size_t max;
    uint64_t left_out; /* bytes that `rest` does not hold */
    uint32_t inside;   /* depth of the array's elements; 0: not in it */
    uint8_t key[4];    /* by depth: the name that the value there belongs to */
    uint8_t bom;       /* bytes of a byte order mark that were seen */
    bool begun, open;  /* the text has begun; an element has */
};

/** Begin. @param max  the longest element, and the longest `rest`, in bytes. */
void rf_elements_init(struct rf_elements *e, size_t max);
/** Go on. @return the bytes of the chunk that were used: fewer than `len` only where `fn` said to
 * stop. */
size_t rf_elements_feed(struct rf_elements *e, const char *chunk, size_t len, rf_element_fn fn,
                        void *arg);
/** The text is at its end. Sets `bad` where it was not whole. */
void rf_elements_finish(struct rf_elements *e);
/** Free. */
void rf_elements_fini(struct rf_elements *e);

#endif
