/* client_file.c - a client made from a configuration file: the public rpcfan_client_from_file(). */
#include "app/config.h"

enum rpcfan_err rpcfan_client_from_file(const char *path, struct uv_loop_s *loop,
                                        rpcfan_client_t **out, struct rpcfan_error *err)
{
    struct rf_config *cfg;
    if (path == NULL || out == NULL)
        return rf_fail(err, RPCFAN_EINVAL, "path and out must not be NULL");
    enum rpcfan_err rc = rf_config_load(path, &cfg, err);
    if (rc != RPCFAN_OK)
        return rc;
    struct rpcfan_options options = *rf_config_options(cfg);
    options.loop = loop;
    rc = rpcfan_client_new(&options, out, err);
    rf_config_free(cfg);
    return rc;
}
