/* test_feed_worlds.c - the account feed against a cluster that forks, skips and jumps, nodes that
 * lag, stall, drop and lie, and wires that break: the invariants I1 to I9 and I13 to I18 (see
 * sim/vfeed.h), over a million slots in all. The bank tree decides.
 *
 * Each world is a row: what goes wrong in it, and what must hold all the same. It runs for SLOTS
 * slots with its faults, then for a while without, then falls silent; in the end every account
 * must be as the cluster has it. Environment: SEEDS (2) runs of each world from FIRST (1), SLOTS
 * (12000), WORLD: those alone whose name holds it, VERBOSE=1: figures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "sim/vfeed.h"

#if defined(__SANITIZE_THREAD__) /* each is dearer */
#define SLOTS 300
#define SEEDS 1
#elif defined(__SANITIZE_ADDRESS__)
#define SLOTS 1500
#define SEEDS 2
#else
#define SLOTS 12000
#define SEEDS 2
#endif
#define SLOT_NS (400 * RF_MS)
#define PER_S 50 /* messages that subscribe, where a world says nothing else: rather slow */
#define CALM                                                                                       \
    "drop=0 dup=0 reorder=0 stall=0 stall-all=0 half-open=0 close-ws=0 late-reply=0 truncate=0 "   \
    "garble=0 refuse=0 backlog=0 skew=0 torn=0 lie=0 lie-null=0 idle-ms=0 notify-ms=0 bad58=0 "    \
    "floorless=0"

/** A world. */
struct world {
    const char *name, *knobs;
    enum rpcfan_commitment commitment;
    enum rpcfan_encoding encoding;
    uint32_t accounts; /* 0: the program */
    uint32_t endpoints, copies;
    uint32_t subs_per_conn, conns, per_s;
    const char *filters;
    struct rf_vfeed_net net;
    struct rf_vfeed_consumer consumer; /* 0: 100 ms, 256 events */
    enum rpcfan_overflow overflow;
    uint64_t queue_events, queue_bytes;
    uint64_t sweep_ms, audit_ms; /* 0: 20 s, 2 s */
    uint32_t audit_keys;         /* 0: 10 */
    uint64_t lifetime_ns;
    struct rf_vfeed_checks checks;
    uint64_t settle_s; /* until all is as it should be; 0: 60 */
    uint64_t behind;   /* slots of the watermark in the end; 0: 100 */
    bool restarts, twins, stops, cuts, hurry;
};

/* The promises of a world in which nothing is lost in silence and nobody lies. */
#define TRUE_CHECKS .checks = {.strict = true, .honest = true, .stuck_ns = 180 * RF_SEC}

/* All faults at once that are not silent and no lies. */
#define EVERYTHING                                                                                 \
    "keys=60 programs=2 nodes=2 lag2=3000 fork=100 skip=100 dup=50 reorder=50 late-reply=100 "     \
    "id-reuse=1 truncate=1 garble=1 bad58=2 skew=50 torn=50 close-ws=2 notify-ms=100 "             \
    "floorless=20 root-hold=300 confirm-hold=200 regroup=200 refuse=10 latency-ms=30"
#define EVERYTHING_NET                                                                             \
    .net = {.lose = 3, .fail = 20, .stream_cut = 50, .behind_told = 100, .cut = 2, .no_open = 50}, \
    .endpoints = 2, .settle_s = 240

