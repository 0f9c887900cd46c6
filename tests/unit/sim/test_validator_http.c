/* test_validator_http.c - calls of the virtual validator: what they answer, and every error in
 * agave's own words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim/node_methods.h"
#include "vtest.h"

#define BASE64 "\"encoding\":\"base64\",\"commitment\":\"confirmed\""

static struct vtest t;

static struct rpcfan_slice slice(const char *text)
{
    return (struct rpcfan_slice){text, strlen(text)};
}

static void begin(const char *knobs)
{
    vtest_begin(&t, knobs, 3);
}

/* The newest confirmed state of a key. */
static const struct rf_bank_state *confirmed(uint32_t key)
{
    return rf_banks_state(&t.v->banks, rf_banks_at(&t.v->banks, RPCFAN_CONFIRMED), key);
}

static const char *with_key(uint32_t key, const char *config)
{
    char text[46];
    memcpy(text, t.v->banks.key[key].text, 45);
    text[t.v->banks.key[key].text_len] = '\0';
    return vtest_params(text, config);
}

/* The keys from `from`, `n` of them, as getMultipleAccounts wants them. */
static const char *with_keys(uint32_t from, uint32_t n, const char *config)
{
    static char text[8192];
    size_t at = (size_t)snprintf(text, sizeof text, "[[");
    for (uint32_t i = from; i < from + n; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s\"%.*s\"", i == from ? "" : ",",
                               t.v->banks.key[i].text_len, t.v->banks.key[i].text);
    snprintf(text + at, sizeof text - at, "],{%s}]", config);
    return text;
}

static void test_validator_account_info_as_the_bank(void **state)
{
    (void)state;
    begin("keys=40 absent=300");
    unsigned there = 0;
    for (uint32_t key = 0; key < 40; key++) {
        bool error;
        const char *a = vtest_call(&t, 0, "getAccountInfo", with_key(key, BASE64), &error);
        assert_false(error);
        assert_int_equal(vtest_number(a, "\"slot\":"), t.v->banks.confirmed);
        uint64_t hash = 0;
        if (!rf_vaccount_there(confirmed(key))) {
            assert_non_null(strstr(a, "\"value\":null}")); /* R9 */
            continue;
        }
        assert_true(rf_validator_read(vtest_account(a), &hash));
        assert_true(hash == confirmed(key)->hash);
        there++;
    }
    assert_in_range(there, 15, 39);
    vtest_end(&t);
}

static void test_validator_account_members(void **state)
{
    (void)state;
    begin("absent=0 writes=0 size=3");
    const char *a = vtest_call(&t, 0, "getAccountInfo", with_key(0, BASE64), NULL);
    char text[300];
    snprintf(text, sizeof text,
             "\"],\"executable\":false,\"lamports\":%llu,\"owner\":\"%s\",\"rentEpoch\":"
             "18446744073709551615,\"space\":3}}",
             (unsigned long long)confirmed(0)->lamports, rf_validator_program(t.v, 0));
    char *end = strstr(a, ",\"executable\"");
    assert_non_null(end);
    assert_string_equal(end, text + 2);
    assert_non_null(strstr(a, "\"value\":{\"data\":[\""));
    vtest_end(&t);
}

static void test_validator_multiple_accounts(void **state)
{
    (void)state;
    bool error;
    begin("keys=120 inputs=100");
    const char *a = vtest_call(&t, 0, "getMultipleAccounts",
                               with_keys(0, 100, "\"commitment\":\"confirmed\""), &error);
    assert_false(error);
    struct rpcfan_slice value = rf_node_field(slice(a), "value");
    for (uint32_t i = 0; i < 100; i++) {
        struct rpcfan_slice one = rf_node_param(value, i);
        uint64_t hash = 0;
        bool is = rf_validator_read(one, &hash);
        assert_int_equal(is, rf_vaccount_there(confirmed(i)));
        assert_true(!is || hash == confirmed(i)->hash);
        assert_true(is || memcmp(one.data, "null", 4) == 0);
    }
    a = vtest_call(&t, 0, "getMultipleAccounts", with_keys(0, 101, ""), &error);
    assert_true(error);
    assert_string_equal(a, "{\"code\":-32602,\"message\":\"Too many inputs provided; max 100\"}");
    rf_validator_set(t.v, "inputs=5", NULL);
    a = vtest_call(&t, 0, "getMultipleAccounts", with_keys(0, 6, ""), &error);
    assert_string_equal(a, "{\"code\":-32602,\"message\":\"Too many inputs provided; max 5\"}");
    a = vtest_call(&t, 0, "getMultipleAccounts", "[[\"abc\"]]", &error);
    assert_string_equal(a, "{\"code\":-32602,\"message\":\"Invalid param: WrongSize\"}");
    vtest_end(&t);
}

