/* test_account.c - accounts decoded: every encoding, any order of the members, and nothing else. */
#include "rpcfan/feed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <zstd.h>

#include "base/base58.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"

#define SYSTEM "11111111111111111111111111111111"
#define MAX 100000

static struct rpcfan_buffer buf;

static enum rpcfan_err read_text(const char *json, size_t max, struct rpcfan_account *a)
{
    return rpcfan_account_read((struct rpcfan_slice){json, strlen(json)}, max, &buf, a);
}

static char *base64_of(const void *data, size_t n)
{
    unsigned char *text = malloc(n / 3 * 4 + 8);
    EVP_EncodeBlock(text, data, (int)n);
    return (char *)text;
}

/* An account with these data and this encoding. Owned. */
static char *account_of(const char *data, const char *encoding)
{
    size_t n = strlen(data) + 400;
    char *json = malloc(n);
    snprintf(json, n,
             "{\"lamports\":2039280,\"data\":[\"%s\",\"%s\"],\"owner\":\"" SYSTEM "\","
             "\"executable\":false,\"rentEpoch\":18446744073709551615,\"space\":165}",
             data, encoding);
    return json;
}

static void expect_data(const char *text, const char *encoding, const void *data, size_t n)
{
    struct rpcfan_account a;
    char *json = account_of(text, encoding);
    assert_int_equal(read_text(json, MAX, &a), RPCFAN_OK);
    assert_int_equal(a.len, n);
    assert_memory_equal(a.data, data, n);
    free(json);
}

static void expect_code(const char *text, const char *encoding, size_t max, enum rpcfan_err code)
{
    struct rpcfan_account a;
    char *json = account_of(text, encoding);
    if (read_text(json, max, &a) != code)
        fail_msg("%s: not %s", json, rpcfan_err_name(code));
    free(json);
}

static void test_account_base64_and_exact_numbers(void **state)
{
    (void)state;
    struct rpcfan_account a;
    assert_int_equal(
        read_text("{\"lamports\":18446744073709551615,\"data\":[\"Zm9vYg==\",\"base64\"],"
                  "\"owner\":\"TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA\","
                  "\"executable\":true,\"rentEpoch\":18446744073709551614,\"space\":4}",
                  MAX, &a),
        RPCFAN_OK);
    assert_true(a.lamports == UINT64_MAX);
    assert_true(a.rent_epoch == UINT64_MAX - 1);
    assert_int_equal(a.space, 4);
    assert_int_equal(a.executable, 1);
    assert_int_equal(a.len, 4);
    assert_memory_equal(a.data, "foob", 4);
    char owner[RF_BASE58_LEN(32)];
    size_t n = rf_base58_encode(a.owner, sizeof a.owner, owner);
    assert_int_equal(n, 43);
    assert_memory_equal(owner, "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA", n);
}

static void test_account_any_order_space_and_unknown_members(void **state)
{
    (void)state;
    struct rpcfan_account a;
    assert_int_equal(read_text(" { \"extra\" : {\"a\":[1,{\"data\":2}]} ,\n\"owner\":\"" SYSTEM
                               "\", \"d\\u0061ta\" : [ \"AQI=\" , \"base64\" ], \"x\":null,"
                               "\"lamports\" : 0, \"y\":[] } ",
                               MAX, &a),
                     RPCFAN_OK);
    assert_int_equal(a.len, 2);
    assert_memory_equal(a.data, "\1\2", 2);
    assert_int_equal(a.lamports, 0);
    assert_int_equal(a.rent_epoch, 0);
    assert_int_equal(a.executable, 0);
    assert_int_equal(a.space, 2); /* an old node tells none */
}

static void test_account_double_of_a_proxy_is_the_largest_epoch(void **state)
{
    (void)state;
    struct rpcfan_account a;
    assert_int_equal(read_text("{\"lamports\":1,\"data\":[\"\",\"base64\"],\"owner\":\"" SYSTEM
                               "\",\"rentEpoch\":18446744073709552000}",
                               MAX, &a),
                     RPCFAN_OK);
    assert_true(a.rent_epoch == UINT64_MAX);
}

static void test_account_base58_with_and_without_its_name(void **state)
{
    (void)state;
    struct rpcfan_account a;
    expect_data("2VfUX", "base58", "\x01\x02\x03\x04", 4); /* 16909060 */
    expect_data("1112VfUX", "base58", "\0\0\0\x01\x02\x03\x04", 7);
    assert_int_equal(
        read_text("{\"lamports\":1,\"data\":\"2VfUX\",\"owner\":\"" SYSTEM "\"}", MAX, &a),
        RPCFAN_OK);
    assert_int_equal(a.len, 4);
    assert_memory_equal(a.data, "\x01\x02\x03\x04", 4);
    assert_int_equal(read_text("{\"lamports\":1,\"data\":\"\",\"owner\":\"" SYSTEM "\"}", MAX, &a),
                     RPCFAN_OK);
    assert_int_equal(a.len, 0);
    assert_int_equal(read_text("{\"lamports\":1,\"data\":\"error: data too large for bs58 "
                               "encoding\",\"owner\":\"" SYSTEM "\"}",
                               MAX, &a),
                     RPCFAN_EMALFORMED);
    expect_code("error: data too large for bs58 encoding", "base64", MAX, RPCFAN_EMALFORMED);
}

