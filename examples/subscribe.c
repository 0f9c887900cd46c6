/* subscribe.c - a program that listens: new heads of an Ethereum node, in order and without holes.
 *
 *   subscribe URL COUNT
 *
 * Notes wait in the subscription's queue behind a descriptor; gaps are told, and filled. Exit
 * status: 0 COUNT heads came, 1 the node refused, 2 usage.
 *
 *   cc examples/subscribe.c $(pkg-config --cflags --libs rpcfan)
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include <rpcfan/rpcfan.h>

static rpcfan_client_t *connect_to(const char *url)
{
    struct rpcfan_endpoint_options endpoint;
    struct rpcfan_network_options network;
    struct rpcfan_options options;
    struct rpcfan_error err = {0};
    rpcfan_client_t *client = NULL;

    rpcfan_endpoint_options_init(&endpoint);
    endpoint.url = url; /* and ws:// in the place of http://; else set endpoint.ws_url */
    rpcfan_network_options_init(&network);
    network.family = RPCFAN_EVM;
    network.endpoints = &endpoint;
    network.n_endpoints = 1;
    rpcfan_options_init(&options);
    options.networks = &network;
    options.n_networks = 1;
    if (rpcfan_client_new(&options, &client, &err) != RPCFAN_OK)
        fprintf(stderr, "subscribe: %s\n", err.text);
    return client;
}

/* @return whether more is to come. */
static int take(const struct rpcfan_note *note)
{
    switch (note->kind) {
    case RPCFAN_NOTE_DATA:
        printf("block %llu\n", (unsigned long long)note->slot);
        break;
    case RPCFAN_NOTE_UP:
        printf("subscribed at %s\n", note->endpoint);
        break;
    case RPCFAN_NOTE_GAP:
        printf("a gap: %s\n", note->why);
        break;
    case RPCFAN_NOTE_FILLED:
        printf("the gap is filled\n");
        break;
    case RPCFAN_NOTE_DROPPED:
        printf("%llu were dropped: too slow\n", (unsigned long long)note->n);
        break;
    case RPCFAN_NOTE_END:
        fprintf(stderr, "subscribe: refused: %.*s\n", (int)note->json.len, note->json.data);
        return 0;
    }
    return 1;
}

/* @return an exit status. */
static int listen_to(rpcfan_sub_t *sub, unsigned long count)
{
    struct pollfd readable = {.fd = rpcfan_sub_fd(sub), .events = POLLIN};
    while (count > 0) {
        struct rpcfan_note note;
        if (rpcfan_sub_poll(sub, &note, 1) == 0) {
            poll(&readable, 1, -1); /* beside whatever else the program waits for */
            continue;
        }
        int more = take(&note);
        count -= note.kind == RPCFAN_NOTE_DATA;
        rpcfan_note_release(&note);
        if (!more)
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: subscribe URL COUNT\n");
        return 2;
    }
    rpcfan_client_t *client = connect_to(argv[1]);
    if (client == NULL)
        return 2;
    struct rpcfan_sub_options o;
    struct rpcfan_error err = {0};
    rpcfan_sub_t *sub = NULL;
    rpcfan_sub_options_init(&o);
    o.method = "eth_subscribe";
    o.params = "[\"newHeads\"]";
    int status = 2;
    if (rpcfan_subscribe(client, &o, &sub, &err) == RPCFAN_OK)
        status = listen_to(sub, strtoul(argv[2], NULL, 10));
    else
        fprintf(stderr, "subscribe: %s\n", err.text);
    rpcfan_unsubscribe(sub);
    rpcfan_client_free(client);
    return status;
}
