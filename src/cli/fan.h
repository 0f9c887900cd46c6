/* fan.h - the global options that say how a call fans out, where a rate begins, and what is kept
 * between runs. Called by options.c; touches nothing. */
#ifndef RF_CLI_FAN_H
#define RF_CLI_FAN_H

#include "base/base.h"

/** Their keys in rf_global_spec. */
enum {
    RF_FAN_POLICY = 1100,
    RF_FAN_QUORUM,
    RF_FAN_SPLIT,
    RF_FAN_HEDGE,
    RF_FAN_JOIN,
    RF_FAN_GATHER,
    RF_FAN_PROFILE,
    RF_FAN_START,
    RF_FAN_STATE
};

/** The options as given. Zero-initialised is none. Strings are argv's own. */
struct rf_fan {
    enum rpcfan_policy policy; /* 0: the network's */
    enum rpcfan_split split;   /* 0: the network's */
    uint32_t quorum, start;    /* 0: not given */
    uint32_t hedge;            /* valid with has_hedge */
    bool has_hedge, join, gather;
    const char *profile, *state; /* NULL: not given */
};

/** Take one option. @return 0 or RPCFAN_EINVAL with the option and the remedy in `err`. */
enum rpcfan_err rf_fan_take(struct rf_fan *fan, int key, const char *value,
                            struct rpcfan_error *err);

/** Put what holds for every call into a network. */
void rf_fan_network(const struct rf_fan *fan, struct rpcfan_network_options *net);

/** Check the options against the network that is used. @return 0 or RPCFAN_EINVAL. */
enum rpcfan_err rf_fan_check(const struct rf_fan *fan, const struct rpcfan_network_options *net,
                             struct rpcfan_error *err);

#endif
