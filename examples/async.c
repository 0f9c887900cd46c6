/* async.c - many calls in flight inside your own libuv loop: callbacks, a deadline, a cancel, and a
 * close that leaves the loop empty.
 *
 *   async URL [CALLS]
 *
 * One thread runs everything: the client adds its handles to the loop, and each callback runs on
 * it. Ctrl-C closes early: what is on the wire is still answered, the rest is canceled.
 *
 *   cc examples/async.c $(pkg-config --cflags --libs rpcfan libuv)
 */
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include <rpcfan/rpcfan.h>

#define WINDOW 2000 /* calls under way; below pending_calls, so that none is refused as busy */

struct app {
    rpcfan_client_t *client;
    uv_signal_t interrupt;
    unsigned total, started, answered, failed;
    rpcfan_call_id block;
    unsigned others; /* calls under way besides the balances */
    int closing;
};

static void on_closed(rpcfan_client_t *client, void *arg)
{
    struct app *app = arg;
    rpcfan_client_free(client); /* allowed from here on, not before */
    uv_close((uv_handle_t *)&app->interrupt, NULL);
}

static void close_client(struct app *app, enum rpcfan_close_mode mode)
{
    app->closing = 1;
    rpcfan_client_close(app->client, mode, on_closed, app);
}

/* A call that is not accepted gets no callback, so there is nothing to wait for. */
static void call(struct app *app, const struct rpcfan_request *req, rpcfan_call_id *id)
{
    struct rpcfan_error err = {0};
    if (rpcfan_call(app->client, req, id, &err) == RPCFAN_OK)
        return;
    fprintf(stderr, "async: %s: %s\n", req->method, err.text);
    exit(1);
}

static void print_short(const char *label, const rpcfan_result_t *res)
{
    struct rpcfan_slice json = rpcfan_result_json(res);
    enum rpcfan_err code = rpcfan_result_err(res);
    if (code == RPCFAN_OK)
        printf("%s: %.*s\n", label, (int)(json.len < 40 ? json.len : 40), json.data);
    else
        printf("%s: %s (%s)\n", label, rpcfan_err_name(code), rpcfan_result_detail(res));
}

/* Everything is answered; a close does not wait for the request of the canceled call. */
static void other_done(struct app *app)
{
    if (--app->others == 0 && !app->closing)
        close_client(app, RPCFAN_CLOSE_DRAIN);
}

static void on_gas(const rpcfan_result_t *res, void *arg)
{
    struct app *app = arg;
    print_short("gas price", res);
    rpcfan_cancel(app->client, app->block); /* no effect where it is answered already */
    other_done(app);
}

static void on_block(const rpcfan_result_t *res, void *arg)
{
    print_short("block", res);
    other_done(arg);
}

static void start_others(struct app *app)
{
    struct rpcfan_request gas = {.size = sizeof gas,
                                 .method = "eth_gasPrice",
                                 .timeout_ms = 500, /* its deadline, tries and waits included */
                                 .cb = on_gas,
                                 .arg = app};
    struct rpcfan_request block = {.size = sizeof block,
                                   .method = "eth_getBlockByNumber",
                                   .params = "[\"latest\",true]",
                                   .cb = on_block,
                                   .arg = app};
    app->others = 2;
    call(app, &block, &app->block);
    call(app, &gas, NULL);
}

static void on_balance(const rpcfan_result_t *res, void *arg);

static void start_balances(struct app *app)
{
    struct rpcfan_request req = {
        .size = sizeof req, .method = "eth_getBalance", .cb = on_balance, .arg = app};
    char params[80];
    while (!app->closing && app->started < app->total && app->started - app->answered < WINDOW) {
        snprintf(params, sizeof params, "[\"0x%040x\",\"latest\"]", ++app->started);
        req.params = params; /* copied by rpcfan_call() */
        call(app, &req, NULL);
    }
}

static void on_balance(const rpcfan_result_t *res, void *arg)
{
    struct app *app = arg;
    app->answered++;
    if (rpcfan_result_err(res) != RPCFAN_OK && app->failed++ == 0)
        fprintf(stderr, "async: first failure: %s\n", rpcfan_result_detail(res));
    start_balances(app);
    if (app->answered < app->started)
        return;
    printf("balances: %u answered, %u failed\n", app->answered, app->failed);
    if (!app->closing)
        start_others(app);
}

static void on_interrupt(uv_signal_t *signal, int number)
{
    (void)number;
    close_client(signal->data, RPCFAN_CLOSE_SENT);
}

static enum rpcfan_err connect_to(const char *url, uv_loop_t *loop, rpcfan_client_t **client,
                                  struct rpcfan_error *err)
{
    struct rpcfan_endpoint_options endpoint;
    struct rpcfan_network_options network;
    struct rpcfan_options options;
    rpcfan_endpoint_options_init(&endpoint);
    endpoint.url = url;
    rpcfan_network_options_init(&network);
    network.family = RPCFAN_EVM;
    network.endpoints = &endpoint;
    network.n_endpoints = 1;
    rpcfan_options_init(&options);
    options.networks = &network;
    options.n_networks = 1;
    options.loop = loop;
    return rpcfan_client_new(&options, client, err);
}

int main(int argc, char **argv)
{
    uv_loop_t loop;
    struct rpcfan_error err = {0};
    struct app app = {.total = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1000};
    if (argc < 2 || app.total == 0) {
        fprintf(stderr, "usage: %s URL [CALLS]\n", argv[0]);
        return 2;
    }
    uv_loop_init(&loop);
    if (connect_to(argv[1], &loop, &app.client, &err) != RPCFAN_OK) {
        fprintf(stderr, "async: %s\n", err.text);
        return 1;
    }
    uv_signal_init(&loop, &app.interrupt);
    app.interrupt.data = &app;
    uv_signal_start(&app.interrupt, on_interrupt, SIGINT);
    uv_unref((uv_handle_t *)&app.interrupt);
    start_balances(&app);
    uv_run(&loop, UV_RUN_DEFAULT);
    int left = uv_loop_close(&loop); /* 0: the client left no handle behind */
    printf("closed: uv_loop_close() = %d\n", left);
    return left != 0 || app.failed > 0 || app.answered < app.total;
}
