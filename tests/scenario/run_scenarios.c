/* run_scenarios.c - plays every tests/scenario/NAME.scn in virtual time and compares the trace with
 * the one in the file: the trace is the specification.
 *
 * A file is lines of `word key=value ...`; a # begins a comment:
 *
 * - network KEY=VALUE...: attempts, deadline, family, gather, in_flight, join, linger, seed, policy
 * (first, quorum, broadcast), quorum, split (range)
 *
 * - endpoint NAME KEY=VALUE...: batch, in_flight, timeout, latency, learn, limit=N/WINDOW, priority
 *
 * - reply NAME KIND [times=N] [retry_after=D]: what the node answers next, `times` times (1); the
 * last one repeats. KIND is ok, status=N[,BODY], connect, reset, hang, html, object=CODE:TEXT,
 * first=CODE:TEXT (an array of one error), nullid=CODE:TEXT, bad=I:CODE:TEXT (member I fails),
 * missing=I, shuffled, twice, extra, stringids, cap=N (batches above N are refused without a
 * number), value=JSON (of one call), blocks=N (ranges above N are refused with the number),
 * inputs=N (so are more accounts), or poison=I:CODE:TEXT (whatever asks for the account of call I).
 * Underscores in TEXT are spaces.
 *
 * - at TIME call METHOD [n=N] [deadline=D] [range=A-B]; at TIME cancel I; at TIME close
 * drain|sent|now
 *
 * - run TIME
 *
 * - trace: the rest of the file is the expected trace. Calls have numbers; what is sent for call 1
 * by a plan of its own is 1* and, where it is another question, what it asks: 1*0-99, 1*METHOD.
 * What is sent for several is their numbers in brackets: (1-100). getAccountInfo asks for an
 * account of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "core/plan.h"
#include "core/range.h"
#include "core/txhash.h"
#include "base/base58.h"
#include "json/walk.h"
#include "sim/vshell.h"

#define MAX_EP 4
#define MAX_REPLIES 32
#define MAX_CALLS 4096
#define MAX_ACTS 64
#define MAX_ACCOUNTS 512

struct reply_rule {
    char kind[160];
    uint64_t retry_after_ns;
    uint32_t times;
};

struct act {
    uint64_t at_ns;
    char what[16], arg[64], params[96];
    uint32_t n;
    uint64_t deadline_ns;
};

struct scenario {
    struct rpcfan_options o;
    struct rpcfan_network_options net;
    struct rpcfan_endpoint_options ep[MAX_EP];
    struct rpcfan_limit limit[MAX_EP];
    char name[MAX_EP][32];
    uint64_t latency_ns[MAX_EP];
    struct reply_rule rule[MAX_EP][MAX_REPLIES];
    uint32_t n_rules[MAX_EP], rule_at[MAX_EP];
    struct act act[MAX_ACTS];
    uint32_t n_acts;
    uint64_t end_ns;
    struct rf_vcall *call[MAX_CALLS];
    uint32_t n_calls;
    struct rf_vshell *v;
    struct rf_buf trace;
};

static uint64_t duration(const char *text)
{
    uint64_t ns = 0;
    if (rf_parse_duration(text, &ns) != RPCFAN_OK)
        fail_msg("bad duration '%s'", text);
    return ns;
}

static void stamp(struct scenario *s, uint64_t now_ns)
{
    rf_buf_printf(&s->trace, "%llu.%03llu ", (unsigned long long)(now_ns / RF_SEC),
                  (unsigned long long)(now_ns / RF_MS % 1000));
}

static void log_line(int level, const char *line, void *arg)
{
    (void)level;
    struct scenario *s = arg;
    stamp(s, rf_vshell_now(s->v));
    rf_buf_printf(&s->trace, "log %s\n", line);
}

/* The call of ours that something is sent for; NULL: it has its answer. */
static const struct rf_call *root_of(const struct rf_call *c)
{
    while (c != NULL && c->leg_of != NULL)
        c = c->leg_of->parent;
    return c;
}

static uint64_t number_of(const struct rf_call *c)
{
    const struct rf_call *root = root_of(c);
    return root == NULL ? 0 : RF_CONTAINER(root, const struct rf_vcall, call)->number;
}

/* The account that call `number` asks for. */
static void write_account(uint64_t number, char *out)
{
    uint8_t bytes[32] = {1};
    memcpy(bytes + 8, &number, sizeof number);
    out[rf_base58_encode(bytes, sizeof bytes, out)] = '\0';
}

