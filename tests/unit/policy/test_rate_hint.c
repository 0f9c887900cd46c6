/* test_rate_hint.c - rate-limit headers: each form that is read, what wins, and what is ignored. */
#include "policy/rate_hint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

#define NO UINT64_MAX  /* remaining: not said */
#define NOT UINT64_MAX /* reset, in s: not said */
#define WALL 1790000000
#define LONGEST_S (UINT64_C(366) * 86400)

struct header {
    const char *name, *value;
};

struct hint_case {
    struct header h[5];
    uint64_t remaining, reset_s, quota, window_s;
};

static struct rf_rate_hint read_all(const struct header *h, size_t n)
{
    struct rf_rate_reader r;
    struct rf_rate_hint hint;
    memset(&hint, 0xee, sizeof hint);
    rf_rate_reader_init(&r);
    for (size_t i = 0; i < n && h[i].name != NULL; i++) {
        assert_true(rf_rate_header(h[i].name, strlen(h[i].name)) || h[i].name[0] == 'D');
        rf_rate_reader_take(&r, h[i].name, h[i].value);
    }
    rf_rate_reader_finish(&r, WALL, &hint);
    return hint;
}

static void expect(const struct hint_case *c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct rf_rate_hint got = read_all(c[i].h, RF_COUNT(c[i].h));
        uint64_t reset = c[i].reset_s == NOT ? RF_NEVER : c[i].reset_s * RF_SEC;
        bool any = c[i].remaining != NO || reset != RF_NEVER || c[i].quota > 0;
        if (got.any != any || got.remaining != c[i].remaining || got.reset_ns != reset ||
            got.quota != c[i].quota || got.window_ns != c[i].window_s * RF_SEC)
            fail_msg("case %zu (%s: %s): any %d remaining %llu reset %llu quota %llu window %llu",
                     i, c[i].h[0].name, c[i].h[0].value, got.any, (unsigned long long)got.remaining,
                     (unsigned long long)got.reset_ns, (unsigned long long)got.quota,
                     (unsigned long long)got.window_ns);
    }
}

static void test_rate_structured_fields(void **state)
{
    (void)state;
    static const struct hint_case cases[] = {
        {{{"RateLimit", "\"default\";r=50;t=30"}}, 50, 30, 0, 0},
        {{{"RateLimit", "\"default\";r=50"}}, 50, NOT, 0, 0},
        {{{"RateLimit", "default;r=50;t=30"}}, 50, 30, 0, 0},
        {{{"RateLimit", " \"a b\"; r=1 ;t=2"}}, NO, NOT, 0, 0}, /* a blank before ';' */
        {{{"RateLimit", " \"a b\"; r=1; t=2 "}}, 1, 2, 0, 0},
        {{{"RateLimit", "\"d\";r=0;t=7;pk=:dXNlcg==:;x=?1;y;z=1.5;s=\"q\\\"\""}}, 0, 7, 0, 0},
        {{{"RateLimit-Policy", "\"burst\";q=100;w=60"}}, NO, NOT, 100, 60},
        {{{"ratelimit-policy", "\"burst\";q=100;w=60"}, {"RATELIMIT", "\"burst\";r=9;t=3"}},
         9,
         3,
         100,
         60},
        /* the other way round, and the tightest of several with its own policy */
        {{{"RateLimit", "\"burst\";r=90;t=3, \"day\";r=12;t=7000"},
          {"RateLimit-Policy", "\"burst\";q=100;w=60,\"day\";q=5000;w=86400"}},
         12,
         7000,
         5000,
         86400},
        {{{"RateLimit", "\"a\";r=5;t=3"}, {"RateLimit", "\"b\";r=5;t=9"}}, 5, 9, 0, 0},
        {{{"RateLimit", "\"none\";r=5;t=3"}, {"RateLimit-Policy", "\"other\";q=7;w=8"}},
         5,
         3,
         0,
         0},
        /* of policies alone the lowest rate, not the lowest number */
        {{{"RateLimit-Policy", "\"b\";q=100;w=1, \"h\";q=1000;w=3600, \"n\";q=1"}},
         NO,
         NOT,
         1000,
         3600},
        {{{"RateLimit-Policy", "\"n\";q=1, \"m\";q=7"}}, NO, NOT, 1, 0},
        /* bytes and concurrency are no calls */
        {{{"RateLimit-Policy", "\"bytes\";q=10;w=1;qu=\"content-bytes\", \"c\";q=500;w=10"},
          {"RateLimit", "\"bytes\";r=0;t=1, \"c\";r=400;t=5"}},
         400,
         5,
         500,
         10},
        {{{"RateLimit-Policy", "\"c\";q=4;qu=\"concurrent-requests\""}}, NO, NOT, 0, 0},
        {{{"RateLimit-Policy", "\"c\";q=4;w=2;qu=\"requests\""}}, NO, NOT, 4, 2},
        {{{"RateLimit", "\"d\";r=999999999999999;t=999999999999999"}},
         999999999999999,
         LONGEST_S,
         0,
         0},
        {{{"RateLimit", ""}}, NO, NOT, 0, 0},
    };
    expect(cases, RF_COUNT(cases));
}

