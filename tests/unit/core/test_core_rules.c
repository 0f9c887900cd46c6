/* test_core_rules.c - rule tables: how they are read, what is refused and how it is told, which
 * rule counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "core/core.h"
#include "core/rules.h"

static struct rf_rules *must_read(const char *text)
{
    struct rpcfan_error err = {0};
    struct rf_rules *rules = NULL;
    if (rf_rules_new(text, &rules, &err) != RPCFAN_OK)
        fail_msg("%s: %s", text != NULL ? text : "built-in", err.text);
    return rules;
}

/* Judge an error with HTTP 200 under rules of one's own. */
static struct rf_verdict judge(const struct rf_rules *rules, struct rf_answer a, const char *error)
{
    if (a.status == 0)
        a.status = 200;
    a.retry_after_ns = RF_NEVER;
    a.error = (struct rpcfan_slice){error, strlen(error)};
    return rf_classify(rules, &a);
}

static void test_rules_builtin_is_sound(void **state)
{
    (void)state;
    struct rf_rules *rules = must_read(NULL);
    size_t n = rf_rules_count(rules);
    assert_true(n > 300);
    for (size_t i = 0; i < n; i++) {
        const struct rf_rule *r = rf_rules_at(rules, i);
        assert_false(r->user);
        assert_true(r->line > 0 && r->source.len > strlen(r->id));
        assert_memory_equal(r->source.data, r->id, strlen(r->id));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(r->id, rf_rules_at(rules, k)->id);
    }
    for (const char *p = rf_rules_builtin; *p != '\0'; p++)
        assert_true(*p == '\n' || (*p >= ' ' && *p <= '~'));
    rf_rules_free(rules);
    rf_rules_free(NULL);
}

static void test_rules_of_the_user_go_first(void **state)
{
    (void)state;
    static const char text[] = "# my own\n"
                               "\n"
                               "mine  app  \"Rate Limit\" \"blue\"   # upper case is no matter\n"
                               "rate-limit client code=-1\t\"x\"\r\n"
                               "quote app \"say \\\"no\\\\\"";
    struct rf_rules *rules = must_read(text);
    assert_int_equal(rf_rules_at(rules, 0)->line, 3);
    assert_true(rf_rules_at(rules, 0)->user && rf_rules_at(rules, 2)->user);
    assert_false(rf_rules_at(rules, 3)->user);
    assert_string_equal(rf_rules_at(rules, 2)->text[0], "say \"no\\");
    struct rf_answer a = {0};
    struct rf_verdict v = judge(rules, a, "{\"code\":1,\"message\":\"RATE LIMIT of Blue\"}");
    assert_string_equal(v.rule, "mine");
    assert_int_equal(v.class, RF_CLASS_APP);
    v = judge(rules, a, "{\"code\":1,\"message\":\"rate limit of red\"}");
    assert_string_equal(v.rule, "rate-limit");
    assert_int_equal(v.class, RF_CLASS_RATE);
    assert_false(v.row->user);
    rf_rules_free(rules);
}

static void test_rules_conditions_must_all_hold(void **state)
{
    (void)state;
    struct rf_rules *rules =
        must_read("a app status=2xx,418 code=7,8 method=eth_*,@sends family=evm,solana \"x\"\n"
                  "group mine net_version,foo_*\n"
                  "b client method=@mine\n"
                  "c quota batch code=5\n"
                  "d plan single code=5\n");
    struct rf_answer good = {.family = RPCFAN_EVM, .status = 418, .method = {"eth_call", 8}};
    assert_string_equal(judge(rules, good, "{\"code\":8,\"message\":\"x\"}").rule, "a");
    assert_string_equal(judge(rules, good, "{\"code\":9,\"message\":\"x\"}").rule, "status");
    assert_string_equal(judge(rules, good, "{\"code\":8,\"message\":\"y\"}").rule, "status");
    struct rf_answer a = good;
    a.status = 417;
    assert_string_equal(judge(rules, a, "{\"code\":8,\"message\":\"x\"}").rule, "status");
    a = good;
    a.family = RPCFAN_GENERIC;
    assert_string_equal(judge(rules, a, "{\"code\":8,\"message\":\"x\"}").rule, "status");
    a = good;
    a.method = (struct rpcfan_slice){"sendTransaction", 15};
    assert_string_equal(judge(rules, a, "{\"code\":8,\"message\":\"x\"}").rule, "a");
    a.method.len = 4; /* "send" is neither */
    assert_string_equal(judge(rules, a, "{\"code\":8,\"message\":\"x\"}").rule, "status");
    a.method = (struct rpcfan_slice){"foo_bar", 7};
    assert_string_equal(judge(rules, a, "{\"code\":8,\"message\":\"x\"}").rule, "b");
    a.method = (struct rpcfan_slice){NULL, 0};
    assert_string_equal(judge(rules, a, "{\"code\":5}").rule, "d");
    a.batch = true;
    assert_string_equal(judge(rules, a, "{\"code\":5}").rule, "c");
    rf_rules_free(rules);
}

