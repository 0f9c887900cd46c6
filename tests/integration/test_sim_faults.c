/* test_sim_faults.c - the fake node misbehaving: refusals of every shape, and every fault, each
 * seen with a client's eyes. */
#include "sim_client.h"

#include "json/scan.h"
#include "sim/node_conf.h"

#define CALL "{\"id\":1,\"method\":\"sim_null\"}"
#define ANSWER "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}"
#define M(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":null}"
#define BATCH                                                                                      \
    "[{\"id\":1,\"method\":\"sim_null\"},{\"id\":2,\"method\":\"sim_null\"},"                      \
    "{\"id\":3,\"method\":\"sim_null\"}]"
#define REFUSED(id, code, text)                                                                    \
    "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"error\":{\"code\":" code ",\"message\":\"" text "\"}}"

static void test_rate_refuses_with_429_and_recovers(void **state)
{
    (void)state;
    script("rate 2/100ms kind=fixed headers=yes retry-after=seconds");
    expect(CALL, ANSWER);
    assert_non_null(strstr(last.head.data, "x-ratelimit-limit: 2\r\n"));
    assert_non_null(strstr(last.head.data, "x-ratelimit-remaining: 1\r\n"));
    expect(CALL, ANSWER);
    assert_string_equal(post(CALL), REFUSED("1", "-32005", "rate limit exceeded"));
    assert_int_equal(last.status, 429);
    assert_non_null(strstr(last.head.data, "Retry-After: 1\r\n"));
    uint64_t refused = counters().refused_requests;
    assert_int_equal(refused, 1);
    while (post(CALL), last.status == 429)
        refused++;
    assert_int_equal(last.status, 200);
    assert_int_equal(counters().refused_requests, refused);
}

static void test_rate_charges_each_member(void **state)
{
    (void)state;
    script("rate 5/60s kind=sliding code=-32007 message=\"5/minute limit\" body=json");
    post(BATCH);
    assert_int_equal(last.status, 200);
    assert_string_equal(post(BATCH), REFUSED("null", "-32007", "5/minute limit"));
    assert_int_equal(last.status, 429);
    assert_null(strstr(last.head.data, "Retry-After"));
    expect(CALL, ANSWER);
    expect(CALL, ANSWER);
    post(CALL);
    assert_int_equal(last.status, 429);
    assert_int_equal(counters().refused_members, 4);
    assert_int_equal(counters().answered, 5);
    script("rate 5/60s unit=requests");
    for (int i = 0; i < 5; i++)
        expect(BATCH, "[" M("1") "," M("2") "," M("3") "]");
    script("rate 7/60s plus=1");
    expect(BATCH, "[" M("1") "," M("2") "," M("3") "]");
    post(BATCH);
    assert_int_equal(last.status, 429);
}

static void test_rate_refusal_shapes(void **state)
{
    (void)state;
    script("rate 1/60s body=text message=\"slow down\" retry-after=date");
    post(CALL);
    assert_string_equal(post(CALL), "slow down");
    assert_non_null(strstr(last.head.data, "Content-Type: text/plain"));
    const char *date = strstr(last.head.data, "Retry-After: ");
    assert_non_null(date);
    char text[40] = "";
    sscanf(date + 13, "%39[^\r]", text);
    time_t then = curl_getdate(text, NULL), now = time(NULL);
    assert_true(then >= now + 57 && then <= now + 61);
    script("rate 1/60s body=html status=503 retry-after=7");
    post(CALL);
    assert_non_null(strstr(post(CALL), "<html>"));
    assert_int_equal(last.status, 503);
    assert_non_null(strstr(last.head.data, "Retry-After: 7\r\n"));
    script("rate 1/60s refuse=http200 code=429 data='{\"rate\":1}'");
    post(CALL);
    assert_string_equal(post(CALL),
                        "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":429,\"message\":"
                        "\"rate limit exceeded\",\"data\":{\"rate\":1}}}");
    assert_int_equal(last.status, 200);
}

