/* plan_fan.c - one call to several endpoints: race, quorum, broadcast.
 *
 * Race: a leg to each endpoint that can serve; the first that answers, with a result or with an
 * error that is an answer, decides. Quorum: as many legs as must agree; each that fails or
 * disagrees brings one more, while endpoints are left, and so does each that has to wait for a
 * second try. Broadcast: a leg to each endpoint that is
 * not benched; the first acceptance decides, the others are sent all the same.
 * Failure modes: nobody answers: the last failure is the answer; nobody agrees: RPCFAN_EQUORUM with
 * an error object that says who said what. */
#include <string.h>

#include "base/mem.h"
#include "core/endpoint.h"
#include "core/plan.h"
#include "core/queue.h"
#include "core/route.h"
#include "json/canon.h"
#include "json/rpc.h"

/* As the command numbers all errors of the client, see rpcfan(1). */
#define QUORUM_CODE (-39000 - RPCFAN_EQUORUM)
#define VOTE_SHOWN_MAX 2048 /* bytes of each answer in a report of disagreement */

static uint64_t bit_of(uint32_t i)
{
    return UINT64_C(1) << i;
}

static bool add_at(struct rf_core *core, struct rf_plan *p, uint32_t ep)
{
    const struct rf_call *c = p->parent;
    struct rpcfan_slice tail = {c->tail, c->tail_len};
    return rf_plan_add(core, p, tail, bit_of(ep), c->deadline_ns) != NULL;
}

/* The next endpoint in the order of priority and list that has no leg yet; UINT32_MAX: none. */
static uint32_t next_of(const struct rf_network *net, uint64_t mask)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < net->n_ep; i++) {
        if ((mask & bit_of(i)) != 0 &&
            (best == UINT32_MAX || net->ep[i].priority < net->ep[best].priority))
            best = i;
    }
    return best;
}

/* Endpoints where a call like this fits into each window: elsewhere it would wait for ever. */
static uint64_t fitting(const struct rf_network *net, const struct rf_call *c)
{
    uint64_t mask = 0;
    for (uint32_t i = 0; i < net->n_ep; i++) {
        if (rf_endpoint_fits(&net->ep[i], &net->cq[c->class_ix].price[i]))
            mask |= bit_of(i);
    }
    return mask;
}

/* Legs to up to `n` endpoints that have none: first those that can serve and have what the call
 * needs, then those that are up, then the others. @return how many. */
static uint32_t add_some(struct rf_core *core, struct rf_plan *p, uint32_t n, uint64_t now_ns)
{
    const struct rf_network *net = &core->net[p->network];
    uint64_t fits = fitting(net, p->parent), usable = rf_route_usable(net, now_ns);
    uint64_t best = rf_route_candidates(net, p->parent, now_ns);
    uint32_t added = 0;
    while (added < n) {
        uint64_t left = fits & ~p->asked;
        uint64_t up = left & usable;
        uint32_t ep = next_of(net, (up & best) != 0 ? up & best : up != 0 ? up : left);
        if (ep == UINT32_MAX || !add_at(core, p, ep))
            break;
        added++;
    }
    return added;
}

static uint32_t count_bits(uint64_t mask)
{
    uint32_t n = 0;
    for (; mask != 0; mask &= mask - 1)
        n++;
    return n;
}

static uint32_t legs_wanted(const struct rf_network *net, const struct rf_call *c,
                            enum rf_plan_kind kind, uint64_t now_ns)
{
    if (kind == RF_PLAN_QUORUM)
        return c->quorum;
    uint64_t usable = rf_route_usable(net, now_ns) & fitting(net, c);
    uint64_t best = rf_route_candidates(net, c, now_ns) & usable;
    if (kind == RF_PLAN_BROADCAST || usable == 0)
        return net->n_ep;
    return count_bits(best != 0 ? best : usable);
}

static bool kind_of(const struct rf_network *net, const struct rf_call *c, enum rf_plan_kind *kind)
{
    if (c->policy == RPCFAN_BROADCAST && c->send)
        *kind = RF_PLAN_BROADCAST;
    else if (c->policy == RPCFAN_FIRST && c->read)
        *kind = RF_PLAN_FIRST;
    else if (c->policy == RPCFAN_QUORUM && c->read)
        *kind = RF_PLAN_QUORUM;
    else
        return false;
    return net->n_ep > 1 || *kind == RF_PLAN_QUORUM;
}

