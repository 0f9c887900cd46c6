/* bars.h - the bars, each by its number. Each plays its cases with a seed and notes its figures. */
#ifndef RF_TESTS_BARS_BARS_H
#define RF_TESTS_BARS_BARS_H

#include <stdint.h>

/** 1 and 2: a known quota is used and not overrun. bar_quota.c */
void bar_known_quota(uint64_t seed);
/** 3: an unknown quota is found. bar_quota.c */
void bar_unknown_quota(uint64_t seed);
/** 4: the limit halves. bar_quota.c */
void bar_limit_halves(uint64_t seed);
/** 5: the limit doubles. bar_quota.c */
void bar_limit_doubles(uint64_t seed);
/** 6: a million calls under every fault. bar_faults.c */
void bar_accounting(uint64_t seed);
/** 7: attempts a call. bar_faults.c */
void bar_attempts(uint64_t seed);
/** 8: hedging shortens the tail. bar_load.c */
void bar_hedge_tail(uint64_t seed);
/** 9: no hedges under load. bar_load.c */
void bar_hedge_load(uint64_t seed);
/** 10: classes share. bar_load.c */
void bar_classes(uint64_t seed);
/** 11: a node that refuses at once draws no traffic. bar_faults.c */
void bar_refusing_node(uint64_t seed);
/** 12: the breaker. bar_faults.c */
void bar_breaker(uint64_t seed);
/** 13: ten times of what fits. bar_load.c */
void bar_overload(uint64_t seed);
/** 14: deadlines. bar_load.c */
void bar_deadlines(uint64_t seed);

#endif