static void test_account_escaped_base64(void **state)
{
    (void)state;
    expect_data("\\/\\/\\/\\/", "base64", "\xff\xff\xff", 3);
    expect_data("\\/\\/\\/\\/\\/w==", "base64", "\xff\xff\xff\xff", 4);
    expect_data("\\u0041AAA", "base64", "\0\0\0", 3);
}

static void test_account_zstd_sizes_known_and_not(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 5);
    static const size_t sizes[] = {0, 1, 165, 1000, 70000, MAX};
    for (size_t i = 0; i < RF_COUNT(sizes); i++) {
        size_t n = sizes[i], cap = ZSTD_compressBound(n);
        uint8_t *data = malloc(n + 1), *packed = malloc(cap);
        for (size_t k = 0; k < n; k++)
            data[k] = i % 2 == 0 ? (uint8_t)rf_rng_next(&rng) : (uint8_t)(k / 50);
        for (int size = 0; size <= 1; size++) {
            ZSTD_CCtx *ctx = ZSTD_createCCtx();
            ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, size);
            size_t len = ZSTD_compress2(ctx, packed, cap, data, n);
            char *text = base64_of(packed, len);
            expect_data(text, "base64+zstd", data, n);
            if (n > 0)
                expect_code(text, "base64+zstd", n - 1, RPCFAN_ETOOBIG);
            text[strlen(text) - 8] = '\0'; /* cut short, at a whole group */
            expect_code(text, "base64+zstd", MAX, RPCFAN_EMALFORMED);
            free(text);
            ZSTD_freeCCtx(ctx);
        }
        free(data);
        free(packed);
    }
    expect_data("", "base64+zstd", "", 0);
}

/* 64 MB of zeros in some kB: refused at the cap, whether the frame tells its size or not. */
static void test_account_zstd_bomb_holds_the_cap_at_most(void **state)
{
    (void)state;
    size_t n = (size_t)64 << 20, cap = ZSTD_compressBound(n);
    uint8_t *zeros = calloc(1, n), *packed = malloc(cap);
    for (int size = 0; size <= 1; size++) {
        ZSTD_CCtx *ctx = ZSTD_createCCtx();
        ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, size);
        char *text = base64_of(packed, ZSTD_compress2(ctx, packed, cap, zeros, n));
        rpcfan_free(buf.data);
        buf = (struct rpcfan_buffer){0};
        expect_code(text, "base64+zstd", MAX, RPCFAN_ETOOBIG);
        assert_true(buf.cap <= 2 * MAX);
        free(text);
        ZSTD_freeCCtx(ctx);
    }
    free(zeros);
    free(packed);
}

static void test_account_more_data_than_allowed(void **state)
{
    (void)state;
    struct rpcfan_account a;
    expect_code("AAAA", "base64", 3, RPCFAN_OK);
    expect_code("AAAA", "base64", 2, RPCFAN_ETOOBIG);
    expect_code("AA==", "base64", 1, RPCFAN_OK);
    expect_code("AA==", "base64", 0, RPCFAN_ETOOBIG);
    expect_code("\\u0041AAA", "base64", 2, RPCFAN_ETOOBIG);
    expect_code("2VfUX", "base58", 4, RPCFAN_OK);
    expect_code("2VfUX", "base58", 3, RPCFAN_ETOOBIG);
    assert_int_equal(read_text("{}", MAX, &a), RPCFAN_EMALFORMED);
}

