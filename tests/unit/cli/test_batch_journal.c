/* test_batch_journal.c - the journal, the set of answered lines, and taking up an output file. */
#include "cli/batch_journal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/batch_resume.h"

static char dir[64], out_path[80], journal_path[96];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/rpcfan-journal-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(out_path, sizeof out_path, "%s/out", dir);
    snprintf(journal_path, sizeof journal_path, "%s/out.journal", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(out_path);
    unlink(journal_path);
    return rmdir(dir);
}

static void write_file(const char *path, const char *data, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static off_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size : -1;
}

#define ANSWER(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":1}\n"
#define FAILED(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"error\":{\"code\":1}}\n"
#define ANSWER_LEN (sizeof ANSWER("1") - 1)

/* A journal of lines whose answers are ANSWER_LEN bytes each. */
static void write_journal(const uint64_t *line, size_t n)
{
    struct rf_journal j;
    assert_int_equal(rf_journal_create(&j, journal_path, NULL), RPCFAN_OK);
    for (size_t i = 0; i < n; i++)
        rf_journal_note(&j, line[i], (i + 1) * ANSWER_LEN);
    assert_int_equal(rf_journal_flush(&j), 0);
    rf_journal_fini(&j);
}

static bool collect(const struct rf_journal_record *rec, void *arg)
{
    uint64_t *sum = arg;
    *sum += rec->line;
    return true;
}

static int64_t read_back(uint64_t *sum)
{
    int fd = open(journal_path, O_RDONLY);
    *sum = 0;
    int64_t n = rf_journal_read(fd, collect, sum);
    close(fd);
    return n;
}

static void test_journal_is_read_as_written(void **state)
{
    (void)state;
    const uint64_t line[] = {3, 1, 7};
    uint64_t sum;
    write_journal(line, 3);
    assert_int_equal(read_back(&sum), 3);
    assert_int_equal(sum, 11);
}

static void test_journal_cut_anywhere_keeps_its_whole_records(void **state)
{
    (void)state;
    const uint64_t line[] = {1, 2, 3};
    uint64_t sum;
    for (off_t size = 4 * RF_JOURNAL_RECORD; size >= 0; size--) {
        write_journal(line, 3);
        assert_int_equal(truncate(journal_path, size), 0);
        int64_t whole = size < RF_JOURNAL_RECORD ? 0 : size / RF_JOURNAL_RECORD - 1;
        assert_int_equal(read_back(&sum), whole);
    }
}

static void test_journal_any_changed_byte_ends_it_there(void **state)
{
    (void)state;
    const uint64_t line[] = {1, 2, 3};
    uint64_t sum;
    for (long at = RF_JOURNAL_RECORD; at < 4 * RF_JOURNAL_RECORD; at++) {
        write_journal(line, 3);
        FILE *f = fopen(journal_path, "r+b");
        assert_non_null(f);
        fseek(f, at, SEEK_SET);
        int c = fgetc(f);
        fseek(f, at, SEEK_SET);
        fputc(c ^ 0x40, f);
        fclose(f);
        assert_int_equal(read_back(&sum), at / RF_JOURNAL_RECORD - 1);
    }
}

static void test_journal_foreign_file_is_recognised(void **state)
{
    (void)state;
    uint64_t sum;
    write_file(journal_path, "my notes", 8);
    assert_int_equal(read_back(&sum), -1);
    assert_false(rf_journal_is_ours(journal_path));
    unlink(journal_path);
    assert_true(rf_journal_is_ours(journal_path));
}

static void test_journal_reopened_goes_on(void **state)
{
    (void)state;
    const uint64_t line[] = {1, 2, 3};
    uint64_t sum;
    struct rf_journal j;
    write_journal(line, 3);
    assert_int_equal(rf_journal_reopen(&j, journal_path, 2, NULL), RPCFAN_OK);
    rf_journal_note(&j, 40, 100);
    assert_int_equal(rf_journal_flush(&j), 0);
    rf_journal_fini(&j);
    assert_int_equal(read_back(&sum), 3);
    assert_int_equal(sum, 43);
}

