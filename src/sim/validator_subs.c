/* validator_subs.c - the subscriptions of a virtual node, and what they are told of a bank: the
 * server's rules R2 to R6 and R13 of the account feed's algorithm.
 *
 * Ids count for the whole node, and equal requests share one. An account's subscriber is told when
 * the slot that last modified it differs from the one told last: nothing at first, once a slot, and
 * again when a fork takes a write back. A program's is told what this very bank wrote and the
 * program owns now: never of what left it. */
#include <string.h>

#include "base/mem.h"
#include "sim/validator_int.h"

static const char *const names[RF_VSUB_KINDS] = {
    [RF_VSUB_ACCOUNT] = "account",     [RF_VSUB_PROGRAM] = "program", [RF_VSUB_LOGS] = "logs",
    [RF_VSUB_SIGNATURE] = "signature", [RF_VSUB_SLOT] = "slot",       [RF_VSUB_ROOT] = "root",
    [RF_VSUB_UPDATES] = "slotsUpdates"};

/* What makes two requests the same. */
static void canon(const struct rf_vsub *w, struct rf_buf *b)
{
    const struct rf_vask *a = &w->ask;
    rf_buf_printf(b, "%d %d %d %d %d ", (int)w->kind, (int)a->commitment, (int)a->encoding, w->all,
                  a->received);
    rf_buf_add(b, w->target, sizeof w->target);
    for (unsigned i = 0; i < a->n_filters; i++) {
        const struct rf_vfilter *f = &a->filter[i];
        rf_buf_printf(b, " %d %llu %llu ", f->by_size, (unsigned long long)f->size,
                      (unsigned long long)f->offset);
        rf_buf_add(b, f->bytes, f->n);
    }
}

static uint64_t hash_of(const struct rf_buf *b)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < b->len; i++)
        h = (h ^ (uint8_t)b->data[i]) * UINT64_C(0x100000001b3);
    return h ^ (h >> 32);
}

static struct rf_vsub *find_params(struct rf_vview *n, uint64_t hash, const struct rf_buf *b)
{
    struct rf_link *head = &n->by_params[hash % RF_VALIDATOR_BUCKETS];
    for (struct rf_link *l = head->next; l != head; l = l->next) {
        struct rf_vsub *s = RF_CONTAINER(l, struct rf_vsub, by_params);
        if (s->hash == hash && s->n_params == b->len && memcmp(s->params, b->data, b->len) == 0)
            return s;
    }
    return NULL;
}

static struct rf_vsub *find_id(struct rf_vview *n, uint64_t id)
{
    struct rf_link *head = &n->by_id[id % RF_VALIDATOR_BUCKETS];
    for (struct rf_link *l = head->next; l != head; l = l->next) {
        struct rf_vsub *s = RF_CONTAINER(l, struct rf_vsub, by_id);
        if (s->id == id)
            return s;
    }
    return NULL;
}

static bool room_for_one(struct rf_vview *n)
{
    if (n->n_subs < n->cap_subs)
        return true;
    uint64_t cap = n->cap_subs == 0 ? 64 : 2 * n->cap_subs;
    void *subs = rf_realloc(n->sub, cap * sizeof(struct rf_vsub *));
    if (subs == NULL)
        return false;
    n->sub = subs;
    void *spare = rf_realloc(n->spare, cap * sizeof *n->spare);
    if (spare == NULL)
        return false;
    n->spare = spare;
    n->cap_subs = cap;
    return true;
}

static struct rf_vsub *make_sub(struct rf_validator *v, struct rf_vview *n,
                                const struct rf_vsub *want, uint64_t hash)
{
    const struct rf_buf *b = &v->scratch;
    struct rf_vsub *s = room_for_one(n) ? rf_alloc(sizeof *s + b->len) : NULL;
    if (s == NULL)
        return NULL;
    memcpy(s, want, sizeof *want);
    memcpy(s->params, b->data, b->len);
    s->n_params = (uint32_t)b->len;
    s->hash = hash;
    s->id = n->n_spare > 0 ? n->spare[--n->n_spare] : n->next_id++;
    s->index = n->n_subs;
    n->sub[n->n_subs++] = s;
    rf_list_init(&s->refs);
    rf_list_push(&n->by_id[s->id % RF_VALIDATOR_BUCKETS], &s->by_id);
    rf_list_push(&n->by_params[hash % RF_VALIDATOR_BUCKETS], &s->by_params);
    return s;
}

