/* route.c - narrows the endpoints of a network down to the one an exchange goes to.
 *
 * Happy path: of the endpoints that can serve, those of the best priority; of these, two are drawn
 * and the one with less expected delay wins. Failure modes: what failed is asked with one call at a
 * time while others serve, because nothing else would ever find out that it is back; where none
 * can serve, the one that will be back first is waited for; a node that is known to lack the
 * method or the block is only asked where no other can be. */
#include "core/route.h"

#include "core/endpoint.h"
#include "core/need.h"
#include "policy/choose.h"

static uint64_t bit_of(uint32_t i)
{
    return UINT64_C(1) << i;
}

/* Whether it could take a call now or as soon as a slot or a window is free. */
static bool open_now(const struct rf_endpoint *ep, uint64_t now_ns)
{
    bool probed = ep->breaker.state == RF_BREAKER_HALF_OPEN && now_ns < ep->breaker.probe_until_ns;
    return now_ns >= rf_endpoint_paused_until(ep) && !probed;
}

/* Endpoints of a network: not benched; of these, with no open breaker; of these, able to take a
 * call now or as soon as there is room. */
struct sets {
    uint64_t unbenched, usable, ready;
};

static struct sets look(const struct rf_network *net, uint64_t only, uint64_t now_ns)
{
    struct sets is = {0};
    for (uint32_t i = 0; i < net->n_ep; i++) {
        const struct rf_endpoint *ep = &net->ep[i];
        if (only != 0 && (only & bit_of(i)) == 0)
            continue;
        if (now_ns >= ep->bench_until_ns)
            is.unbenched |= bit_of(i);
        if (!rf_endpoint_usable(ep, now_ns))
            continue;
        is.usable |= bit_of(i);
        if (open_now(ep, now_ns))
            is.ready |= bit_of(i);
    }
    return is;
}

/* Of the usable endpoints, those that have what a call needs as far as is known. */
static uint64_t suited(const struct rf_network *net, const struct rf_call *c, uint64_t usable,
                       uint64_t now_ns)
{
    uint64_t in = usable & ~c->away;
    if (net->n_ep == 1)
        return in;
    if (c->method_ix != RF_METHOD_NONE) {
        const struct rf_method *m = &net->method[c->method_ix];
        if (now_ns < m->absent_until_ns)
            in &= ~m->absent;
    }
    if (c->need == RF_NEED_TIP)
        in &= ~rf_fresh_lagging(&net->fresh, now_ns);
    else if (c->need != RF_NEED_NONE)
        in = rf_fresh_has(&net->fresh, in, c->need_at, now_ns);
    return in;
}

uint64_t rf_route_candidates(const struct rf_network *net, const struct rf_call *c, uint64_t now_ns)
{
    struct sets is = look(net, c->only, now_ns);
    uint64_t best = suited(net, c, is.usable, now_ns);
    if (best != 0) {
        is.usable &= best;
        is.ready &= best;
    }
    if ((is.ready & ~c->tried) != 0)
        return is.ready & ~c->tried;
    if ((is.ready & ~c->away) != 0)
        return is.ready & ~c->away;
    if ((is.usable & ~c->away) != 0)
        return is.usable & ~c->away;
    return is.usable != 0 ? is.usable : is.unbenched;
}

bool rf_route_has_ready(const struct rf_network *net, const struct rf_call *c, uint64_t now_ns)
{
    return (look(net, c->only, now_ns).ready & ~c->tried) != 0;
}

bool rf_route_has_other(const struct rf_network *net, const struct rf_call *c, uint64_t now_ns)
{
    return (look(net, c->only, now_ns).usable & ~c->tried) != 0;
}

uint64_t rf_route_usable(const struct rf_network *net, uint64_t now_ns)
{
    return look(net, 0, now_ns).usable;
}

static bool serving(const struct rf_endpoint *ep, uint64_t now_ns)
{
    return now_ns >= rf_endpoint_paused_until(ep) && ep->fail_streak == 0;
}

/* The best priority among the candidates that can serve now; UINT32_MAX where none can. */
static uint32_t best_priority(const struct rf_network *net, uint64_t mask, uint64_t now_ns)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < net->n_ep; i++) {
        if ((mask & bit_of(i)) != 0 && serving(&net->ep[i], now_ns) && net->ep[i].priority < best)
            best = net->ep[i].priority;
    }
    return best;
}

/* Of the candidates, those of the best priority that can serve now.
 * @param single  the first of them alone. */