/* Whose account it is. */
static uint64_t account_number(struct rpcfan_slice key)
{
    uint8_t bytes[32];
    size_t n;
    uint64_t number = 0;
    if (!rf_base58_decode(key.data + 1, key.len - 2, bytes, sizeof bytes, &n) || n != sizeof bytes)
        fail_msg("no account: %.*s", (int)key.len, key.data);
    memcpy(&number, bytes + 8, sizeof number);
    return number;
}

static bool asks(const struct rf_call *c, const char *method)
{
    struct rpcfan_slice m = rf_call_method(c);
    return m.len == strlen(method) && memcmp(m.data, method, m.len) == 0;
}

/* The accounts that a call asks for. @return how many. */
static uint32_t accounts_of(const struct rf_call *c, uint64_t *number, uint32_t max)
{
    struct rf_walk w;
    struct rpcfan_slice key = rf_walk_at(rf_call_params(c), 0);
    uint32_t n = 0;
    if (asks(c, "getAccountInfo")) {
        number[0] = account_number(key);
        return 1;
    }
    if (!asks(c, "getMultipleAccounts") || !rf_walk_enter(&w, key, '['))
        return 0;
    while (n < max && rf_walk_element(&w, &key))
        number[n++] = account_number(key);
    return n;
}

static bool is_gathered(const struct rf_call *c)
{
    return c != NULL && c->leg_of != NULL && c->leg_of->kind == RF_PLAN_GATHER;
}

/* "(1-99,101)" */
static void add_gathered(struct scenario *s, const struct rf_call *c)
{
    uint64_t number[MAX_ACCOUNTS];
    uint32_t n = accounts_of(c, number, MAX_ACCOUNTS);
    rf_buf_str(&s->trace, " (");
    for (uint32_t i = 0, from; i < n;) {
        rf_buf_printf(&s->trace, "%s%llu", i > 0 ? "," : "", (unsigned long long)number[i]);
        for (from = i++; i < n && number[i] == number[i - 1] + 1; i++)
            ;
        if (i - from > 1)
            rf_buf_printf(&s->trace, "-%llu", (unsigned long long)number[i - 1]);
    }
    rf_buf_char(&s->trace, ')');
}

/* "1*", "1*0-99", "1*eth_blockNumber"; "-" for a call that is gone, "*" for a leg of one. */
static void add_leg(struct scenario *s, const struct rf_call *c)
{
    struct rf_range r;
    const struct rf_call *root = root_of(c);
    if (c == NULL) {
        rf_buf_str(&s->trace, " -");
        return;
    }
    struct rpcfan_slice m = rf_call_method(c);
    rf_buf_char(&s->trace, ' ');
    if (root != NULL)
        rf_buf_printf(&s->trace, "%llu", (unsigned long long)number_of(c));
    rf_buf_char(&s->trace, '*');
    if (rf_range_read(m, rf_call_params(c), &r))
        rf_buf_printf(&s->trace, "%llu-%llu", (unsigned long long)r.from, (unsigned long long)r.to);
    else if (root != NULL &&
             (m.len != root->method_len || memcmp(m.data, rf_call_method(root).data, m.len) != 0))
        rf_buf_add(&s->trace, m.data, m.len);
}

static bool is_plain(const struct rf_call *c)
{
    return c != NULL && c->leg_of == NULL;
}

/* The calls of an exchange as "1-10" or "3". */
static void add_calls(struct scenario *s, const struct rf_exchange *ex)
{
    for (uint32_t i = 0; i < ex->n;) {
        if (is_gathered(ex->call[i])) {
            add_gathered(s, ex->call[i++]);
            continue;
        }
        if (!is_plain(ex->call[i])) {
            add_leg(s, ex->call[i++]);
            continue;
        }
        uint64_t first = number_of(ex->call[i]), last = first;
        for (i++; i < ex->n && is_plain(ex->call[i]); i++) {
            uint64_t k = number_of(ex->call[i]);
            if (k != last + 1)
                break;
            last = k;
        }
        rf_buf_printf(&s->trace, " %llu", (unsigned long long)first);
        if (last > first)
            rf_buf_printf(&s->trace, "-%llu", (unsigned long long)last);
    }
}