static void test_rate_refuses_members_one_by_one(void **state)
{
    (void)state;
    script("rate 2/60s refuse=members code=429 message=m");
    expect(BATCH, "[" M("1") "," M("2") "," REFUSED("3", "429", "m") "]");
    expect(CALL, REFUSED("1", "429", "m"));
    assert_int_equal(counters().answered, 2);
    assert_int_equal(counters().refused_members, 2);
    assert_int_equal(counters().refused_requests, 0);
}

static void test_rate_of_one_method_leaves_others_alone(void **state)
{
    (void)state;
    script("rate 1/60s method=sim_e* refuse=members code=1 message=m");
    for (int i = 0; i < 5; i++)
        expect(CALL, ANSWER);
    expect("[{\"id\":1,\"method\":\"sim_echo\"},{\"id\":2,\"method\":\"sim_null\"},"
           "{\"id\":3,\"method\":\"sim_echo\"}]",
           "[{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[]}," M("2") "," REFUSED("3", "1", "m") "]");
}

static void test_concurrency_refuses_what_is_above(void **state)
{
    (void)state;
    struct rf_buf out = {0};
    script("concurrency 1 code=-32000 message=busy\nlatency fixed 300ms method=sim_echo");
    int fd = raw_connect();
    raw_send(fd, "POST / HTTP/1.1\r\nContent-Length: 28\r\n\r\n{\"id\":1,\"method\":\"sim_echo\"}");
    while (counters().active == 0)
        ;
    assert_string_equal(post(CALL), REFUSED("1", "-32000", "busy"));
    assert_int_equal(last.status, 429);
    assert_int_equal(raw_read(fd, &out, "result"), 0);
    close(fd);
    while (counters().active > 0)
        ;
    expect(CALL, ANSWER);
    rf_buf_fini(&out);
}

static void test_batch_cap_shapes_of_providers(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        long status;
        const char *want;
    } cases[] = {
        {"batch-max 2", 200, "[" REFUSED("1", "-32600", "batch too large") "]"},
        {"batch-max 2 shape=erigon", 200,
         REFUSED("null", "-32600",
                 "batch limit 2 exceeded (can increase by --rpc.batch.limit). "
                 "Requested batch of size: 3")},
        {"batch-max 2 shape=base", 200, REFUSED("null", "-32014", "maximum 2 calls in 1 batch")},
        {"batch-max 2 shape=proxyd", 413,
         REFUSED("null", "-32014", "too many RPC calls in batch request")},
        {"batch-max 2 shape=drpc", 500,
         REFUSED("null", "31",
                 "Batch of more than 2 requests are not allowed on free tier, to use "
                 "bigger batch consider upgrading to paid tier")},
        {"batch-max 2 shape=ronin", 400, "too many requests"},
        {"batch-max 2 shape=infura", 200, REFUSED("null", "-32600", "batch item count exceeded")},
        {"batch-max 2 shape=alchemy", 200,
         REFUSED("null", "-32600", "Batch size too large: 3 requests, the maximum is 2")},
        {"batch-max 0 shape=object", 200, REFUSED("null", "-32600", "Invalid request")},
        {"batch-max 0 shape=http400", 400, "batch requests are not supported"},
        {"batch-max 0 shape=empty", 200, ""},
        {"batch-max 0 shape=null-array", 200, "[" REFUSED("null", "-32600", "Invalid request") "]"},
        {"batch-max 3", 200, "[" M("1") "," M("2") "," M("3") "]"},
        {"batch-max 1 method=eth_getLogs shape=ankr", 200, "[" M("1") "," M("2") "," M("3") "]"},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        script(cases[i].line);
        assert_string_equal(post(BATCH), cases[i].want);
        assert_int_equal(last.status, cases[i].status);
        expect(CALL, ANSWER); /* singles are never refused by it */
    }
}

static void test_batch_response_cap_spares_the_first_members(void **state)
{
    (void)state;
    script("response-max 60");
    expect(BATCH, "[" M("1") "," M("2") "," REFUSED("3", "-32003", "response too large") "]");
}

