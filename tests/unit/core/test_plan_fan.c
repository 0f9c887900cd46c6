/* test_plan_fan.c - one call to several nodes: who decides, what becomes of the others, and what is
 * said where nobody does. */
#include <stdlib.h>

#include "core_case.h"
#include "json/canon.h"

#define EPS 4

/* What a node answers: a result (from '"', '{', '[' or a digit), an error object's inside (from
 * 'e'), an HTTP status (from '#'), or nothing at all ("-"). */
struct fan {
    struct bench b;
    const char *say[EPS];
    const char *then[EPS]; /* from its second answer on; NULL: the same */
    uint64_t delay_ns[EPS];
    uint32_t asked[EPS];
    enum rpcfan_err err;
    char json[4096], detail[256], endpoint[16];
    uint64_t done_ns, answers;
    uint16_t sends;
};

static void serve(struct bench *b, struct rf_exchange *ex, uint64_t now_ns, struct rf_vreply *out)
{
    struct fan *f = b->arg;
    const char *say = f->asked[ex->index]++ > 0 && f->then[ex->index] != NULL ? f->then[ex->index]
                                                                              : f->say[ex->index];
    (void)now_ns;
    out->delay_ns = f->delay_ns[ex->index];
    if (say[0] == '-') {
        out->delay_ns = RF_NEVER;
    } else if (say[0] == '#') {
        bench_reply(out, atoi(say + 1), "oops");
        out->retry_after_ns = say[1] == '4' ? 30 * RF_SEC : RF_NEVER;
    } else if (say[0] == 'e') {
        rf_buf_printf(&out->body, "{\"id\":%llu,\"error\":{%s}}", (unsigned long long)ex->id_base,
                      say + 1);
    } else {
        rf_buf_printf(&out->body, "{\"id\":%llu,\"result\":%s}", (unsigned long long)ex->id_base,
                      say);
    }
}

static void done(struct bench *b, struct rf_vcall *c, uint64_t now_ns)
{
    struct fan *f = b->arg;
    b->wrong = 0;
    f->answers++;
    f->err = c->call.err;
    f->done_ns = now_ns;
    f->sends = c->call.sends;
    snprintf(f->json, sizeof f->json, "%.*s", (int)c->call.json_len,
             c->call.json != NULL ? c->call.json : "");
    snprintf(f->detail, sizeof f->detail, "%s", c->call.detail != NULL ? c->call.detail : "");
    snprintf(f->endpoint, sizeof f->endpoint, "%s",
             c->call.endpoint != NULL ? c->call.endpoint : "");
}

static void set_up(struct fan *f, uint32_t n_ep, enum rpcfan_policy policy)
{
    memset(f, 0, sizeof *f);
    bench_init(&f->b, n_ep, 1);
    f->b.net[0].policy = policy;
    f->b.arg = f;
    f->b.serve = serve;
    f->b.done = done;
    for (uint32_t i = 0; i < EPS; i++) {
        f->say[i] = "\"0x1\"";
        f->delay_ns[i] = 20 * RF_MS;
        f->b.ep[i].timeout_ms = 2000;
    }
    f->b.net[0].attempts = 1;
}

static struct rf_vcall *ask(struct fan *f, const char *method, const char *params)
{
    struct rf_vcall *c = rf_vcall_new(++f->b.submitted, method, params);
    assert_non_null(c);
    rf_vshell_submit(f->b.v, c, rf_vshell_now(f->b.v) + 10 * RF_SEC);
    return c;
}

/* One call from start to end. */
static void play(struct fan *f, const char *method, const char *params)
{
    bench_start(&f->b);
    ask(f, method, params);
    bench_run(&f->b, 30 * RF_SEC);
    assert_int_equal(f->answers, 1);
    bench_fini(&f->b);
}

#define READ "eth_getBalance", "[\"0x1\",\"latest\"]"
#define REVERT "e\"code\":3,\"message\":\"execution reverted\",\"data\":\"0x08c379a0\""
#define ABSENT "e\"code\":-32601,\"message\":\"the method eth_getBalance does not exist\""

