/* faults.c - bars 6, 7 and 11: nothing is lost under every fault there is, retries stay within
 * their budget, and an endpoint that fails at once does not attract traffic. */
#include <stdio.h>
#include <stdlib.h>

#include "bars.h"

#define CALLS_6 1000000u
#define CALLS_7 10000u
#define RUN_11_S 30
#define FROM_11_S 10
#define RATE_11 300

/* Everything that node_conf_fault.c knows but `null`, which is a right answer as far as a client
 * can tell. Seldom where it costs a timeout or a connection. */
static const char every_fault[] =
    "latency exp 1ms\nkeepalive requests=400\n"
    "rate 100000/1s kind=bucket refuse=members\nbatch-max 100 shape=base\n"
    "fault refuse from=3s to=3500ms\nfault accept-reset p=0.05\n"
    "fault http-error status=502 body=html p=0.01\n"
    "fault http-error status=503 body=json p=0.01\n"
    "fault http-error status=429 body=empty p=0.002\n"
    "fault html p=0.005\nfault rpc-error code=-32603 message=\"internal error\" p=0.01\n"
    "fault ids value=wrong p=0.005\nfault ids value=string p=0.05\nfault ids value=null p=0.005\n"
    "fault ids value=float p=0.005\nfault ids value=none p=0.005\n"
    "fault shuffle p=0.2\nfault missing n=2 p=0.03\nfault duplicate n=2 p=0.03\n"
    "fault extra n=2 p=0.03\nfault object p=0.005\nfault empty-array p=0.005\nfault array p=0.5\n"
    "fault invalid-json p=0.005\nfault invalid-utf8 p=0.005\nfault bom p=0.01\n"
    "fault pretty p=0.05\nfault empty p=0.005\nfault gzip p=0.1\nfault deflate p=0.1\n"
    "fault chunked bytes=7 p=0.05\nfault until-close p=0.01\nfault early p=0.05\n"
    "fault huge-headers p=0.005\nfault reset p=0.005\nfault reset after=100 p=0.005\n"
    "fault close p=0.005\nfault truncate p=0.01\nfault hang p=0.001\nfault hang after=60 p=0.001\n"
    "fault drip bytes=500 per=2ms p=0.005\nfault endless p=0.001\n";

/* Bar 6. */
static void lose_nothing(void)
{
    struct crowd *c = bars_alloc(1, sizeof *c);
    static char script[3][sizeof every_fault + 16];
    crowd_init(c, "every fault", 3);
    for (unsigned i = 0; i < 3; i++) {
        snprintf(script[i], sizeof script[i], "seed %u\n%s", i + 1, every_fault);
        c->script[i] = script[i];
        c->endpoint[i].batch = 100;
        c->endpoint[i].timeout_ms = 1000;
        c->endpoint[i].response_bytes = 1024 * 1024;
        c->endpoint[i].learn = 0; /* refusals by chance teach nothing */
    }
    c->network.attempts = 10;
    c->backlog = 6000;
    c->calls_max = CALLS_6;
    c->run_ns = 240 * RF_SEC;
    c->keep = c->drain = true;
    crowd_run(c);
    uint64_t lost = CALLS_6 - c->started, twice = 0, kinds = 0, struck = 0;
    for (uint64_t k = 0; k < c->started; k++) {
        lost += c->times[k] == 0;
        twice += c->times[k] > 1;
    }
    for (unsigned f = 0; rf_node_fault_name(f) != NULL; f++) {
        uint64_t n = 0;
        for (unsigned i = 0; i < 3; i++) {
            struct rf_node_counters at;
            rf_node_counters(c->node[i], &at);
            n += at.fault[f];
        }
        kinds += n > 0;
        struck += n;
    }
    bars_at_most("6", "1,000,000 calls, every fault", "calls without an answer", 0, (double)lost);
    bars_at_most("6", "1,000,000 calls, every fault", "calls answered twice", 0, (double)twice);
    bars_at_most("6", "1,000,000 calls, every fault", "answers of another call", 0,
                 (double)c->wrong);
    bars_at_most("6", "1,000,000 calls, every fault", "calls and slots still held", 0,
                 (double)(c->live_end + c->in_flight_end));
    bars_at_most("6", "1,000,000 calls, every fault", "descriptors, handles left", 0,
                 (double)(c->fds_after - c->fds_before) + (double)c->handles_left);
    bars_note("%llu kinds of fault struck %llu times; %llu calls ended in an error; %.1f s",
              (unsigned long long)kinds, (unsigned long long)struck,
              (unsigned long long)(c->answered - c->ok), (double)(c->ended_ns - c->begun_ns) / 1e9);
    for (int e = 1; e < RPCFAN_ERR_COUNT; e++)
        if (c->by_err[e] > 0)
            bars_note("%llu times %s", (unsigned long long)c->by_err[e],
                      rpcfan_err_name((enum rpcfan_err)e));
    crowd_fini(c);
    free(c);
}

