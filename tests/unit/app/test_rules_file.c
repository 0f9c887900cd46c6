/* test_rules_file.c - files of rules: read, checked, and refused with the file's name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/rules_file.h"
#include "base/mem.h"

static char path[300];

static int make_path(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/rf-rules-XXXXXX", tmp != NULL ? tmp : "/tmp");
    int fd = mkstemp(path);
    return fd >= 0 ? close(fd) : -1;
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path);
}

static enum rpcfan_err read_back(const char *text, size_t len, char **out, struct rpcfan_error *err)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    return rf_rules_file_read(path, out, err);
}

static void test_rules_file_good(void **state)
{
    (void)state;
    struct rpcfan_error err = {0};
    char *text = NULL;
    static const char rule[] = "a app \"x\"\n";
    assert_int_equal(read_back(rule, strlen(rule), &text, &err), RPCFAN_OK);
    assert_string_equal(text, rule);
    rf_free(text);
    assert_int_equal(read_back("", 0, &text, &err), RPCFAN_OK);
    assert_string_equal(text, "");
    rf_free(text);
}

static void refused(const char *text, size_t len, enum rpcfan_err code, const char *want)
{
    struct rpcfan_error err = {0};
    char *out = NULL;
    assert_int_equal(read_back(text, len, &out, &err), code);
    assert_null(out);
    if (strncmp(err.text, path, strlen(path)) != 0 || strstr(err.text, want) == NULL)
        fail_msg("told '%s', not '%s'", err.text, want);
    assert_int_equal(rf_rules_file_read(path, &out, NULL), code);
}

static void test_rules_file_bad(void **state)
{
    (void)state;
    refused("\na b \"x\"", 8, RPCFAN_ECONFIG, ":2: 'b' is no class; there are rate");
    refused("a app \"x\"\0", 10, RPCFAN_ECONFIG, "it holds a zero byte");
    struct rpcfan_error err = {0};
    char *out = NULL;
    assert_int_equal(rf_rules_file_read("/none/at/all", &out, &err), RPCFAN_EIO);
    assert_non_null(strstr(err.text, "/none/at/all: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_file_good),
        cmocka_unit_test(test_rules_file_bad),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
