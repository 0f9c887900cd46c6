/* test_admit.c - the learned rate against a plain count, the predicted wait, and what admission
 * does to a simulated queue under too much load. */
#include "policy/admit.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

static void test_nothing_known_is_no_wait(void **state)
{
    (void)state;
    struct rf_admit a = {0};
    assert_int_equal(rf_admit_wait(&a, 0, 0, 0, 0), 0);
    assert_int_equal(rf_admit_wait(&a, 1000000, 0, 80 * RF_MS, 100 * RF_SEC), 0);
    assert_int_equal(rf_admit_wait(&a, 0, 50, 80 * RF_MS, 100 * RF_SEC), 0); /* nothing waits */
}

static void test_example_of_a_known_rate(void **state)
{
    (void)state;
    struct rf_admit a = {0};
    uint64_t wait = rf_admit_wait(&a, 120, 50, 80 * RF_MS, RF_SEC);
    assert_true(wait > 2261 * RF_MS && wait < 2262 * RF_MS);
    wait = rf_admit_wait(&a, 100, 50, 80 * RF_MS, RF_SEC);
    assert_true(wait > 1898 * RF_MS && wait < 1899 * RF_MS);
}

static void test_rates_that_are_none(void **state)
{
    (void)state;
    struct rf_admit a = {0};
    assert_int_equal(rf_admit_wait(&a, 1000, NAN, RF_MS, RF_SEC), 0);
    assert_int_equal(rf_admit_wait(&a, 1000, INFINITY, RF_MS, RF_SEC), 0);
    assert_int_equal(rf_admit_wait(&a, 1000, -5, RF_MS, RF_SEC), 0);
    assert_true(rf_admit_wait(&a, UINT64_MAX, 1e-300, RF_MS, RF_SEC) == RF_NEVER);
    assert_true(rf_admit_wait(&a, 1000, 50, RF_NEVER, RF_SEC) == RF_NEVER);
}

/* `per_s` answers a second, and calls waiting, for a time. */
static void serve(struct rf_admit *a, uint64_t from_s, uint64_t to_s, uint32_t per_s)
{
    for (uint64_t s = from_s; s < to_s; s++) {
        for (uint64_t tenth = 0; tenth < 10; tenth++) {
            uint64_t now = s * RF_SEC + tenth * 100 * RF_MS;
            rf_admit_answered(a, per_s / 10, now);
            rf_admit_backlog(a, 5, now);
        }
    }
}

/* The rate that stands behind a prediction. */
static double rate_of(const struct rf_admit *a, uint64_t now_s)
{
    uint64_t wait = rf_admit_wait(a, 1100, 0, 0, now_s * RF_SEC);
    return wait > 0 ? 1000e9 / (double)wait : 0;
}

static void test_rate_is_learned_after_ten_seconds_of_backlog(void **state)
{
    (void)state;
    struct rf_admit a = {0};
    serve(&a, 100, 109, 80);
    assert_true(rate_of(&a, 109) == 0);
    serve(&a, 109, 110, 80);
    assert_true(fabs(rate_of(&a, 110) - 80) < 0.1);
}

static void test_answers_without_backlog_teach_nothing(void **state)
{
    (void)state;
    struct rf_admit a = {0};
    for (uint64_t i = 0; i < 3000; i++)
        rf_admit_answered(&a, 1, i * 10 * RF_MS); /* nobody says what waits */
    assert_true(rate_of(&a, 30) == 0);
    serve(&a, 30, 50, 80);
    assert_true(rate_of(&a, 50) > 0);
    rf_admit_backlog(&a, 0, 50 * RF_SEC); /* the queue ran empty: what was seen is demand */
    serve(&a, 50, 59, 80);
    assert_true(rate_of(&a, 59) == 0);
    serve(&a, 59, 61, 80);
    assert_true(rate_of(&a, 61) > 0);
}

static void test_stalls_are_no_steady_rate(void **state)
{
    (void)state;
    struct rf_admit a = {0};
    serve(&a, 100, 120, 80);
    serve(&a, 120, 126, 0);
    assert_true(rate_of(&a, 126) == 0);
    serve(&a, 126, 129, 80);
    assert_true(rate_of(&a, 129) == 0 || rate_of(&a, 129) >= 79);
    struct rf_admit few = {0};
    serve(&few, 100, 110, 0);
    for (uint64_t s = 110; s < 119; s++)
        rf_admit_answered(&few, 2, s * RF_SEC);
    assert_true(rate_of(&few, 119) == 0); /* 18 answers say nothing */
}

