/* test_base58.c - known answers, and OpenSSL's large numbers as a second opinion. */
#include "base/base58.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/bn.h>

#include "base/rng.h"

/* The vectors of draft-msporny-base58, and lengths at the edges. */
static void test_base58_known_answers(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *text;
    } rows[] = {
        {"Hello World!", 12, "2NEpo7TZRRrLZSi2U"},
        {"The quick brown fox jumps over the lazy dog.", 44,
         "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z"},
        {"\0\0\x28\x7f\xb4\xcd", 6, "11233QC4"},
        {"\0", 1, "1"},
        {"\0\0\0", 3, "111"},
        {"\x39", 1, "z"},
        {"\x3a", 1, "21"},
        {"", 0, ""},
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        char text[80];
        uint8_t back[80];
        size_t n = 99, len = rf_base58_encode(rows[i].bytes, rows[i].n, text);
        assert_int_equal(len, strlen(rows[i].text));
        assert_memory_equal(text, rows[i].text, len);
        assert_true(rf_base58_decode(text, len, back, sizeof back, &n));
        assert_int_equal(n, rows[i].n);
        assert_memory_equal(back, rows[i].bytes, n);
    }
}

static void test_base58_refuses_other_letters(void **state)
{
    (void)state;
    uint8_t out[8];
    size_t n;
    static const char *const rows[] = {"0", "O", "I", "l", "2 ", "11-", "\xc3\xa9"};
    for (size_t i = 0; i < RF_COUNT(rows); i++)
        assert_false(rf_base58_decode(rows[i], strlen(rows[i]), out, sizeof out, &n));
    assert_false(rf_base58_decode("1\0", 2, out, sizeof out, &n));
}

static void test_base58_is_bounded(void **state)
{
    (void)state;
    uint8_t out[RF_BASE58_BYTES_MAX];
    char text[RF_BASE58_LEN(RF_BASE58_BYTES_MAX) + 1];
    size_t n;
    memset(out, 0xff, sizeof out);
    size_t len = rf_base58_encode(out, sizeof out, text);
    assert_true(len > 5000 && len <= RF_BASE58_LEN(sizeof out));
    assert_true(rf_base58_decode(text, len, out, sizeof out, &n));
    assert_int_equal(n, sizeof out);
    assert_false(rf_base58_decode(text, len, out, sizeof out - 1, &n));
    text[len] = '1';
    assert_false(rf_base58_decode(text, len + 1, out, sizeof out, &n));
    memset(text, '1', sizeof text);
    assert_false(rf_base58_decode(text, sizeof text, out, sizeof out, &n));
    assert_int_equal(rf_base58_encode(out, RF_BASE58_BYTES_MAX + 1, text), 0);
}

/* Digit by digit, the lowest first. */
static size_t encode_slowly(const uint8_t *p, size_t n, char *out)
{
    static const char letters[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    char reversed[512];
    size_t len = 0, at = 0;
    BIGNUM *v = BN_bin2bn(p, (int)n, NULL);
    assert_non_null(v);
    while (!BN_is_zero(v))
        reversed[len++] = letters[BN_div_word(v, 58)];
    BN_free(v);
    for (size_t i = 0; i < n && p[i] == 0; i++)
        out[at++] = '1';
    while (len > 0)
        out[at++] = reversed[--len];
    return at;
}

static void test_base58_random_bytes_there_and_back(void **state)
{
    (void)state;
    struct rf_rng r;
    rf_rng_init(&r, 58);
    for (int i = 0; i < 100000; i++) {
        uint8_t data[96], back[96];
        char text[160], want[160];
        size_t n = (size_t)rf_rng_below(&r, sizeof data + 1), got;
        size_t zeros = (size_t)rf_rng_below(&r, 4) == 0 ? (size_t)rf_rng_below(&r, n + 1) : 0;
        for (size_t k = 0; k < n; k++)
            data[k] = k < zeros ? 0 : (uint8_t)rf_rng_next(&r);
        size_t len = rf_base58_encode(data, n, text);
        assert_true(len <= RF_BASE58_LEN(n));
        assert_int_equal(len, encode_slowly(data, n, want));
        assert_memory_equal(text, want, len);
        assert_true(rf_base58_decode(text, len, back, n, &got));
        assert_int_equal(got, n);
        assert_memory_equal(back, data, n);
        if (n > 0)
            assert_false(rf_base58_decode(text, len, back, n - 1, &got));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base58_known_answers),
        cmocka_unit_test(test_base58_refuses_other_letters),
        cmocka_unit_test(test_base58_is_bounded),
        cmocka_unit_test(test_base58_random_bytes_there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
