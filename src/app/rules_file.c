/* rules_file.c - reads a file of rules and checks it. */
#include "app/rules_file.h"

#include <stdio.h>
#include <string.h>

#include "app/config_value.h"
#include "base/mem.h"
#include "core/rules.h"

/* "rules line 3: text" becomes "FILE:3: text". */
static void name_file(const char *path, struct rpcfan_error *err)
{
    unsigned line = 0;
    int at = 0;
    char text[sizeof err->text];
    if (sscanf(err->text, "rules line %u: %n", &line, &at) != 1 || at == 0) {
        rf_fail_prefix(err, "%.100s: ", path);
        return;
    }
    snprintf(text, sizeof text, "%s", err->text + at);
    rf_fail(err, RPCFAN_ECONFIG, "%.100s:%u: %s", path, line, text);
}

enum rpcfan_err rf_rules_file_read(const char *path, char **text, struct rpcfan_error *err)
{
    struct rf_rules *rules = NULL;
    struct rpcfan_error why = {0};
    size_t len = 0;
    *text = NULL;
    enum rpcfan_err rc =
        rf_config_read_file(path, "the file of rules", RF_RULES_TEXT_MAX, text, &len, &why);
    if (rc == RPCFAN_OK && strlen(*text) != len)
        rc = rf_fail(&why, RPCFAN_ECONFIG, "it holds a zero byte, so it is no text");
    if (rc == RPCFAN_OK)
        rc = rf_rules_new(*text, &rules, &why);
    rf_rules_free(rules);
    if (rc == RPCFAN_OK)
        return rc;
    name_file(path, &why);
    rf_free(*text);
    *text = NULL;
    if (err != NULL)
        *err = why;
    return rc;
}
