/* feed_bar.c - what the bars of the index measure inside of the library: an account feed whose
 * events are taken and dropped, without a database. Called by tests/bars/index/run.
 *
 *   rows URL PROGRAM            a snapshot alone: rows and CPU
 *   seed N                      N accounts known of an earlier run: time and memory
 *   cut URL FILE RATE WS_RATE   accounts of a file at so many reads and messages a second; all
 *                               connections end once it is live
 *   stall URL PROGRAM           until a stall of the node's is found
 *   restart FILE                what a database holds is taken up by a feed
 *   lock FILE SECONDS           hold the lock of a database that rpcfan index writes
 *
 * Prints NAME=VALUE. Exit status: 0, or 1 where something never came. */
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/base.h"
#include "rpcfan/feed.h"
#include "sink/sqlite.h"

#define EVENTS 256
#define WAIT_NS (180 * RF_SEC)
#define SEED_AT_ONCE 4096

struct bar {
    rpcfan_client_t *client;
    rpcfan_feed_t *feed;
    struct rpcfan_feed_options o;
    struct rpcfan_feed_mark mark;
    struct rpcfan_feed_status status;
    uint64_t events;
};

static void die(const char *what, const char *detail)
{
    fprintf(stderr, "feed_bar: %s: %s\n", what, detail);
    exit(1);
}

static double cpu_s(int who)
{
    struct rusage u;
    getrusage(who, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* A figure of /proc/self/status in KiB. */
static unsigned long memory_kib(const char *name)
{
    char line[200];
    unsigned long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0)
            kib = strtoul(line + strlen(name), NULL, 10);
    }
    if (f != NULL)
        fclose(f);
    return kib;
}

static void connect_to(struct bar *b, const char *url, uint64_t rate, uint32_t ws_rate)
{
    struct rpcfan_options o;
    struct rpcfan_network_options net;
    struct rpcfan_endpoint_options ep;
    struct rpcfan_limit limit = {.count = rate, .window_ms = 1000};
    struct rpcfan_error err;
    rpcfan_options_init(&o);
    rpcfan_network_options_init(&net);
    rpcfan_endpoint_options_init(&ep);
    ep.url = url;
    ep.ws_subs = 1002; /* two of them are the slot and the root feed */
    if (rate > 0) {
        ep.limits = &limit;
        ep.n_limits = 1;
        ep.ws_per_s = ws_rate;
    }
    net.family = RPCFAN_SOLANA;
    net.endpoints = &ep;
    net.n_endpoints = 1;
    o.networks = &net;
    o.n_networks = 1;
    if (rpcfan_client_new(&o, &b->client, &err) != RPCFAN_OK)
        die("client", err.text);
    rpcfan_feed_options_init(&b->o);
}

static void make_feed(struct bar *b)
{
    struct rpcfan_error err;
    if (rpcfan_feed_new(b->client, &b->o, &b->feed, &err) != RPCFAN_OK)
        die("feed", err.text);
}

/* Take what is there; wait up to 10 ms where nothing is. */
static void turn(struct bar *b)
{
    struct rpcfan_account_event ev[EVENTS];
    size_t n = rpcfan_feed_take(b->feed, ev, EVENTS, &b->mark);
    rpcfan_feed_release(ev, n);
    b->events += n;
    if (b->mark.failed != RPCFAN_OK) {
        rpcfan_feed_status(b->feed, &b->status);
        die("the feed has given up", b->status.why);
    }
    struct pollfd p = {.fd = rpcfan_feed_fd(b->feed), .events = POLLIN};
    if (n < EVENTS)
        poll(&p, 1, 10);
}

/* Turns until `done`. @return the ns that they took. */
static uint64_t until(struct bar *b, bool (*done)(struct bar *b, void *arg), void *arg,
                      const char *what)
{
    uint64_t began_ns = rpcfan_now_ns();
    while (!done(b, arg)) {
        turn(b);
        rpcfan_feed_status(b->feed, &b->status);
        if (rpcfan_now_ns() - began_ns > WAIT_NS)
            die("never", what);
    }
    return rpcfan_now_ns() - began_ns;
}

static bool complete(struct bar *b, void *arg)
{
    (void)arg;
    return b->mark.complete != 0;
}

static bool past(struct bar *b, void *arg)
{
    return b->mark.watermark > *(const uint64_t *)arg;
}

static bool gap_found(struct bar *b, void *arg)
{
    return b->status.gaps > *(const uint64_t *)arg;
}

static bool live(struct bar *b, void *arg)
{
    (void)arg;
    return strcmp(b->status.state, "live") == 0;
}

