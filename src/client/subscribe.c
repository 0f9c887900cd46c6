/* subscribe.c - plain subscriptions: what the engine tells, in a bounded queue behind a descriptor.
 *
 * Happy path: rpcfan_subscribe() posts a command, the loop thread adds the subscription, notes go
 * into the queue under its lock, and any thread polls them. For Ethereum's heads and logs a feed
 * stands between, which fills gaps (feed/evm.h). Failure modes: the queue is full: by its policy
 * something is dropped and told, or the connection is not read; the client closes: RPCFAN_NOTE_END.
 */
#include <string.h>

#include "base/mem.h"
#include "client/bell.h"
#include "client/live.h"
#include "client/note_read.h"
#include "feed/queue.h"
#include "json/canon.h"
#include "json/rpc.h"

#define TWICE_SLOTS 4096 /* notifications remembered, to tell equal ones of two copies once */
#define QUEUE_NOTES 65536
#define QUEUE_BYTES (64u * 1024 * 1024)

/** A note that waits. */
struct note_item {
    struct rf_queue_item item;
    struct rpcfan_note note;
    struct rf_blob *blob; /* a reference, or NULL */
};

struct rpcfan_sub {
    rpcfan_client_t *client;
    uint32_t network;
    enum rpcfan_family family;
    struct rpcfan_sub_options o; /* strings owned */
    struct rf_live_cmd start, stop, resume;

    /* the loop thread's */
    struct rf_listener listener;
    struct rf_live_member member; /* so that it hears of the client's close */
    uint32_t up;                  /* copies that are acknowledged */
    uint64_t *twice;              /* owned; hashes of what was told; NULL: one copy */
    struct rf_link blocked;       /* note_item.item.link: came after the queue was full */
    uint64_t paused_session;      /* not read for that; 0: none */
    struct rf_live_net *paused_net;

    /* under `lock` */
    pthread_mutex_t lock;
    struct rf_bell bell;
    bool stuck; /* `blocked` is not empty */
    struct rf_queue queue;
    struct rpcfan_sub_counters count;
    uint64_t untold; /* dropped since the last RPCFAN_NOTE_DROPPED */
};

void rpcfan_sub_options_init(struct rpcfan_sub_options *o)
{
    *o = (struct rpcfan_sub_options){.size = sizeof *o,
                                     .overflow = RPCFAN_LATEST,
                                     .queue_notes = QUEUE_NOTES,
                                     .queue_bytes = QUEUE_BYTES,
                                     .copies = 1};
}

/* The queue. */

static void free_item(struct note_item *it)
{
    rf_blob_unref(it->blob);
    rf_free(it);
}

static bool is_data(const struct note_item *it)
{
    return it->note.kind == RPCFAN_NOTE_DATA;
}

/* An item left the queue untaken. With the lock held. */
static void gone(rpcfan_sub_t *s, struct rf_queue_item *out, bool conflated)
{
    struct note_item *it = RF_CONTAINER(out, struct note_item, item);
    s->count.conflated += conflated && is_data(it);
    s->count.dropped += !conflated && is_data(it);
    s->untold += !conflated;
    s->count.waiting -= is_data(it);
    free_item(it);
}

/* With the lock held. @return false where it must wait outside (RPCFAN_BLOCK). */
static bool enqueue(rpcfan_sub_t *s, struct note_item *it)
{
    struct rf_queue_item *out = NULL;
    enum rf_queue_added how = rf_queue_add(&s->queue, &it->item, &out);
    if (how == RF_QUEUE_FULL)
        return false;
    if (out != NULL)
        gone(s, out, how == RF_QUEUE_CONFLATED);
    while ((out = rf_queue_evict(&s->queue)) != NULL)
        gone(s, out, false);
    rf_bell_set(&s->bell, true);
    return true;
}

/* What came after the queue was full waits here until there is room, and is not read on meanwhile:
 * no more than the connection had read already. */
static void block(rpcfan_sub_t *s, struct note_item *it, struct rf_live_net *net, uint64_t session)
{
    rf_list_push(&s->blocked, &it->item.link);
    pthread_mutex_lock(&s->lock);
    s->stuck = true;
    pthread_mutex_unlock(&s->lock);
    if (s->paused_session != 0 || session == 0)
        return;
    s->paused_session = session;
    s->paused_net = net;
    rf_live_pause(net, session, true);
}

