/* test_learn.c - rpcfan_learned() and rpcfan_learn(): what one client wrote another reads, and a
 * file that somebody edited is taken whole or not at all, with the place of the mistake. */
#include "client_case.h"

#include <stdlib.h>

static enum rpcfan_err read_text(const char *json, uint64_t age_ns, struct rf_fact_book *b,
                                 struct rpcfan_error *err)
{
    memset(b, 0, sizeof *b);
    memset(err, 0, sizeof *err);
    return rf_learn_read(json, age_ns, b, err);
}

static const struct rf_fact *find(const struct rf_fact_book *b, enum rf_fact_kind kind,
                                  const char *method)
{
    for (size_t i = 0; i < b->n; i++) {
        const struct rf_fact *f = &b->fact[i];
        if (f->kind == kind &&
            (method == NULL || (f->method.len == strlen(method) &&
                                memcmp(f->method.data, method, f->method.len) == 0)))
            return f;
    }
    return NULL;
}

static const char whole[] =
    "{\"networks\":[{\"name\":\"n\",\"endpoints\":[{\"name\":\"a\",\"batch\":7,\"batch_bytes\":500,"
    "\"inputs\":5,\"ranges\":{\"eth_getLogs\":1000,\"x\":0},\"unsupported\":{\"m\":1500,\"o\":500}}"
    ","
    "{\"name\":\"b\",\"future\":[1,2]}]},{\"name\":\"o\",\"endpoints\":[]}]}";

static void test_learn_reads_facts(void **state)
{
    (void)state;
    struct rf_fact_book b;
    struct rpcfan_error err;
    assert_int_equal(read_text(whole, 0, &b, &err), RPCFAN_OK);
    assert_int_equal(b.n, 6);
    assert_int_equal(find(&b, RF_FACT_BATCH, NULL)->value, 7);
    assert_int_equal(find(&b, RF_FACT_BATCH_BYTES, NULL)->value, 500);
    assert_int_equal(find(&b, RF_FACT_INPUTS, NULL)->value, 5);
    assert_int_equal(find(&b, RF_FACT_RANGE, "eth_getLogs")->value, 1000);
    assert_null(find(&b, RF_FACT_RANGE, "x")); /* 0: not known */
    assert_int_equal(find(&b, RF_FACT_ABSENT, "m")->value, 1500 * RF_MS);
    assert_string_equal(b.fact[0].network, "n");
    assert_string_equal(b.fact[0].endpoint, "a");
    rf_learn_free(&b);
    assert_int_equal(read_text(whole, 1000 * RF_MS, &b, &err), RPCFAN_OK);
    assert_int_equal(find(&b, RF_FACT_ABSENT, "m")->value, 500 * RF_MS);
    assert_null(find(&b, RF_FACT_ABSENT, "o")); /* it has expired */
    rf_learn_free(&b);
    assert_int_equal(read_text(whole, RF_NEVER, &b, &err), RPCFAN_OK);
    assert_int_equal(b.n, 4);
    rf_learn_free(&b);
}

static void test_learn_names_what_is_wrong(void **state)
{
    (void)state;
#define AT_A(rest) "{\"networks\":[{\"name\":\"n\",\"endpoints\":[{\"name\":\"a\"," rest "}]}]}"
    static const struct {
        const char *json, *says;
    } bad[] = {
        {"", "line"},
        {"{", "line 1"},
        {"{\n\n]", "line 3"},
        {"[]", "networks"},
        {"{\"networks\":{}}", "networks"},
        {"{\"networks\":[1]}", "no name"},
        {"{\"networks\":[{\"name\":\"n\"}]}", "endpoints"},
        {"{\"networks\":[{\"name\":\"n\",\"endpoints\":7}]}", "network n"},
        {"{\"networks\":[{\"name\":\"n\",\"endpoints\":[{}]}]}", "no name"},
        {"{\"networks\":[{\"name\":\"n\",\"endpoints\":[null]}]}", "no name"},
        {AT_A("\"batch\":\"7\""), "endpoint a"},
        {AT_A("\"batch\":-1"), "0 or more"},
        {AT_A("\"batch\":1.5"), "0 or more"},
        {AT_A("\"inputs\":99999999999999999999"), "line 1"},
        {AT_A("\"ranges\":[]"), "objects"},
        {AT_A("\"ranges\":{\"m\":true}"), "0 or more"},
        {AT_A("\"unsupported\":{\"m\":-5}"), "endpoint a"},
    };
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        struct rf_fact_book b;
        struct rpcfan_error err;
        assert_int_equal(read_text(bad[i].json, 0, &b, &err), RPCFAN_EINVAL);
        if (strstr(err.text, bad[i].says) == NULL)
            fail_msg("case %zu: '%s' does not name '%s'", i, err.text, bad[i].says);
        rf_learn_free(&b);
        assert_int_equal(rf_learn_read(bad[i].json, 0, &b, NULL), RPCFAN_EINVAL);
        rf_learn_free(&b);
    }
}

