/* test_feed_content.c - account objects and the filters that are held against them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "feed/content.h"
#include "feed/filter.h"

#define OWNER "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
#define SYSTEM "11111111111111111111111111111111"

static bool read_text(const char *text, struct rf_content *c)
{
    return rf_content_read((struct rpcfan_slice){text, strlen(text)}, c);
}

static void test_content_hash_takes_no_heed_of_order_and_space(void **state)
{
    (void)state;
    struct rf_content a, b;
    assert_true(read_text("{\"lamports\":18446744073709551615,\"data\":[\"AAEC\",\"base64\"],"
                          "\"owner\":\"" OWNER "\",\"executable\":true,"
                          "\"rentEpoch\":18446744073709551615,\"space\":3}",
                          &a));
    assert_true(a.lamports == UINT64_MAX && a.rent_epoch == UINT64_MAX);
    assert_true(a.executable && a.has_space && a.space == 3 && a.hash != 0);
    assert_true(read_text("{ \"space\" : 3 , \"owner\":\"" OWNER "\",\n\"rentEpoch\":"
                          "18446744073709551615, \"executable\":true,\"other\":[{}],"
                          "\"data\" : [ \"AAEC\" , \"base64\" ],\"lamports\":18446744073709551615}",
                          &b));
    assert_true(a.hash == b.hash);
    /* Some nodes leave it out; some proxies know doubles alone. */
    assert_true(read_text("{\"lamports\":18446744073709551615,\"data\":[\"AAEC\",\"base64\"],"
                          "\"owner\":\"" OWNER "\",\"executable\":true,"
                          "\"rentEpoch\":18446744073709552000}",
                          &b));
    assert_true(a.hash == b.hash);
}

static void test_content_hash_sees_each_field(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{\"lamports\":1,\"data\":[\"AAEC\",\"base64\"],\"owner\":\"" OWNER "\","
        "\"executable\":false,\"rentEpoch\":0}",
        "{\"lamports\":2,\"data\":[\"AAEC\",\"base64\"],\"owner\":\"" OWNER "\","
        "\"executable\":false,\"rentEpoch\":0}",
        "{\"lamports\":1,\"data\":[\"AAED\",\"base64\"],\"owner\":\"" OWNER "\","
        "\"executable\":false,\"rentEpoch\":0}",
        "{\"lamports\":1,\"data\":[\"\",\"base64\"],\"owner\":\"" OWNER "\","
        "\"executable\":false,\"rentEpoch\":0}",
        "{\"lamports\":1,\"data\":[\"AAEC\",\"base64\"],\"owner\":\"" SYSTEM "\","
        "\"executable\":false,\"rentEpoch\":0}",
        "{\"lamports\":1,\"data\":[\"AAEC\",\"base64\"],\"owner\":\"" OWNER "\","
        "\"executable\":true,\"rentEpoch\":0}",
        "{\"lamports\":1,\"data\":[\"AAEC\",\"base64\"],\"owner\":\"" OWNER "\","
        "\"executable\":false,\"rentEpoch\":1}",
        "{\"lamports\":0,\"data\":[\"AAEC\",\"base64\"],\"owner\":\"" OWNER "\","
        "\"executable\":false,\"rentEpoch\":1}",
    };
    uint64_t seen[RF_COUNT(rows)];
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct rf_content c;
        assert_true(read_text(rows[i], &c));
        seen[i] = c.hash;
        for (size_t k = 0; k < i; k++)
            assert_true(seen[k] != seen[i]);
    }
    /* Kept in databases: it must not change. */
    assert_true(seen[0] == UINT64_C(0x));
}

static void test_content_refuses_what_is_no_account(void **state)
{
    (void)state;
#define REST "\"owner\":\"" OWNER "\",\"executable\":false,\"rentEpoch\":0"
    static const char *const rows[] = {
        "null",
        "[]",
        "{}",
        "{\"lamports\":1," REST "}",
        "{\"data\":[\"\",\"base64\"]," REST "}",
        "{\"lamports\":-1,\"data\":[\"\",\"base64\"]," REST "}",
        "{\"lamports\":1.0,\"data\":[\"\",\"base64\"]," REST "}",
        "{\"lamports\":\"1\",\"data\":[\"\",\"base64\"]," REST "}",
        "{\"lamports\":18446744073709551616,\"data\":[\"\",\"base64\"]," REST "}",
        "{\"lamports\":1,\"lamports\":1,\"data\":[\"\",\"base64\"]," REST "}",
        "{\"lamports\":1,\"data\":\"error: data too large for bs58 encoding\"," REST "}",
        "{\"lamports\":1,\"data\":\"\"," REST "}",
        "{\"lamports\":1,\"data\":[\"\",\"base58\"]," REST "}",
        "{\"lamports\":1,\"data\":[\"\"]," REST "}",
        "{\"lamports\":1,\"data\":[\"\",\"base64\",1]," REST "}",
        "{\"lamports\":1,\"data\":{\"program\":\"x\"}," REST "}",
        "{\"lamports\":1,\"data\":[\"AAE\",\"base64\"]," REST "}",
        "{\"lamports\":1,\"data\":[\"AAEC\",\"base64\"],\"space\":4," REST "}",
        "{\"lamports\":1,\"data\":[\"AAE=\",\"base64\"],\"space\":3," REST "}",
        "{\"lamports\":1,\"data\":[\"\",\"base64\"],\"owner\":\"1\",\"executable\":false}",
        "{\"lamports\":1,\"data\":[\"\",\"base64\"],\"owner\":7,\"executable\":false}",
        "{\"lamports\":1,\"data\":[\"\",\"base64\"],\"owner\":\"" OWNER "\",\"executable\":0}",
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct rf_content c;
        if (read_text(rows[i], &c))
            fail_msg("%s", rows[i]);
    }
}

