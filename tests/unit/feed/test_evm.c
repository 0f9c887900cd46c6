/* test_evm.c - Ethereum feeds: heads and logs without holes, against a chain with forks and a
 * consumer that takes nothing twice, nothing out of order and nothing that is not there. */
#include "evm_world.h"

static struct vworld *const v = &vw;

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *method, *params;
        enum rf_evm_kind kind;
    } rows[] = {
        {"eth_subscribe", "[\"newHeads\"]", RF_EVM_HEADS},
        {"eth_subscribe", " [ \"newHeads\" ] ", RF_EVM_HEADS},
        {"eth_subscribe", "[\"logs\"]", RF_EVM_LOGS},
        {"eth_subscribe", "[\"logs\",{}]", RF_EVM_LOGS},
        {"eth_subscribe", "[\"newPendingTransactions\"]", RF_EVM_NONE},
        {"eth_subscribe", "[]", RF_EVM_NONE},
        {"eth_subscribe", "{}", RF_EVM_NONE},
        {"eth_subscribe", "", RF_EVM_NONE},
        {"logsSubscribe", "[\"logs\"]", RF_EVM_NONE},
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++)
        assert_int_equal(rf_evm_kind(rows[i].method,
                                     (struct rpcfan_slice){rows[i].params, strlen(rows[i].params)}),
                         rows[i].kind);
}

static void test_heads_follow_each_other(void **state)
{
    (void)state;
    v_start(v, true, 1);
    v_up(v);
    for (int i = 0; i < 20; i++) {
        v_mine(v, 0, 1);
        v_for(v, RF_SEC);
    }
    assert_int_equal(v->data, 20);
    assert_int_equal(v->calls, 0);
    v_check(v);
    v_stop(v);
}

static void test_a_fork_is_told_from_the_top(void **state)
{
    (void)state;
    v_start(v, true, 1);
    v_up(v);
    v_mine(v, 0, 10);
    v_for(v, RF_SEC);
    v_mine(v, 4, 5);
    v_for(v, RF_SEC);
    assert_int_equal(v->removed, 4);
    assert_int_equal(v->data, 10 + 4 + 5);
    assert_int_equal(v->calls, 0);
    v_check(v);
    v_stop(v);
}

static void test_a_gap_of_heads_is_filled(void **state)
{
    (void)state;
    v_start(v, true, 1);
    v_up(v);
    v_mine(v, 0, 3);
    v_for(v, RF_SEC);
    v_down(v);
    assert_true(v->in_gap);
    v_mine(v, 2, 12); /* and what was told is replaced meanwhile */
    v_for(v, RF_SEC);
    v_up(v);
    v_for(v, 10 * RF_SEC); /* without a new head: it is asked for */
    assert_false(v->in_gap);
    assert_int_equal(v->removed, 2);
    assert_int_equal(v->ups, 2);
    v_check(v);
    assert_int_equal(v_count(v).filled, 1);
    v_stop(v);
}

static void test_a_long_gap_is_filled_by_numbers(void **state)
{
    (void)state;
    v_start(v, true, 1);
    v_up(v);
    v_mine(v, 0, 5);
    v_for(v, RF_SEC);
    v_down(v);
    v_mine(v, 3, 1000);
    v_up(v);
    v_mine(v, 0, 1);
    v_for(v, 30 * RF_SEC);
    assert_false(v->in_gap);
    v_check(v);
    assert_in_range(v->calls, 1000, 1100);
    assert_true(v_count(v).kept < 600);
    v_stop(v);
}

static void test_a_head_that_was_skipped_is_fetched(void **state)
{
    (void)state;
    v_start(v, true, 1);
    v_up(v);
    v_mine(v, 0, 1);
    v_for(v, RF_SEC);
    v->up = false; /* the node forgets to tell of three */
    v_mine(v, 0, 3);
    v->up = true;
    v_mine(v, 0, 1);
    v_for(v, 5 * RF_SEC);
    v_check(v);
    assert_int_equal(v->gaps, 0);
    assert_int_equal(v_count(v).fetched, 3);
    v_stop(v);
}

