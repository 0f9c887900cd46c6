/* test_config_errors.c - what is refused, with which words, on which line; and that no value of a
 * file ever gets into a message. */
#include "config_case.h"

#define HEX63 "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEF"

static const struct {
    enum config_place place;
    const char *line;
    const char *want; /* behind "case.yaml:LINE: " */
} cases[] = {
    /* keys */
    {TOP, "netwroks: 1", "unknown key 'netwroks' in configuration; did you mean 'networks'?"},
    {TOP, "zzz: 1", "unknown key 'zzz' in configuration"},
    {NETWORK, "famly: evm", "unknown key 'famly' in network; did you mean 'family'?"},
    {NETWORK, "limits: [1/1s]", "unknown key 'limits' in network; it belongs in endpoint"},
    {ENDPOINT, "ur: x", "unknown key 'ur' in endpoint; did you mean 'url'?"},
    {ENDPOINT, "deadline: 1s", "unknown key 'deadline' in endpoint; it belongs in network"},
    {ENDPOINT, "https://x.example/s3cret: x", "unknown key in endpoint"},
    {ENDPOINT, "? [a, b]\n        : 1", "unknown key in endpoint"},
    {ENDPOINT, "<<: {batch: 1}",
     "merge keys ('<<') are not understood; give each value its own alias"},
    {ENDPOINT, "url: http://twice", "key 'url' is given twice in endpoint"},
    {ENDPOINT, "limits: [{count: 1, window: 1s, unti: weight}]",
     "unknown key 'unti' in limit; did you mean 'unit'?"},
    {ENDPOINT, "limits: [{count: 1}]", "limit has no 'window', which it needs"},
    {ENDPOINT, "limits: [{window: 1s}]", "limit has no 'count', which it needs"},
    /* kinds of values */
    {TOP, "in_flight: [1]", "in_flight must be a plain value, not a list"},
    {TOP, "in_flight: {a: 1}", "in_flight must be a plain value, not a mapping"},
    {TOP, "in_flight:", "in_flight has no value; leave it out, or write \"\""},
    {TOP, "in_flight: ~", "in_flight has no value; leave it out, or write \"\""},
    {TOP, "log_level: \"a\\0b\"", "log_level holds a NUL byte"},
    {NETWORK, "once: send", "once must be a list, not a plain value"},
    {NETWORK, "once:", "once must be a list, not empty"},
    {NETWORK, "once: [[a]]", "once must be a plain value, not a list"},
    {ENDPOINT, "headers:", "headers has no value; leave it out"},
    {ENDPOINT, "headers: s3cret",
     "headers must be a mapping (Name: value) or a list of 'Name: value'"},
    {ENDPOINT, "headers: [s3cret]",
     "a header is 'Name: value', on one line, its name without blanks"},
    {ENDPOINT, "headers: {\"a b\": s3cret}",
     "a header is 'Name: value', on one line, its name without blanks"},
    {ENDPOINT, "headers: {a: \"s3cret\\r\\nHost: evil\"}",
     "a header is 'Name: value', on one line, its name without blanks"},
    {ENDPOINT, "headers: {a: [1]}", "a header must be a plain value, not a list"},
    {ENDPOINT, "headers: {a: }", "a header has no value; leave it out, or write \"\""},
    {ENDPOINT, "weights: [a]", "weights must be a mapping (method: weight)"},
    {ENDPOINT, "weights: {a: s3cret}", "a weight must be a whole number from 0 to 1000000000"},
    {ENDPOINT, "weights: {a: -1}", "a weight must be a whole number from 0 to 1000000000"},
    {ENDPOINT, "weights: {a: {b: 1}}", "a weight must be a plain value, not a mapping"},
    {ENDPOINT, "weights: {\"a*b\": 1}",
     "a weight's key must be a method's name, or a prefix that ends in '*'"},
    {ENDPOINT, "weights: {a: 1, b: 2, a: 3}", "a method's weight is given twice"},
    {ENDPOINT, "headers: {a: 1, a: 2}",
     "a header is given twice; use a list of 'Name: value' for that"},
    {ENDPOINT, "limits: 1/1s", "limits must be a list, such as [\"100/10s\"]"},
    {ENDPOINT, "limits: [[1]]", "a limit must be a plain value, not a list"},
    {ENDPOINT, "limits: [s3cret]",
     "a limit is COUNT/WINDOW[/each][:METHODS], such as 100/10s, 40/10s/each, 4/1s:eth_getLogs or "
     "500w/1s"},
    {ENDPOINT, "limits: [1/1s/any]",
     "a limit is COUNT/WINDOW[/each][:METHODS], such as 100/10s, 40/10s/each, 4/1s:eth_getLogs or "
     "500w/1s"},
    {ENDPOINT, "limits: [1/s3cret]",
     "the window of a limit is a duration with a unit, from 1ms to 31d, of whole milliseconds"},
    {ENDPOINT, "limits: [\"1/1s:a b\"]",
     "a limit's methods are names set apart by commas; a '*' may only end one"},
    {ENDPOINT,
     "limits: [1/1s, 1/1s, 1/1s, 1/1s, 1/1s, 1/1s, 1/1s, 1/1s, 1/1s, 1/1s, 1/1s, 1/1s, "
     "1/1s, 1/1s, 1/1s, 1/1s, 1/1s]",
     "limits holds 17 entries, at most 16 are allowed"},
    {ENDPOINT, "limits: [{count: 0, window: 1s}]", "count must be a whole number, 1 or more"},
    {ENDPOINT, "limits: [{count: 1, window: 10}]",
     "window must be a duration with a unit, from 1ms to 31d, of whole milliseconds"},
    {ENDPOINT, "limits: [{count: 1, window: 1s, unit: s3cret}]", "unit must be requests or weight"},
    {ENDPOINT, "limits: [{count: 1, window: 1s, methods: a}]",
     "methods must be a list, not a plain value"},
    {ENDPOINT, "limits: [{count: 1, window: 1s, methods: []}]",
     "methods must hold at least one entry"},
    {ENDPOINT, "limits: [{count: 1, window: 1s, methods: [\"s3 cret\"]}]",
     "an entry of methods must be a method's name, or a prefix that ends in '*'"},
    {ENDPOINT, "limits: [{count: 1, window: 1s, each: s3cret}]", "each must be true or false"},
    /* accounts, profiles and policies */
    {TOP, "accounts: [{name: a}]", "account has no 'limits', which it needs"},
    {TOP, "accounts: [{limits: [1/1s]}]", "account has no 'name', which it needs"},
    {TOP, "accounts: []", "accounts must hold at least one entry"},
    {TOP, "accounts: [{name: a, limits: []}]", "an account holds at least one limit"},
    {TOP, "accounts: [{name: a, limits: [1/1s/each]}]",
     "a limit of an account holds for its methods together; give one limit for each method instead "
     "of 'each'"},
    {TOP, "accounts: [{name: a, limits: [1/1s]}, {name: a, limits: [1/1s]}]",
     "two accounts are called 'a'"},
    {TOP, "accounts: [{name: a, limits: [1/1s], batch: 3}]",
     "unknown key 'batch' in account; it belongs in endpoint"},
    {ENDPOINT, "account: nobody",
     "account 'nobody' is not defined; add it to 'accounts' at the top level"},
    {ENDPOINT, "profile: nobody",
     "there is no profile 'nobody'; 'rpcfan check --profiles' lists those that are built in, and "
     "profiles/nobody.yaml beside this file would be another"},
    {ENDPOINT, "profile: ../geth", "profile must be 1 to 64 letters, digits, '.', '_' or '-'"},
    {ENDPOINT, "start: 20/s", "start must be a whole number from 0 to 1000000"},
    {ENDPOINT, "learn: maybe", "learn must be true or false"},
    {ENDPOINT, "batch_cost: -1", "batch_cost must be a whole number from 0 to 65535"},
    {ENDPOINT, "ws_url: http://127.0.0.1:8900",
     "ws_url must be ws://HOST... or wss://HOST..., or \"\" for none"},
    {ENDPOINT, "ws_ping: 1ms", "ws_ping must be whole milliseconds, from 1000ms to 86400s"},
    {ENDPOINT, "ws_retry: 0s", "ws_retry must be whole milliseconds, from 1ms to 86400s"},
    {NETWORK, "policy: fastest", "policy must be balance, failover, first, quorum or broadcast"},
    {NETWORK, "policy: quorum",
     "a quorum of 2 needs as many endpoints, and network 'main' has 1; add some, or lower "
     "'quorum'"},
    {NETWORK, "quorum: 2",
     "a quorum of 2 needs as many endpoints, and network 'main' has 1; add some, or lower "
     "'quorum'"},
    {NETWORK, "quorum: 65", "quorum must be a whole number from 1 to 64"},
    {NETWORK, "split: logs", "split must be range or none"},
    {NETWORK, "hedge: 51%", "hedge must be a share from 0% to 50%, as in 5%"},
    {NETWORK, "hedge: 5", "hedge must be a share from 0% to 50%, as in 5%"},
    {NETWORK, "hedge: 5ms", "hedge must be a share from 0% to 50%, as in 5%"},
    {NETWORK, "hedge: \"%\"", "hedge must be a share from 0% to 50%, as in 5%"},
    {NETWORK, "join: 2", "join must be true or false"},
    {NETWORK, "gather: 2", "gather must be true or false"},
    {NETWORK, "lag_max: none", "lag_max must be a whole number from 0 to 1000000"},
    {TOP, "rules: \"\"", "rules is empty"},
    /* values */
    {TOP, "in_flight: 12s3cret", "in_flight must be a whole number from 1 to 65536"},
    {TOP, "in_flight: -1", "in_flight must be a whole number from 1 to 65536"},
    {TOP, "in_flight: 0", "in_flight must be a whole number from 1 to 65536"},
    {TOP, "in_flight: 65537", "in_flight must be a whole number from 1 to 65536"},
    {TOP, "in_flight: 0x10", "in_flight must be a whole number from 1 to 65536"},
    {TOP, "in_flight: \"\"", "in_flight must be a whole number from 1 to 65536"},
    {TOP, "pending_calls: 16777217", "pending_calls must be a whole number from 1 to 16777216"},
    {TOP, "seed: 18446744073709551616",
     "seed must be a whole number from 0 to 18446744073709551615"},
    {TOP, "pending_bytes: many", "pending_bytes must be a size, such as 65536, 256KiB or 64MiB"},
    {TOP, "pending_bytes: 1", "pending_bytes must be from 1KiB to 1073741824KiB"},
    {TOP, "log_level: loud", "log_level must be error, warn, info or debug"},
    {NETWORK, "family: bitcoin", "family must be evm, solana or generic"},
    {NETWORK, "deadline: 60", "deadline must be a duration with a unit, such as 250ms, 15s or 1m"},
    {NETWORK, "deadline: 0s", "deadline must be whole milliseconds, from 1ms to 2592000s"},
    {NETWORK, "deadline: 31d", "deadline must be whole milliseconds, from 1ms to 2592000s"},
    {NETWORK, "linger: 100us", "linger must be whole milliseconds, from 0ms to 60s"},
    {NETWORK, "once: [\"a b\"]",
     "an entry of once must be a method's name, or a prefix that ends in '*'"},
    {ENDPOINT, "name: a b", "name must be 1 to 64 letters, digits, '.', '_' or '-'"},
    {ENDPOINT, "name: \"\"", "name must be 1 to 64 letters, digits, '.', '_' or '-'"},
    {ENDPOINT, "tls_verify: fasle", "tls_verify must be true or false"},
    {ENDPOINT, "http2: 2", "http2 must be true or false"},
    {ENDPOINT, "proxy: ftp://s3cret",
     "proxy must be a URL (http, https, socks4, socks4a, socks5, socks5h), or \"\" for none"},
    {ENDPOINT, "cacert: \"\"", "cacert is empty"},
    {ENDPOINT, "jwt_secret: s3cret", "jwt_secret must hold 64 hex digits (32 bytes)"},
    {ENDPOINT, "jwt_secret: " HEX63, "jwt_secret must hold 64 hex digits (32 bytes)"},
    {ENDPOINT, "jwt_secret: " HEX63 "g", "jwt_secret must hold 64 hex digits (32 bytes)"},
    /* variables */
    {ENDPOINT, "cacert: a${RF_TEST_NONE}b",
     "environment variable RF_TEST_NONE is not set; set it, or give a default: "
     "${RF_TEST_NONE:-...}"},
    {ENDPOINT, "cacert: ${RF_TEST_KEY",
     "a variable is ${NAME} or ${NAME:-default}; write $${ for a plain ${"},
    {ENDPOINT, "cacert: ${}",
     "a variable is ${NAME} or ${NAME:-default}; write $${ for a plain ${"},
    {ENDPOINT, "cacert: ${1A}",
     "a variable is ${NAME} or ${NAME:-default}; write $${ for a plain ${"},
    {ENDPOINT, "cacert: ${s3 cret}",
     "a variable is ${NAME} or ${NAME:-default}; write $${ for a plain ${"},
    {TOP, "in_flight: ${RF_TEST_KEY}", "in_flight must be a whole number from 1 to 65536"},
    /* syntax */
    {ENDPOINT, "batch: 'open", NULL},
    {ENDPOINT, "batch: [1", NULL},
    {ENDPOINT, "\tbatch: 1", NULL},
    {ENDPOINT, "batch: *none", NULL},
};

