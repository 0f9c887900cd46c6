/* test_plain.c - both ways of skipping plain bytes stop at the same and right byte. */
#include "json/plain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/** Each byte value at each place of texts of each length, in memory of the exact size. */
static void test_plain_skip_every_byte(void **state)
{
    (void)state;
    for (size_t len = 0; len <= 40; len++) {
        uint8_t *text = malloc(len + 1);
        assert_non_null(text);
        uint8_t *end = text + len;
        memset(text, 'x', len + 1);
        assert_ptr_equal(rf_plain_skip(text, end), end);
        assert_ptr_equal(rf_plain_skip_portable(text, end), end);
        for (size_t at = 0; at < len; at++) {
            for (int b = 0; b < 256; b++) {
                text[at] = (uint8_t)b;
                int plain = b >= 0x20 && b < 0x80 && b != '"' && b != '\\';
                const uint8_t *want = plain ? end : text + at;
                assert_ptr_equal(rf_plain_skip(text, end), want);
                assert_ptr_equal(rf_plain_skip_portable(text, end), want);
            }
            text[at] = 'x';
        }
        free(text);
    }
}

/** A byte that borrows must not hide or move the one in front of it. */
static void test_plain_skip_two_stops(void **state)
{
    (void)state;
    static const uint8_t stop[] = {0, 0x1f, '"', '\\', 0x80, 0xff};
    static const uint8_t near_miss[] = {0x20, '"' + 1, '"' - 1, '\\' + 1, '\\' - 1, 0x7f};
    uint8_t text[24];
    for (size_t a = 0; a < sizeof stop; a++) {
        for (size_t b = 0; b < sizeof near_miss; b++) {
            for (size_t at = 0; at + 1 < sizeof text; at++) {
                memset(text, 'x', sizeof text);
                text[at] = near_miss[b];
                text[at + 1] = stop[a];
                assert_ptr_equal(rf_plain_skip(text, text + sizeof text), text + at + 1);
                assert_ptr_equal(rf_plain_skip_portable(text, text + sizeof text), text + at + 1);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_skip_every_byte),
        cmocka_unit_test(test_plain_skip_two_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
