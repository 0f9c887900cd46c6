/* test_feed_confirmed.c - accounts at "confirmed": fence, snapshot, live, close, gap, repair. */
#include "feed_case.h"

static void make(struct feed_case *c, unsigned n)
{
    struct rpcfan_feed_options o;
    const char *accounts[CASE_KEYS];
    case_options(&o, accounts, n);
    assert_int_equal(case_make(c, &o), 0);
}

static void test_fence_comes_a_second_after_the_acknowledgement(void **state)
{
    (void)state;
    struct feed_case c;
    make(&c, 2);
    c.lamports[0] = 10;
    case_start(&c);
    assert_int_equal(c.subs, 2);
    case_up(&c, 1, 1);
    case_slot(&c, 1, 100);
    case_slot(&c, 1, 101);
    case_wait(&c, RF_SEC - 1);
    case_slot(&c, 1, 102);
    assert_null(case_open(&c, NULL)); /* it may have been sent before the node acted */
    case_wait(&c, 1);
    assert_null(case_open(&c, NULL)); /* time alone is no fence */
    case_slot(&c, 1, 103);
    struct case_call *k = case_open(&c, "getMultipleAccounts");
    assert_non_null(k);
    assert_int_equal(case_floor(k), 103);
    assert_non_null(strstr(k->params, case_key(0)));
    assert_null(strstr(k->params, case_key(1))); /* not subscribed yet */
    case_free(&c);
}

static void test_snapshot_then_mark_is_complete(void **state)
{
    (void)state;
    struct feed_case c;
    make(&c, 3);
    c.lamports[0] = 10;
    c.lamports[2] = 30;
    case_start(&c);
    for (uint64_t i = 1; i <= 3; i++)
        case_up(&c, 1, i);
    case_slot(&c, 1, 100);
    case_wait(&c, RF_SEC);
    case_slot(&c, 1, 103);
    case_answer(&c, case_open(&c, NULL), 104);
    assert_int_equal(case_take(&c), 2); /* what is not there makes no event */
    case_event(&c, 0, RPCFAN_ACCOUNT_SNAPSHOT, 0, 104);
    case_event(&c, 1, RPCFAN_ACCOUNT_SNAPSHOT, 2, 104);
    assert_int_equal(c.ev[0].seq, 1);
    assert_int_equal(c.ev[1].seq, 2);
    assert_true(c.ev[0].hash != 0 && c.ev[0].hash != c.ev[1].hash);
    assert_true(c.mark.complete);
    assert_int_equal(c.mark.seq, 2);
    case_free(&c);
}

static void test_answer_below_the_fence_is_refused(void **state)
{
    (void)state;
    struct feed_case c;
    make(&c, 1);
    c.lamports[0] = 10;
    case_start(&c);
    case_up(&c, 1, 1);
    case_slot(&c, 1, 100);
    case_wait(&c, RF_SEC);
    case_slot(&c, 1, 103);
    case_answer(&c, case_open(&c, NULL), 101);
    assert_int_equal(case_take(&c), 0);
    assert_null(case_open(&c, NULL));
    case_wait(&c, 2 * RF_FEED_SLOT_NS); /* as long as it is behind */
    struct case_call *k = case_open(&c, NULL);
    assert_non_null(k);
    case_answer(&c, k, 103);
    assert_int_equal(case_take(&c), 1);
    case_free(&c);
}

static void test_minimum_slot_error_waits_as_long_as_the_node_is_behind(void **state)
{
    (void)state;
    struct feed_case c;
    make(&c, 1);
    case_start(&c);
    case_up(&c, 1, 1);
    case_slot(&c, 1, 100);
    case_wait(&c, RF_SEC);
    case_slot(&c, 1, 103);
    case_error(&c, case_open(&c, NULL),
               "{\"code\":-32016,\"message\":\"Minimum context slot has not been reached\","
               "\"data\":{\"contextSlot\":98}}");
    case_wait(&c, 5 * RF_FEED_SLOT_NS - 1);
    assert_null(case_open(&c, NULL));
    case_wait(&c, 1);
    assert_non_null(case_open(&c, NULL));
    case_free(&c);
}