static const unsigned lines[] = {
    [TOP] = LINE_TOP, [NETWORK] = LINE_NETWORK, [ENDPOINT] = LINE_ENDPOINT};

static void test_error_texts(void **state)
{
    (void)state;
    char yaml[2048], want[512];
    setenv("RF_TEST_KEY", "s3cret", 1);
    unsetenv("RF_TEST_NONE");
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        if (cases[i].want == NULL)
            continue;
        snprintf(want, sizeof want, CASE_FILE ":%u: %s", lines[cases[i].place], cases[i].want);
        config_bad(config_around(cases[i].place, cases[i].line, yaml, sizeof yaml), want);
        assert_null(strstr(want, "s3cret"));
    }
}

/* Every list has an end. */
static void test_error_long_lists(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        enum config_place place;
        unsigned most;
    } lists[] = {{"once", NETWORK, 128}, {"headers", ENDPOINT, 64}, {"weights", ENDPOINT, 1024}};
    static char line[16384], yaml[4 * 16384];
    char want[128];
    for (size_t i = 0; i < RF_COUNT(lists); i++) {
        bool map = strcmp(lists[i].key, "weights") == 0;
        for (unsigned n = lists[i].most; n <= lists[i].most + 1; n++) {
            size_t at = (size_t)sprintf(line, "%s: %c", lists[i].key, map ? '{' : '[');
            for (unsigned k = 0; k < n; k++)
                at += (size_t)sprintf(line + at, map ? "m%u: 1, " : "\"m:%u\", ", k);
            strcpy(line + at, map ? "}" : "]");
            config_around(lists[i].place, line, yaml, sizeof yaml);
            snprintf(want, sizeof want,
                     CASE_FILE ":%u: %s holds %u entries, at most %u are allowed",
                     lists[i].place == NETWORK ? LINE_NETWORK : LINE_ENDPOINT, lists[i].key, n,
                     lists[i].most);
            if (n > lists[i].most)
                config_bad(yaml, want);
            else
                rf_config_free(config_good(yaml));
        }
    }
}

