/* config.c - a configuration file turned into a client's options.
 *
 * 1. The text becomes a tree of nodes with lines (config_doc.c): syntax errors come from here.
 * 2. The tree is checked against the schema (config_check.c): unknown, missing and misplaced keys.
 * 3. libcyaml fills the structs of config_keys.h by the same schema.
 * 4. Each value gets its variables and is read strictly into the options (config_value.c). */
#include "app/config.h"

#include <stdio.h>
#include <string.h>

#include "app/config_int.h"
#include "base/mem.h"

#define PATH_SHOWN 120 /* a longer path is cut at its front, so that the message keeps its room */

/* Everything the options point to hangs on one chain. */
struct chunk {
    struct chunk *next;
    max_align_t data[];
};

struct rf_config {
    struct rpcfan_options options;
    struct chunk *chunks;
};

void *rf_config_keep(struct rf_config_build *b, size_t n)
{
    struct chunk *c = rf_alloc(sizeof *c + n);
    if (c == NULL) {
        rf_fail(b->err, RPCFAN_ENOMEM, "out of memory");
        return NULL;
    }
    c->next = b->cfg->chunks;
    b->cfg->chunks = c;
    return c->data;
}

struct rf_config *rf_config_new(void)
{
    struct rf_config *cfg = rf_alloc(sizeof *cfg);
    if (cfg != NULL)
        rpcfan_options_init(&cfg->options);
    return cfg;
}

const struct rpcfan_options *rf_config_options(const struct rf_config *cfg)
{
    return &cfg->options;
}

void rf_config_free(struct rf_config *cfg)
{
    if (cfg == NULL)
        return;
    while (cfg->chunks != NULL) {
        struct chunk *c = cfg->chunks;
        cfg->chunks = c->next;
        rf_free(c);
    }
    rf_free(cfg);
}

enum rpcfan_err rf_config_store_all(struct rf_config_build *b, const struct rf_config_table *table,
                                    const yaml_node_t *node, const void *raw, void *options)
{
    for (size_t i = 0; i < table->n_keys; i++) {
        const struct rf_config_key *key = &table->keys[i];
        const yaml_node_t *at = rf_yaml_get(b->y, node, key->key);
        const char *text = at != NULL ? rf_yaml_text(at) : NULL;
        if (raw != NULL)
            memcpy(&text, (const char *)raw + key->raw_at, sizeof text);
        if (text == NULL)
            continue;
        enum rpcfan_err rc = rf_config_store(b, key, at, text, options);
        if (rc != RPCFAN_OK)
            return rc;
    }
    return RPCFAN_OK;
}

/* A name that was not given is made as the client would make it, so that it can collide. */
static enum rpcfan_err default_name(struct rf_config_build *b, const char *prefix, size_t i,
                                    const char **name)
{
    if (*name != NULL)
        return RPCFAN_OK;
    char *made = rf_config_keep(b, strlen(prefix) + 21);
    if (made == NULL)
        return RPCFAN_ENOMEM;
    snprintf(made, strlen(prefix) + 21, "%s%zu", prefix, i + 1);
    *name = made;
    return RPCFAN_OK;
}

/* The name's line where it has one, else that of the mapping. */
static const yaml_node_t *name_node(struct rf_config_build *b, const yaml_node_t *map)
{
    const yaml_node_t *name = rf_yaml_get(b->y, map, "name");
    return name != NULL ? name : map;
}

