/* vlimit.c - limiters by their definitions: exact integers, no approximation, no mercy.
 *
 * Worked example: a bucket of 50 in 1 s, burst 50. The level is kept in tokens times the window, so
 * that 20 ms are worth 50 * 20e6 = 1e9 = 1 token exactly. A sliding log of 100 in 10 s keeps 100
 * entries; the one of t = 3 s leaves at t = 13 s sharp, and a call at 13 s fits.
 *
 * A refused call that is charged can fill a window, never overdraw it: a log drops its oldest entry
 * where the later ones alone keep it full, and a bucket stops at empty. */
#include "sim/vlimit.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

bool rf_vlimit_covers(const struct rf_vlimit *l, const struct rf_vask *ask)
{
    return l->kind != RF_VLIMIT_NONE &&
           (l->methods == NULL || rf_pattern_match(l->methods, ask->method, ask->method_len));
}

uint64_t rf_vlimit_count(const struct rf_vlimit *l, uint64_t now_ns)
{
    uint64_t count = l->count;
    for (uint32_t i = 0; i < l->n_steps && l->step[i].at_ns <= now_ns; i++)
        count = l->step[i].count;
    return count;
}

static uint64_t burst_of(const struct rf_vlimit *l, uint64_t count)
{
    return l->burst > 0 ? l->burst : count;
}

static uint64_t units_of(const struct rf_vlimit *l, const struct rf_vask *ask)
{
    if (l->unit == RF_VUNIT_REQUESTS)
        return 1;
    return l->unit == RF_VUNIT_CREDITS ? ask->calls * ask->weight : ask->calls;
}

/* Methods beyond the last book share it. */
static struct rf_vlimit_book *find_book(struct rf_vlimit *l, const struct rf_vask *ask)
{
    if (l->book == NULL) {
        l->book = rf_alloc(RF_VLIMIT_BOOKS * sizeof l->book[0]);
        assert(l->book != NULL);
    }
    size_t len = l->each ? rf_min_u64(ask->method_len, sizeof l->book[0].method - 1) : 0;
    for (uint32_t i = 0; i < l->n_books; i++) {
        struct rf_vlimit_book *b = &l->book[i];
        if (strlen(b->method) == len && memcmp(b->method, ask->method, len) == 0)
            return b;
    }
    if (l->n_books == RF_VLIMIT_BOOKS)
        return &l->book[RF_VLIMIT_BOOKS - 1];
    struct rf_vlimit_book *b = &l->book[l->n_books++];
    if (len > 0)
        memcpy(b->method, ask->method, len);
    b->level = RF_NEVER; /* full */
    return b;
}

static struct rf_vlimit_entry *entry_at(const struct rf_vlimit_book *b, uint64_t i)
{
    return &b->entry[(b->head + i) % b->cap];
}

static void add_entry(struct rf_vlimit_book *b, uint64_t at_ns, uint64_t units)
{
    if (b->n == b->cap) {
        uint64_t cap = b->cap == 0 ? 64 : b->cap * 2;
        struct rf_vlimit_entry *grown = rf_alloc(cap * sizeof *grown);
        assert(grown != NULL);
        for (uint64_t i = 0; i < b->n; i++)
            grown[i] = *entry_at(b, i);
        rf_free(b->entry);
        b->entry = grown;
        b->head = 0;
        b->cap = cap;
    }
    *entry_at(b, b->n++) = (struct rf_vlimit_entry){at_ns, units};
    b->sum += units;
}

static void drop_oldest(struct rf_vlimit_book *b)
{
    b->sum -= entry_at(b, 0)->units;
    b->head = (b->head + 1) % b->cap;
    b->n--;
}

/* Work ends in any order. */
static void drop_ended(struct rf_vlimit_book *b, uint64_t now_ns)
{
    uint64_t kept = 0;
    for (uint64_t i = 0; i < b->n; i++) {
        struct rf_vlimit_entry e = *entry_at(b, i);
        if (e.at_ns > now_ns)
            *entry_at(b, kept++) = e;
        else
            b->sum -= e.units;
    }
    b->n = kept;
}

static void fill_bucket(const struct rf_vlimit *l, struct rf_vlimit_book *b, uint64_t count,
                        uint64_t now_ns)
{
    uint64_t full = burst_of(l, count) * l->window_ns;
    uint64_t passed = now_ns - b->at_ns;
    b->at_ns = now_ns;
    if (b->level >= full || count == 0 || passed > (full - b->level) / count)
        b->level = count == 0 ? rf_min_u64(b->level, full) : full;
    else
        b->level += passed * count;
}

/* The book at this time. @param now_ns in and out: never before an earlier one. */
static struct rf_vlimit_book *look(struct rf_vlimit *l, const struct rf_vask *ask,
                                   uint64_t *now_ns)
{
    *now_ns = l->now_ns = rf_max_u64(l->now_ns, *now_ns);
    struct rf_vlimit_book *b = find_book(l, ask);
    switch (l->kind) {
    case RF_VLIMIT_NONE:
        break;
    case RF_VLIMIT_FIXED: {
        uint64_t window = (*now_ns + l->phase_ns) / l->window_ns;
        if (window != b->window)
            b->used = 0;
        b->window = window;
        break;
    }
    case RF_VLIMIT_SLIDING:
        while (b->n > 0 && rf_time_add(entry_at(b, 0)->at_ns, l->window_ns) <= *now_ns)
            drop_oldest(b);
        break;
    case RF_VLIMIT_BUCKET:
        fill_bucket(l, b, rf_vlimit_count(l, *now_ns), *now_ns);
        break;
    case RF_VLIMIT_CONCURRENT:
        drop_ended(b, *now_ns);
        break;
    }
    return b;
}