/* libyaml's words are its own; that a line is named, and it is one of the last two, is ours. */
static void test_error_syntax_names_a_line(void **state)
{
    (void)state;
    char yaml[2048];
    size_t tried = 0;
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        if (cases[i].want != NULL)
            continue;
        struct rf_config *cfg = NULL;
        struct rpcfan_error err = {0};
        config_around(cases[i].place, cases[i].line, yaml, sizeof yaml);
        assert_int_equal(rf_config_load_text(yaml, strlen(yaml), CASE_FILE, &cfg, &err),
                         RPCFAN_ECONFIG);
        unsigned line = 0;
        assert_int_equal(sscanf(err.text, CASE_FILE ":%u: ", &line), 1);
        assert_in_range(line, lines[cases[i].place], lines[cases[i].place] + 1);
        tried++;
    }
    assert_int_equal(tried, 4);
}

static void test_error_whole_files(void **state)
{
    (void)state;
    static const char nothing[] =
        CASE_FILE ":1: there is nothing in it; it must hold at least 'networks'";
    config_bad("", nothing);
    config_bad("# only words\n", nothing);
    config_bad("just text\n",
               CASE_FILE ":1: configuration must be a mapping (key: value), not a plain value");
    config_bad("- a\n", CASE_FILE ":1: configuration must be a mapping (key: value), not a list");
    config_bad("\nseed: 1\n", CASE_FILE ":2: configuration has no 'networks', which it needs");
    config_bad("networks: []\n", CASE_FILE ":1: networks must hold at least one entry");
    config_bad("networks: [a]\n",
               CASE_FILE ":1: network must be a mapping (key: value), not a plain value");
    config_bad("networks:\n  - name: a\n",
               CASE_FILE ":2: network has no 'endpoints', which it needs");
    config_bad("networks:\n  - endpoints:\n    - name: a\n",
               CASE_FILE ":3: endpoint has no 'url', which it needs");
    config_bad("networks:\n  - endpoints: [{url: http://a}]\n---\nnetworks: []\n",
               CASE_FILE ":4: a second document ('---') begins; only one is read");
    config_bad("networks: &x [*x]\n",
               CASE_FILE ":1: network must be a mapping (key: value), not a list");
}