static void free_sub(struct rf_validator *v, struct rf_vview *n, struct rf_vsub *s)
{
    rf_list_remove(&s->by_id);
    rf_list_remove(&s->by_params);
    n->sub[s->index] = n->sub[--n->n_subs];
    n->sub[s->index]->index = s->index;
    if (v->knobs.id_reuse > 0)
        n->spare[n->n_spare++] = s->id;
    rf_free(s);
}

static struct rf_vref *ref_of(const struct rf_vsub *s, const struct rf_vsession *session)
{
    for (struct rf_link *l = s->refs.next; l != &s->refs; l = l->next) {
        struct rf_vref *r = RF_CONTAINER(l, struct rf_vref, of_sub);
        if (r->session == session)
            return r;
    }
    return NULL;
}

static void free_ref(struct rf_validator *v, struct rf_vref *r)
{
    struct rf_vsub *s = r->sub;
    rf_list_remove(&r->of_sub);
    rf_list_remove(&r->of_session);
    r->session->n_refs--;
    if (rf_list_empty(&s->refs))
        free_sub(v, &v->node[r->session->node], s);
    rf_free(r);
}

bool rf_vsubs_add(struct rf_validator *v, struct rf_vsession *session, const struct rf_vsub *want,
                  uint64_t *id)
{
    struct rf_vview *n = &v->node[session->node];
    rf_buf_reset(&v->scratch, SIZE_MAX);
    canon(want, &v->scratch);
    uint64_t hash = hash_of(&v->scratch);
    struct rf_vsub *s = find_params(n, hash, &v->scratch);
    if (s != NULL && ref_of(s, session) != NULL) {
        *id = s->id; /* agave answers the same id and still ends it with one unsubscribe */
        return true;
    }
    struct rf_vref *r = rf_alloc(sizeof *r);
    bool fresh = s == NULL;
    if (r != NULL && fresh)
        s = make_sub(v, n, want, hash);
    if (r == NULL || s == NULL) {
        rf_free(r);
        v->count.no_memory++;
        return false;
    }
    r->sub = s;
    r->session = session;
    rf_list_push(&s->refs, &r->of_sub);
    rf_list_push(&session->refs, &r->of_session);
    session->n_refs++;
    *id = s->id;
    if (fresh)
        rf_vview_job(v, n,
                     &(struct rf_vjob){.kind = RF_VJOB_SUBSCRIBED,
                                       .at_ns = v->now_ns + v->knobs.notify_ms * RF_MS,
                                       .a = s->id});
    return true;
}

bool rf_vsubs_remove(struct rf_validator *v, struct rf_vsession *session, uint64_t id)
{
    struct rf_vsub *s = find_id(&v->node[session->node], id);
    struct rf_vref *r = s == NULL ? NULL : ref_of(s, session);
    if (r == NULL)
        return false;
    free_ref(v, r);
    return true;
}

void rf_vsubs_forget(struct rf_validator *v, struct rf_vsession *session)
{
    while (!rf_list_empty(&session->refs))
        free_ref(v, RF_CONTAINER(session->refs.next, struct rf_vref, of_session));
}