/* One bad byte, and the whole field counts for nothing; the other fields stand. */
static void test_rate_malformed_fields_are_ignored_whole(void **state)
{
    (void)state;
    static const char *const bad[] = {"\"a\"",
                                      "\"a\";t=3",
                                      "\"a\";r",
                                      "\"a\";r=-1",
                                      "\"a\";r=1.5",
                                      "\"a\";r=\"5\"",
                                      "\"a\";r=5;t=x",
                                      "\"a\";r=5;t=-1",
                                      "\"a;r=5",
                                      "\"a\\x\";r=5",
                                      "\"a\";r=5,",
                                      "\"a\";r=5,,\"b\";r=4",
                                      "\"a\";r=5;",
                                      "\"a\";R=5",
                                      "\"a\";r=5 \"b\"",
                                      "(\"a\");r=5",
                                      "5;r=5",
                                      "?1;r=5",
                                      "\"a\";r=5;x=?2",
                                      "\"a\";r=5;x=:a",
                                      "\"a\";r=5;qu=1",
                                      "\"\x80\";r=5",
                                      "\"a\";r=1000000000000000",
                                      "\"a\";r=5;x=1.",
                                      "\"a\";r=5;x=1.2345",
                                      ", \"a\";r=5",
                                      "limit=100, \"a\";r=5",
                                      "\"a\";r=5, limit=100"};
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        struct header h[] = {{"RateLimit", bad[i]}, {"X-RateLimit-Remaining", "7"}};
        struct rf_rate_hint got = read_all(h, 2);
        if (got.remaining != 7 || got.reset_ns != RF_NEVER || got.quota != 0)
            fail_msg("%s: %llu", bad[i], (unsigned long long)got.remaining);
    }
    static const struct hint_case cases[] = {
        {{{"RateLimit", "\"a\";r=5;t=3"}, {"RateLimit", "\"b\";r"}}, NO, NOT, 0, 0},
        {{{"RateLimit", "\"a\";r=5;t=3"}, {"RateLimit-Policy", "\"a\";w=3"}}, 5, 3, 0, 0},
        {{{"RateLimit-Policy", "\"a\";q=3;w=4"}, {"RateLimit", "\"a\";r"}}, NO, NOT, 3, 4},
        {{{"RateLimit", "a;r=1,a;r=1,a;r=1,a;r=1,a;r=1,a;r=1,a;r=1,a;r=1,a;r=1"}}, NO, NOT, 0, 0},
    };
    expect(cases, RF_COUNT(cases));
}

