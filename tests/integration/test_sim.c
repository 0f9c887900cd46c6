/* test_sim.c - the fake node as a JSON-RPC server: answers, ids, errors, memory of calls, scripts,
 * addresses. HTTP itself is in test_sim_http.c, misbehaviour in test_sim_faults.c. */
#include "sim_client.h"

#include "base/mem.h"
#include "json/scan.h"
#include "sim/node_conf.h"
#include "sim/node_limit.h"
#include "sim/node_methods.h"

#define KEY "\"TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DB\""
#define ADDRESS "\"0x00000000000000000000000000000000000000aa\""
#define HASH "\"0x1000000000000000000000000000000000000000000000000000000000000001\""
#define NO_HASH "\"0x0000000000000000000000000000000000000000000000000000000000000001\""

static const struct {
    const char *method, *params;
} library[] = {
    {"eth_chainId", "[]"},
    {"net_version", "[]"},
    {"web3_clientVersion", "[]"},
    {"eth_blockNumber", "[]"},
    {"eth_getBalance", "[" ADDRESS ",\"latest\"]"},
    {"eth_getTransactionCount", "[" ADDRESS ",\"latest\"]"},
    {"eth_getCode", "[" ADDRESS ",\"latest\"]"},
    {"eth_getStorageAt", "[" ADDRESS ",\"0x0\",\"latest\"]"},
    {"eth_call", "[{\"to\":" ADDRESS ",\"data\":\"0x01\"},\"latest\"]"},
    {"eth_gasPrice", "[]"},
    {"eth_getBlockByNumber", "[\"latest\",false]"},
    {"eth_getBlockByNumber", "[\"0xffffffffff\",false]"},
    {"eth_getTransactionByHash", "[" HASH "]"},
    {"eth_getTransactionByHash", "[" NO_HASH "]"},
    {"eth_getTransactionReceipt", "[" HASH "]"},
    {"eth_getLogs", "[{\"fromBlock\":\"0x10\",\"toBlock\":\"0x40\"}]"},
    {"eth_sendRawTransaction", "[\"0xf86c01\"]"},
    {"getVersion", "[]"},
    {"getHealth", "[]"},
    {"getGenesisHash", "[]"},
    {"getSlot", "[]"},
    {"getBlockHeight", "[]"},
    {"getBalance", "[" KEY "]"},
    {"getAccountInfo", "[" KEY ",{\"encoding\":\"base64\"}]"},
    {"getMultipleAccounts", "[[" KEY ",\"TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA\"]]"},
    {"getLatestBlockhash", "[]"},
    {"getTokenAccountBalance", "[" KEY "]"},
    {"sendTransaction", "[\"AQAB\"]"},
    {"sim_echo", "[1,{\"a\":[true,null]}]"},
    {"sim_big", "[100000]"},
    {"sim_error", "[-32011,\"no\",{\"x\":1}]"},
    {"sim_null", "[]"},
    {"sim_nothing", "[]"},
};

static void test_answer_every_method_as_computed(void **state)
{
    (void)state;
    const struct rf_node_chain chain = {.family = RF_NODE_BOTH, .chain_id = 56, .head = 5000};
    script("chain-id 56\nhead 5000\n");
    for (size_t i = 0; i < RF_COUNT(library); i++) {
        struct rf_buf request = {0}, want = {0}, payload = {0};
        rf_buf_printf(&request, "{\"jsonrpc\":\"2.0\",\"id\":%zu,\"method\":\"%s\",\"params\":%s}",
                      i, library[i].method, library[i].params);
        rf_buf_char(&request, '\0');
        enum rf_node_answer answer = rf_node_answer(
            &chain, (struct rpcfan_slice){library[i].method, strlen(library[i].method)},
            (struct rpcfan_slice){library[i].params, strlen(library[i].params)}, &payload);
        rf_buf_char(&payload, '\0');
        assert_int_equal(rf_json_check(payload.data, strlen(payload.data), RF_SCAN_DEPTH, NULL), 0);
        rf_buf_printf(&want, "{\"jsonrpc\":\"2.0\",\"id\":%zu,\"%s\":%s}", i,
                      answer == RF_NODE_RESULT ? "result" : "error", payload.data);
        rf_buf_char(&want, '\0');
        expect(request.data, want.data);
        rf_buf_fini(&request);
        rf_buf_fini(&want);
        rf_buf_fini(&payload);
    }
    assert_int_equal(counters().connections, 1);
    assert_int_equal(counters().answered, RF_COUNT(library));
}

