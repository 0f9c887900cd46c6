/* explain_show.c - an explanation in words for people, and as JSON for machines. */
#include "app/explain.h"

#include <stdio.h>
#include <string.h>

#include "json/rpc.h"

static const struct {
    const char *meaning, *then;
} words[RF_CLASS_COUNT] = {
    [RF_CLASS_OK] = {"a result", "it is handed to the caller"},
    [RF_CLASS_RATE] = {"too many calls in a time",
                       "the endpoint pauses, the call keeps its place and goes again; no try is "
                       "counted"},
    [RF_CLASS_CONC] = {"too many calls or connections at once",
                       "the endpoint pauses, the call keeps its place and goes again; no try is "
                       "counted"},
    [RF_CLASS_QUOTA] = {"the budget of a day or month is used up",
                        "the endpoint is benched for minutes, another one answers"},
    [RF_CLASS_PLAN] = {"the plan does not permit this call",
                       "another endpoint is asked; where all refuse, the caller is told"},
    [RF_CLASS_AUTH] = {"the key, origin, address or chain is refused",
                       "the endpoint is benched for minutes, another one answers"},
    [RF_CLASS_SPLIT_RANGE] = {"the block range is too wide, or holds too much",
                              "the range is split where splitting is on, else it is the answer"},
    [RF_CLASS_SPLIT_FILTER] = {"too many addresses, topics or keys in one call",
                               "it is the answer: ask for fewer at a time"},
    [RF_CLASS_SPLIT_BATCH] = {"too many calls in the batch, or too many bytes",
                              "the batch is split and goes again; the endpoint's cap is learned"},
    [RF_CLASS_TOO_BIG] = {"the answer is over somebody's size cap",
                          "a batch is split and goes again; a single call fails as too-big"},
    [RF_CLASS_UNSUPPORTED] = {"the method or its module is absent on this node",
                              "another endpoint is asked; where all refuse, it is the answer"},
    [RF_CLASS_SHAPE] = {"the method is known here, but not in this form",
                        "another endpoint is asked; where all refuse, it is the answer"},
    [RF_CLASS_MISSING] = {"this node does not have the block or state",
                          "another endpoint is asked; where all lack it, it is the answer"},
    [RF_CLASS_TAG] = {"this node does not know the block tag",
                      "another endpoint is asked; where all refuse, it is the answer"},
    [RF_CLASS_SKIPPED] = {"no block in that slot, or a hole in this node's history",
                          "another endpoint is asked once to confirm it, then it is the answer"},
    [RF_CLASS_BEHIND] = {"the node says that it lags",
                         "another endpoint is asked; where all lag, it is the answer"},
    [RF_CLASS_WAIT] = {"the node does not have it yet, but should have it shortly",
                       "another endpoint is asked, or this one again a little later"},
    [RF_CLASS_REVERT] = {"the outcome of an execution", "it is the answer"},
    [RF_CLASS_CLIENT] = {"a bad request", "it is the answer: the call must be changed"},
    [RF_CLASS_APP] = {"an outcome that the node reports as an error", "it is the answer"},
    [RF_CLASS_TX_KNOWN] = {"the node has the transaction already",
                           "it is the answer; for a signed transaction it means success"},
    [RF_CLASS_TX_NONCE] = {"the nonce is used up, by this transaction or by another",
                           "it is the answer; the transaction's hash tells which it was"},
    [RF_CLASS_TX_REJECT] = {"the transaction is refused", "it is the answer"},
    [RF_CLASS_SERVER] = {"the node is in trouble",
                         "the call goes to another endpoint, or again after a backoff, while "
                         "tries and deadline last"},
    [RF_CLASS_CONNECT] = {"the node was not reached", "the call goes to another endpoint"},
    [RF_CLASS_TIMEOUT] = {"no answer in time", "the call goes again where that is safe"},
    [RF_CLASS_RESET] = {"the connection broke", "the call goes again where that is safe"},
    [RF_CLASS_TLS] = {"the certificate or the set-up was refused", "the endpoint is benched"},
    [RF_CLASS_MALFORMED] = {"it is no JSON-RPC answer",
                            "the call goes to another endpoint, or again after a backoff, while "
                            "tries and deadline last"},
    [RF_CLASS_ABORTED] = {"the client ended it", "nobody is told"},
};

static const char *const families[] = {
    [RPCFAN_GENERIC] = "generic", [RPCFAN_EVM] = "evm", [RPCFAN_SOLANA] = "solana"};

static const char *const actions[] = {
    [RF_ACT_DELIVER] = "deliver",     [RF_ACT_REQUEUE] = "requeue", [RF_ACT_BENCH] = "bench",
    [RF_ACT_ELSEWHERE] = "elsewhere", [RF_ACT_LATER] = "later",     [RF_ACT_SPLIT] = "split",
    [RF_ACT_RETRY] = "retry"};

const char *rf_explain_meaning(enum rf_class c)
{
    return words[c].meaning;
}

const char *rf_explain_action(enum rf_class c)
{
    return words[c].then;
}

