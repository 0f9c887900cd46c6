/* submit.c - the way in from any thread: check, copy, admit under the lock, wake the loop.
 *
 * Happy path: the text is validated and copied outside the lock; inside it the cap is checked and
 * the call is put on the inbox. Failure modes: over the cap: RPCFAN_EBUSY with a hint when to come
 * back; closing: RPCFAN_ECLOSED. Nothing is accepted that is not answered. */
#include <string.h>

#include "base/mem.h"
#include "client/client.h"
#include "json/rpc.h"

#define QUOTED_MAX 6 /* bytes that one byte of a method can become */
#define RETRY_IN_MAX_MS 60000
#define TAIL_EXTRA 32 /* what a tail holds besides method and params */

uint64_t rpcfan_now_ns(void)
{
    return uv_hrtime();
}

/* A request that passed the checks, ready to be admitted. */
struct draft {
    struct rpcfan_request req;
    size_t method_len;
    uint32_t network;
    void *element_arg;
    uint64_t patient_until_ns; /* rpcfan_call_wait(): from then on it is let in however late */
    struct rf_buf tail;        /* in `small` where it is sure to fit: no allocation then */
    char small[RF_TAIL_INLINE];
};

static void free_draft(struct draft *d)
{
    if (d->tail.data != d->small)
        rf_buf_fini(&d->tail);
}

static enum rpcfan_err check_ways(const struct rpcfan_request *req, struct rpcfan_error *err)
{
    if ((unsigned)req->policy > RPCFAN_BROADCAST)
        return rf_fail(err, RPCFAN_EINVAL, "request.policy is no rpcfan_policy");
    if ((unsigned)req->split > RPCFAN_SPLIT_RANGE)
        return rf_fail(err, RPCFAN_EINVAL, "request.split is no rpcfan_split");
    return RPCFAN_OK;
}

static enum rpcfan_err check_request(rpcfan_client_t *c, const struct rpcfan_request *in,
                                     struct draft *d, struct rpcfan_error *err)
{
    if (in == NULL || in->size < offsetof(struct rpcfan_request, cb))
        return rf_fail(err, RPCFAN_EINVAL,
                       "request.size is not set to sizeof(struct rpcfan_request)");
    memcpy(&d->req, in, in->size < sizeof d->req ? in->size : sizeof d->req);
    if (d->req.method == NULL || d->req.method[0] == '\0')
        return rf_fail(err, RPCFAN_EINVAL, "request.method is empty");
    d->method_len = strlen(d->req.method);
    if (d->req.params != NULL && d->req.params_len == 0)
        d->req.params_len = strlen(d->req.params);
    if (d->req.params == NULL)
        d->req.params_len = 0;
    d->network = rf_core_network(c->core, d->req.network);
    if (d->network == UINT32_MAX)
        return rf_fail(err, RPCFAN_EINVAL, "no network is named '%.64s'", d->req.network);
    enum rpcfan_err e = check_ways(&d->req, err);
    if (e != RPCFAN_OK || d->req.params_len == 0)
        return e;
    size_t at;
    if (rf_json_check(d->req.params, d->req.params_len, RF_SCAN_DEPTH, &at) != RPCFAN_OK)
        return rf_fail(err, RPCFAN_EINVAL, "params are not valid JSON, see byte %zu", at + 1);
    const char *p = d->req.params;
    while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')
        p++;
    if (*p != '[' && *p != '{')
        return rf_fail(err, RPCFAN_EINVAL, "params must be a JSON array or object");
    return RPCFAN_OK;
}

static enum rpcfan_err make_draft(rpcfan_client_t *c, const struct rpcfan_request *in,
                                  struct draft *d, struct rpcfan_error *err)
{
    d->req = (struct rpcfan_request){0};
    d->tail = (struct rf_buf){0};
    d->patient_until_ns = RF_NEVER;
    enum rpcfan_err e = check_request(c, in, d, err);
    if (e != RPCFAN_OK)
        return e;
    d->element_arg = d->req.arg;
    if (d->method_len * QUOTED_MAX + d->req.params_len + TAIL_EXTRA <= sizeof d->small) {
        d->tail.data = d->small;
        d->tail.cap = sizeof d->small;
    }
    rf_request_tail(&d->tail, (struct rpcfan_slice){d->req.method, d->method_len},
                    (struct rpcfan_slice){d->req.params, d->req.params_len});
    if (d->tail.failed)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    return RPCFAN_OK;
}

static uint32_t retry_in_ms(const struct rf_inbox *in)
{
    /* Long enough for a hundredth of what is pending to be answered at the present rate. */
    uint64_t ms = in->per_s == 0 ? 100 : (uint64_t)in->pending_max * 10 / in->per_s;
    return (uint32_t)(ms < 1 ? 1 : ms > 1000 ? 1000 : ms);
}

