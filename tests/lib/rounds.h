/* rounds.h - how often a random test goes round. Under the thread sanitizer each round is some
 * twenty times dearer, and what it looks for is not in the dice: there it goes round less often.
 * Used by tests/unit. */
#ifndef RF_TESTS_ROUNDS_H
#define RF_TESTS_ROUNDS_H

#ifdef __SANITIZE_THREAD__
#define ROUNDS(n) ((n) / 20)
#else
#define ROUNDS(n) (n)
#endif

#endif
