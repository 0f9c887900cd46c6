/* test_txhash.c - hashes and signatures out of what is sent. */
#include "core/txhash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "base/base58.h"
#include "base/buf.h"
#include "base/keccak.h"
#include "base/rng.h"
#include "rounds.h"

static struct rpcfan_slice text_slice(const char *s)
{
    return (struct rpcfan_slice){s, strlen(s)};
}

/* The signed example of EIP-155. */
#define EIP_155                                                                                    \
    "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028" \
    "ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b38" \
    "00ccf555c9f3dc64214b297fb1966a3b6d83"
#define EIP_155_HASH "0x33469b22e9f636356c4160a87eb19df52b7412e8eac32a4a55ffe88ea8350788"

static void test_tx_hash_of_a_known_transaction(void **state)
{
    (void)state;
    char out[RF_TX_HASH_LEN];
    assert_true(rf_tx_hash(text_slice("[\"0x" EIP_155 "\"]"), out));
    assert_string_equal(out, EIP_155_HASH);
    assert_true(rf_tx_hash(text_slice(" [ \"0x" EIP_155 "\" , {\"more\":1} ] "), out));
    assert_string_equal(out, EIP_155_HASH);
}

static void hash_bytes(const uint8_t *p, size_t n, char out[RF_TX_HASH_LEN])
{
    struct rf_keccak k;
    uint8_t hash[RF_KECCAK_BYTES];
    rf_keccak_init(&k, RF_KECCAK_PAD);
    rf_keccak_add(&k, p, n);
    rf_keccak_done(&k, hash);
    memcpy(out, "0x", 2);
    for (size_t i = 0; i < sizeof hash; i++)
        snprintf(out + 2 + 2 * i, 3, "%02x", hash[i]);
}

static bool hash_params(const uint8_t *p, size_t n, bool upper, char out[RF_TX_HASH_LEN])
{
    struct rf_buf b = {0};
    rf_buf_str(&b, "[\"0x");
    for (size_t i = 0; i < n; i++)
        rf_buf_printf(&b, upper ? "%02X" : "%02x", p[i]);
    rf_buf_str(&b, "\"]");
    bool ok = rf_tx_hash((struct rpcfan_slice){b.data, b.len}, out);
    rf_buf_fini(&b);
    return ok;
}

static void test_tx_hash_is_of_the_raw_bytes_of_any_type(void **state)
{
    (void)state;
    struct rf_rng r;
    rf_rng_init(&r, 7702);
    for (int i = 0; i < ROUNDS(20000); i++) {
        uint8_t tx[700];
        char got[RF_TX_HASH_LEN], want[RF_TX_HASH_LEN];
        size_t n = 1 + (size_t)rf_rng_below(&r, sizeof tx);
        for (size_t k = 0; k < n; k++)
            tx[k] = (uint8_t)rf_rng_next(&r);
        if (tx[0] == 3)
            tx[0] = 2;
        hash_bytes(tx, n, want);
        assert_true(hash_params(tx, n, i % 2 == 0, got));
        assert_string_equal(got, want);
    }
}

static size_t put_list_head(uint8_t *p, size_t payload)
{
    if (payload < 56) {
        p[0] = (uint8_t)(0xc0 + payload);
        return 1;
    }
    p[0] = 0xf9;
    p[1] = (uint8_t)(payload >> 8);
    p[2] = (uint8_t)payload;
    return 3;
}

/* In the form for the network a blob transaction is [transaction, blobs, commitments, proofs]. */
static void test_tx_hash_of_a_blob_transaction_leaves_its_blobs_out(void **state)
{
    (void)state;
    static const size_t bodies[] = {1, 20, 55, 56, 300};
    for (size_t i = 0; i < RF_COUNT(bodies); i++) {
        uint8_t bare[400] = {3}, network[1200] = {3};
        char want[RF_TX_HASH_LEN], got[RF_TX_HASH_LEN];
        size_t n = 1 + put_list_head(bare + 1, bodies[i]);
        memset(bare + n, 1, bodies[i]); /* chain 1 first */
        n += bodies[i];
        hash_bytes(bare, n, want);
        assert_true(hash_params(bare, n, false, got));
        assert_string_equal(got, want);
        size_t at = 1 + put_list_head(network + 1, n - 1 + 600);
        memcpy(network + at, bare + 1, n - 1);
        at += n - 1 + 600;
        assert_true(hash_params(network, at, false, got));
        assert_string_equal(got, want);
        assert_false(hash_params(network, at - 601, false, got)); /* cut */
    }
}

static void test_tx_hash_refuses_what_is_no_raw_transaction(void **state)
{
    (void)state;
    static const char *const rows[] = {"[]",
                                       "[\"0x\"]",
                                       "[\"0x1\"]",
                                       "[\"0x123\"]",
                                       "[\"0x0g\"]",
                                       "[\"1234\"]",
                                       "[\"0X1234\"]",
                                       "[1]",
                                       "[null]",
                                       "{\"tx\":\"0x12\"}",
                                       "\"0x12\"",
                                       "",
                                       "[[\"0x12\"]]",
                                       "[\"\"]",
                                       "[\"0\"]",
                                       "[\"\\u0030x12\"]",
                                       "[\"0x03\"]",
                                       "[\"0x0380\"]",
                                       "[\"0x03c0\"]",
                                       "[\"0x03c2c2\"]",
                                       "[\"0x03ffffffffffffffffff\"]"};
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        char out[RF_TX_HASH_LEN];
        if (rf_tx_hash(text_slice(rows[i]), out))
            fail_msg("%s", rows[i]);
    }
}

