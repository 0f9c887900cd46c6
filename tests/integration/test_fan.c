/* test_fan.c - calls that become several requests, through the library: policies, split ranges,
 * hedges, joins, accounts; callbacks, queues, cancel and close in the middle of them; what status
 * and learned facts say, read by jansson; and a configuration with all of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/base.h"
#include "fixture.h"
#include "sim/node_methods.h"

#define LOGS "[{\"fromBlock\":\"0x0\",\"toBlock\":\"0x3e7\"}]"

static struct rf_node_counters counters(const struct fixture *f, unsigned i)
{
    struct rf_node_counters c;
    rf_node_counters(f->node[i], &c);
    return c;
}

static void start(struct fixture *f, unsigned n, const char *const *scripts)
{
    fixture_init(f, n, scripts);
    f->network.family = RPCFAN_EVM;
}

static rpcfan_result_t *wait_for(struct fixture *f, const char *method, const char *params)
{
    struct rpcfan_request r = {.size = sizeof r, .method = method, .params = params};
    rpcfan_result_t *res = NULL;
    assert_int_equal(rpcfan_call_wait(f->client, &r, &res, NULL), RPCFAN_OK);
    return res;
}

static void assert_result(struct fixture *f, const char *method, const char *params,
                          const char *want)
{
    rpcfan_result_t *res = wait_for(f, method, params);
    if (rpcfan_result_err(res) != RPCFAN_OK)
        fail_msg("%s: %s", method, rpcfan_result_detail(res));
    struct rpcfan_slice json = rpcfan_result_json(res);
    assert_int_equal(json.len, strlen(want));
    assert_memory_equal(json.data, want, json.len);
    rpcfan_result_unref(res);
}

static void test_quorum_disagreement_is_told_as_json(void **state)
{
    (void)state;
    const char *scripts[] = {"", "chain-id 5\nfault pretty", "chain-id 7\nlatency fixed 5s"};
    struct fixture f;
    start(&f, 3, scripts);
    f.network.policy = RPCFAN_QUORUM;
    f.network.quorum = 3;
    fixture_connect(&f);
    rpcfan_result_t *res = wait_for(&f, "eth_chainId", NULL);
    assert_int_equal(rpcfan_result_err(res), RPCFAN_EQUORUM);
    assert_int_equal(rpcfan_result_json(res).len, 0);
    assert_int_equal(rpcfan_result_attempts(res), 3);
    struct rpcfan_slice e = rpcfan_result_error_json(res);
    json_t *error = json_loadb(e.data, e.len, 0, NULL), *rpcfan, *answers;
    assert_non_null(error);
    assert_int_equal(json_integer_value(json_object_get(error, "code")), -39021);
    rpcfan = json_object_get(json_object_get(error, "data"), "rpcfan");
    assert_string_equal(json_string_value(json_object_get(rpcfan, "name")), "quorum");
    answers = json_object_get(rpcfan, "answers");
    assert_int_equal(json_array_size(answers), 3);
    static const char *const said[] = {"0x1", "0x5"};
    for (size_t i = 0; i < 2; i++)
        assert_string_equal(
            json_string_value(json_object_get(json_array_get(answers, i), "result")), said[i]);
    assert_true(json_is_true(json_object_get(json_array_get(answers, 2), "waiting")));
    json_decref(error);
    rpcfan_result_unref(res);
    fixture_fini(&f);
}

static void test_policy_of_a_request_goes_over_the_network(void **state)
{
    (void)state;
    const char *scripts[] = {"chain-id 5", ""};
    struct fixture f;
    start(&f, 2, scripts);
    f.network.policy = RPCFAN_FAILOVER;
    fixture_connect(&f);
    assert_result(&f, "eth_chainId", NULL, "\"0x5\"");
    struct rpcfan_request r = {
        .size = sizeof r, .method = "eth_chainId", .policy = RPCFAN_QUORUM, .quorum = 2};
    rpcfan_result_t *res = NULL;
    assert_int_equal(rpcfan_call_wait(f.client, &r, &res, NULL), RPCFAN_OK);
    assert_int_equal(rpcfan_result_err(res), RPCFAN_EQUORUM);
    rpcfan_result_unref(res);
    fixture_fini(&f);
}

/* What callbacks of many calls count. */
struct count {
    atomic_uint done, ok, canceled, other;
};