/* CODE:TEXT, underscores for spaces. */
static void code_text(const char *arg, long long *code, char *text, size_t size)
{
    char *end;
    *code = strtoll(arg, &end, 10);
    snprintf(text, size, "%s", *end == ':' ? end + 1 : "");
    for (char *p = text; *p != '\0'; p++) {
        if (*p == '_')
            *p = ' ';
    }
}

static void right_accounts(struct rf_buf *b, const struct rf_call *c)
{
    uint64_t number[MAX_ACCOUNTS];
    uint32_t n = accounts_of(c, number, MAX_ACCOUNTS);
    bool one = asks(c, "getAccountInfo");
    rf_buf_str(b, one ? "{\"context\":{\"slot\":1},\"value\":"
                      : "{\"context\":{\"slot\":1},\"value\":[");
    for (uint32_t i = 0; i < n; i++)
        rf_buf_printf(b, "%s\"r%llu\"", i > 0 ? "," : "", (unsigned long long)number[i]);
    rf_buf_str(b, one ? "}" : "]}");
}

/* The right answer: of a range the list of its blocks, of a raw send its hash, else "r" and the
 * number of the call. */
static void right_answer(struct rf_buf *b, const struct rf_call *c)
{
    struct rf_range r;
    char hash[RF_TX_HASH_LEN];
    if (c == NULL) {
        rf_buf_str(b, "null");
    } else if (rf_range_read(rf_call_method(c), rf_call_params(c), &r) && !r.open_to) {
        for (uint64_t at = r.from; at <= r.to; at++)
            rf_buf_printf(b, "%c%llu", at == r.from ? '[' : ',', (unsigned long long)at);
        rf_buf_char(b, ']');
    } else if (asks(c, "getAccountInfo") || asks(c, "getMultipleAccounts")) {
        right_accounts(b, c);
    } else if (c->send && rf_tx_hash(rf_call_params(c), hash)) {
        rf_buf_printf(b, "\"%s\"", hash);
    } else {
        rf_buf_printf(b, "\"r%llu\"", (unsigned long long)number_of(c));
    }
}

static void result_member(struct rf_buf *b, const struct rf_exchange *ex, uint32_t i,
                          bool string_id)
{
    const char *quote = string_id ? "\"" : "";
    rf_buf_printf(b, "{\"jsonrpc\":\"2.0\",\"id\":%s%llu%s,\"result\":", quote,
                  (unsigned long long)(ex->id_base + i), quote);
    right_answer(b, ex->call[i]);
    rf_buf_char(b, '}');
}

/* A range above so many blocks, if it is one. */
static bool too_long(const struct rf_call *c, uint64_t most)
{
    struct rf_range r;
    return c != NULL && rf_range_read(rf_call_method(c), rf_call_params(c), &r) && !r.open_to &&
           r.to - r.from >= most;
}

struct distortion {
    uint32_t bad, missing;
    long long code;
    char text[96];
    bool shuffled, twice, extra, string_ids;
    uint64_t blocks, inputs, poison;
};

/* Too many accounts, or the wrong one. */
static bool bad_accounts(const struct rf_call *c, const struct distortion *d)
{
    uint64_t number[MAX_ACCOUNTS];
    if ((d->inputs == 0 && d->poison == 0) || c == NULL)
        return false;
    uint32_t n = accounts_of(c, number, MAX_ACCOUNTS);
    if (d->inputs > 0)
        return n > d->inputs;
    for (uint32_t i = 0; i < n; i++) {
        if (number[i] == d->poison)
            return true;
    }
    return false;
}

static void answer(struct rf_buf *b, const struct rf_exchange *ex, const struct distortion *d)
{
    if (ex->n > 1)
        rf_buf_char(b, '[');
    bool any = false;
    for (uint32_t k = 0; k < ex->n; k++) {
        uint32_t i = d->shuffled ? ex->n - 1 - k : k;
        if (i + 1 == d->missing)
            continue;
        if (any)
            rf_buf_char(b, ',');
        any = true;
        if (i + 1 == d->bad || (d->blocks > 0 && too_long(ex->call[i], d->blocks)) ||
            bad_accounts(ex->call[i], d))
            rf_vreply_error(b, ex->id_base + i, d->code, d->text);
        else
            result_member(b, ex, i, d->string_ids);
        if (d->twice && i == 0)
            rf_buf_printf(b, ",{\"id\":%llu,\"result\":\"late\"}", (unsigned long long)ex->id_base);
    }
    if (d->extra)
        rf_buf_str(b, ",{\"id\":99999999,\"result\":\"nobody\"},null");
    if (ex->n > 1)
        rf_buf_char(b, ']');
}