/* -- Solana ------------------------------------------------------------------------------------ */

enum form { BARE, OPTIONS_58, OPTIONS_64, SLASHES, OTHER_OPTIONS, NO_OPTIONS, N_FORMS };

/* `params` with the transaction in one of the forms in which it is sent. */
static void write_params(struct rf_buf *b, const uint8_t *tx, size_t n, enum form form)
{
    static const char *const options[N_FORMS] = {
        "",
        ",{\"skipPreflight\":true,\"encoding\":\"base58\"}",
        ", {\"encoding\" : \"base64\"} ",
        ",{\"x\":{\"encoding\":1},\"encod\\u0069ng\":\"base64\",\"maxRetries\":0}",
        ",{\"encoding\":null,\"x\":[\"encoding\",\"no\"]}",
        ",null"};
    char text[2000];
    size_t len;
    if (form == OPTIONS_64 || form == SLASHES)
        len = (size_t)EVP_EncodeBlock((unsigned char *)text, tx, (int)n);
    else
        len = rf_base58_encode(tx, n, text);
    b->len = 0;
    rf_buf_str(b, "[\"");
    for (size_t i = 0; i < len; i++) {
        if (form == SLASHES && text[i] == '/')
            rf_buf_char(b, '\\');
        rf_buf_char(b, text[i]);
    }
    rf_buf_printf(b, "\"%s]", options[form]);
}

static void test_signature_is_the_first_of_the_transaction(void **state)
{
    (void)state;
    struct rf_rng r;
    struct rf_buf b = {0};
    rf_rng_init(&r, 1232);
    for (int i = 0; i < ROUNDS(20000); i++) {
        uint8_t tx[1232];
        char want[RF_TX_SIGNATURE_LEN], got[RF_TX_SIGNATURE_LEN];
        uint8_t signatures = (uint8_t)(1 + rf_rng_below(&r, 12));
        size_t least = 1 + 64 * (size_t)signatures;
        size_t n = least + (size_t)rf_rng_below(&r, sizeof tx - least);
        tx[0] = signatures;
        for (size_t k = 1; k < n; k++)
            tx[k] = (uint8_t)rf_rng_next(&r);
        want[rf_base58_encode(tx + 1, 64, want)] = 0;
        write_params(&b, tx, n, (enum form)(i % N_FORMS));
        assert_true(rf_tx_signature((struct rpcfan_slice){b.data, b.len}, got));
        assert_string_equal(got, want);
        tx[0] = (uint8_t)((n - 1) / 64 + 1); /* one more than there is */
        write_params(&b, tx, n, (enum form)(i % N_FORMS));
        assert_false(rf_tx_signature((struct rpcfan_slice){b.data, b.len}, got));
    }
    rf_buf_fini(&b);
}

static void test_signature_refuses_what_is_none(void **state)
{
    (void)state;
    static const char *const rows[] = {"[]",
                                       "[\"\"]",
                                       "[1]",
                                       "[\"0OIl\"]",
                                       "[\"111\"]",
                                       "[\"AQ==\",{\"encoding\":\"base64\"}]",
                                       "[\"AQ==\",{\"encoding\":\"base32\"}]",
                                       "[\"AQ==\",{\"encoding\":64}]",
                                       "[\"AQ==\",[]]",
                                       "[\"gICAgICA\",{\"encoding\":\"base64\"}]",
                                       "{}",
                                       ""};
    char out[RF_TX_SIGNATURE_LEN];
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        if (rf_tx_signature(text_slice(rows[i]), out))
            fail_msg("%s", rows[i]);
    }
    uint8_t tx[200] = {1}; /* a place for a signature, and none in it */
    struct rf_buf b = {0};
    write_params(&b, tx, sizeof tx, OPTIONS_64);
    assert_false(rf_tx_signature((struct rpcfan_slice){b.data, b.len}, out));
    tx[64] = 1;
    write_params(&b, tx, sizeof tx, OPTIONS_64);
    assert_true(rf_tx_signature((struct rpcfan_slice){b.data, b.len}, out));
    tx[0] = 0;
    write_params(&b, tx, sizeof tx, OPTIONS_64);
    assert_false(rf_tx_signature((struct rpcfan_slice){b.data, b.len}, out));
    rf_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tx_hash_of_a_known_transaction),
        cmocka_unit_test(test_tx_hash_is_of_the_raw_bytes_of_any_type),
        cmocka_unit_test(test_tx_hash_of_a_blob_transaction_leaves_its_blobs_out),
        cmocka_unit_test(test_tx_hash_refuses_what_is_no_raw_transaction),
        cmocka_unit_test(test_signature_is_the_first_of_the_transaction),
        cmocka_unit_test(test_signature_refuses_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
