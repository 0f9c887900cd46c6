/* choose.c - power of two choices.
 *
 * Always taking the lowest score herds: all calls of a moment, and of all clients, go to the node
 * that looked best, until it is not. Of two random picks the better one is never the worst of all,
 * loads stay within a few calls of each other, and a node whose score is bad is still picked where
 * it meets a worse one.
 *
 * Example: five endpoints with the scores 40, 45, 50, 60 and 5000 (one failed). The last is picked
 * in 2 of 5 choices and wins none of them; the first wins whenever it is picked, 40 % of all.
 *
 * | constant    | value | why                                                             |
 * |-------------|-------|-----------------------------------------------------------------|
 * | COMPARE_ALL | 3     | so few are known in full anyway; two of three would leave out   |
 * |             |       | the best in a third of all choices                              |
 *
 * Source: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing"; the second pick
 * is drawn from the others and shifted, as in Finagle. */
#include "policy/choose.h"

#include <math.h>

#define COMPARE_ALL 3

/* The number of the k-th set bit, k from 0. */
static uint32_t nth_bit(uint64_t mask, uint64_t k)
{
    for (; k > 0; k--)
        mask &= mask - 1;
    return (uint32_t)__builtin_ctzll(mask);
}

static double worth(double score)
{
    return isfinite(score) ? score : INFINITY;
}

/* The lowest; of `equal` ones met so far each is kept with the same chance. */
static uint32_t lowest(const double *score, uint64_t mask, struct rf_rng *rng)
{
    uint32_t best = UINT32_MAX, equal = 0;
    for (; mask != 0; mask &= mask - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(mask);
        double a = worth(score[i]);
        double b = best != UINT32_MAX ? worth(score[best]) : INFINITY;
        if (best == UINT32_MAX || a < b) {
            best = i;
            equal = 1;
        } else if (!(b < a) && rf_rng_below(rng, ++equal) == 0) {
            best = i;
        }
    }
    return best;
}

uint32_t rf_choose(const double *score, uint64_t mask, struct rf_rng *rng)
{
    uint64_t n = (uint64_t)__builtin_popcountll(mask);
    if (n <= COMPARE_ALL)
        return lowest(score, mask, rng);
    uint64_t first = rf_rng_below(rng, n);
    uint64_t second = rf_rng_below(rng, n - 1);
    if (second >= first)
        second++;
    uint32_t a = nth_bit(mask, first), b = nth_bit(mask, second);
    return worth(score[b]) < worth(score[a]) ? b : a;
}
