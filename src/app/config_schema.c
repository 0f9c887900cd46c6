/* config_schema.c - the configuration's schema for libcyaml and the table of conversions, both made
 * of config_keys.h.
 *
 * Every scalar is a string for libcyaml: version 1.3.1 takes `12abc` for 12 and every misspelled
 * boolean for true, and a number may come out of a ${VARIABLE}. config_value.c reads them strictly.
 * What libcyaml cannot describe (a mapping with free keys, a list of either strings or mappings) is
 * CYAML_IGNORE here and read from the node tree by config_endpoint.c. Data only. */
#include "app/config_keys.h"

#include "app/limit_text.h"

#define METHODS_MAX RF_LIMIT_METHODS_MAX
#define NETWORKS_MAX 64
#define ENDPOINTS_MAX 64
#define ACCOUNTS_MAX 64

#define FIELD(key, kind, member, lowest, highest, need)                                            \
    CYAML_FIELD_STRING_PTR(#key, CYAML_FLAG_POINTER | (need), RAW, key, 0, CYAML_UNLIMITED),
#define CONVERT(key, kind, member, lowest, highest, need)                                          \
    {#key, RF_CONFIG_##kind, offsetof(RAW, key), offsetof(OPTIONS, member), lowest, highest},

static const cyaml_schema_value_t text_entry = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, CYAML_UNLIMITED)};

#define RAW struct rf_raw_endpoint
#define OPTIONS struct rpcfan_endpoint_options
#define ENDPOINT_LISTS                                                                             \
    CYAML_FIELD_IGNORE("headers", CYAML_FLAG_OPTIONAL),                                            \
        CYAML_FIELD_IGNORE("limits", CYAML_FLAG_OPTIONAL),                                         \
        CYAML_FIELD_IGNORE("weights", CYAML_FLAG_OPTIONAL)
static const cyaml_schema_field_t endpoint_fields[] = {
    RF_ENDPOINT_KEYS(FIELD) CYAML_FIELD_STRING_PTR(
        "profile", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, RAW, profile, 0, CYAML_UNLIMITED),
    ENDPOINT_LISTS, CYAML_FIELD_END};
static const struct rf_config_key endpoint_keys[] = {RF_ENDPOINT_KEYS(CONVERT)};
/* Never loaded by libcyaml, as it is a file of its own: only checked. */
static const cyaml_schema_field_t profile_fields[] = {RF_PROFILE_KEYS(FIELD) ENDPOINT_LISTS,
                                                      CYAML_FIELD_END};
static const struct rf_config_key profile_keys[] = {RF_PROFILE_KEYS(CONVERT)};
#undef RAW
#undef OPTIONS

static const cyaml_schema_value_t endpoint_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct rf_raw_endpoint, endpoint_fields)};

#define RAW struct rf_raw_account
#define OPTIONS struct rpcfan_account_options
static const cyaml_schema_field_t account_fields[] = {
    RF_ACCOUNT_KEYS(FIELD) CYAML_FIELD_IGNORE("limits", CYAML_FLAG_DEFAULT), CYAML_FIELD_END};
static const struct rf_config_key account_keys[] = {RF_ACCOUNT_KEYS(CONVERT)};
#undef RAW
#undef OPTIONS

static const cyaml_schema_value_t account_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct rf_raw_account, account_fields)};

#define RAW struct rf_raw_network
#define OPTIONS struct rpcfan_network_options
static const cyaml_schema_field_t network_fields[] = {
    RF_NETWORK_KEYS(FIELD)
        CYAML_FIELD_SEQUENCE("once", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct rf_raw_network, once, &text_entry, 0, METHODS_MAX),
    CYAML_FIELD_SEQUENCE("endpoints", CYAML_FLAG_POINTER, struct rf_raw_network, endpoints,
                         &endpoint_entry, 1, ENDPOINTS_MAX),
    CYAML_FIELD_END};
static const struct rf_config_key network_keys[] = {RF_NETWORK_KEYS(CONVERT)};
#undef RAW
#undef OPTIONS

static const cyaml_schema_value_t network_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct rf_raw_network, network_fields)};

#define RAW struct rf_raw_config
#define OPTIONS struct rpcfan_options
static const cyaml_schema_field_t top_fields[] = {
    RF_TOP_KEYS(FIELD)
        CYAML_FIELD_SEQUENCE("accounts", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct rf_raw_config, accounts, &account_entry, 1, ACCOUNTS_MAX),
    CYAML_FIELD_SEQUENCE("networks", CYAML_FLAG_POINTER, struct rf_raw_config, networks,
                         &network_entry, 1, NETWORKS_MAX),
    CYAML_FIELD_END};
static const struct rf_config_key top_keys[] = {RF_TOP_KEYS(CONVERT)};
#undef RAW
#undef OPTIONS

/* A limit written as a mapping. Never loaded by libcyaml (it lies below `limits`): only checked. */
struct raw_limit {
    char *count, *window, *unit, *each, **methods;
    uint32_t methods_count;
};
static const cyaml_schema_field_t limit_fields[] = {
    CYAML_FIELD_STRING_PTR("count", CYAML_FLAG_POINTER, struct raw_limit, count, 0, 64),
    CYAML_FIELD_STRING_PTR("window", CYAML_FLAG_POINTER, struct raw_limit, window, 0, 64),
    CYAML_FIELD_STRING_PTR("unit", CYAML_FLAG_OPTIONAL, struct raw_limit, unit, 0, 64),
    CYAML_FIELD_STRING_PTR("each", CYAML_FLAG_OPTIONAL, struct raw_limit, each, 0, 64),
    CYAML_FIELD_SEQUENCE("methods", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_limit,
                         methods, &text_entry, 1, METHODS_MAX),
    CYAML_FIELD_END};

const struct rf_config_table rf_config_tables[RF_TABLES] = {
    [RF_TABLE_TOP] = {"configuration", top_fields, top_keys, RF_COUNT(top_keys)},
    [RF_TABLE_NETWORK] = {"network", network_fields, network_keys, RF_COUNT(network_keys)},
    [RF_TABLE_ENDPOINT] = {"endpoint", endpoint_fields, endpoint_keys, RF_COUNT(endpoint_keys)},
    [RF_TABLE_LIMIT] = {"limit", limit_fields, NULL, 0},
    [RF_TABLE_ACCOUNT] = {"account", account_fields, account_keys, RF_COUNT(account_keys)},
    [RF_TABLE_PROFILE] = {"profile", profile_fields, profile_keys, RF_COUNT(profile_keys)}};

const cyaml_schema_value_t rf_config_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct rf_raw_config, top_fields)};
