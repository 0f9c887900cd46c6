/* live.c - WebSocket connections and a subscription engine for each network in the client's turn.
 *
 * Happy path: a command from another thread adds a subscription; the engine asks for a connection,
 * net/ws makes it, its messages go to the engine during the poll, and the engine tells the
 * listeners; what became due is done once in the turn behind it. Failure modes: no memory for an
 * engine: the subscription ends with that error; the client closes: listeners hear of it, engines
 * are freed, and the connections are closed before the last handle. */
#include "client/live.h"

#include "base/mem.h"

/* An engine counts its sessions from 1; the network stands above. */
#define SESSION_BITS 48
#define SESSION_MASK ((UINT64_C(1) << SESSION_BITS) - 1)
#define PASSES 4 /* a turn's rounds at most: what members and engines make each other do */

static void touch(struct rf_live *live)
{
    live->client->dirty = true;
}

void rf_live_touch(struct rf_live_net *net)
{
    net->dirty = true;
    touch(net->live);
}

/* What the engine does to the world. */

static uint64_t wire_name(const struct rf_live_net *net, uint64_t session)
{
    return (uint64_t)net->network << SESSION_BITS | (session & SESSION_MASK);
}

static void open_session(void *arg, uint32_t endpoint, uint64_t session)
{
    struct rf_live_net *net = arg;
    rf_ws_open(net->live->ws, net->endpoint[endpoint], wire_name(net, session));
}

static void send_text(void *arg, uint64_t session, const char *text, size_t len)
{
    struct rf_live_net *net = arg;
    rf_ws_send(net->live->ws, wire_name(net, session), text, len);
}

static void close_session(void *arg, uint64_t session)
{
    struct rf_live_net *net = arg;
    rf_ws_close(net->live->ws, wire_name(net, session));
}

static void tell(void *arg, const struct rf_note *note)
{
    struct rf_live_net *net = arg;
    uint64_t now_ns = uv_hrtime();
    net->dirty = true;
    if (note->sub != 0) {
        struct rf_listener *l = (struct rf_listener *)(uintptr_t)note->tag;
        l->note(l, note, now_ns);
        return;
    }
    for (struct rf_link *l = net->members.next; l != &net->members; l = l->next) {
        struct rf_live_member *m = RF_CONTAINER(l, struct rf_live_member, link);
        if (m->session != NULL)
            m->session(m, note, now_ns);
    }
}

/* What comes from the wire. */
static void on_ws(const struct rf_ws_event *ev, void *arg)
{
    struct rf_live *live = arg;
    struct rf_live_net *net = live->net[ev->session >> SESSION_BITS];
    uint64_t session = ev->session & SESSION_MASK, now_ns = uv_hrtime();
    touch(live);
    if (net == NULL || live->closing)
        return;
    net->dirty = true;
    switch (ev->kind) {
    case RF_WS_OPENED:
        rf_subs_opened(net->subs, session, now_ns);
        break;
    case RF_WS_MESSAGE:
        rf_subs_message(net->subs, session, ev->blob, now_ns);
        break;
    case RF_WS_LOST:
        rf_subs_lost(net->subs, session, ev->why, now_ns);
        break;
    case RF_WS_CLOSED: {
        struct rf_subs_end end = {
            .status = ev->status, .retry_after_ns = ev->retry_after_ns, .why = ev->why};
        rf_subs_closed(net->subs, session, &end, now_ns);
        break;
    }
    }
}

