/* test_plan_props.c - whatever policies, splits, faults, cancels and closes come together: each
 * call is answered exactly once, in time and right, and nothing is left over; the same seed gives
 * the same run. 10^5 calls and more. */
#include <stdlib.h>

#include "base/mem.h"
#include "chain_case.h"
#include "core/txhash.h"
#include "rounds.h"

#define EPS 5
#define RUNS ROUNDS(1400)
#define CALLS 80

/* What a node does to how many of 1000 exchanges, and what it thinks of ranges. */
struct node {
    struct chain_node chain;
    unsigned refuse, hang, reset, error, html, cut, throttle, lie, missing, absent, known, low;
};

struct props {
    struct bench b;
    uint64_t seed;
    struct node node[EPS];
    uint32_t n_ep;
    struct rf_vcall *live[CALLS + 1]; /* by number */
    uint64_t hash, lies, late, odd;
    bool closed;
};

/* What all runs together came to: a property that nothing ever puts to the test holds as well. */
static struct {
    uint64_t by_err[RPCFAN_ERR_COUNT], legs;
} total;

static bool chance(struct props *x, unsigned permille)
{
    return rf_rng_below(&x->b.rng, 1000) < permille;
}

static void mix(struct props *x, uint64_t v)
{
    x->hash = (x->hash ^ v) * UINT64_C(1099511628211);
}

static bool is(const struct rf_call *c, const char *method)
{
    struct rpcfan_slice m = rf_call_method(c);
    return m.len == strlen(method) && memcmp(m.data, method, m.len) == 0;
}

static bool transport_fault(struct props *x, const struct node *n, struct rf_vreply *out)
{
    if (chance(x, n->refuse)) {
        out->transport = RF_T_CONNECT;
        out->reason = "connection refused";
    } else if (chance(x, n->reset)) {
        out->transport = RF_T_RESET;
        out->reason = "connection reset";
    } else if (chance(x, n->hang)) {
        out->delay_ns = RF_NEVER;
    } else if (chance(x, n->error)) {
        bench_reply(out, 503, "upstream connect error");
    } else if (chance(x, n->throttle)) {
        bench_reply(out, 429, "slow down");
        out->retry_after_ns = chance(x, 500) ? RF_SEC : RF_NEVER;
    } else if (chance(x, n->html)) {
        bench_reply(out, 200, "<html>hello</html>");
    } else {
        return false;
    }
    return true;
}

static void add_hash(const struct rf_call *c, struct rf_buf *b)
{
    char text[RF_TX_HASH_LEN];
    assert_true(rf_tx_hash(rf_call_params(c), text));
    rf_buf_printf(b, "\"%s\"", text);
}

static void error(struct rf_buf *b, uint64_t id, const char *inside)
{
    rf_buf_printf(b, "{\"id\":%llu,\"error\":{%s}}", (unsigned long long)id, inside);
}

static void send_member(struct props *x, const struct node *n, const struct rf_call *c, uint64_t id,
                        struct rf_buf *b)
{
    if (chance(x, n->known)) {
        error(b, id, "\"code\":-32000,\"message\":\"already known\"");
    } else if (chance(x, n->low)) {
        error(b, id, "\"code\":-32000,\"message\":\"nonce too low\"");
    } else {
        rf_buf_printf(b, "{\"id\":%llu,\"result\":", (unsigned long long)id);
        add_hash(c, b);
        rf_buf_char(b, '}');
    }
}

static void member(struct props *x, uint32_t ep, const struct rf_call *c, uint64_t id,
                   struct rf_buf *b)
{
    struct node *n = &x->node[ep];
    if (c == NULL) {
        rf_buf_str(b, "null");
    } else if (is(c, "eth_getLogs") || is(c, "eth_blockNumber")) {
        chain_member(&n->chain, c, id, b);
    } else if (is(c, "eth_getTransactionByHash")) {
        rf_buf_printf(b, "{\"id\":%llu,\"result\":%s}", (unsigned long long)id,
                      chance(x, 500) ? "{\"hash\":\"0x1\"}" : "null");
    } else if (c->send) {
        send_member(x, n, c, id, b);
    } else if (chance(x, n->absent)) {
        error(b, id, "\"code\":-32601,\"message\":\"the method does not exist\"");
    } else if (chance(x, n->missing)) {
        error(b, id, "\"code\":-32000,\"message\":\"header not found\"");
    } else {
        rf_buf_printf(b, "{\"id\":%llu,\"result\":", (unsigned long long)id);
        if (chance(x, n->lie))
            rf_buf_printf(b, "[%u,%llu]", ep, (unsigned long long)++x->lies);
        else
            rf_vnode_answer(c, b);
        rf_buf_char(b, '}');
    }
}

