/* test_batch_input.c - lines out of chunks of any size. */
#include "cli/batch_input.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/batch_request.h"

/* A pipe that is fed in steps, so that a test decides where the chunks end. */
struct feed {
    int fd[2];
    struct rf_input in;
};

static void start(struct feed *f, size_t max_line)
{
    assert_int_equal(pipe(f->fd), 0);
    rf_input_init(&f->in, f->fd[0], max_line);
}

static void give(struct feed *f, const char *text, size_t len)
{
    assert_int_equal(write(f->fd[1], text, len), len);
    assert_int_equal(rf_input_fill(&f->in), len);
}

static void end(struct feed *f)
{
    close(f->fd[1]);
    assert_int_equal(rf_input_fill(&f->in), 0);
    assert_true(f->in.eof);
}

static void stop(struct feed *f)
{
    rf_input_fini(&f->in);
    close(f->fd[0]);
}

static void expect(struct feed *f, const char *text, uint64_t number, uint64_t stream_end)
{
    struct rf_line line;
    assert_true(rf_input_peek(&f->in, &line));
    assert_true(rf_input_peek(&f->in, &line)); /* peeking consumes nothing */
    assert_int_equal(line.len, strlen(text));
    assert_memory_equal(line.data, text, line.len);
    assert_int_equal(line.number, number);
    assert_int_equal(line.end, stream_end);
    rf_input_next(&f->in);
    assert_int_equal(f->in.offset, stream_end);
}

static void expect_none(struct feed *f)
{
    struct rf_line line;
    assert_false(rf_input_peek(&f->in, &line));
}

static void test_input_lines_cut_at_every_byte(void **state)
{
    (void)state;
    static const char text[] = "ab\n\ncde\r\n";
    for (size_t at = 1; at < sizeof text - 1; at++) {
        struct feed f;
        start(&f, 100);
        give(&f, text, at);
        give(&f, text + at, sizeof text - 1 - at);
        expect(&f, "ab", 1, 3);
        expect(&f, "", 2, 4);
        expect(&f, "cde", 3, 9);
        expect_none(&f);
        end(&f);
        expect_none(&f);
        stop(&f);
    }
}

static void test_input_last_line_without_its_end_counts(void **state)
{
    (void)state;
    struct feed f;
    struct rf_line line;
    start(&f, 100);
    give(&f, "a\nb", 3);
    expect(&f, "a", 1, 2);
    expect_none(&f);
    end(&f);
    assert_true(rf_input_peek(&f.in, &line));
    assert_true(line.cut);
    expect(&f, "b", 2, 3);
    expect_none(&f);
    stop(&f);
}

static void test_input_empty_has_no_line(void **state)
{
    (void)state;
    struct feed f;
    start(&f, 100);
    end(&f);
    expect_none(&f);
    stop(&f);
}

static void test_input_too_long_line_is_cut_and_the_next_is_whole(void **state)
{
    (void)state;
    struct feed f;
    struct rf_line line;
    start(&f, 4);
    give(&f, "abcdefgh", 8);
    expect_none(&f);
    give(&f, "ijkl", 4);
    expect_none(&f);
    give(&f, "m\nxyzw\nq", 8);
    assert_true(rf_input_peek(&f.in, &line));
    assert_true(line.too_long);
    expect(&f, "abcd", 1, 14);
    assert_true(rf_input_peek(&f.in, &line));
    assert_false(line.too_long);
    expect(&f, "xyzw", 2, 19);
    end(&f);
    expect(&f, "q", 3, 20);
    stop(&f);
}

static void test_input_too_long_in_one_chunk(void **state)
{
    (void)state;
    struct feed f;
    struct rf_line line;
    start(&f, 4);
    give(&f, "abcdefgh\nij\n", 12);
    assert_true(rf_input_peek(&f.in, &line));
    assert_true(line.too_long);
    expect(&f, "abcd", 1, 9);
    expect(&f, "ij", 2, 12);
    end(&f);
    stop(&f);
}

