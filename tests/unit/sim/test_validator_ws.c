/* test_validator_ws.c - what subscriptions of the virtual validator are told, rule by rule (R2 to
 * R7, R13, R14 of the feed's algorithm), on the JSON text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vtest.h"

#define CONFIRMED "\"encoding\":\"base64\",\"commitment\":\"confirmed\""
#define PROCESSED "\"encoding\":\"base64\",\"commitment\":\"processed\""
#define FINALIZED "\"encoding\":\"base64\",\"commitment\":\"finalized\""
#define ACCOUNT "accountNotification"
#define PROGRAM "programNotification"

static struct vtest t;

/* A cluster that stands still, with the account `key` not there, and the slot of its tip. */
static uint64_t still(const char *more)
{
    char knobs[256];
    snprintf(knobs, sizeof knobs, VTEST_STILL "absent=1000 keys=10 %s", more);
    vtest_begin(&t, knobs, 1);
    return t.v->banks.tip;
}

static const char *key_text(uint32_t key)
{
    static char text[2][46];
    static int turn;
    turn = !turn;
    memcpy(text[turn], t.v->banks.key[key].text, 45);
    text[turn][t.v->banks.key[key].text_len] = '\0';
    return text[turn];
}

static void subscribe_account(uint32_t key, const char *config)
{
    vtest_subscribe(&t, "accountSubscribe", vtest_params(key_text(key), config));
    vtest_clear(&t);
}

static void subscribe_program(const char *config)
{
    vtest_subscribe(&t, "programSubscribe", vtest_params(rf_validator_program(t.v, 0), config));
    vtest_clear(&t);
}

static void test_validator_account_told_once_a_slot(void **state)
{
    (void)state;
    uint64_t s = still("");
    vtest_write(&t, rf_banks_get(&t.v->banks, s), 3, 500, 0);
    subscribe_account(3, PROCESSED);
    vtest_reach(&t, rf_banks_get(&t.v->banks, s), RPCFAN_PROCESSED);
    assert_int_equal(t.n, 0); /* R2: nothing at first */
    struct rf_bank *b = vtest_bank(&t, s + 100, s);
    vtest_write(&t, b, 3, 600, 0);
    vtest_reach(&t, b, RPCFAN_PROCESSED);
    vtest_reach(&t, b, RPCFAN_PROCESSED);
    assert_int_equal(vtest_count(&t, ACCOUNT), 1);
    const char *f = vtest_find(&t, ACCOUNT, 0);
    assert_int_equal(vtest_number(f, "\"context\":{\"slot\":"), s + 100);
    assert_int_equal(vtest_number(f, "\"lamports\":"), 600);
    uint64_t hash;
    assert_true(rf_validator_read(vtest_account(f), &hash));
    assert_true(hash == rf_banks_state(&t.v->banks, b, 3)->hash);
    struct rf_bank *next = vtest_bank(&t, s + 101, s + 100);
    vtest_reach(&t, next, RPCFAN_PROCESSED);
    assert_int_equal(vtest_count(&t, ACCOUNT), 1); /* not written: not told */
    vtest_end(&t);
}

static void test_validator_account_reverted_by_fork(void **state)
{
    (void)state;
    uint64_t s = still("");
    struct rf_bank *base = vtest_bank(&t, s + 100, s);
    vtest_write(&t, base, 3, 500, 0);
    subscribe_account(3, PROCESSED);
    vtest_reach(&t, base, RPCFAN_PROCESSED);
    struct rf_bank *rival = vtest_bank(&t, s + 101, s + 100);
    struct rf_bank *b = vtest_bank(&t, s + 102, s + 100);
    vtest_write(&t, b, 3, 700, 0);
    vtest_reach(&t, b, RPCFAN_PROCESSED);
    vtest_reach(&t, rival, RPCFAN_PROCESSED);
    assert_int_equal(vtest_count(&t, ACCOUNT), 3);
    const char *f = vtest_find(&t, ACCOUNT, 2); /* R3: the old state at a lower slot */
    assert_int_equal(vtest_number(f, "\"context\":{\"slot\":"), s + 101);
    assert_int_equal(vtest_number(f, "\"lamports\":"), 500);
    vtest_end(&t);
}