static void count_one(const rpcfan_result_t *res, void *arg)
{
    struct count *c = arg;
    enum rpcfan_err err = rpcfan_result_err(res);
    atomic_fetch_add(err == RPCFAN_OK          ? &c->ok
                     : err == RPCFAN_ECANCELED ? &c->canceled
                                               : &c->other,
                     1);
    atomic_fetch_add(&c->done, 1);
}

#define MIXED 60
static const enum rpcfan_policy mixed_policy[] = {RPCFAN_FIRST, RPCFAN_QUORUM, RPCFAN_BALANCE,
                                                  RPCFAN_BROADCAST};

/* Calls of each policy, some of them split, some of them writes. @return how many. */
static unsigned start_mixed(struct fixture *f, struct count *c, rpcfan_call_id *id)
{
    unsigned n = 0;
    for (unsigned i = 0; i < MIXED; i++) {
        char params[80];
        bool send = i % 4 == 3, logs = i % 4 == 2;
        snprintf(params, sizeof params, send ? "[\"0x02%06x\"]" : "[\"0x%x\",\"latest\"]", i);
        struct rpcfan_request r = {.size = sizeof r,
                                   .method = send   ? "eth_sendRawTransaction"
                                             : logs ? "eth_getLogs"
                                                    : "eth_getBalance",
                                   .params = logs ? LOGS : params,
                                   .policy = mixed_policy[i % 4],
                                   .split = logs ? RPCFAN_SPLIT_RANGE : RPCFAN_SPLIT_DEFAULT,
                                   .cb = count_one,
                                   .arg = c};
        struct rpcfan_error err;
        if (rpcfan_call(f->client, &r, &id[n], &err) != RPCFAN_OK)
            fail_msg("%s", err.text);
        n++;
    }
    return n;
}

static void start_slow(struct fixture *f)
{
    static const char *const scripts[] = {"latency uniform 1ms 20ms\nrange-max 50",
                                          "latency uniform 1ms 20ms\nrange-max 80"};
    start(f, 2, scripts);
    f->network.join = 1;
    f->network.hedge_percent = 20;
    f->endpoint[0].in_flight = f->endpoint[1].in_flight = 4;
    fixture_connect(f);
}

static void test_close_answers_every_call_once_whatever_it_became(void **state)
{
    (void)state;
    static const enum rpcfan_close_mode modes[] = {RPCFAN_CLOSE_DRAIN, RPCFAN_CLOSE_SENT,
                                                   RPCFAN_CLOSE_NOW};
    for (unsigned m = 0; m < RF_COUNT(modes); m++) {
        struct fixture f;
        struct count c = {0};
        rpcfan_call_id id[MIXED];
        start_slow(&f);
        unsigned n = start_mixed(&f, &c, id);
        rpcfan_result_unref(wait_for(&f, "eth_gasPrice", NULL)); /* some are on the wire by now */
        rpcfan_client_close(f.client, modes[m], NULL, NULL);
        rpcfan_client_free(f.client);
        f.client = NULL;
        print_message("mode %u: %u ok, %u canceled, %u otherwise\n", m, c.ok, c.canceled, c.other);
        assert_int_equal(c.done, n);
        assert_int_equal(c.other, 0); /* a close is no disagreement and no failure */
        if (modes[m] == RPCFAN_CLOSE_DRAIN)
            assert_int_equal(c.ok, n);
        fixture_fini(&f);
    }
}

