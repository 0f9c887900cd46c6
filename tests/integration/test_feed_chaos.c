/* test_feed_chaos.c - account feeds and their databases over real sockets whose connections end all
 * the time, in every way, while accounts change: whenever a watermark has moved, the database is
 * read and held against the validator's bank tree, account by account.
 *
 * Eight riders share one cluster of two nodes: program and accounts, at each commitment, and with
 * two copies. The weather changes every few seconds: connections that are reset, cut in the middle
 * of a frame, silent or spoiled; jumbled notifications; refused handshakes; broken, limited and
 * missing HTTP. Environment: CUTS (100) connections that end, SEED (1), VERBOSE=1: figures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "accountdb.h"
#include "base/rng.h"
#include "rpcfan/feed.h"
#include "sim/node.h"
#include "sim/validator.h"
#include "sink/sqlite.h"

#define KEYS 240     /* of the program */
#define ACCOUNTS 200 /* of them those that are asked for by name */
#define TAKE 256
#define HURTS 512
#define DATA_MAX (64u * 1024)
#define STUCK_NS (60 * RF_SEC)
#define SETTLE_NS (60 * RF_SEC)
#define WORLD                                                                                      \
    "keys=240 nodes=2 lag2=120 slot-ms=40 writes=15 close=40 reassign=20 reopen=20 fork=30 "       \
    "finalize-lag=16 history=4000"
#define CALM                                                                                       \
    "knobs drop=0 dup=0 reorder=0 stall=0 half-open=0 close-ws=0 late-reply=0 truncate=0 "         \
    "garble=0\n"

/** What one rider follows. */
struct seat {
    const char *name;
    bool program;
    enum rpcfan_commitment commitment;
    uint32_t copies, ws_subs;
};

static const struct seat seats[] = {
    {"program", true, RPCFAN_CONFIRMED, 1, 100},
    {"accounts", false, RPCFAN_CONFIRMED, 1, 50},
    {"program-twice", true, RPCFAN_CONFIRMED, 2, 100},
    {"accounts-twice", false, RPCFAN_CONFIRMED, 2, 100},
    {"program-processed", true, RPCFAN_PROCESSED, 1, 100},
    {"accounts-processed", false, RPCFAN_PROCESSED, 1, 100},
    {"program-finalized", true, RPCFAN_FINALIZED, 1, 100},
    {"accounts-finalized", false, RPCFAN_FINALIZED, 1, 100},
};
#define RIDERS RF_COUNT(seats)

struct rider {
    const struct seat *seat;
    struct world *w;
    rpcfan_client_t *client;
    rpcfan_feed_t *feed;
    struct rf_db *db;
    struct account_reader reader; /* another connection: what is committed */
    struct account_row row[KEYS];
    struct rpcfan_feed_mark mark;
    struct rpcfan_buffer data;
    uint64_t gaps, moved_ns;
    uint64_t hurt[HURTS]; /* the tip at each gap that the watermark has not passed yet */
    unsigned n_hurt;
    uint64_t events, healed, checks;
    bool final; /* of the oracle: compare with the bank of the level itself */
    char bad[300];
};

struct world {
    struct rf_node *node;
    char dir[64], url[2][80];
    struct account_keys keys;
    struct rider rider[RIDERS];
    struct rf_rng rng;
    bool strict;
    unsigned weather;
    uint64_t weather_ns, began_ns;
};

/* The oracle, on the node's thread. */

struct question {
    const struct rider *r;
    struct rf_validator *v;
    const struct rf_banks *banks;
    uint32_t key;
};

static bool in_scope(const struct question *q, const struct rf_bank_state *s)
{
    struct rpcfan_slice none = {NULL, 0};
    if (s == NULL || s->lamports == 0)
        return false;
    return !q->r->seat->program || rf_validator_match(q->v, q->key, s, 0, none);
}

/* Whether a state is what the database says. */
static bool says(void *arg, const struct rf_bank_state *s)
{
    const struct question *q = arg;
    const struct account_row *row = &q->r->row[q->key];
    return in_scope(q, s) ? row->there && row->hash == s->hash : !row->there;
}

