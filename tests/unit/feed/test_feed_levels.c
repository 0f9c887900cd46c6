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

/* Processed, live as of 105, with the fork point 105: 106 and 107 on one branch, of which 107 tells
 * the account as it became at 105; then 108 stands on 105. */
static struct case_call *turned(struct feed_case *c)
{
    make(c, 1, RPCFAN_PROCESSED);
    c->lamports[0] = 10;
    case_live(c);
    slot_at(c, 105, 104, 74);
    slot_at(c, 106, 105, 74);
    slot_at(c, 107, 106, 74);
    case_tell(c, 1, 0, 107, 99);
    assert_int_equal(case_take(c), 1);
    assert_null(case_open(c, NULL));
    slot_at(c, 108, 105, 74);
    slot_at(c, 109, 108, 74);
    return case_open(c, "getMultipleAccounts");
}

static void test_processed_read_of_a_new_branch_is_not_from_before_it(void **state)
{
    (void)state;
    struct feed_case c;
    struct case_call *k = turned(&c);
    assert_non_null(k);
    assert_int_equal(case_floor(k), 108); /* 104 would not have what nobody tells again */
    slot_at(&c, 141, 109, 104);
    case_take(&c);
    uint64_t mark = c.mark.watermark;
    slot_at(&c, 142, 141, 105);
    case_answer(&c, k, 104); /* by a node that takes no heed of that */
    assert_int_equal(case_take(&c), 0);
    assert_int_equal(c.mark.watermark, mark);
    case_wait(&c, 10 * RF_SEC);
    k = case_open(&c, "getMultipleAccounts");
    assert_non_null(k);
    c.lamports[0] = 99;
    case_answer(&c, k, 142);
    assert_int_equal(case_take(&c), 0);
    assert_int_equal(c.mark.watermark, 105);
    case_free(&c);
}

static void test_processed_late_answer_of_before_the_branch_is_read_again(void **state)
{
    (void)state;
    struct feed_case c;
    make(&c, 1, RPCFAN_PROCESSED);
    c.lamports[0] = 10;
    case_live(&c);
    slot_at(&c, 105, 104, 74);
    slot_at(&c, 106, 105, 74);
    slot_at(&c, 107, 105, 74);
    case_tell(&c, 1, 0, 107, 99);
    assert_int_equal(case_take(&c), 1);
    slot_at(&c, 108, 106, 74); /* 107 is left, */
    struct case_call *k = case_open(&c, "getMultipleAccounts");
    assert_non_null(k);
    assert_int_equal(case_floor(k), 106);
    slot_at(&c, 109, 107, 74); /* it is the tip again, */
    slot_at(&c, 110, 108, 74); /* and is left again */
    case_answer(&c, k, 106);
    assert_int_equal(case_take(&c), 1);
    case_event(&c, 0, RPCFAN_ACCOUNT_UPDATE, 0, 106);
    k = case_open(&c, "getMultipleAccounts");
    assert_non_null(k);
    assert_int_equal(case_floor(k), 108);
    c.lamports[0] = 11;
    case_answer(&c, k, 108);
    assert_int_equal(case_take(&c), 1);
    case_event(&c, 0, RPCFAN_ACCOUNT_UPDATE, 0, 108);
    case_free(&c);
}

static void test_processed_read_of_a_new_branch_has_what_the_leg_missed(void **state)
{
    (void)state;
    struct feed_case c;
    make(&c, 1, RPCFAN_PROCESSED);
    c.lamports[0] = 10;
    case_live(&c);
    slot_at(&c, 105, 104, 74);
    slot_at(&c, 106, 105, 74);
    slot_at(&c, 107, 105, 74);
    case_down(&c, 1, 1);
    case_up(&c, 1, 1);
    case_wait(&c, RF_SEC);
    slot_at(&c, 113, 107, 74); /* the fence */
    struct case_call *k = case_open(&c, "getMultipleAccounts");
    assert_non_null(k);
    assert_int_equal(case_floor(k), 113);
    case_answer(&c, k, 113);
    slot_at(&c, 111, 106, 74);
    slot_at(&c, 112, 111, 74); /* another branch, whose slots are below the fence */
    k = case_open(&c, "getMultipleAccounts");
    assert_non_null(k);
    assert_int_equal(case_floor(k), 113);
    case_free(&c);
}

static void test_processed_news_that_cannot_be_read_are_read_as_of_then(void **state)
{
    (void)state;
    struct feed_case c;
    make(&c, 1, RPCFAN_PROCESSED);
    c.lamports[0] = 10;
    case_live(&c);
    slot_at(&c, 106, 105, 74);
    slot_at(&c, 107, 106, 74);
    case_told(&c, 1, 1, "{\"context\":{\"slot\":107},\"value\":{\"lamports\":1}}");
    struct case_call *k = case_open(&c, "getMultipleAccounts");
    assert_non_null(k);
    assert_int_equal(case_floor(k), 107); /* one of 106 would say that nothing is new */
    c.lamports[0] = 11;
    case_answer(&c, k, 107);
    assert_int_equal(case_take(&c), 1);
    case_free(&c);
}

static void test_confirmed_news_of_no_known_slot_are_read_at_the_tip(void **state)
{
    (void)state;
    struct feed_case c;
    make(&c, 1, RPCFAN_CONFIRMED);
    c.lamports[0] = 10;
    case_live(&c);
    case_slot(&c, 1, 110);
    case_told(&c, 1, 1, "{\"context\":{\"slo");
    case_wait(&c, 2 * RF_SEC); /* what is doubted waits for later news first */
    case_slot(&c, 1, 113);
    struct case_call *k = case_open(&c, "getMultipleAccounts");
    assert_non_null(k);
    assert_true(case_floor(k) >= 110);
    case_free(&c);
}

/* A branch may be left as long as it is not rooted, and what comes of it then is read later. */
static void test_processed_the_mark_is_not_above_the_root(void **state)
{
    (void)state;
    struct feed_case c;
    make(&c, 1, RPCFAN_PROCESSED);
    c.lamports[0] = 10;
    case_live(&c);
    for (uint64_t slot = 106; slot < 116; slot++) {
        slot_at(&c, slot, slot - 1, slot - 32);
        case_wait(&c, RF_SEC);
        case_take(&c);
        assert_true(c.mark.watermark <= slot - 32);
    }
    assert_true(c.mark.watermark > 74);
    case_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_processed_the_mark_is_not_above_the_root),
        cmocka_unit_test(test_finalized_news_wait_for_their_root),
        cmocka_unit_test(test_finalized_orphan_is_read),
        cmocka_unit_test(test_finalized_watermark_waits_for_what_is_no_root),
        cmocka_unit_test(test_processed_follows_the_session_to_a_lower_slot),
        cmocka_unit_test(test_processed_reads_what_stands_on_a_fork_that_was_left),
        cmocka_unit_test(test_processed_read_of_a_new_branch_is_not_from_before_it),
        cmocka_unit_test(test_processed_late_answer_of_before_the_branch_is_read_again),
        cmocka_unit_test(test_processed_read_of_a_new_branch_has_what_the_leg_missed),
        cmocka_unit_test(test_processed_news_that_cannot_be_read_are_read_as_of_then),
        cmocka_unit_test(test_confirmed_news_of_no_known_slot_are_read_at_the_tip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
