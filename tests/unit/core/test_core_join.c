/* test_core_join.c - equal reads in flight are asked once: who joins whom, and what becomes of
 * those who joined when the one who asked leaves, in whatever state it is. */
#include "core_case.h"

#include <stdlib.h>

#define ASK "eth_getBalance"
#define SAME "[\"0x1\",\"latest\"]"

static void start(struct bench *b, uint32_t n_ep, uint64_t seed)
{
    bench_init(b, n_ep, seed);
    b->net[0].join = 1;
    bench_start(b);
}

static void test_join_asks_once(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 2, 1);
    for (uint32_t i = 0; i < 100; i++)
        bench_ask(&b, 0, ASK, SAME, 5 * RF_SEC);
    bench_run(&b, 10 * RF_MS);
    bench_ask(&b, 0, ASK, SAME, 5 * RF_SEC);
    bench_run(&b, RF_SEC);
    assert_int_equal(b.exchanges, 1);
    assert_int_equal(b.ok, 101);
    assert_int_equal(bench_net(&b, 0)->joined, 100);
    bench_ask(&b, 0, ASK, SAME, 5 * RF_SEC); /* the answer is no cache */
    bench_run(&b, RF_SEC);
    assert_int_equal(b.exchanges, 2);
    bench_fini(&b);
}

static void test_join_only_what_is_equal_and_a_read(void **state)
{
    (void)state;
    static const char *const alone[] = {"eth_sendRawTransaction", "eth_sendTransaction",
                                        "sendTransaction", "eth_getFilterChanges"};
    struct bench b;
    start(&b, 2, 1);
    for (size_t i = 0; i < RF_COUNT(alone); i++) {
        for (uint32_t k = 0; k < 3; k++)
            bench_ask(&b, 0, alone[i], SAME, 5 * RF_SEC);
    }
    bench_ask(&b, 0, ASK, SAME, 5 * RF_SEC);
    bench_ask(&b, 0, ASK, "[\"0x2\",\"latest\"]", 5 * RF_SEC);
    bench_ask(&b, 0, ASK, SAME, 5 * RF_SEC)->call.policy = RPCFAN_FAILOVER;
    bench_ask(&b, 0, ASK, SAME, 5 * RF_SEC)->call.split = RPCFAN_SPLIT_RANGE;
    bench_run(&b, RF_SEC);
    assert_int_equal(bench_net(&b, 0)->joined, 0);
    assert_int_equal(b.exchanges, 3 * RF_COUNT(alone) + 4);
    bench_fini(&b);
}

static void test_join_is_off_by_default(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1, 1);
    bench_start(&b);
    bench_ask(&b, 0, ASK, SAME, RF_SEC);
    bench_ask(&b, 0, ASK, SAME, RF_SEC);
    bench_run(&b, RF_SEC);
    assert_int_equal(b.exchanges, 2);
    bench_fini(&b);
}

/* Errors are shared as well, words and bytes. */
static void check_error(struct bench *b, struct rf_vcall *c, uint64_t now_ns)
{
    uint64_t *seen = b->arg;
    (void)now_ns;
    *seen += c->call.err == RPCFAN_ERPC && c->call.json_len > 0 &&
             memcmp(c->call.json, "{\"code\":-32602", 14) == 0 && c->call.endpoint != NULL;
}

static void refuse(struct bench *b, struct rf_exchange *ex, uint64_t now_ns, struct rf_vreply *out)
{
    (void)b, (void)now_ns;
    rf_vreply_error(&out->body, ex->id_base, -32602, "invalid params");
}

static void test_join_shares_errors(void **state)
{
    (void)state;
    struct bench b;
    uint64_t seen = 0;
    start(&b, 1, 1);
    b.serve = refuse;
    b.done = check_error;
    b.arg = &seen;
    for (uint32_t i = 0; i < 5; i++)
        bench_ask(&b, 0, ASK, SAME, 5 * RF_SEC);
    bench_run(&b, RF_SEC);
    assert_int_equal(seen, 5);
    assert_int_equal(b.exchanges, 1);
    bench_fini(&b);
}

