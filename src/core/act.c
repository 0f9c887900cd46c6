/* act.c - what a verdict does to one call.
 *
 * A throttle or a batch refusal is about the endpoint: the call goes again and no try is counted. A
 * failure costs a try and a share of the retry budget, one token for all calls of an exchange.
 * Where the budget is empty the call waits for it as long as others succeed; while nothing succeeds
 * it fails at once, so that a dead provider is not hammered. */
#include <stdio.h>

#include "core/gather.h"
#include "core/need.h"
#include "core/plan.h"
#include "core/queue.h"
#include "core/route.h"
#include "core/settle.h"
#include "policy/backoff.h"

#define REQUEUES_MAX 8
#define NEAR_TIP 64   /* a block that is missing further down is pruned, and no lag */
#define MAYBE_DEPTH 3 /* splits on a mere suspicion */
#define LATERS_MAX 50
#define LATER_NS (400 * RF_MS)
#define LATER_MAX_NS (10 * RF_SEC)

static void explain(struct rf_settle *s, struct rf_call *c, const struct rf_verdict *v)
{
    const struct rf_reply *r = &s->ex->reply;
    if (r->transport != RF_T_OK)
        rf_call_explain(c, "%s: %s", s->ep->name,
                        r->reason != NULL ? r->reason : rf_class_name(v->class));
    else
        rf_call_explain(c,
                        r->status == 404 ? "%s: HTTP %d, %s (rule %s): check the URL's path"
                                         : "%s: HTTP %d, %s (rule %s)",
                        s->ep->name, r->status, rf_class_name(v->class), v->rule);
}

/* The call ends with what the node said. */
static void deliver(struct rf_settle *s, struct rf_call *c, const struct rf_verdict *v,
                    struct rpcfan_slice error)
{
    if (error.len > 0) {
        c->blob = s->ex->reply.blob;
        s->shares++;
        c->json = error.data;
        c->json_len = error.len;
    }
    enum rpcfan_err err = rf_class_err(v->class);
    if (error.len == 0 && err == RPCFAN_ERPC)
        err = RPCFAN_EMALFORMED;
    if (err == RPCFAN_ETIMEOUT && s->now_ns >= c->deadline_ns)
        err = RPCFAN_EDEADLINE; /* the attempt was cut short by the call's own deadline */
    rf_call_finish(s->core, c, err, s->now_ns);
}

/* Bits of endpoints that a call has tried in vain. */
static void mark_tried(struct rf_settle *s, struct rf_call *c)
{
    c->tried |= UINT64_C(1) << s->ep->index;
}

static bool may_resend(const struct rf_call *c, const struct rf_verdict *v)
{
    return !c->once || v->class == RF_CLASS_CONNECT;
}

static bool have_token(struct rf_settle *s)
{
    if (!s->token_asked) {
        s->token = rf_budget_take(&s->net->budget);
        s->token_asked = true;
    }
    return s->token;
}

/* When a call that failed goes again: at once where another endpoint can serve, else after a
 * jittered wait that all calls of the exchange share, so that they leave as one batch again. */
static uint64_t retry_time(struct rf_settle *s, const struct rf_call *c, const struct rf_verdict *v,
                           bool other)
{
    if (other)
        return s->now_ns;
    if (s->retry_at_ns == 0) {
        uint64_t wait = rf_backoff_full_jitter(RF_BACKOFF_BASE_NS, RF_BACKOFF_CAP_NS,
                                               c->tries > 0 ? c->tries - 1u : 0u, &s->core->rng);
        if (v->hint_ns != RF_NEVER)
            wait = rf_max_u64(wait, v->hint_ns);
        s->retry_at_ns = rf_time_add(s->now_ns, wait);
    }
    return s->retry_at_ns;
}

/* What never reached a node that has worked before costs no try: the breaker sees to it that an
 * outage is not hammered, and the deadline ends the wait. */
static bool counts(const struct rf_network *net, const struct rf_verdict *v)
{
    return v->class != RF_CLASS_CONNECT || net->last_success_ns == 0 || net->attempts == 1;
}

