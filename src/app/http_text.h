/* http_text.h - an HTTP response as text, as `curl -i` prints it: status line, headers, blank line,
 * body. Called by cli/cmd_explain. Reads no clock and no file. */
#ifndef RF_APP_HTTP_TEXT_H
#define RF_APP_HTTP_TEXT_H

#include "base/base.h"

/** A response. Zero-initialised is one without status, headers and body. */
struct rf_http_text {
    int status;               /* 0: there was no status line */
    struct rpcfan_slice body; /* into the text */
    char retry_after[128];    /* "": absent */
    char date[64];            /* "": absent */
    char encoding[32];        /* Content-Encoding; "": absent or identity */
};

/** Take one header line, `len` bytes without its end. @return false where it has no colon, or
 * nothing before it. */
bool rf_http_text_header(struct rf_http_text *h, const char *line, size_t len);

/**
 * Read a response. Of several in a row (100 Continue, redirects, a proxy's answer to CONNECT) the
 * last one counts. Lines end with CR LF or LF. Text that begins with no status line is all body.
 * @param out  headers that were taken before stay where the response has none of that name.
 * @return 0, or RPCFAN_EINVAL with the line and the remedy.
 */
enum rpcfan_err rf_http_text_read(const char *text, size_t len, struct rf_http_text *out,
                                  struct rpcfan_error *err);

/** When to come back. @param wall_s seconds since the epoch now. @return ns or RF_NEVER. */
uint64_t rf_http_text_retry(const struct rf_http_text *h, int64_t wall_s);

#endif
