/* test_fresh_props.c - what holds of heads and lag whatever happens: random answers, words of lag
 * and probes on random networks, and a chain with nodes of known delay. */
#include "policy/fresh.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/rng.h"

#define BIT(ep) (UINT64_C(1) << (ep))
#define ROUNDS 200
#define EVENTS 1500

/* What the test itself remembers of an endpoint. */
struct memory {
    uint64_t latest, asked_ns, probe_ns;
    bool known, told, probed;
};

struct world {
    struct rf_fresh f;
    struct rf_rng rng;
    struct memory ep[RF_FRESH_EPS];
    uint64_t now, chain;
    uint64_t probes, lagging_seen, excluded, falls; /* that the test tests something */
};

static uint64_t below(struct world *w, uint64_t n)
{
    return rf_rng_below(&w->rng, n);
}

static uint64_t some_head(struct world *w)
{
    switch (below(w, 12)) {
    case 0:
        return rf_time_sub(w->chain, below(w, 2000));
    case 1:
        return below(w, 40) == 0 ? rf_rng_next(&w->rng) : w->chain;
    case 2:
        return below(w, 100);
    default:
        return rf_time_sub(w->chain, below(w, 6));
    }
}

static void answer(struct world *w, uint32_t ep)
{
    struct memory *m = &w->ep[ep];
    uint64_t head = some_head(w), sent = rf_time_sub(w->now, below(w, 2) * below(w, 8 * RF_SEC));
    uint64_t best = rf_fresh_best(&w->f);
    rf_fresh_answered(&w->f, ep, head, sent, w->now);
    w->falls += rf_fresh_best(&w->f) < best;
    if (m->known && head < m->latest && sent < m->asked_ns)
        return;
    if (sent >= m->asked_ns)
        m->told = false;
    m->known = true;
    m->latest = head;
    m->asked_ns = rf_max_u64(m->asked_ns, sent);
}

static void word(struct world *w, uint32_t ep)
{
    rf_fresh_behind(&w->f, ep, below(w, 3) * below(w, 200), w->now);
    w->ep[ep].told = true;
    w->ep[ep].asked_ns = w->now;
}

static void probe(struct world *w)
{
    uint64_t next = rf_fresh_next_probe(&w->f, w->now);
    uint64_t ask = rf_fresh_probe(&w->f, w->now);
    assert_int_equal(next <= w->now, ask != 0);
    assert_int_equal(ask & ~rf_fresh_lagging(&w->f, w->now), 0);
    for (uint32_t i = 0; i < w->f.n; i++) {
        struct memory *m = &w->ep[i];
        if ((ask & BIT(i)) == 0)
            continue;
        assert_true(!m->probed || w->now - m->probe_ns >= 2 * RF_SEC);
        assert_true(w->now - m->asked_ns >= 2 * RF_SEC);
        m->probed = true;
        m->probe_ns = w->now;
        w->probes++;
    }
    assert_true(rf_fresh_next_probe(&w->f, w->now) > w->now);
}

static void check(struct world *w)
{
    uint64_t lagging = rf_fresh_lagging(&w->f, w->now), best = rf_fresh_best(&w->f);
    uint64_t at = some_head(w), all = w->f.n == 64 ? UINT64_MAX : BIT(w->f.n) - 1;
    uint64_t has = rf_fresh_has(&w->f, all, at, w->now);
    assert_int_equal(lagging & ~all, 0);
    assert_int_equal(has & ~all, 0);
    assert_int_equal(rf_fresh_has(&w->f, all, 0, w->now), all);
    for (uint32_t i = 0; i < w->f.n; i++) {
        const struct memory *m = &w->ep[i];
        assert_int_equal(rf_fresh_head(&w->f, i), m->latest);
        if (!m->known || m->latest >= at)
            assert_true((has & BIT(i)) != 0);
        if (m->told)
            continue;
        if (!m->known || m->latest >= best) {
            assert_int_equal(lagging & BIT(i), 0);
            assert_int_equal(rf_fresh_lag(&w->f, i), 0);
        } else { /* never negative: not more than there is between the two */
            assert_true(rf_fresh_lag(&w->f, i) <= best - m->latest);
        }
    }
    w->lagging_seen += lagging != 0;
    w->excluded += has != all;
}

static void turn(struct world *w)
{
    uint32_t ep = (uint32_t)below(w, w->f.n);
    w->now += below(w, 400) == 0 ? below(w, 200 * RF_SEC) : below(w, 300 * RF_MS);
    w->chain += below(w, 4) == 0;
    if (below(w, 3000) == 0)
        w->chain = below(w, 1000000);
    if (below(w, 10) == 0)
        word(w, ep);
    else if (below(w, 4) == 0)
        probe(w);
    else
        answer(w, ep);
    check(w);
}

