/* cmd_explain.c - `rpcfan explain`: which rule an answer of a node meets, and what would be done.
 * The answer comes from options, or as `curl -i` prints it on stdin. Asks no node. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/explain.h"
#include "app/http_text.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/options.h"
#include "json/scan.h"

#define BODY_MAX (64u << 20)
#define BATCH_MAX 100000

enum {
    OPT_HELP = 1,
    OPT_STATUS,
    OPT_HEADER,
    OPT_BODY,
    OPT_METHOD,
    OPT_PARAMS,
    OPT_BATCH,
    OPT_JSON,
    OPT_LIST
};

const struct rf_arg_spec rf_explain_spec[] = {
    {OPT_HELP, 'h', "help", NULL},
    {OPT_STATUS, 0, "status", "N"},
    {OPT_HEADER, 0, "header", "'NAME: VALUE'"},
    {OPT_BODY, 0, "body", "TEXT|@FILE"},
    {OPT_METHOD, 'm', "method", "METHOD"},
    {OPT_PARAMS, 'p', "params", "JSON"},
    {OPT_BATCH, 0, "batch", "N"},
    {OPT_JSON, 0, "json", NULL},
    {OPT_LIST, 0, "list", NULL},
};
const size_t rf_explain_spec_n = RF_COUNT(rf_explain_spec);

static const char help[] =
    "Usage: rpcfan [--family NAME] [--rules FILE] explain [options]\n"
    "       curl -i ... | rpcfan explain [options]\n"
    "\n"
    "Tells which rule an answer of a node meets, which class of answer it is, what hints\n"
    "it holds, and what the client would do. No node is asked.\n"
    "\n"
    "  curl -si -d '{\"id\":1,\"method\":\"eth_getLogs\",\"params\":[{}]}' URL |\n"
    "      rpcfan --family evm explain -m eth_getLogs\n"
    "  rpcfan explain --status 429 --header 'Retry-After: 5'\n"
    "  rpcfan explain --body '{\"id\":1,\"error\":{\"code\":-32005,\"message\":\"x\"}}'\n"
    "  rpcfan explain --list\n"
    "\n"
    "      --status N          the HTTP status, or a WebSocket's close code; 200\n"
    "      --header 'K: V'     a header of the answer; may be given again\n"
    "      --body TEXT|@FILE   the answer's body; @- is stdin\n"
    "  -m, --method METHOD     the method that was called\n"
    "  -p, --params JSON       its params\n"
    "      --batch N           N calls were sent in one batch; without it, an array\n"
    "                          answers as many as it holds\n"
    "      --json              for machines\n"
    "      --list              the table of rules, as it is tried\n"
    "      --family NAME       evm, solana or generic: what codes mean\n"
    "      --rules FILE        own rules, tried before the built-in ones; their form\n"
    "                          is in rpcfan-explain(1)\n"
    "\n"
    "Without --status and --body the answer is read from stdin, as 'curl -i' prints it;\n"
    "without headers it is a body with status 200. It must not be compressed.\n"
    "\n"
    "Exit status: 0 explained; 2 usage, or it cannot be read; 3 output failed.\n";

/* The options as given. */
struct request {
    const char *body, *method, *params;
    bool has_status, json, list, help;
    uint64_t batch; /* 0: not given */
    uint64_t status;
    struct rf_http_text http;
    struct rf_buf text; /* what was read */
};

static bool read_number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9' && v <= max; p++)
        v = v * 10 + (uint64_t)(*p - '0');
    *out = v;
    return *p == '\0' && p > text && v >= min && v <= max;
}

