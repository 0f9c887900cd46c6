/* status_view.c - reads the status JSON. */
#include "app/status_view.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static uint64_t count(const json_t *object, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(object, key));
    return v > 0 ? (uint64_t)v : 0;
}

static void text(const json_t *object, const char *key, char *out, size_t size)
{
    const char *s = json_string_value(json_object_get(object, key));
    snprintf(out, size, "%s", s != NULL ? s : "");
}

static void read_endpoint(const json_t *from, struct rf_status_endpoint *to)
{
    const json_t *errors = json_object_get(from, "errors");
    const json_t *latency = json_object_get(from, "latency_ms");
    text(from, "name", to->name, sizeof to->name);
    text(from, "state", to->state, sizeof to->state);
    text(from, "why", to->why, sizeof to->why);
    to->requests = count(from, "requests");
    to->batches = count(from, "batches");
    to->calls = count(from, "calls");
    to->ok = count(from, "ok");
    to->throttled = count(errors, "throttled");
    to->server = count(errors, "server");
    to->network = count(errors, "network");
    to->malformed = count(errors, "malformed");
    to->rpc = count(errors, "rpc");
    to->paused_ms = count(from, "paused_ms");
    to->in_flight = count(from, "in_flight");
    to->in_flight_max = count(from, "in_flight_max");
    to->bytes_out = count(from, "bytes_out");
    to->bytes_in = count(from, "bytes_in");
    to->p50_ms = json_number_value(json_object_get(latency, "p50"));
    to->p99_ms = json_number_value(json_object_get(latency, "p99"));
}

static const json_t *find_network(const json_t *root, const char *name)
{
    const json_t *networks = json_object_get(root, "networks");
    for (size_t i = 0; i < json_array_size(networks); i++) {
        const json_t *net = json_array_get(networks, i);
        const char *its = json_string_value(json_object_get(net, "name"));
        if (name == NULL || (its != NULL && strcmp(its, name) == 0))
            return net;
    }
    return NULL;
}

enum rpcfan_err rf_status_view_read(struct rf_status_view *view, const char *json,
                                    const char *network)
{
    enum rpcfan_err rc = RPCFAN_OK;
    rf_status_view_fini(view);
    json_t *root = json_loads(json, 0, NULL);
    if (root == NULL)
        return RPCFAN_EMALFORMED;
    const json_t *net = find_network(root, network);
    const json_t *list = json_object_get(net, "endpoints");
    size_t n = json_array_size(list);
    if (net == NULL) {
        rc = RPCFAN_EINVAL;
        goto out;
    }
    view->endpoint = rf_alloc((n > 0 ? n : 1) * sizeof *view->endpoint);
    if (view->endpoint == NULL) {
        rc = RPCFAN_ENOMEM;
        goto out;
    }
    view->n = n;
    view->retries = count(net, "retries");
    for (size_t i = 0; i < n; i++)
        read_endpoint(json_array_get(list, i), &view->endpoint[i]);
out:
    json_decref(root);
    return rc;
}

void rf_status_view_fini(struct rf_status_view *view)
{
    rf_free(view->endpoint);
    *view = (struct rf_status_view){0};
}
