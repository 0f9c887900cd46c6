/* test_validator.c - the virtual cluster as a whole: what its slots, forks, votes and roots must
 * obey, that what is confirmed is told in full and in order, what each fault does, that the same
 * seed gives the same run, and that 10^5 slots take no more memory than a thousand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "json/scan.h"
#include "vtest.h"

#define BASE64 "\"encoding\":\"base64\",\"commitment\":\"confirmed\""

static struct vtest t;

static void subscribe_program(const char *config)
{
    vtest_subscribe(&t, "programSubscribe", vtest_params(rf_validator_program(t.v, 0), config));
    vtest_clear(&t);
}

/* Confirmed and root never go back and stay on one chain; the tip goes back at times. */
static void test_validator_cluster_levels(void **state)
{
    (void)state;
    vtest_begin(&t, "fork=100 fork-depth=6 skip=100", 5);
    uint64_t tip = 0, confirmed = 0, root = 0, back = 0, jumps = 0;
    for (int i = 0; i < 5000; i++) {
        vtest_run(&t, 400);
        const struct rf_banks *b = rf_validator_banks(t.v);
        assert_true(b->root <= b->confirmed && b->confirmed <= b->tip);
        assert_true(b->confirmed >= confirmed && b->root >= root);
        assert_true(rf_bank_on_chain(rf_banks_at(b, RPCFAN_PROCESSED), b->confirmed));
        assert_true(rf_bank_on_chain(rf_banks_at(b, RPCFAN_CONFIRMED), b->root));
        if (confirmed != 0)
            assert_true(rf_bank_on_chain(rf_banks_at(b, RPCFAN_CONFIRMED), confirmed) ||
                        rf_banks_get(b, confirmed) == NULL);
        back += b->tip < tip;
        jumps += root != 0 && b->root > root && rf_banks_at(b, RPCFAN_FINALIZED)->parent != root;
        tip = b->tip;
        confirmed = b->confirmed;
        root = b->root;
    }
    assert_in_range(back, 20, 500);
    assert_in_range(jumps, 100, 2500);
    assert_in_range(t.v->count.switches, 50, 500);
    assert_in_range(t.v->count.skipped, 400, 600);
    assert_in_range(tip - root, 30, 120);
    vtest_end(&t);
}

/* Every write to an account of the program that was confirmed is told once, with its state, slots
 * never going back: the stream is lossless at this level. */
static void test_validator_confirmed_is_lossless(void **state)
{
    (void)state;
    vtest_begin(&t, "keys=20 fork=100 skip=100 reassign=100 close=100", 6);
    subscribe_program(BASE64);
    uint64_t from = t.v->banks.confirmed, slot = 0;
    vtest_run(&t, 400 * 400);
    size_t told = 0, wrote = 0;
    for (size_t i = 0; i < t.n; i++) {
        const char *f = t.frame[i].text;
        uint64_t s = vtest_number(f, "\"context\":{\"slot\":"), hash = 0;
        assert_true(s >= slot && s > from);
        slot = s;
        assert_true(rf_validator_read(vtest_account(f), &hash));
        told++;
    }
    const struct rf_bank *top = rf_banks_at(&t.v->banks, RPCFAN_CONFIRMED);
    for (uint32_t key = 0; key < 20; key++) {
        const struct rf_bank_key *k = &t.v->banks.key[key];
        for (uint32_t i = 0; i < k->n; i++)
            wrote += k->version[i].slot > from && rf_bank_on_chain(top, k->version[i].slot) &&
                     k->version[i].lamports > 0 && k->version[i].owner == 0;
    }
    assert_int_equal(told, wrote);
    assert_true(told > 500);
    vtest_end(&t);
}

/* The same at finalized loses what lies between roots. */
static void test_validator_finalized_is_not(void **state)
{
    (void)state;
    vtest_begin(&t, "keys=20 root-hold=300", 6);
    vtest_subscribe(&t, "programSubscribe",
                    vtest_params(rf_validator_program(t.v, 0), "\"encoding\":\"base64\""));
    vtest_clear(&t);
    uint64_t from = t.v->banks.root;
    vtest_run(&t, 400 * 400);
    const struct rf_bank *top = rf_banks_at(&t.v->banks, RPCFAN_FINALIZED);
    size_t wrote = 0;
    for (uint32_t key = 0; key < 20; key++) {
        const struct rf_bank_key *k = &t.v->banks.key[key];
        for (uint32_t i = 0; i < k->n; i++)
            wrote += k->version[i].slot > from && rf_bank_on_chain(top, k->version[i].slot) &&
                     k->version[i].lamports > 0 && k->version[i].owner == 0;
    }
    assert_in_range(t.n, wrote / 2, wrote * 9 / 10);
    vtest_end(&t);
}