static enum rpcfan_err take(struct request *r, int key, const char *value, struct rpcfan_error *err)
{
    switch (key) {
    case OPT_HELP:
        r->help = true;
        break;
    case OPT_STATUS:
        r->has_status = true;
        if (!read_number(value, 100, 4999, &r->status))
            return rf_fail(err, RPCFAN_EINVAL, "--status %.40s: give a number from 100 to 4999",
                           value);
        break;
    case OPT_HEADER:
        if (!rf_http_text_header(&r->http, value, strlen(value)))
            return rf_fail(err, RPCFAN_EINVAL,
                           "--header: give one line of the form 'Name: value', in quotes");
        break;
    case OPT_BODY:
        r->body = value;
        break;
    case OPT_METHOD:
        r->method = value;
        break;
    case OPT_PARAMS:
        r->params = value;
        if (rf_json_check(value, strlen(value), RF_SCAN_DEPTH, NULL) != RPCFAN_OK)
            return rf_fail(err, RPCFAN_EINVAL,
                           "--params: it is not JSON; give an array, in quotes");
        break;
    case OPT_BATCH:
        if (!read_number(value, 1, BATCH_MAX, &r->batch))
            return rf_fail(err, RPCFAN_EINVAL, "--batch %.40s: give a number from 1 to %d", value,
                           BATCH_MAX);
        break;
    case OPT_JSON:
        r->json = true;
        break;
    case OPT_LIST:
        r->list = true;
        break;
    default:
        return rf_fail(err, RPCFAN_EINVAL, "'%.60s' is one word too many: give the body by --body",
                       value);
    }
    return RPCFAN_OK;
}

static enum rpcfan_err read_all(FILE *f, const char *name, struct rf_buf *b,
                                struct rpcfan_error *err)
{
    char chunk[8192];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0 && b->len <= BODY_MAX)
        rf_buf_add(b, chunk, n);
    if (ferror(f))
        return rf_fail(err, RPCFAN_EIO, "%.100s: cannot be read: %s", name, strerror(errno));
    if (b->failed || b->len > BODY_MAX)
        return rf_fail(err, RPCFAN_EIO, "%.100s: over %u MiB: cut it, only its front matters", name,
                       BODY_MAX >> 20);
    return RPCFAN_OK;
}

static enum rpcfan_err read_body(struct request *r, struct rpcfan_error *err)
{
    enum rpcfan_err rc;
    if (strcmp(r->body, "@-") == 0)
        return read_all(stdin, "stdin", &r->text, err);
    if (r->body[0] != '@') {
        rf_buf_str(&r->text, r->body);
        return r->text.failed ? rf_fail(err, RPCFAN_ENOMEM, "out of memory") : RPCFAN_OK;
    }
    FILE *f = fopen(r->body + 1, "re");
    if (f == NULL)
        return rf_fail(err, RPCFAN_EIO, "--body %.100s: cannot be read: %s", r->body,
                       strerror(errno));
    rc = read_all(f, r->body, &r->text, err);
    fclose(f);
    return rc;
}

/* A compressed body is not unpacked: gzip, or a header that says so. */
static enum rpcfan_err check_coding(const struct request *r, struct rpcfan_error *err)
{
    struct rpcfan_slice b = r->http.body;
    bool gzip = b.len >= 2 && memcmp(b.data, "\x1f\x8b", 2) == 0;
    if (gzip || (r->http.encoding[0] != '\0' && b.len > 0 && b.data[0] != '{' && b.data[0] != '['))
        return rf_fail(err, RPCFAN_EINVAL,
                       "the body is compressed (%s): add --compressed to curl, or leave its "
                       "Accept-Encoding out",
                       r->http.encoding[0] != '\0' ? r->http.encoding : "gzip");
    return RPCFAN_OK;
}

