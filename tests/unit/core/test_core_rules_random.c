/* test_core_rules_random.c - any bytes as a table of rules: read or refused, and never a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "core/rules.h"
#include "rounds.h"

/* Whatever the text is: rules or a refusal, and what was read can be held against an answer. */
static void read_random(struct rf_rng *rng, const char *text)
{
    static const char error[] = "{\"code\":-32005,\"message\":\"x y\"}";
    struct rpcfan_error err = {0};
    struct rf_rules *rules = NULL;
    enum rpcfan_err rc = rf_rules_new(text, &rules, &err);
    assert_true(rc == RPCFAN_OK ? rules != NULL : rc == RPCFAN_ECONFIG && err.text[0] != '\0');
    if (rc == RPCFAN_OK) {
        struct rf_answer a = {.family = (enum rpcfan_family)rf_rng_below(rng, 3),
                              .method = {"eth_getLogs", 11},
                              .status = 200,
                              .batch = rf_rng_below(rng, 2) == 0,
                              .error = {error, sizeof error - 1},
                              .retry_after_ns = RF_NEVER};
        assert_true(rf_classify(rules, &a).class > RF_CLASS_OK);
    }
    rf_rules_free(rules);
}

static void test_rules_random_bytes_never_crash(void **state)
{
    (void)state;
    static const char *const bits[] = {"a",
                                       "b",
                                       "rate",
                                       "group",
                                       "\"x\"",
                                       "\"",
                                       "\\",
                                       "=",
                                       "code=",
                                       "-32005",
                                       "status=",
                                       "5xx",
                                       "\n",
                                       "\n",
                                       "#",
                                       ",",
                                       "@logs",
                                       "method=",
                                       "eth_*",
                                       "batch",
                                       "again=",
                                       "1s",
                                       "family=",
                                       "evm",
                                       "account",
                                       "wait",
                                       "\t",
                                       "\r",
                                       "app",
                                       "\"y\"",
                                       "c-1 app \"q\"\n"};
    struct rf_rng rng;
    rf_rng_init(&rng, 5);
    for (uint32_t i = 0; i < ROUNDS(100000); i++) {
        char text[400] = "";
        size_t len = 0;
        if (i % 2 == 0) {
            for (uint64_t n = rf_rng_below(&rng, 60); n > 0; n--)
                text[len++] = (char)(1 + rf_rng_below(&rng, 255));
        } else {
            for (uint64_t n = rf_rng_below(&rng, 16); n > 0; n--)
                len += (size_t)snprintf(text + len, sizeof text - len, "%s%s",
                                        bits[rf_rng_below(&rng, RF_COUNT(bits))],
                                        rf_rng_below(&rng, 3) > 0 ? " " : "");
        }
        text[len] = '\0';
        char *exact = rf_strdup(text); /* so that a read past its end is seen */
        read_random(&rng, exact);
        rf_free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rules_random_bytes_never_crash)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
