/* test_node_program.c - the synthetic program: when what is written, and what an account holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "sim/node_program.h"

static const struct rf_node_program_conf p = {.n = 7,
                                              .bytes = 165,
                                              .writes = 3,
                                              .from_ns = RF_SEC,
                                              .to_ns = 11 * RF_SEC,
                                              .key = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"};

static void test_writes_and_their_times_agree(void **state)
{
    (void)state;
    assert_int_equal(rf_program_writes(&p, 0), 0);
    assert_int_equal(rf_program_writes(&p, RF_SEC), 0);
    assert_int_equal(rf_program_writes(&p, 2 * RF_SEC), 3);
    assert_int_equal(rf_program_writes(&p, RF_NEVER), 30);
    for (uint64_t k = 0; k < 30; k++) {
        uint64_t at = rf_program_write_ns(&p, k);
        assert_int_equal(rf_program_writes(&p, at), k + 1);
        assert_int_equal(rf_program_writes(&p, at - 1), k);
    }
    assert_true(rf_program_write_ns(&p, 30) == RF_NEVER);
    struct rf_node_program_conf still = p;
    still.writes = 0;
    assert_true(rf_program_write_ns(&still, 0) == RF_NEVER);
    assert_int_equal(rf_program_writes(&still, RF_NEVER), 0);
}

static void test_versions_add_up_to_the_writes(void **state)
{
    (void)state;
    for (uint64_t writes = 0; writes < 50; writes++) {
        uint64_t sum = 0;
        for (uint64_t i = 0; i < p.n; i++)
            sum += rf_program_version(&p, i, writes);
        assert_int_equal(sum, writes);
    }
    assert_int_equal(rf_program_version(&p, 2, 10), 2); /* writes 2 and 9 */
}

static void test_address_finds_its_account(void **state)
{
    (void)state;
    struct rf_buf text = {0};
    uint64_t i;
    for (uint64_t k = 0; k < p.n + 3; k++) {
        rf_buf_reset(&text, SIZE_MAX);
        rf_program_key_text(k, &text);
        bool found = rf_program_find(&p, (struct rpcfan_slice){text.data, text.len}, &i);
        assert_int_equal(found, k < p.n); /* beyond the last there is none */
        if (found)
            assert_int_equal(i, k);
    }
    text.data[5] = text.data[5] == '2' ? '3' : '2';
    assert_false(rf_program_find(&p, (struct rpcfan_slice){text.data, text.len}, &i));
    assert_false(rf_program_find(&p, (struct rpcfan_slice){"\"11\"", 4}, &i));
    assert_false(rf_program_find(&p, (struct rpcfan_slice){"7", 1}, &i));
    rf_buf_fini(&text);
}

static size_t decode(const struct rf_buf *account, uint8_t *out, size_t cap)
{
    const char *from = account->data + strlen("{\"data\":[\"");
    const char *to = memchr(from, '"', account->len);
    size_t n = 0;
    assert_true(rf_base64_decode(from, (size_t)(to - from), out, cap, &n));
    return n;
}

static void test_data_and_its_slices(void **state)
{
    (void)state;
    uint8_t whole[165], part[165], got[165];
    struct rf_buf out = {0};
    rf_program_data(300, 5, 0, whole, sizeof whole);
    assert_memory_equal(whole, "\x2c\x01\0\0\0\0\0\0\x05\0\0\0\0\0\0\0", 16);
    for (uint64_t at = 0; at < 165; at += 7) {
        rf_program_data(300, 5, at, part, 165 - at);
        assert_memory_equal(part, whole + at, 165 - at);
    }
    rf_program_account(&p, 300, 5, 0, UINT64_MAX, &out);
    assert_int_equal(decode(&out, got, sizeof got), 165);
    assert_memory_equal(got, whole, 165);
    rf_buf_reset(&out, SIZE_MAX);
    rf_program_account(&p, 300, 5, 160, 100, &out);
    assert_int_equal(decode(&out, got, sizeof got), 5);
    assert_memory_equal(got, whole + 160, 5);
    rf_buf_reset(&out, SIZE_MAX);
    rf_program_account(&p, 300, 5, 0, 0, &out);
    rf_buf_char(&out, '\0');
    assert_non_null(strstr(out.data, "\"data\":[\"\",\"base64\"]"));
    assert_non_null(strstr(out.data, "\"space\":165"));
    rf_buf_fini(&out);
}

static void test_large_data_is_whole(void **state)
{
    (void)state;
    struct rf_node_program_conf big = p;
    big.bytes = 100000;
    uint8_t *got = rf_alloc(100000), *want = rf_alloc(100000);
    struct rf_buf out = {0};
    rf_program_account(&big, 1, 2, 0, UINT64_MAX, &out);
    rf_program_data(1, 2, 0, want, 100000);
    assert_int_equal(decode(&out, got, 100000), 100000);
    assert_memory_equal(got, want, 100000);
    rf_buf_fini(&out);
    rf_free(got);
    rf_free(want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writes_and_their_times_agree),
        cmocka_unit_test(test_versions_add_up_to_the_writes),
        cmocka_unit_test(test_address_finds_its_account),
        cmocka_unit_test(test_data_and_its_slices),
        cmocka_unit_test(test_large_data_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
