/* config_file.c - a configuration's files: read whole, with a cap. Called by config.c and
 * config_value.c. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "app/config_value.h"
#include "base/buf.h"

#define READ_STEP 16384

static enum rpcfan_err read_all(FILE *file, const char *what, size_t max, struct rf_buf *buf,
                                struct rpcfan_error *err)
{
    for (;;) {
        if (!rf_buf_reserve(buf, READ_STEP))
            return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
        size_t n = fread(buf->data + buf->len, 1, READ_STEP, file);
        buf->len += n;
        if (buf->len > max)
            return rf_fail(err, RPCFAN_ECONFIG, "%s is over %zu bytes: not a file of this kind",
                           what, max);
        if (n == 0 && ferror(file))
            return rf_fail(err, RPCFAN_EIO, "%s cannot be read: %s", what, strerror(errno));
        if (n == 0)
            return RPCFAN_OK;
    }
}

enum rpcfan_err rf_config_read_file(const char *path, const char *what, size_t max, char **text,
                                    size_t *len, struct rpcfan_error *err)
{
    enum rpcfan_err rc;
    struct rf_buf buf = {0};
    struct stat st;
    FILE *file = fopen(path, "rb");

    if (file == NULL)
        return rf_fail(err, RPCFAN_EIO, "%s cannot be opened: %s", what, strerror(errno));
    if (fstat(fileno(file), &st) == 0 && S_ISDIR(st.st_mode)) {
        rc = rf_fail(err, RPCFAN_EIO, "%s is a directory, not a file", what);
        goto out;
    }
    rc = read_all(file, what, max, &buf, err);
    if (rc != RPCFAN_OK)
        goto out;
    *len = buf.len;
    rf_buf_char(&buf, '\0');
    if (buf.failed) {
        rc = rf_fail(err, RPCFAN_ENOMEM, "out of memory");
        goto out;
    }
    *text = buf.data;
    buf.data = NULL;
out:
    fclose(file);
    rf_buf_fini(&buf);
    return rc;
}
