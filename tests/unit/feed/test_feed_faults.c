/* test_feed_faults.c - what nodes say wrongly, refuse, or do not say at all. */
#include "feed_case.h"

static void make(struct feed_case *c, unsigned n)
{
    struct rpcfan_feed_options o;
    const char *accounts[CASE_KEYS];
    case_options(&o, accounts, n);
    assert_int_equal(case_make(c, &o), 0);
}

/* I18: whatever cannot be read is counted and the account read; the state stays right. */
static void test_malformed_notification_is_read_instead(void **state)
{
    (void)state;
    static const char *const values[] = {
        "{\"lamports\":7,\"data\":\"error: data too large for bs58 encoding\",\"owner\":\"11111111"
        "111111111111111111111111\",\"executable\":false,\"rentEpoch\":0}",
        "{\"lamports\":18446744073709551616,\"data\":[\"\",\"base64\"],\"owner\":\"11111111"
        "111111111111111111111111\",\"executable\":false,\"rentEpoch\":0}",
        "{\"lamports\":7,\"lamports\":8,\"data\":[\"\",\"base64\"],\"owner\":\"11111111"
        "111111111111111111111111\",\"executable\":false,\"rentEpoch\":0}",
        "7",
        "[]",
        "\"\"",
    };
    for (size_t i = 0; i < RF_COUNT(values); i++) {
        struct feed_case c;
        char text[512];
        make(&c, 2);
        c.lamports[0] = c.lamports[1] = 10;
        case_live(&c);
        snprintf(text, sizeof text, "{\"context\":{\"slot\":110},\"value\":%s}", values[i]);
        c.lamports[0] = 7;
        case_slot(&c, 1, 110);
        case_told(&c, 1, 1, text);
        assert_int_equal(c.f->count.malformed, 1);
        assert_int_equal(case_take(&c), 0);
        struct case_call *k = case_open(&c, "getMultipleAccounts");
        assert_non_null(k);
        assert_null(strstr(k->params, case_key(1)));
        case_answer(&c, k, 111);
        assert_int_equal(case_take(&c), 1);
        case_event(&c, 0, RPCFAN_ACCOUNT_UPDATE, 0, 111);
        case_free(&c);
    }
}

static void test_slots_that_cannot_be_are_not_believed(void **state)
{
    (void)state;
    static const char *const slots[] = {
        "18446744073709551615", "0", "-1", "1.5", "\"110\"", "99999", "{}"};
    for (size_t i = 0; i < RF_COUNT(slots); i++) {
        struct feed_case c;
        char account[512], text[1024];
        make(&c, 1);
        c.lamports[0] = 10;
        case_live(&c);
        case_account(account, sizeof account, 66, 0);
        snprintf(text, sizeof text, "{\"context\":{\"slot\":%s},\"value\":%s}", slots[i], account);
        case_told(&c, 1, 1, text);
        assert_int_equal(case_take(&c), 0);
        assert_int_equal(c.f->count.malformed, 1);
        struct case_call *k = case_open(&c, "getMultipleAccounts");
        assert_true(case_floor(k) <= 106);
        case_answer(&c, k, 106);
        assert_int_equal(case_take(&c), 0);
        case_tell(&c, 1, 0, 107, 12);
        assert_int_equal(case_take(&c), 1);
        /* A slot feed that jumps is believed when it goes on there. */
        case_slot(&c, 1, 500000);
        assert_int_equal(c.f->tip, 107);
        case_slot(&c, 1, 500001);
        assert_int_equal(c.f->tip, 500001);
        case_free(&c);
    }
}

