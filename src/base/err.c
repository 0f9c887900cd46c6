/* err.c - the one table of error codes: name, class and text. */
#include "base/base.h"

static const struct {
    const char *name, *class, *text;
} table[RPCFAN_ERR_COUNT] = {
    [RPCFAN_OK] = {"ok", "ok", "success"},
    [RPCFAN_ENOMEM] = {"no-memory", "caller", "out of memory"},
    [RPCFAN_EINVAL] = {"invalid", "caller", "invalid argument"},
    [RPCFAN_ECONFIG] = {"config", "caller", "invalid configuration"},
    [RPCFAN_EBUSY] = {"busy", "caller", "too many calls are pending"},
    [RPCFAN_ECLOSED] = {"closed", "caller", "the client is closed"},
    [RPCFAN_ECANCELED] = {"canceled", "caller", "canceled"},
    [RPCFAN_EDEADLINE] = {"deadline", "deadline", "the deadline passed"},
    [RPCFAN_ELIMIT] = {"limit", "caller", "costs more than the rate limit ever allows"},
    [RPCFAN_ERPC] = {"rpc", "rpc", "the node answered with an error"},
    [RPCFAN_ETHROTTLED] = {"throttled", "throttle", "the node kept throttling"},
    [RPCFAN_EQUOTA] = {"quota", "quota", "the provider's quota or plan refuses the call"},
    [RPCFAN_EAUTH] = {"auth", "auth", "the node refused the credentials"},
    [RPCFAN_ECONNECT] = {"connect", "network", "could not connect"},
    [RPCFAN_ETLS] = {"tls", "network", "the certificate was refused"},
    [RPCFAN_ETIMEOUT] = {"timeout", "network", "no answer in time"},
    [RPCFAN_ERESET] = {"reset", "network", "the connection broke"},
    [RPCFAN_ESERVER] = {"server", "server", "the node failed"},
    [RPCFAN_EMALFORMED] = {"malformed", "malformed", "the answer is not valid JSON-RPC"},
    [RPCFAN_ETOOBIG] = {"too-big", "size", "over a size cap"},
    [RPCFAN_EIO] = {"io", "io", "input or output failed"},
    [RPCFAN_EQUORUM] = {"quorum", "quorum", "the endpoints disagree"},
};

static size_t row(enum rpcfan_err err)
{
    return (unsigned)err < RPCFAN_ERR_COUNT ? (size_t)err : (size_t)RPCFAN_EINVAL;
}

const char *rpcfan_err_name(enum rpcfan_err err)
{
    return table[row(err)].name;
}

const char *rpcfan_err_text(enum rpcfan_err err)
{
    return table[row(err)].text;
}

const char *rpcfan_err_class(enum rpcfan_err err)
{
    return table[row(err)].class;
}

const char *rpcfan_version(void)
{
    return RPCFAN_VERSION;
}