/* -- race ---------------------------------------------------------------------------------------
 */

static void test_first_answer_wins(void **state)
{
    (void)state;
    struct fan f;
    set_up(&f, 3, RPCFAN_FIRST);
    f.say[1] = "\"0x2\"";
    f.delay_ns[1] = 5 * RF_MS;
    play(&f, READ);
    assert_string_equal(f.json, "\"0x2\"");
    assert_string_equal(f.endpoint, "ep2");
    assert_int_equal(f.done_ns, 5 * RF_MS);
    assert_int_equal(f.asked[0] + f.asked[1] + f.asked[2], 3);
    assert_int_equal(f.sends, 3);
}

static void test_first_survives_failures(void **state)
{
    (void)state;
    struct fan f;
    set_up(&f, 3, RPCFAN_FIRST);
    f.say[0] = "#500";
    f.say[1] = "-";
    f.delay_ns[2] = 900 * RF_MS;
    play(&f, READ);
    assert_int_equal(f.err, RPCFAN_OK);
    assert_string_equal(f.endpoint, "ep3");
}

static void test_first_all_fail(void **state)
{
    (void)state;
    struct fan f;
    set_up(&f, 3, RPCFAN_FIRST);
    f.say[0] = f.say[1] = f.say[2] = "#500";
    play(&f, READ);
    assert_int_equal(f.err, RPCFAN_ESERVER);
}

/* A revert is an answer, that the method is absent here is none. */
static void test_first_takes_errors_that_are_answers(void **state)
{
    (void)state;
    struct fan f;
    set_up(&f, 3, RPCFAN_FIRST);
    f.say[0] = REVERT;
    f.delay_ns[0] = 5 * RF_MS;
    play(&f, "eth_call", "[{},\"latest\"]");
    assert_int_equal(f.err, RPCFAN_ERPC);
    assert_int_equal(f.done_ns, 5 * RF_MS);

    set_up(&f, 3, RPCFAN_FIRST);
    f.say[0] = ABSENT;
    f.delay_ns[0] = 5 * RF_MS;
    play(&f, READ);
    assert_int_equal(f.err, RPCFAN_OK);
    assert_int_equal(f.done_ns, 20 * RF_MS);
}

/* Where nobody answers, what a node said is worth more than that another one was not there. */
static void test_first_most_telling_failure(void **state)
{
    (void)state;
    struct fan f;
    set_up(&f, 3, RPCFAN_FIRST);
    f.say[0] = "#500";
    f.say[1] = ABSENT;
    f.say[2] = "-";
    play(&f, READ);
    assert_int_equal(f.err, RPCFAN_ERPC);
    assert_non_null(strstr(f.json, "does not exist"));
}

/* Neither a write nor a call at a lone node is raced. */
static void test_first_only_reads(void **state)
{
    (void)state;
    struct fan f;
    set_up(&f, 3, RPCFAN_FIRST);
    play(&f, "eth_sendTransaction", "[{}]");
    assert_int_equal(f.asked[0] + f.asked[1] + f.asked[2], 1);
    set_up(&f, 1, RPCFAN_FIRST);
    play(&f, READ);
    assert_int_equal(f.asked[0], 1);
}

/* A node that is known to lack the method does not race any more. */
static void test_first_leaves_out_who_lacks_it(void **state)
{
    (void)state;
    struct fan f;
    set_up(&f, 3, RPCFAN_FIRST);
    f.say[1] = ABSENT;
    f.delay_ns[1] = 5 * RF_MS;
    bench_start(&f.b);
    for (int i = 0; i < 5; i++) {
        ask(&f, READ);
        bench_run(&f.b, RF_SEC);
    }
    assert_int_equal(f.b.ok, 5);
    assert_int_equal(f.asked[1], 1);
    bench_fini(&f.b);
}

/* -- quorum -------------------------------------------------------------------------------------
 */

