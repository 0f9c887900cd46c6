/* state_file.c - a state file, read and written. */
#include "app/state_file.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/config_value.h"
#include "base/buf.h"
#include "base/mem.h"

#define VERSION 1
#define BYTES_MAX (16u * 1024 * 1024)
#define TEMP_SUFFIX ".XXXXXX"

static enum rpcfan_err fail_contents(const char *path, const char *what, struct rpcfan_error *err)
{
    return rf_fail(
        err, RPCFAN_ECONFIG,
        "%.120s: it is not a state file of rpcfan (%s); remove it to begin anew, or give "
        "another --state FILE",
        path, what);
}

/* What is wrong with the object; NULL: nothing. */
static const char *find_fault(const json_t *root)
{
    const json_t *saved = json_object_get(root, "saved");
    const json_t *version = json_object_get(root, "version");
    if (!json_is_object(root))
        return "it is no object";
    if (json_integer_value(version) != VERSION)
        return "its version is not 1";
    if (!json_is_integer(saved) || json_integer_value(saved) < 0)
        return "it does not say when it was saved";
    if (!json_is_object(json_object_get(root, "learned")))
        return "it holds nothing learned";
    return NULL;
}

static enum rpcfan_err take_contents(const char *path, const char *text, int64_t now_s, char **json,
                                     uint64_t *age_ms, struct rpcfan_error *err)
{
    enum rpcfan_err rc = RPCFAN_ENOMEM;
    json_error_t why;
    char *learned = NULL;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &why);
    const char *fault = root != NULL ? find_fault(root) : "it is not JSON";
    if (fault != NULL) {
        rc = fail_contents(path, fault, err);
        goto out;
    }
    learned = json_dumps(json_object_get(root, "learned"), JSON_COMPACT);
    *json = rf_strdup(learned);
    if (*json == NULL) {
        rf_fail(err, rc, "out of memory");
        goto out;
    }
    int64_t saved = json_integer_value(json_object_get(root, "saved"));
    uint64_t age_s = now_s > saved ? (uint64_t)(now_s - saved) : 0;
    *age_ms = rf_min_u64(age_s, UINT64_MAX / 1000) * 1000;
    rc = RPCFAN_OK;
out:
    free(learned);
    json_decref(root);
    return rc;
}

enum rpcfan_err rf_state_read(const char *path, int64_t now_s, char **json, uint64_t *age_ms,
                              struct rpcfan_error *err)
{
    char *text = NULL;
    size_t len = 0;
    *json = NULL;
    *age_ms = 0;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return RPCFAN_OK;
    enum rpcfan_err rc = rf_config_read_file(path, "the state file", BYTES_MAX, &text, &len, err);
    if (rc != RPCFAN_OK) {
        if (rc != RPCFAN_ENOMEM)
            rf_fail_prefix(err, "%.120s: ", path);
        return rc;
    }
    if (strlen(text) != len)
        rc = fail_contents(path, "it is not text", err);
    else
        rc = take_contents(path, text, now_s, json, age_ms, err);
    rf_free(text);
    return rc;
}

/* @return 0 or an errno. */
static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        data += n;
        len -= (size_t)n;
    }
    return fsync(fd) != 0 ? errno : 0;
}

/* The temporary file is beside the one that it replaces: a rename does not leave its disk. */
static int replace_file(const char *path, char *temp, const struct rf_buf *text)
{
    int fd = mkstemp(temp);
    if (fd < 0)
        return errno;
    int code = write_all(fd, text->data, text->len);
    if (close(fd) != 0 && code == 0)
        code = errno;
    if (code == 0 && rename(temp, path) != 0)
        code = errno;
    if (code != 0)
        unlink(temp);
    return code;
}

enum rpcfan_err rf_state_write(const char *path, int64_t now_s, const char *json,
                               struct rpcfan_error *err)
{
    struct rf_buf text = {0};
    json_error_t why;
    enum rpcfan_err rc = RPCFAN_ENOMEM;
    size_t size = strlen(path) + sizeof TEMP_SUFFIX;
    char *temp = rf_alloc(size);
    json_t *learned = json_loads(json, 0, &why);
    if (learned == NULL) {
        rc = rf_fail(err, RPCFAN_EINVAL, "what was learned is no JSON object");
        goto out;
    }
    rf_buf_printf(&text, "{\"version\":%d,\"saved\":%lld,\"learned\":", VERSION, (long long)now_s);
    rf_buf_str(&text, json);
    rf_buf_str(&text, "}\n");
    if (temp == NULL || text.failed) {
        rf_fail(err, rc, "out of memory");
        goto out;
    }
    snprintf(temp, size, "%s%s", path, TEMP_SUFFIX);
    int code = replace_file(path, temp, &text);
    rc = RPCFAN_OK;
    if (code != 0)
        rc = rf_fail(err, RPCFAN_EIO, "%.120s: what was learned cannot be saved: %s", path,
                     strerror(code));
out:
    json_decref(learned);
    rf_buf_fini(&text);
    rf_free(temp);
    return rc;
}
