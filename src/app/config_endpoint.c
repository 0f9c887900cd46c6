/* config_endpoint.c - one endpoint of a configuration, with what libcyaml cannot describe: headers
 * and weights (mappings with free keys) and limits (text or mapping). Called by config.c. */
#include <stdio.h>
#include <string.h>

#include "app/config_int.h"
#include "app/limit_text.h"

#define HEADERS_MAX 64
#define LIMITS_MAX 16
#define WEIGHTS_MAX 1024
#define WEIGHT_MAX 1000000000

enum rpcfan_err rf_config_methods(struct rf_config_build *b, const yaml_node_t *list,
                                  const char *what, const char *const **out)
{
    size_t n = rf_yaml_count(list);
    const char **names = rf_config_keep(b, (n + 1) * sizeof *names);
    if (names == NULL)
        return RPCFAN_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const yaml_node_t *item = rf_yaml_item(b->y, list, i);
        enum rpcfan_err rc = rf_config_expand(b, item, rf_yaml_text(item), &names[i]);
        if (rc != RPCFAN_OK)
            return rc;
        if (!rf_limit_method_ok(names[i]))
            return rf_yaml_fail(b->y, item, b->err,
                                "%s must be a method's name, or a prefix that ends in '*'", what);
    }
    *out = names;
    return RPCFAN_OK;
}

/* A header is one line, its name a token (RFC 9110): anything else could smuggle in another. */
static bool is_header(const char *line)
{
    size_t name = strspn(line, "!#$%&'*+-.^_`|~0123456789"
                               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    if (name == 0 || line[name] != ':')
        return false;
    for (const char *p = line; *p != '\0'; p++) {
        if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
            return false;
    }
    return true;
}

/* One header: of a list the whole line, of a mapping its name and value. */
static enum rpcfan_err build_header(struct rf_config_build *b, const yaml_node_t *name,
                                    const yaml_node_t *value, const char **out)
{
    enum rpcfan_err rc = rf_yaml_need_text(b->y, value, "a header", b->err);
    if (rc != RPCFAN_OK)
        return rc;
    rc = rf_config_expand(b, value, rf_yaml_text(value), out);
    if (rc != RPCFAN_OK)
        return rc;
    if (name != NULL) {
        size_t n = strlen(rf_yaml_text(name)) + 2 + strlen(*out) + 1;
        char *line = rf_config_keep(b, n);
        if (line == NULL)
            return RPCFAN_ENOMEM;
        snprintf(line, n, "%s: %s", rf_yaml_text(name), *out);
        *out = line;
    }
    if (!is_header(*out))
        return rf_yaml_fail(b->y, value, b->err,
                            "a header is 'Name: value', on one line, its name without blanks");
    return RPCFAN_OK;
}

static enum rpcfan_err build_headers(struct rf_config_build *b, const yaml_node_t *node,
                                     struct rpcfan_endpoint_options *out)
{
    size_t n = rf_yaml_count(node);
    if (node->type == YAML_SCALAR_NODE)
        return rf_yaml_fail(b->y, node, b->err,
                            "headers must be a mapping (Name: value) or a list of 'Name: value'");
    if (n > HEADERS_MAX)
        return rf_yaml_fail(b->y, node, b->err, "headers holds %zu entries, at most %d are allowed",
                            n, HEADERS_MAX);
    const char **lines = rf_config_keep(b, (n + 1) * sizeof *lines);
    if (lines == NULL)
        return RPCFAN_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        yaml_node_t *value, *name = NULL;
        if (node->type == YAML_MAPPING_NODE)
            name = rf_yaml_pair(b->y, node, i, &value);
        else
            value = rf_yaml_item(b->y, node, i);
        if (name != NULL && rf_yaml_repeats(b->y, node, i))
            return rf_yaml_fail(b->y, name, b->err,
                                "a header is given twice; use a list of 'Name: value' for that");
        enum rpcfan_err rc = build_header(b, name, value, &lines[i]);
        if (rc != RPCFAN_OK)
            return rc;
    }
    out->headers = lines;
    out->n_headers = n;
    return RPCFAN_OK;
}

