/* calls.c - calls that the client makes for itself, in the name of a feed or of a subscription with
 * a gap to fill. Called by feed.c and subscribe.c on the loop thread; each goes the way of any
 * other call, limits and retries included.
 *
 * Happy path: make, rows, answered. Failure modes: a call that is not admitted (the pending cap) is
 * answered with that error on the next flush; an owner that goes away drops its calls: they are
 * canceled, and end without anybody. */
#include <string.h>

#include "base/mem.h"
#include "client/live.h"
#include "client/note_read.h"

/* One of them. It outlives its owner where it must: the client's call has it as argument. */
struct own_call {
    struct rf_link link;
    struct rf_calls *calls; /* NULL: dropped */
    uint64_t token;
    rpcfan_call_id id;
    enum rpcfan_err err; /* why it was not started */
    bool stream, paused;
};

void rf_calls_init(struct rf_calls *calls)
{
    rf_list_init(&calls->out);
    rf_list_init(&calls->late);
}

static void ended(const rpcfan_result_t *res, void *arg)
{
    struct own_call *call = arg;
    if (call->calls != NULL) {
        struct rf_feed_answer a = {.err = rpcfan_result_err(res),
                                   .blob = res->call.blob,
                                   .endpoint = rpcfan_result_endpoint(res)};
        a.json = a.err == RPCFAN_OK ? rpcfan_result_json(res) : rpcfan_result_error_json(res);
        if (call->stream && a.err == RPCFAN_OK) /* what surrounds the rows */
            a.context_slot = rf_note_slot(RPCFAN_SOLANA, a.json);
        rf_list_remove(&call->link);
        call->calls->answered(call->calls->owner, call->token, &a, uv_hrtime());
    }
    rf_free(call);
}

static int row_came(const struct rpcfan_element *el, void *arg)
{
    struct own_call *call = arg;
    if (call->calls == NULL)
        return 0; /* canceled: the rest is read and dropped */
    struct rf_feed_row row = {
        .json = el->json, .context_slot = el->context_slot, .first = el->first != 0};
    call->calls->row(call->calls->owner, call->token, &row, uv_hrtime());
    return call->paused ? 1 : 0;
}

void rf_calls_make(struct rf_calls *calls, const struct rf_feed_call *want)
{
    struct own_call *call = rf_alloc(sizeof *call);
    if (call == NULL) {
        if (calls->n_starved < RF_CALLS_MAX)
            calls->starved[calls->n_starved++] = want->token;
        return;
    }
    call->calls = calls;
    call->token = want->token;
    call->stream = want->stream;
    struct rpcfan_request req = {.size = sizeof req,
                                 .network = calls->network,
                                 .method = want->method,
                                 .params = want->params.data,
                                 .params_len = want->params.len,
                                 .timeout_ms = want->timeout_ns / RF_MS,
                                 .split = want->stream ? 0 : RPCFAN_SPLIT_RANGE,
                                 .cb = ended,
                                 .arg = call,
                                 .element = want->stream ? row_came : NULL};
    call->err = rpcfan_call(calls->client, &req, &call->id, NULL);
    rf_list_push(call->err == RPCFAN_OK ? &calls->out : &calls->late, &call->link);
}

static struct own_call *find(const struct rf_calls *calls, uint64_t token)
{
    for (struct rf_link *l = calls->out.next; l != &calls->out; l = l->next) {
        struct own_call *call = RF_CONTAINER(l, struct own_call, link);
        if (call->token == token)
            return call;
    }
    return NULL;
}

void rf_calls_cancel(struct rf_calls *calls, uint64_t token)
{
    struct own_call *call = find(calls, token);
    if (call != NULL)
        rpcfan_cancel(calls->client, call->id);
}

void rf_calls_pause(struct rf_calls *calls, uint64_t token, bool pause)
{
    struct own_call *call = find(calls, token);
    if (call == NULL || call->paused == pause)
        return;
    call->paused = pause;
    if (!pause)
        rpcfan_resume(calls->client, call->id);
}

bool rf_calls_flush(struct rf_calls *calls, uint64_t now_ns)
{
    struct rf_link late;
    rf_list_init(&late);
    rf_list_splice(&late, &calls->late);
    bool any = !rf_list_empty(&late);
    struct rf_link *l;
    while ((l = rf_list_shift(&late)) != NULL) {
        struct own_call *call = RF_CONTAINER(l, struct own_call, link);
        struct rf_feed_answer a = {.err = call->err, .endpoint = ""};
        uint64_t token = call->token;
        rf_free(call);
        calls->answered(calls->owner, token, &a, now_ns);
    }
    uint32_t n = calls->n_starved;
    uint64_t token[RF_CALLS_MAX];
    memcpy(token, calls->starved, n * sizeof token[0]);
    calls->n_starved = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct rf_feed_answer a = {.err = RPCFAN_ENOMEM, .endpoint = ""};
        calls->answered(calls->owner, token[i], &a, now_ns);
    }
    return any || n > 0;
}

void rf_calls_drop(struct rf_calls *calls)
{
    struct rf_link *l;
    while ((l = rf_list_shift(&calls->out)) != NULL) {
        struct own_call *call = RF_CONTAINER(l, struct own_call, link);
        call->calls = NULL;
        rpcfan_cancel(calls->client, call->id);
        if (call->paused)
            rpcfan_resume(calls->client, call->id);
    }
    while ((l = rf_list_shift(&calls->late)) != NULL)
        rf_free(RF_CONTAINER(l, struct own_call, link));
}
