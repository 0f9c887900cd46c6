/* rpc.h - JSON-RPC texts: read a user's request, write ours, read an error object, quote, compact.
 * Called by client (submission), core (packing, classification) and the command. Pure. */
#ifndef RF_JSON_RPC_H
#define RF_JSON_RPC_H

#include "base/buf.h"
#include "json/scan.h"

/** A request as a user wrote it. Slices point into the user's text. */
struct rf_request_text {
    struct rpcfan_slice id;     /* raw JSON; len 0: none given */
    struct rpcfan_slice method; /* between the quotes, raw (may hold escapes) */
    struct rpcfan_slice params; /* raw JSON array or object; len 0: none given */
    bool method_escaped;
};

/**
 * Read one JSON-RPC request object, the whole text. `jsonrpc` (only "2.0"), `id` and `params` are
 * optional, null params are none; unknown members and members that stand twice are refused.
 * @param err  detail with the column (1-based byte) on failure; may be NULL.
 * @return 0 or RPCFAN_EINVAL; `out->id` is set also on failure where it could be read, so that the
 *         caller can answer with it.
 */
enum rpcfan_err rf_request_read(const char *text, size_t len, struct rf_request_text *out,
                                struct rpcfan_error *err);

/** An error object taken apart. Slices point into the text; len 0: absent. */
struct rf_error_text {
    int64_t code;                /* 0 where there is none, or where it is no integer */
    bool has_code;               /* there is one, and it is an integer of 64 bits */
    struct rpcfan_slice message; /* between the quotes, raw */
    struct rpcfan_slice data;    /* raw JSON */
};

/** Read an error: an object, or a bare string (message only). Where a name stands twice, the last
 * one counts. @return false where it is neither, or not valid JSON. */
bool rf_error_read(const char *text, size_t len, struct rf_error_text *out);

/** Append `"method":METHOD,"params":PARAMS}`: what all tries of a call have in common.
 * @param params  raw JSON; len 0: written as []. The method is quoted and escaped here. */
void rf_request_tail(struct rf_buf *b, struct rpcfan_slice method, struct rpcfan_slice params);

/** Append `{"jsonrpc":"2.0","id":ID,` and the tail. */
void rf_request_member(struct rf_buf *b, uint64_t id, const char *tail, size_t len);

/** The most bytes that rf_request_member() puts in front of a tail. */
#define RF_REQUEST_HEAD_MAX 48

/** Append a JSON string: quotes added, escaped as RFC 8259 asks; each longest wrong piece of UTF-8
 * becomes one U+FFFD. */
void rf_json_quote(struct rf_buf *b, const char *s, size_t len);

/** Undo the escapes of a raw string body (between the quotes) into `b`; \u pairs become UTF-8, lone
 * surrogates U+FFFD. The text must have passed the scanner. */
void rf_json_unescape(struct rf_buf *b, const char *s, size_t len);

/** As rf_json_unescape(), into memory. @param out at least `len` bytes. @return bytes written. */
size_t rf_json_unescape_to(const char *s, size_t len, char *out);

#endif
