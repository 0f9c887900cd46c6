/* test_base64.c - the strict decoder, against what OpenSSL encodes. */
#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "base/rng.h"

/* RFC 4648, par. 10. */
static void test_base64_known_answers(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"", ""},
                                          {"Zg==", "f"},
                                          {"Zm8=", "fo"},
                                          {"Zm9v", "foo"},
                                          {"Zm9vYg==", "foob"},
                                          {"Zm9vYmE=", "fooba"},
                                          {"Zm9vYmFy", "foobar"}};
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        uint8_t out[8];
        size_t n, want = strlen(rows[i][1]);
        assert_true(rf_base64_decode(rows[i][0], strlen(rows[i][0]), out, want, &n));
        assert_int_equal(n, want);
        assert_memory_equal(out, rows[i][1], n);
        if (want > 0)
            assert_false(rf_base64_decode(rows[i][0], strlen(rows[i][0]), out, want - 1, &n));
    }
}

static void test_base64_is_strict(void **state)
{
    (void)state;
    static const char *const rows[] = {"Zg",     "Zg=",      "Zg===", "Z===", "====",      "Zh==",
                                       "Zm9=",   "Zg==Zg==", "Z=g=",  "Zm-_", "Zm9 ",      "Zm9\n",
                                       "Zm9v\n", " Zm9v",    "Zm9vY", "=",    "\xc3\xa9Zm"};
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        uint8_t out[16];
        size_t n;
        assert_false(rf_base64_decode(rows[i], strlen(rows[i]), out, sizeof out, &n));
    }
}

static void test_base64_random_bytes_and_damage(void **state)
{
    (void)state;
    struct rf_rng r;
    rf_rng_init(&r, 64);
    for (int i = 0; i < 100000; i++) {
        uint8_t data[60], back[60], again[82];
        size_t n = (size_t)rf_rng_below(&r, sizeof data + 1), got;
        for (size_t k = 0; k < n; k++)
            data[k] = (uint8_t)rf_rng_next(&r);
        int len = EVP_EncodeBlock(again, data, (int)n);
        char text[82];
        memcpy(text, again, (size_t)len);
        assert_true(rf_base64_decode(text, (size_t)len, back, n, &got));
        assert_int_equal(got, n);
        assert_memory_equal(back, data, n);
        if (len == 0)
            continue;
        /* what is accepted after damage is the one text of its bytes */
        text[rf_rng_below(&r, (uint64_t)len)] = (char)rf_rng_below(&r, 128);
        if (rf_base64_decode(text, (size_t)len, back, sizeof back, &got)) {
            assert_int_equal(EVP_EncodeBlock(again, back, (int)got), len);
            assert_memory_equal(again, text, (size_t)len);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64_known_answers),
        cmocka_unit_test(test_base64_is_strict),
        cmocka_unit_test(test_base64_random_bytes_and_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