static void quorum(struct fan *f, uint32_t n_ep, uint32_t need)
{
    set_up(f, n_ep, RPCFAN_QUORUM);
    f->b.net[0].quorum = need;
}

static void test_quorum_two_agree(void **state)
{
    (void)state;
    struct fan f;
    quorum(&f, 3, 2);
    play(&f, READ);
    assert_int_equal(f.err, RPCFAN_OK);
    assert_int_equal(f.asked[0] + f.asked[1] + f.asked[2], 2);
    assert_int_equal(f.done_ns, 20 * RF_MS);
}

/* One that lies, is dead, fails or is slow, wherever it stands: the other two decide. */
static void test_quorum_one_is_off(void **state)
{
    (void)state;
    static const char *const off[] = {"\"0x666\"", "-", "#500", "#429", ABSENT, REVERT};
    for (size_t k = 0; k < RF_COUNT(off); k++) {
        for (uint32_t at = 0; at < 3; at++) {
            struct fan f;
            quorum(&f, 3, 2);
            f.say[at] = off[k];
            play(&f, READ);
            assert_int_equal(f.err, RPCFAN_OK);
            assert_string_equal(f.json, "\"0x1\"");
        }
    }
    struct fan f;
    quorum(&f, 3, 2);
    f.delay_ns[0] = 1500 * RF_MS;
    play(&f, READ);
    assert_int_equal(f.err, RPCFAN_OK);
    assert_int_equal(f.done_ns, 1500 * RF_MS);
}

/* A leg that tries again brings the next node at once: it is not waited for through its retries. */
static void test_quorum_does_not_wait_for_retries(void **state)
{
    (void)state;
    static const char *const off[] = {"#503", "#429"};
    for (size_t k = 0; k < RF_COUNT(off); k++) {
        struct fan f;
        quorum(&f, 3, 2);
        f.b.net[0].attempts = 5;
        f.say[0] = off[k];
        play(&f, READ);
        assert_int_equal(f.err, RPCFAN_OK);
        assert_int_equal(f.done_ns, 40 * RF_MS);
    }
}

/* Objects are equal whatever the order of their members, and whatever whitespace is between. */
static void test_quorum_compares_values(void **state)
{
    (void)state;
    struct fan f;
    quorum(&f, 2, 2);
    f.say[0] = "{\"a\":1,\"b\":[1,2],\"c\":\"\\u0041\"}";
    f.say[1] = "{ \"b\" : [ 1, 2.0 ],\n \"c\":\"A\", \"a\":1 }";
    play(&f, READ);
    assert_int_equal(f.err, RPCFAN_OK);
    quorum(&f, 2, 2);
    f.say[0] = "[1,2]";
    f.say[1] = "[2,1]";
    play(&f, READ);
    assert_int_equal(f.err, RPCFAN_EQUORUM);
}

/* Errors agree by their code: each node words them in its own way. */
static void test_quorum_of_errors(void **state)
{
    (void)state;
    struct fan f;
    quorum(&f, 3, 2);
    f.say[0] = "e\"code\":3,\"message\":\"execution reverted\"";
    f.say[1] = "e\"code\":3,\"message\":\"execution reverted: no\"";
    play(&f, "eth_call", "[{},\"latest\"]");
    assert_int_equal(f.err, RPCFAN_ERPC);
    assert_int_equal(f.asked[2], 0);
}

