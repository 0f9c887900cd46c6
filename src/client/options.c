/* options.c - defaults of the public options, and the client's own copies of them. */
#include <string.h>

#include "base/mem.h"
#include "client/client.h"

void rpcfan_endpoint_options_init(struct rpcfan_endpoint_options *o)
{
    *o = (struct rpcfan_endpoint_options){
        .size = sizeof *o,
        .in_flight = 16,
        .batch = 20,
        .batch_bytes = 256 * 1024,
        .response_bytes = 64 * 1024 * 1024,
        .timeout_ms = 15000,
        .connect_timeout_ms = 3000,
        .idle_ms = 15000,
        .learn = 1,
        .ws_conns = 8,
        .ws_subs = 100,
        .ws_per_s = 50,
        .ws_bytes = 64 * 1024 * 1024,
        .ws_ping_ms = 15000,
        .ws_retry_ms = 30000,
    };
}

void rpcfan_account_options_init(struct rpcfan_account_options *o)
{
    *o = (struct rpcfan_account_options){.size = sizeof *o};
}

void rpcfan_network_options_init(struct rpcfan_network_options *o)
{
    *o = (struct rpcfan_network_options){.size = sizeof *o,
                                         .deadline_ms = 60000,
                                         .attempts = 3,
                                         .policy = RPCFAN_BALANCE,
                                         .quorum = 2,
                                         .split = RPCFAN_SPLIT_NONE};
}

void rpcfan_options_init(struct rpcfan_options *o)
{
    *o = (struct rpcfan_options){
        .size = sizeof *o,
        .pending_calls = 8192,
        .pending_bytes = 64 * 1024 * 1024,
        .in_flight = 256,
        .log_level = RPCFAN_LOG_WARN,
    };
}

static bool copy_string(const char **field)
{
    if (*field == NULL)
        return true;
    *field = rf_strdup(*field);
    return *field != NULL;
}

static bool copy_headers(struct rpcfan_endpoint_options *copy,
                         const struct rpcfan_endpoint_options *o)
{
    copy->headers = NULL;
    copy->n_headers = 0;
    if (o->n_headers == 0)
        return true;
    char **lines = rf_alloc(o->n_headers * sizeof lines[0]);
    if (lines == NULL)
        return false;
    copy->headers = (const char *const *)lines;
    for (size_t i = 0; i < o->n_headers; i++) {
        lines[i] = rf_strdup(o->headers[i]);
        if (lines[i] == NULL)
            return false;
        copy->n_headers++;
    }
    return true;
}

struct rpcfan_endpoint_options *rf_endpoint_options_copy(const struct rpcfan_endpoint_options *o)
{
    struct rpcfan_endpoint_options *copy = rf_alloc(sizeof *copy);
    if (copy == NULL)
        return NULL;
    *copy = *o;
    /* Limits, weights and the account live on in the core alone. */
    copy->limits = NULL;
    copy->weights = NULL;
    copy->n_limits = copy->n_weights = 0;
    copy->account = NULL;
    const char **field[] = {&copy->name,       &copy->url,    &copy->unix_socket, &copy->proxy,
                            &copy->jwt_secret, &copy->cacert, &copy->ws_url};
    size_t done = 0;
    bool ok = copy_headers(copy, o);
    while (done < RF_COUNT(field) && ok)
        ok = copy_string(field[done++]);
    if (ok)
        return copy;
    /* What was not copied yet still points at the caller's strings. */
    for (size_t i = done; i < RF_COUNT(field); i++)
        *field[i] = NULL;
    rf_endpoint_options_free(copy);
    return NULL;
}

static void free_const(const void *p)
{
    rf_free((void *)(uintptr_t)p);
}

void rf_endpoint_options_free(struct rpcfan_endpoint_options *o)
{
    if (o == NULL)
        return;
    for (size_t i = 0; i < o->n_headers; i++)
        free_const(o->headers[i]);
    free_const(o->headers);
    free_const(o->name);
    free_const(o->url);
    free_const(o->unix_socket);
    free_const(o->proxy);
    free_const(o->jwt_secret);
    free_const(o->cacert);
    free_const(o->ws_url);
    rf_free(o);
}