static void test_live_update_and_close_and_create(void **state)
{
    (void)state;
    struct feed_case c;
    make(&c, 1);
    c.lamports[0] = 10;
    case_live(&c);
    case_tell(&c, 1, 0, 106, 11);
    case_tell(&c, 1, 0, 106, 11); /* told twice: one event */
    assert_int_equal(case_take(&c), 1);
    case_event(&c, 0, RPCFAN_ACCOUNT_UPDATE, 0, 106);
    case_tell(&c, 1, 0, 107, 0);
    assert_int_equal(case_take(&c), 1);
    case_event(&c, 0, RPCFAN_ACCOUNT_CLOSE, 0, 107);
    assert_int_equal(c.ev[0].json.len, 0);
    assert_int_equal(c.ev[0].hash, 0);
    case_tell(&c, 1, 0, 106, 11); /* older: no resurrection */
    case_tell(&c, 1, 0, 108, 0);  /* gone already */
    assert_int_equal(case_take(&c), 0);
    case_tell(&c, 1, 0, 109, 12);
    assert_int_equal(case_take(&c), 1);
    case_event(&c, 0, RPCFAN_ACCOUNT_CREATE, 0, 109);
    case_free(&c);
}

static void test_watermark_follows_what_the_session_has_told(void **state)
{
    (void)state;
    struct feed_case c;
    make(&c, 2);
    c.lamports[0] = 10;
    c.lamports[1] = 10;
    case_live(&c);
    assert_int_equal(c.mark.watermark, 71); /* the root of slot 103 */
    case_tell(&c, 1, 0, 106, 11);
    case_tell(&c, 1, 0, 108, 12);
    case_take(&c);
    assert_int_equal(c.mark.watermark, 71); /* what is told at once may be out of order */
    case_wait(&c, RF_FEED_SETTLE_NS);
    case_take(&c);
    assert_int_equal(c.mark.watermark, 106); /* the first of 108 says that 106 is told */
    case_tell(&c, 1, 0, 109, 13);
    case_tell(&c, 1, 1, 110, 13);
    case_wait(&c, RF_FEED_SETTLE_NS);
    assert_true(c.f->watermark < 109); /* what waits holds it */
    case_take(&c);
    assert_int_equal(c.mark.watermark, 108);
    case_free(&c);
}

static void test_gap_reads_only_what_lost_its_subscription(void **state)
{
    (void)state;
    struct feed_case c;
    make(&c, 3);
    c.lamports[0] = c.lamports[1] = c.lamports[2] = 10;
    case_live(&c);
    case_tell(&c, 1, 0, 108, 11);
    case_tell(&c, 1, 0, 110, 12);
    c.lamports[0] = 12;
    case_wait(&c, RF_FEED_SETTLE_NS);
    case_take(&c);
    assert_int_equal(c.mark.watermark, 108);
    uint32_t calls = c.n_calls;
    case_down(&c, 1, 2);
    c.lamports[1] = 77;
    case_tell(&c, 1, 0, 112, 13);
    case_tell(&c, 1, 0, 115, 14);
    case_take(&c);
    assert_int_equal(c.mark.watermark, 108); /* frozen where the gap begins */
    case_slot(&c, 1, 116);
    case_up(&c, 2, 2);
    case_wait(&c, RF_SEC);
    case_slot(&c, 2, 118);
    assert_int_equal(c.n_calls, calls); /* 115 is confirmed, and three slots take 1.2 s */
    case_wait(&c, 3 * RF_FEED_SLOT_NS - RF_SEC);
    assert_int_equal(c.n_calls, calls + 1);
    struct case_call *k = case_open(&c, NULL);
    assert_int_equal(case_floor(k), 118);
    assert_non_null(strstr(k->params, case_key(1)));
    assert_null(strstr(k->params, case_key(0)));
    case_answer(&c, k, 119);
    assert_int_equal(case_take(&c), 1);
    case_event(&c, 0, RPCFAN_ACCOUNT_UPDATE, 1, 119);
    struct rpcfan_feed_status st;
    rf_feed_status(c.f, c.now, &st);
    assert_int_equal(st.gaps, 1);
    case_free(&c);
}

