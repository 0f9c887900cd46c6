/* test_subs_props.c - the subscription engine under random faults: whatever happens, it says
 * nothing untrue (subs_world.h holds each note against that), and once the faults stop everything
 * comes up again. */
#include "subs_world.h"

#include "feed/subs_int.h"

#define TAGS 60
#define KEYS 25

static struct world world;
static struct rf_subs_endpoint ep[W_ENDPOINTS];
static FILE *trace;
static const char *const names[W_ENDPOINTS] = {"a", "b", "c"};

static struct rf_subs_options random_options(struct rf_rng *rng)
{
    memset(ep, 0, sizeof ep);
    for (uint32_t i = 0; i < W_ENDPOINTS; i++) {
        ep[i].name = names[i];
        ep[i].subs_per_conn = 5 + (uint32_t)rf_rng_below(rng, 20);
        ep[i].conns = 8 + (uint32_t)rf_rng_below(rng, 8);
        ep[i].per_s = 20 + (uint32_t)rf_rng_below(rng, 100);
        ep[i].priority = (uint32_t)rf_rng_below(rng, 2);
        ep[i].lifetime_ns = rf_rng_below(rng, 3) == 0 ? (30 + rf_rng_below(rng, 60)) * RF_SEC : 0;
    }
    return (struct rf_subs_options){.family =
                                        rf_rng_below(rng, 2) == 0 ? RPCFAN_SOLANA : RPCFAN_EVM,
                                    .endpoint = ep,
                                    .n_endpoints = 1 + (uint32_t)rf_rng_below(rng, W_ENDPOINTS),
                                    .heartbeat = rf_rng_below(rng, 2) == 0,
                                    .roots = rf_rng_below(rng, 2) == 0,
                                    .held = rf_rng_below(rng, 2) == 0 ? 3 : 0,
                                    .seed = rf_rng_next(rng)};
}

static void random_node(struct w_node *n, struct rf_rng *rng)
{
    n->down = rf_rng_below(rng, 4) == 0;
    n->refuse_status = rf_rng_below(rng, 8) == 0 ? (rf_rng_below(rng, 2) == 0 ? 429 : 503) : 0;
    n->refuse_after_ns = rf_rng_below(rng, 2) * RF_SEC;
    n->conn_max = rf_rng_below(rng, 3) == 0 ? 3 + (uint32_t)rf_rng_below(rng, 20) : 0;
    n->lose_reply = rf_rng_below(rng, 3) == 0 ? (uint32_t)rf_rng_below(rng, 100) : 0;
    n->early_news = (uint32_t)rf_rng_below(rng, 300);
    n->silent = rf_rng_below(rng, 8) == 0;
    n->no_batch_close = rf_rng_below(rng, 8) == 0;
    n->error_code = rf_rng_below(rng, 8) == 0 ? -32603 : 0;
    n->error_text = "Internal error";
    n->delay_ns = (1 + rf_rng_below(rng, 200)) * RF_MS;
}

static void heal(struct w_node *n)
{
    uint64_t slot_ns = n->slot_ns;
    bool own_ids = n->own_ids, no_batch_error = n->no_batch_error;
    uint32_t conns = n->conns, double_subs = n->double_subs, most = n->conns_most;
    *n = (struct w_node){.slot_ns = slot_ns,
                         .own_ids = own_ids,
                         .no_batch_error = no_batch_error,
                         .conns = conns,
                         .conns_most = most,
                         .double_subs = double_subs};
}

static void random_act(struct world *w, struct rf_rng *rng, uint32_t n)
{
    uint32_t tag = (uint32_t)rf_rng_below(rng, TAGS), at = (uint32_t)rf_rng_below(rng, n);
    struct w_heard *h = &w->heard[tag];
    char key[64];
    switch (rf_rng_below(rng, 8)) {
    case 0:
        random_node(&w->node[at], rng);
        break;
    case 1:
        w_cut(w, at, rf_rng_below(rng, 2) == 0 ? 1006 : 1001);
        break;
    case 2:
        if (h->id != 0 && h->up[0])
            rf_subs_distrust(w->s, h->session[0], "a test says so", w->now);
        break;
    case 3:
    case 4:
        if (h->id != 0 && !h->removed)
            w_remove(w, tag);
        break;
    case 5:
    case 6:
        if (h->id != 0 && !h->removed)
            break;
        if (rf_rng_below(rng, 10) == 0)
            w_add(w, tag, "slotSubscribe", NULL, 1 + (uint32_t)rf_rng_below(rng, 2));
        else
            w_account(w, tag, (uint32_t)rf_rng_below(rng, KEYS),
                      1 + (uint32_t)rf_rng_below(rng, 2));
        break;
    default:
        snprintf(key, sizeof key, "%044u", (uint32_t)rf_rng_below(rng, KEYS));
        w_publish(w, at, key, "[1]");
        break;
    }
}