static bool starts(const char *s, const char *prefix, const char **rest)
{
    size_t n = strlen(prefix);
    if (strncmp(s, prefix, n) != 0)
        return false;
    *rest = s + n;
    return true;
}

static void one_error(const char *arg, const struct rf_exchange *ex, struct rf_vreply *out,
                      bool array, bool null_id)
{
    long long code;
    char text[96];
    code_text(arg, &code, text, sizeof text);
    if (array)
        rf_buf_char(&out->body, '[');
    if (null_id)
        rf_buf_printf(&out->body, "{\"id\":null,\"error\":{\"code\":%lld,\"message\":\"%s\"}}",
                      code, text);
    else
        rf_vreply_error(&out->body, ex->id_base, code, text);
    if (array)
        rf_buf_char(&out->body, ']');
}

static bool transport_kind(const char *kind, struct rf_vreply *out)
{
    if (strcmp(kind, "connect") == 0) {
        out->transport = RF_T_CONNECT;
        out->reason = "connection refused";
    } else if (strcmp(kind, "reset") == 0) {
        out->transport = RF_T_RESET;
        out->reason = "connection reset";
    } else if (strcmp(kind, "hang") == 0) {
        out->delay_ns = RF_NEVER;
    } else {
        return false;
    }
    return true;
}

static void make_reply(const char *kind, const struct rf_exchange *ex, struct rf_vreply *out)
{
    const char *arg;
    struct distortion d = {0};
    if (transport_kind(kind, out))
        return;
    if (starts(kind, "cap=", &arg)) {
        if (ex->n > strtoul(arg, NULL, 10)) {
            one_error("-32600:batch_too_large", ex, out, true, false);
            return;
        }
    } else if (starts(kind, "status=", &arg)) {
        char *end;
        out->status = (int)strtol(arg, &end, 10);
        rf_buf_str(&out->body, *end == ',' ? end + 1 : "");
        return;
    } else if (strcmp(kind, "html") == 0) {
        rf_buf_str(&out->body, "<html></html>");
        return;
    } else if (starts(kind, "object=", &arg) || starts(kind, "first=", &arg) ||
               starts(kind, "nullid=", &arg)) {
        one_error(arg, ex, out, kind[0] != 'o', kind[0] == 'n');
        return;
    } else if (starts(kind, "bad=", &arg)) {
        char *end;
        d.bad = (uint32_t)strtoul(arg, &end, 10);
        code_text(end + 1, &d.code, d.text, sizeof d.text);
    } else if (starts(kind, "blocks=", &arg)) {
        d.blocks = strtoull(arg, NULL, 10);
        d.code = -32602;
        snprintf(d.text, sizeof d.text, "exceed maximum block range: %s", arg);
    } else if (starts(kind, "inputs=", &arg)) {
        d.inputs = strtoull(arg, NULL, 10);
        d.code = -32602;
        snprintf(d.text, sizeof d.text, "Too many inputs provided; max %s", arg);
    } else if (starts(kind, "poison=", &arg)) {
        char *end;
        d.poison = strtoull(arg, &end, 10);
        code_text(end + 1, &d.code, d.text, sizeof d.text);
    } else if (starts(kind, "value=", &arg)) {
        rf_vreply_result(&out->body, ex->id_base, arg);
        return;
    } else if (starts(kind, "missing=", &arg)) {
        d.missing = (uint32_t)strtoul(arg, NULL, 10);
    } else if (strcmp(kind, "ok") != 0 && strcmp(kind, "shuffled") != 0 &&
               strcmp(kind, "twice") != 0 && strcmp(kind, "extra") != 0 &&
               strcmp(kind, "stringids") != 0) {
        fail_msg("unknown reply '%s'", kind);
    }
    d.shuffled = strcmp(kind, "shuffled") == 0;
    d.twice = strcmp(kind, "twice") == 0;
    d.extra = strcmp(kind, "extra") == 0;
    d.string_ids = strcmp(kind, "stringids") == 0;
    answer(&out->body, ex, &d);
}