/* The reader took something: go on. Thread: loop. */
static void resume(struct rf_live_cmd *cmd, uint64_t now_ns)
{
    (void)now_ns;
    rpcfan_sub_t *s = RF_CONTAINER(cmd, struct rpcfan_sub, resume);
    pthread_mutex_lock(&s->lock);
    bool room = true;
    while (room && !rf_list_empty(&s->blocked)) {
        struct rf_link *l = rf_list_shift(&s->blocked);
        struct note_item *it = RF_CONTAINER(l, struct note_item, item.link);
        room = enqueue(s, it);
        if (!room)
            rf_list_unshift(&s->blocked, l);
    }
    s->stuck = !room;
    pthread_mutex_unlock(&s->lock);
    if (room && s->paused_session != 0) {
        rf_live_pause(s->paused_net, s->paused_session, false);
        s->paused_session = 0;
    }
}

/* Told by two nodes, or twice by one around a planned reconnect. */
static bool told_already(rpcfan_sub_t *s, struct rpcfan_slice json)
{
    if (s->twice == NULL)
        return false;
    uint64_t hash = rf_json_canon_hash(json) | 1;
    uint64_t *slot = &s->twice[hash / 2 % TWICE_SLOTS];
    if (*slot == hash)
        return true;
    *slot = hash;
    return false;
}

/** A note on its way into the queue, and where it came from. */
struct arrival {
    struct rpcfan_note note;
    struct rf_blob *blob;
    struct rf_live_net *net;
    uint64_t session;
};

static void deliver(rpcfan_sub_t *s, const struct arrival *a)
{
    struct note_item *it = rf_alloc(sizeof *it);
    bool data = a->note.kind == RPCFAN_NOTE_DATA;
    if (data && told_already(s, a->note.json)) {
        pthread_mutex_lock(&s->lock);
        s->count.received++;
        s->count.twice++;
        pthread_mutex_unlock(&s->lock);
        rf_free(it);
        return;
    }
    pthread_mutex_lock(&s->lock);
    s->count.received += data;
    s->count.gaps += a->note.kind == RPCFAN_NOTE_GAP;
    s->count.filled += a->note.kind == RPCFAN_NOTE_FILLED;
    if (it == NULL) {
        s->count.dropped += data;
        s->untold++;
        pthread_mutex_unlock(&s->lock);
        return;
    }
    it->note = a->note;
    it->blob = a->blob;
    rf_blob_ref(a->blob, 1);
    it->item.key = data ? rf_note_key(s->family, a->note.json) : 0;
    it->item.bytes = sizeof *it + a->note.json.len;
    s->count.waiting += data;
    bool fits = rf_list_empty(&s->blocked) && enqueue(s, it);
    pthread_mutex_unlock(&s->lock);
    if (!fits)
        block(s, it, a->net, a->session);
}

/* What the engine tells. */

static void came_up(rpcfan_sub_t *s, struct arrival *a)
{
    if (s->up++ > 0)
        return;
    a->note.kind = RPCFAN_NOTE_UP;
    deliver(s, a);
}

static void went_down(rpcfan_sub_t *s, struct arrival *a, const char *why)
{
    if (s->up > 0 && --s->up > 0)
        return;
    a->note.kind = RPCFAN_NOTE_GAP;
    a->note.why = why;
    deliver(s, a);
}

static void on_note(struct rf_listener *l, const struct rf_note *note, uint64_t now_ns)
{
    (void)now_ns;
    rpcfan_sub_t *s = l->owner;
    struct arrival a = {.net = l->net, .session = note->session, .blob = note->blob};
    a.note.endpoint = rf_live_endpoint(l->net, note->endpoint);
    switch (note->kind) {
    case RF_NOTE_UP:
        a.blob = NULL;
        came_up(s, &a);
        break;
    case RF_NOTE_DOWN:
        a.blob = NULL;
        went_down(s, &a, note->why);
        break;
    case RF_NOTE_DATA:
        a.note.kind = RPCFAN_NOTE_DATA;
        a.note.json = note->json;
        a.note.slot = rf_note_slot(s->family, note->json);
        deliver(s, &a);
        break;
    case RF_NOTE_REFUSED:
        a.note.kind = RPCFAN_NOTE_END;
        a.note.json = note->json;
        l->sub = 0;
        deliver(s, &a);
        break;
    case RF_NOTE_SLOT:
    case RF_NOTE_ROOT:
    case RF_NOTE_SESSION_UP:
    case RF_NOTE_SESSION_DOWN:
        break;
    }
}

