/* options.c - the global options: read, checked, and put on top of the configuration. */
#include "cli/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "app/config.h"
#include "app/limit_text.h"
#include "app/profile.h"
#include "app/rules_file.h"
#include "base/mem.h"

enum {
    OPT_CONFIG = 1000,
    OPT_NETWORK,
    OPT_URL,
    OPT_WS_URL,
    OPT_FAMILY,
    OPT_RATE,
    OPT_IN_FLIGHT,
    OPT_BATCH,
    OPT_TIMEOUT,
    OPT_DEADLINE,
    OPT_HEADER,
    OPT_CACERT,
    OPT_HTTP2,
    OPT_JWT,
    OPT_RULES,
    OPT_LOG_LEVEL,
    OPT_LOG_FORMAT,
    OPT_NO_PROGRESS,
    OPT_HELP,
    OPT_VERSION
};

const struct rf_arg_spec rf_global_spec[] = {
    {OPT_CONFIG, 'c', "config", "FILE"},
    {OPT_NETWORK, 'n', "network", "NAME"},
    {OPT_URL, 'u', "url", "URL"},
    {OPT_WS_URL, 0, "ws-url", "URL"},
    {OPT_FAMILY, 0, "family", "evm|solana|generic"},
    {RF_FAN_PROFILE, 0, "profile", "NAME"},
    {RF_FAN_POLICY, 0, "policy", "balance|failover|first|quorum|broadcast"},
    {RF_FAN_QUORUM, 0, "quorum", "N"},
    {RF_FAN_SPLIT, 0, "split", "range|none"},
    {RF_FAN_HEDGE, 0, "hedge", "PERCENT"},
    {RF_FAN_JOIN, 0, "join", NULL},
    {RF_FAN_GATHER, 0, "gather", NULL},
    {OPT_RATE, 0, "rate", "N/W[/each][:METHODS]"},
    {RF_FAN_START, 0, "start", "N"},
    {OPT_IN_FLIGHT, 0, "in-flight", "N"},
    {OPT_BATCH, 0, "batch", "N"},
    {OPT_TIMEOUT, 0, "timeout", "DURATION"},
    {OPT_DEADLINE, 0, "deadline", "DURATION"},
    {OPT_HEADER, 0, "header", "'NAME: VALUE'"},
    {OPT_CACERT, 0, "cacert", "FILE"},
    {OPT_HTTP2, 0, "http2", NULL},
    {OPT_JWT, 0, "jwt-secret-file", "FILE"},
    {OPT_RULES, 0, "rules", "FILE"},
    {RF_FAN_STATE, 0, "state", "FILE"},
    {OPT_LOG_LEVEL, 0, "log-level", "error|warn|info|debug"},
    {OPT_LOG_FORMAT, 0, "log-format", "text|json"},
    {OPT_NO_PROGRESS, 0, "no-progress", NULL},
    {OPT_HELP, 'h', "help", NULL},
    {OPT_VERSION, 0, "version", NULL},
};
const size_t rf_global_spec_n = RF_COUNT(rf_global_spec);