static void test_http_error_and_html(void **state)
{
    (void)state;
    script("fault http-error status=502 body=html message=\"bad gateway\"");
    assert_non_null(strstr(post(CALL), "<h1>bad gateway</h1>"));
    assert_int_equal(last.status, 502);
    script("fault http-error status=503 retry-after=3 code=-32011 message=\"no backend\"");
    assert_string_equal(post(CALL), REFUSED("1", "-32011", "no backend"));
    assert_non_null(strstr(last.head.data, "Retry-After: 3\r\n"));
    script("fault html");
    assert_non_null(strstr(post(CALL), "<html>"));
    assert_int_equal(last.status, 200);
    assert_int_equal(counters().answered, 0);
}

static void test_rpc_error_and_null_strike_one_method(void **state)
{
    (void)state;
    script("fault rpc-error code=-32000 message=\"header not found\" method=eth_*");
    expect("[{\"id\":1,\"method\":\"eth_chainId\"},{\"id\":2,\"method\":\"sim_null\"}]",
           "[" REFUSED("1", "-32000", "header not found") "," M("2") "]");
    script("fault null method=eth_chainId");
    expect("{\"id\":1,\"method\":\"eth_chainId\"}", ANSWER);
}

static void test_ids_are_spoilt(void **state)
{
    (void)state;
    script("fault ids value=string");
    expect(CALL, M("\"1\""));
    script("fault ids value=null");
    expect(CALL, M("null"));
    script("fault ids value=float");
    expect(CALL, M("1.0"));
    script("fault ids value=none");
    expect(CALL, "{\"jsonrpc\":\"2.0\",\"result\":null}");
    script("fault ids value=wrong");
    assert_null(strstr(post(CALL), "\"id\":1,"));
    assert_int_equal(struck("ids"), 5);
}

static void test_batches_are_spoilt(void **state)
{
    (void)state;
    script("fault shuffle");
    const char *got = post(BATCH);
    assert_string_not_equal(got, "[" M("1") "," M("2") "," M("3") "]");
    assert_int_equal(occurrences(got, M("1")) + occurrences(got, M("2")) + occurrences(got, M("3")),
                     3);
    assert_int_equal(strlen(got), strlen("[" M("1") "," M("2") "," M("3") "]"));
    script("fault missing n=2");
    assert_int_equal(occurrences(post(BATCH), "result"), 1);
    script("fault missing n=9");
    expect(BATCH, "[]");
    script("fault duplicate n=2");
    assert_int_equal(occurrences(post(BATCH), "result"), 5);
    script("fault extra n=2");
    assert_int_equal(occurrences(post(BATCH), "0xdead"), 2);
    script("fault object");
    expect(BATCH, M("1"));
    expect(CALL, ANSWER);
    script("fault empty-array");
    expect(BATCH, "[]");
    script("fault array");
    expect(CALL, "[" ANSWER "]");
}

static void test_text_is_spoilt(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool valid;
    } cases[] = {{"fault invalid-json", false},
                 {"fault invalid-utf8", false},
                 {"fault bom", false},
                 {"fault pretty", true},
                 {"fault empty", false}};
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        script(cases[i].line);
        const char *got =
            post("[" CALL ",{\"id\":2,\"method\":\"sim_echo\",\"params\":[[],{\"a\":{}}]}]");
        assert_int_equal(rf_json_check(got, strlen(got), RF_SCAN_DEPTH, NULL) == RPCFAN_OK,
                         cases[i].valid);
        assert_int_equal(last.status, 200);
    }
    script("fault bom");
    expect(CALL, "\xef\xbb\xbf" ANSWER);
}

static void test_compression_is_undone_by_the_client(void **state)
{
    (void)state;
    static const char *const lines[] = {"fault gzip", "fault deflate"};
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
    for (size_t i = 0; i < RF_COUNT(lines); i++) {
        script(lines[i]);
        expect(CALL, ANSWER);
        assert_non_null(strstr(last.head.data, i == 0 ? "Content-Encoding: gzip\r\n"
                                                      : "Content-Encoding: deflate\r\n"));
    }
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, NULL);
    expect(CALL, ANSWER); /* not asked for, not done */
    script("fault gzip force=yes");
    assert_string_not_equal(post(CALL), ANSWER);
}

