/* test_keccak.c - known answers, and the permutation against OpenSSL's SHA3-256. */
#include "base/keccak.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "base/rng.h"

static void hash_text(const char *s, char hex[65])
{
    struct rf_keccak k;
    uint8_t out[RF_KECCAK_BYTES];
    rf_keccak_init(&k, RF_KECCAK_PAD);
    rf_keccak_add(&k, s, strlen(s));
    rf_keccak_done(&k, out);
    for (size_t i = 0; i < sizeof out; i++)
        snprintf(hex + 2 * i, 3, "%02x", out[i]);
}

static void test_keccak_known_answers(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"},
        {"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"},
        {"The quick brown fox jumps over the lazy dog",
         "4d741b6f1eb29cb2a9b9911c82f56fa8d73b04959d3d9d222895df6c0b28aa15"},
        {"Transfer(address,address,uint256)",
         "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"},
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        char hex[65];
        hash_text(rows[i][0], hex);
        assert_string_equal(hex, rows[i][1]);
    }
}

/* Any length around the blocks, in pieces of any size. */
static void test_sha3_is_that_of_openssl(void **state)
{
    (void)state;
    struct rf_rng r;
    uint8_t data[1000], ours[RF_KECCAK_BYTES], theirs[EVP_MAX_MD_SIZE];
    rf_rng_init(&r, 25);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_non_null(ctx);
    for (size_t i = 0; i < 20000; i++) {
        size_t n = i <= sizeof data ? i : (size_t)rf_rng_below(&r, sizeof data + 1);
        struct rf_keccak k;
        for (size_t at = 0; at < n; at++)
            data[at] = (uint8_t)rf_rng_next(&r);
        rf_keccak_init(&k, RF_SHA3_PAD);
        for (size_t at = 0; at < n;) {
            size_t piece = 1 + (size_t)rf_rng_below(&r, n - at);
            rf_keccak_add(&k, data + at, piece);
            at += piece;
        }
        rf_keccak_done(&k, ours);
        assert_int_equal(EVP_DigestInit_ex(ctx, EVP_sha3_256(), NULL), 1);
        assert_int_equal(EVP_DigestUpdate(ctx, data, n), 1);
        assert_int_equal(EVP_DigestFinal_ex(ctx, theirs, NULL), 1);
        assert_memory_equal(ours, theirs, sizeof ours);
    }
    EVP_MD_CTX_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keccak_known_answers),
        cmocka_unit_test(test_sha3_is_that_of_openssl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
