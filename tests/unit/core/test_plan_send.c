/* test_plan_send.c - raw sends that a node has already: the answer is what the first acceptance
 * would have said. */
#include <stdlib.h>

#include "base/mem.h"
#include "core/txhash.h"
#include "core_case.h"

#define RAW "[\"0x02f86b01\"]"
#define KNOWN "e\"code\":-32000,\"message\":\"already known\""
#define LOW "e\"code\":-32000,\"message\":\"nonce too low: address 0x1, tx: 5 state: 6\""
#define EPS 3
#define WHERE_ASKED "where asked" /* found by a node that was sent it, and by no other */

/* What nodes say to a send and to a lookup; as in test_plan_fan.c. */
struct sends {
    struct bench b;
    const char *say[EPS], *found[EPS];
    uint32_t asked[EPS], looked[EPS];
    char want[RF_TX_SIGNATURE_LEN + 2];
    enum rpcfan_err err;
    char json[512];
    uint64_t done_ns, answers;
    uint64_t slow_ns; /* a send takes so much longer than a lookup */
    bool right;
};

static void serve(struct bench *b, struct rf_exchange *ex, uint64_t now_ns, struct rf_vreply *out)
{
    struct sends *f = b->arg;
    struct rpcfan_slice m = rf_call_method(ex->call[0]);
    bool lookup = m.len == 24 && memcmp(m.data, "eth_getTransactionByHash", m.len) == 0;
    const char *say = lookup ? f->found[ex->index] : f->say[ex->index];
    (void)now_ns;
    (lookup ? f->looked : f->asked)[ex->index]++;
    if (!lookup)
        out->delay_ns += f->slow_ns;
    if (strcmp(say, WHERE_ASKED) == 0)
        say = f->asked[ex->index] > 0 ? "{\"hash\":\"0x1\"}" : "null";
    if (lookup) {
        struct rpcfan_slice p = rf_call_params(ex->call[0]);
        assert_true(p.len == strlen(f->want) + 2 && memcmp(p.data + 1, f->want, p.len - 2) == 0);
    }
    if (say[0] == '-')
        out->delay_ns = RF_NEVER;
    else if (say[0] == '#')
        bench_reply(out, atoi(say + 1), "oops");
    else if (say[0] == 'e')
        rf_buf_printf(&out->body, "{\"id\":%llu,\"error\":{%s}}", (unsigned long long)ex->id_base,
                      say + 1);
    else
        rf_buf_printf(&out->body, "{\"id\":%llu,\"result\":%s}", (unsigned long long)ex->id_base,
                      say);
}

static void done(struct bench *b, struct rf_vcall *c, uint64_t now_ns)
{
    struct sends *f = b->arg;
    b->wrong = 0;
    f->answers++;
    f->err = c->call.err;
    f->done_ns = now_ns;
    snprintf(f->json, sizeof f->json, "%.*s", (int)c->call.json_len,
             c->call.json != NULL ? c->call.json : "");
    f->right = strcmp(f->json, f->want) == 0;
}

static void set_up(struct sends *f, uint32_t n_ep, const char *raw)
{
    char text[RF_TX_HASH_LEN];
    memset(f, 0, sizeof *f);
    bench_init(&f->b, n_ep, 1);
    f->b.arg = f;
    f->b.serve = serve;
    f->b.done = done;
    assert_true(rf_tx_hash((struct rpcfan_slice){raw, strlen(raw)}, text));
    snprintf(f->want, sizeof f->want, "\"%s\"", text);
    for (uint32_t i = 0; i < EPS; i++) {
        f->say[i] = f->want;
        f->found[i] = "null";
    }
}

static struct rf_vcall *ask(struct sends *f, const char *method, const char *params)
{
    struct rf_vcall *c = rf_vcall_new(++f->b.submitted, method, params);
    assert_non_null(c);
    rf_vshell_submit(f->b.v, c, rf_vshell_now(f->b.v) + 20 * RF_SEC);
    return c;
}

static void play(struct sends *f)
{
    bench_start(&f->b);
    ask(f, "eth_sendRawTransaction", RAW);
    bench_run(&f->b, 60 * RF_SEC);
    assert_int_equal(f->answers, 1);
    bench_fini(&f->b);
}

