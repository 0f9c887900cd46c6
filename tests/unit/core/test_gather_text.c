/* test_gather_text.c - what may be gathered, and what each gets of the answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/gather_text.h"

#define KEY "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
#define SYSTEM "11111111111111111111111111111111"

static struct rpcfan_slice slice(const char *text)
{
    return (struct rpcfan_slice){text, strlen(text)};
}

static void test_gather_read_takes(void **state)
{
    (void)state;
    static const struct {
        const char *params, *options;
    } cases[] = {
        {"[\"" KEY "\",{\"encoding\":\"base64\"}]", "{\"encoding\":\"base64\"}"},
        {"[\"" SYSTEM "\",{\"encoding\":\"base58\"}]", "{\"encoding\":\"base58\"}"},
        {" [ \"" KEY "\" , { \"encoding\" : \"base64\" } ] ", "{\"encoding\":\"base64\"}"},
        {"[\"" KEY "\",{\"minContextSlot\":1e1,\"encoding\":\"jsonParsed\"}]",
         "{\"encoding\":\"jsonParsed\",\"minContextSlot\":10}"},
        {"[\"" KEY "\",{\"encoding\":null,\"encoding\":\"base64\"}]", "{\"encoding\":\"base64\"}"},
        {"[\"" KEY "\",{\"\\u0065ncoding\":\"base64\"}]", "{\"encoding\":\"base64\"}"},
        {"[\"" KEY "\",{\"encoding\":\"base64\",\"dataSlice\":{\"offset\":0,\"length\":8}}]",
         "{\"dataSlice\":{\"length\":8,\"offset\":0},\"encoding\":\"base64\"}"},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rf_buf b = {0};
        if (!rf_gather_read(slice(cases[i].params), &b))
            fail_msg("%s is not taken", cases[i].params);
        assert_int_equal(b.len, strlen(cases[i].options));
        assert_memory_equal(b.data, cases[i].options, b.len);
        struct rpcfan_slice key = rf_gather_key(slice(cases[i].params));
        assert_int_equal(key.data[0], '"');
        assert_int_equal(key.data[key.len - 1], '"');
        assert_true(key.len == sizeof KEY + 1 || key.len == sizeof SYSTEM + 1);
        rf_buf_fini(&b);
    }
}

static void test_gather_read_leaves_alone(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "[]",
        "{}",
        "[{\"encoding\":\"base64\"}]",
        "[\"" KEY "\"]",
        "[\"" KEY "\",{}]",
        "[\"" KEY "\",null]",
        "[\"" KEY "\",[\"encoding\",\"base64\"]]",
        "[\"" KEY "\",{\"encoding\":null}]",
        "[\"" KEY "\",{\"encoding\":64}]",
        "[\"" KEY "\",{\"encoding\":\"base64\",\"encoding\":null}]",
        "[\"" KEY "\",{\"a\":{\"encoding\":\"base64\"}}]",
        "[\"" KEY "\",{\"encoding\":\"base64\"},{}]",
        "[\"" KEY "1\",{\"encoding\":\"base64\"}]",                        /* 33 bytes */
        "[\"1111111111111111111111111111111\",{\"encoding\":\"base64\"}]", /* 31 */
        "[\"" SYSTEM "1\",{\"encoding\":\"base64\"}]",                     /* 33 */
        "[\"0okenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA\",{\"encoding\":\"base64\"}]",
        "[\"" KEY "\\n\",{\"encoding\":\"base64\"}]",
        "[\"" KEY " \",{\"encoding\":\"base64\"}]",
        "[\"\",{\"encoding\":\"base64\"}]",
        "[null,{\"encoding\":\"base64\"}]",
        "{\"" KEY "\":1,\"x\":{\"encoding\":\"base64\"}}",
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rf_buf b = {0};
        if (rf_gather_read(slice(cases[i]), &b))
            fail_msg("%s is taken", cases[i]);
        rf_buf_fini(&b);
    }
}

static void test_gather_cut_accounts(void **state)
{
    (void)state;
    struct rpcfan_slice value[3];
    struct rf_gather_result r = {.value = value};
    assert_true(
        rf_gather_cut(slice("{ \"value\" : [null , "
                            "{\"data\":[\"]\",\"base64\"],\"rentEpoch\":18446744073709551615},"
                            "\"\\\"],\"] , \"context\":{\"slot\":9,\"value\":[]}}"),
                      &r, 3));
    assert_int_equal(r.n, 3);
    static const char *const want[] = {
        "{\"context\":{\"slot\":9,\"value\":[]},\"value\":null}",
        "{\"context\":{\"slot\":9,\"value\":[]},\"value\":{\"data\":[\"]\",\"base64\"],"
        "\"rentEpoch\":18446744073709551615}}",
        "{\"context\":{\"slot\":9,\"value\":[]},\"value\":\"\\\"],\"}",
    };
    struct rf_blob *blob = rf_blob_new(1);
    assert_non_null(blob);
    for (size_t i = 0; i < RF_COUNT(want); i++) {
        size_t at, before = blob->len;
        assert_true(rf_gather_write(blob, r.context, r.value[i], &at));
        assert_int_equal(at, before);
        assert_int_equal(blob->len - at, strlen(want[i]));
        assert_int_equal(blob->len - at, RF_GATHER_FRAME + r.context.len + r.value[i].len);
        assert_memory_equal(blob->data + at, want[i], strlen(want[i]));
    }
    rf_blob_unref(blob);
}

static void test_gather_cut_refuses(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "null",
        "[]",
        "[1,2]",
        "{}",
        "{\"context\":{\"slot\":1}}",
        "{\"value\":[1,2]}",
        "{\"context\":{\"slot\":1},\"value\":null}",
        "{\"context\":{\"slot\":1},\"value\":[]}",
        "{\"context\":{\"slot\":1},\"value\":[1]}",
        "{\"context\":{\"slot\":1},\"value\":[1,2,3]}",
        "{\"context\":{\"slot\":1},\"value\":{\"0\":1,\"1\":2}}",
        "{\"a\":{\"context\":{\"slot\":1},\"value\":[1,2]}}",
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rpcfan_slice value[2];
        struct rf_gather_result r = {.value = value};
        if (rf_gather_cut(slice(cases[i]), &r, 2))
            fail_msg("%s is taken", cases[i]);
        assert_true(r.n <= 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gather_read_takes),
        cmocka_unit_test(test_gather_read_leaves_alone),
        cmocka_unit_test(test_gather_cut_accounts),
        cmocka_unit_test(test_gather_cut_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
