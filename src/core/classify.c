/* classify.c - walks the rule table and falls back on transport and status.
 *
 * Happy path: there is none; a result is never judged. A refusal costs one copy of its text in
 * lower case and a walk over the rules, of which nearly all drop out before their text is searched
 * for, because the answer lacks a pair of their letters.
 * Failure modes: none; what no rule knows is judged by its status. */
#include "core/classify.h"

#include <string.h>

#include "core/rules.h"
#include "json/rpc.h"
#include "policy/hints.h"
#include "policy/told.h"

/* Texts beyond this are not looked at: what matters stands at the front. */
#define TEXT_MAX 2048

#define SLOT_NS (400 * RF_MS) /* of Solana */
#define SLOTS_MAX 150         /* a minute; who is further back is asked again after that */

static const struct {
    const char *name;
    enum rf_action action;
    enum rpcfan_err err;
} classes[RF_CLASS_COUNT] = {
    [RF_CLASS_OK] = {"ok", RF_ACT_DELIVER, RPCFAN_OK},
    [RF_CLASS_RATE] = {"rate", RF_ACT_REQUEUE, RPCFAN_ETHROTTLED},
    [RF_CLASS_CONC] = {"concurrency", RF_ACT_REQUEUE, RPCFAN_ETHROTTLED},
    [RF_CLASS_QUOTA] = {"quota", RF_ACT_BENCH, RPCFAN_EQUOTA},
    [RF_CLASS_PLAN] = {"plan", RF_ACT_ELSEWHERE, RPCFAN_EQUOTA},
    [RF_CLASS_AUTH] = {"auth", RF_ACT_BENCH, RPCFAN_EAUTH},
    [RF_CLASS_SPLIT_RANGE] = {"split-range", RF_ACT_DELIVER, RPCFAN_ERPC},
    [RF_CLASS_SPLIT_FILTER] = {"split-filter", RF_ACT_DELIVER, RPCFAN_ERPC},
    [RF_CLASS_SPLIT_BATCH] = {"split-batch", RF_ACT_SPLIT, RPCFAN_ETOOBIG},
    [RF_CLASS_TOO_BIG] = {"too-big", RF_ACT_SPLIT, RPCFAN_ETOOBIG},
    [RF_CLASS_UNSUPPORTED] = {"unsupported", RF_ACT_ELSEWHERE, RPCFAN_ERPC},
    [RF_CLASS_SHAPE] = {"shape", RF_ACT_ELSEWHERE, RPCFAN_ERPC},
    [RF_CLASS_MISSING] = {"missing", RF_ACT_ELSEWHERE, RPCFAN_ERPC},
    [RF_CLASS_TAG] = {"tag", RF_ACT_ELSEWHERE, RPCFAN_ERPC},
    [RF_CLASS_SKIPPED] = {"skipped", RF_ACT_ELSEWHERE, RPCFAN_ERPC},
    [RF_CLASS_BEHIND] = {"behind", RF_ACT_ELSEWHERE, RPCFAN_ERPC},
    [RF_CLASS_WAIT] = {"wait", RF_ACT_LATER, RPCFAN_ERPC},
    [RF_CLASS_REVERT] = {"revert", RF_ACT_DELIVER, RPCFAN_ERPC},
    [RF_CLASS_CLIENT] = {"client", RF_ACT_DELIVER, RPCFAN_ERPC},
    [RF_CLASS_APP] = {"app", RF_ACT_DELIVER, RPCFAN_ERPC},
    [RF_CLASS_TX_KNOWN] = {"tx-known", RF_ACT_DELIVER, RPCFAN_ERPC},
    [RF_CLASS_TX_NONCE] = {"tx-nonce", RF_ACT_DELIVER, RPCFAN_ERPC},
    [RF_CLASS_TX_REJECT] = {"tx-reject", RF_ACT_DELIVER, RPCFAN_ERPC},
    [RF_CLASS_SERVER] = {"server", RF_ACT_RETRY, RPCFAN_ESERVER},
    [RF_CLASS_CONNECT] = {"connect", RF_ACT_RETRY, RPCFAN_ECONNECT},
    [RF_CLASS_TIMEOUT] = {"timeout", RF_ACT_RETRY, RPCFAN_ETIMEOUT},
    [RF_CLASS_RESET] = {"reset", RF_ACT_RETRY, RPCFAN_ERESET},
    [RF_CLASS_TLS] = {"tls", RF_ACT_BENCH, RPCFAN_ETLS},
    [RF_CLASS_MALFORMED] = {"malformed", RF_ACT_RETRY, RPCFAN_EMALFORMED},
    [RF_CLASS_ABORTED] = {"aborted", RF_ACT_RETRY, RPCFAN_ECANCELED},
};