static void test_rising_rate_is_believed_within_three_seconds(void **state)
{
    (void)state;
    struct rf_admit a = {0};
    serve(&a, 100, 120, 80);
    serve(&a, 120, 123, 130);
    assert_true(fabs(rate_of(&a, 123) - 130) < 0.2);
    serve(&a, 123, 126, 40); /* and a falling one only when the good seconds have left */
    assert_true(fabs(rate_of(&a, 126) - 130) < 0.2);
    serve(&a, 126, 140, 40);
    assert_true(fabs(rate_of(&a, 140) - 40) < 0.1);
}

static void test_the_higher_of_two_rates_counts(void **state)
{
    (void)state;
    struct rf_admit a = {0};
    serve(&a, 100, 120, 80);
    uint64_t learned = rf_admit_wait(&a, 1000, 0, 0, 120 * RF_SEC);
    assert_int_equal(rf_admit_wait(&a, 1000, 20, 0, 120 * RF_SEC), learned);
    assert_true(rf_admit_wait(&a, 1000, 160, 0, 120 * RF_SEC) < learned);
}

static void test_answers_of_a_clock_that_goes_back_are_kept(void **state)
{
    (void)state;
    struct rf_admit a = {0};
    serve(&a, 100, 120, 80);
    uint64_t wait = rf_admit_wait(&a, 1000, 0, 0, 120 * RF_SEC);
    rf_admit_answered(&a, 8, 3 * RF_SEC);
    assert_int_equal(a.second, 119);
    assert_int_equal(rf_admit_wait(&a, 1000, 0, 0, 3 * RF_SEC), 0); /* no ten seconds of backlog */
    assert_true(rf_admit_wait(&a, 1000, 0, 0, 120 * RF_SEC) <= wait);
    rf_admit_answered(&a, UINT32_MAX, 119 * RF_SEC);
    rf_admit_answered(&a, UINT32_MAX, 119 * RF_SEC); /* does not wrap */
    assert_true(a.count[9] == UINT32_MAX);
}

/* The same rate from a count of each second since the beginning. */
#define HISTORY 60000

static double plain_rate(const uint32_t *count, uint64_t newest, uint64_t now_ns)
{
    uint64_t now_s = rf_max_u64(now_ns / RF_SEC, newest), sum = 0, best = 0;
    for (uint64_t s = now_s - 9; s < now_s; s++) {
        uint64_t three = 0;
        for (uint64_t k = s; k < s + 3 && k < now_s; k++)
            three += k < HISTORY ? count[k] : 0;
        sum += s < HISTORY ? count[s] : 0;
        best = three > best ? three : best;
    }
    return sum < 20 || (double)best / 3 > 2 * (double)sum / 9 ? 0 : (double)best / 3;
}

static void test_random_histories_against_a_plain_count(void **state)
{
    (void)state;
    static uint32_t count[HISTORY];
    struct rf_rng rng;
    rf_rng_init(&rng, 41);
    struct rf_admit a = {0};
    uint64_t now = 100 * RF_SEC, newest = 0, since = 0, known = 0;
    bool waiting = false;
    for (int i = 0; i < 150000 && now < (HISTORY - 20) * RF_SEC; i++) {
        uint64_t pace = now / (50 * RF_SEC) % 3;
        now += rf_rng_below(&rng, (pace == 0 ? 100 : 400) * RF_MS);
        if (rf_rng_below(&rng, 3000) == 0)
            now += rf_rng_below(&rng, 30 * RF_SEC);
        uint32_t n = (uint32_t)rf_rng_below(&rng, pace == 2 ? 4 : 40);
        newest = now / RF_SEC;
        count[newest] += n;
        rf_admit_answered(&a, n, now);
        bool full = rf_rng_below(&rng, 400) != 0;
        if (full && !waiting)
            since = now;
        waiting = full;
        rf_admit_backlog(&a, full, now);
        uint64_t ask = now + (rf_rng_below(&rng, 4) == 0 ? rf_rng_below(&rng, 12 * RF_SEC) : 0);
        double rate = waiting && ask - since >= 10 * RF_SEC ? plain_rate(count, newest, ask) : 0;
        uint64_t queued = 1 + rf_rng_below(&rng, 10000), rtt = rf_rng_below(&rng, RF_SEC);
        uint64_t wait = rf_admit_wait(&a, queued, 0, rtt, ask);
        uint64_t want = rate > 0 ? (uint64_t)((double)queued / (rate * 1.1) * 1e9) + rtt : 0;
        assert_true(wait <= want + 1 && want <= wait + 1);
        assert_true(rf_admit_wait(&a, queued + 1, 0, rtt, ask) >= wait);
        assert_true(rf_admit_wait(&a, queued, rate + 1, rtt, ask) <= wait || rate <= 0);
        known += rate > 0;
    }
    assert_true(known > 30000);
}

