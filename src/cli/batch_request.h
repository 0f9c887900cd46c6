/* batch_request.h - turns an input line into a call, or into the reason why it is none. Called by
 * the batch's loop; touches nothing but its own buffers. */
#ifndef RF_CLI_BATCH_REQUEST_H
#define RF_CLI_BATCH_REQUEST_H

#include "cli/batch_input.h"
#include "cli/batch_template.h"

/** How lines become calls, and the buffers for it. */
struct rf_maker {
    const char *method;          /* of -m; NULL: a line is a request object */
    struct rf_template template; /* with -m */
    struct rf_buf params, name;  /* private */
    char number[24];             /* private */
};

/** A call made of a line. Slices point into the line or into the maker: valid until the next one.
 */
struct rf_made {
    struct rpcfan_slice id; /* raw JSON: the caller's, or the line number */
    const char *method;
    struct rpcfan_slice params; /* len 0: none */
    char problem[512];          /* where it is no call: why, and the remedy */
};

/**
 * Make a call of a line.
 * @return 0, RPCFAN_EINVAL or RPCFAN_ETOOBIG (`out->id` and `out->problem` are set), RPCFAN_ENOMEM.
 */
enum rpcfan_err rf_maker_make(struct rf_maker *m, const struct rf_line *line, struct rf_made *out);

/** rpcfan_call() refused what was made: put a better reason into `out->problem` than `text`. */
void rf_maker_explain(const struct rf_maker *m, struct rf_made *out, const char *text);

/** Free the buffers. */
void rf_maker_fini(struct rf_maker *m);

#endif