static const struct world worlds[] = {
    {.name = "everything",
     .knobs = EVERYTHING,
     EVERYTHING_NET,
     .copies = 2,
     .checks = {.strict = true, .honest = true, .stuck_ns = 900 * RF_SEC}},
    {.name = "everything-filtered",
     .knobs = EVERYTHING " scan-max=20 page-max=7 page-short=200 page-empty=100",
     .filters = "[{\"memcmp\":{\"offset\":0,\"bytes\":\"2\"}}]",
     EVERYTHING_NET,
     .checks = {.strict = true, .honest = true, .stuck_ns = 900 * RF_SEC}},
    {.name = "everything-accounts",
     .knobs = EVERYTHING,
     .accounts = 40,
     EVERYTHING_NET,
     .copies = 2,
     .subs_per_conn = 16,
     .checks = {.strict = true, .honest = true, .stuck_ns = 900 * RF_SEC}},
    {.name = "everything-finalized",
     .knobs = EVERYTHING,
     .commitment = RPCFAN_FINALIZED,
     EVERYTHING_NET,
     .checks = {.strict = true, .honest = true, .stuck_ns = 900 * RF_SEC}},
    {.name = "everything-finalized-accounts",
     .knobs = EVERYTHING,
     .commitment = RPCFAN_FINALIZED,
     .accounts = 40,
     EVERYTHING_NET,
     .checks = {.strict = true, .honest = true, .stuck_ns = 900 * RF_SEC}},
    {.name = "everything-processed",
     .knobs = EVERYTHING,
     .commitment = RPCFAN_PROCESSED,
     EVERYTHING_NET,
     .checks = {.strict = true, .honest = true, .stuck_ns = 900 * RF_SEC}},
    {.name = "everything-processed-accounts",
     .knobs = EVERYTHING,
     .commitment = RPCFAN_PROCESSED,
     .accounts = 40,
     EVERYTHING_NET,
     .checks = {.strict = true, .honest = true, .stuck_ns = 900 * RF_SEC}},
    {.name = "everything-restarted",
     .knobs = EVERYTHING,
     EVERYTHING_NET,
     .consumer = {.every_ns = 700 * RF_MS, .n = 20},
     .restarts = true,
     .checks = {.strict = true, .honest = true, .stuck_ns = 900 * RF_SEC}},
    {.name = "everything-silent",
     .knobs = EVERYTHING " drop=5 stall=1 stall-all=1 half-open=1 backlog=1 lie=5 lie-null=1",
     EVERYTHING_NET,
     .checks = {.stuck_ns = 900 * RF_SEC}},
    {.name = "zstd",
     .knobs = "keys=60 zstd=1 close-ws=3",
     .encoding = RPCFAN_BASE64_ZSTD,
     TRUE_CHECKS},
    {.name = "calm-program",
     .knobs = "keys=60",
     .checks = {true, true, 30 * RF_SEC, 45 * RF_SEC, false}},
    {.name = "calm-accounts",
     .knobs = "keys=60",
     .accounts = 60,
     .checks = {true, true, 30 * RF_SEC, 15 * RF_SEC, false}},
    {.name = "leaving",
     .knobs = "keys=60 programs=2 reassign=200 close=50 reopen=50",
     .checks = {true, true, 30 * RF_SEC, 45 * RF_SEC, false}},
    {.name = "filtered",
     .knobs = "keys=60 regroup=400 resize=50",
     .filters = "[{\"memcmp\":{\"offset\":0,\"bytes\":\"2\"}},{\"dataSize\":165}]",
     .checks = {true, true, 40 * RF_SEC, 60 * RF_SEC, false}},
    {.name = "cut-program",
     .knobs = "keys=60 close-ws=5 fork=50 skip=100",
     .net = {.cut = 10, .no_open = 200},
     .checks = {.strict = true, .honest = true, .stuck_ns = 180 * RF_SEC}},
    {.name = "cut-accounts",
     .knobs = "keys=60 close-ws=5 fork=50 skip=100",
     .accounts = 40,
     .subs_per_conn = 15,
     .net = {.cut = 10, .no_open = 200},
     .checks = {.strict = true, .honest = true, .stuck_ns = 180 * RF_SEC}},
    {.name = "two-copies",
     .knobs = "keys=60 nodes=2 lag2=1500 close-ws=10",
     .endpoints = 2,
     .copies = 2,
     .net = {.cut = 10},
     TRUE_CHECKS},
    {.name = "two-copies-accounts",
     .knobs = "keys=60 nodes=2 lag2=1500 close-ws=10",
     .accounts = 30,
     .endpoints = 2,
     .copies = 2,
     .net = {.cut = 10},
     TRUE_CHECKS},
    {.name = "jumbled",
     .knobs = "keys=60 dup=100 reorder=100 reorder-ms=300 late-reply=300 id-reuse=1 close-ws=5",
     TRUE_CHECKS},
    {.name = "jumbled-accounts",
     .knobs = "keys=60 dup=100 reorder=100 reorder-ms=300 late-reply=300 id-reuse=1 close-ws=5",
     .accounts = 50,
     TRUE_CHECKS},
    {.name = "spoiled",
     .knobs = "keys=60 truncate=2 garble=2 bad58=10",
     .checks = {.strict = true, .honest = true, .stuck_ns = 120 * RF_SEC}},
    {.name = "spoiled-accounts",
     .knobs = "keys=60 truncate=2 garble=2 bad58=10",
     .accounts = 40,
     .checks = {.strict = true, .honest = true, .stuck_ns = 120 * RF_SEC}},
    {.name = "lagging",
     .knobs = "keys=60 nodes=2 lag2=6000 close-ws=5",
     .endpoints = 2,
     .net = {.behind_told = 300},
     TRUE_CHECKS},
    {.name = "floorless",
     .knobs = "keys=60 nodes=2 lag2=4000 floorless=300 close-ws=5",
     .endpoints = 2,
     TRUE_CHECKS},
    {.name = "floorless-accounts",
     .knobs = "keys=60 nodes=2 lag2=4000 floorless=300 close-ws=5",
     .accounts = 40,
     .endpoints = 2,
     TRUE_CHECKS},
    {.name = "late-notifier",
     .knobs = "keys=60 notify-ms=800 nodes=2 lag2=4000 close-ws=5",
     .endpoints = 2,
     TRUE_CHECKS},
    {.name = "late-notifier-accounts",
     .knobs = "keys=60 notify-ms=800 nodes=2 lag2=4000 close-ws=5",
     .accounts = 40,
     .endpoints = 2,
     TRUE_CHECKS},
    {.name = "mixed",
     .knobs = "keys=60 nodes=2 lag2=1200 mix=1 close-ws=5",
     .endpoints = 2,
     TRUE_CHECKS},
    {.name = "mixed-accounts",
     .knobs = "keys=60 nodes=2 lag2=1200 mix=1 close-ws=5",
     .accounts = 40,
     .endpoints = 2,
     TRUE_CHECKS},
    {.name = "silent",
     .knobs = "keys=60 drop=5 stall=2 stall-all=1 half-open=1 backlog=2",
     .checks = {.honest = true, .stuck_ns = 240 * RF_SEC, .stale_ns = 120 * RF_SEC},
     .settle_s = 120},
    {.name = "silent-accounts",
     .knobs = "keys=60 drop=5 stall=2 stall-all=1 half-open=1",
     .accounts = 30,
     .audit_ms = 1000,
     .checks = {.honest = true, .stuck_ns = 240 * RF_SEC, .stale_ns = 120 * RF_SEC},
     .settle_s = 120},
    {.name = "misread", .knobs = "keys=60 skew=200 torn=200 close-ws=5", TRUE_CHECKS},
    {.name = "misread-accounts",
     .knobs = "keys=60 skew=200 torn=200 close-ws=5",
     .accounts = 40,
     TRUE_CHECKS},
    {.name = "lies",
     .knobs = "keys=60 lie=50 lie-null=10 close-ws=5",
     .checks = {.stuck_ns = 240 * RF_SEC},
     .settle_s = 120},
    {.name = "slow-consumer",
     .knobs = "keys=200 writes=40 close-ws=2",
     .consumer = {.every_ns = 2 * RF_SEC, .n = 64},
     .checks = {.strict = true, .honest = true},
     .queue_events = 100,
     .stops = true},
    {.name = "slow-oldest",
     .knobs = "keys=200 writes=40 close-ws=2",
     .consumer = {.every_ns = 2 * RF_SEC, .n = 64},
     .overflow = RPCFAN_DROP_OLDEST,
     .checks = {.strict = true, .honest = true},
     .queue_events = 100,
     .stops = true},
    {.name = "slow-newest",
     .knobs = "keys=200 writes=40 close-ws=2",
     .consumer = {.every_ns = 2 * RF_SEC, .n = 64},
     .overflow = RPCFAN_DROP_NEWEST,
     .checks = {.strict = true, .honest = true},
     .queue_events = 1000,
     .queue_bytes = 40000,
     .stops = true},
    {.name = "slow-block",
     .knobs = "keys=200 writes=40 close-ws=2",
     .consumer = {.every_ns = 2 * RF_SEC, .n = 64},
     .overflow = RPCFAN_BLOCK,
     .checks = {.strict = true, .honest = true},
     .queue_events = 100,
     .stops = true},
    {.name = "bad-reads",
     .knobs = "keys=60 close-ws=5",
     .net = {.lose = 50, .fail = 150, .stream_cut = 300, .behind_told = 500},
     .checks = {.strict = true, .honest = true, .stuck_ns = 600 * RF_SEC},
     .settle_s = 120},
    {.name = "bad-reads-accounts",
     .knobs = "keys=60 close-ws=5 inputs=7",
     .accounts = 60,
     .net = {.lose = 50, .fail = 150, .behind_told = 500},
     .checks = {.strict = true, .honest = true, .stuck_ns = 600 * RF_SEC},
     .settle_s = 120},
    {.name = "pages",
     .knobs = "keys=60 scan-max=20 page-max=7 page-short=200 page-empty=100 close-ws=5 inputs=10",
     .net = {.fail = 20},
     .checks = {.strict = true, .honest = true, .stuck_ns = 120 * RF_SEC}},
    {.name = "keys-first",
     .knobs = "keys=60 v2=0 scan-bytes=2000 close-ws=5",
     .checks = {.strict = true, .honest = true, .stuck_ns = 120 * RF_SEC}},
    {.name = "shards",
     .knobs = "keys=60 v2=0 scan-rows=30 close-ws=2 regroup=300",
     .checks = {.strict = true, .honest = true, .stuck_ns = 240 * RF_SEC},
     .settle_s = 120},
    {.name = "restarts",
     .knobs = "keys=60 close-ws=2 close=50",
     .checks = {.strict = true, .honest = true, .stuck_ns = 180 * RF_SEC},
     .restarts = true},
    {.name = "restarts-accounts",
     .knobs = "keys=60 close-ws=2 close=50",
     .accounts = 40,
     .checks = {.strict = true, .honest = true, .stuck_ns = 180 * RF_SEC},
     .restarts = true},
    {.name = "finalized",
     .knobs = "keys=60 root-hold=300 fork=100 skip=100 close-ws=3",
     .commitment = RPCFAN_FINALIZED,
     .checks = {.strict = true, .honest = true, .stuck_ns = 180 * RF_SEC}},
    {.name = "finalized-accounts",
     .knobs = "keys=60 root-hold=300 fork=100 skip=100 close-ws=3",
     .commitment = RPCFAN_FINALIZED,
     .accounts = 40,
     .checks = {.strict = true, .honest = true, .stuck_ns = 180 * RF_SEC}},
    {.name = "processed",
     .knobs = "keys=60 fork=200 fork-depth=5 close-ws=3",
     .commitment = RPCFAN_PROCESSED,
     TRUE_CHECKS},
    {.name = "processed-accounts",
     .knobs = "keys=60 fork=200 fork-depth=5 close-ws=3",
     .commitment = RPCFAN_PROCESSED,
     .accounts = 40,
     TRUE_CHECKS},
    {.name = "forks-exact",
     .knobs = "keys=40 fork=300 fork-depth=5 skip=0 slot-ms=2000",
     .commitment = RPCFAN_PROCESSED,
     .hurry = true,
     .settle_s = 240,
     .checks = {.honest = true, .strict = true, .fork_exact = true}},
    {.name = "forks-exact-accounts",
     .knobs = "keys=40 fork=300 fork-depth=5 skip=0 slot-ms=2000",
     .commitment = RPCFAN_PROCESSED,
     .accounts = 40,
     .hurry = true,
     .settle_s = 240,
     .checks = {.honest = true, .strict = true, .fork_exact = true}},
    {.name = "limits",
     .knobs = "keys=120 subs-max=20 refuse=100 close-ws=2 ws-batch=0",
     .accounts = 120,
     .subs_per_conn = 20,
     .conns = 8,
     .checks = {.strict = true, .honest = true, .stuck_ns = 240 * RF_SEC},
     .settle_s = 120},
    {.name = "planned",
     .knobs = "keys=60",
     .lifetime_ns = 20 * RF_SEC,
     .checks = {true, true, 30 * RF_SEC, 45 * RF_SEC, false}},
    {.name = "planned-accounts",
     .knobs = "keys=60",
     .accounts = 40,
     .lifetime_ns = 20 * RF_SEC,
     .checks = {true, true, 30 * RF_SEC, 15 * RF_SEC, false}},
    {.name = "twins",
     .knobs = "keys=40 close-ws=2 late-reply=200",
     .accounts = 20,
     .twins = true,
     TRUE_CHECKS},
    {.name = "unread",
     .knobs = "keys=100 writes=40",
     .net = {.unread = 60, .ws_ns = 200 * RF_MS},
     .checks = {.strict = true, .honest = true}},
    {.name = "outages",
     .knobs = "keys=100 writes=10",
     .net = {.no_open = 500},
     .cuts = true,
     .checks = {.strict = true, .honest = true, .stuck_ns = 240 * RF_SEC}},
    {.name = "idle-closed",
     .knobs = "keys=30 writes=1 idle-ms=20000",
     .checks = {.strict = true, .honest = true, .stuck_ns = 180 * RF_SEC}},
};