static void test_lines_low_watermark_follows(void **state)
{
    (void)state;
    struct rf_lines l;
    assert_true(rf_lines_init(&l, 64));
    assert_true(rf_lines_add(&l, 2));
    assert_true(rf_lines_add(&l, 3));
    assert_int_equal(l.low, 0);
    assert_false(rf_lines_has(&l, 1));
    assert_true(rf_lines_add(&l, 1));
    assert_int_equal(l.low, 3);
    assert_false(rf_lines_add(&l, 2));
    assert_false(rf_lines_add(&l, 0));
    assert_true(rf_lines_add(&l, 67));
    assert_false(rf_lines_fits(&l, 68));
    assert_false(rf_lines_has(&l, 68));
    rf_lines_fini(&l);
}

static void test_lines_bits_are_used_again(void **state)
{
    (void)state;
    struct rf_lines l;
    assert_true(rf_lines_init(&l, 64));
    for (uint64_t line = 1; line < 1000; line += 2) {
        assert_true(rf_lines_add(&l, line + 1));
        assert_false(rf_lines_has(&l, line));
        assert_true(rf_lines_add(&l, line));
    }
    assert_int_equal(l.low, 1000);
    rf_lines_fini(&l);
}

/* Open the output; `say`: NULL, or what the refusal must hold. */
static void open_out(struct rf_resume *r, struct rf_output *o, bool resume, bool ordered,
                     const char *say)
{
    struct rpcfan_error err = {0};
    *r = (struct rf_resume){0};
    *o = (struct rf_output){.fd = -1, .journal = {.fd = -1}};
    enum rpcfan_err rc = rf_resume_open(r, o, out_path, resume, ordered, &err);
    if (say == NULL && rc != RPCFAN_OK)
        fail_msg("%s", err.text);
    if (say != NULL && (rc != RPCFAN_EINVAL || strstr(err.text, say) == NULL))
        fail_msg("%d \"%s\" does not say \"%s\"", rc, err.text, say);
}

static void close_out(struct rf_resume *r, struct rf_output *o)
{
    rf_resume_fini(r);
    rf_output_fini(o);
}

static void expect_refused(bool resume, bool ordered, const char *say)
{
    struct rf_resume r;
    struct rf_output o;
    open_out(&r, &o, resume, ordered, say);
    close_out(&r, &o);
}

static void test_resume_ordered_cuts_the_torn_line(void **state)
{
    (void)state;
    static const char text[] =
        ANSWER("1") FAILED("\"a,\\\"b\"") "{\"jsonrpc\":\"2.0\",\"id\":3,\"re";
    const size_t whole = sizeof ANSWER("1") FAILED("\"a,\\\"b\"") - 1;
    struct rf_resume r;
    struct rf_output o;
    for (size_t size = whole; size < sizeof text; size++) {
        write_file(out_path, text, size);
        open_out(&r, &o, true, true, NULL);
        assert_int_equal(r.lines, 2);
        assert_int_equal(r.errors, 1);
        assert_int_equal(size_of(out_path), whole);
        assert_true(rf_resume_has(&r, 2));
        assert_false(rf_resume_has(&r, 3));
        assert_true(rf_resume_matches(&r, "\"a,\\\"b\"", 7));
        assert_false(rf_resume_matches(&r, "2", 1));
        close_out(&r, &o);
    }
}

static void test_resume_unordered_cuts_behind_the_journal(void **state)
{
    (void)state;
    const uint64_t line[] = {3, 1};
    struct rf_resume r;
    struct rf_output o;
    write_journal(line, 2);
    write_file(out_path, ANSWER("3") ANSWER("1") ANSWER("2") "{", 3 * ANSWER_LEN + 1);
    open_out(&r, &o, true, false, NULL);
    assert_int_equal(size_of(out_path), 2 * ANSWER_LEN);
    assert_true(rf_resume_has(&r, 1));
    assert_false(rf_resume_has(&r, 2));
    assert_true(rf_resume_has(&r, 3));
    assert_int_equal(r.check_line, 1);
    close_out(&r, &o);
}

static void test_resume_unordered_file_shorter_than_its_journal(void **state)
{
    (void)state;
    const uint64_t line[] = {3, 1};
    struct rf_resume r;
    struct rf_output o;
    write_journal(line, 2);
    write_file(out_path, ANSWER("3") ANSWER("1"), 2 * ANSWER_LEN - 1);
    open_out(&r, &o, true, false, NULL);
    assert_int_equal(size_of(out_path), ANSWER_LEN);
    assert_false(rf_resume_has(&r, 1));
    assert_true(rf_resume_has(&r, 3));
    assert_int_equal(size_of(journal_path), 2 * RF_JOURNAL_RECORD);
    close_out(&r, &o);
}

