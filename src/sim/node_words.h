/* node_words.h - one script line taken apart into words and key=value pairs, read by type.
 *
 * Getters mark what they used; the first thing that is wrong sticks in `err`, so that a directive
 * reads all its words and checks once. Called by node_conf*.c. Pure. */
#ifndef RF_SIM_NODE_WORDS_H
#define RF_SIM_NODE_WORDS_H

#include "base/base.h"

#define RF_WORDS_MAX 32

struct rf_node_words {
    unsigned n;
    char *word[RF_WORDS_MAX];
    bool used[RF_WORDS_MAX];
    bool failed;
    struct rpcfan_error *err;
};

/**
 * Split a line in place: words between blanks, "..." with \" \\ \n \t, '...' as it is, and # begins
 * a comment where a word could begin.
 * @param line  NUL-terminated; changed, and borrowed by the words.
 * @param err   where errors go; may be NULL.
 * @return 0 or RPCFAN_ECONFIG (an open quote, too many words).
 */
enum rpcfan_err rf_node_words_split(struct rf_node_words *w, char *line, struct rpcfan_error *err);

/** Note what is wrong, if nothing was before. */
void rf_node_words_fail(struct rf_node_words *w, const char *fmt, ...) RF_PRINTF(2, 3);

/** After all getters: 0, or RPCFAN_ECONFIG where one failed or a word was used by none. */
enum rpcfan_err rf_node_words_done(struct rf_node_words *w);

/** The next unused word without a `key=`; NULL where there is none. Marks it. */
char *rf_node_words_next(struct rf_node_words *w);
/** As _next, but its absence is an error that names `what`. Never NULL. */
const char *rf_node_words_need(struct rf_node_words *w, const char *what);
/** The value of key=, or NULL. */
char *rf_node_words_text(struct rf_node_words *w, const char *key);
/** A number, or `def` where the key is absent. */
uint64_t rf_node_words_u64(struct rf_node_words *w, const char *key, uint64_t def);
/** A signed number, or `def`. */
int64_t rf_node_words_i64(struct rf_node_words *w, const char *key, int64_t def);
/** A byte count with an optional unit, or `def`. */
uint64_t rf_node_words_bytes(struct rf_node_words *w, const char *key, uint64_t def);
/** A duration in ns, or `def`. */
uint64_t rf_node_words_time(struct rf_node_words *w, const char *key, uint64_t def);
/** yes or no, or `def`. */
bool rf_node_words_flag(struct rf_node_words *w, const char *key, bool def);
/** The index of the value among `names` (ended by NULL), or `def`. */
unsigned rf_node_words_choice(struct rf_node_words *w, const char *key, const char *const *names,
                              unsigned def);

/** Read a whole decimal number. @return false where `text` is none. */
bool rf_node_text_u64(const char *text, uint64_t *out);

#endif
