/* test_index_options.c - what `rpcfan index` is told to do, and the feed and the name of the set of
 * accounts that come of it. */
#include "cli/index_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TOKEN "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
#define SYSTEM "11111111111111111111111111111111"

static struct rf_index_options o;
static char file[] = "/tmp/rpcfan-keys-XXXXXX";

static int fresh(void **state)
{
    (void)state;
    rf_index_options_fini(&o);
    return 0;
}

/* Take the words of a command line. @return NULL, or what is wrong. */
static const char *take(const char *line)
{
    static char text[600];
    char *argv[40] = {"index"};
    int argc = 1, key;
    snprintf(text, sizeof text, "%s", line);
    for (char *p = strtok(text, " "); p != NULL; p = strtok(NULL, " "))
        argv[argc++] = p;
    struct rf_args a = {.argc = argc, .argv = argv, .at = 1};
    const char *problem = NULL;
    while (problem == NULL &&
           (key = rf_args_next(&a, rf_index_spec, rf_index_spec_n)) != RF_ARG_END)
        problem = key == RF_ARG_BAD ? "bad" : rf_index_options_take(&o, &a, key);
    return problem;
}

static void must_take(const char *line)
{
    const char *problem = take(line);
    if (problem != NULL)
        fail_msg("%s: %s", line, problem);
}

static void must_load(void)
{
    struct rpcfan_error err = {0};
    if (rf_index_options_load(&o, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
}

static void expect_problem(const char *line, const char *text)
{
    fresh(NULL);
    const char *problem = take(line);
    if (problem == NULL)
        problem = rf_index_options_check(&o);
    if (problem == NULL || strstr(problem, text) == NULL)
        fail_msg("%s: '%s' lacks '%s'", line, problem != NULL ? problem : "", text);
}

static void write_keys(const char *text)
{
    FILE *f = fopen(file, "w");
    fputs(text, f);
    fclose(f);
}

static void test_program_with_filters(void **state)
{
    (void)state;
    struct rpcfan_feed_options fo;
    must_take("--program " TOKEN " --filter size=165 --filter memcmp=32:" SYSTEM
              " --filter {\"dataSize\":\t1} --db a.sqlite --commitment finalized"
              " --encoding base64+zstd --queue 10 --queue-bytes 1MiB --overflow block --sweep 5m"
              " --audit 0 --copies 2 --once --history --emit --for 90s --summary=json");
    assert_null(rf_index_options_check(&o));
    must_load();
    assert_string_equal(o.subject, "program " TOKEN " filters [{\"dataSize\":165},{\"memcmp\":"
                                   "{\"offset\":32,\"bytes\":\"" SYSTEM
                                   "\",\"encoding\":\"base58\"}},{\"dataSize\":1}]");
    rf_index_options_feed(&o, "net", &fo);
    assert_int_equal(fo.size, sizeof fo);
    assert_string_equal(fo.program, TOKEN);
    assert_string_equal(fo.filters, strchr(o.subject, '['));
    assert_string_equal(fo.network, "net");
    assert_int_equal(fo.n_accounts, 0);
    assert_int_equal(fo.commitment, RPCFAN_FINALIZED);
    assert_int_equal(fo.encoding, RPCFAN_BASE64_ZSTD);
    assert_int_equal(fo.overflow, RPCFAN_BLOCK);
    assert_int_equal(fo.queue_events, 10);
    assert_int_equal(fo.queue_bytes, 1048576);
    assert_int_equal(fo.sweep_ms, 300000);
    assert_int_equal(fo.audit_ms, 0);
    assert_int_equal(fo.copies, 2);
    assert_int_equal(fo.once, 1);
    assert_true(o.for_ns == 90 * RF_SEC);
    assert_int_equal(o.summary, RF_INDEX_JSON);
    assert_string_equal(rf_index_commitment(&o), "finalized");
}

static void test_defaults_are_the_feeds(void **state)
{
    (void)state;
    struct rpcfan_feed_options fo, plain;
    must_take("--program " TOKEN " --db a.sqlite");
    must_load();
    rf_index_options_feed(&o, NULL, &fo);
    rpcfan_feed_options_init(&plain);
    assert_int_equal(fo.queue_events, plain.queue_events);
    assert_int_equal(fo.queue_bytes, plain.queue_bytes);
    assert_int_equal(fo.sweep_ms, plain.sweep_ms);
    assert_int_equal(fo.audit_ms, plain.audit_ms);
    assert_int_equal(fo.copies, plain.copies);
    assert_int_equal(fo.overflow, plain.overflow);
    assert_int_equal(fo.commitment, RPCFAN_CONFIRMED);
    assert_null(fo.filters);
    assert_int_equal(fo.once, 0);
    assert_string_equal(o.subject, "program " TOKEN);
}

static void test_verify_reads_once(void **state)
{
    (void)state;
    struct rpcfan_feed_options fo;
    must_take("--program " TOKEN " --db a.sqlite --verify");
    must_load();
    rf_index_options_feed(&o, NULL, &fo);
    assert_int_equal(fo.once, 1);
}

/* Order, doubles, comments and line ends do not make another set. */
static void test_accounts_file(void **state)
{
    (void)state;
    char line[100], subject[100];
    snprintf(line, sizeof line, "--accounts %s --emit", file);
    write_keys("# mine\n" TOKEN "\n\n  " SYSTEM " # the system\r\n" TOKEN);
    must_take(line);
    must_load();
    assert_int_equal(o.n_keys, 2);
    assert_string_equal(o.key[0], SYSTEM);
    assert_string_equal(o.key[1], TOKEN);
    assert_memory_equal(o.subject, "2 accounts ", 11);
    assert_int_equal(strlen(o.subject), 11 + 16);
    snprintf(subject, sizeof subject, "%s", o.subject);
    fresh(NULL);
    write_keys(SYSTEM "\n" TOKEN "\n");
    must_take(line);
    must_load();
    assert_string_equal(o.subject, subject);
    fresh(NULL);
    write_keys(SYSTEM "\n");
    must_take(line);
    must_load();
    assert_string_not_equal(o.subject, subject);
}

static void test_bad_lines_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {{SYSTEM "\nnonsense!\n", "line 2: 'nonsense!' is no key"},
                {SYSTEM " " TOKEN "\n", "line 1: '" SYSTEM},
                {SYSTEM "1\n", "line 1"},
                {"# nothing\n", "holds no key"},
                {"", "holds no key"}};
    char line[100];
    snprintf(line, sizeof line, "--accounts %s --emit", file);
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct rpcfan_error err = {0};
        fresh(NULL);
        write_keys(rows[i].text);
        must_take(line);
        assert_int_equal(rf_index_options_load(&o, &err), RPCFAN_EINVAL);
        if (strstr(err.text, rows[i].says) == NULL)
            fail_msg("'%s' lacks '%s'", err.text, rows[i].says);
    }
    struct rpcfan_error err = {0};
    fresh(NULL);
    must_take("--accounts /nonexistent/keys --emit");
    assert_int_equal(rf_index_options_load(&o, &err), RPCFAN_EIO);
    assert_non_null(strstr(err.text, "/nonexistent/keys: No such file"));
}