static void test_validator_world_has_all_that_happens(void **state)
{
    (void)state;
    vtest_begin(&t, "programs=2 keys=50 history=100000", 7);
    vtest_run(&t, 400 * 3000);
    const struct rf_bank *top = rf_banks_at(&t.v->banks, RPCFAN_CONFIRMED);
    size_t closed = 0, made = 0, equal = 0, left = 0, came = 0, sized = 0;
    for (uint32_t key = 0; key < 100; key++) {
        const struct rf_bank_key *k = &t.v->banks.key[key];
        const struct rf_bank_state *was = NULL;
        for (uint32_t i = 0; i < k->n; i++) {
            const struct rf_bank_state *s = &k->version[i];
            if (s->orphan || (s->slot > t.v->banks.root && !rf_bank_on_chain(top, s->slot)))
                continue;
            bool there = rf_vaccount_there(s), was_there = rf_vaccount_there(was);
            closed += was_there && !there;
            made += was != NULL && !was_there && there;
            equal += was_there && there && s->hash == was->hash;
            left += was_there && there && was->owner == k->home && s->owner != k->home;
            came += was_there && there && was->owner != k->home && s->owner == k->home;
            sized += was_there && there && was->size != s->size;
            was = s;
        }
    }
    assert_true(closed > 100 && made > 80 && equal > 300 && left > 40 && came > 10 && sized > 20);
    vtest_end(&t);
}

/* Faults of frames: how often, and what the frames look like. */
static void test_validator_frames_that_are_wrong(void **state)
{
    (void)state;
    vtest_begin(&t, "drop=100 dup=100 reorder=100 truncate=50 garble=50", 8);
    subscribe_program(BASE64);
    vtest_run(&t, 400 * 500);
    const struct rf_validator_count *c = rf_validator_counted(t.v);
    size_t bad = 0, late = 0;
    for (size_t i = 0; i < t.n; i++) {
        bad += rf_json_check(t.frame[i].text, t.frame[i].len, 64, NULL) != RPCFAN_OK;
        late += i + 1 < t.n && t.frame[i].at_ns > t.frame[i + 1].at_ns;
    }
    assert_int_equal(bad, c->truncated + c->garbled);
    assert_true(late > 50);
    uint64_t n = c->notifications;
    assert_in_range(n, 1500, 3000);
    assert_in_range(c->dropped, n * 7 / 100, n * 13 / 100);
    assert_in_range(c->doubled, n * 5 / 100, n * 13 / 100);
    assert_in_range(c->reordered, n * 5 / 100, n * 13 / 100);
    assert_in_range(c->truncated, n * 3 / 100, n * 7 / 100);
    assert_in_range(c->garbled, n * 3 / 100, n * 7 / 100);
    vtest_end(&t);
}

static void test_validator_sessions_that_stall(void **state)
{
    (void)state;
    vtest_begin(&t, "", 9);
    subscribe_program(BASE64);
    vtest_subscribe(&t, "slotSubscribe", "[]");
    rf_validator_set(t.v, "stall=1000", NULL);
    vtest_run(&t, 4000);
    rf_validator_set(t.v, "stall=0", NULL);
    vtest_clear(&t);
    vtest_run(&t, 20000); /* the one, and not the slots */
    assert_int_equal(vtest_count(&t, "programNotification"), 0);
    assert_in_range(vtest_count(&t, "slotNotification"), 40, 50);
    rf_validator_set(t.v, "stall-all=1000", NULL);
    vtest_run(&t, 400);
    vtest_clear(&t);
    vtest_run(&t, 4000); /* all, and a request is still answered */
    assert_int_equal(t.n, 0);
    vtest_send(&t, "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"getVersion\"}");
    assert_int_equal(t.n, 1);
    rf_validator_set(t.v, "half-open=1000", NULL);
    vtest_run(&t, 400);
    vtest_clear(&t);
    vtest_send(&t, "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"getVersion\"}");
    assert_int_equal(t.n, 0);
    assert_int_equal(t.closed, 0);
    vtest_end(&t);
}