/* --- the one who asked leaves ------------------------------------------------------------- */

enum stage { QUEUED, RETRYING, DELAYED, SENT, SPREAD, HEDGED, STAGES };

struct staged {
    enum stage stage;
    uint32_t served;
};

static void staged_serve(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                         struct rf_vreply *out)
{
    struct staged *s = b->arg;
    bool ours = memmem(ex->call[0]->tail, ex->call[0]->tail_len, SAME, sizeof SAME - 1) != NULL;
    (void)now_ns;
    if (!ours) {
        bench_reply_ok(ex, out);
        return;
    }
    s->served++;
    if ((s->stage == DELAYED || s->stage == RETRYING) && s->served == 1) {
        bench_reply(out, s->stage == DELAYED ? 500 : 429, "no");
        out->retry_after_ns = RF_SEC;
        return;
    }
    if (s->stage == HEDGED && s->served == 1)
        out->delay_ns = 300 * RF_MS;
    else if (s->stage == SENT || s->stage == SPREAD || s->stage == HEDGED)
        out->delay_ns = 100 * RF_MS;
    bench_reply_ok(ex, out);
}

static void stage_start(struct bench *b, struct staged *s, enum stage stage)
{
    uint32_t n_ep = stage == SPREAD || stage == HEDGED ? 2 : 1;
    *s = (struct staged){.stage = stage};
    bench_init(b, n_ep, 1);
    b->net[0].join = 1;
    b->net[0].hedge_percent = stage == HEDGED ? 10 : 0;
    if (stage == SPREAD)
        b->net[0].policy = RPCFAN_FIRST;
    b->ep[0].in_flight = stage == QUEUED ? 1 : 16;
    b->serve = staged_serve;
    b->arg = s;
    bench_start(b);
    if (stage == HEDGED)
        bench_offer(b, 200, 2, 5 * RF_SEC);
    else if (stage == QUEUED || stage == DELAYED)
        bench_call(b, 0, "eth_call", 5 * RF_SEC);
    if (stage == DELAYED)
        bench_run(b, 50 * RF_MS);
}

static uint8_t expected_state(enum stage stage)
{
    static const uint8_t is[] = {RF_CALL_QUEUED, RF_CALL_QUEUED, RF_CALL_DELAYED,
                                 RF_CALL_SENT,   RF_CALL_SPREAD, RF_CALL_SENT};
    return is[stage];
}

/* @param by_deadline  it leaves at its deadline, and not by a cancel. */
static void leave_case(enum stage stage, bool by_deadline, uint32_t joiners)
{
    struct bench b;
    struct staged s;
    stage_start(&b, &s, stage);
    uint64_t before = b.ok;
    uint64_t wait = stage == QUEUED     ? 10 * RF_MS
                    : stage == RETRYING ? 40 * RF_MS
                    : stage == HEDGED   ? 60 * RF_MS
                                        : 22 * RF_MS;
    struct rf_vcall *first =
        bench_ask(&b, 0, ASK, SAME, by_deadline ? wait + 2 * RF_MS : 5 * RF_SEC);
    for (uint32_t i = 0; i < joiners; i++)
        bench_ask(&b, 0, ASK, SAME, 5 * RF_SEC);
    bench_run(&b, wait);
    assert_int_equal(first->call.state, expected_state(stage));
    assert_int_equal(first->call.plan != NULL, stage == SPREAD || stage == HEDGED);
    if (!by_deadline)
        rf_vshell_cancel(b.v, first);
    bench_run(&b, 5 * RF_MS);
    assert_int_equal(b.by_err[by_deadline ? RPCFAN_EDEADLINE : RPCFAN_ECANCELED], 1);
    uint32_t out = s.served;
    bench_run(&b, 8 * RF_SEC);
    assert_int_equal(b.answered, b.submitted);
    assert_int_equal(b.submitted - b.ok, 1);
    assert_true(b.ok - before >= joiners);
    if (stage == SENT || stage == SPREAD || stage == HEDGED)
        assert_int_equal(s.served, out); /* what is under way is not asked again */
    else
        assert_int_equal(s.served, stage == QUEUED ? 1 : 2);
    bench_fini(&b);
}

