/* node_ws_subs.c - the subscriptions that the node serves itself: of the EVM chain, and of the
 * synthetic program. Called by node_rpc.c with a call, by node.c when something is due.
 *
 * Happy path: a call makes a subscription; each new head and each write is told to those who want
 * it, in the order of time: what was written in a slot comes before the next slot.
 * Failure modes: no WebSocket (-32601), unknown ids, `ws subscriptions=`; a head that is far ahead
 * (a machine that slept) is told without what lies between. */
#include <string.h>

#include "base/mem.h"
#include "sim/node_program.h"
#include "sim/node_ws.h"

#define BEHIND_MAX 4096 /* heads that are told one by one */
#define ROOT_DEPTH 32

static const struct {
    const char *name;
    enum rf_node_family family;
    int kind; /* -1: an end */
} methods[] = {
    {"eth_subscribe", RF_NODE_EVM, RF_SUB_HEADS},
    {"eth_unsubscribe", RF_NODE_EVM, -1},
    {"slotSubscribe", RF_NODE_SOLANA, RF_SUB_SLOT},
    {"rootSubscribe", RF_NODE_SOLANA, RF_SUB_ROOT},
    {"programSubscribe", RF_NODE_SOLANA, RF_SUB_PROGRAM},
    {"slotUnsubscribe", RF_NODE_SOLANA, -1},
    {"rootUnsubscribe", RF_NODE_SOLANA, -1},
    {"programUnsubscribe", RF_NODE_SOLANA, -1},
};

