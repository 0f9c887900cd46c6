/* test_subscribe_client.c - subscriptions through the library over real sockets: told once up, told
 * of each gap, accounted for to the last notification, under every policy of the queue; ended from
 * any thread, and by the client's close. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <uv.h>

#include "base/base.h"
#include "fixture.h"
#include "rpcfan/feed.h"

#define PROGRAM "program 500 writes=2000\n"
#define QUIET "program 500\n"
#define SUBSCRIBE                                                                                  \
    "[\"TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA\",{\"encoding\":\"base64\","                   \
    "\"commitment\":\"confirmed\"}]"
#define PATIENCE_MS 20000

static void start(struct fixture *f, unsigned n, const char *script)
{
    const char *scripts[] = {script, script};
    fixture_init(f, n, scripts);
    f->network.family = RPCFAN_SOLANA;
    fixture_connect(f);
}

static rpcfan_sub_t *subscribe(struct fixture *f, const struct rpcfan_sub_options *o)
{
    rpcfan_sub_t *sub;
    struct rpcfan_error err;
    if (rpcfan_subscribe(f->client, o, &sub, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
    return sub;
}

static struct rpcfan_sub_options options(void)
{
    struct rpcfan_sub_options o;
    rpcfan_sub_options_init(&o);
    o.method = "programSubscribe";
    o.params = SUBSCRIBE;
    return o;
}

/* The next note; fails where none comes. */
static struct rpcfan_note next(rpcfan_sub_t *sub)
{
    struct rpcfan_note note;
    struct pollfd p = {.fd = rpcfan_sub_fd(sub), .events = POLLIN};
    for (;;) {
        if (rpcfan_sub_poll(sub, &note, 1) == 1)
            return note;
        if (poll(&p, 1, PATIENCE_MS) <= 0)
            fail_msg("no note for %d ms", PATIENCE_MS);
    }
}

static void expect(rpcfan_sub_t *sub, enum rpcfan_note_kind kind)
{
    struct rpcfan_note note;
    do {
        note = next(sub);
        rpcfan_note_release(&note);
    } while (note.kind == RPCFAN_NOTE_DATA && kind != RPCFAN_NOTE_DATA);
    assert_int_equal(note.kind, kind);
}

/* To a reader who is late from the start, drops are told before what waits; and where the oldest
 * give way, that it is up may have been dropped. */
static void expect_up(rpcfan_sub_t *sub, enum rpcfan_overflow overflow)
{
    struct rpcfan_note note;
    do {
        note = next(sub);
        rpcfan_note_release(&note);
    } while (note.kind == RPCFAN_NOTE_DROPPED && overflow != RPCFAN_BLOCK);
    if (overflow == RPCFAN_BLOCK || overflow == RPCFAN_DROP_NEWEST)
        assert_int_equal(note.kind, RPCFAN_NOTE_UP);
}

static void assert_accounted(rpcfan_sub_t *sub)
{
    struct rpcfan_sub_counters c;
    rpcfan_sub_count(sub, &c);
    assert_int_equal(c.received, c.taken + c.conflated + c.dropped + c.twice + c.waiting);
}

static void test_subscribe_tells_up_then_data(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 1, PROGRAM);
    struct rpcfan_sub_options o = options();
    rpcfan_sub_t *sub = subscribe(&f, &o);
    struct rpcfan_note note = next(sub);
    assert_int_equal(note.kind, RPCFAN_NOTE_UP);
    assert_string_equal(note.endpoint, "ep1");
    for (int i = 0; i < 1000; i++) {
        note = next(sub);
        assert_int_equal(note.kind, RPCFAN_NOTE_DATA);
        assert_true(note.slot > 0);
        assert_true(note.json.len > 100 && note.json.data[0] == '{');
        rpcfan_note_release(&note);
    }
    assert_accounted(sub);
    rpcfan_unsubscribe(sub);
    fixture_fini(&f);
}

/* The connection ends after each 200 messages: a gap is told each time, and an up behind it. */
static void test_subscribe_tells_each_gap(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 1, PROGRAM "fault ws-close after=200 how=reset\n");
    struct rpcfan_sub_options o = options();
    rpcfan_sub_t *sub = subscribe(&f, &o);
    expect(sub, RPCFAN_NOTE_UP);
    for (int i = 0; i < 3; i++) {
        expect(sub, RPCFAN_NOTE_DATA);
        expect(sub, RPCFAN_NOTE_GAP);
        expect(sub, RPCFAN_NOTE_UP);
    }
    struct rpcfan_sub_counters c;
    rpcfan_sub_count(sub, &c);
    assert_true(c.gaps >= 3);
    assert_accounted(sub);
    rpcfan_unsubscribe(sub);
    fixture_fini(&f);
}