static void test_answer_of_another_length_is_refused_whole(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{\"context\":{\"slot\":110},\"value\":[null]}",
        "{\"context\":{\"slot\":110},\"value\":[null,null,null]}",
        "{\"context\":{\"slot\":110},\"value\":null}",
        "{\"context\":{\"slot\":110}}",
        "{\"value\":[null,null]}",
        "{\"context\":{},\"value\":[null,null]}",
        "{\"context\":{\"slot\":99999999},\"value\":[null,null]}",
        "[null,null]",
        "7",
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct feed_case c;
        make(&c, 2);
        c.lamports[0] = c.lamports[1] = 10;
        case_start(&c);
        case_up(&c, 1, 1);
        case_up(&c, 1, 2);
        case_slot(&c, 1, 100);
        case_wait(&c, RF_SEC);
        case_slot(&c, 1, 103);
        case_ok(&c, case_open(&c, NULL), rows[i]);
        assert_int_equal(case_take(&c), 0);
        case_wait(&c, RF_SEC);
        case_answer(&c, case_open(&c, NULL), 111);
        assert_int_equal(case_take(&c), 2);
        assert_true(c.mark.complete);
        case_free(&c);
    }
}

static void test_account_that_makes_no_sense_does_not_spoil_the_others(void **state)
{
    (void)state;
    struct feed_case c;
    char account[512], text[1024];
    make(&c, 2);
    case_start(&c);
    case_up(&c, 1, 1);
    case_up(&c, 1, 2);
    case_slot(&c, 1, 100);
    case_wait(&c, RF_SEC);
    case_slot(&c, 1, 103);
    case_account(account, sizeof account, 9, 0);
    snprintf(text, sizeof text, "{\"context\":{\"slot\":104},\"value\":[%s,{\"lamports\":1}]}",
             account);
    case_ok(&c, case_open(&c, NULL), text);
    assert_int_equal(case_take(&c), 1);
    assert_false(c.mark.complete);
    assert_null(case_open(&c, NULL)); /* not at once */
    case_wait(&c, 2 * RF_SEC);
    struct case_call *k = case_open(&c, NULL);
    assert_null(strstr(k->params, case_key(0)));
    case_answer(&c, k, 105);
    case_take(&c);
    assert_true(c.mark.complete);
    case_free(&c);
}

static void test_most_inputs_are_learned_from_the_words(void **state)
{
    (void)state;
    struct feed_case c;
    make(&c, 20);
    case_start(&c);
    for (uint64_t i = 1; i <= 20; i++)
        case_up(&c, 1, i);
    case_slot(&c, 1, 100);
    case_wait(&c, RF_SEC);
    case_slot(&c, 1, 103);
    case_error(&c, case_open(&c, NULL),
               "{\"code\":-32602,\"message\":\"Too many inputs provided; max 5\"}");
    c.slot = 104;
    case_answer_all(&c);
    assert_int_equal(c.n_calls, 5);
    case_take(&c);
    assert_true(c.mark.complete);
    case_free(&c);
}

/* One account that the node refuses is found by halving; the others are read, and the watermark
 * waits for it. */
static void test_bad_account_is_isolated(void **state)
{
    (void)state;
    struct feed_case c;
    struct case_call *k;
    make(&c, 16);
    for (unsigned i = 0; i < 16; i++)
        c.lamports[i] = 10;
    case_start(&c);
    for (uint64_t i = 1; i <= 16; i++)
        case_up(&c, 1, i);
    case_slot(&c, 1, 100);
    case_wait(&c, RF_SEC);
    case_slot(&c, 1, 103);
    unsigned refused = 0;
    while ((k = case_open(&c, NULL)) != NULL) {
        if (strstr(k->params, case_key(11)) != NULL) {
            refused++;
            case_error(&c, k, "{\"code\":-32602,\"message\":\"Invalid param\"}");
        } else {
            case_answer(&c, k, 104);
        }
    }
    assert_int_equal(refused, 5);
    assert_int_equal(case_take(&c), 15);
    assert_false(c.mark.complete);
    assert_int_equal(c.mark.watermark, 0);
    uint32_t calls = c.n_calls;
    case_wait(&c, 29 * RF_SEC);
    assert_int_equal(c.n_calls, calls);
    case_wait(&c, 2 * RF_SEC);
    k = case_open(&c, NULL);
    assert_non_null(k);
    case_answer(&c, k, 105);
    assert_int_equal(case_take(&c), 1);
    assert_true(c.mark.complete);
    assert_int_equal(c.f->n_bad, 0);
    case_free(&c);
}

