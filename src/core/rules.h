/* rules.h - the rule table: read once a client from text, held against each refusal.
 *
 * The built-in table is src/core/rules.conf, compiled in; its head is the grammar. A user's own
 * text has the same grammar and goes first. Called by core.c (life), classify.c (matching) and
 * app/explain. Pure. */
#ifndef RF_CORE_RULES_H
#define RF_CORE_RULES_H

#include "core/classify.h"

#define RF_RULE_STATUS_MAX 6
#define RF_RULE_CODES_MAX 6
#define RF_RULE_TEXTS_MAX 2
#define RF_RULE_ID_MAX 40
#define RF_RULES_MAX 4096            /* of one source */
#define RF_RULES_TEXT_MAX (1u << 20) /* bytes of a user's text */

/** What a rule knows besides its class; bits. */
enum rf_rule_flag {
    RF_RULE_BATCH = 1u << 0,       /* condition: a batch was sent */
    RF_RULE_SINGLE = 1u << 1,      /* condition: a single call was sent */
    RF_RULE_NOJSON = 1u << 2,      /* condition: the body is neither object nor array */
    RF_RULE_ACCOUNT = 1u << 3,     /* the account as a whole is meant */
    RF_RULE_METHOD = 1u << 4,      /* this method alone is meant */
    RF_RULE_SENDER = 1u << 5,      /* the sender of the transaction is meant */
    RF_RULE_MAYBE_RANGE = 1u << 6, /* a smaller block range may help */
    RF_RULE_PLAN_LIMIT = 1u << 7,  /* the plan sets the cap: another endpoint may allow more */
    RF_RULE_RESULTS = 1u << 8      /* the results are too many, not the blocks */
};

/** The pairs of letters that occur in a text, as 256 bits: a rule one of whose pairs is not in the
 * answer cannot match, and need not be searched for. */
struct rf_pairs {
    uint64_t bits[4];
};

/** One rule. It matches where all that it names matches; the first that matches counts. */
struct rf_rule {
    const char *id;
    enum rf_class class;
    uint16_t flags;   /* of rf_rule_flag */
    uint8_t families; /* bits 1 << rpcfan_family; 0: all */
    uint8_t n_status, n_codes, n_texts;
    struct {
        int16_t lo, hi;
    } status[RF_RULE_STATUS_MAX];        /* any of them */
    int64_t code[RF_RULE_CODES_MAX];     /* any of them */
    const char *methods;                 /* patterns with commas between; NULL: any */
    const char *text[RF_RULE_TEXTS_MAX]; /* lower case; all of them */
    struct rf_pairs pairs;               /* of its texts */
    uint64_t again_ns;                   /* class wait: ask again after; RF_NEVER: not said */
    unsigned line;                       /* of its source, from 1 */
    bool user;                           /* of the user's text */
    struct rpcfan_slice source;          /* the line as written, without its end */
};

/**
 * Read the tables.
 * @param user_text  NUL-terminated, copied; NULL: none.
 * @param out  owned; rf_rules_free().
 * @param err  "rules line N: what is wrong: remedy"; may be NULL.
 * @return 0, RPCFAN_ECONFIG or RPCFAN_ENOMEM.
 */
enum rpcfan_err rf_rules_new(const char *user_text, struct rf_rules **out,
                             struct rpcfan_error *err);
/** Free; NULL is ignored. Verdicts point into it: it must outlive them. */
void rf_rules_free(struct rf_rules *rules);
/** How many there are, the user's included. */
size_t rf_rules_count(const struct rf_rules *rules);
/** The `i`-th in the order in which they are tried. @param i below rf_rules_count(). */
const struct rf_rule *rf_rules_at(const struct rf_rules *rules, size_t i);
/** Whether a method is one of a rule's: patterns, and names of groups. */
bool rf_rules_method(const struct rf_rules *rules, const char *patterns,
                     struct rpcfan_slice method);
/** Add the pairs of a lower-case text. */
void rf_pairs_add(struct rf_pairs *p, const char *text, size_t len);

/** The built-in table, NUL-terminated: src/core/rules.conf as it stands. */
extern const char rf_rules_builtin[];

#endif