static uint64_t left(const struct rf_vlimit *l, const struct rf_vlimit_book *b, uint64_t now_ns)
{
    uint64_t count = rf_vlimit_count(l, now_ns);
    switch (l->kind) {
    case RF_VLIMIT_NONE:
        return RF_NEVER;
    case RF_VLIMIT_FIXED:
        return rf_time_sub(count, b->used);
    case RF_VLIMIT_BUCKET:
        return b->level / l->window_ns;
    case RF_VLIMIT_SLIDING:
    case RF_VLIMIT_CONCURRENT:
        return rf_time_sub(count, b->sum);
    }
    return 0;
}

uint64_t rf_vlimit_left(struct rf_vlimit *l, const struct rf_vask *ask, uint64_t now_ns)
{
    const struct rf_vlimit_book *b = look(l, ask, &now_ns);
    return left(l, b, now_ns);
}

bool rf_vlimit_fits(struct rf_vlimit *l, const struct rf_vask *ask, uint64_t now_ns)
{
    return rf_vlimit_left(l, ask, now_ns) >= units_of(l, ask);
}

static void charge(struct rf_vlimit *l, struct rf_vlimit_book *b, uint64_t units, uint64_t at_ns)
{
    if (l->kind == RF_VLIMIT_FIXED)
        b->used += units;
    else if (l->kind == RF_VLIMIT_BUCKET)
        b->level = rf_time_sub(b->level, units * l->window_ns);
    else if (l->kind != RF_VLIMIT_NONE)
        add_entry(b, at_ns, units);
}

void rf_vlimit_take(struct rf_vlimit *l, const struct rf_vask *ask, uint64_t now_ns,
                    uint64_t until_ns)
{
    struct rf_vlimit_book *b = look(l, ask, &now_ns);
    uint64_t units = units_of(l, ask);
    charge(l, b, units, l->kind == RF_VLIMIT_CONCURRENT ? until_ns : now_ns);
    l->admitted += units;
}

void rf_vlimit_refuse(struct rf_vlimit *l, const struct rf_vask *ask, uint64_t now_ns)
{
    struct rf_vlimit_book *b = look(l, ask, &now_ns);
    uint64_t units = units_of(l, ask), count = rf_vlimit_count(l, now_ns);
    l->refused += units;
    if (!l->charge_refused || l->kind == RF_VLIMIT_CONCURRENT)
        return;
    charge(l, b, units, now_ns);
    while (l->kind == RF_VLIMIT_SLIDING && b->n > 1 && b->sum - entry_at(b, 0)->units >= count)
        drop_oldest(b);
}

/* When the entries that stand in the way are gone. */
static uint64_t wait_log(const struct rf_vlimit_book *b, uint64_t units, uint64_t count,
                         uint64_t stay_ns, uint64_t now_ns)
{
    uint64_t sum = b->sum;
    for (uint64_t i = 0; i < b->n; i++) {
        sum -= entry_at(b, i)->units;
        if (sum + units <= count)
            return rf_time_sub(rf_time_add(entry_at(b, i)->at_ns, stay_ns), now_ns);
    }
    return RF_NEVER;
}

/* Until the first of the work ends: then it is worth asking again. */
static uint64_t wait_work(const struct rf_vlimit_book *b, uint64_t now_ns)
{
    uint64_t first = RF_NEVER;
    for (uint64_t i = 0; i < b->n; i++)
        first = rf_min_u64(first, entry_at(b, i)->at_ns);
    return first == RF_NEVER ? RF_NEVER : first - now_ns;
}

uint64_t rf_vlimit_wait(struct rf_vlimit *l, const struct rf_vask *ask, uint64_t now_ns)
{
    const struct rf_vlimit_book *b = look(l, ask, &now_ns);
    uint64_t units = units_of(l, ask), count = rf_vlimit_count(l, now_ns);
    if (left(l, b, now_ns) >= units)
        return 0;
    switch (l->kind) {
    case RF_VLIMIT_NONE:
        return 0;
    case RF_VLIMIT_FIXED:
        return units > count ? RF_NEVER : l->window_ns - (now_ns + l->phase_ns) % l->window_ns;
    case RF_VLIMIT_SLIDING:
        return wait_log(b, units, count, l->window_ns, now_ns);
    case RF_VLIMIT_BUCKET:
        if (units > burst_of(l, count) || count == 0)
            return RF_NEVER;
        return (units * l->window_ns - b->level + count - 1) / count;
    case RF_VLIMIT_CONCURRENT:
        return units > count ? RF_NEVER : wait_work(b, now_ns);
    }
    return 0;
}

void rf_vlimit_fini(struct rf_vlimit *l)
{
    for (uint32_t i = 0; i < l->n_books; i++)
        rf_free(l->book[i].entry);
    rf_free(l->book);
    l->book = NULL;
    l->n_books = 0;
}