/* Every prefix of a good file is refused, and nothing leaks. */
static void test_learn_cut_short(void **state)
{
    (void)state;
    char text[sizeof whole];
    struct rf_fact_book b;
    struct rpcfan_error err;
    memcpy(text, whole, sizeof whole);
    for (size_t len = sizeof whole - 1; len-- > 0;) {
        text[len] = '\0';
        assert_int_equal(read_text(text, 0, &b, &err), RPCFAN_EINVAL);
        rf_learn_free(&b);
    }
}

static void test_learn_out_of_memory(void **state)
{
    (void)state;
    struct rf_buf text = {0};
    struct rpcfan_error err;
    struct rf_fact_book b;
    rf_buf_str(&text, "{\"networks\":[{\"name\":\"n\",\"endpoints\":[{\"name\":\"a\",\"ranges\":{");
    for (unsigned i = 0; i < 100; i++)
        rf_buf_printf(&text, "%s\"m%u\":%u", i > 0 ? "," : "", i, i + 1);
    rf_buf_str(&text, "}}]}]}");
    rf_buf_char(&text, '\0');
    unsigned failed = 0;
    for (uint64_t at = 1;; at++) {
        rf_alloc_fail_at(at);
        enum rpcfan_err e = read_text(text.data, 0, &b, &err);
        rf_alloc_fail_at(0);
        size_t n = b.n;
        rf_learn_free(&b);
        if (e == RPCFAN_OK) {
            assert_int_equal(n, 100);
            break;
        }
        assert_int_equal(e, RPCFAN_ENOMEM);
        failed++;
    }
    assert_int_equal(failed, 4);
    rf_buf_fini(&text);
}

/* From one client to another, on its thread and on the caller's; a closed one says so. */
static void test_learn_between_clients(void **state)
{
    (void)state;
    for (int own_thread = 0; own_thread < 2; own_thread++) {
        struct nobody n;
        struct rpcfan_error err;
        char *text, *again;
        nobody_init(&n);
        n.ep.batch = 100;
        n.ep.name = "a";
        n.net.name = "n";
        if (own_thread)
            n.o.loop = NULL;
        nobody_start(&n);
        assert_int_equal(rpcfan_learn(n.client, "{", 0, &err), RPCFAN_EINVAL);
        assert_int_equal(rpcfan_learn(n.client, whole, 0, NULL), RPCFAN_OK);
        assert_int_equal(rpcfan_learned(n.client, &text), RPCFAN_OK);
        assert_non_null(strstr(text, "\"batch\":7,"));
        assert_non_null(strstr(text, "\"eth_getLogs\":1000"));
        assert_int_equal(rpcfan_learn(n.client, text, 0, &err), RPCFAN_OK);
        assert_int_equal(rpcfan_learned(n.client, &again), RPCFAN_OK);
        assert_memory_equal(text, again, 60);
        rpcfan_free(text);
        rpcfan_free(again);
        if (own_thread) {
            rpcfan_client_free(n.client);
            n.client = NULL;
        }
        nobody_fini(&n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learn_reads_facts),
        cmocka_unit_test(test_learn_names_what_is_wrong),
        cmocka_unit_test(test_learn_cut_short),
        cmocka_unit_test(test_learn_out_of_memory),
        cmocka_unit_test(test_learn_between_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
