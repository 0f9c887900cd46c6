/* bench_lib.c - the work of bare_curl.c through the library: N calls, C requests in flight, B calls
 * a batch, inside one uv loop, answers parsed and handed to callbacks.
 *
 *   bench_lib URL CALLS IN_FLIGHT BATCH
 *
 * Prints CPU in us a call (user and system, all threads), calls a second, peak memory in KiB and
 * allocations a call after warm-up. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

#include "base/mem.h"
#include "rpcfan/rpcfan.h"

struct bench {
    rpcfan_client_t *client;
    uint64_t total, started, answered, failed;
    uint64_t warm_allocs, warm_at;
};

static const char PARAMS[] = "[\"0x00000000000000000000000000000000000000a1\",\"latest\"]";

static void answer(const rpcfan_result_t *res, void *arg);

static void start(struct bench *b)
{
    struct rpcfan_request r = {.size = sizeof r,
                               .method = "eth_getBalance",
                               .params = PARAMS,
                               .params_len = sizeof PARAMS - 1,
                               .cb = answer,
                               .arg = b};
    struct rpcfan_error err;
    if (rpcfan_call(b->client, &r, NULL, &err) != RPCFAN_OK) {
        fprintf(stderr, "bench_lib: %s\n", err.text);
        exit(1);
    }
    b->started++;
}

static void answer(const rpcfan_result_t *res, void *arg)
{
    struct bench *b = arg;
    if (rpcfan_result_err(res) != RPCFAN_OK && b->failed++ == 0)
        fprintf(stderr, "bench_lib: %s\n", rpcfan_result_detail(res));
    if (++b->answered == b->warm_at)
        b->warm_allocs = rf_alloc_count();
    if (b->started < b->total)
        start(b);
    else if (b->answered == b->total)
        rpcfan_client_close(b->client, RPCFAN_CLOSE_DRAIN, NULL, NULL);
}

static double cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: bench_lib URL CALLS IN_FLIGHT BATCH\n");
        return 2;
    }
    struct bench b = {.total = strtoull(argv[2], NULL, 10)};
    unsigned in_flight = (unsigned)strtoul(argv[3], NULL, 10);
    unsigned batch = (unsigned)strtoul(argv[4], NULL, 10);
    /* A batch forms from what waits: while all slots fly, one more batch for each is waiting. */
    uint64_t outstanding = batch == 1 ? in_flight : (uint64_t)in_flight * batch * 2;
    struct rpcfan_options o;
    struct rpcfan_network_options net;
    struct rpcfan_endpoint_options ep;
    rpcfan_options_init(&o);
    rpcfan_network_options_init(&net);
    rpcfan_endpoint_options_init(&ep);
    uv_loop_t *loop = uv_default_loop();
    ep.url = argv[1];
    ep.in_flight = in_flight;
    ep.batch = batch;
    net.endpoints = &ep;
    net.n_endpoints = 1;
    o.networks = &net;
    o.n_networks = 1;
    o.pending_calls = (uint32_t)outstanding;
    o.loop = loop;
    struct rpcfan_error err;
    if (rpcfan_client_new(&o, &b.client, &err) != RPCFAN_OK) {
        fprintf(stderr, "bench_lib: %s\n", err.text);
        return 1;
    }
    b.warm_at = b.total / 10;
    uint64_t t0 = uv_hrtime();
    double c0 = cpu_us();
    while (b.started < b.total && b.started < outstanding)
        start(&b);
    uv_run(loop, UV_RUN_DEFAULT);
    double s = (double)(uv_hrtime() - t0) / 1e9;
    double us = (cpu_us() - c0) / (double)b.total;
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    printf("cpu_us_per_call=%.3f calls_per_s=%.0f rss_kib=%ld allocs_per_call=%.3f failed=%llu\n",
           us, (double)b.total / s, u.ru_maxrss,
           (double)(rf_alloc_count() - b.warm_allocs) / (double)(b.total - b.warm_at),
           (unsigned long long)b.failed);
    rpcfan_client_free(b.client);
    return b.failed > 0;
}
