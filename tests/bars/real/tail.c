/* tail.c - bar 8: some calls are slow, and a second try elsewhere makes up for it. With one slow
 * call in a hundred, the 99th percentile would stand at the edge of the slow ones, on one side or
 * the other by chance; so it is three in two hundred. The
 * same calls at the same rate without and with hedging, side by side. */
#include <stdio.h>
#include <stdlib.h>

#include "bars.h"

#define RUN_S 75
#define FROM_S 15 /* until the latencies are known */
#define RATE 200

static const char slow_tail[] =
    "seed %u\nlatency exp 20ms\nlatency fixed 30ms\nlatency uniform 800ms 2s p=0.015\n";

void bars_tail(void)
{
    struct crowd *c = bars_alloc(2, sizeof *c);
    static char script[2][2][160];
    double p50[2], p99[2], requests[2], calls[2];
    for (unsigned i = 0; i < 2; i++) {
        crowd_init(&c[i], i == 0 ? "not hedged" : "hedged", 2);
        for (unsigned k = 0; k < 2; k++) {
            snprintf(script[i][k], sizeof script[i][k], slow_tail, k + 1);
            c[i].script[k] = script[i][k];
            c[i].endpoint[k].in_flight = 64;
        }
        c[i].network.hedge_percent = i == 0 ? 0 : 5;
        c[i].per_s = RATE;
        c[i].run_ns = RUN_S * RF_SEC;
        c[i].keep = c[i].drain = true;
        crowd_nodes(&c[i]);
    }
    crowd_run_all(c, 2);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t skip = crowd_ok(&c[i], 0, FROM_S), n = c[i].ok - skip;
        p50[i] = (double)bars_quantile(c[i].latency_ns + skip, n, 0.5) / 1e6;
        p99[i] = (double)bars_quantile(c[i].latency_ns + skip, n, 0.99) / 1e6;
        requests[i] = 0;
        for (unsigned k = 0; k < 2; k++)
            requests[i] += (double)crowd_sum(&c[i], k, FROM_S, RUN_S).requests;
        calls[i] = (double)(RUN_S - FROM_S) * RATE;
    }
    bars_at_most("8", "1.5 % slow, hedging on", "p99 of that without", 0.30, p99[1] / p99[0]);
    bars_at_most("8", "1.5 % slow, hedging on", "further requests, %", 5.5,
                 100.0 * (requests[1] / requests[0] - 1));
    bars_note("p50 %.0f and %.0f ms, p99 %.0f and %.0f ms; %.0f and %.0f requests for %.0f calls",
              p50[0], p50[1], p99[0], p99[1], requests[0], requests[1], calls[0]);
    crowd_fini(&c[0]);
    crowd_fini(&c[1]);
    free(c);
}
