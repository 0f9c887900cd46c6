/* test_core_classify.c - the rule table against what nodes and providers really answer: each case
 * of classify_cases.txt, taken apart as the client does it. The same code or word means different
 * things to different nodes, so each case is a trap that some client has walked into. Runs in the
 * project's root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/explain.h"
#include "base/mem.h"
#include "base/rng.h"

#define CASES "tests/unit/core/classify_cases.txt"

static struct rf_rules *rules;

static int read_rules(void **state)
{
    (void)state;
    struct rpcfan_error err = {0};
    if (rf_rules_new(NULL, &rules, &err) != RPCFAN_OK)
        print_message("%s\n", err.text);
    return rules != NULL ? 0 : -1;
}

static int free_rules(void **state)
{
    (void)state;
    rf_rules_free(rules);
    return 0;
}

/* What holds until the next `>` line, and the answer that is being judged. */
struct scene {
    struct rf_explain e;
    char family[16], method[64], params[200];
    char body[5000];
    char got[400];
    const char *rule;
    uint64_t used[8]; /* bits: built-in lines that a case met */
    unsigned cases, bad;
};

static void read_scene(struct scene *s, char *line)
{
    static const char *const families[] = {"generic", "evm", "solana"};
    int n = 0;
    s->e = (struct rf_explain){.rules = rules, .retry_after_ns = RF_NEVER, .batch = 1};
    assert_int_equal(sscanf(line, "> %15s %d %63s%n", s->family, &s->e.status, s->method, &n), 3);
    size_t f = 0;
    while (f < RF_COUNT(families) && strcmp(families[f], s->family) != 0)
        f++;
    assert_true(f < RF_COUNT(families));
    s->e.family = (enum rpcfan_family)f;
    if (strcmp(s->method, "-") != 0)
        s->e.method = (struct rpcfan_slice){s->method, strlen(s->method)};
    for (char *p = strtok(line + n, " "); p != NULL; p = strtok(NULL, " ")) {
        if (strcmp(p, "batch") == 0) {
            s->e.batch = 3;
        } else if (strncmp(p, "retry=", 6) == 0) {
            s->e.retry_after_ns = strtoull(p + 6, NULL, 10) * RF_SEC;
        } else {
            assert_int_equal(strncmp(p, "params=", 7), 0);
            snprintf(s->params, sizeof s->params, "%s", p + 7);
            s->e.params = (struct rpcfan_slice){s->params, strlen(s->params)};
        }
    }
}

static void add(char *out, size_t size, const char *fmt, ...) RF_PRINTF(3, 4);
static void add(char *out, size_t size, const char *fmt, ...)
{
    size_t n = strlen(out);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(out + n, size - n, fmt, ap);
    va_end(ap);
}

static void add_number(struct scene *s, const char *name, uint64_t n)
{
    if (n > 0)
        add(s->got, sizeof s->got, " %s=%llu", name, (unsigned long long)n);
}

static void add_time(struct scene *s, const char *name, uint64_t ns)
{
    if (ns != RF_NEVER)
        add(s->got, sizeof s->got, " %s=%llu", name, (unsigned long long)(ns / RF_MS));
}

static void add_flag(struct scene *s, const char *name, bool set)
{
    if (set)
        add(s->got, sizeof s->got, " %s", name);
}

static void note(void *arg, uint32_t index, const struct rf_explained *x)
{
    struct scene *s = arg;
    const struct rf_verdict *v = &x->verdict;
    assert_int_equal(index, 0);
    assert_false(x->result);
    s->rule = v->rule;
    if (v->row != NULL && v->row->line < sizeof s->used * 8)
        s->used[v->row->line / 64] |= UINT64_C(1) << v->row->line % 64;
    snprintf(s->got, sizeof s->got, "%s", rf_class_name(v->class));
    add_time(s, "hint", v->hint_ns);
    add_time(s, "again", v->again_ns);
    add_number(s, "batch", v->told_batch);
    add_number(s, "bytes", v->told_bytes);
    add_number(s, "blocks", v->told_blocks);
    add_number(s, "inputs", v->told_inputs);
    add_number(s, "behind", v->behind);
    if (v->told_range.any)
        add(s->got, sizeof s->got, " range=%llu-%llu", (unsigned long long)v->told_range.from,
            (unsigned long long)v->told_range.to);
    if (v->told_count > 0)
        add(s->got, sizeof s->got, " %s=%llu/%llu", v->told_credits ? "credits" : "rate",
            (unsigned long long)v->told_count, (unsigned long long)(v->told_window_ns / RF_MS));
    add_flag(s, "account", v->account);
    add_flag(s, "method", v->method_only);
    add_flag(s, "sender", v->sender);
    add_flag(s, "daily", v->daily);
    add_flag(s, "plan", v->plan_limit);
    add_flag(s, "maybe-range", v->maybe_range);
    add_flag(s, "by-bytes", v->by_bytes);
    add_flag(s, "vague", v->vague);
}

