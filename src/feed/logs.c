/* logs.c - logs without holes.
 *
 * What was told and stands is kept for a while (logs_kept.h). A doubt, such as a gap, begins a
 * pass: the head is read, then the range from `margin` blocks before what was seen last to the
 * latest. What the range holds and was not told is told; what was told and is not in it is looked
 * up by its block, and taken back where that is no more. Meanwhile notifications are held, and
 * heard afterwards. As the node that answered may have been behind the one that tells, there is a
 * second pass a few seconds later; then the gap is closed.
 *
 * Happy path: a log comes, is told, is kept.
 * Failure modes: it came before: dropped. Calls fail: tried again, and given up in the end: what is
 * held is told, the gap stays without FILLED. Too much is held: thrown away, and the pass is
 * repeated. Too much is kept: the oldest is forgotten, and ranges begin behind it. */
#include "feed/logs.h"

#include "base/mem.h"
#include "feed/logs_kept.h"
#include "feed/members.h"

/* Blocks looked up at one time. */
#define LOOKUPS 16
/* Failures in a row after which a pass is given up: of the network, and of nodes that refuse. */
#define FAILURES 10
#define REFUSALS 4

enum stage {
    STAGE_IDLE,
    STAGE_HEAD,  /* eth_blockNumber */
    STAGE_READ,  /* eth_getLogs */
    STAGE_LOOKUP /* eth_getBlockByNumber of what the range lacks */
};

/** A notification that waits for the end of a pass. */
struct held {
    struct rf_link link;
    struct rf_blob *blob;
    struct rpcfan_slice json;
    uint32_t endpoint;
};

struct rf_logs {
    struct rf_evm_core *core;
    char *filter; /* from its brace on, without the closing one; owned */
    size_t filter_len;
    struct rf_kept_logs kept;
    uint64_t seen; /* told up to this block, but for the margin; RF_NEVER: not known */
    /* the pass */
    enum stage stage;
    uint64_t pass;    /* its number */
    uint64_t from;    /* where doubts begin; RF_NEVER: there is none */
    bool again;       /* there is a new doubt: begin anew once it is over */
    bool second;      /* it is the second one */
    uint64_t head;    /* as it was read for it */
    uint64_t token;   /* of the call under way; 0: none */
    uint64_t next_ns; /* when the pass, or its next try, begins; RF_NEVER */
    uint32_t failures, refusals;
    struct rf_blob *blob; /* of the range that was read */
    struct rpcfan_slice json;
    struct {
        uint64_t token, number;
    } lookup[LOOKUPS];
    uint32_t n_lookups;
    struct rf_link held;
    uint64_t held_bytes;
    uint64_t poll_token, poll_ns;
};

struct rf_logs *rf_logs_new(struct rf_evm_core *core, struct rpcfan_slice filter)
{
    struct rf_logs *l = rf_alloc(sizeof *l);
    if (l == NULL)
        return NULL;
    l->core = core;
    l->seen = l->from = l->next_ns = l->poll_ns = RF_NEVER;
    rf_list_init(&l->held);
    /* {"address":...} becomes {"address":...,"fromBlock":...}, and what is empty stays empty */
    size_t len = filter.len > 0 ? filter.len - 1 : 0;
    while (len > 1 && (filter.data[len - 1] == ' ' || filter.data[len - 1] == '\n' ||
                       filter.data[len - 1] == '\t' || filter.data[len - 1] == '\r'))
        len--;
    l->filter = len > 1 ? rf_memdup(filter.data, len) : rf_memdup("{", 1);
    l->filter_len = len > 1 ? len : 1;
    if (l->filter == NULL || !rf_kept_init(&l->kept, core->o.keep_bytes)) {
        rf_free(l->filter);
        rf_free(l);
        return NULL;
    }
    return l;
}

static void drop_held(struct rf_logs *l)
{
    struct rf_link *link;
    while ((link = rf_list_shift(&l->held)) != NULL) {
        struct held *h = RF_CONTAINER(link, struct held, link);
        rf_blob_unref(h->blob);
        rf_free(h);
    }
    l->held_bytes = 0;
}