static void test_account_malformed(void **state)
{
    (void)state;
#define OWNER "\"owner\":\"" SYSTEM "\""
    static const char *const rows[] = {
        "",
        "null",
        "[]",
        "{\"lamports\":1,\"data\":[\"\",\"base64\"]}",
        "{\"lamports\":1," OWNER "}",
        "{\"data\":[\"\",\"base64\"]," OWNER "}",
        "{\"lamports\":1,\"lamports\":1,\"data\":[\"\",\"base64\"]," OWNER "}",
        "{\"lamports\":1,\"data\":\"\",\"data\":\"\"," OWNER "}",
        "{\"lamports\":-1,\"data\":[\"\",\"base64\"]," OWNER "}",
        "{\"lamports\":1.0,\"data\":[\"\",\"base64\"]," OWNER "}",
        "{\"lamports\":1e3,\"data\":[\"\",\"base64\"]," OWNER "}",
        "{\"lamports\":\"1\",\"data\":[\"\",\"base64\"]," OWNER "}",
        "{\"lamports\":18446744073709551616,\"data\":[\"\",\"base64\"]," OWNER "}",
        "{\"lamports\":1,\"data\":[\"\",\"base64\"],\"owner\":\"1111\"}",
        "{\"lamports\":1,\"data\":[\"\",\"base64\"],\"owner\":null}",
        "{\"lamports\":1,\"data\":[\"\",\"base64\"],\"owner\":\"1" SYSTEM "\"}",
        "{\"lamports\":1,\"data\":[\"AAA\",\"base64\"]," OWNER "}",
        "{\"lamports\":1,\"data\":[\"A*AA\",\"base64\"]," OWNER "}",
        "{\"lamports\":1,\"data\":[\"AAAA\",\"jsonParsed\"]," OWNER "}",
        "{\"lamports\":1,\"data\":[\"AAAA\",\"base64+zstd\"]," OWNER "}",
        "{\"lamports\":1,\"data\":[\"AAAA\"]," OWNER "}",
        "{\"lamports\":1,\"data\":[\"AAAA\",\"base64\",1]," OWNER "}",
        "{\"lamports\":1,\"data\":{\"program\":\"spl-token\"}," OWNER "}",
        "{\"lamports\":1,\"data\":null," OWNER "}",
        "{\"lamports\":1,\"data\":[\"\",\"base64\"],\"executable\":1," OWNER "}",
        "{\"lamports\":1,\"data\":[\"\",\"base64\"],\"space\":null," OWNER "}",
        "{\"lamports\":1,\"data\":[\"\",\"base64\"]," OWNER,
        "{\"lamports\":1,\"data\":[\"\",\"base64\"]," OWNER "}x",
        "{\"lamports\":1,\"data\":[\"\",\"base64\"]," OWNER "}{}",
        "{\"a\":{\"b\":}},\"lamports\":1,\"data\":[\"\",\"base64\"]," OWNER "}",
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct rpcfan_account a;
        if (read_text(rows[i], MAX, &a) != RPCFAN_EMALFORMED)
            fail_msg("accepted: %s", rows[i]);
    }
}

/* Every prefix of an account is malformed, and no byte behind the text is read (sanitizers). */
static void test_account_prefixes(void **state)
{
    (void)state;
    char *json = account_of("Zm9vYmFyZm9vYmFyZm9vYg==", "base64");
    for (size_t n = 0; n < strlen(json); n++) {
        struct rpcfan_account a;
        char *copy = malloc(n + 1);
        memcpy(copy, json, n);
        enum rpcfan_err rc = rpcfan_account_read((struct rpcfan_slice){copy, n}, MAX, &buf, &a);
        assert_int_equal(rc, RPCFAN_EMALFORMED);
        free(copy);
    }
    free(json);
}

static void test_account_out_of_memory_is_survived(void **state)
{
    (void)state;
    char zeros[300] = {0}, packed[400];
    char *text = base64_of(packed, ZSTD_compress(packed, sizeof packed, zeros, sizeof zeros, 1));
    char *rows[] = {account_of("Zm9v", "base64"), account_of("\\u0041AAA", "base64"),
                    account_of("2VfUX", "base58"), account_of(text, "base64+zstd")};
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        for (uint64_t at = 1;; at++) {
            struct rpcfan_account a;
            rpcfan_free(buf.data);
            buf = (struct rpcfan_buffer){0};
            rf_alloc_fail_at(at);
            enum rpcfan_err rc = read_text(rows[i], MAX, &a);
            rf_alloc_fail_at(0);
            if (rc == RPCFAN_OK) {
                assert_true(at > 1);
                break;
            }
            assert_int_equal(rc, RPCFAN_ENOMEM);
        }
        free(rows[i]);
    }
    free(text);
}

static int free_buffer(void **state)
{
    (void)state;
    rpcfan_free(buf.data);
    buf = (struct rpcfan_buffer){0};
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_account_base64_and_exact_numbers),
        cmocka_unit_test(test_account_any_order_space_and_unknown_members),
        cmocka_unit_test(test_account_double_of_a_proxy_is_the_largest_epoch),
        cmocka_unit_test(test_account_base58_with_and_without_its_name),
        cmocka_unit_test(test_account_escaped_base64),
        cmocka_unit_test(test_account_zstd_sizes_known_and_not),
        cmocka_unit_test(test_account_zstd_bomb_holds_the_cap_at_most),
        cmocka_unit_test(test_account_more_data_than_allowed),
        cmocka_unit_test(test_account_malformed),
        cmocka_unit_test(test_account_prefixes),
        cmocka_unit_test(test_account_out_of_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, free_buffer);
}
