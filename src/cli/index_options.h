/* index_options.h - what `rpcfan index` is to do: its options read and checked, the file of
 * accounts and the filters turned into a feed's. Called by cmd_index; reads that file. */
#ifndef RF_CLI_INDEX_OPTIONS_H
#define RF_CLI_INDEX_OPTIONS_H

#include "base/buf.h"
#include "cli/args.h"
#include "cli/follow.h"
#include "rpcfan/feed.h"

enum rf_index_summary { RF_INDEX_QUIET, RF_INDEX_TEXT, RF_INDEX_JSON };

/** Zero-initialised is none; rf_index_options_fini() it. Strings are argv's own. */
struct rf_index_options {
    const char *program, *accounts, *db; /* NULL: not given */
    struct rf_buf filters;               /* [FILTER,... ; the bracket is added by _load() */
    unsigned n_filters;
    int commitment, encoding; /* of rpcfan/feed.h */
    bool history, once, verify, emit, help;
    enum rf_index_summary summary;
    struct rf_follow_queue queue;
    bool has_sweep, has_audit;
    uint64_t sweep_ns, audit_ns, for_ns;
    uint64_t copies; /* 0: not given */

    char **key; /* of --accounts, sorted, each once; owned, as the strings are */
    size_t n_keys;
    char *subject; /* which accounts, in words, for the database; owned */
};

/** The table of the options, for rf_args_next(). Static. */
extern const struct rf_arg_spec rf_index_spec[];
extern const size_t rf_index_spec_n;

/** Take one option or word. @return NULL, or what is wrong (static, or in `problem`). */
const char *rf_index_options_take(struct rf_index_options *o, const struct rf_args *args, int key);

/** Whether they go together. @return NULL, or what is wrong. */
const char *rf_index_options_check(const struct rf_index_options *o);

/**
 * Read --accounts and write the subject.
 * @return 0, RPCFAN_EINVAL (a line is no key), RPCFAN_EIO or RPCFAN_ENOMEM, with the place in
 * `err`.
 */
enum rpcfan_err rf_index_options_load(struct rf_index_options *o, struct rpcfan_error *err);

/** Fill in a feed's options; they point into `o`. */
void rf_index_options_feed(const struct rf_index_options *o, const char *network,
                           struct rpcfan_feed_options *fo);

/** The name of --commitment. Static. */
const char *rf_index_commitment(const struct rf_index_options *o);

/** Free what it owns. */
void rf_index_options_fini(struct rf_index_options *o);

#endif