bool rf_fan_start(struct rf_core *core, struct rf_call *c, uint64_t now_ns)
{
    const struct rf_network *net = &core->net[c->network];
    enum rf_plan_kind kind;
    if (!kind_of(net, c, &kind))
        return false;
    if (kind == RF_PLAN_QUORUM && c->quorum <= 1)
        return false;
    if (kind == RF_PLAN_QUORUM && c->quorum > net->n_ep) {
        rf_call_explain(c, "a quorum of %u was asked for, the network has %u endpoints", c->quorum,
                        net->n_ep);
        rf_call_finish(core, c, RPCFAN_EQUORUM, now_ns);
        return true;
    }
    struct rf_plan *p = rf_plan_new(core, kind, c->network, c);
    if (p == NULL) {
        rf_call_finish(core, c, RPCFAN_ENOMEM, now_ns);
        return true;
    }
    p->need = c->quorum;
    p->split = c->split;
    if (add_some(core, p, legs_wanted(net, c, kind, now_ns), now_ns) == 0)
        rf_call_finish(core, c, RPCFAN_ENOMEM, now_ns);
    return true;
}

/* An answer that another endpoint would give as well, as far as the error's class tells. */
static bool is_answer(const struct rf_call *c)
{
    if (c->err == RPCFAN_OK)
        return true;
    return c->err == RPCFAN_ERPC && rf_class_action((enum rf_class)c->cause) == RF_ACT_DELIVER;
}

/* The canonical text of an answer. @return false: no memory. */
static bool read_vote(struct rf_leg *leg)
{
    const struct rf_call *c = &leg->call;
    struct rf_error_text e;
    if (c->err == RPCFAN_OK) {
        struct rpcfan_slice json = {c->json, c->json_len};
        if (!rf_json_canon(json, &leg->vote) && !leg->vote.failed)
            rf_buf_add(&leg->vote, json.data, json.len);
        return !leg->vote.failed;
    }
    /* Nodes word the same error differently: the code is what they can agree on. */
    if (rf_error_read(c->json, c->json_len, &e) && e.has_code)
        rf_buf_printf(&leg->vote, "error %lld", (long long)e.code);
    else
        rf_buf_str(&leg->vote, "error");
    return !leg->vote.failed;
}

static bool same_vote(const struct rf_leg *a, const struct rf_leg *b)
{
    return a->vote.len == b->vote.len && memcmp(a->vote.data, b->vote.data, a->vote.len) == 0;
}

/* How many equal answers there are to this one. @param weak  count those too that another endpoint
 * may know better ("no such method", "state is pruned"). */
static uint32_t count_votes(const struct rf_plan *p, const struct rf_leg *like, bool weak)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        const struct rf_leg *leg = p->leg[i];
        n += leg->vote.len > 0 && (weak || is_answer(&leg->call)) && same_vote(leg, like);
    }
    return n;
}

/* The answer that most have given. @return NULL: there is none. */
static struct rf_leg *most_given(const struct rf_plan *p, bool weak, uint32_t *count)
{
    struct rf_leg *best = NULL;
    *count = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t n = p->leg[i]->vote.len > 0 ? count_votes(p, p->leg[i], weak) : 0;
        if (n > *count) {
            *count = n;
            best = p->leg[i];
        }
    }
    return best;
}

/* {"endpoint":"a","result":...} or "error": ..., as a string cut short where it is long. */
static void add_voice(struct rf_buf *b, const struct rf_leg *leg, const char *endpoint)
{
    const struct rf_call *c = &leg->call;
    rf_buf_str(b, "{\"endpoint\":");
    rf_json_quote(b, endpoint, strlen(endpoint));
    if (!leg->done) {
        rf_buf_str(b, ",\"waiting\":true}");
    } else if (c->json != NULL && (c->err == RPCFAN_OK || c->err == RPCFAN_ERPC)) {
        rf_buf_str(b, c->err == RPCFAN_OK ? ",\"result\":" : ",\"error\":");
        if (c->json_len <= VOTE_SHOWN_MAX)
            rf_buf_add(b, c->json, c->json_len);
        else
            rf_json_quote(b, c->json, VOTE_SHOWN_MAX);
        rf_buf_printf(b, ",\"bytes\":%llu}", (unsigned long long)c->json_len);
    } else {
        const char *why = c->detail != NULL ? c->detail : rpcfan_err_text(c->err);
        rf_buf_printf(b, ",\"failed\":\"%s\",\"why\":", rpcfan_err_name(c->err));
        rf_json_quote(b, why, strlen(why));
        rf_buf_char(b, '}');
    }
}

/* An error object as the command makes them for all errors of the client, and who said what. */
static void add_report(const struct rf_core *core, const struct rf_plan *p, struct rf_buf *b)
{
    const struct rf_network *net = &core->net[p->network];
    const struct rf_call *c = p->parent;
    unsigned attempts = c->sends;
    for (uint32_t i = 0; i < p->n; i++)
        attempts += p->leg[i]->call.sends;
    const char *text = c->detail != NULL ? c->detail : rpcfan_err_text(RPCFAN_EQUORUM);
    rf_buf_printf(b, "{\"code\":%d,\"message\":", QUORUM_CODE);
    rf_json_quote(b, text, strlen(text));
    rf_buf_printf(b, ",\"data\":{\"rpcfan\":{\"class\":\"%s\",\"name\":\"%s\",\"attempts\":%u,",
                  rpcfan_err_class(RPCFAN_EQUORUM), rpcfan_err_name(RPCFAN_EQUORUM), attempts);
    rf_buf_str(b, "\"answers\":[");
    for (uint32_t i = 0; i < p->n; i++) {
        if (i > 0)
            rf_buf_char(b, ',');
        add_voice(b, p->leg[i], net->ep[next_of(net, p->leg[i]->call.only)].name);
    }
    rf_buf_str(b, "]}}}");
}