static void test_validator_account_closed_is_the_default(void **state)
{
    (void)state;
    uint64_t s = still("");
    vtest_write(&t, rf_banks_get(&t.v->banks, s), 3, 500, 0);
    subscribe_account(3, CONFIRMED);
    struct rf_bank *b = vtest_bank(&t, s + 100, s);
    vtest_write(&t, b, 3, 0, 1);
    vtest_reach(&t, b, RPCFAN_CONFIRMED);
    vtest_reach(&t, vtest_bank(&t, s + 101, s + 100), RPCFAN_CONFIRMED);
    assert_int_equal(vtest_count(&t, ACCOUNT), 1); /* R4: once */
    assert_non_null(strstr(t.frame[0].text,
                           "\"value\":{\"lamports\":0,\"data\":[\"\",\"base64\"],"
                           "\"owner\":\"11111111111111111111111111111111\",\"executable\":false,"
                           "\"rentEpoch\":0,\"space\":0}"));
    vtest_end(&t);
}

static void test_validator_program_tells_what_a_bank_wrote(void **state)
{
    (void)state;
    uint64_t s = still("");
    subscribe_program(CONFIRMED);
    struct rf_bank *b = vtest_bank(&t, s + 100, s);
    vtest_write(&t, b, 1, 100, 0); /* made: told */
    vtest_write(&t, b, 2, 100, 2); /* of somebody else: not */
    vtest_reach(&t, b, RPCFAN_CONFIRMED);
    assert_int_equal(vtest_count(&t, PROGRAM), 1);
    assert_non_null(vtest_find(&t, key_text(1), 0));
    struct rf_bank *c = vtest_bank(&t, s + 101, s + 100);
    vtest_write(&t, c, 1, 100, 2); /* R5: it leaves, and nothing is told */
    vtest_write(&t, c, 2, 100, 0); /* it enters */
    vtest_clear(&t);
    vtest_reach(&t, c, RPCFAN_CONFIRMED);
    assert_int_equal(t.n, 1);
    assert_non_null(vtest_find(&t, key_text(2), 0));
    struct rf_bank *d = vtest_bank(&t, s + 102, s + 101);
    vtest_write(&t, d, 2, 0, 1); /* closed: nothing is told */
    vtest_clear(&t);
    vtest_reach(&t, d, RPCFAN_CONFIRMED);
    assert_int_equal(t.n, 0);
    vtest_end(&t);
}

static void test_validator_program_tells_equal_content(void **state)
{
    (void)state;
    uint64_t s = still("");
    subscribe_program(CONFIRMED);
    struct rf_bank *b = vtest_bank(&t, s + 100, s), *c = vtest_bank(&t, s + 101, s + 100);
    vtest_write(&t, b, 1, 100, 0);
    struct rf_bank_state same = *rf_banks_state(&t.v->banks, b, 1);
    rf_banks_write(&t.v->banks, c, 1, &same);
    vtest_reach(&t, b, RPCFAN_CONFIRMED);
    vtest_reach(&t, c, RPCFAN_CONFIRMED);
    assert_int_equal(vtest_count(&t, PROGRAM), 2);
    uint64_t x, y;
    assert_true(rf_validator_read(vtest_account(t.frame[0].text), &x));
    assert_true(rf_validator_read(vtest_account(t.frame[1].text), &y));
    assert_true(x == y && x != 0);
    vtest_end(&t);
}

static void test_validator_program_filters_the_state_after(void **state)
{
    (void)state;
    uint64_t s = still("");
    subscribe_program(CONFIRMED ",\"filters\":[{\"dataSize\":165}]");
    subscribe_program(CONFIRMED ",\"filters\":[{\"dataSize\":82}]");
    struct rf_bank *b = vtest_bank(&t, s + 100, s);
    vtest_write(&t, b, 1, 100, 0);
    vtest_reach(&t, b, RPCFAN_CONFIRMED);
    assert_int_equal(t.n, 1);
    vtest_end(&t);
}

