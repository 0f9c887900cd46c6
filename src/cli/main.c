/* main.c - the command `rpcfan`: sorts the global options from the command's own, loads what they
 * name, and runs the command. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/options.h"

#define SPEC_MAX 64

static const char help[] =
    "Usage: rpcfan [global options] COMMAND [...]\n"
    "\n"
    "JSON-RPC calls to blockchain nodes: as fast as the nodes allow and never faster,\n"
    "each answered exactly once.\n"
    "\n"
    "  rpcfan call -u http://127.0.0.1:8545 eth_blockNumber\n"
    "  seq 1 1000 | rpcfan batch -u URL --rate 100/10s -m eth_getBalance \\\n"
    "      -p '[\"0x{}\",\"latest\"]' -o balances.ndjson --resume\n"
    "\n"
    "Commands ('rpcfan help COMMAND' tells more of each):\n"
    "  call METHOD [PARAM...]  one call; its result on stdout\n"
    "  batch [FILE]            a call for each line of FILE or stdin, an answer for\n"
    "                          each on stdout\n"
    "  subscribe METHOD [...]  notifications, a line each on stdout\n"
    "  index                   Solana accounts: a snapshot and every change, into a\n"
    "                          database or as lines on stdout\n"
    "  check                   validate a configuration; --live asks each endpoint\n"
    "  explain                 what an answer of a node means, and what would be done\n"
    "  sim                     a programmable fake node, to try things on\n"
    "  help [COMMAND]          help for the program or a command\n";

static const struct command {
    const char *name;
    rf_command *run;
    const struct rf_arg_spec *spec; /* its options; NULL: unknown ones are passed on */
    const size_t *spec_n;
    bool own; /* it takes all of its arguments as they are, global options included */
} commands[] = {
    {"call", cmd_call, rf_call_spec, &rf_call_spec_n, false},
    {"batch", cmd_batch, rf_batch_spec, &rf_batch_spec_n, false},
    {"subscribe", cmd_subscribe, rf_subscribe_spec, &rf_subscribe_spec_n, false},
    {"index", cmd_index, rf_index_spec, &rf_index_spec_n, false},
    {"check", cmd_check, NULL, NULL, false},
    {"explain", cmd_explain, rf_explain_spec, &rf_explain_spec_n, false},
    {"sim", cmd_sim, NULL, NULL, true},
};

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < RF_COUNT(commands); i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

/* The arguments that are left for the command: words as they are, options in their long form. */
struct rest {
    int argc;
    char **argv;     /* owned, and so are the strings from [1] on */
    bool words_only; /* `--` was added */
    bool help;
};

static enum rpcfan_err add_rest(struct rest *r, const char *name, const char *equals,
                                const char *text)
{
    size_t n = strlen(name) + strlen(equals) + strlen(text) + 1;
    char *s = rf_alloc(n);
    if (s == NULL)
        return RPCFAN_ENOMEM;
    snprintf(s, n, "%s%s%s", name, equals, text);
    r->argv[r->argc++] = s;
    return RPCFAN_OK;
}

static enum rpcfan_err add_word(struct rest *r, const char *word)
{
    if (word[0] == '-' && !r->words_only) {
        r->words_only = true;
        if (add_rest(r, "--", "", "") != RPCFAN_OK)
            return RPCFAN_ENOMEM;
    }
    return add_rest(r, "", "", word);
}

static enum rpcfan_err add_option(struct rest *r, const struct rf_args *args)
{
    char name[64];
    snprintf(name, sizeof name, "--%s", args->spec->name);
    r->help = r->help || strcmp(args->spec->name, "help") == 0;
    if (args->value == NULL)
        return add_rest(r, name, "", "");
    return add_rest(r, name, "=", args->value);
}

/* Options first, then words: a word that begins with a dash must have `--` before it, and nothing
 * but words may follow that. So the words are added in a second walk. */
static enum rpcfan_err sort_known(struct rf_globals *g, const struct command *cmd,
                                  struct rf_args args, struct rest *r, struct rpcfan_error *err)
{
    struct rf_arg_spec spec[SPEC_MAX];
    size_t n = *cmd->spec_n, globals = rf_global_spec_n;
    memcpy(spec, cmd->spec, n * sizeof *spec);
    memcpy(spec + n, rf_global_spec, globals * sizeof *spec);
    enum rpcfan_err rc = RPCFAN_OK;
    for (int walk = 0; walk < 2 && rc == RPCFAN_OK; walk++) {
        struct rf_args a = args;
        int key;
        while (rc == RPCFAN_OK && (key = rf_args_next(&a, spec, n + globals)) != RF_ARG_END) {
            if (key == RF_ARG_BAD)
                rc = rf_fail(err, RPCFAN_EINVAL, "%s", a.problem);
            else if (key == RF_ARG_WORD)
                rc = walk == 0 ? RPCFAN_OK : add_word(r, a.value);
            else if (walk == 1)
                continue;
            else if (a.spec < spec + n)
                rc = add_option(r, &a);
            else
                rc = rf_globals_take(g, key, a.value, err);
        }
    }
    return rc;
}

