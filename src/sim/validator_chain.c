/* validator_chain.c - the cluster of the virtual validator: what each slot brings.
 *
 * One step a slot. The bank that was begun a slot ago is frozen and is the tip. A fork is a second
 * chain from an ancestor that is not confirmed; banks then go to either by chance, the tip may jump
 * between them, nothing behind the point where they part is confirmed, and in the end chance says
 * which one stays, be its tip lower or not. Confirmed follows the tip by `confirm-lag` banks, the
 * root by `finalize-lag`; where one was held back it jumps. Then the next bank is begun, or the
 * slot is skipped. Nodes apply the steps, each at its time. */
#include "base/mem.h"
#include "sim/validator_int.h"

static struct rf_bank *bank_of(const struct rf_validator *v, uint64_t slot)
{
    return rf_banks_get(&v->banks, slot);
}

bool rf_vchain_begin(struct rf_validator *v, uint64_t at_ns)
{
    struct rf_vchain *c = &v->chain;
    c->steps = rf_alloc(RF_VALIDATOR_STEPS * sizeof *c->steps);
    if (c->steps == NULL)
        return false;
    struct rf_bank *first = rf_banks_create(&v->banks, v->knobs.start, v->knobs.start);
    first->frozen = true;
    c->main_tip = v->knobs.start;
    c->slot = v->knobs.start + 1;
    c->next_ns = at_ns;
    return rf_vledger_begin(v, first);
}

/* The bank so many back from one; the oldest that is kept at the most. */
static struct rf_bank *back(const struct rf_validator *v, struct rf_bank *bank, uint64_t by)
{
    while (by-- > 0) {
        struct rf_bank *up = bank_of(v, bank->parent);
        if (up == NULL || up == bank)
            break;
        bank = up;
    }
    return bank;
}

/* What was begun is done: it is the tip, or the tip of the rival, of which one is the node's
 * choice. */
static void freeze(struct rf_validator *v)
{
    struct rf_vchain *c = &v->chain;
    if (c->pending != 0) {
        struct rf_bank *bank = bank_of(v, c->pending);
        if (bank != NULL)
            bank->frozen = true;
        if (c->pending_side)
            c->side_tip = c->pending;
        else
            c->main_tip = c->pending;
        c->pending = 0;
    }
    if (c->side_tip != 0 && rf_rng_below(&c->rng, 4) == 0)
        c->on_side = !c->on_side;
    v->banks.tip = c->side_tip != 0 && c->on_side ? c->side_tip : c->main_tip;
}

/* The fork ends: one of the two stays. */
static void resolve(struct rf_validator *v)
{
    struct rf_vchain *c = &v->chain;
    if (c->fork_left > 0 || c->fork_point == 0)
        return;
    if (c->side_tip != 0 && rf_rng_below(&c->rng, 2) == 0) {
        c->main_tip = c->side_tip;
        v->count.switches++;
    }
    c->side_tip = c->fork_point = 0;
    c->on_side = false;
    v->banks.tip = c->main_tip;
}

static void confirm(struct rf_validator *v)
{
    struct rf_vchain *c = &v->chain;
    if (rf_vchance(&c->rng, v->knobs.confirm_hold))
        return;
    struct rf_bank *bank = back(v, bank_of(v, c->main_tip), v->knobs.confirm_lag);
    uint64_t slot = c->fork_point == 0 ? bank->slot : rf_min_u64(bank->slot, c->fork_point);
    v->banks.confirmed = rf_max_u64(v->banks.confirmed, slot);
}

static void root(struct rf_validator *v)
{
    struct rf_vchain *c = &v->chain;
    if (rf_vchance(&c->rng, v->knobs.root_hold))
        return;
    struct rf_bank *bank = back(v, bank_of(v, c->main_tip), v->knobs.finalize_lag);
    if (bank->slot > v->banks.root && bank->slot <= v->banks.confirmed)
        rf_banks_set_root(&v->banks, bank->slot);
}

/* Where a fork begins: some banks back, but never before what is confirmed. */
static void begin_fork(struct rf_validator *v)
{
    struct rf_vchain *c = &v->chain;
    uint64_t deep = 1 + rf_rng_below(&c->rng, v->knobs.fork_depth);
    struct rf_bank *at = bank_of(v, c->main_tip);
    for (; deep > 0 && at->slot > v->banks.confirmed; deep--)
        at = bank_of(v, at->parent);
    if (at->slot == c->main_tip)
        return;
    c->fork_point = at->slot;
    c->fork_left = 1 + rf_rng_below(&c->rng, 2 * v->knobs.fork_depth);
    v->count.forks++;
}

/* Begin the bank of this slot. @return it, or NULL: skipped. */
static struct rf_bank *begin_bank(struct rf_validator *v, uint64_t slot)
{
    struct rf_vchain *c = &v->chain;
    if (c->fork_point == 0 && rf_vchance(&c->rng, v->knobs.fork))
        begin_fork(v);
    bool side = c->fork_point != 0 && rf_rng_below(&c->rng, 2) == 0;
    if (rf_vchance(&c->rng, v->knobs.skip)) {
        v->count.skipped++;
        return NULL;
    }
    if (c->fork_left > 0)
        c->fork_left--;
    uint64_t parent = !side ? c->main_tip : c->side_tip != 0 ? c->side_tip : c->fork_point;
    struct rf_bank *bank = rf_banks_create(&v->banks, slot, parent);
    rf_vledger_write(v, bank);
    c->pending = slot;
    c->pending_side = side;
    return bank;
}

/* Banks that no node looks at any more may be forgotten. */
static void prune(struct rf_validator *v)
{
    uint64_t floor = v->banks.root;
    for (uint32_t i = 0; i < v->knobs.nodes; i++)
        floor = rf_min_u64(floor, v->node[i].root);
    if (floor > v->banks.floor)
        rf_banks_set_floor(&v->banks, floor);
}

void rf_vchain_tick(struct rf_validator *v)
{
    struct rf_vchain *c = &v->chain;
    uint64_t slot = c->slot++;
    prune(v);
    freeze(v);
    resolve(v);
    confirm(v);
    root(v);
    const struct rf_bank *bank = begin_bank(v, slot);
    c->steps[c->n_steps++ % RF_VALIDATOR_STEPS] = (struct rf_vstep){
        .at_ns = c->next_ns,
        .created = bank == NULL ? 0 : slot,
        .parent = bank == NULL ? 0 : bank->parent,
        .tip = v->banks.tip,
        .confirmed = v->banks.confirmed,
        .root = v->banks.root,
    };
    c->next_ns += v->knobs.slot_ms * RF_MS;
    v->count.slots++;
}
