/* test_node_ws_frame.c - frames as RFC 6455 has them, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "sim/node_ws_frame.h"

#define MASK "\x37\xfa\x21\x3d"

static void test_accept_of_the_rfc(void **state)
{
    (void)state;
    char out[RF_WS_ACCEPT_MAX];
    rf_ws_accept("dGhlIHNhbXBsZSBub25jZQ==", out);
    assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void test_key_is_16_bytes(void **state)
{
    (void)state;
    assert_true(rf_ws_key_good("dGhlIHNhbXBsZSBub25jZQ==", 24));
    assert_false(rf_ws_key_good("dGhlIHNhbXBsZSBub25jZQ=", 23));
    assert_false(rf_ws_key_good("dGhlIHNhbXBsZSBub25jZQAA", 24)); /* 18 bytes */
    assert_false(rf_ws_key_good("dGhlIHNhbXBsZSBub25jZ===", 24));
    assert_false(rf_ws_key_good("dGhlIHNhbXBsZSBub25j!Q==", 24));
    assert_false(rf_ws_key_good("", 0));
}

static void test_read_masked_text_of_the_rfc(void **state)
{
    (void)state;
    char text[] = "\x81\x85" MASK "\x7f\x9f\x4d\x51\x58";
    struct rf_ws_frame f;
    for (size_t n = 0; n < 6; n++)
        assert_int_equal(rf_ws_frame_read(text, n, &f), RF_WS_MORE);
    assert_int_equal(rf_ws_frame_read(text, 6, &f), RF_WS_FRAME); /* the payload may come later */
    assert_true(f.fin);
    assert_int_equal(f.opcode, RF_WS_TEXT);
    assert_int_equal(f.head, 6);
    assert_int_equal(f.len, 5);
    rf_ws_unmask(text + 6, 5, f.mask);
    assert_memory_equal(text + 6, "Hello", 5);
}

static void test_read_lengths(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n;
        enum rf_ws_found found;
        uint64_t len;
    } cases[] = {
        {"\x82\xfd" MASK, 6, RF_WS_FRAME, 125},
        {"\x82\xfe\x00\x7e" MASK, 8, RF_WS_FRAME, 126},
        {"\x82\xfe\xff\xff" MASK, 8, RF_WS_FRAME, 65535},
        {"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00" MASK, 14, RF_WS_FRAME, 65536},
        {"\x82\xfe\x00\x7d" MASK, 8, RF_WS_BAD, 0},
        {"\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff" MASK, 14, RF_WS_BAD, 0},
        {"\x82\xff\x80\x00\x00\x00\x00\x01\x00\x00" MASK, 14, RF_WS_BAD, 0},
        {"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00" MASK, 13, RF_WS_MORE, 0},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rf_ws_frame f = {0};
        assert_int_equal(rf_ws_frame_read(cases[i].text, cases[i].n, &f), cases[i].found);
        if (cases[i].found == RF_WS_FRAME)
            assert_int_equal(f.len, cases[i].len);
    }
}

static void test_read_refuses_at_the_second_byte(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "\x81\x05",             /* no mask */
        "\xc1\x85",             /* a reserved bit */
        "\x83\x85",             /* a reserved opcode */
        "\x8b\x85", "\x09\x85", /* a ping in pieces */
        "\x88\xfe",             /* a long close */
    };
    struct rf_ws_frame f;
    for (size_t i = 0; i < RF_COUNT(wrong); i++)
        assert_int_equal(rf_ws_frame_read(wrong[i], 2, &f), RF_WS_BAD);
}

static void test_write_heads(void **state)
{
    (void)state;
    unsigned char out[RF_WS_HEAD_MAX];
    assert_int_equal(rf_ws_frame_head(RF_WS_TEXT, true, 125, out), 2);
    assert_memory_equal(out, "\x81\x7d", 2);
    assert_int_equal(rf_ws_frame_head(RF_WS_CONTINUATION, false, 126, out), 4);
    assert_memory_equal(out, "\x00\x7e\x00\x7e", 4);
    assert_int_equal(rf_ws_frame_head(RF_WS_BINARY, true, 65535, out), 4);
    assert_memory_equal(out, "\x82\x7e\xff\xff", 4);
    assert_int_equal(rf_ws_frame_head(RF_WS_TEXT, true, UINT64_C(0x123456789a), out), 10);
    assert_memory_equal(out, "\x81\x7f\x00\x00\x00\x12\x34\x56\x78\x9a", 10);
}

static void test_write_close(void **state)
{
    (void)state;
    struct rf_buf out = {0};
    char reason[300];
    memset(reason, 'r', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    rf_ws_frame_close(&out, 0, "unsaid");
    assert_int_equal(out.len, 2);
    assert_memory_equal(out.data, "\x88\x00", 2);
    rf_buf_reset(&out, SIZE_MAX);
    rf_ws_frame_close(&out, 1001, "bye");
    assert_int_equal(out.len, 7);
    assert_memory_equal(out.data,
                        "\x88\x05\x03\xe9"
                        "bye",
                        7);
    rf_buf_reset(&out, SIZE_MAX);
    rf_ws_frame_close(&out, 1001, reason); /* as much as a control frame holds */
    assert_int_equal(out.len, 2 + RF_WS_CONTROL_MAX);
    rf_buf_fini(&out);
}

static void test_write_ill_formed(void **state)
{
    (void)state;
    static const char *const heads[RF_WS_BAD_KINDS] = {
        "\xc1\x04", "\x83\x04", "\x81\x84", "\x81\x7f", "\x80\x04", "\x01\x02", "\x89\x7e"};
    for (unsigned i = 0; i < RF_WS_BAD_KINDS; i++) {
        struct rf_buf out = {0};
        rf_ws_frame_bad(&out, (enum rf_ws_bad)i, "abcd", 4);
        assert_true(out.len > 2);
        assert_memory_equal(out.data, heads[i], 2);
        rf_buf_fini(&out);
    }
}

static void test_out_of_memory_sticks(void **state)
{
    (void)state;
    struct rf_buf out = {0};
    rf_alloc_fail_at(1);
    rf_ws_frame_add(&out, RF_WS_TEXT, true, "abc", 3);
    rf_alloc_fail_at(0);
    assert_true(out.failed);
    assert_int_equal(out.len, 0); /* no head without its payload */
    rf_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept_of_the_rfc),
        cmocka_unit_test(test_key_is_16_bytes),
        cmocka_unit_test(test_read_masked_text_of_the_rfc),
        cmocka_unit_test(test_read_lengths),
        cmocka_unit_test(test_read_refuses_at_the_second_byte),
        cmocka_unit_test(test_write_heads),
        cmocka_unit_test(test_write_close),
        cmocka_unit_test(test_write_ill_formed),
        cmocka_unit_test(test_out_of_memory_sticks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
