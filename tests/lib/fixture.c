/* fixture.c - nodes, a client, and a crowd of checked calls. */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

void fixture_init(struct fixture *f, unsigned n, const char *const *script)
{
    memset(f, 0, sizeof *f);
    rpcfan_options_init(&f->options);
    rpcfan_network_options_init(&f->network);
    f->n = n;
    for (unsigned i = 0; i < n; i++) {
        struct rf_node_options o = {.script = script != NULL ? script[i] : NULL};
        struct rpcfan_error err;
        if (rf_node_start_thread(&o, &f->node[i], &err) != RPCFAN_OK)
            fail_msg("%s", err.text);
        rpcfan_endpoint_options_init(&f->endpoint[i]);
        f->endpoint[i].url = rf_node_url(f->node[i]);
        f->endpoint[i].proxy = "";
    }
    f->network.endpoints = f->endpoint;
    f->network.n_endpoints = n;
    f->options.networks = &f->network;
    f->options.n_networks = 1;
    f->options.seed = 1;
}

void fixture_connect(struct fixture *f)
{
    struct rpcfan_error err;
    if (rpcfan_client_new(&f->options, &f->client, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
}

void fixture_fini(struct fixture *f)
{
    rpcfan_client_free(f->client);
    for (unsigned i = 0; i < f->n; i++)
        rf_node_stop_thread(f->node[i]);
}

static void take(rpcfan_result_t *res, struct tally *t)
{
    enum rpcfan_err err = rpcfan_result_err(res);
    t->answered++;
    t->by_err[err]++;
    if (rpcfan_result_attempts(res) > t->max_attempts)
        t->max_attempts = rpcfan_result_attempts(res);
    if (err == RPCFAN_OK) {
        char want[32];
        size_t n =
            (size_t)snprintf(want, sizeof want, "[%zu]", (size_t)(uintptr_t)rpcfan_result_arg(res));
        struct rpcfan_slice got = rpcfan_result_json(res);
        char compact[64];
        size_t len =
            got.len <= sizeof compact ? rpcfan_json_compact(got.data, got.len, compact) : 0;
        t->ok++;
        if (len != n || memcmp(compact, want, n) != 0 ||
            (len != got.len) != rpcfan_result_has_space(res))
            t->wrong++;
    }
    rpcfan_result_unref(res);
}

static void drain(rpcfan_cq_t *cq, struct tally *t, int wait_ms)
{
    struct pollfd p = {.fd = rpcfan_cq_fd(cq), .events = POLLIN};
    rpcfan_result_t *res[64];
    if (poll(&p, 1, wait_ms) <= 0 && wait_ms > 10000)
        fail_msg("no answer for %d ms: %u of %u", wait_ms, t->answered, t->started);
    size_t n;
    while ((n = rpcfan_cq_poll(cq, res, 64)) > 0) {
        for (size_t i = 0; i < n; i++)
            take(res[i], t);
    }
}

void fixture_echo(struct fixture *f, unsigned n, uint64_t timeout_ms, struct tally *t)
{
    memset(t, 0, sizeof *t);
    rpcfan_cq_t *cq;
    assert_int_equal(rpcfan_cq_new(f->client, &cq), RPCFAN_OK);
    uint64_t start = rpcfan_now_ns();
    while (t->started < n) {
        char params[32];
        snprintf(params, sizeof params, "[%u]", t->started);
        struct rpcfan_request r = {.size = sizeof r,
                                   .method = "sim_echo",
                                   .params = params,
                                   .timeout_ms = timeout_ms,
                                   .cq = cq,
                                   .arg = (void *)(uintptr_t)t->started};
        struct rpcfan_error err;
        enum rpcfan_err e = rpcfan_call(f->client, &r, NULL, &err);
        if (e == RPCFAN_OK)
            t->started++;
        else if (e == RPCFAN_EBUSY)
            drain(cq, t, (int)err.retry_in_ms);
        else
            fail_msg("%s", err.text);
    }
    while (t->answered < n)
        drain(cq, t, 60000);
    t->ns = rpcfan_now_ns() - start;
    rpcfan_cq_free(cq);
}

static json_t *walk(json_t *j, const char *path)
{
    char copy[160], *save = NULL;
    snprintf(copy, sizeof copy, "%s", path);
    for (char *p = strtok_r(copy, ".", &save); p != NULL && j != NULL;
         p = strtok_r(NULL, ".", &save))
        j = json_is_array(j) ? json_array_get(j, (size_t)atoi(p)) : json_object_get(j, p);
    return j;
}

static json_t *status(struct fixture *f)
{
    char *text;
    assert_int_equal(rpcfan_status(f->client, &text), RPCFAN_OK);
    json_error_t e;
    json_t *j = json_loads(text, 0, &e);
    if (j == NULL)
        fail_msg("status is no JSON: %s: %s", e.text, text);
    rpcfan_free(text);
    return j;
}

double fixture_status(struct fixture *f, const char *path)
{
    json_t *j = status(f);
    json_t *v = walk(j, path);
    if (!json_is_number(v))
        fail_msg("status has no number %s", path);
    double d = json_number_value(v);
    json_decref(j);
    return d;
}

char *fixture_status_text(struct fixture *f, const char *path)
{
    json_t *j = status(f);
    json_t *v = walk(j, path);
    if (!json_is_string(v))
        fail_msg("status has no string %s", path);
    char *s = strdup(json_string_value(v));
    json_decref(j);
    return s;
}
