/* test_races.c - many threads at one client: calls, cancels, status, polls and closes at the same
 * time. Worth most under a thread sanitizer; elsewhere it still counts the answers. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "client_case.h"

#include "base/rng.h"

#define THREADS 4

struct storm {
    struct nobody n;
    rpcfan_client_t *client;
    rpcfan_cq_t *cq;
    atomic_uint called, accepted, polled, queued, refused;
    atomic_bool stop;
    atomic_uint_fast64_t last_id;
    atomic_uint depth;
};

static void storm_start(struct storm *s, uint32_t pending)
{
    memset(s, 0, sizeof *s);
    nobody_init(&s->n);
    assert_int_equal(uv_loop_close(&s->n.loop), 0);
    s->n.o.loop = NULL;
    s->n.o.pending_calls = pending;
    struct rpcfan_error err;
    if (rpcfan_client_new(&s->n.o, &s->client, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
    assert_int_equal(rpcfan_cq_new(s->client, &s->cq), RPCFAN_OK);
}

static void count_answer(const rpcfan_result_t *res, void *arg)
{
    struct storm *s = arg;
    if (rpcfan_result_err(res) == RPCFAN_OK)
        abort(); /* nobody listens there */
    atomic_fetch_add(&s->called, 1);
}

static int no_element(const struct rpcfan_element *e, void *arg)
{
    (void)e;
    (void)arg;
    abort(); /* likewise */
}

static void one_call(struct storm *s, struct rf_rng *rng)
{
    bool by_queue = rf_rng_below(rng, 2) == 0;
    struct rpcfan_request r = {.size = sizeof r,
                               .method = "eth_call",
                               .params = "[1]",
                               .timeout_ms = 1 + rf_rng_below(rng, 50)};
    if (by_queue)
        r.cq = s->cq;
    else
        r.cb = count_answer;
    r.arg = s;
    r.element = rf_rng_below(rng, 4) == 0 ? no_element : NULL;
    rpcfan_call_id id;
    enum rpcfan_err e = rpcfan_call(s->client, &r, &id, NULL);
    if (e == RPCFAN_OK) {
        atomic_fetch_add(by_queue ? &s->queued : &s->accepted, 1);
        atomic_store(&s->last_id, id);
    } else if (e == RPCFAN_EBUSY || e == RPCFAN_ECLOSED) {
        atomic_fetch_add(&s->refused, 1);
        sched_yield();
    } else {
        abort();
    }
}

static void *caller(void *arg)
{
    struct storm *s = arg;
    struct rf_rng rng;
    rf_rng_init(&rng, (uintptr_t)&rng);
    for (unsigned i = 0; i < 2000; i++) {
        one_call(s, &rng);
        if (rf_rng_below(&rng, 2) == 0)
            rpcfan_cancel(s->client, atomic_load(&s->last_id));
        if (rf_rng_below(&rng, 4) == 0)
            rpcfan_resume(s->client, atomic_load(&s->last_id));
        if (rf_rng_below(&rng, 50) == 0) {
            char *text;
            if (rpcfan_status(s->client, &text) == RPCFAN_OK)
                rpcfan_free(text);
        }
        if (rf_rng_below(&rng, 20) == 0) {
            struct rpcfan_request r = {.size = sizeof r, .method = "m", .timeout_ms = 5};
            rpcfan_result_t *res;
            if (rpcfan_call_wait(s->client, &r, &res, NULL) == RPCFAN_OK)
                rpcfan_result_unref(res);
        }
    }
    return NULL;
}

static void poll_some(struct storm *s)
{
    rpcfan_result_t *res[16];
    size_t n = rpcfan_cq_poll(s->cq, res, 16);
    for (size_t i = 0; i < n; i++) {
        rpcfan_cancel(s->client, atomic_load(&s->last_id));
        rpcfan_result_unref(res[i]);
    }
    atomic_fetch_add(&s->polled, (unsigned)n);
}

static void *poller(void *arg)
{
    struct storm *s = arg;
    struct pollfd p = {.fd = rpcfan_cq_fd(s->cq), .events = POLLIN};
    while (!atomic_load(&s->stop)) {
        poll(&p, 1, 10);
        poll_some(s);
    }
    return NULL;
}

/* Callers, a poller, and a close of each mode in the middle of it. */
static void storm(int mode)
{
    struct storm s;
    pthread_t t[THREADS], p;
    storm_start(&s, 64);
    assert_int_equal(pthread_create(&p, NULL, poller, &s), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, caller, &s), 0);
    if (mode >= 0) {
        struct pollfd none;
        poll(&none, 0, 30);
        rpcfan_client_close(s.client, (enum rpcfan_close_mode)mode, NULL, NULL);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    rpcfan_client_close(s.client, RPCFAN_CLOSE_DRAIN, NULL, NULL);
    while (atomic_load(&s.called) < atomic_load(&s.accepted) ||
           atomic_load(&s.polled) < atomic_load(&s.queued)) {
        struct pollfd none;
        poll(&none, 0, 1);
    }
    atomic_store(&s.stop, true);
    pthread_join(p, NULL);
    print_message("mode %d: %u callbacks, %u polled, %u refused\n", mode, atomic_load(&s.called),
                  atomic_load(&s.polled), atomic_load(&s.refused));
    assert_int_equal(atomic_load(&s.called), atomic_load(&s.accepted));
    assert_int_equal(atomic_load(&s.polled), atomic_load(&s.queued));
    rpcfan_cq_free(s.cq);
    rpcfan_client_free(s.client);
}