static void disagree(struct rf_core *core, struct rf_plan *p, uint64_t now_ns)
{
    struct rf_call *c = p->parent;
    struct rf_buf b = {0};
    bool space = false;
    uint32_t best;
    for (uint32_t i = 0; i < p->n; i++)
        space = space || p->leg[i]->call.space;
    most_given(p, true, &best);
    rf_call_explain(c, "%u of %u endpoints gave equal answers, %u were wanted", best, p->n,
                    p->need);
    add_report(core, p, &b);
    if (b.failed)
        rf_call_finish(core, c, RPCFAN_ENOMEM, now_ns);
    else
        rf_plan_answer_json(core, c, RPCFAN_EQUORUM, (struct rpcfan_slice){b.data, b.len}, space,
                            now_ns);
    rf_buf_fini(&b);
}

/* A client that closes cancels legs that were not sent: what they would have said is not known, so
 * neither disagreement nor failure is the answer then. */
static bool cut_off(const struct rf_plan *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        if (p->leg[i]->call.state == RF_CALL_DONE && p->leg[i]->call.err == RPCFAN_ECANCELED)
            return true;
    }
    return false;
}

static void hear_vote(struct rf_core *core, struct rf_plan *p, struct rf_leg *leg, uint64_t now_ns)
{
    bool said = leg->call.err == RPCFAN_OK || leg->call.err == RPCFAN_ERPC;
    uint32_t best, out = p->live - 1;
    if (said && !read_vote(leg)) {
        rf_call_finish(core, p->parent, RPCFAN_ENOMEM, now_ns);
        return;
    }
    if (is_answer(&leg->call) && count_votes(p, leg, false) >= p->need) {
        rf_plan_answer(core, p, leg, now_ns);
        return;
    }
    most_given(p, false, &best);
    if (best + out < p->need)
        out += add_some(core, p, p->need - best - out, now_ns);
    if (best + out >= p->need)
        return;
    if (cut_off(p)) {
        rf_call_finish(core, p->parent, RPCFAN_ECANCELED, now_ns);
        return;
    }
    if (now_ns >= p->parent->deadline_ns) { /* nor does what came too late */
        rf_plan_answer(core, p, leg, now_ns);
        return;
    }
    /* Nobody is left to ask who might know better: what enough of them say is the answer then. */
    struct rf_leg *weak = most_given(p, true, &best);
    if (best >= p->need)
        rf_plan_answer(core, p, weak, now_ns);
    else if (best + out < p->need)
        disagree(core, p, now_ns);
}

void rf_fan_stumbled(struct rf_core *core, struct rf_call *c, uint64_t now_ns)
{
    struct rf_plan *p = c->leg_of;
    if (p == NULL || p->kind != RF_PLAN_QUORUM || p->parent == NULL || c->state == RF_CALL_DONE)
        return;
    struct rf_leg *leg = RF_CONTAINER(c, struct rf_leg, call);
    if (leg->stumbled)
        return;
    leg->stumbled = true;
    add_some(core, p, 1, now_ns);
}

/* How much a failure says: an error that is an answer, then any other word of a node, then what
 * became of a try, and least what was cut short. */
static unsigned telling(const struct rf_call *c)
{
    if (is_answer(c))
        return 3;
    if (c->err == RPCFAN_ERPC)
        return 2;
    return c->err != RPCFAN_ECANCELED && c->err != RPCFAN_EDEADLINE;
}

/* Of legs that all failed, the one whose failure says most; of equal ones the latest. */
static struct rf_leg *most_telling(const struct rf_plan *p, struct rf_leg *latest)
{
    struct rf_leg *most = latest;
    for (uint32_t i = 0; i < p->n; i++) {
        if (telling(&p->leg[i]->call) > telling(&most->call))
            most = p->leg[i];
    }
    return most;
}

static bool decides(const struct rf_plan *p, const struct rf_call *c)
{
    return p->kind == RF_PLAN_BROADCAST ? c->err == RPCFAN_OK : is_answer(c);
}

void rf_fan_heard(struct rf_core *core, struct rf_plan *p, struct rf_leg *leg, uint64_t now_ns)
{
    if (p->kind == RF_PLAN_QUORUM)
        hear_vote(core, p, leg, now_ns);
    else if (decides(p, &leg->call))
        rf_plan_answer(core, p, leg, now_ns);
    else if (p->live == 1 && cut_off(p))
        rf_call_finish(core, p->parent, RPCFAN_ECANCELED, now_ns);
    else if (p->live == 1)
        rf_plan_answer(core, p, most_telling(p, leg), now_ns);
}