void rf_logs_free(struct rf_logs *l)
{
    if (l == NULL)
        return;
    drop_held(l);
    rf_blob_unref(l->blob);
    rf_kept_fini(&l->kept);
    rf_free(l->filter);
    rf_free(l);
}

/* Telling. */

static void tell(struct rf_logs *l, struct rpcfan_slice json, struct rf_blob *blob, uint64_t block,
                 uint32_t endpoint)
{
    struct rf_evm_told t = {
        .kind = RPCFAN_NOTE_DATA, .json = json, .blob = blob, .block = block, .endpoint = endpoint};
    rf_evm_tell(l->core, &t);
}

static void see(struct rf_logs *l, uint64_t block)
{
    if (l->seen != RF_NEVER && block <= l->seen)
        return;
    if (l->seen == RF_NEVER) /* what was before the subscription is not its to tell */
        l->kept.floor = rf_max_u64(l->kept.floor, block);
    l->seen = block;
    rf_kept_expire(&l->kept, rf_time_sub(block, 4 * (uint64_t)l->core->o.margin));
}

/* A log that stands: told where it was not. */
static void add_log(struct rf_logs *l, const struct rf_evm_log *log, struct rpcfan_slice json,
                    struct rf_blob *blob, uint32_t endpoint)
{
    struct rf_kept_log *it = rf_kept_find(&l->kept, log);
    if (it == NULL) {
        tell(l, json, blob, log->number, endpoint);
        it = rf_kept_add(&l->kept, log, json);
    } else {
        l->core->count.twice++;
    }
    if (it != NULL)
        it->pass = l->pass;
}

/* A node takes a log back. It may be of one that is forgotten; else it was taken back before. */
static void remove_log(struct rf_logs *l, const struct rf_evm_log *log, struct rpcfan_slice json,
                       struct rf_blob *blob, uint32_t endpoint)
{
    struct rf_kept_log *it = rf_kept_find(&l->kept, log);
    if (it == NULL && log->number >= l->kept.floor) {
        l->core->count.twice++;
        return;
    }
    l->core->count.removed++;
    tell(l, json, blob, log->number, endpoint);
    if (it != NULL)
        rf_kept_remove(&l->kept, it);
}

static void hear(struct rf_logs *l, struct rpcfan_slice json, struct rf_blob *blob,
                 uint32_t endpoint)
{
    struct rf_evm_log log;
    if (!rf_evm_read_log(json, &log)) {
        l->core->count.malformed++;
        tell(l, json, blob, 0, endpoint); /* it is what the node told all the same */
    } else if (log.removed) {
        remove_log(l, &log, json, blob, endpoint);
    } else {
        add_log(l, &log, json, blob, endpoint);
        see(l, log.number);
    }
}

/* The block of a log is no more, and nobody has said so. @return false when out of memory. */
static bool take_back(struct rf_logs *l, struct rf_kept_log *it)
{
    struct rf_blob *blob = rf_evm_take_back((struct rpcfan_slice){it->text, it->len}, &it->log);
    if (blob == NULL)
        return false;
    l->core->count.removed++;
    tell(l, (struct rpcfan_slice){blob->data, blob->len}, blob, it->log.number, RF_EVM_FETCHED);
    rf_blob_unref(blob);
    rf_kept_remove(&l->kept, it);
    return true;
}

/* The pass. */

static void set_stage(struct rf_logs *l, enum stage stage)
{
    static const char *const names[] = {"idle", "head", "read", "lookup"};
    rf_log(l->core->o.log, RPCFAN_LOG_DEBUG, "RF-EVM-PASS sub=%s pass=%llu was=%s stage=%s",
           l->core->o.name, (unsigned long long)l->pass, names[l->stage], names[stage]);
    l->stage = stage;
    l->next_ns = RF_NEVER;
}

