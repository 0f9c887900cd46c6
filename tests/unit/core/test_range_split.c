/* test_range_split.c - plans cover their range, and splitting against a server that refuses ends
 * with the whole answer, at a bounded number of requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "core/range.h"
#include "policy/rangecap.h"

static void check_plan(uint64_t from, uint64_t to, const struct rf_range_hint *h,
                       const char *const want)
{
    struct rf_range_plan p;
    struct rf_buf b = {0};
    rf_range_split(from, to, h, &p);
    for (uint32_t i = 0; i < p.n; i++)
        rf_buf_printf(&b, "%llu-%llu ", (unsigned long long)p.part[i].from,
                      (unsigned long long)p.part[i].to);
    rf_buf_char(&b, 0);
    assert_string_equal(b.data, want);
    rf_buf_fini(&b);
}

static void test_plans(void **state)
{
    (void)state;
    static const struct {
        uint64_t from, to;
        struct rf_range_hint h;
        const char *want;
    } rows[] = {
        {5, 5, {0}, ""},
        {6, 5, {0}, ""},
        {5, 6, {0}, "5-5 6-6 "},
        {0, 9999, {0}, "0-4999 5000-9999 "},
        {10, 12, {0}, "10-11 12-12 "},
        /* a cap */
        {0, 25, {.cap = 10}, "0-9 10-19 20-25 "},
        {0, 19, {.cap = 10}, "0-9 10-19 "},
        {0, 19, {.cap = 20}, "0-9 10-19 "},
        {0, 19, {.cap = 19}, "0-18 19-19 "},
        {0, 19, {.cap = 99}, "0-9 10-19 "},
        {0, 3, {.cap = 1}, "0-0 1-1 2-2 3-3 "},
        /* a suggestion */
        {0,
         9999,
         {.told = true, .told_from = 0, .told_to = 1999},
         "0-1999 2000-3999 4000-5999 6000-7999 8000-9999 "},
        {0, 2999, {.told = true, .told_from = 0, .told_to = 1999}, "0-1999 2000-2999 "},
        {0, 9, {.told = true, .told_from = 7, .told_to = 10}, "0-3 4-7 8-9 "},
        {0, 9, {.told = true, .told_from = 0, .told_to = 9}, "0-4 5-9 "},
        {0, 9, {.told = true, .told_from = 0, .told_to = 99}, "0-4 5-9 "},
        {0, 9, {.told = true, .told_from = 5, .told_to = 4}, "0-4 5-9 "},
        {0, 9, {.told = true, .told_from = 0, .told_to = UINT64_MAX}, "0-4 5-9 "},
        {0, 9, {.told = true, .told_from = 0, .told_to = 5, .cap = 4}, "0-3 4-7 8-9 "},
        {0, 9, {.told = true, .told_from = 0, .told_to = 3, .cap = 7}, "0-3 4-7 8-9 "},
        /* a suggestion of nearly all, again and again */
        {0, 9, {.told = true, .told_from = 0, .told_to = 8, .depth = 7}, "0-8 9-9 "},
        {0, 9, {.told = true, .told_from = 0, .told_to = 8, .depth = 8}, "0-4 5-9 "},
        {0, 9, {.told = true, .told_from = 0, .told_to = 3, .depth = 8}, "0-3 4-7 8-9 "},
        {0, 9, {.cap = 9, .depth = 8}, "0-4 5-9 "},
        /* a probe */
        {0, 29, {.cap = 10, .probe = 12}, "0-11 12-21 22-29 "},
        {0, 11, {.cap = 10, .probe = 12}, "0-9 10-11 "},
        {0, 12, {.cap = 10, .probe = 12}, "0-11 12-12 "},
        {0, 12, {.probe = 12}, "0-6 7-12 "},
        /* the ends of the numbers */
        {0, UINT64_MAX, {0}, "0-9223372036854775807 9223372036854775808-18446744073709551615 "},
        {UINT64_MAX - 4,
         UINT64_MAX,
         {.cap = 2},
         "18446744073709551611-18446744073709551612 18446744073709551613-18446744073709551614 "
         "18446744073709551615-18446744073709551615 "},
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++)
        check_plan(rows[i].from, rows[i].to, &rows[i].h, rows[i].want);
}