static void test_mistakes(void **state)
{
    (void)state;
    expect_problem("--db x", "give --program KEY");
    expect_problem("--program " TOKEN " --accounts f --db x", "give --program KEY");
    expect_problem("--program abc", "--program: it is no key");
    expect_problem("--program " TOKEN, "give --db FILE");
    expect_problem("--program " TOKEN " --emit --history", "--history is kept in a database");
    expect_problem("--program " TOKEN " --verify", "--verify compares a database");
    expect_problem("--program " TOKEN " --db x --verify --emit", "--verify only compares");
    expect_problem("--accounts f --db x --filter size=1", "--filter goes with --program");
    expect_problem("--filter size=", "--filter: give");
    expect_problem("--filter size=12x", "--filter: give");
    expect_problem("--filter memcmp=1", "--filter: give");
    expect_problem("--filter memcmp=x:" SYSTEM, "--filter: give");
    expect_problem("--filter memcmp=1:0OIl", "--filter: give");
    expect_problem("--filter memcmp=1:", "--filter: give");
    expect_problem("--filter {", "--filter: give");
    expect_problem("--filter [1]", "--filter: give");
    expect_problem(
        "--filter size=1 --filter size=1 --filter size=1 --filter size=1 --filter size=1",
        "nodes take 4");
    expect_problem("--commitment sure", "--commitment: it is one of");
    expect_problem("--encoding hex", "--encoding: it is");
    expect_problem("--queue 0", "--queue: give");
    expect_problem("--queue-bytes much", "--queue-bytes: give");
    expect_problem("--overflow spill", "--overflow: it is one of");
    expect_problem("--sweep 10", "--sweep: give");
    expect_problem("--audit x", "--audit: give");
    expect_problem("--copies 3", "--copies: it is 1 or 2");
    expect_problem("--for 0s", "--for: give");
    expect_problem("--summary=xml", "--summary: it is");
    expect_problem("word", "no words are taken");
}

static int remove_file(void **state)
{
    fresh(state);
    return unlink(file);
}

#define CASE(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_program_with_filters), CASE(test_defaults_are_the_feeds),
        CASE(test_verify_reads_once),    CASE(test_accounts_file),
        CASE(test_bad_lines_are_named),  CASE(test_mistakes),
    };
    int fd = mkstemp(file);
    if (fd < 0)
        return 1;
    close(fd);
    return cmocka_run_group_tests(tests, NULL, remove_file);
}
