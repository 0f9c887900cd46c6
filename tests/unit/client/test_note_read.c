/* test_note_read.c - slot and key of notifications, in the words of real nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/note_read.h"

#define ACCOUNT                                                                                    \
    "{\"lamports\":33594,\"data\":[\"\",\"base64\"],\"owner\":"                                    \
    "\"11111111111111111111111111111111\""                                                         \
    ",\"executable\":false,\"rentEpoch\":18446744073709551615,\"space\":0}"

static struct rpcfan_slice text(const char *s)
{
    return (struct rpcfan_slice){s, strlen(s)};
}

static void test_slot_of_each_kind(void **state)
{
    (void)state;
    static const struct {
        enum rpcfan_family family;
        const char *json;
        uint64_t slot;
    } cases[] = {
        {RPCFAN_SOLANA, "{\"context\":{\"slot\":5199307},\"value\":" ACCOUNT "}", 5199307},
        {RPCFAN_SOLANA, "{\"value\":{\"err\":null},\"context\":{\"apiVersion\":\"2\",\"slot\":8}}",
         8},
        {RPCFAN_SOLANA, "{\"parent\":75,\"root\":44,\"slot\":76}", 76},
        {RPCFAN_SOLANA, "42", 42},
        {RPCFAN_SOLANA, "{\"context\":{}}", 0},
        {RPCFAN_SOLANA, "", 0},
        {RPCFAN_EVM, "{\"number\":\"0x1b4\",\"hash\":\"0x12\"}", 0x1b4},
        {RPCFAN_EVM, "{\"address\":\"0x1\",\"blockNumber\":\"0x2\",\"logIndex\":\"0x0\"}", 2},
        {RPCFAN_EVM, "\"0x9cef478923ff08bf67fde6c64013158d\"", 0},
        {RPCFAN_GENERIC, "7", 0},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++)
        assert_int_equal(rf_note_slot(cases[i].family, text(cases[i].json)), cases[i].slot);
}

static uint64_t key_of(const char *json)
{
    return rf_note_key(RPCFAN_SOLANA, text(json));
}

static void test_key_is_equal_for_one_account_alone(void **state)
{
    (void)state;
    uint64_t a = key_of("{\"context\":{\"slot\":1},\"value\":{\"pubkey\":\"A\",\"account\":{}}}");
    uint64_t a2 = key_of("{\"context\":{\"slot\":2},\"value\":{\"account\":{\"lamports\":1},"
                         "\"pubkey\":\"A\"}}");
    uint64_t b = key_of("{\"context\":{\"slot\":2},\"value\":{\"pubkey\":\"B\",\"account\":{}}}");
    assert_int_not_equal(a, 0);
    assert_int_equal(a, a2);
    assert_int_not_equal(a, b);
    assert_int_not_equal(key_of("{\"context\":{\"slot\":2},\"value\":" ACCOUNT "}"), 0);
    assert_int_not_equal(key_of("{\"parent\":75,\"root\":44,\"slot\":76}"), 0);
    assert_int_not_equal(key_of("42"), 0);
}

static void test_key_is_none_where_each_matters(void **state)
{
    (void)state;
    assert_int_equal(key_of("{\"context\":{\"slot\":2},\"value\":{\"signature\":\"x\",\"err\":null,"
                            "\"logs\":[]}}"),
                     0);
    assert_int_equal(key_of("{\"context\":{\"slot\":2},\"value\":{\"err\":null}}"), 0);
    assert_int_equal(key_of("{\"type\":\"createdBank\",\"parent\":75,\"slot\":76}"), 0);
    assert_int_equal(rf_note_key(RPCFAN_EVM, text("{\"number\":\"0x1\"}")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slot_of_each_kind),
        cmocka_unit_test(test_key_is_equal_for_one_account_alone),
        cmocka_unit_test(test_key_is_none_where_each_matters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
