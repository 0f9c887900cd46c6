/* args.h - command-line options: long, short, clustered, with values, and a hint at the option that
 * was meant. Called by main.c and each command; touches nothing but its own struct. */
#ifndef RF_CLI_ARGS_H
#define RF_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** One option. */
struct rf_arg_spec {
    int key;           /* what rf_args_next() returns; above 0 */
    char letter;       /* of the short form; 0: none */
    const char *name;  /* of the long form, without the dashes */
    const char *value; /* what its value is called in messages; NULL: it takes none; a leading '='
                        * means that the value is optional and only given as --name=value */
};

/** What rf_args_next() returns besides an option's key. */
enum { RF_ARG_END = 0, RF_ARG_WORD = -1, RF_ARG_BAD = -2 };

/** A walk over the arguments; set argc and argv, zero the rest. `at` is the next one to look at. */
struct rf_args {
    int argc;
    char **argv;
    int at;
    const char *cluster;            /* rest of a group of short options; NULL: none */
    bool words_only;                /* `--` was seen */
    char problem[256];              /* with RF_ARG_BAD: what is wrong and what to do */
    const struct rf_arg_spec *spec; /* with a key: the option */
    const char *value;              /* of the option, or the word; NULL: none */
};

/**
 * The next option or word. A lone `-`, and `-` followed by a digit, are words.
 * @param spec  the options that are known; `n` of them.
 * @return a key, RF_ARG_WORD, RF_ARG_END, or RF_ARG_BAD with `a->problem`.
 */
int rf_args_next(struct rf_args *a, const struct rf_arg_spec *spec, size_t n);

/** Read a whole number from `min` to `max`. @return false where the text is anything else. */
bool rf_args_number(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/** Find a word in a list that ends with NULL. @return its index, or -1. */
int rf_args_word(const char *text, const char *const *words);

#endif