static void test_cancel_in_the_middle_answers_once(void **state)
{
    (void)state;
    struct fixture f;
    struct count c = {0};
    rpcfan_call_id id[MIXED];
    start_slow(&f);
    unsigned n = start_mixed(&f, &c, id);
    rpcfan_result_unref(wait_for(&f, "eth_gasPrice", NULL));
    for (unsigned i = 0; i < n; i += 2) {
        rpcfan_cancel(f.client, id[i]);
        rpcfan_cancel(f.client, id[i]); /* twice is once */
    }
    rpcfan_client_close(f.client, RPCFAN_CLOSE_DRAIN, NULL, NULL);
    rpcfan_client_free(f.client);
    f.client = NULL;
    print_message("%u ok, %u canceled, %u otherwise\n", c.ok, c.canceled, c.other);
    assert_int_equal(c.done, n);
    assert_int_equal(c.other, 0);
    assert_true(c.canceled <= n / 2 && c.ok >= n / 2);
    fixture_fini(&f);
}

/* Joined calls: canceling one of them leaves the others their answer. */
static void test_join_survives_the_cancel_of_the_first(void **state)
{
    (void)state;
    const char *scripts[] = {"latency fixed 50ms"};
    struct fixture f;
    struct count c = {0};
    rpcfan_call_id id[5];
    start(&f, 1, scripts);
    f.network.join = 1;
    fixture_connect(&f);
    struct rpcfan_request r = {.size = sizeof r,
                               .method = "eth_getBalance",
                               .params = "[\"0x1\",\"latest\"]",
                               .cb = count_one,
                               .arg = &c};
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(rpcfan_call(f.client, &r, &id[i], NULL), RPCFAN_OK);
    rpcfan_cancel(f.client, id[0]);
    rpcfan_client_close(f.client, RPCFAN_CLOSE_DRAIN, NULL, NULL);
    rpcfan_client_free(f.client);
    f.client = NULL;
    assert_int_equal(c.done, 5);
    assert_int_equal(c.ok, 4);
    assert_int_equal(c.canceled, 1);
    assert_true(counters(&f, 0).answered <= 2);
    fixture_fini(&f);
}

/* Split calls through a completion queue: each answer is the whole one. */
static void test_split_through_a_queue_is_whole(void **state)
{
    (void)state;
    const char *scripts[] = {"range-max 30", ""};
    struct fixture f;
    start(&f, 2, scripts);
    f.network.policy = RPCFAN_FAILOVER;
    fixture_connect(&f);
    struct rf_buf want = {0};
    struct rf_node_chain chain = {.family = RF_NODE_EVM, .chain_id = 1, .head = 1000000};
    struct rpcfan_slice method = {"eth_getLogs", 11}, params = {LOGS, sizeof LOGS - 1};
    assert_int_equal(rf_node_answer(&chain, method, params, &want), RF_NODE_RESULT);
    rpcfan_cq_t *cq;
    assert_int_equal(rpcfan_cq_new(f.client, &cq), RPCFAN_OK);
    for (unsigned i = 0; i < 40; i++) {
        struct rpcfan_request r = {.size = sizeof r,
                                   .method = "eth_getLogs",
                                   .params = LOGS,
                                   .split = RPCFAN_SPLIT_RANGE,
                                   .cq = cq};
        assert_int_equal(rpcfan_call(f.client, &r, NULL, NULL), RPCFAN_OK);
    }
    for (unsigned got = 0; got < 40;) {
        struct pollfd p = {.fd = rpcfan_cq_fd(cq), .events = POLLIN};
        rpcfan_result_t *res;
        if (poll(&p, 1, 20000) <= 0)
            fail_msg("%u of 40 answers", got);
        while (rpcfan_cq_poll(cq, &res, 1) == 1) {
            struct rpcfan_slice json = rpcfan_result_json(res);
            assert_int_equal(rpcfan_result_err(res), RPCFAN_OK);
            assert_int_equal(json.len, want.len);
            assert_memory_equal(json.data, want.data, want.len);
            rpcfan_result_unref(res);
            got++;
        }
    }
    rpcfan_cq_free(cq);
    rf_buf_fini(&want);
    fixture_fini(&f);
}

