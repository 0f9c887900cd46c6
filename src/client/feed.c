/* feed.c - account feeds in a client: the pure feed (feed/feed.h) between the subscription engine,
 * calls of its own, and whoever takes its events.
 *
 * Happy path: the start is posted; from then on the loop thread hands notes, rows and answers to
 * the feed under its lock, and steps it once a turn; another thread takes events under the same
 * lock. Failure modes: the client closes: the feed is marked failed and tells so in its next mark;
 * a feed that is freed drops its calls, which end without it. */
#include "base/mem.h"
#include "client/bell.h"
#include "client/live.h"

struct rpcfan_feed {
    rpcfan_client_t *client;
    char *network_name; /* owned; NULL: the first */
    uint32_t network, copies;
    struct rf_live_cmd start, stop, poke;

    /* the loop thread's */
    struct rf_live_net *net;
    struct rf_live_member member;
    struct rf_calls calls;
    struct rf_link listeners; /* rf_listener.link; each an allocation */

    /* under `lock` */
    pthread_mutex_t lock;
    struct rf_bell bell;
    struct rf_feed *feed;
    bool started, closed;
};

static void lock(rpcfan_feed_t *f)
{
    pthread_mutex_lock(&f->lock);
}

/* Something happened to the feed: step it in this turn. */
static void unlock_dirty(rpcfan_feed_t *f)
{
    pthread_mutex_unlock(&f->lock);
    f->member.dirty = true;
    if (f->net != NULL)
        rf_live_touch(f->net);
}

/* What the feed does to the world: always with its lock held, on the loop thread. */

static void on_note(struct rf_listener *l, const struct rf_note *note, uint64_t now_ns)
{
    rpcfan_feed_t *f = l->owner;
    struct rf_note told = *note;
    told.tag = l->tag;
    lock(f);
    rf_feed_note(f->feed, &told, now_ns);
    unlock_dirty(f);
    if (note->kind == RF_NOTE_REFUSED)
        l->sub = 0;
}

static uint64_t subscribe(void *arg, const char *method, struct rpcfan_slice params, uint64_t tag)
{
    rpcfan_feed_t *f = arg;
    struct rf_listener *l = rf_alloc(sizeof *l);
    if (l == NULL)
        return 0;
    l->note = on_note;
    l->owner = f;
    l->tag = tag;
    struct rf_subs_want want = {.method = method, .params = params, .copies = f->copies};
    if (!rf_live_add(f->net, l, &want, uv_hrtime())) {
        rf_free(l);
        return 0;
    }
    rf_list_push(&f->listeners, &l->link);
    return l->sub;
}

static void drop_listener(struct rf_listener *l, uint64_t now_ns)
{
    rf_live_remove(l, now_ns);
    rf_list_remove(&l->link);
    rf_free(l);
}

static void unsubscribe(void *arg, uint64_t sub)
{
    rpcfan_feed_t *f = arg;
    for (struct rf_link *l = f->listeners.next; l != &f->listeners; l = l->next) {
        struct rf_listener *listener = RF_CONTAINER(l, struct rf_listener, link);
        if (listener->sub != sub)
            continue;
        drop_listener(listener, uv_hrtime());
        return;
    }
}

static void distrust(void *arg, uint64_t session, const char *why)
{
    rpcfan_feed_t *f = arg;
    rf_subs_distrust(f->net->subs, session, why, uv_hrtime());
    rf_live_touch(f->net);
}

static void call(void *arg, const struct rf_feed_call *want)
{
    rf_calls_make(&((rpcfan_feed_t *)arg)->calls, want);
}

static void cancel(void *arg, uint64_t token)
{
    rf_calls_cancel(&((rpcfan_feed_t *)arg)->calls, token);
}

static void pause_rows(void *arg, uint64_t token, bool pause)
{
    rf_calls_pause(&((rpcfan_feed_t *)arg)->calls, token, pause);
}

/* What comes back. */

static void answered(void *owner, uint64_t token, const struct rf_feed_answer *a, uint64_t now_ns)
{
    rpcfan_feed_t *f = owner;
    lock(f);
    rf_feed_answer(f->feed, token, a, now_ns);
    unlock_dirty(f);
}

