/* test_config_profile.c - provider profiles: those compiled in and the files they are made of, what
 * an endpoint says over them, and profiles beside a configuration. Runs in the project's root. */
#include "config_case.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/profile.h"
#include "base/base.h"
#include "base/mem.h"

static struct rf_config *load_with(const char *profile, const char *more)
{
    char yaml[1024];
    snprintf(yaml, sizeof yaml,
             "networks:\n  - endpoints:\n      - url: http://a\n        profile: %s\n%s", profile,
             more);
    return config_good(yaml);
}

static const struct rpcfan_endpoint_options *endpoint(const struct rf_config *cfg)
{
    return &rf_config_options(cfg)->networks[0].endpoints[0];
}

static uint32_t weight_of(const struct rpcfan_endpoint_options *ep, const char *method)
{
    uint32_t weight = 1;
    for (size_t i = 0; i < ep->n_weights; i++) {
        if (rf_pattern_match(ep->weights[i].method, method, strlen(method)))
            weight = ep->weights[i].weight;
        if (strcmp(ep->weights[i].method, method) == 0)
            break;
    }
    return weight;
}

/* The first limit, how many there are, and what else a profile says; 0: as without it. */
static const struct {
    const char *name;
    uint64_t count, window_ms;
    enum rpcfan_unit unit;
    size_t n_limits;
    uint32_t batch;
    uint64_t batch_bytes;
} want[] = {
    {"agave", 0, 0, 0, 0, 300, 51200},
    {"alchemy", 5000, 10000, RPCFAN_WEIGHT, 1, 50, 0},
    {"ankr", 30, 1000, RPCFAN_REQUESTS, 1, 1000, 0},
    {"base-public", 0, 0, 0, 0, 10, 0},
    {"chainstack-solana", 5, 1000, RPCFAN_REQUESTS, 1, 0, 1000000},
    {"chainstack", 25, 1000, RPCFAN_REQUESTS, 1, 0, 1000000},
    {"drpc-free", 0, 0, 0, 0, 3, 0},
    {"erigon", 0, 0, 0, 0, 100, 0},
    {"geth", 0, 0, 0, 0, 1000, 5242880},
    {"helius-business", 200, 1000, RPCFAN_REQUESTS, 4, 10, 0},
    {"helius-developer", 50, 1000, RPCFAN_REQUESTS, 4, 10, 0},
    {"helius-free", 10, 1000, RPCFAN_REQUESTS, 4, 10, 0},
    {"helius-professional", 500, 1000, RPCFAN_REQUESTS, 4, 10, 0},
    {"infura-solana", 500, 1000, RPCFAN_WEIGHT, 1, 0, 0},
    {"infura", 500, 1000, RPCFAN_WEIGHT, 1, 0, 0},
    {"nethermind", 0, 0, 0, 0, 1024, 30000000},
    {"op-public", 300, 60000, RPCFAN_REQUESTS, 1, 10, 5000000},
    {"quicknode-solana", 3, 1000, RPCFAN_REQUESTS, 1, 0, 0},
    {"solana-public", 100, 10000, RPCFAN_REQUESTS, 2, 0, 51200},
    {"triton", 1200, 10000, RPCFAN_REQUESTS, 1, 0, 0},
};

static void test_profile_values(void **state)
{
    (void)state;
    struct rpcfan_endpoint_options plain;
    rpcfan_endpoint_options_init(&plain);
    assert_int_equal(rf_profiles_n, RF_COUNT(want));
    for (size_t i = 0; i < RF_COUNT(want); i++) {
        assert_string_equal(rf_profiles[i].name, want[i].name);
        struct rf_config *cfg = load_with(want[i].name, "");
        const struct rpcfan_endpoint_options *ep = endpoint(cfg);
        assert_int_equal(ep->n_limits, want[i].n_limits);
        if (ep->n_limits > 0) {
            assert_int_equal(ep->limits[0].count, want[i].count);
            assert_int_equal(ep->limits[0].window_ms, want[i].window_ms);
            assert_int_equal(ep->limits[0].unit, want[i].unit);
            assert_int_equal(ep->limits[0].n_methods,
                             strcmp(want[i].name, "quicknode-solana") == 0);
        }
        assert_int_equal(ep->batch, want[i].batch > 0 ? want[i].batch : plain.batch);
        assert_int_equal(ep->batch_bytes,
                         want[i].batch_bytes > 0 ? want[i].batch_bytes : plain.batch_bytes);
        rf_config_free(cfg);
    }
}