static void test_failures_are_tried_again_for_ever(void **state)
{
    (void)state;
    struct feed_case c;
    make(&c, 1);
    case_start(&c);
    case_up(&c, 1, 1);
    case_slot(&c, 1, 100);
    case_wait(&c, RF_SEC);
    case_slot(&c, 1, 103);
    for (int e = RPCFAN_ENOMEM; e < RPCFAN_ERR_COUNT; e++) {
        struct case_call *k;
        if (e == RPCFAN_EINVAL || e == RPCFAN_ECONFIG || e == RPCFAN_ELIMIT || e == RPCFAN_ECLOSED)
            continue;
        for (unsigned i = 0; (k = case_open(&c, NULL)) == NULL; i++) {
            assert_true(i < 40);
            case_wait(&c, RF_SEC);
        }
        case_reply(&c, k, (struct rf_feed_answer){.err = (enum rpcfan_err)e});
        case_take(&c);
        assert_int_equal(c.mark.failed, 0);
        c.f->n_bad = 0; /* too big an answer for one account: as if it had been read */
        rf_keys_at(&c.f->keys, 0)->flags &= ~(uint32_t)RF_KEY_BAD;
        rf_feed_dirty_end(c.f, 0, false);
    }
    case_free(&c);
}

static void test_what_no_time_mends_ends_the_feed(void **state)
{
    (void)state;
    static const enum rpcfan_err rows[] = {RPCFAN_EINVAL, RPCFAN_ECONFIG, RPCFAN_ELIMIT,
                                           RPCFAN_ECLOSED};
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct feed_case c;
        make(&c, 1);
        case_start(&c);
        case_up(&c, 1, 1);
        case_slot(&c, 1, 100);
        case_wait(&c, RF_SEC);
        case_slot(&c, 1, 103);
        case_reply(&c, case_open(&c, NULL), (struct rf_feed_answer){.err = rows[i]});
        assert_true(rf_feed_ready(c.f));
        case_take(&c);
        assert_int_equal(c.mark.failed, rows[i]);
        struct rpcfan_feed_status st;
        rf_feed_status(c.f, c.now, &st);
        assert_string_equal(st.state, "failed");
        assert_true(st.why[0] != '\0');
        assert_true(rf_feed_deadline(c.f) == RF_NEVER);
        case_free(&c);
    }
}

static void test_nodes_far_behind_for_long_end_the_feed(void **state)
{
    (void)state;
    struct feed_case c;
    struct rpcfan_known known = {.slot = 900000, .hash = 5};
    make(&c, 1);
    memset(known.key, 1, 32);
    assert_int_equal(rf_feed_seed(c.f, &known, 1), 0);
    case_start(&c);
    case_up(&c, 1, 1);
    case_slot(&c, 1, 100);
    case_wait(&c, RF_SEC);
    case_slot(&c, 1, 103);
    for (unsigned i = 0; i < 100; i++) {
        struct case_call *k = case_open(&c, NULL);
        if (k != NULL) {
            assert_true(case_floor(k) <= c.f->tip + 1); /* I9 */
            case_error(&c, k,
                       "{\"code\":-32016,\"message\":\"Minimum context slot has not been "
                       "reached\",\"data\":{\"contextSlot\":99}}");
        }
        case_wait(&c, RF_SEC);
    }
    case_take(&c);
    assert_int_equal(c.mark.failed, RPCFAN_ERPC);
    case_free(&c);
}

/* Step 10: a change that the stream never tells is found, and the session ended for it. */
static void test_audit_finds_what_was_not_told(void **state)
{
    (void)state;
    struct feed_case c;
    struct rpcfan_feed_options o;
    const char *accounts[CASE_KEYS];
    case_options(&o, accounts, 2);
    o.audit_ms = 1000;
    assert_int_equal(case_make(&c, &o), 0);
    c.lamports[0] = c.lamports[1] = 10;
    case_live(&c);
    c.lamports[0] = 11;
    uint64_t slot = 106;
    for (unsigned i = 0; i < 40 && c.distrusted == 0; i++) {
        case_tell(&c, 1, 1, slot, slot);
        c.lamports[1] = slot;
        case_slot(&c, 1, ++slot);
        c.slot = slot;
        case_wait(&c, 400 * RF_MS);
        case_answer_all(&c);
    }
    assert_int_equal(c.distrusted, 1);
    assert_int_equal(c.f->count.missed, 1);
    assert_true(case_take(&c) > 0);
    case_free(&c);
}

