/* check_probe.c - asks one endpoint what it can do, through clients of its own.
 *
 * Happy path: what it is, where no family is configured; identity (one call), head (five calls, one
 * after the other), then some calls at once with one request in flight: what cannot go at once
 * waits and leaves as a batch. The status tells what was learned. A limit's pacer would let them go
 * one by one, and no batch would form; so they go without it, but no more of them than a quarter of
 * the smallest window: sent, refused and sent again they are still within it.
 *
 * Failure modes: the first question that fails ends it, and its reason is the endpoint's. */
#include "cli/check_probe.h"

#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a family is asked. */
static const struct {
    const char *identity, *head;
    bool any_answer; /* an error from the node shows that it is there */
} questions[] = {[RPCFAN_GENERIC] = {"rpc_modules", "rpc_modules", true},
                 [RPCFAN_EVM] = {"eth_chainId", "eth_blockNumber", false},
                 [RPCFAN_SOLANA] = {"getGenesisHash", "getSlot", false}};

/* One probe under way. */
struct probing {
    rpcfan_client_t *client;
    enum rpcfan_family family;
    uint64_t deadline_ms;
    struct rf_probe *out;
};

/* A quantity of up to 64 bits, in one spelling: nodes write 0x1 and 0x01. */
static void spell_quantity(bool hex, char *text, size_t size)
{
    char *end;
    size_t n = strlen(text);
    if (strncmp(text, "0x", 2) != 0 || n < 3 || n > 18)
        return;
    uint64_t v = strtoull(text + 2, &end, 16);
    if (*end == '\0')
        snprintf(text, size, hex ? "0x%" PRIx64 : "%" PRIu64, v);
}

bool rf_probe_text(struct rpcfan_slice json, bool hex, char *out, size_t size)
{
    struct rpcfan_slice text = json;
    out[0] = '\0';
    bool quoted = json.len >= 2 && json.data[0] == '"';
    if (quoted)
        text = (struct rpcfan_slice){json.data + 1, json.len - 2};
    if (text.len == 0 || text.len >= size)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!(c >= '0' && c <= '9') && !(letter && quoted))
            return false;
    }
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    if (quoted)
        spell_quantity(hex, out, size);
    return true;
}

static bool is_answer(const struct probing *p, const rpcfan_result_t *res)
{
    enum rpcfan_err rc = rpcfan_result_err(res);
    return rc == RPCFAN_OK || (rc == RPCFAN_ERPC && questions[p->family].any_answer);
}

static void fail_probe(struct rf_probe *out, const char *method, const char *why)
{
    out->failed = true;
    snprintf(out->why, sizeof out->why, "%s: %s", method, why);
    for (char *c = out->why; *c != '\0'; c++) { /* a node's own words may be in it */
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    }
}

static void fail_by_result(struct rf_probe *out, const char *method, const rpcfan_result_t *res)
{
    const char *detail = rpcfan_result_detail(res);
    fail_probe(out, method, detail[0] != '\0' ? detail : rpcfan_err_text(rpcfan_result_err(res)));
}

/* One call; false where it failed, with `out->failed` set. */
static bool ask(struct probing *p, const char *method, bool hex, char *text, size_t size)
{
    rpcfan_result_t *res = NULL;
    struct rpcfan_error err = {0};
    struct rpcfan_request req = {
        .size = sizeof req, .method = method, .timeout_ms = p->deadline_ms};
    if (rpcfan_call_wait(p->client, &req, &res, &err) != RPCFAN_OK) {
        fail_probe(p->out, method, err.text);
        return false;
    }
    bool fine = is_answer(p, res);
    if (!fine)
        fail_by_result(p->out, method, res);
    else if (!questions[p->family].any_answer &&
             !rf_probe_text(rpcfan_result_json(res), hex, text, size)) {
        fail_probe(p->out, method, "the answer is neither a number nor a short text");
        fine = false;
    }
    rpcfan_result_unref(res);
    return fine;
}

/* The member of the status that is this client's only endpoint. */
static json_t *read_status(struct probing *p)
{
    char *text = NULL;
    if (rpcfan_status(p->client, &text) != RPCFAN_OK)
        return NULL;
    json_t *status = json_loads(text, 0, NULL);
    rpcfan_free(text);
    json_t *network = json_array_get(json_object_get(status, "networks"), 0);
    json_t *ep = json_array_get(json_object_get(network, "endpoints"), 0);
    json_incref(ep);
    json_decref(status);
    return ep;
}

static uint64_t batch_member(const json_t *ep, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(json_object_get(ep, "batch"), key));
    return v > 0 ? (uint64_t)v : 0;
}

static void read_latency(struct probing *p)
{
    json_t *ep = read_status(p);
    p->out->latency_ms =
        json_number_value(json_object_get(json_object_get(ep, "latency_ms"), "p50"));
    json_decref(ep);
}

static void read_batch(struct probing *p)
{
    json_t *ep = read_status(p);
    uint64_t proven = batch_member(ep, "proven");
    if (batch_member(ep, "refusals") > 0) {
        p->out->batch_state = RF_PROBE_BATCH_CAPPED;
        p->out->batch = batch_member(ep, "limit");
    } else if (proven > 1) {
        p->out->batch_state = RF_PROBE_BATCH_PASSED;
        p->out->batch = proven;
    } else {
        p->out->batch_state = RF_PROBE_BATCH_UNKNOWN;
    }
    json_decref(ep);
}