static void test_send_known_is_success(void **state)
{
    (void)state;
    static const char *const words[] = {KNOWN,
                                        "e\"code\":-32000,\"message\":\"ALREADY_EXISTS: "
                                        "already known\"",
                                        "e\"code\":-32010,\"message\":\"transaction already "
                                        "exists\""};
    for (size_t i = 0; i < RF_COUNT(words); i++) {
        struct sends f;
        set_up(&f, 1, RAW);
        f.say[0] = words[i];
        play(&f);
        assert_int_equal(f.err, RPCFAN_OK);
        assert_true(f.right);
        assert_int_equal(f.asked[0], 1);
    }
}

/* What is no raw send, or cannot be read, gets the node's own words. */
static void test_send_known_of_something_else(void **state)
{
    (void)state;
    static const struct {
        const char *method, *params;
    } other[] = {{"eth_sendRawTransaction", "[\"0x123\"]"},
                 {"eth_sendRawTransaction", "[{}]"},
                 {"eth_sendTransaction", RAW},
                 {"eth_call", RAW}};
    for (size_t i = 0; i < RF_COUNT(other); i++) {
        for (unsigned k = 0; k < 2; k++) {
            struct sends f;
            set_up(&f, 1, RAW);
            f.say[0] = k == 0 ? KNOWN : LOW;
            bench_start(&f.b);
            ask(&f, other[i].method, other[i].params);
            bench_run(&f.b, 5 * RF_SEC);
            assert_int_equal(f.err, RPCFAN_ERPC);
            assert_non_null(strstr(f.json, k == 0 ? "already known" : "nonce too low"));
            assert_int_equal(f.looked[0], 0);
            bench_fini(&f.b);
        }
    }
}

/* Sent, no answer; sent again: the node has it. */
static void test_send_again_after_reset(void **state)
{
    (void)state;
    struct sends f;
    set_up(&f, 2, RAW);
    f.say[0] = "#503";
    f.say[1] = KNOWN;
    play(&f);
    assert_int_equal(f.err, RPCFAN_OK);
    assert_true(f.right);
}

static void test_send_solana_known(void **state)
{
    (void)state;
    struct sends f;
    /* one signature of 64 bytes 0x01, then a byte of a message, in base64 */
    static const char params[] = "[\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ"
                                 "EBAQEBAQEBAQEBAQEBAQEBAQEB\","
                                 "{\"encoding\":\"base64\"}]";
    char text[RF_TX_SIGNATURE_LEN];
    set_up(&f, 1, RAW);
    f.b.net[0].family = RPCFAN_SOLANA;
    assert_true(rf_tx_signature((struct rpcfan_slice){params, strlen(params)}, text));
    snprintf(f.want, sizeof f.want, "\"%s\"", text);
    f.say[0] = "e\"code\":-32002,\"message\":\"Transaction simulation failed: This transaction has "
               "already been processed\",\"data\":{\"err\":\"AlreadyProcessed\"}";
    bench_start(&f.b);
    ask(&f, "sendTransaction", params);
    bench_run(&f.b, 5 * RF_SEC);
    assert_int_equal(f.err, RPCFAN_OK);
    assert_true(f.right);
    bench_fini(&f.b);
}

/* Mined meanwhile: the node that said "nonce too low" knows it, others may not be that far yet. */
static void test_send_nonce_low_and_there(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sends f;
        set_up(&f, 3, RAW);
        f.b.o.seed = seed;
        bench_start(&f.b);
        for (int i = 0; i < 30; i++) { /* so that all are as good as the others */
            ask(&f, "eth_chainId", "[]");
            bench_run(&f.b, 50 * RF_MS);
        }
        memset(f.asked, 0, sizeof f.asked);
        for (uint32_t i = 0; i < 3; i++) {
            f.say[i] = LOW;
            f.found[i] = WHERE_ASKED;
        }
        f.slow_ns = 300 * RF_MS; /* so that the others look better now */
        ask(&f, "eth_sendRawTransaction", RAW);
        bench_run(&f.b, 60 * RF_SEC);
        assert_int_equal(f.err, RPCFAN_OK);
        assert_true(f.right);
        assert_int_equal(f.looked[0] + f.looked[1] + f.looked[2], 1);
        bench_fini(&f.b);
    }
}