static void test_error_binary(void **state)
{
    (void)state;
    struct rpcfan_error err = {0};
    struct rf_config *cfg = NULL;
    assert_int_equal(rf_config_load_text("a: 1\nb\0c", 8, CASE_FILE, &cfg, &err), RPCFAN_ECONFIG);
    assert_string_equal(err.text, CASE_FILE ":2: this is not text: it holds a NUL byte");
    config_bad("a: 1\n\n\x80\xff: 2\n", CASE_FILE ":3: this is not text in UTF-8");
}

static void test_error_names_twice(void **state)
{
    (void)state;
    config_bad("networks:\n"
               "  - name: eth\n"
               "    endpoints:\n"
               "      - {url: http://a, name: x}\n"
               "      - url: http://b\n"
               "        name: x\n",
               CASE_FILE ":6: two endpoints of network 'eth' are called 'x'");
    config_bad("networks:\n"
               "  - endpoints:\n"
               "      - {url: http://a, name: ep2}\n"
               "      - url: http://b\n",
               CASE_FILE ":4: two endpoints of network 'net1' are called 'ep2'");
    config_bad("networks:\n"
               "  - {name: eth, endpoints: [{url: http://a}]}\n"
               "  - {name: eth, endpoints: [{url: http://b}]}\n",
               CASE_FILE ":3: two networks are called 'eth'");
}

