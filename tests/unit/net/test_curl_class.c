/* test_curl_class.c - the table of libcurl results is total and right. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "net/curl_class.h"

static const struct rf_curl_facts unsent = {0}, sent = {.sends = 1};

static enum rf_transport class_of(int code, struct rf_curl_facts f)
{
    const char *reason = "unset";
    enum rf_transport t = rf_curl_class((CURLcode)code, &f, &reason);
    assert_true((t == RF_T_OK) == (reason == NULL));
    assert_true(reason == NULL || strcmp(reason, "unset") != 0);
    return t;
}

/* Every code, known or not, sent or not, has one class, and words unless it is OK. */
static void test_class_total(void **state)
{
    (void)state;
    for (int code = 0; code < 300; code++) {
        for (unsigned sends = 0; sends < 3; sends++) {
            enum rf_transport t = class_of(code, (struct rf_curl_facts){.sends = sends});
            assert_true((unsigned)t < RF_T_ABORTED);
            assert_true((t == RF_T_OK) == (code == 0));
            if (code != 0 && sends > 0)
                assert_int_not_equal(t, RF_T_CONNECT); /* "surely not sent" would be a lie */
        }
    }
    class_of(-1, sent);
}

static void test_class_each(void **state)
{
    (void)state;
    static const struct {
        int code;
        bool sent;
        enum rf_transport want;
    } rows[] = {
        {5, false, RF_T_CONNECT},  {6, false, RF_T_CONNECT},   {7, false, RF_T_CONNECT},
        {35, false, RF_T_CONNECT}, {89, false, RF_T_CONNECT},  {28, false, RF_T_CONNECT},
        {28, true, RF_T_TIMEOUT},  {16, true, RF_T_RESET},     {18, true, RF_T_RESET},
        {52, true, RF_T_RESET},    {55, true, RF_T_RESET},     {56, true, RF_T_RESET},
        {92, true, RF_T_RESET},    {81, true, RF_T_RESET},     {55, false, RF_T_CONNECT},
        {56, false, RF_T_CONNECT}, {61, true, RF_T_MALFORMED}, {8, true, RF_T_MALFORMED},
        {1, true, RF_T_MALFORMED}, {1, false, RF_T_CONFIG},    {58, false, RF_T_TLS},
        {60, false, RF_T_TLS},     {77, false, RF_T_TLS},      {82, false, RF_T_TLS},
        {83, false, RF_T_TLS},     {90, false, RF_T_TLS},      {91, false, RF_T_TLS},
        {98, false, RF_T_TLS},     {3, false, RF_T_CONFIG},    {4, false, RF_T_CONFIG},
        {97, false, RF_T_CONFIG},  {47, true, RF_T_CONFIG},    {63, true, RF_T_TOO_BIG},
        {27, false, RF_T_CONNECT}, {7, true, RF_T_RESET},      {60, true, RF_T_RESET},
        {28, false, RF_T_CONNECT}, {0, true, RF_T_OK},
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++)
        assert_int_equal(class_of(rows[i].code, rows[i].sent ? sent : unsent), rows[i].want);
}

static void check_reason(CURLcode code, struct rf_curl_facts f, enum rf_transport want,
                         const char *words)
{
    const char *reason;
    assert_int_equal(rf_curl_class(code, &f, &reason), want);
    assert_string_equal(reason, words);
}

static void test_class_reasons(void **state)
{
    (void)state;
    check_reason(CURLE_COULDNT_CONNECT, (struct rf_curl_facts){.os_errno = ECONNREFUSED},
                 RF_T_CONNECT, "connection refused");
    check_reason(CURLE_COULDNT_CONNECT, (struct rf_curl_facts){.os_errno = EHOSTUNREACH},
                 RF_T_CONNECT, "unreachable");
    check_reason(CURLE_COULDNT_CONNECT, (struct rf_curl_facts){.os_errno = EMFILE}, RF_T_CONNECT,
                 "out of file descriptors");
    check_reason(CURLE_COULDNT_CONNECT, unsent, RF_T_CONNECT, "connect failed");
    check_reason(CURLE_OPERATION_TIMEDOUT, unsent, RF_T_CONNECT, "connect timed out");
    check_reason(CURLE_OPERATION_TIMEDOUT, (struct rf_curl_facts){.connected = true, .https = true},
                 RF_T_CONNECT, "TLS handshake timed out");
    check_reason(CURLE_RECV_ERROR, (struct rf_curl_facts){.proxy_code = 407}, RF_T_CONNECT,
                 "the proxy wants a login");
    check_reason(CURLE_WRITE_ERROR, (struct rf_curl_facts){.sends = 1, .capped = true},
                 RF_T_TOO_BIG, "the answer is over the response cap");
    check_reason(CURLE_WRITE_ERROR, (struct rf_curl_facts){.sends = 1, .no_memory = true},
                 RF_T_RESET, "out of memory");
}

/* A SOCKS proxy that cannot reach the node now is not misconfigured; one that refuses the login
 * is. */
static void test_class_proxy_error(void **state)
{
    (void)state;
    check_reason(CURLE_PROXY,
                 (struct rf_curl_facts){.proxy_error = CURLPX_REPLY_CONNECTION_REFUSED},
                 RF_T_CONNECT, "the proxy could not reach the node");
    check_reason(CURLE_PROXY, (struct rf_curl_facts){.proxy_error = CURLPX_USER_REJECTED},
                 RF_T_CONFIG, "the proxy refused the handshake");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_class_total),
        cmocka_unit_test(test_class_each),
        cmocka_unit_test(test_class_reasons),
        cmocka_unit_test(test_class_proxy_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