static void test_quorum_disagreement_names_all(void **state)
{
    (void)state;
    struct fan f;
    quorum(&f, 4, 2);
    f.say[0] = "\"0x1\"";
    f.say[1] = "\"0x2\"";
    f.say[2] = "#500";
    f.say[3] = "e\"code\":3,\"message\":\"execution reverted\"";
    play(&f, "eth_call", "[{},\"latest\"]");
    assert_int_equal(f.err, RPCFAN_EQUORUM);
    assert_non_null(strstr(f.json, "\"code\":-39021"));
    assert_non_null(strstr(f.json, "{\"endpoint\":\"ep1\",\"result\":\"0x1\",\"bytes\":5}"));
    assert_non_null(strstr(f.json, "{\"endpoint\":\"ep2\",\"result\":\"0x2\",\"bytes\":5}"));
    assert_non_null(strstr(f.json, "{\"endpoint\":\"ep3\",\"failed\":\"server\""));
    assert_non_null(strstr(f.json, "{\"endpoint\":\"ep4\",\"error\":{\"code\":3"));
    struct rf_buf canon = {0};
    assert_true(rf_json_canon((struct rpcfan_slice){f.json, strlen(f.json)}, &canon));
    rf_buf_fini(&canon);
    assert_non_null(strstr(f.detail, "1 of 4 endpoints gave equal answers, 2 were wanted"));
}

/* Who had not answered when it was lost is said as well. */
static void test_quorum_lost_early(void **state)
{
    (void)state;
    struct fan f;
    quorum(&f, 3, 3);
    f.say[1] = "\"0x2\"";
    f.delay_ns[2] = RF_SEC;
    play(&f, READ);
    assert_int_equal(f.err, RPCFAN_EQUORUM);
    assert_int_equal(f.done_ns, 20 * RF_MS);
    assert_non_null(strstr(f.json, "{\"endpoint\":\"ep3\",\"waiting\":true}"));
}

static void test_quorum_over_the_network(void **state)
{
    (void)state;
    struct fan f;
    set_up(&f, 3, RPCFAN_BALANCE);
    bench_start(&f.b);
    struct rf_vcall *c = ask(&f, READ);
    c->call.policy = RPCFAN_QUORUM;
    c->call.quorum = 4;
    bench_run(&f.b, RF_SEC);
    assert_int_equal(f.err, RPCFAN_EQUORUM);
    assert_int_equal(f.asked[0], 0);
    bench_fini(&f.b);
}

/* A quorum that needs a node whose breaker is open is lost at once, and says why. */
static void test_quorum_with_one_down(void **state)
{
    (void)state;
    struct fan f;
    quorum(&f, 3, 3);
    f.say[2] = "#500";
    bench_start(&f.b);
    for (int i = 0; i < 40; i++) {
        ask(&f, READ);
        bench_run(&f.b, 100 * RF_MS);
    }
    assert_int_equal(f.b.by_err[RPCFAN_EQUORUM], 40);
    assert_true(f.asked[2] < 40);
    bench_fini(&f.b);
}

/* Time that is up is not a disagreement. */
static void test_quorum_deadline(void **state)
{
    (void)state;
    struct fan f;
    quorum(&f, 3, 3);
    f.say[0] = f.say[1] = f.say[2] = "-";
    for (int i = 0; i < 3; i++)
        f.b.ep[i].timeout_ms = 60000;
    play(&f, READ);
    assert_int_equal(f.err, RPCFAN_EDEADLINE);
    assert_int_equal(f.done_ns, 10 * RF_SEC);
}

/* -- broadcast ----------------------------------------------------------------------------------
 */

#define SEND "eth_sendRawTransaction", "[\"0x02f86b01\"]"
#define LOW_FUNDS "e\"code\":-32000,\"message\":\"insufficient funds for gas * price + value\""

static void test_broadcast_reaches_all(void **state)
{
    (void)state;
    struct fan f;
    set_up(&f, 4, RPCFAN_BROADCAST);
    f.delay_ns[0] = 500 * RF_MS;
    f.delay_ns[1] = 5 * RF_MS;
    f.say[2] = LOW_FUNDS;
    f.delay_ns[2] = RF_MS;
    f.b.ep[3].in_flight = 1;
    play(&f, SEND);
    assert_int_equal(f.err, RPCFAN_OK);
    assert_int_equal(f.done_ns, 5 * RF_MS);
    for (int i = 0; i < 4; i++)
        assert_int_equal(f.asked[i], 1);
}

