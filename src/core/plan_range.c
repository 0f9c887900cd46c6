/* plan_range.c - eth_getLogs and its like: a range that is too long is asked for in pieces.
 *
 * Happy path: a node refuses a range; the range is cut into pieces of the length that the node
 * named, or that is known to pass, or into halves; up to 64 pieces are out at a time; as they come
 * in, in order, their elements are joined into one answer. A piece that is refused is cut again.
 * Failure modes: a piece fails for good: the call fails with its error, and the detail names the
 * blocks; a single block is refused: its address list is cut instead, and where that cannot be, the
 * node's own error is the answer; "latest" is looked up once, before the first cut. */
#include <string.h>

#include "base/mem.h"
#include "core/need.h"
#include "core/plan.h"
#include "core/queue.h"
#include "core/range.h"

#define DEPTH_MAX RF_RANGE_DEPTH_MAX
#define JOINED_MAX (UINT64_C(1) << 30) /* bytes of a joined answer */
#define AT_ONCE RF_PLAN_LEGS_MAX
#define PIECE_BY_CAP UINT64_MAX

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

/* The endpoint that takes the shortest ranges as far as is known; NULL: nothing is known. */
static struct rf_range_cap *least_cap(struct rf_network *net, uint32_t method_ix)
{
    struct rf_range_cap *least = NULL;
    for (uint32_t i = 0; i < net->n_ep; i++) {
        struct rf_range_cap *cap = cap_of(&net->ep[i], method_ix, false);
        if (cap != NULL && cap->cap > 0 && (least == NULL || cap->cap < least->cap))
            least = cap;
    }
    return least;
}

/* How long the next piece may be; now and then longer than is proven, to find out. */
static uint64_t piece_now(struct rf_core *core, const struct rf_plan *p)
{
    struct rf_range_cap *cap = least_cap(&core->net[p->network], p->parent->method_ix);
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
    if (write_tail(p->parent, params, &tail))
        leg = rf_plan_add(core, p, (struct rpcfan_slice){tail.data, tail.len}, p->parent->only,
                          p->parent->deadline_ns);
    if (leg != NULL)
        leg->call.split = RPCFAN_SPLIT_RANGE;
    rf_buf_fini(&tail);
    return leg;
}

/* Keep pieces out as far as there is room. @return false: out of memory. */
static bool add_pieces(struct rf_core *core, struct rf_plan *p)
{
    struct rf_range r;
    struct rf_call *c = p->parent;
    if (!rf_range_read(rf_call_method(c), rf_call_params(c), &r))
        return false;
    while (p->more && p->n < AT_ONCE) {
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
    if (tail.len == 0 || rf_plan_add(core, p, tail, 0, p->parent->deadline_ns) == NULL)
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
    const struct rf_range_cap *cap = least_cap(&core->net[c->network], c->method_ix);
    return cap != NULL && length(&r) > cap->cap && spread(core, c, &r, PIECE_BY_CAP, now_ns);
}

/* One half of the addresses each. */
static bool spread_filter(struct rf_core *core, struct rf_call *c, uint64_t now_ns)
{
    struct rf_buf half[2] = {{0}, {0}};
    bool ok = rf_range_split_filter(rf_call_params(c), 2, 0, &half[0]) &&
              rf_range_split_filter(rf_call_params(c), 2, 1, &half[1]);
    struct rf_plan *p = ok ? rf_plan_new(core, RF_PLAN_RANGE, c->network, c) : NULL;
    if (p != NULL) {
        p->by_position = true;
        if (add_with(core, p, &half[0]) == NULL || add_with(core, p, &half[1]) == NULL)
            rf_call_finish(core, c, RPCFAN_ENOMEM, now_ns);
    }
    rf_buf_fini(&half[0]);
    rf_buf_fini(&half[1]);
    return p != NULL;
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

static void learn_cap(struct rf_core *core, struct rf_endpoint *ep, const struct rf_call *c,
                      const struct rf_range *r, const struct rf_verdict *v)
{
    struct rf_range_cap *cap = cap_of(ep, c->method_ix, true);
    struct rf_range_refusal said = {.tried = length(r),
                                    .told_blocks = v->told_blocks,
                                    .told_len = suggests(v, r) ? v->told_range.to - r->from + 1 : 0,
                                    .by_results = v->by_results || v->class != RF_CLASS_SPLIT_RANGE};
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
    if (r.open_from || r.open_to)
        return spread(core, c, &r, v->told_blocks, now_ns);
    if (length(&r) == 1)
        return spread_filter(core, c, now_ns);
    learn_cap(core, ep, c, &r, v);
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

static void fail_with(struct rf_core *core, struct rf_plan *p, struct rf_leg *leg, uint64_t now_ns)
{
    struct rf_range r;
    struct rf_call *c = &leg->call;
    if (rf_range_read(rf_call_method(c), rf_call_params(c), &r) && !r.open_to && c->depth == 1) {
        const char *why = c->detail != NULL ? c->detail : rpcfan_err_text(c->err);
        char text[200];
        strncpy(text, why, sizeof text - 1);
        text[sizeof text - 1] = '\0';
        rf_call_explain(c, "blocks %llu to %llu: %s", (unsigned long long)r.from,
                        (unsigned long long)r.to, text);
    }
    rf_plan_answer(core, p, leg, now_ns);
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
        p->parent->sends = (uint16_t)(p->parent->sends + c->sends);
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
    rf_plan_answer_json(core, p->parent, RPCFAN_OK,
                        (struct rpcfan_slice){p->out.data, p->out.len}, p->out_space, now_ns);
}

static void merge_halves(struct rf_core *core, struct rf_plan *p, uint64_t now_ns)
{
    struct rpcfan_slice part[2];
    if (p->live > 1)
        return;
    for (uint32_t i = 0; i < 2; i++)
        part[i] = (struct rpcfan_slice){p->leg[i]->call.json, p->leg[i]->call.json_len};
    struct rf_buf out = {0};
    p->parent->endpoint = p->leg[0]->call.endpoint;
    if (rf_range_merge(part, 2, true, &out))
        rf_plan_answer_json(core, p->parent, RPCFAN_OK, (struct rpcfan_slice){out.data, out.len},
                            p->leg[0]->call.space || p->leg[1]->call.space, now_ns);
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
    if (r.to < r.from)
        r.to = r.from;
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
        rf_call_finish(core, p->parent, e, now_ns);
    else if (p->n == 0)
        finish_joined(core, p, now_ns);
}