/* Two networks, one account: what one is refused holds the other back too. */
static void test_account_pause_holds_both_networks(void **state)
{
    (void)state;
    const char *scripts[] = {"rate 3/10s retry-after=7"};
    struct fixture f;
    start(&f, 1, scripts);
    struct rpcfan_account_options account;
    rpcfan_account_options_init(&account);
    struct rpcfan_limit wide = {.count = 1000, .window_ms = 1000};
    account.name = "key";
    account.limits = &wide;
    account.n_limits = 1;
    f.options.accounts = &account;
    f.options.n_accounts = 1;
    f.endpoint[0].account = "key";
    struct rpcfan_network_options two[2] = {f.network, f.network};
    two[0].name = "a";
    two[1].name = "b";
    f.options.networks = two;
    f.options.n_networks = 2;
    fixture_connect(&f);
    struct rpcfan_request r = {
        .size = sizeof r, .network = "a", .method = "eth_chainId", .timeout_ms = 300};
    rpcfan_result_t *res;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(rpcfan_call_wait(f.client, &r, &res, NULL), RPCFAN_OK);
        assert_int_equal(rpcfan_result_err(res), RPCFAN_OK);
        rpcfan_result_unref(res);
    }
    assert_int_equal(rpcfan_call_wait(f.client, &r, &res, NULL), RPCFAN_OK); /* the refused one */
    assert_int_not_equal(rpcfan_result_err(res), RPCFAN_OK);
    rpcfan_result_unref(res);
    assert_int_equal(counters(&f, 0).refused_members, 1);
    r.network = "b";
    assert_int_equal(rpcfan_call_wait(f.client, &r, &res, NULL), RPCFAN_OK);
    assert_int_not_equal(rpcfan_result_err(res), RPCFAN_OK);
    rpcfan_result_unref(res);
    assert_int_equal(counters(&f, 0).members, 4); /* b asked nobody */
    for (unsigned i = 0; i < 2; i++) {
        char path[64];
        snprintf(path, sizeof path, "networks.%u.endpoints.0.why", i);
        char *why = fixture_status_text(&f, path);
        if (strstr(why, "account throttled") == NULL)
            fail_msg("%s", why);
        free(why);
    }
    fixture_fini(&f);
}