static bool has_room(const struct rf_inbox *in, size_t bytes)
{
    return in->pending < in->pending_max &&
           (in->bytes + bytes <= in->bytes_max || in->pending == 0);
}

static uint64_t deadline_of(const rpcfan_client_t *c, const struct draft *d, uint64_t now_ns)
{
    uint64_t relative = rf_ms_ns(d->req.timeout_ms);
    if (relative == 0) /* a snapshot may take longer than any other call */
        relative =
            d->req.element != NULL ? RF_NEVER : rf_core_network_deadline(c->core, d->network);
    uint64_t at = rf_time_add(now_ns, relative);
    return d->req.deadline_ns > 0 ? rf_min_u64(at, d->req.deadline_ns) : at;
}

/* The method's length as it stands in the tail, escapes and all: what the rest leaves of it. */
static uint32_t quoted_len(const struct draft *d)
{
    static const char around[] = "\"method\":\"\",\"params\":}";
    size_t params = d->req.params_len > 0 ? d->req.params_len : 2; /* [] */
    return (uint32_t)(d->tail.len - params - (sizeof around - 1));
}

static void fill(struct rpcfan_result *r, struct draft *d, uint64_t now_ns)
{
    r->call.tail_len = d->tail.len;
    r->call.method_len = quoted_len(d);
    if (d->tail.len <= sizeof r->tail) {
        memcpy(r->tail, d->tail.data, d->tail.len);
        r->call.tail = r->tail;
    } else {
        r->big_tail = d->tail.data;
        r->call.tail = r->big_tail;
        d->tail = (struct rf_buf){0}; /* the result owns it now */
    }
    r->call.network = d->network;
    r->call.submitted_ns = now_ns;
    r->call.deadline_ns = deadline_of(r->client, d, now_ns);
    r->call.policy = (uint8_t)d->req.policy;
    r->call.split = (uint8_t)d->req.split;
    r->call.quorum = d->req.quorum;
    r->call.stream = d->req.element != NULL;
    r->element = d->req.element;
    r->element_arg = d->element_arg;
    r->cb = d->req.cb;
    r->cq = d->req.cq;
    r->arg = d->req.arg;
}

/* A call made in a callback happens at the time of its turn: one clock reading serves them all. */
static uint64_t time_now(const rpcfan_client_t *c)
{
    bool in_turn = rf_client_on_loop(c) && c->turn_ns != 0;
    return in_turn ? c->turn_ns : uv_hrtime();
}

/* A call that would wait its whole time away is refused now, and not when it is too late for the
 * caller to do anything else. One whose time is over already is answered as such. */
static bool would_be_late(const rpcfan_client_t *c, const struct draft *d, uint64_t now_ns,
                          uint64_t *by_ns)
{
    uint64_t wait = c->in.wait_ns[d->network];
    if (wait == 0 || c->in.pending == 0)
        return false;
    uint64_t left = rf_time_sub(deadline_of(c, d, now_ns), now_ns);
    *by_ns = rf_time_sub(wait, left);
    return left > 0 && *by_ns > 0 && now_ns < d->patient_until_ns;
}

