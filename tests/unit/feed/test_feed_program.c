/* test_feed_program.c - a program's accounts: the walk, absence, who left, and the ways to ask
 * where nodes refuse. */
#include "feed_case.h"

static void make(struct feed_case *c)
{
    struct rpcfan_feed_options o;
    case_options(&o, NULL, 0);
    assert_int_equal(case_make(c, &o), 0);
}

static void fence(struct feed_case *c)
{
    case_start(c);
    case_up(c, 1, 1);
    case_slot(c, 1, 100);
    case_wait(c, RF_SEC);
    case_slot(c, 1, 103);
}

static void test_walk_is_streamed_with_the_fence_as_floor(void **state)
{
    (void)state;
    struct feed_case c;
    make(&c);
    c.lamports[0] = 10;
    c.lamports[1] = 20;
    fence(&c);
    struct case_call *k = case_open(&c, "getProgramAccounts");
    assert_non_null(k);
    assert_true(k->stream);
    assert_true(k->timeout_ns >= 3600 * RF_SEC); /* a database may take it slowly */
    assert_int_equal(case_floor(k), 103);
    assert_non_null(strstr(k->params, "\"withContext\":true"));
    assert_non_null(strstr(k->params, "\"sortResults\":false"));
    assert_non_null(strstr(k->params, "\"encoding\":\"base64\",\"commitment\":\"confirmed\""));
    case_row(&c, k, 0, 104);
    assert_int_equal(case_take(&c), 1); /* as it arrives */
    case_event(&c, 0, RPCFAN_ACCOUNT_SNAPSHOT, 0, 104);
    assert_false(c.mark.complete);
    assert_int_equal(c.mark.watermark, 0);
    case_tell(&c, 1, 1, 105, 30); /* newer than the row to come */
    case_row(&c, k, 1, 104);
    case_reply(&c, k, (struct rf_feed_answer){.context_slot = 104});
    assert_int_equal(case_take(&c), 1);
    case_event(&c, 0, RPCFAN_ACCOUNT_SNAPSHOT, 1, 105);
    assert_true(c.mark.complete);
    case_free(&c);
}

static void test_rows_from_before_the_floor_end_the_call(void **state)
{
    (void)state;
    struct feed_case c;
    make(&c);
    c.lamports[0] = 10;
    fence(&c);
    struct case_call *k = case_open(&c, "getProgramAccounts");
    case_row(&c, k, 0, 101);
    assert_true(k->canceled);
    case_reply(&c, k, (struct rf_feed_answer){.err = RPCFAN_ECANCELED});
    assert_int_equal(case_take(&c), 0);
    case_wait(&c, 2 * RF_FEED_SLOT_NS);
    k = case_open(&c, "getProgramAccounts");
    assert_non_null(k);
    case_walk(&c, k, 103);
    assert_int_equal(case_take(&c), 1);
    assert_true(c.mark.complete);
    case_free(&c);
}

static void test_absent_is_read_before_it_is_closed(void **state)
{
    (void)state;
    struct feed_case c;
    make(&c);
    c.lamports[0] = c.lamports[1] = c.lamports[2] = 10;
    case_live(&c);
    case_down(&c, 1, 1);
    case_session_down(&c, 1);
    c.lamports[1] = 0; /* closed in the gap */
    c.owner[2] = 7;    /* given away in the gap */
    case_up(&c, 2, 1);
    case_slot(&c, 2, 110);
    case_wait(&c, RF_SEC);
    case_slot(&c, 2, 113);
    case_wait(&c, 2 * RF_SEC);
    struct case_call *k = case_open(&c, "getProgramAccounts");
    assert_non_null(k);
    case_walk(&c, k, 114);
    assert_int_equal(case_take(&c), 0); /* the list may have been cut */
    assert_true(c.mark.watermark < 103);
    k = case_open(&c, "getMultipleAccounts");
    assert_non_null(k);
    assert_null(strstr(k->params, case_key(0)));
    case_answer(&c, k, 115);
    assert_int_equal(case_take(&c), 2);
    case_event(&c, 0, RPCFAN_ACCOUNT_CLOSE, 1, 115);
    case_event(&c, 1, RPCFAN_ACCOUNT_LEFT, 2, 115);
    case_tell(&c, 2, 1, 114, 10); /* late and older: no resurrection */
    assert_int_equal(case_take(&c), 0);
    case_tell(&c, 2, 1, 116, 10);
    assert_int_equal(case_take(&c), 1);
    case_event(&c, 0, RPCFAN_ACCOUNT_CREATE, 1, 116);
    case_free(&c);
}

