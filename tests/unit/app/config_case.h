/* config_case.h - what the tests of the configuration share: texts around one line, loaded. */
#ifndef TESTS_UNIT_APP_CONFIG_CASE_H
#define TESTS_UNIT_APP_CONFIG_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/config.h"

/** Which mapping a line goes into. */
enum config_place { TOP, NETWORK, ENDPOINT };

#define CASE_FILE "case.yaml"

/* The line of the file that the case's line is on. */
#define LINE_TOP 1
#define LINE_NETWORK 4
#define LINE_ENDPOINT 7

/** A whole configuration with `line` in one of its mappings; "" for none. @return `out`. */
static inline const char *config_around(enum config_place place, const char *line, char *out,
                                        size_t size)
{
    snprintf(out, size,
             "%s\nnetworks:\n  - name: main\n    %s\n    endpoints:\n"
             "      - url: http://node.example/\n        %s\n",
             place == TOP ? line : "", place == NETWORK ? line : "", place == ENDPOINT ? line : "");
    return out;
}

/** Load a text that must be good. @return the configuration, owned by the caller. */
static inline struct rf_config *config_good(const char *yaml)
{
    struct rf_config *cfg = NULL;
    struct rpcfan_error err = {0};
    enum rpcfan_err rc = rf_config_load_text(yaml, strlen(yaml), CASE_FILE, &cfg, &err);
    if (rc != RPCFAN_OK)
        fail_msg("%s\n%s", err.text, yaml);
    return cfg;
}

/** Load a text that must be refused with RPCFAN_ECONFIG and exactly this text. */
static inline void config_bad(const char *yaml, const char *want)
{
    struct rf_config *cfg = NULL;
    struct rpcfan_error err = {0};
    enum rpcfan_err rc = rf_config_load_text(yaml, strlen(yaml), CASE_FILE, &cfg, &err);
    rf_config_free(cfg);
    if (rc != RPCFAN_ECONFIG || strcmp(err.text, want) != 0)
        fail_msg("code %d\n got: %s\nwant: %s\n%s", (int)rc, err.text, want, yaml);
}

#endif