static void test_rate_older_fields(void **state)
{
    (void)state;
    static const struct hint_case cases[] = {
        {{{"RateLimit-Limit", "100"}, {"RateLimit-Remaining", "42"}, {"RateLimit-Reset", "17"}},
         42,
         17,
         100,
         0},
        {{{"RateLimit-Limit", "100, 10;w=1, 100;w=60"}, {"RateLimit-Remaining", "42"}},
         42,
         NOT,
         100,
         60},
        {{{"RateLimit-Limit", "100;w=60"}}, NO, NOT, 100, 60},
        {{{"RateLimit-Limit", "100"}, {"RateLimit-Policy", "10;w=1, 100;w=60"}}, NO, NOT, 100, 60},
        {{{"RateLimit-Policy", "10;w=1, 100;w=60"}}, NO, NOT, 100, 60},
        {{{"RateLimit", "limit=100, remaining=50, reset=30"}, {"RateLimit-Policy", "100;w=60"}},
         50,
         30,
         100,
         60},
        {{{"RateLimit", "remaining=0;x=1,reset=5"}}, 0, 5, 0, 0},
        {{{"RateLimit", "remaining=x"}}, NO, NOT, 0, 0},
        {{{"RateLimit-Remaining", "-1"}}, NO, NOT, 0, 0},
        {{{"RateLimit-Remaining", "many"}}, NO, NOT, 0, 0},
        {{{"RateLimit-Remaining", "5"},
          {"RateLimit-Remaining", "3"},
          {"RateLimit-Reset", "1"},
          {"RateLimit-Reset", "9"}},
         3,
         9,
         0,
         0},
        /* a limit of 0 means that nothing is counted, not that nothing is left */
        {{{"RateLimit-Limit", "0"}, {"RateLimit-Remaining", "0"}}, NO, NOT, 0, 0},
        {{{"RateLimit-Limit-Minute", "5"}}, NO, NOT, 0, 0},
    };
    expect(cases, RF_COUNT(cases));
}

static void test_rate_x_headers(void **state)
{
    (void)state;
    static const struct hint_case cases[] = {
        {{{"X-RateLimit-Limit", "100"},
          {"X-RateLimit-Remaining", "42"},
          {"x-ratelimit-reset", "9"}},
         42,
         9,
         100,
         0},
        {{{"x-ratelimit-limit", "10, 10;w=1;name=\"a, b\""}, {"x-ratelimit-remaining", "9"}},
         9,
         NOT,
         10,
         1},
        {{{"X-Rate-Limit-Remaining", "3"}, {"X-Rate-Limit-Limit", "5"}}, 3, NOT, 5, 0},
        /* an instant in s, in ms, in the past, and numbers at the borders */
        {{{"X-RateLimit-Reset", "1790000030"}}, NO, 30, 0, 0},
        {{{"X-RateLimit-Reset", "1790000030000"}}, NO, 30, 0, 0},
        {{{"X-RateLimit-Reset", "1789999999"}}, NO, 0, 0, 0},
        {{{"X-RateLimit-Reset", "1000000000"}}, NO, LONGEST_S, 0, 0},
        {{{"X-RateLimit-Reset", "1000000001"}}, NO, 0, 0, 0},
        {{{"X-RateLimit-Reset", "99999999999999999999999"}}, NO, NOT, 0, 0},
        {{{"X-RateLimit-Reset", "2026-11-22T00:00:00Z"}}, NO, NOT, 0, 0},
        {{{"X-RateLimit-Reset", ""}}, NO, NOT, 0, 0},
        /* the span in the name: of several the one with the fewest left */
        {{{"X-RateLimit-Limit-Second", "20"},
          {"X-RateLimit-Remaining-Second", "19"},
          {"X-RateLimit-Limit-Minute", "300"},
          {"X-RateLimit-Remaining-Minute", "4"}},
         4,
         NOT,
         300,
         60},
        {{{"x-ratelimit-limit-second", "20"}}, NO, NOT, 20, 1},
        {{{"x-ratelimit-limit-day", "20000"}, {"x-ratelimit-limit", "0"}}, NO, NOT, 20000, 86400},
        {{{"x-ratelimit-limit-fortnight", "20"},
          {"X-RateLimit-Tier", "0"},
          {"X-RateLimit-Remaining-Method", "0"}},
         NO,
         NOT,
         0,
         0},
        {{{"X-RateLimit-Limit", "0"}, {"X-RateLimit-Remaining", "0"}}, NO, NOT, 0, 0},
        {{{"X-RateLimit-Limit", "unlimited"}, {"X-RateLimit-Remaining", "-1"}}, NO, NOT, 0, 0},
    };
    expect(cases, RF_COUNT(cases));
}