static void rows(struct bar *b, char **arg)
{
    connect_to(b, arg[0], 0, 0);
    b->o.program = arg[1];
    b->o.once = 1;
    make_feed(b);
    double cpu = cpu_s(RUSAGE_SELF), taker = cpu_s(RUSAGE_THREAD);
    rpcfan_feed_start(b->feed);
    uint64_t ns = until(b, complete, NULL, "the snapshot");
    cpu = cpu_s(RUSAGE_SELF) - cpu;
    taker = cpu_s(RUSAGE_THREAD) - taker;
    printf("rows=%llu rows_per_s=%.0f cpu_us=%.2f loop_us=%.2f peak_kib=%lu\n",
           (unsigned long long)b->events, (double)b->events * 1e9 / (double)ns,
           cpu * 1e6 / (double)b->events, (cpu - taker) * 1e6 / (double)b->events,
           memory_kib("VmHWM:"));
}

static void seed(struct bar *b, char **arg)
{
    static struct rpcfan_known known[SEED_AT_ONCE];
    uint64_t n = strtoull(arg[0], NULL, 10);
    connect_to(b, "http://127.0.0.1:1", 0, 0);
    b->o.program = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
    make_feed(b);
    memset(known, 1, sizeof known); /* resident before it is measured */
    unsigned long kib = memory_kib("VmRSS:");
    uint64_t ns = rpcfan_now_ns();
    for (uint64_t i = 0; i < n;) {
        size_t k = 0;
        for (; k < SEED_AT_ONCE && i < n; k++, i++) {
            uint64_t word = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
            memcpy(known[k].key, &word, sizeof word);
            known[k].slot = known[k].hash = i + 1;
            known[k].gone = 0;
        }
        if (rpcfan_feed_seed(b->feed, known, k) != RPCFAN_OK)
            die("seed", "out of memory");
    }
    printf("seed_s=%.3f bytes_a_key=%.1f\n", (double)(rpcfan_now_ns() - ns) / 1e9,
           (double)(memory_kib("VmRSS:") - kib) * 1024 / (double)n);
}

static const char **read_keys(const char *path, size_t *n)
{
    char line[100];
    const char **keys = NULL;
    FILE *f = fopen(path, "r");
    *n = 0;
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        keys = realloc(keys, (*n + 1) * sizeof *keys);
        keys[(*n)++] = strdup(line);
    }
    if (*n == 0)
        die("no keys in", path);
    fclose(f);
    return keys;
}

/* By a client without limits: it is the test's call, not the feed's. */
static void end_connections(const char *url)
{
    struct bar other = {0};
    struct rpcfan_error err = {.text = "it was refused"};
    struct rpcfan_request req = {.size = sizeof req, .method = "sim_close", .params = "[]"};
    rpcfan_result_t *res = NULL;
    connect_to(&other, url, 0, 0);
    if (rpcfan_call_wait(other.client, &req, &res, &err) != RPCFAN_OK ||
        rpcfan_result_err(res) != RPCFAN_OK)
        die("sim_close", err.text);
    rpcfan_result_unref(res);
    rpcfan_client_free(other.client);
}

static void cut(struct bar *b, char **arg)
{
    size_t n;
    uint64_t slot = 0;
    connect_to(b, arg[0], strtoull(arg[2], NULL, 10), (uint32_t)strtoul(arg[3], NULL, 10));
    b->o.accounts = read_keys(arg[1], &n);
    b->o.n_accounts = n;
    make_feed(b);
    rpcfan_feed_start(b->feed);
    until(b, complete, NULL, "the snapshot");
    slot = b->status.tip;
    until(b, past, &slot, "the watermark behind the snapshot");
    until(b, live, NULL, "live");
    uint64_t gaps = b->status.gaps;
    slot = b->status.tip;
    uint64_t cut_ns = rpcfan_now_ns();
    end_connections(arg[0]);
    until(b, gap_found, &gaps, "the cut");
    until(b, live, NULL, "live again");
    double live_s = (double)(rpcfan_now_ns() - cut_ns) / 1e9;
    until(b, past, &slot, "the watermark behind the cut");
    printf("accounts=%llu gaps=%llu live_s=%.2f repaired_s=%.2f\n",
           (unsigned long long)b->status.accounts, (unsigned long long)(b->status.gaps - gaps),
           live_s, (double)(rpcfan_now_ns() - cut_ns) / 1e9);
}