static void test_absent_with_later_news_is_there(void **state)
{
    (void)state;
    struct feed_case c;
    make(&c);
    c.lamports[0] = 10;
    fence(&c);
    struct case_call *k = case_open(&c, "getProgramAccounts");
    case_tell(&c, 1, 5, 106, 50);
    case_walk(&c, k, 105);
    assert_null(case_open(&c, "getMultipleAccounts"));
    assert_int_equal(case_take(&c), 2);
    case_free(&c);
}

static void test_refused_walk_goes_on_in_pages(void **state)
{
    (void)state;
    struct feed_case c;
    char account[512], text[2048];
    make(&c);
    fence(&c);
    case_error(&c, case_open(&c, "getProgramAccounts"),
               "{\"code\":-32600,\"message\":\"Too many accounts requested (10000001 pubkeys), "
               "Please use getProgramAccountsV2 with pagination\"}");
    struct case_call *k = case_open(&c, "getProgramAccountsV2");
    assert_non_null(k);
    assert_false(k->stream);
    assert_null(strstr(k->params, "paginationKey"));
    case_account(account, sizeof account, 10, 0);
    snprintf(text, sizeof text,
             "{\"context\":{\"slot\":104},\"value\":{\"accounts\":[{\"pubkey\":\"%s\","
             "\"account\":%s}],\"paginationKey\":\"abc\"}}",
             case_key(0), account);
    case_ok(&c, k, text);
    k = case_open(&c, "getProgramAccountsV2");
    assert_non_null(strstr(k->params, "\"paginationKey\":\"abc\""));
    /* Shorter than its limit, even empty: it is not the last. */
    case_ok(&c, k,
            "{\"context\":{\"slot\":105},\"value\":{\"accounts\":[],"
            "\"paginationKey\":\"def\"}}");
    k = case_open(&c, "getProgramAccountsV2");
    assert_non_null(strstr(k->params, "\"paginationKey\":\"def\""));
    case_ok(&c, k,
            "{\"context\":{\"slot\":106},\"value\":{\"accounts\":[],"
            "\"paginationKey\":null}}");
    assert_int_equal(case_take(&c), 1);
    assert_true(c.mark.complete);
    /* After a gap, only what changed since. */
    case_down(&c, 1, 1);
    case_up(&c, 2, 1);
    case_slot(&c, 2, 110);
    case_wait(&c, 3 * RF_SEC);
    case_slot(&c, 2, 113);
    k = case_open(&c, "getProgramAccountsV2");
    assert_non_null(k);
    assert_non_null(strstr(k->params, "\"changedSinceSlot\":71"));
    assert_null(strstr(k->params, "dataSlice"));
    case_ok(&c, k,
            "{\"context\":{\"slot\":114},\"value\":{\"accounts\":[],"
            "\"paginationKey\":null}}");
    /* And what is there at all: what has gone is no change. */
    assert_int_equal(c.f->n_incomplete, 1);
    k = case_open(&c, "getProgramAccountsV2");
    assert_non_null(k);
    assert_null(strstr(k->params, "changedSinceSlot"));
    assert_non_null(strstr(k->params, "\"dataSlice\":{\"offset\":0,\"length\":0}"));
    case_ok(&c, k,
            "{\"context\":{\"slot\":115},\"value\":{\"accounts\":[],"
            "\"paginationKey\":null}}");
    assert_int_equal(c.f->n_incomplete, 0);
    k = case_open(&c, "getMultipleAccounts");
    assert_non_null(k);
    case_answer(&c, k, 116);
    assert_int_equal(case_take(&c), 1);
    case_event(&c, 0, RPCFAN_ACCOUNT_CLOSE, 0, 116);
    case_free(&c);
}

static void test_keys_first_and_shards_where_nothing_else_is_allowed(void **state)
{
    (void)state;
    struct feed_case c;
    static const char *const absent = "{\"code\":-32601,\"message\":\"Method not found\"}";
    make(&c);
    c.lamports[3] = 10;
    fence(&c);
    case_error(&c, case_open(&c, "getProgramAccounts"),
               "{\"code\":-32012,\"message\":\"accumulated scan results exceeded the limit\"}");
    case_error(&c, case_open(&c, "getProgramAccountsV2"), absent);
    struct case_call *k = case_open(&c, "getProgramAccounts");
    assert_non_null(strstr(k->params, "\"dataSlice\":{\"offset\":0,\"length\":0}"));
    case_walk(&c, k, 104);
    assert_int_equal(case_take(&c), 0);
    assert_false(c.mark.complete);
    c.slot = 105;
    case_answer_all(&c);
    assert_int_equal(case_take(&c), 1);
    case_event(&c, 0, RPCFAN_ACCOUNT_SNAPSHOT, 3, 105);
    assert_true(c.mark.complete);
    case_free(&c);

    make(&c);
    c.lamports[3] = 10;
    fence(&c);
    for (unsigned i = 0; i < 3; i++)
        case_error(&c, case_open(&c, NULL), absent);
    for (unsigned i = 0; i < 257; i++) {
        k = case_open(&c, "getProgramAccounts");
        assert_non_null(k);
        assert_non_null(strstr(k->params, i == 256 ? "{\"dataSize\":0}"
                                                   : "{\"memcmp\":{\"offset\":0,\"bytes\":\""));
        if (i == 0)
            case_walk(&c, k, 104);
        else
            case_reply(&c, k, (struct rf_feed_answer){.context_slot = 104 + i});
    }
    assert_int_equal(case_take(&c), 1);
    assert_true(c.mark.complete);
    case_free(&c);
}