static void test_answer_known_values(void **state)
{
    (void)state;
    script("chain-id 137\nhead 255\n");
    expect("{\"id\":1,\"method\":\"eth_chainId\"}",
           "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x89\"}");
    expect("{\"id\":1,\"method\":\"net_version\"}",
           "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"137\"}");
    expect("{\"id\":1,\"method\":\"eth_blockNumber\"}",
           "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0xff\"}");
    expect("{\"id\":1,\"method\":\"getSlot\"}", "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":255}");
    expect("{\"id\":1,\"method\":\"getSlot\",\"params\":[{\"minContextSlot\":256}]}",
           "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32016,\"message\":\"Minimum context "
           "slot "
           "has not been reached\",\"data\":{\"contextSlot\":255}}}");
    assert_non_null(strstr(post("{\"id\":1,\"method\":\"getAccountInfo\",\"params\":[" KEY "]}"),
                           "\"rentEpoch\":18446744073709551615"));
}

static void test_answer_does_not_depend_on_whitespace(void **state)
{
    (void)state;
    struct rf_buf one = {0};
    const char *got =
        post("{\"id\":1,\"method\":\"eth_getBalance\",\"params\":[" ADDRESS ",\"latest\"]}");
    rf_buf_str(&one, got);
    rf_buf_char(&one, '\0');
    assert_null(strstr(one.data, "error"));
    assert_string_equal(
        post("{\"id\":1,\"method\":\"eth_getBalance\",\"params\": [ " ADDRESS " ,\n\"latest\" ] }"),
        one.data);
    assert_string_not_equal(
        post("{\"id\":1,\"method\":\"eth_getBalance\",\"params\":[" ADDRESS ",\"late st\"]}"),
        one.data);
    rf_buf_fini(&one);
}

static void test_answer_block_is_the_same_by_number_and_tag(void **state)
{
    (void)state;
    struct rf_buf one = {0};
    script("head 255");
    rf_buf_str(
        &one, post("{\"id\":1,\"method\":\"eth_getBlockByNumber\",\"params\":[\"latest\",false]}"));
    rf_buf_char(&one, '\0');
    assert_string_equal(
        post("{\"id\":1,\"method\":\"eth_getBlockByNumber\",\"params\":[\"0xff\",false]}"),
        one.data);
    rf_buf_fini(&one);
}

static void test_family_hides_the_other_methods(void **state)
{
    (void)state;
    script("family solana");
    assert_non_null(strstr(post("{\"id\":1,\"method\":\"eth_chainId\"}"), "-32601"));
    assert_non_null(strstr(post("{\"id\":1,\"method\":\"getHealth\"}"), "\"ok\""));
    script("family evm");
    assert_non_null(strstr(post("{\"id\":1,\"method\":\"getHealth\"}"), "-32601"));
}

static void test_head_advances_with_block_time(void **state)
{
    (void)state;
    script("head 7\nblock-time 1ms");
    bool moved = false;
    for (int i = 0; i < 100000 && !moved; i++)
        moved = strstr(post("{\"id\":1,\"method\":\"getSlot\"}"), "\"result\":7}") == NULL;
    assert_true(moved);
}

