/* plan_range.c - eth_getLogs and its like: a range that is too long is asked for in pieces.
 *
 * Happy path: a node refuses a range; the range is cut into pieces of the length that the node
 * named, or that is known to pass, or into halves; as they come in, in order, their elements are
 * joined into one answer. A piece that is refused is cut again. Some 64 pieces are out at a time,
 * pieces of pieces included; past that each plan has one out, so that halves of halves go deep
 * before they go wide, and a node that refuses everything is found out after some hundred requests
 * and not after two for each block.
 * Failure modes: a piece fails for good: the call fails with its error, and the detail names the
 * blocks; a single block is refused: its address list is cut instead, and where that cannot be, the
 * node's own error is the answer; "latest" is looked up once, before the first cut. */
#include <string.h>

#include "base/mem.h"
#include "core/need.h"
#include "core/plan.h"
#include "core/queue.h"
#include "core/range.h"
#include "core/route.h"

#define DEPTH_MAX RF_RANGE_DEPTH_MAX
#define JOINED_MAX (UINT64_C(1) << 30) /* bytes of a joined answer */
#define AT_ONCE RF_PLAN_LEGS_MAX
#define PIECE_BY_CAP UINT64_MAX
#define HALVES 2
#define NAMED "blocks " /* how a detail begins that names the blocks */

static struct rf_range_cap *cap_of(struct rf_endpoint *ep, uint32_t method_ix, bool make)
{
    for (uint32_t i = 0; i < ep->n_ranges; i++) {
        if (ep->range[i].method_ix == method_ix)
            return &ep->range[i].cap;
    }
    if (!make || ep->n_ranges == RF_RANGE_FACTS)
        return NULL;
    struct rf_range_fact *f = &ep->range[ep->n_ranges++];
    *f = (struct rf_range_fact){.method_ix = method_ix};
    return &f->cap;
}

/* Of the endpoints that a call may go to the one that takes the shortest ranges as far as is known;
 * NULL: nothing is known. */
static struct rf_range_cap *least_cap(struct rf_core *core, const struct rf_call *c)
{
    struct rf_network *net = &core->net[c->network];
    uint64_t may = c->only != 0 ? c->only : UINT64_MAX;
    uint64_t usable = rf_route_usable(net, core->now_ns) & may;
    struct rf_range_cap *least = NULL;
    may = usable != 0 ? usable : may;
    for (uint32_t i = 0; i < net->n_ep; i++) {
        struct rf_range_cap *cap =
            (may >> i & 1) != 0 ? cap_of(&net->ep[i], c->method_ix, false) : NULL;
        if (cap != NULL && cap->cap > 0 && (least == NULL || cap->cap < least->cap))
            least = cap;
    }
    return least;
}

/* How long the next piece may be; now and then longer than is proven, to find out. */
static uint64_t piece_now(struct rf_core *core, const struct rf_plan *p)
{
    struct rf_range_cap *cap = least_cap(core, p->parent);
    if (cap == NULL)
        return p->piece;
    uint64_t probe = rf_range_cap_probe(cap, core->now_ns);
    return rf_min_u64(p->piece, rf_max_u64(cap->cap, probe));
}

static uint64_t length(const struct rf_range *r)
{
    uint64_t n = r->to - r->from;
    return n == UINT64_MAX ? n : n + 1;
}

static bool read_range(const struct rf_call *c, struct rf_range *r)
{
    return c->split == RPCFAN_SPLIT_RANGE && c->depth < DEPTH_MAX &&
           rf_range_read(rf_call_method(c), rf_call_params(c), r);
}

/* A request tail like the call's with other params. */
static bool write_tail(const struct rf_call *c, const struct rf_buf *params, struct rf_buf *tail)
{
    rf_buf_add(tail, c->tail, RF_CALL_METHOD_AT + c->method_len + RF_CALL_PARAMS_GAP);
    rf_buf_add(tail, params->data, params->len);
    rf_buf_char(tail, '}');
    return !tail->failed && !params->failed;
}

static struct rf_leg *add_with(struct rf_core *core, struct rf_plan *p, const struct rf_buf *params)
{
    struct rf_buf tail = {0};
    struct rf_leg *leg = NULL;
    p->split = RPCFAN_SPLIT_RANGE;
    if (write_tail(p->parent, params, &tail))
        leg = rf_plan_add(core, p, (struct rpcfan_slice){tail.data, tail.len}, p->parent->only,
                          p->parent->deadline_ns);
    rf_buf_fini(&tail);
    return leg;
}