static void test_framing_and_header_faults(void **state)
{
    (void)state;
    script("fault chunked bytes=1");
    expect(CALL, ANSWER);
    assert_non_null(strstr(last.head.data, "Transfer-Encoding: chunked"));
    expect(CALL, ANSWER);
    assert_int_equal(last.connects, 0);
    script("fault until-close");
    expect(CALL, ANSWER);
    assert_null(strstr(last.head.data, "Content-Length"));
    script("fault early n=2 status=103");
    expect(CALL, ANSWER);
    assert_int_equal(occurrences(last.head.data, "HTTP/1.1 103 Early Hints"), 2);
    script("fault huge-headers bytes=50000");
    expect(CALL, ANSWER);
    assert_true(last.head.len > 50000);
    script("fault huge-headers bytes=400000");
    post(CALL);
    assert_int_not_equal(last.rc, CURLE_OK); /* libcurl's own cap */
}

static void test_wire_faults(void **state)
{
    (void)state;
    script("fault truncate");
    post(CALL);
    assert_int_equal(last.rc, CURLE_PARTIAL_FILE);
    script("fault truncate\nfault until-close");
    post(CALL);
    assert_int_equal(last.rc, CURLE_OK); /* nobody can tell from HTTP alone */
    assert_true(last.body.len < sizeof ANSWER && last.body.len > 1);
    curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
    script("fault close");
    post(CALL);
    assert_int_equal(last.rc, CURLE_GOT_NOTHING);
    script("fault reset");
    post(CALL);
    assert_int_equal(last.rc, CURLE_RECV_ERROR);
    script("fault reset after=80");
    post(CALL);
    assert_int_equal(last.rc, CURLE_RECV_ERROR);
    assert_true(last.head.len > 1);
    assert_int_equal(counters().answered, 5); /* executed, and then lost */
    assert_int_equal(struck("reset"), 2);
}

static void test_accept_reset(void **state)
{
    (void)state;
    script("fault accept-reset times=1");
    post(CALL);
    assert_int_not_equal(last.rc, CURLE_OK);
    expect(CALL, ANSWER);
    assert_int_equal(struck("accept-reset"), 1);
    assert_int_equal(counters().requests, 1);
}

static void test_hang_ends_only_with_the_client(void **state)
{
    (void)state;
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 100L);
    script("fault hang");
    post(CALL);
    assert_int_equal(last.rc, CURLE_OPERATION_TIMEDOUT);
    assert_int_equal(last.head.len, 1);
    script("fault hang after=30");
    post(CALL);
    assert_int_equal(last.rc, CURLE_OPERATION_TIMEDOUT);
    while (counters().open > 0)
        ; /* both are noticed to be gone */
    assert_int_equal(counters().active, 0);
}

static void test_drip_arrives_whole_and_late(void **state)
{
    (void)state;
    script("fault drip bytes=20 per=5ms");
    expect(CALL, ANSWER);
    assert_true(last.seconds >= 0.025);
    expect(CALL, ANSWER);
    assert_int_equal(last.connects, 0);
}

static void test_endless_body_stops_with_the_client_or_its_cap(void **state)
{
    (void)state;
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 300L);
    script("fault endless");
    post(CALL);
    assert_int_equal(last.rc, CURLE_OPERATION_TIMEDOUT);
    assert_true(last.body.len > 100000);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 0L);
    script("fault endless bytes=1000000");
    post(CALL);
    assert_int_equal(last.rc, CURLE_OK);
    assert_true(last.body.len > 1000000 && last.body.len < 1000100);
    assert_memory_equal(last.body.data, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"eee", 36);
}

static void test_refuse_closes_the_listener_and_opens_it_again(void **state)
{
    (void)state;
    uint16_t port = rf_node_port(node);
    expect(CALL, ANSWER);
    script("fault refuse");
    post(CALL);
    assert_int_equal(last.rc, CURLE_COULDNT_CONNECT);
    assert_int_equal(counters().open, 0);
    script("fault refuse to=50ms");
    while (post(CALL), last.rc == CURLE_COULDNT_CONNECT)
        ;
    assert_int_equal(last.rc, CURLE_OK);
    assert_int_equal(rf_node_port(node), port);
    script("");
    expect(CALL, ANSWER);
}

