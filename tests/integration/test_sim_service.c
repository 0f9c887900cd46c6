/* test_sim_service.c - the fake node's limits that change, its paths, its workers and its way to
 * the limits, each seen with a client's eyes. */
#include "sim_client.h"

#include "base/base.h"

#define CALL "{\"id\":1,\"method\":\"sim_null\"}"
#define ECHO_CALL "{\"id\":1,\"method\":\"sim_echo\"}"
#define ANSWER "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}"

/* post() to a path. @return the status. */
static long post_to(const char *path)
{
    char url[200];
    snprintf(url, sizeof url, "%s%s", rf_node_url(node), path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, CALL);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
    rf_buf_reset(&last.body, 0);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &last.body);
    assert_int_equal(curl_easy_perform(curl), CURLE_OK);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &last.status);
    return last.status;
}

static void test_rate_changes_with_the_number_of_requests(void **state)
{
    (void)state;
    script("rate 5/60s requests=1..3\nrate 6/60s requests=4.. message=later\n"
           "rate 1/60s requests=2.. method=sim_echo");
    for (int i = 0; i < 5; i++)
        expect(CALL, ANSWER); /* past the first limit's end nothing but the second holds */
    expect(ECHO_CALL, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[]}");
    assert_non_null(strstr(post(CALL), "later")); /* which counted from the first request on */
    assert_int_equal(last.status, 429);
    script("rate 1/60s requests=2.. method=sim_echo");
    expect(CALL, ANSWER); /* is not taken in, and not counted */
    expect(ECHO_CALL, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[]}");
    post(ECHO_CALL);
    assert_int_equal(last.status, 429);
}

static void test_rate_changes_with_time(void **state)
{
    (void)state;
    script("rate 1/60s to=300ms message=first\nrate 3/60s from=300ms message=second");
    expect(CALL, ANSWER);
    uint64_t refused = 0;
    while (post(CALL), last.status == 429) {
        assert_non_null(strstr(last.body.data, "first"));
        refused++;
    }
    assert_true(refused > 0);
    expect(CALL, ANSWER);
    assert_non_null(strstr(post(CALL), "second"));
}

static void test_rate_of_an_account_is_shared_by_paths(void **state)
{
    (void)state;
    script(
        "rate 4/60s message=account\nrate 3/60s path=/a message=a\nrate 3/60s path=/b* message=b");
    for (int i = 0; i < 3; i++)
        assert_int_equal(post_to("/a?key=1"), 200);
    assert_int_equal(post_to("/a"), 429);
    assert_non_null(strstr(last.body.data, "\"a\""));
    assert_int_equal(post_to("/b/x"), 200);
    assert_int_equal(post_to("/b"), 429);
    assert_non_null(strstr(last.body.data, "account"));
    script("fault http-error status=502 path=/bad");
    assert_int_equal(post_to("/bad"), 502);
    assert_int_equal(post_to("/good"), 200);
    assert_int_equal(post_to("/"), 200);
}

static void test_rate_headers_in_each_form(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"yes", "x-ratelimit-limit: 5\r\nx-ratelimit-remaining: 4\r\nx-ratelimit-reset: 60\r\n"},
        {"fields", "RateLimit-Limit: 5\r\nRateLimit-Remaining: 4\r\nRateLimit-Reset: 60\r\n"},
        {"list", "RateLimit-Policy: \"default\";q=5;w=60\r\nRateLimit: \"default\";r=4;t=60\r\n"},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        char line[64];
        snprintf(line, sizeof line, "rate 5/60s headers=%s", cases[i][0]);
        script(line);
        expect(CALL, ANSWER);
        assert_non_null(strstr(last.head.data, cases[i][1]));
    }
    script("rate 5/60s headers=epoch");
    expect(CALL, ANSWER);
    const char *reset = strstr(last.head.data, "x-ratelimit-reset: ");
    assert_non_null(reset);
    long long at = atoll(reset + 19) - (long long)time(NULL);
    assert_true(at >= 58 && at <= 61);
    script("rate 5/60s");
    expect(CALL, ANSWER);
    assert_null(strstr(last.head.data, "atelimit"));
}

/* Send a request of its own connection. */
static int begin(const char *body)
{
    char text[200];
    int fd = raw_connect();
    snprintf(text, sizeof text, "POST / HTTP/1.1\r\nContent-Length: %zu\r\n\r\n%s", strlen(body),
             body);
    raw_send(fd, text);
    return fd;
}