/* With the lock held. */
static enum rpcfan_err admit(rpcfan_client_t *c, struct draft *d, rpcfan_call_id *id,
                             struct rpcfan_error *err)
{
    struct rf_inbox *in = &c->in;
    if (in->closing)
        return rf_fail(err, RPCFAN_ECLOSED, "the client is closing");
    if (!has_room(in, d->tail.len)) {
        rf_fail(err, RPCFAN_EBUSY, "%u calls are pending, the cap is %u calls and %llu bytes",
                in->pending, in->pending_max, (unsigned long long)in->bytes_max);
        if (err != NULL)
            err->retry_in_ms = retry_in_ms(in);
        return RPCFAN_EBUSY;
    }
    uint64_t now_ns = time_now(c), by_ns;
    if (would_be_late(c, d, now_ns, &by_ns)) {
        rf_fail(err, RPCFAN_EBUSY,
                "it would wait %llu ms, longer than its deadline allows; %u calls are pending",
                (unsigned long long)(in->wait_ns[d->network] / RF_MS), in->pending);
        if (err != NULL)
            err->retry_in_ms = (uint32_t)rf_min_u64(by_ns / RF_MS + 1, RETRY_IN_MAX_MS);
        return RPCFAN_EBUSY;
    }
    struct rpcfan_result *r = rf_result_take(c);
    if (r == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    fill(r, d, now_ns);
    in->pending++;
    in->bytes += r->call.tail_len;
    rf_list_push(&in->submitted, &r->call.link);
    rf_client_wake(c);
    if (id != NULL)
        *id = (uint64_t)r->generation << 32 | r->slot;
    return RPCFAN_OK;
}

enum rpcfan_err rpcfan_call(rpcfan_client_t *client, const struct rpcfan_request *req,
                            rpcfan_call_id *id, struct rpcfan_error *err)
{
    struct draft d;
    enum rpcfan_err e = make_draft(client, req, &d, err);
    if (e == RPCFAN_OK && (d.req.cb == NULL) == (d.req.cq == NULL))
        e = rf_fail(err, RPCFAN_EINVAL, "exactly one of request.cb and request.cq must be set");
    if (e == RPCFAN_OK) {
        pthread_mutex_lock(&client->in.lock);
        e = admit(client, &d, id, err);
        pthread_mutex_unlock(&client->in.lock);
    }
    free_draft(&d);
    return e;
}

void rpcfan_cancel(rpcfan_client_t *client, rpcfan_call_id id)
{
    struct rf_inbox *in = &client->in;
    pthread_mutex_lock(&in->lock);
    struct rpcfan_result *r = rf_result_find(client, id);
    if (r != NULL && r->cancel.next == NULL) {
        rf_list_push(&in->cancels, &r->cancel);
        rf_client_wake(client);
    }
    pthread_mutex_unlock(&in->lock);
}

void rpcfan_resume(rpcfan_client_t *client, rpcfan_call_id id)
{
    struct rf_inbox *in = &client->in;
    pthread_mutex_lock(&in->lock);
    struct rpcfan_result *r = rf_result_find(client, id);
    if (r != NULL && r->resume.next == NULL) {
        rf_list_push(&in->resumes, &r->resume);
        rf_client_wake(client);
    }
    pthread_mutex_unlock(&in->lock);
}

/* A thread that waits for one answer. */
struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t done;
    rpcfan_result_t *result;
};

static void answered(const rpcfan_result_t *res, void *arg)
{
    struct waiter *w = arg;
    pthread_mutex_lock(&w->lock);
    w->result = rpcfan_result_ref(res);
    pthread_cond_signal(&w->done);
    pthread_mutex_unlock(&w->lock);
}

/* Wait for room, or until the call is let in however late it would be. */
static void wait_room(struct rf_inbox *in, uint64_t until_ns)
{
    if (uv_hrtime() >= until_ns) {
        pthread_cond_wait(&in->room, &in->lock);
        return;
    }
    struct timespec at = {.tv_sec = (time_t)(until_ns / RF_SEC),
                          .tv_nsec = (long)(until_ns % RF_SEC)};
    pthread_cond_timedwait(&in->room, &in->lock, &at);
}

/* Admit, waiting for room where the cap is reached, and for its own time at most where it would
 * come too late: others may keep the queue that long for ever. */
static enum rpcfan_err admit_wait(rpcfan_client_t *c, struct draft *d, struct rpcfan_error *err)
{
    struct rf_inbox *in = &c->in;
    pthread_mutex_lock(&in->lock);
    enum rpcfan_err e;
    in->waiters++;
    d->patient_until_ns = deadline_of(c, d, uv_hrtime());
    while ((e = admit(c, d, NULL, err)) == RPCFAN_EBUSY)
        wait_room(in, d->patient_until_ns);
    in->waiters--;
    pthread_mutex_unlock(&in->lock);
    return e;
}

enum rpcfan_err rpcfan_call_wait(rpcfan_client_t *client, const struct rpcfan_request *req,
                                 rpcfan_result_t **out, struct rpcfan_error *err)
{
    if (rf_client_on_loop(client))
        return rf_fail(
            err, RPCFAN_EINVAL,
            "rpcfan_call_wait() on the loop thread would wait for ever: use rpcfan_call()");
    struct draft d;
    enum rpcfan_err e = make_draft(client, req, &d, err);
    if (e == RPCFAN_OK && (d.req.cb != NULL || d.req.cq != NULL))
        e = rf_fail(err, RPCFAN_EINVAL, "request.cb and request.cq must be NULL");
    struct waiter w = {.lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
    if (e == RPCFAN_OK) {
        d.req.cb = answered;
        d.req.arg = &w;
        e = admit_wait(client, &d, err);
    }
    free_draft(&d);
    if (e != RPCFAN_OK)
        return e;
    pthread_mutex_lock(&w.lock);
    while (w.result == NULL)
        pthread_cond_wait(&w.done, &w.lock);
    pthread_mutex_unlock(&w.lock);
    *out = w.result;
    return RPCFAN_OK;
}
