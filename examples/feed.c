/* feed.c - a program that keeps the accounts of a Solana program in memory, complete up to a slot.
 *
 *   feed URL PROGRAM SECONDS
 *
 * A feed hands out what must be applied, in order, and says with each portion how far everything is
 * complete once it is kept. Here it is only counted; a database would keep it. Exit status: 0 the
 * snapshot was whole in time, 1 it was not, 2 usage.
 *
 *   cc examples/feed.c $(pkg-config --cflags --libs rpcfan)
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include <rpcfan/feed.h>

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
    network.family = RPCFAN_SOLANA;
    network.endpoints = &endpoint;
    network.n_endpoints = 1;
    rpcfan_options_init(&options);
    options.networks = &network;
    options.n_networks = 1;
    if (rpcfan_client_new(&options, &client, &err) != RPCFAN_OK)
        fprintf(stderr, "feed: %s\n", err.text);
    return client;
}

/* Apply what came. Decoding is for this thread: accounts may have megabytes. */
static void apply(const struct rpcfan_account_event *e, struct rpcfan_buffer *buffer,
                  unsigned long long *bytes)
{
    struct rpcfan_account account;
    if (e->kind == RPCFAN_ACCOUNT_CLOSE || e->kind == RPCFAN_ACCOUNT_LEFT)
        return; /* it is gone: delete it, but for its slot */
    if (rpcfan_account_read(e->json, (size_t)16 << 20, buffer, &account) == RPCFAN_OK)
        *bytes += account.len;
}

/* @return whether the snapshot was whole. */
static int follow(rpcfan_feed_t *feed, uint64_t until_ns)
{
    struct pollfd readable = {.fd = rpcfan_feed_fd(feed), .events = POLLIN};
    struct rpcfan_account_event events[256];
    struct rpcfan_feed_mark mark = {0};
    struct rpcfan_buffer buffer = {0};
    unsigned long long n = 0, bytes = 0;
    while (rpcfan_now_ns() < until_ns && mark.failed == RPCFAN_OK) {
        size_t taken = rpcfan_feed_take(feed, events, 256, &mark);
        for (size_t i = 0; i < taken; i++)
            apply(&events[i], &buffer, &bytes);
        rpcfan_feed_release(events, taken);
        n += taken;
        if (taken == 0)
            poll(&readable, 1, 100);
    }
    rpcfan_free(buffer.data);
    struct rpcfan_feed_status s;
    rpcfan_feed_status(feed, &s);
    printf("%llu accounts, %llu events, %llu bytes; complete up to slot %llu of %llu\n",
           (unsigned long long)s.accounts, n, bytes, (unsigned long long)mark.watermark,
           (unsigned long long)s.tip);
    return mark.complete;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: feed URL PROGRAM SECONDS\n");
        return 2;
    }
    rpcfan_client_t *client = connect_to(argv[1]);
    if (client == NULL)
        return 2;
    struct rpcfan_feed_options o;
    struct rpcfan_error err = {0};
    rpcfan_feed_t *feed = NULL;
    rpcfan_feed_options_init(&o);
    o.program = argv[2];
    int status = 2;
    if (rpcfan_feed_new(client, &o, &feed, &err) == RPCFAN_OK) {
        rpcfan_feed_start(feed);
        uint64_t seconds = strtoul(argv[3], NULL, 10);
        status = follow(feed, rpcfan_now_ns() + seconds * 1000000000u) ? 0 : 1;
    } else {
        fprintf(stderr, "feed: %s\n", err.text);
    }
    rpcfan_feed_free(feed);
    rpcfan_client_free(client);
    return status;
}