static void test_random_events(void **state)
{
    (void)state;
    struct world w = {0};
    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint32_t n = round % 10 == 0 ? 64 : 1 + (uint32_t)round % 7;
        uint64_t probes = w.probes, lagging = w.lagging_seen, excluded = w.excluded,
                 falls = w.falls;
        w = (struct world){.probes = probes,
                           .lagging_seen = lagging,
                           .excluded = excluded,
                           .falls = falls,
                           .now = RF_SEC,
                           .chain = 5000};
        rf_rng_init(&w.rng, round + 1);
        rf_fresh_init(&w.f, n, (uint32_t)below(&w, 60));
        for (int i = 0; i < EVENTS; i++)
            turn(&w);
    }
    assert_true(w.probes > 1000 && w.lagging_seen > 10000 && w.excluded > 10000 && w.falls > 20);
}

/* A chain of one block each 400 ms to 12 s, and nodes of which node i is delay[i] blocks behind.
 * Asked in any order with any delay on the way, a node within lag_max never lags, one far behind
 * does most of the time, and has() never leaves out a node that has the block. */
static void follow_chain(uint64_t seed, uint64_t *caught)
{
    struct world w = {.now = 1000 * RF_SEC, .chain = 0};
    const uint64_t delay[6] = {0, 1, 3, 3, 40, 500};
    rf_rng_init(&w.rng, seed);
    uint64_t block = 400 * RF_MS + below(&w, 3) * 5800 * RF_MS, first = w.now;
    rf_fresh_init(&w.f, RF_COUNT(delay), 3);
    for (int i = 0; i < 2000; i++) {
        w.now += below(&w, RF_SEC);
        uint32_t ep = (uint32_t)below(&w, RF_COUNT(delay));
        /* the node looks at its head somewhere between question and answer */
        uint64_t sent = w.now - below(&w, 5 * RF_SEC), looked = sent + below(&w, w.now - sent + 1);
        uint64_t tip = 100000 + (w.now - first) / block;
        uint64_t head = 100000 + rf_time_sub(looked, first) / block - delay[ep];
        rf_fresh_answered(&w.f, ep, head, sent, w.now);
        assert_true(rf_fresh_best(&w.f) <= tip);
        uint64_t lagging = rf_fresh_lagging(&w.f, w.now);
        assert_int_equal(lagging & 0x0f, 0);
        uint64_t best = rf_fresh_best(&w.f);
        for (uint32_t k = 0; k < RF_COUNT(delay); k++) {
            uint64_t at = best - delay[k] - below(&w, 3);
            assert_int_equal(rf_fresh_has(&w.f, BIT(k), at, w.now), BIT(k));
        }
        *caught += (lagging & 0x30) == 0x30 && rf_fresh_has(&w.f, BIT(5), best, w.now) == 0;
    }
}

static void test_nodes_on_a_chain(void **state)
{
    (void)state;
    uint64_t caught = 0;
    for (uint64_t seed = 1; seed <= 60; seed++)
        follow_chain(seed, &caught);
    assert_true(caught > 60 * 2000 * 9 / 10); /* both that lag are found out, and soon */
}

/* What a liar says: always the same, anything, another chain's head, or nothing yet. */
static uint64_t lie(struct world *w, uint64_t kind)
{
    const uint64_t lies[4] = {UINT64_C(1) << 60, rf_rng_next(&w->rng), w->chain + 300000000, 0};
    return lies[kind];
}

/* Two that agree are never held to lag for what a third says, whatever it says and whoever spoke
 * first. */
static void test_one_liar_never_makes_two_lag(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 80; seed++) {
        struct world w = {.now = 1000 * RF_SEC, .chain = 5000000};
        bool spoke[3] = {false};
        rf_rng_init(&w.rng, seed);
        rf_fresh_init(&w.f, 3, 3);
        for (int i = 0; i < 1500; i++) {
            w.now += below(&w, RF_SEC);
            w.chain += below(&w, 3) == 0;
            uint32_t ep = (uint32_t)below(&w, 3);
            uint64_t head = ep == 2 ? lie(&w, seed % 4) : w.chain - below(&w, 2);
            rf_fresh_seen(&w.f, ep, head, w.now);
            spoke[ep] = true;
            if (!spoke[0] || !spoke[1])
                continue;
            assert_int_equal(rf_fresh_lagging(&w.f, w.now) & 3, 0);
            assert_true(rf_fresh_best(&w.f) <= w.chain && rf_fresh_best(&w.f) >= 4999999);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_events),
        cmocka_unit_test(test_nodes_on_a_chain),
        cmocka_unit_test(test_one_liar_never_makes_two_lag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