static void test_rules_what_a_rule_knows(void **state)
{
    (void)state;
    struct rf_rules *rules = must_read("a rate account this-method sender code=1\n"
                                       "b wait again=1500ms code=2\n"
                                       "c server maybe-range code=3\n"
                                       "d split-range plan-limit code=4\n");
    struct rf_answer a = {0};
    struct rf_verdict v = judge(rules, a, "{\"code\":1}");
    assert_true(v.account && v.method_only && v.sender && !v.maybe_range && !v.plan_limit);
    v = judge(rules, a, "{\"code\":2}");
    assert_true(v.again_ns == 1500 * RF_MS && v.hint_ns == RF_NEVER);
    assert_true(judge(rules, a, "{\"code\":3}").maybe_range);
    assert_true(judge(rules, a, "{\"code\":4}").plan_limit);
    rf_rules_free(rules);
}

static void test_rules_mistakes_are_told_with_line_and_remedy(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"\n\na", "rules line 3: there is nothing behind 'a'"},
        {"a nonsense \"x\"", "rules line 1: 'nonsense' is no class; there are rate concurrency"},
        {"a timeout \"x\"", "'timeout' is no class"},
        {"a rate", "it would match every answer: add"},
        {"a rate account batch family=evm", "it would match every answer"},
        {"a rate \"x", "a text is not closed"},
        {"a rate \"x\\", "a text is not closed"},
        {"a rate \"\"", "a text is empty"},
        {"a rate \"x\"y", "put a space behind \"x\""},
        {"a rate \"x\" \"y\" \"z\"", "more than 2 texts"},
        {"a/b rate \"x\"", "'a/b' is no id"},
        {"\"a\" rate \"x\"", "'a' is no id"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa rate \"x\"", "is no id"},
        {"a rate code=x", "code=x: give a whole number"},
        {"a rate code=", "code=: give a whole number"},
        {"a rate code=1,", "code=: give a whole number"},
        {"a rate code=-", "code=-: give"},
        {"a rate code=99999999999", "give a whole number"},
        {"a rate code=1,2,3,4,5,6,7", "more than 6 codes: write a second rule"},
        {"a rate status=99", "status=99: give a number from 100"},
        {"a rate status=5x", "status=5x: give"},
        {"a rate status=0xx", "status=0xx: give"},
        {"a rate status=5000", "give a number"},
        {"a rate status=1xx,2xx,3xx,4xx,5xx,6xx,7xx", "more than 6 statuses"},
        {"a rate family=eth", "family=eth: there are evm, solana and generic"},
        {"a rate method=", "method=: a method between the commas is empty"},
        {"a rate method=a,,b", "a method between the commas is empty"},
        {"a rate method=@none", "method=@none: no such group"},
        {"a wait again=5 \"x\"", "again=5: give a number with a unit"},
        {"a rate bacth \"x\"", "'bacth' is unknown: there are family="},
        {"a rate fam=evm \"x\"", "'fam=evm' is unknown"},
        {"a rate batch single \"x\"", "batch and single exclude each other"},
        {"a rate \"x\"\na rate \"y\"", "rules line 2: the id 'a' stands on line 1 already"},
        {"group x", "write a group as"},
        {"group x a b", "write a group as"},
        {"group logs a", "there is a group 'logs' already"},
        {"group x @logs", "a group holds methods, not groups"},
        {"group x a,", "a method between the commas is empty"},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rpcfan_error err = {0};
        struct rf_rules *rules = NULL;
        assert_int_equal(rf_rules_new(cases[i].text, &rules, &err), RPCFAN_ECONFIG);
        assert_null(rules);
        if (strstr(err.text, cases[i].want) == NULL || strstr(err.text, "rules line ") != err.text)
            fail_msg("%s: told '%s', not '%s'", cases[i].text, err.text, cases[i].want);
        assert_int_equal(rf_rules_new(cases[i].text, &rules, NULL), RPCFAN_ECONFIG);
    }
}