static void test_join_survives_whoever_leaves(void **state)
{
    (void)state;
    for (enum stage stage = QUEUED; stage < STAGES; stage++) {
        for (uint32_t n = 1; n <= 3; n++) {
            leave_case(stage, false, n);
            leave_case(stage, true, n);
        }
    }
}

/* Each leaves after the other, in the order in which they came and from the middle. */
static void test_join_everybody_leaves(void **state)
{
    (void)state;
    for (uint32_t order = 0; order < 3; order++) {
        struct bench b;
        struct staged s;
        struct rf_vcall *c[5];
        stage_start(&b, &s, SENT);
        for (uint32_t i = 0; i < 5; i++)
            c[i] = bench_ask(&b, 0, ASK, SAME, 5 * RF_SEC);
        bench_run(&b, RF_MS);
        for (uint32_t i = 0; i < 5; i++) {
            rf_vshell_cancel(b.v, c[order == 0 ? i : order == 1 ? 4 - i : (i * 3 + 2) % 5]);
            bench_run(&b, RF_MS);
            assert_int_equal(b.by_err[RPCFAN_ECANCELED], i + 1);
        }
        bench_ask(&b, 0, ASK, SAME, 5 * RF_SEC); /* asks anew: nobody waits for the old answer */
        bench_run(&b, RF_SEC);
        assert_int_equal(s.served, 2);
        assert_int_equal(b.ok, 1);
        bench_fini(&b);
    }
}

/* The attempt ends at the first one's deadline: who has more time is not told that his is over. */
static void late_serve(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                       struct rf_vreply *out)
{
    (void)b, (void)now_ns;
    out->delay_ns = 700 * RF_MS;
    bench_reply_ok(ex, out);
}

static void test_join_has_its_own_time(void **state)
{
    (void)state;
    for (uint32_t policy = RPCFAN_BALANCE; policy <= RPCFAN_QUORUM; policy++) {
        for (uint32_t joined_at = 0; joined_at <= 400; joined_at += 200) {
            struct bench b;
            bench_init(&b, 3, 1);
            b.net[0].join = 1;
            b.net[0].policy = (enum rpcfan_policy)policy;
            b.ep[0].timeout_ms = b.ep[1].timeout_ms = b.ep[2].timeout_ms = 2000;
            b.serve = late_serve;
            bench_start(&b);
            bench_ask(&b, 0, ASK, SAME, 500 * RF_MS);
            bench_run(&b, joined_at * RF_MS);
            bench_ask(&b, 0, ASK, SAME, 300 * RF_MS);
            bench_ask(&b, 0, ASK, SAME, 10 * RF_SEC);
            bench_run(&b, 20 * RF_SEC);
            assert_int_equal(b.ok, 1);
            assert_int_equal(b.by_err[RPCFAN_EDEADLINE], 2);
            bench_fini(&b);
        }
    }
}

/* Waiting for retry budget that never comes: the one who took over ends with the failure too, and
 * not with a success that holds nothing. */
static void fail_serve(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                       struct rf_vreply *out)
{
    (void)now_ns;
    if (*(bool *)b->arg)
        bench_reply(out, 500, "no");
    else
        bench_reply_ok(ex, out);
}