static uint64_t best_tier(const struct rf_network *net, uint64_t mask, uint32_t best, bool single,
                          uint64_t now_ns)
{
    uint64_t tier = 0;
    for (uint32_t i = 0; i < net->n_ep; i++) {
        const struct rf_endpoint *ep = &net->ep[i];
        if ((mask & bit_of(i)) == 0 || !serving(ep, now_ns) || ep->priority != best)
            continue;
        tier |= bit_of(i);
        if (single)
            break;
    }
    return tier;
}

static uint32_t room_at(struct rf_endpoint *ep, const struct rf_class_queue *q, uint32_t want,
                        bool alone, uint64_t now_ns, uint64_t *wait_ns)
{
    uint64_t held_ns = rf_time_sub(q->paused_until_ns[ep->index], now_ns);
    if (held_ns > 0) {
        *wait_ns = held_ns;
        return 0;
    }
    return rf_endpoint_room(ep, &q->price[ep->index], want, alone, now_ns, wait_ns);
}

/* A node that failed is asked again with one call, though others serve; not in a worse tier. */
static bool find_probe(struct rf_network *net, const struct rf_class_queue *q, uint64_t mask,
                       uint32_t best, uint64_t now_ns, struct rf_route *r)
{
    for (uint32_t i = 0; i < net->n_ep; i++) {
        struct rf_endpoint *ep = &net->ep[i];
        bool sound = ep->breaker.state == RF_BREAKER_CLOSED && ep->fail_streak == 0;
        uint64_t wait_ns;
        if ((mask & bit_of(i)) == 0 || ep->priority > best || sound || ep->in_flight > 0)
            continue;
        r->room = room_at(ep, q, 1, false, now_ns, &wait_ns);
        r->wait_ns = rf_min_u64(r->wait_ns, wait_ns);
        if (r->room > 0) {
            r->ep = ep;
            return true;
        }
    }
    return false;
}

/* Until a node that was passed over for its past is back; RF_NEVER where none is. */
static uint64_t next_back(const struct rf_network *net, uint64_t now_ns)
{
    uint64_t wait_ns = RF_NEVER;
    for (uint32_t i = 0; i < net->n_ep; i++) {
        const struct rf_endpoint *ep = &net->ep[i];
        uint64_t at = rf_max_u64(rf_endpoint_paused_until(ep), ep->bench_until_ns);
        if (ep->breaker.state == RF_BREAKER_OPEN)
            at = rf_max_u64(at, ep->breaker.open_until_ns);
        if (at > now_ns)
            wait_ns = rf_min_u64(wait_ns, at - now_ns);
    }
    return wait_ns;
}

struct rf_route rf_route_find(struct rf_core *core, struct rf_network *net,
                              const struct rf_class_queue *q, const struct rf_call *c,
                              uint64_t mask, uint64_t now_ns)
{
    struct rf_route r = {.wait_ns = RF_NEVER};
    bool several = (mask & (mask - 1)) != 0;
    uint32_t best = several ? best_priority(net, mask, now_ns) : UINT32_MAX;
    /* Suspicion is only for where others serve: two nodes that stumble must not both be shunned. */
    bool alone = best == UINT32_MAX, single = c->policy == RPCFAN_FAILOVER;
    /* A call that may be sent only once probes nothing. */
    if (!alone && !c->once && find_probe(net, q, mask, best, now_ns, &r))
        return r;
    uint64_t tier = alone ? mask : best_tier(net, mask, best, single, now_ns), with_room = 0;
    uint32_t room[64];
    double score[64];
    for (uint32_t i = 0; i < net->n_ep; i++) {
        struct rf_endpoint *ep = &net->ep[i];
        if ((tier & bit_of(i)) == 0)
            continue;
        uint64_t wait_ns;
        bool probe = ep->breaker.state != RF_BREAKER_CLOSED || (!alone && ep->fail_streak > 0);
        room[i] = room_at(ep, q, probe ? 1 : q->n, alone, now_ns, &wait_ns);
        if (room[i] == 0) {
            r.wait_ns = rf_min_u64(r.wait_ns, wait_ns);
            continue;
        }
        with_room |= bit_of(i);
        score[i] = rf_peak_value(&ep->peak, now_ns) * (ep->in_flight + 1);
    }
    if (with_room == 0) {
        r.wait_ns = rf_min_u64(r.wait_ns, next_back(net, now_ns));
        return r;
    }
    uint32_t chosen = rf_choose(score, with_room, &core->rng);
    r.ep = &net->ep[chosen];
    r.room = room[chosen];
    return r;
}