/* Take `n` answers off the queue; false where one is a failure. */
static bool await_answers(struct probing *p, rpcfan_cq_t *cq, size_t n, const char *method)
{
    struct pollfd fd = {.fd = rpcfan_cq_fd(cq), .events = POLLIN};
    while (n > 0) {
        rpcfan_result_t *res[RF_PROBE_BATCH_MAX + 1];
        size_t got = rpcfan_cq_poll(cq, res, RF_COUNT(res));
        for (size_t i = 0; i < got; i++) {
            if (!p->out->failed && !is_answer(p, res[i]))
                fail_by_result(p->out, method, res[i]);
            rpcfan_result_unref(res[i]);
        }
        n -= got;
        if (got == 0)
            poll(&fd, 1, -1); /* each call has a deadline: every answer comes */
    }
    return !p->out->failed;
}

static void ask_batch(struct probing *p, uint32_t calls)
{
    const char *method = questions[p->family].head;
    rpcfan_cq_t *cq = NULL;
    struct rpcfan_error err = {0};
    size_t sent = 0, n = calls;

    if (rpcfan_cq_new(p->client, &cq) != RPCFAN_OK) {
        fail_probe(p->out, method, "out of memory or descriptors");
        return;
    }
    for (; sent < n; sent++) {
        struct rpcfan_request req = {
            .size = sizeof req, .method = method, .timeout_ms = p->deadline_ms, .cq = cq};
        if (rpcfan_call(p->client, &req, NULL, &err) != RPCFAN_OK) {
            fail_probe(p->out, method, err.text);
            break;
        }
    }
    if (await_answers(p, cq, sent, method))
        read_batch(p);
    rpcfan_cq_free(cq);
}

/* What it is where nobody said: the first family whose identity it can tell. */
static enum rpcfan_family guess(struct probing *p)
{
    static const enum rpcfan_family order[] = {RPCFAN_EVM, RPCFAN_SOLANA};
    char text[sizeof p->out->identity];
    for (size_t i = 0; i < RF_COUNT(order); i++) {
        rpcfan_result_t *res = NULL;
        struct rpcfan_error err = {0};
        struct rpcfan_request req = {.size = sizeof req,
                                     .method = questions[order[i]].identity,
                                     .timeout_ms = p->deadline_ms};
        if (rpcfan_call_wait(p->client, &req, &res, &err) != RPCFAN_OK)
            return RPCFAN_GENERIC;
        enum rpcfan_err rc = rpcfan_result_err(res);
        bool told =
            rc == RPCFAN_OK && rf_probe_text(rpcfan_result_json(res), true, text, sizeof text);
        rpcfan_result_unref(res);
        if (told)
            return order[i];
        if (rc != RPCFAN_OK && rc != RPCFAN_ERPC)
            return RPCFAN_GENERIC; /* the questions to come will say why */
    }
    return RPCFAN_GENERIC;
}

static void ask_one_by_one(struct probing *p)
{
    struct rf_probe *out = p->out;
    if (p->family == RPCFAN_GENERIC)
        p->family = guess(p);
    if (!ask(p, questions[p->family].identity, true, out->identity, sizeof out->identity))
        return;
    for (int i = 0; i < RF_PROBE_SAMPLES; i++) {
        if (!ask(p, questions[p->family].head, false, out->head, sizeof out->head))
            return;
    }
    read_latency(p);
}

/* How many calls may go at once, see above; below 3 they say nothing. */
static uint32_t burst_of(const struct rpcfan_endpoint_options *ep)
{
    uint64_t calls = rf_min_u64(ep->batch, RF_PROBE_BATCH_MAX) + 1;
    uint64_t heaviest = 1;
    for (size_t i = 0; i < ep->n_weights; i++)
        heaviest = rf_max_u64(heaviest, ep->weights[i].weight);
    for (size_t i = 0; i < ep->n_limits; i++) {
        uint64_t each = ep->limits[i].unit == RPCFAN_WEIGHT ? heaviest : 1;
        calls = rf_min_u64(calls, ep->limits[i].count / 4 / each);
    }
    return (uint32_t)calls;
}

enum rpcfan_err rf_probe_endpoint(const struct rpcfan_options *base,
                                  const struct rpcfan_network_options *net,
                                  const struct rpcfan_endpoint_options *ep, uint64_t deadline_ms,
                                  struct rf_probe *out, struct rpcfan_error *err)
{
    struct rpcfan_options options = *base;
    struct rpcfan_network_options only = *net;
    struct rpcfan_endpoint_options one = *ep;
    struct probing p = {.family = net->family, .deadline_ms = deadline_ms, .out = out};
    uint32_t burst = burst_of(ep);

    memset(out, 0, sizeof *out);
    one.in_flight = 1; /* so that calls wait, and form a batch */
    only.endpoints = &one;
    only.n_endpoints = 1;
    only.attempts = 1; /* what fails once is what is to be found out */
    options.networks = &only;
    options.n_networks = 1;
    options.loop = NULL;
    enum rpcfan_err rc = rpcfan_client_new(&options, &p.client, err);
    if (rc != RPCFAN_OK)
        return rc;
    ask_one_by_one(&p);
    rpcfan_client_free(p.client);
    out->batch_state = ep->batch > 1 ? RF_PROBE_BATCH_UNKNOWN : RF_PROBE_BATCH_OFF;
    if (out->failed || ep->batch <= 1 || burst < 3)
        return RPCFAN_OK;
    one.limits = NULL;
    one.n_limits = 0;
    rc = rpcfan_client_new(&options, &p.client, err);
    if (rc != RPCFAN_OK)
        return rc;
    ask_batch(&p, burst);
    rpcfan_client_free(p.client);
    return RPCFAN_OK;
}
