/* fan.c - global options of fan-out, start and state. */
#include "cli/fan.h"

#include "app/option_text.h"

static enum rpcfan_err take_number(const char *name, const char *text, uint32_t max, uint32_t *out,
                                   struct rpcfan_error *err)
{
    uint32_t v = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9' && v <= max; p++)
        v = v * 10 + (uint32_t)(*p - '0');
    if (*p != '\0' || p == text || v == 0 || v > max)
        return rf_fail(err, RPCFAN_EINVAL, "--%s %.40s: give a whole number from 1 to %u", name,
                       text, (unsigned)max);
    *out = v;
    return RPCFAN_OK;
}

static enum rpcfan_err take_hedge(struct rf_fan *fan, const char *text, struct rpcfan_error *err)
{
    if (rf_option_percent(text, &fan->hedge) != RPCFAN_OK || fan->hedge > RF_HEDGE_MAX)
        return rf_fail(err, RPCFAN_EINVAL,
                       "--hedge %.40s: give a share of the calls from 0%% to %d%%, such as 5%%",
                       text, RF_HEDGE_MAX);
    fan->has_hedge = true;
    return RPCFAN_OK;
}

static enum rpcfan_err take_text(const char *name, const char *text, const char **out,
                                 struct rpcfan_error *err)
{
    if (*text == '\0')
        return rf_fail(err, RPCFAN_EINVAL, "--%s has an empty value", name);
    *out = text;
    return RPCFAN_OK;
}

enum rpcfan_err rf_fan_take(struct rf_fan *fan, int key, const char *value,
                            struct rpcfan_error *err)
{
    switch (key) {
    case RF_FAN_POLICY:
        if (rf_option_policy(value, &fan->policy) == RPCFAN_OK)
            return RPCFAN_OK;
        return rf_fail(err, RPCFAN_EINVAL,
                       "--policy %.40s: it is one of balance, failover, first, quorum, broadcast",
                       value);
    case RF_FAN_QUORUM:
        return take_number("quorum", value, RF_QUORUM_MAX, &fan->quorum, err);
    case RF_FAN_SPLIT:
        if (rf_option_split(value, &fan->split) == RPCFAN_OK)
            return RPCFAN_OK;
        return rf_fail(err, RPCFAN_EINVAL, "--split %.40s: it is one of range, none", value);
    case RF_FAN_HEDGE:
        return take_hedge(fan, value, err);
    case RF_FAN_JOIN:
        fan->join = true;
        return RPCFAN_OK;
    case RF_FAN_GATHER:
        fan->gather = true;
        return RPCFAN_OK;
    case RF_FAN_PROFILE:
        return take_text("profile", value, &fan->profile, err);
    case RF_FAN_START:
        return take_number("start", value, RF_START_MAX, &fan->start, err);
    case RF_FAN_STATE:
        return take_text("state", value, &fan->state, err);
    default:
        return rf_fail(err, RPCFAN_EINVAL, "option %d is not a global one", key);
    }
}

void rf_fan_network(const struct rf_fan *fan, struct rpcfan_network_options *net)
{
    if (fan->has_hedge)
        net->hedge_percent = fan->hedge;
    if (fan->join)
        net->join = 1;
    if (fan->gather)
        net->gather = 1;
}

enum rpcfan_err rf_fan_check(const struct rf_fan *fan, const struct rpcfan_network_options *net,
                             struct rpcfan_error *err)
{
    enum rpcfan_policy policy = fan->policy != RPCFAN_POLICY_DEFAULT ? fan->policy : net->policy;
    uint32_t quorum = fan->quorum > 0 ? fan->quorum : net->quorum;
    if (fan->gather && net->family != RPCFAN_SOLANA)
        return rf_fail(err, RPCFAN_EINVAL, "--gather is for nodes of Solana: give --family solana");
    if (fan->quorum > 0 && policy != RPCFAN_QUORUM)
        return rf_fail(err, RPCFAN_EINVAL,
                       "--quorum says how many must agree: it goes with "
                       "--policy quorum");
    if (policy == RPCFAN_QUORUM && quorum > net->n_endpoints)
        return rf_fail(err, RPCFAN_EINVAL,
                       "--policy quorum: %u endpoints must agree, and there are %zu; give more, or "
                       "a lower --quorum",
                       (unsigned)quorum, net->n_endpoints);
    return RPCFAN_OK;
}