static void test_when_every_range_times_and_only(void **state)
{
    (void)state;
    static const struct {
        const char *line, *want; /* of ten requests, which are struck */
    } cases[] = {
        {"fault html every=3", "..x..x..x."},      {"fault html requests=2..4", ".xxx......"},
        {"fault html requests=9..", "........xx"}, {"fault html requests=5", "....x....."},
        {"fault html times=2", "xx........"},      {"fault html every=2 times=2", ".x.x......"},
        {"fault html p=0", ".........."},          {"fault html p=1", "xxxxxxxxxx"},
        {"fault html only=batch", ".........."},   {"fault html method=eth_*", ".........."},
        {"fault html from=1h", ".........."},      {"fault html to=1h", "xxxxxxxxxx"},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        char got[11] = "";
        script(cases[i].line);
        for (int k = 0; k < 10; k++)
            got[k] = strstr(post(CALL), "html") != NULL ? 'x' : '.';
        if (strcmp(got, cases[i].want) != 0)
            fail_msg("%s -> %s, want %s", cases[i].line, got, cases[i].want);
    }
}

static void test_when_random_is_the_same_with_the_same_seed(void **state)
{
    (void)state;
    char run[3][201];
    static const char *const lines[] = {"seed 9\nfault html p=0.3", "seed 9\nfault html p=0.3",
                                        "seed 10\nfault html p=0.3"};
    for (int i = 0; i < 3; i++) {
        unsigned n = 0;
        script(lines[i]);
        for (int k = 0; k < 200; k++) {
            run[i][k] = strstr(post(CALL), "html") != NULL ? 'x' : '.';
            n += run[i][k] == 'x';
        }
        run[i][200] = '\0';
        assert_in_range(n, 35, 85);
    }
    assert_string_equal(run[0], run[1]);
    assert_string_not_equal(run[0], run[2]);
}

static void test_layers_add_up(void **state)
{
    (void)state;
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "gzip");
    script("fault gzip\nfault chunked bytes=5\nfault early\nfault pretty\nfault ids value=string\n"
           "fault drip bytes=100 per=1ms");
    const char *got = post(CALL);
    assert_int_equal(last.rc, CURLE_OK);
    assert_non_null(strstr(got, "\"id\" :\t\"1\""));
    for (unsigned i = 0; i < RF_FAULT_KINDS; i++) {
        bool on = i == RF_FAULT_GZIP || i == RF_FAULT_CHUNKED || i == RF_FAULT_EARLY ||
                  i == RF_FAULT_PRETTY || i == RF_FAULT_IDS || i == RF_FAULT_DRIP;
        assert_int_equal(counters().fault[i], on);
    }
}

#define NODE_TEST(name) cmocka_unit_test_setup_teardown(name, setup_node, teardown_node)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(test_rate_refuses_with_429_and_recovers),
        NODE_TEST(test_rate_charges_each_member),
        NODE_TEST(test_rate_refusal_shapes),
        NODE_TEST(test_rate_refuses_members_one_by_one),
        NODE_TEST(test_rate_of_one_method_leaves_others_alone),
        NODE_TEST(test_concurrency_refuses_what_is_above),
        NODE_TEST(test_batch_cap_shapes_of_providers),
        NODE_TEST(test_batch_response_cap_spares_the_first_members),
        NODE_TEST(test_http_error_and_html),
        NODE_TEST(test_rpc_error_and_null_strike_one_method),
        NODE_TEST(test_ids_are_spoilt),
        NODE_TEST(test_batches_are_spoilt),
        NODE_TEST(test_text_is_spoilt),
        NODE_TEST(test_compression_is_undone_by_the_client),
        NODE_TEST(test_framing_and_header_faults),
        NODE_TEST(test_wire_faults),
        NODE_TEST(test_accept_reset),
        NODE_TEST(test_hang_ends_only_with_the_client),
        NODE_TEST(test_drip_arrives_whole_and_late),
        NODE_TEST(test_endless_body_stops_with_the_client_or_its_cap),
        NODE_TEST(test_refuse_closes_the_listener_and_opens_it_again),
        NODE_TEST(test_when_every_range_times_and_only),
        NODE_TEST(test_when_random_is_the_same_with_the_same_seed),
        NODE_TEST(test_layers_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