static void row_came(void *owner, uint64_t token, const struct rf_feed_row *row, uint64_t now_ns)
{
    rpcfan_feed_t *f = owner;
    lock(f);
    rf_feed_row(f->feed, token, row, now_ns);
    unlock_dirty(f); /* the bell rings once a turn, for all of its rows */
}

/* Its part of the turn. */

static uint64_t step(struct rf_live_member *m, uint64_t now_ns)
{
    rpcfan_feed_t *f = RF_CONTAINER(m, struct rpcfan_feed, member);
    rf_calls_flush(&f->calls, now_ns);
    lock(f);
    rf_feed_step(f->feed, now_ns);
    rf_bell_set(&f->bell, rf_feed_ready(f->feed));
    uint64_t due_ns = rf_feed_deadline(f->feed);
    pthread_mutex_unlock(&f->lock);
    /* What could not be started must be answered in a turn to come. */
    return rf_calls_late(&f->calls) ? now_ns + RF_MS : due_ns;
}

static void session(struct rf_live_member *m, const struct rf_note *note, uint64_t now_ns)
{
    rpcfan_feed_t *f = RF_CONTAINER(m, struct rpcfan_feed, member);
    lock(f);
    rf_feed_note(f->feed, note, now_ns);
    unlock_dirty(f);
}

static void end(rpcfan_feed_t *f)
{
    rf_calls_drop(&f->calls);
    lock(f);
    f->closed = true;
    rf_bell_set(&f->bell, true);
    pthread_mutex_unlock(&f->lock);
}

static void closed(struct rf_live_member *m)
{
    rpcfan_feed_t *f = RF_CONTAINER(m, struct rpcfan_feed, member);
    for (struct rf_link *l = f->listeners.next; l != &f->listeners; l = l->next)
        RF_CONTAINER(l, struct rf_listener, link)->sub = 0;
    end(f);
}

/* Commands of other threads, run on the loop. */

static void start(struct rf_live_cmd *cmd, uint64_t now_ns)
{
    rpcfan_feed_t *f = RF_CONTAINER(cmd, struct rpcfan_feed, start);
    f->net = f->client->live->closing ? NULL : rf_live_net(f->client, f->network);
    if (f->net == NULL) {
        end(f);
        return;
    }
    rf_live_join(f->net, &f->member);
    lock(f);
    rf_feed_start(f->feed, now_ns);
    unlock_dirty(f);
}

static void poke(struct rf_live_cmd *cmd, uint64_t now_ns)
{
    (void)now_ns;
    rpcfan_feed_t *f = RF_CONTAINER(cmd, struct rpcfan_feed, poke);
    f->member.dirty = true;
    if (f->net != NULL)
        rf_live_touch(f->net);
}

static void stop(struct rf_live_cmd *cmd, uint64_t now_ns)
{
    rpcfan_feed_t *f = RF_CONTAINER(cmd, struct rpcfan_feed, stop);
    struct rf_link *l;
    rf_calls_drop(&f->calls);
    rf_list_remove(&f->member.link);
    while ((l = f->listeners.next) != &f->listeners)
        drop_listener(RF_CONTAINER(l, struct rf_listener, link), now_ns);
}

/* The public functions. */

static void free_feed(rpcfan_feed_t *f)
{
    struct rf_link *l;
    while ((l = rf_list_shift(&f->listeners)) != NULL) /* the client was closed */
        rf_free(RF_CONTAINER(l, struct rf_listener, link));
    rf_feed_free(f->feed);
    rf_bell_fini(&f->bell);
    pthread_mutex_destroy(&f->lock);
    rf_free(f->network_name);
    rf_free(f);
}

static rpcfan_feed_t *make(rpcfan_client_t *c, const struct rpcfan_feed_options *o)
{
    rpcfan_feed_t *f = rf_alloc(sizeof *f);
    if (f == NULL)
        return NULL;
    f->client = c;
    f->copies = o->copies;
    f->network_name = rf_strdup(o->network);
    if ((o->network != NULL && f->network_name == NULL) || !rf_bell_init(&f->bell)) {
        rf_free(f->network_name);
        rf_free(f);
        return NULL;
    }
    pthread_mutex_init(&f->lock, NULL);
    rf_list_init(&f->listeners);
    f->start.run = start;
    f->stop.run = stop;
    f->poke.run = poke;
    f->member = (struct rf_live_member){
        .step = step, .session = session, .closed = closed, .due_ns = RF_NEVER};
    f->calls = (struct rf_calls){
        .client = c, .network = f->network_name, .owner = f, .answered = answered, .row = row_came};
    rf_calls_init(&f->calls);
    return f;
}