static void test_join_takes_the_failure_over(void **state)
{
    (void)state;
    bool failing = false;
    struct bench b;
    bench_init(&b, 1, 1);
    b.net[0].join = 1;
    b.net[0].attempts = 100;
    b.serve = fail_serve;
    b.arg = &failing;
    bench_start(&b);
    bench_call(&b, 0, "eth_call", RF_SEC);
    bench_run(&b, RF_SEC);
    failing = true;
    bench_net(&b, 0)->budget.tenths = 0;
    struct rf_vcall *first = bench_ask(&b, 0, ASK, SAME, 60 * RF_SEC);
    bench_ask(&b, 0, ASK, SAME, 60 * RF_SEC);
    bench_run(&b, 100 * RF_MS);
    assert_int_equal(first->call.state, RF_CALL_DELAYED);
    assert_true(first->call.needs_token);
    rf_vshell_cancel(b.v, first);
    bench_run(&b, 30 * RF_SEC);
    assert_int_equal(b.by_err[RPCFAN_ESERVER], 1);
    assert_int_equal(b.ok, 1);
    assert_non_null(strstr(b.detail, "500"));
    bench_fini(&b);
}

/* --- close --------------------------------------------------------------------------------- */

static void close_case(enum stage stage, enum rpcfan_close_mode mode, bool leave)
{
    struct bench b;
    struct staged s;
    stage_start(&b, &s, stage);
    struct rf_vcall *first = bench_ask(&b, 0, ASK, SAME, 5 * RF_SEC);
    for (uint32_t i = 0; i < 3; i++)
        bench_ask(&b, 0, ASK, SAME, 5 * RF_SEC);
    bench_run(&b, stage == HEDGED ? 60 * RF_MS : stage == RETRYING ? 40 * RF_MS : 22 * RF_MS);
    uint64_t ok = b.ok;
    rf_vshell_close(b.v, mode);
    bench_run(&b, RF_MS);
    if (leave && mode != RPCFAN_CLOSE_NOW && !(mode == RPCFAN_CLOSE_SENT && stage <= DELAYED))
        rf_vshell_cancel(b.v, first);
    bench_run(&b, 20 * RF_SEC);
    bool served = mode == RPCFAN_CLOSE_DRAIN || (mode == RPCFAN_CLOSE_SENT && stage >= SENT);
    assert_int_equal(b.ok - ok, !served ? 0 : leave ? 3 : 4);
    assert_int_equal(b.by_err[RPCFAN_ECANCELED], b.submitted - b.ok);
    bench_fini(&b);
}

static void test_join_and_close(void **state)
{
    (void)state;
    static const enum rpcfan_close_mode mode[] = {RPCFAN_CLOSE_DRAIN, RPCFAN_CLOSE_SENT,
                                                  RPCFAN_CLOSE_NOW};
    for (enum stage stage = RETRYING; stage < STAGES; stage++) {
        for (size_t m = 0; m < RF_COUNT(mode); m++) {
            close_case(stage, mode[m], false);
            close_case(stage, mode[m], true);
        }
    }
}

/* --- at random ----------------------------------------------------------------------------- */

#define QUESTIONS 12

/* What a call's owner knows of it. */
struct owner {
    uint64_t until_ns;
    uint32_t answers;
};

struct crowd {
    struct owner *owner; /* by number */
    struct rf_vcall *live[256];
    unsigned faults;
};

static void crowd_serve(struct bench *b, struct rf_exchange *ex, uint64_t now_ns,
                        struct rf_vreply *out)
{
    const struct crowd *w = b->arg;
    (void)now_ns;
    out->delay_ns = rf_rng_below(&b->rng, 200 * RF_MS);
    if (rf_rng_below(&b->rng, 1000) >= w->faults) {
        bench_reply_ok(ex, out);
        return;
    }
    switch (rf_rng_below(&b->rng, 7)) {
    case 0:
        out->transport = RF_T_CONNECT;
        break;
    case 1:
        out->transport = RF_T_RESET;
        break;
    case 2:
        out->delay_ns = RF_NEVER;
        break;
    case 3:
        bench_reply(out, 503, "no");
        break;
    case 4:
        out->retry_after_ns = rf_rng_below(&b->rng, RF_SEC);
        bench_reply(out, 429, "no");
        break;
    case 5:
        rf_vreply_error(&out->body, ex->id_base, -32016,
                        "Minimum context slot has not been reached");
        break;
    default:
        rf_vreply_error(&out->body, ex->id_base, -32000, "header not found");
        break;
    }
}

