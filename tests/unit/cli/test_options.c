/* test_options.c - the walk over arguments, and the global options. */
#include "cli/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/batch_pace.h"

static const struct rf_arg_spec spec[] = {
    {1, 'm', "method", "METHOD"},
    {2, 'v', "verbose", NULL},
    {3, 0, "summary", "=FORM"},
};

/* Walk over the arguments and write down what was seen: "key=value" or "word", with spaces. */
static void expect_walk(const char *arguments, const char *seen)
{
    char text[200], log[300] = "";
    char *argv[20] = {"rpcfan"};
    int argc = 1, key;
    snprintf(text, sizeof text, "%s", arguments);
    for (char *p = strtok(text, " "); p != NULL; p = strtok(NULL, " "))
        argv[argc++] = p;
    struct rf_args a = {.argc = argc, .argv = argv, .at = 1};
    while ((key = rf_args_next(&a, spec, RF_COUNT(spec))) != RF_ARG_END) {
        size_t n = strlen(log);
        if (key == RF_ARG_BAD) {
            snprintf(log + n, sizeof log - n, "! %s", a.problem);
            break;
        }
        snprintf(log + n, sizeof log - n, "%s%d:%s", n > 0 ? " " : "", key,
                 a.value != NULL ? a.value : "");
    }
    if (strstr(log, seen) != log)
        fail_msg("%s: saw \"%s\", not \"%s\"", arguments, log, seen);
}

static void test_args_long_and_short_forms(void **state)
{
    (void)state;
    expect_walk("--method a -m b -mc --method=d", "1:a 1:b 1:c 1:d");
    expect_walk("-vvm x y", "2: 2: 1:x -1:y");
    expect_walk("--summary --summary=json file", "3: 3:json -1:file");
}

static void test_args_words(void **state)
{
    (void)state;
    expect_walk("- -5 -0x1 -- -v --method", "-1:- -1:-5 -1:-0x1 -1:-v -1:--method");
}

static void test_args_mistakes_are_told_with_a_remedy(void **state)
{
    (void)state;
    expect_walk("--metod x", "! unknown option '--metod'; did you mean '--method'?");
    expect_walk("--zzzzzz", "! unknown option '--zzzzzz'; --help lists them");
    expect_walk("-x", "! unknown option '-x'");
    expect_walk("--method", "! option '--method' needs a value: --method METHOD");
    expect_walk("-m", "! option '-m' needs a value");
    expect_walk("--verbose=1", "! option '--verbose' takes no value");
}

static void test_args_numbers_and_words(void **state)
{
    (void)state;
    static const char *const words[] = {"one", "two", NULL};
    uint64_t v;
    assert_true(rf_args_number("18446744073709551615", 0, UINT64_MAX, &v) && v == UINT64_MAX);
    assert_true(rf_args_number("0", 0, 5, &v) && v == 0);
    assert_false(rf_args_number("0", 1, 5, &v));
    assert_false(rf_args_number("6", 1, 5, &v));
    assert_false(rf_args_number("18446744073709551616", 0, UINT64_MAX, &v));
    assert_false(rf_args_number("", 0, 5, &v));
    assert_false(rf_args_number("1x", 0, 5, &v));
    assert_false(rf_args_number("-1", 0, 5, &v));
    assert_int_equal(rf_args_word("two", words), 1);
    assert_int_equal(rf_args_word("tw", words), -1);
}

/* Take `--name value` into g. */
static enum rpcfan_err take(struct rf_globals *g, const char *name, const char *value,
                            struct rpcfan_error *err)
{
    for (size_t i = 0; i < rf_global_spec_n; i++) {
        if (strcmp(rf_global_spec[i].name, name) == 0)
            return rf_globals_take(g, rf_global_spec[i].key, value, err);
    }
    fail_msg("no option %s", name);
    return RPCFAN_EINVAL;
}

