/* feed_options.c - what a feed is asked to be: defaults and checks. Called by the public API and by
 * feed.c; touches nothing else. */
#include <string.h>

#include "base/pubkey.h"
#include "feed/feed_int.h"

#define CALLS_MAX 64
#define INPUTS_MAX 1000
#define AUDIT_KEYS_MAX 100

RPCFAN_API void rpcfan_feed_options_init(struct rpcfan_feed_options *o)
{
    *o = (struct rpcfan_feed_options){.size = sizeof *o,
                                      .commitment = RPCFAN_CONFIRMED,
                                      .encoding = RPCFAN_BASE64,
                                      .overflow = RPCFAN_LATEST,
                                      .queue_events = 131072,
                                      .queue_bytes = 64u << 20,
                                      .calls = 8,
                                      .inputs = 100,
                                      .sweep_ms = 600000,
                                      .audit_ms = 10000,
                                      .audit_keys = 5,
                                      .copies = 1};
}

static bool is_key(const char *text)
{
    uint8_t key[RF_PUBKEY_BYTES];
    return text != NULL && rf_pubkey_decode(text, strlen(text), key);
}

static enum rpcfan_err check_accounts(const struct rpcfan_feed_options *o, struct rpcfan_error *err)
{
    if (o->accounts == NULL || o->n_accounts == 0)
        return rf_fail(err, RPCFAN_EINVAL, "feed: give a program or accounts");
    if (o->n_accounts > UINT32_MAX / 4)
        return rf_fail(err, RPCFAN_EINVAL, "feed: too many accounts");
    if (o->filters != NULL)
        return rf_fail(err, RPCFAN_EINVAL, "feed: filters are for a program's accounts");
    for (size_t i = 0; i < o->n_accounts; i++) {
        if (!is_key(o->accounts[i]))
            return rf_fail(err, RPCFAN_EINVAL,
                           "feed: account %zu: \"%.64s\" is no address (32 bytes in Base58)", i + 1,
                           o->accounts[i] != NULL ? o->accounts[i] : "");
    }
    return RPCFAN_OK;
}

static enum rpcfan_err check_program(const struct rpcfan_feed_options *o, struct rpcfan_error *err)
{
    struct rf_filters filters;
    if (o->n_accounts > 0)
        return rf_fail(err, RPCFAN_EINVAL, "feed: a program or accounts, not both");
    if (!is_key(o->program))
        return rf_fail(err, RPCFAN_EINVAL,
                       "feed: the program \"%.64s\" is no address (32 bytes in Base58)",
                       o->program);
    if (o->filters == NULL)
        return RPCFAN_OK;
    return rf_filters_read((struct rpcfan_slice){o->filters, strlen(o->filters)}, &filters, err);
}

enum rpcfan_err rf_feed_options_check(const struct rpcfan_feed_options *o, struct rpcfan_error *err)
{
    if (o == NULL || o->size != sizeof *o)
        return rf_fail(err, RPCFAN_EINVAL, "feed: call rpcfan_feed_options_init() first");
    if ((unsigned)o->commitment > RPCFAN_FINALIZED || (unsigned)o->encoding > RPCFAN_BASE64_ZSTD ||
        (unsigned)o->overflow > RPCFAN_DROP_NEWEST)
        return rf_fail(err, RPCFAN_EINVAL, "feed: no such commitment, encoding or overflow");
    if (o->queue_events == 0 || o->queue_bytes == 0)
        return rf_fail(err, RPCFAN_EINVAL, "feed: the queue needs room for events and bytes");
    if (o->calls < 1 || o->calls > CALLS_MAX)
        return rf_fail(err, RPCFAN_EINVAL, "feed: calls must be 1 to %d", CALLS_MAX);
    if (o->inputs < 1 || o->inputs > INPUTS_MAX)
        return rf_fail(err, RPCFAN_EINVAL, "feed: inputs must be 1 to %d", INPUTS_MAX);
    if (o->copies < 1 || o->copies > 2)
        return rf_fail(err, RPCFAN_EINVAL, "feed: copies must be 1 or 2");
    if (o->audit_keys > AUDIT_KEYS_MAX)
        return rf_fail(err, RPCFAN_EINVAL, "feed: an audit samples %d accounts at most",
                       AUDIT_KEYS_MAX);
    return o->program != NULL ? check_program(o, err) : check_accounts(o, err);
}