static void serve(void *arg, struct rf_exchange *ex, uint64_t now_ns, struct rf_vreply *out)
{
    struct scenario *s = arg;
    uint32_t e = ex->index;
    stamp(s, now_ns);
    rf_buf_printf(&s->trace, "send %s%s", s->name[e], ex->batch ? " batch" : "");
    add_calls(s, ex);
    if (ex->fresh)
        rf_buf_str(&s->trace, " fresh");
    rf_buf_char(&s->trace, '\n');
    out->delay_ns = s->latency_ns[e];
    struct reply_rule ok = {.kind = "ok", .retry_after_ns = RF_NEVER};
    struct reply_rule *r = s->n_rules[e] > 0 ? &s->rule[e][s->rule_at[e]] : &ok;
    out->retry_after_ns = r->retry_after_ns;
    make_reply(r->kind, ex, out);
    if (r->times > 0 && --r->times == 0 && s->rule_at[e] + 1 < s->n_rules[e])
        s->rule_at[e]++;
}

static void done(void *arg, struct rf_call *c, uint64_t now_ns)
{
    struct scenario *s = arg;
    struct rf_vcall *vc = RF_CONTAINER(c, struct rf_vcall, call);
    stamp(s, now_ns);
    rf_buf_printf(&s->trace, "done %llu %s", (unsigned long long)vc->number,
                  rpcfan_err_name(c->err));
    if (c->err == RPCFAN_OK) {
        struct rf_buf want = {0};
        right_answer(&want, c);
        if (want.len != c->json_len || memcmp(want.data, c->json, c->json_len) != 0)
            rf_buf_printf(&s->trace, s->net.join ? " as %.*s" : " WRONG ANSWER %.*s",
                          (int)c->json_len, c->json);
        rf_buf_fini(&want);
    } else if (c->detail != NULL) {
        rf_buf_printf(&s->trace, " (%s)", c->detail);
    }
    if (c->sends != 1)
        rf_buf_printf(&s->trace, " sends=%u", c->sends);
    rf_buf_char(&s->trace, '\n');
}

/* `key=value` of a line's words, or NULL. */
static const char *value(char **word, size_t n, const char *key)
{
    size_t len = strlen(key);
    for (size_t i = 0; i < n; i++) {
        if (strncmp(word[i], key, len) == 0 && word[i][len] == '=')
            return word[i] + len + 1;
    }
    return NULL;
}

static uint32_t number(char **word, size_t n, const char *key, uint32_t otherwise)
{
    const char *v = value(word, n, key);
    return v == NULL ? otherwise : (uint32_t)strtoul(v, NULL, 10);
}

static uint64_t ms(char **word, size_t n, const char *key, uint64_t otherwise)
{
    const char *v = value(word, n, key);
    return v == NULL ? otherwise : duration(v) / RF_MS;
}

static void read_network(struct scenario *s, char **w, size_t n)
{
    s->net.attempts = number(w, n, "attempts", s->net.attempts);
    s->net.deadline_ms = ms(w, n, "deadline", s->net.deadline_ms);
    s->net.linger_ms = ms(w, n, "linger", s->net.linger_ms);
    s->o.in_flight = number(w, n, "in_flight", s->o.in_flight);
    s->net.join = (int)number(w, n, "join", 0);
    s->net.gather = (int)number(w, n, "gather", 0);
    s->o.seed = number(w, n, "seed", 1);
    s->net.quorum = number(w, n, "quorum", s->net.quorum);
    const char *policy = value(w, n, "policy"), *split = value(w, n, "split");
    if (policy != NULL)
        s->net.policy = policy[0] == 'f'   ? RPCFAN_FIRST
                        : policy[0] == 'q' ? RPCFAN_QUORUM
                                           : RPCFAN_BROADCAST;
    if (split != NULL)
        s->net.split = RPCFAN_SPLIT_RANGE;
    const char *family = value(w, n, "family");
    if (family != NULL)
        s->net.family = strcmp(family, "evm") == 0      ? RPCFAN_EVM
                        : strcmp(family, "solana") == 0 ? RPCFAN_SOLANA
                                                        : RPCFAN_GENERIC;
}

