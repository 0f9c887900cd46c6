/* feed_cover.c - what is covered: connections with their slot feeds, the legs of each unit on them,
 * fences and gaps. Called by feed.c with notes of the engine; asks for reads by feed_dirty and
 * feed_walk.
 *
 * Happy path: UP makes a leg; the first slot note a second later sets its fence, the highest slot
 * that anybody has told by then: what the subscription missed is of that slot or before. A read at
 * that slot or later makes the unit complete.
 * Failure modes: DOWN ends a leg. The unit stays complete where another leg's fence is not above
 * what the ended session had told for certain; else that is where the gap begins. */
#include <string.h>

#include "base/mem.h"
#include "feed/feed_int.h"

#define SUBSCRIBE_AGAIN_NS (30 * RF_SEC)

static struct rf_feed_session *find_session(const struct rf_feed *f, uint64_t id)
{
    for (uint32_t i = 0; i < f->n_sessions; i++) {
        if (f->session[i]->id == id)
            return f->session[i];
    }
    return NULL;
}

static struct rf_feed_session *make_session(struct rf_feed *f, uint64_t id)
{
    if (f->n_sessions == f->sessions_cap) {
        uint32_t cap = f->sessions_cap == 0 ? 8 : f->sessions_cap * 2;
        struct rf_feed_session **grown =
            rf_realloc(f->session, cap * sizeof(struct rf_feed_session *));
        if (grown == NULL)
            return NULL;
        f->session = grown;
        f->sessions_cap = cap;
    }
    struct rf_feed_session *s = rf_alloc(sizeof *s);
    if (s == NULL)
        return NULL;
    s->id = id;
    rf_list_init(&s->waiting);
    f->session[f->n_sessions++] = s;
    return s;
}

struct rf_feed_session *rf_feed_session_of(struct rf_feed *f, uint64_t id)
{
    struct rf_feed_session *s = find_session(f, id);
    if (s == NULL && (s = make_session(f, id)) == NULL)
        f->ops.distrust(f->ops.arg, id, "out of memory"); /* it comes again as another one */
    return s;
}

/* A slot far ahead of all that is known is believed when the next one agrees. */
static bool believe(const struct rf_feed *f, struct rf_feed_session *s, uint64_t slot)
{
    uint64_t known = rf_max_u64(s->heard, f->tip);
    if (slot == 0 || slot > UINT64_MAX / 4)
        return false;
    if (known == 0 || slot <= known + RF_FEED_JUMP)
        return true;
    bool agreed = s->claim != 0 && slot >= s->claim && slot - s->claim <= RF_FEED_LEAP;
    s->claim = slot;
    return agreed;
}

bool rf_feed_cover_slot(struct rf_feed *f, uint64_t slot)
{
    if (slot == 0 || slot > UINT64_MAX / 4 || (f->tip > 0 && slot > f->tip + RF_FEED_JUMP))
        return false;
    f->tip = rf_max_u64(f->tip, slot);
    return true;
}

bool rf_feed_cover_data(struct rf_feed *f, struct rf_feed_session *s, uint64_t slot)
{
    uint64_t known = rf_max_u64(s->heard, f->tip), *d = s->data;
    uint32_t i = 0;
    if (slot == 0 || known == 0 || slot > known + RF_FEED_LEAP)
        return false;
    f->tip = rf_max_u64(f->tip, slot);
    while (i < RF_FEED_DATA_RING && d[i] > slot)
        i++;
    if (i == RF_FEED_DATA_RING || d[i] == slot)
        return true;
    memmove(&d[i + 1], &d[i], (RF_FEED_DATA_RING - 1 - i) * sizeof d[0]);
    memmove(&s->data_ns[i + 1], &s->data_ns[i], (RF_FEED_DATA_RING - 1 - i) * sizeof d[0]);
    d[i] = slot;
    s->data_ns[i] = f->now_ns;
    if (i == 0 && !f->once)
        rf_feed_cover_all(f);
    return true;
}

/* A connection tells slot after slot. The first notification of a later slot says that all of the
 * slots before that it had something to tell of have been told: the highest of those, with a margin
 * in slots and in time for what a proxy reorders; several slots may be confirmed, and told, in one
 * instant. Where nothing happens, what is a root was told long ago. */
