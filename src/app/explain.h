/* explain.h - how an answer is classified, and why: what `rpcfan explain` shows. Called by
 * cli/cmd_explain and the tests of the rule table; reads no file and no clock. */
#ifndef RF_APP_EXPLAIN_H
#define RF_APP_EXPLAIN_H

#include "base/buf.h"
#include "core/rules.h"

/** An answer as it came, and what was asked. Borrowed. */
struct rf_explain {
    const struct rf_rules *rules;
    enum rpcfan_family family;
    struct rpcfan_slice method, params; /* len 0: not known */
    int status;
    uint64_t retry_after_ns; /* RF_NEVER: none */
    struct rpcfan_slice body;
    uint32_t
        batch; /* calls that were sent in one batch; 1: a single; 0: as many as the body holds */
};

/** One part of an answer. */
struct rf_explained {
    bool member;               /* of an array; else the answer as a whole */
    bool result;               /* it is a result: nothing is to be judged */
    struct rpcfan_slice error; /* raw JSON of the error; len 0: there is none */
    struct rf_verdict verdict; /* where it is no result */
};

/** Told of each part. */
typedef void rf_explain_fn(void *arg, uint32_t index, const struct rf_explained *part);

/**
 * Judge an answer as the client would: an array member by member, all else as a whole.
 * @return 0 or RPCFAN_ENOMEM.
 */
enum rpcfan_err rf_explain_each(const struct rf_explain *e, rf_explain_fn *fn, void *arg);

/** Append the explanation for people. @return 0 or RPCFAN_ENOMEM. */
enum rpcfan_err rf_explain_text(const struct rf_explain *e, struct rf_buf *out);
/** Append it as one JSON object (rpcfan-explain(1)). @return 0 or RPCFAN_ENOMEM. */
enum rpcfan_err rf_explain_json(const struct rf_explain *e, struct rf_buf *out);
/** Append the table, a rule a line: where it stands, and the rule. */
void rf_explain_list(const struct rf_rules *rules, struct rf_buf *out);
/** The same as a JSON array of objects. */
void rf_explain_list_json(const struct rf_rules *rules, struct rf_buf *out);

/** What a class means, in words; static. */
const char *rf_explain_meaning(enum rf_class c);
/** What the client does about a class, in words; static. */
const char *rf_explain_action(enum rf_class c);

#endif
