/* test_told.c - numbers in the words of refusals: each form that was seen, and what only looks like
 * one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "policy/told.h"

static void test_told_range_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t from, to;
        bool any;
    } cases[] = {
        {"this block range should work: [0x1, 0x2f]", 1, 47, true},
        {"This Block Range Should Work: [0x1,0x1]", 1, 1, true},
        {"Try with this block range [0xAb, 0xcD].", 171, 205, true},
        {"retry with the range 100-200", 100, 200, true},
        {"retry with the range 100 - 200.", 100, 200, true},
        {"retry with the range 100 to 200", 100, 200, true},
        {"block range should work: [\"0x1\", \"0x2\"]", 1, 2, true},
        {"retry with the range 18446744073709551-18446744073709552", 0, 0, false}, /* a digit more
                                                                                      than 16 */
        {"block range should work: [0x2, 0x1]", 0, 0, false},
        {"block range should work: [0x, 0x1]", 0, 0, false},
        {"block range should work: [0x1", 0, 0, false},
        {"block range should work: [latest, 0x1]", 0, 0, false},
        {"block range should work", 0, 0, false},
        {"some other range 1-2", 0, 0, false},
        {"", 0, 0, false},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        uint64_t from = 0, to = 0;
        bool any = rf_told_range(cases[i].text, strlen(cases[i].text), &from, &to);
        if (any != cases[i].any || (any && (from != cases[i].from || to != cases[i].to)))
            fail_msg("%s: %d %llu-%llu", cases[i].text, any, (unsigned long long)from,
                     (unsigned long long)to);
    }
}

struct number {
    const char *text;
    uint64_t n;
};

static void test_told_blocks_forms(void **state)
{
    (void)state;
    static const struct number cases[] = {
        {"limited to a 10,000 range", 10000},
        {"limited to 0 - 50 blocks range", 50},
        {"limited to 0-50 blocks", 50},
        {"with up to a 2K block range", 2000},
        {"max is 10k blocks", 10000},
        {"max 1m blocks", 1000000},
        {"maximum block range: 50000", 50000},
        {"(5000 > 500)", 500},
        {"not higher than allowed (5000 >500) (7 > 5)", 500},
        {"must not exceed 25 blocks.", 25},
        {"at most 1000.", 1000},
        {"maximum 1,234,567", 1234567},
        {"a cap of 10K logs in the response", 0},
        {"exceeds max results 20000", 0},
        {"maximum 20000 results", 0},
        {"up to 10 MB", 0},
        {"up to 100 bytes", 0},
        {"max 1.5 blocks", 0},
        {"max 5x", 0},
        {"max 99999999999999999999", 0},
        {"climax 5", 0},
        {"max", 0},
        {"", 0},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        uint64_t n = rf_told_blocks(cases[i].text, strlen(cases[i].text));
        if (n != cases[i].n)
            fail_msg("%s: %llu", cases[i].text, (unsigned long long)n);
    }
}

static void test_told_inputs_forms(void **state)
{
    (void)state;
    static const struct number cases[] = {
        {"Too many inputs provided; max 100", 100},
        {"query exceeds the maximum of 1000 addresses or topics", 1000},
        {"This query contains 6000 filters. The current limit is 5000", 5000},
        {"exceed max topics", 0},
        {"max 99999999999", 0},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        uint64_t n = rf_told_inputs(cases[i].text, strlen(cases[i].text));
        if (n != cases[i].n)
            fail_msg("%s: %llu", cases[i].text, (unsigned long long)n);
    }
}

