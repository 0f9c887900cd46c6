/* validator_ledger.c - what the accounts of the virtual validator go through: made, written,
 * written with what they hold already, closed, made again, closed and made again within one slot,
 * given to another owner and back, resized, moved out of a filter and into it. */
#include <string.h>

#include "base/base58.h"
#include "sim/validator_int.h"

#define HOT_KEYS 4
#define GROUP_BITS (UINT64_C(3) << 62)

uint64_t rf_vmix(uint64_t a, uint64_t b)
{
    uint64_t z = a * UINT64_C(0x9e3779b97f4a7c15) + b * UINT64_C(0xd1342543de82ef95) + 1;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

bool rf_vchance(struct rf_rng *rng, uint64_t permille)
{
    return permille > 0 && rf_rng_below(rng, 1000) < permille;
}

/* An id that depends on its number alone: known in advance, whatever the seed. */
static void make_id(uint64_t kind, uint64_t i, uint8_t id[32])
{
    for (unsigned w = 0; w < 4; w++) {
        uint64_t word = rf_vmix(kind + w, i);
        memcpy(id + 8 * w, &word, 8);
    }
}

static void set_owner(struct rf_validator *v, uint64_t i, const uint8_t id[32])
{
    memcpy(v->owner_id[i], id, 32);
    v->owner_text[i][rf_base58_encode(id, 32, v->owner_text[i])] = '\0';
}

/* Program ids; behind them the System program and one that nobody watches. */
static void make_owners(struct rf_validator *v)
{
    uint8_t id[32];
    for (uint64_t i = 0; i < v->knobs.programs; i++) {
        make_id(1000, i, id);
        set_owner(v, i, i == 0 && v->knobs.has_program_id ? v->knobs.program_id : id);
    }
    memset(id, 0, sizeof id);
    set_owner(v, v->knobs.programs, id);
    make_id(1000, UINT64_MAX, id);
    set_owner(v, v->knobs.programs + 1, id);
}

static uint32_t size_of(const struct rf_validator *v, uint32_t key)
{
    const struct rf_vknobs *k = &v->knobs;
    return k->n_sizes == 0 ? (uint32_t)k->size : k->sizes[key % k->n_sizes];
}

/* Some lamports, never none. */
static uint64_t some_lamports(struct rf_rng *rng)
{
    uint64_t n = rf_rng_next(rng);
    return rf_vchance(rng, 5) ? n | 1 : 890880 + n % UINT64_C(5000000000);
}

static void make_account(struct rf_validator *v, uint32_t key, struct rf_bank_state *s)
{
    *s = (struct rf_bank_state){.lamports = some_lamports(&v->world_rng),
                                .content = rf_rng_next(&v->world_rng),
                                .size = size_of(v, key),
                                .owner = v->banks.key[key].home};
}

static void write_state(struct rf_validator *v, struct rf_bank *bank, uint32_t key,
                        struct rf_bank_state *s)
{
    s->hash = rf_vaccount_hash(v, key, s);
    rf_banks_write(&v->banks, bank, key, s);
    v->count.writes++;
}

bool rf_vledger_begin(struct rf_validator *v, struct rf_bank *first)
{
    make_owners(v);
    uint64_t n = v->knobs.programs * v->knobs.keys;
    for (uint64_t i = 0; i < n; i++) {
        uint8_t id[32];
        struct rf_bank_state s;
        make_id(2000, i, id);
        uint32_t key = rf_banks_add_key(&v->banks, id, (uint16_t)(i % v->knobs.programs));
        if (key == RF_BANK_NONE)
            return false;
        if (rf_vchance(&v->world_rng, v->knobs.absent))
            continue;
        make_account(v, key, &s);
        write_state(v, first, key, &s);
    }
    return v->banks.no_memory == 0;
}

/* The owner that an account is given to: another program, System, or one nobody watches. Given away
 * it comes home. */
static uint16_t other_owner(struct rf_validator *v, uint32_t key, const struct rf_bank_state *s)
{
    uint16_t home = v->banks.key[key].home;
    uint64_t to = rf_rng_below(&v->world_rng, v->knobs.programs + 2);
    if (s->owner != home)
        return home;
    return (uint16_t)(to == home ? v->knobs.programs + 1 : to);
}

static void update(struct rf_validator *v, struct rf_bank_state *s)
{
    uint64_t content = rf_rng_next(&v->world_rng), group = content & GROUP_BITS;
    if (!rf_vchance(&v->world_rng, v->knobs.regroup))
        group = s->content & GROUP_BITS;
    s->content = (content & ~GROUP_BITS) | group;
    if (rf_vchance(&v->world_rng, 300))
        s->lamports = some_lamports(&v->world_rng);
}

/* What becomes of an account that is there: one draw decides. */
static void change(struct rf_validator *v, uint32_t key, struct rf_bank_state *s)
{
    const struct rf_vknobs *k = &v->knobs;
    uint64_t r = rf_rng_below(&v->world_rng, 1000);
    if (r < k->close) {
        *s = (struct rf_bank_state){.owner = (uint16_t)k->programs};
    } else if (r < k->close + k->equal) {
        return; /* written with what it holds */
    } else if (r < k->close + k->equal + k->reopen) {
        make_account(v, key, s); /* closed and made again: one state in the end */
    } else if (r < k->close + k->equal + k->reopen + k->reassign) {
        s->owner = other_owner(v, key, s);
    } else if (r < k->close + k->equal + k->reopen + k->reassign + k->resize) {
        s->size = s->size == size_of(v, key) ? s->size / 2 : size_of(v, key);
        update(v, s);
    } else {
        update(v, s);
    }
}

static uint32_t pick_key(struct rf_validator *v)
{
    uint64_t n = v->banks.n_keys;
    if (rf_vchance(&v->world_rng, v->knobs.hot))
        n = rf_min_u64(n, HOT_KEYS);
    return (uint32_t)rf_rng_below(&v->world_rng, n);
}

void rf_vledger_write(struct rf_validator *v, struct rf_bank *bank)
{
    uint64_t mean = v->knobs.writes, n = mean / 2;
    if (v->banks.n_keys == 0 || mean == 0)
        return;
    n += rf_rng_below(&v->world_rng, 2 * (mean - n) + 1);
    while (n-- > 0) {
        uint32_t key = pick_key(v);
        const struct rf_bank_state *now = rf_banks_state(&v->banks, bank, key);
        struct rf_bank_state s;
        if (now != NULL && now->slot == bank->slot)
            continue; /* a bank has one state of it */
        if (rf_vaccount_there(now)) {
            s = *now;
            change(v, key, &s);
        } else if (rf_vchance(&v->world_rng, v->knobs.create)) {
            make_account(v, key, &s);
        } else {
            continue;
        }
        write_state(v, bank, key, &s);
    }
}

size_t rf_vledger_signature(uint64_t slot, uint32_t key, char *out)
{
    uint8_t bytes[64];
    make_id(slot, key, bytes);
    make_id(key, slot, bytes + 32);
    return rf_base58_encode(bytes, sizeof bytes, out);
}