/* Chains of three: at confirmed each bank is told, at finalized the newest root alone. */
static void test_validator_finalized_sees_the_newest_root(void **state)
{
    (void)state;
    uint64_t s = still("");
    subscribe_program(FINALIZED);
    subscribe_account(1, FINALIZED);
    vtest_subscribe(&t, "rootSubscribe", "[]");
    vtest_clear(&t);
    struct rf_bank *b = vtest_bank(&t, s + 100, s), *c = vtest_bank(&t, s + 101, s + 100);
    vtest_write(&t, b, 1, 100, 0);
    vtest_write(&t, c, 2, 200, 0);
    /* Two roots in one step: the node queues ROOT for each, FINALIZED for the newer. */
    struct rf_vview *n = &t.v->node[0];
    rf_vview_job(t.v, n, &(struct rf_vjob){.kind = RF_VJOB_ROOT, .a = s + 100});
    rf_vview_job(t.v, n, &(struct rf_vjob){.kind = RF_VJOB_ROOT, .a = s + 101});
    rf_vview_job(t.v, n, &(struct rf_vjob){.kind = RF_VJOB_FINALIZED, .a = s + 101});
    vtest_run(&t, 0);
    assert_int_equal(vtest_count(&t, PROGRAM), 1); /* R6: key 1's is lost */
    assert_non_null(strstr(vtest_find(&t, PROGRAM, 0), key_text(2)));
    assert_int_equal(vtest_count(&t, ACCOUNT), 1); /* and is not lost here */
    assert_int_equal(vtest_count(&t, "rootNotification"), 2);
    vtest_end(&t);
}

static void test_validator_late_notifier_finds_pruned_banks(void **state)
{
    (void)state;
    uint64_t s = still("");
    subscribe_program(CONFIRMED);
    struct rf_bank *b = vtest_bank(&t, s + 100, s);
    vtest_write(&t, b, 1, 100, 0);
    vtest_bank(&t, s + 101, s + 100);
    struct rf_vview *n = &t.v->node[0];
    rf_vview_job(t.v, n, &(struct rf_vjob){.kind = RF_VJOB_CONFIRMED, .a = s + 100});
    n->root = s + 101; /* it has passed meanwhile */
    vtest_run(&t, 0);
    assert_int_equal(t.n, 0);
    assert_int_equal(t.v->count.pruned, 1);
    vtest_end(&t);
}

static void test_validator_reply_comes_before_the_notifier_hears(void **state)
{
    (void)state;
    vtest_begin(&t, "notify-ms=1000", 1);
    vtest_send(&t, "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"slotSubscribe\"}");
    assert_int_equal(t.n, 1);
    assert_string_equal(t.frame[0].text, "{\"jsonrpc\":\"2.0\",\"result\":0,\"id\":5}");
    vtest_run(&t, 300);
    assert_int_equal(t.n, 1);
    vtest_run(&t, 5000);
    assert_in_range(vtest_count(&t, "slotNotification"), 5, 14);
    vtest_end(&t);
}

static void test_validator_equal_requests_share_an_id(void **state)
{
    (void)state;
    uint64_t s = still("");
    uint64_t a = vtest_subscribe(&t, "accountSubscribe", vtest_params(key_text(1), CONFIRMED));
    uint64_t b = vtest_subscribe(&t, "accountSubscribe", vtest_params(key_text(1), CONFIRMED));
    uint64_t c = vtest_subscribe(&t, "accountSubscribe", vtest_params(key_text(1), PROCESSED));
    assert_int_equal(a, b); /* R13 */
    assert_int_not_equal(a, c);
    rf_validator_open(t.v, 0, 2, t.now_ns);
    char text[512];
    snprintf(text, sizeof text,
             "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"accountSubscribe\",\"params\":%s}",
             vtest_params(key_text(1), CONFIRMED));
    rf_validator_receive(t.v, 2, text, strlen(text), t.now_ns);
    assert_int_equal(vtest_number(t.frame[t.n - 1].text, "\"result\":"), a); /* of the node */
    vtest_clear(&t);
    snprintf(text, sizeof text,
             "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"accountUnsubscribe\",\"params\":[%llu]}",
             (unsigned long long)a);
    vtest_send(&t, text);
    vtest_send(&t, text); /* one unsubscribe ended both */
    assert_string_equal(t.frame[0].text, "{\"jsonrpc\":\"2.0\",\"result\":true,\"id\":2}");
    assert_string_equal(t.frame[1].text,
                        "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32602,\"message\":\"Invalid "
                        "subscription id.\"},\"id\":2}");
    vtest_clear(&t);
    struct rf_bank *bank = vtest_bank(&t, s + 100, s);
    vtest_write(&t, bank, 1, 100, 0);
    vtest_reach(&t, bank, RPCFAN_CONFIRMED);
    assert_int_equal(t.n, 1);
    assert_int_equal(t.frame[0].session, 2);
    vtest_end(&t);
}