/* One that fails the first time is asked again, though the caller has his answer. */
static void test_broadcast_goes_on_after_the_answer(void **state)
{
    (void)state;
    struct fan f;
    set_up(&f, 3, RPCFAN_BROADCAST);
    f.b.net[0].attempts = 3;
    f.say[0] = "#503";
    f.then[0] = "\"0x1\"";
    f.delay_ns[0] = 100 * RF_MS;
    play(&f, SEND);
    assert_int_equal(f.done_ns, 20 * RF_MS);
    assert_int_equal(f.asked[0], 2);
}

static void test_broadcast_all_refuse(void **state)
{
    (void)state;
    struct fan f;
    set_up(&f, 4, RPCFAN_BROADCAST);
    f.say[0] = "#500";
    f.say[1] = LOW_FUNDS;
    f.say[2] = "e\"code\":-32601,\"message\":\"the method does not exist\"";
    f.say[3] = "-";
    play(&f, SEND);
    assert_int_equal(f.err, RPCFAN_ERPC);
    assert_non_null(strstr(f.json, "insufficient funds"));
}

/* Who cancels his send wants it nowhere; what is on the wire cannot be called back. */
static void test_broadcast_canceled(void **state)
{
    (void)state;
    struct fan f;
    set_up(&f, 3, RPCFAN_BROADCAST);
    f.b.net[0].attempts = 3;
    f.say[0] = f.say[1] = f.say[2] = "#503";
    bench_start(&f.b);
    struct rf_vcall *c = ask(&f, SEND);
    bench_run(&f.b, 20 * RF_MS);
    rf_vshell_cancel(f.b.v, c);
    bench_run(&f.b, 30 * RF_SEC);
    assert_int_equal(f.err, RPCFAN_ECANCELED);
    assert_int_equal(f.asked[0] + f.asked[1] + f.asked[2], 3);
    bench_fini(&f.b);
}

/* A client that closes after the first acceptance lets the others have a last moment, not more; and
 * none where it is to end now. */
static void close_case(enum rpcfan_close_mode mode, uint64_t delay_ns, uint64_t over_ns)
{
    struct fan f;
    set_up(&f, 2, RPCFAN_BROADCAST);
    f.delay_ns[1] = delay_ns;
    f.b.ep[1].timeout_ms = 20000;
    bench_start(&f.b);
    ask(&f, SEND);
    bench_run(&f.b, 30 * RF_MS);
    assert_int_equal(f.answers, 1);
    struct rf_core *core = rf_vshell_core(f.b.v);
    assert_false(rf_core_idle(core));
    rf_vshell_close(f.b.v, mode);
    bench_run(&f.b, 0);
    bench_run(&f.b, over_ns - 1);
    assert_int_equal(rf_core_idle(core), over_ns <= 1);
    bench_run(&f.b, 2);
    assert_true(rf_core_idle(core));
    bench_fini(&f.b);
}

static void test_broadcast_close(void **state)
{
    (void)state;
    close_case(RPCFAN_CLOSE_DRAIN, 500 * RF_MS, 470 * RF_MS);
    close_case(RPCFAN_CLOSE_SENT, 500 * RF_MS, 470 * RF_MS);
    close_case(RPCFAN_CLOSE_DRAIN, 15 * RF_SEC, 3 * RF_SEC);
    close_case(RPCFAN_CLOSE_NOW, 15 * RF_SEC, 1);
}

/* -- what holds for all -------------------------------------------------------------------------
 */

/* A node that is busy holds up the legs that must go there, and nothing else. */
static void test_fan_pinned_legs_hold_up_nobody(void **state)
{
    (void)state;
    struct fan f;
    set_up(&f, 2, RPCFAN_BALANCE);
    f.b.ep[0].in_flight = 1;
    f.b.ep[1].in_flight = 64;
    f.delay_ns[0] = 1900 * RF_MS;
    bench_start(&f.b);
    for (int i = 0; i < 4; i++)
        ask(&f, READ)->call.policy = RPCFAN_FIRST;
    bench_run(&f.b, 100 * RF_MS);
    uint64_t before = f.answers;
    assert_int_equal(before, 4);
    for (int i = 0; i < 20; i++)
        ask(&f, "eth_chainId", "[]");
    bench_run(&f.b, 500 * RF_MS);
    assert_true(f.answers >= before + 19);
    bench_fini(&f.b);
}

