/* client_case.h - a client against a port where nobody listens, for tests that need no answer. */
#ifndef RF_TESTS_CLIENT_CASE_H
#define RF_TESTS_CLIENT_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "client/client.h"
#include "core/state.h"

/** Options of one client; set up by nobody_init(). */
struct nobody {
    struct rpcfan_options o;
    struct rpcfan_network_options net;
    struct rpcfan_endpoint_options ep;
    uv_loop_t loop;
    rpcfan_client_t *client;
    bool closed;
};

/** Options for a client on a loop that the test runs itself. */
static inline void nobody_init(struct nobody *n)
{
    memset(n, 0, sizeof *n);
    rpcfan_options_init(&n->o);
    rpcfan_network_options_init(&n->net);
    rpcfan_endpoint_options_init(&n->ep);
    n->ep.url = "http://127.0.0.1:9/";
    n->ep.proxy = "";
    n->net.endpoints = &n->ep;
    n->net.n_endpoints = 1;
    n->o.networks = &n->net;
    n->o.n_networks = 1;
    n->o.seed = 1;
    assert_int_equal(uv_loop_init(&n->loop), 0);
    n->o.loop = &n->loop;
}

static inline void nobody_start(struct nobody *n)
{
    struct rpcfan_error err;
    if (rpcfan_client_new(&n->o, &n->client, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
}

static inline void nobody_closed(rpcfan_client_t *c, void *arg)
{
    ((struct nobody *)arg)->closed = true;
    rpcfan_client_free(c);
}

/** Turn the loop until `*count` has reached `want`. UV_RUN_ONCE would not do: an answer that is
 * delivered before the poll does not end it. */
static inline void nobody_run(struct nobody *n, const unsigned *count, unsigned want)
{
    struct pollfd p = {.fd = uv_backend_fd(&n->loop), .events = POLLIN};
    for (unsigned turns = 0; *count < want; turns++) {
        assert_true(turns < 10000);
        uv_run(&n->loop, UV_RUN_NOWAIT);
        if (*count < want)
            poll(&p, 1, 5);
    }
}

/** Close, run the loop to its end, and see that nothing is left on it. */
static inline void nobody_fini(struct nobody *n)
{
    if (n->client != NULL) {
        rpcfan_client_close(n->client, RPCFAN_CLOSE_NOW, nobody_closed, n);
        uv_run(&n->loop, UV_RUN_DEFAULT);
        assert_true(n->closed);
    }
    assert_int_equal(uv_loop_close(&n->loop), 0);
}

#endif
