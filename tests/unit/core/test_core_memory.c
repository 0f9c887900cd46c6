/* test_core_memory.c - memory runs out at each allocation of a step in turn: joined, raced and
 * voted calls are answered once all the same, and nothing is left behind. */
#include "core_case.h"

#include "base/mem.h"

#define ASK "eth_getBalance"
#define SAME "[\"0x1\",\"latest\"]"

#define HELD 64

/* A shell without allocations of its own while the core steps. */
struct tiny {
    struct rf_core *core;
    struct rf_event event[HELD];
    size_t n;
    uint64_t now_ns;
    struct rf_exchange *wire[HELD];
    uint32_t n_wire;
    uint32_t answered;
};

static void tiny_step(struct tiny *t, uint64_t fail_at)
{
    struct rf_actions a;
    struct rf_link *l;
    rf_actions_init(&a);
    rf_alloc_fail_at(fail_at);
    rf_core_step(t->core, t->event, t->n, t->now_ns, &a);
    rf_alloc_fail_at(0);
    t->n = 0;
    while ((l = rf_list_shift(&a.abort)) != NULL)
        RF_CONTAINER(l, struct rf_exchange, link)->reply.transport = RF_T_ABORTED;
    while ((l = rf_list_shift(&a.send)) != NULL) {
        assert_true(t->n_wire < HELD);
        t->wire[t->n_wire++] = RF_CONTAINER(l, struct rf_exchange, link);
    }
    while ((l = rf_list_shift(&a.done)) != NULL) {
        t->answered++;
        rf_vcall_free(RF_CONTAINER(RF_CONTAINER(l, struct rf_call, link), struct rf_vcall, call));
    }
}

/* Every exchange comes back: by turns right, with 500, and with a refusal. */
static void tiny_answer(struct tiny *t, uint32_t turn)
{
    while (t->n_wire > 0) {
        struct rf_exchange *ex = t->wire[--t->n_wire];
        struct rf_vreply out = {0};
        struct rf_reply *r = &ex->reply;
        bool ok = (turn + t->n_wire) % 3 != 0;
        if (ok)
            bench_reply_ok(ex, &out);
        else
            bench_reply(&out, 500, "no");
        r->transport = RF_T_OK;
        r->status = out.status > 0 ? out.status : 200;
        r->retry_after_ns = RF_NEVER;
        rf_rate_hint_init(&r->rate);
        r->resent = 0;
        r->blob = rf_blob_new(out.body.len + 1);
        assert_non_null(r->blob);
        rf_blob_add(r->blob, out.body.data, out.body.len);
        rf_split_init(&r->split, ex->n + 16);
        rf_split_feed(&r->split, r->blob->data, r->blob->len);
        rf_split_finish(&r->split, r->blob->data);
        rf_buf_fini(&out.body);
        t->event[t->n++] = (struct rf_event){.kind = RF_EV_REPLY, .ex = ex};
    }
}

static struct rf_vcall *tiny_submit(struct tiny *t, const char *params, uint8_t policy)
{
    struct rf_vcall *c = rf_vcall_new(1, ASK, params);
    assert_non_null(c);
    c->call.policy = policy;
    c->call.submitted_ns = t->now_ns;
    c->call.deadline_ns = t->now_ns + (policy == RPCFAN_QUORUM ? 3 : 20) * RF_SEC;
    t->event[t->n++] = (struct rf_event){.kind = RF_EV_SUBMIT, .call = &c->call};
    return c;
}

static void memory_case(struct bench *b, uint64_t fail_at, uint32_t at_step)
{
    static const uint8_t policy[] = {RPCFAN_BALANCE, RPCFAN_BALANCE, RPCFAN_FIRST,
                                     RPCFAN_FIRST,   RPCFAN_QUORUM,  RPCFAN_QUORUM};
    struct tiny t = {.now_ns = RF_SEC};
    struct rpcfan_error err;
    struct rf_vcall *first = NULL;
    assert_int_equal(rf_core_new(&b->o, 1, t.now_ns, NULL, &t.core, &err), RPCFAN_OK);
    for (size_t i = 0; i < RF_COUNT(policy); i++) {
        struct rf_vcall *c = tiny_submit(&t, SAME, policy[i]);
        first = i == 0 ? c : first;
    }
    tiny_step(&t, at_step == 0 ? fail_at : 0);
    for (uint32_t step = 1; step < 60 && !rf_core_idle(t.core); step++) {
        t.now_ns = rf_max_u64(t.now_ns + RF_MS,
                              rf_min_u64(rf_core_deadline(t.core), t.now_ns + 100 * RF_MS));
        if (step == 1 && t.answered == 0)
            t.event[t.n++] = (struct rf_event){.kind = RF_EV_CANCEL, .call = &first->call};
        if (step > 1)
            tiny_answer(&t, step);
        tiny_step(&t, at_step == step ? fail_at : 0);
    }
    assert_true(rf_core_idle(t.core));
    assert_int_equal(t.answered, RF_COUNT(policy));
    rf_core_free(t.core);
}

static void test_memory_fails_at_each_allocation(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 3, 1);
    b.o.pending_calls = 16;
    b.net[0].join = 1;
    b.net[0].hedge_percent = 5;
    for (uint32_t step = 0; step < 12; step++) {
        for (uint64_t at = 1; at < 80; at++)
            memory_case(&b, at, step);
    }
    struct rf_core *core = NULL;
    struct rpcfan_error err;
    for (uint64_t at = 1; core == NULL; at++) {
        assert_true(at < 10000);
        rf_alloc_fail_at(at);
        enum rpcfan_err e = rf_core_new(&b.o, 1, 0, NULL, &core, &err);
        rf_alloc_fail_at(0);
        if (e != RPCFAN_OK)
            assert_int_equal(e, RPCFAN_ENOMEM);
    }
    rf_core_free(core);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_fails_at_each_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
