/* validator_view.c - one node of the virtual cluster: how far it has come, and its notifier.
 *
 * A node applies the cluster's steps, each as late as its lag says. What subscriptions are to be
 * told waits in one queue, first in, first out, for the notifier, which may be late: then it looks
 * for banks that the root has passed, and finds nothing (R6). Subscriptions themselves go through
 * the same queue, so that what was queued before them may still be told after the reply (R14). */
#include <stdio.h>

#include "base/mem.h"
#include "sim/validator_int.h"

static uint64_t lag_of(const struct rf_validator *v, const struct rf_vview *n)
{
    return (n == &v->node[0] ? v->knobs.lag : v->knobs.lag2) * RF_MS;
}

uint64_t rf_vview_slot(const struct rf_vview *n, enum rpcfan_commitment c)
{
    return c == RPCFAN_PROCESSED ? n->tip : c == RPCFAN_FINALIZED ? n->root : n->confirmed;
}

void rf_vview_job(struct rf_validator *v, struct rf_vview *n, const struct rf_vjob *job)
{
    if (n->job_n == n->job_cap) {
        uint64_t cap = n->job_cap == 0 ? 256 : 2 * n->job_cap;
        struct rf_vjob *p = rf_alloc(cap * sizeof *p);
        if (p == NULL) {
            v->count.no_memory++;
            return;
        }
        for (uint64_t i = 0; i < n->job_n; i++)
            p[i] = n->job[(n->job_head + i) % n->job_cap];
        rf_free(n->job);
        n->job = p;
        n->job_head = 0;
        n->job_cap = cap;
    }
    n->job[(n->job_head + n->job_n++) % n->job_cap] = *job;
}

static void queue(struct rf_validator *v, struct rf_vview *n, struct rf_vjob job)
{
    job.at_ns = rf_time_add(n->applied_ns, v->knobs.notify_ms * RF_MS);
    rf_vview_job(v, n, &job);
}

/* Every bank from above `from` up to `to`, in ascending order: walk down once and count, then queue
 * from the lowest. */
static void queue_chain(struct rf_validator *v, struct rf_vview *n, enum rf_vjob_kind kind,
                        uint64_t from, uint64_t to)
{
    uint64_t chain[RF_BANK_SPAN];
    size_t len = 0;
    const struct rf_bank *bank = rf_banks_get(&v->banks, to);
    while (bank != NULL && bank->slot > from && len < RF_COUNT(chain)) {
        chain[len++] = bank->slot;
        bank = rf_banks_get(&v->banks, bank->parent);
    }
    while (len-- > 0)
        queue(v, n, (struct rf_vjob){.kind = kind, .a = chain[len]});
}

/* One step of the cluster arrives. */
static void apply(struct rf_validator *v, struct rf_vview *n, const struct rf_vstep *step)
{
    bool tip = step->tip != n->tip, root = step->root != n->root;
    n->tip = step->tip;
    if (tip)
        queue(v, n, (struct rf_vjob){.kind = RF_VJOB_PROCESSED, .a = step->tip});
    queue_chain(v, n, RF_VJOB_CONFIRMED, n->confirmed, step->confirmed);
    n->confirmed = step->confirmed;
    if (root) {
        queue_chain(v, n, RF_VJOB_ROOT, n->root, step->root);
        queue(v, n, (struct rf_vjob){.kind = RF_VJOB_FINALIZED, .a = step->root});
        n->root = step->root;
    }
    if (step->created != 0)
        queue(v, n,
              (struct rf_vjob){
                  .kind = RF_VJOB_SLOT, .a = step->created, .b = step->parent, .c = step->root});
    if (rf_vchance(&v->fault_rng, v->knobs.backlog))
        n->stuck_ns = rf_time_add(n->applied_ns, v->knobs.backlog_ms * RF_MS);
}

static uint64_t step_at(const struct rf_validator *v, const struct rf_vview *n)
{
    if (n->next_step == v->chain.n_steps)
        return RF_NEVER;
    return v->chain.steps[n->next_step % RF_VALIDATOR_STEPS].at_ns + lag_of(v, n);
}