static uint64_t env(const char *name, uint64_t def)
{
    const char *text = getenv(name);
    return text == NULL ? def : strtoull(text, NULL, 10);
}

static uint64_t or (uint64_t v, uint64_t def)
{
    return v == 0 ? def : v;
}

static struct rf_vfeed *make_world(const struct world *d, uint64_t seed)
{
    struct rf_vfeed_options o = {.seed = seed,
                                 .knobs = d->knobs,
                                 .accounts = d->accounts,
                                 .endpoints = d->endpoints == 0 ? 1 : d->endpoints,
                                 .subs_per_conn = d->subs_per_conn,
                                 .conns = d->conns,
                                 .per_s = d->per_s > 0 ? d->per_s : PER_S,
                                 .lifetime_ns = d->lifetime_ns,
                                 .net = d->net,
                                 .consumer = d->consumer,
                                 .checks = d->checks};
    struct rpcfan_error err = {0};
    struct rf_vfeed *w;
    o.net.ws_ns = or (o.net.ws_ns, 10 * RF_MS);
    o.net.http_ns = or (o.net.http_ns, 20 * RF_MS);
    o.consumer.every_ns = or (o.consumer.every_ns, d->hurry ? 10 * RF_MS : 100 * RF_MS);
    o.consumer.n = o.consumer.n == 0 ? 256 : o.consumer.n;
    rpcfan_feed_options_init(&o.feed);
    o.feed.commitment = d->commitment;
    o.feed.encoding = d->encoding;
    o.feed.filters = d->filters;
    o.feed.copies = d->copies == 0 ? 1 : d->copies;
    o.feed.overflow = d->overflow;
    o.feed.queue_events = or (d->queue_events, o.feed.queue_events);
    o.feed.queue_bytes = or (d->queue_bytes, o.feed.queue_bytes);
    o.feed.sweep_ms = or (d->sweep_ms, 20000);
    o.feed.audit_ms = or (d->audit_ms, 2000);
    o.feed.audit_keys = d->audit_keys == 0 ? 10 : d->audit_keys;
    o.feed.calls = 4;
    if (rf_vfeed_new(&o, &w, &err) != RPCFAN_OK)
        fail_msg("%s: %s", d->name, err.text);
    return w;
}

