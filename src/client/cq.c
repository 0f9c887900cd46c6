/* cq.c - completion queues: answers in order of arrival behind a pollable descriptor. Answers that
 * nobody has taken count against the pending cap, so the queue is bounded by it. */
#include "base/mem.h"
#include "client/bell.h"
#include "client/client.h"

struct rpcfan_cq {
    rpcfan_client_t *client;
    pthread_mutex_t lock;
    struct rf_link ready; /* rf_call.link */
    struct rf_bell bell;
};

enum rpcfan_err rpcfan_cq_new(rpcfan_client_t *client, rpcfan_cq_t **out)
{
    rpcfan_cq_t *cq = rf_alloc(sizeof *cq);
    if (cq == NULL)
        return RPCFAN_ENOMEM;
    if (!rf_bell_init(&cq->bell)) {
        rf_free(cq);
        return RPCFAN_EIO;
    }
    cq->client = client;
    rf_list_init(&cq->ready);
    pthread_mutex_init(&cq->lock, NULL);
    *out = cq;
    return RPCFAN_OK;
}

int rpcfan_cq_fd(const rpcfan_cq_t *cq)
{
    return cq->bell.fd;
}

void rf_cq_push(rpcfan_cq_t *cq, struct rf_link *list)
{
    pthread_mutex_lock(&cq->lock);
    rf_list_splice(&cq->ready, list);
    rf_bell_set(&cq->bell, true);
    pthread_mutex_unlock(&cq->lock);
}

size_t rpcfan_cq_poll(rpcfan_cq_t *cq, rpcfan_result_t **out, size_t n)
{
    size_t taken = 0;
    uint64_t bytes = 0;
    pthread_mutex_lock(&cq->lock);
    while (taken < n && !rf_list_empty(&cq->ready)) {
        struct rf_link *l = rf_list_shift(&cq->ready);
        out[taken] = RF_CONTAINER(l, struct rpcfan_result, call.link);
        bytes += out[taken++]->call.tail_len;
    }
    rf_bell_set(&cq->bell, !rf_list_empty(&cq->ready));
    pthread_mutex_unlock(&cq->lock);
    if (taken > 0)
        rf_client_release(cq->client, (uint32_t)taken, bytes);
    return taken;
}

void rpcfan_cq_free(rpcfan_cq_t *cq)
{
    if (cq == NULL)
        return;
    rpcfan_result_t *res;
    while (rpcfan_cq_poll(cq, &res, 1) == 1)
        rpcfan_result_unref(res);
    pthread_mutex_destroy(&cq->lock);
    rf_bell_fini(&cq->bell);
    rf_free(cq);
}