static void test_batch_echoes_every_id(void **state)
{
    (void)state;
    expect("[{\"id\":1,\"method\":\"sim_null\"},{\"id\":\"x\\u0041\",\"method\":\"sim_null\"},"
           "{\"id\":-1.5e3,\"method\":\"sim_null\"},{\"id\":null,\"method\":\"sim_null\"}]",
           "[{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null},"
           "{\"jsonrpc\":\"2.0\",\"id\":\"x\\u0041\",\"result\":null},"
           "{\"jsonrpc\":\"2.0\",\"id\":-1.5e3,\"result\":null},"
           "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":null}]");
    assert_int_equal(counters().batches, 1);
    assert_int_equal(counters().batch_max, 4);
    assert_int_equal(counters().members, 4);
}

static void test_notification_gets_no_answer(void **state)
{
    (void)state;
    expect("{\"method\":\"sim_count\",\"params\":[9]}", "");
    expect("[{\"method\":\"sim_count\",\"params\":[9]},{\"method\":\"sim_null\"}]", "");
    expect("[{\"method\":\"sim_null\"},{\"id\":1,\"method\":\"sim_count\",\"params\":[9]}]",
           "[{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":3}]");
    assert_int_equal(counters().notifications, 4);
}

static void test_errors_as_the_specification_says(void **state)
{
    (void)state;
#define ERROR(code, text)                                                                          \
    "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":" code ",\"message\":\"" text "\"}}"
    expect("{\"id\":1,\"method\"", ERROR("-32700", "Parse error"));
    expect("[{\"id\":1,\"method\":\"sim_null\"},", ERROR("-32700", "Parse error"));
    expect("", ERROR("-32700", "Parse error"));
    expect("[]", ERROR("-32600", "Invalid request"));
    expect("7", ERROR("-32600", "Invalid request"));
    expect("[1]", "[" ERROR("-32600", "Invalid request") "]");
    expect("{\"id\":1,\"method\":2}", "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32600,"
                                      "\"message\":\"Invalid request\"}}");
    assert_non_null(
        strstr(post("{\"id\":1,\"method\":\"a\\u0062\"}"), "the method ab does not exist"));
    assert_non_null(
        strstr(post("{\"id\":1,\"method\":\"eth_getBalance\",\"params\":[\"0xzz\"]}"), "-32602"));
    assert_non_null(
        strstr(post("{\"id\":1,\"method\":\"getBalance\",\"params\":[\"0\"]}"), "-32602"));
    assert_int_equal(counters().invalid, 7);
}

static void test_send_twice_is_already_known(void **state)
{
    (void)state;
    const char *evm = "{\"id\":1,\"method\":\"eth_sendRawTransaction\",\"params\":[\"0xab01\"]}";
    const char *solana = "{\"id\":1,\"method\":\"sendTransaction\",\"params\":[\"AQAB\"]}";
    assert_non_null(strstr(post(evm), "\"result\":\"0x"));
    assert_non_null(strstr(post(evm), "already known"));
    assert_int_equal(rf_node_seen(node, "eth_sendRawTransaction", "[ \"0xab01\" ]"), 2);
    assert_non_null(strstr(post(solana), "\"result\":\""));
    assert_non_null(strstr(post(solana), "\"result\":\""));
    uint64_t different, repeated;
    rf_node_seen_totals(node, &different, &repeated);
    assert_int_equal(different, 2);
    assert_int_equal(repeated, 2);
}

static void test_track_counts_other_methods(void **state)
{
    (void)state;
    post("{\"id\":1,\"method\":\"eth_getBalance\",\"params\":[" ADDRESS "]}");
    assert_int_equal(rf_node_seen(node, "eth_getBalance", "[" ADDRESS "]"), 0);
    script("track eth_get*");
    for (int i = 0; i < 3; i++)
        post("{\"id\":1,\"method\":\"eth_getBalance\",\"params\":[" ADDRESS "]}");
    assert_int_equal(rf_node_seen(node, "eth_getBalance", "[" ADDRESS "]"), 3);
}