static void add_time(struct rf_buf *b, uint64_t ns)
{
    if (ns % RF_SEC == 0)
        rf_buf_printf(b, "%llu s", (unsigned long long)(ns / RF_SEC));
    else
        rf_buf_printf(b, "%llu ms", (unsigned long long)(ns / RF_MS));
}

/* Begin one more hint of a list. */
static void add_hint(struct rf_buf *b, size_t start)
{
    if (b->len > start)
        rf_buf_str(b, "\n          ");
}

static void add_number(struct rf_buf *b, size_t start, const char *before, uint64_t n,
                       const char *after)
{
    if (n == 0)
        return;
    add_hint(b, start);
    rf_buf_str(b, before);
    rf_buf_u64(b, n);
    rf_buf_str(b, after);
}

static void add_flag(struct rf_buf *b, size_t start, bool set, const char *text)
{
    if (!set)
        return;
    add_hint(b, start);
    rf_buf_str(b, text);
}

static void add_hints(struct rf_buf *b, const struct rf_verdict *v)
{
    size_t start = b->len;
    if (v->hint_ns != RF_NEVER) {
        rf_buf_str(b, "come back after ");
        add_time(b, v->hint_ns);
    }
    if (v->again_ns != RF_NEVER) {
        add_hint(b, start);
        rf_buf_str(b, "ask again after ");
        add_time(b, v->again_ns);
    }
    if (v->told_count > 0) {
        add_number(b, start, "at most ", v->told_count,
                   v->told_credits ? " credits in " : " calls in ");
        add_time(b, v->told_window_ns);
    }
    add_number(b, start, "at most ", v->told_batch, " calls a batch");
    add_number(b, start, "at most ", v->told_bytes, " bytes a request");
    add_number(b, start, "at most ", v->told_blocks, " blocks a range");
    add_number(b, start, "at most ", v->told_inputs, " addresses, topics or keys a call");
    add_number(b, start, "the node is ", v->behind, " slots behind");
    if (v->told_range.any) {
        add_hint(b, start);
        rf_buf_printf(b, "blocks %llu to %llu would work", (unsigned long long)v->told_range.from,
                      (unsigned long long)v->told_range.to);
    }
    add_flag(b, start, v->account, "the whole account or key is limited, not this endpoint alone");
    add_flag(b, start, v->method_only, "this method alone is limited");
    add_flag(b, start, v->sender, "the transaction's sender is limited, elsewhere too");
    add_flag(b, start, v->daily, "until 00:00 UTC");
    add_flag(b, start, v->plan_limit, "the plan sets the cap: other endpoints may allow more");
    add_flag(b, start, v->maybe_range, "a smaller block range may help");
    add_flag(b, start, v->by_bytes, "the body was too big, not the number of calls");
    add_flag(b, start, v->vague, "one bad call in the batch may be the cause");
    if (b->len == start)
        rf_buf_str(b, "none");
}

static const char *origin(const struct rf_rule *r)
{
    return r->user ? "yours" : "built-in";
}

static void add_rule(struct rf_buf *b, const struct rf_verdict *v)
{
    const struct rf_rule *r = v->row;
    if (r != NULL) {
        rf_buf_printf(b, "%s (%s, line %u)\n          ", r->id, origin(r), r->line);
        rf_buf_add(b, r->source.data, r->source.len);
    } else if (strcmp(v->rule, "batch-silent") == 0) {
        rf_buf_str(b, "batch-silent: no word in answer to a batch; a smaller one will tell");
    } else if (v->vague) {
        rf_buf_str(b, "batch-vague: it speaks of one call, but stands for a batch");
    } else if (strcmp(v->rule, "member") == 0) {
        rf_buf_str(b, "member: neither a result nor an error for a call");
    } else {
        rf_buf_printf(b, "%s: no rule matches, the HTTP status decides", v->rule);
    }
}

/* Where the text goes. */
struct show {
    const struct rf_explain *e;
    struct rf_buf *out;
};

static void show_text(void *arg, uint32_t index, const struct rf_explained *x)
{
    struct show *s = arg;
    struct rf_buf *b = s->out;
    const struct rf_verdict *v = &x->verdict;
    if (x->member)
        rf_buf_printf(b, "%smember %u\n", index > 0 ? "\n" : "", index + 1);
    if (x->result) {
        rf_buf_str(b, "class     ok: a result; nothing is to be classified\n");
        return;
    }
    rf_buf_str(b, "rule      ");
    add_rule(b, v);
    rf_buf_printf(b, "\nclass     %s: %s\nhints     ", rf_class_name(v->class),
                  rf_explain_meaning(v->class));
    add_hints(b, v);
    rf_buf_printf(b, "\nthen      %s\n", rf_explain_action(v->class));
}

enum rpcfan_err rf_explain_text(const struct rf_explain *e, struct rf_buf *out)
{
    struct show s = {e, out};
    enum rpcfan_err rc = rf_explain_each(e, show_text, &s);
    return out->failed ? RPCFAN_ENOMEM : rc;
}

