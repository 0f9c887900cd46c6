/* scan.h - a resumable, validating JSON scanner: bytes in, tokens out, in chunks of any size.
 *
 * It accepts exactly RFC 8259 (UTF-8 checked, depth limited, numbers kept as text) and never looks
 * back: a token that crosses chunks is reported by stream offsets once its end is known, and
 * whoever needs its bytes keeps them. Called by the splitter, the request reader and the
 * validators; touches nothing but its own struct. */
#ifndef RF_JSON_SCAN_H
#define RF_JSON_SCAN_H

#include "base/base.h"

/** The deepest nesting that can be asked for. */
#define RF_SCAN_DEPTH_MAX 1024
/** What answers and requests are scanned with. */
#define RF_SCAN_DEPTH 512

enum rf_tok {
    RF_TOK_MORE,  /* the chunk is used up and the text is not at an end: give the next chunk */
    RF_TOK_ERROR, /* not JSON; sticky; see rf_scan_error() */
    RF_TOK_OBJECT,
    RF_TOK_OBJECT_END,
    RF_TOK_ARRAY,
    RF_TOK_ARRAY_END,
    RF_TOK_KEY,    /* offsets include the quotes */
    RF_TOK_STRING, /* offsets include the quotes */
    RF_TOK_NUMBER,
    RF_TOK_TRUE,
    RF_TOK_FALSE,
    RF_TOK_NULL
};

/** A scan of one JSON text. Fields marked "out" may be read after rf_scan_next(). */
struct rf_scan {
    uint64_t start;  /* out: stream offset of the token's first byte */
    uint64_t end;    /* out: stream offset behind its last byte */
    uint64_t offset; /* out: stream offset of the next unread byte */
    uint32_t depth;  /* out: open arrays and objects, after the token */
    bool escaped;    /* out: the string or key holds a backslash */
    bool integer;  /* out: the number is digits with an optional minus: no fraction, no exponent */
    bool space;    /* out: insignificant whitespace was seen since the caller last cleared this */
    bool done;     /* out: the top-level value is complete; only whitespace may follow */
    uint8_t state; /* from here on: private */
    uint8_t sub;
    uint8_t utf8_left, utf8_lo, utf8_hi;
    uint8_t error;
    uint32_t max_depth;
    uint64_t stack[RF_SCAN_DEPTH_MAX / 64]; /* a bit a level: 1 object, 0 array */
};

/** Begin a text. @param max_depth 1 to RF_SCAN_DEPTH_MAX. */
void rf_scan_init(struct rf_scan *s, uint32_t max_depth);

/**
 * The next token.
 * @param s      set up with rf_scan_init().
 * @param chunk  `len` bytes that follow what was scanned before.
 * @param pos    in and out: the place in the chunk; start at 0 with each new chunk.
 * @return a token, RF_TOK_MORE when the chunk is used up, or RF_TOK_ERROR. A number at the very end
 *         of the text is reported only by rf_scan_finish(). Never allocates. O(bytes).
 */
enum rf_tok rf_scan_next(struct rf_scan *s, const char *chunk, size_t len, size_t *pos);

/**
 * As rf_scan_next(), but tokens inside of more than `depth` open arrays and objects are checked and
 * not reported: brackets that stand at `depth` are, what is between them is not. With depth 0 one
 * call runs through a whole value.
 */
enum rf_tok rf_scan_skip(struct rf_scan *s, const char *chunk, size_t len, size_t *pos,
                         uint32_t depth);

/**
 * Pass over what the caller has checked itself: the rest of the object that was opened by the
 * latest token (RF_TOK_OBJECT), its brace, and, in an array, further whole elements that are
 * objects. All of it must be valid JSON.
 * @param n  its bytes, up to and including the last brace.
 */
void rf_scan_pass_object(struct rf_scan *s, size_t n);

/** Whether the chunk ended inside a token (a key, or a value other than an array or object), which
 * then began at `s->start`. */
static inline bool rf_scan_in_token(const struct rf_scan *s)
{
    return s->sub != 0;
}

/**
 * Say that the text is at its end.
 * @param number  out: 1 where a top-level number ended here (start and end are set); may be NULL.
 * @return 0, or RPCFAN_EMALFORMED where the text is not one whole JSON value.
 */
enum rpcfan_err rf_scan_finish(struct rf_scan *s, int *number);

/** What is wrong and where, for people: static text; `s->offset` is the place. */
const char *rf_scan_error(const struct rf_scan *s);

/**
 * Validate one whole JSON text.
 * @param at  out: the offset of the first fault; may be NULL.
 * @return 0 or RPCFAN_EMALFORMED.
 */
enum rpcfan_err rf_json_check(const char *json, size_t len, uint32_t max_depth, size_t *at);

#endif