static uint64_t heard_by(const struct rf_feed *f, struct rf_feed_session *s)
{
    for (uint32_t i = 0; i < RF_FEED_DATA_RING; i++) {
        if (s->data[i] == 0 || rf_time_sub(f->now_ns, s->data_ns[i]) < RF_FEED_SETTLE_NS)
            continue;
        for (uint32_t k = i + 1; k < RF_FEED_DATA_RING; k++) {
            if (s->data[k] + RF_FEED_MARGIN > s->data[i])
                continue;
            s->told = rf_max_u64(s->told, s->data[k]);
            break;
        }
        break; /* what is told of lower slots says less */
    }
    return rf_max_u64(s->root, s->told);
}

uint64_t rf_feed_cover_of(const struct rf_feed *f, struct rf_feed_session *s)
{
    if (f->commitment == RPCFAN_PROCESSED)
        return s->root; /* what is above may be taken back */
    if (f->commitment == RPCFAN_FINALIZED)
        return rf_min_u64(heard_by(f, s), rf_max_u64(s->named, s->root));
    return heard_by(f, s);
}

void rf_feed_cover_all(struct rf_feed *f)
{
    uint64_t covered = RF_NEVER, heard = RF_NEVER;
    for (uint32_t i = 0; i < f->n_sessions; i++) {
        if (f->session[i]->fenced == 0)
            continue;
        covered = rf_min_u64(covered, rf_feed_cover_of(f, f->session[i]));
        heard = rf_min_u64(heard, heard_by(f, f->session[i]));
    }
    if (covered == RF_NEVER)
        return;
    f->covered = rf_max_u64(f->covered, covered);
    f->heard = rf_max_u64(f->heard, heard);
}

uint64_t rf_feed_cover_fence(const struct rf_feed_unit *u)
{
    uint64_t least = RF_NEVER;
    for (uint32_t i = 0; i < RF_FEED_LEGS; i++) {
        if (u->leg[i].session != NULL && u->leg[i].fence != 0)
            least = rf_min_u64(least, u->leg[i].fence);
    }
    return least == RF_NEVER ? 0 : least;
}

/* A fence stands: read what is not complete. A program's walk sees to itself. */
static void fence(struct rf_feed *f, struct rf_feed_leg *leg)
{
    struct rf_feed_unit *u = &f->unit[leg->unit];
    leg->fence = f->tip;
    leg->session->fenced++;
    f->fence_max = rf_max_u64(f->fence_max, leg->fence);
    if (!u->complete && !f->program)
        rf_feed_dirty(f, leg->unit, rf_feed_hold_of(f, rf_keys_at(&f->keys, leg->unit)));
}

static void set_fences(struct rf_feed *f, struct rf_feed_session *s)
{
    while (!rf_list_empty(&s->waiting)) {
        struct rf_feed_leg *leg = RF_CONTAINER(s->waiting.next, struct rf_feed_leg, waiting);
        if (rf_time_sub(f->now_ns, leg->up_ns) < RF_FEED_FENCE_NS)
            return;
        rf_list_remove(&leg->waiting);
        fence(f, leg);
    }
}

static void raise_root(struct rf_feed *f, uint64_t root)
{
    f->root = rf_max_u64(f->root, root);
}

static void slot_note(struct rf_feed *f, const struct rf_note *n)
{
    struct rf_feed_session *s = rf_feed_session_of(f, n->session);
    if (s == NULL || !believe(f, s, n->slot))
        return;
    s->heard = rf_max_u64(s->heard, n->slot);
    f->tip = rf_max_u64(f->tip, n->slot);
    if (n->root <= n->slot) {
        s->root = rf_max_u64(s->root, n->root);
        raise_root(f, n->root);
    }
    if (f->commitment == RPCFAN_PROCESSED)
        rf_feed_forks_slot(f, n);
    set_fences(f, s);
}

static void root_note(struct rf_feed *f, const struct rf_note *n)
{
    struct rf_feed_session *s = rf_feed_session_of(f, n->session);
    if (s == NULL || n->slot == 0 || n->slot > rf_max_u64(s->heard, f->tip))
        return;
    s->named = rf_max_u64(s->named, n->slot);
    raise_root(f, n->slot);
    if (f->commitment == RPCFAN_FINALIZED)
        rf_feed_pending_root(f, n->slot);
}