static uint64_t job_at(const struct rf_vview *n)
{
    return n->job_n == 0 ? RF_NEVER : rf_max_u64(n->job[n->job_head].at_ns, n->stuck_ns);
}

uint64_t rf_vview_next(const struct rf_validator *v, const struct rf_vview *n)
{
    return rf_min_u64(step_at(v, n), job_at(n));
}

static void tell_slot(struct rf_validator *v, struct rf_vview *n, const struct rf_vjob *job)
{
    char text[128];
    snprintf(text, sizeof text, "{\"parent\":%llu,\"root\":%llu,\"slot\":%llu}",
             (unsigned long long)job->b, (unsigned long long)job->c, (unsigned long long)job->a);
    rf_vsubs_tell(v, n, RF_VSUB_SLOT, text);
    snprintf(text, sizeof text,
             "{\"parent\":%llu,\"slot\":%llu,\"timestamp\":%llu,\"type\":\"createdBank\"}",
             (unsigned long long)job->b, (unsigned long long)job->a,
             (unsigned long long)(v->now_ns / RF_MS));
    rf_vsubs_tell(v, n, RF_VSUB_UPDATES, text);
}

static void tell_update(struct rf_validator *v, struct rf_vview *n, uint64_t slot, const char *type)
{
    char text[128];
    snprintf(text, sizeof text, "{\"slot\":%llu,\"timestamp\":%llu,\"type\":\"%s\"}",
             (unsigned long long)slot, (unsigned long long)(v->now_ns / RF_MS), type);
    rf_vsubs_tell(v, n, RF_VSUB_UPDATES, text);
}

/* The notifier looks the bank up now, not when the job was made. */
static void tell_bank(struct rf_validator *v, struct rf_vview *n, uint64_t slot,
                      enum rpcfan_commitment c)
{
    struct rf_bank *bank = slot >= n->root ? rf_banks_get(&v->banks, slot) : NULL;
    if (bank == NULL)
        v->count.pruned++;
    else
        rf_vsubs_bank(v, n, bank, c);
}

static void run_job(struct rf_validator *v, struct rf_vview *n, const struct rf_vjob *job)
{
    char text[24];
    switch (job->kind) {
    case RF_VJOB_SLOT:
        tell_slot(v, n, job);
        break;
    case RF_VJOB_ROOT:
        text[rf_u64_text(job->a, text)] = '\0';
        rf_vsubs_tell(v, n, RF_VSUB_ROOT, text);
        tell_update(v, n, job->a, "root");
        break;
    case RF_VJOB_PROCESSED:
        tell_bank(v, n, job->a, RPCFAN_PROCESSED);
        break;
    case RF_VJOB_CONFIRMED:
        tell_update(v, n, job->a, "optimisticConfirmation");
        tell_bank(v, n, job->a, RPCFAN_CONFIRMED);
        break;
    case RF_VJOB_FINALIZED:
        tell_bank(v, n, job->a, RPCFAN_FINALIZED);
        break;
    case RF_VJOB_SUBSCRIBED:
        rf_vsubs_activate(v, n, job->a);
        break;
    }
}

void rf_vview_go(struct rf_validator *v, uint32_t node)
{
    struct rf_vview *n = &v->node[node];
    if (step_at(v, n) <= job_at(n)) {
        n->applied_ns = v->now_ns;
        apply(v, n, &v->chain.steps[n->next_step++ % RF_VALIDATOR_STEPS]);
        rf_vws_slot(v, node);
        return;
    }
    struct rf_vjob job = n->job[n->job_head];
    n->job_head = (n->job_head + 1) % n->job_cap;
    n->job_n--;
    run_job(v, n, &job);
}

void rf_vview_begin(struct rf_validator *v, uint32_t node)
{
    struct rf_vview *n = &v->node[node];
    for (unsigned i = 0; i < RF_VALIDATOR_BUCKETS; i++) {
        rf_list_init(&n->by_id[i]);
        rf_list_init(&n->by_params[i]);
    }
    n->tip = n->confirmed = n->root = v->knobs.start;
    n->next_id = node * UINT64_C(1000000);
}

void rf_vview_fini(struct rf_vview *n)
{
    rf_free(n->job);
    rf_free(n->sub);
    rf_free(n->spare);
}