static void test_input_memory_is_bounded_by_the_longest_line(void **state)
{
    (void)state;
    struct feed f;
    static char chunk[32768];
    memset(chunk, 'x', sizeof chunk);
    start(&f, 100000);
    for (int i = 0; i < 200; i++) {
        give(&f, chunk, sizeof chunk);
        expect_none(&f);
    }
    assert_true(f.in.cap <= 100000 + RF_INPUT_CHUNK);
    end(&f);
    stop(&f);
}

static void test_input_lines_over_the_chunk_are_whole(void **state)
{
    (void)state;
    struct feed f;
    struct rf_line line;
    static char chunk[32768];
    memset(chunk, 'x', sizeof chunk);
    start(&f, 1 << 20);
    for (int i = 0; i < 20; i++)
        give(&f, chunk, sizeof chunk);
    give(&f, "\ny\n", 3);
    assert_true(rf_input_peek(&f.in, &line));
    assert_int_equal(line.len, 20 * sizeof chunk);
    rf_input_next(&f.in);
    expect(&f, "y", 2, 20 * sizeof chunk + 3);
    end(&f);
    stop(&f);
}

/* What a line makes; `problem`: NULL, or what the reason must hold. */
static void expect_made(struct rf_maker *m, const char *text, const char *id, const char *problem)
{
    struct rf_line line = {.data = text, .len = strlen(text), .number = 12};
    struct rf_made made;
    enum rpcfan_err rc = rf_maker_make(m, &line, &made);
    assert_int_equal(made.id.len, strlen(id));
    assert_memory_equal(made.id.data, id, made.id.len);
    assert_int_equal(rc, problem == NULL ? RPCFAN_OK : RPCFAN_EINVAL);
    if (problem != NULL && strstr(made.problem, problem) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", made.problem, problem);
    if (problem == NULL)
        assert_string_equal(made.method, "eth_call");
}

static void test_request_ids_of_all_kinds_are_kept_raw(void **state)
{
    (void)state;
    struct rf_maker m = {0};
    expect_made(&m, "{\"id\":7,\"method\":\"eth_call\"}", "7", NULL);
    expect_made(&m, "{\"id\":\"a\\u0041\",\"method\":\"eth_call\"}", "\"a\\u0041\"", NULL);
    expect_made(&m, "{\"id\":null,\"method\":\"eth_call\",\"params\":[]}", "null", NULL);
    expect_made(&m, "{\"id\":-1.50e3,\"method\":\"eth_call\"}", "-1.50e3", NULL);
    expect_made(&m, "{\"method\":\"eth\\u005fcall\"}", "12", NULL);
    rf_maker_fini(&m);
}

static void test_request_bad_lines_say_why(void **state)
{
    (void)state;
    struct rf_maker m = {0};
    expect_made(&m, "", "12", "blank");
    expect_made(&m, " \t ", "12", "blank");
    expect_made(&m, "hello", "12", "column");
    expect_made(&m, "{\"id\":5}", "5", "method");
    expect_made(&m, "{\"id\":5,\"method\":\"a\\u0000b\"}", "5", "NUL");
    rf_maker_fini(&m);
}

static void test_request_template_lines_have_their_number(void **state)
{
    (void)state;
    struct rf_maker m = {.method = "eth_call"};
    expect_made(&m, "anything", "12", NULL);
    expect_made(&m, "", "12", "blank");
    rf_maker_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_input_lines_cut_at_every_byte),
        cmocka_unit_test(test_input_last_line_without_its_end_counts),
        cmocka_unit_test(test_input_empty_has_no_line),
        cmocka_unit_test(test_input_too_long_line_is_cut_and_the_next_is_whole),
        cmocka_unit_test(test_input_too_long_in_one_chunk),
        cmocka_unit_test(test_input_memory_is_bounded_by_the_longest_line),
        cmocka_unit_test(test_input_lines_over_the_chunk_are_whole),
        cmocka_unit_test(test_request_ids_of_all_kinds_are_kept_raw),
        cmocka_unit_test(test_request_bad_lines_say_why),
        cmocka_unit_test(test_request_template_lines_have_their_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