static void test_validator_sessions_that_end(void **state)
{
    (void)state;
    vtest_begin(&t, "close-ws=1000 close-frame=1000", 9);
    subscribe_program(BASE64);
    vtest_run(&t, 400);
    assert_true(t.closed == 1 && t.code == 1001);
    rf_validator_set(t.v, "close-frame=0", NULL);
    subscribe_program(BASE64);
    vtest_run(&t, 400);
    assert_true(t.closed == 2 && t.code == 0);
    rf_validator_gone(t.v, 1); /* long forgotten */
    rf_validator_set(t.v, "close-ws=0 idle-ms=5000", NULL);
    subscribe_program(BASE64);
    vtest_run(&t, 4000);
    rf_validator_pinged(t.v, 1, t.now_ns);
    vtest_run(&t, 4000);
    assert_int_equal(t.closed, 2);
    vtest_run(&t, 1100);
    assert_int_equal(t.closed, 3);
    vtest_end(&t);
}

static void test_validator_reply_after_notification(void **state)
{
    (void)state;
    vtest_begin(&t, "late-reply=1000 late-reply-ms=20000", 10);
    vtest_send(&t, "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"slotSubscribe\"}");
    vtest_run(&t, 4000);
    uint64_t reply = t.frame[0].at_ns;
    size_t before = 0;
    for (size_t i = 1; i < t.n; i++)
        before += t.frame[i].at_ns < reply;
    assert_true(before > 0);
    vtest_end(&t);
}

/* Two nodes behind one name: slots go back, and the same is told twice. */
static void test_validator_mixed_nodes(void **state)
{
    (void)state;
    vtest_begin(&t, "nodes=2 lag2=2000 mix=1", 11);
    vtest_subscribe(&t, "slotSubscribe", "[]");
    vtest_clear(&t);
    vtest_run(&t, 40000);
    uint64_t slot = 0, back = 0;
    for (size_t i = 0; i < t.n; i++) {
        uint64_t s = vtest_number(t.frame[i].text, "\"slot\":");
        back += s < slot;
        slot = s;
    }
    assert_true(back > 50 && t.n > 150);
    vtest_end(&t);
}

static void test_validator_backlog_loses_banks(void **state)
{
    (void)state;
    vtest_begin(&t, "backlog=5 backlog-ms=20000", 12);
    subscribe_program(BASE64);
    vtest_run(&t, 400 * 2000);
    assert_in_range(t.v->count.pruned, 20, 2000);
    vtest_end(&t);
}

static uint64_t run_hash(uint64_t seed, uint64_t step_ms)
{
    uint64_t h = 1;
    vtest_begin(&t, "nodes=2 lag2=900 drop=20 dup=20 reorder=30 fork=100 close-ws=1", seed);
    subscribe_program(BASE64);
    for (uint64_t ms = 0; ms < 200000; ms += step_ms)
        vtest_run(&t, step_ms);
    for (size_t i = 0; i < t.n; i++)
        for (size_t k = 0; k < t.frame[i].len; k++)
            h = (h ^ (uint8_t)t.frame[i].text[k]) * UINT64_C(0x100000001b3);
    vtest_end(&t);
    return h;
}

static void test_validator_same_seed_same_run(void **state)
{
    (void)state;
    uint64_t h = run_hash(1, 400);
    assert_true(h == run_hash(1, 400));
    assert_true(h == run_hash(1, 1000)); /* however time is cut */
    assert_true(h != run_hash(2, 400));
}

/* What clients do changes nothing of what the cluster does. */
static void test_validator_cluster_minds_no_client(void **state)
{
    (void)state;
    vtest_begin(&t, "", 4);
    vtest_run(&t, 100000);
    uint64_t tip = t.v->banks.tip,
             hash = rf_banks_state(&t.v->banks, rf_banks_at(&t.v->banks, 0), 1)->hash;
    vtest_end(&t);
    vtest_begin(&t, "drop=500 lie=500", 4);
    subscribe_program(BASE64);
    for (int i = 0; i < 100; i++) {
        vtest_run(&t, 1000);
        vtest_call(&t, 0, "getProgramAccounts", vtest_params(rf_validator_program(t.v, 0), BASE64),
                   NULL);
    }
    assert_true(tip == t.v->banks.tip);
    assert_true(hash == rf_banks_state(&t.v->banks, rf_banks_at(&t.v->banks, 0), 1)->hash);
    vtest_end(&t);
}

