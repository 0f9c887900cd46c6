/* test_evm_json.c - what is read of blocks and logs, and what is written of them; the walk over an
 * object or an array that it stands on. */
#include "feed/evm_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "feed/members.h"

#define H1 "0x1111111111111111111111111111111111111111111111111111111111111111"
#define HA "0xaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAaA"
#define HA_LOW "0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static struct rpcfan_slice text(const char *s)
{
    return (struct rpcfan_slice){s, strlen(s)};
}

static void test_members_of_an_object(void **state)
{
    (void)state;
    struct rf_members m;
    assert_int_equal(rf_members_begin(&m, text(" {\"a\": 1, \"b\":{\"c\":[2]} ,\"d\":null}")),
                     RF_TOK_OBJECT);
    static const char *const rows[][2] = {{"a", "1"}, {"b", "{\"c\":[2]}"}, {"d", "null"}};
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        assert_true(rf_members_next(&m));
        assert_true(rf_members_is(&m, rows[i][0]));
        assert_int_equal(m.value.len, strlen(rows[i][1]));
        assert_memory_equal(m.value.data, rows[i][1], m.value.len);
    }
    assert_false(rf_members_next(&m));
    assert_false(m.bad);
}

static void test_elements_of_an_array(void **state)
{
    (void)state;
    struct rf_members m;
    assert_int_equal(rf_members_begin(&m, text("[[1,2], \"x\" ,{}]")), RF_TOK_ARRAY);
    size_t n = 0;
    while (rf_members_next(&m))
        n += m.value.len;
    assert_int_equal(n, 5 + 3 + 2);
    assert_false(m.bad);
    assert_int_equal(rf_members_begin(&m, text("[]")), RF_TOK_ARRAY);
    assert_false(rf_members_next(&m));
    assert_false(m.bad);
}

static void test_what_is_cut_short_is_bad(void **state)
{
    (void)state;
    static const char whole[] = "{\"a\":[1,{\"b\":2}],\"c\":\"d\"}";
    for (size_t len = 1; len < sizeof whole - 1; len++) {
        struct rf_members m;
        rf_members_begin(&m, (struct rpcfan_slice){whole, len});
        while (rf_members_next(&m))
            continue;
        assert_true(m.bad);
    }
}

static void test_a_header_needs_three_members(void **state)
{
    (void)state;
    struct rf_evm_header h;
    assert_true(rf_evm_read_header(
        text("{\"number\":\"0x1b4\",\"hash\":\"" HA "\",\"parentHash\":\"" H1 "\",\"x\":[{}]}"),
        &h));
    assert_int_equal(h.number, 0x1b4);
    assert_int_equal(h.hash[31], 0xaa);
    assert_int_equal(h.parent[0], 0x11);
    static const char *const bad[] = {
        "{\"number\":\"0x1\",\"hash\":\"" HA "\"}",
        "{\"number\":\"0x1\",\"hash\":null,\"parentHash\":\"" H1 "\"}",
        "{\"number\":1,\"hash\":\"" HA "\",\"parentHash\":\"" H1 "\"}",
        "{\"number\":\"0x\",\"hash\":\"" HA "\",\"parentHash\":\"" H1 "\"}",
        "{\"number\":\"0x11111111111111111\",\"hash\":\"" HA "\",\"parentHash\":\"" H1 "\"}",
        "{\"number\":\"0x1\",\"hash\":\"0xzz\",\"parentHash\":\"" H1 "\"}",
        "{\"number\":\"0x1\",\"hash\":\"" HA "\",\"parentHash\":\"" H1 "\"",
        "null",
        "\"0x1\"",
        "",
    };
    for (size_t i = 0; i < RF_COUNT(bad); i++)
        assert_false(rf_evm_read_header(text(bad[i]), &h));
}

static void test_a_log_is_taken_back_by_one_word(void **state)
{
    (void)state;
    struct rf_evm_log log;
    static const char with[] =
        "{\"blockNumber\":\"0x2\",\"removed\":false,\"blockHash\":\"" HA "\",\"logIndex\":\"0x3\"}";
    assert_true(rf_evm_read_log(text(with), &log));
    assert_int_equal(log.number, 2);
    assert_int_equal(log.index, 3);
    assert_false(log.removed);
    struct rf_blob *b = rf_evm_take_back(text(with), &log);
    static const char after[] =
        "{\"blockNumber\":\"0x2\",\"removed\":true,\"blockHash\":\"" HA "\",\"logIndex\":\"0x3\"}";
    assert_int_equal(b->len, sizeof after - 1);
    assert_memory_equal(b->data, after, b->len);
    rf_blob_unref(b);
    static const char without[] =
        " {\"blockNumber\":\"0x2\",\"blockHash\":\"" HA "\",\"logIndex\":\"0x3\"}";
    assert_true(rf_evm_read_log(text(without), &log));
    b = rf_evm_take_back(text(without), &log);
    assert_true(rf_evm_read_log((struct rpcfan_slice){b->data, b->len}, &log));
    assert_true(log.removed);
    rf_blob_unref(b);
    /* what is not mined has no place yet */
    assert_false(
        rf_evm_read_log(text("{\"blockNumber\":null,\"blockHash\":null,\"logIndex\":null}"), &log));
}

static void test_a_block_is_stripped_to_a_head(void **state)
{
    (void)state;
    struct rf_blob *b = rf_evm_strip(text("{\"hash\":\"0x1\", \"transactions\":[\"0x2\"],"
                                          "\"uncles\":[],\"a\":{\"b\":1},\"withdrawals\":[{}]}"));
    static const char after[] = "{\"hash\":\"0x1\",\"a\":{\"b\":1}}";
    assert_int_equal(b->len, sizeof after - 1);
    assert_memory_equal(b->data, after, b->len);
    rf_blob_unref(b);
    assert_null(rf_evm_strip(text("[]")));
    assert_null(rf_evm_strip(text("{\"a\":")));
}

static void test_a_replaced_head(void **state)
{
    (void)state;
    struct rf_evm_header h;
    assert_true(rf_evm_read_header(
        text("{\"number\":\"0x0\",\"hash\":\"" HA "\",\"parentHash\":\"" H1 "\"}"), &h));
    struct rf_blob *b = rf_evm_head_replaced(&h);
    static const char after[] =
        "{\"removed\":true,\"number\":\"0x0\",\"hash\":\"" HA_LOW "\",\"parentHash\":\"" H1 "\"}";
    assert_int_equal(b->len, sizeof after - 1);
    assert_memory_equal(b->data, after, b->len);
    rf_blob_unref(b);
}

static void test_lack_of_memory(void **state)
{
    (void)state;
    struct rf_evm_header h = {.number = 1};
    for (uint64_t n = 1; n <= 3; n++) {
        rf_alloc_fail_at(n);
        struct rf_blob *b = rf_evm_head_replaced(&h);
        rf_alloc_fail_at(0);
        assert_true(n == 3 || b == NULL);
        rf_blob_unref(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_of_an_object),
        cmocka_unit_test(test_elements_of_an_array),
        cmocka_unit_test(test_what_is_cut_short_is_bad),
        cmocka_unit_test(test_a_header_needs_three_members),
        cmocka_unit_test(test_a_log_is_taken_back_by_one_word),
        cmocka_unit_test(test_a_block_is_stripped_to_a_head),
        cmocka_unit_test(test_a_replaced_head),
        cmocka_unit_test(test_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
