/* test_core_learned.c - what one client learned, told to the next: all of it comes across, it
 * tightens and never loosens, and it expires. */
#include "core_case.h"

#include "core/endpoint.h"

static struct rf_fact fact(enum rf_fact_kind kind, const char *endpoint, const char *method,
                           uint64_t value)
{
    struct rpcfan_slice name = {method, method != NULL ? strlen(method) : 0};
    return (struct rf_fact){
        .kind = kind, .network = "net1", .endpoint = endpoint, .method = name, .value = value};
}

static void learn(struct bench *b, enum rf_fact_kind kind, const char *endpoint, const char *method,
                  uint64_t value)
{
    struct rf_fact f = fact(kind, endpoint, method, value);
    rf_core_learn(rf_vshell_core(b->v), &f, rf_vshell_now(b->v));
}

static char *learned(struct bench *b)
{
    struct rf_buf text = {0};
    rf_core_learned(rf_vshell_core(b->v), rf_vshell_now(b->v), &text);
    rf_buf_char(&text, '\0');
    assert_false(text.failed);
    return text.data;
}

static void assert_has(struct bench *b, const char *part)
{
    char *text = learned(b);
    if (strstr(text, part) == NULL)
        fail_msg("no %s in %s", part, text);
    rf_buf_fini(&(struct rf_buf){.data = text});
}

static void test_learned_comes_across(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 2, 1);
    b.ep[0].batch = b.ep[1].batch = 100;
    bench_start(&b);
    assert_has(&b, "{\"networks\":[{\"name\":\"net1\",\"endpoints\":[{\"name\":\"ep1\",\"batch\":0,"
                   "\"batch_bytes\":0,\"inputs\":0,\"ranges\":{},\"unsupported\":{}},"
                   "{\"name\":\"ep2\",");
    learn(&b, RF_FACT_BATCH, "ep2", NULL, 7);
    learn(&b, RF_FACT_BATCH_BYTES, "ep2", NULL, 5000);
    learn(&b, RF_FACT_INPUTS, "ep2", NULL, 5);
    learn(&b, RF_FACT_RANGE, "ep2", "eth_getLogs", 1000);
    learn(&b, RF_FACT_RANGE, "ep2", "a\\\"b", 10);
    learn(&b, RF_FACT_ABSENT, "ep2", "trace_block", 100 * RF_SEC);
    assert_has(&b, "{\"name\":\"ep2\",\"batch\":7,\"batch_bytes\":5000,\"inputs\":5,"
                   "\"ranges\":{\"eth_getLogs\":1000,\"a\\\\\\\"b\":10},"
                   "\"unsupported\":{\"trace_block\":100000}}");
    bench_run(&b, 99 * RF_SEC);
    assert_has(&b, "\"unsupported\":{\"trace_block\":1000}");
    bench_run(&b, RF_SEC);
    assert_has(&b, "\"inputs\":5,\"ranges\":{\"eth_getLogs\":1000,\"a\\\\\\\"b\":10},"
                   "\"unsupported\":{}");
    bench_fini(&b);
}

static void test_learned_of_strangers_is_ignored(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1, 1);
    bench_start(&b);
    char *before = learned(&b);
    learn(&b, RF_FACT_BATCH, "ep9", NULL, 7);
    struct rf_fact f = fact(RF_FACT_INPUTS, "ep1", NULL, 7);
    f.network = "mainnet";
    rf_core_learn(rf_vshell_core(b.v), &f, 0);
    learn(&b, RF_FACT_BATCH, "ep1", NULL, 0);
    learn(&b, RF_FACT_ABSENT, "ep1", "m", 0);
    char long_name[200];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    learn(&b, RF_FACT_RANGE, "ep1", long_name, 7);
    learn(&b, RF_FACT_ABSENT, "ep1", long_name, RF_SEC);
    char *after = learned(&b);
    assert_string_equal(before, after);
    rf_buf_fini(&(struct rf_buf){.data = before});
    rf_buf_fini(&(struct rf_buf){.data = after});
    bench_fini(&b);
}

/* Told twice, or told less than is known: the tighter figure stays, and no place is used up. */
static void test_learned_only_tightens(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 2, 1);
    bench_start(&b);
    for (uint32_t i = 0; i < 20; i++)
        learn(&b, RF_FACT_RANGE, "ep1", "eth_getLogs", 1000 + i);
    assert_int_equal(bench_ep(&b, 0)->n_ranges, 1);
    assert_has(&b, "\"ranges\":{\"eth_getLogs\":1000}");
    learn(&b, RF_FACT_RANGE, "ep1", "eth_getLogs", 10);
    assert_has(&b, "\"ranges\":{\"eth_getLogs\":10}");
    assert_true(bench_ep(&b, 0)->range[0].cap.proven <= 10);
    for (uint32_t i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "m_%u", i);
        learn(&b, RF_FACT_RANGE, "ep1", name, UINT64_MAX);
    }
    assert_int_equal(bench_ep(&b, 0)->n_ranges, RF_RANGE_FACTS);
    bench_fini(&b);
}

/* A method that is said to be absent for a thousand years is asked for again within minutes, and an
 * old word is not brought back by a new one. */
static void test_learned_absence_ends(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 2, 1);
    bench_start(&b);
    learn(&b, RF_FACT_ABSENT, "ep1", "m", RF_NEVER);
    bench_run(&b, 299 * RF_SEC);
    assert_has(&b, "\"name\":\"ep1\",\"batch\":0,\"batch_bytes\":0,\"inputs\":0,\"ranges\":{},"
                   "\"unsupported\":{\"m\":1000}");
    bench_run(&b, RF_SEC);
    learn(&b, RF_FACT_ABSENT, "ep2", "m", 10 * RF_SEC);
    assert_has(&b, "\"name\":\"ep1\",\"batch\":0,\"batch_bytes\":0,\"inputs\":0,\"ranges\":{},"
                   "\"unsupported\":{}}");
    assert_has(&b, "\"unsupported\":{\"m\":10000}");
    bench_fini(&b);
}

/* A batch cap that was learned is kept to from the first batch on. */
static void test_learned_cap_holds_at_once(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1, 1);
    b.ep[0].batch = 50;
    b.ep[0].learn = 0;
    b.node[0].batch_cap = 7;
    bench_start(&b);
    learn(&b, RF_FACT_BATCH, "ep1", NULL, 7);
    bench_calls(&b, 100, "eth_call", 5 * RF_SEC);
    bench_run(&b, RF_SEC);
    assert_int_equal(b.node[0].refused_batches, 0);
    assert_int_equal(b.ok, 100);
    bench_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learned_comes_across),
        cmocka_unit_test(test_learned_of_strangers_is_ignored),
        cmocka_unit_test(test_learned_only_tightens),
        cmocka_unit_test(test_learned_absence_ends),
        cmocka_unit_test(test_learned_cap_holds_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