static void call_head(struct rf_logs *l)
{
    set_stage(l, STAGE_HEAD);
    l->token = rf_evm_call(l->core, "eth_blockNumber", (struct rpcfan_slice){"[]", 2});
}

static void call_logs(struct rf_logs *l, uint64_t now_ns)
{
    struct rf_buf b = {0};
    uint64_t from = rf_max_u64(l->from, l->kept.floor);
    set_stage(l, STAGE_READ);
    rf_buf_char(&b, '[');
    rf_buf_add(&b, l->filter, l->filter_len);
    rf_buf_str(&b, l->filter_len > 1 ? ",\"fromBlock\":" : "\"fromBlock\":");
    rf_evm_write_u64(&b, rf_min_u64(from, l->seen));
    rf_buf_str(&b, ",\"toBlock\":\"latest\"}]");
    if (b.failed)
        l->next_ns = rf_time_add(now_ns, RF_EVM_FIRST_WAIT_NS);
    else
        l->token = rf_evm_call(l->core, "eth_getLogs", (struct rpcfan_slice){b.data, b.len});
    rf_buf_fini(&b);
}

static void begin_pass(struct rf_logs *l, bool second)
{
    l->second = second;
    l->again = false;
    l->failures = l->refusals = 0;
    l->pass++;
    call_head(l);
}

/* What was held is heard now; it may be known. */
static void release_held(struct rf_logs *l)
{
    struct rf_link *link;
    while ((link = rf_list_shift(&l->held)) != NULL) {
        struct held *h = RF_CONTAINER(link, struct held, link);
        hear(l, h->json, h->blob, h->endpoint);
        rf_blob_unref(h->blob);
        rf_free(h);
    }
    l->held_bytes = 0;
}

/* The pass is over. A new doubt begins another one at once. */
static void end_pass(struct rf_logs *l, bool whole, uint64_t now_ns)
{
    struct rf_evm_core *c = l->core;
    rf_blob_unref(l->blob);
    l->blob = NULL;
    l->token = 0;
    release_held(l);
    set_stage(l, STAGE_IDLE);
    if (l->again) {
        begin_pass(l, false);
    } else if (!whole) {
        rf_log(c->o.log, RPCFAN_LOG_WARN, "RF-EVM-BROKEN sub=%s block=%llu why=\"%s\"", c->o.name,
               (unsigned long long)l->from, "logs cannot be read");
        c->count.broken++;
        c->gap = false; /* it stays without FILLED */
        l->from = RF_NEVER;
    } else if (!l->second && c->o.settle_ns != RF_NEVER) {
        see(l, l->head);
        l->next_ns = rf_time_add(now_ns, c->o.settle_ns);
    } else {
        see(l, l->head);
        l->from = RF_NEVER;
        rf_evm_tell_filled(c);
    }
}

/* The same stage again a little later, or not at all any more. */
static void fail(struct rf_logs *l, enum rpcfan_err err, uint64_t now_ns)
{
    /* While nothing stands, nothing is given up: the network may be down as a whole. */
    if (rf_evm_covered(l->core) || l->failures + 1 < FAILURES)
        l->failures++;
    l->refusals += err == RPCFAN_ERPC ? 1 : 0;
    l->token = 0;
    if (l->failures >= FAILURES || l->refusals >= REFUSALS)
        end_pass(l, false, now_ns);
    else
        l->next_ns = rf_time_add(now_ns, rf_evm_wait(l->core, l->failures));
}

/* The logs of the range that was read, one by one: marked where they were told, or told. */
static bool merge(struct rf_logs *l, bool telling)
{
    struct rf_members m;
    if (rf_members_begin(&m, l->json) != RF_TOK_ARRAY)
        return false;
    while (rf_members_next(&m)) {
        struct rf_evm_log log;
        if (!rf_evm_read_log(m.value, &log)) {
            l->core->count.malformed += telling ? 1 : 0;
            continue;
        }
        struct rf_kept_log *it = rf_kept_find(&l->kept, &log);
        if (it != NULL)
            it->pass = l->pass;
        else if (telling)
            add_log(l, &log, m.value, l->blob, RF_EVM_FETCHED);
    }
    return !m.bad;
}