static void test_heads_that_cannot_be_had_leave_the_gap_open(void **state)
{
    (void)state;
    v_start(v, true, 1);
    v_up(v);
    v_mine(v, 0, 1);
    v_for(v, RF_SEC);
    v_down(v);
    v_mine(v, 0, 10);
    v->refuse = true;
    v_up(v);
    v->depth = 0; /* the consumer takes what comes */
    v_mine(v, 0, 1);
    v_for(v, 300 * RF_SEC);
    assert_true(v->in_gap);
    assert_int_equal(v->fills, 0);
    assert_int_equal(v_count(v).broken, 1);
    v_mine(v, 0, 3); /* but it goes on */
    v_for(v, RF_SEC);
    assert_int_equal(v->stack[v->depth - 1], v->tip);
    assert_int_equal(v->data, 5);
    v_stop(v);
}

static void test_a_fork_below_all_that_is_known_is_a_gap(void **state)
{
    (void)state;
    v_start(v, true, 1);
    v_up(v);
    v_mine(v, 0, 3);
    v_for(v, RF_SEC);
    v->depth = 3;
    v_mine(v, 4, 5); /* one more than was told */
    v_for(v, 30 * RF_SEC);
    assert_int_equal(v_count(v).broken, 1);
    assert_int_equal(v->removed, 3);
    assert_int_equal(v->gaps, 1);
    assert_int_equal(v->stack[v->depth - 1], v->tip);
    v_stop(v);
}

static void test_thousand_cuts_of_heads(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        v_start(v, true, seed);
        v->fail = 20;
        v_thousand_cuts(v, 1000, 6);
        assert_true(v->removed > 500 && v->gaps > 900 && v->fills > 100);
        assert_int_equal(v_count(v).broken, 0);
        v_stop(v);
    }
}

static void test_thousand_cuts_of_heads_with_a_node_behind(void **state)
{
    (void)state;
    v_start(v, true, 9);
    v->lag_ns = 3 * RF_SEC;
    v_thousand_cuts(v, 1000, 3);
    v_stop(v);
}

static void test_logs_come_once_and_are_taken_back(void **state)
{
    (void)state;
    v_start(v, false, 2);
    v_up(v);
    v_mine(v, 0, 10);
    v_for(v, RF_SEC);
    v_mine(v, 3, 4);
    v_for(v, RF_SEC);
    assert_true(v->removed > 0);
    v_check(v);
    assert_int_equal(v->calls, 1); /* where it begins */
    v_stop(v);
}

static void test_a_gap_of_logs_is_filled_and_what_fell_in_it_taken_back(void **state)
{
    (void)state;
    v_start(v, false, 2);
    v_up(v);
    v_mine(v, 0, 10);
    v_for(v, RF_SEC);
    uint32_t data = v->data;
    v_down(v);
    v_mine(v, 5, 20);
    v_for(v, RF_SEC);
    v_up(v);
    v_mine(v, 2, 3); /* and it goes on while it is filled */
    v_for(v, 2 * RF_SEC);
    assert_true(v->removed > 0 && v->data > data);
    assert_true(v->in_gap); /* it is read a second time first */
    v_check(v);
    v_for(v, 10 * RF_SEC);
    assert_false(v->in_gap);
    v_check(v);
    assert_int_equal(v_count(v).filled, 1);
    v_stop(v);
}

