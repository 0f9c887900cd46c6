/* config_limit.c - the rate limits of an endpoint or an account, each a text or a mapping, and
 * lists of methods. Called by config.c, config_account.c and config_endpoint.c. */
#include <string.h>

#include "app/config_int.h"
#include "app/limit_text.h"

#define LIMITS_MAX 16

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

static enum rpcfan_err build_limit_each(struct rf_config_build *b, const yaml_node_t *node,
                                        struct rpcfan_limit *out)
{
    static const struct rf_config_key key = {
        "each", RF_CONFIG_BOOL, 0, offsetof(struct rpcfan_limit, each), 0, 0};
    return node != NULL ? rf_config_store(b, &key, node, rf_yaml_text(node), out) : RPCFAN_OK;
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
    if (rc == RPCFAN_OK)
        rc = build_limit_each(b, rf_yaml_get(b->y, node, "each"), out);
    if (rc != RPCFAN_OK || methods == NULL)
        return rc;
    out->n_methods = rf_yaml_count(methods);
    return rf_config_methods(b, methods, "an entry of methods", &out->methods);
}

enum rpcfan_err rf_config_limits(struct rf_config_build *b, const yaml_node_t *node,
                                 const struct rpcfan_limit **out, size_t *n_out)
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
    *out = limits;
    *n_out = n;
    return rc;
}