/* An `E`, `O` or `B` line: the body as it came over the wire. */
static void judge(struct scene *s, const char *line)
{
    const char *text = line[1] == ' ' ? line + 2 : line + 1;
    bool array = line[0] == 'E' && s->e.batch > 1;
    if (line[0] == 'B')
        snprintf(s->body, sizeof s->body, "%s", text);
    else
        snprintf(s->body, sizeof s->body, "%s{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":%s}%s",
                 array ? "[" : "", text, array ? "]" : "");
    s->e.body = (struct rpcfan_slice){s->body, strlen(s->body)};
    assert_int_equal(rf_explain_each(&s->e, note, s), RPCFAN_OK);
}

/* A `=` line. */
static void compare(struct scene *s, unsigned number, char *line)
{
    char *want = line + 2, *rule = strstr(want, " rule=");
    if (rule != NULL)
        *rule = '\0';
    s->cases++;
    if (strcmp(want, s->got) == 0 && (rule == NULL || strcmp(rule + 6, s->rule) == 0))
        return;
    s->bad++;
    print_message("%s:%u: '%s' (rule %s), should be '%s'%s%s\n  %s\n", CASES, number, s->got,
                  s->rule, want, rule != NULL ? ", rule " : "", rule != NULL ? rule + 6 : "",
                  s->body);
}

static void run_cases(struct scene *s)
{
    char line[4096];
    unsigned number = 0;
    FILE *f = fopen(CASES, "re");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        number++;
        line[strcspn(line, "\n")] = '\0';
        switch (line[0]) {
        case '\0':
        case '#':
            break;
        case '>':
            read_scene(s, line);
            break;
        case 'E':
        case 'O':
        case 'B':
            judge(s, line);
            break;
        case '=':
            compare(s, number, line);
            break;
        default:
            fail_msg("%s:%u: what is this?", CASES, number);
        }
    }
    fclose(f);
}

static void test_classify_cases(void **state)
{
    (void)state;
    struct scene s = {0};
    run_cases(&s);
    assert_true(s.cases > 400);
    assert_int_equal(s.bad, 0);
}

/* A rule that no case meets is a rule that nobody knows to work. */
static void test_classify_each_rule_has_a_case(void **state)
{
    (void)state;
    struct scene s = {0};
    unsigned missing = 0;
    run_cases(&s);
    for (size_t i = 0; i < rf_rules_count(rules); i++) {
        const struct rf_rule *r = rf_rules_at(rules, i);
        assert_true(r->line < sizeof s.used * 8);
        if ((s.used[r->line / 64] & UINT64_C(1) << r->line % 64) == 0) {
            missing++;
            print_message("no case for %s (line %u)\n", r->id, r->line);
        }
    }
    assert_int_equal(missing, 0);
}

/* Every class has a name, an action, an error and words; every transport has a class. */
static void test_classify_tables_are_whole(void **state)
{
    (void)state;
    for (int i = 0; i < RF_CLASS_COUNT; i++) {
        enum rf_class c = (enum rf_class)i, found;
        assert_non_null(rf_class_name(c));
        assert_true(c == RF_CLASS_OK || rf_class_err(c) != RPCFAN_OK);
        assert_true(rf_class_action(c) <= RF_ACT_RETRY);
        assert_non_null(rf_explain_meaning(c));
        assert_non_null(rf_explain_action(c));
        if (rf_class_find(rf_class_name(c), &found))
            assert_int_equal(found, c);
    }
    for (int t = RF_T_CONNECT; t <= RF_T_ABORTED; t++) {
        struct rf_answer a = {.transport = (enum rf_transport)t, .retry_after_ns = RF_NEVER};
        assert_true(rf_classify(rules, &a).class >= RF_CLASS_TOO_BIG);
    }
}

