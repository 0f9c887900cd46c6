/* cmd_sim.c - `rpcfan sim`: the fake node as a command. Called by main.c; runs a loop of its own.
 *
 * Each behaviour option is a line of script text under the same name: `--rate '100/10s
 * kind=sliding'` is the line `rate 100/10s kind=sliding`. Options come behind the script file and
 * so override it. Happy path: read options, start the node, say the address, run until a signal or
 * --for. Failure modes: a bad option or script (exit 2, named), a port that is taken (exit 3). */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/buf.h"
#include "cli/cli.h"
#include "sim/node.h"
#include "sim/node_conf.h"

#define SCRIPT_MAX (1u << 20)

static const char help[] =
    "usage: rpcfan sim [option]...\n"
    "\n"
    "A programmable fake node: JSON-RPC over HTTP and WebSocket, on one port, with deterministic\n"
    "answers, limits and faults.\n"
    "The first line on stdout says where it listens. SIGINT and SIGTERM end it.\n"
    "\n"
    "  --listen ADDR        HOST:PORT, [IPV6]:PORT or unix:PATH; port 0 takes a free one\n"
    "                       (default 127.0.0.1:8545)\n"
    "  --script FILE        behaviour from a file; '-' is stdin; options below override it\n"
    "  --solana             a virtual validator: forks, commitment levels, subscriptions\n"
    "  --for DUR            stop after this time\n"
    "  --access-log FILE    a line a request: ms, status, calls, fault\n"
    "  --check              read options and script, report errors, serve nothing\n"
    "  --print-port         print the bare port as a second line\n"
    "  --quiet              no summary on stderr at the end\n"
    "  --help               this text\n"
    "\n"
    "Behaviour; each is also a line of a script, without the dashes:\n"
    "  --family F           evm, solana or both (default both)\n"
    "  --chain-id N         default 1\n"
    "  --head N             block number or slot (default 1000000)\n"
    "  --block-time DUR     the head grows by one each DUR (default: it stands still)\n"
    "  --churn N            balances and accounts change every N blocks (default: never)\n"
    "  --seed N             for everything random (default 1)\n"
    "  --latency 'fixed D | uniform D D | exp D [each=D] [p=0..1] [method=M] [path=P]'\n"
    "  --transit 'fixed D | uniform D D | exp D [p=0..1]'   on the way to the limits\n"
    "  --workers 'N [method=M]'                 so many requests are served at once\n"
    "  --rate 'N/W [kind=fixed|sliding|bucket] [method=M] [refuse=http429|http200|members]\n"
    "          [status=N] [body=json|text|html|empty] [code=N] [message=T] [data=JSON]\n"
    "          [retry-after=none|seconds|date|N] [headers=no|yes|epoch|fields|list]\n"
    "          [unit=calls|requests] [plus=N] [charge-refused=yes] [path=P] [from=D] [to=D]\n"
    "          [requests=A..B]'\n"
    "  --concurrency 'N [refusal as for --rate]'\n"
    "  --batch-max 'N [shape=geth|erigon|base|proxyd|drpc|ronin|ankr|infura|alchemy|object|\n"
    "               http400|empty|null-array] [method=M]'   0 refuses every batch\n"
    "  --body-max 'BYTES [shape=geth|proxyd]'   default 5MiB\n"
    "  --response-max BYTES                     later members of a batch get -32003\n"
    "  --range-max 'N [code=C] [message=T]'     blocks in one eth_getLogs\n"
    "  --inputs-max N                           addresses in one getMultipleAccounts\n"
    "  --keepalive '[requests=N] [idle=D] [announce=yes]'\n"
    "  --answer 'METHOD JSON'                   a canned result\n"
    "  --track METHOD                           count these calls, for tests\n"
    "  --reorg 'DEPTH [every=N]'                replace the last blocks every N blocks\n"
    "  --logs 'N [addresses=M] [topics=M]'      logs in each block, and filters as they are meant\n"
    "  --program 'N [bytes=B] [writes=N] [key=K] [from=D] [to=D]'   a Solana program of N "
    "accounts\n"
    "               made on the fly, and notifications of so many writes a second\n"
    "  --knobs 'K=V ...'                        of the validator; see rpcfan-sim(1), SOLANA\n"
    "  --ws '[inbound=BYTES] [queue=BYTES] [send-buffer=BYTES] [subscriptions=N] [ping=D]\n"
    "        [connections=N [refusal as for --rate]] [ids=random|small]'\n"
    "  --fault 'KIND [when] [parameters]'       see below; may be given often\n"
    "\n"
    "When: p=0..1, every=K, requests=A..B, times=N, from=D, to=D, method=M, path=P,\n"
    "  only=single|batch.\n"
    "Faults: refuse accept-reset http-error html rpc-error null ids shuffle missing duplicate\n"
    "  extra object array empty-array invalid-json invalid-utf8 bom pretty empty gzip deflate\n"
    "  chunked until-close early huge-headers reset close truncate hang drip endless\n"
    "  ws-refuse ws-hang ws-bad-accept ws-close ws-stall ws-idle ws-drip ws-drop ws-duplicate\n"
    "  ws-reorder ws-late-reply ws-fragment ws-cut ws-bad-frame ws-bad-json\n"
    "\n"
    "Examples:\n"
    "  rpcfan sim --rate '100/10s kind=sliding retry-after=seconds' --latency 'exp 20ms'\n"
    "  rpcfan sim --batch-max '10 shape=base' --fault 'reset after=100 p=0.01'\n"
    "See rpcfan-sim(1) for all of it.\n";