static bool held(struct question *q, enum rpcfan_commitment c, uint64_t from)
{
    return rf_banks_held(q->banks, rf_banks_at(q->banks, c), q->key, from, says, q);
}

/* Whether what the database says was true at a slot or later; at processed, on any fork. */
static bool true_since(struct question *q, uint64_t from)
{
    const struct rf_bank_key *k = &q->banks->key[q->key];
    if (q->r->seat->commitment != RPCFAN_PROCESSED)
        return held(q, q->r->seat->commitment, from);
    for (uint32_t i = k->n; i-- > 0 && k->version[i].slot >= from;)
        if (says(q, &k->version[i]))
            return true;
    return held(q, RPCFAN_PROCESSED, from) || held(q, RPCFAN_FINALIZED, from);
}

/* Nodes do not tell subscribers of a program what leaves it; the sweep finds that, in its time. */
static bool left_unseen(struct question *q, uint64_t from)
{
    const struct rf_bank *bank = rf_banks_at(q->banks, q->r->seat->commitment);
    const struct rf_bank_key *k = &q->banks->key[q->key];
    bool left = false;
    if (!q->r->seat->program || !q->r->row[q->key].there)
        return false;
    for (uint32_t i = k->n; i-- > 0 && !left;) {
        const struct rf_bank_state *s = &k->version[i];
        if (!rf_banks_of_chain(bank, s))
            continue;
        left = !in_scope(q, s);
        if (s->slot <= from)
            break;
    }
    return left && true_since(q, 0);
}

static void oracle(struct rf_validator *v, uint64_t now_ns, void *arg)
{
    struct rider *r = arg;
    struct question q = {r, v, rf_validator_banks(v), 0};
    const struct rf_bank *bank = rf_banks_at(q.banks, r->seat->commitment);
    uint64_t from = r->final ? bank->slot : r->mark.watermark;
    (void)now_ns;
    r->bad[0] = '\0';
    if (r->mark.watermark > bank->slot)
        snprintf(r->bad, sizeof r->bad, "the watermark is %llu and the cluster is at %llu",
                 (unsigned long long)r->mark.watermark, (unsigned long long)bank->slot);
    for (q.key = 0; q.key < (r->seat->program ? KEYS : ACCOUNTS); q.key++) {
        bool good = r->final ? says(&q, rf_banks_state(q.banks, bank, q.key))
                             : true_since(&q, from) || left_unseen(&q, from);
        r->checks++;
        if (!good && r->bad[0] == '\0')
            snprintf(r->bad, sizeof r->bad, "slot %llu: account %u is %s as of slot %llu",
                     (unsigned long long)from, q.key, r->row[q.key].there ? "there" : "gone",
                     (unsigned long long)r->row[q.key].slot);
    }
}

static void tell_tip(struct rf_validator *v, uint64_t now_ns, void *arg)
{
    (void)now_ns;
    *(uint64_t *)arg = rf_validator_banks(v)->tip;
}

/* The database. */

static void put(struct rider *r, const struct rpcfan_account_event *ev)
{
    struct rpcfan_account account;
    struct rpcfan_error err = {0};
    bool gone = ev->kind == RPCFAN_ACCOUNT_CLOSE || ev->kind == RPCFAN_ACCOUNT_LEFT;
    if (!gone && rpcfan_account_read(ev->json, DATA_MAX, &r->data, &account) != RPCFAN_OK)
        fail_msg("%s: an event that is no account: %.*s", r->seat->name,
                 ev->json.len > 200 ? 200 : (int)ev->json.len, ev->json.data);
    if (rf_db_put(r->db, ev, gone ? NULL : &account, &err) != RPCFAN_OK)
        fail_msg("%s: %s", r->seat->name, err.text);
    r->events++;
}

/* Riders. */

static void status_of(struct rider *r, struct rpcfan_feed_status *s)
{
    rpcfan_feed_status(r->feed, s);
    if (s->gaps > r->gaps && r->n_hurt < HURTS)
        r->hurt[r->n_hurt++] = s->tip;
    r->gaps = s->gaps;
}

