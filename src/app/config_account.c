/* config_account.c - accounts: limits that several endpoints share. Called by config.c. */
#include <string.h>

#include "app/config_int.h"

static enum rpcfan_err build_account(struct rf_config_build *b, const yaml_node_t *node,
                                     const struct rf_raw_account *raw,
                                     struct rpcfan_account_options *out)
{
    const yaml_node_t *limits = rf_yaml_get(b->y, node, "limits");
    rpcfan_account_options_init(out);
    enum rpcfan_err rc =
        rf_config_store_all(b, &rf_config_tables[RF_TABLE_ACCOUNT], node, raw, out);
    if (rc == RPCFAN_OK)
        rc = rf_config_limits(b, limits, &out->limits, &out->n_limits);
    if (rc != RPCFAN_OK)
        return rc;
    if (out->n_limits == 0)
        return rf_yaml_fail(b->y, limits, b->err, "an account holds at least one limit");
    for (size_t i = 0; i < out->n_limits; i++) {
        if (out->limits[i].each)
            return rf_yaml_fail(b->y, rf_yaml_item(b->y, limits, i), b->err,
                                "a limit of an account holds for its methods together; give one "
                                "limit for each method instead of 'each'");
    }
    return RPCFAN_OK;
}

enum rpcfan_err rf_config_accounts(struct rf_config_build *b, const yaml_node_t *list,
                                   const struct rf_raw_config *raw, struct rpcfan_options *out)
{
    size_t n = raw->accounts_count;
    if (n == 0)
        return RPCFAN_OK;
    struct rpcfan_account_options *accounts = rf_config_keep(b, n * sizeof *accounts);
    if (accounts == NULL)
        return RPCFAN_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const yaml_node_t *node = rf_yaml_item(b->y, list, i);
        enum rpcfan_err rc = build_account(b, node, &raw->accounts[i], &accounts[i]);
        if (rc != RPCFAN_OK)
            return rc;
        for (size_t j = 0; j < i; j++) {
            if (strcmp(accounts[i].name, accounts[j].name) == 0)
                return rf_yaml_fail(b->y, rf_yaml_get(b->y, node, "name"), b->err,
                                    "two accounts are called '%s'", accounts[i].name);
        }
    }
    out->accounts = accounts;
    out->n_accounts = n;
    return RPCFAN_OK;
}

enum rpcfan_err rf_config_account_known(struct rf_config_build *b, const yaml_node_t *at,
                                        const char *name, const struct rpcfan_options *o)
{
    for (size_t i = 0; i < o->n_accounts; i++) {
        if (strcmp(o->accounts[i].name, name) == 0)
            return RPCFAN_OK;
    }
    return rf_yaml_fail(b->y, at, b->err,
                        "account '%s' is not defined; add it to 'accounts' at the top level", name);
}
