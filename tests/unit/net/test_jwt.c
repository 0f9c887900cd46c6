/* test_jwt.c - secrets and tokens; the expected token was computed with openssl(1). */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "net/jwt.h"

#define SECRET "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static void test_secret_forms(void **state)
{
    (void)state;
    unsigned char s[RF_JWT_SECRET];
    assert_true(rf_jwt_secret(SECRET, s));
    for (unsigned i = 0; i < RF_JWT_SECRET; i++)
        assert_int_equal(s[i], i);
    assert_true(rf_jwt_secret("  0x" SECRET "\n", s));
    assert_true(rf_jwt_secret("0XFF0102030405060708090A0B0C0D0E0F"
                              "101112131415161718191A1B1C1D1E1F",
                              s));
    assert_int_equal(s[0], 0xff);
    assert_false(rf_jwt_secret("", s));
    assert_false(rf_jwt_secret("0x", s));
    assert_false(rf_jwt_secret(SECRET "0", s));
    assert_false(rf_jwt_secret(SECRET "00", s));
    assert_false(rf_jwt_secret("g" SECRET, s));
    assert_false(rf_jwt_secret("000102030405060708090a0b0c0d0e0f"
                               "101112131415161718191a1b1c1d1e1",
                               s));
}

static void test_token_known(void **state)
{
    (void)state;
    unsigned char s[RF_JWT_SECRET];
    char token[RF_JWT_TEXT];
    assert_true(rf_jwt_secret(SECRET, s));
    assert_true(rf_jwt_make(s, 1700000000, token));
    assert_string_equal(token, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
                               "eyJpYXQiOjE3MDAwMDAwMDB9."
                               "uAxdaUtr1_HpYPtNDLNlQ_sHMiP5eBV-ra8EjL3ScS8");
}

static void test_token_fits(void **state)
{
    (void)state;
    unsigned char s[RF_JWT_SECRET] = {0};
    char token[RF_JWT_TEXT];
    assert_true(rf_jwt_make(s, INT64_MIN, token));
    assert_true(strlen(token) < RF_JWT_TEXT);
    assert_null(strpbrk(token, "+/="));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret_forms),
        cmocka_unit_test(test_token_known),
        cmocka_unit_test(test_token_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