/* How many more legs a plan may have out now: while its family is large, one in all. */
static uint32_t room_for(const struct rf_plan *p)
{
    uint32_t out = 0, family = rf_plan_family(p), room = AT_ONCE - p->n;
    for (uint32_t i = 0; i < p->n; i++)
        out += !p->leg[i]->done;
    uint32_t left = family < AT_ONCE ? AT_ONCE - family : 0;
    if (left == 0)
        left = out == 0 ? 1 : 0;
    return left < room ? left : room;
}

/* Keep pieces out as far as there is room. @return false: out of memory. */
static bool add_pieces(struct rf_core *core, struct rf_plan *p)
{
    struct rf_range r;
    struct rf_call *c = p->parent;
    uint32_t room = p->more ? room_for(p) : 0;
    if (room > 0 && !rf_range_read(rf_call_method(c), rf_call_params(c), &r))
        return false;
    for (; p->more && room > 0; room--) {
        uint64_t piece = piece_now(core, p);
        uint64_t end = p->last - p->next < piece ? p->last : p->next + (piece - 1);
        struct rf_buf params = {0};
        bool ok = rf_range_write(&r, rf_call_params(c), p->next, end, &params) &&
                  add_with(core, p, &params) != NULL;
        rf_buf_fini(&params);
        if (!ok)
            return false;
        p->more = end < p->last;
        p->next = end + 1;
    }
    return true;
}

static void start(struct rf_core *core, struct rf_plan *p, const struct rf_range *r, uint64_t piece,
                  uint64_t now_ns)
{
    p->kind = RF_PLAN_RANGE;
    p->next = r->from;
    p->last = r->to;
    p->piece = rf_max_u64(piece, 1);
    p->more = true;
    if (!add_pieces(core, p))
        rf_call_finish(core, p->parent, RPCFAN_ENOMEM, now_ns);
}

/* Look up what "latest" is before anything is cut. */
static void start_head(struct rf_core *core, struct rf_plan *p, uint64_t piece, uint64_t now_ns)
{
    struct rpcfan_slice tail = rf_need_probe_tail(core->net[p->network].family);
    p->kind = RF_PLAN_HEAD;
    p->piece = piece;
    if (tail.len == 0 ||
        rf_plan_add(core, p, tail, p->parent->only, p->parent->deadline_ns) == NULL)
        rf_call_finish(core, p->parent, RPCFAN_ENOMEM, now_ns);
}

static bool spread(struct rf_core *core, struct rf_call *c, const struct rf_range *r,
                   uint64_t piece, uint64_t now_ns)
{
    struct rf_plan *p = rf_plan_new(core, RF_PLAN_RANGE, c->network, c);
    if (p == NULL)
        return false;
    if (r->open_from || r->open_to)
        start_head(core, p, piece, now_ns);
    else
        start(core, p, r, piece, now_ns);
    return true;
}

bool rf_split_start(struct rf_core *core, struct rf_call *c, uint64_t now_ns)
{
    struct rf_range r;
    if (c->split != RPCFAN_SPLIT_RANGE || !read_range(c, &r) || r.open_from || r.open_to)
        return false;
    const struct rf_range_cap *cap = least_cap(core, c);
    return cap != NULL && length(&r) > cap->cap && spread(core, c, &r, PIECE_BY_CAP, now_ns);
}

/* Keep halves of the addresses out as far as there is room. @return false: out of memory. */
static bool add_halves(struct rf_core *core, struct rf_plan *p)
{
    for (uint32_t room = p->more ? room_for(p) : 0; p->more && room > 0; room--) {
        struct rf_buf params = {0};
        bool ok =
            rf_range_split_filter(rf_call_params(p->parent), HALVES, (uint32_t)p->next, &params) &&
            add_with(core, p, &params) != NULL;
        rf_buf_fini(&params);
        if (!ok)
            return false;
        p->more = ++p->next < HALVES;
    }
    return true;
}

static bool spread_filter(struct rf_core *core, struct rf_call *c, uint64_t now_ns)
{
    struct rf_buf half = {0};
    bool ok = rf_range_split_filter(rf_call_params(c), HALVES, 0, &half);
    rf_buf_fini(&half);
    struct rf_plan *p = ok ? rf_plan_new(core, RF_PLAN_RANGE, c->network, c) : NULL;
    if (p == NULL)
        return false;
    p->by_position = true;
    p->more = true;
    if (!add_halves(core, p))
        rf_call_finish(core, c, RPCFAN_ENOMEM, now_ns);
    return true;
}

static bool suggests(const struct rf_verdict *v, const struct rf_range *r)
{
    return v->told_range.any && v->told_range.from == r->from && v->told_range.to >= r->from &&
           v->told_range.to < r->to;
}

