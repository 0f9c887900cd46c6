/* sub_queue.c - what a subscription tells, in a bounded queue behind a descriptor.
 *
 * Happy path: the loop thread delivers under the subscription's lock, any thread takes. Failure
 * modes: full: by its policy something is dropped and told, or the connection is not read until
 * there is room. */
#include <string.h>

#include "base/mem.h"
#include "client/note_read.h"
#include "client/sub.h"
#include "json/canon.h"

static void free_item(struct rf_note_item *it)
{
    rf_blob_unref(it->blob);
    rf_free(it);
}

static bool is_data(const struct rf_note_item *it)
{
    return it->note.kind == RPCFAN_NOTE_DATA;
}

/* An item left the queue untaken. With the lock held. */
static void gone(rpcfan_sub_t *s, struct rf_queue_item *out, bool conflated)
{
    struct rf_note_item *it = RF_CONTAINER(out, struct rf_note_item, item);
    s->count.conflated += conflated && is_data(it);
    s->count.dropped += !conflated && is_data(it);
    s->untold += !conflated;
    s->count.waiting -= is_data(it);
    free_item(it);
}

/* With the lock held. @return false where it must wait outside (RPCFAN_BLOCK). */
static bool enqueue(rpcfan_sub_t *s, struct rf_note_item *it)
{
    struct rf_queue_item *out = NULL;
    enum rf_queue_added how = rf_queue_add(&s->queue, &it->item, &out);
    if (how == RF_QUEUE_FULL)
        return false;
    if (out != NULL)
        gone(s, out, how == RF_QUEUE_CONFLATED);
    while ((out = rf_queue_evict(&s->queue)) != NULL)
        gone(s, out, false);
    return true;
}

/* What came after the queue was full waits here until there is room. Every connection that tells
 * meanwhile is not read on (rf_sub_hold()): so it is no more than they had read already. */
static void block(rpcfan_sub_t *s, struct rf_note_item *it)
{
    rf_list_push(&s->blocked, &it->item.link);
    pthread_mutex_lock(&s->lock);
    s->stuck = true;
    pthread_mutex_unlock(&s->lock);
}

void rf_sub_hold(rpcfan_sub_t *s, struct rf_live_net *net, uint64_t session)
{
    if (rf_list_empty(&s->blocked) || session == 0)
        return;
    s->held = net;
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
        struct rf_note_item *it = RF_CONTAINER(l, struct rf_note_item, item.link);
        room = enqueue(s, it);
        if (!room)
            rf_list_unshift(&s->blocked, l);
    }
    s->stuck = !room;
    rf_bell_set(&s->bell, s->queue.count.items > 0);
    pthread_mutex_unlock(&s->lock);
    if (room)
        rf_sub_let_go(s);
}

void rf_sub_let_go(rpcfan_sub_t *s)
{
    if (s->held != NULL && !s->client->live->closing)
        rf_live_pause_all(s->held, false); /* whoever else holds one does so again */
    s->held = NULL;
}

/* Told by two nodes, or twice by one around a planned reconnect. */
static bool told_already(rpcfan_sub_t *s, struct rpcfan_slice json)
{
    if (s->twice == NULL || s->evm != NULL) /* that knows better what was told: forks come back */
        return false;
    uint64_t hash = rf_json_canon_hash(json) | 1;
    uint64_t *slot = &s->twice[hash / 2 % RF_SUB_TWICE];
    if (*slot == hash)
        return true;
    *slot = hash;
    return false;
}

void rf_sub_ring(rpcfan_sub_t *s)
{
    pthread_mutex_lock(&s->lock);
    rf_bell_set(&s->bell, s->queue.count.items > 0 || s->untold > 0);
    pthread_mutex_unlock(&s->lock);
}

/* Notifications come in numbers: the bell rings once for all of a turn. */
static void ring_soon(rpcfan_sub_t *s)
{
    s->member.dirty = true;
    rf_live_touch(s->listener.net);
}

void rf_sub_deliver(rpcfan_sub_t *s, const struct rf_arrival *a)
{
    struct rf_note_item *it = rf_alloc(sizeof *it);
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
    bool conflates = data && s->o.overflow == RPCFAN_LATEST;
    it->item.key = conflates ? rf_note_key(s->family, a->note.json) : 0;
    it->item.bytes = sizeof *it + a->note.json.len;
    s->count.waiting += data;
    bool fits = rf_list_empty(&s->blocked) && enqueue(s, it);
    if (!data)
        rf_bell_set(&s->bell, true);
    pthread_mutex_unlock(&s->lock);
    if (data)
        ring_soon(s);
    if (!fits)
        block(s, it);
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
        struct rf_note_item *note = RF_CONTAINER(it, struct rf_note_item, item);
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

void rf_sub_count_twice(rpcfan_sub_t *s, uint64_t n)
{
    pthread_mutex_lock(&s->lock);
    s->count.received += n;
    s->count.twice += n;
    pthread_mutex_unlock(&s->lock);
}

bool rf_sub_queue_init(rpcfan_sub_t *s)
{
    rf_list_init(&s->blocked);
    s->resume.run = resume;
    s->twice = s->o.copies > 1 ? rf_alloc(RF_SUB_TWICE * sizeof s->twice[0]) : NULL;
    if ((s->o.copies > 1 && s->twice == NULL) ||
        !rf_queue_init(&s->queue, s->o.overflow, s->o.queue_notes, s->o.queue_bytes)) {
        rf_free(s->twice);
        return false;
    }
    if (!rf_bell_init(&s->bell)) {
        rf_queue_fini(&s->queue);
        rf_free(s->twice);
        return false;
    }
    pthread_mutex_init(&s->lock, NULL);
    return true;
}

void rf_sub_queue_fini(rpcfan_sub_t *s)
{
    struct rf_queue_item *it;
    struct rf_link *l;
    while ((it = rf_queue_take(&s->queue)) != NULL)
        free_item(RF_CONTAINER(it, struct rf_note_item, item));
    while ((l = rf_list_shift(&s->blocked)) != NULL)
        free_item(RF_CONTAINER(l, struct rf_note_item, item.link));
    rf_queue_fini(&s->queue);
    rf_bell_fini(&s->bell);
    pthread_mutex_destroy(&s->lock);
    rf_free(s->twice);
}