static void retry(struct rf_settle *s, struct rf_call *c, const struct rf_verdict *v,
                  struct rpcfan_slice error)
{
    struct rf_network *net = s->net;
    bool other = rf_route_has_ready(net, c, s->now_ns);
    if (v->class == RF_CLASS_CONNECT && other && !c->moved_free) {
        c->moved_free = true;
        rf_call_queue(s->core, c, RF_QUEUE_RETRY, s->now_ns);
        return;
    }
    if (counts(net, v) && c->tries < UINT8_MAX)
        c->tries++;
    if (s->ex->n > 1 && c->tries >= 2)
        c->batch_max = (s->ex->n + 1) / 2; /* isolate a call that poisons its batch */
    uint64_t at = retry_time(s, c, v, other);
    uint64_t rtt = rf_hist_quantile(&s->ep->latency, 500);
    if (!may_resend(c, v) || c->tries >= net->attempts || rf_gather_gives_up(c, error) ||
        rf_time_add(at, rtt) >= c->deadline_ns) {
        deliver(s, c, v, error);
        return;
    }
    c->err = rf_class_err(v->class);
    c->needs_token = !rf_endpoint_all_guarded(net, s->now_ns) && !have_token(s);
    c->token_group = s->ex->id_base;
    if (!c->needs_token) {
        net->retried++;
        if (at == s->now_ns)
            rf_call_queue(s->core, c, RF_QUEUE_RETRY, s->now_ns);
        else
            rf_call_delay(s->core, c, at, s->now_ns);
    } else if (rf_queue_alive(net, s->now_ns)) {
        rf_call_delay(s->core, c, rf_max_u64(at, s->now_ns + 1), s->now_ns);
    } else {
        deliver(s, c, v, error);
    }
}

/* Refused for rate: the pause belongs to the endpoint, the call keeps its place. */
static void requeue(struct rf_settle *s, struct rf_call *c, const struct rf_verdict *v,
                    struct rpcfan_slice error)
{
    c->requeues++;
    uint64_t wait = v->hint_ns == RF_NEVER ? 0 : v->hint_ns;
    bool other = s->net->n_ep > 1;
    if (c->requeues > REQUEUES_MAX || (!other && rf_time_add(s->now_ns, wait) >= c->deadline_ns))
        deliver(s, c, v, error);
    else
        rf_call_queue(s->core, c, RF_QUEUE_RETRY_FIRST, s->now_ns);
}

static void split_batch(struct rf_settle *s, struct rf_call *c, const struct rf_verdict *v,
                        struct rpcfan_slice error)
{
    if (s->ex->n <= 1) {
        deliver(s, c, v, error);
        return;
    }
    c->batch_max = (s->ex->n + 1) / 2;
    rf_call_queue(s->core, c, RF_QUEUE_RETRY_FIRST, s->now_ns);
}

/* What the refusal says about the node: that it lacks the method, or that it lags. */
static void note_lack(struct rf_settle *s, const struct rf_call *c, const struct rf_verdict *v,
                      struct rpcfan_slice error)
{
    struct rf_network *net = s->net;
    uint64_t head;
    if (v->class == RF_CLASS_UNSUPPORTED && c->method_ix != RF_METHOD_NONE) {
        struct rf_method *m = &net->method[c->method_ix];
        if (s->now_ns >= m->absent_until_ns)
            m->absent = 0;
        m->absent |= UINT64_C(1) << s->ep->index;
        m->absent_until_ns = s->now_ns + RF_ABSENT_NS;
    }
    rf_gather_told(s->ep, c, v, s->ex->n == 1);
    if (net->n_ep < 2)
        return;
    if (rf_need_head_in_error(net->family, error, &head))
        rf_fresh_answered(&net->fresh, s->ep->index, head, s->ex->sent_ns, s->now_ns);
    else if (v->class == RF_CLASS_BEHIND)
        rf_fresh_behind(&net->fresh, s->ep->index, v->behind, s->now_ns);
    else if (v->class == RF_CLASS_MISSING && c->need == RF_NEED_BLOCK &&
             c->need_at <= rf_fresh_best(&net->fresh) &&
             rf_time_add(c->need_at, NEAR_TIP) > rf_fresh_best(&net->fresh))
        rf_fresh_behind(&net->fresh, s->ep->index, 0, s->now_ns);
}

