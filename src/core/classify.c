/* classify.c - walks the rule table and falls back on transport and status. */
#include "core/classify.h"

#include <string.h>

#include "json/rpc.h"
#include "policy/hints.h"

/* Texts beyond this are not looked at: what matters stands at the front. */
#define TEXT_MAX 2048

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
    [RF_CLASS_MISSING] = {"missing", RF_ACT_ELSEWHERE, RPCFAN_ERPC},
    [RF_CLASS_BEHIND] = {"behind", RF_ACT_ELSEWHERE, RPCFAN_ERPC},
    [RF_CLASS_REVERT] = {"revert", RF_ACT_DELIVER, RPCFAN_ERPC},
    [RF_CLASS_CLIENT] = {"client", RF_ACT_DELIVER, RPCFAN_ERPC},
    [RF_CLASS_APP] = {"app", RF_ACT_DELIVER, RPCFAN_ERPC},
    [RF_CLASS_TX_KNOWN] = {"tx-known", RF_ACT_DELIVER, RPCFAN_ERPC},
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
    const struct rf_answer *a;
    struct rpcfan_slice text; /* as it came, cut at TEXT_MAX */
    char lower[TEXT_MAX]; /* the same in lower case: a refusal is held against a hundred rules */
    int64_t code;
    bool has_code;
};

static bool matches(const struct rf_rule *r, const struct subject *s)
{
    if (r->status != 0 && r->status != s->a->status)
        return false;
    if (r->code != RF_RULE_ANY && (!s->has_code || r->code != s->code))
        return false;
    if (r->batch_only && !s->a->batch)
        return false;
    if (r->families != 0 && (r->families & (1u << s->a->family)) == 0)
        return false;
    return r->text == NULL || memmem(s->lower, s->text.len, r->text, strlen(r->text)) != NULL;
}

/* Numbers in the text that say how to go on. */
static void read_hints(struct rf_verdict *v, const struct subject *s)
{
    v->hint_ns = s->a->retry_after_ns;
    if (v->hint_ns == RF_NEVER && (v->class == RF_CLASS_RATE || v->class == RF_CLASS_CONC))
        v->hint_ns = rf_hint_in_text(s->text.data, s->text.len);
    if (v->class != RF_CLASS_SPLIT_BATCH)
        return;
    v->told_batch = rf_batch_limit_in_text(s->text.data, s->text.len);
    v->told_bytes = rf_body_limit_in_text(s->text.data, s->text.len);
    v->by_bytes = v->told_batch == 0 &&
                  (rf_find_nocase(s->text.data, s->text.len, "content length") != NULL ||
                   rf_find_nocase(s->text.data, s->text.len, "body too large") != NULL ||
                   (s->a->status == 413 && s->a->error.len == 0));
}

struct rf_verdict rf_classify(const struct rf_answer *a)
{
    struct rf_verdict v = {
        .class = of_transport(a->transport), .rule = "transport", .hint_ns = a->retry_after_ns};
    if (v.class != RF_CLASS_OK)
        return v;
    struct subject s; /* not zeroed: `lower` is large, and filled as far as it is read */
    s.a = a;
    s.text = a->error.len > 0 ? a->error : a->body;
    s.code = 0;
    s.has_code = false;
    if (s.text.len > TEXT_MAX)
        s.text.len = TEXT_MAX;
    rf_lower(s.text.data, s.text.len, s.lower);
    struct rf_error_text e;
    struct rpcfan_slice object = a->error.len > 0 ? a->error : a->body;
    if (object.len > 0 && rf_error_read(object.data, object.len, &e)) {
        s.code = e.code;
        s.has_code = e.has_code;
    }
    const struct rf_rule *rule = NULL;
    for (size_t i = 0; i < rf_rules_count && rule == NULL; i++) {
        if (matches(&rf_rules[i], &s))
            rule = &rf_rules[i];
    }
    v.class = rule != NULL ? rule->class : of_status(a->status, a->error.len > 0);
    v.rule = rule != NULL ? rule->id : "status";
    /* A batch that comes back as one vague refusal may hold one bad call: halve it to find out. */
    bool vague = v.class == RF_CLASS_CLIENT || v.class == RF_CLASS_UNSUPPORTED;
    if (a->batch && vague && a->body.len > 0) {
        v.class = RF_CLASS_SPLIT_BATCH;
        v.rule = "batch-vague";
        v.vague = true;
    }
    read_hints(&v, &s);
    return v;
}