static enum rpcfan_err build_weights(struct rf_config_build *b, const yaml_node_t *node,
                                     struct rpcfan_endpoint_options *out)
{
    size_t n = rf_yaml_count(node);
    if (node->type != YAML_MAPPING_NODE)
        return rf_yaml_fail(b->y, node, b->err, "weights must be a mapping (method: weight)");
    if (n > WEIGHTS_MAX)
        return rf_yaml_fail(b->y, node, b->err, "weights holds %zu entries, at most %d are allowed",
                            n, WEIGHTS_MAX);
    struct rpcfan_weight *weights = rf_config_keep(b, (n + 1) * sizeof *weights);
    if (weights == NULL)
        return RPCFAN_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        yaml_node_t *value;
        const char *text;
        uint64_t weight;
        const yaml_node_t *name = rf_yaml_pair(b->y, node, i, &value);
        if (rf_yaml_repeats(b->y, node, i))
            return rf_yaml_fail(b->y, name, b->err, "a method's weight is given twice");
        enum rpcfan_err rc = rf_yaml_need_text(b->y, value, "a weight", b->err);
        if (rc == RPCFAN_OK)
            rc = rf_config_expand(b, name, rf_yaml_text(name), &weights[i].method);
        if (rc == RPCFAN_OK)
            rc = rf_config_expand(b, value, rf_yaml_text(value), &text);
        if (rc != RPCFAN_OK)
            return rc;
        if (!rf_limit_method_ok(weights[i].method))
            return rf_yaml_fail(b->y, name, b->err,
                                "a weight's key must be a method's name, or a prefix that ends in "
                                "'*'");
        if (rf_config_number(text, &weight) != RPCFAN_OK || weight > WEIGHT_MAX)
            return rf_yaml_fail(b->y, value, b->err, "a weight must be a whole number from 0 to %d",
                                WEIGHT_MAX);
        weights[i].weight = (uint32_t)weight;
    }
    out->weights = weights;
    out->n_weights = n;
    return RPCFAN_OK;
}

/* The text form. Copied, because the parsed one is owned by itself. */
static enum rpcfan_err build_limit_text(struct rf_config_build *b, const yaml_node_t *node,
                                        struct rpcfan_limit *out)
{
    struct rpcfan_limit lim;
    const char *text;
    enum rpcfan_err rc = rf_yaml_need_text(b->y, node, "a limit", b->err);
    if (rc == RPCFAN_OK)
        rc = rf_config_expand(b, node, rf_yaml_text(node), &text);
    if (rc != RPCFAN_OK)
        return rc;
    struct rpcfan_error why;
    rc = rf_limit_parse(text, &lim, &why);
    if (rc == RPCFAN_ENOMEM)
        return rf_fail(b->err, RPCFAN_ENOMEM, "out of memory");
    if (rc != RPCFAN_OK)
        return rf_yaml_fail(b->y, node, b->err, "%s", why.text);
    *out = lim;
    out->methods = NULL;
    if (lim.n_methods > 0) {
        const char **names = rf_config_keep(b, lim.n_methods * sizeof *names);
        for (size_t i = 0; names != NULL && i < lim.n_methods; i++) {
            size_t n = strlen(lim.methods[i]) + 1;
            char *name = rf_config_keep(b, n);
            if (name == NULL) {
                names = NULL;
                break;
            }
            names[i] = memcpy(name, lim.methods[i], n);
        }
        out->methods = names;
        rc = names == NULL ? RPCFAN_ENOMEM : RPCFAN_OK;
    }
    rf_limit_fini(&lim);
    return rc;
}

static enum rpcfan_err build_limit_unit(struct rf_config_build *b, const yaml_node_t *node,
                                        struct rpcfan_limit *out)
{
    const char *text;
    if (node == NULL)
        return RPCFAN_OK;
    enum rpcfan_err rc = rf_config_expand(b, node, rf_yaml_text(node), &text);
    if (rc != RPCFAN_OK)
        return rc;
    if (strcmp(text, "weight") == 0)
        out->unit = RPCFAN_WEIGHT;
    else if (strcmp(text, "requests") != 0)
        return rf_yaml_fail(b->y, node, b->err, "unit must be requests or weight");
    return RPCFAN_OK;
}