static void test_count_grows_past_the_first_table(void **state)
{
    (void)state;
    struct rf_buf b = {0};
    for (int round = 1; round <= 2; round++) {
        rf_buf_reset(&b, SIZE_MAX);
        for (int i = 0; i < 3000; i++)
            rf_buf_printf(&b, "%s{\"id\":%d,\"method\":\"sim_count\",\"params\":[%d]}",
                          i ? "," : "[", i, i);
        rf_buf_str(&b, "]");
        rf_buf_char(&b, '\0');
        char want[32];
        snprintf(want, sizeof want, "\"result\":%d}", round);
        assert_int_equal(occurrences(post(b.data), want), 3000);
    }
    rf_buf_fini(&b);
}

static void test_canned_answer_replaces_the_method(void **state)
{
    (void)state;
    script("answer eth_chainId '\"0x7\"'\nanswer my_* '{\"a\": [1]}'");
    expect("{\"id\":1,\"method\":\"eth_chainId\"}",
           "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x7\"}");
    expect("{\"id\":1,\"method\":\"my_own\"}",
           "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\": [1]}}");
}

static void test_sleep_delays_at_least_so_long(void **state)
{
    (void)state;
    expect("{\"id\":1,\"method\":\"sim_sleep\",\"params\":[30]}",
           "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":30}");
    assert_true(last.seconds >= 0.030);
    script("latency fixed 40ms method=sim_n* each=5ms");
    post("[{\"id\":1,\"method\":\"sim_null\"},{\"id\":2,\"method\":\"sim_null\"}]");
    assert_true(last.seconds >= 0.050);
}

static void test_no_allocation_after_warm_up(void **state)
{
    (void)state;
    const char *batch = "[{\"id\":1,\"method\":\"eth_getBalance\",\"params\":[" ADDRESS "]},"
                        "{\"id\":2,\"method\":\"getAccountInfo\",\"params\":[" KEY "]}]";
    int fd = raw_connect();
    char request[512], answer[8192];
    int len = snprintf(request, sizeof request, "POST / HTTP/1.1\r\nContent-Length: %zu\r\n\r\n%s",
                       strlen(batch), batch);
    uint64_t before = 0;
    for (int i = 0; i < 200; i++) {
        if (i == 100)
            before = rf_alloc_count();
        assert_int_equal(send(fd, request, (size_t)len, MSG_NOSIGNAL), len);
        size_t got = 0;
        do {
            ssize_t n = recv(fd, answer + got, sizeof answer - 1 - got, 0);
            assert_true(n > 0);
            got += (size_t)n;
            answer[got] = '\0';
        } while (strstr(answer, "]\n") == NULL && answer[got - 1] != ']');
    }
    assert_int_equal(rf_alloc_count(), before);
    close(fd);
}

static void test_script_errors_name_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"head 1\n\nhed 2", "line 3: unknown directive 'hed'"},
        {"head", "line 1: a block number or slot is missing"},
        {"head x", "want a block number"},
        {"head 1 2", "'2' is not understood here"},
        {"rate 10", "want a rate as 100/10s"},
        {"rate 0/s", "want a rate"},
        {"rate 5/1s kind=leaky", "want one of fixed, sliding, bucket"},
        {"latency fixed 5", "with its unit"},
        {"latency uniform 5ms 1ms", "the shorter one"},
        {"batch-max 3 shape=x", "want one of geth"},
        {"fault", "kind of fault is missing"},
        {"fault explode", "'explode' is no kind of fault"},
        {"fault hang p=2", "probability"},
        {"fault hang requests=5..3", "A..B"},
        {"fault hang bytes=3", "'bytes=3' is not understood here"},
        {"fault shuffle only=single", "only with only=batch"},
        {"fault refuse p=0.5", "only from= and to="},
        {"fault drip bytes=0", "not possible"},
        {"fault http-error status=99", "not possible"},
        {"fault rpc-error data={x}", "want JSON"},
        {"answer m {", "want JSON"},
        {"fault rpc-error message=\"abc", "a quote is not closed"},
        {"family bitcoin", "is no family"},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rpcfan_error err = {0};
        assert_int_equal(rf_node_set_script(node, cases[i].text, &err), RPCFAN_ECONFIG);
        if (strstr(err.text, cases[i].want) == NULL)
            fail_msg("%s -> %s", cases[i].text, err.text);
    }
    expect("{\"id\":1,\"method\":\"sim_null\"}", "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}");
}

