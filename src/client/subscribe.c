/* subscribe.c - plain subscriptions.
 *
 * Happy path: rpcfan_subscribe() posts a command, the loop thread adds the subscription, and what
 * the engine tells goes into the queue (sub_queue.c); for Ethereum's heads and logs a feed stands
 * between, which fills gaps (feed/evm.h). Failure modes: no memory, or the client closes:
 * RPCFAN_NOTE_END; the node refuses: likewise, with its words. */
#include <string.h>

#include "base/mem.h"
#include "client/sub.h"
#include "client/note_read.h"
#include "json/rpc.h"

#define QUEUE_NOTES 65536
#define QUEUE_BYTES (64u * 1024 * 1024)

void rpcfan_sub_options_init(struct rpcfan_sub_options *o)
{
    *o = (struct rpcfan_sub_options){.size = sizeof *o,
                                     .overflow = RPCFAN_LATEST,
                                     .queue_notes = QUEUE_NOTES,
                                     .queue_bytes = QUEUE_BYTES,
                                     .copies = 1};
}

/* Ethereum's heads and logs: a feed between the engine and the queue. */

static void evm_call(void *arg, const struct rf_feed_call *call)
{
    rf_calls_make(&((rpcfan_sub_t *)arg)->calls, call);
}

static void evm_tell(void *arg, const struct rf_evm_told *told)
{
    rpcfan_sub_t *s = arg;
    struct rf_live_net *net = s->listener.net;
    struct rf_arrival a = {.note = {.kind = told->kind,
                                    .json = told->json,
                                    .slot = told->block,
                                    .endpoint = "",
                                    .why = told->why},
                           .blob = told->blob};
    if (told->endpoint != RF_EVM_FETCHED)
        a.note.endpoint = rf_live_endpoint(net, told->endpoint);
    if (told->kind == RPCFAN_NOTE_END)
        s->listener.sub = 0;
    rf_sub_deliver(s, &a);
}

/* Something happened to it: its step may be due, and its counter may have gone on. */
static void evm_moved(rpcfan_sub_t *s)
{
    struct rf_evm_counters c;
    rf_evm_count(s->evm, &c);
    rf_sub_count_twice(s, c.twice - s->evm_twice);
    s->evm_twice = c.twice;
    s->member.dirty = true;
    rf_live_touch(s->listener.net);
}

static void answered(void *owner, uint64_t token, const struct rf_feed_answer *a, uint64_t now_ns)
{
    rpcfan_sub_t *s = owner;
    rf_evm_answer(s->evm, token, a, now_ns);
    evm_moved(s);
}

static uint64_t step(struct rf_live_member *m, uint64_t now_ns)
{
    rpcfan_sub_t *s = RF_CONTAINER(m, struct rpcfan_sub, member);
    uint64_t due_ns = RF_NEVER;
    if (s->evm != NULL) {
        if (rf_calls_flush(&s->calls, now_ns))
            evm_moved(s);
        rf_evm_step(s->evm, now_ns);
        due_ns = rf_calls_late(&s->calls) ? now_ns + RF_MS : rf_evm_deadline(s->evm);
    }
    rf_sub_ring(s);
    return due_ns;
}

/* @return false: out of memory. */
static bool make_evm(rpcfan_sub_t *s, const struct rf_live_net *net, uint64_t now_ns)
{
    struct rpcfan_slice params = rf_text(s->o.params);
    if (s->family != RPCFAN_EVM || rf_evm_kind(s->o.method, params) == RF_EVM_NONE)
        return true;
    struct rf_evm_options o = {.method = s->o.method,
                               .params = params,
                               .seed = s->client->seed + net->network,
                               .log = &s->client->log,
                               .name = s->o.network};
    struct rf_evm_ops ops = {.arg = s, .call = evm_call, .tell = evm_tell};
    s->evm = rf_evm_new(&o, &ops, now_ns);
    return s->evm != NULL;
}

/* What the engine tells. */

static void came_up(rpcfan_sub_t *s, struct rf_arrival *a)
{
    if (s->up++ > 0)
        return;
    a->note.kind = RPCFAN_NOTE_UP;
    rf_sub_deliver(s, a);
}