/* Bar 7. */
static void keep_the_budget(const char *script, const char *name, double most)
{
    struct crowd *c = bars_alloc(1, sizeof *c);
    struct rf_node_counters n;
    crowd_init(c, name, 1);
    c->script[0] = script;
    c->endpoint[0].learn = 0;
    c->backlog = CALLS_7;
    c->calls_max = CALLS_7;
    c->options.pending_calls = CALLS_7;
    c->network.deadline_ms = 10000; /* without budget a call waits for it until then */
    c->run_ns = 60 * RF_SEC;
    c->drain = true;
    crowd_run(c);
    rf_node_counters(c->node[0], &n);
    bars_at_most("7", name, "attempts a call", most, (double)n.requests / CALLS_7);
    bars_note("%llu of %u calls answered well, %llu requests, %.1f s", (unsigned long long)c->ok,
              CALLS_7, (unsigned long long)n.requests, (double)(c->ended_ns - c->begun_ns) / 1e9);
    crowd_fini(c);
    free(c);
}

/* Requests to the broken endpoint, and to all, up to this second. */
struct shares {
    double broken, all;
};

static void note_shares(struct crowd *c, unsigned second)
{
    struct shares *s = c->arg;
    if (second != FROM_11_S && second != RUN_11_S - 1)
        return;
    s += second != FROM_11_S;
    for (unsigned i = 0; i < c->n_nodes; i++) {
        char path[64];
        snprintf(path, sizeof path, "networks.0.endpoints.%u.requests", i);
        double n = crowd_status(c, path);
        s->all += n;
        s->broken += i == 2 ? n : 0;
    }
}

static void set_up_refusing(struct crowd *c, const char *name, const char *script,
                            struct shares *shares)
{
    crowd_init(c, name, 5);
    for (unsigned i = 0; i < 5; i++)
        c->script[i] = i == 2 ? script : "latency exp 20ms\n";
    c->per_s = RATE_11;
    c->run_ns = RUN_11_S * RF_SEC;
    c->each_second = note_shares;
    c->arg = shares;
    c->drain = true;
    crowd_nodes(c);
}

/* Bar 11. */
static void shun_the_broken(void)
{
    struct crowd *c = bars_alloc(2, sizeof *c);
    struct shares shares[2][2] = {0};
    set_up_refusing(&c[0], "1 of 5 endpoints: no listener", "fault refuse\n", shares[0]);
    set_up_refusing(&c[1], "1 of 5 endpoints: 500 at once", "fault http-error status=500\n",
                    shares[1]);
    crowd_run_all(c, 2);
    for (unsigned i = 0; i < 2; i++) {
        double broken = shares[i][1].broken - shares[i][0].broken;
        double all = shares[i][1].all - shares[i][0].all;
        bars_at_most("11", c[i].name, "answers that are errors, %", 0.5,
                     100.0 * (double)(c[i].answered - c[i].ok) / (double)c[i].answered);
        bars_at_most("11", c[i].name, "its requests after 10 s, %", 1, 100.0 * broken / all);
        bars_note("%.0f of the first %.0f requests went there, and %.0f of the next %.0f",
                  shares[i][0].broken, shares[i][0].all, broken, all);
        crowd_fini(&c[i]);
    }
    free(c);
}

void bars_faults(void)
{
    lose_nothing();
    keep_the_budget("fault http-error status=500\n", "10,000 calls, all 500", 1.01);
    keep_the_budget("seed 3\nfault http-error status=500 p=0.2\n", "10,000 calls, 20 % 500", 1.11);
    shun_the_broken();
}
