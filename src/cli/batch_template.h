/* batch_template.h - `-p TEMPLATE`: params with places marked {} that an input line goes into.
 *
 * Inside a JSON string the line is escaped, so that any text is a valid string: ["0x{}","latest"].
 * Outside of one it goes in as it is, so that it may be any JSON: [{},true]. An empty object is
 * written { } in a template. Without a template params are [LINE]: as it is where it is JSON, else
 * as a string. Called by batch_request.c. Pure. */
#ifndef RF_CLI_BATCH_TEMPLATE_H
#define RF_CLI_BATCH_TEMPLATE_H

#include "base/buf.h"

#define RF_TEMPLATE_PLACES_MAX 64

/** A template taken apart. Zero-initialised it is "no template". */
struct rf_template {
    const char *text; /* borrowed; NULL: params are [LINE] */
    size_t len;
    size_t n; /* places */
    struct {
        size_t at;      /* offset of the {} */
        bool in_string; /* the line is escaped there */
    } place[RF_TEMPLATE_PLACES_MAX];
};

/**
 * Take a template apart and check that it is a JSON array or object around its places.
 * @param text  NUL-terminated, borrowed for the life of `t`.
 * @return 0, RPCFAN_EINVAL with the column and the remedy, or RPCFAN_ENOMEM.
 */
enum rpcfan_err rf_template_init(struct rf_template *t, const char *text, struct rpcfan_error *err);

/** Append the params that a line makes. They are valid JSON only where the line is what the
 * template needs: rpcfan_call() validates them. Out of memory is `out->failed`. */
void rf_template_expand(const struct rf_template *t, const char *line, size_t len,
                        struct rf_buf *out);

#endif