/* A command whose options are not known here: take the global ones out, leave the rest as it is. */
static enum rpcfan_err sort_unknown(struct rf_globals *g, struct rf_args args, struct rest *r,
                                    struct rpcfan_error *err)
{
    enum rpcfan_err rc = RPCFAN_OK;
    while (args.at < args.argc && rc == RPCFAN_OK) {
        const char *text = args.argv[args.at];
        struct rf_args one = args;
        int key = rf_args_next(&one, rf_global_spec, rf_global_spec_n);
        bool mine = key > 0 && one.cluster == NULL && strcmp(one.spec->name, "help") != 0;
        if (mine) {
            rc = rf_globals_take(g, key, one.value, err);
            args.at = one.at;
            continue;
        }
        r->help = r->help || strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0;
        rc = add_rest(r, "", "", text);
        args.at++;
    }
    return rc;
}

static void free_rest(struct rest *r)
{
    for (int i = 1; i < r->argc && r->argv != NULL; i++)
        rf_free(r->argv[i]);
    rf_free(r->argv);
}

static int print_version(void)
{
    printf("rpcfan %s\n", rpcfan_version());
    return fflush(stdout) == 0 ? RF_EXIT_OK : RF_EXIT_IO;
}

static int run(struct rf_globals *g, const struct command *cmd, const struct rf_args *args)
{
    struct rpcfan_error err = {0};
    struct rf_cli cli = {0};
    struct rest r = {0};
    enum rpcfan_err rc = RPCFAN_ENOMEM;
    int status;
    r.argv = rf_alloc(((size_t)args->argc + 3) * sizeof *r.argv);
    rf_fail(&err, rc, "out of memory");
    if (r.argv == NULL)
        goto out;
    r.argv[r.argc++] = args->argv[args->at - 1];
    rc = cmd->spec != NULL ? sort_known(g, cmd, *args, &r, &err) : sort_unknown(g, *args, &r, &err);
    if (rc == RPCFAN_OK && !r.help && !g->version)
        rc = rf_globals_build(g, &cli, &err);
out:
    if (rc == RPCFAN_OK && g->version)
        status = print_version();
    else if (rc == RPCFAN_OK)
        status = cmd->run(&cli, r.argc, r.argv);
    else if (rc == RPCFAN_EINVAL)
        status = rf_help_misuse(cmd->name, err.text);
    else {
        rf_cli_say("%s: %s", cmd->name, err.text);
        status = RF_EXIT_USAGE;
    }
    free_rest(&r);
    return status;
}

static int fail_command(const char *name)
{
    char text[160];
    snprintf(text, sizeof text,
             "unknown command '%.60s'; there are call, batch, subscribe, index, check, explain, "
             "sim and help",
             name);
    return rf_help_misuse("", text);
}

static int run_help(const char *name)
{
    struct rf_cli cli = {0};
    if (name == NULL)
        return rf_help_print(help, 1);
    const struct command *cmd = find_command(name);
    char option[] = "--help";
    char word[16];
    char *argv[] = {word, option, NULL};
    if (cmd == NULL)
        return fail_command(name);
    snprintf(word, sizeof word, "%s", cmd->name);
    return cmd->run(&cli, 2, argv);
}

static int start(struct rf_globals *g, int argc, char **argv)
{
    struct rpcfan_error err = {0};
    struct rf_args args = {.argc = argc, .argv = argv, .at = 1};
    int key;
    while ((key = rf_args_next(&args, rf_global_spec, rf_global_spec_n)) > 0) {
        if (rf_globals_take(g, key, args.value, &err) != RPCFAN_OK)
            return rf_help_misuse("", err.text);
        if (g->version)
            return print_version();
        if (g->help)
            return run_help(NULL);
    }
    if (key == RF_ARG_BAD)
        return rf_help_misuse("", args.problem);
    if (key == RF_ARG_END)
        return rf_help_misuse("", "no command; 'rpcfan help' lists them");
    if (strcmp(args.value, "help") == 0)
        return run_help(args.at < argc ? argv[args.at] : NULL);
    const struct command *cmd = find_command(args.value);
    if (cmd == NULL)
        return fail_command(args.value);
    if (cmd->own) {
        struct rf_cli cli = {0};
        return cmd->run(&cli, argc - args.at + 1, argv + args.at - 1);
    }
    return run(g, cmd, &args);
}

int main(int argc, char **argv)
{
    struct rf_globals g = {0};
    /* a closed stdout and a file at its limit are errors of write(), told with a remedy */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    int status = start(&g, argc, argv);
    rf_globals_fini(&g);
    return status;
}