static void test_rules_too_many_are_refused(void **state)
{
    (void)state;
    struct rpcfan_error err = {0};
    struct rf_rules *rules = NULL;
    struct rf_buf text = {0};
    for (int i = 0; i <= RF_RULES_MAX; i++)
        rf_buf_printf(&text, "r%d app code=%d\n", i, i);
    rf_buf_char(&text, '\0');
    assert_int_equal(rf_rules_new(text.data, &rules, &err), RPCFAN_ECONFIG);
    assert_non_null(strstr(err.text, "more than 4096 rules"));
    rf_buf_reset(&text, 0);
    for (int i = 0; i < 33; i++)
        rf_buf_printf(&text, "group g%d m\n", i);
    rf_buf_char(&text, '\0');
    assert_int_equal(rf_rules_new(text.data, &rules, &err), RPCFAN_ECONFIG);
    assert_non_null(strstr(err.text, "more than 32 groups"));
    rf_buf_reset(&text, 0);
    for (unsigned i = 0; i <= RF_RULES_TEXT_MAX; i++)
        rf_buf_char(&text, '#');
    rf_buf_char(&text, '\0');
    assert_int_equal(rf_rules_new(text.data, &rules, &err), RPCFAN_ECONFIG);
    assert_non_null(strstr(err.text, "bytes, at most 1048576"));
    rf_buf_fini(&text);
}

static void test_rules_bad_ones_stop_a_core(void **state)
{
    (void)state;
    struct rpcfan_endpoint_options ep;
    struct rpcfan_network_options net;
    struct rpcfan_options o;
    struct rpcfan_error err = {0};
    struct rf_core *core = NULL;
    rpcfan_endpoint_options_init(&ep);
    rpcfan_network_options_init(&net);
    rpcfan_options_init(&o);
    ep.url = "http://127.0.0.1:1";
    net.endpoints = &ep;
    net.n_endpoints = 1;
    o.networks = &net;
    o.n_networks = 1;
    o.rules = "\na rate";
    assert_int_equal(rf_core_new(&o, 1, 0, NULL, &core, &err), RPCFAN_ECONFIG);
    assert_null(core);
    assert_non_null(strstr(err.text, "rules line 2: it would match every answer"));
    o.rules = "a rate \"x\"";
    assert_int_equal(rf_core_new(&o, 1, 0, NULL, &core, &err), RPCFAN_OK);
    rf_core_free(core);
}

static void test_rules_memory_runs_out(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (uint64_t n = 1;; n++) {
        struct rf_rules *rules = NULL;
        rf_alloc_fail_at(n);
        enum rpcfan_err rc = rf_rules_new("a rate \"x\"", &rules, NULL);
        rf_alloc_fail_at(0);
        if (rc == RPCFAN_OK) {
            rf_rules_free(rules);
            break;
        }
        assert_int_equal(rc, RPCFAN_ENOMEM);
        failed++;
    }
    assert_true(failed >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_builtin_is_sound),
        cmocka_unit_test(test_rules_of_the_user_go_first),
        cmocka_unit_test(test_rules_conditions_must_all_hold),
        cmocka_unit_test(test_rules_what_a_rule_knows),
        cmocka_unit_test(test_rules_mistakes_are_told_with_line_and_remedy),
        cmocka_unit_test(test_rules_too_many_are_refused),
        cmocka_unit_test(test_rules_bad_ones_stop_a_core),
        cmocka_unit_test(test_rules_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
