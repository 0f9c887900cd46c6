/* test_config.c - every key of a configuration changes what the options say; anchors, names, and
 * running out of memory at every allocation. */
#include "config_case.h"

#include "base/mem.h"

#define EP (o->networks[0].endpoints[0])
#define NET (o->networks[0])

/* What a case looks at: one number or one text of the options. */
#define NUMBER(name, expr)                                                                         \
    static uint64_t name(const struct rpcfan_options *o)                                           \
    {                                                                                              \
        return (uint64_t)(expr);                                                                   \
    }
#define TEXT(name, expr)                                                                           \
    static const char *name(const struct rpcfan_options *o)                                        \
    {                                                                                              \
        return (expr);                                                                             \
    }

NUMBER(top_pending_calls, o->pending_calls)
NUMBER(top_pending_bytes, o->pending_bytes)
NUMBER(top_in_flight, o->in_flight)
NUMBER(top_seed, o->seed)
NUMBER(top_log_level, o->log_level)
NUMBER(top_n_accounts, o->n_accounts)
NUMBER(account_n_limits, o->n_accounts == 0 ? 0 : o->accounts[0].n_limits)
NUMBER(account_count, o->n_accounts == 0 ? 0 : o->accounts[0].limits[0].count)
NUMBER(net_family, NET.family)
NUMBER(net_policy, NET.policy)
NUMBER(net_quorum, NET.quorum)
NUMBER(net_split, NET.split)
NUMBER(net_hedge, NET.hedge_percent)
NUMBER(net_join, NET.join)
NUMBER(net_gather, NET.gather)
NUMBER(net_lag_max, NET.lag_max)
NUMBER(net_deadline, NET.deadline_ms)
NUMBER(net_attempts, NET.attempts)
NUMBER(net_linger, NET.linger_ms)
NUMBER(net_n_once, NET.n_once)
NUMBER(ep_insecure, EP.tls_insecure)
NUMBER(ep_http2, EP.http2)
NUMBER(ep_priority, EP.priority)
NUMBER(ep_in_flight, EP.in_flight)
NUMBER(ep_batch, EP.batch)
NUMBER(ep_batch_bytes, EP.batch_bytes)
NUMBER(ep_response_bytes, EP.response_bytes)
NUMBER(ep_timeout, EP.timeout_ms)
NUMBER(ep_connect_timeout, EP.connect_timeout_ms)
NUMBER(ep_idle, EP.idle_ms)
NUMBER(ep_batch_cost, EP.batch_cost)
NUMBER(ep_start, EP.start_per_s)
NUMBER(ep_learn, EP.learn)
NUMBER(ep_ws_conns, EP.ws_conns)
NUMBER(ep_ws_subs, EP.ws_subs)
NUMBER(ep_ws_per_s, EP.ws_per_s)
NUMBER(ep_ws_bytes, EP.ws_bytes)
NUMBER(ep_ws_ping, EP.ws_ping_ms)
NUMBER(ep_ws_lifetime, EP.ws_lifetime_ms)
NUMBER(ep_ws_retry, EP.ws_retry_ms)
NUMBER(ep_n_limits, EP.n_limits)
NUMBER(limit_each, EP.n_limits == 0 ? 0 : EP.limits[0].each)
NUMBER(ep_n_headers, EP.n_headers)
NUMBER(ep_n_weights, EP.n_weights)
NUMBER(limit_count, EP.n_limits == 0 ? 0 : EP.limits[0].count)
NUMBER(limit_window, EP.n_limits == 0 ? 0 : EP.limits[0].window_ms)
NUMBER(limit_unit, EP.n_limits == 0 ? RPCFAN_REQUESTS : EP.limits[0].unit)
NUMBER(limit_n_methods, EP.n_limits == 0 ? 0 : EP.limits[0].n_methods)
NUMBER(weight_value, EP.n_weights == 0 ? 99 : EP.weights[0].weight)

TEXT(account_name, o->n_accounts == 0 ? NULL : o->accounts[0].name)
TEXT(net_name, NET.name)
TEXT(net_once, NET.n_once == 0 ? NULL : NET.once[NET.n_once - 1])
TEXT(ep_name, EP.name)
TEXT(ep_socket, EP.unix_socket)
TEXT(ep_proxy, EP.proxy)
TEXT(ep_ws_url, EP.ws_url)
TEXT(ep_secret, EP.jwt_secret)
TEXT(ep_cacert, EP.cacert)
TEXT(ep_header, EP.n_headers == 0 ? NULL : EP.headers[EP.n_headers - 1])
TEXT(limit_method, EP.n_limits == 0 || EP.limits[0].n_methods == 0
                       ? NULL
                       : EP.limits[0].methods[EP.limits[0].n_methods - 1])
