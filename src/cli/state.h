/* state.h - --state: what a client learns, kept from one run to the next. Called by the commands
 * that make calls; touches the state file. */
#ifndef RF_CLI_STATE_H
#define RF_CLI_STATE_H

#include "cli/cli.h"

/**
 * Tell a fresh client what the state file holds; nothing where there is no --state or no such file.
 * @return 0, or as rf_state_read() and rpcfan_learn(), with the file and the remedy in `err`.
 */
enum rpcfan_err rf_cli_learn(const struct rf_cli *cli, rpcfan_client_t *client,
                             struct rpcfan_error *err);

/** Take what the client has learned so far: it has to be asked before it closes.
 * @param text  replaced where there is something newer; owned: rpcfan_free() it. */
void rf_cli_learned(const struct rf_cli *cli, rpcfan_client_t *client, char **text);

/** Save what was taken; a failure is told on stderr. @param text NULL: nothing is saved.
 * @return `status`, or RF_EXIT_IO where that was RF_EXIT_OK and saving failed. */
int rf_cli_save(const struct rf_cli *cli, const char *text, int status);

#endif