static void test_send_nonce_low_and_not_there(void **state)
{
    (void)state;
    static const char *const found[] = {"null", "#500", "-",
                                        "e\"code\":-32601,\"message\":\"method not found\""};
    for (size_t i = 0; i < RF_COUNT(found); i++) {
        struct sends f;
        set_up(&f, 1, RAW);
        f.say[0] = LOW;
        f.found[0] = found[i];
        play(&f);
        assert_int_equal(f.err, RPCFAN_ERPC);
        assert_non_null(strstr(f.json, "nonce too low"));
        assert_true(f.done_ns <= 3 * RF_SEC + 20 * RF_MS);
    }
}

/* In a broadcast each leg may have to look it up. */
static void test_send_broadcast_of_what_is_there(void **state)
{
    (void)state;
    struct sends f;
    set_up(&f, 3, RAW);
    f.b.net[0].policy = RPCFAN_BROADCAST;
    f.say[0] = LOW;
    f.say[1] = LOW;
    f.found[1] = "{\"hash\":\"0x1\"}";
    f.say[2] = "e\"code\":-32000,\"message\":\"insufficient funds for gas\"";
    play(&f);
    assert_int_equal(f.err, RPCFAN_OK);
    assert_true(f.right);
    assert_int_equal(f.looked[0] + f.looked[1], 2);

    set_up(&f, 3, RAW);
    f.b.net[0].policy = RPCFAN_BROADCAST;
    f.say[0] = "#500";
    f.say[1] = KNOWN;
    f.say[2] = "#500";
    play(&f);
    assert_int_equal(f.err, RPCFAN_OK);
    assert_true(f.right);
}

/* Canceled, closed or out of time while it is looked up. */
static void test_send_lookup_is_cut_short(void **state)
{
    (void)state;
    for (int how = 0; how < 5; how++) {
        struct sends f;
        set_up(&f, 1, RAW);
        f.say[0] = LOW;
        f.found[0] = "-";
        bench_start(&f.b);
        struct rf_vcall *c = ask(&f, "eth_sendRawTransaction", RAW);
        if (how == 4)
            c->call.deadline_ns = RF_SEC;
        bench_run(&f.b, 30 * RF_MS);
        assert_int_equal(f.looked[0], 1);
        if (how == 0)
            rf_vshell_cancel(f.b.v, c);
        else if (how < 4)
            rf_vshell_close(f.b.v, how == 1   ? RPCFAN_CLOSE_DRAIN
                                   : how == 2 ? RPCFAN_CLOSE_SENT
                                              : RPCFAN_CLOSE_NOW);
        bench_run(&f.b, 30 * RF_SEC);
        assert_int_equal(f.answers, 1);
        bool gone = how == 0 || how == 3;
        assert_int_equal(f.err, gone ? RPCFAN_ECANCELED : how == 4 ? f.err : RPCFAN_ERPC);
        bench_fini(&f.b);
    }
}

static void test_send_out_of_memory(void **state)
{
    (void)state;
    for (uint64_t at = 1; at < 60; at++) {
        struct sends f;
        set_up(&f, 2, RAW);
        f.b.net[0].policy = RPCFAN_BROADCAST;
        f.say[0] = LOW;
        f.found[0] = "{\"hash\":\"0x1\"}";
        f.say[1] = KNOWN;
        bench_start(&f.b);
        rf_vshell_fail_at(f.b.v, at);
        ask(&f, "eth_sendRawTransaction", RAW);
        bench_run(&f.b, 60 * RF_SEC);
        rf_vshell_fail_at(f.b.v, 0);
        assert_int_equal(f.answers, 1);
        assert_true(f.err == RPCFAN_ENOMEM || f.err == RPCFAN_ERPC || f.right);
        bench_fini(&f.b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_send_known_is_success),
        cmocka_unit_test(test_send_known_of_something_else),
        cmocka_unit_test(test_send_again_after_reset),
        cmocka_unit_test(test_send_solana_known),
        cmocka_unit_test(test_send_nonce_low_and_there),
        cmocka_unit_test(test_send_nonce_low_and_not_there),
        cmocka_unit_test(test_send_broadcast_of_what_is_there),
        cmocka_unit_test(test_send_lookup_is_cut_short),
        cmocka_unit_test(test_send_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