static enum rpcfan_err build_endpoints(struct rf_config_build *b, const yaml_node_t *list,
                                       const struct rf_raw_network *raw,
                                       struct rpcfan_network_options *out)
{
    struct rpcfan_endpoint_options *eps = rf_config_keep(b, raw->endpoints_count * sizeof *eps);
    if (eps == NULL)
        return RPCFAN_ENOMEM;
    for (size_t i = 0; i < raw->endpoints_count; i++) {
        const yaml_node_t *node = rf_yaml_item(b->y, list, i);
        enum rpcfan_err rc = rf_config_endpoint(b, node, &raw->endpoints[i], &eps[i]);
        if (rc == RPCFAN_OK)
            rc = default_name(b, "ep", i, &eps[i].name);
        if (rc == RPCFAN_OK && eps[i].account != NULL)
            rc = rf_config_account_known(b, rf_yaml_get(b->y, node, "account"), eps[i].account,
                                         &b->cfg->options);
        if (rc != RPCFAN_OK)
            return rc;
        for (size_t j = 0; j < i; j++) {
            if (strcmp(eps[i].name, eps[j].name) == 0)
                return rf_yaml_fail(b->y, name_node(b, node), b->err,
                                    "two endpoints of network '%s' are called '%s'", out->name,
                                    eps[i].name);
        }
    }
    out->endpoints = eps;
    out->n_endpoints = raw->endpoints_count;
    return RPCFAN_OK;
}

/* The default quorum only matters where the policy asks for one. */
static enum rpcfan_err check_quorum(struct rf_config_build *b, const yaml_node_t *node,
                                    const struct rpcfan_network_options *net)
{
    const yaml_node_t *at = rf_yaml_get(b->y, node, "quorum");
    if (at == NULL && net->policy == RPCFAN_QUORUM)
        at = rf_yaml_get(b->y, node, "policy");
    if (at == NULL || net->quorum <= net->n_endpoints)
        return RPCFAN_OK;
    return rf_yaml_fail(
        b->y, at, b->err,
        "a quorum of %u needs as many endpoints, and network '%s' has %zu; add some, "
        "or lower 'quorum'",
        (unsigned)net->quorum, net->name, net->n_endpoints);
}

static enum rpcfan_err build_network(struct rf_config_build *b, const yaml_node_t *node,
                                     const struct rf_raw_network *raw, size_t i,
                                     struct rpcfan_network_options *out)
{
    rpcfan_network_options_init(out);
    enum rpcfan_err rc =
        rf_config_store_all(b, &rf_config_tables[RF_TABLE_NETWORK], node, raw, out);
    if (rc == RPCFAN_OK)
        rc = default_name(b, "net", i, &out->name);
    if (rc != RPCFAN_OK)
        return rc;
    if (raw->once_count > 0) {
        rc = rf_config_methods(b, rf_yaml_get(b->y, node, "once"), "an entry of once", &out->once);
        if (rc != RPCFAN_OK)
            return rc;
        out->n_once = raw->once_count;
    }
    rc = build_endpoints(b, rf_yaml_get(b->y, node, "endpoints"), raw, out);
    return rc == RPCFAN_OK ? check_quorum(b, node, out) : rc;
}

static enum rpcfan_err build_options(struct rf_config_build *b, const struct rf_raw_config *raw)
{
    struct rpcfan_options *o = &b->cfg->options;
    const yaml_node_t *root = rf_yaml_root(b->y);
    const yaml_node_t *list = rf_yaml_get(b->y, root, "networks");

    enum rpcfan_err rc = rf_config_store_all(b, &rf_config_tables[RF_TABLE_TOP], root, raw, o);
    if (rc == RPCFAN_OK)
        rc = rf_config_accounts(b, rf_yaml_get(b->y, root, "accounts"), raw, o);
    if (rc != RPCFAN_OK)
        return rc;
    struct rpcfan_network_options *nets = rf_config_keep(b, raw->networks_count * sizeof *nets);
    if (nets == NULL)
        return RPCFAN_ENOMEM;
    for (size_t i = 0; i < raw->networks_count; i++) {
        const yaml_node_t *node = rf_yaml_item(b->y, list, i);
        rc = build_network(b, node, &raw->networks[i], i, &nets[i]);
        if (rc != RPCFAN_OK)
            return rc;
        for (size_t j = 0; j < i; j++) {
            if (strcmp(nets[i].name, nets[j].name) == 0)
                return rf_yaml_fail(b->y, name_node(b, node), b->err,
                                    "two networks are called '%s'", nets[i].name);
        }
    }
    o->networks = nets;
    o->n_networks = raw->networks_count;
    return RPCFAN_OK;
}