/* What happens in a world besides its faults: now and then the process is killed, a second feed
 * comes or goes, the consumer stops, all connections break at once. */
static void happen(const struct world *d, struct rf_vfeed *w, struct rf_rng *rng)
{
    if (d->restarts && rf_rng_below(rng, 4) == 0)
        rf_vfeed_restart(w, rf_rng_below(rng, 2) == 0);
    if (d->twins)
        rf_vfeed_twin(w, rf_rng_below(rng, 2) == 0);
    if (d->cuts && rf_rng_below(rng, 3) == 0)
        rf_vfeed_cut(w);
    if (d->stops) {
        bool stop = rf_rng_below(rng, 4) == 0;
        rf_vfeed_consumer(w)->every_ns = stop ? 60 * RF_SEC : d->consumer.every_ns;
    }
}

/* Two feeds of the same accounts share what is on the wire (I13). */
static void check_shared(const struct world *d, struct rf_vfeed *w)
{
    struct rf_subs_counters c;
    rf_vfeed_subs(w, &c);
    assert_true(c.subs == d->accounts || c.subs == 2 * d->accounts);
    assert_int_equal(c.wire, d->accounts);
}

/* The figures of a run, where they are asked for. */
static void show(const struct world *d, uint64_t seed, struct rf_vfeed *w, double cpu)
{
    const struct rf_vfeed_book *b = rf_vfeed_book(w);
    const struct rf_validator_count *v = rf_validator_counted(rf_vfeed_validator(w));
    struct rpcfan_feed_status s;
    struct rf_subs_counters c;
    rf_vfeed_status(w, 0, &s);
    rf_vfeed_subs(w, &c);
    printf("%-20s %llu: %.2f s, %llu slots, %llu events (%llu create %llu close %llu left), %llu "
           "calls, %llu opened, gaps %llu repairs %llu missed %llu stale %llu malformed %llu "
           "conflated %llu dropped %llu restarts %llu; forks %llu lost %llu stalled %llu; %s\n",
           d->name, (unsigned long long)seed, cpu, (unsigned long long)v->slots,
           (unsigned long long)b->events, (unsigned long long)b->by_kind[1],
           (unsigned long long)b->by_kind[3], (unsigned long long)b->by_kind[4],
           (unsigned long long)b->calls, (unsigned long long)b->opened, (unsigned long long)s.gaps,
           (unsigned long long)s.repairs, (unsigned long long)s.missed, (unsigned long long)s.stale,
           (unsigned long long)s.malformed, (unsigned long long)s.conflated,
           (unsigned long long)s.dropped, (unsigned long long)b->restarts,
           (unsigned long long)v->forks, (unsigned long long)(v->dropped + v->pruned),
           (unsigned long long)v->stalled, s.state);
}