/* The unit is not covered any more; it was up to `told`. */
static void lose(struct rf_feed *f, uint32_t unit, uint64_t told, const char *why)
{
    struct rf_feed_unit *u = &f->unit[unit];
    uint64_t hold = rf_min_u64(told, f->covered);
    if (!u->complete)
        return;
    u->complete = false;
    f->n_incomplete++;
    f->count.gaps++;
    rf_feed_why(f, "gap: %s", why);
    if (f->program) {
        u->hold = hold;
        u->lost = told;
        rf_holds_add(&f->holds, hold);
        return;
    }
    rf_feed_hold(f, rf_keys_at(&f->keys, unit), hold);
    if (rf_feed_cover_fence(u) != 0)
        rf_feed_dirty(f, unit, hold);
}

void rf_feed_cover_lost(struct rf_feed *f, uint32_t unit, const char *why)
{
    struct rf_feed_unit *u = &f->unit[unit];
    struct rf_feed_walk *w = &f->walk;
    if (f->program && !u->complete) { /* the walk under way goes on, and another one follows */
        w->redo = rf_min_u64(w->redo, f->covered);
        return;
    }
    if (f->program)
        w->rest_ns = rf_min_u64(w->rest_ns * 2, RF_FEED_REST_MOST_NS);
    for (uint32_t i = 0; i < RF_FEED_LEGS; i++) {
        if (u->leg[i].session != NULL && u->leg[i].fence != 0)
            u->leg[i].fence = f->tip;
    }
    f->fence_max = rf_max_u64(f->fence_max, f->tip);
    lose(f, unit, rf_min_u64(f->covered, w->redo), why);
}

void rf_feed_cover_again(struct rf_feed *f, const char *why)
{
    for (uint32_t i = 0; f->program && i < f->n_units; i++)
        rf_feed_cover_lost(f, i, why);
}

/* A leg ends. Whether that is a gap depends on the others. */
static void end_leg(struct rf_feed *f, struct rf_feed_leg *leg, const char *why)
{
    struct rf_feed_unit *u = &f->unit[leg->unit];
    uint64_t told = rf_feed_cover_of(f, leg->session);
    bool covered = false, counted = leg->fence != 0;
    rf_list_remove(&leg->waiting);
    if (counted)
        leg->session->fenced--;
    leg->session = NULL;
    leg->fence = 0;
    for (uint32_t i = 0; i < RF_FEED_LEGS; i++) {
        const struct rf_feed_leg *other = &u->leg[i];
        if (other->session != NULL && other->fence != 0 && (other->fence <= told || !counted))
            covered = true;
    }
    if (!covered)
        lose(f, leg->unit, told, why != NULL ? why : "the connection ended");
}

static struct rf_feed_leg *leg_of(struct rf_feed_unit *u, uint64_t session)
{
    for (uint32_t i = 0; i < RF_FEED_LEGS; i++) {
        if (u->leg[i].session != NULL && u->leg[i].session->id == session)
            return &u->leg[i];
    }
    return NULL;
}

static void up_note(struct rf_feed *f, const struct rf_note *n, uint32_t unit)
{
    struct rf_feed_unit *u = &f->unit[unit];
    struct rf_feed_session *s = rf_feed_session_of(f, n->session);
    struct rf_feed_leg *leg = leg_of(u, n->session);
    if (leg != NULL)
        end_leg(f, leg, "subscribed again on one connection");
    if (s == NULL)
        return;
    for (uint32_t i = 0; i < RF_FEED_LEGS; i++) {
        leg = &u->leg[i];
        if (leg->session != NULL)
            continue;
        leg->session = s;
        leg->up_ns = f->now_ns;
        leg->unit = unit;
        rf_list_push(&s->waiting, &leg->waiting);
        return;
    }
}