static void test_validator_encodings(void **state)
{
    (void)state;
    bool error;
    uint64_t hash = 0;
    begin("absent=0 writes=0 sizes=165,100");
    const char *a =
        vtest_call(&t, 0, "getAccountInfo", with_key(0, "\"encoding\":\"base58\""), &error);
    assert_true(error);
    assert_string_equal(a, "{\"code\":-32600,\"message\":\"Encoded binary (base 58) data should be "
                           "less than 128 bytes, please use Base64 encoding.\"}");
    a = vtest_call(&t, 0, "getProgramAccounts",
                   vtest_params(rf_validator_program(t.v, 0), "\"encoding\":\"base58\""), &error);
    assert_true(error); /* the whole call */
    a = vtest_call(&t, 0, "getAccountInfo", with_key(0, ""), &error);
    assert_true(error);
    a = vtest_call(&t, 0, "getAccountInfo", with_key(1, "\"encoding\":\"base58\""), &error);
    assert_false(error);
    assert_true(rf_validator_read(vtest_account(a), &hash));
    assert_true(hash == confirmed(1)->hash);
    a = vtest_call(&t, 0, "getAccountInfo", with_key(1, "\"encoding\":\"base64+zstd\""), &error);
    assert_true(error);
    rf_validator_set(t.v, "zstd=1", NULL);
    a = vtest_call(&t, 0, "getAccountInfo", with_key(0, "\"encoding\":\"base64+zstd\""), &error);
    assert_false(error);
    assert_non_null(strstr(a, "\"base64+zstd\"]"));
    assert_true(rf_validator_read(vtest_account(a), &hash));
    assert_true(hash == confirmed(0)->hash);
    a = vtest_call(&t, 0, "getAccountInfo",
                   with_key(0, BASE64 ",\"dataSlice\":{\"offset\":160,\"length\":50}"), &error);
    assert_non_null(strstr(a, "=\",\"base64\"]")); /* 5 bytes: 8 letters */
    assert_int_equal(vtest_number(a, "\"space\":"), 165);
    assert_false(rf_validator_read(vtest_account(a), &hash)); /* it is cut */
    vtest_end(&t);
}

static void test_validator_min_context_slot(void **state)
{
    (void)state;
    bool error;
    char config[200], want[200];
    begin("nodes=2 lag2=4000");
    unsigned long long slot = t.v->banks.confirmed, late = rf_validator_slot(t.v, 1, 0);
    assert_in_range(slot - late, 5, 14);
    snprintf(config, sizeof config, BASE64 ",\"minContextSlot\":%llu", slot);
    vtest_call(&t, 0, "getAccountInfo", with_key(0, config), &error);
    assert_false(error);
    const char *a = vtest_call(&t, 1, "getAccountInfo", with_key(0, config), &error);
    assert_true(error);
    snprintf(want, sizeof want,
             "{\"code\":-32016,\"message\":\"Minimum context slot has not been reached\",\"data\":"
             "{\"contextSlot\":%llu}}",
             late);
    assert_string_equal(a, want);
    rf_validator_set(t.v, "floorless=1000", NULL);
    a = vtest_call(&t, 1, "getAccountInfo", with_key(0, config), &error);
    assert_false(error);
    assert_int_equal(vtest_number(a, "\"slot\":"), late);
    rf_validator_set(t.v, "floorless=0", NULL);
    vtest_run(&t, 4000);
    vtest_call(&t, 1, "getAccountInfo", with_key(0, config), &error);
    assert_false(error);
    vtest_end(&t);
}

static void test_validator_unhealthy(void **state)
{
    (void)state;
    bool error;
    begin("nodes=2 lag2=100000 skip=0");
    assert_string_equal(vtest_call(&t, 0, "getHealth", "[]", &error), "\"ok\"");
    const char *a = vtest_call(&t, 1, "getHealth", "[]", &error);
    assert_true(error);
    assert_non_null(strstr(a, "{\"code\":-32005,\"message\":\"Node is behind by 2"));
    assert_in_range(vtest_number(a, "\"numSlotsBehind\":"), 249, 251);
    vtest_end(&t);
}

/* The rows of a scan, counted into `seen` by key. */
static void count_rows(const char *answer, unsigned *seen)
{
    for (const char *at = answer; (at = strstr(at, "\"pubkey\":\"")) != NULL; at++)
        for (uint32_t key = 0; key < t.v->banks.n_keys; key++)
            seen[key] +=
                memcmp(at + 10, t.v->banks.key[key].text, t.v->banks.key[key].text_len) == 0;
}

