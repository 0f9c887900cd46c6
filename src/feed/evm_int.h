/* evm_int.h - what the files of the Ethereum feeds share. Included by evm.c, heads.c, logs*.c. */
#ifndef RF_FEED_EVM_INT_H
#define RF_FEED_EVM_INT_H

#include "base/rng.h"
#include "feed/evm.h"

#define RF_EVM_FIRST_WAIT_NS (250 * RF_MS)
#define RF_EVM_LONGEST_WAIT_NS (15 * RF_SEC)

/* Two copies, each with a replacement that comes up. */
#define RF_EVM_SESSIONS 4

/** What both kinds have. */
struct rf_evm_core {
    struct rf_evm_options o; /* with defaults filled in; params point to the owner's copy */
    struct rf_evm_ops ops;
    struct rf_rng rng;
    struct rf_evm_counters count;
    uint64_t next_token;
    uint64_t up[RF_EVM_SESSIONS]; /* sessions that it is up on; 0: none */
    uint32_t endpoint;            /* of the latest UP */
    bool ever, gap, over;         /* was UP once; a gap is open; refused for good */
};

/** The place of a session among those that are up, or NULL. */
uint64_t *rf_evm_session(struct rf_evm_core *c, uint64_t session);
/** Whether it is up anywhere. */
bool rf_evm_covered(const struct rf_evm_core *c);
/** Tell something. */
void rf_evm_tell(struct rf_evm_core *c, const struct rf_evm_told *told);
/** Tell that a gap is there, or is closed. No effect where that is known. */
void rf_evm_tell_gap(struct rf_evm_core *c, const char *why);
/** As above. */
void rf_evm_tell_filled(struct rf_evm_core *c);
/** Make a call. @return its token. */
uint64_t rf_evm_call(struct rf_evm_core *c, const char *method, struct rpcfan_slice params);
/** How long to wait after `n` failures. */
uint64_t rf_evm_wait(struct rf_evm_core *c, uint32_t n);

#endif