/* A class that only a transport can know would let a call that was sent go again as unsent. */
static void test_classify_rules_cannot_claim_a_transport(void **state)
{
    (void)state;
    static const char *const names[] = {"ok",  "connect", "timeout", "reset",
                                        "tls", "aborted", "",        "no such class"};
    enum rf_class c;
    for (size_t i = 0; i < RF_COUNT(names); i++)
        assert_false(rf_class_find(names[i], &c));
}

/* The words of an error are read whole where a long `data` stands in front of the message. */
static void test_classify_message_behind_long_data(void **state)
{
    (void)state;
    char text[9000] = "{\"data\":\"";
    memset(text + strlen(text), 'a', 8000);
    strcat(text, "\",\"message\":\"Rate limit, retry in 3s\",\"code\":-32000}");
    struct rf_answer a = {.status = 200, .error = {text, strlen(text)}, .retry_after_ns = RF_NEVER};
    struct rf_verdict v = rf_classify(rules, &a);
    assert_int_equal(v.class, RF_CLASS_RATE);
    assert_true(v.hint_ns == 3 * RF_SEC);
}

static const char *const bits[] = {"{\"code\":",
                                   "-32005",
                                   ",\"message\":\"",
                                   "rate limit",
                                   "\"}",
                                   "batch",
                                   "<html>",
                                   "null",
                                   "[",
                                   "]",
                                   "\\u00",
                                   "\"",
                                   "{",
                                   "}",
                                   "execution reverted",
                                   "-32016",
                                   "block range",
                                   "up to a ",
                                   "10k",
                                   "0x",
                                   "/second",
                                   "\\u003e",
                                   "max ",
                                   "contextSlot\":",
                                   "99999999999999999999",
                                   "\x80\xff",
                                   " ",
                                   "\\",
                                   "per ",
                                   "nonce too low"};

static size_t make_text(struct rf_rng *rng, char *text, size_t size)
{
    size_t len = 0;
    bool raw = rf_rng_below(rng, 4) == 0;
    text[0] = '\0';
    for (uint64_t n = rf_rng_below(rng, 12); n > 0; n--) {
        if (raw)
            text[len++] = (char)rf_rng_below(rng, 256);
        else
            len += (size_t)snprintf(text + len, size - len, "%s",
                                    bits[rf_rng_below(rng, RF_COUNT(bits))]);
    }
    return len;
}

/* P11: every answer has exactly one class, and the same one each time. */
static void test_classify_is_total(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 11);
    for (uint32_t i = 0; i < 100000; i++) {
        char text[600];
        size_t len = make_text(&rng, text, sizeof text);
        char *exact = rf_alloc(len + 1); /* so that a read past its end is seen */
        memcpy(exact, text, len);
        struct rpcfan_slice slice = {exact, len}, none = {NULL, 0};
        struct rf_answer a = {.family = (enum rpcfan_family)rf_rng_below(&rng, 3),
                              .method = {"eth_getLogs", rf_rng_below(&rng, 2) * 11},
                              .params = rf_rng_below(&rng, 2) == 0 ? slice : none,
                              .transport = rf_rng_below(&rng, 9) == 0
                                               ? (enum rf_transport)rf_rng_below(&rng, 9)
                                               : RF_T_OK,
                              .status = (int)rf_rng_below(&rng, 700),
                              .batch = rf_rng_below(&rng, 2) == 0,
                              .error = rf_rng_below(&rng, 2) == 0 ? slice : none,
                              .body = rf_rng_below(&rng, 2) == 0 ? slice : none,
                              .retry_after_ns = RF_NEVER};
        struct rf_verdict v = rf_classify(rules, &a), again = rf_classify(rules, &a);
        assert_true(v.class > RF_CLASS_OK && v.class < RF_CLASS_COUNT);
        assert_non_null(v.rule);
        assert_int_equal(v.class, again.class);
        assert_true(v.hint_ns == RF_NEVER || v.hint_ns <= 300 * RF_SEC);
        assert_true((v.again_ns != RF_NEVER) == (v.class == RF_CLASS_WAIT));
        assert_true((v.told_count > 0) == (v.told_window_ns > 0));
        assert_true(!v.told_range.any || v.told_range.from <= v.told_range.to);
        rf_free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classify_cases),
        cmocka_unit_test(test_classify_each_rule_has_a_case),
        cmocka_unit_test(test_classify_tables_are_whole),
        cmocka_unit_test(test_classify_rules_cannot_claim_a_transport),
        cmocka_unit_test(test_classify_message_behind_long_data),
        cmocka_unit_test(test_classify_is_total),
    };
    return cmocka_run_group_tests(tests, read_rules, free_rules);
}
