/* test_feed_levels.c - finalized: news wait for their root; processed: forks are followed. */
#include "feed_case.h"

static void make(struct feed_case *c, unsigned n, enum rpcfan_commitment level)
{
    struct rpcfan_feed_options o;
    const char *accounts[CASE_KEYS];
    case_options(&o, accounts, n);
    o.commitment = level;
    assert_int_equal(case_make(c, &o), 0);
}

static void root(struct feed_case *c, uint64_t session, uint64_t slot)
{
    case_note(c, (struct rf_note){.kind = RF_NOTE_ROOT, .session = session, .slot = slot});
}

static void slot_at(struct feed_case *c, uint64_t slot, uint64_t parent, uint64_t rooted)
{
    case_note(
        c, (struct rf_note){
               .kind = RF_NOTE_SLOT, .session = 1, .slot = slot, .parent = parent, .root = rooted});
}

/* Finalized, live: fence 103, read at the root 104. */
static void finalized(struct feed_case *c, unsigned n)
{
    make(c, n, RPCFAN_FINALIZED);
    for (unsigned i = 0; i < n; i++)
        c->lamports[i] = 10;
    case_start(c);
    for (unsigned i = 1; i <= n; i++)
        case_up(c, 1, i);
    case_slot(c, 1, 100);
    case_wait(c, RF_SEC);
    case_slot(c, 1, 103);
    assert_null(case_open(c, NULL)); /* no node has it finalized yet */
    case_slot(c, 1, 134);
    assert_null(case_open(c, NULL));
    case_slot(c, 1, 136);
    struct case_call *k = case_open(c, "getMultipleAccounts");
    assert_non_null(k);
    assert_non_null(strstr(k->params, "\"finalized\""));
    assert_int_equal(case_floor(k), 103);
    case_answer(c, k, 104);
    assert_int_equal(case_take(c), n);
    assert_true(c->mark.complete);
}

static void test_finalized_news_wait_for_their_root(void **state)
{
    (void)state;
    struct feed_case c;
    finalized(&c, 2);
    case_tell(&c, 1, 0, 137, 11);
    case_tell(&c, 1, 1, 138, 12);
    assert_int_equal(case_take(&c), 0);
    root(&c, 1, 137);
    assert_int_equal(case_take(&c), 1);
    case_event(&c, 0, RPCFAN_ACCOUNT_UPDATE, 0, 137);
    root(&c, 1, 138);
    assert_int_equal(case_take(&c), 1);
    case_event(&c, 0, RPCFAN_ACCOUNT_UPDATE, 1, 138);
    case_tell(&c, 1, 0, 138, 13); /* named already */
    assert_int_equal(case_take(&c), 1);
    case_free(&c);
}

static void test_finalized_orphan_is_read(void **state)
{
    (void)state;
    struct feed_case c;
    finalized(&c, 2);
    case_tell(&c, 1, 0, 140, 666); /* of a fork that is left */
    case_slot(&c, 1, 180);
    root(&c, 1, 141);
    root(&c, 1, 147);
    assert_null(case_open(&c, NULL));
    root(&c, 1, 148);
    struct case_call *k = case_open(&c, "getMultipleAccounts");
    assert_non_null(k);
    assert_true(case_floor(k) >= 140);
    case_answer(&c, k, 148);
    assert_int_equal(case_take(&c), 0); /* as it was */
    case_free(&c);
}

static void test_finalized_watermark_waits_for_what_is_no_root(void **state)
{
    (void)state;
    struct feed_case c;
    finalized(&c, 1);
    case_tell(&c, 1, 0, 137, 11);
    case_tell(&c, 1, 0, 139, 12);
    case_wait(&c, RF_FEED_SETTLE_NS);
    case_tell(&c, 1, 0, 141, 13);
    case_slot(&c, 1, 170); /* root 138 by the slot feed, but 137 was not named */
    case_take(&c);
    assert_true(c.mark.watermark < 137);
    root(&c, 1, 137);
    root(&c, 1, 139);
    case_wait(&c, RF_FEED_SETTLE_NS);
    case_take(&c);
    assert_int_equal(c.mark.watermark, 137); /* what came when 137 was told for certain waits */
    case_free(&c);
}

static void test_processed_follows_the_session_to_a_lower_slot(void **state)
{
    (void)state;
    struct feed_case c;
    make(&c, 1, RPCFAN_PROCESSED);
    c.lamports[0] = 10;
    case_live(&c);
    slot_at(&c, 106, 105, 74);
    slot_at(&c, 107, 106, 74);
    case_tell(&c, 1, 0, 107, 99);
    assert_int_equal(case_take(&c), 1);
    case_tell(&c, 1, 0, 105, 10); /* the fork is left: the old state, at a lower slot */
    assert_int_equal(case_take(&c), 1);
    case_event(&c, 0, RPCFAN_ACCOUNT_UPDATE, 0, 105);
    case_free(&c);
}

static void test_processed_reads_what_stands_on_a_fork_that_was_left(void **state)
{
    (void)state;
    struct feed_case c;
    make(&c, 0, RPCFAN_PROCESSED);
    c.lamports[0] = c.lamports[1] = 10;
    case_start(&c);
    assert_int_equal(c.subs, 2); /* processed, and confirmed to fill what that leaves out */
    case_up(&c, 1, 1);
    case_up(&c, 1, 2);
    slot_at(&c, 100, 99, 60);
    case_wait(&c, RF_SEC);
    slot_at(&c, 101, 100, 60);
    case_walk(&c, case_open(&c, "getProgramAccounts"), 101);
    case_take(&c);
    assert_true(c.mark.complete);
    slot_at(&c, 102, 101, 60);
    char account[512], text[1024];
    case_account(account, sizeof account, 99, 0);
    snprintf(text, sizeof text,
             "{\"context\":{\"slot\":102},\"value\":{\"pubkey\":\"%s\",\"account\":%s}}",
             case_key(0), account);
    case_told(&c, 1, 2, text);
    assert_int_equal(case_take(&c), 1);
    case_event(&c, 0, RPCFAN_ACCOUNT_UPDATE, 0, 102);
    assert_null(case_open(&c, NULL));
    slot_at(&c, 103, 101, 60); /* it has only begun */
    assert_null(case_open(&c, NULL));
    slot_at(&c, 104, 103, 60); /* 102 is not below it */
    struct case_call *k = case_open(&c, "getMultipleAccounts");
    assert_non_null(k);
    assert_non_null(strstr(k->params, case_key(0)));
    assert_null(strstr(k->params, case_key(1)));
    case_answer(&c, k, 103);
    assert_int_equal(case_take(&c), 1);
    case_event(&c, 0, RPCFAN_ACCOUNT_UPDATE, 0, 103);
    /* A root whose chain does not hold the slot that an answer named. */
    case_walk(&c, case_open(&c, "getProgramAccounts"), 103);
    slot_at(&c, 105, 101, 60);
    c.lamports[0] = 20;
    slot_at(&c, 150, 105, 105);
    k = case_open(&c, "getMultipleAccounts");
    assert_non_null(k);
    case_answer(&c, k, 150);
    assert_int_equal(case_take(&c), 1);
    case_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finalized_news_wait_for_their_root),
        cmocka_unit_test(test_finalized_orphan_is_read),
        cmocka_unit_test(test_finalized_watermark_waits_for_what_is_no_root),
        cmocka_unit_test(test_processed_follows_the_session_to_a_lower_slot),
        cmocka_unit_test(test_processed_reads_what_stands_on_a_fork_that_was_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
