/* bars.c - the bars that rpcfan sets itself, measured in virtual time over several seeds.
 *
 *   bars [-s FIRST_SEED] [-n SEEDS] [NUMBER...]
 *
 * Prints a table; exits 1 where a figure of any seed misses its bar, 2 where calls were lost. A
 * figure is replayed with -s SEED -n 1 NUMBER. */
#include "bars.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "table.h"

static const struct {
    int number;
    const char *name;
    void (*play)(uint64_t seed);
} bars[] = {
    {1, "a known quota is used (1) and not overrun (2)", bar_known_quota},
    {3, "an unknown quota is found", bar_unknown_quota},
    {4, "the limit halves", bar_limit_halves},
    {5, "the limit doubles", bar_limit_doubles},
    {6, "a million calls under every fault", bar_accounting},
    {7, "attempts a call, the breaker off", bar_attempts},
    {8, "hedging shortens the tail", bar_hedge_tail},
    {9, "no hedges while calls wait", bar_hedge_load},
    {10, "classes share", bar_classes},
    {11, "a node that refuses at once", bar_refusing_node},
    {12, "the breaker", bar_breaker},
    {13, "ten times of what fits", bar_overload},
    {14, "deadlines under overload", bar_deadlines},
};
#define N_BARS (sizeof bars / sizeof bars[0])

static double cpu_s(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static bool wanted(int number, char **only, int n_only)
{
    for (int i = 0; i < n_only; i++) {
        int asked = atoi(only[i]);
        if (asked == number || (asked == 2 && number == 1))
            return true;
    }
    return n_only == 0;
}

int main(int argc, char **argv)
{
    uint64_t first = 1;
    uint32_t seeds = 5;
    int opt;
    while ((opt = getopt(argc, argv, "s:n:")) != -1) {
        if (opt == 's')
            first = strtoull(optarg, NULL, 10);
        else if (opt == 'n')
            seeds = (uint32_t)strtoul(optarg, NULL, 10);
        else
            return 2;
    }
    if (seeds < 1 || seeds > 16) {
        fprintf(stderr, "bars: -n: 1 to 16 seeds\n");
        return 2;
    }
    double before = cpu_s();
    printf("Seeds %llu to %llu, virtual time.\n\n", (unsigned long long)first,
           (unsigned long long)(first + seeds - 1));
    for (size_t i = 0; i < N_BARS; i++) {
        if (!wanted(bars[i].number, argv + optind, argc - optind))
            continue;
        double start = cpu_s();
        for (uint32_t k = 0; k < seeds; k++) {
            table_seed(k, seeds);
            bars[i].play(first + k);
        }
        fprintf(stderr, "bar %2d: %-46s %6.1f s\n", bars[i].number, bars[i].name, cpu_s() - start);
    }
    uint32_t missed = table_print();
    printf(" 15  loop turns, handles and sends over real sockets: see `make bars-real`\n\n");
    printf("%u figures miss their bar; %.1f s of CPU\n", missed, cpu_s() - before);
    return missed > 0 ? 1 : 0;
}