/* Two workers and five requests of 100 ms: three rounds; another method does not wait. */
static void test_workers_serve_so_many_at_once(void **state)
{
    (void)state;
    int fd[5];
    struct rf_buf out = {0};
    script("workers 2 method=sim_echo\nlatency fixed 100ms method=sim_echo");
    uint64_t begun = uv_hrtime();
    for (int i = 0; i < 5; i++)
        fd[i] = begin(ECHO_CALL);
    while (counters().members < 5)
        ;
    expect(CALL, ANSWER);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(raw_read(fd[i], &out, "result"), 0);
        rf_buf_reset(&out, 0);
        close(fd[i]);
    }
    assert_true(uv_hrtime() - begun >= 299 * RF_MS);
    assert_true(counters().active_max >= 5);
    rf_buf_fini(&out);
}

static void test_latency_of_a_slow_fraction(void **state)
{
    (void)state;
    unsigned slow = 0;
    script("latency fixed 60ms p=0.1");
    for (int i = 0; i < 200; i++) {
        expect(CALL, ANSWER);
        slow += last.seconds >= 0.06;
    }
    assert_true(slow >= 8 && slow <= 45); /* within 4 sigma of 20, and what the machine adds */
}

/* The first request is longer under way than the second, which takes the only unit. */
static void test_transit_lets_requests_overtake(void **state)
{
    (void)state;
    struct rf_buf out = {0};
    script("transit fixed 300ms\nrate 1/60s");
    int fd = begin(CALL);
    while (counters().bytes_in < 60)
        ;
    assert_int_equal(counters().requests, 0);
    script("rate 1/60s");
    expect(CALL, ANSWER);
    assert_int_equal(raw_read(fd, &out, "exceeded"), 0);
    assert_non_null(strstr(out.data, "429"));
    close(fd);
    rf_buf_fini(&out);
}

static void test_transit_survives_more_input_and_an_early_end(void **state)
{
    (void)state;
    struct rf_buf out = {0};
    script("transit fixed 50ms");
    int fd = raw_connect();
    for (int i = 0; i < 20; i++)
        raw_send(fd, "POST / HTTP/1.1\r\nContent-Length: 28\r\n\r\n" CALL);
    shutdown(fd, SHUT_WR);
    assert_int_equal(raw_read(fd, &out, NULL), 1);
    assert_int_equal(occurrences(out.data, "result"), 1); /* half-closed: the one under way */
    close(fd);
    rf_buf_reset(&out, 0);
    fd = raw_connect();
    for (int i = 0; i < 5; i++)
        raw_send(fd, "POST / HTTP/1.1\r\nContent-Length: 28\r\n\r\n" CALL);
    while (occurrences(out.data == NULL ? "" : out.data, "result") < 5)
        assert_int_equal(raw_read(fd, &out, "result"), 0);
    close(fd);
    fd = begin(CALL);
    close(fd); /* gone before it arrives */
    while (counters().open > 0)
        ;
    rf_buf_fini(&out);
}

static void test_seconds_add_up(void **state)
{
    (void)state;
    struct rf_node_second s[RF_NODE_SECONDS];
    script("rate 3/60s refuse=members");
    post("[" CALL "," CALL "]");
    post("[" CALL "," CALL "]");
    script("rate 1/60s");
    post(CALL);
    post(CALL);
    uint64_t requests = 0, whole = 0, admitted = 0, refused = 0;
    unsigned n = rf_node_seconds(node, s, RF_NODE_SECONDS);
    for (unsigned i = 0; i < n; i++) {
        requests += s[i].requests;
        whole += s[i].refused_requests;
        admitted += s[i].admitted;
        refused += s[i].refused;
    }
    assert_int_equal(requests, 4);
    assert_int_equal(whole, 1);
    assert_int_equal(admitted, 4);
    assert_int_equal(refused, 2);
    assert_int_equal(rf_node_seconds(node, s, 0), 0);
}

static void test_script_errors(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"workers", "a number of workers is missing"},
        {"workers 0", "want 1 to"},
        {"workers 5000", "want 1 to"},
        {"latency fixed 1ms p=2", "probability"},
        {"transit fixed 1ms method=x", "not understood"},
        {"transit uniform 2ms 1ms", "shorter"},
        {"rate 5/s headers=maybe", "want one of no, yes"},
        {"rate 5/s requests=0..1", "A..B"},
        {"fault refuse path=/a", "only from= and to="},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rpcfan_error err = {0};
        assert_int_equal(rf_node_set_script(node, cases[i][0], &err), RPCFAN_ECONFIG);
        if (strstr(err.text, cases[i][1]) == NULL)
            fail_msg("%s -> %s", cases[i][0], err.text);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup_node, teardown_node)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_rate_changes_with_the_number_of_requests),
        T(test_rate_changes_with_time),
        T(test_rate_of_an_account_is_shared_by_paths),
        T(test_rate_headers_in_each_form),
        T(test_workers_serve_so_many_at_once),
        T(test_latency_of_a_slow_fraction),
        T(test_transit_lets_requests_overtake),
        T(test_transit_survives_more_input_and_an_early_end),
        T(test_seconds_add_up),
        T(test_script_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