/* Windows of single methods, of each method, weights, and what else there is. */
static void test_profile_details(void **state)
{
    (void)state;
    struct rf_config *cfg = load_with("solana-public", "");
    const struct rpcfan_endpoint_options *ep = endpoint(cfg);
    assert_int_equal(ep->limits[0].each, 0);
    assert_int_equal(ep->limits[1].count, 40);
    assert_int_equal(ep->limits[1].window_ms, 10000);
    assert_int_equal(ep->limits[1].each, 1);
    assert_int_equal(ep->idle_ms, 18000);
    assert_int_equal(ep->ws_conns, 20);
    assert_int_equal(ep->ws_subs, 100);
    assert_int_equal(ep->ws_ping_ms, 10000);
    rf_config_free(cfg);

    cfg = load_with("helius-free", "");
    assert_int_equal(endpoint(cfg)->ws_conns, 5);
    rf_config_free(cfg);

    cfg = load_with("helius-developer", "");
    ep = endpoint(cfg);
    assert_int_equal(ep->ws_conns, 150);
    assert_int_equal(ep->limits[2].count, 25);
    assert_string_equal(ep->limits[2].methods[0], "getProgramAccounts");
    assert_int_equal(ep->limits[3].count, 5);
    assert_string_equal(ep->limits[3].methods[0], "sendTransaction");
    rf_config_free(cfg);

    cfg = load_with("alchemy", "");
    assert_int_equal(weight_of(endpoint(cfg), "eth_chainId"), 0);
    assert_int_equal(weight_of(endpoint(cfg), "eth_getBalance"), 20);
    assert_int_equal(weight_of(endpoint(cfg), "eth_call"), 26);
    assert_int_equal(weight_of(endpoint(cfg), "eth_getLogs"), 60);
    assert_int_equal(weight_of(endpoint(cfg), "eth_getBlockReceipts"), 500);
    rf_config_free(cfg);

    cfg = load_with("infura", "");
    assert_int_equal(endpoint(cfg)->batch_cost, 1);
    assert_int_equal(weight_of(endpoint(cfg), "eth_getLogs"), 255);
    assert_int_equal(weight_of(endpoint(cfg), "eth_getUncleCountByBlockHash"), 150);
    assert_int_equal(weight_of(endpoint(cfg), "eth_anything"), 80);
    rf_config_free(cfg);
}

/* Each profile makes a client, and no method costs more than a window that it falls under. */
static void test_profile_is_usable(void **state)
{
    (void)state;
    for (size_t i = 0; i < rf_profiles_n; i++) {
        struct rf_config *cfg = load_with(rf_profiles[i].name, "");
        const struct rpcfan_endpoint_options *ep = endpoint(cfg);
        struct rpcfan_error err = {0};
        rpcfan_client_t *client = NULL;
        for (size_t k = 0; k < ep->n_limits; k++) {
            for (size_t w = 0; w < ep->n_weights && ep->limits[k].unit == RPCFAN_WEIGHT; w++)
                assert_true(ep->weights[w].weight <= ep->limits[k].count);
        }
        if (rpcfan_client_new(rf_config_options(cfg), &client, &err) != RPCFAN_OK)
            fail_msg("%s: %s", rf_profiles[i].name, err.text);
        rpcfan_client_free(client);
        rf_config_free(cfg);
        size_t n = strlen(rf_profiles[i].about);
        assert_in_range(n, 20, 100);
        assert_true(rf_profiles[i].about[n - 1] != '.');
    }
}

/* A file that is not compiled in, or a compiled one without a file, would be a stale build. */
static void test_profile_files_are_all_compiled_in(void **state)
{
    (void)state;
    DIR *files = opendir("configs/profiles");
    size_t n = 0;
    assert_non_null(files);
    for (struct dirent *e; (e = readdir(files)) != NULL;) {
        char name[300];
        snprintf(name, sizeof name, "%s", e->d_name);
        char *dot = strstr(name, ".yaml");
        if (dot == NULL)
            continue;
        *dot = '\0';
        bool found = false;
        for (size_t i = 0; i < rf_profiles_n; i++)
            found = found || strcmp(rf_profiles[i].name, name) == 0;
        if (!found)
            fail_msg("%s is not compiled in", name);
        n++;
    }
    closedir(files);
    assert_int_equal(n, rf_profiles_n);
}

static void test_endpoint_goes_over_its_profile(void **state)
{
    (void)state;
    struct rf_config *cfg = load_with("alchemy", "        batch: 7\n"
                                                 "        limits: [5/1s, 6/1s]\n"
                                                 "        weights: {eth_call: 99, my_call: 3,"
                                                 " \"eth_get*\": 8, \"*\": 4}\n");
    const struct rpcfan_endpoint_options *ep = endpoint(cfg);
    assert_int_equal(ep->batch, 7);
    assert_int_equal(ep->n_limits, 2);
    assert_int_equal(ep->limits[0].count, 5);
    assert_int_equal(weight_of(ep, "eth_call"), 99);
    assert_int_equal(weight_of(ep, "my_call"), 3);
    assert_int_equal(weight_of(ep, "eth_getLogs"), 60); /* a full name beats a prefix */
    assert_int_equal(weight_of(ep, "anything"), 4);
    for (size_t i = 0; i < ep->n_weights; i++) {
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(ep->weights[i].method, ep->weights[k].method);
    }
    rf_config_free(cfg);
    cfg = load_with("alchemy", "        limits: []\n");
    assert_int_equal(endpoint(cfg)->n_limits, 0);
    assert_int_equal(endpoint(cfg)->batch, 50);
    rf_config_free(cfg);
}