/* Once, a gap was filled from so many blocks before it, as far back as before the subscription. */
static void test_logs_of_before_the_subscription_are_not_told(void **state)
{
    (void)state;
    v_start(v, false, 2);
    v_mine(v, 0, 10);
    v_up(v);
    v_for(v, RF_SEC);
    v_mine(v, 0, 2);
    v_for(v, RF_SEC);
    v_down(v);
    v_mine(v, 0, 2);
    v_up(v);
    v_for(v, 20 * RF_SEC);
    assert_false(v->in_gap);
    v_check(v);
    for (uint32_t i = 0; i < v->n; i++) {
        /* the block that was the newest when the feed asked may be told */
        for (uint32_t k = 0; k < v->block[i].n_logs && v->block[i].number + 1 < v->first_block; k++)
            assert_int_equal(v->block[i].told[k], 0);
    }
    v_stop(v);
}

static void test_quiet_logs_do_not_make_long_ranges(void **state)
{
    (void)state;
    v_start(v, false, 2);
    v_up(v);
    v_mine(v, 0, 1);
    v_for(v, RF_SEC);
    v->quiet = true;
    for (int i = 0; i < 1000; i++) {
        v_mine(v, 0, 1);
        v_for(v, 12 * RF_SEC);
    }
    v_down(v);
    v_mine(v, 0, 5);
    v_up(v);
    v_for(v, 20 * RF_SEC);
    assert_false(v->in_gap);
    assert_in_range(v->widest, 5, 60);
    v_stop(v);
}

static void test_logs_that_cannot_be_read_leave_the_gap_open(void **state)
{
    (void)state;
    v_start(v, false, 2);
    v_up(v);
    v_mine(v, 0, 5);
    v_for(v, RF_SEC);
    v_down(v);
    v_mine(v, 0, 10);
    uint32_t lost = v->tip;
    v->refuse = true;
    v_up(v);
    v_mine(v, 0, 3);
    uint32_t data = v->data;
    v_for(v, 200 * RF_SEC);
    assert_true(v->in_gap);
    assert_int_equal(v_count(v).broken, 1);
    assert_true(v->data > data); /* what was held is told all the same */
    assert_int_equal(v->block[lost].told[0], 0);
    v->refuse = false;
    v->in_gap = false;
    v_down(v); /* a later gap is filled as ever */
    v_for(v, RF_SEC);
    v_up(v);
    v_for(v, 20 * RF_SEC);
    assert_false(v->in_gap);
    v_stop(v);
}

static void test_too_much_that_is_held_is_read_instead(void **state)
{
    (void)state;
    struct rf_evm_options o = {.held_bytes = 2000};
    v_start_with(v, false, 2, &o);
    v_up(v);
    v_mine(v, 0, 5);
    v_for(v, RF_SEC);
    v_down(v);
    v_mine(v, 0, 10);
    v_up(v);
    v_mine(v, 0, 50);
    v_for(v, 30 * RF_SEC);
    assert_false(v->in_gap);
    v_check(v);
    v_stop(v);
}

static void test_memory_of_logs_is_bounded(void **state)
{
    (void)state;
    struct rf_evm_options o = {.keep_bytes = 20000};
    v_start_with(v, false, 2, &o);
    v_up(v);
    for (int i = 0; i < 1000; i++) {
        v_mine(v, 0, 1);
        v_for(v, 300 * RF_MS);
        assert_true(v_count(v).kept_bytes <= 20000);
    }
    v_down(v);
    v_mine(v, 0, 100);
    v_up(v);
    v_for(v, 20 * RF_SEC);
    assert_false(v->in_gap);
    v_check(v); /* and none came twice */
    v_stop(v);
}

static void test_thousand_cuts_of_logs(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        v_start(v, false, seed);
        v->fail = 20;
        v_thousand_cuts(v, 1000, 6);
        assert_true(v->removed > 1000 && v->gaps > 50 && v->fills > 1);
        assert_int_equal(v_count(v).broken, 0);
        v_stop(v);
    }
}

static void test_thousand_cuts_of_logs_with_a_node_behind(void **state)
{
    (void)state;
    v_start(v, false, 9);
    v->lag_ns = 3 * RF_SEC;
    v_thousand_cuts(v, 1000, 3);
    v_stop(v);
}