static void test_second_copy_covers_the_end_of_the_first(void **state)
{
    (void)state;
    struct feed_case c;
    make(&c, 1);
    c.lamports[0] = 10;
    case_live(&c);
    case_up(&c, 2, 1);
    case_wait(&c, RF_SEC);
    case_slot(&c, 2, 108);
    case_slot(&c, 1, 109);
    case_tell(&c, 1, 0, 110, 11);
    case_tell(&c, 1, 0, 112, 12); /* 110 is told for certain, and 2 begins at 109 */
    case_wait(&c, RF_FEED_SETTLE_NS);
    uint32_t calls = c.n_calls;
    case_down(&c, 1, 1);
    case_session_down(&c, 1);
    case_wait(&c, 10 * RF_SEC);
    assert_int_equal(c.n_calls, calls);
    assert_int_equal(c.f->count.gaps, 0);
    case_down(&c, 2, 1);
    assert_int_equal(c.f->count.gaps, 1);
    case_free(&c);
}

static void test_drop_becomes_a_repair(void **state)
{
    (void)state;
    struct feed_case c;
    struct rpcfan_feed_options o;
    const char *accounts[CASE_KEYS];
    case_options(&o, accounts, 20);
    o.queue_events = 10;
    for (int policy = RPCFAN_LATEST; policy <= RPCFAN_DROP_NEWEST; policy++) {
        o.overflow = (enum rpcfan_overflow)policy;
        assert_int_equal(case_make(&c, &o), 0);
        uint64_t last[20] = {0};
        for (unsigned i = 0; i < 20; i++)
            c.lamports[i] = 100 + i;
        case_start(&c);
        for (uint64_t i = 1; i <= 20; i++)
            case_up(&c, 1, i);
        case_slot(&c, 1, 100);
        case_wait(&c, RF_SEC);
        case_slot(&c, 1, 103);
        c.slot = 105;
        case_answer_all(&c);
        assert_int_equal(c.f->queue.count.items, 10);
        for (unsigned round = 0; round < 10 && !c.mark.complete; round++) {
            case_take(&c);
            for (size_t i = 0; i < c.n_events; i++) {
                assert_int_equal(c.ev[i].kind, RPCFAN_ACCOUNT_SNAPSHOT);
                assert_int_equal(last[c.ev[i].key[0] - 1], 0);
                last[c.ev[i].key[0] - 1] = c.ev[i].hash;
            }
            c.slot++;
            case_answer_all(&c);
        }
        assert_true(c.mark.complete);
        for (unsigned i = 0; i < 20; i++)
            assert_true(last[i] != 0);
        assert_true(rf_holds_min(&c.f->holds) == RF_NEVER);
        case_free(&c);
    }
}

static void test_seed_leaves_only_differences(void **state)
{
    (void)state;
    struct feed_case c;
    struct rpcfan_known known[5];
    make(&c, 5);
    for (unsigned i = 0; i < 4; i++)
        c.lamports[i] = 10;
    case_live(&c);
    memset(known, 0, sizeof known);
    for (unsigned i = 0; i < 5; i++) {
        memset(known[i].key, (int)i + 1, 32);
        known[i].slot = 105;
        known[i].hash = i < 4 ? c.ev[i].hash : 0;
        known[i].gone = i == 4;
    }
    case_free(&c);
    make(&c, 5);
    assert_int_equal(rf_feed_seed(c.f, known, 5), 0);
    c.lamports[0] = 10; /* as it was */
    c.lamports[1] = 11; /* changed */
    c.lamports[2] = 0;  /* closed */
    c.lamports[3] = 10;
    c.lamports[4] = 50; /* came back */
    case_live(&c);
    assert_int_equal(c.n_events, 3);
    case_event(&c, 0, RPCFAN_ACCOUNT_UPDATE, 1, 105);
    case_event(&c, 1, RPCFAN_ACCOUNT_CLOSE, 2, 105);
    case_event(&c, 2, RPCFAN_ACCOUNT_CREATE, 4, 105);
    case_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fence_comes_a_second_after_the_acknowledgement),
        cmocka_unit_test(test_snapshot_then_mark_is_complete),
        cmocka_unit_test(test_answer_below_the_fence_is_refused),
        cmocka_unit_test(test_minimum_slot_error_waits_as_long_as_the_node_is_behind),
        cmocka_unit_test(test_live_update_and_close_and_create),
        cmocka_unit_test(test_watermark_follows_what_the_session_has_told),
        cmocka_unit_test(test_gap_reads_only_what_lost_its_subscription),
        cmocka_unit_test(test_second_copy_covers_the_end_of_the_first),
        cmocka_unit_test(test_drop_becomes_a_repair),
        cmocka_unit_test(test_seed_leaves_only_differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