static bool is(struct rpcfan_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

static bool evm(const struct rf_node_sub *s)
{
    return s->kind <= RF_SUB_SYNCING;
}

void rf_node_sub_id(const struct rf_node *node, const struct rf_node_sub *s, struct rf_buf *out)
{
    if (!evm(s)) {
        rf_buf_u64(out, s->id);
    } else if (node->conf->ws.small_ids) {
        rf_node_quantity(out, s->id);
    } else {
        struct rf_node_digest d = {rf_node_mix(node->conf->seed, s->id),
                                   (uint64_t)(uintptr_t)s->ws->opened_ns};
        rf_buf_char(out, '"');
        rf_node_hex(out, d, 0, 16);
        rf_buf_char(out, '"');
    }
}

static void forget(struct rf_node_sub *s)
{
    struct rf_node *node = s->ws->c->node;
    rf_list_remove(&s->link);
    rf_list_remove(&s->all);
    s->ws->n_subs--;
    rf_node_bump(&node->stats.subscriptions, UINT64_MAX);
    rf_free(s);
}

void rf_node_subs_drop(struct rf_node_ws *ws)
{
    while (!rf_list_empty(&ws->subs))
        forget(RF_CONTAINER(ws->subs.next, struct rf_node_sub, link));
}

static enum rf_node_answer refuse(struct rf_buf *out, int64_t code, const char *text)
{
    rf_node_error(out, code, text, NULL);
    return RF_NODE_ERROR;
}

/* What was before is told to those who are there already, and to nobody else. */
static void begin_telling(struct rf_node *node, enum rf_node_sub_kind kind)
{
    uint64_t now_ns = node->work.now_ns;
    if (node->stats.subscriptions.v == 0)
        node->announced = rf_node_chain_at(node, now_ns).head;
    else
        rf_node_announce(node, now_ns);
    if (kind == RF_SUB_PROGRAM && rf_list_empty(&node->program_subs))
        node->written =
            rf_program_writes(&node->conf->program, rf_time_sub(now_ns, node->conf->began_ns));
}

static enum rf_node_answer add(struct rf_node *node, enum rf_node_sub_kind kind,
                               struct rpcfan_slice filter)
{
    struct rf_node_ws *ws = node->work.ws;
    struct rf_buf *out = &node->work.body;
    uint64_t max = node->conf->ws.subscriptions;
    if (max > 0 && ws->n_subs >= max)
        return refuse(out, -32603,
                      "Internal Error: Subscription refused. Node subscription limit reached");
    struct rf_node_sub *s = rf_alloc(sizeof *s + filter.len);
    if (s == NULL)
        return refuse(out, -32603, "out of memory");
    begin_telling(node, kind);
    s->kind = kind;
    s->ws = ws;
    s->id = node->conf->ws.small_ids ? ++ws->last_id : ++node->last_sub;
    s->from_ns = RF_NEVER;
    if (filter.len > 0)
        memcpy(s->text, filter.data, filter.len);
    s->filter = (struct rpcfan_slice){s->text, filter.len};
    rf_node_bump(&node->stats.subscriptions, 1);
    ws->n_subs++;
    rf_list_push(&ws->subs, &s->link);
    if (kind == RF_SUB_PROGRAM)
        rf_list_push(&node->program_subs, &s->all);
    rf_node_sub_id(node, s, out);
    rf_node_announce(node, node->work.now_ns); /* for its timer */
    return RF_NODE_RESULT;
}

/* eth_subscribe says in its first parameter what it is about. */
static enum rf_node_answer add_evm(struct rf_node *node, struct rpcfan_slice params)
{
    static const struct {
        const char *name;
        enum rf_node_sub_kind kind;
    } names[] = {{"\"newHeads\"", RF_SUB_HEADS},
                 {"\"logs\"", RF_SUB_LOGS},
                 {"\"newPendingTransactions\"", RF_SUB_PENDING},
                 {"\"syncing\"", RF_SUB_SYNCING}};
    struct rpcfan_slice name = rf_node_param(params, 0);
    for (size_t i = 0; i < RF_COUNT(names); i++)
        if (is(name, names[i].name))
            return add(node, names[i].kind, rf_node_param(params, 1));
    return refuse(&node->work.body, -32602, "no such subscription in eth namespace");
}

static enum rf_node_answer end(struct rf_node *node, struct rpcfan_slice id, bool evm_too)
{
    struct rf_node_ws *ws = node->work.ws;
    struct rf_buf text = {0};
    for (struct rf_link *l = ws->subs.next; l != &ws->subs; l = l->next) {
        struct rf_node_sub *s = RF_CONTAINER(l, struct rf_node_sub, link);
        rf_buf_reset(&text, RF_NODE_KEEP);
        rf_node_sub_id(node, s, &text);
        if (text.failed || text.len != id.len || memcmp(text.data, id.data, id.len) != 0)
            continue;
        rf_buf_fini(&text);
        forget(s);
        rf_buf_str(&node->work.body, "true");
        return RF_NODE_RESULT;
    }
    rf_buf_fini(&text);
    return evm_too ? refuse(&node->work.body, -32000, "subscription not found")
                   : refuse(&node->work.body, -32602, "Invalid subscription id.");
}

bool rf_node_subscribe(struct rf_node *node, const struct rf_node_member *m,
                       enum rf_node_answer *answer)
{
    size_t i = 0;
    while (i < RF_COUNT(methods) && !is(m->method, methods[i].name))
        i++;
    if (i == RF_COUNT(methods) || node->validator != NULL ||
        (methods[i].family & node->conf->chain.family) == 0 ||
        (methods[i].family == RF_NODE_SOLANA && node->conf->program.n == 0))
        return false;
    if (node->work.ws == NULL)
        *answer = refuse(&node->work.body, -32601, "notifications not supported");
    else if (methods[i].kind < 0)
        *answer = end(node, rf_node_param(m->params, 0), methods[i].family == RF_NODE_EVM);
    else if (methods[i].family == RF_NODE_EVM)
        *answer = add_evm(node, m->params);
    else
        *answer = add(node, (enum rf_node_sub_kind)methods[i].kind, rf_node_param(m->params, 0));
    return true;
}

struct rf_buf *rf_node_note(struct rf_node *node, const char *method)
{
    struct rf_buf *out = &node->note;
    rf_buf_reset(out, RF_NODE_KEEP);
    rf_buf_str(out, "{\"jsonrpc\":\"2.0\",\"method\":\"");
    rf_buf_str(out, method);
    rf_buf_str(out, "\",\"params\":{\"result\":");
    return out;
}

void rf_node_note_send(struct rf_node *node, struct rf_node_ws *ws, struct rf_node_sub *s,
                       uint64_t now_ns)
{
    struct rf_buf *out = &node->note;
    size_t at = out->len;
    rf_buf_str(out, ",\"subscription\":");
    rf_node_sub_id(node, s, out);
    rf_buf_str(out, "}}");
    if (out->failed)
        rf_node_ws_end(ws, RF_WS_END_RESET, 0, NULL);
    else if (s->from_ns <= now_ns && rf_heap_next(&ws->later) > now_ns)
        rf_node_ws_deliver(ws, out->data, out->len, now_ns);
    else
        rf_node_ws_send(ws, out->data, out->len, rf_max_u64(now_ns, s->from_ns));
    out->len = at; /* the next subscriber gets the same with another id */
}

static void tell_slot(struct rf_node *node, struct rf_node_sub *s, uint64_t slot, uint64_t now_ns)
{
    bool root = s->kind == RF_SUB_ROOT;
    struct rf_buf *out = rf_node_note(node, root ? "rootNotification" : "slotNotification");
    if (root)
        rf_buf_u64(out, rf_time_sub(slot, ROOT_DEPTH));
    else
        rf_buf_printf(out, "{\"parent\":%llu,\"root\":%llu,\"slot\":%llu}",
                      (unsigned long long)(slot - 1),
                      (unsigned long long)rf_time_sub(slot, ROOT_DEPTH), (unsigned long long)slot);
    rf_node_note_send(node, s->ws, s, now_ns);
}

static void tell_head(struct rf_node *node, const struct rf_node_chain *chain, uint64_t now_ns)
{
    for (struct rf_link *c = node->conns.next, *next; c != &node->conns; c = next) {
        struct rf_node_ws *ws = RF_CONTAINER(c, struct rf_node_conn, link)->ws;
        next = c->next;
        if (ws == NULL || ws->n_subs == 0)
            continue;
        for (struct rf_link *l = ws->subs.next; l != &ws->subs; l = l->next) {
            struct rf_node_sub *s = RF_CONTAINER(l, struct rf_node_sub, link);
            if (evm(s))
                rf_node_evm_announce(node, s, chain, now_ns);
            else if (s->kind != RF_SUB_PROGRAM)
                tell_slot(node, s, chain->head, now_ns);
        }
    }
}

static void tell_write(struct rf_node *node, uint64_t k, uint64_t slot, uint64_t now_ns)
{
    const struct rf_node_program_conf *p = &node->conf->program;
    struct rf_buf *out = rf_node_note(node, "programNotification");
    rf_buf_str(out, "{\"context\":{\"slot\":");
    rf_buf_u64(out, slot);
    rf_buf_str(out, "},\"value\":{\"account\":");
    rf_program_account(p, k % p->n, rf_program_version(p, k % p->n, k + 1), 0, UINT64_MAX, out);
    rf_buf_str(out, ",\"pubkey\":");
    rf_program_key_text(k % p->n, out);
    rf_buf_str(out, "}}");
    for (struct rf_link *l = node->program_subs.next; l != &node->program_subs; l = l->next) {
        struct rf_node_sub *s = RF_CONTAINER(l, struct rf_node_sub, all);
        if (s->filter.len == strlen(p->key) + 2 &&
            memcmp(s->filter.data + 1, p->key, s->filter.len - 2) == 0)
            rf_node_note_send(node, s->ws, s, now_ns);
    }
}

/* Writes that were made by an age of the script, all of one slot. */
static void tell_writes(struct rf_node *node, uint64_t age_ns, uint64_t slot, uint64_t now_ns)
{
    uint64_t made = rf_program_writes(&node->conf->program, age_ns);
    for (; node->written < made; node->written++)
        tell_write(node, node->written, slot, now_ns);
}

void rf_node_announce_reset(struct rf_node *node)
{
    uint64_t now_ns = uv_hrtime();
    node->announced = rf_node_chain_at(node, now_ns).head;
    node->written =
        rf_program_writes(&node->conf->program, rf_time_sub(now_ns, node->conf->began_ns));
}

/* When the head becomes `head`. */
static uint64_t head_ns(const struct rf_node *node, uint64_t head)
{
    const struct rf_node_conf *conf = node->conf;
    return conf->block_ns == 0
               ? RF_NEVER
               : rf_time_add(node->began_ns, (head - conf->chain.head) * conf->block_ns);
}

void rf_node_announce(struct rf_node *node, uint64_t now_ns)
{
    const struct rf_node_conf *conf = node->conf;
    struct rf_node_chain chain = rf_node_chain_at(node, now_ns);
    bool writes = conf->program.writes > 0 && !rf_list_empty(&node->program_subs);
    uint64_t head = chain.head;
    rf_heap_remove(&node->heap, &node->announce_timer);
    if (node->stats.subscriptions.v == 0)
        return;
    if (head > node->announced + BEHIND_MAX)
        node->announced = head - 1;
    while (node->announced < head) {
        chain.head = node->announced + 1;
        /* A write at the very moment belongs to the new slot. */
        uint64_t age_ns = rf_time_sub(head_ns(node, chain.head) - 1, conf->began_ns);
        if (writes)
            tell_writes(node, age_ns, node->announced, now_ns);
        node->announced = chain.head;
        tell_head(node, &chain, now_ns);
    }
    uint64_t next_ns = head_ns(node, head + 1);
    if (writes) {
        tell_writes(node, rf_time_sub(now_ns, conf->began_ns), head, now_ns);
        next_ns =
            rf_min_u64(next_ns, rf_time_add(conf->began_ns,
                                            rf_program_write_ns(&conf->program, node->written)));
    }
    if (next_ns != RF_NEVER)
        rf_node_timer_set(node, &node->announce_timer, next_ns);
}