static void test_rows_pause_while_nobody_takes(void **state)
{
    (void)state;
    struct feed_case c;
    struct rpcfan_feed_options o;
    case_options(&o, NULL, 0);
    o.queue_events = 40;
    assert_int_equal(case_make(&c, &o), 0);
    for (unsigned i = 0; i < 14; i++)
        c.lamports[i] = 10;
    fence(&c);
    struct case_call *k = case_open(&c, "getProgramAccounts");
    for (unsigned i = 0; i < 10; i++)
        case_row(&c, k, i, 104);
    assert_false(k->paused);
    case_row(&c, k, 10, 104); /* a quarter: the rest is for what cannot wait */
    assert_true(k->paused);
    assert_int_equal(case_take(&c), 11);
    assert_false(k->paused);
    for (unsigned i = 11; i < 14; i++)
        case_row(&c, k, i, 104);
    case_reply(&c, k, (struct rf_feed_answer){.context_slot = 104});
    case_take(&c);
    assert_true(c.mark.complete);
    assert_int_equal(c.f->queue.count.dropped, 0);
    case_free(&c);
}

static void test_once_takes_a_snapshot_and_no_subscription(void **state)
{
    (void)state;
    struct feed_case c;
    struct rpcfan_feed_options o;
    case_options(&o, NULL, 0);
    o.once = 1;
    assert_int_equal(case_make(&c, &o), 0);
    c.lamports[0] = 10;
    case_start(&c);
    assert_int_equal(c.subs, 0);
    case_ok(&c, case_open(&c, "getSlot"), "200");
    struct case_call *k = case_open(&c, "getProgramAccounts");
    assert_int_equal(case_floor(k), 200);
    case_walk(&c, k, 201);
    assert_int_equal(case_take(&c), 1);
    assert_true(c.mark.complete);
    assert_int_equal(c.mark.watermark, 200);
    case_wait(&c, 3600 * RF_SEC);
    assert_int_equal(c.n_calls, 2);
    case_free(&c);
}

static void test_sweep_finds_what_closed_and_who_left(void **state)
{
    (void)state;
    struct feed_case c;
    struct rpcfan_feed_options o;
    case_options(&o, NULL, 0);
    o.sweep_ms = 60000;
    assert_int_equal(case_make(&c, &o), 0);
    for (unsigned i = 0; i < 3; i++)
        c.lamports[i] = 10;
    case_live(&c);
    c.lamports[0] = 0;
    c.owner[2] = 9;
    for (unsigned i = 0; i < 60; i++) {
        case_wait(&c, RF_SEC);
        case_slot(&c, 1, 106 + i);
        c.slot = 106 + i;
        case_answer_all(&c);
    }
    assert_int_equal(case_take(&c), 2);
    assert_int_equal(c.ev[0].kind, RPCFAN_ACCOUNT_CLOSE);
    assert_int_equal(c.ev[1].kind, RPCFAN_ACCOUNT_LEFT);
    assert_int_equal(c.f->count.missed, 0); /* no subscription could have told */
    assert_int_equal(c.distrusted, 0);
    case_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk_is_streamed_with_the_fence_as_floor),
        cmocka_unit_test(test_rows_from_before_the_floor_end_the_call),
        cmocka_unit_test(test_absent_is_read_before_it_is_closed),
        cmocka_unit_test(test_absent_with_later_news_is_there),
        cmocka_unit_test(test_refused_walk_goes_on_in_pages),
        cmocka_unit_test(test_keys_first_and_shards_where_nothing_else_is_allowed),
        cmocka_unit_test(test_rows_pause_while_nobody_takes),
        cmocka_unit_test(test_once_takes_a_snapshot_and_no_subscription),
        cmocka_unit_test(test_sweep_finds_what_closed_and_who_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