static void session_down(struct rf_feed *f, const struct rf_note *n)
{
    struct rf_feed_session *s = find_session(f, n->session);
    if (s == NULL)
        return;
    if (s->fenced > 0 || !rf_list_empty(&s->waiting)) {
        for (uint32_t i = 0; i < f->n_units; i++) {
            struct rf_feed_leg *leg = leg_of(&f->unit[i], n->session);
            if (leg != NULL)
                end_leg(f, leg, n->why);
        }
    }
    for (uint32_t i = 0; i < f->n_sessions; i++) {
        if (f->session[i] == s)
            f->session[i] = f->session[--f->n_sessions];
    }
    rf_free(s);
}

static void refused(struct rf_feed *f, const struct rf_note *n, uint32_t unit)
{
    struct rf_feed_unit *u = &f->unit[unit];
    int shown = n->json.len > 100 ? 100 : (int)n->json.len;
    rf_feed_why(f, "a subscription is refused: %.*s", shown, n->json.data);
    if (f->program && (rf_find_nocase(n->json.data, n->json.len, "-32601") != NULL ||
                       rf_find_nocase(n->json.data, n->json.len, "-32602") != NULL)) {
        char why[160];
        memcpy(why, f->why, sizeof why);
        rf_feed_give_up(f, RPCFAN_ERPC, why);
        return;
    }
    u->sub = 0;
    f->n_idle++;
    f->idle_ns = rf_min_u64(f->idle_ns, f->now_ns + SUBSCRIBE_AGAIN_NS);
}

void rf_feed_cover_step(struct rf_feed *f)
{
    if (f->once || f->n_idle == 0 || f->now_ns < f->idle_ns)
        return;
    f->idle_ns = f->now_ns + RF_SEC; /* where memory ends the loop */
    const char *method = f->program ? "programSubscribe" : "accountSubscribe";
    for (uint32_t i = 0; i < f->n_units; i++) {
        struct rf_feed_unit *u = &f->unit[i];
        if (u->sub != 0)
            continue;
        struct rpcfan_slice params =
            rf_feed_params_sub(f, f->program ? RF_KEY_NONE : i,
                               i == 1 && f->program ? f->commitment_text : f->sub_commitment_text);
        if (params.len == 0)
            return;
        u->sub = f->ops.subscribe(f->ops.arg, method, params, i + 1);
        if (u->sub == 0)
            return;
        f->n_idle--;
    }
    f->idle_ns = RF_NEVER;
}

uint64_t rf_feed_cover_deadline(const struct rf_feed *f)
{
    return f->once || f->n_idle == 0 ? RF_NEVER : f->idle_ns;
}

void rf_feed_cover_note(struct rf_feed *f, const struct rf_note *n)
{
    uint32_t unit = (uint32_t)(n->tag - 1);
    bool ours = n->tag > 0 && n->tag <= f->n_units;
    struct rf_feed_leg *leg;
    switch (n->kind) {
    case RF_NOTE_SLOT:
        slot_note(f, n);
        break;
    case RF_NOTE_ROOT:
        root_note(f, n);
        break;
    case RF_NOTE_UP:
        if (ours)
            up_note(f, n, unit);
        break;
    case RF_NOTE_DOWN:
        if (ours && (leg = leg_of(&f->unit[unit], n->session)) != NULL)
            end_leg(f, leg, n->why);
        break;
    case RF_NOTE_REFUSED:
        if (ours)
            refused(f, n, unit);
        break;
    case RF_NOTE_SESSION_UP:
        (void)rf_feed_session_of(f, n->session);
        break;
    case RF_NOTE_SESSION_DOWN:
        session_down(f, n);
        break;
    default:
        break;
    }
}

void rf_feed_cover_read(struct rf_feed *f, uint32_t unit, uint64_t slot)
{
    struct rf_feed_unit *u = &f->unit[unit];
    bool good = f->once && slot >= f->once_slot;
    for (uint32_t i = 0; i < RF_FEED_LEGS && !u->complete; i++) {
        const struct rf_feed_leg *leg = &u->leg[i];
        good = good || (leg->session != NULL && leg->fence != 0 && leg->fence <= slot);
    }
    if (u->complete || !good)
        return;
    u->complete = true;
    f->n_incomplete--;
    if (f->program)
        rf_holds_remove(&f->holds, u->hold);
}

void rf_feed_cover_fini(struct rf_feed *f)
{
    for (uint32_t i = 0; i < f->n_sessions; i++)
        rf_free(f->session[i]);
    rf_free(f->session);
}