/* All faults end; then nothing is written any more. */
static const char *settle(const struct world *d, struct rf_vfeed *w)
{
    struct rf_vfeed_net *net = rf_vfeed_net(w);
    net->lose = net->fail = net->stream_cut = net->behind_told = net->cut = net->no_open = 0;
    net->unread = 0;
    rf_vfeed_consumer(w)->every_ns = 100 * RF_MS;
    rf_vfeed_knobs(w, CALM);
    const char *bad = rf_vfeed_run(w, 30 * RF_SEC);
    rf_vfeed_knobs(w, "writes=0 fork=0");
    if (bad == NULL)
        bad = rf_vfeed_run(w, or (d->settle_s, 60) * RF_SEC);
    return bad == NULL ? rf_vfeed_settled(w, or (d->behind, 100)) : bad;
}

static uint64_t run_world(const struct world *d, uint64_t seed, uint64_t slots)
{
    struct rf_vfeed *w = make_world(d, seed);
    struct rf_rng rng;
    const char *bad = NULL;
    clock_t from = clock();
    rf_rng_init(&rng, seed);
    for (uint64_t ns = 0; ns < slots * SLOT_NS && bad == NULL;) {
        uint64_t some = RF_SEC + rf_rng_below(&rng, 40 * RF_SEC);
        bad = rf_vfeed_run(w, some);
        if (d->twins && bad == NULL)
            check_shared(d, w);
        happen(d, w, &rng);
        ns += some;
    }
    if (bad == NULL)
        bad = settle(d, w);
    uint64_t hash = rf_vfeed_hash(w);
    if (getenv("VERBOSE") != NULL || bad != NULL)
        show(d, seed, w, (double)(clock() - from) / CLOCKS_PER_SEC);
    if (bad != NULL) {
        print_error("world %s, seed %llu: %s\n", d->name, (unsigned long long)seed, bad);
        rf_vfeed_free(w);
        fail();
    }
    rf_vfeed_free(w);
    return hash;
}