static enum rpcfan_err check(rpcfan_client_t *c, const struct rpcfan_feed_options *o,
                             uint32_t *network, struct rpcfan_error *err)
{
    if (o == NULL || o->size != sizeof *o)
        return rf_fail(err, RPCFAN_EINVAL, "feed: call rpcfan_feed_options_init() first");
    *network = rf_core_network(c->core, o->network);
    if (*network == UINT32_MAX)
        return rf_fail(err, RPCFAN_EINVAL, "no network is named '%.64s'", o->network);
    if (c->network[*network].family != RPCFAN_SOLANA)
        return rf_fail(err, RPCFAN_EINVAL,
                       "feed: the network's family must be solana (family, --family)");
    if (o->calls < 1 || o->calls > RF_CALLS_MAX)
        return rf_fail(err, RPCFAN_EINVAL, "feed: calls must be 1 to %d", RF_CALLS_MAX);
    if (!o->once && !rf_live_can(c, *network))
        return rf_fail(err, RPCFAN_EINVAL,
                       "no endpoint of the network can be subscribed to: give one a ws_url");
    return RPCFAN_OK;
}

enum rpcfan_err rpcfan_feed_new(rpcfan_client_t *client, const struct rpcfan_feed_options *o,
                                rpcfan_feed_t **out, struct rpcfan_error *err)
{
    uint32_t network = 0;
    enum rpcfan_err e = check(client, o, &network, err);
    if (e != RPCFAN_OK)
        return e;
    rpcfan_feed_t *f = make(client, o);
    if (f == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory, or of descriptors");
    f->network = network;
    struct rf_feed_ops ops = {.arg = f,
                              .subscribe = subscribe,
                              .unsubscribe = unsubscribe,
                              .distrust = distrust,
                              .call = call,
                              .cancel = cancel,
                              .pause = pause_rows};
    e = rf_feed_new(o, &ops, client->seed + 1, &client->log, &f->feed, err);
    if (e != RPCFAN_OK) {
        free_feed(f);
        return e;
    }
    *out = f;
    return RPCFAN_OK;
}

enum rpcfan_err rpcfan_feed_seed(rpcfan_feed_t *feed, const struct rpcfan_known *known, size_t n)
{
    lock(feed);
    enum rpcfan_err e = feed->started ? RPCFAN_EINVAL : rf_feed_seed(feed->feed, known, n);
    pthread_mutex_unlock(&feed->lock);
    return e;
}

void rpcfan_feed_start(rpcfan_feed_t *feed)
{
    lock(feed);
    bool again = feed->started;
    feed->started = true;
    pthread_mutex_unlock(&feed->lock);
    if (!again && !rf_live_post(feed->client, &feed->start))
        end(feed);
}

int rpcfan_feed_fd(const rpcfan_feed_t *feed)
{
    return feed->bell.fd;
}

size_t rpcfan_feed_take(rpcfan_feed_t *feed, struct rpcfan_account_event *out, size_t n,
                        struct rpcfan_feed_mark *mark)
{
    lock(feed);
    size_t taken = rf_feed_take(feed->feed, out, n, mark);
    if (feed->closed && taken == 0)
        mark->failed = RPCFAN_ECLOSED;
    rf_bell_set(&feed->bell, feed->closed || rf_feed_ready(feed->feed));
    bool due = rf_feed_deadline(feed->feed) <= uv_hrtime();
    pthread_mutex_unlock(&feed->lock);
    if (due)
        rf_live_post(feed->client, &feed->poke);
    return taken;
}

void rpcfan_feed_release(struct rpcfan_account_event *events, size_t n)
{
    rf_feed_release(events, n);
}

void rpcfan_feed_status(rpcfan_feed_t *feed, struct rpcfan_feed_status *out)
{
    lock(feed);
    rf_feed_status(feed->feed, uv_hrtime(), out);
    pthread_mutex_unlock(&feed->lock);
}

void rpcfan_feed_free(rpcfan_feed_t *feed)
{
    if (feed == NULL)
        return;
    if (rf_live_post(feed->client, &feed->stop))
        rf_live_wait(feed->client, &feed->stop);
    free_feed(feed);
}