TEXT(weight_method, EP.n_weights == 0 ? NULL : EP.weights[0].method)

#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"

static const struct {
    enum config_place place;
    const char *line;
    uint64_t (*read)(const struct rpcfan_options *o);
    uint64_t want;
} numbers[] = {
    {TOP, "pending_calls: 77", top_pending_calls, 77},
    {TOP, "pending_bytes: 3MiB", top_pending_bytes, 3 * 1024 * 1024},
    {TOP, "in_flight: 5", top_in_flight, 5},
    {TOP, "seed: 18446744073709551615", top_seed, UINT64_MAX},
    {TOP, "log_level: error", top_log_level, RPCFAN_LOG_ERROR},
    {TOP, "log_level: info", top_log_level, RPCFAN_LOG_INFO},
    {TOP, "log_level: debug", top_log_level, RPCFAN_LOG_DEBUG},
    {TOP, "accounts: [{name: a, limits: [1/s]}, {name: b, limits: [1/s]}]", top_n_accounts, 2},
    {TOP, "accounts: [{name: a, limits: [7w/s, {count: 1, window: s}]}]", account_n_limits, 2},
    {TOP, "accounts: [{name: a, limits: [7w/s]}]", account_count, 7},
    {NETWORK, "policy: failover", net_policy, RPCFAN_FAILOVER},
    {NETWORK, "policy: first", net_policy, RPCFAN_FIRST},
    {NETWORK, "policy: broadcast", net_policy, RPCFAN_BROADCAST},
    {NETWORK, "quorum: 1", net_quorum, 1},
    {NETWORK, "split: range", net_split, RPCFAN_SPLIT_RANGE},
    {NETWORK, "hedge: 5%", net_hedge, 5},
    {NETWORK, "join: true", net_join, 1},
    {NETWORK, "gather: true", net_gather, 1},
    {NETWORK, "lag_max: 12", net_lag_max, 12},
    {NETWORK, "family: evm", net_family, RPCFAN_EVM},
    {NETWORK, "family: solana", net_family, RPCFAN_SOLANA},
    {NETWORK, "deadline: 2m", net_deadline, 120000},
    {NETWORK, "attempts: 9", net_attempts, 9},
    {NETWORK, "linger: 5ms", net_linger, 5},
    {NETWORK, "once: [my_send, other_send]", net_n_once, 2},
    {ENDPOINT, "tls_verify: false", ep_insecure, 1},
    {ENDPOINT, "tls_verify: off", ep_insecure, 1},
    {ENDPOINT, "http2: true", ep_http2, 1},
    {ENDPOINT, "http2: yes", ep_http2, 1},
    {ENDPOINT, "priority: 2", ep_priority, 2},
    {ENDPOINT, "in_flight: 3", ep_in_flight, 3},
    {ENDPOINT, "batch: 100", ep_batch, 100},
    {ENDPOINT, "batch: \"100\"", ep_batch, 100},
    {ENDPOINT, "batch_bytes: 1MB", ep_batch_bytes, 1000000},
    {ENDPOINT, "batch_cost: 2", ep_batch_cost, 2},
    {ENDPOINT, "start: 20", ep_start, 20},
    {ENDPOINT, "learn: false", ep_learn, 0},
    {ENDPOINT, "profile: geth", ep_batch, 1000},
    {ENDPOINT, "limits: [40/10s/each]", limit_each, 1},
    {ENDPOINT, "limits: [{count: 7, window: 1m, each: true}]", limit_each, 1},
    {ENDPOINT, "response_bytes: 128MiB", ep_response_bytes, 128 * 1024 * 1024},
    {ENDPOINT, "timeout: 1.5s", ep_timeout, 1500},
    {ENDPOINT, "connect_timeout: 900ms", ep_connect_timeout, 900},
    {ENDPOINT, "idle: 1m", ep_idle, 60000},
    {ENDPOINT, "limits: [100/10s, \"40/10s:get*\"]", ep_n_limits, 2},
    {ENDPOINT, "limits: [100/10s]", limit_count, 100},
    {ENDPOINT, "limits: [100/10s]", limit_window, 10000},
    {ENDPOINT, "limits: [500w/1s]", limit_unit, RPCFAN_WEIGHT},
    {ENDPOINT, "limits: [\"40/10s:a,b*\"]", limit_n_methods, 2},
    {ENDPOINT, "limits: [{count: 7, window: 1m}]", limit_count, 7},
    {ENDPOINT, "limits: [{count: 7, window: 1m}]", limit_window, 60000},
    {ENDPOINT, "limits: [{count: 7, window: 1m, unit: weight}]", limit_unit, RPCFAN_WEIGHT},
    {ENDPOINT, "limits: [{count: 7, window: 1m, methods: [a, b]}]", limit_n_methods, 2},
    {ENDPOINT, "headers: {X-One: 1, X-Two: 2}", ep_n_headers, 2},
    {ENDPOINT, "headers: [\"X-One: 1\"]", ep_n_headers, 1},
    {ENDPOINT, "weights: {eth_call: 26, \"trace_*\": 80}", ep_n_weights, 2},
    {ENDPOINT, "weights: {eth_call: 26}", weight_value, 26},
    {ENDPOINT, "weights: {eth_chainId: 0}", weight_value, 0},
    {ENDPOINT, "ws_conns: 3", ep_ws_conns, 3},
    {ENDPOINT, "ws_subs: 1000", ep_ws_subs, 1000},
    {ENDPOINT, "ws_per_s: 10", ep_ws_per_s, 10},
    {ENDPOINT, "ws_bytes: 16MiB", ep_ws_bytes, 16777216},
    {ENDPOINT, "ws_ping: 20s", ep_ws_ping, 20000},
    {ENDPOINT, "ws_lifetime: 25m", ep_ws_lifetime, 1500000},
    {ENDPOINT, "ws_retry: 3s", ep_ws_retry, 3000},
};

