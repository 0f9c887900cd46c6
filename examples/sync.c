/* sync.c - a program that asks and waits: the chain id, then the balances of some addresses.
 *
 *   sync URL [ADDRESS...]
 *
 * rpcfan_call_wait() may be called by any number of threads at once, and calls of several threads
 * may share a batch. Exit status: 0 everything was answered, 1 a call failed, 2 usage.
 *
 *   cc examples/sync.c $(pkg-config --cflags --libs rpcfan)
 */
#include <stdio.h>

#include <rpcfan/rpcfan.h>

/* Make a call and print its result, or why there is none. @return 0, or 1 where it failed. */
static int ask(rpcfan_client_t *client, const char *label, const char *method, const char *params)
{
    struct rpcfan_request req = {.size = sizeof req, .method = method, .params = params};
    struct rpcfan_error err = {0};
    rpcfan_result_t *res;
    if (rpcfan_call_wait(client, &req, &res, &err) != RPCFAN_OK) {
        fprintf(stderr, "sync: %s: %s\n", method, err.text); /* it was never sent */
        return 1;
    }
    enum rpcfan_err code = rpcfan_result_err(res);
    struct rpcfan_slice json = rpcfan_result_json(res); /* borrowed from res, not terminated */
    struct rpcfan_slice error = rpcfan_result_error_json(res);
    if (code == RPCFAN_OK)
        printf("%s %.*s\n", label, (int)json.len, json.data);
    else if (code == RPCFAN_ERPC)
        fprintf(stderr, "sync: %s: %.*s\n", method, (int)error.len, error.data);
    else
        fprintf(stderr, "sync: %s: %s: %s\n", method, rpcfan_err_name(code),
                rpcfan_result_detail(res));
    rpcfan_result_unref(res);
    return code != RPCFAN_OK;
}

static int ask_balance(rpcfan_client_t *client, const char *address)
{
    char params[128];
    int n = snprintf(params, sizeof params, "[\"%s\",\"latest\"]", address);
    if (n < 0 || (size_t)n >= sizeof params) {
        fprintf(stderr, "sync: not an address: %s\n", address);
        return 1;
    }
    return ask(client, address, "eth_getBalance", params);
}

static rpcfan_client_t *connect_to(const char *url)
{
    struct rpcfan_endpoint_options endpoint;
    struct rpcfan_network_options network;
    struct rpcfan_options options;
    struct rpcfan_error err = {0};
    rpcfan_client_t *client = NULL;

    rpcfan_endpoint_options_init(&endpoint);
    endpoint.url = url;
    rpcfan_network_options_init(&network);
    network.family = RPCFAN_EVM;
    network.deadline_ms = 10000; /* for each call, all tries included */
    network.endpoints = &endpoint;
    network.n_endpoints = 1;
    rpcfan_options_init(&options);
    options.networks = &network;
    options.n_networks = 1;
    if (rpcfan_client_new(&options, &client, &err) != RPCFAN_OK)
        fprintf(stderr, "sync: %s\n", err.text);
    return client;
}

int main(int argc, char **argv)
{
    static const char *const some[] = {"0x00000000219ab540356cbb839cbe05303d7705fa",
                                       "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"};
    if (argc < 2) {
        fprintf(stderr, "usage: %s URL [ADDRESS...]\n", argv[0]);
        return 2;
    }
    rpcfan_client_t *client = connect_to(argv[1]);
    if (client == NULL)
        return 1;
    int failed = ask(client, "chain id", "eth_chainId", NULL);
    for (int i = 2; i < argc; i++)
        failed |= ask_balance(client, argv[i]);
    for (size_t i = 0; argc == 2 && i < sizeof some / sizeof some[0]; i++)
        failed |= ask_balance(client, some[i]);
    rpcfan_client_free(client);
    return failed;
}