static void test_validator_id_is_given_again(void **state)
{
    (void)state;
    still("id-reuse=1");
    uint64_t a = vtest_subscribe(&t, "accountSubscribe", vtest_params(key_text(1), CONFIRMED));
    rf_validator_gone(t.v, 1);
    uint64_t b = vtest_subscribe(&t, "accountSubscribe", vtest_params(key_text(2), CONFIRMED));
    assert_int_equal(a, b);
    vtest_end(&t);
    still("");
    a = vtest_subscribe(&t, "accountSubscribe", vtest_params(key_text(1), CONFIRMED));
    rf_validator_gone(t.v, 1);
    b = vtest_subscribe(&t, "accountSubscribe", vtest_params(key_text(2), CONFIRMED));
    assert_int_not_equal(a, b);
    vtest_end(&t);
}

static void test_validator_no_encoding_is_base58(void **state)
{
    (void)state;
    uint64_t s = still("sizes=100");
    subscribe_account(1, "\"commitment\":\"confirmed\"");
    subscribe_account(2, "\"commitment\":\"confirmed\"");
    struct rf_bank *b = vtest_bank(&t, s + 100, s);
    struct rf_bank_state small = {.lamports = 5, .content = 1, .size = 100};
    rf_banks_write(&t.v->banks, b, 1, &small);
    vtest_write(&t, b, 2, 5, 0); /* 165 bytes: too long */
    vtest_reach(&t, b, RPCFAN_CONFIRMED);
    assert_int_equal(t.n, 2);
    const char *bad = vtest_find(&t, "\"data\":\"error: data too large for bs58 encoding\"", 0);
    assert_non_null(bad);
    const char *good = t.frame[0].text == bad ? t.frame[1].text : t.frame[0].text;
    assert_in_range(strcspn(strstr(good, "\"data\":\"") + 8, "\""), 130, 138);
    vtest_end(&t);
}

static void test_validator_slots_and_roots(void **state)
{
    (void)state;
    vtest_begin(&t, "skip=0 fork=0 confirm-hold=0 root-hold=0", 1);
    uint64_t s = t.v->chain.slot;
    vtest_subscribe(&t, "slotSubscribe", "[]");
    vtest_subscribe(&t, "rootSubscribe", "[]");
    vtest_clear(&t);
    vtest_run(&t, 400);
    char text[200];
    snprintf(text, sizeof text,
             "{\"jsonrpc\":\"2.0\",\"method\":\"slotNotification\",\"params\":{\"result\":"
             "{\"parent\":%llu,\"root\":%llu,\"slot\":%llu},\"subscription\":0}}",
             (unsigned long long)s - 1, (unsigned long long)s - 33, (unsigned long long)s);
    assert_non_null(vtest_find(&t, text, 0));
    snprintf(text, sizeof text,
             "{\"jsonrpc\":\"2.0\",\"method\":\"rootNotification\",\"params\":{\"result\":%llu,"
             "\"subscription\":1}}",
             (unsigned long long)s - 33);
    assert_non_null(vtest_find(&t, text, 0));
    vtest_end(&t);
}

static void test_validator_logs_and_signatures(void **state)
{
    (void)state;
    char params[300];
    char sig[91];
    uint64_t s = still("");
    sig[rf_vledger_signature(5, 5, sig)] = '\0';
    snprintf(params, sizeof params, "[{\"mentions\":[\"%s\"]},{\"commitment\":\"confirmed\"}]",
             rf_validator_program(t.v, 0));
    vtest_subscribe(&t, "logsSubscribe", params);
    snprintf(params, sizeof params,
             "[\"%s\",{\"commitment\":\"confirmed\",\"enableReceivedNotification\":true}]", sig);
    uint64_t id = vtest_subscribe(&t, "signatureSubscribe", params);
    assert_int_equal(vtest_count(&t, "\"value\":\"receivedSignature\""), 1);
    vtest_clear(&t);
    struct rf_bank *b = vtest_bank(&t, s + 100, s);
    vtest_write(&t, b, 1, 0, 1); /* a close is in the logs */
    vtest_reach(&t, b, RPCFAN_CONFIRMED);
    assert_int_equal(vtest_count(&t, "logsNotification"), 1);
    assert_non_null(vtest_find(&t, "invoke [1]", 0));
    assert_non_null(vtest_find(&t, "\"value\":{\"err\":null}", 0));
    snprintf(params, sizeof params,
             "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"signatureUnsubscribe\",\"params\":[%llu]}",
             (unsigned long long)id);
    vtest_clear(&t);
    vtest_send(&t, params); /* it was over with the notification */
    assert_non_null(strstr(t.frame[0].text, "Invalid subscription id."));
    vtest_end(&t);
}

