/* test_proxy.c - the choice of a proxy from the environment, and its parts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "net/proxy.h"

static const char *const *vars; /* name, value, ..., NULL */

static const char *look(const char *name)
{
    for (const char *const *v = vars; *v != NULL; v += 2) {
        if (strcmp(v[0], name) == 0)
            return v[1];
    }
    return NULL;
}

static const char *pick(bool https, const char *host, const char *const *environment)
{
    vars = environment;
    return rf_proxy_from_env(look, https, host);
}

#define ENV(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_env_names(void **state)
{
    (void)state;
    assert_null(pick(false, "h", (const char *const[]){NULL}));
    assert_string_equal(pick(false, "h", ENV("http_proxy", "a", "all_proxy", "b")), "a");
    assert_string_equal(pick(true, "h", ENV("http_proxy", "a", "ALL_PROXY", "b")), "b");
    assert_string_equal(pick(true, "h", ENV("https_proxy", "a", "HTTPS_PROXY", "b")), "a");
    assert_string_equal(pick(true, "h", ENV("HTTPS_PROXY", "b")), "b");
    assert_string_equal(pick(true, "h", ENV("https_proxy", "", "HTTPS_PROXY", "b")), "b");
}

/* Upper-case HTTP_PROXY can be set by whoever sends a CGI program a "Proxy:" header. */
static void test_env_upper_http_ignored(void **state)
{
    (void)state;
    assert_null(pick(false, "h", ENV("HTTP_PROXY", "a")));
}

static void test_env_bypass(void **state)
{
    (void)state;
    assert_null(pick(false, "a.b", ENV("http_proxy", "p", "no_proxy", "x, .b")));
    assert_null(pick(false, "a.b", ENV("http_proxy", "p", "NO_PROXY", "*")));
    assert_non_null(pick(false, "a.c", ENV("http_proxy", "p", "no_proxy", "b")));
}

static void test_bypass_names(void **state)
{
    (void)state;
    assert_true(rf_proxy_bypassed("example.com", "example.com"));
    assert_true(rf_proxy_bypassed("example.com", "A.EXAMPLE.com"));
    assert_true(rf_proxy_bypassed(".example.com", "example.com"));
    assert_true(rf_proxy_bypassed("example.com.", "a.example.com."));
    assert_true(rf_proxy_bypassed("x y,\tz ,example.com,", "example.com"));
    assert_false(rf_proxy_bypassed("example.com", "badexample.com"));
    assert_false(rf_proxy_bypassed("a.example.com", "example.com"));
    assert_false(rf_proxy_bypassed("", "example.com"));
    assert_false(rf_proxy_bypassed(" , ,", "example.com"));
    assert_false(rf_proxy_bypassed(".", "example.com"));
}

static void test_bypass_addresses(void **state)
{
    (void)state;
    assert_true(rf_proxy_bypassed("10.0.0.0/8", "10.1.2.3"));
    assert_false(rf_proxy_bypassed("10.0.0.0/8", "11.1.2.3"));
    assert_true(rf_proxy_bypassed("192.168.16.0/20", "192.168.31.255"));
    assert_false(rf_proxy_bypassed("192.168.16.0/20", "192.168.32.0"));
    assert_true(rf_proxy_bypassed("127.0.0.1", "127.0.0.1"));
    assert_true(rf_proxy_bypassed("::1", "[::1]"));
    assert_true(rf_proxy_bypassed("[::1]", "::1"));
    assert_true(rf_proxy_bypassed("fd00::/8", "fd12::1"));
    assert_false(rf_proxy_bypassed("0.0.0.0/0", "::1"));
    assert_true(rf_proxy_bypassed("0.0.0.0/0", "1.2.3.4"));
    assert_false(rf_proxy_bypassed("10.0.0.0/33", "10.0.0.0"));
    assert_false(rf_proxy_bypassed("10.0.0.0/x", "10.0.0.0"));
    assert_false(rf_proxy_bypassed("1", "127.0.0.1"));
}

static void check(const char *url, const char *full, const char *host, unsigned port)
{
    struct rf_proxy p;
    assert_int_equal(rf_proxy_parse(url, &p), RPCFAN_OK);
    assert_string_equal(p.url, full);
    if (host == NULL)
        assert_null(p.host);
    else
        assert_string_equal(p.host, host);
    assert_int_equal(p.port, port);
    rf_proxy_fini(&p);
}

static void test_parse_good(void **state)
{
    (void)state;
    check(NULL, "", NULL, 0);
    check("", "", NULL, 0);
    check("proxy.test", "http://proxy.test:1080/", "proxy.test", 1080);
    check("proxy.test:3128", "http://proxy.test:3128/", "proxy.test", 3128);
    check("http://u:p@proxy.test:3128", "http://u:p@proxy.test:3128/", "proxy.test", 3128);
    check("https://proxy.test", "https://proxy.test:443/", "proxy.test", 443);
    check("http://127.0.0.1:1", "http://127.0.0.1:1/", NULL, 1);
    check("http://[::1]:1", "http://[::1]:1/", NULL, 1);
}

/* With socks4 and socks5 libcurl looks the node's name up itself, on the loop. */
static void test_parse_socks_looks_up_remotely(void **state)
{
    (void)state;
    check("socks5://proxy.test", "socks5h://proxy.test:1080/", "proxy.test", 1080);
    check("socks5h://proxy.test:9", "socks5h://proxy.test:9/", "proxy.test", 9);
    check("socks4://proxy.test", "socks4a://proxy.test:1080/", "proxy.test", 1080);
}

static void test_parse_bad(void **state)
{
    (void)state;
    static const char *const bad[] = {"ftp://proxy.test", "http://", "http://a b", "http://h:70000",
                                      "://h"};
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        struct rf_proxy p;
        assert_int_equal(rf_proxy_parse(bad[i], &p), RPCFAN_ECONFIG);
        assert_null(p.url);
    }
}

static void test_numeric_hosts(void **state)
{
    (void)state;
    assert_true(rf_host_is_numeric("127.0.0.1"));
    assert_true(rf_host_is_numeric("[::1]"));
    assert_true(rf_host_is_numeric("fe80::1%25eth0"));
    assert_false(rf_host_is_numeric("localhost"));
    assert_false(rf_host_is_numeric("1.2.3"));
    assert_false(rf_host_is_numeric(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_env_names),
        cmocka_unit_test(test_env_upper_http_ignored),
        cmocka_unit_test(test_env_bypass),
        cmocka_unit_test(test_bypass_names),
        cmocka_unit_test(test_bypass_addresses),
        cmocka_unit_test(test_parse_good),
        cmocka_unit_test(test_parse_socks_looks_up_remotely),
        cmocka_unit_test(test_parse_bad),
        cmocka_unit_test(test_numeric_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
