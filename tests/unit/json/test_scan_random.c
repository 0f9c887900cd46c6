/* test_scan_random.c - random texts, whole and damaged: the scanner against jansson, against itself
 * in random chunks, and the compactor against jansson's trees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "json/rpc.h"
#include "json_gen.h"
#include "oracle.h"
#include "scan_trace.h"

#define ROUNDS 30000
#define CUTS_MAX 64

static void complain(uint64_t round, const struct rf_buf *b, const char *what)
{
    fail_msg("round %llu: %s: %.*s", (unsigned long long)round, what, (int)b->len, b->data);
}

static int compare_sizes(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/** Scan whole and in random chunks. @return the verdict of the scanner. */
static enum rpcfan_err check_chunks(uint64_t round, const struct rf_buf *b, struct rf_rng *r)
{
    struct trace whole = {0}, cut = {0};
    size_t at[CUTS_MAX], n = (size_t)rf_rng_below(r, CUTS_MAX + 1);
    uint32_t report = rf_rng_below(r, 2) == 0 ? 64 : (uint32_t)rf_rng_below(r, 4);
    for (size_t i = 0; i < n; i++)
        at[i] = (size_t)rf_rng_below(r, b->len + 1);
    qsort(at, n, sizeof at[0], compare_sizes);
    struct trace_plan plan = {64, report, NULL, 0};
    trace_text(&whole, b->data, b->len, &plan);
    plan.cut = at;
    plan.n_cut = n;
    trace_text(&cut, b->data, b->len, &plan);
    if (!trace_same(&whole, &cut))
        complain(round, b, "differs in chunks");
    enum rpcfan_err err = whole.err;
    trace_fini(&whole);
    trace_fini(&cut);
    return err;
}

/** What is left after compaction means the same and holds no space between tokens. */
static void check_compact(uint64_t round, const struct rf_buf *b, const json_t *tree)
{
    char *out = malloc(b->len);
    assert_non_null(out);
    memcpy(out, b->data, b->len);
    size_t len = rpcfan_json_compact(out, b->len, out);
    json_t *again;
    if (oracle_judge(out, len, &again) != VERDICT_YES || !json_equal(again, tree))
        complain(round, b, "compacted differs");
    json_decref(again);
    struct trace t = {0};
    struct trace_plan plan = {64, 64, NULL, 0};
    trace_text(&t, out, len, &plan);
    for (size_t i = 0; i < t.n; i++)
        if (t.step[i].space)
            complain(round, b, "compacted holds space");
    trace_fini(&t);
    free(out);
}

static void check_text(uint64_t round, const struct rf_buf *b, struct rf_rng *r, unsigned count[2])
{
    bool ours = check_chunks(round, b, r) == RPCFAN_OK;
    json_t *tree;
    enum verdict theirs = oracle_judge(b->data, b->len, &tree);
    if (theirs != VERDICT_NONE && ours != (theirs == VERDICT_YES))
        complain(round, b, ours ? "jansson refuses it" : "jansson accepts it");
    if (tree != NULL)
        check_compact(round, b, tree);
    json_decref(tree);
    count[ours]++;
}

static void test_scan_random_agrees_with_jansson(void **state)
{
    (void)state;
    struct rf_rng r;
    struct rf_buf b = {0};
    unsigned count[2] = {0}, damaged[2] = {0};
    rf_rng_init(&r, 20240607);
    json_object_seed(1);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        rf_buf_reset(&b, SIZE_MAX);
        gen_value(&b, &r, (unsigned)rf_rng_below(&r, 7));
        assert_false(b.failed);
        check_text(round, &b, &r, count);
        gen_damage(&b, &r);
        check_text(round, &b, &r, damaged);
    }
    rf_buf_fini(&b);
    /* The generator writes only what is valid, and its damage does not leave all of it so. */
    assert_int_equal(count[0], 0);
    assert_int_equal(count[1], ROUNDS);
    assert_true(damaged[0] > ROUNDS / 4 && damaged[1] > ROUNDS / 20);
}

/** Any bytes, most of them no UTF-8, quoted: jansson reads them, and we undo what we wrote. */
static void test_quote_random_round_trip(void **state)
{
    (void)state;
    struct rf_rng r;
    rf_rng_init(&r, 4);
    for (int round = 0; round < 20000; round++) {
        char raw[48];
        size_t n = (size_t)rf_rng_below(&r, sizeof raw + 1);
        uint64_t top = rf_rng_below(&r, 2) == 0 ? 128 : 256;
        for (size_t i = 0; i < n; i++)
            raw[i] = (char)rf_rng_below(&r, top);
        struct rf_buf quoted = {0}, back = {0};
        rf_json_quote(&quoted, raw, n);
        assert_int_equal(rf_json_check(quoted.data, quoted.len, 1, NULL), RPCFAN_OK);
        rf_json_unescape(&back, quoted.data + 1, quoted.len - 2);
        json_t *tree;
        assert_int_equal(oracle_judge(quoted.data, quoted.len, &tree), VERDICT_YES);
        assert_int_equal(json_string_length(tree), back.len);
        if (back.len > 0)
            assert_memory_equal(json_string_value(tree), back.data, back.len);
        if (top == 128 && n > 0) {
            assert_int_equal(back.len, n);
            assert_memory_equal(back.data, raw, n);
        }
        json_decref(tree);
        rf_buf_fini(&quoted);
        rf_buf_fini(&back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan_random_agrees_with_jansson),
        cmocka_unit_test(test_quote_random_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
