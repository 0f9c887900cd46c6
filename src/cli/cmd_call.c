/* cmd_call.c - `rpcfan call METHOD [PARAM...]`: one call, its result on stdout. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/help.h"
#include "cli/options.h"
#include "cli/params.h"
#include "cli/state.h"

enum { OPT_HELP = 1 };

const struct rf_arg_spec rf_call_spec[] = {{OPT_HELP, 'h', "help", NULL}};
const size_t rf_call_spec_n = RF_COUNT(rf_call_spec);

static const char help[] =
    "Usage: rpcfan [global options] call METHOD [PARAM...]\n"
    "\n"
    "Makes one call and writes its result, as the node sent it, on stdout.\n"
    "\n"
    "  rpcfan call -u URL eth_blockNumber\n"
    "  rpcfan call -u URL eth_getBalance ADDRESS latest\n"
    "  rpcfan call -u URL getAccountInfo ADDRESS '{\"encoding\":\"base64\"}'\n"
    "\n"
    "Each PARAM is JSON where it parses as JSON, else a string: latest is a string,\n"
    "5, true and '[1,2]' are not, and '\"5\"' is one. A PARAM that begins with a dash\n"
    "and a letter goes behind '--'.\n"
    "\n"
    "Where the node answers with an error, its error object is written on stderr.\n"
    "\n"
    "Exit status: 0 there is a result; 1 the call ended in an error; 2 usage or\n"
    "configuration; 3 output failed.\n";

static int write_result(struct rpcfan_slice json)
{
    if (fwrite(json.data, 1, json.len, stdout) == json.len && putchar('\n') == '\n' &&
        fflush(stdout) == 0)
        return RF_EXIT_OK;
    rf_cli_say("writing stdout: %s", strerror(errno));
    return RF_EXIT_IO;
}

static int tell_error(const char *method, const rpcfan_result_t *res)
{
    enum rpcfan_err code = rpcfan_result_err(res);
    const char *endpoint = rpcfan_result_endpoint(res);
    const char *detail = rpcfan_result_detail(res);
    struct rpcfan_slice error = rpcfan_result_error_json(res);
    if (error.len > 0) {
        rf_stderr_write(error.data, error.len);
        rf_stderr_write("\n", 1);
    }
    rf_cli_say("%s: %s (%s%s%s, %u attempt%s)", method,
               detail[0] != '\0' ? detail : rpcfan_err_text(code), rpcfan_err_name(code),
               endpoint[0] != '\0' ? ", endpoint " : "", endpoint, rpcfan_result_attempts(res),
               rpcfan_result_attempts(res) == 1 ? "" : "s");
    return RF_EXIT_CALLS;
}

static int make_call(const struct rf_cli *cli, const char *method, const struct rf_buf *params)
{
    struct rpcfan_error err = {0};
    rpcfan_client_t *client = NULL;
    rpcfan_result_t *res = NULL;
    char *learned = NULL;
    int status;
    struct rpcfan_request req = {.size = sizeof req,
                                 .network = cli->network,
                                 .method = method,
                                 .params = params->len > 0 ? params->data : NULL,
                                 .params_len = params->len,
                                 .timeout_ms = cli->deadline_ms,
                                 .policy = cli->policy,
                                 .quorum = cli->quorum,
                                 .split = cli->split};
    enum rpcfan_err rc = rpcfan_client_new(cli->options, &client, &err);
    if (rc == RPCFAN_OK)
        rc = rf_cli_learn(cli, client, &err);
    if (rc == RPCFAN_OK)
        rc = rpcfan_call_wait(client, &req, &res, &err);
    if (rc != RPCFAN_OK) {
        rf_cli_say("call: %s", err.text[0] != '\0' ? err.text : rpcfan_err_text(rc));
        status = rc == RPCFAN_EINVAL || rc == RPCFAN_ECONFIG ? RF_EXIT_USAGE
                 : rc == RPCFAN_EIO && client != NULL        ? RF_EXIT_IO
                                                             : RF_EXIT_CALLS;
    } else if (rpcfan_result_err(res) == RPCFAN_OK) {
        status = write_result(rpcfan_result_json(res));
    } else {
        status = tell_error(method, res);
    }
    if (res != NULL)
        rf_cli_learned(cli, client, &learned);
    status = rf_cli_save(cli, learned, status);
    rpcfan_result_unref(res);
    rpcfan_client_free(client);
    rpcfan_free(learned);
    return status;
}

int cmd_call(struct rf_cli *cli, int argc, char **argv)
{
    struct rf_args args = {.argc = argc, .argv = argv, .at = 1};
    struct rf_buf params = {0};
    const char *method = NULL;
    int key, status;
    while ((key = rf_args_next(&args, rf_call_spec, rf_call_spec_n)) != RF_ARG_END) {
        if (key == RF_ARG_BAD || key == OPT_HELP)
            break;
        if (method == NULL)
            method = args.value;
        else
            rf_params_add(&params, args.value);
    }
    rf_params_end(&params);
    if (key == OPT_HELP) {
        status = rf_help_print(help, 1);
    } else if (key == RF_ARG_BAD) {
        status = rf_help_misuse("call", args.problem);
    } else if (method == NULL || *method == '\0') {
        status = rf_help_misuse("call", "no method; name one, such as eth_blockNumber");
    } else if (cli->options == NULL) {
        status =
            rf_help_misuse("call", "no endpoint: give -u URL, or -c FILE with a configuration");
    } else if (params.failed) {
        rf_cli_say("call: out of memory");
        status = RF_EXIT_CALLS;
    } else {
        status = make_call(cli, method, &params);
    }
    rf_buf_fini(&params);
    return status;
}
