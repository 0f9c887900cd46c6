/* args.c - walks over command-line options. */
#include "cli/args.h"

#include <stdio.h>
#include <string.h>

#include "base/base.h"

#define NAME_MAX_LEN 40

/* Edit distance of two short names; names over NAME_MAX_LEN are far from everything. */
static size_t distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    size_t row[NAME_MAX_LEN + 1];
    if (na > NAME_MAX_LEN || nb > NAME_MAX_LEN)
        return NAME_MAX_LEN;
    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[nb];
}

static int fail_unknown(struct rf_args *a, const char *name, const struct rf_arg_spec *spec,
                        size_t n)
{
    size_t best = NAME_MAX_LEN;
    const char *near = NULL;
    for (size_t i = 0; i < n; i++) {
        size_t d = distance(name, spec[i].name);
        if (d < best) {
            best = d;
            near = spec[i].name;
        }
    }
    if (near != NULL && best <= 1 + strlen(name) / 4)
        snprintf(a->problem, sizeof a->problem, "unknown option '--%.60s'; did you mean '--%s'?",
                 name, near);
    else
        snprintf(a->problem, sizeof a->problem,
                 "unknown option '--%.60s'; --help lists them, and a word that begins with a dash "
                 "goes behind '--'",
                 name);
    return RF_ARG_BAD;
}

static int take_long(struct rf_args *a, const struct rf_arg_spec *spec, size_t n)
{
    const char *text = a->argv[a->at++] + 2;
    const char *equals = strchr(text, '=');
    char name[NAME_MAX_LEN + 21];
    snprintf(name, sizeof name, "%.*s", (int)(equals != NULL ? equals - text : NAME_MAX_LEN + 20),
             text);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(spec[i].name, name) != 0)
            continue;
        a->spec = &spec[i];
        a->value = equals != NULL ? equals + 1 : NULL;
        if (spec[i].value == NULL && equals != NULL) {
            snprintf(a->problem, sizeof a->problem, "option '--%s' takes no value", name);
            return RF_ARG_BAD;
        }
        if (spec[i].value == NULL || spec[i].value[0] == '=' || equals != NULL)
            return spec[i].key;
        if (a->at >= a->argc) {
            snprintf(a->problem, sizeof a->problem, "option '--%s' needs a value: --%s %s", name,
                     name, spec[i].value);
            return RF_ARG_BAD;
        }
        a->value = a->argv[a->at++];
        return spec[i].key;
    }
    return fail_unknown(a, name, spec, n);
}

static int take_short(struct rf_args *a, const struct rf_arg_spec *spec, size_t n)
{
    char letter = *a->cluster++;
    const char *rest = *a->cluster != '\0' ? a->cluster : NULL;
    for (size_t i = 0; i < n; i++) {
        if (spec[i].letter != letter)
            continue;
        a->spec = &spec[i];
        a->value = NULL;
        if (spec[i].value == NULL || spec[i].value[0] == '=') {
            a->cluster = rest;
            return spec[i].key;
        }
        a->cluster = NULL;
        a->value = rest;
        if (rest == NULL && a->at < a->argc)
            a->value = a->argv[a->at++];
        if (a->value != NULL)
            return spec[i].key;
        snprintf(a->problem, sizeof a->problem, "option '-%c' needs a value: -%c %s", letter,
                 letter, spec[i].value);
        return RF_ARG_BAD;
    }
    a->cluster = NULL;
    snprintf(a->problem, sizeof a->problem,
             "unknown option '-%c'; --help lists them, and a word that begins with a dash goes "
             "behind '--'",
             letter);
    return RF_ARG_BAD;
}

int rf_args_next(struct rf_args *a, const struct rf_arg_spec *spec, size_t n)
{
    a->spec = NULL;
    if (a->cluster != NULL)
        return take_short(a, spec, n);
    if (a->at >= a->argc)
        return RF_ARG_END;
    const char *text = a->argv[a->at];
    if (!a->words_only && strcmp(text, "--") == 0) {
        a->words_only = true;
        a->at++;
        return rf_args_next(a, spec, n);
    }
    bool word =
        a->words_only || text[0] != '-' || text[1] == '\0' || (text[1] >= '0' && text[1] <= '9');
    if (word) {
        a->value = text;
        a->at++;
        return RF_ARG_WORD;
    }
    if (text[1] == '-')
        return take_long(a, spec, n);
    a->cluster = text + 1;
    a->at++;
    return take_short(a, spec, n);
}

bool rf_args_number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = v;
    return p != text && *p == '\0' && v >= min && v <= max;
}

int rf_args_word(const char *text, const char *const *words)
{
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], text) == 0)
            return i;
    }
    return -1;
}
