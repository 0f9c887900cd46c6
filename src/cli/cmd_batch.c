/* cmd_batch.c - `rpcfan batch`: its options, and the setting up and taking down of a run. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/batch_run.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "cli/state.h"

#define WINDOW_DEFAULT 16384
#define WINDOW_MAX 1048576

enum {
    OPT_METHOD = 1,
    OPT_PARAMS,
    OPT_OUTPUT,
    OPT_RESUME,
    OPT_UNORDERED,
    OPT_WINDOW,
    OPT_SUMMARY,
    OPT_HELP
};

const struct rf_arg_spec rf_batch_spec[] = {
    {OPT_METHOD, 'm', "method", "METHOD"},     {OPT_PARAMS, 'p', "params", "TEMPLATE"},
    {OPT_OUTPUT, 'o', "output", "FILE"},       {OPT_RESUME, 0, "resume", NULL},
    {OPT_UNORDERED, 0, "unordered", NULL},     {OPT_WINDOW, 0, "window", "N"},
    {OPT_SUMMARY, 0, "summary", "=text|json"}, {OPT_HELP, 'h', "help", NULL},
};
const size_t rf_batch_spec_n = RF_COUNT(rf_batch_spec);

static const char help[] =
    "Usage: rpcfan [global options] batch [options] [FILE]\n"
    "\n"
    "Makes a call of each line of FILE (or stdin) and writes one line for each, in\n"
    "the order of the input. Memory is flat at any length.\n"
    "\n"
    "  rpcfan batch -u URL requests.ndjson > answers.ndjson\n"
    "  seq 1 100000 | rpcfan batch -u URL -m eth_getBalance -p '[\"0x{}\",\"latest\"]'\n"
    "\n"
    "A line is a JSON-RPC request object ('id' and 'jsonrpc' may be left out) or,\n"
    "with -m, any text. An answer is a JSON-RPC 2.0 response object with the id of\n"
    "the line, or with its number where it has none. A bad line is answered with an\n"
    "error object. Errors of the client itself have codes from -39001 on, see\n"
    "rpcfan(1).\n"
    "\n"
    "  -m, --method METHOD     a line is a parameter of METHOD, not a request object\n"
    "  -p, --params TEMPLATE   params with {} where the line goes: escaped inside a\n"
    "                          string, as JSON elsewhere; an empty object is { };\n"
    "                          default: [LINE], as a string where it is not JSON\n"
    "  -o, --output FILE       write to FILE; it must not exist, or be empty\n"
    "      --resume            go on with FILE where an earlier run ended, even by\n"
    "                          kill -9: no line is lost, none is answered twice; the\n"
    "                          input is given again from its beginning\n"
    "      --unordered         write answers as they come; with -o, FILE.journal\n"
    "                          stands beside FILE until all is done\n"
    "      --window N          lines under way or waiting to be written at most;\n"
    "                          default 16384\n"
    "      --summary[=json]    at the end tell on stderr what it came to\n"
    "  -h, --help              this text\n"
    "\n"
    "Interrupted once (Ctrl-C), calls on the wire end and are written; twice, it\n"
    "stops at once.\n"
    "\n"
    "Exit status: 0 every call has a result; 1 some call ended in an error; 2 usage\n"
    "or configuration; 3 input or output failed; 130 interrupted.\n";

struct options {
    const char *method, *params, *output, *input;
    bool resume, unordered, help;
    uint32_t window;
    enum { SUMMARY_NONE, SUMMARY_TEXT, SUMMARY_JSON } summary;
};

static bool take_window(const char *text, uint32_t *window)
{
    uint64_t v = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9' && v <= WINDOW_MAX; p++)
        v = v * 10 + (uint64_t)(*p - '0');
    *window = (uint32_t)v;
    return p != text && *p == '\0' && v >= 1 && v <= WINDOW_MAX;
}

/* @return NULL, or what is wrong. */
static const char *take_option(struct options *o, int key, const char *value)
{
    switch (key) {
    case OPT_METHOD:
        o->method = value;
        return *value != '\0' ? NULL : "--method is empty; name one, such as eth_getBalance";
    case OPT_PARAMS:
        o->params = value;
        return NULL;
    case OPT_OUTPUT:
        o->output = value;
        return NULL;
    case OPT_RESUME:
        o->resume = true;
        return NULL;
    case OPT_UNORDERED:
        o->unordered = true;
        return NULL;
    case OPT_WINDOW:
        return take_window(value, &o->window) ? NULL
                                              : "--window: give a whole number from 1 to 1048576";
    case OPT_SUMMARY:
        o->summary = value != NULL && strcmp(value, "json") == 0 ? SUMMARY_JSON : SUMMARY_TEXT;
        if (value != NULL && o->summary == SUMMARY_TEXT && strcmp(value, "text") != 0)
            return "--summary: it is 'text' or 'json'";
        return NULL;
    case OPT_HELP:
        o->help = true;
        return NULL;
    default: /* RF_ARG_WORD */
        if (o->input != NULL)
            return "one FILE at most; several: cat FILE... | rpcfan batch";
        o->input = value;
        return NULL;
    }
}