/* What the options said. */
struct sim {
    struct rf_node_options node;
    const char *script_path;
    uint64_t for_ns;
    bool quiet, check, print_port, help;
    struct rf_buf script, flags;
    uv_signal_t interrupt, terminate;
    uv_timer_t timer;
    struct rf_node *running;
};

static int usage(const char *fmt, const char *option, const char *detail)
{
    fputs("rpcfan sim: ", stderr);
    fprintf(stderr, fmt, option, detail);
    fputs("\nTry 'rpcfan sim --help'.\n", stderr);
    return RF_EXIT_USAGE;
}

static bool is_behaviour(const char *name)
{
    static const char *const names[] = {
        "family",      "chain-id",  "head",     "block-time",   "churn",
        "seed",        "latency",   "rate",     "transit",      "workers",
        "concurrency", "batch-max", "body-max", "response-max", "keepalive",
        "answer",      "track",     "fault",    "range-max",    "inputs-max",
        "ws",          "program",   "reorg",    "logs",         "knobs"};
    for (size_t i = 0; i < RF_COUNT(names); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* Check the line alone, so that an error can name the option; then keep it as script text. */
static int take_behaviour(struct sim *s, const char *name, const char *value)
{
    struct rpcfan_error err = {0};
    size_t from = s->flags.len;
    struct rf_node_conf *conf = rf_node_conf_new();
    int rc = RF_EXIT_OK;
    if (strchr(value, '\n') != NULL)
        rc = usage("--%s: a newline is not possible%s", name, "");
    rf_buf_str(&s->flags, name);
    rf_buf_char(&s->flags, ' ');
    rf_buf_str(&s->flags, value);
    rf_buf_char(&s->flags, '\0');
    if (conf == NULL || s->flags.failed)
        rc = usage("--%s: %s", name, "out of memory");
    else if (rc == RF_EXIT_OK && rf_node_conf_line(conf, s->flags.data + from, &err) != RPCFAN_OK)
        rc = usage("--%s: %s", name, err.text);
    if (!s->flags.failed)
        s->flags.data[s->flags.len - 1] = '\n';
    rf_node_conf_free(conf);
    return rc;
}

static int open_access_log(struct sim *s, const char *path)
{
    if (s->node.access_log != NULL)
        return usage("--access-log: given twice%s%s", "", "");
    s->node.access_log = fopen(path, "we");
    if (s->node.access_log == NULL) {
        fprintf(stderr, "rpcfan sim: --access-log %s: %s\n", path, strerror(errno));
        return RF_EXIT_IO;
    }
    return RF_EXIT_OK;
}

static int take_value(struct sim *s, const char *name, const char *value)
{
    if (is_behaviour(name))
        return take_behaviour(s, name, value);
    if (strcmp(name, "listen") == 0) {
        s->node.listen = value;
    } else if (strcmp(name, "script") == 0) {
        s->script_path = value;
    } else if (strcmp(name, "access-log") == 0) {
        return open_access_log(s, value);
    } else if (rf_parse_duration(value, &s->for_ns) != RPCFAN_OK || s->for_ns == 0) {
        return usage("--%s %s: want a duration with its unit, as 30s", name, value);
    }
    return RF_EXIT_OK;
}

static bool take_switch(struct sim *s, const char *name)
{
    struct {
        const char *name;
        bool *on;
    } table[] = {{"quiet", &s->quiet},
                 {"check", &s->check},
                 {"print-port", &s->print_port},
                 {"solana", &s->node.solana},
                 {"help", &s->help}};
    for (size_t i = 0; i < RF_COUNT(table); i++) {
        if (strcmp(table[i].name, name) == 0) {
            *table[i].on = true;
            return true;
        }
    }
    return false;
}

/* --name VALUE or --name=VALUE */
static int read_options(struct sim *s, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char name[32] = "";
        const char *word = argv[i], *value = strchr(word, '=');
        if (strcmp(word, "-h") == 0)
            word = "--help";
        if (strncmp(word, "--", 2) != 0 || word[2] == '\0')
            return usage("'%s' is not understood: options begin with --%s", word, "");
        size_t len = value == NULL ? strlen(word + 2) : (size_t)(value - word) - 2;
        if (len < sizeof name)
            memcpy(name, word + 2, len);
        if (value == NULL && take_switch(s, name))
            continue;
        if (!is_behaviour(name) && strcmp(name, "listen") != 0 && strcmp(name, "script") != 0 &&
            strcmp(name, "for") != 0 && strcmp(name, "access-log") != 0)
            return usage("unknown option '%s'%s", word, "");
        if (value == NULL && i + 1 == argc)
            return usage("option '%s' needs a value%s", word, "");
        int rc = take_value(s, name, value == NULL ? argv[++i] : value + 1);
        if (rc != RF_EXIT_OK)
            return rc;
    }
    return RF_EXIT_OK;
}

static int read_file(struct rf_buf *out, const char *path)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *f = standard ? stdin : fopen(path, "re");
    char block[4096];
    size_t n;
    if (f == NULL) {
        fprintf(stderr, "rpcfan sim: --script %s: %s\n", path, strerror(errno));
        return RF_EXIT_USAGE;
    }
    while (out->len <= SCRIPT_MAX && (n = fread(block, 1, sizeof block, f)) > 0)
        rf_buf_add(out, block, n);
    bool bad = ferror(f) != 0 || out->failed || out->len > SCRIPT_MAX;
    if (!standard)
        fclose(f);
    if (bad) {
        fprintf(stderr, "rpcfan sim: --script %s: cannot be read, or is over 1 MiB\n", path);
        return RF_EXIT_USAGE;
    }
    return RF_EXIT_OK;
}