/* A queue before a node that takes one call at a time, at moments of its own: `slot`. A call whose
 * turn comes with less time left than 95 of 100 answers take is dropped, as in core/pump.c. Slots
 * and their round trips are the same in each run, so that runs can be compared. */
enum { SECONDS = 300, SLOTS = 40000, CALLS = 220000 };
#define DEADLINE_NS (2 * RF_SEC)

struct setting {
    double offered;     /* of the rate */
    bool admission;     /* off: every call is queued */
    bool told;          /* the rate is known; or else it is learned from the answers */
    bool check_late;    /* the drop at the head of the queue */
    uint64_t change_ns; /* so often the node's rate is doubled or halved again; 0: never */
};

struct outcome {
    uint64_t calls, refused, good, sent;
    uint64_t refused_rightly; /* those before it took up all of its time */
    bool made[CALLS];
    bool was_refused[CALLS];
};

static uint64_t slot_at[SLOTS], slot_rtt[SLOTS], rtt_sorted[SLOTS];
static uint64_t n_slots;

static double uniform(struct rf_rng *rng)
{
    return ((double)(rf_rng_next(rng) >> 11) + 0.5) / 9007199254740992.0;
}

static uint64_t round_trip(struct rf_rng *rng)
{
    double normal = sqrt(-2 * log(uniform(rng))) * cos(6.283185307179586 * uniform(rng));
    return (uint64_t)(80e6 * exp(0.35 * normal));
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* 50 a second, each half to one and a half of its gap after the last, and now and then a stall. */
static void make_slots(struct rf_rng *rng, uint64_t change_ns)
{
    n_slots = 0;
    for (uint64_t now = RF_SEC; now < SECONDS * RF_SEC && n_slots < SLOTS; n_slots++) {
        uint64_t gap = change_ns > 0 && now / change_ns % 2 ? 10 * RF_MS : 20 * RF_MS;
        now += gap / 2 + rf_rng_below(rng, gap);
        if (rf_rng_below(rng, 500) == 0)
            now += rf_rng_below(rng, 300 * RF_MS);
        slot_at[n_slots] = now;
        slot_rtt[n_slots] = rtt_sorted[n_slots] = round_trip(rng);
    }
    qsort(rtt_sorted, n_slots, sizeof rtt_sorted[0], by_value);
}

struct world {
    const struct setting *s;
    struct rf_admit admit;
    uint64_t at[CALLS];    /* when each was submitted */
    uint32_t queue[CALLS]; /* of those admitted */
    uint32_t head, tail;
    uint64_t slot, answer; /* the next of each */
    uint64_t answer_at[SLOTS];
    uint64_t n_answers;
    struct outcome *o;
};

static struct world w;

/* Answers come in the order of their sends here: the ring is not that exact. */
static void pass_slot(void)
{
    uint64_t now = slot_at[w.slot], rtt = slot_rtt[w.slot];
    uint64_t p95 = rtt_sorted[n_slots * 95 / 100];
    w.slot++;
    for (; w.answer < w.n_answers && w.answer_at[w.answer] <= now; w.answer++)
        rf_admit_answered(&w.admit, 1, w.answer_at[w.answer]);
    while (w.head < w.tail) {
        uint32_t call = w.queue[w.head++];
        uint64_t left = rf_time_sub(w.at[call] + DEADLINE_NS, now);
        if (left == 0 || (w.s->check_late && left < p95))
            continue;
        w.o->sent++;
        w.o->made[call] = rtt <= left;
        w.o->good += rtt <= left;
        w.answer_at[w.n_answers++] = now + rtt;
        break;
    }
    rf_admit_backlog(&w.admit, w.tail - w.head, now);
}

/* Whether a call behind `ahead` others would have missed its deadline, had all of them been sent.
 */
static bool would_miss(uint64_t ahead, uint64_t now)
{
    uint64_t slot = w.slot + ahead;
    return slot >= n_slots || slot_at[slot] + slot_rtt[slot] > now + DEADLINE_NS;
}

static void submit(uint32_t call, uint64_t now)
{
    uint64_t ahead = w.tail - w.head;
    uint64_t wait =
        rf_admit_wait(&w.admit, ahead, w.s->told ? 50 : 0, rtt_sorted[n_slots / 2], now);
    w.at[call] = now;
    w.o->calls++;
    if (w.s->admission && wait > DEADLINE_NS) {
        w.o->refused++;
        w.o->was_refused[call] = true;
        w.o->refused_rightly += would_miss(ahead, now);
        return;
    }
    w.queue[w.tail++] = call;
    rf_admit_backlog(&w.admit, w.tail - w.head, now);
}

static void simulate(const struct setting *s, struct outcome *o)
{
    struct rf_rng rng;
    rf_rng_init(&rng, 42);
    memset(&w, 0, sizeof w);
    memset(o, 0, sizeof *o);
    w.s = s;
    w.o = o;
    make_slots(&rng, s->change_ns);
    uint64_t now = RF_SEC;
    for (uint32_t call = 0; call < CALLS; call++) {
        now += (uint64_t)(-log(uniform(&rng)) * 20e6 / s->offered);
        while (w.slot < n_slots && slot_at[w.slot] <= now)
            pass_slot();
        if (w.slot >= n_slots)
            return;
        submit(call, now);
    }
}

static struct outcome with, without;

static void compare(const char *name, const struct setting *s)
{
    struct setting off = *s;
    off.admission = false;
    simulate(s, &with);
    simulate(&off, &without);
    uint64_t missed = 0;
    for (uint32_t i = 0; i < CALLS; i++)
        missed += with.was_refused[i] && !without.made[i];
    uint64_t refused = rf_max_u64(with.refused, 1);
    print_message("%s: %u calls, good %u (without admission %u), refused %u; of those %.1f %% had "
                  "too many before them, %.1f %% missed without admission\n",
                  name, (unsigned)with.calls, (unsigned)with.good, (unsigned)without.good,
                  (unsigned)with.refused, 100 * (double)with.refused_rightly / (double)refused,
                  100 * (double)missed / (double)refused);
}

static void test_ten_times_too_much_at_a_known_rate(void **state)
{
    (void)state;
    compare("known rate",
            &(struct setting){.offered = 10, .admission = true, .told = true, .check_late = true});
    assert_true(with.refused * 100 >= with.calls * 80);
    assert_true(with.refused_rightly * 100 >= with.refused * 95);
    assert_true(with.good * 1000 >= without.good * 995);
}

static void test_ten_times_too_much_at_a_learned_rate(void **state)
{
    (void)state;
    compare("learned rate",
            &(struct setting){.offered = 10, .admission = true, .check_late = true});
    assert_true(with.refused * 100 >= with.calls * 60);
    assert_true(with.refused_rightly * 100 >= with.refused * 95);
    assert_true(with.good * 1000 >= without.good * 995);
}

static void test_ten_times_too_much_at_a_rate_that_changes(void **state)
{
    (void)state;
    compare("changing rate",
            &(struct setting){
                .offered = 10, .admission = true, .check_late = true, .change_ns = 70 * RF_SEC});
    assert_true(with.refused * 100 >= with.calls * 50);
    assert_true(with.refused_rightly * 100 >= with.refused * 95);
    assert_true(with.good * 1000 >= without.good * 995);
}

/* Where nothing is dropped at the head, a queue too long answers nobody in time. */
static void test_without_the_check_at_the_head_admission_saves_the_queue(void **state)
{
    (void)state;
    compare("no check at the head",
            &(struct setting){.offered = 10, .admission = true, .told = true});
    assert_true(with.refused_rightly * 100 >= with.refused * 95);
    assert_true(with.good >= without.good);
}

static void test_nine_tenths_of_the_load_refuses_nobody(void **state)
{
    (void)state;
    for (int told = 0; told < 2; told++) {
        compare(
            "nine tenths",
            &(struct setting){.offered = 0.9, .admission = true, .told = told, .check_late = true});
        assert_int_equal(with.refused, 0);
        assert_true(with.good * 100 >= with.calls * 99);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_known_is_no_wait),
        cmocka_unit_test(test_example_of_a_known_rate),
        cmocka_unit_test(test_rates_that_are_none),
        cmocka_unit_test(test_rate_is_learned_after_ten_seconds_of_backlog),
        cmocka_unit_test(test_answers_without_backlog_teach_nothing),
        cmocka_unit_test(test_stalls_are_no_steady_rate),
        cmocka_unit_test(test_rising_rate_is_believed_within_three_seconds),
        cmocka_unit_test(test_the_higher_of_two_rates_counts),
        cmocka_unit_test(test_answers_of_a_clock_that_goes_back_are_kept),
        cmocka_unit_test(test_random_histories_against_a_plain_count),
        cmocka_unit_test(test_ten_times_too_much_at_a_known_rate),
        cmocka_unit_test(test_ten_times_too_much_at_a_learned_rate),
        cmocka_unit_test(test_ten_times_too_much_at_a_rate_that_changes),
        cmocka_unit_test(test_without_the_check_at_the_head_admission_saves_the_queue),
        cmocka_unit_test(test_nine_tenths_of_the_load_refuses_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