static void test_others_are_passed_on_and_refusals_end_it(void **state)
{
    (void)state;
    static const char params[] = "[\"newPendingTransactions\"]";
    struct rf_evm_options o = {.method = "eth_subscribe", .params = {params, sizeof params - 1}};
    struct rf_evm_ops ops = {v, v_call, v_tell};
    memset(v, 0, sizeof *v);
    v->session = 1;
    v->e = rf_evm_new(&o, &ops, 0);
    v_note(v, RF_NOTE_UP, NULL);
    v_note(v, RF_NOTE_DOWN, NULL);
    v_note(v, RF_NOTE_UP, NULL);
    assert_int_equal(v->ups, 2);
    assert_int_equal(v->gaps, 1);
    v->in_gap = false;
    v_note(v, RF_NOTE_DOWN, NULL);
    assert_int_equal(v->gaps, 2);
    assert_int_equal(v->fills, 0);
    v_note(v, RF_NOTE_REFUSED, NULL);
    v_note(v, RF_NOTE_UP, NULL);
    assert_int_equal(v->ends, 1);
    assert_int_equal(v->ups, 2);
    assert_int_equal(rf_evm_deadline(v->e), RF_NEVER);
    v_stop(v);
}

/* Notes of one more session, by hand. */
static void note_on(uint64_t session, enum rf_note_kind kind, uint32_t block, bool removed)
{
    struct rf_buf b = {0};
    struct rf_blob *blob = NULL;
    struct rf_note n = {.kind = kind, .session = session, .why = "by hand"};
    if (kind == RF_NOTE_DATA) {
        if (v->heads)
            v_write_head(&b, &v->block[block], &v->block[v->block[block].parent], false);
        else
            v_write_log(&b, &v->block[block], 0, removed);
        blob = v_blob(b.data, b.len);
        n.blob = blob;
        n.json = (struct rpcfan_slice){blob->data, blob->len};
    }
    rf_evm_note(v->e, &n, v->now);
    rf_blob_unref(blob);
    rf_buf_fini(&b);
}

static void test_two_sessions_are_one_feed(void **state)
{
    (void)state;
    v_start(v, true, 1);
    uint32_t base = v->tip;
    note_on(10, RF_NOTE_UP, 0, false);
    note_on(11, RF_NOTE_UP, 0, false);
    assert_int_equal(v->ups, 1);
    uint32_t a = v_new_block(v, base), b = v_new_block(v, a), other = v_new_block(v, a);
    uint32_t last = v_new_block(v, other);
    v_set_tip(v, last);
    note_on(10, RF_NOTE_DATA, a, false);
    note_on(11, RF_NOTE_DATA, a, false);
    note_on(10, RF_NOTE_DATA, b, false);
    note_on(11, RF_NOTE_DATA, other, false); /* as high: the one that was first leads */
    assert_int_equal(v->data, 2);
    assert_int_equal(v_count(v).twice, 1);
    note_on(11, RF_NOTE_DATA, last, false); /* higher: it wins */
    assert_int_equal(v->data, 5);
    assert_int_equal(v->removed, 1);
    assert_int_equal(v->calls, 0);
    v_check(v);
    note_on(10, RF_NOTE_DOWN, 0, false);
    assert_int_equal(v->gaps, 0);
    note_on(11, RF_NOTE_DOWN, 0, false);
    assert_int_equal(v->gaps, 1);
    v_stop(v);
}

static void test_a_log_that_a_slow_session_tells_again_does_not_stay(void **state)
{
    (void)state;
    v_start(v, false, 1);
    v->quiet = true;
    note_on(10, RF_NOTE_UP, 0, false);
    note_on(11, RF_NOTE_UP, 0, false);
    v->up = true;
    v_for(v, 5 * RF_SEC);
    uint32_t a = v_new_block(v, v->tip);
    v->block[a].n_logs = 1;
    note_on(10, RF_NOTE_DATA, a, false);
    note_on(10, RF_NOTE_DATA, a, true);
    note_on(11, RF_NOTE_DATA, a, false); /* it is behind, and dies before it takes it back */
    assert_int_equal(v->block[a].told[0], 1);
    note_on(11, RF_NOTE_DOWN, 0, false);
    uint32_t in_its_place = v_new_block(v, v->tip);
    v_set_tip(v, in_its_place);
    v_for(v, 10 * RF_SEC);
    assert_int_equal(v->block[a].told[0], 0);
    assert_int_equal(v->gaps, 0);
    v_stop(v);
}

