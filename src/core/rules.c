/* rules.c - reads rule tables: lines into rules, in the order in which they are tried.
 *
 * Happy path: the built-in text is read first, for its groups of methods; then the user's, whose
 * rules are tried first. Words are cut in place in a copy of the text, so a table is three blocks
 * of memory however many rules it has.
 * Failure modes: the first line that is wrong ends the reading, and its number is told. */
#include "core/rules.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define GROUPS_MAX 32
#define RULES_FIRST 64
#define STATUS_MAX 4999 /* close codes of WebSockets included */

/* A text and its rules. */
struct part {
    char *words;  /* owned copy, cut into words */
    char *source; /* owned copy as written; NULL: the text outlives us */
    struct rf_rule *rule;
    size_t n, cap;
};

/* Methods under one name. */
struct group {
    const char *name, *methods;
};

enum { USER, BUILTIN, PARTS };

struct rf_rules {
    struct part part[PARTS]; /* in the order in which they are tried */
    struct group group[GROUPS_MAX];
    size_t n_groups;
};

/* Reading under way. */
struct reader {
    struct rf_rules *rules;
    struct part *part;
    bool user, checked; /* checked: ids are held against each other */
    unsigned line;
    char *at; /* what is left of the line */
    struct rpcfan_error *err;
};