static void must_take(struct rf_globals *g, const char *name, const char *value)
{
    struct rpcfan_error err = {0};
    if (take(g, name, value, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
}

static void expect_refused(const char *name, const char *value, const char *saying)
{
    struct rf_globals g = {0};
    struct rpcfan_error err = {0};
    assert_int_equal(take(&g, name, value, &err), RPCFAN_EINVAL);
    if (strstr(err.text, saying) == NULL || strstr(err.text, name) == NULL)
        fail_msg("--%s: \"%s\" does not say \"%s\"", name, err.text, saying);
    rf_globals_fini(&g);
}

static void test_options_urls_make_an_ad_hoc_network(void **state)
{
    (void)state;
    struct rf_globals g = {0};
    struct rf_cli cli;
    must_take(&g, "url", "http://127.0.0.1:1");
    must_take(&g, "url", "unix:/run/node.sock");
    must_take(&g, "family", "evm");
    must_take(&g, "rate", "100/10s");
    must_take(&g, "rate", "4/1s:eth_call");
    must_take(&g, "in-flight", "300");
    must_take(&g, "batch", "50");
    must_take(&g, "timeout", "1500ms");
    must_take(&g, "deadline", "2m");
    must_take(&g, "header", "X-Key: v");
    must_take(&g, "http2", NULL);
    assert_int_equal(rf_globals_build(&g, &cli, NULL), RPCFAN_OK);
    assert_int_equal(cli.options->n_networks, 1);
    assert_int_equal(cli.options->in_flight, 300);
    assert_int_equal(cli.deadline_ms, 120000);
    const struct rpcfan_network_options *net = rf_cli_network(&cli);
    assert_int_equal(net->family, RPCFAN_EVM);
    assert_int_equal(net->deadline_ms, 120000);
    assert_int_equal(net->n_endpoints, 2);
    assert_string_equal(net->endpoints[1].unix_socket, "/run/node.sock");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(net->endpoints[i].n_limits, 2);
        assert_int_equal(net->endpoints[i].batch, 50);
        assert_int_equal(net->endpoints[i].timeout_ms, 1500);
        assert_int_equal(net->endpoints[i].http2, 1);
        assert_int_equal(net->endpoints[i].n_headers, 1);
    }
    rf_globals_fini(&g);
}

static void test_options_ws_urls_go_with_urls_in_order(void **state)
{
    (void)state;
    struct rf_globals g = {0};
    struct rf_cli cli;
    struct rpcfan_error err = {0};
    must_take(&g, "url", "http://127.0.0.1:1");
    must_take(&g, "ws-url", "ws://127.0.0.1:2");
    must_take(&g, "url", "http://127.0.0.1:3");
    assert_int_equal(rf_globals_build(&g, &cli, NULL), RPCFAN_OK);
    const struct rpcfan_network_options *net = rf_cli_network(&cli);
    assert_string_equal(net->endpoints[0].ws_url, "ws://127.0.0.1:2");
    assert_null(net->endpoints[1].ws_url);
    rf_globals_fini(&g);
    must_take(&g, "url", "http://127.0.0.1:1");
    must_take(&g, "ws-url", "ws://127.0.0.1:2");
    must_take(&g, "ws-url", "ws://127.0.0.1:3");
    assert_int_equal(rf_globals_build(&g, &cli, &err), RPCFAN_EINVAL);
    assert_non_null(strstr(err.text, "each --ws-url goes with a -u URL"));
    rf_globals_fini(&g);
    must_take(&g, "ws-url", "ws://127.0.0.1:2");
    assert_int_equal(rf_globals_build(&g, &cli, &err), RPCFAN_EINVAL);
    rf_globals_fini(&g);
    expect_refused("ws-url", "", "empty");
}

static void test_options_of_fan_out(void **state)
{
    (void)state;
    struct rf_globals g = {0};
    struct rf_cli cli;
    must_take(&g, "url", "http://127.0.0.1:1");
    must_take(&g, "url", "http://127.0.0.1:2");
    must_take(&g, "url", "http://127.0.0.1:3");
    must_take(&g, "policy", "quorum");
    must_take(&g, "quorum", "3");
    must_take(&g, "split", "range");
    must_take(&g, "hedge", "7%");
    must_take(&g, "join", NULL);
    must_take(&g, "family", "solana");
    must_take(&g, "gather", NULL);
    must_take(&g, "start", "25");
    must_take(&g, "state", "x.state");
    must_take(&g, "rate", "40/10s/each");
    assert_int_equal(rf_globals_build(&g, &cli, NULL), RPCFAN_OK);
    assert_int_equal(cli.policy, RPCFAN_QUORUM);
    assert_int_equal(cli.quorum, 3);
    assert_int_equal(cli.split, RPCFAN_SPLIT_RANGE);
    assert_string_equal(cli.state_path, "x.state");
    const struct rpcfan_network_options *net = rf_cli_network(&cli);
    assert_int_equal(net->hedge_percent, 7);
    assert_int_equal(net->join, 1);
    assert_int_equal(net->gather, 1);
    assert_int_equal(net->endpoints[2].start_per_s, 25);
    assert_int_equal(net->endpoints[2].limits[0].each, 1);
    rf_globals_fini(&g);
}

/* The profile lies below what the command line says. */
static void test_options_profile_of_an_ad_hoc_network(void **state)
{
    (void)state;
    struct rf_globals g = {0};
    struct rf_cli cli;
    must_take(&g, "url", "http://127.0.0.1:1");
    must_take(&g, "url", "http://127.0.0.1:2");
    must_take(&g, "profile", "op-public");
    must_take(&g, "batch", "4");
    assert_int_equal(rf_globals_build(&g, &cli, NULL), RPCFAN_OK);
    for (int i = 0; i < 2; i++) {
        const struct rpcfan_endpoint_options *ep = &rf_cli_network(&cli)->endpoints[i];
        assert_int_equal(ep->limits[0].count, 300);
        assert_int_equal(ep->batch_bytes, 5000000);
        assert_int_equal(ep->batch, 4);
        assert_int_equal(ep->url[strlen(ep->url) - 1], '1' + i);
    }
    rf_globals_fini(&g);
}

/* Options that only go together, or that the network is too small for. */
static void expect_unbuilt(const char *const *options, unsigned urls, const char *saying)
{
    struct rf_globals g = {0};
    struct rf_cli cli;
    struct rpcfan_error err = {0};
    for (unsigned i = 0; i < urls; i++)
        must_take(&g, "url", "http://127.0.0.1:1");
    for (size_t i = 0; options[i] != NULL; i += 2)
        must_take(&g, options[i], options[i + 1]);
    assert_int_equal(rf_globals_build(&g, &cli, &err), RPCFAN_EINVAL);
    if (strstr(err.text, saying) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, saying);
    rf_globals_fini(&g);
}

static void test_options_that_do_not_fit(void **state)
{
    (void)state;
    expect_unbuilt((const char *const[]){"policy", "quorum", NULL}, 1,
                   "2 endpoints must agree, and there are 1; give more, or a lower --quorum");
    expect_unbuilt((const char *const[]){"policy", "quorum", "quorum", "3", NULL}, 2,
                   "3 endpoints must agree, and there are 2");
    expect_unbuilt((const char *const[]){"quorum", "2", NULL}, 2, "goes with --policy quorum");
    expect_unbuilt((const char *const[]){"quorum", "2", "policy", "first", NULL}, 2,
                   "goes with --policy quorum");
    expect_unbuilt((const char *const[]){"profile", "geth", NULL}, 0, "goes with -u URL");
    expect_unbuilt((const char *const[]){"profile", "geth", "config", "x.yaml", NULL}, 0,
                   "the key 'profile'");
    expect_unbuilt((const char *const[]){"profile", "nobody", NULL}, 1,
                   "--profile: there is no profile 'nobody'");
}

static void test_options_rules_are_read_with_and_without_endpoints(void **state)
{
    (void)state;
    struct rf_cli cli;
    struct rpcfan_error err = {0};
    struct rf_globals g = {0};
    must_take(&g, "rules", "src/core/none.conf");
    assert_int_equal(rf_globals_build(&g, &cli, &err), RPCFAN_EIO);
    assert_non_null(strstr(err.text, "src/core/none.conf: "));
    rf_globals_fini(&g);
    must_take(&g, "rules", "/dev/null");
    must_take(&g, "family", "solana");
    assert_int_equal(rf_globals_build(&g, &cli, NULL), RPCFAN_OK);
    assert_string_equal(cli.rules, "");
    assert_true(cli.has_family && cli.family == RPCFAN_SOLANA);
    must_take(&g, "url", "http://127.0.0.1:1");
    rf_globals_fini(&g);
    must_take(&g, "rules", "/dev/null");
    must_take(&g, "url", "http://127.0.0.1:1");
    assert_int_equal(rf_globals_build(&g, &cli, NULL), RPCFAN_OK);
    assert_ptr_equal(cli.options->rules, cli.rules);
    rf_globals_fini(&g);
}

static void test_options_without_endpoints_there_are_none(void **state)
{
    (void)state;
    struct rf_globals g = {0};
    struct rf_cli cli;
    assert_int_equal(rf_globals_build(&g, &cli, NULL), RPCFAN_OK);
    assert_null(cli.options);
    rf_globals_fini(&g);
}

static void test_options_mistakes_are_told_with_a_remedy(void **state)
{
    (void)state;
    expect_refused("batch", "0", "whole number from 1");
    expect_refused("batch", "1x", "whole number");
    expect_refused("in-flight", "99999999999999999999", "65536");
    expect_refused("timeout", "5", "15s");
    expect_refused("timeout", "0s", "unit");
    expect_refused("family", "eth", "generic, evm, solana");
    expect_refused("log-level", "loud", "error, warn, info, debug");
    expect_refused("header", "nocolon", "Name: value");
    expect_refused("header", "A: b\r\nC: d", "one line");
    expect_refused("rate", "many", "many");
    expect_refused("url", "", "empty");
    expect_refused("policy", "fastest", "balance, failover, first, quorum, broadcast");
    expect_refused("policy", "", "balance");
    expect_refused("quorum", "0", "from 1 to 64");
    expect_refused("quorum", "65", "from 1 to 64");
    expect_refused("split", "logs", "range, none");
    expect_refused("hedge", "5", "such as 5%");
    expect_refused("hedge", "51%", "0% to 50%");
    expect_refused("start", "0", "from 1 to 1000000");
    expect_refused("profile", "", "empty");
    expect_refused("state", "", "empty");
    expect_refused("rate", "40/10s/any", "/each");
}

static void test_options_file_and_url_exclude_each_other(void **state)
{
    (void)state;
    struct rf_globals g = {0};
    struct rf_cli cli;
    struct rpcfan_error err = {0};
    must_take(&g, "url", "http://127.0.0.1:1");
    must_take(&g, "config", "x.yaml");
    assert_int_equal(rf_globals_build(&g, &cli, &err), RPCFAN_EINVAL);
    assert_non_null(strstr(err.text, "not both"));
    rf_globals_fini(&g);
}

static void test_pace_slow_node_keeps_calls_within_their_deadline(void **state)
{
    (void)state;
    struct rf_pace p;
    uint64_t longest = 0;
    rf_pace_init(&p, 16384, 60 * RF_SEC);
    for (int i = 0; i < 20000; i++) { /* 10 calls/s: each waits for all before it */
        uint64_t latency = p.allowed * RF_SEC / 10;
        longest = rf_max_u64(longest, latency);
        rf_pace_answered(&p, latency, 100, false);
    }
    assert_true(longest <= 60 * RF_SEC / RF_PACE_SHRINK_PART);
    assert_true(p.allowed > RF_PACE_START);
}

static void test_pace_fast_node_gets_the_whole_window(void **state)
{
    (void)state;
    struct rf_pace p;
    rf_pace_init(&p, 16384, 60 * RF_SEC);
    for (int i = 0; i < 16384; i++)
        rf_pace_answered(&p, 5 * RF_MS, 100, false);
    assert_int_equal(p.allowed, 16384);
}

static void test_pace_missed_deadlines_halve_once_a_window(void **state)
{
    (void)state;
    struct rf_pace p;
    rf_pace_init(&p, 16384, 60 * RF_SEC);
    for (int i = 0; i < 32; i++)
        rf_pace_answered(&p, 60 * RF_SEC, 0, true);
    assert_int_equal(p.allowed, RF_PACE_START / 2);
    for (int i = 0; i < 10000; i++)
        rf_pace_answered(&p, 60 * RF_SEC, 0, true);
    assert_int_equal(p.allowed, 1);
    assert_true(rf_pace_allows(&p, 0, 0, 1000));
    assert_false(rf_pace_allows(&p, 1, 0, 1000));
}

static void test_pace_big_answers_bound_the_calls(void **state)
{
    (void)state;
    struct rf_pace p;
    rf_pace_init(&p, 16384, 60 * RF_SEC);
    for (int i = 0; i < 1000; i++)
        rf_pace_answered(&p, RF_MS, 1000000, false);
    assert_true(rf_pace_allows(&p, 10, 0, 16000000));
    assert_false(rf_pace_allows(&p, 20, 0, 16000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_args_long_and_short_forms),
        cmocka_unit_test(test_args_words),
        cmocka_unit_test(test_args_mistakes_are_told_with_a_remedy),
        cmocka_unit_test(test_args_numbers_and_words),
        cmocka_unit_test(test_options_urls_make_an_ad_hoc_network),
        cmocka_unit_test(test_options_ws_urls_go_with_urls_in_order),
        cmocka_unit_test(test_options_of_fan_out),
        cmocka_unit_test(test_options_profile_of_an_ad_hoc_network),
        cmocka_unit_test(test_options_that_do_not_fit),
        cmocka_unit_test(test_options_rules_are_read_with_and_without_endpoints),
        cmocka_unit_test(test_options_without_endpoints_there_are_none),
        cmocka_unit_test(test_options_mistakes_are_told_with_a_remedy),
        cmocka_unit_test(test_options_file_and_url_exclude_each_other),
        cmocka_unit_test(test_pace_slow_node_keeps_calls_within_their_deadline),
        cmocka_unit_test(test_pace_fast_node_gets_the_whole_window),
        cmocka_unit_test(test_pace_missed_deadlines_halve_once_a_window),
        cmocka_unit_test(test_pace_big_answers_bound_the_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