static const char *check_options(const struct options *o, const struct rf_cli *cli)
{
    if (o->params != NULL && o->method == NULL)
        return "--params needs --method: -m METHOD -p TEMPLATE";
    if (o->resume && o->output == NULL)
        return "--resume needs a file to go on with: -o FILE --resume";
    if (cli->options == NULL)
        return "no endpoint: give -u URL, or -c FILE with a configuration";
    return NULL;
}

static int open_input(struct rf_batch *b, const char *path)
{
    struct stat st;
    bool from_stdin = path == NULL || strcmp(path, "-") == 0;
    int fd = from_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    b->input_name = from_stdin ? "stdin" : path;
    rf_input_init(&b->in, fd, RF_BATCH_LINE_MAX);
    if (fd < 0 || fstat(fd, &st) != 0) {
        rf_cli_say("reading %s: %s", b->input_name, strerror(errno));
        return RF_EXIT_IO;
    }
    if (S_ISDIR(st.st_mode)) {
        rf_cli_say("reading %s: it is a directory", path);
        return RF_EXIT_IO;
    }
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (S_ISREG(st.st_mode) && at >= 0 && st.st_size > at)
        b->input_size = (uint64_t)(st.st_size - at);
    return RF_EXIT_OK;
}

/* One file for both would be read while it is written. */
static bool same_file(int a, int b)
{
    struct stat sa, sb;
    return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && S_ISREG(sa.st_mode) &&
           sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static int open_output(struct rf_batch *b, const struct options *o)
{
    struct rpcfan_error err = {0};
    enum rpcfan_err rc = RPCFAN_OK;
    b->to_file = o->output != NULL;
    if (b->to_file)
        rc = rf_resume_open(&b->resume, &b->out, o->output, o->resume, !o->unordered, &err);
    else
        rf_output_init(&b->out, STDOUT_FILENO, "stdout", false);
    if (rc == RPCFAN_OK && same_file(b->in.fd, b->out.fd))
        rc = rf_fail(&err, RPCFAN_EINVAL, "%s is input and output at once; give another -o FILE",
                     b->input_name);
    b->tally.before = b->resume.lines;
    b->tally.before_errors = b->resume.errors;
    if (rc == RPCFAN_OK)
        return RF_EXIT_OK;
    rf_cli_say("batch: %s", err.text);
    return rc == RPCFAN_EINVAL ? RF_EXIT_USAGE : RF_EXIT_IO;
}

static int start_client(struct rf_batch *b, uint32_t window)
{
    struct rpcfan_error err = {0};
    const struct rpcfan_options *opts = b->cli->options;
    uint64_t deadline_ms = b->cli->deadline_ms;
    if (deadline_ms == 0)
        deadline_ms = rf_cli_network(b->cli)->deadline_ms;
    rf_pace_init(&b->pace, window < opts->pending_calls ? window : opts->pending_calls,
                 deadline_ms * RF_MS);
    rf_signals_block();
    enum rpcfan_err rc = rpcfan_client_new(opts, &b->client, &err);
    b->signal_fd = rf_signals_take();
    if (rc == RPCFAN_OK)
        rc = rpcfan_cq_new(b->client, &b->cq);
    if (rc == RPCFAN_OK)
        rc = rf_cli_learn(b->cli, b->client, &err);
    if (rc == RPCFAN_OK)
        return RF_EXIT_OK;
    rf_cli_say("batch: %s", err.text[0] != '\0' ? err.text : rpcfan_err_text(rc));
    return rc == RPCFAN_EINVAL || rc == RPCFAN_ECONFIG ? RF_EXIT_USAGE : RF_EXIT_IO;
}

static int prepare(struct rf_batch *b, const struct options *o)
{
    struct rpcfan_error err = {0};
    b->maker.method = o->method;
    if (o->params != NULL && rf_template_init(&b->maker.template, o->params, &err) != RPCFAN_OK) {
        rf_cli_say("batch: --params: %s", err.text);
        return RF_EXIT_USAGE;
    }
    if (!rf_ring_init(&b->ring, o->window, !o->unordered)) {
        rf_cli_say("batch: out of memory; a smaller --window needs less");
        return RF_EXIT_IO;
    }
    int status = open_input(b, o->input);
    if (status == RF_EXIT_OK)
        status = open_output(b, o);
    if (status == RF_EXIT_OK)
        status = start_client(b, o->window);
    return status;
}

static void tell_summary(struct rf_batch *b, const struct options *o)
{
    struct rf_buf text = {0};
    if (o->summary == SUMMARY_JSON)
        rf_summary_json(&text, &b->tally, &b->status);
    else if (o->summary == SUMMARY_TEXT)
        rf_summary_text(&text, &b->tally, &b->status);
    rf_stderr_write(text.data, text.len);
    rf_buf_fini(&text);
}

static int take_down(struct rf_batch *b, int status)
{
    rf_progress_fini(&b->progress);
    rf_ring_fini(&b->ring);
    rpcfan_cq_free(b->cq);
    rpcfan_client_free(b->client);
    status = rf_cli_save(b->cli, b->learned, status);
    rpcfan_free(b->learned);
    bool journal = b->out.journal.fd >= 0;
    const char *name = b->out.name;
    int code = b->client != NULL || b->out.owned ? rf_output_fini(&b->out) : 0;
    if (code != 0) {
        rf_cli_say("writing %s: %s; look at it, and give the same command with --resume", name,
                   strerror(code));
        status = RF_EXIT_IO;
    }
    if (journal && b->complete && !b->failed && code == 0)
        unlink(b->resume.journal_path);
    if (b->in.fd > STDERR_FILENO)
        close(b->in.fd);
    rf_input_fini(&b->in);
    rf_maker_fini(&b->maker);
    rf_resume_fini(&b->resume);
    rf_status_view_fini(&b->status);
    return status;
}

int cmd_batch(struct rf_cli *cli, int argc, char **argv)
{
    struct options o = {.window = WINDOW_DEFAULT};
    struct rf_args args = {.argc = argc, .argv = argv, .at = 1};
    const char *problem = NULL;
    int key;
    while (problem == NULL && (key = rf_args_next(&args, rf_batch_spec, rf_batch_spec_n)) != 0)
        problem = key == RF_ARG_BAD ? args.problem : take_option(&o, key, args.value);
    if (problem == NULL && o.help)
        return rf_help_print(help, 1);
    if (problem == NULL)
        problem = check_options(&o, cli);
    if (problem != NULL)
        return rf_help_misuse("batch", problem);

    struct rf_batch *b = rf_alloc(sizeof *b);
    if (b == NULL) {
        rf_cli_say("batch: out of memory");
        return RF_EXIT_IO;
    }
    b->cli = cli;
    b->signal_fd = b->in.fd = b->out.fd = b->out.journal.fd = -1;
    int status = prepare(b, &o);
    if (status == RF_EXIT_OK) {
        uint64_t began = rpcfan_now_ns();
        bool wanted = !cli->no_progress && (b->to_file || isatty(STDOUT_FILENO) == 0);
        rf_progress_init(&b->progress, wanted, cli->log, began);
        status = rf_batch_run(b);
        b->tally.wall_ns = rpcfan_now_ns() - began;
        tell_summary(b, &o);
    }
    status = take_down(b, status);
    rf_free(b);
    return status;
}