static void test_validator_program_accounts(void **state)
{
    (void)state;
    begin("programs=2 keys=30 absent=300 reassign=300 writes=20");
    vtest_run(&t, 40000);
    static const char *const filters[] = {
        "",
        "[{\"dataSize\":165}]",
        "[{\"dataSize\":82}]",
        "[{\"memcmp\":{\"offset\":0,\"bytes\":\"2\"}}]",
        "[{\"memcmp\":{\"offset\":0,\"bytes\":\"AQ==\",\"encoding\":\"base64\"}}]",
    };
    unsigned rows[RF_COUNT(filters)] = {0};
    for (size_t i = 0; i < RF_COUNT(filters); i++) {
        unsigned seen[60] = {0};
        char config[300];
        snprintf(config, sizeof config, BASE64 ",\"withContext\":true%s%s",
                 *filters[i] == '\0' ? "" : ",\"filters\":", filters[i]);
        const char *a = vtest_call(&t, 0, "getProgramAccounts",
                                   vtest_params(rf_validator_program(t.v, 1), config), NULL);
        assert_int_equal(vtest_number(a, "\"slot\":"), t.v->banks.confirmed);
        count_rows(a, seen);
        for (uint32_t key = 0; key < 60; key++) {
            assert_int_equal(seen[key],
                             rf_validator_match(t.v, key, confirmed(key), 1, slice(filters[i])));
            rows[i] += seen[key];
        }
    }
    assert_true(rows[0] > rows[1] && rows[1] > rows[3] && rows[3] > 0 && rows[3] == rows[4]);
    const char *a = vtest_call(&t, 0, "getProgramAccounts",
                               vtest_params(rf_validator_program(t.v, 1), BASE64), NULL);
    assert_int_equal(a[0], '['); /* without a context */
    vtest_end(&t);
}

static void test_validator_program_refused(void **state)
{
    (void)state;
    bool error;
    begin("absent=0 close=0 reassign=0 scan-max=50");
    const char *a = vtest_call(
        &t, 0, "getProgramAccounts",
        vtest_params(rf_validator_program(t.v, 0), BASE64 ",\"filters\":[{\"dataSize\":1}]"),
        &error);
    assert_true(error);
    assert_non_null(strstr(a, "Too many accounts requested (100 pubkeys), Please use "
                              "getProgramAccountsV2 with pagination"));
    a = vtest_call(&t, 0, "getProgramAccounts",
                   vtest_params(rf_validator_program(t.v, 0),
                                "\"filters\":[{\"dataSize\":1},{\"dataSize\":1},{\"dataSize\":1},"
                                "{\"dataSize\":1},{\"dataSize\":1}]"),
                   &error);
    assert_string_equal(a, "{\"code\":-32602,\"message\":\"Too many filters provided; max 4\"}");
    vtest_end(&t);
}

static void test_validator_pages(void **state)
{
    (void)state;
    begin("keys=100 absent=200 page-short=300 page-empty=300 writes=0");
    unsigned seen[100] = {0}, pages = 0, empty = 0;
    char config[200] = BASE64 ",\"limit\":10,\"withContext\":true";
    for (; pages < 200; pages++) {
        const char *a = vtest_call(&t, 0, "getProgramAccountsV2",
                                   vtest_params(rf_validator_program(t.v, 0), config), NULL);
        count_rows(a, seen);
        empty += strstr(a, "\"accounts\":[]") != NULL;
        const char *key = strstr(a, "\"paginationKey\":\"");
        if (key == NULL)
            break;
        snprintf(config, sizeof config,
                 BASE64 ",\"limit\":10,\"withContext\":true,\"paginationKey\":\"%.*s\"",
                 (int)strcspn(key + 17, "\""), key + 17);
    }
    assert_in_range(pages, 11, 100);
    assert_true(empty > 0);
    for (uint32_t key = 0; key < 100; key++)
        assert_int_equal(seen[key], rf_vaccount_there(confirmed(key)));
    vtest_end(&t);
}

static void test_validator_pages_of_changes(void **state)
{
    (void)state;
    begin("keys=100 absent=0 close=0 reassign=0 writes=2");
    uint64_t since = t.v->banks.confirmed;
    vtest_run(&t, 4000);
    unsigned seen[100] = {0}, n = 0;
    char config[200];
    snprintf(config, sizeof config, BASE64 ",\"changedSinceSlot\":%llu", (unsigned long long)since);
    count_rows(vtest_call(&t, 0, "getProgramAccountsV2",
                          vtest_params(rf_validator_program(t.v, 0), config), NULL),
               seen);
    for (uint32_t key = 0; key < 100; key++) {
        assert_int_equal(seen[key], confirmed(key)->slot >= since);
        n += seen[key];
    }
    assert_in_range(n, 3, 60);
    rf_validator_set(t.v, "v2=0", NULL);
    bool error;
    vtest_call(&t, 0, "getProgramAccountsV2", vtest_params(rf_validator_program(t.v, 0), ""),
               &error);
    assert_true(error);
    vtest_end(&t);
}