/* More pieces than fit: the first one as it is, the others multiples that are cut again. */
static void test_plan_of_many_pieces_is_even(void **state)
{
    (void)state;
    struct rf_range_plan p;
    rf_range_split(0, 9999, &(struct rf_range_hint){.cap = 10}, &p);
    assert_int_equal(p.n, 64);
    assert_int_equal(p.part[0].to, 9);
    for (uint32_t i = 1; i < 63; i++)
        assert_int_equal(p.part[i].to - p.part[i].from + 1, 160);
    assert_int_equal(p.part[63].to - p.part[63].from + 1, 70);
    rf_range_split(0, 639, &(struct rf_range_hint){.cap = 10}, &p);
    assert_int_equal(p.n, 64);
    for (uint32_t i = 0; i < 64; i++)
        assert_int_equal(p.part[i].to - p.part[i].from + 1, 10);
    rf_range_split(0, UINT64_MAX, &(struct rf_range_hint){.cap = 1}, &p);
    assert_int_equal(p.n, 64);
    assert_int_equal(p.part[0].to, 0);
    assert_int_equal(p.part[63].to, UINT64_MAX);
}

static uint64_t random_number(struct rf_rng *r)
{
    return rf_rng_next(r) >> rf_rng_below(r, 64);
}

/* Anything a server may say of [from, to]. */
static struct rf_range_hint random_hint(struct rf_rng *r, uint64_t from, uint64_t to)
{
    struct rf_range_hint h = {.told = rf_rng_below(r, 2) == 0, .told_from = from};
    if (rf_rng_below(r, 4) == 0)
        h.told_from = random_number(r);
    h.told_to = rf_rng_below(r, 2) == 0 ? h.told_from + random_number(r) : to - random_number(r);
    h.cap = rf_rng_below(r, 2) * random_number(r);
    h.probe = rf_rng_below(r, 2) * random_number(r);
    h.depth = (uint32_t)rf_rng_below(r, 16);
    return h;
}

static void check_cover(const struct rf_range_plan *p, uint64_t from, uint64_t to)
{
    assert_int_equal(p->n == 0, from >= to);
    if (p->n == 0)
        return;
    assert_in_range(p->n, 2, RF_RANGE_PARTS_MAX);
    assert_int_equal(p->part[0].from, from);
    assert_int_equal(p->part[p->n - 1].to, to);
    for (uint32_t i = 0; i < p->n; i++) {
        assert_true(p->part[i].from <= p->part[i].to);
        if (i > 0)
            assert_true(p->part[i - 1].to < UINT64_MAX && p->part[i].from == p->part[i - 1].to + 1);
    }
}

static void test_random_plans_cover_their_range(void **state)
{
    (void)state;
    struct rf_rng r;
    rf_rng_init(&r, 2024);
    for (int i = 0; i < 300000; i++) {
        uint64_t len = random_number(&r), from, to;
        if (i % 3 == 0) {
            to = UINT64_MAX - rf_rng_below(&r, 3);
            from = to - len;
        } else {
            from = i % 3 == 1 ? rf_rng_below(&r, 3) : random_number(&r);
            to = len > UINT64_MAX - from ? UINT64_MAX : from + len;
        }
        struct rf_range_hint h = random_hint(&r, from, to);
        struct rf_range_plan p;
        rf_range_split(from, to, &h, &p);
        check_cover(&p, from, to);
        if (p.n > 0 && h.told && h.told_from == from && h.told_to >= from && h.told_to < to &&
            h.cap == 0 && h.depth < RF_RANGE_TRUST_DEPTH)
            assert_int_equal(p.part[0].to, h.told_to);
        if (!h.told && h.cap > 0 && h.cap <= to - from &&
            (to - from) / h.cap < RF_RANGE_PARTS_MAX && h.depth < RF_RANGE_TRUST_DEPTH)
            for (uint32_t k = 1; k < p.n; k++)
                assert_true(p.part[k].to - p.part[k].from < h.cap);
    }
}