static void went_down(rpcfan_sub_t *s, struct rf_arrival *a, const char *why)
{
    if (s->up > 0 && --s->up > 0)
        return;
    a->note.kind = RPCFAN_NOTE_GAP;
    a->note.why = why;
    rf_sub_deliver(s, a);
}

static void hear(rpcfan_sub_t *s, const struct rf_note *note)
{
    struct rf_listener *l = &s->listener;
    struct rf_arrival a = {.blob = note->blob};
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
        rf_sub_deliver(s, &a);
        break;
    case RF_NOTE_REFUSED:
        a.note.kind = RPCFAN_NOTE_END;
        a.note.json = note->json;
        l->sub = 0;
        rf_sub_deliver(s, &a);
        break;
    case RF_NOTE_SLOT:
    case RF_NOTE_ROOT:
    case RF_NOTE_SESSION_UP:
    case RF_NOTE_SESSION_DOWN:
        break;
    }
}

static void on_note(struct rf_listener *l, const struct rf_note *note, uint64_t now_ns)
{
    rpcfan_sub_t *s = l->owner;
    if (s->evm != NULL) {
        rf_evm_note(s->evm, note, now_ns);
        evm_moved(s);
    } else {
        hear(s, note);
    }
    rf_sub_hold(s, l->net, note->session);
}

/* Commands of other threads, run on the loop. */

/* Nothing more comes. */
static void end(rpcfan_sub_t *s, const char *why)
{
    struct rf_arrival a = {.note = {.kind = RPCFAN_NOTE_END, .endpoint = "", .why = why}};
    rf_sub_deliver(s, &a);
}

static void closed(struct rf_live_member *m)
{
    rpcfan_sub_t *s = RF_CONTAINER(m, struct rpcfan_sub, member);
    s->listener.sub = 0;
    rf_calls_drop(&s->calls);
    end(s, "the client is closed");
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
    if (!make_evm(s, net, now_ns) || !rf_live_add(net, &s->listener, &want, now_ns))
        end(s, "out of memory");
}

static void stop(struct rf_live_cmd *cmd, uint64_t now_ns)
{
    rpcfan_sub_t *s = RF_CONTAINER(cmd, struct rpcfan_sub, stop);
    rf_live_remove(&s->listener, now_ns);
    rf_list_remove(&s->member.link);
    rf_calls_drop(&s->calls);
    rf_sub_let_go(s);
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
    rf_sub_queue_fini(s);
    rf_evm_free(s->evm);
    rf_free((char *)s->o.network);
    rf_free((char *)s->o.method);
    rf_free((char *)s->o.params);
    rf_free(s);
}

/* A copy of a string that may be NULL. @return false: out of memory. */
static bool keep(const char **field)
{
    const char *text = *field;
    *field = rf_strdup(text);
    return text == NULL || *field != NULL;
}

static rpcfan_sub_t *make(rpcfan_client_t *c, const struct rpcfan_sub_options *o)
{
    rpcfan_sub_t *s = rf_alloc(sizeof *s);
    if (s == NULL)
        return NULL;
    s->client = c;
    s->o = *o;
    s->start.run = start;
    s->stop.run = stop;
    s->listener.note = on_note;
    s->listener.owner = s;
    s->member = (struct rf_live_member){.step = step, .closed = closed, .due_ns = RF_NEVER};
    bool whole = keep(&s->o.network);
    whole = keep(&s->o.method) && whole; /* each is then the subscription's own, or NULL */
    whole = keep(&s->o.params) && whole;
    s->calls =
        (struct rf_calls){.client = c, .network = s->o.network, .owner = s, .answered = answered};
    rf_calls_init(&s->calls);
    if (whole && rf_sub_queue_init(s))
        return s;
    rf_free((char *)s->o.network);
    rf_free((char *)s->o.method);
    rf_free((char *)s->o.params);
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

void rpcfan_unsubscribe(rpcfan_sub_t *sub)
{
    if (sub == NULL)
        return;
    if (rf_live_post(sub->client, &sub->stop))
        rf_live_wait(sub->client, &sub->stop);
    free_sub(sub);
}