enum rpcfan_err rf_live_new(rpcfan_client_t *c, struct rpcfan_error *err)
{
    struct rf_live *live = rf_alloc(sizeof *live);
    if (live == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    live->client = c;
    c->live = live;
    live->armed_ns = RF_NEVER;
    live->net = rf_alloc(c->n_networks * sizeof live->net[0]);
    if (live->net == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    struct rf_ws_options o = {
        .loop = c->loop,
        .endpoints = (const struct rpcfan_endpoint_options *const *)c->endpoint,
        .n_endpoints = c->n_endpoints,
        .event = on_ws,
        .arg = live,
        .log = &c->log,
    };
    return rf_ws_new(&o, &live->ws, err);
}

static void on_timer(uv_timer_t *h)
{
    struct rf_live *live = h->data;
    live->armed_ns = RF_NEVER;
    touch(live);
}

void rf_live_start(struct rf_live *live)
{
    uv_timer_init(live->client->loop, &live->timer);
    live->timer.data = live;
    uv_unref((uv_handle_t *)&live->timer);
}

static void free_net(struct rf_live_net *net)
{
    if (net == NULL)
        return;
    rf_subs_free(net->subs);
    rf_free(net->endpoint);
    rf_free(net);
}

void rf_live_free(struct rf_live *live)
{
    if (live == NULL)
        return;
    for (uint32_t i = 0; live->net != NULL && i < live->client->n_networks; i++)
        free_net(live->net[i]);
    rf_ws_free(live->ws);
    rf_free(live->net);
    rf_free(live);
}

/* Engines. */

/* The endpoints of a network that can be subscribed to, by the client's index. @return how many. */
static uint32_t list_endpoints(const rpcfan_client_t *c, uint32_t network, uint32_t *out)
{
    uint32_t n = 0;
    for (uint32_t i = c->network[network].first; i < c->network[network].end; i++) {
        if (rf_ws_has(c->live->ws, i, NULL)) {
            if (out != NULL)
                out[n] = i;
            n++;
        }
    }
    return n;
}

bool rf_live_can(const rpcfan_client_t *c, uint32_t network)
{
    return list_endpoints(c, network, NULL) > 0;
}

static struct rf_subs *make_engine(struct rf_live_net *net)
{
    rpcfan_client_t *c = net->live->client;
    const struct rf_client_network *network = &c->network[net->network];
    struct rf_subs_endpoint *ep = rf_alloc((net->n_endpoints + 1) * sizeof *ep);
    if (ep == NULL)
        return NULL;
    for (uint32_t i = 0; i < net->n_endpoints; i++) {
        const struct rpcfan_endpoint_options *o = c->endpoint[net->endpoint[i]];
        ep[i] = (struct rf_subs_endpoint){
            .name = rf_core_endpoint_name(c->core, net->endpoint[i]),
            .subs_per_conn = o->ws_subs,
            .conns = o->ws_conns,
            .per_s = o->ws_per_s,
            .priority = o->priority,
            .lifetime_ns = rf_ms_ns(o->ws_lifetime_ms),
            .retry_ns = rf_ms_ns(o->ws_retry_ms),
        };
    }
    struct rf_subs_options o = {.family = network->family,
                                .endpoint = ep,
                                .n_endpoints = net->n_endpoints,
                                .heartbeat = network->family == RPCFAN_SOLANA,
                                .roots = network->family == RPCFAN_SOLANA,
                                .seed = c->seed + net->network,
                                .log = &c->log};
    struct rf_subs_ops ops = {
        .arg = net, .open = open_session, .send = send_text, .close = close_session, .note = tell};
    struct rf_subs *subs = rf_subs_new(&o, &ops, uv_hrtime());
    rf_free(ep);
    return subs;
}

struct rf_live_net *rf_live_net(rpcfan_client_t *c, uint32_t network)
{
    struct rf_live *live = c->live;
    if (live->net[network] != NULL)
        return live->net[network];
    struct rf_live_net *net = rf_alloc(sizeof *net);
    if (net == NULL)
        return NULL;
    net->live = live;
    net->network = network;
    rf_list_init(&net->members);
    net->endpoint = rf_alloc(c->n_endpoints * sizeof net->endpoint[0]);
    if (net->endpoint != NULL) {
        net->n_endpoints = list_endpoints(c, network, net->endpoint);
        net->subs = make_engine(net);
    }
    if (net->subs == NULL) {
        free_net(net);
        return NULL;
    }
    live->net[network] = net;
    return net;
}

bool rf_live_add(struct rf_live_net *net, struct rf_listener *l, const struct rf_subs_want *w,
                 uint64_t now_ns)
{
    struct rf_subs_want want = *w;
    want.tag = (uint64_t)(uintptr_t)l;
    l->net = net;
    l->sub = rf_subs_add(net->subs, &want, now_ns);
    rf_live_touch(net);
    return l->sub != 0;
}

void rf_live_remove(struct rf_listener *l, uint64_t now_ns)
{
    if (l->sub == 0)
        return;
    rf_subs_remove(l->net->subs, l->sub, now_ns);
    l->sub = 0;
    rf_live_touch(l->net);
}

void rf_live_join(struct rf_live_net *net, struct rf_live_member *m)
{
    rf_list_push(&net->members, &m->link);
    m->dirty = true;
    rf_live_touch(net);
}

const char *rf_live_endpoint(const struct rf_live_net *net, uint32_t endpoint)
{
    return rf_core_endpoint_name(net->live->client->core, net->endpoint[endpoint]);
}

void rf_live_pause(struct rf_live_net *net, uint64_t session, bool pause)
{
    rf_ws_pause(net->live->ws, wire_name(net, session), pause);
}

/* The turn. */

/* One round of a network. @return whether there may be more to do. */
static bool step_net(struct rf_live_net *net, uint64_t now_ns)
{
    bool any = false;
    if (net->dirty || rf_subs_deadline(net->subs) <= now_ns) {
        net->dirty = false;
        rf_subs_step(net->subs, now_ns);
        any = true;
    }
    struct rf_link *next;
    for (struct rf_link *l = net->members.next; l != &net->members; l = next) {
        struct rf_live_member *m = RF_CONTAINER(l, struct rf_live_member, link);
        next = l->next;
        if (!m->dirty && m->due_ns > now_ns)
            continue;
        m->dirty = false;
        m->due_ns = m->step(m, now_ns);
        any = true;
    }
    return any && net->dirty;
}

static uint64_t due(const struct rf_live_net *net)
{
    uint64_t at_ns = net->dirty ? 0 : rf_subs_deadline(net->subs);
    for (struct rf_link *l = net->members.next; l != &net->members; l = l->next) {
        const struct rf_live_member *m = RF_CONTAINER(l, struct rf_live_member, link);
        at_ns = rf_min_u64(at_ns, m->dirty ? 0 : m->due_ns);
    }
    return at_ns;
}

static void arm(struct rf_live *live, uint64_t at_ns, uint64_t now_ns)
{
    if (at_ns == live->armed_ns)
        return;
    live->armed_ns = at_ns;
    if (at_ns == RF_NEVER) {
        uv_timer_stop(&live->timer);
        return;
    }
    uv_update_time(live->client->loop);
    uv_timer_start(&live->timer, on_timer, (rf_time_sub(at_ns, now_ns) + RF_MS - 1) / RF_MS, 0);
}

static void run_commands(struct rf_live *live, uint64_t now_ns)
{
    struct rf_inbox *in = &live->client->in;
    pthread_mutex_lock(&in->lock);
    struct rf_link *l;
    while ((l = rf_list_shift(&in->commands)) != NULL) {
        struct rf_live_cmd *cmd = RF_CONTAINER(l, struct rf_live_cmd, link);
        pthread_mutex_unlock(&in->lock);
        cmd->run(cmd, now_ns);
        pthread_mutex_lock(&in->lock);
        cmd->done = true;
        pthread_cond_broadcast(&in->status);
    }
    pthread_mutex_unlock(&in->lock);
}

void rf_live_turn(struct rf_live *live, uint64_t now_ns)
{
    run_commands(live, now_ns);
    if (live->closing)
        return;
    uint64_t at_ns = RF_NEVER;
    for (uint32_t i = 0; i < live->client->n_networks; i++) {
        struct rf_live_net *net = live->net[i];
        if (net == NULL)
            continue;
        for (unsigned pass = 0; pass < PASSES && step_net(net, now_ns); pass++)
            ;
        at_ns = rf_min_u64(at_ns, due(net));
    }
    arm(live, at_ns, now_ns);
}

void rf_live_close(struct rf_live *live, void (*cb)(void *arg), void *arg)
{
    live->closing = true;
    uv_timer_stop(&live->timer);
    for (uint32_t i = 0; i < live->client->n_networks; i++) {
        struct rf_live_net *net = live->net[i];
        struct rf_link *l;
        while (net != NULL && (l = rf_list_shift(&net->members)) != NULL) {
            struct rf_live_member *m = RF_CONTAINER(l, struct rf_live_member, link);
            m->closed(m);
        }
    }
    rf_ws_shutdown(live->ws, cb, arg);
}

/* Commands. */

bool rf_live_post(rpcfan_client_t *c, struct rf_live_cmd *cmd)
{
    struct rf_inbox *in = &c->in;
    bool here = rf_client_on_loop(c);
    pthread_mutex_lock(&in->lock);
    bool open = in->async_open;
    if (open && !here && cmd->link.next == NULL) {
        cmd->done = false;
        rf_list_push(&in->commands, &cmd->link);
        rf_client_wake(c);
    }
    pthread_mutex_unlock(&in->lock);
    if (open && here) {
        cmd->run(cmd, uv_hrtime());
        cmd->done = true;
        c->dirty = true;
    }
    return open;
}

void rf_live_wait(rpcfan_client_t *c, struct rf_live_cmd *cmd)
{
    struct rf_inbox *in = &c->in;
    pthread_mutex_lock(&in->lock);
    while (!cmd->done)
        pthread_cond_wait(&in->status, &in->lock);
    pthread_mutex_unlock(&in->lock);
}

void rf_live_status(const rpcfan_client_t *c, uint64_t now_ns, struct rf_buf *b)
{
    bool first = true;
    rf_buf_str(b, ",\"subscriptions\":[");
    for (uint32_t i = 0; i < c->n_networks; i++) {
        if (c->live->net[i] == NULL)
            continue;
        if (!first)
            rf_buf_char(b, ',');
        first = false;
        rf_subs_status(c->live->net[i]->subs, now_ns, b);
    }
    rf_buf_char(b, ']');
}
