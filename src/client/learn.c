/* learn.c - reads the JSON of rpcfan_learned() into facts for the core.
 *
 * The text comes from a file that people may edit: whatever is not as it should be is named, and
 * nothing is taken then. What has expired in the meantime is left out. */
#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "client/client.h"

static enum rpcfan_err add(struct rf_fact_book *b, struct rf_fact f)
{
    if (b->n == b->cap) {
        size_t cap = b->cap < 16 ? 16 : b->cap * 2;
        struct rf_fact *grown = rf_realloc(b->fact, cap * sizeof *grown);
        if (grown == NULL)
            return RPCFAN_ENOMEM;
        b->fact = grown;
        b->cap = cap;
    }
    b->fact[b->n++] = f;
    return RPCFAN_OK;
}

static enum rpcfan_err bad(struct rpcfan_error *err, const struct rf_fact *at, const char *what)
{
    return rf_fail(err, RPCFAN_EINVAL, "what was learned: network %.40s, endpoint %.40s: %s",
                   at->network, at->endpoint, what);
}

/* A member that is a number, or is not there. */
static enum rpcfan_err read_number(const json_t *ep, const char *key, struct rf_fact f,
                                   struct rf_fact_book *b, struct rpcfan_error *err)
{
    const json_t *v = json_object_get(ep, key);
    if (v == NULL)
        return RPCFAN_OK;
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return bad(err, &f, "a figure is not a number of 0 or more");
    f.value = (uint64_t)json_integer_value(v);
    return f.value > 0 ? add(b, f) : RPCFAN_OK;
}

/* An object from method to number. @param expires_ns  the numbers are ms left, less this. */
static enum rpcfan_err read_methods(json_t *ep, const char *key, struct rf_fact f,
                                    uint64_t expires_ns, struct rf_fact_book *b,
                                    struct rpcfan_error *err)
{
    json_t *map = json_object_get(ep, key), *v;
    const char *method;
    if (map == NULL)
        return RPCFAN_OK;
    if (!json_is_object(map))
        return bad(err, &f, "ranges and unsupported must be objects");
    json_object_foreach(map, method, v)
    {
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return bad(err, &f, "a figure is not a number of 0 or more");
        f.method = (struct rpcfan_slice){method, strlen(method)};
        f.value = (uint64_t)json_integer_value(v);
        if (f.kind == RF_FACT_ABSENT)
            f.value = rf_time_sub(rf_ms_ns(f.value), expires_ns);
        enum rpcfan_err e = f.value > 0 ? add(b, f) : RPCFAN_OK;
        if (e != RPCFAN_OK)
            return e;
    }
    return RPCFAN_OK;
}

static enum rpcfan_err read_endpoint(json_t *ep, const char *network, uint64_t age_ns,
                                     struct rf_fact_book *b, struct rpcfan_error *err)
{
    struct rf_fact f = {.network = network,
                        .endpoint = json_string_value(json_object_get(ep, "name"))};
    if (f.endpoint == NULL)
        return rf_fail(err, RPCFAN_EINVAL,
                       "what was learned: network %.40s: an endpoint has no name", network);
    f.kind = RF_FACT_BATCH;
    enum rpcfan_err e = read_number(ep, "batch", f, b, err);
    f.kind = RF_FACT_BATCH_BYTES;
    if (e == RPCFAN_OK)
        e = read_number(ep, "batch_bytes", f, b, err);
    f.kind = RF_FACT_INPUTS;
    if (e == RPCFAN_OK)
        e = read_number(ep, "inputs", f, b, err);
    f.kind = RF_FACT_RANGE;
    if (e == RPCFAN_OK)
        e = read_methods(ep, "ranges", f, 0, b, err);
    f.kind = RF_FACT_ABSENT;
    if (e == RPCFAN_OK)
        e = read_methods(ep, "unsupported", f, age_ns, b, err);
    return e;
}

enum rpcfan_err rf_learn_read(const char *json, uint64_t age_ns, struct rf_fact_book *b,
                              struct rpcfan_error *err)
{
    json_error_t at;
    json_t *root = json_loads(json, 0, &at), *net, *ep;
    size_t i, k;
    b->root = root;
    if (root == NULL)
        return rf_fail(err, RPCFAN_EINVAL, "what was learned: line %d: %.100s", at.line, at.text);
    if (!json_is_array(json_object_get(root, "networks")))
        return rf_fail(err, RPCFAN_EINVAL, "what was learned: there is no list of networks");
    json_array_foreach(json_object_get(root, "networks"), i, net)
    {
        const char *name = json_string_value(json_object_get(net, "name"));
        if (name == NULL)
            return rf_fail(err, RPCFAN_EINVAL, "what was learned: a network has no name");
        if (!json_is_array(json_object_get(net, "endpoints")))
            return rf_fail(err, RPCFAN_EINVAL,
                           "what was learned: network %.40s: there is no list of endpoints", name);
        json_array_foreach(json_object_get(net, "endpoints"), k, ep)
        {
            enum rpcfan_err e = read_endpoint(ep, name, age_ns, b, err);
            if (e == RPCFAN_ENOMEM)
                return rf_fail(err, e, "out of memory");
            if (e != RPCFAN_OK)
                return e;
        }
    }
    return RPCFAN_OK;
}

void rf_learn_free(struct rf_fact_book *b)
{
    rf_free(b->fact);
    json_decref(b->root);
    *b = (struct rf_fact_book){0};
}