const char rf_global_help[] =
    "Where to send the calls (global options; before or after the command's name):\n"
    "  -c, --config FILE       networks and endpoints from a file, see rpcfan.yaml(5)\n"
    "  -n, --network NAME      the network to use; default: the first\n"
    "  -u, --url URL           an endpoint without a file: http://, https:// or\n"
    "                          unix:/path; may be given again for further ones\n"
    "      --ws-url URL        ws:// or wss://: where to subscribe, for the -u in the\n"
    "                          same place; default: -u with ws for http\n"
    "      --family NAME       evm, solana or generic: what error codes mean;\n"
    "                          default generic\n"
    "      --profile NAME      what the provider of -u allows: limits, batches, ...;\n"
    "                          'rpcfan check --profiles' lists them\n"
    "\n"
    "Which endpoints a call goes to:\n"
    "      --policy NAME       balance, failover, first, quorum or broadcast; default\n"
    "                          balance\n"
    "      --quorum N          equal answers that --policy quorum needs; default 2\n"
    "      --split range       cut eth_getLogs and its kin by block range where the\n"
    "                          node refuses the whole; none: never; default none\n"
    "      --hedge PERCENT     ask another endpoint too where a read is slow, for at\n"
    "                          most so many of the calls, such as 5%\n"
    "      --join              ask once where equal reads are under way\n"
    "      --gather            ask for the accounts of getAccountInfo calls that wait\n"
    "                          together by one getMultipleAccounts (Solana)\n"
    "\n"
    "How to send them (on top of -c too, for every endpoint):\n"
    "      --rate N/W[/each][:METHODS]  at most N calls in any W: 100/10s, or\n"
    "                          40/10s:getProgramAccounts,get*, or 40/10s/each for\n"
    "                          each method alone; may be given again; takes the\n"
    "                          place of the limits in the file\n"
    "      --start N           calls/s to begin with where no limit is known\n"
    "      --in-flight N       HTTP requests at once an endpoint; default 16\n"
    "      --batch N           calls a batch at most, 1 for no batches; default 20\n"
    "      --timeout DURATION  of one attempt, such as 500ms or 15s; default 15s\n"
    "      --deadline DURATION of a call, all tries included; default 60s\n"
    "      --header 'K: V'     a header line for each request; may be given again\n"
    "      --cacert FILE       trusted certificates (PEM); default: the system's\n"
    "      --http2             offer HTTP/2 over TLS\n"
    "      --jwt-secret-file FILE  64 hex digits: send an HS256 token\n"
    "      --rules FILE        own rules of what errors mean, tried before the\n"
    "                          built-in ones, see 'rpcfan help explain'\n"
    "      --state FILE        what is learned of endpoints (caps, methods that are\n"
    "                          not there) is read from FILE and saved at the end\n"
    "\n"
    "What is shown:\n"
    "      --log-level LEVEL   error, warn, info or debug, on stderr; default warn\n"
    "      --log-format text|json\n"
    "      --no-progress       no progress line (there is none unless stderr is a\n"
    "                          terminal)\n"
    "      --version           the version\n"
    "  -h, --help              help for the program or for a command\n";

/* For rf_cli_say(): whose progress line to take away. */
static struct rf_stderr_log *said_through;

static enum rpcfan_err take_number(const char *name, const char *text, uint64_t max, uint32_t *out,
                                   struct rpcfan_error *err)
{
    uint64_t v = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9' && v <= max; p++)
        v = v * 10 + (uint64_t)(*p - '0');
    if (*p != '\0' || p == text || v == 0 || v > max)
        return rf_fail(err, RPCFAN_EINVAL, "--%s %.40s: give a whole number from 1 to %llu", name,
                       text, (unsigned long long)max);
    *out = (uint32_t)v;
    return RPCFAN_OK;
}

static enum rpcfan_err take_duration(const char *name, const char *text, uint64_t *ms,
                                     struct rpcfan_error *err)
{
    uint64_t ns;
    if (rf_parse_duration(text, &ns) != RPCFAN_OK || ns == 0)
        return rf_fail(err, RPCFAN_EINVAL,
                       "--%s %.40s: give a number with a unit, such as 500ms, 15s or 2m", name,
                       text);
    *ms = (ns - 1) / RF_MS + 1;
    return RPCFAN_OK;
}

static enum rpcfan_err take_word(const char *name, const char *text, const char *const *words,
                                 int *out, struct rpcfan_error *err)
{
    char all[80] = "";
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], text) == 0) {
            *out = i;
            return RPCFAN_OK;
        }
        size_t n = strlen(all);
        snprintf(all + n, sizeof all - n, "%s%s", i > 0 ? ", " : "", words[i]);
    }
    return rf_fail(err, RPCFAN_EINVAL, "--%s %.40s: it is one of %s", name, text, all);
}

static enum rpcfan_err take_string(const char *name, const char *text, const char **list, size_t *n,
                                   size_t max, struct rpcfan_error *err)
{
    if (*n >= max)
        return rf_fail(err, RPCFAN_EINVAL, "--%s was given more than %zu times", name, max);
    if (*text == '\0')
        return rf_fail(err, RPCFAN_EINVAL, "--%s has an empty value", name);
    list[(*n)++] = text;
    return RPCFAN_OK;
}

static enum rpcfan_err take_header(struct rf_globals *g, const char *text, struct rpcfan_error *err)
{
    const char *colon = strchr(text, ':');
    if (colon == NULL || colon == text || strpbrk(text, "\r\n") != NULL)
        return rf_fail(err, RPCFAN_EINVAL,
                       "--header: give one line of the form 'Name: value', in quotes");
    return take_string("header", text, g->header, &g->n_headers, RF_GLOBAL_HEADERS_MAX, err);
}

static enum rpcfan_err take_rate(struct rf_globals *g, const char *text, struct rpcfan_error *err)
{
    if (g->n_rates >= RF_GLOBAL_RATES_MAX)
        return rf_fail(err, RPCFAN_EINVAL, "--rate was given more than %d times",
                       RF_GLOBAL_RATES_MAX);
    enum rpcfan_err rc = rf_limit_parse(text, &g->rate[g->n_rates], err);
    if (rc == RPCFAN_OK)
        g->n_rates++;
    else
        rf_fail_prefix(err, "--rate %.60s: ", text);
    return rc;
}