/* Status and learned facts stay JSON, and learned facts can be told to another client. */
static void test_status_and_learned_are_json(void **state)
{
    (void)state;
    const char *scripts[] = {"family solana", "range-max 30\nbatch-max 3 shape=geth"};
    struct fixture f;
    start(&f, 2, scripts);
    f.endpoint[0].name = "quote\"d";
    f.network.policy = RPCFAN_FAILOVER;
    f.network.split = RPCFAN_SPLIT_RANGE;
    f.network.hedge_percent = 5;
    f.network.join = 1;
    if (rpcfan_client_new(&f.options, &f.client, NULL) != RPCFAN_OK) {
        f.endpoint[0].name = "poor"; /* such names are refused */
        fixture_connect(&f);
    }
    struct tally t;
    fixture_echo(&f, 300, 0, &t);
    rpcfan_result_unref(wait_for(&f, "eth_getLogs", LOGS));
    rpcfan_result_unref(wait_for(&f, "eth_chainId", NULL));
    char *status = NULL, *learned = NULL, *again = NULL;
    assert_int_equal(rpcfan_status(f.client, &status), RPCFAN_OK);
    assert_int_equal(rpcfan_learned(f.client, &learned), RPCFAN_OK);
    json_t *a = json_loads(status, JSON_REJECT_DUPLICATES, NULL);
    json_t *b = json_loads(learned, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(strstr(learned, "\"eth_getLogs\":30"));
    assert_non_null(strstr(learned, "\"eth_chainId\":"));
    assert_null(strstr(status, "127.0.0.1"));
    json_decref(a);
    json_decref(b);
    rpcfan_client_t *other;
    struct rpcfan_error err;
    assert_int_equal(rpcfan_client_new(&f.options, &other, &err), RPCFAN_OK);
    assert_int_equal(rpcfan_learn(other, learned, 1000, &err), RPCFAN_OK);
    assert_int_equal(rpcfan_learned(other, &again), RPCFAN_OK);
    assert_non_null(strstr(again, "\"eth_getLogs\":30"));
    assert_int_equal(rpcfan_learn(other, "{\"networks\":5}", 0, &err), RPCFAN_EINVAL);
    assert_int_equal(rpcfan_learn(other, "[", 0, &err), RPCFAN_EINVAL);
    rpcfan_client_free(other);
    rpcfan_free(status);
    rpcfan_free(learned);
    rpcfan_free(again);
    fixture_fini(&f);
}

static void write_file(const char *dir, const char *name, const char *fmt, ...)
{
    char path[200];
    va_list ap;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    va_start(ap, fmt);
    vfprintf(file, fmt, ap);
    va_end(ap);
    fclose(file);
}

/* Everything new in one file, through rpcfan_client_from_file(). */
static void test_client_from_file_takes_all_keys(void **state)
{
    (void)state;
    const char *scripts[] = {"range-max 100 message='computer says no' code=-32099\n"
                             "rate 1000/1s",
                             "chain-id 5"};
    struct fixture f;
    char dir[] = "/tmp/rpcfan-fan-XXXXXX", path[200];
    start(&f, 2, scripts);
    assert_non_null(mkdtemp(dir));
    write_file(dir, "my.rules", "ours split-range \"computer says no\"\n");
    write_file(dir, "c.yaml",
               "rules: my.rules\n"
               "accounts: [{name: key, limits: [500/1s]}]\n"
               "networks:\n"
               "  - name: s\n    family: evm\n    split: range\n    join: true\n    hedge: 5%%\n"
               "    endpoints: [{url: '%s', account: key, limits: [200/1s/each]}]\n"
               "  - name: q\n    family: evm\n    policy: quorum\n    quorum: 2\n"
               "    endpoints: [{url: '%s', account: key}, {url: '%s', start: 50, learn: false}]\n",
               f.endpoint[0].url, f.endpoint[0].url, f.endpoint[1].url);
    snprintf(path, sizeof path, "%s/c.yaml", dir);
    struct rpcfan_error err = {0};
    if (rpcfan_client_from_file(path, NULL, &f.client, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
    rpcfan_result_t *res = wait_for(&f, "eth_getLogs", LOGS);
    assert_int_equal(rpcfan_result_err(res), RPCFAN_OK);
    assert_true(rpcfan_result_attempts(res) > 2);
    rpcfan_result_unref(res);
    struct rpcfan_request r = {.size = sizeof r, .network = "q", .method = "eth_chainId"};
    assert_int_equal(rpcfan_call_wait(f.client, &r, &res, NULL), RPCFAN_OK);
    assert_int_equal(rpcfan_result_err(res), RPCFAN_EQUORUM);
    rpcfan_result_unref(res);
    assert_int_equal((int)fixture_status(&f, "accounts.0.limits.0.count"), 500);
    unlink(path);
    snprintf(path, sizeof path, "%s/my.rules", dir);
    unlink(path);
    rmdir(dir);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quorum_disagreement_is_told_as_json),
        cmocka_unit_test(test_policy_of_a_request_goes_over_the_network),
        cmocka_unit_test(test_close_answers_every_call_once_whatever_it_became),
        cmocka_unit_test(test_cancel_in_the_middle_answers_once),
        cmocka_unit_test(test_join_survives_the_cancel_of_the_first),
        cmocka_unit_test(test_split_through_a_queue_is_whole),
        cmocka_unit_test(test_account_pause_holds_both_networks),
        cmocka_unit_test(test_status_and_learned_are_json),
        cmocka_unit_test(test_client_from_file_takes_all_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