/* Look up blocks of which something was told that the range does not hold. @return how many. */
static uint32_t call_lookups(struct rf_logs *l)
{
    uint32_t n = 0;
    for (struct rf_link *k = l->kept.order.next; k != &l->kept.order && n < LOOKUPS; k = k->next) {
        struct rf_kept_log *it = RF_CONTAINER(k, struct rf_kept_log, order);
        uint32_t same = 0;
        if (it->pass == l->pass || it->log.number < l->from)
            continue;
        while (same < n && l->lookup[same].number != it->log.number)
            same++;
        if (same == n)
            l->lookup[n++].number = it->log.number;
    }
    l->n_lookups = n;
    if (n > 0)
        set_stage(l, STAGE_LOOKUP);
    for (uint32_t i = 0; i < n; i++) {
        char text[48];
        struct rf_buf b = {.data = text, .cap = sizeof text}; /* it is never outgrown */
        rf_buf_char(&b, '[');
        rf_evm_write_u64(&b, l->lookup[i].number);
        rf_buf_str(&b, ",false]");
        l->lookup[i].token =
            rf_evm_call(l->core, "eth_getBlockByNumber", (struct rpcfan_slice){b.data, b.len});
    }
    return n;
}

/* All that was told stands or was taken back: what was not told is told. */
static void go_on(struct rf_logs *l, uint64_t now_ns)
{
    if (call_lookups(l) > 0)
        return;
    (void)merge(l, true);
    end_pass(l, true, now_ns);
}

static void answer_logs(struct rf_logs *l, const struct rf_feed_answer *a, uint64_t now_ns)
{
    l->token = 0;
    l->blob = a->blob;
    l->json = a->json;
    rf_blob_ref(a->blob, 1);
    if (a->blob == NULL && (l->blob = rf_blob_new(a->json.len)) != NULL) {
        (void)rf_blob_add(l->blob, a->json.data, a->json.len); /* that is its room */
        l->json.data = l->blob->data;
    }
    if (l->blob != NULL && merge(l, false)) {
        go_on(l, now_ns);
        return;
    }
    rf_blob_unref(l->blob);
    l->blob = NULL;
    fail(l, RPCFAN_EMALFORMED, now_ns);
}

/* What stands at a height now. Without an answer nothing is taken back. */
static void answer_lookup(struct rf_logs *l, uint64_t number, const struct rf_feed_answer *a,
                          uint64_t now_ns)
{
    struct rf_evm_header head;
    bool known = a->err == RPCFAN_OK && rf_evm_read_header(a->json, &head) && head.number == number;
    struct rf_link *prev;
    for (struct rf_link *k = l->kept.order.prev; k != &l->kept.order; k = prev) {
        prev = k->prev;
        struct rf_kept_log *it = RF_CONTAINER(k, struct rf_kept_log, order);
        if (it->log.number != number || it->pass == l->pass)
            continue;
        bool stands = !known || memcmp(head.hash, it->log.block, RF_EVM_HASH) == 0;
        if (stands || !take_back(l, it)) {
            it->pass = l->pass;
            l->again = l->again || !stands; /* no memory: in another pass */
        }
    }
    if (--l->n_lookups == 0)
        go_on(l, now_ns);
}

static void answer_head(struct rf_logs *l, const struct rf_feed_answer *a, uint64_t now_ns)
{
    l->token = 0;
    if (a->err != RPCFAN_OK || !rf_evm_read_u64(a->json, &l->head))
        fail(l, a->err, now_ns);
    else
        call_logs(l, now_ns);
}

static void poll(struct rf_logs *l)
{
    l->poll_ns = RF_NEVER;
    l->poll_token = rf_evm_call(l->core, "eth_blockNumber", (struct rpcfan_slice){"[]", 2});
}

