/* test_gather.c - through the library and over sockets: a hundred getAccountInfo are one request,
 * and each has the answer that the node would have given it alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>

#include "base/base58.h"
#include "fixture.h"
#include "sim/node_methods.h"

#define CALLS 100
#define LINGER_MS 500 /* so that all of them are there, however slow the machine is */

struct asked {
    char params[CALLS][128];
    unsigned ok, refused;
};

static void write_params(char *out, size_t size, unsigned i, const char *encoding)
{
    uint8_t bytes[32] = {7, 7};
    char key[RF_BASE58_LEN(sizeof bytes) + 1];
    bytes[20] = (uint8_t)i;
    key[rf_base58_encode(bytes, sizeof bytes, key)] = '\0';
    snprintf(out, size, "[\"%s\",{\"encoding\":\"%s\"}]", key, encoding);
}

static bool exists(const char *params)
{
    struct rf_buf b = {0};
    struct rf_node_chain chain = {.family = RF_NODE_SOLANA, .chain_id = 1, .head = 1000000};
    struct rpcfan_slice method = {"getAccountInfo", 14}, p = {params, strlen(params)};
    (void)rf_node_answer(&chain, method, p, &b);
    rf_buf_char(&b, '\0');
    bool is = strstr(b.data, "\"value\":null") == NULL;
    rf_buf_fini(&b);
    return is;
}

/* What the node says to one alone, byte for byte. */
static void check(const rpcfan_result_t *res, struct asked *a)
{
    const char *params = a->params[(uintptr_t)rpcfan_result_arg(res)];
    struct rf_buf want = {0};
    struct rf_node_chain chain = {.family = RF_NODE_SOLANA, .chain_id = 1, .head = 1000000};
    struct rpcfan_slice method = {"getAccountInfo", 14}, p = {params, strlen(params)};
    bool good = rf_node_answer(&chain, method, p, &want) == RF_NODE_RESULT;
    struct rpcfan_slice got = good ? rpcfan_result_json(res) : rpcfan_result_error_json(res);
    assert_int_equal(rpcfan_result_err(res), good ? RPCFAN_OK : RPCFAN_ERPC);
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.data, want.data, want.len);
    a->ok += good;
    a->refused += !good;
    rf_buf_fini(&want);
}

static void ask_all(struct fixture *f, struct asked *a)
{
    rpcfan_cq_t *cq;
    assert_int_equal(rpcfan_cq_new(f->client, &cq), RPCFAN_OK);
    for (uintptr_t i = 0; i < CALLS; i++) {
        struct rpcfan_request r = {.size = sizeof r,
                                   .method = "getAccountInfo",
                                   .params = a->params[i],
                                   .cq = cq,
                                   .arg = (void *)i};
        assert_int_equal(rpcfan_call(f->client, &r, NULL, NULL), RPCFAN_OK);
    }
    for (unsigned got = 0; got < CALLS;) {
        struct pollfd p = {.fd = rpcfan_cq_fd(cq), .events = POLLIN};
        rpcfan_result_t *res;
        if (poll(&p, 1, 20000) <= 0)
            fail_msg("%u of %d answers", got, CALLS);
        for (; rpcfan_cq_poll(cq, &res, 1) == 1; got++) {
            check(res, a);
            rpcfan_result_unref(res);
        }
    }
    rpcfan_cq_free(cq);
}

static void start(struct fixture *f, const char *script)
{
    fixture_init(f, 1, &script);
    f->network.family = RPCFAN_SOLANA;
    f->network.gather = 1;
    f->network.linger_ms = LINGER_MS;
    f->endpoint[0].batch = 30;
    fixture_connect(f);
}

static void set_params(struct asked *a, const char *encoding)
{
    *a = (struct asked){.ok = 0};
    for (unsigned i = 0; i < CALLS; i++)
        write_params(a->params[i], sizeof a->params[i], i, encoding);
}

static struct rf_node_counters counters(struct fixture *f)
{
    struct rf_node_counters c;
    rf_node_counters(f->node[0], &c);
    return c;
}

static void test_gather_a_hundred_are_one_request(void **state)
{
    (void)state;
    struct fixture f;
    struct asked a;
    start(&f, "");
    set_params(&a, "base64");
    ask_all(&f, &a);
    assert_int_equal(a.ok, CALLS);
    assert_int_equal(counters(&f).requests, 1);
    assert_int_equal(counters(&f).members, 1);
    assert_int_equal(fixture_status(&f, "networks.0.gathered"), CALLS);
    assert_int_equal(fixture_status(&f, "networks.0.answered"), CALLS);
    assert_int_equal(fixture_status(&f, "networks.0.endpoints.0.calls"), 1);
    fixture_fini(&f);
}

static void test_gather_of_a_node_that_takes_five(void **state)
{
    (void)state;
    struct fixture f;
    struct asked a;
    start(&f, "inputs-max 5");
    set_params(&a, "base64");
    ask_all(&f, &a);
    assert_int_equal(counters(&f).members, 1 + CALLS / 5);
    ask_all(&f, &a);
    assert_int_equal(a.ok, 2 * CALLS);
    assert_int_equal(counters(&f).members, 1 + 2 * CALLS / 5);
    assert_int_equal(fixture_status(&f, "networks.0.endpoints.0.learned.inputs"), 5);
    fixture_fini(&f);
}

/* An account that is there is too large for base58, and the whole request is refused for it: all
 * but one are asked for that are not there. */
static void test_gather_with_one_that_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct asked a;
    start(&f, "");
    set_params(&a, "base58");
    unsigned absent = 0, there = 0;
    while (exists(a.params[absent]))
        absent++;
    while (!exists(a.params[there]))
        there++;
    char missing[128], large[128];
    memcpy(missing, a.params[absent], sizeof missing);
    memcpy(large, a.params[there], sizeof large);
    for (unsigned i = 0; i < CALLS; i++)
        memcpy(a.params[i], i == 37 ? large : missing, sizeof missing);
    ask_all(&f, &a);
    assert_int_equal(a.ok, CALLS - 1);
    assert_int_equal(a.refused, 1);
    assert_in_range(counters(&f).members, 10, 20);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gather_a_hundred_are_one_request),
        cmocka_unit_test(test_gather_of_a_node_that_takes_five),
        cmocka_unit_test(test_gather_with_one_that_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