/* Admissions in a window, by brute force over all calls at once each 100 ms. */
static void test_limit_kinds_in_virtual_time(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        uint64_t wait_ms; /* after 10 at 1000 ms */
    } cases[] = {{"rate 10/1s kind=fixed", 1000},
                 {"rate 10/1s kind=sliding", 1000},
                 {"rate 10/1s kind=bucket", 100}};
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rf_node_conf *conf = rf_node_conf_new();
        assert_int_equal(rf_node_conf_line(conf, cases[i].line, NULL), 0);
        struct rf_node_limit *l = &conf->limit[0];
        uint64_t t = 1000 * RF_MS;
        assert_int_equal(rf_node_limit_room(l, t), 10);
        rf_node_limit_take(l, 10, t);
        assert_int_equal(rf_node_limit_room(l, t), 0);
        assert_int_equal(rf_node_limit_wait(l, 1, t), cases[i].wait_ms * RF_MS);
        assert_int_equal(rf_node_limit_wait(l, 11, t), RF_NEVER);
        t += cases[i].wait_ms * RF_MS;
        assert_int_equal(rf_node_limit_room(l, t - 1), 0);
        assert_true(rf_node_limit_room(l, t) >= 1);
        rf_node_conf_free(conf);
    }
}

static void test_limit_sliding_never_admits_more_in_any_window(void **state)
{
    (void)state;
    struct rf_node_conf *conf = rf_node_conf_new();
    assert_int_equal(rf_node_conf_line(conf, "rate 7/100ms kind=sliding", NULL), 0);
    uint64_t admitted[4000];
    unsigned n = 0;
    struct rf_rng rng;
    rf_rng_init(&rng, 5);
    for (uint64_t t = RF_SEC; t < 3 * RF_SEC && n < 3990; t += rf_rng_below(&rng, 9 * RF_MS)) {
        uint64_t room = rf_node_limit_room(&conf->limit[0], t);
        uint64_t take = rf_min_u64(room, rf_rng_below(&rng, 4));
        rf_node_limit_take(&conf->limit[0], take, t);
        for (; take > 0; take--)
            admitted[n++] = t;
    }
    assert_true(n > 100);
    for (unsigned i = 7; i < n; i++)
        assert_true(admitted[i] - admitted[i - 7] >= 100 * RF_MS);
    rf_node_conf_free(conf);
}

static void test_listen_addresses(void **state)
{
    (void)state;
    struct rpcfan_error err = {0};
    struct rf_node *other;
    static const char *const bad[] = {
        "", "x", "127.0.0.1", "127.0.0.1:99999", "[::1:5", "host.example:1"};
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        struct rf_node_options opts = {.listen = bad[i]};
        assert_int_equal(rf_node_start_thread(&opts, &other, &err), RPCFAN_EINVAL);
        assert_null(other);
    }
    struct rf_node_options taken = {.listen = rf_node_url(node) + strlen("http://")};
    assert_int_equal(rf_node_start_thread(&taken, &other, &err), RPCFAN_EIO);
    assert_non_null(strstr(err.text, "address already in use"));
    struct rf_node_options six = {.listen = "[::1]:0"};
    if (rf_node_start_thread(&six, &other, &err) == RPCFAN_OK) {
        assert_memory_equal(rf_node_url(other), "http://[::1]:", 13);
        rf_node_stop_thread(other);
    }
}