static void test_error_urls(void **state)
{
    (void)state;
    static const char *const bad[] = {"s3cret",         "ws://s3cret",     "http://",
                                      "http:///s3cret", "http://?a",       "\"http://a b\"",
                                      "https://:80/",   "\"http://a\\n\"", "\"\""};
    static const char *const good[] = {"http://a", "HTTPS://a:1/k?x=y#z", "http://[::1]:8545"};
    char yaml[256];
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        snprintf(yaml, sizeof yaml, "networks:\n  - endpoints:\n    - url: %s\n", bad[i]);
        config_bad(yaml,
                   CASE_FILE ":3: url must be http://HOST... or https://HOST..., without blanks");
    }
    for (size_t i = 0; i < RF_COUNT(good); i++) {
        snprintf(yaml, sizeof yaml, "networks:\n  - endpoints:\n    - url: %s\n", good[i]);
        rf_config_free(config_good(yaml));
    }
}

/* An alias brings a value from elsewhere: that is where it has to be mended. */
static void test_error_line_of_alias(void **state)
{
    (void)state;
    config_bad("networks:\n"
               "  - endpoints:\n"
               "      - url: http://a\n"
               "        timeout: &bad 0s\n"
               "      - url: http://b\n"
               "        connect_timeout: *bad\n",
               CASE_FILE ":4: timeout must be whole milliseconds, from 1ms to 86400s");
    config_bad("networks:\n"
               "  - endpoints:\n"
               "      - url: http://a\n"
               "        idle: &bad 0s\n"
               "      - url: http://b\n"
               "        connect_timeout: *bad\n",
               CASE_FILE ":4: connect_timeout must be whole milliseconds, from 1ms to 86400s");
}

/* A path that is longer than the message keeps its end, and the message its words. */
static void test_error_long_file_name(void **state)
{
    (void)state;
    char name[600];
    struct rf_config *cfg = NULL;
    struct rpcfan_error err = {0};
    memset(name, 'd', sizeof name);
    memcpy(name + sizeof name - 8, "/x.yaml", 8);
    assert_int_equal(rf_config_load_text("a: 1", 4, name, &cfg, &err), RPCFAN_ECONFIG);
    assert_non_null(strstr(err.text, "dd/x.yaml:1: unknown key 'a'"));
    assert_memory_equal(err.text, "...d", 4);
}

/* err may be NULL everywhere. */
static void test_error_detail_not_wanted(void **state)
{
    (void)state;
    char yaml[2048];
    struct rf_config *cfg = NULL;
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        config_around(cases[i].place, cases[i].line, yaml, sizeof yaml);
        assert_int_equal(rf_config_load_text(yaml, strlen(yaml), CASE_FILE, &cfg, NULL),
                         RPCFAN_ECONFIG);
    }
    assert_null(cfg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_texts),
        cmocka_unit_test(test_error_long_lists),
        cmocka_unit_test(test_error_syntax_names_a_line),
        cmocka_unit_test(test_error_whole_files),
        cmocka_unit_test(test_error_binary),
        cmocka_unit_test(test_error_names_twice),
        cmocka_unit_test(test_error_urls),
        cmocka_unit_test(test_error_line_of_alias),
        cmocka_unit_test(test_error_long_file_name),
        cmocka_unit_test(test_error_detail_not_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