/* Send what stands in v->text as the result of a notification. */
static void notify(struct rf_validator *v, struct rf_vsub *s)
{
    struct rf_buf *f = &v->frame;
    rf_buf_reset(f, SIZE_MAX);
    rf_buf_str(f, "{\"jsonrpc\":\"2.0\",\"method\":\"");
    rf_buf_str(f, names[s->kind]);
    rf_buf_str(f, "Notification\",\"params\":{\"result\":");
    rf_buf_add(f, v->text.data, v->text.len);
    rf_buf_str(f, ",\"subscription\":");
    rf_buf_u64(f, s->id);
    rf_buf_str(f, "}}");
    if (f->failed || v->text.failed) {
        v->count.no_memory++;
        return;
    }
    for (struct rf_link *l = s->refs.next; l != &s->refs; l = l->next) {
        struct rf_vref *r = RF_CONTAINER(l, struct rf_vref, of_sub);
        if (!r->stalled)
            rf_vws_frame(v, r->session, f->data, f->len, true);
    }
}

/* Begin a result of a slot. */
static struct rf_buf *begin(struct rf_validator *v, uint64_t slot)
{
    rf_buf_reset(&v->text, SIZE_MAX);
    rf_buf_str(&v->text, "{\"context\":{\"slot\":");
    rf_buf_u64(&v->text, slot);
    rf_buf_str(&v->text, "},\"value\":");
    return &v->text;
}

static uint64_t modified(const struct rf_validator *v, const struct rf_bank *bank, uint32_t key)
{
    const struct rf_bank_state *s =
        key == RF_BANK_NONE ? NULL : rf_banks_state(&v->banks, bank, key);
    return s == NULL ? 0 : s->slot;
}

static void tell_account(struct rf_validator *v, struct rf_vsub *s, const struct rf_bank *bank)
{
    uint64_t slot = modified(v, bank, s->key);
    if (slot == s->last_notified)
        return;
    s->last_notified = slot;
    struct rf_buf *b = begin(v, bank->slot);
    const struct rf_bank_state *state =
        s->key == RF_BANK_NONE ? NULL : rf_banks_state(&v->banks, bank, s->key);
    rf_vaccount_json(v, s->key, state, &s->ask, true, b);
    rf_buf_char(b, '}');
    notify(v, s);
}

static void tell_program(struct rf_validator *v, struct rf_vsub *s, const struct rf_bank *bank,
                         uint32_t key)
{
    const struct rf_bank_state *state = rf_banks_state(&v->banks, bank, key);
    if (!rf_vaccount_match(v, key, state, s->owner, &s->ask))
        return;
    struct rf_buf *b = begin(v, bank->slot);
    rf_buf_str(b, "{\"pubkey\":\"");
    rf_buf_add(b, v->banks.key[key].text, v->banks.key[key].text_len);
    rf_buf_str(b, "\",\"account\":");
    rf_vaccount_json(v, key, state, &s->ask, true, b);
    rf_buf_str(b, "}}");
    notify(v, s);
}

/* A write is a transaction that names the account, its program and its owner. */
static bool mentions(const struct rf_validator *v, const struct rf_vsub *s, uint32_t key,
                     const struct rf_bank_state *state)
{
    const struct rf_bank_key *k = &v->banks.key[key];
    return s->all || memcmp(k->id, s->target, 32) == 0 ||
           memcmp(v->owner_id[k->home], s->target, 32) == 0 ||
           (state != NULL && memcmp(v->owner_id[state->owner], s->target, 32) == 0);
}

static void tell_logs(struct rf_validator *v, struct rf_vsub *s, const struct rf_bank *bank,
                      uint32_t key)
{
    char signature[90];
    if (!mentions(v, s, key, rf_banks_state(&v->banks, bank, key)))
        return;
    const char *program = v->owner_text[v->banks.key[key].home];
    size_t n = rf_vledger_signature(bank->slot, key, signature);
    struct rf_buf *b = begin(v, bank->slot);
    rf_buf_printf(b,
                  "{\"signature\":\"%.*s\",\"err\":null,\"logs\":[\"Program %s invoke [1]\","
                  "\"Program %s success\"]}}",
                  (int)n, signature, program, program);
    notify(v, s);
}