static void test_unix_socket_serves_and_is_removed(void **state)
{
    (void)state;
    char path[64], listen_at[80];
    struct rf_node *other;
    snprintf(path, sizeof path, "/tmp/rpcfan-sim-test-%d", (int)getpid());
    snprintf(listen_at, sizeof listen_at, "unix:%s", path);
    struct rf_node_options opts = {.listen = listen_at};
    assert_int_equal(rf_node_start_thread(&opts, &other, NULL), RPCFAN_OK);
    assert_string_equal(rf_node_url(other), listen_at);
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, path);
    expect("{\"id\":1,\"method\":\"sim_null\"}", "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}");
    rf_node_stop_thread(other);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void test_example_scripts_are_valid(void **state)
{
    (void)state;
    static const char *const files[] = {"configs/sim-provider.sim", "configs/sim-chaos.sim",
                                        "configs/sim-solana.sim", "configs/sim-slow-tail.sim"};
    for (size_t i = 0; i < RF_COUNT(files); i++) {
        char text[16384];
        struct rpcfan_error err = {0};
        FILE *f = fopen(files[i], "re");
        assert_non_null(f);
        size_t n = fread(text, 1, sizeof text - 1, f);
        text[n] = '\0';
        fclose(f);
        if (rf_node_set_script(node, text, &err) != RPCFAN_OK)
            fail_msg("%s: %s", files[i], err.text);
    }
}

/* Each allocation of a start fails once, and each of the first request. */
static void test_out_of_memory_is_an_error_and_passes(void **state)
{
    (void)state;
    struct rf_node_options opts = {.script =
                                       "rate 5/1s kind=sliding\nfault hang method=x\nanswer a 1"};
    struct rf_node *other = NULL;
    uint64_t n = 0;
    do {
        rf_alloc_fail_at(++n);
        enum rpcfan_err rc = rf_node_start_thread(&opts, &other, NULL);
        rf_alloc_fail_at(0);
        assert_true(rc == RPCFAN_OK || rc == RPCFAN_ENOMEM || rc == RPCFAN_ECONFIG);
    } while (other == NULL && n < 1000);
    assert_in_range(n, 8, 999);
    rf_node_stop_thread(other);
    for (n = 1; n < 30; n++) {
        teardown_node(NULL);
        setup_node(NULL);
        rf_alloc_fail_at(n); /* the client's own buffers may be what fails */
        post("[{\"id\":1,\"method\":\"sim_count\"},{\"id\":2,\"method\":\"sim_big\",\"params\":["
             "9000]}]");
        rf_alloc_fail_at(0);
        expect("{\"id\":1,\"method\":\"sim_null\"}",
               "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}");
    }
}

#define NODE_TEST(name) cmocka_unit_test_setup_teardown(name, setup_node, teardown_node)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(test_answer_every_method_as_computed),
        NODE_TEST(test_answer_known_values),
        NODE_TEST(test_answer_does_not_depend_on_whitespace),
        NODE_TEST(test_answer_block_is_the_same_by_number_and_tag),
        NODE_TEST(test_family_hides_the_other_methods),
        NODE_TEST(test_head_advances_with_block_time),
        NODE_TEST(test_batch_echoes_every_id),
        NODE_TEST(test_notification_gets_no_answer),
        NODE_TEST(test_errors_as_the_specification_says),
        NODE_TEST(test_send_twice_is_already_known),
        NODE_TEST(test_track_counts_other_methods),
        NODE_TEST(test_count_grows_past_the_first_table),
        NODE_TEST(test_canned_answer_replaces_the_method),
        NODE_TEST(test_sleep_delays_at_least_so_long),
        NODE_TEST(test_no_allocation_after_warm_up),
        NODE_TEST(test_script_errors_name_the_line),
        cmocka_unit_test(test_limit_kinds_in_virtual_time),
        cmocka_unit_test(test_limit_sliding_never_admits_more_in_any_window),
        NODE_TEST(test_out_of_memory_is_an_error_and_passes),
        NODE_TEST(test_listen_addresses),
        NODE_TEST(test_unix_socket_serves_and_is_removed),
        NODE_TEST(test_example_scripts_are_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
