/* config_keys.h - the keys of a configuration, each once: its name in YAML, what its value is,
 * where it goes in the options, and the range it must be in.
 *
 * config_schema.c makes the libcyaml schema and the table of conversions of it; there too are the
 * keys that hold lists or free mappings (networks, endpoints, accounts, once, headers, limits,
 * weights) and those that are no option (profile).
 * scripts/gate-config-keys reads both: a key must have a test and a place in rpcfan.yaml(5). */
#ifndef RF_APP_CONFIG_KEYS_H
#define RF_APP_CONFIG_KEYS_H

#include <cyaml/cyaml.h>

#include "app/option_text.h"

/** What a value is, and the type of the member that takes it. */
enum rf_config_kind {
    RF_CONFIG_NAME,        /* letters, digits, . _ -: const char * */
    RF_CONFIG_URL,         /* http(s)://host...: const char * */
    RF_CONFIG_WS_URL,      /* ws(s)://host..., or "" for none: const char * */
    RF_CONFIG_PROXY,       /* a URL, or "" for none: const char * */
    RF_CONFIG_PATH,        /* a file, relative to the configuration's directory: const char * */
    RF_CONFIG_SECRET,      /* 64 hex digits: const char * */
    RF_CONFIG_SECRET_FILE, /* a file that holds a secret: const char * (the secret) */
    RF_CONFIG_TEXT_FILE,   /* a text file: const char * (the text) */
    RF_CONFIG_U32,
    RF_CONFIG_U64,
    RF_CONFIG_MS,      /* a duration, stored in ms: uint64_t */
    RF_CONFIG_BYTES,   /* a size: uint64_t */
    RF_CONFIG_BOOL,    /* int */
    RF_CONFIG_NOT,     /* int, the other way round */
    RF_CONFIG_PERCENT, /* `5%`: uint32_t */
    RF_CONFIG_FAMILY,  /* enum rpcfan_family */
    RF_CONFIG_POLICY,  /* enum rpcfan_policy */
    RF_CONFIG_SPLIT,   /* enum rpcfan_split */
    RF_CONFIG_LEVEL    /* int, an rpcfan_log_level */
};

#define RF_CONFIG_MUST 0
#define RF_CONFIG_MAY CYAML_FLAG_OPTIONAL
#define RF_KIB UINT64_C(1024)
#define RF_GIB (RF_KIB * RF_KIB * RF_KIB)
#define RF_DAY_MS (UINT64_C(24) * 3600 * 1000)

/* X(key, kind, member of the options, lowest, highest, whether it must be there) */
#define RF_TOP_KEYS(X)                                                                             \
    X(pending_calls, U32, pending_calls, 1, 16777216, RF_CONFIG_MAY)                               \
    X(pending_bytes, BYTES, pending_bytes, RF_KIB, 1024 * RF_GIB, RF_CONFIG_MAY)                   \
    X(in_flight, U32, in_flight, 1, 65536, RF_CONFIG_MAY)                                          \
    X(seed, U64, seed, 0, UINT64_MAX, RF_CONFIG_MAY)                                               \
    X(log_level, LEVEL, log_level, 0, 0, RF_CONFIG_MAY)                                            \
    X(rules, TEXT_FILE, rules, 0, 0, RF_CONFIG_MAY)

#define RF_ACCOUNT_KEYS(X) X(name, NAME, name, 0, 0, RF_CONFIG_MUST)

#define RF_NETWORK_KEYS(X)                                                                         \
    X(name, NAME, name, 0, 0, RF_CONFIG_MAY)                                                       \
    X(family, FAMILY, family, 0, 0, RF_CONFIG_MAY)                                                 \
    X(deadline, MS, deadline_ms, 1, 30 * RF_DAY_MS, RF_CONFIG_MAY)                                 \
    X(attempts, U32, attempts, 1, 1000, RF_CONFIG_MAY)                                             \
    X(linger, MS, linger_ms, 0, 60000, RF_CONFIG_MAY)                                              \
    X(policy, POLICY, policy, 0, 0, RF_CONFIG_MAY)                                                 \
    X(quorum, U32, quorum, 1, RF_QUORUM_MAX, RF_CONFIG_MAY)                                        \
    X(split, SPLIT, split, 0, 0, RF_CONFIG_MAY)                                                    \
    X(hedge, PERCENT, hedge_percent, 0, RF_HEDGE_MAX, RF_CONFIG_MAY)                               \
    X(join, BOOL, join, 0, 0, RF_CONFIG_MAY)                                                       \
    X(gather, BOOL, gather, 0, 0, RF_CONFIG_MAY)                                                   \
    X(lag_max, U32, lag_max, 0, 1000000, RF_CONFIG_MAY)

