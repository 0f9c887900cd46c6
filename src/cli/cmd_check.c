/* cmd_check.c - `rpcfan check [--live]`: whether a configuration is good, and with --live whether
 * its endpoints are: each is asked on its own, and those of one network must be of one chain. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app/profile.h"
#include "base/mem.h"
#include "cli/check_probe.h"
#include "cli/help.h"
#include "cli/options.h"

#define MADE 32 /* room for a name that was made */

enum { OPT_HELP = 1, OPT_LIVE, OPT_PROFILES };

static const struct rf_arg_spec spec[] = {{OPT_HELP, 'h', "help", NULL},
                                          {OPT_LIVE, 0, "live", NULL},
                                          {OPT_PROFILES, 0, "profiles", NULL}};

static const char help[] =
    "Usage: rpcfan [global options] check [--live]\n"
    "       rpcfan check --profiles\n"
    "\n"
    "Validates a configuration and shows what is in it: names, never URLs.\n"
    "\n"
    "  rpcfan -c rpcfan.yaml check\n"
    "  rpcfan -c rpcfan.yaml -n mainnet check --live\n"
    "\n"
    "      --live  ask each endpoint for its chain, its head, whether it takes batches,\n"
    "              and how long it takes; about 27 small calls each, within its limits\n"
    "      --profiles  list the profiles of providers that are built in, for the key\n"
    "              'profile' of an endpoint and for --profile\n"
    "\n"
    "Exit status: 0 all is well; 1 an endpoint failed, or is of another chain than the\n"
    "others of its network; 2 usage or configuration; 3 output failed.\n";

static const char *const families[] = {
    [RPCFAN_GENERIC] = "generic", [RPCFAN_EVM] = "evm", [RPCFAN_SOLANA] = "solana"};

/* A name as the client would make it where none is given. */
static const char *shown_name(const char *name, const char *prefix, size_t i, char made[MADE])
{
    if (name != NULL)
        return name;
    snprintf(made, MADE, "%s%zu", prefix, i + 1);
    return made;
}

/* Whether -n leaves this network in. */
static bool is_wanted(const struct rf_cli *cli, size_t i)
{
    const char *name = cli->options->networks[i].name;
    char made[MADE];
    return cli->network == NULL || strcmp(shown_name(name, "net", i, made), cli->network) == 0;
}

static void print_plan(const struct rf_cli *cli)
{
    const struct rpcfan_options *o = cli->options;
    char net_made[MADE], ep_made[MADE];
    printf("%-16s %-8s %-16s %8s %9s %6s %6s\n", "NETWORK", "FAMILY", "ENDPOINT", "PRIORITY",
           "IN FLIGHT", "BATCH", "LIMITS");
    for (size_t i = 0; i < o->n_networks; i++) {
        const struct rpcfan_network_options *net = &o->networks[i];
        for (size_t j = 0; is_wanted(cli, i) && j < net->n_endpoints; j++) {
            const struct rpcfan_endpoint_options *ep = &net->endpoints[j];
            printf("%-16s %-8s %-16s %8u %9u %6u %6zu\n", shown_name(net->name, "net", i, net_made),
                   families[net->family], shown_name(ep->name, "ep", j, ep_made), ep->priority,
                   ep->in_flight, ep->batch, ep->n_limits);
        }
    }
}

/* The last column's words for what became of the batches. */
static const char *batch_text(const struct rf_probe *probe, char *out, size_t size)
{
    unsigned long long n = (unsigned long long)probe->batch;
    switch (probe->batch_state) {
    case RF_PROBE_BATCH_OFF:
        return "off";
    case RF_PROBE_BATCH_UNKNOWN:
        return "not seen";
    case RF_PROBE_BATCH_PASSED:
        snprintf(out, size, "%llu pass", n);
        return out;
    case RF_PROBE_BATCH_CAPPED:
        if (n <= 1)
            return "refused";
        snprintf(out, size, "at most %llu", n);
        return out;
    }
    return "";
}

static void print_probe(const char *network, const char *endpoint, const struct rf_probe *probe)
{
    char batch[32];
    if (probe->failed) {
        printf("%-16s %-16s %-6s %s\n", network, endpoint, "FAILED", probe->why);
        return;
    }
    printf("%-16s %-16s %-6s %9.1f  %-10s %12s  %s\n", network, endpoint, "ok", probe->latency_ms,
           batch_text(probe, batch, sizeof batch), probe->head[0] != '\0' ? probe->head : "-",
           probe->identity[0] != '\0' ? probe->identity : "-");
}

