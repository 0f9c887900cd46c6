/* test_buf.c - appends, the sticky error, and number formatting. */
#include "base/buf.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"

static void test_appends_in_order(void **state)
{
    (void)state;
    struct rf_buf b = {0};
    rf_buf_str(&b, "{\"id\":");
    rf_buf_u64(&b, 17);
    rf_buf_char(&b, ',');
    rf_buf_printf(&b, "\"x\":%s", "1");
    rf_buf_add(&b, "}zzz", 1);
    rf_buf_add(&b, NULL, 0);
    assert_false(b.failed);
    assert_int_equal(b.len, 15);
    assert_memory_equal(b.data, "{\"id\":17,\"x\":1}", 15);
    rf_buf_fini(&b);
    assert_null(b.data);
    assert_int_equal(b.cap, 0);
}

static void test_grows_like_the_model(void **state)
{
    (void)state;
    enum { MOST = 1 << 20 };
    struct rf_rng rng;
    rf_rng_init(&rng, 3);
    char *model = malloc(MOST), piece[5000];
    assert_non_null(model);
    size_t len = 0;
    struct rf_buf b = {0};
    for (;;) {
        size_t n = (size_t)rf_rng_below(&rng, sizeof piece);
        if (len + n > MOST)
            break;
        for (size_t i = 0; i < n; i++)
            piece[i] = (char)rf_rng_next(&rng);
        memcpy(model + len, piece, n);
        len += n;
        rf_buf_add(&b, piece, n);
    }
    assert_int_equal(b.len, len);
    assert_true(b.cap <= 2 * (size_t)MOST);
    assert_memory_equal(b.data, model, len);
    rf_buf_fini(&b);
    free(model);
}

static void test_error_is_sticky_until_reset(void **state)
{
    (void)state;
    struct rf_buf b = {0};
    rf_buf_str(&b, "kept");
    rf_alloc_fail_at(1);
    rf_buf_add(&b, (char[1000]){0}, 1000);
    rf_alloc_fail_at(0);
    assert_true(b.failed);
    rf_buf_str(&b, "!");
    rf_buf_char(&b, '!');
    rf_buf_u64(&b, 1);
    rf_buf_printf(&b, "!");
    assert_false(rf_buf_reserve(&b, 0));
    assert_int_equal(b.len, 4);
    assert_memory_equal(b.data, "kept", 4);
    rf_buf_reset(&b, SIZE_MAX);
    assert_false(b.failed);
    rf_buf_str(&b, "again");
    assert_int_equal(b.len, 5);
    rf_buf_fini(&b);
}

static void test_reserve_that_overflows_fails(void **state)
{
    (void)state;
    struct rf_buf b = {0};
    rf_buf_str(&b, "x");
    assert_false(rf_buf_reserve(&b, SIZE_MAX - 10));
    assert_true(b.failed);
    rf_buf_fini(&b);
}

static void test_reserved_room_needs_no_memory(void **state)
{
    (void)state;
    struct rf_buf b = {0};
    assert_true(rf_buf_reserve(&b, 3000));
    uint64_t before = rf_alloc_count();
    for (int i = 0; i < 3000; i++)
        rf_buf_char(&b, 'a');
    assert_int_equal(rf_alloc_count(), before);
    rf_buf_fini(&b);
}

static void test_reset_keeps_or_gives_back(void **state)
{
    (void)state;
    struct rf_buf b = {0};
    rf_buf_add(&b, (char[5000]){0}, 5000);
    size_t cap = b.cap;
    rf_buf_reset(&b, cap);
    assert_int_equal(b.cap, cap);
    assert_int_equal(b.len, 0);
    rf_buf_reset(&b, cap - 1);
    assert_int_equal(b.cap, 0);
    rf_buf_fini(&b);
}

static void test_printf_longer_than_the_room(void **state)
{
    (void)state;
    struct rf_buf b = {0};
    rf_buf_printf(&b, "%0*d", 3000, 7);
    assert_int_equal(b.len, 3000);
    assert_int_equal(b.data[2999], '7');
    rf_buf_fini(&b);
}

static void test_u64_text_agrees_with_printf(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 5);
    for (int i = 0; i < 100000; i++) {
        uint64_t v = i == 0 ? 0 : i == 1 ? UINT64_MAX : rf_rng_next(&rng) >> rf_rng_below(&rng, 64);
        char got[21], want[32];
        got[rf_u64_text(v, got)] = '\0';
        snprintf(want, sizeof want, "%" PRIu64, v);
        assert_string_equal(got, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends_in_order),
        cmocka_unit_test(test_grows_like_the_model),
        cmocka_unit_test(test_error_is_sticky_until_reset),
        cmocka_unit_test(test_reserve_that_overflows_fails),
        cmocka_unit_test(test_reserved_room_needs_no_memory),
        cmocka_unit_test(test_reset_keeps_or_gives_back),
        cmocka_unit_test(test_printf_longer_than_the_room),
        cmocka_unit_test(test_u64_text_agrees_with_printf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
