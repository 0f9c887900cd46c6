/* test_pubkey.c - keys as text: known ones, and base58.c as a second opinion. */
#include "base/pubkey.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base58.h"
#include "base/rng.h"
#include "rpcfan/feed.h"

static void test_pubkey_known_answers(void **state)
{
    (void)state;
    uint8_t key[32] = {0}, back[32];
    char text[45];
    rpcfan_key_text(key, text);
    assert_string_equal(text, "11111111111111111111111111111111");
    memset(key, 0xff, sizeof key);
    rpcfan_key_text(key, text);
    assert_string_equal(text, "JEKNVnkbo3jma5nREBBJCDoXFVeKkD56V3xKrvRmWxFG");
    static const char *const rows[] = {"TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
                                       "SysvarC1ock11111111111111111111111111111111",
                                       "So11111111111111111111111111111111111111112"};
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        assert_int_equal(rpcfan_key_read(rows[i], strlen(rows[i]), back), RPCFAN_OK);
        rpcfan_key_text(back, text);
        assert_string_equal(text, rows[i]);
    }
}

static void test_pubkey_is_as_base58(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 5);
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t key[32], back[32];
        char text[RF_PUBKEY_TEXT], other[RF_BASE58_LEN(32)];
        uint64_t zeros = rf_rng_below(&rng, 4) == 0 ? rf_rng_below(&rng, 33) : 0;
        for (size_t k = 0; k < 32; k++)
            key[k] = k < zeros ? 0 : (uint8_t)rf_rng_next(&rng);
        size_t n = rf_pubkey_encode(key, text), m = rf_base58_encode(key, 32, other);
        assert_int_equal(n, m);
        assert_memory_equal(text, other, n);
        assert_true(rf_pubkey_decode(text, n, back));
        assert_memory_equal(key, back, 32);
    }
}

/* Any text is taken or refused as by base58.c: exactly 32 bytes. */
static void test_pubkey_refuses_what_is_not_32_bytes(void **state)
{
    (void)state;
    struct rf_rng rng;
    static const char letters[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0OIl";
    uint8_t key[32], other[64];
    unsigned good = 0;
    rf_rng_init(&rng, 6);
    for (unsigned i = 0; i < 20000; i++) {
        char text[48];
        size_t n, len = 30 + rf_rng_below(&rng, 17);
        size_t among = rf_rng_below(&rng, 8) == 0 ? sizeof letters - 1 : 58;
        for (size_t k = 0; k < len; k++)
            text[k] = rf_rng_below(&rng, 6) == 0 ? '1' : letters[rf_rng_below(&rng, among)];
        bool is = rf_base58_decode(text, len, other, sizeof other, &n) && n == 32;
        assert_int_equal(rf_pubkey_decode(text, len, key), is);
        if (is)
            assert_memory_equal(key, other, 32);
        good += is;
    }
    assert_true(good > 1000);
    assert_false(rf_pubkey_decode("", 0, key));
    assert_false(rf_pubkey_decode("JEKNVnkbo3jma5nREBBJCDoXFVeKkD56V3xKrvRmWxFH", 44, key));
    memset(key, 7, sizeof key);
    assert_int_equal(rpcfan_key_read("0", 1, key), RPCFAN_EINVAL);
    assert_int_equal(rpcfan_key_read(NULL, 0, key), RPCFAN_EINVAL);
    assert_int_equal(key[31], 7); /* left alone */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pubkey_known_answers),
        cmocka_unit_test(test_pubkey_is_as_base58),
        cmocka_unit_test(test_pubkey_refuses_what_is_not_32_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