enum rf_action rf_class_action(enum rf_class c)
{
    return classes[c].action;
}

const char *rf_class_name(enum rf_class c)
{
    return classes[c].name;
}

enum rpcfan_err rf_class_err(enum rf_class c)
{
    return classes[c].err;
}

bool rf_class_find(const char *name, enum rf_class *out)
{
    for (int c = RF_CLASS_OK + 1; c < RF_CLASS_COUNT; c++) {
        bool wire = (c >= RF_CLASS_CONNECT && c <= RF_CLASS_TLS) || c == RF_CLASS_ABORTED;
        if (!wire && strcmp(classes[c].name, name) == 0) {
            *out = (enum rf_class)c;
            return true;
        }
    }
    return false;
}

static enum rf_class of_transport(enum rf_transport t)
{
    switch (t) {
    case RF_T_OK:
        return RF_CLASS_OK;
    case RF_T_CONNECT:
        return RF_CLASS_CONNECT;
    case RF_T_TIMEOUT:
        return RF_CLASS_TIMEOUT;
    case RF_T_RESET:
        return RF_CLASS_RESET;
    case RF_T_TOO_BIG:
        return RF_CLASS_TOO_BIG;
    case RF_T_TLS:
    case RF_T_CONFIG:
        return RF_CLASS_TLS;
    case RF_T_MALFORMED:
        return RF_CLASS_MALFORMED;
    case RF_T_ABORTED:
        return RF_CLASS_ABORTED;
    }
    return RF_CLASS_MALFORMED;
}

static enum rf_class of_status(int status, bool has_error)
{
    if (status == 401 || status == 403 || status == 404)
        return RF_CLASS_AUTH;
    if (status == 405 || status == 415)
        return RF_CLASS_UNSUPPORTED;
    if (status >= 500 || status == 408)
        return RF_CLASS_SERVER;
    if (has_error)
        return RF_CLASS_APP;
    if (status >= 400)
        return RF_CLASS_CLIENT;
    return RF_CLASS_MALFORMED;
}

/* What a rule is held against. */
struct subject {
    const struct rf_rules *rules;
    const struct rf_answer *a;
    struct rpcfan_slice raw; /* error or body as it came */
    char text[TEXT_MAX];     /* lower case, \" and \u00XX undone */
    size_t len;
    struct rf_pairs pairs; /* of the text */
    int64_t code;
    bool has_code, nojson;
};

/* An ASCII character that is written as \u00XX, as Go does with < > &. @return 0: it is none. */
static char unescaped(const char *p, size_t left)
{
    unsigned v = 0;
    if (left < 6 || memcmp(p, "\\u00", 4) != 0)
        return 0;
    for (int i = 4; i < 6; i++) {
        char d = (char)(p[i] | 0x20);
        if (p[i] >= '0' && p[i] <= '9')
            v = v * 16 + (unsigned)(p[i] - '0');
        else if (d >= 'a' && d <= 'f')
            v = v * 16 + (unsigned)(d - 'a') + 10;
        else
            return 0;
    }
    return v < 0x80 ? (char)v : 0;
}