static const struct {
    enum config_place place;
    const char *line;
    const char *(*read)(const struct rpcfan_options *o);
    const char *want;
} texts[] = {
    {TOP, "accounts: [{name: key1, limits: [1/s]}]", account_name, "key1"},
    {NETWORK, "once: [my_send, other_send]", net_once, "other_send"},
    {ENDPOINT, "name: helius", ep_name, "helius"},
    {ENDPOINT, "unix_socket: /run/node.sock", ep_socket, "/run/node.sock"},
    {ENDPOINT, "unix_socket: node.sock", ep_socket, "node.sock"},
    {ENDPOINT, "proxy: \"\"", ep_proxy, ""},
    {ENDPOINT, "proxy: socks5h://127.0.0.1:1080", ep_proxy, "socks5h://127.0.0.1:1080"},
    {ENDPOINT, "ws_url: \"\"", ep_ws_url, ""},
    {ENDPOINT, "ws_url: wss://127.0.0.1:8900/key", ep_ws_url, "wss://127.0.0.1:8900/key"},
    {ENDPOINT, "jwt_secret: " HEX64, ep_secret, HEX64},
    {ENDPOINT, "jwt_secret: 0x" HEX64, ep_secret, HEX64},
    {ENDPOINT, "cacert: ca.pem", ep_cacert, "ca.pem"},
    {ENDPOINT, "headers: {X-Two: \"two words\"}", ep_header, "X-Two: two words"},
    {ENDPOINT, "headers: {X-Empty: \"\"}", ep_header, "X-Empty: "},
    {ENDPOINT, "headers: [\"X-One: 1\", \"X-Two: 2\"]", ep_header, "X-Two: 2"},
    {ENDPOINT, "limits: [\"40/10s:a, b*\"]", limit_method, "b*"},
    {ENDPOINT, "limits: [{count: 7, window: m, methods: [a, \"b*\"]}]", limit_method, "b*"},
    {ENDPOINT, "weights: {\"trace_*\": 80}", weight_method, "trace_*"},
};

/* A key that says what is so anyway would prove nothing: without it the options must differ. */
static void test_number_keys_reach_options(void **state)
{
    (void)state;
    char with[2048], without[2048];
    struct rf_config *base = config_good(config_around(TOP, "", without, sizeof without));
    for (size_t i = 0; i < RF_COUNT(numbers); i++) {
        struct rf_config *cfg =
            config_good(config_around(numbers[i].place, numbers[i].line, with, sizeof with));
        uint64_t got = numbers[i].read(rf_config_options(cfg));
        if (got != numbers[i].want || numbers[i].read(rf_config_options(base)) == got)
            fail_msg("%s: got %llu", numbers[i].line, (unsigned long long)got);
        rf_config_free(cfg);
    }
    rf_config_free(base);
}