static void json_string(struct rf_buf *b, const char *key, const char *value)
{
    rf_buf_printf(b, ",\"%s\":", key);
    rf_json_quote(b, value, strlen(value));
}

static void json_number(struct rf_buf *b, const char *key, uint64_t n)
{
    if (n > 0)
        rf_buf_printf(b, ",\"%s\":%llu", key, (unsigned long long)n);
}

static void json_time(struct rf_buf *b, const char *key, uint64_t ns)
{
    if (ns != RF_NEVER)
        rf_buf_printf(b, ",\"%s\":%llu", key, (unsigned long long)(ns / RF_MS));
}

static void json_flag(struct rf_buf *b, const char *key, bool set)
{
    if (set)
        rf_buf_printf(b, ",\"%s\":true", key);
}

static void json_hints(struct rf_buf *b, const struct rf_verdict *v)
{
    json_time(b, "retry_after_ms", v->hint_ns);
    json_time(b, "again_ms", v->again_ns);
    json_number(b, "batch", v->told_batch);
    json_number(b, "bytes", v->told_bytes);
    json_number(b, "blocks", v->told_blocks);
    json_number(b, "inputs", v->told_inputs);
    json_number(b, "behind", v->behind);
    if (v->told_range.any)
        rf_buf_printf(b, ",\"range\":[%llu,%llu]", (unsigned long long)v->told_range.from,
                      (unsigned long long)v->told_range.to);
    json_number(b, v->told_credits ? "credits" : "count", v->told_count);
    json_number(b, "window_ms", v->told_window_ns / RF_MS);
    json_flag(b, "account", v->account);
    json_flag(b, "this_method", v->method_only);
    json_flag(b, "sender", v->sender);
    json_flag(b, "daily", v->daily);
    json_flag(b, "plan_limit", v->plan_limit);
    json_flag(b, "maybe_range", v->maybe_range);
    json_flag(b, "by_bytes", v->by_bytes);
    json_flag(b, "vague", v->vague);
}

/* Members of an object are added with a comma before each: take the first one off. */
static void drop_comma(struct rf_buf *b, size_t at)
{
    if (b->failed || b->len == at || b->data[at] != ',')
        return;
    memmove(b->data + at, b->data + at + 1, b->len - at - 1);
    b->len--;
}

static void show_json(void *arg, uint32_t index, const struct rf_explained *x)
{
    struct show *s = arg;
    struct rf_buf *b = s->out;
    const struct rf_verdict *v = &x->verdict;
    rf_buf_printf(b, "%s{\"class\":\"%s\"", index > 0 ? "," : "",
                  x->result ? "ok" : rf_class_name(v->class));
    if (!x->result) {
        json_string(b, "rule", v->rule);
        if (v->row != NULL) {
            json_string(b, "origin", v->row->user ? "user" : "built-in");
            json_number(b, "line", v->row->line);
        }
        json_string(b, "meaning", rf_explain_meaning(v->class));
        json_string(b, "action", actions[rf_class_action(v->class)]);
        json_string(b, "then", rf_explain_action(v->class));
        rf_buf_str(b, ",\"hints\":{");
        size_t at = b->len;
        json_hints(b, v);
        drop_comma(b, at);
        rf_buf_char(b, '}');
    }
    rf_buf_char(b, '}');
}

enum rpcfan_err rf_explain_json(const struct rf_explain *e, struct rf_buf *out)
{
    struct show s = {e, out};
    rf_buf_printf(out, "{\"status\":%d,\"family\":\"%s\"", e->status, families[e->family]);
    if (e->method.len > 0) {
        rf_buf_str(out, ",\"method\":");
        rf_json_quote(out, e->method.data, e->method.len);
    }
    json_number(out, "batch", e->batch);
    rf_buf_str(out, ",\"answers\":[");
    enum rpcfan_err rc = rf_explain_each(e, show_json, &s);
    rf_buf_str(out, "]}\n");
    return out->failed ? RPCFAN_ENOMEM : rc;
}

void rf_explain_list(const struct rf_rules *rules, struct rf_buf *out)
{
    for (size_t i = 0; i < rf_rules_count(rules); i++) {
        const struct rf_rule *r = rf_rules_at(rules, i);
        rf_buf_printf(out, "%s:%u\t", origin(r), r->line);
        rf_buf_add(out, r->source.data, r->source.len);
        rf_buf_char(out, '\n');
    }
}

void rf_explain_list_json(const struct rf_rules *rules, struct rf_buf *out)
{
    for (size_t i = 0; i < rf_rules_count(rules); i++) {
        const struct rf_rule *r = rf_rules_at(rules, i);
        rf_buf_printf(out, "%s{\"rule\":\"%s\"", i == 0 ? "[" : ",\n", r->id);
        json_string(out, "class", rf_class_name(r->class));
        json_string(out, "origin", r->user ? "user" : "built-in");
        json_number(out, "line", r->line);
        rf_buf_str(out, ",\"text\":");
        rf_json_quote(out, r->source.data, r->source.len);
        rf_buf_char(out, '}');
    }
    rf_buf_str(out, "]\n");
}