/* Hold the database against the cluster. @return whether all is as it must be. */
static bool verify(struct rider *r)
{
    account_reader_all(&r->reader, &r->w->keys, r->row);
    rf_node_oracle(r->w->node, oracle, r);
    return r->bad[0] == '\0';
}

static void moved(struct rider *r)
{
    unsigned left = 0;
    r->moved_ns = rpcfan_now_ns();
    if (!r->w->strict)
        return;
    if (!verify(r))
        fail_msg("%s: %s", r->seat->name, r->bad);
    for (unsigned i = 0; i < r->n_hurt; i++)
        if (r->hurt[i] > r->mark.watermark)
            r->hurt[left++] = r->hurt[i];
    r->healed += r->n_hurt - left;
    r->n_hurt = left;
}

static void take(struct rider *r)
{
    struct rpcfan_account_event ev[TAKE];
    struct rpcfan_error err = {0};
    struct rpcfan_feed_status s;
    uint64_t watermark = r->mark.watermark;
    size_t n;
    status_of(r, &s);
    do {
        n = rpcfan_feed_take(r->feed, ev, TAKE, &r->mark);
        for (size_t i = 0; i < n; i++)
            put(r, &ev[i]);
        rpcfan_feed_release(ev, n);
        if (rf_db_commit(r->db, &r->mark, &err) != RPCFAN_OK)
            fail_msg("%s: %s", r->seat->name, err.text);
    } while (n == TAKE);
    assert_int_equal(rf_db_counters(r->db)->stale, 0);
    assert_true(r->mark.watermark >= watermark);
    if (r->mark.failed != RPCFAN_OK)
        fail_msg("%s has given up: %s", r->seat->name, s.why);
    if (r->mark.watermark > watermark)
        moved(r);
    if (rpcfan_now_ns() - r->moved_ns > STUCK_NS)
        fail_msg("%s stands still at %llu of %llu: %s, %s", r->seat->name,
                 (unsigned long long)r->mark.watermark, (unsigned long long)s.tip, s.state, s.why);
}

/* Wait for news, and take them. */
static void turn(struct world *w)
{
    struct pollfd p[RIDERS];
    for (size_t i = 0; i < RIDERS; i++)
        p[i] = (struct pollfd){.fd = rpcfan_feed_fd(w->rider[i].feed), .events = POLLIN};
    poll(p, RIDERS, 100);
    for (size_t i = 0; i < RIDERS; i++)
        take(&w->rider[i]);
}