/* Add text as it is searched: lower case, and as a person would read it. */
static void add_text(struct subject *s, const char *p, size_t n)
{
    for (size_t i = 0; i < n && s->len < TEXT_MAX; i++) {
        char c = p[i];
        if (c == '\\') {
            char u = unescaped(p + i, n - i);
            if (u != 0) {
                c = u;
                i += 5;
            } else if (i + 1 < n && (p[i + 1] == '"' || p[i + 1] == '/')) {
                c = p[++i];
            }
        }
        s->text[s->len++] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
}

/* Neither object nor array: a page, or plain words. */
static bool is_page(struct rpcfan_slice body)
{
    static const char bom[] = "\xef\xbb\xbf";
    const char *p = body.data, *end = p + body.len;
    if (body.len >= 3 && memcmp(p, bom, 3) == 0)
        p += 3;
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
        p++;
    return p < end && *p != '{' && *p != '[';
}

/* The subject is not zeroed: `text` is large, and filled as far as it is read. */
static void read_subject(struct subject *s, const struct rf_rules *rules, const struct rf_answer *a)
{
    struct rf_error_text e = {0};
    s->rules = rules;
    s->a = a;
    s->raw = a->error.len > 0 ? a->error : a->body;
    s->len = 0;
    s->pairs = (struct rf_pairs){0};
    bool whole = s->raw.len > 0 && rf_error_read(s->raw.data, s->raw.len, &e);
    s->has_code = whole && e.has_code;
    s->code = s->has_code ? e.code : 0;
    s->nojson = a->error.len == 0 && a->body.len > 0 && is_page(a->body);
    /* A long `data` in front of the message would hide it. */
    if (e.message.len > 0 && (size_t)(e.message.data - s->raw.data) + e.message.len > TEXT_MAX)
        add_text(s, e.message.data, rf_min_u64(e.message.len, TEXT_MAX / 2));
    add_text(s, s->raw.data, s->raw.len);
    rf_pairs_add(&s->pairs, s->text, s->len);
}

static bool has_status(const struct rf_rule *r, int status)
{
    for (unsigned i = 0; i < r->n_status; i++) {
        if (status >= r->status[i].lo && status <= r->status[i].hi)
            return true;
    }
    return r->n_status == 0;
}

static bool has_code(const struct rf_rule *r, const struct subject *s)
{
    for (unsigned i = 0; i < r->n_codes; i++) {
        if (s->has_code && r->code[i] == s->code)
            return true;
    }
    return r->n_codes == 0;
}

static bool has_texts(const struct rf_rule *r, const struct subject *s)
{
    uint64_t lacking = 0;
    for (int i = 0; i < 4; i++)
        lacking |= r->pairs.bits[i] & ~s->pairs.bits[i];
    if (lacking != 0)
        return false;
    for (unsigned i = 0; i < r->n_texts; i++) {
        if (memmem(s->text, s->len, r->text[i], strlen(r->text[i])) == NULL)
            return false;
    }
    return true;
}

static bool matches(const struct rf_rule *r, const struct subject *s)
{
    const struct rf_answer *a = s->a;
    if (!has_texts(r, s) || !has_status(r, a->status) || !has_code(r, s))
        return false;
    if (((r->flags & RF_RULE_BATCH) != 0 && !a->batch) ||
        ((r->flags & RF_RULE_SINGLE) != 0 && a->batch) ||
        ((r->flags & RF_RULE_NOJSON) != 0 && !s->nojson))
        return false;
    if (r->families != 0 && (r->families & (1u << a->family)) == 0)
        return false;
    return r->methods == NULL || rf_rules_method(s->rules, r->methods, a->method);
}

static void read_batch_hints(struct rf_verdict *v, const struct subject *s)
{
    v->told_batch = rf_batch_limit_in_text(s->text, s->len);
    v->told_bytes = rf_body_limit_in_text(s->text, s->len);
    v->by_bytes = v->told_batch == 0 &&
                  (v->told_bytes > 0 || memmem(s->text, s->len, "content length", 14) != NULL ||
                   memmem(s->text, s->len, "body too large", 14) != NULL ||
                   (s->a->status == 413 && s->a->error.len == 0));
}

/* When the node will have it: the rule says, or the slots that are missing. */
static uint64_t wait_time(const struct rf_verdict *v, const struct subject *s)
{
    uint64_t wanted, has, rule = v->row != NULL ? v->row->again_ns : RF_NEVER;
    struct rpcfan_slice p = s->a->params;
    if (p.len > 0 && rf_told_member(p.data, p.len, "minContextSlot", &wanted) &&
        rf_told_member(s->text, s->len, "contextslot", &has) && wanted > has)
        return rf_min_u64(wanted - has, SLOTS_MAX) * SLOT_NS;
    return rule != RF_NEVER ? rule : SLOT_NS;
}

static void read_rate(struct rf_verdict *v, const struct subject *s)
{
    struct rf_told_rate r = rf_told_rate(s->text, s->len);
    v->told_count = r.count;
    v->told_window_ns = r.window_ns;
    v->told_credits = r.credits;
    if (v->hint_ns == RF_NEVER)
        v->hint_ns = rf_hint_in_text(s->text, s->len);
}

/* Numbers in the text that say how to go on. */
static void read_hints(struct rf_verdict *v, const struct subject *s)
{
    switch (v->class) {
    case RF_CLASS_RATE:
    case RF_CLASS_CONC:
        read_rate(v, s);
        break;
    case RF_CLASS_QUOTA:
        v->daily = memmem(s->text, s->len, "daily", 5) != NULL ||
                   memmem(s->text, s->len, "per day", 7) != NULL;
        break;
    case RF_CLASS_SPLIT_BATCH:
        read_batch_hints(v, s);
        break;
    case RF_CLASS_SPLIT_RANGE:
        v->told_blocks = rf_told_blocks(s->text, s->len);
        v->told_range.any = rf_told_range(s->text, s->len, &v->told_range.from, &v->told_range.to);
        break;
    case RF_CLASS_SPLIT_FILTER:
        v->told_inputs = rf_told_inputs(s->text, s->len);
        break;
    case RF_CLASS_BEHIND:
        if (!rf_told_member(s->text, s->len, "numslotsbehind", &v->behind))
            v->behind = 0;
        break;
    case RF_CLASS_WAIT:
        v->again_ns = wait_time(v, s);
        break;
    default:
        break;
    }
}

static void read_flags(struct rf_verdict *v, unsigned flags)
{
    v->account = (flags & RF_RULE_ACCOUNT) != 0;
    v->method_only = (flags & RF_RULE_METHOD) != 0;
    v->sender = (flags & RF_RULE_SENDER) != 0;
    v->maybe_range = (flags & RF_RULE_MAYBE_RANGE) != 0;
    v->plan_limit = (flags & RF_RULE_PLAN_LIMIT) != 0;
    v->by_results = (flags & RF_RULE_RESULTS) != 0;
}

/* What is about a call and not about the node or the batch: where one answer of this kind stands
 * for a batch as a whole, it is one call's, and nobody knows which. */
static bool is_about_a_call(enum rf_class c)
{
    enum rf_action act = rf_class_action(c);
    return c != RF_CLASS_BEHIND && c != RF_CLASS_PLAN &&
           (act == RF_ACT_DELIVER || act == RF_ACT_ELSEWHERE || act == RF_ACT_LATER);
}

/* A success that says nothing at all, or an array of nothing: some front ends refuse a batch so. */
static bool is_silent(const struct rf_answer *a)
{
    size_t marks = 0;
    for (size_t i = 0; i < a->body.len; i++) {
        char c = a->body.data[i];
        if (c == '[' || c == ']')
            marks++;
        else if (c != ' ' && c != '\t' && c != '\r' && c != '\n')
            return false;
    }
    return a->error.len == 0 && a->status >= 200 && a->status < 300 && marks <= 2;
}

struct rf_verdict rf_classify(const struct rf_rules *rules, const struct rf_answer *a)
{
    struct rf_verdict v = {.class = of_transport(a->transport),
                           .rule = "transport",
                           .hint_ns = a->retry_after_ns,
                           .again_ns = RF_NEVER};
    if (v.class != RF_CLASS_OK)
        return v;
    struct subject s;
    read_subject(&s, rules, a);
    size_t n = rf_rules_count(rules);
    for (size_t i = 0; i < n && v.row == NULL; i++) {
        const struct rf_rule *rule = rf_rules_at(rules, i);
        if (matches(rule, &s))
            v.row = rule;
    }
    v.class = v.row != NULL ? v.row->class : of_status(a->status, a->error.len > 0);
    v.rule = v.row != NULL ? v.row->id : "status";
    bool silent = v.class == RF_CLASS_MALFORMED && v.row == NULL && is_silent(a);
    if (a->batch && (silent || (a->body.len > 0 && is_about_a_call(v.class)))) {
        v.class = RF_CLASS_SPLIT_BATCH;
        v.rule = silent ? "batch-silent" : "batch-vague";
        v.row = NULL;
        v.vague = true;
    }
    read_flags(&v, v.row != NULL ? v.row->flags : 0);
    read_hints(&v, &s);
    return v;
}