static void test_resume_unordered_before_the_first_record(void **state)
{
    (void)state;
    struct rf_resume r;
    struct rf_output o;
    for (size_t header = 0; header <= RF_JOURNAL_RECORD; header++) {
        write_journal(NULL, 0);
        assert_int_equal(truncate(journal_path, (off_t)header), 0);
        write_file(out_path, ANSWER("3"), ANSWER_LEN);
        open_out(&r, &o, true, false, NULL);
        assert_int_equal(size_of(out_path), 0);
        assert_false(rf_resume_has(&r, 3));
        assert_int_equal(size_of(journal_path), RF_JOURNAL_RECORD);
        close_out(&r, &o);
    }
}

static void test_resume_unordered_without_journal_is_complete(void **state)
{
    (void)state;
    struct rf_resume r;
    struct rf_output o;
    write_file(out_path, ANSWER("3") ANSWER("1"), 2 * ANSWER_LEN);
    open_out(&r, &o, true, false, NULL);
    assert_true(r.finished);
    assert_true(rf_resume_has(&r, 2));
    assert_false(rf_resume_has(&r, 3));
    assert_int_equal(size_of(journal_path), -1);
    close_out(&r, &o);
}

static void test_resume_refuses_what_it_cannot_go_on_with(void **state)
{
    (void)state;
    const uint64_t line[] = {1};
    write_file(out_path, ANSWER("1"), ANSWER_LEN);
    expect_refused(false, true, "--resume");
    assert_int_equal(size_of(out_path), ANSWER_LEN);
    write_journal(line, 1);
    expect_refused(true, true, "--unordered");
    write_file(out_path, "mine\nmine\nmine\nmine\nmine\nmine\nmine\nmine\nmine\n", 45);
    expect_refused(true, false, "not written by");
    unlink(journal_path);
    expect_refused(true, true, "not written by");
    assert_int_equal(size_of(out_path), 45);
    write_file(journal_path, "my notes", 8);
    expect_refused(true, false, "not a journal");
    assert_int_equal(size_of(journal_path), 8);
}

static void test_resume_of_nothing_begins(void **state)
{
    (void)state;
    struct rf_resume r;
    struct rf_output o;
    for (int ordered = 0; ordered < 2; ordered++) {
        open_out(&r, &o, true, ordered == 1, NULL);
        assert_false(rf_resume_has(&r, 1));
        assert_int_equal(size_of(out_path), 0);
        close_out(&r, &o);
    }
}

static void test_output_file_and_journal_agree(void **state)
{
    (void)state;
    struct rf_resume r;
    struct rf_output o;
    open_out(&r, &o, false, false, NULL);
    for (uint64_t line = 5; line > 0; line--) {
        rf_buf_str(&o.buf, ANSWER("1"));
        rf_output_line(&o, line);
        if (line % 2 == 0)
            assert_int_equal(rf_output_write(&o), 0);
    }
    close_out(&r, &o); /* as a kill would: line 1 was never written */
    open_out(&r, &o, true, false, NULL);
    assert_int_equal(r.lines, 4);
    assert_false(rf_resume_has(&r, 1));
    assert_true(rf_resume_has(&r, 2));
    assert_true(rf_resume_has(&r, 5));
    close_out(&r, &o);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_journal_is_read_as_written),
        TEST(test_journal_cut_anywhere_keeps_its_whole_records),
        TEST(test_journal_any_changed_byte_ends_it_there),
        TEST(test_journal_foreign_file_is_recognised),
        TEST(test_journal_reopened_goes_on),
        cmocka_unit_test(test_lines_low_watermark_follows),
        cmocka_unit_test(test_lines_bits_are_used_again),
        TEST(test_resume_ordered_cuts_the_torn_line),
        TEST(test_resume_unordered_cuts_behind_the_journal),
        TEST(test_resume_unordered_file_shorter_than_its_journal),
        TEST(test_resume_unordered_before_the_first_record),
        TEST(test_resume_unordered_without_journal_is_complete),
        TEST(test_resume_refuses_what_it_cannot_go_on_with),
        TEST(test_resume_of_nothing_begins),
        TEST(test_output_file_and_journal_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