static void test_text_keys_reach_options(void **state)
{
    (void)state;
    char with[2048], without[2048];
    struct rf_config *base = config_good(config_around(TOP, "", without, sizeof without));
    for (size_t i = 0; i < RF_COUNT(texts); i++) {
        struct rf_config *cfg =
            config_good(config_around(texts[i].place, texts[i].line, with, sizeof with));
        const char *got = texts[i].read(rf_config_options(cfg));
        const char *before = texts[i].read(rf_config_options(base));
        if (got == NULL || strcmp(got, texts[i].want) != 0 ||
            (before != NULL && strcmp(before, got) == 0))
            fail_msg("%s: got %s", texts[i].line, got == NULL ? "nothing" : got);
        rf_config_free(cfg);
    }
    rf_config_free(base);
}

static void test_defaults_are_the_library_s(void **state)
{
    (void)state;
    char yaml[2048];
    struct rf_config *cfg = config_good(config_around(TOP, "", yaml, sizeof yaml));
    const struct rpcfan_options *o = rf_config_options(cfg);
    struct rpcfan_options options;
    struct rpcfan_network_options network;
    struct rpcfan_endpoint_options endpoint;

    rpcfan_options_init(&options);
    options.networks = o->networks;
    options.n_networks = 1;
    assert_memory_equal(o, &options, sizeof options);
    rpcfan_network_options_init(&network);
    network.name = NET.name;
    network.endpoints = NET.endpoints;
    network.n_endpoints = 1;
    assert_memory_equal(&NET, &network, sizeof network);
    rpcfan_endpoint_options_init(&endpoint);
    endpoint.name = EP.name;
    endpoint.url = EP.url;
    assert_memory_equal(&EP, &endpoint, sizeof endpoint);
    assert_string_equal(EP.url, "http://node.example/");
    rf_config_free(cfg);
}

static void test_names_are_made_where_none_is_given(void **state)
{
    (void)state;
    struct rf_config *cfg = config_good("networks:\n"
                                        "  - endpoints: [{url: http://a}, {url: http://b}]\n"
                                        "  - endpoints: [{url: http://c}]\n");
    const struct rpcfan_options *o = rf_config_options(cfg);
    assert_int_equal(o->n_networks, 2);
    assert_string_equal(net_name(o), "net1");
    assert_string_equal(o->networks[1].name, "net2");
    assert_int_equal(NET.n_endpoints, 2);
    assert_string_equal(ep_name(o), "ep1");
    assert_string_equal(NET.endpoints[1].name, "ep2");
    assert_string_equal(o->networks[1].endpoints[0].name, "ep1");
    rf_config_free(cfg);
}

/* Endpoints of different networks share an account by its name, whatever comes first in the file.
 */
static void test_accounts_are_shared_by_name(void **state)
{
    (void)state;
    struct rf_config *cfg =
        config_good("networks:\n"
                    "  - policy: quorum\n"
                    "    endpoints: [{url: http://a, account: key}, {url: http://b}]\n"
                    "  - endpoints: [{url: http://c, account: key}]\n"
                    "accounts:\n"
                    "  - {name: other, limits: [1/1s]}\n"
                    "  - {name: key, limits: [\"5/1s:a*\", 100w/10s]}\n");
    const struct rpcfan_options *o = rf_config_options(cfg);
    assert_int_equal(NET.policy, RPCFAN_QUORUM);
    assert_int_equal(o->n_accounts, 2);
    assert_int_equal(o->accounts[1].size, sizeof(struct rpcfan_account_options));
    assert_int_equal(o->accounts[1].n_limits, 2);
    assert_string_equal(o->accounts[1].limits[0].methods[0], "a*");
    assert_string_equal(EP.account, "key");
    assert_null(NET.endpoints[1].account);
    assert_string_equal(o->networks[1].endpoints[0].account, "key");
    rf_config_free(cfg);
}

/* One list, anchored inside an ignored and inside a loaded value, used again in both. */
static void test_aliases_repeat_values(void **state)
{
    (void)state;
    struct rf_config *cfg = config_good("networks:\n"
                                        "  - once: &once [one, two]\n"
                                        "    deadline: &time 9s\n"
                                        "    endpoints:\n"
                                        "      - &node\n"
                                        "        url: http://a\n"
                                        "        timeout: *time\n"
                                        "        limits: &limits\n"
                                        "          - 5/1s\n"
                                        "          - {count: 6, window: 2s, methods: [x]}\n"
                                        "        weights: &weights {y: 3}\n"
                                        "      - name: second\n"
                                        "        url: http://b\n"
                                        "        limits: *limits\n"
                                        "        weights: *weights\n"
                                        "  - once: *once\n"
                                        "    endpoints: [*node]\n");
    const struct rpcfan_options *o = rf_config_options(cfg);
    const struct rpcfan_endpoint_options *second = &NET.endpoints[1];
    assert_int_equal(EP.timeout_ms, 9000);
    assert_int_equal(second->n_limits, 2);
    assert_int_equal(second->limits[1].count, 6);
    assert_string_equal(second->limits[1].methods[0], "x");
    assert_int_equal(second->weights[0].weight, 3);
    assert_int_equal(o->networks[1].n_once, 2);
    assert_string_equal(o->networks[1].once[1], "two");
    assert_string_equal(o->networks[1].endpoints[0].url, "http://a");
    assert_int_equal(o->networks[1].endpoints[0].n_limits, 2);
    rf_config_free(cfg);
}