/* Whatever cannot be allocated, nothing is told twice, and what is told stands in the end. */
static void without_memory(bool heads)
{
    bool failed = true;
    uint64_t n = 1;
    for (; failed; n += n < 100 ? 1 : 13) {
        v_start(v, heads, 5);
        /* the world itself must not fail: its memory is there before */
        assert_true(rf_heap_reserve(&v->events, 20000));
        v_up(v);
        v_mine(v, 0, 8);
        v_for(v, 2 * RF_SEC);
        v_down(v);
        v_mine(v, 3, 20);
        v_up(v);
        uint64_t before = rf_alloc_count();
        v->starve_at = n;
        v_for(v, 5 * RF_SEC);
        v_mine(v, 2, 3);
        v_for(v, 40 * RF_SEC);
        failed = rf_alloc_count() - before > 0 && v->starve_at == 0;
        v->starve_at = 0;
        v_mine(v, 0, 1);
        v_for(v, 60 * RF_SEC);
        v_check(v);
        v_stop(v);
    }
    assert_true(n > 50);
}

static void test_lack_of_memory_is_survived(void **state)
{
    (void)state;
    without_memory(true);
    without_memory(false);
    for (uint64_t n = 1; n < 8; n++) {
        struct rf_evm_options o = {.method = "eth_subscribe", .params = {"[\"logs\"]", 8}};
        struct rf_evm_ops ops = {v, v_call, v_tell};
        rf_alloc_fail_at(n);
        struct rf_evm *e = rf_evm_new(&o, &ops, 0);
        rf_alloc_fail_at(0);
        assert_true((e == NULL) == (n <= 4));
        rf_evm_free(e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_heads_follow_each_other),
        cmocka_unit_test(test_a_fork_is_told_from_the_top),
        cmocka_unit_test(test_a_gap_of_heads_is_filled),
        cmocka_unit_test(test_a_long_gap_is_filled_by_numbers),
        cmocka_unit_test(test_a_head_that_was_skipped_is_fetched),
        cmocka_unit_test(test_heads_that_cannot_be_had_leave_the_gap_open),
        cmocka_unit_test(test_a_fork_below_all_that_is_known_is_a_gap),
        cmocka_unit_test(test_thousand_cuts_of_heads),
        cmocka_unit_test(test_thousand_cuts_of_heads_with_a_node_behind),
        cmocka_unit_test(test_logs_come_once_and_are_taken_back),
        cmocka_unit_test(test_a_gap_of_logs_is_filled_and_what_fell_in_it_taken_back),
        cmocka_unit_test(test_logs_of_before_the_subscription_are_not_told),
        cmocka_unit_test(test_quiet_logs_do_not_make_long_ranges),
        cmocka_unit_test(test_logs_that_cannot_be_read_leave_the_gap_open),
        cmocka_unit_test(test_too_much_that_is_held_is_read_instead),
        cmocka_unit_test(test_memory_of_logs_is_bounded),
        cmocka_unit_test(test_thousand_cuts_of_logs),
        cmocka_unit_test(test_thousand_cuts_of_logs_with_a_node_behind),
        cmocka_unit_test(test_two_sessions_are_one_feed),
        cmocka_unit_test(test_a_log_that_a_slow_session_tells_again_does_not_stay),
        cmocka_unit_test(test_lack_of_memory_is_survived),
        cmocka_unit_test(test_others_are_passed_on_and_refusals_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