static enum rpcfan_err RF_PRINTF(2, 3) refuse(struct reader *r, const char *fmt, ...)
{
    char text[200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return rf_fail(r->err, RPCFAN_ECONFIG, "rules line %u: %s", r->line, text);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of the line, or NULL at its end. Quotes are taken off; `quoted` tells. */
static enum rpcfan_err next_word(struct reader *r, char **word, bool *quoted)
{
    char *p = r->at;
    *word = NULL;
    *quoted = false;
    while (is_blank(*p))
        p++;
    if (*p == '\0' || *p == '#')
        return RPCFAN_OK;
    char *to = p;
    *quoted = *p == '"';
    if (!*quoted) {
        *word = p;
        while (*p != '\0' && !is_blank(*p))
            p++;
    } else {
        *word = to;
        for (p++; *p != '"'; p++) {
            if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
                p++;
            if (*p == '\0')
                return refuse(r, "a text is not closed: put \" behind it");
            *to++ = *p;
        }
        p++;
    }
    bool joined = *p != '\0' && !is_blank(*p);
    r->at = *p == '\0' ? p : p + 1;
    *(*quoted ? to : p) = '\0';
    if (joined)
        return refuse(r, "put a space behind \"%.60s\"", *word);
    return RPCFAN_OK;
}

/* The name of a rule or group: what can stand in a log line. */
static bool is_name(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");
    return n > 0 && n <= RF_RULE_ID_MAX && s[n] == '\0';
}

/* The next item of a list with commas; cuts it off. NULL: none is left. */
static char *next_item(char **list)
{
    char *item = *list;
    if (item == NULL)
        return NULL;
    char *comma = strchr(item, ',');
    if (comma != NULL)
        *comma++ = '\0';
    *list = comma;
    return item;
}

static bool read_int(const char *s, int64_t min, int64_t max, int64_t *out)
{
    bool minus = *s == '-';
    int64_t v = 0;
    const char *p = s + minus;
    if (*p == '\0')
        return false;
    for (; *p >= '0' && *p <= '9' && v <= INT32_MAX; p++)
        v = v * 10 + (*p - '0');
    *out = minus ? -v : v;
    return *p == '\0' && *out >= min && *out <= max;
}

static enum rpcfan_err take_families(struct reader *r, struct rf_rule *rule, char *list)
{
    static const char *const names[] = {
        [RPCFAN_GENERIC] = "generic", [RPCFAN_EVM] = "evm", [RPCFAN_SOLANA] = "solana"};
    char *item;
    while ((item = next_item(&list)) != NULL) {
        size_t i = 0;
        while (i < RF_COUNT(names) && strcmp(names[i], item) != 0)
            i++;
        if (i == RF_COUNT(names))
            return refuse(r, "family=%.40s: there are evm, solana and generic", item);
        rule->families = (uint8_t)(rule->families | 1u << i);
    }
    return RPCFAN_OK;
}

static enum rpcfan_err take_statuses(struct reader *r, struct rf_rule *rule, char *list)
{
    char *item;
    while ((item = next_item(&list)) != NULL) {
        int64_t lo = 0, hi = 0;
        bool whole = strlen(item) == 3 && strcmp(item + 1, "xx") == 0;
        if (whole && item[0] >= '1' && item[0] <= '9') {
            lo = (item[0] - '0') * 100;
            hi = lo + 99;
        } else if (!read_int(item, 100, STATUS_MAX, &lo)) {
            return refuse(r, "status=%.40s: give a number from 100 to %d, or such as 5xx", item,
                          STATUS_MAX);
        }
        if (rule->n_status == RF_RULE_STATUS_MAX)
            return refuse(r, "more than %d statuses: write a second rule", RF_RULE_STATUS_MAX);
        rule->status[rule->n_status].lo = (int16_t)lo;
        rule->status[rule->n_status++].hi = (int16_t)(hi > 0 ? hi : lo);
    }
    return RPCFAN_OK;
}

static enum rpcfan_err take_codes(struct reader *r, struct rf_rule *rule, char *list)
{
    char *item;
    while ((item = next_item(&list)) != NULL) {
        if (rule->n_codes == RF_RULE_CODES_MAX)
            return refuse(r, "more than %d codes: write a second rule", RF_RULE_CODES_MAX);
        if (!read_int(item, INT32_MIN, INT32_MAX, &rule->code[rule->n_codes++]))
            return refuse(r, "code=%.40s: give a whole number, such as -32005", item);
    }
    return RPCFAN_OK;
}

static const struct group *find_group(const struct rf_rules *rules, const char *name, size_t len)
{
    for (size_t i = 0; i < rules->n_groups; i++) {
        const struct group *g = &rules->group[i];
        if (strlen(g->name) == len && memcmp(g->name, name, len) == 0)
            return g;
    }
    return NULL;
}

static enum rpcfan_err take_methods(struct reader *r, struct rf_rule *rule, const char *list)
{
    for (const char *p = list;; p++) {
        size_t n = strcspn(p, ",");
        if (n == 0)
            return refuse(r, "method=%.60s: a method between the commas is empty", list);
        if (*p == '@' && find_group(r->rules, p + 1, n - 1) == NULL)
            return refuse(r,
                          "method=%.*s: no such group: define it on a line above, as 'group "
                          "NAME METHOD...'",
                          (int)rf_min_u64(n, 40), p);
        p += n;
        if (*p == '\0')
            break;
    }
    rule->methods = list;
    return RPCFAN_OK;
}

static enum rpcfan_err take_text(struct reader *r, struct rf_rule *rule, char *text)
{
    size_t n = strlen(text);
    if (n == 0)
        return refuse(r, "a text is empty: leave it out");
    if (rule->n_texts == RF_RULE_TEXTS_MAX)
        return refuse(r, "more than %d texts: write the rest as a rule of their own",
                      RF_RULE_TEXTS_MAX);
    rf_lower(text, n, text);
    rf_pairs_add(&rule->pairs, text, n);
    rule->text[rule->n_texts++] = text;
    return RPCFAN_OK;
}

static enum rpcfan_err take_again(struct reader *r, struct rf_rule *rule, const char *value)
{
    if (rf_parse_duration(value, &rule->again_ns) != RPCFAN_OK)
        return refuse(r, "again=%.40s: give a number with a unit, such as 400ms or 10s", value);
    return RPCFAN_OK;
}

static enum rpcfan_err take_flag(struct reader *r, struct rf_rule *rule, const char *word)
{
    static const struct {
        const char *word;
        enum rf_rule_flag flag;
    } flags[] = {{"batch", RF_RULE_BATCH},
                 {"single", RF_RULE_SINGLE},
                 {"nojson", RF_RULE_NOJSON},
                 {"account", RF_RULE_ACCOUNT},
                 {"this-method", RF_RULE_METHOD},
                 {"sender", RF_RULE_SENDER},
                 {"maybe-range", RF_RULE_MAYBE_RANGE},
                 {"plan-limit", RF_RULE_PLAN_LIMIT},
                 {"results", RF_RULE_RESULTS}};
    for (size_t i = 0; i < RF_COUNT(flags); i++) {
        if (strcmp(flags[i].word, word) == 0) {
            rule->flags = (uint16_t)(rule->flags | flags[i].flag);
            return RPCFAN_OK;
        }
    }
    return refuse(
        r,
        "'%.40s' is unknown: there are family= status= code= method= again= batch single "
        "nojson account this-method sender maybe-range plan-limit results, and texts in \"\"",
        word);
}

static enum rpcfan_err take_word(struct reader *r, struct rf_rule *rule, char *word)
{
    char *equals = strchr(word, '=');
    if (equals == NULL)
        return take_flag(r, rule, word);
    size_t n = (size_t)(equals - word) + 1;
    char *value = equals + 1;
    if (strncmp(word, "family=", n) == 0)
        return take_families(r, rule, value);
    if (strncmp(word, "status=", n) == 0)
        return take_statuses(r, rule, value);
    if (strncmp(word, "code=", n) == 0)
        return take_codes(r, rule, value);
    if (strncmp(word, "method=", n) == 0)
        return take_methods(r, rule, value);
    if (strncmp(word, "again=", n) == 0)
        return take_again(r, rule, value);
    return take_flag(r, rule, word);
}

static enum rpcfan_err refuse_class(struct reader *r, const char *name)
{
    char all[400] = "";
    size_t n = 0;
    for (int c = 0; c < RF_CLASS_COUNT; c++) {
        enum rf_class found;
        const char *known = rf_class_name((enum rf_class)c);
        if (rf_class_find(known, &found) && n < sizeof all)
            n += (size_t)snprintf(all + n, sizeof all - n, " %s", known);
    }
    return rf_fail(r->err, RPCFAN_ECONFIG, "rules line %u: '%.40s' is no class; there are%s",
                   r->line, name, all);
}

static enum rpcfan_err check_rule(struct reader *r, const struct rf_rule *rule)
{
    if ((rule->flags & RF_RULE_BATCH) != 0 && (rule->flags & RF_RULE_SINGLE) != 0)
        return refuse(r, "batch and single exclude each other: leave one out");
    bool any = rule->n_status + rule->n_codes + rule->n_texts > 0 || rule->methods != NULL ||
               (rule->flags & RF_RULE_NOJSON) != 0;
    if (!any)
        return refuse(r, "it would match every answer: add a \"text\", code=, status= or method=");
    for (size_t i = 0; r->checked && i < r->part->n; i++) {
        const struct rf_rule *other = &r->part->rule[i];
        if (strcmp(other->id, rule->id) == 0)
            return refuse(r, "the id '%s' stands on line %u already: give it another", rule->id,
                          other->line);
    }
    return RPCFAN_OK;
}

static enum rpcfan_err keep_rule(struct reader *r, const struct rf_rule *rule)
{
    struct part *part = r->part;
    if (part->n == RF_RULES_MAX)
        return refuse(r, "more than %d rules: leave some out", RF_RULES_MAX);
    if (part->n == part->cap) {
        size_t cap = part->cap > 0 ? part->cap * 2 : RULES_FIRST;
        struct rf_rule *more = rf_realloc(part->rule, cap * sizeof *more);
        if (more == NULL)
            return rf_fail(r->err, RPCFAN_ENOMEM, "out of memory");
        part->rule = more;
        part->cap = cap;
    }
    part->rule[part->n++] = *rule;
    return RPCFAN_OK;
}

/* `group NAME METHOD,...`: a name for methods that some rules are about. */
static enum rpcfan_err read_group(struct reader *r)
{
    char *name, *methods, *more;
    bool quoted[3];
    struct rf_rule unused = {0};
    enum rpcfan_err rc = next_word(r, &name, &quoted[0]);
    if (rc == RPCFAN_OK)
        rc = next_word(r, &methods, &quoted[1]);
    if (rc == RPCFAN_OK)
        rc = next_word(r, &more, &quoted[2]);
    if (rc != RPCFAN_OK)
        return rc;
    if (name == NULL || methods == NULL || more != NULL || !is_name(name))
        return refuse(r, "write a group as: group NAME METHOD,METHOD,...");
    if (find_group(r->rules, name, strlen(name)) != NULL)
        return refuse(r, "there is a group '%s' already: give it another name", name);
    if (r->rules->n_groups == GROUPS_MAX)
        return refuse(r, "more than %d groups: leave some out", GROUPS_MAX);
    if (strchr(methods, '@') != NULL)
        return refuse(r, "a group holds methods, not groups: write them out");
    rc = take_methods(r, &unused, methods);
    if (rc == RPCFAN_OK)
        r->rules->group[r->rules->n_groups++] = (struct group){name, methods};
    return rc;
}

static enum rpcfan_err read_line(struct reader *r, struct rpcfan_slice source)
{
    struct rf_rule rule = {
        .line = r->line, .user = r->user, .again_ns = RF_NEVER, .source = source};
    char *id, *class, *word;
    bool quoted;
    enum rpcfan_err rc = next_word(r, &id, &quoted);
    if (rc != RPCFAN_OK || id == NULL)
        return rc;
    if (!quoted && strcmp(id, "group") == 0)
        return read_group(r);
    if (quoted || !is_name(id))
        return refuse(r,
                      "'%.40s' is no id: a rule is 'ID CLASS CONDITION...', its id made of "
                      "letters, digits, - _ and .",
                      id);
    rule.id = id;
    rc = next_word(r, &class, &quoted);
    if (rc != RPCFAN_OK)
        return rc;
    if (class == NULL)
        return refuse(r, "there is nothing behind '%s': a rule is 'ID CLASS CONDITION...'", id);
    if (quoted || !rf_class_find(class, &rule.class))
        return refuse_class(r, class);
    while ((rc = next_word(r, &word, &quoted)) == RPCFAN_OK && word != NULL) {
        rc = quoted ? take_text(r, &rule, word) : take_word(r, &rule, word);
        if (rc != RPCFAN_OK)
            return rc;
    }
    if (rc == RPCFAN_OK)
        rc = check_rule(r, &rule);
    return rc == RPCFAN_OK ? keep_rule(r, &rule) : rc;
}

/* @param source  the same text in memory that stays as it is. */
static enum rpcfan_err read_text(struct reader *r, const char *source)
{
    char *line = r->part->words;
    enum rpcfan_err rc = RPCFAN_OK;
    while (*line != '\0' && rc == RPCFAN_OK) {
        size_t n = strcspn(line, "\n");
        char *next = line[n] == '\0' ? line + n : line + n + 1;
        line[n] = '\0';
        r->line++;
        r->at = line;
        rc = read_line(r, (struct rpcfan_slice){source, n});
        source += next - line;
        line = next;
    }
    return rc;
}

static enum rpcfan_err read_part(struct rf_rules *rules, int which, const char *text,
                                 struct rpcfan_error *err)
{
    struct part *part = &rules->part[which];
    struct reader r = {.rules = rules,
                       .part = part,
                       .user = which == USER,
                       .checked = which == USER, /* the built-in ids are checked by a test */
                       .err = err};
    size_t len = strlen(text);
    if (len > RF_RULES_TEXT_MAX)
        return rf_fail(err, RPCFAN_ECONFIG, "rules: %zu bytes, at most %u: leave some out", len,
                       RF_RULES_TEXT_MAX);
    part->words = rf_memdup(text, len);
    part->source = which == USER ? rf_memdup(text, len) : NULL;
    if (part->words == NULL || (which == USER && part->source == NULL))
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    return read_text(&r, which == USER ? part->source : text);
}

enum rpcfan_err rf_rules_new(const char *user_text, struct rf_rules **out, struct rpcfan_error *err)
{
    struct rf_rules *rules = rf_alloc(sizeof *rules);
    if (rules == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    enum rpcfan_err rc = read_part(rules, BUILTIN, rf_rules_builtin, err);
    if (rc == RPCFAN_OK && user_text != NULL)
        rc = read_part(rules, USER, user_text, err);
    if (rc != RPCFAN_OK) {
        rf_rules_free(rules);
        return rc;
    }
    *out = rules;
    return RPCFAN_OK;
}

void rf_rules_free(struct rf_rules *rules)
{
    if (rules == NULL)
        return;
    for (int i = 0; i < PARTS; i++) {
        rf_free(rules->part[i].words);
        rf_free(rules->part[i].source);
        rf_free(rules->part[i].rule);
    }
    rf_free(rules);
}

size_t rf_rules_count(const struct rf_rules *rules)
{
    return rules->part[USER].n + rules->part[BUILTIN].n;
}

const struct rf_rule *rf_rules_at(const struct rf_rules *rules, size_t i)
{
    size_t users = rules->part[USER].n;
    return i < users ? &rules->part[USER].rule[i] : &rules->part[BUILTIN].rule[i - users];
}

/* One pattern of a list: a name, or the front of one and a star. */
static bool fits(const char *pattern, size_t n, struct rpcfan_slice method)
{
    bool prefix = pattern[n - 1] == '*';
    size_t len = prefix ? n - 1 : n;
    return (prefix ? method.len >= len : method.len == len) &&
           memcmp(pattern, method.data, len) == 0;
}

bool rf_rules_method(const struct rf_rules *rules, const char *patterns, struct rpcfan_slice method)
{
    if (method.len == 0)
        return false;
    for (const char *p = patterns; *p != '\0';) {
        size_t n = strcspn(p, ",");
        const struct group *g = *p == '@' ? find_group(rules, p + 1, n - 1) : NULL;
        if (g != NULL ? rf_rules_method(rules, g->methods, method) : fits(p, n, method))
            return true;
        p += n + (p[n] == ',');
    }
    return false;
}

void rf_pairs_add(struct rf_pairs *p, const char *text, size_t len)
{
    for (size_t i = 1; i < len; i++) {
        unsigned h = ((unsigned)(uint8_t)text[i - 1] * 31u + (uint8_t)text[i]) & 255u;
        p->bits[h >> 6] |= UINT64_C(1) << (h & 63u);
    }
}