/* The node that is read is ahead of the one that tells: no fault of the stream. */
static void test_audit_waits_for_what_is_told_later(void **state)
{
    (void)state;
    struct feed_case c;
    struct rpcfan_feed_options o;
    const char *accounts[CASE_KEYS];
    case_options(&o, accounts, 2);
    o.audit_ms = 400;
    assert_int_equal(case_make(&c, &o), 0);
    c.lamports[0] = c.lamports[1] = 10;
    case_live(&c);
    for (uint64_t slot = 106; slot < 200; slot++) {
        case_slot(&c, 1, slot + 12);
        c.lamports[0] = c.lamports[1] = slot + 10;
        c.slot = slot + 10;
        case_wait(&c, 400 * RF_MS);
        case_answer_all(&c);
        case_tell(&c, 1, 0, slot, slot);
        case_tell(&c, 1, 1, slot, slot);
        case_take(&c);
    }
    assert_int_equal(c.f->count.missed, 0);
    assert_int_equal(c.distrusted, 0);
    case_free(&c);
}

static void test_refused_subscription_is_tried_again(void **state)
{
    (void)state;
    struct feed_case c;
    static const char error[] = "{\"code\":-32603,\"message\":\"Subscription refused\"}";
    make(&c, 2);
    case_start(&c);
    case_note(
        &c, (struct rf_note){.kind = RF_NOTE_REFUSED, .tag = 2, .json = {error, sizeof error - 1}});
    case_wait(&c, 29 * RF_SEC);
    assert_int_equal(c.subs, 2);
    case_wait(&c, 2 * RF_SEC);
    assert_int_equal(c.subs, 3);
    case_free(&c);
}

static void test_block_says_when_to_stop_reading(void **state)
{
    (void)state;
    struct feed_case c;
    struct rpcfan_feed_options o;
    const char *accounts[CASE_KEYS];
    case_options(&o, accounts, 20);
    o.overflow = RPCFAN_BLOCK;
    o.queue_events = 10;
    assert_int_equal(case_make(&c, &o), 0);
    case_live(&c);
    assert_false(rf_feed_full(c.f));
    for (unsigned i = 0; i < 9; i++)
        case_tell(&c, 1, i, 110, 5);
    assert_true(rf_feed_full(c.f));
    for (unsigned i = 9; i < 20; i++)
        case_tell(&c, 1, i, 110, 5); /* they come all the same */
    assert_int_equal(case_take(&c), 10);
    assert_false(rf_feed_full(c.f));
    for (unsigned i = 0; i < 20; i++)
        c.lamports[i] = 5;
    c.slot = 112;
    case_answer_all(&c);
    assert_int_equal(case_take(&c), 10);
    case_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed_notification_is_read_instead),
        cmocka_unit_test(test_slots_that_cannot_be_are_not_believed),
        cmocka_unit_test(test_answer_of_another_length_is_refused_whole),
        cmocka_unit_test(test_account_that_makes_no_sense_does_not_spoil_the_others),
        cmocka_unit_test(test_most_inputs_are_learned_from_the_words),
        cmocka_unit_test(test_bad_account_is_isolated),
        cmocka_unit_test(test_failures_are_tried_again_for_ever),
        cmocka_unit_test(test_what_no_time_mends_ends_the_feed),
        cmocka_unit_test(test_nodes_far_behind_for_long_end_the_feed),
        cmocka_unit_test(test_audit_finds_what_was_not_told),
        cmocka_unit_test(test_audit_waits_for_what_is_told_later),
        cmocka_unit_test(test_refused_subscription_is_tried_again),
        cmocka_unit_test(test_block_says_when_to_stop_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