static void test_validator_requests_that_are_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text, *answer;
    } cases[] = {
        {"{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}", NULL},
        {"[{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}]", NULL},
        {"{", "\"code\":-32700,\"message\":\"Parse error\"},\"id\":null"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"voteSubscribe\"}",
         "\"error\":{\"code\":-32601,\"message\":\"Method not found\"},\"id\":1"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"accountSubscribe\",\"params\":[\"x\"]}",
         "{\"code\":-32602,\"message\":\"Invalid Request: Invalid pubkey provided\"}"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"logsSubscribe\",\"params\":[{\"mentions\":"
         "[\"11111111111111111111111111111111\",\"11111111111111111111111111111111\"]}]}",
         "{\"code\":-32602,\"message\":\"Invalid Request: Only 1 address supported\"}"},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"getVersion\"}", "\"solana-core\""},
        {"{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"getSlot\"}", "\"id\":\"a\"}"},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":4}", "-32600"},
    };
    still("");
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        vtest_send(&t, cases[i].text);
        assert_int_equal(t.n, cases[i].answer == NULL ? 0 : 1);
        if (t.n == 1 && strstr(t.frame[0].text, cases[i].answer) == NULL)
            fail_msg("%s", t.frame[0].text);
        vtest_clear(&t);
    }
    vtest_end(&t);
}

static void test_validator_batch_in_one_message(void **state)
{
    (void)state;
    static const char text[] = "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"slotSubscribe\"},"
                               "{\"jsonrpc\":\"2.0\",\"method\":\"ping\"},"
                               "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"rootSubscribe\"}]";
    still("");
    vtest_send(&t, text);
    assert_string_equal(t.frame[0].text, "[{\"jsonrpc\":\"2.0\",\"result\":0,\"id\":1},"
                                         "{\"jsonrpc\":\"2.0\",\"result\":1,\"id\":2}]");
    vtest_end(&t);
    still("ws-batch=0");
    vtest_send(&t, text);
    assert_non_null(strstr(t.frame[0].text, "Batch requests are not supported"));
    vtest_end(&t);
}

static void test_validator_message_too_long_ends_it(void **state)
{
    (void)state;
    static char text[4098];
    memset(text, ' ', sizeof text - 1);
    memcpy(text, "{}", 2);
    still("");
    text[4096] = '\0';
    vtest_send(&t, text);
    assert_int_equal(t.closed, 0);
    text[4096] = ' ';
    vtest_send(&t, text);
    assert_int_equal(t.closed, 1);
    assert_int_equal(t.code, 0);
    vtest_end(&t);
}

static void test_validator_limit_of_subscriptions(void **state)
{
    (void)state;
    still("subs-max=1");
    vtest_subscribe(&t, "slotSubscribe", "[]");
    vtest_send(&t, "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"rootSubscribe\"}");
    assert_string_equal(
        t.frame[1].text,
        "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32603,\"message\":\"Internal "
        "Error: Subscription refused. Node subscription limit reached\"},\"id\":9}");
    vtest_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_validator_account_told_once_a_slot),
        cmocka_unit_test(test_validator_account_reverted_by_fork),
        cmocka_unit_test(test_validator_account_closed_is_the_default),
        cmocka_unit_test(test_validator_program_tells_what_a_bank_wrote),
        cmocka_unit_test(test_validator_program_tells_equal_content),
        cmocka_unit_test(test_validator_program_filters_the_state_after),
        cmocka_unit_test(test_validator_finalized_sees_the_newest_root),
        cmocka_unit_test(test_validator_late_notifier_finds_pruned_banks),
        cmocka_unit_test(test_validator_reply_comes_before_the_notifier_hears),
        cmocka_unit_test(test_validator_equal_requests_share_an_id),
        cmocka_unit_test(test_validator_id_is_given_again),
        cmocka_unit_test(test_validator_no_encoding_is_base58),
        cmocka_unit_test(test_validator_slots_and_roots),
        cmocka_unit_test(test_validator_logs_and_signatures),
        cmocka_unit_test(test_validator_requests_that_are_wrong),
        cmocka_unit_test(test_validator_batch_in_one_message),
        cmocka_unit_test(test_validator_message_too_long_ends_it),
        cmocka_unit_test(test_validator_limit_of_subscriptions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