static void test_races_every_accepted_call_is_answered_once(void **state)
{
    (void)state;
    for (int mode = -1; mode <= RPCFAN_CLOSE_NOW; mode++)
        storm(mode);
}

/* A callback that calls everything there is. */
static void busy_callback(const rpcfan_result_t *res, void *arg)
{
    struct storm *s = arg;
    struct rpcfan_request r = {.size = sizeof r, .method = "m", .timeout_ms = 20};
    rpcfan_result_t *out;
    rpcfan_call_id id;
    char *text, *detail = strdup(rpcfan_result_detail(res));
    rpcfan_result_t *kept = rpcfan_result_ref(res);
    if (rpcfan_call_wait(s->client, &r, &out, NULL) != RPCFAN_EINVAL)
        abort();
    if (rpcfan_status(s->client, &text) != RPCFAN_OK)
        abort();
    rpcfan_free(text);
    r.cb = busy_callback;
    r.arg = s;
    if (atomic_fetch_add(&s->depth, 1) < 200 &&
        rpcfan_call(s->client, &r, &id, NULL) == RPCFAN_OK) {
        atomic_fetch_add(&s->accepted, 1);
        if (atomic_load(&s->depth) % 3 == 0)
            rpcfan_cancel(s->client, id);
    }
    r.cb = NULL;
    r.cq = s->cq;
    if (atomic_load(&s->depth) < 100 && rpcfan_call(s->client, &r, &id, NULL) == RPCFAN_OK)
        atomic_fetch_add(&s->queued, 1);
    poll_some(s);
    if (atomic_load(&s->depth) > 150)
        rpcfan_client_close(s->client, RPCFAN_CLOSE_SENT, NULL, NULL);
    if (strcmp(detail, rpcfan_result_detail(kept)) != 0)
        abort();
    rpcfan_result_unref(kept);
    free(detail);
    atomic_fetch_add(&s->called, 1); /* last: the queue may be freed from now on */
}

static void test_races_callback_may_call_everything(void **state)
{
    (void)state;
    struct storm s;
    storm_start(&s, 64);
    for (unsigned i = 0; i < 8; i++) {
        struct rpcfan_request r = {.size = sizeof r, .method = "m", .cb = busy_callback, .arg = &s};
        if (rpcfan_call(s.client, &r, NULL, NULL) == RPCFAN_OK)
            atomic_fetch_add(&s.accepted, 1);
    }
    for (unsigned i = 0; i < 20000 && atomic_load(&s.depth) <= 150; i++) {
        struct pollfd none;
        poll(&none, 0, 1);
    }
    rpcfan_client_close(s.client, RPCFAN_CLOSE_DRAIN, NULL, NULL);
    while (atomic_load(&s.called) < atomic_load(&s.accepted)) {
        struct pollfd none;
        poll(&none, 0, 1);
    }
    while (atomic_load(&s.polled) < atomic_load(&s.queued))
        poll_some(&s);
    rpcfan_cq_free(s.cq);
    rpcfan_client_free(s.client);
    assert_int_equal(atomic_load(&s.called), atomic_load(&s.accepted));
    assert_true(atomic_load(&s.called) > 100);
}

/* Status asked for while the client closes: an answer or "closed", never a wait for ever. */
static void *asker(void *arg)
{
    struct storm *s = arg;
    char *text;
    enum rpcfan_err e;
    while ((e = rpcfan_status(s->client, &text)) == RPCFAN_OK)
        rpcfan_free(text);
    if (e != RPCFAN_ECLOSED)
        abort();
    return NULL;
}

static void test_races_status_while_closing(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        struct storm s;
        pthread_t t[THREADS];
        storm_start(&s, 64);
        for (unsigned i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&t[i], NULL, asker, &s), 0);
        rpcfan_client_close(s.client, RPCFAN_CLOSE_NOW, NULL, NULL);
        for (unsigned i = 0; i < THREADS; i++)
            pthread_join(t[i], NULL);
        rpcfan_cq_free(s.cq);
        rpcfan_client_free(s.client);
    }
}

static void on_closed(rpcfan_client_t *c, void *arg)
{
    (void)c;
    atomic_fetch_add((atomic_uint *)arg, 1);
}

/* Closed by many threads with a callback each: told once. */
static void *closer(void *arg)
{
    struct storm *s = arg;
    rpcfan_client_close(s->client, RPCFAN_CLOSE_SENT, on_closed, &s->called);
    return NULL;
}

static void test_races_closed_once(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        struct storm s;
        pthread_t t[THREADS];
        storm_start(&s, 64);
        for (unsigned i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&t[i], NULL, closer, &s), 0);
        for (unsigned i = 0; i < THREADS; i++)
            pthread_join(t[i], NULL);
        rpcfan_cq_free(s.cq);
        rpcfan_client_free(s.client);
        assert_int_equal(atomic_load(&s.called), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_races_every_accepted_call_is_answered_once),
        cmocka_unit_test(test_races_callback_may_call_everything),
        cmocka_unit_test(test_races_status_while_closing),
        cmocka_unit_test(test_races_closed_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