static enum rpcfan_err build_limit_map(struct rf_config_build *b, const yaml_node_t *node,
                                       struct rpcfan_limit *out)
{
    const char *text;
    const yaml_node_t *count = rf_yaml_get(b->y, node, "count");
    const yaml_node_t *window = rf_yaml_get(b->y, node, "window");
    const yaml_node_t *methods = rf_yaml_get(b->y, node, "methods");

    enum rpcfan_err rc = rf_config_expand(b, count, rf_yaml_text(count), &text);
    if (rc != RPCFAN_OK)
        return rc;
    if (rf_config_number(text, &out->count) != RPCFAN_OK || out->count == 0)
        return rf_yaml_fail(b->y, count, b->err, "count must be a whole number, 1 or more");
    rc = rf_config_expand(b, window, rf_yaml_text(window), &text);
    if (rc != RPCFAN_OK)
        return rc;
    if (rf_limit_window(text, &out->window_ms) != RPCFAN_OK)
        return rf_yaml_fail(b->y, window, b->err,
                            "window must be a duration with a unit, from 1ms to 31d, of whole "
                            "milliseconds");
    rc = build_limit_unit(b, rf_yaml_get(b->y, node, "unit"), out);
    if (rc != RPCFAN_OK || methods == NULL)
        return rc;
    out->n_methods = rf_yaml_count(methods);
    return rf_config_methods(b, methods, "an entry of methods", &out->methods);
}

static enum rpcfan_err build_limits(struct rf_config_build *b, const yaml_node_t *node,
                                    struct rpcfan_endpoint_options *out)
{
    size_t n = rf_yaml_count(node);
    if (node->type != YAML_SEQUENCE_NODE)
        return rf_yaml_fail(b->y, node, b->err, "limits must be a list, such as [\"100/10s\"]");
    if (n > LIMITS_MAX)
        return rf_yaml_fail(b->y, node, b->err, "limits holds %zu entries, at most %d are allowed",
                            n, LIMITS_MAX);
    struct rpcfan_limit *limits = rf_config_keep(b, (n + 1) * sizeof *limits);
    if (limits == NULL)
        return RPCFAN_ENOMEM;
    enum rpcfan_err rc = RPCFAN_OK;
    for (size_t i = 0; i < n && rc == RPCFAN_OK; i++) {
        const yaml_node_t *item = rf_yaml_item(b->y, node, i);
        if (item->type != YAML_MAPPING_NODE) {
            rc = build_limit_text(b, item, &limits[i]);
            continue;
        }
        rc = rf_config_check(b->y, item, &rf_config_tables[RF_TABLE_LIMIT], b->err);
        if (rc == RPCFAN_OK)
            rc = build_limit_map(b, item, &limits[i]);
    }
    out->limits = limits;
    out->n_limits = n;
    return rc;
}

enum rpcfan_err rf_config_endpoint(struct rf_config_build *b, const yaml_node_t *node,
                                   const struct rf_raw_endpoint *raw,
                                   struct rpcfan_endpoint_options *out)
{
    static const struct {
        const char *key;
        enum rpcfan_err (*build)(struct rf_config_build *b, const yaml_node_t *node,
                                 struct rpcfan_endpoint_options *out);
    } parts[] = {{"headers", build_headers}, {"limits", build_limits}, {"weights", build_weights}};

    rpcfan_endpoint_options_init(out);
    enum rpcfan_err rc =
        rf_config_store_all(b, &rf_config_tables[RF_TABLE_ENDPOINT], node, raw, out);
    for (size_t i = 0; i < RF_COUNT(parts) && rc == RPCFAN_OK; i++) {
        const yaml_node_t *part = rf_yaml_get(b->y, node, parts[i].key);
        if (part != NULL)
            rc = parts[i].build(b, part, out);
    }
    return rc;
}
