/* test_summary.c - the status as a struct, the progress line, the summary, and log lines. */
#include "app/summary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "app/log_stderr.h"
#include "app/progress.h"
#include "base/mem.h"

static const char status[] =
    "{\"networks\":[{\"name\":\"other\",\"endpoints\":[]},{\"name\":\"main\",\"retries\":3,"
    "\"endpoints\":["
    "{\"name\":\"a\",\"state\":\"ok\",\"why\":\"ok\",\"requests\":10,\"batches\":4,\"calls\":50,"
    "\"errors\":{\"throttled\":2},\"bytes_out\":100,\"bytes_in\":200,"
    "\"latency_ms\":{\"p50\":1.5,\"p99\":9}},"
    "{\"name\":\"b\",\"state\":\"paused\",\"why\":\"429\",\"paused_ms\":2150,\"requests\":1}]}]}";

static void read_status(struct rf_status_view *view)
{
    assert_int_equal(rf_status_view_read(view, status, "main"), RPCFAN_OK);
}

/* The buffer as a string; freed by the caller. */
static char *text_of(struct rf_buf *b)
{
    rf_buf_char(b, '\0');
    assert_false(b->failed);
    return b->data;
}

static void expect_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", text, part);
}

static void test_status_is_read_by_network(void **state)
{
    (void)state;
    struct rf_status_view view = {0};
    read_status(&view);
    assert_int_equal(view.n, 2);
    assert_int_equal(view.retries, 3);
    assert_string_equal(view.endpoint[1].why, "429");
    assert_int_equal(view.endpoint[0].throttled, 2);
    assert_int_equal(rf_status_view_read(&view, status, NULL), RPCFAN_OK);
    assert_int_equal(view.n, 0);
    assert_int_equal(rf_status_view_read(&view, status, "none"), RPCFAN_EINVAL);
    assert_int_equal(rf_status_view_read(&view, "{", NULL), RPCFAN_EMALFORMED);
    rf_alloc_fail_at(1);
    assert_int_equal(rf_status_view_read(&view, status, "main"), RPCFAN_ENOMEM);
    rf_alloc_fail_at(0);
    rf_status_view_fini(&view);
}

static void test_progress_line_says_what_holds_it_back(void **state)
{
    (void)state;
    struct rf_status_view view = {0};
    struct rf_buf b = {0};
    struct rf_progress_facts facts = {.done = 1234567, .errors = 8, .in_flight = 900};
    read_status(&view);
    rf_progress_text(&b, &facts, &view, 4500, 3723, 200);
    assert_string_equal(text_of(&b), "1,234,567 done  4,500/s  8 errors  900 in flight  "
                                     "ETA 1:02:03  [a ok, b paused 2.1s (429)]");
    rf_buf_fini(&b);
    rf_status_view_fini(&view);
}

static void test_progress_line_is_cut_at_the_width(void **state)
{
    (void)state;
    struct rf_status_view view = {0};
    struct rf_buf b = {0};
    struct rf_progress_facts facts = {.done = 5};
    rf_progress_text(&b, &facts, &view, 1, UINT64_MAX, 9);
    assert_string_equal(text_of(&b), "5 done  1");
    rf_buf_fini(&b);
}

static void count_some(struct rf_tally *t)
{
    for (int i = 0; i < 95; i++)
        rf_tally_call(t, RPCFAN_OK, 2 * RF_MS);
    rf_tally_call(t, RPCFAN_ERPC, RF_MS);
    rf_tally_call(t, RPCFAN_ETIMEOUT, RF_MS);
    rf_tally_call(t, RPCFAN_ECONNECT, RF_MS);
    rf_tally_call(t, RPCFAN_EDEADLINE, RF_SEC);
    rf_tally_refuse(t);
    t->wall_ns = 2 * RF_SEC;
}

static void test_summary_text_counts_errors_by_class(void **state)
{
    (void)state;
    struct rf_tally t = {.before = 7, .before_errors = 1};
    struct rf_status_view view = {0};
    struct rf_buf b = {0};
    read_status(&view);
    count_some(&t);
    assert_int_equal(rf_tally_errors(&t), 5);
    rf_summary_text(&b, &t, &view);
    const char *text = text_of(&b);
    expect_has(text, "answers:   100, and 7 of earlier runs (1 errors)\n");
    expect_has(text, "errors:    5 (deadline 1, rpc 1, network 2, bad lines 1)\n");
    expect_has(text, "time:      2.000 s, 50 calls/s\n");
    expect_has(text, "requests:  11, of them 4 batches; 3 retries, 2 throttled (429)\n");
    expect_has(text, "bytes:     100 sent, 200 received\n");
    expect_has(text, "endpoint:  a: ok; 10 requests");
    expect_has(text, "endpoint:  b: paused, 429; 1 requests");
    rf_buf_fini(&b);
    rf_status_view_fini(&view);
}

static void test_summary_json_is_json_with_the_same_counts(void **state)
{
    (void)state;
    struct rf_tally t = {0};
    struct rf_status_view view = {0};
    struct rf_buf b = {0};
    read_status(&view);
    count_some(&t);
    rf_summary_json(&b, &t, &view);
    json_t *root = json_loadb(b.data, b.len, 0, NULL);
    assert_non_null(root);
    assert_int_equal(json_integer_value(json_object_get(root, "answers")), 100);
    assert_int_equal(json_integer_value(json_object_get(root, "results")), 95);
    assert_int_equal(json_integer_value(json_object_get(root, "errors")), 5);
    assert_int_equal(json_integer_value(json_object_get(root, "bad_lines")), 1);
    json_t *by = json_object_get(root, "errors_by_class");
    assert_int_equal(json_integer_value(json_object_get(by, "network")), 2);
    assert_int_equal(json_array_size(json_object_get(root, "endpoints")), 2);
    json_decref(root);
    rf_buf_fini(&b);
    rf_status_view_fini(&view);
}

static void test_summary_of_nothing_divides_by_nothing(void **state)
{
    (void)state;
    struct rf_tally t = {0};
    struct rf_status_view view = {0};
    struct rf_buf b = {0};
    rf_summary_text(&b, &t, &view);
    expect_has(text_of(&b), "errors:    0\ntime:      0.000 s, 0 calls/s\n");
    rf_buf_fini(&b);
}

static void test_log_line_as_text_and_as_json(void **state)
{
    (void)state;
    struct rf_buf b = {0};
    rf_stderr_log_format(&b, false, RPCFAN_LOG_WARN, "RF-EP-PAUSE ep=a", 1700000000123);
    assert_string_equal(text_of(&b), "2023-11-14T22:13:20.123Z warn RF-EP-PAUSE ep=a\n");
    rf_buf_reset(&b, SIZE_MAX);
    rf_stderr_log_format(&b, true, RPCFAN_LOG_ERROR, "RF-X why=\"q\"", 1700000000123);
    assert_string_equal(text_of(&b), "{\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"error\","
                                     "\"id\":\"RF-X\",\"text\":\"why=\\\"q\\\"\"}\n");
    rf_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_is_read_by_network),
        cmocka_unit_test(test_progress_line_says_what_holds_it_back),
        cmocka_unit_test(test_progress_line_is_cut_at_the_width),
        cmocka_unit_test(test_summary_text_counts_errors_by_class),
        cmocka_unit_test(test_summary_json_is_json_with_the_same_counts),
        cmocka_unit_test(test_summary_of_nothing_divides_by_nothing),
        cmocka_unit_test(test_log_line_as_text_and_as_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