static void connect_rider(struct rider *r, uint64_t seed)
{
    struct rpcfan_options o;
    struct rpcfan_network_options network;
    struct rpcfan_endpoint_options endpoint[2];
    struct rpcfan_error err;
    rpcfan_options_init(&o);
    rpcfan_network_options_init(&network);
    for (unsigned i = 0; i < 2; i++) {
        rpcfan_endpoint_options_init(&endpoint[i]);
        endpoint[i].url = r->w->url[i];
        endpoint[i].proxy = "";
        endpoint[i].timeout_ms = 2000;
        endpoint[i].ws_subs = r->seat->ws_subs;
        endpoint[i].ws_retry_ms = 150;
    }
    network.family = RPCFAN_SOLANA;
    network.endpoints = endpoint;
    network.n_endpoints = r->seat->copies;
    o.networks = &network;
    o.n_networks = 1;
    o.seed = seed;
    if (rpcfan_client_new(&o, &r->client, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
}

static void open_files(struct rider *r)
{
    char path[160];
    struct rpcfan_error err;
    snprintf(path, sizeof path, "%s/%s.sqlite", r->w->dir, r->seat->name);
    struct rf_db_options o = {.path = path,
                              .identity = {"chaos", r->seat->name, "any"},
                              .by_seq = r->seat->commitment == RPCFAN_PROCESSED};
    if (rf_db_open(&o, &r->db, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
    account_reader_open(&r->reader, path);
}

static void start_rider(struct world *w, unsigned i, uint64_t seed)
{
    struct rider *r = &w->rider[i];
    struct rpcfan_feed_options o;
    struct rpcfan_error err;
    const char *keys[ACCOUNTS];
    r->w = w;
    r->seat = &seats[i];
    connect_rider(r, seed + i);
    open_files(r);
    rpcfan_feed_options_init(&o);
    for (unsigned k = 0; k < ACCOUNTS; k++)
        keys[k] = w->keys.text[k];
    o.program = r->seat->program ? w->keys.program : NULL;
    o.accounts = r->seat->program ? NULL : keys;
    o.n_accounts = r->seat->program ? 0 : ACCOUNTS;
    o.commitment = r->seat->commitment;
    o.copies = r->seat->copies;
    o.sweep_ms = 2000;
    o.audit_ms = 1000;
    o.audit_keys = 50;
    if (rpcfan_feed_new(r->client, &o, &r->feed, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
    r->moved_ns = rpcfan_now_ns();
    rpcfan_feed_start(r->feed);
}

static void stop_rider(struct rider *r)
{
    char path[160];
    static const char *const parts[] = {"", "-wal", "-shm"};
    rpcfan_feed_free(r->feed);
    rpcfan_client_free(r->client);
    account_reader_close(&r->reader);
    rf_db_close(r->db);
    rpcfan_free(r->data.data);
    for (unsigned i = 0; i < RF_COUNT(parts); i++) {
        snprintf(path, sizeof path, "%s/%s.sqlite%s", r->w->dir, r->seat->name, parts[i]);
        unlink(path);
    }
}

/* The weather. What nothing loses in silence, and what does. */

#define CUTS_SOON                                                                                  \
    "fault ws-close p=0.34 in=0ms..7s how=reset\nfault ws-close p=0.5 in=0ms..7s how=fin\n"        \
    "fault ws-close in=0ms..7s how=frame\n"
#define CUTS_LATER "fault ws-close p=0.7 in=1s..6s how=reset\n"

static const char *const rough[] = {
    CUTS_SOON,
    "fault ws-close p=0.5 after=1..300 how=reset\nfault ws-close after=1..600 how=frame\n",
    "fault ws-cut p=0.002\nfault ws-bad-json p=0.002\n" CUTS_LATER,
    "fault ws-bad-frame value=opcode p=0.001\nknobs truncate=1 garble=1\n" CUTS_LATER,
    "fault ws-stall p=0.4 in=500ms..2s\nfault ws-stall p=0.3 in=500ms..2s pongs=no\n" CUTS_LATER,
    "knobs dup=100 reorder=100 reorder-ms=200 late-reply=300 close-ws=20\n",
    "fault http-error status=503 p=0.2\nfault html p=0.1\nfault reset after=300 p=0.1\n"
    "fault truncate p=0.1\n" CUTS_SOON,
    "rate 40/1s unit=requests retry-after=seconds\n" CUTS_SOON,
    "fault ws-refuse status=503 p=0.5\n" CUTS_SOON,
    "fault ws-refuse status=429 retry-after=1 p=0.3\nfault ws-fragment bytes=50 pings=yes p=0.1\n"
    "fault hang p=0.05\n" CUTS_LATER,
    "fault refuse from=0s to=300ms\n" CUTS_LATER,
};

static const char *const deceitful[] = {
    "knobs drop=20 close-ws=10\n",
    "knobs stall=10\n" CUTS_LATER,
    "knobs half-open=5 dup=50\n",
    "fault ws-drop p=0.01\n" CUTS_LATER,
};

static void set_weather(struct world *w, const char *text)
{
    char script[1024];
    struct rpcfan_error err;
    snprintf(script, sizeof script, CALM "%s", text);
    if (rf_node_set_script(w->node, script, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
    w->weather_ns = rpcfan_now_ns() + RF_SEC + rf_rng_below(&w->rng, 3 * RF_SEC);
}

static void change_weather(struct world *w)
{
    if (rpcfan_now_ns() < w->weather_ns)
        return;
    w->weather += 1 + (unsigned)rf_rng_below(&w->rng, 3);
    set_weather(w, w->strict ? rough[w->weather % RF_COUNT(rough)]
                             : deceitful[w->weather % RF_COUNT(deceitful)]);
}

static uint64_t cuts(const struct world *w)
{
    struct rf_node_counters c;
    rf_node_counters(w->node, &c);
    return c.ws_opened - c.ws_open;
}

static void figure(const char *what, uint64_t n)
{
    if (getenv("VERBOSE") != NULL)
        printf("%llu %s\n", (unsigned long long)n, what);
}

/* Nothing is written any more: in the end each database is what the cluster has. */
static void settle(struct world *w)
{
    uint64_t tip = 0, began_ns = rpcfan_now_ns(), until_ns = rpcfan_now_ns() + SETTLE_NS;
    set_weather(w, "knobs writes=0 fork=0\n");
    rf_node_oracle(w->node, tell_tip, &tip);
    for (size_t i = 0; i < RIDERS; i++)
        w->rider[i].final = true;
    w->strict = false;
    for (size_t i = 0; i < RIDERS;) {
        struct rider *r = &w->rider[i];
        turn(w);
        if (r->mark.watermark >= tip && r->mark.complete && verify(r))
            i++;
        else if (rpcfan_now_ns() > until_ns)
            fail_msg("%s, after the storm: the watermark is %llu, not %llu; %s", r->seat->name,
                     (unsigned long long)r->mark.watermark, (unsigned long long)tip, r->bad);
    }
    figure("ms until all was quiet and equal", (rpcfan_now_ns() - began_ns) / RF_MS);
}

static void begin(struct world *w, uint64_t seed)
{
    struct rpcfan_error err;
    struct rf_node_options o = {.solana = true, .knobs = WORLD};
    memset(w, 0, sizeof *w);
    w->began_ns = rpcfan_now_ns();
    rf_rng_init(&w->rng, seed);
    snprintf(w->dir, sizeof w->dir, "%s/rpcfan-chaos-XXXXXX",
             getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    if (rf_node_start_thread(&o, &w->node, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
    account_keys_ask(&w->keys, w->node, KEYS);
    for (unsigned i = 0; i < 2; i++)
        snprintf(w->url[i], sizeof w->url[i], "%s/%u", rf_node_url(w->node), i);
    for (unsigned i = 0; i < RIDERS; i++)
        start_rider(w, i, seed * 100);
}

static void end(struct world *w)
{
    uint64_t n = cuts(w);
    for (size_t i = 0; i < RIDERS; i++) {
        struct rider *r = &w->rider[i];
        if (getenv("VERBOSE") != NULL)
            printf("%-20s %llu events, %llu gaps, healed %llu times, %llu accounts compared\n",
                   r->seat->name, (unsigned long long)r->events, (unsigned long long)r->gaps,
                   (unsigned long long)r->healed, (unsigned long long)r->checks);
        stop_rider(r);
    }
    figure("connections ended", n);
    figure("ms in all", (rpcfan_now_ns() - w->began_ns) / RF_MS);
    rf_node_stop_thread(w->node);
    rmdir(w->dir);
}

static uint64_t setting(const char *name, uint64_t usual)
{
    const char *text = getenv(name);
    return text == NULL ? usual : strtoull(text, NULL, 10);
}

static struct world world;

static void test_feed_chaos_the_database_is_true_at_each_watermark(void **state)
{
    (void)state;
    struct world *w = &world;
    uint64_t goal = setting("CUTS", 100), healed;
    begin(w, setting("SEED", 1));
    w->strict = true;
    do {
        change_weather(w);
        turn(w);
        healed = UINT64_MAX;
        for (size_t i = 0; i < RIDERS; i++)
            healed = w->rider[i].healed < healed ? w->rider[i].healed : healed;
    } while (cuts(w) < goal || healed < 1 + goal / 200);
    settle(w);
    end(w);
}

/* Where notifications are lost in silence, only time heals: audit and sweep find them. */
static void test_feed_chaos_what_is_lost_in_silence_is_found(void **state)
{
    (void)state;
    struct world *w = &world;
    uint64_t until_ns = rpcfan_now_ns() + setting("CUTS", 100) * 30 * RF_MS;
    begin(w, setting("SEED", 1) + 1);
    do {
        change_weather(w);
        turn(w);
    } while (rpcfan_now_ns() < until_ns);
    settle(w);
    end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_feed_chaos_the_database_is_true_at_each_watermark),
        cmocka_unit_test(test_feed_chaos_what_is_lost_in_silence_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