/* Whatever is said, and whichever piece is refused: one block is reached in bounded depth. */
static void test_depth_is_bounded_against_any_server(void **state)
{
    (void)state;
    struct rf_rng r;
    uint32_t deepest = 0;
    rf_rng_init(&r, 64);
    for (int i = 0; i < 100000; i++) {
        uint64_t from = 0, to = UINT64_MAX >> (8 + rf_rng_below(&r, 56));
        uint32_t depth = 0;
        bool worst = i % 2 == 0; /* "one block less", and the longest piece each time */
        while (from < to) {
            struct rf_range_hint h = random_hint(&r, from, to);
            struct rf_range_plan p;
            if (worst)
                h = (struct rf_range_hint){.told = true, .told_from = from, .told_to = to - 1};
            h.depth = depth++;
            rf_range_split(from, to, &h, &p);
            check_cover(&p, from, to);
            uint32_t at = worst ? 0 : (uint32_t)rf_rng_below(&r, p.n);
            from = p.part[at].from;
            to = p.part[at].to;
        }
        deepest = depth > deepest ? depth : deepest;
    }
    print_message("deepest %u\n", deepest);
    assert_in_range(deepest, 32, RF_RANGE_DEPTH_MAX);
}

/* -- servers ----------------------------------------------------------------------------------- */

#define BLOCKS_MAX 600
#define RESULTS_MAX 4000
#define LEAVES_MAX 2048

/* A chain with logs, and the limits of its server. */
struct server {
    uint64_t first, blocks;     /* the range that is asked for */
    size_t at[RESULTS_MAX + 1]; /* where log i begins in `text`, each with its comma behind it */
    uint32_t before[BLOCKS_MAX + 1]; /* logs in front of block i */
    struct rf_buf text;
    uint64_t cap;     /* blocks; 0: any */
    uint64_t results; /* 0: any */
    bool tells_cap, suggests;
    bool moody; /* refuses now and then, with numbers that mean nothing */
    struct rf_rng *r;
};

struct refusal {
    struct rf_range_hint hint;
    struct rf_range_refusal learn;
};

static uint64_t count(const struct server *s, uint64_t from, uint64_t to)
{
    return s->before[to - s->first + 1] - s->before[from - s->first];
}

/* @return whether it is refused. */
static bool refuses(struct server *s, uint64_t from, uint64_t to, struct refusal *out)
{
    uint64_t len = to - from + 1;
    *out = (struct refusal){.learn.tried = len};
    if (s->moody && len > 1 && rf_rng_below(s->r, 8) == 0) {
        out->hint = random_hint(s->r, from, to);
        out->hint.cap = 0;
        out->learn.told_blocks = rf_rng_below(s->r, 3) == 0 ? rf_rng_below(s->r, len + 2) : 0;
        out->learn.by_results = rf_rng_below(s->r, 2) == 0;
        return true;
    }
    if (s->cap > 0 && len > s->cap) {
        out->learn.told_blocks = s->tells_cap ? s->cap : 0;
        out->hint.told = s->suggests;
        out->hint.told_from = from;
        out->hint.told_to = from + s->cap - 1;
        return true;
    }
    if (s->results > 0 && count(s, from, to) > s->results) {
        out->learn.by_results = true;
        out->hint.told = s->suggests;
        out->hint.told_from = out->hint.told_to = from;
        while (count(s, from, out->hint.told_to + 1) <= s->results)
            out->hint.told_to++;
        return true;
    }
    return false;
}

/* A client that knows nothing but what it is told. */
struct client {
    struct server *s;
    struct rf_range_cap cap;
    bool learns;
    uint32_t requests, refused, plans, n;
    uint32_t deepest;
    struct rf_buf leaf[LEAVES_MAX];
};