static void answer_poll(struct rf_logs *l, const struct rf_feed_answer *a, uint64_t now_ns)
{
    uint64_t head;
    bool known = a->err == RPCFAN_OK && rf_evm_read_u64(a->json, &head) && rf_evm_covered(l->core);
    l->poll_token = 0;
    if (known)
        see(l, head);
    if (l->core->o.poll_ns != RF_NEVER || !known)
        l->poll_ns = rf_time_add(now_ns, l->seen == RF_NEVER ? RF_SEC : l->core->o.poll_ns);
}

/* The owner's words. */

/* Keep it until the pass is over. Where there is no room all of it goes, and is read instead. */
static void hold(struct rf_logs *l, const struct rf_note *note)
{
    struct held *h = NULL;
    if (l->held_bytes + note->json.len <= l->core->o.held_bytes)
        h = rf_alloc(sizeof *h);
    if (h == NULL) {
        drop_held(l);
        l->again = true;
        return;
    }
    h->blob = note->blob;
    h->json = note->json;
    h->endpoint = note->endpoint;
    rf_blob_ref(h->blob, 1);
    rf_list_push(&l->held, &h->link);
    l->held_bytes += note->json.len;
}

void rf_logs_data(struct rf_logs *l, const struct rf_note *note, uint64_t now_ns)
{
    (void)now_ns;
    if (l->stage != STAGE_IDLE)
        hold(l, note);
    else
        hear(l, note->json, note->blob, note->endpoint);
    l->core->count.kept = l->kept.table.n;
    l->core->count.kept_bytes = l->kept.bytes;
}

void rf_logs_up(struct rf_logs *l, bool doubt, uint64_t now_ns)
{
    (void)now_ns;
    l->poll_token = 0; /* what it says would be of now, and not of when it was covered */
    if (l->seen == RF_NEVER) {
        l->core->gap = false; /* nothing is known of before: there is nothing to fill */
        poll(l);
        return;
    }
    if (!doubt)
        return;
    if (l->core->o.poll_ns != RF_NEVER)
        l->poll_ns = rf_time_add(now_ns, l->core->o.poll_ns);
    if (l->from == RF_NEVER)
        l->from = rf_time_sub(l->seen, l->core->o.margin);
    if (l->stage != STAGE_IDLE)
        l->again = true;
    else
        begin_pass(l, false);
}

void rf_logs_answer(struct rf_logs *l, uint64_t token, const struct rf_feed_answer *a,
                    uint64_t now_ns)
{
    if (token == 0)
        return;
    if (token == l->poll_token) {
        answer_poll(l, a, now_ns);
    } else if (token == l->token) {
        if (l->stage == STAGE_HEAD)
            answer_head(l, a, now_ns);
        else if (a->err != RPCFAN_OK)
            fail(l, a->err, now_ns);
        else
            answer_logs(l, a, now_ns);
    } else {
        for (uint32_t i = 0; i < LOOKUPS && l->stage == STAGE_LOOKUP; i++) {
            if (l->lookup[i].token != token)
                continue;
            l->lookup[i].token = 0;
            answer_lookup(l, l->lookup[i].number, a, now_ns);
            break;
        }
    }
    l->core->count.kept = l->kept.table.n;
    l->core->count.kept_bytes = l->kept.bytes;
}

void rf_logs_step(struct rf_logs *l, uint64_t now_ns)
{
    if (l->poll_ns <= now_ns) {
        l->poll_ns = RF_NEVER;
        if (rf_evm_covered(l->core) && l->stage == STAGE_IDLE)
            poll(l);
        else if (l->core->o.poll_ns != RF_NEVER)
            l->poll_ns = rf_time_add(now_ns, l->core->o.poll_ns);
    }
    if (l->next_ns > now_ns)
        return;
    if (l->stage == STAGE_IDLE)
        begin_pass(l, true);
    else if (l->stage == STAGE_HEAD)
        call_head(l);
    else
        call_logs(l, now_ns);
}

uint64_t rf_logs_deadline(const struct rf_logs *l)
{
    return rf_min_u64(l->next_ns, l->poll_ns);
}
