/* validator.c - the life of a virtual validator, and its time: slots of the cluster, steps and jobs
 * of its nodes, and idle sessions, each when it is due, the cluster first where several are. */
#include "sim/validator.h"

#include <string.h>

#include "base/mem.h"
#include "sim/validator_int.h"

/* Slots that have passed when a validator is made, so that there is a root. */
#define WARM_UP 50

/* When something is due next, in the validator's own time. */
static uint64_t next_ns(const struct rf_validator *v)
{
    uint64_t at = rf_min_u64(v->chain.next_ns, rf_vws_idle(v));
    for (uint32_t i = 0; i < v->knobs.nodes; i++)
        at = rf_min_u64(at, rf_vview_next(v, &v->node[i]));
    return at;
}

static void do_next(struct rf_validator *v)
{
    if (v->chain.next_ns <= v->now_ns) {
        rf_vchain_tick(v);
        return;
    }
    for (uint32_t i = 0; i < v->knobs.nodes; i++)
        if (rf_vview_next(v, &v->node[i]) <= v->now_ns) {
            rf_vview_go(v, i);
            return;
        }
    rf_vws_close_idle(v);
}

static void run_to(struct rf_validator *v, uint64_t until_ns)
{
    for (uint64_t at = next_ns(v); at <= until_ns; at = next_ns(v)) {
        v->now_ns = rf_max_u64(v->now_ns, at);
        do_next(v);
    }
    v->now_ns = rf_max_u64(v->now_ns, until_ns);
}

enum rpcfan_err rf_validator_new(const struct rf_validator_options *o,
                                 const struct rf_validator_ops *ops, uint64_t now_ns,
                                 struct rf_validator **out, struct rpcfan_error *err)
{
    struct rf_validator *v = rf_alloc(sizeof *v);
    *out = NULL;
    if (v == NULL)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    v->ops = *ops;
    rf_list_init(&v->sessions);
    rf_vknobs_init(&v->knobs);
    enum rpcfan_err e = rf_vknobs_read(&v->knobs, o->knobs, err);
    if (e != RPCFAN_OK)
        goto fail;
    rf_rng_init(&v->chain.rng, rf_vmix(o->seed, 1));
    rf_rng_init(&v->world_rng, rf_vmix(o->seed, 2));
    rf_rng_init(&v->fault_rng, rf_vmix(o->seed, 3));
    rf_rng_init(&v->read_rng, rf_vmix(o->seed, 4));
    if (!rf_banks_init(&v->banks, v->knobs.history) || !rf_vchain_begin(v, 0)) {
        e = rf_fail(err, RPCFAN_ENOMEM, "out of memory for the accounts");
        goto fail;
    }
    for (uint32_t i = 0; i < v->knobs.nodes; i++)
        rf_vview_begin(v, i);
    /* The past is made in a time of its own, which ends now. */
    uint64_t past_ns = (WARM_UP + 2 * v->knobs.finalize_lag) * v->knobs.slot_ms * RF_MS +
                       rf_max_u64(v->knobs.lag, v->knobs.lag2) * RF_MS;
    run_to(v, past_ns);
    v->epoch_ns = past_ns - now_ns; /* may wrap, and then wraps back */
    *out = v;
    return RPCFAN_OK;
fail:
    rf_validator_free(v);
    return e;
}

void rf_validator_free(struct rf_validator *v)
{
    if (v == NULL)
        return;
    rf_vws_fini(v);
    for (uint32_t i = 0; i < RF_VALIDATOR_NODES; i++)
        rf_vview_fini(&v->node[i]);
    rf_banks_fini(&v->banks);
    rf_free(v->chain.steps);
    rf_buf_fini(&v->text);
    rf_buf_fini(&v->frame);
    rf_buf_fini(&v->scratch);
    rf_free(v);
}

enum rpcfan_err rf_validator_set(struct rf_validator *v, const char *knobs,
                                 struct rpcfan_error *err)
{
    struct rf_vknobs k = v->knobs;
    enum rpcfan_err e = rf_vknobs_read(&k, knobs, err);
    if (e != RPCFAN_OK)
        return e;
    if (k.programs != v->knobs.programs || k.keys != v->knobs.keys || k.start != v->knobs.start ||
        k.nodes != v->knobs.nodes || k.has_program_id != v->knobs.has_program_id ||
        memcmp(k.program_id, v->knobs.program_id, 32) != 0)
        return rf_fail(err, RPCFAN_ECONFIG,
                       "programs, keys, program, start and nodes cannot change while it runs");
    v->knobs = k;
    v->banks.history = k.history;
    return RPCFAN_OK;
}

void rf_validator_run(struct rf_validator *v, uint64_t now_ns)
{
    run_to(v, now_ns + v->epoch_ns);
}

uint64_t rf_validator_deadline(const struct rf_validator *v)
{
    return next_ns(v) - v->epoch_ns;
}

const struct rf_banks *rf_validator_banks(const struct rf_validator *v)
{
    return &v->banks;
}

const char *rf_validator_program(const struct rf_validator *v, unsigned i)
{
    return i < v->knobs.programs ? v->owner_text[i] : NULL;
}

uint64_t rf_validator_slot(const struct rf_validator *v, uint32_t node, enum rpcfan_commitment c)
{
    return rf_vview_slot(&v->node[node < v->knobs.nodes ? node : 0], c);
}

bool rf_validator_match(struct rf_validator *v, uint32_t key, const struct rf_bank_state *s,
                        unsigned program, struct rpcfan_slice filters)
{
    struct rf_vask ask;
    return rf_vask_filters(filters, &ask) && rf_vaccount_match(v, key, s, (uint16_t)program, &ask);
}

const struct rf_validator_count *rf_validator_counted(const struct rf_validator *v)
{
    return &v->count;
}