static void test_feed_world(void **state)
{
    const struct world *d = *state;
    uint64_t first = env("FIRST", 1), n = env("SEEDS", SEEDS);
    for (uint64_t seed = first; seed < first + n; seed++)
        run_world(d, seed, env("SLOTS", SLOTS));
}

/* The same seed gives the same run, to the last event. */
static void test_feed_world_same_seed(void **state)
{
    (void)state;
    uint64_t a = run_world(&worlds[0], 77, 500);
    assert_true(a == run_world(&worlds[0], 77, 500));
    assert_true(a != run_world(&worlds[0], 78, 500));
}

static uint64_t opened(struct rf_vfeed *w)
{
    return rf_vfeed_book(w)->opened;
}

/* Only the audit can see that a subscription tells nothing any more while the slots go on: with the
 * defaults it does within 30 s, and ends the connection; after that nothing is late. */
static void test_feed_world_stalls(void **state)
{
    (void)state;
    static const struct world d = {.name = "stalls",
                                   .knobs = "keys=60",
                                   .sweep_ms = 600000,
                                   .audit_ms = 10000,
                                   .audit_keys = 5,
                                   .checks = {.honest = true}};
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct rf_vfeed *w = make_world(&d, seed);
        const char *bad = rf_vfeed_run(w, 30 * RF_SEC + seed * RF_SEC);
        uint64_t before = opened(w);
        rf_vfeed_knobs(w, "stall=1000");
        for (int i = 0; i < 20 && rf_validator_counted(rf_vfeed_validator(w))->stalled == 0; i++)
            bad = bad == NULL ? rf_vfeed_run(w, SLOT_NS) : bad;
        rf_vfeed_knobs(w, "stall=0 close=0 reassign=0 regroup=0 resize=0");
        uint64_t from = rf_vfeed_now(w);
        while (bad == NULL && opened(w) == before && rf_vfeed_now(w) < from + 60 * RF_SEC)
            bad = rf_vfeed_run(w, SLOT_NS);
        if (getenv("VERBOSE") != NULL)
            printf("found after %.1f s\n", (double)(rf_vfeed_now(w) - from) / (double)RF_SEC);
        assert_in_range(rf_vfeed_now(w) - from, 1, 30 * RF_SEC);
        if (bad == NULL)
            bad = rf_vfeed_run(w, 20 * RF_SEC);
        rf_vfeed_checks(w)->stale_ns = 8 * RF_SEC;
        if (bad == NULL)
            bad = rf_vfeed_run(w, 40 * RF_SEC);
        if (bad != NULL)
            fail_msg("stalls, seed %llu: %s", (unsigned long long)seed, bad);
        rf_vfeed_free(w);
    }
}