/* More pinned classes than there are queues: those that come late wait among others, and still go
 * where they must. */
static void serve_batches(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                          struct rf_vreply *out)
{
    (void)b, (void)now_ns;
    bench_reply_ok(ex, out);
}

static void test_fan_more_classes_than_queues(void **state)
{
    (void)state;
    struct fan f;
    static char names[80][8];
    static struct rpcfan_weight weights[80];
    set_up(&f, 4, RPCFAN_QUORUM);
    f.b.net[0].quorum = 4;
    f.b.serve = serve_batches;
    for (uint32_t i = 0; i < 4; i++)
        f.b.ep[i].batch = 10;
    f.b.ep[0].weights = weights;
    f.b.ep[0].n_weights = RF_COUNT(weights);
    for (uint32_t i = 0; i < RF_COUNT(weights); i++) {
        snprintf(names[i], sizeof names[i], "m%u", i);
        weights[i].method = names[i];
        weights[i].weight = i + 1;
    }
    bench_start(&f.b);
    for (uint32_t i = 0; i < RF_COUNT(weights); i++)
        ask(&f, names[i], "[]");
    bench_run(&f.b, 5 * RF_SEC);
    assert_int_equal(f.b.by_err[RPCFAN_OK], RF_COUNT(weights));
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(f.b.sent[i], RF_COUNT(weights));
    bench_fini(&f.b);
}

/* Endpoints whose windows are too small for the call are left out of it, not waited for. */
static void test_fan_leaves_out_where_it_never_fits(void **state)
{
    (void)state;
    struct fan f;
    static const struct rpcfan_limit limit = {.count = 5, .window_ms = 1000, .unit = RPCFAN_WEIGHT};
    static const struct rpcfan_weight weight = {.method = "eth_getBalance", .weight = 10};
    quorum(&f, 3, 2);
    f.b.ep[0].limits = &limit;
    f.b.ep[0].n_limits = 1;
    f.b.ep[0].weights = &weight;
    f.b.ep[0].n_weights = 1;
    play(&f, READ);
    assert_int_equal(f.err, RPCFAN_OK);
    assert_int_equal(f.asked[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_answer_wins),
        cmocka_unit_test(test_first_survives_failures),
        cmocka_unit_test(test_first_all_fail),
        cmocka_unit_test(test_first_takes_errors_that_are_answers),
        cmocka_unit_test(test_first_most_telling_failure),
        cmocka_unit_test(test_first_only_reads),
        cmocka_unit_test(test_first_leaves_out_who_lacks_it),
        cmocka_unit_test(test_quorum_two_agree),
        cmocka_unit_test(test_quorum_one_is_off),
        cmocka_unit_test(test_quorum_does_not_wait_for_retries),
        cmocka_unit_test(test_quorum_compares_values),
        cmocka_unit_test(test_quorum_of_errors),
        cmocka_unit_test(test_quorum_disagreement_names_all),
        cmocka_unit_test(test_quorum_lost_early),
        cmocka_unit_test(test_quorum_over_the_network),
        cmocka_unit_test(test_quorum_with_one_down),
        cmocka_unit_test(test_quorum_deadline),
        cmocka_unit_test(test_broadcast_reaches_all),
        cmocka_unit_test(test_broadcast_goes_on_after_the_answer),
        cmocka_unit_test(test_broadcast_all_refuse),
        cmocka_unit_test(test_broadcast_canceled),
        cmocka_unit_test(test_broadcast_close),
        cmocka_unit_test(test_fan_pinned_legs_hold_up_nobody),
        cmocka_unit_test(test_fan_more_classes_than_queues),
        cmocka_unit_test(test_fan_leaves_out_where_it_never_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