/* Whether all that is there is up where it should be; one copy is enough where it must be. */
static bool is_whole(const struct world *w, uint32_t n)
{
    for (uint32_t i = 0; i < TAGS; i++) {
        const struct w_heard *h = &w->heard[i];
        if (h->id == 0 || h->removed)
            continue;
        if (!h->up[0] || (h->copies > 1 && n > 1 && !h->up[1]))
            return false;
    }
    return true;
}

/* Whether the counters agree, and nothing is left of what was removed. */
static bool is_settled(struct world *w)
{
    struct rf_subs_counters c = w_count(w);
    for (uint32_t i = 0; i < W_ENDPOINTS; i++)
        assert_int_equal(w->node[i].double_subs, 0);
    return c.up == c.wire;
}

/* Something happens to every key: each listener hears of it by each of its copies. */
static void check_news(struct world *w, uint32_t n)
{
    char key[64];
    for (uint32_t i = 0; i < TAGS; i++)
        w->heard[i].news = 0;
    for (uint32_t at = 0; at < n; at++) {
        for (uint32_t k = 0; k < KEYS; k++) {
            snprintf(key, sizeof key, "%044u", k);
            w_publish(w, at, key, "[2]");
        }
    }
    w_for(w, 100 * RF_MS);
    for (uint32_t i = 0; i < TAGS; i++) {
        const struct w_heard *h = &w->heard[i];
        if (h->id != 0 && !h->removed && !h->slots)
            assert_true(h->news >= (n > 1 ? h->copies : 1));
    }
}

static struct {
    uint64_t ups, downs, moved, early, refused, stalls;
} seen;

static void add_up(struct world *w)
{
    struct rf_subs_counters c = w_count(w);
    for (uint32_t i = 0; i < TAGS; i++) {
        seen.ups += w->heard[i].ups;
        seen.downs += w->heard[i].downs;
        seen.moved += w->heard[i].moved;
    }
    seen.early += c.held;
    seen.refused += c.refused;
    seen.stalls += c.stalls;
}

static void one_life(uint64_t seed, uint32_t acts)
{
    struct world *w = &world;
    struct rf_rng rng;
    rf_rng_init(&rng, seed);
    w_init(w, seed);
    w->trace = trace;
    struct rf_subs_options o = random_options(&rng);
    bool own_ids = rf_rng_below(&rng, 2) == 0, no_batch = rf_rng_below(&rng, 4) == 0;
    for (uint32_t i = 0; i < W_ENDPOINTS; i++) {
        w->node[i].slot_ns = 400 * RF_MS;
        w->node[i].own_ids = own_ids;
        w->node[i].no_batch_error = no_batch;
    }
    w_start(w, &o);
    for (uint32_t i = 0; i < acts; i++) {
        random_act(w, &rng, o.n_endpoints);
        if (rf_rng_below(&rng, 3) == 0)
            w_for(w, rf_rng_below(&rng, 3000) * RF_MS);
    }
    for (uint32_t i = 0; i < W_ENDPOINTS; i++) {
        heal(&w->node[i]);
        assert_true(i >= o.n_endpoints || w->node[i].conns_most <= ep[i].conns + 4);
    }
    uint64_t end = w->now + 400 * RF_SEC;
    do
        w_for(w, RF_SEC);
    while (!(is_whole(w, o.n_endpoints) && is_settled(w)) && w->now < end);
    if (w->now >= end)
        fail_msg("seed %" PRIu64 " does not come up again", seed);
    check_news(w, o.n_endpoints);
    add_up(w);
    for (uint32_t i = 0; i < TAGS; i++)
        if (w->heard[i].id != 0 && !w->heard[i].removed)
            w_remove(w, i);
    w_for(w, 30 * RF_SEC);
    struct rf_subs_counters c = w_count(w);
    assert_int_equal(c.subs, 0);
    assert_int_equal(c.wire, 0);
    assert_int_equal(c.sessions, 0);
    /* nothing is left of all of it */
    assert_int_equal(w->s->ids.n + w->s->reqs.n + w->s->wires.n + w->s->sessions.n, 0);
    assert_int_equal(w->s->n_held + w->s->held_bytes, 0);
    assert_true(rf_list_empty(&w->s->all_wires) && rf_list_empty(&w->s->conns) &&
                rf_list_empty(&w->s->homeless) && rf_list_empty(&w->s->fresh));
    assert_int_equal(rf_subs_deadline(w->s), RF_NEVER);
    w_stop(w);
}

static void test_everything_comes_up_again_after_faults(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++)
        one_life(seed, 200);
    /* it was not all quiet */
    assert_true(seen.ups > 10000 && seen.downs > 5000 && seen.moved > 300);
    assert_true(seen.early > 300 && seen.refused > 300 && seen.stalls > 5);
}

int main(int argc, char **argv)
{
    if (argc > 1) { /* one seed, told */
        trace = stdout;
        one_life(strtoull(argv[1], NULL, 10), 200);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_comes_up_again_after_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