/* A reader that does not read: what waits is bounded, and all is accounted for. */
static void flood(enum rpcfan_overflow overflow, struct rpcfan_sub_counters *c)
{
    struct fixture f;
    start(&f, 1, "program 5000 writes=50000\n");
    struct rpcfan_sub_options o = options();
    o.overflow = overflow;
    o.queue_notes = 100;
    rpcfan_sub_t *sub = subscribe(&f, &o);
    expect_up(sub, overflow);
    for (int i = 0; i < 100000; i++) {
        rpcfan_sub_count(sub, c);
        assert_true(c->waiting <= 100 || overflow == RPCFAN_BLOCK);
        if (c->received > 2000 || (overflow == RPCFAN_BLOCK && c->waiting > 100))
            break;
        poll(NULL, 0, 1);
    }
    assert_accounted(sub);
    for (int i = 0; i < 300; i++) { /* it goes on once somebody reads */
        struct rpcfan_note note = next(sub);
        rpcfan_note_release(&note);
    }
    rpcfan_sub_count(sub, c);
    assert_accounted(sub);
    rpcfan_unsubscribe(sub);
    fixture_fini(&f);
}

static void test_subscribe_latest_conflates(void **state)
{
    (void)state;
    struct rpcfan_sub_counters c;
    flood(RPCFAN_LATEST, &c);
    assert_true(c.dropped > 0); /* 5000 accounts do not fit 100 places */
}

static void test_subscribe_drop_oldest_is_counted(void **state)
{
    (void)state;
    struct rpcfan_sub_counters c;
    flood(RPCFAN_DROP_OLDEST, &c);
    assert_true(c.dropped > 1000);
    assert_int_equal(c.conflated, 0);
}

static void test_subscribe_drop_newest_is_counted(void **state)
{
    (void)state;
    struct rpcfan_sub_counters c;
    flood(RPCFAN_DROP_NEWEST, &c);
    assert_true(c.dropped > 1000);
}

static void test_subscribe_block_drops_nothing(void **state)
{
    (void)state;
    struct rpcfan_sub_counters c;
    flood(RPCFAN_BLOCK, &c);
    assert_int_equal(c.dropped, 0);
    assert_int_equal(c.conflated, 0);
}

/* Both connections are held: what waits outside the queue is no more than they had read. */
static void test_subscribe_block_holds_both_copies(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2, "program 5000 writes=50000\n");
    struct rpcfan_sub_options o = options();
    o.overflow = RPCFAN_BLOCK;
    o.queue_notes = 100;
    o.copies = 2;
    rpcfan_sub_t *sub = subscribe(&f, &o);
    struct rpcfan_sub_counters c;
    do {
        rpcfan_sub_count(sub, &c);
        poll(NULL, 0, 1);
    } while (c.waiting < 100);      /* with notes of other kinds between */
    for (int i = 0; i < 500; i++) { /* 25,000 more of each come meanwhile */
        rpcfan_sub_count(sub, &c);
        assert_true(c.waiting < 5000);
        poll(NULL, 0, 1);
    }
    assert_accounted(sub);
    rpcfan_unsubscribe(sub);
    fixture_fini(&f);
}

/* What was dropped is told, with its number. */
static void test_subscribe_drops_are_told(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 1, "program 5000 writes=50000\n");
    struct rpcfan_sub_options o = options();
    o.overflow = RPCFAN_DROP_OLDEST;
    o.queue_notes = 10;
    rpcfan_sub_t *sub = subscribe(&f, &o);
    struct rpcfan_sub_counters c;
    uint64_t told = 0;
    do {
        struct rpcfan_note note = next(sub);
        if (note.kind == RPCFAN_NOTE_DROPPED)
            told += note.n;
        rpcfan_note_release(&note);
        rpcfan_sub_count(sub, &c);
    } while (told < 1000);
    assert_true(c.dropped + 1 >= told); /* the first may have been the note that it is up */
    rpcfan_unsubscribe(sub);
    fixture_fini(&f);
}