static void serve(struct bench *b, struct rf_exchange *ex, uint64_t now_ns, struct rf_vreply *out)
{
    struct props *x = b->arg;
    struct node *n = &x->node[ex->index];
    mix(x, now_ns);
    mix(x, ex->n * 31 + ex->index);
    out->delay_ns = b->node[ex->index].latency_ns + rf_rng_below(&b->rng, 30 * RF_MS);
    if (transport_fault(x, n, out))
        return;
    if (ex->n > 1)
        rf_buf_char(&out->body, '[');
    for (uint32_t i = 0; i < ex->n; i++) {
        if (i > 0)
            rf_buf_char(&out->body, ',');
        member(x, ex->index, ex->call[i], ex->id_base + i, &out->body);
    }
    if (ex->n > 1)
        rf_buf_char(&out->body, ']');
    if (chance(x, n->cut))
        out->body.len -= out->body.len / 3 + 1;
}

static void done(struct bench *b, struct rf_vcall *c, uint64_t now_ns)
{
    struct props *x = b->arg;
    const struct rf_call *call = &c->call;
    struct rf_buf want = {0};
    b->wrong = 0;
    mix(x, c->number * 64 + call->err);
    mix(x, now_ns);
    x->live[c->number] = NULL;
    total.by_err[call->err]++;
    x->late += now_ns > call->deadline_ns;
    if (call->err != RPCFAN_OK)
        return;
    if (is(call, "eth_getLogs"))
        chain_answer(rf_call_method(call), rf_call_params(call), &want);
    else if (is(call, "eth_sendRawTransaction"))
        add_hash(call, &want);
    else
        rf_vnode_answer(call, &want);
    bool right = want.len == call->json_len && memcmp(want.data, call->json, want.len) == 0;
    bool lie = call->json_len > 0 && call->json[0] == '[' && !is(call, "eth_getLogs") &&
               (call->policy != RPCFAN_QUORUM || call->quorum <= 1);
    x->odd += !right && !lie;
    rf_buf_fini(&want);
}

static struct rf_vcall *make_call(struct props *x)
{
    struct rf_rng *r = &x->b.rng;
    char params[256];
    uint64_t n = ++x->b.submitted, from = rf_rng_below(r, 3000), len = rf_rng_below(r, 500);
    const char *method = "eth_call";
    switch (rf_rng_below(r, 6)) {
    case 0:
        method = "eth_sendRawTransaction";
        snprintf(params, sizeof params, "[\"0x02f86b%08llx\"]", (unsigned long long)n);
        break;
    case 1:
    case 2:
        method = "eth_getLogs";
        snprintf(params, sizeof params, "[{\"fromBlock\":\"0x%llx\",\"toBlock\":\"0x%llx\"%s}]",
                 (unsigned long long)from, (unsigned long long)(from + len),
                 chance(x, 500) ? ",\"address\":[\"0xA0001\",\"0xA0002\",\"0xA0004\",\"0xA0006\"]"
                                : "");
        if (chance(x, 200))
            snprintf(params, sizeof params, "[{\"fromBlock\":\"0x%llx\"}]",
                     (unsigned long long)(CHAIN_HEAD - len));
        break;
    default:
        snprintf(params, sizeof params, "[%llu,\"latest\"]",
                 (unsigned long long)(chance(x, 300) ? 1 : n)); /* some are equal, and join */
        break;
    }
    struct rf_vcall *c = rf_vcall_new(n, method, params);
    assert_non_null(c);
    c->call.policy = (uint8_t)rf_rng_below(r, RPCFAN_BROADCAST + 1);
    c->call.quorum = (uint32_t)rf_rng_below(r, EPS + 2);
    c->call.split = (uint8_t)(chance(x, 800) ? RPCFAN_SPLIT_RANGE : RPCFAN_SPLIT_NONE);
    return c;
}

static void draw_node(struct props *x, uint32_t i)
{
    struct node *n = &x->node[i];
    unsigned *fault[] = {&n->refuse,   &n->hang, &n->reset,   &n->error,  &n->html,  &n->cut,
                         &n->throttle, &n->lie,  &n->missing, &n->absent, &n->known, &n->low};
    for (size_t k = 0; k < RF_COUNT(fault); k++)
        *fault[k] =
            chance(x, 400) ? (unsigned)rf_rng_below(&x->b.rng, chance(x, 100) ? 1000 : 150) : 0;
    static const char *const told[] = {NULL, "\"code\":-32602,\"message\":\"exceed maximum block "
                                             "range: %llu\""};
    n->chain.blocks = chance(x, 400) ? 5 + rf_rng_below(&x->b.rng, 200) : 0;
    n->chain.too_long = told[rf_rng_below(&x->b.rng, 2)];
    n->chain.results = chance(x, 300) ? 1 + rf_rng_below(&x->b.rng, 60) : 0;
    n->chain.suggests = chance(x, 500);
    n->chain.addresses = chance(x, 200) ? 1 + (uint32_t)rf_rng_below(&x->b.rng, 3) : 0;
    x->b.node[i].latency_ns = rf_rng_below(&x->b.rng, 60 * RF_MS);
    x->b.ep[i].batch = chance(x, 500) ? 1 : 10;
    x->b.ep[i].in_flight = 1 + (uint32_t)rf_rng_below(&x->b.rng, 8);
    x->b.ep[i].timeout_ms = 200 + rf_rng_below(&x->b.rng, 2000);
    x->b.ep[i].priority = (uint32_t)rf_rng_below(&x->b.rng, 2);
}