static char dir[256], path[512];

static void write_file(const char *name, const char *text)
{
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static enum rpcfan_err load_beside(const char *profile, struct rf_config **cfg,
                                   struct rpcfan_error *err)
{
    char yaml[256];
    snprintf(yaml, sizeof yaml,
             "networks:\n  - endpoints:\n      - url: http://a\n        profile: %s\n", profile);
    write_file("case.yaml", yaml);
    return rf_config_load(path, cfg, err);
}

static void bad_beside(const char *text, const char *want_text)
{
    struct rf_config *cfg = NULL;
    struct rpcfan_error err = {0};
    write_file("profiles/mine.yaml", text);
    assert_int_equal(load_beside("mine", &cfg, &err), RPCFAN_ECONFIG);
    if (strstr(err.text, want_text) == NULL || strstr(err.text, "profiles/mine.yaml:") == NULL)
        fail_msg("got: %s\nwant: %s", err.text, want_text);
}

static void test_profile_beside_the_configuration(void **state)
{
    (void)state;
    struct rf_config *cfg = NULL;
    struct rpcfan_error err = {0};
    setenv("RF_TEST_N", "12", 1);
    write_file("profiles/mine.yaml", "batch: ${RF_TEST_N}\nheaders: {X-A: b}\nlimits: [3/1s]\n");
    assert_int_equal(load_beside("mine", &cfg, &err), RPCFAN_OK);
    assert_int_equal(endpoint(cfg)->batch, 12);
    assert_string_equal(endpoint(cfg)->headers[0], "X-A: b");
    assert_int_equal(endpoint(cfg)->n_limits, 1);
    rf_config_free(cfg);
    /* it goes before the one that is compiled in */
    write_file("profiles/geth.yaml", "batch: 3\n");
    assert_int_equal(load_beside("geth", &cfg, &err), RPCFAN_OK);
    assert_int_equal(endpoint(cfg)->batch, 3);
    assert_int_equal(endpoint(cfg)->batch_bytes, 256 * 1024);
    rf_config_free(cfg);
    unlink(path);

    bad_beside("batch: 1\nurl: http://a\n",
               ":2: unknown key 'url' in profile; it belongs in endpoint");
    bad_beside("account: x\n", ":1: unknown key 'account' in profile; it belongs in endpoint");
    bad_beside("profile: x\n", ":1: unknown key 'profile' in profile; it belongs in endpoint");
    bad_beside("\nbatch: s3cret\n", ":2: batch must be a whole number from 1 to 65535");
    bad_beside("limits: [s3cret]\n", ":1: a limit is COUNT/WINDOW");
    bad_beside("- batch\n", ":1: profile must be a mapping (key: value), not a list");
    bad_beside("# nothing\n", ":1: there is nothing in it; a profile holds keys of an endpoint");
    bad_beside("batch: [\n", "profiles/mine.yaml:");
    snprintf(path, sizeof path, "%s/profiles/geth.yaml", dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/profiles/mine.yaml", dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/case.yaml", dir);
    unlink(path);
}

static void test_profile_without_a_configuration(void **state)
{
    (void)state;
    struct rf_config *cfg = NULL;
    const struct rpcfan_endpoint_options *ep = NULL;
    struct rpcfan_error err = {0};
    assert_int_equal(rf_profile_load("op-public", &cfg, &ep, &err), RPCFAN_OK);
    assert_int_equal(ep->batch, 10);
    assert_int_equal(ep->limits[0].count, 300);
    assert_null(ep->url);
    rf_config_free(cfg);
    assert_int_equal(rf_profile_load("nobody", &cfg, &ep, &err), RPCFAN_EINVAL);
    assert_non_null(strstr(err.text, "no profile 'nobody'; 'rpcfan check --profiles' lists"));
    assert_int_equal(rf_profile_load("../profiles/geth", &cfg, &ep, &err), RPCFAN_EINVAL);
    for (uint64_t n = 1;; n++) {
        rf_alloc_fail_at(n);
        enum rpcfan_err rc = rf_profile_load("geth", &cfg, &ep, &err);
        rf_alloc_fail_at(0);
        if (rc == RPCFAN_OK)
            break;
        assert_int_equal(rc, RPCFAN_ENOMEM);
        assert_true(n < 1000);
    }
    rf_config_free(cfg);
}

static int make_dir(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/rf-profile-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/profiles", dir);
    return mkdir(path, 0700);
}

static int remove_dir(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/profiles", dir);
    return rmdir(path) == 0 && rmdir(dir) == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_profile_values),
        cmocka_unit_test(test_profile_details),
        cmocka_unit_test(test_profile_is_usable),
        cmocka_unit_test(test_profile_files_are_all_compiled_in),
        cmocka_unit_test(test_endpoint_goes_over_its_profile),
        cmocka_unit_test_setup_teardown(test_profile_beside_the_configuration, make_dir,
                                        remove_dir),
        cmocka_unit_test(test_profile_without_a_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
