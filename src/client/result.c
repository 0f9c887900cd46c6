/* result.c - results: the slab they live in, counting their owners, reading them.
 *
 * One object serves as call and as result, so a call costs no allocation after warm-up: its tail is
 * inline up to RF_TAIL_INLINE bytes, its answer is a slice of a shared body. */
#include <string.h>

#include "base/mem.h"
#include "client/client.h"

static bool grow(rpcfan_client_t *c)
{
    struct rf_inbox *in = &c->in;
    struct rpcfan_result **chunk = rf_realloc(in->chunk, (in->n_chunks + 1) * sizeof chunk[0]);
    if (chunk == NULL)
        return false;
    in->chunk = chunk;
    struct rpcfan_result *r = rf_alloc(RF_SLAB_CHUNK * sizeof *r);
    if (r == NULL)
        return false;
    chunk[in->n_chunks] = r;
    for (uint32_t i = 0; i < RF_SLAB_CHUNK; i++) {
        r[i].client = c;
        r[i].slot = in->n_chunks * RF_SLAB_CHUNK + i;
        r[i].generation = 1;
        r[i].call.state = RF_CALL_DONE; /* an id that was made up cancels nothing */
        rf_list_push(&in->unused, &r[i].call.link);
    }
    in->n_chunks++;
    return true;
}

struct rpcfan_result *rf_result_take(rpcfan_client_t *c)
{
    if (rf_list_empty(&c->in.unused) && !grow(c))
        return NULL;
    struct rf_link *l = rf_list_shift(&c->in.unused);
    struct rpcfan_result *r = RF_CONTAINER(l, struct rpcfan_result, call.link);
    rf_zero(&r->call, sizeof r->call); /* RF_CALL_NEW */
    r->big_tail = NULL;
    atomic_store_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

bool rf_result_drop(struct rpcfan_result *r)
{
    /* The only owner cannot be joined by another: no need to write then. */
    if (atomic_load_explicit(&r->refs, memory_order_acquire) != 1 &&
        atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return false;
    rf_blob_unref(r->call.blob);
    rf_free(r->call.detail);
    rf_free(r->big_tail);
    r->call.blob = NULL;
    r->call.detail = NULL;
    r->big_tail = NULL;
    return true;
}

void rf_result_put(struct rpcfan_result *r)
{
    rf_list_remove(&r->cancel);
    rf_list_remove(&r->resume);
    if (++r->generation == 0)
        r->generation = 1; /* 0 is never a call's id */
    rf_list_unshift(&r->client->in.unused, &r->call.link);
}

struct rpcfan_result *rf_result_find(rpcfan_client_t *c, rpcfan_call_id id)
{
    uint32_t slot = (uint32_t)id;
    if (slot / RF_SLAB_CHUNK >= c->in.n_chunks)
        return NULL;
    struct rpcfan_result *r = &c->in.chunk[slot / RF_SLAB_CHUNK][slot % RF_SLAB_CHUNK];
    return r->generation == (uint32_t)(id >> 32) ? r : NULL;
}

void rf_result_free_all(rpcfan_client_t *c)
{
    for (uint32_t i = 0; i < c->in.n_chunks; i++)
        rf_free(c->in.chunk[i]);
    rf_free(c->in.chunk);
}

rpcfan_result_t *rpcfan_result_ref(const rpcfan_result_t *res)
{
    rpcfan_result_t *r = (rpcfan_result_t *)(uintptr_t)res;
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void rpcfan_result_unref(rpcfan_result_t *res)
{
    if (res == NULL || !rf_result_drop(res))
        return;
    struct rf_inbox *in = &res->client->in;
    pthread_mutex_lock(&in->lock);
    rf_result_put(res);
    pthread_mutex_unlock(&in->lock);
}

enum rpcfan_err rpcfan_result_err(const rpcfan_result_t *res)
{
    return res->call.err;
}

struct rpcfan_slice rpcfan_result_json(const rpcfan_result_t *res)
{
    if (res->call.err != RPCFAN_OK)
        return (struct rpcfan_slice){NULL, 0};
    return (struct rpcfan_slice){res->call.json, res->call.json_len};
}

struct rpcfan_slice rpcfan_result_error_json(const rpcfan_result_t *res)
{
    if (res->call.err == RPCFAN_OK)
        return (struct rpcfan_slice){NULL, 0};
    return (struct rpcfan_slice){res->call.json, res->call.json_len};
}

const char *rpcfan_result_detail(const rpcfan_result_t *res)
{
    if (res->call.err == RPCFAN_OK)
        return "";
    return res->call.detail != NULL ? res->call.detail : rpcfan_err_text(res->call.err);
}

const char *rpcfan_result_endpoint(const rpcfan_result_t *res)
{
    return res->call.endpoint != NULL ? res->call.endpoint : "";
}

unsigned rpcfan_result_attempts(const rpcfan_result_t *res)
{
    return res->call.sends;
}

uint64_t rpcfan_result_latency_ns(const rpcfan_result_t *res)
{
    return rf_time_sub(res->call.done_ns, res->call.submitted_ns);
}

void *rpcfan_result_arg(const rpcfan_result_t *res)
{
    return res->arg;
}

int rpcfan_result_has_space(const rpcfan_result_t *res)
{
    return res->call.space;
}

void rpcfan_free(void *p)
{
    rf_free(p);
}