static enum rpcfan_err take_log(struct rf_globals *g, int key, const char *value,
                                struct rpcfan_error *err)
{
    static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
    static const char *const formats[] = {"text", "json", NULL};
    int v = 0;
    enum rpcfan_err rc;
    if (key == OPT_LOG_LEVEL) {
        rc = take_word("log-level", value, levels, &g->log_level, err);
        g->has_level = rc == RPCFAN_OK;
    } else {
        rc = take_word("log-format", value, formats, &v, err);
        g->log_json = v == 1;
    }
    return rc;
}

enum rpcfan_err rf_globals_take(struct rf_globals *g, int key, const char *value,
                                struct rpcfan_error *err)
{
    static const char *const families[] = {"generic", "evm", "solana", NULL};
    switch (key) {
    case OPT_CONFIG:
        g->config = value;
        return RPCFAN_OK;
    case OPT_NETWORK:
        g->network = value;
        return RPCFAN_OK;
    case OPT_URL:
        return take_string("url", value, g->url, &g->n_urls, RF_GLOBAL_URLS_MAX, err);
    case OPT_WS_URL:
        return take_string("ws-url", value, g->ws_url, &g->n_ws_urls, RF_GLOBAL_URLS_MAX, err);
    case OPT_FAMILY:
        g->has_family = true;
        return take_word("family", value, families, &g->family, err);
    case OPT_RATE:
        return take_rate(g, value, err);
    case OPT_IN_FLIGHT:
        return take_number("in-flight", value, 65536, &g->in_flight, err);
    case OPT_BATCH:
        return take_number("batch", value, 100000, &g->batch, err);
    case OPT_TIMEOUT:
        return take_duration("timeout", value, &g->timeout_ms, err);
    case OPT_DEADLINE:
        return take_duration("deadline", value, &g->deadline_ms, err);
    case OPT_HEADER:
        return take_header(g, value, err);
    case OPT_CACERT:
        g->cacert = value;
        return RPCFAN_OK;
    case OPT_HTTP2:
        g->http2 = true;
        return RPCFAN_OK;
    case OPT_JWT:
        g->jwt_file = value;
        return RPCFAN_OK;
    case OPT_RULES:
        g->rules_file = value;
        return RPCFAN_OK;
    case OPT_LOG_LEVEL:
    case OPT_LOG_FORMAT:
        return take_log(g, key, value, err);
    case OPT_NO_PROGRESS:
        g->no_progress = true;
        return RPCFAN_OK;
    case OPT_HELP:
        g->help = true;
        return RPCFAN_OK;
    case OPT_VERSION:
        g->version = true;
        return RPCFAN_OK;
    default:
        return rf_fan_take(&g->fan, key, value, err);
    }
}

/* 64 hex digits, perhaps after 0x and before blanks, as nodes write them into their files. */
static enum rpcfan_err read_secret(struct rf_globals *g, struct rpcfan_error *err)
{
    char text[256];
    FILE *f = fopen(g->jwt_file, "re");
    if (f == NULL)
        return rf_fail(err, RPCFAN_EIO, "--jwt-secret-file %.100s: cannot be read: %s", g->jwt_file,
                       strerror(errno));
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    char *p = text + strspn(text, " \t\r\n");
    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X'))
        p += 2;
    size_t digits = strspn(p, "0123456789abcdefABCDEF");
    if (digits != 64 || p[64 + strspn(p + 64, " \t\r\n")] != '\0')
        return rf_fail(err, RPCFAN_ECONFIG,
                       "--jwt-secret-file %.100s: it must hold 64 hex digits and nothing else",
                       g->jwt_file);
    p[64] = '\0';
    g->jwt_secret = rf_strdup(p);
    return g->jwt_secret != NULL ? RPCFAN_OK : rf_fail(err, RPCFAN_ENOMEM, "out of memory");
}

/* Copies of the arrays, so that overrides may be written into them. */
static enum rpcfan_err copy_networks(struct rf_globals *g, const struct rpcfan_options *from,
                                     struct rpcfan_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < from->n_networks; i++)
        n += from->networks[i].n_endpoints;
    g->networks = rf_alloc(from->n_networks * sizeof *g->networks);
    g->endpoints = rf_alloc(n * sizeof *g->endpoints);
    if (g->networks == NULL || g->endpoints == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    g->options = *from;
    g->options.networks = g->networks;
    struct rpcfan_endpoint_options *ep = g->endpoints;
    for (size_t i = 0; i < from->n_networks; i++) {
        g->networks[i] = from->networks[i];
        g->networks[i].endpoints = ep;
        for (size_t j = 0; j < from->networks[i].n_endpoints; j++)
            *ep++ = from->networks[i].endpoints[j];
    }
    return RPCFAN_OK;
}

