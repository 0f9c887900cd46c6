/* state.c - --state. */
#include "cli/state.h"

#include <time.h>

#include "app/state_file.h"
#include "base/mem.h"
#include "cli/options.h"

enum rpcfan_err rf_cli_learn(const struct rf_cli *cli, rpcfan_client_t *client,
                             struct rpcfan_error *err)
{
    char *json = NULL;
    uint64_t age_ms;
    if (cli->state_path == NULL)
        return RPCFAN_OK;
    enum rpcfan_err rc = rf_state_read(cli->state_path, (int64_t)time(NULL), &json, &age_ms, err);
    if (rc == RPCFAN_OK && json != NULL) {
        rc = rpcfan_learn(client, json, age_ms, err);
        if (rc == RPCFAN_EINVAL) {
            rf_fail_prefix(err, "%.120s: ", cli->state_path);
            rc = RPCFAN_ECONFIG;
        }
    }
    rf_free(json);
    return rc;
}

void rf_cli_learned(const struct rf_cli *cli, rpcfan_client_t *client, char **text)
{
    char *newer = NULL;
    if (cli->state_path == NULL || rpcfan_learned(client, &newer) != RPCFAN_OK)
        return;
    rpcfan_free(*text);
    *text = newer;
}

int rf_cli_save(const struct rf_cli *cli, const char *text, int status)
{
    struct rpcfan_error err = {0};
    if (text == NULL ||
        rf_state_write(cli->state_path, (int64_t)time(NULL), text, &err) == RPCFAN_OK)
        return status;
    rf_cli_say("%s", err.text);
    return status == RF_EXIT_OK ? RF_EXIT_IO : status;
}