static void read_endpoint(struct scenario *s, char **w, size_t n)
{
    size_t e = s->net.n_endpoints++;
    assert_true(e < MAX_EP);
    struct rpcfan_endpoint_options *ep = &s->ep[e];
    rpcfan_endpoint_options_init(ep);
    snprintf(s->name[e], sizeof s->name[e], "%s", w[1]);
    ep->name = s->name[e];
    ep->batch = number(w, n, "batch", 20);
    ep->in_flight = number(w, n, "in_flight", 4);
    ep->priority = number(w, n, "priority", 0);
    ep->timeout_ms = ms(w, n, "timeout", 2000);
    ep->learn = (int)number(w, n, "learn", 1);
    s->latency_ns[e] = ms(w, n, "latency", 10) * RF_MS;
    const char *limit = value(w, n, "limit");
    if (limit != NULL) {
        char *slash;
        s->limit[e].count = strtoul(limit, &slash, 10);
        s->limit[e].window_ms = duration(slash + 1) / RF_MS;
        ep->limits = &s->limit[e];
        ep->n_limits = 1;
    }
}

static void read_reply(struct scenario *s, char **w, size_t n)
{
    for (uint32_t e = 0; e < s->net.n_endpoints; e++) {
        if (strcmp(s->name[e], w[1]) != 0)
            continue;
        assert_true(s->n_rules[e] < MAX_REPLIES);
        struct reply_rule *r = &s->rule[e][s->n_rules[e]++];
        snprintf(r->kind, sizeof r->kind, "%s", w[2]);
        const char *ra = value(w, n, "retry_after");
        r->retry_after_ns = ra == NULL ? RF_NEVER : duration(ra);
        r->times = number(w, n, "times", 1);
        return;
    }
    fail_msg("reply for unknown endpoint '%s'", w[1]);
}

static void read_act(struct scenario *s, char **w, size_t n)
{
    assert_true(s->n_acts < MAX_ACTS && n >= 4);
    struct act *a = &s->act[s->n_acts++];
    a->at_ns = duration(w[1]);
    snprintf(a->what, sizeof a->what, "%s", w[2]);
    snprintf(a->arg, sizeof a->arg, "%s", w[3]);
    a->n = number(w, n, "n", 1);
    const char *range = value(w, n, "range");
    unsigned long long from, to;
    snprintf(a->params, sizeof a->params, "%s",
             strncmp(a->arg, "eth_sendRaw", 11) == 0 ? "[\"0x02f86b01\"]" : "[]");
    if (range != NULL && sscanf(range, "%llu-%llu", &from, &to) == 2)
        snprintf(a->params, sizeof a->params, "[{\"fromBlock\":\"0x%llx\",\"toBlock\":\"0x%llx\"}]",
                 from, to);
    a->deadline_ns = ms(w, n, "deadline", s->net.deadline_ms) * RF_MS;
}

static void read_line(struct scenario *s, char *line)
{
    char *word[16], *save = NULL;
    size_t n = 0;
    for (char *p = strtok_r(line, " \t", &save); p != NULL && n < 16;
         p = strtok_r(NULL, " \t", &save))
        word[n++] = p;
    if (n == 0 || word[0][0] == '#')
        return;
    if (strcmp(word[0], "network") == 0)
        read_network(s, word, n);
    else if (strcmp(word[0], "endpoint") == 0)
        read_endpoint(s, word, n);
    else if (strcmp(word[0], "reply") == 0)
        read_reply(s, word, n);
    else if (strcmp(word[0], "at") == 0)
        read_act(s, word, n);
    else if (strcmp(word[0], "run") == 0)
        s->end_ns = duration(word[1]);
    else
        fail_msg("unknown word '%s'", word[0]);
}

static void perform(struct scenario *s, const struct act *a)
{
    if (strcmp(a->what, "call") == 0) {
        for (uint32_t i = 0; i < a->n; i++) {
            assert_true(s->n_calls < MAX_CALLS);
            char account[64], params[128];
            write_account(s->n_calls + 1, account);
            snprintf(params, sizeof params, "[\"%s\",{\"encoding\":\"base64\"}]", account);
            bool own = strcmp(a->arg, "getAccountInfo") == 0;
            struct rf_vcall *c = rf_vcall_new(s->n_calls + 1, a->arg, own ? params : a->params);
            assert_non_null(c);
            s->call[s->n_calls++] = c;
            rf_vshell_submit(s->v, c, a->at_ns + a->deadline_ns);
        }
    } else if (strcmp(a->what, "cancel") == 0) {
        rf_vshell_cancel(s->v, s->call[strtoul(a->arg, NULL, 10) - 1]);
    } else if (strcmp(a->what, "close") == 0) {
        rf_vshell_close(s->v, strcmp(a->arg, "drain") == 0  ? RPCFAN_CLOSE_DRAIN
                              : strcmp(a->arg, "sent") == 0 ? RPCFAN_CLOSE_SENT
                                                            : RPCFAN_CLOSE_NOW);
    } else {
        fail_msg("unknown act '%s'", a->what);
    }
}