/* libcyaml's memory comes from ours, so that tests can make it fail. */
static void *cyaml_memory(void *ctx, void *p, size_t n)
{
    (void)ctx;
    if (n > 0)
        return rf_realloc(p, n);
    rf_free(p);
    return NULL;
}

/* No log: it repeats values. The tree was checked, so what fails here was not foreseen. */
static const cyaml_config_t cyaml_settings = {.mem_fn = cyaml_memory, .flags = CYAML_CFG_DEFAULT};

static enum rpcfan_err load_raw(const struct rf_yaml *y, struct rpcfan_slice text,
                                struct rf_raw_config **raw, struct rpcfan_error *err)
{
    cyaml_data_t *data = NULL;
    cyaml_err_t rc = cyaml_load_data((const uint8_t *)text.data, text.len, &cyaml_settings,
                                     &rf_config_schema, &data, NULL);
    if (rc == CYAML_ERR_OOM)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    if (rc != CYAML_OK || data == NULL)
        return rf_yaml_fail(y, rf_yaml_root(y), err, "the file cannot be loaded: %s",
                            cyaml_strerror(rc));
    *raw = data;
    return RPCFAN_OK;
}

/* Relative paths count from here: the part of `name` up to its last slash. */
static char *directory_of(const char *name)
{
    const char *slash = strrchr(name, '/');
    return rf_memdup(name, slash != NULL ? (size_t)(slash - name) + 1 : 0);
}

enum rpcfan_err rf_config_load_text(const char *yaml, size_t len, const char *name,
                                    struct rf_config **out, struct rpcfan_error *err)
{
    struct rf_yaml y = {0};
    struct rf_raw_config *raw = NULL;
    struct rpcfan_slice text = {yaml, len};
    struct rf_config *cfg = rf_config_new();
    char *dir = directory_of(name);
    enum rpcfan_err rc;

    if (cfg == NULL || dir == NULL) {
        rc = rf_fail(err, RPCFAN_ENOMEM, "out of memory");
        goto out;
    }
    rc = rf_yaml_load(&y, yaml, len, name, err);
    if (rc == RPCFAN_OK && rf_yaml_root(&y) == NULL)
        rc =
            rf_yaml_fail(&y, NULL, err, "there is nothing in it; it must hold at least 'networks'");
    if (rc != RPCFAN_OK)
        goto out;
    rc = rf_config_check(&y, rf_yaml_root(&y), &rf_config_tables[RF_TABLE_TOP], err);
    if (rc != RPCFAN_OK)
        goto out;
    rc = load_raw(&y, text, &raw, err);
    if (rc != RPCFAN_OK)
        goto out;
    struct rf_config_build build = {cfg, &y, dir, err};
    rc = build_options(&build, raw);
    if (rc != RPCFAN_OK)
        goto out;
    *out = cfg;
    cfg = NULL;
out:
    cyaml_free(&cyaml_settings, &rf_config_schema, raw, 0);
    rf_yaml_fini(&y);
    rf_free(dir);
    rf_config_free(cfg);
    return rc;
}

enum rpcfan_err rf_config_load(const char *path, struct rf_config **out, struct rpcfan_error *err)
{
    char *text = NULL;
    size_t len = 0;
    enum rpcfan_err rc =
        rf_config_read_file(path, "the configuration", RF_CONFIG_BYTES_MAX, &text, &len, err);
    if (rc != RPCFAN_OK) {
        size_t n = strlen(path), cut = n > PATH_SHOWN ? n - PATH_SHOWN : 0;
        rf_fail_prefix(err, "%s%s: ", cut > 0 ? "..." : "", path + cut);
        return rc;
    }
    rc = rf_config_load_text(text, len, path, out, err);
    rf_free(text);
    return rc;
}