static void test_variables_are_put_in_everywhere(void **state)
{
    (void)state;
    setenv("RF_TEST_KEY", "s3cret", 1);
    setenv("RF_TEST_EMPTY", "", 1);
    setenv("RF_TEST_N", "12", 1);
    unsetenv("RF_TEST_NONE");
    struct rf_config *cfg =
        config_good("networks:\n"
                    "  - once: [\"${RF_TEST_KEY}_send\"]\n"
                    "    endpoints:\n"
                    "      - url: https://node.example/v2/${RF_TEST_KEY}?a=${RF_TEST_NONE:-b}\n"
                    "        batch: ${RF_TEST_N}\n"
                    "        proxy: \"${RF_TEST_EMPTY}\"\n"
                    "        headers:\n"
                    "          - 'X-Key: ${RF_TEST_KEY}$'\n"
                    "          - 'X-Raw: $${RF_TEST_KEY} $5 ${RF_TEST_EMPTY:-was empty}'\n"
                    "        limits: [\"${RF_TEST_N}/1s\", {count: \"${RF_TEST_N}\", window: 1s,\n"
                    "                 unit: \"${RF_TEST_NONE:-weight}\"}]\n"
                    "        weights: {eth_call: \"${RF_TEST_N}\"}\n");
    const struct rpcfan_options *o = rf_config_options(cfg);
    assert_string_equal(NET.once[0], "s3cret_send");
    assert_string_equal(EP.url, "https://node.example/v2/s3cret?a=b");
    assert_int_equal(EP.batch, 12);
    assert_string_equal(EP.proxy, "");
    assert_string_equal(EP.headers[0], "X-Key: s3cret$");
    assert_string_equal(EP.headers[1], "X-Raw: ${RF_TEST_KEY} $5 was empty");
    assert_int_equal(EP.limits[0].count, 12);
    assert_int_equal(EP.limits[1].count, 12);
    assert_int_equal(EP.limits[1].unit, RPCFAN_WEIGHT);
    assert_int_equal(EP.weights[0].weight, 12);
    rf_config_free(cfg);
}

/* Each allocation fails once: always RPCFAN_ENOMEM, nothing leaked (the sanitizer looks), and the
 * load succeeds when the failing one lies behind its last. */
static void test_load_out_of_memory(void **state)
{
    (void)state;
    static const char yaml[] = "log_level: info\n"
                               "accounts: [{name: acc, limits: [\"1/s:m\"]}]\n"
                               "networks:\n"
                               "  - family: evm\n"
                               "    once: [a]\n"
                               "    endpoints:\n"
                               "      - url: &u http://a\n"
                               "        account: acc\n"
                               "        profile: alchemy\n"
                               "        cacert: x.pem\n"
                               "        headers: {A: b}\n"
                               "        limits: [\"1/s:m,n\", {count: 1,window: s, methods: [o]}]\n"
                               "        weights: {p: 1}\n"
                               "      - url: *u\n";
    uint64_t n = 1;
    for (;; n++) {
        struct rf_config *cfg = NULL;
        struct rpcfan_error err = {0};
        rf_alloc_fail_at(n);
        enum rpcfan_err rc = rf_config_load_text(yaml, strlen(yaml), CASE_FILE, &cfg, &err);
        rf_alloc_fail_at(0);
        if (rc == RPCFAN_OK) {
            rf_config_free(cfg);
            break;
        }
        assert_int_equal(rc, RPCFAN_ENOMEM);
        assert_string_equal(err.text, "out of memory");
        assert_null(cfg);
        assert_true(n < 2000);
    }
    assert_true(n > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number_keys_reach_options),
        cmocka_unit_test(test_text_keys_reach_options),
        cmocka_unit_test(test_defaults_are_the_library_s),
        cmocka_unit_test(test_names_are_made_where_none_is_given),
        cmocka_unit_test(test_accounts_are_shared_by_name),
        cmocka_unit_test(test_aliases_repeat_values),
        cmocka_unit_test(test_variables_are_put_in_everywhere),
        cmocka_unit_test(test_load_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
