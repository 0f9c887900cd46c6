/* test_config_files.c - configurations in files: the examples, and files that are none. Runs in the
 * project's root. */
#include "config_case.h"

#include <unistd.h>

#include "base/mem.h"

static char dir[256];
static char path[512];

static int make_dir(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/rf-config-XXXXXX", tmp != NULL ? tmp : "/tmp");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    return rmdir(dir);
}

/** Write a file in the directory of the test. @return its path, valid until the next call. */
static const char *write_file(const char *name, const char *text, size_t len)
{
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    return path;
}

static struct rf_config *load_good(const char *file)
{
    struct rf_config *cfg = NULL;
    struct rpcfan_error err = {0};
    if (rf_config_load(file, &cfg, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
    return cfg;
}

static void load_bad(const char *file, enum rpcfan_err code, const char *want)
{
    struct rf_config *cfg = NULL;
    struct rpcfan_error err = {0};
    assert_int_equal(rf_config_load(file, &cfg, &err), code);
    if (strstr(err.text, want) == NULL || strncmp(err.text, file, strlen(file)) != 0)
        fail_msg("got: %s\nwant: %s: ...%s", err.text, file, want);
    assert_null(cfg);
}

static void test_example_solana_public(void **state)
{
    (void)state;
    struct rf_config *cfg = load_good("configs/solana-public.yaml");
    const struct rpcfan_options *o = rf_config_options(cfg);
    const struct rpcfan_endpoint_options *ep = &o->networks[0].endpoints[0];
    assert_int_equal(o->networks[0].family, RPCFAN_SOLANA);
    assert_string_equal(ep->name, "public");
    assert_int_equal(ep->n_limits, 2);
    assert_int_equal(ep->limits[0].count, 100);
    assert_int_equal(ep->limits[0].window_ms, 10000);
    assert_int_equal(ep->limits[0].n_methods, 0);
    assert_int_equal(ep->limits[1].count, 40);
    assert_int_equal(ep->limits[1].window_ms, 10000);
    assert_int_equal(ep->limits[1].n_methods, 0);
    assert_int_equal(ep->limits[1].each, 1);
    assert_int_equal(ep->batch_bytes, 50 * 1024);
    rf_config_free(cfg);
}

static void test_example_evm_multi(void **state)
{
    (void)state;
    setenv("ALCHEMY_KEY", "alk", 1);
    setenv("INFURA_KEY", "ifk", 1);
    setenv("QUICKNODE_TOKEN", "qnt", 1);
    unsetenv("QUICKNODE_HOST");
    struct rf_config *cfg = load_good("configs/evm-multi.yaml");
    const struct rpcfan_options *o = rf_config_options(cfg);
    assert_int_equal(o->n_networks, 2);
    const struct rpcfan_network_options *eth = &o->networks[0];
    assert_int_equal(eth->n_endpoints, 4);
    assert_string_equal(eth->endpoints[0].url, "https://eth-mainnet.g.alchemy.com/v2/alk");
    assert_int_equal(o->n_accounts, 1);
    assert_string_equal(eth->endpoints[0].account, "alchemy");
    assert_int_equal(eth->endpoints[0].n_limits, 0);
    assert_int_equal(eth->endpoints[0].batch, 50);
    assert_int_equal(eth->endpoints[1].limits[0].count, 4000);
    assert_int_equal(eth->endpoints[1].batch_cost, 1);
    assert_int_equal(eth->endpoints[1].limits[0].unit, RPCFAN_WEIGHT);
    assert_string_equal(eth->endpoints[2].url, "https://example.quiknode.pro/");
    assert_string_equal(eth->endpoints[2].headers[0], "Authorization: Bearer qnt");
    assert_int_equal(eth->endpoints[3].priority, 2);
    assert_string_equal(o->networks[1].endpoints[0].url,
                        "https://base-mainnet.g.alchemy.com/v2/alk");
    assert_string_equal(o->networks[1].endpoints[0].account, "alchemy");
    assert_int_equal(o->networks[1].endpoints[0].n_weights, eth->endpoints[0].n_weights - 2);
    assert_int_equal(o->networks[1].endpoints[1].batch, 10);
    rf_config_free(cfg);

    unsetenv("INFURA_KEY");
    load_bad("configs/evm-multi.yaml", RPCFAN_ECONFIG,
             "environment variable INFURA_KEY is not set");
}

static void test_example_local_node(void **state)
{
    (void)state;
    unsetenv("NODE_URL");
    struct rf_config *cfg = load_good("configs/local-node.yaml");
    const struct rpcfan_endpoint_options *ep = &rf_config_options(cfg)->networks[0].endpoints[0];
    assert_string_equal(ep->url, "http://127.0.0.1:8545");
    assert_int_equal(ep->n_limits, 0);
    assert_int_equal(ep->batch, 1000);
    assert_string_equal(ep->proxy, "");
    rf_config_free(cfg);
}

static void test_file_missing(void **state)
{
    (void)state;
    load_bad("configs/none.yaml", RPCFAN_EIO,
             ": the configuration cannot be opened: No such file or directory");
}

static void test_file_directory(void **state)
{
    (void)state;
    load_bad("configs", RPCFAN_EIO, ": the configuration is a directory, not a file");
}

static void test_file_empty(void **state)
{
    (void)state;
    load_bad(write_file("empty.yaml", "", 0), RPCFAN_ECONFIG, ":1: there is nothing in it");
    unlink(path);
}

static void test_file_binary(void **state)
{
    (void)state;
    load_bad(write_file("a.out",
                        "\x7f"
                        "ELF\2\1\1\0\0\0",
                        10),
             RPCFAN_ECONFIG, ":1: this is not text: it holds a NUL byte");
    unlink(path);
}

/* 4 MiB are read, one byte more is not. */
static void test_file_huge(void **state)
{
    (void)state;
    static const char head[] = "networks: [{endpoints: [{url: http://a}]}]\n#";
    size_t len = RF_CONFIG_BYTES_MAX + 1;
    char *text = malloc(len);
    assert_non_null(text);
    memset(text, 'x', len);
    memcpy(text, head, sizeof head - 1);
    rf_config_free(load_good(write_file("big.yaml", text, len - 1)));
    load_bad(write_file("big.yaml", text, len), RPCFAN_ECONFIG,
             ": the configuration is over 4194304 bytes");
    unlink(path);
    free(text);
}

#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* jwt_secret_file: read beside the configuration, trimmed, 0x or not. */
static void test_file_secret(void **state)
{
    (void)state;
    static const char yaml[] = "networks:\n"
                               "  - endpoints:\n"
                               "      - url: http://a\n"
                               "        jwt_secret_file: jwt.hex\n"
                               "        cacert: ca.pem\n"
                               "        unix_socket: /run/x\n";
    static const char secret[] = "  0x" HEX64 "\n";
    char config[sizeof path], want[sizeof path], short_secret[] = "00ff\n";

    strcpy(config, write_file("c.yaml", yaml, sizeof yaml - 1));
    load_bad(config, RPCFAN_EIO,
             ":4: jwt_secret_file: the file cannot be opened: No such file or directory");
    write_file("jwt.hex", short_secret, sizeof short_secret - 1);
    load_bad(config, RPCFAN_ECONFIG, ":4: jwt_secret_file must hold 64 hex digits (32 bytes)");
    write_file("jwt.hex", secret, sizeof secret - 1);
    struct rf_config *cfg = load_good(config);
    const struct rpcfan_endpoint_options *ep = &rf_config_options(cfg)->networks[0].endpoints[0];
    assert_string_equal(ep->jwt_secret, HEX64);
    snprintf(want, sizeof want, "%s/ca.pem", dir);
    assert_string_equal(ep->cacert, want);
    assert_string_equal(ep->unix_socket, "/run/x");
    rf_config_free(cfg);
    unlink(path);
    unlink(config);
}

static void test_file_secret_twice(void **state)
{
    (void)state;
    char yaml[512];
    snprintf(yaml, sizeof yaml,
             "networks:\n  - endpoints:\n      - url: http://a\n        jwt_secret: %s\n"
             "        jwt_secret_file: %s\n",
             HEX64, write_file("jwt.hex", HEX64, 64));
    config_bad(yaml, CASE_FILE ":5: jwt_secret and jwt_secret_file exclude each other");
    unlink(path);
}

/* rules: the text of a file beside the configuration, whatever is in it. */
static void test_file_rules(void **state)
{
    (void)state;
    static const char yaml[] = "networks: [{endpoints: [{url: http://a}]}]\nrules: my.rules\n";
    static const char rules[] = "# one\nstatus 418 -> fail ${NOT_A_VARIABLE}\n";
    char config[sizeof path];
    strcpy(config, write_file("c.yaml", yaml, sizeof yaml - 1));
    load_bad(config, RPCFAN_EIO, ":2: rules: the file cannot be opened: No such file or directory");
    write_file("my.rules", "a\0b", 3);
    load_bad(config, RPCFAN_ECONFIG, ":2: rules: the file is not text: it holds a NUL byte");
    write_file("my.rules", rules, sizeof rules - 1);
    struct rf_config *cfg = load_good(config);
    assert_string_equal(rf_config_options(cfg)->rules, rules);
    rf_config_free(cfg);
    write_file("my.rules", "", 0);
    cfg = load_good(config);
    assert_string_equal(rf_config_options(cfg)->rules, "");
    rf_config_free(cfg);
    unlink(path);
    unlink(config);
}

/* Reading fails at each allocation in turn; the file is closed and nothing leaks. */
static void test_file_out_of_memory(void **state)
{
    (void)state;
    char yaml[512], config[sizeof path], secret[sizeof path];
    snprintf(yaml, sizeof yaml,
             "networks:\n  - endpoints:\n      - url: http://a\n"
             "        jwt_secret_file: jwt.hex\n"
             "rules: jwt.hex\n");
    strcpy(config, write_file("c.yaml", yaml, strlen(yaml)));
    strcpy(secret, write_file("jwt.hex", HEX64, 64));
    uint64_t n = 1;
    for (;; n++) {
        struct rf_config *cfg = NULL;
        struct rpcfan_error err = {0};
        rf_alloc_fail_at(n);
        enum rpcfan_err rc = rf_config_load(config, &cfg, &err);
        rf_alloc_fail_at(0);
        rf_config_free(cfg);
        if (rc == RPCFAN_OK)
            break;
        assert_int_equal(rc, RPCFAN_ENOMEM);
        assert_non_null(strstr(err.text, "out of memory"));
        assert_true(n < 1000);
    }
    assert_true(n > 10);
    unlink(config);
    unlink(secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example_solana_public),
        cmocka_unit_test(test_example_evm_multi),
        cmocka_unit_test(test_example_local_node),
        cmocka_unit_test(test_file_missing),
        cmocka_unit_test(test_file_directory),
        cmocka_unit_test(test_file_empty),
        cmocka_unit_test(test_file_binary),
        cmocka_unit_test(test_file_huge),
        cmocka_unit_test(test_file_secret),
        cmocka_unit_test(test_file_secret_twice),
        cmocka_unit_test(test_file_rules),
        cmocka_unit_test(test_file_out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