/* Commands of other threads, run on the loop. */

/* Nothing more comes. */
static void end(rpcfan_sub_t *s, const char *why)
{
    struct arrival a = {.note = {.kind = RPCFAN_NOTE_END, .endpoint = "", .why = why}};
    deliver(s, &a);
}

static void closed(struct rf_live_member *m)
{
    rpcfan_sub_t *s = RF_CONTAINER(m, struct rpcfan_sub, member);
    s->listener.sub = 0;
    end(s, "the client is closed");
}

static uint64_t nothing_due(struct rf_live_member *m, uint64_t now_ns)
{
    (void)m;
    (void)now_ns;
    return RF_NEVER;
}

static void start(struct rf_live_cmd *cmd, uint64_t now_ns)
{
    rpcfan_sub_t *s = RF_CONTAINER(cmd, struct rpcfan_sub, start);
    struct rf_live_net *net = s->client->live->closing ? NULL : rf_live_net(s->client, s->network);
    if (net == NULL) {
        end(s, s->client->live->closing ? "the client is closed" : "out of memory");
        return;
    }
    rf_live_join(net, &s->member);
    struct rf_subs_want want = {
        .method = s->o.method, .params = rf_text(s->o.params), .copies = s->o.copies};
    if (!rf_live_add(net, &s->listener, &want, now_ns))
        end(s, "out of memory");
}

static void stop(struct rf_live_cmd *cmd, uint64_t now_ns)
{
    rpcfan_sub_t *s = RF_CONTAINER(cmd, struct rpcfan_sub, stop);
    rf_live_remove(&s->listener, now_ns);
    rf_list_remove(&s->member.link);
    if (s->paused_session != 0 && !s->client->live->closing)
        rf_live_pause(s->paused_net, s->paused_session, false);
}

/* The public functions. */

static enum rpcfan_err check(rpcfan_client_t *c, const struct rpcfan_sub_options *o,
                             uint32_t *network, struct rpcfan_error *err)
{
    if (o == NULL || o->size != sizeof *o)
        return rf_fail(err, RPCFAN_EINVAL, "subscription: call rpcfan_sub_options_init() first");
    if (o->method == NULL || o->method[0] == '\0')
        return rf_fail(err, RPCFAN_EINVAL, "subscription: method is empty");
    if (o->copies < 1 || o->copies > 2)
        return rf_fail(err, RPCFAN_EINVAL, "subscription: copies must be 1 or 2");
    if ((unsigned)o->overflow > RPCFAN_DROP_NEWEST)
        return rf_fail(err, RPCFAN_EINVAL, "subscription: overflow is no rpcfan_overflow");
    if (o->queue_notes == 0 || o->queue_bytes == 0)
        return rf_fail(err, RPCFAN_EINVAL,
                       "subscription: queue_notes and queue_bytes must be at least 1");
    size_t at;
    struct rpcfan_slice params = rf_text(o->params);
    if (params.len > 0 && (rf_json_check(params.data, params.len, RF_SCAN_DEPTH, &at) != 0 ||
                           params.data[strspn(params.data, " \t\n\r")] != '['))
        return rf_fail(err, RPCFAN_EINVAL, "subscription: params must be a JSON array");
    *network = rf_core_network(c->core, o->network);
    if (*network == UINT32_MAX)
        return rf_fail(err, RPCFAN_EINVAL, "no network is named '%.64s'", o->network);
    if (!rf_live_can(c, *network))
        return rf_fail(err, RPCFAN_EINVAL,
                       "no endpoint of the network can be subscribed to: give one a ws_url");
    return RPCFAN_OK;
}

static void free_sub(rpcfan_sub_t *s)
{
    struct rf_queue_item *it;
    struct rf_link *l;
    while ((it = rf_queue_take(&s->queue)) != NULL)
        free_item(RF_CONTAINER(it, struct note_item, item));
    while ((l = rf_list_shift(&s->blocked)) != NULL)
        free_item(RF_CONTAINER(l, struct note_item, item.link));
    rf_queue_fini(&s->queue);
    rf_bell_fini(&s->bell);
    pthread_mutex_destroy(&s->lock);
    rf_free((char *)s->o.method);
    rf_free((char *)s->o.params);
    rf_free(s->twice);
    rf_free(s);
}

