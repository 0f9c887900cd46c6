/* test_feed_memory.c - each allocation of a feed's life fails once: nothing is lost by that, only
 * later. And a million accounts are small. */
#include "feed_case.h"

/* Some life: snapshot, news, a gap, a close, finalized roots. */
static void live(struct feed_case *c)
{
    case_start(c);
    case_wait(c, 2 * RF_SEC); /* a subscription may have to be made again */
    case_note(c, (struct rf_note){.kind = RF_NOTE_SESSION_UP, .session = 1});
    for (uint32_t i = 1; i <= c->f->n_units; i++)
        case_up(c, 1, i);
    case_slot(c, 1, 100);
    case_wait(c, RF_SEC);
    case_slot(c, 1, 103);
    case_slot(c, 1, 137);
    case_answer_all(c);
    for (unsigned i = 0; i < 6; i++) {
        c->lamports[i] = 20 + i;
        case_tell(c, 1, i, 138, 20 + i);
    }
    case_take(c);
    for (uint64_t slot = 136; slot < 150; slot++)
        case_note(c, (struct rf_note){.kind = RF_NOTE_ROOT, .session = 1, .slot = slot});
    c->lamports[3] = 0;
}

/* From here on there is memory: all must be right in the end. */
static void settle(struct feed_case *c)
{
    uint64_t slot = 200;
    for (uint32_t i = 1; i <= c->f->n_units; i++)
        case_down(c, 1, i);
    case_session_down(c, 1);
    for (uint32_t i = 1; i <= c->f->n_units; i++)
        case_up(c, 2, i);
    for (unsigned i = 0; i < 120; i++) {
        struct case_call *k;
        case_slot(c, 2, slot += 2);
        case_note(c, (struct rf_note){.kind = RF_NOTE_ROOT, .session = 2, .slot = slot - 32});
        c->slot = c->f->commitment == RPCFAN_FINALIZED ? slot - 32 : slot;
        while ((k = case_open(c, "getProgramAccounts")) != NULL)
            case_walk(c, k, c->slot);
        case_answer_all(c);
        case_wait(c, 800 * RF_MS);
    }
    case_take(c);
    assert_int_equal(c->mark.failed, 0);
    assert_true(c->mark.complete);
    assert_int_equal(c->f->n_incomplete, 0);
    assert_int_equal(c->f->n_dirty, 0);
    assert_true(rf_holds_min(&c->f->holds) == RF_NEVER);
    for (unsigned i = 0; i < 6; i++) {
        uint8_t key[32];
        memset(key, (int)i + 1, sizeof key);
        uint32_t number = rf_keys_find(&c->f->keys, key);
        bool there =
            number != RF_KEY_NONE && (rf_keys_at(&c->f->keys, number)->flags & RF_KEY_THERE) != 0;
        assert_int_equal(there, c->lamports[i] != 0);
        if (!there)
            continue;
        char text[512];
        struct rf_content content;
        int n = case_account(text, sizeof text, c->lamports[i], 0);
        assert_true(rf_content_read((struct rpcfan_slice){text, (size_t)n}, &content));
        const struct rf_key *e = rf_keys_at(&c->f->keys, number);
        assert_true(e->hash == content.hash);
        assert_true((e->flags & RF_KEY_TOLD) != 0);
    }
}

static void run(unsigned accounts, enum rpcfan_commitment level)
{
    uint64_t made = 0;
    unsigned lost = 0;
    for (uint64_t nth = 1; nth < 400; nth++) {
        static struct feed_case c;
        struct rpcfan_feed_options o;
        const char *keys[CASE_KEYS];
        case_options(&o, keys, accounts);
        o.commitment = level;
        o.audit_ms = 500;
        rf_alloc_fail_at(nth);
        enum rpcfan_err e = case_make(&c, &o);
        if (e != RPCFAN_OK) {
            rf_alloc_fail_at(0);
            assert_int_equal(e, RPCFAN_ENOMEM);
            assert_null(c.f);
            lost++;
            continue;
        }
        for (unsigned i = 0; i < 6; i++)
            c.lamports[i] = 10 + i;
        made = rf_alloc_count();
        live(&c);
        made = rf_alloc_count() - made;
        rf_alloc_fail_at(0);
        settle(&c);
        case_free(&c);
        if (nth > made + lost)
            break;
    }
    assert_true(lost > 3);
    assert_true(made > 10);
}

static void test_memory_fails_once_accounts(void **state)
{
    (void)state;
    run(6, RPCFAN_CONFIRMED);
    run(6, RPCFAN_FINALIZED);
    run(6, RPCFAN_PROCESSED);
}

static void test_memory_fails_once_program(void **state)
{
    (void)state;
    run(0, RPCFAN_CONFIRMED);
    run(0, RPCFAN_FINALIZED);
}

/* Seeds of an earlier run: a million accounts in less than 100 bytes each. */
static void test_memory_of_a_million_accounts(void **state)
{
    (void)state;
    struct feed_case c;
    struct rpcfan_feed_options o;
    case_options(&o, NULL, 0);
    assert_int_equal(case_make(&c, &o), 0);
    for (uint64_t i = 0; i < 1000000; i++) {
        struct rpcfan_known known = {.slot = 100, .hash = i + 1};
        memcpy(known.key, &i, sizeof i);
        assert_int_equal(rf_feed_seed(c.f, &known, 1), 0);
    }
    const struct rf_keys *k = &c.f->keys;
    uint64_t bytes = (uint64_t)k->slabs * 1024 * sizeof(struct rf_key) +
                     ((uint64_t)k->index_mask + 1) * sizeof k->index[0];
    assert_int_equal(k->n, 1000000);
    assert_true(bytes < 100u * 1000000);
    struct rpcfan_feed_status st;
    rf_feed_status(c.f, c.now, &st);
    assert_int_equal(st.accounts, 1000000);
    case_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_fails_once_accounts),
        cmocka_unit_test(test_memory_fails_once_program),
        cmocka_unit_test(test_memory_of_a_million_accounts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
