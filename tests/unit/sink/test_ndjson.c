/* test_ndjson.c - lines of changes and notes. */
#include "sink/ndjson.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/mem.h"

static void expect(struct rf_buf *b, const char *line)
{
    rf_buf_char(b, '\0');
    assert_false(b->failed);
    assert_string_equal(b->data, line);
    json_t *j = json_loads(b->data, JSON_DECODE_INT_AS_REAL, NULL);
    assert_non_null(j);
    json_decref(j);
    rf_buf_fini(b);
}

static struct rpcfan_slice slice(const char *text)
{
    return (struct rpcfan_slice){text, strlen(text)};
}

static void test_event_is_one_line_without_spaces(void **state)
{
    (void)state;
    struct rf_buf b = {0};
    struct rpcfan_account_event ev = {.kind = RPCFAN_ACCOUNT_CREATE,
                                      .slot = UINT64_MAX,
                                      .seq = 3,
                                      .json = slice("{ \"lamports\": 18446744073709551615,\r\n"
                                                    " \"data\": [\"a b\", \"base64\"] }")};
    rf_ndjson_event(&b, &ev, 12);
    expect(&b, "{\"kind\":\"create\",\"pubkey\":\"11111111111111111111111111111111\","
               "\"slot\":18446744073709551615,\"seq\":12,\"account\":"
               "{\"lamports\":18446744073709551615,\"data\":[\"a b\",\"base64\"]}}\n");
}

static void test_event_of_what_is_gone(void **state)
{
    (void)state;
    struct rf_buf b = {0};
    struct rpcfan_account_event ev = {.kind = RPCFAN_ACCOUNT_CLOSE, .slot = 1, .key = {[31] = 1}};
    rf_ndjson_event(&b, &ev, 1);
    expect(&b, "{\"kind\":\"close\",\"pubkey\":\"11111111111111111111111111111112\",\"slot\":1,"
               "\"seq\":1,\"account\":null}\n");
    assert_string_equal(rf_ndjson_kind(RPCFAN_ACCOUNT_LEFT), "left");
    assert_string_equal(rf_ndjson_kind(RPCFAN_ACCOUNT_SNAPSHOT), "snapshot");
}

static void test_notes(void **state)
{
    (void)state;
    static const struct {
        struct rpcfan_note note;
        const char *line;
    } rows[] = {
        {{.kind = RPCFAN_NOTE_DATA, .slot = 7, .json = {"{\"a\": 1}", 8}},
         "{\"note\":\"data\",\"slot\":7,\"result\":{\"a\":1}}\n"},
        {{.kind = RPCFAN_NOTE_UP, .endpoint = "ep\"1"},
         "{\"note\":\"up\",\"endpoint\":\"ep\\\"1\"}\n"},
        {{.kind = RPCFAN_NOTE_GAP, .endpoint = "ep1", .why = "silence"},
         "{\"note\":\"gap\",\"endpoint\":\"ep1\",\"why\":\"silence\"}\n"},
        {{.kind = RPCFAN_NOTE_GAP}, "{\"note\":\"gap\",\"endpoint\":null,\"why\":null}\n"},
        {{.kind = RPCFAN_NOTE_FILLED, .endpoint = "ep1"},
         "{\"note\":\"filled\",\"endpoint\":\"ep1\"}\n"},
        {{.kind = RPCFAN_NOTE_DROPPED, .n = 3}, "{\"note\":\"dropped\",\"n\":3}\n"},
        {{.kind = RPCFAN_NOTE_END, .json = {"{\"code\":1}", 10}},
         "{\"note\":\"end\",\"error\":{\"code\":1}}\n"},
        {{.kind = RPCFAN_NOTE_END}, "{\"note\":\"end\",\"error\":null}\n"},
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct rf_buf b = {0};
        rf_ndjson_note(&b, &rows[i].note);
        expect(&b, rows[i].line);
    }
}

static void test_result_is_compact(void **state)
{
    (void)state;
    struct rf_buf b = {0};
    rf_ndjson_result(&b, slice("[ 1,\n2 ]"));
    expect(&b, "[1,2]\n");
}

static void test_out_of_memory_marks_the_buffer(void **state)
{
    (void)state;
    struct rf_buf b = {0};
    struct rpcfan_account_event ev = {.kind = RPCFAN_ACCOUNT_UPDATE, .json = slice("{}")};
    rf_alloc_fail_at(1);
    rf_ndjson_event(&b, &ev, 1);
    rf_alloc_fail_at(0);
    assert_true(b.failed);
    rf_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_event_is_one_line_without_spaces),
        cmocka_unit_test(test_event_of_what_is_gone),
        cmocka_unit_test(test_notes),
        cmocka_unit_test(test_result_is_compact),
        cmocka_unit_test(test_out_of_memory_marks_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
