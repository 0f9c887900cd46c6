/* options.h - the global options, and the client options they amount to. Called by main.c; reads
 * the configuration, the JWT secret file and the rules, and touches nothing else. */
#ifndef RF_CLI_OPTIONS_H
#define RF_CLI_OPTIONS_H

#include "app/log_stderr.h"
#include "base/base.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/fan.h"

#define RF_GLOBAL_URLS_MAX 64
#define RF_GLOBAL_RATES_MAX 16
#define RF_GLOBAL_HEADERS_MAX 32

struct rf_config;

/** The options as given. Zero-initialised is empty and valid. Strings are argv's own. */
struct rf_globals {
    const char *config, *network, *cacert, *jwt_file, *rules_file;
    const char *url[RF_GLOBAL_URLS_MAX];
    size_t n_urls;
    const char *ws_url[RF_GLOBAL_URLS_MAX]; /* of the URLs, in their order */
    size_t n_ws_urls;
    const char *header[RF_GLOBAL_HEADERS_MAX];
    size_t n_headers;
    struct rpcfan_limit rate[RF_GLOBAL_RATES_MAX]; /* owned */
    size_t n_rates;
    uint32_t in_flight, batch;        /* 0: not given */
    uint64_t timeout_ms, deadline_ms; /* 0: not given */
    int family;                       /* an rpcfan_family; valid with has_family */
    int log_level;                    /* valid with has_level */
    struct rf_fan fan;
    bool has_family, has_level, log_json, http2, no_progress, help, version;

    struct rf_config *cfg; /* of -c or of --profile: what rf_globals_build() made, from here on */
    struct rpcfan_options options;
    struct rpcfan_network_options *networks;
    struct rpcfan_endpoint_options *endpoints; /* of all networks, in order */
    const char **headers; /* lists of all endpoints: the file's and --header's */
    char *jwt_secret;
    char *rules; /* text of rules_file */
    struct rf_stderr_log log;
};

/** The table of the global options, for rf_args_next(). Static. */
extern const struct rf_arg_spec rf_global_spec[];
extern const size_t rf_global_spec_n;

/** The global options' part of a help text. Static. */
extern const char rf_global_help[];

/**
 * Take one option.
 * @param key    of rf_global_spec.
 * @param value  its value, kept by reference; NULL where it takes none.
 * @return 0 or RPCFAN_EINVAL with the option and the remedy in `err`.
 */
enum rpcfan_err rf_globals_take(struct rf_globals *g, int key, const char *value,
                                struct rpcfan_error *err);

/**
 * Load the configuration or make an ad hoc network of the URLs, put the overrides on top, and fill
 * in `cli`. With neither -c nor -u `cli->options` is NULL.
 * @param g    kept by reference by `cli`; rf_globals_fini() it after the client is gone.
 * @return 0, RPCFAN_EINVAL, RPCFAN_ECONFIG, RPCFAN_EIO or RPCFAN_ENOMEM.
 */
enum rpcfan_err rf_globals_build(struct rf_globals *g, struct rf_cli *cli,
                                 struct rpcfan_error *err);

/** Free what it owns. */
void rf_globals_fini(struct rf_globals *g);

/** The options of the network that is used: cli->network, or the first. Needs cli->options. */
const struct rpcfan_network_options *rf_cli_network(const struct rf_cli *cli);

/** Print `rpcfan: ...` and a newline to stderr; takes a progress line away first. */
void rf_cli_say(const char *fmt, ...) RF_PRINTF(1, 2);

#endif