/* The file's lines first, checked under its own line numbers, then the options'. */
static int gather_script(struct sim *s)
{
    struct rpcfan_error err = {0};
    int rc = RF_EXIT_OK;
    if (s->script_path != NULL)
        rc = read_file(&s->script, s->script_path);
    if (rc != RF_EXIT_OK)
        return rc;
    rf_buf_char(&s->script, '\0');
    struct rf_node_conf *conf = rf_node_conf_new();
    if (conf == NULL || s->script.failed)
        rc = usage("%s%s", "out of memory", "");
    else if (rf_node_conf_text(conf, s->script.data, &err) != RPCFAN_OK)
        rc = usage("%s: %s", s->script_path == NULL ? "script" : s->script_path, err.text);
    rf_node_conf_free(conf);
    if (rc != RF_EXIT_OK)
        return rc;
    s->script.data[s->script.len - 1] = '\n';
    rf_buf_add(&s->script, s->flags.data, s->flags.len);
    rf_buf_char(&s->script, '\0');
    s->node.script = s->script.failed ? "" : s->script.data;
    return s->script.failed ? usage("%s%s", "out of memory", "") : RF_EXIT_OK;
}

static void stop(struct sim *s)
{
    if (s->running == NULL)
        return;
    rf_node_stop(s->running, NULL, NULL);
    s->running = NULL;
    uv_close((uv_handle_t *)&s->interrupt, NULL);
    uv_close((uv_handle_t *)&s->terminate, NULL);
    uv_close((uv_handle_t *)&s->timer, NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    stop(handle->data);
}

static void on_time(uv_timer_t *timer)
{
    stop(timer->data);
}

static void arm(struct sim *s, uv_loop_t *loop)
{
    s->interrupt.data = s->terminate.data = s->timer.data = s;
    uv_signal_init(loop, &s->interrupt);
    uv_signal_init(loop, &s->terminate);
    uv_timer_init(loop, &s->timer);
    uv_signal_start(&s->interrupt, on_signal, SIGINT);
    uv_signal_start(&s->terminate, on_signal, SIGTERM);
    if (s->for_ns > 0)
        uv_timer_start(&s->timer, on_time, (s->for_ns + RF_MS - 1) / RF_MS, 0);
}

static void summarise(const struct rf_node *node)
{
    struct rf_node_counters n;
    rf_node_counters(node, &n);
    fprintf(
        stderr,
        "sim: %llu connections, %llu requests (%llu single, %llu batches of up to %llu), "
        "%llu calls, %llu answered, %llu requests and %llu calls refused, at most %llu at once\n",
        (unsigned long long)n.connections, (unsigned long long)n.requests,
        (unsigned long long)n.singles, (unsigned long long)n.batches,
        (unsigned long long)n.batch_max, (unsigned long long)n.members,
        (unsigned long long)n.answered, (unsigned long long)n.refused_requests,
        (unsigned long long)n.refused_members, (unsigned long long)n.active_max);
    if (n.ws_opened + n.ws_refused > 0)
        fprintf(stderr,
                "sim: %llu WebSockets, %llu refused, %llu messages in, %llu out (%llu "
                "notifications), %llu closed, %llu dropped for not reading\n",
                (unsigned long long)n.ws_opened, (unsigned long long)n.ws_refused,
                (unsigned long long)n.ws_received, (unsigned long long)n.ws_sent,
                (unsigned long long)n.ws_notes, (unsigned long long)n.ws_closed,
                (unsigned long long)n.ws_lagged);
    for (unsigned i = 0; rf_node_fault_name(i) != NULL; i++)
        if (n.fault[i] > 0)
            fprintf(stderr, "sim: fault %s struck %llu times\n", rf_node_fault_name(i),
                    (unsigned long long)n.fault[i]);
}

/* @return whether it could be written: who starts a node to use it must learn where it is. */
static bool announce(const struct sim *s)
{
    printf("listening on %s\n", rf_node_url(s->running));
    if (s->print_port)
        printf("%u\n", (unsigned)rf_node_port(s->running));
    return fflush(stdout) == 0;
}

static int serve(struct sim *s)
{
    struct rpcfan_error err = {0};
    uv_loop_t loop;
    int rc = RF_EXIT_OK;
    if (uv_loop_init(&loop) != 0)
        return RF_EXIT_IO;
    signal(SIGPIPE, SIG_IGN);
    enum rpcfan_err failed = rf_node_start(&loop, &s->node, &s->running, &err);
    struct rf_node *node = s->running;
    if (failed != RPCFAN_OK) {
        fprintf(stderr, "rpcfan sim: %s\n", err.text);
        rc = failed == RPCFAN_EINVAL || failed == RPCFAN_ECONFIG ? RF_EXIT_USAGE : RF_EXIT_IO;
    } else {
        arm(s, &loop);
        if (!announce(s)) {
            rc = RF_EXIT_IO;
            stop(s);
        }
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    if (node != NULL && !s->quiet)
        summarise(node);
    rf_node_free(node);
    uv_loop_close(&loop);
    return rc;
}

int cmd_sim(struct rf_cli *cli, int argc, char **argv)
{
    struct sim s = {.node = {.listen = "127.0.0.1:8545"}};
    (void)cli; /* the fake node calls no network: no global option concerns it */
    int rc = read_options(&s, argc, argv);
    if (rc == RF_EXIT_OK && s.help) {
        fputs(help, stdout);
    } else if (rc == RF_EXIT_OK) {
        rc = gather_script(&s);
        if (rc == RF_EXIT_OK && !s.check)
            rc = serve(&s);
    }
    if (s.node.access_log != NULL && fclose(s.node.access_log) != 0 && rc == RF_EXIT_OK) {
        fputs("rpcfan sim: the access log could not be written\n", stderr);
        rc = RF_EXIT_IO;
    }
    rf_buf_fini(&s.script);
    rf_buf_fini(&s.flags);
    return rc;
}