/* 5,000 accounts: all connections break at once; how long until all of it is proved again? The
 * subscriptions alone are 200 messages. */
static void test_feed_world_repairs_5000(void **state)
{
    (void)state;
    static const struct world d = {.name = "repairs-5000",
                                   .knobs = "keys=5000 writes=50",
                                   .accounts = 5000,
                                   .subs_per_conn = 1000,
                                   .per_s = 100,
                                   .audit_ms = 10000,
                                   .hurry = true,
                                   .checks = {.strict = true, .honest = true}};
    struct rf_vfeed *w = make_world(&d, 1);
    struct rpcfan_feed_status s;
    const char *bad = rf_vfeed_run(w, 30 * RF_SEC);
    rf_vfeed_cut(w);
    uint64_t from = rf_vfeed_now(w), cut = rf_validator_banks(rf_vfeed_validator(w))->confirmed;
    do {
        bad = bad == NULL ? rf_vfeed_run(w, 100 * RF_MS) : bad;
        rf_vfeed_status(w, 0, &s);
    } while (bad == NULL && s.watermark <= cut && rf_vfeed_now(w) < from + 60 * RF_SEC);
    if (bad != NULL)
        fail_msg("%s", bad);
    double took = (double)(rf_vfeed_now(w) - from) / (double)RF_SEC;
    if (getenv("VERBOSE") != NULL)
        printf("5,000 accounts subscribed to and read again after %.1f s\n", took);
    assert_true(took < 5);
    rf_vfeed_free(w);
}

int main(void)
{
    static struct CMUnitTest tests[RF_COUNT(worlds) + 3];
    const char *only = getenv("WORLD");
    size_t n = 0;
    for (size_t i = 0; i < RF_COUNT(worlds); i++)
        if (only == NULL || strstr(worlds[i].name, only) != NULL)
            tests[n++] = (struct CMUnitTest){.name = worlds[i].name,
                                             .test_func = test_feed_world,
                                             .initial_state = (void *)(uintptr_t)&worlds[i]};
    if (only == NULL)
        tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_feed_world_same_seed);
    if (only == NULL || strcmp(only, "repairs") == 0)
        tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_feed_world_repairs_5000);
    if (only == NULL || strcmp(only, "stalls") == 0)
        tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_feed_world_stalls);
    return _cmocka_run_group_tests("feed worlds", tests, n, NULL, NULL);
}
