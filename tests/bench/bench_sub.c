/* bench_sub.c - the work of bare_lws.c through the library: N notifications of a subscription,
 * read, parsed, queued and polled by the main thread.
 *
 *   bench_sub N URL METHOD PARAMS
 *
 * Prints CPU in us a notification (user and system, all threads), notifications a second, peak
 * memory in KiB and allocations a notification. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "rpcfan/rpcfan.h"

#define NOTES 256

static double cpu_us(struct rusage *u)
{
    getrusage(RUSAGE_SELF, u);
    return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1e6 +
           (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec);
}

static void die(const char *text)
{
    fprintf(stderr, "bench_sub: %s\n", text);
    exit(1);
}

static rpcfan_client_t *connect_to(const char *url)
{
    struct rpcfan_options o;
    struct rpcfan_network_options net;
    struct rpcfan_endpoint_options ep;
    struct rpcfan_error err;
    rpcfan_client_t *c = NULL;
    rpcfan_options_init(&o);
    rpcfan_network_options_init(&net);
    rpcfan_endpoint_options_init(&ep);
    ep.url = url;
    net.family = RPCFAN_SOLANA;
    net.endpoints = &ep;
    net.n_endpoints = 1;
    o.networks = &net;
    o.n_networks = 1;
    if (rpcfan_client_new(&o, &c, &err) != RPCFAN_OK)
        die(err.text);
    return c;
}

/* Poll until `n` notifications came. @return how many. */
static uint64_t take(rpcfan_sub_t *sub, uint64_t n)
{
    struct rpcfan_note note[NOTES];
    uint64_t got = 0;
    while (got < n) {
        size_t k = rpcfan_sub_poll(sub, note, NOTES);
        for (size_t i = 0; i < k; i++) {
            got += note[i].kind == RPCFAN_NOTE_DATA;
            if (note[i].kind == RPCFAN_NOTE_END)
                die("the subscription ended");
            rpcfan_note_release(&note[i]);
        }
        struct pollfd p = {.fd = rpcfan_sub_fd(sub), .events = POLLIN};
        if (k == 0)
            poll(&p, 1, -1);
    }
    return got;
}

int main(int argc, char **argv)
{
    struct rpcfan_sub_options o;
    struct rpcfan_sub_counters count;
    struct rpcfan_error err;
    struct rusage u;
    rpcfan_sub_t *sub = NULL;
    if (argc != 5)
        die("N URL METHOD PARAMS");
    rpcfan_client_t *c = connect_to(argv[2]);
    rpcfan_sub_options_init(&o);
    o.method = argv[3];
    o.params = argv[4];
    o.overflow = RPCFAN_BLOCK;
    if (rpcfan_subscribe(c, &o, &sub, &err) != RPCFAN_OK)
        die(err.text);
    take(sub, 1);
    uint64_t allocs = rf_alloc_count(), began_ns = rpcfan_now_ns();
    double cpu = cpu_us(&u);
    double n = (double)take(sub, strtoull(argv[1], NULL, 10));
    double s = (double)(rpcfan_now_ns() - began_ns) / 1e9;
    cpu = cpu_us(&u) - cpu;
    rpcfan_sub_count(sub, &count);
    if (count.dropped + count.conflated > 0)
        die("notifications were dropped");
    printf("cpu_us_per_call=%.3f calls_per_s=%.0f rss_kib=%ld allocs_per_call=%.3f\n", cpu / n,
           n / s, u.ru_maxrss, (double)(rf_alloc_count() - allocs) / n);
    rpcfan_unsubscribe(sub);
    rpcfan_client_free(c);
    return 0;
}
