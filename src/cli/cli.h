/* cli.h - what the commands share: the global options, already turned into a client's options.
 * Used by main.c and each cmd_<name>.c. */
#ifndef RF_CLI_CLI_H
#define RF_CLI_CLI_H

#include "rpcfan/rpcfan.h"

/* Exit statuses (rpcfan(1), EXIT STATUS). */
#define RF_EXIT_OK 0
#define RF_EXIT_CALLS 1       /* some call ended in an error */
#define RF_EXIT_USAGE 2       /* usage or configuration */
#define RF_EXIT_IO 3          /* input or output failed */
#define RF_EXIT_INTERRUPT 130 /* interrupted; everything finished is flushed */

/* error.code of an error that the client itself made: -(39000 + enum rpcfan_err). Outside the range
 * that JSON-RPC keeps for itself (-32768 to -32000) and what nodes are known to use. */
#define RF_CLIENT_CODE(err) (-39000 - (int)(err))

struct rf_stderr_log;

/** The global options. */
struct rf_cli {
    const struct rpcfan_options *options; /* from -c or -u; NULL where neither was given */
    const char *config_path;              /* of -c; NULL: none */
    const char *network;                  /* of -n; NULL: the first */
    const char *rules;                    /* text of --rules' file; NULL: none */
    int has_family;
    enum rpcfan_family family; /* of --family; valid with has_family */
    uint64_t deadline_ms;      /* of --deadline; 0: the network's */
    enum rpcfan_policy policy; /* of each call, as in rpcfan_request */
    uint32_t quorum;
    enum rpcfan_split split;
    const char *state_path; /* of --state; NULL: none */
    int log_level;
    int log_json;
    int no_progress;
    struct rf_stderr_log *log; /* where options->log writes */
};

/** One command. @param argv from the command's own name on. @return an exit status. */
typedef int rf_command(struct rf_cli *cli, int argc, char **argv);

rf_command cmd_call;
rf_command cmd_batch;
rf_command cmd_subscribe;
rf_command cmd_index;
rf_command cmd_check;
rf_command cmd_explain;
rf_command cmd_sim;

#endif
