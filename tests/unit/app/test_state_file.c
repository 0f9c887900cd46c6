/* test_state_file.c - what was learned, from one run to the next: written whole or not at all, read
 * with its age, and refused with a remedy where it is broken. */
#include "app/state_file.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

#define NOW 1790000000
#define LEARNED "{\"main\":{\"ep1\":{\"batch\":7}}}"

static char dir[256], path[300];

static int make_dir(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/rf-state-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/learned.state", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir); /* fails where a temporary file was left behind */
}

static unsigned count_files(void)
{
    unsigned n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void write_text(const char *text, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static void test_state_written_and_read(void **state)
{
    (void)state;
    struct rpcfan_error err = {0};
    char *json = NULL;
    uint64_t age_ms = 1;
    assert_int_equal(rf_state_write(path, NOW, LEARNED, &err), RPCFAN_OK);
    assert_int_equal(count_files(), 1);
    assert_int_equal(rf_state_read(path, NOW + 90, &json, &age_ms, &err), RPCFAN_OK);
    assert_string_equal(json, LEARNED);
    assert_int_equal(age_ms, 90000);
    rf_free(json);
    /* it takes the place of an older one */
    assert_int_equal(rf_state_write(path, NOW + 100, "{ }", &err), RPCFAN_OK);
    assert_int_equal(count_files(), 1);
    assert_int_equal(rf_state_read(path, NOW, &json, &age_ms, &err), RPCFAN_OK);
    assert_string_equal(json, "{}");
    assert_int_equal(age_ms, 0); /* the clock was set back */
    rf_free(json);
}

static void test_state_missing_is_none(void **state)
{
    (void)state;
    struct rpcfan_error err = {0};
    char *json = (char *)1;
    uint64_t age_ms = 1;
    unlink(path);
    assert_int_equal(rf_state_read(path, NOW, &json, &age_ms, &err), RPCFAN_OK);
    assert_null(json);
}

static void test_state_broken_is_told_with_a_remedy(void **state)
{
    (void)state;
    static const struct {
        const char *text, *saying;
    } cases[] = {
        {"", "not JSON"},
        {"{\"version\":1,\"saved\":5,\"learned\":{}", "not JSON"},
        {"[]", "no object"},
        {"{}", "version"},
        {"{\"version\":2,\"saved\":5,\"learned\":{}}", "version"},
        {"{\"version\":1,\"saved\":\"5\",\"learned\":{}}", "when it was saved"},
        {"{\"version\":1,\"saved\":-5,\"learned\":{}}", "when it was saved"},
        {"{\"version\":1,\"saved\":5}", "nothing learned"},
        {"{\"version\":1,\"saved\":5,\"learned\":[]}", "nothing learned"},
        {"{\"version\":1,\"version\":1,\"saved\":5,\"learned\":{}}", "not JSON"},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rpcfan_error err = {0};
        char *json = NULL;
        uint64_t age_ms;
        write_text(cases[i].text, strlen(cases[i].text));
        assert_int_equal(rf_state_read(path, NOW, &json, &age_ms, &err), RPCFAN_ECONFIG);
        assert_null(json);
        if (strstr(err.text, cases[i].saying) == NULL || strstr(err.text, path) != err.text ||
            strstr(err.text, "remove it") == NULL)
            fail_msg("%s: %s", cases[i].text, err.text);
        assert_int_equal(rf_state_read(path, NOW, &json, &age_ms, NULL), RPCFAN_ECONFIG);
    }
    struct rpcfan_error err = {0};
    char *json = NULL;
    uint64_t age_ms;
    write_text("{}\0{}", 5);
    assert_int_equal(rf_state_read(path, NOW, &json, &age_ms, &err), RPCFAN_ECONFIG);
    assert_int_equal(rf_state_read(dir, NOW, &json, &age_ms, &err), RPCFAN_EIO);
    assert_non_null(strstr(err.text, "directory"));
}

static void test_state_that_cannot_be_written(void **state)
{
    (void)state;
    struct rpcfan_error err = {0};
    char none[400];
    write_text("old", 3);
    assert_int_equal(rf_state_write(path, NOW, "{", &err), RPCFAN_EINVAL);
    snprintf(none, sizeof none, "%s/none/x.state", dir);
    assert_int_equal(rf_state_write(none, NOW, LEARNED, &err), RPCFAN_EIO);
    assert_true(strstr(err.text, none) == err.text);
    /* a directory of that name cannot be replaced; nothing is left behind */
    snprintf(none, sizeof none, "%s/sub", dir);
    assert_int_equal(mkdir(none, 0700), 0);
    assert_int_equal(rf_state_write(none, NOW, LEARNED, &err), RPCFAN_EIO);
    assert_int_equal(rmdir(none), 0);
    assert_int_equal(count_files(), 1);
}

static void test_state_out_of_memory(void **state)
{
    (void)state;
    struct rpcfan_error err = {0};
    char *json = NULL;
    uint64_t age_ms, n = 1;
    enum rpcfan_err rc;
    do {
        rf_alloc_fail_at(n++);
        rc = rf_state_write(path, NOW, LEARNED, &err);
        rf_alloc_fail_at(0);
        assert_true(rc == RPCFAN_OK || rc == RPCFAN_ENOMEM);
    } while (rc != RPCFAN_OK);
    assert_true(n > 2);
    n = 1;
    do {
        rf_alloc_fail_at(n++);
        rc = rf_state_read(path, NOW, &json, &age_ms, &err);
        rf_alloc_fail_at(0);
        assert_true(rc == RPCFAN_OK || rc == RPCFAN_ENOMEM);
    } while (rc != RPCFAN_OK);
    rf_free(json);
    assert_true(n > 2);
    assert_int_equal(count_files(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_state_written_and_read),
        cmocka_unit_test(test_state_missing_is_none),
        cmocka_unit_test(test_state_broken_is_told_with_a_remedy),
        cmocka_unit_test(test_state_that_cannot_be_written),
        cmocka_unit_test(test_state_out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