/* A network of two chains gives wrong answers instead of failing ones: the worst of faults. */
static bool compare_chains(const struct rpcfan_network_options *net, const char *network,
                           const struct rf_probe *probes)
{
    size_t first = net->n_endpoints;
    bool same = true;
    char a[MADE], b[MADE];
    for (size_t j = 0; j < net->n_endpoints; j++) {
        if (probes[j].failed || probes[j].identity[0] == '\0')
            continue;
        if (first == net->n_endpoints)
            first = j;
        if (strcmp(probes[j].identity, probes[first].identity) == 0)
            continue;
        rf_cli_say("check: network %s: endpoint %s answers chain %s, %s answers %s; they must not "
                   "share a network",
                   network, shown_name(net->endpoints[j].name, "ep", j, a), probes[j].identity,
                   shown_name(net->endpoints[first].name, "ep", first, b), probes[first].identity);
        same = false;
    }
    return same;
}

static int refuse_options(enum rpcfan_err rc, const struct rpcfan_error *err)
{
    rf_cli_say("check: %s", err->text[0] != '\0' ? err->text : rpcfan_err_text(rc));
    return rc == RPCFAN_ECONFIG || rc == RPCFAN_EINVAL ? RF_EXIT_USAGE : RF_EXIT_CALLS;
}

static int probe_network(const struct rf_cli *cli, size_t i)
{
    const struct rpcfan_network_options *net = &cli->options->networks[i];
    struct rf_probe *probes = rf_alloc(net->n_endpoints * sizeof *probes);
    struct rpcfan_error err = {0};
    char net_made[MADE], ep_made[MADE];
    const char *network = shown_name(net->name, "net", i, net_made);
    int status = RF_EXIT_OK;

    if (probes == NULL) {
        rf_cli_say("check: out of memory");
        return RF_EXIT_CALLS;
    }
    for (size_t j = 0; j < net->n_endpoints; j++) {
        enum rpcfan_err rc = rf_probe_endpoint(cli->options, net, &net->endpoints[j],
                                               cli->deadline_ms, &probes[j], &err);
        if (rc != RPCFAN_OK) {
            status = refuse_options(rc, &err);
            goto out;
        }
        print_probe(network, shown_name(net->endpoints[j].name, "ep", j, ep_made), &probes[j]);
        fflush(stdout); /* an endpoint may take its time: show those that are done */
        if (probes[j].failed)
            status = RF_EXIT_CALLS;
    }
    if (!compare_chains(net, network, probes))
        status = RF_EXIT_CALLS;
out:
    rf_free(probes);
    return status;
}

static int check_live(const struct rf_cli *cli)
{
    int status = RF_EXIT_OK;
    printf("%-16s %-16s %-6s %9s  %-10s %12s  %s\n", "NETWORK", "ENDPOINT", "STATE", "P50 MS",
           "BATCH", "HEAD", "CHAIN");
    for (size_t i = 0; i < cli->options->n_networks && status != RF_EXIT_USAGE; i++) {
        if (!is_wanted(cli, i))
            continue;
        int one = probe_network(cli, i);
        if (one != RF_EXIT_OK)
            status = one;
    }
    return status;
}

/* What the loader does not look at, the client does: make one, and let it go again unused. */
static int try_client(const struct rf_cli *cli)
{
    struct rpcfan_error err = {0};
    struct rpcfan_options options = *cli->options;
    rpcfan_client_t *client = NULL;
    options.loop = NULL;
    enum rpcfan_err rc = rpcfan_client_new(&options, &client, &err);
    if (rc != RPCFAN_OK)
        return refuse_options(rc, &err);
    rpcfan_client_free(client);
    return RF_EXIT_OK;
}

static int end_output(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    rf_cli_say("check: writing stdout: %s", strerror(errno));
    return RF_EXIT_IO;
}

static int list_profiles(void)
{
    for (size_t i = 0; i < rf_profiles_n; i++)
        printf("%-20s %s\n", rf_profiles[i].name, rf_profiles[i].about);
    return end_output(RF_EXIT_OK);
}

static int check(const struct rf_cli *cli, bool live)
{
    int status = try_client(cli);
    if (status != RF_EXIT_OK)
        return status;
    if (live)
        status = check_live(cli);
    else
        print_plan(cli);
    return end_output(status);
}

int cmd_check(struct rf_cli *cli, int argc, char **argv)
{
    struct rf_args args = {.argc = argc, .argv = argv, .at = 1};
    bool live = false;
    int key;
    while ((key = rf_args_next(&args, spec, RF_COUNT(spec))) != RF_ARG_END) {
        if (key == OPT_HELP)
            return rf_help_print(help, 1);
        if (key == RF_ARG_BAD)
            return rf_help_misuse("check", args.problem);
        if (key == OPT_PROFILES)
            return list_profiles();
        if (key == RF_ARG_WORD)
            return rf_help_misuse("check", "it takes no arguments; the file goes to -c FILE");
        live = true;
    }
    if (cli->options == NULL)
        return rf_help_misuse("check", "nothing to check: give -c FILE, or -u URL with --live");
    return check(cli, live);
}
