/* config_endpoint.c - one endpoint of a configuration, with what libcyaml cannot describe: headers
 * and weights (mappings with free keys). Called by config.c, and for a profile by config_profile.c.
 */
#include <stdio.h>
#include <string.h>

#include "app/config_int.h"
#include "app/limit_text.h"

#define HEADERS_MAX 64
#define WEIGHTS_MAX 1024
#define WEIGHT_MAX 1000000000

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

static enum rpcfan_err build_weight(struct rf_config_build *b, const yaml_node_t *name,
                                    const yaml_node_t *value, struct rpcfan_weight *out)
{
    const char *text;
    uint64_t weight;
    enum rpcfan_err rc = rf_yaml_need_text(b->y, value, "a weight", b->err);
    if (rc == RPCFAN_OK)
        rc = rf_config_expand(b, name, rf_yaml_text(name), &out->method);
    if (rc == RPCFAN_OK)
        rc = rf_config_expand(b, value, rf_yaml_text(value), &text);
    if (rc != RPCFAN_OK)
        return rc;
    if (!rf_limit_method_ok(out->method))
        return rf_yaml_fail(b->y, name, b->err,
                            "a weight's key must be a method's name, or a prefix that ends in '*'");
    if (rf_config_number(text, &weight) != RPCFAN_OK || weight > WEIGHT_MAX)
        return rf_yaml_fail(b->y, value, b->err, "a weight must be a whole number from 0 to %d",
                            WEIGHT_MAX);
    out->weight = (uint32_t)weight;
    return RPCFAN_OK;
}

static bool has_weight(const struct rpcfan_weight *weights, size_t n, const char *method)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(weights[i].method, method) == 0)
            return true;
    }
    return false;
}

/* The endpoint's own come behind those of its profile, where a prefix wins over earlier ones. */
static enum rpcfan_err build_weights(struct rf_config_build *b, const yaml_node_t *node,
                                     struct rpcfan_endpoint_options *out)
{
    size_t n = rf_yaml_count(node), kept = 0;
    if (node->type != YAML_MAPPING_NODE)
        return rf_yaml_fail(b->y, node, b->err, "weights must be a mapping (method: weight)");
    if (n > WEIGHTS_MAX)
        return rf_yaml_fail(b->y, node, b->err, "weights holds %zu entries, at most %d are allowed",
                            n, WEIGHTS_MAX);
    struct rpcfan_weight *weights = rf_config_keep(b, (out->n_weights + n + 1) * sizeof *weights);
    if (weights == NULL)
        return RPCFAN_ENOMEM;
    struct rpcfan_weight *own = weights + out->n_weights;
    for (size_t i = 0; i < n; i++) {
        yaml_node_t *value;
        const yaml_node_t *name = rf_yaml_pair(b->y, node, i, &value);
        if (rf_yaml_repeats(b->y, node, i))
            return rf_yaml_fail(b->y, name, b->err, "a method's weight is given twice");
        enum rpcfan_err rc = build_weight(b, name, value, &own[i]);
        if (rc != RPCFAN_OK)
            return rc;
    }
    for (size_t i = 0; i < out->n_weights; i++) {
        if (!has_weight(own, n, out->weights[i].method))
            weights[kept++] = out->weights[i];
    }
    memmove(weights + kept, own, n * sizeof *own);
    out->weights = weights;
    out->n_weights = kept + n;
    return RPCFAN_OK;
}

static enum rpcfan_err build_limits(struct rf_config_build *b, const yaml_node_t *node,
                                    struct rpcfan_endpoint_options *out)
{
    return rf_config_limits(b, node, &out->limits, &out->n_limits);
}

enum rpcfan_err rf_config_lists(struct rf_config_build *b, const yaml_node_t *node,
                                struct rpcfan_endpoint_options *out)
{
    static const struct {
        const char *key;
        enum rpcfan_err (*build)(struct rf_config_build *b, const yaml_node_t *node,
                                 struct rpcfan_endpoint_options *out);
    } parts[] = {{"headers", build_headers}, {"limits", build_limits}, {"weights", build_weights}};

    enum rpcfan_err rc = RPCFAN_OK;
    for (size_t i = 0; i < RF_COUNT(parts) && rc == RPCFAN_OK; i++) {
        const yaml_node_t *part = rf_yaml_get(b->y, node, parts[i].key);
        if (part != NULL)
            rc = parts[i].build(b, part, out);
    }
    return rc;
}

enum rpcfan_err rf_config_endpoint(struct rf_config_build *b, const yaml_node_t *node,
                                   const struct rf_raw_endpoint *raw,
                                   struct rpcfan_endpoint_options *out)
{
    enum rpcfan_err rc = RPCFAN_OK;
    rpcfan_endpoint_options_init(out);
    if (raw->profile != NULL)
        rc = rf_config_profile(b, rf_yaml_get(b->y, node, "profile"), out);
    if (rc == RPCFAN_OK)
        rc = rf_config_store_all(b, &rf_config_tables[RF_TABLE_ENDPOINT], node, raw, out);
    if (rc == RPCFAN_OK)
        rc = rf_config_lists(b, node, out);
    return rc;
}