static void test_told_rate_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t count, window_ms;
        bool credits;
    } cases[] = {
        {"50/second request limit reached", 50, 1000, false},
        {"credits limited to 6000/sec", 6000, 1000, true},
        {"330 CU per second", 330, 1000, true},
        {"at most 1,000 requests per minute", 1000, 60000, false},
        {"100 requests per 10 seconds", 100, 10000, false},
        {"100/10s", 100, 10000, false},
        {"40 calls every 10s", 40, 10000, false},
        {"1/min for eth_getLogs", 1, 60000, false},
        {"5000 / day", 5000, 86400000, false},
        {"max 10 getLogs per 30 min", 10, 1800000, false},
        {"{requests_per_unit:1500 unit:MINUTE}", 1500, 60000, false},
        {"\"requests_per_unit\": 3, \"unit\": \"SECOND\"", 3, 1000, false},
        {"\"allowed_rps\":10", 10, 1000, false},
        {"\"allowed_rps\": 12.5,", 125, 10000, false},
        {"\"allowed_rps\":0.01", 1, 101000, false},
        {"\"allowed_rps\":0", 0, 0, false},
        {"\"allowed_rps\":null", 0, 0, false},
        {"requests_per_unit:0 unit:MINUTE", 0, 0, false},
        {"requests_per_unit:5 unit:FORTNIGHT", 0, 0, false},
        {"31/s used, 25/s allowed, 500/s for more", 25, 1000, false},
        {"open 24/7", 0, 0, false},
        {"https://x.example/v1/second/2/s", 0, 0, false},
        {"10 per cent", 0, 0, false},
        {"0/second", 0, 0, false},
        {"5/0s", 0, 0, false},
        {"5/99999999s", 0, 0, false},
        {"per second", 0, 0, false},
        {"", 0, 0, false},
    };
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct rf_told_rate r = rf_told_rate(cases[i].text, strlen(cases[i].text));
        if (r.count != cases[i].count || r.window_ns != cases[i].window_ms * RF_MS ||
            r.credits != cases[i].credits)
            fail_msg("%s: %llu in %llu ns", cases[i].text, (unsigned long long)r.count,
                     (unsigned long long)r.window_ns);
    }
}

static void test_told_member(void **state)
{
    (void)state;
    static const char json[] = "{\"message\":\"contextSlot: 7\",\"data\":{\"contextSlot\" : 1000,"
                               "\"numSlotsBehind\":null,\"x\":0x1f}}";
    uint64_t n = 5;
    assert_true(rf_told_member(json, strlen(json), "contextSlot", &n));
    assert_int_equal(n, 1000);
    assert_false(rf_told_member(json, strlen(json), "numSlotsBehind", &n));
    assert_false(rf_told_member(json, strlen(json), "slot", &n));
    assert_int_equal(n, 1000);
    assert_false(rf_told_member("\"n\":", 4, "n", &n));
}

/* No byte behind the text is read, whatever it is. */
static void test_told_random_texts(void **state)
{
    (void)state;
    static const char *const bits[] = {"block range should work",
                                       "0x",
                                       "12",
                                       "[",
                                       "]",
                                       ",",
                                       " ",
                                       "-",
                                       "max ",
                                       "up to a ",
                                       "(",
                                       ">",
                                       "k",
                                       "per ",
                                       "/",
                                       "s",
                                       "second",
                                       "requests_per_unit",
                                       "unit",
                                       ":",
                                       "allowed_rps",
                                       "\"n\"",
                                       ".",
                                       "retry with the range",
                                       "\\",
                                       "credits limited to",
                                       "99999999999999999"};
    struct rf_rng rng;
    rf_rng_init(&rng, 3);
    for (uint32_t i = 0; i < 100000; i++) {
        char text[600] = "";
        for (uint64_t n = rf_rng_below(&rng, 12); n > 0; n--)
            strcat(text, bits[rf_rng_below(&rng, RF_COUNT(bits))]);
        size_t len = strlen(text);
        char *exact = rf_alloc(len > 0 ? len : 1);
        memcpy(exact, text, len);
        uint64_t from, to;
        if (rf_told_range(exact, len, &from, &to))
            assert_true(from <= to);
        struct rf_told_rate r = rf_told_rate(exact, len);
        assert_true((r.count > 0) == (r.window_ns > 0));
        assert_true(rf_told_blocks(exact, len) <= UINT64_C(1000000000000000));
        (void)rf_told_inputs(exact, len);
        (void)rf_told_member(exact, len, "n", &from);
        rf_free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_told_range_forms),  cmocka_unit_test(test_told_blocks_forms),
        cmocka_unit_test(test_told_inputs_forms), cmocka_unit_test(test_told_rate_forms),
        cmocka_unit_test(test_told_member),       cmocka_unit_test(test_told_random_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