static void crowd_done(struct bench *b, struct rf_vcall *c, uint64_t now_ns)
{
    struct crowd *w = b->arg;
    struct owner *o = &w->owner[c->number];
    assert_int_equal(++o->answers, 1);
    assert_true(now_ns <= o->until_ns);
    assert_true(c->call.err != RPCFAN_OK || c->call.json_len > 0);
    assert_true(c->call.err != RPCFAN_EDEADLINE || c->call.detail != NULL);
    for (size_t i = 0; i < RF_COUNT(w->live); i++)
        w->live[i] = w->live[i] == c ? NULL : w->live[i];
}

static void crowd_step(struct bench *b, struct crowd *w)
{
    static const uint64_t life_ms[] = {1, 30, 100, 300, 1000, 5000};
    char params[32];
    uint64_t life = life_ms[rf_rng_below(&b->rng, RF_COUNT(life_ms))] * RF_MS + 1;
    snprintf(params, sizeof params, "[%u]", (unsigned)rf_rng_below(&b->rng, QUESTIONS));
    struct rf_vcall *c = bench_ask(
        b, 0, rf_rng_below(&b->rng, 20) == 0 ? "eth_sendTransaction" : "eth_call", params, life);
    if (rf_rng_below(&b->rng, 4) == 0)
        c->call.policy = (uint8_t)(RPCFAN_BALANCE + rf_rng_below(&b->rng, 5));
    w->owner[c->number].until_ns = rf_vshell_now(b->v) + life;
    w->live[rf_rng_below(&b->rng, RF_COUNT(w->live))] = c;
    struct rf_vcall **gone = &w->live[rf_rng_below(&b->rng, RF_COUNT(w->live))];
    if (*gone != NULL && rf_rng_below(&b->rng, 4) == 0) {
        rf_vshell_cancel(b->v, *gone);
        *gone = NULL; /* one cancel a call, as the client does */
    }
    bench_run(b, rf_rng_below(&b->rng, 3) == 0 ? rf_rng_below(&b->rng, 30 * RF_MS) : 0);
}

static void crowd_case(uint64_t seed, uint32_t steps)
{
    struct bench b;
    struct crowd w = {.faults = (unsigned)(seed * 77 % 400)};
    w.owner = calloc(steps + 1, sizeof w.owner[0]);
    assert_non_null(w.owner);
    bench_init(&b, 3, seed);
    b.net[0].join = 1;
    b.net[0].hedge_percent = 10;
    for (uint32_t i = 0; i < 3; i++) {
        b.ep[i].batch = 1 + 5 * i;
        b.ep[i].batch_cost = i;
        b.ep[i].timeout_ms = 400;
    }
    b.serve = crowd_serve;
    b.done = crowd_done;
    b.arg = &w;
    bench_start(&b);
    for (uint32_t i = 0; i < steps; i++)
        crowd_step(&b, &w);
    if (seed % 3 == 0)
        rf_vshell_close(b.v, (enum rpcfan_close_mode)(seed / 3 % 3));
    bench_run(&b, 30 * RF_SEC);
    assert_true(bench_net(&b, 0)->joined > steps / 20);
    for (uint64_t i = 1; i <= b.submitted; i++)
        assert_int_equal(w.owner[i].answers, 1);
    bench_fini(&b);
    free(w.owner);
}

static void test_join_everyone_is_answered_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 24; seed++)
        crowd_case(seed, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_join_asks_once),
        cmocka_unit_test(test_join_only_what_is_equal_and_a_read),
        cmocka_unit_test(test_join_is_off_by_default),
        cmocka_unit_test(test_join_shares_errors),
        cmocka_unit_test(test_join_survives_whoever_leaves),
        cmocka_unit_test(test_join_everybody_leaves),
        cmocka_unit_test(test_join_has_its_own_time),
        cmocka_unit_test(test_join_takes_the_failure_over),
        cmocka_unit_test(test_join_and_close),
        cmocka_unit_test(test_join_everyone_is_answered_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