static void keep_answer(struct client *c, uint64_t from, uint64_t to)
{
    const struct server *s = c->s;
    size_t a = s->at[s->before[from - s->first]], b = s->at[s->before[to - s->first + 1]];
    assert_true(c->n < LEAVES_MAX);
    struct rf_buf *out = &c->leaf[c->n++];
    out->len = 0;
    rf_buf_char(out, '[');
    rf_buf_add(out, s->text.data + a, b > a ? b - a - 1 : 0);
    rf_buf_char(out, ']');
}

static void ask(struct client *c, uint64_t from, uint64_t to, uint32_t depth)
{
    struct refusal x = {0};
    struct rf_range_plan p;
    uint64_t len = to - from + 1;
    assert_true(depth <= RF_RANGE_DEPTH_MAX);
    c->deepest = depth > c->deepest ? depth : c->deepest;
    if (!c->learns || c->cap.cap == 0 || len <= c->cap.cap) {
        c->requests++;
        if (!refuses(c->s, from, to, &x)) {
            rf_range_cap_passed(&c->cap, len);
            keep_answer(c, from, to);
            return;
        }
        c->refused++;
        rf_range_cap_refused(&c->cap, &x.learn, RF_SEC);
        assert_true(len > 1);
    }
    x.hint.cap = c->learns ? c->cap.cap : 0;
    x.hint.depth = depth;
    rf_range_split(from, to, &x.hint, &p);
    check_cover(&p, from, to);
    c->plans++;
    for (uint32_t i = 0; i < p.n; i++)
        ask(c, p.part[i].from, p.part[i].to, depth + 1);
}

/* Up to 600 blocks, some dense and some empty. */
static void make_server(struct server *s, struct rf_rng *r)
{
    uint64_t logs = 0, most = 0, density = 1 + rf_rng_below(r, 8);
    s->first = rf_rng_below(r, 2) * (random_number(r) >> 1);
    s->blocks = 1 + rf_rng_below(r, rf_rng_below(r, 4) == 0 ? BLOCKS_MAX : 60);
    s->text.len = 0;
    s->before[0] = 0;
    for (uint64_t b = 0; b < s->blocks; b++) {
        uint64_t here = rf_rng_below(r, density + 1);
        if (rf_rng_below(r, 20) == 0)
            density = 1 + rf_rng_below(r, 8);
        if (rf_rng_below(r, 30) == 0)
            here *= 4;
        here = rf_min_u64(here, RESULTS_MAX - logs);
        for (uint64_t i = 0; i < here; i++) {
            s->at[logs++] = s->text.len;
            rf_buf_str(&s->text, "{\"b\":");
            rf_buf_u64(&s->text, b);
            rf_buf_str(&s->text, ",\"i\":");
            rf_buf_u64(&s->text, i);
            rf_buf_str(&s->text, "},");
        }
        most = rf_max_u64(most, here);
        s->before[b + 1] = (uint32_t)logs;
    }
    s->at[logs] = s->text.len;
    s->cap = rf_rng_below(r, 2) * (1 + rf_rng_below(r, s->blocks));
    s->results =
        s->cap == 0 || rf_rng_below(r, 4) == 0 ? rf_max_u64(1, most + rf_rng_below(r, 20)) : 0;
    s->tells_cap = rf_rng_below(r, 2) == 0;
    s->suggests = rf_rng_below(r, 2) == 0;
    s->moody = rf_rng_below(r, 4) == 0;
}