static rpcfan_sub_t *make(rpcfan_client_t *c, const struct rpcfan_sub_options *o)
{
    rpcfan_sub_t *s = rf_alloc(sizeof *s);
    if (s == NULL)
        return NULL;
    s->client = c;
    s->o = *o;
    s->o.network = NULL;
    s->start.run = start;
    s->stop.run = stop;
    s->resume.run = resume;
    s->listener.note = on_note;
    s->listener.owner = s;
    s->member = (struct rf_live_member){.step = nothing_due, .closed = closed, .due_ns = RF_NEVER};
    rf_list_init(&s->blocked);
    s->o.method = rf_strdup(o->method);
    s->o.params = rf_strdup(o->params);
    s->twice = o->copies > 1 ? rf_alloc(TWICE_SLOTS * sizeof s->twice[0]) : NULL;
    bool whole = s->o.method != NULL && (o->params == NULL || s->o.params != NULL) &&
                 (o->copies == 1 || s->twice != NULL) &&
                 rf_queue_init(&s->queue, o->overflow, o->queue_notes, o->queue_bytes);
    if (whole && rf_bell_init(&s->bell)) {
        pthread_mutex_init(&s->lock, NULL);
        return s;
    }
    if (whole)
        rf_queue_fini(&s->queue);
    rf_free((char *)s->o.method);
    rf_free((char *)s->o.params);
    rf_free(s->twice);
    rf_free(s);
    return NULL;
}

enum rpcfan_err rpcfan_subscribe(rpcfan_client_t *client, const struct rpcfan_sub_options *o,
                                 rpcfan_sub_t **out, struct rpcfan_error *err)
{
    uint32_t network = 0;
    enum rpcfan_err e = check(client, o, &network, err);
    if (e != RPCFAN_OK)
        return e;
    rpcfan_sub_t *s = make(client, o);
    if (s == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory, or of descriptors");
    s->network = network;
    s->family = client->network[network].family;
    if (!rf_live_post(client, &s->start)) {
        free_sub(s);
        return rf_fail(err, RPCFAN_ECLOSED, "the client is closed");
    }
    *out = s;
    return RPCFAN_OK;
}

int rpcfan_sub_fd(const rpcfan_sub_t *sub)
{
    return sub->bell.fd;
}

size_t rpcfan_sub_poll(rpcfan_sub_t *sub, struct rpcfan_note *out, size_t n)
{
    size_t taken = 0;
    struct rf_queue_item *it;
    pthread_mutex_lock(&sub->lock);
    if (sub->untold > 0 && taken < n) {
        out[taken++] =
            (struct rpcfan_note){.kind = RPCFAN_NOTE_DROPPED, .n = sub->untold, .endpoint = ""};
        sub->untold = 0;
    }
    while (taken < n && (it = rf_queue_take(&sub->queue)) != NULL) {
        struct note_item *note = RF_CONTAINER(it, struct note_item, item);
        sub->count.taken += is_data(note);
        sub->count.waiting -= is_data(note);
        out[taken] = note->note;
        out[taken++].hold = note->blob;
        rf_free(note);
    }
    bool empty = sub->queue.count.items == 0;
    rf_bell_set(&sub->bell, !empty || sub->untold > 0);
    bool wake = sub->stuck && !rf_queue_pressed(&sub->queue, true);
    pthread_mutex_unlock(&sub->lock);
    if (wake)
        rf_live_post(sub->client, &sub->resume);
    return taken;
}

void rpcfan_note_release(struct rpcfan_note *note)
{
    rf_blob_unref(note->hold);
    note->hold = NULL;
}

void rpcfan_sub_count(rpcfan_sub_t *sub, struct rpcfan_sub_counters *out)
{
    pthread_mutex_lock(&sub->lock);
    *out = sub->count;
    out->waiting_bytes = sub->queue.count.bytes;
    pthread_mutex_unlock(&sub->lock);
}

void rpcfan_unsubscribe(rpcfan_sub_t *sub)
{
    if (sub == NULL)
        return;
    if (rf_live_post(sub->client, &sub->stop))
        rf_live_wait(sub->client, &sub->stop);
    free_sub(sub);
}