/* The bank of a slot, and what an answer says of a key. */
static bool answer_is_of(const char *a, uint32_t key, uint64_t slot)
{
    const struct rf_bank *bank = rf_banks_get(&t.v->banks, slot);
    const struct rf_bank_state *s = bank == NULL ? NULL : rf_banks_state(&t.v->banks, bank, key);
    uint64_t hash = 0;
    return rf_validator_read(vtest_account(a), &hash) && s != NULL && s->hash == hash;
}

/* Each slot writes the one key, so that the state tells the slot. */
static void test_validator_reads_that_mislead(void **state)
{
    (void)state;
    begin("keys=1 absent=0 writes=3 close=0 equal=0 skip=0 fork=0 reassign=0 confirm-hold=0 "
          "skew=1000");
    vtest_run(&t, 4000);
    const char *a = vtest_call(&t, 0, "getAccountInfo", with_key(0, BASE64), NULL);
    uint64_t said = vtest_number(a, "\"slot\":");
    assert_int_equal(said, t.v->banks.confirmed - 1); /* R11 */
    assert_false(answer_is_of(a, 0, said));
    assert_true(answer_is_of(a, 0, said + 1));
    rf_validator_set(t.v, "skew=0 lie=1000", NULL);
    a = vtest_call(&t, 0, "getAccountInfo", with_key(0, BASE64), NULL);
    said = vtest_number(a, "\"slot\":");
    assert_int_equal(said, t.v->banks.confirmed);
    assert_false(answer_is_of(a, 0, said));
    rf_validator_set(t.v, "lie=0 torn=1000", NULL);
    char keys[200];
    snprintf(keys, sizeof keys, "[[\"%.*s\",\"%.*s\"],{" BASE64 "}]", t.v->banks.key[0].text_len,
             t.v->banks.key[0].text, t.v->banks.key[0].text_len, t.v->banks.key[0].text);
    struct rpcfan_slice answer = slice(vtest_call(&t, 0, "getMultipleAccounts", keys, NULL));
    struct rpcfan_slice value = rf_node_field(answer, "value");
    uint64_t x, y;
    assert_true(rf_validator_read(rf_node_param(value, 0), &x));
    assert_true(rf_validator_read(rf_node_param(value, 1), &y));
    assert_true(x != y && y == confirmed(0)->hash);
    rf_validator_set(t.v, "torn=0 lie-null=1000", NULL);
    a = vtest_call(&t, 0, "getAccountInfo", with_key(0, BASE64), NULL);
    assert_non_null(strstr(a, "\"value\":null"));
    assert_true(t.v->count.skewed == 1 && t.v->count.lied == 2 && t.v->count.torn == 1);
    vtest_end(&t);
}

static void test_validator_small_methods(void **state)
{
    (void)state;
    bool error;
    begin("skip=200");
    assert_true(rf_validator_has(slice("getSlot")));
    assert_false(rf_validator_has(slice("getBlock")));
    assert_int_equal(strtoull(vtest_call(&t, 0, "getSlot", "[]", NULL), NULL, 10), t.v->banks.root);
    assert_int_equal(
        strtoull(vtest_call(&t, 0, "getSlot", "[{\"commitment\":\"processed\"}]", NULL), NULL, 10),
        t.v->banks.tip);
    uint64_t height = strtoull(
        vtest_call(&t, 0, "getBlockHeight", "[{\"commitment\":\"processed\"}]", NULL), NULL, 10);
    assert_true(height < t.v->banks.tip && height > t.v->banks.tip - 60);
    const char *a =
        vtest_call(&t, 0, "getBalance", with_key(0, "\"commitment\":\"confirmed\""), NULL);
    assert_int_equal(vtest_number(a, "\"value\":"),
                     confirmed(0) == NULL ? 0 : confirmed(0)->lamports);
    a = vtest_call(&t, 0, "getLatestBlockhash", "[]", NULL);
    assert_non_null(strstr(a, "\"lastValidBlockHeight\":"));
    a = vtest_call(&t, 0, "getNothing", "[]", &error);
    assert_true(error);
    assert_string_equal(a, "{\"code\":-32601,\"message\":\"Method not found\"}");
    vtest_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_validator_account_info_as_the_bank),
        cmocka_unit_test(test_validator_account_members),
        cmocka_unit_test(test_validator_multiple_accounts),
        cmocka_unit_test(test_validator_encodings),
        cmocka_unit_test(test_validator_min_context_slot),
        cmocka_unit_test(test_validator_unhealthy),
        cmocka_unit_test(test_validator_program_accounts),
        cmocka_unit_test(test_validator_program_refused),
        cmocka_unit_test(test_validator_pages),
        cmocka_unit_test(test_validator_pages_of_changes),
        cmocka_unit_test(test_validator_reads_that_mislead),
        cmocka_unit_test(test_validator_small_methods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