static void test_rate_fraction_of_a_second(void **state)
{
    (void)state;
    struct header h[] = {{"X-RateLimit-Reset", "0.25"}};
    assert_int_equal(read_all(h, 1).reset_ns, 250 * RF_MS);
}

/* RateLimit > RateLimit-Limit and its kin > X-*; what one leaves open the next may say. */
static void test_rate_precedence(void **state)
{
    (void)state;
    static const struct hint_case cases[] = {
        {{{"X-RateLimit-Remaining", "1"},
          {"RateLimit-Remaining", "2"},
          {"RateLimit", "d;r=3;t=4"},
          {"X-RateLimit-Limit", "10"},
          {"RateLimit-Limit", "20;w=5"}},
         3,
         4,
         20,
         5},
        {{{"X-RateLimit-Remaining", "1"}, {"RateLimit-Remaining", "2"}}, 2, NOT, 0, 0},
        {{{"X-RateLimit-Remaining", "1"}, {"RateLimit-Policy", "p;q=6;w=7"}}, 1, NOT, 6, 7},
        {{{"X-RateLimit-Remaining", "1"}, {"X-RateLimit-Limit", "8"}, {"RateLimit", "d;r=3"}},
         3,
         NOT,
         8,
         0},
    };
    expect(cases, RF_COUNT(cases));
}

static void test_rate_header_names(void **state)
{
    (void)state;
    assert_true(rf_rate_header("RateLimit: x", 12));
    assert_true(rf_rate_header("ratelimit-policy", 16));
    assert_true(rf_rate_header("X-Rate-Limit-Reset", 18));
    assert_false(rf_rate_header("RateLimi", 8));
    assert_false(rf_rate_header("Retry-After: 5", 14));
    assert_false(rf_rate_header("X-Request-Id: 5", 15));
    assert_false(rf_rate_header("", 0));
    struct header none[] = {{"Date", "5"}, {"Date-RateLimit", "\"a\";r=1"}};
    assert_false(read_all(none, 2).any);
}

static char *exact_copy(const char *data, size_t len)
{
    char *copy = malloc(len + 1); /* exact, so that a sanitizer sees a step too far */
    assert_non_null(copy);
    memcpy(copy, data, len);
    copy[len] = '\0';
    return copy;
}

static void check_bounds(const struct rf_rate_hint *h)
{
    assert_true(h->reset_ns == RF_NEVER || h->reset_ns <= LONGEST_S * RF_SEC);
    assert_true(h->window_ns <= LONGEST_S * RF_SEC);
    assert_true(h->quota > 0 || h->window_ns == 0);
    assert_int_equal(h->any, h->remaining != UINT64_MAX || h->reset_ns != RF_NEVER || h->quota > 0);
}

static const char *const names[] = {
    "RateLimit",       "RateLimit-Policy",  "RateLimit-Limit",           "RateLimit-Remaining",
    "RateLimit-Reset", "X-RateLimit-Limit", "X-RateLimit-Remaining-Day", "X-Rate-Limit-Reset"};