static enum rpcfan_err make_ad_hoc(struct rf_globals *g, struct rpcfan_error *err)
{
    g->networks = rf_alloc(sizeof *g->networks);
    g->endpoints = rf_alloc(g->n_urls * sizeof *g->endpoints);
    if (g->networks == NULL || g->endpoints == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    struct rpcfan_endpoint_options plain;
    const struct rpcfan_endpoint_options *base = &plain;
    rpcfan_endpoint_options_init(&plain);
    if (g->fan.profile != NULL) {
        enum rpcfan_err rc = rf_profile_load(g->fan.profile, &g->cfg, &base, err);
        if (rc != RPCFAN_OK) {
            rf_fail_prefix(err, "--profile: ");
            return rc;
        }
    }
    rpcfan_options_init(&g->options);
    rpcfan_network_options_init(&g->networks[0]);
    for (size_t i = 0; i < g->n_urls; i++) {
        g->endpoints[i] = *base;
        g->endpoints[i].url = g->url[i];
        if (i < g->n_ws_urls)
            g->endpoints[i].ws_url = g->ws_url[i];
        if (strncmp(g->url[i], "unix:", 5) == 0) {
            g->endpoints[i].unix_socket = g->url[i] + 5;
            g->endpoints[i].url = "http://localhost/";
        }
    }
    g->networks[0].name = g->network;
    g->networks[0].endpoints = g->endpoints;
    g->networks[0].n_endpoints = g->n_urls;
    g->options.networks = g->networks;
    g->options.n_networks = 1;
    return RPCFAN_OK;
}

/* Whether --header gives a value for the header that a line of the configuration sets. */
static bool header_replaced(const struct rf_globals *g, const char *line)
{
    size_t n = strcspn(line, ":") + 1;
    for (size_t i = 0; i < g->n_headers; i++) {
        if (strncasecmp(g->header[i], line, n) == 0)
            return true;
    }
    return false;
}

/* Those of the configuration and those of --header behind them, in the pool at `*list`. */
static void merge_headers(const struct rf_globals *g, struct rpcfan_endpoint_options *ep,
                          const char ***list)
{
    const char **merged = *list;
    size_t n = 0;
    for (size_t i = 0; i < ep->n_headers; i++) {
        if (!header_replaced(g, ep->headers[i]))
            merged[n++] = ep->headers[i];
    }
    for (size_t i = 0; i < g->n_headers; i++)
        merged[n++] = g->header[i];
    ep->headers = merged;
    ep->n_headers = n;
    *list += n;
}

static void override_endpoint(const struct rf_globals *g, struct rpcfan_endpoint_options *ep)
{
    if (g->n_rates > 0) {
        ep->limits = g->rate;
        ep->n_limits = g->n_rates;
    }
    if (g->in_flight > 0)
        ep->in_flight = g->in_flight;
    if (g->batch > 0)
        ep->batch = g->batch;
    if (g->fan.start > 0)
        ep->start_per_s = g->fan.start;
    if (g->timeout_ms > 0)
        ep->timeout_ms = g->timeout_ms;
    if (g->cacert != NULL)
        ep->cacert = g->cacert;
    if (g->jwt_secret != NULL)
        ep->jwt_secret = g->jwt_secret;
    if (g->http2)
        ep->http2 = 1;
}

static enum rpcfan_err override(struct rf_globals *g, struct rpcfan_error *err)
{
    enum rpcfan_err rc = g->jwt_file != NULL ? read_secret(g, err) : RPCFAN_OK;
    size_t n = 0, headers = 0;
    for (size_t i = 0; i < g->options.n_networks; i++) {
        if (g->has_family)
            g->networks[i].family = (enum rpcfan_family)g->family;
        if (g->deadline_ms > 0)
            g->networks[i].deadline_ms = g->deadline_ms;
        rf_fan_network(&g->fan, &g->networks[i]);
        n += g->networks[i].n_endpoints;
    }
    for (size_t i = 0; i < n; i++)
        headers += g->endpoints[i].n_headers + g->n_headers;
    g->headers = g->n_headers > 0 ? rf_alloc(headers * sizeof *g->headers) : NULL;
    if (g->n_headers > 0 && g->headers == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    const char **list = g->headers;
    for (size_t i = 0; i < n; i++) {
        override_endpoint(g, &g->endpoints[i]);
        if (g->n_headers > 0)
            merge_headers(g, &g->endpoints[i], &list);
    }
    if (g->in_flight > g->options.in_flight)
        g->options.in_flight = g->in_flight;
    if (g->has_level)
        g->options.log_level = g->log_level;
    if (g->rules != NULL)
        g->options.rules = g->rules;
    g->options.log = rf_stderr_log_line;
    g->options.log_arg = &g->log;
    return rc;
}

static enum rpcfan_err check_network(const struct rf_globals *g, struct rpcfan_error *err)
{
    char all[200] = "";
    for (size_t i = 0; i < g->options.n_networks; i++) {
        const char *name = g->networks[i].name != NULL ? g->networks[i].name : "";
        if (strcmp(name, g->network) == 0)
            return RPCFAN_OK;
        size_t n = strlen(all);
        snprintf(all + n, sizeof all - n, "%s%s", i > 0 ? ", " : "", name);
    }
    return rf_fail(err, RPCFAN_ECONFIG, "--network %.60s: %.100s has no such network; it has %s",
                   g->network, g->config, all);
}

enum rpcfan_err rf_globals_build(struct rf_globals *g, struct rf_cli *cli, struct rpcfan_error *err)
{
    enum rpcfan_err rc = RPCFAN_OK;
    g->log.json = g->log_json;
    said_through = &g->log;
    *cli = (struct rf_cli){.config_path = g->config,
                           .network = g->network,
                           .deadline_ms = g->deadline_ms,
                           .has_family = g->has_family,
                           .family = (enum rpcfan_family)g->family,
                           .policy = g->fan.policy,
                           .quorum = g->fan.quorum,
                           .split = g->fan.split,
                           .state_path = g->fan.state,
                           .log_level = g->has_level ? g->log_level : RPCFAN_LOG_WARN,
                           .log_json = g->log_json,
                           .no_progress = g->no_progress,
                           .log = &g->log};
    if (g->config != NULL && g->n_urls > 0)
        return rf_fail(err, RPCFAN_EINVAL,
                       "give -c FILE or -u URL, not both; further endpoints go into the file");
    if (g->n_ws_urls > g->n_urls)
        return rf_fail(err, RPCFAN_EINVAL,
                       "each --ws-url goes with a -u URL, in their order; in a configuration an "
                       "endpoint has the key 'ws_url'");
    if (g->fan.profile != NULL && g->n_urls == 0)
        return rf_fail(err, RPCFAN_EINVAL,
                       "--profile goes with -u URL; in a configuration an endpoint has the key "
                       "'profile'");
    if (g->rules_file != NULL)
        rc = rf_rules_file_read(g->rules_file, &g->rules, err);
    cli->rules = g->rules;
    if (rc != RPCFAN_OK || (g->config == NULL && g->n_urls == 0))
        return rc;
    if (g->config != NULL) {
        rc = rf_config_load(g->config, &g->cfg, err);
        if (rc == RPCFAN_OK)
            rc = copy_networks(g, rf_config_options(g->cfg), err);
        if (rc == RPCFAN_OK && g->network != NULL)
            rc = check_network(g, err);
    } else {
        rc = make_ad_hoc(g, err);
    }
    if (rc == RPCFAN_OK)
        rc = override(g, err);
    if (rc == RPCFAN_OK) {
        cli->options = &g->options;
        cli->log_level = g->options.log_level;
        rc = rf_fan_check(&g->fan, rf_cli_network(cli), err);
    }
    return rc;
}

void rf_globals_fini(struct rf_globals *g)
{
    for (size_t i = 0; i < g->n_rates; i++)
        rf_limit_fini(&g->rate[i]);
    rf_config_free(g->cfg);
    rf_free(g->networks);
    rf_free(g->endpoints);
    rf_free(g->headers);
    rf_free(g->jwt_secret);
    rf_free(g->rules);
    if (said_through == &g->log)
        said_through = NULL;
    *g = (struct rf_globals){0};
}

const struct rpcfan_network_options *rf_cli_network(const struct rf_cli *cli)
{
    const struct rpcfan_options *o = cli->options;
    for (size_t i = 0; i < o->n_networks && cli->network != NULL; i++) {
        if (o->networks[i].name != NULL && strcmp(o->networks[i].name, cli->network) == 0)
            return &o->networks[i];
    }
    return &o->networks[0];
}

void rf_cli_say(const char *fmt, ...)
{
    char text[700];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    rf_stderr_say(said_through, text);
}
