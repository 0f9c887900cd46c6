/* bell.h - a descriptor that polls readable while something waits. Its owner's lock covers it.
 * Internal to src/client: completion queues, subscriptions and feeds. */
#ifndef RF_CLIENT_BELL_H
#define RF_CLIENT_BELL_H

#include <stdbool.h>

/** Make with rf_bell_init(). */
struct rf_bell {
    int fd;
    bool rung;
};

/** Make the descriptor. @return false where none is left. */
bool rf_bell_init(struct rf_bell *b);
/** Close it. */
void rf_bell_fini(struct rf_bell *b);
/** Make it readable, or not. Costs a system call only where that changes. */
void rf_bell_set(struct rf_bell *b, bool ring);

#endif