static void test_subscribe_refused_ends(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 1, QUIET);
    struct rpcfan_sub_options o = options();
    o.method = "noSuchSubscribe";
    rpcfan_sub_t *sub = subscribe(&f, &o);
    struct rpcfan_note note = next(sub);
    assert_int_equal(note.kind, RPCFAN_NOTE_END);
    json_t *error = json_loadb(note.json.data, note.json.len, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(error, "code")), -32601);
    json_decref(error);
    rpcfan_note_release(&note);
    rpcfan_unsubscribe(sub);
    fixture_fini(&f);
}

static void test_subscribe_bad_arguments(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 1, QUIET);
    struct rpcfan_error err;
    rpcfan_sub_t *sub;
    struct rpcfan_sub_options o = options();
    o.params = "{\"a\":1}";
    assert_int_equal(rpcfan_subscribe(f.client, &o, &sub, &err), RPCFAN_EINVAL);
    assert_non_null(strstr(err.text, "array"));
    o = options();
    o.method = "";
    assert_int_equal(rpcfan_subscribe(f.client, &o, &sub, &err), RPCFAN_EINVAL);
    o = options();
    o.network = "nobody";
    assert_int_equal(rpcfan_subscribe(f.client, &o, &sub, &err), RPCFAN_EINVAL);
    o = options();
    o.copies = 3;
    assert_int_equal(rpcfan_subscribe(f.client, &o, &sub, &err), RPCFAN_EINVAL);
    fixture_fini(&f);
}

static void test_subscribe_without_an_endpoint(void **state)
{
    (void)state;
    struct fixture f;
    const char *scripts[] = {QUIET};
    fixture_init(&f, 1, scripts);
    f.endpoint[0].ws_url = "";
    fixture_connect(&f);
    struct rpcfan_error err;
    rpcfan_sub_t *sub;
    struct rpcfan_sub_options o = options();
    assert_int_equal(rpcfan_subscribe(f.client, &o, &sub, &err), RPCFAN_EINVAL);
    assert_non_null(strstr(err.text, "ws_url"));
    fixture_fini(&f);
}

/* Two nodes that make the same accounts: each change is told once. */
static void test_subscribe_copies_are_told_once(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 2, QUIET "block-time 50ms\n");
    struct rpcfan_sub_options o = options();
    o.method = "slotSubscribe";
    o.params = NULL;
    o.copies = 2;
    o.overflow = RPCFAN_DROP_OLDEST;
    rpcfan_sub_t *sub = subscribe(&f, &o);
    uint64_t last = 0;
    struct rpcfan_sub_counters c;
    do {
        struct rpcfan_note note = next(sub);
        if (note.kind == RPCFAN_NOTE_DATA) {
            assert_true(note.slot != last);
            last = note.slot;
        }
        rpcfan_note_release(&note);
        rpcfan_sub_count(sub, &c);
    } while (c.twice < 5);
    assert_accounted(sub);
    rpcfan_unsubscribe(sub);
    fixture_fini(&f);
}

/* A client that closes ends what is subscribed to, and unsubscribing behind it is no harm. */
static void test_subscribe_client_close_ends(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 1, PROGRAM);
    struct rpcfan_sub_options o = options();
    rpcfan_sub_t *sub = subscribe(&f, &o);
    expect(sub, RPCFAN_NOTE_UP);
    rpcfan_client_close(f.client, RPCFAN_CLOSE_DRAIN, NULL, NULL);
    expect(sub, RPCFAN_NOTE_END);
    rpcfan_unsubscribe(sub);
    fixture_fini(&f);
}

struct crowd {
    struct fixture *f;
    unsigned seed;
};

static void *come_and_go(void *arg)
{
    struct crowd *c = arg;
    for (unsigned i = 0; i < 20; i++) {
        struct rpcfan_sub_options o = options();
        if ((i + c->seed) % 3 == 0) {
            o.method = "slotSubscribe";
            o.params = NULL;
        }
        rpcfan_sub_t *sub;
        if (rpcfan_subscribe(c->f->client, &o, &sub, NULL) != RPCFAN_OK)
            return NULL;
        if (i % 2 == 0) {
            struct rpcfan_note note = next(sub);
            rpcfan_note_release(&note);
        }
        rpcfan_unsubscribe(sub);
    }
    return arg;
}