static uint64_t ceil_div(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

static uint64_t log2_up(uint64_t n)
{
    uint64_t bits = 0;
    while (bits < 63 && (UINT64_C(1) << bits) < n)
        bits++;
    return bits;
}

/* The bounds that range.c states, and the worst that was seen of each, in requests too many. */
enum kind {
    MOODY,
    BLOCKS_LEARNED,
    BLOCKS_UNTOLD,
    BLOCKS_SUGGESTED,
    RESULTS_UNTOLD,
    RESULTS_SUGGESTED,
    BOTH,
    N_KINDS
};

static enum kind kind_of(const struct server *s, const struct client *c)
{
    if (s->moody)
        return MOODY;
    if (s->cap > 0 && s->results > 0)
        return BOTH;
    if (s->results > 0)
        return s->suggests ? RESULTS_SUGGESTED : RESULTS_UNTOLD;
    if (c->learns && s->tells_cap)
        return BLOCKS_LEARNED;
    return s->suggests ? BLOCKS_SUGGESTED : BLOCKS_UNTOLD;
}

static uint64_t bound_of(enum kind k, const struct server *s, const struct client *c)
{
    uint64_t pieces = s->cap > 0 ? ceil_div(s->blocks, s->cap) : 0;
    uint64_t logs = s->before[s->blocks];
    switch (k) {
    case BLOCKS_LEARNED:
        return pieces + 1;
    case BLOCKS_UNTOLD:
        return 4 * pieces;
    case BLOCKS_SUGGESTED:
        return 2 * pieces + 1;
    case RESULTS_UNTOLD:
        return 1 + 2 * (logs / s->results) * (log2_up(s->blocks) + 1);
    default:
        return 1 + (uint64_t)RF_RANGE_PARTS_MAX * c->plans;
    }
}

static const char *const kind_names[N_KINDS] = {"moody",
                                                "blocks, told and learned",
                                                "blocks, untold",
                                                "blocks, suggested",
                                                "results, untold",
                                                "results, suggested",
                                                "both"};

static struct {
    uint64_t cases, requests, least;
} seen[N_KINDS];

static void check_case(struct server *s, struct client *c, struct rf_buf *out)
{
    struct rpcfan_slice parts[LEAVES_MAX];
    c->requests = c->refused = c->plans = c->n = 0;
    c->cap = (struct rf_range_cap){0};
    ask(c, s->first, s->first + s->blocks - 1, 0);
    for (uint32_t i = 0; i < c->n; i++)
        parts[i] = (struct rpcfan_slice){c->leaf[i].data, c->leaf[i].len};
    out->len = 0;
    assert_true(rf_range_merge(parts, c->n, false, out));
    size_t len = s->text.len > 0 ? s->text.len - 1 : 0;
    assert_int_equal(out->len, len + 2);
    if (len > 0)
        assert_memory_equal(out->data + 1, s->text.data, len);
    enum kind k = kind_of(s, c);
    uint64_t bound = bound_of(k, s, c);
    if (c->requests > bound)
        fail_msg("%s: %u requests, at most %u", kind_names[k], c->requests, (unsigned)bound);
    seen[k].cases++;
    seen[k].requests += c->requests;
    seen[k].least += s->cap > 0 ? ceil_div(s->blocks, s->cap)
                                : rf_max_u64(1, ceil_div(s->before[s->blocks], s->results));
}

static void test_splitting_ends_with_the_whole_answer(void **state)
{
    (void)state;
    static struct server s;
    static struct client c;
    struct rf_buf out = {0};
    struct rf_rng r;
    rf_rng_init(&r, 600);
    s.r = &r;
    c.s = &s;
    for (int i = 0; i < 100000; i++) {
        make_server(&s, &r);
        c.learns = rf_rng_below(&r, 2) == 0;
        check_case(&s, &c, &out);
    }
    for (int k = 0; k < N_KINDS; k++) {
        print_message("%-26s %6u cases, %.2f requests for each that a seer would send\n",
                      kind_names[k], (unsigned)seen[k].cases,
                      (double)seen[k].requests / (double)seen[k].least);
        assert_true(seen[k].cases > 1000);
    }
    print_message("deepest %u\n", c.deepest);
    rf_buf_fini(&s.text);
    rf_buf_fini(&out);
    for (size_t i = 0; i < LEAVES_MAX; i++)
        rf_buf_fini(&c.leaf[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plans),
        cmocka_unit_test(test_plan_of_many_pieces_is_even),
        cmocka_unit_test(test_random_plans_cover_their_range),
        cmocka_unit_test(test_depth_is_bounded_against_any_server),
        cmocka_unit_test(test_splitting_ends_with_the_whole_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
