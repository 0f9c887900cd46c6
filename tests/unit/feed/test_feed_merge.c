/* test_feed_merge.c - the merge rule, case by case: what is known, what comes, what becomes of it.
 */
#include "feed_case.h"

/* What is known of account 0 at slot 110, what comes at `slot`, and what is known then. */
struct row {
    const char *name;
    bool told;        /* what is known was told, by session 1; else read */
    uint64_t known;   /* lamports; 0: gone */
    bool live;        /* what comes is told, by `session`; else read */
    uint64_t session; /* 1, 2 */
    uint64_t slot, comes, becomes;
    int events;
    bool again; /* a read follows, at once or within two seconds */
};

static const struct row rows[] = {
    {"older told news are old", true, 10, true, 1, 109, 11, 10, 0, false},
    {"older read news are old", true, 10, false, 0, 109, 11, 10, 0, false},
    {"an older null closes nothing", true, 10, false, 0, 109, 0, 10, 0, false},
    {"older news revive nothing", true, 0, true, 1, 109, 11, 0, 0, false},
    {"later told news hold", true, 10, true, 1, 111, 11, 11, 1, false},
    {"of another session too", true, 10, true, 2, 111, 11, 11, 1, false},
    {"later read news hold", true, 10, false, 0, 111, 11, 11, 1, false},
    {"a later null closes", true, 10, false, 0, 111, 0, 0, 1, false},
    {"a later zero closes", true, 10, true, 1, 111, 0, 0, 1, false},
    {"later news revive", true, 0, true, 1, 111, 11, 11, 1, false},
    {"equal content is no news", true, 10, true, 1, 111, 10, 10, 0, false},
    {"nor when read", true, 10, false, 0, 111, 10, 10, 0, false},
    {"nor is it that it is gone", true, 0, false, 0, 111, 0, 0, 0, false},
    {"written twice in a slot", true, 10, true, 1, 110, 11, 11, 1, true},
    {"two sessions differ", true, 10, true, 2, 110, 11, 10, 0, true},
    {"two sessions agree", true, 10, true, 2, 110, 10, 10, 0, false},
    {"told and read differ", true, 10, false, 0, 110, 11, 10, 0, true},
    {"told, and read null", true, 10, false, 0, 110, 0, 0, 1, false},
    {"read, then told", false, 10, true, 1, 110, 11, 11, 1, true},
    {"read, then read", false, 10, false, 0, 110, 11, 11, 1, false},
    {"read null, then told", false, 0, true, 1, 110, 11, 0, 0, true},
    {"told gone, then told by the same", true, 0, true, 1, 110, 11, 11, 1, true},
    {"told gone, then told by another", true, 0, true, 2, 110, 11, 0, 0, true},
    {"told gone, then read", true, 0, false, 0, 110, 11, 0, 0, true},
};

/* Read account 0 at a slot, as an audit or a repair would. */
static void read_at(struct feed_case *c, uint64_t slot, uint64_t lamports)
{
    struct rf_key *e = rf_keys_at(&c->f->keys, 0);
    c->f->data_tip = 0; /* so that the floor lets the slot pass */
    uint64_t known = e->slot;
    e->slot = slot < known ? slot : known;
    rf_feed_dirty(c->f, 0, c->f->covered);
    case_step(c);
    e->slot = known;
    struct case_call *k = case_open(c, "getMultipleAccounts");
    assert_non_null(k);
    c->lamports[0] = lamports;
    case_answer(c, k, slot);
}

static void run_row(const struct row *r)
{
    struct feed_case c;
    struct rpcfan_feed_options o;
    const char *accounts[CASE_KEYS];
    case_options(&o, accounts, 1);
    assert_int_equal(case_make(&c, &o), 0);
    c.lamports[0] = 5;
    case_live(&c);
    case_up(&c, 2, 1);
    case_slot(&c, 1, 115);
    if (r->told)
        case_tell(&c, 1, 0, 110, r->known);
    else
        read_at(&c, 110, r->known);
    assert_int_equal(rf_keys_at(&c.f->keys, 0)->slot, 110);
    case_take(&c);
    uint32_t calls = c.n_calls;
    if (r->live)
        case_tell(&c, r->session, 0, r->slot, r->comes);
    else
        read_at(&c, r->slot, r->comes);
    calls = r->live ? calls : calls + 1;
    const struct rf_key *e = rf_keys_at(&c.f->keys, 0);
    assert_int_equal((e->flags & RF_KEY_THERE) != 0, r->becomes != 0);
    assert_int_equal(case_take(&c), (size_t)r->events);
    if (r->events > 0)
        case_event(&c, 0,
                   r->becomes == 0 ? RPCFAN_ACCOUNT_CLOSE
                   : r->known == 0 ? RPCFAN_ACCOUNT_CREATE
                                   : RPCFAN_ACCOUNT_UPDATE,
                   0, r->slot);
    case_wait(&c, 3 * RF_SEC);
    assert_int_equal(c.n_calls > calls, r->again);
    /* The read decides. */
    if (r->again) {
        struct case_call *k = case_open(&c, "getMultipleAccounts");
        c.lamports[0] = 77;
        case_answer(&c, k, case_floor(k));
        assert_int_equal(case_take(&c), 1);
        assert_int_equal(c.f->n_dirty, 0);
        assert_true(rf_holds_min(&c.f->holds) == RF_NEVER);
    }
    case_free(&c);
}

static void test_merge_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        print_message("%s\n", rows[i].name);
        run_row(&rows[i]);
    }
}

/* A busy account is written twice in each slot: later news come before it would be read. */
static void test_merge_doubt_is_settled_by_later_news(void **state)
{
    (void)state;
    struct feed_case c;
    struct rpcfan_feed_options o;
    const char *accounts[CASE_KEYS];
    case_options(&o, accounts, 1);
    assert_int_equal(case_make(&c, &o), 0);
    c.lamports[0] = 5;
    case_live(&c);
    uint32_t calls = c.n_calls;
    for (uint64_t slot = 110; slot < 140; slot++) {
        case_slot(&c, 1, slot + 1);
        case_tell(&c, 1, 0, slot, 2 * slot);
        case_tell(&c, 1, 0, slot, 2 * slot + 1);
        case_wait(&c, 400 * RF_MS);
    }
    assert_int_equal(c.n_calls, calls);
    case_tell(&c, 1, 0, 140, 1);
    case_wait(&c, 3 * RF_SEC);
    assert_int_equal(c.n_calls, calls);
    case_take(&c);
    assert_true(c.mark.watermark > 130);
    case_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge_rule),
        cmocka_unit_test(test_merge_doubt_is_settled_by_later_news),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
