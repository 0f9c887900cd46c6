/* batch_pace.h - how many calls a batch has under way at once, so that none of them waits its
 * deadline away in the client's queue when the nodes are slow or limited.
 *
 * A call's deadline runs from its submission. At 10 calls/s a full window of 16384 would wait half
 * an hour. So the number grows by one with each call that was answered within an eighth of its
 * deadline (it doubles each round trip), stands still up to a quarter, and shrinks by one above. A
 * call that met its deadline halves it, once for all calls that were submitted before.
 *
 * Example: deadline 60 s, limit 10 calls/s. 32 calls, 3 s each: grow. At 75 calls each takes 7.5 s:
 * stand still. At a node of 200,000 calls/s it grows to 16384 within ten round trips.
 *
 * The size of answers is bounded in the same way: what is under way times the average size of an
 * answer must fit into the bytes that may be held. Called by the batch's loop. Pure. */
#ifndef RF_CLI_BATCH_PACE_H
#define RF_CLI_BATCH_PACE_H

#include "base/base.h"

#define RF_PACE_START 32
#define RF_PACE_GROW_PART 8   /* grow below deadline / 8 */
#define RF_PACE_SHRINK_PART 4 /* shrink above deadline / 4 */

struct rf_pace {
    uint32_t allowed, max;
    uint32_t hold; /* answers until another deadline halves again */
    uint64_t grow_ns, shrink_ns;
    uint64_t average; /* bytes of an answer, moving average over about 64, scaled by 64 */
};

/** Set up. @param max at most so many. @param deadline_ns of a call. */
void rf_pace_init(struct rf_pace *p, uint32_t max, uint64_t deadline_ns);

/** A call is answered. @param bytes of its answer. @param late it met its deadline. */
void rf_pace_answered(struct rf_pace *p, uint64_t latency_ns, size_t bytes, bool late);

/** Whether a further call may be submitted.
 * @param waiting  calls under way.
 * @param held     bytes held for answers that wait to be written, and for requests.
 * @param most     bytes that may be held. */
bool rf_pace_allows(const struct rf_pace *p, uint32_t waiting, uint64_t held, uint64_t most);

#endif