static void tell_one(struct rf_validator *v, struct rf_vsub *s, const struct rf_bank *bank)
{
    if (s->kind == RF_VSUB_ACCOUNT) {
        tell_account(v, s, bank);
        return;
    }
    uint64_t n = bank->n_wrote, from = rf_rng_below(&v->fault_rng, n);
    for (uint64_t i = 0; i < n; i++) { /* in any order (R7) */
        uint32_t key = bank->wrote[(from + i) % n];
        if (s->kind == RF_VSUB_PROGRAM)
            tell_program(v, s, bank, key);
        else
            tell_logs(v, s, bank, key);
    }
}

/* A transaction that has come so far: told once, and the subscription is over. */
static void tell_signatures(struct rf_validator *v, struct rf_vview *n, uint64_t slot,
                            enum rpcfan_commitment c)
{
    for (uint64_t i = n->n_subs; i-- > 0;) {
        struct rf_vsub *s = n->sub[i];
        if (s->kind != RF_VSUB_SIGNATURE || !s->active || s->ask.commitment != c || s->land > slot)
            continue;
        rf_buf_str(begin(v, slot), "{\"err\":null}}");
        notify(v, s);
        while (!rf_list_empty(&s->refs)) {
            bool last = s->refs.next->next == &s->refs;
            free_ref(v, RF_CONTAINER(s->refs.next, struct rf_vref, of_sub));
            if (last)
                break; /* it took the subscription with it */
        }
    }
}

/* The subscriptions of one node are told of a bank, in any order. */
static void tell_all(struct rf_validator *v, struct rf_vview *n, const struct rf_bank *bank,
                     enum rpcfan_commitment c)
{
    uint64_t count = n->n_subs, from = rf_rng_below(&v->fault_rng, count);
    for (uint64_t i = 0; i < count; i++) {
        struct rf_vsub *s = n->sub[(from + i) % count];
        if (s->active && s->ask.commitment == c && s->kind <= RF_VSUB_LOGS)
            tell_one(v, s, bank);
    }
    tell_signatures(v, n, bank->slot, c);
}

void rf_vsubs_bank(struct rf_validator *v, struct rf_vview *n, struct rf_bank *bank,
                   enum rpcfan_commitment c)
{
    tell_all(v, n, bank, c);
    if (v->knobs.mix > 0 && v->knobs.nodes == RF_VALIDATOR_NODES)
        tell_all(v, n == &v->node[0] ? &v->node[1] : &v->node[0], bank, c);
}

static void tell_kind(struct rf_validator *v, struct rf_vview *n, enum rf_vsub_kind kind,
                      const char *body)
{
    for (uint64_t i = 0; i < n->n_subs; i++) {
        struct rf_vsub *s = n->sub[i];
        if (!s->active || s->kind != kind)
            continue;
        rf_buf_reset(&v->text, SIZE_MAX);
        rf_buf_str(&v->text, body);
        notify(v, s);
    }
}

void rf_vsubs_tell(struct rf_validator *v, struct rf_vview *n, enum rf_vsub_kind kind,
                   const char *body)
{
    tell_kind(v, n, kind, body);
    if (v->knobs.mix > 0 && v->knobs.nodes == RF_VALIDATOR_NODES)
        tell_kind(v, n == &v->node[0] ? &v->node[1] : &v->node[0], kind, body);
}

void rf_vsubs_activate(struct rf_validator *v, struct rf_vview *n, uint64_t id)
{
    struct rf_vsub *s = find_id(n, id);
    if (s == NULL || s->active)
        return;
    s->active = true;
    const struct rf_bank *bank = rf_banks_get(&v->banks, rf_vview_slot(n, s->ask.commitment));
    if (s->kind == RF_VSUB_ACCOUNT && bank != NULL)
        s->last_notified = modified(v, bank, s->key);
    if (s->kind == RF_VSUB_SIGNATURE && s->ask.received) {
        rf_buf_str(begin(v, n->tip), "\"receivedSignature\"}");
        notify(v, s);
    }
}
