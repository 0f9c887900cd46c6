/* feed_data.c - reads what is told: notifications of accounts and of the program, answers and their
 * rows. What cannot be read is counted, and the account read again; nothing of it is merged. */
#include <string.h>

#include "base/pubkey.h"
#include "feed/feed_int.h"
#include "json/walk.h"

static bool is_null(struct rpcfan_slice s)
{
    return s.len == 4 && memcmp(s.data, "null", 4) == 0;
}

bool rf_feed_data_context(struct rpcfan_slice json, uint64_t *slot, struct rpcfan_slice *value)
{
    struct rf_walk w;
    struct rpcfan_slice name, v, number;
    bool has_slot = false, has_value = false;
    if (!rf_walk_enter(&w, json, '{'))
        return false;
    while (rf_walk_name(&w, &name)) {
        if (!rf_walk_value(&w, &v))
            return false;
        if (name.len == 7 && memcmp(name.data, "context", 7) == 0) {
            if (has_slot || !RF_WALK_MEMBER(v, "slot", &number) || number.len == 0 ||
                number.data[0] == '"' || !rf_walk_number(number, slot))
                return false;
            has_slot = true;
        } else if (name.len == 5 && memcmp(name.data, "value", 5) == 0) {
            if (has_value)
                return false;
            *value = v;
            has_value = true;
        }
    }
    return has_slot && has_value;
}

bool rf_feed_data_row(struct rpcfan_slice json, uint8_t key[32], struct rpcfan_slice *account)
{
    struct rf_walk w;
    struct rpcfan_slice name, v;
    bool has_key = false, has_account = false;
    *account = (struct rpcfan_slice){0};
    if (!rf_walk_enter(&w, json, '{'))
        return false;
    while (rf_walk_name(&w, &name)) {
        if (!rf_walk_value(&w, &v))
            return false;
        if (name.len == 6 && memcmp(name.data, "pubkey", 6) == 0) {
            if (has_key || v.len < 2 || v.data[0] != '"' ||
                !rf_pubkey_decode(v.data + 1, v.len - 2, key))
                return false;
            has_key = true;
        } else if (name.len == 7 && memcmp(name.data, "account", 7) == 0) {
            if (has_account)
                return false;
            *account = v;
            has_account = true;
        }
    }
    return has_key && has_account;
}

bool rf_feed_data_found(struct rf_feed *f, uint32_t number, struct rpcfan_slice json,
                        struct rf_feed_news *n)
{
    struct rf_content c;
    (void)number;
    n->there = n->left = false;
    n->hash = 0;
    n->json = (struct rpcfan_slice){0};
    if (is_null(json))
        return true;
    if (!rf_content_read(json, &c))
        return false;
    if (c.lamports == 0)
        return true; /* an account without lamports is none */
    if (f->program &&
        (memcmp(c.owner, f->program_key, 32) != 0 || !rf_filters_match(&f->filter, &c))) {
        n->left = true;
        return true;
    }
    n->there = true;
    n->hash = c.hash;
    n->json = json;
    return true;
}

bool rf_feed_data_buried(struct rf_feed *f, uint32_t number, uint64_t slot)
{
    if ((rf_keys_at(&f->keys, number)->flags & RF_KEY_KNOWN) != 0 || slot > f->tomb_slot)
        return false;
    rf_feed_dirty(f, number, f->covered);
    return true;
}

/* Read the account, as of what was told of it. At "confirmed" no read is of before the slot that
 * was told; where that is not known, and at "processed", where reads may be of any slot since the
 * root, it is the tip. */
static void read_later(struct rf_feed *f, uint32_t number, uint64_t told)
{
    bool tip = told == 0 || f->commitment == RPCFAN_PROCESSED;
    if (tip && f->program)
        f->fence_max = rf_max_u64(f->fence_max, f->tip);
    else if (tip)
        rf_feed_cover_lost(f, number, "a notification cannot be read");
    rf_feed_dirty(f, number, f->covered);
}

/* Something of this account was told, and cannot be used: read it. */
static void unreadable(struct rf_feed *f, uint32_t number, struct rf_feed_news *n)
{
    n->since = (f->commitment == RPCFAN_FINALIZED ? f->heard : f->covered) + 1;
    f->count.malformed++;
    rf_feed_why(f, "a notification cannot be read");
    if (number == RF_KEY_NONE)
        rf_feed_cover_again(f, "a notification cannot be read");
    else if (f->commitment == RPCFAN_FINALIZED && n->slot != 0)
        rf_feed_pending_add(f, number, n, true);
    else
        read_later(f, number, n->slot);
}

/* The account that a notification is about. */
static uint32_t about(struct rf_feed *f, const struct rf_note *note, struct rpcfan_slice value,
                      struct rpcfan_slice *account, bool *lost)
{
    uint8_t key[32];
    *lost = false;
    *account = value;
    if (!f->program)
        return (uint32_t)(note->tag - 1);
    if (!rf_feed_data_row(value, key, account))
        return RF_KEY_NONE;
    uint32_t number = rf_feed_account(f, key);
    *lost = number == RF_KEY_NONE;
    return number;
}

void rf_feed_data_note(struct rf_feed *f, const struct rf_note *note)
{
    struct rf_feed_news n = {.session = note->session, .blob = note->blob, .live = true};
    struct rf_feed_session *s = rf_feed_session_of(f, note->session);
    struct rpcfan_slice value = {0}, account = {0};
    bool lost;
    f->count.notes++;
    if (s == NULL || note->tag == 0 || note->tag > f->n_units)
        return;
    n.backing = f->program && f->n_units == 2 && note->tag == 1;
    if (!rf_feed_data_context(note->json, &n.slot, &value)) {
        n.slot = 0;
        unreadable(f, f->program ? RF_KEY_NONE : (uint32_t)(note->tag - 1), &n);
        return;
    }
    uint32_t number = about(f, note, value, &account, &lost);
    if (lost)
        return;
    if (number != RF_KEY_NONE && f->tip == 0)
        return; /* before the first slot of all: the fence comes later, and a read with it */
    if (number == RF_KEY_NONE || !rf_feed_cover_data(f, s, n.slot)) {
        n.slot = 0;
        unreadable(f, number, &n);
        return;
    }
    n.since = (f->commitment == RPCFAN_FINALIZED ? f->heard : f->covered) + 1;
    if (f->commitment == RPCFAN_CONFIRMED)
        rf_feed_read_tip(f, n.slot);
    else if (f->commitment == RPCFAN_PROCESSED && !n.backing)
        rf_feed_forks_tip(f, n.session, n.slot);
    if (!rf_feed_data_found(f, number, account, &n) || (n.left && f->program)) {
        unreadable(f, number, &n); /* a program's subscription tells of what it owns alone */
        return;
    }
    f->recent[f->n_recent++ % RF_FEED_RECENT] = number;
    if (f->commitment == RPCFAN_FINALIZED)
        rf_feed_pending_add(f, number, &n, false);
    else if (!rf_feed_data_buried(f, number, n.slot))
        rf_feed_merge(f, number, &n);
}
