/* config_profile.c - puts a provider's profile under an endpoint. Called by config_endpoint.c, and
 * by the command for an endpoint without a configuration. Reads the profile's file.
 *
 * `profiles/NAME.yaml` in the directory of the configuration goes before what is compiled in, so
 * that a provider's new limits need no new program. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/config_int.h"
#include "app/profile.h"
#include "base/mem.h"

#define LABEL_MAX 128

static const struct rf_profile *find_built_in(const char *name)
{
    for (size_t i = 0; i < rf_profiles_n; i++) {
        if (strcmp(rf_profiles[i].name, name) == 0)
            return &rf_profiles[i];
    }
    return NULL;
}

/* `b` is the profile's own: its tree, and the endpoint's configuration to keep things in. */
static enum rpcfan_err apply_text(struct rf_config_build *b, struct rf_yaml *y,
                                  struct rpcfan_slice text, const char *label,
                                  struct rpcfan_endpoint_options *out)
{
    const struct rf_config_table *table = &rf_config_tables[RF_TABLE_PROFILE];
    enum rpcfan_err rc = rf_yaml_load(y, text.data, text.len, label, b->err);
    b->y = y;
    if (rc == RPCFAN_OK && rf_yaml_root(y) == NULL)
        rc = rf_yaml_fail(y, NULL, b->err,
                          "there is nothing in it; a profile holds keys of an endpoint");
    if (rc == RPCFAN_OK)
        rc = rf_config_check(y, rf_yaml_root(y), table, b->err);
    if (rc == RPCFAN_OK)
        rc = rf_config_store_all(b, table, rf_yaml_root(y), NULL, out);
    if (rc == RPCFAN_OK)
        rc = rf_config_lists(b, rf_yaml_root(y), out);
    return rc;
}

/* @return RPCFAN_EINVAL, without a text, where there is no such profile. */
static enum rpcfan_err apply(const struct rf_config_build *b, const char *name,
                             struct rpcfan_endpoint_options *out)
{
    struct rf_config_build own = *b;
    struct rf_yaml y = {0};
    char label[LABEL_MAX], *read = NULL;
    size_t len = 0;
    const struct rf_profile *built_in = find_built_in(name);
    enum rpcfan_err rc = RPCFAN_OK;
    size_t size = strlen(b->dir) + strlen(name) + sizeof "profiles/.yaml";
    char *path = rf_alloc(size);
    if (path == NULL)
        return rf_fail(b->err, RPCFAN_ENOMEM, "out of memory");
    snprintf(path, size, "%sprofiles/%s.yaml", b->dir, name);
    if (access(path, F_OK) == 0) {
        rc = rf_config_read_file(path, "the profile", RF_CONFIG_BYTES_MAX, &read, &len, b->err);
        if (rc == RPCFAN_OK)
            rc = apply_text(&own, &y, (struct rpcfan_slice){read, len}, path, out);
        else
            rf_fail_prefix(b->err, "profiles/%s.yaml: ", name);
    } else if (built_in == NULL) {
        rc = RPCFAN_EINVAL;
    } else {
        snprintf(label, sizeof label, "profile %s", name);
        rc = apply_text(&own, &y, (struct rpcfan_slice){built_in->yaml, strlen(built_in->yaml)},
                        label, out);
    }
    rf_yaml_fini(&y);
    rf_free(read);
    rf_free(path);
    return rc;
}

static const struct rf_config_key name_key = {"profile", RF_CONFIG_NAME, 0, 0, 0, 0};

enum rpcfan_err rf_config_profile(struct rf_config_build *b, const yaml_node_t *at,
                                  struct rpcfan_endpoint_options *out)
{
    const char *name;
    enum rpcfan_err rc = rf_config_store(b, &name_key, at, rf_yaml_text(at), &name);
    if (rc == RPCFAN_OK)
        rc = apply(b, name, out);
    if (rc == RPCFAN_EINVAL)
        rc =
            rf_yaml_fail(b->y, at, b->err,
                         "there is no profile '%s'; 'rpcfan check --profiles' lists those that are "
                         "built in, and profiles/%s.yaml beside this file would be another",
                         name, name);
    return rc;
}

enum rpcfan_err rf_profile_load(const char *name, struct rf_config **out,
                                const struct rpcfan_endpoint_options **ep, struct rpcfan_error *err)
{
    struct rf_config *cfg = rf_config_new();
    struct rf_config_build b = {cfg, NULL, "", err};
    struct rpcfan_endpoint_options *made = NULL;
    enum rpcfan_err rc = RPCFAN_ENOMEM;
    if (cfg == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    made = rf_config_keep(&b, sizeof *made);
    if (made != NULL) {
        rpcfan_endpoint_options_init(made);
        rc = strchr(name, '/') == NULL ? apply(&b, name, made) : RPCFAN_EINVAL;
    }
    if (rc == RPCFAN_EINVAL)
        rf_fail(err, rc,
                "there is no profile '%.64s'; 'rpcfan check --profiles' lists those that are built "
                "in, and profiles/%.64s.yaml in this directory would be another",
                name, name);
    if (rc != RPCFAN_OK) {
        rf_config_free(cfg);
        return rc;
    }
    *out = cfg;
    *ep = made;
    return RPCFAN_OK;
}