/* How long the pieces of a refused range should be: as the node says, else halves. Deep down they
 * are halves in any case, or a node that always suggests one block less would never come to an end.
 */
static uint64_t piece_of(const struct rf_call *c, const struct rf_range *r,
                         const struct rf_verdict *v)
{
    uint64_t half = length(r) / 2 + (length(r) & 1);
    if (c->depth >= RF_RANGE_TRUST_DEPTH)
        return half;
    if (suggests(v, r))
        return v->told_range.to - r->from + 1;
    return v->told_blocks > 0 && v->told_blocks < length(r) ? v->told_blocks : half;
}

/* @param tried  blocks; UINT64_MAX where that is not known. */
static void learn_cap(struct rf_core *core, struct rf_endpoint *ep, const struct rf_call *c,
                      uint64_t tried, const struct rf_verdict *v, const struct rf_range *r)
{
    struct rf_range_cap *cap = cap_of(ep, c->method_ix, true);
    struct rf_range_refusal said = {.tried = tried,
                                    .told_blocks = v->told_blocks,
                                    .told_len = suggests(v, r) ? v->told_range.to - r->from + 1 : 0,
                                    .by_results =
                                        v->by_results || v->class != RF_CLASS_SPLIT_RANGE};
    if (cap != NULL)
        rf_range_cap_refused(cap, &said, core->now_ns);
}

bool rf_split_refused(struct rf_core *core, struct rf_call *c, struct rf_endpoint *ep,
                      const struct rf_verdict *v, uint64_t now_ns)
{
    struct rf_range r;
    if (!read_range(c, &r))
        return false;
    if (v->class == RF_CLASS_SPLIT_FILTER)
        return spread_filter(core, c, now_ns);
    if (r.open_from || r.open_to) {
        if (v->told_blocks > 0)
            learn_cap(core, ep, c, UINT64_MAX, v, &r);
        return spread(core, c, &r, v->told_blocks, now_ns);
    }
    if (length(&r) == 1)
        return spread_filter(core, c, now_ns);
    learn_cap(core, ep, c, length(&r), v, &r);
    return spread(core, c, &r, piece_of(c, &r, v), now_ns);
}

void rf_split_passed(struct rf_endpoint *ep, const struct rf_call *c)
{
    struct rf_range r;
    struct rf_range_cap *cap = cap_of(ep, c->method_ix, false);
    if (cap != NULL && rf_range_read(rf_call_method(c), rf_call_params(c), &r) && !r.open_to &&
        !r.open_from)
        rf_range_cap_passed(cap, length(&r));
}

/* Say of which blocks something is true. The innermost piece says it: it names the fewest. */
static void name_blocks(struct rf_call *c, const char *why)
{
    struct rf_range r;
    if (strncmp(why, NAMED, strlen(NAMED)) != 0 &&
        rf_range_read(rf_call_method(c), rf_call_params(c), &r) && !r.open_from && !r.open_to)
        rf_call_explain(c, NAMED "%llu to %llu: %.180s", (unsigned long long)r.from,
                        (unsigned long long)r.to, why);
}

static void fail_with(struct rf_core *core, struct rf_plan *p, struct rf_leg *leg, uint64_t now_ns)
{
    struct rf_call *c = &leg->call;
    const char *why = c->detail != NULL ? c->detail : rpcfan_err_text(c->err);
    if (p->kind == RF_PLAN_HEAD)
        rf_call_explain(c, "asking for the head, to cut the range: %.180s", why);
    else
        name_blocks(c, why);
    rf_plan_answer(core, p, leg, now_ns);
}

static void fail_joining(struct rf_core *core, struct rf_plan *p, enum rpcfan_err e,
                         uint64_t now_ns)
{
    struct rf_call *c = p->parent;
    if (e == RPCFAN_EMALFORMED && p->n > 0) {
        name_blocks(&p->leg[0]->call, "the answer is no list");
        rf_free(c->detail);
        c->detail = p->leg[0]->call.detail;
        p->leg[0]->call.detail = NULL;
    } else if (e == RPCFAN_ETOOBIG) {
        rf_call_explain(c, "the joined answer is over %llu bytes", (unsigned long long)JOINED_MAX);
    }
    rf_call_finish(core, c, e, now_ns);
}

static bool is_space(char ch)
{
    return ch == ' ' || ch == '\t' || ch == '\n' || ch == '\r';
}