static uint32_t count_bits(uint64_t mask)
{
    uint32_t n = 0;
    for (; mask != 0; mask &= mask - 1)
        n++;
    return n;
}

static void elsewhere(struct rf_settle *s, struct rf_call *c, const struct rf_verdict *v,
                      struct rpcfan_slice error)
{
    bool confirmed = v->class == RF_CLASS_SKIPPED && count_bits(c->away) > 1;
    if (!c->once && !confirmed && !v->sender && rf_route_has_other(s->net, c, s->now_ns))
        rf_call_queue(s->core, c, RF_QUEUE_RETRY, s->now_ns);
    else
        deliver(s, c, v, error);
}

/* Not there yet: another node may have it; else the same one will in a moment. */
static void later(struct rf_settle *s, struct rf_call *c, const struct rf_verdict *v,
                  struct rpcfan_slice error)
{
    if (c->once || rf_route_has_ready(s->net, c, s->now_ns)) {
        elsewhere(s, c, v, error);
        return;
    }
    uint64_t wait = v->again_ns == RF_NEVER || v->again_ns == 0 ? LATER_NS : v->again_ns;
    uint64_t at = rf_time_add(s->now_ns, rf_min_u64(wait, LATER_MAX_NS));
    if (++c->laters > LATERS_MAX || at >= c->deadline_ns) {
        deliver(s, c, v, error);
        return;
    }
    c->tried = c->away = 0; /* whoever sent it away may have it by then */
    rf_call_delay(s->core, c, at, s->now_ns);
}

/* What a raw send or a splittable call makes of an error that would else be its answer.
 * @return whether it is taken care of. */
static bool turned(struct rf_settle *s, struct rf_call *c, const struct rf_verdict *v,
                   struct rpcfan_slice error)
{
    switch (v->class) {
    case RF_CLASS_TX_KNOWN:
        return rf_send_known(s->core, c, s->now_ns);
    case RF_CLASS_TX_NONCE:
        return rf_send_lookup(s->core, c, s->ex->reply.blob, error, s->now_ns);
    case RF_CLASS_SPLIT_RANGE:
    case RF_CLASS_SPLIT_FILTER:
        return rf_split_refused(s->core, c, s->ep, v, s->now_ns);
    case RF_CLASS_TOO_BIG:
        return s->ex->n == 1 && rf_split_refused(s->core, c, s->ep, v, s->now_ns);
    default: /* a node that gave up on it may manage less */
        return v->maybe_range && c->tries == 0 && c->depth < MAYBE_DEPTH &&
               rf_split_refused(s->core, c, s->ep, v, s->now_ns);
    }
}

void rf_act(struct rf_settle *s, struct rf_call *c, const struct rf_verdict *v,
            struct rpcfan_slice error)
{
    c->endpoint = s->ep->name;
    enum rf_action action = rf_class_action(v->class);
    if (action != RF_ACT_DELIVER || error.len == 0)
        explain(s, c, v);
    if (v->class == RF_CLASS_ABORTED) {
        rf_call_finish(s->core, c, RPCFAN_ECANCELED, s->now_ns);
        return;
    }
    if (turned(s, c, v, error))
        return;
    note_lack(s, c, v, error);
    switch (action) {
    case RF_ACT_DELIVER:
        deliver(s, c, v, error);
        break;
    case RF_ACT_REQUEUE:
        requeue(s, c, v, error);
        break;
    case RF_ACT_SPLIT:
        split_batch(s, c, v, error);
        break;
    case RF_ACT_BENCH:
    case RF_ACT_ELSEWHERE:
        mark_tried(s, c);
        c->away |= UINT64_C(1) << s->ep->index;
        elsewhere(s, c, v, error);
        break;
    case RF_ACT_LATER:
        mark_tried(s, c);
        c->away |= UINT64_C(1) << s->ep->index;
        later(s, c, v, error);
        break;
    case RF_ACT_RETRY:
        mark_tried(s, c);
        retry(s, c, v, error);
        break;
    }
    rf_fan_stumbled(s->core, c, s->now_ns);
}