/* What a provider's profile may hold too. */
#define RF_PROFILE_KEYS(X)                                                                         \
    X(http2, BOOL, http2, 0, 0, RF_CONFIG_MAY)                                                     \
    X(in_flight, U32, in_flight, 1, 65536, RF_CONFIG_MAY)                                          \
    X(batch, U32, batch, 1, 65535, RF_CONFIG_MAY)                                                  \
    X(batch_bytes, BYTES, batch_bytes, RF_KIB, RF_GIB, RF_CONFIG_MAY)                              \
    X(batch_cost, U32, batch_cost, 0, 65535, RF_CONFIG_MAY)                                        \
    X(response_bytes, BYTES, response_bytes, RF_KIB, 1024 * RF_GIB, RF_CONFIG_MAY)                 \
    X(timeout, MS, timeout_ms, 1, RF_DAY_MS, RF_CONFIG_MAY)                                        \
    X(connect_timeout, MS, connect_timeout_ms, 1, RF_DAY_MS, RF_CONFIG_MAY)                        \
    X(idle, MS, idle_ms, 0, RF_DAY_MS, RF_CONFIG_MAY)                                              \
    X(start, U32, start_per_s, 0, RF_START_MAX, RF_CONFIG_MAY)                                     \
    X(learn, BOOL, learn, 0, 0, RF_CONFIG_MAY)                                                     \
    X(ws_conns, U32, ws_conns, 1, 1024, RF_CONFIG_MAY)                                             \
    X(ws_subs, U32, ws_subs, 1, 1000000, RF_CONFIG_MAY)                                            \
    X(ws_per_s, U32, ws_per_s, 1, 100000, RF_CONFIG_MAY)                                           \
    X(ws_bytes, BYTES, ws_bytes, RF_KIB, RF_GIB, RF_CONFIG_MAY)                                    \
    X(ws_ping, MS, ws_ping_ms, 1000, RF_DAY_MS, RF_CONFIG_MAY)                                     \
    X(ws_lifetime, MS, ws_lifetime_ms, 0, RF_DAY_MS, RF_CONFIG_MAY)                                \
    X(ws_retry, MS, ws_retry_ms, 1, RF_DAY_MS, RF_CONFIG_MAY)

#define RF_ENDPOINT_KEYS(X)                                                                        \
    X(name, NAME, name, 0, 0, RF_CONFIG_MAY)                                                       \
    X(url, URL, url, 0, 0, RF_CONFIG_MUST)                                                         \
    X(unix_socket, PATH, unix_socket, 0, 0, RF_CONFIG_MAY)                                         \
    X(proxy, PROXY, proxy, 0, 0, RF_CONFIG_MAY)                                                    \
    X(jwt_secret, SECRET, jwt_secret, 0, 0, RF_CONFIG_MAY)                                         \
    X(jwt_secret_file, SECRET_FILE, jwt_secret, 0, 0, RF_CONFIG_MAY)                               \
    X(cacert, PATH, cacert, 0, 0, RF_CONFIG_MAY)                                                   \
    X(tls_verify, NOT, tls_insecure, 0, 0, RF_CONFIG_MAY)                                          \
    X(priority, U32, priority, 0, UINT32_MAX, RF_CONFIG_MAY)                                       \
    X(account, NAME, account, 0, 0, RF_CONFIG_MAY)                                                 \
    X(ws_url, WS_URL, ws_url, 0, 0, RF_CONFIG_MAY)                                                 \
    RF_PROFILE_KEYS(X)

#define RF_CONFIG_RAW(key, kind, member, lowest, highest, need) char *key;

/** One endpoint as libcyaml loads it: text, before variables are put in; NULL: not set. */
struct rf_raw_endpoint {
    RF_ENDPOINT_KEYS(RF_CONFIG_RAW)
    char *profile;
};

/** One account as libcyaml loads it. */
struct rf_raw_account {
    RF_ACCOUNT_KEYS(RF_CONFIG_RAW)
};

/** One network as libcyaml loads it. */
struct rf_raw_network {
    RF_NETWORK_KEYS(RF_CONFIG_RAW)
    char **once;
    uint32_t once_count;
    struct rf_raw_endpoint *endpoints;
    uint32_t endpoints_count;
};

/** The whole file as libcyaml loads it. */
struct rf_raw_config {
    RF_TOP_KEYS(RF_CONFIG_RAW)
    struct rf_raw_account *accounts;
    uint32_t accounts_count;
    struct rf_raw_network *networks;
    uint32_t networks_count;
};

/** How the text of one key becomes a member of the options. */
struct rf_config_key {
    const char *key;
    enum rf_config_kind kind;
    size_t raw_at;    /* offset of the text in its rf_raw_ struct */
    size_t option_at; /* offset of the member in its options struct */
    uint64_t lowest, highest;
};

/** The keys one mapping may hold. */
struct rf_config_table {
    const char *what;                   /* what errors call the mapping */
    const cyaml_schema_field_t *fields; /* for libcyaml, and for rf_config_check() */
    const struct rf_config_key *keys;   /* those above; n_keys of them */
    size_t n_keys;
};

/* A key that is in the wrong place is said to belong into the first of these that has it. */
enum {
    RF_TABLE_TOP,
    RF_TABLE_NETWORK,
    RF_TABLE_ENDPOINT,
    RF_TABLE_LIMIT,
    RF_TABLE_ACCOUNT,
    RF_TABLE_PROFILE,
    RF_TABLES
};

/** The tables, by the names above. Static. */
extern const struct rf_config_table rf_config_tables[RF_TABLES];
/** What libcyaml loads a file by. Static. */
extern const cyaml_schema_value_t rf_config_schema;

#endif