static enum rpcfan_err read_answer(struct request *r, struct rpcfan_error *err)
{
    enum rpcfan_err rc;
    if (r->body == NULL && r->has_status) {
        r->http.status = (int)r->status;
        return RPCFAN_OK;
    }
    if (r->body == NULL && isatty(STDIN_FILENO))
        return rf_fail(err, RPCFAN_EINVAL,
                       "nothing to explain: give --status and --body, or the output of 'curl -i' "
                       "on stdin");
    if (r->body != NULL) {
        rc = read_body(r, err);
        r->http.body = (struct rpcfan_slice){r->text.data, r->text.len};
    } else {
        rc = read_all(stdin, "stdin", &r->text, err);
        if (rc == RPCFAN_OK && r->text.len == 0)
            return rf_fail(err, RPCFAN_EINVAL,
                           "stdin is empty: give --status and --body, or the output of 'curl -i'");
        if (rc == RPCFAN_OK)
            rc = rf_http_text_read(r->text.data, r->text.len, &r->http, err);
    }
    if (r->has_status)
        r->http.status = (int)r->status;
    else if (r->http.status == 0)
        r->http.status = 200;
    return rc == RPCFAN_OK ? check_coding(r, err) : rc;
}

static enum rpcfan_family family_of(const struct rf_cli *cli)
{
    if (cli->has_family || cli->options == NULL)
        return cli->has_family ? cli->family : RPCFAN_GENERIC;
    return rf_cli_network(cli)->family;
}

static struct rpcfan_slice slice_of(const char *text)
{
    return (struct rpcfan_slice){text, text != NULL ? strlen(text) : 0};
}

static enum rpcfan_err explain(const struct rf_cli *cli, struct request *r, struct rf_buf *out,
                               struct rpcfan_error *err)
{
    struct rf_rules *rules = NULL;
    const char *own = cli->options != NULL ? cli->options->rules : cli->rules;
    enum rpcfan_err rc = rf_rules_new(own, &rules, err);
    if (rc == RPCFAN_OK && r->list) {
        if (r->json)
            rf_explain_list_json(rules, out);
        else
            rf_explain_list(rules, out);
    } else if (rc == RPCFAN_OK) {
        rc = read_answer(r, err);
    }
    if (rc == RPCFAN_OK && !r->list) {
        struct rf_explain e = {.rules = rules,
                               .family = family_of(cli),
                               .method = slice_of(r->method),
                               .params = slice_of(r->params),
                               .status = r->http.status,
                               .retry_after_ns = rf_http_text_retry(&r->http, time(NULL)),
                               .body = r->http.body,
                               .batch = (uint32_t)r->batch};
        rc = r->json ? rf_explain_json(&e, out) : rf_explain_text(&e, out);
    }
    if (rc == RPCFAN_ENOMEM || out->failed)
        rc = rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    rf_rules_free(rules);
    return rc;
}

static int write_out(const struct rf_buf *out)
{
    if (fwrite(out->data, 1, out->len, stdout) == out->len && fflush(stdout) == 0)
        return RF_EXIT_OK;
    rf_cli_say("writing stdout: %s", strerror(errno));
    return RF_EXIT_IO;
}

int cmd_explain(struct rf_cli *cli, int argc, char **argv)
{
    struct rf_args args = {.argc = argc, .argv = argv, .at = 1};
    struct rpcfan_error err = {0};
    struct request r = {0};
    struct rf_buf out = {0};
    enum rpcfan_err rc = RPCFAN_OK;
    int key, status;
    while (rc == RPCFAN_OK && !r.help &&
           (key = rf_args_next(&args, rf_explain_spec, rf_explain_spec_n)) != RF_ARG_END) {
        if (key == RF_ARG_BAD)
            rc = rf_fail(&err, RPCFAN_EINVAL, "%s", args.problem);
        else
            rc = take(&r, key, args.value, &err);
    }
    if (rc == RPCFAN_OK && r.help) {
        status = rf_help_print(help, 0);
    } else {
        if (rc == RPCFAN_OK)
            rc = explain(cli, &r, &out, &err);
        if (rc == RPCFAN_OK) {
            status = write_out(&out);
        } else if (rc == RPCFAN_EINVAL) {
            status = rf_help_misuse("explain", err.text);
        } else {
            rf_cli_say("explain: %s", err.text);
            status = RF_EXIT_USAGE;
        }
    }
    rf_buf_fini(&r.text);
    rf_buf_fini(&out);
    return status;
}