static bool passes(const char *filters, const char *data, const char *encoding)
{
    struct rf_filters fs;
    struct rf_content c;
    struct rpcfan_error err;
    char text[512];
    snprintf(text, sizeof text, "{\"lamports\":1,\"data\":[\"%s\",\"%s\"]," REST "}", data,
             encoding);
    assert_int_equal(rf_filters_read((struct rpcfan_slice){filters, strlen(filters)}, &fs, &err),
                     RPCFAN_OK);
    assert_true(read_text(text, &c));
    return rf_filters_match(&fs, &c);
}

static void test_filters_match_as_nodes_do(void **state)
{
    (void)state;
    assert_true(passes("[]", "AAECAwQ=", "base64"));
    assert_true(passes("[{\"dataSize\":5}]", "AAECAwQ=", "base64"));
    assert_false(passes("[{\"dataSize\":4}]", "AAECAwQ=", "base64"));
    assert_true(passes("[{\"memcmp\":{\"offset\":0,\"bytes\":\"1\"}}]", "AAECAwQ=", "base64"));
    assert_true(passes("[{\"memcmp\":{\"offset\":3,\"bytes\":\"AwQ=\",\"encoding\":\"base64\"}}]",
                       "AAECAwQ=", "base64"));
    assert_true(passes("[{\"memcmp\":{\"offset\":1,\"bytes\":[1,2,3]}}]", "AAECAwQ=", "base64"));
    assert_false(passes("[{\"memcmp\":{\"offset\":4,\"bytes\":[4,5]}}]", "AAECAwQ=", "base64"));
    assert_false(passes("[{\"memcmp\":{\"offset\":18446744073709551615,\"bytes\":[0]}}]",
                        "AAECAwQ=", "base64"));
    assert_true(passes("[{\"memcmp\":{\"offset\":18446744073709551615,\"bytes\":[]}}]",
                       "AAECAwQ=", "base64"));
    assert_false(passes("[{\"dataSize\":5},{\"memcmp\":{\"offset\":0,\"bytes\":\"2\"}}]",
                        "AAECAwQ=", "base64"));
    /* What cannot be told passes. */
    assert_true(passes("[\"tokenAccountState\"]", "AAECAwQ=", "base64"));
    assert_true(passes("[{\"memcmp\":{\"offset\":0,\"bytes\":\"2\"}}]", "AAEC", "base64+zstd"));
}

static void test_filters_refuse_what_no_node_takes(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "{}",
        "[",
        "[1]",
        "[{\"dataSize\":\"x\"}]",
        "[{\"memcmp\":{\"bytes\":\"1\"}}]",
        "[{\"memcmp\":{\"offset\":0}}]",
        "[{\"memcmp\":{\"offset\":0,\"bytes\":\"0\"}}]",
        "[{\"memcmp\":{\"offset\":0,\"bytes\":[256]}}]",
        "[{\"memcmp\":{\"offset\":0,\"bytes\":\"1\",\"encoding\":\"hex\"}}]",
        "[{\"dataSize\":1},{\"dataSize\":1},{\"dataSize\":1},{\"dataSize\":1},{\"dataSize\":1}]",
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct rf_filters fs;
        struct rpcfan_error err = {0};
        assert_int_equal(
            rf_filters_read((struct rpcfan_slice){rows[i], strlen(rows[i])}, &fs, &err),
            RPCFAN_EINVAL);
        assert_true(err.text[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content_hash_takes_no_heed_of_order_and_space),
        cmocka_unit_test(test_content_hash_sees_each_field),
        cmocka_unit_test(test_content_refuses_what_is_no_account),
        cmocka_unit_test(test_filters_match_as_nodes_do),
        cmocka_unit_test(test_filters_refuse_what_no_node_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