static void test_validator_memory_is_bounded(void **state)
{
    (void)state;
    vtest_begin(&t, "keys=100 history=100", 13);
    for (int i = 0; i < 20; i++)
        vtest_run(&t, 400 * 50);
    uint64_t early = t.v->banks.versions, allocs = rf_alloc_count();
    vtest_run(&t, UINT64_C(400) * 100000);
    assert_true(t.v->banks.versions < 2 * early + 200);
    assert_true(rf_alloc_count() - allocs < 2000);
    assert_true(t.v->count.slots > 100000);
    vtest_end(&t);
}

static void test_validator_knobs_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *knobs, *word;
    } bad[] = {
        {"nothing=1", "nothing"},
        {"keys", "keys"},
        {"keys=0", "keys: want a number from 1"},
        {"keys=x", "keys"},
        {"skip=901", "skip"},
        {"sizes=1,x", "sizes"},
        {"sizes=1,2,3,4,5,6,7,8,9", "sizes"},
        {"program=abc", "program"},
        {"lag=120000 slot-ms=100", "window"},
    };
    struct rf_validator_ops ops = {0};
    struct rf_validator *v;
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        struct rpcfan_error err = {0};
        struct rf_validator_options o = {1, bad[i].knobs};
        assert_int_equal(rf_validator_new(&o, &ops, 0, &v, &err), RPCFAN_ECONFIG);
        assert_null(v);
        assert_non_null(strstr(err.text, bad[i].word));
    }
    vtest_begin(&t, "keys=2\nsizes=10,20 \t program=TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
                1);
    assert_string_equal(rf_validator_program(t.v, 0),
                        "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
    assert_null(rf_validator_program(t.v, 1));
    assert_int_equal(rf_validator_set(t.v, "keys=3", NULL), RPCFAN_ECONFIG);
    assert_int_equal(rf_validator_set(t.v, "nodes=2", NULL), RPCFAN_ECONFIG);
    assert_int_equal(rf_validator_set(t.v, "writes=0", NULL), 0);
    vtest_end(&t);
}

/* Each allocation of the making fails once: an error, and nothing is lost. */
static void test_validator_out_of_memory(void **state)
{
    (void)state;
    struct rf_validator_ops ops = {0};
    struct rf_validator *v;
    enum rpcfan_err e = RPCFAN_ENOMEM;
    unsigned n = 1;
    for (; n < 1000; n++) {
        struct rf_validator_options o = {1, "keys=3"};
        rf_alloc_fail_at(n);
        e = rf_validator_new(&o, &ops, 0, &v, NULL);
        rf_alloc_fail_at(0);
        if (e == RPCFAN_OK && v->count.no_memory + v->banks.no_memory == 0)
            break;
        assert_true(e == RPCFAN_ENOMEM || e == RPCFAN_OK);
        rf_validator_free(v);
    }
    assert_in_range(n, 5, 999);
    rf_validator_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_validator_cluster_levels),
        cmocka_unit_test(test_validator_confirmed_is_lossless),
        cmocka_unit_test(test_validator_finalized_is_not),
        cmocka_unit_test(test_validator_world_has_all_that_happens),
        cmocka_unit_test(test_validator_frames_that_are_wrong),
        cmocka_unit_test(test_validator_sessions_that_stall),
        cmocka_unit_test(test_validator_sessions_that_end),
        cmocka_unit_test(test_validator_reply_after_notification),
        cmocka_unit_test(test_validator_mixed_nodes),
        cmocka_unit_test(test_validator_backlog_loses_banks),
        cmocka_unit_test(test_validator_same_seed_same_run),
        cmocka_unit_test(test_validator_cluster_minds_no_client),
        cmocka_unit_test(test_validator_memory_is_bounded),
        cmocka_unit_test(test_validator_knobs_are_checked),
        cmocka_unit_test(test_validator_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