static void test_rate_random_values(void **state)
{
    (void)state;
    static const char *const pieces[] = {"\"a\"",      "\"",
                                         ";",          "r=",
                                         "q=",         "w=",
                                         "t=",         "qu=",
                                         "limit=",     "remaining=",
                                         "reset=",     "5",
                                         "0",          "-",
                                         ".",          ",",
                                         " ",          "\\",
                                         ":",          "?1",
                                         "=",          "100",
                                         "60",         "a",
                                         ";r=5",       ";q=100",
                                         ";w=60",      "\x80",
                                         "(",          "*",
                                         "\t",         "\x01",
                                         "1790000030", "999999999999999999999",
                                         "requests",   "\"content-bytes\""};
    struct rf_rng rng;
    unsigned said = 0;
    rf_rng_init(&rng, 31);
    for (int i = 0; i < 100000; i++) {
        struct rf_rate_reader r;
        struct rf_rate_hint hint;
        rf_rate_reader_init(&r);
        for (uint64_t n = 1 + rf_rng_below(&rng, 4); n > 0; n--) {
            char text[300] = "";
            size_t len = 0;
            if (rf_rng_below(&rng, 4) == 0) {
                len = (size_t)rf_rng_below(&rng, 24);
                for (size_t k = 0; k < len; k++)
                    text[k] = (char)(1 + rf_rng_below(&rng, 255));
            } else {
                for (uint64_t k = rf_rng_below(&rng, 10); k > 0; k--)
                    strcat(text, pieces[rf_rng_below(&rng, RF_COUNT(pieces))]);
                len = strlen(text);
            }
            char *value = exact_copy(text, len);
            rf_rate_reader_take(&r, names[rf_rng_below(&rng, RF_COUNT(names))], value);
            free(value);
        }
        rf_rate_reader_finish(&r, (int64_t)rf_rng_below(&rng, 3) * WALL, &hint);
        check_bounds(&hint);
        said += hint.any;
    }
    assert_in_range(said, 1000, 99000); /* both outcomes were met */
}

/* Any well-formed list comes out as its tightest entry. */
static void test_rate_random_lists(void **state)
{
    (void)state;
    struct rf_rng rng;
    rf_rng_init(&rng, 32);
    for (int i = 0; i < 100000; i++) {
        char items[400] = "", policies[400] = "";
        uint64_t n = 1 + rf_rng_below(&rng, RF_RATE_ITEMS), left = UINT64_MAX, at = 0;
        for (uint64_t k = 0; k < n; k++) {
            uint64_t remaining = rf_rng_below(&rng, 1000) * RF_RATE_ITEMS + k; /* no two alike */
            size_t a = strlen(items), b = strlen(policies);
            snprintf(items + a, sizeof items - a, "%s\"p%u\";r=%u;t=%u", k > 0 ? ", " : "",
                     (unsigned)k, (unsigned)remaining, (unsigned)k + 1);
            snprintf(policies + b, sizeof policies - b, "%s\"p%u\";w=%u;q=%u", k > 0 ? "," : "",
                     (unsigned)k, (unsigned)k + 5, (unsigned)k + 100);
            if (remaining < left) {
                left = remaining;
                at = k;
            }
        }
        struct header h[] = {{"RateLimit-Policy", policies}, {"RateLimit", items}};
        bool swapped = rf_rng_below(&rng, 2) == 1;
        struct header other[] = {h[1], h[0]};
        struct rf_rate_hint got = read_all(swapped ? other : h, 2);
        assert_int_equal(got.remaining, left);
        assert_int_equal(got.reset_ns, (at + 1) * RF_SEC);
        assert_int_equal(got.quota, at + 100);
        assert_int_equal(got.window_ns, (at + 5) * RF_SEC);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_structured_fields),
        cmocka_unit_test(test_rate_malformed_fields_are_ignored_whole),
        cmocka_unit_test(test_rate_older_fields),
        cmocka_unit_test(test_rate_x_headers),
        cmocka_unit_test(test_rate_fraction_of_a_second),
        cmocka_unit_test(test_rate_precedence),
        cmocka_unit_test(test_rate_header_names),
        cmocka_unit_test(test_rate_random_values),
        cmocka_unit_test(test_rate_random_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