static void play(struct scenario *s)
{
    struct rf_log log = {.cb = log_line, .arg = s, .level = RPCFAN_LOG_DEBUG};
    struct rf_vhooks hooks = {.arg = s, .serve = serve, .done = done};
    struct rpcfan_error err;
    s->net.endpoints = s->ep;
    s->o.networks = &s->net;
    s->o.n_networks = 1;
    if (rf_vshell_new(&s->o, &hooks, &log, &s->v, &err) != RPCFAN_OK)
        fail_msg("%s", err.text);
    for (uint32_t i = 0; i < s->n_acts; i++) {
        if (s->act[i].at_ns > rf_vshell_now(s->v))
            rf_vshell_run(s->v, s->act[i].at_ns);
        perform(s, &s->act[i]);
    }
    rf_vshell_run(s->v, s->end_ns);
    for (uint32_t i = 0; i < s->n_calls; i++) {
        if (!s->call[i]->done)
            rf_buf_printf(&s->trace, "open %u\n", i + 1);
    }
    rf_vshell_close(s->v, RPCFAN_CLOSE_NOW);
    size_t len = s->trace.len;
    rf_vshell_run(s->v, s->end_ns + 60 * RF_SEC);
    s->trace.len = len; /* what the tear-down does is not part of the trace */
    for (uint32_t i = 0; i < s->n_calls; i++) {
        assert_true(s->call[i]->done);
        rf_vcall_free(s->call[i]);
    }
    assert_true(rf_core_idle(rf_vshell_core(s->v)));
    rf_vshell_free(s->v);
}

static char *slurp(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        fail_msg("cannot open %s", path);
    struct rf_buf b = {0};
    char part[4096];
    size_t n;
    while ((n = fread(part, 1, sizeof part, f)) > 0)
        rf_buf_add(&b, part, n);
    fclose(f);
    rf_buf_char(&b, '\0');
    return b.data;
}

static void test_scenario(void **state)
{
    const char *path = *state;
    struct scenario *s = rf_alloc(sizeof *s);
    rpcfan_options_init(&s->o);
    rpcfan_network_options_init(&s->net);
    s->o.seed = 1;
    char *text = slurp(path), *save = NULL;
    char *expected = strstr(text, "\ntrace\n");
    if (expected == NULL)
        fail_msg("%s has no trace", path);
    *expected = '\0';
    expected += strlen("\ntrace\n");
    for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
        read_line(s, line);
    play(s);
    rf_buf_char(&s->trace, '\0');
    if (strcmp(s->trace.data, expected) != 0) {
        printf("--- expected\n%s--- got\n%s---\n", expected, s->trace.data);
        fail_msg("%s: the trace differs", path);
    }
    rf_buf_fini(&s->trace);
    rf_free(text);
    rf_free(s);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct CMUnitTest *)a)->name, ((const struct CMUnitTest *)b)->name);
}

int main(int argc, char **argv)
{
    const char *dir = argc > 1 ? argv[1] : "tests/scenario";
    struct CMUnitTest tests[256];
    size_t n = 0;
    DIR *d = opendir(dir);
    if (d == NULL) {
        fprintf(stderr, "run_scenarios: no directory %s; run it from the project's root\n", dir);
        return 1;
    }
    struct dirent *e;
    while ((e = readdir(d)) != NULL && n < RF_COUNT(tests)) {
        size_t len = strlen(e->d_name);
        if (len < 5 || strcmp(e->d_name + len - 4, ".scn") != 0)
            continue;
        char *path = malloc(strlen(dir) + len + 2);
        sprintf(path, "%s/%s", dir, e->d_name);
        char *name = strdup(e->d_name);
        name[len - 4] = '\0';
        tests[n++] =
            (struct CMUnitTest){.name = name, .test_func = test_scenario, .initial_state = path};
    }
    closedir(d);
    qsort(tests, n, sizeof tests[0], by_name);
    int failed = n == 0 ? 1 : _cmocka_run_group_tests("scenarios", tests, n, NULL, NULL);
    for (size_t i = 0; i < n; i++) {
        free((void *)(uintptr_t)tests[i].name);
        free(tests[i].initial_state);
    }
    return failed;
}
