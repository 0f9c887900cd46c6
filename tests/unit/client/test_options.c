/* test_options.c - defaults, copies of options that live on their own, and options that cannot be.
 */
#include "client_case.h"

static void test_options_init_sets_what_the_header_says(void **state)
{
    (void)state;
    struct rpcfan_options o;
    struct rpcfan_network_options n;
    struct rpcfan_endpoint_options e;
    memset(&o, 0xff, sizeof o);
    memset(&n, 0xff, sizeof n);
    memset(&e, 0xff, sizeof e);
    rpcfan_options_init(&o);
    rpcfan_network_options_init(&n);
    rpcfan_endpoint_options_init(&e);
    assert_int_equal(o.size, sizeof o);
    assert_int_equal(o.pending_calls, 8192);
    assert_int_equal(o.in_flight, 256);
    assert_null(o.loop);
    assert_int_equal(n.deadline_ms, 60000);
    assert_int_equal(n.attempts, 3);
    assert_int_equal(n.linger_ms, 0);
    assert_int_equal(e.batch, 20);
    assert_int_equal(e.in_flight, 16);
    assert_int_equal(e.timeout_ms, 15000);
    assert_null(e.headers);
    assert_int_equal(e.tls_insecure, 0);
    assert_null(e.ws_url);
    assert_int_equal(e.ws_conns, 8);
    assert_int_equal(e.ws_subs, 100);
    assert_int_equal(e.ws_per_s, 50);
    assert_int_equal(e.ws_bytes, 64 * 1024 * 1024);
    assert_int_equal(e.ws_ping_ms, 15000);
    assert_int_equal(e.ws_lifetime_ms, 0);
    assert_int_equal(e.ws_retry_ms, 30000);
}

static void test_options_copy_owns_its_strings(void **state)
{
    (void)state;
    char text[7][16] = {"name", "url", "socket", "proxy", "secret", "ca", "ws"};
    char header[16] = "A: b";
    const char *headers[] = {header};
    struct rpcfan_endpoint_options o;
    rpcfan_endpoint_options_init(&o);
    o.name = text[0];
    o.url = text[1];
    o.unix_socket = text[2];
    o.proxy = text[3];
    o.jwt_secret = text[4];
    o.cacert = text[5];
    o.ws_url = text[6];
    o.headers = headers;
    o.n_headers = 1;
    struct rpcfan_endpoint_options *copy = rf_endpoint_options_copy(&o);
    assert_non_null(copy);
    memset(text, 'x', sizeof text);
    memset(header, 'x', sizeof header);
    assert_string_equal(copy->name, "name");
    assert_string_equal(copy->url, "url");
    assert_string_equal(copy->unix_socket, "socket");
    assert_string_equal(copy->proxy, "proxy");
    assert_string_equal(copy->jwt_secret, "secret");
    assert_string_equal(copy->cacert, "ca");
    assert_string_equal(copy->ws_url, "ws");
    assert_string_equal(copy->headers[0], "A: b");
    assert_int_equal(copy->timeout_ms, o.timeout_ms);
    rf_endpoint_options_free(copy);
    rf_endpoint_options_free(NULL);
}

static void test_options_copy_survives_each_failed_allocation(void **state)
{
    (void)state;
    static const char *const headers[] = {"A: b", "C: d"};
    struct rpcfan_endpoint_options o, *copy = NULL;
    rpcfan_endpoint_options_init(&o);
    o.name = o.url = o.unix_socket = o.proxy = o.jwt_secret = o.cacert = o.ws_url = "text";
    o.headers = headers;
    o.n_headers = 2;
    uint64_t k = 0;
    while (copy == NULL) {
        rf_alloc_fail_at(++k);
        copy = rf_endpoint_options_copy(&o);
        rf_alloc_fail_at(0);
        assert_true(k < 100);
    }
    assert_int_equal(k, 1 + 1 + 2 + 7 + 1);
    rf_endpoint_options_free(copy);
}

static void test_options_refused_by_name(void **state)
{
    (void)state;
    struct nobody n;
    struct rpcfan_error err;
    nobody_init(&n);
    assert_int_equal(rpcfan_client_new(NULL, &n.client, &err), RPCFAN_EINVAL);
    n.o.size = 3;
    assert_int_equal(rpcfan_client_new(&n.o, &n.client, &err), RPCFAN_EINVAL);
    n.o.size = sizeof n.o;
    n.net.size = 0;
    assert_int_equal(rpcfan_client_new(&n.o, &n.client, &err), RPCFAN_EINVAL);
    assert_non_null(strstr(err.text, "network 1"));
    n.net.size = sizeof n.net;
    n.ep.size = 0;
    assert_int_equal(rpcfan_client_new(&n.o, &n.client, &err), RPCFAN_EINVAL);
    assert_non_null(strstr(err.text, "endpoint 1"));
    n.ep.size = sizeof n.ep;
    static const uint32_t caps[][2] = {
        {0, 1}, {1, 0}, {UINT32_MAX, 1}, {UINT32_MAX / 2 + 1, 1}, {1, UINT32_MAX}};
    for (size_t i = 0; i < RF_COUNT(caps); i++) {
        n.o.pending_calls = caps[i][0];
        n.o.in_flight = caps[i][1];
        assert_int_equal(rpcfan_client_new(&n.o, &n.client, &err), RPCFAN_ECONFIG);
        assert_non_null(strstr(err.text, "pending_calls"));
    }
    assert_null(n.client);
    nobody_fini(&n);
}

/* Every allocation of making a client fails in turn: the loop is left clean each time. */
static void test_options_new_survives_each_failed_allocation(void **state)
{
    (void)state;
    static const char *const headers[] = {"A: b"};
    struct nobody n;
    nobody_init(&n);
    n.ep.headers = headers;
    n.ep.n_headers = 1;
    n.ep.jwt_secret = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    enum rpcfan_err e = RPCFAN_ENOMEM;
    uint64_t k = 0;
    while (e != RPCFAN_OK) {
        struct rpcfan_error err;
        rf_alloc_fail_at(++k);
        e = rpcfan_client_new(&n.o, &n.client, &err);
        rf_alloc_fail_at(0);
        if (e != RPCFAN_OK && e != RPCFAN_ENOMEM)
            fail_msg("allocation %llu: %s: %s", (unsigned long long)k, rpcfan_err_name(e),
                     err.text);
        assert_true(k < 1000);
    }
    print_message("%llu allocations failed one by one\n", (unsigned long long)(k - 1));
    assert_true(k > 10);
    nobody_fini(&n);
}

/* Ids stay below 2^53, however many clients a process makes. */
static void test_options_ids_stay_exact_in_doubles(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 8200; i++) {
        struct nobody n;
        nobody_init(&n);
        n.o.pending_calls = 1;
        nobody_start(&n);
        if (n.client->core->next_id + (UINT64_C(1) << 40) > (UINT64_C(1) << 53) + 1)
            fail_msg("client %u begins at %llu", i, (unsigned long long)n.client->core->next_id);
        nobody_fini(&n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_init_sets_what_the_header_says),
        cmocka_unit_test(test_options_copy_owns_its_strings),
        cmocka_unit_test(test_options_copy_survives_each_failed_allocation),
        cmocka_unit_test(test_options_refused_by_name),
        cmocka_unit_test(test_options_new_survives_each_failed_allocation),
        cmocka_unit_test(test_options_ids_stay_exact_in_doubles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