static void stall(struct bar *b, char **arg)
{
    connect_to(b, arg[0], 0, 0);
    b->o.program = arg[1];
    make_feed(b);
    rpcfan_feed_start(b->feed);
    until(b, complete, NULL, "the snapshot");
    uint64_t gaps = b->status.gaps, notes = b->status.notes, heard_ns = rpcfan_now_ns();
    uint64_t began_ns = heard_ns, tip = b->status.tip, before = b->mark.watermark;
    while (b->status.gaps == gaps && rpcfan_now_ns() - began_ns < WAIT_NS) {
        turn(b);
        rpcfan_feed_status(b->feed, &b->status);
        if (b->status.notes == notes)
            continue;
        notes = b->status.notes;
        heard_ns = rpcfan_now_ns();
        tip = b->status.tip;
        before = b->mark.watermark;
    }
    if (b->status.gaps == gaps)
        die("never", "the stall was found");
    double found_s = (double)(rpcfan_now_ns() - heard_ns) / 1e9;
    bool lied = b->mark.watermark > tip; /* it rose past what nobody had told */
    until(b, past, &tip, "the watermark behind the stall");
    printf("found_s=%.2f repaired_s=%.2f lied=%d before=%llu why=\"%s\"\n", found_s,
           (double)(rpcfan_now_ns() - heard_ns) / 1e9, lied, (unsigned long long)before,
           b->status.why);
}

static enum rpcfan_err take_up(void *arg, const struct rpcfan_known *known, size_t n)
{
    struct bar *b = arg;
    b->events += n;
    return rpcfan_feed_seed(b->feed, known, n);
}

static void restart(struct bar *b, char **arg)
{
    sqlite3_stmt *s = NULL;
    sqlite3 *sql = NULL;
    struct rf_db *db = NULL;
    struct rpcfan_error err;
    if (sqlite3_open_v2(arg[0], &sql, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(sql, "SELECT subject, commitment FROM checkpoint", -1, &s, NULL) !=
            SQLITE_OK ||
        sqlite3_step(s) != SQLITE_ROW)
        die(arg[0], sqlite3_errmsg(sql));
    connect_to(b, "http://127.0.0.1:1", 0, 0);
    b->o.program = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
    make_feed(b);
    struct rf_db_options o = {.path = arg[0],
                              .identity = {.subject = (const char *)sqlite3_column_text(s, 0),
                                           .commitment = (const char *)sqlite3_column_text(s, 1)},
                              .read_only = true};
    uint64_t ns = rpcfan_now_ns();
    if (rf_db_open(&o, &db, &err) != RPCFAN_OK || rf_db_known(db, take_up, b, &err) != RPCFAN_OK)
        die(arg[0], err.text);
    printf("known=%llu restart_s=%.2f\n", (unsigned long long)b->events,
           (double)(rpcfan_now_ns() - ns) / 1e9);
    rf_db_close(db);
    sqlite3_finalize(s);
    sqlite3_close(sql);
}

static int64_t watermark(sqlite3 *sql)
{
    sqlite3_stmt *s = NULL;
    int64_t v = -1;
    if (sqlite3_prepare_v2(sql, "SELECT watermark FROM checkpoint", -1, &s, NULL) == SQLITE_OK &&
        sqlite3_step(s) == SQLITE_ROW)
        v = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return v;
}

/* The writer lets go of the lock for some us between two transactions: it is asked for without a
 * pause, until it is had. */
static void lock(struct bar *b, char **arg)
{
    sqlite3 *sql = NULL;
    uint64_t began_ns = rpcfan_now_ns();
    (void)b;
    if (sqlite3_open_v2(arg[0], &sql, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        die(arg[0], sqlite3_errmsg(sql));
    while (sqlite3_exec(sql, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        if (rpcfan_now_ns() - began_ns > WAIT_NS)
            die(arg[0], sqlite3_errmsg(sql));
    poll(NULL, 0, atoi(arg[1]) * 1000);
    int64_t before = watermark(sql);
    sqlite3_exec(sql, "COMMIT", NULL, NULL, NULL);
    began_ns = rpcfan_now_ns();
    while (watermark(sql) <= before && rpcfan_now_ns() - began_ns < WAIT_NS)
        poll(NULL, 0, 20);
    printf("goes_on_s=%.2f\n", (double)(rpcfan_now_ns() - began_ns) / 1e9);
    sqlite3_close(sql);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int args;
        void (*run)(struct bar *b, char **arg);
    } modes[] = {{"rows", 2, rows},   {"seed", 1, seed},       {"cut", 4, cut},
                 {"stall", 2, stall}, {"restart", 1, restart}, {"lock", 2, lock}};
    struct bar b = {0};
    for (size_t i = 0; argc > 1 && i < RF_COUNT(modes); i++) {
        if (strcmp(argv[1], modes[i].name) != 0 || argc != modes[i].args + 2)
            continue;
        modes[i].run(&b, argv + 2);
        rpcfan_feed_free(b.feed);
        rpcfan_client_free(b.client);
        return 0;
    }
    fprintf(stderr, "usage: feed_bar rows|seed|cut|stall|restart|lock ARG...\n");
    return 2;
}