static void set_up(struct props *x, uint64_t seed)
{
    memset(x, 0, sizeof *x);
    bench_init(&x->b, 1, seed);
    x->seed = seed;
    x->hash = UINT64_C(1469598103934665603);
    x->n_ep = 1 + (uint32_t)rf_rng_below(&x->b.rng, EPS);
    x->b.net[0].n_endpoints = x->n_ep;
    x->b.net[0].join = chance(x, 500);
    x->b.net[0].hedge_percent = chance(x, 300) ? 10 : 0;
    x->b.net[0].attempts = 1 + (uint32_t)rf_rng_below(&x->b.rng, 3);
    x->b.o.pending_calls = 1 + (uint32_t)rf_rng_below(&x->b.rng, CALLS);
    for (uint32_t i = 0; i < x->n_ep; i++)
        draw_node(x, i);
    x->b.arg = x;
    x->b.serve = serve;
    x->b.done = done;
    bench_start(&x->b);
}

static void cancel_one(struct props *x)
{
    uint64_t k = 1 + rf_rng_below(&x->b.rng, x->b.submitted);
    if (x->live[k] != NULL)
        rf_vshell_cancel(x->b.v, x->live[k]);
}

static void drive(struct props *x)
{
    bool closes = chance(x, 400);
    while (x->b.submitted < CALLS) {
        for (uint64_t n = 1 + rf_rng_below(&x->b.rng, 6); n > 0 && x->b.submitted < CALLS; n--) {
            struct rf_vcall *c = make_call(x);
            uint64_t life = chance(x, 300) ? 400 * RF_MS : 8 * RF_SEC;
            x->live[c->number] = c;
            rf_vshell_submit(x->b.v, c, rf_vshell_now(x->b.v) + 1 + rf_rng_below(&x->b.rng, life));
        }
        if (chance(x, 300))
            cancel_one(x);
        bench_run(&x->b, rf_rng_below(&x->b.rng, 100 * RF_MS));
        if (chance(x, 300))
            cancel_one(x);
        if (closes && chance(x, 60))
            rf_vshell_close(x->b.v, (enum rpcfan_close_mode)rf_rng_below(&x->b.rng, 3));
    }
}

/* One run. @return its hash. @param fail_at  allocation of the core that fails; 0: none. */
static uint64_t play(uint64_t seed, uint64_t fail_at)
{
    struct props x;
    set_up(&x, seed);
    rf_vshell_fail_at(x.b.v, fail_at);
    drive(&x);
    bench_run(&x.b, 60 * RF_SEC);
    rf_vshell_fail_at(x.b.v, 0);
    const struct rf_core *core = rf_vshell_core(x.b.v);
    if (x.b.answered != x.b.submitted || x.late > 0 || x.odd > 0 || core->n_legs > 0 ||
        !rf_core_idle(core))
        fail_msg("seed %llu fail_at %llu: %llu of %llu answered, %llu late, %llu wrong, %u legs "
                 "left",
                 (unsigned long long)seed, (unsigned long long)fail_at,
                 (unsigned long long)x.b.answered, (unsigned long long)x.b.submitted,
                 (unsigned long long)x.late, (unsigned long long)x.odd, core->n_legs);
    total.legs += core->net[0].legs;
    bench_fini(&x.b);
    return x.hash;
}

static void test_props_each_call_once(void **state)
{
    (void)state;
    const char *runs = getenv("RF_PROPS_RUNS"), *first = getenv("RF_PROPS_SEED");
    uint64_t n = runs != NULL ? strtoull(runs, NULL, 10) : RUNS;
    uint64_t from = first != NULL ? strtoull(first, NULL, 10) : 1;
    for (uint64_t seed = from; seed < from + n; seed++)
        play(seed, 0);
    static const enum rpcfan_err all[] = {RPCFAN_ERPC,      RPCFAN_EQUORUM,    RPCFAN_ECANCELED,
                                          RPCFAN_EDEADLINE, RPCFAN_ECLOSED,    RPCFAN_ETIMEOUT,
                                          RPCFAN_ESERVER,   RPCFAN_EMALFORMED, RPCFAN_ECONNECT};
    for (size_t i = 0; i < RF_COUNT(all); i++)
        assert_true(total.by_err[all[i]] >= n / 20);
    assert_true(total.by_err[RPCFAN_OK] >= n * CALLS / 3);
    assert_true(total.legs >= n * CALLS);
}

static void test_props_replay(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        assert_true(play(seed, 0) == play(seed, 0));
    assert_true(play(1, 0) != play(2, 0));
}

/* An allocation fails: each of the first of one run, and others in as many other runs. */
static void test_props_out_of_memory(void **state)
{
    (void)state;
    for (uint64_t at = 1; at <= 250; at++)
        play(3000, at);
    for (uint64_t seed = 1; seed <= 600; seed++)
        play(seed * 1000, 1 + seed * 37 % 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_props_each_call_once),
        cmocka_unit_test(test_props_replay),
        cmocka_unit_test(test_props_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