/* The elements of an array, behind what is there. @return false: it is none, or out of memory. */
static bool join_elements(struct rf_buf *out, struct rpcfan_slice json)
{
    const char *from = json.data, *to = json.data + json.len;
    while (from < to && is_space(*from))
        from++;
    while (to > from && is_space(to[-1]))
        to--;
    if (to - from < 2 || *from != '[' || to[-1] != ']')
        return false;
    for (from++, to--; from < to && is_space(*from);)
        from++;
    while (to > from && is_space(to[-1]))
        to--;
    if (out->len == 0)
        rf_buf_char(out, '[');
    if (from < to && out->len > 1)
        rf_buf_char(out, ',');
    rf_buf_add(out, from, (size_t)(to - from));
    return !out->failed;
}

/* Take the pieces in that are there in order. @return the error that this ends with, or 0. */
static enum rpcfan_err absorb(struct rf_core *core, struct rf_plan *p)
{
    while (p->n > 0 && p->leg[0]->done) {
        const struct rf_call *c = &p->leg[0]->call;
        p->out_space = p->out_space || c->space;
        if (!join_elements(&p->out, (struct rpcfan_slice){c->json, c->json_len}))
            return p->out.failed ? RPCFAN_ENOMEM : RPCFAN_EMALFORMED;
        if (p->out.len > JOINED_MAX)
            return RPCFAN_ETOOBIG;
        p->parent->endpoint = c->endpoint;
        rf_plan_shift(core, p);
    }
    return RPCFAN_OK;
}

static void finish_joined(struct rf_core *core, struct rf_plan *p, uint64_t now_ns)
{
    rf_buf_char(&p->out, ']');
    if (p->out.failed) {
        rf_call_finish(core, p->parent, RPCFAN_ENOMEM, now_ns);
        return;
    }
    rf_plan_answer_json(core, p->parent, RPCFAN_OK, (struct rpcfan_slice){p->out.data, p->out.len},
                        p->out_space, now_ns);
}

static void merge_halves(struct rf_core *core, struct rf_plan *p, uint64_t now_ns)
{
    struct rpcfan_slice part[HALVES];
    bool space = false;
    if (!add_halves(core, p)) {
        rf_call_finish(core, p->parent, RPCFAN_ENOMEM, now_ns);
        return;
    }
    if (p->more || p->live > 1)
        return;
    for (uint32_t i = 0; i < HALVES; i++) {
        part[i] = (struct rpcfan_slice){p->leg[i]->call.json, p->leg[i]->call.json_len};
        space = space || p->leg[i]->call.space;
    }
    struct rf_buf out = {0};
    p->parent->endpoint = p->leg[0]->call.endpoint;
    if (rf_range_merge(part, HALVES, true, &out))
        rf_plan_answer_json(core, p->parent, RPCFAN_OK, (struct rpcfan_slice){out.data, out.len},
                            space, now_ns);
    else
        rf_call_finish(core, p->parent, out.failed ? RPCFAN_ENOMEM : RPCFAN_EMALFORMED, now_ns);
    rf_buf_fini(&out);
}

static void hear_head(struct rf_core *core, struct rf_plan *p, struct rf_leg *leg, uint64_t now_ns)
{
    const struct rf_call *c = &leg->call;
    struct rf_range r;
    uint64_t head, piece = p->piece;
    const struct rf_network *net = &core->net[p->network];
    bool known = rf_need_head_in_result(net->family, rf_call_method(c),
                                        (struct rpcfan_slice){c->json, c->json_len}, &head) &&
                 read_range(p->parent, &r);
    if (!known) {
        rf_call_finish(core, p->parent, RPCFAN_EMALFORMED, now_ns);
        return;
    }
    rf_plan_shift(core, p);
    r.from = r.open_from ? head : r.from;
    r.to = r.open_to ? rf_max_u64(head, r.from) : r.to;
    if (r.to < r.from) {
        rf_call_explain(p->parent, "the range ends before the head, where it begins");
        rf_call_finish(core, p->parent, RPCFAN_EINVAL, now_ns);
        return;
    }
    start(core, p, &r, piece > 0 ? piece : (length(&r) + 1) / 2, now_ns);
}

void rf_split_heard(struct rf_core *core, struct rf_plan *p, struct rf_leg *leg, uint64_t now_ns)
{
    if (leg->call.err != RPCFAN_OK) {
        fail_with(core, p, leg, now_ns);
        return;
    }
    if (p->kind == RF_PLAN_HEAD) {
        hear_head(core, p, leg, now_ns);
        return;
    }
    if (p->by_position) {
        merge_halves(core, p, now_ns);
        return;
    }
    enum rpcfan_err e = absorb(core, p);
    if (e == RPCFAN_OK && !add_pieces(core, p))
        e = RPCFAN_ENOMEM;
    if (e != RPCFAN_OK)
        fail_joining(core, p, e, now_ns);
    else if (p->n == 0)
        finish_joined(core, p, now_ns);
}