static void test_subscribe_from_many_threads(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 1, PROGRAM);
    pthread_t thread[4];
    struct crowd crowd[4];
    for (unsigned i = 0; i < 4; i++) {
        crowd[i] = (struct crowd){&f, i};
        assert_int_equal(pthread_create(&thread[i], NULL, come_and_go, &crowd[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        void *good;
        pthread_join(thread[i], &good);
        assert_non_null(good);
    }
    fixture_fini(&f);
}

static void test_subscribe_is_in_the_status(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 1, PROGRAM);
    struct rpcfan_sub_options o = options();
    rpcfan_sub_t *sub = subscribe(&f, &o);
    expect(sub, RPCFAN_NOTE_UP);
    char *text;
    assert_int_equal(rpcfan_status(f.client, &text), RPCFAN_OK);
    json_t *status = json_loads(text, 0, NULL);
    assert_non_null(status);
    assert_int_equal(json_array_size(json_object_get(status, "subscriptions")), 1);
    assert_null(strstr(text, "127.0.0.1"));
    json_decref(status);
    rpcfan_free(text);
    rpcfan_unsubscribe(sub);
    fixture_fini(&f);
}

/* In a loop of the user's own, on its thread, with nothing left behind. */
static void closed(rpcfan_client_t *client, void *arg)
{
    (void)client;
    *(int *)arg = 1;
}

static void test_subscribe_in_the_users_loop(void **state)
{
    (void)state;
    struct fixture f;
    const char *scripts[] = {PROGRAM};
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    fixture_init(&f, 1, scripts);
    f.network.family = RPCFAN_SOLANA;
    f.options.loop = &loop;
    fixture_connect(&f);
    struct rpcfan_sub_options o = options();
    rpcfan_sub_t *sub = subscribe(&f, &o);
    struct rpcfan_sub_counters c;
    do {
        uv_run(&loop, UV_RUN_ONCE);
        rpcfan_sub_count(sub, &c);
    } while (c.received < 100);
    rpcfan_unsubscribe(sub);
    int gone = 0;
    rpcfan_client_close(f.client, RPCFAN_CLOSE_DRAIN, closed, &gone);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(gone);
    fixture_fini(&f);
    assert_int_equal(uv_loop_close(&loop), 0);
}

/* More accounts than there can be subscriptions would never be complete, without a word. */
static void test_feed_of_more_accounts_than_fit_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    const char *scripts[] = {QUIET};
    fixture_init(&f, 1, scripts);
    f.network.family = RPCFAN_SOLANA;
    f.endpoint[0].ws_conns = 1;
    f.endpoint[0].ws_subs = 3; /* two are slots and roots */
    fixture_connect(&f);
    const char *accounts[] = {"11111111111111111111111111111111",
                              "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"};
    struct rpcfan_feed_options o;
    struct rpcfan_error err;
    rpcfan_feed_t *feed = NULL;
    rpcfan_feed_options_init(&o);
    o.accounts = accounts;
    o.n_accounts = 2;
    assert_int_equal(rpcfan_feed_new(f.client, &o, &feed, &err), RPCFAN_EINVAL);
    assert_non_null(strstr(err.text, "2 accounts are more than the 1 subscriptions"));
    o.n_accounts = 1;
    assert_int_equal(rpcfan_feed_new(f.client, &o, &feed, &err), RPCFAN_OK);
    rpcfan_feed_free(feed);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subscribe_tells_up_then_data),
        cmocka_unit_test(test_subscribe_tells_each_gap),
        cmocka_unit_test(test_subscribe_latest_conflates),
        cmocka_unit_test(test_subscribe_drop_oldest_is_counted),
        cmocka_unit_test(test_subscribe_drop_newest_is_counted),
        cmocka_unit_test(test_subscribe_block_drops_nothing),
        cmocka_unit_test(test_subscribe_block_holds_both_copies),
        cmocka_unit_test(test_subscribe_drops_are_told),
        cmocka_unit_test(test_subscribe_refused_ends),
        cmocka_unit_test(test_subscribe_bad_arguments),
        cmocka_unit_test(test_subscribe_without_an_endpoint),
        cmocka_unit_test(test_subscribe_copies_are_told_once),
        cmocka_unit_test(test_subscribe_client_close_ends),
        cmocka_unit_test(test_subscribe_from_many_threads),
        cmocka_unit_test(test_subscribe_is_in_the_status),
        cmocka_unit_test(test_subscribe_in_the_users_loop),
        cmocka_unit_test(test_feed_of_more_accounts_than_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
